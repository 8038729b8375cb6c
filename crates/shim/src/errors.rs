//! From a failed implementation to what the C caller gets: whose error handler is called, and the
//! errors that arise around an implementation (not initialised, not implemented, a bug).
//!
//! Called by `guard.rs` and the generated exports. Which handler an object has and what a code
//! remembers is the engine's business, calling it that of `errhandler.rs` (MPI-5.0 section 9.3).

use crate::errhandler;
use engine::errhandler::Object;
use engine::world::Phase;
use engine::{Error, Result};
use mpi_abi::consts::{
    MPI_ERR_INTERN, MPI_ERR_OTHER, MPI_ERR_UNSUPPORTED_OPERATION, MPI_SUCCESS, MPI_T_ERR_NOT_SUPPORTED,
};
use mpi_abi::{Comm, File, Request, Session, Win};
use std::any::Any;
use std::cell::Cell;
use std::ffi::c_int;

macro_rules! behind_pointer {
    ($($name:ident $variant:ident $handle:ty),*) => {$(
        /// The object whose handle stands at `place`.
        #[inline(always)]
        #[allow(dead_code, reason = "for the chapters that are implemented later")]
        pub(crate) fn $name(place: *mut $handle) -> Object {
            if place.is_null() {
                return Object::Process;
            }
            // SAFETY: not null, so the C caller's handle argument points to a handle.
            Object::$variant(unsafe { place.read() })
        }
    )*};
}

behind_pointer!(comm_at Comm Comm, file_at File File, win_at Win Win, session_at Session Session);

thread_local! {
    static BLAMED: Cell<Option<Object>> = const { Cell::new(None) };
}

/// Gives `error` back and has the handler of `object` called for it, whatever the arguments of
/// the function say: for the communicator of a request that failed.
#[cold]
#[allow(dead_code, reason = "for the chapters that complete requests")]
pub(crate) fn blame(object: Object, error: Error) -> Error {
    BLAMED.set(Some(object));
    error
}

/// The same for the communicator that a request belongs to.
#[cold]
pub(crate) fn blame_request(request: Request, error: Error) -> Error {
    match engine::with(|e| e.requests.get(request.0).map(|request| request.comm)) {
        Some(comm) => blame(Object::Comm(Comm(comm)), error),
        None => error,
    }
}

/// Calls the error handler and gives the code to return.
#[cold]
#[inline(never)]
#[expect(clippy::needless_pass_by_value, reason = "so that its end is off the common path too")]
pub(crate) fn raise(name: &'static str, object: Object, error: Error) -> c_int {
    errhandler::raise(name, BLAMED.take().unwrap_or(object), &error)
}

/// What a function of the user returned, as a result; `what` names the function.
pub(crate) fn returned(code: c_int, what: impl FnOnce() -> String) -> Result<()> {
    match code {
        MPI_SUCCESS => Ok(()),
        _ if code < 0 => {
            let text = format!("{} returned {code}, which is no error code", what());
            Err(Error::new(MPI_ERR_OTHER, text))
        }
        // A class becomes a sentence; a code of the user's own, or one with a sentence, stays.
        _ => Err(Error::new(code, format!("{} failed", what()))),
    }
}

/// The code of an error of the tools interface, which calls no handler (section 15.3.10).
#[cold]
#[inline(never)]
#[expect(clippy::needless_pass_by_value, reason = "so that its end is off the common path too")]
#[allow(dead_code, reason = "for the tools chapter")]
pub(crate) fn tool_code(error: Error) -> c_int {
    error.class
}

/// A function that needs MPI was called before initialisation or after finalisation.
#[cold]
#[inline(never)]
pub(crate) fn not_ready(name: &'static str) -> c_int {
    let when = if engine::world::phase() == Phase::After { "after MPI_Finalize" } else { "before MPI_Init" };
    raise(name, Object::Process, Error::new(MPI_ERR_OTHER, format!("{name} was called {when}")))
}

/// A function that has no implementation.
#[cold]
#[inline(never)]
pub(crate) fn missing(name: &'static str, object: Object) -> c_int {
    let text = format!("{name} is not implemented in this version of oxmpi");
    raise(name, object, Error::new(MPI_ERR_UNSUPPORTED_OPERATION, text))
}

/// A function of the tools interface that has no implementation.
pub(crate) fn missing_tool() -> c_int {
    MPI_T_ERR_NOT_SUPPORTED
}

/// A bug: the implementation panicked. The panic's own message is on standard error already.
#[cold]
#[inline(never)]
pub(crate) fn panicked(name: &'static str, object: Object, panic: Box<dyn Any + Send>) -> c_int {
    raise(name, object, bug(name, panic))
}

/// The error that stands for a panic.
#[cold]
#[expect(clippy::needless_pass_by_value, reason = "so that its end is off the common path too")]
pub(crate) fn bug(name: &'static str, panic: Box<dyn Any + Send>) -> Error {
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::new(MPI_ERR_INTERN, format!("{name} failed by a bug in oxmpi: {said}"))
}
