//! Packing and unpacking. Chapter 5.2 and 5.3 of the standard.

use super::{Datatype, extent};
use crate::buffer::{Access, Memory, acquire};
use crate::call::mpi;
use crate::comm::Comm;
use crate::handle::{H, Handle};
use mpi_abi as abi;
use mpi_abi::Count;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::ffi::CString;

/// Memory on the side of the data, and how many elements it holds.
fn data(py: Python<'_>, object: &Bound<'_, PyAny>, access: Access, raw: abi::Datatype) -> PyResult<(Memory, Count)> {
    let memory = if object.is_none() { Memory::nothing() } else { acquire(object, access)? };
    let extent = extent(py, raw)?.1;
    if extent <= 0 {
        return Err(PyValueError::new_err(format!("cannot count elements, the datatype's extent is {extent}")));
    }
    let count = memory.nbytes as Count / extent;
    Ok((memory, count))
}

#[pymethods]
impl Datatype {
    /// Pack(self, inbuf: BufSpec, outbuf: BufSpec, position: int, comm: Comm) -> int
    ///
    /// Pack data into a contiguous buffer from a position on, and return the next position.
    fn Pack(
        &self,
        py: Python<'_>,
        inbuf: &Bound<'_, PyAny>,
        outbuf: &Bound<'_, PyAny>,
        position: Count,
        comm: H<Comm>,
    ) -> PyResult<Count> {
        let (raw, mut position) = (self.raw(), position);
        let (from, count) = data(py, inbuf, Access::Read, raw)?;
        let to = acquire(outbuf, Access::Write)?;
        let size = to.nbytes as Count;
        mpi!(py, MPI_Pack_c(from.addr, count, raw, to.addr, size, &raw mut position, comm.0))?;
        Ok(position)
    }

    /// Unpack(self, inbuf: BufSpec, position: int, outbuf: BufSpec, comm: Comm) -> int
    ///
    /// Unpack data from a contiguous buffer from a position on, and return the next position.
    fn Unpack(
        &self,
        py: Python<'_>,
        inbuf: &Bound<'_, PyAny>,
        position: Count,
        outbuf: &Bound<'_, PyAny>,
        comm: H<Comm>,
    ) -> PyResult<Count> {
        let (raw, mut position) = (self.raw(), position);
        let from = acquire(inbuf, Access::Read)?;
        let (to, count) = data(py, outbuf, Access::Write, raw)?;
        let size = from.nbytes as Count;
        mpi!(py, MPI_Unpack_c(from.addr, size, &raw mut position, to.addr, count, raw, comm.0))?;
        Ok(position)
    }

    /// Pack_size(self, count: int, comm: Comm) -> int
    ///
    /// Upper bound of the room that packed elements need.
    fn Pack_size(&self, py: Python<'_>, count: Count, comm: H<Comm>) -> PyResult<Count> {
        let mut size = 0;
        mpi!(py, MPI_Pack_size_c(count, self.raw(), comm.0, &raw mut size))?;
        Ok(size)
    }

    /// Pack_external(self, datarep: str, inbuf: BufSpec, outbuf: BufSpec, position: int) -> int
    ///
    /// Pack data in a portable representation, and return the next position.
    fn Pack_external(
        &self,
        py: Python<'_>,
        datarep: &str,
        inbuf: &Bound<'_, PyAny>,
        outbuf: &Bound<'_, PyAny>,
        position: Count,
    ) -> PyResult<Count> {
        let (raw, mut position, datarep) = (self.raw(), position, CString::new(datarep)?);
        let (from, count) = data(py, inbuf, Access::Read, raw)?;
        let to = acquire(outbuf, Access::Write)?;
        let (name, size) = (datarep.as_ptr(), to.nbytes as Count);
        mpi!(py, MPI_Pack_external_c(name, from.addr, count, raw, to.addr, size, &raw mut position))?;
        Ok(position)
    }

    /// Unpack_external(self, datarep: str, inbuf: BufSpec, position: int, outbuf: BufSpec) -> int
    ///
    /// Unpack data in a portable representation, and return the next position.
    fn Unpack_external(
        &self,
        py: Python<'_>,
        datarep: &str,
        inbuf: &Bound<'_, PyAny>,
        position: Count,
        outbuf: &Bound<'_, PyAny>,
    ) -> PyResult<Count> {
        let (raw, mut position, datarep) = (self.raw(), position, CString::new(datarep)?);
        let from = acquire(inbuf, Access::Read)?;
        let (to, count) = data(py, outbuf, Access::Write, raw)?;
        let (name, size) = (datarep.as_ptr(), from.nbytes as Count);
        mpi!(py, MPI_Unpack_external_c(name, from.addr, size, &raw mut position, to.addr, count, raw))?;
        Ok(position)
    }

    /// Pack_external_size(self, datarep: str, count: int) -> int
    ///
    /// Room that elements need in a portable representation.
    fn Pack_external_size(&self, py: Python<'_>, datarep: &str, count: Count) -> PyResult<Count> {
        let (mut size, name) = (0, CString::new(datarep)?);
        mpi!(py, MPI_Pack_external_size_c(name.as_ptr(), count, self.raw(), &raw mut size))?;
        Ok(size)
    }
}
