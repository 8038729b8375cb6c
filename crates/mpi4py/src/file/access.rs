//! Reading and writing files: 40 functions that differ in who sets the position, who takes part and
//! when they return. Chapter 14.4 of the standard. (`Access` is what MPI does with the memory: to read a
//! file is to write memory.)

use super::File;
use crate::buffer::{Access, Keep, spec::simple};
use crate::call::mpi_wait;
use crate::handle::Handle;
use crate::request::Request;
use crate::status::{Out, Status};
use mpi_abi as abi;
use mpi_abi::Offset;
use mpi_abi::consts::MPI_REQUEST_NULL;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

type Object<'a, 'py> = &'a Bound<'py, PyAny>;
type MaybeStatus<'a, 'py> = Option<&'a Bound<'py, Status>>;

/// Memory of split operations, between their beginning and their end.
static SPLIT: Mutex<Vec<(abi::File, Keep)>> = Mutex::new(Vec::new());

fn begun(file: abi::File, keep: Keep) {
    SPLIT.lock().unwrap_or_else(PoisonError::into_inner).push((file, keep));
}

fn ended(file: abi::File) {
    let mut all = SPLIT.lock().unwrap_or_else(PoisonError::into_inner);
    let gone: Vec<_> = all.extract_if(.., |(other, _)| *other == file).collect();
    drop(all);
    // Outside the lock: freeing an object can run any code.
    drop(gone);
}

/// Blocking forms: at an own position, or where `offset` says.
macro_rules! blocking {
    ($($name:ident $function:ident, $access:ident, ($($offset:ident)?), $doc:literal;)*) => {
        #[pymethods]
        impl File {$(
            #[doc = concat!(stringify!($name), "(self, " $(, stringify!($offset), ": int, ")?, "buf: BufSpec, status: Status | None = None) -> None\n\n", $doc)]
            #[pyo3(signature = ($($offset,)? buf, status = None))]
            fn $name(&self, py: Python<'_>, $($offset: Offset,)? buf: Object<'_, '_>, status: MaybeStatus<'_, '_>) -> PyResult<()> {
                let (m, raw, mut out) = (simple(buf, Access::$access, 1)?, self.raw(), Out::new(status));
                let pointer = out.pointer();
                let done = mpi_wait!(py, $function(raw, $($offset,)? m.addr, m.count, m.datatype, pointer));
                out.store();
                done
            }
        )*}
    };
}

blocking! {
    Read MPI_File_read_c, Write, (), "Read at this process's position.";
    Read_all MPI_File_read_all_c, Write, (), "Read at this process's position, all processes together.";
    Read_at MPI_File_read_at_c, Write, (offset), "Read at a given position.";
    Read_at_all MPI_File_read_at_all_c, Write, (offset), "Read at given positions, all processes together.";
    Read_shared MPI_File_read_shared_c, Write, (), "Read at the shared position.";
    Read_ordered MPI_File_read_ordered_c, Write, (), "Read at the shared position, in the order of the ranks.";
    Write MPI_File_write_c, Read, (), "Write at this process's position.";
    Write_all MPI_File_write_all_c, Read, (), "Write at this process's position, all processes together.";
    Write_at MPI_File_write_at_c, Read, (offset), "Write at a given position.";
    Write_at_all MPI_File_write_at_all_c, Read, (offset), "Write at given positions, all processes together.";
    Write_shared MPI_File_write_shared_c, Read, (), "Write at the shared position.";
    Write_ordered MPI_File_write_ordered_c, Read, (), "Write at the shared position, in the order of the ranks.";
}

/// Nonblocking forms.
macro_rules! nonblocking {
    ($($name:ident $function:ident, $access:ident, ($($offset:ident)?), $doc:literal;)*) => {
        #[pymethods]
        impl File {$(
            #[doc = concat!(stringify!($name), "(self, " $(, stringify!($offset), ": int, ")?, "buf: BufSpec) -> Request\n\n", $doc)]
            #[pyo3(signature = ($($offset,)? buf))]
            fn $name(&self, py: Python<'_>, $($offset: Offset,)? buf: Object<'_, '_>) -> PyResult<Py<Request>> {
                let (m, raw, mut request) = (simple(buf, Access::$access, 1)?, self.raw(), MPI_REQUEST_NULL);
                mpi_wait!(py, $function(raw, $($offset,)? m.addr, m.count, m.datatype, &raw mut request))?;
                Request::make(py, request, m.keep)
            }
        )*}
    };
}

