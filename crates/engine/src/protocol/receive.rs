//! Taking cells out of the rings: matching, delivering, answering.

use super::send::{accept_words, share_words};
use super::{
    ACCEPT, ANNOUNCE, BLOCKING, EAGER, EAGER_DATA, EAGER_NEAR, EAGER_PART, EAGER_PARTS, FAR, FIN, INLINE_AND_POSITION,
    MOVED, NOTED_OFFER, OFFER, OPEN, PART, PARTITION, SHARE, SYNCHRONOUS, WITHDRAW, WITHDRAWN, WRITTEN,
};
use crate::Engine;
use crate::Error;
use crate::p2p::matching::{Body, Offer, Unexpected};
use crate::p2p::unfit::{MARK, OBJECT};
use crate::payload::Payload;
use crate::request::{Role, State};
use crate::status::Status;
use mpi_abi::Datatype;
use mpi_abi::consts::{MPI_ANY_TAG, MPI_ERR_INTERN};
use shm::ring::{Cell, Piece, WORDS};
use std::ffi::c_int;

/// Cells taken from one ring before the others get their turn.
const TURN: u32 = 32;

impl Engine {
    /// Takes what has arrived; true if anything did.
    #[inline]
    pub(crate) fn receive(&mut self) -> bool {
        let Some(transport) = self.transport.as_mut() else { return false };
        while let Some(contact) = transport.inbox.next_contact() {
            transport.add_incoming(contact);
        }
        let rings = transport.incoming.len();
        let mut moved = false;
        for index in 0..rings {
            for _ in 0..TURN {
                let Some(transport) = self.transport.as_mut() else { return moved };
                let (from, receiver) = &transport.incoming[index];
                let from = *from;
                let Some(cell) = receiver.peek() else { break };
                moved = true;
                self.take_cell(from, index, cell);
                let Some(transport) = self.transport.as_mut() else { return moved };
                transport.advance(index, from);
            }
        }
        if moved {
            self.progress_count += 1;
        }
        moved
    }

    /// The common case of a blocking receive: the message from `from` is the next in its ring, or
    /// about to come, it is small, and no other receive is there that could want it. Polls that one
    /// ring a short while and delivers without a request. None: take the general way, to which objects go
    /// and, of a receive for objects, messages that do not fit.
    #[inline]
    pub(crate) fn receive_directly(
        &mut self,
        from: u32,
        context: u32,
        tag: c_int,
        payload: &mut Payload,
        looks: u32,
        datatype: Datatype,
    ) -> Option<crate::Result<Status>> {
        if !self.contexts.is_idle(context) {
            return None;
        }
        let transport = self.transport.as_mut()?;
        if transport.has_outgoing() {
            return None;
        }
        let ring = transport.ring_of(from)?;
        let mut cell = None;
        for _ in 0..looks {
            cell = transport.incoming[ring].1.peek();
            if cell.is_some() {
                break;
            }
            shm::sync::spin_hint();
        }
        let cell = cell?;
        let objects = datatype == OBJECT;
        let same = cell.context == context || (objects && cell.context == context | MARK);
        let fits = same && (cell.tag == tag || tag == MPI_ANY_TAG);
        if !fits {
            return None;
        }
        let segment = transport.segment;
        let room = payload.len();
        let receiver = &mut transport.incoming[ring].1;
        let (total, bytes, position) = match cell.kind {
            EAGER => (cell.inline, cell.payload(), position_in(cell)),
            EAGER_NEAR => {
                let (at, len) = (cell.word(0) as usize, cell.word(1) as usize);
                (len, receiver.near(at, len)?, Some(cell.word(2)))
            }
            EAGER_DATA => {
                let piece = piece_of(cell, 0);
                (piece.len, piece.address(segment)?.as_ptr().cast_const(), Some(cell.word(3)))
            }
            _ => return None,
        };
        if objects && room < total {
            return None;
        }
        // SAFETY: the range was checked, and does not change before it is given back.
        unsafe { payload.write(0, bytes, total) };
        if cell.kind == EAGER_DATA && receiver.give_back(piece_of(cell, 0)) {
            segment.rank_page(from).wake();
        }
        if let Some(position) = position {
            transport.hear(from, position);
        }
        transport.advance(ring, from);
        self.progress_count += 1;
        let source = self.contexts.source_rank(context, from);
        if total > room {
            return Some(Err(self.truncated(datatype, total, room, source, cell.tag)));
        }
        Some(Ok(Status { source, tag: cell.tag, bytes: total as u64, ..Status::EMPTY }))
    }

