//! Messages of middle size: in parts that follow each other without a question to the receiver, so
//! that it copies one part while the sender copies the next. The sender starts only if the rings have
//! room for all of it; it is done when it has written the last part.
//!
//! The parts of two messages never mix in a ring: they are written in one go.

use super::send::outside;
use super::{EAGER_PART, EAGER_PARTS, Transport};
use crate::p2p::matching::Body;
use crate::payload::Payload;
use crate::{Engine, Result};
use shm::ring::{Cell, MEDIUM, Piece};
use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Up to this size a message goes in parts at once, but never more than a quarter of its ring, so that several find
/// room. Beyond it the offer's round trip, 0.3 us, is small beside the copying, and a message that nobody
/// waits for is better left with its sender. (Measured, ping-pong 64 KiB, parts against offer: 2.3 and 2.6 us.)
pub(crate) const PARTS_MAX: usize = 256 << 10;
/// Bytes of a part: the receiver begins after the first, so small; each costs a cell and a fence.
const PART: usize = 16 << 10;
/// From this size on a message with holes goes in parts too, in about so many: packing and unpacking take longer than
/// copying, and the two sides do it at the same time. A column of 1000 doubles: 2.2 us in one piece, 1.4 in four.
pub(super) const TYPED_PARTS_MIN: usize = 4 << 10;
const TYPED_PARTS: usize = 8;
const TYPED_PART_MIN: usize = 2 << 10;
/// The same past the caches, where each part waits until it is in memory.
const TYPED_PART_PAST: usize = 8 << 10;

/// Where the parts go that come next in a ring.
pub(crate) enum Arriving {
    /// Into the buffer of a receive.
    Request(usize),
    /// To a message that nobody has asked for, or that was asked for when its beginning was here.
    Kept(Arc<Mutex<Partial>>),
}

/// A message that came before its receive.
pub struct Partial {
    bytes: Box<[u8]>,
    arrived: usize,
    /// The receive that has taken it since.
    taken_by: Option<usize>,
}

fn lock(partial: &Mutex<Partial>) -> MutexGuard<'_, Partial> {
    partial.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of the whole message.
pub(crate) fn total(partial: &Mutex<Partial>) -> usize {
    lock(partial).bytes.len()
}

impl Transport {
    /// Sends a message in parts, if there is room for all of them right now.
    pub(super) fn try_parts(&mut self, peer: u32, context: u32, tag: c_int, payload: &Payload) -> Result<bool> {
        let segment = self.segment;
        let len = payload.len();
        self.open(peer)?;
        self.need_data(peer, len)?;
        let state = &mut self.peers[peer as usize];
        let (Some(out), Some(data)) = (state.out.as_mut(), state.data.as_mut()) else { return Ok(false) };
        let most = if payload.run().is_some() {
            PART
        } else {
            let least = if state.pace.is_past() { TYPED_PART_PAST } else { TYPED_PART_MIN };
            (len / TYPED_PARTS).next_multiple_of(64).clamp(least, PART)
        };
        let cells = len.div_ceil(most);
        // A piece may have to skip the ring's end.
        if data.size() < MEDIUM.max(4 * len) || (out.room() as usize) < cells || data.room(out) < len + PART {
            return Ok(false);
        }
        let mut at = 0;
        while at < len {
            let part = most.min(len - at);
            let Some(piece) = data.take(out, part) else { return Err(outside()) };
            let address = piece.address(segment).ok_or_else(outside)?;
            // SAFETY: the piece has `part` bytes and is ours until it is published.
            unsafe { state.pace.write(payload, at, address.as_ptr(), part) };
            let Some(slot) = out.slot() else { return Err(outside()) };
            let first = at == 0;
            slot.header(if first { EAGER_PARTS } else { EAGER_PART }, 0, 0, tag, context);
            slot.word(0, piece.offset as u64);
            slot.word(1, piece.len as u64);
            slot.word(2, piece.end);
            slot.word(3, if first { len } else { at } as u64);
            // A receiver that sleeps is woken for the first part. The last one is for a receiver that falls asleep meanwhile.
            if first || at + part == len {
                slot.publish();
                segment.rank_page(peer).wake_after_fence();
            } else {
                slot.publish_quietly();
            }
            at += part;
        }
        Ok(true)
    }
}

impl Engine {
    /// The beginning of a message in parts has come.
    pub(super) fn parts_begin(&mut self, from: u32, ring: usize, cell: Cell, piece: Piece) {
        let total = cell.word(3) as usize;
        let arriving = match self.match_cell(from, cell) {
            Some(raw) => {
                self.matched(raw, from, cell.tag, total);
                Arriving::Request(raw)
            }
            None => {
                let bytes = vec![0; total].into_boxed_slice();
                let partial = Arc::new(Mutex::new(Partial { bytes, arrived: 0, taken_by: None }));
                let body = Body::Partial(Arc::clone(&partial));
                self.keep_cell(from, cell, body);
                Arriving::Kept(partial)
            }
        };
        if let Some(transport) = self.transport.as_mut() {
            transport.peers[from as usize].arriving = Some(arriving);
        }
        self.part(from, ring, 0, piece);
    }

    /// A part of the message that began last in this ring.
    pub(super) fn part(&mut self, from: u32, ring: usize, at: usize, piece: Piece) {
        let arriving = match self.transport.as_ref().and_then(|t| t.peers[from as usize].arriving.as_ref()) {
            Some(Arriving::Request(raw)) => Arriving::Request(*raw),
            Some(Arriving::Kept(partial)) => Arriving::Kept(Arc::clone(partial)),
            None => return,
        };
        self.with_piece(from, ring, piece, |e, bytes, len| match arriving {
            // SAFETY: `with_piece` checked the range; it is ours until given back.
            Arriving::Request(raw) => unsafe { e.arrive(raw, at, bytes, len) },
            Arriving::Kept(partial) => {
                let mut partial = lock(&partial);
                if let Some(raw) = partial.taken_by {
                    // SAFETY: as above.
                    return unsafe { e.arrive(raw, at, bytes, len) };
                }
                let room = partial.bytes.len().saturating_sub(at).min(len);
                if room > 0 {
                    // SAFETY: as above; our bytes have room for `room` more from `at` on.
                    unsafe { crate::copy::copy(partial.bytes.as_mut_ptr().add(at), bytes, room) };
                }
                partial.arrived += room;
            }
        });
    }

    /// A receive is there for a message in parts that came before it: what is here goes to it now, the
    /// rest when it comes.
    pub(super) fn take_partial(&mut self, raw: usize, from: u32, tag: c_int, partial: &Mutex<Partial>) {
        let mut partial = lock(partial);
        self.matched(raw, from, tag, partial.bytes.len());
        partial.taken_by = Some(raw);
        // SAFETY: so many of our bytes have arrived.
        unsafe { self.arrive(raw, 0, partial.bytes.as_ptr(), partial.arrived) };
    }
}
