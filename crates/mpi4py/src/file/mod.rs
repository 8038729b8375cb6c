//! `MPI.File`: files that the processes of a communicator share. Chapter 14 of the standard.
//!
//! | file | owns |
//! |---|---|
//! | `mod` | the class: opening, views, sizes, consistency |
//! | `access` | reading and writing |
//! | `datarep` | data representations in Python |

mod access;
pub(crate) mod datarep;

use crate::args;
use crate::call::{mpi, mpi_wait};
use crate::comm::Comm;
use crate::datatype::Datatype;
use crate::errhandler::errhandler_methods;
use crate::group::Group;
use crate::handle::{H, Handle, handle_class, new_like};
use crate::info::Info;
use mpi_abi as abi;
use mpi_abi::Offset;
use mpi_abi::consts::{
    MPI_BYTE, MPI_DATATYPE_NULL, MPI_FILE_NULL, MPI_GROUP_NULL, MPI_INFO_NULL, MPI_MAX_DATAREP_STRING, MPI_MODE_RDONLY,
    MPI_SEEK_SET,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use std::ffi::{CString, c_char, c_int};

handle_class! { "File I/O context.", File, MPI_FILE_NULL, argument = file, MPI_File_toint, MPI_File_fromint }
handle_class! { @reduce File }
errhandler_methods! { File, MPI_File_get_errhandler, MPI_File_set_errhandler, MPI_File_call_errhandler }

fn info_or_null(info: Option<H<Info>>) -> abi::Info {
    info.map_or(MPI_INFO_NULL, |info| info.0)
}

/// The name of a file: text, bytes or a path object.
fn path(name: &Bound<'_, PyAny>) -> PyResult<CString> {
    let name = name.py().import("os")?.call_method1("fsencode", (name,))?;
    Ok(CString::new(name.cast::<PyBytes>()?.as_bytes())?)
}

#[pymethods]
impl File {
    /// Open(cls, comm: Intracomm, filename: PathLike[AnyStr] | str | bytes, amode: int = MODE_RDONLY, info: Info = INFO_NULL) -> Self
    ///
    /// Open a file; all processes of the communicator call.
    #[classmethod]
    #[pyo3(signature = (comm, filename, amode = MPI_MODE_RDONLY, info = None))]
    fn Open<'py>(
        cls: &Bound<'py, PyType>,
        comm: H<Comm>,
        filename: &Bound<'py, PyAny>,
        amode: c_int,
        info: Option<H<Info>>,
    ) -> PyResult<Bound<'py, Self>> {
        let (comm, name, info, mut raw) = (comm.0, path(filename)?, info_or_null(info), MPI_FILE_NULL);
        let text = name.as_ptr();
        mpi_wait!(cls.py(), MPI_File_open(comm, text, amode, info, &raw mut raw))?;
        if let Some(handler) = crate::init::error_handler() {
            mpi!(cls.py(), MPI_File_set_errhandler(raw, handler))?;
        }
        new_like(cls, raw)
    }

    /// Close(self) -> None
    ///
    /// Close the file.
    fn Close(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi_wait!(py, MPI_File_close(&raw mut raw))?;
        self.slot().set(raw);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Close` if the file is not null.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Close(py))
    }

    /// Delete(cls, filename: PathLike[AnyStr] | str | bytes, info: Info = INFO_NULL) -> None
    ///
    /// Delete a file.
    #[classmethod]
    #[pyo3(signature = (filename, info = None))]
    fn Delete(cls: &Bound<'_, PyType>, filename: &Bound<'_, PyAny>, info: Option<H<Info>>) -> PyResult<()> {
        let (name, info) = (path(filename)?, info_or_null(info));
        let text = name.as_ptr();
        mpi_wait!(cls.py(), MPI_File_delete(text, info))
    }

    /// Set_size(self, size: int) -> None
    ///
    /// Set the size of the file.
    fn Set_size(&self, py: Python<'_>, size: Offset) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_File_set_size(raw, size))
    }

    /// Preallocate(self, size: int) -> None
    ///
    /// Make sure that there is room for a file of this size.
    fn Preallocate(&self, py: Python<'_>, size: Offset) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_File_preallocate(raw, size))
    }

    /// Get_size(self) -> int
    ///
    /// Size of the file.
    fn Get_size(&self, py: Python<'_>) -> PyResult<Offset> {
        let (raw, mut size) = (self.raw(), 0);
        mpi_wait!(py, MPI_File_get_size(raw, &raw mut size))?;
        Ok(size)
    }

    /// size: int
    ///
    /// Size of the file.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<Offset> {
        self.Get_size(py)
    }

    /// Get_amode(self) -> int
    ///
    /// Access mode.
    fn Get_amode(&self, py: Python<'_>) -> PyResult<c_int> {
        let mut amode = 0;
        mpi!(py, MPI_File_get_amode(self.raw(), &raw mut amode))?;
        Ok(amode)
    }

    /// amode: int
    ///
    /// Access mode.
    #[getter]
    fn amode(&self, py: Python<'_>) -> PyResult<c_int> {
        self.Get_amode(py)
    }

    /// Get_group(self) -> Group
    ///
    /// Group of the processes that opened the file.
    fn Get_group(&self, py: Python<'_>) -> PyResult<Py<Group>> {
        let mut group = MPI_GROUP_NULL;
        mpi!(py, MPI_File_get_group(self.raw(), &raw mut group))?;
        Group::wrap(py, group)
    }

    /// group: Group
    ///
    /// Group of the processes that opened the file.
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

    /// Set_info(self, info: Info) -> None
    ///
    /// Set hints.
    fn Set_info(&self, py: Python<'_>, info: H<Info>) -> PyResult<()> {
        let (raw, info) = (self.raw(), info.0);
        mpi_wait!(py, MPI_File_set_info(raw, info))
    }

    /// Get_info(self) -> Info
    ///
    /// Hints in force.
    fn Get_info(&self, py: Python<'_>) -> PyResult<Py<Info>> {
        let mut info = MPI_INFO_NULL;
        mpi!(py, MPI_File_get_info(self.raw(), &raw mut info))?;
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

    /// Set_view(self, disp: int = 0, etype: Datatype = BYTE, filetype: Datatype | None = None, datarep: str = 'native', info: Info = INFO_NULL) -> None
    ///
    /// Set the part of the file that this process sees.
    #[pyo3(signature = (disp = 0, etype = None, filetype = None, datarep = "native", info = None))]
    fn Set_view(
        &self,
        py: Python<'_>,
        disp: Offset,
        etype: Option<H<Datatype>>,
        filetype: Option<H<Datatype>>,
        datarep: &str,
        info: Option<H<Info>>,
    ) -> PyResult<()> {
        let etype = etype.map_or(MPI_BYTE, |etype| etype.0);
        let filetype = filetype.map_or(etype, |filetype| filetype.0);
        let (raw, name, info) = (self.raw(), CString::new(datarep)?, info_or_null(info));
        let text = name.as_ptr();
        mpi_wait!(py, MPI_File_set_view(raw, disp, etype, filetype, text, info))
    }

    /// Get_view(self) -> tuple[int, Datatype, Datatype, str]
    ///
    /// The part of the file that this process sees.
    fn Get_view(&self, py: Python<'_>) -> PyResult<(Offset, Py<Datatype>, Py<Datatype>, String)> {
        let (mut disp, mut etype, mut filetype) = (0, MPI_DATATYPE_NULL, MPI_DATATYPE_NULL);
        let mut datarep = [0 as c_char; MPI_MAX_DATAREP_STRING as usize + 1];
        let text = datarep.as_mut_ptr();
        mpi!(py, MPI_File_get_view(self.raw(), &raw mut disp, &raw mut etype, &raw mut filetype, text))?;
        Ok((disp, Datatype::wrap(py, etype)?, Datatype::wrap(py, filetype)?, args::text(&datarep)))
    }

    /// Seek(self, offset: int, whence: int = SEEK_SET) -> None
    ///
    /// Set this process's position.
    #[pyo3(signature = (offset, whence = MPI_SEEK_SET))]
    fn Seek(&self, py: Python<'_>, offset: Offset, whence: c_int) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_File_seek(raw, offset, whence))
    }

    /// Get_position(self) -> int
    ///
    /// This process's position, in elements of the view.
    fn Get_position(&self, py: Python<'_>) -> PyResult<Offset> {
        let mut offset = 0;
        mpi!(py, MPI_File_get_position(self.raw(), &raw mut offset))?;
        Ok(offset)
    }

    /// Get_byte_offset(self, offset: int) -> int
    ///
    /// Position in the file of a position in the view.
    fn Get_byte_offset(&self, py: Python<'_>, offset: Offset) -> PyResult<Offset> {
        let mut disp = 0;
        mpi!(py, MPI_File_get_byte_offset(self.raw(), offset, &raw mut disp))?;
        Ok(disp)
    }

    /// Seek_shared(self, offset: int, whence: int = SEEK_SET) -> None
    ///
    /// Set the position that the processes share.
    #[pyo3(signature = (offset, whence = MPI_SEEK_SET))]
    fn Seek_shared(&self, py: Python<'_>, offset: Offset, whence: c_int) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_File_seek_shared(raw, offset, whence))
    }

    /// Get_position_shared(self) -> int
    ///
    /// The position that the processes share, in elements of the view.
    fn Get_position_shared(&self, py: Python<'_>) -> PyResult<Offset> {
        let (raw, mut offset) = (self.raw(), 0);
        mpi_wait!(py, MPI_File_get_position_shared(raw, &raw mut offset))?;
        Ok(offset)
    }

    /// Get_type_extent(self, datatype: Datatype) -> int
    ///
    /// Extent of a datatype in the file.
    fn Get_type_extent(&self, py: Python<'_>, datatype: H<Datatype>) -> PyResult<i64> {
        let mut extent = 0;
        mpi!(py, MPI_File_get_type_extent_c(self.raw(), datatype.0, &raw mut extent))?;
        Ok(extent)
    }

    /// Set_atomicity(self, flag: bool) -> None
    ///
    /// Set whether accesses are atomic.
    fn Set_atomicity(&self, py: Python<'_>, flag: bool) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_File_set_atomicity(raw, c_int::from(flag)))
    }

    /// Get_atomicity(self) -> bool
    ///
    /// Whether accesses are atomic.
    fn Get_atomicity(&self, py: Python<'_>) -> PyResult<bool> {
        let mut flag = 0;
        mpi!(py, MPI_File_get_atomicity(self.raw(), &raw mut flag))?;
        Ok(flag != 0)
    }

    /// atomicity: bool
    ///
    /// Whether accesses are atomic.
    #[getter]
    fn atomicity(&self, py: Python<'_>) -> PyResult<bool> {
        self.Get_atomicity(py)
    }

    #[setter]
    fn set_atomicity(&self, py: Python<'_>, flag: bool) -> PyResult<()> {
        self.Set_atomicity(py, flag)
    }

    /// Sync(self) -> None
    ///
    /// Bring what was written to the storage.
    fn Sync(&self, py: Python<'_>) -> PyResult<()> {
        let raw = self.raw();
        mpi_wait!(py, MPI_File_sync(raw))
    }
}
