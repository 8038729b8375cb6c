//! Point to point with objects: `send`, `recv`, `isend`, `irecv` and the others in lower case.
//! Chapter 3 of the standard underneath; what is on the wire is in `pickle.rs`.
//!
//! A receive is a matched probe, memory of exactly the size, and the receive of that message.
//! `irecv` is the same in steps, in [`super::irecv`].

use super::{Comm, irecv};
use crate::call::{Waiting, mpi, mpi_wait, object_type, recv_or_mprobe};
use crate::handle::{Handle, new_like};
use crate::message::Message;
use crate::pickle::{Block, Encoded, Origin, decode_bytes, encode};
use crate::request::{Owner, Pending, Request};
use crate::status::Status;
use mpi_abi as abi;
use mpi_abi::consts::{
    MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_BYTE, MPI_MESSAGE_NO_PROC, MPI_MESSAGE_NULL, MPI_PROC_NULL, MPI_REQUEST_NULL,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

type Object<'a, 'py> = &'a Bound<'py, PyAny>;

/// Objects up to this size are received by way of the stack: a copy of it costs less than the two calls and
/// the handle of a matched probe.
const SMALL: usize = 1024;

/// The object as a message; none is needed for nobody.
fn message_for(object: Object<'_, '_>, dest: c_int) -> PyResult<Encoded> {
    if dest == MPI_PROC_NULL { Ok(Encoded::nothing()) } else { encode(object) }
}

/// What a send owns until it is over.
struct Sent(#[expect(dead_code, reason = "held, not read")] Encoded);

impl Pending for Sent {
    fn finish(self: Box<Self>, py: Python<'_>, _status: &mut abi::Status) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }
}

macro_rules! sends {
    ($($name:ident $function:ident, $iname:ident $ifunction:ident, $doc:literal;)*) => {
        #[pymethods]
        impl Comm {$(
            #[doc = concat!(stringify!($name), "(self, obj: Any, dest: int, tag: int = 0) -> None\n\n", $doc)]
            #[pyo3(signature = (obj, dest, tag = 0))]
            fn $name(&self, obj: Object<'_, '_>, dest: c_int, tag: c_int) -> PyResult<()> {
                let (py, comm) = (obj.py(), self.raw());
                let message = message_for(obj, dest)?;
                let wire = message.wire(py)?;
                let (addr, count, datatype) = (wire.addr, wire.count, wire.datatype);
                if !irecv::any() {
                    return mpi_wait!(py, $function(addr, count, datatype, dest, tag, comm));
                }
                let mut request = MPI_REQUEST_NULL;
                mpi_wait!(py, $ifunction(addr, count, datatype, dest, tag, comm, &raw mut request))?;
                irecv::wait_and_serve(py, request, message)
            }

            #[doc = concat!(stringify!($iname), "(self, obj: Any, dest: int, tag: int = 0) -> Request\n\nNonblocking form of `", stringify!($name), "`.")]
            #[pyo3(signature = (obj, dest, tag = 0))]
            fn $iname(&self, obj: Object<'_, '_>, dest: c_int, tag: c_int) -> PyResult<Py<Request>> {
                let (py, comm, mut request) = (obj.py(), self.raw(), MPI_REQUEST_NULL);
                let message = message_for(obj, dest)?;
                let wire = message.wire(py)?;
                let (addr, count, datatype) = (wire.addr, wire.count, wire.datatype);
                mpi_wait!(py, $ifunction(addr, count, datatype, dest, tag, comm, &raw mut request))?;
                Request::make(py, request, Owner::Object(Box::new(Sent(message))))
            }
        )*}
    };
}

sends! {
    send MPI_Send_c, isend MPI_Isend_c, "Send an object.";
    bsend MPI_Bsend_c, ibsend MPI_Ibsend_c, "Send an object by way of the attached buffer.";
    ssend MPI_Ssend_c, issend MPI_Issend_c, "Send an object; returns when its receive has started.";
}

/// Bytes of the message that a probe found.
pub(crate) fn size_of(py: Python<'_>, status: &abi::Status) -> PyResult<abi::Count> {
    let mut size = 0;
    mpi!(py, MPI_Get_count_c(&raw const *status, MPI_BYTE, &raw mut size))?;
    Ok(size.max(0))
}

pub(crate) fn origin(status: &abi::Status) -> Origin {
    Origin::Message { source: status.MPI_SOURCE, tag: status.MPI_TAG }
}

/// Receives a matched message and makes its object.
pub(crate) fn receive(
    py: Python<'_>,
    message: &mut abi::Message,
    probed: &abi::Status,
    out: Option<&Bound<'_, Status>>,
) -> PyResult<Py<PyAny>> {
    let nobody = *message == MPI_MESSAGE_NO_PROC;
    let block = Block::new(py, if nobody { 0 } else { size_of(py, probed)? })?;
    let mut status = abi::Status::empty();
    let (addr, count, datatype, status_at) = (block.addr(), block.count(), object_type(), &raw mut status);
    mpi_wait!(py, MPI_Mrecv_c(addr, count, datatype, message, status_at))?;
    if let Some(out) = out {
        out.get().set(status);
    }
    if nobody { Ok(py.None()) } else { block.decode(py, origin(&status)) }
}

fn recv(
    py: Python<'_>,
    comm: abi::Comm,
    source: c_int,
    tag: c_int,
    out: Option<&Bound<'_, Status>>,
) -> PyResult<Py<PyAny>> {
    let (mut message, mut probed) = (MPI_MESSAGE_NULL, abi::Status::empty());
    if irecv::any() {
        (message, probed) = irecv::probe_and_serve(py, comm, source, tag)?;
    } else if let Some(receive) = recv_or_mprobe() {
        let mut bytes = [MaybeUninit::<u8>::uninit(); SMALL];
        let (addr, message_at, probed_at) = (bytes.as_mut_ptr(), &raw mut message, &raw mut probed);
        let waiting = Waiting::enter(py);
        // SAFETY: all addresses are those of locals, with room for SMALL bytes at the first.
        let code = unsafe { receive(addr.cast(), SMALL as abi::Count, source, tag, comm, message_at, probed_at) };
        waiting.leave(py, code)?;
        if message == MPI_MESSAGE_NULL {
            if let Some(out) = out {
                out.get().set(probed);
            }
            let size = usize::try_from(size_of(py, &probed)?).unwrap_or(0).min(SMALL);
            // SAFETY: the call has filled so many bytes.
            let bytes = unsafe { std::slice::from_raw_parts(addr.cast::<u8>(), size) };
            return decode_bytes(py, bytes, origin(&probed));
        }
    } else {
        mpi_wait!(py, MPI_Mprobe(source, tag, comm, &raw mut message, &raw mut probed))?;
    }
    receive(py, &mut message, &probed, out)
}

#[pymethods]
impl Comm {
    /// recv(self, buf: Buffer | None = None, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Any
    ///
    /// Receive an object. Memory for it is made as needed; `buf` is not used.
    #[pyo3(signature = (buf = None, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn recv(
        &self,
        py: Python<'_>,
        buf: Option<Object<'_, '_>>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<Py<PyAny>> {
        if let Some(buf) = buf.filter(|buf| !buf.is_none()) {
            let text = c"recv() makes the memory it needs, the argument 'buf' is not used";
            PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyUserWarning>(), text, 1)?;
            check_hint(Some(buf))?;
        }
        recv(py, self.raw(), source, tag, status)
    }

    /// irecv(self, buf: Buffer | None = None, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> Request
    ///
    /// Nonblocking form of `recv`; the object is what `Request.wait` or `test` returns.
    #[pyo3(signature = (buf = None, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG))]
    fn irecv(&self, py: Python<'_>, buf: Option<Object<'_, '_>>, source: c_int, tag: c_int) -> PyResult<Py<Request>> {
        check_hint(buf)?;
        irecv::start(py, self.raw(), source, tag)
    }

    /// sendrecv(self, sendobj: Any, dest: int, sendtag: int = 0, recvbuf: Buffer | None = None, source: int = ANY_SOURCE, recvtag: int = ANY_TAG, status: Status | None = None) -> Any
    ///
    /// Send an object and receive another one.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the MPI function")]
    #[pyo3(signature = (sendobj, dest, sendtag = 0, recvbuf = None, source = MPI_ANY_SOURCE, recvtag = MPI_ANY_TAG, status = None))]
    fn sendrecv(
        &self,
        sendobj: Object<'_, '_>,
        dest: c_int,
        sendtag: c_int,
        recvbuf: Option<Object<'_, '_>>,
        source: c_int,
        recvtag: c_int,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<Py<PyAny>> {
        check_hint(recvbuf)?;
        let (py, comm, mut request) = (sendobj.py(), self.raw(), MPI_REQUEST_NULL);
        let message = message_for(sendobj, dest)?;
        let wire = message.wire(py)?;
        let (addr, count, datatype) = (wire.addr, wire.count, wire.datatype);
        mpi_wait!(py, MPI_Isend_c(addr, count, datatype, dest, sendtag, comm, &raw mut request))?;
        let received = recv(py, comm, source, recvtag, status);
        if received.is_err() {
            // The send may never end: its memory must stay.
            drop(Request::make(py, request, Owner::Object(Box::new(Sent(message))))?);
            return received;
        }
        irecv::wait_and_serve(py, request, message)?;
        received
    }

    /// probe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Literal[True]
    ///
    /// Wait for a message.
    #[pyo3(signature = (source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn probe(&self, py: Python<'_>, source: c_int, tag: c_int, status: Option<&Bound<'_, Status>>) -> PyResult<bool> {
        irecv::serve(py)?;
        self.Probe(py, source, tag, status)
    }

    /// iprobe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> bool
    ///
    /// Ask whether there is a message.
    #[pyo3(signature = (source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn iprobe(&self, py: Python<'_>, source: c_int, tag: c_int, status: Option<&Bound<'_, Status>>) -> PyResult<bool> {
        irecv::serve(py)?;
        self.Iprobe(py, source, tag, status)
    }

    /// mprobe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Message
    ///
    /// Wait for a message and take it out of the queue.
    #[pyo3(signature = (source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn mprobe(
        &self,
        py: Python<'_>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<Py<Message>> {
        probe_object(&py.get_type::<Message>(), self.raw(), source, tag, status).map(Bound::unbind)
    }

    /// improbe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Message | None
    ///
    /// Take a message out of the queue if there is one.
    #[pyo3(signature = (source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn improbe(
        &self,
        py: Python<'_>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<Option<Py<Message>>> {
        let found = iprobe_object(&py.get_type::<Message>(), self.raw(), source, tag, status)?;
        Ok(found.map(Bound::unbind))
    }
}

