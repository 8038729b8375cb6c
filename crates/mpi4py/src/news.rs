//! Between two looks at what `irecv` and its like wait for. With the built-in engine the thread sleeps until
//! something has happened, and the engine knows what it waits for, so that a job that stands still is
//! noticed. Any other library is asked again after a while.

use crate::call::{Waiting, find, is_built_in};
use mpi_abi as abi;
use mpi_abi::consts::{MPI_ANY_TAG, MPI_COMM_SELF, MPI_PROC_NULL, MPI_REQUEST_NULL};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_int, c_void};
use std::sync::LazyLock;

/// `OXMPI_News`.
type Now = extern "C" fn() -> abi::Count;
/// `OXMPI_Await_news`.
type Wait = extern "C" fn(abi::Count, abi::Request, c_int, c_int, abi::Comm) -> c_int;
/// `OXMPI_Make_news`.
type Make = extern "C" fn();

/// The engine's functions for this.
struct Engine {
    now: Now,
    wait: Wait,
    make: Make,
}

static ENGINE: LazyLock<Option<Engine>> = LazyLock::new(|| {
    let [now, wait, make] = [c"OXMPI_News", c"OXMPI_Await_news", c"OXMPI_Make_news"].map(|name: &CStr| find(name));
    if !is_built_in() || [now, wait, make].iter().any(|symbol| symbol.is_null()) {
        return None;
    }
    // SAFETY: symbols of these names have these types: the engine documents them.
    unsafe {
        Some(Engine {
            now: std::mem::transmute::<*mut c_void, Now>(now),
            wait: std::mem::transmute::<*mut c_void, Wait>(wait),
            make: std::mem::transmute::<*mut c_void, Make>(make),
        })
    }
});

/// What a thread waits for, for reports.
#[derive(Clone, Copy)]
pub(crate) enum For {
    /// The end of an operation.
    Request(abi::Request),
    /// A message: communicator, source, tag.
    Message(abi::Comm, c_int, c_int),
    /// One of several things.
    Any,
}

/// A loop of looks.
#[derive(Default)]
pub(crate) struct Looks {
    seen: abi::Count,
    round: u32,
}

impl Looks {
    /// To be called before a look.
    pub(crate) fn look(&mut self) {
        if let Some(engine) = &*ENGINE {
            self.seen = (engine.now)();
        }
    }

    /// The look found nothing: lets other threads and processes run until the next one.
    pub(crate) fn wait(&mut self, py: Python<'_>, what: For) -> PyResult<()> {
        let Some(engine) = &*ENGINE else { return self.pause(py) };
        let (request, comm, source, tag) = match what {
            For::Request(request) => (request, MPI_COMM_SELF, MPI_PROC_NULL, MPI_ANY_TAG),
            For::Message(comm, source, tag) => (MPI_REQUEST_NULL, comm, source, tag),
            For::Any => (MPI_REQUEST_NULL, MPI_COMM_SELF, MPI_PROC_NULL, MPI_ANY_TAG),
        };
        let waiting = Waiting::enter(py);
        let code = (engine.wait)(self.seen, request, source, tag, comm);
        waiting.leave(py, code)
    }

    /// With a library that can not wait for that.
    fn pause(&mut self, py: Python<'_>) -> PyResult<()> {
        self.round = self.round.saturating_add(1);
        // SAFETY: the interpreter is held; it is taken back before anything else happens.
        unsafe {
            let state = ffi::PyEval_SaveThread();
            if self.round < 256 {
                libc::sched_yield();
            } else {
                libc::usleep((self.round - 255).min(1000));
            }
            ffi::PyEval_RestoreThread(state);
        }
        if self.round.is_multiple_of(64) {
            py.check_signals()?;
        }
        Ok(())
    }
}

/// A thread that waits may now find something that MPI does not know of.
pub(crate) fn make() {
    if let Some(engine) = &*ENGINE {
        (engine.make)();
    }
}
