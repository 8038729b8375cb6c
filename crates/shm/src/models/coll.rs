//! Lines, chunks and counters of a communicator. The models fail when
//! - `publish` or `published` use the stamp with `Relaxed`,
//! - `set_done` or `done` use the counter with `Relaxed`, `Wholes::wanted` says one step less of any kind, or
//!   `all_came_to` claims the step itself,
//! - the whole use of a chunk is not noted, or for a part `wanted` does not heed it,
//! - a note says one operation more than the rank is done with, `all_said` believes one more, or nobody is woken when a
//!   place becomes free,
//! - the loser of `Chunks::of` keeps its own piece, or its failed compare-and-swap reads with `Relaxed`,
//! - `leave` counts with `Relaxed`.

use super::{Bytes, Shared, check, until};
use crate::Segment;
use crate::coll::{CHUNKS, Chunks, LINES, PARTS, Pace, Places, Shape, Use, Wholes};
use crate::sync::{Ordering, fence};
use loom::thread;

/// A rank of a communicator as `engine::coll::area` is one, with `bytes` for its chunks.
struct Rank {
    me: u32,
    segment: &'static Segment,
    places: Places,
    pace: Pace,
    wholes: Wholes,
    bytes: Bytes,
}

impl Rank {
    fn of(segment: &'static Segment, offset: usize, ranks: u32, me: u32, bytes: &Bytes) -> Self {
        let places = Places::attach(segment, offset, Shape::of_many(ranks)).expect("places");
        Self { me, segment, places, pace: Pace::default(), wholes: Wholes::default(), bytes: bytes.clone() }
    }

    fn place(rank: u32, step: u64) -> usize {
        (u64::from(rank) * CHUNKS + step % CHUNKS) as usize
    }

    /// The cell of the part that is used in `step`; there are so many for each chunk.
    fn part(rank: u32, step: u64) -> usize {
        Self::place(rank, step) * PARTS as usize + (step / CHUNKS % PARTS) as usize
    }

    fn acquire(&mut self, step: u64, what: Use) {
        let (segment, me) = (self.segment, self.me);
        let wait = |_: u32, look: &dyn Fn() -> Option<u64>| -> Result<u64, ()> { Ok(until(segment, me, look)) };
        let steps = self.wholes.wanted(step, what);
        if what == Use::Chunk {
            self.wholes.note(step);
        }
        self.pace.acquire(&self.places, me, step, steps, wait).expect("no failure");
    }

    fn publish(&mut self, step: u64, value: u64) {
        self.acquire(step, Use::Chunk);
        self.bytes.write(Self::place(self.me, step), value);
        let line = self.places.line(self.me, step);
        line.set_note(value);
        line.publish(step, 1, value);
        self.wake_others();
    }

    fn read(&self, step: u64, rank: u32) -> u64 {
        let line = self.places.line(rank, step);
        let (_, length) = until(self.segment, self.me, || line.published(step));
        let value = self.bytes.read(Self::place(rank, step));
        assert_eq!((line.note(), length), (value, value));
        value
    }

    fn finish(&self, step: u64) {
        self.places.set_done(self.me, step + 1);
        self.wake_others();
    }

    fn wake_others(&self) {
        // SYNC sleep: the partner is in `RankPage::fall_asleep`.
        fence(Ordering::SeqCst);
        for rank in (0..self.places.ranks()).filter(|rank| *rank != self.me) {
            self.segment.rank_page(rank).wake_after_fence();
        }
    }
}

fn run(ranks: u32, preemptions: usize, body: impl Fn(Rank) + Copy + Send + Sync + 'static) {
    check(preemptions, move || {
        let shared = Shared::new(ranks);
        let bytes = Bytes::new((u64::from(ranks) * CHUNKS * PARTS) as usize);
        let offset = Places::create(shared.segment(), Shape::of_many(ranks)).expect("lines");
        let rank = |me| Rank::of(shared.segment(), offset, ranks, me, &bytes);
        let others: Vec<_> = (1..ranks)
            .map(|me| {
                let rank = rank(me);
                thread::spawn(move || body(rank))
            })
            .collect();
        body(rank(0));
        for other in others {
            other.join().expect("thread");
        }
    });
}

/// One writes, the others read: the writer may be CHUNKS (2 in a model) steps ahead.
fn broadcast(mut rank: Rank, steps: u64) {
    for step in 0..steps {
        if rank.me == 0 {
            rank.publish(step, step + 10);
        } else {
            assert_eq!(rank.read(step, 0), step + 10);
        }
        rank.finish(step);
    }
}

/// One writes parts of its chunks, and in the steps of `whole` all of one; the others read.
fn pieces(mut rank: Rank, steps: u64, whole: &[u64]) {
    for step in 0..steps {
        let cells = |rank: u32| {
            let all = Rank::place(rank, step) * PARTS as usize;
            let part = Rank::part(rank, step);
            if whole.contains(&step) { all..all + PARTS as usize } else { part..part + 1 }
        };
        if rank.me == 0 {
            rank.acquire(step, if whole.contains(&step) { Use::Chunk } else { Use::Part });
            cells(0).for_each(|cell| rank.bytes.write(cell, step + 10));
            rank.places.line(0, step).publish(step, 1, 1);
            rank.wake_others();
        } else {
            let line = rank.places.line(0, step);
            until(rank.segment, rank.me, || line.published(step));
            cells(0).for_each(|cell| assert_eq!(rank.bytes.read(cell), step + 10));
        }
        rank.finish(step);
    }
}

