//! Memory that the calls are given. Every array, string and result lies at the end of a page before one
//! that nobody may touch, so that a byte too many is a crash at once; messages lie in one large
//! stretch between two such pages, which stays for ever, since operations may be under way in it.

use crate::random::Random;

const PAGE: usize = 4096;
/// Pages of one argument.
const ROOM: usize = 5;
/// Arguments that are there at the same time: those of a call and of calls from its callbacks.
const SLOTS: usize = 160;
/// The stretch for messages.
pub(crate) const MESSAGES: usize = 8 << 20;

pub(crate) struct Memory {
    slots: *mut u8,
    next: usize,
    messages: *mut u8,
}

/// `len` bytes; the pages at `guards` can not be touched.
fn map(len: usize, guards: impl Iterator<Item = usize>) -> *mut u8 {
    // SAFETY: a new mapping, and pages inside it.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let start = libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED, "no memory");
        for guard in guards {
            libc::mprotect(start.byte_add(guard), PAGE, libc::PROT_NONE);
        }
        start.cast()
    }
}

impl Memory {
    pub(crate) fn new() -> Self {
        let step = (ROOM + 1) * PAGE;
        let messages = map(MESSAGES + 2 * PAGE, [0, MESSAGES + PAGE].into_iter());
        Self {
            slots: map(SLOTS * step, (0..SLOTS).map(|i| i * step + ROOM * PAGE)),
            next: 0,
            messages: messages.wrapping_add(PAGE),
        }
    }

    /// Zeroed memory that ends where no more may be touched; `len` is a multiple of `align`.
    pub(crate) fn argument(&mut self, len: usize) -> *mut u8 {
        let len = len.min(ROOM * PAGE);
        let end = (self.next * (ROOM + 1) + ROOM) * PAGE;
        self.next = (self.next + 1) % SLOTS;
        let start = self.slots.wrapping_add(end - len);
        // SAFETY: the last bytes of slot `next`.
        unsafe { start.write_bytes(0, len) };
        start
    }

    /// Where a buffer may begin whose bytes `low..high` are used, if there is room for them.
    pub(crate) fn message(&self, random: &mut Random, low: i128, high: i128) -> Option<u64> {
        let len = usize::try_from(high - low).ok().filter(|len| *len <= MESSAGES)?;
        let room = MESSAGES - len;
        let at = match random.below(4) {
            0 => 0,
            1 => room,
            // Few places: so that messages overlap, and what one writes another one reads.
            2 => random.below(4) * 64 % (room + 1),
            _ => random.below(room + 1),
        };
        // Far displacements: the sum is right all the same, as addresses wrap around.
        Some((self.messages.addr() as i128 + at as i128 - low) as u64)
    }

    /// Whether bytes `low..high` from address 0 on lie among the messages (MPI_BOTTOM).
    pub(crate) fn is_message(&self, low: i128, high: i128) -> bool {
        let start = self.messages.addr() as i128;
        low >= start && high <= start + MESSAGES as i128
    }

    /// An address among the messages, for displacements.
    pub(crate) fn address(&self, random: &mut Random) -> u64 {
        self.messages.addr() as u64 + random.below(MESSAGES / 2) as u64
    }
}