/// What the probes of messages that are not received yet found: MPI does not tell it again.
static PROBED: Mutex<Vec<(abi::Message, abi::Status)>> = Mutex::new(Vec::new());

fn remember(message: abi::Message, status: &abi::Status, out: Option<&Bound<'_, Status>>) {
    if message != MPI_MESSAGE_NO_PROC {
        PROBED.lock().unwrap_or_else(PoisonError::into_inner).push((message, *status));
    }
    if let Some(out) = out {
        out.get().set(*status);
    }
}

/// Takes back what is remembered of a message that is received as a buffer, or forgotten.
pub(crate) fn forget(message: abi::Message) -> Option<abi::Status> {
    let mut all = PROBED.lock().unwrap_or_else(PoisonError::into_inner);
    let index = all.iter().rposition(|(known, _)| *known == message)?;
    Some(all.swap_remove(index).1)
}

/// Undoes `forget`: the message is still there.
pub(crate) fn remember_again(message: abi::Message, status: Option<abi::Status>) {
    if let Some(status) = status {
        remember(message, &status, None);
    }
}

/// What the probe of a message found.
pub(crate) fn probed(message: abi::Message) -> PyResult<abi::Status> {
    if message == MPI_MESSAGE_NO_PROC {
        return Ok(abi::Status::empty());
    }
    let mut all = PROBED.lock().unwrap_or_else(PoisonError::into_inner);
    match all.iter().rposition(|(known, _)| *known == message) {
        Some(index) => Ok(all.swap_remove(index).1),
        None if message == MPI_MESSAGE_NULL => {
            Err(PyValueError::new_err("the message is null: it was received already"))
        }
        None => Err(PyValueError::new_err(
            "the size of the message is not known: an object needs a lower-case probe before `recv`",
        )),
    }
}

