//! Other launchers, recognised by the variables that they set for each rank. Reads the environment
//! through a function and touches nothing else, so every launcher's set is a unit test.
//!
//! A job that spans machines is refused with one sentence: the built-in engine is for one machine,
//! and N worlds of size 1 in silence are the worst of all outcomes.

use super::Launcher;
use crate::error::{Error, Result};

/// Every variable by which a launcher is recognised: mpiexec takes them from its ranks, so that a
/// process which has them got them from a launcher inside.
pub const VARIABLES: &[&str] = &[
    "SLURM_STEP_ID",
    "SLURM_STEPID",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_NUM_NODES",
    "SLURM_STEP_TASKS_PER_NODE",
    "SLURM_MPI_TYPE",
    "PMI_RANK",
    "PMI_SIZE",
    "PMI_FD",
    "PMI_PORT",
    "PMI_ID",
    "PMI_JOBID",
    "PMI_LOCAL_RANK",
    "PMI_LOCAL_SIZE",
    "PMI_CONTROL_PORT",
    "PMI_CONTROL_FD",
    "HYDI_CONTROL_FD",
    "MPI_LOCALNRANKS",
    "MPI_LOCALRANKID",
    "PMIX_RANK",
    "PMIX_NAMESPACE",
    "PMIX_SERVER_URI2",
    "PMIX_SERVER_URI21",
    "PMIX_SERVER_URI3",
    "PMIX_SERVER_URI4",
    "PMIX_SERVER_URI41",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "OMPI_COMM_WORLD_NODE_RANK",
    "FLUX_TASK_RANK",
    "FLUX_TASK_LOCAL_ID",
    "FLUX_JOB_SIZE",
    "FLUX_JOB_NNODES",
    "PALS_RANKID",
    "PALS_LOCAL_RANKID",
];

/// Slurm's step numbers from here on are no steps of srun: batch script, interactive shell, ...
const SLURM_SPECIAL_STEPS: u64 = 0xffff_fff0;

/// A rank of another launcher.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) launcher: Launcher,
    pub(super) rank: u32,
    pub(super) size: u32,
    /// What all ranks of this job, and no others, have in common; `None`: only the launcher's
    /// process tells.
    pub(super) key: Option<String>,
    /// Variables that make out one task among all.
    pub(super) identity: &'static [&'static str],
}

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The launcher of this process, if it has one. Innermost first: Open MPI and Hydra may themselves
/// have been started by srun.
pub(super) fn detect(env: Env<'_>) -> Result<Option<Found>> {
    for way in [open_mpi, hydra, pals, slurm, flux, pmi, pmix] {
        if let Some(found) = way(env)? {
            return check(found).map(Some);
        }
    }
    Ok(None)
}

fn check(found: Found) -> Result<Found> {
    let (rank, size, name) = (found.rank, found.size, found.launcher.name());
    if size == 0 || rank >= size {
        return Err(Error::new(format!(
            "{name} started this process as rank {rank} of {size}, which can not be; start it with oxmpi's mpiexec, or \
             set MPI4PY_LIBMPI to the MPI that belongs to that launcher"
        )));
    }
    Ok(found)
}

fn open_mpi(env: Env<'_>) -> Result<Option<Found>> {
    let Some(rank) = number(env, "OMPI_COMM_WORLD_RANK")? else {
        return Ok(None);
    };
    let size = needed(env, "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")?;
    let here = number(env, "OMPI_COMM_WORLD_LOCAL_SIZE")?;
    one_machine_by_ranks(Launcher::OpenMpi, size, here, "OMPI_COMM_WORLD_LOCAL_SIZE")?;
    Ok(Some(Found {
        launcher: Launcher::OpenMpi,
        rank,
        size,
        key: env("PMIX_NAMESPACE"),
        identity: &["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMIX_NAMESPACE"],
    }))
}

