//! Shared memory of a communicator's collectives: lines and chunks, by rank and step (the protocol
//! is the engine's, `engine::coll::area`). Everything is written by one rank and read by others.

use crate::error::Result;
use crate::purpose::Purpose;
use crate::segment::Segment;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::tally::Tally;
use std::ptr::NonNull;

/// Lines per rank that are used in turn: a rank can be so many steps ahead of the slowest, and does as
/// many small broadcasts per turn if there are more ranks than cores. Measured, Bcast of 8 bytes with
/// 4 ranks on 2 cores: 8 lines 0.96 us, 32 lines 0.51 us, 64 lines 0.42 us; each rank has 4 KiB of them.
pub const LINES: u64 = if cfg!(loom) { 4 } else { 64 };
/// The same for chunks, which are large: their number does not matter beyond this.
pub const CHUNKS: u64 = if cfg!(loom) { 2 } else { 8 };
/// What is longer than a line, but not much, lies in a part of a chunk. The parts of a chunk are used in turn, so that a rank
/// with short pieces can be as many steps ahead as with lines. Measured with 4 and 8 ranks on 2 cores, time against that with
/// whole chunks: Bcast of 1 KiB 0.40 and 0.55, of 8 KiB 0.65 and 0.63; Reduce of 8 KiB 0.69 and 0.88, Scan 0.54 and 0.60.
pub(crate) const PARTS: u64 = LINES / CHUNKS;
/// Bytes that fit into a line beside its stamp.
pub const LINE_BYTES: usize = 40;
/// Bytes of a chunk in small communicators. Measured with 8 chunks, 32 KiB against 64 KiB each, 1 MiB:
/// Allgather 99 and 85 us with 2 ranks, 360 and 299 with 4 on 2 cores; Allreduce 138 and 127, 164 and 146;
/// 16 KiB chunks are slower, 16 chunks of 32 KiB not better.
const CHUNK: usize = 64 << 10;
/// Chunks of a communicator take at most about this much, whatever its size; below a page each
/// they do not get.
const CHUNKS_MAX: usize = 8 << 20;
const CHUNK_MIN: usize = 4 << 10;

/// How many places of each kind a rank has, which it uses in turn, and how long its chunks are. All ranks say the same.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    ranks: u32,
    lines: u64,
    chunks: u64,
    chunk_bytes: usize,
}

impl Shape {
    /// For the collectives of a communicator.
    pub fn of_many(ranks: u32) -> Self {
        Self { ranks, lines: LINES, chunks: CHUNKS, chunk_bytes: chunk_bytes(ranks) }
    }

    /// For one that is started again and again, with chunks for up to `bytes` bytes: who is done with a step may be in
    /// the next one while others read, but not beyond.
    pub fn of_one(ranks: u32, bytes: usize) -> Self {
        Self { ranks, lines: 2, chunks: 2, chunk_bytes: bytes.next_multiple_of(size_of::<Line>()) }
    }

    /// For a long one that is started again and again.
    pub fn of_long(ranks: u32) -> Self {
        Self { lines: CHUNKS, ..Self::of_many(ranks) }
    }

    /// Bytes of a chunk.
    #[inline]
    pub fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Lines of a rank.
    #[inline]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Chunks of a rank.
    #[inline]
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    fn lines_bytes(&self) -> usize {
        size_of::<Head>() + self.ranks as usize * (self.lines as usize * size_of::<Line>() + size_of::<Done>())
    }

    fn chunks_bytes(&self) -> usize {
        self.ranks as usize * self.chunks as usize * self.chunk_bytes
    }
}

/// A rank's line of one step.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Line {
    /// Number of the step, from 1: written last.
    stamp: AtomicU64,
    /// Which collective, and in the lowest LENGTH_BITS how many bytes.
    what: AtomicU64,
    note: AtomicU64,
    payload: [AtomicU64; LINE_BYTES / 8],
}

/// Bits of a line's word for the number of bytes, which a chunk has at most; the rest says which collective it is.
const LENGTH_BITS: u32 = 24;

#[cfg(not(loom))]
const _: () = assert!(size_of::<Line>() == 64 && CHUNK < 1 << LENGTH_BITS);

impl Line {
    /// The address of the payload, [`LINE_BYTES`] bytes, for a raw copy.
    #[inline]
    pub fn payload(&self) -> *mut u8 {
        std::ptr::from_ref(&self.payload).cast::<u8>().cast_mut()
    }

    /// Any number for the readers, written before [`Self::publish`].
    #[inline]
    pub fn set_note(&self, note: u64) {
        self.note.store(note, Ordering::Relaxed);
    }

