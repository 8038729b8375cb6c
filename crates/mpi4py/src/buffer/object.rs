//! The class `MPI.buffer`: memory as a sequence of bytes, of another object or at an address.
//!
//! After `release` the object stands for nothing; memory that somebody still views through the
//! buffer protocol is kept until the last view is gone.

use super::acquire::{Access, Kind, anywhere};
use super::pool::Chunk;
use super::{Keep, cai, dlpack};
use pyo3::exceptions::{PyBufferError, PyIndexError, PyNotImplementedError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PySlice};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffer object.
#[pyclass(module = "mpi4py.MPI", name = "buffer", frozen, weakref)]
pub(crate) struct Buffer {
    state: Mutex<State>,
}

struct State {
    addr: *mut c_void,
    nbytes: isize,
    readonly: bool,
    /// Not memory of the processor but of this device: only its address may be used.
    device: Option<(i32, i32)>,
    object: Option<Py<PyAny>>,
    keep: Keep,
    /// Views through the buffer protocol, and what was released while there were some.
    exports: usize,
    retired: Vec<Keep>,
}

// SAFETY: the address is only followed by methods of `Buffer`, with the interpreter held.
unsafe impl Send for State {}

impl State {
    const fn empty() -> Self {
        Self {
            addr: ptr::null_mut(),
            nbytes: 0,
            readonly: false,
            device: None,
            object: None,
            keep: Keep::Nothing,
            exports: 0,
            retired: Vec::new(),
        }
    }
}

impl Buffer {
    fn with(state: State) -> Self {
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory at an address that belongs to `object`, or to nobody.
    pub(crate) fn at(addr: *mut c_void, nbytes: isize, readonly: bool, object: Option<Py<PyAny>>) -> Self {
        Self::with(State { addr, nbytes, readonly, object, ..State::empty() })
    }

    /// New memory, filled with anything; `None`: there is not so much.
    pub(crate) fn filled_by_us(nbytes: usize) -> Option<Self> {
        let chunk = Chunk::take(nbytes)?;
        let (addr, keep) = (chunk.addr(), Keep::Chunk(chunk));
        Some(Self::with(State { addr, nbytes: nbytes.cast_signed(), keep, ..State::empty() }))
    }

    /// The memory of an object.
    pub(crate) fn of(object: &Bound<'_, PyAny>, access: Access) -> PyResult<Self> {
        let memory = anywhere(object, access)?;
        Ok(Self::with(State {
            addr: memory.addr,
            nbytes: memory.nbytes,
            readonly: memory.readonly,
            device: if memory.kind == Kind::Part { device_of(object) } else { None },
            object: Some(object.clone().unbind()),
            keep: memory.keep,
            ..State::empty()
        }))
    }

    /// A part: bytes `start` to `stop`.
    fn part(slf: &Bound<'_, Self>, start: isize, stop: isize) -> Self {
        let state = slf.get().state();
        Self::with(State {
            addr: state.addr.wrapping_byte_offset(start),
            nbytes: stop - start,
            readonly: state.readonly,
            device: state.device,
            object: Some(slf.clone().into_any().unbind()),
            keep: Keep::Nothing,
            ..State::empty()
        })
    }

    pub(crate) fn addr(&self) -> *mut c_void {
        self.state().addr
    }

    /// Address, size and device, if the memory is that of one: the interpreter must not look at it.
    pub(super) fn on_device(&self) -> Option<(*mut c_void, isize, (i32, i32))> {
        let state = self.state();
        state.device.map(|device| (state.addr, state.nbytes, device))
    }

    /// Whether it must not be written to.
    pub(super) fn is_readonly(&self) -> bool {
        self.state().readonly
    }

    /// Forgets the memory.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        let keep = std::mem::take(&mut state.keep);
        if state.exports > 0 {
            state.retired.push(keep);
            let object = state.object.take();
            state.retired.extend(object.map(Keep::Object));
        }
        let exports = state.exports;
        let retired = std::mem::take(&mut state.retired);
        let old = std::mem::replace(&mut *state, State { exports, retired, ..State::empty() });
        drop(state);
        // Outside the lock: freeing an object can run any code.
        drop(old);
    }

    /// Address and size, if the processor can read the bytes.
    fn readable(&self) -> PyResult<(*mut u8, isize)> {
        let state = self.state();
        if state.device.is_some() {
            return Err(PyBufferError::new_err("the buffer's memory is on a device"));
        }
        Ok((state.addr.cast(), state.nbytes))
    }

    fn writable(&self) -> PyResult<(*mut u8, isize)> {
        if self.state().readonly {
            return Err(PyTypeError::new_err("cannot modify read-only memory"));
        }
        self.readable()
    }
}

