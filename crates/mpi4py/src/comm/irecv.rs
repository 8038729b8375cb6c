//! `irecv`: receives of objects whose size is not known. Until its message is there such a receive
//! is an entry in a list; then it is a matched receive into memory of exactly that size.
//!
//! Messages are matched in the order in which receives were made, as MPI promises: all lower-case
//! calls serve the list before they look for themselves, and while they wait. Other ranks may wait
//! for one of these receives to be matched, so a blocking call with entries in the list polls.
//!
//! Until it is matched the request has the handle of an inactive persistent receive, which every MPI
//! function takes.

use super::channel;
use super::objects::{origin, size_of};
use crate::call::{mpi, mpi_wait, object_type};
use crate::news::{self, For, Looks};
use crate::pickle::{Block, Encoded};
use crate::request::{Owner, Pending, Request};
use mpi_abi as abi;
use mpi_abi::consts::{
    MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_BYTE, MPI_COMM_SELF, MPI_MESSAGE_NO_PROC, MPI_MESSAGE_NULL, MPI_PROC_NULL,
    MPI_REQUEST_NULL, MPI_STATUS_IGNORE,
};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A receive that was asked for.
pub(crate) struct Entry {
    comm: abi::Comm,
    source: c_int,
    tag: c_int,
    state: Mutex<State>,
    /// A thread sleeps in a probe for it.
    probed: AtomicBool,
}

enum State {
    Waiting,
    /// The receive is under way or over; `None`: from nobody.
    Matched(abi::Request, Option<Block>),
    Cancelled,
    /// Its error belongs to the one who waits for it.
    Failed(Option<PyErr>),
}

static ENTRIES: Mutex<Vec<Arc<Entry>>> = Mutex::new(Vec::new());
static WAITING: AtomicUsize = AtomicUsize::new(0);
static PLACEHOLDER: AtomicUsize = AtomicUsize::new(0);

fn entries() -> MutexGuard<'static, Vec<Arc<Entry>>> {
    ENTRIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there are receives that have no message yet, or collectives that have to be served.
