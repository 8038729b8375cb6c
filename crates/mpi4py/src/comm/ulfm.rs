//! Fault tolerance. The standard's ABI has none of these functions yet, so they do what they do when
//! no process has failed; only `Revoke` cannot be done without the library.

use super::{Comm, is_inter};
use crate::buffer::{Access, Keep, acquire};
use crate::call::{mpi, mpi_wait};
use crate::group::Group;
use crate::handle::{Handle, new_like};
use crate::request::Request;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_BAND, MPI_COMM_NULL, MPI_GROUP_EMPTY, MPI_GROUP_NULL, MPI_INT, MPI_REQUEST_NULL};
use pyo3::exceptions::{PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyByteArray;
use std::ffi::c_int;

/// The bits that all processes of one side agree on; on an intercommunicator the other side's.
fn combine(py: Python<'_>, comm: abi::Comm, flag: c_int) -> PyResult<c_int> {
    let mut all = flag;
    let (from, to) = ((&raw const flag).cast(), (&raw mut all).cast());
    mpi_wait!(py, MPI_Allreduce_c(from, to, 1, MPI_INT, MPI_BAND, comm))?;
    Ok(all)
}

#[pymethods]
impl Comm {
    /// Revoke(self) -> None
    ///
    /// Make the communicator unusable everywhere.
    fn Revoke(&self) -> PyResult<()> {
        Err(PyNotImplementedError::new_err(
            "the MPI library's binary interface has no function to revoke a communicator",
        ))
    }

    /// Is_revoked(self) -> bool
    ///
    /// Whether the communicator was revoked.
    fn Is_revoked(&self, py: Python<'_>) -> PyResult<bool> {
        is_inter(py, self.raw())?;
        Ok(false)
    }

    /// Get_failed(self) -> Group
    ///
    /// Group of the processes that have failed.
    fn Get_failed(&self, py: Python<'_>) -> PyResult<Py<Group>> {
        is_inter(py, self.raw())?;
        let mut group = MPI_GROUP_NULL;
        mpi!(py, MPI_Group_union(MPI_GROUP_EMPTY, MPI_GROUP_EMPTY, &raw mut group))?;
        Group::wrap(py, group)
    }

    /// Ack_failed(self, num_to_ack: int | None = None) -> int
    ///
    /// Acknowledge failed processes, and return how many are.
    #[pyo3(signature = (num_to_ack = None))]
    fn Ack_failed(&self, py: Python<'_>, num_to_ack: Option<c_int>) -> PyResult<c_int> {
        let _ = num_to_ack;
        is_inter(py, self.raw())?;
        Ok(0)
    }

    /// Agree(self, flag: int) -> int
    ///
    /// The bits that all processes have set.
    fn Agree(&self, py: Python<'_>, flag: c_int) -> PyResult<c_int> {
        let comm = self.raw();
        let other = combine(py, comm, flag)?;
        if is_inter(py, comm)? { Ok(other & combine(py, comm, flag & other)?) } else { Ok(other) }
    }

    /// Iagree(self, flag: Buffer) -> Request
    ///
    /// Nonblocking form of `Agree`; the flag is an integer in a buffer.
    fn Iagree(&self, py: Python<'_>, flag: &Bound<'_, PyAny>) -> PyResult<Py<Request>> {
        let memory = acquire(flag, Access::Write)?;
        if memory.nbytes != size_of::<c_int>().cast_signed() {
            return Err(PyValueError::new_err(format!(
                "expecting a buffer of one C integer, not of {} bytes",
                memory.nbytes
            )));
        }
        // SAFETY: the buffer has exactly the bytes of one integer.
        let own = PyByteArray::new(py, &unsafe { memory.addr.cast::<c_int>().read_unaligned() }.to_ne_bytes());
        let (comm, mut request, from, to) = (self.raw(), MPI_REQUEST_NULL, own.data(), memory.addr);
        mpi_wait!(py, MPI_Iallreduce_c(from.cast(), to, 1, MPI_INT, MPI_BAND, comm, &raw mut request))?;
        Request::make(py, request, memory.keep.and(Keep::Object(own.into_any().unbind())))
    }

    /// Shrink(self) -> Comm
    ///
    /// Make a communicator without the processes that have failed.
    fn Shrink<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let (raw, mut new) = (slf.get().raw(), MPI_COMM_NULL);
        mpi_wait!(slf.py(), MPI_Comm_dup(raw, &raw mut new))?;
        new_like(&super::plain_class(slf), new)
    }

    /// Ishrink(self) -> tuple[Comm, Request]
    ///
    /// Nonblocking form of `Shrink`.
    fn Ishrink<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, Self>, Py<Request>)> {
        let (raw, new) = (slf.get().raw(), new_like::<Self>(&super::plain_class(slf), MPI_COMM_NULL)?);
        let (place, mut request) = (new.get().slot().pointer(), MPI_REQUEST_NULL);
        mpi_wait!(slf.py(), MPI_Comm_idup(raw, place, &raw mut request))?;
        let keep = Keep::Object(new.clone().into_any().unbind());
        Ok((new, Request::make(slf.py(), request, keep)?))
    }
}
