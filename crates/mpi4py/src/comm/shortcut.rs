//! The usual form of `Send`, `Recv`, `Isend` and `Irecv`: an array that can be read directly and plain integers, by
//! position. PyO3's entry finds arguments of any form, which takes 120 instructions for each call: a fifth of what a small
//! message costs. Calls of another form go to PyO3's entry as before, which also knows all errors.
//!
//! The methods are those that PyO3 has made; the entry is exchanged in their definition (`PyMethodDef`), to which the
//! stable interface gives no access. The word that points to it is where CPython 3.11 to 3.14 have it, and the words
//! around it are compared with what the interface says before it is followed; where anything differs all calls go through PyO3.

use super::Comm;
use crate::buffer::{Access, numpy};
use crate::call::mpi_wait;
use crate::handle::Handle;
use crate::request::Request;
use mpi_abi::consts::{MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_REQUEST_NULL, MPI_STATUS_IGNORE};
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

const SEND: usize = 0;
const RECV: usize = 1;
const ISEND: usize = 2;
const IRECV: usize = 3;

/// PyO3's entries of the four methods; set before ours take their places.
static GENERAL: [AtomicPtr<c_void>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

type Entry = unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, Py_ssize_t, *mut PyObject) -> *mut PyObject;

/// The entry of a method of [`Comm`], called by the interpreter.
unsafe extern "C" fn entry<const METHOD: usize>(
    this: *mut PyObject,
    args: *const *mut PyObject,
    count: Py_ssize_t,
    names: *mut PyObject,
) -> *mut PyObject {
    if names.is_null() {
        // SAFETY: the interpreter calls, with what the convention says: it is held, `this` is an object of the method's
        // class, and `args` has `count` objects; all are alive until we return.
        let outcome = catch_unwind(AssertUnwindSafe(|| unsafe {
            let py = Python::assume_attached();
            let arguments = Arguments::<METHOD>::find(py, args, count)?;
            let this = Borrowed::from_ptr(py, this).cast_unchecked::<Comm>();
            Some(match arguments.call(py, this.get()) {
                Ok(object) => object,
                Err(error) => {
                    error.restore(py);
                    ptr::null_mut()
                }
            })
        }));
        // After a panic the general entry says what it has to say.
        if let Ok(Some(object)) = outcome {
            return object;
        }
    }
    // SAFETY: a function of this type: `install` had it from the method itself, before this entry was in use. The
    // arguments are passed on.
    unsafe {
        let general = GENERAL[METHOD].load(Ordering::Relaxed);
        std::mem::transmute::<*mut c_void, Entry>(general)(this, args, count, names)
    }
}

/// The arguments of the usual form.
struct Arguments<'a, 'py, const METHOD: usize> {
    buf: Borrowed<'a, 'py, PyAny>,
    array: numpy::Direct,
    peer: c_int,
    tag: c_int,
}

impl<'py, const METHOD: usize> Arguments<'_, 'py, METHOD> {
    /// # Safety
    /// `args` has `count` live objects.
    #[inline(always)]
    unsafe fn find(py: Python<'py>, args: *const *mut PyObject, count: Py_ssize_t) -> Option<Self> {
        let sends = METHOD == SEND || METHOD == ISEND;
        if count > 3 || count < if sends { 2 } else { 1 } {
            return None;
        }
        // SAFETY: as many objects as are asked for are there (caller, and the check above).
        unsafe {
            let buf = Borrowed::from_ptr(py, *args);
            let peer = if count > 1 { integer(*args.add(1))? } else { MPI_ANY_SOURCE };
            let tag = match count {
                3 => integer(*args.add(2))?,
                _ if sends => 0,
                _ => MPI_ANY_TAG,
            };
            let array = numpy::direct(&buf, if sends { Access::Read } else { Access::Write })?;
            Some(Self { buf, array, peer, tag })
        }
    }

    #[inline(always)]
    fn call(self, py: Python<'py>, comm: &Comm) -> PyResult<*mut PyObject> {
        let (comm, Self { buf, array, peer, tag }) = (comm.raw(), self);
        let numpy::Direct { addr, count, datatype } = array;
        let mut request = MPI_REQUEST_NULL;
        match METHOD {
            SEND => mpi_wait!(py, MPI_Send_c(addr, count, datatype, peer, tag, comm))?,
            RECV => mpi_wait!(py, MPI_Recv_c(addr, count, datatype, peer, tag, comm, MPI_STATUS_IGNORE))?,
            ISEND => mpi_wait!(py, MPI_Isend_c(addr, count, datatype, peer, tag, comm, &raw mut request))?,
            _ => mpi_wait!(py, MPI_Irecv_c(addr, count, datatype, peer, tag, comm, &raw mut request))?,
        }
        if METHOD == SEND || METHOD == RECV {
            return Ok(py.None().into_ptr());
        }
        Ok(Request::on(py, request, &buf)?.into_ptr())
    }
}

/// The value of an object that is exactly an `int`, if it is a C `int`.
///
/// # Safety
/// A live object; the interpreter is held.
#[inline(always)]
unsafe fn integer(object: *mut PyObject) -> Option<c_int> {
    // SAFETY: the caller's promise.
    unsafe {
        if ffi::PyLong_CheckExact(object) == 0 {
            return None;
        }
        let mut overflow = 0;
        let value = ffi::PyLong_AsLongAndOverflow(object, &raw mut overflow);
        if overflow == 0 { c_int::try_from(value).ok() } else { None }
    }
}

/// `PyMethodDescrObject`, its beginning.
#[repr(C)]
struct Descriptor {
    head: PyObject,
    class: *mut ffi::PyTypeObject,
    name: *mut PyObject,
    qualified_name: *mut PyObject,
    method: *mut ffi::PyMethodDef,
}

/// Puts the entries in their places. Called once, when the module is loaded.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    let version = py.version_info();
    if (version.major, version.minor) < (3, 11) || (version.major, version.minor) > (3, 14) {
        return Ok(());
    }
    let class = py.get_type::<Comm>();
    let kind = py.get_type::<PyString>().getattr("join")?.get_type();
    let entries: [(&CStr, Entry); 4] =
        [(c"Send", entry::<SEND>), (c"Recv", entry::<RECV>), (c"Isend", entry::<ISEND>), (c"Irecv", entry::<IRECV>)];
    for (index, (name, ours)) in entries.into_iter().enumerate() {
        let method = class.getattr("__dict__")?.get_item(name)?;
        let known_name = method.getattr("__name__")?;
        if !method.get_type().is(&kind) {
            continue;
        }
        // SAFETY: a method descriptor is larger than this beginning of it. Its class and its name are where they are expected,
        // so the pointer behind them is what CPython has there, the method's definition, which PyO3 has made on the heap and
        // keeps for ever. It is changed with the interpreter held, before anybody else knows the class.
        unsafe {
            let descriptor = method.as_ptr().cast::<Descriptor>();
            if (*descriptor).class != class.as_type_ptr() || (*descriptor).name != known_name.as_ptr() {
                continue;
            }
            let definition = &mut *(*descriptor).method;
            let right = CStr::from_ptr(definition.ml_name) == name
                && definition.ml_flags == ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
            if right {
                GENERAL[index].store(definition.ml_meth.PyCFunctionFastWithKeywords as *mut c_void, Ordering::Relaxed);
                definition.ml_meth.PyCFunctionFastWithKeywords = ours;
            }
        }
    }
    Ok(())
}
