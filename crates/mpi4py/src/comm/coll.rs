//! Collectives with buffers, each in its three forms: blocking, nonblocking, persistent. Chapter 6
//! of the standard. What differs between them is in one table; the messages are made in `messages`.

use super::{Comm, Intracomm, messages, raw_of};
use crate::args::Counts;
use crate::buffer::Keep;
use crate::buffer::packed::Form;
use crate::call::mpi_wait;
use crate::handle::H;
use crate::info::Info;
use crate::op::Op;
use crate::request::{Prequest, Request};
use mpi_abi::consts::{MPI_INFO_NULL, MPI_REQUEST_NULL, MPI_SUM};
use pyo3::prelude::*;
use std::ffi::c_int;

type Object<'a, 'py> = &'a Bound<'py, PyAny>;

/// One entry for each collective:
///
/// names and functions of the three forms; the parameters as in the documentation; the parameters;
/// `|comm|` how the messages are made from them (`|comm, form|` where that depends on the form); the arguments of the C function before the
/// communicator; what the request keeps; the description.
macro_rules! collectives {
    ($class:ident: $(
        $name:ident $function:ident, $iname:ident $ifunction:ident, $pname:ident $pfunction:ident,
        $text:literal, ($($arg:ident: $type:ty $(= $default:expr)?),*),
        |$comm:ident $(, $form:ident)?| { $($prepare:tt)* } ($($c:expr),*) keep $keep:expr, $doc:literal;
    )*) => {
        #[pymethods]
        impl $class {$(
            #[doc = concat!(stringify!($name), "(self", $text, ") -> None\n\n", $doc)]
            #[pyo3(signature = ($($arg $(= $default)?),*))]
            fn $name(slf: &Bound<'_, Self>, $($arg: $type),*) -> PyResult<()> {
                let $comm = raw_of(slf);
                $(let $form = Form::Blocking;)?
                $($prepare)*
                mpi_wait!(slf.py(), $function($($c,)* $comm))
            }

            #[doc = concat!(stringify!($iname), "(self", $text, ") -> Request\n\nNonblocking form of `", stringify!($name), "`.")]
            #[pyo3(signature = ($($arg $(= $default)?),*))]
            fn $iname(slf: &Bound<'_, Self>, $($arg: $type),*) -> PyResult<Py<Request>> {
                let $comm = raw_of(slf);
                $(let $form = Form::Nonblocking;)?
                let mut request = MPI_REQUEST_NULL;
                $($prepare)*
                mpi_wait!(slf.py(), $ifunction($($c,)* $comm, &raw mut request))?;
                Request::make(slf.py(), request, $keep)
            }

            #[doc = concat!(stringify!($pname), "(self", $text, ", info: Info = INFO_NULL) -> Prequest\n\nSet up a `", stringify!($name), "` to be started many times.")]
            #[pyo3(signature = ($($arg $(= $default)?,)* info = None))]
            fn $pname(slf: &Bound<'_, Self>, $($arg: $type,)* info: Option<H<Info>>) -> PyResult<Py<Prequest>> {
                let $comm = raw_of(slf);
                let (info, mut request) = (info.map_or(MPI_INFO_NULL, |info| info.0), MPI_REQUEST_NULL);
                $(let $form = Form::Persistent;)?
                $($prepare)*
                mpi_wait!(slf.py(), $pfunction($($c,)* $comm, info, &raw mut request))?;
                Prequest::make(slf.py(), request, $keep)
            }
        )*}
    };
}

pub(super) use collectives;

/// The operation, `SUM` if none is given.
fn op_or_sum(op: Option<&H<Op>>) -> mpi_abi::Op {
    op.map_or(MPI_SUM, |op| op.0)
}

