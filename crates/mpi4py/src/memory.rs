//! Memory functions of the module: `Alloc_mem`, addresses, and the buffers of buffered sends.
//! Chapters 3.6, 4.1 and 9.2 of the standard.

use crate::buffer::object::Buffer;
use crate::buffer::{Access, acquire};
use crate::call::{mpi, mpi_wait};
use crate::comm::Comm;
use crate::handle::{H, Handle};
use crate::info::Info;
use crate::request::{Owner, Request};
use crate::session::Session;
use crate::special::{BufferAutomaticType, address};
use mpi_abi::consts::{MPI_BUFFER_AUTOMATIC, MPI_INFO_NULL, MPI_REQUEST_NULL};
use mpi_abi::{Aint, Count};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, PoisonError};

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Buffer>()?;
    module.add("memory", module.getattr("buffer")?)?;
    module.add_function(wrap_pyfunction!(Alloc_mem, module)?)?;
    module.add_function(wrap_pyfunction!(Free_mem, module)?)?;
    module.add_function(wrap_pyfunction!(Get_address, module)?)?;
    module.add_function(wrap_pyfunction!(Aint_add, module)?)?;
    module.add_function(wrap_pyfunction!(Aint_diff, module)?)?;
    module.add_function(wrap_pyfunction!(Attach_buffer, module)?)?;
    module.add_function(wrap_pyfunction!(Detach_buffer, module)?)?;
    module.add_function(wrap_pyfunction!(Flush_buffer, module)?)?;
    module.add_function(wrap_pyfunction!(Iflush_buffer, module)?)
}

/// Alloc_mem(size: int, info: Info = INFO_NULL) -> buffer
///
/// Allocate memory that is good for communication.
#[pyfunction]
#[pyo3(signature = (size, info = None))]
fn Alloc_mem(py: Python<'_>, size: Aint, info: Option<H<Info>>) -> PyResult<Buffer> {
    if size < 0 {
        return Err(PyValueError::new_err(format!("expecting a non-negative size, not {size}")));
    }
    let mut base: *mut c_void = ptr::null_mut();
    let info = info.map_or(MPI_INFO_NULL, |info| info.0);
    mpi!(py, MPI_Alloc_mem(size, info, (&raw mut base).cast()))?;
    Ok(Buffer::at(base, size, false, None))
}

/// Free_mem(mem: buffer) -> None
///
/// Free memory that `Alloc_mem` gave.
#[pyfunction]
fn Free_mem(py: Python<'_>, mem: &Bound<'_, Buffer>) -> PyResult<()> {
    mpi!(py, MPI_Free_mem(mem.get().addr()))?;
    mem.get().clear();
    Ok(())
}

/// Get_address(location: Buffer | Bottom) -> int
///
/// Address of a buffer.
#[pyfunction]
fn Get_address(py: Python<'_>, location: &Bound<'_, PyAny>) -> PyResult<Aint> {
    let addr = if location.is_none() { ptr::null_mut() } else { acquire(location, Access::Read)?.addr };
    let mut address = 0;
    mpi!(py, MPI_Get_address(addr, &raw mut address))?;
    Ok(address)
}

/// Aint_add(base: int, disp: int) -> int
///
/// Address `disp` bytes behind an address.
#[pyfunction]
fn Aint_add(base: Aint, disp: Aint) -> Aint {
    // SAFETY: plain arithmetic.
    unsafe { mpi_abi::ffi::MPI_Aint_add(base, disp) }
}

/// Aint_diff(addr1: int, addr2: int) -> int
///
/// Difference of two addresses.
#[pyfunction]
fn Aint_diff(addr1: Aint, addr2: Aint) -> Aint {
    // SAFETY: plain arithmetic.
    unsafe { mpi_abi::ffi::MPI_Aint_diff(addr1, addr2) }
}

/// Whose buffer: the process's, a communicator's, a session's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Process,
    Comm(mpi_abi::Comm),
    Session(mpi_abi::Session),
}

/// Objects whose memory is attached, until they are detached.
static ATTACHED: Mutex<Vec<(Whose, Attached)>> = Mutex::new(Vec::new());

struct Attached {
    addr: usize,
    object: Py<PyAny>,
    _keep: crate::buffer::Keep,
}

fn attach(
    py: Python<'_>,
    whose: Whose,
    object: &Bound<'_, PyAny>,
    call: impl FnOnce(*mut c_void, Count) -> PyResult<()>,
) -> PyResult<()> {
    if object.is_instance_of::<BufferAutomaticType>() {
        return call(MPI_BUFFER_AUTOMATIC, 0);
    }
    if object.is_none() || address(object).is_some() {
        return call(ptr::null_mut(), 0);
    }
    let memory = acquire(object, Access::Write)?;
    call(memory.addr, memory.nbytes as Count)?;
    let attached = Attached { addr: memory.addr.addr(), object: object.clone().unbind(), _keep: memory.keep };
    let mut all = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
    let old: Vec<_> = all.extract_if(.., |(other, _)| *other == whose).collect();
    all.push((whose, attached));
    drop(all);
    drop(old);
    let _ = py;
    Ok(())
}

