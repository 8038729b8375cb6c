//! Channels: what the nonblocking collectives of objects (`objects_nonblocking`) send their messages on. A channel belongs to
//! a communicator and is a duplicate of it, begun with `MPI_Comm_idup` by the first of these calls: messages of the
//! program do not meet those of the channel, and nobody waits in the call.
//!
//! An operation here is: messages to some ranks, and one message each from some ranks, all with the operation's own tag.
//! The sizes of what comes are not known, so its messages are matched by probes, as in `irecv`: calls that wait or test
//! serve the operations that are under way. The request of an operation is a generalized one, which every MPI function
//! takes; it is complete when all messages have come and those to others are copied and on their way.

use super::context;
use super::objects::size_of;
use super::objects_coll::number;
use super::{is_inter, peers, rank};
use crate::args;
use crate::call::{check, mpi, object_type};
use crate::news;
use crate::pickle::Block;
use crate::request::{Owner, Pending, Request};
use mpi_abi as abi;
use mpi_abi::consts::{
    MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_BYTE, MPI_COMM_NULL, MPI_ERR_REQUEST, MPI_MAX_OBJECT_NAME, MPI_MESSAGE_NULL,
    MPI_REQUEST_NULL, MPI_STATUS_IGNORE, MPI_SUCCESS, MPI_THREAD_MULTIPLE, MPI_THREAD_SINGLE,
};
use mpi_abi::ffi;
use pyo3::prelude::*;
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// Who exchanges messages on a communicator.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) inter: bool,
    rank: c_int,
    /// How many ranks there are to exchange with: on an intercommunicator the remote group's.
    pub(super) peers: usize,
}

impl Shape {
    pub(super) fn of(py: Python<'_>, comm: abi::Comm) -> PyResult<Self> {
        Ok(Self { inter: is_inter(py, comm)?, rank: rank(py, comm)?, peers: number(peers(py, comm)?) })
    }

    /// The place of this rank among the peers, if it is one of them.
    pub(super) fn own(self) -> Option<usize> {
        if self.inter { None } else { Some(number(self.rank)) }
    }

    /// The peers other than this rank.
    pub(super) fn others(self) -> impl Iterator<Item = c_int> {
        (0..c_int::try_from(self.peers).unwrap_or(0)).filter(move |&rank| self.inter || rank != self.rank)
    }

    /// A plan in which nothing is sent and nothing comes.
    pub(super) fn nothing(self) -> Plan {
        Plan { sends: Vec::new(), source: MPI_ANY_SOURCE, missing: 0, blocks: vec![None; self.peers] }
    }
}

/// The channel of a communicator.
pub(super) struct Channel {
    last_tag: c_int,
    tag: AtomicI32,
    dup: Mutex<Duplicate>,
    /// What reports on messages of the channel call it.
    name: CString,
}

enum Duplicate {
    /// The operation, and where it will write the handle.
    Coming(abi::Request, Box<abi::Comm>),
    /// A thread waits for it.
    Awaited,
    There(abi::Comm),
    Failed(c_int),
}

// SAFETY: handles are plain values; the box is touched by who holds the lock, and by MPI until the request is complete.
unsafe impl Send for Duplicate {}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a communicator's channel, as long as a name may be.
fn name_for(py: Python<'_>, comm: abi::Comm) -> PyResult<CString> {
    let (mut name, mut length) = ([0 as c_char; MPI_MAX_OBJECT_NAME as usize + 1], 0);
    mpi!(py, MPI_Comm_get_name(comm, name.as_mut_ptr(), &raw mut length))?;
    let mut name = format!("ibcast and the like of {}", args::text(&name));
    while name.len() >= MPI_MAX_OBJECT_NAME as usize {
        name.pop();
    }
    Ok(CString::new(name)?)
}

impl Channel {
    /// The channel of a communicator. All its processes call, in the same order as their other collectives.
    pub(super) fn of(py: Python<'_>, comm: abi::Comm) -> PyResult<Arc<Self>> {
        if let Some(channel) = context::channel(py, comm)? {
            return Ok(channel);
        }
        let last_tag = context::last_tag(py, comm)?;
        let (mut handle, mut request) = (Box::new(MPI_COMM_NULL), MPI_REQUEST_NULL);
        mpi!(py, MPI_Comm_idup(comm, &raw mut *handle, &raw mut request))?;
        let dup = Mutex::new(Duplicate::Coming(request, handle));
        let name = name_for(py, comm)?;
        let channel = Arc::new(Self { last_tag, tag: AtomicI32::new(0), dup, name });
        context::set_channel(py, comm, &channel)?;
        Ok(channel)
    }

    fn next_tag(&self) -> c_int {
        let tag = self.tag.load(Ordering::Relaxed);
        self.tag.store(if tag >= self.last_tag { 0 } else { tag + 1 }, Ordering::Relaxed);
        tag
    }

