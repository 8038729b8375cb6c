//! Generalized requests (MPI-5.0 section 13.2): operations of the user's own that complete when the user
//! says so. Their three functions are user code, which is never called from here: this file hands them
//! out, and the shim calls them without the engine's lock.

use super::{Request, Role, State};
use crate::payload::Payload;
use crate::{Error, Result, with};
use mpi_abi::consts::MPI_ERR_REQUEST;

/// Addresses of the functions that the user gave, and what they are called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Functions {
    /// Fills the status.
    pub query: usize,
    /// The request goes.
    pub free: usize,
    /// It should be cancelled.
    pub cancel: usize,
    /// First argument of all three.
    pub extra: usize,
}

impl Request {
    /// The functions of a generalized request.
    #[inline]
    pub(super) fn functions(&self) -> Option<Functions> {
        if let Role::General(functions) = self.role { Some(functions) } else { None }
    }
}

/// A request that [`complete`] completes (MPI_Grequest_start).
pub fn start(functions: Functions) -> usize {
    with(|e| {
        let comm = e.self_comm;
        e.requests.insert(Request::active(Role::General(functions), Payload::EMPTY, comm))
    })
}

/// The operation is over (MPI_Grequest_complete). If the request was freed before, its functions: the one
/// that frees is to be called now.
pub fn complete(raw: usize) -> Result<Option<Functions>> {
    with(|e| {
        let refuse = |text| Err(Error::new(MPI_ERR_REQUEST, text));
        let Some(request) = e.requests.get(raw) else { return Err(e.bad_request(raw)) };
        let freed = match (request.functions(), request.state) {
            (Some(functions), State::Active) => request.detached.then_some(functions),
            (Some(_), _) => return refuse("Grequest_complete of a generalized request that is complete already"),
            (None, _) => return refuse("Grequest_complete of a request that is not a generalized one"),
        };
        e.complete_request(raw);
        if e.sleepers.any() {
            e.wake_own_threads();
        }
        Ok(freed)
    })
}
