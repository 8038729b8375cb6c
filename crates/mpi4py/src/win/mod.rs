//! `MPI.Win`: windows for one-sided access. Chapter 12 of the standard.
//!
//! | file | owns |
//! |---|---|
//! | `mod` | the class, making and freeing windows, their memory |
//! | `access` | `Put`, `Get`, `Accumulate` ... |
//! | `sync` | fences, locks and the other synchronisation |
//!
//! The memory that a window was made of is kept until the window is freed, whatever becomes of the
//! Python objects.

mod access;
mod sync;

use crate::args;
use crate::buffer::object::Buffer;
use crate::buffer::{Access, Keep, acquire};
use crate::call::{mpi, mpi_wait};
use crate::comm::Comm;
use crate::errhandler::errhandler_methods;
use crate::group::Group;
use crate::handle::{H, Handle, handle_class, new_like};
use crate::info::Info;
use mpi_abi as abi;
use mpi_abi::Aint;
use mpi_abi::consts::{
    MPI_COMM_SELF, MPI_GROUP_NULL, MPI_INFO_NULL, MPI_MAX_OBJECT_NAME, MPI_WIN_BASE, MPI_WIN_CREATE_FLAVOR,
    MPI_WIN_DISP_UNIT, MPI_WIN_FLAVOR_DYNAMIC, MPI_WIN_MODEL, MPI_WIN_NULL, MPI_WIN_SIZE,
};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};

handle_class! { "Remote memory access context.", Win, MPI_WIN_NULL, argument = win, MPI_Win_toint, MPI_Win_fromint; room = u64 }
handle_class! { @reduce Win }
errhandler_methods! { Win, MPI_Win_get_errhandler, MPI_Win_set_errhandler, MPI_Win_call_errhandler }

/// Memory in windows: of which window, at which address, and what keeps it.
static MEMORY: Mutex<Vec<(abi::Win, usize, Keep)>> = Mutex::new(Vec::new());

fn keep(win: abi::Win, addr: *mut c_void, keep: Keep) {
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner).push((win, addr.addr(), keep));
}

/// Lets memory go: one piece of a window, or all.
fn release(win: abi::Win, addr: Option<*mut c_void>) {
    let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let gone: Vec<_> = memory
        .extract_if(.., |(other, place, _)| *other == win && addr.is_none_or(|addr| addr.addr() == *place))
        .collect();
    drop(memory);
    // Outside the lock: freeing an object can run any code.
    drop(gone);
}

/// A new window as an object of the class, with the error handler that `rc.errors` asks for.
fn finish<'py>(class: &Bound<'py, PyType>, raw: abi::Win) -> PyResult<Bound<'py, Win>> {
    if let Some(handler) = crate::init::error_handler() {
        mpi!(class.py(), MPI_Win_set_errhandler(raw, handler))?;
    }
    new_like(class, raw)
}

/// The memory that a program gives for a window: writable, `None` or `BOTTOM` for none.
fn given(memory: &Bound<'_, PyAny>) -> PyResult<(*mut c_void, Aint, Keep)> {
    if memory.is_none() || crate::special::address(memory).is_some() {
        return Ok((ptr::null_mut(), 0, Keep::Nothing));
    }
    let memory = acquire(memory, Access::Write)?;
    Ok((memory.addr, memory.nbytes, memory.keep))
}

fn info_or_null(info: Option<H<Info>>) -> abi::Info {
    info.map_or(MPI_INFO_NULL, |info| info.0)
}

fn comm_or_self(comm: Option<H<Comm>>) -> abi::Comm {
    comm.map_or(MPI_COMM_SELF, |comm| comm.0)
}

impl Win {
    /// An attribute whose value is the address of something, as that address.
    fn attribute(&self, py: Python<'_>, keyval: c_int) -> PyResult<Option<*mut c_void>> {
        let (mut value, mut flag) = (ptr::null_mut::<c_void>(), 0);
        mpi!(py, MPI_Win_get_attr(self.raw(), keyval, (&raw mut value).cast(), &raw mut flag))?;
        Ok((flag != 0).then_some(value))
    }

    /// An attribute that is a number.
    fn number<T: Copy>(&self, py: Python<'_>, keyval: c_int, default: T) -> PyResult<T> {
        match self.attribute(py, keyval)? {
            // SAFETY: the callers ask for keys whose value is the address of a `T`.
            Some(value) if !value.is_null() => Ok(unsafe { value.cast::<T>().read() }),
            _ => Ok(default),
        }
    }

    /// Address, size in bytes and displacement unit of this process's part.
    fn part(&self, py: Python<'_>) -> PyResult<(*mut c_void, Aint, c_int)> {
        let base = self.attribute(py, MPI_WIN_BASE)?.unwrap_or(ptr::null_mut());
        Ok((base, self.number(py, MPI_WIN_SIZE, 0)?, self.number(py, MPI_WIN_DISP_UNIT, 1)?))
    }
}

