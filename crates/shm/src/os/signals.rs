//! Signals as a descriptor to poll (signalfd), so that no handler runs in the middle of anything: used by
//! mpiexec. And what a rank asks about its own.

use crate::error::{Error, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A set of signals that are held back.
#[derive(Clone, Copy)]
pub struct Mask(libc::sigset_t);

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    fn empty() -> Self {
        // SAFETY: all-zero is a valid value of this plain C type.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a live set of the right type.
        unsafe { libc::sigemptyset(&raw mut set) };
        Self(set)
    }

    /// Makes this the mask of the calling thread. Async-signal-safe.
    pub fn restore(&self) {
        // SAFETY: a live set of the right type; the old mask is not asked for.
        unsafe {
            libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut());
        }
    }
}

/// The signals that arrive at this process, to be read one by one.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    before: Mask,
}

impl Signals {
    /// Holds `wanted` back from now on, to be read here; a signal that this process was started to
    /// ignore (`nohup`, a shell's background job) stays ignored.
    pub fn catch(wanted: &[i32]) -> Result<Self> {
        let mut set = Mask::empty();
        for &signal in wanted {
            if !ignored(signal) {
                // SAFETY: a live set and a valid signal number.
                unsafe { libc::sigaddset(&raw mut set.0, signal) };
            }
        }
        let mut before = Mask::empty();
        // SAFETY: live sets of the right type.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set.0, &raw mut before.0) } != 0 {
            return Err(Error::last_os("holding signals back"));
        }
        // SAFETY: a live set; the call returns a new descriptor or -1.
        let raw = unsafe { libc::signalfd(-1, &raw const set.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if raw < 0 {
            return Err(Error::last_os("receiving signals (signalfd)"));
        }
        // SAFETY: a descriptor that was just given to us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { fd, before })
    }

    /// The mask as it was before: what children should start with.
    pub fn before(&self) -> &Mask {
        &self.before
    }

    /// The next signal, if one has come.
    pub fn next(&self) -> Option<i32> {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the struct is ours and as long as we say.
        let got = unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut info).cast(), size) };
        (usize::try_from(got) == Ok(size)).then(|| i32::try_from(info.ssi_signo).unwrap_or(0))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn ignored(signal: i32) -> bool {
    // A child's end must be seen even if the parent ignored its own children.
    if signal == libc::SIGCHLD {
        // SAFETY: setting the default disposition.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        return false;
    }
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a live struct of the right type; nothing is changed.
    unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    action.sa_sigaction == libc::SIG_IGN
}

/// Ignores `signal` if nothing else is to happen then: for one that must not end the process before and after it is
/// caught. False: somebody uses it.
pub fn ignore_unless_used(signal: i32) -> bool {
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a live struct of the right type; nothing is changed.
    if unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) } != 0 {
        return false;
    }
    if action.sa_sigaction == libc::SIG_DFL {
        // SAFETY: no handler is replaced.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
}

/// Whether an alarm of the process is set (`signal.alarm` of Python, alarm(2), setitimer(2)): a signal that
/// comes by itself.
pub fn alarm_is_set() -> bool {
    // SAFETY: all-zero is a valid value of this plain C type.
    let mut timer: libc::itimerval = unsafe { std::mem::zeroed() };
    // SAFETY: a live struct of the right type.
    let rc = unsafe { libc::getitimer(libc::ITIMER_REAL, &raw mut timer) };
    rc == 0 && (timer.it_value.tv_sec, timer.it_value.tv_usec) != (0, 0)
}

/// The name and meaning of a signal: `SIGSEGV`, `segmentation fault`.
pub fn describe(signal: i32) -> (String, &'static str) {
    let (name, what) = match signal {
        libc::SIGHUP => ("SIGHUP", "hang-up"),
        libc::SIGINT => ("SIGINT", "interrupted"),
        libc::SIGQUIT => ("SIGQUIT", "quit"),
        libc::SIGILL => ("SIGILL", "illegal instruction: built for another processor?"),
        libc::SIGTRAP => ("SIGTRAP", "trap"),
        libc::SIGABRT => ("SIGABRT", "aborted"),
        libc::SIGBUS => ("SIGBUS", "bus error: a file or memory that is not there"),
        libc::SIGFPE => ("SIGFPE", "arithmetic error"),
        libc::SIGKILL => ("SIGKILL", "killed: by somebody, or for lack of memory"),
        libc::SIGUSR1 => ("SIGUSR1", "user signal 1"),
        libc::SIGSEGV => ("SIGSEGV", "segmentation fault"),
        libc::SIGUSR2 => ("SIGUSR2", "user signal 2"),
        libc::SIGPIPE => ("SIGPIPE", "broken pipe"),
        libc::SIGALRM => ("SIGALRM", "alarm"),
        libc::SIGTERM => ("SIGTERM", "terminated"),
        libc::SIGXCPU => ("SIGXCPU", "limit of processor time"),
        libc::SIGXFSZ => ("SIGXFSZ", "limit of file size"),
        libc::SIGSYS => ("SIGSYS", "forbidden system call"),
        _ => return (format!("signal {signal}"), "no common signal"),
    };
    (name.to_owned(), what)
}
