//! Calls into the MPI library: the one place that gives the interpreter up, checks the code and
//! turns it into an exception. Everything else in this crate calls through [`mpi!`] and [`mpi_wait!`].
//!
//! A function that can wait is called in one of two ways. The built-in engine knows the hooks of
//! [`install_hooks`]: the call is made with the interpreter held, and only when the engine is about
//! to put the thread to sleep it asks us to give it up (a small message never pays for that). Any
//! other library gets the interpreter given up around the whole call.
//!
//! What a thread is doing is in two thread-local cells: `INSIDE`, a call made with the interpreter
//! held is under way; `SAVED`, the thread state, while the engine sleeps inside such a call.

use crate::error;
use mpi_abi as abi;
use mpi_abi::consts::MPI_SUCCESS;
use pyo3::ffi as py;
use pyo3::prelude::*;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Calls an MPI function that answers at once; the interpreter stays held.
///
/// Pointers among the arguments come from references to locals or from a [`Msg`](crate::buffer::Msg),
/// both alive until the call is over; handles are plain values that the library checks.
macro_rules! mpi {
    ($py:expr, $function:ident($($arg:expr),* $(,)?)) => {{
        // SAFETY: see the macro's description; each caller passes what the function's prototype asks for.
        let code = unsafe { ::mpi_abi::ffi::$function($($arg),*) };
        $crate::call::check($py, code)
    }};
}

/// Calls an MPI function that can wait for another process. As [`mpi!`], and no argument may be an
/// expression that touches Python: it may be evaluated without the interpreter.
macro_rules! mpi_wait {
    ($py:expr, $function:ident($($arg:expr),* $(,)?)) => {{
        let waiting = $crate::call::Waiting::enter($py);
        // SAFETY: as for `mpi!`; buffers are kept alive by the `Msg` in the calling function.
        let code = unsafe { ::mpi_abi::ffi::$function($($arg),*) };
        waiting.leave($py, code)
    }};
}

pub(crate) use {mpi, mpi_wait};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static SAVED: Cell<*mut py::PyThreadState> = const { Cell::new(ptr::null_mut()) };
}

/// Whether the library calls our hooks; set once, before the first call.
static HOOKED: AtomicBool = AtomicBool::new(false);
/// Whether the library is the built-in engine.
static BUILT_IN: AtomicBool = AtomicBool::new(false);

/// `OXMPI_Recv_or_mprobe` of the engine.
type RecvOrMprobe = unsafe extern "C" fn(
    *mut c_void,
    abi::Count,
    c_int,
    c_int,
    abi::Comm,
    *mut abi::Message,
    *mut abi::Status,
) -> c_int;

static RECV_OR_MPROBE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The engine's receive of small messages of unknown size; none with another library.
#[inline]
pub(crate) fn recv_or_mprobe() -> Option<RecvOrMprobe> {
    let function = RECV_OR_MPROBE.load(Ordering::Relaxed);
    // SAFETY: null, or the symbol of this name, which has this type: the engine documents it.
    unsafe { std::mem::transmute::<*mut c_void, Option<RecvOrMprobe>>(function) }
}

/// The library's datatype for the bytes of objects, as a bit pattern; see `object_type`.
static OBJECT_TYPE: AtomicUsize = AtomicUsize::new(0);

/// The datatype of pickled objects between two processes: the engine's own, so that a receive of numbers which gets one
/// can say so, else MPI_BYTE.
#[inline]
pub(crate) fn object_type() -> abi::Datatype {
    match OBJECT_TYPE.load(Ordering::Relaxed) {
        0 => abi::consts::MPI_BYTE,
        raw => abi::Datatype::from_raw(raw),
    }
}

/// Turns a return code into `Ok` or the exception to raise.
#[inline]
pub(crate) fn check(py: Python<'_>, code: c_int) -> PyResult<()> {
    if code == MPI_SUCCESS { Ok(()) } else { Err(error::raise(py, code)) }
}

/// A call that can wait: between `enter` and `leave` other Python threads may run.
pub(crate) enum Waiting {
    /// Interpreter held, hooks give it up; the value is what `INSIDE` was.
    Held(bool),
    /// Interpreter given up.
    Released(*mut py::PyThreadState),
}

impl Waiting {
    #[inline]
    pub(crate) fn enter(_py: Python<'_>) -> Self {
        if HOOKED.load(Ordering::Relaxed) {
            Self::Held(INSIDE.replace(true))
        } else {
            // SAFETY: `_py` shows that this thread holds the interpreter; `leave` takes it back.
            Self::Released(unsafe { py::PyEval_SaveThread() })
        }
    }

