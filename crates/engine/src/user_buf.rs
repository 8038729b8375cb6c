//! The only place that reads and writes the user's message memory through a type: the visitors that
//! carry out copy plans. Called by `datatype::pack`. Contiguous messages are copied by
//! [`crate::copy`] directly.
//!
//! Addresses are integers here, since `MPI_BOTTOM` messages consist of absolute addresses
//! (MPI-5.0 section 5.1.12) that belong to no pointer.

use crate::copy::{copy, copy_out, move_one};
use crate::datatype::Visit;
use std::ptr;

/// Copies runs of the user's memory to one place, in order.
pub(crate) struct Gather {
    to: *mut u8,
}

impl Gather {
    /// Collects at `to`.
    ///
    /// # Safety
    /// What is visited is memory that the user lent to the operation, valid for reads (that is MPI's
    /// contract with the caller of the operation), and `to` is valid for writes of as many bytes as
    /// are visited and overlaps none of it.
    pub(crate) unsafe fn new(to: *mut u8) -> Self {
        Self { to }
    }
}

/// Copies bytes from one place to runs of the user's memory, in order.
pub(crate) struct Scatter {
    from: *const u8,
}

impl Scatter {
    /// Distributes what is at `from`.
    ///
    /// # Safety
    /// As for [`Gather::new`], with reads and writes exchanged.
    pub(crate) unsafe fn new(from: *const u8) -> Self {
        Self { from }
    }
}

/// The memory at an address of the user.
#[inline(always)]
fn user(at: usize) -> *mut u8 {
    ptr::with_exposed_provenance_mut(at)
}

/// One of many runs: from this size on it pays to take over the lines of a ring unread ([`copy`]); starting that
/// takes 20 ns.
const LONG: usize = 4 << 10;

/// # Safety
/// As for [`copy`].
#[inline(always)]
unsafe fn piece(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller's promise is that of both.
    unsafe { if len < LONG { copy_out(dst, src, len) } else { copy(dst, src, len) } }
}

impl Visit for Gather {
    #[inline]
    fn run(&mut self, at: usize, len: usize) {
        // SAFETY: the promise of `new`.
        unsafe {
            piece(self.to, user(at), len);
            self.to = self.to.add(len);
        }
    }

    #[inline]
    fn strided(&mut self, at: usize, len: usize, count: usize, stride: isize) {
        // SAFETY: the promise of `new`.
        unsafe {
            match len {
                1 => gather::<u8>(self.to, at, count, stride),
                2 => gather::<u16>(self.to, at, count, stride),
                4 => gather::<u32>(self.to, at, count, stride),
                8 => gather::<u64>(self.to, at, count, stride),
                16 => gather::<[u64; 2]>(self.to, at, count, stride),
                _ => {
                    let mut at = at;
                    for i in 0..count {
                        piece(self.to.add(i * len), user(at), len);
                        at = at.wrapping_add_signed(stride);
                    }
                }
            }
            self.to = self.to.add(len * count);
        }
    }

    #[inline]
    fn blocks(&mut self, at: usize, len: usize, offsets: &[isize]) {
        // SAFETY: the promise of `new`.
        unsafe {
            match len {
                4 => gather_at::<u32>(self.to, at, offsets),
                8 => gather_at::<u64>(self.to, at, offsets),
                16 => gather_at::<[u64; 2]>(self.to, at, offsets),
                _ => {
                    for (i, offset) in offsets.iter().enumerate() {
                        piece(self.to.add(i * len), user(at.wrapping_add_signed(*offset)), len);
                    }
                }
            }
            self.to = self.to.add(len * offsets.len());
        }
    }
}

impl Visit for Scatter {
    #[inline]
    fn run(&mut self, at: usize, len: usize) {
        // SAFETY: the promise of `new`.
        unsafe {
            copy_out(user(at), self.from, len);
            self.from = self.from.add(len);
        }
    }

    #[inline]
    fn strided(&mut self, at: usize, len: usize, count: usize, stride: isize) {
        // SAFETY: the promise of `new`.
        unsafe {
            match len {
                1 => scatter::<u8>(self.from, at, count, stride),
                2 => scatter::<u16>(self.from, at, count, stride),
                4 => scatter::<u32>(self.from, at, count, stride),
                8 => scatter::<u64>(self.from, at, count, stride),
                16 => scatter::<[u64; 2]>(self.from, at, count, stride),
                _ => {
                    let mut at = at;
                    for i in 0..count {
                        copy_out(user(at), self.from.add(i * len), len);
                        at = at.wrapping_add_signed(stride);
                    }
                }
            }
            self.from = self.from.add(len * count);
        }
    }

    #[inline]
    fn blocks(&mut self, at: usize, len: usize, offsets: &[isize]) {
        // SAFETY: the promise of `new`.
        unsafe {
            match len {
                4 => scatter_at::<u32>(self.from, at, offsets),
                8 => scatter_at::<u64>(self.from, at, offsets),
                16 => scatter_at::<[u64; 2]>(self.from, at, offsets),
                _ => {
                    for (i, offset) in offsets.iter().enumerate() {
                        copy_out(user(at.wrapping_add_signed(*offset)), self.from.add(i * len), len);
                    }
                }
            }
            self.from = self.from.add(len * offsets.len());
        }
    }
}

/// # Safety
/// As for [`Gather::new`], for `count` values.
unsafe fn gather<T: Copy>(to: *mut u8, mut at: usize, count: usize, stride: isize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { move_one::<T>(to.add(i * size_of::<T>()), user(at)) };
        at = at.wrapping_add_signed(stride);
    }
}

/// # Safety
/// As for [`Scatter::new`], for `count` values.
unsafe fn scatter<T: Copy>(from: *const u8, mut at: usize, count: usize, stride: isize) {
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe { move_one::<T>(user(at), from.add(i * size_of::<T>())) };
        at = at.wrapping_add_signed(stride);
    }
}

/// # Safety
/// As for [`Gather::new`], for the values at these offsets.
unsafe fn gather_at<T: Copy>(to: *mut u8, at: usize, offsets: &[isize]) {
    for (i, offset) in offsets.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { move_one::<T>(to.add(i * size_of::<T>()), user(at.wrapping_add_signed(*offset))) };
    }
}

/// # Safety
/// As for [`Scatter::new`], for the values at these offsets.
unsafe fn scatter_at<T: Copy>(from: *const u8, at: usize, offsets: &[isize]) {
    for (i, offset) in offsets.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { move_one::<T>(user(at.wrapping_add_signed(*offset)), from.add(i * size_of::<T>())) };
    }
}