    /// The duplicate, once it is there.
    fn communicator(&self) -> Result<Option<abi::Comm>, c_int> {
        let mut dup = locked(&self.dup);
        if let Duplicate::Coming(request, handle) = &mut *dup {
            let mut flag = 0;
            // SAFETY: the request of `of`, which only the holder of the lock tests.
            let code = unsafe { ffi::MPI_Test(request, &raw mut flag, MPI_STATUS_IGNORE) };
            if code != MPI_SUCCESS {
                *dup = Duplicate::Failed(code);
            } else if flag != 0 {
                // MPI wrote it through the pointer that it was given.
                // SAFETY: a live box.
                let comm = unsafe { (&raw const **handle).read_volatile() };
                *dup = Duplicate::There(comm);
                self.baptize(comm);
            }
        }
        match &*dup {
            Duplicate::Coming(..) | Duplicate::Awaited => Ok(None),
            Duplicate::There(comm) => Ok(Some(*comm)),
            Duplicate::Failed(code) => Err(*code),
        }
    }

    /// A name is of use to reports only: that there is none is no failure.
    fn baptize(&self, comm: abi::Comm) {
        // SAFETY: the name is a C string.
        unsafe { ffi::MPI_Comm_set_name(comm, self.name.as_ptr()) };
    }

    /// Lets a thread wait for the duplicate and then send what could not be sent before: the program may wait for
    /// something else meanwhile, and the other ranks for these messages. Without threads in MPI it is
    /// left to the next call that serves.
    fn await_beside(self: &Arc<Self>) {
        let mut dup = locked(&self.dup);
        let Duplicate::Coming(request, handle) = &mut *dup else { return };
        let mut provided = MPI_THREAD_SINGLE;
        // SAFETY: a local.
        unsafe { ffi::MPI_Query_thread(&raw mut provided) };
        if provided != MPI_THREAD_MULTIPLE {
            return;
        }
        let (request, address) = (request.raw(), (&raw mut **handle).expose_provenance());
        let channel = Arc::clone(self);
        let wait = move || {
            let mut request = abi::Request::from_raw(request);
            // SAFETY: the request of `of`: with `Awaited` in the place of it nobody else knows it.
            let code = unsafe { ffi::MPI_Wait(&raw mut request, MPI_STATUS_IGNORE) };
            // SAFETY: the address is that of the box which `await_beside` gave up; MPI wrote the handle.
            let handle = unsafe { Box::from_raw(ptr::with_exposed_provenance_mut::<abi::Comm>(address)) };
            channel.arrived(code, *handle);
            AWAITING.fetch_sub(1, Ordering::Release);
        };
        AWAITING.fetch_add(1, Ordering::Relaxed);
        if std::thread::Builder::new().name("oxmpi-objects".to_owned()).spawn(wait).is_err() {
            AWAITING.fetch_sub(1, Ordering::Relaxed);
        } else if let Duplicate::Coming(_, handle) = std::mem::replace(&mut *dup, Duplicate::Awaited) {
            // It is the thread's now, which is kept from putting another value here by the lock.
            std::mem::forget(handle);
        }
    }

    /// In the thread that waited.
    fn arrived(self: &Arc<Self>, code: c_int, comm: abi::Comm) {
        let failed = code != MPI_SUCCESS;
        if !failed {
            self.baptize(comm);
        }
        *locked(&self.dup) = if failed { Duplicate::Failed(code) } else { Duplicate::There(comm) };
        let all = locked(&OPERATIONS).clone();
        for operation in all.iter().filter(|operation| !failed && Arc::ptr_eq(&operation.channel, self)) {
            let mut state = locked(&operation.state);
            state.code = state.send(comm, operation.tag, Memory::Keep);
        }
        news::make();
    }
}

/// Threads that wait for duplicates.
static AWAITING: AtomicUsize = AtomicUsize::new(0);

impl Drop for Channel {
    fn drop(&mut self) {
        let dup = self.dup.get_mut().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(dup, Duplicate::There(MPI_COMM_NULL)) {
            // MPI may still write the handle.
            Duplicate::Coming(_, handle) => std::mem::forget(handle),
            Duplicate::There(mut comm) if comm != MPI_COMM_NULL && crate::init::is_active() => {
                // SAFETY: MPI is active, and only this channel knows the communicator.
                unsafe { ffi::MPI_Comm_free(&raw mut comm) };
            }
            _ => {}
        }
    }
}

/// What an operation does.
pub(super) struct Plan {
    /// To whom what is sent.
    pub(super) sends: Vec<(c_int, Arc<Block>)>,
    /// From whom messages come (`MPI_ANY_SOURCE`: from all), and how many.
    pub(super) source: c_int,
    pub(super) missing: usize,
    /// What has come, by rank; the own part is there from the start.
    pub(super) blocks: Blocks,
}

