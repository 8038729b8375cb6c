//! Who is dead, how, and who failed first. Written by mpiexec (which sees its children end), by a
//! rank that aborts, and, for ranks that no launcher of ours watches, by their peers.
//!
//! Two degrees, both final:
//! * **gone**: the process ended without `MPI_Finalize`, perhaps even without `MPI_Init`, but not
//!   evidently by a failure (exit status 0, or unknown under a foreign launcher). The job fails when
//!   somebody still sleeps in a wait [`GRACE`] later ([`check`]). A program whose ranks all leave with
//!   `os._exit(0)` is no failure.
//! * **failed**: non-zero exit, signal, uncaught exception, `MPI_Abort`. The job ends
//!   ([`first_failed`]); the first one is kept, and is the one that reports blame.
//!
//! A seat's owner lives while it holds its record lock. A free lock is no proof of death (`os::lock`),
//! so /proc has the last word where it can be asked.

use crate::os::process::Pid;
use crate::os::{lock, proc};
use crate::page::{RankPage, Seat};
use crate::segment::Segment;
use crate::sync::{AtomicU32, Ordering};
use std::fmt;
use std::os::fd::AsFd;
use std::time::Duration;

/// How long a rank may be gone before those that sleep in a wait are told that the job failed: its
/// last messages are on their way, and other ranks may be about to leave in the same manner. With all
/// that follows, the job is to end within a second of the death.
pub const GRACE: Duration = Duration::from_millis(500);

/// Seats looked at by one [`check`] (0.3 us each), so that it costs the same in large jobs.
const LOOKS: u32 = 16;

/// How a rank ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Exit status other than 0.
    Exited(i32),
    /// Killed by this signal.
    Signal(i32),
    /// `MPI_Abort` with this code, or a fatal error handler.
    Aborted(i32),
    /// An uncaught Python exception, then this exit status.
    Exception(i32),
    /// Exit status 0 in the middle of MPI.
    NotFinalized,
    /// Exit status 0 without having taken its seat.
    NotInitialized,
    /// The process is gone and nobody knows how.
    Vanished,
}

impl How {
    fn pack(self) -> u64 {
        let (kind, code) = match self {
            Self::Exited(code) => (1, code),
            Self::Signal(signal) => (2, signal),
            Self::Aborted(code) => (3, code),
            Self::Exception(code) => (4, code),
            Self::NotFinalized => (5, 0),
            Self::Vanished => (6, 0),
            Self::NotInitialized => (7, 0),
        };
        (kind << 32) | u64::from(code.cast_unsigned())
    }

    fn unpack(word: u64) -> Option<Self> {
        let code = ((word & 0xffff_ffff) as u32).cast_signed();
        Some(match word >> 32 {
            0 => return None,
            1 => Self::Exited(code),
            2 => Self::Signal(code),
            3 => Self::Aborted(code),
            4 => Self::Exception(code),
            5 => Self::NotFinalized,
            7 => Self::NotInitialized,
            _ => Self::Vanished,
        })
    }

    /// Whether it is a failure of the job by itself, whatever the others do.
    pub fn fails_job(self) -> bool {
        !matches!(self, Self::NotFinalized | Self::NotInitialized | Self::Vanished)
    }

    /// What `Header::failed_code` says: exit status, argument of `MPI_Abort`, or minus a signal.
    fn code(self) -> i32 {
        match self {
            Self::Exited(code) | Self::Aborted(code) | Self::Exception(code) => code,
            Self::Signal(signal) => -signal,
            Self::NotFinalized | Self::NotInitialized | Self::Vanished => 1,
        }
    }
}

/// What follows "rank N" in a sentence.
impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "ended with exit code {code}"),
            Self::Signal(signal) => {
                let (name, what) = crate::os::signals::describe(*signal);
                write!(f, "was killed by signal {signal} ({name}: {what})")
            }
            Self::Aborted(code) => write!(f, "called MPI_Abort({code})"),
            Self::Exception(_) => f.write_str("ended with an uncaught Python exception"),
            Self::NotFinalized => f.write_str("ended without MPI_Finalize (exit code 0) while others waited"),
            Self::NotInitialized => f.write_str("ended without MPI_Init (exit code 0) while others waited"),
            Self::Vanished => f.write_str("ended without MPI_Finalize while others waited"),
        }
    }
}

/// A rank that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Its rank in the job.
    pub rank: u32,
    /// How.
    pub how: How,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} {}", self.rank, self.how)
    }
}

/// Whether `rank` ended without `MPI_Finalize`. Costs one load.
#[inline]
pub fn is_dead(segment: &Segment, rank: u32) -> bool {
    matches!(segment.rank_page(rank).seat(), Seat::Dead | Seat::Aborted)
}

