//! How a job ends: exit status, the one sentence, who is ended and how fast.

use super::support::{finish, kill, mark, mpiexec, nobody_left, rank, run, start, wait_for_marked};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(2);

#[test]
fn a_good_job_says_nothing_and_returns_0() {
    let outcome = run(&["-n", "4", &rank(), "who"]);
    outcome.status_is(0);
    outcome.must(outcome.stderr.is_empty(), "nothing of our own on a good run");
    let wanted: Vec<String> = (0..4).map(|rank| format!("rank {rank} of 4 (Mpiexec)")).collect();
    outcome.must(outcome.lines() == wanted, "four ranks of one world");
}

#[test]
fn two_hundred_ranks_find_each_other() {
    let outcome = run(&["-n", "200", &rank(), "who"]);
    outcome.status_is(0);
    outcome.must(outcome.lines().len() == 200, "200 lines");
}

#[test]
fn a_non_zero_exit_in_the_middle_of_mpi_ends_the_others() {
    let outcome = run(&["-n", "1", &rank(), "leave", "3", ":", "-n", "3", &rank(), "work", "60"]);
    outcome.status_is(3);
    outcome.says("mpiexec: rank 0 of 4 failed first: it ended with exit code 3; the other 3 ranks were ended");
    outcome.must(outcome.took < SOON, "within a second");
}

#[test]
fn a_signal_is_named() {
    let outcome = run(&["-n", "2", &rank(), "work", "60", ":", "-n", "1", "sh", "-c", "sleep 0.1; kill -SEGV $$"]);
    outcome.status_is(139);
    outcome
        .says("rank 2 of 3 failed first: it was killed by signal 11 (SIGSEGV: segmentation fault); the other 2 ranks");
    outcome.must(outcome.took < SOON, "within a second");
}

#[test]
fn a_rank_that_is_hit_before_it_becomes_its_program_dies_of_it() {
    // It has mpiexec's handlers then: there must be none.
    let mark = mark("handlers");
    let script = format!(": {mark}; while :; do sleep 0.05; done");
    let child = start(&["-n", "1", "sh", "-c", &script]);
    wait_for_marked(&mark, 2);
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    kill(child.id(), libc::SIGTERM);
    finish(child, "").status_is(143);
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a line of it");
    let caught = u64::from_str_radix(caught.trim(), 16).expect("a number");
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGUSR1, libc::SIGUSR2] {
        assert_eq!(caught >> (signal - 1) & 1, 0, "signal {signal} is caught");
    }
}

#[test]
fn an_uncaught_exception_is_called_by_its_name_and_its_traceback_is_whole() {
    let outcome = run(&["-n", "1", &rank(), "raise", ":", "-n", "2", &rank(), "work", "60"]);
    outcome.status_is(1);
    outcome.says(
        "rank 0 of 3 failed first: it ended with an uncaught Python exception (its traceback is above), exit code 1",
    );
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    outcome.must(lines.len() == 23 && lines[21] == "ValueError: of rank 0", "the traceback before the sentence");
}

#[test]
fn ranks_that_all_raise_finish_their_tracebacks_and_none_is_mixed() {
    let outcome = run(&["-n", "4", &rank(), "raise"]);
    outcome.status_is(1);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    outcome.must(lines.len() == 4 * 22 + 1, "four whole tracebacks and a sentence");
    for block in lines.chunks(22).take(4) {
        let last = block[21].strip_prefix("ValueError: of rank ").unwrap_or("?");
        let own = format!("\"rank{last}.py\"");
        let whole = block[0].starts_with("Traceback") && block[1..21].iter().all(|line| line.contains(&own));
        outcome.must(whole, "a traceback in one piece");
    }
}

#[test]
fn the_rank_that_raised_first_is_blamed_though_others_end_sooner() {
    // Rank 0 raises at once and needs 0.5 s to end; rank 1 raises later and is faster.
    let outcome = run(&["-n", "1", &rank(), "raise", "0.4", ":", "-n", "1", &rank(), "raise", "0", "0.15"]);
    outcome.says("rank 0 of 2 failed first: it ended with an uncaught Python exception");
}

#[test]
fn mpi_abort_gives_its_code() {
    for (code, status) in [("7", 7), ("300", 44), ("256", 1), ("0", 0)] {
        let outcome = run(&["-n", "1", &rank(), "abort", code, ":", "-n", "1", &rank(), "work", "60"]);
        outcome.status_is(status);
        outcome.says(&format!("rank 0 of 2 failed first: it called MPI_Abort({code}); the other rank was ended"));
        outcome.must(outcome.took < SOON, "within a second");
    }
}

