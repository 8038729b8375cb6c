//! The shared memory of a communicator's collectives. Every collective is a sequence of steps that
//! all ranks count alike; in a step a rank may publish bytes in its own place and read those of
//! others. A small contribution lies in one cache line with its stamp, a larger one in a chunk.
//!
//! ```text
//! small piece:  Counts            users: how many ranks still use the area
//!               Line  x LINES     of rank 0, then of rank 1, ...   (stamp, what it is, and 40 bytes)
//!               Done              of rank 0, rank 1, ...
//! large piece:  chunk x CHUNKS    of rank 0, then of rank 1, ...   (made by whoever needs it first)
//! ```
//!
//! A line is used again LINES steps later, a chunk CHUNKS steps; of a chunk that short pieces take a part of (PARTS), the same part
//! LINES steps later. Its writer first makes sure that every rank is done with the old step (`done`, or the knowledge that
//! everybody has come to a later step).
//! The small piece is made by rank 0 of the communicator, which tells the others with a message.

use super::count;
use super::disagree::{self, wait_for};
use super::internal;
use super::turn::{Called, Turn};
use crate::payload::Payload;
use crate::protocol::pace;
use crate::status::{Call, Waiting};
use crate::{Error, Result, with};
use mpi_abi::consts::{MPI_ANY_TAG, MPI_ERR_OTHER};
use shm::fence;
use shm::page::RankPage;
use shm::tally::Tally;
use shm::{Segment, coll as layout};
use std::cell::OnceCell;

pub(super) use layout::LINE_BYTES;
use layout::Use;

/// Looks for a line before a wait for it begins, with a core for each rank: ranks that come at the same time see each
/// other's lines about 100 ns later, and to begin a wait takes longer than this many looks. (Measured: Allreduce of 8 B
/// and 2 ranks takes 0.9 of the time.)
const LOOKS: usize = 64;

/// Rounds of a collective that all ranks count alike, and where their bytes are.
pub(super) struct Area {
    places: layout::Places,
    pages: Vec<&'static RankPage>,
    worlds: Vec<u32>,
    me: u32,
    context: u32,
    crowded: bool,
    counted: bool,
    /// Number of the next step.
    next: u64,
    pace: layout::Pace,
    wholes: layout::Wholes,
    /// How to write into chunks, with a core for each rank. Without, a chunk's next reader may well run on our own core, and the
    /// clock tells of others that ran meanwhile (4 and 8 ranks on 2 cores, Alltoall of 8 KiB: 1.3 and 1.4 times the time).
    writing: pace::Pace,
    /// The chunks, once they were asked for; none = no memory for them.
    chunks: OnceCell<Option<layout::Chunks>>,
}

/// One step of a collective. Two words: they are handed on in registers.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    /// Its number; with `ALL` everybody publishes in it.
    word: u64,
    turn: &'a Turn<'a>,
}

/// A bit that no step's number has.
const ALL: u64 = 1 << 63;

impl<'a> Step<'a> {
    #[inline]
    pub(super) fn number(self) -> u64 {
        self.word & !ALL
    }

    #[inline]
    fn is_of_all(self) -> bool {
        self.word & ALL != 0
    }

    #[inline]
    pub(super) fn called(self) -> &'a Called {
        &self.turn.called
    }

    #[inline]
    pub(super) fn turn(self) -> &'a Turn<'a> {
        self.turn
    }
}

impl Area {
    /// Makes the area, or learns from rank 0 where it is; none if there is no memory for it.
    pub(super) fn new(turn: &Turn<'_>) -> Result<Option<Self>> {
        let core = turn.on;
        let shape = layout::Shape::of_many(core.size());
        let found = agree(turn, |segment| layout::Places::create(segment, shape))?;
        let Some(Found { segment, offset, crowded, counted }) = found else { return Ok(None) };
        let places = layout::Places::attach(segment, offset, shape)
            .ok_or_else(|| Error::new(MPI_ERR_OTHER, "a collective area lies outside of the segment"))?;
        let worlds: Vec<_> = core.group.iter().collect();
        Ok(Some(Self {
            places,
            pages: worlds.iter().map(|world| segment.rank_page(*world)).collect(),
            worlds,
            me: core.rank,
            context: core.context,
            crowded,
            counted,
            next: 0,
            pace: layout::Pace::default(),
            wholes: layout::Wholes::default(),
            writing: pace::Pace::default(),
            chunks: OnceCell::new(),
        }))
    }

