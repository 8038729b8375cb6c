//! Collectives as schedules: nonblocking and persistent ones, those of neighbours, and all on
//! intercommunicators (MPI-5.0 sections 6.12, 6.13, 8.7 to 8.9). README.md has the protocol.
//!
//! | file | does |
//! |---|---|
//! | here | what a schedule is; starting one, making one that is started later, one that is waited for |
//! | `bytes` | memory of a step |
//! | `compare` | under `--check`: blocks that only their sender and receiver know |
//! | `build` | making steps, memory of the schedule's own |
//! | `light` | nonblocking ones whose board is there: without steps |
//! | `fold` | steps that combine contributions in rank order |
//! | `run` | carrying steps out; messages that are over; what was given up |
//! | `work` | functions of the user, without the engine's lock |
//! | `plan/` | the steps of each collective |

mod build;
mod bytes;
mod compare;
mod fold;
mod light;
mod plan;
mod run;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use light::OnBoard;
pub(crate) use run::{Schedules, fail_from};
pub(crate) use work::{is_due, work};

use super::board::{Begun, Board, Part as BoardPart};
use super::turn::{self, Called, Form, Turn};
use super::{Collective, disagree};
use crate::comm::CommCore;
use crate::datatype::Type;
use crate::op::Reduction;
use crate::payload::Payload;
use crate::request::persistent::Recipe;
use crate::request::{Request, Role, State, abandon};
use crate::status::{Call, Status};
use crate::{Engine, Error, Result, with};
use bytes::Bytes;
use compare::Comparison;
use mpi_abi::Comm;
use mpi_abi::consts::MPI_ERR_REQUEST;
use shm::calls;
use shm::sync::{AtomicU32, Ordering};
use shm::told;
use std::ffi::c_int;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// Schedules use tags from here on, on the engine's context; those below belong to blocking collectives.
const FIRST_TAG: c_int = 16;
/// Tags of one schedule: streams of messages between two ranks, of which each is in order.
pub(super) const LANES: c_int = 64;
/// The stream that says where a board is: neighbours have boards no more than others have so many streams.
const BOARD_LANE: usize = LANES as usize - 1;
/// So many persistent schedules have tags of their own before the numbers are used again, and so many others: as many
/// can be in work at once on a communicator.
const NUMBER_BITS: u32 = 15;
/// Bits of a tag that say what was called, so that messages of different collectives do not meet.
const CALLED_BITS: u32 = 8;
const _: () = assert!(FIRST_TAG as i64 + ((LANES as i64) << (1 + NUMBER_BITS + CALLED_BITS)) <= turn::FIRST_TAG as i64);

/// How many schedules a communicator has made, persistent ones and others: all ranks make the same ones in the same
/// order. Counted under the engine's lock.
#[derive(Default)]
pub struct Made([AtomicU32; 2]);

impl Made {
    /// Counts the next one: its number and its first tag.
    fn next(&self, form: Form, called: Called) -> (u32, c_int) {
        let which = usize::from(form != Form::Persistent);
        let number = self.0[which].load(Ordering::Relaxed);
        self.0[which].store(number.wrapping_add(1), Ordering::Relaxed);
        let number = number % (1 << NUMBER_BITS);
        if form == Form::Blocking {
            return (number, called.lanes());
        }
        let own = (which as u32) << NUMBER_BITS | number;
        (number, FIRST_TAG + (own << CALLED_BITS | called.hash(CALLED_BITS)).cast_signed() * LANES)
    }

    /// How many, as [`told::Turn`] counts them.
    pub(crate) fn counts(&self) -> [u32; 2] {
        [0, 1].map(|which: usize| self.0[which].load(Ordering::Relaxed) % (1 << NUMBER_BITS))
    }
}

/// One thing to do.
enum Step {
    /// Start sending.
    Send { to: u32, lane: c_int, bytes: Bytes },
    /// Start receiving exactly as many bytes.
    Recv { from: u32, lane: c_int, bytes: Bytes },
    /// Copy within this process.
    Copy { from: Bytes, to: Bytes },
    /// Combine `n` elements: `out = a op b`.
    Combine { out: *mut u8, a: *const u8, b: *const u8, n: usize },
    /// Compare what others say of blocks with what we say of them.
    Compare(Box<Comparison>),
    /// Go on when the message of this step is over.
    Await(usize),
    /// Go on when all messages so far are over.
    Fence,
    /// Make the board, and tell all others where it is.
    MakeBoard,
    /// The board is where this word says, which has come.
    FindBoard(*const u64),
    /// Go on if there is no memory for the board.
    Board,
}

