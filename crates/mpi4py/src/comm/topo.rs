//! Process topologies: grids, graphs, distributed graphs. Chapter 8 of the standard. Communication
//! with neighbours is in `neighbor`.

use super::{Cartcomm, Distgraphcomm, Graphcomm, Intracomm, Topocomm, raw_of};
use crate::args::{Flags, Ints, length};
use crate::call::{mpi, mpi_wait};
use crate::handle::H;
use crate::info::Info;
use mpi_abi as abi;
use mpi_abi::consts::{
    MPI_CART, MPI_COMM_NULL, MPI_DIST_GRAPH, MPI_GRAPH, MPI_INFO_NULL, MPI_PROC_NULL, MPI_UNDEFINED, MPI_UNWEIGHTED,
    MPI_WEIGHTS_EMPTY,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use std::ffi::c_int;

/// Compute_dims(nnodes: int, dims: int | Sequence[int]) -> list[int]
///
/// Divide a number of processes into the dimensions of a grid, as evenly as can be.
#[pyfunction]
pub(crate) fn Compute_dims(py: Python<'_>, nnodes: c_int, dims: &Bound<'_, PyAny>) -> PyResult<Vec<c_int>> {
    let mut dims = match dims.extract::<usize>() {
        Ok(ndims) => vec![0; ndims],
        Err(_) => dims.extract::<Ints>()?.0,
    };
    let (ndims, pointer) = (length(dims.len())?, dims.as_mut_ptr());
    mpi!(py, MPI_Dims_create(nnodes, ndims, pointer))?;
    Ok(dims)
}

/// Whether each dimension is periodic: a list, one answer for all, or no.
fn periods(given: Option<&Bound<'_, PyAny>>, ndims: usize) -> PyResult<Vec<c_int>> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        return Ok(vec![0; ndims]);
    };
    if let Ok(all) = given.cast::<PyBool>() {
        return Ok(vec![c_int::from(all.is_true()); ndims]);
    }
    let flags = given.extract::<Flags>()?.0;
    expect(ndims, flags.len())?;
    Ok(flags)
}

fn expect(expected: usize, got: usize) -> PyResult<()> {
    if got == expected { Ok(()) } else { Err(PyValueError::new_err(format!("expecting {expected} items, got {got}"))) }
}

/// Index and edges of a graph. Index arrays that begin with a zero (as for sparse matrices) are
/// accepted too.
fn adjacency(index: &Ints, edges: &Ints) -> PyResult<(c_int, *const c_int)> {
    let whole = index.0.first() == Some(&0) && index.0.last().copied() == Some(edges.count()?);
    let index = if whole { &index.0[1..] } else { &index.0[..] };
    Ok((length(index.len())?, index.as_ptr()))
}

/// Weights of edges, or the address that says there are none.
enum Weights {
    List(Vec<c_int>),
    Address(*const c_int),
}

impl Weights {
    fn new(given: Option<&Bound<'_, PyAny>>, edges: usize) -> PyResult<Self> {
        let Some(given) = given.filter(|given| !given.is_none()) else {
            return Ok(Self::Address(MPI_UNWEIGHTED));
        };
        if let Ok(address) = given.extract::<usize>() {
            if address == MPI_UNWEIGHTED.addr() {
                return Ok(Self::Address(MPI_UNWEIGHTED));
            }
            if address == MPI_WEIGHTS_EMPTY.addr() {
                return if edges == 0 {
                    Ok(Self::Address(MPI_WEIGHTS_EMPTY))
                } else {
                    Err(PyValueError::new_err(format!("empty weights for {edges} edges")))
                };
            }
        }
        let list = given.extract::<Ints>()?.0;
        expect(edges, list.len())?;
        Ok(Self::List(list))
    }

    fn pointer(&self) -> *const c_int {
        match self {
            Self::List(list) if list.is_empty() => MPI_WEIGHTS_EMPTY,
            Self::List(list) => list.as_ptr(),
            Self::Address(address) => *address,
        }
    }
}

fn info_or_null(info: Option<H<Info>>) -> abi::Info {
    info.map_or(MPI_INFO_NULL, |info| info.0)
}

