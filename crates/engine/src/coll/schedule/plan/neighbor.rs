//! Collectives of neighbours: a message along each edge of the topology.
//!
//! Where two processes are neighbours more than once, messages go in the order in which the edges are listed. In a
//! grid that is another one at both ends: what goes to the neighbour before me comes to that one from behind. So
//! both directions of all dimensions have lanes of their own, and who is his own neighbour gets from one side what
//! he sends to the other.

use super::super::Bytes;
use super::super::build::Builder;
use super::apart;
use crate::Result;
use crate::coll::{Arg, Row};
use crate::topo::{self, Neighbors};
use std::ffi::c_int;

/// The edges of this process.
pub(super) struct Edges {
    pub(super) sources: Vec<c_int>,
    pub(super) destinations: Vec<c_int>,
    grid: bool,
}

impl Edges {
    /// The lane of what comes from source `i`.
    pub(super) fn lane_in(&self, i: usize) -> usize {
        if self.grid { i } else { 0 }
    }

    /// The lane of what goes to destination `i`: that of the opposite direction.
    pub(super) fn lane_out(&self, i: usize) -> usize {
        if self.grid { i ^ 1 } else { 0 }
    }
}

impl Builder<'_> {
    pub(super) fn neighbor_allgather(&mut self, send: &Arg, recv: &Row) -> Result<()> {
        let edges = self.edges()?;
        let mine = self.bytes(send)?;
        let outgoing = vec![mine; edges.destinations.len()];
        let incoming = self.row(recv, edges.sources.len())?;
        self.along(&edges, outgoing, incoming)
    }

    pub(super) fn neighbor_alltoall(&mut self, send: &Row, recv: &Row) -> Result<()> {
        let edges = self.edges()?;
        let outgoing = self.row(send, edges.destinations.len())?;
        let incoming = self.row(recv, edges.sources.len())?;
        self.along(&edges, outgoing, incoming)
    }

    pub(super) fn edges(&self) -> Result<Edges> {
        let topology = topo::needed(self.core)?;
        let Neighbors { sources, destinations } = topology.neighbors(self.core.rank);
        Ok(Edges { sources, destinations, grid: topology.is_grid() })
    }

    /// The rank in the job of a neighbour; none beyond the border of a grid.
    pub(super) fn neighbor(&self, rank: c_int) -> Option<u32> {
        u32::try_from(rank).ok().and_then(|rank| self.core.group.world_rank(rank))
    }

    fn along(&mut self, edges: &Edges, outgoing: Vec<Bytes>, incoming: Vec<Bytes>) -> Result<()> {
        apart(&outgoing, &incoming)?;
        let me = self.e.me;
        // What comes from myself, by lane, until it is given away.
        let mut own = Vec::new();
        for (i, (source, bytes)) in edges.sources.iter().zip(incoming).enumerate() {
            match self.neighbor(*source) {
                Some(world) if world == me => own.push((edges.lane_in(i), bytes)),
                Some(world) => drop(self.recv_in(edges.lane_in(i), world, bytes)),
                None => {}
            }
        }
        for (i, (destination, bytes)) in edges.destinations.iter().zip(outgoing).enumerate() {
            let lane = edges.lane_out(i);
            match self.neighbor(*destination) {
                Some(world) if world == me => {
                    if let Some(at) = own.iter().position(|(to, _)| *to == lane) {
                        let (_, to) = own.remove(at);
                        self.copy_own(bytes, to)?;
                    }
                }
                Some(world) => drop(self.send_in(lane, world, bytes)),
                None => {}
            }
        }
        Ok(())
    }
}
