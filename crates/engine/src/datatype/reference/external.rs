//! external32 against a form of it that is written down value by value.

use super::made::{Made, made};
use super::memory::{memory, origin};
use crate::datatype::basic::{Basic, Repr};
use crate::datatype::types::Type;
use mpi_abi::consts::{MPI_ERR_CONVERSION, MPI_ERR_TRUNCATE};
use proptest::prelude::*;

/// A value of `basic` made of `seed`, in memory and in external32; no external form if it does not fit.
fn value(basic: &Basic, seed: u64) -> (Vec<u8>, Option<Vec<u8>>) {
    if let Some(part) = basic.repr.part() {
        let part = Basic { repr: part, external: basic.external / 2, ..*basic };
        let ((mut a, x), (b, y)) = (value(&part, seed), value(&part, seed ^ 0x5a5a));
        a.extend(b);
        return (a, x.zip(y).map(|(x, y)| [x, y].concat()));
    }
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if basic.repr == Repr::Long && cfg!(target_arch = "x86_64") {
        return long(mixed);
    }
    let mut wide = [mixed.to_le_bytes(), (!mixed).to_le_bytes()].concat();
    if basic.external < basic.size() && !mixed.is_multiple_of(16) {
        // Mostly something that fits: the high bytes are the sign.
        let signed = matches!(basic.repr, Repr::I64);
        let fill = if signed && wide[basic.external - 1] & 0x80 != 0 { 0xff } else { 0 };
        wide[basic.external..].fill(fill);
    }
    wide.truncate(basic.size());
    let (low, high) = wide.split_at(basic.external);
    let fill = if basic.repr == Repr::I64 && low.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
    let fits = high.iter().all(|b| *b == fill);
    (wide.clone(), fits.then(|| low.iter().rev().copied().collect()))
}

/// A normal x87 number, which has an explicit one before its 63 bits; binary128 has 112 of them.
fn long(mixed: u64) -> (Vec<u8>, Option<Vec<u8>>) {
    let (fraction, head) = (mixed >> 1, ((mixed >> 40) as u16 & 0x8fff) | 0x1000);
    let mut inside = (fraction | 1 << 63).to_le_bytes().to_vec();
    inside.extend(head.to_le_bytes());
    inside.extend([0; 6]);
    let outside = u128::from(head) << 112 | u128::from(fraction) << 49;
    (inside, Some(outside.to_be_bytes().to_vec()))
}

fn check(made: &Made, count: i64, seed: u64) -> Result<(), TestCaseError> {
    let map = made.map();
    prop_assume!(map.data.len() < 1000);
    let (kind, elements) = (made.kind(), count as usize);
    let mut places = map.places(count);
    places.sort_unstable();
    prop_assume!(places.windows(2).all(|w| w[0] != w[1]));

    let (mut inside, low) = memory(&map, count);
    let (mut outside, mut fits) = (Vec::new(), true);
    for (n, (at, basic)) in map.values(count).enumerate() {
        let (bytes, external) = value(basic, seed.wrapping_add(n as u64));
        let at = (at - low) as usize;
        inside[at..at + bytes.len()].copy_from_slice(&bytes);
        fits &= external.is_some();
        outside.extend(external.unwrap_or_else(|| vec![0; basic.external]));
    }
    let size = kind.external_size(elements).expect("small");
    prop_assert_eq!(size, outside.len());
    let mut packed = vec![0u8; size];
    let base = origin(&mut inside, low);
    // SAFETY: the memory was made for these elements, and `packed` has as many bytes as said.
    let result = unsafe { kind.pack_external(base, elements, packed.as_mut_ptr(), size) };
    if !fits {
        prop_assert_eq!(result.expect_err("a value is too large").class, MPI_ERR_CONVERSION);
        return Ok(());
    }
    prop_assert_eq!(result.expect("all fits"), size);
    prop_assert_eq!(&packed, &outside);
    if size > 0 {
        // SAFETY: nothing is written where the room is too little.
        let result = unsafe { kind.pack_external(base, elements, packed.as_mut_ptr(), size - 1) };
        prop_assert_eq!(result.expect_err("too little room").class, MPI_ERR_TRUNCATE);
    }

    let (mut back, low) = memory(&map, count);
    // SAFETY: as above.
    let n = unsafe { kind.unpack_external(origin(&mut back, low), elements, outside.as_ptr(), size) };
    prop_assert_eq!(n.expect("all there"), size);
    prop_assert!(back == inside, "unpacked");
    Ok(())
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn random_types_in_external32_are_the_values_one_after_the_other(
        made in made(),
        count in 0..3i64,
        seed: u64,
    ) {
        check(&made, count, seed)?;
    }
}

#[test]
fn every_basic_value_has_the_form_that_is_written_down_here() {
    for (i, basic) in crate::datatype::BASICS.iter().enumerate() {
        for seed in 0..200 {
            let (inside, outside) = value(basic, seed);
            let (mut packed, mut back) = (vec![0; basic.external], vec![0xee; basic.size()]);
            let kind = Type::from_basic(basic);
            // SAFETY: all are as long as one value, inside or outside.
            let result = unsafe { kind.pack_external(inside.as_ptr(), 1, packed.as_mut_ptr(), packed.len()) };
            assert_eq!(result.ok().map(|_| packed), outside, "{} {i} {seed}: {inside:02x?}", basic.name);
            let Some(outside) = outside else { continue };
            // SAFETY: as above.
            unsafe { kind.unpack_external(back.as_mut_ptr(), 1, outside.as_ptr(), outside.len()) }.expect("all there");
            assert_eq!(back, inside, "{}", basic.name);
        }
    }
}
