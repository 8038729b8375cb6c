//! Attributes with Python values, and the functions that copy and delete them. Chapter 7.7 of the
//! standard.
//!
//! An attribute of a key that was made here is a pointer to a Python object, of which MPI has a
//! reference; with `nopython` it is a number. What a key is stays known as long as the process
//! lives: attributes may outlive `Free_keyval`.

use super::code_of;
use crate::call::{Callback, mpi, mpi_wait};
use crate::comm::Comm;
use crate::datatype::Datatype;
use crate::handle::Handle;
use crate::win::Win;
use mpi_abi as abi;
use mpi_abi::consts::{
    MPI_APPNUM, MPI_ERR_INTERN, MPI_IO, MPI_KEYVAL_INVALID, MPI_LASTUSEDCODE, MPI_SUCCESS, MPI_TAG_UB,
    MPI_UNIVERSE_SIZE, MPI_WIN_CREATE_FLAVOR, MPI_WIN_DISP_UNIT, MPI_WIN_MODEL, MPI_WIN_SIZE, MPI_WTIME_IS_GLOBAL,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyNotImplemented, PyType};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a key does.
struct Key {
    copy: Copies,
    delete: Option<Py<PyAny>>,
    nopython: bool,
    /// The delete function has raised: the object could never be freed if it were asked again.
    failed: AtomicBool,
}

enum Copies {
    Never,
    Always,
    Asks(Py<PyAny>),
}

/// Keys that exist, by kind of object and number: for people who debug (`MPI._keyval_registry`).
static REGISTRY: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let registry = REGISTRY.get_or_try_init(py, || {
        let kinds = PyDict::new(py);
        for kind in ["Datatype", "Comm", "Win"] {
            kinds.set_item(kind, PyDict::new(py))?;
        }
        Ok::<_, PyErr>(kinds.unbind())
    })?;
    module.add("_keyval_registry", registry)
}

/// The registry of a kind of object.
fn registry<'py>(py: Python<'py>, kind: &str) -> PyResult<Bound<'py, PyAny>> {
    match REGISTRY.get(py) {
        Some(registry) => registry.bind(py).as_any().get_item(kind),
        None => Ok(PyDict::new(py).into_any()),
    }
}

/// Keys that exist, each with its kind of object.
static KEYS: Mutex<Vec<(usize, c_int, &'static Key)>> = Mutex::new(Vec::new());

fn keys() -> MutexGuard<'static, Vec<(usize, c_int, &'static Key)>> {
    KEYS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kind<T: Handle>(py: Python<'_>) -> usize {
    py.get_type::<T>().as_ptr().addr()
}

fn key<T: Handle>(py: Python<'_>, keyval: c_int) -> Option<&'static Key> {
    let kind = kind::<T>(py);
    keys().iter().rfind(|(other, number, _)| *other == kind && *number == keyval).map(|&(_, _, key)| key)
}

impl Key {
    fn new(copy: Option<&Bound<'_, PyAny>>, delete: Option<&Bound<'_, PyAny>>, nopython: bool) -> &'static Self {
        let said =
            |object: &Bound<'_, PyAny>, value: bool| object.cast::<PyBool>().is_ok_and(|flag| flag.is_true() == value);
        let copy = match copy {
            None => Copies::Never,
            Some(copy) if copy.is_none() || said(copy, false) => Copies::Never,
            Some(copy) if said(copy, true) => Copies::Always,
            Some(copy) => Copies::Asks(copy.clone().unbind()),
        };
        let delete = delete.filter(|delete| !delete.is_none() && !delete.is_instance_of::<PyBool>());
        // Never freed: MPI may call with it as long as an attribute of this key exists.
        Box::leak(Box::new(Self {
            copy,
            delete: delete.map(|delete| delete.clone().unbind()),
            nopython,
            failed: AtomicBool::new(false),
        }))
    }

    /// The key for the registry: what was given, and whether values are numbers.
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let copy = match &self.copy {
            Copies::Never => py.None(),
            Copies::Always => PyBool::new(py, true).to_owned().into_any().unbind(),
            Copies::Asks(function) => function.clone_ref(py),
        };
        let said = PyDict::new(py);
        said.set_item("copy_fn", copy)?;
        said.set_item("delete_fn", self.delete.as_ref())?;
        said.set_item("nopython", self.nopython)?;
        py.import("types")?.getattr("SimpleNamespace")?.call((), Some(&said))
    }

    /// The value as Python sees it.
    fn value<'py>(&self, py: Python<'py>, stored: *mut c_void) -> PyResult<Bound<'py, PyAny>> {
        if self.nopython {
            Ok(stored.addr().cast_signed().into_pyobject(py)?.into_any())
        } else {
            // SAFETY: `store` put a reference there, which goes only when the attribute is deleted.
            Ok(unsafe { Bound::from_borrowed_ptr(py, stored.cast()) })
        }
    }

    /// The value as MPI keeps it, with a reference of its own.
    fn store(&self, value: &Bound<'_, PyAny>) -> PyResult<*mut c_void> {
        if self.nopython {
            Ok(ptr::without_provenance_mut(value.extract::<isize>()?.cast_unsigned()))
        } else {
            Ok(value.clone().into_ptr().cast())
        }
    }

    /// Takes MPI's reference.
    fn forget(&self, py: Python<'_>, stored: *mut c_void) {
        if !self.nopython {
            // SAFETY: the reference that `store` made, given back once: the attribute is gone.
            drop(unsafe { Bound::from_owned_ptr(py, stored.cast()) });
        }
    }

    /// The copy's value; `None`: the new object gets no attribute.
    fn copied<T: Handle>(
        &self,
        py: Python<'_>,
        raw: T::Raw,
        keyval: c_int,
        stored: *mut c_void,
    ) -> PyResult<Option<*mut c_void>> {
        let value = self.value(py, stored)?;
        let value = match &self.copy {
            Copies::Never => return Ok(None),
            Copies::Always => value,
            Copies::Asks(function) => {
                let object = T::adopt(&py.get_type::<T>(), raw)?;
                let value = function.bind(py).call1((object, keyval, value))?;
                if value.is(PyNotImplemented::get(py)) {
                    return Ok(None);
                }
                value
            }
        };
        self.store(&value).map(Some)
    }
}

