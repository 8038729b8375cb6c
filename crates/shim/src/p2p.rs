//! Point-to-point communication (MPI-5.0 chapter 3). The engine's part is `engine::p2p`.

use crate::args::{Out, null};
use crate::errors::blame;
use crate::request::give;
use crate::status::{put, put_opt};
use engine::errhandler::Object;
use engine::p2p::{Mode, probe, recv, send};
use engine::request::persistent::{self, Arguments};
use engine::request::wait;
use engine::status::Call;
use engine::{Error, Result, with};
use mpi_abi::consts::{MPI_ERR_BUFFER, MPI_ERR_COUNT, MPI_ERR_REQUEST, MPI_MESSAGE_NO_PROC, MPI_MESSAGE_NULL};
use mpi_abi::{Comm, Count, Datatype, Message, Request, Status};
use std::ffi::{c_int, c_void};

/// A count of elements that the user gave.
#[inline]
pub(crate) fn elements(count: Count) -> Result<usize> {
    usize::try_from(count).map_err(|_| negative(count))
}

#[cold]
fn negative(count: Count) -> Error {
    Error::new(MPI_ERR_COUNT, format!("the count is {count}: it must not be negative"))
}

/// A buffer argument: address 0 is MPI_BOTTOM, which only types with absolute addresses can use.
#[inline]
pub(crate) fn buffer(address: *const c_void, count: Count, datatype: Datatype) -> Result<(*mut u8, usize)> {
    let n = elements(count)?;
    if address.addr() < 3 && n > 0 {
        check_special(address.addr(), count, datatype)?;
    }
    Ok((address.cast_mut().cast(), n))
}

#[cold]
fn check_special(address: usize, count: Count, datatype: Datatype) -> Result<()> {
    if address == 0 && (!datatype.is_predefined() || with(|e| e.types.basic_size(datatype)) == Some(0)) {
        return Ok(());
    }
    let what = match address {
        0 => "null (MPI_BOTTOM)",
        1 => "MPI_IN_PLACE, which this argument can not be",
        _ => "MPI_BUFFER_AUTOMATIC, which this argument can not be",
    };
    Err(Error::new(MPI_ERR_BUFFER, format!("the buffer for {count} elements is {what}")))
}

macro_rules! sends {
    ($($blocking:ident $nonblocking:ident $persistent:ident $mode:ident;)*) => {$(
        #[inline]
        pub(crate) unsafe fn $blocking(
            buf: *const c_void, count: Count, datatype: Datatype, dest: c_int, tag: c_int, comm: Comm,
        ) -> Result<()> {
            let (base, n) = buffer(buf, count, datatype)?;
            // SAFETY: the C caller's word for the buffer.
            unsafe { send::send(base, n, datatype, dest, tag, comm, Mode::$mode) }
        }

        #[inline(always)]
        pub(crate) unsafe fn $nonblocking(
            buf: *const c_void, count: Count, datatype: Datatype, dest: c_int, tag: c_int, comm: Comm,
            request: *mut Request,
        ) -> Result<()> {
            // SAFETY: the C caller's word for the address.
            let request = unsafe { Out::new(request, "request") }?;
            let (base, n) = buffer(buf, count, datatype)?;
            // SAFETY: the C caller's word for the buffer, until the request is complete.
            request.set(Request(unsafe { send::isend(base, n, datatype, dest, tag, comm, Mode::$mode) }?));
            Ok(())
        }

        pub(crate) unsafe fn $persistent(
            buf: *const c_void, count: Count, datatype: Datatype, dest: c_int, tag: c_int, comm: Comm,
            request: *mut Request,
        ) -> Result<()> {
            // SAFETY: the C caller's word for the address.
            unsafe { init(Some(Mode::$mode), buf, count, datatype, dest, tag, comm, request) }
        }
    )*};
}

sends! {
    MPI_Send MPI_Isend MPI_Send_init Standard;
    MPI_Ssend MPI_Issend MPI_Ssend_init Synchronous;
    MPI_Bsend MPI_Ibsend MPI_Bsend_init Buffered;
    MPI_Rsend MPI_Irsend MPI_Rsend_init Ready;
}

