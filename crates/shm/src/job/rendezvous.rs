//! How the ranks of a foreign launcher find each other: through an abstract Unix socket named after
//! user, launcher, job and step. Rank 0 makes the memory, waits until all others have come, and hands
//! every one the descriptor; then the name is free again, so that a later program of the same step
//! does the same. Nothing (thread, socket, file) is left when the ranks have met.
//!
//! ```text
//! rank r > 0:  connect (until rank 0 listens) -> Hello { size, rank }   -> wait for the answer
//! rank 0:      listen -> accept, check user, read Hello, note pid       -> all here: Go { key } + fd
//! ```
//!
//! Whoever dies before all have come closes its socket, and the others say so. A rank that comes
//! twice (two programs at the same time in one task) is told to try again later.

use super::foreign::Found;
use super::seat;
use crate::error::{Error, Result};
use crate::os::io::Poll;
use crate::os::{process, socket};
use crate::page::Seat;
use crate::segment::Segment;
use crate::sync::Ordering;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// First word of a greeting: another version does not understand us.
const HELLO: u32 = 0x6f78_0001;
const HELLO_BYTES: usize = 12;
/// First byte of an answer: the memory's descriptor comes with it, and eight bytes of key.
const GO: u8 = b'G';
/// First byte of an answer: try again, this world has such a rank already.
const LATER: u8 = b'L';
/// First byte of an answer: a text follows that says what went wrong.
const FAILED: u8 = b'F';
const ANSWER_BYTES: usize = 512;
/// Longest pause between two tries to connect, and between two looks for an interruption.
const PAUSE: Duration = Duration::from_millis(10);
/// Ranks wait longer than rank 0, so that its sentence, which knows who is missing, comes first.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for all ranks of the job and returns their common memory, with our seat taken.
pub(super) fn meet(
    found: &Found,
    key: &str,
    limit: Duration,
    interrupted: &mut dyn FnMut() -> bool,
) -> Result<Segment> {
    let name = socket_name(found, key);
    let deadline = Instant::now() + limit;
    if found.rank == 0 {
        Host { found, deadline, limit, interrupted, guests: Vec::new() }.run(&name)
    } else {
        Guest { found, deadline: deadline + PATIENCE, limit, interrupted }.run(&name)
    }
}

fn socket_name(found: &Found, key: &str) -> String {
    let name = format!("oxmpi/{}/{:?}/{key}", process::own_user(), found.launcher);
    // An address has 107 bytes; long names (PMIx has up to 255) are cut and told apart by a hash.
    if name.len() <= 100 {
        return name;
    }
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("oxmpi/{}/{:?}/{hash:016x}", process::own_user(), found.launcher)
}

fn gave_up() -> Error {
    Error { text: "interrupted while waiting for the other ranks".to_owned(), errno: libc::EINTR }
}

fn of_another_user(user: u32) -> Error {
    Error::new(format!(
        "the other end of this job's socket belongs to user {user}, not to us (user {}): refused",
        process::own_user()
    ))
}

/// Rank 0.
struct Host<'a> {
    found: &'a Found,
    deadline: Instant,
    limit: Duration,
    interrupted: &'a mut dyn FnMut() -> bool,
    /// All that are connected; the rank is known once the greeting was read.
    guests: Vec<Connection>,
}

struct Connection {
    stream: UnixStream,
    pid: i32,
    greeting: Vec<u8>,
    rank: Option<u32>,
}

