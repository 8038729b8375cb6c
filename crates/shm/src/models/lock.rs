//! The lock between threads. Fails when `try_take` takes it with `Relaxed`, when the guard gives it
//! back with `Relaxed`, and (as a deadlock) when the guard does not look whether anybody sleeps, or either
//! fence is left out.

use super::check;
use crate::lock::Lock;
use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

fn add(lock: &Lock<UnsafeCell<u32>>) {
    let guard = lock.lock();
    // SAFETY: loom fails the model when two threads are here at once.
    guard.with_mut(|value| unsafe { *value += 1 });
}

#[test]
fn one_holder_at_a_time_and_nobody_sleeps_for_ever() {
    check(3, || {
        let lock = Arc::new(Lock::new(UnsafeCell::new(0)));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || add(&lock))
            })
            .collect();
        add(&lock);
        for other in others {
            other.join().expect("thread");
        }
        // SAFETY: all others have ended.
        assert_eq!(lock.lock().with(|value| unsafe { *value }), 3);
    });
}
