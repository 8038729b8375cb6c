//! What is on the wire: objects to be sent as pieces of memory, memory to receive into, and back.
//! See `mod.rs` for the format.

use super::read::read;
use super::write::{Refused, Stream, write};
use super::{COLLECTORS, Collector, call, core, in_band, instance};
use crate::buffer::object::Buffer;
use crate::buffer::{Access, View};
use crate::call::{mpi, object_type};
use mpi_abi as abi;
use mpi_abi::Count;
use mpi_abi::consts::MPI_DATATYPE_NULL;
use pyo3::exceptions::{PyEOFError, PyMemoryError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyMemoryView, PySlice};
use std::ffi::{c_int, c_void};
use std::sync::PoisonError;

/// First bytes of a message with buffers; no pickle starts like this, and no text.
const MAGIC: [u8; 16] = *b"\xf7oxmpi-object-1\0";
/// Where pieces of a message with buffers start.
const ALIGN: usize = 64;
/// Blocks from this size on are received into memory of a pool, of which arrays can be views.
const VIEWED: usize = 32 << 10;
/// A smaller array, and smaller than this part of its block, gets memory of its own: who keeps it and throws the others
/// away does not keep them all.
const OWN: usize = 256 << 10;
const OWN_PART: usize = 4;
/// An object ready to be sent.
pub(crate) struct Encoded {
    /// The pickle; what it is in keeps its memory.
    stream: Memory,
    parts: Option<Parts>,
}

enum Memory {
    Plain(Stream),
    Bytes(Py<PyBytes>),
    View(View),
    None,
}

/// The pieces of a message with buffers.
struct Parts {
    pieces: Vec<(usize, Count)>,
    total: Count,
    _head: Vec<u8>,
    _views: Vec<View>,
}

impl Memory {
    fn of(stream: Bound<'_, PyAny>) -> PyResult<Self> {
        match stream.cast_into::<PyBytes>() {
            Ok(bytes) => Ok(Self::Bytes(bytes.unbind())),
            Err(error) => Ok(Self::View(View::get(&error.into_inner(), Access::Read)?)),
        }
    }

    fn span(&self) -> (*mut c_void, usize) {
        match self {
            Self::Plain(stream) => (stream.bytes().as_ptr().cast_mut().cast(), stream.bytes().len()),
            Self::Bytes(bytes) => {
                // SAFETY: a live bytes object; its memory does not move.
                unsafe {
                    let length = ffi::PyBytes_Size(bytes.as_ptr());
                    (ffi::PyBytes_AsString(bytes.as_ptr()).cast(), length.cast_unsigned())
                }
            }
            Self::View(view) => (view.addr(), view.nbytes().cast_unsigned()),
            Self::None => (std::ptr::null_mut(), 0),
        }
    }
}

/// What to give to an MPI function for an [`Encoded`].
pub(crate) struct Wire {
    pub(crate) addr: *mut c_void,
    pub(crate) count: Count,
    pub(crate) datatype: abi::Datatype,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if !self.datatype.is_predefined() && crate::init::is_active() {
            // SAFETY: a datatype that `Encoded::wire` made. What is under way with it goes on.
            unsafe { abi::ffi::MPI_Type_free(&raw mut self.datatype) };
        }
    }
}

