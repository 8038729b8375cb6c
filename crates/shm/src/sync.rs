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

/// Asks for the line of `place`, to write to it soon.
#[inline]
pub(crate) fn prefetch_to_write<T>(place: &T) {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    // SAFETY: a hint, which has no effect on memory; processors that do not know it do nothing.
    unsafe {
        core::arch::asm!("prefetchw byte ptr [{}]", in(reg) place, options(nostack, preserves_flags));
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom), not(miri))))]
    let _ = place;
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
