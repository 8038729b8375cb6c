//! New groups out of old ones (MPI-5.0 section 7.3.2). Every operation takes time proportional to
//! the sizes of its groups and lists.

use super::{Group, narrow};
use crate::error::{Error, Result};
use mpi_abi::consts::{MPI_ERR_ARG, MPI_ERR_RANK};
use std::ffi::c_int;

/// First rank, last rank and stride of a range of ranks, as C gives it.
pub type Triplet = [c_int; 3];

impl Group {
    /// All members of `self`, then those of `other` that are not in `self`.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let new = other.iter().filter(|world| !self.contains(*world));
        let session = if self.session() == 0 { other.session() } else { self.session() };
        Self::from_ranks(self.iter().chain(new).collect()).in_session(session)
    }

    /// The members of `self` that are in `other` too, in the order of `self`.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.with_members(self.iter().filter(|world| other.contains(*world)).collect())
    }

    /// The members of `self` that are not in `other`, in the order of `self`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.with_members(self.iter().filter(|world| !other.contains(*world)).collect())
    }

    /// The members with these ranks, in this order.
    pub fn incl(&self, ranks: &[c_int]) -> Result<Self> {
        let chosen = self.distinct(ranks)?;
        Ok(self.with_members(chosen.iter().filter_map(|rank| self.world_rank(*rank)).collect()))
    }

    /// The members without these ranks, in the order of `self`.
    pub fn excl(&self, ranks: &[c_int]) -> Result<Self> {
        let dropped = self.distinct(ranks)?;
        Ok(self.without(&dropped))
    }

    /// The members with the ranks of these ranges, in this order.
    pub fn range_incl(&self, ranges: &[Triplet]) -> Result<Self> {
        let chosen = self.expand(ranges)?;
        Ok(self.with_members(chosen.iter().filter_map(|rank| self.world_rank(*rank)).collect()))
    }

    /// The members without the ranks of these ranges, in the order of `self`.
    pub fn range_excl(&self, ranges: &[Triplet]) -> Result<Self> {
        let dropped = self.expand(ranges)?;
        Ok(self.without(&dropped))
    }

    fn without(&self, dropped: &[u32]) -> Self {
        let mut keep = vec![true; self.size() as usize];
        for rank in dropped {
            keep[*rank as usize] = false;
        }
        self.with_members(self.iter().zip(keep).filter_map(|(world, keep)| keep.then_some(world)).collect())
    }

    /// Other processes, in the session of `self`.
    fn with_members(&self, ranks: Vec<u32>) -> Self {
        Self::from_ranks(ranks).in_session(self.session())
    }

    /// `ranks`, each in the group and none twice.
    fn distinct(&self, ranks: &[c_int]) -> Result<Vec<u32>> {
        let mut seen = Seen::new(self.size());
        ranks
            .iter()
            .enumerate()
            .map(|(position, rank)| {
                let valid = u32::try_from(*rank).ok().filter(|rank| *rank < self.size()).ok_or_else(|| {
                    let size = self.size();
                    Error::new(
                        MPI_ERR_RANK,
                        format!("rank {rank} in position {position} is not in the group of {size}"),
                    )
                })?;
                seen.insert(valid, position)?;
                Ok(valid)
            })
            .collect()
    }

    /// The ranks of all `ranges`, each in the group and none twice.
    fn expand(&self, ranges: &[Triplet]) -> Result<Vec<u32>> {
        let mut seen = Seen::new(self.size());
        let mut all = Vec::new();
        for (position, [first, last, stride]) in ranges.iter().enumerate() {
            let steps = steps(*first, *last, *stride).map_err(|why| {
                Error::new(MPI_ERR_ARG, format!("range ({first}, {last}, {stride}) in position {position} {why}"))
            })?;
            // The end that is reached, which is not `last` when the stride steps over it.
            let end = i64::from(*first) + i64::from(steps) * i64::from(*stride);
            let size = i64::from(self.size());
            for rank in [i64::from(*first), end] {
                if rank < 0 || rank >= size {
                    return Err(Error::new(
                        MPI_ERR_RANK,
                        format!(
                            "rank {rank} of range ({first}, {last}, {stride}) in position {position} is not in the \
                             group of {size}"
                        ),
                    ));
                }
            }
            for step in 0..=steps {
                // Between two ranks of the group, so it is one.
                let rank = (i64::from(*first) + i64::from(step) * i64::from(*stride)).unsigned_abs();
                let rank = u32::try_from(rank).unwrap_or(u32::MAX);
                seen.insert(rank, position)?;
                all.push(rank);
            }
        }
        Ok(all)
    }

    /// The ranks in `other` of the members with `ranks` here; `None` where `other` has no such
    /// member. The first error names the rank and its position.
    pub(super) fn translate(&self, rank: c_int, position: usize, other: &Self) -> Result<Option<u32>> {
        let world = u32::try_from(rank).ok().and_then(|rank| self.world_rank(rank)).ok_or_else(|| {
            let size = self.size();
            Error::new(MPI_ERR_RANK, format!("rank {rank} in position {position} is not in the first group of {size}"))
        })?;
        Ok(other.rank_of(world))
    }
}

