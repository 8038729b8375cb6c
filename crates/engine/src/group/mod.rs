//! Groups: ordered lists of processes, each named by its rank in the job (MPI-5.0 section 7.3).
//! Owned by communicators, by the user's group handles and by requests, always behind an `Arc`;
//! a group never changes after it was made.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the list itself: size, both directions of translation, comparison |
//! | `algebra.rs` | new groups out of old ones: union, incl, range_excl, ... |
//! | `handles.rs` | the `MPI_Group_*` functions: handles in, handles out |

mod algebra;
mod handles;

pub use algebra::Triplet;
pub use handles::{
    compare, create, difference, excl, free, get, incl, intersection, range_excl, range_incl, rank, size,
    translate_ranks, union,
};

use std::collections::HashMap;
use std::sync::OnceLock;

/// An ordered list of processes without repetition.
#[derive(Debug, Clone)]
pub struct Group {
    members: Members,
    /// Handle of the session that it comes from, 0 = none: that session's buffer serves the buffered
    /// sends of communicators made of the group.
    session: usize,
}

#[derive(Debug, Clone)]
enum Members {
    /// `first, first + stride, ...`, `len` of them: world, self and most groups made from them.
    /// `stride` is not 0 and no member leaves the range of `u32`.
    Range { first: u32, stride: i32, len: u32 },
    /// Any order. The index is made when somebody asks for a rank the first time.
    List { ranks: Box<[u32]>, index: OnceLock<HashMap<u32, u32>> },
}

/// How two groups relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same processes in the same order.
    Ident,
    /// The same processes in another order.
    Similar,
    /// Other processes.
    Unequal,
}

impl Group {
    /// The group without members.
    pub const fn empty() -> Self {
        Self::range(0, 0)
    }

    /// The processes `first .. first + len`.
    pub const fn range(first: u32, len: u32) -> Self {
        Self { members: Members::Range { first, stride: 1, len }, session: 0 }
    }

    /// The processes in the order of `ranks`, which holds no rank twice (the caller's duty; a rank
    /// that is there twice is found at one of its two places).
    pub fn from_ranks(ranks: Vec<u32>) -> Self {
        let members = match as_range(&ranks) {
            Some((first, stride, len)) => Members::Range { first, stride, len },
            None => Members::List { ranks: ranks.into_boxed_slice(), index: OnceLock::new() },
        };
        Self { members, session: 0 }
    }

    /// The same processes as a group of the session with this handle.
    #[must_use]
    pub fn in_session(self, session: usize) -> Self {
        Self { session, ..self }
    }

    /// The session that the group comes from, 0 = none.
    #[inline]
    pub fn session(&self) -> usize {
        self.session
    }

    /// How many processes.
    #[inline]
    pub fn size(&self) -> u32 {
        match &self.members {
            Members::Range { len, .. } => *len,
            Members::List { ranks, .. } => narrow(ranks.len()),
        }
    }

    /// Whether the group has no members.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// The rank in the job of the member with `rank` in this group.
    #[inline]
    pub fn world_rank(&self, rank: u32) -> Option<u32> {
        match &self.members {
            Members::Range { first, stride, len } => (rank < *len).then(|| nth(*first, *stride, rank)),
            Members::List { ranks, .. } => ranks.get(rank as usize).copied(),
        }
    }

    /// The rank in this group of the process with rank `world` in the job.
    #[inline]
    pub fn rank_of(&self, world: u32) -> Option<u32> {
        match &self.members {
            // The division is 10 ns, a tenth of a short message.
            Members::Range { first, stride: 1, len } => world.checked_sub(*first).filter(|rank| rank < len),
            Members::Range { first, stride, len } => {
                let distance = i64::from(world) - i64::from(*first);
                let stride = i64::from(*stride);
                if distance % stride != 0 {
                    return None;
                }
                u32::try_from(distance / stride).ok().filter(|rank| rank < len)
            }
            Members::List { ranks, index } => index
                .get_or_init(|| ranks.iter().zip(0..).map(|(world, rank)| (*world, rank)).collect())
                .get(&world)
                .copied(),
        }
    }

