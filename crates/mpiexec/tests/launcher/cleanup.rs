//! Nothing is left behind, whatever is killed in whatever order.

use super::support::{finish, kill, mark, nobody_left, rank, run, start, wait_for_marked};
use std::time::Duration;

/// Starts a job, kills mpiexec with SIGKILL once all of it runs, and looks for survivors.
fn killed_launcher(name: &str, part: &str, processes: usize) {
    let mark = mark(name);
    let script = part.replace("MARK", &mark).replace("RANK", &rank());
    let child = start(&["-x", &format!("MARK={mark}"), "-n", "2", "sh", "-c", &script]);
    wait_for_marked(&mark, processes);
    std::thread::sleep(Duration::from_millis(150));
    kill(child.id(), libc::SIGKILL);
    nobody_left(&mark);
    finish(child, "").status_is(137);
}

#[test]
fn kill_9_of_mpiexec_ends_plain_programs() {
    killed_launcher("plain", "exec sleep 60", 3);
}

#[test]
fn kill_9_of_mpiexec_ends_ranks() {
    killed_launcher("ranks", "exec RANK work 60", 3);
}

#[test]
fn kill_9_of_mpiexec_ends_what_is_behind_a_shell() {
    killed_launcher("shell", "sleep 60; true", 5);
}

#[test]
fn kill_9_of_mpiexec_ends_ranks_behind_a_shell() {
    killed_launcher("ranks-shell", "RANK work 60; true", 5);
}

#[test]
fn kill_9_of_mpiexec_ends_what_ignores_everything_and_has_its_own_session() {
    killed_launcher("session", "trap '' TERM HUP INT; setsid sleep 60; true", 5);
}

#[test]
fn kill_9_of_mpiexec_ends_background_processes_and_those_without_our_environment() {
    killed_launcher(
        "background",
        "sleep 60 & env -i sleep 61 MARK 2>/dev/null & env -i sh -c 'sleep 62; : MARK' & wait",
        5,
    );
}

#[test]
fn ranks_behind_a_shell_die_even_without_the_guardian() {
    let mark = mark("no-guardian");
    let script = format!("{} work 60; true", rank());
    let child = start(&["-x", &format!("MARK={mark}"), "-n", "2", "sh", "-c", &script]);
    wait_for_marked(&mark, 5);
    std::thread::sleep(Duration::from_millis(150));
    // Both at once: mpiexec can not start another guardian, and this one can not act.
    let guardian = shm::os::proc::all()
        .into_iter()
        .find(|&pid| {
            shm::os::proc::stat(pid).is_some_and(|stat| stat.parent == child.id().cast_signed())
                && shm::os::proc::name(pid).as_deref() == Some("oxmpi-guard")
        })
        .expect("a guardian");
    kill(child.id(), libc::SIGSTOP);
    kill(guardian.cast_unsigned(), libc::SIGKILL);
    kill(child.id(), libc::SIGKILL);
    nobody_left(&mark);
    finish(child, "");
}

#[test]
fn a_killed_guardian_is_replaced() {
    let mark = mark("replaced");
    let child = start(&["-x", &format!("MARK={mark}"), "-n", "2", "sh", "-c", "setsid sleep 60; true"]);
    wait_for_marked(&mark, 5);
    let guardian = || {
        shm::os::proc::all().into_iter().find(|&pid| {
            shm::os::proc::stat(pid).is_some_and(|stat| stat.runs() && stat.parent == child.id().cast_signed())
                && shm::os::proc::name(pid).as_deref() == Some("oxmpi-guard")
        })
    };
    kill(guardian().expect("a guardian").cast_unsigned(), libc::SIGKILL);
    std::thread::sleep(Duration::from_millis(300));
    assert!(guardian().is_some(), "a new guardian");
    kill(child.id(), libc::SIGKILL);
    nobody_left(&mark);
    finish(child, "");
}

