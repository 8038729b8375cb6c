//! The steps of each collective. All ranks make theirs from arguments that they have in common, so that what one
//! sends another receives.
//!
//! | file | collectives | way |
//! |---|---|---|
//! | `board` | Barrier, Bcast, reductions but Reduce_scatter, if they are short | no messages: in shared memory |
//! | `spread` | Barrier, Bcast | each to each; from the root to each |
//! | `blocks` | Gather, Scatter, Allgather, Alltoall, all forms | each block from its sender to its receiver |
//! | `reduce` | Reduce, Allreduce, Reduce_scatter | short: each combines all; long: each combines a part of all, in pieces |
//! | `scan` | Scan, Exscan | few ranks: from all lower ones; many: by doubling distances |
//! | `neighbor` | of neighbours | as `blocks`, along the edges of the topology |
//! | `compared` | under `--check`, those whose blocks only sender and receiver know | what both say of each block, before it |

mod blocks;
mod board;
mod compared;
mod neighbor;
mod reduce;
mod scan;
mod spread;

use super::build::{Builder, Place};
use super::{Bytes, Form, Schedule};
use crate::coll::apart::{self, Piece};
use crate::coll::turn::{self, Called, Detail, Facts};
use crate::coll::{Arg, Collective, Row, total};
use crate::datatype::region::Region;
use crate::status::Call;
use crate::{Engine, Error, Result, check};
use mpi_abi::Comm;
use mpi_abi::consts::{MPI_ERR_BUFFER, MPI_ERR_COMM};
use std::ffi::c_int;
use std::sync::Arc;

/// Up to so many ranks exchange short messages each with each: one round, in which every rank wakes every other
/// one. More ranks go through one of them.
pub(super) const FEW: usize = 8;

/// An error if what is sent and what is received overlap.
fn apart(send: &[Bytes], recv: &[Bytes]) -> Result<()> {
    apart::check(send.iter().map(Bytes::piece), recv.iter().map(Bytes::piece))
}

impl Engine {
    /// The schedule of a collective; counts it as the communicator's next.
    ///
    /// # Safety
    /// The buffers are valid for what the operation reads and writes while the schedule is active.
    pub(super) unsafe fn schedule(
        &self,
        call: Call,
        form: Form,
        what: &Collective,
        comm: Comm,
    ) -> Result<Box<Schedule>> {
        let core: &Arc<_> = &self.comm(comm)?.core;
        let mut builder = Builder::new(self, core, call);
        builder.compare_blocks(what, form)?;
        if builder.board(form, what)? {
            builder.plan(what)?;
        }
        let called = builder.count(form, what)?;
        Ok(builder.finish(form, called))
    }

    /// The schedule of a blocking collective that has begun.
    ///
    /// # Safety
    /// As for [`Self::schedule`].
    pub(super) unsafe fn schedule_of(&self, called: Called, what: &Collective, comm: Comm) -> Result<Box<Schedule>> {
        let core: &Arc<_> = &self.comm(comm)?.core;
        let mut builder = Builder::new(self, core, called.call);
        builder.plan(what)?;
        Ok(builder.finish(Form::Blocking, called))
    }
}

