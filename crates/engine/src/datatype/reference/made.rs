//! Random types of all constructors, nested: each can say its type map and make the real type.

use super::Map;
use crate::datatype::basic::BASICS;
use crate::datatype::pairs::NAMED;
use crate::datatype::{Basic, Type};
use mpi_abi::consts::{
    MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC, MPI_DISTRIBUTE_DFLT_DARG, MPI_DISTRIBUTE_NONE, MPI_ORDER_C,
    MPI_ORDER_FORTRAN,
};
use proptest::prelude::*;
use std::ffi::c_int;
use std::sync::Arc;

/// One dimension of a distributed array.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dim {
    n: i64,
    kind: c_int,
    arg: c_int,
    p: c_int,
}

impl Dim {
    /// Valid arguments near the ones given: `kind` in 0..3, `arg` 0 for the default.
    fn fit(n: i64, kind: usize, arg: i64, p: i64) -> Self {
        let (mut arg, mut p) = (arg, p);
        let kind = [MPI_DISTRIBUTE_NONE, MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC][kind];
        if kind == MPI_DISTRIBUTE_NONE {
            (p, arg) = (1, 0);
        } else if kind == MPI_DISTRIBUTE_BLOCK && arg > 0 {
            arg = arg.max((n + p - 1) / p);
        }
        let arg = if arg == 0 { MPI_DISTRIBUTE_DFLT_DARG } else { arg as c_int };
        Self { n, kind, arg, p: p as c_int }
    }
}

/// How a type is made.
#[derive(Debug, Clone)]
pub(super) enum Made {
    Basic(usize),
    Pair(usize),
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
    Darray(c_int, Vec<Dim>, bool, Box<Made>),
    Resized(i64, i64, Box<Made>),
}

fn pair(i: usize) -> (&'static Basic, &'static Basic) {
    let basic = |handle| Basic::of(handle).expect("a pair consists of predefined types");
    (basic(NAMED[i].2), basic(NAMED[i].3))
}

fn order(fortran: bool) -> c_int {
    if fortran { MPI_ORDER_FORTRAN } else { MPI_ORDER_C }
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

fn darray(rank: c_int, dims: &[Dim], fortran: bool, of: Map) -> Map {
    let mut rest = rank;
    let mut place = vec![0; dims.len()];
    for (i, dim) in dims.iter().enumerate().rev() {
        place[i] = i64::from(rest % dim.p);
        rest /= dim.p;
    }
    let mut map = of;
    let order: Vec<usize> = if fortran { (0..dims.len()).collect() } else { (0..dims.len()).rev().collect() };
    for i in order {
        let Dim { n, kind, arg, p } = dims[i];
        let darg = match kind {
            MPI_DISTRIBUTE_NONE => n,
            MPI_DISTRIBUTE_BLOCK if arg == MPI_DISTRIBUTE_DFLT_DARG => (n + i64::from(p) - 1) / i64::from(p),
            _ if arg == MPI_DISTRIBUTE_DFLT_DARG => 1,
            _ => arg.into(),
        };
        map = cyclic(darg, n, place[i], p.into(), &map);
    }
    map
}

impl Made {
    pub(super) fn map(&self) -> Map {
        match self {
            Self::Basic(i) => Map::of_basic(&BASICS[*i]),
            Self::Pair(i) => {
                // The C structure of the two.
                let (value, index) = pair(*i);
                let at = value.size().next_multiple_of(index.repr.align()) as i64;
                Map { data: vec![(0, value), (at, index)], ..Map::default() }
            }
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
            Self::Darray(rank, dims, fortran, of) => darray(*rank, dims, *fortran, of.map()),
            Self::Resized(lb, extent, of) => of.map().resized(*lb, *extent),
        }
    }

    pub(super) fn kind(&self) -> Arc<Type> {
        let split = |blocks: &[(i64, i64)]| blocks.iter().copied().unzip::<i64, i64, Vec<_>, Vec<_>>();
        let made = match self {
            Self::Basic(i) => Ok(Type::from_basic(&BASICS[*i])),
            Self::Pair(i) => {
                let (value, index) = pair(*i);
                Ok(Type::pair_of(value, index, (NAMED[*i].0, NAMED[*i].1)))
            }
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
                Type::subarray(field(|d| d.0), field(|d| d.1), field(|d| d.2), order(*fortran), &of.kind())
            }
            Self::Darray(rank, dims, fortran, of) => {
                let size = dims.iter().map(|d| d.p).product();
                let grid = dims.iter().map(|d| [d.kind, d.arg, d.p]).collect();
                let gsizes = dims.iter().map(|d| d.n).collect();
                Type::darray((size, *rank), gsizes, grid, order(*fortran), &of.kind())
            }
            Self::Resized(lb, extent, of) => Type::resized(&of.kind(), *lb, *extent),
        };
        Arc::new(made.expect("valid arguments"))
    }
}

fn dims() -> impl Strategy<Value = Vec<Dim>> {
    let dim = (1..9i64, 0..3usize, 0..4i64, 1..4i64).prop_map(|(n, kind, arg, p)| Dim::fit(n, kind, arg, p));
    prop::collection::vec(dim, 1..4)
}

/// Any type, up to four deep.
pub(super) fn made() -> impl Strategy<Value = Made> {
    let leaf = prop_oneof![
        4 => (0..BASICS.len()).prop_map(Made::Basic),
        1 => (0..NAMED.len()).prop_map(Made::Pair),
    ];
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
            (0..27i32, dims(), any::<bool>(), of()).prop_map(|(rank, dims, f, of)| {
                let size: c_int = dims.iter().map(|d| d.p).product();
                Made::Darray(rank % size, dims, f, of)
            }),
            (-40..40i64, -20..90i64, of()).prop_map(|(lb, extent, of)| Made::Resized(lb, extent, of)),
        ]
    })
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn every_element_of_a_distributed_array_has_one_owner(dims in dims(), fortran: bool) {
        let int = BASICS.iter().position(|b| b.size() == 4).expect("a type of four bytes");
        let size: c_int = dims.iter().map(|d| d.p).product();
        let mut owners = vec![0; dims.iter().map(|d| d.n).product::<i64>() as usize];
        for rank in 0..size {
            let kind = Made::Darray(rank, dims.clone(), fortran, Box::new(Made::Basic(int))).kind();
            kind.each_run(std::ptr::null(), 1, 0, kind.size(), |at, len| {
                (at..at + len).step_by(4).for_each(|at| owners[at / 4] += 1);
            });
        }
        prop_assert!(owners.iter().all(|n| *n == 1), "{:?}", owners);
    }
}
