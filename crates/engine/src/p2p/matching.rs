//! Matching of messages and receives (MPI-5.0 section 3.5): per context one queue of posted
//! receives and one of unexpected messages, both in order, so that messages of one sender can
//! not overtake each other. How the first that fits is found in a queue is the affair of `queue`.

use super::queue::{Keyed, Queue};
use crate::check::Note;
use crate::comm::CommCore;
use crate::protocol::parts::{self, Partial};
use std::collections::HashMap;
use std::ffi::c_int;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex};

/// A receive that waits for its message.
#[derive(Debug, Clone, Copy)]
struct Posted {
    /// World rank, -1 = any.
    source: i32,
    tag: c_int,
    request: usize,
}

/// A message that waits for its receive.
pub struct Unexpected {
    /// World rank of the sender.
    pub from: u32,
    /// Its tag.
    pub tag: c_int,
    /// It is an object (`unfit`).
    pub object: bool,
    /// Its bytes, or where they are.
    pub body: Body,
}

/// The bytes of an unexpected message.
pub enum Body {
    /// In a cell's payload.
    Small([u64; shm::ring::WORDS], usize),
    /// All of it.
    Whole(Box<[u8]>),
    /// Of a message in parts, what has come so far.
    Partial(Arc<Mutex<Partial>>),
    /// The beginning, and the sender's offer of the rest.
    Offer(Offer, Box<[u8]>),
    /// A send of this very process, which waits to be matched (its request).
    Local(usize, usize),
    /// One of the above, and what is known of it (`mpiexec --check`).
    Noted(Box<(Note, Self)>),
}

/// What a sender says of a message that does not fit into one piece, or that wants an answer.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Bytes of the message.
    pub total: usize,
    /// The sender's request.
    pub request: u64,
    /// Address of the bytes in the sender's memory, 0 = not in one run.
    pub address: usize,
    /// The sender wants to know of the match (synchronous mode).
    pub synchronous: bool,
    /// The sender waits in a blocking call.
    pub blocking: bool,
    /// The two ranks run on cores that share no cache, as far as the sender knows.
    pub far: bool,
}

impl Unexpected {
    /// Bytes of the message.
    #[expect(clippy::len_without_is_empty, reason = "a message without bytes is a message like any other")]
    pub fn len(&self) -> usize {
        self.body.len()
    }
}

impl Body {
    /// The body without what is known of it.
    fn bare(&self) -> &Self {
        if let Self::Noted(noted) = self { &noted.1 } else { self }
    }

    /// The same, to change it.
    pub(crate) fn bare_mut(&mut self) -> &mut Self {
        if let Self::Noted(noted) = self { &mut noted.1 } else { self }
    }

    fn len(&self) -> usize {
        match self {
            Self::Small(_, len) | Self::Local(_, len) => *len,
            Self::Whole(bytes) => bytes.len(),
            Self::Offer(offer, _) => offer.total,
            Self::Partial(partial) => parts::total(partial),
            Self::Noted(noted) => noted.1.len(),
        }
    }
}

impl Keyed for Posted {
    #[inline]
    fn key(&self) -> (i32, c_int) {
        (self.source, self.tag)
    }
}

impl Keyed for Unexpected {
    #[inline]
    fn key(&self) -> (i32, c_int) {
        (self.from.cast_signed(), self.tag)
    }
}

/// The queues of one context.
#[derive(Default)]
struct Context {
    id: u32,
    /// To turn world ranks into the communicator's; none before the communicator is known here.
    comm: Option<Arc<CommCore>>,
    posted: Queue<Posted>,
    unexpected: Queue<Unexpected>,
}