/// How many strides lead from `first` to the last rank that does not pass `last`.
fn steps(first: c_int, last: c_int, stride: c_int) -> std::result::Result<u32, &'static str> {
    let distance = i64::from(last) - i64::from(first);
    if stride == 0 {
        return Err("has stride 0");
    }
    // A step of the wrong sign never arrives, unless the range is a single rank.
    u32::try_from(distance / i64::from(stride))
        .ok()
        .filter(|_| distance == 0 || (distance > 0) == (stride > 0))
        .ok_or("has a stride that leads away from its last rank")
}

/// Which ranks were named so far, and where.
struct Seen(Vec<u32>);

impl Seen {
    fn new(size: u32) -> Self {
        Self(vec![0; size as usize])
    }

    /// Notes that `rank` is named at `position`. `rank` is below the size.
    fn insert(&mut self, rank: u32, position: usize) -> Result<()> {
        let place = &mut self.0[rank as usize];
        if *place != 0 {
            let before = *place - 1;
            return Err(Error::new(
                MPI_ERR_RANK,
                format!("rank {rank} is named twice, in position {before} and in position {position}"),
            ));
        }
        *place = narrow(position).saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ranks: &[u32]) -> Group {
        Group::from_ranks(ranks.to_vec())
    }

    #[test]
    fn set_operations_keep_the_order_of_the_first_group() {
        let a = list(&[3, 0, 2]);
        let b = list(&[2, 5, 3]);
        assert_eq!(a.union(&b), list(&[3, 0, 2, 5]));
        assert_eq!(b.union(&a), list(&[2, 5, 3, 0]));
        assert_eq!(a.intersection(&b), list(&[3, 2]));
        assert_eq!(a.difference(&b), list(&[0]));
        assert!(a.difference(&a).is_empty());
        assert_eq!(a.union(&Group::empty()), a);
    }

    #[test]
    fn incl_takes_ranks_of_the_group_not_of_the_job() {
        let group = list(&[10, 20, 30]);
        assert_eq!(group.incl(&[2, 0]), Ok(list(&[30, 10])));
        assert_eq!(group.excl(&[1]), Ok(list(&[10, 30])));
        assert_eq!(group.incl(&[]), Ok(Group::empty()));
        assert_eq!(group.excl(&[]), Ok(group));
    }

    #[test]
    fn a_rank_outside_the_group_is_named_with_its_position() {
        let error = Group::range(0, 4).incl(&[0, 1, 7]).unwrap_err();
        assert_eq!(error.class, MPI_ERR_RANK);
        assert_eq!(error.text, "rank 7 in position 2 is not in the group of 4");
        assert!(Group::range(0, 4).excl(&[-1]).unwrap_err().text.contains("rank -1 in position 0"));
    }

    #[test]
    fn a_rank_named_twice_is_refused_with_both_positions() {
        let error = Group::range(0, 4).incl(&[1, 2, 1]).unwrap_err();
        assert_eq!(error.class, MPI_ERR_RANK);
        assert_eq!(error.text, "rank 1 is named twice, in position 0 and in position 2");
        assert!(Group::range(0, 4).range_incl(&[[0, 2, 1], [2, 3, 1]]).is_err());
    }

    #[test]
    fn ranges_step_up_and_down_and_may_step_over_their_end() {
        let group = Group::range(0, 8);
        assert_eq!(group.range_incl(&[[1, 6, 2]]), Ok(list(&[1, 3, 5])));
        assert_eq!(group.range_incl(&[[6, 1, -2], [0, 0, 5]]), Ok(list(&[6, 4, 2, 0])));
        assert_eq!(group.range_incl(&[[6, 100, 2]]).unwrap_err().class, MPI_ERR_RANK);
        // 8 itself is not reached, so it need not be a member.
        assert_eq!(group.range_incl(&[[7, 8, 2]]), Ok(list(&[7])));
        assert_eq!(group.range_excl(&[[0, 7, 7]]), Ok(Group::range(1, 6)));
        assert_eq!(group.range_excl(&[[0, 7, 1]]), Ok(Group::empty()));
    }

    #[test]
    fn impossible_strides_are_argument_errors() {
        let group = Group::range(0, 4);
        assert_eq!(group.range_incl(&[[0, 3, 0]]).unwrap_err().class, MPI_ERR_ARG);
        assert_eq!(group.range_incl(&[[3, 0, 1]]).unwrap_err().class, MPI_ERR_ARG);
        assert_eq!(group.range_incl(&[[0, 3, -2]]).unwrap_err().class, MPI_ERR_ARG);
        assert_eq!(group.range_incl(&[[0, c_int::MAX, 1]]).unwrap_err().class, MPI_ERR_RANK);
        assert_eq!(group.range_incl(&[[c_int::MIN, c_int::MAX, c_int::MAX]]).unwrap_err().class, MPI_ERR_RANK);
    }

    #[test]
    fn large_groups_take_linear_time() {
        let n = 200_000;
        let evens = Group::range(0, n).range_incl(&[[0, n.cast_signed() - 1, 2]]).expect("evens");
        let mut shuffled: Vec<u32> = (0..n).map(|i| (i * 7919) % n).collect();
        shuffled.reverse();
        let shuffled = Group::from_ranks(shuffled);
        assert_eq!(evens.union(&shuffled).size(), n);
        assert_eq!(shuffled.intersection(&evens).size(), n / 2);
    }
}
