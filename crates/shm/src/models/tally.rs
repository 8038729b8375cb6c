//! The tally of a communicator: everybody comes, the last one combines, the others sleep until its bell. The models
//! fail when
//! - `come` counts with `Relaxed` or without `Acquire`,
//! - `ring` or `sleep` lack their fence, or `sleep` hears the bell after its look.
//!
//! They do not miss the bell's own `Release` and `Acquire`.

use super::{Bytes, Shared, check};
use crate::Segment;
use crate::coll::{Places, Shape};
use crate::os::futex::Woke;
use crate::tally::Tally;
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

/// What the others gave and the last one made of it: one place per rank, one for the result.
fn exchange(segment: &'static Segment, offset: usize, ranks: u32, me: u32, bytes: &Bytes, steps: u64) {
    let places = Places::attach(segment, offset, Shape::of_many(ranks)).expect("places");
    let (tally, result) = places.tally();
    for step in 0..steps {
        bytes.write(me as usize, step + u64::from(me));
        places.line(me, step).publish(step, 1, 0);
        let expected: u64 = (0..ranks).map(|rank| step + u64::from(rank)).sum();
        if tally.come(step, ranks) {
            assert!((0..ranks).all(|rank| places.line(rank, step).published(step).is_some()));
            let sum = (0..ranks).map(|rank| bytes.read(rank as usize)).sum();
            bytes.write(ranks as usize, sum);
            result.publish(step, 1, 0);
            tally.ring(step);
            assert_eq!(sum, expected);
            continue;
        }
        while result.published(step).is_none() {
            // Whoever heard the bell of this step must find the result.
            let _: Result<(), Woke> = tally.sleep(Duration::MAX, || result.published(step).map(|_| ()));
        }
        assert_eq!(bytes.read(ranks as usize), expected);
    }
}

fn run(ranks: u32, steps: u64, preemptions: usize) {
    check(preemptions, move || {
        let shared = Shared::new(ranks);
        let offset = Places::create(shared.segment(), Shape::of_many(ranks)).expect("lines");
        let bytes = Bytes::new(ranks as usize + 1);
        let rank = |me| {
            let (segment, bytes) = (shared.segment(), bytes.clone());
            move || exchange(segment, offset, ranks, me, &bytes, steps)
        };
        let others: Vec<_> = (1..ranks).map(|me| thread::spawn(rank(me))).collect();
        rank(0)();
        for other in others {
            other.join().expect("thread");
        }
    });
}

#[test]
fn the_last_one_sees_what_all_gave_and_all_get_its_result() {
    run(2, 2, 3);
}

#[test]
fn also_among_three() {
    run(3, 1, 2);
}

/// With nothing but the bell between the two: the sleeper must hear it or not fall asleep.
#[test]
fn a_bell_is_not_slept_through() {
    check(4, || {
        let tally = Arc::new(Tally::default());
        let given = Arc::new(crate::sync::AtomicU32::new(0));
        let (bell, gift) = (Arc::clone(&tally), Arc::clone(&given));
        let other = thread::spawn(move || {
            gift.store(1, crate::sync::Ordering::Relaxed);
            bell.ring(0);
        });
        let look = || Some(()).filter(|()| given.load(crate::sync::Ordering::Relaxed) != 0);
        while look().is_none() {
            let _ = tally.sleep(Duration::MAX, look);
        }
        other.join().expect("thread");
    });
}
