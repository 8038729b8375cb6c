//! Under `mpiexec --check`: the messages by which sender and receiver of each block tell each other what it is, in
//! front of the blocks (`compare`). Only for collectives in which no rank knows all blocks; where all ranks give or
//! get alike, that goes with what was called (`turn`).
//!
//! On each lane a process first sends what it says of the blocks that it sends there, then of those that it expects, and receives
//! in the same order, the blocks being last: so both ends mean the same ones.

use super::super::Step;
use super::super::build::{Builder, Place};
use super::super::compare::{Block, Comparison, Ours, check_own};
use super::neighbor::Edges;
use super::{Bytes, Form};
use crate::coll::turn::op_name;
use crate::coll::{Arg, Collective, Row};
use crate::comm::CommCore;
use crate::status::Call;
use crate::{Result, check};

/// One end of a block's way.
struct End {
    /// The process at the other end, in the job.
    peer: u32,
    lane: usize,
    block: Block,
}

/// All blocks that this process sends, and all that it expects.
#[derive(Default)]
struct Ends {
    outgoing: Vec<End>,
    incoming: Vec<End>,
}

/// Whether blocks of this collective are compared so.
fn is_concerned(call: Call, inter: bool) -> bool {
    use Call::{
        Allgather, Allgatherv, Alltoall, Alltoallv, Alltoallw, Bcast, Gather, Gatherv, NeighborAllgather,
        NeighborAllgatherv, NeighborAlltoall, NeighborAlltoallv, NeighborAlltoallw, Reduce, Scatter, Scatterv,
    };
    match call {
        Gatherv | Scatterv | Allgatherv | Alltoallv | Alltoallw | NeighborAllgather | NeighborAllgatherv
        | NeighborAlltoall | NeighborAlltoallv | NeighborAlltoallw => true,
        // Of two groups the ranks of one need not give what those of the other do.
        Bcast | Gather | Scatter | Allgather | Alltoall | Reduce => inter,
        _ => false,
    }
}

