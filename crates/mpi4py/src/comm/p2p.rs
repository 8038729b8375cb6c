//! Point to point with buffers: blocking, nonblocking and persistent sends and receives, probes.
//! Chapter 3 of the standard.

use super::Comm;
use crate::buffer::{Access, numpy, spec};
use crate::call::mpi_wait;
use crate::handle::{H, Handle};
use crate::info::Info;
use crate::message::Message;
use crate::request::{Prequest, Request};
use crate::status::{Out, Status};
use mpi_abi::consts::{MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_INFO_NULL, MPI_REQUEST_NULL, MPI_STATUS_IGNORE};
use pyo3::prelude::*;
use std::ffi::c_int;

/// Sends that return when the buffer may be used again.
macro_rules! sends {
    ($($name:ident, $function:ident, $doc:literal;)*) => {
        #[pymethods]
        impl Comm {$(
            #[doc = concat!(stringify!($name), "(self, buf: BufSpec, dest: int, tag: int = 0) -> None\n\n", $doc)]
            #[pyo3(signature = (buf, dest, tag = 0))]
            fn $name(&self, py: Python<'_>, buf: &Bound<'_, PyAny>, dest: c_int, tag: c_int) -> PyResult<()> {
                let comm = self.raw();
                // A plain array on its own way, in registers: the argument keeps it alive.
                if let Some(array) = numpy::direct(buf, Access::Read) {
                    return mpi_wait!(py, $function(array.addr, array.count, array.datatype, dest, tag, comm));
                }
                let m = spec::send(buf, dest)?;
                mpi_wait!(py, $function(m.addr, m.count, m.datatype, dest, tag, comm))
            }
        )*}
    };
}

sends! {
    Send, MPI_Send_c, "Send a message; returns when the buffer may be used again.";
    Bsend, MPI_Bsend_c, "Send a message by way of the attached buffer.";
    Ssend, MPI_Ssend_c, "Send a message; returns when its receive has started.";
    Rsend, MPI_Rsend_c, "Send a message whose receive has been posted already.";
}

/// Sends that return a request: started, or set up to be started.
macro_rules! send_requests {
    ($($name:ident, $function:ident, $class:ident, $doc:literal;)*) => {
        #[pymethods]
        impl Comm {$(
            #[doc = concat!(stringify!($name), "(self, buf: BufSpec, dest: int, tag: int = 0) -> ", stringify!($class), "\n\n", $doc)]
            #[pyo3(signature = (buf, dest, tag = 0))]
            fn $name(
                &self,
                py: Python<'_>,
                buf: &Bound<'_, PyAny>,
                dest: c_int,
                tag: c_int,
            ) -> PyResult<Py<$class>> {
                let (comm, mut request) = (self.raw(), MPI_REQUEST_NULL);
                if let Some(array) = numpy::direct(buf, Access::Read) {
                    let (addr, count, datatype) = (array.addr, array.count, array.datatype);
                    mpi_wait!(py, $function(addr, count, datatype, dest, tag, comm, &raw mut request))?;
                    return $class::on(py, request, buf);
                }
                let m = spec::send(buf, dest)?;
                mpi_wait!(py, $function(m.addr, m.count, m.datatype, dest, tag, comm, &raw mut request))?;
                $class::make(py, request, m.keep)
            }
        )*}
    };
}

send_requests! {
    Isend, MPI_Isend_c, Request, "Nonblocking form of `Send`.";
    Ibsend, MPI_Ibsend_c, Request, "Nonblocking form of `Bsend`.";
    Issend, MPI_Issend_c, Request, "Nonblocking form of `Ssend`.";
    Irsend, MPI_Irsend_c, Request, "Nonblocking form of `Rsend`.";
    Send_init, MPI_Send_init_c, Prequest, "Set up a `Send` to be started many times.";
    Bsend_init, MPI_Bsend_init_c, Prequest, "Set up a `Bsend` to be started many times.";
    Ssend_init, MPI_Ssend_init_c, Prequest, "Set up a `Ssend` to be started many times.";
    Rsend_init, MPI_Rsend_init_c, Prequest, "Set up a `Rsend` to be started many times.";
}