    #[inline]
    fn take_cell(&mut self, from: u32, ring: usize, cell: Cell) {
        match cell.kind {
            EAGER => {
                self.hear(from, position_in(cell));
                match self.match_cell(from, cell) {
                    // SAFETY: the cell's bytes do not change before `advance`.
                    Some(raw) => unsafe { self.deliver_whole(raw, from, cell.tag, cell.payload(), cell.inline) },
                    None => {
                        let words: [u64; WORDS] = std::array::from_fn(|i| cell.word(i));
                        let body = Body::Small(words, cell.inline);
                        self.keep_cell(from, cell, body);
                    }
                }
            }
            EAGER_NEAR => {
                self.hear(from, Some(cell.word(2)));
                let (at, len) = (cell.word(0) as usize, cell.word(1) as usize);
                let near = self.transport.as_ref().and_then(|t| t.incoming[ring].1.near(at, len));
                let Some(bytes) = near else { return };
                match self.match_cell(from, cell) {
                    // SAFETY: the range was checked; the bytes do not change before `advance`.
                    Some(raw) => unsafe { self.deliver_whole(raw, from, cell.tag, bytes, len) },
                    None => {
                        // SAFETY: as above.
                        let body = Body::Whole(unsafe { copied(bytes, len) });
                        self.keep_cell(from, cell, body);
                    }
                }
            }
            EAGER_DATA => {
                self.hear(from, Some(cell.word(3)));
                let piece = piece_of(cell, 0);
                let matched = self.match_cell(from, cell);
                self.with_piece(from, ring, piece, |e, bytes, len| match matched {
                    // SAFETY: `with_piece` checked the range; it is ours until given back.
                    Some(raw) => unsafe { e.deliver_whole(raw, from, cell.tag, bytes, len) },
                    None => {
                        // SAFETY: as above.
                        let body = Body::Whole(unsafe { copied(bytes, len) });
                        e.keep_cell(from, cell, body);
                    }
                });
            }
            OFFER => {
                let offer = Offer {
                    total: cell.word(0) as usize,
                    request: cell.word(1),
                    address: cell.word(2) as usize,
                    synchronous: cell.flags & SYNCHRONOUS != 0,
                    blocking: cell.flags & BLOCKING != 0,
                    far: cell.flags & FAR != 0,
                };
                let piece = piece_of(cell, 3);
                let matched = self.match_cell(from, cell);
                match matched {
                    Some(raw) => {
                        // The answer first: the sender works while we copy the beginning.
                        self.answer(raw, from, cell.tag, offer, piece.len);
                        self.with_piece(from, ring, piece, |e, bytes, len| {
                            // SAFETY: `with_piece` checked the range; it is ours until given back.
                            unsafe { e.arrive(raw, 0, bytes, len) };
                        });
                    }
                    None => self.with_piece(from, ring, piece, |e, bytes, len| {
                        // SAFETY: as above.
                        let body = Body::Offer(offer, unsafe { copied(bytes, len) });
                        e.keep_cell(from, cell, body);
                    }),
                }
            }
            ACCEPT => self.accepted(cell.word(0) as usize, cell.word(1)),
            PART => {
                let (raw, at) = (cell.word(0) as usize, cell.word(1) as usize);
                self.with_piece(from, ring, piece_of(cell, 2), |e, bytes, len| {
                    // SAFETY: `with_piece` checked the range; it is ours until given back.
                    unsafe { e.arrive(raw, at, bytes, len) };
                });
            }
            EAGER_PARTS => self.parts_begin(from, ring, cell, piece_of(cell, 0)),
            EAGER_PART => self.part(from, ring, cell.word(3) as usize, piece_of(cell, 0)),
            FIN => self.finished(cell.word(0) as usize),
            SHARE => self.share(cell.word(0) as usize, cell.word(1), cell.word(2) as usize, cell.word(3) as usize),
            WITHDRAW => self.withdraw_offer(from, cell.word(0), cell.word(1) as u32),
            WITHDRAWN => self.send_cancelled(cell.word(0) as usize),
            ANNOUNCE => self.announced_by(from, ring, cell),
            OPEN => self.opened(cell.word(0) as usize, cell.word(1)),
            PARTITION => self.partition_piece(from, ring, cell),
            MOVED => self.moved(from, cell.word(0), cell.word(1) as usize),
            WRITTEN => self.written(from, cell.word(0) as usize, cell.word(1) as usize),
            NOTED_OFFER => self.take_noted(from, ring, cell, piece_of(cell, 3)),
            // A cell that no version of ours writes: a rank has overwritten shared memory.
            _ => {}
        }
    }

