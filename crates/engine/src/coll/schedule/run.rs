//! Carrying schedules out: a step after the other until one has to wait. What lets it go on is the end of a
//! message, which puts the schedule into a queue that `Engine::progress` looks at.

use super::{BOARD_LANE, Called, Form, Part, Schedule, Step};
use crate::coll::board::Wrong;
use crate::comm::CommCore;
use crate::p2p::{Mode, Route};
use crate::payload::Payload;
use crate::progress::wait_out;
use crate::request::{Request, Role};
use crate::status::Status;
use crate::{Engine, Error, with};
use mpi_abi::consts::{MPI_COMM_WORLD, MPI_ERR_TRUNCATE};
use std::sync::Arc;

/// Schedules that something is to be done for.
#[derive(Default)]
pub(crate) struct Schedules {
    /// Requests of schedules whose awaited messages are over.
    ready: Vec<usize>,
    /// Requests of schedules that wait for a function of the user to be called.
    pub(super) due: Vec<usize>,
}

impl Schedules {
    /// Whether any can go on.
    #[inline]
    pub(crate) fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

/// Why no further step is done now.
#[derive(PartialEq, Eq)]
enum Stop {
    /// For messages.
    Waits,
    /// For a function of the user.
    Due,
    /// There is none.
    Over,
}

impl Engine {
    /// Goes on with all that can; true, for something was done.
    #[cold]
    pub(crate) fn advance_ready(&mut self) -> bool {
        // What becomes ready meanwhile has its turn too.
        while let Some(raw) = self.schedules.ready.pop() {
            self.advance(raw);
        }
        true
    }

    /// Goes on with a schedule as far as that is possible now.
    pub(super) fn advance(&mut self, raw: usize) {
        let active = self.requests.get_mut(raw).filter(|request| request.is_active());
        let Some(Role::Collective(place)) = active.map(|request| &mut request.role) else { return };
        // One that has failed meanwhile is over. Out of the table, for its steps need the engine.
        let Some(mut schedule) = place.take() else { return };
        schedule.queued = false;
        let stop = if schedule.working { Stop::Waits } else { self.carry_out(raw, &mut schedule) };
        let Some(request) = self.requests.get_mut(raw) else { return };
        match stop {
            Stop::Waits => {
                let board = schedule.on_board.as_ref().map(|(board, _)| Arc::clone(board));
                request.role = Role::Collective(Some(schedule));
                if let Some(board) = board {
                    self.move_board(&board);
                }
            }
            Stop::Due => {
                request.role = Role::Collective(Some(schedule));
                self.schedules.due.push(raw);
            }
            Stop::Over => {
                let error = schedule.error.take();
                request.role = Role::Collective(Some(schedule));
                self.end_schedule(raw, error);
            }
        }
    }

    /// A schedule has done its part on a board.
    #[inline]
    pub(in crate::coll) fn end_on_board(&mut self, raw: usize, wrong: Option<Wrong>) {
        let error = wrong.and_then(|wrong| self.wrong_part(raw, &wrong));
        self.end_schedule(raw, error);
    }

    #[cold]
    fn wrong_part(&self, raw: usize, wrong: &Wrong) -> Option<Box<Error>> {
        let (core, form, called) = self.requests.get(raw)?.collective()?;
        let world = core.group.world_rank(wrong.rank)?;
        Some(Box::new(wrong_length(core, &form.name(called.call as u32), world.cast_signed(), wrong.sent, wrong.room)))
    }

    /// A schedule is over.
    fn end_schedule(&mut self, raw: usize, error: Option<Box<Error>>) {
        let Some(request) = self.requests.get_mut(raw) else { return };
        request.status = Status::EMPTY;
        request.error = error;
        if request.recipe.is_none() {
            request.role = Role::Collective(None);
        }
        self.complete_request(raw);
    }

    fn carry_out(&mut self, raw: usize, schedule: &mut Schedule) -> Stop {
        while let Some(step) = schedule.steps.get(schedule.next) {
            let outcome = match step {
                Step::Fence if schedule.parts.is_empty() => Ok(None),
                Step::Await(step) if schedule.parts.iter().all(|part| part.step != *step) => Ok(None),
                Step::Fence | Step::Await(_) => return Stop::Waits,
                Step::Board if schedule.on_board.is_some() => return Stop::Waits,
                Step::Board => Ok(None),
                Step::MakeBoard => self.make_board(raw, schedule),
                Step::FindBoard(word) => {
                    // SAFETY: the schedule's own memory, in which the message has been received.
                    let offset = unsafe { word.read() };
                    self.find_board(raw, schedule, offset)
                }
                Step::Copy { from, to } => {
                    // SAFETY: valid while the schedule is active, and apart (its maker).
                    unsafe { from.copy_to(to) };
                    Ok(None)
                }
                Step::Combine { out, a, b, n } => {
                    let Some((reduction, _)) = &schedule.combine else { return Stop::Over };
                    if reduction.is_user() {
                        return Stop::Due;
                    }
                    // SAFETY: valid while the schedule is active, and apart as `apply3` wants it (`fold`).
                    unsafe { reduction.apply3(*out, *a, *b, *n) };
                    Ok(None)
                }
                // SAFETY: a fence before it has waited for what is compared; the memory is the schedule's.
                Step::Compare(comparison) => unsafe { comparison.check() }.map(|()| None),
                Step::Send { to, lane, bytes } => {
                    self.send_part(raw, route(&schedule.core, *to), schedule.tag + lane, bytes.payload())
                }
                Step::Recv { from, lane, bytes } => {
                    self.recv_part(raw, schedule, route(&schedule.core, *from), schedule.tag + lane, bytes.payload())
                }
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(part)) => schedule.parts.push(Part { raw: part, step: schedule.next }),
                // The other ranks wait for us all the same: it goes on as well as it can.
                Err(error) => drop(schedule.error.get_or_insert(Box::new(error))),
            }
            schedule.next += 1;
        }
        if schedule.parts.is_empty() { Stop::Over } else { Stop::Waits }
    }