#[test]
fn the_guardian_does_not_look_like_mpiexec() {
    let mark = mark("title");
    let child = start(&["-x", &format!("MARK={mark}"), "-n", "1", "sleep", "60"]);
    wait_for_marked(&mark, 2);
    let guardian = shm::os::proc::all()
        .into_iter()
        .find(|&pid| shm::os::proc::name(pid).as_deref() == Some("oxmpi-guard"))
        .expect("a guardian");
    let line = std::fs::read(format!("/proc/{guardian}/cmdline")).expect("its command line");
    kill(child.id(), libc::SIGKILL);
    finish(child, "");
    assert!(!String::from_utf8_lossy(&line).contains("mpiexec"), "pkill -f mpiexec must not find it");
}

#[test]
fn a_failed_job_takes_everything_along() {
    let mark = mark("failed");
    let script = "setsid sleep 60 & sleep 61 & sleep 0.2; exit 4";
    let outcome = run(&["-x", &format!("MARK={mark}"), "-n", "2", "sh", "-c", script]);
    outcome.status_is(4);
    outcome.must(outcome.took < Duration::from_secs(2), "within a second");
    nobody_left(&mark);
}

#[test]
fn a_good_jobs_background_process_may_finish_its_work() {
    let outcome = run(&["-n", "1", "sh", "-c", "(sleep 0.5; echo late) & echo early"]);
    outcome.status_is(0);
    outcome.must(outcome.stdout == "early\nlate\n" && outcome.stderr.is_empty(), "both lines");
}

#[test]
fn a_good_jobs_leftovers_are_ended_with_a_note() {
    let mark = mark("leftover");
    let outcome = run(&["-x", &format!("MARK={mark}"), "-n", "1", "sh", "-c", "sleep 60 & true"]);
    outcome.status_is(0);
    outcome.says("the ranks left one process running (sleep, ...): ended");
    outcome.must(outcome.took < Duration::from_secs(4), "after two seconds");
    nobody_left(&mark);
}

#[test]
fn a_daemon_with_its_own_session_is_left_alone_after_a_good_end() {
    let outcome = run(&["-n", "1", "sh", "-c", "setsid sleep 1.5 & sleep 0.1"]);
    outcome.status_is(0);
    outcome.must(outcome.took < Duration::from_secs(1), "nobody waits for it");
}

#[test]
fn orphans_do_not_pile_up_as_zombies() {
    let mark = mark("orphans");
    let script = "for i in 1 2 3 4 5; do (setsid true &) ; done; sleep 0.6";
    let child = start(&["-x", &format!("MARK={mark}"), "-n", "1", "sh", "-c", script]);
    std::thread::sleep(Duration::from_millis(400));
    let zombies = shm::os::proc::all()
        .into_iter()
        .filter_map(shm::os::proc::stat)
        .filter(|stat| !stat.runs() && stat.parent == child.id().cast_signed())
        .count();
    finish(child, "").status_is(0);
    assert_eq!(zombies, 0);
}

#[test]
fn a_nested_mpiexec_is_a_job_of_its_own_and_dies_with_the_outer_one() {
    let inner = super::support::mpiexec();
    let script = format!("{} -n 2 {} who", inner.display(), rank());
    let outcome = run(&["-n", "2", "sh", "-c", &script]);
    outcome.status_is(0);
    let wanted = ["rank 0 of 2 (Mpiexec)", "rank 0 of 2 (Mpiexec)", "rank 1 of 2 (Mpiexec)", "rank 1 of 2 (Mpiexec)"];
    outcome.must(outcome.lines() == wanted, "two worlds of two");

    let mark = mark("nested");
    let script = format!("{} -n 2 sh -c 'setsid sleep 60; true'", inner.display());
    let child = start(&["-x", &format!("MARK={mark}"), "-n", "2", "sh", "-c", &script]);
    wait_for_marked(&mark, 9);
    kill(child.id(), libc::SIGKILL);
    nobody_left(&mark);
    finish(child, "");
}
