//! How messages in partitions travel. A send says at its making that it exists; announcements and receives of
//! the same sender, tag and communicator are matched in the order in which they were made, once and for all. Each
//! start of the receive is told to the send, whose bytes go only then, straight into the receiver's buffer: each
//! partition as it becomes ready, in pieces that may pass other messages.
//!
//! | cell | says | words |
//! |---|---|---|
//! | ANNOUNCE | a send was made (with context and tag) | its request, bytes, partitions, piece (3) with a note, if any |
//! | OPEN | the receive was started | the send's request, the receive's |
//! | PARTITION | a piece of a partition | the receive's request, position, piece (3), partition and whether it is the last |

use super::send::outside;
use super::{ANNOUNCE, OPEN, Outgoing, PART_BYTES, PARTITION, Transport};
use crate::check::Note;
use crate::p2p::partitioned::{Announced, Announcement, End, Inbound};
use crate::payload::Payload;
use crate::request::{Role, State};
use crate::status::Status;
use crate::{Engine, Error, Result};
use mpi_abi::consts::MPI_ERR_TRUNCATE;
use shm::ring::{Cell, Piece, WORDS};
use std::collections::{HashMap, VecDeque};
use std::ffi::c_int;

/// Sends and receives in partitions that wait for each other, by context, sender and tag. One of the two
/// queues is empty. A receive that was freed keeps its place: it stands for the send that it would have got.
#[derive(Default)]
pub(crate) struct Unmatched {
    channels: HashMap<(u32, u32, c_int), Channel>,
}

#[derive(Default)]
struct Channel {
    announced: VecDeque<Announcement>,
    expected: VecDeque<usize>,
}

impl Unmatched {
    /// A send was made: the receive for it, or it waits.
    fn announce(&mut self, from: u32, send: Announcement) -> Option<(usize, Announcement)> {
        let key = (send.context, from, send.tag);
        let channel = self.channels.entry(key).or_default();
        let Some(receive) = channel.expected.pop_front() else {
            channel.announced.push_back(send);
            return None;
        };
        self.tidy(key);
        Some((receive, send))
    }

    /// A receive was made: the send for it, or it waits.
    fn expect(&mut self, key: (u32, u32, c_int), receive: usize) -> Option<Announcement> {
        let channel = self.channels.entry(key).or_default();
        let send = channel.announced.pop_front();
        if send.is_none() {
            channel.expected.push_back(receive);
        }
        self.tidy(key);
        send
    }

    fn tidy(&mut self, key: (u32, u32, c_int)) {
        if self.channels.get(&key).is_some_and(|channel| channel.announced.is_empty() && channel.expected.is_empty()) {
            self.channels.remove(&key);
        }
    }

    /// The communicator is freed: nobody can make a receive for what was announced.
    pub(crate) fn forget(&mut self, context: u32) {
        self.channels.retain(|key, channel| key.0 != context || !channel.expected.is_empty());
    }
}

impl Transport {
    /// Tells a rank, to which a ring is open, of a send that was made, if there is room right now.
    pub(super) fn try_announce(&mut self, peer: u32, announcement: &Announcement) -> bool {
        let segment = self.segment;
        // Without memory for a data ring the note stays here: then nothing is compared.
        let note = announcement.note.as_ref().filter(|_| self.need_data(peer, 0).is_ok()).map(|note| note.encode());
        let state = &mut self.peers[peer as usize];
        let Some(out) = state.out.as_mut() else { return false };
        if out.slot().is_none() {
            return false;
        }
        let mut piece = Piece { offset: 0, len: 0, end: 0 };
        if let Some(note) = note {
            let Some(taken) = state.data.as_mut().and_then(|data| data.take(out, note.len())) else { return false };
            let Some(address) = taken.address(segment) else { return false };
            // SAFETY: the piece has room for the note and is ours until it is published.
            unsafe { crate::copy::copy(address.as_ptr(), note.as_ptr(), note.len()) };
            piece = taken;
        }
        let Some(slot) = out.slot() else { return false };
        let Announcement { context, tag, send, .. } = announcement;
        slot.header(ANNOUNCE, 0, 0, *tag, *context);
        slot.word(0, send.request);
        slot.word(1, send.total as u64);
        slot.word(2, send.partitions as u64);
        slot.word(3, piece.offset as u64);
        slot.word(4, piece.len as u64);
        slot.word(5, piece.end);
        slot.publish();
        segment.rank_page(peer).wake_after_fence();
        true
    }
}

