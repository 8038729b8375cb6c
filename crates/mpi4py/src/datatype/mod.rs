//! `MPI.Datatype`. Chapter 5 of the standard.
//!
//! | file | owns |
//! |---|---|
//! | `mod` | the class, sizes, names |
//! | `build` | the constructors |
//! | `decode` | how a datatype was made, and making it again: `decode`, pickling |
//! | `code` | type codes: `fromcode`, `typestr` ... |
//! | `pack` | packing and unpacking |

mod build;
pub(crate) mod code;
mod decode;
mod pack;

use crate::args;
use crate::call::mpi;
use crate::handle::{Handle, handle_class};
use mpi_abi as abi;
use mpi_abi::Count;
use mpi_abi::consts::{MPI_DATATYPE_NULL, MPI_MAX_OBJECT_NAME};
use pyo3::prelude::*;
use std::ffi::{CString, c_char};

handle_class! {
    "Datatype object.", Datatype, MPI_DATATYPE_NULL, argument = datatype, MPI_Type_toint, MPI_Type_fromint
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    code::register(module)?;
    decode::register(module)
}

/// Size, and lower bound and extent, of a datatype.
pub(super) fn size(py: Python<'_>, raw: abi::Datatype) -> PyResult<Count> {
    let mut size = 0;
    mpi!(py, MPI_Type_size_c(raw, &raw mut size))?;
    Ok(size)
}

pub(super) fn extent(py: Python<'_>, raw: abi::Datatype) -> PyResult<(Count, Count)> {
    let (mut lb, mut extent) = (0, 0);
    mpi!(py, MPI_Type_get_extent_c(raw, &raw mut lb, &raw mut extent))?;
    Ok((lb, extent))
}

#[pymethods]
impl Datatype {
    /// Get_size(self) -> int
    ///
    /// Number of bytes of data in the datatype.
    fn Get_size(&self, py: Python<'_>) -> PyResult<Count> {
        size(py, self.raw())
    }

    /// size: int
    ///
    /// Number of bytes of data in the datatype.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<Count> {
        size(py, self.raw())
    }

    /// Get_extent(self) -> tuple[int, int]
    ///
    /// Lower bound and extent.
    fn Get_extent(&self, py: Python<'_>) -> PyResult<(Count, Count)> {
        extent(py, self.raw())
    }

    /// extent: int
    ///
    /// Distance from one element to the next.
    #[getter]
    fn extent(&self, py: Python<'_>) -> PyResult<Count> {
        Ok(extent(py, self.raw())?.1)
    }

    /// lb: int
    ///
    /// Lower bound.
    #[getter]
    fn lb(&self, py: Python<'_>) -> PyResult<Count> {
        Ok(extent(py, self.raw())?.0)
    }

    /// ub: int
    ///
    /// Upper bound.
    #[getter]
    fn ub(&self, py: Python<'_>) -> PyResult<Count> {
        let (lb, extent) = extent(py, self.raw())?;
        Ok(lb + extent)
    }

    /// Get_true_extent(self) -> tuple[int, int]
    ///
    /// Lower bound and extent of the data alone.
    fn Get_true_extent(&self, py: Python<'_>) -> PyResult<(Count, Count)> {
        let (mut lb, mut extent) = (0, 0);
        mpi!(py, MPI_Type_get_true_extent_c(self.raw(), &raw mut lb, &raw mut extent))?;
        Ok((lb, extent))
    }

    /// true_extent: int
    ///
    /// Extent of the data alone.
    #[getter]
    fn true_extent(&self, py: Python<'_>) -> PyResult<Count> {
        Ok(self.Get_true_extent(py)?.1)
    }

    /// true_lb: int
    ///
    /// Lower bound of the data alone.
    #[getter]
    fn true_lb(&self, py: Python<'_>) -> PyResult<Count> {
        Ok(self.Get_true_extent(py)?.0)
    }

    /// true_ub: int
    ///
    /// Upper bound of the data alone.
    #[getter]
    fn true_ub(&self, py: Python<'_>) -> PyResult<Count> {
        let (lb, extent) = self.Get_true_extent(py)?;
        Ok(lb + extent)
    }

    /// Commit(self) -> Self
    ///
    /// Make the datatype ready for communication.
    fn Commit<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let mut raw = slf.get().raw();
        mpi!(slf.py(), MPI_Type_commit(&raw mut raw))?;
        Ok(slf.clone())
    }

    /// Free(self) -> None
    ///
    /// Free the datatype.
    fn Free(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi!(py, MPI_Type_free(&raw mut raw))?;
        self.slot().set(raw);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Free` if the datatype is neither null nor predefined.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        let predefined = |raw| decode::is_predefined(py, raw).unwrap_or(true);
        crate::init::free_quietly(self, predefined, || self.Free(py))
    }

    /// Get_name(self) -> str
    ///
    /// Name of the datatype.
    fn Get_name(&self, py: Python<'_>) -> PyResult<String> {
        let (mut name, mut length) = ([0 as c_char; MPI_MAX_OBJECT_NAME as usize + 1], 0);
        mpi!(py, MPI_Type_get_name(self.raw(), name.as_mut_ptr(), &raw mut length))?;
        Ok(args::text(&name))
    }

    /// Set_name(self, name: str) -> None
    ///
    /// Set the name of the datatype.
    fn Set_name(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let name = CString::new(name)?;
        mpi!(py, MPI_Type_set_name(self.raw(), name.as_ptr()))
    }

    /// name: str
    ///
    /// Name of the datatype.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        self.Get_name(py)
    }

    #[setter]
    fn set_name(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.Set_name(py, name)
    }
}