#[test]
fn parts_are_used_again_when_all_of_them_were() {
    run(2, 2, |rank| pieces(rank, LINES + 2, &[]));
}

#[test]
fn a_whole_chunk_waits_for_its_parts_and_they_for_it() {
    run(2, 2, |rank| pieces(rank, 5, &[2]));
    run(2, 2, |rank| pieces(rank, 4, &[0]));
}

/// All write, all read.
fn exchange(mut rank: Rank, steps: u64) {
    for step in 0..steps {
        rank.publish(step, u64::from(rank.me) + step * 10);
        for other in (0..rank.places.ranks()).filter(|other| *other != rank.me) {
            assert_eq!(rank.read(step, other), u64::from(other) + step * 10);
        }
        rank.finish(step);
        rank.pace.all_came_to(step);
    }
}

#[test]
fn what_is_read_is_of_the_same_step_though_the_writer_is_ahead() {
    run(2, 2, |rank| broadcast(rank, 4));
}

#[test]
fn two_readers_hold_the_writer_back() {
    run(3, 1, |rank| broadcast(rank, 3));
}

#[test]
fn who_saw_everybody_may_write_without_asking() {
    run(2, 2, |rank| exchange(rank, 4));
}

#[test]
fn also_among_three() {
    run(3, 1, |rank| exchange(rank, 3));
}

/// After an exchange the shortcut must not carry over to a broadcast's reader that is behind.
#[test]
fn a_broadcast_may_follow_an_exchange() {
    run(2, 2, |mut rank| {
        rank.publish(0, 5);
        let other = 1 - rank.me;
        assert_eq!(rank.read(0, other), 5);
        rank.finish(0);
        rank.pace.all_came_to(0);
        for step in 1..4 {
            if rank.me == 0 {
                rank.publish(step, step);
            } else {
                assert_eq!(rank.read(step, 0), step);
            }
            rank.finish(step);
        }
    });
}

/// Operations that overlap, as `engine::coll::board` has them: all are started at once, published in order when their places
/// are free, and taken in order when the parts that `wants` has come.
fn overlap(mut rank: Rank, operations: u64, wants: fn(u32) -> bool) {
    let (mut published, mut done) = (0, 0);
    let value = |rank: u32, number: u64| u64::from(rank) + number * 10;
    let free = |pace: &mut Pace, places: &Places, me: u32, number: u64| {
        pace.acquire(places, me, number, number + 1 - CHUNKS, |_, _| Err(())).is_ok()
    };
    until(rank.segment, rank.me, || {
        let others = (0..rank.places.ranks()).filter(|other| *other != rank.me && wants(rank.me));
        loop {
            let before = (published, done);
            while published < operations
                && (published < CHUNKS
                    || (done > published - CHUNKS && free(&mut rank.pace, &rank.places, rank.me, published)))
            {
                rank.bytes.write(Rank::place(rank.me, published), value(rank.me, published));
                let line = rank.places.line(rank.me, published);
                line.set_note(done);
                line.publish(published, 1, value(rank.me, published));
                rank.wake_others();
                published += 1;
            }
            while done < published
                && others.clone().all(|other| rank.places.line(other, done).published(done).is_some())
            {
                for other in others.clone().chain([rank.me]) {
                    assert_eq!(rank.bytes.read(Rank::place(other, done)), value(other, done));
                }
                if let Some(said) = others.clone().map(|other| rank.places.line(other, done).note()).min() {
                    rank.pace.all_said(said);
                }
                done += 1;
                rank.finish(done - 1);
            }
            if before == (published, done) {
                break;
            }
        }
        (done == operations).then_some(())
    });
}

#[test]
fn operations_that_overlap_are_taken_before_their_places_are_used_again() {
    run(2, 2, |rank| overlap(rank, 4, |_| true));
}

#[test]
fn also_if_only_one_rank_takes_them() {
    run(2, 2, |rank| overlap(rank, 4, |rank| rank == 0));
}

#[test]
fn also_among_three_that_overlap() {
    run(3, 1, |rank| overlap(rank, 3, |_| true));
}

#[test]
fn all_find_the_same_chunks_and_the_last_gives_all_memory_back() {
    check(3, || {
        let shared = Shared::new(2);
        let segment = shared.segment();
        let offset = Places::create(segment, Shape::of_many(2)).expect("lines");
        let body = move || {
            let places = Places::attach(segment, offset, Shape::of_many(2)).expect("places");
            let chunks = Chunks::of(&places).expect("memory");
            segment.use_piece(chunks.offset());
            segment.use_piece(offset);
            let found = chunks.offset();
            places.leave();
            found
        };
        let other = thread::spawn(body);
        let mine = body();
        assert_eq!(other.join().expect("thread"), mine);
        assert_eq!(segment.pieces_in_use(), 0);
    });
}
