//! Exchange of objects with the neighbours of a topology. Chapter 8.6 of the standard underneath; what
//! is on the wire is as in `objects_coll`: first the sizes, then the objects.

use super::objects_coll::{Batch, number, objects_in, one_each, places};
use super::topo::degrees;
use super::{Topocomm, raw_of};
use crate::call::mpi_wait;
use crate::pickle::{Block, encode};
use mpi_abi::Count;
use mpi_abi::consts::MPI_BYTE;
use pyo3::prelude::*;

/// Bytes of a size on the wire.
const WORD: Count = size_of::<Count>() as Count;

#[pymethods]
impl Topocomm {
    /// neighbor_allgather(self, sendobj: Any) -> list[Any]
    ///
    /// Gather objects from all neighbours.
    fn neighbor_allgather(slf: &Bound<'_, Self>, sendobj: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        let (py, comm) = (slf.py(), raw_of(slf));
        super::irecv::serve(py)?;
        let (indegree, _) = degrees(py, comm)?;
        let message = encode(sendobj)?;
        let (size, mut sizes) = (message.size(), vec![0; number(indegree)]);
        let (from, to) = ((&raw const size).cast(), sizes.as_mut_ptr().cast());
        mpi_wait!(py, MPI_Neighbor_allgather_c(from, WORD, MPI_BYTE, to, WORD, MPI_BYTE, comm))?;
        let (places, total) = places(&sizes);
        let (block, wire) = (Block::new(py, total)?, message.wire_as(py, MPI_BYTE)?);
        let (addr, count, datatype) = (wire.addr, wire.count, wire.datatype);
        let (to, counts, displs) = (block.addr(), sizes.as_ptr(), places.as_ptr());
        mpi_wait!(py, MPI_Neighbor_allgatherv_c(addr, count, datatype, to, counts, displs, MPI_BYTE, comm))?;
        objects_in(py, &block, &places, &sizes)
    }

    /// neighbor_alltoall(self, sendobj: list[Any]) -> list[Any]
    ///
    /// Exchange objects with all neighbours.
    fn neighbor_alltoall(slf: &Bound<'_, Self>, sendobj: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        let (py, comm) = (slf.py(), raw_of(slf));
        super::irecv::serve(py)?;
        let (indegree, outdegree) = degrees(py, comm)?;
        let batch = Batch::new(&one_each(sendobj, number(outdegree))?)?;
        let mut sizes: Vec<Count> = vec![0; number(indegree)];
        let (from, to) = (batch.sizes.as_ptr().cast(), sizes.as_mut_ptr().cast());
        mpi_wait!(py, MPI_Neighbor_alltoall_c(from, WORD, MPI_BYTE, to, WORD, MPI_BYTE, comm))?;
        let (packed, sends) = batch.packed(py)?;
        let (receives, total) = places(&sizes);
        let block = Block::new(py, total)?;
        let (from, scounts, sdispls) = (packed.addr(), batch.sizes.as_ptr(), sends.as_ptr());
        let (to, rcounts, rdispls) = (block.addr(), sizes.as_ptr(), receives.as_ptr());
        mpi_wait!(
            py,
            MPI_Neighbor_alltoallv_c(from, scounts, sdispls, MPI_BYTE, to, rcounts, rdispls, MPI_BYTE, comm)
        )?;
        objects_in(py, &block, &receives, &sizes)
    }
}