fn hydra(env: Env<'_>) -> Result<Option<Found>> {
    let Some(here) = number(env, "MPI_LOCALNRANKS")? else {
        return Ok(None);
    };
    let Some(rank) = number(env, "PMI_RANK")? else {
        return Ok(None);
    };
    let size = needed(env, "PMI_SIZE", "PMI_RANK")?;
    one_machine_by_ranks(Launcher::Hydra, size, Some(here), "MPI_LOCALNRANKS")?;
    Ok(Some(Found {
        launcher: Launcher::Hydra,
        rank,
        size,
        key: None,
        identity: &["PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"],
    }))
}

fn pals(env: Env<'_>) -> Result<Option<Found>> {
    let Some(rank) = number(env, "PALS_RANKID")? else {
        return Ok(None);
    };
    let size = needed(env, "PMI_SIZE", "PALS_RANKID")?;
    one_machine_by_ranks(Launcher::Pals, size, number(env, "PMI_LOCAL_SIZE")?, "PMI_LOCAL_SIZE")?;
    Ok(Some(Found {
        launcher: Launcher::Pals,
        rank,
        size,
        key: env("PALS_APID"),
        identity: &["PALS_RANKID", "PALS_APID"],
    }))
}

fn slurm(env: Env<'_>) -> Result<Option<Found>> {
    // The script of sbatch and the shell of salloc have SLURM_NTASKS (and SLURM_PROCID), but are no
    // ranks: only a step of srun has a step number.
    let Some(step) = env("SLURM_STEP_ID").or_else(|| env("SLURM_STEPID")) else {
        return Ok(None);
    };
    if step.parse::<u64>().map_or(true, |number| number >= SLURM_SPECIAL_STEPS) {
        return Ok(None);
    }
    let Some(rank) = number(env, "SLURM_PROCID")? else {
        return Ok(None);
    };
    let size = match number(env, "SLURM_STEP_NUM_TASKS")? {
        Some(size) => size,
        None => needed(env, "SLURM_NTASKS", "SLURM_STEP_ID")?,
    };
    for name in ["SLURM_STEP_NUM_NODES", "SLURM_NNODES"] {
        if let Some(nodes) = number(env, name)? {
            one_machine(Launcher::Slurm, size, nodes, &format!("{name}={nodes}"))?;
            break;
        }
    }
    let job = env("SLURM_JOB_ID").or_else(|| env("SLURM_JOBID")).unwrap_or_default();
    let cluster = env("SLURM_CLUSTER_NAME").unwrap_or_default();
    Ok(Some(Found {
        launcher: Launcher::Slurm,
        rank,
        size,
        key: Some(format!("{cluster}.{job}.{step}")),
        identity: &["SLURM_PROCID", "SLURM_STEP_ID", "SLURM_JOB_ID"],
    }))
}

fn flux(env: Env<'_>) -> Result<Option<Found>> {
    let Some(rank) = number(env, "FLUX_TASK_RANK")? else {
        return Ok(None);
    };
    let size = needed(env, "FLUX_JOB_SIZE", "FLUX_TASK_RANK")?;
    if let Some(nodes) = number(env, "FLUX_JOB_NNODES")? {
        one_machine(Launcher::Flux, size, nodes, &format!("FLUX_JOB_NNODES={nodes}"))?;
    }
    Ok(Some(Found {
        launcher: Launcher::Flux,
        rank,
        size,
        key: env("FLUX_JOB_ID"),
        identity: &["FLUX_TASK_RANK", "FLUX_JOB_ID"],
    }))
}

/// Some launcher that speaks PMI: how many ranks are on this machine is found out by waiting.
fn pmi(env: Env<'_>) -> Result<Option<Found>> {
    let Some(rank) = number(env, "PMI_RANK")? else {
        return Ok(None);
    };
    let size = needed(env, "PMI_SIZE", "PMI_RANK")?;
    one_machine_by_ranks(Launcher::Hydra, size, number(env, "PMI_LOCAL_SIZE")?, "PMI_LOCAL_SIZE")?;
    Ok(Some(Found { launcher: Launcher::Hydra, rank, size, key: None, identity: &["PMI_RANK", "PMI_SIZE"] }))
}