/// A message in work.
struct Part {
    /// Its request.
    raw: usize,
    /// Its step.
    step: usize,
}

/// A collective in work, or one that can be started again.
pub struct Schedule {
    called: Called,
    form: Form,
    core: Arc<CommCore>,
    /// Which one of its communicator it is (see [`Made`]), and the tag of its first lane.
    number: u32,
    tag: c_int,
    /// What it does on a board, while there may be one; the steps find out whether there is, and are the way without.
    on_board: Option<(Arc<Board>, BoardPart)>,
    steps: Vec<Step>,
    /// The step to begin with.
    first: usize,
    /// The step to do next.
    next: usize,
    /// Messages that are not over.
    parts: Vec<Part>,
    /// What went wrong first.
    error: Option<Box<Error>>,
    /// What `Combine` does, and with elements of which type.
    combine: Option<(Reduction, Arc<Type>)>,
    /// Memory that steps use.
    _own: Vec<Box<[MaybeUninit<u128>]>>,
    /// Is in `Schedules::ready`.
    queued: bool,
    /// A function of the user is at work on it.
    working: bool,
}

// SAFETY: the pointers are to memory that the user lent for the operation, or to memory of the schedule's own,
// whichever thread carries the steps out.
unsafe impl Send for Schedule {}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at step {} of {}", self.name(), self.next, self.steps.len())
    }
}

impl Schedule {
    /// What the user called.
    fn name(&self) -> String {
        self.form.name(self.called.call as u32)
    }

    /// What a status page says of it, if another call than the waiting one has started it.
    pub(crate) fn operation(&self) -> u32 {
        match self.form {
            Form::Blocking => 0,
            form => calls::operation(self.called.call as u32, form == Form::Persistent),
        }
    }

    /// Which one it is, and for whom it waits, for reports.
    pub(crate) fn turn(&self, raw: usize) -> told::Turn {
        let (kind, number) = (usize::from(self.form != Form::Persistent), self.number);
        let peer = |part: &Part| match self.steps.get(part.step) {
            Some(Step::Recv { from: peer, .. } | Step::Send { to: peer, .. }) => Some(*peer),
            _ => None,
        };
        let mut awaited: Vec<u32> = self.parts.iter().filter_map(peer).collect();
        if let Some((board, _)) = &self.on_board {
            board.awaited(raw, |world| {
                awaited.push(world);
                false
            });
        }
        awaited.sort_unstable();
        awaited.dedup();
        told::Turn { kind, number, awaited }
    }

    /// The context of its communicator.
    pub(crate) fn context(&self) -> u32 {
        self.core.context
    }

    /// A rank of the job that has to do something next, -1 = none in particular. On a board one that needs our own core
    /// goes first, as in an area.
    pub(crate) fn awaited(&self, e: &Engine, raw: usize) -> i32 {
        if let Some(world) = self.on_board.as_ref().and_then(|(board, _)| board.next(e, raw)) {
            return world.cast_signed();
        }
        let of = |part: &Part| match self.steps.get(part.step) {
            Some(Step::Recv { from, .. }) => Some(from.cast_signed()),
            _ => None,
        };
        self.parts.iter().find_map(of).unwrap_or(-1)
    }
}

/// Starts a collective; its request.
///
/// # Safety
/// The buffers are valid for what the operation reads and writes until the request is complete.
pub unsafe fn start(call: Call, what: &Collective, comm: Comm) -> Result<usize> {
    with(|e| {
        // SAFETY: the caller's word.
        unsafe {
            if let Some(raw) = e.start_lightly(call, what, comm)? {
                return Ok(raw);
            }
            let schedule = e.schedule(call, Form::Nonblocking, what, comm)?;
            Ok(e.start_schedule(schedule, comm))
        }
    })
}

