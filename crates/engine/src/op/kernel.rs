//! The loops of the predefined reductions: `out[i] = a[i] op b[i]`, at any alignment, `out` the
//! same place as either or neither. Called by `reduction`.
//!
//! A loop loads a block of both operands before it stores a result, so that the compiler makes
//! vector code of it without asking whether the places overlap. On x86-64 each exists twice, for
//! the baseline processor and for AVX2, and the choice is made once, when the reduction is looked
//! up.

use super::number::{Bits, Complex, Half, Long, Number, Ordered, Quad, Truth};
use super::predefined::Operation;
use crate::datatype::{Basic, Repr};

/// Reduces `n` elements: `out[i] = a[i] op b[i]`.
///
/// # Safety
/// `a` and `b` are valid for reads and `out` for writes of `n` elements in memory layout. `out` is
/// `a`, or `b`, or overlaps neither.
pub type Kernel = unsafe fn(out: *mut u8, a: *const u8, b: *const u8, n: usize);

/// What is done with two values.
trait Combine<T> {
    fn combine(a: T, b: T) -> T;
}

macro_rules! operations {
    ($($name:ident: $bound:ident, |$a:ident, $b:ident| $result:expr;)*) => {$(
        struct $name;
        impl<T: $bound> Combine<T> for $name {
            #[inline(always)]
            fn combine($a: T, $b: T) -> T {
                $result
            }
        }
    )*};
}

operations! {
    Sum: Number, |a, b| a.sum(b);
    Product: Number, |a, b| a.product(b);
    Max: Ordered, |a, b| if a.less(b) { b } else { a };
    Min: Ordered, |a, b| if b.less(a) { b } else { a };
    BitAnd: Bits, |a, b| a.and(b);
    BitOr: Bits, |a, b| a.or(b);
    BitXor: Bits, |a, b| a.xor(b);
    And: Truth, |a, b| T::of(a.truth() & b.truth());
    Or: Truth, |a, b| T::of(a.truth() | b.truth());
    Xor: Truth, |a, b| T::of(a.truth() ^ b.truth());
}

/// # Safety
/// As for [`Kernel`], for elements of `T`.
#[inline(always)]
unsafe fn body<T: Copy, C: Combine<T>, const BLOCK: usize>(out: *mut u8, a: *const u8, b: *const u8, n: usize) {
    let (out, a, b) = (out.cast::<T>(), a.cast::<T>(), b.cast::<T>());
    let mut i = 0;
    // SAFETY: `i` stays below `n` in all accesses, and the caller vouches for `n` elements. Where
    // `out` is an operand, what is overwritten has been read.
    unsafe {
        while n - i >= BLOCK {
            let x = a.add(i).cast::<[T; BLOCK]>().read_unaligned();
            let y = b.add(i).cast::<[T; BLOCK]>().read_unaligned();
            // No iterator or closure here: they must be inlined for the loop to become vector code.
            let (mut z, mut k) = (x, 0);
            while k < BLOCK {
                z[k] = C::combine(x[k], y[k]);
                k += 1;
            }
            out.add(i).cast::<[T; BLOCK]>().write_unaligned(z);
            i += BLOCK;
        }
        while i < n {
            let z = C::combine(a.add(i).read_unaligned(), b.add(i).read_unaligned());
            out.add(i).write_unaligned(z);
            i += 1;
        }
    }
}

/// # Safety
/// As for [`Kernel`], for elements of `T`.
unsafe fn baseline<T: Copy, C: Combine<T>, const BLOCK: usize>(out: *mut u8, a: *const u8, b: *const u8, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { body::<T, C, BLOCK>(out, a, b, n) }
}

/// # Safety
/// As for [`Kernel`], for elements of `T`; the processor has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn with_avx2<T: Copy, C: Combine<T>, const BLOCK: usize>(out: *mut u8, a: *const u8, b: *const u8, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { body::<T, C, BLOCK>(out, a, b, n) }
}

fn select<T: Copy, C: Combine<T>, const BLOCK: usize>() -> Kernel {
    #[cfg(target_arch = "x86_64")]
    if BLOCK > 1 && std::arch::is_x86_feature_detected!("avx2") {
        return with_avx2::<T, C, BLOCK>;
    }
    baseline::<T, C, BLOCK>
}

/// The loop for an operation on a predefined type that takes part in it.
pub(super) fn find(operation: Operation, basic: &Basic) -> Option<Kernel> {
    // Blocks of 128 bytes: four vectors of AVX2 for each operand.
    macro_rules! table {
        ($($repr:ident => $type:ty, $block:literal, [$($operation:ident $combine:ident),*];)*) => {
            match (basic.repr, operation) {
                $($((Repr::$repr, Operation::$operation) => Some(select::<$type, $combine, $block>()),)*)*
                _ => None,
            }
        };
    }
    macro_rules! rows {
        (integers [$($i:ident $it:ty, $ib:literal;)*] floats [$($f:ident $ft:ty, $fb:literal;)*]
         complex [$($c:ident $ct:ty, $cb:literal;)*] logicals [$($l:ident $lt:ty, $lb:literal;)*]
         bytes [$($b:ident $bt:ty, $bb:literal;)*]) => {
            table! {
                $($i => $it, $ib, [Sum Sum, Prod Product, Max Max, Min Min, Band BitAnd, Bor BitOr, Bxor BitXor,
                    Land And, Lor Or, Lxor Xor];)*
                $($f => $ft, $fb, [Sum Sum, Prod Product, Max Max, Min Min];)*
                $($c => $ct, $cb, [Sum Sum, Prod Product];)*
                $($l => $lt, $lb, [Land And, Lor Or, Lxor Xor];)*
                $($b => $bt, $bb, [Band BitAnd, Bor BitOr, Bxor BitXor];)*
            }
        };
    }
    if !operation.takes(basic.group) {
        return None;
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if basic.repr == Repr::F16
        && let Some(kernel) = super::half::find(operation)
    {
        return Some(kernel);
    }
    rows! {
        integers [I8 i8, 128; I16 i16, 64; I32 i32, 32; I64 i64, 16; I128 i128, 1;
            U8 u8, 128; U16 u16, 64; U32 u32, 32; U64 u64, 16;]
        floats [F16 Half, 16; F32 f32, 32; F64 f64, 16; Long Long, 1; F128 Quad, 1;]
        complex [C16 Complex<Half>, 8; C32 Complex<f32>, 16; C64 Complex<f64>, 8; CLong Complex<Long>, 1;
            C128 Complex<Quad>, 1;]
        logicals [L8 u8, 128; L16 u16, 64; L32 u32, 32; L64 u64, 16; L128 u128, 1;]
        bytes [Bytes1 u8, 128;]
    }
}
