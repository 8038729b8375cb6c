//! `Message.recv` and the others in lower case: messages that a matched probe found, as objects.
//! Chapter 3.8 of the standard.

use crate::comm::{Comm, irecv, objects};
use crate::handle::{H, Handle};
use crate::message::Message;
use crate::request::Request;
use crate::status::Status;
use mpi_abi::consts::{MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_MESSAGE_NULL};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;

#[pymethods]
impl Message {
    /// probe(cls, comm: Comm, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Self
    ///
    /// Wait for a message and take it out of the queue.
    #[classmethod]
    #[pyo3(signature = (comm, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn probe<'py>(
        cls: &Bound<'py, PyType>,
        comm: H<Comm>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'py, Status>>,
    ) -> PyResult<Bound<'py, Self>> {
        objects::probe_object(cls, comm.0, source, tag, status)
    }

    /// iprobe(cls, comm: Comm, source: int = ANY_SOURCE, tag: int = ANY_TAG, status: Status | None = None) -> Self | None
    ///
    /// Take a message out of the queue if there is one.
    #[classmethod]
    #[pyo3(signature = (comm, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, status = None))]
    fn iprobe<'py>(
        cls: &Bound<'py, PyType>,
        comm: H<Comm>,
        source: c_int,
        tag: c_int,
        status: Option<&Bound<'py, Status>>,
    ) -> PyResult<Option<Bound<'py, Self>>> {
        objects::iprobe_object(cls, comm.0, source, tag, status)
    }

    /// recv(self, status: Status | None = None) -> Any
    ///
    /// Receive the object of the message.
    #[pyo3(signature = (status = None))]
    fn recv(&self, py: Python<'_>, status: Option<&Bound<'_, Status>>) -> PyResult<Py<PyAny>> {
        let mut raw = self.raw();
        let probed = objects::probed(raw)?;
        let object = objects::receive(py, &mut raw, &probed, status);
        self.slot().set(raw);
        object
    }

    /// irecv(self) -> Request
    ///
    /// Start to receive the object of the message.
    fn irecv(&self, py: Python<'_>) -> PyResult<Py<Request>> {
        let raw = self.raw();
        let request = irecv::start_matched(py, raw, &objects::probed(raw)?)?;
        self.slot().set(MPI_MESSAGE_NULL);
        Ok(request)
    }
}