    /// Lets `use_it` read a piece of the data ring and gives it back.
    #[inline]
    pub(super) fn with_piece(
        &mut self,
        from: u32,
        ring: usize,
        piece: Piece,
        use_it: impl FnOnce(&mut Self, *const u8, usize),
    ) {
        let Some(segment) = self.transport.as_ref().map(|t| t.segment) else { return };
        if piece.len == 0 {
            return use_it(self, std::ptr::null(), 0);
        }
        let Some(address) = piece.address(segment) else { return };
        use_it(self, address.as_ptr().cast_const(), piece.len);
        if let Some(transport) = self.transport.as_mut()
            && transport.incoming[ring].1.give_back(piece)
        {
            segment.rank_page(from).wake();
        }
    }

    #[inline]
    fn hear(&mut self, from: u32, position: Option<u64>) {
        if let (Some(position), Some(transport)) = (position, &mut self.transport) {
            transport.hear(from, position);
        }
    }

    /// The receive for the message that begins in a cell, if there is one.
    #[inline]
    pub(super) fn match_cell(&mut self, from: u32, cell: Cell) -> Option<usize> {
        let raw = self.contexts.match_message(cell.context & !MARK, from, cell.tag)?;
        if cell.context & MARK != 0 {
            self.is_object(raw);
        }
        Some(raw)
    }

    /// Keeps the message that begins in a cell until its receive comes.
    pub(super) fn keep_cell(&mut self, from: u32, cell: Cell, body: Body) {
        let object = cell.context & MARK != 0;
        self.contexts.keep(cell.context & !MARK, Unexpected { from, tag: cell.tag, object, body });
    }

    /// A whole message for the receive `raw`.
    ///
    /// # Safety
    /// `bytes` is valid for reads of `len` bytes.
    #[inline]
    unsafe fn deliver_whole(&mut self, raw: usize, from: u32, tag: c_int, bytes: *const u8, len: usize) {
        let Some(request) = self.requests.get_mut(raw) else { return };
        let Role::Recv(recv) = &mut request.role else { return };
        let room = request.payload.len();
        if len > room || recv.object || request.detached || request.error.is_some() {
            self.matched(raw, from, tag, len);
            // SAFETY: the caller vouches for the range.
            return unsafe { self.arrive(raw, 0, bytes, len) };
        }
        // What the three steps of a message that comes in pieces do.
        recv.matched = true;
        recv.source = from.cast_signed();
        recv.total = len;
        recv.arrived = len;
        let source = self.contexts.source_rank(recv.context, from);
        request.status = Status { source, tag, bytes: len as u64, ..Status::EMPTY };
        // SAFETY: the caller vouches for the range.
        unsafe { request.payload.write(0, bytes, len) };
        request.state = State::Complete;
        self.progress_count += 1;
    }

    /// A message was matched with the receive `raw`: its status is known now.
    #[inline]
    pub(super) fn matched(&mut self, raw: usize, from: u32, tag: c_int, total: usize) {
        let Some(request) = self.requests.get_mut(raw) else { return };
        let Role::Recv(recv) = &mut request.role else { return };
        recv.matched = true;
        recv.source = from.cast_signed();
        recv.total = total;
        recv.arrived = 0;
        let room = request.payload.len();
        let source = self.contexts.source_rank(recv.context, from);
        request.status = Status { source, tag, bytes: total.min(room) as u64, ..Status::EMPTY };
        if total > room || recv.object {
            self.look_at_unfit(raw, total);
        }
    }

    /// Bytes of a matched message have come; completes the receive with the last of them.
    ///
    /// # Safety
    /// `bytes` is valid for reads of `len` bytes.
    #[inline]
    pub(super) unsafe fn arrive(&mut self, raw: usize, at: usize, bytes: *const u8, len: usize) {
        let Some(request) = self.requests.get_mut(raw) else { return };
        let Role::Recv(recv) = &mut request.role else { return };
        // SAFETY: the caller vouches for the range; what does not fit is left out.
        unsafe { request.payload.write(at, bytes, len) };
        recv.arrived += len;
        if recv.arrived >= recv.total {
            self.complete_request(raw);
        }
    }

