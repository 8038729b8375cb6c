//! Sessions (MPI-5.0 section 11.3). The engine's part is `engine::session`.

use crate::args::{self, Out, int, put_string};
use engine::errhandler::{self, Owner};
use engine::session::{self, SETS};
use engine::{Error, Result, info, with};
use mpi_abi::consts::{MPI_SESSION_NULL, MPI_THREAD_MULTIPLE};
use mpi_abi::{Errhandler, Group, Info, Session};
use std::ffi::{c_char, c_int};

pub(crate) unsafe fn MPI_Session_init(info: Info, errhandler: Errhandler, session: *mut Session) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let session = unsafe { Out::new(session, "session") }?;
    let (handler, hints) = with(|e| {
        let handler = errhandler::resolve(&e.objects.errhandlers, errhandler, Owner::Session)?;
        Ok::<_, Error>((handler, info::optional(&e.objects, info)?))
    })?;
    let level = hints.text("thread_level").and_then(|level| session::level_named(&level));
    session.set(session::open(handler, level.unwrap_or(MPI_THREAD_MULTIPLE))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Session_finalize(session: *mut Session) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let session = unsafe { Out::new(session, "session") }?;
    session::close(session.get())?;
    session.set(MPI_SESSION_NULL);
    Ok(())
}

pub(crate) unsafe fn MPI_Session_get_info(session: Session, info_used: *mut Info) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let info_used = unsafe { Out::new(info_used, "info_used") }?;
    info_used.set(with(|e| {
        let pairs = session::describe(&e.objects, session)?;
        Ok::<_, Error>(info::create(&mut e.objects, pairs))
    })?);
    Ok(())
}

pub(crate) unsafe fn MPI_Session_get_num_psets(session: Session, info: Info, npset_names: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let npset_names = unsafe { Out::new(npset_names, "npset_names") }?;
    with(|e| {
        session::get(&e.objects, session)?;
        info::optional(&e.objects, info)
    })?;
    npset_names.set(int(SETS.len()));
    Ok(())
}

pub(crate) unsafe fn MPI_Session_get_nth_pset(
    session: Session,
    info: Info,
    n: c_int,
    pset_len: *mut c_int,
    pset_name: *mut c_char,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let pset_len = unsafe { Out::new(pset_len, "pset_len") }?;
    with(|e| {
        session::get(&e.objects, session)?;
        info::optional(&e.objects, info)
    })?;
    let name = session::nth_set(n)?;
    let room = args::length(pset_len.get(), "pset_len")?;
    // SAFETY: the C caller's word for a buffer of `pset_len` bytes.
    unsafe { put_string(pset_name, room, name.as_bytes(), "pset_name") }?;
    pset_len.set(int(name.len() + 1));
    Ok(())
}

pub(crate) unsafe fn MPI_Session_get_pset_info(
    session: Session,
    pset_name: *const c_char,
    info: *mut Info,
) -> Result<()> {
    // SAFETY: the C caller's word for the string and the address.
    let (name, info) = unsafe { (args::text(pset_name, "pset_name")?, Out::new(info, "info")?) };
    info.set(with(|e| {
        session::get(&e.objects, session)?;
        let pairs = e.info_of_set(&name)?;
        Ok::<_, Error>(info::create(&mut e.objects, pairs))
    })?);
    Ok(())
}

pub(crate) unsafe fn MPI_Group_from_session_pset(
    session: Session,
    pset_name: *const c_char,
    newgroup: *mut Group,
) -> Result<()> {
    // SAFETY: the C caller's word for the string and the address.
    let (name, newgroup) = unsafe { (args::text(pset_name, "pset_name")?, Out::new(newgroup, "newgroup")?) };
    newgroup.set(with(|e| e.group_of_set(session, &name))?);
    Ok(())
}
