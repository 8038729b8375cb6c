//! Process topologies (MPI-5.0 chapter 8). The engine's part is `engine::topo`.

use crate::args::{self, Out, int};
use engine::comm::CommCore;
use engine::topo::distributed::{self, Edges, Given};
use engine::topo::{cart, dims, graph};
use engine::{Error, Result, info, topo, with};
use mpi_abi::consts::{MPI_ERR_ARG, MPI_UNWEIGHTED, MPI_WEIGHTS_EMPTY};
use mpi_abi::{Comm, Info};
use std::ffi::c_int;
use std::sync::Arc;

fn core(comm: Comm) -> Result<Arc<CommCore>> {
    with(|e| e.comm_core(comm))
}

/// The error for an array of `room` elements that is too short for `needed`.
fn too_short(name: &str, room: c_int, needed: usize, what: &str) -> Result<()> {
    if usize::try_from(room).is_ok_and(|room| room >= needed) {
        return Ok(());
    }
    Err(Error::new(MPI_ERR_ARG, format!("{name} is {room}, but the {what}: {needed}")))
}

pub(crate) unsafe fn MPI_Dims_create(nnodes: c_int, ndims: c_int, dims: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for an array of `ndims` elements.
    dims::create(nnodes, unsafe { args::array_mut(dims, ndims, "dims") }?)
}

