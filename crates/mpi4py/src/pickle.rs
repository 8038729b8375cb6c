//! `MPI.Pickle`, and objects as messages: what `send` and the other lower-case methods put on the wire.
//!
//! A message is the pickle itself. Only when the object has big buffers (arrays of at least
//! `THRESHOLD` bytes, which protocol 5 keeps out of the pickle) it starts with [`MAGIC`], a table of
//! sizes, the pickle, and then the buffers, each at a multiple of [`ALIGN`]. The sender describes
//! these pieces with a derived datatype, nothing is copied together; the receiver sees bytes whose
//! number the matched probe tells, and arrays are views of the one block it receives into.
//!
//! The Python module `pickle` costs 14 ms to import, so only its core `_pickle` is, at first use.

use crate::buffer::object::Buffer;
use crate::buffer::{Access, View};
use crate::call::mpi;
use mpi_abi as abi;
use mpi_abi::Count;
use mpi_abi::consts::{MPI_BYTE, MPI_DATATYPE_NULL};
use pyo3::exceptions::{PyEOFError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyMemoryView, PySlice, PyTuple};
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// First bytes of a message with buffers; no pickle starts like this, and no text.
const MAGIC: [u8; 16] = *b"\xf7oxmpi-object-1\0";
/// Where pieces of a message with buffers start.
const ALIGN: usize = 64;
/// Blocks from this size on are received into a `bytearray`, of which arrays can be views.
const VIEWED: usize = 32 << 10;
/// `THRESHOLD` where nothing else is said.
const DEFAULT_THRESHOLD: usize = 256 << 10;

/// The functions of `_pickle`, and its highest protocol.
struct Core {
    dumps: Py<PyAny>,
    loads: Py<PyAny>,
}

static CORE: PyOnceLock<Core> = PyOnceLock::new();

fn core(py: Python<'_>) -> PyResult<&Core> {
    CORE.get_or_try_init(py, || {
        let module = py.import("_pickle").or_else(|_| py.import("pickle"))?;
        Ok(Core { dumps: module.getattr("dumps")?.unbind(), loads: module.getattr("loads")?.unbind() })
    })
}

/// The highest protocol of all Python versions that this extension runs on.
const HIGHEST: c_int = 5;

/// A number in the environment, or none.
fn number(py: Python<'_>, name: &str) -> Option<i64> {
    let _ = py;
    std::env::var(name).ok()?.trim().parse().ok()
}

#[derive(Default)]
struct State {
    dumps: Option<Py<PyAny>>,
    loads: Option<Py<PyAny>>,
    protocol: Option<Py<PyAny>>,
    threshold: usize,
}

/// Pickle and unpickle Python objects.
#[pyclass(module = "mpi4py.MPI", frozen, subclass, weakref)]
pub(crate) struct Pickle {
    state: Mutex<State>,
}

impl Pickle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The functions and numbers of now.
    fn snapshot(&self, py: Python<'_>) -> State {
        let state = self.state();
        State {
            dumps: state.dumps.as_ref().map(|f| f.clone_ref(py)),
            loads: state.loads.as_ref().map(|f| f.clone_ref(py)),
            protocol: state.protocol.as_ref().map(|f| f.clone_ref(py)),
            threshold: state.threshold,
        }
    }

    fn set_up(&self, py: Python<'_>, new: Arguments<'_, '_>) -> PyResult<()> {
        let given = |object: Option<&Bound<'_, PyAny>>| object.filter(|o| !o.is_none()).map(|o| o.clone().unbind());
        let dumps = given(new.dumps);
        let protocol = match given(new.protocol) {
            None if dumps.is_none() => Some(default_protocol(py)?),
            protocol => protocol,
        };
        let threshold = match new.threshold.filter(|o| !o.is_none()) {
            Some(threshold) => threshold.extract()?,
            None => default_threshold(py),
        };
        let new = State { dumps, loads: given(new.loads), protocol, threshold };
        let old = std::mem::replace(&mut *self.state(), new);
        drop(old);
        Ok(())
    }
}

