//! Blocking collectives (MPI-5.0 chapter 6). The engine's part is `engine::coll`.
//!
//! MPI_IN_PLACE becomes `None`; arguments that count on the root only are looked at there only.

use crate::args::null;
use crate::counts::{Counts, Displs};
use crate::p2p::{buffer, elements};
use engine::coll::{self, Arg, Blocks, Lane};
use engine::{Error, Result, with};
use mpi_abi::consts::{MPI_ERR_BUFFER, MPI_IN_PLACE};
use mpi_abi::{Comm, Count, Datatype, Op};
use std::ffi::{c_int, c_void};

fn in_place(address: *const c_void) -> bool {
    std::ptr::eq(address, MPI_IN_PLACE)
}

fn arg(address: *const c_void, count: Count, datatype: Datatype) -> Result<Arg> {
    let (base, count) = buffer(address, count, datatype)?;
    Ok(Arg { base, count, datatype })
}

/// A send buffer that may be MPI_IN_PLACE.
fn arg_or_in_place(address: *const c_void, count: Count, datatype: Datatype) -> Result<Option<Arg>> {
    if in_place(address) { Ok(None) } else { arg(address, count, datatype).map(Some) }
}

/// The standard forbids that both buffers are the same; MPI_IN_PLACE is for that.
fn apart(send: Option<&Arg>, recv: &Arg) -> Result<()> {
    with(|e| e.types.require_committed(recv.datatype))?;
    match send {
        Some(send)
            if std::ptr::eq(send.base, recv.base) && send.count > 0 && recv.count > 0 && !send.base.is_null() =>
        {
            Err(Error::new(
                MPI_ERR_BUFFER,
                "the send buffer and the receive buffer are the same memory: give MPI_IN_PLACE as the send buffer \
                 (on the root of a Scatter, as the receive buffer)",
            ))
        }
        _ => Ok(()),
    }
}

#[cold]
fn misplaced(what: &str) -> Error {
    Error::new(MPI_ERR_BUFFER, format!("{what} can not be MPI_IN_PLACE here"))
}

/// My rank and the size of the group that the arrays have an element per rank of.
fn place(comm: Comm) -> Result<(c_int, usize)> {
    with(|e| {
        let core = &e.comm(comm)?.core;
        Ok((core.rank.cast_signed(), core.peers().size() as usize))
    })
}

/// Counts and displacements of blocks, copied out of the C arrays.
struct Owned {
    base: *mut u8,
    counts: Vec<usize>,
    displs: Vec<isize>,
    datatype: Datatype,
}

impl Owned {
    /// # Safety
    /// Arrays that are not null have `n` elements.
    unsafe fn new(
        address: *const c_void,
        counts: Counts,
        displs: Displs,
        datatype: Datatype,
        n: usize,
    ) -> Result<Self> {
        if counts.is_null() || displs.is_null() {
            return Err(null("the counts or displacements"));
        }
        // SAFETY: not null; the caller vouches for the length.
        let (counts, displs) = unsafe { (counts.to_vec(n), displs.to_vec(n)) };
        let counts = counts.into_iter().map(elements).collect::<Result<Vec<_>>>()?;
        let total = counts.iter().sum::<usize>() as Count;
        let (base, _) = buffer(address, total, datatype)?;
        Ok(Self { base, counts, displs, datatype })
    }

    fn blocks(&self) -> Blocks<'_> {
        Blocks { base: self.base, counts: &self.counts, displs: &self.displs, datatype: self.datatype }
    }
}

