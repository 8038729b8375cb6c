//! How to write the bytes of longer messages into a ring, or into a chunk of the collectives, found out while it is
//! done. There are two ways: through the caches, best between cores that share one; and past them ([`copy_past`]), best between cores that do
//! not (two core complexes, two sockets), where each line that the reader still holds must be asked back.
//! Which cores those are changes: ranks move, and a virtual machine's cores move under it, within seconds.
//!
//! Measured on Zen 4 (writer and reader, 8 KiB / 64 KiB / 1 MiB, us): in one complex 0.6 / 2.7 / 32 through
//! the caches and 1.2 / 5.5 / 60 past them; in two 4.5 / 27 / 400 and 1.3 / 5.4 / 85.
//!
//! The writer's own time tells: past the caches it is about the same everywhere (45-80 ticks for 16 lines); through
//! them it is 80-140 ticks in one complex and more than 430 in two. So each receiver has a [`Pace`], which knows
//! what lines have cost lately in either way, and tries the way that is not in use now and then.

use crate::payload::Payload;
use std::mem::MaybeUninit;

/// Shorter copies are not worth a look at the clock.
const LEAST: usize = 4 << 10;
/// What goes past the caches comes to the reader from memory, so this pays only if the writer saves a lot: in one
/// complex the ways differ by less than two times, in two by more than six.
const MUCH: u32 = 4;
/// The same for pieces with holes, which have no clock of their own: such a piece is packed into memory of ours first if
/// it goes past the caches, or to find out what writing it costs, which is done once in so many pieces.
const LEAST_PACKED: usize = 1 << 10;
const TRY_PACKED: u8 = 16;
/// Bytes that are packed at a time: they stay in the innermost cache.
const PACKED: usize = 8 << 10;
/// Of the copies in the better way so many are not measured: two looks at the clock wait for what is under way.
const MEASURE: u8 = 4;
/// Every so many copies the other way is tried. It may take five times as long: then it adds 4 %.
const TRY_AFTER: u8 = 128;
/// The first try of the way that is unknown comes after so many.
const FIRST_TRY: u8 = TRY_AFTER - 8;

/// The ways, as indices of [`Pace::cost`].
const THROUGH: usize = 0;
const PAST: usize = 1;

/// What writing to one receiver costs.
pub(crate) struct Pace {
    /// Clock ticks for 16 lines, by way.
    cost: [u32; 2],
    /// Copies since the other way was tried.
    since: u8,
    /// Pieces with holes since one was measured.
    since_packed: u8,
}

impl Default for Pace {
    fn default() -> Self {
        Self { cost: [0, u32::MAX / 2], since: FIRST_TRY, since_packed: TRY_PACKED }
    }
}

impl Pace {
    /// Copies `len` bytes of the message, from position `at`, to a piece of a ring.
    ///
    /// # Safety
    /// As for [`Payload::read`].
    #[inline]
    pub(crate) unsafe fn write(&mut self, payload: &Payload, at: usize, to: *mut u8, len: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if len >= LEAST
            && let Some(from) = payload.run_at(at, len)
        {
            let measure = self.since.is_multiple_of(MEASURE);
            // SAFETY: the run is a part of the message, which is valid (its maker), and `to` is (caller).
            return unsafe { self.copy(from, to, len, measure) };
        }
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if len >= LEAST_PACKED && payload.run().is_none() && self.packs_first() {
            #[repr(align(64))]
            struct Room(MaybeUninit<[u8; PACKED]>);
            let mut room = Room(MaybeUninit::uninit());
            let packed = room.0.as_mut_ptr().cast::<u8>();
            for done in (0..len).step_by(PACKED) {
                let n = PACKED.min(len - done);
                // SAFETY: the caller's promise for a part of the range; `packed` has room for it, and it is
                // filled when it is copied on.
                unsafe {
                    payload.read(at + done, packed, n);
                    self.copy(packed, to.add(done), n, true);
                }
            }
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { payload.read(at, to, len) }
    }

    /// # Safety
    /// As for [`crate::copy::copy`].
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe fn copy(&mut self, from: *const u8, to: *mut u8, len: usize, measure: bool) {
        use core::arch::x86_64::_rdtsc;
        let way = self.choose();
        // SAFETY: the caller's promise.
        let copy = || unsafe {
            if way == PAST {
                crate::copy::copy_in_past(to, from, len);
            } else {
                crate::copy::copy(to, from, len);
            }
        };
        if way == self.better() && !measure {
            return copy();
        }
        // SAFETY: reading the clock has no preconditions.
        let begin = unsafe { _rdtsc() };
        copy();
        // SAFETY: as above.
        let ticks = unsafe { _rdtsc() }.wrapping_sub(begin);
        self.learn(way, u32::try_from(ticks.saturating_mul(1024) / len as u64).unwrap_or(u32::MAX / 2));
    }

    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn packs_first(&mut self) -> bool {
        self.since_packed += 1;
        if self.since_packed > TRY_PACKED {
            self.since_packed = 0;
        }
        self.since_packed == 0 || self.better() == PAST
    }

    /// The same for a run of `len` bytes at `from`.
    ///
    /// # Safety
    /// As for [`crate::copy::copy`].
    #[inline]
    pub(crate) unsafe fn write_run(&mut self, from: *const u8, to: *mut u8, len: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if len >= LEAST {
            let measure = self.since.is_multiple_of(MEASURE);
            // SAFETY: the caller's promise.
            return unsafe { self.copy(from, to, len, measure) };
        }
        // SAFETY: the caller's promise.
        unsafe { crate::copy::copy(to, from, len) }
    }

    /// Whether messages go past the caches.
    pub(super) fn is_past(&self) -> bool {
        self.better() == PAST
    }

    fn better(&self) -> usize {
        usize::from(self.cost[PAST].saturating_mul(MUCH) < self.cost[THROUGH])
    }

    fn choose(&mut self) -> usize {
        let better = self.better();
        if self.since >= TRY_AFTER {
            self.since = 0;
            return 1 - better;
        }
        self.since += 1;
        better
    }

    /// A lower cost counts at once, a higher one bit by bit: an interrupt makes single copies expensive.
    fn learn(&mut self, way: usize, ticks: u32) {
        let known = self.cost[way];
        self.cost[way] = if ticks < known || known == 0 { ticks } else { ticks.min(known + known / 8 + 1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `copies` with what each way costs; how many went past the caches.
    fn run(pace: &mut Pace, copies: u32, through: u32, past: u32) -> u32 {
        (0..copies)
            .map(|_| {
                let way = pace.choose();
                pace.learn(way, if way == PAST { past } else { through });
                u32::from(way == PAST)
            })
            .sum()
    }

    #[test]
    fn the_better_way_is_found_and_found_again_when_the_cores_move() {
        let mut pace = Pace::default();
        assert!(run(&mut pace, 1000, 100, 60) < 12, "cores that share a cache");
        assert!(run(&mut pace, 1000, 500, 70) > 960, "cores that do not");
        assert!(run(&mut pace, 1000, 120, 65) < 160, "and back");
    }

    #[test]
    fn one_copy_that_was_interrupted_changes_nothing() {
        let mut pace = Pace::default();
        run(&mut pace, 300, 100, 60);
        pace.learn(THROUGH, 1_000_000);
        assert!(run(&mut pace, 100, 100, 60) < 2);
    }
}