struct Arguments<'a, 'py> {
    dumps: Option<&'a Bound<'py, PyAny>>,
    loads: Option<&'a Bound<'py, PyAny>>,
    protocol: Option<&'a Bound<'py, PyAny>>,
    threshold: Option<&'a Bound<'py, PyAny>>,
}

fn default_protocol(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let protocol = number(py, "MPI4PY_PICKLE_PROTOCOL").unwrap_or(i64::from(HIGHEST));
    Ok(protocol.into_pyobject(py)?.into_any().unbind())
}

fn default_threshold(py: Python<'_>) -> usize {
    number(py, "MPI4PY_PICKLE_THRESHOLD").and_then(|n| usize::try_from(n).ok()).unwrap_or(DEFAULT_THRESHOLD)
}

#[pymethods]
impl Pickle {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        let _ = (args, kwargs);
        Self { state: Mutex::default() }
    }

    #[pyo3(signature = (dumps = None, loads = None, protocol = None, threshold = None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        dumps: Option<&Bound<'_, PyAny>>,
        loads: Option<&Bound<'_, PyAny>>,
        protocol: Option<&Bound<'_, PyAny>>,
        threshold: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        slf.get().set_up(slf.py(), Arguments { dumps, loads, protocol, threshold })
    }

    /// dumps(self, obj: Any) -> bytes
    ///
    /// Pickle an object.
    fn dumps<'py>(&self, obj: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        in_band(&self.snapshot(obj.py()), obj)
    }

    /// loads(self, data: Buffer) -> Any
    ///
    /// Make the object of a pickle.
    fn loads<'py>(&self, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = data.py();
        match self.snapshot(py).loads {
            Some(loads) => loads.bind(py).call1((data,)),
            None => core(py)?.loads.bind(py).call1((data,)),
        }
    }

    /// dumps_oob(self, obj: Any) -> tuple[bytes, list[buffer]]
    ///
    /// Pickle an object and leave its big buffers apart.
    fn dumps_oob<'py>(&self, obj: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyList>)> {
        let py = obj.py();
        let state = self.snapshot(py);
        let collector = Bound::new(py, Collector::default())?;
        collector.get().start(state.threshold);
        let kwargs = PyDict::new(py);
        kwargs.set_item("buffer_callback", &collector)?;
        let dumps = match &state.dumps {
            Some(dumps) => dumps.bind(py).clone(),
            None => core(py)?.dumps.bind(py).clone(),
        };
        let protocol = match &state.protocol {
            Some(protocol) => protocol.bind(py).extract::<i64>().map_or(5, |p| if p < 0 { p } else { p.max(5) }),
            None => 5,
        };
        let stream = dumps.call((obj, protocol), Some(&kwargs))?;
        let buffers = PyList::empty(py);
        for view in collector.get().take() {
            let buffer = Buffer::at(
                view.addr(),
                view.nbytes(),
                view.readonly(),
                Some(Py::new(py, Held { _view: view })?.into_any()),
            );
            buffers.append(Py::new(py, buffer)?)?;
        }
        Ok((stream, buffers))
    }

    /// loads_oob(self, data: Buffer, buffers: Iterable[Buffer]) -> Any
    ///
    /// Make the object of a pickle whose buffers are apart.
    fn loads_oob<'py>(&self, data: &Bound<'py, PyAny>, buffers: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = data.py();
        let kwargs = PyDict::new(py);
        kwargs.set_item("buffers", buffers)?;
        match self.snapshot(py).loads {
            Some(loads) => loads.bind(py).call((data,), Some(&kwargs)),
            None => core(py)?.loads.bind(py).call((data,), Some(&kwargs)),
        }
    }

    /// PROTOCOL: int | None
    ///
    /// Version of the pickle format.
    #[getter(PROTOCOL)]
    fn protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state().protocol.as_ref().map(|protocol| protocol.clone_ref(py))
    }

    #[setter(PROTOCOL)]
    fn set_protocol(&self, py: Python<'_>, protocol: Option<Py<PyAny>>) -> PyResult<()> {
        let standard = default_protocol(py)?;
        let mut state = self.state();
        state.protocol = if protocol.is_none() && state.dumps.is_none() { Some(standard) } else { protocol };
        Ok(())
    }

    /// THRESHOLD: int
    ///
    /// Buffers of at least this many bytes are kept out of the pickle.
    #[getter(THRESHOLD)]
    fn threshold(&self) -> usize {
        self.state().threshold
    }

    #[setter(THRESHOLD)]
    fn set_threshold(&self, py: Python<'_>, threshold: Option<usize>) {
        self.state().threshold = threshold.unwrap_or_else(|| default_threshold(py));
    }
}

