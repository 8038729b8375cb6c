//! `MPI.__pyx_capi__`: the C functions by which other extensions (petsc4py, slepc4py and the like, and
//! everything that includes `mpi4py/mpi4py.h`) take handles out of Python objects and make objects
//! from handles. Names and signatures are those of mpi4py's C interface.

use crate::comm::Comm;
use crate::datatype::Datatype;
use crate::errhandler::Errhandler;
use crate::file::File;
use crate::group::Group;
use crate::handle::Handle;
use crate::info::Info;
use crate::message::Message;
use crate::op::Op;
use crate::request::{Grequest, Owner, Prequest, Request};
use crate::session::Session;
use crate::status::Status;
use crate::win::Win;
use mpi_abi as abi;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::{CStr, c_void};
use std::ptr;

/// Runs what a C caller asks for; an error is left set, as C callers expect, and NULL returned.
fn answer<T>(work: impl FnOnce(Python<'_>) -> PyResult<*mut T>) -> *mut T {
    Python::attach(|py| {
        work(py).unwrap_or_else(|error| {
            error.restore(py);
            ptr::null_mut()
        })
    })
}

fn argument<'py>(py: Python<'py>, object: *mut ffi::PyObject) -> Borrowed<'py, 'py, PyAny> {
    // SAFETY: the C caller passes a live object, borrowed for the time of the call.
    unsafe { Borrowed::from_ptr(py, object) }
}

/// Adds a function under its name, in a capsule whose name is the C signature.
fn add(dict: &Bound<'_, PyDict>, name: &str, signature: &'static CStr, function: *mut c_void) -> PyResult<()> {
    let py = dict.py();
    // SAFETY: the function and the signature are static.
    let capsule = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyCapsule_New(function, signature.as_ptr(), None))? };
    dict.set_item(name, capsule)
}

macro_rules! handles {
    ($dict:ident: $($class:ident, $name:literal, $get:literal, $new:literal;)*) => {$({
        extern "C" fn get(object: *mut ffi::PyObject) -> *mut abi::$class {
            answer(|py| Ok(argument(py, object).cast::<$class>()?.get().slot().pointer()))
        }

        extern "C" fn new(raw: abi::$class) -> *mut ffi::PyObject {
            answer(|py| Ok(<$class as Handle>::adopt(&py.get_type::<$class>(), raw)?.into_ptr()))
        }

        add($dict, concat!("PyMPI", $name, "_Get"), $get, get as *mut c_void)?;
        add($dict, concat!("PyMPI", $name, "_New"), $new, new as *mut c_void)?;
    })*};
}

extern "C" fn new_prequest(raw: abi::Request) -> *mut ffi::PyObject {
    answer(|py| Ok(Prequest::make(py, raw, Owner::None)?.into_ptr()))
}

extern "C" fn new_grequest(raw: abi::Request) -> *mut ffi::PyObject {
    answer(|py| Ok(Grequest::make(py, raw, Owner::None)?.into_ptr()))
}

extern "C" fn get_status(object: *mut ffi::PyObject) -> *mut abi::Status {
    answer(|py| Ok(argument(py, object).cast::<Status>()?.get().pointer()))
}

extern "C" fn new_status(raw: *const abi::Status) -> *mut ffi::PyObject {
    answer(|py| {
        // SAFETY: the C caller passes NULL or a status.
        let value = unsafe { raw.as_ref() }.copied().unwrap_or_else(abi::Status::empty);
        Ok(Py::new(py, Status::with(value))?.into_ptr())
    })
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let functions = PyDict::new(module.py());
    let d = &functions;
    handles! { d:
        Datatype, "Datatype", c"MPI_Datatype *(PyObject *)", c"PyObject *(MPI_Datatype)";
        Request, "Request", c"MPI_Request *(PyObject *)", c"PyObject *(MPI_Request)";
        Message, "Message", c"MPI_Message *(PyObject *)", c"PyObject *(MPI_Message)";
        Op, "Op", c"MPI_Op *(PyObject *)", c"PyObject *(MPI_Op)";
        Group, "Group", c"MPI_Group *(PyObject *)", c"PyObject *(MPI_Group)";
        Info, "Info", c"MPI_Info *(PyObject *)", c"PyObject *(MPI_Info)";
        Errhandler, "Errhandler", c"MPI_Errhandler *(PyObject *)", c"PyObject *(MPI_Errhandler)";
        Session, "Session", c"MPI_Session *(PyObject *)", c"PyObject *(MPI_Session)";
        Comm, "Comm", c"MPI_Comm *(PyObject *)", c"PyObject *(MPI_Comm)";
        Win, "Win", c"MPI_Win *(PyObject *)", c"PyObject *(MPI_Win)";
        File, "File", c"MPI_File *(PyObject *)", c"PyObject *(MPI_File)";
    }
    add(d, "PyMPIPrequest_New", c"PyObject *(MPI_Request)", new_prequest as *mut c_void)?;
    add(d, "PyMPIGrequest_New", c"PyObject *(MPI_Request)", new_grequest as *mut c_void)?;
    add(d, "PyMPIStatus_Get", c"MPI_Status *(PyObject *)", get_status as *mut c_void)?;
    add(d, "PyMPIStatus_New", c"PyObject *(MPI_Status *)", new_status as *mut c_void)?;
    module.add("__pyx_capi__", functions)
}