impl Engine {
    /// Tells the receiver of a send that was made.
    pub(crate) fn announce(&mut self, raw: usize) -> Result<()> {
        let Some((partitioned, _)) = self.partitioned(raw) else { return Ok(()) };
        let Some(peer) = partitioned.peer else { return Ok(()) };
        let send = Announced { request: raw as u64, total: partitioned.total(), partitions: partitioned.partitions };
        let note = partitioned.about.as_ref().map(|about| Box::new(about.note()));
        let announcement = Announcement { context: partitioned.context, tag: partitioned.tag, send, note };
        if peer == self.me {
            self.announced(peer, announcement);
            return Ok(());
        }
        let transport = self.transport()?;
        let first = transport.open(peer)?.backlog.is_empty();
        if !(first && transport.try_announce(peer, &announcement)) {
            transport.peers[peer as usize].backlog.push_back(Outgoing::Announcement(Box::new(announcement)));
            transport.set_busy(peer);
        }
        Ok(())
    }

    /// A send to us was made.
    pub(super) fn announced_by(&mut self, from: u32, ring: usize, cell: Cell) {
        let send = Announced { request: cell.word(0), total: cell.word(1) as usize, partitions: cell.word(2) as usize };
        self.with_piece(from, ring, super::receive::piece_of(cell, 3), |e, bytes, len| {
            // SAFETY: `with_piece` checked the range; it is ours until given back.
            let note = (len > 0).then(|| unsafe { super::receive::copied(bytes, len) });
            let note = note.and_then(|note| Note::decode(&note)).map(|(note, _)| Box::new(note));
            e.announced(from, Announcement { context: cell.context, tag: cell.tag, send, note });
        });
    }

    fn announced(&mut self, from: u32, announcement: Announcement) {
        if let Some((receive, announcement)) = self.unmatched.announce(from, announcement) {
            self.match_partitioned(receive, &announcement);
        }
    }

    /// A receive was made: its send is matched, or will be.
    pub(crate) fn expect(&mut self, raw: usize) {
        let Some((partitioned, _)) = self.partitioned(raw) else { return };
        let Some(peer) = partitioned.peer else { return };
        let key = (partitioned.context, peer, partitioned.tag);
        if let Some(announcement) = self.unmatched.expect(key, raw) {
            self.match_partitioned(raw, &announcement);
        }
    }

    fn match_partitioned(&mut self, raw: usize, announcement: &Announcement) {
        let wrong = self.wrong_partitions(raw, announcement);
        let Some((partitioned, state)) = self.partitioned(raw) else { return };
        let End::Recv(inbound) = &mut partitioned.end else { return };
        inbound.sender = Some(announcement.send);
        inbound.wrong = wrong;
        if state == State::Active
            && let Err(error) = self.open(raw)
        {
            self.fail_request(raw, error);
        }
    }

    /// Whether the types of a send and of the receive `raw` differ (`mpiexec --check`).
    fn wrong_partitions(&mut self, raw: usize, announcement: &Announcement) -> Option<Error> {
        let Announcement { context, tag, send, note } = announcement;
        let note = note.as_ref()?;
        let (partitioned, _) = self.partitioned(raw)?;
        let (about, from) = (partitioned.about.clone()?, partitioned.peer?);
        self.difference(&about, *context, from, *tag, note, send.total)
    }

    /// A receive was started: once its send is known, that is told.
    pub(crate) fn open(&mut self, raw: usize) -> Result<()> {
        let Some(request) = self.requests.get_mut(raw) else { return Ok(()) };
        let Role::Partitioned(partitioned) = &mut request.role else { return Ok(()) };
        let (End::Recv(Inbound { sender: Some(sender), wrong, .. }), Some(from)) = (&partitioned.end, partitioned.peer)
        else {
            return Ok(());
        };
        request.error = wrong.clone().map(Box::new);
        let (sender, room, tag) = (*sender, partitioned.total(), partitioned.tag);
        let source = self.contexts.source_rank(partitioned.context, from);
        request.status = Status { source, tag, bytes: sender.total.min(room) as u64, ..Status::EMPTY };
        if sender.total > room {
            let text = format!(
                "the message of {} bytes in {} partitions from rank {source}, tag {tag}, does not fit into the \
                 receive buffer of {room} bytes in {} partitions",
                sender.total, sender.partitions, partitioned.partitions
            );
            request.error = Some(Box::new(Error::new(MPI_ERR_TRUNCATE, text)));
        }
        if sender.partitions == 0 {
            self.complete_request(raw);
            return Ok(());
        }
        if from == self.me {
            self.opened(sender.request as usize, raw as u64);
            return Ok(());
        }
        self.say(from, (OPEN, [sender.request, raw as u64, 0, 0, 0, 0]))
    }

