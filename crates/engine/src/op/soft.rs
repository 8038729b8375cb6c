//! Floating point that the processor or the language lacks: IEEE binary128 in integer arithmetic
//! (rounding to nearest, ties to even), binary16 through binary32, and conversion between
//! binary128 and the x87 format for external32. Called by `number` and `datatype::external`.
//!
//! The arithmetic is written once for any IEEE format, so that the tests can compare it bit by bit
//! with the processor's own binary32 and binary64.

/// An IEEE format with `E` bits of exponent and `M` bits of mantissa, in the low bits of a `u128`.
pub(crate) struct Ieee<const E: u32, const M: u32>;

/// IEEE binary128.
pub(crate) type Binary128 = Ieee<15, 112>;

/// `value >> by`, with a 1 in the last place if any bit was lost.
fn shift_sticky(value: u128, by: u32) -> u128 {
    if by == 0 {
        value
    } else if by < 128 {
        value >> by | u128::from(value << (128 - by) != 0)
    } else {
        u128::from(value != 0)
    }
}

/// The product as high and low half.
fn wide_product(a: u128, b: u128) -> (u128, u128) {
    let low = |v: u128| v & u128::from(u64::MAX);
    let (a1, a0, b1, b0) = (a >> 64, low(a), b >> 64, low(b));
    let (p00, p01, p10, p11) = (a0 * b0, a0 * b1, a1 * b0, a1 * b1);
    let middle = (p00 >> 64) + low(p01) + low(p10);
    (p11 + (p01 >> 64) + (p10 >> 64) + (middle >> 64), middle << 64 | low(p00))
}

impl<const E: u32, const M: u32> Ieee<E, M> {
    const HIDDEN: u128 = 1 << M;
    const EXP_MAX: i32 = (1 << E) - 1;
    const BIAS: i32 = (1 << (E - 1)) - 1;
    const SIGN: u128 = 1 << (E + M);
    const INFINITY: u128 = (Self::EXP_MAX as u128) << M;
    const QUIET: u128 = Self::INFINITY | 1 << (M - 1);

    fn is_nan(a: u128) -> bool {
        a & !Self::SIGN > Self::INFINITY
    }

    /// Exponent and significand of a finite number; exponent 1 also for the subnormal.
    fn parts(a: u128) -> (i32, u128) {
        let exponent = (a >> M) as i32 & Self::EXP_MAX;
        let mantissa = a & (Self::HIDDEN - 1);
        if exponent == 0 { (1, mantissa) } else { (exponent, mantissa | Self::HIDDEN) }
    }

    /// Rounds a significand with three extra bits, whose leading one is at `M + 3` unless the
    /// exponent is 1.
    fn round(sign: u128, mut exponent: i32, extended: u128) -> u128 {
        let (mut significand, rest) = (extended >> 3, extended & 7);
        if rest > 4 || rest == 4 && significand & 1 == 1 {
            significand += 1;
        }
        if significand >> (M + 1) != 0 {
            significand >>= 1;
            exponent += 1;
        }
        if exponent >= Self::EXP_MAX {
            return sign | Self::INFINITY;
        }
        if significand & Self::HIDDEN == 0 {
            exponent = 0;
        }
        sign | (exponent as u128) << M | significand & (Self::HIDDEN - 1)
    }

    /// `a + b`.
    pub(crate) fn add(a: u128, b: u128) -> u128 {
        let (sa, sb) = (a & Self::SIGN, b & Self::SIGN);
        if Self::is_nan(a) {
            return a | Self::QUIET;
        }
        if Self::is_nan(b) {
            return b | Self::QUIET;
        }
        if a & !Self::SIGN == Self::INFINITY {
            return if b == a ^ Self::SIGN { Self::QUIET } else { a };
        }
        if b & !Self::SIGN == Self::INFINITY {
            return b;
        }
        // The larger one first: encodings of one sign are ordered as the numbers are.
        let (large, small, sign) = if a & !Self::SIGN >= b & !Self::SIGN { (a, b, sa) } else { (b, a, sb) };
        let ((mut exponent, x), (lower, y)) = (Self::parts(large), Self::parts(small));
        let y = shift_sticky(y << 3, (exponent - lower).cast_unsigned());
        let x = x << 3;
        if sa == sb {
            let mut sum = x + y;
            if sum >> (M + 4) != 0 {
                sum = shift_sticky(sum, 1);
                exponent += 1;
            }
            return Self::round(sign, exponent, sum);
        }
        let difference = x - y;
        if difference == 0 {
            return 0;
        }
        let left = (difference.leading_zeros() - (127 - M - 3)).min((exponent - 1).cast_unsigned());
        Self::round(sign, exponent - left.cast_signed(), difference << left)
    }

