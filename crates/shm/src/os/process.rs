//! Processes: starting one in a session of its own, watching how it ends, signalling it. Used by
//! mpiexec. What the kernel tells about processes that are not our children is in `proc`.

use crate::error::{Error, Result};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// A process id, as the kernel counts.
pub type Pid = libc::pid_t;

/// What to execute.
#[derive(Debug)]
pub struct Program {
    /// The file.
    pub path: CString,
    /// Its arguments, with its name.
    pub args: Vec<CString>,
    /// `NAME=value`, complete.
    pub env: Vec<CString>,
    /// Where to run it, if not here.
    pub dir: Option<CString>,
}

/// What the new process gets from us.
#[derive(Debug)]
pub struct Inherit<'a> {
    /// Standard input, output and error.
    pub stdio: [BorrowedFd<'a>; 3],
    /// Descriptors that it keeps under the same number.
    pub keep: &'a [BorrowedFd<'a>],
    /// Where it says that it could not start (see [`Trouble`]).
    pub trouble: BorrowedFd<'a>,
    /// The signal mask that it starts with.
    pub mask: &'a super::signals::Mask,
    /// The limit of open files that it starts with.
    pub files: Option<FileLimit>,
}

/// Soft and hard limit of open files.
pub type FileLimit = (u64, u64);

/// Why a new process could not become its program: written to [`Inherit::trouble`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// Its process id.
    pub pid: Pid,
    /// Whether it was the directory (else the program).
    pub in_dir: bool,
    /// `errno`.
    pub errno: i32,
}

impl Trouble {
    /// Bytes of one report: less than PIPE_BUF, so that reports never mix.
    pub const BYTES: usize = 12;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.pid.to_ne_bytes());
        bytes[4..8].copy_from_slice(&i32::from(self.in_dir).to_ne_bytes());
        bytes[8..].copy_from_slice(&self.errno.to_ne_bytes());
        bytes
    }

    /// Reads a report.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let word = |at: usize| i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Self { pid: word(0), in_dir: word(4) != 0, errno: word(8) }
    }
}

