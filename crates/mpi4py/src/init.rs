//! Start and end: `MPI_Init_thread` at import as `mpi4py.rc` says, `MPI_Finalize` when the process
//! ends, `MPI_Abort` when it ends because of an error. Chapter 11.2 of the standard.
//!
//! The end is a function registered with `Py_AtExit`: it runs after all Python code, so that
//! objects can still be freed by MPI calls in `atexit` functions and destructors.

use crate::call::{is_built_in, mpi, mpi_wait};
use crate::handle::{Handle, RawHandle};
use mpi_abi as abi;
use mpi_abi::consts::{
    MPI_COMM_SELF, MPI_COMM_WORLD, MPI_ERRORS_ABORT, MPI_ERRORS_ARE_FATAL, MPI_ERRORS_RETURN,
    MPI_MAX_LIBRARY_VERSION_STRING, MPI_SUCCESS, MPI_THREAD_FUNNELED, MPI_THREAD_MULTIPLE, MPI_THREAD_SERIALIZED,
    MPI_THREAD_SINGLE,
};
use mpi_abi::ffi::{self, MPI_Comm_errhandler_function};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

/// `rc.finalize`: whether the end of the process finalizes.
static FINALIZE: AtomicBool = AtomicBool::new(true);
/// Status of an abort at the end of the process; 0 for none.
static ABORT_STATUS: AtomicI32 = AtomicI32::new(0);
/// The error handler that `rc.errors` asks for, 0 for "leave the library's".
static ERRORS: AtomicUsize = AtomicUsize::new(0);
/// The same for communicators; not the same handle with every library.
static COMM_ERRORS: AtomicUsize = AtomicUsize::new(0);
/// Our own handler that stands for MPI_ERRORS_RETURN (see `return_aborts`), or 0.
static RETURNING: AtomicUsize = AtomicUsize::new(0);
/// Set when the interpreter has ended.
static GONE: AtomicBool = AtomicBool::new(false);

/// What the module needs of `mpi4py.rc`.
struct Options {
    initialize: bool,
    threads: bool,
    thread_level: c_int,
    finalize: bool,
    errors: Option<abi::Errhandler>,
    strided: bool,
}

impl Options {
    /// Reads `mpi4py.rc`; what it does not say is as mpi4py's documentation says.
    fn read(py: Python<'_>) -> PyResult<Self> {
        let rc = py.import("mpi4py").and_then(|package| package.getattr("rc")).ok();
        let get = |name: &str| match &rc {
            Some(rc) => rc.getattr_opt(name),
            None => Ok(None),
        };
        let flag = |name: &str, default: bool| -> PyResult<bool> {
            match get(name)? {
                Some(value) if !value.is_none() => value.is_truthy(),
                _ => Ok(default),
            }
        };
        let word = |name: &str, default: &str| -> PyResult<String> {
            match get(name)? {
                Some(value) if !value.is_none() => value.extract(),
                _ => Ok(default.to_owned()),
            }
        };
        let initialize = flag("initialize", true)?;
        let thread_level = match word("thread_level", "multiple")?.as_str() {
            "single" => MPI_THREAD_SINGLE,
            "funneled" => MPI_THREAD_FUNNELED,
            "serialized" => MPI_THREAD_SERIALIZED,
            "multiple" => MPI_THREAD_MULTIPLE,
            other => return Err(bad_option("thread_level", other, "single, funneled, serialized or multiple")),
        };
        let errors = match word("errors", "exception")?.as_str() {
            "default" => None,
            "exception" => Some(MPI_ERRORS_RETURN),
            "abort" => Some(MPI_ERRORS_ABORT),
            "fatal" => Some(MPI_ERRORS_ARE_FATAL),
            other => return Err(bad_option("errors", other, "default, exception, abort or fatal")),
        };
        Ok(Self {
            initialize,
            threads: flag("threads", true)?,
            thread_level,
            finalize: flag("finalize", initialize)?,
            errors,
            strided: flag("strided", false)?,
        })
    }
}

fn bad_option(name: &str, value: &str, allowed: &str) -> PyErr {
    PyValueError::new_err(format!("mpi4py.rc.{name} is '{value}', it must be {allowed}"))
}

