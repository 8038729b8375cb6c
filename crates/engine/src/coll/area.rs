//! The shared memory of a communicator's collectives. Every collective is a sequence of steps that
//! all ranks count alike; in a step a rank may publish bytes in its own place and read those of
//! others. A small contribution lies in one cache line with its stamp, a larger one in a chunk.
//!
//! ```text
//! small piece:  Counts            users: how many ranks still use the area
//!               Line  x DEPTH     of rank 0, then of rank 1, ...   (stamp and 56 bytes)
//!               Done              of rank 0, rank 1, ...
//! large piece:  chunk x DEPTH     of rank 0, then of rank 1, ...   (made by whoever needs it first)
//! ```
//!
//! A place is used again DEPTH steps later: its writer first makes sure that every rank is done
//! with the old step (`done`, or the knowledge that everybody has come to a later step).
//! The small piece is made by rank 0 of the communicator, which tells the others with a message.

use super::internal;
use crate::comm::CommCore;
use crate::progress::wait_for;
use crate::status::{Call, Waiting};
use crate::{Error, Result, with};
use mpi_abi::consts::{MPI_ANY_TAG, MPI_ERR_OTHER};
use shm::page::RankPage;
use shm::sync::{Ordering, fence};
use shm::{Segment, coll as layout};
use std::cell::OnceCell;

pub(super) use layout::LINE_BYTES;

/// Rounds of a collective that all ranks count alike, and where their bytes are.
pub(super) struct Area {
    places: layout::Places,
    pages: Vec<&'static RankPage>,
    me: u32,
    context: u32,
    /// Number of the next step.
    next: u64,
    pace: layout::Pace,
    /// The chunks, once they were asked for; none = no memory for them.
    chunks: OnceCell<Option<layout::Chunks>>,
}

/// One step of a collective.
#[derive(Clone, Copy)]
pub(super) struct Step {
    number: u64,
    what: u64,
    call: Call,
}

impl Area {
    /// Makes the area, or learns from rank 0 where it is; none if there is no memory for it.
    pub(super) fn new(core: &CommCore, call: Call) -> Result<Option<Self>> {
        let ranks = core.size();
        let offset = agree(core, call, |segment| layout::Places::create(segment, ranks))?;
        let Some((segment, offset)) = offset else { return Ok(None) };
        let places = layout::Places::attach(segment, offset, ranks)
            .ok_or_else(|| Error::new(MPI_ERR_OTHER, "a collective area lies outside of the segment"))?;
        let pages = core.group.iter().map(|world| segment.rank_page(world)).collect();
        Ok(Some(Self {
            places,
            pages,
            me: core.rank,
            context: core.context,
            next: 0,
            pace: layout::Pace::default(),
            chunks: OnceCell::new(),
        }))
    }

    fn chunks(&self) -> Option<&layout::Chunks> {
        self.chunks.get_or_init(|| layout::Chunks::of(&self.places)).as_ref()
    }

