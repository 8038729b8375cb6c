//! Receives, blocking and nonblocking (MPI-5.0 sections 3.2.4 and 3.7).

use super::Route;
use crate::check::About;
use crate::payload::Payload;
use crate::progress::wait_for;
use crate::request::{RecvState, Request, Role, abandon};
use crate::status::{Call, Status, Waiting};
use crate::{Engine, Result, lock, with};
use mpi_abi::consts::MPI_BYTE;
use mpi_abi::{Comm, Datatype};
use std::ffi::c_int;

/// Receives up to `count` elements (MPI_Recv).
///
/// # Safety
/// The buffer is valid for writes of `count` elements of `datatype` for the whole call.
pub unsafe fn recv(
    buffer: *mut u8,
    count: usize,
    datatype: Datatype,
    source: c_int,
    tag: c_int,
    comm: Comm,
) -> Result<Status> {
    let mut e = lock();
    let Some(route) = e.route_recv(comm, source, tag)? else {
        return e.types.require_committed(datatype).map(|()| Status::PROC_NULL);
    };
    // SAFETY: the caller vouches for the buffer until we return.
    let mut payload = unsafe { e.payload(buffer, count, datatype) }?;
    if let Ok(from) = u32::try_from(route.peer) {
        let looks = e.direct_looks(from);
        if let Some(outcome) = e.receive_directly(from, route.context, tag, &mut payload, looks, datatype) {
            return outcome;
        }
    }
    e.check_start(About::receive(buffer, count, datatype))?;
    let raw = e.start_recv_of(datatype, None, route, tag, payload, comm);
    drop(e);
    let what = Waiting::message(Call::Recv, route.peer, tag, route.context).on(raw);
    let outcome = match wait_for(what, |e| e.take_outcome(raw).transpose()) {
        Ok(outcome) => outcome?,
        Err(error) => {
            abandon(raw);
            return Err(error);
        }
    };
    outcome.error.map_or(Ok(outcome.status), |error| Err(*error))
}

/// Starts a receive and gives its request (MPI_Irecv).
///
/// # Safety
/// The buffer is valid for writes of `count` elements of `datatype` until the request is complete.
pub unsafe fn irecv(
    buffer: *mut u8,
    count: usize,
    datatype: Datatype,
    source: c_int,
    tag: c_int,
    comm: Comm,
) -> Result<usize> {
    with(|e| {
        let Some(route) = e.route_recv(comm, source, tag)? else {
            e.types.require_committed(datatype)?;
            return Ok(e.requests.insert(Request::complete(Status::PROC_NULL, comm.0)));
        };
        // SAFETY: the caller vouches for the buffer until completion.
        let payload = unsafe { e.payload(buffer, count, datatype) }?;
        e.check_start(About::receive(buffer, count, datatype))?;
        Ok(e.start_recv_of(datatype, None, route, tag, payload, comm))
    })
}

impl Engine {
    /// Makes a request for a receive of bytes and matches it, or posts it.
    #[inline(always)]
    pub(crate) fn start_recv(
        &mut self,
        slot: Option<usize>,
        route: Route,
        tag: c_int,
        payload: Payload,
        comm: Comm,
    ) -> usize {
        self.start_recv_of(MPI_BYTE, slot, route, tag, payload, comm)
    }

    /// As [`Self::start_recv`], of a datatype.
    #[inline(always)]
    pub(crate) fn start_recv_of(
        &mut self,
        datatype: Datatype,
        slot: Option<usize>,
        route: Route,
        tag: c_int,
        payload: Payload,
        comm: Comm,
    ) -> usize {
        let comm = self.comm_raw(comm);
        let raw = self.place(slot, || {
            Request::active(Role::Recv(RecvState::new(route.peer, route.context, tag, datatype)), payload, comm)
        });
        self.begin_operation(raw);
        match self.contexts.match_receive(route.context, route.peer, tag) {
            Some(message) => self.deliver_unexpected(raw, message),
            None => self.contexts.post(route.context, route.peer, tag, raw),
        }
        raw
    }
}
