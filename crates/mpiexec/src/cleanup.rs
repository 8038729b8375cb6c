//! After the last rank: nothing of the job stays, and nothing that it printed is lost.
//!
//! After a failure everything that ranks have started is killed: their process groups, then every
//! process that carries the job's key in its environment. After a good end, what ranks left running
//! in their sessions gets a moment to finish (a compressor behind a pipe), then is ended with a
//! note; a process that made itself a session of its own was meant to stay, and stays.

use crate::start::Job;
use crate::supervise::Supervisor;
use shm::os::proc;
use shm::os::process::{self, Pid};
use std::time::{Duration, Instant};

/// What a good job's leftovers get to finish by themselves.
const LEFTOVERS: Duration = Duration::from_secs(2);
/// From SIGTERM to SIGKILL for them.
const TERM_TO_KILL: Duration = Duration::from_millis(300);
/// Output of a process that made itself independent is waited for until it is silent for so long,
const SILENCE: Duration = Duration::from_millis(50);
/// and at most this long.
const ESCAPED: Duration = Duration::from_secs(1);

/// Ends what is left and passes all output on.
pub(crate) fn after(supervisor: &mut Supervisor) {
    if supervisor.went_wrong() {
        for rank in &supervisor.job.ranks {
            // The leader is a zombie of ours, so the number is still that of the group.
            process::signal_group(rank.pid, libc::SIGKILL);
        }
        proc::kill_all_with(&supervisor.job.key);
    }
    for rank in &supervisor.job.ranks {
        process::reap(rank.pid);
    }
    let groups: Vec<Pid> = supervisor.job.ranks.iter().map(|rank| rank.pid).collect();
    if !supervisor.went_wrong() && groups.iter().any(|&group| process::signal_group(group, 0)) {
        leftovers(supervisor, &groups);
    }
    rest_of_output(supervisor);
    supervisor.job.output.finish_lines();
}

fn leftovers(supervisor: &mut Supervisor, sessions: &[Pid]) {
    let begun = Instant::now();
    let mut told = false;
    loop {
        reap_orphans(&supervisor.job);
        let alive: Vec<Pid> = proc::all()
            .into_iter()
            .filter(|&pid| proc::stat(pid).is_some_and(|stat| stat.runs() && sessions.contains(&stat.session)))
            .collect();
        let Some(&some) = alive.first() else { return };
        let age = begun.elapsed();
        if age >= LEFTOVERS || supervisor.went_wrong() {
            if !told {
                let name = proc::name(some).unwrap_or_default();
                let count = if alive.len() == 1 { "one process" } else { "processes" };
                supervisor.job.output.say(&format!("the ranks left {count} running ({name}, ...): ended"));
                told = true;
            }
            let signal = if age >= LEFTOVERS + TERM_TO_KILL { libc::SIGKILL } else { libc::SIGTERM };
            for &pid in &alive {
                process::signal(pid, signal);
            }
        }
        supervisor.turn(Duration::from_millis(20));
    }
}

fn rest_of_output(supervisor: &mut Supervisor) {
    let begun = Instant::now();
    let mut limit = begun + ESCAPED;
    while !supervisor.job.output.ended() && !supervisor.insisted() {
        // What ranks wrote is in the pipes already. Who still holds one is none of ours.
        let silent = supervisor.job.output.last_heard().max(begun).elapsed() >= SILENCE;
        let waits = supervisor.job.output.waits();
        if !waits && (silent || Instant::now() > limit) {
            return;
        }
        if waits {
            limit = Instant::now() + ESCAPED;
        }
        supervisor.turn(SILENCE);
    }
}

/// Lets the numbers of ended orphans go that were adopted.
pub(crate) fn reap_orphans(job: &Job) {
    for pid in proc::children() {
        if job.ranks.iter().all(|rank| rank.pid != pid) && !job.guardian.is(pid) {
            process::try_reap(pid);
        }
    }
}
