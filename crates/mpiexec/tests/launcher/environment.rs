//! Flags that change what ranks see: environment, directory, programs.

use super::support::{command, mpiexec, run, run_command};

#[test]
fn variables_are_set_for_all_or_for_one_part() {
    let show = "echo $A-$B-$C";
    let outcome = run(&[
        "-genv", "A", "1", "-n", "1", "-env", "B", "2", "sh", "-c", show, ":", "-n", "1", "-x", "C=3", "sh", "-c", show,
    ]);
    outcome.must(outcome.lines() == ["1--3", "1-2-"], "each part its own");
}

#[test]
fn x_passes_the_value_on() {
    let mut run = command(&mpiexec().to_string_lossy(), &["-genvnone", "-x", "KEEP", "-n", "1", "/usr/bin/env"]);
    run.env("KEEP", "this").env("DROP", "that");
    let outcome = run_command(run);
    outcome.must(outcome.stdout.contains("KEEP=this\n") && !outcome.stdout.contains("DROP"), "only what was named");
}

#[test]
fn the_directory_is_changed() {
    for flag in ["-wdir", "-wd", "--wdir"] {
        let outcome = run(&[flag, "/usr", "-n", "2", "sh", "-c", "pwd"]);
        outcome.must(outcome.lines() == ["/usr", "/usr"], flag);
    }
    let outcome = run(&["-wdir", "/usr", "-n", "1", "bin/true"]);
    outcome.status_is(0);
    let outcome = run(&["-wdir", "/no/such", "-n", "1", "true"]);
    outcome.status_is(2);
    outcome.says("-wdir /no/such: there is no such directory");
}

#[test]
fn parts_make_one_world() {
    let outcome = run(&[
        "-n",
        "1",
        "sh",
        "-c",
        "echo a$OXMPI_RANK/$OXMPI_SIZE",
        ":",
        "-n",
        "2",
        "sh",
        "-c",
        "echo b$OXMPI_RANK/$OXMPI_SIZE",
    ]);
    outcome.must(outcome.lines() == ["a0/3", "b1/3", "b2/3"], "ranks count on");
}

#[test]
fn a_configuration_file_holds_the_parts() {
    let file = std::env::temp_dir().join(super::support::mark("config"));
    std::fs::write(&file, "# two parts\n-n 1 sh -c 'echo one  two'\n-n 2 echo \"three four\"\n").expect("a file");
    let outcome = run(&["-configfile", &file.to_string_lossy()]);
    std::fs::remove_file(&file).expect("removed");
    outcome.must(outcome.lines() == ["one two", "three four", "three four"], "three ranks");
}

#[test]
fn without_a_number_there_is_a_rank_for_each_cpu() {
    let outcome = run(&["sh", "-c", "echo $OXMPI_SIZE"]);
    let cpus = shm::cpus::allowed();
    outcome.must(outcome.lines().len() == cpus as usize && outcome.lines()[0] == cpus.to_string(), "one per CPU");
}

#[test]
fn ignored_flags_make_one_note_and_quiet_makes_none() {
    let flags =
        ["--oversubscribe", "--allow-run-as-root", "--bind-to", "none", "--mca", "btl", "self", "-n", "2", "true"];
    let outcome = run(&flags);
    outcome.status_is(0);
    outcome.must(outcome.stderr.lines().count() == 1 && outcome.stderr.starts_with("mpiexec: note:"), "one line");
    let outcome = run(&[&["--quiet"], &flags[..]].concat());
    outcome.must(outcome.stderr.is_empty(), "no line");
}

#[test]
fn hosts_other_than_this_one_are_refused_with_the_way_out() {
    let outcome = run(&["--host", "far-away:2", "-n", "2", "true"]);
    outcome.status_is(2);
    outcome.says("host 'far-away' is not this machine");
    outcome.says("MPI4PY_LIBMPI");
    let outcome = run(&["-hosts", "localhost,127.0.0.1", "-n", "2", "true"]);
    outcome.status_is(0);
}

#[test]
fn many_ranks_fit_into_a_small_limit_of_open_files() {
    let mut shell = command("sh", &["-c", "ulimit -S -n 64; \"$0\" -n 100 sh -c 'ulimit -S -n'"]);
    shell.arg(mpiexec());
    let outcome = run_command(shell);
    outcome.status_is(0);
    outcome.must(outcome.lines() == vec!["64"; 100], "ranks have the limit as it was");
}

#[test]
fn an_ignored_signal_stays_ignored() {
    let mut shell = command("sh", &["-c", "trap '' HUP; \"$0\" -n 1 sh -c 'kill -HUP $PPID; sleep 0.2; echo alive'"]);
    shell.arg(mpiexec());
    let outcome = run_command(shell);
    outcome.must(outcome.stdout == "alive\n", "as under nohup");
}
