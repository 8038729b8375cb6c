//! `--sync-sends`, `--deadlock`: a job in which no rank can go on is reported and ended; one that can is left alone.

use super::support::{command, mpiexec, rank, run, run_command};

const HEAD: &str = "mpiexec: --sync-sends: no rank can go on, each waits for another one:\n";

#[test]
fn ranks_that_all_wait_in_sends_are_reported_and_ended_soon() {
    let outcome = run(&["--sync-sends", "-n", "1", &rank(), "held", "1", ":", "-n", "1", &rank(), "held", "0"]);
    outcome.status_is(1);
    let report = format!(
        "{HEAD}  \
         rank 0 Send(dest=1, tag=7) of 80000 bytes on MPI_COMM_WORLD at x.py:12 waits for its receive\n  \
         rank 1 Send(dest=0, tag=7) of 80000 bytes on MPI_COMM_WORLD at x.py:12 waits for its receive\n  \
         the program relies on buffering of standard sends: use Isend/Irecv, Sendrecv, or order sends and receives\n  \
         all ranks were ended\n"
    );
    outcome.must(outcome.stderr == report, &format!("the report, and nothing else:\n{report}"));
}

#[test]
fn ranks_that_have_ended_do_not_hinder_the_report_and_equal_waits_are_one_line() {
    let outcome = run(&["--sync-sends", "-n", "1", &rank(), "who", ":", "-n", "3", &rank(), "held", "0"]);
    outcome.status_is(1);
    outcome.says(&format!("{HEAD}  ranks 1-3 Send(dest=0, tag=7) of 80000 bytes"));
    outcome.says("\n  rank 0 has ended\n");
    outcome.says("\n  all ranks were ended\n");
}

#[test]
fn a_rank_that_works_may_still_receive() {
    let outcome =
        run(&["--sync-sends", "-n", "1", &rank(), "work", "1.5", ":", "-n", "1", &rank(), "held", "0", "1", "1.2"]);
    outcome.status_is(0);
    outcome.must(outcome.stderr.is_empty(), "no report");
}

#[test]
fn a_rank_that_has_not_begun_may_still_receive() {
    let held = [&rank(), "held", "0", "1", "1.2"];
    let outcome = run(&[&["--sync-sends", "-n", "1", "sleep", "1.5", ":", "-n", "1"][..], &held].concat());
    outcome.status_is(0);
    outcome.must(outcome.stderr.is_empty(), "no report");
}

#[test]
fn other_threads_make_it_a_suspicion_that_is_said_once() {
    let held = [&rank(), "held", "1", "2", "2"];
    let outcome = run(&[&["--sync-sends", "-n", "1"][..], &held, &[":", "-n", "1"], &held].concat());
    outcome.status_is(0);
    let said = outcome.stderr.matches("it seems that no rank can go on").count();
    outcome.must(said == 1, "once");
    outcome.says(
        "a suspicion, the job goes on: ranks 0, 1 may have other threads, an alarm, or a handler of a signal, which may still send or receive",
    );
}

#[test]
fn without_any_flag_a_job_that_stands_still_is_reported_and_ended_soon() {
    let outcome = run(&["-n", "1", &rank(), "held", "1", ":", "-n", "1", &rank(), "held", "0"]);
    outcome.status_is(1);
    let report = "mpiexec: deadlock: no rank can go on, each waits for another one:\n  \
         rank 0 Send(dest=1, tag=7) of 80000 bytes on MPI_COMM_WORLD at x.py:12 waits for its receive\n  \
         rank 1 Send(dest=0, tag=7) of 80000 bytes on MPI_COMM_WORLD at x.py:12 waits for its receive\n  \
         the program relies on buffering of standard sends: use Isend/Irecv, Sendrecv, or order sends and receives\n  \
         all ranks were ended (--deadlock=report lets them wait)\n";
    outcome.must(outcome.stderr == report, &format!("the report, and nothing else:\n{report}"));
}

#[test]
fn it_may_be_reported_only_and_once_or_not_at_all() {
    let held = [&rank(), "held", "1", "1", "2.5"];
    let report = run(&[&["--deadlock=report", "-n", "2"][..], &held].concat());
    report.status_is(0);
    report.must(report.stderr.matches("deadlock: no rank can go on").count() == 1, "once");
    report.says("\n  the job goes on (--deadlock=report)\n");
    let off = run(&[&["--deadlock", "off", "-n", "2"][..], &held].concat());
    off.status_is(0);
    off.must(off.stderr.is_empty(), "no report");
}

#[test]
fn the_variable_says_what_to_do_and_the_flag_has_the_last_word() {
    let held = |flags: &[&str], value: &str| {
        let mut command =
            command(&mpiexec().to_string_lossy(), &[flags, &["-n", "2", &rank(), "held", "1", "1", "1.5"]].concat());
        command.env("OXMPI_DEADLOCK", value);
        run_command(command)
    };
    let off = held(&[], "off");
    off.status_is(0);
    off.must(off.stderr.is_empty(), "no report");
    held(&["--deadlock=stop"], "off").says("deadlock: no rank can go on");
    let bad = held(&[], "sometimes");
    bad.status_is(2);
    bad.says("OXMPI_DEADLOCK=sometimes: this should be stop, report or off");
}

#[test]
fn without_the_flag_a_suspicion_is_said_when_it_has_lasted() {
    let held = |seconds| {
        let held = [&rank(), "held", "1", "2", seconds];
        let outcome = run(&[&["-n", "2"][..], &held].concat());
        outcome.status_is(0);
        outcome
    };
    let short = held("3");
    short.must(short.stderr.is_empty(), "no report");
    let long = held("8");
    long.must(long.stderr.matches("deadlock suspected: it seems that no rank can go on").count() == 1, "once");
    long.says("this is a suspicion, the job goes on: ranks 0, 1 may have other threads, an alarm, or a handler");
}

#[test]
fn the_variable_is_the_flag() {
    let mut command = command(&mpiexec().to_string_lossy(), &["-n", "2", &rank(), "held", "1"]);
    command.env("OXMPI_SYNC_SENDS", "1");
    run_command(command).says(HEAD);
    let outcome = run(&["--sync-sends", "-n", "1", "sh", "-c", "echo $OXMPI_SYNC_SENDS"]);
    outcome.must(outcome.stdout == "1\n", "the ranks have it");
    run(&["-x", "OXMPI_SYNC_SENDS=0", "-n", "2", &rank(), "held", "1"]).says("mpiexec: deadlock: no rank can go on");
}
