//! Error handlers written in Python: `Comm.Create_errhandler` and its kin. Chapter 9.3 of the standard.
//!
//! What such a function raises is what the failed call raises.

use super::table::{SIZE, Table, places};
use crate::call::{Callback, mpi};
use crate::comm::Comm;
use crate::errhandler::Errhandler;
use crate::file::File;
use crate::handle::Handle;
use crate::session::Session;
use crate::win::Win;
use mpi_abi as abi;
use mpi_abi::consts::MPI_ERRHANDLER_NULL;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::c_int;

/// After `Errhandler.Free`.
pub(crate) fn freed(handler: &Errhandler, raw: abi::Errhandler) {
    let owner = std::ptr::from_ref(handler).addr();
    for table in [&comm::TABLE, &win::TABLE, &file::TABLE, &session::TABLE] {
        table.freed(raw.raw(), owner);
    }
}

fn run<T: Handle>(table: &Table, index: usize, raw: *mut T::Raw, code: *mut c_int) {
    let Some(callback) = Callback::enter() else { return };
    let py = callback.python();
    // SAFETY: MPI passes a handle and an error code.
    let (raw, code) = unsafe { (*raw, *code) };
    let Some(function) = table.function(py, index) else { return };
    let call = || -> PyResult<()> {
        let object = T::adopt(&py.get_type::<T>(), raw)?;
        function.call1(py, (object, code)).map(drop)
    };
    if let Err(error) = call() {
        error.restore(py);
    }
}

macro_rules! handlers {
    ($module:ident, $class:ident, $create:ident, $type:ident) => {
        mod $module {
            use super::*;

            pub(super) static TABLE: Table = Table::new();
            type Function = extern "C" fn(*mut abi::$class, *mut c_int);
            pub(super) static PLACES: [Function; SIZE] = places!(handle);

            extern "C" fn handle<const INDEX: usize>(raw: *mut abi::$class, code: *mut c_int) {
                run::<$class>(&TABLE, INDEX, raw, code);
            }
        }

        #[pymethods]
        impl $class {
            #[doc = concat!("Create_errhandler(cls, errhandler_fn: Callable[[", stringify!($class), ", int], None]) -> Errhandler\n\nMake an error handler of a Python function.")]
            #[classmethod]
            fn Create_errhandler<'py>(
                cls: &Bound<'py, PyType>,
                errhandler_fn: &Bound<'py, PyAny>,
            ) -> PyResult<Py<Errhandler>> {
                let py = cls.py();
                if !errhandler_fn.is_callable() {
                    return Err(PyTypeError::new_err("expecting a callable"));
                }
                let index = $module::TABLE.take(errhandler_fn, false, "error handlers written in Python")?;
                // SAFETY: the type differs only in the `...` at the end, which nobody passes: on the
                // platforms of this crate such a call is the same as that of a function without it.
                let function: abi::ffi::$type = unsafe { std::mem::transmute($module::PLACES[index]) };
                let make = || -> PyResult<Py<Errhandler>> {
                    let mut raw = MPI_ERRHANDLER_NULL;
                    mpi!(py, $create(Some(function), &raw mut raw))?;
                    let handler = Errhandler::wrap(py, raw)?;
                    $module::TABLE.own(index, raw.raw(), std::ptr::from_ref(handler.get()).addr());
                    Ok(handler)
                };
                make().inspect_err(|_| $module::TABLE.give_back(index))
            }
        }
    };
}

handlers!(comm, Comm, MPI_Comm_create_errhandler, MPI_Comm_errhandler_function);
handlers!(win, Win, MPI_Win_create_errhandler, MPI_Win_errhandler_function);
handlers!(file, File, MPI_File_create_errhandler, MPI_File_errhandler_function);
handlers!(session, Session, MPI_Session_create_errhandler, MPI_Session_errhandler_function);
