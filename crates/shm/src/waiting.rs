//! What a rank that is about to sleep says of itself on its page: which call it is in, for whom it waits,
//! where the program called, and what [`crate::stall`] needs in order to conclude that no rank can go on.
//! The rank's engine writes it, the launcher reads it.

use crate::page::RankPage;
use crate::sync::{AtomicI32, AtomicU32, AtomicU64, Ordering};

/// What a rank that is about to sleep waits for; valid while `call` is not 0.
#[repr(C)]
#[derive(Default)]
pub struct Waiting {
    /// Number of the call (see [`crate::calls`]), what it is about and for which operation (see [`What`]);
    /// 0 = not waiting.
    pub(crate) call: AtomicU32,
    /// World rank that it waits for, -1 = any, -2 = all of the communicator.
    peer: AtomicI32,
    /// The tag, or `MPI_ANY_TAG`.
    tag: AtomicI32,
    /// Context of the communicator.
    context: AtomicU32,
    /// When the wait that came to sleep last did so (milliseconds of the monotonic clock).
    since: AtomicU64,
    /// Counts everything that was sent or received: two equal readings = no progress.
    progress: AtomicU64,
    /// The processor that the rank ran on when it last gave it away, plus 1; 0 = not known. Peers
    /// read it rarely (`placement`).
    pub cpu: AtomicU32,
    /// Not 0 while every wait of the rank that has slept sleeps, having looked in vain after all that
    /// it knows of; another number each time (see `sleep`).
    settled: AtomicU32,
    /// Counts the beginnings and ends of waits that came to sleep.
    waits: AtomicU32,
    /// Counts the times that all waits have woken by themselves, looked in vain, and slept again.
    rounds: AtomicU32,
    /// Threads of the process that its language knows of, those that sleep among them, perhaps with
    /// [`MORE_THREADS`]; 0 = not asked since the latest wait began, [`UNKNOWN_THREADS`] = nobody knows.
    threads: AtomicU32,
    /// Threads that sleep.
    asleep: AtomicU32,
    /// Bytes of the message that it waits to send.
    bytes: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Waiting>() == 64);

/// See [`Waiting`]: something that nobody can count may call MPI.
pub const UNKNOWN_THREADS: u32 = u32::MAX;
/// See [`Waiting`]: the process has more threads than that, those of a library in C perhaps.
pub const MORE_THREADS: u32 = 1 << 31;

/// The operation that a wait is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum About {
    /// Not one message.
    #[default]
    Other = 0,
    /// A message to somebody.
    Send = 1,
    /// The same, in standard mode, which waits for its receive only because the user wants that
    /// (`--sync-sends`).
    HeldSend = 2,
    /// A message from somebody.
    Receive = 3,
}

impl About {
    pub(crate) fn from_raw(raw: u32) -> Self {
        match raw {
            1 => Self::Send,
            2 => Self::HeldSend,
            3 => Self::Receive,
            _ => Self::Other,
        }
    }
}

/// The content of [`Waiting`], as one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct What {
    /// Number of the call, below 256.
    pub call: u32,
    /// If that waits for a collective which another call has started: which one ([`crate::calls::operation`]).
    pub operation: u32,
    /// The operation that it waits for.
    pub about: About,
    /// World rank that it waits for, -1 = any, -2 = all of the communicator.
    pub peer: i32,
    /// Tag, or `MPI_ANY_TAG`.
    pub tag: i32,
    /// Context of the communicator.
    pub context: u32,
    /// Bytes of the message, if it is one to be sent.
    pub bytes: u64,
    /// Progress counter.
    pub progress: u64,
}

/// What is said of a wait in words, once it has lasted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Story {
    /// Where the program called: `file:line`; empty if unknown.
    pub site: String,
    /// Name of the communicator; empty if it has none.
    pub comm: String,
    /// The peer's rank in that communicator, if it is one.
    pub peer: Option<u32>,
}

/// Words of the story.
pub(crate) const STORY_WORDS: usize = 30;
/// Bytes of a communicator's name that fit.
const COMM_BYTES: usize = 64;

impl RankPage {
    /// Says what the rank, which is about to sleep, waits for.
    pub fn say_what(&self, what: What, story: Option<&Story>) {
        let waiting = &self.waiting.0;
        waiting.peer.store(what.peer, Ordering::Relaxed);
        waiting.tag.store(what.tag, Ordering::Relaxed);
        waiting.context.store(what.context, Ordering::Relaxed);
        waiting.bytes.store(what.bytes, Ordering::Relaxed);
        waiting.progress.store(what.progress, Ordering::Relaxed);
        match story {
            Some(story) => self.tell(story),
            None => self.story[0].store(0, Ordering::Relaxed),
        }
        // SYNC waiting: the fields above are there for who sees the call.
        let call = what.call & 0xff | (what.about as u32) << 8 | (what.operation & 0xff) << 16;
        waiting.call.store(call, Ordering::Release);
    }

    /// What the rank waits for, if it sleeps: for reports, since it may change while it is read.
    pub fn what(&self) -> Option<What> {
        let waiting = &self.waiting.0;
        // SYNC waiting: see `say_what`.
        let call = waiting.call.load(Ordering::Acquire);
        (call != 0).then(|| What {
            call: call & 0xff,
            about: About::from_raw(call >> 8 & 0xff),
            operation: call >> 16,
            peer: waiting.peer.load(Ordering::Relaxed),
            tag: waiting.tag.load(Ordering::Relaxed),
            context: waiting.context.load(Ordering::Relaxed),
            bytes: waiting.bytes.load(Ordering::Relaxed),
            progress: waiting.progress.load(Ordering::Relaxed),
        })
    }

