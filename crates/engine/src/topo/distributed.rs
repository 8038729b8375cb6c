//! Graphs of processes of which each process knows its own edges (MPI-5.0 section 8.5.4).

use super::{Topology, other, parent};
use crate::coll::internal;
use crate::comm::{CommCore, bad_rank};
use crate::comm_manage::agree::{self, PAIR, Reader};
use crate::status::Call;
use crate::{Error, Result};
use mpi_abi::Comm as Handle;
use mpi_abi::consts::MPI_ERR_ARG;
use std::ffi::c_int;
use std::sync::Arc;

/// The edges of one process.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// Where edges come from.
    pub sources: Vec<c_int>,
    /// Where edges lead.
    pub destinations: Vec<c_int>,
    /// Their weights, if they have any: of the incoming and of the outgoing ones.
    pub weights: Option<(Vec<c_int>, Vec<c_int>)>,
}

/// The edges of the calling process in a communicator.
pub fn of(core: &CommCore) -> Result<&Edges> {
    match core.topology.as_deref() {
        Some(Topology::Distributed(edges)) => Ok(edges),
        _ => Err(other(core, "a distributed graph")),
    }
}

fn check_ranks(what: &str, ranks: &[c_int], size: u32) -> Result<()> {
    match ranks.iter().enumerate().find(|(_, rank)| u32::try_from(**rank).ok().is_none_or(|rank| rank >= size)) {
        None => Ok(()),
        Some((i, rank)) => Err(bad_rank(&format!("{what}[{i}]"), *rank, size)),
    }
}

fn check_weights(what: &str, weights: &[c_int]) -> Result<()> {
    match weights.iter().enumerate().find(|(_, weight)| **weight < 0) {
        None => Ok(()),
        Some((i, weight)) => {
            Err(Error::new(MPI_ERR_ARG, format!("{what}[{i}] is {weight}: a weight must not be negative")))
        }
    }
}

/// A communicator with a graph of which every process gives its own edges, both ways.
pub fn create_adjacent(comm: Handle, edges: Edges) -> Result<Handle> {
    let parent = parent(comm)?;
    let size = parent.core.size();
    check_ranks("sources", &edges.sources, size)?;
    check_ranks("destinations", &edges.destinations, size)?;
    if let Some((incoming, outgoing)) = &edges.weights {
        check_weights("sourceweights", incoming)?;
        check_weights("destweights", outgoing)?;
    }
    let context = agree::contexts(&parent.turn(Call::DistGraphCreateAdjacent)?, PAIR)?;
    let group = Arc::clone(&parent.core.group);
    Ok(parent.intra(context, group, Some(Arc::new(Topology::Distributed(edges)))))
}

/// Some edges of a graph, of any processes.
pub struct Given<'a> {
    /// Where edges come from.
    pub sources: &'a [c_int],
    /// How many edges come from each of them.
    pub degrees: &'a [c_int],
    /// Where the edges lead: first those of the first source, and so on.
    pub destinations: &'a [c_int],
    /// Their weights, if they have any.
    pub weights: Option<&'a [c_int]>,
}

impl Given<'_> {
    /// How many edges `degrees` speaks of: a number that C can hold.
    pub fn edge_count(degrees: &[c_int]) -> Result<c_int> {
        let mut sum: c_int = 0;
        for (i, degree) in degrees.iter().enumerate() {
            if *degree < 0 {
                return Err(Error::new(MPI_ERR_ARG, format!("degrees[{i}] is {degree}: it must not be negative")));
            }
            sum = sum
                .checked_add(*degree)
                .ok_or_else(|| Error::new(MPI_ERR_ARG, format!("degrees speaks of more than {} edges", c_int::MAX)))?;
        }
        Ok(sum)
    }

    fn check(&self, size: u32) -> Result<()> {
        check_ranks("sources", self.sources, size)?;
        check_ranks("destinations", self.destinations, size)?;
        check_weights("weights", self.weights.unwrap_or_default())
    }

    /// Whether there are weights; then source, destination and weight of each edge.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = u32::from(self.weights.is_some()).to_le_bytes().to_vec();
        let mut at = 0;
        for (source, degree) in self.sources.iter().zip(self.degrees) {
            for _ in 0..*degree {
                let (to, weight) = (self.destinations.get(at), self.weights.and_then(|weights| weights.get(at)));
                for number in [Some(source), to, weight] {
                    bytes.extend(number.copied().unwrap_or(0).to_le_bytes());
                }
                at += 1;
            }
        }
        bytes
    }
}