/// The device that the object's memory belongs to.
fn device_of(object: &Bound<'_, PyAny>) -> Option<(i32, i32)> {
    match object.cast_exact::<Buffer>() {
        Ok(buffer) => buffer.get().state().device,
        Err(_) => dlpack::device_of(object).or_else(|| cai::device_of(object)),
    }
}

/// An index or a slice without steps, as first and last byte.
enum Place {
    One(isize),
    Range(isize, isize),
}

impl Place {
    fn find(item: &Bound<'_, PyAny>, nbytes: isize) -> PyResult<Self> {
        if let Ok(slice) = item.cast::<PySlice>() {
            let slice = slice.indices(nbytes)?;
            if slice.step != 1 {
                return Err(PyIndexError::new_err("slice with step not supported"));
            }
            return Ok(Self::Range(slice.start, slice.stop.max(slice.start)));
        }
        let index: isize = crate::args::aint(item)?;
        let index = if index < 0 { index + nbytes } else { index };
        if (0..nbytes).contains(&index) {
            Ok(Self::One(index))
        } else {
            Err(PyIndexError::new_err("index out of range"))
        }
    }
}

#[pymethods]
impl Buffer {
    #[new]
    #[pyo3(signature = (buf = Given(None), /))]
    fn new(buf: Given<'_, '_>) -> PyResult<Self> {
        match buf.0 {
            None => Ok(Self::with(State::empty())),
            Some(object) => Self::of(&object, Access::Read),
        }
    }

    /// allocate(nbytes: int, clear: bool = False) -> buffer
    ///
    /// Make a buffer of new memory, filled with zeros if asked for.
    #[staticmethod]
    #[pyo3(signature = (nbytes, clear = false))]
    fn allocate(py: Python<'_>, nbytes: isize, clear: bool) -> PyResult<Self> {
        if nbytes < 0 {
            return Err(PyValueError::new_err(format!("expecting a non-negative number of bytes, not {nbytes}")));
        }
        // SAFETY: without source bytes this makes an array of uninitialised bytes; NULL is an error.
        let object = unsafe {
            let object = ffi::PyByteArray_FromStringAndSize(ptr::null(), nbytes);
            Bound::from_owned_ptr_or_err(py, object)?.cast_into::<PyByteArray>()?
        };
        let buffer = Self::of(&object, Access::Write)?;
        if clear {
            let (addr, nbytes) = buffer.readable()?;
            // SAFETY: the array has that many bytes, and nobody else knows it yet.
            unsafe { ptr::write_bytes(addr, 0, nbytes.cast_unsigned()) };
        }
        Ok(buffer)
    }

    /// frombuffer(obj: Buffer, readonly: bool = False) -> buffer
    ///
    /// Make a buffer from an object that has the buffer interface.
    #[staticmethod]
    #[pyo3(signature = (obj, readonly = false))]
    fn frombuffer(obj: &Bound<'_, PyAny>, readonly: bool) -> PyResult<Self> {
        let buffer = Self::of(obj, if readonly { Access::Read } else { Access::Write })?;
        buffer.state().readonly |= readonly;
        Ok(buffer)
    }

    /// fromaddress(address: int, nbytes: int, readonly: bool = False) -> buffer
    ///
    /// Make a buffer from an address and a size.
    ///
    /// Nothing keeps the memory in place: that is up to the caller.
    #[staticmethod]
    #[pyo3(signature = (address, nbytes, readonly = false))]
    fn fromaddress(address: usize, nbytes: isize, readonly: bool) -> PyResult<Self> {
        if nbytes < 0 {
            return Err(PyValueError::new_err(format!("expecting a non-negative number of bytes, not {nbytes}")));
        }
        if address == 0 && nbytes > 0 {
            return Err(PyValueError::new_err(format!("expecting an address that is not null for {nbytes} bytes")));
        }
        Ok(Self::at(ptr::with_exposed_provenance_mut(address), nbytes, readonly, None))
    }

    /// address: int
    ///
    /// Address of the first byte.
    #[getter]
    fn address(&self) -> usize {
        self.state().addr.expose_provenance()
    }

    /// obj: Buffer | None
    ///
    /// Object that the memory belongs to.
    #[getter]
    fn obj(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state().object.as_ref().map(|object| object.clone_ref(py))
    }

    /// nbytes: int
    ///
    /// Size in bytes.
    #[getter]
    fn nbytes(&self) -> isize {
        self.state().nbytes
    }

    /// readonly: bool
    ///
    /// Whether the bytes must not be written to.
    #[getter]
    fn readonly(&self) -> bool {
        self.state().readonly
    }

