//! Persistent requests (MPI-5.0 section 3.9): a recipe that `start` turns into an active request,
//! as often as the user likes.

use super::{Request, State};
use crate::p2p::{Mode, recv, send};
use crate::status::Status;
use crate::{Error, Result, with};
use mpi_abi::consts::MPI_ERR_REQUEST;
use mpi_abi::{Comm, Datatype};
use std::ffi::c_int;

/// What makes a request persistent.
#[derive(Debug)]
pub enum Recipe {
    /// A message: the started operation is made anew each time.
    Message(Arguments),
    /// A message in partitions: all of it is in the request's role.
    Partitioned,
}

/// The arguments of the call that made the request.
#[derive(Debug, Clone, Copy)]
pub struct Arguments {
    /// None = a receive.
    pub mode: Option<Mode>,
    /// Address of the buffer.
    pub buffer: usize,
    /// Elements.
    pub count: usize,
    /// Their type.
    pub datatype: Datatype,
    /// Destination or source.
    pub peer: c_int,
    /// Tag.
    pub tag: c_int,
    /// Communicator.
    pub comm: Comm,
}

/// Makes an inactive request (MPI_Send_init and its like); arguments are checked now.
pub fn init(message: Arguments) -> Result<usize> {
    with(|e| {
        match message.mode {
            Some(_) => e.check_send(message.comm, message.peer, message.tag)?,
            None => e.check_recv(message.comm, message.peer, message.tag)?,
        }
        e.types.require_committed(message.datatype)?;
        let mut request = Request::complete(Status::EMPTY, message.comm.0);
        request.state = State::Inactive;
        request.recipe = Some(Box::new(Recipe::Message(message)));
        Ok(e.requests.insert(request))
    })
}

/// Starts a persistent request (MPI_Start).
///
/// # Safety
/// The buffer that the request was made with is still valid, until the operation is complete.
pub unsafe fn start(raw: usize) -> Result<()> {
    let message = with(|e| {
        let Some(request) = e.requests.get(raw) else { return Err(e.bad_request(raw)) };
        match (request.recipe.as_deref(), request.state) {
            (Some(Recipe::Message(message)), State::Inactive) => Ok(Some(*message)),
            (Some(Recipe::Partitioned), State::Inactive) => e.start_partitioned(raw).map(|()| None),
            (Some(_), _) => Err(Error::new(MPI_ERR_REQUEST, "Start of a persistent request that is still active")),
            (None, _) => Err(Error::new(MPI_ERR_REQUEST, "Start of a request that is not persistent")),
        }
    })?;
    let Some(Arguments { mode, buffer, count, datatype, peer, tag, comm }) = message else { return Ok(()) };
    let buffer = buffer as *mut u8;
    // The started operation is a request of its own; its content moves into the user's handle.
    // SAFETY: the caller vouches for the buffer.
    unsafe {
        match mode {
            Some(mode) => send::start_into(raw, buffer, count, datatype, peer, tag, comm, mode),
            None => recv::start_into(raw, buffer, count, datatype, peer, tag, comm),
        }
    }
}

/// Puts a fresh operation into an inactive request.
pub(crate) fn refill(request: &mut Request, fresh: Request) {
    let recipe = request.recipe.take();
    *request = fresh;
    request.recipe = recipe;
}
