//! Starting messages and streaming large ones.

use super::parts::TYPED_PARTS_MIN;
use super::{
    ACCEPT, BLOCKING, EAGER, EAGER_DATA, EAGER_MAX, EAGER_NEAR, FAR, FIRST_PART, INLINE_AND_POSITION, OFFER, Outgoing,
    PART, PART_BYTES, Peer, SHARE, SYNCHRONOUS, Transport, WRITTEN,
};
use crate::p2p::Route;
use crate::p2p::matching::{Body, Unexpected};
use crate::payload::Payload;
use crate::request::{Role, State};
use crate::{Engine, Error, Result};
use mpi_abi::consts::MPI_ERR_INTERN;
use shm::ring::{INLINE, NEAR_MAX, Sender};
use std::ffi::c_int;

impl Peer {
    /// Sends a message through the near bytes, if there is room. The caller wakes the receiver.
    #[inline]
    fn try_near(&mut self, context: u32, tag: c_int, payload: &Payload, len: usize) -> bool {
        let Some(out) = self.out.as_mut() else { return false };
        if out.slot().is_none() {
            return false;
        }
        let Some(near) = out.near(len) else { return false };
        // SAFETY: there is room for `len` bytes, ours until the cell is published.
        unsafe { payload.read(0, near.bytes, len) };
        let Some(slot) = out.slot() else { return false };
        slot.header(EAGER_NEAR, 0, 0, tag, context);
        slot.word(0, u64::from(near.offset));
        slot.word(1, len as u64);
        slot.word(2, u64::from(self.taken));
        slot.publish();
        true
    }
}

impl Transport {
    /// Sends a message that needs no offer, if there is room right now.
    #[inline]
    fn try_eager(&mut self, peer: u32, context: u32, tag: c_int, payload: &Payload) -> Result<bool> {
        let len = payload.len();
        let segment = self.segment;
        let state = self.open(peer)?;
        if !state.backlog.is_empty() {
            return Ok(false);
        }
        if len <= INLINE {
            let Some(slot) = state.out.as_mut().and_then(Sender::slot) else { return Ok(false) };
            slot.header(EAGER, 0, len, tag, context);
            // SAFETY: a cell has room for INLINE bytes, and shared cells are not the user's memory.
            unsafe { payload.read(0, slot.payload(), len) };
            if len <= INLINE_AND_POSITION {
                slot.word(5, u64::from(state.taken));
            }
            slot.publish();
        } else if len > EAGER_MAX {
            return self.try_parts(peer, context, tag, payload);
        } else {
            if len <= NEAR_MAX && state.try_near(context, tag, payload, len) {
                segment.rank_page(peer).wake_after_fence();
                return Ok(true);
            }
            if len >= TYPED_PARTS_MIN && payload.run().is_none() && self.try_parts(peer, context, tag, payload)? {
                return Ok(true);
            }
            self.need_data(peer, len)?;
            let state = &mut self.peers[peer as usize];
            let (Some(out), Some(data)) = (state.out.as_mut(), state.data.as_mut()) else { return Ok(false) };
            // The cell first: a piece that was taken can not be given back.
            if out.slot().is_none() || len > data.longest() {
                return Ok(false);
            }
            let Some(piece) = data.take(out, len) else { return Ok(false) };
            let address = piece.address(segment).ok_or_else(outside)?;
            // SAFETY: the piece has `len` bytes and is ours until it is published.
            unsafe { state.pace.write(payload, 0, address.as_ptr(), len) };
            let Some(slot) = out.slot() else { return Ok(false) };
            slot.header(EAGER_DATA, 0, 0, tag, context);
            slot.word(0, piece.offset as u64);
            slot.word(1, piece.len as u64);
            slot.word(2, piece.end);
            slot.word(3, u64::from(state.taken));
            slot.publish();
        }
        segment.rank_page(peer).wake_after_fence();
        Ok(true)
    }

