//! Module functions about the environment: versions, time, names; and the private ones that tests
//! and tools use to look into objects. Chapters 9.1, 9.6 and 20 of the standard.

use crate::args;
use crate::call::mpi;
use crate::comm::Comm;
use crate::datatype::Datatype;
use crate::errhandler::Errhandler;
use crate::file::File;
use crate::group::Group;
use crate::handle::{Handle, RawHandle};
use crate::info::Info;
use crate::message::Message;
use crate::op::Op;
use crate::request::Request;
use crate::session::Session;
use crate::status::Status;
use crate::win::Win;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_INFO_NULL, MPI_MAX_LIBRARY_VERSION_STRING, MPI_MAX_PROCESSOR_NAME};
use mpi_abi::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{c_char, c_int};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(Get_version, module)?)?;
    module.add_function(wrap_pyfunction!(Get_library_version, module)?)?;
    module.add_function(wrap_pyfunction!(Get_abi_version, module)?)?;
    module.add_function(wrap_pyfunction!(Get_abi_info, module)?)?;
    module.add_function(wrap_pyfunction!(Get_abi_fortran_info, module)?)?;
    module.add_function(wrap_pyfunction!(Get_processor_name, module)?)?;
    module.add_function(wrap_pyfunction!(Get_hw_resource_info, module)?)?;
    module.add_function(wrap_pyfunction!(Wtime, module)?)?;
    module.add_function(wrap_pyfunction!(Wtick, module)?)?;
    module.add_function(wrap_pyfunction!(Pcontrol, module)?)?;
    module.add_function(wrap_pyfunction!(get_vendor, module)?)?;
    module.add_function(wrap_pyfunction!(_sizeof, module)?)?;
    module.add_function(wrap_pyfunction!(_addressof, module)?)?;
    module.add_function(wrap_pyfunction!(_handleof, module)?)
}

/// Get_version() -> tuple[int, int]
///
/// Version of the standard that the library implements.
#[pyfunction]
fn Get_version(py: Python<'_>) -> PyResult<(c_int, c_int)> {
    let (mut version, mut subversion) = (0, 0);
    mpi!(py, MPI_Get_version(&raw mut version, &raw mut subversion))?;
    Ok((version, subversion))
}

/// Get_library_version() -> str
///
/// Name and version of the library.
#[pyfunction]
fn Get_library_version(py: Python<'_>) -> PyResult<String> {
    let mut text = vec![0 as c_char; MPI_MAX_LIBRARY_VERSION_STRING as usize + 1];
    let (pointer, mut length) = (text.as_mut_ptr(), 0);
    mpi!(py, MPI_Get_library_version(pointer, &raw mut length))?;
    Ok(args::text(&text))
}

/// Get_abi_version() -> tuple[int, int]
///
/// Version of the standard's binary interface that the library offers.
#[pyfunction]
fn Get_abi_version(py: Python<'_>) -> PyResult<(c_int, c_int)> {
    let (mut version, mut subversion) = (0, 0);
    mpi!(py, MPI_Abi_get_version(&raw mut version, &raw mut subversion))?;
    Ok((version, subversion))
}

/// Get_abi_info() -> Info
///
/// Properties of the binary interface.
#[pyfunction]
fn Get_abi_info(py: Python<'_>) -> PyResult<Py<Info>> {
    let mut info = MPI_INFO_NULL;
    mpi!(py, MPI_Abi_get_info(&raw mut info))?;
    Info::wrap(py, info)
}

/// Get_abi_fortran_info() -> Info
///
/// Sizes of Fortran's types.
#[pyfunction]
fn Get_abi_fortran_info(py: Python<'_>) -> PyResult<Py<Info>> {
    let mut info = MPI_INFO_NULL;
    mpi!(py, MPI_Abi_get_fortran_info(&raw mut info))?;
    Info::wrap(py, info)
}

/// Get_processor_name() -> str
///
/// Name of the machine.
#[pyfunction]
fn Get_processor_name(py: Python<'_>) -> PyResult<String> {
    let (mut name, mut length) = ([0 as c_char; MPI_MAX_PROCESSOR_NAME as usize + 1], 0);
    mpi!(py, MPI_Get_processor_name(name.as_mut_ptr(), &raw mut length))?;
    Ok(args::text(&name))
}

