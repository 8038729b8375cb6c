//! Request objects that are used again. Making an object and letting it go are 550 instructions through PyO3 and the
//! interpreter, a quarter of what a small message costs; an object that is taken out of the pool and
//! put back costs 90.
//!
//! Objects come into being as PyO3 makes them. When the last reference to one goes, and it is exactly a
//! `Request` that is over, it stays here instead, untracked by the garbage collector (which would find nothing
//! in it: PyO3's class has no members to visit). For that the class's `tp_dealloc` is replaced, for which the stable
//! interface has no function: the word is where all versions of CPython have it, and before it is changed it is compared with
//! what the interface says is there. If it is something else, every object is made anew.

use super::{Owner, Request};
use crate::buffer::Keep;
use crate::handle::Handle;
use mpi_abi as abi;
use mpi_abi::consts::MPI_REQUEST_NULL;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::UnsafeCell;
use std::ptr;

/// Objects kept at most: 100 bytes each.
const KEPT: usize = 512;

struct Pool {
    class: *mut ffi::PyTypeObject,
    /// What PyO3 has as `tp_dealloc`; `None`: no object is used again.
    dealloc: Option<ffi::destructor>,
    /// Where in an object the request lies.
    request: usize,
    /// Where the pointer to its weak references lies.
    weak: usize,
    free: Vec<*mut ffi::PyObject>,
}

/// Touched only with the interpreter held, and never while other code could run.
struct Held(UnsafeCell<Pool>);

// SAFETY: see the type: accesses follow each other.
unsafe impl Sync for Held {}

static POOL: Held =
    Held(UnsafeCell::new(Pool { class: ptr::null_mut(), dealloc: None, request: 0, weak: 0, free: Vec::new() }));

impl Pool {
    /// The request in an object of the class.
    #[inline]
    fn request_in(&self, object: *mut ffi::PyObject) -> *mut Request {
        object.wrapping_byte_add(self.request).cast()
    }
}

/// An object for an operation that was started, of which nothing but memory is owned.
#[inline(always)]
pub(super) fn make(py: Python<'_>, raw: abi::Request, keep: Keep) -> PyResult<Py<Request>> {
    // SAFETY: the interpreter is held, and nothing below runs other code while the reference is used.
    let pool = unsafe { &mut *POOL.0.get() };
    let Some(object) = pool.free.pop() else { return make_new(py, raw, keep) };
    // SAFETY: an object of this class without references, whose request was dropped when it came here. Making it
    // alive again is what the function is for.
    unsafe {
        pool.request_in(object).write(Request::plain(raw, Owner::from(keep), true));
        ffi::PyObject_Init(object, pool.class);
        Ok(Bound::from_owned_ptr(py, object).cast_into_unchecked::<Request>().unbind())
    }
}

#[cold]
fn make_new(py: Python<'_>, raw: abi::Request, keep: Keep) -> PyResult<Py<Request>> {
    // SAFETY: as in `make`.
    let active = unsafe { (*POOL.0.get()).dealloc.is_some() };
    let object = Py::new(py, Request::plain(raw, Owner::from(keep), active))?;
    if active {
        // SAFETY: a live object of a class with garbage collection.
        unsafe { ffi::PyObject_GC_UnTrack(object.as_ptr().cast()) };
    }
    Ok(object)
}

/// The last reference to a request is gone. Called by the interpreter, which holds it.
unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: as in `make`; the object is one of the class or of one derived from it, and nobody else has it.
    // Where the weak references are was asked of the class.
    unsafe {
        let pool = &mut *POOL.0.get();
        let request = pool.request_in(object);
        let stays = ffi::Py_TYPE(object) == pool.class
            && (*request).from_pool
            && pool.free.len() < KEPT
            && object.wrapping_byte_add(pool.weak).cast::<*mut ffi::PyObject>().read().is_null();
        if stays && let Some(memory) = (*request).memory_to_drop() {
            pool.free.push(object);
            ffi::Py_DECREF(pool.class.cast());
            // The reference is ours. PyO3 does not know that the interpreter is held, and would put it off. Last, since
            // any code can run here.
            if let Some(memory) = memory {
                ffi::Py_DECREF(memory.into_ptr());
            }
        } else if let Some(dealloc) = pool.dealloc {
            dealloc(object);
        }
    }
}

impl Request {
    /// The object that the request keeps, taken out of it. `None`: there is more to do when the request goes.
    #[inline]
    fn memory_to_drop(&self) -> Option<Option<Py<PyAny>>> {
        if !self.plain {
            return None;
        }
        match self.owner.take() {
            Owner::None => Some(None),
            Owner::Memory(Keep::Object(object)) if self.raw() == MPI_REQUEST_NULL => Some(Some(object)),
            owner => {
                self.owner.put(owner);
                None
            }
        }
    }
}

/// `PyTypeObject`, its beginning.
#[repr(C)]
struct Class {
    head: ffi::PyVarObject,
    name: *const std::ffi::c_char,
    basicsize: ffi::Py_ssize_t,
    itemsize: ffi::Py_ssize_t,
    dealloc: Option<ffi::destructor>,
}

/// Finds out where everything is, and begins to use objects again. Called once, when the module is loaded.
pub(crate) fn prepare(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<Request>();
    let size: usize = class.getattr("__basicsize__")?.extract()?;
    let weak: usize = class.getattr("__weakrefoffset__")?.extract().unwrap_or(0);
    let sample = Py::new(py, Request::plain(MPI_REQUEST_NULL, Owner::None, false))?;
    let request = ptr::from_ref(sample.get()).addr().wrapping_sub(sample.as_ptr().addr());
    let (word, pointer) = (size_of::<*mut ffi::PyObject>(), class.as_type_ptr());
    // SAFETY: a live class, of a heap type; every version of CPython has these fields in a class, and they are
    // compared before one is changed. The word is read and written with the interpreter held.
    unsafe {
        let known = ffi::PyType_GetSlot(pointer, ffi::Py_tp_dealloc);
        let fields = pointer.cast::<Class>();
        let right = (*fields).dealloc.is_some_and(|found| found as *const () == known.cast_const().cast())
            && usize::try_from((*fields).basicsize) == Ok(size)
            && request >= size_of::<ffi::PyObject>()
            && request + size_of::<Request>() <= size
            && weak >= size_of::<ffi::PyObject>()
            && weak + word <= size;
        if right {
            let dealloc_of_pyo3 = (*fields).dealloc.replace(dealloc);
            *POOL.0.get() =
                Pool { class: pointer, dealloc: dealloc_of_pyo3, request, weak, free: Vec::with_capacity(KEPT) };
        }
    }
    Ok(())
}
