//! The 80-bit numbers of `long double` on x86-64, computed by the processor's x87 part, which the
//! language has no type for. Called by `number`.

#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "long double is binary128 there"))]

use super::number::{Negate, Number, Ordered};

/// An x87 number in the 16 bytes that C gives it; six of them mean nothing.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct Extended([u8; 16]);

impl Extended {
    fn bits(self) -> u128 {
        u128::from_le_bytes(self.0) & ((1 << 80) - 1)
    }

    fn is_nan(bits: u128) -> bool {
        bits >> 64 & 0x7fff == 0x7fff && bits << 65 != 0
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
macro_rules! calculate {
    ($operation:literal, $a:expr, $b:expr) => {{
        let (a, b, mut result) = ($a, $b, $a);
        // SAFETY: the three operands are local, 16 bytes each, of which ten are used; the x87
        // stack is empty on entry by the calling convention, and is left empty.
        unsafe {
            core::arch::asm!(
                "fld tbyte ptr [{a}]",
                "fld tbyte ptr [{b}]",
                $operation,
                "fstp tbyte ptr [{result}]",
                a = in(reg) &raw const a,
                b = in(reg) &raw const b,
                result = in(reg) &raw mut result,
                out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
                out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
                options(nostack),
            );
        }
        result
    }};
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
macro_rules! calculate {
    ($operation:literal, $a:expr, $b:expr) => {{
        use super::soft::{Binary128, binary128_to_x87, x87_to_binary128};
        let (a, b) = (x87_to_binary128($a.bits()), x87_to_binary128($b.bits()));
        let wide = if $operation == "faddp" { Binary128::add(a, b) } else { Binary128::mul(a, b) };
        Extended(binary128_to_x87(wide).to_le_bytes())
    }};
}

impl Number for Extended {
    fn sum(self, other: Self) -> Self {
        calculate!("faddp", self, other)
    }
    fn product(self, other: Self) -> Self {
        calculate!("fmulp", self, other)
    }
}

impl Negate for Extended {
    fn negate(mut self) -> Self {
        self.0[9] ^= 0x80;
        self
    }
}

impl Ordered for Extended {
    fn less(self, other: Self) -> bool {
        let (a, b) = (self.bits(), other.bits());
        let magnitude = (1u128 << 79) - 1;
        if Self::is_nan(a) || Self::is_nan(b) || (a | b) & magnitude == 0 {
            return false;
        }
        match (a >> 79 != 0, b >> 79 != 0) {
            (false, false) => a < b,
            (true, true) => a > b,
            (a_negative, _) => a_negative,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(x: f64) -> Extended {
        let bits = u128::from(x.to_bits());
        let (exponent, mantissa) = (bits >> 52 & 0x7ff, bits & ((1 << 52) - 1));
        let value = if x == 0.0 { 0 } else { (exponent + 16383 - 1023) << 64 | 1 << 63 | mantissa << 11 };
        Extended(((bits >> 63) << 79 | value).to_le_bytes())
    }

    #[test]
    fn sums_and_products_are_exact_where_double_is_not() {
        let sum = of(1.0).sum(of(2f64.powi(-60)));
        assert_eq!(sum.sum(of(-1.0)).bits(), of(2f64.powi(-60)).bits());
        assert_eq!(of(1.5).product(of(-2.5)).bits(), of(-3.75).bits());
        assert_eq!(of(3.0).product(of(7.0)).sum(of(-21.0)).bits(), 0);
    }

    #[test]
    fn order_is_that_of_the_numbers() {
        let values = [f64::NEG_INFINITY, -3.5, -1e-300, -0.0, 1e-300, 2.0, 1e300];
        let values: Vec<_> = values[1..].iter().map(|x| of(*x)).collect();
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(a.less(*b), i < j);
            }
        }
        assert!(!of(0.0).less(of(-0.0)) && !of(-0.0).less(of(0.0)));
    }
}
