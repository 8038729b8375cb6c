//! What the library offers beyond the standard: a small set of `OXMPI_*` symbols, found with dlsym
//! and optional for every client. README.md in this crate lists them.

use crate::guard;
use crate::status::put;
use engine::Error;
use engine::errhandler::Object;
use engine::p2p::probe::{Found, receive_or_probe};
use engine::p2p::unfit::OBJECT;
use engine::progress::{WaitHooks, set_hooks};
use engine::site::{self, SiteHooks};
use mpi_abi::consts::{MPI_ERR_ARG, MPI_MESSAGE_NULL};
use mpi_abi::{Comm, Count, Datatype, Message, Request, Status};
use std::ffi::{c_int, c_void};

/// Tells a language layer about waits: see `WaitHooks`. 0 = accepted, 1 = unknown version or null.
///
/// # Safety
/// `hooks` is null or points to a struct of the version that it says; its functions stay callable
/// for the rest of the process's life.
#[unsafe(no_mangle)]
unsafe extern "C" fn OXMPI_Set_wait_hooks(hooks: *const WaitHooks) -> c_int {
    // SAFETY: the caller vouches for the address.
    match unsafe { hooks.as_ref() } {
        Some(hooks) if hooks.version == 1 => {
            set_hooks(*hooks);
            0
        }
        _ => 1,
    }
}

/// Tells how to ask a language layer where it called MPI: see `SiteHooks`. 0 = accepted, 1 = unknown
/// version or null.
///
/// # Safety
/// `hooks` is null or points to a struct of the version that it says; its functions stay callable
/// for the rest of the process's life.
#[unsafe(no_mangle)]
unsafe extern "C" fn OXMPI_Set_site_hooks(hooks: *const SiteHooks) -> c_int {
    // SAFETY: the caller vouches for the address.
    match unsafe { hooks.as_ref() } {
        Some(hooks) if hooks.version == 1 => {
            site::set_hooks(*hooks);
            0
        }
        _ => 1,
    }
}

/// Makes a file into which the language layer is to write where its threads are, whenever the process gets `signal`
/// from now on; its descriptor, which stays open. -1 = nobody will ask.
///
/// # Safety
/// `signal` is valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn OXMPI_Open_stacks(signal: *mut c_int) -> c_int {
    guard::value(-1, || match engine::stacks::open() {
        Some((file, number)) => {
            // SAFETY: the caller vouches for the address.
            unsafe { signal.write(number) };
            file
        }
        None => -1,
    })
}

/// Says that the process is about to end because of an uncaught exception of its language: the
/// launcher's report says so instead of "exit code 1".
#[unsafe(no_mangle)]
extern "C" fn OXMPI_Set_uncaught() {
    engine::world::set_uncaught();
}

/// Takes what has arrived; a number that is another one whenever something was sent, received or completed.
#[unsafe(no_mangle)]
extern "C" fn OXMPI_News() -> Count {
    guard::value(0, || engine::news::now().cast_signed())
}

/// Waits until the number of `OXMPI_News` is another one than `seen`, at most for some seconds. For reports: for the
/// sake of `request`, or if that is MPI_REQUEST_NULL, of a message from `source` with `tag` on `comm`; if the
/// source is MPI_PROC_NULL, of one of several things.
#[unsafe(no_mangle)]
extern "C" fn OXMPI_Await_news(seen: Count, request: Request, source: c_int, tag: c_int, comm: Comm) -> c_int {
    guard::call("OXMPI_Await_news", Object::Comm(comm), || {
        engine::news::wait(seen.cast_unsigned(), request.0, source, tag, comm)
    })
}

/// Something has happened that threads in `OXMPI_Await_news` wait for and only the caller knows of.
#[unsafe(no_mangle)]
extern "C" fn OXMPI_Make_news() {
    guard::value((), engine::news::happened);
}

/// The datatype for the bytes of an object that only its language understands: as MPI_BYTE, and a receive of numbers
/// that gets such a message says so. Committed, never freed.
#[unsafe(no_mangle)]
extern "C" fn OXMPI_Object_type() -> Datatype {
    OBJECT
}

/// Receives the next message that matches into `buf` if it has at most `room` bytes and all of them are
/// here; `message` is then MPI_MESSAGE_NULL, and `status` that of the receive. Otherwise as MPI_Mprobe. For
/// clients that do not know how long messages are: one call instead of three. Errors as those of MPI_Mprobe.
///
/// # Safety
/// `buf` has room for `room` bytes; `message` and `status` are valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn OXMPI_Recv_or_mprobe(
    buf: *mut c_void,
    room: Count,
    source: c_int,
    tag: c_int,
    comm: Comm,
    message: *mut Message,
    status: *mut Status,
) -> c_int {
    guard::call("OXMPI_Recv_or_mprobe", Object::Comm(comm), || {
        let room = usize::try_from(room)
            .map_err(|_| Error::new(MPI_ERR_ARG, format!("room for {room} bytes: the number is negative")))?;
        // SAFETY: the caller vouches for the addresses.
        unsafe {
            let (handle, found) = match receive_or_probe(buf.cast(), room, source, tag, comm)? {
                Found::Received(status) => (MPI_MESSAGE_NULL, status),
                Found::Matched(message, status) => (message, status),
            };
            message.write(handle);
            put(status, &found);
        }
        Ok(())
    })
}
