//! A count of the ranks that have come to a step in which everybody gives and everybody gets the same: the last one
//! to come makes the result for all, and the others look at nothing but that ([`crate::coll`]). A rank that waits long
//! sleeps on the tally's bell. Unlike the sleep on a page that costs no fence in other processes, and one call wakes
//! all; only the result wakes it, so it must be short.
//!
//! The count says who combines, and no more: that all have come, the lines say. A rank that gave up (a signal) and
//! went on begins the next count, those that it left are not counted any more, and each of them combines for itself.
//!
//! Loom: `models::tally`.

use crate::os::futex::{self, Woke};
use crate::sync::{AtomicU32, AtomicU64, Ordering, full_fence};
use std::cmp;
use std::time::Duration;

/// Bits of a tally's word for the number of ranks.
const RANK_BITS: u32 = 16;

#[cfg(not(loom))]
const _: () = assert!(crate::segment::MAX_RANKS < 1 << RANK_BITS);

/// The count, and the bell that the last one rings.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Tally {
    /// The latest step to which ranks have come, plus 1, and in the lowest RANK_BITS how many.
    came: AtomicU64,
    /// The step of the latest result, plus 1, as far as it fits. A futex word.
    bell: AtomicU32,
    /// Ranks that sleep on the bell, or are about to. One that dies there is counted for good: a call of the kernel per result.
    asleep: AtomicU32,
}

impl Tally {
    /// I have come to `step`, and published. True: as the last of `ranks`.
    #[inline]
    pub fn come(&self, step: u64, ranks: u32) -> bool {
        let mut now = self.came.load(Ordering::Relaxed);
        loop {
            let next = match (now >> RANK_BITS).cmp(&(step + 1)) {
                cmp::Ordering::Less => (step + 1) << RANK_BITS | 1,
                cmp::Ordering::Equal => now + 1,
                cmp::Ordering::Greater => return false,
            };
            // SYNC coll-tally: my line is there.
            // SYNC coll-tally: the last one sees the lines of all who came before.
            match self.came.compare_exchange(now, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return next & ((1 << RANK_BITS) - 1) == u64::from(ranks),
                Err(other) => now = other,
            }
        }
    }

    /// The result of `step` was published: wakes those who sleep.
    #[inline]
    pub fn ring(&self, step: u64) {
        // SYNC coll-bell: the result is there.
        self.bell.store((step + 1) as u32, Ordering::Release);
        // SYNC coll-asleep: store-load ordering; the partner is in `sleep`.
        full_fence();
        if self.asleep.load(Ordering::Relaxed) != 0 {
            futex::wake_all(&self.bell);
        }
    }

    /// Sleeps until the bell rings, at most for `limit`, unless a last `look` finds the result.
    pub fn sleep<T>(&self, limit: Duration, look: impl FnOnce() -> Option<T>) -> Result<T, Woke> {
        // SYNC coll-bell: if this is the bell of the result, `look` finds it.
        let heard = self.bell.load(Ordering::Acquire);
        self.asleep.fetch_add(1, Ordering::Relaxed);
        // SYNC coll-asleep: store-load ordering. Either the kernel sees another bell than we heard, or who rings sees that we sleep.
        full_fence();
        let outcome = look().ok_or_else(|| futex::wait(&self.bell, heard, limit));
        self.asleep.fetch_sub(1, Ordering::Relaxed);
        outcome
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_to_come_knows_it() {
        let tally = Tally::default();
        for step in [0, 1, 7] {
            assert_eq!([(); 3].map(|()| tally.come(step, 3)), [false, false, true]);
        }
    }

    #[test]
    fn who_was_left_behind_is_not_counted_and_does_not_disturb_the_next_count() {
        let tally = Tally::default();
        assert!(!tally.come(4, 2));
        assert!(!tally.come(5, 2), "the rank that gave up");
        assert!(!tally.come(4, 2), "late");
        assert!(tally.come(5, 2));
        assert!(!tally.come(6, 2));
        assert!(tally.come(6, 2));
    }

    #[test]
    fn a_sleep_ends_with_the_bell_or_the_time() {
        let tally = Tally::default();
        assert_eq!(tally.sleep(Duration::from_millis(1), || None::<()>), Err(Woke::TimedOut));
        assert_eq!(tally.sleep(Duration::from_secs(10), || Some(5)), Ok(5));
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| tally.sleep(Duration::from_secs(20), || None::<()>));
            while tally.asleep.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            tally.ring(3);
            assert_eq!(sleeper.join().expect("thread"), Err(Woke::Changed));
        });
        assert_eq!(tally.asleep.load(Ordering::Relaxed), 0);
    }
}
