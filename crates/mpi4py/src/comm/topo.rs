//! Process topologies. Chapter 8 of the standard. So far what needs no communication.

use crate::args::{Ints, length};
use crate::call::mpi;
use pyo3::prelude::*;
use std::ffi::c_int;

/// Compute_dims(nnodes: int, dims: int | Sequence[int]) -> list[int]
///
/// Divide a number of processes into the dimensions of a grid, as evenly as can be.
#[pyfunction]
pub(crate) fn Compute_dims(py: Python<'_>, nnodes: c_int, dims: &Bound<'_, PyAny>) -> PyResult<Vec<c_int>> {
    let mut dims = match dims.extract::<usize>() {
        Ok(ndims) => vec![0; ndims],
        Err(_) => dims.extract::<Ints>()?.0,
    };
    let (ndims, pointer) = (length(dims.len())?, dims.as_mut_ptr());
    mpi!(py, MPI_Dims_create(nnodes, ndims, pointer))?;
    Ok(dims)
}
