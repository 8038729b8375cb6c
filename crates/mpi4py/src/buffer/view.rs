//! The buffer protocol: one export of an object's memory, given back when dropped.

use super::Access;
use super::strided::Spread;
use mpi_abi::Count;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

/// An export. The structure has a fixed place: objects may point into it.
pub(crate) struct View(NonNull<ffi::Py_buffer>);

/// One unused structure, so that a blocking call does not allocate.
///
/// Only read and written with the interpreter held.
static SPARE: AtomicPtr<ffi::Py_buffer> = AtomicPtr::new(ptr::null_mut());

// SAFETY: an export may be used and given back by any thread that holds the interpreter; `View` is
// made, read and dropped only by code that does.
unsafe impl Send for View {}
// SAFETY: as above; there is no method that changes it.
unsafe impl Sync for View {}

impl View {
    /// Asks the object for its memory, in one piece. `Err` is the object's own error.
    pub(crate) fn get(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Self> {
        Self::export(object, access, ffi::PyBUF_ANY_CONTIGUOUS | ffi::PyBUF_FORMAT)
    }

    /// As [`Self::get`], in any number of pieces at regular distances.
    pub(crate) fn with_strides(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Self> {
        Self::export(object, access, ffi::PyBUF_STRIDES | ffi::PyBUF_FORMAT)
    }

    fn export(object: &Bound<'_, PyAny>, access: Access, mut flags: c_int) -> PyResult<Self> {
        if access == Access::Write {
            flags |= ffi::PyBUF_WRITABLE;
        }
        let spare = NonNull::new(SPARE.load(Ordering::Relaxed));
        SPARE.store(ptr::null_mut(), Ordering::Relaxed);
        let place = spare.unwrap_or_else(|| NonNull::from(Box::leak(Box::new(ffi::Py_buffer::new()))));
        let view = Self(place);
        // SAFETY: a live object, a structure that nobody uses, the interpreter held.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), place.as_ptr(), flags) } != 0 {
            let error = PyErr::fetch(object.py());
            // SAFETY: the structure is ours. Nothing was exported, so there is nothing to give back.
            unsafe { (*place.as_ptr()).obj = ptr::null_mut() };
            return Err(error);
        }
        Ok(view)
    }

    fn raw(&self) -> &ffi::Py_buffer {
        // SAFETY: the structure lives as long as `self` and is not changed after `get`.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn addr(&self) -> *mut c_void {
        self.raw().buf
    }

    pub(crate) fn nbytes(&self) -> isize {
        self.raw().len
    }

    pub(crate) fn itemsize(&self) -> isize {
        self.raw().itemsize
    }

    pub(crate) fn readonly(&self) -> bool {
        self.raw().readonly != 0
    }

    /// The size of each dimension. A view without dimensions has one element.
    pub(super) fn shape(&self) -> Vec<Count> {
        let raw = self.raw();
        if raw.shape.is_null() {
            // Simple exporters say nothing: one dimension.
            return vec![raw.len as Count / (raw.itemsize as Count).max(1)];
        }
        self.numbers(raw.shape)
    }

    /// Bytes from one element to the next in each dimension.
    pub(super) fn strides(&self) -> Vec<Count> {
        let raw = self.raw();
        if raw.strides.is_null() {
            return Spread::c_order(&self.shape(), raw.itemsize);
        }
        self.numbers(raw.strides)
    }

    fn numbers(&self, at: *const isize) -> Vec<Count> {
        let nd = usize::try_from(self.raw().ndim).unwrap_or(0);
        // SAFETY: lists of an export have a number for each dimension and live as long as it.
        (0..nd).map(|index| unsafe { *at.add(index) } as Count).collect()
    }

    /// The format of an element; bytes where the object says nothing.
    pub(crate) fn format(&self) -> &[u8] {
        let format = self.raw().format;
        if format.is_null() {
            return b"B";
        }
        // SAFETY: a format is a string that ends in NUL and lives as long as the export.
        unsafe { CStr::from_ptr(format) }.to_bytes()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer, or with a null object, which makes this do nothing;
        // the interpreter is held: views live in arguments of calls and in Python objects.
        unsafe { ffi::PyBuffer_Release(self.0.as_ptr()) };
        if SPARE.load(Ordering::Relaxed).is_null() {
            SPARE.store(self.0.as_ptr(), Ordering::Relaxed);
        } else {
            // SAFETY: from a Box in `get`, and in nobody's hands any more.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// Whether the object speaks the protocol.
pub(crate) fn speaks(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) != 0 }
}

/// Whether the object is of the commonest kinds that only the protocol serves: bytes, byte array.
pub(crate) fn is_bytes(object: &Bound<'_, PyAny>) -> bool {
    object.is_exact_instance_of::<PyByteArray>() || object.is_exact_instance_of::<PyBytes>()
}

/// Whether the object's memory may be a part of something bigger. Only of bytes, byte arrays and
/// `array.array` it is known that it is not.
pub(crate) fn is_part(object: &Bound<'_, PyAny>) -> bool {
    !(is_bytes(object) || object.get_type().name().is_ok_and(|name| name == "array"))
}
