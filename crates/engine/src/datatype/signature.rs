//! The type signature (MPI-5.0 section 5.1): the sequence of basic values, without places. Kept as
//! length, size in external32 and a hash that can be put together from the parts of a type, so that
//! a million repetitions cost as much as twenty. `--check` compares the hashes of sender and
//! receiver; `Get_elements` uses the lengths.

use super::basic::Basic;

/// Hashes are polynomials in this base...
const BASE: u64 = 0x1f3d_5b79_a4c6_e80f;
/// ...modulo this prime, 2^61 - 1.
const PRIME: u64 = (1 << 61) - 1;

fn times(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    let folded = (wide & u128::from(PRIME)) + (wide >> 61);
    let folded = folded as u64;
    if folded >= PRIME { folded - PRIME } else { folded }
}

fn plus(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= PRIME { sum - PRIME } else { sum }
}

/// A sequence of basic values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// How many.
    pub elements: u64,
    /// Their bytes in external32.
    pub external: u64,
    /// Equal for equal sequences.
    pub hash: u64,
    /// BASE to the power of `elements`.
    power: u64,
}

impl Signature {
    /// No values.
    pub const EMPTY: Self = Self { elements: 0, external: 0, hash: 0, power: 1 };

    /// One value. Types with the same representation count as the same: a `long` matches an `int64_t`,
    /// a character a byte.
    pub fn of(basic: &Basic) -> Self {
        Self { elements: 1, external: basic.external as u64, hash: basic.repr as u64 + 1, power: BASE % PRIME }
    }

    /// This sequence, then `next`.
    pub fn then(self, next: Self) -> Self {
        Self {
            elements: self.elements.wrapping_add(next.elements),
            external: self.external.wrapping_add(next.external),
            hash: plus(times(self.hash, next.power), next.hash),
            power: times(self.power, next.power),
        }
    }

    /// `count` times this sequence.
    pub fn repeat(self, mut count: u64) -> Self {
        let (mut square, mut all) = (self, Self::EMPTY);
        while count > 0 {
            if count & 1 == 1 {
                all = all.then(square);
            }
            square = square.then(square);
            count >>= 1;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::basic::BASICS;
    use super::*;

    #[test]
    fn repetition_is_the_same_as_one_after_the_other() {
        let (a, b) = (Signature::of(&BASICS[1]), Signature::of(&BASICS[2]));
        let pair = a.then(b);
        let mut many = Signature::EMPTY;
        for n in 0..100 {
            assert_eq!(pair.repeat(n), many);
            many = many.then(pair);
        }
        assert_ne!(a.then(b).hash, b.then(a).hash);
    }
}
