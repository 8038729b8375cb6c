//! Pieces of the segment for rings and collective areas: a bump pointer and one free list per
//! power of two, behind a lock in shared memory. Pieces are made rarely (a pair's first contact,
//! a communicator's first collective), so the lock is never on a message's path.
//!
//! Every piece is reserved ([`crate::os::memfd::reserve`]) before it is handed out: too little
//! memory is an error with numbers, never SIGBUS. If the lock's holder dies, the next one takes
//! the lock over; the worst that its half-made change can do is to lose a free piece.

use crate::error::{Error, Result};
use crate::os::memfd;
use crate::segment::Segment;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use std::os::fd::AsFd;

/// Smallest piece, as a power of two: one page, so that pieces never share one.
const SMALLEST: u32 = 12;
/// Free lists for pieces of 4 KiB to 2 GiB.
const CLASSES: usize = 20;

/// The arena's words in the segment's header.
#[repr(C)]
#[derive(Default)]
pub(crate) struct State {
    /// 0 = free, else the process id of the holder.
    lock: AtomicU32,
    next: AtomicU64,
    end: AtomicU64,
    /// Offset of the first free piece of each class, 0 = none; its first word is the next one.
    free: [AtomicU64; CLASSES],
}

impl State {
    pub(crate) fn start(&self, from: usize, to: usize) {
        self.next.store(from as u64, Ordering::Relaxed);
        self.end.store(to as u64, Ordering::Relaxed);
    }
}

fn class_of(len: usize) -> u32 {
    len.max(1 << SMALLEST).next_power_of_two().trailing_zeros() - SMALLEST
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
    pub fn allocate(&self, len: usize) -> Result<usize> {
        let class = class_of(len);
        let Some(list) = self.header().arena.0.free.get(class as usize) else {
            return Err(Error::new(format!("{len} bytes of shared memory in one piece are too many")));
        };
        let size = 1u64 << (class + SMALLEST);
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
        let from = state.next.load(Ordering::Relaxed);
        let end = state.end.load(Ordering::Relaxed);
        if from + size > end {
            return Err(Error::new(format!(
                "the job's shared memory is used up: {} KiB more needed, {} of {} MiB left",
                size / 1024,
                (end - from) >> 20,
                self.length() >> 20
            )));
        }
        state.next.store(from + size, Ordering::Relaxed);
        drop(locked);
        let offset = usize::try_from(from).map_err(|_| Error::new("an offset beyond the address space"))?;
        memfd::reserve(self.fd().as_fd(), offset, 1usize << (class + SMALLEST))?;
        Ok(offset)
    }

    /// Gives a piece back. Nobody may use it any more; `len` is what was asked for.
    pub fn release(&self, offset: usize, len: usize) {
        let class = class_of(len);
        let state = &self.header().arena.0;
        let locked = lock(state);
        // SAFETY: the word is an atomic, and pieces are page-aligned.
        let word = unsafe { self.view::<AtomicU64>(offset) };
        if let (Some(word), Some(list)) = (word, state.free.get(class as usize)) {
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
        let one = segment.allocate(10_000).expect("piece");
        let two = segment.allocate(10_000).expect("piece");
        assert!(two >= one + 16_384);
        segment.release(one, 10_000);
        assert_eq!(segment.allocate(16_000).expect("piece"), one);
    }

    #[test]
    fn running_out_is_an_error_with_numbers() {
        let segment = Segment::create(1).expect("segment");
        let error = segment.allocate(512 << 20).expect_err("too large");
        assert!(error.text.contains("used up"), "{error}");
    }
}
