//! Rank and size of the communicator that was asked about last, without the engine's lock: language
//! layers ask in every collective, and the lock is 10 ns each time.
//!
//! One word holds a short form of the handle and what is known, so no reader sees half of a change.
//! What it says never changes while the handle lives; who frees the handle clears the word.

use mpi_abi::Comm as CommHandle;
use shm::sync::{AtomicU64, Ordering};

/// What does not change in a communicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Our rank.
    pub rank: u32,
    /// Ranks of (our side of) the communicator.
    pub size: u32,
    /// Whether there is another side.
    pub inter: bool,
}

static LAST: AtomicU64 = AtomicU64::new(0);

const RANK_BITS: u32 = 13;
const INDEX_BITS: u32 = 20;
const GENERATION_BITS: u32 = 15;
/// In a key: a predefined handle, whose value is below this.
const PREDEFINED: u64 = 1 << (INDEX_BITS + GENERATION_BITS);
const KEY_SHIFT: u32 = 2 * RANK_BITS + 1;
const _: () = assert!(KEY_SHIFT + INDEX_BITS + GENERATION_BITS < 64);

/// The handle in few bits, never 0; none if it does not fit.
#[inline]
fn key(handle: CommHandle) -> Option<u64> {
    let raw = handle.0 as u64;
    if raw < 0x1000 {
        return Some(PREDEFINED | raw);
    }
    let (index, generation) = (raw & 0xffff_ffff, raw >> 32 & 0x00ff_ffff);
    let fits =
        raw >> 56 == crate::handle::Kind::Comm as u64 && index >> INDEX_BITS == 0 && generation >> GENERATION_BITS == 0;
    fits.then_some(generation << INDEX_BITS | index)
}

/// What is known of `handle`, if it is the one that was asked about last.
#[inline]
pub fn known(handle: CommHandle) -> Option<Facts> {
    let word = LAST.load(Ordering::Relaxed);
    if word >> KEY_SHIFT != key(handle)? {
        return None;
    }
    let mask = (1 << RANK_BITS) - 1;
    Some(Facts { rank: (word >> 1 & mask) as u32, size: (word >> (1 + RANK_BITS) & mask) as u32, inter: word & 1 == 1 })
}

/// Remembers them. The caller holds the engine's lock and has found the communicator.
pub(crate) fn remember(handle: CommHandle, facts: Facts) {
    let fits = facts.rank >> RANK_BITS == 0 && facts.size >> RANK_BITS == 0;
    if let Some(key) = key(handle).filter(|_| fits) {
        let word = key << KEY_SHIFT
            | u64::from(facts.size) << (1 + RANK_BITS)
            | u64::from(facts.rank) << 1
            | u64::from(facts.inter);
        LAST.store(word, Ordering::Relaxed);
    }
}

/// A communicator goes.
pub(crate) fn forget() {
    LAST.store(0, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the word is the process's.
    #[test]
    fn facts_are_those_of_the_handle_that_was_remembered() {
        let handle = |generation: usize, index: usize| CommHandle(1 << 56 | generation << 32 | index);
        let facts = Facts { rank: 4095, size: 4096, inter: true };
        for one in [CommHandle(0x101), handle(1, 0), handle(0x7fff, 0xf_ffff)] {
            remember(one, facts);
            assert_eq!(known(one), Some(facts));
            for other in
                [CommHandle(0x102), CommHandle(0), handle(1, 1), handle(2, 0), handle(0x8001, 0), handle(1, 1 << 20)]
            {
                assert_eq!(known(other), None, "{other:?} for {one:?}");
            }
        }
        remember(handle(0x8000, 3), facts);
        assert_eq!(known(handle(0x8000, 3)), None, "a generation that does not fit is not remembered");
        remember(CommHandle(0x101), Facts { rank: 1, size: 1 << 13, inter: false });
        assert_ne!(known(CommHandle(0x101)).map(|f| f.rank), Some(1));
        forget();
        assert_eq!(known(handle(0x7fff, 0xf_ffff)), None);
    }
}
