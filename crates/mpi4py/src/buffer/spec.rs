//! The ways to write a message down:
//!
//! `data` · `[data, type]` · `[data, count]` · `[data, (count, displ)]` · `[data, count, type]` ·
//! `[data, (count, displ), type]` · `[data, count, displ, type]`
//!
//! as list or tuple. `type` is a `Datatype`, a type code (`'d'`, `'f8'` ...) or `None`: what the data
//! says; a count of `None` is what there is room for. `data` may be `None` (no memory) or `BOTTOM`.

use super::acquire::{Access, Element, Kind, Memory, acquire, is_buffer};
use super::extent;
use super::{Msg, infer};
use crate::args;
use crate::datatype::Datatype;
use crate::handle::Handle;
use mpi_abi as abi;
use mpi_abi::Count;
use mpi_abi::consts::MPI_PROC_NULL;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use std::ffi::c_int;

/// A list or tuple of a message, as its items.
pub(crate) type Items<'py> = Vec<Bound<'py, PyAny>>;

/// The message for a send to `dest`.
#[inline]
pub(crate) fn send(object: &Bound<'_, PyAny>, dest: c_int) -> PyResult<Msg> {
    if dest == MPI_PROC_NULL && object.is_none() {
        return Ok(Msg::nothing());
    }
    simple(object, Access::Read, 1)
}

/// The message for a receive from `source`.
#[inline]
pub(crate) fn recv(object: &Bound<'_, PyAny>, source: c_int) -> PyResult<Msg> {
    if source == MPI_PROC_NULL && object.is_none() {
        return Ok(Msg::nothing());
    }
    simple(object, Access::Write, 1)
}

/// A message of `blocks` blocks of equal size; the count is that of one block.
#[inline]
pub(crate) fn simple(object: &Bound<'_, PyAny>, access: Access, blocks: c_int) -> PyResult<Msg> {
    if let Some(items) = items(object)? {
        return listed(object.py(), &items, access, blocks);
    }
    let memory = whole(object, access)?;
    let datatype = memory.element.datatype()?;
    let count = per_block(extent::elements(object.py(), &memory, datatype)?, blocks)?;
    Ok(Msg { addr: memory.addr, count, datatype, keep: memory.keep })
}

/// A buffer that stands alone, not in a list.
pub(crate) fn whole(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Memory> {
    if !is_buffer(object) {
        return Err(not_a_message(object));
    }
    acquire(object, access)
}

/// The memory in a list: `None` is allowed.
pub(crate) fn listed_memory(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Memory> {
    if object.is_none() { Ok(Memory::nothing()) } else { acquire(object, access) }
}

/// The items, if the message is a list or tuple.
#[inline]
pub(crate) fn items<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Items<'py>>> {
    let items: Items<'py> = if let Ok(list) = object.cast::<PyList>() {
        list.iter().collect()
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        tuple.iter().collect()
    } else {
        return Ok(None);
    };
    if (2..=4).contains(&items.len()) {
        Ok(Some(items))
    } else {
        Err(PyValueError::new_err(format!("message: expecting 2 to 4 items, got {}", items.len())))
    }
}

/// `Some` if the object says which datatype.
#[inline]
pub(crate) fn datatype(object: &Bound<'_, PyAny>) -> PyResult<Option<abi::Datatype>> {
    if let Ok(datatype) = object.cast::<Datatype>() {
        return Ok(Some(datatype.get().raw()));
    }
    if let Ok(code) = object.cast::<PyString>() {
        return infer::code(&code.to_cow()?).map(Some);
    }
    Ok(None)
}

/// As [`datatype`], where `None` stands for what the data says and nothing else is allowed.
pub(crate) fn datatype_or(object: Option<&Bound<'_, PyAny>>, element: &Element) -> PyResult<abi::Datatype> {
    match object {
        Some(object) if !object.is_none() => datatype(object)?.ok_or_else(|| {
            let name = object.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
            PyTypeError::new_err(format!("message: expecting a Datatype or a type code, not '{name}'"))
        }),
        _ => element.datatype(),
    }
}

/// The parts of a list: data, count, displacement, datatype.
struct Parts<'a, 'py> {
    count: Option<&'a Bound<'py, PyAny>>,
    displ: Option<&'a Bound<'py, PyAny>>,
    datatype: Option<&'a Bound<'py, PyAny>>,
}

