//! The bytes of a message in the user's memory: one contiguous run, or a derived type that is
//! packed and unpacked on the way. The transport reads and writes them by position and never sees
//! the difference.

use crate::copy::{copy, copy_out, copy_out_part};
use crate::datatype::Type;
use crate::datatype::region::Region;
use std::sync::Arc;

/// User memory that a message is read from or written to. Whoever makes one vouches that the
/// memory stays valid until the operation is complete: that is MPI's contract with the user.
pub enum Payload {
    /// One run of bytes.
    Run {
        /// First byte.
        base: *mut u8,
        /// How many.
        len: usize,
    },
    /// `count` elements of a type with holes.
    Typed(Box<Typed>),
    /// Bytes of our own (buffered sends, messages to oneself).
    Owned(Box<[u8]>),
}

/// Elements of a derived type.
pub struct Typed {
    base: *mut u8,
    count: usize,
    kind: Arc<Type>,
    len: usize,
}

impl Typed {
    /// The memory.
    pub(crate) fn region(&self) -> Region<'_> {
        Region { base: self.base.addr(), count: self.count, kind: &self.kind }
    }
}

// SAFETY: the pointers are to memory that the user lent for the operation, whichever thread
// completes it.
unsafe impl Send for Payload {}

impl Payload {
    /// No bytes.
    pub const EMPTY: Self = Self::Run { base: std::ptr::null_mut(), len: 0 };

    /// `count` elements of `kind` at `base`.
    ///
    /// # Safety
    /// The memory that the type map touches is valid (for reads if sent, for writes if received)
    /// until the operation is complete.
    pub unsafe fn new(base: *mut u8, count: usize, kind: &Arc<Type>) -> Self {
        match kind.contiguous_run(count) {
            Some((offset, len)) => Self::Run { base: base.wrapping_offset(offset), len },
            None => Self::Typed(Box::new(Typed { base, count, kind: Arc::clone(kind), len: kind.size() * count })),
        }
    }

    /// Bytes of the message.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a message without bytes is a message like any other")]
    pub fn len(&self) -> usize {
        match self {
            Self::Run { len, .. } => *len,
            Self::Typed(typed) => typed.len,
            Self::Owned(bytes) => bytes.len(),
        }
    }

    /// The address if the bytes lie in one run.
    #[inline]
    pub fn run(&self) -> Option<*mut u8> {
        match self {
            Self::Run { base, .. } => Some(*base),
            Self::Owned(bytes) => Some(bytes.as_ptr().cast_mut()),
            Self::Typed(_) => None,
        }
    }

    /// The address of bytes `at..at + len`, more than none, if they are known to lie side by side in memory.
    #[inline]
    pub(crate) fn run_at(&self, at: usize, len: usize) -> Option<*const u8> {
        match self {
            Self::Typed(typed) => {
                typed.kind.run_at(typed.base, typed.count, at, len).map(std::ptr::with_exposed_provenance)
            }
            whole => whole.run().map(|base| base.wrapping_add(at).cast_const()),
        }
    }

    /// Copies `len` bytes of the message, from position `at`, to `to`.
    ///
    /// # Safety
    /// `to` is valid for writes of `len` bytes and does not overlap the message;
    /// `at + len` is at most [`Self::len`].
    #[inline(always)]
    pub unsafe fn read(&self, at: usize, to: *mut u8, len: usize) {
        debug_assert!(at + len <= self.len());
        match self {
            // SAFETY: the run is valid (its maker), the range inside it and `to` valid (caller).
            Self::Run { base, .. } => unsafe { copy(to, base.add(at), len) },
            // SAFETY: as above, on memory of our own.
            Self::Owned(bytes) => unsafe { copy(to, bytes.as_ptr().add(at), len) },
            // SAFETY: the type's memory is valid (its maker), `to` is (caller).
            Self::Typed(typed) => unsafe { typed.kind.pack_at(typed.base, typed.count, at, to, len) },
        }
    }

    /// Copies `len` bytes from `from` to position `at` of the message; what does not fit is left
    /// out.
    ///
    /// # Safety
    /// `from` is valid for reads of `len` bytes and does not overlap the message.
    #[inline(always)]
    pub unsafe fn write(&mut self, at: usize, from: *const u8, len: usize) {
        let room = self.len().saturating_sub(at).min(len);
        if room == 0 {
            return;
        }
        match self {
            // SAFETY: the run is valid (its maker), the range was cut to it, `from` is valid.
            Self::Run { base, len } => unsafe { copy_out_part(base.add(at), from, room, *len) },
            // SAFETY: as above, on memory of our own.
            Self::Owned(bytes) => unsafe { copy_out(bytes.as_mut_ptr().add(at), from, room) },
            // SAFETY: the type's memory is valid (its maker), `from` is (caller).
            Self::Typed(typed) => unsafe { typed.kind.unpack_at(typed.base, typed.count, at, from, room) },
        }
    }

    /// A copy of all bytes.
    pub fn to_bytes(&self) -> Box<[u8]> {
        let mut bytes = vec![0u8; self.len()].into_boxed_slice();
        // SAFETY: the destination is as long as the message and our own.
        unsafe { self.read(0, bytes.as_mut_ptr(), bytes.len()) };
        bytes
    }
}