/// What has come, by rank.
pub(super) type Blocks = Vec<Option<Arc<Block>>>;
/// What makes the object that `wait` returns.
pub(super) type Finish = Box<dyn FnOnce(Python<'_>, &Blocks) -> PyResult<Py<PyAny>> + Send>;

/// A collective under way.
pub(super) struct Operation {
    channel: Arc<Channel>,
    tag: c_int,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    receiving: Vec<(abi::Request, usize, Block)>,
    request: abi::Request,
    over: bool,
    /// What MPI said to the thread that sent.
    code: c_int,
    error: Option<PyErr>,
}

/// Whether memory of messages that are sent can be let go at once, which takes the interpreter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Free,
    Keep,
}

// SAFETY: handles are plain values, and everything else may go from thread to thread.
unsafe impl Send for State {}

/// Operations under way, in the order of their calls.
static OPERATIONS: Mutex<Vec<Arc<Operation>>> = Mutex::new(Vec::new());
static OPEN: AtomicUsize = AtomicUsize::new(0);
/// Messages on their way whose operations may be over.
static SENDING: Mutex<Vec<(abi::Request, Arc<Block>)>> = Mutex::new(Vec::new());

/// Whether there are operations that have to be served.
#[inline]
pub(crate) fn any() -> bool {
    OPEN.load(Ordering::Relaxed) != 0
}

/// Does for all operations what can be done now.
pub(crate) fn serve(py: Python<'_>) {
    if !any() {
        return;
    }
    let all = locked(&OPERATIONS).clone();
    let mut over = false;
    for operation in &all {
        over |= operation.serve(py);
    }
    if over {
        let mut open = locked(&OPERATIONS);
        let gone: Vec<_> = open.extract_if(.., |operation| operation.is_over()).collect();
        OPEN.store(open.len(), Ordering::Relaxed);
        drop(open);
        drop(gone);
        // Another thread may wait for one of them.
        news::make();
    }
}

/// Lets go the memory of messages that were sent.
fn sweep() {
    let sent: Vec<_> = locked(&SENDING).extract_if(.., |(request, _)| is_sent(request)).collect();
    // Outside of the lock: freeing an object can run any code.
    drop(sent);
}

fn is_sent(request: &mut abi::Request) -> bool {
    let mut flag = 0;
    // SAFETY: a request of `State::send`, tested under the lock of its list.
    unsafe { ffi::MPI_Test(request, &raw mut flag, MPI_STATUS_IGNORE) != MPI_SUCCESS || flag != 0 }
}

/// Before the end of MPI: what is still being sent is left to MPI.
pub(crate) fn end() {
    // All ranks have begun the same duplicates: these threads end soon.
    for _ in 0..10_000 {
        if AWAITING.load(Ordering::Acquire) == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    sweep();
    for (mut request, block) in std::mem::take(&mut *locked(&SENDING)) {
        // SAFETY: MPI is active; its memory is never given back.
        unsafe { ffi::MPI_Request_free(&raw mut request) };
        std::mem::forget(block);
    }
}

unsafe extern "C" fn query(_extra: *mut c_void, status: *mut abi::Status) -> c_int {
    // SAFETY: MPI passes a status.
    unsafe {
        (*status).MPI_SOURCE = MPI_ANY_SOURCE;
        (*status).MPI_TAG = MPI_ANY_TAG;
        ffi::MPI_Status_set_elements_c(status, MPI_BYTE, 0);
        ffi::MPI_Status_set_cancelled(status, 0)
    }
}

unsafe extern "C" fn free(_extra: *mut c_void) -> c_int {
    MPI_SUCCESS
}

/// A collective cannot be cancelled.
unsafe extern "C" fn cancel(_extra: *mut c_void, complete: c_int) -> c_int {
    if complete == 0 { MPI_ERR_REQUEST } else { MPI_SUCCESS }
}

/// Starts an operation; `result` makes of its blocks what `wait` returns.
pub(super) fn start(py: Python<'_>, channel: Arc<Channel>, plan: Plan, result: Finish) -> PyResult<Py<Request>> {
    let mut request = MPI_REQUEST_NULL;
    mpi!(py, MPI_Grequest_start(Some(query), Some(free), Some(cancel), ptr::null_mut(), &raw mut request))?;
    let tag = channel.next_tag();
    let state = State { plan, receiving: Vec::new(), request, over: false, code: MPI_SUCCESS, error: None };
    let operation = Arc::new(Operation { channel, tag, state: Mutex::new(state) });
    if !operation.serve(py) {
        let mut open = locked(&OPERATIONS);
        open.push(Arc::clone(&operation));
        OPEN.store(open.len(), Ordering::Relaxed);
        drop(open);
        let unsent = !locked(&operation.state).plan.sends.is_empty();
        if unsent {
            operation.channel.await_beside();
            // Now that it is in the list a thread that waits for the duplicate sends; perhaps that one is just over.
            serve(py);
        }
    }
    sweep();
    Request::make(py, request, Owner::Object(Box::new(Collective { operation, result })))
}

impl Operation {
    fn is_over(&self) -> bool {
        locked(&self.state).over
    }

    /// `true`: it is over.
    fn serve(&self, py: Python<'_>) -> bool {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            // Served further up, or by another thread.
            Err(TryLockError::WouldBlock) => return false,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
        };
        if state.over {
            return true;
        }
        match state.step(py, &self.channel, self.tag) {
            Ok(false) => return false,
            Ok(true) => {}
            Err(error) => state.fail(error),
        }
        state.over = true;
        let request = state.request;
        drop(state);
        // SAFETY: the generalized request of `start`, completed here once.
        unsafe { ffi::MPI_Grequest_complete(request) };
        true
    }
}

