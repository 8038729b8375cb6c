//! Collectives of neighbours, in all forms (MPI-5.0 sections 8.7 to 8.9). The engine's part is
//! `engine::coll::schedule`.

use crate::coll_args::{Owned, arg, lanes};
use crate::coll_forms::forms;
use crate::counts::{Counts, Displs};
use engine::coll::{Collective, Row, schedule};
use engine::status::Call;
use engine::topo::{self, Neighbors};
use engine::{Result, with};
use mpi_abi::{Aint, Comm, Count, Datatype, Info, Request};
use std::ffi::c_void;

/// The blocking form, and the other two.
macro_rules! all_forms {
    (@ $args:tt $($run:ident $start:ident $init:ident $call:ident $what:ident;)*) => {
        $(all_forms! { @@ $args $run $call $what })*
        $(forms! { $args => $start $init $call $what; })*
    };
    (@@ ($($arg:ident: $type:ty),*) $run:ident $call:ident $what:ident) => {
        #[allow(clippy::too_many_arguments, reason = "the arguments of the C function")]
        pub(crate) unsafe fn $run($($arg: $type,)* comm: Comm) -> Result<()> {
            // SAFETY: the C caller's word for the arrays and buffers.
            unsafe { schedule::run(Call::$call, &$what($($arg,)* comm)?, comm) }
        }
    };
    ($args:tt => $($lines:tt)*) => {
        all_forms! { @ $args $($lines)* }
    };
}

all_forms! {
    (
        sendbuf: *const c_void, sendcount: Count, sendtype: Datatype,
        recvbuf: *mut c_void, recvcount: Count, recvtype: Datatype
    ) =>
    MPI_Neighbor_allgather MPI_Ineighbor_allgather MPI_Neighbor_allgather_init NeighborAllgather allgather;
    MPI_Neighbor_alltoall MPI_Ineighbor_alltoall MPI_Neighbor_alltoall_init NeighborAlltoall alltoall;
}

all_forms! {
    (
        sendbuf: *const c_void, sendcount: Count, sendtype: Datatype,
        recvbuf: *mut c_void, recvcounts: Counts, displs: Displs, recvtype: Datatype
    ) =>
    MPI_Neighbor_allgatherv MPI_Ineighbor_allgatherv MPI_Neighbor_allgatherv_init NeighborAllgatherv allgatherv;
}

all_forms! {
    (
        sendbuf: *const c_void, sendcounts: Counts, sdispls: Displs, sendtype: Datatype,
        recvbuf: *mut c_void, recvcounts: Counts, rdispls: Displs, recvtype: Datatype
    ) =>
    MPI_Neighbor_alltoallv MPI_Ineighbor_alltoallv MPI_Neighbor_alltoallv_init NeighborAlltoallv alltoallv;
}

all_forms! {
    (
        sendbuf: *const c_void, sendcounts: Counts, sdispls: *const Aint, sendtypes: *const Datatype,
        recvbuf: *mut c_void, recvcounts: Counts, rdispls: *const Aint, recvtypes: *const Datatype
    ) =>
    MPI_Neighbor_alltoallw MPI_Ineighbor_alltoallw MPI_Neighbor_alltoallw_init NeighborAlltoallw alltoallw;
}

/// Who my neighbours are: the arrays have an element for each.
fn neighbors(comm: Comm) -> Result<Neighbors> {
    with(|e| topo::neighbors(e, comm))
}

// In these, the C caller vouches for the arrays, which are read before the function returns.

unsafe fn allgather(
    sendbuf: *const c_void,
    sendcount: Count,
    sendtype: Datatype,
    recvbuf: *mut c_void,
    recvcount: Count,
    recvtype: Datatype,
    _comm: Comm,
) -> Result<Collective> {
    let send = arg(sendbuf, sendcount, sendtype)?;
    Ok(Collective::NeighborAllgather { send, recv: Row::Equal(arg(recvbuf, recvcount, recvtype)?) })
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
    let n = neighbors(comm)?.sources.len();
    // SAFETY: the C caller's word for the arrays.
    let recv = unsafe { Owned::new(recvbuf, recvcounts, displs, recvtype, n) }?;
    Ok(Collective::NeighborAllgather { send: arg(sendbuf, sendcount, sendtype)?, recv: recv.into() })
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
    let send = Row::Equal(arg(sendbuf, sendcount, sendtype)?);
    Ok(Collective::NeighborAlltoall { send, recv: Row::Equal(arg(recvbuf, recvcount, recvtype)?) })
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
    let Neighbors { sources, destinations } = neighbors(comm)?;
    // SAFETY: the C caller's word for the arrays.
    unsafe {
        let send = Owned::new(sendbuf, sendcounts, sdispls, sendtype, destinations.len())?;
        let recv = Owned::new(recvbuf, recvcounts, rdispls, recvtype, sources.len())?;
        Ok(Collective::NeighborAlltoall { send: send.into(), recv: recv.into() })
    }
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
unsafe fn alltoallw(
    sendbuf: *const c_void,
    sendcounts: Counts,
    sdispls: *const Aint,
    sendtypes: *const Datatype,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    rdispls: *const Aint,
    recvtypes: *const Datatype,
    comm: Comm,
) -> Result<Collective> {
    let Neighbors { sources, destinations } = neighbors(comm)?;
    let row = |base: *mut c_void, counts, displs: *const Aint, types, n| {
        // SAFETY: the C caller's word for the arrays.
        let lanes = unsafe { lanes(base, counts, Displs::from(displs), types, n) }?;
        Ok(Row::Lanes { base: base.cast(), lanes })
    };
    let send = row(sendbuf.cast_mut(), sendcounts, sdispls, sendtypes, destinations.len())?;
    Ok(Collective::NeighborAlltoall { send, recv: row(recvbuf, recvcounts, rdispls, recvtypes, sources.len())? })
}
