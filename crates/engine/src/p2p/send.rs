//! Sends in all modes, blocking and nonblocking (MPI-5.0 sections 3.2, 3.4, 3.7).

use super::unfit::MARK;
use super::{Mode, Route};
use crate::check::About;
use crate::payload::Payload;
use crate::progress::wait_for;
use crate::request::{Request, Role, SendState, abandon, wait};
use crate::status::{Call, Status, Waiting};
use crate::{Engine, Result, lock, with};
use mpi_abi::consts::MPI_BYTE;
use mpi_abi::{Comm, Datatype};
use std::ffi::c_int;

/// Sends `count` elements and returns when the mode allows (MPI_Send, Ssend, Bsend, Rsend).
///
/// # Safety
/// The buffer is valid for reads of `count` elements of `datatype` for the whole call.
pub unsafe fn send(
    buffer: *const u8,
    count: usize,
    datatype: Datatype,
    dest: c_int,
    tag: c_int,
    comm: Comm,
    mode: Mode,
) -> Result<()> {
    let mut e = lock();
    let Some(route) = e.route_send(comm, dest, tag)? else {
        return e.types.require_committed(datatype);
    };
    // SAFETY: the caller vouches for the buffer until we return, which is after completion.
    let payload = unsafe { e.payload(buffer.cast_mut(), count, datatype) }?;
    let marked = route.of(&e, datatype);
    // Most messages fit into a cell: no request is needed for these.
    if matches!(mode, Mode::Standard | Mode::Ready) && e.try_send_now(marked, tag, &payload)? {
        return Ok(());
    }
    let call = match mode {
        Mode::Standard | Mode::Held => Call::Send,
        Mode::Synchronous => Call::Ssend,
        Mode::Buffered => Call::Bsend,
        Mode::Ready => Call::Rsend,
    };
    let mode = e.mode_of(mode);
    e.check_start(About::send(buffer, count, datatype))?;
    let raw = e.start_send(None, marked, tag, payload, comm, mode, true)?;
    drop(e);
    let what = Waiting::message(call, route.peer, tag, route.context).on(raw);
    match wait_for(what, |e| e.take_outcome(raw).transpose()) {
        Ok(outcome) => outcome?.error.map_or(Ok(()), |error| Err(*error)),
        Err(error) => {
            abandon(raw);
            Err(error)
        }
    }
}

/// Starts a send and gives its request (MPI_Isend and its like).
///
/// # Safety
/// The buffer is valid for reads of `count` elements of `datatype` until the request is complete.
pub unsafe fn isend(
    buffer: *const u8,
    count: usize,
    datatype: Datatype,
    dest: c_int,
    tag: c_int,
    comm: Comm,
    mode: Mode,
) -> Result<usize> {
    // SAFETY: the caller's word.
    unsafe { isend_as(About::send(buffer, count, datatype), buffer, count, datatype, dest, tag, comm, mode) }
}

/// As [`isend`], of what is `about` to the user.
///
/// # Safety
/// As for [`isend`].
#[expect(clippy::too_many_arguments, reason = "the arguments of MPI_Isend, and one")]
#[inline]
unsafe fn isend_as(
    about: About,
    buffer: *const u8,
    count: usize,
    datatype: Datatype,
    dest: c_int,
    tag: c_int,
    comm: Comm,
    mode: Mode,
) -> Result<usize> {
    with(|e| {
        let Some(route) = e.route_send(comm, dest, tag)? else {
            e.types.require_committed(datatype)?;
            return Ok(e.requests.insert(Request::complete(Status::EMPTY, comm.0)));
        };
        // SAFETY: the caller vouches for the buffer until completion.
        let payload = unsafe { e.payload(buffer.cast_mut(), count, datatype) }?;
        let route = route.of(e, datatype);
        if matches!(mode, Mode::Standard | Mode::Ready) && e.try_send_now(route, tag, &payload)? {
            e.fetch_ahead(route.peer.cast_unsigned());
            return Ok(e.sent_request());
        }
        let mode = e.mode_of(mode);
        e.check_start(about)?;
        e.start_send(None, route, tag, payload, comm, mode, false)
    })
}

/// Sends and receives at once (MPI_Sendrecv): neither waits for the other.
///
/// # Safety
/// Both buffers are valid for the whole call and do not overlap.
pub unsafe fn sendrecv(
    send: (*const u8, usize, Datatype),
    dest: c_int,
    send_tag: c_int,
    receive: (*mut u8, usize, Datatype),
    source: c_int,
    recv_tag: c_int,
    comm: Comm,
) -> Result<Status> {
    // SAFETY: the caller's word.
    unsafe { sendrecv_as(About::send(send.0, send.1, send.2), send, dest, send_tag, receive, source, recv_tag, comm) }
}

