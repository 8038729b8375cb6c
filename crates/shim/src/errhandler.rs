//! Error handlers of communicators, windows, files and sessions (MPI-5.0 section 9.3). Which
//! handler an object has is the engine's business (`engine::errhandler`); the user's functions are
//! called here, without the engine's lock.

use crate::args::{Out, null};
use engine::errhandler::{self, Action, Object, Owner, Report};
use engine::{Error, Result, with};
use mpi_abi::consts::{MPI_COMM_NULL, MPI_COMM_SELF, MPI_ERRHANDLER_NULL, MPI_SESSION_NULL};
use mpi_abi::{Comm, Errhandler, File, Session, Win, ffi};
use std::ffi::c_int;

/// What becomes of the failure of `function` on `object`: its error handler runs, and the caller
/// gets the code. Does not return if errors of the object are fatal.
#[cold]
pub(crate) fn raise(function: &str, object: Object, error: &Error) -> c_int {
    let Report { code, action, object } = errhandler::report(object, error);
    act(function, object, error, code, action);
    code
}

fn act(function: &str, object: Object, error: &Error, mut code: c_int, action: Action) {
    let (owner, address) = match action {
        Action::Return => return,
        Action::Die => errhandler::die(function, object, error),
        Action::Call(owner, address) => (owner, address),
    };
    let mut handle = match object {
        Object::Comm(comm) => comm.raw(),
        Object::Win(win) => win.raw(),
        Object::File(file) => file.raw(),
        Object::Session(session) => session.raw(),
        // There is no such object.
        Object::Unborn(_) if owner == Owner::Session => MPI_SESSION_NULL.raw(),
        Object::Unborn(_) => MPI_COMM_NULL.raw(),
        Object::Process => MPI_COMM_SELF.raw(),
    };
    type Function = unsafe extern "C" fn(*mut usize, *mut c_int, ...);
    // SAFETY: the address is that of an error handler function that the user gave for this kind of
    // object (the engine checks it when the handler is set); the handle types are `usize` in a
    // transparent wrapper.
    let function = unsafe { std::mem::transmute::<usize, Function>(address) };
    // SAFETY: the arguments are those that the standard gives to the function; both are locals.
    unsafe { function(&raw mut handle, &raw mut code) };
}

/// What `MPI_*_call_errhandler` does.
fn call(function: &str, object: Object, code: c_int) -> Result<()> {
    let (action, error) = with(|e| Ok::<_, Error>((e.action(object)?, e.objects.codes.decode(code))))?;
    act(function, object, &error, code, action);
    Ok(())
}

fn create(owner: Owner, function: Option<usize>, handle: *mut Errhandler) -> Result<()> {
    let function = function.ok_or_else(|| null("the error handler function"))?;
    // SAFETY: the C caller's word for the address.
    let handle = unsafe { Out::new(handle, "errhandler") }?;
    handle.set(with(|e| errhandler::create(&mut e.objects.errhandlers, owner, function)));
    Ok(())
}

pub(crate) unsafe fn MPI_Errhandler_free(errhandler: *mut Errhandler) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let handle = unsafe { Out::new(errhandler, "errhandler") }?;
    with(|e| errhandler::free(&mut e.objects.errhandlers, handle.get()))?;
    handle.set(MPI_ERRHANDLER_NULL);
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_create_errhandler(
    comm_errhandler_fn: Option<ffi::MPI_Comm_errhandler_function>,
    errhandler: *mut Errhandler,
) -> Result<()> {
    create(Owner::Comm, comm_errhandler_fn.map(|f| f as usize), errhandler)
}

pub(crate) unsafe fn MPI_Win_create_errhandler(
    win_errhandler_fn: Option<ffi::MPI_Win_errhandler_function>,
    errhandler: *mut Errhandler,
) -> Result<()> {
    create(Owner::Win, win_errhandler_fn.map(|f| f as usize), errhandler)
}

pub(crate) unsafe fn MPI_File_create_errhandler(
    file_errhandler_fn: Option<ffi::MPI_File_errhandler_function>,
    errhandler: *mut Errhandler,
) -> Result<()> {
    create(Owner::File, file_errhandler_fn.map(|f| f as usize), errhandler)
}

pub(crate) unsafe fn MPI_Session_create_errhandler(
    session_errhandler_fn: Option<ffi::MPI_Session_errhandler_function>,
    errhandler: *mut Errhandler,
) -> Result<()> {
    create(Owner::Session, session_errhandler_fn.map(|f| f as usize), errhandler)
}

pub(crate) unsafe fn MPI_Comm_get_errhandler(comm: Comm, errhandler: *mut Errhandler) -> Result<()> {
    get(Object::Comm(comm), errhandler)
}

pub(crate) unsafe fn MPI_Win_get_errhandler(win: Win, errhandler: *mut Errhandler) -> Result<()> {
    get(Object::Win(win), errhandler)
}

pub(crate) unsafe fn MPI_File_get_errhandler(file: File, errhandler: *mut Errhandler) -> Result<()> {
    get(Object::File(file), errhandler)
}

pub(crate) unsafe fn MPI_Session_get_errhandler(session: Session, errhandler: *mut Errhandler) -> Result<()> {
    get(Object::Session(session), errhandler)
}

fn get(object: Object, errhandler: *mut Errhandler) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let handle = unsafe { Out::new(errhandler, "errhandler") }?;
    handle.set(with(|e| {
        let handler = e.handler(object)?.clone();
        Ok::<_, Error>(errhandler::publish(&mut e.objects.errhandlers, &handler))
    })?);
    Ok(())
}

pub(crate) unsafe fn MPI_Comm_set_errhandler(comm: Comm, errhandler: Errhandler) -> Result<()> {
    with(|e| e.set_handler(Object::Comm(comm), errhandler))
}

pub(crate) unsafe fn MPI_Win_set_errhandler(win: Win, errhandler: Errhandler) -> Result<()> {
    with(|e| e.set_handler(Object::Win(win), errhandler))
}

pub(crate) unsafe fn MPI_File_set_errhandler(file: File, errhandler: Errhandler) -> Result<()> {
    with(|e| e.set_handler(Object::File(file), errhandler))
}

pub(crate) unsafe fn MPI_Session_set_errhandler(session: Session, errhandler: Errhandler) -> Result<()> {
    with(|e| e.set_handler(Object::Session(session), errhandler))
}

pub(crate) unsafe fn MPI_Comm_call_errhandler(comm: Comm, errorcode: c_int) -> Result<()> {
    call("MPI_Comm_call_errhandler", Object::Comm(comm), errorcode)
}

pub(crate) unsafe fn MPI_Win_call_errhandler(win: Win, errorcode: c_int) -> Result<()> {
    call("MPI_Win_call_errhandler", Object::Win(win), errorcode)
}

pub(crate) unsafe fn MPI_File_call_errhandler(fh: File, errorcode: c_int) -> Result<()> {
    call("MPI_File_call_errhandler", Object::File(fh), errorcode)
}

pub(crate) unsafe fn MPI_Session_call_errhandler(session: Session, errorcode: c_int) -> Result<()> {
    call("MPI_Session_call_errhandler", Object::Session(session), errorcode)
}
