//! Buffers for buffered sends (MPI-5.0 section 3.6). The engine's part is `engine::p2p::buffer`.

use crate::args::{Out, null};
use crate::counts::CountOut;
use crate::request::give;
use engine::p2p::buffer::{self, Owner};
use engine::{Error, Result, with};
use mpi_abi::consts::{MPI_BUFFER_AUTOMATIC, MPI_ERR_ARG, MPI_ERR_BUFFER};
use mpi_abi::{Comm, Count, Request, Session};
use std::ffi::c_void;

fn attach(owner: Owner, address: *mut c_void, size: Count) -> Result<()> {
    let bytes = usize::try_from(size)
        .map_err(|_| Error::new(MPI_ERR_ARG, format!("a buffer of {size} bytes: the size must not be negative")))?;
    let automatic = std::ptr::eq(address, MPI_BUFFER_AUTOMATIC);
    if address.is_null() && bytes > 0 {
        return Err(Error::new(MPI_ERR_BUFFER, format!("the buffer of {bytes} bytes is null")));
    }
    buffer::attach(owner, address as usize, (!automatic).then_some(bytes))
}

/// `place` is the address of a `void*`, as the standard has it.
unsafe fn detach(owner: Owner, place: *mut c_void, size: CountOut) -> Result<()> {
    if place.is_null() || size.is_null() {
        return Err(null("buffer_addr or size"));
    }
    let (address, bytes) = match buffer::detach(owner)? {
        None => (0, 0),
        Some((_, None)) => (MPI_BUFFER_AUTOMATIC as usize, 0),
        Some((address, Some(bytes))) => (address, bytes),
    };
    // SAFETY: not null; the C caller's word for both addresses.
    unsafe {
        place.cast::<usize>().write(address);
        size.set(bytes as Count);
    }
    Ok(())
}

unsafe fn iflush(owner: Owner, request: *mut Request) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    give(&request, buffer::iflush(owner));
    Ok(())
}

fn of_comm(comm: Comm) -> Result<Owner> {
    with(|e| e.comm(comm).map(|_| Owner::Comm(e.comm_raw(comm))))
}

fn of_session(session: Session) -> Result<Owner> {
    with(|e| engine::session::get(&e.objects, session).map(|_| Owner::Session(session.0)))
}

pub(crate) unsafe fn MPI_Buffer_attach(buffer: *mut c_void, size: Count) -> Result<()> {
    attach(Owner::Process, buffer, size)
}

pub(crate) unsafe fn MPI_Buffer_detach(buffer_addr: *mut c_void, size: CountOut) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    unsafe { detach(Owner::Process, buffer_addr, size) }
}

pub(crate) unsafe fn MPI_Buffer_flush() -> Result<()> {
    buffer::flush(Owner::Process)
}

pub(crate) unsafe fn MPI_Buffer_iflush(request: *mut Request) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { iflush(Owner::Process, request) }
}

pub(crate) unsafe fn MPI_Comm_attach_buffer(comm: Comm, buffer: *mut c_void, size: Count) -> Result<()> {
    attach(of_comm(comm)?, buffer, size)
}

pub(crate) unsafe fn MPI_Comm_detach_buffer(comm: Comm, buffer_addr: *mut c_void, size: CountOut) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    unsafe { detach(of_comm(comm)?, buffer_addr, size) }
}

pub(crate) unsafe fn MPI_Comm_flush_buffer(comm: Comm) -> Result<()> {
    buffer::flush(of_comm(comm)?)
}

pub(crate) unsafe fn MPI_Comm_iflush_buffer(comm: Comm, request: *mut Request) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { iflush(of_comm(comm)?, request) }
}

pub(crate) unsafe fn MPI_Session_attach_buffer(session: Session, buffer: *mut c_void, size: Count) -> Result<()> {
    attach(of_session(session)?, buffer, size)
}

pub(crate) unsafe fn MPI_Session_detach_buffer(
    session: Session,
    buffer_addr: *mut c_void,
    size: CountOut,
) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    unsafe { detach(of_session(session)?, buffer_addr, size) }
}

pub(crate) unsafe fn MPI_Session_flush_buffer(session: Session) -> Result<()> {
    buffer::flush(of_session(session)?)
}

pub(crate) unsafe fn MPI_Session_iflush_buffer(session: Session, request: *mut Request) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { iflush(of_session(session)?, request) }
}