/// Pickles an object.
pub(crate) fn encode(object: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    let py = object.py();
    let pickle = instance(py)?;
    if !pickle.is_standard() {
        let stream = in_band(&pickle.snapshot(py), object)?;
        return Ok(Encoded { stream: Memory::of(stream)?, parts: None });
    }
    // SAFETY: a live object of an interpreter that is held.
    let refused = match unsafe { write(object.as_ptr()) } {
        Ok(stream) => return Ok(Encoded { stream: Memory::Plain(stream), parts: None }),
        Err(refused) => refused,
    };
    if refused == Refused::Shape && has_no_buffers(object) {
        let stream = call(core(py)?.dumps.bind(py), object, Some(core(py)?.highest.bind(py)))?;
        return Ok(Encoded { stream: Memory::of(stream)?, parts: None });
    }
    let threshold = pickle.apart();
    let pooled = COLLECTORS.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let (collector, kwargs) = match pooled {
        Some(pair) => pair,
        None => {
            let collector = Py::new(py, Collector::default())?;
            let kwargs = PyDict::new(py);
            kwargs.set_item("buffer_callback", &collector)?;
            (collector, kwargs.unbind())
        }
    };
    collector.get().start(threshold);
    let stream = core(py)?.dumps.bind(py).call((object, &core(py)?.highest), Some(kwargs.bind(py)));
    let views = collector.get().take();
    COLLECTORS.lock().unwrap_or_else(PoisonError::into_inner).push((collector, kwargs));
    let stream = Memory::of(stream?)?;
    let parts = if views.is_empty() { None } else { Some(Parts::new(&stream, views)) };
    Ok(Encoded { stream, parts })
}

/// The types of objects that have no buffers, and of containers that are looked into.
struct Types {
    simple: [*mut ffi::PyTypeObject; 6],
    list: *mut ffi::PyTypeObject,
    tuple: *mut ffi::PyTypeObject,
    dict: *mut ffi::PyTypeObject,
}

/// So many objects are looked at: asking costs a tenth of what pickling them does.
const LOOKS: u32 = 256;

impl Types {
    fn now() -> Self {
        // SAFETY: static type objects of the interpreter.
        unsafe {
            let none = ffi::Py_TYPE(ffi::Py_None());
            let (int, float) = (&raw mut ffi::PyLong_Type, &raw mut ffi::PyFloat_Type);
            let (text, bytes, boolean) =
                (&raw mut ffi::PyUnicode_Type, &raw mut ffi::PyBytes_Type, &raw mut ffi::PyBool_Type);
            Self {
                simple: [int, text, float, none, boolean, bytes],
                list: &raw mut ffi::PyList_Type,
                tuple: &raw mut ffi::PyTuple_Type,
                dict: &raw mut ffi::PyDict_Type,
            }
        }
    }

    /// Whether an object is simple or a small container of simple objects: no need to look for buffers.
    ///
    /// # Safety
    /// A live object; the interpreter is held, and nothing here runs Python code.
    unsafe fn no_buffers(&self, object: *mut ffi::PyObject, budget: &mut u32) -> bool {
        // SAFETY: the caller vouches for the object; items are borrowed from containers that live on, since
        // nothing else runs; indices are below the sizes.
        unsafe {
            let kind = ffi::Py_TYPE(object);
            if self.simple.contains(&kind) {
                return true;
            }
            let mut enough = |length: isize| {
                let rest = u32::try_from(length).ok().and_then(|length| budget.checked_sub(length));
                *budget = rest.unwrap_or(0);
                rest.is_some()
            };
            if kind == self.list || kind == self.tuple {
                let (length, item): (_, unsafe extern "C" fn(_, _) -> _) = if kind == self.list {
                    (ffi::PyList_Size(object), ffi::PyList_GetItem)
                } else {
                    (ffi::PyTuple_Size(object), ffi::PyTuple_GetItem)
                };
                // Mostly all are of one type.
                let mut known = std::ptr::null_mut();
                enough(length)
                    && (0..length).all(|i| {
                        let item = item(object, i);
                        let kind = ffi::Py_TYPE(item);
                        if kind == known {
                            return true;
                        }
                        known = if self.simple.contains(&kind) { kind } else { known };
                        self.no_buffers(item, budget)
                    })
            } else if kind == self.dict {
                let (mut at, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
                if !enough(2 * ffi::PyDict_Size(object)) {
                    return false;
                }
                while ffi::PyDict_Next(object, &raw mut at, &raw mut key, &raw mut value) != 0 {
                    if !self.no_buffers(key, budget) || !self.no_buffers(value, budget) {
                        return false;
                    }
                }
                true
            } else {
                false
            }
        }
    }
}

fn has_no_buffers(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object of an interpreter that is held.
    unsafe { Types::now().no_buffers(object.as_ptr(), &mut { LOOKS }) }
}

static PADDING: [u8; ALIGN] = [0; ALIGN];

impl Parts {
    fn new(stream: &Memory, views: Vec<View>) -> Self {
        let (addr, length) = stream.span();
        let mut head = Vec::with_capacity(ALIGN + 8 * views.len());
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&(views.len() as u64).to_le_bytes());
        head.extend_from_slice(&(length as u64).to_le_bytes());
        for view in &views {
            head.extend_from_slice(&(view.nbytes() as u64).to_le_bytes());
        }
        head.resize(head.len().next_multiple_of(ALIGN), 0);
        let mut pieces = vec![(head.as_ptr().addr(), head.len() as Count)];
        let mut total = head.len();
        let spans = std::iter::once((addr, length));
        for (addr, length) in spans.chain(views.iter().map(|view| (view.addr(), view.nbytes().cast_unsigned()))) {
            if length > 0 {
                pieces.push((addr.addr(), length as Count));
            }
            let padding = length.next_multiple_of(ALIGN) - length;
            if padding > 0 {
                pieces.push((PADDING.as_ptr().addr(), padding as Count));
            }
            total += length + padding;
        }
        Self { pieces, total: total as Count, _head: head, _views: views }
    }
}

