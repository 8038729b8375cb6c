//! MINLOC and MAXLOC (MPI-5.0 section 6.9.4): the smaller (larger) value with its index; of equal
//! values the smaller index. The usual pairs have loops of their own, the others compare through
//! function pointers.

use super::number::{Half, Long, Ordered, Quad};
use super::predefined::Operation;
use crate::datatype::{Basic, Repr};
use std::cmp::Ordering;

/// Compares the two values at these addresses.
///
/// # Safety
/// Both addresses hold a value of the type that the function was chosen for.
type Compare = unsafe fn(*const u8, *const u8) -> Ordering;

/// Finds the extreme of pairs in memory.
#[derive(Clone, Copy)]
pub(super) struct Locate {
    /// The larger values win.
    max: bool,
    value: Compare,
    index: Compare,
    value_size: usize,
    index_size: usize,
    /// Offset of the index in a pair.
    index_at: usize,
    /// Bytes from one pair to the next.
    extent: usize,
    /// The loop for these types, if they are among the usual ones.
    usual: Option<super::Kernel>,
}

/// # Safety
/// As for [`Compare`].
unsafe fn compare<T: Ordered>(a: *const u8, b: *const u8) -> Ordering {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (a.cast::<T>().read_unaligned(), b.cast::<T>().read_unaligned()) };
    if a.less(b) {
        Ordering::Less
    } else if b.less(a) {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

fn comparison(repr: Repr) -> Option<Compare> {
    Some(match repr {
        Repr::I8 => compare::<i8>,
        Repr::I16 => compare::<i16>,
        Repr::I32 => compare::<i32>,
        Repr::I64 => compare::<i64>,
        Repr::I128 => compare::<i128>,
        Repr::U8 => compare::<u8>,
        Repr::U16 => compare::<u16>,
        Repr::U32 => compare::<u32>,
        Repr::U64 => compare::<u64>,
        Repr::F16 => compare::<Half>,
        Repr::F32 => compare::<f32>,
        Repr::F64 => compare::<f64>,
        Repr::Long => compare::<Long>,
        Repr::F128 => compare::<Quad>,
        _ => return None,
    })
}

/// A pair as C lays it out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Pair<V, I> {
    value: V,
    index: I,
}

/// # Safety
/// As for [`super::Kernel`].
unsafe fn usual<V: Ordered, I: Ordered, const MAX: bool>(out: *mut u8, a: *const u8, b: *const u8, n: usize) {
    let (out, a, b) = (out.cast::<Pair<V, I>>(), a.cast::<Pair<V, I>>(), b.cast::<Pair<V, I>>());
    for i in 0..n {
        // SAFETY: the caller vouches for `n` pairs. Fields are stored one by one: what lies between
        // them is not ours to write.
        unsafe {
            let (x, y) = (a.add(i).read_unaligned(), b.add(i).read_unaligned());
            let (low, high) = if MAX { (y, x) } else { (x, y) };
            let result = if low.value.less(high.value) {
                x
            } else if high.value.less(low.value) {
                y
            } else {
                Pair { value: x.value, index: if y.index.less(x.index) { y.index } else { x.index } }
            };
            (&raw mut (*out.add(i)).value).write_unaligned(result.value);
            (&raw mut (*out.add(i)).index).write_unaligned(result.index);
        }
    }
}

fn usual_loop(value: Repr, index: Repr, max: bool) -> Option<super::Kernel> {
    macro_rules! pick {
        ($v:ty, $i:ty) => {
            if max { usual::<$v, $i, true> } else { usual::<$v, $i, false> }
        };
    }
    Some(match (value, index) {
        (Repr::I16, Repr::I32) => pick!(i16, i32),
        (Repr::I32, Repr::I32) => pick!(i32, i32),
        (Repr::I64, Repr::I32) => pick!(i64, i32),
        (Repr::F32, Repr::I32) => pick!(f32, i32),
        (Repr::F64, Repr::I32) => pick!(f64, i32),
        (Repr::F32, Repr::F32) => pick!(f32, f32),
        (Repr::F64, Repr::F64) => pick!(f64, f64),
        _ => return None,
    })
}

impl Locate {
    /// MINLOC or MAXLOC of pairs of these types, the index at `index_at`.
    pub(super) fn new(operation: Operation, value: &Basic, index: &Basic, index_at: usize, extent: usize) -> Option<Self> {
        let max = operation == Operation::Maxloc;
        Some(Self {
            max,
            value: comparison(value.repr)?,
            index: comparison(index.repr)?,
            value_size: value.size(),
            index_size: index.size(),
            index_at,
            extent,
            usual: usual_loop(value.repr, index.repr, max),
        })
    }

    /// `out[i] = a[i] op b[i]`.
    ///
    /// # Safety
    /// As for [`super::Kernel`].
    pub(super) unsafe fn apply(&self, out: *mut u8, a: *const u8, b: *const u8, n: usize) {
        if let Some(usual) = self.usual {
            // SAFETY: the caller's promise.
            return unsafe { usual(out, a, b, n) };
        }
        for i in 0..n {
            // SAFETY: the caller vouches for `n` pairs; value and index lie in the pair.
            unsafe {
                let (x, y, z) = (a.add(i * self.extent), b.add(i * self.extent), out.add(i * self.extent));
                let (xi, yi) = (x.add(self.index_at), y.add(self.index_at));
                let order = (self.value)(x, y);
                let order = if self.max { order.reverse() } else { order };
                let index = match order.then_with(|| (self.index)(xi, yi)) {
                    Ordering::Greater => yi,
                    _ => xi,
                };
                let value = if order == Ordering::Greater { y } else { x };
                // One of the two may be the place of the result: moved, not copied.
                std::ptr::copy(value, z, self.value_size);
                std::ptr::copy(index, z.add(self.index_at), self.index_size);
            }
        }
    }
}