/// An export of the buffer protocol as an object, for buffers handed out by `dumps_oob`.
#[pyclass(frozen)]
struct Held {
    _view: View,
}

/// The pickle with everything in it.
fn in_band<'py>(state: &State, object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let dumps = match &state.dumps {
        Some(dumps) => dumps.bind(py),
        None => core(py)?.dumps.bind(py),
    };
    match &state.protocol {
        Some(protocol) => dumps.call1((object, protocol)),
        None => dumps.call1((object,)),
    }
}

/// The `buffer_callback` of `dumps`: keeps the big buffers, leaves the others in the pickle.
#[pyclass(frozen)]
#[derive(Default)]
struct Collector {
    found: Mutex<(usize, Vec<View>)>,
}

impl Collector {
    fn start(&self, threshold: usize) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0 = threshold;
    }

    fn take(&self) -> Vec<View> {
        std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner).1)
    }
}

#[pymethods]
impl Collector {
    /// Whether the buffer stays in the pickle.
    fn __call__(&self, buffer: &Bound<'_, PyAny>) -> PyResult<bool> {
        // In one piece or not at all: `pickle` says what is wrong with the others.
        let Ok(view) = View::get(buffer, Access::Read) else {
            return Ok(true);
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if view.nbytes().cast_unsigned() < found.0 {
            return Ok(true);
        }
        found.1.push(view);
        Ok(false)
    }
}

/// Collectors that are not in use, each with the keywords that hand it to `dumps`.
static COLLECTORS: Mutex<Vec<(Py<Collector>, Py<PyDict>)>> = Mutex::new(Vec::new());

/// The instance `MPI.pickle`, which all communication uses.
static INSTANCE: PyOnceLock<Py<Pickle>> = PyOnceLock::new();

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add_class::<Pickle>()?;
    let instance = module.getattr("Pickle")?.call0()?.cast_into::<Pickle>()?;
    module.add("pickle", &instance)?;
    let _ = INSTANCE.set(py, instance.unbind());
    Ok(())
}

fn instance(py: Python<'_>) -> PyResult<&Pickle> {
    INSTANCE.get(py).map(|p| p.get()).ok_or_else(|| PyValueError::new_err("mpi4py.MPI is not ready"))
}

/// An object ready to be sent.
pub(crate) struct Encoded {
    /// The pickle; what it is in keeps its memory.
    stream: Memory,
    parts: Option<Parts>,
}

enum Memory {
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
        if self.datatype != MPI_BYTE && crate::init::is_active() {
            // SAFETY: a datatype that `Encoded::wire` made. What is under way with it goes on.
            unsafe { abi::ffi::MPI_Type_free(&raw mut self.datatype) };
        }
    }
}

