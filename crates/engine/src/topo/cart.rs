//! Grids of processes: Cartesian topologies (MPI-5.0 sections 8.5.1 and 8.5.5 to 8.5.7).
//!
//! Ranks are in row-major order: the last coordinate changes fastest.

use super::{Topology, first, mapped, number, other, parent};
use crate::comm::{CommCore, bad_rank};
use crate::comm_manage::agree::{self, PAIR};
use crate::group::Group;
use crate::status::Call;
use crate::{Engine, Error, Result};
use mpi_abi::Comm as Handle;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_ERR_ARG, MPI_ERR_DIMS, MPI_PROC_NULL};
use std::ffi::c_int;
use std::sync::Arc;

/// One dimension of a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dim {
    /// Processes along it, at least one.
    pub size: u32,
    /// Whether the last one is a neighbour of the first.
    pub periodic: bool,
}

/// A grid; its sizes multiply to the number of its processes. Without dimensions it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    dims: Box<[Dim]>,
}

impl Grid {
    /// The grid that the arguments of a call describe, for at most `room` processes.
    fn new(dims: &[c_int], periods: &[c_int], room: u32) -> Result<Self> {
        let mut nodes = 1u64;
        let mut grid = Vec::with_capacity(dims.len());
        for (i, (dim, periodic)) in dims.iter().zip(periods).enumerate() {
            let size = u32::try_from(*dim).ok().filter(|size| *size > 0).ok_or_else(|| {
                Error::new(MPI_ERR_DIMS, format!("dims[{i}] is {dim}: each dimension must have at least one process"))
            })?;
            nodes = nodes.saturating_mul(u64::from(size));
            grid.push(Dim { size, periodic: *periodic != 0 });
        }
        if nodes > u64::from(room) {
            return Err(Error::new(
                MPI_ERR_DIMS,
                format!("a grid of {dims:?} needs {nodes} processes, but the communicator has {room}"),
            ));
        }
        Ok(Self { dims: grid.into() })
    }

    /// A periodic grid of one dimension.
    #[cfg(test)]
    pub(crate) fn ring(size: u32) -> Self {
        Self { dims: [Dim { size, periodic: true }].into() }
    }

    /// Its dimensions.
    pub fn dims(&self) -> &[Dim] {
        &self.dims
    }

    /// How many processes stand in it.
    fn nodes(&self) -> u32 {
        self.dims.iter().map(|dim| dim.size).product()
    }

    /// The coordinates of a rank that is in the grid.
    pub fn coords(&self, rank: u32) -> Vec<c_int> {
        let mut rest = rank;
        let mut coords: Vec<c_int> = self
            .dims
            .iter()
            .rev()
            .map(|dim| {
                let coord = rest % dim.size;
                rest /= dim.size;
                number(coord)
            })
            .collect();
        coords.reverse();
        coords
    }

    /// The rank at coordinates, of which there is one for each dimension; outside of the grid only
    /// where it is periodic.
    pub fn rank(&self, coords: &[c_int]) -> Result<u32> {
        let mut rank = 0;
        for (i, (dim, coord)) in self.dims.iter().zip(coords).enumerate() {
            let place = place(*dim, i64::from(*coord)).ok_or_else(|| {
                Error::new(
                    MPI_ERR_ARG,
                    format!(
                        "coordinate {i} is {coord}, outside of 0 to {}; the dimension is not periodic",
                        dim.size - 1
                    ),
                )
            })?;
            rank = rank * dim.size + place;
        }
        Ok(rank)
    }

    /// For a shift of `by` along a dimension: whom `rank` receives from and whom it sends to.
    pub fn shift(&self, rank: u32, direction: c_int, by: c_int) -> Result<(c_int, c_int)> {
        let ndims = self.dims.len();
        let direction = usize::try_from(direction).ok().filter(|direction| *direction < ndims).ok_or_else(|| {
            Error::new(MPI_ERR_ARG, format!("the direction is {direction}, but the grid has {ndims} dimensions"))
        })?;
        let by = i64::from(by);
        Ok((self.beside(rank, direction, -by), self.beside(rank, direction, by)))
    }