    /// Answers an offer that was matched with the receive `raw`; `first` bytes of it are here.
    fn answer(&mut self, raw: usize, from: u32, tag: c_int, offer: Offer, first: usize) {
        self.matched(raw, from, tag, offer.total);
        let outcome = if first >= offer.total {
            if offer.synchronous { self.say(from, (FIN, [offer.request, 0, 0, 0, 0, 0])) } else { Ok(()) }
        } else if let Some(share) = self.plan_share(raw, from, offer, first) {
            let asked = if share.write_from < offer.total {
                if let Some(Role::Recv(recv)) = self.requests.get_mut(raw).map(|r| &mut r.role) {
                    recv.shared = true;
                }
                self.say(from, share_words(offer.request, raw, share.address, share.write_from))
            } else {
                Ok(())
            };
            asked.map(|()| self.read_share(raw, from, offer, share))
        } else {
            self.say(from, accept_words(offer.request, raw))
        };
        if let Err(error) = outcome {
            self.fail_request(raw, error);
        }
    }

    pub(super) fn say(&mut self, to: u32, (kind, words): (u8, [u64; WORDS])) -> crate::Result<()> {
        self.transport()?.control(to, kind, words)
    }

    /// A receive is there for a message that came before it.
    pub(crate) fn deliver_unexpected(&mut self, raw: usize, message: Unexpected) {
        let Unexpected { from, tag, object, body } = message;
        if object {
            self.is_object(raw);
        }
        match body {
            // SAFETY: the words are ours and hold at least `len` bytes.
            Body::Small(words, len) => unsafe { self.deliver_whole(raw, from, tag, words.as_ptr().cast(), len) },
            // SAFETY: the bytes are ours.
            Body::Whole(bytes) => unsafe { self.deliver_whole(raw, from, tag, bytes.as_ptr(), bytes.len()) },
            Body::Partial(partial) => self.take_partial(raw, from, tag, &partial),
            Body::Offer(offer, bytes) => {
                self.answer(raw, from, tag, offer, bytes.len());
                // SAFETY: the bytes are ours.
                unsafe { self.arrive(raw, 0, bytes.as_ptr(), bytes.len()) };
            }
            Body::Local(send, _) => {
                let payload = match self.requests.get_mut(send) {
                    Some(request) if request.state == State::Active => {
                        std::mem::replace(&mut request.payload, Payload::EMPTY)
                    }
                    _ => {
                        let gone = Error::new(MPI_ERR_INTERN, "the send that was matched is gone");
                        return self.fail_request(raw, gone);
                    }
                };
                self.deliver_local(raw, tag, &payload);
                self.complete_request(send);
            }
            Body::Noted(noted) => {
                let (note, body) = *noted;
                let message = Unexpected { from, tag, object: false, body };
                self.compare(raw, from, tag, &note, message.len());
                self.deliver_unexpected(raw, message);
            }
        }
    }

    /// A message of this process to itself, from the sender's memory.
    pub(super) fn deliver_local(&mut self, raw: usize, tag: c_int, payload: &Payload) {
        let me = self.me;
        if let Some(base) = payload.run() {
            // SAFETY: the send's bytes are valid until it completes, which is after this.
            unsafe { self.deliver_whole(raw, me, tag, base, payload.len()) };
        } else {
            let bytes = payload.to_bytes();
            // SAFETY: the bytes are ours.
            unsafe { self.deliver_whole(raw, me, tag, bytes.as_ptr(), bytes.len()) };
        }
    }
}

/// The position that goes along with a message in a cell, if the message leaves room.
#[inline]
fn position_in(cell: Cell) -> Option<u64> {
    (cell.inline <= INLINE_AND_POSITION).then(|| cell.word(5))
}

#[inline]
pub(super) fn piece_of(cell: Cell, at: usize) -> Piece {
    Piece { offset: cell.word(at) as usize, len: cell.word(at + 1) as usize, end: cell.word(at + 2) }
}

/// # Safety
/// `bytes` is valid for reads of `len` bytes.
pub(super) unsafe fn copied(bytes: *const u8, len: usize) -> Box<[u8]> {
    let mut own = vec![0u8; len].into_boxed_slice();
    // SAFETY: the caller vouches for the source; the destination is ours and as long.
    unsafe { crate::copy::copy(own.as_mut_ptr(), bytes, len) };
    own
}
