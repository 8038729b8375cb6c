//! The life of MPI in this process: initialization, the two predefined communicators, the end,
//! and the early end (MPI-5.0 chapter 11).

use crate::comm::{Comm, CommCore, Kept, SELF_CONTEXT, WORLD_CONTEXT};
use crate::group::Group;
use crate::progress::wait_for;
use crate::protocol::Transport;
use crate::status::{Call, Waiting};
use crate::{Engine, Error, Result, check, coll, with};
use mpi_abi::consts::{MPI_ERR_OTHER, MPI_THREAD_MULTIPLE, MPI_THREAD_SINGLE};
use shm::Segment;
use shm::job::{self, Job, Launcher};
use shm::page::Seat;
use shm::placement::Placement;
use shm::sync::{AtomicU32, Ordering};
use shm::wait::Policy;
use std::ffi::c_int;
use std::sync::Arc;
use std::thread::ThreadId;

/// The job as this process sees it.
pub struct World {
    /// The shared memory; lives as long as the process.
    pub segment: &'static Segment,
    /// Ranks of the job.
    pub size: u32,
    /// How to wait.
    pub policy: Policy,
    /// Where to wait.
    pub placement: Placement,
    /// The thread level that was provided.
    pub thread_level: c_int,
    /// The thread that initialized MPI.
    pub main_thread: ThreadId,
    /// Seat, lock and lifeline, kept to the end.
    pub job: &'static Job,
}

impl World {
    /// Whether our mpiexec watches over the job.
    pub fn launched_by_mpiexec(&self) -> bool {
        self.job.launcher == Launcher::Mpiexec
    }
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before MPI_Init.
    Before,
    /// MPI may be used.
    Ready,
    /// After MPI_Finalize.
    After,
}

static PHASE: AtomicU32 = AtomicU32::new(0);
const STARTING: u32 = 1;
const READY: u32 = 2;
const ENDING: u32 = 3;
const AFTER: u32 = 4;
/// As READY, and the calls of the user are looked at (`check`).
const CHECKED: u32 = 5;

/// Where the process stands now.
#[inline]
pub fn phase() -> Phase {
    // SYNC phase: what initialization did is visible to who sees that it is done.
    match PHASE.load(Ordering::Acquire) {
        READY | CHECKED | ENDING => Phase::Ready,
        AFTER => Phase::After,
        _ => Phase::Before,
    }
}

/// Whether MPI may be used now and there is nothing else to do at the beginning of a function: the check
/// that every one makes. If not, [`enter`] says more.
#[inline]
pub fn is_plain() -> bool {
    // SYNC phase: as in `phase`.
    PHASE.load(Ordering::Acquire) == READY
}

/// The user calls `function` when it is not [plain](is_plain): whether MPI may be used now.
#[cold]
pub fn enter(function: &'static str) -> bool {
    // SYNC phase: as in `phase`.
    let phase = PHASE.load(Ordering::Acquire);
    if phase == CHECKED {
        check::enter(function);
    }
    matches!(phase, READY | CHECKED | ENDING)
}

/// Initializes MPI (MPI_Init_thread); gives the thread level provided: always the highest.
pub fn init(required: c_int) -> Result<c_int> {
    if !(MPI_THREAD_SINGLE..=MPI_THREAD_MULTIPLE).contains(&required) {
        return Err(Error::new(
            mpi_abi::consts::MPI_ERR_ARG,
            format!("the thread level {required} is none of MPI_THREAD_SINGLE to MPI_THREAD_MULTIPLE"),
        ));
    }
    if let Err(now) = PHASE.compare_exchange(0, STARTING, Ordering::AcqRel, Ordering::Acquire) {
        let text = if now == AFTER {
            "MPI was finalized: it can not be initialized again in this process"
        } else {
            "MPI is initialized already"
        };
        return Err(Error::new(MPI_ERR_OTHER, text));
    }
    match join() {
        Ok(()) => {
            let ready = if check::is_on() { CHECKED } else { READY };
            // SYNC phase: everything above is visible to who sees READY.
            PHASE.store(ready, Ordering::Release);
            Ok(MPI_THREAD_MULTIPLE)
        }
        Err(error) => {
            PHASE.store(0, Ordering::Release);
            Err(error)
        }
    }
}

