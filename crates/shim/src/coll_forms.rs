//! Nonblocking and persistent collectives (MPI-5.0 sections 6.12 and 6.13). The engine's part is
//! `engine::coll::schedule`: here the arguments of a C function become a [`Collective`].

use crate::args::Out;
use crate::coll_args::{Owned, Place, arg, arg_or_in_place, in_place, lanes, to_combine, to_combine_blocks, to_reduce};
use crate::counts::{Counts, Displs};
use engine::coll::schedule;
use engine::coll::{Collective, Row};
use engine::status::Call;
use engine::{Result, info, with};
use mpi_abi::{Comm, Count, Datatype, Info, Op, Request};
use std::ffi::{c_int, c_void};

/// Starts it.
///
/// # Safety
/// `request` is null or valid for a write; the buffers are valid until the request is complete.
pub(crate) unsafe fn start(
    call: Call,
    what: impl FnOnce() -> Result<Collective>,
    comm: Comm,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the caller vouches for the address.
    let request = unsafe { Out::new(request, "request") }?;
    // SAFETY: the caller vouches for the buffers.
    request.set(Request(unsafe { schedule::start(call, &what()?, comm) }?));
    Ok(())
}

/// Makes a request that can be started.
///
/// # Safety
/// `request` is null or valid for a write; the buffers are valid whenever the request is active.
pub(crate) unsafe fn init(
    call: Call,
    what: impl FnOnce() -> Result<Collective>,
    comm: Comm,
    info: Info,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the caller vouches for the address.
    let request = unsafe { Out::new(request, "request") }?;
    with(|e| info::optional(&e.objects, info).map(|_| ()))?;
    // SAFETY: the caller vouches for the buffers.
    request.set(Request(unsafe { schedule::init(call, &what()?, comm) }?));
    Ok(())
}

/// Both forms of the collectives that a function makes of the arguments listed.
macro_rules! forms {
    (@ $args:tt $($start:ident $init:ident $call:ident $what:ident;)*) => {
        $($crate::coll_forms::forms! { @@ $args $start $init $call $what })*
    };
    (@@ ($($arg:ident: $type:ty),*) $start:ident $init:ident $call:ident $what:ident) => {
        #[allow(clippy::too_many_arguments, reason = "the arguments of the C function")]
        pub(crate) unsafe fn $start($($arg: $type,)* comm: Comm, request: *mut Request) -> Result<()> {
            // SAFETY: the C caller's word for the arrays.
            let what = || unsafe { $what($($arg,)* comm) };
            // SAFETY: the C caller's word for the address, and for the buffers until the request is complete.
            unsafe { $crate::coll_forms::start(Call::$call, what, comm, request) }
        }

        #[allow(clippy::too_many_arguments, reason = "the arguments of the C function")]
        pub(crate) unsafe fn $init($($arg: $type,)* comm: Comm, info: Info, request: *mut Request) -> Result<()> {
            // SAFETY: the C caller's word for the arrays.
            let what = || unsafe { $what($($arg,)* comm) };
            // SAFETY: the C caller's word for the address, and for the buffers whenever the request is active.
            unsafe { $crate::coll_forms::init(Call::$call, what, comm, info, request) }
        }
    };
    ($args:tt => $($lines:tt)*) => {
        $crate::coll_forms::forms! { @ $args $($lines)* }
    };
}
pub(crate) use forms;

forms! { () =>
    MPI_Ibarrier MPI_Barrier_init Barrier barrier;
}

forms! { (buffer: *mut c_void, count: Count, datatype: Datatype, root: c_int) =>
    MPI_Ibcast MPI_Bcast_init Bcast bcast;
}

forms! {
    (
        sendbuf: *const c_void, sendcount: Count, sendtype: Datatype,
        recvbuf: *mut c_void, recvcount: Count, recvtype: Datatype, root: c_int
    ) =>
    MPI_Igather MPI_Gather_init Gather gather;
    MPI_Iscatter MPI_Scatter_init Scatter scatter;
}

forms! {
    (
        sendbuf: *const c_void, sendcount: Count, sendtype: Datatype,
        recvbuf: *mut c_void, recvcounts: Counts, displs: Displs, recvtype: Datatype, root: c_int
    ) =>
    MPI_Igatherv MPI_Gatherv_init Gatherv gatherv;
}

forms! {
    (
        sendbuf: *const c_void, sendcounts: Counts, displs: Displs, sendtype: Datatype,
        recvbuf: *mut c_void, recvcount: Count, recvtype: Datatype, root: c_int
    ) =>
    MPI_Iscatterv MPI_Scatterv_init Scatterv scatterv;
}