impl Host<'_> {
    fn run(mut self, name: &str) -> Result<Segment> {
        let listener = self.listen(name)?;
        let segment = Segment::create(self.found.size)?;
        seat::take(&segment, 0)?;
        if let Err(error) = self.gather(&listener) {
            let mut text = vec![FAILED];
            text.extend(error.text.bytes().take(ANSWER_BYTES - 1));
            for guest in &mut self.guests {
                // One that is gone needs no text.
                let _ = guest.stream.write_all(&text);
            }
            return Err(error);
        }
        // The name is free for the next program of this step from here on, and not before: nobody
        // of this one is still looking for it.
        drop(listener);
        self.let_in(&segment)?;
        Ok(segment)
    }

    fn listen(&mut self, name: &str) -> Result<UnixListener> {
        loop {
            if let Some(listener) = socket::listen(name)? {
                return Ok(listener);
            }
            if let Some(other) = socket::connect(name)? {
                let user = socket::peer(&other)?.user;
                if user != process::own_user() {
                    return Err(of_another_user(user));
                }
            }
            if Instant::now() > self.deadline {
                return Err(Error::new(format!(
                    "another process of this job still waits as rank 0 after {} s: does each rank start the program once?",
                    self.limit.as_secs()
                )));
            }
            if (self.interrupted)() {
                return Err(gave_up());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Returns when every rank has come.
    fn gather(&mut self, listener: &UnixListener) -> Result<()> {
        let mut poll = Poll::default();
        loop {
            let here = self.guests.iter().filter(|guest| guest.rank.is_some()).count();
            if here + 1 == self.found.size as usize {
                return Ok(());
            }
            let now = Instant::now();
            if now >= self.deadline {
                return Err(self.too_few());
            }
            if (self.interrupted)() {
                return Err(gave_up());
            }
            poll.clear();
            let door = poll.read(listener.as_fd());
            let places: Vec<usize> = self.guests.iter().map(|guest| poll.read(guest.stream.as_fd())).collect();
            poll.wait(Some((self.deadline - now).min(Duration::from_millis(200))));
            // Backwards: a guest that leaves makes the later ones move up.
            for (index, place) in places.into_iter().enumerate().rev() {
                if poll.ready(place) {
                    self.hear(index)?;
                }
            }
            if poll.ready(door) {
                self.accept(listener)?;
            }
        }
    }

    fn accept(&mut self, listener: &UnixListener) -> Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            let who = socket::peer(&stream)?;
            // Another user's process learns nothing and is left standing.
            if who.user == process::own_user() && stream.set_nonblocking(true).is_ok() {
                self.guests.push(Connection { stream, pid: who.pid, greeting: Vec::new(), rank: None });
            }
        }
        Ok(())
    }

    /// Guest `index` says something, or left.
    fn hear(&mut self, index: usize) -> Result<()> {
        let mut bytes = [0u8; HELLO_BYTES];
        let guest = &mut self.guests[index];
        let room = HELLO_BYTES - guest.greeting.len();
        match guest.stream.read(&mut bytes[..room.max(1)]) {
            Ok(0) => {
                let gone = self.guests.swap_remove(index);
                return gone.rank.map_or(Ok(()), |rank| {
                    Err(Error::new(format!("rank {rank} ended while the ranks were still finding each other")))
                });
            }
            Ok(got) if guest.rank.is_none() => guest.greeting.extend_from_slice(&bytes[..got]),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => {
                self.guests.swap_remove(index);
                return Ok(());
            }
        }
        if self.guests[index].rank.is_none() && self.guests[index].greeting.len() == HELLO_BYTES {
            return self.greet(index);
        }
        Ok(())
    }

    fn greet(&mut self, index: usize) -> Result<()> {
        let word = |at: usize| {
            let bytes = &self.guests[index].greeting[at..at + 4];
            u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        let (hello, size, rank) = (word(0), word(4), word(8));
        if hello != HELLO {
            return Err(Error::new("the ranks of this job use different versions of oxmpi"));
        }
        if size != self.found.size || rank == 0 || rank >= size {
            return Err(Error::new(format!(
                "a process came as rank {rank} of {size} to a job of {} ranks: two jobs with the same name?",
                self.found.size
            )));
        }
        if self.guests.iter().any(|guest| guest.rank == Some(rank)) {
            let mut twin = self.guests.swap_remove(index);
            let _ = twin.stream.write_all(&[LATER]);
        } else {
            self.guests[index].rank = Some(rank);
        }
        Ok(())
    }

    fn too_few(&self) -> Error {
        let size = self.found.size;
        let here: Vec<u32> = self.guests.iter().filter_map(|guest| guest.rank).collect();
        let missing: Vec<String> = (1..size).filter(|rank| !here.contains(rank)).map(|rank| rank.to_string()).collect();
        let shown = missing[..missing.len().min(8)].join(", ");
        let more = if missing.len() > 8 { ", ..." } else { "" };
        Error::new(format!(
            "{} started {size} ranks, but only {} came to this machine's job within {} s (missing: {shown}{more}). All of \
             them must call MPI_Init on one machine; for several machines set MPI4PY_LIBMPI to the cluster's MPI. The time \
             limit is {} (seconds)",
            self.found.launcher.name(),
            here.len() + 1,
            self.limit.as_secs_f32(),
            crate::env::JOIN_TIMEOUT
        ))
    }

    fn let_in(&mut self, segment: &Segment) -> Result<()> {
        // The seats first, so that a guest that dies on its way in is missed by the others.
        for guest in &self.guests {
            let Some(rank) = guest.rank else { continue };
            let page = segment.rank_page(rank);
            page.identity.0.pid.store(guest.pid.cast_unsigned(), Ordering::Release);
            page.set_seat(Seat::Claimed);
        }
        let mut answer = vec![GO];
        answer.extend_from_slice(&segment.key().to_ne_bytes());
        for guest in self.guests.iter().filter(|guest| guest.rank.is_some()) {
            socket::send_with(&guest.stream, &answer, segment.fd()).map_err(|cause| {
                Error::new(format!("rank {} ended while the ranks met ({cause})", guest.rank.unwrap_or(0)))
            })?;
        }
        Ok(())
    }
}

/// Any other rank.
struct Guest<'a> {
    found: &'a Found,
    deadline: Instant,
    limit: Duration,
    interrupted: &'a mut dyn FnMut() -> bool,
}

