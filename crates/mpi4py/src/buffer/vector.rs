//! Messages in blocks, one block for each rank.
//!
//! v-form: `data` · `[data, type]` · `[data, counts]` · `[data, (counts, displs)]` ·
//! `[data, counts, type]` · `[data, (counts, displs), type]` · `[data, counts, displs, type]`.
//! Counts and displacements are sequences, NumPy arrays, or one integer for all (as displacement: the
//! distance of the blocks). Counts of `None` share the memory out evenly, the first ranks get one
//! element more; displacements of `None` put the blocks one after the other.
//!
//! w-form: `[data, types]` · `[data, (counts, displs), types]` · `[data, counts, displs, types]`, with
//! one datatype for each rank and displacements in bytes.

use super::acquire::{Access, Kind, Memory, acquire};
use super::made::Typed;
use super::{MsgV, MsgW, extent, spec, strided};
use crate::args;
use crate::datatype::Datatype;
use crate::handle::H;
use mpi_abi as abi;
use mpi_abi::{Aint, Count};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use std::ffi::c_int;

/// A message in `blocks` blocks of one datatype.
pub(crate) fn vector(object: &Bound<'_, PyAny>, access: Access, blocks: c_int) -> PyResult<MsgV> {
    let py = object.py();
    let blocks = usize::try_from(blocks).unwrap_or(0);
    let Some((items, length)) = spec::items(object)? else {
        return build(py, object, access, Parts::default(), blocks);
    };
    let [data, second, third, fourth] = items.each_ref().map(Option::as_ref);
    let (mut counts, mut displs, datatype) = match length {
        2 if second.is_some_and(spec::is_datatype) => (None, None, second),
        2 => (second, None, None),
        3 => (second, None, third),
        _ => (second, third, fourth),
    };
    let pair = match counts.and_then(|counts| counts.cast::<PyTuple>().ok()) {
        Some(pair) if length < 4 && pair.len() == 2 => Some((pair.get_item(0)?, pair.get_item(1)?)),
        _ => None,
    };
    if let Some((first, second)) = &pair {
        (counts, displs) = (Some(first), Some(second));
    }
    let parts = Parts { counts: given(counts), displs: given(displs), datatype, listed: true };
    let none = py.None().into_bound(py);
    build(py, data.unwrap_or(&none), access, parts, blocks)
}

/// What a message says besides its buffer.
#[derive(Clone, Copy, Default)]
struct Parts<'a, 'py> {
    counts: Option<&'a Bound<'py, PyAny>>,
    displs: Option<&'a Bound<'py, PyAny>>,
    datatype: Option<&'a Bound<'py, PyAny>>,
    /// The buffer is in a list, where it may be `None`.
    listed: bool,
}

fn given<'a, 'py>(object: Option<&'a Bound<'py, PyAny>>) -> Option<&'a Bound<'py, PyAny>> {
    object.filter(|object| !object.is_none())
}

fn build(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    access: Access,
    parts: Parts<'_, '_>,
    blocks: usize,
) -> PyResult<MsgV> {
    let counts_of = |total: Count| match parts.counts {
        None => Ok(shares(total, blocks)),
        Some(counts) => each(counts, blocks, |count, _| count),
    };
    let displs_of = |counts: &[Count]| match parts.displs {
        None => one_after_another(counts),
        Some(displs) => each(displs, blocks, |distance, index| distance * index as Count)?
            .into_iter()
            .map(|displ| Aint::try_from(displ).map_err(PyErr::from))
            .collect(),
    };
    let explicit = spec::explicit(parts.datatype)?;
    if let Some(spread) = strided::take(data, access, explicit)? {
        return strided::vector(py, spread, access, explicit, counts_of, displs_of);
    }
    let memory = if parts.listed { spec::listed_memory(Some(data), access)? } else { acquire(data, access)? };
    let typed = match parts.datatype {
        None if memory.kind == Kind::Nothing => abi::consts::MPI_BYTE.into(),
        _ => spec::typed(py, explicit, &memory)?,
    };
    let datatype = typed.raw;
    let total = match parts.counts {
        None if datatype == abi::consts::MPI_DATATYPE_NULL => {
            return Err(PyValueError::new_err("message: cannot infer the counts, the datatype is null"));
        }
        None => extent::elements(py, &memory, datatype)?,
        Some(_) => 0,
    };
    let counts = counts_of(total)?;
    let displs = displs_of(&counts)?;
    check(py, &memory, &counts, &displs, &typed)?;
    Ok(MsgV { addr: memory.addr, counts, displs, datatype, keep: typed.keep(memory.keep) })
}

/// One number for each block: a sequence, or one integer from which `from_one` makes them.
fn each(object: &Bound<'_, PyAny>, blocks: usize, from_one: impl Fn(Count, usize) -> Count) -> PyResult<Vec<Count>> {
    // Zero-dimensional arrays have a length in name only, so integers are tried first.
    let is_sequence = object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>();
    if !is_sequence {
        match args::count(object) {
            Ok(one) if object.len().is_err() => return Ok((0..blocks).map(|index| from_one(one, index)).collect()),
            Err(error) if object.len().is_err() => return Err(error),
            _ => {}
        }
    }
    let numbers = args::sequence(object, |item| args::count(&item))?;
    expect(blocks, numbers.len())?;
    Ok(numbers)
}

