//! Duplicates, parts and splits of communicators (MPI-5.0 section 7.4.2).

use super::agree::{self, Inter, PAIR, Reader, TRIPLE, write_numbers};
use super::{Parent, world_rank};
use crate::coll::internal;
use crate::coll::turn::Turn;
use crate::group::Group;
use crate::status::Call;
use crate::{Error, Result};
use mpi_abi::Comm as Handle;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_ERR_ARG, MPI_ERR_COMM, MPI_ERR_GROUP, MPI_ERR_TAG, MPI_UNDEFINED};
use std::collections::BTreeSet;
use std::ffi::c_int;
use std::sync::Arc;

/// A communicator with the same group or groups, topology and error handler as `comm`. Attributes are
/// the shim's part.
pub fn dup(comm: Handle) -> Result<Handle> {
    let parent = Parent::of(comm)?;
    match &parent.core.remote {
        None => {
            let context = agree::contexts(&parent.turn(Call::CommDup)?, PAIR)?;
            Ok(parent.intra(context, Arc::clone(&parent.core.group), parent.core.topology.clone()))
        }
        Some(remote) => {
            let (base, first, _) = agree::across(&parent.turn(Call::CommDup)?, &[], TRIPLE)?;
            Ok(parent.inter(Inter::new(base, first), Arc::clone(&parent.core.group), Arc::clone(remote)))
        }
    }
}

/// Communicators of the members' groups: each process gives one that it is in, or any that it is
/// not in; those in the same group give the same.
pub fn create(comm: Handle, group: &Group) -> Result<Handle> {
    let parent = Parent::of(comm)?;
    check_subset(group, &parent.core.group)?;
    if parent.core.remote.is_some() {
        return create_inter(&parent, group);
    }
    // Groups are told apart by their first member; who is in none takes part all the same.
    let inside = group.contains(parent.me);
    let first = group.world_rank(0).filter(|_| inside).and_then(|world| parent.core.group.rank_of(world));
    let color = first.map_or(MPI_UNDEFINED, u32::cast_signed);
    let table = Table::gather(&parent.turn(Call::CommCreate)?, color, 0)?;
    match table.context_of(color) {
        Some(context) => Ok(parent.intra(context, Arc::new(group.clone()), None)),
        None => Ok(MPI_COMM_NULL),
    }
}

fn create_inter(parent: &Parent, group: &Group) -> Result<Handle> {
    // Everybody on a side gives the same group, so each side's first rank speaks for all.
    let mut mine = Vec::new();
    write_numbers(&mut mine, group.iter());
    let (base, first, theirs) = agree::across(&parent.turn(Call::CommCreate)?, &mine, TRIPLE)?;
    let remote = Reader(&theirs).group()?;
    Ok(parent.inter(Inter::new(base, first), Arc::new(group.clone()), Arc::new(remote)))
}

/// A communicator of `group`, made by its members alone. `tag` keeps calls of several threads apart.
pub fn create_group(comm: Handle, group: &Group, tag: c_int) -> Result<Handle> {
    let parent = Parent::of(comm)?;
    if parent.core.remote.is_some() {
        return Err(Error::new(
            MPI_ERR_COMM,
            "the communicator is an intercommunicator, an intracommunicator is needed",
        ));
    }
    if tag < 0 {
        return Err(Error::new(MPI_ERR_TAG, format!("the tag is {tag}: it must not be negative")));
    }
    check_subset(group, &parent.core.group)?;
    if !group.contains(parent.me) {
        return Ok(MPI_COMM_NULL);
    }
    let context = among(group, parent.me, parent.core.context + 1, agree::private(tag))?;
    Ok(parent.intra(context, Arc::new(group.clone()), None))
}

/// A context pair that the members of `group`, of which `me` is one, agree on: its first member
/// takes it and tells the others on `context` with `tag`.
pub(super) fn among(group: &Group, me: u32, context: u32, tag: c_int) -> Result<u32> {
    let first = world_rank(group, 0)?;
    if first != me {
        return Reader(&agree::hear(Call::CommCreateGroup, None, context, first, tag)?).number();
    }
    let taken = agree::take(PAIR)?;
    for member in group.iter().skip(1) {
        agree::tell(context, member, tag, &taken.to_le_bytes())?;
    }
    Ok(taken)
}

fn check_subset(group: &Group, of: &Group) -> Result<()> {
    match group.iter().zip(0u32..).find(|(world, _)| !of.contains(*world)) {
        None => Ok(()),
        Some((world, rank)) => Err(Error::new(
            MPI_ERR_GROUP,
            format!(
                "rank {rank} of the group of {} (rank {world} of the job) is not in the communicator of {}",
                group.size(),
                of.size()
            ),
        )),
    }
}

/// Communicators of the members with the same `color`, ordered by `key`, then by rank.
pub fn split(comm: Handle, color: c_int, key: c_int) -> Result<Handle> {
    split_in(Call::CommSplit, comm, color, key)
}

/// The same as a part of another call.
pub(super) fn split_in(call: Call, comm: Handle, color: c_int, key: c_int) -> Result<Handle> {
    if color < 0 && color != MPI_UNDEFINED {
        return Err(Error::new(
            MPI_ERR_ARG,
            format!("the color is {color}: it must not be negative, unless it is MPI_UNDEFINED"),
        ));
    }
    let parent = Parent::of(comm)?;
    if parent.core.remote.is_some() {
        return split_inter(&parent, call, color, key);
    }
    let table = Table::gather(&parent.turn(call)?, color, key)?;
    match table.context_of(color) {
        Some(context) => Ok(parent.intra(context, Arc::new(table.members(color, &parent.core.group)), None)),
        None => Ok(MPI_COMM_NULL),
    }
}

