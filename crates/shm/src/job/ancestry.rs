//! Which launcher a process belongs to, read off its ancestors: all processes of one task carry the
//! launcher's variables with the same values; the first ancestor that does not is the launcher. If
//! a process in between already shares a job's memory, we are its subprocess, not the rank.

use crate::os::proc;
use crate::os::process::{self, Pid};

/// Where a process stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// An ancestor inside the task is the rank.
    InsideARank,
    /// We may be the rank; this names the launcher's process on this machine.
    OfLauncher(String),
}

/// Walks up from this process through the task that `identity` (names of variables) makes out.
pub(super) fn task(identity: &[&str]) -> Task {
    let own: Vec<(&str, Option<String>)> = identity.iter().map(|name| (*name, crate::env::get(name))).collect();
    let mut pid = process::parent_pid();
    // A chain of processes is short; the limit only ends a loop that can not be.
    for _ in 0..100 {
        if pid <= 1 || is_proxy(pid) || !carries(pid, &own) {
            break;
        }
        if proc::has_job_memory(pid) {
            return Task::InsideARank;
        }
        match proc::stat(pid) {
            Some(stat) => pid = stat.parent,
            None => break,
        }
    }
    Task::OfLauncher(super::name_of(pid))
}

/// A launcher's helper, which may carry the variables of a job around it.
fn is_proxy(pid: Pid) -> bool {
    proc::name(pid).is_some_and(|name| {
        ["hydra_", "pmi_proxy", "prted", "prterun", "mpirun", "mpiexec", "slurmstepd", "flux-shell", "palsd"]
            .iter()
            .any(|launcher| name.starts_with(launcher))
    })
}

fn carries(pid: Pid, own: &[(&str, Option<String>)]) -> bool {
    let Some(environ) = proc::environ(pid) else {
        return false;
    };
    own.iter().all(|(name, value)| value_in(&environ, name).as_deref() == value.as_deref())
}

fn value_in(environ: &[u8], name: &str) -> Option<String> {
    environ
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_name() {
        let environ = b"PMI_RANKS=9\0PMI_RANK=3\0EMPTY=\0";
        assert_eq!(value_in(environ, "PMI_RANK").as_deref(), Some("3"));
        assert_eq!(value_in(environ, "PMI").as_deref(), None);
        assert_eq!(value_in(environ, "EMPTY").as_deref(), None);
    }
}
