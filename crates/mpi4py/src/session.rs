//! `MPI.Session`: sessions. Chapter 11.3 of the standard.

use crate::args;
use crate::call::{mpi, mpi_wait};
use crate::errhandler::{Errhandler, errhandler_methods};
use crate::group::Group;
use crate::handle::{H, Handle, handle_class, new_like};
use crate::info::Info;
use mpi_abi::consts::{MPI_ERRORS_ARE_FATAL, MPI_GROUP_NULL, MPI_INFO_NULL, MPI_MAX_PSET_NAME_LEN, MPI_SESSION_NULL};
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{CString, c_char, c_int};

handle_class! {
    "Session context.", Session, MPI_SESSION_NULL, argument = session, MPI_Session_toint, MPI_Session_fromint
}
handle_class! { @reduce Session }
errhandler_methods! { Session, MPI_Session_get_errhandler, MPI_Session_set_errhandler, MPI_Session_call_errhandler }

#[pymethods]
impl Session {
    /// Init(cls, info: Info = INFO_NULL, errhandler: Errhandler | None = None) -> Self
    ///
    /// Start a session.
    #[classmethod]
    #[pyo3(signature = (info = None, errhandler = None))]
    fn Init<'py>(
        cls: &Bound<'py, PyType>,
        info: Option<H<Info>>,
        errhandler: Option<H<Errhandler>>,
    ) -> PyResult<Bound<'py, Self>> {
        let mut raw = MPI_SESSION_NULL;
        let info = info.map_or(MPI_INFO_NULL, |info| info.0);
        let handler =
            errhandler.map(|handler| handler.0).or_else(crate::init::error_handler).unwrap_or(MPI_ERRORS_ARE_FATAL);
        mpi_wait!(cls.py(), MPI_Session_init(info, handler, &raw mut raw))?;
        if crate::call::is_built_in() {
            crate::stacks::serve(cls.py());
        }
        new_like(cls, raw)
    }

    /// Finalize(self) -> None
    ///
    /// End the session.
    fn Finalize(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi_wait!(py, MPI_Session_finalize(&raw mut raw))?;
        self.slot().set(raw);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Finalize` if the session is not null.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        let raw = self.raw();
        if raw == MPI_SESSION_NULL { Ok(()) } else { self.Finalize(py) }
    }

    /// Get_num_psets(self, info: Info = INFO_NULL) -> int
    ///
    /// Number of process sets.
    #[pyo3(signature = (info = None))]
    fn Get_num_psets(&self, py: Python<'_>, info: Option<H<Info>>) -> PyResult<c_int> {
        let mut count = 0;
        let info = info.map_or(MPI_INFO_NULL, |info| info.0);
        mpi!(py, MPI_Session_get_num_psets(self.raw(), info, &raw mut count))?;
        Ok(count)
    }

    /// Get_nth_pset(self, n: int, info: Info = INFO_NULL) -> str
    ///
    /// Name of process set number `n`, counted from zero.
    #[pyo3(signature = (n, info = None))]
    fn Get_nth_pset(&self, py: Python<'_>, n: c_int, info: Option<H<Info>>) -> PyResult<String> {
        let info = info.map_or(MPI_INFO_NULL, |info| info.0);
        let mut name = [0 as c_char; MPI_MAX_PSET_NAME_LEN as usize + 1];
        let mut length = MPI_MAX_PSET_NAME_LEN;
        mpi!(py, MPI_Session_get_nth_pset(self.raw(), info, n, &raw mut length, name.as_mut_ptr()))?;
        Ok(args::text(&name))
    }

    /// Get_info(self) -> Info
    ///
    /// Hints of the session.
    fn Get_info(&self, py: Python<'_>) -> PyResult<Py<Info>> {
        let mut raw = MPI_INFO_NULL;
        mpi!(py, MPI_Session_get_info(self.raw(), &raw mut raw))?;
        Info::wrap(py, raw)
    }

    /// Get_pset_info(self, pset_name: str) -> Info
    ///
    /// What is known of a process set.
    fn Get_pset_info(&self, py: Python<'_>, pset_name: &str) -> PyResult<Py<Info>> {
        let (mut raw, name) = (MPI_INFO_NULL, CString::new(pset_name)?);
        mpi!(py, MPI_Session_get_pset_info(self.raw(), name.as_ptr(), &raw mut raw))?;
        Info::wrap(py, raw)
    }

    /// Create_group(self, pset_name: str) -> Group
    ///
    /// Make a group of the processes of a process set.
    fn Create_group(&self, py: Python<'_>, pset_name: &str) -> PyResult<Py<Group>> {
        let (mut raw, name) = (MPI_GROUP_NULL, CString::new(pset_name)?);
        mpi!(py, MPI_Group_from_session_pset(self.raw(), name.as_ptr(), &raw mut raw))?;
        Group::wrap(py, raw)
    }
}
