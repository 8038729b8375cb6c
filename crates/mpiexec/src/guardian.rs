//! The guardian: a small process that outlives mpiexec by a moment. It reads a pipe whose other end
//! only mpiexec has; when that closes although nobody said good-bye, mpiexec was killed, and the
//! guardian kills every process group of the job and everything that carries the job's key in its
//! environment. Direct children die by their parent's death and ranks by the lifeline already; this is
//! for what a rank has started, and for programs behind a shell that know nothing of us.

use shm::os::io;
use shm::os::proc;
use shm::os::process::{self, Pid};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

/// mpiexec's side of it.
pub(crate) struct Guardian {
    pid: Pid,
    /// Its closing, by the kernel, is the alarm.
    pipe: OwnedFd,
}

impl Guardian {
    /// Starts the guardian of the job `key`.
    pub(crate) fn start(key: &str) -> shm::Result<Self> {
        let (read, write) = io::pipe()?;
        let key = key.to_owned();
        let watched = std::fs::File::from(read);
        let pid = process::fork_guardian(watched.as_fd(), c"oxmpi-guard", || watch(&watched, &key))?;
        Ok(Self { pid, pipe: write })
    }

    /// Tells it which process groups the job has.
    pub(crate) fn watch_over(&self, groups: impl Iterator<Item = Pid>) {
        let bytes: Vec<u8> = groups.flat_map(Pid::to_ne_bytes).collect();
        // Should it be gone, `has_died` finds out.
        let _ = io::write(self.pipe.as_fd(), &bytes);
    }

    /// Whether this is its process.
    pub(crate) fn is(&self, pid: Pid) -> bool {
        self.pid == pid
    }

    /// Whether somebody has killed it.
    pub(crate) fn has_died(&self) -> bool {
        process::try_reap(self.pid).is_some()
    }

    /// The job is over and everything is in order.
    pub(crate) fn dismiss(self) {
        process::signal(self.pid, libc::SIGKILL);
        process::reap(self.pid);
    }
}

fn watch(mut pipe: &std::fs::File, key: &str) {
    let mut groups: Vec<Pid> = Vec::new();
    let mut bytes = [0u8; size_of::<Pid>()];
    while pipe.read_exact(&mut bytes).is_ok() {
        groups.push(Pid::from_ne_bytes(bytes));
    }
    // The number of a group can not be given away while it has members; one without is no target.
    for &group in &groups {
        process::signal_group(group, libc::SIGKILL);
    }
    proc::kill_all_with(key);
}