/// Starts `program` in a new session (so in a process group of its own number) that dies with this
/// process. The caller is single-threaded, or accepts that the child sees only what `fork` copies.
pub fn spawn(program: &Program, inherit: &Inherit<'_>) -> Result<Pid> {
    // Everything the child needs is made before: after fork it only makes system calls.
    let args = pointers(&program.args);
    let env = pointers(&program.env);
    // For a script without a first line "#!": what every shell does.
    let shell = c"/bin/sh";
    let mut shell_args = vec![shell.as_ptr(), program.path.as_ptr()];
    shell_args.extend_from_slice(&args[1.min(args.len() - 1)..]);
    let keep: Vec<RawFd> = inherit.keep.iter().map(AsRawFd::as_raw_fd).collect();
    let stdio = inherit.stdio.map(|fd| fd.as_raw_fd());
    // SAFETY: getpid has no preconditions.
    let parent = unsafe { libc::getpid() };
    // SAFETY: the child goes on to `become_program`, which makes system calls only.
    match unsafe { libc::fork() } {
        -1 => {
            Err(Error::last_os("starting a process (fork; is the limit of processes, `ulimit -u`, or memory used up?)"))
        }
        0 => {
            // SAFETY: we are the child of a fork; all pointers were made above from values that
            // live in this copy of the memory.
            unsafe {
                let in_dir = become_program(program, &stdio, &keep, inherit, parent, &args, &env, &shell_args);
                let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
                let report = Trouble { pid: libc::getpid(), in_dir, errno }.to_bytes();
                libc::write(inherit.trouble.as_raw_fd(), report.as_ptr().cast(), report.len());
                libc::_exit(127)
            }
        }
        pid => Ok(pid),
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

/// Comes back only on failure, with `errno` set: true when the directory was the reason.
///
/// # Safety
/// To be called in the child of a fork; `args`, `env` and `shell_args` end with a null pointer.
#[expect(clippy::too_many_arguments, reason = "all of it must be made before the fork")]
unsafe fn become_program(
    program: &Program,
    stdio: &[RawFd; 3],
    keep: &[RawFd],
    inherit: &Inherit<'_>,
    parent: Pid,
    args: &[*const libc::c_char],
    env: &[*const libc::c_char],
    shell_args: &[*const libc::c_char],
) -> bool {
    // SAFETY: async-signal-safe calls on descriptors and strings that the caller vouches for.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
        if libc::getppid() != parent {
            libc::_exit(127); // the launcher died before the line above
        }
        // Rust's runtime ignores SIGPIPE in this process; a program expects the default.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        for (number, &fd) in (0..).zip(stdio) {
            if libc::dup2(fd, number) < 0 {
                return false;
            }
        }
        for &fd in keep {
            libc::fcntl(fd, libc::F_SETFD, 0);
        }
        if let Some((soft, hard)) = inherit.files {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
        if let Some(dir) = &program.dir
            && libc::chdir(dir.as_ptr()) != 0
        {
            return true;
        }
        inherit.mask.restore();
        libc::execve(program.path.as_ptr(), args.as_ptr(), env.as_ptr());
        if std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOEXEC) {
            libc::execve(shell_args[0], shell_args.as_ptr(), env.as_ptr());
        }
        false
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// How the child `pid` ended, if it has; it stays a zombie, so that its number is not given to
/// another process before [`reap`].
pub fn exit_of(pid: Pid) -> Option<Exit> {
    wait(pid, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
}

/// Waits for the end of the child `pid` and lets its number go.
pub fn reap(pid: Pid) -> Option<Exit> {
    wait(pid, libc::WEXITED)
}

/// The same if it has ended already.
pub fn try_reap(pid: Pid) -> Option<Exit> {
    wait(pid, libc::WEXITED | libc::WNOHANG)
}

fn wait(pid: Pid, flags: libc::c_int) -> Option<Exit> {
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = libc::id_t::try_from(pid).ok()?;
    // SAFETY: `info` is a live struct of the right type for the whole call.
    while unsafe { libc::waitid(libc::P_PID, id, &raw mut info, flags) } != 0 {
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            return None;
        }
    }
    // SAFETY: waitid filled the struct for a child (pid 0 = nothing to report).
    let (who, status) = unsafe { (info.si_pid(), info.si_status()) };
    if who == 0 {
        return None;
    }
    Some(if info.si_code == libc::CLD_EXITED { Exit::Code(status) } else { Exit::Signal(status) })
}

/// Sends `signal` to every process of `group`; false when there is none.
pub fn signal_group(group: Pid, signal: i32) -> bool {
    // Never the groups 0 (ours) and -1 (everybody).
    // SAFETY: a plain call.
    group > 1 && unsafe { libc::kill(-group, signal) } == 0
}

/// Sends `signal` to `pid`.
pub fn signal(pid: Pid, signal: i32) -> bool {
    // SAFETY: a plain call.
    pid > 1 && unsafe { libc::kill(pid, signal) } == 0
}

/// Sends `signal` to the main thread of `pid`.
pub fn signal_main_thread(pid: Pid, signal: i32) -> bool {
    // SAFETY: a plain call.
    pid > 1 && unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, signal) } == 0
}

/// Stops this process, as the terminal's Ctrl-Z would.
pub fn stop_self() {
    // SAFETY: a plain call.
    unsafe {
        libc::raise(libc::SIGSTOP);
    }
}

/// Lets SIGSEGV and SIGBUS kill this process at once. Rust's runtime catches them, to tell of a full stack, and
/// goes on: where the program is at fault the signal comes again, but not where somebody sent it. Children inherit
/// that until they become their programs, and would survive it.
pub fn die_of_faults() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: a plain call.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Makes orphaned descendants our children, so that none is lost sight of.
pub fn adopt_orphans() {
    // SAFETY: prctl with plain integer arguments.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
}