nonblocking! {
    Iread MPI_File_iread_c, Write, (), "Nonblocking form of `Read`.";
    Iread_all MPI_File_iread_all_c, Write, (), "Nonblocking form of `Read_all`.";
    Iread_at MPI_File_iread_at_c, Write, (offset), "Nonblocking form of `Read_at`.";
    Iread_at_all MPI_File_iread_at_all_c, Write, (offset), "Nonblocking form of `Read_at_all`.";
    Iread_shared MPI_File_iread_shared_c, Write, (), "Nonblocking form of `Read_shared`.";
    Iwrite MPI_File_iwrite_c, Read, (), "Nonblocking form of `Write`.";
    Iwrite_all MPI_File_iwrite_all_c, Read, (), "Nonblocking form of `Write_all`.";
    Iwrite_at MPI_File_iwrite_at_c, Read, (offset), "Nonblocking form of `Write_at`.";
    Iwrite_at_all MPI_File_iwrite_at_all_c, Read, (offset), "Nonblocking form of `Write_at_all`.";
    Iwrite_shared MPI_File_iwrite_shared_c, Read, (), "Nonblocking form of `Write_shared`.";
}

/// Split forms: beginning and end.
macro_rules! split {
    ($($begin:ident $begin_function:ident, $end:ident $end_function:ident, $access:ident, ($($offset:ident)?), $doc:literal;)*) => {
        #[pymethods]
        impl File {$(
            #[doc = concat!(stringify!($begin), "(self, " $(, stringify!($offset), ": int, ")?, "buf: BufSpec) -> None\n\nBegin: ", $doc)]
            #[pyo3(signature = ($($offset,)? buf))]
            fn $begin(&self, py: Python<'_>, $($offset: Offset,)? buf: Object<'_, '_>) -> PyResult<()> {
                let (m, raw) = (simple(buf, Access::$access, 1)?, self.raw());
                mpi_wait!(py, $begin_function(raw, $($offset,)? m.addr, m.count, m.datatype))?;
                begun(raw, m.keep);
                Ok(())
            }

            #[doc = concat!(stringify!($end), "(self, buf: BufSpec, status: Status | None = None) -> None\n\nEnd: ", $doc)]
            #[pyo3(signature = (buf, status = None))]
            fn $end(&self, py: Python<'_>, buf: Object<'_, '_>, status: MaybeStatus<'_, '_>) -> PyResult<()> {
                let (m, raw, mut out) = (simple(buf, Access::$access, 1)?, self.raw(), Out::new(status));
                let pointer = out.pointer();
                let done = mpi_wait!(py, $end_function(raw, m.addr, pointer));
                out.store();
                ended(raw);
                done
            }
        )*}
    };
}

split! {
    Read_all_begin MPI_File_read_all_begin_c, Read_all_end MPI_File_read_all_end, Write, (),
    "read at this process's position, all processes together.";
    Read_at_all_begin MPI_File_read_at_all_begin_c, Read_at_all_end MPI_File_read_at_all_end, Write, (offset),
    "read at given positions, all processes together.";
    Read_ordered_begin MPI_File_read_ordered_begin_c, Read_ordered_end MPI_File_read_ordered_end, Write, (),
    "read at the shared position, in the order of the ranks.";
    Write_all_begin MPI_File_write_all_begin_c, Write_all_end MPI_File_write_all_end, Read, (),
    "write at this process's position, all processes together.";
    Write_at_all_begin MPI_File_write_at_all_begin_c, Write_at_all_end MPI_File_write_at_all_end, Read, (offset),
    "write at given positions, all processes together.";
    Write_ordered_begin MPI_File_write_ordered_begin_c, Write_ordered_end MPI_File_write_ordered_end, Read, (),
    "write at the shared position, in the order of the ranks.";
}
