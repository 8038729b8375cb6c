//! Ranks of other launchers on this machine find each other, or say what is wrong. The launchers'
//! variables are set by hand here; tests/crash/ runs the real launchers.

use super::support::{command, finish, rank, run_command, wait};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// One task of a step of srun, as far as we look at it.
fn srun_task(step: &str, procid: u32, ntasks: u32, action: &[&str]) -> Command {
    let mut task = command(&rank(), action);
    task.env("SLURM_JOB_ID", format!("test{}", std::process::id()))
        .env("SLURM_STEP_ID", step)
        .env("SLURM_PROCID", procid.to_string())
        .env("SLURM_NTASKS", ntasks.to_string())
        .env("SLURM_STEP_NUM_NODES", "1")
        .env("OXMPI_JOIN_TIMEOUT", "20")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    task
}

fn start_all(mut tasks: Vec<Command>) -> Vec<Child> {
    tasks.iter_mut().map(|task| task.spawn().expect("a task")).collect()
}

#[test]
fn ranks_of_a_step_are_one_world() {
    let tasks = (0..4).map(|procid| srun_task("1", procid, 4, &["who"])).collect();
    for (procid, child) in start_all(tasks).into_iter().enumerate() {
        let outcome = finish(child, "");
        outcome.must(outcome.stdout == format!("rank {procid} of 4 (Slurm)\n"), "a rank of the world");
    }
}

#[test]
fn sixty_four_ranks_in_any_order_are_one_world() {
    let order = (0..64).map(|index| (index * 37 + 11) % 64);
    let tasks = order.map(|procid| srun_task("2", procid, 64, &["who"])).collect();
    for child in start_all(tasks) {
        let outcome = finish(child, "");
        outcome.must(outcome.stdout.contains("of 64 (Slurm)"), "a rank of the world");
    }
}

#[test]
fn programs_in_sequence_in_one_step_are_a_world_each() {
    let script = format!("for i in 1 2 3 4 5; do {} who || exit 1; done", rank());
    let tasks = (0..3)
        .map(|procid| {
            let mut task = srun_task("3", procid, 3, &["who"]);
            let variables: Vec<_> = task.get_envs().map(|(n, v)| (n.to_owned(), v.map(ToOwned::to_owned))).collect();
            task = Command::new("sh");
            task.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            for (name, value) in variables {
                match value {
                    Some(value) => task.env(name, value),
                    None => task.env_remove(name),
                };
            }
            task
        })
        .collect();
    for child in start_all(tasks) {
        let outcome = finish(child, "");
        outcome.status_is(0);
        outcome.must(outcome.stdout.matches("of 3 (Slurm)").count() == 5, "five worlds of three");
    }
}

#[test]
fn a_subprocess_of_such_a_rank_is_alone() {
    let tasks = (0..2).map(|procid| srun_task("4", procid, 2, &["child"])).collect();
    for child in start_all(tasks) {
        let outcome = finish(child, "");
        outcome.must(outcome.stdout == "child: rank 0 of 1 (Alone)\n", "the child is alone");
    }
}

#[test]
fn a_single_task_waits_for_nobody() {
    let outcome = run_command(srun_task("5", 0, 1, &["who"]));
    outcome.must(outcome.stdout == "rank 0 of 1 (Slurm)\n", "a world of one");
}

#[test]
fn missing_ranks_are_named_after_the_time_limit() {
    let mut tasks: Vec<Command> = [0, 1].map(|procid| srun_task("6", procid, 4, &["who"])).into();
    for task in &mut tasks {
        task.env("OXMPI_JOIN_TIMEOUT", "0.5");
    }
    for child in start_all(tasks) {
        let outcome = finish(child, "");
        outcome.status_is(9);
        outcome.says("srun started 4 ranks, but only 2 came to this machine's job within 0.5 s (missing: 2, 3)");
        outcome.must(outcome.stderr.lines().count() == 1, "one sentence");
    }
    let mut late = srun_task("7", 3, 4, &["who"]);
    late.env("OXMPI_JOIN_TIMEOUT", "0.1");
    let outcome = run_command(late);
    outcome.says("started as rank 3 of 4 by srun, but rank 0 did not come");
}

#[test]
fn a_job_on_several_machines_stops_every_rank_with_one_sentence() {
    for procid in 0..2 {
        let mut task = srun_task("8", procid, 4, &["who"]);
        task.env("SLURM_STEP_NUM_NODES", "2");
        let outcome = run_command(task);
        outcome.status_is(9);
        outcome.says("srun started 4 ranks on more than one machine (SLURM_STEP_NUM_NODES=2)");
        outcome.says("MPI4PY_LIBMPI");
        outcome.must(outcome.stderr.lines().count() == 1, "one sentence");
    }
}

#[test]
fn a_rank_that_dies_while_they_meet_does_not_leave_the_others_waiting() {
    let mut first = start_all(vec![srun_task("9", 0, 3, &["who"]), srun_task("9", 1, 3, &["who"])]);
    std::thread::sleep(Duration::from_millis(300));
    first[1].kill().expect("a task");
    let _ = wait(&mut first[1], Duration::from_secs(5));
    let outcome = finish(first.remove(0), "");
    outcome.status_is(9);
    outcome.says("rank 1 ended while the ranks were still finding each other");
}

#[test]
fn a_dead_peer_is_noticed_without_a_launcher_of_ours() {
    let tasks = vec![
        srun_task("10", 0, 3, &["wait"]),
        srun_task("10", 1, 3, &["wait"]),
        srun_task("10", 2, 3, &["leave", "4"]),
    ];
    let children = start_all(tasks);
    for child in children.into_iter().take(2) {
        let outcome = finish(child, "");
        outcome.status_is(66);
        outcome.must(outcome.stdout.contains("saw: rank 2 ended without MPI_Finalize"), "who it was");
        outcome.must(outcome.took < Duration::from_secs(4), "soon");
    }
}

#[test]
fn mpi_abort_of_one_rank_is_seen_by_the_others() {
    let tasks = vec![srun_task("11", 0, 2, &["wait"]), srun_task("11", 1, 2, &["abort", "7"])];
    let outcome = finish(start_all(tasks).remove(0), "");
    outcome.must(outcome.stdout.contains("rank 0 saw: rank 1 called MPI_Abort(7)"), "who and how");
    outcome.must(outcome.took < Duration::from_secs(2), "at once");
}

#[test]
fn the_variables_of_another_launcher_are_refused_when_they_make_no_sense() {
    let mut task = command(&rank(), &["who"]);
    task.env("PMI_RANK", "5").env("PMI_SIZE", "2").env("MPI_LOCALNRANKS", "2");
    let outcome = run_command(task);
    outcome.says("as rank 5 of 2, which can not be");
}