#[pymethods]
impl Intracomm {
    /// Create_cart(self, dims: Sequence[int], periods: Sequence[bool] | None = None, reorder: bool = False) -> Cartcomm
    ///
    /// Make a communicator whose processes stand in a grid.
    #[pyo3(signature = (dims, periods = None, reorder = false))]
    fn Create_cart(
        slf: &Bound<'_, Self>,
        dims: &Bound<'_, PyAny>,
        periods: Option<&Bound<'_, PyAny>>,
        reorder: bool,
    ) -> PyResult<Py<Cartcomm>> {
        let dims = match dims.extract::<c_int>() {
            Ok(one) => Ints(vec![one]),
            Err(_) => dims.extract::<Ints>()?,
        };
        let flags = self::periods(periods, dims.0.len())?;
        let (raw, mut new, ndims) = (raw_of(slf), MPI_COMM_NULL, dims.count()?);
        let (dims, flags, reorder) = (dims.0.as_ptr(), flags.as_ptr(), c_int::from(reorder));
        mpi_wait!(slf.py(), MPI_Cart_create(raw, ndims, dims, flags, reorder, &raw mut new))?;
        Cartcomm::wrap(slf.py(), new)
    }

    /// Create_graph(self, index: Sequence[int], edges: Sequence[int], reorder: bool = False) -> Graphcomm
    ///
    /// Make a communicator whose processes are the nodes of a graph that all of them know.
    #[pyo3(signature = (index, edges, reorder = false))]
    fn Create_graph(slf: &Bound<'_, Self>, index: Ints, edges: Ints, reorder: bool) -> PyResult<Py<Graphcomm>> {
        let (nnodes, pointer) = adjacency(&index, &edges)?;
        let (raw, mut new, edges, reorder) = (raw_of(slf), MPI_COMM_NULL, edges.0.as_ptr(), c_int::from(reorder));
        mpi_wait!(slf.py(), MPI_Graph_create(raw, nnodes, pointer, edges, reorder, &raw mut new))?;
        Graphcomm::wrap(slf.py(), new)
    }

    /// Create_dist_graph_adjacent(self, sources: Sequence[int], destinations: Sequence[int], sourceweights: Sequence[int] | None = None, destweights: Sequence[int] | None = None, info: Info = INFO_NULL, reorder: bool = False) -> Distgraphcomm
    ///
    /// Make a communicator with a graph of which each process gives its own edges.
    #[pyo3(signature = (sources, destinations, sourceweights = None, destweights = None, info = None, reorder = false))]
    fn Create_dist_graph_adjacent(
        slf: &Bound<'_, Self>,
        sources: Option<Ints>,
        destinations: Option<Ints>,
        sourceweights: Option<&Bound<'_, PyAny>>,
        destweights: Option<&Bound<'_, PyAny>>,
        info: Option<H<Info>>,
        reorder: bool,
    ) -> PyResult<Py<Distgraphcomm>> {
        let (sources, destinations) = (sources.unwrap_or(Ints(Vec::new())), destinations.unwrap_or(Ints(Vec::new())));
        let sourceweights = Weights::new(sourceweights, sources.0.len())?;
        let destweights = Weights::new(destweights, destinations.0.len())?;
        let (indegree, outdegree) = (sources.count()?, destinations.count()?);
        let (raw, mut new, info, reorder) = (raw_of(slf), MPI_COMM_NULL, info_or_null(info), c_int::from(reorder));
        let (from, from_weights) = (sources.0.as_ptr(), sourceweights.pointer());
        let (to, to_weights) = (destinations.0.as_ptr(), destweights.pointer());
        mpi_wait!(
            slf.py(),
            MPI_Dist_graph_create_adjacent(
                raw,
                indegree,
                from,
                from_weights,
                outdegree,
                to,
                to_weights,
                info,
                reorder,
                &raw mut new
            )
        )?;
        Distgraphcomm::wrap(slf.py(), new)
    }

