//! Intercommunicators: made out of two intracommunicators, and merged into one (MPI-5.0 section
//! 7.6.2).
//!
//! Their contexts come in threes: one for messages between the sides, one for each side's local
//! group, so that the engine can use its collectives there.

use super::agree::{self, Inter, PAIR, Reader, TRIPLE, write_numbers};
use super::{Parent, enter_inter, world_rank};
use crate::coll::internal;
use crate::comm::{CommCore, bad_rank};
use crate::group::Group;
use crate::status::Call;
use crate::{Error, Result};
use mpi_abi::Comm as Handle;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_ERR_ARG, MPI_ERR_COMM, MPI_ERR_TAG};
use std::ffi::c_int;
use std::sync::Arc;

/// Connects the groups of two intracommunicators, whose leaders are both in `peer`.
pub fn intercomm_create(
    local: Handle,
    local_leader: c_int,
    peer: Handle,
    remote_leader: c_int,
    tag: c_int,
) -> Result<Handle> {
    let parent = Parent::of(local)?;
    intra_only(&parent.core, "local_comm")?;
    let size = parent.core.size();
    let leader = u32::try_from(local_leader).ok().filter(|rank| *rank < size);
    let leader = leader.ok_or_else(|| bad_rank("the local leader", local_leader, size))?;
    if tag < 0 {
        return Err(Error::new(MPI_ERR_TAG, format!("the tag is {tag}: it must not be negative")));
    }
    let turn = &parent.turn(Call::IntercommCreate)?;
    // The leader's part can fail by its own arguments: then it tells its group, which would wait
    // for it otherwise.
    let told = if parent.core.rank == leader {
        let outcome = meet(&parent.core.group, peer, remote_leader, tag);
        let told = match &outcome {
            Ok(told) => told.clone(),
            Err(error) => agree::failure(error),
        };
        internal::bcast(turn, &told, leader)?;
        outcome?;
        told
    } else {
        internal::bcast(turn, &[], leader)?
    };
    let mut reader = Reader(&told);
    let base = agree::success(&mut reader).map_err(|Error { class, text }| {
        Error::new(class, format!("the leader, rank {local_leader}, failed: {text}"))
    })?;
    let remote = reader.group()?;
    if let Some(both) = remote.iter().find(|world| parent.core.group.contains(*world)) {
        return Err(Error::new(MPI_ERR_COMM, format!("the two groups overlap: rank {both} of the job is in both")));
    }
    let first = parent.core.group.world_rank(0) < remote.world_rank(0);
    Ok(parent.inter(Inter::new(base, first), Arc::clone(&parent.core.group), Arc::new(remote)))
}

/// The leaders exchange their groups over the peer communicator; gives what the group is told.
fn meet(group: &Group, peer: Handle, remote_leader: c_int, tag: c_int) -> Result<Vec<u8>> {
    let peer = Parent::of(peer)?.core;
    let size = peer.peers().size();
    let there = u32::try_from(remote_leader).ok().and_then(|rank| peer.peers().world_rank(rank));
    let there = there.ok_or_else(|| bad_rank("the remote leader", remote_leader, size))?;
    if group.contains(there) {
        return Err(Error::new(
            MPI_ERR_ARG,
            format!("the remote leader, rank {remote_leader} of peer_comm, is in the local group"),
        ));
    }
    let offer = agree::take(TRIPLE)?;
    let mut mine = offer.to_le_bytes().to_vec();
    write_numbers(&mut mine, group.iter());
    let (context, tag) = (peer.context + 1, agree::private(tag));
    agree::tell(context, there, tag, &mine)?;
    let theirs = agree::hear(Call::IntercommCreate, None, context, there, tag)?;
    let mut reader = Reader(&theirs);
    let base = reader.context()?;
    let remote = reader.group()?;
    // Both take numbers; those of the side whose first process is first in the job are used.
    let base = if group.world_rank(0) < remote.world_rank(0) { offer } else { base };
    let mut told = [1, base].map(u32::to_le_bytes).concat();
    write_numbers(&mut told, remote.iter());
    Ok(told)
}

fn intra_only(core: &CommCore, name: &str) -> Result<()> {
    if core.remote.is_none() {
        return Ok(());
    }
    Err(Error::new(MPI_ERR_COMM, format!("{name} is an intercommunicator, an intracommunicator is needed")))
}

/// One intracommunicator of both sides; the side with `high` comes last. If both say the same, the
/// side whose first process is first in the job comes first.
pub fn intercomm_merge(comm: Handle, high: bool) -> Result<Handle> {
    let parent = Parent::of(comm)?;
    let Some(remote) = &parent.core.remote else {
        return Err(Error::new(
            MPI_ERR_COMM,
            "the communicator is an intracommunicator, an intercommunicator is needed",
        ));
    };
    let (context, first, theirs) = agree::across(&parent.turn(Call::IntercommMerge)?, &[u8::from(high)], PAIR)?;
    let there = theirs.first().copied();
    let there = there.ok_or_else(agree::not_alike)?;
    let low = if (there != 0) == high { first } else { !high };
    let local = &parent.core.group;
    let ranks =
        if low { local.iter().chain(remote.iter()).collect() } else { remote.iter().chain(local.iter()).collect() };
    Ok(parent.intra(context, Arc::new(Group::from_ranks(ranks)), None))
}

/// Enters an intercommunicator that `from_group` has agreed on.
pub(super) fn connect(
    base: u32,
    local: &Group,
    remote: &Group,
    me: u32,
    handler: crate::errhandler::Handler,
) -> Result<Handle> {
    if local.rank_of(me).is_none() {
        return Ok(MPI_COMM_NULL);
    }
    let first = world_rank(local, 0)? < world_rank(remote, 0)?;
    Ok(enter_inter(Inter::new(base, first), Arc::new(local.clone()), Arc::new(remote.clone()), me, handler))
}