pub(crate) unsafe fn MPI_Topo_test(comm: Comm, status: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let status = unsafe { Out::new(status, "status") }?;
    status.set(with(|e| topo::test(e, comm))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Cart_create(
    comm_old: Comm,
    ndims: c_int,
    dims: *const c_int,
    periods: *const c_int,
    _reorder: c_int,
    comm_cart: *mut Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let comm_cart = unsafe { Out::new(comm_cart, "comm_cart") }?;
    // SAFETY: the C caller's word for arrays of `ndims` elements.
    let (dims, periods) = unsafe { (args::array(dims, ndims, "dims")?, args::array(periods, ndims, "periods")?) };
    comm_cart.set(cart::create(comm_old, dims, periods)?);
    Ok(())
}

pub(crate) unsafe fn MPI_Cart_map(
    comm: Comm,
    ndims: c_int,
    dims: *const c_int,
    periods: *const c_int,
    newrank: *mut c_int,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newrank = unsafe { Out::new(newrank, "newrank") }?;
    // SAFETY: the C caller's word for arrays of `ndims` elements.
    let (dims, periods) = unsafe { (args::array(dims, ndims, "dims")?, args::array(periods, ndims, "periods")?) };
    newrank.set(with(|e| cart::map(e, comm, dims, periods))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Cartdim_get(comm: Comm, ndims: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let ndims = unsafe { Out::new(ndims, "ndims") }?;
    ndims.set(int(cart::of(&*core(comm)?)?.dims().len()));
    Ok(())
}

/// That arrays of `maxdims` elements have room for the dimensions of a grid.
fn room_for_dims(grid: &cart::Grid, maxdims: c_int) -> Result<()> {
    too_short("maxdims", maxdims, grid.dims().len(), "grid has more dimensions")
}

pub(crate) unsafe fn MPI_Cart_get(
    comm: Comm,
    maxdims: c_int,
    dims: *mut c_int,
    periods: *mut c_int,
    coords: *mut c_int,
) -> Result<()> {
    let core = core(comm)?;
    let grid = cart::of(&core)?;
    room_for_dims(grid, maxdims)?;
    let sizes: Vec<c_int> = grid.dims().iter().map(|dim| int(dim.size)).collect();
    let flags: Vec<c_int> = grid.dims().iter().map(|dim| c_int::from(dim.periodic)).collect();
    // SAFETY: the C caller's word for arrays of `maxdims` elements.
    unsafe {
        args::put_array(dims, maxdims, &sizes, "dims")?;
        args::put_array(periods, maxdims, &flags, "periods")?;
        args::put_array(coords, maxdims, &grid.coords(core.rank), "coords")
    }
}

pub(crate) unsafe fn MPI_Cart_rank(comm: Comm, coords: *const c_int, rank: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let rank = unsafe { Out::new(rank, "rank") }?;
    let core = core(comm)?;
    let grid = cart::of(&core)?;
    // SAFETY: the C caller's word for a coordinate for each dimension.
    let coords = unsafe { args::array(coords, int(grid.dims().len()), "coords") }?;
    rank.set(int(grid.rank(coords)?));
    Ok(())
}

pub(crate) unsafe fn MPI_Cart_coords(comm: Comm, rank: c_int, maxdims: c_int, coords: *mut c_int) -> Result<()> {
    let core = core(comm)?;
    let found = cart::coords(&core, rank)?;
    room_for_dims(cart::of(&core)?, maxdims)?;
    // SAFETY: the C caller's word for an array of `maxdims` elements.
    unsafe { args::put_array(coords, maxdims, &found, "coords") }
}

pub(crate) unsafe fn MPI_Cart_shift(
    comm: Comm,
    direction: c_int,
    disp: c_int,
    rank_source: *mut c_int,
    rank_dest: *mut c_int,
) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    let (source, dest) = unsafe { (Out::new(rank_source, "rank_source")?, Out::new(rank_dest, "rank_dest")?) };
    let core = core(comm)?;
    let (from, to) = cart::of(&core)?.shift(core.rank, direction, disp)?;
    source.set(from);
    dest.set(to);
    Ok(())
}

pub(crate) unsafe fn MPI_Cart_sub(comm: Comm, remain_dims: *const c_int, newcomm: *mut Comm) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newcomm = unsafe { Out::new(newcomm, "newcomm") }?;
    let ndims = int(cart::of(&*core(comm)?)?.dims().len());
    // SAFETY: the C caller's word for a flag for each dimension.
    let remain = unsafe { args::array(remain_dims, ndims, "remain_dims") }?;
    newcomm.set(cart::sub(comm, |i| remain[i] != 0)?);
    Ok(())
}

/// Index and edges of a graph; the index says how many edges there are.
///
/// # Safety
/// `index` is valid for reads of `nnodes` elements, `edges` of as many as the last one says, while the result is used.
unsafe fn adjacency<'a>(
    comm: Comm,
    nnodes: c_int,
    index: *const c_int,
    edges: *const c_int,
) -> Result<(&'a [c_int], &'a [c_int])> {
    // SAFETY: the caller's duty.
    let index = unsafe { args::array(index, nnodes, "index") }?;
    let count = with(|e| graph::edge_count(e, comm, index))?;
    // SAFETY: the caller's duty.
    Ok((index, unsafe { args::array(edges, int(count), "edges") }?))
}

pub(crate) unsafe fn MPI_Graph_create(
    comm_old: Comm,
    nnodes: c_int,
    index: *const c_int,
    edges: *const c_int,
    _reorder: c_int,
    comm_graph: *mut Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let comm_graph = unsafe { Out::new(comm_graph, "comm_graph") }?;
    // SAFETY: the C caller's word for the arrays.
    let (index, edges) = unsafe { adjacency(comm_old, nnodes, index, edges) }?;
    comm_graph.set(graph::create(comm_old, index, edges)?);
    Ok(())
}

pub(crate) unsafe fn MPI_Graph_map(
    comm: Comm,
    nnodes: c_int,
    index: *const c_int,
    edges: *const c_int,
    newrank: *mut c_int,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newrank = unsafe { Out::new(newrank, "newrank") }?;
    // SAFETY: the C caller's word for the arrays.
    let (index, edges) = unsafe { adjacency(comm, nnodes, index, edges) }?;
    newrank.set(with(|e| graph::map(e, comm, index, edges))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Graphdims_get(comm: Comm, nnodes: *mut c_int, nedges: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    let (nnodes, nedges) = unsafe { (Out::new(nnodes, "nnodes")?, Out::new(nedges, "nedges")?) };
    let core = core(comm)?;
    let graph = graph::of(&core)?;
    nnodes.set(int(graph.index.len()));
    nedges.set(int(graph.edges.len()));
    Ok(())
}

pub(crate) unsafe fn MPI_Graph_get(
    comm: Comm,
    maxindex: c_int,
    maxedges: c_int,
    index: *mut c_int,
    edges: *mut c_int,
) -> Result<()> {
    let core = core(comm)?;
    let graph = graph::of(&core)?;
    too_short("maxindex", maxindex, graph.index.len(), "graph has more nodes")?;
    too_short("maxedges", maxedges, graph.edges.len(), "graph has more edges")?;
    // SAFETY: the C caller's word for arrays of `maxindex` and `maxedges` elements.
    unsafe {
        args::put_array(index, maxindex, &graph.index, "index")?;
        args::put_array(edges, maxedges, &graph.edges, "edges")
    }
}

pub(crate) unsafe fn MPI_Graph_neighbors_count(comm: Comm, rank: c_int, nneighbors: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let nneighbors = unsafe { Out::new(nneighbors, "nneighbors") }?;
    nneighbors.set(int(graph::neighbors(&*core(comm)?, rank)?.len()));
    Ok(())
}

pub(crate) unsafe fn MPI_Graph_neighbors(
    comm: Comm,
    rank: c_int,
    maxneighbors: c_int,
    neighbors: *mut c_int,
) -> Result<()> {
    let core = core(comm)?;
    let found = graph::neighbors(&core, rank)?;
    too_short("maxneighbors", maxneighbors, found.len(), "process has more neighbors")?;
    // SAFETY: the C caller's word for an array of `maxneighbors` elements.
    unsafe { args::put_array(neighbors, maxneighbors, found, "neighbors") }
}

/// The weights of `n` edges, none if there are none.
///
/// # Safety
/// `weights` is null, one of the two constants, or valid for reads of `n` elements while the result is used.
unsafe fn weights<'a>(weights: *const c_int, n: c_int, name: &str) -> Result<Option<&'a [c_int]>> {
    if weights == MPI_UNWEIGHTED {
        return Ok(None);
    }
    if weights == MPI_WEIGHTS_EMPTY && n > 0 {
        return Err(Error::new(MPI_ERR_ARG, format!("{name} is MPI_WEIGHTS_EMPTY, but there are {n} edges")));
    }
    // SAFETY: neither of the constants, or no elements (above); the caller's duty.
    unsafe { args::array(weights, n, name) }.map(Some)
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Dist_graph_create_adjacent(
    comm_old: Comm,
    indegree: c_int,
    sources: *const c_int,
    sourceweights: *const c_int,
    outdegree: c_int,
    destinations: *const c_int,
    destweights: *const c_int,
    info: Info,
    _reorder: c_int,
    comm_dist_graph: *mut Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let comm_dist_graph = unsafe { Out::new(comm_dist_graph, "comm_dist_graph") }?;
    // SAFETY: the C caller's word for arrays of `indegree` elements.
    let (sources, incoming) =
        unsafe { (args::array(sources, indegree, "sources")?, weights(sourceweights, indegree, "sourceweights")?) };
    // SAFETY: the C caller's word for arrays of `outdegree` elements.
    let (destinations, outgoing) = unsafe {
        (args::array(destinations, outdegree, "destinations")?, weights(destweights, outdegree, "destweights")?)
    };
    if incoming.is_some() != outgoing.is_some() {
        return Err(Error::new(MPI_ERR_ARG, "only one of sourceweights and destweights is MPI_UNWEIGHTED"));
    }
    with(|e| info::optional(&e.objects, info))?;
    let edges = Edges {
        sources: sources.to_vec(),
        destinations: destinations.to_vec(),
        weights: incoming.zip(outgoing).map(|(incoming, outgoing)| (incoming.to_vec(), outgoing.to_vec())),
    };
    comm_dist_graph.set(distributed::create_adjacent(comm_old, edges)?);
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the arguments of the C function")]
pub(crate) unsafe fn MPI_Dist_graph_create(
    comm_old: Comm,
    n: c_int,
    sources: *const c_int,
    degrees: *const c_int,
    destinations: *const c_int,
    weights_: *const c_int,
    info: Info,
    _reorder: c_int,
    comm_dist_graph: *mut Comm,
) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let comm_dist_graph = unsafe { Out::new(comm_dist_graph, "comm_dist_graph") }?;
    // SAFETY: the C caller's word for arrays of `n` elements.
    let (sources, degrees) = unsafe { (args::array(sources, n, "sources")?, args::array(degrees, n, "degrees")?) };
    let count = Given::edge_count(degrees)?;
    // SAFETY: the C caller's word for arrays of as many elements as the degrees make together.
    let (destinations, weights) =
        unsafe { (args::array(destinations, count, "destinations")?, weights(weights_, count, "weights")?) };
    with(|e| info::optional(&e.objects, info))?;
    comm_dist_graph.set(distributed::create(comm_old, &Given { sources, degrees, destinations, weights })?);
    Ok(())
}

pub(crate) unsafe fn MPI_Dist_graph_neighbors_count(
    comm: Comm,
    indegree: *mut c_int,
    outdegree: *mut c_int,
    weighted: *mut c_int,
) -> Result<()> {
    // SAFETY: the C caller's word for the addresses.
    let (indegree, outdegree, weighted) = unsafe {
        (Out::new(indegree, "indegree")?, Out::new(outdegree, "outdegree")?, Out::new(weighted, "weighted")?)
    };
    let core = core(comm)?;
    let edges = distributed::of(&core)?;
    indegree.set(int(edges.sources.len()));
    outdegree.set(int(edges.destinations.len()));
    weighted.set_flag(edges.weights.is_some());
    Ok(())
}

/// Of arrays that are too short for all edges the standard wants the first part filled. Without weights those of the
/// caller stay as they are.
pub(crate) unsafe fn MPI_Dist_graph_neighbors(
    comm: Comm,
    maxindegree: c_int,
    sources: *mut c_int,
    sourceweights: *mut c_int,
    maxoutdegree: c_int,
    destinations: *mut c_int,
    destweights: *mut c_int,
) -> Result<()> {
    let core = core(comm)?;
    let edges = distributed::of(&core)?;
    // SAFETY: the C caller's word for arrays of `maxindegree` and `maxoutdegree` elements.
    unsafe {
        args::put_array(sources, maxindegree, &edges.sources, "sources")?;
        args::put_array(destinations, maxoutdegree, &edges.destinations, "destinations")?;
    }
    let Some((incoming, outgoing)) = &edges.weights else { return Ok(()) };
    let wanted = |place: *mut c_int| place.cast_const() != MPI_UNWEIGHTED && place.cast_const() != MPI_WEIGHTS_EMPTY;
    if wanted(sourceweights) {
        // SAFETY: the C caller's word for an array of `maxindegree` elements.
        unsafe { args::put_array(sourceweights, maxindegree, incoming, "sourceweights") }?;
    }
    if wanted(destweights) {
        // SAFETY: the C caller's word for an array of `maxoutdegree` elements.
        unsafe { args::put_array(destweights, maxoutdegree, outgoing, "destweights") }?;
    }
    Ok(())
}
