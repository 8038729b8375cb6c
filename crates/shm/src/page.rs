//! What lies at fixed places in the segment: one [`RankPage`] per rank. A rank writes its own page;
//! peers read it to wake the rank, the launcher to say what the job is doing. What a rank that sleeps says
//! of itself is in [`crate::waiting`].

use crate::sync::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use crate::waiting::{STORY_WORDS, Waiting};

/// The states of a rank's seat, in the order in which they are passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Seat {
    /// Nobody has taken it.
    Empty = 0,
    /// A process has taken it and is not yet in `MPI_Init`'s end.
    Claimed = 1,
    /// MPI is initialized.
    Initialized = 2,
    /// `MPI_Finalize` has returned, or is certain to.
    Finalized = 3,
    /// The rank called `MPI_Abort`, or a fatal error handler did.
    Aborted = 4,
    /// The process is gone without `MPI_Finalize`.
    Dead = 5,
}

impl Seat {
    fn from_raw(raw: u32) -> Self {
        match raw {
            0 => Self::Empty,
            1 => Self::Claimed,
            2 => Self::Initialized,
            3 => Self::Finalized,
            4 => Self::Aborted,
            _ => Self::Dead,
        }
    }
}

/// Beside the state of a seat: MPI may begin again in the process.
const MAY_RETURN: u32 = 0x100;

/// One 64-byte line, so that words of different writers do not share one.
#[repr(C, align(64))]
#[derive(Default)]
pub struct Line<T>(pub T);

/// Who sits on the seat and how it ended.
#[repr(C)]
#[derive(Default)]
pub struct Identity {
    /// Process id of the rank, 0 while the seat is empty. Taken by compare-and-swap.
    pub pid: AtomicU32,
    state: AtomicU32,
    /// Argument of `MPI_Abort`, or exit status, or negative signal, once it ended.
    pub exit_code: AtomicI32,
    /// 1 when the extension saw an uncaught Python exception.
    pub uncaught: AtomicU32,
    // -- fields for the launcher --
    /// When the process began (clock ticks since boot), so that a reused pid is recognised.
    pub(crate) born: AtomicU64,
    /// Inode of the process's pid namespace: pids of another one say nothing to us.
    pub(crate) pid_space: AtomicU64,
    /// How the rank ended, packed by `liveness`; 0 while it has not. Set once.
    pub(crate) ended: AtomicU64,
    /// When that was noticed (milliseconds of the monotonic clock).
    pub(crate) ended_at: AtomicU64,
    /// How much of an answer there is, and to which question (`answer`).
    pub(crate) answer: AtomicU64,
    /// Where the rank's answers are, in pages of the segment; 0 = it has not answered yet.
    pub(crate) answer_at: AtomicU32,
    /// 1 + the descriptor of the file to which the rank's language writes where its threads are, when the
    /// process gets [`STACKS_SIGNAL`]; 0 = it does not.
    pub stacks: AtomicU32,
}

impl Identity {
    /// When the process on the seat began, in clock ticks since boot; 0 = it has not said so.
    pub fn born(&self) -> u64 {
        self.born.load(Ordering::Relaxed)
    }
}

/// See [`Identity::stacks`]. Sent only to a process that catches it.
pub const STACKS_SIGNAL: i32 = 58;

/// The page of one rank.
#[repr(C, align(64))]
#[derive(Default)]
pub struct RankPage {
    /// Line of the seat.
    pub identity: Line<Identity>,
    /// 1 while a thread of the rank sleeps, or is about to: wake it after you gave it something.
    /// A futex word.
    pub sleep: Line<AtomicU32>,
    /// How many ranks have opened a ring to this one.
    pub contacts: Line<AtomicU32>,
    /// Line of what the rank waits for.
    pub waiting: Line<Waiting>,
    /// The [`crate::waiting::Story`] of the call that waits: three lines of UTF-8, zero-terminated, eight bytes a word.
    pub(crate) story: [AtomicU64; STORY_WORDS],
    /// Where the rank's report is: offset / 64 in the high half, bytes in the low one; 0 = none (`report`).
    pub(crate) report: AtomicU64,
    /// 1 when the rank has come to MPI_Finalize, if it checks (`report`).
    pub(crate) at_end: AtomicU32,
    /// Number of the last question (`answer`).
    pub(crate) asked: AtomicU32,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RankPage>() == 512 && size_of::<Line<Identity>>() == 64);

impl RankPage {
    /// The state of the seat.
    pub fn seat(&self) -> Seat {
        // SYNC seat: what the rank wrote before it changed its state is visible to us.
        Seat::from_raw(self.identity.0.state.load(Ordering::Acquire) & !MAY_RETURN)
    }

    /// Sets the state of the seat.
    pub fn set_seat(&self, seat: Seat) {
        // SYNC seat: what we wrote before is visible to whoever reads the new state.
        self.identity.0.state.store(seat as u32, Ordering::Release);
    }

    /// The rank's last session has ended, and another one may begin.
    pub fn pause(&self) {
        // SYNC seat: as in `set_seat`.
        self.identity.0.state.store(Seat::Finalized as u32 | MAY_RETURN, Ordering::Release);
    }

    /// Whether nothing comes from the rank any more, whatever its process does. One that has not begun may
    /// still begin.
    pub fn is_over(&self) -> bool {
        // SYNC seat: as in `seat`.
        let raw = self.identity.0.state.load(Ordering::Acquire);
        raw & MAY_RETURN == 0 && matches!(Seat::from_raw(raw), Seat::Finalized | Seat::Aborted | Seat::Dead)
    }

    /// Wakes the rank if it sleeps, after something was given to it. Costs a light fence and the load
    /// of a line that only changes when the rank falls asleep.
    #[inline]
    pub fn wake(&self) {
        // The fence orders "gave it something" before "reads that nobody sleeps"; its partner is
        // in `fall_asleep`, between "says that it sleeps" and "looks once more". One of the two
        // sees the other's write.
        // SYNC sleep: store-load ordering.
        crate::fence::light();
        if self.sleep.0.load(Ordering::Relaxed) != 0 {
            self.wake_sleeper();
        }
    }

    /// The same without the fence, when the caller has just made one, be it a light one ([`crate::fence`]).
    #[inline]
    pub fn wake_after_fence(&self) {
        if self.sleep.0.load(Ordering::Relaxed) != 0 {
            self.wake_sleeper();
        }
    }

    #[cold]
    fn wake_sleeper(&self) {
        if self.sleep.0.swap(0, Ordering::Relaxed) != 0 {
            crate::os::futex::wake_all(&self.sleep.0);
        }
    }

    /// Says that a thread is about to sleep; whether the page had said so already. The caller looks once
    /// more for work afterwards, and only then calls [`crate::os::futex::wait`] on `sleep` with 1.
    pub fn fall_asleep(&self) -> bool {
        // A swap, as are all changes of the word: loom does not know that a plain store can not come
        // between somebody's swap and the value that it replaced.
        // SYNC quiet: who sees this 1 sees that the rank is no longer settled from an earlier sleep.
        let before = self.sleep.0.swap(1, Ordering::Release);
        // SYNC sleep: store-load ordering; see `wake`.
        crate::fence::heavy();
        before != 0
    }

    /// Says that nobody sleeps any more, or waits for anything.
    pub fn awake(&self) {
        self.sleep.0.swap(0, Ordering::Relaxed);
        self.waiting.0.call.store(0, Ordering::Relaxed);
    }
}
