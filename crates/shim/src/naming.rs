//! Names of communicators, types and windows (MPI-5.0 section 7.8). The engine's part is
//! `engine::naming` and, for communicators, `engine::comm_manage`.

use crate::args::{self, Out};
use engine::errhandler::Object;
use engine::{Result, comm_manage, naming, with};
use mpi_abi::consts::{MPI_DATATYPE_NULL, MPI_MAX_OBJECT_NAME, MPI_WIN_NULL};
use mpi_abi::{Comm, Datatype, Win};
use std::ffi::{c_char, c_int};

/// Gives a name to the C caller.
fn put(name: &str, place: *mut c_char, resultlen: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address, and for a buffer of MPI_MAX_OBJECT_NAME bytes.
    unsafe {
        let resultlen = Out::new(resultlen, "resultlen")?;
        args::put_result(place, MPI_MAX_OBJECT_NAME, name, "the name", &resultlen)
    }
}

pub(crate) unsafe fn MPI_Comm_get_name(comm: Comm, comm_name: *mut c_char, resultlen: *mut c_int) -> Result<()> {
    put(&with(|e| comm_manage::name(e, comm))?, comm_name, resultlen)
}

pub(crate) unsafe fn MPI_Comm_set_name(comm: Comm, comm_name: *const c_char) -> Result<()> {
    // SAFETY: the C caller's word for the string.
    let name = unsafe { args::text(comm_name, "comm_name") }?;
    with(|e| comm_manage::set_name(e, comm, &name))
}

pub(crate) unsafe fn MPI_Type_get_name(
    datatype: Datatype,
    type_name: *mut c_char,
    resultlen: *mut c_int,
) -> Result<()> {
    let name = with(|e| {
        if datatype != MPI_DATATYPE_NULL {
            e.types.get(datatype)?;
        }
        let given = e.objects.names.get(datatype.raw()).or_else(|| naming::predefined_type(datatype));
        Ok::<_, engine::Error>(given.unwrap_or_default().to_owned())
    })?;
    put(&name, type_name, resultlen)
}

pub(crate) unsafe fn MPI_Type_set_name(datatype: Datatype, type_name: *const c_char) -> Result<()> {
    // SAFETY: the C caller's word for the string.
    let name = unsafe { args::text(type_name, "type_name") }?;
    with(|e| {
        e.types.get(datatype)?;
        e.objects.names.set(datatype.raw(), &name);
        Ok(())
    })
}

pub(crate) unsafe fn MPI_Win_get_name(win: Win, win_name: *mut c_char, resultlen: *mut c_int) -> Result<()> {
    let name = with(|e| {
        if win == MPI_WIN_NULL {
            return Ok("MPI_WIN_NULL".to_owned());
        }
        e.handler(Object::Win(win))?;
        Ok::<_, engine::Error>(e.objects.names.get(win.raw()).unwrap_or_default().to_owned())
    })?;
    put(&name, win_name, resultlen)
}

pub(crate) unsafe fn MPI_Win_set_name(win: Win, win_name: *const c_char) -> Result<()> {
    // SAFETY: the C caller's word for the string.
    let name = unsafe { args::text(win_name, "win_name") }?;
    with(|e| {
        e.handler(Object::Win(win))?;
        e.objects.names.set(win.raw(), &name);
        Ok(())
    })
}