impl State {
    fn step(&mut self, py: Python<'_>, channel: &Channel, tag: c_int) -> PyResult<bool> {
        check(py, self.code)?;
        // Who has nothing to do waits for the duplicate all the same: a communicator whose operations are over can be freed,
        // and a library need not take that well while one is being duplicated (Intel MPI 2021.18 then hangs later).
        let Some(comm) = channel.communicator().or_else(|code| check(py, code).map(|()| None))? else {
            return Ok(false);
        };
        let code = self.send(comm, tag, Memory::Free);
        check(py, code)?;
        self.match_messages(py, comm, tag)?;
        let mut index = 0;
        while let Some((request, source, _)) = self.receiving.get_mut(index) {
            let (mut flag, source) = (0, *source);
            mpi!(py, MPI_Test(&raw mut *request, &raw mut flag, MPI_STATUS_IGNORE))?;
            if flag == 0 {
                index += 1;
                continue;
            }
            let (_, _, block) = self.receiving.swap_remove(index);
            if let Some(place) = self.plan.blocks.get_mut(source) {
                *place = Some(Arc::new(block));
            }
        }
        Ok(self.plan.missing == 0 && self.receiving.is_empty())
    }

    /// Starts the messages to others.
    fn send(&mut self, comm: abi::Comm, tag: c_int, memory: Memory) -> c_int {
        for (dest, block) in self.plan.sends.drain(..) {
            let mut request = MPI_REQUEST_NULL;
            let (addr, count) = (block.addr(), block.count());
            // SAFETY: memory that the block keeps, which goes along with the request.
            let code = unsafe { ffi::MPI_Isend_c(addr, count, object_type(), dest, tag, comm, &raw mut request) };
            if code != MPI_SUCCESS {
                return code;
            }
            if memory == Memory::Keep || !is_sent(&mut request) {
                locked(&SENDING).push((request, block));
            }
        }
        MPI_SUCCESS
    }

    /// Starts to receive what has come.
    fn match_messages(&mut self, py: Python<'_>, comm: abi::Comm, tag: c_int) -> PyResult<()> {
        while self.plan.missing > 0 {
            let (mut message, mut flag, mut status) = (MPI_MESSAGE_NULL, 0, abi::Status::empty());
            let source = self.plan.source;
            mpi!(py, MPI_Improbe(source, tag, comm, &raw mut flag, &raw mut message, &raw mut status))?;
            if flag == 0 {
                break;
            }
            let block = Block::new(py, size_of(py, &status)?)?;
            let (addr, count, mut request) = (block.addr(), block.count(), MPI_REQUEST_NULL);
            mpi!(py, MPI_Imrecv_c(addr, count, object_type(), &raw mut message, &raw mut request))?;
            self.receiving.push((request, number(status.MPI_SOURCE), block));
            self.plan.missing -= 1;
        }
        Ok(())
    }

    /// The operation ends here; MPI may still use the memory of what was coming in.
    fn fail(&mut self, error: PyErr) {
        self.plan.sends.clear();
        std::mem::forget(std::mem::take(&mut self.receiving));
        self.error = Some(error);
    }
}

/// What the request of an operation owns.
struct Collective {
    operation: Arc<Operation>,
    result: Finish,
}

impl Pending for Collective {
    fn finish(self: Box<Self>, py: Python<'_>, _status: &mut abi::Status) -> PyResult<Py<PyAny>> {
        let mut state = locked(&self.operation.state);
        let (error, blocks) = (state.error.take(), std::mem::take(&mut state.plan.blocks));
        drop(state);
        match error {
            Some(error) => Err(error),
            None => (self.result)(py, &blocks),
        }
    }
}
