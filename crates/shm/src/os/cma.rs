//! Single copy between processes: process_vm_readv and process_vm_writev. Whether the kernel
//! allows it is found out by a real read, never by reading a setting (design.md section 2).

/// What a single copy came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// So many bytes, at least one.
    Bytes(usize),
    /// The kernel refuses (EPERM, ENOSYS): use the ring instead.
    Refused,
    /// The process is gone.
    Gone,
    /// The address range is not readable or writable in the other process.
    Fault,
}

fn outcome(rc: isize) -> Copied {
    if let Ok(n) = usize::try_from(rc)
        && n > 0
    {
        return Copied::Bytes(n);
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ESRCH) => Copied::Gone,
        Some(libc::EFAULT) => Copied::Fault,
        _ => Copied::Refused,
    }
}

/// Copies up to `len` bytes from `remote` in process `pid` to `local`.
///
/// # Safety
/// `local` is valid for writes of `len` bytes for the whole call.
pub unsafe fn read(pid: i32, local: *mut u8, remote: usize, len: usize) -> Copied {
    let here = libc::iovec { iov_base: local.cast(), iov_len: len };
    let there = libc::iovec { iov_base: remote as *mut libc::c_void, iov_len: len };
    // SAFETY: the caller vouches for the local range; the remote one is checked by the kernel.
    outcome(unsafe { libc::process_vm_readv(pid, &raw const here, 1, &raw const there, 1, 0) })
}

/// Copies up to `len` bytes from `local` to `remote` in process `pid`.
///
/// # Safety
/// `local` is valid for reads of `len` bytes for the whole call.
pub unsafe fn write(pid: i32, local: *const u8, remote: usize, len: usize) -> Copied {
    let here = libc::iovec { iov_base: local.cast_mut().cast(), iov_len: len };
    let there = libc::iovec { iov_base: remote as *mut libc::c_void, iov_len: len };
    // SAFETY: the caller vouches for the local range; the remote one is checked by the kernel.
    outcome(unsafe { libc::process_vm_writev(pid, &raw const here, 1, &raw const there, 1, 0) })
}

/// Lets `launcher` and its descendants read this process's memory under Yama's
/// `ptrace_scope=1`; without Yama it has no effect.
pub fn allow_tracer(launcher: u32) {
    // SAFETY: prctl with plain integer arguments.
    unsafe {
        libc::prctl(libc::PR_SET_PTRACER, libc::c_ulong::from(launcher), 0, 0, 0);
    }
}
