//! Generalized requests (MPI-5.0 section 13.2). The engine's part is `engine::request::grequest`; the user's
//! functions are called from here, always without the engine's lock.

use crate::args::{Out, null};
use crate::errors::returned;
use crate::request::give;
use engine::Result;
use engine::request::grequest::{self, Functions};
use mpi_abi::ffi;
use mpi_abi::{Request, Status};
use std::ffi::{c_int, c_void};
use std::mem::transmute;

pub(crate) unsafe fn MPI_Grequest_start(
    query_fn: Option<ffi::MPI_Grequest_query_function>,
    free_fn: Option<ffi::MPI_Grequest_free_function>,
    cancel_fn: Option<ffi::MPI_Grequest_cancel_function>,
    extra_state: *mut c_void,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    let functions = Functions {
        query: query_fn.ok_or_else(|| null("query_fn"))? as usize,
        free: free_fn.ok_or_else(|| null("free_fn"))? as usize,
        cancel: cancel_fn.ok_or_else(|| null("cancel_fn"))? as usize,
        extra: extra_state as usize,
    };
    give(&request, grequest::start(functions));
    Ok(())
}

pub(crate) unsafe fn MPI_Grequest_complete(request: Request) -> Result<()> {
    match grequest::complete(request.0)? {
        Some(functions) => free(&functions),
        None => Ok(()),
    }
}

/// The status that the user's function gives of a complete request, and whether it succeeded.
pub(crate) fn query(functions: &Functions) -> (Status, Result<()>) {
    let mut status = Status::empty();
    // SAFETY: the address is that of the function that the user gave to MPI_Grequest_start for this.
    let function = unsafe { transmute::<usize, ffi::MPI_Grequest_query_function>(functions.query) };
    // SAFETY: the function gets what the standard says, the status is a local.
    let code = unsafe { function(functions.extra as *mut c_void, &raw mut status) };
    (status, returned(code, || "the query function of a generalized request".to_owned()))
}

/// Tells the user that the request goes.
pub(crate) fn free(functions: &Functions) -> Result<()> {
    // SAFETY: the address is that of the function that the user gave to MPI_Grequest_start for this.
    let function = unsafe { transmute::<usize, ffi::MPI_Grequest_free_function>(functions.free) };
    // SAFETY: the function gets what the standard says; it is called once, since the request is gone.
    let code = unsafe { function(functions.extra as *mut c_void) };
    returned(code, || "the free function of a generalized request".to_owned())
}

/// Asks the user to cancel; `complete`: the operation is over already.
pub(crate) fn cancel(functions: &Functions, complete: bool) -> Result<()> {
    // SAFETY: the address is that of the function that the user gave to MPI_Grequest_start for this.
    let function = unsafe { transmute::<usize, ffi::MPI_Grequest_cancel_function>(functions.cancel) };
    // SAFETY: the function gets what the standard says.
    let code = unsafe { function(functions.extra as *mut c_void, c_int::from(complete)) };
    returned(code, || "the cancel function of a generalized request".to_owned())
}

/// A wait or test has completed the request: its status, and what went wrong. Of two errors the later one
/// is reported, as the standard has it.
pub(crate) fn end(functions: &Functions) -> (Status, Result<()>) {
    let (status, queried) = query(functions);
    (status, free(functions).and(queried))
}