#[expect(clippy::too_many_arguments, reason = "the arguments of MPI_Send_init")]
unsafe fn init(
    mode: Option<Mode>,
    buf: *const c_void,
    count: Count,
    datatype: Datatype,
    peer: c_int,
    tag: c_int,
    comm: Comm,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    let (base, count) = buffer(buf, count, datatype)?;
    let arguments = Arguments { mode, buffer: base as usize, count, datatype, peer, tag, comm };
    request.set(Request(persistent::init(arguments)?));
    Ok(())
}

#[inline]
pub(crate) unsafe fn MPI_Recv(
    buf: *mut c_void,
    count: Count,
    datatype: Datatype,
    source: c_int,
    tag: c_int,
    comm: Comm,
    status: *mut Status,
) -> Result<()> {
    let (base, n) = buffer(buf, count, datatype)?;
    // SAFETY: the C caller's word for the buffer.
    let found = unsafe { recv::recv(base, n, datatype, source, tag, comm) }?;
    // SAFETY: the C caller's word for the address.
    unsafe { put(status, &found) };
    Ok(())
}

#[inline(always)]
pub(crate) unsafe fn MPI_Irecv(
    buf: *mut c_void,
    count: Count,
    datatype: Datatype,
    source: c_int,
    tag: c_int,
    comm: Comm,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    let (base, n) = buffer(buf, count, datatype)?;
    // SAFETY: the C caller's word for the buffer, until the request is complete.
    request.set(Request(unsafe { recv::irecv(base, n, datatype, source, tag, comm) }?));
    Ok(())
}

pub(crate) unsafe fn MPI_Recv_init(
    buf: *mut c_void,
    count: Count,
    datatype: Datatype,
    source: c_int,
    tag: c_int,
    comm: Comm,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { init(None, buf, count, datatype, source, tag, comm, request) }
}

pub(crate) unsafe fn MPI_Start(request: *mut Request) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    // SAFETY: the C caller's word for the buffer that the request was made with.
    unsafe { persistent::start(request.get().0) }
}