    /// Create_dist_graph(self, sources: Sequence[int], degrees: Sequence[int], destinations: Sequence[int], weights: Sequence[int] | None = None, info: Info = INFO_NULL, reorder: bool = False) -> Distgraphcomm
    ///
    /// Make a communicator with a graph of which each process gives any edges.
    #[pyo3(signature = (sources, degrees, destinations, weights = None, info = None, reorder = false))]
    fn Create_dist_graph(
        slf: &Bound<'_, Self>,
        sources: Ints,
        degrees: &Bound<'_, PyAny>,
        destinations: Ints,
        weights: Option<&Bound<'_, PyAny>>,
        info: Option<H<Info>>,
        reorder: bool,
    ) -> PyResult<Py<Distgraphcomm>> {
        let degrees = match degrees.extract::<c_int>() {
            Ok(one) => vec![one; sources.0.len()],
            Err(_) => degrees.extract::<Ints>()?.0,
        };
        expect(sources.0.len(), degrees.len())?;
        let edges = usize::try_from(degrees.iter().sum::<c_int>()).unwrap_or(0);
        expect(edges, destinations.0.len())?;
        let weights = Weights::new(weights, edges)?;
        let (raw, mut new, info, reorder) = (raw_of(slf), MPI_COMM_NULL, info_or_null(info), c_int::from(reorder));
        let (n, from, degrees) = (sources.count()?, sources.0.as_ptr(), degrees.as_ptr());
        let (to, weights) = (destinations.0.as_ptr(), weights.pointer());
        mpi_wait!(slf.py(), MPI_Dist_graph_create(raw, n, from, degrees, to, weights, info, reorder, &raw mut new))?;
        Distgraphcomm::wrap(slf.py(), new)
    }

    /// Cart_map(self, dims: Sequence[int], periods: Sequence[bool] | None = None) -> int
    ///
    /// Rank that this process would best have in a grid.
    #[pyo3(signature = (dims, periods = None))]
    fn Cart_map(slf: &Bound<'_, Self>, dims: Ints, periods: Option<&Bound<'_, PyAny>>) -> PyResult<c_int> {
        let flags = self::periods(periods, dims.0.len())?;
        let (raw, mut rank, ndims) = (raw_of(slf), MPI_PROC_NULL, dims.count()?);
        let (dims, flags) = (dims.0.as_ptr(), flags.as_ptr());
        mpi_wait!(slf.py(), MPI_Cart_map(raw, ndims, dims, flags, &raw mut rank))?;
        Ok(rank)
    }

    /// Graph_map(self, index: Sequence[int], edges: Sequence[int]) -> int
    ///
    /// Rank that this process would best have in a graph.
    fn Graph_map(slf: &Bound<'_, Self>, index: Ints, edges: Ints) -> PyResult<c_int> {
        let (nnodes, pointer) = adjacency(&index, &edges)?;
        let (raw, mut rank, edges) = (raw_of(slf), MPI_PROC_NULL, edges.0.as_ptr());
        mpi_wait!(slf.py(), MPI_Graph_map(raw, nnodes, pointer, edges, &raw mut rank))?;
        Ok(rank)
    }
}

type Grid = (Vec<c_int>, Vec<c_int>, Vec<c_int>);
type Neighbors = (Vec<c_int>, Vec<c_int>);

fn topology(py: Python<'_>, raw: abi::Comm) -> PyResult<c_int> {
    let mut topology = MPI_UNDEFINED;
    if raw != MPI_COMM_NULL {
        mpi!(py, MPI_Topo_test(raw, &raw mut topology))?;
    }
    Ok(topology)
}

fn cart_dim(py: Python<'_>, raw: abi::Comm) -> PyResult<c_int> {
    let mut dim = 0;
    mpi!(py, MPI_Cartdim_get(raw, &raw mut dim))?;
    Ok(dim)
}

fn cart_topo(py: Python<'_>, raw: abi::Comm) -> PyResult<Grid> {
    let dim = cart_dim(py, raw)?;
    let n = usize::try_from(dim)?;
    let (mut dims, mut periods, mut coords) = (vec![0; n], vec![0; n], vec![0; n]);
    mpi!(py, MPI_Cart_get(raw, dim, dims.as_mut_ptr(), periods.as_mut_ptr(), coords.as_mut_ptr()))?;
    Ok((dims, periods, coords))
}

fn graph_neighbors(py: Python<'_>, raw: abi::Comm, rank: c_int) -> PyResult<Vec<c_int>> {
    let mut count = 0;
    mpi!(py, MPI_Graph_neighbors_count(raw, rank, &raw mut count))?;
    let mut neighbors = vec![MPI_PROC_NULL; usize::try_from(count)?];
    mpi!(py, MPI_Graph_neighbors(raw, rank, count, neighbors.as_mut_ptr()))?;
    Ok(neighbors)
}