#[test]
fn mpi_abort_behind_a_shell_that_goes_on_ends_the_job_too() {
    let script = format!("{} abort 7; sleep 60", rank());
    let outcome = run(&["-n", "1", "sh", "-c", &script, ":", "-n", "1", &rank(), "work", "60"]);
    outcome.status_is(7);
    outcome.says("rank 0 of 2 failed first: it called MPI_Abort(7)");
    outcome.must(outcome.took < SOON, "within a second");
}

#[test]
fn a_rank_that_leaves_without_finalize_while_another_waits_is_a_failure() {
    let outcome = run(&["-n", "1", &rank(), "wait", ":", "-n", "1", &rank(), "leave", "0"]);
    outcome.status_is(1);
    outcome.says("rank 1 of 2 failed first: it ended without MPI_Finalize (exit code 0) while others waited");
    outcome.must(outcome.stdout.contains("rank 0 saw: rank 1"), "the waiting rank is told");
    outcome.must(outcome.took < Duration::from_secs(3), "after the grace");
}

#[test]
fn a_rank_that_ends_before_mpi_init_while_another_waits_is_a_failure() {
    let outcome = run(&["-n", "1", &rank(), "wait", ":", "-n", "1", "true"]);
    outcome.status_is(1);
    outcome.says("rank 1 of 2 failed first: it ended without MPI_Init (exit code 0) while others waited");
}

#[test]
fn a_program_without_mpi_may_end_beside_one_with() {
    let outcome = run(&["-n", "1", &rank(), "work", "1", ":", "-n", "1", "true"]);
    outcome.status_is(0);
    outcome.must(outcome.stderr.is_empty(), "nobody waited");
}

#[test]
fn ranks_that_all_leave_without_finalize_are_no_failure() {
    let outcome = run(&["-n", "3", &rank(), "leave", "0"]);
    outcome.status_is(0);
    outcome.must(outcome.stderr.is_empty(), "silence");
}

#[test]
fn a_rank_that_dies_behind_a_shell_is_found_by_who_waits_for_it() {
    let script = format!("{} leave 5; sleep 60", rank());
    let outcome = run(&["-n", "1", &rank(), "wait", ":", "-n", "1", "sh", "-c", &script]);
    outcome.status_is(1);
    outcome.says("rank 1 of 2 failed first: it ended without MPI_Finalize while others waited");
    outcome.must(outcome.took < Duration::from_secs(4), "after the grace");
}

#[test]
fn exit_codes_after_finalize_leave_the_others_in_peace() {
    // Rank 1 ends at once with 3; the others need another second after MPI_Finalize.
    let outcome = run(&[
        "-n",
        "1",
        &rank(),
        "finalize",
        "0",
        "1",
        ":",
        "-n",
        "1",
        &rank(),
        "finalize",
        "3",
        ":",
        "-n",
        "1",
        &rank(),
        "finalize",
        "0",
        "1",
    ]);
    outcome.status_is(3);
    outcome.must(outcome.lines().len() == 3, "all three come through");
    outcome.says("rank 1 of 3 failed first: it ended with exit code 3");
    outcome.must(!outcome.stderr.contains("ended;") && !outcome.stderr.contains("were ended"), "nobody was ended");
}

#[test]
fn the_same_exit_code_on_all_ranks_is_the_jobs() {
    let outcome = run(&["-n", "4", &rank(), "finalize", "3"]);
    outcome.status_is(3);
    outcome.must(outcome.lines().len() == 4, "all four come through");
}

#[test]
fn programs_without_mpi_end_by_themselves_when_they_can() {
    // On a busy machine the last may not make it within the 0.4 s that it has.
    let all_four = (0..5).any(|_| {
        let outcome = run(&["-n", "4", "sh", "-c", "sleep 0.0$OXMPI_RANK; echo here; exit 3"]);
        outcome.status_is(3);
        outcome.lines().len() == 4
    });
    assert!(all_four, "all four come through");
    let outcome = run(&["-n", "1", "false", ":", "-n", "1", "sleep", "60"]);
    outcome.status_is(1);
    outcome.must(outcome.took < SOON, "within a second");
}

#[test]
fn a_rank_that_ignores_sigterm_is_killed() {
    let mark = mark("stubborn");
    let script = format!("trap '' TERM; : {mark}; while :; do sleep 0.1; done");
    let outcome = run(&["-n", "1", "sh", "-c", &script, ":", "-n", "1", "sh", "-c", "sleep 0.2; exit 2"]);
    outcome.status_is(2);
    outcome.must(outcome.took < SOON, "within a second");
    nobody_left(&mark);
}