unsafe extern "C" fn copy<T: Handle>(
    raw: T::Raw,
    keyval: c_int,
    extra: *mut c_void,
    from: *mut c_void,
    to: *mut c_void,
    flag: *mut c_int,
) -> c_int {
    // SAFETY: MPI passes a place for the flag.
    unsafe { *flag = 0 };
    let Some(callback) = Callback::enter() else { return MPI_ERR_INTERN };
    let py = callback.python();
    // SAFETY: `extra` is what `create` passed: a key that lives for ever.
    let key = unsafe { &*extra.cast::<Key>() };
    match key.copied::<T>(py, raw, keyval, from) {
        Ok(None) => MPI_SUCCESS,
        Ok(Some(value)) => {
            // SAFETY: MPI passes places for the value and the flag.
            unsafe {
                *to.cast::<*mut c_void>() = value;
                *flag = 1;
            }
            MPI_SUCCESS
        }
        Err(error) => code_of(py, error),
    }
}

unsafe extern "C" fn delete<T: Handle>(raw: T::Raw, keyval: c_int, stored: *mut c_void, extra: *mut c_void) -> c_int {
    // After the end of the interpreter there is nobody to call, and nothing to free.
    let Some(callback) = Callback::enter() else { return MPI_SUCCESS };
    let py = callback.python();
    // SAFETY: `extra` is what `create` passed: a key that lives for ever.
    let key = unsafe { &*extra.cast::<Key>() };
    let call = || -> PyResult<()> {
        if let Some(function) = key.delete.as_ref().filter(|_| !key.failed.load(Ordering::Relaxed)) {
            let object = T::adopt(&py.get_type::<T>(), raw)?;
            function.bind(py).call1((object, keyval, key.value(py, stored)?))?;
        }
        Ok(())
    };
    match call() {
        Ok(()) => {
            key.forget(py, stored);
            MPI_SUCCESS
        }
        Err(error) => {
            key.failed.store(true, Ordering::Relaxed);
            code_of(py, error)
        }
    }
}

/// The attributes that the library sets on its own: addresses of an `int`.
fn is_number(keyval: c_int) -> bool {
    matches!(
        keyval,
        MPI_TAG_UB
            | MPI_IO
            | MPI_WTIME_IS_GLOBAL
            | MPI_UNIVERSE_SIZE
            | MPI_APPNUM
            | MPI_LASTUSEDCODE
            | MPI_WIN_DISP_UNIT
            | MPI_WIN_CREATE_FLAVOR
            | MPI_WIN_MODEL
    )
}

