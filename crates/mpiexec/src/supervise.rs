//! The one loop of mpiexec: output, input, signals, deaths, time limits, and how a job ends.
//!
//! What happens when a rank fails:
//! 1. It is marked in the shared memory, which wakes whoever waits on it.
//! 2. *Urgent* (it was in the middle of MPI): the others get SIGTERM at once, SIGKILL 0.45 s later. A rank
//!    that is itself printing an uncaught exception is spared until then, to finish its traceback.
//! 3. *Not urgent* (it had finalized, or is no MPI program): the others have 0.4 s to end by
//!    themselves, as when all ranks leave with `sys.exit(3)`. Ranks that have finalized are never ended.
//! 4. After the user's SIGINT or SIGTERM, which the ranks got as well, they have 5 s for their own
//!    cleaning up once the first of them has ended by it. A second such signal kills at once.

use crate::check;
use crate::cleanup;
use crate::flags::parse::Deadlock;
use crate::guardian::Guardian;
use crate::stall::{Occasion, Report};
use crate::standstill::Standstill;
use crate::start::Job;
use crate::verdict::{self, Verdict};
use shm::liveness::{self, Failure, How};
use shm::os::io::{self, Poll};
use shm::os::process::{self, Exit, Trouble};
use shm::page::Seat;
use shm::sync::Ordering;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// From SIGTERM to SIGKILL.
const TERM_TO_KILL: Duration = Duration::from_millis(450);
/// What ranks that have finalized, or use no MPI, get when another one ended with an error.
const GENTLE: Duration = Duration::from_millis(400);
/// What ranks get for cleaning up after the user's signal.
const INTERRUPT: Duration = Duration::from_secs(5);
/// Two signals within this time are one: `timeout` signals the process and then its group.
const SAME_SIGNAL: Duration = Duration::from_millis(200);
/// How often to look at the shared memory: for a failure that no process's end tells (a rank that left with
/// exit code 0, or one behind a shell that goes on), and whether any rank can go on: a rank that sleeps is
/// awake for a moment every 250 ms, and all of them must be seen asleep at once.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// A job that is being ended.
#[derive(Debug, Clone, Copy)]
struct Stop {
    term_at: Instant,
    kill_at: Instant,
    termed: bool,
    killed: bool,
    /// Ranks that have finalized end by themselves.
    spare_finalized: bool,
}

/// Runs a job to its end.
pub(crate) struct Supervisor {
    pub(crate) job: Job,
    poll: Poll,
    begun: Instant,
    verdict: Option<Verdict>,
    stop: Option<Stop>,
    interrupted: Option<(i32, Instant)>,
    /// The user insists: no more patience with anything.
    insisted: bool,
    standstill: Standstill,
}

impl Supervisor {
    pub(crate) fn new(job: Job) -> Self {
        Self {
            job,
            poll: Poll::default(),
            begun: Instant::now(),
            verdict: None,
            stop: None,
            interrupted: None,
            insisted: false,
            standstill: Standstill::default(),
        }
    }

    /// Returns mpiexec's exit status when nothing of the job is left.
    pub(crate) fn run(mut self) -> i32 {
        if let Some(error) = self.job.refused.take() {
            self.conclude(Verdict::CannotStart { text: error.text, status: 1 }, false);
        }
        while self.job.ranks.iter().any(|rank| rank.exit.is_none()) {
            self.turn(HEARTBEAT);
            self.heartbeat();
        }
        if self.verdict.is_none()
            && let Some((signal, _)) = self.interrupted
            && self.job.ranks.iter().any(|rank| rank.ended_by_us)
        {
            self.verdict = Some(Verdict::Interrupted(signal));
        }
        cleanup::after(&mut self);
        self.last_words()
    }

    /// Waits for something to happen, at most for `limit`, and deals with it.
    pub(crate) fn turn(&mut self, limit: Duration) {
        self.poll.clear();
        let signals = self.poll.read(self.job.signals.as_fd());
        self.job.output.register(&mut self.poll);
        self.job.stdin.register(&mut self.poll);
        let now = Instant::now();
        let stop = self.stop.and_then(|stop| match (stop.termed, stop.killed) {
            (false, _) => Some(stop.term_at),
            (true, false) => Some(stop.kill_at),
            (true, true) => None,
        });
        let timeout = self.job.plan.timeout.map(|timeout| self.begun + timeout).filter(|_| self.verdict.is_none());
        let deadlines = [self.job.output.deadline(), self.job.stdin.deadline(), stop, timeout, Some(now + limit)];
        let next = deadlines.into_iter().flatten().min().unwrap_or(now);
        self.poll.wait(Some(next.saturating_duration_since(now)));

        if self.poll.ready(signals) {
            while let Some(signal) = self.job.signals.next() {
                self.signal(signal);
            }
        }
        self.job.output.turn(&self.poll);
        self.job.stdin.turn(&self.poll);
        self.look_at_output();
        self.keep_time();
    }