/// A PMIx server of no launcher that we know: it does not tell the number of ranks in the environment.
fn pmix(env: Env<'_>) -> Result<Option<Found>> {
    let (Some(rank), Some(_)) = (env("PMIX_RANK"), env("PMIX_NAMESPACE")) else {
        return Ok(None);
    };
    Err(Error::new(format!(
        "a launcher that speaks PMIx started this process as rank {rank}, but does not say of how many; start it with \
         oxmpi's mpiexec, or set MPI4PY_LIBMPI to the MPI that belongs to that launcher"
    )))
}

fn number(env: Env<'_>, name: &str) -> Result<Option<u32>> {
    let Some(text) = env(name) else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Error::new(format!("{name}={text} is no number; unset it to run this program alone"))),
    }
}

fn needed(env: Env<'_>, name: &str, because: &str) -> Result<u32> {
    number(env, name)?.ok_or_else(|| {
        Error::new(format!(
            "{because} is set, but {name} is not: was this process started by a launcher? Unset {because} to run alone"
        ))
    })
}

fn one_machine_by_ranks(launcher: Launcher, size: u32, here: Option<u32>, name: &str) -> Result<()> {
    match here {
        Some(here) if here < size => Err(spans(launcher, size, &format!("{name}={here}"))),
        _ => Ok(()),
    }
}

fn one_machine(launcher: Launcher, size: u32, nodes: u32, why: &str) -> Result<()> {
    if nodes > 1 { Err(spans(launcher, size, why)) } else { Ok(()) }
}