fn join() -> Result<()> {
    // Ctrl-C works also while the ranks of another launcher wait for each other.
    shm::fence::prepare();
    let job = job::join_unless(&mut crate::progress::interrupted).map_err(|e| Error::new(MPI_ERR_OTHER, e.text))?;
    // The mapping and the seat belong to the process: they end with it.
    let job: &'static Job = Box::leak(Box::new(job));
    let segment = &job.segment;
    if let Some(launcher) = std::num::NonZeroU32::new(segment.header().launcher.load(Ordering::Relaxed)) {
        shm::os::cma::allow_tracer(launcher.get());
    }
    with(|e| {
        e.me = job.rank;
        if shm::env::is_on(shm::env::SYNC_SENDS) {
            e.sync_sends = true;
            e.at_once_below = 0;
        }
        e.transport = Some(Transport::new(segment, job.rank));
        e.world = Some(World {
            segment,
            size: job.size,
            policy: Policy::for_ranks(job.size),
            placement: Placement::default(),
            thread_level: MPI_THREAD_MULTIPLE,
            main_thread: std::thread::current().id(),
            job,
        });
        let everybody = Arc::new(Group::from_ranks((0..job.size).collect()));
        let myself = Arc::new(Group::from_ranks(vec![job.rank]));
        let world = Arc::new(CommCore::new(WORLD_CONTEXT, everybody, job.rank, None));
        let own = Arc::new(CommCore::new(SELF_CONTEXT, myself, 0, None));
        let errhandler = e.objects.initial.clone();
        let [world, own] = [(world, "MPI_COMM_WORLD"), (own, "MPI_COMM_SELF")].map(|(core, name)| {
            let kept = Kept { errhandler: errhandler.clone(), name: name.to_owned(), ..Kept::default() };
            e.add_comm(None, Comm { core, kept })
        });
        (e.world_comm, e.self_comm) = (world, own);
        if shm::env::is_on(shm::env::CHECK) {
            e.check_from_now();
        }
    });
    coll::turn::keep_journal(segment, job.rank);
    segment.rank_page(job.rank).set_seat(Seat::Initialized);
    Ok(())
}

/// Ends MPI (MPI_Finalize): completes what was begun, waits for the others.
pub fn finalize() -> Result<()> {
    let ready = if check::is_on() { CHECKED } else { READY };
    if PHASE.compare_exchange(ready, ENDING, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return Err(Error::new(MPI_ERR_OTHER, "MPI is not initialized, or already finalized"));
    }
    let outcome = leave();
    PHASE.store(AFTER, Ordering::Release);
    outcome
}

fn leave() -> Result<()> {
    // Messages that wait for room must leave; requests that were freed while active must end.
    wait_for(Waiting::anybody(Call::Finalize), |e| {
        let busy = e.transport.as_ref().is_some_and(Transport::has_outgoing);
        let unfinished = e.requests.iter().any(|(_, r)| r.is_unfinished_send());
        (!busy && !unfinished).then_some(())
    })?;
    check::at_end(true);
    // No barrier: nothing that we gave needs us any more, and a rank that ends with an exit code
    // while others wait for it must be seen to end. Others that wait in a collective see that we left.
    with(|e| {
        if let Some(world) = &e.world {
            world.segment.rank_page(e.me).set_seat(Seat::Finalized);
        }
    });
    Ok(())
}

/// Ends the job now (MPI_Abort): marks it as failed with `code`, wakes everybody, exits.
pub fn abort(code: c_int) -> ! {
    if let Some(world) = with(|e| e.world.as_ref().map(|w| (w.segment, e.me))) {
        let (segment, me) = world;
        shm::liveness::abort(segment, me, code);
    }
    shm::os::exit::exit_now(code)
}

impl Engine {
    /// My rank in the job, once MPI is initialized.
    pub fn world_rank(&self) -> Option<u32> {
        self.world.as_ref().map(|_| self.me)
    }

    /// Enters a communicator into the tables, under a handle that was reserved or a new one; its handle.
    pub fn add_comm(&mut self, reserved: Option<usize>, comm: Comm) -> usize {
        self.contexts.attach(&comm.core);
        match reserved {
            Some(raw) => {
                self.comms.fill(raw, comm);
                raw
            }
            None => self.comms.insert(comm),
        }
    }

    /// The unchanging part of the communicator behind a table handle.
    pub fn core(&self, raw: usize) -> Result<Arc<CommCore>> {
        let comm = self.comms.get(raw).ok_or_else(|| self.bad_comm(mpi_abi::Comm(raw)))?;
        Ok(Arc::clone(&comm.core))
    }
}

/// The process ends because of an uncaught exception of its language.
pub fn set_uncaught() {
    with(|e| {
        if let Some(world) = &e.world {
            shm::liveness::note_uncaught(world.segment, e.me);
        }
    });
}
