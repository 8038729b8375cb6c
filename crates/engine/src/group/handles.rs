//! The functions behind `MPI_Group_*`: group handles in, numbers or new handles out. Called by the
//! shim under the engine's lock; `MPI_GROUP_EMPTY` names the empty group, wherever it came from.

use super::algebra::Triplet;
use super::{Comparison, Group};
use crate::error::{Error, Result};
use crate::objects::{self, Objects};
use mpi_abi::Group as Handle;
use mpi_abi::consts::{
    MPI_ERR_GROUP, MPI_GROUP_EMPTY, MPI_GROUP_NULL, MPI_IDENT, MPI_PROC_NULL, MPI_SIMILAR, MPI_UNDEFINED, MPI_UNEQUAL,
};
use std::ffi::c_int;
use std::sync::{Arc, LazyLock};

static EMPTY: LazyLock<Arc<Group>> = LazyLock::new(|| Arc::new(Group::empty()));

/// The group of a handle.
pub fn get(objects: &Objects, handle: Handle) -> Result<&Arc<Group>> {
    if let Some(group) = objects.groups.get(handle.raw()) {
        return Ok(group);
    }
    match handle {
        MPI_GROUP_EMPTY => Ok(&EMPTY),
        MPI_GROUP_NULL => Err(Error::new(MPI_ERR_GROUP, "MPI_GROUP_NULL where a group is needed")),
        _ => Err(objects::not_alive(MPI_ERR_GROUP, "group", objects.groups.why_stale(handle.raw()), handle.raw())),
    }
}

/// A handle for `group`.
pub fn create(objects: &mut Objects, group: Arc<Group>) -> Handle {
    if group.is_empty() { MPI_GROUP_EMPTY } else { Handle::from_raw(objects.groups.insert(group)) }
}

/// Ends a handle. `MPI_GROUP_EMPTY` may be freed as often as anybody likes: functions return it
/// when a result is empty, and their callers free what they got.
pub fn free(objects: &mut Objects, handle: Handle) -> Result<()> {
    get(objects, handle)?;
    objects.groups.remove(handle.raw());
    Ok(())
}

/// How many processes.
pub fn size(objects: &Objects, group: Handle) -> Result<u32> {
    Ok(get(objects, group)?.size())
}

/// The rank of the process `me` (its rank in the job), if it is a member.
pub fn rank(objects: &Objects, group: Handle, me: u32) -> Result<Option<u32>> {
    Ok(get(objects, group)?.rank_of(me))
}

/// `MPI_IDENT`, `MPI_SIMILAR` or `MPI_UNEQUAL`.
pub fn compare(objects: &Objects, one: Handle, other: Handle) -> Result<c_int> {
    let (one, other) = (get(objects, one)?, get(objects, other)?);
    Ok(match one.compare(other) {
        Comparison::Ident => MPI_IDENT,
        Comparison::Similar => MPI_SIMILAR,
        Comparison::Unequal => MPI_UNEQUAL,
    })
}

/// The ranks in `to` of the members with `ranks` in `from`, into `out`; `MPI_PROC_NULL` stays what
/// it is, and who is not in `to` gets `MPI_UNDEFINED`.
pub fn translate_ranks(
    objects: &Objects,
    from: Handle,
    ranks: &[c_int],
    to: Handle,
    mut out: impl FnMut(usize, c_int),
) -> Result<()> {
    let (from, to) = (get(objects, from)?, get(objects, to)?);
    for (position, rank) in ranks.iter().enumerate() {
        let there = if *rank == MPI_PROC_NULL {
            MPI_PROC_NULL
        } else {
            from.translate(*rank, position, to)?.map_or(MPI_UNDEFINED, u32::cast_signed)
        };
        out(position, there);
    }
    Ok(())
}

/// Both groups' members: see [`Group::union`].
pub fn union(objects: &mut Objects, one: Handle, other: Handle) -> Result<Handle> {
    two(objects, one, other, Group::union)
}

