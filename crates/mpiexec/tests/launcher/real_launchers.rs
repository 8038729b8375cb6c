//! The real launchers of others, where they are: the peers' virtual environments (`$OXMPI_PEERS`, else
//! .venv-peers) and Slurm (`$OXMPI_SLURM_LOCAL`, else ../shared/tools/slurm-local, which needs root).
//! A test without its launcher says so and passes.

use super::support::{Outcome, command, mpiexec, rank, run_command};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository").to_owned()
}

/// The mpiexec of a peer, with what it needs to run here.
fn peer(name: &str) -> Option<Vec<String>> {
    let folder = std::env::var_os("OXMPI_PEERS").map_or_else(|| root().join(".venv-peers"), PathBuf::from);
    let program = folder.join(name).join("bin/mpiexec");
    if !program.exists() {
        eprintln!("skipped: {} is not there", program.display());
        return None;
    }
    let mut words = vec![program.to_string_lossy().into_owned()];
    if name == "ompi" {
        words.extend(["--allow-run-as-root", "--oversubscribe"].map(str::to_owned));
    }
    Some(words)
}

fn run_under(launcher: &[String], rest: &[&str]) -> Outcome {
    let words: Vec<&str> = launcher[1..].iter().map(String::as_str).chain(rest.iter().copied()).collect();
    run_command(command(&launcher[0], &words))
}

fn world(outcome: &Outcome, size: u32, launcher: &str, times: usize) {
    outcome.status_is(0);
    for rank in 0..size {
        let line = format!("rank {rank} of {size} ({launcher})");
        outcome.must(outcome.stdout.matches(&line).count() == times, &line);
    }
}

fn all_of_it(launcher: &[String], name: &str) {
    let rank = rank();
    world(&run_under(launcher, &["-n", "4", &rank, "who"]), 4, name, 1);
    let outcome = run_under(launcher, &["-n", "2", &rank, "child"]);
    outcome.must(outcome.stdout.matches("child: rank 0 of 1 (Alone)").count() == 2, "children are alone");
    // Behind a shell, one program after the other, and behind a wrapper that closes descriptors.
    let wrapper = format!("import subprocess; subprocess.run(['{rank}', 'who'], check=True)");
    let script = format!("{rank} who; {rank} who; python3 -c \"{wrapper}\"");
    world(&run_under(launcher, &["-n", "3", "sh", "-c", &script]), 3, name, 3);
    // A rank that fails ends the others, who wait for it.
    let outcome = run_under(launcher, &["-n", "2", &rank, "wait", ":", "-n", "1", &rank, "leave", "3"]);
    outcome.must(outcome.status != 0, "a failure");
    let outcome = run_under(launcher, &["-n", "2", &rank, "wait", ":", "-n", "1", &rank, "abort", "7"]);
    outcome.must(outcome.status != 0, "a failure");
    // Our mpiexec inside is a world of its own.
    let inner = format!("{} -n 2 {rank} who", mpiexec().display());
    world(&run_under(launcher, &["-n", "1", "sh", "-c", &inner]), 2, "Mpiexec", 1);
}

#[test]
fn ranks_of_mpichs_mpiexec_are_one_world() {
    if let Some(launcher) = peer("mpich") {
        all_of_it(&launcher, "Hydra");
    }
}

#[test]
fn ranks_of_intel_mpis_mpiexec_are_one_world() {
    if let Some(launcher) = peer("impi") {
        all_of_it(&launcher, "Hydra");
    }
}

#[test]
fn ranks_of_open_mpis_mpiexec_are_one_world() {
    if let Some(launcher) = peer("ompi") {
        all_of_it(&launcher, "OpenMpi");
    }
}

#[test]
fn another_launcher_inside_a_rank_of_ours_makes_its_own_world() {
    let Some(launcher) = peer("mpich") else {
        return;
    };
    let script = format!("{} -n 3 {} who", launcher[0], rank());
    let own = mpiexec();
    let outcome = run_command(command(&own.to_string_lossy(), &["-n", "2", "sh", "-c", &script]));
    world(&outcome, 3, "Hydra", 2);
}

/// A Slurm of our own, ended with the value.
struct Slurm {
    tool: PathBuf,
    conf: String,
}

impl Slurm {
    fn start(nodes: u32) -> Option<Self> {
        let tool = std::env::var_os("OXMPI_SLURM_LOCAL")
            .map_or_else(|| root().join("../shared/tools/slurm-local"), PathBuf::from);
        if !tool.exists() || shm::os::process::own_user() != 0 {
            eprintln!("skipped: Slurm needs root and {}", tool.display());
            return None;
        }
        let outcome = run_command(command(&tool.to_string_lossy(), &["start", &nodes.to_string()]));
        let Some(conf) = outcome.stdout.lines().find_map(|line| line.strip_prefix("export SLURM_CONF=")) else {
            eprintln!("skipped: Slurm does not start here: {}", outcome.stderr);
            return None;
        };
        Some(Self { tool, conf: conf.to_owned() })
    }

    fn run(&self, words: &[&str]) -> Outcome {
        let mut run = command(words[0], &words[1..]);
        run.env("SLURM_CONF", &self.conf);
        run_command(run)
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        run_command(command(&self.tool.to_string_lossy(), &["stop"]));
    }
}

/// There is one Slurm on the machine at a time.
static ONE_SLURM: Mutex<()> = Mutex::new(());

#[test]
fn ranks_of_srun_are_one_world() {
    let _one = ONE_SLURM.lock();
    let Some(slurm) = Slurm::start(1) else { return };
    let rank = rank();
    for plugin in ["none", "pmi2", "pmix"] {
        world(&slurm.run(&["srun", &format!("--mpi={plugin}"), "-n", "4", &rank, "who"]), 4, "Slurm", 1);
    }
    let outcome = slurm.run(&["srun", "-n", "2", &rank, "child"]);
    outcome.must(outcome.stdout.matches("child: rank 0 of 1 (Alone)").count() == 2, "children are alone");
    world(&slurm.run(&["srun", "-n", "3", "sh", "-c", &format!("{rank} who; {rank} who")]), 3, "Slurm", 2);
    let outcome = slurm.run(&["salloc", "-n", "2", &rank, "who"]);
    outcome.must(outcome.stdout.contains("rank 0 of 1 (Alone)"), "the shell of salloc is no rank");
    let script = format!("if [ $SLURM_PROCID = 0 ]; then {rank} abort 7; else {rank} wait; fi");
    let outcome = slurm.run(&["srun", "-n", "2", "sh", "-c", &script]);
    outcome.must(outcome.stdout.contains("rank 1 saw: rank 0 called MPI_Abort(7)"), "the others see it");
}

#[test]
fn a_step_on_two_nodes_stops_with_a_sentence_per_rank() {
    let _one = ONE_SLURM.lock();
    let Some(slurm) = Slurm::start(2) else { return };
    let rank = rank();
    let outcome = slurm.run(&["srun", "-N", "2", "--ntasks-per-node=2", "-n", "4", &rank, "who"]);
    outcome.must(outcome.status != 0, "refused");
    let sentence = "srun started 4 ranks on more than one machine (SLURM_STEP_NUM_NODES=2)";
    outcome.must(outcome.stderr.matches(sentence).count() == 4, sentence);
    let words = ["salloc", "-N", "2", "--ntasks-per-node=2", "srun", "-N1", "-n", "2", &rank, "who"];
    world(&slurm.run(&words), 2, "Slurm", 1);
}