#[pymethods]
impl Win {
    /// Create(cls, memory: Buffer | Bottom, disp_unit: int = 1, info: Info = INFO_NULL, comm: Intracomm = COMM_SELF) -> Self
    ///
    /// Make a window of memory that the program gives.
    #[classmethod]
    #[pyo3(signature = (memory, disp_unit = 1, info = None, comm = None))]
    fn Create<'py>(
        cls: &Bound<'py, PyType>,
        memory: &Bound<'py, PyAny>,
        disp_unit: Aint,
        info: Option<H<Info>>,
        comm: Option<H<Comm>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (base, size, owner) = given(memory)?;
        let (info, comm, mut raw) = (info_or_null(info), comm_or_self(comm), MPI_WIN_NULL);
        mpi_wait!(cls.py(), MPI_Win_create_c(base, size, disp_unit, info, comm, &raw mut raw))?;
        keep(raw, base, owner);
        finish(cls, raw)
    }

    /// Allocate(cls, size: int, disp_unit: int = 1, info: Info = INFO_NULL, comm: Intracomm = COMM_SELF) -> Self
    ///
    /// Make a window of memory that MPI allocates.
    #[classmethod]
    #[pyo3(signature = (size, disp_unit = 1, info = None, comm = None))]
    fn Allocate<'py>(
        cls: &Bound<'py, PyType>,
        size: Aint,
        disp_unit: Aint,
        info: Option<H<Info>>,
        comm: Option<H<Comm>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (info, comm, mut raw) = (info_or_null(info), comm_or_self(comm), MPI_WIN_NULL);
        let mut base = ptr::null_mut::<c_void>();
        let place = (&raw mut base).cast();
        mpi_wait!(cls.py(), MPI_Win_allocate_c(size, disp_unit, info, comm, place, &raw mut raw))?;
        finish(cls, raw)
    }

    /// Allocate_shared(cls, size: int, disp_unit: int = 1, info: Info = INFO_NULL, comm: Intracomm = COMM_SELF) -> Self
    ///
    /// Make a window of memory that the processes share.
    #[classmethod]
    #[pyo3(signature = (size, disp_unit = 1, info = None, comm = None))]
    fn Allocate_shared<'py>(
        cls: &Bound<'py, PyType>,
        size: Aint,
        disp_unit: Aint,
        info: Option<H<Info>>,
        comm: Option<H<Comm>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (info, comm, mut raw) = (info_or_null(info), comm_or_self(comm), MPI_WIN_NULL);
        let mut base = ptr::null_mut::<c_void>();
        let place = (&raw mut base).cast();
        mpi_wait!(cls.py(), MPI_Win_allocate_shared_c(size, disp_unit, info, comm, place, &raw mut raw))?;
        finish(cls, raw)
    }

    /// Shared_query(self, rank: int) -> tuple[buffer, int]
    ///
    /// Memory of a process in a shared window, and its displacement unit.
    fn Shared_query(slf: &Bound<'_, Self>, rank: c_int) -> PyResult<(Buffer, Aint)> {
        let (mut base, mut size, mut unit) = (ptr::null_mut::<c_void>(), 0, 1);
        let place = (&raw mut base).cast();
        mpi!(slf.py(), MPI_Win_shared_query_c(slf.get().raw(), rank, &raw mut size, &raw mut unit, place))?;
        Ok((Buffer::at(base, size, false, None), unit))
    }

    /// Create_dynamic(cls, info: Info = INFO_NULL, comm: Intracomm = COMM_SELF) -> Self
    ///
    /// Make a window to which memory is attached later.
    #[classmethod]
    #[pyo3(signature = (info = None, comm = None))]
    fn Create_dynamic<'py>(
        cls: &Bound<'py, PyType>,
        info: Option<H<Info>>,
        comm: Option<H<Comm>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (info, comm, mut raw) = (info_or_null(info), comm_or_self(comm), MPI_WIN_NULL);
        mpi_wait!(cls.py(), MPI_Win_create_dynamic(info, comm, &raw mut raw))?;
        finish(cls, raw)
    }

    /// Attach(self, memory: Buffer) -> None
    ///
    /// Attach memory to a dynamic window.
    fn Attach(&self, py: Python<'_>, memory: &Bound<'_, PyAny>) -> PyResult<()> {
        let (base, size, owner) = given(memory)?;
        let raw = self.raw();
        mpi_wait!(py, MPI_Win_attach(raw, base, size))?;
        keep(raw, base, owner);
        Ok(())
    }

    /// Detach(self, memory: Buffer) -> None
    ///
    /// Take memory out of a dynamic window.
    fn Detach(&self, py: Python<'_>, memory: &Bound<'_, PyAny>) -> PyResult<()> {
        let (base, _, _keep) = given(memory)?;
        let raw = self.raw();
        mpi_wait!(py, MPI_Win_detach(raw, base))?;
        release(raw, Some(base));
        Ok(())
    }

    /// Free(self) -> None
    ///
    /// Free the window.
    fn Free(&self, py: Python<'_>) -> PyResult<()> {
        let (mut raw, before) = (self.raw(), self.raw());
        mpi_wait!(py, MPI_Win_free(&raw mut raw))?;
        self.slot().set(raw);
        release(before, None);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Free` if the window is not null.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Free(py))
    }

    /// Set_info(self, info: Info) -> None
    ///
    /// Set hints.
    fn Set_info(&self, py: Python<'_>, info: H<Info>) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_Win_set_info(raw, info.0))
    }

    /// Get_info(self) -> Info
    ///
    /// Hints in force.
    fn Get_info(&self, py: Python<'_>) -> PyResult<Py<Info>> {
        let mut info = MPI_INFO_NULL;
        mpi!(py, MPI_Win_get_info(self.raw(), &raw mut info))?;
        Info::wrap(py, info)
    }

    /// info: Info
    ///
    /// Hints.
    #[getter]
    fn info(&self, py: Python<'_>) -> PyResult<Py<Info>> {
        self.Get_info(py)
    }

    #[setter]
    fn set_info(&self, py: Python<'_>, info: H<Info>) -> PyResult<()> {
        self.Set_info(py, info)
    }

    /// Get_group(self) -> Group
    ///
    /// Group of the processes.
    fn Get_group(&self, py: Python<'_>) -> PyResult<Py<Group>> {
        let mut group = MPI_GROUP_NULL;
        mpi!(py, MPI_Win_get_group(self.raw(), &raw mut group))?;
        Group::wrap(py, group)
    }

    /// group: Group
    ///
    /// Group of the processes.
    #[getter]
    fn group(&self, py: Python<'_>) -> PyResult<Py<Group>> {
        self.Get_group(py)
    }

    /// group_size: int
    ///
    /// Number of processes.
    #[getter]
    fn group_size(&self, py: Python<'_>) -> PyResult<c_int> {
        crate::group::of(py, self.Get_group(py)?, |raw, size| mpi!(py, MPI_Group_size(raw, size)))
    }

    /// group_rank: int
    ///
    /// Rank of this process.
    #[getter]
    fn group_rank(&self, py: Python<'_>) -> PyResult<c_int> {
        crate::group::of(py, self.Get_group(py)?, |raw, rank| mpi!(py, MPI_Group_rank(raw, rank)))
    }

    /// attrs: tuple[int, int, int]
    ///
    /// Address, size and displacement unit of this process's part.
    #[getter]
    fn attrs(&self, py: Python<'_>) -> PyResult<(usize, Aint, c_int)> {
        let (base, size, unit) = self.part(py)?;
        Ok((base.addr(), size, unit))
    }

    /// flavor: int
    ///
    /// How the window was made, one of the WIN_FLAVOR_* constants.
    #[getter]
    fn flavor(&self, py: Python<'_>) -> PyResult<c_int> {
        self.number(py, MPI_WIN_CREATE_FLAVOR, 0)
    }

    /// model: int
    ///
    /// Memory model: `WIN_SEPARATE` or `WIN_UNIFIED`.
    #[getter]
    fn model(&self, py: Python<'_>) -> PyResult<c_int> {
        self.number(py, MPI_WIN_MODEL, 0)
    }

    /// tomemory(self) -> buffer
    ///
    /// Memory of this process in the window.
    fn tomemory(slf: &Bound<'_, Self>) -> PyResult<Buffer> {
        let (base, size, _) = slf.get().part(slf.py())?;
        Ok(Buffer::at(base, size, false, Some(slf.clone().into_any().unbind())))
    }

    /// # Safety
    /// Called by the interpreter with a structure to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let py = slf.py();
        let (base, size, _) = slf.get().part(py)?;
        if slf.get().flavor(py)? == MPI_WIN_FLAVOR_DYNAMIC && size != 0 {
            return Err(PyValueError::new_err("a dynamic window has no memory of its own"));
        }
        // SAFETY: the interpreter's structure; the memory is the window's, which the program frees last.
        if unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), base, size, 0, flags) } != 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(())
    }

    /// Get_name(self) -> str
    ///
    /// Name of the window.
    fn Get_name(&self, py: Python<'_>) -> PyResult<String> {
        let (mut name, mut length) = ([0 as c_char; MPI_MAX_OBJECT_NAME as usize + 1], 0);
        mpi!(py, MPI_Win_get_name(self.raw(), name.as_mut_ptr(), &raw mut length))?;
        Ok(args::text(&name))
    }

    /// Set_name(self, name: str) -> None
    ///
    /// Set the name of the window.
    fn Set_name(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        let name = CString::new(name)?;
        mpi!(py, MPI_Win_set_name(self.raw(), name.as_ptr()))
    }

    /// name: str
    ///
    /// Name of the window.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        self.Get_name(py)
    }

    #[setter]
    fn set_name(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        self.Set_name(py, name)
    }
}
