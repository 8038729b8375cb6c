//! Point-to-point communication as MPI defines it (MPI-5.0 chapter 3): arguments, modes,
//! matching. How bytes travel is in `protocol`.

pub mod buffer;
pub mod matching;
mod near;
pub mod partitioned;
pub mod probe;
mod queue;
pub mod recv;
pub mod send;
pub mod unfit;

use crate::comm::bad_rank;
use crate::{Engine, Error, Result};
use mpi_abi::Comm;
use mpi_abi::consts::{MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_ERR_TAG, MPI_PROC_NULL};
use std::ffi::c_int;

/// Largest tag: every non-negative int is allowed (MPI_TAG_UB).
pub const TAG_UB: c_int = c_int::MAX;

/// How a send completes (MPI-5.0 section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// When the buffer may be used again.
    Standard,
    /// When the receive has been matched.
    Synchronous,
    /// At once, into an attached buffer.
    Buffered,
    /// As standard; the user promises that the receive is posted.
    Ready,
    /// Standard, completing as synchronous: what the user's standard sends are with `--sync-sends`.
    Held,
}

/// Where a message goes: contexts and ranks resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub context: u32,
    /// World rank of the peer; -1 = any source.
    pub peer: i32,
}

impl Engine {
    /// The mode in which a send of the user is carried out.
    #[inline]
    pub(crate) fn mode_of(&self, mode: Mode) -> Mode {
        if mode == Mode::Standard && self.sync_sends { Mode::Held } else { mode }
    }

    /// Resolves the destination of a send; none for MPI_PROC_NULL.
    #[inline(always)]
    pub(crate) fn route_send(&self, comm: Comm, dest: c_int, tag: c_int) -> Result<Option<Route>> {
        let core = &self.comm(comm)?.core;
        if tag < 0 {
            return Err(bad_tag(tag));
        }
        if dest == MPI_PROC_NULL {
            return Ok(None);
        }
        let world = u32::try_from(dest).ok().and_then(|r| core.peers().world_rank(r));
        match world {
            Some(world) => Ok(Some(Route { context: core.context, peer: world.cast_signed() })),
            None => Err(bad_rank("the destination", dest, core.peers().size())),
        }
    }

    /// Resolves the source of a receive or probe; none for MPI_PROC_NULL.
    #[inline(always)]
    pub(crate) fn route_recv(&self, comm: Comm, source: c_int, tag: c_int) -> Result<Option<Route>> {
        let core = &self.comm(comm)?.core;
        if tag < 0 && tag != MPI_ANY_TAG {
            return Err(bad_tag(tag));
        }
        if source == MPI_ANY_SOURCE {
            return Ok(Some(Route { context: core.context, peer: -1 }));
        }
        if source == MPI_PROC_NULL {
            return Ok(None);
        }
        let world = u32::try_from(source).ok().and_then(|r| core.peers().world_rank(r));
        match world {
            Some(world) => Ok(Some(Route { context: core.context, peer: world.cast_signed() })),
            None => Err(bad_rank("the source", source, core.peers().size())),
        }
    }

    /// Checks a send's arguments without doing anything.
    pub(crate) fn check_send(&self, comm: Comm, dest: c_int, tag: c_int) -> Result<()> {
        self.route_send(comm, dest, tag).map(|_| ())
    }
}

#[cold]
fn bad_tag(tag: c_int) -> Error {
    Error::new(MPI_ERR_TAG, format!("the tag is {tag}: it must be 0 to {TAG_UB}, or MPI_ANY_TAG in a receive"))
}
