//! What the predefined reductions do with two values, for each kind of number. Called by
//! `kernel`, which makes loops of it.
//!
//! Integers wrap around. MIN and MAX compare as C does: the first value stays unless the second is
//! smaller (larger), so what becomes of NaN depends on the order of the ranks, which is always the
//! same.

use super::soft::{self, Binary128};

/// Has a sum and a product.
pub(super) trait Number: Copy {
    /// Their sum.
    fn sum(self, other: Self) -> Self;
    /// Their product.
    fn product(self, other: Self) -> Self;
}

/// Has an order.
pub(super) trait Ordered: Copy {
    /// Whether this is less.
    fn less(self, other: Self) -> bool;
}

/// Has bits.
pub(super) trait Bits: Copy {
    /// Bitwise and.
    fn and(self, other: Self) -> Self;
    /// Bitwise or.
    fn or(self, other: Self) -> Self;
    /// Bitwise exclusive or.
    fn xor(self, other: Self) -> Self;
}

/// Is true or false: anything but 0 is true, and true is made 1 (as in C and in gfortran; other
/// Fortran compilers take 1 as true as well).
pub(super) trait Truth: Copy {
    /// Whether it is true.
    fn truth(self) -> bool;
    /// True or false.
    fn of(truth: bool) -> Self;
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Number for $type {
            #[inline(always)]
            fn sum(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn product(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
        }

        impl Ordered for $type {
            #[inline(always)]
            fn less(self, other: Self) -> bool {
                self < other
            }
        }

        impl Bits for $type {
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }
        }

        impl Truth for $type {
            #[inline(always)]
            fn truth(self) -> bool {
                self != 0
            }
            #[inline(always)]
            fn of(truth: bool) -> Self {
                truth as Self
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 }

macro_rules! floats {
    ($($type:ty)*) => {$(
        impl Number for $type {
            #[inline(always)]
            fn sum(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn product(self, other: Self) -> Self {
                self * other
            }
        }

        impl Ordered for $type {
            #[inline(always)]
            fn less(self, other: Self) -> bool {
                self < other
            }
        }
    )*};
}

floats! { f32 f64 }

/// IEEE binary16. Computed in binary32, which is exact enough for the result to be rounded once.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Half(u16);

impl Number for Half {
    #[inline(always)]
    fn sum(self, other: Self) -> Self {
        Self(soft::f32_to_half(soft::half_to_f32(self.0) + soft::half_to_f32(other.0)))
    }
    #[inline(always)]
    fn product(self, other: Self) -> Self {
        Self(soft::f32_to_half(soft::half_to_f32(self.0) * soft::half_to_f32(other.0)))
    }
}

impl Ordered for Half {
    #[inline(always)]
    fn less(self, other: Self) -> bool {
        soft::half_to_f32(self.0) < soft::half_to_f32(other.0)
    }
}

/// IEEE binary128.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Quad(u128);

impl Number for Quad {
    fn sum(self, other: Self) -> Self {
        Self(Binary128::add(self.0, other.0))
    }
    fn product(self, other: Self) -> Self {
        Self(Binary128::mul(self.0, other.0))
    }
}

impl Ordered for Quad {
    fn less(self, other: Self) -> bool {
        Binary128::less(self.0, other.0)
    }
}

/// `long double`.
#[cfg(target_arch = "x86_64")]
pub(super) type Long = super::x87::Extended;
/// `long double`.
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Long = Quad;

/// A complex number of C, C++ or Fortran.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Complex<T> {
    re: T,
    im: T,
}

/// Can be subtracted, for the product of complex numbers.
pub(super) trait Negate: Copy {
    /// The same with the other sign.
    fn negate(self) -> Self;
}

impl Negate for f32 {
    #[inline(always)]
    fn negate(self) -> Self {
        -self
    }
}

impl Negate for f64 {
    #[inline(always)]
    fn negate(self) -> Self {
        -self
    }
}

impl Negate for Half {
    #[inline(always)]
    fn negate(self) -> Self {
        Self(self.0 ^ 0x8000)
    }
}

impl Negate for Quad {
    fn negate(self) -> Self {
        Self(Binary128::negative(self.0))
    }
}

impl<T: Number + Negate> Number for Complex<T> {
    #[inline(always)]
    fn sum(self, other: Self) -> Self {
        Self { re: self.re.sum(other.re), im: self.im.sum(other.im) }
    }
    #[inline(always)]
    fn product(self, other: Self) -> Self {
        Self {
            re: self.re.product(other.re).sum(self.im.product(other.im).negate()),
            im: self.re.product(other.im).sum(self.im.product(other.re)),
        }
    }
}