fn detach(py: Python<'_>, whose: Whose, addr: *mut c_void, size: Count) -> PyResult<Py<PyAny>> {
    let mut all = ATTACHED.lock().unwrap_or_else(PoisonError::into_inner);
    let old: Vec<_> = all.extract_if(.., |(other, _)| *other == whose).collect();
    drop(all);
    if addr == MPI_BUFFER_AUTOMATIC {
        return Ok(Py::new(py, BufferAutomaticType)?.into_any());
    }
    if addr.is_null() {
        return Ok(py.None());
    }
    match old.into_iter().find(|(_, attached)| attached.addr == addr.addr()) {
        Some((_, attached)) => Ok(attached.object),
        None => Ok(Py::new(py, Buffer::at(addr, isize::try_from(size)?, false, None))?.into_any()),
    }
}

/// Attach_buffer(buf: Buffer | None) -> None
///
/// Give MPI memory for buffered sends.
#[pyfunction]
fn Attach_buffer(py: Python<'_>, buf: &Bound<'_, PyAny>) -> PyResult<()> {
    attach(py, Whose::Process, buf, |addr, size| mpi!(py, MPI_Buffer_attach_c(addr, size)))
}

/// Detach_buffer() -> Buffer | None
///
/// Take the memory for buffered sends back, after all messages in it are sent.
#[pyfunction]
fn Detach_buffer(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let (mut addr, mut size) = (ptr::null_mut::<c_void>(), 0);
    mpi_wait!(py, MPI_Buffer_detach_c((&raw mut addr).cast(), &raw mut size))?;
    detach(py, Whose::Process, addr, size)
}

/// Flush_buffer() -> None
///
/// Wait until all messages in the memory for buffered sends are sent.
#[pyfunction]
fn Flush_buffer(py: Python<'_>) -> PyResult<()> {
    mpi_wait!(py, MPI_Buffer_flush())
}

/// Iflush_buffer() -> Request
///
/// Nonblocking form of `Flush_buffer`.
#[pyfunction]
fn Iflush_buffer(py: Python<'_>) -> PyResult<Py<Request>> {
    let mut request = MPI_REQUEST_NULL;
    mpi_wait!(py, MPI_Buffer_iflush(&raw mut request))?;
    Request::make(py, request, Owner::None)
}

macro_rules! attach_methods {
    ($class:ident: $attach:ident, $detach:ident, $flush:ident, $iflush:ident) => {
        #[pymethods]
        impl $class {
            #[doc = "Attach_buffer(self, buf: Buffer | None) -> None\n\nGive MPI memory for buffered sends."]
            fn Attach_buffer(&self, py: Python<'_>, buf: &Bound<'_, PyAny>) -> PyResult<()> {
                let own = self.raw();
                attach(py, Whose::$class(own), buf, |addr, size| mpi!(py, $attach(own, addr, size)))
            }

            #[doc = "Detach_buffer(self) -> Buffer | None\n\nTake the memory for buffered sends back, after all messages in it are sent."]
            fn Detach_buffer(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                let own = self.raw();
                let (mut addr, mut size) = (ptr::null_mut::<c_void>(), 0);
                mpi_wait!(py, $detach(own, (&raw mut addr).cast(), &raw mut size))?;
                detach(py, Whose::$class(own), addr, size)
            }

            #[doc = "Flush_buffer(self) -> None\n\nWait until all messages in the memory for buffered sends are sent."]
            fn Flush_buffer(&self, py: Python<'_>) -> PyResult<()> {
                let own = self.raw();
                mpi_wait!(py, $flush(own))
            }

            #[doc = "Iflush_buffer(self) -> Request\n\nNonblocking form of `Flush_buffer`."]
            fn Iflush_buffer(&self, py: Python<'_>) -> PyResult<Py<Request>> {
                let (own, mut request) = (self.raw(), MPI_REQUEST_NULL);
                mpi_wait!(py, $iflush(own, &raw mut request))?;
                Request::make(py, request, Owner::None)
            }
        }
    };
}

attach_methods! {
    Comm: MPI_Comm_attach_buffer_c, MPI_Comm_detach_buffer_c, MPI_Comm_flush_buffer, MPI_Comm_iflush_buffer
}
attach_methods! {
    Session: MPI_Session_attach_buffer_c, MPI_Session_detach_buffer_c, MPI_Session_flush_buffer,
    MPI_Session_iflush_buffer
}
