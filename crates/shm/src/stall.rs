//! When it may be concluded that no rank of a job can go on. mpiexec reads the ranks' pages for it and
//! disturbs nobody.
//!
//! A rank is *settled* with a number while all its waits sleep and its last look, made after it said that
//! it sleeps, found nothing to do ([`crate::sleep`]). Each time it settles it takes another number.
//!
//! 1. All ranks stay in the same waits with the same count of progress until each wait of theirs has looked
//!    once more ([`RankPage::rounds`]): a few things are given without waking.
//! 2. Then two passes over all pages. The first reads every rank's number; the second finds every page
//!    still asleep and then every number the same.
//!
//! Between the passes there was a moment at which all ranks were settled at once. Nothing was under way
//! then: whoever gave something before it settled, woke the receiver after giving it, by a swap of the
//! receiver's word to 0, and the first pass saw all that came before the giver's number. So the second
//! pass saw that 0, or a 1 of a later sleep, before which the receiver took its number back.
//!
//! That is certain if the threads that sleep are all that may call MPI; else it is a suspicion. Threads that the
//! rank's language does not know of (of OpenMP, BLAS) are for mpiexec to look at.
//! Loom: `models::stall`.

use crate::page::RankPage;
use crate::segment::Segment;
use crate::waiting::{MORE_THREADS, Story, UNKNOWN_THREADS, What};

/// A rank that can not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Its rank in the job.
    pub rank: u32,
    /// What it waits for.
    pub what: What,
    /// The same in words.
    pub story: Story,
    /// Threads that its language knows of, and that do not wait; `None` = nobody knows.
    pub others: Option<u32>,
    /// Whether the process has more threads than that.
    pub more: bool,
    /// Threads that wait.
    pub asleep: u32,
}

/// No rank can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// Those that have not ended.
    pub ranks: Vec<Stuck>,
}

impl Stall {
    /// Whether the same ranks wait for the same.
    pub fn is_like(&self, other: &Self) -> bool {
        let waits = |stall: &Self| stall.ranks.iter().map(|stuck| (stuck.rank, stuck.what)).collect::<Vec<_>>();
        waits(self) == waits(other)
    }

    /// Whether only the threads that wait may call MPI.
    pub fn certain(&self) -> bool {
        self.ranks.iter().all(|stuck| stuck.others == Some(0) && !stuck.more)
    }
}

/// Ranks and numbers that stay the same while they do.
pub type Paces = Vec<(u32, (u32, u64))>;

/// How far a rank has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    rank: u32,
    /// Waits, progress.
    pace: (u32, u64),
    rounds: u32,
}

/// So many rounds make sure that every wait has looked from beginning to end: the first of them may have
/// begun before.
const ROUNDS: u32 = 2;

/// Looks at a job from time to time.
#[derive(Debug, Default)]
pub struct Watch {
    /// Where the ranks were when they came to the waits that they are in.
    since: Vec<Mark>,
}

impl Watch {
    /// What is the same at two looks if all ranks were in the same waits all the time between.
    pub fn paces(&self) -> Paces {
        self.since.iter().map(|mark| (mark.rank, mark.pace)).collect()
    }

    /// One look; `ended` says whether the process of a rank is gone. To be called a few times a second.
    pub fn look(&mut self, segment: &Segment, ended: impl Fn(u32) -> bool) -> Option<Stall> {
        let pages: Vec<(u32, &RankPage)> = (0..segment.ranks())
            .map(|rank| (rank, segment.rank_page(rank)))
            .filter(|(rank, page)| !(ended(*rank) || page.is_over()))
            .collect();
        // Of a job at work one page says enough. It comes to its next waits with other numbers.
        if !pages.iter().all(|(_, page)| page.settled().is_some()) {
            return None;
        }
        let now: Vec<Mark> =
            pages.iter().map(|&(rank, page)| Mark { rank, pace: page.pace(), rounds: page.rounds() }).collect();
        let same = |(old, new): (&Mark, &Mark)| (old.rank, old.pace) == (new.rank, new.pace);
        if self.since.len() != now.len() || !self.since.iter().zip(&now).all(same) {
            self.since = now;
            return None;
        }
        let enough = |(old, new): (&Mark, &Mark)| new.rounds.wrapping_sub(old.rounds) >= ROUNDS;
        if now.is_empty() || !self.since.iter().zip(&now).all(enough) {
            return None;
        }
        let first = all_settled(pages.iter().map(|(_, page)| *page))?;
        let ranks = pages.iter().map(|&(rank, page)| stuck(rank, page)).collect::<Option<Vec<_>>>()?;
        still_settled(pages.iter().map(|(_, page)| *page), &first).then_some(Stall { ranks })
    }
}

fn stuck(rank: u32, page: &RankPage) -> Option<Stuck> {
    let (what, story) = (page.what()?, page.story()?);
    let (threads, asleep) = page.threads();
    let (others, more) = match threads {
        // Not asked yet.
        0 => return None,
        UNKNOWN_THREADS => (None, false),
        _ => (Some((threads & !MORE_THREADS).saturating_sub(asleep)), threads & MORE_THREADS != 0),
    };
    Some(Stuck { rank, what, story, others, more, asleep })
}

