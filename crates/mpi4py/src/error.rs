//! `MPI.Exception` and how an error code becomes one. The class is written in Python
//! (`exception.py`, compiled in): the limited API cannot extend RuntimeError from here.
//! Chapter 9.4 and 9.5 of the standard; called by [`crate::call`] for every failed call.

use crate::call::{self, mpi};
use mpi_abi::consts::{MPI_ERR_UNKNOWN, MPI_ERR_UNSUPPORTED_OPERATION, MPI_MAX_ERROR_STRING, MPI_SUCCESS};
use mpi_abi::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};
use std::ffi::{CStr, CString, c_char, c_int};

static EXCEPTION: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static NOT_SUPPORTED: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// The exception for a code that is not `MPI_SUCCESS`.
///
/// A Python exception that is already set (a callback or a signal handler raised it, and the call
/// was given up for that) is what the caller sees.
#[cold]
pub(crate) fn raise(py: Python<'_>, code: c_int) -> PyErr {
    if let Some(pending) = PyErr::take(py) {
        return pending;
    }
    let class = class_of(code);
    let kind = if class == MPI_ERR_UNSUPPORTED_OPERATION && call::is_built_in() { &NOT_SUPPORTED } else { &EXCEPTION };
    match kind.get(py) {
        Some(kind) => match kind.bind(py).call1((code,)) {
            Ok(value) => PyErr::from_value(value),
            Err(error) => error,
        },
        None => pyo3::exceptions::PyRuntimeError::new_err(text_of(code)),
    }
}

/// Error class of a code; codes of a library that is not running are taken as classes.
pub(crate) fn class_of(code: c_int) -> c_int {
    let mut class = code;
    // SAFETY: `class` is a local; the function may be called at any time since MPI-4.0.
    if code == MPI_SUCCESS || unsafe { ffi::MPI_Error_class(code, &raw mut class) } != MPI_SUCCESS {
        return code;
    }
    class
}

/// Text of a code.
pub(crate) fn text_of(code: c_int) -> String {
    let mut text = [0 as c_char; MPI_MAX_ERROR_STRING as usize + 1];
    let mut length = 0;
    // SAFETY: `text` has the room that the standard asks for; the rest are locals.
    if unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr(), &raw mut length) } != MPI_SUCCESS {
        return format!("MPI error {code}");
    }
    // SAFETY: the last byte was never given away, so the text ends in NUL.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
}

/// Makes the exception classes and puts `Exception` into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let scope = PyDict::new(py);
    scope.set_item("__name__", "mpi4py.MPI")?;
    scope.set_item("SUCCESS", MPI_SUCCESS)?;
    scope.set_item("ERR_UNKNOWN", MPI_ERR_UNKNOWN)?;
    scope.set_item("index", py.import("operator")?.getattr("index")?)?;
    scope.set_item("error_class", wrap_pyfunction!(error_class, py)?)?;
    scope.set_item("error_string", wrap_pyfunction!(error_string, py)?)?;
    let source = CString::new(include_str!("exception.py"))?;
    py.run(&source, Some(&scope), None)?;
    let class = |name: &str| -> PyResult<Py<PyType>> {
        let found = scope.get_item(name)?.ok_or_else(|| pyo3::exceptions::PyImportError::new_err(name.to_owned()))?;
        Ok(found.cast_into::<PyType>()?.unbind())
    };
    let exception = class("Exception")?;
    module.add("Exception", &exception)?;
    let _ = EXCEPTION.set(py, exception);
    let _ = NOT_SUPPORTED.set(py, class("NotSupported")?);
    module.add_function(wrap_pyfunction!(Get_error_class, module)?)?;
    module.add_function(wrap_pyfunction!(Get_error_string, module)?)?;
    module.add_function(wrap_pyfunction!(Add_error_class, module)?)?;
    module.add_function(wrap_pyfunction!(Remove_error_class, module)?)?;
    module.add_function(wrap_pyfunction!(Add_error_code, module)?)?;
    module.add_function(wrap_pyfunction!(Remove_error_code, module)?)?;
    module.add_function(wrap_pyfunction!(Add_error_string, module)?)?;
    module.add_function(wrap_pyfunction!(Remove_error_string, module)?)
}

/// For `exception.py`: never fails, also before `MPI.Init()`.
#[pyfunction]
fn error_class(code: c_int) -> c_int {
    class_of(code)
}

/// For `exception.py`: never fails, also before `MPI.Init()`.
#[pyfunction]
fn error_string(code: c_int) -> String {
    text_of(code)
}

/// Get_error_class(errorcode: int) -> int
///
/// Convert an error code into an error class.
#[pyfunction]
fn Get_error_class(py: Python<'_>, errorcode: c_int) -> PyResult<c_int> {
    let mut class = MPI_SUCCESS;
    mpi!(py, MPI_Error_class(errorcode, &raw mut class))?;
    Ok(class)
}

/// Get_error_string(errorcode: int) -> str
///
/// Return the text that belongs to an error class or code.
#[pyfunction]
fn Get_error_string(py: Python<'_>, errorcode: c_int) -> PyResult<String> {
    // A code that the library does not know is an error of this call.
    let (mut text, mut len) = ([0; MPI_MAX_ERROR_STRING as usize], 0);
    mpi!(py, MPI_Error_string(errorcode, text.as_mut_ptr(), &raw mut len))?;
    Ok(text_of(errorcode))
}

/// Add_error_class() -> int
///
/// Add an error class to those that the library knows.
#[pyfunction]
fn Add_error_class(py: Python<'_>) -> PyResult<c_int> {
    let mut class = MPI_SUCCESS;
    mpi!(py, MPI_Add_error_class(&raw mut class))?;
    Ok(class)
}

/// Remove_error_class(errorclass: int) -> None
///
/// Remove an error class that was added.
#[pyfunction]
fn Remove_error_class(py: Python<'_>, errorclass: c_int) -> PyResult<()> {
    mpi!(py, MPI_Remove_error_class(errorclass))
}

/// Add_error_code(errorclass: int) -> int
///
/// Add an error code to an error class.
#[pyfunction]
fn Add_error_code(py: Python<'_>, errorclass: c_int) -> PyResult<c_int> {
    let mut code = MPI_SUCCESS;
    mpi!(py, MPI_Add_error_code(errorclass, &raw mut code))?;
    Ok(code)
}

/// Remove_error_code(errorcode: int) -> None
///
/// Remove an error code that was added.
#[pyfunction]
fn Remove_error_code(py: Python<'_>, errorcode: c_int) -> PyResult<()> {
    mpi!(py, MPI_Remove_error_code(errorcode))
}

/// Add_error_string(errorcode: int, string: str) -> None
///
/// Give an added error class or code its text.
#[pyfunction]
fn Add_error_string(py: Python<'_>, errorcode: c_int, string: &str) -> PyResult<()> {
    let string = CString::new(string)?;
    mpi!(py, MPI_Add_error_string(errorcode, string.as_ptr()))
}

/// Remove_error_string(errorcode: int) -> None
///
/// Take the text of an added error class or code away.
#[pyfunction]
fn Remove_error_string(py: Python<'_>, errorcode: c_int) -> PyResult<()> {
    mpi!(py, MPI_Remove_error_string(errorcode))
}
