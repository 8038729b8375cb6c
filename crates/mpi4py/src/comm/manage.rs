//! Making, comparing, naming and freeing communicators. Chapters 7.4, 7.8 and 9.1 of the standard.

use super::{Comm, Intercomm, Intracomm, is_inter, plain_class, raw_of};
use crate::args;
use crate::call::{mpi, mpi_wait};
use crate::errhandler::Errhandler;
use crate::group::Group;
use crate::handle::{H, Handle, new_like};
use crate::info::Info;
use crate::request::{Owner, Request};
use mpi_abi::consts::{
    MPI_COMM_NULL, MPI_ERRORS_ARE_FATAL, MPI_GROUP_NULL, MPI_INFO_NULL, MPI_MAX_OBJECT_NAME, MPI_REQUEST_NULL,
    MPI_UNDEFINED,
};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{CString, c_char, c_int};

impl Comm {
    /// A nonblocking duplicate: MPI writes the handle into the new object when it is made.
    fn idup<'py>(slf: &Bound<'py, Self>, info: Option<mpi_abi::Info>) -> PyResult<(Bound<'py, Self>, Py<Request>)> {
        let (py, raw) = (slf.py(), slf.get().raw());
        let new = new_like::<Self>(&slf.get_type(), MPI_COMM_NULL)?;
        let (place, mut request) = (new.get().slot().pointer(), MPI_REQUEST_NULL);
        match info {
            None => mpi_wait!(py, MPI_Comm_idup(raw, place, &raw mut request)),
            Some(info) => mpi_wait!(py, MPI_Comm_idup_with_info(raw, info, place, &raw mut request)),
        }?;
        let owner = Owner::from(crate::buffer::Keep::Object(new.clone().into_any().unbind()));
        Ok((new, Request::make(py, request, owner)?))
    }
}

#[pymethods]
impl Comm {
    /// Get_group(self) -> Group
    ///
    /// Group of the processes.
    fn Get_group(&self, py: Python<'_>) -> PyResult<Py<Group>> {
        let mut group = MPI_GROUP_NULL;
        mpi!(py, MPI_Comm_group(self.raw(), &raw mut group))?;
        Group::wrap(py, group)
    }

    /// group: Group
    ///
    /// Group of the processes.
    #[getter]
    fn group(&self, py: Python<'_>) -> PyResult<Py<Group>> {
        self.Get_group(py)
    }

    /// Get_size(self) -> int
    ///
    /// Number of processes.
    fn Get_size(&self, py: Python<'_>) -> PyResult<c_int> {
        let mut size = 0;
        mpi!(py, MPI_Comm_size(self.raw(), &raw mut size))?;
        Ok(size)
    }

