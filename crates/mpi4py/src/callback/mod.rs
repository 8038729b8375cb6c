//! Python functions that MPI calls: `Op.Create`, error handlers, attributes, generalized requests.
//!
//! | file | owns |
//! |---|---|
//! | `mod` | what they have in common, what the package needs at the end of the process |
//! | `table` | functions for callbacks that get no pointer of their own |
//! | `op` | reductions. Chapter 6.9 of the standard |
//! | `errhandler` | error handlers. Chapter 9.3 |
//! | `attr` | attributes. Chapter 7.7 |
//! | `grequest` | generalized requests. Chapter 13.2 |

pub(crate) mod attr;
pub(crate) mod errhandler;
mod grequest;
pub(crate) mod op;
mod table;

use mpi_abi::consts::MPI_ERR_OTHER;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::ffi::c_int;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_mixture(module.py())?;
    attr::register(module)?;
    module.add_function(wrap_pyfunction!(_set_uncaught, module)?)
}

/// The original mpi4py's package has imported this extension: both were put into one directory.
fn refuse_mixture(py: Python<'_>) -> PyResult<()> {
    if py.import("sys")?.getattr("modules")?.contains("mpi4py._mpiabi")? {
        return Err(PyImportError::new_err(
            "the files of the original mpi4py were installed over this package's: uninstall mpi4py and install \
             this package again",
        ));
    }
    Ok(())
}

/// _set_uncaught() -> None
///
/// Tell the launcher that the process ends because of an exception; the package calls it.
#[pyfunction]
fn _set_uncaught() {
    let symbol = crate::call::find(c"OXMPI_Set_uncaught");
    if !symbol.is_null() {
        // SAFETY: a symbol of this name has this type: the engine documents it.
        let set: extern "C" fn() = unsafe { std::mem::transmute(symbol) };
        set();
    }
}

/// A callback has raised: shows the traceback (the MPI function in between cannot carry it) and gives
/// the code to return.
fn code_of(py: Python<'_>, error: PyErr) -> c_int {
    let code = error.value(py).getattr("error_code").and_then(|code| code.extract::<c_int>());
    error.display(py);
    code.unwrap_or(MPI_ERR_OTHER)
}