/// The common members: see [`Group::intersection`].
pub fn intersection(objects: &mut Objects, one: Handle, other: Handle) -> Result<Handle> {
    two(objects, one, other, Group::intersection)
}

/// The members of `one` only: see [`Group::difference`].
pub fn difference(objects: &mut Objects, one: Handle, other: Handle) -> Result<Handle> {
    two(objects, one, other, Group::difference)
}

/// The members with these ranks: see [`Group::incl`].
pub fn incl(objects: &mut Objects, group: Handle, ranks: &[c_int]) -> Result<Handle> {
    let new = get(objects, group)?.incl(ranks)?;
    Ok(create(objects, Arc::new(new)))
}

/// The members without these ranks: see [`Group::excl`].
pub fn excl(objects: &mut Objects, group: Handle, ranks: &[c_int]) -> Result<Handle> {
    let new = get(objects, group)?.excl(ranks)?;
    Ok(create(objects, Arc::new(new)))
}

/// The members with the ranks of these ranges: see [`Group::range_incl`].
pub fn range_incl(objects: &mut Objects, group: Handle, ranges: &[Triplet]) -> Result<Handle> {
    let new = get(objects, group)?.range_incl(ranges)?;
    Ok(create(objects, Arc::new(new)))
}

/// The members without the ranks of these ranges: see [`Group::range_excl`].
pub fn range_excl(objects: &mut Objects, group: Handle, ranges: &[Triplet]) -> Result<Handle> {
    let new = get(objects, group)?.range_excl(ranges)?;
    Ok(create(objects, Arc::new(new)))
}

fn two(
    objects: &mut Objects,
    one: Handle,
    other: Handle,
    combine: impl FnOnce(&Group, &Group) -> Group,
) -> Result<Handle> {
    let new = combine(get(objects, one)?, get(objects, other)?);
    Ok(create(objects, Arc::new(new)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_freed_groups_are_told_apart() {
        let mut objects = Objects::default();
        let group = create(&mut objects, Arc::new(Group::range(0, 3)));
        assert_eq!(size(&objects, group), Ok(3));
        free(&mut objects, group).expect("free");
        let error = size(&objects, group).unwrap_err();
        assert_eq!(error.class, MPI_ERR_GROUP);
        assert!(error.text.contains("was freed"), "{}", error.text);
        assert!(size(&objects, MPI_GROUP_NULL).unwrap_err().text.contains("MPI_GROUP_NULL"));
        assert_eq!(free(&mut objects, MPI_GROUP_NULL).unwrap_err().class, MPI_ERR_GROUP);
    }

    #[test]
    fn an_empty_result_is_the_predefined_empty_group() {
        let mut objects = Objects::default();
        let group = create(&mut objects, Arc::new(Group::range(0, 3)));
        let none = difference(&mut objects, group, group).expect("difference");
        assert_eq!(none, MPI_GROUP_EMPTY);
        assert_eq!(incl(&mut objects, group, &[]), Ok(MPI_GROUP_EMPTY));
        assert_eq!(compare(&objects, none, MPI_GROUP_EMPTY), Ok(MPI_IDENT));
        free(&mut objects, none).expect("free once");
        free(&mut objects, none).expect("free twice");
        assert_eq!(rank(&objects, none, 0), Ok(None));
    }

    #[test]
    fn translation_keeps_proc_null_and_marks_strangers() {
        let mut objects = Objects::default();
        let all = create(&mut objects, Arc::new(Group::range(0, 4)));
        let some = incl(&mut objects, all, &[3, 1]).expect("incl");
        let mut there = [0; 4];
        translate_ranks(&objects, all, &[1, 2, MPI_PROC_NULL, 3], some, |i, rank| there[i] = rank).expect("translate");
        assert_eq!(there, [1, MPI_UNDEFINED, MPI_PROC_NULL, 0]);
        let error = translate_ranks(&objects, some, &[0, 2], all, |_, _| ()).unwrap_err();
        assert_eq!(error.text, "rank 2 in position 1 is not in the first group of 2");
    }
}
