//! `MPI_Dims_create` (MPI-5.0 section 8.5.2): sizes for the dimensions of a grid.

use crate::{Error, Result};
use mpi_abi::consts::{MPI_ERR_ARG, MPI_ERR_DIMS};
use std::ffi::c_int;

/// Gives the zeros among `dims` the sizes that make the product of all `nodes`: as close to each
/// other as can be (the smallest difference between the largest and the least; if there are
/// several, the one with the smallest largest), in descending order.
pub fn create(nodes: c_int, dims: &mut [c_int]) -> Result<()> {
    let sizes = balanced(nodes, dims)?;
    for (dim, size) in dims.iter_mut().filter(|dim| **dim == 0).zip(sizes.into_iter().chain(std::iter::repeat(1))) {
        // A divisor of `nodes`.
        *dim = c_int::try_from(size).unwrap_or(nodes);
    }
    Ok(())
}

/// More factors than this are ones: no number of nodes has so many prime factors.
const MOST_FACTORS: usize = 31;

/// The sizes of the free dimensions, those above 1 at least.
fn balanced(nodes: c_int, dims: &[c_int]) -> Result<Vec<u64>> {
    let Some(count) = u64::try_from(nodes).ok().filter(|count| *count > 0) else {
        return Err(Error::new(MPI_ERR_ARG, format!("the number of nodes is {nodes}: there must be at least one")));
    };
    if let Some((i, dim)) = dims.iter().enumerate().find(|(_, dim)| **dim < 0) {
        return Err(Error::new(
            MPI_ERR_DIMS,
            format!("dims[{i}] is {dim}: a size must be positive, or 0 if it is to be chosen"),
        ));
    }
    let given = dims.iter().filter(|dim| **dim > 0);
    let product = given.fold(1u64, |product, dim| product.saturating_mul(u64::from(dim.unsigned_abs())));
    if !count.is_multiple_of(product) {
        return Err(Error::new(
            MPI_ERR_DIMS,
            format!("the sizes that dims gives make {product}, which does not divide the {nodes} nodes"),
        ));
    }
    let free = dims.iter().filter(|dim| **dim == 0).count().min(MOST_FACTORS);
    let rest = count / product;
    let mut search = Search { divisors: divisors(rest), sizes: Vec::with_capacity(free), best: Vec::new() };
    search.split(rest, free, rest);
    Ok(search.best)
}

/// All divisors, ascending.
fn divisors(n: u64) -> Vec<u64> {
    let small: Vec<u64> = (1..).take_while(|d| d * d <= n).filter(|d| n.is_multiple_of(*d)).collect();
    let large = small.iter().rev().map(|d| n / d).filter(|d| d * d > n);
    small.iter().copied().chain(large).collect()
}

/// The largest number whose `k`-th power is at most `n`.
fn root(n: u64, k: usize) -> u64 {
    let k = u32::try_from(k).unwrap_or(u32::MAX);
    let (mut low, mut high) = (1, n);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if middle.saturating_pow(k) <= n { low = middle } else { high = middle - 1 }
    }
    low
}

/// Goes through the descending factorizations in ascending order of their factors, so the first
/// one found of a spread is the one to keep.
struct Search {
    divisors: Vec<u64>,
    sizes: Vec<u64>,
    best: Vec<u64>,
}

impl Search {
    fn spread(sizes: &[u64]) -> Option<u64> {
        Some(sizes.first()? - sizes.last()?)
    }