#[pymethods]
impl Comm {
    /// Recv(self, buf: BufSpec, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> None
    ///
    /// Receive a message.
    #[pyo3(signature = (buf, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn Recv(
        &self,
        py: Python<'_>,
        buf: &Bound<'_, PyAny>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<()> {
        let comm = self.raw();
        if status.is_none()
            && let Some(array) = numpy::direct(buf, Access::Write)
        {
            let (addr, count, datatype) = (array.addr, array.count, array.datatype);
            return mpi_wait!(py, MPI_Recv_c(addr, count, datatype, source, tag, comm, MPI_STATUS_IGNORE));
        }
        let m = spec::recv_now(buf, source)?;
        let mut out = Out::new(status);
        let pointer = out.pointer();
        let done = mpi_wait!(py, MPI_Recv_c(m.addr, m.count, m.datatype, source, tag, comm, pointer));
        out.store();
        done
    }

    /// Irecv(self, buf: BufSpec, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> Request
    ///
    /// Nonblocking form of `Recv`.
    #[pyo3(signature = (buf, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG))]
    fn Irecv(&self, py: Python<'_>, buf: &Bound<'_, PyAny>, source: c_int, tag: c_int) -> PyResult<Py<Request>> {
        let (comm, mut request) = (self.raw(), MPI_REQUEST_NULL);
        if let Some(array) = numpy::direct(buf, Access::Write) {
            let (addr, count, datatype) = (array.addr, array.count, array.datatype);
            mpi_wait!(py, MPI_Irecv_c(addr, count, datatype, source, tag, comm, &raw mut request))?;
            return Request::on(py, request, buf);
        }
        let m = spec::recv(buf, source)?;
        mpi_wait!(py, MPI_Irecv_c(m.addr, m.count, m.datatype, source, tag, comm, &raw mut request))?;
        Request::make(py, request, m.keep)
    }

    /// Recv_init(self, buf: BufSpec, source: int = ANY_SOURCE, tag: int = ANY_TAG) -> Prequest
    ///
    /// Set up a `Recv` to be started many times.
    #[pyo3(signature = (buf, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG))]
    fn Recv_init(&self, py: Python<'_>, buf: &Bound<'_, PyAny>, source: c_int, tag: c_int) -> PyResult<Py<Prequest>> {
        let (m, comm, mut request) = (spec::recv(buf, source)?, self.raw(), MPI_REQUEST_NULL);
        mpi_wait!(py, MPI_Recv_init_c(m.addr, m.count, m.datatype, source, tag, comm, &raw mut request))?;
        Prequest::make(py, request, m.keep)
    }

    /// Psend_init(self, buf: BufSpec, partitions: int, dest: int, tag: int = 0, info: Info = INFO_NULL) -> Prequest
    ///
    /// Set up a send in partitions.
    #[pyo3(signature = (buf, partitions, dest, tag = 0, info = None))]
    fn Psend_init(
        &self,
        py: Python<'_>,
        buf: &Bound<'_, PyAny>,
        partitions: c_int,
        dest: c_int,
        tag: c_int,
        info: Option<H<Info>>,
    ) -> PyResult<Py<Prequest>> {
        let m = spec::blocks(buf, Access::Read, dest, partitions)?;
        let (comm, mut request) = (self.raw(), MPI_REQUEST_NULL);
        let info = info.map_or(MPI_INFO_NULL, |info| info.0);
        let (addr, count, datatype) = (m.addr, m.count, m.datatype);
        mpi_wait!(py, MPI_Psend_init(addr, partitions, count, datatype, dest, tag, comm, info, &raw mut request))?;
        Prequest::make(py, request, m.keep)
    }

    /// Precv_init(self, buf: BufSpec, partitions: int, source: int = ANY_SOURCE, tag: int = ANY_TAG, info: Info = INFO_NULL) -> Prequest
    ///
    /// Set up a receive in partitions.
    #[pyo3(signature = (buf, partitions, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, info = None))]
    fn Precv_init(
        &self,
        py: Python<'_>,
        buf: &Bound<'_, PyAny>,
        partitions: c_int,
        source: c_int,
        tag: c_int,
        info: Option<H<Info>>,
    ) -> PyResult<Py<Prequest>> {
        let m = spec::blocks(buf, Access::Write, source, partitions)?;
        let (comm, mut request) = (self.raw(), MPI_REQUEST_NULL);
        let info = info.map_or(MPI_INFO_NULL, |info| info.0);
        let (addr, count, datatype) = (m.addr, m.count, m.datatype);
        mpi_wait!(py, MPI_Precv_init(addr, partitions, count, datatype, source, tag, comm, info, &raw mut request))?;
        Prequest::make(py, request, m.keep)
    }

    /// Sendrecv(self, sendbuf: BufSpec, dest: int, sendtag: int = 0, recvbuf: BufSpec | None = None, source: int = ANY_SOURCE, recvtag: int = ANY_TAG, status: Status | None = None) -> None
    ///
    /// Send one message and receive another.
    #[pyo3(signature = (sendbuf, dest, sendtag = 0, recvbuf = None, source = MPI_ANY_SOURCE, recvtag = MPI_ANY_TAG, status = None))]
    fn Sendrecv<'py>(
        &self,
        py: Python<'py>,
        sendbuf: &Bound<'py, PyAny>,
        dest: c_int,
        sendtag: c_int,
        recvbuf: Option<&Bound<'py, PyAny>>,
        source: c_int,
        recvtag: c_int,
        status: Option<&Bound<'py, Status>>,
    ) -> PyResult<()> {
        let s = spec::send_now(sendbuf, dest)?;
        let r = spec::recv_now(recvbuf.unwrap_or(py.None().bind(py)), source)?;
        let (comm, mut out) = (self.raw(), Out::new(status));
        let pointer = out.pointer();
        let done = mpi_wait!(
            py,
            MPI_Sendrecv_c(
                s.addr, s.count, s.datatype, dest, sendtag, r.addr, r.count, r.datatype, source, recvtag, comm, pointer
            )
        );
        out.store();
        done
    }

    /// Sendrecv_replace(self, buf: BufSpec, dest: int, sendtag: int = 0, source: int = ANY_SOURCE, recvtag: int = ANY_TAG, status: Status | None = None) -> None
    ///
    /// Send a message and receive another one into the same buffer.
    #[pyo3(signature = (buf, dest, sendtag = 0, source = MPI_ANY_SOURCE, recvtag = MPI_ANY_TAG, status = None))]
    fn Sendrecv_replace(
        &self,
        py: Python<'_>,
        buf: &Bound<'_, PyAny>,
        dest: c_int,
        sendtag: c_int,
        source: c_int,
        recvtag: c_int,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<()> {
        let m = spec::recv(buf, if dest == source { dest } else { MPI_ANY_SOURCE })?;
        let (comm, mut out) = (self.raw(), Out::new(status));
        let (addr, count, datatype, pointer) = (m.addr, m.count, m.datatype, out.pointer());
        let done =
            mpi_wait!(py, MPI_Sendrecv_replace_c(addr, count, datatype, dest, sendtag, source, recvtag, comm, pointer));
        out.store();
        done
    }

    /// Isendrecv(self, sendbuf: BufSpec, dest: int, sendtag: int = 0, recvbuf: BufSpec | None = None, source: int = ANY_SOURCE, recvtag: int = ANY_TAG) -> Request
    ///
    /// Nonblocking form of `Sendrecv`.
    #[pyo3(signature = (sendbuf, dest, sendtag = 0, recvbuf = None, source = MPI_ANY_SOURCE, recvtag = MPI_ANY_TAG))]
    fn Isendrecv<'py>(
        &self,
        py: Python<'py>,
        sendbuf: &Bound<'py, PyAny>,
        dest: c_int,
        sendtag: c_int,
        recvbuf: Option<&Bound<'py, PyAny>>,
        source: c_int,
        recvtag: c_int,
    ) -> PyResult<Py<Request>> {
        let s = spec::send(sendbuf, dest)?;
        let r = spec::recv(recvbuf.unwrap_or(py.None().bind(py)), source)?;
        let (comm, mut request) = (self.raw(), MPI_REQUEST_NULL);
        mpi_wait!(
            py,
            MPI_Isendrecv_c(
                s.addr,
                s.count,
                s.datatype,
                dest,
                sendtag,
                r.addr,
                r.count,
                r.datatype,
                source,
                recvtag,
                comm,
                &raw mut request
            )
        )?;
        Request::make(py, request, s.keep.and(r.keep))
    }

    /// Isendrecv_replace(self, buf: BufSpec, dest: int, sendtag: int = 0, source: int = ANY_SOURCE, recvtag: int = ANY_TAG) -> Request
    ///
    /// Nonblocking form of `Sendrecv_replace`.
    #[pyo3(signature = (buf, dest, sendtag = 0, source = MPI_ANY_SOURCE, recvtag = MPI_ANY_TAG))]
    fn Isendrecv_replace(
        &self,
        py: Python<'_>,
        buf: &Bound<'_, PyAny>,
        dest: c_int,
        sendtag: c_int,
        source: c_int,
        recvtag: c_int,
    ) -> PyResult<Py<Request>> {
        let m = spec::recv(buf, if dest == source { dest } else { MPI_ANY_SOURCE })?;
        let (comm, mut request) = (self.raw(), MPI_REQUEST_NULL);
        let (addr, count, datatype) = (m.addr, m.count, m.datatype);
        mpi_wait!(
            py,
            MPI_Isendrecv_replace_c(addr, count, datatype, dest, sendtag, source, recvtag, comm, &raw mut request)
        )?;
        Request::make(py, request, m.keep)
    }

    /// Probe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Literal[True]
    ///
    /// Wait for a message, and say which in `status`.
    #[pyo3(signature = (source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    pub(crate) fn Probe(
        &self,
        py: Python<'_>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<bool> {
        let (comm, mut out) = (self.raw(), Out::new(status));
        let pointer = out.pointer();
        let done = mpi_wait!(py, MPI_Probe(source, tag, comm, pointer));
        out.store();
        done?;
        Ok(true)
    }

    /// Iprobe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> bool
    ///
    /// Ask whether there is a message, and say which in `status`.
    #[pyo3(signature = (source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    pub(crate) fn Iprobe(
        &self,
        py: Python<'_>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'_, Status>>,
    ) -> PyResult<bool> {
        let (comm, mut out, mut flag) = (self.raw(), Out::new(status), 0);
        let pointer = out.pointer();
        let done = mpi_wait!(py, MPI_Iprobe(source, tag, comm, &raw mut flag, pointer));
        out.store();
        done?;
        Ok(flag != 0)
    }

    /// Mprobe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Message
    ///
    /// Wait for a message and take it out of the queue.
    #[pyo3(signature = (source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn Mprobe<'py>(
        &self,
        py: Python<'py>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'py, Status>>,
    ) -> PyResult<Bound<'py, Message>> {
        Message::Probe(&py.get_type::<Message>(), H(self.raw()), source, tag, status)
    }

    /// Improbe(self, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Message | None
    ///
    /// Take a message out of the queue if there is one.
    #[pyo3(signature = (source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn Improbe<'py>(
        &self,
        py: Python<'py>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'py, Status>>,
    ) -> PyResult<Option<Bound<'py, Message>>> {
        Message::Iprobe(&py.get_type::<Message>(), H(self.raw()), source, tag, status)
    }
}