    /// The rank at a distance along a dimension, MPI_PROC_NULL beyond the border.
    fn beside(&self, rank: u32, direction: usize, by: i64) -> c_int {
        let dim = self.dims[direction];
        let stride: u32 = self.dims[direction + 1..].iter().map(|dim| dim.size).product();
        let coord = rank / stride % dim.size;
        match place(dim, i64::from(coord) + by) {
            Some(there) => number(rank - coord * stride + there * stride),
            None => MPI_PROC_NULL,
        }
    }

    /// The neighbours: for each dimension the one before and the one behind.
    pub fn neighbors(&self, rank: u32) -> Vec<c_int> {
        (0..self.dims.len()).flat_map(|i| [self.beside(rank, i, -1), self.beside(rank, i, 1)]).collect()
    }

    /// The dimensions that `keep` says or does not say.
    fn part(&self, keep: impl Fn(usize) -> bool) -> Self {
        Self { dims: self.dims.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, dim)| *dim).collect() }
    }

    /// The rank of the process with `coords` in the grid of the dimensions that `keep` says.
    fn rank_in_part(&self, coords: &[c_int], keep: impl Fn(usize) -> bool) -> Result<u32> {
        let chosen: Vec<_> = coords.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, coord)| *coord).collect();
        self.part(keep).rank(&chosen)
    }
}

/// Where a coordinate is on a dimension, if it is on it.
fn place(dim: Dim, coord: i64) -> Option<u32> {
    let size = i64::from(dim.size);
    let coord = if dim.periodic { coord.rem_euclid(size) } else { coord };
    u32::try_from(coord).ok().filter(|coord| *coord < dim.size)
}

/// The grid of a communicator.
pub fn of(core: &CommCore) -> Result<&Grid> {
    match core.topology.as_deref() {
        Some(Topology::Cart(grid)) => Ok(grid),
        _ => Err(other(core, "a Cartesian one")),
    }
}

/// A communicator whose first processes stand in a grid; null for the others.
pub fn create(comm: Handle, dims: &[c_int], periods: &[c_int]) -> Result<Handle> {
    let parent = parent(comm)?;
    let grid = Grid::new(dims, periods, parent.core.size())?;
    let group = first(&parent.core.group, grid.nodes());
    let context = agree::contexts(&parent.turn(Call::CartCreate)?, PAIR)?;
    Ok(parent.intra(context, group, Some(Arc::new(Topology::Cart(grid)))))
}

/// The rank that the calling process has in such a grid, MPI_UNDEFINED outside of it.
pub fn map(e: &Engine, comm: Handle, dims: &[c_int], periods: &[c_int]) -> Result<c_int> {
    let core = &e.comm(comm)?.core;
    Ok(mapped(core.rank, Grid::new(dims, periods, core.size())?.nodes()))
}

/// The coordinates of any rank of a grid.
pub fn coords(core: &CommCore, rank: c_int) -> Result<Vec<c_int>> {
    let grid = of(core)?;
    let known = u32::try_from(rank).ok().filter(|rank| *rank < core.size());
    Ok(grid.coords(known.ok_or_else(|| bad_rank("the process asked about", rank, core.size()))?))
}

