//! From one Python object to its memory. The order: NumPy arrays directly, the constants `BOTTOM`
//! and `IN_PLACE`, the buffer protocol, DLPack, the CUDA array interface.

use super::infer::{self, Found};
use super::made::Typed;
use super::object::Buffer;
use super::strided::Spread;
use super::{Keep, View, ctypes, device, numpy, record, strided, view};
use crate::args::expected;
use crate::special;
use mpi_abi::Datatype;
use mpi_abi::consts::MPI_BYTE;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PyType};
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
    /// What a dtype of NumPy says: fields, text, another byte order.
    Dtype(Py<PyAny>),
    /// A structure or union of ctypes.
    Ctypes(Py<PyType>),
    /// A format that is no datatype of MPI, and the size of an element.
    Format(Box<str>, isize),
    /// There are no elements (`None`, `BOTTOM`, `IN_PLACE`).
    None,
}

impl Element {
    /// The datatype, or the error that says what to do instead.
    pub(crate) fn typed(&self, py: Python<'_>) -> PyResult<Typed> {
        match self {
            Self::Type(datatype) => Ok((*datatype).into()),
            Self::Dtype(dtype) => record::of_dtype(dtype.bind(py)),
            Self::Ctypes(class) => ctypes::of_class(class.bind(py)),
            Self::Format(format, size) => record::of_format(py, format, *size),
            Self::None => Err(pyo3::exceptions::PyKeyError::new_err(
                "cannot infer the MPI datatype: there is no memory to look at, say [buffer, count, datatype]",
            )),
        }
    }

    /// From a format of the buffer protocol.
    pub(super) fn from_format(format: &[u8], itemsize: isize) -> Self {
        match infer::by_format(format, itemsize) {
            Found::Type(datatype) => Self::Type(datatype),
            _ => Self::Format(String::from_utf8_lossy(format).into(), itemsize),
        }
    }

    /// From an export of the buffer protocol. Where the format does not say all, the object is asked.
    pub(super) fn of_view(object: &Bound<'_, PyAny>, view: &View) -> Self {
        let (format, itemsize) = (view.format(), view.itemsize());
        let plain = Self::from_format(format, itemsize);
        if matches!(plain, Self::Type(_)) && (itemsize == 1 || format != b"B") {
            return plain;
        }
        let mut owner = object.clone();
        while owner.is_exact_instance_of::<PyMemoryView>() {
            let Ok(next) = owner.getattr(pyo3::intern!(owner.py(), "obj")) else { return plain };
            owner = next;
        }
        if let Some(class) = ctypes::class_of(&owner) {
            return Self::Ctypes(class.unbind());
        }
        match numpy::dtype_of(&owner) {
            Some((dtype, size)) if size == itemsize => Self::Dtype(dtype.unbind()),
            _ => plain,
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
    /// A part of memory of which it is known how far it goes, in bytes before and after the first byte of the part.
    Within(isize, isize),
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
    general(object, access, true)
}

/// As [`acquire`], also of devices that the library cannot reach: for who wants to know where it is.
pub(super) fn anywhere(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Memory> {
    numpy::acquire(object, access).unwrap_or_else(|| general(object, access, false))
}

/// All other kinds of objects than NumPy's arrays.
fn general(object: &Bound<'_, PyAny>, access: Access, reach: bool) -> PyResult<Memory> {
    let bytes = view::is_bytes(object);
    if !bytes && let Some(addr) = special::address(object) {
        return Ok(Memory::constant(addr));
    }
    if !bytes
        && let Ok(buffer) = object.cast_exact::<Buffer>()
        && let Some((addr, nbytes, device)) = buffer.get().on_device()
    {
        let readonly = buffer.get().is_readonly();
        if readonly && access == Access::Write {
            return Err(PyBufferError::new_err("the buffer is read-only, and MPI is to write into it"));
        }
        if reach {
            device::check(addr, nbytes, device)?;
        }
        let (element, kind) = (Element::Type(MPI_BYTE), Kind::Part);
        return Ok(Memory { addr, nbytes, readonly, element, kind, keep: Keep::Object(object.clone().unbind()) });
    }
    if bytes || view::speaks(object) {
        let view = match View::get(object, access) {
            Ok(view) => view,
            Err(error) => return refused(object, access, reach, error),
        };
        return Ok(Memory {
            addr: view.addr(),
            nbytes: view.nbytes(),
            readonly: view.readonly(),
            element: Element::of_view(object, &view),
            kind: if view::is_part(object) { Kind::Part } else { Kind::Whole },
            keep: Keep::View(view),
        });
    }
    if let Some(spread) = Spread::by_protocol(object, access)? {
        return if reach { spread.reachable()?.contiguous() } else { spread.contiguous() };
    }
    if strided::is_strided(object) {
        return Err(PyTypeError::new_err(
            "MPI.strided stands for a message; here memory in one piece is needed: make a copy \
             (numpy.ascontiguousarray), or describe the array that it is a part of with a datatype",
        ));
    }
    Err(expected("a buffer (an array, bytes ...), or a list or tuple with a buffer", object))
}

/// An object has the buffer protocol and refuses: it may have another one, else the error says what to do.
#[cold]
fn refused(object: &Bound<'_, PyAny>, access: Access, reach: bool, error: PyErr) -> PyResult<Memory> {
    // Classes derived from NumPy's: their elements may be dates or fields that the protocol has no format for.
    if let Some(plain) = numpy::base_view(object)
        && let Some(memory) = numpy::acquire(&plain, access)
    {
        return memory;
    }
    if let Ok(Some(spread)) = Spread::by_protocol(object, access) {
        return if reach { spread.reachable()?.contiguous() } else { spread.contiguous() };
    }
    Err(explain(object, access, error))
}

fn explain(object: &Bound<'_, PyAny>, access: Access, error: PyErr) -> PyErr {
    let py = object.py();
    let plain = error.value(py).to_string();
    let hint = if access == Access::Write && View::get(object, Access::Read).is_ok() {
        "the buffer is read-only, and MPI is to write into it"
    } else if plain.contains("contiguous") {
        numpy::NOT_CONTIGUOUS
    } else if plain.contains("dtype") {
        "MPI has no datatype for these elements: convert the array (a.astype(float)), or send() it as an object"
    } else {
        return error;
    };
    PyBufferError::new_err(format!("{hint} ({plain})"))
}
