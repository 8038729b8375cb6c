//! The ring of cells of one ordered pair of ranks: one producer, one consumer, in shared memory.
//!
//! A cell is one cache line. Its first word is a stamp: the cell is full when the stamp equals
//! the position (counted from 1, modulo 2^32), so the consumer needs no other line to learn of a
//! message and the producer publishes bytes and header with one release store. The consumer
//! gives cells back a quarter ring at a time. Roles are types: [`Sender`] and [`Receiver`].

use super::data::Piece;
use crate::fence::store_and_light;
use crate::segment::Segment;
use crate::sync::{AtomicU32, AtomicU64, Ordering, prefetch_to_write};
use std::ptr::NonNull;

/// Bytes of a message that travel in the cell itself, in one cache line with the header.
pub const INLINE: usize = 48;
/// The same room as words, for the protocols.
pub const WORDS: usize = INLINE / 8;
/// Cells of a ring: with the two lines of [`Control`] exactly two pages. More cells cost cache
/// (all of them are passed through), fewer make a sender without a core of its own wait earlier.
pub(crate) const CELLS: u32 = if cfg!(loom) { 4 } else { 126 };

/// See [`Sender::fetch_ahead`]. 64 messages of 8 bytes to a core far away: without it 0.21 us each, with 8 lines 0.20, with
/// 16 to 24 0.14 us.
const AHEAD: u32 = if cfg!(loom) { 1 } else { 16 };

/// Bytes beside the cells for short messages that do not fit into one ([`Sender::near`]). With it a ring is
/// exactly four pages.
pub(crate) const NEAR: usize = if cfg!(loom) { 128 } else { 8 << 10 };
/// The longest message that goes there. Two processes that exchange messages use the same few lines
/// again and again, which then move between the inner caches: 1 KiB in 0.12 us instead of 0.24 through a
/// ring of 512 KiB (Zen 4); from 4 KiB on a ring larger than these caches is faster.
pub const NEAR_MAX: usize = NEAR / 4;

/// Lines that the consumer writes.
#[repr(C, align(64))]
#[derive(Default)]
pub(crate) struct Control {
    /// Cells given back.
    head: AtomicU32,
    _line: [u32; 15],
    /// Bytes of the data ring given back (see `data`).
    pub(crate) data_head: AtomicU64,
    /// Bytes of the data ring that the consumer may keep, without giving them back, once it has read them: said by
    /// the producer before the first piece.
    data_kept: AtomicU64,
    _line2: [u64; 6],
}

#[repr(C, align(64))]
#[derive(Default)]
struct Line {
    stamp: AtomicU32,
    /// kind | flags << 8 | inline bytes << 16
    shape: AtomicU32,
    tag: AtomicU32,
    context: AtomicU32,
    payload: [AtomicU64; WORDS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Line>() == 64 && size_of::<Control>() == 128);

/// Bytes of shared memory of a ring of cells.
pub(crate) const RING_BYTES: usize = NEAR_AT + NEAR;
/// Where the near bytes begin.
const NEAR_AT: usize = size_of::<Control>() + CELLS as usize * size_of::<Line>();

/// Where a ring is in this process's mapping. The memory lives as long as the segment, which the
/// engine never unmaps.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    control: NonNull<Control>,
    cells: NonNull<Line>,
    near: NonNull<u8>,
}

// SAFETY: behind the pointers lie atomics and bytes that the protocol gives to one side at a time, and the
// mapping is never undone.
unsafe impl Send for Place {}

impl Place {
    pub(crate) fn new(segment: &'static Segment, offset: usize) -> Option<Self> {
        let base = segment.at(offset, RING_BYTES)?;
        // SAFETY: `at` checked the whole length, so both starts are inside as well.
        let (cells, near) = unsafe { (base.add(size_of::<Control>()), base.add(NEAR_AT)) };
        Some(Self { control: base.cast(), cells: cells.cast(), near })
    }

    #[inline]
    fn control(&self) -> &'static Control {
        // SAFETY: inside the mapping, which lives for ever; only atomics.
        unsafe { self.control.as_ref() }
    }

    #[inline]
    fn line(&self, index: u32) -> &'static Line {
        debug_assert!(index < CELLS);
        // SAFETY: both users keep their index below CELLS, so it is inside the ring; only atomics.
        unsafe { self.cells.add(index as usize).as_ref() }
    }

    /// Empties the ring, also one whose memory was used for something else before. Done once, by
    /// the producer, before the consumer learns of the ring.
    pub(crate) fn clear(&self) {
        #[cfg(loom)]
        self.build();
        self.control().head.store(0, Ordering::Relaxed);
        self.control().data_head.store(0, Ordering::Relaxed);
        self.control().data_kept.store(0, Ordering::Relaxed);
        for index in 0..CELLS {
            self.line(index).stamp.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(loom)]
impl Place {
    /// Loom's atomics must be made: zeroed memory is none. Left over from an earlier use: a stamp
    /// that looks like that of a first message.
    fn build(&self) {
        // SAFETY: the piece is ours alone, and as long as a ring.
        unsafe {
            self.control.write(Control::default());
            for index in 0..CELLS as usize {
                self.cells.add(index).write(Line { stamp: AtomicU32::new(1), ..Line::default() });
            }
        }
    }
}

/// The producer's end.
pub struct Sender {
    place: Place,
    /// Cells written so far.
    position: u32,
    /// `position` modulo the ring.
    index: u32,
    /// Cells given back, as last seen or heard.
    head: u32,
    /// Near bytes in use, from the first on.
    near_used: usize,
    /// `position` behind the last cell whose message is in the near bytes.
    near_last: u32,
}

/// Room for a message in the near bytes.
pub struct Near {
    /// Where, for the cell.
    pub offset: u32,
    /// The address.
    pub bytes: *mut u8,
}

/// A free cell, to be filled and published.
pub struct Slot<'a> {
    sender: &'a mut Sender,
    line: &'static Line,
}

