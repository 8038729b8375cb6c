//! `MPI.Status`: what a receive or a probe found. Chapter 3.2.5 of the standard.

use crate::buffer::object::Buffer;
use crate::call::mpi;
use crate::datatype::Datatype;
use crate::handle::H;
use mpi_abi as abi;
use mpi_abi::Count;
use mpi_abi::consts::{MPI_BYTE, MPI_F_STATUS_SIZE, MPI_STATUS_IGNORE};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView, PyType};
use std::cell::UnsafeCell;
use std::ffi::c_int;

/// Status object.
#[pyclass(module = "mpi4py.MPI", frozen, subclass, weakref)]
#[repr(C)]
pub(crate) struct Status {
    /// First, as in mpi4py's object: extensions in Cython look for it there.
    raw: Raw,
    /// The object is as large as mpi4py's: extensions that were compiled for that want it so.
    _room: u64,
}

/// The structure, changed only by whole values and only with the interpreter held.
struct Raw(UnsafeCell<abi::Status>);

// SAFETY: all access is in `Status::get` and `Status::set`, called with the interpreter held (the
// module does not run without it).
unsafe impl Sync for Raw {}

impl Status {
    pub(crate) fn with(raw: abi::Status) -> Self {
        Self { raw: Raw(UnsafeCell::new(raw)), _room: 0 }
    }

    pub(crate) fn get(&self) -> abi::Status {
        // SAFETY: see `Raw`.
        unsafe { *self.raw.0.get() }
    }

    pub(crate) fn set(&self, value: abi::Status) {
        // SAFETY: see `Raw`.
        unsafe { *self.raw.0.get() = value }
    }

    pub(crate) fn address(&self) -> usize {
        self.raw.0.get().addr()
    }

    /// The structure, for C code that was handed the object.
    pub(crate) fn pointer(&self) -> *mut abi::Status {
        self.raw.0.get()
    }

    fn change(&self, change: impl FnOnce(&mut abi::Status) -> PyResult<()>) -> PyResult<()> {
        let mut raw = self.get();
        change(&mut raw)?;
        self.set(raw);
        Ok(())
    }
}

/// The argument `status` of a call: the call writes into a copy, `store` puts it into the object.
pub(crate) struct Out<'a, 'py> {
    object: Option<&'a Bound<'py, Status>>,
    raw: abi::Status,
}

impl<'a, 'py> Out<'a, 'py> {
    #[inline]
    pub(crate) fn new(object: Option<&'a Bound<'py, Status>>) -> Self {
        let raw = object.map_or_else(abi::Status::empty, |status| status.get().get());
        Self { object, raw }
    }

    /// What to give to C: the copy, or "ignore".
    #[inline]
    pub(crate) fn pointer(&mut self) -> *mut abi::Status {
        if self.object.is_some() { &raw mut self.raw } else { MPI_STATUS_IGNORE }
    }

    #[inline]
    pub(crate) fn store(&self) {
        if let Some(object) = self.object {
            object.get().set(self.raw);
        }
    }
}

#[pymethods]
impl Status {
    #[new]
    #[pyo3(signature = (status = None))]
    fn new(status: Option<&Bound<'_, Status>>) -> Self {
        Self::with(status.map_or_else(abi::Status::empty, |other| other.get().get()))
    }

    fn __eq__(&self, other: &Bound<'_, Status>) -> bool {
        self.get() == other.get().get()
    }

    fn __ne__(&self, other: &Bound<'_, Status>) -> bool {
        self.get() != other.get().get()
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let make = py.import("copyreg")?.getattr("__newobj__")?;
        let state = slf.call_method0("__getstate__")?;
        Ok((make, (slf.get_type(),), state).into_pyobject(py)?.into_any())
    }