/// What the import of the module does to MPI.
pub(crate) fn start(py: Python<'_>) -> PyResult<()> {
    let options = Options::read(py)?;
    crate::buffer::strided::set_always(options.strided);
    FINALIZE.store(options.finalize, Ordering::Relaxed);
    ERRORS.store(options.errors.map_or(0, abi::Errhandler::raw), Ordering::Relaxed);
    // SAFETY: `at_exit` is a function without arguments that does not need the interpreter.
    if unsafe { pyo3::ffi::Py_AtExit(Some(at_exit)) } != 0 {
        return Err(PyRuntimeError::new_err("cannot register the end of MPI: too many exit functions"));
    }
    if options.initialize && !initialized() {
        let level = if options.threads { options.thread_level } else { MPI_THREAD_SINGLE };
        init_thread(py, level)?;
    } else if is_active() {
        set_up(py)?;
    }
    Ok(())
}

fn init_thread(py: Python<'_>, required: c_int) -> PyResult<c_int> {
    let mut provided = MPI_THREAD_SINGLE;
    mpi_wait!(py, MPI_Init_thread(ptr::null_mut(), ptr::null_mut(), required, &raw mut provided))?;
    set_up(py)?;
    Ok(provided)
}

type Handling = extern "C" fn(*mut abi::Comm, *mut c_int);

/// An error handler that does nothing, so that the call returns its code.
extern "C" fn return_the_code(_comm: *mut abi::Comm, _code: *mut c_int) {}

/// Whether the library's MPI_ERRORS_RETURN ends the job: in Intel MPI 2021.18 the handles of ERRORS_RETURN and
/// ERRORS_ABORT stand for each other.
fn return_aborts(py: Python<'_>) -> PyResult<bool> {
    let (mut text, mut length) = ([0; MPI_MAX_LIBRARY_VERSION_STRING as usize], 0);
    mpi!(py, MPI_Get_library_version(text.as_mut_ptr(), &raw mut length))?;
    Ok(crate::args::text(&text).starts_with("Intel(R) MPI Library 2021."))
}

/// What is to be done once MPI runs.
fn set_up(py: Python<'_>) -> PyResult<()> {
    if let Some(mut handler) = error_handler() {
        if handler == MPI_ERRORS_RETURN && !is_built_in() && return_aborts(py)? {
            // SAFETY: the same calling convention; a function may take fewer arguments than it is given.
            let function = unsafe { std::mem::transmute::<Handling, MPI_Comm_errhandler_function>(return_the_code) };
            mpi!(py, MPI_Comm_create_errhandler(Some(function), &raw mut handler))?;
            RETURNING.store(handler.raw(), Ordering::Relaxed);
        }
        COMM_ERRORS.store(handler.raw(), Ordering::Relaxed);
        mpi!(py, MPI_Comm_set_errhandler(MPI_COMM_SELF, handler))?;
        mpi!(py, MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler))?;
    }
    if is_built_in() {
        crate::stacks::serve(py);
    }
    Ok(())
}

/// The error handler for objects that do not inherit one (windows, files, sessions).
pub(crate) fn error_handler() -> Option<abi::Errhandler> {
    match ERRORS.load(Ordering::Relaxed) {
        0 => None,
        raw => Some(abi::Errhandler::from_raw(raw)),
    }
}

/// Where our own handler stands for MPI_ERRORS_RETURN of communicators: exchanges the two.
pub(crate) fn swap_returning(handler: abi::Errhandler) -> abi::Errhandler {
    match RETURNING.load(Ordering::Relaxed) {
        0 => handler,
        own if handler == MPI_ERRORS_RETURN => abi::Errhandler::from_raw(own),
        own if handler.raw() == own => MPI_ERRORS_RETURN,
        _ => handler,
    }
}

/// The error handler for communicators.
pub(crate) fn comm_error_handler() -> Option<abi::Errhandler> {
    match COMM_ERRORS.load(Ordering::Relaxed) {
        0 => error_handler(),
        raw => Some(abi::Errhandler::from_raw(raw)),
    }
}

fn initialized() -> bool {
    let mut flag = 0;
    // SAFETY: may be called at any time; `flag` is a local.
    unsafe { ffi::MPI_Initialized(&raw mut flag) == MPI_SUCCESS && flag != 0 }
}

fn finalized() -> bool {
    let mut flag = 0;
    // SAFETY: may be called at any time; `flag` is a local.
    unsafe { ffi::MPI_Finalized(&raw mut flag) != MPI_SUCCESS || flag != 0 }
}

/// Between `MPI_Init` and `MPI_Finalize`.
pub(crate) fn is_active() -> bool {
    initialized() && !finalized()
}

