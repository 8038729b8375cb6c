//! From one Python object to its memory. The order: NumPy arrays directly, the constants `BOTTOM`
//! and `IN_PLACE`, the buffer protocol, DLPack, the CUDA array interface.

use super::infer::{self, Found};
use super::{Keep, View, cai, dlpack, numpy, view};
use crate::args::expected;
use crate::special;
use mpi_abi::Datatype;
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;
use std::ffi::c_void;
use std::ptr;

/// What MPI will do with the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// What one element of the memory is.
pub(crate) enum Element {
    /// A datatype of MPI.
    Type(Datatype),
    /// Something else; the text is the format.
    Other(Box<str>),
    /// An MPI datatype, but bytes in the other order.
    Swapped(Box<str>),
    /// There are no elements (`None`, `BOTTOM`, `IN_PLACE`).
    None,
}

impl Element {
    /// The datatype, or the error that says what to do instead.
    pub(crate) fn datatype(&self) -> PyResult<Datatype> {
        match self {
            Self::Type(datatype) => Ok(*datatype),
            Self::Other(format) => Err(infer::unknown(format)),
            Self::Swapped(format) => Err(infer::swapped(format)),
            Self::None => Err(pyo3::exceptions::PyKeyError::new_err(
                "cannot infer the MPI datatype: there is no memory to look at, say [buffer, count, datatype]",
            )),
        }
    }

    /// From a format of the buffer protocol.
    pub(crate) fn from_format(format: &[u8], itemsize: isize) -> Self {
        let text = || String::from_utf8_lossy(format).into_owned().into_boxed_str();
        match infer::by_format(format, itemsize) {
            Found::Type(datatype) => Self::Type(datatype),
            Found::Swapped => Self::Swapped(text()),
            Found::Unknown => Self::Other(text()),
        }
    }
}

/// Memory of a Python object.
pub(crate) struct Memory {
    pub(crate) addr: *mut c_void,
    pub(crate) nbytes: isize,
    pub(crate) readonly: bool,
    pub(crate) element: Element,
    pub(crate) kind: Kind,
    pub(crate) keep: Keep,
}

/// What is known of the size of the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All there is: the object owns its memory.
    Whole,
    /// A part of other memory; a derived datatype may reach beyond it.
    Part,
    /// No memory: `None`.
    Nothing,
    /// An address constant: no size at all.
    Constant,
}

impl Memory {
    pub(crate) const fn nothing() -> Self {
        Self {
            addr: ptr::null_mut(),
            nbytes: 0,
            readonly: false,
            element: Element::None,
            kind: Kind::Nothing,
            keep: Keep::Nothing,
        }
    }

    fn constant(addr: *mut c_void) -> Self {
        Self { addr, kind: Kind::Constant, ..Self::nothing() }
    }
}

/// The memory of an object. `None` is for the caller to look at: only some places allow it.
pub(crate) fn acquire(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Memory> {
    if let Some(memory) = numpy::acquire(object, access) {
        return memory;
    }
    general(object, access)
}

/// All other kinds of objects than NumPy's arrays.
fn general(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Memory> {
    let bytes = view::is_bytes(object);
    if !bytes && let Some(addr) = special::address(object) {
        return Ok(Memory::constant(addr));
    }
    if bytes || view::speaks(object) {
        let view = View::get(object, access).map_err(|error| explain(object, access, error))?;
        return Ok(Memory {
            addr: view.addr(),
            nbytes: view.nbytes(),
            readonly: view.readonly(),
            element: Element::from_format(view.format(), view.itemsize()),
            kind: if view::is_part(object) { Kind::Part } else { Kind::Whole },
            keep: Keep::View(view),
        });
    }
    if let Some(memory) = dlpack::acquire(object, access)? {
        return Ok(memory);
    }
    if let Some(memory) = cai::acquire(object, access)? {
        return Ok(memory);
    }
    Err(expected("a buffer (an array, bytes ...), or a list or tuple with a buffer", object))
}

/// The error for an object that has the protocol and refuses.
fn explain(object: &Bound<'_, PyAny>, access: Access, error: PyErr) -> PyErr {
    let py = object.py();
    let plain = error.value(py).to_string();
    let hint = if access == Access::Write && View::get(object, Access::Read).is_ok() {
        "the buffer is read-only, and MPI is to write into it"
    } else if plain.contains("contiguous") {
        "the buffer is not contiguous: copy it (numpy.ascontiguousarray) or describe it with a datatype"
    } else if plain.contains("dtype") {
        "MPI has no datatype for these elements: send dates as integers (a.view('i8')), or send() the array as an object"
    } else {
        return error;
    };
    PyBufferError::new_err(format!("{hint} ({plain})"))
}