pub(crate) unsafe fn MPI_Startall(count: c_int, array_of_requests: *mut Request) -> Result<()> {
    // SAFETY: the C caller's word for an array of `count` elements.
    let requests = unsafe { crate::args::array(array_of_requests.cast_const(), count, "array_of_requests") }?;
    for request in requests {
        // SAFETY: the C caller's word for the buffers that the requests were made with.
        unsafe { persistent::start(request.0) }?;
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Sendrecv(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    dest: c_int,
    sendtag: c_int,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    source: c_int,
    recvtag: c_int,
    comm: Comm,
    status: *mut Status,
) -> Result<()> {
    let (from, n) = buffer(sendbuf, sendcount, sendtype)?;
    let (to, room) = buffer(recvbuf, recvcount, recvtype)?;
    let outgoing = (from.cast_const(), n, sendtype);
    // SAFETY: the C caller's word for both buffers.
    let found = unsafe { send::sendrecv(outgoing, dest, sendtag, (to, room, recvtype), source, recvtag, comm) }?;
    // SAFETY: the C caller's word for the address.
    unsafe { put(status, &found) };
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Sendrecv_replace(
    buf: *mut c_void,
    count: Count,
    datatype: Datatype,
    dest: c_int,
    sendtag: c_int,
    source: c_int,
    recvtag: c_int,
    comm: Comm,
    status: *mut Status,
) -> Result<()> {
    let (base, n) = buffer(buf, count, datatype)?;
    // SAFETY: the C caller's word for the buffer.
    let found = unsafe { send::sendrecv_replace(base, n, datatype, dest, sendtag, source, recvtag, comm) }?;
    // SAFETY: the C caller's word for the address.
    unsafe { put(status, &found) };
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the MPI function")]
pub(crate) unsafe fn MPI_Isendrecv(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    dest: c_int,
    sendtag: c_int,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    source: c_int,
    recvtag: c_int,
    comm: Comm,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    let (base, n) = buffer(sendbuf.cast_mut(), sendcount, sendtype)?;
    let (room, most) = buffer(recvbuf, recvcount, recvtype)?;
    let send = (base.cast_const(), n, sendtype);
    // SAFETY: the C caller's word for the buffers until the request is complete.
    let raw = unsafe { send::isendrecv(send, dest, sendtag, (room, most, recvtype), source, recvtag, comm) }?;
    request.set(Request(raw));
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the MPI function")]
pub(crate) unsafe fn MPI_Isendrecv_replace(
    buf: *mut c_void,
    count: Count,
    datatype: Datatype,
    dest: c_int,
    sendtag: c_int,
    source: c_int,
    recvtag: c_int,
    comm: Comm,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    let (base, n) = buffer(buf, count, datatype)?;
    // SAFETY: the C caller's word for the buffer until the request is complete.
    let raw = unsafe { send::isendrecv_replace(base, n, datatype, dest, sendtag, source, recvtag, comm) }?;
    request.set(Request(raw));
    Ok(())
}

pub(crate) unsafe fn MPI_Probe(source: c_int, tag: c_int, comm: Comm, status: *mut Status) -> Result<()> {
    let found = probe::probe(source, tag, comm)?;
    // SAFETY: the C caller's word for the address.
    unsafe { put(status, &found) };
    Ok(())
}

pub(crate) unsafe fn MPI_Iprobe(
    source: c_int,
    tag: c_int,
    comm: Comm,
    flag: *mut c_int,
    status: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let flag = unsafe { Out::new(flag, "flag") }?;
    let found = probe::iprobe(source, tag, comm)?;
    flag.set_flag(found.is_some());
    // SAFETY: the C caller's word for the address.
    unsafe { put_opt(status, found.as_ref()) };
    Ok(())
}

pub(crate) unsafe fn MPI_Mprobe(
    source: c_int,
    tag: c_int,
    comm: Comm,
    message: *mut Message,
    status: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let message = unsafe { Out::new(message, "message") }?;
    let (handle, found) = probe::mprobe(source, tag, comm)?;
    message.set(handle);
    // SAFETY: the C caller's word for the address.
    unsafe { put(status, &found) };
    Ok(())
}

pub(crate) unsafe fn MPI_Improbe(
    source: c_int,
    tag: c_int,
    comm: Comm,
    flag: *mut c_int,
    message: *mut Message,
    status: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    let (flag, message) = unsafe { (Out::new(flag, "flag")?, Out::new(message, "message")?) };
    let found = probe::improbe(source, tag, comm)?;
    flag.set_flag(found.is_some());
    message.set(found.map_or(MPI_MESSAGE_NULL, |(handle, _)| handle));
    // SAFETY: the C caller's word for the address.
    unsafe { put_opt(status, found.map(|(_, status)| status).as_ref()) };
    Ok(())
}

/// Starts the receive of a matched message and marks its handle as used.
unsafe fn start_matched(buf: *mut c_void, count: Count, datatype: Datatype, message: *mut Message) -> Result<usize> {
    if message.is_null() {
        return Err(null("message"));
    }
    // SAFETY: not null; the C caller's word for the address.
    let message = unsafe { Out::new(message, "message") }?;
    let handle = message.get();
    if handle == MPI_MESSAGE_NULL {
        return Err(Error::new(MPI_ERR_REQUEST, "the message is MPI_MESSAGE_NULL: it was received before"));
    }
    let (base, n) =
        if handle == MPI_MESSAGE_NO_PROC { (std::ptr::null_mut(), 0) } else { buffer(buf, count, datatype)? };
    // SAFETY: the C caller's word for the buffer, until the request is complete.
    let raw = unsafe { probe::imrecv(base, n, datatype, handle) }?;
    message.set(MPI_MESSAGE_NULL);
    Ok(raw)
}

pub(crate) unsafe fn MPI_Mrecv(
    buf: *mut c_void,
    count: Count,
    datatype: Datatype,
    message: *mut Message,
    status: *mut Status,
) -> Result<()> {
    // SAFETY: the C caller's word for the addresses and the buffer, which outlives the wait below.
    let raw = unsafe { start_matched(buf, count, datatype, message) }?;
    let outcome = wait::wait_or_abandon(Call::Mrecv, raw)?;
    if let Some(error) = outcome.error {
        return Err(blame(Object::Comm(Comm(outcome.comm)), *error));
    }
    // SAFETY: the C caller's word for the address.
    unsafe { put(status, &outcome.status) };
    Ok(())
}

pub(crate) unsafe fn MPI_Imrecv(
    buf: *mut c_void,
    count: Count,
    datatype: Datatype,
    message: *mut Message,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    // SAFETY: the C caller's word for the addresses, and for the buffer until completion.
    let raw = unsafe { start_matched(buf, count, datatype, message) }?;
    give(&request, raw);
    Ok(())
}