    /// format: str
    ///
    /// Format of an element.
    #[getter]
    fn format(&self) -> &'static str {
        "B"
    }

    /// itemsize: int
    ///
    /// Size of an element.
    #[getter]
    fn itemsize(&self) -> isize {
        1
    }

    /// cast(self, format: str, shape: list[int] | tuple[int, ...] = ...) -> memoryview
    ///
    /// View the memory with another format or shape.
    #[pyo3(signature = (format, shape = None))]
    fn cast<'py>(
        slf: &Bound<'py, Self>,
        format: &str,
        shape: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.get().readable()?;
        let view = PyMemoryView::from(slf)?;
        match shape {
            Some(shape) => view.call_method1("cast", (format, shape)),
            None => view.call_method1("cast", (format,)),
        }
    }

    /// tobytes(self, order: str | None = None) -> bytes
    ///
    /// Copy the memory into a bytes object.
    #[pyo3(signature = (order = None))]
    fn tobytes<'py>(&self, py: Python<'py>, order: Option<&str>) -> PyResult<Bound<'py, PyBytes>> {
        let _ = order; // one dimension has only one order
        let (addr, nbytes) = self.readable()?;
        if nbytes == 0 {
            return Ok(PyBytes::new(py, b""));
        }
        // SAFETY: the memory has that many bytes, and nothing else runs while the interpreter is held.
        Ok(PyBytes::new(py, unsafe { std::slice::from_raw_parts(addr, nbytes.cast_unsigned()) }))
    }

    /// toreadonly(self) -> buffer
    ///
    /// Make a read-only buffer of the same memory.
    fn toreadonly(slf: &Bound<'_, Self>) -> Self {
        let nbytes = slf.get().nbytes();
        let part = Self::part(slf, 0, nbytes);
        {
            let mut state = part.state();
            state.readonly = true;
            state.keep = Keep::Object(slf.clone().into_any().unbind());
            state.object = slf.get().obj(slf.py());
        }
        part
    }

    /// release(self) -> None
    ///
    /// Let go of the memory.
    fn release(&self) {
        self.clear();
    }

    fn __len__(&self) -> usize {
        self.state().nbytes.cast_unsigned()
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (addr, nbytes) = slf.get().readable()?;
        match Place::find(item, nbytes)? {
            // SAFETY: the index was checked against the size.
            Place::One(index) => Ok(unsafe { addr.offset(index).read() }.into_pyobject(py)?.into_any()),
            Place::Range(start, stop) => Ok(Bound::new(py, Self::part(slf, start, stop))?.into_any()),
        }
    }

    fn __setitem__(&self, item: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (addr, nbytes) = self.writable()?;
        match Place::find(item, nbytes)? {
            Place::One(index) => {
                let value: u8 = value.extract()?;
                // SAFETY: the index was checked against the size.
                unsafe { addr.offset(index).write(value) };
            }
            Place::Range(start, stop) => {
                let length = stop - start;
                if let Ok(value) = value.extract::<u8>() {
                    // SAFETY: the range was checked against the size.
                    unsafe { ptr::write_bytes(addr.wrapping_offset(start), value, length.cast_unsigned()) };
                    return Ok(());
                }
                let source = Self::of(value, Access::Read)?;
                let (from, nbytes) = source.readable()?;
                if nbytes != length {
                    return Err(PyValueError::new_err(format!(
                        "slice of {length} bytes cannot be set from {nbytes} bytes"
                    )));
                }
                // SAFETY: both ranges were checked; they may overlap.
                unsafe { ptr::copy(from, addr.wrapping_offset(start), length.cast_unsigned()) };
            }
        }
        Ok(())
    }

    fn __delitem__(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = item;
        Err(PyNotImplementedError::new_err("bytes of a buffer cannot be deleted"))
    }

    /// # Safety
    /// Called by the interpreter with a structure to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        let (addr, nbytes) = slf.get().readable()?;
        let readonly = c_int::from(slf.get().state().readonly);
        // SAFETY: the interpreter's structure; the view keeps `slf`, and `slf` keeps the memory.
        if unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), addr.cast(), nbytes, readonly, flags) } != 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        slf.get().state().exports += 1;
        Ok(())
    }

    /// # Safety
    /// Called by the interpreter with a structure that `__getbuffer__` filled.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        let mut state = self.state();
        state.exports -= 1;
        let retired = if state.exports == 0 { std::mem::take(&mut state.retired) } else { Vec::new() };
        drop(state);
        drop(retired);
    }
}

/// An argument that may be left out; `None` is a value like others.
struct Given<'a, 'py>(Option<Borrowed<'a, 'py, PyAny>>);

impl<'a, 'py> FromPyObject<'a, 'py> for Given<'a, 'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(Some(object)))
    }
}
