//! Where in the program MPI was called, and how many Python threads there are: what the engine's reports
//! (a job that stands still, `mpiexec --check`) want to know. Asked by the engine, through `call.rs`, when a
//! wait has lasted a quarter of a second, or at every call with `--check`; never on the way of a message.

use pyo3::ffi;
use pyo3::prelude::*;
use std::path::Path;

/// `file:line` of the innermost frame that is not part of this package.
pub(crate) fn place(py: Python<'_>) -> Option<String> {
    quietly(py, |py| {
        // SAFETY: the interpreter is held (`py`); null or a frame that lives as long as its function runs.
        let innermost = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast()) };
        let innermost = innermost?;
        let mut frame = innermost.clone();
        while is_ours(&frame) {
            match frame.getattr("f_back").ok().filter(|back| !back.is_none()) {
                Some(back) => frame = back,
                None => return describe(&innermost),
            }
        }
        describe(&frame)
    })
}

/// Whether the frame runs a module of this package (`mpi4py.futures`, say, or `mpi4py.util.pkl5`).
fn is_ours(frame: &Bound<'_, PyAny>) -> bool {
    let name = frame.getattr("f_globals").and_then(|globals| globals.get_item("__name__"));
    let Ok(name) = name.and_then(|name| name.extract::<String>()) else { return false };
    name == "mpi4py" || name.starts_with("mpi4py.")
}

fn describe(frame: &Bound<'_, PyAny>) -> Option<String> {
    let file: String = frame.getattr("f_code").ok()?.getattr("co_filename").ok()?.extract().ok()?;
    let line: u32 = frame.getattr("f_lineno").ok()?.extract().ok()?;
    // As the user names it, where that is from here.
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| Path::new(&file).strip_prefix(here).ok()).and_then(Path::to_str);
    Some(format!("{}:{line}", short.unwrap_or(&file)))
}

/// Python's threads, also those that `threading` did not start; none if a handler of a signal may interfere.
pub(crate) fn threads(py: Python<'_>) -> Option<usize> {
    quietly(py, |py| {
        if has_handlers(py)? {
            return None;
        }
        py.import("sys").ok()?.call_method0("_current_frames").ok()?.len().ok()
    })
}

/// Whether the program has a handler for a signal, which runs also while MPI waits, and may do anything.
fn has_handlers(py: Python<'_>) -> Option<bool> {
    /// Numbers of signals on Linux.
    const SIGNALS: std::ops::RangeInclusive<i32> = 1..=64;
    let module = py.import("_signal").ok()?;
    let (get, usual) = (module.getattr("getsignal").ok()?, module.getattr("default_int_handler").ok()?);
    let is_own = |number: i32| match get.call1((number,)) {
        // A number stands for what the system does, None for a handler that is not Python's.
        Ok(handler) => handler.is_callable() && !handler.is(&usual),
        Err(_) => false,
    };
    Some(SIGNALS.into_iter().any(is_own))
}

/// Runs `ask` without touching an exception that is under way.
fn quietly<R>(py: Python<'_>, ask: impl FnOnce(Python<'_>) -> Option<R>) -> Option<R> {
    let pending = PyErr::take(py);
    let answer = ask(py);
    drop(PyErr::take(py));
    if let Some(pending) = pending {
        pending.restore(py);
    }
    answer
}
