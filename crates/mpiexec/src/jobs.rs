//! The jobs of this user that run on this machine, found through the memory files that their processes have open, and
//! what each of their ranks does.

use crate::ask;
use crate::story::{Arrived, Words};
use shm::os::proc;
use shm::os::process::Pid;
use shm::page::Seat;
use shm::sync::Ordering;
use shm::told::Answer;
use shm::{Segment, liveness};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// A rank that computes does not answer: so long everybody is waited for.
const LIMIT: Duration = Duration::from_millis(150);

/// A job.
pub(crate) struct Job {
    pub(crate) segment: Segment,
    /// The process of mpiexec; none under another launcher.
    pub(crate) launcher: Option<Pid>,
}

/// What a rank does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) words: Words,
    /// Since so many milliseconds, if it waits.
    pub(crate) waits: Option<u64>,
}

/// All of them, the oldest first.
pub(crate) fn running() -> Vec<Job> {
    let mut seen = BTreeSet::new();
    let mut jobs = Vec::new();
    for path in proc::all().into_iter().flat_map(proc::job_memories) {
        if let Ok(meta) = std::fs::metadata(&path)
            && seen.insert((meta.dev(), meta.ino()))
            && let Some(job) = open(&path)
        {
            jobs.push(job);
        }
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.age()));
    jobs
}

/// None if it is no job, or one of another user or version, or one whose processes are gone.
fn open(path: &Path) -> Option<Job> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).ok()?;
    let segment = Segment::look_into(file.into()).ok()?;
    let launcher = Some(segment.header().launcher.load(Ordering::Relaxed).cast_signed());
    let launcher = launcher.filter(|&pid| lives(pid));
    let job = Job { segment, launcher };
    // A process that uses MPI without a launcher is no job.
    let alone = job.launcher.is_none() && job.segment.ranks() == 1;
    (!alone && (job.launcher.is_some() || job.pids().any(lives))).then_some(job)
}

fn lives(pid: Pid) -> bool {
    proc::stat(pid).is_some_and(|stat| stat.runs())
}

impl Job {
    /// The process of a rank; 0 = it has not taken its seat.
    pub(crate) fn pid(&self, rank: u32) -> Pid {
        self.segment.rank_page(rank).identity.0.pid.load(Ordering::Relaxed).cast_signed()
    }

    pub(crate) fn pids(&self) -> impl Iterator<Item = Pid> {
        (0..self.segment.ranks()).map(|rank| self.pid(rank)).filter(|pid| *pid > 0)
    }

    /// The process that stands for the job.
    pub(crate) fn leader(&self) -> Option<Pid> {
        self.launcher.or_else(|| self.pids().next())
    }

    /// How long it has run.
    pub(crate) fn age(&self) -> Duration {
        let stat = self.leader().and_then(proc::stat);
        stat.and_then(|stat| proc::age(stat.born)).unwrap_or_default()
    }

    /// What its first rank runs, or what mpiexec was told.
    pub(crate) fn program(&self) -> String {
        let words = self.pids().chain(self.launcher).map(proc::command_line).find(|words| !words.is_empty());
        words.unwrap_or_default().join(" ")
    }

    /// What each rank does.
    pub(crate) fn states(&self) -> Vec<State> {
        let segment = &self.segment;
        let all: Vec<u32> = (0..segment.ranks()).collect();
        let asked: Vec<u32> = all.iter().copied().filter(|&rank| self.may_answer(rank)).collect();
        let mut answers = vec![Answer::default(); all.len()];
        for (&rank, answer) in asked.iter().zip(ask::all(segment, &asked, LIMIT)) {
            let mut answer = answer.unwrap_or_default();
            if answer.waits.is_empty() {
                answer.waits.extend(ask::from_page(segment, rank));
            }
            answers[rank as usize] = answer;
        }
        let arrived = Arrived::of((0..).zip(&answers));
        all.iter().map(|&rank| self.state(rank, &answers[rank as usize], &arrived)).collect()
    }

    fn may_answer(&self, rank: u32) -> bool {
        let stat = proc::stat(self.pid(rank));
        self.segment.rank_page(rank).seat() == Seat::Initialized
            && stat.is_some_and(|stat| stat.runs() && !matches!(stat.state, b'T' | b't'))
    }

    fn state(&self, rank: u32, answer: &Answer, arrived: &Arrived) -> State {
        let page = self.segment.rank_page(rank);
        let stat = proc::stat(self.pid(rank)).filter(proc::Stat::runs);
        let plain = |of_one, of_many| State { words: Words::new(of_one, of_many), waits: None };
        let stat = match (page.seat(), stat) {
            (Seat::Empty, _) => return plain("has not begun MPI", "have not begun MPI"),
            (_, None) | (Seat::Aborted | Seat::Dead, _) => return plain("has ended", "have ended"),
            (_, Some(stat)) if matches!(stat.state, b'T' | b't') => return plain("is stopped", "are stopped"),
            (Seat::Claimed, _) => return plain("begins MPI", "begin MPI"),
            (Seat::Finalized, _) => return plain("has finalized MPI", "have finalized MPI"),
            (Seat::Initialized, Some(stat)) => stat,
        };
        let size = self.segment.ranks();
        let wait = |told| Words::of_wait(told, size, &arrived.missing(told));
        let mut words: Vec<Words> = answer.waits.iter().map(wait).collect();
        let waits = (!words.is_empty()).then(|| liveness::now().saturating_sub(page.waits_since()));
        for site in &answer.polls {
            let at = if site.is_empty() { String::new() } else { format!(" at {site}") };
            let how = format!("(Test, Iprobe or their like){at}");
            words.push(Words::new(format!("polls {how}"), format!("poll {how}")));
        }
        match stat.state {
            _ if !words.is_empty() => State { words: words.into_iter().collect(), waits },
            b'R' => plain("computes", "compute"),
            b'D' => plain("waits for a file or device", "wait for a file or device"),
            _ => plain("sleeps outside of MPI", "sleep outside of MPI"),
        }
    }
}

/// `0:12:33`.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Folds ranks that do the same; of those that wait, the longest time counts.
pub(crate) fn folded<K: PartialEq>(
    states: impl IntoIterator<Item = (K, Option<u64>)>,
) -> Vec<(K, Option<u64>, Vec<u32>)> {
    let mut lines: Vec<(K, Option<u64>, Vec<u32>)> = Vec::new();
    for (rank, (key, waits)) in (0..).zip(states) {
        match lines.iter_mut().find(|(known, ..)| *known == key) {
            Some((_, longest, ranks)) => {
                *longest = (*longest).max(waits);
                ranks.push(rank);
            }
            None => lines.push((key, waits, vec![rank])),
        }
    }
    lines
}

/// `, for 12 s`, if it waits.
pub(crate) fn so_long(waits: Option<u64>) -> String {
    match waits {
        Some(millis @ 0..120_000) => format!(", for {} s", millis / 1000),
        Some(millis) => format!(", for {} min", millis / 60_000),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_folded_ranks() {
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!([so_long(Some(12_900)), so_long(Some(180_000)), so_long(None)], [", for 12 s", ", for 3 min", ""]);
        let lines = folded([("a", Some(1)), ("b", None), ("a", Some(3))]);
        assert_eq!(lines, [("a", Some(3), vec![0, 2]), ("b", None, vec![1])]);
    }
}