fn dist_counts(py: Python<'_>, raw: abi::Comm) -> PyResult<(c_int, c_int, bool)> {
    let (mut indegree, mut outdegree, mut weighted) = (0, 0, 0);
    mpi!(py, MPI_Dist_graph_neighbors_count(raw, &raw mut indegree, &raw mut outdegree, &raw mut weighted))?;
    Ok((indegree, outdegree, weighted != 0))
}

fn dist_neighbors(py: Python<'_>, raw: abi::Comm) -> PyResult<(Neighbors, Option<Neighbors>)> {
    let (indegree, outdegree, weighted) = dist_counts(py, raw)?;
    let (n_in, n_out) = (usize::try_from(indegree)?, usize::try_from(outdegree)?);
    let (mut sources, mut destinations) = (vec![MPI_PROC_NULL; n_in], vec![MPI_PROC_NULL; n_out]);
    let (mut weights_in, mut weights_out) = (vec![0; n_in], vec![0; n_out]);
    let pointer = |weights: &mut Vec<c_int>| if weighted { weights.as_mut_ptr() } else { MPI_UNWEIGHTED };
    let (from, to) = (sources.as_mut_ptr(), destinations.as_mut_ptr());
    let (from_weights, to_weights) = (pointer(&mut weights_in), pointer(&mut weights_out));
    mpi!(py, MPI_Dist_graph_neighbors(raw, indegree, from, from_weights, outdegree, to, to_weights))?;
    Ok(((sources, destinations), weighted.then_some((weights_in, weights_out))))
}

/// Numbers of neighbours that send to this process and that it sends to.
pub(super) fn degrees(py: Python<'_>, raw: abi::Comm) -> PyResult<(c_int, c_int)> {
    match topology(py, raw)? {
        MPI_CART => {
            let dim = cart_dim(py, raw)?;
            Ok((2 * dim, 2 * dim))
        }
        MPI_GRAPH => {
            let mut count = 0;
            mpi!(py, MPI_Graph_neighbors_count(raw, super::rank(py, raw)?, &raw mut count))?;
            Ok((count, count))
        }
        MPI_DIST_GRAPH => {
            let (indegree, outdegree, _) = dist_counts(py, raw)?;
            Ok((indegree, outdegree))
        }
        _ => Ok((0, 0)),
    }
}

/// The neighbours themselves.
fn edges(py: Python<'_>, raw: abi::Comm) -> PyResult<Neighbors> {
    match topology(py, raw)? {
        MPI_CART => {
            let mut neighbors = Vec::new();
            for direction in 0..cart_dim(py, raw)? {
                let (mut source, mut dest) = (MPI_PROC_NULL, MPI_PROC_NULL);
                mpi!(py, MPI_Cart_shift(raw, direction, 1, &raw mut source, &raw mut dest))?;
                neighbors.extend([source, dest]);
            }
            Ok((neighbors.clone(), neighbors))
        }
        MPI_GRAPH => {
            let neighbors = graph_neighbors(py, raw, super::rank(py, raw)?)?;
            Ok((neighbors.clone(), neighbors))
        }
        MPI_DIST_GRAPH => Ok(dist_neighbors(py, raw)?.0),
        _ => Ok((Vec::new(), Vec::new())),
    }
}

/// Properties: the name, its type, what it says, how.
macro_rules! properties {
    ($class:ident: $($name:ident -> $type:ty, $text:literal, $doc:literal, |$py:ident, $raw:ident| $value:expr;)*) => {
        #[pymethods]
        impl $class {$(
            #[doc = concat!(stringify!($name), ": ", $text, "\n\n", $doc)]
            #[getter]
            fn $name(slf: &Bound<'_, Self>) -> PyResult<$type> {
                let ($py, $raw) = (slf.py(), raw_of(slf));
                $value
            }
        )*}
    };
}

