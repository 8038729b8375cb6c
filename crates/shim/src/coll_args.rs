//! Arguments of collectives (MPI-5.0 chapter 6), for all their forms: what is not looked at on this process, or is
//! MPI_IN_PLACE, becomes `None`; arrays are copied.

use crate::args::null;
use crate::counts::{Counts, Displs};
use crate::p2p::{buffer, elements};
use engine::coll::{Arg, Blocks, Lane, Row};
use engine::{Error, Result, with};
use mpi_abi::consts::{MPI_ERR_BUFFER, MPI_IN_PLACE, MPI_PROC_NULL, MPI_ROOT};
use mpi_abi::{Comm, Count, Datatype};
use std::ffi::{c_int, c_void};

pub(crate) fn in_place(address: *const c_void) -> bool {
    std::ptr::eq(address, MPI_IN_PLACE)
}

pub(crate) fn arg(address: *const c_void, count: Count, datatype: Datatype) -> Result<Arg> {
    let (base, count) = buffer(address, count, datatype)?;
    Ok(Arg { base, count, datatype })
}

/// A send buffer that may be MPI_IN_PLACE.
pub(crate) fn arg_or_in_place(address: *const c_void, count: Count, datatype: Datatype) -> Result<Option<Arg>> {
    if in_place(address) { Ok(None) } else { arg(address, count, datatype).map(Some) }
}

#[cold]
fn misplaced(what: &str) -> Error {
    Error::new(MPI_ERR_BUFFER, format!("{what} can not be MPI_IN_PLACE here"))
}

/// What this process is in a collective with a root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Root,
    /// Gives the root something, or gets something from it.
    Leaf,
    /// In the root's group of an intercommunicator.
    Outside,
}

/// Where this process is in a communicator.
pub(crate) struct Place {
    /// My rank.
    pub(crate) me: usize,
    /// Ranks in my group.
    pub(crate) near: usize,
    /// Ranks that the arrays have an element for: of the other group, if there is one.
    pub(crate) far: usize,
    inter: bool,
}

impl Place {
    pub(crate) fn of(comm: Comm) -> Result<Self> {
        with(|e| {
            let core = &e.comm(comm)?.core;
            let (me, near, far) = (core.rank as usize, core.size() as usize, core.peers().size() as usize);
            Ok(Self { me, near, far, inter: core.remote.is_some() })
        })
    }

    pub(crate) fn part(&self, root: c_int) -> Part {
        match root {
            MPI_ROOT if self.inter => Part::Root,
            MPI_PROC_NULL if self.inter => Part::Outside,
            _ if !self.inter && usize::try_from(root).is_ok_and(|root| root == self.me) => Part::Root,
            _ => Part::Leaf,
        }
    }

    /// What goes to the root, and what the root has for all: `far` elements of each array.
    pub(crate) fn for_root<R>(
        &self,
        root: c_int,
        send: impl FnOnce() -> Result<Option<Arg>>,
        recv: impl FnOnce() -> Result<R>,
    ) -> Result<(Option<Arg>, Option<R>)> {
        match self.part(root) {
            Part::Root => Ok((if self.inter { None } else { send()? }, Some(recv()?))),
            Part::Leaf => match send()? {
                None => Err(misplaced("the send buffer of a rank that is not the root")),
                send => Ok((send, None)),
            },
            Part::Outside => Ok((None, None)),
        }
    }

    /// What the root has for all, and what comes from it.
    pub(crate) fn of_root<S>(
        &self,
        root: c_int,
        send: impl FnOnce() -> Result<S>,
        recv: impl FnOnce() -> Result<Option<Arg>>,
    ) -> Result<(Option<S>, Option<Arg>)> {
        match self.part(root) {
            Part::Root => Ok((Some(send()?), if self.inter { None } else { recv()? })),
            Part::Leaf => match recv()? {
                None => Err(misplaced("the receive buffer of a rank that is not the root")),
                recv => Ok((None, recv)),
            },
            Part::Outside => Ok((None, None)),
        }
    }
}

/// Counts and displacements of blocks, copied out of the C arrays.
pub(crate) struct Owned {
    base: *mut u8,
    counts: Vec<usize>,
    displs: Vec<isize>,
    datatype: Datatype,
}