/// How `rank` ended, if it ended without `MPI_Finalize` or failed after it.
pub fn how(segment: &Segment, rank: u32) -> Option<How> {
    // SYNC ended: the word holds everything; nothing else is read by it.
    How::unpack(segment.rank_page(rank).identity.0.ended.load(Ordering::Acquire))
}

/// Notes that `rank` ended, and wakes everybody. The first note stands, except that a precise one
/// replaces [`How::Vanished`].
pub fn mark_dead(segment: &Segment, rank: u32, how: How) {
    let page = segment.rank_page(rank);
    let identity = &page.identity.0;
    let vague = How::Vanished.pack();
    // SYNC ended: see `how`.
    let first = identity.ended.compare_exchange(0, how.pack(), Ordering::AcqRel, Ordering::Acquire).is_ok();
    if first {
        identity.ended_at.store(now(), Ordering::Relaxed);
        segment.header().gone.fetch_add(1, Ordering::Relaxed);
    } else if identity.ended.compare_exchange(vague, how.pack(), Ordering::AcqRel, Ordering::Acquire).is_err() {
        return;
    }
    identity.exit_code.store(how.code(), Ordering::Relaxed);
    match (how, page.seat()) {
        (How::Aborted(_), _) => page.set_seat(Seat::Aborted),
        // What happens after MPI_Finalize concerns the launcher, not those who still communicate.
        (_, Seat::Finalized) => {}
        _ => page.set_seat(Seat::Dead),
    }
    if how.fails_job() {
        fail(segment, rank, how);
    } else {
        segment.wake_everybody();
    }
}

/// This rank calls `MPI_Abort`: everybody is told. The caller ends the process afterwards.
pub fn abort(segment: &Segment, rank: u32, code: i32) {
    mark_dead(segment, rank, How::Aborted(code));
}

fn fail(segment: &Segment, rank: u32, how: How) {
    let header = segment.header();
    // SYNC failed: the page of `rank` was written before.
    if header.failed.compare_exchange(0, rank + 1, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        header.failed_code.store(how.code(), Ordering::Relaxed);
    }
    segment.wake_everybody();
}

/// This rank has an uncaught exception and is going to end because of it. Others may fail because of
/// that and end sooner: mpiexec asks for [`first_uncaught`] before it blames them.
pub fn note_uncaught(segment: &Segment, rank: u32) {
    let flag = &segment.rank_page(rank).identity.0.uncaught;
    flag.store(1, Ordering::Relaxed);
    let first = &segment.header().uncaught;
    // Losing the race is fine: somebody else was first.
    let _ = first.compare_exchange(0, rank + 1, Ordering::Relaxed, Ordering::Relaxed);
}

/// The rank whose uncaught exception was noted first.
pub fn first_uncaught(segment: &Segment) -> Option<u32> {
    segment.header().uncaught.load(Ordering::Relaxed).checked_sub(1)
}

/// The rank whose failure was noted first. Costs one load when there is none.
#[inline]
pub fn first_failed(segment: &Segment) -> Option<Failure> {
    // SYNC failed: see `fail`.
    match segment.header().failed.load(Ordering::Acquire) {
        0 => None,
        n => Some(Failure { rank: n - 1, how: how(segment, n - 1).unwrap_or(How::Vanished) }),
    }
}

/// Whether some rank is gone or has failed. Costs one load.
#[inline]
pub fn somebody_is_gone(segment: &Segment) -> bool {
    segment.header().gone.load(Ordering::Relaxed) != 0
}

/// To be called by a rank whenever a sleep inside a wait timed out: finds peers that died without
/// anybody noting it, and says whether the job has failed. The rank has looked in vain for what it waits
/// for, after `looked` ([`now`]): what one that is gone had sent before is not missed by a rank that
/// was kept from running meanwhile. Costs a few microseconds.
pub fn check(segment: &Segment, looked: u64) -> Option<Failure> {
    let failed = first_failed(segment);
    if failed.is_some() {
        return failed;
    }
    look_at_some(segment);
    if !somebody_is_gone(segment) {
        return None;
    }
    let grace = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
    for rank in 0..segment.ranks() {
        let Some(how) = how(segment, rank) else {
            continue;
        };
        let since = segment.rank_page(rank).identity.0.ended_at.load(Ordering::Relaxed);
        if since != 0 && looked.saturating_sub(since) > grace {
            fail(segment, rank, how);
            return first_failed(segment);
        }
    }
    first_failed(segment)
}

/// Looks at the next few seats for owners that are gone.
fn look_at_some(segment: &Segment) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ranks = segment.ranks();
    let looks = LOOKS.min(ranks);
    let start = NEXT.fetch_add(looks, Ordering::Relaxed);
    for step in 0..looks {
        let rank = start.wrapping_add(step) % ranks;
        let page = segment.rank_page(rank);
        if matches!(page.seat(), Seat::Claimed | Seat::Initialized) && !owner_lives(segment, rank) {
            // It may have finalized and ended between the two looks.
            if matches!(page.seat(), Seat::Claimed | Seat::Initialized) {
                mark_dead(segment, rank, How::Vanished);
            }
        }
    }
}