    fn look_at_output(&mut self) {
        if self.verdict.is_none()
            && let Some(error) = self.job.output.broken()
        {
            let verdict = match error.kind() {
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Verdict::ReaderGone,
                _ => Verdict::CannotWrite(error.to_string()),
            };
            self.conclude(verdict, true);
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        if let Some(timeout) = self.job.plan.timeout
            && self.verdict.is_none()
            && now >= self.begun + timeout
        {
            self.conclude(Verdict::TimedOut(timeout.as_secs_f64()), true);
        }
        let Some(mut stop) = self.stop else { return };
        if !stop.termed && now >= stop.term_at {
            stop.termed = true;
            self.end_ranks(stop, libc::SIGTERM);
        }
        if !stop.killed && now >= stop.kill_at {
            stop.killed = true;
            self.end_ranks(stop, libc::SIGKILL);
        }
        self.stop = Some(stop);
    }

    fn end_ranks(&mut self, stop: Stop, signal: i32) {
        for (number, rank) in (0..).zip(&mut self.job.ranks) {
            let page = self.job.segment.rank_page(number);
            let finalized = page.seat() == Seat::Finalized;
            let in_traceback = page.identity.0.uncaught.load(Ordering::Relaxed) != 0;
            if rank.exit.is_some() || (finalized && stop.spare_finalized) || (in_traceback && signal != libc::SIGKILL) {
                continue;
            }
            rank.ended_by_us = true;
            process::signal_group(rank.pid, signal);
            // One that was stopped could not die of SIGTERM.
            process::signal_group(rank.pid, libc::SIGCONT);
        }
    }

    /// Notes why the job ends (the first reason stands) and sees to it that it does.
    fn conclude(&mut self, verdict: Verdict, urgent: bool) {
        let now = Instant::now();
        let spare_finalized = !urgent && matches!(verdict, Verdict::Failed(_));
        self.verdict.get_or_insert(verdict);
        let term_at = match self.interrupted {
            Some(_) => now + INTERRUPT,
            None if urgent => now,
            None => now + GENTLE,
        };
        let next = Stop { term_at, kill_at: term_at + TERM_TO_KILL, termed: false, killed: false, spare_finalized };
        self.stop = Some(match self.stop {
            // A more urgent reason has come.
            Some(stop) if !stop.termed && next.term_at < stop.term_at => next,
            Some(stop) => Stop { spare_finalized: stop.spare_finalized && spare_finalized, ..stop },
            None => next,
        });
        self.keep_time();
    }

    fn signal(&mut self, signal: i32) {
        match signal {
            libc::SIGCHLD => self.children(),
            libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT => self.interrupt(signal),
            libc::SIGWINCH => {
                self.job.output.resize();
                self.forward(signal);
            }
            libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
                // Ranks have no terminal, so only SIGSTOP stops them as Ctrl-Z would.
                self.forward(libc::SIGSTOP);
                process::stop_self();
                self.forward(libc::SIGCONT);
            }
            _ => self.forward(signal),
        }
    }

    fn forward(&self, signal: i32) {
        for rank in self.job.ranks.iter().filter(|rank| rank.exit.is_none()) {
            process::signal_group(rank.pid, signal);
        }
    }

    fn interrupt(&mut self, signal: i32) {
        let now = Instant::now();
        match self.interrupted {
            Some((_, at)) if now < at + SAME_SIGNAL => {}
            Some(_) => {
                self.insisted = true;
                let stop = Stop { term_at: now, kill_at: now, termed: true, killed: true, spare_finalized: false };
                self.stop = Some(stop);
                self.end_ranks(stop, libc::SIGKILL);
            }
            None => {
                self.interrupted = Some((signal, now));
                self.forward(signal);
            }
        }
    }

    /// A child has ended: a rank, the guardian, or an orphan that came to us.
    fn children(&mut self) {
        self.troubles();
        let mut some = false;
        for number in 0..self.job.ranks.len() {
            let rank = &mut self.job.ranks[number];
            if rank.exit.is_none()
                && let Some(exit) = process::exit_of(rank.pid)
            {
                some = true;
                rank.exit = Some(exit);
                self.ended(u32::try_from(number).unwrap_or(u32::MAX), exit);
            }
        }
        if some {
            return;
        }
        if self.job.guardian.has_died()
            && let Ok(next) = Guardian::start(&self.job.key)
        {
            next.watch_over(self.job.ranks.iter().map(|rank| rank.pid));
            self.job.guardian = next;
        }
        cleanup::reap_orphans(&self.job);
    }