impl Owned {
    /// # Safety
    /// Arrays that are not null have `n` elements.
    pub(crate) unsafe fn new(
        address: *const c_void,
        counts: Counts,
        displs: Displs,
        datatype: Datatype,
        n: usize,
    ) -> Result<Self> {
        if n > 0 && (counts.is_null() || displs.is_null()) {
            return Err(null("the counts or displacements"));
        }
        // SAFETY: not null; the caller vouches for the length.
        let (counts, displs) = unsafe { (counts.to_vec(n), displs.to_vec(n)) };
        let counts = counts.into_iter().map(elements).collect::<Result<Vec<_>>>()?;
        let total = total(&counts);
        let (base, _) = buffer(address, total, datatype)?;
        Ok(Self { base, counts, displs, datatype })
    }

    pub(crate) fn blocks(&self) -> Blocks<'_> {
        Blocks { base: self.base, counts: &self.counts, displs: &self.displs, datatype: self.datatype }
    }
}

/// All elements; of more than there can be, the most there can be.
fn total(counts: &[usize]) -> Count {
    let sum = counts.iter().fold(0usize, |sum, count| sum.saturating_add(*count));
    Count::try_from(sum).unwrap_or(Count::MAX)
}

impl From<Owned> for Row {
    fn from(owned: Owned) -> Self {
        let Owned { base, counts, displs, datatype } = owned;
        Self::Varying { base, counts, displs, datatype }
    }
}

/// Blocks with types of their own in the buffer at `address`, which may be MPI_BOTTOM.
///
/// # Safety
/// Arrays that are not null have `n` elements.
pub(crate) unsafe fn lanes(
    address: *const c_void,
    counts: Counts,
    displs: Displs,
    types: *const Datatype,
    n: usize,
) -> Result<Vec<Lane>> {
    if in_place(address) {
        return Err(misplaced("the buffer"));
    }
    if n > 0 && (counts.is_null() || displs.is_null() || types.is_null()) {
        return Err(null("the counts, displacements or types"));
    }
    // SAFETY: not null; the caller vouches for the length.
    let one = |i| unsafe {
        Ok(Lane { displ: displs.get(i), count: elements(counts.get(i))?, datatype: types.add(i).read() })
    };
    (0..n).map(one).collect()
}

/// Contribution and place of the result of a Reduce: this is null on others than the root.
pub(crate) fn to_reduce(
    sendbuf: *const c_void,
    recvbuf: *mut c_void,
    count: Count,
    datatype: Datatype,
    root: c_int,
    comm: Comm,
) -> Result<(Option<Arg>, Arg)> {
    let send = || arg_or_in_place(sendbuf, count, datatype);
    let (send, recv) = Place::of(comm)?.for_root(root, send, || arg(recvbuf, count, datatype))?;
    let nowhere = || Ok(Arg { base: std::ptr::null_mut(), count: elements(count)?, datatype });
    Ok((send, recv.map_or_else(nowhere, Ok)?))
}

/// Contribution and place of the result where all get one.
pub(crate) fn to_combine(
    sendbuf: *const c_void,
    recvbuf: *mut c_void,
    count: Count,
    datatype: Datatype,
) -> Result<(Option<Arg>, Arg)> {
    Ok((arg_or_in_place(sendbuf, count, datatype)?, arg(recvbuf, count, datatype)?))
}

/// Contribution, place of my block, and all counts of a Reduce_scatter.
///
/// # Safety
/// The array has an element for each rank of my group if it is not null.
pub(crate) unsafe fn to_combine_blocks(
    sendbuf: *const c_void,
    recvbuf: *mut c_void,
    recvcounts: Counts,
    datatype: Datatype,
    comm: Comm,
) -> Result<(Option<Arg>, Arg, Vec<usize>)> {
    if recvcounts.is_null() {
        return Err(null("recvcounts"));
    }
    let place = Place::of(comm)?;
    // SAFETY: not null; the caller vouches for the length.
    let counts = unsafe { recvcounts.to_vec(place.near) };
    let counts = counts.into_iter().map(elements).collect::<Result<Vec<_>>>()?;
    let total = total(&counts);
    let send = arg_or_in_place(sendbuf, total, datatype)?;
    let mine = counts.get(place.me).copied().unwrap_or(0);
    Ok((send, arg(recvbuf, mine as Count, datatype)?, counts))
}
