//! Loops for IEEE binary16 with the processor's conversions (F16C), eight numbers at a time. Without
//! them `kernel` does it in integer arithmetic, some 60 times slower. Called by `kernel`.

use super::kernel::Kernel;
use super::number::{Half, Number, Ordered};
use super::predefined::Operation;
use core::arch::x86_64::{
    __m256, _MM_FROUND_TO_NEAREST_INT, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_ps, _mm256_cvtph_ps,
    _mm256_cvtps_ph, _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps,
};

/// The loop for an operation, if the processor has what it needs.
pub(super) fn find(operation: Operation) -> Option<Kernel> {
    if !(std::arch::is_x86_feature_detected!("f16c") && std::arch::is_x86_feature_detected!("avx")) {
        return None;
    }
    Some(match operation {
        Operation::Sum => sum,
        Operation::Prod => product,
        Operation::Max => max,
        Operation::Min => min,
        _ => return None,
    })
}

macro_rules! kernels {
    ($($name:ident: |$x:ident, $y:ident| $vector:expr, |$a:ident, $b:ident| $one:expr;)*) => {$(
        /// # Safety
        /// As for [`Kernel`]; the processor has F16C and AVX.
        #[target_feature(enable = "avx,f16c")]
        unsafe fn $name(out: *mut u8, a: *const u8, b: *const u8, n: usize) {
            let mut i = 0;
            // SAFETY: `i` stays below `n` in all accesses, and the caller vouches for `n` numbers. Where
            // `out` is an operand, what is overwritten has been read.
            unsafe {
                while n - i >= 8 {
                    let load = |row: *const u8| _mm256_cvtph_ps(_mm_loadu_si128(row.add(2 * i).cast()));
                    let ($x, $y): (__m256, __m256) = (load(a), load(b));
                    let z = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>($vector);
                    _mm_storeu_si128(out.add(2 * i).cast(), z);
                    i += 8;
                }
                while i < n {
                    let load = |row: *const u8| row.cast::<Half>().add(i).read_unaligned();
                    let ($a, $b) = (load(a), load(b));
                    out.cast::<Half>().add(i).write_unaligned($one);
                    i += 1;
                }
            }
        }
    )*};
}

// The order of operands of `max` and `min` decides about NaN as in `kernel`.
kernels! {
    sum: |x, y| _mm256_add_ps(x, y), |a, b| a.sum(b);
    product: |x, y| _mm256_mul_ps(x, y), |a, b| a.product(b);
    max: |x, y| _mm256_max_ps(y, x), |a, b| if a.less(b) { b } else { a };
    min: |x, y| _mm256_min_ps(y, x), |a, b| if b.less(a) { b } else { a };
}