    /// Ranks that could not become their program say so in a pipe.
    fn troubles(&mut self) {
        let mut bytes = [0u8; Trouble::BYTES];
        while io::read(self.job.trouble.as_fd(), &mut bytes).is_ok_and(|got| got == bytes.len()) {
            let trouble = Trouble::from_bytes(bytes);
            let rank = self.job.ranks.iter().position(|rank| rank.pid == trouble.pid).unwrap_or(0);
            let mut before = 0;
            let name = self.job.plan.groups.iter().find_map(|group| {
                before += group.ranks as usize;
                (rank < before).then_some(group.name.as_str())
            });
            let cause = std::io::Error::from_raw_os_error(trouble.errno);
            let what = if trouble.in_dir { "its directory" } else { "it" };
            let text = format!("can not start '{}' (rank {rank}): {what}: {cause}", name.unwrap_or("?"));
            let status = if trouble.errno == libc::ENOENT { 127 } else { 126 };
            self.conclude(Verdict::CannotStart { text, status }, true);
        }
    }

    fn ended(&mut self, number: u32, exit: Exit) {
        let segment = &self.job.segment;
        // Ranks that check wait for all others at their end.
        shm::report::comes_to_end(segment, number);
        let page = segment.rank_page(number);
        let seat = page.seat();
        let uncaught = page.identity.0.uncaught.load(Ordering::Relaxed) != 0;
        let Some(how) = verdict::judge(exit, seat, liveness::how(segment, number), uncaught) else {
            return;
        };
        if self.job.ranks[number as usize].ended_by_us {
            return;
        }
        liveness::mark_dead(segment, number, how);
        if !how.fails_job() {
            // Not yet: when somebody waits for the rank (`liveness::check`).
            return;
        }
        let gentle = matches!(seat, Seat::Finalized | Seat::Empty);
        self.failed(Failure { rank: number, how }, !gentle);
    }

    fn failed(&mut self, seen: Failure, urgent: bool) {
        // Another rank may have been noted before: one that aborted because this one died comes later.
        let mut first = liveness::first_failed(&self.job.segment).unwrap_or(seen);
        // And one that raised an exception may be slower to end than those whom that brought down.
        let raised = |rank| self.job.segment.rank_page(rank).identity.0.uncaught.load(Ordering::Relaxed) != 0;
        if raised(first.rank)
            && let How::Exception(code) | How::Aborted(code) | How::Exited(code) = first.how
        {
            let rank = liveness::first_uncaught(&self.job.segment).unwrap_or(first.rank);
            first = Failure { rank, how: How::Exception(code) };
        }
        // What a rank does after the user's signal is the user's doing.
        if let Some((signal, _)) = self.interrupted
            && Verdict::Failed(first).status() == 128 + signal
        {
            self.conclude(Verdict::Interrupted(signal), false);
        } else {
            self.conclude(Verdict::Failed(first), urgent);
        }
    }

    /// Looks for failures that no process's end tells.
    fn heartbeat(&mut self) {
        if self.verdict.is_none()
            && let Some(failure) = liveness::first_failed(&self.job.segment)
        {
            self.failed(failure, true);
        }
        if self.job.plan.deadlock != Deadlock::Off && self.verdict.is_none() {
            self.look_for_progress();
        }
    }

    /// Says so when no rank can ever go on, and ends the job.
    fn look_for_progress(&mut self) {
        let sync_sends = self.job.plan.sync_sends;
        let Some(stall) = self.standstill.look(&self.job.segment, &self.job.ranks, sync_sends) else { return };
        let report = Report::on(&stall, &self.job.segment);
        let stops = stall.certain() && self.job.plan.deadlock == Deadlock::Stop;
        let occasion = if sync_sends { Occasion::SyncSends } else { Occasion::Deadlock { goes_on: !stops } };
        let text = report.text(occasion);
        if stops {
            let more = if sync_sends { "" } else { " (--deadlock=report lets them wait)" };
            self.conclude(Verdict::Stuck(text, more), true);
        } else {
            self.job.output.say(&text);
        }
    }

    /// Whether the job has ended badly.
    pub(crate) fn went_wrong(&self) -> bool {
        self.verdict.is_some() || self.interrupted.is_some()
    }

    /// Whether the user wants us gone at once.
    pub(crate) fn insisted(&self) -> bool {
        self.insisted
    }

    fn last_words(mut self) -> i32 {
        let size = u32::try_from(self.job.ranks.len()).unwrap_or(u32::MAX);
        let failed = match &self.verdict {
            // It may have been slower to end than we were to end all of them.
            Some(Verdict::Failed(failure)) => Some(failure.rank),
            _ => None,
        };
        let ended = (0..).zip(&self.job.ranks).filter(|(number, rank)| rank.ended_by_us && Some(*number) != failed);
        let ended = u32::try_from(ended.count()).unwrap_or(u32::MAX);
        let status = self.verdict.as_ref().map_or(0, Verdict::status);
        let reports: Vec<_> = (0..size).map(|rank| shm::report::read(&self.job.segment, rank)).collect();
        for report in check::reports(&reports) {
            self.job.output.say(&report);
        }
        if let Some(sentence) = self.verdict.as_ref().and_then(|verdict| verdict.sentence(size, ended)) {
            self.job.output.say(&sentence);
        }
        while self.job.output.waits() && !self.insisted {
            self.turn(HEARTBEAT);
        }
        self.job.guardian.dismiss();
        status
    }
}