fn spans(launcher: Launcher, size: u32, why: &str) -> Error {
    Error::new(format!(
        "{} started {size} ranks on more than one machine ({why}), and the built-in engine runs on one. To use the \
         cluster's MPI, set MPI4PY_LIBMPI to its libmpi_abi.so.1, or to a name such as mpich or impi (and start the \
         program with the launcher that belongs to it)",
        launcher.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<Option<Found>> {
        let list: Vec<(String, String)> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        detect(&move |name| list.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
    }

    fn rank_and_size(variables: &[(&str, &str)]) -> (Launcher, u32, u32) {
        let found = found(variables).expect("no error").expect("a launcher");
        (found.launcher, found.rank, found.size)
    }

    const SRUN: &[(&str, &str)] = &[
        ("SLURM_JOB_ID", "7"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_PROCID", "2"),
        ("SLURM_NTASKS", "4"),
        ("SLURM_STEP_NUM_TASKS", "4"),
        ("SLURM_NNODES", "1"),
    ];

    fn with<'a>(base: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        more.iter().chain(base).copied().collect()
    }

    #[test]
    fn no_variables_no_launcher() {
        assert_eq!(found(&[]), Ok(None));
    }

    #[test]
    fn srun_is_recognised() {
        assert_eq!(rank_and_size(SRUN), (Launcher::Slurm, 2, 4));
        let pmi2 = with(SRUN, &[("PMI_RANK", "2"), ("PMI_SIZE", "4"), ("PMI_FD", "9"), ("SLURM_MPI_TYPE", "pmi2")]);
        assert_eq!(rank_and_size(&pmi2), (Launcher::Slurm, 2, 4));
        let pmix = with(SRUN, &[("PMIX_RANK", "2"), ("PMIX_NAMESPACE", "slurm.pmix.7.0")]);
        assert_eq!(rank_and_size(&pmix), (Launcher::Slurm, 2, 4));
    }

    #[test]
    fn a_batch_script_and_an_allocations_shell_are_alone() {
        assert_eq!(found(&SRUN[2..4]), Ok(None));
        assert_eq!(found(&[("SLURM_NTASKS", "4"), ("SLURM_JOB_ID", "7")]), Ok(None));
        assert_eq!(found(&with(SRUN, &[("SLURM_STEP_ID", "4294967290")])), Ok(None));
        assert_eq!(found(&with(SRUN, &[("SLURM_STEP_ID", "batch")])), Ok(None));
    }

    #[test]
    fn hydra_is_recognised_also_inside_a_step_of_slurm() {
        let hydra = [("MPI_LOCALNRANKS", "3"), ("PMI_RANK", "1"), ("PMI_SIZE", "3"), ("PMI_FD", "6")];
        assert_eq!(rank_and_size(&hydra), (Launcher::Hydra, 1, 3));
        assert_eq!(rank_and_size(&with(SRUN, &hydra)), (Launcher::Hydra, 1, 3));
    }

    #[test]
    fn open_mpi_flux_and_pals_are_recognised() {
        let open_mpi =
            [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "2")];
        assert_eq!(rank_and_size(&open_mpi), (Launcher::OpenMpi, 1, 2));
        let flux = [("FLUX_TASK_RANK", "0"), ("FLUX_JOB_SIZE", "2"), ("FLUX_JOB_NNODES", "1"), ("FLUX_JOB_ID", "f1")];
        assert_eq!(rank_and_size(&flux), (Launcher::Flux, 0, 2));
        let pals =
            [("PALS_RANKID", "1"), ("PALS_APID", "x"), ("PMI_RANK", "1"), ("PMI_SIZE", "2"), ("PMI_LOCAL_SIZE", "2")];
        assert_eq!(rank_and_size(&pals), (Launcher::Pals, 1, 2));
    }

    #[test]
    fn a_job_on_several_machines_is_refused_with_the_way_out() {
        let several: [&[(&str, &str)]; 4] = [
            &with(SRUN, &[("SLURM_NNODES", "2")]),
            &[("MPI_LOCALNRANKS", "2"), ("PMI_RANK", "1"), ("PMI_SIZE", "4")],
            &[("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "2")],
            &[("FLUX_TASK_RANK", "0"), ("FLUX_JOB_SIZE", "2"), ("FLUX_JOB_NNODES", "2")],
        ];
        for variables in several {
            let error = found(variables).expect_err("refused");
            assert!(error.text.contains("more than one machine") && error.text.contains("MPI4PY_LIBMPI"), "{error}");
        }
    }

    #[test]
    fn a_step_on_one_node_of_a_larger_allocation_is_fine() {
        let step = with(SRUN, &[("SLURM_NNODES", "2"), ("SLURM_STEP_NUM_NODES", "1")]);
        assert_eq!(rank_and_size(&step), (Launcher::Slurm, 2, 4));
    }

    #[test]
    fn launchers_that_lie_are_refused() {
        let beyond = found(&[("MPI_LOCALNRANKS", "4"), ("PMI_RANK", "4"), ("PMI_SIZE", "4")]).expect_err("refused");
        assert!(beyond.text.contains("rank 4 of 4"), "{beyond}");
        let text = found(&[("PMI_RANK", "one"), ("PMI_SIZE", "4")]).expect_err("refused");
        assert!(text.text.contains("PMI_RANK=one"), "{text}");
        let half = found(&[("PMI_RANK", "1")]).expect_err("refused");
        assert!(half.text.contains("PMI_SIZE is not"), "{half}");
        let pmix = found(&[("PMIX_RANK", "1"), ("PMIX_NAMESPACE", "x")]).expect_err("refused");
        assert!(pmix.text.contains("does not say of how many"), "{pmix}");
    }

    #[test]
    fn every_variable_that_is_read_is_taken_from_ranks() {
        for name in ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PALS_RANKID", "SLURM_STEP_ID", "FLUX_TASK_RANK", "PMIX_RANK"]
        {
            assert!(VARIABLES.contains(&name));
        }
    }
}
