//! MINLOC and MAXLOC (MPI-5.0 section 6.9.4): the smaller (larger) value with its index; of equal
//! values the smaller index. Called by `reduction`.

use super::kernel::Kernel;
use super::number::{Long, Ordered};
use super::predefined::Operation;
use crate::datatype::{Basic, Repr};

/// A pair as C lays it out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Pair<V, I> {
    value: V,
    index: I,
}

/// # Safety
/// As for [`Kernel`].
unsafe fn locate<V: Ordered, I: Ordered, const MAX: bool>(out: *mut u8, a: *const u8, b: *const u8, n: usize) {
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

/// The loop for MINLOC or MAXLOC on pairs of these types, laid out as C does.
pub(super) fn find(operation: Operation, value: &Basic, index: &Basic) -> Option<Kernel> {
    macro_rules! pick {
        ($value:ty, $index:ty) => {
            match operation {
                Operation::Maxloc => locate::<$value, $index, true>,
                Operation::Minloc => locate::<$value, $index, false>,
                _ => return None,
            }
        };
    }
    Some(match (value.repr, index.repr) {
        (Repr::I16, Repr::I32) => pick!(i16, i32),
        (Repr::I32, Repr::I32) => pick!(i32, i32),
        (Repr::I64, Repr::I32) => pick!(i64, i32),
        (Repr::F32, Repr::I32) => pick!(f32, i32),
        (Repr::F64, Repr::I32) => pick!(f64, i32),
        (Repr::Long, Repr::I32) => pick!(Long, i32),
        (Repr::F32, Repr::F32) => pick!(f32, f32),
        (Repr::F64, Repr::F64) => pick!(f64, f64),
        _ => return None,
    })
}
