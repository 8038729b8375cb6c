//! Messages that say what they are (`mpiexec --check`): an offer in whose first piece a [`Note`] comes before
//! the message's first bytes. Small messages are in it whole, as they would be without a note, and those of middle
//! size if they fit into one piece, so that a program finds about as much buffering as ever.

use super::send::outside;
use super::{BLOCKING, EAGER_MAX, FAR, FIRST_PART, NOTED_OFFER, SYNCHRONOUS, Transport};
use crate::check::Note;
use crate::p2p::matching::{Body, Offer, Unexpected};
use crate::p2p::unfit::MARK;
use crate::payload::Payload;
use crate::request::Role;
use crate::{Engine, Result};
use shm::ring::{Cell, MEDIUM, Piece};
use std::ffi::c_int;

/// What a cell for a noted message says besides its place.
struct Start {
    context: u32,
    tag: c_int,
    flags: u8,
    request: usize,
}

impl Transport {
    /// Sends a note and the beginning of a message, if there is room right now: how much of it went.
    fn try_noted(&mut self, peer: u32, cell: &Start, note: &[u8], payload: &Payload) -> Result<Option<usize>> {
        let segment = self.segment;
        let total = payload.len();
        self.open(peer)?;
        // As without a note: a message of up to middle size should find a ring in which it can go at once.
        self.need_data(peer, if total < super::AT_ONCE_BELOW { note.len() + total } else { 0 })?;
        let state = &mut self.peers[peer as usize];
        let (Some(out), Some(data)) = (state.out.as_mut(), state.data.as_mut()) else { return Ok(None) };
        // As without a note: whole if it is small, or of middle size and there is room. A piece may have to skip
        // the ring's end.
        let longest = data.longest().saturating_sub(note.len());
        let room = data.size() >= MEDIUM && data.room(out) >= 2 * (note.len() + total);
        let small = total <= EAGER_MAX || (total < super::AT_ONCE_BELOW && room);
        let first = if small && total <= longest { total } else { FIRST_PART.min(longest) };
        if out.slot().is_none() {
            return Ok(None);
        }
        let Some(piece) = data.take(out, note.len() + first) else { return Ok(None) };
        let address = piece.address(segment).ok_or_else(outside)?.as_ptr();
        // SAFETY: the piece has room for the note and `first` bytes and is ours until it is published.
        unsafe {
            crate::copy::copy(address, note.as_ptr(), note.len());
            payload.read(0, address.add(note.len()), first);
        }
        let Some(slot) = out.slot() else { return Ok(None) };
        slot.header(NOTED_OFFER, cell.flags, 0, cell.tag, cell.context);
        slot.word(0, total as u64);
        slot.word(1, cell.request as u64);
        slot.word(2, payload.run().map_or(0, |p| p as u64));
        slot.word(3, piece.offset as u64);
        slot.word(4, piece.len as u64);
        slot.word(5, piece.end);
        slot.publish();
        segment.rank_page(peer).wake_after_fence();
        Ok(Some(first))
    }
}

impl Engine {
    /// One try to put the beginning of a user's send into the ring with its note. False: no room; `None`: it has
    /// no note.
    #[cold]
    pub(super) fn try_begin_noted(&mut self, raw: usize) -> Result<Option<bool>> {
        let Some(note) = self.note_of(raw) else { return Ok(None) };
        let Some(request) = self.requests.get_mut(raw) else { return Ok(None) };
        let Role::Send(send) = &mut request.role else { return Ok(None) };
        let Some(transport) = self.transport.as_mut() else { return Ok(None) };
        let awaits = send.awaits_fin;
        let flags = if awaits { SYNCHRONOUS } else { 0 } | if send.blocking { BLOCKING } else { 0 };
        let cell = Start { context: send.context | send.mark, tag: send.tag, flags, request: raw };
        let Some(first) = transport.try_noted(send.peer, &cell, &note.encode(), &request.payload)? else {
            return Ok(Some(false));
        };
        send.sent = first;
        if first == request.payload.len() && !awaits {
            self.complete_request(raw);
        }
        Ok(Some(true))
    }

    /// A message with a note has come.
    #[cold]
    pub(super) fn take_noted(&mut self, from: u32, ring: usize, cell: Cell, piece: Piece) {
        let offer = Offer {
            total: cell.word(0) as usize,
            request: cell.word(1),
            address: cell.word(2) as usize,
            synchronous: cell.flags & SYNCHRONOUS != 0,
            blocking: cell.flags & BLOCKING != 0,
            far: cell.flags & FAR != 0,
        };
        let object = cell.context & MARK != 0;
        let matched = self.contexts.match_message(cell.context & !MARK, from, cell.tag);
        self.with_piece(from, ring, piece, |e, bytes, len| {
            // SAFETY: `with_piece` checked the range; it is ours until given back.
            let all = unsafe { super::receive::copied(bytes, len) };
            // A piece without a note is none of ours: a rank has overwritten shared memory.
            let Some((note, length)) = Note::decode(&all) else { return };
            let first: Box<[u8]> = all[length..].into();
            let body = if first.len() >= offer.total && !offer.synchronous {
                Body::Whole(first)
            } else {
                Body::Offer(offer, first)
            };
            let message = Unexpected { from, tag: cell.tag, object, body: Body::Noted(Box::new((note, body))) };
            match matched {
                Some(raw) => e.deliver_unexpected(raw, message),
                None => e.contexts.keep(cell.context & !MARK, message),
            }
        });
    }
}
