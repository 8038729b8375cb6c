//! Starting a job: the shared memory, the lifeline, the guardian, and one process per rank with its
//! pipes and its environment.

use crate::flags::plan::Plan;
use crate::guardian::Guardian;
use crate::output::Output;
use crate::stdin::Stdin;
use shm::os::process::{self, Exit, Inherit, Pid};
use shm::os::signals::Signals;
use shm::os::{io, lock};
use shm::sync::Ordering;
use shm::{Error, Result, Segment, env};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// Signals that mpiexec deals with itself.
const SIGNALS: &[i32] = &[
    libc::SIGCHLD,
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTSTP,
    libc::SIGCONT,
    libc::SIGWINCH,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// A rank as its launcher sees it.
#[derive(Debug)]
pub(crate) struct Rank {
    /// The process; also its session and process group. A zombie until the job is cleaned up, so
    /// that the number stays ours.
    pub(crate) pid: Pid,
    pub(crate) exit: Option<Exit>,
    /// We ended it.
    pub(crate) ended_by_us: bool,
}

/// A job that runs.
pub(crate) struct Job {
    pub(crate) segment: Segment,
    /// The key as it stands in the ranks' environment.
    pub(crate) key: String,
    pub(crate) ranks: Vec<Rank>,
    /// The name of each rank's program.
    pub(crate) plan: Plan,
    pub(crate) output: Output,
    pub(crate) stdin: Stdin,
    pub(crate) signals: Signals,
    pub(crate) guardian: Guardian,
    /// Where a rank says that it could not start.
    pub(crate) trouble: OwnedFd,
    /// Why not all ranks were started.
    pub(crate) refused: Option<Error>,
    /// The pipe that closes with us, whereupon the ranks die. The end that we do not need is kept for
    /// ranks behind a wrapper that closed theirs (`shm::job`).
    _lifeline: [OwnedFd; 2],
}

/// Starts the ranks of `plan`.
pub(crate) fn start(mut plan: Plan) -> Result<Job> {
    let size = plan.size();
    // Two pipes and two ends each, while a rank is being started.
    let files = process::raise_file_limit(u64::from(size) * 2 + 64);
    let segment = Segment::create(size)?;
    segment.header().launcher.store(process::own_pid().cast_unsigned(), Ordering::Relaxed);
    let key = format!("{:016x}", segment.key());
    process::adopt_orphans();
    process::die_of_faults();
    let signals = Signals::catch(SIGNALS)?;
    let (lifeline, lifeline_end) = io::pipe()?;
    let (trouble, trouble_end) = io::pipe()?;
    io::set_nonblocking(trouble.as_fd());
    let guardian = Guardian::start(&key)?;
    let mut output = Output::new(plan.label)?;
    for note in &plan.notes {
        output.say(note);
    }
    let cannot = |cause: std::io::Error| Error::new(format!("opening /dev/null: {cause}"));
    let mut stdin = Stdin::new(plan.stdin).map_err(cannot)?;

    let common = common_environment(&segment, &key, &lifeline, size)?;
    let mut ranks = Vec::with_capacity(size as usize);
    let mut refused = None;
    let own_stdin = std::io::stdin();
    let keep = [segment.fd(), lifeline.as_fd()];
    'groups: for group in &mut plan.groups {
        group.program.env.extend_from_slice(&common);
        group.program.env.push(CString::default());
        for _ in 0..group.ranks {
            let rank = u32::try_from(ranks.len()).unwrap_or(u32::MAX);
            if let Some(last) = group.program.env.last_mut() {
                *last = entry(env::RANK, &rank.to_string())?;
            }
            let started = output.connect(rank).and_then(|ends| {
                let stdin = stdin.connect(rank, own_stdin.as_fd())?;
                let stderr = ends.stderr.as_ref().unwrap_or(&ends.stdout);
                let inherit = Inherit {
                    stdio: [stdin.as_fd(), ends.stdout.as_fd(), stderr.as_fd()],
                    keep: &keep,
                    trouble: trouble_end.as_fd(),
                    mask: signals.before(),
                    files,
                };
                process::spawn(&group.program, &inherit)
            });
            match started {
                Ok(pid) => ranks.push(Rank { pid, exit: None, ended_by_us: false }),
                Err(error) => {
                    refused = Some(Error::new(format!("starting rank {rank} of {size}: {error}")));
                    break 'groups;
                }
            }
        }
    }
    guardian.watch_over(ranks.iter().map(|rank| rank.pid));
    debug_assert!(!lock::held(segment.fd(), size), "only ranks hold locks");
    Ok(Job {
        segment,
        key,
        ranks,
        plan,
        output,
        stdin,
        signals,
        guardian,
        trouble,
        refused,
        _lifeline: [lifeline, lifeline_end],
    })
}

/// What all ranks have in their environment to find the job.
fn common_environment(segment: &Segment, key: &str, lifeline: &OwnedFd, size: u32) -> Result<Vec<CString>> {
    let pipe = std::fs::metadata(format!("/proc/self/fd/{}", lifeline.as_raw_fd()))
        .map_err(|cause| Error::new(format!("looking at the lifeline (is /proc there?): {cause}")))?;
    Ok(vec![
        entry(env::JOB, &format!("{}:{key}", segment.fd().as_raw_fd()))?,
        entry(env::SIZE, &size.to_string())?,
        entry(env::LIFELINE, &format!("{}:{}", lifeline.as_raw_fd(), pipe.ino()))?,
        entry(env::LAUNCHER, &process::own_pid().to_string())?,
    ])
}

fn entry(name: &str, value: &str) -> Result<CString> {
    CString::new(format!("{name}={value}")).map_err(|_| Error::new(format!("a zero byte in {name}")))
}
