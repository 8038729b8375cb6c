//! Messages between the ranks of a communicator that the user does not see: on the engine's own
//! context, so that they match nothing of the user's. Collectives that do not fit into shared
//! chunks use them, and the management of communicators. Their tags say which collective they belong to.

use super::bcast::expect_len;
use super::disagree::wait_for;
use super::turn::Turn;
use crate::p2p::{Mode, Route};
use crate::payload::Payload;
pub(crate) use crate::protocol::copying::Copier;
use crate::request::wait::Outcome;
use crate::request::{Role, abandon};
use crate::status::Waiting;
use crate::{Engine, Error, Result, lock, with};
use mpi_abi::consts::{MPI_COMM_WORLD as WORLD, MPI_ERR_RANK, MPI_ERR_TRUNCATE};

/// A message in work.
#[derive(Clone, Copy)]
pub(crate) struct InWork {
    raw: usize,
    what: Waiting,
    /// Of a receive: from whom, and how many bytes have to come.
    due: Option<(u32, usize)>,
}

fn route(turn: &Turn<'_>, rank: u32) -> Result<Route> {
    let core = turn.via;
    let world = core.group.world_rank(rank).ok_or_else(|| {
        Error::new(MPI_ERR_RANK, format!("rank {rank} is not in a communicator of {} ranks", core.size()))
    })?;
    Ok(Route { context: core.context + 1, peer: world.cast_signed() })
}

/// Starts sending `payload` to `rank`.
pub(crate) fn isend(turn: &Turn<'_>, rank: u32, payload: Payload) -> Result<InWork> {
    isend_copied_by(Copier::Either, turn, rank, payload)
}

/// Starts receiving from `rank` into `payload`.
pub(crate) fn irecv(turn: &Turn<'_>, rank: u32, payload: Payload) -> Result<InWork> {
    irecv_copied_by(Copier::Either, turn, rank, payload)
}

/// As [`isend`]; says which side should copy if the kernel does it. Both sides must say the same, and the
/// caller waits for the message next.
pub(crate) fn isend_copied_by(copier: Copier, turn: &Turn<'_>, rank: u32, payload: Payload) -> Result<InWork> {
    let route = route(turn, rank)?;
    let (tag, waits) = (turn.called.tag(copier), copier == Copier::Sender);
    let raw = with(|e| e.start_send(None, route, tag, payload, WORLD, Mode::Standard, waits))?;
    Ok(InWork { raw, what: Waiting::message(turn.called.call, route.peer, tag, route.context), due: None })
}

/// As [`irecv`], see [`isend_copied_by`].
pub(crate) fn irecv_copied_by(copier: Copier, turn: &Turn<'_>, rank: u32, payload: Payload) -> Result<InWork> {
    let route = route(turn, rank)?;
    let tag = turn.called.tag(copier);
    let due = Some((rank, payload.len()));
    let raw = lock().start_recv(None, route, tag, payload, WORLD);
    Ok(InWork { raw, what: Waiting::message(turn.called.call, route.peer, tag, route.context), due })
}

/// Takes what has come meanwhile, so that those who have offered a message need not wait while we do something else.
pub(crate) fn answer_offers() {
    lock().progress();
}

/// Waits for a message no more.
pub(crate) fn give_up(work: InWork) {
    abandon(work.raw);
}

/// Waits for a message, which has to have as many bytes as there is room for.
pub(crate) fn wait(turn: &Turn<'_>, work: InWork) -> Result<()> {
    let mut sent = 0;
    let ready = |e: &mut Engine| {
        if let Some(Role::Recv(recv)) = e.requests.get(work.raw).map(|request| &request.role) {
            sent = recv.total;
        }
        e.take_outcome(work.raw).transpose()
    };
    match wait_for(turn, work.what, ready) {
        Ok(outcome) => {
            let Outcome { error, .. } = outcome?;
            match (error, work.due) {
                (Some(error), _) if error.class != MPI_ERR_TRUNCATE => Err(*error),
                (_, Some((rank, len))) => expect_len(turn.called.call, rank, sent, len),
                (error, None) => error.map_or(Ok(()), |error| Err(*error)),
            }
        }
        Err(error) => {
            abandon(work.raw);
            Err(error)
        }
    }
}

