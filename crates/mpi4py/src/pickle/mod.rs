//! `MPI.Pickle`, and objects as messages: what `send` and the other lower-case methods put on the wire.
//!
//! A message is the pickle itself. Only when the object has big buffers (arrays of at least
//! [`APART`] bytes, which protocol 5 keeps out of the pickle) it starts with a sign of 16 bytes, a table of
//! sizes, the pickle, and then the buffers, each at a multiple of 64. The sender describes
//! these pieces with a derived datatype, nothing is copied together; the receiver sees bytes whose
//! number the matched probe tells, and arrays are views of the one block it receives into.
//!
//! A plain object (numbers, text, tuples, lists, dicts) is pickled by `write` and made again by `read`; for these
//! two, setting up Python's pickler and taking it down would be most of the time. Everything else is `_pickle`'s.
//!
//! The Python module `pickle` costs 14 ms to import, so only its core `_pickle` is, at first use.

mod opcodes;
mod read;
mod shared;
mod wire;
mod write;

pub(crate) use wire::{Block, Encoded, Origin, decode_bytes, encode};

use crate::buffer::object::Buffer;
use crate::buffer::{Access, View};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple};
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `THRESHOLD` where nothing else is said.
const DEFAULT_THRESHOLD: isize = 256 << 10;
/// The same for messages: there is less to pay for a piece than in a message of its own, which `THRESHOLD` is made for.
/// Half a round trip of an array, in the pickle and beside it: 16 KiB 13.1 and 13.1 us, 32 KiB 14.9 and 14.5,
/// 128 KiB 27 and 22, 512 KiB 350 and 34.
const APART: isize = 32 << 10;

/// The functions of `_pickle`, and its highest protocol.
struct Core {
    dumps: Py<PyAny>,
    loads: Py<PyAny>,
    highest: Py<PyAny>,
}

static CORE: PyOnceLock<Core> = PyOnceLock::new();

fn core(py: Python<'_>) -> PyResult<&Core> {
    CORE.get_or_try_init(py, || {
        let module = py.import("_pickle").or_else(|_| py.import("pickle"))?;
        Ok(Core {
            dumps: module.getattr("dumps")?.unbind(),
            loads: module.getattr("loads")?.unbind(),
            highest: HIGHEST.into_pyobject(py)?.into_any().unbind(),
        })
    })
}

/// Calls a function with one or two arguments, without a tuple for them.
fn call<'py>(
    function: &Bound<'py, PyAny>,
    first: &Bound<'py, PyAny>,
    second: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let second = second.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: live objects; the list of arguments ends at the first null.
    unsafe {
        let end = std::ptr::null_mut::<ffi::PyObject>();
        let result = ffi::PyObject_CallFunctionObjArgs(function.as_ptr(), first.as_ptr(), second, end);
        Bound::from_owned_ptr_or_err(function.py(), result)
    }
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
    threshold: isize,
}

impl State {
    /// Everything is as at the start: what is on the wire is ours to choose.
    fn is_standard(&self, py: Python<'_>) -> bool {
        self.dumps.is_none() && self.loads.is_none() && is_highest(py, self.protocol.as_ref())
    }
}

/// Pickle and unpickle Python objects.
#[pyclass(module = "mpi4py.MPI", frozen, subclass, weakref)]
pub(crate) struct Pickle {
    state: Mutex<State>,
    /// `State::is_standard`: plain objects are written and read here, buffers are looked for.
    standard: AtomicBool,
}

impl Pickle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Buffers of at least this many bytes are pieces of a message of their own.
    fn apart(&self) -> isize {
        match self.state().threshold {
            DEFAULT_THRESHOLD => APART,
            chosen => chosen,
        }
    }

    fn is_standard(&self) -> bool {
        self.standard.load(Ordering::Relaxed)
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
        self.standard.store(new.is_standard(py), Ordering::Relaxed);
        let old = std::mem::replace(&mut *self.state(), new);
        drop(old);
        Ok(())
    }
}

fn is_highest(py: Python<'_>, protocol: Option<&Py<PyAny>>) -> bool {
    protocol.is_some_and(|p| p.bind(py).extract::<c_int>().is_ok_and(|p| p == HIGHEST))
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

fn default_threshold(py: Python<'_>) -> isize {
    number(py, "MPI4PY_PICKLE_THRESHOLD").and_then(|n| isize::try_from(n).ok()).unwrap_or(DEFAULT_THRESHOLD)
}

#[pymethods]
impl Pickle {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        let _ = (args, kwargs);
        Self { state: Mutex::default(), standard: AtomicBool::new(false) }
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
        self.standard.store(state.is_standard(py), Ordering::Relaxed);
        Ok(())
    }

    /// THRESHOLD: int
    ///
    /// Buffers of at least this many bytes are kept out of the pickle.
    ///
    /// While it is 256 KiB, the default, messages keep out those of 32 KiB already.
    #[getter(THRESHOLD)]
    fn threshold(&self) -> isize {
        self.state().threshold
    }

    #[setter(THRESHOLD)]
    fn set_threshold(&self, py: Python<'_>, threshold: Option<isize>) {
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
    found: Mutex<(isize, Vec<View>)>,
}

impl Collector {
    fn start(&self, threshold: isize) {
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
        if view.nbytes() < found.0 {
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
    INSTANCE.get(py).map(pyo3::Py::get).ok_or_else(|| PyValueError::new_err("mpi4py.MPI is not ready"))
}
