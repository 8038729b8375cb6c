//! Persistent requests (MPI-5.0 section 3.9): a recipe that `start` turns into an active request,
//! as often as the user likes.

use super::{Request, State};
use crate::check::About;
use crate::datatype::Type;
use crate::p2p::{Mode, Route};
use crate::payload::Payload;
use crate::status::Status;
use crate::{Engine, Error, Result, with};
use mpi_abi::consts::MPI_ERR_REQUEST;
use mpi_abi::{Comm, Datatype};
use std::ffi::c_int;
use std::sync::Arc;

/// What makes a request persistent.
#[derive(Debug)]
pub enum Recipe {
    /// A message: the started operation is made anew each time.
    Message(Message),
    /// A message in partitions: all of it is in the request's role.
    Partitioned,
    /// A collective: as above.
    Collective,
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

/// A message that can be started. What its handles meant is kept: the user may free datatype and communicator and
/// start it all the same.
#[derive(Debug)]
pub struct Message {
    arguments: Arguments,
    kind: Arc<Type>,
    /// None = `MPI_PROC_NULL`.
    route: Option<Route>,
}

/// Makes an inactive request (MPI_Send_init and its like); arguments are checked now.
pub fn init(arguments: Arguments) -> Result<usize> {
    with(|e| {
        let Arguments { mode, datatype, peer, tag, comm, .. } = arguments;
        let route = match mode {
            Some(_) => e.route_send(comm, peer, tag)?.map(|route| route.of(e, datatype)),
            None => e.route_recv(comm, peer, tag)?,
        };
        let kind = Arc::clone(e.types.committed(datatype)?);
        let mut request = Request::complete(Status::EMPTY, e.comm_raw(comm));
        request.state = State::Inactive;
        request.recipe = Some(Box::new(Recipe::Message(Message { arguments, kind, route })));
        Ok(e.requests.insert(request))
    })
}

/// Starts a persistent request (MPI_Start).
///
/// # Safety
/// The buffer that the request was made with is still valid, until the operation is complete.
pub unsafe fn start(raw: usize) -> Result<()> {
    with(|e| {
        let Some(request) = e.requests.get_mut(raw) else { return Err(e.bad_request(raw)) };
        match (request.recipe.as_deref(), request.state) {
            (Some(Recipe::Message(_)), State::Inactive) => {}
            (Some(Recipe::Partitioned), State::Inactive) => return e.start_partitioned(raw),
            (Some(Recipe::Collective), State::Inactive) => {
                e.restart_collective(raw);
                return Ok(());
            }
            (Some(_), _) => {
                return Err(Error::new(MPI_ERR_REQUEST, "Start of a persistent request that is still active"));
            }
            (None, _) => return Err(Error::new(MPI_ERR_REQUEST, "Start of a request that is not persistent")),
        }
        // Aside while a fresh operation takes the request's place.
        let recipe = request.recipe.take();
        let outcome = match recipe.as_deref() {
            // SAFETY: the caller vouches for the buffer.
            Some(Recipe::Message(message)) => unsafe { e.start_message(raw, message) },
            _ => Ok(()),
        };
        if let Some(request) = e.requests.get_mut(raw) {
            request.recipe = recipe;
        }
        outcome
    })
}

impl Engine {
    /// # Safety
    /// The message's buffer is valid until the request `raw` is complete.
    unsafe fn start_message(&mut self, raw: usize, message: &Message) -> Result<()> {
        let Message { arguments, kind, route } = message;
        let &Arguments { mode, buffer, count, datatype, tag, comm, .. } = arguments;
        let Some(route) = *route else {
            let status = if mode.is_some() { Status::EMPTY } else { Status::PROC_NULL };
            let comm = self.comm_raw(comm);
            self.place(Some(raw), || Request::complete(status, comm));
            return Ok(());
        };
        let buffer = buffer as *mut u8;
        // SAFETY: the caller vouches for the buffer.
        let payload = unsafe { Payload::new(buffer, count, kind) };
        let about = if mode.is_some() { About::send } else { About::receive };
        self.check_restart(raw, about(buffer, count, datatype), kind)?;
        if let Some(mode) = mode {
            self.start_send(Some(raw), route, tag, payload, comm, self.mode_of(mode), false)?;
        } else {
            self.start_recv_of(datatype, Some(raw), route, tag, payload, comm);
        }
        Ok(())
    }
}
