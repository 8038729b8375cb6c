//! Collective communication (MPI-5.0 chapter 6). Each blocking collective on an intracommunicator goes
//! through shared memory directly while its pieces fit into the communicator's area (`area`), and by
//! messages beyond that or where there is no memory for an area. Which way it goes follows from
//! arguments that all ranks have in common, or is said by the rank that knows.
//!
//! | file | collectives | with when to use what |
//! |---|---|---|
//! | `bcast` | Barrier, Bcast | line, then pipelined chunks |
//! | `gather` | Gather(v), Scatter(v), Allgather(v) | line, chunk, messages |
//! | `alltoall` | Alltoall(v, w) | chunk, messages |
//! | `pieces` | long Gather, Scatter(v), Alltoall(v, w) of more ranks than cores | chunks, step by step |
//! | `reduce` | Reduce, Allreduce, short Reduce_scatter(_block) | line, chunk, segments |
//! | `scan` | Scan, Exscan | line, chain |
//! | `chain` | longer Scan, Exscan and Reduce | chunks from rank to rank |
//! | `scatter` | longer Reduce_scatter(_block) | chunks with a piece of each block |
//! | `count` | Barrier, Allreduce up to a line, of many ranks on few cores | the last one to come combines for all |
//! | `internal` | what the management of communicators needs | messages |
//! | `turn`, `disagree` | what was called goes along with everything; the report when ranks do not agree | |
//! | `board/` | nonblocking and persistent Barrier and reductions | line, chunk, shares |
//! | `schedule/` | other nonblocking, persistent, of neighbours, on intercommunicators | messages, step by step |

mod alltoall;
mod apart;
mod area;
mod bcast;
pub(crate) mod board;
pub mod buffers;
mod chain;
mod collective;
mod count;
pub(crate) mod disagree;
mod gather;
pub(crate) mod internal;
mod note;
mod pieces;
mod reduce;
mod scan;
mod scatter;
pub mod schedule;
mod table;
pub(crate) mod turn;

pub use alltoall::{Lane, alltoall, alltoallv, alltoallw};
pub use bcast::{barrier, bcast};
pub use buffers::Arg;
pub use collective::{Collective, Row};
pub use gather::{Blocks, allgather, allgatherv, gather, gatherv, scatter, scatterv};
pub use reduce::{allreduce, reduce, reduce_scatter, reduce_scatter_block};
pub use scan::{exscan, scan};

use crate::comm::CommCore;
use crate::status::Call;
use crate::{Error, Result, with};
use area::Area;
use mpi_abi::Comm;
use mpi_abi::consts::{MPI_ERR_ROOT, MPI_ERR_TRUNCATE};
use shm::lock::Guard;
use std::ffi::c_int;
use std::sync::Arc;
use turn::Turn;

/// The collectives' state of a communicator.
#[derive(Default)]
pub struct State {
    /// Outer none = no collective was called yet; inner none = no memory: messages only.
    area: Option<Option<Area>>,
}

/// The name of a call on the status page.
pub(crate) fn call_name(number: u32) -> &'static str {
    crate::status::Call::name_of(number)
}

/// The communicator of a collective that is called on it now.
fn core_of(comm: Comm) -> Result<Arc<CommCore>> {
    with(|e| {
        let core = e.comm_core(comm)?;
        if core.size() > 1 {
            turn::take_place(e, &core);
        }
        Ok(core)
    })
}

/// Carries a collective out by messages: on intercommunicators, and for what shared memory does not serve.
///
/// # Safety
/// As for [`schedule::run`].
#[cold]
unsafe fn by_schedule(call: Call, what: &Collective, comm: Comm) -> Result<()> {
    // SAFETY: the caller's word.
    unsafe { schedule::run(call, what, comm) }
}

fn check_root(core: &CommCore, root: c_int) -> Result<u32> {
    u32::try_from(root).ok().filter(|r| *r < core.size()).ok_or_else(|| {
        Error::new(MPI_ERR_ROOT, format!("the root is {root}, but the communicator has ranks 0 to {}", core.size() - 1))
    })
}

/// The communicator's state with its area made.
fn enter<'a>(turn: &Turn<'a>) -> Result<Guard<'a, State>> {
    let mut state = turn.on.coll.lock();
    if state.area.is_none() {
        state.area = Some(Area::new(turn)?);
    }
    Ok(state)
}

impl State {
    fn area(&mut self) -> Option<&mut Area> {
        self.area.as_mut().and_then(Option::as_mut)
    }

    /// The area, and the size of its chunks, made now if need be; none if there is no memory.
    fn area_with_chunks(&mut self) -> Option<(&mut Area, usize)> {
        let area = self.area.as_mut().and_then(Option::as_mut)?;
        let bytes = area.chunk_bytes();
        (bytes > 0).then_some((area, bytes))
    }
}

/// All elements; of more than there can be, the most there can be.
fn total(counts: &[usize]) -> usize {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

#[cold]
fn too_long(call: Call, rank: u32, sent: usize, room: usize) -> Error {
    Error::new(
        MPI_ERR_TRUNCATE,
        format!(
            "{call:?}: rank {rank} sent {sent} bytes where {room} were expected: counts and types must agree on all ranks"
        ),
    )
}