/// The first pass: everybody's number.
pub(crate) fn all_settled<'a>(pages: impl Iterator<Item = &'a RankPage>) -> Option<Vec<u32>> {
    pages.map(RankPage::settled).collect()
}

/// The second pass: nobody was woken, and the numbers are the same.
pub(crate) fn still_settled<'a>(pages: impl Iterator<Item = &'a RankPage>, first: &[u32]) -> bool {
    pages.zip(first).all(|(page, number)| page.sleeps() && page.settled() == Some(*number))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::lock::Lock;
    use crate::page::Seat;
    use crate::sleep::{Nap, Sleepers, Wait, nap};
    use crate::waiting::About;
    use std::time::Duration;

    struct Own(Sleepers);

    impl AsMut<Sleepers> for Own {
        fn as_mut(&mut self) -> &mut Sleepers {
            &mut self.0
        }
    }

    /// Runs `body` as the first thing in the sleep of `rank`: whatever it sees is what mpiexec may see.
    fn asleep(segment: &Segment, rank: u32, wait: &mut Wait, lock: &Lock<Own>, body: impl FnOnce() + Send) {
        let page = segment.rank_page(rank);
        std::thread::scope(|scope| {
            let number = page.settled();
            scope.spawn(move || {
                while page.settled() == number || page.settled().is_none() {
                    std::thread::yield_now();
                }
                body();
                page.wake();
            });
            let end = nap(lock.lock(), page, Duration::from_secs(10), wait, |_| {
                let what = What {
                    call: 1,
                    operation: 0,
                    about: About::HeldSend,
                    peer: 0,
                    tag: 0,
                    context: 0,
                    bytes: 8,
                    progress: 0,
                };
                page.say_what(what, Some(&Story::default()));
                None::<()>
            });
            assert_eq!(end, Nap::Woken);
        });
    }

    #[test]
    fn ranks_are_stuck_when_all_of_them_sleep_and_have_looked_again() {
        let segment = Segment::create(3).expect("segment");
        let mut watch = Watch::default();
        for rank in 0..2 {
            segment.rank_page(rank).set_seat(Seat::Initialized);
        }
        let locks = [(); 2].map(|()| Lock::new(Own(Sleepers::default())));
        let mut waits = [Wait::default(), Wait::default()];
        let [first, second] = &mut waits;
        let mut seen = Vec::new();
        for _ in 0..3 {
            asleep(&segment, 0, first, &locks[0], || {
                asleep(&segment, 1, second, &locks[1], || {
                    for rank in 0..2 {
                        segment.rank_page(rank).say_threads(1);
                    }
                    // Rank 2 has not begun.
                    assert_eq!(Watch { since: watch.since.clone() }.look(&segment, |_| false), None);
                    seen.push(watch.look(&segment, |rank| rank == 2));
                });
                assert_eq!(watch.look(&segment, |rank| rank == 2), None, "rank 1 is awake");
            });
        }
        let stall = seen.pop().flatten().expect("stuck");
        assert!(stall.certain());
        assert_eq!(stall.ranks.iter().map(|stuck| stuck.rank).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(seen, [None, None]);
    }

    #[test]
    fn a_rank_that_was_woken_is_not_stuck_though_it_still_sleeps() {
        let segment = Segment::create(1).expect("segment");
        let page = segment.rank_page(0);
        let lock = Lock::new(Own(Sleepers::default()));
        let mut wait = Wait::default();
        asleep(&segment, 0, &mut wait, &lock, || {
            let first = all_settled([page].into_iter()).expect("settled");
            assert!(still_settled([page].into_iter(), &first));
            page.sleep.0.store(0, crate::sync::Ordering::Relaxed);
            assert!(!still_settled([page].into_iter(), &first));
            // The helper wakes it only if it sleeps.
            page.sleep.0.store(1, crate::sync::Ordering::Relaxed);
        });
    }

    #[test]
    fn a_rank_that_has_ended_does_not_count_and_other_threads_make_it_a_suspicion() {
        let segment = Segment::create(2).expect("segment");
        let page = segment.rank_page(0);
        page.set_seat(Seat::Initialized);
        segment.rank_page(1).set_seat(Seat::Finalized);
        let lock = Lock::new(Own(Sleepers::default()));
        let (mut watch, mut wait) = (Watch::default(), Wait::default());
        let mut seen = Vec::new();
        for threads in [0, 1, 0, 2, UNKNOWN_THREADS, 1 | MORE_THREADS, 1] {
            asleep(&segment, 0, &mut wait, &lock, || {
                page.say_threads(threads);
                seen.push(watch.look(&segment, |_| false).map(|stall| (stall.ranks[0].others, stall.certain())));
            });
        }
        let (one, unknown, more, none) = ((Some(1), false), (None, false), (Some(0), false), (Some(0), true));
        assert_eq!(seen, [None, None, None, Some(one), Some(unknown), Some(more), Some(none)]);
        lock.lock().as_mut().over(page, &wait);
        let mut next = Wait::default();
        asleep(&segment, 0, &mut next, &lock, || assert_eq!(watch.look(&segment, |_| false), None, "another wait"));
    }
}