impl Sender {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, position: 0, index: 0, head: 0, near_used: 0, near_last: 0 }
    }

    /// The next cell, if the ring is not full.
    #[inline]
    pub fn slot(&mut self) -> Option<Slot<'_>> {
        if self.position.wrapping_sub(self.head) == CELLS {
            // SYNC cell-free: what the consumer read from the cells it read before it gave them
            // back, so writing them now can not change what it saw.
            self.hear(self.place.control().head.load(Ordering::Acquire));
            if self.position.wrapping_sub(self.head) == CELLS {
                return None;
            }
        }
        let line = self.place.line(self.index);
        Some(Slot { sender: self, line })
    }

    /// Takes the lines of cells that messages need soon away from the consumer, which has read them a lap ago: for a
    /// producer that publishes one cell after the other. Several at once and now and then: the locked
    /// instruction of every call waits until they are here.
    #[inline]
    pub fn fetch_ahead(&self) {
        if self.position.is_multiple_of(AHEAD) {
            for index in self.index + AHEAD..self.index + 2 * AHEAD {
                prefetch_to_write(self.place.line(index % CELLS));
            }
        }
    }

    /// The consumer has given back all cells before `head`: read from its line, or told in a cell of the ring in
    /// the other direction, which may be old news. The reader of such a cell has seen its stamp, which the
    /// consumer wrote after it was done with the cells before `head` (SYNC cell-full).
    #[inline]
    pub fn hear(&mut self, head: u32) {
        if head.wrapping_sub(self.head).cast_signed() > 0 {
            self.head = head;
        }
    }

    /// Room for a message of `len` bytes, at most [`NEAR_MAX`], in the near bytes. They are given out from the
    /// first on, and begin anew when the consumer is done with all of them. The next cell that is published must be
    /// the one that names it.
    #[inline]
    pub fn near(&mut self, len: usize) -> Option<Near> {
        debug_assert!(len <= NEAR_MAX);
        // Of the cells that are not given back, does any name near bytes?
        if self.position.wrapping_sub(self.near_last) >= self.position.wrapping_sub(self.head) {
            self.near_used = 0;
        }
        let offset = self.near_used;
        // Whole lines, so that two messages never share one.
        let end = offset + len.next_multiple_of(64);
        if end > NEAR {
            return None;
        }
        self.near_used = end;
        self.near_last = self.position.wrapping_add(1);
        // SAFETY: `end` is inside the near bytes, which belong to the mapping.
        let bytes = unsafe { self.place.near.as_ptr().add(offset) };
        Some(Near { offset: offset as u32, bytes })
    }

    /// Cells that are free.
    pub fn room(&mut self) -> u32 {
        // SYNC cell-free: as in `slot`.
        self.hear(self.place.control().head.load(Ordering::Acquire));
        CELLS - self.position.wrapping_sub(self.head)
    }

    /// Whether the consumer is known to be done with all cells, and so with the bytes that they name.
    pub(crate) fn is_read(&mut self) -> bool {
        self.room() == CELLS
    }

    /// Tells the consumer that it may keep so many bytes of the data ring. Each time that it gives some back takes
    /// the line away from the producer, and needs a fence and a look at the producer's page.
    pub(crate) fn let_keep(&self, bytes: usize) {
        // Seen by who sees the cell of the first piece (SYNC cell-full).
        self.place.control().data_kept.store(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes of the data ring that the consumer gave back.
    #[inline]
    pub(crate) fn data_head(&self) -> u64 {
        // SYNC data-free: as for the cells.
        self.place.control().data_head.load(Ordering::Acquire)
    }
}

impl Slot<'_> {
    /// Fills in the header; `inline` is how many bytes of the payload count.
    #[inline]
    pub fn header(&self, kind: u8, flags: u8, inline: usize, tag: i32, context: u32) {
        debug_assert!(inline <= INLINE);
        let shape = u32::from(kind) | u32::from(flags) << 8 | (inline as u32) << 16;
        self.line.shape.store(shape, Ordering::Relaxed);
        self.line.tag.store(tag.cast_unsigned(), Ordering::Relaxed);
        self.line.context.store(context, Ordering::Relaxed);
    }

    /// Fills in a word of the payload.
    #[inline]
    pub fn word(&self, index: usize, value: u64) {
        self.line.payload[index].store(value, Ordering::Relaxed);
    }

    /// The address of the payload, [`INLINE`] bytes, for a raw copy into it.
    #[inline]
    pub fn payload(&self) -> *mut u8 {
        std::ptr::from_ref(&self.line.payload).cast::<u8>().cast_mut()
    }

    /// Gives the cell to the consumer, with a light fence: [`crate::RankPage::wake_after_fence`] may follow.
    #[inline]
    pub fn publish(self) {
        let (line, position) = self.advance();
        // SYNC cell-full: header, payload and data pieces are visible to who sees the stamp.
        store_and_light(&line.stamp, position);
    }

    /// Gives the cell to a consumer that is awake, or will be woken for a later cell: without the fence, which
    /// would wait until all lines of a long piece are written.
    #[inline]
    pub fn publish_quietly(self) {
        let (line, position) = self.advance();
        // SYNC cell-full: as in `publish`.
        line.stamp.store(position, Ordering::Release);
    }

    #[inline]
    fn advance(self) -> (&'static Line, u32) {
        let sender = self.sender;
        sender.position = sender.position.wrapping_add(1);
        sender.index = if sender.index + 1 == CELLS { 0 } else { sender.index + 1 };
        (self.line, sender.position)
    }
}