pub(crate) fn probe_object<'py>(
    class: &Bound<'py, PyType>,
    comm: abi::Comm,
    source: c_int,
    tag: c_int,
    out: Option<&Bound<'py, Status>>,
) -> PyResult<Bound<'py, Message>> {
    let py = class.py();
    let (mut raw, mut status) = (MPI_MESSAGE_NULL, abi::Status::empty());
    if irecv::any() {
        (raw, status) = irecv::probe_and_serve(py, comm, source, tag)?;
    } else {
        mpi_wait!(py, MPI_Mprobe(source, tag, comm, &raw mut raw, &raw mut status))?;
    }
    remember(raw, &status, out);
    new_like(class, raw)
}

pub(crate) fn iprobe_object<'py>(
    class: &Bound<'py, PyType>,
    comm: abi::Comm,
    source: c_int,
    tag: c_int,
    out: Option<&Bound<'py, Status>>,
) -> PyResult<Option<Bound<'py, Message>>> {
    match irecv::probe_now(class.py(), comm, source, tag)? {
        None => Ok(None),
        Some((raw, status)) => {
            remember(raw, &status, out);
            new_like(class, raw).map(Some)
        }
    }
}

/// The argument `buf` is not used, but it has to be what mpi4py takes: a size, or writable memory.
fn check_hint(buf: Option<Object<'_, '_>>) -> PyResult<()> {
    match buf {
        Some(buf) if !buf.is_none() && !buf.is_instance_of::<pyo3::types::PyInt>() => {
            crate::buffer::acquire(buf, crate::buffer::Access::Write).map(drop)
        }
        _ => Ok(()),
    }
}
