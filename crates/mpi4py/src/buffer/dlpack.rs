//! Memory by DLPack: `__dlpack__` and `__dlpack_device__`. The capsule is only looked at, not taken
//! over: it is held as long as the memory is in use, and its owner frees the tensor with it.

use super::acquire::{Access, Element};
use super::strided::Spread;
use super::{Keep, infer};
use mpi_abi::Count;
use mpi_abi::consts::MPI_BYTE;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::ffi::{CStr, c_void};

const CPU: i32 = 1;
const READ_ONLY: u64 = 1;

#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device_type: u32,
    device_id: i32,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}

#[repr(C)]
struct Versioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: *const c_void,
    flags: u64,
    tensor: Tensor,
}

pub(super) fn speaks(object: &Bound<'_, PyAny>) -> bool {
    let py = object.py();
    object.hasattr(pyo3::intern!(py, "__dlpack__")).unwrap_or(false)
        && object.hasattr(pyo3::intern!(py, "__dlpack_device__")).unwrap_or(false)
}

/// `None` if the object does not speak DLPack.
pub(super) fn spread(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Option<Spread>> {
    if !speaks(object) {
        return Ok(None);
    }
    let device = device(object)?;
    let capsule = capsule(object, device.0)?;
    let (tensor, readonly) = tensor(&capsule)?;
    if readonly && access == Access::Write {
        return Err(PyBufferError::new_err("dlpack: the buffer is read-only, and MPI is to write into it"));
    }
    // SAFETY: the capsule is alive and its pointer is what its name says.
    let tensor = unsafe { &*tensor };
    let itemsize = (u32::from(tensor.bits) * u32::from(tensor.lanes)).div_ceil(8);
    let itemsize = isize::try_from(itemsize)?;
    let (shape, strides) = dimensions(tensor, itemsize)?;
    let offset = usize::try_from(tensor.byte_offset).map_err(|_| PyBufferError::new_err("dlpack: byte offset"))?;
    Ok(Some(Spread {
        addr: if tensor.data.is_null() { tensor.data } else { tensor.data.wrapping_byte_add(offset) },
        shape,
        strides,
        itemsize,
        readonly,
        element: element(tensor),
        device: (device.0 != CPU).then_some(device),
        keep: Keep::Object(capsule.unbind()).and(Keep::Object(object.clone().unbind())),
    }))
}

/// The device that the object's memory belongs to, if it is none of the processor.
pub(super) fn device_of(object: &Bound<'_, PyAny>) -> Option<(i32, i32)> {
    if speaks(object) { device(object).ok().filter(|(kind, _)| *kind != CPU) } else { None }
}

/// Kind and number.
fn device(object: &Bound<'_, PyAny>) -> PyResult<(i32, i32)> {
    let answer = object.call_method0(pyo3::intern!(object.py(), "__dlpack_device__"))?;
    let answer = answer
        .cast_into::<PyTuple>()
        .map_err(|_| PyTypeError::new_err("dlpack: __dlpack_device__ must give a tuple"))?;
    answer.extract()
}

fn capsule<'py>(object: &Bound<'py, PyAny>, device: i32) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let method = object.getattr(pyo3::intern!(py, "__dlpack__"))?;
    let oldest = PyDict::new(py);
    if device != CPU {
        oldest.set_item("stream", -1)?;
    }
    let versioned = oldest.copy()?;
    versioned.set_item("max_version", (1, 0))?;
    let newest = versioned.copy()?;
    newest.set_item("copy", false)?;
    // Objects know the arguments of their time.
    for arguments in [&newest, &versioned] {
        match method.call((), Some(arguments)) {
            Err(error) if error.is_instance_of::<PyTypeError>(py) => {}
            result => return result,
        }
    }
    method.call((), Some(&oldest))
}

/// The tensor in a capsule, and whether it must not be written to.
fn tensor(capsule: &Bound<'_, PyAny>) -> PyResult<(*const Tensor, bool)> {
    let pointer = |name: &CStr| {
        // SAFETY: any object and a name that ends in NUL; a valid capsule of that name has a pointer.
        unsafe {
            (ffi::PyCapsule_IsValid(capsule.as_ptr(), name.as_ptr()) != 0)
                .then(|| ffi::PyCapsule_GetPointer(capsule.as_ptr(), name.as_ptr()))
        }
    };
    if let Some(versioned) = pointer(c"dltensor_versioned") {
        // SAFETY: the name says that the capsule holds this structure.
        let versioned = unsafe { &*versioned.cast::<Versioned>() };
        if versioned.major != 1 {
            return Err(PyBufferError::new_err(format!("dlpack: version {} is not known", versioned.major)));
        }
        return Ok((&raw const versioned.tensor, versioned.flags & READ_ONLY != 0));
    }
    if let Some(plain) = pointer(c"dltensor") {
        return Ok((plain.cast::<Tensor>(), false));
    }
    Err(PyBufferError::new_err("dlpack: expecting a capsule with a tensor that nobody has taken"))
}

/// Shape, and strides in bytes.
fn dimensions(tensor: &Tensor, itemsize: isize) -> PyResult<(Vec<Count>, Vec<Count>)> {
    let Ok(ndim) = usize::try_from(tensor.ndim) else {
        return Err(PyBufferError::new_err(format!("dlpack: number of dimensions is {}", tensor.ndim)));
    };
    if ndim == 0 {
        return Ok((Vec::new(), Vec::new()));
    }
    if tensor.shape.is_null() {
        return Err(PyBufferError::new_err("dlpack: shape is null"));
    }
    // SAFETY: the format has as many entries as dimensions.
    let shape = unsafe { std::slice::from_raw_parts(tensor.shape, ndim) }.to_vec();
    if shape.iter().any(|&size| size < 0) {
        return Err(PyBufferError::new_err("dlpack: negative size in the shape"));
    }
    if tensor.strides.is_null() {
        let strides = Spread::c_order(&shape, itemsize);
        return Ok((shape, strides));
    }
    // SAFETY: as for the shape.
    let strides = unsafe { std::slice::from_raw_parts(tensor.strides, ndim) };
    Ok((shape, strides.iter().map(|stride| stride.saturating_mul(itemsize as Count)).collect()))
}

fn element(tensor: &Tensor) -> Element {
    let bits = u32::from(tensor.bits) * u32::from(tensor.lanes);
    let kind = match (tensor.code, tensor.lanes) {
        (0, 1) => 'i',
        (1, 1) => 'u',
        (2, 1) => 'f',
        (5, 1) | (2, 2) => 'c',
        (6, 1) => 'b',
        _ => return Element::Type(MPI_BYTE),
    };
    let code = format!("{kind}{}", bits / 8);
    match infer::by_code(&code) {
        Some(datatype) => Element::Type(datatype),
        // Types of their own, as quarter precision: their bytes.
        None => Element::Type(MPI_BYTE),
    }
}