/// Hash of a context number: they are counted, so multiplying spreads them well enough.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
    }
    fn write_u32(&mut self, value: u32) {
        self.0 = u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// All queues of the process.
#[derive(Default)]
pub struct Contexts {
    slots: Vec<Context>,
    free: Vec<u32>,
    by_id: HashMap<u32, u32, BuildHasherDefault<Spread>>,
    /// The last one looked up: most messages are for the same.
    last: Option<(u32, u32)>,
}

impl Contexts {
    #[inline(always)]
    fn slot(&mut self, id: u32) -> &mut Context {
        if let Some((last, slot)) = self.last
            && last == id
        {
            return &mut self.slots[slot as usize];
        }
        self.find_slot(id)
    }

    #[cold]
    fn find_slot(&mut self, id: u32) -> &mut Context {
        let slot = if let Some(slot) = self.by_id.get(&id) {
            *slot
        } else {
            let fresh = Context { id, ..Context::default() };
            let slot = if let Some(slot) = self.free.pop() {
                self.slots[slot as usize] = fresh;
                slot
            } else {
                self.slots.push(fresh);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            };
            self.by_id.insert(id, slot);
            slot
        };
        self.last = Some((id, slot));
        &mut self.slots[slot as usize]
    }

    /// Tells that `core` uses its two contexts.
    pub fn attach(&mut self, core: &Arc<CommCore>) {
        for id in [core.context, core.context + 1] {
            self.slot(id).comm = Some(Arc::clone(core));
        }
    }

    /// The communicator is freed: its queues go if nothing is left in them. What is left belongs
    /// to operations that the standard lets complete.
    pub fn detach(&mut self, context: u32) {
        for id in [context, context + 1] {
            let Some(&slot) = self.by_id.get(&id) else { continue };
            let queues = &mut self.slots[slot as usize];
            queues.unexpected.clear();
            if queues.posted.is_empty() {
                queues.comm = None;
                self.by_id.remove(&id);
                self.free.push(slot);
                self.last = None;
            }
        }
    }

    /// The rank, in the context's communicator, of world rank `from`.
    #[inline(always)]
    pub fn source_rank(&mut self, id: u32, from: u32) -> c_int {
        let rank = self.slot(id).comm.as_ref().and_then(|c| c.peers().rank_of(from));
        rank.unwrap_or(from).cast_signed()
    }

    /// Whether no receive and no message waits in the context.
    #[inline]
    pub fn is_idle(&mut self, id: u32) -> bool {
        let slot = self.slot(id);
        slot.posted.is_empty() && slot.unexpected.is_empty()
    }

    /// A message came: the first posted receive that it fits, taken out of the queue.
    #[inline]
    pub fn match_message(&mut self, id: u32, from: u32, tag: c_int) -> Option<usize> {
        let posted = &mut self.slot(id).posted;
        let at = posted.fitting_receive(from, tag)?;
        posted.take(at).map(|p| p.request)
    }

    /// Nobody waits for the message: keep it.
    pub fn keep(&mut self, id: u32, message: Unexpected) {
        self.slot(id).unexpected.push(message);
    }

    /// A receive comes: the first message that fits it, taken out of the queue.
    #[inline(always)]
    pub fn match_receive(&mut self, id: u32, source: i32, tag: c_int) -> Option<Unexpected> {
        let unexpected = &mut self.slot(id).unexpected;
        if unexpected.is_empty() { None } else { Self::match_kept(unexpected, source, tag) }
    }

    fn match_kept(unexpected: &mut Queue<Unexpected>, source: i32, tag: c_int) -> Option<Unexpected> {
        let at = unexpected.fitting_message(source, tag)?;
        unexpected.take(at)
    }

    /// As [`Self::match_receive`], if the first message that fits has a body that `wanted` accepts.
    pub fn match_receive_if(
        &mut self,
        id: u32,
        source: i32,
        tag: c_int,
        wanted: impl FnOnce(&Body) -> bool,
    ) -> Option<Unexpected> {
        let unexpected = &mut self.slot(id).unexpected;
        let at = unexpected.fitting_message(source, tag)?;
        if wanted(&unexpected.get(at)?.body) { unexpected.take(at) } else { None }
    }

    /// All messages that wait for receives.
    pub fn unexpected_mut(&mut self) -> impl Iterator<Item = &mut Unexpected> {
        self.slots.iter_mut().flat_map(|context| context.unexpected.iter_mut())
    }

    /// The first message that fits, left in the queue: sender, tag, bytes.
    pub fn peek(&mut self, id: u32, source: i32, tag: c_int) -> Option<(u32, c_int, usize)> {
        let unexpected = &mut self.slot(id).unexpected;
        let at = unexpected.fitting_message(source, tag)?;
        unexpected.get(at).map(|u| (u.from, u.tag, u.len()))
    }

    /// No message is there for the receive: it waits.
    #[inline]
    pub fn post(&mut self, id: u32, source: i32, tag: c_int, request: usize) {
        self.slot(id).posted.push(Posted { source, tag, request });
    }

    /// Takes a posted receive back; false if it was matched.
    pub fn withdraw(&mut self, id: u32, request: usize) -> bool {
        let posted = &mut self.slot(id).posted;
        let at = posted.position(|p| p.request == request);
        at.and_then(|at| posted.take(at)).is_some()
    }

    /// Forgets the message of world rank `from` whose body is the one that is `wanted`; false if it is not here.
    pub fn take_back(&mut self, id: u32, from: u32, wanted: impl Fn(&Body) -> bool) -> bool {
        let unexpected = &mut self.slot(id).unexpected;
        let at = unexpected.position(|message| message.from == from && wanted(message.body.bare()));
        at.and_then(|at| unexpected.take(at)).is_some()
    }

    /// Messages of one context that nobody has received.
    pub fn leftovers_of(&self, id: u32) -> impl Iterator<Item = &Unexpected> {
        self.by_id.get(&id).into_iter().flat_map(|slot| self.slots[*slot as usize].unexpected.iter())
    }

    /// Messages that nobody has received, over all contexts.
    pub fn leftovers(&self) -> impl Iterator<Item = (u32, &Unexpected)> {
        self.slots.iter().flat_map(|c| c.unexpected.iter().map(move |u| (c.id, u)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpi_abi::consts::MPI_ANY_TAG;

    fn message(from: u32, tag: c_int) -> Unexpected {
        Unexpected { from, tag, object: false, body: Body::Small([0; shm::ring::WORDS], 0) }
    }

    #[test]
    fn recv_posted_first_matches_by_tag() {
        let mut contexts = Contexts::default();
        contexts.post(4, 1, 7, 100);
        contexts.post(4, 1, 8, 101);
        assert_eq!(contexts.match_message(4, 1, 8), Some(101));
        assert_eq!(contexts.match_message(4, 1, 8), None);
        assert_eq!(contexts.match_message(4, 2, 7), None);
        assert_eq!(contexts.match_message(6, 1, 7), None);
        assert_eq!(contexts.match_message(4, 1, 7), Some(100));
    }

    #[test]
    fn the_earlier_of_two_fitting_receives_wins_also_with_wildcards() {
        let mut contexts = Contexts::default();
        contexts.post(0, -1, MPI_ANY_TAG, 1);
        contexts.post(0, 3, 5, 2);
        assert_eq!(contexts.match_message(0, 3, 5), Some(1));
        assert_eq!(contexts.match_message(0, 3, 5), Some(2));
    }

    #[test]
    fn messages_of_one_sender_do_not_overtake() {
        let mut contexts = Contexts::default();
        for tag in [1, 2, 1] {
            contexts.keep(0, message(4, tag));
        }
        assert_eq!(contexts.match_receive(0, 4, 1).map(|u| u.tag), Some(1));
        assert_eq!(contexts.peek(0, -1, MPI_ANY_TAG), Some((4, 2, 0)));
        assert_eq!(contexts.match_receive(0, -1, MPI_ANY_TAG).map(|u| u.tag), Some(2));
        assert_eq!(contexts.match_receive(0, 4, 2).map(|u| u.tag), None);
    }

    #[test]
    fn a_message_that_is_taken_back_is_matched_by_nothing() {
        let mut contexts = Contexts::default();
        contexts.keep(0, message(1, 7));
        contexts.keep(0, Unexpected { body: Body::Local(50, 8), ..message(1, 7) });
        let send = |number| move |body: &Body| matches!(body, Body::Local(send, _) if *send == number);
        assert!(!contexts.take_back(0, 2, send(50)) && !contexts.take_back(0, 1, send(51)));
        assert!(contexts.take_back(0, 1, send(50)) && !contexts.take_back(0, 1, send(50)));
        assert!(contexts.match_receive(0, 1, 7).is_some_and(|kept| matches!(kept.body, Body::Small(..))));
        assert!(contexts.match_receive(0, 1, 7).is_none());
    }

    #[test]
    fn a_withdrawn_receive_matches_nothing() {
        let mut contexts = Contexts::default();
        contexts.post(0, -1, 1, 9);
        assert!(contexts.withdraw(0, 9));
        assert!(!contexts.withdraw(0, 9));
        assert_eq!(contexts.match_message(0, 0, 1), None);
    }
}
