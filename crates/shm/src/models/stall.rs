//! Concluding that no rank can go on, while one of them has something to do. The model fails when the
//! second pass does not look at the sleep words, or looks at them after the numbers; when a rank settles
//! before its last look; when neither `enter` nor `leave` takes the number back; when the swap of `fall_asleep`
//! releases nothing; when the passes do not acquire. (The release of `settle` is covered by the fence before.)

use super::{Shared, check};
use crate::lock::Lock;
use crate::sleep::{Nap, Sleepers, Wait, nap};
use crate::stall::{all_settled, still_settled};
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

struct Own(Sleepers);

impl AsMut<Sleepers> for Own {
    fn as_mut(&mut self) -> &mut Sleepers {
        &mut self.0
    }
}

struct Job {
    shared: Shared,
    /// What rank 0 gives to rank 1, and what that says to nobody.
    gift: AtomicU32,
    taken: AtomicU32,
}

// SAFETY: the segment is made for use by many threads.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Job {
    /// Sleeps as `rank` until `look` finds something. Stays asleep, as the page has it, where nothing will
    /// come any more: `last` is such a sleep.
    fn sleep(&self, rank: u32, lock: &Lock<Own>, last: bool, mut look: impl FnMut() -> bool) {
        let (page, mut wait) = (self.shared.segment().rank_page(rank), Wait::default());
        if last {
            lock.lock().as_mut().enter(page, &mut wait);
            assert!(!look(), "nothing comes");
            lock.lock().as_mut().settle(page, &wait);
            return;
        }
        while nap(lock.lock(), page, Duration::MAX, &mut wait, |_| look().then_some(())) != Nap::Found(()) {}
        lock.lock().as_mut().over(page, &wait);
    }
}

#[test]
fn who_was_given_something_is_not_stuck() {
    check(3, || {
        let job = Arc::new(Job { shared: Shared::new(2), gift: AtomicU32::new(0), taken: AtomicU32::new(0) });
        let giver = Arc::clone(&job);
        let giver = thread::spawn(move || {
            giver.gift.store(1, Ordering::Relaxed);
            giver.shared.segment().rank_page(1).wake();
            giver.sleep(0, &Lock::new(Own(Sleepers::default())), true, || false);
        });
        let taker = Arc::clone(&job);
        let taker = thread::spawn(move || {
            let lock = Lock::new(Own(Sleepers::default()));
            taker.sleep(1, &lock, false, || taker.gift.load(Ordering::Relaxed) != 0);
            taker.taken.store(1, Ordering::Relaxed);
            taker.sleep(1, &lock, true, || false);
        });
        let pages = || (0..2).map(|rank| job.shared.segment().rank_page(rank));
        if let Some(first) = all_settled(pages())
            && still_settled(pages(), &first)
        {
            assert_eq!(job.taken.load(Ordering::Relaxed), 1, "rank 1 has a gift to take");
        }
        giver.join().expect("thread");
        taker.join().expect("thread");
    });
}
