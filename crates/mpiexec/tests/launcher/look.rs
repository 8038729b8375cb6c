//! `mpiexec ps` and `mpiexec stack`: what runs, and what its ranks do.

use super::support::{kill, rank, run, start, wait};
use std::time::{Duration, Instant};

#[test]
fn a_running_job_is_listed_with_what_its_ranks_do() {
    let mut job = start(&["--deadlock=off", "-n", "2", &rank(), "held", "2", ":", "-n", "1", &rank(), "work", "20"]);
    let pid = job.id().to_string();
    let begun = Instant::now();
    let waits = "ranks 0, 1 Send(dest=2, tag=7) of 80000 bytes on MPI_COMM_WORLD at x.py:12 wait for its receive, for ";
    loop {
        let stack = run(&["stack", &pid]);
        if stack.stdout.contains(waits) && stack.stdout.contains("rank 2 sleeps outside of MPI\n") {
            stack.status_is(0);
            stack.must(stack.stdout.starts_with(&format!("job {pid}: 3 ranks of ")), "which job it is");
            break;
        }
        stack.must(begun.elapsed() < Duration::from_secs(10), "the ranks are there");
    }
    let ps = run(&["ps"]);
    ps.status_is(0);
    let ours = ps.stdout.lines().skip_while(|line| !line.trim_start().starts_with(&format!("{pid} "))).take(3);
    let ours: Vec<&str> = ours.collect();
    ps.must(ours.len() == 3 && ours[0].contains(" held 2"), "the job and its program");
    ps.must(ours[1].contains(waits) && ours[2].contains("rank 2 sleeps outside of MPI"), "its ranks");
    kill(job.id(), libc::SIGTERM);
    wait(&mut job, Duration::from_secs(10));
    let gone = run(&["stack", &pid]);
    gone.status_is(1);
    gone.says("stack: no job has this process");
}

#[test]
fn a_program_of_the_same_name_can_still_be_started() {
    let outcome = run(&["-n", "1", "ps"]);
    outcome.status_is(0);
    outcome.must(outcome.stdout.contains("PID"), "the system's ps");
    run(&["ps", "-e"]).status_is(2);
}
