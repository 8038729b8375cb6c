//! Taking a seat: who is a rank, who is alone, and what a broken environment is answered.

use super::support::{command, rank, run, run_command};
use std::process::Command;

fn who(variables: &[(&str, &str)]) -> super::support::Outcome {
    let mut run: Command = command(&rank(), &["who"]);
    run.envs(variables.iter().copied());
    run_command(run)
}

#[test]
fn a_plain_start_is_a_world_of_one() {
    let outcome = who(&[]);
    outcome.must(outcome.stdout == "rank 0 of 1 (Alone)\n", "alone");
}

#[test]
fn a_subprocess_of_a_rank_is_alone() {
    let outcome = run(&["-n", "2", &rank(), "child"]);
    outcome.status_is(0);
    outcome.must(outcome.lines() == ["child: rank 0 of 1 (Alone)"; 2], "both children");
}

#[test]
fn a_rank_behind_a_shell_is_the_rank() {
    let outcome = run(&["-n", "3", "sh", "-c", &format!("{} who; true", rank())]);
    let wanted: Vec<String> = (0..3).map(|rank| format!("rank {rank} of 3 (Mpiexec)")).collect();
    outcome.must(outcome.lines() == wanted, "three ranks");
}

#[test]
fn a_rank_behind_a_wrapper_that_closes_descriptors_is_the_rank() {
    // Python's subprocess closes all but the standard ones.
    let script = format!("import subprocess; subprocess.run(['{}', 'who'], check=True)", rank());
    let outcome = run(&["-n", "2", "python3", "-c", &script]);
    outcome.must(outcome.lines() == ["rank 0 of 2 (Mpiexec)", "rank 1 of 2 (Mpiexec)"], "two ranks");
}

#[test]
fn a_second_program_of_the_same_ranks_is_one_world_again() {
    let script = format!("{0} who && {0} who && {0} finalize 0", rank());
    let outcome = run(&["-n", "3", "sh", "-c", &script]);
    outcome.status_is(0);
    outcome.must(outcome.stdout.matches("of 3 (Mpiexec)").count() == 6, "two worlds of three");
    outcome.must(outcome.stdout.matches("is through").count() == 3, "and a third");
}

#[test]
fn a_broken_environment_is_one_clear_error() {
    let rank_of_2 = [("OXMPI_RANK", "0"), ("OXMPI_SIZE", "2")];
    let cases: [(&str, &str); 6] = [
        ("junk", "OXMPI_JOB=junk: this should be <descriptor>:<key>"),
        ("x:12", "this should begin with the number of a descriptor"),
        ("700:12", "descriptor 700 is not open"),
        ("0:12", "this descriptor is no shared memory of a job"),
        ("3:zz", "the key is no hexadecimal number"),
        ("-1:12", "descriptor -1 is not open"),
    ];
    for (job, text) in cases {
        let outcome = who(&[&rank_of_2[..], &[("OXMPI_JOB", job)]].concat());
        outcome.status_is(9);
        outcome.says(text);
        outcome.says("unset OXMPI_JOB to run it alone");
        outcome.must(outcome.stderr.lines().count() == 1, "one sentence");
    }
    let outcome = who(&[("OXMPI_JOB", "3:12")]);
    outcome.says("OXMPI_JOB is set, but OXMPI_RANK is not");
}

#[test]
fn a_rank_or_size_that_does_not_fit_is_refused() {
    let outcome = run(&["-n", "2", "sh", "-c", &format!("OXMPI_RANK=7 {} who", rank())]);
    outcome.says("OXMPI_RANK=7 in a job of 2 ranks (0 to 1)");
    let outcome = run(&["-n", "2", "sh", "-c", &format!("OXMPI_SIZE=3 {} who", rank())]);
    outcome.says("the job has 2 ranks, but OXMPI_SIZE=3");
    let outcome = run(&["-n", "1", "sh", "-c", &format!("OXMPI_JOB=${{OXMPI_JOB%?}} {} who", rank())]);
    outcome.says("the job's key is another one");
}

#[test]
fn a_job_of_another_user_is_refused() {
    if shm::os::process::own_user() != 0 {
        eprintln!("skipped: only root can become another user");
        return;
    }
    // The other user must be able to reach the program.
    let copy = std::env::temp_dir().join(super::support::mark("rank"));
    std::fs::copy(rank(), &copy).expect("a copy");
    let script = format!("setpriv --reuid 65534 --clear-groups {} who", copy.display());
    let outcome = run(&["-n", "1", "sh", "-c", &script]);
    std::fs::remove_file(&copy).expect("removed");
    outcome.says("the job belongs to user 0, this process to user 65534");
    outcome.must(outcome.status == 9, "refused");
}