#[inline]
pub(crate) fn any() -> bool {
    WAITING.load(Ordering::Relaxed) != 0 || channel::any()
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn takes(&self, comm: abi::Comm, source: c_int, tag: c_int) -> bool {
        self.comm == comm
            && (self.source == source || self.source == MPI_ANY_SOURCE)
            && (self.tag == tag || self.tag == MPI_ANY_TAG)
    }

    /// Whether a message can be meant by both.
    fn overlaps(&self, comm: abi::Comm, source: c_int, tag: c_int) -> bool {
        self.comm == comm
            && (self.source == source || self.source == MPI_ANY_SOURCE || source == MPI_ANY_SOURCE)
            && (self.tag == tag || self.tag == MPI_ANY_TAG || tag == MPI_ANY_TAG)
    }

    /// Starts to receive the matched message.
    fn matched(&self, py: Python<'_>, mut message: abi::Message, probed: &abi::Status) -> State {
        let nobody = message == MPI_MESSAGE_NO_PROC;
        let mut start = || -> PyResult<State> {
            let block = Block::new(py, if nobody { 0 } else { size_of(py, probed)? })?;
            let (addr, count, mut request) = (block.addr(), block.count(), MPI_REQUEST_NULL);
            mpi!(py, MPI_Imrecv_c(addr, count, object_type(), &raw mut message, &raw mut request))?;
            Ok(State::Matched(request, if nobody { None } else { Some(block) }))
        };
        start().unwrap_or_else(|error| State::Failed(Some(error)))
    }

    /// The handle of the receive, when there is one.
    pub(crate) fn request(&self) -> Option<abi::Request> {
        match &*self.state() {
            State::Matched(request, _) => Some(*request),
            _ => None,
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(&*self.state(), State::Waiting)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(&*self.state(), State::Cancelled)
    }

    /// The error of a receive that could not be started.
    pub(crate) fn failure(&self) -> Option<PyErr> {
        match &mut *self.state() {
            State::Failed(error) => error.take(),
            _ => None,
        }
    }

    /// Gives the receive up, if it has no message yet.
    pub(crate) fn cancel(&self) {
        let mut state = self.state();
        if matches!(&*state, State::Waiting) {
            *state = State::Cancelled;
            drop(state);
            entries().retain(|other| !std::ptr::eq(Arc::as_ptr(other), self));
            WAITING.fetch_sub(1, Ordering::Relaxed);
            news::make();
        }
    }
}

/// What the request of an `irecv` owns.
struct Receive(Arc<Entry>);

impl Pending for Receive {
    fn finish(self: Box<Self>, py: Python<'_>, status: &mut abi::Status) -> PyResult<Py<PyAny>> {
        let state = std::mem::replace(&mut *self.0.state(), State::Failed(None));
        match state {
            State::Matched(_, Some(block)) => block.decode(py, origin(status)),
            State::Failed(Some(error)) => Err(error),
            _ => Ok(py.None()),
        }
    }

    fn entry(&self) -> Option<&Arc<Entry>> {
        Some(&self.0)
    }

    fn discard(self: Box<Self>) {
        *self.0.state() = State::Failed(None);
    }
}

impl Drop for Receive {
    fn drop(&mut self) {
        // Thrown away while the message comes in: its memory must stay until then.
        if let State::Matched(request, Some(block)) = std::mem::replace(&mut *self.0.state(), State::Failed(None)) {
            if !crate::init::is_active() {
                return;
            }
            let (mut request, mut flag) = (request, 0);
            // SAFETY: a request that `Entry::matched` made and nobody else completes now.
            unsafe { abi::ffi::MPI_Test(&raw mut request, &raw mut flag, MPI_STATUS_IGNORE) };
            if flag == 0 {
                std::mem::forget(block);
            }
        }
    }
}

fn placeholder(py: Python<'_>) -> PyResult<abi::Request> {
    let known = PLACEHOLDER.load(Ordering::Relaxed);
    if known != 0 {
        return Ok(abi::Request::from_raw(known));
    }
    let mut request = MPI_REQUEST_NULL;
    mpi!(py, MPI_Recv_init_c(std::ptr::null_mut(), 0, MPI_BYTE, MPI_PROC_NULL, 0, MPI_COMM_SELF, &raw mut request))?;
    PLACEHOLDER.store(request.raw(), Ordering::Relaxed);
    Ok(request)
}

/// Before the end of MPI: frees what requests without a message stand on.
pub(crate) fn end() {
    channel::end();
    let known = PLACEHOLDER.swap(0, Ordering::Relaxed);
    if known != 0 {
        let mut request = abi::Request::from_raw(known);
        // SAFETY: MPI is active, and the request is one that `placeholder` made.
        unsafe { abi::ffi::MPI_Request_free(&raw mut request) };
    }
}

/// A new receive.
pub(crate) fn start(py: Python<'_>, comm: abi::Comm, source: c_int, tag: c_int) -> PyResult<Py<Request>> {
    serve(py)?;
    let entry =
        Arc::new(Entry { comm, source, tag, state: Mutex::new(State::Waiting), probed: AtomicBool::new(false) });
    // An invalid rank or communicator is an error here and not later.
    let earlier = entries().clone();
    if let Some((message, probed)) = look(py, comm, source, tag, &earlier)? {
        let state = entry.matched(py, message, &probed);
        *entry.state() = state;
    } else {
        entries().push(Arc::clone(&entry));
        WAITING.fetch_add(1, Ordering::Relaxed);
    }
    let raw = match entry.request() {
        Some(raw) => raw,
        None => placeholder(py)?,
    };
    Request::make(py, raw, Owner::Object(Box::new(Receive(entry))))
}

/// A message that is there and that none of the `earlier` receives takes first.
fn look(
    py: Python<'_>,
    comm: abi::Comm,
    mut source: c_int,
    mut tag: c_int,
    earlier: &[Arc<Entry>],
) -> PyResult<Option<(abi::Message, abi::Status)>> {
    let (mut message, mut flag, mut status) = (MPI_MESSAGE_NULL, 0, abi::Status::empty());
    if earlier.iter().any(|other| other.is_waiting() && other.overlaps(comm, source, tag)) {
        mpi!(py, MPI_Iprobe(source, tag, comm, &raw mut flag, &raw mut status))?;
        (source, tag) = (status.MPI_SOURCE, status.MPI_TAG);
        if flag == 0 || earlier.iter().any(|other| other.is_waiting() && other.takes(comm, source, tag)) {
            return Ok(None);
        }
    }
    mpi!(py, MPI_Improbe(source, tag, comm, &raw mut flag, &raw mut message, &raw mut status))?;
    Ok(if flag == 0 { None } else { Some((message, status)) })
}

/// Gives messages that are there to the receives that wait for them, in order; collectives go on, too.
pub(crate) fn serve(py: Python<'_>) -> PyResult<()> {
    channel::serve(py);
    if WAITING.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let all = entries().clone();
    let mut found = false;
    for (index, entry) in all.iter().enumerate() {
        if !entry.is_waiting() || entry.probed.load(Ordering::Relaxed) {
            continue;
        }
        let state = match look(py, entry.comm, entry.source, entry.tag, &all[..index]) {
            Ok(None) => continue,
            Ok(Some((message, probed))) => entry.matched(py, message, &probed),
            Err(error) => State::Failed(Some(error)),
        };
        found = true;
        // Only the list and its copy here know it: nobody will wait for it.
        let abandoned = Arc::strong_count(entry) == 2;
        if let (true, &State::Matched(mut request, _)) = (abandoned, &state) {
            let pointer = &raw mut request;
            mpi_wait!(py, MPI_Wait(pointer, MPI_STATUS_IGNORE))?;
        }
        *entry.state() = state;
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
    if found {
        entries().retain(|entry| entry.is_waiting());
        // Another thread may wait for one of them.
        news::make();
    }
    Ok(())
}

/// Waits until an entry has a message.
pub(crate) fn wait_for(py: Python<'_>, entry: &Entry) -> PyResult<()> {
    let mut looks = Looks::default();
    loop {
        looks.look();
        serve(py)?;
        if !entry.is_waiting() {
            return Ok(());
        }
        if WAITING.load(Ordering::Relaxed) == 1 && !channel::any() && !entry.probed.load(Ordering::Relaxed) {
            // Nothing else to serve: sleep in the library.
            let (comm, source, tag) = (entry.comm, entry.source, entry.tag);
            let (mut message, mut probed) = (MPI_MESSAGE_NULL, abi::Status::empty());
            entry.probed.store(true, Ordering::Relaxed);
            let done = mpi_wait!(py, MPI_Mprobe(source, tag, comm, &raw mut message, &raw mut probed));
            entry.probed.store(false, Ordering::Relaxed);
            done?;
            let state = entry.matched(py, message, &probed);
            *entry.state() = state;
            WAITING.fetch_sub(1, Ordering::Relaxed);
            entries().retain(|entry| entry.is_waiting());
            return Ok(());
        }
        looks.wait(py, For::Message(entry.comm, entry.source, entry.tag))?;
    }
}

/// A matched probe while receives wait.
pub(crate) fn probe_and_serve(
    py: Python<'_>,
    comm: abi::Comm,
    source: c_int,
    tag: c_int,
) -> PyResult<(abi::Message, abi::Status)> {
    let mut looks = Looks::default();
    loop {
        looks.look();
        serve(py)?;
        let earlier = entries().clone();
        if let Some(found) = look(py, comm, source, tag, &earlier)? {
            return Ok(found);
        }
        looks.wait(py, For::Message(comm, source, tag))?;
    }
}

/// A matched probe that does not wait.
pub(crate) fn probe_now(
    py: Python<'_>,
    comm: abi::Comm,
    source: c_int,
    tag: c_int,
) -> PyResult<Option<(abi::Message, abi::Status)>> {
    serve(py)?;
    let earlier = if any() { entries().clone() } else { Vec::new() };
    look(py, comm, source, tag, &earlier)
}

/// A receive of a message that a probe found.
pub(crate) fn start_matched(py: Python<'_>, message: abi::Message, probed: &abi::Status) -> PyResult<Py<Request>> {
    let entry = Arc::new(Entry {
        comm: MPI_COMM_SELF,
        source: probed.MPI_SOURCE,
        tag: probed.MPI_TAG,
        state: Mutex::new(State::Waiting),
        probed: AtomicBool::new(false),
    });
    let state = entry.matched(py, message, probed);
    *entry.state() = state;
    match (entry.failure(), entry.request()) {
        (None, Some(raw)) => Request::make(py, raw, Owner::Object(Box::new(Receive(entry)))),
        (error, _) => Err(error.unwrap_or_else(|| PyRuntimeError::new_err("the receive was not started"))),
    }
}

/// Waits for a send; receives may have to be matched before it ends.
pub(crate) fn wait_and_serve(py: Python<'_>, mut request: abi::Request, message: Encoded) -> PyResult<()> {
    let (mut looks, mut flag) = (Looks::default(), 0);
    let pointer = &raw mut request;
    let done = loop {
        looks.look();
        if !any() {
            break mpi_wait!(py, MPI_Wait(pointer, MPI_STATUS_IGNORE));
        }
        let done = serve(py).and_then(|()| mpi!(py, MPI_Test(pointer, &raw mut flag, MPI_STATUS_IGNORE)));
        if done.is_err() || flag != 0 {
            break done;
        }
        if let Err(error) = looks.wait(py, For::Request(request)) {
            break Err(error);
        }
    };
    if request != MPI_REQUEST_NULL {
        // Given up (a signal): MPI may still read the memory.
        std::mem::forget(message);
    }
    done
}
