//! Descriptors: waiting for several at once, reading and writing without getting stuck. Used by
//! mpiexec, whose one thread must never block on a terminal or pipe that nobody reads.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::time::Duration;

/// Descriptors to wait for, built anew for each wait.
#[derive(Default)]
pub struct Poll {
    list: Vec<libc::pollfd>,
}

impl Poll {
    /// Forgets all descriptors.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Waits for `fd` to become readable; returns the place to ask for the answer.
    pub fn read(&mut self, fd: BorrowedFd<'_>) -> usize {
        self.add(fd, libc::POLLIN)
    }

    /// Waits for `fd` to become writable.
    pub fn write(&mut self, fd: BorrowedFd<'_>) -> usize {
        self.add(fd, libc::POLLOUT)
    }

    fn add(&mut self, fd: BorrowedFd<'_>, events: libc::c_short) -> usize {
        self.list.push(libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 });
        self.list.len() - 1
    }

    /// Sleeps until one of them is ready, a signal came, or the time is over.
    pub fn wait(&mut self, limit: Option<Duration>) {
        let limit = limit.map(|limit| libc::timespec {
            tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(limit.subsec_nanos()),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let count = self.list.len() as libc::nfds_t;
        // SAFETY: the list is ours and as long as we say; the limit is null or lives on our stack.
        let rc = unsafe { libc::ppoll(self.list.as_mut_ptr(), count, limit, std::ptr::null()) };
        if rc < 0 {
            for entry in &mut self.list {
                entry.revents = 0;
            }
        }
    }

    /// Whether the descriptor at `place` is ready (or broken, which a read or write will tell).
    pub fn ready(&self, place: usize) -> bool {
        self.list.get(place).is_some_and(|entry| entry.revents != 0)
    }
}

/// A pipe: read end, write end; both are closed on exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()
        .map_err(|cause| Error { text: format!("making a pipe: {cause}"), errno: cause.raw_os_error().unwrap_or(0) })?;
    Ok((read.into(), write.into()))
}

/// A pipe whose pages are at least `bytes` long together, if the system allows it.
pub fn widen(pipe: BorrowedFd<'_>, bytes: i32) {
    // SAFETY: a plain call on an open descriptor.
    unsafe {
        libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes);
    }
}

/// Makes reads and writes of this open file return at once.
pub fn set_nonblocking(fd: BorrowedFd<'_>) {
    // SAFETY: plain calls on an open descriptor.
    unsafe {
        let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
        libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK);
    }
}

/// Whether a descriptor is closed on exec; `None` when it is not open.
pub fn close_on_exec(fd: i32) -> Option<bool> {
    // SAFETY: asking for flags, which a closed number answers with an error.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    (flags >= 0).then_some(flags & libc::FD_CLOEXEC != 0)
}

/// Keeps the descriptor `fd` from the programs that this process executes.
pub fn set_close_on_exec(fd: i32) {
    // SAFETY: sets a flag of a descriptor; a closed number answers with an error.
    unsafe {
        libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
    }
}

/// Borrows the descriptor `number` that the environment names, if it is open.
pub fn inherited(number: i32) -> Option<OwnedFd> {
    close_on_exec(number)?;
    // SAFETY: it was open a moment ago; the borrow ends with this statement, which only makes a
    // copy, and a number that somebody closes in between is answered with an error.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().ok()
}

/// Closes a descriptor that was inherited and that nobody in this process owns.
///
/// # Safety
/// `number` came from the launcher for the use of this crate alone.
pub unsafe fn close_inherited(number: i32) {
    // SAFETY: nobody else uses it, says the caller.
    unsafe {
        libc::close(number);
    }
}

/// Reads what is there: `Ok(0)` at the end, `WouldBlock` when there is nothing yet.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the buffer is ours and as long as we say.
        let got = unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        if let Ok(got) = usize::try_from(got) {
            return Ok(got);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Writes a first part of `bytes`.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the bytes are ours and as many as we say.
        let put = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
        if let Ok(put) = usize::try_from(put) {
            return Ok(put);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Writing to a descriptor that others share (our standard output) without ever blocking on it
/// and without changing it for them.
#[derive(Debug)]
pub struct Outlet {
    fd: OwnedFd,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Our own open file of the same pipe or terminal: it does not block.
    Own,
    /// A socket: does not block for this call.
    Socket,
    /// A regular file: never blocks for long.
    File,
    /// Somebody else's pipe or terminal: small pieces, each after poll said that there is room.
    Careful,
}

impl Outlet {
    /// The way to write to `fd`.
    pub fn new(fd: BorrowedFd<'_>) -> Result<Self> {
        let copy = fd.try_clone_to_owned().map_err(|_| Error::last_os("copying a descriptor"))?;
        let file = File::from(copy);
        let kind = file.metadata().map_err(|_| Error::last_os("looking at standard output"))?.file_type();
        let again = || {
            OpenOptions::new()
                .write(true)
                .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
                .open(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        };
        let (file, way) = if kind.is_socket() {
            (file, Way::Socket)
        } else if kind.is_fifo() || kind.is_char_device() {
            match again() {
                Ok(own) => (own, Way::Own),
                Err(_) => (file, Way::Careful),
            }
        } else {
            (file, Way::File)
        };
        Ok(Self { fd: file.into(), way })
    }

    /// Writes a first part of `bytes`; the caller polls before the next try.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.way {
            Way::Own | Way::File => write(self.fd.as_fd(), bytes),
            Way::Socket => self.send(bytes),
            Way::Careful => {
                let mut poll = Poll::default();
                let place = poll.write(self.fd.as_fd());
                poll.wait(Some(Duration::ZERO));
                if !poll.ready(place) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                // 512 bytes fit wherever poll reports room (POSIX's PIPE_BUF).
                write(self.fd.as_fd(), &bytes[..bytes.len().min(512)])
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the bytes are ours and as many as we say.
        let put = unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
        usize::try_from(put).map_err(|_| io::Error::last_os_error())
    }
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether two descriptors lead to the same terminal, pipe or file.
pub fn same_file(one: BorrowedFd<'_>, two: BorrowedFd<'_>) -> bool {
    let meta = |fd: BorrowedFd<'_>| File::from(fd.try_clone_to_owned().ok()?).metadata().ok();
    match (meta(one), meta(two)) {
        (Some(one), Some(two)) => one.dev() == two.dev() && one.ino() == two.ino(),
        _ => false,
    }
}
