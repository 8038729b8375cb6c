//! Which buffers a rank needs in a collective, by its role, checked and described: the part that
//! blocking, nonblocking and persistent forms share. Chapter 6 of the standard.

use super::{is_inter, peers, rank};
use crate::buffer::packed::{Form, operand};
use crate::buffer::spec::simple;
use crate::buffer::vector::{vector, vector_w};
use crate::buffer::{Access, Msg, MsgV, MsgW};
use crate::call::mpi_wait;
use crate::special::is_in_place;
use mpi_abi as abi;
use mpi_abi::Count;
use mpi_abi::consts::{MPI_COUNT, MPI_PROC_NULL, MPI_ROOT};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::ffi::c_int;

type Object<'a, 'py> = &'a Bound<'py, PyAny>;

/// What a rank does in a collective with a root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Root,
    /// One of those that send to the root or receive from it.
    Leaf,
    /// On the root's side of an intercommunicator, but not the root.
    Idle,
}

fn role(py: Python<'_>, comm: abi::Comm, root: c_int) -> PyResult<Role> {
    match root {
        MPI_ROOT => Ok(Role::Root),
        MPI_PROC_NULL => Ok(Role::Idle),
        _ if rank(py, comm)? == root && !is_inter(py, comm)? => Ok(Role::Root),
        _ => Ok(Role::Leaf),
    }
}

/// What the root sends where others take something else: in place, or a buffer like `like`.
fn own_part(object: Object<'_, '_>, access: Access, like: &Msg, root: c_int) -> PyResult<Msg> {
    if root == MPI_ROOT {
        Ok(Msg::nothing())
    } else if is_in_place(object) {
        Ok(Msg::in_place(like))
    } else {
        simple(object, access, 1)
    }
}

pub(super) fn bcast(comm: abi::Comm, buf: Object<'_, '_>, root: c_int) -> PyResult<Msg> {
    let py = buf.py();
    match role(py, comm, root)? {
        Role::Idle => Ok(Msg::nothing()),
        Role::Root => simple(buf, Access::Read, 1),
        Role::Leaf => simple(buf, Access::Write, 1),
    }
}

pub(super) fn gather(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>, root: c_int) -> PyResult<(Msg, Msg)> {
    let py = send.py();
    match role(py, comm, root)? {
        Role::Root => {
            let r = simple(recv, Access::Write, peers(py, comm)?)?;
            Ok((own_part(send, Access::Read, &r, root)?, r))
        }
        Role::Leaf => Ok((simple(send, Access::Read, 1)?, Msg::nothing())),
        Role::Idle => Ok((Msg::nothing(), Msg::nothing())),
    }
}

pub(super) fn gatherv(
    comm: abi::Comm,
    send: Object<'_, '_>,
    recv: Object<'_, '_>,
    root: c_int,
) -> PyResult<(Msg, MsgV)> {
    let py = send.py();
    match role(py, comm, root)? {
        Role::Root => {
            let r = vector(recv, Access::Write, peers(py, comm)?)?;
            let like = Msg { datatype: r.datatype, ..Msg::nothing() };
            Ok((own_part(send, Access::Read, &like, root)?, r))
        }
        Role::Leaf => Ok((simple(send, Access::Read, 1)?, MsgV::nothing())),
        Role::Idle => Ok((Msg::nothing(), MsgV::nothing())),
    }
}

pub(super) fn scatter(
    comm: abi::Comm,
    send: Object<'_, '_>,
    recv: Object<'_, '_>,
    root: c_int,
) -> PyResult<(Msg, Msg)> {
    let py = send.py();
    match role(py, comm, root)? {
        Role::Root => {
            let s = simple(send, Access::Read, peers(py, comm)?)?;
            let r = own_part(recv, Access::Write, &s, root)?;
            Ok((s, r))
        }
        Role::Leaf => Ok((Msg::nothing(), simple(recv, Access::Write, 1)?)),
        Role::Idle => Ok((Msg::nothing(), Msg::nothing())),
    }
}