    #[inline]
    pub(crate) fn leave(self, py: Python<'_>, code: c_int) -> PyResult<()> {
        match self {
            Self::Held(before) => INSIDE.set(before),
            // SAFETY: the state is the one `enter` got from PyEval_SaveThread on this thread.
            Self::Released(state) => unsafe { py::PyEval_RestoreThread(state) },
        }
        check(py, code)
    }
}

/// Python code called from within an MPI call (operations, error handlers, attributes): takes the
/// interpreter, whatever the thread was doing, and gives it back when dropped.
pub(crate) struct Callback {
    gil: py::PyGILState_STATE,
    inside: bool,
    saved: *mut py::PyThreadState,
}

impl Callback {
    /// `None` when the interpreter is gone or going (a callback during `MPI_Finalize` at exit).
    pub(crate) fn enter() -> Option<Self> {
        // SAFETY: may be called without the interpreter and at any time.
        if unsafe { py::Py_IsInitialized() } == 0 || crate::init::interpreter_is_gone() {
            return None;
        }
        // SAFETY: the interpreter exists; balanced in `drop` on the same thread.
        let gil = unsafe { py::PyGILState_Ensure() };
        Some(Self { gil, inside: INSIDE.replace(false), saved: SAVED.replace(ptr::null_mut()) })
    }

    /// The token for the time of the callback.
    pub(crate) fn python(&self) -> Python<'_> {
        // SAFETY: `enter` took the interpreter and `self` gives it back only when dropped.
        unsafe { Python::assume_attached() }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        INSIDE.set(self.inside);
        SAVED.set(self.saved);
        // SAFETY: the state is from PyGILState_Ensure on this thread.
        unsafe { py::PyGILState_Release(self.gil) };
    }
}

/// The engine is about to sleep on this thread.
extern "C" fn block() {
    if INSIDE.get() && SAVED.get().is_null() {
        // SAFETY: `INSIDE` is set only by `Waiting::enter`, which holds the interpreter.
        SAVED.set(unsafe { py::PyEval_SaveThread() });
    }
}

/// The engine has something to return to its caller.
extern "C" fn unblock() {
    let state = SAVED.replace(ptr::null_mut());
    if !state.is_null() {
        // SAFETY: the state is the one `block` saved on this thread.
        unsafe { py::PyEval_RestoreThread(state) };
    }
}

