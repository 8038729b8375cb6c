//! Memory by the CUDA array interface: the attribute `__cuda_array_interface__`.

use super::acquire::{Access, Element, Kind, Memory};
use super::dlpack::contiguous;
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
pub(super) fn acquire(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Option<Memory>> {
    let py = object.py();
    let Some(interface) = object.getattr_opt(pyo3::intern!(py, "__cuda_array_interface__"))? else {
        return Ok(None);
    };
    let interface = interface.cast_into::<PyDict>().map_err(PyErr::from)?;
    let required = |name: &str| interface.as_any().get_item(name);
    let optional = |name: &str| Ok::<_, PyErr>(interface.get_item(name)?.filter(|value| !value.is_none()));

    let data = required("data")?.cast_into::<PyTuple>().map_err(PyErr::from)?;
    let (address, readonly): (usize, bool) = data.extract()?;
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
    if let Some(strides) = strides
        && !contiguous(&shape, &strides, i64::try_from(itemsize)?)
    {
        return Err(PyBufferError::new_err("__cuda_array_interface__: the buffer is not contiguous"));
    }
    if readonly && access == Access::Write {
        return Err(PyBufferError::new_err("__cuda_array_interface__: read-only, and MPI is to write into it"));
    }
    let elements = shape.iter().fold(1_i64, |product, &size| product.saturating_mul(size));
    Ok(Some(Memory {
        addr: ptr::with_exposed_provenance_mut(address),
        nbytes: isize::try_from(elements)?.saturating_mul(itemsize),
        readonly,
        element,
        kind: Kind::Part,
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
            None => Element::Format(typestr.into(), itemsize),
        }
    };
    Ok((element, itemsize))
}

/// Whether the object's memory has to be taken as a device's.
pub(super) fn is_on_device(object: &Bound<'_, PyAny>) -> bool {
    !super::view::speaks(object) && !super::dlpack::speaks(object) && speaks(object)
}
