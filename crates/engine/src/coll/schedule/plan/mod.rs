//! The steps of each collective. All ranks make theirs from arguments that they have in common, so that what one
//! sends another receives.
//!
//! | file | collectives | way |
//! |---|---|---|
//! | `spread` | Barrier, Bcast | each to each; from the root to each |
//! | `blocks` | Gather, Scatter, Allgather, Alltoall, all forms | each block from its sender to its receiver |
//! | `reduce` | Reduce, Allreduce, Reduce_scatter | short: each combines all; long: each combines a part of all, in pieces |
//! | `scan` | Scan, Exscan | few ranks: from all lower ones; many: by doubling distances |
//! | `neighbor` | of neighbours | as `blocks`, along the edges of the topology |

mod blocks;
mod neighbor;
mod reduce;
mod scan;
mod spread;

use super::build::Builder;
use super::{Bytes, Form, Schedule};
use crate::coll::{Collective, Row};
use crate::status::Call;
use crate::{Engine, Error, Result};
use mpi_abi::Comm;
use mpi_abi::consts::{MPI_ERR_BUFFER, MPI_ERR_COMM};
use std::sync::Arc;

/// Up to so many ranks exchange short messages each with each: one round, in which every rank wakes every other
/// one. More ranks go through one of them.
pub(super) const FEW: usize = 8;

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
        builder.plan(what)?;
        Ok(builder.finish(form))
    }
}

impl Builder<'_> {
    pub(super) fn plan(&mut self, what: &Collective) -> Result<()> {
        if self.is_inter() {
            self.check_between(what)?;
        }
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
