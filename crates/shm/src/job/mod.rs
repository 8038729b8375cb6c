//! Joining a job: who am I, how many are we, and where is the memory that we share. Called once per
//! process, by the engine's initialization (MPI-5.0 chapter 11). Ways in, tried in this order:
//!
//! | way | file |
//! |---|---|
//! | another launcher on this machine: srun, another MPI's mpiexec, Flux, PALS | `foreign`, `rendezvous` |
//! | our mpiexec: the environment names a seat | `inherited` |
//! | alone: a world of size 1, in which everything works | here |
//!
//! Another launcher comes first because mpiexec takes that launcher's variables away from its ranks:
//! where they are present they are the inner ones. A subprocess of a rank inherits all variables but
//! not the seat; it is alone.

mod ancestry;
mod foreign;
mod inherited;
mod rendezvous;
mod seat;

use crate::env;
use crate::error::{Error, Result};
use crate::os::{io, proc, process};
use crate::segment::Segment;
use std::os::fd::OwnedFd;
use std::time::Duration;

pub use foreign::VARIABLES as FOREIGN_VARIABLES;

/// A process's place in a job.
pub struct Job {
    /// The memory that the ranks share.
    pub segment: Segment,
    /// Our rank.
    pub rank: u32,
    /// How many ranks there are.
    pub size: u32,
    /// Who started us.
    pub launcher: Launcher,
    /// Kept open: the kernel kills us when the other end closes.
    lifeline: Option<OwnedFd>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {} ({:?})", self.rank, self.size, self.launcher)
    }
}

impl Job {
    /// Whether the process dies with its launcher, however that ends.
    pub fn has_lifeline(&self) -> bool {
        self.lifeline.is_some()
    }
}

/// Who started a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// Our mpiexec.
    Mpiexec,
    /// A step of Slurm's srun.
    Slurm,
    /// The mpiexec of MPICH, Intel MPI or a relative.
    Hydra,
    /// Open MPI's mpirun.
    OpenMpi,
    /// Flux.
    Flux,
    /// HPE's PALS.
    Pals,
    /// Nobody: a world of size 1.
    Alone,
}

impl Launcher {
    /// How users call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mpiexec => "mpiexec",
            Self::Slurm => "srun",
            Self::Hydra => "the mpiexec of MPICH or Intel MPI",
            Self::OpenMpi => "Open MPI's mpirun",
            Self::Flux => "flux run",
            Self::Pals => "PALS (aprun, mpiexec)",
            Self::Alone => "no launcher",
        }
    }
}

/// Finds out who this process is and takes its seat.
pub fn join() -> Result<Job> {
    join_unless(&mut || false)
}

/// The same; `interrupted` is asked after every signal and now and then while the ranks of a foreign
/// launcher wait for each other: true gives up.
pub fn join_unless(interrupted: &mut dyn FnMut() -> bool) -> Result<Job> {
    if let Some(found) = foreign::detect(&|name| env::get(name))? {
        if found.size == 1 {
            return alone(found.launcher);
        }
        return match ancestry::task(found.identity) {
            ancestry::Task::InsideARank => alone(Launcher::Alone),
            ancestry::Task::OfLauncher(launcher) => {
                let key = found.key.clone().unwrap_or_else(|| launcher.to_string());
                join_by_name(&found, &key, interrupted)
            }
        };
    }
    match inherited::join()? {
        inherited::Seat::Taken(job) => Ok(job),
        inherited::Seat::NoJob | inherited::Seat::OfALivingProcess => alone(Launcher::Alone),
        // `mpiexec -n 4 sh -c 'python a.py; python b.py'`: the ranks of b.py find each other anew.
        inherited::Seat::OfADeadProcess { rank, size, key } => {
            let found = foreign::Found { launcher: Launcher::Mpiexec, rank, size, key: None, identity: &[] };
            join_by_name(&found, &key, interrupted)
        }
    }
}

fn join_by_name(found: &foreign::Found, key: &str, interrupted: &mut dyn FnMut() -> bool) -> Result<Job> {
    let limit = join_timeout()?;
    let segment = rendezvous::meet(found, key, limit, interrupted)?;
    // Behind our mpiexec the lifeline is there as well.
    let lifeline = if found.launcher == Launcher::Mpiexec { inherited::lifeline()? } else { None };
    Ok(Job { segment, rank: found.rank, size: found.size, launcher: found.launcher, lifeline })
}

fn alone(launcher: Launcher) -> Result<Job> {
    let segment = Segment::create(1)?;
    seat::take(&segment, 0)?;
    Ok(Job { segment, rank: 0, size: 1, launcher, lifeline: None })
}

fn join_timeout() -> Result<Duration> {
    let Some(text) = env::get(env::JOIN_TIMEOUT) else {
        return Ok(Duration::from_secs(60));
    };
    match text.trim().parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds < 1e6 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(Error::new(format!("{}={text} is no number of seconds above 0", env::JOIN_TIMEOUT))),
    }
}

/// Before mpiexec starts a job from inside another one: keeps that job's descriptors from the new
/// ranks. Returns the keys of all jobs around.
pub fn leave_outer_job() -> Vec<String> {
    let mut keys = Vec::new();
    if let Some((fd, key)) = env::get(env::JOB).as_deref().and_then(|job| job.split_once(':')) {
        keys.push(key.to_owned());
        if let Some(number) = fd.parse().ok().filter(|&number| proc::is_own_job_memory(number)) {
            io::set_close_on_exec(number);
        }
    }
    if let Some((number, link)) = env::get(env::LIFELINE).as_deref().and_then(inherited::parse_lifeline)
        && proc::leads_to(number, &link)
    {
        io::set_close_on_exec(number);
    }
    let outer = env::get(env::OUTER).unwrap_or_default();
    keys.extend(outer.split(',').filter(|key| !key.is_empty()).map(str::to_owned));
    keys
}

/// A name for a process that no other one ever has on this machine since it was booted.
fn name_of(pid: process::Pid) -> String {
    let born = proc::stat(pid).map_or(0, |stat| stat.born);
    format!("{pid}.{born}")
}