    /// `a * b`.
    pub(crate) fn mul(a: u128, b: u128) -> u128 {
        let sign = (a ^ b) & Self::SIGN;
        let (x, y) = (a & !Self::SIGN, b & !Self::SIGN);
        if Self::is_nan(a) {
            return a | Self::QUIET;
        }
        if Self::is_nan(b) {
            return b | Self::QUIET;
        }
        if x == Self::INFINITY || y == Self::INFINITY {
            return if x == 0 || y == 0 { Self::QUIET } else { sign | Self::INFINITY };
        }
        if x == 0 || y == 0 {
            return sign;
        }
        let normal = |v| {
            let (exponent, significand) = Self::parts(v);
            let left = significand.leading_zeros() - (127 - M);
            (exponent - left.cast_signed(), significand << left)
        };
        let ((ea, x), (eb, y)) = (normal(x), normal(y));
        let mut exponent = ea + eb - Self::BIAS;
        // The leading one of the product is at 2M or 2M + 1; it goes to M + 3.
        let (high, low) = wide_product(x, y);
        let top = if high == 0 { 127 - low.leading_zeros() } else { 255 - high.leading_zeros() };
        if top > 2 * M {
            exponent += 1;
        }
        let mut extended = if top < M + 3 {
            low << (M + 3 - top)
        } else {
            let drop = top - (M + 3);
            if high == 0 {
                shift_sticky(low, drop)
            } else {
                // The product is wider than 128 bits only if M is more than 63, and then `drop` is at least M - 3.
                high << (128 - drop) | shift_sticky(low, drop)
            }
        };
        if exponent < 1 {
            extended = shift_sticky(extended, (1 - exponent).cast_unsigned());
            exponent = 1;
        }
        Self::round(sign, exponent, extended)
    }

    /// `a < b`; false if either is no number.
    pub(crate) fn less(a: u128, b: u128) -> bool {
        if Self::is_nan(a) || Self::is_nan(b) || (a | b) & !Self::SIGN == 0 {
            return false;
        }
        match (a & Self::SIGN != 0, b & Self::SIGN != 0) {
            (false, false) => a < b,
            (true, true) => a > b,
            (a_negative, _) => a_negative,
        }
    }

    /// `-a`.
    pub(crate) fn negative(a: u128) -> u128 {
        a ^ Self::SIGN
    }
}

/// The x87 number in the low 80 bits as binary128; exact.
pub(crate) fn x87_to_binary128(x: u128) -> u128 {
    let sign = (x >> 79 & 1) << 127;
    let (exponent, significand) = (x >> 64 & 0x7fff, x & u128::from(u64::MAX));
    if exponent == 0 {
        // Subnormals of the x87 are subnormals of binary128 as well: the exponents have one range.
        return sign | significand << 49;
    }
    sign | exponent << 112 | (significand & (u128::from(u64::MAX) >> 1)) << 49
}

/// The binary128 number as x87, rounded.
pub(crate) fn binary128_to_x87(q: u128) -> u128 {
    let sign = (q >> 127) << 79;
    let (exponent, mantissa) = (q >> 112 & 0x7fff, q & ((1 << 112) - 1));
    if exponent == 0x7fff {
        let nan = u128::from(mantissa != 0) << 62;
        return sign | exponent << 64 | 1 << 63 | nan | mantissa >> 49;
    }
    let significand = if exponent == 0 { mantissa } else { mantissa | 1 << 112 };
    let (mut kept, rest) = (significand >> 49, significand & ((1 << 49) - 1));
    let half = 1u128 << 48;
    if rest > half || rest == half && kept & 1 == 1 {
        kept += 1;
    }
    if kept >> 64 != 0 {
        return sign | (exponent + 1) << 64 | (kept >> 1);
    }
    // A subnormal that was rounded up to the smallest normal number.
    let exponent = if exponent == 0 && kept >> 63 != 0 { 1 } else { exponent };
    sign | exponent << 64 | kept
}

/// Binary16 as binary32; exact. Without branches, so that loops become vector code.
#[inline(always)]
pub(crate) fn half_to_f32(h: u16) -> f32 {
    let magnitude = f32::from_bits(u32::from(h & 0x7fff) << 13) * f32::from_bits((254 - 15) << 23);
    let special = if h & 0x7c00 == 0x7c00 { 0xff << 23 } else { 0 };
    f32::from_bits(magnitude.to_bits() | special | u32::from(h & 0x8000) << 16)
}