pub(super) fn scatterv(
    comm: abi::Comm,
    send: Object<'_, '_>,
    recv: Object<'_, '_>,
    root: c_int,
) -> PyResult<(MsgV, Msg)> {
    let py = send.py();
    match role(py, comm, root)? {
        Role::Root => {
            let s = vector(send, Access::Read, peers(py, comm)?)?;
            let like = Msg { datatype: s.datatype, ..Msg::nothing() };
            let r = own_part(recv, Access::Write, &like, root)?;
            Ok((s, r))
        }
        Role::Leaf => Ok((MsgV::nothing(), simple(recv, Access::Write, 1)?)),
        Role::Idle => Ok((MsgV::nothing(), Msg::nothing())),
    }
}

/// Whether a send buffer says "in place" on a communicator where that means something.
fn in_place(comm: abi::Comm, send: Object<'_, '_>) -> PyResult<bool> {
    Ok(is_in_place(send) && !is_inter(send.py(), comm)?)
}

pub(super) fn allgather(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(Msg, Msg)> {
    let r = simple(recv, Access::Write, peers(recv.py(), comm)?)?;
    let s = if in_place(comm, send)? { Msg::in_place(&r) } else { simple(send, Access::Read, 1)? };
    Ok((s, r))
}

pub(super) fn allgatherv(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(Msg, MsgV)> {
    let r = vector(recv, Access::Write, peers(recv.py(), comm)?)?;
    let s = if in_place(comm, send)? {
        Msg::in_place(&Msg { datatype: r.datatype, ..Msg::nothing() })
    } else {
        simple(send, Access::Read, 1)?
    };
    Ok((s, r))
}

pub(super) fn alltoall(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(Msg, Msg)> {
    let blocks = peers(recv.py(), comm)?;
    let r = simple(recv, Access::Write, blocks)?;
    let s = if in_place(comm, send)? { Msg::in_place(&r) } else { simple(send, Access::Read, blocks)? };
    Ok((s, r))
}

pub(super) fn alltoallv(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(MsgV, MsgV)> {
    let blocks = peers(recv.py(), comm)?;
    let r = vector(recv, Access::Write, blocks)?;
    let s = if in_place(comm, send)? { MsgV::in_place(&r) } else { vector(send, Access::Read, blocks)? };
    Ok((s, r))
}

pub(super) fn alltoallw(comm: abi::Comm, send: Object<'_, '_>, recv: Object<'_, '_>) -> PyResult<(MsgW, MsgW)> {
    let blocks = peers(recv.py(), comm)?;
    let r = vector_w(recv, Access::Write, blocks)?;
    let s = if in_place(comm, send)? { MsgW::in_place(&r) } else { vector_w(send, Access::Read, blocks)? };
    Ok((s, r))
}

/// Refuses a reduction whose two buffers differ.
fn alike(s: &Msg, r: &Msg) -> PyResult<()> {
    if s.datatype != r.datatype {
        return Err(PyValueError::new_err("mismatch in send and receive MPI datatypes"));
    }
    if s.count != r.count {
        return Err(PyValueError::new_err(format!("mismatch in send count {} and receive count {}", s.count, r.count)));
    }
    Ok(())
}

/// The send side of a reduction; count and type are those of the message that is reduced.
fn reduced(send: Object<'_, '_>, r: &Msg, form: Form) -> PyResult<Msg> {
    if is_in_place(send) {
        return Ok(Msg::in_place(r));
    }
    let s = operand(send, Access::Read, 1, form)?;
    alike(&s, r)?;
    Ok(s)
}

pub(super) fn reduce(
    comm: abi::Comm,
    send: Object<'_, '_>,
    recv: Object<'_, '_>,
    root: c_int,
    form: Form,
) -> PyResult<(Msg, Msg)> {
    match role(send.py(), comm, root)? {
        Role::Root if root == MPI_ROOT => {
            let r = operand(recv, Access::Write, 1, form)?;
            let s = Msg { count: r.count, datatype: r.datatype, ..Msg::nothing() };
            Ok((s, r))
        }
        Role::Root => {
            let r = operand(recv, Access::Write, 1, form)?;
            Ok((reduced(send, &r, form)?, r))
        }
        Role::Leaf => Ok((operand(send, Access::Read, 1, form)?, Msg::nothing())),
        Role::Idle => Ok((Msg::nothing(), Msg::nothing())),
    }
}

/// For `Allreduce`, `Scan` and `Exscan`.
pub(super) fn allreduce(
    comm: abi::Comm,
    send: Object<'_, '_>,
    recv: Object<'_, '_>,
    form: Form,
) -> PyResult<(Msg, Msg)> {
    let r = operand(recv, Access::Write, 1, form)?;
    let s = if is_in_place(send) && is_inter(send.py(), comm)? {
        operand(send, Access::Read, 1, form)?
    } else {
        reduced(send, &r, form)?
    };
    Ok((s, r))
}

pub(super) fn reduce_scatter_block(
    comm: abi::Comm,
    send: Object<'_, '_>,
    recv: Object<'_, '_>,
    form: Form,
) -> PyResult<(Msg, Msg)> {
    let py = recv.py();
    if in_place(comm, send)? {
        let r = operand(recv, Access::Write, peers(py, comm)?, form)?;
        return Ok((Msg::in_place(&r), r));
    }
    let mut blocks = 0;
    crate::call::mpi!(py, MPI_Comm_size(comm, &raw mut blocks))?;
    let s = operand(send, Access::Read, blocks, form)?;
    let r = operand(recv, Access::Write, 1, form)?;
    alike(&s, &r)?;
    Ok((s, r))
}

/// Two messages and how much of the result each rank gets.
pub(super) fn reduce_scatter(
    comm: abi::Comm,
    send: Object<'_, '_>,
    recv: Object<'_, '_>,
    counts: Option<Vec<Count>>,
    form: Form,
) -> PyResult<(Msg, Msg, Vec<Count>)> {
    let py = recv.py();
    let (mut size, own) = (0, rank(py, comm)?);
    crate::call::mpi!(py, MPI_Comm_size(comm, &raw mut size))?;
    let ranks = usize::try_from(size)?;
    let own = usize::try_from(own)?;
    let r = operand(recv, Access::Write, 1, form)?;
    let alone = in_place(comm, send)?;
    let counts = match counts {
        Some(counts) if counts.len() != ranks => {
            return Err(PyValueError::new_err(format!(
                "expecting {ranks} counts, one for each rank, got {}",
                counts.len()
            )));
        }
        Some(counts) => counts,
        None if alone => {
            let share = r.count / Count::from(size);
            let rest = usize::try_from(r.count % Count::from(size))?;
            (0..ranks).map(|rank| share + Count::from(rank < rest)).collect()
        }
        None => {
            let mut counts = vec![0 as Count; ranks];
            let (mine, all) = ((&raw const r.count).cast(), counts.as_mut_ptr().cast());
            mpi_wait!(py, MPI_Allgather_c(mine, 1, MPI_COUNT, all, 1, MPI_COUNT, comm))?;
            counts
        }
    };
    let total: Count = counts.iter().sum();
    let mismatch = |what: &str, got: Count, expected: Count| {
        PyValueError::new_err(format!("mismatch in {what} count {got} and the sum of the receive counts {expected}"))
    };
    if alone {
        if r.count != total {
            return Err(mismatch("buffer", r.count, total));
        }
        return Ok((Msg::in_place(&r), r, counts));
    }
    let s = operand(send, Access::Read, 1, form)?;
    if s.datatype != r.datatype {
        return Err(PyValueError::new_err("mismatch in send and receive MPI datatypes"));
    }
    if s.count != total {
        return Err(mismatch("send", s.count, total));
    }
    if r.count != counts[own] {
        return Err(PyValueError::new_err(format!(
            "mismatch in receive count {} and the count {} given for this rank",
            r.count, counts[own]
        )));
    }
    Ok((s, r, counts))
}
