//! The plain reading of MPI-5.0 section 5.1: type maps as lists of (offset, basic type), made by the
//! definitions of the standard with no thought of speed; and the tests that random types agree with
//! them in bounds, packed form at any split, and counts.

use super::basic::{BASICS, Basic};
use super::pack::{PackCursor, UnpackCursor};
use super::types::Type;
use mpi_abi::consts::{
    MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC, MPI_DISTRIBUTE_DFLT_DARG, MPI_DISTRIBUTE_NONE, MPI_ORDER_C,
    MPI_ORDER_FORTRAN,
};
use proptest::prelude::*;
use std::ffi::c_int;
use std::sync::Arc;

/// A type map: basic values at offsets, and the marks of resized types.
#[derive(Debug, Clone, Default)]
struct Map {
    data: Vec<(i64, &'static Basic)>,
    marks: Vec<(i64, i64)>,
    /// Ends of the parts, each with the epsilon of its own extent.
    ends: Vec<i64>,
}

impl Map {
    fn true_bounds(&self) -> (i64, i64) {
        let lb = self.data.iter().map(|d| d.0).min().unwrap_or(0);
        (lb, self.data.iter().map(|d| d.0 + d.1.size() as i64).max().unwrap_or(0))
    }

    fn bounds(&self) -> (i64, i64) {
        if let Some(lb) = self.marks.iter().map(|m| m.0).min() {
            return (lb, self.marks.iter().map(|m| m.1).max().unwrap_or(lb));
        }
        let (lb, ub) = self.true_bounds();
        let mut ub = self.ends.iter().copied().fold(ub, i64::max);
        let align = self.data.iter().map(|d| d.1.repr.align()).max().unwrap_or(1) as i64;
        while (ub - lb) % align != 0 {
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
}

/// How a type is made.
#[derive(Debug, Clone)]
enum Made {
    Basic(usize),
    Dup(Box<Made>),
    Contiguous(i64, Box<Made>),
    Vector(i64, i64, i64, Box<Made>),
    Hvector(i64, i64, i64, Box<Made>),
    Indexed(Vec<(i64, i64)>, Box<Made>),
    Hindexed(Vec<(i64, i64)>, Box<Made>),
    IndexedBlock(i64, Vec<i64>, Box<Made>),
    HindexedBlock(i64, Vec<i64>, Box<Made>),
    Struct(Vec<(i64, i64, Made)>),
    Subarray(Vec<(i64, i64, i64)>, bool, Box<Made>),
    Resized(i64, i64, Box<Made>),
}

impl Made {
    fn map(&self) -> Map {
        match self {
            Self::Basic(i) => Map { data: vec![(0, &BASICS[*i])], marks: vec![], ends: vec![] },
            Self::Dup(of) => of.map(),
            Self::Contiguous(n, of) => Map::of_blocks([(0, *n, &of.map())]),
            Self::Vector(n, len, stride, of) => {
                let of = of.map();
                Map::of_blocks((0..*n).map(|i| (i * stride * of.extent(), *len, &of)))
            }
            Self::Hvector(n, len, stride, of) => {
                let of = of.map();
                Map::of_blocks((0..*n).map(|i| (i * stride, *len, &of)))
            }
            Self::Indexed(blocks, of) => {
                let of = of.map();
                Map::of_blocks(blocks.iter().map(|(len, at)| (at * of.extent(), *len, &of)))
            }
            Self::Hindexed(blocks, of) => {
                let of = of.map();
                Map::of_blocks(blocks.iter().map(|(len, at)| (*at, *len, &of)))
            }
            Self::IndexedBlock(len, at, of) => {
                let of = of.map();
                Map::of_blocks(at.iter().map(|at| (at * of.extent(), *len, &of)))
            }
            Self::HindexedBlock(len, at, of) => {
                let of = of.map();
                Map::of_blocks(at.iter().map(|at| (*at, *len, &of)))
            }
            Self::Struct(parts) => {
                let maps: Vec<_> = parts.iter().map(|p| p.2.map()).collect();
                Map::of_blocks(parts.iter().zip(&maps).map(|(p, map)| (p.1, p.0, map)))
            }
            Self::Subarray(dims, fortran, of) => {
                let of = of.map();
                let extent = of.extent();
                // Element by element, the fastest index innermost.
                let order: Vec<_> = if *fortran { dims.iter().rev().collect() } else { dims.iter().collect() };
                let mut places = vec![0];
                for (size, sub, start) in &order {
                    places = places.iter().flat_map(|p| (*start..start + sub).map(move |i| p * size + i)).collect();
                }
                let total: i64 = dims.iter().map(|d| d.0).product();
                Map::of_blocks(places.iter().map(|p| (p * extent, 1, &of))).resized(0, total * extent)
            }
            Self::Resized(lb, extent, of) => of.map().resized(*lb, *extent),
        }
    }

    fn kind(&self) -> Arc<Type> {
        let split = |blocks: &[(i64, i64)]| blocks.iter().copied().unzip::<i64, i64, Vec<_>, Vec<_>>();
        let made = match self {
            Self::Basic(i) => Ok(Type::from_basic(&BASICS[*i])),
            Self::Dup(of) => Ok(Type::dup(&of.kind())),
            Self::Contiguous(n, of) => Type::contiguous(*n, &of.kind()),
            Self::Vector(n, len, stride, of) => Type::vector(*n, *len, *stride, &of.kind()),
            Self::Hvector(n, len, stride, of) => Type::hvector(*n, *len, *stride, &of.kind()),
            Self::Indexed(blocks, of) => {
                let (lens, at) = split(blocks);
                Type::indexed(lens, at, &of.kind())
            }
            Self::Hindexed(blocks, of) => {
                let (lens, at) = split(blocks);
                Type::hindexed(lens, at, &of.kind())
            }
            Self::IndexedBlock(len, at, of) => Type::indexed_block(*len, at.clone(), &of.kind()),
            Self::HindexedBlock(len, at, of) => Type::hindexed_block(*len, at.clone(), &of.kind()),
            Self::Struct(parts) => {
                let lens = parts.iter().map(|p| p.0).collect();
                let at = parts.iter().map(|p| p.1).collect();
                Type::structure(lens, at, parts.iter().map(|p| p.2.kind()).collect())
            }
            Self::Subarray(dims, fortran, of) => {
                let field = |f: fn(&(i64, i64, i64)) -> i64| dims.iter().map(f).collect::<Vec<_>>();
                let order = if *fortran { MPI_ORDER_FORTRAN } else { MPI_ORDER_C };
                Type::subarray(field(|d| d.0), field(|d| d.1), field(|d| d.2), order, &of.kind())
            }
            Self::Resized(lb, extent, of) => Type::resized(&of.kind(), *lb, *extent),
        };
        Arc::new(made.expect("valid arguments"))
    }
}

fn made() -> impl Strategy<Value = Made> {
    let leaf = (0..BASICS.len()).prop_map(Made::Basic);
    leaf.prop_recursive(4, 12, 3, |inner| {
        let of = || inner.clone().prop_map(Box::new);
        let blocks = || prop::collection::vec((0..4i64, -9..40i64), 0..7);
        let places = || prop::collection::vec(-9..40i64, 0..7);
        prop_oneof![
            of().prop_map(Made::Dup),
            (0..5i64, of()).prop_map(|(n, of)| Made::Contiguous(n, of)),
            (0..5i64, 0..4i64, -6..7i64, of()).prop_map(|(n, len, stride, of)| Made::Vector(n, len, stride, of)),
            (0..5i64, 0..4i64, -90..90i64, of()).prop_map(|(n, len, stride, of)| Made::Hvector(n, len, stride, of)),
            (20..50i64, 0..3i64, 1..9i64, of()).prop_map(|(n, len, stride, of)| Made::Vector(n, len, stride, of)),
            (blocks(), of()).prop_map(|(blocks, of)| Made::Indexed(blocks, of)),
            (blocks(), of()).prop_map(|(blocks, of)| Made::Hindexed(blocks, of)),
            (prop::collection::vec((1..3i64, 0..90i64), 17..40), of())
                .prop_map(|(blocks, of)| Made::Hindexed(blocks, of)),
            (0..4i64, places(), of()).prop_map(|(len, at, of)| Made::IndexedBlock(len, at, of)),
            (0..4i64, places(), of()).prop_map(|(len, at, of)| Made::HindexedBlock(len, at, of)),
            prop::collection::vec((0..4i64, -50..50i64, inner.clone()), 0..5).prop_map(Made::Struct),
            (prop::collection::vec((1..5i64, 1..5i64, 0..5i64), 1..5), any::<bool>(), of()).prop_map(
                |(dims, f, of)| {
                    let fit = |(size, sub, start): (i64, i64, i64)| {
                        let sub = sub.min(size);
                        (size, sub, start.min(size - sub))
                    };
                    Made::Subarray(dims.into_iter().map(fit).collect(), f, of)
                }
            ),
            (-40..40i64, -20..90i64, of()).prop_map(|(lb, extent, of)| Made::Resized(lb, extent, of)),
        ]
    })
}

/// Memory for `count` elements, and where the origin of the first lies in it.
fn memory(map: &Map, count: i64) -> (Vec<u8>, usize) {
    let (lb, ub) = map.true_bounds();
    let last = map.extent() * (count - 1).max(0);
    let (low, high) = (lb + last.min(0), ub + last.max(0));
    let bytes = (0..high - low.min(0) + 16).map(|i| (i * 7 + i / 251) as u8).collect();
    (bytes, usize::try_from(-low.min(0)).expect("not negative"))
}

/// Offsets of the data bytes of `count` elements from the origin, in order.
fn places(map: &Map, count: i64) -> Vec<i64> {
    let element =
        |i: i64| map.data.iter().flat_map(move |d| (0..d.1.size() as i64).map(move |b| d.0 + b + i * map.extent()));
    (0..count).flat_map(element).collect()
}

fn check(made: &Made, count: i64, cuts: &[usize]) -> Result<(), TestCaseError> {
    let map = made.map();
    prop_assume!(map.data.len() < 3000);
    let kind = made.kind();
    prop_assert_eq!(kind.size(), map.size());
    prop_assert_eq!((kind.lb(), kind.extent() as i64), (map.bounds().0, map.extent()));
    let (true_lb, true_ub) = map.true_bounds();
    prop_assert_eq!((kind.true_lb(), kind.true_extent()), (true_lb, true_ub - true_lb));
    prop_assert_eq!(kind.signature().elements, map.data.len() as u64);

    let (mut memory, origin) = memory(&map, count);
    let places = places(&map, count);
    let expected: Vec<u8> = places.iter().map(|p| memory[(origin as i64 + p) as usize]).collect();
    let base = memory.as_mut_ptr().wrapping_add(origin);
    let elements = count as usize;
    if let Some((offset, len)) = kind.contiguous_run(elements) {
        let run: Vec<i64> = (0..len as i64).map(|i| offset as i64 + i).collect();
        prop_assert_eq!(&run, &places, "one run");
    }

    // Packed in pieces, and each of the pieces from the middle.
    let mut packed = vec![0u8; expected.len()];
    // SAFETY: the memory was made for these elements; each piece fits into what is left of `packed`.
    unsafe {
        let mut cursor = PackCursor::new(base, elements, kind.clone());
        let mut at = 0;
        for cut in cuts.iter().cycle() {
            let room = (*cut).min(expected.len() - at);
            at += cursor.next_chunk(packed.as_mut_ptr().add(at), room);
            if at == expected.len() {
                break;
            }
        }
    }
    prop_assert_eq!(&packed, &expected, "packed");
    for pair in cuts.windows(2) {
        let at = pair[0] % (expected.len() + 1);
        let len = pair[1].min(expected.len() - at);
        let mut piece = vec![0u8; len];
        // SAFETY: as above.
        unsafe { kind.pack_at(base, elements, at, piece.as_mut_ptr(), len) };
        prop_assert_eq!(&piece[..], &expected[at..at + len], "{} bytes from {}", len, at);
    }
    let mut runs = Vec::new();
    kind.each_run(base, elements, 0, expected.len(), |at, len| {
        runs.extend((at..at + len).map(|a| a.wrapping_sub(base as usize).cast_signed() as i64));
    });
    prop_assert_eq!(&runs, &places, "runs");

    // Unpacked: what arrives lies where the type map says, and nothing else changes. Where the
    // map names a byte twice, the order of the map decides.
    let incoming: Vec<u8> = (0..expected.len()).map(|i| (i * 13 + 5) as u8).collect();
    let mut after = memory.clone();
    for (p, byte) in places.iter().zip(&incoming) {
        after[(origin as i64 + p) as usize] = *byte;
    }
    // SAFETY: as above.
    unsafe {
        let base = memory.as_mut_ptr().wrapping_add(origin);
        let mut cursor = UnpackCursor::new(base, elements, kind.clone());
        let mut at = 0;
        for cut in cuts.iter().cycle() {
            let len = (*cut).min(incoming.len() - at);
            at += cursor.next_chunk(incoming.as_ptr().add(at), len);
            if at == incoming.len() {
                break;
            }
        }
    }
    prop_assert!(memory == after, "unpacked");

    // Counting.
    let values: Vec<_> = (0..count).flat_map(|_| map.data.iter().map(|d| d.1)).collect();
    let mut at = 0u64;
    for (n, value) in values.iter().enumerate().take(200) {
        prop_assert_eq!(kind.elements_of(at), Some(n as u64));
        prop_assert_eq!(kind.bytes_of(n as u64), Some(at));
        if value.size() > 1 {
            prop_assert_eq!(kind.elements_of(at + 1), None);
        }
        at += value.size() as u64;
    }
    let mut seen = Vec::new();
    kind.each_basic(0, elements, &mut |offset, basic, n| {
        seen.extend((0..n).map(|i| (offset as i64 + (i * basic.size()) as i64, basic.handle)));
        Ok(())
    })
    .expect("nothing fails");
    let extent = map.extent();
    let element = |i: i64| map.data.iter().map(move |d| (d.0 + i * extent, d.1.handle));
    let all: Vec<_> = (0..count).flat_map(element).collect();
    prop_assert_eq!(seen, all, "basic values");
    Ok(())
}

proptest! {
    // More by PROPTEST_CASES=20000 cargo test --release.
    #![proptest_config(if cfg!(miri) { ProptestConfig::with_cases(10) } else { ProptestConfig::default() })]

    #[test]
    fn random_types_mean_what_their_type_maps_say(
        made in made(),
        count in 0..4i64,
        cuts in prop::collection::vec(1..200usize, 1..9),
    ) {
        check(&made, count, &cuts)?;
    }

    #[test]
    fn random_distributions_are_those_of_the_standard(
        gsizes in prop::collection::vec(1..9i64, 1..4),
        kinds in prop::collection::vec((0..3usize, 0..4i64, 1..4i64), 3),
        fortran: bool,
    ) {
        check_darray(&gsizes, &kinds, fortran)?;
    }
}

/// The standard's recursion, with its names: the part of place `r` of `psize` of `gsize` elements.
fn cyclic(darg: i64, gsize: i64, r: i64, psize: i64, old: &Map) -> Map {
    let (extent, mut blocks, mut at) = (old.extent(), Vec::new(), r * darg);
    while at < gsize {
        blocks.push((at * extent, darg.min(gsize - at), old));
        at += psize * darg;
    }
    Map::of_blocks(blocks).resized(0, gsize * extent)
}

fn check_darray(gsizes: &[i64], kinds: &[(usize, i64, i64)], fortran: bool) -> Result<(), TestCaseError> {
    let dims: Vec<[c_int; 3]> = gsizes
        .iter()
        .zip(kinds)
        .map(|(n, (kind, arg, p))| {
            let (mut arg, mut p) = (*arg, *p);
            let distribution = [MPI_DISTRIBUTE_NONE, MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC][*kind];
            if distribution == MPI_DISTRIBUTE_NONE {
                p = 1;
            } else if distribution == MPI_DISTRIBUTE_BLOCK && arg > 0 {
                arg = arg.max((n + p - 1) / p);
            }
            let arg =
                if arg == 0 || distribution == MPI_DISTRIBUTE_NONE { MPI_DISTRIBUTE_DFLT_DARG } else { arg as c_int };
            [distribution, arg, p as c_int]
        })
        .collect();
    let size: c_int = dims.iter().map(|d| d[2]).product();
    let basic = Arc::new(Type::from_basic(&BASICS[2]));
    let order = if fortran { MPI_ORDER_FORTRAN } else { MPI_ORDER_C };
    let mut owners = vec![0; gsizes.iter().product::<i64>() as usize];
    for rank in 0..size {
        let kind = Type::darray((size, rank), gsizes.to_vec(), dims.clone(), order, &basic).expect("valid");
        let mut rest = rank;
        let mut places = vec![0; dims.len()];
        for i in (0..dims.len()).rev() {
            places[i] = i64::from(rest % dims[i][2]);
            rest /= dims[i][2];
        }
        let mut map = Map { data: vec![(0, &BASICS[2])], marks: vec![], ends: vec![] };
        let order: Vec<usize> = if fortran { (0..dims.len()).collect() } else { (0..dims.len()).rev().collect() };
        for i in order {
            let [kind, arg, p] = dims[i];
            let (n, p) = (gsizes[i], i64::from(p));
            let darg = match kind {
                MPI_DISTRIBUTE_NONE => n,
                MPI_DISTRIBUTE_BLOCK if arg == MPI_DISTRIBUTE_DFLT_DARG => (n + p - 1) / p,
                _ if arg == MPI_DISTRIBUTE_DFLT_DARG => 1,
                _ => arg.into(),
            };
            map = cyclic(darg, n, places[i], p, &map);
        }
        prop_assert_eq!((kind.lb(), kind.extent() as i64), (map.bounds().0, map.extent()));
        let mut offsets = Vec::new();
        kind.each_run(std::ptr::null(), 1, 0, kind.size(), |at, len| offsets.extend((at..at + len).step_by(4)));
        prop_assert_eq!(&offsets, &map.data.iter().map(|d| d.0 as usize).collect::<Vec<_>>());
        offsets.iter().for_each(|at| owners[at / 4] += 1);
    }
    prop_assert!(owners.iter().all(|n| *n == 1), "every element has one owner: {:?}", owners);
    Ok(())
}

#[test]
fn a_chain_of_many_types_is_freed_without_recursion() {
    let mut kind = Arc::new(Type::from_basic(&BASICS[2]));
    for _ in 0..200_000 {
        kind = Arc::new(Type::dup(&kind));
    }
    drop(kind);
    let mut kind = Arc::new(Type::from_basic(&BASICS[2]));
    for i in 0..2_000 {
        let parts = vec![kind.clone(), Arc::new(Type::from_basic(&BASICS[1]))];
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
