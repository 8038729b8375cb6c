//! One destination of output: a queue before a descriptor that is never waited for, so that a slow
//! reader delays the ranks (their pipes fill up) but not signals, deaths and the other stream.

use super::{HOLD, HOLD_ELSEWHERE};
use shm::os::io::Outlet;
use std::io::{Error, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

pub(super) struct Sink {
    outlet: Outlet,
    queue: Vec<u8>,
    /// How much of the queue was written.
    sent: usize,
    /// The source whose line is unfinished here.
    pub(super) open: Option<usize>,
    /// How much of that line was written.
    pub(super) open_bytes: usize,
    /// Why nothing can be written any more: nobody reads, or the disk is full.
    pub(super) broken: Option<Error>,
    pub(super) terminal: bool,
}

impl Sink {
    pub(super) fn new(fd: BorrowedFd<'_>, terminal: bool) -> shm::Result<Self> {
        Ok(Self {
            outlet: Outlet::new(fd)?,
            queue: Vec::new(),
            sent: 0,
            open: None,
            open_bytes: 0,
            broken: None,
            terminal,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.outlet.as_fd()
    }

    /// How long whole lines wait for somebody else's unfinished one here.
    pub(super) fn hold(&self) -> Duration {
        if self.terminal { HOLD } else { HOLD_ELSEWHERE }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.queue.extend_from_slice(bytes);
        }
    }

    /// `bytes` of a source were written; `open` is the source if they do not end a line.
    pub(super) fn set_open(&mut self, open: Option<usize>, bytes: usize) {
        self.open_bytes = if open.is_some() && open == self.open { self.open_bytes + bytes } else { bytes };
        self.open = open;
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len() - self.sent
    }

    pub(super) fn waits(&self) -> bool {
        self.queued() > 0
    }

    /// Writes as much as the reader takes now.
    pub(super) fn flush(&mut self) {
        while self.waits() {
            match self.outlet.write(&self.queue[self.sent..]) {
                Ok(put) => self.sent += put,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.broken = Some(error);
                    self.queue.clear();
                    self.sent = 0;
                }
            }
        }
        if !self.waits() {
            self.queue.clear();
            self.sent = 0;
        } else if self.sent > 1 << 16 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
    }
}
