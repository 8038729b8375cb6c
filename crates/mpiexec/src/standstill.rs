//! Whether the job stands still, and whether that is to be said: at once if it is certain that no rank can go on;
//! if threads that do not wait may still do something, when nothing has happened for a while; and not twice.

use crate::start::Rank;
use shm::os::process::Pid;
use shm::os::{proc, threads};
use shm::page::STACKS_SIGNAL;
use shm::stall::{Paces, Stall, Watch};
use shm::{Segment, liveness};
use std::time::{Duration, Instant};

/// So long nothing must happen before a standstill is said to be suspected.
const PATIENCE: Duration = Duration::from_secs(5);
/// A process whose threads use more of a processor than this meanwhile is at work (in thousandths).
const AT_WORK: u64 = 50;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Standstill {
    watch: Watch,
    /// At the last look that found a standstill: where the ranks were, and their threads.
    threads: Option<(Paces, Vec<Option<Vec<threads::Thread>>>)>,
    /// A standstill that is not certain, since when, and the processor time of each rank then.
    suspected: Option<(Stall, Instant, Vec<u64>)>,
    /// What was said last.
    said: Option<Stall>,
}

impl Standstill {
    /// One look at a job with these ranks; a standstill if it is to be reported now. `at_once`: also if it is only
    /// suspected.
    pub(crate) fn look(&mut self, segment: &Segment, ranks: &[Rank], at_once: bool) -> Option<Stall> {
        // One that left MPI in the middle is seen by those that wait for it, which then says more.
        if liveness::somebody_is_gone(segment) {
            return None;
        }
        // The rank may be a process that our child has started, and left.
        let gone = |rank: u32| {
            ranks.get(rank as usize).is_none_or(|rank| rank.exit.is_some()) && !liveness::owner_lives(segment, rank)
        };
        let stall = self.watch.look(segment, gone)?;
        let stall = self.with_all_threads(segment, stall)?;
        let said = self.said.as_ref().filter(|said| said.is_like(&stall));
        if said.is_some_and(|said| said.certain() || !stall.certain()) {
            return None;
        }
        if !(stall.certain() || at_once || self.has_lasted(segment, &stall)) {
            return None;
        }
        self.said = Some(stall.clone());
        Some(stall)
    }

    /// Counts the threads that a rank's language does not know of, but those that wait for other threads of their
    /// process. Who does so at two looks, and has not run between them, while all that MPI knows stayed as it was, is
    /// woken by nobody. None: there was no earlier look.
    fn with_all_threads(&mut self, segment: &Segment, mut stall: Stall) -> Option<Stall> {
        if stall.ranks.iter().all(|stuck| !stuck.more) {
            self.threads = None;
            return Some(stall);
        }
        let threads = |rank| {
            let pid = liveness::owner(segment, rank)?;
            // A handler in C may wake them.
            if has_handlers(pid) { None } else { threads::of(pid) }
        };
        let all = stall.ranks.iter().map(|stuck| if stuck.more { threads(stuck.rank) } else { None }).collect();
        let paces = self.watch.paces();
        let before = self.threads.replace((paces, all));
        let (paces, now) = self.threads.as_ref()?;
        let (_, before) = before.filter(|(known, _)| known == paces)?;
        for ((stuck, before), now) in stall.ranks.iter_mut().zip(&before).zip(now).filter(|((stuck, _), _)| stuck.more)
        {
            let busy = before.as_ref().zip(now.as_ref()).map(|(before, now)| {
                let busy = now.len().saturating_sub(threads::idle(before, now) + stuck.asleep as usize);
                u32::try_from(busy).unwrap_or(u32::MAX)
            });
            stuck.others = stuck.others.zip(busy).map(|(known, busy)| known.max(busy));
            stuck.more = false;
        }
        Some(stall)
    }

    /// Whether it has lasted, and nobody works.
    fn has_lasted(&mut self, segment: &Segment, stall: &Stall) -> bool {
        let used = || stall.ranks.iter().map(|stuck| used_by(segment, stuck.rank)).collect::<Vec<_>>();
        let Some((_, since, before)) = self.suspected.as_ref().filter(|(known, ..)| known.is_like(stall)) else {
            self.suspected = Some((stall.clone(), Instant::now(), used()));
            return false;
        };
        let took = since.elapsed();
        if took < PATIENCE {
            return false;
        }
        let (now, limit) = (used(), took.as_millis() as u64 * AT_WORK / 1000);
        let works = now.iter().zip(before).any(|(now, before)| now.saturating_sub(*before) > limit);
        if works {
            self.suspected = Some((stall.clone(), Instant::now(), now));
        }
        !works
    }
}

/// Whether a process has handlers for signals that come from outside, but those that Python and the C library have,
/// and the one of ours.
fn has_handlers(pid: Pid) -> bool {
    /// Those of the C library's threads.
    const LIBRARY: [i32; 2] = [32, 33];
    const FAULTS: [i32; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP];
    let harmless = [libc::SIGINT, libc::SIGPIPE, STACKS_SIGNAL].into_iter().chain(LIBRARY).chain(FAULTS);
    let harmless = harmless.fold(0, |mask, signal| mask | proc::bit(signal));
    proc::caught(pid).is_none_or(|caught| caught & !harmless != 0)
}

/// Processor time that the process of a rank has used, in milliseconds.
fn used_by(segment: &Segment, rank: u32) -> u64 {
    liveness::owner(segment, rank).and_then(proc::stat).map_or(0, |stat| stat.used)
}
