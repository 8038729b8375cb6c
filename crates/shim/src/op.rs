//! Reduction operations (MPI-5.0 section 6.9). The engine's part is `engine::op`; the collectives
//! that use them are in `coll`.

use crate::args::{Out, null};
use crate::counts::UserFn;
use crate::p2p::buffer;
use engine::op::UserFunction;
use engine::{Result, with};
use mpi_abi::consts::MPI_OP_NULL;
use mpi_abi::{Count, Datatype, Op};
use std::ffi::{c_int, c_void};

pub(crate) unsafe fn MPI_Op_create(user_fn: UserFn, commute: c_int, op: *mut Op) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let place = unsafe { Out::new(op, "op") }?;
    let function = match user_fn {
        UserFn::Int(function) => function.map(UserFunction::Int),
        UserFn::Large(function) => function.map(UserFunction::Large),
    };
    let function = function.ok_or_else(|| null("user_fn"))?;
    place.set(with(|e| e.ops.create(function, commute != 0)));
    Ok(())
}

pub(crate) unsafe fn MPI_Op_free(op: *mut Op) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let place = unsafe { Out::new(op, "op") }?;
    with(|e| e.ops.free(place.get()))?;
    place.set(MPI_OP_NULL);
    Ok(())
}

pub(crate) unsafe fn MPI_Op_commutative(op: Op, commute: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let place = unsafe { Out::new(commute, "commute") }?;
    place.set_flag(with(|e| e.ops.is_commutative(op))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Reduce_local(
    inbuf: *const c_void,
    inoutbuf: *mut c_void,
    count: Count,
    datatype: Datatype,
    op: Op,
) -> Result<()> {
    let reduction = with(|e| e.ops.reduction(&e.types, op, datatype))?;
    let (a, n) = buffer(inbuf, count, datatype)?;
    let (inout, _) = buffer(inoutbuf, count, datatype)?;
    // SAFETY: the C caller's word for both rows of `n` elements, and for the user's function.
    unsafe { reduction.apply(inout, a, n) };
    Ok(())
}
