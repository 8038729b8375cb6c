//! A job of our mpiexec: the environment names the descriptor of the memory, its key, and a seat.
//!
//! A wrapper between mpiexec and us may have closed the descriptors (Python's `subprocess` does);
//! then they are opened anew from mpiexec itself. A subprocess of a rank comes here with the same
//! variables and finds the seat taken.

use super::{Job, Launcher, seat};
use crate::env;
use crate::error::{Error, Result};
use crate::liveness;
use crate::os::{io, lifeline, memfd, proc};
use crate::segment::Segment;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What the environment leads to.
pub(super) enum Seat {
    /// No variables of a job.
    NoJob,
    /// We are this rank.
    Taken(Job),
    /// A living process is this rank: we are its subprocess.
    OfALivingProcess,
    /// An earlier program of the same rank is over: a later one may follow.
    OfADeadProcess {
        /// The rank.
        rank: u32,
        /// Ranks of the job.
        size: u32,
        /// What names the job.
        key: String,
    },
}

const WAY_OUT: &str = "start the program with mpiexec, or unset OXMPI_JOB to run it alone";

/// Reads the environment and takes the seat that it names.
pub(super) fn join() -> Result<Seat> {
    let Some(job) = env::get(env::JOB) else {
        return Ok(Seat::NoJob);
    };
    let bad = |why: &str| Error::new(format!("{}={job}: {why}; {WAY_OUT}", env::JOB));
    let (fd, key) = job.split_once(':').ok_or_else(|| bad("this should be <descriptor>:<key>"))?;
    let number: i32 = fd.parse().map_err(|_| bad("this should begin with the number of a descriptor"))?;
    let bits = u64::from_str_radix(key, 16).map_err(|_| bad("the key is no hexadecimal number"))?;
    let rank = number_of(env::RANK)?;
    let size = number_of(env::SIZE)?;

    let (segment, inherited) = open(number, bits).map_err(|error| bad(&error.text))?;
    if segment.ranks() != size {
        let why = format!("the job has {} ranks, but {}={size}", segment.ranks(), env::SIZE);
        return Err(bad(&why));
    }
    if rank >= size {
        return Err(Error::new(format!(
            "{}={rank} in a job of {size} ranks (0 to {}); {WAY_OUT}",
            env::RANK,
            size - 1
        )));
    }
    if inherited {
        // Before the lock is taken: closing any descriptor of the file would give it back.
        // SAFETY: `open` has just found this job's memory with its key behind the number, so it is
        // the descriptor that mpiexec made for us.
        unsafe { io::close_inherited(number) };
    }
    match seat::try_take(&segment, rank)? {
        Ok(()) => {
            let lifeline = lifeline()?;
            Ok(Seat::Taken(Job { segment, rank, size, launcher: Launcher::Mpiexec, lifeline }))
        }
        Err(_) if liveness::owner_lives(&segment, rank) => Ok(Seat::OfALivingProcess),
        Err(_) => Ok(Seat::OfADeadProcess { rank, size, key: key.to_owned() }),
    }
}

fn number_of(name: &str) -> Result<u32> {
    let text =
        env::get(name).ok_or_else(|| Error::new(format!("{} is set, but {name} is not; {WAY_OUT}", env::JOB)))?;
    text.parse().map_err(|_| Error::new(format!("{name}={text} is no number; {WAY_OUT}")))
}

/// The job's memory, from the inherited descriptor (true) or from mpiexec itself.
fn open(number: i32, key: u64) -> Result<(Segment, bool)> {
    let first = match io::inherited(number) {
        Some(fd) => match attach(fd, key) {
            Ok(segment) => return Ok((segment, true)),
            Err(error) => error,
        },
        None => Error::new(format!("descriptor {number} is not open")),
    };
    let Some(path) = of_launcher(number) else {
        return Err(first);
    };
    let Ok(file) = std::fs::OpenOptions::new().read(true).write(true).open(&path) else {
        return Err(first);
    };
    Ok((attach(file.into(), key)?, false))
}

fn attach(fd: OwnedFd, key: u64) -> Result<Segment> {
    memfd::checked_len(fd.as_fd())?;
    Segment::attach(fd, key)
}

/// Descriptor `number` of mpiexec.
fn of_launcher(number: i32) -> Option<PathBuf> {
    let launcher: u32 = env::get(env::LAUNCHER)?.parse().ok()?;
    Some(format!("/proc/{launcher}/fd/{number}").into())
}

/// Arms the lifeline that the environment names, if there is one.
pub(super) fn lifeline() -> Result<Option<OwnedFd>> {
    let Some(text) = env::get(env::LIFELINE) else {
        return Ok(None);
    };
    let Some((number, link)) = parse_lifeline(&text) else {
        return Err(Error::new(format!("{}={text}: this should be <descriptor>:<pipe>; {WAY_OUT}", env::LIFELINE)));
    };
    // A wrapper may have closed the descriptor and somebody else may use the number.
    if proc::leads_to(number, &link) {
        let armed = lifeline::arm(Path::new(&format!("/proc/self/fd/{number}")))?;
        io::set_close_on_exec(number);
        return Ok(Some(armed));
    }
    match of_launcher(number) {
        Some(path) if std::fs::read_link(&path).is_ok_and(|target| target == Path::new(&link)) => {
            lifeline::arm(&path).map(Some)
        }
        // No way to mpiexec (a container with its own /proc): its other means must do.
        _ => Ok(None),
    }
}

/// `7:4711` means descriptor 7, which /proc shows as `pipe:[4711]`.
pub(super) fn parse_lifeline(text: &str) -> Option<(i32, String)> {
    let (number, pipe) = text.split_once(':')?;
    let pipe: u64 = pipe.parse().ok()?;
    Some((number.parse().ok()?, format!("pipe:[{pipe}]")))
}