#[test]
fn a_program_that_can_not_start_is_one_sentence() {
    let outcome = run(&["-n", "2", "no-such-program"]);
    outcome.status_is(127);
    outcome
        .must(outcome.stderr == "mpiexec: can not start 'no-such-program': there is no such program\n", "one sentence");
    let outcome = run(&["-n", "2", "/etc/passwd"]);
    outcome.status_is(126);
    let script = std::env::temp_dir().join(mark("script"));
    std::fs::write(&script, "#!/no/such/interpreter\n").expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("executable");
    let outcome = run(&["-n", "2", &script.to_string_lossy()]);
    std::fs::remove_file(&script).expect("removed");
    outcome.status_is(127);
    outcome.says("can not start");
    outcome.must(outcome.stderr.lines().count() == 1, "one sentence");
}

#[test]
fn a_time_limit_ends_the_job() {
    let outcome = run(&["--timeout", "0.3", "-n", "2", "sleep", "60"]);
    outcome.status_is(124);
    outcome.says("not finished after 0.3 s");
}

#[test]
fn signals_reach_the_ranks_and_their_exit_codes_come_back() {
    for (signal, name) in
        [(libc::SIGTERM, "TERM"), (libc::SIGINT, "INT"), (libc::SIGUSR1, "USR1"), (libc::SIGHUP, "HUP")]
    {
        let mark = mark(name);
        let script =
            format!("trap 'echo got {name}; exit 0' {name}; : {mark}; echo ready; while :; do sleep 0.02; done");
        let child = start(&["-n", "2", "sh", "-c", &script]);
        wait_for_marked(&mark, 3);
        std::thread::sleep(Duration::from_millis(200));
        kill(child.id(), signal);
        let outcome = finish(child, "");
        outcome.status_is(0);
        outcome.must(outcome.stdout.matches(&format!("got {name}")).count() == 2, "both ranks got it");
        nobody_left(&mark);
    }
}

#[test]
fn an_interrupted_job_says_so_and_returns_130() {
    let mark = mark("interrupted");
    let script = format!(": {mark}; exec sleep 60");
    let child = start(&["-n", "2", "sh", "-c", &script]);
    wait_for_marked(&mark, 1);
    std::thread::sleep(Duration::from_millis(100));
    kill(child.id(), libc::SIGINT);
    let outcome = finish(child, "");
    outcome.status_is(130);
    outcome.must(outcome.stderr == "mpiexec: ended by SIGINT\n", "one sentence");
    outcome.must(outcome.took < SOON, "at once");
}

#[test]
fn a_rank_may_clean_up_after_an_interrupt_though_another_is_gone() {
    let script = "if [ $OXMPI_RANK = 0 ]; then trap 'sleep 1.2; echo saved; exit 0' INT; fi; echo up; while :; do sleep 0.02; done";
    let child = start(&["-n", "2", "sh", "-c", script]);
    std::thread::sleep(Duration::from_millis(400));
    kill(child.id(), libc::SIGINT);
    let outcome = finish(child, "");
    outcome.must(outcome.stdout.contains("saved"), "rank 0 had the time");
    outcome.status_is(130);
}

#[test]
fn a_second_interrupt_kills() {
    let mark = mark("second");
    let script = format!("trap '' INT; : {mark}; while :; do sleep 0.05; done");
    let child = start(&["-n", "2", "sh", "-c", &script]);
    wait_for_marked(&mark, 3);
    std::thread::sleep(Duration::from_millis(200));
    kill(child.id(), libc::SIGINT);
    std::thread::sleep(Duration::from_millis(400));
    kill(child.id(), libc::SIGINT);
    let outcome = finish(child, "");
    outcome.status_is(130);
    outcome.must(outcome.took < Duration::from_secs(3), "at once");
    nobody_left(&mark);
}

#[test]
fn a_stopped_job_goes_on() {
    let mark = mark("stop");
    let script = format!(": {mark}; i=0; while [ $i -lt 30 ]; do sleep 0.02; i=$((i+1)); done; echo done");
    let child = start(&["-n", "2", "sh", "-c", &script]);
    wait_for_marked(&mark, 3);
    kill(child.id(), libc::SIGTSTP);
    std::thread::sleep(Duration::from_millis(300));
    let stat = shm::os::proc::stat(child.id().cast_signed()).expect("alive");
    kill(child.id(), libc::SIGCONT);
    let outcome = finish(child, "");
    assert_eq!(stat.state, b'T', "mpiexec itself stops");
    outcome.status_is(0);
    outcome.must(outcome.stdout == "done\ndone\n", "both come through");
}

#[test]
fn help_and_version_need_nothing() {
    let outcome = run(&["--help"]);
    outcome.status_is(0);
    outcome.must(outcome.stdout.contains("-np") && outcome.stdout.contains("--oversubscribe"), "all flags");
    let outcome = run(&["--version"]);
    outcome.must(outcome.stdout.contains("oxmpi"), "the name");
    assert!(mpiexec().exists());
}
