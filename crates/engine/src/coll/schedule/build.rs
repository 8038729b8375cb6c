//! Making a schedule: steps in order, and memory of its own.

use super::fold::Fold;
use super::{BOARD_LANE, Bytes, Called, Form, LANES, Schedule, Step};
use crate::coll::board::{Board, Part, Told};
use crate::coll::{Arg, too_long};
use crate::comm::CommCore;
use crate::datatype::{Type, message_size};
use crate::status::Call;
use crate::{Engine, Error, Result};
use mpi_abi::Datatype;
use mpi_abi::consts::{MPI_ERR_NO_MEM, MPI_ERR_ROOT, MPI_PROC_NULL, MPI_ROOT};
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// What this process is in a collective that has a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The root.
    Root,
    /// One that gives the root something or gets something from it: the root's rank in the job.
    Leaf(u32),
    /// In the root's group of an intercommunicator: takes no part.
    Outside,
}

/// A schedule in the making. Ranks are those of the job, unless said otherwise.
pub(super) struct Builder<'a> {
    pub(super) e: &'a Engine,
    pub(super) core: &'a Arc<CommCore>,
    pub(super) call: Call,
    steps: Vec<Step>,
    on_board: Option<(Arc<Board>, Part)>,
    own: Vec<Box<[MaybeUninit<u128>]>>,
    combine: Option<Fold>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(e: &'a Engine, core: &'a Arc<CommCore>, call: Call) -> Self {
        Self { e, core, call, steps: Vec::new(), on_board: None, own: Vec::new(), combine: None }
    }

    /// The schedule, with tags of its own.
    pub(super) fn finish(self, form: Form, called: Called) -> Box<Schedule> {
        let (number, tag) = self.core.schedules.next(form, called);
        let on_board = self.on_board.map(|(board, mut part)| {
            board.will_be_told();
            part.is_of(&called);
            (board, part)
        });
        Box::new(Schedule {
            called,
            form,
            core: Arc::clone(self.core),
            number,
            tag,
            on_board,
            steps: self.steps,
            first: 0,
            next: 0,
            parts: Vec::new(),
            error: None,
            combine: self.combine.map(|fold| (fold.reduction, fold.kind)),
            _own: self.own,
            queued: false,
            working: false,
        })
    }

    // -- who is who --

    /// My rank in my group.
    pub(super) fn me(&self) -> usize {
        self.core.rank as usize
    }

    /// Whether the communicator has two groups.
    pub(super) fn is_inter(&self) -> bool {
        self.core.remote.is_some()
    }

    /// The processes of my group, in order.
    pub(super) fn near(&self) -> Vec<u32> {
        self.core.group.iter().collect()
    }

    /// Those that I exchange with, in order: the other group's, or my own's.
    pub(super) fn far(&self) -> Vec<u32> {
        self.core.peers().iter().collect()
    }

    /// The places in `ranks` of all but me, beginning behind me, so that not all turn to the same one.
    pub(super) fn others(&self, ranks: &[u32]) -> impl Iterator<Item = usize> + use<> {
        let (n, me, inter) = (ranks.len(), self.me(), self.is_inter());
        let first = usize::from(!inter);
        (first..n).map(move |d| (me + d) % n)
    }

    /// My place in a collective with this root.
    pub(super) fn place(&self, root: c_int) -> Result<Place> {
        if self.is_inter() {
            match root {
                MPI_ROOT => return Ok(Place::Root),
                MPI_PROC_NULL => return Ok(Place::Outside),
                _ => {}
            }
        }
        let peers = self.core.peers();
        let known = u32::try_from(root).ok().and_then(|rank| peers.world_rank(rank).map(|world| (rank, world)));
        let (rank, world) = known.ok_or_else(|| {
            let more =
                if self.is_inter() { " of the other group, or MPI_ROOT and MPI_PROC_NULL in the root's" } else { "" };
            Error::new(
                MPI_ERR_ROOT,
                format!(
                    "the root is {root}, but the communicator has ranks 0 to {}{more}",
                    peers.size().saturating_sub(1)
                ),
            )
        })?;
        let mine = !self.is_inter() && rank == self.core.rank;
        Ok(if mine { Place::Root } else { Place::Leaf(world) })
    }

    // -- memory --

    /// The type behind a handle, if `count` elements of it can be a message.
    pub(super) fn kind(&self, datatype: Datatype, count: usize) -> Result<Arc<Type>> {
        let kind = self.e.types.committed(datatype)?;
        message_size(kind, count)?;
        Ok(Arc::clone(kind))
    }

    /// The bytes of a buffer.
    pub(super) fn bytes(&self, arg: &Arg) -> Result<Bytes> {
        Ok(Bytes::at(arg.base, arg.count, &self.kind(arg.datatype, arg.count)?))
    }

    /// Memory of the schedule's own; nothing is written in it yet.
    pub(super) fn room(&mut self, bytes: usize) -> Result<*mut u8> {
        let words = bytes.div_ceil(size_of::<u128>());
        let mut memory: Vec<MaybeUninit<u128>> = Vec::new();
        memory.try_reserve_exact(words).map_err(|_| {
            let name = crate::coll::call_name(self.call as u32);
            Error::new(MPI_ERR_NO_MEM, format!("{name}: no memory for {bytes} bytes of intermediate results"))
        })?;
        memory.resize_with(words, MaybeUninit::uninit);
        self.own.push(memory.into_boxed_slice());
        Ok(self.own.last_mut().map_or(std::ptr::null_mut(), |own| own.as_mut_ptr().cast()))
    }

    /// Memory for `count` elements, as a buffer's address.
    pub(super) fn room_for(&mut self, count: usize, kind: &Arc<Type>) -> Result<*mut u8> {
        let (offset, len) = kind.span(count);
        Ok(self.room(len)?.wrapping_offset(offset.wrapping_neg()))
    }

    // -- steps --

    /// Does its part on a board, with the steps that come for want of one. False: no further steps are needed.
    pub(super) fn be_on_board(&mut self, board: Arc<Board>, part: Part) -> Result<bool> {
        let told = board.told(part.needs_chunk());
        if told == Told::Nothing {
            return Ok(true);
        }
        if told == Told::Ask && self.core.rank == 0 {
            self.push(Step::MakeBoard);
        } else if told == Told::Ask {
            let word = self.room(size_of::<u64>())?;
            let first = self.core.group.world_rank(0).unwrap_or(0);
            let step = self.recv_in(BOARD_LANE, first, Bytes::Run { base: word, len: size_of::<u64>() });
            self.wait_for(step);
            self.push(Step::FindBoard(word.cast_const().cast()));
        }
        self.push(Step::Board);
        self.on_board = Some((board, part));
        Ok(told != Told::There)
    }

    pub(super) fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// Sends; the number of the step.
    pub(super) fn send(&mut self, to: u32, bytes: Bytes) -> usize {
        self.send_in(0, to, bytes)
    }

    /// Sends in a stream of its own.
    pub(super) fn send_in(&mut self, lane: usize, to: u32, bytes: Bytes) -> usize {
        debug_assert_ne!(to, self.e.me, "copies within a process are no messages");
        self.push(Step::Send { to, lane: as_lane(lane), bytes })
    }

    /// Receives; the number of the step.
    pub(super) fn recv(&mut self, from: u32, bytes: Bytes) -> usize {
        self.recv_in(0, from, bytes)
    }

    /// Receives from a stream of its own.
    pub(super) fn recv_in(&mut self, lane: usize, from: u32, bytes: Bytes) -> usize {
        debug_assert_ne!(from, self.e.me, "copies within a process are no messages");
        self.push(Step::Recv { from, lane: as_lane(lane), bytes })
    }

    /// Copies, if there is anything to copy.
    pub(super) fn copy(&mut self, from: Bytes, to: Bytes) {
        let same = match (&from, &to) {
            (Bytes::Run { base: from, .. }, Bytes::Run { base: to, .. }) => from == to,
            _ => false,
        };
        if !same && from.len() > 0 {
            self.push(Step::Copy { from, to });
        }
    }

    /// Copies what this process sends to itself, which must fit.
    pub(super) fn copy_own(&mut self, from: Bytes, to: Bytes) -> Result<()> {
        if from.len() > to.len() {
            return Err(too_long(self.call, self.core.rank, from.len(), to.len()));
        }
        self.copy(from, to);
        Ok(())
    }

    /// Combines with what [`Self::combine_with`] has set.
    pub(super) fn combine(&mut self, out: *mut u8, a: *const u8, b: *const u8, n: usize) {
        self.push(Step::Combine { out, a, b, n });
    }

    /// What all `Combine` steps do.
    pub(super) fn combine_with(&mut self, fold: &Fold) {
        self.combine = Some(fold.clone());
    }

    /// Goes on when the message of a step is over.
    pub(super) fn wait_for(&mut self, step: usize) {
        self.push(Step::Await(step));
    }

    /// Goes on when all messages so far are over.
    pub(super) fn fence(&mut self) {
        self.push(Step::Fence);
    }
}

fn as_lane(lane: usize) -> c_int {
    c_int::try_from(lane % LANES as usize).unwrap_or(0)
}