/// Binary32 as binary16, rounded to nearest.
#[inline(always)]
pub(crate) fn f32_to_half(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    // Normal: exponent rebased, mantissa rounded to even by adding just under half and the last bit.
    let normal = (magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + (magnitude >> 13 & 1))) >> 13;
    // Subnormal: adding 0.5 moves the unit of binary16 to the last place, and rounds.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let overflow = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    let rounded = if magnitude >= 0x477f_f000 {
        overflow
    } else if magnitude < 113 << 23 {
        subnormal
    } else {
        normal
    };
    sign | rounded as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same64(ours: u128, theirs: f64) -> bool {
        ours == u128::from(theirs.to_bits()) || Ieee::<11, 52>::is_nan(ours) && theirs.is_nan()
    }

    fn same32(ours: u128, theirs: f32) -> bool {
        ours == u128::from(theirs.to_bits()) || Ieee::<8, 23>::is_nan(ours) && theirs.is_nan()
    }

    /// Numbers that are near each other, and special ones.
    fn bits64() -> impl Strategy<Value = u64> {
        prop_oneof![
            any::<u64>(),
            (0..2u64, 1015..1030u64, any::<u64>()).prop_map(|(s, e, m)| s << 63 | e << 52 | m >> 12),
            (0..2u64, 0..4u64, any::<u64>()).prop_map(|(s, e, m)| s << 63 | e << 52 | m >> 12),
            (0..2u64, 480..540u64, 0..4u64).prop_map(|(s, e, m)| s << 63 | e << 52 | m),
            (0..2u64, 2044..2048u64, 0..3u64).prop_map(|(s, e, m)| s << 63 | e << 52 | m),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 20 } else { 5000 }))]

        #[test]
        fn the_arithmetic_is_the_processors_for_binary64(a in bits64(), b in bits64()) {
            type F = Ieee<11, 52>;
            let (x, y) = (f64::from_bits(a), f64::from_bits(b));
            let (a, b) = (u128::from(a), u128::from(b));
            prop_assert!(same64(F::add(a, b), x + y), "{x:e} + {y:e}");
            prop_assert!(same64(F::mul(a, b), x * y), "{x:e} * {y:e}");
            prop_assert_eq!(F::less(a, b), x < y);
        }

        #[test]
        fn the_arithmetic_is_the_processors_for_binary32(a: u32, b: u32) {
            type F = Ieee<8, 23>;
            let (x, y) = (f32::from_bits(a), f32::from_bits(b));
            let (a, b) = (u128::from(a), u128::from(b));
            prop_assert!(same32(F::add(a, b), x + y), "{x:e} + {y:e}");
            prop_assert!(same32(F::mul(a, b), x * y), "{x:e} * {y:e}");
        }

        #[test]
        fn wide_products_are_right(a: u64, b: u64, c: u64) {
            // (a * 2^64 + b) * c, by hand.
            let (high, low) = wide_product(u128::from(a) << 64 | u128::from(b), u128::from(c));
            let (upper, lower) = (u128::from(a) * u128::from(c), u128::from(b) * u128::from(c));
            let (sum, carry) = lower.overflowing_add(upper << 64);
            prop_assert_eq!((high, low), ((upper >> 64) + u128::from(carry), sum));
        }
    }

    /// A binary64 number as binary128.
    fn wide(x: f64) -> u128 {
        let bits = u128::from(x.to_bits());
        let exponent = bits >> 52 & 0x7ff;
        (bits >> 63) << 127 | (exponent + 16383 - 1023) << 112 | (bits & ((1 << 52) - 1)) << 60
    }

    #[test]
    fn binary128_keeps_what_binary64_loses() {
        let sum = Binary128::add(wide(1.0), wide(2f64.powi(-100)));
        assert_eq!(Binary128::add(sum, wide(-1.0)), wide(2f64.powi(-100)));
        let product = Binary128::mul(wide(1e15 + 1.0), wide(1e15 + 3.0));
        // (n + 1)(n + 3) - (n + 2)^2 = -1
        let square = Binary128::mul(wide(1e15 + 2.0), wide(1e15 + 2.0));
        assert_eq!(Binary128::add(product, Binary128::negative(square)), wide(-1.0));
        assert!(Binary128::less(wide(-3.0), wide(2.0)) && !Binary128::less(wide(2.0), wide(2.0)));
    }

    #[test]
    fn halves_survive_the_way_through_binary32() {
        for h in 0..=u16::MAX {
            let x = half_to_f32(h);
            if x.is_nan() {
                assert!(half_to_f32(f32_to_half(x)).is_nan());
            } else {
                assert_eq!(f32_to_half(x), h, "{x:e}");
            }
        }
        assert_eq!(half_to_f32(0x3c00).to_bits(), 1f32.to_bits());
        assert_eq!(half_to_f32(0x0001).to_bits(), 2f32.powi(-24).to_bits());
        for (x, h) in [
            (65519.0, 0x7bff),
            (65520.0, 0x7c00),
            (1e9, 0x7c00),
            (-65520.0, 0xfc00),
            (1.000_488_3, 0x3c00),
            (1.001_464_9, 0x3c02),
            (2f32.powi(-25), 0),
            (2f32.powi(-25) * 1.001, 1),
        ] {
            assert_eq!(f32_to_half(x), h, "{x:e}");
        }
    }

    #[test]
    fn x87_numbers_survive_the_way_through_binary128() {
        let one = 0x3fffu128 << 64 | 1 << 63;
        assert_eq!(x87_to_binary128(one), wide(1.0));
        for x in [one, one | 1, one | 1 << 79, 0, 1 << 79, 1, 0x7fff << 64 | 1 << 63, 1 << 64 | 1 << 63, (1 << 63) - 1]
        {
            assert_eq!(binary128_to_x87(x87_to_binary128(x)), x, "{x:x}");
        }
        // Half a unit above one rounds to even.
        assert_eq!(binary128_to_x87(wide(1.0) | 1 << 48), one);
        assert_eq!(binary128_to_x87(wide(1.0) | 1 << 48 | 1), one | 1);
        assert_eq!(binary128_to_x87(wide(1.0) | ((1 << 112) - 1)), 0x4000u128 << 64 | 1 << 63);
    }
}
