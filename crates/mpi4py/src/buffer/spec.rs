//! The ways to write a message down:
//!
//! `data` · `[data, type]` · `[data, count]` · `[data, (count, displ)]` · `[data, count, type]` ·
//! `[data, (count, displ), type]` · `[data, count, displ, type]`
//!
//! as list or tuple. `type` is a `Datatype`, a type code (`'d'`, `'f8'` ...) or `None`: what the data
//! says; a count of `None` is what there is room for. `data` may be `None` (no memory) or `BOTTOM`.

use super::acquire::{Access, Kind, Memory, acquire};
use super::made::Typed;
use super::strided::{self, Given};
use super::{Keep, Msg, extent, infer, numpy, view};
use crate::args;
use crate::datatype::Datatype;
use crate::handle::Handle;
use mpi_abi as abi;
use mpi_abi::Count;
use mpi_abi::consts::MPI_PROC_NULL;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyString, PyTuple};
use std::ffi::c_int;

/// The items of a list or tuple.
pub(crate) type Items<'py> = [Option<Bound<'py, PyAny>>; 4];

/// The message for a blocking send to `dest`: the argument itself keeps a plain array alive.
#[inline]
pub(crate) fn send_now(object: &Bound<'_, PyAny>, dest: c_int) -> PyResult<Msg> {
    match numpy::direct(object, Access::Read) {
        Some(array) => Ok(Msg::unkept(&array)),
        None => send(object, dest),
    }
}

/// The message for a blocking receive from `source`.
#[inline]
pub(crate) fn recv_now(object: &Bound<'_, PyAny>, source: c_int) -> PyResult<Msg> {
    match numpy::direct(object, Access::Write) {
        Some(array) => Ok(Msg::unkept(&array)),
        None => recv(object, source),
    }
}

/// The message for a send to `dest`. For nobody it is not looked at, as mpi4py does it: a program's ranks at the edge
/// may have no buffer.
pub(crate) fn send(object: &Bound<'_, PyAny>, dest: c_int) -> PyResult<Msg> {
    blocks(object, Access::Read, dest, 1)
}

/// The message for a receive from `source`.
pub(crate) fn recv(object: &Bound<'_, PyAny>, source: c_int) -> PyResult<Msg> {
    blocks(object, Access::Write, source, 1)
}

/// The message of `blocks` blocks for another process.
pub(crate) fn blocks(object: &Bound<'_, PyAny>, access: Access, peer: c_int, blocks: c_int) -> PyResult<Msg> {
    if peer == MPI_PROC_NULL { Ok(Msg::nothing()) } else { simple(object, access, blocks) }
}

/// A message of `blocks` blocks of equal size; the count is that of one block.
pub(crate) fn simple(object: &Bound<'_, PyAny>, access: Access, blocks: c_int) -> PyResult<Msg> {
    if let Some(array) = numpy::direct(object, access) {
        let count = per_block(array.count, blocks)?;
        return Ok(Msg { count, keep: Keep::Object(object.clone().unbind()), ..Msg::unkept(&array) });
    }
    if let Some((mut items, length)) = items(object)? {
        if let Some(message) = plain_list(&mut items, length, access, blocks) {
            return Ok(message);
        }
        return listed(object.py(), &items, length, access, blocks);
    }
    if let Some(spread) = strided::take(object, access, None)? {
        return strided::simple(object.py(), spread, access, blocks, Given::default());
    }
    let memory = acquire(object, access)?;
    let typed = memory.element.typed(object.py())?;
    let count = per_block(extent::elements(object.py(), &memory, typed.raw)?, blocks)?;
    Ok(Msg { addr: memory.addr, count, datatype: typed.raw, keep: typed.keep(memory.keep) })
}

/// The memory in a list: `None` is allowed.
pub(crate) fn listed_memory(object: Option<&Bound<'_, PyAny>>, access: Access) -> PyResult<Memory> {
    match object {
        Some(object) if !object.is_none() => acquire(object, access),
        _ => Ok(Memory::nothing()),
    }
}