    /// The number that came with the line.
    #[inline]
    pub fn note(&self) -> u64 {
        self.note.load(Ordering::Relaxed)
    }

    /// Gives the line, and the chunk of the same step, to the readers. `what` has 40 bits.
    #[inline]
    pub fn publish(&self, step: u64, what: u64, length: u64) {
        self.what.store(what << LENGTH_BITS | length, Ordering::Relaxed);
        // SYNC coll-line: payload, note and chunk are visible to who sees the stamp.
        self.stamp.store(step + 1, Ordering::Release);
    }

    /// What was published in `step`, if it was.
    #[inline]
    pub fn published(&self, step: u64) -> Option<(u64, u64)> {
        // SYNC coll-line: the writer wrote everything else before.
        if self.stamp.load(Ordering::Acquire) != step + 1 {
            return None;
        }
        let word = self.what.load(Ordering::Relaxed);
        Some((word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1)))
    }
}

#[repr(C, align(64))]
#[derive(Default)]
struct Done(AtomicU64);

/// How many ranks still use the memory, and where its chunks are: 0 = not asked for yet,
/// `NO_CHUNKS` = there is no memory for them. Set once, by whoever needs chunks first.
#[repr(C, align(64))]
#[derive(Default)]
struct Users {
    count: AtomicU32,
    chunks: AtomicU64,
}

const NO_CHUNKS: u64 = u64::MAX;

/// What the ranks have in common, before their lines.
#[repr(C, align(64))]
#[derive(Default)]
struct Head {
    users: Users,
    tally: Tally,
    /// What the last one to come has made of all lines of a step.
    result: Line,
}

/// The lines of a communicator.
pub struct Places {
    segment: &'static Segment,
    offset: usize,
    base: NonNull<u8>,
    shape: Shape,
}

// SAFETY: only atomics and raw bytes lie behind the pointer, and the mapping is never undone.
unsafe impl Send for Places {}

impl Places {
    /// Makes the lines; their offset.
    pub fn create(segment: &'static Segment, shape: Shape) -> Result<usize> {
        let bytes = shape.lines_bytes();
        let offset = segment.allocate(bytes, Purpose::Lines)?;
        #[cfg(loom)]
        build(segment, offset, shape);
        #[cfg(not(loom))]
        for word in 0..bytes / 8 {
            // SAFETY: an aligned atomic in a piece that nobody else knows yet.
            if let Some(word) = unsafe { segment.view::<AtomicU64>(offset + word * 8) } {
                word.store(0, Ordering::Relaxed);
            }
        }
        // SAFETY: every piece begins with its head, page-aligned; only atomics.
        if let Some(head) = unsafe { segment.view::<Head>(offset) } {
            head.users.count.store(shape.ranks, Ordering::Relaxed);
        }
        Ok(offset)
    }

    /// Finds the lines at `offset`.
    pub fn attach(segment: &'static Segment, offset: usize, shape: Shape) -> Option<Self> {
        let base = segment.at(offset, shape.lines_bytes())?;
        Some(Self { segment, offset, base, shape })
    }

    /// How many places there are of each kind.
    #[inline]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many ranks have lines.
    #[inline]
    pub fn ranks(&self) -> u32 {
        self.shape.ranks
    }

    /// The line of `rank` for `step`.
    #[inline]
    pub fn line(&self, rank: u32, step: u64) -> &'static Line {
        assert!(rank < self.shape.ranks);
        // A power of two.
        let index = rank as usize * self.shape.lines as usize + (step & (self.shape.lines - 1)) as usize;
        // SAFETY: `attach` checked the length for all ranks' lines; only atomics.
        unsafe { self.base.add(size_of::<Head>() + index * size_of::<Line>()).cast::<Line>().as_ref() }
    }

    fn done_word(&self, rank: u32) -> &'static AtomicU64 {
        assert!(rank < self.shape.ranks);
        let lines = self.shape.ranks as usize * self.shape.lines as usize * size_of::<Line>();
        // SAFETY: as in `line`.
        let done = unsafe {
            let at = size_of::<Head>() + lines + rank as usize * size_of::<Done>();
            self.base.add(at).cast::<Done>().as_ref()
        };
        &done.0
    }

    /// How many steps `rank` is done with.
    #[inline]
    pub fn done(&self, rank: u32) -> u64 {
        // SYNC coll-done: what the rank read, it has read.
        self.done_word(rank).load(Ordering::Acquire)
    }

    /// `rank` (we) is done with `steps` steps.
    #[inline]
    pub fn set_done(&self, rank: u32, steps: u64) {
        // SYNC coll-done: our reads are over.
        self.done_word(rank).store(steps, Ordering::Release);
    }

    fn head(&self) -> &'static Head {
        // SAFETY: every piece begins with its head, page-aligned; only atomics.
        unsafe { self.base.cast::<Head>().as_ref() }
    }

    fn users(&self) -> &'static Users {
        &self.head().users
    }

    /// Who has come, and the line for the result. All have read one before the last of them comes to another step:
    /// there needs to be no second.
    #[inline]
    pub fn tally(&self) -> (&'static Tally, &'static Line) {
        let head = self.head();
        (&head.tally, &head.result)
    }

    /// This rank does not use the lines and chunks any more; the last one gives them back.
    pub fn leave(&self) {
        let users = self.users();
        // SYNC coll-users: our use is over (for the last one, see below).
        // SYNC coll-users: the last one sees that everybody's use is over before it gives back.
        if users.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            let chunks = users.chunks.load(Ordering::Relaxed);
            if let Ok(offset) = usize::try_from(chunks)
                && chunks != 0
                && chunks != NO_CHUNKS
            {
                self.segment.release(offset, self.shape.chunks_bytes());
            }
            self.segment.release(self.offset, self.shape.lines_bytes());
        }
    }
}