collectives! { Comm:
    Barrier MPI_Barrier, Ibarrier MPI_Ibarrier, Barrier_init MPI_Barrier_init,
    "", (), |comm| {} () keep Keep::Nothing,
    "Wait until all processes have called.";

    Bcast MPI_Bcast_c, Ibcast MPI_Ibcast_c, Bcast_init MPI_Bcast_init_c,
    ", buf: BufSpec, root: int = 0", (buf: Object<'_, '_>, root: c_int = 0),
    |comm| { let m = messages::bcast(comm, buf, root)?; }
    (m.addr, m.count, m.datatype, root) keep m.keep,
    "Send a message from one process to all the others.";

    Gather MPI_Gather_c, Igather MPI_Igather_c, Gather_init MPI_Gather_init_c,
    ", sendbuf: BufSpec | InPlace, recvbuf: BufSpecB | None, root: int = 0",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, root: c_int = 0),
    |comm| { let (s, r) = messages::gather(comm, sendbuf, recvbuf, root)?; }
    (s.addr, s.count, s.datatype, r.addr, r.count, r.datatype, root) keep s.keep.and(r.keep),
    "Gather equal parts from all processes at one.";

    Gatherv MPI_Gatherv_c, Igatherv MPI_Igatherv_c, Gatherv_init MPI_Gatherv_init_c,
    ", sendbuf: BufSpec | InPlace, recvbuf: BufSpecV | None, root: int = 0",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, root: c_int = 0),
    |comm| {
        let (s, r) = messages::gatherv(comm, sendbuf, recvbuf, root)?;
        let (counts, displs) = (r.counts.as_ptr(), r.displs.as_ptr());
    }
    (s.addr, s.count, s.datatype, r.addr, counts, displs, r.datatype, root) keep s.keep.and(r.into_keep()),
    "Gather parts of different size from all processes at one.";

    Scatter MPI_Scatter_c, Iscatter MPI_Iscatter_c, Scatter_init MPI_Scatter_init_c,
    ", sendbuf: BufSpecB | None, recvbuf: BufSpec | InPlace, root: int = 0",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, root: c_int = 0),
    |comm| { let (s, r) = messages::scatter(comm, sendbuf, recvbuf, root)?; }
    (s.addr, s.count, s.datatype, r.addr, r.count, r.datatype, root) keep s.keep.and(r.keep),
    "Scatter equal parts from one process to all.";

    Scatterv MPI_Scatterv_c, Iscatterv MPI_Iscatterv_c, Scatterv_init MPI_Scatterv_init_c,
    ", sendbuf: BufSpecV | None, recvbuf: BufSpec | InPlace, root: int = 0",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, root: c_int = 0),
    |comm| {
        let (s, r) = messages::scatterv(comm, sendbuf, recvbuf, root)?;
        let (counts, displs) = (s.counts.as_ptr(), s.displs.as_ptr());
    }
    (s.addr, counts, displs, s.datatype, r.addr, r.count, r.datatype, root) keep s.into_keep().and(r.keep),
    "Scatter parts of different size from one process to all.";

    Allgather MPI_Allgather_c, Iallgather MPI_Iallgather_c, Allgather_init MPI_Allgather_init_c,
    ", sendbuf: BufSpec | InPlace, recvbuf: BufSpecB", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| { let (s, r) = messages::allgather(comm, sendbuf, recvbuf)?; }
    (s.addr, s.count, s.datatype, r.addr, r.count, r.datatype) keep s.keep.and(r.keep),
    "Gather equal parts from all processes at all.";

    Allgatherv MPI_Allgatherv_c, Iallgatherv MPI_Iallgatherv_c, Allgatherv_init MPI_Allgatherv_init_c,
    ", sendbuf: BufSpec | InPlace, recvbuf: BufSpecV", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| {
        let (s, r) = messages::allgatherv(comm, sendbuf, recvbuf)?;
        let (counts, displs) = (r.counts.as_ptr(), r.displs.as_ptr());
    }
    (s.addr, s.count, s.datatype, r.addr, counts, displs, r.datatype) keep s.keep.and(r.into_keep()),
    "Gather parts of different size from all processes at all.";

    Alltoall MPI_Alltoall_c, Ialltoall MPI_Ialltoall_c, Alltoall_init MPI_Alltoall_init_c,
    ", sendbuf: BufSpecB | InPlace, recvbuf: BufSpecB", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| { let (s, r) = messages::alltoall(comm, sendbuf, recvbuf)?; }
    (s.addr, s.count, s.datatype, r.addr, r.count, r.datatype) keep s.keep.and(r.keep),
    "Send an equal part from each process to each.";

    Alltoallv MPI_Alltoallv_c, Ialltoallv MPI_Ialltoallv_c, Alltoallv_init MPI_Alltoallv_init_c,
    ", sendbuf: BufSpecV | InPlace, recvbuf: BufSpecV", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| {
        let (s, r) = messages::alltoallv(comm, sendbuf, recvbuf)?;
        let (scounts, sdispls) = (s.counts.as_ptr(), s.displs.as_ptr());
        let (rcounts, rdispls) = (r.counts.as_ptr(), r.displs.as_ptr());
    }
    (s.addr, scounts, sdispls, s.datatype, r.addr, rcounts, rdispls, r.datatype)
    keep s.into_keep().and(r.into_keep()),
    "Send a part of its own size from each process to each.";

    Alltoallw MPI_Alltoallw_c, Ialltoallw MPI_Ialltoallw_c, Alltoallw_init MPI_Alltoallw_init_c,
    ", sendbuf: BufSpecW | InPlace, recvbuf: BufSpecW", (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>),
    |comm| {
        let (s, r) = messages::alltoallw(comm, sendbuf, recvbuf)?;
        let (scounts, sdispls, stypes) = (s.counts.as_ptr(), s.displs.as_ptr(), s.types.as_ptr());
        let (rcounts, rdispls, rtypes) = (r.counts.as_ptr(), r.displs.as_ptr(), r.types.as_ptr());
    }
    (s.addr, scounts, sdispls, stypes, r.addr, rcounts, rdispls, rtypes) keep s.into_keep().and(r.into_keep()),
    "Send a part of its own size and datatype from each process to each.";

    Reduce MPI_Reduce_c, Ireduce MPI_Ireduce_c, Reduce_init MPI_Reduce_init_c,
    ", sendbuf: BufSpec | InPlace, recvbuf: BufSpec | None, op: Op = SUM, root: int = 0",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, op: Option<H<Op>> = None, root: c_int = 0),
    |comm, form| {
        let (s, r) = messages::reduce(comm, sendbuf, recvbuf, root, form)?;
        let op = op_or_sum(op.as_ref());
    }
    (s.addr, r.addr, s.count, s.datatype, op, root) keep s.keep.and(r.keep).and(Keep::operation(op)),
    "Reduce the values of all processes to one value at one process.";

    Allreduce MPI_Allreduce_c, Iallreduce MPI_Iallreduce_c, Allreduce_init MPI_Allreduce_init_c,
    ", sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, op: Option<H<Op>> = None),
    |comm, form| {
        let (s, r) = messages::allreduce(comm, sendbuf, recvbuf, form)?;
        let op = op_or_sum(op.as_ref());
    }
    (s.addr, r.addr, s.count, s.datatype, op) keep s.keep.and(r.keep).and(Keep::operation(op)),
    "Reduce the values of all processes to one value at all of them.";

    Reduce_scatter_block MPI_Reduce_scatter_block_c, Ireduce_scatter_block MPI_Ireduce_scatter_block_c,
    Reduce_scatter_block_init MPI_Reduce_scatter_block_init_c,
    ", sendbuf: BufSpecB | InPlace, recvbuf: BufSpec | BufSpecB, op: Op = SUM",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, op: Option<H<Op>> = None),
    |comm, form| {
        let (s, r) = messages::reduce_scatter_block(comm, sendbuf, recvbuf, form)?;
        let op = op_or_sum(op.as_ref());
    }
    (s.addr, r.addr, r.count, r.datatype, op) keep s.keep.and(r.keep).and(Keep::operation(op)),
    "Reduce the values of all processes and scatter the result in equal parts.";

    Reduce_scatter MPI_Reduce_scatter_c, Ireduce_scatter MPI_Ireduce_scatter_c,
    Reduce_scatter_init MPI_Reduce_scatter_init_c,
    ", sendbuf: BufSpec | InPlace, recvbuf: BufSpec, recvcounts: Sequence[int] | None = None, op: Op = SUM",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, recvcounts: Option<Counts> = None, op: Option<H<Op>> = None),
    |comm, form| {
        let recvcounts = recvcounts.map(|counts| counts.0);
        let (s, r, counts) = messages::reduce_scatter(comm, sendbuf, recvbuf, recvcounts, form)?;
        let (op, pointer) = (op_or_sum(op.as_ref()), counts.as_ptr());
    }
    (s.addr, r.addr, pointer, r.datatype, op) keep s.keep.and(r.keep).and(Keep::counts(counts)).and(Keep::operation(op)),
    "Reduce the values of all processes and scatter the result in parts.";
}

collectives! { Intracomm:
    Scan MPI_Scan_c, Iscan MPI_Iscan_c, Scan_init MPI_Scan_init_c,
    ", sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, op: Option<H<Op>> = None),
    |comm, form| {
        let (s, r) = messages::allreduce(comm, sendbuf, recvbuf, form)?;
        let op = op_or_sum(op.as_ref());
    }
    (s.addr, r.addr, s.count, s.datatype, op) keep s.keep.and(r.keep).and(Keep::operation(op)),
    "Reduce at each process the values of all processes up to it.";

    Exscan MPI_Exscan_c, Iexscan MPI_Iexscan_c, Exscan_init MPI_Exscan_init_c,
    ", sendbuf: BufSpec | InPlace, recvbuf: BufSpec, op: Op = SUM",
    (sendbuf: Object<'_, '_>, recvbuf: Object<'_, '_>, op: Option<H<Op>> = None),
    |comm, form| {
        let (s, r) = messages::allreduce(comm, sendbuf, recvbuf, form)?;
        let op = op_or_sum(op.as_ref());
    }
    (s.addr, r.addr, s.count, s.datatype, op) keep s.keep.and(r.keep).and(Keep::operation(op)),
    "Reduce at each process the values of all processes before it.";
}
