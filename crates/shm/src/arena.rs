//! Pieces of the segment for rings and collective areas: a bump pointer and one free list per
//! size, behind a lock in shared memory. Pieces are made rarely (a pair's first contact,
//! a communicator's first collective), so the lock is never on a message's path.
//!
//! Sizes are 1, 2, 3, 4 pages and from there on four to each power of two, so at most a fifth of a
//! piece is lost. Each [`Purpose`] has a share of the address space: ten thousand
//! communicators cannot take the room for messages.
//!
//! Every piece is reserved ([`crate::os::memfd::reserve`]) before it is handed out: too little
//! memory is an error with numbers, never SIGBUS. If the lock's holder dies, the next one takes
//! the lock over; the worst that its half-made change can do is to lose a free piece.

use crate::error::{Error, Result};
use crate::os::memfd;
use crate::purpose::Purpose;
use crate::segment::Segment;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::os::fd::AsFd;

/// The unit: pieces never share a page.
const PAGE: usize = 4096;
/// Free lists for pieces of 4 KiB to 2 GiB.
const CLASSES: usize = 72;

/// The arena's words in the segment's header.
#[repr(C)]
pub(crate) struct State {
    /// 0 = free, else the process id of the holder.
    lock: AtomicU32,
    next: AtomicU64,
    /// What each purpose may still take behind `next`; what was given back is for all.
    left: [AtomicU64; 3],
    /// Offset of the first free piece of each class, 0 = none; its first word is the next one.
    free: [AtomicU64; CLASSES],
}

impl State {
    /// Starts at `from`, with a share of the bytes from there for each purpose.
    pub(crate) fn start(&self, from: usize, shares: [usize; 3]) {
        self.next.store(from as u64, Ordering::Relaxed);
        for (left, share) in self.left.iter().zip(shares) {
            left.store(share as u64, Ordering::Relaxed);
        }
    }
}

/// Pages of the pieces of a class: 1 to 4, then 5 << k, 6 << k, 7 << k, 8 << k.
fn pages_of(class: usize) -> usize {
    match class.checked_sub(4) {
        None => class + 1,
        Some(above) => (5 + above % 4) << (above / 4),
    }
}

/// The class of the smallest pieces of at least `len` bytes.
fn class_of(len: usize) -> usize {
    let pages = len.div_ceil(PAGE).max(1);
    if pages <= 4 {
        return pages - 1;
    }
    let k = (pages - 1).ilog2() as usize - 2;
    4 * k + pages.div_ceil(1 << k) - 1
}

struct Locked<'a>(&'a State);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SYNC arena: our changes are visible to the next holder.
        self.0.lock.store(0, Ordering::Release);
    }
}

fn lock(state: &State) -> Locked<'_> {
    let me = std::process::id();
    let mut turns = 0u32;
    loop {
        // SYNC arena: the last holder's changes are visible to us.
        match state.lock.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return Locked(state),
            Err(holder) => {
                turns += 1;
                std::thread::yield_now();
                // A holder makes at most one system call; after so many turns it may be dead.
                let gone = turns.is_multiple_of(4096) && holder != 0 && {
                    // SAFETY: signal 0 only asks whether the process exists.
                    unsafe { libc::kill(holder.cast_signed(), 0) != 0 }
                };
                if gone && state.lock.compare_exchange(holder, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return Locked(state);
                }
            }
        }
    }
}