/// A communicator with a graph of which every process gives any edges.
///
/// The first process collects all edges and gives each one its own: in the order of the ranks that
/// gave them, so that of several edges between two processes the first is the first at both ends.
pub fn create(comm: Handle, given: &Given<'_>) -> Result<Handle> {
    let parent = parent(comm)?;
    let core = &parent.core;
    given.check(core.size())?;
    let turn = &parent.turn(Call::DistGraphCreate)?;
    let all = internal::gather(turn, &given.to_bytes())?;
    let told = if core.rank == 0 {
        match sort(&all) {
            Ok(edges) => {
                let head = [1, agree::take(PAIR)?].map(u32::to_le_bytes).concat();
                (0..core.size() as usize).map(|rank| [&head[..], &edges.to_bytes(rank)].concat()).collect()
            }
            Err(error) => vec![agree::failure(&error); core.size() as usize],
        }
    } else {
        Vec::new()
    };
    let mine = internal::scatter(turn, told)?;
    let mut reader = Reader(&mine);
    let context = agree::success(&mut reader)?;
    let edges = read_edges(&mut reader)?;
    let group = Arc::clone(&core.group);
    Ok(parent.intra(context, group, Some(Arc::new(Topology::Distributed(edges)))))
}

/// All edges, by process.
#[derive(Default)]
struct Sorted {
    weighted: bool,
    /// Source, destination, weight.
    edges: Vec<[u32; 3]>,
    /// Places in `edges`, by destination.
    incoming: Vec<Vec<u32>>,
    /// The same by source.
    outgoing: Vec<Vec<u32>>,
}

/// Sorts what the processes gave.
fn sort(all: &[Vec<u8>]) -> Result<Sorted> {
    let mut sorted =
        Sorted { incoming: vec![Vec::new(); all.len()], outgoing: vec![Vec::new(); all.len()], ..Sorted::default() };
    for (rank, bytes) in all.iter().enumerate() {
        let mut reader = Reader(bytes);
        let weighted = reader.number()? != 0;
        if rank == 0 {
            sorted.weighted = weighted;
        } else if weighted != sorted.weighted {
            let what = |weighted| if weighted { "weights" } else { "MPI_UNWEIGHTED" };
            return Err(Error::new(
                MPI_ERR_ARG,
                format!(
                    "rank 0 gives {}, rank {rank} gives {}: all must give weights or none",
                    what(sorted.weighted),
                    what(weighted)
                ),
            ));
        }
        while !reader.0.is_empty() {
            let edge = [reader.number()?, reader.number()?, reader.number()?];
            let place = u32::try_from(sorted.edges.len()).unwrap_or(u32::MAX);
            sorted.outgoing.get_mut(edge[0] as usize).ok_or_else(agree::not_alike)?.push(place);
            sorted.incoming.get_mut(edge[1] as usize).ok_or_else(agree::not_alike)?.push(place);
            sorted.edges.push(edge);
        }
    }
    Ok(sorted)
}

impl Sorted {
    /// The edges of `rank`: whether they have weights, then lists of sources, their weights,
    /// destinations and theirs.
    fn to_bytes(&self, rank: usize) -> Vec<u8> {
        let mut bytes = u32::from(self.weighted).to_le_bytes().to_vec();
        for (places, end) in [(&self.incoming[rank], 0), (&self.outgoing[rank], 1)] {
            for what in [end, 2] {
                agree::write_numbers(&mut bytes, places.iter().map(|place| self.edges[*place as usize][what]));
            }
        }
        bytes
    }
}

