//! Falling asleep without missing what comes meanwhile. The order is the whole secret, and loom
//! tries it (`models::sleep`): say on the page that we sleep, fence, look once more, give the lock
//! up, sleep only while the page still says so. A peer gives first, fences, and then reads the page
//! ([`RankPage::wake`]), so one of the two sees the other.

use crate::lock::Guard;
use crate::os::futex::{self, Woke};
use crate::page::RankPage;
use std::time::Duration;

/// The threads of this process that sleep, or are about to. They share the word on the page, so
/// it is theirs only together: the last one clears it. Lies behind the process's lock.
#[derive(Debug, Default)]
pub struct Sleepers(u32);

impl Sleepers {
    /// Whether there are any: who completes something for another thread then wakes them.
    #[inline]
    pub fn any(&self) -> bool {
        self.0 > 0
    }

    fn enter(&mut self, page: &RankPage) {
        self.0 += 1;
        page.fall_asleep();
    }

    fn leave(&mut self, page: &RankPage) {
        self.0 -= 1;
        if self.0 == 0 {
            page.awake();
        }
    }
}

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
/// `guard` is the process's lock, which is given up for the sleep.
pub fn nap<S: AsMut<Sleepers>, T>(
    mut guard: Guard<'_, S>,
    page: &RankPage,
    limit: Duration,
    look: impl FnOnce(&mut S) -> Option<T>,
) -> Nap<T> {
    let lock = guard.lock();
    guard.as_mut().enter(page);
    if let Some(found) = look(&mut guard) {
        guard.as_mut().leave(page);
        return Nap::Found(found);
    }
    drop(guard);
    let woke = futex::wait(&page.sleep.0, 1, limit);
    lock.lock().as_mut().leave(page);
    match woke {
        Woke::Changed => Nap::Woken,
        Woke::Signal | Woke::TimedOut => Nap::Disturbed,
    }
}
