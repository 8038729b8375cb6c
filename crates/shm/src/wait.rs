//! The one policy of waiting: poll while the peer is likely running, then give the core away, with
//! a nap now and then, then sleep. Everything in the project that waits for another process asks a [`Backoff`] what
//! to do next.

use crate::cpus;
use std::time::Duration;

/// What to do until the next look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look again at once.
    Spin,
    /// Give the core to somebody else first.
    Yield,
    /// Sleep for a moment ([`NAP`]), without being woken.
    Nap,
    /// Sleep until woken.
    Sleep,
}

/// How long each phase lasts, in looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    crowded: bool,
    packed: bool,
    heaped: bool,
    per_core: u32,
    spins: u32,
    yields: u32,
}

/// With a core for every rank the peer answers within a spin; measured, 20 to 2000 make no
/// difference at n=2. 2000 looks are some 50 us, about what a sleep and wake-up would cost.
const SPINS_WITH_CORES: u32 = 2000;
/// So long we spin at least, however many waits were in vain: some 3 us, more than a short message
/// needs. Less is a trap: every answer comes after the first yield (0.4 us), which then looks like
/// another wait in vain, for ever.
const SPINS_LEAST: u32 = 100;
/// With more ranks than cores the peer often waits for our core: n=4 on 2 cores, barrier by number
/// of spins before the first yield: 0-20: 3-6 us, 200: 11-23 us, 2000: 70-134 us.
const SPINS_WITHOUT: u32 = 2;
/// With more ranks than cores, if the one that we wait for is on another core: about as long as that
/// core needs to change the running process (1.3 us) and to get there; 30 looks are 1 us. A barrier of 4
/// ranks on 2 cores then takes one change per core (0.51 per rank), 1.9 us, instead of 0.75 and 2.4 us.
const SPINS_BETWEEN: u32 = 30;
/// A yield is 0.4 to 2 us; 1000 of them before the futex (whose wake-up is 27-44 us), measured
/// against none: a barrier of 4 ranks on 2 cores takes 3-6 us instead of 32-43 us.
const YIELDS: u32 = 1000;
/// With more ranks than cores one of so many yields is a nap instead. A yield gives the core to whoever has had it least, and
/// Linux 6.18 counts a process that yields as 1.4 ms further on, however short it ran: ranks that have waited for different times
/// are seconds apart then, and each of thousands of yields leads back to the same rank, up to a tick of 4 ms at a time, while
/// the one that all wait for is not let on. Who wakes up from a sleep is near the others again. Measured, 8 ranks on 2 cores,
/// loops of 10 ms that begin with a rank that computes (7 starts each), time against no naps: Allreduce of 1 MiB 0.66, Scatter 0.74,
/// Scan 0.77, Alltoall of 8 KiB 0.77, other rows 0.9 to 1.1. After 20 yields it is too early: Scan and Reduce of 1 MiB 1.6 and 2.
const YIELDS_PER_NAP: u32 = 100;
/// How long a nap is, if the kernel were exact: it adds its slack (50 us, as a rule).
pub const NAP: Duration = Duration::from_nanos(1);

impl Policy {
    /// Looks before the first yield of a wait; `near` as for [`Backoff::new`].
    #[inline]
    pub fn spins(&self, near: bool) -> u32 {
        if self.crowded && !near { self.spins.max(SPINS_BETWEEN) } else { self.spins }
    }

    /// Whether there are more ranks than processors.
    #[inline]
    pub fn crowded(&self) -> bool {
        self.crowded
    }

    /// Whether there are at least two ranks for each processor.
    #[inline]
    pub fn packed(&self) -> bool {
        self.packed
    }

    /// Whether there are at least four.
    #[inline]
    pub fn heaped(&self) -> bool {
        self.heaped
    }

    /// How many ranks there are for each processor, rounded down.
    #[inline]
    pub fn ranks_per_core(&self) -> u32 {
        self.per_core
    }

    /// The policy for a job of `ranks` ranks on the processors that we may use.
    pub fn for_ranks(ranks: u32) -> Self {
        let cpus = cpus::allowed();
        let (crowded, packed, heaped) = (ranks > cpus, ranks / 2 >= cpus, ranks / 4 >= cpus);
        let per_core = ranks / cpus.max(1);
        let spins = if crowded { SPINS_WITHOUT } else { SPINS_WITH_CORES };
        Self { crowded, packed, heaped, per_core, spins, yields: YIELDS }
    }
}

impl Policy {
    /// Learns from a wait that has ended. Spinning pays only if the peer runs on another core: when
    /// it did not (the machine is busy with something else), the next wait spins half as long, and
    /// when it did, longer again. Without this, two ranks beside a program that takes one core
    /// hold the core that the other one needs for 50 us per message.
    #[inline]
    pub fn learn(&mut self, spun: bool) {
        if self.crowded {
            return;
        }
        self.spins = if spun {
            (self.spins + self.spins / 16 + 1).min(SPINS_WITH_CORES)
        } else {
            (self.spins / 2).max(SPINS_LEAST)
        };
    }
}