/// The consumer's end.
pub struct Receiver {
    place: Place,
    position: u32,
    index: u32,
    /// `head` as last published.
    published: u32,
    /// `data_head` as last published.
    data_published: u64,
}

/// A full cell, as read by the consumer.
#[derive(Clone, Copy)]
pub struct Cell {
    /// What it is; the protocol's numbers.
    pub kind: u8,
    /// The protocol's bits.
    pub flags: u8,
    /// Bytes of the payload that count.
    pub inline: usize,
    /// The message's tag.
    pub tag: i32,
    /// The communicator's context.
    pub context: u32,
    line: &'static Line,
}

impl Cell {
    /// A word of the payload.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        self.line.payload[index].load(Ordering::Relaxed)
    }

    /// The address of the payload, [`INLINE`] bytes that do not change until
    /// [`Receiver::advance`].
    #[inline]
    pub fn payload(&self) -> *const u8 {
        std::ptr::from_ref(&self.line.payload).cast()
    }
}

impl Receiver {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, position: 0, index: 0, published: 0, data_published: 0 }
    }

    /// The next cell, if it is there.
    #[inline]
    pub fn peek(&self) -> Option<Cell> {
        let line = self.place.line(self.index);
        // SYNC cell-full: the producer wrote header, payload and data pieces before the stamp.
        if line.stamp.load(Ordering::Acquire) != self.position.wrapping_add(1) {
            return None;
        }
        let shape = line.shape.load(Ordering::Relaxed);
        Some(Cell {
            kind: shape.to_le_bytes()[0],
            flags: shape.to_le_bytes()[1],
            inline: ((shape >> 16) as usize).min(INLINE),
            tag: line.tag.load(Ordering::Relaxed).cast_signed(),
            context: line.context.load(Ordering::Relaxed),
            line,
        })
    }

    /// Done with the cell that [`Self::peek`] gave. True when cells were given back, so that a
    /// producer that waits for one must be woken.
    #[inline]
    pub fn advance(&mut self) -> bool {
        self.position = self.position.wrapping_add(1);
        self.index = if self.index + 1 == CELLS { 0 } else { self.index + 1 };
        // A quarter at a time: each store takes the line away from the producer.
        if self.position.wrapping_sub(self.published) < CELLS / 4 {
            return false;
        }
        self.published = self.position;
        // SYNC cell-free: we have read all that we wanted from these cells.
        self.place.control().head.store(self.position, Ordering::Release);
        true
    }

    /// Done with a piece of the data ring: everything up to its end goes back to the producer, sooner or later.
    /// True when it did, so that a producer that waits for room must be woken.
    #[inline]
    pub fn give_back(&mut self, piece: Piece) -> bool {
        let kept = self.place.control().data_kept.load(Ordering::Relaxed);
        if piece.end.wrapping_sub(self.data_published) < kept {
            return false;
        }
        self.data_published = piece.end;
        // SYNC data-free: we have read all that we wanted from these bytes.
        self.place.control().data_head.store(piece.end, Ordering::Release);
        true
    }

    /// Cells read so far: what [`Sender::hear`] wants to know.
    #[inline]
    pub fn position(&self) -> u32 {
        self.position
    }

    /// A message in the near bytes, which do not change until [`Self::advance`]; none if the cell was corrupted.
    #[inline]
    pub fn near(&self, offset: usize, len: usize) -> Option<*const u8> {
        if offset.checked_add(len)? > NEAR {
            return None;
        }
        // SAFETY: inside the near bytes, as was just checked.
        Some(unsafe { self.place.near.as_ptr().add(offset) })
    }
}
