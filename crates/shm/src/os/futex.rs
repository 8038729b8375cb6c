//! Sleeping on a word of shared memory and waking the sleepers (futex(2), shared between
//! processes). Under loom a lock and a condition variable that do what the kernel does, except
//! that no time-out ever helps: a lost wake-up is a deadlock.

use crate::sync::AtomicU32;
use std::time::Duration;

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woke {
    /// Somebody woke us, or the word had another value already.
    Changed,
    /// A signal handler ran in this thread.
    Signal,
    /// The time was over.
    TimedOut,
}

#[cfg(loom)]
pub use kernel::{wait, wake_all};

/// Sleeps while `*word == expected`, at most for `limit`.
#[cfg(not(loom))]
pub fn wait(word: &AtomicU32, expected: u32, limit: Duration) -> Woke {
    let limit = libc::timespec {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(limit.subsec_nanos()),
    };
    // SAFETY: the word is a live, aligned 32-bit atomic (a reference guarantees it) and the
    // time-out lies on our stack for the whole call.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_futex,
            std::ptr::from_ref(word).cast::<u32>(),
            libc::FUTEX_WAIT,
            expected,
            std::ptr::from_ref(&limit),
        )
    };
    if rc == 0 {
        return Woke::Changed;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EINTR) => Woke::Signal,
        Some(libc::ETIMEDOUT) => Woke::TimedOut,
        _ => Woke::Changed,
    }
}

/// Wakes everybody who sleeps on `word`.
#[cfg(not(loom))]
pub fn wake_all(word: &AtomicU32) {
    // SAFETY: the word is a live, aligned 32-bit atomic; waking has no other effect on memory.
    unsafe {
        libc::syscall(libc::SYS_futex, std::ptr::from_ref(word).cast::<u32>(), libc::FUTEX_WAKE, i32::MAX);
    }
}

#[cfg(loom)]
mod kernel {
    use super::{AtomicU32, Duration, Woke};
    use loom::sync::{Condvar, Mutex};
    use std::collections::BTreeMap;
    use std::sync::atomic::Ordering;

    loom::lazy_static! {
        /// How often each word was woken, by address.
        static ref WOKEN: Mutex<BTreeMap<usize, u64>> = Mutex::new(BTreeMap::new());
        static ref AWAKE: Condvar = Condvar::new();
    }

    fn address(word: &AtomicU32) -> usize {
        std::ptr::from_ref(word) as usize
    }

    /// See the real one.
    pub fn wait(word: &AtomicU32, expected: u32, _limit: Duration) -> Woke {
        let mut woken = WOKEN.lock().expect("no poison in a model");
        let count = woken.get(&address(word)).copied();
        if word.load(Ordering::Relaxed) == expected {
            while woken.get(&address(word)).copied() == count {
                woken = AWAKE.wait(woken).expect("no poison in a model");
            }
        }
        drop(woken);
        Woke::Changed
    }

    /// See the real one.
    pub fn wake_all(word: &AtomicU32) {
        let mut woken = WOKEN.lock().expect("no poison in a model");
        *woken.entry(address(word)).or_default() += 1;
        AWAKE.notify_all();
        drop(woken);
    }
}