    fn tell(&self, story: &Story) {
        let room = STORY_WORDS * 8 - 1;
        let peer = story.peer.map_or_else(String::new, |peer| peer.to_string());
        let comm = head(&story.comm, COMM_BYTES);
        // Of a long path the end says most.
        let site = tail(&story.site, room - comm.len() - peer.len() - 2);
        let text = format!("{peer}\n{comm}\n{site}\0");
        for (word, bytes) in self.story.iter().zip(text.as_bytes().chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(eight), Ordering::Relaxed);
        }
    }

    /// What is said of the wait in words, if it has lasted long enough to be told; as [`Self::what`].
    pub fn story(&self) -> Option<Story> {
        let bytes: Vec<u8> = self.story.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let text = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = text.splitn(3, '\n');
        let (peer, comm, site) = (lines.next()?, lines.next()?, lines.next()?);
        Some(Story { site: site.to_owned(), comm: comm.to_owned(), peer: peer.parse().ok() })
    }

    // -- what `sleep` says and `stall` reads --

    /// A wait comes to sleep that had not slept before.
    pub(crate) fn new_wait(&self) {
        let waiting = &self.waiting.0;
        waiting.threads.store(0, Ordering::Relaxed);
        #[cfg(not(loom))]
        waiting.since.store(crate::liveness::now(), Ordering::Relaxed);
        self.wait_over();
    }

    /// When the wait that came to sleep last did so: see [`crate::liveness::now`].
    pub fn waits_since(&self) -> u64 {
        self.waiting.0.since.load(Ordering::Relaxed)
    }

    /// A wait is over that had slept.
    pub(crate) fn wait_over(&self) {
        let waits = &self.waiting.0.waits;
        waits.store(waits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// All waits have looked once more.
    pub(crate) fn new_round(&self) {
        let rounds = &self.waiting.0.rounds;
        rounds.store(rounds.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// So many threads sleep, and nothing is left for the rank to do until it is woken.
    pub(crate) fn settle(&self, number: u32, asleep: u32) {
        self.waiting.0.asleep.store(asleep, Ordering::Relaxed);
        // SYNC settled: all that the rank wrote before, to whomever, is visible to who sees the number.
        self.waiting.0.settled.store(number, Ordering::Release);
    }

    /// The rank does something again.
    pub(crate) fn unsettle(&self) {
        self.waiting.0.settled.store(0, Ordering::Relaxed);
    }

    /// The number of [`Self::settle`] if it holds.
    pub(crate) fn settled(&self) -> Option<u32> {
        // SYNC settled: see `settle`.
        Some(self.waiting.0.settled.load(Ordering::Acquire)).filter(|number| *number != 0)
    }

    /// Whether the page says that the rank sleeps and nobody has woken it.
    pub(crate) fn sleeps(&self) -> bool {
        // SYNC quiet: see `fall_asleep`.
        self.sleep.0.load(Ordering::Acquire) != 0
    }

    /// Numbers that stay the same while the rank only sleeps: waits, progress.
    pub(crate) fn pace(&self) -> (u32, u64) {
        let waiting = &self.waiting.0;
        (waiting.waits.load(Ordering::Relaxed), waiting.progress.load(Ordering::Relaxed))
    }

    /// See [`Self::new_round`].
    pub(crate) fn rounds(&self) -> u32 {
        self.waiting.0.rounds.load(Ordering::Relaxed)
    }

    /// Says how many threads of the process may call MPI; 0 = that is to be asked again.
    pub fn say_threads(&self, threads: u32) {
        self.waiting.0.threads.store(threads, Ordering::Relaxed);
    }

    /// Threads that may call MPI, and those of them that sleep.
    pub(crate) fn threads(&self) -> (u32, u32) {
        let waiting = &self.waiting.0;
        (waiting.threads.load(Ordering::Relaxed), waiting.asleep.load(Ordering::Relaxed))
    }
}

/// At most `room` bytes of the beginning.
fn head(text: &str, room: usize) -> &str {
    let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// At most `room` bytes of the end, marked if the beginning is missing.
fn tail(text: &str, room: usize) -> String {
    const MARK: &str = "...";
    if text.len() <= room {
        return text.to_owned();
    }
    let from = text.len() - room.saturating_sub(MARK.len());
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    format!("{MARK}{}", &text[from..])
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const WHAT: What = What {
        call: 3,
        operation: 129,
        about: About::HeldSend,
        peer: -1,
        tag: 7,
        context: 4,
        bytes: 80_000,
        progress: 99,
    };

    #[test]
    fn a_page_says_what_its_rank_waits_for_until_it_wakes() {
        let page = RankPage::default();
        assert_eq!(page.what(), None);
        assert!(!page.fall_asleep());
        page.say_what(WHAT, None);
        assert_eq!((page.what(), page.story()), (Some(WHAT), None));
        assert!(page.fall_asleep());
        page.awake();
        assert_eq!(page.what(), None);
    }

    #[test]
    fn a_story_is_cut_where_it_is_too_long() {
        let page = RankPage::default();
        let story = Story { site: "/home/x/solver.py:88".into(), comm: "MPI_COMM_WORLD".into(), peer: Some(3) };
        page.say_what(WHAT, Some(&story));
        assert_eq!(page.story(), Some(story));
        let long = Story { site: format!("{}/äb.py:12", "ä".repeat(400)), comm: "cä".repeat(99), peer: None };
        page.say_what(WHAT, Some(&long));
        let told = page.story().expect("told");
        assert!(told.site.starts_with("...ä") && told.site.ends_with("ä/äb.py:12"), "{}", told.site);
        assert!(long.comm.starts_with(&told.comm) && told.comm.len() > 60, "{}", told.comm);
        page.say_what(WHAT, Some(&Story::default()));
        assert_eq!(page.story(), Some(Story::default()));
    }
}
