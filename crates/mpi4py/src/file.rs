//! `MPI.File`: files. Chapter 14 of the standard.
//!
//! So far the class with what every handle has; the operations come with input and output.

use crate::call::mpi_wait;
use crate::errhandler::errhandler_methods;
use crate::handle::{Handle, handle_class};
use mpi_abi::consts::MPI_FILE_NULL;
use pyo3::prelude::*;

handle_class! { "File I/O context.", File, MPI_FILE_NULL, argument = file, MPI_File_toint, MPI_File_fromint }
handle_class! { @reduce File }
errhandler_methods! { File, MPI_File_get_errhandler, MPI_File_set_errhandler, MPI_File_call_errhandler }

#[pymethods]
impl File {
    /// Close(self) -> None
    ///
    /// Close the file.
    fn Close(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi_wait!(py, MPI_File_close(&raw mut raw))?;
        self.slot().set(raw);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Close` if the file is not null.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Close(py))
    }
}
