//! Standard input goes to rank 0, or where it is told.

use super::support::{command, mpiexec, run, run_command, run_with_input};

#[test]
fn rank_0_reads_and_the_others_see_the_end() {
    let outcome = run_with_input(&["-n", "3", "sh", "-c", "echo $OXMPI_RANK:$(cat)"], "text");
    outcome.must(outcome.lines() == ["0:text", "1:", "2:"], "rank 0 only");
}

#[test]
fn another_rank_all_or_nobody_can_read() {
    let read = |who: &str| {
        let outcome = run_with_input(&["--stdin", who, "-n", "3", "sh", "-c", "echo $OXMPI_RANK:$(cat)"], "text");
        outcome.status_is(0);
        outcome.lines().join(" ")
    };
    assert_eq!(read("2"), "0: 1: 2:text");
    assert_eq!(read("all"), "0:text 1:text 2:text");
    assert_eq!(read("none"), "0: 1: 2:");
}

#[test]
fn much_input_reaches_everybody_whole() {
    let input = "0123456789abcde\n".repeat(200_000);
    let outcome = run_with_input(&["--stdin", "all", "-n", "2", "sh", "-c", "wc -c"], &input);
    outcome.must(outcome.lines() == ["3200000", "3200000"], "all bytes twice");
}

#[test]
fn what_no_rank_reads_is_left_for_the_next_program() {
    // The loop of a shell script: each run must not swallow the list that is read.
    let script = "printf '1\\n2\\n3\\n' | while read line; do \"$0\" -n 2 sh -c \"echo $line\" ; done";
    let mut shell = command("sh", &["-c", script]);
    shell.arg(mpiexec());
    let outcome = run_command(shell);
    outcome.must(outcome.lines() == ["1", "1", "2", "2", "3", "3"], "three runs");
}

#[test]
fn input_for_a_rank_that_does_not_read_is_no_error() {
    let outcome = run_with_input(&["--stdin", "all", "-n", "2", "true"], &"x".repeat(1_000_000));
    outcome.status_is(0);
    let outcome = run(&["-n", "2", "true"]);
    outcome.status_is(0);
}
