//! How communicators are made, described and freed (MPI-5.0 sections 7.4 to 7.6). What they are to
//! messages is in `comm`; attributes are run by the shim, because their functions are user code.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | what a communicator has besides its core; entering and leaving the tables; comparison |
//! | `agree.rs` | how the members agree on contexts and exchange what they know |
//! | `make.rs` | dup, create, split |
//! | `idup.rs` | dup that does not wait |
//! | `resource.rs` | split_type |
//! | `hardware.rs` | which package, NUMA node, ... this process runs on |
//! | `inter.rs` | intercommunicators: create, merge |
//! | `from_group.rs` | communicators out of groups alone |
//! | `freed.rs` | what operations in work need of a communicator that was freed |
//!
//! Functions that communicate take no engine: they must be called without its lock.

pub(crate) mod agree;
mod freed;
mod from_group;
pub mod hardware;
pub(crate) mod idup;
mod inter;
mod make;
mod resource;

pub use from_group::{create_from_group, intercomm_create_from_groups};
pub use idup::{Copied, idup};
pub use inter::{intercomm_create, intercomm_merge};
pub use make::{create, create_group, dup, split};
pub use resource::split_type;

use crate::coll::turn::Turn;
use crate::comm::{Comm, CommCore, Kept};
use crate::errhandler::Handler;
use crate::group::{Comparison, Group};
use crate::info::{self, Info};
use crate::status::Call;
use crate::topo::Topology;
use crate::{Engine, Error, Result, naming, with};
use mpi_abi::Comm as Handle;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_CONGRUENT, MPI_ERR_COMM, MPI_IDENT, MPI_SIMILAR, MPI_UNEQUAL};
use std::ffi::c_int;
use std::sync::Arc;

/// What few communicators have: kept beside them, by table handle.
#[derive(Clone, Default)]
pub struct Extras {
    /// The hints that it was given, as far as they are known.
    pub hints: Info,
    /// Of an intercommunicator: its local group as a communicator of the engine's own.
    pub local: Option<Arc<CommCore>>,
}

impl Engine {
    /// Of an intercommunicator: its local group as a communicator of the engine's own, with
    /// contexts of its own.
    pub fn local_comm(&self, handle: Handle) -> Option<&Arc<CommCore>> {
        self.objects.comms.get(&self.comm_raw(handle))?.local.as_ref()
    }

    /// The hints of a communicator: the standard's, as they were given or with their defaults.
    pub fn comm_hints(&self, handle: Handle) -> Result<Info> {
        self.kept(handle)?;
        let given = self.objects.comms.get(&self.comm_raw(handle)).map(|extras| &extras.hints);
        let mut info = Info::default();
        for (key, default) in HINTS {
            match given.and_then(|given| given.text(key)) {
                Some(value) => info.put(key, &value),
                None if !default.is_empty() => info.put(key, default),
                None => {}
            }
        }
        info.put(info::MEMORY_KINDS.0, info::MEMORY_KINDS.1);
        Ok(info)
    }

    /// Takes over the hints of `given`.
    pub fn set_comm_hints(&mut self, handle: Handle, given: &Info) -> Result<()> {
        self.kept(handle)?;
        self.keep_hints(self.comm_raw(handle), given);
        Ok(())
    }

    fn keep_hints(&mut self, raw: usize, given: &Info) {
        for (key, default) in HINTS {
            if let Some(value) = given.text(key)
                && (matches!(&*value, "true" | "false") || default.is_empty())
            {
                self.objects.comms.entry(raw).or_default().hints.put(key, &value);
            }
        }
    }

    /// Enters a new communicator into the tables, under a handle that was reserved or a new one.
    fn enter(&mut self, reserved: Option<usize>, core: CommCore, kept: Kept, local: Option<Arc<CommCore>>) -> Handle {
        let raw = self.add_comm(reserved, Comm { core: Arc::new(core), kept });
        if let Some(local) = local {
            self.contexts.attach(&local);
            self.objects.comms.entry(raw).or_default().local = Some(local);
        }
        Handle::from_raw(raw)
    }
}

/// The hints of MPI-5.0 section 7.4.4 and their defaults (empty: any text, none unless it is given): kept and given
/// back if their values make sense, for all of them are promises of the user that the engine may use or not. Others
/// are not for us.
const HINTS: [(&str, &str); 7] = [
    ("mpi_assert_no_any_tag", "false"),
    ("mpi_assert_no_any_source", "false"),
    ("mpi_assert_exact_length", "false"),
    ("mpi_assert_allow_overtaking", "false"),
    ("mpi_assert_strict_persistent_collective_ordering", "false"),
    ("mpi_assert_strict_start_ordering", "false"),
    ("mpi_assert_memory_alloc_kinds", ""),
];

/// What a call needs of the communicator that it is made on.
pub(crate) struct Parent {
    pub(crate) core: Arc<CommCore>,
    local: Option<Arc<CommCore>>,
    handler: Handler,
    me: u32,
}

impl Parent {
    pub(crate) fn of(handle: Handle) -> Result<Self> {
        with(|e| {
            let comm = e.comm(handle)?;
            let (core, handler) = (Arc::clone(&comm.core), comm.kept.errhandler.clone());
            Ok(Self { core, local: e.local_comm(handle).cloned(), handler, me: e.me })
        })
    }

