//! The plain reading of MPI-5.0 section 5.1: type maps as lists of (offset, basic type), made by the
//! definitions of the standard with no thought of speed; and the tests that random types agree with
//! them.
//!
//! - `made`: random types, each as a type map and as the real thing
//! - `memory`: bounds and copying, in memory that is exactly as large as the type needs
//! - `external`: external32; `counts`: counting, signatures, and taking types apart
//!
//! `make test` also runs these tests under valgrind (tests/valgrind.py), which sees every access that
//! lies outside of that memory. More cases: PROPTEST_CASES=20000 cargo test --release reference.

mod counts;
mod external;
mod made;
mod memory;

use super::basic::Basic;
use super::types::Type;
use mpi_abi::consts::MPI_ORDER_C;
use proptest::prelude::ProptestConfig;
use std::sync::Arc;

fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    if cfg!(miri) {
        return ProptestConfig { cases: 10, ..usual };
    }
    // Some tests pass over types with overlapping values, and all over very large ones.
    ProptestConfig { max_global_rejects: usual.cases.max(1024), ..usual }
}

/// A type map: basic values at offsets, and the marks of resized types.
#[derive(Debug, Clone, Default)]
struct Map {
    data: Vec<(i64, &'static Basic)>,
    marks: Vec<(i64, i64)>,
    /// Ends of the parts, each with the epsilon of its own extent.
    ends: Vec<i64>,
}

impl Map {
    fn of_basic(basic: &'static Basic) -> Self {
        Self { data: vec![(0, basic)], ..Self::default() }
    }

    fn true_bounds(&self) -> (i64, i64) {
        let lb = self.data.iter().map(|d| d.0).min().unwrap_or(0);
        (lb, self.data.iter().map(|d| d.0 + d.1.size() as i64).max().unwrap_or(0))
    }

    fn align(&self) -> usize {
        self.data.iter().map(|d| d.1.repr.align()).max().unwrap_or(1)
    }

    fn bounds(&self) -> (i64, i64) {
        if let Some(lb) = self.marks.iter().map(|m| m.0).min() {
            return (lb, self.marks.iter().map(|m| m.1).max().unwrap_or(lb));
        }
        let (lb, ub) = self.true_bounds();
        let mut ub = self.ends.iter().copied().fold(ub, i64::max);
        while (ub - lb) % self.align() as i64 != 0 {
            ub += 1;
        }
        (lb, ub)
    }

    fn extent(&self) -> i64 {
        let (lb, ub) = self.bounds();
        ub - lb
    }

    fn size(&self) -> usize {
        self.data.iter().map(|d| d.1.size()).sum()
    }

    /// One block after the other: `len` elements of `of` at `at`.
    fn of_blocks<'a>(blocks: impl IntoIterator<Item = (i64, i64, &'a Self)>) -> Self {
        let mut all = Self::default();
        for (at, len, of) in blocks {
            for j in 0..len {
                let at = at + j * of.extent();
                all.data.extend(of.data.iter().map(|d| (d.0 + at, d.1)));
                all.marks.extend(of.marks.iter().map(|m| (m.0 + at, m.1 + at)));
                if !of.data.is_empty() && of.marks.is_empty() {
                    all.ends.push(of.bounds().1 + at);
                }
            }
        }
        all
    }

    fn resized(&self, lb: i64, extent: i64) -> Self {
        Self { data: self.data.clone(), marks: vec![(lb, lb + extent)], ends: vec![] }
    }

    /// The basic values of `count` elements.
    fn values(&self, count: i64) -> impl Iterator<Item = (i64, &'static Basic)> {
        let extent = self.extent();
        (0..count).flat_map(move |i| self.data.iter().map(move |d| (d.0 + i * extent, d.1)))
    }

    /// Offsets of the data bytes of `count` elements from the origin, in order.
    fn places(&self, count: i64) -> Vec<i64> {
        self.values(count).flat_map(|(at, basic)| (0..basic.size() as i64).map(move |b| at + b)).collect()
    }
}

#[test]
fn a_chain_of_many_types_is_freed_without_recursion() {
    let int = || Arc::new(Type::from_basic(Basic::of(mpi_abi::consts::MPI_INT).expect("basic")));
    let mut kind = int();
    for _ in 0..200_000 {
        kind = Arc::new(Type::dup(&kind));
    }
    drop(kind);
    let mut kind = int();
    for i in 0..2_000 {
        let short = Arc::new(Type::from_basic(Basic::of(mpi_abi::consts::MPI_SHORT).expect("basic")));
        let parts = vec![kind.clone(), short];
        kind = Arc::new(Type::structure(vec![1, 1], vec![0, 100 * i + 50], parts).expect("struct"));
    }
    assert_eq!(kind.size(), 4 + 2 * 2000);
}

#[test]
fn sizes_beyond_2_to_the_63_are_errors() {
    let byte = Arc::new(Type::from_basic(Basic::of(mpi_abi::consts::MPI_BYTE).expect("basic")));
    let huge = Arc::new(Type::contiguous(1 << 62, &byte).expect("fits"));
    for result in [
        Type::contiguous(2, &huge),
        Type::vector(2, 1, 4, &huge),
        Type::hvector(3, 1, i64::MAX, &byte),
        Type::hindexed(vec![1, 1], vec![i64::MIN, i64::MAX], &byte),
        Type::resized(&byte, i64::MAX, 1),
        Type::subarray(vec![1 << 40, 1 << 40], vec![1, 1], vec![0, 0], MPI_ORDER_C, &byte),
    ] {
        assert_eq!(result.expect_err("too large").class, mpi_abi::consts::MPI_ERR_VALUE_TOO_LARGE);
    }
    assert_eq!(Type::contiguous(-1, &byte).expect_err("negative").class, mpi_abi::consts::MPI_ERR_COUNT);
    assert_eq!(Type::vector(1, -1, 1, &byte).expect_err("negative").class, mpi_abi::consts::MPI_ERR_ARG);
}
