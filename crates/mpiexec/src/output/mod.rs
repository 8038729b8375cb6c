//! What the ranks print: read from a pipe per rank and stream, written to our own standard output
//! and error so that lines stay whole.
//!
//! | file | job |
//! |---|---|
//! | `lines` | cuts one stream into what may be written: whole lines, tracebacks in one piece, late partial lines |
//! | `sink` | one destination: never blocks, knows whose line is unfinished there |
//! | here | sources and sinks together: who may write now, labels, back-pressure, time limits |
//!
//! When standard output and error lead to the same place, a rank has one pipe for both, so that the
//! order of its own output is what it would be without us.

mod lines;
mod sink;

#[cfg(test)]
mod tests;

use lines::Lines;
use shm::os::io::{self, Poll};
use shm::os::tty;
use sink::Sink;
use std::io::{ErrorKind, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long whole lines of one rank wait for the unfinished line of another at a terminal; after that the
/// line is broken. Rank 0's prompt or progress bar must not hold the others' output back for long.
const HOLD: Duration = Duration::from_millis(250);
/// The same where no human looks on: on a busy machine a rank may well pause in the middle of a line.
const HOLD_ELSEWHERE: Duration = Duration::from_secs(2);
/// More than this in memory for a sink that nobody reads: the ranks wait in their writes.
const QUEUE_LIMIT: usize = 1 << 20;
/// More than this of a source that may not write yet: its rank waits.
const SOURCE_LIMIT: usize = 256 << 10;
/// An unfinished line longer than this is data, not a prompt: it is broken only when its rank pauses and
/// our reader has taken all of it, or when the others have waited for [`DATA_HOLD`].
const DATA: usize = 64 << 10;
const DATA_HOLD: Duration = Duration::from_secs(10);
const CHUNK: usize = 64 << 10;

/// Where a rank writes.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) stdout: OwnedFd,
    /// `None`: the same as `stdout`.
    pub(crate) stderr: Option<OwnedFd>,
}

/// One stream of one rank.
struct Source {
    rank: u32,
    sink: usize,
    pipe: Option<OwnedFd>,
    /// A pseudo-terminal whose size follows that of ours.
    terminal: bool,
    lines: Lines,
    blocked: Blocked,
    /// The next byte begins a line (for labels).
    at_start: bool,
}

/// Whether a source waits for somebody else's unfinished line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blocked {
    No,
    /// With a partial line of its own: it can wait for as long as the other's is open.
    Patiently,
    /// With whole lines, since then.
    Since(Instant),
}

/// All output of the job.
pub(crate) struct Output {
    sinks: Vec<Sink>,
    /// Which sink is standard error.
    error: usize,
    sources: Vec<Source>,
    label: bool,
    buffer: Vec<u8>,
    last_heard: Instant,
    last_turn: Instant,
    sink_places: Vec<(usize, usize)>,
    source_places: Vec<(usize, usize)>,
}

impl Output {
    /// Looks at what standard output and error are.
    pub(crate) fn new(label: bool) -> shm::Result<Self> {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let mut sinks = vec![Sink::new(out.as_fd(), out.is_terminal())?];
        if !io::same_file(out.as_fd(), err.as_fd()) {
            sinks.push(Sink::new(err.as_fd(), err.is_terminal())?);
        }
        Ok(Self {
            error: sinks.len() - 1,
            sinks,
            sources: Vec::new(),
            label,
            buffer: vec![0; CHUNK],
            last_heard: Instant::now(),
            last_turn: Instant::now(),
            sink_places: Vec::new(),
            source_places: Vec::new(),
        })
    }

    /// Makes the pipes of a rank. Rank 0 gets a pseudo-terminal where we have a terminal, so that its
    /// progress bars and colours are those of a run without us.
    pub(crate) fn connect(&mut self, rank: u32) -> shm::Result<Ends> {
        let stdout = self.add_source(rank, 0)?;
        let stderr = if self.sinks.len() > 1 { Some(self.add_source(rank, 1)?) } else { None };
        Ok(Ends { stdout, stderr })
    }

    fn add_source(&mut self, rank: u32, sink: usize) -> shm::Result<OwnedFd> {
        let wants_terminal = rank == 0 && self.sinks[sink].terminal && !self.label;
        let terminal = if wants_terminal { tty::pair(self.sinks[sink].fd()).ok() } else { None };
        let is_terminal = terminal.is_some();
        let (ours, theirs) = match terminal {
            Some(pair) => pair,
            None => io::pipe()?,
        };
        io::set_nonblocking(ours.as_fd());
        self.sources.push(Source {
            rank,
            sink,
            pipe: Some(ours),
            terminal: is_terminal,
            lines: Lines::default(),
            blocked: Blocked::No,
            at_start: true,
        });
        Ok(theirs)
    }

    /// Adds what can happen here to the next wait.
    pub(crate) fn register(&mut self, poll: &mut Poll) {
        self.sink_places.clear();
        self.source_places.clear();
        for (index, sink) in self.sinks.iter().enumerate() {
            if sink.waits() {
                self.sink_places.push((index, poll.write(sink.fd())));
            }
        }
        for (index, source) in self.sources.iter().enumerate() {
            let room = self.sinks[source.sink].queued() < QUEUE_LIMIT && source.lines.len() < SOURCE_LIMIT;
            if let Some(pipe) = source.pipe.as_ref().filter(|_| room) {
                self.source_places.push((index, poll.read(pipe.as_fd())));
            }
        }
    }

