//! What /proc knows of processes: who lives, who is whose parent, which environment a process was
//! started with, and the sweep that kills all processes of a job by it. Used by mpiexec, and by
//! `job` and `liveness`.

use super::process::{Pid, own_pid, signal};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What /proc says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// One letter: R, S, D, T, Z, ...
    pub state: u8,
    /// The parent.
    pub parent: Pid,
    /// The process group.
    pub group: Pid,
    /// The session.
    pub session: Pid,
    /// Its threads.
    pub threads: u32,
    /// Processor time that it has used, in milliseconds.
    pub used: u64,
    /// When it began, in clock ticks since boot.
    pub born: u64,
}

/// Clock ticks in a second, for user space on all Linux systems.
pub const TICKS: u64 = 100;

impl Stat {
    /// Whether the process still runs (and is not only waiting to be reaped).
    pub fn runs(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// What /proc says of `pid`, if it exists.
pub fn stat(pid: Pid) -> Option<Stat> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    // The name stands in brackets and may itself hold anything.
    let after = bytes.iter().rposition(|&b| b == b')')? + 1;
    let text = std::str::from_utf8(&bytes[after..]).ok()?;
    let fields: Vec<&str> = text.split_whitespace().collect();
    let pid = |index: usize| fields.get(index).and_then(|f| f.parse::<Pid>().ok());
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok());
    Some(Stat {
        state: *fields.first()?.as_bytes().first()?,
        parent: pid(1)?,
        group: pid(2)?,
        session: pid(3)?,
        threads: fields.get(17)?.parse().ok()?,
        used: (ticks(11)? + ticks(12)?) * (1000 / TICKS),
        born: fields.get(19)?.parse().ok()?,
    })
}

/// The name of `pid`'s program, as the kernel has it (15 bytes at most).
pub fn name(pid: Pid) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// Whether `pid` has a handler for `signal`.
pub fn catches(pid: Pid, signal: i32) -> bool {
    caught(pid).unwrap_or(0) & bit(signal) != 0
}

/// The signals that `pid` has handlers for, one [`bit`] each.
pub fn caught(pid: Pid) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// The bit of a signal.
pub fn bit(signal: i32) -> u64 {
    u32::try_from(signal - 1).ok().and_then(|place| 1u64.checked_shl(place)).unwrap_or(0)
}

/// The command line of `pid`.
pub fn command_line(pid: Pid) -> Vec<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// How long a process that began at `born` has been there.
pub fn age(born: u64) -> Option<Duration> {
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64((uptime - born as f64 / TICKS as f64).max(0.0)).ok()
}

/// The environment with which `pid` was started, if we may read it.
pub fn environ(pid: Pid) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ")).ok()
}

/// The pid namespace of this process (its inode number), 0 if unknown.
pub fn pid_space() -> u64 {
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |meta| std::os::unix::fs::MetadataExt::ino(&meta))
}

/// Whether our descriptor `number` is what /proc shows as `link`, say `pipe:[4711]`.
pub fn leads_to(number: i32, link: &str) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok_and(|target| target == Path::new(link))
}

/// Whether our descriptor `number` is the memory file of a job.
pub fn is_own_job_memory(number: i32) -> bool {
    is_job_memory(Path::new(&format!("/proc/self/fd/{number}")))
}

/// Whether `pid` has the memory file of a job open.
pub fn has_job_memory(pid: Pid) -> bool {
    !job_memories(pid).is_empty()
}

/// The memory files of jobs that `pid` has open, if we may know.
pub fn job_memories(pid: Pid) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).filter(|path| is_job_memory(path)).collect()
}

fn is_job_memory(link: &Path) -> bool {
    std::fs::read_link(link).is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"/memfd:oxmpi"))
}

/// All processes that we can see.
pub fn all() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The children of this process's only thread (orphans that we adopted among them).
pub fn children() -> Vec<Pid> {
    let list = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Kills every process whose environment names a job with `key`, other than this one: also those
/// that left their process group or session. Returns how many there were.
pub fn kill_all_with(key: &str) -> usize {
    let me = own_pid();
    let mut killed = 0;
    // A process may fork while we look, so look until a round finds nobody.
    for _ in 0..20 {
        let round = all().into_iter().filter(|&pid| pid != me && kill_if_marked(pid, key.as_bytes())).count();
        if round == 0 {
            break;
        }
        killed += round;
        std::thread::sleep(Duration::from_millis(2));
    }
    killed
}

fn kill_if_marked(pid: Pid, key: &[u8]) -> bool {
    let marked = || environ(pid).is_some_and(|env| env.windows(key.len()).any(|window| window == key));
    if !marked() || stat(pid).is_none_or(|stat| !stat.runs()) {
        return false;
    }
    // The descriptor pins the process; the second look makes sure that it is the one we mean.
    let Some(handle) = handle(pid) else {
        return signal(pid, libc::SIGKILL);
    };
    marked() && signal_handle(&handle, libc::SIGKILL)
}

/// A descriptor of the process itself: its number can not be given to another while we hold it.
fn handle(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: pidfd_open returns a new descriptor or -1.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let raw = RawFd::try_from(raw).ok().filter(|&fd| fd >= 0)?;
    // SAFETY: a descriptor that was just given to us alone.
    Some(unsafe { OwnedFd::from_raw_fd(raw) })
}

fn signal_handle(handle: &OwnedFd, signal: i32) -> bool {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: an open pidfd, no signal info, no flags.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), signal, none, 0) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_brackets_does_not_confuse() {
        let line = b"42 (a) b (c)) S 7 8 9 0 -1 0 0 0 0 0 3 4 0 0 20 0 1 0 12345 0 0";
        let stat = parse_stat(line).expect("parsed");
        assert_eq!(stat, Stat { state: b'S', parent: 7, group: 8, session: 9, threads: 1, used: 70, born: 12345 });
    }

    #[test]
    fn this_process_runs() {
        assert!(stat(own_pid()).expect("own stat").runs());
    }

    #[test]
    fn handlers_are_seen() {
        let (used, free) = (libc::SIGRTMAX() - 1, libc::SIGRTMAX() - 2);
        extern "C" fn nothing(_: i32) {}
        // SAFETY: a handler that does nothing, for a signal that nobody sends here.
        unsafe { libc::signal(used, nothing as extern "C" fn(i32) as libc::sighandler_t) };
        assert!(catches(own_pid(), used) && !catches(own_pid(), free));
        assert!(!super::super::signals::ignore_unless_used(used));
        assert!(super::super::signals::ignore_unless_used(free) && !catches(own_pid(), free));
    }
}