impl Default for Policy {
    /// For a process alone.
    fn default() -> Self {
        Self { crowded: false, packed: false, heaped: false, per_core: 0, spins: SPINS_WITH_CORES, yields: YIELDS }
    }
}

/// One wait's way through the phases.
#[derive(Debug)]
pub struct Backoff {
    policy: Policy,
    near: bool,
    /// Looks since the wait began or something came.
    looks: u32,
    yields: u32,
    /// Looks until the next yield.
    left: u32,
    /// Looks between two yields.
    between: u32,
}

impl Backoff {
    /// At the beginning of a wait. `near`: the one that we wait for runs on our own core, or may.
    #[inline]
    pub fn new(policy: Policy, near: bool) -> Self {
        let between = if near || !policy.crowded { 0 } else { SPINS_BETWEEN };
        Self { policy, near, looks: 0, yields: 0, left: policy.spins(near), between }
    }

    /// Looked in vain: what now?
    #[inline]
    pub fn step(&mut self) -> Step {
        self.looks += 1;
        if self.left > 0 {
            self.left -= 1;
            Step::Spin
        } else if self.yields < self.policy.yields {
            self.yields += 1;
            self.left = self.between;
            let naps = self.policy.crowded && self.yields.is_multiple_of(YIELDS_PER_NAP);
            if naps { Step::Nap } else { Step::Yield }
        } else {
            Step::Sleep
        }
    }

    /// The same for a wait that has looked in vain for a while: it sleeps until something comes.
    #[must_use]
    pub fn asleep(self) -> Self {
        Self { left: 0, yields: self.policy.yields, ..self }
    }

    /// Looks made so far.
    #[inline]
    pub fn looks(&self) -> u32 {
        self.looks
    }

    /// Yields made so far in this wait.
    #[inline]
    pub fn yields(&self) -> u32 {
        self.yields
    }

    /// How the wait ended, to learn from: whether the answer came while spinning.
    #[inline]
    pub fn spun(&self) -> bool {
        self.yields == 0
    }

    /// Something came: the peer runs, so the next wait begins anew.
    #[inline]
    pub fn reset(&mut self) {
        self.looks = 0;
        self.yields = 0;
        self.left = self.policy.spins(self.near);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_in_vain_shorten_the_spinning_and_success_brings_it_back() {
        let mut policy = Policy::default();
        for _ in 0..20 {
            policy.learn(false);
        }
        assert_eq!(policy.spins, SPINS_LEAST);
        for _ in 0..200 {
            policy.learn(true);
        }
        assert_eq!(policy.spins, SPINS_WITH_CORES);
    }

    #[test]
    fn the_phases_come_in_order_and_end_in_sleep() {
        let mut backoff = Backoff::new(Policy { spins: 2, yields: 1, ..Policy::default() }, false);
        let steps: Vec<_> = (0..5).map(|_| backoff.step()).collect();
        assert_eq!(steps, [Step::Spin, Step::Spin, Step::Yield, Step::Sleep, Step::Sleep]);
        backoff.reset();
        assert_eq!(backoff.step(), Step::Spin);
    }

    #[test]
    fn with_more_ranks_than_cores_a_wait_in_vain_naps_now_and_then() {
        let naps = |crowded| {
            let mut backoff = Backoff::new(Policy { crowded, spins: 0, ..Policy::default() }, true);
            let steps: Vec<_> = (0..=YIELDS).map(|_| backoff.step()).collect();
            assert_eq!(steps.last(), Some(&Step::Sleep));
            (1..=YIELDS).filter(|at| steps[*at as usize - 1] == Step::Nap).collect::<Vec<_>>()
        };
        let every = YIELDS_PER_NAP as usize;
        assert_eq!(naps(true), (every as u32..=YIELDS).step_by(every).collect::<Vec<_>>());
        assert_eq!(naps(false), []);
    }

    #[test]
    fn with_more_ranks_than_cores_we_spin_for_those_on_other_cores_only() {
        let yields = |near| {
            let mut backoff = Backoff::new(Policy { crowded: true, spins: 0, yields: 2, ..Policy::default() }, near);
            let steps: Vec<_> = (0..SPINS_BETWEEN * 3 + 3).map(|_| backoff.step()).collect();
            assert_eq!(steps.last(), Some(&Step::Sleep));
            (0..steps.len()).filter(|at| steps[*at] == Step::Yield).collect::<Vec<_>>()
        };
        let between = SPINS_BETWEEN as usize;
        assert_eq!(yields(false), [between, 2 * between + 1]);
        assert_eq!(yields(true), [0, 1]);
    }
}
