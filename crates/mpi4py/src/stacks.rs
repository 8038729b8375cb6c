//! `mpiexec stack` shows where the Python threads of a rank are, whatever they do. Python's own faulthandler writes it,
//! in a signal handler that needs no interpreter, into a file of the engine's; until the signal comes this costs
//! nothing. Set up when MPI begins, and only under the engine's own mpiexec.

use crate::call::find;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::c_int;
use std::sync::Once;

/// `OXMPI_Open_stacks`.
type Open = unsafe extern "C" fn(*mut c_int) -> c_int;

/// Has Python write its stacks when it is asked. What does not work is left: it is only for reports.
pub(crate) fn serve(py: Python<'_>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(error) = register(py) {
            drop(error);
        }
    });
}

fn register(py: Python<'_>) -> PyResult<()> {
    let symbol = find(c"OXMPI_Open_stacks");
    if symbol.is_null() {
        return Ok(());
    }
    // SAFETY: a symbol of this name has this type: the engine documents it.
    let open: Open = unsafe { std::mem::transmute(symbol) };
    let mut signal = 0;
    // SAFETY: a local.
    let file = unsafe { open(&raw mut signal) };
    if file < 0 {
        return Ok(());
    }
    let options = PyDict::new(py);
    options.set_item("file", file)?;
    options.set_item("all_threads", true)?;
    py.import("faulthandler")?.call_method("register", (signal,), Some(&options))?;
    Ok(())
}
