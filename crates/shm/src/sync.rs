//! The one place that names atomics, so that loom can take their place (`--cfg loom`). Loom's can
//! not lie in a mapping: under it a [`crate::Segment`] is heap memory (see `models`).

#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// One turn of a spin loop: tells the core that it waits for another one.
#[inline]
pub fn spin_hint() {
    #[cfg(not(loom))]
    std::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// A full fence: orders the stores before it and the loads after it, which nothing weaker does.
#[inline]
pub fn full_fence() {
    // A locked instruction on the stack's line, 5 ns; the mfence of `fence` takes 20 (Zen 5).
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    // SAFETY: adds nothing to the word at the stack's top, which this thread may write; as assembly that may
    // touch memory it also keeps the compiler from moving accesses across.
    unsafe {
        core::arch::asm!("lock or dword ptr [rsp], 0", options(nostack));
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom), not(miri))))]
    fence(Ordering::SeqCst);
}

/// Stores `value` for others to see (release), and orders the store before the loads that follow
/// (a full fence): the "give, then look whether anybody sleeps" of a wake-up.
#[inline]
pub fn store_and_fence(word: &AtomicU32, value: u32) {
    // On x86-64 an exchange is both in one instruction, about half the price of store and mfence.
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    word.swap(value, Ordering::SeqCst);
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    {
        word.store(value, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}