    /// The communicator of the local group: itself, unless it is an intercommunicator.
    fn local(&self) -> &Arc<CommCore> {
        self.local.as_ref().unwrap_or(&self.core)
    }

    /// Begins a call that all processes of the communicator take part in; its arguments are good.
    pub(crate) fn turn(&self, call: Call) -> Result<Turn<'_>> {
        Turn::manage(&self.core, self.local(), call)
    }

    /// An intracommunicator with this one's error handler; null for processes outside of `group`.
    pub(crate) fn intra(&self, context: u32, group: Arc<Group>, topology: Option<Arc<Topology>>) -> Handle {
        let Some(rank) = group.rank_of(self.me) else { return MPI_COMM_NULL };
        let core = CommCore { topology, ..CommCore::new(context, self.in_session(group), rank, None) };
        with(|e| e.enter(None, core, Kept::with(self.handler.clone()), None))
    }

    /// The group as one of the session that this communicator comes from.
    fn in_session(&self, group: Arc<Group>) -> Arc<Group> {
        let session = self.core.group.session();
        if group.session() == session { group } else { Arc::new((*group).clone().in_session(session)) }
    }

    /// An intercommunicator; null for processes outside of `local` and if a side is empty.
    fn inter(&self, contexts: agree::Inter, local: Arc<Group>, remote: Arc<Group>) -> Handle {
        let local = self.in_session(local);
        enter_inter(contexts, local, remote, self.me, self.handler.clone())
    }
}

fn enter_inter(contexts: agree::Inter, local: Arc<Group>, remote: Arc<Group>, me: u32, handler: Handler) -> Handle {
    let Some(rank) = local.rank_of(me).filter(|_| !remote.is_empty()) else { return MPI_COMM_NULL };
    let own = Arc::new(CommCore::new(contexts.local, Arc::clone(&local), rank, None));
    with(|e| {
        let core = CommCore::new(contexts.inter, local, rank, Some(remote));
        e.enter(None, core, Kept::with(handler), Some(own))
    })
}

/// The rank in the job of a member; members have one.
fn world_rank(group: &Group, rank: u32) -> Result<u32> {
    group.world_rank(rank).ok_or_else(|| {
        let size = group.size();
        Error::new(mpi_abi::consts::MPI_ERR_RANK, format!("rank {rank} is not in the group of {size}"))
    })
}

/// Refuses to free what the standard keeps (the predefined communicators) and what is none.
pub fn check_free(handle: Handle) -> Result<()> {
    // By their entries in the table, whose own handles nobody was given, but which can be guessed.
    let name = with(|e| {
        e.comm(handle)?;
        let raw = e.comm_raw(handle);
        let named = [(e.world_comm, "MPI_COMM_WORLD"), (e.self_comm, "MPI_COMM_SELF")];
        Ok(named.into_iter().find(|(own, _)| *own == raw).map(|(_, name)| name))
    })?;
    let Some(name) = name else { return Ok(()) };
    Err(Error::new(MPI_ERR_COMM, format!("{name} is predefined and cannot be freed")))
}

/// Frees a communicator whose attributes are gone. Operations on it that are in work complete, and persistent ones
/// can be started.
pub fn free(handle: Handle) -> Result<()> {
    check_free(handle)?;
    with(|e| {
        let raw = e.comm_raw(handle);
        e.remove_comm(raw);
        if let Some(local) = e.objects.comms.remove(&raw).and_then(|extras| extras.local) {
            e.contexts.detach(local.context);
        }
    });
    Ok(())
}

/// Waits until all members are here: the last word on a communicator that is disconnected.
pub fn quiesce(handle: Handle) -> Result<()> {
    check_free(handle)?;
    let parent = Parent::of(handle)?;
    agree::barrier(&parent.turn(Call::CommDisconnect)?)
}

/// `MPI_IDENT`, `MPI_CONGRUENT`, `MPI_SIMILAR` or `MPI_UNEQUAL`.
pub fn compare(e: &Engine, one: Handle, other: Handle) -> Result<c_int> {
    let (one, other) = (&e.comm(one)?.core, &e.comm(other)?.core);
    if Arc::ptr_eq(one, other) {
        return Ok(MPI_IDENT);
    }
    let remote = match (&one.remote, &other.remote) {
        (None, None) => Comparison::Ident,
        (Some(one), Some(other)) => one.compare(other),
        _ => Comparison::Unequal,
    };
    Ok(match (one.group.compare(&other.group), remote) {
        (Comparison::Ident, Comparison::Ident) => MPI_CONGRUENT,
        (Comparison::Unequal, _) | (_, Comparison::Unequal) => MPI_UNEQUAL,
        _ => MPI_SIMILAR,
    })
}

/// The name of a communicator; `MPI_COMM_NULL` has one too.
pub fn name(e: &Engine, handle: Handle) -> Result<String> {
    if handle == MPI_COMM_NULL {
        return Ok("MPI_COMM_NULL".to_owned());
    }
    Ok(e.kept(handle)?.name.clone())
}

/// Names a communicator.
pub fn set_name(e: &mut Engine, handle: Handle, name: &str) -> Result<()> {
    naming::fit(name).clone_into(&mut e.kept_mut(handle)?.name);
    Ok(())
}