/// What `Get_attr` returns for a value that is there.
fn found<T: Handle>(py: Python<'_>, keyval: c_int, stored: *mut c_void) -> PyResult<Py<PyAny>> {
    if let Some(key) = key::<T>(py, keyval) {
        return Ok(key.value(py, stored)?.unbind());
    }
    if is_number(keyval) && !stored.is_null() {
        // SAFETY: for these keys the value is the address of an int.
        let number = unsafe { stored.cast::<c_int>().read() };
        return Ok(number.into_pyobject(py)?.into_any().unbind());
    }
    if keyval == MPI_WIN_SIZE && !stored.is_null() {
        // SAFETY: for this key the value is the address of an MPI_Aint.
        let number = unsafe { stored.cast::<abi::Aint>().read() };
        return Ok(number.into_pyobject(py)?.into_any().unbind());
    }
    Ok(stored.addr().into_pyobject(py)?.into_any().unbind())
}

macro_rules! attributes {
    ($class:ident: $create:ident, $free:ident, $get:ident, $set:ident, $delete:ident) => {
        #[pymethods]
        impl $class {
            #[doc = "Get_attr(self, keyval: int) -> int | Any | None\n\nValue of an attribute, or `None` when it is not set."]
            fn Get_attr(&self, py: Python<'_>, keyval: c_int) -> PyResult<Py<PyAny>> {
                let (mut value, mut flag) = (ptr::null_mut::<c_void>(), 0);
                mpi!(py, $get(self.raw(), keyval, (&raw mut value).cast(), &raw mut flag))?;
                if flag == 0 { Ok(py.None()) } else { found::<$class>(py, keyval, value) }
            }

            #[doc = "Set_attr(self, keyval: int, attrval: Any) -> None\n\nSet an attribute."]
            fn Set_attr(&self, py: Python<'_>, keyval: c_int, attrval: &Bound<'_, PyAny>) -> PyResult<()> {
                let raw = self.raw();
                match key::<$class>(py, keyval) {
                    Some(key) => {
                        let value = key.store(attrval)?;
                        mpi_wait!(py, $set(raw, keyval, value)).inspect_err(|_| key.forget(py, value))
                    }
                    None => {
                        let value = ptr::without_provenance_mut(attrval.extract::<isize>()?.cast_unsigned());
                        mpi_wait!(py, $set(raw, keyval, value))
                    }
                }
            }

            #[doc = "Delete_attr(self, keyval: int) -> None\n\nDelete an attribute."]
            fn Delete_attr(&self, py: Python<'_>, keyval: c_int) -> PyResult<()> {
                let raw = self.raw();
                mpi_wait!(py, $delete(raw, keyval))
            }

            #[doc = concat!("Create_keyval(cls, copy_fn: Callable[[", stringify!($class), ", int, Any], Any] | None = None, delete_fn: Callable[[", stringify!($class), ", int, Any], None] | None = None, nopython: bool = False) -> int\n\nMake a key for attributes.")]
            #[classmethod]
            #[pyo3(signature = (copy_fn = None, delete_fn = None, nopython = false))]
            fn Create_keyval(
                cls: &Bound<'_, PyType>,
                copy_fn: Option<&Bound<'_, PyAny>>,
                delete_fn: Option<&Bound<'_, PyAny>>,
                nopython: bool,
            ) -> PyResult<c_int> {
                let (py, mut keyval) = (cls.py(), MPI_KEYVAL_INVALID);
                let key = Key::new(copy_fn, delete_fn, nopython);
                let extra = ptr::from_ref(key).cast_mut().cast();
                mpi!(py, $create(Some(copy::<$class>), Some(delete::<$class>), &raw mut keyval, extra))?;
                let kind = kind::<$class>(py);
                keys().push((kind, keyval, key));
                registry(py, stringify!($class))?.set_item(keyval, key.describe(py)?)?;
                Ok(keyval)
            }

            #[doc = "Free_keyval(cls, keyval: int) -> int\n\nFree a key; attributes that are set stay."]
            #[classmethod]
            fn Free_keyval(cls: &Bound<'_, PyType>, keyval: c_int) -> PyResult<c_int> {
                let (py, mut freed) = (cls.py(), keyval);
                mpi!(py, $free(&raw mut freed))?;
                let kind = kind::<$class>(py);
                keys().retain(|(other, number, _)| *other != kind || *number != keyval);
                registry(py, stringify!($class))?.call_method1("pop", (keyval, py.None()))?;
                Ok(freed)
            }
        }
    };
}

attributes! { Comm: MPI_Comm_create_keyval, MPI_Comm_free_keyval, MPI_Comm_get_attr, MPI_Comm_set_attr, MPI_Comm_delete_attr }
attributes! { Datatype: MPI_Type_create_keyval, MPI_Type_free_keyval, MPI_Type_get_attr, MPI_Type_set_attr, MPI_Type_delete_attr }
attributes! { Win: MPI_Win_create_keyval, MPI_Win_free_keyval, MPI_Win_get_attr, MPI_Win_set_attr, MPI_Win_delete_attr }