forms! {
    (
        sendbuf: *const c_void, sendcount: Count, sendtype: Datatype,
        recvbuf: *mut c_void, recvcount: Count, recvtype: Datatype
    ) =>
    MPI_Iallgather MPI_Allgather_init Allgather allgather;
    MPI_Ialltoall MPI_Alltoall_init Alltoall alltoall;
}

forms! {
    (
        sendbuf: *const c_void, sendcount: Count, sendtype: Datatype,
        recvbuf: *mut c_void, recvcounts: Counts, displs: Displs, recvtype: Datatype
    ) =>
    MPI_Iallgatherv MPI_Allgatherv_init Allgatherv allgatherv;
}

forms! {
    (
        sendbuf: *const c_void, sendcounts: Counts, sdispls: Displs, sendtype: Datatype,
        recvbuf: *mut c_void, recvcounts: Counts, rdispls: Displs, recvtype: Datatype
    ) =>
    MPI_Ialltoallv MPI_Alltoallv_init Alltoallv alltoallv;
}

forms! {
    (
        sendbuf: *const c_void, sendcounts: Counts, sdispls: Displs, sendtypes: *const Datatype,
        recvbuf: *mut c_void, recvcounts: Counts, rdispls: Displs, recvtypes: *const Datatype
    ) =>
    MPI_Ialltoallw MPI_Alltoallw_init Alltoallw alltoallw;
}

forms! {
    (sendbuf: *const c_void, recvbuf: *mut c_void, count: Count, datatype: Datatype, op: Op, root: c_int) =>
    MPI_Ireduce MPI_Reduce_init Reduce reduce;
}

forms! {
    (sendbuf: *const c_void, recvbuf: *mut c_void, count: Count, datatype: Datatype, op: Op) =>
    MPI_Iallreduce MPI_Allreduce_init Allreduce allreduce;
    MPI_Iscan MPI_Scan_init Scan scan;
    MPI_Iexscan MPI_Exscan_init Exscan exscan;
}

forms! {
    (sendbuf: *const c_void, recvbuf: *mut c_void, recvcounts: Counts, datatype: Datatype, op: Op) =>
    MPI_Ireduce_scatter MPI_Reduce_scatter_init ReduceScatter reduce_scatter;
}

forms! {
    (sendbuf: *const c_void, recvbuf: *mut c_void, recvcount: Count, datatype: Datatype, op: Op) =>
    MPI_Ireduce_scatter_block MPI_Reduce_scatter_block_init ReduceScatterBlock reduce_scatter_block;
}

// In these, the C caller vouches for the arrays, which are read before the function returns.

unsafe fn barrier(_comm: Comm) -> Result<Collective> {
    Ok(Collective::Barrier)
}

