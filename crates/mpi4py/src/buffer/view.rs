//! The buffer protocol: one export of an object's memory, given back when dropped.

use super::Access;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use std::ffi::{CStr, c_int, c_void};

/// An export. Not moved while Python may look at it: it lives in a `Box`.
pub(crate) struct View(ffi::Py_buffer);

// SAFETY: an export may be used and given back by any thread that holds the interpreter; `View` is
// made, read and dropped only by code that does.
unsafe impl Send for View {}
// SAFETY: as above; there is no method that changes it.
unsafe impl Sync for View {}

impl View {
    /// Asks the object for its memory, in one piece. `Err` is the object's own error.
    pub(crate) fn get(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Box<Self>> {
        let mut flags = ffi::PyBUF_ANY_CONTIGUOUS | ffi::PyBUF_FORMAT;
        if access == Access::Write {
            flags |= ffi::PyBUF_WRITABLE;
        }
        let mut view = Box::new(Self(ffi::Py_buffer::new()));
        // SAFETY: a live object, a Py_buffer that nobody has filled yet, the interpreter held.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view.0, flags as c_int) } != 0 {
            let error = PyErr::fetch(object.py());
            // Nothing was exported, so there is nothing to give back.
            view.0.obj = std::ptr::null_mut();
            return Err(error);
        }
        Ok(view)
    }

    pub(crate) fn addr(&self) -> *mut c_void {
        self.0.buf
    }

    pub(crate) fn nbytes(&self) -> isize {
        self.0.len
    }

    pub(crate) fn itemsize(&self) -> isize {
        self.0.itemsize
    }

    pub(crate) fn readonly(&self) -> bool {
        self.0.readonly != 0
    }

    /// The format of an element; bytes where the object says nothing.
    pub(crate) fn format(&self) -> &[u8] {
        if self.0.format.is_null() {
            return b"B";
        }
        // SAFETY: a format is a string that ends in NUL and lives as long as the export.
        unsafe { CStr::from_ptr(self.0.format) }.to_bytes()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer, or with a null object, which makes this do nothing;
        // the interpreter is held: views live in arguments of calls and in Python objects.
        unsafe { ffi::PyBuffer_Release(&raw mut self.0) };
    }
}

/// Whether the object speaks the protocol.
pub(crate) fn speaks(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) != 0 }
}

/// Whether the object's memory may be a part of something bigger. Only of bytes, byte arrays and
/// `array.array` it is known that it is not.
pub(crate) fn is_part(object: &Bound<'_, PyAny>) -> bool {
    !(object.is_exact_instance_of::<PyByteArray>()
        || object.is_exact_instance_of::<PyBytes>()
        || object.get_type().name().is_ok_and(|name| name == "array"))
}