    /// Makes the board of a schedule, and tells the others where it is.
    #[cold]
    fn make_board(&mut self, raw: usize, schedule: &mut Schedule) -> crate::Result<Option<usize>> {
        let Some((board, _)) = &schedule.on_board else { return Ok(None) };
        let offset = board.make(self);
        let tag = schedule.tag + BOARD_LANE as std::ffi::c_int;
        for other in schedule.core.group.iter().skip(1) {
            let payload = Payload::Owned(offset.to_ne_bytes().into());
            let message = self.start_send(
                None,
                route(&schedule.core, other),
                tag,
                payload,
                MPI_COMM_WORLD,
                Mode::Standard,
                false,
            )?;
            // It leaves the table by itself.
            match self.requests.get_mut(message) {
                Some(request) if request.is_active() => request.detached = true,
                _ => drop(self.requests.remove(message)),
            }
        }
        self.find_board(raw, schedule, offset)
    }

    /// The board of a schedule is at `offset`: what waits for that goes on.
    #[cold]
    fn find_board(&mut self, raw: usize, schedule: &mut Schedule, offset: u64) -> crate::Result<Option<usize>> {
        schedule.first = schedule.next + 1;
        let Some((board, _)) = &schedule.on_board else { return Ok(None) };
        let (without, outcome) = board.found(self, offset);
        for other in without {
            if other == raw {
                schedule.on_board = None;
            } else if let Some(Role::Collective(Some(other_schedule))) =
                self.requests.get_mut(other).map(|request| &mut request.role)
            {
                other_schedule.on_board = None;
                if !std::mem::replace(&mut other_schedule.queued, true) {
                    self.schedules.ready.push(other);
                }
            }
        }
        outcome.map(|()| None)
    }

    /// Starts a send; its request if it is not over.
    fn send_part(
        &mut self,
        owner: usize,
        route: Route,
        tag: std::ffi::c_int,
        payload: Payload,
    ) -> crate::Result<Option<usize>> {
        if self.try_send_now(route, tag, &payload)? {
            return Ok(None);
        }
        let raw = self.start_send(None, route, tag, payload, MPI_COMM_WORLD, Mode::Standard, false)?;
        match self.adopt(raw, owner) {
            None => Ok(Some(raw)),
            Some(over) => over.error.map_or(Ok(None), |error| Err(*error)),
        }
    }

    /// Starts a receive; its request if it is not over.
    fn recv_part(
        &mut self,
        owner: usize,
        schedule: &Schedule,
        route: Route,
        tag: std::ffi::c_int,
        payload: Payload,
    ) -> crate::Result<Option<usize>> {
        let raw = self.start_recv(None, route, tag, payload, MPI_COMM_WORLD);
        match self.adopt(raw, owner) {
            None => Ok(Some(raw)),
            Some(over) => schedule.look_at(&over).map_or(Ok(None), Err),
        }
    }

    /// Makes a request a part of its owner; taken out of the table if it is over.
    fn adopt(&mut self, raw: usize, owner: usize) -> Option<Request> {
        let request = self.requests.get_mut(raw)?;
        if request.is_active() {
            request.detached = true;
            request.comm = owner;
            return None;
        }
        self.requests.remove(raw)
    }

    /// A message that was a part of a schedule is over, and its request gone.
    pub(crate) fn part_is_over(&mut self, raw: usize, request: &Request) {
        let owner = request.comm;
        let Some(Role::Collective(Some(schedule))) = self.requests.get_mut(owner).map(|owner| &mut owner.role) else {
            return;
        };
        let Some(at) = schedule.parts.iter().position(|part| part.raw == raw) else { return };
        schedule.parts.swap_remove(at);
        if let Some(error) = schedule.look_at(request) {
            schedule.error.get_or_insert(Box::new(error));
        }
        let goes_on = match schedule.steps.get(schedule.next) {
            Some(Step::Await(step)) => schedule.parts.iter().all(|part| part.step != *step),
            Some(Step::Fence) | None => schedule.parts.is_empty(),
            // It does not wait for messages now.
            _ => false,
        };
        if goes_on && !schedule.working && !std::mem::replace(&mut schedule.queued, true) {
            self.schedules.ready.push(owner);
        }
    }

