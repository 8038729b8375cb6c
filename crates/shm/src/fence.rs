//! Pairs of fences of which one side pays for both.
//!
//! Whoever gives something looks afterwards whether somebody sleeps; whoever falls asleep says so, and looks
//! once more. Each side stores and then loads, and between the two each needs a full fence, or both may see
//! nothing (SYNC sleep, SYNC lock-sleep). A full fence waits until the stores before it are everywhere: with a cell's
//! line in another core's cache 40 ns, with that core far away 100 ns, for every message. Giving is frequent and
//! falling asleep is not, so the sleeper pays: its [`heavy`] fence is one in all threads that make [`light`] ones, which
//! are nothing but an order to the compiler. A thread that is not running has had its fence when it was stopped.
//!
//! The kernel makes the heavy fence (10 us if it has to interrupt another core). Where it does not, all fences are
//! full ones in their own threads. The ranks of a job run on one kernel; should one be refused what others were
//! granted, it may sleep through something for 250 ms, when every sleep ends.

#[cfg(not(loom))]
use crate::os::membarrier;
#[cfg(not(all(target_arch = "x86_64", not(loom), not(miri))))]
use crate::sync::fence;
use crate::sync::{AtomicU32, Ordering, full_fence};

/// Whether [`light`] is nothing for the processor. Loom knows full fences only.
#[cfg(not(loom))]
static LIGHT: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Prepares the process; until then its fences are full. Before it gives anything to another process.
#[cfg(not(loom))]
pub fn prepare() {
    LIGHT.store(membarrier::register(), Ordering::Relaxed);
}

#[inline(always)]
fn is_light() -> bool {
    #[cfg(not(loom))]
    return LIGHT.load(Ordering::Relaxed);
    #[cfg(loom)]
    false
}

/// The frequent side: between giving and looking whether somebody sleeps.
#[inline(always)]
pub fn light() {
    if is_light() {
        // SYNC sleep, lock-sleep: the processor's part is in the heavy fence of the other side.
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    } else {
        full_fence();
    }
}

/// Stores `value` for others to see (release), and makes a [`light`] fence.
#[inline(always)]
pub fn store_and_light(word: &AtomicU32, value: u32) {
    if is_light() {
        word.store(value, Ordering::Release);
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
        return;
    }
    // On x86-64 an exchange is both in one instruction, about half the price of store and mfence.
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    word.swap(value, Ordering::SeqCst);
    #[cfg(not(all(target_arch = "x86_64", not(loom), not(miri))))]
    {
        word.store(value, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

/// The rare side: between saying that we sleep and looking once more.
pub fn heavy() {
    #[cfg(not(loom))]
    if is_light() && membarrier::everywhere() {
        return;
    }
    full_fence();
}

/// As [`heavy`], for what only threads of this process look at.
pub fn heavy_here() {
    // A child of a fork may have to register itself.
    #[cfg(not(loom))]
    if is_light() && (membarrier::here() || membarrier::register() && membarrier::here()) {
        return;
    }
    full_fence();
}