/// As [`sendrecv`], sending what is `about` to the user.
///
/// # Safety
/// As for [`sendrecv`].
#[expect(clippy::too_many_arguments, reason = "the arguments of MPI_Sendrecv, and one")]
unsafe fn sendrecv_as(
    about: About,
    send: (*const u8, usize, Datatype),
    dest: c_int,
    send_tag: c_int,
    receive: (*mut u8, usize, Datatype),
    source: c_int,
    recv_tag: c_int,
    comm: Comm,
) -> Result<Status> {
    // Arguments of the second half are checked before the first half starts.
    with(|e| {
        e.check_send(comm, dest, send_tag)?;
        e.types.require_committed(send.2)
    })?;
    // SAFETY: the caller vouches for the buffer for the whole call, at whose end both are done.
    let incoming = unsafe { super::recv::irecv(receive.0, receive.1, receive.2, source, recv_tag, comm) }?;
    // SAFETY: as above.
    let outgoing = unsafe { isend_as(about, send.0, send.1, send.2, dest, send_tag, comm, Mode::Standard) };
    let outgoing = match outgoing {
        Ok(raw) => raw,
        Err(error) => {
            abandon(incoming);
            return Err(error);
        }
    };
    // A wait that is given up leaves nothing behind that uses the buffers.
    let sent = wait::wait_or_abandon(Call::Sendrecv, outgoing).inspect_err(|_| abandon(incoming))?;
    let got = wait::wait_or_abandon(Call::Sendrecv, incoming)?;
    match sent.error.or(got.error) {
        Some(error) => Err(*error),
        None => Ok(got.status),
    }
}

/// As [`sendrecv`] with one buffer, whose content is replaced (MPI_Sendrecv_replace).
///
/// # Safety
/// The buffer is valid for the whole call.
#[expect(clippy::too_many_arguments, reason = "the arguments of MPI_Sendrecv_replace")]
pub unsafe fn sendrecv_replace(
    buffer: *mut u8,
    count: usize,
    datatype: Datatype,
    dest: c_int,
    send_tag: c_int,
    source: c_int,
    recv_tag: c_int,
    comm: Comm,
) -> Result<Status> {
    // SAFETY: the caller vouches for the buffer; the copy is taken before anything is received.
    let bytes = with(|e| unsafe { e.payload(buffer, count, datatype) }.map(|p| p.to_bytes()))?;
    let packed = (bytes.as_ptr(), bytes.len(), MPI_BYTE);
    // SAFETY: as above; the copy lives until both halves are done.
    let about = About { buffer: None, ..About::send(buffer, count, datatype) };
    // SAFETY: as above; the copy lives until both halves are done.
    unsafe { sendrecv_as(about, packed, dest, send_tag, (buffer, count, datatype), source, recv_tag, comm) }
}

/// Starts to send and to receive, as one request (MPI_Isendrecv).
///
/// # Safety
/// Both buffers are valid until the request is complete and do not overlap.
pub unsafe fn isendrecv(
    send: (*const u8, usize, Datatype),
    dest: c_int,
    send_tag: c_int,
    receive: (*mut u8, usize, Datatype),
    source: c_int,
    recv_tag: c_int,
    comm: Comm,
) -> Result<usize> {
    let outgoing = |e: &Engine| {
        // SAFETY: the caller vouches for the buffer until completion.
        unsafe { e.payload(send.0.cast_mut(), send.1, send.2) }
    };
    // SAFETY: as above.
    unsafe {
        start_both(About::send(send.0, send.1, send.2), receive, source, recv_tag, comm, outgoing, dest, send_tag)
    }
}

/// As [`isendrecv`] with one buffer, whose content is replaced (MPI_Isendrecv_replace).
///
/// # Safety
/// The buffer is valid until the request is complete.
#[expect(clippy::too_many_arguments, reason = "the arguments of MPI_Isendrecv_replace")]
pub unsafe fn isendrecv_replace(
    buffer: *mut u8,
    count: usize,
    datatype: Datatype,
    dest: c_int,
    send_tag: c_int,
    source: c_int,
    recv_tag: c_int,
    comm: Comm,
) -> Result<usize> {
    let copy = |e: &Engine| {
        // SAFETY: the caller vouches for the buffer; the copy is taken before anything is received.
        unsafe { e.payload(buffer, count, datatype) }.map(|p| Payload::Owned(p.to_bytes()))
    };
    let about = About { buffer: None, ..About::send(buffer, count, datatype) };
    // SAFETY: the caller vouches for the buffer until completion.
    unsafe { start_both(about, (buffer, count, datatype), source, recv_tag, comm, copy, dest, send_tag) }
}

