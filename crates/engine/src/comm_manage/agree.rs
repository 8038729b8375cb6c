//! How the members of a communicator agree: on context numbers, and on what each of them brings.
//!
//! Context numbers come from one counter of the job; one member takes them and tells the others in
//! a message that is sent anyway. What was taken and turns out to be unused is given back if nobody
//! has taken more in the meantime.

use crate::coll::turn::Turn;
use crate::coll::{disagree, internal};
use crate::comm::CommCore;
use crate::group::Group;
use crate::p2p::{Mode, Route};
use crate::payload::Payload;
use crate::progress::wait_for;
use crate::protocol::copying::Copier;
use crate::request::{RecvState, Request, Role, abandon, wait};
use crate::status::{Call, Waiting};
use crate::{Engine, Error, Result, lock, with};
use mpi_abi::consts::{MPI_ANY_TAG, MPI_BYTE, MPI_COMM_WORLD, MPI_ERR_INTERN, MPI_ERR_LASTCODE, MPI_ERR_OTHER};
use shm::Segment;
use shm::sync::Ordering;
use std::ffi::c_int;

/// Context numbers of one communicator: the user's and the engine's.
pub(crate) const PAIR: u32 = 2;
/// Those of an intercommunicator: its own, and one for each side's local group.
pub(super) const TRIPLE: u32 = 3 * PAIR;

/// The contexts of an intercommunicator as one side sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inter {
    pub inter: u32,
    pub local: u32,
}

impl Inter {
    /// `base` is common to both sides; the first side is the one whose first process is first in
    /// the job.
    pub(super) fn new(base: u32, first_side: bool) -> Self {
        Self { inter: base, local: if first_side { base + PAIR } else { base + 2 * PAIR } }
    }
}

fn segment(e: &Engine) -> Result<&'static Segment> {
    let world = e.world.as_ref();
    world.map(|world| world.segment).ok_or_else(|| Error::new(MPI_ERR_OTHER, "MPI is not initialized"))
}

/// Takes `count` context numbers.
pub(crate) fn take(count: u32) -> Result<u32> {
    with(|e| {
        let counter = &segment(e)?.header().next_context;
        let mut first = counter.load(Ordering::Relaxed);
        loop {
            let next = first.checked_add(count).ok_or_else(|| {
                Error::new(MPI_ERR_INTERN, "no context number is left: 2^31 communicators were made in this job")
            })?;
            // The number itself is all that passes through the counter.
            match counter.compare_exchange_weak(first, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(first),
                Err(now) => first = now,
            }
        }
    })
}

/// Gives the last `unused` of the `count` numbers from `first` back, if they are the latest.
pub(super) fn give_back(first: u32, count: u32, unused: u32) {
    let end = first + count;
    // If others took more meanwhile the numbers are lost, and 2^32 is a large number.
    let _ = with(|e| {
        let counter = &segment(e)?.header().next_context;
        let _ = counter.compare_exchange(end, end - unused, Ordering::Relaxed, Ordering::Relaxed);
        Ok::<_, Error>(())
    });
}

/// Waits for all members, on both sides.
pub(super) fn barrier(turn: &Turn<'_>) -> Result<()> {
    internal::allgather(turn, &[])?;
    if turn.on.remote.is_some() {
        if turn.on.rank == 0 {
            swap(turn, &[])?;
        }
        internal::allgather(turn, &[])?;
    }
    Ok(())
}

/// `count` context numbers that all members know.
pub(crate) fn contexts(turn: &Turn<'_>, count: u32) -> Result<u32> {
    let mine = if turn.via.rank == 0 { take(count)?.to_le_bytes() } else { [0; 4] };
    let bytes = internal::bcast(turn, &mine, 0)?;
    Reader(&bytes).context()
}

