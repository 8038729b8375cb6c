//! The ring of bytes beside a ring of cells: payloads that do not fit into a cell. The producer
//! alone knows its size and fill; a cell tells the consumer where a piece is and what to give
//! back. Pieces are contiguous and given back in order, so one counter suffices.
//!
//! A pair may get another ring at any time (the engine's `protocol::room` says when): the counter goes on, and the
//! earlier ring goes back to the arena when the consumer is known to be done with its last piece. The consumer knows
//! of no rings, only of pieces.

use super::cells::Sender;
use crate::cpus;
use crate::error::Result;
use crate::purpose::Purpose;
use crate::segment::Segment;
use std::ptr::NonNull;

/// Large data ring, for the pairs that talk most: twice the inner (second level) cache of a core, a power of two.
/// A piece's lines have then left the reader's inner cache for the common one when they are written again. If
/// they are still there, each must be called back: on a Zen 4 machine (1 MiB) a message of 64 KiB takes 7.2 us
/// through a ring of 512 KiB, 4.3 with 1 MiB, 2.7 with 2 MiB, 2.5-3.2 with 4 MiB; one of 1 MiB 63 and 32 us.
pub fn large() -> usize {
    static SIZE: std::sync::LazyLock<usize> =
        std::sync::LazyLock::new(|| (2 * cpus::inner_cache()).next_power_of_two().clamp(MEDIUM, LARGE_MAX));
    *SIZE
}
/// The most that [`large`] gives.
const LARGE_MAX: usize = 8 << 20;
/// For more pairs: the least with which messages of middle size go in parts.
pub const MEDIUM: usize = 512 << 10;
/// So many large data rings per rank; then so many in all that are at least of middle size; more pairs than that
/// get small ones. Memory is what speaks against more (README.md).
pub const LARGE_RINGS: usize = 4;
/// See [`LARGE_RINGS`].
pub const MEDIUM_RINGS: usize = 16;
/// What a rank's data rings take at most, apart from the small ones.
pub(crate) const RANK_BYTES: usize = LARGE_RINGS * LARGE_MAX + (MEDIUM_RINGS - LARGE_RINGS) * MEDIUM;
/// For the rest: four pieces of 16 KiB.
pub const SMALL: usize = 64 << 10;

/// A piece of the ring, as a cell describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where the bytes are in the segment.
    pub offset: usize,
    /// How many.
    pub len: usize,
    /// The ring's counter after this piece: what the consumer gives back.
    pub end: u64,
}

/// The producer's side of a ring of bytes.
pub struct DataRing {
    offset: usize,
    size: usize,
    /// Bytes taken so far, skipped ones and those of earlier rings of the pair included.
    tail: u64,
    /// Bytes given back, as last seen.
    head: u64,
    /// `tail` when this ring was made: what comes before lies in an earlier ring.
    start: u64,
    /// From this `tail` on the pair should have a larger ring, and for a message longer than this.
    grow_at: u64,
    grow_for: usize,
}

impl DataRing {
    /// Makes a ring of `size` bytes (a power of two) beside the cells of `sender`, for a pair that has used `position`
    /// bytes before.
    pub fn new(segment: &Segment, sender: &Sender, size: usize, position: u64) -> Result<Self> {
        debug_assert!(size.is_power_of_two());
        let offset = segment.allocate(size, Purpose::Rings)?;
        // In a model every piece is given back at once.
        sender.let_keep(if cfg!(loom) { 0 } else { size / 4 });
        Ok(Self {
            offset,
            size,
            tail: position,
            head: position,
            start: position,
            grow_at: u64::MAX,
            grow_for: usize::MAX,
        })
    }

    /// Bytes that the pair has used so far.
    #[inline]
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// The pair should have a larger ring after `bytes` more, and for a message of more than `len` bytes.
    pub fn grow_after(&mut self, bytes: u64, len: usize) {
        (self.grow_at, self.grow_for) = (self.tail + bytes, len);
    }

    /// Whether the pair should have a larger ring, for a message of `len` bytes.
    #[inline]
    pub fn is_outgrown(&self, len: usize) -> bool {
        self.tail >= self.grow_at || len > self.grow_for
    }

    /// Whether the consumer is known to be done with all pieces: the ring may go.
    pub fn is_read(&self, sender: &mut Sender) -> bool {
        sender.data_head() >= self.tail || sender.is_read()
    }

    /// Gives the memory back. Nobody may use it any more (see [`Self::is_read`]).
    pub fn free(self, segment: &Segment) {
        segment.release(self.offset, self.size);
    }

    /// Bytes given back, as far as they are of this ring.
    #[inline]
    fn given_back(&self, sender: &Sender) -> u64 {
        sender.data_head().max(self.start)
    }

    /// Bytes of the ring.
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes of the longest piece, so that one which waits for room does not wait for bytes that the consumer keeps.
    #[inline]
    pub fn longest(&self) -> usize {
        self.size / 4
    }

    /// Bytes that are free, not necessarily in one piece.
    pub fn room(&mut self, sender: &Sender) -> usize {
        self.head = self.given_back(sender);
        // The start of an empty ring at its beginning (see `take`) may have passed more than a whole lap.
        self.size.saturating_sub((self.tail - self.head) as usize)
    }

    /// Takes room for `len` bytes, at most [`Self::longest`], in one piece; none if it is not free yet.
    #[inline]
    pub fn take(&mut self, sender: &Sender, len: usize) -> Option<Piece> {
        debug_assert!(len <= self.size);
        // Whole lines, so that two pieces never share one.
        let room = len.next_multiple_of(64);
        let at = self.tail as usize & (self.size - 1);
        let skip = if at + room > self.size { self.size - at } else { 0 };
        let end = self.tail + (skip + room) as u64;
        if end - self.head > self.size as u64 {
            self.head = self.given_back(sender);
            if self.head == self.tail && room <= self.size {
                // Empty: start at the beginning, where the pages are known already.
                let end = self.tail + (if at == 0 { 0 } else { self.size - at } + room) as u64;
                self.head = self.tail + if at == 0 { 0 } else { (self.size - at) as u64 };
                self.tail = end;
                return Some(Piece { offset: self.offset, len, end });
            }
            if end - self.head > self.size as u64 {
                return None;
            }
        }
        self.tail = end;
        let start = if skip > 0 { 0 } else { at };
        Some(Piece { offset: self.offset + start, len, end })
    }
}

impl Piece {
    /// The bytes in this process's mapping; none if the cell was corrupted.
    #[inline]
    pub fn address(&self, segment: &Segment) -> Option<NonNull<u8>> {
        segment.at(self.offset, self.len)
    }
}
