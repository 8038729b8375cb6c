//! Waiting for and testing requests, in all forms (MPI-5.0 sections 3.7.3 and 3.7.5). The shim
//! turns null handles into empty slots and writes statuses; here a handle is `0` when null.

use super::grequest::Functions;
use super::{Role, State, abandon};
use crate::coll::schedule::forbidden;
use crate::progress::{self, wait_for, wait_until};
use crate::status::{Call, Status, Waiting};
use crate::{Engine, Error, Result, with};
use mpi_abi::consts::{MPI_ANY_TAG, MPI_ERR_REQUEST, MPI_REQUEST_NULL};

/// The outcome of one completed request.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its status.
    pub status: Status,
    /// Why it failed, if it did.
    pub error: Option<Box<Error>>,
    /// The communicator whose error handler is told (its handle).
    pub comm: usize,
    /// Whether the handle is gone (false: persistent, now inactive).
    pub freed: bool,
    /// Of a generalized request: its functions, of which the first and the second are to be called.
    pub general: Option<Box<Functions>>,
}

impl Outcome {
    const NOTHING: Self = Self { status: Status::EMPTY, error: None, comm: 0, freed: false, general: None };

    /// Whether the request was null or inactive: the status is the empty one, its error included.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.comm == 0 && !self.freed
    }
}

/// Whether `raw` is the null request.
#[inline]
pub fn is_null(raw: usize) -> bool {
    raw == MPI_REQUEST_NULL.0
}

impl Engine {
    /// The outcome of `raw` if it is complete or inactive; the handle is used up if it is not
    /// persistent.
    #[inline]
    pub(crate) fn take_outcome(&mut self, raw: usize) -> Result<Option<Outcome>> {
        if self.is_common(raw) {
            return Ok(Some(Outcome { freed: true, ..Outcome::NOTHING }));
        }
        let Some(request) = self.requests.get_mut(raw) else { return Err(self.bad_request(raw)) };
        match request.state {
            State::Active if matches!(request.role, Role::Pair { .. }) => {
                if self.settle_pair(raw) {
                    self.take_outcome(raw)
                } else {
                    Ok(None)
                }
            }
            State::Active => Ok(None),
            State::Inactive => Ok(Some(Outcome::NOTHING)),
            State::Complete => {
                let mut outcome = Outcome {
                    status: request.status,
                    error: request.error.take(),
                    comm: request.comm,
                    freed: true,
                    general: request.functions().map(Box::new),
                };
                if request.recipe.is_some() {
                    request.state = State::Inactive;
                    outcome.freed = false;
                } else {
                    self.requests.remove(raw);
                }
                Ok(Some(outcome))
            }
        }
    }

    /// The same for a wait: an operation on a board may be complete by now.
    #[inline]
    fn take_outcome_now(&mut self, raw: usize) -> Result<Option<Outcome>> {
        match self.take_outcome(raw) {
            Ok(None) if self.look_at_boards() => self.take_outcome(raw),
            outcome => outcome,
        }
    }

    /// The status of `raw` to `give` if it has succeeded; its handle is used up. False: it is for [`take_outcome`],
    /// whatever it is.
    ///
    /// [`take_outcome`]: Self::take_outcome
    #[inline]
    fn take_plain(&mut self, raw: usize, give: impl FnOnce(&Status)) -> bool {
        if self.is_common(raw) {
            give(&Status::EMPTY);
            return true;
        }
        self.requests.drop_if(raw, |request| {
            let plain = request.state == State::Complete
                && request.error.is_none()
                && request.recipe.is_none()
                && !matches!(request.role, Role::General(_));
            if plain {
                give(&request.status);
            }
            plain
        })
    }

    /// Whether `raw` is active still.
    #[inline]
    fn is_pending(&mut self, raw: usize) -> Result<bool> {
        if self.is_common(raw) || self.requests.get(raw).is_some_and(|request| request.state == State::Complete) {
            return Ok(false);
        }
        Ok(self.readiness(raw)? == Readiness::Pending)
    }