/// Waits for all; the first error after all have ended.
pub(crate) fn wait_all(turn: &Turn<'_>, works: Vec<InWork>) -> Result<()> {
    let mut outcome = Ok(());
    for work in works {
        let one = wait(turn, work);
        outcome = outcome.and(one);
    }
    outcome
}

fn send_bytes(turn: &Turn<'_>, rank: u32, bytes: &[u8]) -> Result<InWork> {
    isend(turn, rank, Payload::Owned(bytes.into()))
}

/// Receives a message of any length from `rank`.
fn recv_bytes(turn: &Turn<'_>, rank: u32) -> Result<Vec<u8>> {
    let (route, tag) = (route(turn, rank)?, turn.called.tag(Copier::Either));
    let what = Waiting::message(turn.called.call, route.peer, tag, route.context);
    let (_, _, len) = wait_for(turn, what, |e| e.contexts.peek(route.context, route.peer, tag))?;
    let mut bytes = vec![0u8; len];
    let payload = Payload::Run { base: bytes.as_mut_ptr(), len };
    wait(turn, irecv(turn, rank, payload)?)?;
    Ok(bytes)
}

/// `root`'s bytes on all ranks, along a binomial tree. Called by all ranks, without the engine's lock.
pub(crate) fn bcast(turn: &Turn<'_>, mine: &[u8], root: u32) -> Result<Vec<u8>> {
    let (size, rank) = (turn.via.size(), turn.via.rank);
    let place = (rank + size - root) % size;
    let bytes = if place == 0 {
        mine.to_vec()
    } else {
        // The parent is the place without its lowest set bit.
        let parent = place & (place - 1);
        recv_bytes(turn, (parent + root) % size)?
    };
    let lowest = if place == 0 { size.next_power_of_two() } else { 1 << place.trailing_zeros() };
    let mut works = Vec::new();
    let mut bit = lowest >> 1;
    while bit > 0 {
        if place + bit < size {
            works.push(send_bytes(turn, (place + bit + root) % size, &bytes)?);
        }
        bit >>= 1;
    }
    wait_all(turn, works)?;
    Ok(bytes)
}

/// Everybody's bytes in rank order, on rank 0 only (elsewhere nothing). Lengths may differ. Called by
/// all ranks, without the engine's lock.
pub(crate) fn gather(turn: &Turn<'_>, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
    if turn.via.rank != 0 {
        wait(turn, send_bytes(turn, 0, mine)?)?;
        return Ok(Vec::new());
    }
    let mut all = vec![mine.to_vec()];
    for rank in 1..turn.via.size() {
        all.push(recv_bytes(turn, rank)?);
    }
    Ok(all)
}

/// Each rank's part of what rank 0 gives, which is in rank order (elsewhere unused). Called by all
/// ranks, without the engine's lock.
pub(crate) fn scatter(turn: &Turn<'_>, parts: Vec<Vec<u8>>) -> Result<Vec<u8>> {
    if turn.via.rank != 0 {
        return recv_bytes(turn, 0);
    }
    let mut parts = parts.into_iter();
    let mine = parts.next().unwrap_or_default();
    let mut works = Vec::new();
    for (rank, part) in (1..).zip(parts) {
        works.push(isend(turn, rank, Payload::Owned(part.into()))?);
    }
    wait_all(turn, works)?;
    Ok(mine)
}

/// Everybody's bytes in rank order, on all ranks. Lengths may differ. Called by all ranks, without
/// the engine's lock.
pub(crate) fn allgather(turn: &Turn<'_>, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
    let all = gather(turn, mine)?;
    let mut joined = Vec::new();
    for part in &all {
        joined.extend_from_slice(&(part.len() as u64).to_ne_bytes());
        joined.extend_from_slice(part);
    }
    let joined = bcast(turn, &joined, 0)?;
    let mut parts = Vec::with_capacity(turn.via.size() as usize);
    let mut rest = joined.as_slice();
    while let Some((len, tail)) = rest.split_first_chunk::<8>() {
        let len = (u64::from_ne_bytes(*len) as usize).min(tail.len());
        let (part, tail) = tail.split_at(len);
        parts.push(part.to_vec());
        rest = tail;
    }
    Ok(parts)
}