/// Loom's atomics must be made: zeroed memory is none.
#[cfg(loom)]
fn build(segment: &Segment, offset: usize, shape: Shape) {
    let base = segment.at(offset, shape.lines_bytes()).expect("the piece that was just made");
    let lines = shape.ranks as usize * shape.lines as usize;
    // SAFETY: the piece is ours alone, and `lines_bytes` counts just these.
    unsafe {
        base.cast().write(Head::default());
        let first = base.add(size_of::<Head>()).cast::<Line>();
        (0..lines).for_each(|index| first.add(index).write(Line::default()));
        let first = first.add(lines).cast::<Done>();
        (0..shape.ranks as usize).for_each(|rank| first.add(rank).write(Done::default()));
    }
}

#[cfg(not(loom))]
const _: () = assert!(LINES.is_power_of_two() && CHUNKS.is_power_of_two());

/// What a rank uses in a step beside its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Nothing.
    Line,
    /// The whole chunk.
    Chunk,
    /// A part of the chunk.
    Part,
}

/// What a rank knows of the others' steps, and so when it may write into its own place again.
#[derive(Debug, Default)]
pub struct Pace {
    /// Every other rank is known to be done with all steps below.
    all_done: u64,
}

/// By chunk of a rank: the step after the last one in which it was used as a whole.
#[derive(Debug, Default)]
pub struct Wholes([u64; CHUNKS as usize]);

impl Wholes {
    /// So many steps everybody has to be done with before I may write into what I use in `step`.
    #[inline]
    pub fn wanted(&self, step: u64, what: Use) -> u64 {
        let before = |depth: u64| (step + 1).saturating_sub(depth);
        match what {
            Use::Line => before(LINES),
            Use::Chunk => before(CHUNKS),
            Use::Part => before(CHUNKS * PARTS).max(self.0[(step % CHUNKS) as usize]),
        }
    }

    /// My chunk is used as a whole in `step`.
    #[inline]
    pub fn note(&mut self, step: u64) {
        self.0[(step % CHUNKS) as usize] = step + 1;
    }
}

impl Pace {
    /// Whether everybody is known to be done with so many steps.
    #[inline]
    pub fn knows(&self, steps: u64) -> bool {
        self.all_done >= steps
    }

    /// In `step`: waits until nobody reads any more in the first `steps` steps. `wait` waits for a rank until a look finds something.
    #[inline]
    pub fn acquire<E>(
        &mut self,
        places: &Places,
        me: u32,
        step: u64,
        steps: u64,
        mut wait: impl FnMut(u32, &dyn Fn() -> Option<u64>) -> std::result::Result<u64, E>,
    ) -> std::result::Result<(), E> {
        if self.knows(steps) {
            return Ok(());
        }
        let mut least = u64::MAX;
        for rank in (0..places.ranks()).filter(|rank| *rank != me) {
            let look = || Some(places.done(rank)).filter(|done| *done >= steps);
            let done = match look() {
                Some(done) => done,
                None => wait(rank, &look)?,
            };
            least = least.min(done);
        }
        self.all_done = least.min(step);
        Ok(())
    }

    /// Every other rank has said with a line that it is done with all steps below `done`.
    #[inline]
    pub fn all_said(&mut self, done: u64) {
        self.all_done = self.all_done.max(done);
    }

    /// I have seen every rank's line of `step`, and nobody publishes before it is done with the
    /// steps before.
    #[inline]
    pub fn all_came_to(&mut self, step: u64) {
        self.all_done = step;
    }
}

