//! `MPI.Win`: windows for one-sided access. Chapter 12 of the standard.
//!
//! So far the class with what every handle has; the operations come with one-sided communication.

use crate::call::mpi_wait;
use crate::errhandler::errhandler_methods;
use crate::handle::{Handle, handle_class};
use mpi_abi::consts::MPI_WIN_NULL;
use pyo3::prelude::*;

handle_class! { "Remote memory access context.", Win, MPI_WIN_NULL, argument = win, MPI_Win_toint, MPI_Win_fromint }
handle_class! { @reduce Win }
errhandler_methods! { Win, MPI_Win_get_errhandler, MPI_Win_set_errhandler, MPI_Win_call_errhandler }

#[pymethods]
impl Win {
    /// Free(self) -> None
    ///
    /// Free the window.
    fn Free(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi_wait!(py, MPI_Win_free(&raw mut raw))?;
        self.slot().set(raw);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Free` if the window is not null.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Free(py))
    }
}