fn expect(blocks: usize, got: usize) -> PyResult<()> {
    if got == blocks {
        Ok(())
    } else {
        Err(PyValueError::new_err(format!("message: expecting {blocks} items, one for each rank, got {got}")))
    }
}

/// Even shares of `total`; what is left over goes to the first.
fn shares(total: Count, blocks: usize) -> Vec<Count> {
    let n = blocks as Count;
    (0..n).map(|index| total / n + Count::from(index < total % n)).collect()
}

fn one_after_another(counts: &[Count]) -> PyResult<Vec<Aint>> {
    let mut displs = Vec::with_capacity(counts.len());
    let mut next: Count = 0;
    for &count in counts {
        displs.push(Aint::try_from(next)?);
        next = next
            .checked_add(count)
            .ok_or_else(|| PyValueError::new_err("message: the counts add up to more than there can be"))?;
    }
    Ok(displs)
}

fn check(py: Python<'_>, memory: &Memory, counts: &[Count], displs: &[Aint], typed: &Typed) -> PyResult<()> {
    for (rank, (&count, &displ)) in counts.iter().zip(displs).enumerate() {
        if count < 0 {
            return Err(PyValueError::new_err(format!("message: negative count {count} for rank {rank}")));
        }
        if count == 0 {
            continue;
        }
        if displ < 0 && memory.kind == Kind::Whole && (typed.made.is_some() || typed.raw.is_predefined()) {
            return Err(PyValueError::new_err(format!("message: negative displacement {displ} for rank {rank}")));
        }
        extent::check(py, memory, displ as Count, count, typed).map_err(|error| at_rank(py, error, rank))?;
    }
    Ok(())
}

/// Adds to an error which rank's block is meant.
#[cold]
fn at_rank(py: Python<'_>, error: PyErr, rank: usize) -> PyErr {
    if error.is_instance_of::<PyValueError>(py) {
        PyValueError::new_err(format!("{} (block of rank {rank})", error.value(py)))
    } else {
        error
    }
}

/// A message in `blocks` blocks with a datatype each.
pub(crate) fn vector_w(object: &Bound<'_, PyAny>, access: Access, blocks: c_int) -> PyResult<MsgW> {
    let py = object.py();
    let blocks = usize::try_from(blocks).unwrap_or(0);
    let Some((items, length)) = spec::items(object)? else {
        return Err(args::expected("a list or tuple with a buffer and datatypes", object));
    };
    let [data, second, third, fourth] = items.each_ref().map(Option::as_ref);
    let pair = match (second, length) {
        (Some(second), 3) => spec::pair(second)?,
        _ => None,
    };
    let (counts, displs, types) = match (&pair, length) {
        (_, 2) => (None, None, second),
        (Some((counts, displs)), 3) => (Some(counts), Some(displs), third),
        (None, 3) => return Err(PyValueError::new_err("message: expecting (counts, displs) as the second item")),
        _ => (second, third, fourth),
    };
    let types = types.ok_or_else(|| PyValueError::new_err("message: expecting datatypes"))?;
    let memory = spec::listed_memory(data, access)?;
    let numbers = |given: Option<&Bound<'_, PyAny>>, what: &str, default: Count| -> PyResult<Vec<Count>> {
        match given.filter(|given| !given.is_none()) {
            Some(given) => each(given, blocks, |one, _| one),
            None if memory.kind == Kind::Constant => {
                Err(PyValueError::new_err(format!("message: BOTTOM needs {what}")))
            }
            None => Ok(vec![default; blocks]),
        }
    };
    let counts = numbers(counts, "counts", Count::from(memory.kind != Kind::Nothing))?;
    let displs = numbers(displs, "displacements", 0)?
        .into_iter()
        .map(|displ| Aint::try_from(displ).map_err(PyErr::from))
        .collect::<PyResult<Vec<_>>>()?;
    let types = args::sequence(types, |item| match item.cast::<PyString>() {
        Ok(code) => super::infer::code(&code.to_cow()?),
        Err(_) => Ok(item.extract::<H<Datatype>>()?.0),
    })?;
    expect(blocks, types.len())?;
    for (rank, ((&count, &displ), &datatype)) in counts.iter().zip(&displs).zip(&types).enumerate() {
        if datatype.is_predefined() && count > 0 && !matches!(memory.kind, Kind::Nothing | Kind::Constant) {
            let bytes = extent::extent(py, datatype)?.checked_mul(count);
            let last = bytes.and_then(|bytes| bytes.checked_add(displ as Count));
            if last.is_none_or(|last| last > memory.nbytes as Count) {
                return Err(PyValueError::new_err(format!(
                    "message: {count} elements from byte {displ} on do not fit for rank {rank}, the buffer has {} bytes",
                    memory.nbytes
                )));
            }
        }
    }
    Ok(MsgW { addr: memory.addr, counts, displs, types, keep: memory.keep })
}
