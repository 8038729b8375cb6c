//! The file behind the segment: a memfd, which the kernel frees with the last process that has
//! it, so that nothing can stay in /dev/shm and a container's 64 MiB there do not matter.

use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

/// Makes a memfd of `len` bytes (sparse: no memory is used yet) that can not shrink any more, so
/// that no access inside the mapping can ever be past its end.
pub fn create(len: usize) -> Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a NUL-terminated literal; the call returns a new descriptor or -1.
    let raw = unsafe { libc::memfd_create(c"oxmpi".as_ptr(), flags) };
    if raw < 0 {
        return Err(Error::last_os("making the job's shared memory (memfd_create)"));
    }
    // SAFETY: `raw` is a descriptor that memfd_create just gave to us alone.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    let size = libc::off_t::try_from(len).map_err(|_| Error::new(format!("a segment of {len} bytes is too large")))?;
    // SAFETY: a plain call on a descriptor that we own.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), size) } != 0 {
        return Err(Error::last_os(format_args!(
            "giving the job's shared memory its size of {} MiB (is the file size limit, `ulimit -f`, smaller?)",
            len >> 20
        )));
    }
    // SAFETY: a plain call on a descriptor that we own.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) } != 0 {
        return Err(Error::last_os("sealing the job's shared memory"));
    }
    Ok(fd)
}

/// Makes a file without a name to which text is appended, for others to read through /proc.
pub fn create_log() -> Result<OwnedFd> {
    // SAFETY: the name is a NUL-terminated literal; the call returns a new descriptor or -1.
    let raw = unsafe { libc::memfd_create(c"mpi-stacks".as_ptr(), libc::MFD_CLOEXEC) };
    if raw < 0 {
        return Err(Error::last_os("making a file in memory (memfd_create)"));
    }
    // SAFETY: `raw` is a descriptor that memfd_create just gave to us alone.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: a plain call on a descriptor that we own.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_APPEND) } != 0 {
        return Err(Error::last_os("opening a file in memory for appending"));
    }
    Ok(fd)
}

/// The length of the file, after a check that it is a memfd which can not shrink: only then no
/// access inside the mapping can raise SIGBUS.
pub fn checked_len(fd: BorrowedFd<'_>) -> Result<usize> {
    // SAFETY: a plain call on a borrowed, open descriptor.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 {
        return Err(Error::last_os("this descriptor is no shared memory of a job"));
    }
    if seals & libc::F_SEAL_SHRINK == 0 {
        return Err(Error::new("this descriptor is no shared memory of a job: it is not sealed"));
    }
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is a live struct of the right type for the whole call.
    if unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) } != 0 {
        return Err(Error::last_os("asking for the size of the job's shared memory"));
    }
    usize::try_from(stat.st_size).map_err(|_| Error::new("the job's shared memory has a negative size"))
}

/// Maps `len` bytes of the file, shared, for reading and writing.
pub fn map(fd: BorrowedFd<'_>, len: usize) -> Result<NonNull<u8>> {
    // SAFETY: a fresh mapping at an address of the kernel's choice touches no existing memory.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_NORESERVE,
            fd.as_raw_fd(),
            0,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(Error::last_os(format_args!(
            "mapping the job's shared memory, {} MiB of address space (`ulimit -v`?)",
            len >> 20
        )));
    }
    NonNull::new(base.cast()).ok_or_else(|| Error::new("the kernel mapped the job's shared memory at address 0"))
}

/// Ends a mapping.
///
/// # Safety
/// `base` and `len` are those of one [`map`], and nobody uses the memory any more.
pub unsafe fn unmap(base: NonNull<u8>, len: usize) {
    // SAFETY: the caller vouches for base and length and that nothing refers to the memory.
    unsafe {
        libc::munmap(base.as_ptr().cast(), len);
    }
}

/// Takes memory for `len` bytes at `offset` now, so that a later access can not fail: too little
/// of it is an error here and never SIGBUS.
pub fn reserve(fd: BorrowedFd<'_>, offset: usize, len: usize) -> Result<()> {
    let (Ok(from), Ok(bytes)) = (libc::off_t::try_from(offset), libc::off_t::try_from(len)) else {
        return Err(Error::new(format!("can not reserve {len} bytes at {offset}")));
    };
    loop {
        // SAFETY: a plain call on a borrowed, open descriptor.
        if unsafe { libc::fallocate(fd.as_raw_fd(), 0, from, bytes) } == 0 {
            return Ok(());
        }
        let error = std::io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(Error::last_os(format_args!(
                "reserving {} KiB more of shared memory at {} KiB of the job's segment; free some memory, raise the \
                 container's memory limit, or start fewer ranks",
                len.div_ceil(1024),
                offset / 1024
            )));
        }
    }
}