    /// size: int
    ///
    /// Number of processes.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<c_int> {
        self.Get_size(py)
    }

    /// Get_rank(self) -> int
    ///
    /// Rank of this process.
    fn Get_rank(&self, py: Python<'_>) -> PyResult<c_int> {
        super::rank(py, self.raw())
    }

    /// rank: int
    ///
    /// Rank of this process.
    #[getter]
    fn rank(&self, py: Python<'_>) -> PyResult<c_int> {
        self.Get_rank(py)
    }

    /// Compare(self, comm: Comm) -> int
    ///
    /// Compare two communicators: `IDENT`, `CONGRUENT`, `SIMILAR` or `UNEQUAL`.
    fn Compare(&self, py: Python<'_>, comm: H<Comm>) -> PyResult<c_int> {
        let mut result = 0;
        mpi!(py, MPI_Comm_compare(self.raw(), comm.0, &raw mut result))?;
        Ok(result)
    }

    /// Clone(self) -> Self
    ///
    /// Make a communicator with the same group and a context of its own.
    fn Clone<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        Self::Dup(slf, None)
    }

    /// Dup(self, info: Info | None = None) -> Self
    ///
    /// Make a communicator with the same group, attributes and topology, and a context of its own.
    #[pyo3(signature = (info = None))]
    fn Dup<'py>(slf: &Bound<'py, Self>, info: Option<H<Info>>) -> PyResult<Bound<'py, Self>> {
        let (raw, mut new) = (slf.get().raw(), MPI_COMM_NULL);
        match info {
            None => mpi_wait!(slf.py(), MPI_Comm_dup(raw, &raw mut new)),
            Some(H(info)) => mpi_wait!(slf.py(), MPI_Comm_dup_with_info(raw, info, &raw mut new)),
        }?;
        fresh(&slf.get_type(), new)
    }

    /// Dup_with_info(self, info: Info) -> Self
    ///
    /// Make a communicator with the same group and other hints.
    fn Dup_with_info<'py>(slf: &Bound<'py, Self>, info: H<Info>) -> PyResult<Bound<'py, Self>> {
        Self::Dup(slf, Some(info))
    }

    /// Idup(self, info: Info | None = None) -> tuple[Self, Request]
    ///
    /// Nonblocking form of `Dup`.
    #[pyo3(signature = (info = None))]
    fn Idup<'py>(slf: &Bound<'py, Self>, info: Option<H<Info>>) -> PyResult<(Bound<'py, Self>, Py<Request>)> {
        Self::idup(slf, info.map(|info| info.0))
    }

    /// Idup_with_info(self, info: Info) -> tuple[Self, Request]
    ///
    /// Nonblocking form of `Dup_with_info`.
    fn Idup_with_info<'py>(slf: &Bound<'py, Self>, info: H<Info>) -> PyResult<(Bound<'py, Self>, Py<Request>)> {
        Self::idup(slf, Some(info.0))
    }

    /// Create(self, group: Group) -> Comm
    ///
    /// Make a communicator of a part of the processes; all of them call.
    fn Create<'py>(slf: &Bound<'py, Self>, group: H<Group>) -> PyResult<Bound<'py, Self>> {
        let (raw, mut new) = (slf.get().raw(), MPI_COMM_NULL);
        mpi_wait!(slf.py(), MPI_Comm_create(raw, group.0, &raw mut new))?;
        fresh(&plain_class(slf), new)
    }

    /// Split(self, color: int = 0, key: int = 0) -> Comm
    ///
    /// Split the processes: those with the same color get together, in the order of the keys.
    #[pyo3(signature = (color = 0, key = 0))]
    fn Split<'py>(slf: &Bound<'py, Self>, color: c_int, key: c_int) -> PyResult<Bound<'py, Self>> {
        let (raw, mut new) = (slf.get().raw(), MPI_COMM_NULL);
        mpi_wait!(slf.py(), MPI_Comm_split(raw, color, key, &raw mut new))?;
        fresh(&plain_class(slf), new)
    }

    /// Split_type(self, split_type: int, key: int = 0, info: Info = INFO_NULL) -> Comm
    ///
    /// Split the processes by what they have in common, such as memory.
    #[pyo3(signature = (split_type, key = 0, info = None))]
    fn Split_type<'py>(
        slf: &Bound<'py, Self>,
        split_type: c_int,
        key: c_int,
        info: Option<H<Info>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (raw, mut new) = (slf.get().raw(), MPI_COMM_NULL);
        let info = info.map_or(MPI_INFO_NULL, |info| info.0);
        mpi_wait!(slf.py(), MPI_Comm_split_type(raw, split_type, key, info, &raw mut new))?;
        fresh(&plain_class(slf), new)
    }

    /// Free(self) -> None
    ///
    /// Free the communicator.
    fn Free(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi_wait!(py, MPI_Comm_free(&raw mut raw))?;
        self.slot().set(raw);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Free` if the communicator is neither null nor predefined.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Free(py))
    }

    /// Disconnect(self) -> None
    ///
    /// Wait for all communication to be over and free the communicator.
    fn Disconnect(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi_wait!(py, MPI_Comm_disconnect(&raw mut raw))?;
        self.slot().set(raw);
        Ok(())
    }

    /// Set_info(self, info: Info) -> None
    ///
    /// Set hints.
    fn Set_info(&self, py: Python<'_>, info: H<Info>) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_Comm_set_info(raw, info.0))
    }

    /// Get_info(self) -> Info
    ///
    /// Hints in force.
    fn Get_info(&self, py: Python<'_>) -> PyResult<Py<Info>> {
        let mut info = MPI_INFO_NULL;
        mpi!(py, MPI_Comm_get_info(self.raw(), &raw mut info))?;
        Info::wrap(py, info)
    }

    /// info: Info
    ///
    /// Hints.
    #[getter]
    fn info(&self, py: Python<'_>) -> PyResult<Py<Info>> {
        self.Get_info(py)
    }

    #[setter]
    fn set_info(&self, py: Python<'_>, info: H<Info>) -> PyResult<()> {
        self.Set_info(py, info)
    }

    /// Is_inter(self) -> bool
    ///
    /// Whether this is an intercommunicator.
    fn Is_inter(&self, py: Python<'_>) -> PyResult<bool> {
        is_inter(py, self.raw())
    }

    /// is_inter: bool
    ///
    /// Whether this is an intercommunicator.
    #[getter]
    fn is_inter(&self, py: Python<'_>) -> PyResult<bool> {
        self.Is_inter(py)
    }

    /// Is_intra(self) -> bool
    ///
    /// Whether this is an intracommunicator.
    fn Is_intra(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!is_inter(py, self.raw())?)
    }

    /// is_intra: bool
    ///
    /// Whether this is an intracommunicator.
    #[getter]
    fn is_intra(&self, py: Python<'_>) -> PyResult<bool> {
        self.Is_intra(py)
    }

    /// Get_topology(self) -> int
    ///
    /// Kind of topology: `CART`, `GRAPH`, `DIST_GRAPH` or `UNDEFINED`.
    fn Get_topology(&self, py: Python<'_>) -> PyResult<c_int> {
        let mut topology = MPI_UNDEFINED;
        mpi!(py, MPI_Topo_test(self.raw(), &raw mut topology))?;
        Ok(topology)
    }

    /// topology: int
    ///
    /// Kind of topology.
    #[getter]
    fn topology(&self, py: Python<'_>) -> PyResult<c_int> {
        self.Get_topology(py)
    }

    /// is_topo: bool
    ///
    /// Whether the communicator has a topology.
    #[getter]
    fn is_topo(&self, py: Python<'_>) -> PyResult<bool> {
        if self.raw() == MPI_COMM_NULL || is_inter(py, self.raw())? {
            return Ok(false);
        }
        Ok(self.Get_topology(py)? != MPI_UNDEFINED)
    }

    /// Get_parent(cls) -> Intercomm
    ///
    /// Intercommunicator to the processes that spawned this one.
    #[classmethod]
    fn Get_parent<'py>(cls: &Bound<'py, PyType>) -> PyResult<Py<Intercomm>> {
        let mut parent = MPI_COMM_NULL;
        mpi!(cls.py(), MPI_Comm_get_parent(&raw mut parent))?;
        Intercomm::wrap(cls.py(), parent)
    }

    /// Join(cls, fd: int) -> Intercomm
    ///
    /// Make an intercommunicator of two processes that a socket connects.
    #[classmethod]
    fn Join<'py>(cls: &Bound<'py, PyType>, fd: c_int) -> PyResult<Py<Intercomm>> {
        let mut new = MPI_COMM_NULL;
        mpi_wait!(cls.py(), MPI_Comm_join(fd, &raw mut new))?;
        Intercomm::wrap(cls.py(), new)
    }

    /// Abort(self, errorcode: int = 0) -> NoReturn
    ///
    /// End the processes of the communicator.
    #[pyo3(signature = (errorcode = 0))]
    fn Abort(&self, py: Python<'_>, errorcode: c_int) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_Abort(raw, errorcode))
    }

    /// Get_name(self) -> str
    ///
    /// Name of the communicator.
    fn Get_name(&self, py: Python<'_>) -> PyResult<String> {
        let (mut name, mut length) = ([0 as c_char; MPI_MAX_OBJECT_NAME as usize + 1], 0);
        mpi!(py, MPI_Comm_get_name(self.raw(), name.as_mut_ptr(), &raw mut length))?;
        Ok(args::text(&name))
    }

    /// Set_name(self, name: str) -> None
    ///
    /// Set the name of the communicator.
    fn Set_name(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let name = CString::new(name)?;
        mpi!(py, MPI_Comm_set_name(self.raw(), name.as_ptr()))
    }

    /// name: str
    ///
    /// Name of the communicator.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        self.Get_name(py)
    }

    #[setter]
    fn set_name(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.Set_name(py, name)
    }
}

#[pymethods]
impl Intracomm {
    /// Create_group(self, group: Group, tag: int = 0) -> Intracomm
    ///
    /// Make a communicator of a part of the processes; only those call.
    #[pyo3(signature = (group, tag = 0))]
    fn Create_group(slf: &Bound<'_, Self>, group: H<Group>, tag: c_int) -> PyResult<Py<Self>> {
        let (raw, mut new) = (raw_of(slf), MPI_COMM_NULL);
        mpi_wait!(slf.py(), MPI_Comm_create_group(raw, group.0, tag, &raw mut new))?;
        Self::wrap(slf.py(), new)
    }

    /// Create_from_group(cls, group: Group, stringtag: str = 'org.mpi4py', info: Info = INFO_NULL, errhandler: Errhandler | None = None) -> Intracomm
    ///
    /// Make a communicator from a group, without another communicator.
    #[classmethod]
    #[pyo3(signature = (group, stringtag = "org.mpi4py", info = None, errhandler = None))]
    fn Create_from_group(
        cls: &Bound<'_, PyType>,
        group: H<Group>,
        stringtag: &str,
        info: Option<H<Info>>,
        errhandler: Option<H<Errhandler>>,
    ) -> PyResult<Py<Self>> {
        let (tag, mut new) = (CString::new(stringtag)?, MPI_COMM_NULL);
        let info = info.map_or(MPI_INFO_NULL, |info| info.0);
        let handler = handler_or_default(errhandler);
        let tag = tag.as_ptr();
        mpi_wait!(cls.py(), MPI_Comm_create_from_group(group.0, tag, info, handler, &raw mut new))?;
        Self::wrap(cls.py(), new)
    }
}

/// The error handler of a communicator that inherits none.
pub(super) fn handler_or_default(errhandler: Option<H<Errhandler>>) -> mpi_abi::Errhandler {
    errhandler
        .map(|handler| crate::init::swap_returning(handler.0))
        .or_else(crate::init::comm_error_handler)
        .unwrap_or(MPI_ERRORS_ARE_FATAL)
}

/// An object for a communicator that was just made. Errors on it become exceptions, as `rc.errors`
/// says, whatever handler its parent has.
fn fresh<'py>(class: &Bound<'py, pyo3::types::PyType>, new: mpi_abi::Comm) -> PyResult<Bound<'py, Comm>> {
    if let Some(handler) = crate::init::comm_error_handler()
        && new != MPI_COMM_NULL
    {
        mpi!(class.py(), MPI_Comm_set_errhandler(new, handler))?;
    }
    new_like(class, new)
}
