//! Record locks (fcntl) on single bytes of the job's memory file: a rank holds the byte of its
//! number. The kernel gives it back when the process ends, however it ends, and a forked child
//! does not inherit it, so the lock says "this very process lives".
//!
//! The process loses its lock when it closes *any* descriptor of the file, so a free lock alone is
//! no proof of death: `liveness` asks /proc as well.

use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

fn record(byte: u32) -> libc::flock {
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut record: libc::flock = unsafe { std::mem::zeroed() };
    record.l_type = libc::F_WRLCK as libc::c_short;
    record.l_whence = libc::SEEK_SET as libc::c_short;
    record.l_start = libc::off_t::from(byte);
    record.l_len = 1;
    record
}

/// Takes the lock on `byte`; false when another process has it.
pub fn hold(fd: BorrowedFd<'_>, byte: u32) -> Result<bool> {
    let mut record = record(byte);
    // SAFETY: a live struct of the type that F_SETLK reads, on an open descriptor.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETLK, &raw mut record) } == 0 {
        return Ok(true);
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EACCES | libc::EAGAIN) => Ok(false),
        _ => Err(Error::last_os("locking the rank's byte of the job's shared memory")),
    }
}

/// Whether another process holds the lock on `byte`. Costs one system call (0.3 us).
pub fn held(fd: BorrowedFd<'_>, byte: u32) -> bool {
    let mut record = record(byte);
    // SAFETY: a live struct of the type that F_GETLK reads and writes, on an open descriptor.
    let rc = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETLK, &raw mut record) };
    rc == 0 && i32::from(record.l_type) != libc::F_UNLCK
}