impl Builder<'_> {
    pub(super) fn plan(&mut self, what: &Collective) -> Result<()> {
        if self.is_inter() {
            self.check_between(what)?;
        }
        self.check_combined(what)?;
        self.check_received(what)?;
        match what {
            Collective::Barrier => self.barrier(),
            Collective::Bcast { buffer, root } => self.bcast(buffer, *root)?,
            Collective::Gather { send, recv, root } => self.gather(send.as_ref(), recv.as_ref(), *root)?,
            Collective::Scatter { send, recv, root } => self.scatter(send.as_ref(), recv.as_ref(), *root)?,
            Collective::Allgather { send, recv } => self.allgather(send.as_ref(), recv)?,
            Collective::Alltoall { send, recv } => self.alltoall(send.as_ref(), recv)?,
            Collective::Reduce { send, recv, op, root } => self.reduce(send.as_ref(), recv, *op, *root)?,
            Collective::Allreduce { send, recv, op } => self.allreduce(send.as_ref(), recv, *op)?,
            Collective::ReduceScatter { send, recv, counts, op } => {
                self.reduce_scatter(send.as_ref(), recv, counts, *op)?;
            }
            Collective::Scan { send, recv, op } => self.scan(send.as_ref(), recv, *op)?,
            Collective::Exscan { send, recv, op } => self.exscan(send.as_ref(), recv, *op)?,
            Collective::NeighborAllgather { send, recv } => self.neighbor_allgather(send, recv)?,
            Collective::NeighborAlltoall { send, recv } => self.neighbor_alltoall(send, recv)?,
        }
        Ok(())
    }

    /// Counts it as the communicator's next collective.
    fn count(&self, form: Form, what: &Collective) -> Result<Called> {
        let block = self.common_block(what);
        let size = block.and_then(|arg| Some((self.e.types.get(arg.datatype).ok()?.size() * arg.count) as u64));
        let op = match what {
            _ if !self.is_common(what) => None,
            Collective::Reduce { op, .. }
            | Collective::Allreduce { op, .. }
            | Collective::ReduceScatter { op, .. }
            | Collective::Scan { op, .. }
            | Collective::Exscan { op, .. } => Some(*op),
            _ => None,
        };
        let counts = match what {
            // Of equal blocks the sum says all.
            Collective::ReduceScatter { counts, .. } if self.call == Call::ReduceScatter && !self.is_inter() => counts,
            _ => &[][..],
        };
        let facts = Facts { op, block, counts };
        let detail = if check::is_on() {
            self.core.turns.remember(&facts);
            Detail::of(self.e, &facts)
        } else {
            Detail::NONE
        };
        let bytes = size.unwrap_or(turn::ANY_BYTES);
        turn::take_place(self.e, self.core);
        turn::count(Some(self.e), self.core, self.call, form, self.common_root(what), bytes, detail)
    }

    /// The root, where all ranks say the same: on an intercommunicator the groups do not.
    #[inline]
    pub(super) fn common_root(&self, what: &Collective) -> Option<u32> {
        match what {
            _ if self.is_inter() => None,
            Collective::Bcast { root, .. }
            | Collective::Gather { root, .. }
            | Collective::Scatter { root, .. }
            | Collective::Reduce { root, .. } => u32::try_from(*root).ok(),
            _ => None,
        }
    }

    /// Whether all ranks give or get alike. Of two groups one need not give what the other one does; in these it must,
    /// which is looked at under `--check`.
    fn is_common(&self, what: &Collective) -> bool {
        let both_give = matches!(what, Collective::Allreduce { .. } | Collective::ReduceScatter { .. });
        !self.is_inter() || (both_give && check::is_on())
    }

    /// What each rank gives or gets, where all say the same.
    fn common_block(&self, what: &Collective) -> Option<Arg> {
        let block = |row: &Row| if let Row::Equal(arg) = row { Some(*arg) } else { None };
        let is_root = |root: c_int| self.place(root) == Ok(Place::Root);
        match what {
            _ if !self.is_common(what) => None,
            Collective::Bcast { buffer, .. } => Some(*buffer),
            Collective::Reduce { send, recv, .. }
            | Collective::Allreduce { send, recv, .. }
            | Collective::Scan { send, recv, .. }
            | Collective::Exscan { send, recv, .. } => Some(send.unwrap_or(*recv)),
            Collective::ReduceScatter { send, recv, counts, .. } => {
                Some(Arg { count: total(counts), ..send.unwrap_or(*recv) })
            }
            Collective::Gather { recv, root, .. } if is_root(*root) => recv.as_ref().and_then(block),
            Collective::Gather { send, .. } if self.call == Call::Gather => *send,
            Collective::Scatter { send, root, .. } if is_root(*root) => send.as_ref().and_then(block),
            Collective::Scatter { recv, .. } if self.call == Call::Scatter => *recv,
            Collective::Allgather { recv, .. } | Collective::Alltoall { recv, .. } => block(recv),
            _ => None,
        }
    }

    /// The blocks of a row for `n` ranks.
    fn row(&self, row: &Row, n: usize) -> Result<Vec<Bytes>> {
        match row {
            Row::Equal(arg) => {
                let kind = self.kind(arg.datatype, arg.count.saturating_mul(n.max(1)))?;
                let at = |i: usize| Bytes::of(arg.base, (i * arg.count).cast_signed(), arg.count, &kind);
                Ok((0..n).map(at).collect())
            }
            Row::Varying { base, counts, displs, datatype } => {
                let kind = self.kind(*datatype, counts.iter().copied().max().unwrap_or(0))?;
                let block = |(at, count): (&isize, &usize)| Bytes::of(*base, *at, *count, &kind);
                Ok(displs.iter().zip(counts).take(n).map(block).collect())
            }
            Row::Lanes { base, lanes } => {
                let block = |lane: &crate::coll::Lane| {
                    let kind = self.kind(lane.datatype, lane.count)?;
                    Ok(Bytes::at(base.wrapping_offset(lane.displ), lane.count, &kind))
                };
                lanes.iter().take(n).map(block).collect()
            }
        }
    }

    /// An error if a contribution and the result of a reduction overlap.
    fn check_combined(&self, what: &Collective) -> Result<()> {
        let (send, recv) = match what {
            Collective::Reduce { root, .. } if self.place(*root)? != Place::Root => return Ok(()),
            Collective::Reduce { send: Some(send), recv, .. }
            | Collective::Allreduce { send: Some(send), recv, .. }
            | Collective::Scan { send: Some(send), recv, .. }
            | Collective::Exscan { send: Some(send), recv, .. } => (*send, recv),
            Collective::ReduceScatter { send: Some(send), recv, counts, .. } => {
                (Arg { count: total(counts), ..*send }, recv)
            }
            _ => return Ok(()),
        };
        let kind = self.e.types.committed(send.datatype)?;
        let place = |arg: &Arg| Piece::Elements(Region { base: arg.base.addr(), count: arg.count, kind });
        apart::check_two(&place(&send), &place(recv))
    }

    /// An error if blocks that are received overlap.
    fn check_received(&self, what: &Collective) -> Result<()> {
        let (row, whose) = match what {
            Collective::Gather { recv: Some(recv), root, .. } if self.place(*root)? == Place::Root => (recv, "rank"),
            Collective::Allgather { recv, .. } | Collective::Alltoall { recv, .. } => (recv, "rank"),
            Collective::NeighborAllgather { recv, .. } | Collective::NeighborAlltoall { recv, .. } => (recv, "source"),
            _ => return Ok(()),
        };
        let check = |comes: &dyn Fn(usize) -> bool| match row {
            Row::Equal(_) => Ok(()),
            Row::Varying { counts, displs, datatype, .. } => {
                let has_bytes = || self.e.types.get(*datatype).is_ok_and(|kind| kind.size() > 0);
                apart::check_blocks(counts, displs, has_bytes, comes, whose)
            }
            Row::Lanes { lanes, .. } => {
                let blocks = self.row(row, lanes.len())?;
                let piece = |(i, block)| Some(Bytes::piece(block)).filter(|_| comes(i));
                apart::check_lanes(blocks.iter().enumerate().map(piece), whose)
            }
        };
        let outcome = check(&|_| true);
        if outcome.is_err() && whose == "source" {
            // Nothing comes from beyond the border of a grid.
            let sources = self.edges()?.sources;
            return check(&|i| sources.get(i).is_some_and(|source| self.neighbor(*source).is_some()));
        }
        outcome
    }

    /// What intercommunicators do not have.
    fn check_between(&self, what: &Collective) -> Result<()> {
        let name = crate::coll::call_name(self.call as u32);
        match what {
            Collective::Scan { .. } | Collective::Exscan { .. } => {
                Err(Error::new(MPI_ERR_COMM, format!("{name} is not defined on intercommunicators")))
            }
            Collective::Allgather { send: None, .. }
            | Collective::Alltoall { send: None, .. }
            | Collective::Allreduce { send: None, .. }
            | Collective::ReduceScatter { send: None, .. } => {
                let text =
                    format!("{name}: MPI_IN_PLACE has no meaning on an intercommunicator, whose groups exchange");
                Err(Error::new(MPI_ERR_BUFFER, text))
            }
            _ => Ok(()),
        }
    }
}