impl Encoded {
    /// Nothing, for `PROC_NULL` and for ranks that contribute nothing.
    pub(crate) const fn nothing() -> Self {
        Self { stream: Memory::None, parts: None }
    }

    /// Bytes on the wire.
    pub(crate) fn size(&self) -> Count {
        self.parts.as_ref().map_or_else(|| self.stream.span().1 as Count, |parts| parts.total)
    }

    /// The bytes, if they are in one piece.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        if self.parts.is_some() {
            return None;
        }
        let (addr, length) = self.stream.span();
        if length == 0 {
            return Some(&[]);
        }
        // SAFETY: memory of an object that `self` keeps, readable for its length; pickles do not change.
        Some(unsafe { std::slice::from_raw_parts(addr.cast(), length) })
    }

    /// The pieces: address and length.
    pub(crate) fn pieces(&self) -> Vec<(usize, Count)> {
        match &self.parts {
            Some(parts) => parts.pieces.clone(),
            None => {
                let (addr, length) = self.stream.span();
                vec![(addr.addr(), length as Count)]
            }
        }
    }

    /// A copy in one piece, in memory for receiving.
    pub(crate) fn copy(&self, py: Python<'_>) -> PyResult<Block> {
        let block = Block::new(py, self.size())?;
        self.copy_to(block.addr().cast());
        Ok(block)
    }

    /// Copies all pieces to where there is room for them.
    pub(crate) fn copy_to(&self, mut to: *mut u8) {
        for (addr, length) in self.pieces() {
            let length = usize::try_from(length).unwrap_or(0);
            // SAFETY: the caller made room for `size` bytes; the pieces are memory that `self` keeps.
            unsafe { std::ptr::copy_nonoverlapping(std::ptr::with_exposed_provenance(addr), to, length) };
            to = to.wrapping_add(length);
        }
    }

    /// For a message to another process.
    pub(crate) fn wire(&self, py: Python<'_>) -> PyResult<Wire> {
        self.wire_as(py, object_type())
    }

    /// As bytes of a datatype: MPI_BYTE in collectives.
    pub(crate) fn wire_as(&self, py: Python<'_>, datatype: abi::Datatype) -> PyResult<Wire> {
        match &self.parts {
            None => {
                let (addr, length) = self.stream.span();
                Ok(Wire { addr, count: length as Count, datatype })
            }
            Some(parts) => wire_of(py, &parts.pieces, datatype),
        }
    }
}

