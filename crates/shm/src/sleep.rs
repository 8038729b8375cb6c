//! Falling asleep without missing what comes meanwhile. The order is the whole secret, and loom
//! tries it (`models::sleep`): say on the page that we sleep, fence, look once more, give the lock
//! up, sleep only while the page still says so. A peer gives first, fences, and then reads the page
//! ([`RankPage::wake`]), so one of the two sees the other.
//!
//! A rank that sleeps also says whether it has *settled*: every wait of it that has come to sleep sleeps,
//! and looked in vain after the last thing that the rank knows of. [`crate::stall`] concludes from that
//! when no rank can go on.

use crate::lock::Guard;
use crate::os::futex::{self, Woke};
use crate::page::RankPage;
use std::time::Duration;

/// The threads of this process that sleep, or are about to. They share the word on the page, so
/// it is theirs only together: the last one clears it. Lies behind the process's lock.
#[derive(Debug, Default)]
pub struct Sleepers {
    asleep: u32,
    /// Of these, how many have looked in vain since they said so and since anybody was woken.
    settled: u32,
    /// Counts the times that those who sleep were woken while another thread came to sleep.
    stirs: u32,
    /// Number of the last time that all had settled.
    number: u32,
    /// Waits that have slept and are not over.
    waits: u32,
    /// Number of the latest of them.
    latest: u64,
    /// Those that have looked since the last round.
    looked: Vec<u64>,
}

/// One wait, from its first sleep on.
#[derive(Debug, Default)]
pub struct Wait(u64);

impl Sleepers {
    /// Whether there are any: who completes something for another thread then wakes them.
    #[inline]
    pub fn any(&self) -> bool {
        self.asleep > 0
    }

    /// Number of the wait that came to sleep last.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    pub(crate) fn enter(&mut self, page: &RankPage, wait: &mut Wait) {
        page.unsettle();
        if wait.0 == 0 {
            self.latest += 1;
            wait.0 = self.latest;
            self.waits += 1;
            self.looked.clear();
            page.new_wait();
        }
        self.asleep += 1;
        let slept = page.fall_asleep();
        if !slept {
            // Others that sleep were woken, and have not looked since.
            self.stirs = self.stirs.wrapping_add(1);
            self.settled = 0;
        }
    }

    /// A last look was in vain: what [`Self::leave`] wants to know.
    pub(crate) fn settle(&mut self, page: &RankPage, wait: &Wait) -> Settled {
        self.settled += 1;
        if !self.looked.contains(&wait.0) {
            self.looked.push(wait.0);
        }
        if self.looked.len() == self.waits as usize {
            self.looked.clear();
            page.new_round();
        }
        if self.settled == self.waits {
            self.number = self.number.wrapping_add(1).max(1);
            page.settle(self.number, self.asleep);
        }
        Settled(self.stirs)
    }

    fn leave(&mut self, page: &RankPage, settled: Option<Settled>) {
        page.unsettle();
        self.asleep -= 1;
        if settled == Some(Settled(self.stirs)) {
            self.settled -= 1;
        }
        if self.asleep == 0 {
            page.awake();
        }
    }

    /// A wait is over, if it ever slept.
    pub fn over(&mut self, page: &RankPage, wait: &Wait) {
        if wait.0 != 0 {
            page.wait_over();
            self.waits -= 1;
            self.looked.retain(|other| *other != wait.0);
        }
    }
}

/// That a sleeper has settled, as long as nobody was woken since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled(u32);

/// How [`nap`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Nap<T> {
    /// The last look found this; there was no sleep.
    Found(T),
    /// Somebody woke us: look again.
    Woken,
    /// A signal came, or the time is over.
    Disturbed,
}

/// Sleeps until the page's owner is woken, at most for `limit`, unless a last `look` finds something.
/// `guard` is the process's lock, which is given up for the sleep. When the wait is over its `wait` goes
/// to [`Sleepers::over`].
pub fn nap<S: AsMut<Sleepers>, T>(
    mut guard: Guard<'_, S>,
    page: &RankPage,
    limit: Duration,
    wait: &mut Wait,
    look: impl FnOnce(&mut S) -> Option<T>,
) -> Nap<T> {
    let lock = guard.lock();
    guard.as_mut().enter(page, wait);
    if let Some(found) = look(&mut guard) {
        guard.as_mut().leave(page, None);
        return Nap::Found(found);
    }
    let settled = guard.as_mut().settle(page, wait);
    drop(guard);
    let woke = futex::wait(&page.sleep.0, 1, limit);
    lock.lock().as_mut().leave(page, Some(settled));
    match woke {
        Woke::Changed => Nap::Woken,
        Woke::Signal | Woke::TimedOut => Nap::Disturbed,
    }
}