fn split_inter(parent: &Parent, call: Call, color: c_int, key: c_int) -> Result<Handle> {
    let turn = &parent.turn(call)?;
    let mine = Table::collect(turn, color, key, 0)?;
    // A triple for each color that my side may have: enough whichever side's numbers are used.
    let (base, first, theirs) = agree::across(turn, &mine.to_bytes(), TRIPLE * parent.core.size())?;
    let theirs = Table::read(&theirs)?;
    let remote = parent.core.peers();
    let position = mine.colors().intersection(&theirs.colors()).position(|common| *common == color);
    let Some(position) = position.and_then(|position| u32::try_from(position).ok()) else {
        return Ok(MPI_COMM_NULL);
    };
    let contexts = Inter::new(base + TRIPLE * position, first);
    let (local, remote) = (mine.members(color, &parent.core.group), theirs.members(color, remote));
    Ok(parent.inter(contexts, Arc::new(local), Arc::new(remote)))
}

/// What the members of a communicator brought to a split, by rank.
struct Table {
    rows: Vec<(c_int, c_int)>,
    base: u32,
}

impl Table {
    /// Collects the rows and takes a context pair for each color.
    fn gather(turn: &Turn<'_>, color: c_int, key: c_int) -> Result<Self> {
        let core = turn.on;
        // The first rank does not know yet how many colors there are: at most one for each rank.
        let most = PAIR * core.size();
        let base = if core.rank == 0 { agree::take(most)? } else { 0 };
        let table = Self::collect(turn, color, key, base)?;
        if core.rank == 0 {
            let used = PAIR * u32::try_from(table.colors().len()).unwrap_or(u32::MAX);
            agree::give_back(base, most, most.saturating_sub(used));
        }
        Ok(table)
    }

    fn collect(turn: &Turn<'_>, color: c_int, key: c_int, base: u32) -> Result<Self> {
        let row = [color.cast_unsigned(), key.cast_unsigned(), base].map(u32::to_le_bytes).concat();
        let mut rows = Vec::new();
        let mut base = 0;
        for bytes in internal::allgather(turn, &row)? {
            let mut reader = Reader(&bytes);
            rows.push((reader.number()?.cast_signed(), reader.number()?.cast_signed()));
            base = base.max(reader.number()?);
        }
        Ok(Self { rows, base })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_numbers(
            &mut bytes,
            self.rows.iter().flat_map(|(color, key)| [color.cast_unsigned(), key.cast_unsigned()]),
        );
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let numbers = Reader(bytes).numbers()?;
        let rows = numbers.chunks_exact(2).map(|row| (row[0].cast_signed(), row[1].cast_signed())).collect();
        Ok(Self { rows, base: 0 })
    }

    /// All colors in ascending order.
    fn colors(&self) -> BTreeSet<c_int> {
        self.rows.iter().map(|(color, _)| *color).filter(|color| *color != MPI_UNDEFINED).collect()
    }

    /// The first context number of the communicator of `color`.
    fn context_of(&self, color: c_int) -> Option<u32> {
        let position = self.colors().iter().position(|known| *known == color)?;
        Some(self.base + PAIR * u32::try_from(position).ok()?)
    }

    /// The members of `color` by key, then by rank, as processes of the job.
    fn members(&self, color: c_int, group: &Group) -> Group {
        let chosen = self.rows.iter().zip(0u32..).filter(|((this, _), _)| *this == color);
        let mut ranks: Vec<(c_int, u32)> = chosen.map(|((_, key), rank)| (*key, rank)).collect();
        ranks.sort_unstable();
        Group::from_ranks(ranks.into_iter().filter_map(|(_, rank)| group.world_rank(rank)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(c_int, c_int)]) -> Table {
        Table { rows: rows.to_vec(), base: 100 }
    }

    #[test]
    fn members_are_ordered_by_key_then_by_rank() {
        let table = table(&[(1, 5), (0, 0), (1, -3), (1, 5), (MPI_UNDEFINED, 9)]);
        let group = Group::from_ranks(vec![10, 11, 12, 13, 14]);
        assert_eq!(table.members(1, &group), Group::from_ranks(vec![12, 10, 13]));
        assert_eq!(table.members(0, &group), Group::from_ranks(vec![11]));
    }

    #[test]
    fn each_color_has_its_own_context_and_undefined_has_none() {
        let table = table(&[(7, 0), (MPI_UNDEFINED, 0), (3, 0), (7, 1)]);
        assert_eq!(table.context_of(3), Some(100));
        assert_eq!(table.context_of(7), Some(102));
        assert_eq!(table.context_of(MPI_UNDEFINED), None);
    }

    #[test]
    fn a_table_survives_the_way_to_the_other_side() {
        let rows = [(1, -5), (MPI_UNDEFINED, c_int::MAX)];
        assert_eq!(Table::read(&table(&rows).to_bytes()).map(|table| table.rows), Ok(rows.to_vec()));
    }

    #[test]
    fn a_group_outside_of_the_communicator_is_named() {
        let error = check_subset(&Group::from_ranks(vec![1, 9]), &Group::range(0, 4)).unwrap_err();
        assert_eq!(error.class, MPI_ERR_GROUP);
        assert!(error.text.starts_with("rank 1 of the group of 2 (rank 9 of the job)"), "{}", error.text);
    }
}
