//! Process topologies (MPI-5.0 chapter 8): who is whose neighbour. A topology is made with its
//! communicator, never changes, and goes on to duplicates.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | what a communicator may have; neighbours in the order of neighbourhood collectives |
//! | `dims.rs` | sizes for the dimensions of a grid |
//! | `cart.rs` | grids: ranks and coordinates, shifts, grids of fewer dimensions |
//! | `graph.rs` | graphs that every process knows whole |
//! | `distributed.rs` | graphs of which a process knows its own edges |
//!
//! `reorder` changes nothing: all processes are on one machine, and the launcher has placed the
//! ranks. So a new rank is the old one, and `MPI_Cart_map` and `MPI_Graph_map` say the same.

pub mod cart;
pub mod dims;
pub mod distributed;
pub mod graph;

use crate::comm::CommCore;
use crate::comm_manage::Parent;
use crate::group::Group;
use crate::{Engine, Error, Result};
use cart::Grid;
use distributed::Edges;
use graph::Graph;
use mpi_abi::Comm as Handle;
use mpi_abi::consts::{
    MPI_CART, MPI_DIST_GRAPH, MPI_ERR_COMM, MPI_ERR_TOPOLOGY, MPI_GRAPH, MPI_PROC_NULL, MPI_UNDEFINED,
};
use std::ffi::c_int;
use std::sync::Arc;

/// How the processes of a communicator stand to each other.
#[derive(Debug)]
pub enum Topology {
    /// In a grid.
    Cart(Grid),
    /// In a graph.
    Graph(Graph),
    /// In a graph of which this process knows its own edges.
    Distributed(Edges),
}

/// Whom a process hears from and whom it tells in a neighbourhood collective, as ranks of the
/// communicator; MPI_PROC_NULL beyond the border of a grid.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Neighbors {
    /// Messages come from these, in this order.
    pub sources: Vec<c_int>,
    /// Messages go to these, in this order.
    pub destinations: Vec<c_int>,
}

impl Topology {
    /// The constant that MPI_Topo_test gives.
    pub fn kind(&self) -> c_int {
        match self {
            Self::Cart(_) => MPI_CART,
            Self::Graph(_) => MPI_GRAPH,
            Self::Distributed(_) => MPI_DIST_GRAPH,
        }
    }

    /// The neighbours of `rank`, which is the calling process, in the order that section 8.6 gives.
    pub fn neighbors(&self, rank: u32) -> Neighbors {
        match self {
            Self::Cart(grid) => {
                let both = grid.neighbors(rank);
                Neighbors { sources: both.clone(), destinations: both }
            }
            Self::Graph(graph) => {
                let both: Vec<_> = graph.neighbors(rank).to_vec();
                Neighbors { sources: both.clone(), destinations: both }
            }
            Self::Distributed(edges) => {
                Neighbors { sources: edges.sources.clone(), destinations: edges.destinations.clone() }
            }
        }
    }

    /// Whether it is a grid.
    pub fn is_grid(&self) -> bool {
        matches!(self, Self::Cart(_))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Cart(_) => "a Cartesian topology",
            Self::Graph(_) => "a graph topology",
            Self::Distributed(_) => "a distributed graph topology",
        }
    }
}

/// The kind of topology of a communicator, MPI_UNDEFINED if it has none.
pub fn test(e: &Engine, comm: Handle) -> Result<c_int> {
    Ok(e.comm(comm)?.core.topology.as_ref().map_or(MPI_UNDEFINED, |topology| topology.kind()))
}

/// The topology of a communicator, which collectives of neighbours need.
pub(crate) fn needed(core: &CommCore) -> Result<&Topology> {
    core.topology.as_deref().ok_or_else(|| {
        Error::new(
            MPI_ERR_TOPOLOGY,
            "collectives of neighbours need a communicator with a topology (MPI_Cart_create, MPI_Graph_create, \
             MPI_Dist_graph_create): this one has none",
        )
    })
}

/// The neighbours of the calling process in a communicator.
pub fn neighbors(e: &Engine, comm: Handle) -> Result<Neighbors> {
    let core = &e.comm(comm)?.core;
    Ok(needed(core)?.neighbors(core.rank))
}

/// The error for a communicator without the topology that is needed.
#[cold]
fn other(core: &CommCore, needed: &str) -> Error {
    let has = core.topology.as_ref().map_or("no topology", |topology| topology.name());
    Error::new(MPI_ERR_TOPOLOGY, format!("the communicator has {has}, where {needed} is needed"))
}

/// The communicator that gets a topology.
fn parent(comm: Handle) -> Result<Parent> {
    let parent = Parent::of(comm)?;
    if parent.core.remote.is_some() {
        return Err(Error::new(MPI_ERR_COMM, "an intercommunicator cannot have a topology"));
    }
    Ok(parent)
}

/// The first `count` processes of a group: those that stand in a topology of `count`.
fn first(group: &Arc<Group>, count: u32) -> Arc<Group> {
    if count == group.size() {
        return Arc::clone(group);
    }
    Arc::new(Group::from_ranks(group.iter().take(count as usize).collect()))
}

/// The rank that `rank` of the old communicator has in a topology of `count`.
fn mapped(rank: u32, count: u32) -> c_int {
    if rank < count { number(rank) } else { MPI_UNDEFINED }
}

/// A rank or coordinate for C.
fn number(rank: u32) -> c_int {
    c_int::try_from(rank).unwrap_or(MPI_PROC_NULL)
}