properties! { Topocomm:
    degrees -> (c_int, c_int), "tuple[int, int]", "Numbers of incoming and outgoing neighbours.",
    |py, raw| degrees(py, raw);
    indegree -> c_int, "int", "Number of incoming neighbours.", |py, raw| Ok(degrees(py, raw)?.0);
    outdegree -> c_int, "int", "Number of outgoing neighbours.", |py, raw| Ok(degrees(py, raw)?.1);
    inoutedges -> Neighbors, "tuple[list[int], list[int]]", "Incoming and outgoing neighbours.",
    |py, raw| edges(py, raw);
    inedges -> Vec<c_int>, "list[int]", "Incoming neighbours.", |py, raw| Ok(edges(py, raw)?.0);
    outedges -> Vec<c_int>, "list[int]", "Outgoing neighbours.", |py, raw| Ok(edges(py, raw)?.1);
}

properties! { Cartcomm:
    dim -> c_int, "int", "Number of dimensions.", |py, raw| cart_dim(py, raw);
    ndim -> c_int, "int", "Number of dimensions.", |py, raw| cart_dim(py, raw);
    topo -> Grid, "tuple[list[int], list[int], list[int]]", "Sizes, periods and own place in the grid.",
    |py, raw| cart_topo(py, raw);
    dims -> Vec<c_int>, "list[int]", "Sizes of the dimensions.", |py, raw| Ok(cart_topo(py, raw)?.0);
    periods -> Vec<c_int>, "list[int]", "Which dimensions are periodic.", |py, raw| Ok(cart_topo(py, raw)?.1);
    coords -> Vec<c_int>, "list[int]", "Own place in the grid.", |py, raw| Ok(cart_topo(py, raw)?.2);
}

#[pymethods]
impl Cartcomm {
    /// Get_dim(self) -> int
    ///
    /// Number of dimensions.
    fn Get_dim(slf: &Bound<'_, Self>) -> PyResult<c_int> {
        cart_dim(slf.py(), raw_of(slf))
    }

    /// Get_topo(self) -> tuple[list[int], list[int], list[int]]
    ///
    /// Sizes, periods and own place in the grid.
    fn Get_topo(slf: &Bound<'_, Self>) -> PyResult<Grid> {
        cart_topo(slf.py(), raw_of(slf))
    }

    /// Get_cart_rank(self, coords: Sequence[int]) -> int
    ///
    /// Rank of the process at a place in the grid.
    fn Get_cart_rank(slf: &Bound<'_, Self>, coords: Ints) -> PyResult<c_int> {
        let (py, raw, mut rank) = (slf.py(), raw_of(slf), MPI_PROC_NULL);
        expect(usize::try_from(cart_dim(py, raw)?)?, coords.0.len())?;
        mpi!(py, MPI_Cart_rank(raw, coords.0.as_ptr(), &raw mut rank))?;
        Ok(rank)
    }

    /// Get_coords(self, rank: int) -> list[int]
    ///
    /// Place of a process in the grid.
    fn Get_coords(slf: &Bound<'_, Self>, rank: c_int) -> PyResult<Vec<c_int>> {
        let (py, raw) = (slf.py(), raw_of(slf));
        let dim = cart_dim(py, raw)?;
        let mut coords = vec![0; usize::try_from(dim)?];
        mpi!(py, MPI_Cart_coords(raw, rank, dim, coords.as_mut_ptr()))?;
        Ok(coords)
    }

    /// Shift(self, direction: int, disp: int) -> tuple[int, int]
    ///
    /// Ranks to receive from and to send to for a shift along a dimension.
    fn Shift(slf: &Bound<'_, Self>, direction: c_int, disp: c_int) -> PyResult<(c_int, c_int)> {
        let (mut source, mut dest) = (MPI_PROC_NULL, MPI_PROC_NULL);
        mpi!(slf.py(), MPI_Cart_shift(raw_of(slf), direction, disp, &raw mut source, &raw mut dest))?;
        Ok((source, dest))
    }

    /// Sub(self, remain_dims: Sequence[bool]) -> Cartcomm
    ///
    /// Split the grid into grids of fewer dimensions.
    fn Sub(slf: &Bound<'_, Self>, remain_dims: Flags) -> PyResult<Py<Self>> {
        let (py, raw, mut new) = (slf.py(), raw_of(slf), MPI_COMM_NULL);
        expect(usize::try_from(cart_dim(py, raw)?)?, remain_dims.0.len())?;
        let flags = remain_dims.0.as_ptr();
        mpi_wait!(py, MPI_Cart_sub(raw, flags, &raw mut new))?;
        Self::wrap(py, new)
    }
}