pub(crate) unsafe fn MPI_Barrier(comm: Comm) -> Result<()> {
    coll::barrier_on(comm)
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
    let at_root = place(comm)?.0 == root;
    let send = arg_or_in_place(sendbuf, sendcount, sendtype)?;
    if send.is_none() && !at_root {
        return Err(misplaced("the send buffer of a rank that is not the root"));
    }
    let recv = if at_root { Some(arg(recvbuf, recvcount, recvtype)?) } else { None };
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
    let (me, n) = place(comm)?;
    let send = arg_or_in_place(sendbuf, sendcount, sendtype)?;
    if send.is_none() && me != root {
        return Err(misplaced("the send buffer of a rank that is not the root"));
    }
    // SAFETY: the C caller's word for the arrays and buffers.
    unsafe {
        let recv = if me == root { Some(Owned::new(recvbuf, recvcounts, displs, recvtype, n)?) } else { None };
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
    let at_root = place(comm)?.0 == root;
    let send = if at_root { Some(arg(sendbuf, sendcount, sendtype)?) } else { None };
    let recv = arg_or_in_place(recvbuf, recvcount, recvtype)?;
    if recv.is_none() && !at_root {
        return Err(misplaced("the receive buffer of a rank that is not the root"));
    }
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
    let (me, n) = place(comm)?;
    let recv = arg_or_in_place(recvbuf, recvcount, recvtype)?;
    if recv.is_none() && me != root {
        return Err(misplaced("the receive buffer of a rank that is not the root"));
    }
    // SAFETY: the C caller's word for the arrays and buffers.
    unsafe {
        let send = if me == root { Some(Owned::new(sendbuf, sendcounts, displs, sendtype, n)?) } else { None };
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
        let recv = Owned::new(recvbuf, recvcounts, displs, recvtype, place(comm)?.1)?;
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
    let n = place(comm)?.1;
    // SAFETY: the C caller's word for the arrays and buffers.
    unsafe {
        let send = if in_place(sendbuf) { None } else { Some(Owned::new(sendbuf, sendcounts, sdispls, sendtype, n)?) };
        let recv = Owned::new(recvbuf, recvcounts, rdispls, recvtype, n)?;
        coll::alltoallv(send.as_ref().map(Owned::blocks), recv.blocks(), comm)
    }
}

/// # Safety
/// Arrays that are not null have `n` elements.
unsafe fn lanes(counts: Counts, displs: Displs, types: *const Datatype, n: usize) -> Result<Vec<Lane>> {
    if counts.is_null() || displs.is_null() || types.is_null() {
        return Err(null("the counts, displacements or types"));
    }
    // SAFETY: not null; the caller vouches for the length.
    let one = |i| unsafe {
        Ok(Lane { displ: displs.get(i), count: elements(counts.get(i))?, datatype: types.add(i).read() })
    };
    (0..n).map(one).collect()
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
    let n = place(comm)?.1;
    // SAFETY: the C caller's word for the arrays and buffers.
    unsafe {
        let send = if in_place(sendbuf) { None } else { Some(lanes(sendcounts, sdispls, sendtypes, n)?) };
        let recv = lanes(recvcounts, rdispls, recvtypes, n)?;
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
    let at_root = place(comm)?.0 == root;
    let send = arg_or_in_place(sendbuf, count, datatype)?;
    if send.is_none() && !at_root {
        return Err(misplaced("the send buffer of a rank that is not the root"));
    }
    let recv = if at_root {
        let recv = arg(recvbuf, count, datatype)?;
        apart(send.as_ref(), &recv)?;
        recv
    } else {
        Arg { base: std::ptr::null_mut(), count: elements(count)?, datatype }
    };
    // SAFETY: the C caller's word for the buffers.
    unsafe { coll::reduce(send, recv, op, root, comm) }
}

macro_rules! reductions {
    ($($name:ident $engine:ident;)*) => {$(
        pub(crate) unsafe fn $name(
            sendbuf: *const c_void, recvbuf: *mut c_void, count: Count, datatype: Datatype, op: Op, comm: Comm,
        ) -> Result<()> {
            let (send, recv) = (arg_or_in_place(sendbuf, count, datatype)?, arg(recvbuf, count, datatype)?);
            apart(send.as_ref(), &recv)?;
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
    let n = place(comm)?.1 as Count;
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
    if recvcounts.is_null() {
        return Err(null("recvcounts"));
    }
    let (me, n) = place(comm)?;
    // SAFETY: not null; the C caller's word for an element per rank.
    let counts = unsafe { recvcounts.to_vec(n) };
    let counts = counts.into_iter().map(elements).collect::<Result<Vec<_>>>()?;
    let total = counts.iter().sum::<usize>() as Count;
    let send = arg_or_in_place(sendbuf, total, datatype)?;
    let mine = usize::try_from(me).ok().and_then(|me| counts.get(me)).copied().unwrap_or(0);
    // SAFETY: the C caller's word for the buffers.
    unsafe { coll::reduce_scatter(send, arg(recvbuf, mine as Count, datatype)?, &counts, op, comm) }
}
