//! Partitioned communication (MPI-5.0 chapter 4). The engine's part is `engine::p2p::partitioned`.

use crate::args::{self, Out};
use crate::errors::blame_request;
use crate::p2p::buffer;
use engine::p2p::partitioned::{self, Arguments};
use engine::{Error, Result, info, with};
use mpi_abi::consts::{MPI_ERR_ARG, MPI_REQUEST_NULL};
use mpi_abi::{Comm, Count, Datatype, Info, Request};
use std::ffi::{c_int, c_void};

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
fn arguments(
    buf: *const c_void,
    partitions: c_int,
    count: Count,
    datatype: Datatype,
    peer: c_int,
    tag: c_int,
    comm: Comm,
    info: Info,
) -> Result<Arguments> {
    with(|e| info::optional(&e.objects, info).map(|_| ()))?;
    let number = usize::try_from(partitions)
        .map_err(|_| Error::new(MPI_ERR_ARG, format!("{partitions} partitions: their number must not be negative")))?;
    let (base, count) = buffer(buf, if number == 0 { count.min(0) } else { count }, datatype)?;
    Ok(Arguments { buffer: base as usize, partitions: number, count, datatype, peer, tag, comm })
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Psend_init(
    buf: *const c_void,
    partitions: c_int,
    count: Count,
    datatype: Datatype,
    dest: c_int,
    tag: c_int,
    comm: Comm,
    info: Info,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    let arguments = arguments(buf, partitions, count, datatype, dest, tag, comm, info)?;
    // SAFETY: the C caller's word for the buffer, whenever the request is active.
    request.set(Request(unsafe { partitioned::send_init(arguments) }?));
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Precv_init(
    buf: *mut c_void,
    partitions: c_int,
    count: Count,
    datatype: Datatype,
    dest: c_int,
    tag: c_int,
    comm: Comm,
    info: Info,
    request: *mut Request,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let request = unsafe { Out::new(request, "request") }?;
    let arguments = arguments(buf, partitions, count, datatype, dest, tag, comm, info)?;
    // SAFETY: the C caller's word for the buffer, whenever the request is active.
    request.set(Request(unsafe { partitioned::recv_init(arguments) }?));
    Ok(())
}

/// The partitions are ready.
fn ready(request: Request, numbers: &mut dyn Iterator<Item = c_int>) -> Result<()> {
    partitioned::ready(request.0, numbers).map_err(|error| blame_request(request, error))
}

pub(crate) unsafe fn MPI_Pready(partition: c_int, request: Request) -> Result<()> {
    ready(request, &mut std::iter::once(partition))
}

pub(crate) unsafe fn MPI_Pready_range(partition_low: c_int, partition_high: c_int, request: Request) -> Result<()> {
    if partition_low > partition_high {
        let text = format!("partitions {partition_low} to {partition_high}: the first is after the last");
        return Err(blame_request(request, Error::new(MPI_ERR_ARG, text)));
    }
    ready(request, &mut (partition_low..=partition_high))
}

pub(crate) unsafe fn MPI_Pready_list(length: c_int, array_of_partitions: *const c_int, request: Request) -> Result<()> {
    // SAFETY: the C caller's word for an array of `length` elements.
    let numbers = unsafe { args::array(array_of_partitions, length, "array_of_partitions") };
    ready(request, &mut numbers.map_err(|error| blame_request(request, error))?.iter().copied())
}

pub(crate) unsafe fn MPI_Parrived(request: Request, partition: c_int, flag: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let flag = unsafe { Out::new(flag, "flag") }?;
    let here = if request == MPI_REQUEST_NULL {
        true
    } else {
        partitioned::arrived(request.0, partition).map_err(|error| blame_request(request, error))?
    };
    flag.set_flag(here);
    Ok(())
}