    /// The receive was started whose bytes the send `raw` has.
    pub(super) fn opened(&mut self, raw: usize, remote: u64) {
        let Some((partitioned, state)) = self.partitioned(raw) else { return };
        let End::Send(outbound) = &mut partitioned.end else { return };
        outbound.remote = remote;
        if state == State::Active && !outbound.open {
            outbound.open = true;
            self.push(raw);
        } else {
            outbound.credits += 1;
        }
    }

    /// Lets the ready partitions of a send go, as far as there is room.
    pub(crate) fn push(&mut self, raw: usize) {
        let me = self.me;
        let Some((partitioned, State::Active)) = self.partitioned(raw) else { return };
        let Some(peer) = partitioned.peer else { return };
        let End::Send(outbound) = &mut partitioned.end else { return };
        if !outbound.open || outbound.queue.is_empty() {
            return;
        }
        if peer == me {
            return self.push_to_self(raw);
        }
        if !std::mem::replace(&mut outbound.streaming, true)
            && let Some(transport) = self.transport.as_mut()
        {
            transport.peers[peer as usize].streams.push_back(raw);
            transport.set_busy(peer);
        }
        self.flush_peer(peer);
    }

    /// Puts ready partitions of the send `raw`, the first in its peer's streams, into the ring: whether anything
    /// went, and whether it is out of the streams.
    pub(super) fn stream_partitions(&mut self, peer: u32, raw: usize) -> Result<(bool, bool)> {
        let mut moved = false;
        loop {
            let Some(transport) = self.transport.as_mut() else { return Ok((moved, false)) };
            let segment = transport.segment;
            let Some(request) = self.requests.get_mut(raw) else { return Ok((moved, true)) };
            let Role::Partitioned(partitioned) = &mut request.role else { return Ok((moved, true)) };
            let (bytes, partitions) = (partitioned.bytes, partitioned.partitions);
            let End::Send(outbound) = &mut partitioned.end else { return Ok((moved, true)) };
            let Some(&number) = outbound.queue.front() else {
                outbound.streaming = false;
                if outbound.sent == partitions {
                    self.complete_request(raw);
                }
                return Ok((moved, true));
            };
            if bytes > 0 {
                transport.need_data(peer, 0)?;
            }
            let state = &mut transport.peers[peer as usize];
            let Some(out) = state.out.as_mut() else { return Ok((moved, false)) };
            if out.slot().is_none() {
                return Ok((moved, false));
            }
            let at = number * bytes + outbound.at;
            let mut piece = Piece { offset: 0, len: 0, end: 0 };
            if bytes > 0 {
                let Some(data) = state.data.as_mut() else { return Ok((moved, false)) };
                let len = (bytes - outbound.at).min(PART_BYTES.min(data.size() / 4));
                let Some(taken) = data.take(out, len) else { return Ok((moved, false)) };
                piece = taken;
                let address = piece.address(segment).ok_or_else(outside)?;
                // SAFETY: the piece has `len` bytes and is ours until it is published; they are bytes of the
                // partition, which the user has given away.
                unsafe { state.pace.write(&request.payload, at, address.as_ptr(), len) };
            }
            let last = outbound.at + piece.len == bytes;
            let Some(slot) = out.slot() else { return Err(outside()) };
            slot.header(PARTITION, 0, 0, 0, 0);
            let words: [u64; WORDS] = [
                outbound.remote,
                at as u64,
                piece.offset as u64,
                piece.len as u64,
                piece.end,
                (number as u64) << 1 | u64::from(last),
            ];
            for (i, word) in words.into_iter().enumerate() {
                slot.word(i, word);
            }
            slot.publish();
            segment.rank_page(peer).wake_after_fence();
            moved = true;
            outbound.at += piece.len;
            if last {
                outbound.queue.pop_front();
                outbound.at = 0;
                outbound.sent += 1;
            }
        }
    }