/// After the end of the interpreter, when no Python code may run any more.
pub(crate) fn interpreter_is_gone() -> bool {
    GONE.load(Ordering::Acquire)
}

/// The body of the lower-case `free` methods: for what MPI still owns call `free`, for copies of
/// predefined handles only forget the handle.
pub(crate) fn free_quietly<T: Handle>(
    object: &T,
    predefined: impl Fn(T::Raw) -> bool,
    free: impl FnOnce() -> PyResult<()>,
) -> PyResult<()> {
    let raw = object.raw();
    if raw == T::NULL {
        return Ok(());
    }
    if predefined(raw) || !is_active() {
        object.slot().set(T::NULL);
        return Ok(());
    }
    debug_assert!(raw.bits() != 0);
    free()
}

/// The end of the process, after the interpreter's.
extern "C" fn at_exit() {
    GONE.store(true, Ordering::Release);
    if !is_active() {
        return;
    }
    let status = ABORT_STATUS.load(Ordering::Relaxed);
    if status != 0 && world_size() > 1 {
        // SAFETY: MPI is active. Ends the job: the other ranks wait for one that failed.
        unsafe { ffi::MPI_Abort(MPI_COMM_WORLD, status) };
    } else if FINALIZE.load(Ordering::Relaxed) {
        crate::comm::irecv::end();
        crate::buffer::made::end();
        // SAFETY: MPI is active, and this is the thread that ends the interpreter.
        unsafe { ffi::MPI_Finalize() };
    }
}

fn world_size() -> c_int {
    let mut size = 1;
    // SAFETY: called while MPI is active; `size` is a local.
    if unsafe { ffi::MPI_Comm_size(MPI_COMM_WORLD, &raw mut size) } == MPI_SUCCESS { size } else { 1 }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(Init, module)?)?;
    module.add_function(wrap_pyfunction!(Init_thread, module)?)?;
    module.add_function(wrap_pyfunction!(Finalize, module)?)?;
    module.add_function(wrap_pyfunction!(Query_thread, module)?)?;
    module.add_function(wrap_pyfunction!(Is_thread_main, module)?)?;
    module.add_function(wrap_pyfunction!(Is_initialized, module)?)?;
    module.add_function(wrap_pyfunction!(Is_finalized, module)?)?;
    module.add_function(wrap_pyfunction!(_set_abort_status, module)?)
}

/// Init() -> None
///
/// Start MPI.
#[pyfunction]
fn Init(py: Python<'_>) -> PyResult<()> {
    mpi_wait!(py, MPI_Init(ptr::null_mut(), ptr::null_mut()))?;
    set_up(py)
}

/// Init_thread(required: int = THREAD_MULTIPLE) -> int
///
/// Start MPI with threads and return the level of support.
#[pyfunction]
#[pyo3(signature = (required = MPI_THREAD_MULTIPLE))]
fn Init_thread(py: Python<'_>, required: c_int) -> PyResult<c_int> {
    init_thread(py, required)
}

/// Finalize() -> None
///
/// End MPI.
#[pyfunction]
fn Finalize(py: Python<'_>) -> PyResult<()> {
    if is_active() {
        crate::comm::irecv::end();
        crate::buffer::made::end();
    }
    mpi_wait!(py, MPI_Finalize())
}

/// Query_thread() -> int
///
/// Level of support for threads.
#[pyfunction]
fn Query_thread(py: Python<'_>) -> PyResult<c_int> {
    let mut provided = MPI_THREAD_SINGLE;
    mpi!(py, MPI_Query_thread(&raw mut provided))?;
    Ok(provided)
}

/// Is_thread_main() -> bool
///
/// Whether this thread is the one that started MPI.
#[pyfunction]
fn Is_thread_main(py: Python<'_>) -> PyResult<bool> {
    let mut flag = 0;
    mpi!(py, MPI_Is_thread_main(&raw mut flag))?;
    Ok(flag != 0)
}

/// Is_initialized() -> bool
///
/// Whether MPI was started.
#[pyfunction]
fn Is_initialized() -> bool {
    initialized()
}

/// Is_finalized() -> bool
///
/// Whether MPI was ended.
#[pyfunction]
fn Is_finalized() -> bool {
    finalized()
}

/// _set_abort_status(status: int) -> None
///
/// End the job with this status when the process ends; the package calls it after an uncaught exception.
#[pyfunction]
fn _set_abort_status(status: c_int) {
    ABORT_STATUS.store(status, Ordering::Relaxed);
}
