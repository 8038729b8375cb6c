//! What a completed operation reports (MPI-5.0 section 3.2.5), and what a wait is about, for the rank's
//! status page.

use mpi_abi::consts::{MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_PROC_NULL, MPI_SUCCESS};
use std::ffi::c_int;

pub use shm::calls::Call;

const _: () = assert!(shm::calls::ANY_TAG == MPI_ANY_TAG, "status pages hold tags as they are");

/// The engine's form of `MPI_Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Rank of the sender in the communicator.
    pub source: c_int,
    /// Tag of the message.
    pub tag: c_int,
    /// Error class of the operation.
    pub error: c_int,
    /// Bytes that were received.
    pub bytes: u64,
    /// Whether the operation was cancelled.
    pub cancelled: bool,
}

impl Status {
    /// The empty status: of inactive requests and of sends.
    pub const EMPTY: Self =
        Self { source: MPI_ANY_SOURCE, tag: MPI_ANY_TAG, error: MPI_SUCCESS, bytes: 0, cancelled: false };

    /// What a receive from, or a probe of, `MPI_PROC_NULL` reports.
    pub const PROC_NULL: Self = Self { source: MPI_PROC_NULL, ..Self::EMPTY };
}

/// What a wait is about: goes to the status page when the rank falls asleep.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// The call.
    pub call: Call,
    /// World rank waited for, -1 = any, -2 = all of the communicator.
    pub peer: i32,
    /// Tag, or `MPI_ANY_TAG`.
    pub tag: c_int,
    /// Context of the communicator.
    pub context: u32,
    /// World rank that has to do something next, -1 = not known: where it runs decides how we wait.
    pub next: i32,
    /// The request that is waited for, 0 = none, or several.
    pub raw: usize,
}

impl Waiting {
    /// A wait of `call` for a message from or to world rank `peer`, -1 = any.
    #[inline]
    pub const fn message(call: Call, peer: i32, tag: c_int, context: u32) -> Self {
        Self { call, peer, tag, context, next: peer, raw: 0 }
    }

    /// A wait of `call` for anybody, on no communicator in particular.
    pub const fn anybody(call: Call) -> Self {
        Self { call, peer: -1, tag: MPI_ANY_TAG, context: u32::MAX, next: -1, raw: 0 }
    }

    /// The same, of the request `raw`.
    #[inline]
    pub const fn on(self, raw: usize) -> Self {
        Self { raw, ..self }
    }
}
