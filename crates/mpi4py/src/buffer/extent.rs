//! Sizes of datatypes, and whether a count of them fits into a piece of memory.

use super::acquire::{Kind, Memory};
use super::made::Typed;
use crate::call::mpi;
use mpi_abi::consts::MPI_DATATYPE_NULL;
use mpi_abi::{Count, Datatype};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicI64, Ordering};

/// The handles of predefined datatypes lie in this range.
const FIRST: usize = 0x200;
const LAST: usize = 0x2ff;

/// Extents of the predefined datatypes, asked for once; 0: not asked yet.
static EXTENTS: [AtomicI64; LAST - FIRST + 1] = [const { AtomicI64::new(0) }; LAST - FIRST + 1];

/// The extent of a datatype.
#[inline]
pub(crate) fn extent(py: Python<'_>, datatype: Datatype) -> PyResult<Count> {
    let known = EXTENTS.get(datatype.raw().wrapping_sub(FIRST));
    match known.map(|known| known.load(Ordering::Relaxed)) {
        None | Some(0) => ask(py, datatype, known),
        Some(extent) => Ok(extent),
    }
}

#[cold]
fn ask(py: Python<'_>, datatype: Datatype, remember: Option<&AtomicI64>) -> PyResult<Count> {
    if datatype == MPI_DATATYPE_NULL {
        return Err(PyValueError::new_err("message: the datatype is null"));
    }
    let (mut lb, mut extent) = (0, 0);
    mpi!(py, MPI_Type_get_extent_c(datatype, &raw mut lb, &raw mut extent))?;
    if let Some(remember) = remember {
        remember.store(extent, Ordering::Relaxed);
    }
    Ok(extent)
}

/// The extent, where it has to be positive: to count elements or to place them.
pub(crate) fn positive(py: Python<'_>, datatype: Datatype, what: &str) -> PyResult<Count> {
    if datatype == MPI_DATATYPE_NULL {
        return Err(PyValueError::new_err(format!("message: cannot {what}, the datatype is null")));
    }
    let extent = extent(py, datatype)?;
    if extent <= 0 {
        return Err(PyValueError::new_err(format!("message: cannot {what}, the datatype's extent is {extent}")));
    }
    Ok(extent)
}

/// How many elements a piece of memory holds.
#[inline]
pub(crate) fn elements(py: Python<'_>, memory: &Memory, datatype: Datatype) -> PyResult<Count> {
    if memory.nbytes == 0 {
        return Ok(0);
    }
    let extent = positive(py, datatype, "infer the count")?;
    let nbytes = memory.nbytes as Count;
    if nbytes % extent != 0 {
        return Err(PyValueError::new_err(format!(
            "message: cannot infer the count, {nbytes} bytes are not a multiple of the datatype's extent {extent}"
        )));
    }
    Ok(nbytes / extent)
}

/// Refuses a message that reaches beyond the memory of its buffer: `count` elements from element
/// `displ` on. A derived datatype may reach beyond a part of an array, but not beyond the array that
/// owns the memory, if that is known.
#[inline]
pub(crate) fn check(py: Python<'_>, memory: &Memory, displ: Count, count: Count, typed: &Typed) -> PyResult<()> {
    let datatype = typed.raw;
    if count <= 0 || datatype == MPI_DATATYPE_NULL {
        return Ok(());
    }
    match memory.kind {
        Kind::Nothing => Err(PyValueError::new_err(format!("message: buffer is None but count is {count}"))),
        // A datatype that was made for the elements fills them.
        Kind::Whole | Kind::Part | Kind::Within(..) if datatype.is_predefined() || typed.made.is_some() => {
            let extent = extent(py, datatype)?;
            let last = displ.checked_add(count).and_then(|last| last.checked_mul(extent));
            if last.is_none_or(|last| last > memory.nbytes as Count) {
                return Err(beyond(displ, count, extent, memory));
            }
            Ok(())
        }
        Kind::Whole => check_derived(py, memory, (0, memory.nbytes), displ, count, datatype),
        Kind::Within(before, after) => check_derived(py, memory, (-before, after), displ, count, datatype),
        Kind::Part | Kind::Constant => Ok(()),
    }
}

#[cold]
fn beyond(displ: Count, count: Count, extent: Count, memory: &Memory) -> PyErr {
    let place = if displ == 0 {
        String::new()
    } else {
        format!(" from element {displ} on, {} in all,", displ.saturating_add(count))
    };
    PyValueError::new_err(format!(
        "message: {count} elements{place} do not fit, the buffer has {} elements of {extent} bytes ({} bytes)",
        memory.nbytes as Count / extent.max(1),
        memory.nbytes
    ))
}

fn check_derived(
    py: Python<'_>,
    memory: &Memory,
    (from, to): (isize, isize),
    displ: Count,
    count: Count,
    datatype: Datatype,
) -> PyResult<()> {
    let (mut lb, mut extent, mut true_lb, mut true_extent) = (0, 0, 0, 0);
    mpi!(py, MPI_Type_get_extent_c(datatype, &raw mut lb, &raw mut extent))?;
    mpi!(py, MPI_Type_get_true_extent_c(datatype, &raw mut true_lb, &raw mut true_extent))?;
    let mut size = 0;
    mpi!(py, MPI_Type_size_c(datatype, &raw mut size))?;
    // Nothing is touched. (MPICH gives types without elements a true extent.)
    if true_extent <= 0 || size == 0 {
        return Ok(());
    }
    let (extent, true_lb) = (i128::from(extent), i128::from(true_lb));
    let first = i128::from(displ) * extent;
    let last = first + i128::from(count - 1) * extent;
    let low = first.min(last) + true_lb;
    let high = first.max(last) + true_lb + i128::from(true_extent);
    if low < from as i128 || high > to as i128 {
        let part = if (from, to) == (0, memory.nbytes) {
            String::new()
        } else {
            format!(", those of the array it is a part of lie from byte {from} to byte {to}")
        };
        return Err(PyValueError::new_err(format!(
            "message: {count} elements of the datatype reach from byte {low} to byte {high}, the buffer has {} bytes{part}",
            memory.nbytes
        )));
    }
    Ok(())
}