    /// Whether somebody else may write into memory of the schedule `raw` now: another process, or a function of
    /// the user in another thread.
    pub(crate) fn is_worked_on(&self, raw: usize) -> bool {
        let Some(Role::Collective(Some(schedule))) = self.requests.get(raw).map(|request| &request.role) else {
            return false;
        };
        let shared = |part: &Part| match self.requests.get(part.raw).map(|request| &request.role) {
            Some(Role::Recv(recv)) => recv.shared,
            _ => false,
        };
        schedule.working || schedule.parts.iter().any(shared)
    }

    /// A schedule in work ends with an error: what it has begun goes on with bytes of our own.
    #[cold]
    fn fail_schedule(&mut self, raw: usize, error: &Error) {
        let Some(request) = self.requests.get_mut(raw).filter(|request| request.is_active()) else { return };
        let mut parts = Vec::new();
        match &mut request.role {
            Role::Collective(Some(schedule)) => {
                parts = std::mem::take(&mut schedule.parts);
                schedule.next = schedule.steps.len();
                if let Some((board, _)) = &schedule.on_board {
                    board.break_up();
                }
            }
            Role::OnBoard(collective) => collective.break_up(),
            _ => return,
        }
        if request.recipe.is_none() {
            request.role = Role::Collective(None);
        }
        for part in parts {
            self.abandon_request(part.raw);
        }
        self.fail_request(raw, error.clone());
        self.something_happened();
    }

    /// The call that started a schedule is given up: what it has begun goes on with bytes of our own.
    #[cold]
    pub(crate) fn abandon_schedule(&mut self, raw: usize) {
        let Some(mut request) = self.requests.remove(raw) else { return };
        let Role::Collective(Some(schedule)) = &mut request.role else { return };
        for part in std::mem::take(&mut schedule.parts) {
            self.abandon_request(part.raw);
        }
    }
}

impl Request {
    /// Communicator, form and call of a collective in work.
    fn collective(&self) -> Option<(&Arc<CommCore>, Form, Called)> {
        match &self.role {
            Role::Collective(Some(schedule)) => Some((&schedule.core, schedule.form, schedule.called)),
            Role::OnBoard(collective) => Some((&collective.core, Form::Nonblocking, collective.called)),
            _ => None,
        }
    }

    /// Communicator and call of a collective in work that the user has a request for.
    pub(crate) fn started_collective(&self) -> Option<(&Arc<CommCore>, Called)> {
        let started = self.collective().filter(|(_, form, _)| self.is_active() && *form != Form::Blocking);
        started.map(|(core, _, called)| (core, called))
    }
}

/// All collectives of a communicator from the `number`-th on that the user has requests for end with `error`.
#[cold]
pub(crate) fn fail_from(core: &Arc<CommCore>, number: u32, error: &Error) {
    let concerned = |request: &Request| {
        let started = request.started_collective();
        started.is_some_and(|(on, called)| Arc::ptr_eq(on, core) && called.number >= number)
    };
    let raws: Vec<usize> =
        with(|e| e.requests.iter().filter(|(_, request)| concerned(request)).map(|(raw, _)| raw).collect());
    for raw in raws {
        // As when a call is given up: nobody writes into the user's memory any more.
        wait_out(|e| !e.is_worked_on(raw));
        with(|e| e.fail_schedule(raw, error));
    }
}

fn route(core: &CommCore, peer: u32) -> Route {
    Route { context: core.context + 1, peer: peer.cast_signed() }
}

impl Schedule {
    /// What is wrong with a message that is over.
    fn look_at(&self, request: &Request) -> Option<Error> {
        if let Role::Recv(recv) = &request.role
            && recv.total != request.payload.len()
        {
            return Some(self.wrong_length(recv.source, recv.total, request.payload.len()));
        }
        request.error.as_deref().cloned()
    }

    #[cold]
    fn wrong_length(&self, from: i32, sent: usize, room: usize) -> Error {
        wrong_length(&self.core, &self.name(), from, sent, room)
    }
}

/// `from` has sent another number of bytes than there is room for.
#[cold]
fn wrong_length(core: &CommCore, name: &str, from: i32, sent: usize, room: usize) -> Error {
    let world = from.cast_unsigned();
    let (near, far) = (&core.group, core.peers());
    let (rank, which) = match (far.rank_of(world), near.rank_of(world)) {
        (Some(rank), _) if core.remote.is_some() => (rank, " of the other group"),
        (Some(rank), _) | (None, Some(rank)) => (rank, ""),
        (None, None) => (world, " of the job"),
    };
    Error::new(
        MPI_ERR_TRUNCATE,
        format!(
            "{name}: rank {rank}{which} sent {sent} bytes where {room} were expected: counts and types must agree on \
             all ranks"
        ),
    )
}