fn listed(py: Python<'_>, items: &Items<'_>, access: Access, blocks: c_int) -> PyResult<Msg> {
    let parts = match items.as_slice() {
        [_, second] if second.is_instance_of::<Datatype>() || second.is_instance_of::<PyString>() => {
            Parts { count: None, displ: None, datatype: Some(second) }
        }
        [_, count] => Parts { count: Some(count), displ: None, datatype: None },
        [_, count, datatype] => Parts { count: Some(count), displ: None, datatype: Some(datatype) },
        [_, count, displ, datatype] => Parts { count: Some(count), displ: Some(displ), datatype: Some(datatype) },
        _ => return Err(PyValueError::new_err("message: expecting 2 to 4 items")),
    };
    let pair = match parts.count {
        Some(count) if items.len() < 4 => pair(count)?,
        _ => None,
    };
    let (count, displ) = match &pair {
        Some((count, displ)) => (Some(count), Some(displ)),
        None => (parts.count, parts.displ),
    };
    let number = |value: Option<&Bound<'_, PyAny>>| match value {
        Some(value) if !value.is_none() => args::count(value).map(Some),
        _ => Ok(None),
    };
    let (count, displ) = (number(count)?, number(displ)?.unwrap_or(0));
    let memory = listed_memory(&items[0], access)?;
    let datatype = match parts.datatype {
        None if memory.kind == Kind::Nothing => abi::consts::MPI_BYTE,
        given => datatype_or(given, &memory.element)?,
    };
    let mut addr = memory.addr;
    if displ != 0 {
        addr = place(py, &memory, displ, datatype)?;
    }
    let count = match count {
        Some(count) if count < 0 => return Err(PyValueError::new_err(format!("message: negative count {count}"))),
        Some(count) => {
            extent::check(py, &memory, displ, count.saturating_mul(Count::from(blocks.max(1))), datatype)?;
            count
        }
        None => {
            if datatype == abi::consts::MPI_DATATYPE_NULL {
                return Err(PyValueError::new_err("message: cannot infer the count, the datatype is null"));
            }
            per_block(extent::elements(py, &memory, datatype)? - displ, blocks)?
        }
    };
    Ok(Msg { addr, count, datatype, keep: memory.keep })
}

/// `(count, displ)` in place of a count.
pub(crate) fn pair<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    if let Ok(tuple) = object.cast::<PyTuple>() {
        if tuple.len() != 2 {
            return Err(PyValueError::new_err(format!("message: expecting (count, displ), got {} items", tuple.len())));
        }
        return Ok(Some((tuple.get_item(0)?, tuple.get_item(1)?)));
    }
    if let Ok(list) = object.cast::<PyList>()
        && list.len() == 2
    {
        return Ok(Some((list.get_item(0)?, list.get_item(1)?)));
    }
    Ok(None)
}

/// The address of element `displ`.
fn place(
    py: Python<'_>,
    memory: &Memory,
    displ: Count,
    datatype: abi::Datatype,
) -> PyResult<*mut std::ffi::c_void> {
    if displ < 0 {
        return Err(PyValueError::new_err(format!("message: negative displacement {displ}")));
    }
    let extent = extent::positive(py, datatype, "place the displacement")?;
    let room = memory.nbytes as Count / extent;
    if memory.kind != Kind::Constant && displ > room {
        return Err(PyValueError::new_err(format!(
            "message: displacement {displ} is out of bounds, the buffer has {room} elements"
        )));
    }
    let offset = displ.checked_mul(extent).and_then(|offset| isize::try_from(offset).ok());
    let offset = offset.ok_or_else(|| PyValueError::new_err(format!("message: displacement {displ} is too large")))?;
    Ok(memory.addr.wrapping_byte_offset(offset))
}

/// The count of one of `blocks` equal blocks.
#[inline]
fn per_block(count: Count, blocks: c_int) -> PyResult<Count> {
    if blocks < 2 {
        return Ok(count);
    }
    let blocks = Count::from(blocks);
    if count % blocks != 0 {
        return Err(PyValueError::new_err(format!(
            "message: cannot infer the count, {count} elements are not a multiple of {blocks} blocks"
        )));
    }
    Ok(count / blocks)
}

#[cold]
pub(crate) fn not_a_message(object: &Bound<'_, PyAny>) -> PyErr {
    args::expected("a buffer, or a list or tuple with a buffer", object)
}
