//! Blocking collectives (MPI-5.0 chapter 6). The engine's part is `engine::coll`; other forms are in `coll_forms`.

use crate::coll_args::{Owned, Place, arg, arg_or_in_place, in_place, lanes, to_combine, to_combine_blocks, to_reduce};
use crate::counts::{Counts, Displs};
use engine::Result;
use engine::coll;
use mpi_abi::{Comm, Count, Datatype, Op};
use std::ffi::{c_int, c_void};

pub(crate) unsafe fn MPI_Barrier(comm: Comm) -> Result<()> {
    coll::barrier(comm)
}

pub(crate) unsafe fn MPI_Bcast(
    buf: *mut c_void,
    count: Count,
    datatype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the buffer.
    unsafe { coll::bcast(arg(buf, count, datatype)?, root, comm) }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Gather(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<()> {
    let send = || arg_or_in_place(sendbuf, sendcount, sendtype);
    let (send, recv) = Place::of(comm)?.for_root(root, send, || arg(recvbuf, recvcount, recvtype))?;
    // SAFETY: the C caller's word for the buffers.
    unsafe { coll::gather(send, recv, root, comm) }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Gatherv(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    displs: Displs,
    recvtype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<()> {
    let place = Place::of(comm)?;
    let send = || arg_or_in_place(sendbuf, sendcount, sendtype);
    // SAFETY: the C caller's word for the arrays and buffers.
    unsafe {
        let recv = || Owned::new(recvbuf, recvcounts, displs, recvtype, place.far);
        let (send, recv) = place.for_root(root, send, recv)?;
        coll::gatherv(send, recv.as_ref().map(Owned::blocks), root, comm)
    }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Scatter(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<()> {
    let recv = || arg_or_in_place(recvbuf, recvcount, recvtype);
    let (send, recv) = Place::of(comm)?.of_root(root, || arg(sendbuf, sendcount, sendtype), recv)?;
    // SAFETY: the C caller's word for the buffers.
    unsafe { coll::scatter(send, recv, root, comm) }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Scatterv(
    sendbuf: *const c_void,
    sendcounts: Counts,
    displs: Displs,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<()> {
    let place = Place::of(comm)?;
    let recv = || arg_or_in_place(recvbuf, recvcount, recvtype);
    // SAFETY: the C caller's word for the arrays and buffers.
    unsafe {
        let send = || Owned::new(sendbuf, sendcounts, displs, sendtype, place.far);
        let (send, recv) = place.of_root(root, send, recv)?;
        coll::scatterv(send.as_ref().map(Owned::blocks), recv, root, comm)
    }
}

pub(crate) unsafe fn MPI_Allgather(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    comm: Comm,
) -> Result<()> {
    let send = arg_or_in_place(sendbuf, sendcount, sendtype)?;
    // SAFETY: the C caller's word for the buffers.
    unsafe { coll::allgather(send, arg(recvbuf, recvcount, recvtype)?, comm) }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Allgatherv(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    displs: Displs,
    recvtype: Datatype,
    comm: Comm,
) -> Result<()> {
    let send = arg_or_in_place(sendbuf, sendcount, sendtype)?;
    // SAFETY: the C caller's word for the arrays and buffers.
    unsafe {
        let recv = Owned::new(recvbuf, recvcounts, displs, recvtype, Place::of(comm)?.far)?;
        coll::allgatherv(send, recv.blocks(), comm)
    }
}

pub(crate) unsafe fn MPI_Alltoall(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    comm: Comm,
) -> Result<()> {
    let send = arg_or_in_place(sendbuf, sendcount, sendtype)?;
    // SAFETY: the C caller's word for the buffers.
    unsafe { coll::alltoall(send, arg(recvbuf, recvcount, recvtype)?, comm) }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Alltoallv(
    sendbuf: *const c_void,
    sendcounts: Counts,
    sdispls: Displs,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    rdispls: Displs,
    recvtype: Datatype,
    comm: Comm,
) -> Result<()> {
    let n = Place::of(comm)?.far;
    // SAFETY: the C caller's word for the arrays and buffers.
    unsafe {
        let send = if in_place(sendbuf) { None } else { Some(Owned::new(sendbuf, sendcounts, sdispls, sendtype, n)?) };
        let recv = Owned::new(recvbuf, recvcounts, rdispls, recvtype, n)?;
        coll::alltoallv(send.as_ref().map(Owned::blocks), recv.blocks(), comm)
    }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Alltoallw(
    sendbuf: *const c_void,
    sendcounts: Counts,
    sdispls: Displs,
    sendtypes: *const Datatype,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    rdispls: Displs,
    recvtypes: *const Datatype,
    comm: Comm,
) -> Result<()> {
    let n = Place::of(comm)?.far;
    // SAFETY: the C caller's word for the arrays and buffers.
    unsafe {
        let send = if in_place(sendbuf) { None } else { Some(lanes(sendbuf, sendcounts, sdispls, sendtypes, n)?) };
        let recv = lanes(recvbuf, recvcounts, rdispls, recvtypes, n)?;
        let from = sendbuf.cast_mut().cast::<u8>();
        coll::alltoallw(send.as_deref().map(|s| (from, s)), (recvbuf.cast(), &recv), comm)
    }
}

pub(crate) unsafe fn MPI_Reduce(
    sendbuf: *const c_void,
    recvbuf: *mut c_void,
    count: Count,
    datatype: Datatype,
    op: Op,
    root: c_int,
    comm: Comm,
) -> Result<()> {
    let (send, recv) = to_reduce(sendbuf, recvbuf, count, datatype, root, comm)?;
    // SAFETY: the C caller's word for the buffers.
    unsafe { coll::reduce(send, recv, op, root, comm) }
}

macro_rules! reductions {
    ($($name:ident $engine:ident;)*) => {$(
        pub(crate) unsafe fn $name(
            sendbuf: *const c_void, recvbuf: *mut c_void, count: Count, datatype: Datatype, op: Op, comm: Comm,
        ) -> Result<()> {
            let (send, recv) = to_combine(sendbuf, recvbuf, count, datatype)?;
            // SAFETY: the C caller's word for the buffers.
            unsafe { coll::$engine(send, recv, op, comm) }
        }
    )*};
}

reductions! {
    MPI_Allreduce allreduce;
    MPI_Scan scan;
    MPI_Exscan exscan;
}

pub(crate) unsafe fn MPI_Reduce_scatter_block(
    sendbuf: *const c_void,
    recvbuf: *mut c_void,
    recvcount: Count,
    datatype: Datatype,
    op: Op,
    comm: Comm,
) -> Result<()> {
    let n = Place::of(comm)?.near as Count;
    let send = arg_or_in_place(sendbuf, recvcount.saturating_mul(n), datatype)?;
    // SAFETY: the C caller's word for the buffers.
    unsafe { coll::reduce_scatter_block(send, arg(recvbuf, recvcount, datatype)?, op, comm) }
}

pub(crate) unsafe fn MPI_Reduce_scatter(
    sendbuf: *const c_void,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    datatype: Datatype,
    op: Op,
    comm: Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the array and the buffers.
    unsafe {
        let (send, recv, counts) = to_combine_blocks(sendbuf, recvbuf, recvcounts, datatype, comm)?;
        coll::reduce_scatter(send, recv, &counts, op, comm)
    }
}
