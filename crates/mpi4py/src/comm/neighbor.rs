//! Collectives with the neighbours of a topology, each in its three forms. Chapter 8.6 of the standard.

use super::coll::collectives;
use super::topo::degrees;
use super::{Topocomm, raw_of};
use crate::buffer::spec::simple;
use crate::buffer::vector::{vector, vector_w};
use crate::buffer::{Access, Msg, MsgV, MsgW};
use crate::call::mpi_wait;
use crate::handle::H;
use crate::info::Info;
use crate::request::{Prequest, Request};
use mpi_abi as abi;
use mpi_abi::consts::{MPI_INFO_NULL, MPI_REQUEST_NULL};
use pyo3::prelude::*;

type Object<'a, 'py> = &'a Bound<'py, PyAny>;

fn allgather(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(Msg, Msg)> {
    let (indegree, _) = degrees(recv.py(), comm)?;
    Ok((simple(send, Access::Read, 1)?, simple(recv, Access::Write, indegree)?))
}

fn allgatherv(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(Msg, MsgV)> {
    let (indegree, _) = degrees(recv.py(), comm)?;
    Ok((simple(send, Access::Read, 1)?, vector(recv, Access::Write, indegree)?))
}

fn alltoall(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(Msg, Msg)> {
    let (indegree, outdegree) = degrees(recv.py(), comm)?;
    Ok((simple(send, Access::Read, outdegree)?, simple(recv, Access::Write, indegree)?))
}

fn alltoallv(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(MsgV, MsgV)> {
    let (indegree, outdegree) = degrees(recv.py(), comm)?;
    Ok((vector(send, Access::Read, outdegree)?, vector(recv, Access::Write, indegree)?))
}

fn alltoallw(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(MsgW, MsgW)> {
    let (indegree, outdegree) = degrees(recv.py(), comm)?;
    Ok((vector_w(send, Access::Read, outdegree)?, vector_w(recv, Access::Write, indegree)?))
}

collectives! { Topocomm:
    Neighbor_allgather MPI_Neighbor_allgather_c, Ineighbor_allgather MPI_Ineighbor_allgather_c,
    Neighbor_allgather_init MPI_Neighbor_allgather_init_c,
    ", sendbuf: BufSpec, recvbuf: BufSpecB", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| { let (s, r) = allgather(comm, sendbuf, recvbuf)?; }
    (s.addr, s.count, s.datatype, r.addr, r.count, r.datatype) keep s.keep.and(r.keep),
    "Gather equal parts from all neighbours.";

    Neighbor_allgatherv MPI_Neighbor_allgatherv_c, Ineighbor_allgatherv MPI_Ineighbor_allgatherv_c,
    Neighbor_allgatherv_init MPI_Neighbor_allgatherv_init_c,
    ", sendbuf: BufSpec, recvbuf: BufSpecV", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| {
        let (s, r) = allgatherv(comm, sendbuf, recvbuf)?;
        let (counts, displs) = (r.counts.as_ptr(), r.displs.as_ptr());
    }
    (s.addr, s.count, s.datatype, r.addr, counts, displs, r.datatype) keep s.keep.and(r.into_keep()),
    "Gather parts of different size from all neighbours.";

    Neighbor_alltoall MPI_Neighbor_alltoall_c, Ineighbor_alltoall MPI_Ineighbor_alltoall_c,
    Neighbor_alltoall_init MPI_Neighbor_alltoall_init_c,
    ", sendbuf: BufSpecB, recvbuf: BufSpecB", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| { let (s, r) = alltoall(comm, sendbuf, recvbuf)?; }
    (s.addr, s.count, s.datatype, r.addr, r.count, r.datatype) keep s.keep.and(r.keep),
    "Exchange equal parts with all neighbours.";

    Neighbor_alltoallv MPI_Neighbor_alltoallv_c, Ineighbor_alltoallv MPI_Ineighbor_alltoallv_c,
    Neighbor_alltoallv_init MPI_Neighbor_alltoallv_init_c,
    ", sendbuf: BufSpecV, recvbuf: BufSpecV", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| {
        let (s, r) = alltoallv(comm, sendbuf, recvbuf)?;
        let (scounts, sdispls) = (s.counts.as_ptr(), s.displs.as_ptr());
        let (rcounts, rdispls) = (r.counts.as_ptr(), r.displs.as_ptr());
    }
    (s.addr, scounts, sdispls, s.datatype, r.addr, rcounts, rdispls, r.datatype)
    keep s.into_keep().and(r.into_keep()),
    "Exchange parts of different size with all neighbours.";

    Neighbor_alltoallw MPI_Neighbor_alltoallw_c, Ineighbor_alltoallw MPI_Ineighbor_alltoallw_c,
    Neighbor_alltoallw_init MPI_Neighbor_alltoallw_init_c,
    ", sendbuf: BufSpecW, recvbuf: BufSpecW", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| {
        let (s, r) = alltoallw(comm, sendbuf, recvbuf)?;
        let (scounts, sdispls, stypes) = (s.counts.as_ptr(), s.displs.as_ptr(), s.types.as_ptr());
        let (rcounts, rdispls, rtypes) = (r.counts.as_ptr(), r.displs.as_ptr(), r.types.as_ptr());
    }
    (s.addr, scounts, sdispls, stypes, r.addr, rcounts, rdispls, rtypes) keep s.into_keep().and(r.into_keep()),
    "Exchange parts of different size and datatype with all neighbours.";
}