    fn __getstate__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = PyDict::new(py);
        state.set_item("source", self.Get_source(py)?)?;
        state.set_item("tag", self.Get_tag(py)?)?;
        state.set_item("error", self.Get_error(py)?)?;
        state.set_item("count", self.count(py)?)?;
        state.set_item("cancelled", self.Is_cancelled(py)?)?;
        Ok(state)
    }

    fn __setstate__(&self, py: Python<'_>, state: &Bound<'_, PyAny>) -> PyResult<()> {
        self.Set_source(py, state.get_item("source")?.extract()?)?;
        self.Set_tag(py, state.get_item("tag")?.extract()?)?;
        self.Set_error(py, state.get_item("error")?.extract()?)?;
        self.set_count(py, state.get_item("count")?.extract()?)?;
        self.Set_cancelled(py, state.get_item("cancelled")?.is_truthy()?)
    }

    /// Get_source(self) -> int
    ///
    /// Rank of the sender.
    fn Get_source(&self, py: Python<'_>) -> PyResult<c_int> {
        let (mut raw, mut source) = (self.get(), 0);
        mpi!(py, MPI_Status_get_source(&raw mut raw, &raw mut source))?;
        Ok(source)
    }

    /// Set_source(self, source: int) -> None
    ///
    /// Set the rank of the sender.
    fn Set_source(&self, py: Python<'_>, source: c_int) -> PyResult<()> {
        self.change(|raw| mpi!(py, MPI_Status_set_source(raw, source)))
    }

    /// source: int
    ///
    /// Rank of the sender.
    #[getter]
    fn source(&self, py: Python<'_>) -> PyResult<c_int> {
        self.Get_source(py)
    }

    #[setter]
    fn set_source(&self, py: Python<'_>, source: c_int) -> PyResult<()> {
        self.Set_source(py, source)
    }

    /// Get_tag(self) -> int
    ///
    /// Tag of the message.
    fn Get_tag(&self, py: Python<'_>) -> PyResult<c_int> {
        let (mut raw, mut tag) = (self.get(), 0);
        mpi!(py, MPI_Status_get_tag(&raw mut raw, &raw mut tag))?;
        Ok(tag)
    }

    /// Set_tag(self, tag: int) -> None
    ///
    /// Set the tag of the message.
    fn Set_tag(&self, py: Python<'_>, tag: c_int) -> PyResult<()> {
        self.change(|raw| mpi!(py, MPI_Status_set_tag(raw, tag)))
    }

    /// tag: int
    ///
    /// Tag of the message.
    #[getter]
    fn tag(&self, py: Python<'_>) -> PyResult<c_int> {
        self.Get_tag(py)
    }

    #[setter]
    fn set_tag(&self, py: Python<'_>, tag: c_int) -> PyResult<()> {
        self.Set_tag(py, tag)
    }

    /// Get_error(self) -> int
    ///
    /// Error code of the message.
    fn Get_error(&self, py: Python<'_>) -> PyResult<c_int> {
        let (mut raw, mut error) = (self.get(), 0);
        mpi!(py, MPI_Status_get_error(&raw mut raw, &raw mut error))?;
        Ok(error)
    }

    /// Set_error(self, error: int) -> None
    ///
    /// Set the error code of the message.
    fn Set_error(&self, py: Python<'_>, error: c_int) -> PyResult<()> {
        self.change(|raw| mpi!(py, MPI_Status_set_error(raw, error)))
    }

    /// error: int
    ///
    /// Error code of the message.
    #[getter]
    fn error(&self, py: Python<'_>) -> PyResult<c_int> {
        self.Get_error(py)
    }

    #[setter]
    fn set_error(&self, py: Python<'_>, error: c_int) -> PyResult<()> {
        self.Set_error(py, error)
    }

    /// Get_count(self, datatype: Datatype = BYTE) -> int
    ///
    /// Number of whole elements of a datatype in the message.
    #[pyo3(signature = (datatype = None))]
    fn Get_count(&self, py: Python<'_>, datatype: Option<H<Datatype>>) -> PyResult<Count> {
        let (raw, mut count) = (self.get(), 0);
        let datatype = datatype.map_or(MPI_BYTE, |datatype| datatype.0);
        mpi!(py, MPI_Get_count_c(&raw const raw, datatype, &raw mut count))?;
        Ok(count)
    }

    /// count: int
    ///
    /// Number of bytes in the message.
    #[getter]
    fn count(&self, py: Python<'_>) -> PyResult<Count> {
        self.Get_count(py, None)
    }

    #[setter]
    fn set_count(&self, py: Python<'_>, count: Count) -> PyResult<()> {
        self.Set_elements(py, H(MPI_BYTE), count)
    }

    /// Get_elements(self, datatype: Datatype) -> int
    ///
    /// Number of basic elements of a datatype in the message.
    fn Get_elements(&self, py: Python<'_>, datatype: H<Datatype>) -> PyResult<Count> {
        let (raw, mut count) = (self.get(), 0);
        mpi!(py, MPI_Get_elements_c(&raw const raw, datatype.0, &raw mut count))?;
        Ok(count)
    }

    /// Set_elements(self, datatype: Datatype, count: int) -> None
    ///
    /// Set the number of elements of a datatype in the message.
    fn Set_elements(&self, py: Python<'_>, datatype: H<Datatype>, count: Count) -> PyResult<()> {
        self.change(|raw| mpi!(py, MPI_Status_set_elements_c(raw, datatype.0, count)))
    }

    /// Is_cancelled(self) -> bool
    ///
    /// Whether the operation was cancelled.
    fn Is_cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        let (raw, mut flag) = (self.get(), 0);
        mpi!(py, MPI_Test_cancelled(&raw const raw, &raw mut flag))?;
        Ok(flag != 0)
    }

    /// Set_cancelled(self, flag: bool) -> None
    ///
    /// Set whether the operation was cancelled.
    fn Set_cancelled(&self, py: Python<'_>, flag: bool) -> PyResult<()> {
        self.change(|raw| mpi!(py, MPI_Status_set_cancelled(raw, c_int::from(flag))))
    }

    /// cancelled: bool
    ///
    /// Whether the operation was cancelled.
    #[getter]
    fn cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        self.Is_cancelled(py)
    }

    #[setter]
    fn set_cancelled(&self, py: Python<'_>, flag: bool) -> PyResult<()> {
        self.Set_cancelled(py, flag)
    }

    /// tomemory(self) -> memoryview
    ///
    /// View the status as an array of integers.
    fn tomemory<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let size = size_of::<abi::Status>().cast_signed();
        let owner = slf.clone().into_any().unbind();
        let buffer = Bound::new(slf.py(), Buffer::at(slf.get().raw.0.get().cast(), size, false, Some(owner)))?;
        PyMemoryView::from(&buffer)?.call_method1("cast", ("i",))
    }

    /// py2f(self) -> list[int]
    ///
    /// Translate the status into Fortran's array of integers.
    fn py2f(&self) -> Vec<c_int> {
        let raw = self.get();
        let mut fields = vec![raw.MPI_SOURCE, raw.MPI_TAG, raw.MPI_ERROR];
        fields.extend(raw.MPI_internal);
        fields
    }

    /// f2py(cls, arg: list[int]) -> Self
    ///
    /// Make a status from Fortran's array of integers.
    #[classmethod]
    fn f2py<'py>(cls: &Bound<'py, PyType>, arg: Vec<c_int>) -> PyResult<Bound<'py, PyAny>> {
        let [source, tag, error, internal @ ..] = arg.as_slice() else {
            return Err(PyValueError::new_err(format!("expecting {MPI_F_STATUS_SIZE} integers")));
        };
        let internal: [c_int; 5] = internal
            .try_into()
            .map_err(|_| PyValueError::new_err(format!("expecting {MPI_F_STATUS_SIZE} integers, got {}", arg.len())))?;
        let status = cls.call0()?;
        status.cast::<Self>()?.get().set(abi::Status {
            MPI_SOURCE: *source,
            MPI_TAG: *tag,
            MPI_ERROR: *error,
            MPI_internal: internal,
        });
        Ok(status)
    }
}