    /// Sends the offer of a message with all of it or its `beginning`, if there is room right now.
    fn try_offer(
        &mut self,
        peer: u32,
        context: u32,
        tag: c_int,
        payload: &Payload,
        (request, flags): (usize, u8),
        beginning: usize,
    ) -> Result<Option<usize>> {
        let segment = self.segment;
        let total = payload.len();
        self.open(peer)?;
        if total > 0 {
            self.need_data(peer, 0)?;
        }
        let state = &mut self.peers[peer as usize];
        let whole = state.data.as_ref().is_none_or(|data| total <= EAGER_MAX.min(data.longest()));
        let first = if whole { total } else { beginning };
        let Some(out) = state.out.as_mut() else { return Ok(None) };
        if out.slot().is_none() {
            return Ok(None);
        }
        let (mut offset, mut end) = (0, 0);
        if first > 0 {
            let Some(piece) = state.data.as_mut().and_then(|d| d.take(out, first)) else { return Ok(None) };
            let address = piece.address(segment).ok_or_else(outside)?;
            // SAFETY: the piece has `first` bytes and is ours until it is published.
            unsafe { state.pace.write(payload, 0, address.as_ptr(), first) };
            (offset, end) = (piece.offset, piece.end);
        }
        let Some(slot) = out.slot() else { return Ok(None) };
        let flags = flags | if state.pace.is_past() { FAR } else { 0 };
        slot.header(OFFER, flags, 0, tag, context);
        slot.word(0, total as u64);
        slot.word(1, request as u64);
        slot.word(2, payload.run().map_or(0, |p| p as u64));
        slot.word(3, offset as u64);
        slot.word(4, first as u64);
        slot.word(5, end);
        slot.publish();
        segment.rank_page(peer).wake_after_fence();
        Ok(Some(first))
    }
}

#[cold]
pub(super) fn outside() -> Error {
    Error::new(MPI_ERR_INTERN, "a piece of a ring lies outside of the segment")
}

impl Engine {
    /// Sends a message at once if it is small and there is room: no request is needed then.
    #[inline]
    pub(crate) fn try_send_now(&mut self, route: Route, tag: c_int, payload: &Payload) -> Result<bool> {
        let peer = route.peer.cast_unsigned();
        if payload.len() >= self.at_once_below || peer == self.me {
            return Ok(false);
        }
        self.progress_count += 1;
        self.transport()?.try_eager(peer, route.context, tag, payload)
    }

    /// A program that starts one send without waiting for it starts another one soon.
    #[inline]
    pub(crate) fn fetch_ahead(&mut self, peer: u32) {
        if let Some(out) = self.transport.as_ref().and_then(|t| t.peers.get(peer as usize)?.out.as_ref()) {
            out.fetch_ahead();
        }
    }

