//! Groups (MPI-5.0 section 7.3). The engine's part is `engine::group`.

use crate::args::{self, Out, int};
use engine::{Result, group, with};
use mpi_abi::Group;
use mpi_abi::consts::{MPI_GROUP_NULL, MPI_UNDEFINED};
use std::ffi::c_int;

pub(crate) unsafe fn MPI_Group_size(group: Group, size: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let size = unsafe { Out::new(size, "size") }?;
    size.set(int(with(|e| group::size(&e.objects, group))?));
    Ok(())
}

pub(crate) unsafe fn MPI_Group_rank(group: Group, rank: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let rank = unsafe { Out::new(rank, "rank") }?;
    let found = with(|e| group::rank(&e.objects, group, e.me))?;
    rank.set(found.map_or(MPI_UNDEFINED, int));
    Ok(())
}

pub(crate) unsafe fn MPI_Group_translate_ranks(
    group1: Group,
    n: c_int,
    ranks1: *const c_int,
    group2: Group,
    ranks2: *mut c_int,
) -> Result<()> {
    // SAFETY: the C caller's word for an array of `n` elements.
    let ranks = unsafe { args::array(ranks1, n, "ranks1") }?;
    if ranks2.is_null() && n > 0 {
        return Err(args::null("ranks2"));
    }
    with(|e| {
        group::translate_ranks(&e.objects, group1, ranks, group2, |i, rank| {
            // SAFETY: `i` is below `n`, and the C caller's word is that `ranks2` has `n` elements.
            unsafe { ranks2.add(i).write(rank) }
        })
    })
}

pub(crate) unsafe fn MPI_Group_compare(group1: Group, group2: Group, result: *mut c_int) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let result = unsafe { Out::new(result, "result") }?;
    result.set(with(|e| group::compare(&e.objects, group1, group2))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Group_union(group1: Group, group2: Group, newgroup: *mut Group) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newgroup = unsafe { Out::new(newgroup, "newgroup") }?;
    newgroup.set(with(|e| group::union(&mut e.objects, group1, group2))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Group_intersection(group1: Group, group2: Group, newgroup: *mut Group) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newgroup = unsafe { Out::new(newgroup, "newgroup") }?;
    newgroup.set(with(|e| group::intersection(&mut e.objects, group1, group2))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Group_difference(group1: Group, group2: Group, newgroup: *mut Group) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let newgroup = unsafe { Out::new(newgroup, "newgroup") }?;
    newgroup.set(with(|e| group::difference(&mut e.objects, group1, group2))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Group_incl(group: Group, n: c_int, ranks: *const c_int, newgroup: *mut Group) -> Result<()> {
    // SAFETY: the C caller's word for an array of `n` elements.
    let ranks = unsafe { args::array(ranks, n, "ranks") }?;
    // SAFETY: the C caller's word for the address.
    let newgroup = unsafe { Out::new(newgroup, "newgroup") }?;
    newgroup.set(with(|e| group::incl(&mut e.objects, group, ranks))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Group_excl(group: Group, n: c_int, ranks: *const c_int, newgroup: *mut Group) -> Result<()> {
    // SAFETY: the C caller's word for an array of `n` elements.
    let ranks = unsafe { args::array(ranks, n, "ranks") }?;
    // SAFETY: the C caller's word for the address.
    let newgroup = unsafe { Out::new(newgroup, "newgroup") }?;
    newgroup.set(with(|e| group::excl(&mut e.objects, group, ranks))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Group_range_incl(
    group: Group,
    n: c_int,
    ranges: *mut [c_int; 3],
    newgroup: *mut Group,
) -> Result<()> {
    // SAFETY: the C caller's word for an array of `n` triplets.
    let ranges = unsafe { args::array(ranges.cast_const(), n, "ranges") }?;
    // SAFETY: the C caller's word for the address.
    let newgroup = unsafe { Out::new(newgroup, "newgroup") }?;
    newgroup.set(with(|e| group::range_incl(&mut e.objects, group, ranges))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Group_range_excl(
    group: Group,
    n: c_int,
    ranges: *mut [c_int; 3],
    newgroup: *mut Group,
) -> Result<()> {
    // SAFETY: the C caller's word for an array of `n` triplets.
    let ranges = unsafe { args::array(ranges.cast_const(), n, "ranges") }?;
    // SAFETY: the C caller's word for the address.
    let newgroup = unsafe { Out::new(newgroup, "newgroup") }?;
    newgroup.set(with(|e| group::range_excl(&mut e.objects, group, ranges))?);
    Ok(())
}

pub(crate) unsafe fn MPI_Group_free(group: *mut Group) -> Result<()> {
    // SAFETY: the C caller's word for the address.
    let group = unsafe { Out::new(group, "group") }?;
    with(|e| group::free(&mut e.objects, group.get()))?;
    group.set(MPI_GROUP_NULL);
    Ok(())
}