    /// Splits `rest` into `free` factors, none above `most`.
    fn split(&mut self, rest: u64, free: usize, most: u64) {
        if free == 0 {
            if rest == 1 && Self::spread(&self.best).is_none_or(|best| Self::spread(&self.sizes) < Some(best)) {
                self.best.clone_from(&self.sizes);
            }
            return;
        }
        // All factors that follow are at most this one, so it must not be below the root.
        let power = u32::try_from(free).unwrap_or(u32::MAX);
        let from = self.divisors.partition_point(|size| size.saturating_pow(power) < rest);
        for i in from..self.divisors.len() {
            let size = self.divisors[i];
            if size > most {
                break;
            }
            if !rest.is_multiple_of(size) {
                continue;
            }
            let largest = self.sizes.first().copied().unwrap_or(size);
            // The least of those that follow is at most their geometric mean, which falls from here on.
            let least = if free == 1 { size } else { root(rest / size, free - 1) };
            if Self::spread(&self.best).is_some_and(|best| largest - least >= best) {
                break;
            }
            self.sizes.push(size);
            self.split(rest / size, free - 1, size);
            self.sizes.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dims<const N: usize>(nodes: c_int, mut dims: [c_int; N]) -> std::result::Result<[c_int; N], c_int> {
        create(nodes, &mut dims).map(|()| dims).map_err(|error| error.class)
    }

    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(dims(6, [0, 0]), Ok([3, 2]));
        assert_eq!(dims(7, [0, 0]), Ok([7, 1]));
        assert_eq!(dims(6, [0, 3, 0]), Ok([2, 3, 1]));
        assert_eq!(dims(7, [0, 3, 0]), Err(MPI_ERR_DIMS));
    }

    #[test]
    fn no_other_factorization_is_closer() {
        // Every descending pair and triple of factors, tried one by one.
        for n in 1..=400 {
            let [a, b] = dims(n, [0, 0]).expect("any number splits");
            assert!(a >= b && a * b == n);
            let [x, y, z] = dims(n, [0; 3]).expect("any number splits");
            assert!(x >= y && y >= z && x * y * z == n, "{n} = {x} {y} {z}");
            for p in (1..=n).filter(|p| n % p == 0) {
                let q = n / p;
                assert!(p < q || p - q >= a - b, "{n}: {p} {q} is closer than {a} {b}");
                for r in (1..=q).filter(|r| q % r == 0 && *r <= p && q / r <= *r) {
                    let other = [p, r, q / r];
                    let (spread, best) = (other[0] - other[2], x - z);
                    let closer = spread < best || spread == best && other < [x, y, z];
                    assert!(!closer, "{n}: {other:?} is closer than {x} {y} {z}");
                }
            }
        }
    }

    #[test]
    fn given_sizes_are_kept_even_if_they_are_all() {
        assert_eq!(dims(24, [0, 2, 0, 3]), Ok([2, 2, 2, 3]));
        assert_eq!(dims(12, [3, 4]), Ok([3, 4]));
        // A multiple is what the standard asks for: a grid of half of the processes is one.
        assert_eq!(dims(12, [2, 3]), Ok([2, 3]));
        assert_eq!(dims(1, []), Ok([]));
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        assert_eq!(dims(0, [0]), Err(MPI_ERR_ARG));
        assert_eq!(dims(-4, [0, 2]), Err(MPI_ERR_ARG));
        assert_eq!(dims(4, [0, -2]), Err(MPI_ERR_DIMS));
        assert_eq!(dims(6, [12]), Err(MPI_ERR_DIMS));
        assert_eq!(dims(6, [c_int::MAX, c_int::MAX, c_int::MAX, c_int::MAX, 0]), Err(MPI_ERR_DIMS));
    }

    #[test]
    fn large_numbers_and_many_dimensions_take_no_time() {
        assert_eq!(dims(c_int::MAX, [0, 0]), Ok([c_int::MAX, 1]));
        assert_eq!(dims(1 << 30, [0; 3]), Ok([1024; 3]));
        // Those below 2^31 with the most divisors.
        for n in [2_095_133_040, 1_102_701_600, 735_134_400] {
            for ndims in 1..=12 {
                let mut sizes = vec![0; ndims];
                create(n, &mut sizes).expect("any number splits");
                assert_eq!(sizes.iter().product::<c_int>(), n);
                assert!(sizes.is_sorted_by(|a, b| a >= b));
            }
        }
        let mut many = vec![0; 100_000];
        create(12, &mut many).expect("ones are sizes too");
        assert_eq!((&many[..4], many[99_999]), (&[3, 2, 2, 1][..], 1));
    }
}
