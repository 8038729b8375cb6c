//! Parts of arrays: subarray and the distributed array of high performance Fortran (MPI-5.0
//! sections 5.1.3 and 5.1.4). Both are built from blocks and resized to the whole array, so that
//! several in a row address several arrays.

use super::build::resized;
use super::types::{Call, Type, too_large};
use crate::error::{Error, Result};
use mpi_abi::consts::{
    MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC, MPI_DISTRIBUTE_DFLT_DARG, MPI_DISTRIBUTE_NONE, MPI_ERR_ARG,
    MPI_ERR_DIMS, MPI_ORDER_C, MPI_ORDER_FORTRAN,
};
use std::ffi::c_int;
use std::sync::Arc;

fn bad(text: String) -> Error {
    Error::new(MPI_ERR_ARG, text)
}

fn product(a: i64, b: i64) -> Result<i64> {
    let wide = i128::from(a) * i128::from(b);
    i64::try_from(wide).map_err(|_| too_large("the array", wide))
}

/// The dimensions from the one that varies fastest.
fn fastest_first(dims: usize, order: c_int) -> Result<Vec<usize>> {
    match order {
        MPI_ORDER_C => Ok((0..dims).rev().collect()),
        MPI_ORDER_FORTRAN => Ok((0..dims).collect()),
        _ => Err(bad(format!("the order is {order}, and must be MPI_ORDER_C or MPI_ORDER_FORTRAN"))),
    }
}

impl Type {
    /// The part of `subsizes` elements from `starts` on of an array of `sizes` elements.
    pub fn subarray(
        sizes: Vec<i64>,
        subsizes: Vec<i64>,
        starts: Vec<i64>,
        order: c_int,
        of: &Arc<Self>,
    ) -> Result<Self> {
        let dims = sizes.len();
        if dims == 0 {
            return Err(Error::new(MPI_ERR_DIMS, "a subarray needs at least one dimension"));
        }
        for i in 0..dims {
            let (size, sub, start) = (sizes[i], subsizes[i], starts[i]);
            if size < 1 || sub < 1 || sub > size || start < 0 || start > size - sub {
                let text = format!("subarray, dimension {i}: {sub} elements from {start} on do not lie in 0..{size}");
                return Err(bad(text));
            }
        }
        let (mut stride, mut first, mut inner) = (of.extent() as i64, 0i64, None::<Arc<Self>>);
        for i in fastest_first(dims, order)? {
            let count = subsizes[i];
            let step = match &inner {
                None => Self::contiguous(count, of)?,
                Some(rows) => Self::hvector(count, 1, stride, rows)?,
            };
            inner = Some(Arc::new(step));
            first = product(starts[i], stride)?.checked_add(first).ok_or_else(|| too_large("the array", i128::MAX))?;
            stride = product(stride, sizes[i])?;
        }
        let part = inner.unwrap_or_else(|| of.clone());
        let inner = Arc::new(Self::hindexed(vec![1], vec![first], &part)?);
        let shape = resized(&inner, 0, stride)?;
        let (sizes, subsizes, starts) = (sizes.into(), subsizes.into(), starts.into());
        Ok(shape.made_by(Call::Subarray { sizes, subsizes, starts, order, of: of.clone(), inner }))
    }

    /// What process `rank` of `size` holds of an array of `gsizes` elements; `dims[i]` is
    /// distribution, its argument, and processes of dimension `i`.
    pub fn darray(
        (size, rank): (c_int, c_int),
        gsizes: Vec<i64>,
        dims: Vec<[c_int; 3]>,
        order: c_int,
        of: &Arc<Self>,
    ) -> Result<Self> {
        if gsizes.is_empty() {
            return Err(Error::new(MPI_ERR_DIMS, "a distributed array needs at least one dimension"));
        }
        let processes = dims.iter().fold(1i64, |n, d| n.saturating_mul(d[2].max(0).into()));
        if size < 1 || processes != i64::from(size) {
            let grid: Vec<_> = dims.iter().map(|d| d[2]).collect();
            return Err(bad(format!("darray: a grid of {grid:?} has {processes} processes, the size given is {size}")));
        }
        if rank < 0 || rank >= size {
            return Err(bad(format!("darray: rank {rank} is not in 0..{size}")));
        }
        // The place in the grid: the last dimension varies fastest, whatever the order of the array.
        let mut place = vec![0i64; dims.len()];
        let mut rest = i64::from(rank);
        for i in (0..dims.len()).rev() {
            place[i] = rest % i64::from(dims[i][2]);
            rest /= i64::from(dims[i][2]);
        }
        let mut inner = of.clone();
        let mut extent = of.extent() as i64;
        for i in fastest_first(dims.len(), order)? {
            inner = one_dimension(i, gsizes[i], dims[i], place[i], extent, &inner)?;
            extent = product(extent, gsizes[i])?;
        }
        let shape = resized(&inner, 0, extent)?;
        let (gsizes, dims) = (gsizes.into(), dims.into());
        Ok(shape.made_by(Call::Darray { place: [size, rank], gsizes, dims, order, of: of.clone(), inner }))
    }
}

/// The part that place `r` of `p` holds of `n` elements of `of`, `extent` bytes apart.
fn one_dimension(
    i: usize,
    n: i64,
    [kind, arg, p]: [c_int; 3],
    r: i64,
    extent: i64,
    of: &Arc<Type>,
) -> Result<Arc<Type>> {
    let (p, given) = (i64::from(p), (arg != MPI_DISTRIBUTE_DFLT_DARG).then_some(i64::from(arg)));
    if n < 1 {
        return Err(bad(format!("darray, dimension {i}: {n} elements")));
    }
    if given.is_some_and(|arg| arg < 1) {
        return Err(bad(format!("darray, dimension {i}: the argument of the distribution is {arg}")));
    }
    let block = match kind {
        MPI_DISTRIBUTE_NONE if p == 1 => n,
        MPI_DISTRIBUTE_NONE => {
            return Err(bad(format!("darray, dimension {i}: not distributed, but over {p} processes")));
        }
        MPI_DISTRIBUTE_BLOCK => {
            let block = given.unwrap_or((n + p - 1) / p);
            if i128::from(block) * i128::from(p) < i128::from(n) {
                let text = format!("darray, dimension {i}: {p} blocks of {block} do not hold {n} elements");
                return Err(bad(text));
            }
            block
        }
        MPI_DISTRIBUTE_CYCLIC => given.unwrap_or(1),
        _ => return Err(bad(format!("darray, dimension {i}: {kind} is no MPI_DISTRIBUTE_*"))),
    };
    // Blocks r, r + p, r + 2p, ...; the last may be cut off by the end of the array.
    let begin = r.saturating_mul(block).min(n);
    let round = p.saturating_mul(block);
    let rounds = (n - begin) / round;
    let left = (n - begin) % round;
    let (full, part) = if left >= block { (rounds + 1, 0) } else { (rounds, left) };
    let stride = if full > 1 { product(round, extent)? } else { 0 };
    let blocks = Arc::new(Type::hvector(full, block.min(n), stride, of)?);
    let rest_at = if part > 0 { product(begin + rounds * round, extent)? } else { 0 };
    let at = vec![product(begin, extent)?, rest_at];
    let held = Arc::new(Type::structure(vec![1, part], at, vec![blocks, of.clone()])?);
    // Whatever of it this place holds, the dimension is as long as the whole.
    Ok(Arc::new(Type::resized(&held, 0, product(n, extent)?)?))
}
