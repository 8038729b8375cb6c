//! For reports on a receive that waits: which of the messages that are there differs least from what it waits for.

use super::matching::Unexpected;
use crate::Engine;
use mpi_abi::consts::MPI_ANY_TAG;
use shm::told::{Differs, Message};
use std::ffi::c_int;

/// So many messages are looked at, of those that nobody has received.
const LOOKS: usize = 10_000;

/// In place of a communicator's name. (The nonblocking collectives of objects make communicators of their own.)
const NOT_HERE: &str = "a communicator that this rank has not made";

impl Engine {
    /// The message that differs least from one of world rank `source` (-1 = any) with `tag` in `context`.
    pub(crate) fn nearest(&self, context: u32, source: i32, tag: c_int) -> Option<(Differs, Message)> {
        let any_source = source < 0;
        let differs = |(id, message): &(u32, &Unexpected)| {
            let same_source = any_source || message.from.cast_signed() == source;
            let same_tag = tag == MPI_ANY_TAG || message.tag == tag;
            match (same_source, same_tag, *id == context) {
                (true, false, true) => Some(Differs::Tag),
                (true, true, false) => Some(Differs::Comm),
                (false, true, true) => Some(Differs::Source),
                // Of one that was named.
                (true, false, false) if !any_source => Some(Differs::More),
                _ => None,
            }
        };
        let fitting = self.of_users().filter_map(|found| Some((differs(&found)?, found)));
        let (differs, (id, message)) = fitting.min_by_key(|(differs, _)| *differs)?;
        Some((differs, self.describe_message(id, message)))
    }

    /// How many messages nobody has received, and the first of them.
    pub(crate) fn unreceived(&self) -> Option<(usize, Message)> {
        let (id, first) = self.of_users().next()?;
        Some((self.of_users().count(), self.describe_message(id, first)))
    }

    /// Messages on the contexts that are the users'.
    fn of_users(&self) -> impl Iterator<Item = (u32, &Unexpected)> {
        self.contexts.leftovers().filter(|(id, _)| id & 1 == 0).take(LOOKS)
    }

    fn describe_message(&self, id: u32, message: &Unexpected) -> Message {
        let comm = self.comm_of_context(id);
        Message {
            from: message.from,
            source: comm.and_then(|comm| comm.core.peers().rank_of(message.from)).unwrap_or(message.from),
            tag: message.tag,
            bytes: message.len() as u64,
            comm: comm.map_or_else(|| NOT_HERE.to_owned(), |comm| comm.kept.name.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::matching::Body;

    fn engine(messages: &[(u32, u32, c_int)]) -> Engine {
        let mut engine = Engine::new();
        for &(id, from, tag) in messages {
            let body = Body::Small([0; shm::ring::WORDS], 5);
            engine.contexts.keep(id, Unexpected { from, tag, object: false, body });
        }
        engine
    }

    fn near(messages: &[(u32, u32, c_int)], source: i32, tag: c_int) -> Option<(Differs, u32, c_int)> {
        engine(messages).nearest(0, source, tag).map(|(differs, message)| (differs, message.from, message.tag))
    }

    #[test]
    fn another_tag_is_nearer_than_another_communicator_or_sender() {
        let messages = [(0, 3, 7), (4, 1, 7), (0, 1, 8), (6, 1, 9)];
        assert_eq!(near(&messages, 1, 7), Some((Differs::Tag, 1, 8)));
        assert_eq!(near(&messages[..2], 1, 7), Some((Differs::Comm, 1, 7)));
        assert_eq!(near(&messages[..1], 1, 7), Some((Differs::Source, 3, 7)));
        assert_eq!(near(&messages[3..], 1, 7), Some((Differs::More, 1, 9)));
        assert_eq!(near(&messages[3..], -1, 7), None);
        assert_eq!(near(&messages[..2], -1, MPI_ANY_TAG), Some((Differs::Comm, 1, 7)));
        assert_eq!(near(&[(1, 1, 7), (0, 2, 2)], 1, 7), None, "the engine's own, and one of somebody else");
    }

    #[test]
    fn messages_that_nobody_has_received_are_counted() {
        assert_eq!(engine(&[]).unreceived(), None);
        let found = engine(&[(0, 2, 7), (1, 2, 0), (4, 1, 9)]).unreceived();
        let first = Message { from: 2, source: 2, tag: 7, bytes: 5, comm: NOT_HERE.to_owned() };
        assert_eq!(found, Some((2, first)));
    }
}
