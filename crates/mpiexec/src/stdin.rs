//! Standard input. A file or pipe is simply inherited by the rank that reads it, so that what the rank
//! does not read stays there for whoever comes next. A terminal can not be inherited, since ranks
//! are in sessions of their own: what is typed is passed on through a pipe.

use crate::flags::parse::StdinTo;
use shm::os::io::{self, Poll};
use shm::os::tty;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often to look whether we are in the foreground again.
const GLANCE: Duration = Duration::from_millis(300);

/// Standard input of the job.
pub(crate) struct Stdin {
    to: StdinTo,
    null: OwnedFd,
    /// Whether input goes through us (a terminal, or several readers).
    pump: bool,
    readers: Vec<Reader>,
    ended: bool,
    place: Option<usize>,
}

/// A rank that reads.
struct Reader {
    pipe: OwnedFd,
    queue: Vec<u8>,
    place: Option<usize>,
}

/// What a rank gets as its standard input.
pub(crate) enum End<'a> {
    Borrowed(BorrowedFd<'a>),
    Own(OwnedFd),
}

impl AsFd for End<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Borrowed(fd) => *fd,
            Self::Own(fd) => fd.as_fd(),
        }
    }
}

impl Stdin {
    pub(crate) fn new(to: StdinTo) -> std::io::Result<Self> {
        let pump = match to {
            StdinTo::All => true,
            StdinTo::Rank(_) => std::io::stdin().is_terminal(),
            StdinTo::Nobody => false,
        };
        let null = File::open("/dev/null")?.into();
        Ok(Self { to, null, pump, readers: Vec::new(), ended: false, place: None })
    }

    /// What `rank` gets.
    pub(crate) fn connect<'a>(&'a mut self, rank: u32, own: BorrowedFd<'a>) -> shm::Result<End<'a>> {
        let reads = match self.to {
            StdinTo::All => true,
            StdinTo::Rank(reader) => reader == rank,
            StdinTo::Nobody => false,
        };
        if !reads {
            return Ok(End::Borrowed(self.null.as_fd()));
        }
        if !self.pump {
            return Ok(End::Borrowed(own));
        }
        let (theirs, ours) = io::pipe()?;
        io::set_nonblocking(ours.as_fd());
        self.readers.push(Reader { pipe: ours, queue: Vec::new(), place: None });
        Ok(End::Own(theirs))
    }

    /// Adds what can happen here to the next wait.
    pub(crate) fn register(&mut self, poll: &mut Poll) {
        self.place = None;
        for reader in &mut self.readers {
            reader.place = (!reader.queue.is_empty()).then(|| poll.write(reader.pipe.as_fd()));
        }
        // One line at a time: nothing is read before everybody has taken the last one.
        let all_taken = self.readers.iter().all(|reader| reader.queue.is_empty());
        if !self.ended && !self.readers.is_empty() && all_taken && self.may_read() {
            self.place = Some(poll.read(std::io::stdin().as_fd()));
        }
    }

    /// A terminal must not be read from the shell's background.
    fn may_read(&self) -> bool {
        let stdin = std::io::stdin();
        !stdin.is_terminal() || tty::in_foreground(stdin.as_fd())
    }

    /// When to look again although nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let idle = !self.readers.is_empty() && !self.ended && self.place.is_none();
        idle.then(|| Instant::now() + GLANCE)
    }

    /// After the wait: reads and passes on.
    pub(crate) fn turn(&mut self, poll: &Poll) {
        if self.place.take().is_some_and(|place| poll.ready(place)) {
            let mut bytes = [0u8; 4096];
            match io::read(std::io::stdin().as_fd(), &mut bytes) {
                Ok(0) => self.ended = true,
                Ok(got) => self.readers.iter_mut().for_each(|reader| reader.queue.extend_from_slice(&bytes[..got])),
                // Sent to the background between the look and the read; else the terminal is gone.
                Err(_) => self.ended = self.may_read(),
            }
        }
        self.readers.retain_mut(|reader| reader.place.is_some_and(|place| !poll.ready(place)) || reader.flush());
        if self.ended {
            // Whoever has taken everything sees the end now.
            self.readers.retain(|reader| !reader.queue.is_empty());
        }
    }
}

impl Reader {
    /// Whether the rank still reads.
    fn flush(&mut self) -> bool {
        while !self.queue.is_empty() {
            match io::write(self.pipe.as_fd(), &self.queue) {
                Ok(put) => {
                    self.queue.drain(..put);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        true
    }
}