    /// When something is to be done here even if nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let of_source = |source: &Source| match source.blocked {
            Blocked::Since(since) => {
                let hold = self.sinks[source.sink].hold();
                Some((since + hold).max(self.last_turn + HOLD / 4))
            }
            Blocked::Patiently => None,
            Blocked::No => source.lines.deadline(),
        };
        self.sources.iter().filter_map(of_source).min()
    }

    /// After the wait: reads, decides, writes.
    pub(crate) fn turn(&mut self, poll: &Poll) {
        let mut heard = false;
        for (index, place) in std::mem::take(&mut self.source_places) {
            if poll.ready(place) {
                heard = true;
                self.read(index);
            }
        }
        let now = Instant::now();
        let due = self.deadline().is_some_and(|deadline| deadline <= now);
        self.last_turn = now;
        if heard || due {
            self.pass_on(now);
        }
        for sink in &mut self.sinks {
            sink.flush();
        }
    }

    fn read(&mut self, index: usize) {
        let source = &mut self.sources[index];
        let Some(pipe) = &source.pipe else { return };
        match io::read(pipe.as_fd(), &mut self.buffer) {
            Ok(0) => source.end(),
            Ok(got) => {
                self.last_heard = Instant::now();
                source.lines.push(&self.buffer[..got], self.last_heard);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // A pseudo-terminal that nobody has open any more answers with EIO.
            Err(_) => source.end(),
        }
    }

    /// Moves everything that may be written now to the sinks.
    fn pass_on(&mut self, now: Instant) {
        // Whoever finishes a line may free others that came before it in the list.
        let mut moved = true;
        while moved {
            moved = false;
            for index in 0..self.sources.len() {
                moved |= self.pass_on_one(index, now);
            }
        }
    }

    /// Whether something was moved.
    fn pass_on_one(&mut self, index: usize, now: Instant) -> bool {
        let ready = self.sources[index].lines.ready(now);
        if ready == 0 {
            return false;
        }
        let sink = self.sources[index].sink;
        if let Some(owner) = self.sinks[sink].open.filter(|&owner| owner != index) {
            let over = self.sources[owner].pipe.is_none() && self.sources[owner].lines.len() == 0;
            let data = self.sinks[sink].open_bytes > DATA;
            let hold = self.sinks[sink].hold();
            let flows = data && (self.sinks[sink].waits() || now < self.sources[owner].lines.last(now) + hold);
            let source = &mut self.sources[index];
            source.blocked = match source.blocked {
                Blocked::Since(since) => Blocked::Since(since),
                _ if source.lines.presses() => Blocked::Since(now),
                _ => Blocked::Patiently,
            };
            let patience = if flows { DATA_HOLD } else { hold };
            let enough = matches!(source.blocked, Blocked::Since(since) if now >= since + patience)
                && !(data && self.sinks[sink].waits());
            if !(over || enough) {
                return false;
            }
            self.sinks[sink].push(b"\n");
            self.sources[owner].at_start = true;
        }
        let source = &mut self.sources[index];
        source.blocked = Blocked::No;
        let bytes = source.lines.take(ready);
        let whole = bytes.last() == Some(&b'\n');
        let target = &mut self.sinks[sink];
        if self.label {
            target.push(&labelled(&bytes, source.rank, &mut source.at_start));
        } else {
            target.push(&bytes);
        }
        target.set_open((!whole).then_some(index), bytes.len());
        true
    }

    /// A line of our own on standard error.
    pub(crate) fn say(&mut self, text: &str) {
        let sink = &mut self.sinks[self.error];
        if let Some(owner) = sink.open.take() {
            sink.push(b"\n");
            self.sources[owner].at_start = true;
        }
        sink.push(format!("mpiexec: {text}\n").as_bytes());
        sink.flush();
    }

    /// Passes on everything that the ranks have written, finished or not.
    pub(crate) fn finish_lines(&mut self) {
        for source in &mut self.sources {
            source.lines.close();
        }
        // Nobody finishes a line any more: the first turn begins the wait, the second ends it.
        let late = Instant::now() + DATA_HOLD;
        self.pass_on(late);
        self.pass_on(late + DATA_HOLD);
        for sink in &mut self.sinks {
            sink.flush();
        }
    }

    /// When a rank wrote last.
    pub(crate) fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// Whether no process can write to us any more.
    pub(crate) fn ended(&self) -> bool {
        self.sources.iter().all(|source| source.pipe.is_none())
    }

    /// Whether there is something that our own reader has not taken yet.
    pub(crate) fn waits(&self) -> bool {
        self.sinks.iter().any(Sink::waits)
    }

    /// Why our standard output takes nothing any more, if so.
    pub(crate) fn broken(&self) -> Option<&std::io::Error> {
        self.sinks[0].broken.as_ref()
    }

    /// Our terminal has another size now.
    pub(crate) fn resize(&self) {
        for source in self.sources.iter().filter(|source| source.terminal) {
            if let Some(pipe) = &source.pipe {
                tty::copy_size(self.sinks[source.sink].fd(), pipe.as_fd());
            }
        }
    }
}

impl Source {
    fn end(&mut self) {
        self.pipe = None;
        self.lines.close();
    }
}

/// `bytes` with the rank before every line, also before what follows a carriage return.
fn labelled(bytes: &[u8], rank: u32, at_start: &mut bool) -> Vec<u8> {
    let label = format!("[{rank}] ");
    let mut text = Vec::with_capacity(bytes.len() + 16);
    for &byte in bytes {
        if *at_start && byte != b'\n' && byte != b'\r' {
            text.extend_from_slice(label.as_bytes());
            *at_start = false;
        } else if *at_start && byte == b'\n' && text.last() != Some(&b'\r') {
            // An empty line has a label as well.
            text.extend_from_slice(label.as_bytes());
        }
        text.push(byte);
        if byte == b'\n' || byte == b'\r' {
            *at_start = true;
        }
    }
    text
}