    /// Whether `raw` would complete now; null and inactive ones count as `idle`.
    fn readiness(&mut self, raw: usize) -> Result<Readiness> {
        if is_null(raw) {
            return Ok(Readiness::Idle);
        }
        match self.requests.get(raw) {
            None => Err(self.bad_request(raw)),
            Some(r) => Ok(match r.state {
                State::Active if matches!(r.role, Role::Pair { .. }) => {
                    if self.settle_pair(raw) {
                        Readiness::Ready
                    } else {
                        Readiness::Pending
                    }
                }
                State::Active => Readiness::Pending,
                State::Inactive => Readiness::Idle,
                State::Complete => Readiness::Ready,
            }),
        }
    }

    #[cold]
    pub(crate) fn bad_request(&self, raw: usize) -> Error {
        Error::new(
            MPI_ERR_REQUEST,
            format!("{raw:#x} is no request: {}", crate::handle::explain(self.requests.why_stale(raw))),
        )
    }

    pub(crate) fn waiting_for(&self, raw: usize, call: Call) -> Waiting {
        match self.requests.get(raw).map(|r| &r.role) {
            Some(Role::Send(s)) => Waiting::message(call, s.peer.cast_signed(), s.tag, s.context),
            Some(Role::Recv(r)) => Waiting::message(call, r.source, r.tag, r.context),
            Some(Role::Partitioned(p)) => Waiting::message(call, p.peer.map_or(-1, u32::cast_signed), p.tag, p.context),
            Some(Role::Collective(Some(s))) => {
                let (context, next) = (s.context(), s.awaited(self, raw));
                Waiting { call, peer: -2, tag: MPI_ANY_TAG, context, next, raw }
            }
            Some(Role::OnBoard(collective)) => {
                let (context, next) = (collective.context(), collective.awaited(self, raw));
                Waiting { call, peer: -2, tag: MPI_ANY_TAG, context, next, raw }
            }
            _ => Waiting::anybody(call),
        }
        .on(raw)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Readiness {
    Idle,
    Pending,
    Ready,
}

/// Waits until `raw` is complete (MPI_Wait).
pub fn wait(raw: usize) -> Result<Outcome> {
    wait_in(Call::Wait, raw)
}

/// The same as a part of another call.
pub fn wait_in(call: Call, raw: usize) -> Result<Outcome> {
    if is_null(raw) {
        return Ok(Outcome::NOTHING);
    }
    wait_until(|e| e.waiting_for(raw, call), |e| e.take_outcome_now(raw).transpose())?
}

/// The same where the user does not have the request: when this returns, the buffer is no longer used.
pub fn wait_or_abandon(call: Call, raw: usize) -> Result<Outcome> {
    wait_in(call, raw).inspect_err(|_| abandon(raw))
}

/// One look whether `raw` is complete (MPI_Test).
pub fn test(raw: usize) -> Result<Option<Outcome>> {
    if is_null(raw) {
        return Ok(Some(Outcome::NOTHING));
    }
    progress::poll(|e| e.take_outcome(raw))
}

/// Waits for all (MPI_Waitall). Each goes either to `plain`, index and status, if it succeeded and its handle is
/// gone, or to `other`: both must not come back into the engine. A failed one does not stop the others.
pub fn wait_all(
    raws: &[usize],
    mut plain: impl FnMut(usize, &Status),
    mut other: impl FnMut(usize, Outcome),
) -> Result<()> {
    let about = |e: &mut Engine| {
        let first = raws.iter().copied().find(|r| !is_null(*r));
        first.map_or(Waiting::anybody(Call::Waitall), |r| e.waiting_for(r, Call::Waitall)).on(0)
    };
    let mut done = 0;
    // All handles are looked at before any is used up.
    wait_until(about, |e| {
        while let Some(&raw) = raws.get(done) {
            match e.is_pending(raw) {
                Ok(false) => done += 1,
                Ok(true) if e.look_at_boards() => {}
                Ok(true) => {
                    e.pending = raw;
                    return None;
                }
                Err(error) => return Some(Err(error)),
            }
        }
        Some(raws.iter().enumerate().try_for_each(|(index, &raw)| {
            if !e.take_plain(raw, |status| plain(index, status)) {
                other(index, take(e, raw)?);
            }
            Ok(())
        }))
    })?
}

fn take(e: &mut Engine, raw: usize) -> Result<Outcome> {
    if is_null(raw) {
        return Ok(Outcome::NOTHING);
    }
    Ok(e.take_outcome(raw)?.unwrap_or(Outcome::NOTHING))
}

/// All outcomes if all are complete, else nothing happens (MPI_Testall).
pub fn test_all(raws: &[usize]) -> Result<Option<Vec<Outcome>>> {
    progress::poll(|e| {
        for &raw in raws {
            if e.readiness(raw)? == Readiness::Pending {
                return Ok(None);
            }
        }
        raws.iter().map(|&r| take(e, r)).collect::<Result<_>>().map(Some)
    })
}

/// What [`wait_any`] found.
#[derive(Debug)]
pub enum Any {
    /// No request is active: MPI_UNDEFINED.
    NoneActive,
    /// This one completed.
    Index(usize, Outcome),
}

fn look_for_any(e: &mut Engine, raws: &[usize]) -> Result<Option<Any>> {
    let mut active = false;
    for (index, &raw) in raws.iter().enumerate() {
        match e.readiness(raw)? {
            Readiness::Ready => return Ok(Some(Any::Index(index, take(e, raw)?))),
            Readiness::Pending => {
                e.pending = raw;
                active = true;
            }
            Readiness::Idle => {}
        }
    }
    Ok((!active).then_some(Any::NoneActive))
}

/// Waits until one is complete (MPI_Waitany).
pub fn wait_any(raws: &[usize]) -> Result<Any> {
    wait_for(Waiting::anybody(Call::Waitany), |e| look_for_any(e, raws).transpose())?
}

/// One look for one that is complete (MPI_Testany).
pub fn test_any(raws: &[usize]) -> Result<Option<Any>> {
    progress::poll(|e| look_for_any(e, raws))
}

/// What [`wait_some`] found: none if no request is active.
pub type Some_ = Option<Vec<(usize, Outcome)>>;

fn look_for_some(e: &mut Engine, raws: &[usize]) -> Result<(bool, Vec<(usize, Outcome)>)> {
    let mut active = false;
    let mut found = Vec::new();
    let states = raws.iter().map(|&r| e.readiness(r)).collect::<Result<Vec<_>>>()?;
    for (index, state) in states.into_iter().enumerate() {
        active |= state != Readiness::Idle;
        if state == Readiness::Pending {
            e.pending = raws[index];
        }
        if state == Readiness::Ready {
            found.push((index, take(e, raws[index])?));
        }
    }
    Ok((active, found))
}

/// Waits until some are complete (MPI_Waitsome).
pub fn wait_some(raws: &[usize]) -> Result<Some_> {
    wait_for(Waiting::anybody(Call::Waitsome), |e| match look_for_some(e, raws) {
        Err(error) => Some(Err(error)),
        Ok((false, _)) => Some(Ok(None)),
        Ok((true, found)) => (!found.is_empty()).then_some(Ok(Some(found))),
    })?
}

/// Those that are complete now (MPI_Testsome).
pub fn test_some(raws: &[usize]) -> Result<Some_> {
    progress::poll(|e| look_for_some(e, raws).map(|(active, found)| active.then_some(found)))
}

/// What a look at a complete request shows.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Its status.
    pub status: Status,
    /// Whether the request is null or inactive: the status is the empty one, its error included.
    pub idle: bool,
    /// Of a generalized request: its functions, of which the first is to be called.
    pub general: Option<Functions>,
}

impl Seen {
    const NOTHING: Self = Self { status: Status::EMPTY, idle: true, general: None };
}

/// The status of `raw` if it is complete, without using it up (MPI_Request_get_status).
pub fn get_status(raw: usize) -> Result<Option<Seen>> {
    if is_null(raw) {
        return Ok(Some(Seen::NOTHING));
    }
    progress::poll(|e| e.status_now(raw))
}

impl Engine {
    /// The status of `raw` if it is complete, null or inactive.
    fn status_now(&mut self, raw: usize) -> Result<Option<Seen>> {
        Ok(match self.readiness(raw)? {
            Readiness::Pending => None,
            Readiness::Idle => Some(Seen::NOTHING),
            Readiness::Ready => self.requests.get(raw).map(|request| Seen {
                status: request.status,
                idle: false,
                general: request.functions(),
            }),
        })
    }
}

/// The statuses of all if all are complete; nothing is used up (MPI_Request_get_status_all).
pub fn get_status_all(raws: &[usize]) -> Result<Option<Vec<Seen>>> {
    progress::poll(|e| raws.iter().map(|&raw| e.status_now(raw)).collect())
}

/// What [`get_status_any`] found.
#[derive(Debug)]
pub enum AnyStatus {
    /// No request is active: MPI_UNDEFINED.
    NoneActive,
    /// This one is complete.
    Index(usize, Seen),
}

/// One that is complete, which stays as it is (MPI_Request_get_status_any).
pub fn get_status_any(raws: &[usize]) -> Result<Option<AnyStatus>> {
    progress::poll(|e| {
        let states = raws.iter().map(|&raw| e.readiness(raw)).collect::<Result<Vec<_>>>()?;
        if let Some(index) = states.iter().position(|state| *state == Readiness::Ready) {
            let seen = e.status_now(raws[index])?.unwrap_or(Seen::NOTHING);
            return Ok(Some(AnyStatus::Index(index, seen)));
        }
        Ok(states.iter().all(|state| *state == Readiness::Idle).then_some(AnyStatus::NoneActive))
    })
}

/// Those that are complete, which stay as they are (MPI_Request_get_status_some); none if no request is active.
pub fn get_status_some(raws: &[usize]) -> Result<Option<Vec<(usize, Seen)>>> {
    let found = progress::poll(|e| {
        let states = raws.iter().map(|&raw| e.readiness(raw)).collect::<Result<Vec<_>>>()?;
        if states.iter().all(|state| *state == Readiness::Idle) {
            return Ok(Some(None));
        }
        let mut found = Vec::new();
        for (index, _) in states.iter().enumerate().filter(|(_, state)| **state == Readiness::Ready) {
            found.push((index, e.status_now(raws[index])?.unwrap_or(Seen::NOTHING)));
        }
        Ok((!found.is_empty()).then_some(Some(found)))
    })?;
    Ok(found.unwrap_or_else(|| Some(Vec::new())))
}

/// Gives the handle up; the operation goes on to its end (MPI_Request_free). Of a generalized request that
/// is complete, its functions: the one that frees is to be called now.
pub fn free(raw: usize) -> Result<Option<Functions>> {
    with(|e| {
        if e.is_common(raw) {
            return Ok(None);
        }
        e.settle_pair(raw);
        let Some(request) = e.requests.get_mut(raw) else { return Err(e.bad_request(raw)) };
        if let (State::Active, &Role::Pair { send, recv }) = (request.state, &request.role) {
            e.requests.remove(raw);
            e.detach_pair(send, recv);
            return Ok(None);
        }
        if matches!(request.role, Role::Collective(_) | Role::OnBoard(_)) {
            if request.state == State::Active {
                return Err(forbidden("MPI_Request_free of the active request"));
            }
            e.requests.remove(raw);
            return Ok(None);
        }
        request.recipe = None;
        if request.state == State::Active {
            request.detached = true;
            return Ok(None);
        }
        Ok(e.requests.remove(raw).and_then(|request| request.functions()))
    })
}

/// Asks to cancel (MPI_Cancel): what nobody has matched ends as cancelled; anything else goes on to its normal
/// end. Of a generalized request, its functions, of which the one that cancels is to be called, and whether the
/// request is complete.
pub fn cancel(raw: usize) -> Result<Option<(Functions, bool)>> {
    with(|e| {
        let Some(request) = e.requests.get(raw) else { return Err(e.bad_request(raw)) };
        match (&request.state, &request.role) {
            (State::Active, Role::Recv(recv)) if !recv.matched => {
                let context = recv.context;
                if e.contexts.withdraw(context, raw)
                    && let Some(request) = e.requests.get_mut(raw)
                {
                    request.status = Status { cancelled: true, ..Status::EMPTY };
                    e.complete_request(raw);
                }
            }
            (State::Active, Role::Send(_)) => e.cancel_send(raw),
            (_, Role::Collective(_) | Role::OnBoard(_)) => return Err(forbidden("MPI_Cancel of the request")),
            (state, Role::General(functions)) => return Ok(Some((*functions, *state == State::Complete))),
            _ => {}
        }
        // Another thread may wait for it.
        if e.sleepers.any() {
            e.wake_own_threads();
        }
        Ok(None)
    })
}