/// The id of this process.
pub fn own_pid() -> Pid {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() }
}

/// The id of the parent.
pub fn parent_pid() -> Pid {
    // SAFETY: getppid has no preconditions.
    unsafe { libc::getppid() }
}

/// The effective user of this process.
pub fn own_user() -> u32 {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() }
}

/// Raises the soft limit of open files to `wanted`, if the hard one allows it; gives the limits as
/// they were when it had to.
pub fn raise_file_limit(wanted: u64) -> Option<FileLimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a live struct of the right type.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 || limit.rlim_cur >= wanted {
        return None;
    }
    let before = (limit.rlim_cur, limit.rlim_max);
    limit.rlim_cur = wanted.min(limit.rlim_max);
    // SAFETY: a live struct of the right type.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    Some(before)
}

/// Forks; the child runs `child` in a session of its own, with no descriptor but `keep`, and ends.
pub fn fork_guardian(keep: BorrowedFd<'_>, title: &CStr, child: impl FnOnce()) -> Result<Pid> {
    let keep = keep.as_raw_fd();
    // SAFETY: the caller of this crate is single-threaded here (mpiexec), so the child may go on
    // like any program.
    match unsafe { libc::fork() } {
        -1 => Err(Error::last_os("starting the guardian process")),
        0 => {
            // SAFETY: plain calls in the child; no descriptor above 2 is used any more but `keep`,
            // and the standard ones now lead nowhere.
            unsafe {
                libc::setsid();
                libc::prctl(libc::PR_SET_NAME, title.as_ptr());
                let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
                for number in 0..3 {
                    libc::dup2(null, number);
                }
                close_all_but(keep);
                retitle(title);
            }
            // A panic must not unwind into the parent's code in this copy.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        pid => Ok(pid),
    }
}

/// # Safety
/// No descriptor from 3 on is used afterwards but `keep`.
unsafe fn close_all_but(keep: RawFd) {
    let (Ok(keep), top) = (libc::c_uint::try_from(keep), libc::c_uint::MAX) else {
        return;
    };
    // SAFETY: closing descriptors, as the caller allows.
    unsafe {
        let below = keep <= 3 || libc::syscall(libc::SYS_close_range, 3, keep - 1, 0) == 0;
        if !below || libc::syscall(libc::SYS_close_range, keep + 1, top, 0) != 0 {
            for fd in 3..4096 {
                if libc::c_uint::try_from(fd) != Ok(keep) {
                    libc::close(fd);
                }
            }
        }
    }
}

/// Overwrites what `ps` shows of this process, so that `pkill -f mpiexec` finds mpiexec only.
///
/// # Safety
/// Nobody reads the process's original arguments afterwards.
unsafe fn retitle(title: &CStr) {
    let Some(stat) = std::fs::read_to_string("/proc/self/stat").ok() else {
        return;
    };
    let Some(after) = stat.rfind(')').map(|at| &stat[at + 1..]) else {
        return;
    };
    // Fields 48 and 49 of proc(5): arg_start and arg_end; the first after the name is number 3.
    let mut fields = after.split_whitespace().skip(45).map_while(|f| f.parse::<usize>().ok());
    let (Some(start), Some(end)) = (fields.next(), fields.next()) else {
        return;
    };
    let bytes = title.to_bytes();
    if start == 0 || end <= start {
        return;
    }
    for at in 0..end - start {
        // SAFETY: the kernel says that this range of our own memory holds the arguments, which are
        // writable; the caller vouches that nobody reads them.
        unsafe {
            (start as *mut u8).add(at).write(bytes.get(at).copied().unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_trouble_survives_the_pipe() {
        let trouble = Trouble { pid: 4711, in_dir: true, errno: libc::ENOENT };
        assert_eq!(Trouble::from_bytes(trouble.to_bytes()), trouble);
    }
}