fn read_edges(reader: &mut Reader<'_>) -> Result<Edges> {
    let weighted = reader.number()? != 0;
    let mut list = || -> Result<Vec<c_int>> { Ok(reader.numbers()?.into_iter().map(u32::cast_signed).collect()) };
    let (sources, incoming, destinations, outgoing) = (list()?, list()?, list()?, list()?);
    Ok(Edges { sources, destinations, weights: weighted.then_some((incoming, outgoing)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(
        sources: &'a [c_int],
        degrees: &'a [c_int],
        to: &'a [c_int],
        weights: Option<&'a [c_int]>,
    ) -> Given<'a> {
        Given { sources, degrees, destinations: to, weights }
    }

    #[test]
    fn edges_come_to_both_ends_in_one_order() {
        let all = [
            given(&[1, 0], &[2, 1], &[2, 2, 0], Some(&[7, 8, 9])).to_bytes(),
            given(&[], &[], &[], Some(&[])).to_bytes(),
            given(&[2, 1], &[1, 1], &[1, 2], Some(&[4, 5])).to_bytes(),
        ];
        let sorted = sort(&all).expect("edges");
        let edges = |rank| read_edges(&mut Reader(&sorted.to_bytes(rank)));
        let one = |sources: &[c_int], destinations: &[c_int], incoming: &[c_int], outgoing: &[c_int]| Edges {
            sources: sources.to_vec(),
            destinations: destinations.to_vec(),
            weights: Some((incoming.to_vec(), outgoing.to_vec())),
        };
        assert_eq!(edges(0), Ok(one(&[0], &[0], &[9], &[9])));
        assert_eq!(edges(1), Ok(one(&[2], &[2, 2, 2], &[4], &[7, 8, 5])));
        assert_eq!(edges(2), Ok(one(&[1, 1, 1], &[1], &[7, 8, 5], &[4])));
    }

    #[test]
    fn some_with_weights_and_some_without_is_an_error_that_names_them() {
        let none = given(&[0], &[1], &[0], None).to_bytes();
        let some = given(&[0], &[1], &[0], Some(&[1])).to_bytes();
        let text = sort(&[none.clone(), none.clone(), some]).map(|_| ()).unwrap_err().text;
        assert!(text.starts_with("rank 0 gives MPI_UNWEIGHTED, rank 2 gives weights"), "{text}");
        let edges = sort(&[none.clone(), none]).and_then(|sorted| read_edges(&mut Reader(&sorted.to_bytes(0))));
        assert_eq!(edges.map(|edges| (edges.sources, edges.weights)), Ok((vec![0, 0], None)));
    }

    #[test]
    fn what_is_no_edge_is_named() {
        assert_eq!(Given::edge_count(&[1, 0, 3]), Ok(4));
        assert!(Given::edge_count(&[1, -1]).unwrap_err().text.contains("degrees[1] is -1"));
        assert!(Given::edge_count(&[c_int::MAX, 1]).unwrap_err().text.contains("more than 2147483647"));
        let error = |given: Given<'_>| given.check(2).unwrap_err().text;
        assert!(error(given(&[0, 2], &[0, 0], &[], None)).contains("sources[1]"));
        assert!(error(given(&[0], &[1], &[-1], None)).contains("destinations[0]"));
        assert!(error(given(&[0], &[1], &[1], Some(&[-1]))).contains("weights[0] is -1"));
        let bytes = given(&[5], &[1], &[0], None).to_bytes();
        assert_eq!(sort(&[bytes]).map(|_| ()).map_err(|e| e.class), Err(mpi_abi::consts::MPI_ERR_OTHER));
    }
}