/// Runs `body` with the interpreter on a thread that is inside of a call which may have given it up;
/// afterwards it is as it was, held if `body` says so. `None` if this thread is in no such call.
fn while_inside<R>(body: impl FnOnce(Python<'_>) -> (R, bool)) -> Option<R> {
    if !INSIDE.get() {
        return None;
    }
    let state = SAVED.replace(ptr::null_mut());
    if !state.is_null() {
        // SAFETY: the state is the one `block` saved on this thread.
        unsafe { py::PyEval_RestoreThread(state) };
    }
    INSIDE.set(false);
    // SAFETY: the interpreter is held: never given up, or taken back above.
    let (result, keep) = body(unsafe { Python::assume_attached() });
    INSIDE.set(true);
    if !keep && !state.is_null() {
        // SAFETY: held, as above.
        SAVED.set(unsafe { py::PyEval_SaveThread() });
    }
    Some(result)
}

/// A sleep was interrupted: run Python's signal handlers. Non-zero: one of them raised, give up.
extern "C" fn signals() -> c_int {
    let raised = while_inside(|_| {
        // SAFETY: the interpreter is held.
        let raised = unsafe { py::PyErr_CheckSignals() } != 0;
        (raised, raised)
    });
    c_int::from(raised.unwrap_or(false))
}

/// Asks Python something for the engine's reports, if this thread can.
fn ask<R>(question: impl FnOnce(Python<'_>) -> Option<R>) -> Option<R> {
    if crate::init::interpreter_is_gone() {
        None
    } else if INSIDE.get() {
        while_inside(|py| (question(py), false)).flatten()
    } else if holds_interpreter() {
        // SAFETY: just asked.
        question(unsafe { Python::assume_attached() })
    } else {
        None
    }
}

/// Whether this thread holds the interpreter. The function is not part of the stable ABI: without it, no.
fn holds_interpreter() -> bool {
    // SAFETY: the name ends with NUL; RTLD_DEFAULT searches what is loaded.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"PyGILState_Check".as_ptr()) };
    if symbol.is_null() {
        return false;
    }
    // SAFETY: Python's function of this name has this type, and may be called by any thread.
    let check: extern "C" fn() -> c_int = unsafe { std::mem::transmute(symbol) };
    check() != 0
}

/// Where the program called MPI: see `OXMPI_Set_site_hooks`.
extern "C" fn place(text: *mut c_char, room: c_int) -> c_int {
    let (Some(place), Ok(room)) = (ask(crate::site::place), usize::try_from(room)) else { return 0 };
    let bytes = &place.as_bytes()[place.len().saturating_sub(room)..];
    // SAFETY: the engine has `room` bytes there.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), text.cast(), bytes.len()) };
    c_int::try_from(bytes.len()).unwrap_or(0)
}

/// How many Python threads there are: see `OXMPI_Set_site_hooks`.
extern "C" fn threads() -> c_int {
    if crate::init::interpreter_is_gone() {
        // No thread but the caller runs Python any more, nor does any handler.
        return 1;
    }
    ask(crate::site::threads).and_then(|threads| c_int::try_from(threads).ok()).unwrap_or(0)
}

#[repr(C)]
struct SiteHooks {
    version: c_int,
    place: extern "C" fn(*mut c_char, c_int) -> c_int,
    threads: extern "C" fn() -> c_int,
}

#[repr(C)]
struct WaitHooks {
    version: c_int,
    block: extern "C" fn(),
    unblock: extern "C" fn(),
    signals: extern "C" fn() -> c_int,
}

/// Looks for the engine's hook function and hands it ours. Called once, when the module is loaded.
pub(crate) fn install_hooks() {
    static HOOKS: WaitHooks = WaitHooks { version: 1, block, unblock, signals };
    let symbol = find(c"OXMPI_Set_wait_hooks");
    if symbol.is_null() {
        return;
    }
    BUILT_IN.store(true, Ordering::Relaxed);
    RECV_OR_MPROBE.store(find(c"OXMPI_Recv_or_mprobe"), Ordering::Relaxed);
    // SAFETY: a symbol of this name has this type: the engine documents it; `HOOKS` is static.
    let set: extern "C" fn(*const WaitHooks) -> c_int = unsafe { std::mem::transmute(symbol) };
    HOOKED.store(set(&raw const HOOKS) == 0, Ordering::Relaxed);
    let symbol = find(c"OXMPI_Object_type");
    if !symbol.is_null() {
        // SAFETY: as above.
        let function: extern "C" fn() -> abi::Datatype = unsafe { std::mem::transmute(symbol) };
        OBJECT_TYPE.store(function().raw(), Ordering::Relaxed);
    }
    static SITE: SiteHooks = SiteHooks { version: 1, place, threads };
    let symbol = find(c"OXMPI_Set_site_hooks");
    if !symbol.is_null() {
        // SAFETY: as above.
        let set: extern "C" fn(*const SiteHooks) -> c_int = unsafe { std::mem::transmute(symbol) };
        set(&raw const SITE);
    }
}

/// An optional function of the engine, or null.
pub(crate) fn find(name: &std::ffi::CStr) -> *mut c_void {
    // SAFETY: the name ends with NUL; RTLD_DEFAULT searches what is loaded.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if symbol.is_null() { find_beside(name) } else { symbol }
}

/// The symbol in the library that `MPI_Init` comes from: the extension's own dependencies are not in
/// the global scope.
fn find_beside(name: &std::ffi::CStr) -> *mut c_void {
    // SAFETY: all zero is a valid Dl_info.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    let function = mpi_abi::ffi::MPI_Initialized as *const c_void;
    // SAFETY: the address is that of a function; `info` is ours.
    if unsafe { libc::dladdr(function, &raw mut info) } == 0 || info.dli_fname.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: dladdr gave the name; RTLD_NOLOAD only finds what is loaded already.
    let library = unsafe { libc::dlopen(info.dli_fname, libc::RTLD_NOW | libc::RTLD_NOLOAD) };
    if library.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the handle was just opened; the library stays loaded, this extension depends on it.
    unsafe {
        let symbol = libc::dlsym(library, name.as_ptr());
        libc::dlclose(library);
        symbol
    }
}

/// Whether the library in use is the built-in engine.
pub(crate) fn is_built_in() -> bool {
    BUILT_IN.load(Ordering::Relaxed)
}