/// One message of several pieces of memory.
fn wire_of(py: Python<'_>, pieces: &[(usize, Count)], of: abi::Datatype) -> PyResult<Wire> {
    let lengths: Vec<Count> = pieces.iter().map(|&(_, length)| length).collect();
    let places: Vec<Count> = pieces.iter().map(|&(addr, _)| addr as Count).collect();
    let (count, mut datatype) = (pieces.len() as Count, MPI_DATATYPE_NULL);
    mpi!(py, MPI_Type_create_hindexed_c(count, lengths.as_ptr(), places.as_ptr(), of, &raw mut datatype))?;
    let mut wire = Wire { addr: std::ptr::null_mut(), count: 1, datatype };
    mpi!(py, MPI_Type_commit(&raw mut wire.datatype))?;
    Ok(wire)
}

/// Memory to receive an object into.
pub(crate) struct Block {
    object: Py<PyAny>,
    addr: usize,
    size: usize,
}

impl Block {
    pub(crate) fn new(py: Python<'_>, size: Count) -> PyResult<Self> {
        let length = isize::try_from(size).map_err(|_| PyValueError::new_err(format!("{size} bytes are too many")))?;
        let size = length.cast_unsigned();
        if size >= VIEWED {
            let buffer = Buffer::filled_by_us(size)
                .ok_or_else(|| PyMemoryError::new_err(format!("no memory for an object of {size} bytes")))?;
            let addr = buffer.addr().expose_provenance();
            return Ok(Self { object: Py::new(py, buffer)?.into_any(), addr, size });
        }
        // SAFETY: with a null pointer this makes an object with memory that is not filled; the null
        // that it returns for lack of memory becomes the pending MemoryError.
        unsafe {
            let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), length);
            let object = Bound::from_owned_ptr_or_err(py, object)?;
            let addr = ffi::PyBytes_AsString(object.as_ptr()).expose_provenance();
            Ok(Self { object: object.unbind(), addr, size })
        }
    }

    pub(crate) fn addr(&self) -> *mut c_void {
        std::ptr::with_exposed_provenance_mut(self.addr)
    }

    pub(crate) fn count(&self) -> Count {
        self.size as Count
    }

    fn bytes(&self) -> &[u8] {
        if self.size == 0 {
            return &[];
        }
        // SAFETY: memory of the object, of this size, filled by MPI or by us; nobody else has it yet.
        unsafe { std::slice::from_raw_parts(self.addr().cast(), self.size) }
    }

    /// The object of the whole block.
    pub(crate) fn decode(&self, py: Python<'_>, whose: Origin) -> PyResult<Py<PyAny>> {
        decode(py, self.bytes(), whose, |from, to| {
            if from == 0 && to == self.size {
                return Ok(self.object.bind(py).clone());
            }
            let view = PyMemoryView::from(self.object.bind(py))?;
            view.get_item(PySlice::new(py, from.cast_signed(), to.cast_signed(), 1))
        })
    }

    /// The object of a part of the block.
    pub(crate) fn decode_part(&self, py: Python<'_>, from: usize, to: usize, whose: Origin) -> PyResult<Py<PyAny>> {
        if from == 0 && to == self.size {
            return self.decode(py, whose);
        }
        let view = PyMemoryView::from(self.object.bind(py))?;
        decode(py, &self.bytes()[from..to], whose, |start, end| {
            view.get_item(PySlice::new(py, (from + start).cast_signed(), (from + end).cast_signed(), 1))
        })
    }
}

/// Where bytes came from, for the text of errors.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    Message { source: c_int, tag: c_int },
    Collective,
}

/// The object of bytes that are not in a Python object.
pub(crate) fn decode_bytes(py: Python<'_>, bytes: &[u8], whose: Origin) -> PyResult<Py<PyAny>> {
    decode(py, bytes, whose, |from, to| Ok(PyBytes::new(py, &bytes[from..to]).into_any()))
}

