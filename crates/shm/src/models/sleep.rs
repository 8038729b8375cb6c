//! Falling asleep and waking. What is given is written and read with `Relaxed`, so that only the
//! fences can save the sleeper: the models fail (as a deadlock) when either fence is taken out,
//! when `nap` looks before it says that it sleeps, and when `Sleepers` forgets the other thread.

use super::{Shared, check};
use crate::lock::Lock;
use crate::sleep::{Nap, Sleepers, Wait, nap};
use crate::sync::{AtomicU32, Ordering};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

/// What the engine is to the real thing: behind the lock of a process.
#[derive(Default)]
struct Process {
    sleepers: Sleepers,
    /// Taken out of shared memory so far.
    taken: u32,
}

impl AsMut<Sleepers> for Process {
    fn as_mut(&mut self) -> &mut Sleepers {
        &mut self.sleepers
    }
}

/// Two ranks: 0 waits, the others give.
struct Job {
    shared: Shared,
    gifts: [AtomicU32; 2],
    lock: Lock<Process>,
}

// SAFETY: the segment is made for use by many threads.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Job {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            shared: Shared::new(1),
            gifts: [AtomicU32::new(0), AtomicU32::new(0)],
            lock: Lock::new(Process::default()),
        })
    }

    fn give(&self, gift: usize) {
        self.gifts[gift].store(1, Ordering::Relaxed);
        self.shared.segment().rank_page(0).wake();
    }

    /// The engine's `progress`: takes what is there, and wakes other threads of the process.
    fn progress(&self, process: &mut Process) -> bool {
        let mut moved = false;
        for (bit, gift) in self.gifts.iter().enumerate() {
            if process.taken & 1 << bit == 0 && gift.load(Ordering::Relaxed) != 0 {
                process.taken |= 1 << bit;
                moved = true;
            }
        }
        if moved && process.sleepers.any() {
            self.shared.segment().rank_page(0).wake();
        }
        moved
    }

    /// The engine's `wait_for`, without the phases before the sleep.
    fn wait_for(&self, bits: u32) {
        let page = self.shared.segment().rank_page(0);
        let mut wait = Wait::default();
        loop {
            let mut process = self.lock.lock();
            self.progress(&mut process);
            if process.taken & bits == bits {
                process.sleepers.over(page, &wait);
                return;
            }
            let end = nap(process, page, Duration::MAX, &mut wait, |process| {
                let moved = self.progress(process);
                let ready = process.taken & bits == bits;
                (moved || ready).then_some(ready)
            });
            if end == Nap::Found(true) {
                self.lock.lock().sleepers.over(page, &wait);
                return;
            }
        }
    }
}

#[test]
fn a_gift_is_not_slept_through() {
    check(4, || {
        let job = Job::new();
        let giver = Arc::clone(&job);
        let giver = thread::spawn(move || giver.give(0));
        job.wait_for(1);
        giver.join().expect("thread");
    });
}

#[test]
fn nor_one_of_two_from_different_ranks() {
    check(2, || {
        let job = Job::new();
        let givers = [0, 1].map(|gift| {
            let job = Arc::clone(&job);
            thread::spawn(move || job.give(gift))
        });
        job.wait_for(3);
        for giver in givers {
            giver.join().expect("thread");
        }
    });
}

#[test]
fn nor_by_a_thread_while_another_one_of_its_process_sleeps_and_wakes() {
    check(2, || {
        let job = Job::new();
        let other = Arc::clone(&job);
        let other = thread::spawn(move || other.wait_for(2));
        let giver = Arc::clone(&job);
        let giver = thread::spawn(move || {
            giver.give(0);
            giver.give(1);
        });
        job.wait_for(1);
        other.join().expect("thread");
        giver.join().expect("thread");
    });
}
