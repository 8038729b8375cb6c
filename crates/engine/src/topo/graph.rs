//! Graphs of processes that every process knows whole (MPI-5.0 sections 8.5.3 and 8.5.5).

use super::{Topology, first, mapped, other, parent};
use crate::comm::{CommCore, bad_rank};
use crate::comm_manage::agree::{self, PAIR};
use crate::status::Call;
use crate::{Engine, Error, Result};
use mpi_abi::Comm as Handle;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_ERR_ARG};
use std::ffi::c_int;
use std::sync::Arc;

/// A graph: the neighbours of node `i` are the edges from `index[i - 1]` (0 for the first node) to
/// `index[i]`. An edge may lead to its own node, be there more than once, and in one direction only.
#[derive(Debug, PartialEq, Eq)]
pub struct Graph {
    /// Where the edges of each node end.
    pub index: Box<[c_int]>,
    /// Where they lead.
    pub edges: Box<[c_int]>,
}

impl Graph {
    /// How many edges `index` speaks of, if it is one for at most `room` processes.
    pub fn edge_count(index: &[c_int], room: u32) -> Result<usize> {
        if index.len() > room as usize {
            return Err(Error::new(
                MPI_ERR_ARG,
                format!("a graph of {} nodes needs as many processes, but the communicator has {room}", index.len()),
            ));
        }
        let mut last = 0;
        for (i, end) in index.iter().enumerate() {
            if *end < last {
                return Err(Error::new(
                    MPI_ERR_ARG,
                    format!("index[{i}] is {end} after {last}: it counts the neighbours of all nodes so far"),
                ));
            }
            last = *end;
        }
        Ok(usize::try_from(last).unwrap_or(0))
    }

    /// The graph that the arguments of a call describe; `index` is checked.
    fn new(index: &[c_int], edges: &[c_int]) -> Result<Self> {
        let nodes = index.len();
        match edges.iter().enumerate().find(|(_, to)| usize::try_from(**to).ok().is_none_or(|to| to >= nodes)) {
            None => Ok(Self { index: index.into(), edges: edges.into() }),
            Some((i, to)) => Err(Error::new(
                MPI_ERR_ARG,
                format!("edges[{i}] is {to}, but the graph has nodes 0 to {}", nodes.saturating_sub(1)),
            )),
        }
    }

    fn nodes(&self) -> u32 {
        u32::try_from(self.index.len()).unwrap_or(u32::MAX)
    }

    /// The neighbours of a node; none for one that is not there.
    pub fn neighbors(&self, node: u32) -> &[c_int] {
        let node = node as usize;
        let end = |i: usize| self.index.get(i).and_then(|end| usize::try_from(*end).ok());
        let from = if node == 0 { Some(0) } else { end(node - 1) };
        from.zip(end(node)).and_then(|(from, to)| self.edges.get(from..to)).unwrap_or_default()
    }
}

/// The graph of a communicator.
pub fn of(core: &CommCore) -> Result<&Graph> {
    match core.topology.as_deref() {
        Some(Topology::Graph(graph)) => Ok(graph),
        _ => Err(other(core, "a graph")),
    }
}

/// The neighbours of any rank of a graph.
pub fn neighbors(core: &CommCore, rank: c_int) -> Result<&[c_int]> {
    let graph = of(core)?;
    let known = u32::try_from(rank).ok().filter(|rank| *rank < core.size());
    Ok(graph.neighbors(known.ok_or_else(|| bad_rank("the process asked about", rank, core.size()))?))
}

/// How many edges belong to `index` on a communicator: the length of the array of edges.
pub fn edge_count(e: &Engine, comm: Handle, index: &[c_int]) -> Result<usize> {
    Graph::edge_count(index, e.comm(comm)?.core.size())
}

/// A communicator whose first processes are the nodes of a graph; null for the others, and for all
/// if there are no nodes.
pub fn create(comm: Handle, index: &[c_int], edges: &[c_int]) -> Result<Handle> {
    let parent = parent(comm)?;
    let graph = Graph::new(index, edges)?;
    if graph.nodes() == 0 {
        return Ok(MPI_COMM_NULL);
    }
    let group = first(&parent.core.group, graph.nodes());
    let context = agree::contexts(&parent.turn(Call::GraphCreate)?, PAIR)?;
    Ok(parent.intra(context, group, Some(Arc::new(Topology::Graph(graph)))))
}

/// The rank that the calling process has in such a graph, MPI_UNDEFINED outside of it.
pub fn map(e: &Engine, comm: Handle, index: &[c_int], edges: &[c_int]) -> Result<c_int> {
    let core = &e.comm(comm)?.core;
    Ok(mapped(core.rank, Graph::new(index, edges)?.nodes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_standard() {
        let (index, edges) = ([2, 3, 4, 6], [1, 3, 0, 3, 0, 2]);
        assert_eq!(Graph::edge_count(&index, 4), Ok(6));
        let graph = Graph::new(&index, &edges).expect("a graph");
        let all: Vec<_> = (0..5).map(|node| graph.neighbors(node)).collect();
        assert_eq!(all, [&[1, 3][..], &[0], &[3], &[0, 2], &[]]);
    }

    #[test]
    fn what_is_no_graph_is_refused() {
        let text = |result: Result<usize>| result.map_err(|error| error.text);
        assert!(text(Graph::edge_count(&[1, 2, 3], 2)).unwrap_err().contains("3 nodes"));
        assert!(text(Graph::edge_count(&[2, 1], 2)).unwrap_err().contains("index[1] is 1 after 2"));
        assert!(text(Graph::edge_count(&[-1], 2)).unwrap_err().contains("index[0] is -1"));
        for edge in [-1, 2] {
            assert_eq!(Graph::new(&[1, 2], &[1, edge]).map_err(|e| e.class), Err(MPI_ERR_ARG));
        }
    }
}
