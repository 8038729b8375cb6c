//! Memory of operations that nobody waits for: `comm.Isend(...)` whose request was thrown away, or
//! `Request.Free` on one that still runs. The memory must not go while MPI uses it, so it moves here
//! and is let go when its operation is over, which is looked at whenever another one comes.
//!
//! Only `MPI_Request_get_status` is used on the handles, which does not complete the request: a copy of the
//! handle (`fromhandle`, C code) may exist. A request that was freed cannot be asked any more: its memory stays.

use super::Owner;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_REQUEST_NULL, MPI_STATUS_IGNORE, MPI_SUCCESS};
use mpi_abi::ffi;
use std::sync::{Mutex, PoisonError};

static ORPHANS: Mutex<Vec<(abi::Request, Owner)>> = Mutex::new(Vec::new());

/// Takes over what a request owned that is about to be forgotten. The interpreter is held.
pub(super) fn adopt(request: abi::Request, owner: Owner) {
    if request == MPI_REQUEST_NULL || matches!(owner, Owner::None | Owner::Shared(_)) || !crate::init::is_active() {
        return;
    }
    if is_over(request) {
        return;
    }
    let mut orphans = ORPHANS.lock().unwrap_or_else(PoisonError::into_inner);
    let over: Vec<_> = orphans.extract_if(.., |(request, _)| is_over(*request)).collect();
    orphans.push((request, owner));
    drop(orphans);
    // Outside the lock: freeing an object can run any code.
    drop(over);
}

/// After `MPI_Request_free` on an operation that was under way: nobody can tell when it is over, so
/// its memory stays for ever.
pub(super) fn lost(owner: Owner) {
    std::mem::forget(owner);
}

/// Whether the operation is over, or not started (a persistent request).
pub(super) fn is_over(request: abi::Request) -> bool {
    let mut flag = 0;
    // SAFETY: MPI is active; the handle is a value that the library checks; `flag` is a local.
    unsafe { ffi::MPI_Request_get_status(request, &raw mut flag, MPI_STATUS_IGNORE) != MPI_SUCCESS || flag != 0 }
}