    /// Whether there are more ranks than cores, as rank 0 sees it: all ranks decide alike with it.
    #[inline]
    pub(super) fn crowded(&self) -> bool {
        self.crowded
    }

    /// Whether the last one to come combines for all, where everybody gives and gets a line (`count`). All ranks say the same.
    #[inline]
    pub(super) fn counted(&self) -> bool {
        self.counted
    }

    /// How many ranks there are.
    #[inline]
    pub(super) fn ranks(&self) -> u32 {
        self.places.ranks()
    }

    fn chunks(&self) -> Option<&layout::Chunks> {
        self.chunks.get_or_init(|| layout::Chunks::of(&self.places)).as_ref()
    }

    /// Bytes of a chunk; 0 if there is no memory for chunks, which all ranks then find alike.
    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunks().map_or(0, layout::Chunks::bytes)
    }

    /// Begins the next step.
    #[inline]
    pub(super) fn step<'a>(&mut self, turn: &'a Turn<'a>) -> Step<'a> {
        let number = self.next;
        self.next += 1;
        Step { word: number, turn }
    }

    /// Begins the next step, in which everybody publishes and nobody is the root.
    #[inline]
    pub(super) fn step_of_all<'a>(&mut self, turn: &'a Turn<'a>) -> Step<'a> {
        let step = self.step(turn);
        Step { word: step.word | ALL, turn }
    }

    /// A wait in which `rank` has to do something next.
    pub(super) fn waiting(&self, call: Call, rank: u32) -> Waiting {
        let next = self.worlds[rank as usize].cast_signed();
        Waiting { call, peer: -2, tag: MPI_ANY_TAG, context: self.context, next, raw: 0 }
    }

    /// Waits until what I use in `step` is free.
    #[inline]
    fn acquire(&mut self, step: Step<'_>, what: Use) -> Result<()> {
        let steps = self.wholes.wanted(step.number(), what);
        if self.pace.knows(steps) {
            return Ok(());
        }
        // The pace is taken out for the call: it is a word.
        let mut pace = std::mem::take(&mut self.pace);
        let wait = |rank: u32, look: &dyn Fn() -> Option<u64>| {
            wait_for(step.turn, self.waiting(step.called().call, rank), |_| look())
        };
        let outcome = pace.acquire(&self.places, self.me, step.number(), steps, wait);
        self.pace = pace;
        outcome
    }

    /// Publishes up to [`LINE_BYTES`] bytes in my line.
    ///
    /// # Safety
    /// `from` is valid for reads of `len` bytes.
    #[inline]
    pub(super) unsafe fn publish_line(&mut self, step: Step<'_>, from: *const u8, len: usize) -> Result<()> {
        let to = self.line(step)?;
        // SAFETY: the line is ours in this step, with room for LINE_BYTES; `from` is the caller's.
        unsafe { crate::copy::copy(to, from, len.min(LINE_BYTES)) };
        // Lines are used again: the note of an earlier step must not stay.
        self.publish_place(step, len, 0);
        Ok(())
    }

    /// The same, and wakes nobody.
    ///
    /// # Safety
    /// As for [`Self::publish_line`].
    pub(super) unsafe fn put_line(&mut self, step: Step<'_>, from: *const u8, len: usize) -> Result<()> {
        let to = self.line(step)?;
        // SAFETY: the line is ours in this step, with room for LINE_BYTES; `from` is the caller's.
        unsafe { crate::copy::copy(to, from, len.min(LINE_BYTES)) };
        let line = self.places.line(self.me, step.number());
        line.set_note(0);
        line.publish(step.number(), step.called().what, len as u64);
        Ok(())
    }

    /// The tally, and the line for the result.
    pub(super) fn tally(&self) -> (&'static Tally, &'static layout::Line) {
        self.places.tally()
    }

    /// `rank`'s line of `step`.
    pub(super) fn line_of(&self, step: Step<'_>, rank: u32) -> &'static layout::Line {
        self.places.line(rank, step.number())
    }

    /// I have published my line in `step`; true: as the last one, so I make the result.
    #[inline]
    pub(super) fn come(&self, step: Step<'_>) -> bool {
        self.tally().0.come(step.number(), self.ranks())
    }

    /// What all lines of `step` make, for those who wait for it. Only for the last one to come.
    ///
    /// # Safety
    /// `from` is valid for reads of `len` bytes.
    #[inline]
    pub(super) unsafe fn give_result(&self, step: Step<'_>, from: *const u8, len: usize) {
        let (tally, result) = self.tally();
        // SAFETY: there is room for LINE_BYTES, and nobody reads it any more: all have come to this step. `from` is the caller's.
        unsafe { crate::copy::copy(result.payload(), from, len.min(LINE_BYTES)) };
        result.publish(step.number(), step.called().what, len as u64);
        tally.ring(step.number());
        self.wake_others();
    }

    /// Waits until my line for `step` is free; the address of its [`LINE_BYTES`] bytes.
    #[inline]
    pub(super) fn line(&mut self, step: Step<'_>) -> Result<*mut u8> {
        self.acquire(step, Use::Line)?;
        Ok(self.places.line(self.me, step.number()).payload())
    }

    /// Waits until my chunk for `step` is free; its address.
    #[inline]
    pub(super) fn chunk(&mut self, step: Step<'_>) -> Result<*mut u8> {
        self.wholes.note(step.number());
        self.acquire(step, Use::Chunk)?;
        self.chunk_of(step, self.me)
    }

    /// Waits until there is room for `len` bytes in `step`: a part of my chunk will do for a few. Who publishes there says just
    /// this length, and readers take it from [`Self::piece_of`].
    #[inline]
    pub(super) fn piece(&mut self, step: Step<'_>, len: usize) -> Result<*mut u8> {
        if Self::use_of(self.made_chunks()?, step, len) != Use::Part {
            return self.chunk(step);
        }
        self.acquire(step, Use::Part)?;
        self.piece_of(step, self.me, len)
    }

    /// Where all publish nobody can be ahead, and chunks are used again sooner, while they are in the caches. (Measured: parts
    /// make Alltoall of 64 B to 8 KiB take 1.05 to 1.13 times as long, with 2, 4 and 8 ranks.)
    #[inline]
    fn use_of(chunks: &layout::Chunks, step: Step<'_>, len: usize) -> Use {
        if step.is_of_all() { Use::Chunk } else { chunks.use_of(len) }
    }

    /// Copies `len` bytes from `from` into my chunk, at `to`.
    ///
    /// # Safety
    /// `from` is valid for reads and `to` for writes of `len` bytes, and they do not overlap.
    #[inline]
    pub(super) unsafe fn fill(&mut self, to: *mut u8, from: *const u8, len: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.crowded {
                crate::copy::copy(to, from, len);
            } else {
                self.writing.write_run(from, to, len);
            }
        }
    }

    /// The same for all bytes of a payload.
    ///
    /// # Safety
    /// As for [`Self::fill`].
    pub(super) unsafe fn fill_with(&mut self, to: *mut u8, payload: &Payload) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.crowded {
                payload.read(0, to, payload.len());
            } else {
                self.writing.write(payload, 0, to, payload.len());
            }
        }
    }

    /// Says that my line or chunk holds `len` bytes; `note` is any number for the readers.
    #[inline]
    pub(super) fn publish_place(&mut self, step: Step<'_>, len: usize, note: u64) {
        let line = self.places.line(self.me, step.number());
        line.set_note(note);
        line.publish(step.number(), step.called().what, len as u64);
        self.wake_others();
    }

    /// The address of `rank`'s chunk in `step`.
    #[inline]
    pub(super) fn chunk_of(&self, step: Step<'_>, rank: u32) -> Result<*mut u8> {
        Ok(self.made_chunks()?.address(rank, step.number()))
    }

    /// The address of the piece of `len` bytes that `rank` has published in `step`, who asked [`Self::piece`] for it.
    #[inline]
    pub(super) fn piece_of(&self, step: Step<'_>, rank: u32, len: usize) -> Result<*mut u8> {
        let chunks = self.made_chunks()?;
        Ok(match Self::use_of(chunks, step, len) {
            Use::Part => chunks.part(rank, step.number()),
            _ => chunks.address(rank, step.number()),
        })
    }

    #[inline]
    fn made_chunks(&self) -> Result<&layout::Chunks> {
        self.chunks().ok_or_else(|| Error::new(MPI_ERR_OTHER, "a collective uses chunks that were not made"))
    }

    /// Waits until `rank` has published in `step`: how many bytes, and the note or payload's place.
    #[inline]
    pub(super) fn await_line(&self, step: Step<'_>, rank: u32) -> Result<Published> {
        let line = self.places.line(rank, step.number());
        let look = || line.published(step.number());
        let looks = if self.crowded { 1 } else { LOOKS };
        let (what, len) = match (0..looks).find_map(|_| look()) {
            Some(found) => found,
            None => {
                let waiting = self.waiting(step.called().call, self.next_to_come(step, rank));
                wait_for(step.turn, waiting, |_| look())?
            }
        };
        if what != step.called().what {
            return Err(disagree::unlike(step.turn.on, step.called()));
        }
        Ok(Published { len: len as usize, payload: line.payload().cast_const(), note: line.note() })
    }

    /// An error if `rank` has not published as many bytes as it has to: the ranks are out of step.
    #[inline]
    pub(super) fn expect_len(&self, step: Step<'_>, rank: u32, line: &Published, len: usize) -> Result<()> {
        if line.len == len {
            return Ok(());
        }
        Err(disagree::unequal(step.turn.on, step.called(), rank, line.len, len))
    }

    /// Waits until `rank` has published a chunk of `len` bytes.
    #[inline]
    pub(super) fn await_len(&self, step: Step<'_>, rank: u32, len: usize) -> Result<()> {
        let line = self.await_line(step, rank)?;
        self.expect_len(step, rank, &line, len)
    }

    /// Who holds us up in a wait for `rank`: a missing rank on our own core needs that core, so it goes
    /// first. (Measured, barrier of 4 ranks on 2 cores: 2.9 us if the order of ranks decides.)
    fn next_to_come(&self, step: Step<'_>, rank: u32) -> u32 {
        if !step.is_of_all() {
            return rank;
        }
        with(|e| {
            let late =
                |r: &u32| *r != self.me && self.places.line(*r, step.number()).published(step.number()).is_none();
            let near = |r: &u32| e.near(self.worlds[*r as usize]);
            (0..self.places.ranks()).find(|r| late(r) && near(r)).unwrap_or(rank)
        })
    }

    /// Done with reading in `step` and all before. `everybody` = I have seen every rank's line of
    /// this step and nobody publishes before it is done with the steps before.
    #[inline]
    pub(super) fn finish(&mut self, step: Step<'_>, everybody: bool) {
        self.places.set_done(self.me, step.number() + 1);
        if everybody {
            // Who waits for this counter has published in this step and is LINES steps ahead, in collectives
            // that it may begin alone. Those wake it; if we are slow to come to them its nap ends.
            self.pace.all_came_to(step.number());
        } else {
            // A rank that is steps ahead may sleep until its place is free.
            self.wake_others();
        }
    }

    #[inline]
    fn wake_others(&self) {
        // SYNC sleep: the partner is in `RankPage::fall_asleep`.
        fence::light();
        for page in &self.pages {
            page.wake_after_fence();
        }
    }
}