impl Guest<'_> {
    fn run(mut self, name: &str) -> Result<Segment> {
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(stream) = socket::connect(name)?
                && let Some(segment) = self.visit(stream)?
            {
                seat::take(&segment, self.found.rank)?;
                return Ok(segment);
            }
            if Instant::now() > self.deadline {
                return Err(self.nobody());
            }
            if (self.interrupted)() {
                return Err(gave_up());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// Greets and waits for the answer; `None`: try again.
    fn visit(&mut self, mut stream: UnixStream) -> Result<Option<Segment>> {
        let user = socket::peer(&stream)?.user;
        if user != process::own_user() {
            return Err(of_another_user(user));
        }
        let mut greeting = Vec::with_capacity(HELLO_BYTES);
        for word in [HELLO, self.found.size, self.found.rank] {
            greeting.extend_from_slice(&word.to_ne_bytes());
        }
        // Rank 0 of an earlier program of this step may just have stopped listening.
        if stream.write_all(&greeting).is_err() {
            return Ok(None);
        }
        let mut poll = Poll::default();
        let mut bytes = [0u8; ANSWER_BYTES];
        loop {
            let now = Instant::now();
            if now > self.deadline {
                return Err(self.nobody());
            }
            if (self.interrupted)() {
                return Err(gave_up());
            }
            poll.clear();
            let place = poll.read(stream.as_fd());
            poll.wait(Some(Duration::from_millis(200)));
            if !poll.ready(place) {
                continue;
            }
            let (got, fd) = match socket::receive_with(&stream, &mut bytes) {
                Ok(answer) => answer,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
                // Closed before we were let in: it was not for us.
                Err(_) => return Ok(None),
            };
            return match (bytes[..got].split_first(), fd) {
                (Some((&GO, key)), Some(fd)) if key.len() == 8 => {
                    let mut number = [0u8; 8];
                    number.copy_from_slice(key);
                    Segment::attach(fd, u64::from_ne_bytes(number)).map(Some)
                }
                (Some((&FAILED, text)), _) => Err(Error::new(String::from_utf8_lossy(text).into_owned())),
                (Some((&LATER, _)) | None, _) => Ok(None),
                _ => Err(Error::new("rank 0 gave an answer that makes no sense: different versions of oxmpi?")),
            };
        }
    }

    fn nobody(&self) -> Error {
        Error::new(format!(
            "started as rank {} of {} by {}, but rank 0 did not come on this machine within {} s. All ranks must call \
             MPI_Init on one machine; for several machines set MPI4PY_LIBMPI to the cluster's MPI. The time limit is {} \
             (seconds)",
            self.found.rank,
            self.found.size,
            self.found.launcher.name(),
            self.limit.as_secs_f32(),
            crate::env::JOIN_TIMEOUT
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Launcher;
    use super::*;

    fn found(rank: u32, size: u32) -> Found {
        Found { launcher: Launcher::Hydra, rank, size, key: None, identity: &[] }
    }

    #[test]
    fn a_long_key_gives_a_short_name_of_its_own() {
        let names = ["a", "b"].map(|end| socket_name(&found(0, 2), &format!("{}{end}", "x".repeat(300))));
        assert!(names[0].len() < 108 && names[0] != names[1]);
    }

    #[test]
    fn too_few_ranks_are_an_error_that_names_the_missing() {
        let key = format!("test-few-{}", process::own_pid());
        let error = meet(&found(0, 3), &key, Duration::from_millis(50), &mut || false).err().expect("an error");
        assert!(error.text.contains("only 1 came") && error.text.contains("missing: 1, 2"), "{error}");
    }

    #[test]
    fn a_wait_can_be_interrupted() {
        let key = format!("test-stop-{}", process::own_pid());
        let error = meet(&found(0, 2), &key, Duration::from_secs(60), &mut || true).err().expect("an error");
        assert_eq!(error.errno, libc::EINTR);
    }
}