/// Grids of the dimensions that remain; each process is in one of them.
pub fn sub(comm: Handle, remain: impl Fn(usize) -> bool) -> Result<Handle> {
    let parent = parent(comm)?;
    let core = &parent.core;
    let grid = of(core)?;
    let coords = grid.coords(core.rank);
    let color = grid.rank_in_part(&coords, |i| !remain(i))?;
    let mut members = vec![0; grid.part(&remain).nodes() as usize];
    for rank in 0..core.size() {
        let coords = grid.coords(rank);
        if grid.rank_in_part(&coords, |i| !remain(i))? == color
            && let Some(world) = core.group.world_rank(rank)
        {
            members[grid.rank_in_part(&coords, &remain)? as usize] = world;
        }
    }
    let colors = grid.part(|i| !remain(i)).nodes();
    let context = agree::contexts(&parent.turn(Call::CartSub)?, PAIR * colors)? + PAIR * color;
    let topology = Arc::new(Topology::Cart(grid.part(&remain)));
    let new = parent.intra(context, Arc::new(Group::from_ranks(members)), Some(topology));
    debug_assert_ne!(new, MPI_COMM_NULL);
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(dims: &[c_int], periods: &[c_int]) -> Grid {
        Grid::new(dims, periods, 1000).expect("a grid")
    }

    #[test]
    fn the_last_coordinate_changes_fastest() {
        let grid = grid(&[2, 3], &[0, 0]);
        let all: Vec<_> = (0..6).map(|rank| grid.coords(rank)).collect();
        assert_eq!(all, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        for rank in 0..6 {
            assert_eq!(grid.rank(&grid.coords(rank)), Ok(rank));
        }
    }

    #[test]
    fn coordinates_wrap_where_the_grid_is_periodic() {
        let grid = grid(&[2, 3], &[1, 0]);
        assert_eq!(grid.rank(&[-1, 2]), Ok(5));
        assert_eq!(grid.rank(&[c_int::MIN, 0]), Ok(0));
        assert_eq!(grid.rank(&[0, 3]).map_err(|e| e.class), Err(MPI_ERR_ARG));
        assert_eq!(grid.rank(&[0, -1]).map_err(|e| e.class), Err(MPI_ERR_ARG));
    }

    #[test]
    fn shifts_go_both_ways_and_end_at_a_border() {
        let grid = grid(&[2, 3], &[1, 0]);
        assert_eq!(grid.shift(0, 0, 1), Ok((3, 3)));
        assert_eq!(grid.shift(1, 1, 1), Ok((0, 2)));
        assert_eq!(grid.shift(2, 1, 1), Ok((1, MPI_PROC_NULL)));
        assert_eq!(grid.shift(4, 1, -2), Ok((MPI_PROC_NULL, MPI_PROC_NULL)));
        assert_eq!(grid.shift(4, 1, 0), Ok((4, 4)));
        assert_eq!(grid.shift(4, 0, c_int::MIN), Ok((4, 4)));
        assert_eq!(grid.shift(4, 0, c_int::MAX), Ok((1, 1)));
        for direction in [-1, 2] {
            assert_eq!(grid.shift(0, direction, 1).map_err(|e| e.class), Err(MPI_ERR_ARG));
        }
        assert_eq!(grid.neighbors(5), [2, 2, 4, MPI_PROC_NULL]);
    }

    #[test]
    fn a_grid_without_dimensions_has_one_process() {
        let grid = grid(&[], &[]);
        assert_eq!((grid.nodes(), grid.rank(&[]), grid.coords(0)), (1, Ok(0), vec![]));
        assert!(grid.neighbors(0).is_empty() && grid.shift(0, 0, 1).is_err());
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        for (dims, room) in [(vec![0, 2], 4), (vec![-2, -2], 4), (vec![2, 3], 5), (vec![c_int::MAX; 5], u32::MAX)] {
            assert_eq!(Grid::new(&dims, &vec![0; dims.len()], room).map_err(|e| e.class), Err(MPI_ERR_DIMS));
        }
    }

    #[test]
    fn parts_keep_the_order_of_the_dimensions() {
        let grid = grid(&[2, 3, 4], &[0, 1, 0]);
        let part = grid.part(|i| i != 1);
        assert_eq!(part.dims, [Dim { size: 2, periodic: false }, Dim { size: 4, periodic: false }].into());
        assert_eq!(grid.rank_in_part(&[1, 2, 3], |i| i != 1), Ok(7));
        assert_eq!(grid.rank_in_part(&[1, 2, 3], |i| i == 1), Ok(2));
        assert_eq!(grid.rank_in_part(&[1, 2, 3], |_| false), Ok(0));
    }
}