impl Segment {
    /// Takes a piece of at least `len` bytes, aligned to a page; its offset. A piece that was
    /// used before has old bytes in it.
    pub fn allocate(&self, len: usize, purpose: Purpose) -> Result<usize> {
        let class = class_of(len);
        let Some(list) = self.header().arena.0.free.get(class) else {
            return Err(Error::new(format!("{len} bytes of shared memory in one piece are too many")));
        };
        let bytes = pages_of(class) * PAGE;
        let size = bytes as u64;
        let state = &self.header().arena.0;
        let locked = lock(state);
        let head = list.load(Ordering::Relaxed);
        if head != 0 {
            // SAFETY: the word is an atomic, and pieces are page-aligned.
            let next = usize::try_from(head).ok().and_then(|o| unsafe { self.view::<AtomicU64>(o) });
            list.store(next.map_or(0, |n| n.load(Ordering::Relaxed)), Ordering::Relaxed);
            drop(locked);
            return usize::try_from(head).map_err(|_| Error::new("a corrupted list of free shared memory"));
        }
        let share = &state.left[purpose as usize];
        let left = share.load(Ordering::Relaxed);
        if size > left {
            return Err(Error::new(format!(
                "the job's shared memory for {} is used up: {} KiB more needed, {} of {} KiB left",
                purpose.name(),
                size / 1024,
                left / 1024,
                self.shares()[purpose as usize] / 1024
            )));
        }
        share.store(left - size, Ordering::Relaxed);
        let from = state.next.load(Ordering::Relaxed);
        state.next.store(from + size, Ordering::Relaxed);
        drop(locked);
        let offset = usize::try_from(from).map_err(|_| Error::new("an offset beyond the address space"))?;
        memfd::reserve(self.fd().as_fd(), offset, bytes).inspect_err(|_| {
            let _locked = lock(state);
            // Others may have taken more meanwhile: then the addresses are lost.
            if state.next.load(Ordering::Relaxed) == from + size {
                state.next.store(from, Ordering::Relaxed);
                share.store(share.load(Ordering::Relaxed) + size, Ordering::Relaxed);
            }
        })?;
        Ok(offset)
    }

    /// Gives a piece back. Nobody may use it any more; `len` is what was asked for.
    pub fn release(&self, offset: usize, len: usize) {
        let class = class_of(len);
        let state = &self.header().arena.0;
        let locked = lock(state);
        // SAFETY: the word is an atomic, and pieces are page-aligned.
        let word = unsafe { self.view::<AtomicU64>(offset) };
        if let (Some(word), Some(list)) = (word, state.free.get(class)) {
            word.store(list.load(Ordering::Relaxed), Ordering::Relaxed);
            list.store(offset as u64, Ordering::Relaxed);
        }
        drop(locked);
    }

    /// Bytes of the arena that were ever handed out.
    pub fn used(&self) -> u64 {
        let state = &self.header().arena.0;
        state.next.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_piece_is_handed_out_again() {
        let segment = Segment::create(2).expect("segment");
        let one = segment.allocate(10_000, Purpose::Lines).expect("piece");
        let two = segment.allocate(10_000, Purpose::Lines).expect("piece");
        assert_eq!(two, one + 12_288);
        segment.release(one, 10_000);
        assert_eq!(segment.allocate(12_000, Purpose::Rings).expect("piece"), one);
    }

    #[test]
    fn running_out_is_an_error_with_numbers() {
        let segment = Segment::create(1).expect("segment");
        let error = segment.allocate(1 << 30, Purpose::Rings).expect_err("too large");
        assert!(error.text.contains("for messages is used up: 1048576 KiB more needed"), "{error}");
    }

    #[test]
    fn collectives_leave_the_room_for_messages() {
        let segment = Segment::create(2).expect("segment");
        while segment.allocate(1 << 20, Purpose::Chunks).is_ok() {}
        assert!(segment.allocate(1 << 20, Purpose::Lines).is_ok());
        assert!(segment.allocate(1 << 20, Purpose::Rings).is_ok());
    }

    #[test]
    fn pieces_are_as_large_as_asked_for_and_at_most_a_quarter_larger() {
        for class in 0..CLASSES {
            let bytes = pages_of(class) * PAGE;
            assert_eq!((class_of(bytes), class_of(bytes - 1), class_of(bytes + 1)), (class, class, class + 1));
        }
        assert_eq!(pages_of(CLASSES - 1) * PAGE, 2 << 30);
        for len in (1..2_000_000).step_by(997) {
            let bytes = pages_of(class_of(len)) * PAGE;
            assert!(bytes >= len && (bytes <= len + len / 4 || bytes - len < PAGE), "{len}: {bytes}");
        }
        assert!(Segment::create(1).expect("segment").allocate((2 << 30) + 1, Purpose::Rings).is_err());
    }
}