/// Pickles an object.
pub(crate) fn encode(object: &Bound<'_, PyAny>) -> PyResult<Encoded> {
    let py = object.py();
    let pickle = instance(py)?;
    let (plain, threshold) = {
        let state = pickle.state();
        let five = |p: &Py<PyAny>| p.bind(py).extract::<c_int>().is_ok_and(|p| p >= 5);
        (state.dumps.is_none() && state.loads.is_none() && state.protocol.as_ref().is_some_and(five), state.threshold)
    };
    if !plain || is_simple(object) {
        let stream = if plain {
            core(py)?.dumps.bind(py).call1((object, HIGHEST))?
        } else {
            in_band(&pickle.snapshot(py), object)?
        };
        return Ok(Encoded { stream: Memory::of(stream)?, parts: None });
    }
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
    let stream = core(py)?.dumps.bind(py).call((object, HIGHEST), Some(kwargs.bind(py)));
    let views = collector.get().take();
    COLLECTORS.lock().unwrap_or_else(PoisonError::into_inner).push((collector, kwargs));
    let stream = Memory::of(stream?)?;
    let parts = if views.is_empty() { None } else { Some(Parts::new(&stream, views)) };
    Ok(Encoded { stream, parts })
}

/// Objects that have no buffers: no need to look for them.
fn is_simple(object: &Bound<'_, PyAny>) -> bool {
    use pyo3::types::{PyBool, PyFloat, PyInt, PyString};
    object.is_none()
        || object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<PyBool>()
        || object.is_exact_instance_of::<PyBytes>()
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

    pub(crate) fn wire(&self, py: Python<'_>) -> PyResult<Wire> {
        match &self.parts {
            None => {
                let (addr, length) = self.stream.span();
                Ok(Wire { addr, count: length as Count, datatype: MPI_BYTE })
            }
            Some(parts) => wire_of(py, &parts.pieces),
        }
    }
}

/// One message of several pieces of memory.
pub(crate) fn wire_of(py: Python<'_>, pieces: &[(usize, Count)]) -> PyResult<Wire> {
    let lengths: Vec<Count> = pieces.iter().map(|&(_, length)| length).collect();
    let places: Vec<Count> = pieces.iter().map(|&(addr, _)| addr as Count).collect();
    let (count, mut datatype) = (pieces.len() as Count, MPI_DATATYPE_NULL);
    mpi!(py, MPI_Type_create_hindexed_c(count, lengths.as_ptr(), places.as_ptr(), MPI_BYTE, &raw mut datatype))?;
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
        // SAFETY: with a null pointer these make an object with memory that is not filled; the null
        // that they return for lack of memory becomes the pending MemoryError.
        unsafe {
            let object = if size < VIEWED {
                ffi::PyBytes_FromStringAndSize(std::ptr::null(), length)
            } else {
                ffi::PyByteArray_FromStringAndSize(std::ptr::null(), length)
            };
            let object = Bound::from_owned_ptr_or_err(py, object)?;
            let addr = if size < VIEWED {
                ffi::PyBytes_AsString(object.as_ptr())
            } else {
                ffi::PyByteArray_AsString(object.as_ptr())
            };
            Ok(Self { object: object.unbind(), addr: addr.addr(), size })
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
    let data = part(0, bytes.len())?;
    let custom = instance(py)?.state().loads.as_ref().map(|loads| loads.clone_ref(py));
    let loads = match &custom {
        Some(loads) => loads.bind(py),
        None => core(py)?.loads.bind(py),
    };
    match loads.call1((data,)) {
        Ok(object) => Ok(object.unbind()),
        Err(error) if custom.is_none() && bytes.first() != Some(&0x80) => Err(explain(py, error, bytes.len(), whose)),
        Err(error) => Err(error),
    }
}

/// A message that is no pickle.
fn explain(py: Python<'_>, error: PyErr, size: usize, whose: Origin) -> PyErr {
    let class = py.import("_pickle").and_then(|module| module.getattr("UnpicklingError"));
    let Ok(class) = class else { return error };
    if !error.is_instance(py, &class)
        && !error.is_instance_of::<PyEOFError>(py)
        && !error.is_instance_of::<PyValueError>(py)
    {
        return error;
    }
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
        if bytes.len() < VIEWED {
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
