//! What MPI means, in Rust: matching, protocols, datatypes, collectives, communicators. Knows no
//! C calling convention and no Python; called by the shim, stands on `shm`.
//!
//! All state of a process lies in one [`Engine`] behind one lock ([`with`]); user code (callbacks,
//! reduction functions) never runs while it is held, and nobody waits while holding it except by
//! polling ([`progress::wait_for`]), which steps aside for other threads.

pub mod attr;
pub mod check;
pub mod coll;
pub mod comm;
pub mod comm_manage;
pub mod copy;
pub mod datatype;
pub mod errcode;
pub mod errhandler;
pub mod error;
pub mod group;
pub mod handle;
pub mod info;
pub mod naming;
pub mod news;
pub mod objects;
pub mod op;
pub mod p2p;
pub mod payload;
pub mod progress;
pub(crate) mod protocol;
pub mod request;
pub mod session;
pub mod site;
pub mod stacks;
pub mod status;
pub mod topo;
pub mod user_buf;
pub mod waiting;
pub mod world;

pub use error::{Error, Result};

use coll::board::Boards;
use coll::schedule::Schedules;
use comm::Comm;
use comm_manage::idup::Duplicate;
use handle::{HandleTable, Kind};
use objects::Objects;
use p2p::buffer::Buffers;
use p2p::matching::Contexts;
use p2p::probe::Matched;
use protocol::Transport;
use protocol::partitioned::Unmatched;
use request::Request;
use shm::lock::{Guard, Lock};
use shm::sleep::Sleepers;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Everything the engine knows in this process.
pub struct Engine {
    /// The job, once MPI is initialized.
    pub world: Option<world::World>,
    /// My rank in the job.
    pub me: u32,
    /// Table handle of MPI_COMM_WORLD.
    pub world_comm: usize,
    /// Table handle of MPI_COMM_SELF.
    pub self_comm: usize,
    /// Communicators.
    pub comms: HandleTable<Comm>,
    /// Those that the user has freed while operations need them, by what was their handle.
    pub(crate) freed: HashMap<usize, Comm>,
    /// Requests.
    pub requests: HandleTable<Request>,
    /// The request of every nonblocking send that was over before its call returned, made at first use:
    /// nothing distinguishes them, and it never leaves the table. `usize::MAX` = not made yet.
    pub(crate) sent: usize,
    /// The same for nonblocking collectives.
    pub(crate) collected: usize,
    /// Messages that a matched probe took out.
    pub messages: HandleTable<Matched>,
    /// Datatypes.
    pub types: datatype::TypeTable,
    /// Reduction operations.
    pub ops: op::OpTable,
    /// Everything else that has a handle.
    pub objects: Objects,
    /// Attached buffers.
    pub buffers: Buffers,
    pub(crate) contexts: Contexts,
    pub(crate) unmatched: Unmatched,
    /// Communicators that are being made, by the receive that they wait for; none: nothing is to be made of it.
    pub(crate) duplicates: HashMap<usize, Option<Duplicate>>,
    pub(crate) transport: Option<Transport>,
    /// Collectives in work that can go on.
    pub(crate) schedules: Schedules,
    /// Collectives in work in shared memory.
    pub(crate) boards: Boards,
    /// Counts what was sent, received or completed.
    pub(crate) progress_count: u64,
    /// Threads of this process that sleep, or are about to.
    pub(crate) sleepers: Sleepers,
    /// A standard or ready send of fewer bytes is tried without a request.
    pub(crate) at_once_below: usize,
    /// Standard sends wait for their receives (`mpiexec --sync-sends`).
    pub(crate) sync_sends: bool,
    /// What `mpiexec --check` needs; none without.
    pub(crate) check: Option<Box<check::State>>,
    /// A wait looks once more after it has lasted for a whole nap.
    pub(crate) wait_lasts: bool,
    /// About collectives that were started and not waited for.
    pub(crate) started: coll::disagree::Started,
    /// The request that a wait for several has found pending last, for the status page.
    pub(crate) pending: usize,
    /// Looks in vain that did not wait (tests, probes), and what was answered to questions about waits.
    pub(crate) polls: waiting::Polls,
}

impl Engine {
    fn new() -> Self {
        Self {
            world: None,
            me: 0,
            world_comm: 0,
            self_comm: 0,
            comms: HandleTable::new(Kind::Comm),
            freed: HashMap::new(),
            requests: HandleTable::new(Kind::Request),
            sent: usize::MAX,
            collected: usize::MAX,
            messages: HandleTable::new(Kind::Message),
            types: datatype::TypeTable::default(),
            ops: op::OpTable::default(),
            objects: Objects::default(),
            buffers: Buffers::default(),
            contexts: Contexts::default(),
            unmatched: Unmatched::default(),
            duplicates: HashMap::new(),
            transport: None,
            schedules: Schedules::default(),
            boards: Boards::default(),
            progress_count: 0,
            sleepers: Sleepers::default(),
            at_once_below: protocol::AT_ONCE_BELOW,
            sync_sends: false,
            check: None,
            wait_lasts: false,
            started: coll::disagree::Started::default(),
            pending: 0,
            polls: waiting::Polls::default(),
        }
    }
}

static ENGINE: LazyLock<Lock<Engine>> = LazyLock::new(|| Lock::new(Engine::new()));

/// The engine's state, held until the guard is dropped. The holder must neither wait nor call
/// user code.
#[inline]
pub(crate) fn lock() -> Guard<'static, Engine> {
    ENGINE.lock()
}

/// Runs `f` on the engine's state, under its lock. `f` must neither wait nor call user code.
#[inline]
pub fn with<R>(f: impl FnOnce(&mut Engine) -> R) -> R {
    f(&mut ENGINE.lock())
}