/// The chunks of a communicator.
pub struct Chunks {
    #[cfg(loom)]
    offset: usize,
    base: NonNull<u8>,
    shape: Shape,
}

// SAFETY: as for `Places`.
unsafe impl Send for Chunks {}

fn chunk_bytes(ranks: u32) -> usize {
    let fair = CHUNKS_MAX / (ranks as usize * CHUNKS as usize);
    let power = if fair.is_power_of_two() { fair } else { fair.next_power_of_two() / 2 };
    power.clamp(CHUNK_MIN, CHUNK)
}

impl Chunks {
    /// The chunks that belong to `places`, made now if nobody has made them yet; none if there is no
    /// memory for them, then and for good, so that all ranks decide alike. They go with the lines.
    pub fn of(places: &Places) -> Option<Self> {
        let (segment, shape) = (places.segment, places.shape);
        let word = &places.users().chunks;
        // SYNC coll-chunks: whoever sees the offset may use the memory.
        let mut offset = word.load(Ordering::Acquire);
        if offset == 0 {
            let made = segment.allocate(shape.chunks_bytes(), Purpose::Chunks).map_or(NO_CHUNKS, |o| o as u64);
            // SYNC coll-chunks: the memory was reserved before.
            match word.compare_exchange(0, made, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => offset = made,
                Err(theirs) => {
                    if let Ok(own) = usize::try_from(made)
                        && made != NO_CHUNKS
                    {
                        segment.release(own, shape.chunks_bytes());
                    }
                    offset = theirs;
                }
            }
        }
        let offset = usize::try_from(offset).ok().filter(|o| *o != NO_CHUNKS as usize)?;
        let base = segment.at(offset, shape.chunks_bytes())?;
        Some(Self {
            #[cfg(loom)]
            offset,
            base,
            shape,
        })
    }

    /// Where they are, for a model that watches over their use.
    #[cfg(loom)]
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes of one chunk.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.shape.chunk_bytes
    }

    /// The chunk of `rank` for `step`.
    #[inline]
    pub fn address(&self, rank: u32, step: u64) -> *mut u8 {
        assert!(rank < self.shape.ranks);
        // A power of two.
        let index = rank as usize * self.shape.chunks as usize + (step & (self.shape.chunks - 1)) as usize;
        // SAFETY: `of` checked the length for all ranks' chunks.
        unsafe { self.base.as_ptr().add(index * self.shape.chunk_bytes) }
    }

    /// What a piece of `len` bytes can take.
    #[inline]
    pub fn use_of(&self, len: usize) -> Use {
        if len <= self.part_bytes() { Use::Part } else { Use::Chunk }
    }

    /// The part of its chunk that `rank` uses in `step`.
    #[inline]
    pub fn part(&self, rank: u32, step: u64) -> *mut u8 {
        self.address(rank, step).wrapping_add((step / CHUNKS % PARTS) as usize * self.part_bytes())
    }

    #[inline]
    fn part_bytes(&self) -> usize {
        self.shape.chunk_bytes / PARTS as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_seen_in_its_own_step_only() {
        let segment: &'static Segment = Box::leak(Box::new(Segment::create(2).expect("segment")));
        let offset = Places::create(segment, Shape::of_many(2)).expect("lines");
        let places = Places::attach(segment, offset, Shape::of_many(2)).expect("attach");
        assert_eq!(places.line(1, 3).published(3), None);
        places.line(1, 3).publish(3, 7, 5);
        assert_eq!(places.line(1, 3).published(3), Some((7, 5)));
        assert_eq!(places.line(1, 3 + LINES).published(3 + LINES), None);
        assert_eq!(places.line(0, 3).published(3), None);
    }

    #[test]
    fn the_last_user_gives_the_memory_back() {
        let segment: &'static Segment = Box::leak(Box::new(Segment::create(2).expect("segment")));
        let make = || Places::create(segment, Shape::of_many(2)).expect("lines");
        let first = make();
        let places = Places::attach(segment, first, Shape::of_many(2)).expect("attach");
        let chunks = Chunks::of(&places).expect("chunks").address(0, 0);
        places.leave();
        assert_ne!(make(), first);
        places.leave();
        let again = make();
        assert_eq!(again, first);
        let places = Places::attach(segment, again, Shape::of_many(2)).expect("attach");
        assert_eq!(Chunks::of(&places).expect("chunks").address(0, 0), chunks);
    }

    #[test]
    fn many_ranks_get_smaller_chunks() {
        assert_eq!(chunk_bytes(16), CHUNK);
        assert!(chunk_bytes(256) >= CHUNK_MIN);
        assert!(Shape::of_many(64).chunks_bytes() <= CHUNKS_MAX);
    }
}
