//! Terminals: a pseudo-terminal that gives rank 0 the look of one (progress bars, colours), and
//! who may read the real one. Used by mpiexec.

use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Makes a pseudo-terminal that changes no byte: (ours, the program's). It is nobody's controlling
/// terminal, so it plays no part in signals and job control.
pub fn pair(size_of: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd)> {
    // SAFETY: posix_openpt returns a new descriptor or -1.
    let raw = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    if raw < 0 {
        return Err(Error::last_os("making a pseudo-terminal"));
    }
    // SAFETY: a descriptor that was just given to us alone.
    let ours = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: plain calls on a descriptor that we own; the second returns a new one or -1.
    let raw = unsafe {
        if libc::unlockpt(ours.as_raw_fd()) != 0 {
            return Err(Error::last_os("unlocking a pseudo-terminal"));
        }
        libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC)
    };
    if raw < 0 {
        return Err(Error::last_os("opening a pseudo-terminal"));
    }
    // SAFETY: a descriptor that was just given to us alone.
    let theirs = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: a live struct of the right type, an open terminal.
    let failed = unsafe {
        libc::tcgetattr(raw, &raw mut settings) != 0 || {
            libc::cfmakeraw(&raw mut settings);
            libc::tcsetattr(raw, libc::TCSANOW, &raw const settings) != 0
        }
    };
    if failed {
        return Err(Error::last_os("setting a pseudo-terminal up"));
    }
    copy_size(size_of, ours_borrowed(&ours));
    Ok((ours, theirs))
}

fn ours_borrowed(fd: &OwnedFd) -> BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(fd)
}

/// Gives terminal `to` the rows and columns of terminal `from`.
pub fn copy_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: a live struct of the type that both requests use.
    unsafe {
        if libc::ioctl(from.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) == 0 {
            libc::ioctl(to.as_raw_fd(), libc::TIOCSWINSZ, &raw const size);
        }
    }
}

/// Whether this process may read terminal `fd` now: it is not in the shell's background.
pub fn in_foreground(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: plain calls.
    let (front, own) = unsafe { (libc::tcgetpgrp(fd.as_raw_fd()), libc::getpgrp()) };
    front < 0 || front == own
}