/// Whether the process on the seat of `rank` lives. True as well where it can not be known.
pub fn owner_lives(segment: &Segment, rank: u32) -> bool {
    let page = segment.rank_page(rank);
    // SYNC seat-owner: who reads the pid of a seat's owner sees that the seat was taken by it.
    let Ok(pid) = i32::try_from(page.identity.0.pid.load(Ordering::Acquire)) else {
        return false;
    };
    if pid == crate::os::process::own_pid() || lock::held(segment.fd().as_fd(), rank) {
        return true;
    }
    let born = page.identity.0.born.load(Ordering::Relaxed);
    if born == 0 {
        // On the seat, but not yet settled: `gone`'s grace is longer than that takes.
        return proc::stat(pid).is_some_and(|stat| stat.runs());
    }
    same_pid_space(page) && proc::stat(pid).is_some_and(|stat| stat.runs() && stat.born == born)
}

/// The process on the seat of `rank`, if it lives and can be looked at.
pub fn owner(segment: &Segment, rank: u32) -> Option<Pid> {
    let page = segment.rank_page(rank);
    // SYNC seat-owner: as in `owner_lives`.
    let pid = i32::try_from(page.identity.0.pid.load(Ordering::Acquire)).ok()?;
    let lives = |stat: proc::Stat| stat.runs() && stat.born == page.identity.0.born();
    (same_pid_space(page) && proc::stat(pid).is_some_and(lives)).then_some(pid)
}

fn same_pid_space(page: &RankPage) -> bool {
    page.identity.0.pid_space.load(Ordering::Relaxed) == proc::pid_space()
}

/// Milliseconds of the machine's monotonic clock, at least 1.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a live struct of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let millis = time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000;
    millis.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stands() {
        let segment = Segment::create(3).expect("segment");
        assert_eq!(check(&segment, now()), None);
        mark_dead(&segment, 2, How::Signal(11));
        abort(&segment, 0, 7);
        let first = Failure { rank: 2, how: How::Signal(11) };
        assert_eq!(first_failed(&segment), Some(first));
        assert_eq!(check(&segment, now()), Some(first));
        assert_eq!(how(&segment, 0), Some(How::Aborted(7)));
        assert!(is_dead(&segment, 0) && is_dead(&segment, 2) && !is_dead(&segment, 1));
    }

    #[test]
    fn a_precise_word_replaces_a_vague_one_only() {
        let segment = Segment::create(2).expect("segment");
        mark_dead(&segment, 1, How::Vanished);
        assert_eq!(first_failed(&segment), None);
        mark_dead(&segment, 1, How::Signal(9));
        mark_dead(&segment, 1, How::Exited(1));
        assert_eq!(first_failed(&segment), Some(Failure { rank: 1, how: How::Signal(9) }));
    }

    #[test]
    fn a_rank_that_is_gone_fails_the_job_when_a_look_after_the_grace_was_in_vain() {
        for how in [How::NotFinalized, How::NotInitialized] {
            let segment = Segment::create(2).expect("segment");
            mark_dead(&segment, 1, how);
            assert!(is_dead(&segment, 1));
            assert_eq!(check(&segment, now()), None);
            let early = now() - u64::try_from(GRACE.as_millis()).expect("short") - 1;
            segment.rank_page(1).identity.0.ended_at.store(early, Ordering::Relaxed);
            assert_eq!(check(&segment, early + 1), None, "it may have sent since");
            assert_eq!(check(&segment, now()), Some(Failure { rank: 1, how }));
        }
    }

    #[test]
    fn the_first_uncaught_exception_is_remembered() {
        let segment = Segment::create(3).expect("segment");
        assert_eq!(first_uncaught(&segment), None);
        note_uncaught(&segment, 2);
        note_uncaught(&segment, 0);
        assert_eq!(first_uncaught(&segment), Some(2));
    }

    #[test]
    fn a_vanished_owner_is_found() {
        let segment = Segment::create(2).expect("segment");
        let mut child = std::process::Command::new("true").spawn().expect("true");
        segment.rank_page(1).identity.0.pid.store(child.id(), Ordering::Relaxed);
        segment.rank_page(1).set_seat(Seat::Initialized);
        child.wait().expect("end of true");
        assert_eq!(check(&segment, now()), None);
        assert_eq!(how(&segment, 1), Some(How::Vanished));
    }

    #[test]
    fn every_ending_survives_packing() {
        let silent = [How::NotFinalized, How::NotInitialized, How::Vanished];
        for how in [How::Exited(3), How::Signal(9), How::Aborted(-1), How::Exception(1)].into_iter().chain(silent) {
            assert_eq!(How::unpack(how.pack()), Some(how));
        }
        assert_eq!(How::unpack(0), None);
    }
}
