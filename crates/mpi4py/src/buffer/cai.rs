//! Memory by the CUDA array interface: the attribute `__cuda_array_interface__`.

use super::acquire::{Access, Element};
use super::device::{CUDA, UNKNOWN};
use super::strided::Spread;
use super::{Keep, infer};
use mpi_abi::consts::MPI_BYTE;
use pyo3::exceptions::{PyBufferError, PyRuntimeWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use std::ptr;

pub(super) fn speaks(object: &Bound<'_, PyAny>) -> bool {
    object.hasattr(pyo3::intern!(object.py(), "__cuda_array_interface__")).unwrap_or(false)
}

/// `None` if the object does not have the interface.
pub(super) fn spread(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Option<Spread>> {
    let py = object.py();
    let Some(interface) = object.getattr_opt(pyo3::intern!(py, "__cuda_array_interface__"))? else {
        return Ok(None);
    };
    let interface = interface.cast_into::<PyDict>().map_err(PyErr::from)?;
    let required = |name: &str| interface.as_any().get_item(name);
    let optional = |name: &str| Ok::<_, PyErr>(interface.get_item(name)?.filter(|value| !value.is_none()));

    let data = required("data")?.cast_into::<PyTuple>().map_err(PyErr::from)?;
    // No elements may have no address.
    let (address, readonly): (Option<usize>, bool) = data.extract()?;
    let typestr = required("typestr")?.cast_into::<PyString>().map_err(PyErr::from)?.to_string();
    let shape: Vec<i64> = required("shape")?.cast_into::<PyTuple>().map_err(PyErr::from)?.extract()?;
    let strides: Option<Vec<i64>> = match optional("strides")? {
        Some(strides) => Some(strides.cast_into::<PyTuple>().map_err(PyErr::from)?.extract()?),
        None => None,
    };
    if optional("mask")?.is_some() {
        return Err(PyBufferError::new_err("__cuda_array_interface__: masked arrays cannot be sent"));
    }
    let (element, itemsize) = element(&typestr)?;
    if let Some(descr) = optional("descr")? {
        let descr = descr.cast_into::<PyList>().map_err(PyErr::from)?;
        if !descr.eq([("", &typestr)])? {
            let category = py.get_type::<PyRuntimeWarning>();
            PyErr::warn(py, &category, c"__cuda_array_interface__: 'descr' is ignored", 1)?;
        }
    }
    if shape.iter().any(|&size| size < 0) {
        return Err(PyBufferError::new_err("__cuda_array_interface__: negative size in 'shape'"));
    }
    if readonly && access == Access::Write {
        return Err(PyBufferError::new_err("__cuda_array_interface__: read-only, and MPI is to write into it"));
    }
    let strides = match strides {
        None => Spread::c_order(&shape, itemsize),
        Some(strides) if strides.len() == shape.len() => strides,
        Some(strides) => {
            return Err(PyBufferError::new_err(format!(
                "__cuda_array_interface__: {} strides for {} dimensions",
                strides.len(),
                shape.len()
            )));
        }
    };
    Ok(Some(Spread {
        addr: ptr::with_exposed_provenance_mut(address.unwrap_or(0)),
        shape,
        strides,
        itemsize,
        readonly,
        element,
        device: Some((CUDA, UNKNOWN)),
        keep: Keep::Object(object.clone().unbind()),
    }))
}

/// What `typestr` says: the element and its size.
fn element(typestr: &str) -> PyResult<(Element, isize)> {
    let mut letters = typestr.chars();
    let (order, kind) = (letters.next().unwrap_or('#'), letters.next().unwrap_or('#'));
    let itemsize: isize = letters
        .as_str()
        .parse()
        .map_err(|_| PyValueError::new_err(format!("__cuda_array_interface__: no size in typestr '{typestr}'")))?;
    let native = if cfg!(target_endian = "little") { '<' } else { '>' };
    if !(order == native || order == '=' || order == '|') {
        return Err(PyBufferError::new_err(format!(
            "__cuda_array_interface__: typestr '{typestr}' has no MPI datatype, its byte order is not this machine's; \
             convert the array, or send() it as an object"
        )));
    }
    let element = if kind == 'V' {
        Element::Type(MPI_BYTE)
    } else {
        match infer::by_code(&format!("{kind}{itemsize}")) {
            Some(datatype) => Element::Type(datatype),
            // Types of their own, as quarter precision: their bytes.
            None => Element::Type(MPI_BYTE),
        }
    };
    Ok((element, itemsize))
}

/// The device that the object's memory has to be taken for.
pub(super) fn device_of(object: &Bound<'_, PyAny>) -> Option<(i32, i32)> {
    let only = speaks(object) && !super::view::speaks(object) && !super::dlpack::speaks(object);
    only.then_some((CUDA, UNKNOWN))
}