/// All arguments are checked and what is sent is taken before anything starts.
///
/// # Safety
/// The receive buffer, and what `outgoing` gives, are valid until the request is complete.
#[expect(clippy::too_many_arguments, reason = "the arguments of MPI_Isendrecv, more or less")]
unsafe fn start_both(
    about: About,
    receive: (*mut u8, usize, Datatype),
    source: c_int,
    recv_tag: c_int,
    comm: Comm,
    outgoing: impl FnOnce(&Engine) -> Result<Payload>,
    dest: c_int,
    send_tag: c_int,
) -> Result<usize> {
    with(|e| {
        let to = e.route_send(comm, dest, send_tag)?;
        let from = e.route_recv(comm, source, recv_tag)?;
        let outgoing = outgoing(e)?;
        // SAFETY: the caller vouches for the buffer until completion.
        let incoming = unsafe { e.payload(receive.0, receive.1, receive.2) }?;
        let recv = match from {
            Some(route) => {
                e.check_start(About::receive(receive.0, receive.1, receive.2))?;
                e.start_recv_of(receive.2, None, route, recv_tag, incoming, comm)
            }
            None => e.requests.insert(Request::complete(Status::PROC_NULL, comm.0)),
        };
        let send = match to {
            Some(route) => {
                let mode = e.mode_of(Mode::Standard);
                if let Err(error) = e.check_start(about) {
                    e.abandon_request(recv);
                    return Err(error);
                }
                e.start_send(None, route, send_tag, outgoing, comm, mode, false)?
            }
            None => e.sent_request(),
        };
        Ok(e.pair_requests(send, recv))
    })
}

impl Engine {
    /// The payload for `count` elements at `buffer`.
    ///
    /// # Safety
    /// As for [`Payload::new`].
    #[inline]
    pub(crate) unsafe fn payload(&self, buffer: *mut u8, count: usize, datatype: Datatype) -> Result<Payload> {
        if let Some(size) = self.types.basic_size(datatype) {
            return Ok(Payload::Run { base: buffer, len: size * count });
        }
        let kind = self.types.committed(datatype)?;
        // SAFETY: the caller vouches for the memory.
        Ok(unsafe { Payload::new(buffer, count, kind) })
    }

    /// Makes a request for a send and starts its protocol. `slot` is a persistent request to use.
    #[expect(clippy::too_many_arguments, reason = "one call site's worth of MPI arguments")]
    pub(crate) fn start_send(
        &mut self,
        slot: Option<usize>,
        route: Route,
        tag: c_int,
        payload: Payload,
        comm: Comm,
        mode: Mode,
        blocking: bool,
    ) -> Result<usize> {
        if mode == Mode::Buffered {
            return self.start_buffered(slot, route, tag, &payload, comm);
        }
        let state = SendState {
            peer: route.peer.cast_unsigned(),
            context: route.context & !MARK,
            mark: route.context & MARK,
            tag,
            sent: 0,
            remote: 0,
            awaits_fin: matches!(mode, Mode::Synchronous | Mode::Held),
            held: mode == Mode::Held,
            blocking,
            buffered: false,
            abandoned: false,
        };
        let comm = self.comm_raw(comm);
        let raw = self.place(slot, || Request::active(Role::Send(state), payload, comm));
        self.begin_operation(raw);
        self.begin_send(raw);
        Ok(raw)
    }

    /// A buffered send: the bytes go with a request of our own; the user's is complete at once.
    fn start_buffered(
        &mut self,
        slot: Option<usize>,
        route: Route,
        tag: c_int,
        payload: &Payload,
        comm: Comm,
    ) -> Result<usize> {
        let comm = self.comm_raw(comm);
        let room = match self.take_room(comm, payload.len()) {
            // What lies in the buffer may have left it without our having looked.
            Err(_) if self.progress() => self.take_room(comm, payload.len())?,
            outcome => outcome?,
        };
        let state = SendState {
            peer: route.peer.cast_unsigned(),
            context: route.context & !MARK,
            mark: route.context & MARK,
            tag,
            sent: 0,
            remote: 0,
            awaits_fin: false,
            held: false,
            blocking: false,
            buffered: true,
            abandoned: false,
        };
        let mut own = Request::active(Role::Send(state), Payload::Owned(payload.to_bytes()), comm);
        own.detached = true;
        let own = self.requests.insert(own);
        self.hold_room(own, room);
        self.begin_operation(own);
        self.begin_send(own);
        Ok(self.place(slot, || Request::complete(Status::EMPTY, comm)))
    }

    /// Enters a request: into a persistent one's handle, or under a new handle.
    #[inline(always)]
    pub(crate) fn place(&mut self, slot: Option<usize>, make: impl FnOnce() -> Request) -> usize {
        let Some(raw) = slot else { return self.requests.insert_with(make) };
        if let Some(request) = self.requests.get_mut(raw) {
            *request = make();
        }
        raw
    }
}
