//! Communicators as the rest of the engine sees them: a context number, a group, my rank
//! (MPI-5.0 chapter 7). How they are made and managed is in `comm_manage`.
//!
//! A communicator owns two contexts, `context` for the user's messages and `context + 1` for the
//! engine's own (collectives), so that neither can match the other. Numbers come from one counter
//! of the whole job and are never used again.

pub mod facts;

use crate::attr::Attributes;
use crate::errhandler::Handler;
use crate::group::Group;
use crate::topo::Topology;
use crate::{Engine, Error, Result, coll};
use mpi_abi::Comm as CommHandle;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_COMM_SELF, MPI_COMM_WORLD, MPI_ERR_COMM, MPI_ERR_OTHER, MPI_ERR_RANK};
use shm::lock::Lock;
use std::ffi::c_int;
use std::sync::{Arc, OnceLock};

use coll::turn::Turns;
use facts::Facts;

/// Context of MPI_COMM_WORLD.
pub const WORLD_CONTEXT: u32 = 0;
/// Context of MPI_COMM_SELF.
pub const SELF_CONTEXT: u32 = 2;

/// What does not change while the communicator lives; shared with operations in work.
pub struct CommCore {
    /// Context of the user's messages; the next one is the engine's.
    pub context: u32,
    /// The (local) group.
    pub group: Arc<Group>,
    /// My rank in it.
    pub rank: u32,
    /// The other side of an intercommunicator.
    pub remote: Option<Arc<Group>>,
    /// Its process topology.
    pub topology: Option<Arc<Topology>>,
    /// The collectives' state.
    pub coll: Lock<coll::State>,
    /// How many collectives by schedules were made.
    pub schedules: coll::schedule::Made,
    /// Which collectives were called.
    pub turns: coll::turn::Turns,
    /// Where its short nonblocking collectives meet.
    pub(crate) board: OnceLock<Arc<coll::board::Board>>,
}

impl CommCore {
    /// A communicator's core.
    pub fn new(context: u32, group: Arc<Group>, rank: u32, remote: Option<Arc<Group>>) -> Self {
        let coll = Lock::new(coll::State::default());
        let schedules = coll::schedule::Made::default();
        let (turns, board) = (Turns::default(), OnceLock::new());
        Self { context, group, rank, remote, topology: None, coll, schedules, turns, board }
    }

    /// Ranks in the (local) group.
    #[inline]
    pub fn size(&self) -> u32 {
        self.group.size()
    }

    /// The group that destinations and sources are ranks of.
    #[inline]
    pub fn peers(&self) -> &Group {
        self.remote.as_deref().unwrap_or(&self.group)
    }
}

/// What the user keeps with a communicator. It is there from the first moment, also while the communicator is still
/// being made.
#[derive(Default)]
pub struct Kept {
    /// Its error handler.
    pub errhandler: Handler,
    /// Its name (MPI_Comm_set_name).
    pub name: String,
    /// Its attributes.
    pub attributes: Attributes,
}

impl Kept {
    /// What a new communicator begins with.
    pub fn with(errhandler: Handler) -> Self {
        Self { errhandler, ..Self::default() }
    }
}

/// A communicator of this process, behind a handle.
pub struct Comm {
    /// What does not change.
    pub core: Arc<CommCore>,
    /// What the user keeps with it.
    pub kept: Kept,
}

impl Engine {
    /// The table's handle for a user's handle: the predefined ones are entries like all others.
    #[inline]
    pub fn comm_raw(&self, handle: CommHandle) -> usize {
        match handle {
            MPI_COMM_WORLD => self.world_comm,
            MPI_COMM_SELF => self.self_comm,
            other => other.0,
        }
    }

    /// The communicator behind a user's handle.
    #[inline]
    pub fn comm(&self, handle: CommHandle) -> Result<&Comm> {
        self.comms.get(self.comm_raw(handle)).ok_or_else(|| self.bad_comm(handle))
    }

    /// Rank and size behind a user's handle, and remembers them for [`facts::known`].
    pub fn comm_facts(&self, handle: CommHandle) -> Result<Facts> {
        let core = &self.comm(handle)?.core;
        let facts = Facts { rank: core.rank, size: core.size(), inter: core.remote.is_some() };
        facts::remember(handle, facts);
        Ok(facts)
    }

    /// The unchanging part of the communicator behind a user's handle.
    #[inline]
    pub fn comm_core(&self, handle: CommHandle) -> Result<Arc<CommCore>> {
        self.comm(handle).map(|c| Arc::clone(&c.core))
    }

    /// What the user keeps with the communicator behind a handle.
    pub fn kept(&self, handle: CommHandle) -> Result<&Kept> {
        match self.comms.get(self.comm_raw(handle)) {
            Some(comm) => Ok(&comm.kept),
            None => self.kept_of_unfinished(handle).ok_or_else(|| self.bad_comm(handle)),
        }
    }

    /// The same, to change it.
    pub fn kept_mut(&mut self, handle: CommHandle) -> Result<&mut Kept> {
        self.kept(handle)?;
        let raw = self.comm_raw(handle);
        let unfinished = self.duplicates.values_mut().flatten().find_map(|one| one.kept_mut(raw));
        let kept = self.comms.get_mut(raw).map(|comm| &mut comm.kept).or(unfinished);
        kept.ok_or_else(|| Error::new(MPI_ERR_COMM, "the communicator is gone"))
    }

    /// The error for a handle that is no communicator.
    #[cold]
    pub fn bad_comm(&self, handle: CommHandle) -> Error {
        if handle == MPI_COMM_NULL {
            return Error::new(MPI_ERR_COMM, "the communicator is MPI_COMM_NULL");
        }
        if self.world.is_none() {
            return Error::new(MPI_ERR_OTHER, "MPI is not initialized, or already finalized");
        }
        let why = crate::handle::explain(self.comms.why_stale(handle.0));
        Error::new(MPI_ERR_COMM, format!("{:#x} is no communicator: {why}", handle.0))
    }
}

/// The error for rank `rank` in a communicator of `size` peers.
#[cold]
pub fn bad_rank(what: &str, rank: c_int, size: u32) -> Error {
    Error::new(
        MPI_ERR_RANK,
        format!("{what} is rank {rank}, but the communicator has {size} ranks (0 to {})", size.saturating_sub(1)),
    )
}