    /// Bytes of a chunk; 0 if there is no memory for chunks, which all ranks then find alike.
    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunks().map_or(0, layout::Chunks::bytes)
    }

    /// Begins the next step. `root` is the rooted collective's root.
    #[inline]
    pub(super) fn step(&mut self, call: Call, root: u32) -> Step {
        let number = self.next;
        self.next += 1;
        Step { number, what: u64::from(call as u32 & 0xff) | u64::from(root) << 8, call }
    }

    fn waiting(&self, call: Call) -> Waiting {
        Waiting { call, peer: -2, tag: MPI_ANY_TAG, context: self.context }
    }

    /// Waits until my place for `step` is free.
    #[inline]
    fn acquire(&mut self, step: Step) -> Result<()> {
        let waiting = self.waiting(step.call);
        self.pace.acquire(&self.places, self.me, step.number, |look| wait_for(waiting, |_| look()))
    }

    /// Publishes up to [`LINE_BYTES`] bytes in my line.
    ///
    /// # Safety
    /// `from` is valid for reads of `len` bytes.
    #[inline]
    pub(super) unsafe fn publish_line(&mut self, step: Step, from: *const u8, len: usize) -> Result<()> {
        self.acquire(step)?;
        let line = self.places.line(self.me, step.number);
        // SAFETY: the line is ours in this step, with room for LINE_BYTES; `from` is the caller's.
        unsafe { crate::copy::copy(line.payload(), from, len.min(LINE_BYTES)) };
        // Lines are used again: the note of an earlier step must not stay.
        line.set_note(0);
        line.publish(step.number, step.what, len as u64);
        self.wake_others();
        Ok(())
    }

    /// Publishes an empty line of `call` in my next place, if that is free.
    pub(super) fn announce(&mut self, call: Call) {
        let step = self.step(call, 0);
        let free = |rank: u32| rank == self.me || self.places.done(rank) + layout::DEPTH > step.number;
        if (0..self.places.ranks()).all(free) {
            let line = self.places.line(self.me, step.number);
            line.set_note(0);
            line.publish(step.number, step.what, 0);
            self.wake_others();
        }
    }

    /// Waits until my chunk for `step` is free; its address.
    #[inline]
    pub(super) fn chunk(&mut self, step: Step) -> Result<*mut u8> {
        self.acquire(step)?;
        self.chunk_of(step, self.me)
    }

    /// Says that my chunk holds `len` bytes; `note` is any number for the readers.
    #[inline]
    pub(super) fn publish_chunk(&mut self, step: Step, len: usize, note: u64) {
        let line = self.places.line(self.me, step.number);
        line.set_note(note);
        line.publish(step.number, step.what, len as u64);
        self.wake_others();
    }

    /// The address of `rank`'s chunk in `step`.
    #[inline]
    pub(super) fn chunk_of(&self, step: Step, rank: u32) -> Result<*mut u8> {
        self.chunks()
            .map(|c| c.address(rank, step.number))
            .ok_or_else(|| Error::new(MPI_ERR_OTHER, "a collective uses chunks that were not made"))
    }

    /// Waits until `rank` has published in `step`: how many bytes, and the note or payload's place.
    #[inline]
    pub(super) fn await_line(&self, step: Step, rank: u32) -> Result<Published> {
        let line = self.places.line(rank, step.number);
        let look = || line.published(step.number);
        let (what, len) = match look() {
            Some(found) => found,
            None => wait_for(self.waiting(step.call), |_| look())?,
        };
        if what != step.what {
            return Err(self.mismatch(step, rank, what));
        }
        Ok(Published { len: len as usize, payload: line.payload().cast_const(), note: line.note() })
    }

    /// Done with reading in `step` and all before. `everybody` = I have seen every rank's line of
    /// this step and nobody publishes before it is done with the steps before.
    #[inline]
    pub(super) fn finish(&mut self, step: Step, everybody: bool) {
        self.places.set_done(self.me, step.number + 1);
        if everybody {
            self.pace.all_came_to(step.number);
        }
        // Also then: a rank that is steps ahead may sleep until its place is free.
        self.wake_others();
    }

    #[inline]
    fn wake_others(&self) {
        // SYNC sleep: the partner is in `RankPage::fall_asleep`.
        fence(Ordering::SeqCst);
        for page in &self.pages {
            page.wake_after_fence();
        }
    }

    #[cold]
    fn mismatch(&self, step: Step, rank: u32, theirs: u64) -> Error {
        // A rank that is on its way out may be about to fail (sys.exit(3)): that would be the cause.
        if (theirs & 0xff) as u32 == Call::Finalize as u32 && step.call != Call::Finalize {
            crate::progress::give_way();
        }
        let name = |what: u64| format!("{} with root {}", super::call_name((what & 0xff) as u32), what >> 8);
        Error::new(
            MPI_ERR_OTHER,
            format!(
                "rank {} called {} where rank {rank} called {}: all ranks of a communicator must call the same \
                 collectives in the same order",
                self.me,
                name(step.what),
                name(theirs)
            ),
        )
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

/// Rank 0 makes something in the segment; all learn where. None if it could not be made.
fn agree(
    core: &CommCore,
    call: Call,
    make: impl FnOnce(&'static Segment) -> shm::Result<usize>,
) -> Result<Option<(&'static Segment, usize)>> {
    let Some(segment) = with(|e| e.world.as_ref().map(|w| w.segment)) else {
        return Err(Error::new(MPI_ERR_OTHER, "MPI is not initialized"));
    };
    // Too little memory for the fast way is no failure: 0 = use messages.
    let offset = if core.rank == 0 { make(segment).unwrap_or(0) } else { 0 };
    let bytes = internal::bcast_by_messages(core, &(offset as u64).to_ne_bytes(), 0, call)?;
    let offset = bytes.try_into().map_or(0, u64::from_ne_bytes) as usize;
    Ok((offset != 0).then_some((segment, offset)))
}

impl Drop for Area {
    fn drop(&mut self) {
        self.places.leave();
    }
}