    /// The same for a message to oneself, from buffer to buffer.
    fn push_to_self(&mut self, raw: usize) {
        let me = self.me;
        let Some(request) = self.requests.get_mut(raw) else { return };
        // Taken out while the receive, a request like this one, is written to.
        let payload = std::mem::replace(&mut request.payload, Payload::EMPTY);
        while let Some((partitioned, _)) = self.partitioned(raw) {
            let bytes = partitioned.bytes;
            let End::Send(outbound) = &mut partitioned.end else { break };
            let Some(number) = outbound.queue.pop_front() else { break };
            outbound.sent += 1;
            let receive = outbound.remote as usize;
            let mut own = Vec::new();
            let from = payload.run().map_or_else(
                || {
                    own.resize(bytes, 0);
                    // SAFETY: `own` has so many bytes, and the partition is in the message.
                    unsafe { payload.read(number * bytes, own.as_mut_ptr(), bytes) };
                    own.as_ptr()
                },
                |base| base.cast_const().wrapping_add(number * bytes),
            );
            // SAFETY: the partition's bytes in the user's memory, which are given away, or a copy.
            unsafe { self.partition_came(me, receive, number * bytes, from, bytes, number, true) };
        }
        let Some(request) = self.requests.get_mut(raw) else { return };
        request.payload = payload;
        let Role::Partitioned(partitioned) = &request.role else { return };
        if let End::Send(outbound) = &partitioned.end
            && outbound.sent == partitioned.partitions
        {
            self.complete_request(raw);
        }
    }

    /// A piece of a partition has come.
    pub(super) fn partition_piece(&mut self, from: u32, ring: usize, cell: Cell) {
        let (raw, at) = (cell.word(0) as usize, cell.word(1) as usize);
        let (number, last) = ((cell.word(5) >> 1) as usize, cell.word(5) & 1 == 1);
        self.with_piece(from, ring, super::receive::piece_of(cell, 2), |e, bytes, len| {
            // SAFETY: `with_piece` checked the range; it is ours until given back.
            unsafe { e.partition_came(from, raw, at, bytes, len, number, last) };
        });
    }

    /// Bytes of the sender's partition `number` are here for the receive `raw`; with `last` all of them.
    ///
    /// # Safety
    /// `bytes` is valid for reads of `len` bytes.
    #[expect(clippy::too_many_arguments, reason = "what a cell says")]
    unsafe fn partition_came(
        &mut self,
        from: u32,
        raw: usize,
        at: usize,
        bytes: *const u8,
        len: usize,
        number: usize,
        last: bool,
    ) {
        let Some(request) = self.requests.get_mut(raw).filter(|request| request.state == State::Active) else { return };
        let Role::Partitioned(partitioned) = &mut request.role else { return };
        if partitioned.peer != Some(from) {
            return;
        }
        // SAFETY: the caller vouches for the range; what does not fit is left out.
        unsafe { request.payload.write(at, bytes, len) };
        partitioned.note(at, len, number, last);
        let End::Recv(inbound) = &partitioned.end else { return };
        if inbound.sender.is_some_and(|sender| inbound.done >= sender.partitions) {
            self.complete_request(raw);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(context: u32, request: u64) -> Announcement {
        Announcement { context, tag: 7, send: Announced { request, total: 0, partitions: 1 }, note: None }
    }

    /// The receive that gets a send.
    fn announce(unmatched: &mut Unmatched, context: u32, request: u64) -> Option<usize> {
        unmatched.announce(1, send(context, request)).map(|(receive, _)| receive)
    }

    /// The send that a receive gets.
    fn expect(unmatched: &mut Unmatched, key: (u32, u32, c_int), receive: usize) -> Option<u64> {
        unmatched.expect(key, receive).map(|announcement| announcement.send.request)
    }

    #[test]
    fn sends_and_receives_meet_in_the_order_in_which_they_were_made() {
        let mut unmatched = Unmatched::default();
        let key = (4, 1, 7);
        assert_eq!(announce(&mut unmatched, 4, 1), None);
        assert_eq!(announce(&mut unmatched, 4, 2), None);
        assert_eq!(expect(&mut unmatched, (4, 2, 7), 9), None);
        assert_eq!(expect(&mut unmatched, key, 10), Some(1));
        assert_eq!(expect(&mut unmatched, key, 11), Some(2));
        assert_eq!(expect(&mut unmatched, key, 12), None);
        assert_eq!(expect(&mut unmatched, key, 13), None);
        assert_eq!(announce(&mut unmatched, 4, 3), Some(12));
        assert_eq!(announce(&mut unmatched, 4, 4), Some(13));
        assert_eq!(unmatched.channels.len(), 1);
    }

    #[test]
    fn a_freed_communicator_forgets_what_was_announced() {
        let mut unmatched = Unmatched::default();
        announce(&mut unmatched, 4, 1);
        announce(&mut unmatched, 6, 2);
        expect(&mut unmatched, (8, 1, 7), 5);
        unmatched.forget(4);
        unmatched.forget(8);
        assert_eq!(expect(&mut unmatched, (4, 1, 7), 6), None);
        assert_eq!(expect(&mut unmatched, (6, 1, 7), 7), Some(2));
        assert_eq!(announce(&mut unmatched, 8, 3), Some(5));
    }
}
