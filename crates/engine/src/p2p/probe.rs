//! Probe and matched probe (MPI-5.0 section 3.8).

use super::matching::{Body, Unexpected};
use super::unfit::OBJECT;
use crate::check::About;
use crate::copy::copy;
use crate::payload::Payload;
use crate::progress::{self, wait_for};
use crate::request::{RecvState, Request, Role};
use crate::status::{Call, Status, Waiting};
use crate::{Engine, Error, Result, lock, with};
use mpi_abi::consts::{MPI_ERR_REQUEST, MPI_MESSAGE_NO_PROC};
use mpi_abi::{Comm, Datatype, Message};
use std::ffi::c_int;

/// A message that a matched probe took out of the queue.
pub struct Matched {
    context: u32,
    pub(crate) comm: usize,
    pub(crate) message: Unexpected,
}

impl Engine {
    fn peek_status(&mut self, context: u32, source: i32, tag: c_int) -> Option<Status> {
        let (from, tag, bytes) = self.contexts.peek(context, source, tag)?;
        let source = self.contexts.source_rank(context, from);
        Some(Status { source, tag, bytes: bytes as u64, ..Status::EMPTY })
    }

    fn take_matched(&mut self, comm: Comm, context: u32, source: i32, tag: c_int) -> Option<(Message, Status)> {
        let status = self.peek_status(context, source, tag)?;
        let message = self.contexts.match_receive(context, source, tag)?;
        let comm = self.comm_raw(comm);
        let raw = self.messages.insert(Matched { context, comm, message });
        Some((Message(raw), status))
    }

    /// Takes the first message that fits out of the queue if all its bytes are here.
    ///
    /// # Safety
    /// `buffer` is valid for writes of the message's bytes.
    unsafe fn take_whole(&mut self, context: u32, source: i32, tag: c_int, buffer: *mut u8) -> bool {
        let all_here = |body: &Body| matches!(body, Body::Small(..) | Body::Whole(_));
        match self.contexts.match_receive_if(context, source, tag, all_here).map(|message| message.body) {
            // SAFETY: the bytes are ours, the caller vouches for the buffer.
            Some(Body::Small(words, len)) => unsafe { copy(buffer, words.as_ptr().cast(), len) },
            // SAFETY: as above.
            Some(Body::Whole(bytes)) => unsafe { copy(buffer, bytes.as_ptr(), bytes.len()) },
            _ => return false,
        }
        true
    }
}

/// Waits for a message that fits; it stays in the queue (MPI_Probe).
pub fn probe(source: c_int, tag: c_int, comm: Comm) -> Result<Status> {
    let Some(route) = with(|e| e.route_recv(comm, source, tag))? else { return Ok(Status::PROC_NULL) };
    let what = Waiting::message(Call::Probe, route.peer, tag, route.context);
    wait_for(what, |e| e.peek_status(route.context, route.peer, tag))
}

/// One look for a message that fits (MPI_Iprobe).
pub fn iprobe(source: c_int, tag: c_int, comm: Comm) -> Result<Option<Status>> {
    let Some(route) = with(|e| e.route_recv(comm, source, tag))? else { return Ok(Some(Status::PROC_NULL)) };
    progress::poll(|e| Ok(e.peek_status(route.context, route.peer, tag)))
}

/// Waits for a message that fits and takes it out of the queue (MPI_Mprobe).
pub fn mprobe(source: c_int, tag: c_int, comm: Comm) -> Result<(Message, Status)> {
    let Some(route) = with(|e| e.route_recv(comm, source, tag))? else {
        return Ok((MPI_MESSAGE_NO_PROC, Status::PROC_NULL));
    };
    let what = Waiting::message(Call::Mprobe, route.peer, tag, route.context);
    wait_for(what, |e| e.take_matched(comm, route.context, route.peer, tag))
}

/// What [`receive_or_probe`] found.
pub enum Found {
    /// The message, received.
    Received(Status),
    /// A matched message to be received.
    Matched(Message, Status),
}

/// Waits for a message that fits, and receives it at once if it is all here and has at most `room` bytes;
/// else as [`mprobe`]. Saves a client that does not know sizes the way through a message handle.
///
/// # Safety
/// `buffer` is valid for writes of `room` bytes.
pub unsafe fn receive_or_probe(buffer: *mut u8, room: usize, source: c_int, tag: c_int, comm: Comm) -> Result<Found> {
    let mut e = lock();
    let Some(route) = e.route_recv(comm, source, tag)? else {
        return Ok(Found::Matched(MPI_MESSAGE_NO_PROC, Status::PROC_NULL));
    };
    if let Ok(from) = u32::try_from(route.peer) {
        let looks = e.direct_looks(from);
        let mut payload = Payload::Run { base: buffer, len: room };
        if let Some(outcome) = e.receive_directly(from, route.context, tag, &mut payload, looks, OBJECT) {
            return outcome.map(Found::Received);
        }
    }
    drop(e);
    let what = Waiting::message(Call::Recv, route.peer, tag, route.context);
    wait_for(what, |e| {
        let status = e.peek_status(route.context, route.peer, tag)?;
        // SAFETY: the caller vouches for the buffer.
        if status.bytes <= room as u64 && unsafe { e.take_whole(route.context, route.peer, tag, buffer) } {
            return Some(Found::Received(status));
        }
        let (message, status) = e.take_matched(comm, route.context, route.peer, tag)?;
        Some(Found::Matched(message, status))
    })
}

/// One look for a message that fits; if there is one it is taken out (MPI_Improbe).
pub fn improbe(source: c_int, tag: c_int, comm: Comm) -> Result<Option<(Message, Status)>> {
    let Some(route) = with(|e| e.route_recv(comm, source, tag))? else {
        return Ok(Some((MPI_MESSAGE_NO_PROC, Status::PROC_NULL)));
    };
    progress::poll(|e| Ok(e.take_matched(comm, route.context, route.peer, tag)))
}

/// Starts the receive of a matched message (MPI_Imrecv; with a wait, MPI_Mrecv).
///
/// # Safety
/// The buffer is valid for writes of `count` elements of `datatype` until the request is complete.
pub unsafe fn imrecv(buffer: *mut u8, count: usize, datatype: Datatype, message: Message) -> Result<usize> {
    with(|e| {
        if message == MPI_MESSAGE_NO_PROC {
            let comm = e.world_comm;
            return Ok(e.requests.insert(Request::complete(Status::PROC_NULL, comm)));
        }
        // SAFETY: the caller vouches for the buffer until completion.
        let payload = unsafe { e.payload(buffer, count, datatype) }?;
        e.check_start(About::receive(buffer, count, datatype))?;
        let Some(matched) = e.messages.remove(message.0) else {
            let why = crate::handle::explain(e.messages.why_stale(message.0));
            return Err(Error::new(MPI_ERR_REQUEST, format!("{:#x} is no message: {why}", message.0)));
        };
        let (from, tag) = (matched.message.from.cast_signed(), matched.message.tag);
        let state = RecvState::new(from, matched.context, tag, datatype);
        let raw = e.requests.insert(Request::active(Role::Recv(state), payload, matched.comm));
        e.begin_operation(raw);
        e.deliver_unexpected(raw, matched.message);
        Ok(raw)
    })
}
