//! Messages between the ranks of a communicator that the user does not see: on the engine's own
//! context, so that they match nothing of the user's. Collectives that do not fit into shared
//! chunks use them, and the management of communicators.

use crate::comm::CommCore;
use crate::p2p::{Mode, Route};
use crate::payload::Payload;
use crate::progress::wait_for;
pub(crate) use crate::protocol::copying::Copier;
use crate::request::abandon;
use crate::request::wait::Outcome;
use crate::status::{Call, Waiting};
use crate::{Engine, Error, Result, lock, with};
use mpi_abi::consts::{MPI_COMM_WORLD as WORLD, MPI_ERR_RANK};

/// A message in work.
#[derive(Clone, Copy)]
pub(crate) struct InWork {
    raw: usize,
    what: Waiting,
}

fn route(core: &CommCore, rank: u32) -> Result<Route> {
    let world = core.group.world_rank(rank).ok_or_else(|| {
        Error::new(MPI_ERR_RANK, format!("rank {rank} is not in a communicator of {} ranks", core.size()))
    })?;
    Ok(Route { context: core.context + 1, peer: world.cast_signed() })
}

/// Starts sending `payload` to `rank`.
pub(crate) fn isend(core: &CommCore, rank: u32, payload: Payload, call: Call) -> Result<InWork> {
    isend_copied_by(Copier::Either, core, rank, payload, call)
}

/// Starts receiving from `rank` into `payload`.
pub(crate) fn irecv(core: &CommCore, rank: u32, payload: Payload, call: Call) -> Result<InWork> {
    irecv_copied_by(Copier::Either, core, rank, payload, call)
}

/// As [`isend`]; says which side should copy if the kernel does it. Both sides must say the same, and the
/// caller waits for the message next.
pub(crate) fn isend_copied_by(
    copier: Copier,
    core: &CommCore,
    rank: u32,
    payload: Payload,
    call: Call,
) -> Result<InWork> {
    let route = route(core, rank)?;
    let (tag, waits) = (copier.tag(), copier == Copier::Sender);
    let raw = with(|e| e.start_send(None, route, tag, payload, WORLD, Mode::Standard, waits))?;
    Ok(InWork { raw, what: Waiting::message(call, route.peer, tag, route.context) })
}

/// As [`irecv`], see [`isend_copied_by`].
pub(crate) fn irecv_copied_by(
    copier: Copier,
    core: &CommCore,
    rank: u32,
    payload: Payload,
    call: Call,
) -> Result<InWork> {
    let route = route(core, rank)?;
    let tag = copier.tag();
    let raw = lock().start_recv(None, route, tag, payload, WORLD);
    Ok(InWork { raw, what: Waiting::message(call, route.peer, tag, route.context) })
}

/// Waits for a message; the number of bytes received.
pub(crate) fn wait(work: InWork) -> Result<usize> {
    match wait_for(work.what, |e: &mut Engine| e.take_outcome(work.raw).transpose()) {
        Ok(outcome) => {
            let Outcome { status, error, .. } = outcome?;
            error.map_or(Ok(status.bytes as usize), |e| Err(*e))
        }
        Err(error) => {
            abandon(work.raw);
            Err(error)
        }
    }
}

/// Waits for all; the first error after all have ended.
pub(crate) fn wait_all(works: Vec<InWork>) -> Result<()> {
    let mut outcome = Ok(());
    for work in works {
        let one = wait(work).map(|_| ());
        outcome = outcome.and(one);
    }
    outcome
}

fn send_bytes(core: &CommCore, rank: u32, bytes: &[u8], call: Call) -> Result<InWork> {
    isend(core, rank, Payload::Owned(bytes.into()), call)
}

/// Receives a message of any length from `rank`.
fn recv_bytes(core: &CommCore, rank: u32, call: Call) -> Result<Vec<u8>> {
    let route = route(core, rank)?;
    let what = Waiting::message(call, route.peer, 0, route.context);
    let (_, _, len) = wait_for(what, |e| e.contexts.peek(route.context, route.peer, 0))?;
    let mut bytes = vec![0u8; len];
    let payload = Payload::Run { base: bytes.as_mut_ptr(), len };
    wait(irecv(core, rank, payload, call)?)?;
    Ok(bytes)
}

/// `root`'s bytes, on all ranks, by messages along a binomial tree.
pub(crate) fn bcast_by_messages(core: &CommCore, mine: &[u8], root: u32, call: Call) -> Result<Vec<u8>> {
    let size = core.size();
    let place = (core.rank + size - root) % size;
    let bytes = if place == 0 {
        mine.to_vec()
    } else {
        // The parent is the place without its lowest set bit.
        let parent = place & (place - 1);
        recv_bytes(core, (parent + root) % size, call)?
    };
    let lowest = if place == 0 { size.next_power_of_two() } else { 1 << place.trailing_zeros() };
    let mut works = Vec::new();
    let mut bit = lowest >> 1;
    while bit > 0 {
        if place + bit < size {
            works.push(send_bytes(core, (place + bit + root) % size, &bytes, call)?);
        }
        bit >>= 1;
    }
    wait_all(works)?;
    Ok(bytes)
}

/// Everybody's bytes, in rank order, on rank 0 only (elsewhere empty).
fn gather_by_messages(core: &CommCore, mine: &[u8], call: Call) -> Result<Vec<Vec<u8>>> {
    if core.rank != 0 {
        wait(send_bytes(core, 0, mine, call)?)?;
        return Ok(Vec::new());
    }
    let mut all = vec![mine.to_vec()];
    for rank in 1..core.size() {
        all.push(recv_bytes(core, rank, call)?);
    }
    Ok(all)
}

/// `root`'s bytes on all ranks. Called by all ranks, without the engine's lock.
pub fn bcast(core: &CommCore, mine: &[u8], root: u32) -> Result<Vec<u8>> {
    bcast_by_messages(core, mine, root, Call::CommCreate)
}

/// Everybody's bytes in rank order, on rank 0 only (elsewhere nothing). Lengths may differ. Called by
/// all ranks, without the engine's lock.
pub fn gather(core: &CommCore, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
    gather_by_messages(core, mine, Call::CommCreate)
}

/// Each rank's part of what rank 0 gives, which is in rank order (elsewhere unused). Called by all
/// ranks, without the engine's lock.
pub fn scatter(core: &CommCore, parts: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    if core.rank != 0 {
        return recv_bytes(core, 0, Call::CommCreate);
    }
    let mut parts = parts.into_iter();
    let mine = parts.next().unwrap_or_default();
    let mut works = Vec::new();
    for (rank, part) in (1..).zip(parts) {
        works.push(isend(core, rank, Payload::Owned(part.into()), Call::CommCreate)?);
    }
    wait_all(works)?;
    Ok(mine)
}

/// Everybody's bytes in rank order, on all ranks. Lengths may differ. Called by all ranks, without
/// the engine's lock.
pub fn allgather(core: &CommCore, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
    let all = gather_by_messages(core, mine, Call::CommCreate)?;
    let mut joined = Vec::new();
    for part in &all {
        joined.extend_from_slice(&(part.len() as u64).to_ne_bytes());
        joined.extend_from_slice(part);
    }
    let joined = bcast(core, &joined, 0)?;
    let mut parts = Vec::with_capacity(core.size() as usize);
    let mut rest = joined.as_slice();
    while let Some((len, tail)) = rest.split_first_chunk::<8>() {
        let len = (u64::from_ne_bytes(*len) as usize).min(tail.len());
        let (part, tail) = tail.split_at(len);
        parts.push(part.to_vec());
        rest = tail;
    }
    Ok(parts)
}