/// What a rank published in a step.
#[derive(Clone, Copy)]
pub(super) struct Published {
    /// Bytes.
    pub len: usize,
    /// The line's payload, [`LINE_BYTES`] bytes.
    pub payload: *const u8,
    /// The number given with a chunk.
    pub note: u64,
}

/// What rank 0 told all.
struct Found {
    segment: &'static Segment,
    offset: usize,
    crowded: bool,
    counted: bool,
}

/// Rank 0 makes something in the segment; all learn where. None if it could not be made.
fn agree(turn: &Turn<'_>, make: impl FnOnce(&'static Segment) -> shm::Result<usize>) -> Result<Option<Found>> {
    let Some((segment, crowded)) = with(|e| e.world.as_ref().map(|w| (w.segment, w.policy.crowded()))) else {
        return Err(Error::new(MPI_ERR_OTHER, "MPI is not initialized"));
    };
    // Too little memory for the fast way is no failure: 0 = use messages.
    let offset = if turn.on.rank == 0 { make(segment).unwrap_or(0) } else { 0 };
    let mut told = [0; 10];
    told[..8].copy_from_slice(&(offset as u64).to_ne_bytes());
    told[8] = u8::from(crowded);
    told[9] = u8::from(count::serves(turn.on.size(), crowded));
    let bytes = internal::bcast(turn, &told, 0)?;
    let offset = bytes.first_chunk().map_or(0, |offset| u64::from_ne_bytes(*offset)) as usize;
    let is = |at: usize| bytes.get(at) == Some(&1);
    Ok((offset != 0).then_some(Found { segment, offset, crowded: is(8), counted: is(9) }))
}

impl Drop for Area {
    fn drop(&mut self) {
        self.places.leave();
    }
}
