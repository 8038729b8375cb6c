//! `--check`: what ranks report at their end is folded and printed; the exit status stays what it is.

use super::support::{command, mpiexec, rank, run, run_command};

#[test]
fn equal_lines_of_several_ranks_are_one() {
    let outcome = run(&["--check", "-n", "3", &rank(), "forgets", "2", ":", "-n", "1", &rank(), "forgets", "1"]);
    outcome.status_is(0);
    let report = "mpiexec: --check: never freed:\n  \
                  [0-2] 2 communicators from MPI_Comm_dup at x.py:10\n  \
                  [3] 1 communicator from MPI_Comm_dup at x.py:10\n\
                  mpiexec: --check: never received:\n  \
                  [0] 1 message of 3 x MPI_INT from rank 0, tag 7\n  \
                  [1] 1 message of 3 x MPI_INT from rank 1, tag 7\n  \
                  [2] 1 message of 3 x MPI_INT from rank 2, tag 7\n  \
                  [3] 1 message of 3 x MPI_INT from rank 3, tag 7\n";
    outcome.must(outcome.stderr == report, &format!("the report, and nothing else:\n{report}"));
}

#[test]
fn a_job_that_fails_keeps_its_status_and_the_sentence_comes_last() {
    let outcome = run(&["--check", "-n", "1", &rank(), "forgets", "1", "3", ":", "-n", "1", &rank(), "who"]);
    outcome.status_is(3);
    outcome
        .says("never received:\n  [0] 1 message of 3 x MPI_INT from rank 0, tag 7\nmpiexec: rank 0 of 2 failed first");
}

#[test]
fn without_the_flag_nothing_is_looked_for() {
    let outcome = run(&["-n", "2", &rank(), "forgets", "2"]);
    outcome.status_is(0);
    outcome.must(outcome.stderr.is_empty(), "silence");
}

#[test]
fn the_variable_is_the_flag() {
    let mut command = command(&mpiexec().to_string_lossy(), &["-n", "2", &rank(), "forgets", "2"]);
    command.env("OXMPI_CHECK", "1");
    run_command(command).says("[0,1] 2 communicators from MPI_Comm_dup at x.py:10");
    let outcome = run(&["--check", "-n", "1", "sh", "-c", "echo $OXMPI_CHECK"]);
    outcome.must(outcome.stdout == "1\n", "the ranks have it");
}