unsafe fn bcast(buffer: *mut c_void, count: Count, datatype: Datatype, root: c_int, _comm: Comm) -> Result<Collective> {
    Ok(Collective::Bcast { buffer: arg(buffer, count, datatype)?, root })
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
unsafe fn gather(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<Collective> {
    let send = || arg_or_in_place(sendbuf, sendcount, sendtype);
    let (send, recv) = Place::of(comm)?.for_root(root, send, || arg(recvbuf, recvcount, recvtype))?;
    Ok(Collective::Gather { send, recv: recv.map(Row::Equal), root })
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
unsafe fn gatherv(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    displs: Displs,
    recvtype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<Collective> {
    let place = Place::of(comm)?;
    let send = || arg_or_in_place(sendbuf, sendcount, sendtype);
    // SAFETY: the C caller's word for the arrays.
    let recv = || unsafe { Owned::new(recvbuf, recvcounts, displs, recvtype, place.far) };
    let (send, recv) = place.for_root(root, send, recv)?;
    Ok(Collective::Gather { send, recv: recv.map(Row::from), root })
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
unsafe fn scatter(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<Collective> {
    let recv = || arg_or_in_place(recvbuf, recvcount, recvtype);
    let (send, recv) = Place::of(comm)?.of_root(root, || arg(sendbuf, sendcount, sendtype), recv)?;
    Ok(Collective::Scatter { send: send.map(Row::Equal), recv, root })
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
unsafe fn scatterv(
    sendbuf: *const c_void,
    sendcounts: Counts,
    displs: Displs,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<Collective> {
    let place = Place::of(comm)?;
    let recv = || arg_or_in_place(recvbuf, recvcount, recvtype);
    // SAFETY: the C caller's word for the arrays.
    let send = || unsafe { Owned::new(sendbuf, sendcounts, displs, sendtype, place.far) };
    let (send, recv) = place.of_root(root, send, recv)?;
    Ok(Collective::Scatter { send: send.map(Row::from), recv, root })
}

unsafe fn allgather(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    _comm: Comm,
) -> Result<Collective> {
    let send = arg_or_in_place(sendbuf, sendcount, sendtype)?;
    Ok(Collective::Allgather { send, recv: Row::Equal(arg(recvbuf, recvcount, recvtype)?) })
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
unsafe fn allgatherv(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    displs: Displs,
    recvtype: Datatype,
    comm: Comm,
) -> Result<Collective> {
    let send = arg_or_in_place(sendbuf, sendcount, sendtype)?;
    // SAFETY: the C caller's word for the arrays.
    let recv = unsafe { Owned::new(recvbuf, recvcounts, displs, recvtype, Place::of(comm)?.far) }?;
    Ok(Collective::Allgather { send, recv: recv.into() })
}

unsafe fn alltoall(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    _comm: Comm,
) -> Result<Collective> {
    let send = arg_or_in_place(sendbuf, sendcount, sendtype)?.map(Row::Equal);
    Ok(Collective::Alltoall { send, recv: Row::Equal(arg(recvbuf, recvcount, recvtype)?) })
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
unsafe fn alltoallv(
    sendbuf: *const c_void,
    sendcounts: Counts,
    sdispls: Displs,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    rdispls: Displs,
    recvtype: Datatype,
    comm: Comm,
) -> Result<Collective> {
    let n = Place::of(comm)?.far;
    // SAFETY: the C caller's word for the arrays.
    let block = |address, counts, displs, datatype| unsafe { Owned::new(address, counts, displs, datatype, n) };
    let send = if in_place(sendbuf) { None } else { Some(block(sendbuf, sendcounts, sdispls, sendtype)?) };
    let recv = block(recvbuf.cast_const(), recvcounts, rdispls, recvtype)?;
    Ok(Collective::Alltoall { send: send.map(Row::from), recv: recv.into() })
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
unsafe fn alltoallw(
    sendbuf: *const c_void,
    sendcounts: Counts,
    sdispls: Displs,
    sendtypes: *const Datatype,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    rdispls: Displs,
    recvtypes: *const Datatype,
    comm: Comm,
) -> Result<Collective> {
    let n = Place::of(comm)?.far;
    // SAFETY: the C caller's word for the arrays.
    let row = |base: *mut c_void, counts, displs, types| unsafe {
        Ok(Row::Lanes { base: base.cast(), lanes: lanes(base, counts, displs, types, n)? })
    };
    let send = if in_place(sendbuf) { None } else { Some(row(sendbuf.cast_mut(), sendcounts, sdispls, sendtypes)?) };
    Ok(Collective::Alltoall { send, recv: row(recvbuf, recvcounts, rdispls, recvtypes)? })
}

unsafe fn reduce(
    sendbuf: *const c_void,
    recvbuf: *mut c_void,
    count: Count,
    datatype: Datatype,
    op: Op,
    root: c_int,
    comm: Comm,
) -> Result<Collective> {
    let (send, recv) = to_reduce(sendbuf, recvbuf, count, datatype, root, comm)?;
    Ok(Collective::Reduce { send, recv, op, root })
}

macro_rules! reductions {
    ($($name:ident $variant:ident;)*) => {$(
        unsafe fn $name(
            sendbuf: *const c_void, recvbuf: *mut c_void, count: Count, datatype: Datatype, op: Op, _comm: Comm,
        ) -> Result<Collective> {
            let (send, recv) = to_combine(sendbuf, recvbuf, count, datatype)?;
            Ok(Collective::$variant { send, recv, op })
        }
    )*};
}

reductions! {
    allreduce Allreduce;
    scan Scan;
    exscan Exscan;
}

unsafe fn reduce_scatter(
    sendbuf: *const c_void,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    datatype: Datatype,
    op: Op,
    comm: Comm,
) -> Result<Collective> {
    // SAFETY: the C caller's word for the array.
    let (send, recv, counts) = unsafe { to_combine_blocks(sendbuf, recvbuf, recvcounts, datatype, comm) }?;
    Ok(Collective::ReduceScatter { send, recv, counts, op })
}

unsafe fn reduce_scatter_block(
    sendbuf: *const c_void,
    recvbuf: *mut c_void,
    recvcount: Count,
    datatype: Datatype,
    op: Op,
    comm: Comm,
) -> Result<Collective> {
    let n = Place::of(comm)?.near;
    let send = arg_or_in_place(sendbuf, recvcount.saturating_mul(n as Count), datatype)?;
    let recv = arg(recvbuf, recvcount, datatype)?;
    Ok(Collective::ReduceScatter { send, recv, counts: vec![recv.count; n], op })
}
