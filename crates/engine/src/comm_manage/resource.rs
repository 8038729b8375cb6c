//! Splits by what processes share (MPI-5.0 section 7.4.2): memory, a part of the machine that the
//! user names, or the largest part that makes a difference.

use super::hardware::{KINDS, Place, Resource};
use super::make::split_in;
use super::{Parent, agree::Reader};
use crate::coll::internal;
use crate::info::Info;
use crate::status::Call;
use crate::{Error, Result};
use mpi_abi::Comm as Handle;
use mpi_abi::consts::{
    MPI_COMM_NULL, MPI_COMM_TYPE_HW_GUIDED, MPI_COMM_TYPE_HW_UNGUIDED, MPI_COMM_TYPE_RESOURCE_GUIDED,
    MPI_COMM_TYPE_SHARED, MPI_ERR_ARG, MPI_UNDEFINED,
};
use std::collections::HashMap;
use std::ffi::c_int;

/// What all this is a part of.
const CALL: Call = Call::CommSplitType;
const RESOURCE_TYPE: &str = "mpi_hw_resource_type";
const PSET_NAME: &str = "mpi_pset_name";

/// The communicator of those who share what `split_type` and `info` say, and the type of resource
/// that was chosen if it was left open.
pub fn split_type(comm: Handle, split_type: c_int, key: c_int, info: &Info) -> Result<(Handle, Option<&'static str>)> {
    let parent = Parent::of(comm)?;
    let color = match split_type {
        MPI_UNDEFINED => None,
        // One machine, one memory; and who leaves the choice open takes part for the present.
        MPI_COMM_TYPE_SHARED | MPI_COMM_TYPE_HW_UNGUIDED => Some(0),
        MPI_COMM_TYPE_HW_GUIDED => named_resource(info),
        MPI_COMM_TYPE_RESOURCE_GUIDED => named_resource(info).or_else(|| named_set(info, parent.me)),
        other => {
            return Err(Error::new(MPI_ERR_ARG, format!("the split type {other} is none of MPI_COMM_TYPE_*")));
        }
    };
    if parent.core.remote.is_some() {
        // Both sides would have to agree on a choice that the standard leaves open: there is none.
        let color = color.filter(|_| split_type != MPI_COMM_TYPE_HW_UNGUIDED);
        return Ok((split_in(CALL, comm, color.map_or(MPI_UNDEFINED, u32::cast_signed), key)?, None));
    }
    // The members may differ in who wants to be in no communicator, but not in the type; whether
    // any of them leaves the choice open must be known to all.
    let open = split_type == MPI_COMM_TYPE_HW_UNGUIDED;
    let place = if open { Place::now() } else { Place::default() };
    let rows = internal::allgather(&parent.turn(CALL)?, &row(open, &place))?;
    if !rows.iter().any(|row| row.first() == Some(&1)) {
        let color = color.map_or(MPI_UNDEFINED, u32::cast_signed);
        return Ok((split_in(CALL, comm, color, key)?, None));
    }
    let Some((kind, name)) = choose(&rows)? else { return Ok((MPI_COMM_NULL, None)) };
    let color = place.number(kind).filter(|_| open).map_or(MPI_UNDEFINED, u32::cast_signed);
    let new = split_in(CALL, comm, color, key)?;
    Ok((new, (new != MPI_COMM_NULL).then_some(name)))
}

/// The number of the resource that the hint names, if this process is bound to one.
fn named_resource(info: &Info) -> Option<u32> {
    let kind = Resource::named(&info.text(RESOURCE_TYPE)?)?;
    Place::now().number(kind)
}

/// A color for the process set that the hint names.
fn named_set(info: &Info, me: u32) -> Option<u32> {
    match &*info.text(PSET_NAME)? {
        "mpi://WORLD" => Some(0),
        "mpi://SELF" => Some(me),
        _ => None,
    }
}

/// What a member says: whether it takes part, and the number of its resource of each kind.
fn row(open: bool, place: &Place) -> Vec<u8> {
    let mut row = vec![u8::from(open)];
    for (kind, _) in KINDS {
        row.extend(place.number(kind).unwrap_or(u32::MAX).to_le_bytes());
    }
    row
}

/// The largest kind of resource by which every new communicator has fewer members than the old
/// one; none if there is no such kind.
fn choose(rows: &[Vec<u8>]) -> Result<Option<(Resource, &'static str)>> {
    for (position, kind) in KINDS.into_iter().enumerate() {
        let mut members = HashMap::new();
        for row in rows.iter().filter(|row| row.first() == Some(&1)) {
            let at = row.get(1 + 4 * position..).unwrap_or_default();
            let number = Reader(at).number()?;
            if number != u32::MAX {
                *members.entry(number).or_insert(0usize) += 1;
            }
        }
        if !members.is_empty() && members.values().all(|count| *count < rows.len()) {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cores: &[(bool, Option<u32>)]) -> Vec<Vec<u8>> {
        let one = |(open, core): &(bool, Option<u32>)| {
            let mut row = vec![u8::from(*open)];
            for (kind, _) in KINDS {
                let number = match kind {
                    Resource::Machine => Some(0),
                    Resource::Core | Resource::Thread => *core,
                    _ => None,
                };
                row.extend(number.unwrap_or(u32::MAX).to_le_bytes());
            }
            row
        };
        cores.iter().map(one).collect()
    }

    #[test]
    fn the_largest_resource_that_divides_is_chosen() {
        let bound = rows(&[(true, Some(0)), (true, Some(1)), (true, Some(0))]);
        assert_eq!(choose(&bound).map(|kind| kind.map(|kind| kind.1)), Ok(Some("hwloc://Core")));
    }

    #[test]
    fn processes_that_are_not_bound_are_not_divided() {
        assert_eq!(choose(&rows(&[(true, None), (true, None)])), Ok(None));
        assert_eq!(choose(&rows(&[(true, Some(3))])), Ok(None));
        assert_eq!(choose(&rows(&[(true, Some(3)), (true, Some(3))])), Ok(None));
    }

    #[test]
    fn sets_and_resources_are_found_by_their_hints() {
        let mut info = Info::default();
        assert_eq!(named_resource(&info), None);
        info.put(RESOURCE_TYPE, "mpi_shared_memory");
        assert_eq!(named_resource(&info), Some(0));
        info.put(RESOURCE_TYPE, "@dont-thread-on-me@");
        assert_eq!(named_resource(&info), None);
        info.put(PSET_NAME, "mpi://SELF");
        assert_eq!(named_set(&info, 7), Some(7));
    }
}