/// Makes a request for a collective that can be started as often as the user likes.
///
/// # Safety
/// The buffers are valid for what the operation reads and writes whenever the request is active.
pub unsafe fn init(call: Call, what: &Collective, comm: Comm) -> Result<usize> {
    with(|e| {
        // SAFETY: the caller's word.
        let schedule = unsafe { e.schedule(call, Form::Persistent, what, comm) }?;
        let mut request = Request::active(Role::Collective(Some(schedule)), Payload::EMPTY, e.comm_raw(comm));
        request.state = State::Inactive;
        request.recipe = Some(Box::new(Recipe::Collective));
        Ok(e.requests.insert(request))
    })
}

/// Carries a collective out.
///
/// # Safety
/// The buffers are valid for what the operation reads and writes for the whole call.
pub unsafe fn run(call: Call, what: &Collective, comm: Comm) -> Result<()> {
    let (core, called, raw) = with(|e| {
        // SAFETY: the caller's word.
        let schedule = unsafe { e.schedule(call, Form::Blocking, what, comm) }?;
        let (core, called) = (Arc::clone(&schedule.core), schedule.called);
        Ok((core, called, e.start_schedule(schedule, comm)))
    })?;
    wait_for(&Turn { on: &core, via: &core, called }, raw)
}

/// The same for a collective that has begun.
///
/// # Safety
/// As for [`run`].
pub(super) unsafe fn run_on(turn: &Turn<'_>, what: &Collective, comm: Comm) -> Result<()> {
    let raw = with(|e| {
        // SAFETY: the caller's word.
        let schedule = unsafe { e.schedule_of(turn.called, what, comm) }?;
        Ok(e.start_schedule(schedule, comm))
    })?;
    wait_for(turn, raw)
}

fn wait_for(turn: &Turn<'_>, raw: usize) -> Result<()> {
    let waiting = with(|e| e.waiting_for(raw, turn.called.call));
    let outcome = disagree::wait_for(turn, waiting, |e| e.take_outcome(raw).transpose());
    outcome.inspect_err(|_| abandon(raw))??.error.map_or(Ok(()), |error| Err(*error))
}

impl Engine {
    /// Begins to carry out a schedule; its request.
    fn start_schedule(&mut self, schedule: Box<Schedule>, comm: Comm) -> usize {
        let request = Request::active(Role::Collective(Some(schedule)), Payload::EMPTY, self.comm_raw(comm));
        let raw = self.requests.insert(request);
        self.begin(raw);
        raw
    }

    /// Begins to carry out an active request's schedule.
    fn begin(&mut self, raw: usize) {
        let Some(Role::Collective(Some(schedule))) = self.requests.get(raw).map(|request| &request.role) else {
            return;
        };
        let Some((board, part)) = &schedule.on_board else { return self.advance(raw) };
        let (board, part) = (Arc::clone(board), *part);
        if !self.start_on_board(&board, raw, part) {
            self.advance(raw);
        }
    }

    /// Starts a persistent collective again.
    pub(crate) fn restart_collective(&mut self, raw: usize) {
        let Some(request) = self.requests.get_mut(raw) else { return };
        let Role::Collective(Some(schedule)) = &mut request.role else { return };
        schedule.next = schedule.first;
        request.state = State::Active;
        request.status = Status::EMPTY;
        if let Some((board, part)) = &schedule.on_board {
            let mut order = board.operations();
            // SAFETY: the operation is active from now on (who started it).
            match unsafe { order.begin(board, part) } {
                Begun::Over(None) => {
                    request.state = State::Complete;
                    self.progress_count += 1;
                    return;
                }
                Begun::Over(wrong) => {
                    drop(order);
                    return self.end_on_board(raw, wrong);
                }
                Begun::Given => {
                    self.progress_count += 1;
                    return self.boards.put(&mut order, board, raw, *part);
                }
                Begun::Nothing => {}
            }
        }
        self.begin(raw);
    }
}

/// What the standard forbids on requests of collectives.
#[cold]
pub(crate) fn forbidden(what: &str) -> Error {
    Error::new(
        MPI_ERR_REQUEST,
        format!("{what} of a collective: it must be completed by Wait or Test (MPI-5.0 sections 6.12 and 6.13)"),
    )
}