/// What two sides of an intercommunicator tell each other: the other side's `mine`, and the
/// context numbers. `count` of these are taken.
pub(super) fn across(turn: &Turn<'_>, mine: &[u8], count: u32) -> Result<(u32, bool, Vec<u8>)> {
    let mut told = Vec::new();
    if turn.via.rank == 0 {
        let offer = take(count)?;
        told.extend(offer.to_le_bytes());
        told.extend(mine);
        let theirs = swap(turn, &told)?;
        let context = if first_side(turn.on) { offer } else { Reader(&theirs).context()? };
        told.clear();
        told.extend(context.to_le_bytes());
        told.extend(theirs.get(4..).unwrap_or_default());
    }
    let told = internal::bcast(turn, &told, 0)?;
    let mut reader = Reader(&told);
    let context = reader.context()?;
    Ok((context, first_side(turn.on), reader.0.to_vec()))
}

/// Whether my side of an intercommunicator is the one whose first process is first in the job.
pub(super) fn first_side(core: &CommCore) -> bool {
    let there = core.remote.as_ref().and_then(|remote| remote.world_rank(0));
    core.group.world_rank(0) < there
}

/// Exchanges messages between the first ranks of both sides of an intercommunicator.
fn swap(turn: &Turn<'_>, mine: &[u8]) -> Result<Vec<u8>> {
    let to = super::world_rank(turn.on.peers(), 0)?;
    let (context, tag) = (turn.on.context + 1, turn.called.tag(Copier::Either));
    tell(context, to, tag, mine)?;
    hear(turn.called.call, Some(turn), context, to, tag)
}

/// The tag, on the engine's context, for a call that the user gave a tag: negative, which no
/// collective uses.
pub(super) fn private(tag: c_int) -> c_int {
    match c_int::MIN + tag {
        // Would match everything.
        MPI_ANY_TAG => c_int::MAX - 1,
        tag => tag,
    }
}

/// Sends `bytes` to the process `to` of the job; does not wait for its receive.
pub(super) fn tell(context: u32, to: u32, tag: c_int, bytes: &[u8]) -> Result<()> {
    let mut e = lock();
    let route = Route { context, peer: to.cast_signed() };
    let payload = Payload::Owned(bytes.into());
    if e.try_send_now(route, tag, &payload)? {
        return Ok(());
    }
    // The request owns the bytes and goes when they are gone.
    let raw = e.start_send(None, route, tag, payload, MPI_COMM_WORLD, Mode::Standard, false)?;
    drop(e);
    wait::free(raw).map(|_| ())
}

/// Receives what the process `from` of the job told, in `call`, which has a turn if all ranks of a communicator
/// take part in it.
pub(super) fn hear(call: Call, turn: Option<&Turn<'_>>, context: u32, from: u32, tag: c_int) -> Result<Vec<u8>> {
    let peer = from.cast_signed();
    let what = Waiting::message(call, peer, tag, context);
    let message = listen(turn, what, |e| e.contexts.match_receive(context, peer, tag))?;
    let len = message.len();
    let mut bytes = vec![0u8; len];
    // The bytes are ours, and nobody writes to them once the request is complete or abandoned.
    let payload = Payload::Run { base: bytes.as_mut_ptr(), len };
    let raw = with(|e| {
        let state = RecvState::new(peer, context, tag, MPI_BYTE);
        let comm = e.world_comm;
        let raw = e.requests.insert(Request::active(Role::Recv(state), payload, comm));
        e.deliver_unexpected(raw, message);
        raw
    });
    match listen(turn, what, |e| e.take_outcome(raw).transpose()) {
        Ok(outcome) => match outcome?.error {
            Some(error) => Err(*error),
            None => Ok(bytes),
        },
        Err(error) => {
            abandon(raw);
            Err(error)
        }
    }
}

fn listen<T>(turn: Option<&Turn<'_>>, what: Waiting, ready: impl FnMut(&mut Engine) -> Option<T>) -> Result<T> {
    match turn {
        Some(turn) => disagree::wait_for(turn, what, ready),
        None => wait_for(what, ready),
    }
}

/// What one process tells others that wait for its part of an agreement, which failed. Success
/// begins with the number 1 and another one.
pub(crate) fn failure(error: &Error) -> Vec<u8> {
    let mut told = [0, error.class.cast_unsigned()].map(u32::to_le_bytes).concat();
    told.extend(error.text.as_bytes());
    told
}

