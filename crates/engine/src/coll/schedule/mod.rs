//! Collectives as schedules: nonblocking and persistent ones, those of neighbours, and all on
//! intercommunicators (MPI-5.0 sections 6.12, 6.13, 8.7 to 8.9). README.md has the protocol.
//!
//! | file | does |
//! |---|---|
//! | here | what a schedule is; starting one, making one that is started later, one that is waited for |
//! | `bytes` | memory of a step |
//! | `build` | making steps, memory of the schedule's own |
//! | `fold` | steps that combine contributions in rank order |
//! | `run` | carrying steps out; messages that are over; what was given up |
//! | `work` | functions of the user, without the engine's lock |
//! | `plan/` | the steps of each collective |

mod build;
mod bytes;
mod fold;
mod plan;
mod run;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use run::Schedules;
pub(crate) use work::{is_due, work};

use super::Collective;
use crate::comm::CommCore;
use crate::datatype::Type;
use crate::op::Reduction;
use crate::payload::Payload;
use crate::request::persistent::Recipe;
use crate::request::{Request, Role, State, wait};
use crate::status::{Call, Status};
use crate::{Engine, Error, Result, with};
use bytes::Bytes;
use mpi_abi::Comm;
use mpi_abi::consts::MPI_ERR_REQUEST;
use shm::calls;
use shm::sync::{AtomicU32, Ordering};
use shm::told::Turn;
use std::ffi::c_int;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// Schedules use tags from here on, on the engine's context; those below belong to blocking collectives.
const FIRST_TAG: c_int = 16;
/// Tags of one schedule: streams of messages between two ranks, of which each is in order.
pub(super) const LANES: c_int = 64;
/// So many schedules have tags of their own before the numbers are used again: persistent ones, which live long, and
/// others.
const TAGGED: [u32; 2] = [1 << 22, 3 << 22];
const _: () = assert!((TAGGED[0] as i64 + TAGGED[1] as i64) * (LANES as i64) + (FIRST_TAG as i64) < (1 << 31) - 8);

/// How many schedules a communicator has made, persistent ones and others: all ranks make the same ones in the same
/// order. Counted under the engine's lock.
#[derive(Default)]
pub struct Made([AtomicU32; 2]);

impl Made {
    /// The first tag of the next one.
    fn tag(&self, form: Form) -> c_int {
        let which = usize::from(form != Form::Persistent);
        // All that passes through the counter is the number.
        let number = self.0[which].fetch_add(1, Ordering::Relaxed) % TAGGED[which];
        let before = if which == 0 { 0 } else { TAGGED[0] };
        FIRST_TAG + (before + number).cast_signed() * LANES
    }

    /// How many, as [`Turn`] counts them.
    pub(crate) fn counts(&self) -> [u32; 2] {
        [0, 1].map(|which: usize| self.0[which].load(Ordering::Relaxed) % TAGGED[which])
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
    /// Go on when the message of this step is over.
    Await(usize),
    /// Go on when all messages so far are over.
    Fence,
}

/// A message in work.
struct Part {
    /// Its request.
    raw: usize,
    /// Its step.
    step: usize,
}

/// How the user made it, which says what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Blocking,
    Nonblocking,
    Persistent,
}

/// A collective in work, or one that can be started again.
pub struct Schedule {
    call: Call,
    form: Form,
    core: Arc<CommCore>,
    /// Tag of its first lane.
    tag: c_int,
    steps: Vec<Step>,
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
        let name = super::call_name(self.call as u32);
        match self.form {
            Form::Blocking => name.to_owned(),
            Form::Nonblocking => format!("I{}", name.to_lowercase()),
            Form::Persistent => format!("{name}_init"),
        }
    }

    /// What a status page says of it, if another call than the waiting one has started it.
    pub(crate) fn operation(&self) -> u32 {
        match self.form {
            Form::Blocking => 0,
            form => calls::operation(self.call as u32, form == Form::Persistent),
        }
    }

    /// Which one it is, and for whom it waits, for reports.
    pub(crate) fn turn(&self) -> Turn {
        let number = ((self.tag - FIRST_TAG) / LANES).cast_unsigned();
        let (kind, number) = if number < TAGGED[0] { (0, number) } else { (1, number - TAGGED[0]) };
        let peer = |part: &Part| match self.steps.get(part.step) {
            Some(Step::Recv { from: peer, .. } | Step::Send { to: peer, .. }) => Some(*peer),
            _ => None,
        };
        let mut awaited: Vec<u32> = self.parts.iter().filter_map(peer).collect();
        awaited.sort_unstable();
        awaited.dedup();
        Turn { kind, number, awaited }
    }

    /// The context of its communicator.
    pub(crate) fn context(&self) -> u32 {
        self.core.context
    }

    /// A rank of the job whose message is awaited, -1 = none in particular.
    pub(crate) fn awaited(&self) -> i32 {
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
    // SAFETY: the caller's word.
    with(|e| unsafe { e.start_collective(call, Form::Nonblocking, what, comm) })
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
    // SAFETY: the caller's word.
    let raw = with(|e| unsafe { e.start_collective(call, Form::Blocking, what, comm) })?;
    wait::wait_or_abandon(call, raw)?.error.map_or(Ok(()), |error| Err(*error))
}

impl Engine {
    /// # Safety
    /// As for [`start`].
    unsafe fn start_collective(&mut self, call: Call, form: Form, what: &Collective, comm: Comm) -> Result<usize> {
        // SAFETY: the caller's word.
        let schedule = unsafe { self.schedule(call, form, what, comm) }?;
        let request = Request::active(Role::Collective(Some(schedule)), Payload::EMPTY, self.comm_raw(comm));
        let raw = self.requests.insert(request);
        self.advance(raw);
        Ok(raw)
    }

    /// Starts a persistent collective again.
    pub(crate) fn restart_collective(&mut self, raw: usize) {
        let Some(request) = self.requests.get_mut(raw) else { return };
        let Role::Collective(Some(schedule)) = &mut request.role else { return };
        schedule.next = 0;
        request.state = State::Active;
        request.status = Status::EMPTY;
        self.advance(raw);
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
