//! What only intercommunicators have, and how they are made. Chapters 7.6 and 11.3 of the standard.

use super::manage::handler_or_default;
use super::{Comm, Intercomm, Intracomm, raw_of};
use crate::call::{mpi, mpi_wait};
use crate::errhandler::Errhandler;
use crate::group::Group;
use crate::handle::{H, Handle};
use crate::info::Info;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_GROUP_NULL, MPI_INFO_NULL};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{CString, c_int};

#[pymethods]
impl Intracomm {
    /// Create_intercomm(self, local_leader: int, peer_comm: Intracomm, remote_leader: int, tag: int = 0) -> Intercomm
    ///
    /// Connect this communicator with another one; the leaders know each other by `peer_comm`.
    #[pyo3(signature = (local_leader, peer_comm, remote_leader, tag = 0))]
    fn Create_intercomm(
        slf: &Bound<'_, Self>,
        local_leader: c_int,
        peer_comm: H<Comm>,
        remote_leader: c_int,
        tag: c_int,
    ) -> PyResult<Py<Intercomm>> {
        let (raw, mut new) = (raw_of(slf), MPI_COMM_NULL);
        mpi_wait!(slf.py(), MPI_Intercomm_create(raw, local_leader, peer_comm.0, remote_leader, tag, &raw mut new))?;
        Intercomm::wrap(slf.py(), new)
    }
}

#[pymethods]
impl Intercomm {
    /// Create_from_groups(cls, local_group: Group, local_leader: int, remote_group: Group, remote_leader: int, stringtag: str = 'org.mpi4py', info: Info = INFO_NULL, errhandler: Errhandler | None = None) -> Intracomm
    ///
    /// Make an intercommunicator from two groups, without another communicator.
    #[classmethod]
    #[pyo3(signature = (local_group, local_leader, remote_group, remote_leader, stringtag = "org.mpi4py", info = None, errhandler = None))]
    fn Create_from_groups(
        cls: &Bound<'_, PyType>,
        local_group: H<Group>,
        local_leader: c_int,
        remote_group: H<Group>,
        remote_leader: c_int,
        stringtag: &str,
        info: Option<H<Info>>,
        errhandler: Option<H<Errhandler>>,
    ) -> PyResult<Py<Self>> {
        let (tag, mut new) = (CString::new(stringtag)?, MPI_COMM_NULL);
        let (local, remote) = (local_group.0, remote_group.0);
        let info = info.map_or(MPI_INFO_NULL, |info| info.0);
        let handler = handler_or_default(errhandler);
        let text = tag.as_ptr();
        mpi_wait!(
            cls.py(),
            MPI_Intercomm_create_from_groups(
                local,
                local_leader,
                remote,
                remote_leader,
                text,
                info,
                handler,
                &raw mut new
            )
        )?;
        Self::wrap(cls.py(), new)
    }

    /// Get_remote_group(self) -> Group
    ///
    /// Group of the processes on the other side.
    fn Get_remote_group(slf: &Bound<'_, Self>) -> PyResult<Py<Group>> {
        let mut group = MPI_GROUP_NULL;
        mpi!(slf.py(), MPI_Comm_remote_group(raw_of(slf), &raw mut group))?;
        Group::wrap(slf.py(), group)
    }

    /// remote_group: Group
    ///
    /// Group of the processes on the other side.
    #[getter]
    fn remote_group(slf: &Bound<'_, Self>) -> PyResult<Py<Group>> {
        Self::Get_remote_group(slf)
    }

    /// Get_remote_size(self) -> int
    ///
    /// Number of processes on the other side.
    fn Get_remote_size(slf: &Bound<'_, Self>) -> PyResult<c_int> {
        let mut size = 0;
        mpi!(slf.py(), MPI_Comm_remote_size(raw_of(slf), &raw mut size))?;
        Ok(size)
    }

    /// remote_size: int
    ///
    /// Number of processes on the other side.
    #[getter]
    fn remote_size(slf: &Bound<'_, Self>) -> PyResult<c_int> {
        Self::Get_remote_size(slf)
    }

    /// Merge(self, high: bool = False) -> Intracomm
    ///
    /// Make one communicator of both sides; the side that says `high` gets the higher ranks.
    #[pyo3(signature = (high = false))]
    fn Merge(slf: &Bound<'_, Self>, high: bool) -> PyResult<Py<Intracomm>> {
        let (raw, mut new) = (raw_of(slf), MPI_COMM_NULL);
        mpi_wait!(slf.py(), MPI_Intercomm_merge(raw, c_int::from(high), &raw mut new))?;
        Intracomm::wrap(slf.py(), new)
    }
}