/// Get_hw_resource_info() -> Info
///
/// Hardware that the process runs on.
#[pyfunction]
fn Get_hw_resource_info(py: Python<'_>) -> PyResult<Py<Info>> {
    let mut info = MPI_INFO_NULL;
    mpi!(py, MPI_Get_hw_resource_info(&raw mut info))?;
    Info::wrap(py, info)
}

/// Wtime() -> float
///
/// Seconds since some time in the past.
#[pyfunction]
fn Wtime() -> f64 {
    // SAFETY: takes nothing; may be called at any time.
    unsafe { ffi::MPI_Wtime() }
}

/// Wtick() -> float
///
/// Resolution of `Wtime` in seconds.
#[pyfunction]
fn Wtick() -> f64 {
    // SAFETY: takes nothing; may be called at any time.
    unsafe { ffi::MPI_Wtick() }
}

/// Pcontrol(level: int) -> None
///
/// Tell a profiling tool how much to record.
#[pyfunction]
fn Pcontrol(py: Python<'_>, level: c_int) -> PyResult<()> {
    mpi!(py, MPI_Pcontrol(level))
}

/// get_vendor() -> tuple[str, tuple[int, int, int]]
///
/// Name and version of the library, as far as its version text tells.
#[pyfunction]
fn get_vendor(py: Python<'_>) -> PyResult<(String, (c_int, c_int, c_int))> {
    let text = Get_library_version(py)?;
    for (start, name) in [
        ("MPICH Version:", "MPICH"),
        ("Open MPI v", "Open MPI"),
        ("Intel(R) MPI Library", "Intel MPI"),
        ("MVAPICH Version:", "MVAPICH"),
        ("MVAPICH2 Version:", "MVAPICH2"),
        ("oxmpi", "oxmpi"),
    ] {
        if let Some(rest) = text.strip_prefix(start) {
            return Ok((name.to_owned(), numbers(rest)));
        }
    }
    Ok(("unknown".to_owned(), (0, 0, 0)))
}

/// The first version number in a text.
fn numbers(text: &str) -> (c_int, c_int, c_int) {
    let start = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let version = &text[start..];
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let mut parts = version[..end].split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

/// Asks an object of one of the handle classes for something.
macro_rules! any_handle {
    ($object:expr, $handle:ident => $answer:expr, $status:ident => $for_status:expr) => {{
        any_handle!(@try $object, $handle => $answer;
            Comm, Datatype, Request, Message, Op, Group, Info, Errhandler, Session, Win, File);
        if let Ok($status) = $object.cast::<Status>() {
            return Ok($for_status);
        }
        Err(args::expected("an MPI object", $object))
    }};
    (@try $object:expr, $handle:ident => $answer:expr; $($class:ident),*) => {
        $(if let Ok($handle) = $object.cast::<$class>() {
            return Ok($answer);
        })*
    };
}

/// _sizeof(arg: Any) -> int
///
/// Size of the MPI object in C.
#[pyfunction]
fn _sizeof(arg: &Bound<'_, PyAny>) -> PyResult<usize> {
    if let Ok(class) = arg.cast::<PyType>() {
        let py = arg.py();
        if class.is_subclass(&py.get_type::<Status>())? {
            return Ok(size_of::<abi::Status>());
        }
        let handles = [
            py.get_type::<Comm>(),
            py.get_type::<Datatype>(),
            py.get_type::<Request>(),
            py.get_type::<Message>(),
            py.get_type::<Op>(),
            py.get_type::<Group>(),
            py.get_type::<Info>(),
            py.get_type::<Errhandler>(),
            py.get_type::<Session>(),
            py.get_type::<Win>(),
            py.get_type::<File>(),
        ];
        for handle in handles {
            if class.is_subclass(&handle)? {
                return Ok(size_of::<usize>());
            }
        }
    }
    any_handle!(arg, _handle => size_of::<usize>(), _status => size_of::<abi::Status>())
}

/// _addressof(arg: Any) -> int
///
/// Address of the MPI object in C.
#[pyfunction]
fn _addressof(arg: &Bound<'_, PyAny>) -> PyResult<usize> {
    any_handle!(arg, handle => handle.get().slot().address(), status => status.get().address())
}

/// _handleof(arg: Any) -> int
///
/// The MPI object in C as an integer.
#[pyfunction]
fn _handleof(arg: &Bound<'_, PyAny>) -> PyResult<usize> {
    any_handle!(arg, handle => handle.get().raw().bits(), status => status.get().address())
}
