//! Requests: the one completion mechanism for everything nonblocking and persistent (MPI-5.0
//! section 3.7). Blocking calls use one internally when they can not finish at once.
//!
//! | state | meaning | leaves by |
//! |---|---|---|
//! | `Inactive` | persistent, not started | `start` |
//! | `Active` | the engine works on it; only `protocol` changes it | `complete` |
//! | `Complete` | status and error are final | `take` (wait, test), which frees it or makes it `Inactive` |
//!
//! `detached` (freed by the user while active, or internal) requests leave the table by
//! themselves when they complete.

mod abandon;
pub mod grequest;
mod pair;
pub mod persistent;
pub mod wait;

pub(crate) use abandon::abandon;

use crate::coll::schedule::{OnBoard, Schedule};
use crate::handle::Kind;
use crate::p2p::partitioned::Partitioned;
use crate::payload::Payload;
use crate::status::Status;
use crate::{Engine, Error};
use mpi_abi::Datatype;
use std::ffi::c_int;

/// See the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Persistent and not started.
    Inactive,
    /// In work.
    Active,
    /// Final.
    Complete,
}

/// A send in work.
#[derive(Debug)]
pub struct SendState {
    /// World rank of the receiver.
    pub peer: u32,
    /// Context of the communicator.
    pub context: u32,
    /// Its tag.
    pub tag: c_int,
    /// Bytes handed over so far.
    pub sent: usize,
    /// The receiver's request, once it answered.
    pub remote: u64,
    /// Completes only when the receiver says that it has matched (synchronous mode), or that it
    /// has read the bytes itself.
    pub awaits_fin: bool,
    /// It does so only because standard sends are to wait for their receives.
    pub held: bool,
    /// The sender waits in the call, so it can take part in the copying.
    pub blocking: bool,
    /// Has room in an attached buffer (buffered mode).
    pub buffered: bool,
    /// The call that sent it was given up: it may never be received.
    pub abandoned: bool,
    /// What is added to the context on the wire (`p2p::unfit`).
    pub mark: u32,
}

/// A receive in work.
#[derive(Debug)]
pub struct RecvState {
    /// World rank of the sender wanted, -1 = any; the actual one after the match.
    pub source: i32,
    /// Context of the communicator.
    pub context: u32,
    /// Tag wanted.
    pub tag: c_int,
    /// Whether a message was matched: it can not be cancelled any more.
    pub matched: bool,
    /// Bytes of the message.
    pub total: usize,
    /// Bytes that have arrived.
    pub arrived: usize,
    /// The sender writes a part into the buffer itself.
    pub shared: bool,
    /// Of what the buffer is.
    pub datatype: Datatype,
    /// The message is an object, and this is no receive for objects.
    pub object: bool,
}

impl RecvState {
    /// Not matched yet.
    pub fn new(source: i32, context: u32, tag: c_int, datatype: Datatype) -> Self {
        Self { source, context, tag, matched: false, total: 0, arrived: 0, shared: false, datatype, object: false }
    }
}

/// What a request is about.
#[derive(Debug)]
pub enum Role {
    /// Nothing is left to do: complete from the start.
    Nothing,
    /// A send.
    Send(SendState),
    /// A receive.
    Recv(RecvState),
    /// A send and a receive (their handles) that count as one.
    Pair {
        /// The send.
        send: usize,
        /// The receive.
        recv: usize,
    },
    /// A message in partitions; stays while the request is inactive.
    Partitioned(Box<Partitioned>),
    /// An operation of the user's own.
    General(grequest::Functions),
    /// A collective (nothing while its steps are carried out); stays while the request is inactive.
    Collective(Option<Box<Schedule>>),
    /// A nonblocking collective on a board, without steps.
    OnBoard(OnBoard),
}

/// One operation.
pub struct Request {
    /// Where it stands.
    pub state: State,
    /// What it does.
    pub role: Role,
    /// The bytes.
    pub payload: Payload,
    /// The outcome.
    pub status: Status,
    /// Why it failed.
    pub error: Option<Box<Error>>,
    /// Leaves the table when complete.
    pub detached: bool,
    /// The communicator's handle, for its error handler; of a message that is a part of a collective, the
    /// collective's request.
    pub comm: usize,
    /// How to start it again.
    pub recipe: Option<Box<persistent::Recipe>>,
}

impl Request {
    /// An active request.
    #[inline(always)]
    pub fn active(role: Role, payload: Payload, comm: usize) -> Self {
        Self {
            state: State::Active,
            role,
            payload,
            status: Status::EMPTY,
            error: None,
            detached: false,
            comm,
            recipe: None,
        }
    }

    /// Whether the engine still works on it.
    pub fn is_active(&self) -> bool {
        self.state == State::Active
    }

    /// Whether it is a send that must not be left behind at the end of MPI: one that was accepted,
    /// or whose request was freed (MPI_Request_free, buffered mode). Any other is the user's own, or was given up.
    pub fn is_unfinished_send(&self) -> bool {
        self.state == State::Active
            && !self.is_part()
            && matches!(&self.role, Role::Send(s) if s.remote != 0 || self.detached && !s.abandoned)
    }

    /// Whether it is a message of a collective's request.
    pub fn is_part(&self) -> bool {
        Kind::of(self.comm) == Some(Kind::Request)
    }

    /// A request that is complete from the start.
    pub fn complete(status: Status, comm: usize) -> Self {
        Self { state: State::Complete, status, ..Self::active(Role::Nothing, Payload::EMPTY, comm) }
    }
}

impl Engine {
    /// The last transition: `raw` is done, with what stands in its status and error.
    pub(crate) fn complete_request(&mut self, raw: usize) {
        let Some(request) = self.requests.get_mut(raw) else { return };
        request.state = State::Complete;
        if let Some(error) = &request.error {
            request.status.error = error.class;
        }
        if let Role::Send(send) = &request.role
            && send.buffered
        {
            request.payload = Payload::EMPTY;
            self.release_room(raw);
        }
        let gone = self.requests.get(raw).is_some_and(|r| r.detached && r.recipe.is_none());
        if gone && let Some(request) = self.requests.remove(raw) {
            self.detached_is_over(raw, &request);
        }
        self.progress_count += 1;
    }

    /// The request of a send that is over already.
    #[inline]
    pub(crate) fn sent_request(&mut self) -> usize {
        if self.sent == usize::MAX {
            self.sent = self.requests.insert(Request::complete(Status::EMPTY, self.world_comm));
        }
        self.sent
    }

    /// The request of a nonblocking collective that is over already.
    #[inline]
    pub(crate) fn collected_request(&mut self) -> usize {
        if self.collected == usize::MAX {
            let done = Request { role: Role::Collective(None), ..Request::complete(Status::EMPTY, self.world_comm) };
            self.collected = self.requests.insert(done);
        }
        self.collected
    }

    /// Whether `raw` stands for all operations of a kind that were over at once: it never leaves the table.
    #[inline]
    pub(crate) fn is_common(&self, raw: usize) -> bool {
        raw == self.sent || raw == self.collected
    }

    /// Ends `raw` with an error.
    #[cold]
    pub(crate) fn fail_request(&mut self, raw: usize, error: Error) {
        if let Some(request) = self.requests.get_mut(raw) {
            request.error = Some(Box::new(error));
        }
        self.complete_request(raw);
    }
}
