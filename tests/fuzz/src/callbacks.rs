//! Functions of the user that the library calls. Some succeed, some fail, some call MPI themselves.

use crate::child;
use std::ffi::{c_int, c_void};

/// What a callback returns: mostly success, else an error class or nonsense.
fn outcome() -> c_int {
    match child::dice(10) {
        0 => 13,
        1 => child::dice(1 << 20) as c_int - (1 << 19),
        _ => 0,
    }
}

fn maybe_call_mpi() {
    if child::dice(4) == 0 {
        child::nested_call();
    }
}

extern "C" fn copy_attr(
    _: *mut c_void,
    _: c_int,
    _: *mut c_void,
    value: *mut c_void,
    copy: *mut *mut c_void,
    flag: *mut c_int,
) -> c_int {
    maybe_call_mpi();
    let result = outcome();
    // SAFETY: the library gives addresses for both results.
    unsafe {
        copy.write(value);
        flag.write(c_int::from(child::dice(4) != 0));
    }
    result
}

extern "C" fn delete_attr(_: *mut c_void, _: c_int, _: *mut c_void, _: *mut c_void) -> c_int {
    maybe_call_mpi();
    outcome()
}

extern "C" fn error_handler(_: *mut c_void, _: *mut c_int) {
    maybe_call_mpi();
}

extern "C" fn operation(_: *mut c_void, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
    maybe_call_mpi();
}

extern "C" fn query(_: *mut c_void, _: *mut c_void) -> c_int {
    maybe_call_mpi();
    outcome()
}

extern "C" fn free(_: *mut c_void) -> c_int {
    maybe_call_mpi();
    outcome()
}

extern "C" fn cancel(_: *mut c_void, _: c_int) -> c_int {
    maybe_call_mpi();
    outcome()
}

/// The address to pass for a parameter of this kind; `which` chooses among several.
pub(crate) fn for_kind(kind: &str, which: usize) -> Option<u64> {
    let function = match kind {
        // MPI_*_NULL_COPY_FN and MPI_*_NULL_DELETE_FN are 0, MPI_*_DUP_FN is 1.
        "COMM_COPY_ATTR_FN" | "TYPE_COPY_ATTR_FN" | "WIN_COPY_ATTR_FN" | "COPY_FN" => match which % 4 {
            0 => 0,
            1 => 1,
            _ => copy_attr as *const () as usize,
        },
        "COMM_DELETE_ATTR_FN" | "TYPE_DELETE_ATTR_FN" | "WIN_DELETE_ATTR_FN" | "DELETE_FN" => {
            if which.is_multiple_of(4) { 0 } else { delete_attr as *const () as usize }
        }
        "COMM_ERRHANDLER_FN" | "FILE_ERRHANDLER_FN" | "WIN_ERRHANDLER_FN" | "SESSION_ERRHANDLER_FN" => {
            error_handler as *const () as usize
        }
        "USER_FN" => operation as *const () as usize,
        "QUERY_FN" => query as *const () as usize,
        "FREE_FN" => free as *const () as usize,
        "CANCEL_FN" => cancel as *const () as usize,
        _ => return None,
    };
    Some(function as u64)
}
