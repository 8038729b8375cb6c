//! Counting values, signatures, and types that are taken apart and put together again.

use super::made::{Made, made};
use crate::datatype::contents::Contents;
use crate::datatype::{Signature, Type};
use mpi_abi::consts as c;
use proptest::prelude::*;
use std::sync::Arc;

fn check(made: &Made, count: i64) -> Result<(), TestCaseError> {
    let map = made.map();
    prop_assume!(map.data.len() < 3000);
    let kind = made.kind();
    let values: Vec<_> = map.values(count).collect();

    let sequence = values.iter().fold(Signature::EMPTY, |all, (_, basic)| all.then(Signature::of(basic)));
    prop_assert_eq!(kind.signature().repeat(count as u64), sequence);
    prop_assert_eq!(kind.signature().elements, map.data.len() as u64);

    // Every number of bytes that can arrive: whole elements, whole values, or neither.
    let (mut at, size) = (0u64, map.size() as u64);
    for (n, (_, value)) in values.iter().enumerate().take(300) {
        prop_assert_eq!(kind.elements_of(at), Some(n as u64));
        prop_assert_eq!(kind.bytes_of(n as u64), Some(at));
        prop_assert_eq!(kind.count_of(at), (at % size == 0).then(|| at / size));
        for part in at + 1..at + value.size() as u64 {
            prop_assert_eq!((kind.elements_of(part), kind.count_of(part)), (None, None), "{} bytes", part);
        }
        at += value.size() as u64;
    }
    let mut seen = Vec::new();
    kind.each_basic(0, count as usize, &mut |offset, basic, n| {
        seen.extend((0..n).map(|i| (offset as i64 + (i * basic.size()) as i64, basic.handle)));
        Ok(())
    })
    .expect("nothing fails");
    let all: Vec<_> = values.iter().map(|(at, basic)| (*at, basic.handle)).collect();
    prop_assert_eq!(seen, all, "basic values");
    Ok(())
}

/// What a user does who writes MPI_Type_get_contents and calls the constructor again.
fn made_again(kind: &Arc<Type>) -> Arc<Type> {
    let envelope = kind.envelope().expect("small arguments");
    let Contents { integers: i, addresses, large_counts, datatypes } = kind.contents().expect("small arguments");
    let sizes = (i.len(), addresses.len(), large_counts.len(), datatypes.len());
    let said = (envelope.integers, envelope.addresses, envelope.large_counts, envelope.datatypes);
    assert_eq!(said, sizes, "the envelope");
    assert!(large_counts.is_empty());
    if envelope.combiner == c::MPI_COMBINER_NAMED {
        return kind.clone();
    }
    let parts: Vec<_> = datatypes.iter().map(made_again).collect();
    let int = |k: usize| i64::from(i[k]);
    let ints = |from: usize, n: usize| i[from..from + n].iter().map(|v| i64::from(*v)).collect::<Vec<_>>();
    let n = i.first().map_or(0, |n| *n as usize);
    let again = match envelope.combiner {
        c::MPI_COMBINER_DUP => Ok(Type::dup(&parts[0])),
        c::MPI_COMBINER_CONTIGUOUS => Type::contiguous(int(0), &parts[0]),
        c::MPI_COMBINER_VECTOR => Type::vector(int(0), int(1), int(2), &parts[0]),
        c::MPI_COMBINER_HVECTOR => Type::hvector(int(0), int(1), addresses[0], &parts[0]),
        c::MPI_COMBINER_INDEXED => Type::indexed(ints(1, n), ints(1 + n, n), &parts[0]),
        c::MPI_COMBINER_HINDEXED => Type::hindexed(ints(1, n), addresses, &parts[0]),
        c::MPI_COMBINER_INDEXED_BLOCK => Type::indexed_block(int(1), ints(2, n), &parts[0]),
        c::MPI_COMBINER_HINDEXED_BLOCK => Type::hindexed_block(int(1), addresses, &parts[0]),
        c::MPI_COMBINER_STRUCT => Type::structure(ints(1, n), addresses, parts.clone()),
        c::MPI_COMBINER_SUBARRAY => {
            Type::subarray(ints(1, n), ints(1 + n, n), ints(1 + 2 * n, n), i[1 + 3 * n], &parts[0])
        }
        c::MPI_COMBINER_DARRAY => {
            let n = i[2] as usize;
            let dims = (0..n).map(|k| [i[3 + n + k], i[3 + 2 * n + k], i[3 + 3 * n + k]]).collect();
            Type::darray((i[0], i[1]), ints(3, n), dims, i[3 + 4 * n], &parts[0])
        }
        c::MPI_COMBINER_RESIZED => Type::resized(&parts[0], addresses[0], addresses[1]),
        other => panic!("combiner {other}"),
    };
    Arc::new(again.expect("the arguments that it was made with"))
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn values_are_counted_as_the_type_map_has_them(made in made(), count in 0..4i64) {
        check(&made, count)?;
    }

    #[test]
    fn a_type_that_is_taken_apart_and_made_again_is_the_same(made in made()) {
        let kind = made.kind();
        prop_assume!(kind.signature().elements < 3000);
        let again = made_again(&kind);
        prop_assert_eq!(again.bounds, kind.bounds);
        prop_assert_eq!(again.signature(), kind.signature());
        let runs = |kind: &Type| {
            let mut runs = Vec::new();
            kind.each_run(std::ptr::null(), 2, 0, 2 * kind.size(), |at, len| runs.push((at, len)));
            runs
        };
        prop_assert_eq!(runs(&again), runs(&kind));
    }
}
