//! The type signature (MPI-5.0 section 5.1): the sequence of basic values, without places. Kept as
//! length, size in external32 and a hash that can be put together from the parts of a type, so that
//! a million repetitions cost as much as twenty. `--check` compares the hashes of sender and
//! receiver; `Get_elements` uses the lengths.

use super::basic::{Basic, Group};
use super::types::Type;

/// Hashes are polynomials in this base...
const BASE: u64 = 0x1f3d_5b79_a4c6_e80f;
/// ...modulo this prime, 2^61 - 1.
const PRIME: u64 = (1 << 61) - 1;

/// Hashes of one value that is told apart by more than its representation, whose hashes are smaller.
const OF_BYTE: u64 = 1000;
const OF_PACKED: u64 = 1001;

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

    /// One value. Types with the same representation count as the same: a `long` matches an `int64_t`, an
    /// `int` Fortran's INTEGER. Bytes match bytes only, and characters characters (section 3.3.1).
    pub fn of(basic: &Basic) -> Self {
        let hash = match basic.group {
            Group::Byte => OF_BYTE,
            Group::Packed => OF_PACKED,
            _ => basic.repr as u64 + 1,
        };
        Self { elements: 1, external: basic.external as u64, hash, power: BASE % PRIME }
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

impl Type {
    /// The first `elements` basic values of `count` elements of the type; `None` if there are fewer.
    pub fn prefix(&self, count: usize, elements: u64) -> Option<Signature> {
        let all = self.signature().elements.checked_mul(count as u64)?;
        if elements > all {
            return None;
        }
        let (mut done, mut kind, mut rest) = (Signature::EMPTY, self, elements);
        // Whole elements of a type, then the beginning of one: whole parts of it, and so on.
        loop {
            let signature = kind.signature();
            if let Some(whole) = rest.checked_div(signature.elements) {
                done = done.then(signature.repeat(whole));
                rest %= signature.elements;
            }
            if rest == 0 {
                return Some(done);
            }
            (kind, rest) = kind.begin(&mut done, rest)?;
        }
    }

    /// Whether all of it is MPI_PACKED, which matches every type.
    pub fn is_packed(&self) -> bool {
        self.uniform_basic().is_some_and(|basic| basic.group == Group::Packed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::basic::BASICS;
    use super::*;
    use mpi_abi::consts::{
        MPI_BYTE, MPI_CHAR, MPI_DOUBLE, MPI_INT, MPI_INT8_T, MPI_INT64_T, MPI_INTEGER, MPI_LONG, MPI_LONG_INT,
        MPI_PACKED, MPI_SIGNED_CHAR, MPI_UNSIGNED_CHAR,
    };
    use std::sync::Arc;

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

    #[test]
    fn a_prefix_is_the_beginning_of_the_sequence() {
        let (int, double) = (Type::from_basic(&BASICS[2]), Type::from_basic(Basic::of(MPI_DOUBLE).expect("known")));
        let (int, double) = (Arc::new(int), Arc::new(double));
        let pair = Type::pair_of(&BASICS[3], &BASICS[2], (MPI_LONG_INT, "MPI_LONG_INT"));
        let mixed = Type::structure(
            vec![2, 0, 1, 3],
            vec![0, 8, 16, 64],
            vec![int.clone(), double.clone(), double, Arc::new(pair)],
        );
        let nested = Type::vector(2, 3, 5, &Arc::new(mixed.expect("struct"))).expect("vector");
        // 2 ints, a double, 3 pairs of a long and an int: nine values.
        let (i, d, l) = (Signature::of(&BASICS[2]), int_of(MPI_DOUBLE), Signature::of(&BASICS[3]));
        let sequence: Vec<Signature> = [i, i, d, l, i, l, i, l, i].repeat(12);
        let mut beginning = Signature::EMPTY;
        for n in 0..=108 {
            assert_eq!(nested.prefix(2, n), Some(beginning), "{n}");
            if let Some(next) = sequence.get(n as usize) {
                beginning = beginning.then(*next);
            }
        }
        assert_eq!(nested.prefix(2, 109), None);
        assert_eq!(int.prefix(0, 0), Some(Signature::EMPTY));
    }

    fn int_of(handle: mpi_abi::Datatype) -> Signature {
        Signature::of(Basic::of(handle).expect("known"))
    }

    #[test]
    fn bytes_match_bytes_only_and_numbers_go_by_their_representation() {
        let hash = |handle| int_of(handle).hash;
        assert_eq!(hash(MPI_LONG), hash(MPI_INT64_T));
        assert_eq!(hash(MPI_INT), hash(MPI_INTEGER));
        for other in [MPI_CHAR, MPI_UNSIGNED_CHAR, MPI_INT8_T, MPI_PACKED] {
            assert_ne!(hash(MPI_BYTE), hash(other));
        }
        assert_ne!(hash(MPI_CHAR), hash(MPI_SIGNED_CHAR));
    }
}
