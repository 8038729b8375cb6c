//! Abstract Unix sockets by which the ranks of a foreign launcher find each other: no file is left
//! behind, a descriptor can be handed over, and the kernel vouches for the user at the other end.
//! Used by `job::rendezvous`.

use crate::error::{Error, Result};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// Listens under `name`; `None` while somebody else does.
pub fn listen(name: &str) -> Result<Option<UnixListener>> {
    let listener = match UnixListener::bind_addr(&address(name)?) {
        Ok(listener) => listener,
        Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => return Ok(None),
        Err(cause) => return Err(failed("listening for the other ranks", &cause)),
    };
    listener.set_nonblocking(true).map_err(|cause| failed("listening for the other ranks", &cause))?;
    Ok(Some(listener))
}

/// Connects to `name`; `None` while nobody listens (or the queue is full).
pub fn connect(name: &str) -> Result<Option<UnixStream>> {
    match UnixStream::connect_addr(&address(name)?) {
        Ok(stream) => Ok(Some(stream)),
        Err(cause)
            if matches!(
                cause.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Ok(None)
        }
        Err(cause) => Err(failed("connecting to rank 0", &cause)),
    }
}

fn address(name: &str) -> Result<SocketAddr> {
    SocketAddr::from_abstract_name(name).map_err(|cause| failed("naming the job's socket", &cause))
}

fn failed(what: &str, cause: &io::Error) -> Error {
    Error { text: format!("{what}: {cause}"), errno: cause.raw_os_error().unwrap_or(0) }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process id, 0 if it is in a foreign pid namespace.
    pub pid: i32,
    /// Its user.
    pub user: u32,
}

/// Who is at the other end, by the kernel's word.
pub fn peer(stream: &UnixStream) -> Result<Peer> {
    let mut who = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: a live struct of the type that SO_PEERCRED writes, and its length.
    let rc = unsafe {
        libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut who).cast(), &raw mut len)
    };
    if rc != 0 {
        return Err(Error::last_os("asking who is at the other end of the job's socket"));
    }
    Ok(Peer { pid: who.pid, user: who.uid })
}

/// Room for one descriptor in a control message, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Sends `bytes` with a copy of descriptor `fd`.
pub fn send_with(stream: &UnixStream, bytes: &[u8], fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 64]);
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    // SAFETY: CMSG_SPACE, CMSG_FIRSTHDR and CMSG_DATA are arithmetic inside `control`, which is
    // large enough for one descriptor (24 bytes) and aligned.
    unsafe {
        let size = size_of::<libc::c_int>() as libc::c_uint;
        message.msg_controllen = libc::CMSG_SPACE(size) as _;
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(head).cast::<libc::c_int>().write_unaligned(fd.as_raw_fd());
    }
    // SAFETY: all parts of the message live on our stack for the whole call.
    let put = unsafe { libc::sendmsg(stream.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    if usize::try_from(put) == Ok(bytes.len()) { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Receives up to a buffer of bytes, and the descriptor that came with them if one did.
pub fn receive_with(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; 64]);
    // SAFETY: all-zero is a valid value of this plain C struct.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: all parts of the message live on our stack, or are the caller's, for the whole call.
    let got = unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel filled `control` as far as msg_controllen now says; CMSG_FIRSTHDR gives
    // null when that is nothing, and a SCM_RIGHTS message holds at least one descriptor, ours now.
    let fd = unsafe {
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        let sent = !head.is_null() && (*head).cmsg_level == libc::SOL_SOCKET && (*head).cmsg_type == libc::SCM_RIGHTS;
        sent.then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(head).cast::<libc::c_int>().read_unaligned()))
    };
    Ok((got, fd))
}
