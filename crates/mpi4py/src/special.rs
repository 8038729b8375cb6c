//! The address constants `BOTTOM`, `IN_PLACE` and `BUFFER_AUTOMATIC`: objects that stand where a
//! buffer is expected and compare equal to the address as an integer.

use mpi_abi::consts::{MPI_BOTTOM, MPI_BUFFER_AUTOMATIC, MPI_IN_PLACE};
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{c_int, c_void};

macro_rules! constants {
    ($($class:ident, $name:literal, $addr:ident, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            #[pyclass(module = "mpi4py.MPI", frozen)]
            pub(crate) struct $class;

            #[pymethods]
            impl $class {
                #[new]
                fn new() -> Self {
                    Self
                }

                fn __richcmp__(&self, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
                    compare($addr.addr(), other.is_instance_of::<Self>(), other, op)
                }

                fn __hash__(&self) -> isize {
                    $addr.addr().cast_signed()
                }

                fn __bool__(&self) -> bool {
                    !$addr.is_null()
                }

                fn __int__(&self) -> usize {
                    $addr.addr()
                }

                fn __repr__(&self) -> &'static str {
                    $name
                }

                fn __reduce__(&self) -> &'static str {
                    $name
                }
            }
        )*

        /// The address that an object stands for, if it is one of these.
        pub(crate) fn address(object: &Bound<'_, PyAny>) -> Option<*mut c_void> {
            $(if object.is_exact_instance_of::<$class>() {
                return Some($addr);
            })*
            None
        }

        /// Adds classes and constants.
        pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            $(module.add_class::<$class>()?;
            module.add($name, $class)?;)*
            Ok(())
        }
    };
}

constants! {
    BottomType, "BOTTOM", MPI_BOTTOM, "Type of `BOTTOM`.";
    InPlaceType, "IN_PLACE", MPI_IN_PLACE, "Type of `IN_PLACE`.";
    BufferAutomaticType, "BUFFER_AUTOMATIC", MPI_BUFFER_AUTOMATIC, "Type of `BUFFER_AUTOMATIC`.";
}

// Not in the macro: there the compiler does not see that the generated caller is unsafe code.
#[pymethods]
impl BottomType {
    /// # Safety
    /// Called by the interpreter with a structure to fill.
    unsafe fn __getbuffer__(_slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: the interpreter's structure; the memory has no bytes.
        unsafe { export_nothing(view, MPI_BOTTOM, flags) }
    }
}

#[pymethods]
impl InPlaceType {
    /// # Safety
    /// Called by the interpreter with a structure to fill.
    unsafe fn __getbuffer__(_slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: the interpreter's structure; the memory has no bytes.
        unsafe { export_nothing(view, MPI_IN_PLACE, flags) }
    }
}

#[pymethods]
impl BufferAutomaticType {
    /// # Safety
    /// Called by the interpreter with a structure to fill.
    unsafe fn __getbuffer__(_slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: the interpreter's structure; the memory has no bytes.
        unsafe { export_nothing(view, MPI_BUFFER_AUTOMATIC, flags) }
    }
}

#[pymethods]
impl BottomType {
    fn __index__(&self) -> usize {
        MPI_BOTTOM.addr()
    }
}

/// Whether an object says "in place": `IN_PLACE`, and `None` where a send buffer is expected.
#[inline]
pub(crate) fn is_in_place(object: &Bound<'_, PyAny>) -> bool {
    object.is_none() || object.is_exact_instance_of::<InPlaceType>()
}

fn compare(own: usize, same: bool, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
    let py = other.py();
    let equal = same || other.extract::<usize>().is_ok_and(|other| other == own);
    match op {
        CompareOp::Eq => Ok(equal.into_pyobject(py)?.to_owned().into_any().unbind()),
        CompareOp::Ne => Ok((!equal).into_pyobject(py)?.to_owned().into_any().unbind()),
        _ => Ok(py.NotImplemented()),
    }
}

/// Fills a view of no bytes at an address. It has no owner, so there is nothing to release.
///
/// # Safety
/// `view` is NULL or may be written.
unsafe fn export_nothing(view: *mut ffi::Py_buffer, addr: *mut c_void, flags: c_int) -> PyResult<()> {
    if view.is_null() {
        return Err(PyBufferError::new_err("no view to fill"));
    }
    // SAFETY: the caller's promise; a null owner is allowed.
    let code = unsafe { ffi::PyBuffer_FillInfo(view, std::ptr::null_mut(), addr, 0, 0, flags) };
    if code == 0 {
        Ok(())
    } else {
        // SAFETY: in this function an exception is set only when the interpreter is held.
        Err(PyErr::fetch(unsafe { Python::assume_attached() }))
    }
}
