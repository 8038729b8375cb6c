//! What every exported function does around its implementation: is MPI initialised, catch a
//! panic, turn an error into a code (MPI-5.0 sections 9.3 and 11.4).
//!
//! The generated `gen/exports.rs` consists of calls of the macros below. Both symbols of a
//! function, `MPI_X` and `PMPI_X`, hold the call themselves: neither goes through the other, so a
//! profiling library that defines `MPI_X` and calls `PMPI_X` works (README.md in this crate).

use crate::errors;
use engine::Result;
use engine::errhandler::Object;
use mpi_abi::consts::MPI_SUCCESS;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs an implementation that needs MPI to be initialised. `name` and `object` matter only when
/// it fails.
#[inline(always)]
pub(crate) fn call(name: &'static str, object: Object, body: impl FnOnce() -> Result<()>) -> c_int {
    if engine::world::is_plain() || engine::world::enter(name) {
        run(name, object, body)
    } else {
        errors::not_ready(name)
    }
}

/// Runs an implementation that may be called before initialisation and after finalisation.
#[inline(always)]
pub(crate) fn call_anytime(name: &'static str, object: Object, body: impl FnOnce() -> Result<()>) -> c_int {
    if !engine::world::is_plain() {
        engine::world::enter(name);
    }
    run(name, object, body)
}

#[inline(always)]
fn run(name: &'static str, object: Object, body: impl FnOnce() -> Result<()>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => MPI_SUCCESS,
        Ok(Err(error)) => errors::raise(name, object, error),
        Err(panic) => errors::panicked(name, object, panic),
    }
}

/// Runs an implementation of the tools interface: its errors are returned, no handler is called.
#[inline(always)]
#[allow(dead_code, reason = "for the tools chapter")]
pub(crate) fn call_tool(name: &'static str, _: Object, body: impl FnOnce() -> Result<()>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => MPI_SUCCESS,
        Ok(Err(error)) => errors::tool_code(error),
        Err(panic) => errors::tool_code(errors::bug(name, panic)),
    }
}

/// Runs an implementation whose result is no error code; what a panic leaves is `fallback`.
#[inline(always)]
pub(crate) fn value<R>(fallback: R, body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// A value for [`value`] to fall back to.
pub(crate) trait Fallback {
    /// What the caller gets after a panic.
    const FALLBACK: Self;
}

macro_rules! fallbacks {
    ($($type:ty = $value:expr),* $(,)?) => {$(
        impl Fallback for $type {
            const FALLBACK: Self = $value;
        }
    )*};
}

// A null handle is an error wherever it is used; the numbers are what the standard has for "no value".
fallbacks! {
    c_int = mpi_abi::consts::MPI_UNDEFINED,
    f64 = 0.0,
    mpi_abi::Aint = 0,
    mpi_abi::Comm = mpi_abi::consts::MPI_COMM_NULL,
    mpi_abi::Datatype = mpi_abi::consts::MPI_DATATYPE_NULL,
    mpi_abi::Errhandler = mpi_abi::consts::MPI_ERRHANDLER_NULL,
    mpi_abi::File = mpi_abi::consts::MPI_FILE_NULL,
    mpi_abi::Group = mpi_abi::consts::MPI_GROUP_NULL,
    mpi_abi::Info = mpi_abi::consts::MPI_INFO_NULL,
    mpi_abi::Message = mpi_abi::consts::MPI_MESSAGE_NULL,
    mpi_abi::Op = mpi_abi::consts::MPI_OP_NULL,
    mpi_abi::Request = mpi_abi::consts::MPI_REQUEST_NULL,
    mpi_abi::Session = mpi_abi::consts::MPI_SESSION_NULL,
    mpi_abi::Win = mpi_abi::consts::MPI_WIN_NULL,
}

/// One exported function and its `PMPI_` twin, which need MPI to be initialised.
macro_rules! export {
    ($mpi:ident $pmpi:ident ($($arg:ident: $type:ty),*) $object:expr => $body:expr) => {
        crate::guard::export!(@ call $mpi [$mpi $pmpi] ($($arg: $type),*) $object => $body);
    };
    (@ $guard:ident $name:ident [$($symbol:ident)*] $args:tt $object:expr => $body:expr) => {
        $(crate::guard::export!(@@ $guard $name $symbol $args $object => $body);)*
    };
    (@@ $guard:ident $name:ident $symbol:ident ($($arg:ident: $type:ty),*) $object:expr => $body:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $symbol($($arg: $type),*) -> c_int {
            crate::guard::$guard(stringify!($name), $object, || {
                // SAFETY: the implementation asks for what the standard asks of the caller, and gets the
                // caller's arguments unchanged.
                unsafe { $body }
            })
        }
    };
}

/// The same, callable before initialisation and after finalisation.
macro_rules! export_anytime {
    ($mpi:ident $pmpi:ident $args:tt $object:expr => $body:expr) => {
        crate::guard::export!(@ call_anytime $mpi [$mpi $pmpi] $args $object => $body);
    };
}

/// A function of the tools interface.
#[allow(unused_macros, reason = "for the tools chapter")]
macro_rules! export_tool {
    ($mpi:ident $pmpi:ident $args:tt $object:expr => $body:expr) => {
        crate::guard::export!(@ call_tool $mpi [$mpi $pmpi] $args $object => $body);
    };
}

/// A function that returns a value instead of an error code.
macro_rules! export_value {
    ($mpi:ident $pmpi:ident $args:tt -> $result:ty => $body:expr) => {
        crate::guard::export_value!(@ $mpi $args $result => $body);
        crate::guard::export_value!(@ $pmpi $args $result => $body);
    };
    (@ $symbol:ident ($($arg:ident: $type:ty),*) $result:ty => $body:expr) => {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $symbol($($arg: $type),*) -> $result {
            crate::guard::value(<$result as crate::guard::Fallback>::FALLBACK, || {
                // SAFETY: as in `export!`.
                unsafe { $body }
            })
        }
    };
}

/// A function that is not implemented: MPI_ERR_UNSUPPORTED_OPERATION through the error handler.
macro_rules! export_missing {
    ($mpi:ident $pmpi:ident $args:tt $object:expr) => {
        crate::guard::export_missing!(@ $mpi $mpi $args $object);
        crate::guard::export_missing!(@ $mpi $pmpi $args $object);
    };
    (@ $name:ident $symbol:ident ($($arg:ident: $type:ty),*) $object:expr) => {
        #[unsafe(no_mangle)]
        #[allow(unused_variables, reason = "the arguments of a function that does nothing")]
        unsafe extern "C" fn $symbol($($arg: $type),*) -> c_int {
            crate::errors::missing(stringify!($name), $object)
        }
    };
}

/// The same for the tools interface, which calls no handler.
macro_rules! export_missing_tool {
    ($mpi:ident $pmpi:ident $args:tt) => {
        crate::guard::export_missing_tool!(@ $mpi $args);
        crate::guard::export_missing_tool!(@ $pmpi $args);
    };
    (@ $symbol:ident ($($arg:ident: $type:ty),*)) => {
        #[unsafe(no_mangle)]
        #[allow(unused_variables, reason = "the arguments of a function that does nothing")]
        unsafe extern "C" fn $symbol($($arg: $type),*) -> c_int {
            crate::errors::missing_tool()
        }
    };
}

pub(crate) use export_missing_tool;
#[allow(unused_imports, reason = "for the tools chapter")]
pub(crate) use export_tool;
pub(crate) use {export, export_anytime, export_missing, export_value};