/// The items and their number, if the message is a list or tuple.
pub(crate) fn items<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<(Items<'py>, usize)>> {
    if view::is_bytes(object) {
        return Ok(None);
    }
    let mut items: Items<'py> = [const { None }; 4];
    let length;
    if let Ok(list) = object.cast::<PyList>() {
        length = list.len();
        for (index, item) in items.iter_mut().enumerate().take(length) {
            *item = Some(list.get_item(index)?);
        }
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        length = tuple.len();
        for (index, item) in items.iter_mut().enumerate().take(length) {
            *item = Some(tuple.get_item(index)?);
        }
    } else {
        return Ok(None);
    }
    if (2..=4).contains(&length) {
        Ok(Some((items, length)))
    } else {
        Err(PyValueError::new_err(format!("message: expecting 2 to 4 items, got {length}")))
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

/// Whether the object says which datatype.
pub(crate) fn is_datatype(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<Datatype>() || object.is_instance_of::<PyString>()
}

/// As [`datatype`], where only `None` may stand in its place.
pub(super) fn explicit(object: Option<&Bound<'_, PyAny>>) -> PyResult<Option<abi::Datatype>> {
    match object {
        Some(object) if !object.is_none() => datatype(object)?.map(Some).ok_or_else(|| {
            let name = object.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
            PyTypeError::new_err(format!("message: expecting a Datatype or a type code, not '{name}'"))
        }),
        _ => Ok(None),
    }
}

/// The datatype that was given, or what the memory says.
pub(super) fn typed(py: Python<'_>, given: Option<abi::Datatype>, memory: &Memory) -> PyResult<Typed> {
    match given {
        Some(datatype) => Ok(datatype.into()),
        None => memory.element.typed(py),
    }
}

/// The commonest list, `[array, count, type]` with the array's own type, on the shortest way. `None`:
/// anything else, also what is wrong.
fn plain_list(items: &mut Items<'_>, length: usize, access: Access, blocks: c_int) -> Option<Msg> {
    let [Some(data), Some(count), Some(kind), None] = items else {
        return None;
    };
    let array = numpy::direct(data, access)?;
    let same = length == 3 && kind.cast::<Datatype>().ok()?.get().raw() == array.datatype;
    if !same || !count.is_exact_instance_of::<PyInt>() {
        return None;
    }
    let count = args::count(count).ok()?;
    let all = count.checked_mul(Count::from(blocks.max(1)))?;
    if !(0..=array.count).contains(&all) {
        return None;
    }
    let keep = items[0].take().map_or(Keep::Nothing, |data| Keep::Object(data.unbind()));
    Some(Msg { count, keep, ..Msg::unkept(&array) })
}

fn listed(py: Python<'_>, items: &Items<'_>, length: usize, access: Access, blocks: c_int) -> PyResult<Msg> {
    let [data, second, third, fourth] = items.each_ref().map(Option::as_ref);
    let (count, displ, kind) = match length {
        2 if second.is_some_and(is_datatype) => (None, None, second),
        2 => (second, None, None),
        3 => (second, None, third),
        _ => (second, third, fourth),
    };
    let pair = match count {
        Some(count) if length < 4 => pair(count)?,
        _ => None,
    };
    let (count, displ) = match &pair {
        Some((count, displ)) => (Some(count), Some(displ)),
        None => (count, displ),
    };
    let number = |value: Option<&Bound<'_, PyAny>>| match value {
        Some(value) if !value.is_none() => args::count(value).map(Some),
        _ => Ok(None),
    };
    let (count, displ, given) = (number(count)?, number(displ)?.unwrap_or(0), explicit(kind)?);
    if let Some(data) = data
        && let Some(spread) = strided::take(data, access, given)?
    {
        return strided::simple(py, spread, access, blocks, Given { count, displ, datatype: given });
    }
    let memory = listed_memory(data, access)?;
    let typed = match kind {
        None if memory.kind == Kind::Nothing => abi::consts::MPI_BYTE.into(),
        _ => typed(py, given, &memory)?,
    };
    let datatype = typed.raw;
    let mut addr = memory.addr;
    if displ != 0 {
        addr = place(py, &memory, displ, datatype)?;
    }
    let count = match count {
        Some(count) if count < 0 => return Err(PyValueError::new_err(format!("message: negative count {count}"))),
        Some(count) => {
            extent::check(py, &memory, displ, count.saturating_mul(Count::from(blocks.max(1))), &typed)?;
            count
        }
        None => {
            if datatype == abi::consts::MPI_DATATYPE_NULL {
                return Err(PyValueError::new_err("message: cannot infer the count, the datatype is null"));
            }
            per_block(extent::elements(py, &memory, datatype)? - displ, blocks)?
        }
    };
    Ok(Msg { addr, count, datatype, keep: typed.keep(memory.keep) })
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
fn place(py: Python<'_>, memory: &Memory, displ: Count, datatype: abi::Datatype) -> PyResult<*mut std::ffi::c_void> {
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
