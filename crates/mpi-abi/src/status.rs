//! `MPI_Status`: what a receive or a probe found. 32 bytes, the first three fields public in C.

use crate::consts::{MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_SUCCESS};
use core::ffi::c_int;
use core::mem::offset_of;

/// `MPI_Status`. The meaning of `MPI_internal` belongs to the library that filled it.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(non_snake_case, reason = "the field names of the C structure")]
pub struct Status {
    /// Rank of the sender.
    pub MPI_SOURCE: c_int,
    /// Tag of the message.
    pub MPI_TAG: c_int,
    /// Error code; set only by calls that complete several requests.
    pub MPI_ERROR: c_int,
    /// The library's own.
    pub MPI_internal: [c_int; 5],
}

impl Status {
    /// The empty status of the standard (section 3.7.3): any source, any tag, success, zero elements.
    #[must_use]
    pub const fn empty() -> Self {
        Self { MPI_SOURCE: MPI_ANY_SOURCE, MPI_TAG: MPI_ANY_TAG, MPI_ERROR: MPI_SUCCESS, MPI_internal: [0; 5] }
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::empty()
    }
}

const _: () = assert!(size_of::<Status>() == 32 && align_of::<Status>() == 4);
const _: () = assert!(offset_of!(Status, MPI_TAG) == 4 && offset_of!(Status, MPI_ERROR) == 8);
const _: () = assert!(offset_of!(Status, MPI_internal) == 12);