    /// Begins an active send request: at once if there is room, else behind what waits already.
    pub(crate) fn begin_send(&mut self, raw: usize) {
        let Some(Role::Send(send)) = self.requests.get(raw).map(|r| &r.role) else { return };
        let peer = send.peer;
        if peer == self.me {
            self.send_to_self(raw);
            // Another thread of ours may sleep in a wait for just this.
            self.something_happened();
            return;
        }
        let waits = self.transport.as_ref().is_some_and(|t| !t.peers[peer as usize].backlog.is_empty());
        if !waits {
            match self.try_begin(raw) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return self.fail_request(raw, error),
            }
        }
        if let Ok(transport) = self.transport() {
            transport.peers[peer as usize].backlog.push_back(Outgoing::Message(raw));
            transport.set_busy(peer);
        }
    }

    /// One try to put the beginning of a send into the ring. False: no room.
    fn try_begin(&mut self, raw: usize) -> Result<bool> {
        if self.check.is_some()
            && let Some(begun) = self.try_begin_noted(raw)?
        {
            return Ok(begun);
        }
        let policy = self.policy();
        let Some(request) = self.requests.get_mut(raw) else { return Ok(true) };
        let Role::Send(send) = &mut request.role else { return Ok(true) };
        let Some(transport) = self.transport.as_mut() else { return Ok(true) };
        let len = request.payload.len();
        let peer = send.peer;
        if len > NEAR_MAX && len <= EAGER_MAX {
            transport.open(peer)?;
            transport.need_data(peer, len)?;
        }
        // A small data ring has no room for the longest of these in one piece.
        let whole = transport.peers[peer as usize].data.as_ref().is_none_or(|data| len <= data.longest());
        if len <= EAGER_MAX && whole && !send.awaits_fin {
            // The backlog holds this very message when it is tried again.
            let backlog = std::mem::take(&mut transport.peers[peer as usize].backlog);
            let sent = transport.try_eager(peer, send.context | send.mark, send.tag, &request.payload);
            transport.peers[peer as usize].backlog = backlog;
            if sent? {
                self.complete_request(raw);
                return Ok(true);
            }
            return Ok(false);
        }
        let flags = if send.awaits_fin { SYNCHRONOUS } else { 0 } | if send.blocking { BLOCKING } else { 0 };
        let beginning = if transport.copied_whole(policy, send, &request.payload) { 0 } else { FIRST_PART };
        let offer = (raw, flags);
        match transport.try_offer(peer, send.context | send.mark, send.tag, &request.payload, offer, beginning)? {
            Some(first) => {
                send.sent = first;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The receiver has matched and wants the rest through the ring.
    pub(super) fn accepted(&mut self, raw: usize, remote: u64) {
        let Some(Role::Send(send)) = self.requests.get_mut(raw).map(|r| &mut r.role) else { return };
        send.remote = remote;
        send.awaits_fin = false;
        let peer = send.peer;
        if let Some(transport) = self.transport.as_mut() {
            transport.peers[peer as usize].streams.push_back(raw);
            transport.set_busy(peer);
        }
        self.flush_peer(peer);
    }

    /// Sends what waits for `peer` as far as there is room; true if anything went.
    pub(super) fn flush_peer(&mut self, peer: u32) -> bool {
        let mut moved = false;
        loop {
            let Some(transport) = self.transport.as_mut() else { return moved };
            let Some(next) = transport.peers[peer as usize].backlog.pop_front() else { break };
            let sent = match &next {
                Outgoing::Message(raw) => {
                    let raw = *raw;
                    match self.try_begin(raw) {
                        Ok(sent) => sent,
                        Err(error) => {
                            self.fail_request(raw, error);
                            true
                        }
                    }
                }
                Outgoing::Announcement(announcement) => transport.try_announce(peer, announcement),
                Outgoing::Control(control) => {
                    let segment = transport.segment;
                    let slot = transport.peers[peer as usize].out.as_mut().and_then(Sender::slot);
                    slot.map(|slot| {
                        slot.header(control.kind, 0, 0, 0, 0);
                        for (i, word) in control.words.into_iter().enumerate() {
                            slot.word(i, word);
                        }
                        slot.publish();
                        segment.rank_page(peer).wake_after_fence();
                    })
                    .is_some()
                }
            };
            if !sent {
                if let Some(transport) = self.transport.as_mut() {
                    transport.peers[peer as usize].backlog.push_front(next);
                }
                return moved;
            }
            moved = true;
        }
        moved | self.stream_to(peer)
    }

    /// Puts parts of accepted messages into the ring as far as there is room.
    fn stream_to(&mut self, peer: u32) -> bool {
        let mut moved = false;
        while self.stream_part(peer, &mut moved) {}
        if moved && let Some(transport) = self.transport.as_ref() {
            // For a receiver that fell asleep after it was woken for the first part.
            transport.segment.rank_page(peer).wake();
        }
        moved
    }

    /// One part, or the end of a message; false if nothing can be done. `moved` becomes true with the first part.
    fn stream_part(&mut self, peer: u32, moved: &mut bool) -> bool {
        let Some(transport) = self.transport.as_mut() else { return false };
        let segment = transport.segment;
        let state = &mut transport.peers[peer as usize];
        let Some(&raw) = state.streams.front() else { return false };
        let Some(request) = self.requests.get_mut(raw).filter(|r| r.state == State::Active) else {
            state.streams.pop_front();
            return true;
        };
        let Role::Send(send) = &mut request.role else {
            return self.stream_others(peer, raw, moved);
        };
        let total = request.payload.len();
        if send.sent < total {
            // The ring in which the message began may be gone.
            if let Err(error) = transport.need_data(peer, 0) {
                transport.peers[peer as usize].streams.pop_front();
                self.fail_request(raw, error);
                return true;
            }
            let state = &mut transport.peers[peer as usize];
            let (Some(out), Some(data)) = (state.out.as_mut(), state.data.as_mut()) else { return false };
            if out.slot().is_none() {
                return false;
            }
            let len = (total - send.sent).min(PART_BYTES.min(data.size() / 4));
            let Some(piece) = data.take(out, len) else { return false };
            let Some(address) = piece.address(segment) else { return false };
            // SAFETY: the piece has `len` bytes and is ours until it is published.
            unsafe { state.pace.write(&request.payload, send.sent, address.as_ptr(), len) };
            let Some(slot) = out.slot() else { return false };
            slot.header(PART, 0, 0, 0, 0);
            slot.word(0, send.remote);
            slot.word(1, send.sent as u64);
            slot.word(2, piece.offset as u64);
            slot.word(3, piece.len as u64);
            slot.word(4, piece.end);
            if std::mem::replace(moved, true) {
                slot.publish_quietly();
            } else {
                slot.publish();
                segment.rank_page(peer).wake_after_fence();
            }
            send.sent += len;
        }
        if send.sent == total {
            transport.peers[peer as usize].streams.pop_front();
            self.complete_request(raw);
        }
        true
    }

    /// The same for the first in the streams if it is a message in partitions. False: no room.
    #[cold]
    fn stream_others(&mut self, peer: u32, raw: usize, moved: &mut bool) -> bool {
        let gone = match self.stream_partitions(peer, raw) {
            Ok((some, gone)) => {
                *moved |= some;
                gone
            }
            Err(error) => {
                self.fail_request(raw, error);
                true
            }
        };
        if gone && let Some(transport) = self.transport.as_mut() {
            transport.peers[peer as usize].streams.pop_front();
        }
        gone
    }

    /// Sends what waits for anybody; true if anything went.
    pub(crate) fn flush(&mut self) -> bool {
        let mut moved = false;
        let busy = match self.transport.as_mut() {
            Some(transport) if transport.has_outgoing() => std::mem::take(&mut transport.busy),
            _ => return false,
        };
        for &peer in &busy {
            moved |= self.flush_peer(peer);
        }
        let Some(transport) = self.transport.as_mut() else { return moved };
        for peer in busy {
            let state = &mut transport.peers[peer as usize];
            state.busy = false;
            if !state.backlog.is_empty() || !state.streams.is_empty() {
                transport.set_busy(peer);
            }
        }
        moved
    }

    /// The receiver has all bytes of a send that awaited this.
    pub(super) fn finished(&mut self, raw: usize) {
        if self.requests.get(raw).is_some_and(|r| r.state == State::Active && matches!(r.role, Role::Send(_))) {
            self.complete_request(raw);
        }
    }

    /// The receiver reads the beginning itself; we write the rest from position `from` on.
    pub(super) fn share(&mut self, raw: usize, remote: u64, address: usize, from: usize) {
        let Some(request) = self.requests.get(raw) else { return };
        let Role::Send(send) = &request.role else { return };
        let Some(transport) = self.transport.as_mut() else { return };
        let peer = send.peer;
        let total = request.payload.len();
        let written = request.payload.run().is_some_and(|base| {
            // SAFETY: the send's bytes are valid until it completes, which is after this.
            unsafe { transport.write_to(peer, base.cast_const().wrapping_add(from), address + from, total - from) }
                .is_ok()
        });
        let bytes = if written { (total - from) as u64 } else { 0 };
        // A ring that can not be opened any more was open when the offer went.
        let _ = transport.control(peer, WRITTEN, [remote, bytes, 0, 0, 0, 0]);
    }

    /// A message of this process to itself: straight into a posted receive, or kept.
    fn send_to_self(&mut self, raw: usize) {
        let me = self.me;
        let Some(request) = self.requests.get_mut(raw) else { return };
        let Role::Send(send) = &request.role else { return };
        let (context, tag, synchronous, blocking) = (send.context, send.tag, send.awaits_fin, send.blocking);
        let object = send.mark != 0;
        let len = request.payload.len();
        let note = self.note_of(raw);
        let Some(request) = self.requests.get_mut(raw) else { return };
        if let Some(receive) = self.contexts.match_message(context, me, tag) {
            let payload = std::mem::replace(&mut request.payload, Payload::EMPTY);
            if let Some(note) = note {
                self.compare(receive, me, tag, &note, len);
            }
            if object {
                self.is_object(receive);
            }
            self.deliver_local(receive, tag, &payload);
            self.complete_request(raw);
            return;
        }
        // A blocking standard send must not wait for a receive that only comes after it.
        let body = if !synchronous && (blocking || matches!(request.payload, Payload::Owned(_))) {
            Body::Whole(request.payload.to_bytes())
        } else {
            Body::Local(raw, len)
        };
        let complete = matches!(body, Body::Whole(_));
        let body = match note {
            Some(note) => Body::Noted(Box::new((note, body))),
            None => body,
        };
        self.contexts.keep(context, Unexpected { from: me, tag, object, body });
        if complete {
            self.complete_request(raw);
        }
    }
}

/// Answers of the receiver to an offer, in words.
pub(super) fn accept_words(sender: u64, receiver: usize) -> (u8, [u64; 6]) {
    (ACCEPT, [sender, receiver as u64, 0, 0, 0, 0])
}

/// As [`accept_words`], for a copy that both sides share.
pub(super) fn share_words(sender: u64, receiver: usize, address: usize, from: usize) -> (u8, [u64; 6]) {
    (SHARE, [sender, receiver as u64, address as u64, from as u64, 0, 0])
}
