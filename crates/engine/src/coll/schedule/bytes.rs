//! Where the bytes of a step lie: a run, or elements of a type with holes, in the user's memory or in the
//! schedule's own.

use crate::coll::apart::Piece;
use crate::copy::copy;
use crate::datatype::Type;
use crate::datatype::region::Region;
use crate::payload::Payload;
use std::sync::Arc;

/// Memory that steps read and write. Whoever makes one vouches that it stays valid while the schedule is active.
#[derive(Clone)]
pub(super) enum Bytes {
    /// One run.
    Run { base: *mut u8, len: usize },
    /// Elements with holes.
    Typed { base: *mut u8, count: usize, kind: Arc<Type> },
}

impl Bytes {
    /// No bytes.
    pub(super) const NONE: Self = Self::Run { base: std::ptr::null_mut(), len: 0 };

    /// `count` elements of `kind`, from element `at` on as `base` counts them.
    pub(super) fn of(base: *mut u8, at: isize, count: usize, kind: &Arc<Type>) -> Self {
        Self::at(base.wrapping_offset(at.wrapping_mul(kind.extent())), count, kind)
    }

    /// `count` elements of `kind` at `base`.
    pub(super) fn at(base: *mut u8, count: usize, kind: &Arc<Type>) -> Self {
        match kind.contiguous_run(count) {
            Some((offset, len)) => Self::Run { base: base.wrapping_offset(offset), len },
            None => Self::Typed { base, count, kind: Arc::clone(kind) },
        }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Run { len, .. } => *len,
            Self::Typed { count, kind, .. } => count * kind.size(),
        }
    }

    /// The same as memory to compare.
    pub(super) fn piece(&self) -> Piece<'_> {
        match self {
            Self::Run { base, len } => Piece::run(*base, *len),
            Self::Typed { base, count, kind } => Piece::Elements(Region { base: base.addr(), count: *count, kind }),
        }
    }

    /// The same as the bytes of a message.
    pub(super) fn payload(&self) -> Payload {
        match self {
            Self::Run { base, len } => Payload::Run { base: *base, len: *len },
            // SAFETY: the memory is valid while the schedule is active (its maker).
            Self::Typed { base, count, kind } => unsafe { Payload::new(*base, *count, kind) },
        }
    }

    /// Copies as many bytes as both have room for, if they are not the same bytes.
    ///
    /// # Safety
    /// Both are valid now, `to` for writes, and do not overlap unless they are the same run.
    pub(super) unsafe fn copy_to(&self, to: &Self) {
        let len = self.len().min(to.len());
        if len == 0 {
            return;
        }
        // SAFETY: the caller vouches for both; lengths were compared.
        unsafe {
            match (self, to) {
                (Self::Run { base: from, .. }, Self::Run { base: to, .. }) => {
                    if from != to {
                        copy(*to, *from, len);
                    }
                }
                (_, Self::Run { base: to, .. }) => self.payload().read(0, *to, len),
                (Self::Run { base: from, .. }, _) => to.payload().write(0, *from, len),
                _ => {
                    let packed = self.payload().to_bytes();
                    to.payload().write(0, packed.as_ptr(), len);
                }
            }
        }
    }
}
