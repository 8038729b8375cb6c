//! The memory of a board. The communicator's rank 0 makes it when the first operation is started, and tells the
//! others with a message that is a step of that operation's schedule: so finding it waits for nobody.

use super::{Board, Order, Started};
use crate::copy::copy;
use crate::protocol::pace;
use crate::{Engine, Error, Result};
use mpi_abi::consts::MPI_ERR_OTHER;
use shm::coll::{Chunks, Line, Pace, Places};
use shm::page::RankPage;
use shm::{Segment, fence};

/// What is known of a board's memory.
#[derive(Default)]
pub(super) enum Ground {
    /// Nobody was asked.
    #[default]
    Unasked,
    /// An operation waits for the message.
    Asked,
    /// There is no memory for it.
    Nothing,
    /// Here it is.
    There(Place),
}

/// The memory of a board.
pub(super) struct Place {
    places: Places,
    /// None = there is no memory for them, or nobody needed them yet (`with_chunks`).
    chunks: Option<Chunks>,
    pace: Pace,
    /// How to write into chunks with a core for each rank; none with more ranks than cores (as in an area).
    writing: Option<pace::Pace>,
    pages: Vec<&'static RankPage>,
}

/// What an operation can do with a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::coll) enum Told {
    /// Be on it.
    There,
    /// Be on it, or go by messages if there is no memory: another operation is finding out.
    Asked,
    /// The same, and it is the one that finds out.
    Ask,
    /// Go by messages.
    Nothing,
}

impl Board {
    /// Whether an operation that needs a chunk, or does not, can be on the board.
    pub(in crate::coll) fn told(&self, chunk: bool) -> Told {
        match &mut self.order.lock().ground {
            Ground::There(place) => {
                if !chunk || place.has_chunks() {
                    Told::There
                } else {
                    Told::Nothing
                }
            }
            Ground::Nothing => Told::Nothing,
            Ground::Asked => Told::Asked,
            Ground::Unasked => Told::Ask,
        }
    }

    /// An operation was made whose steps find the board if nobody has asked for it before.
    pub(in crate::coll) fn will_be_told(&self) {
        let mut order = self.order.lock();
        if matches!(order.ground, Ground::Unasked) {
            order.ground = Ground::Asked;
        }
    }

    /// Rank 0: makes the memory; where it is, 0 = there is none.
    pub(in crate::coll) fn make(&self, e: &Engine) -> u64 {
        let segment = e.world.as_ref().map(|world| world.segment);
        // Too little memory for the fast way is no failure.
        segment.and_then(|segment| Places::create(segment, self.shape).ok()).unwrap_or(0) as u64
    }

    /// The memory is at `offset` (0 = there is none). The operations that have to go by messages for that.
    pub(in crate::coll) fn found(&self, e: &Engine, offset: u64) -> (Vec<usize>, Result<()>) {
        let mut order = self.order.lock();
        let place =
            e.world.as_ref().and_then(|world| Place::at(self, world.segment, offset as usize, world.policy.crowded()));
        let lost = offset != 0 && place.is_none();
        order.ground = place.map_or(Ground::Nothing, Ground::There);
        let outcome =
            if lost { Err(Error::new(MPI_ERR_OTHER, "a collective area lies outside of the segment")) } else { Ok(()) };
        (order.send_away(), outcome)
    }
}

impl Order {
    /// Takes the operations out for which there is no memory: all ranks find the same ones.
    fn send_away(&mut self) -> Vec<usize> {
        let mut without = Vec::new();
        let ground = &mut self.ground;
        self.started.retain(|Started { raw, part, .. }| {
            let stays = match ground {
                Ground::There(place) => !part.needs_chunk() || place.has_chunks(),
                _ => false,
            };
            if !stays && without.last() != Some(raw) {
                without.push(*raw);
            }
            stays
        });
        without
    }
}

impl Place {
    pub(super) fn at(board: &Board, segment: &'static Segment, offset: usize, crowded: bool) -> Option<Self> {
        if offset == 0 {
            return None;
        }
        let places = Places::attach(segment, offset, board.shape)?;
        let pages = board.group.iter().map(|world| segment.rank_page(world)).collect();
        let writing = (!crowded).then(pace::Pace::default);
        Some(Self { places, chunks: None, pace: Pace::default(), writing, pages })
    }

    /// Whether there are chunks, which are made now if need be.
    pub(super) fn has_chunks(&mut self) -> bool {
        if self.chunks.is_none() {
            self.chunks = Chunks::of(&self.places);
        }
        self.chunks.is_some()
    }

    /// Whether all others are done with the operation `depth` before `number`.
    #[inline]
    pub(super) fn all_are_done(&mut self, me: u32, number: u64, depth: u64) -> bool {
        self.pace.acquire(&self.places, me, number, (number + 1).saturating_sub(depth), |_, _| Err(())).is_ok()
    }

    /// All have come to an operation, and said with that that they are done with those below `done`.
    #[inline]
    pub(super) fn all_said(&mut self, done: u64) {
        self.pace.all_said(done);
    }

    #[inline]
    pub(super) fn ranks(&self) -> u32 {
        self.places.ranks()
    }

    #[inline]
    pub(super) fn line(&self, rank: u32, number: u64) -> &'static Line {
        self.places.line(rank, number)
    }

    /// The address of a chunk; none if there are none.
    #[inline]
    pub(super) fn chunk(&self, rank: u32, number: u64) -> Option<*mut u8> {
        self.chunks.as_ref().map(|chunks| chunks.address(rank, number))
    }

    /// Copies `len` bytes from `from` into my chunk, at `to`.
    ///
    /// # Safety
    /// As for [`copy`].
    #[inline]
    pub(super) unsafe fn fill(&mut self, to: *mut u8, from: *const u8, len: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match &mut self.writing {
                Some(writing) => writing.write_run(from, to, len),
                None => copy(to, from, len),
            }
        }
    }

    /// So many operations `rank` is done with.
    #[inline]
    pub(super) fn done(&self, rank: u32) -> u64 {
        self.places.done(rank)
    }

    /// I am done with all operations below.
    #[inline]
    pub(super) fn finish(&self, me: u32, done: u64) {
        self.places.set_done(me, done);
        // A rank that is ahead may sleep until its place is free.
        self.wake_others();
    }

    #[inline]
    pub(super) fn wake_others(&self) {
        // SYNC sleep: the partner is in `RankPage::fall_asleep`.
        fence::light();
        for page in &self.pages {
            page.wake_after_fence();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.leave();
    }
}
