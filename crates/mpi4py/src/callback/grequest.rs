//! Generalized requests: operations of a program's own that MPI's waits and tests look at. Chapter
//! 13.2 of the standard.

use super::code_of;
use crate::call::{Callback, mpi, mpi_wait};
use crate::handle::Handle;
use crate::request::{Grequest, Owner, Pending};
use crate::status::Status;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_BYTE, MPI_ERR_INTERN, MPI_REQUEST_NULL, MPI_SUCCESS};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple, PyType};
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};

/// The functions of a request and what they are called with.
struct State {
    query: Option<Py<PyAny>>,
    free: Option<Py<PyAny>>,
    cancel: Option<Py<PyAny>>,
    args: Py<PyTuple>,
    kwargs: Option<Py<PyDict>>,
    /// What `complete` was given.
    result: Mutex<Option<Py<PyAny>>>,
}

impl State {
    /// Calls one of the functions, with `first` before the program's own arguments.
    fn call(&self, py: Python<'_>, function: Option<&Py<PyAny>>, first: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let Some(function) = function else { return Ok(()) };
        let own = self.args.bind(py);
        let args = PyTuple::new(py, first.into_iter().chain(own.iter()).collect::<Vec<_>>())?;
        function.bind(py).call(args, self.kwargs.as_ref().map(|kwargs| kwargs.bind(py))).map(drop)
    }
}

struct Result_(Arc<State>);

impl Pending for Result_ {
    fn is_the_programs(&self) -> bool {
        true
    }

    fn give(&self, object: Option<Py<PyAny>>) {
        *self.0.result.lock().unwrap_or_else(PoisonError::into_inner) = object;
    }

    fn finish(self: Box<Self>, py: Python<'_>, _status: &mut abi::Status) -> PyResult<Py<PyAny>> {
        let result = self.0.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(result.unwrap_or_else(|| py.None()))
    }
}

/// The state behind what MPI passes. Kept while the program's functions run: another thread may end the
/// request meanwhile.
///
/// # Safety
/// `extra` is what `Start` gave to MPI, which has not given it back.
unsafe fn state_of(extra: *mut c_void) -> Arc<State> {
    let state = extra.cast_const().cast::<State>();
    // SAFETY: MPI holds a reference (the caller), so that the count can be raised and one more be taken.
    unsafe {
        Arc::increment_strong_count(state);
        Arc::from_raw(state)
    }
}

unsafe extern "C" fn query(extra: *mut c_void, status: *mut abi::Status) -> c_int {
    let Some(callback) = Callback::enter() else { return MPI_ERR_INTERN };
    let py = callback.python();
    // SAFETY: MPI passes what `Start` gave it, and a status.
    let (state, status) = unsafe { (state_of(extra), &mut *status) };
    let mut call = || -> PyResult<()> {
        status.MPI_SOURCE = MPI_ANY_SOURCE;
        status.MPI_TAG = MPI_ANY_TAG;
        mpi!(py, MPI_Status_set_elements_c(status, MPI_BYTE, 0))?;
        mpi!(py, MPI_Status_set_cancelled(status, 0))?;
        let object = Bound::new(py, Status::with(*status))?;
        state.call(py, state.query.as_ref(), Some(object.clone().into_any()))?;
        let error = status.MPI_ERROR;
        *status = object.get().get();
        status.MPI_ERROR = error;
        if state.cancel.is_none() {
            mpi!(py, MPI_Status_set_cancelled(status, 0))?;
        }
        Ok(())
    };
    match call() {
        Ok(()) => MPI_SUCCESS,
        Err(error) => code_of(py, error),
    }
}

unsafe extern "C" fn free(extra: *mut c_void) -> c_int {
    let Some(callback) = Callback::enter() else { return MPI_SUCCESS };
    let py = callback.python();
    // SAFETY: the reference that `Start` gave to MPI; MPI gives it back here, once.
    let state = unsafe { Arc::from_raw(extra.cast::<State>()) };
    match state.call(py, state.free.as_ref(), None) {
        Ok(()) => MPI_SUCCESS,
        Err(error) => code_of(py, error),
    }
}

unsafe extern "C" fn cancel(extra: *mut c_void, complete: c_int) -> c_int {
    let Some(callback) = Callback::enter() else { return MPI_ERR_INTERN };
    let py = callback.python();
    // SAFETY: MPI passes what `Start` gave it.
    let state = unsafe { state_of(extra) };
    let complete = PyBool::new(py, complete != 0).to_owned().into_any();
    match state.call(py, state.cancel.as_ref(), Some(complete)) {
        Ok(()) => MPI_SUCCESS,
        Err(error) => code_of(py, error),
    }
}

type Function<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

#[pymethods]
impl Grequest {
    /// Start(cls, query_fn: Callable[..., None] | None = None, free_fn: Callable[..., None] | None = None, cancel_fn: Callable[..., None] | None = None, args: tuple[Any] | None = None, kwargs: dict[str, Any] | None = None) -> Grequest
    ///
    /// Make a request for an operation of the program's own.
    #[classmethod]
    #[pyo3(signature = (query_fn = None, free_fn = None, cancel_fn = None, args = None, kwargs = None))]
    fn Start<'py>(
        cls: &Bound<'py, PyType>,
        query_fn: Function<'_, 'py>,
        free_fn: Function<'_, 'py>,
        cancel_fn: Function<'_, 'py>,
        args: Option<&Bound<'py, PyAny>>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Py<Self>> {
        let py = cls.py();
        let given = |function: Function<'_, 'py>| function.filter(|f| !f.is_none()).map(|f| f.clone().unbind());
        let args = match args {
            Some(args) => PyTuple::new(py, args.try_iter()?.collect::<PyResult<Vec<_>>>()?)?,
            None => PyTuple::empty(py),
        };
        let state = Arc::new(State {
            query: given(query_fn),
            free: given(free_fn),
            cancel: given(cancel_fn),
            args: args.unbind(),
            kwargs: kwargs.map(|kwargs| kwargs.clone().unbind()),
            result: Mutex::new(None),
        });
        let extra = Arc::into_raw(Arc::clone(&state));
        let mut raw = MPI_REQUEST_NULL;
        let done =
            mpi!(py, MPI_Grequest_start(Some(query), Some(free), Some(cancel), extra.cast_mut().cast(), &raw mut raw));
        if let Err(error) = done {
            // SAFETY: MPI did not take the reference.
            drop(unsafe { Arc::from_raw(extra) });
            return Err(error);
        }
        Self::make(py, raw, Owner::Object(Box::new(Result_(state))))
    }

    /// Complete(self) -> None
    ///
    /// Say that the operation is over.
    fn Complete(slf: &Bound<'_, Self>) -> PyResult<()> {
        let raw = slf.as_super().get().raw();
        mpi_wait!(slf.py(), MPI_Grequest_complete(raw))
    }

    /// complete(self, obj: Any = None) -> None
    ///
    /// Say that the operation is over, and what `wait` returns.
    #[pyo3(signature = (obj = None))]
    fn complete(slf: &Bound<'_, Self>, obj: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        slf.as_super().get().give_result(obj.map(Bound::unbind));
        Self::Complete(slf)
    }
}
