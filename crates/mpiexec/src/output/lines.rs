//! One stream, cut into what may be written. Three rules:
//! * whole lines at once;
//! * a Python traceback in one piece: from its first line to the exception's message, with the
//!   tracebacks chained to it; it waits until it is complete, which a short silence tells;
//! * a partial line (a prompt, a progress bar) when its rest does not come soon.
//!
//! No descriptor, no clock of its own: the tests give the time.

use std::time::{Duration, Instant};

/// A partial line is passed on when it is this old.
const PARTIAL: Duration = Duration::from_millis(50);
/// Silence after the last line of a traceback, before it counts as complete: a chained one, a note or
/// the rest of a long message may follow.
const QUIET: Duration = Duration::from_millis(30);
/// Silence in the middle of one: it will not be completed.
const STUCK: Duration = Duration::from_millis(500);
/// Nothing is held back beyond this many bytes.
const LIMIT: usize = 128 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Ordinary lines.
    Plain,
    /// In a traceback, before its message.
    Traceback,
    /// A traceback's message has come.
    Complete,
}

/// The bytes of a stream that were not written yet.
#[derive(Debug)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Up to here everything may be written.
    free: usize,
    /// Up to here lines were looked at; a partial line follows.
    seen: usize,
    state: State,
    /// When the last bytes came.
    last: Option<Instant>,
    /// When the oldest byte of the partial line came.
    partial: Option<Instant>,
    closed: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self { bytes: Vec::new(), free: 0, seen: 0, state: State::Plain, last: None, partial: None, closed: false }
    }
}

impl Lines {
    /// Bytes that are held.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// When the last bytes came.
    pub(super) fn last(&self, otherwise: Instant) -> Instant {
        self.last.unwrap_or(otherwise)
    }

    /// More bytes came.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant) {
        self.bytes.extend_from_slice(bytes);
        self.last = Some(now);
        let before = self.seen;
        while let Some(length) = self.bytes[self.seen..].iter().position(|&byte| byte == b'\n') {
            let end = self.seen + length + 1;
            self.look(self.seen, end);
            self.seen = end;
        }
        if self.seen == self.bytes.len() {
            self.partial = None;
        } else if self.partial.is_none() || self.seen > before {
            self.partial = Some(now);
        }
    }

    fn look(&mut self, start: usize, end: usize) {
        let line = trim(&self.bytes[start..end]);
        self.state = match self.state {
            _ if begins_traceback(line) => State::Traceback,
            State::Plain => State::Plain,
            // Code, positions, blank lines between chained ones, and the sentences that chain them.
            State::Traceback | State::Complete if line.is_empty() || line[0].is_ascii_whitespace() => self.state,
            _ if CHAIN.contains(&line) => State::Traceback,
            _ => State::Complete,
        };
        if self.state == State::Plain {
            self.free = end;
        }
    }

    /// Nothing more will come.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// How many bytes may be written now.
    pub(super) fn ready(&mut self, now: Instant) -> usize {
        let silent = |limit: Duration| self.last.is_none_or(|last| now >= last + limit);
        let done = match self.state {
            State::Plain => false,
            State::Traceback => silent(STUCK),
            State::Complete => silent(QUIET),
        };
        if done || self.closed || self.bytes.len() > LIMIT {
            self.free = self.seen;
            self.state = State::Plain;
        }
        let old = self.partial.is_some_and(|since| now >= since + PARTIAL);
        if self.state == State::Plain && (old || self.closed || self.bytes.len() - self.seen > LIMIT) {
            return self.bytes.len();
        }
        self.free
    }

    /// Whether whole lines, or more than is held back, wait to be written.
    pub(super) fn presses(&self) -> bool {
        self.free > 0 || self.closed || self.bytes.len() > LIMIT
    }

    /// When more may be written although nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let last = self.last?;
        if self.free > 0 {
            return Some(last);
        }
        match self.state {
            State::Plain => self.partial.map(|since| since + PARTIAL),
            State::Traceback => Some(last + STUCK),
            State::Complete => Some(last + QUIET),
        }
    }

    /// Gives the first `count` bytes away.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.bytes.split_off(count.min(self.bytes.len()));
        let taken = std::mem::replace(&mut self.bytes, rest);
        self.free = self.free.saturating_sub(taken.len());
        self.seen = self.seen.saturating_sub(taken.len());
        if self.bytes.is_empty() {
            self.partial = None;
        }
        taken
    }
}

fn trim(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|&byte| byte != b'\n' && byte != b'\r').map_or(0, |at| at + 1);
    &line[..end]
}

/// Sentences with which Python joins two tracebacks.
const CHAIN: [&[u8]; 3] = [
    b"Original exception was:",
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
];

fn begins_traceback(line: &[u8]) -> bool {
    // The first is also the end of "+ Exception Group Traceback ...", the second is faulthandler's.
    line.ends_with(b"(most recent call last):")
        || line.ends_with(b"(most recent call first):")
        || line.starts_with(b"Exception in thread ")
        || line.starts_with(b"Error in sys.excepthook:")
        || line.starts_with(b"Error in atexit._run_exitfuncs:")
        || line.starts_with(b"Exception ignored in")
        || line.starts_with(b"Fatal Python error: ")
}
