//! Dying with the launcher, whatever stands between it and us. mpiexec alone holds the write end of
//! a pipe; when it is gone, the kernel sends each rank that armed its read end a SIGKILL. A parent
//! death signal covers direct children only; this covers a rank behind a shell as well.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// `F_SETSIG` of <asm-generic/fcntl.h>, the same on every Linux system; the libc crate lacks it.
const F_SETSIG: libc::c_int = 10;

/// Arms the lifeline at `path` (`/proc/self/fd/N`, or that of the launcher). The descriptor that
/// comes back must be kept open. The file is opened anew: owner and signal belong to the open
/// file, and the inherited one is shared with every other rank.
pub fn arm(path: &Path) -> Result<OwnedFd> {
    let pipe: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .map_err(|cause| Error::new(format!("opening the launcher's lifeline {}: {cause}", path.display())))?;
    let fd = pipe.as_raw_fd();
    // SAFETY: getpid has no preconditions.
    let me = unsafe { libc::getpid() };
    // SAFETY: plain calls on a descriptor that we own.
    let failed = unsafe {
        libc::fcntl(fd, libc::F_SETOWN, me) != 0
            || libc::fcntl(fd, F_SETSIG, libc::SIGKILL) != 0
            || libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK | libc::O_ASYNC) != 0
    };
    if failed {
        return Err(Error::last_os("arming the launcher's lifeline"));
    }
    // It may have broken before it was armed, and then no signal comes: an end of file says so.
    let mut byte = [0u8; 1];
    if let Ok(0) = std::io::Read::read(&mut &pipe, &mut byte) {
        return Err(Error::new("mpiexec, which started this process, is gone"));
    }
    Ok(pipe.into())
}
