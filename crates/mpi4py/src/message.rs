//! `MPI.Message`: messages that a matched probe has found. Chapter 3.8 of the standard.

use crate::buffer::spec;
use crate::call::mpi_wait;
use crate::comm::{Comm, objects};
use crate::handle::{H, Handle, handle_class, new_like};
use crate::request::Request;
use crate::status::{Out, Status};
use mpi_abi::consts::{
    MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_MESSAGE_NO_PROC, MPI_MESSAGE_NULL, MPI_PROC_NULL, MPI_REQUEST_NULL,
};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;

handle_class! { "Matched message.", Message, MPI_MESSAGE_NULL, argument = message, MPI_Message_toint, MPI_Message_fromint; room = u64 }
handle_class! { @reduce Message }

impl Message {
    /// The source that the receive buffer is checked for.
    fn source(&self) -> c_int {
        if self.raw() == MPI_MESSAGE_NO_PROC { MPI_PROC_NULL } else { MPI_ANY_SOURCE }
    }
}

#[pymethods]
impl Message {
    /// free(self) -> None
    ///
    /// Forget the message; it cannot be freed.
    fn free(&self) {
        objects::forget(self.raw());
        self.slot().set(MPI_MESSAGE_NULL);
    }

    /// Probe(cls, comm: Comm, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Self
    ///
    /// Wait for a message and take it out of the queue.
    #[classmethod]
    #[pyo3(signature = (comm, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    pub(crate) fn Probe<'py>(
        cls: &Bound<'py, PyType>,
        comm: H<Comm>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'py, Status>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (mut out, mut raw) = (Out::new(status), MPI_MESSAGE_NULL);
        let pointer = out.pointer();
        let done = mpi_wait!(cls.py(), MPI_Mprobe(source, tag, comm.0, &raw mut raw, pointer));
        out.store();
        done?;
        new_like(cls, raw)
    }

    /// Iprobe(cls, comm: Comm, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Self | None
    ///
    /// Take a message out of the queue if there is one.
    #[classmethod]
    #[pyo3(signature = (comm, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    pub(crate) fn Iprobe<'py>(
        cls: &Bound<'py, PyType>,
        comm: H<Comm>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'py, Status>>,
    ) -> PyResult<Option<Bound<'py, Self>>> {
        let (mut out, mut raw, mut flag) = (Out::new(status), MPI_MESSAGE_NULL, 0);
        let pointer = out.pointer();
        let done = mpi_wait!(cls.py(), MPI_Improbe(source, tag, comm.0, &raw mut flag, &raw mut raw, pointer));
        out.store();
        done?;
        if flag == 0 { Ok(None) } else { new_like(cls, raw).map(Some) }
    }

    /// Recv(self, buf: BufSpec, status: Status | None = None) -> None
    ///
    /// Receive the message.
    #[pyo3(signature = (buf, status = None))]
    fn Recv(&self, py: Python<'_>, buf: &Bound<'_, PyAny>, status: Option<&Bound<'_, Status>>) -> PyResult<()> {
        let mut raw = self.raw();
        let m = spec::recv(buf, self.source())?;
        let mut out = Out::new(status);
        let pointer = out.pointer();
        // Before the call: afterwards another message may have this handle.
        let probed = objects::forget(self.raw());
        let done = mpi_wait!(py, MPI_Mrecv_c(m.addr, m.count, m.datatype, &raw mut raw, pointer));
        out.store();
        if raw == self.raw() {
            objects::remember_again(raw, probed);
        }
        if self.raw() != MPI_MESSAGE_NO_PROC || done.is_ok() {
            self.slot().set(raw);
        }
        done
    }

    /// Irecv(self, buf: BufSpec) -> Request
    ///
    /// Start to receive the message.
    fn Irecv(&self, py: Python<'_>, buf: &Bound<'_, PyAny>) -> PyResult<Py<Request>> {
        let (mut raw, mut request) = (self.raw(), MPI_REQUEST_NULL);
        let m = spec::recv(buf, self.source())?;
        let probed = objects::forget(raw);
        let done = mpi_wait!(py, MPI_Imrecv_c(m.addr, m.count, m.datatype, &raw mut raw, &raw mut request));
        if raw == self.raw() {
            objects::remember_again(raw, probed);
        }
        done?;
        self.slot().set(raw);
        Request::make(py, request, m.keep)
    }
}
