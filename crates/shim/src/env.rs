//! Beginning and end, memory, and what a process can ask about itself (MPI-5.0 sections 9.1, 9.2
//! and 11.2). What needs no engine is in `inquiry.rs`.

use crate::args::{self, Out, null};
use crate::attr::{self, Object};
use engine::comm_manage::hardware::{KINDS, Place, SHARED_MEMORY};
use engine::info::{self, Info as Pairs};
use engine::{Error, Result, session, with, world};
use mpi_abi::consts::{
    MPI_COMM_SELF, MPI_COMM_WORLD, MPI_ERR_ARG, MPI_ERR_BASE, MPI_ERR_NO_MEM, MPI_MAX_PROCESSOR_NAME, MPI_THREAD_SINGLE,
};
use mpi_abi::{Aint, Comm, Info};
use std::alloc::Layout;
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

pub(crate) unsafe fn MPI_Init(_argc: *mut c_int, _argv: *mut *mut *mut c_char) -> Result<()> {
    session::start_world(MPI_THREAD_SINGLE).map(|_| ())
}

pub(crate) unsafe fn MPI_Init_thread(
    _argc: *mut c_int,
    _argv: *mut *mut *mut c_char,
    required: c_int,
    provided: *mut c_int,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let provided = unsafe { Out::new(provided, "provided") }?;
    provided.set(session::start_world(required)?);
    Ok(())
}

pub(crate) unsafe fn MPI_Finalize() -> Result<()> {
    // Attributes of MPI_COMM_SELF are how libraries are told of the end; MPI may be used meanwhile.
    let mut outcome = Ok(());
    if session::world_state() == (true, false) {
        outcome = outcome.and(attr::drop_all(Object::Comm(MPI_COMM_SELF)));
        outcome = outcome.and(attr::drop_all(Object::Comm(MPI_COMM_WORLD)));
    }
    session::end_world().and(outcome)
}

pub(crate) unsafe fn MPI_Initialized(flag: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { Out::new(flag, "flag") }?.set_flag(session::world_state().0);
    Ok(())
}

pub(crate) unsafe fn MPI_Finalized(flag: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    unsafe { Out::new(flag, "flag") }?.set_flag(session::world_state().1);
    Ok(())
}

pub(crate) unsafe fn MPI_Query_thread(provided: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let provided = unsafe { Out::new(provided, "provided") }?;
    provided.set(with(|e| e.world.as_ref().map_or(MPI_THREAD_SINGLE, |world| world.thread_level)));
    Ok(())
}

pub(crate) unsafe fn MPI_Is_thread_main(flag: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let flag = unsafe { Out::new(flag, "flag") }?;
    let me = std::thread::current().id();
    flag.set_flag(with(|e| e.world.as_ref().is_some_and(|world| world.main_thread == me)));
    Ok(())
}

pub(crate) unsafe fn MPI_Abort(_comm: Comm, errorcode: c_int) -> Result<()> {
    // Our mpiexec says who ended the job; others may not.
    let silent = with(|e| match &e.world {
        Some(world) if !world.launched_by_mpiexec() => Some(e.me),
        _ => None,
    });
    if let Some(me) = silent {
        // If nobody reads, nobody is told.
        let _ = writeln!(std::io::stderr(), "oxmpi: rank {me} called MPI_Abort with error code {errorcode}");
    }
    // Whatever the communicator is, its processes and all that wait for them end: the whole job.
    world::abort(errorcode)
}

pub(crate) unsafe fn MPI_Get_processor_name(name: *mut c_char, resultlen: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let resultlen = unsafe { Out::new(resultlen, "resultlen") }?;
    // SAFETY: the C caller's word for a buffer of MPI_MAX_PROCESSOR_NAME bytes.
    unsafe { args::put_result(name, MPI_MAX_PROCESSOR_NAME, &info::host_name(), "name", &resultlen) }
}

pub(crate) unsafe fn MPI_Get_hw_resource_info(hw_info: *mut Info) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let hw_info = unsafe { Out::new(hw_info, "hw_info") }?;
    let place = Place::now();
    let mut pairs = Pairs::default();
    pairs.put(SHARED_MEMORY, "true");
    for (kind, name) in KINDS {
        pairs.put(name, if place.number(kind).is_some() { "true" } else { "false" });
    }
    hw_info.set(with(|e| info::create(&mut e.objects, pairs)));
    Ok(())
}

/// What `MPI_Alloc_mem` gave out, by address.
static MEMORY: LazyLock<Mutex<HashMap<usize, Layout>>> = LazyLock::new(Mutex::default);

/// A cache line: nothing of ours or of another allocation lies in the same one.
const ALIGNMENT: usize = 64;

fn memory() -> MutexGuard<'static, HashMap<usize, Layout>> {
    // The map is whole between its operations, which do not panic.
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) unsafe fn MPI_Alloc_mem(size: Aint, info: Info, baseptr: *mut c_void) -> Result<()> {
    // SAFETY: `baseptr` is the address of a pointer, says the C caller.
    let baseptr = unsafe { Out::new(baseptr.cast::<*mut u8>(), "baseptr") }?;
    let hints = with(|e| info::optional(&e.objects, info))?;
    let wanted = hints.text("mpi_minimum_memory_alignment").and_then(|wanted| wanted.trim().parse().ok());
    let alignment = ALIGNMENT.max(wanted.unwrap_or(1));
    let bytes = usize::try_from(size)
        .map_err(|_| Error::new(MPI_ERR_ARG, format!("the size is {size}, but must not be negative")))?;
    let layout = Layout::from_size_align(bytes.max(1), alignment)
        .map_err(|_| Error::new(MPI_ERR_ARG, format!("{bytes} bytes aligned to {alignment} cannot be had")))?;
    // SAFETY: the layout has a size.
    let base = unsafe { std::alloc::alloc(layout) };
    if base.is_null() {
        return Err(Error::new(MPI_ERR_NO_MEM, format!("there is no memory for {bytes} bytes")));
    }
    memory().insert(base.addr(), layout);
    baseptr.set(base);
    Ok(())
}

pub(crate) unsafe fn MPI_Free_mem(base: *mut c_void) -> Result<()> {
    if base.is_null() {
        return Err(null("base"));
    }
    let layout = memory().remove(&base.addr()).ok_or_else(|| {
        Error::new(MPI_ERR_BASE, format!("{base:p} was not allocated by MPI_Alloc_mem, or was freed before"))
    })?;
    // SAFETY: the address came from `alloc` with this layout, and was taken from the list just now.
    unsafe { std::alloc::dealloc(base.cast(), layout) };
    Ok(())
}
