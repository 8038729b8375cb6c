//! A lock between the threads of one process: one compare-and-swap and a store when nobody competes, a short
//! spin, then a futex. The holder can see that others wait ([`Guard::contended`]) and step aside,
//! which is how a thread that polls for messages shares the engine with the others.

use crate::fence;
use crate::os::futex;
use crate::sync::{AtomicU32, Ordering};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// Turns before a thread sleeps: a holder in the fast path is gone by then.
const SPINS: u32 = if cfg!(loom) { 1 } else { 100 };

const FREE: u32 = 0;
const HELD: u32 = 1;

/// A value that one thread at a time may use.
pub struct Lock<T> {
    word: AtomicU32,
    waiting: AtomicU32,
    /// 1 while somebody sleeps, or is about to: to be woken. A futex word.
    asleep: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value to one thread at a time, so sharing the lock needs only that
// the value may move between threads.
unsafe impl<T: Send> Sync for Lock<T> {}
// SAFETY: owning the lock is owning the value.
unsafe impl<T: Send> Send for Lock<T> {}

/// The proof that the lock is held.
pub struct Guard<'a, T>(&'a Lock<T>);

impl<T> Lock<T> {
    /// A free lock around `value`.
    pub fn new(value: T) -> Self {
        let [word, waiting, asleep] = [FREE, 0, 0].map(AtomicU32::new);
        Self { word, waiting, asleep, value: UnsafeCell::new(value) }
    }

    #[inline]
    fn try_take(&self) -> bool {
        // SYNC lock: what the last holder wrote is visible to us.
        self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Waits until the lock is ours.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        if !self.try_take() {
            self.lock_slowly();
        }
        Guard(self)
    }

    #[cold]
    fn lock_slowly(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let spun = (0..SPINS).any(|_| {
            crate::sync::spin_hint();
            self.try_take()
        });
        if !spun {
            self.sleep_until_taken();
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    #[cold]
    fn sleep_until_taken(&self) {
        loop {
            // A swap: as on the pages (`RankPage::fall_asleep`).
            self.asleep.swap(1, Ordering::Relaxed);
            // SYNC lock-sleep: we say that we sleep, then look at the word; the holder gives the word back, then
            // looks whether anybody sleeps.
            fence::heavy_here();
            if self.try_take() {
                return;
            }
            futex::wait(&self.asleep, 1, Duration::from_secs(1));
            if self.try_take() {
                return;
            }
        }
    }

    #[cold]
    fn wake(&self) {
        if self.asleep.swap(0, Ordering::Relaxed) != 0 {
            futex::wake_all(&self.asleep);
        }
    }
}

impl<'a, T> Guard<'a, T> {
    /// The lock that is held, to take it again after the guard was dropped.
    #[inline]
    pub fn lock(&self) -> &'a Lock<T> {
        self.0
    }

    /// Whether another thread waits for the lock.
    #[inline]
    pub fn contended(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) != 0
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let lock = self.0;
        // SYNC lock: what we wrote is visible to the next holder.
        // SYNC lock-sleep: see `sleep_until_taken`.
        fence::store_and_light(&lock.word, FREE);
        if lock.asleep.load(Ordering::Relaxed) != 0 {
            lock.wake();
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that this thread holds the lock.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that this thread holds the lock, and it is borrowed mutably.
        unsafe { &mut *self.0.value.get() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn four_threads_count_without_losing_one() {
        let lock = Lock::new(0u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        *lock.lock() += 1;
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), 80_000);
    }
}