    /// Whether the process is a member.
    #[inline]
    pub fn contains(&self, world: u32) -> bool {
        self.rank_of(world).is_some()
    }

    /// The members' ranks in the job, in the order of the group.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (range, list) = match &self.members {
            Members::Range { first, stride, len } => (Some((0..*len).map(|rank| nth(*first, *stride, rank))), None),
            Members::List { ranks, .. } => (None, Some(ranks.iter().copied())),
        };
        range.into_iter().flatten().chain(list.into_iter().flatten())
    }

    /// How this group relates to `other`.
    pub fn compare(&self, other: &Self) -> Comparison {
        if self.size() != other.size() {
            Comparison::Unequal
        } else if self.iter().eq(other.iter()) {
            Comparison::Ident
        } else if self.iter().all(|world| other.contains(world)) {
            Comparison::Similar
        } else {
            Comparison::Unequal
        }
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other) == Comparison::Ident
    }
}

impl Eq for Group {}

/// The `rank`-th member of a range; in `u32` by the invariant of [`Members::Range`].
#[inline]
fn nth(first: u32, stride: i32, rank: u32) -> u32 {
    first.wrapping_add(stride.cast_unsigned().wrapping_mul(rank))
}

fn as_range(ranks: &[u32]) -> Option<(u32, i32, u32)> {
    let len = u32::try_from(ranks.len()).ok()?;
    let (first, second) = match ranks {
        [] => return Some((0, 1, 0)),
        [one] => return Some((*one, 1, 1)),
        [first, second, ..] => (*first, *second),
    };
    let stride = i32::try_from(i64::from(second) - i64::from(first)).ok().filter(|s| *s != 0)?;
    let step = i64::from(stride);
    ranks.windows(2).all(|pair| i64::from(pair[1]) - i64::from(pair[0]) == step).then_some((first, stride, len))
}

/// A number of members as the `u32` that ranks are: no group holds a process twice, and there are
/// fewer than 2^32 processes.
fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both_ways(group: &Group) {
        for (world, rank) in group.iter().zip(0..) {
            assert_eq!(group.world_rank(rank), Some(world));
            assert_eq!(group.rank_of(world), Some(rank));
        }
        assert_eq!(group.world_rank(group.size()), None);
    }

    #[test]
    fn translation_agrees_in_both_directions_for_every_form() {
        for ranks in [vec![], vec![5], vec![0, 1, 2], vec![7, 5, 3, 1], vec![4, 1, 9, 0], vec![0, 3, 6]] {
            let group = Group::from_ranks(ranks.clone());
            assert_eq!(group.iter().collect::<Vec<_>>(), ranks);
            both_ways(&group);
        }
    }

    #[test]
    fn regular_lists_are_kept_as_ranges() {
        let even = Group::from_ranks(vec![0, 2, 4]);
        assert!(matches!(even.members, Members::Range { first: 0, stride: 2, len: 3 }));
        assert_eq!(even.rank_of(1), None);
        assert_eq!(even.rank_of(6), None);
        let down = Group::from_ranks(vec![3, 2, 1, 0]);
        assert!(matches!(down.members, Members::Range { first: 3, stride: -1, len: 4 }));
        assert_eq!(down.rank_of(0), Some(3));
        assert_eq!(down.rank_of(4), None);
    }

    #[test]
    fn far_apart_ranks_are_no_range() {
        let far = Group::from_ranks(vec![0, u32::MAX]);
        assert!(matches!(far.members, Members::List { .. }));
        both_ways(&far);
    }

    #[test]
    fn comparison_sees_order_and_members() {
        let world = Group::range(0, 4);
        assert_eq!(world.compare(&Group::from_ranks(vec![0, 1, 2, 3])), Comparison::Ident);
        assert_eq!(world.compare(&Group::from_ranks(vec![1, 0, 2, 3])), Comparison::Similar);
        assert_eq!(world.compare(&Group::from_ranks(vec![0, 1, 2, 4])), Comparison::Unequal);
        assert_eq!(world.compare(&Group::range(0, 3)), Comparison::Unequal);
        assert_eq!(Group::empty().compare(&Group::empty()), Comparison::Ident);
    }
}