fn graph_dims(py: Python<'_>, raw: abi::Comm) -> PyResult<(c_int, c_int)> {
    let (mut nnodes, mut nedges) = (0, 0);
    mpi!(py, MPI_Graphdims_get(raw, &raw mut nnodes, &raw mut nedges))?;
    Ok((nnodes, nedges))
}

fn graph_topo(py: Python<'_>, raw: abi::Comm) -> PyResult<Neighbors> {
    let (nnodes, nedges) = graph_dims(py, raw)?;
    let (mut index, mut edges) = (vec![0; usize::try_from(nnodes)?], vec![0; usize::try_from(nedges)?]);
    mpi!(py, MPI_Graph_get(raw, nnodes, nedges, index.as_mut_ptr(), edges.as_mut_ptr()))?;
    Ok((index, edges))
}

properties! { Graphcomm:
    dims -> (c_int, c_int), "tuple[int, int]", "Numbers of nodes and edges.", |py, raw| graph_dims(py, raw);
    nnodes -> c_int, "int", "Number of nodes.", |py, raw| Ok(graph_dims(py, raw)?.0);
    nedges -> c_int, "int", "Number of edges.", |py, raw| Ok(graph_dims(py, raw)?.1);
    topo -> Neighbors, "tuple[list[int], list[int]]", "Index and edges of the graph.", |py, raw| graph_topo(py, raw);
    index -> Vec<c_int>, "list[int]", "Index of the graph.", |py, raw| Ok(graph_topo(py, raw)?.0);
    edges -> Vec<c_int>, "list[int]", "Edges of the graph.", |py, raw| Ok(graph_topo(py, raw)?.1);
    nneighbors -> c_int, "int", "Number of neighbours.", |py, raw| Ok(degrees(py, raw)?.0);
    neighbors -> Vec<c_int>, "list[int]", "Neighbours.",
    |py, raw| graph_neighbors(py, raw, super::rank(py, raw)?);
}

#[pymethods]
impl Graphcomm {
    /// Get_dims(self) -> tuple[int, int]
    ///
    /// Numbers of nodes and edges.
    fn Get_dims(slf: &Bound<'_, Self>) -> PyResult<(c_int, c_int)> {
        graph_dims(slf.py(), raw_of(slf))
    }

    /// Get_topo(self) -> tuple[list[int], list[int]]
    ///
    /// Index and edges of the graph.
    fn Get_topo(slf: &Bound<'_, Self>) -> PyResult<Neighbors> {
        graph_topo(slf.py(), raw_of(slf))
    }

    /// Get_neighbors_count(self, rank: int) -> int
    ///
    /// Number of neighbours of a process.
    fn Get_neighbors_count(slf: &Bound<'_, Self>, rank: c_int) -> PyResult<c_int> {
        let mut count = 0;
        mpi!(slf.py(), MPI_Graph_neighbors_count(raw_of(slf), rank, &raw mut count))?;
        Ok(count)
    }

    /// Get_neighbors(self, rank: int) -> list[int]
    ///
    /// Neighbours of a process.
    fn Get_neighbors(slf: &Bound<'_, Self>, rank: c_int) -> PyResult<Vec<c_int>> {
        graph_neighbors(slf.py(), raw_of(slf), rank)
    }
}

#[pymethods]
impl Distgraphcomm {
    /// Get_dist_neighbors_count(self) -> tuple[int, int, bool]
    ///
    /// Numbers of incoming and outgoing neighbours, and whether edges have weights.
    fn Get_dist_neighbors_count(slf: &Bound<'_, Self>) -> PyResult<(c_int, c_int, bool)> {
        dist_counts(slf.py(), raw_of(slf))
    }

    /// Get_dist_neighbors(self) -> tuple[list[int], list[int], tuple[list[int], list[int]] | None]
    ///
    /// Incoming and outgoing neighbours, and the weights of the edges.
    fn Get_dist_neighbors(slf: &Bound<'_, Self>) -> PyResult<(Vec<c_int>, Vec<c_int>, Option<Neighbors>)> {
        let ((sources, destinations), weights) = dist_neighbors(slf.py(), raw_of(slf))?;
        Ok((sources, destinations, weights))
    }
}