/// The context number that comes with success, or the error that another process tells.
pub(crate) fn success(reader: &mut Reader<'_>) -> Result<u32> {
    if reader.number()? != 0 {
        return reader.context();
    }
    let class = reader.number()?.cast_signed();
    if (1..=MPI_ERR_LASTCODE).contains(&class) {
        Err(Error::new(class, String::from_utf8_lossy(reader.0)))
    } else {
        Err(not_alike())
    }
}

/// The error for what no process sends that calls the same function as we do.
#[cold]
pub(crate) fn not_alike() -> Error {
    Error::new(
        MPI_ERR_OTHER,
        "the processes of the communicator do not call the same function, or one has given up its call: \
         another one sent something else than is awaited here",
    )
}

/// The number, if it is a context number that some process has taken.
pub(super) fn was_taken(e: &Engine, number: u32) -> Result<u32> {
    let next = segment(e)?.header().next_context.load(Ordering::Relaxed);
    if number < next { Ok(number) } else { Err(not_alike()) }
}

/// Reads what another process wrote: a version of ours, but maybe in another call.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    /// The next number.
    pub(crate) fn number(&mut self) -> Result<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>().ok_or_else(not_alike)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*number))
    }

    /// A context number that another process has taken.
    pub(crate) fn context(&mut self) -> Result<u32> {
        let number = self.number()?;
        with(|e| was_taken(e, number))
    }

    /// A group of processes of the job, as a list of numbers.
    pub(crate) fn group(&mut self) -> Result<Group> {
        let ranks = self.numbers()?;
        let job = with(|e| segment(e).map(Segment::ranks))?;
        let mut seen = vec![false; job as usize];
        for rank in &ranks {
            let seen = seen.get_mut(*rank as usize).ok_or_else(not_alike)?;
            if std::mem::replace(seen, true) {
                return Err(not_alike());
            }
        }
        Ok(Group::from_ranks(ranks))
    }

    /// A list of numbers, with its length before it.
    pub(crate) fn numbers(&mut self) -> Result<Vec<u32>> {
        let len = self.number()?;
        (0..len).map(|_| self.number()).collect()
    }
}

/// Appends a list of numbers with its length before it.
pub(crate) fn write_numbers(to: &mut Vec<u8>, numbers: impl Iterator<Item = u32>) {
    let at = to.len();
    to.extend([0; 4]);
    let mut len = 0u32;
    for number in numbers {
        to.extend(number.to_le_bytes());
        len += 1;
    }
    to[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm_manage::idup::DUPLICATES;

    #[test]
    fn lists_come_back_as_they_were_written() {
        let mut bytes = Vec::new();
        write_numbers(&mut bytes, [3, 1, 4].into_iter());
        write_numbers(&mut bytes, std::iter::empty());
        let mut reader = Reader(&bytes);
        assert_eq!(reader.numbers(), Ok(vec![3, 1, 4]));
        assert_eq!(reader.numbers(), Ok(vec![]));
        assert!(reader.number().is_err());
        assert!(Reader(&[200, 0, 0, 0, 1]).numbers().is_err());
    }

    #[test]
    fn private_tags_are_distinct_and_never_a_wildcard() {
        let tags = [0, 1, 2, c_int::MAX - 2, c_int::MAX - 1, c_int::MAX];
        for (i, one) in tags.iter().enumerate() {
            assert_ne!(private(*one), MPI_ANY_TAG);
            assert_ne!(private(*one), DUPLICATES);
            for other in &tags[..i] {
                assert_ne!(private(*one), private(*other));
            }
        }
    }

    #[test]
    fn both_sides_see_the_same_context_between_and_their_own_within() {
        let (one, other) = (Inter::new(10, true), Inter::new(10, false));
        assert_eq!(one.inter, other.inter);
        assert_ne!(one.local, other.local);
        assert!(one.local >= 12 && other.local + PAIR <= 10 + TRIPLE);
    }
}
