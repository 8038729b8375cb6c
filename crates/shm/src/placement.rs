//! Which cores the ranks run on. The kernel sees processes that never sleep and is content with
//! three of four ranks on one of two cores; a rank that gives its core away again and again looks
//! now and then, and moves to a core with fewer ranks. Nothing is pinned: the set of processors that
//! may run a rank stays as it was, so the kernel can move it on, and other jobs are not bound to
//! cores that this one chose.

use crate::os::cpu::{self, Cpus};
use crate::segment::Segment;
use crate::sync::Ordering;

/// Turns (yields) between two looks, some 100 us; a look reads one line per rank.
const LOOK_EVERY: u32 = 64;
/// After a move the next look comes later and later, at most after so many turns, 0.1 s: who shares
/// the machine with others (whom we do not see) must not be moved to and fro all the time.
const LOOK_AT_LAST: u32 = 1 << 16;
/// Above this many ranks per machine nobody looks: the kernel does well with many processes.
const RANKS_MAX: u32 = 256;

/// A rank's view of where the ranks run.
#[derive(Debug)]
pub struct Placement {
    left: u32,
    pause: u32,
    /// Our processor at the last look, plus 1; 0 = not known.
    here: u32,
}

impl Default for Placement {
    fn default() -> Self {
        Self { left: LOOK_EVERY, pause: LOOK_EVERY, here: 0 }
    }
}

impl Placement {
    /// Whether rank `other` runs on our processor, or may: what we know is from the last looks.
    #[inline]
    pub fn near(&self, segment: &Segment, other: u32) -> bool {
        let there = segment.rank_page(other).waiting.0.cpu.load(Ordering::Relaxed);
        self.here == 0 || there == 0 || self.here == there
    }

    /// `rank` (we) is about to give its core away.
    #[inline]
    pub fn turn(&mut self, segment: &Segment, rank: u32) {
        self.left -= 1;
        if self.left == 0 {
            self.look(segment, rank);
        }
    }

    #[cold]
    fn look(&mut self, segment: &Segment, rank: u32) {
        self.left = self.pause;
        let ranks = segment.ranks();
        let Some(here) = cpu::current().filter(|_| ranks <= RANKS_MAX) else { return };
        let mut say = |cpu: u32| {
            self.here = cpu + 1;
            segment.rank_page(rank).waiting.0.cpu.store(cpu + 1, Ordering::Relaxed);
        };
        say(here);
        let places: Vec<_> =
            (0..ranks).map(|r| segment.rank_page(r).waiting.0.cpu.load(Ordering::Relaxed).checked_sub(1)).collect();
        let Some(allowed) = Cpus::allowed() else { return };
        if let Some(better) = better_place(&places, rank, here, allowed.iter())
            && cpu::move_to(better, &allowed)
        {
            say(better);
            self.pause = (self.pause * 4).min(LOOK_AT_LAST);
        }
    }
}

/// Where `rank` should go: to the processor with the fewest ranks if that has at least two less than
/// `here`. Only the highest rank of a processor goes, so that not all leave at once.
fn better_place(places: &[Option<u32>], rank: u32, here: u32, cpus: impl Iterator<Item = u32>) -> Option<u32> {
    let on = |cpu: u32| places.iter().filter(|place| **place == Some(cpu)).count();
    let last_here = places.iter().rposition(|place| *place == Some(here))?;
    if last_here != rank as usize {
        return None;
    }
    let (fewest, best) = cpus.map(|cpu| (on(cpu), cpu)).min()?;
    (fewest + 2 <= on(here)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::better_place;

    #[test]
    fn the_highest_of_three_goes_to_the_core_with_one() {
        let places = [Some(0), Some(1), Some(1), Some(1)];
        assert_eq!(better_place(&places, 3, 1, 0..2), Some(0));
        assert_eq!(better_place(&places, 2, 1, 0..2), None);
        assert_eq!(better_place(&places, 0, 0, 0..2), None);
    }

    #[test]
    fn an_even_distribution_stays() {
        let places = [Some(0), Some(1), Some(0), Some(1), None];
        assert_eq!(better_place(&places, 3, 1, 0..2), None);
        assert_eq!(better_place(&[Some(0), Some(0), Some(1)], 1, 0, 0..2), None);
    }
}