/// `part` gives a piece of the bytes as a Python object.
fn decode<'py>(
    py: Python<'py>,
    bytes: &[u8],
    whose: Origin,
    part: impl Fn(usize, usize) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Py<PyAny>> {
    if bytes.starts_with(&MAGIC) {
        return decode_parts(py, bytes, part);
    }
    if bytes.is_empty() {
        return Ok(py.None());
    }
    let pickle = instance(py)?;
    if pickle.is_standard()
        && let Some(object) = read(py, bytes)
    {
        return Ok(object);
    }
    let data = part(0, bytes.len())?;
    let custom = pickle.state().loads.as_ref().map(|loads| loads.clone_ref(py));
    let loads = match &custom {
        Some(loads) => loads.bind(py),
        None => core(py)?.loads.bind(py),
    };
    match call(loads, &data, None) {
        Ok(object) => Ok(object.unbind()),
        Err(error) if custom.is_none() && !begins_like_a_pickle(bytes) => Err(explain(py, error, bytes.len(), whose)),
        Err(error) => Err(error),
    }
}

/// Whether the first bytes are those of all pickles since protocol 2, of 2003. (128 as a number begins in the same way,
/// and no protocol is 0.)
fn begins_like_a_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, ..])
}

/// A message that is no pickle.
fn explain(py: Python<'_>, error: PyErr, size: usize, whose: Origin) -> PyErr {
    let class = py.import("_pickle").and_then(|module| module.getattr("UnpicklingError"));
    let Ok(class) = class else { return error };
    let plain = error.is_instance(py, &class)
        || error.is_instance_of::<PyEOFError>(py)
        || error.is_instance_of::<PyValueError>(py);
    let text = match whose {
        Origin::Message { source, tag } => format!(
            "the message of {size} bytes from rank {source}, tag {tag}, is not a pickled object: \
             an upper-case Send needs an upper-case Recv ({})",
            error.value(py)
        ),
        Origin::Collective => format!(
            "{size} bytes of a collective operation are not a pickled object: do all ranks call the lower-case \
             method? ({})",
            error.value(py)
        ),
    };
    if !plain {
        // Any code runs while bytes are read as a pickle: the error may be what it seems.
        let _ = error.value(py).call_method1("add_note", (format!("perhaps {text}"),));
        return error;
    }
    match class.call1((text,)) {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    }
}

fn decode_parts<'py>(
    py: Python<'py>,
    bytes: &[u8],
    part: impl Fn(usize, usize) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let damaged =
        || PyValueError::new_err(format!("the message of {} bytes with an object in it is damaged", bytes.len()));
    let number = |at: usize| -> PyResult<usize> {
        let word = bytes.get(at..at + 8).ok_or_else(damaged)?;
        let mut value = [0; 8];
        value.copy_from_slice(word);
        usize::try_from(u64::from_le_bytes(value)).map_err(|_| damaged())
    };
    let count = number(16)?;
    if count > bytes.len() / 8 {
        return Err(damaged());
    }
    let mut at = (MAGIC.len() + 16 + 8 * count).next_multiple_of(ALIGN);
    let mut span = |length: usize| -> PyResult<(usize, usize)> {
        let end = at.checked_add(length).filter(|&end| end <= bytes.len()).ok_or_else(damaged)?;
        let from = std::mem::replace(&mut at, end.next_multiple_of(ALIGN));
        Ok((from, end))
    };
    let (from, to) = span(number(24)?)?;
    let stream = part(from, to)?;
    let buffers = PyList::empty(py);
    for index in 0..count {
        let (from, to) = span(number(32 + 8 * index)?)?;
        let length = to - from;
        if bytes.len() < VIEWED || (length < OWN && length < bytes.len() / OWN_PART) {
            buffers.append(PyByteArray::new(py, &bytes[from..to]))?;
        } else {
            let view = part(from, to)?;
            buffers.append(view)?;
        }
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item("buffers", buffers)?;
    Ok(core(py)?.loads.bind(py).call((stream,), Some(&kwargs))?.unbind())
}
