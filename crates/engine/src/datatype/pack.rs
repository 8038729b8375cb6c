//! Packing and unpacking at any byte position, by copy plan: what the transport calls for messages
//! with holes, and the cursors for those who go through a message from beginning to end.

use super::types::Type;
use super::walk::{self, Visit};
use crate::user_buf::{Gather, Scatter};
use std::sync::Arc;

impl Type {
    /// Copies bytes `at..at + len` of the packed form of `count` elements at `base` to `to`.
    ///
    /// # Safety
    /// The memory of the elements is valid for reads, `to` is valid for writes of `len` bytes and
    /// overlaps none of it, and `at + len` is at most `count` times the size.
    pub unsafe fn pack_at(&self, base: *const u8, count: usize, at: usize, to: *mut u8, len: usize) {
        debug_assert!(at + len <= self.size() * count);
        // SAFETY: only elements that the caller vouches for are visited, `len` bytes of them.
        let mut gather = unsafe { Gather::new(to) };
        let elements = (count, self.extent());
        walk::elements(&self.plan, base.expose_provenance(), elements, (at, at + len), &mut gather);
    }

    /// Copies `len` bytes from `from` to bytes `at..at + len` of the packed form of `count` elements
    /// at `base`.
    ///
    /// # Safety
    /// The memory of the elements is valid for writes, `from` is valid for reads of `len` bytes and
    /// overlaps none of it, and `at + len` is at most `count` times the size.
    pub unsafe fn unpack_at(&self, base: *mut u8, count: usize, at: usize, from: *const u8, len: usize) {
        debug_assert!(at + len <= self.size() * count);
        // SAFETY: only elements that the caller vouches for are visited, `len` bytes of them.
        let mut scatter = unsafe { Scatter::new(from) };
        let elements = (count, self.extent());
        walk::elements(&self.plan, base.expose_provenance(), elements, (at, at + len), &mut scatter);
    }

    /// The address of bytes `at..at + len`, more than none, of the packed form of `count` elements at `base`, if they
    /// are known to lie side by side: in a run of one element.
    pub fn run_at(&self, base: *const u8, count: usize, at: usize, len: usize) -> Option<usize> {
        let (element, from) = (at / self.size(), at % self.size());
        debug_assert!(element < count);
        walk::run_at(&self.plan, walk::step(base.expose_provenance(), self.extent(), element), (from, from + len))
    }

    /// Calls `f` with address and length of each run of bytes that makes up bytes `from..to` of the
    /// packed form of `count` elements at `base` (for single-copy transfers).
    pub fn each_run(&self, base: *const u8, count: usize, from: usize, to: usize, f: impl FnMut(usize, usize)) {
        struct Each<F>(F);
        impl<F: FnMut(usize, usize)> Visit for Each<F> {
            fn run(&mut self, at: usize, len: usize) {
                (self.0)(at, len);
            }
        }
        walk::elements(&self.plan, base.expose_provenance(), (count, self.extent()), (from, to), &mut Each(f));
    }
}

/// Typed memory that is gone through from beginning to end.
struct Position {
    base: *mut u8,
    count: usize,
    kind: Arc<Type>,
    at: usize,
}

impl Position {
    fn advance(&mut self, room: usize) -> (usize, usize) {
        let from = self.at;
        let n = room.min(self.kind.size() * self.count - from);
        self.at += n;
        (from, n)
    }
}

macro_rules! cursor {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Position);

        impl $name {
            /// At the beginning of `count` elements of `kind` at `base`.
            ///
            /// # Safety
            /// The memory of the elements is valid, for reads if packed and writes if unpacked, while
            /// the cursor is used.
            pub unsafe fn new(base: *mut u8, count: usize, kind: Arc<Type>) -> Self {
                Self(Position { base, count, kind, at: 0 })
            }

            /// Bytes of the packed form that are left.
            pub fn remaining(&self) -> usize {
                self.0.kind.size() * self.0.count - self.0.at
            }

            /// The rest as one run of memory, if it is one.
            pub fn as_contiguous(&self) -> Option<(*mut u8, usize)> {
                let (offset, len) = self.0.kind.contiguous_run(self.0.count)?;
                Some((self.0.base.wrapping_offset(offset).wrapping_add(self.0.at), len - self.0.at))
            }

            /// Goes to byte `at` of the packed form.
            pub fn seek(&mut self, at: usize) {
                self.0.at = at.min(self.0.kind.size() * self.0.count);
            }
        }
    };
}

cursor! {
    /// Reads a message out of typed memory.
    PackCursor
}

cursor! {
    /// Writes a message to typed memory.
    UnpackCursor
}

impl PackCursor {
    /// The next bytes, at most `room`; gives how many.
    ///
    /// # Safety
    /// `to` is valid for writes of `room` bytes and does not overlap the elements.
    pub unsafe fn next_chunk(&mut self, to: *mut u8, room: usize) -> usize {
        let (at, n) = self.0.advance(room);
        // SAFETY: `new` promised the elements, the caller `to`; `advance` stays inside the message.
        unsafe { self.0.kind.pack_at(self.0.base, self.0.count, at, to, n) };
        n
    }
}

impl UnpackCursor {
    /// Stores the next bytes, at most `len`; gives how many fitted.
    ///
    /// # Safety
    /// `from` is valid for reads of `len` bytes and does not overlap the elements.
    pub unsafe fn next_chunk(&mut self, from: *const u8, len: usize) -> usize {
        let (at, n) = self.0.advance(len);
        // SAFETY: `new` promised the elements, the caller `from`; `advance` stays inside the message.
        unsafe { self.0.kind.unpack_at(self.0.base, self.0.count, at, from, n) };
        n
    }
}
