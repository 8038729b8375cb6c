//! Data representations of a program's own: Python functions that convert what a file holds. Chapter
//! 14.5.3 of the standard. They stay registered as long as the process lives.

use crate::buffer::object::Buffer;
use crate::call::{Callback, mpi};
use crate::datatype::Datatype;
use crate::handle::Handle;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_ERR_INTERN, MPI_ERR_OTHER, MPI_SUCCESS};
use mpi_abi::{Aint, Count, Offset};
use pyo3::prelude::*;
use std::ffi::{CString, c_int, c_void};

struct Functions {
    read: Option<Py<PyAny>>,
    write: Option<Py<PyAny>>,
    extent: Py<PyAny>,
}

/// Runs a conversion; which one is what `pick` says.
fn convert(
    state: *mut c_void,
    pick: impl FnOnce(&Functions) -> Option<&Py<PyAny>>,
    (user, datatype, count): (*mut c_void, abi::Datatype, Count),
    (file, position): (*mut c_void, Offset),
) -> c_int {
    let Some(callback) = Callback::enter() else { return MPI_ERR_INTERN };
    let py = callback.python();
    // SAFETY: the state that `Register_datarep` leaked.
    let functions = unsafe { &*state.cast::<Functions>() };
    let call = || -> PyResult<()> {
        let Some(function) = pick(functions) else { return Ok(()) };
        let datatype = Datatype::wrap(py, datatype)?;
        let extent: isize = datatype.bind(py).getattr("extent")?.extract()?;
        let nbytes = extent.saturating_mul(isize::try_from(count)?.saturating_add(isize::try_from(position)?));
        let user = Buffer::at(user, nbytes, false, None);
        // How much of the file's side there is only the conversion knows.
        let file = Buffer::at(file, isize::MAX, false, None);
        function.call1(py, (user, datatype, count, file, position)).map(drop)
    };
    finish(py, call())
}

fn finish(py: Python<'_>, result: PyResult<()>) -> c_int {
    match result {
        Ok(()) => MPI_SUCCESS,
        Err(error) => {
            error.restore(py);
            MPI_ERR_OTHER
        }
    }
}

extern "C" fn read(
    user: *mut c_void,
    datatype: abi::Datatype,
    count: Count,
    file: *mut c_void,
    position: Offset,
    state: *mut c_void,
) -> c_int {
    convert(state, |functions| functions.read.as_ref(), (user, datatype, count), (file, position))
}

extern "C" fn write(
    user: *mut c_void,
    datatype: abi::Datatype,
    count: Count,
    file: *mut c_void,
    position: Offset,
    state: *mut c_void,
) -> c_int {
    convert(state, |functions| functions.write.as_ref(), (user, datatype, count), (file, position))
}

extern "C" fn extent(datatype: abi::Datatype, extent: *mut Aint, state: *mut c_void) -> c_int {
    let Some(callback) = Callback::enter() else { return MPI_ERR_INTERN };
    let py = callback.python();
    // SAFETY: the state that `Register_datarep` leaked.
    let functions = unsafe { &*state.cast::<Functions>() };
    let call = || -> PyResult<()> {
        let value: Aint = functions.extent.call1(py, (Datatype::wrap(py, datatype)?,))?.extract(py)?;
        // SAFETY: MPI passes the place for the result.
        unsafe { extent.write(value) };
        Ok(())
    };
    finish(py, call())
}

/// Register_datarep(datarep: str, read_fn: Callable[[Buffer, Datatype, int, Buffer, int], None], write_fn: Callable[[Buffer, Datatype, int, Buffer, int], None], extent_fn: Callable[[Datatype], int]) -> None
///
/// Register a data representation for files.
#[pyfunction]
pub(crate) fn Register_datarep(
    py: Python<'_>,
    datarep: &str,
    read_fn: Option<Py<PyAny>>,
    write_fn: Option<Py<PyAny>>,
    extent_fn: Py<PyAny>,
) -> PyResult<()> {
    let name = CString::new(datarep)?;
    let (reads, writes) = (read_fn.is_some(), write_fn.is_some());
    let state = Box::into_raw(Box::new(Functions { read: read_fn, write: write_fn, extent: extent_fn }));
    let reader = reads.then_some(read as abi::ffi::MPI_Datarep_conversion_function_c);
    let writer = writes.then_some(write as abi::ffi::MPI_Datarep_conversion_function_c);
    let done = mpi!(py, MPI_Register_datarep_c(name.as_ptr(), reader, writer, Some(extent), state.cast()));
    if done.is_err() {
        // SAFETY: from the Box above, and MPI did not take it.
        drop(unsafe { Box::from_raw(state) });
    }
    done
}