impl Builder<'_> {
    /// Adds the steps that compare the blocks of `what`, if it is to be done.
    pub(super) fn compare_blocks(&mut self, what: &Collective, form: Form) -> Result<()> {
        let concerned = check::is_on() && is_concerned(self.call, self.is_inter());
        if concerned { self.compare(what, form) } else { Ok(()) }
    }

    pub(in super::super) fn compare(&mut self, what: &Collective, form: Form) -> Result<()> {
        let ends = self.ends(what)?;
        let name = form.name(self.call as u32);
        let (rank, on) = self.e.here_on(self.core.context);
        let (me, on) = (format!("rank {rank}"), if on.is_empty() { on } else { format!(",{on}") });
        let (own, away): (Vec<End>, Vec<End>) = ends.incoming.into_iter().partition(|end| end.peer == self.e.me);
        let mut own = own;
        let mut blocks = Vec::new();
        let mut messages = Vec::new();
        for end in &away {
            let theirs = self.room(Block::MESSAGE)?;
            let message = Bytes::Run { base: theirs, len: Block::MESSAGE };
            self.recv_in(end.lane, end.peer, message);
            blocks.push(self.ours(false, end, theirs));
        }
        for end in &ends.outgoing {
            if end.peer == self.e.me {
                let at = own.iter().position(|other| other.lane == end.lane);
                if let Some(at) = at {
                    check_own(&name, &me, &on, &end.block, &own.remove(at).block)?;
                }
                continue;
            }
            let theirs = self.room(Block::MESSAGE)?;
            let message = Bytes::Run { base: theirs, len: Block::MESSAGE };
            self.recv_in(end.lane, end.peer, message);
            blocks.push(self.ours(true, end, theirs));
            messages.push((end.lane, end.peer, end.block.encode()));
        }
        messages.extend(away.iter().map(|end| (end.lane, end.peer, end.block.encode())));
        for (lane, peer, message) in messages {
            let base = self.room(Block::MESSAGE)?;
            // SAFETY: the room is as long as the message, and ours.
            unsafe { std::ptr::copy_nonoverlapping(message.as_ptr(), base, message.len()) };
            self.send_in(lane, peer, Bytes::Run { base, len: Block::MESSAGE });
        }
        self.fence();
        self.push(Step::Compare(Box::new(Comparison { name, me, on, blocks })));
        Ok(())
    }

    fn ours(&self, sends: bool, end: &End, theirs: *const u8) -> Ours {
        Ours { sends, peer: named(self.core, end.peer), block: end.block.clone(), theirs }
    }

    /// A block of `arg`'s elements.
    fn block(&self, arg: &Arg) -> Result<Block> {
        let kind = self.kind(arg.datatype, arg.count)?;
        Ok(Block { bytes: kind.size() * arg.count, op: 0, note: check::note_of_block(arg.count, &kind) })
    }

    /// The blocks of a row for `n` ranks.
    fn blocks(&self, row: &Row, n: usize) -> Result<Vec<Block>> {
        match row {
            Row::Equal(arg) => Ok(vec![self.block(arg)?; n]),
            Row::Varying { base, counts, datatype, .. } => {
                let block = |count: &usize| self.block(&Arg { base: *base, count: *count, datatype: *datatype });
                counts.iter().take(n).map(block).collect()
            }
            Row::Lanes { base, lanes } => {
                let block = |lane: &crate::coll::Lane| {
                    self.block(&Arg { base: *base, count: lane.count, datatype: lane.datatype })
                };
                lanes.iter().take(n).map(block).collect()
            }
        }
    }

    fn ends(&self, what: &Collective) -> Result<Ends> {
        let far = self.far();
        let n = far.len();
        let end = |(peer, block): (&u32, Block)| End { peer: *peer, lane: 0, block };
        let row = |row: &Row| Ok::<Vec<End>, crate::Error>(far.iter().zip(self.blocks(row, n)?).map(end).collect());
        let all =
            |arg: &Arg| Ok::<Vec<End>, crate::Error>(far.iter().zip(vec![self.block(arg)?; n]).map(end).collect());
        let one =
            |peer: u32, arg: &Arg| Ok::<Vec<End>, crate::Error>(vec![End { peer, lane: 0, block: self.block(arg)? }]);
        let none = Vec::new;
        let (outgoing, incoming) = match what {
            Collective::Bcast { buffer, root } => match self.place(*root)? {
                Place::Root => (all(buffer)?, none()),
                Place::Leaf(root) => (none(), one(root, buffer)?),
                Place::Outside => (none(), none()),
            },
            Collective::Gather { send, recv, root } => match (self.place(*root)?, send, recv) {
                (Place::Root, send, Some(recv)) => {
                    let own =
                        send.as_ref().filter(|_| !self.is_inter()).map(|send| one(self.e.me, send)).transpose()?;
                    (own.unwrap_or_default(), row(recv)?)
                }
                (Place::Leaf(root), Some(send), _) => (one(root, send)?, none()),
                _ => (none(), none()),
            },
            Collective::Scatter { send, recv, root } => match (self.place(*root)?, send, recv) {
                (Place::Root, Some(send), recv) => {
                    let own =
                        recv.as_ref().filter(|_| !self.is_inter()).map(|recv| one(self.e.me, recv)).transpose()?;
                    (row(send)?, own.unwrap_or_default())
                }
                (Place::Leaf(root), _, Some(recv)) => (none(), one(root, recv)?),
                _ => (none(), none()),
            },
            Collective::Reduce { send, recv, op, root } => {
                let with_op = |ends: Vec<End>| -> Vec<End> {
                    let with_op = |end: End| End { block: Block { op: op_name(*op), ..end.block }, ..end };
                    ends.into_iter().map(with_op).collect()
                };
                match self.place(*root)? {
                    Place::Root => (none(), with_op(all(recv)?)),
                    Place::Leaf(root) => (with_op(one(root, send.as_ref().unwrap_or(recv))?), none()),
                    Place::Outside => (none(), none()),
                }
            }
            Collective::Allgather { send, recv } => {
                let incoming = row(recv)?;
                let outgoing = match send {
                    Some(send) => all(send)?,
                    // In place: my own block, to everybody.
                    None => {
                        let mine = self.blocks(recv, n)?.into_iter().nth(self.me());
                        far.iter().zip(vec![mine; n]).filter_map(|(peer, mine)| Some(end((peer, mine?)))).collect()
                    }
                };
                (outgoing, incoming)
            }
            Collective::Alltoall { send, recv } => (row(send.as_ref().unwrap_or(recv))?, row(recv)?),
            Collective::NeighborAllgather { send, recv } => {
                let edges = self.edges()?;
                let outgoing = vec![self.block(send)?; edges.destinations.len()];
                self.along_edges(&edges, outgoing, self.blocks(recv, edges.sources.len())?)
            }
            Collective::NeighborAlltoall { send, recv } => {
                let edges = self.edges()?;
                let outgoing = self.blocks(send, edges.destinations.len())?;
                self.along_edges(&edges, outgoing, self.blocks(recv, edges.sources.len())?)
            }
            _ => (none(), none()),
        };
        Ok(Ends { outgoing, incoming })
    }

    fn along_edges(&self, edges: &Edges, outgoing: Vec<Block>, incoming: Vec<Block>) -> (Vec<End>, Vec<End>) {
        let to =
            edges.destinations.iter().zip(outgoing).enumerate().filter_map(|(i, (rank, block))| {
                Some(End { peer: self.neighbor(*rank)?, lane: edges.lane_out(i), block })
            });
        let from =
            edges.sources.iter().zip(incoming).enumerate().filter_map(|(i, (rank, block))| {
                Some(End { peer: self.neighbor(*rank)?, lane: edges.lane_in(i), block })
            });
        (to.collect(), from.collect())
    }
}

/// A process of the job as the communicator numbers it.
fn named(core: &CommCore, world: u32) -> String {
    match (&core.remote, core.peers().rank_of(world)) {
        (Some(_), Some(rank)) => format!("rank {rank} of the other group"),
        (None, Some(rank)) => format!("rank {rank}"),
        (_, None) => format!("rank {world} of the job"),
    }
}
