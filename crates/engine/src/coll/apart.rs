//! Buffers of one collective that overlap where the standard forbids it: what is sent and what is received must be
//! apart, and no byte may be received twice. Only what is certain is an error: types with holes may lie between each
//! other, which is looked at run by run when the buffers' spans meet, and not at all if that are too many runs.

use crate::datatype::region::{Region, common, first_common};
use crate::payload::Payload;
use crate::{Error, Result};
use mpi_abi::consts::MPI_ERR_BUFFER;
use std::ops::Range;

/// Runs that are looked at.
const RUNS: usize = 1 << 14;

/// Memory of an argument, or of a part of it.
#[derive(Debug, Clone)]
pub(super) enum Piece<'a> {
    /// A run of bytes.
    Run(Range<usize>),
    /// Elements of a type that may have holes.
    Elements(Region<'a>),
}

impl<'a> Piece<'a> {
    #[inline]
    pub(super) fn run(base: *const u8, len: usize) -> Self {
        Self::Run(base.addr()..base.addr().saturating_add(len))
    }

    /// Of a payload; `None` if that is in memory of our own.
    pub(super) fn of(payload: &'a Payload) -> Option<Self> {
        match payload {
            Payload::Run { base, len } => Some(Self::run(*base, *len)),
            Payload::Typed(typed) => Some(Self::Elements(typed.region())),
            Payload::Owned(_) => None,
        }
    }

    #[inline]
    fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Run(run) => Some(run.clone()).filter(|run| !run.is_empty()),
            Self::Elements(region) => region.span(),
        }
    }

    fn runs(&self, to: &mut Vec<Range<usize>>) -> bool {
        match self {
            Self::Run(run) => {
                to.extend(Some(run.clone()).filter(|run| !run.is_empty()));
                to.len() <= RUNS
            }
            Self::Elements(region) => region.runs(RUNS, to),
        }
    }
}

/// From the first byte of all pieces to the last.
#[inline]
fn hull<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> Option<Range<usize>> {
    pieces.filter_map(|piece| piece.span()).reduce(|all, one| all.start.min(one.start)..all.end.max(one.end))
}

/// An error if what is sent and what is received overlap.
#[inline]
pub(super) fn check<'a, 'b>(
    send: impl Iterator<Item = Piece<'a>> + Clone,
    recv: impl Iterator<Item = Piece<'b>> + Clone,
) -> Result<()> {
    let (Some(one), Some(two)) = (hull(send.clone()), hull(recv.clone())) else { return Ok(()) };
    if common(&one, &two).is_none() {
        return Ok(());
    }
    look(&send.collect::<Vec<_>>(), &recv.collect::<Vec<_>>(), &one, &two)
}

/// The same for buffers of one piece.
#[inline]
pub(super) fn check_two(send: &Piece<'_>, recv: &Piece<'_>) -> Result<()> {
    let (Some(one), Some(two)) = (send.span(), recv.span()) else { return Ok(()) };
    if common(&one, &two).is_none() {
        return Ok(());
    }
    look(std::slice::from_ref(send), std::slice::from_ref(recv), &one, &two)
}

#[cold]
#[inline(never)]
fn look(send: &[Piece<'_>], recv: &[Piece<'_>], one: &Range<usize>, two: &Range<usize>) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    if !send.iter().all(|piece| piece.runs(&mut ours)) || !recv.iter().all(|piece| piece.runs(&mut theirs)) {
        return Ok(());
    }
    let Some(both) = first_common(&mut ours, &mut theirs) else { return Ok(()) };
    let text = if one == two {
        format!("the send buffer and the receive buffer are the same memory ({} bytes at {:#x})", two.len(), two.start)
    } else {
        format!(
            "the send buffer ({} bytes at {:#x}) and the receive buffer ({} bytes at {:#x}) overlap: {} of the receive \
             buffer {} sent as well",
            one.len(),
            one.start,
            two.len(),
            two.start,
            bytes(both.start - two.start..both.end - two.start),
            if both.len() == 1 { "is" } else { "are" },
        )
    };
    Err(Error::new(
        MPI_ERR_BUFFER,
        format!(
            "{text}: give MPI_IN_PLACE as the send buffer (on the root of a Scatter, as the receive buffer), or other memory"
        ),
    ))
}

fn bytes(range: Range<usize>) -> String {
    if range.len() == 1 {
        format!("byte {}", range.start)
    } else {
        format!("bytes {} to {}", range.start, range.end - 1)
    }
}

/// An error if two blocks of a receive buffer have elements in common: those of ranks or of sources, as `whose` says.
/// `has_bytes`: whether an element has any; `comes`: whether anything comes from one.
#[inline]
pub(super) fn check_blocks(
    counts: &[usize],
    displs: &[isize],
    has_bytes: impl FnOnce() -> bool,
    comes: impl Fn(usize) -> bool,
    whose: &str,
) -> Result<()> {
    // Mostly they come in the order of the ranks.
    let mut end = isize::MIN;
    for (count, displ) in counts.iter().zip(displs).filter(|(count, _)| **count > 0) {
        if *displ < end {
            return if has_bytes() { look_at_blocks(counts, displs, &comes, whose) } else { Ok(()) };
        }
        end = displ.saturating_add_unsigned(*count);
    }
    Ok(())
}

#[cold]
fn look_at_blocks(counts: &[usize], displs: &[isize], comes: &dyn Fn(usize) -> bool, whose: &str) -> Result<()> {
    let all = displs.iter().zip(counts).enumerate().filter(|(rank, (_, count))| **count > 0 && comes(*rank));
    let mut all: Vec<(isize, usize, usize)> = all.map(|(rank, (displ, count))| (*displ, *count, rank)).collect();
    all.sort_unstable();
    let pair = all.windows(2).find(|pair| pair[1].0 < pair[0].0.saturating_add_unsigned(pair[0].1));
    let Some(&[(one, ones, rank), (two, twos, other)]) = pair else { return Ok(()) };
    Err(Error::new(
        MPI_ERR_BUFFER,
        format!(
            "blocks of the receive buffer overlap: that of {whose} {rank} are elements {one} to {}, that of {whose} {other} \
             elements {two} to {}",
            one.saturating_add_unsigned(ones - 1),
            two.saturating_add_unsigned(twos - 1),
        ),
    ))
}

/// The same for blocks with types of their own.
pub(super) fn check_lanes<'a>(lanes: impl Iterator<Item = Option<Piece<'a>>>, whose: &str) -> Result<()> {
    let runs = lanes.enumerate().filter_map(|(rank, piece)| match piece? {
        Piece::Run(run) if !run.is_empty() => Some((run.start, run.end, rank)),
        _ => None,
    });
    let mut runs: Vec<(usize, usize, usize)> = runs.collect();
    runs.sort_unstable();
    let Some(pair) = runs.windows(2).find(|pair| pair[1].0 < pair[0].1) else { return Ok(()) };
    let ((one, end, rank), (two, two_end, other)) = (pair[0], pair[1]);
    Err(Error::new(
        MPI_ERR_BUFFER,
        format!(
            "blocks of the receive buffer overlap: that of {whose} {rank} are {} bytes at {one:#x}, that of {whose} {other} {} \
             bytes at {two:#x}",
            end - one,
            two_end - two,
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datatype::{Type, TypeTable};
    use mpi_abi::consts::{MPI_DOUBLE, MPI_INT};

    fn elements(base: usize, count: usize, kind: &Type) -> Piece<'_> {
        Piece::Elements(Region { base, count, kind })
    }

    #[test]
    fn the_same_memory_and_a_part_of_it_are_found() {
        let (one, two) = (Piece::Run(4096..4128), Piece::Run(4120..4152));
        let error = check_two(&one, &one).unwrap_err();
        assert_eq!(error.class, MPI_ERR_BUFFER);
        assert!(
            error.text.starts_with("the send buffer and the receive buffer are the same memory (32 bytes at 0x1000): ")
        );
        let text = check_two(&one, &two).unwrap_err().text;
        let wanted = "the send buffer (32 bytes at 0x1000) and the receive buffer (32 bytes at 0x1018) overlap: \
                      bytes 0 to 7 of the receive buffer are sent as well: ";
        assert!(text.starts_with(wanted), "{text}");
        assert_eq!(check_two(&one, &Piece::Run(4128..4132)), Ok(()));
        assert_eq!(check_two(&one, &Piece::Run(4100..4100)), Ok(()));
    }

    #[test]
    fn columns_of_one_matrix_are_apart() {
        let types = TypeTable::new();
        let double = types.get(MPI_DOUBLE).expect("predefined");
        let column = Type::vector(4, 1, 5, double).expect("vector");
        assert_eq!(check_two(&elements(4096, 1, &column), &elements(4104, 1, &column)), Ok(()));
        assert!(check_two(&elements(4096, 1, &column), &elements(4096 + 40, 1, &column)).is_err());
        let int = types.get(MPI_INT).expect("predefined");
        let many = Type::vector(1 << 16, 1, 2, int).expect("vector");
        assert_eq!(check_two(&elements(4096, 1, &many), &elements(4096, 1, &many)), Ok(()), "too many to look at");
    }

    #[test]
    fn blocks_may_come_in_any_order_but_not_twice() {
        let blocks =
            |counts: &[usize], displs: &[isize]| check_blocks(counts, displs, || true, |rank| rank < 4, "rank");
        assert_eq!(blocks(&[2, 2, 0, 3], &[0, 2, 1, 4]), Ok(()));
        assert_eq!(blocks(&[2, 2, 0, 3], &[5, 3, 4, 0]), Ok(()));
        let text = blocks(&[2, 2, 3], &[5, 2, 0]).unwrap_err().text;
        assert_eq!(
            text,
            "blocks of the receive buffer overlap: that of rank 2 are elements 0 to 2, that of rank 1 elements 2 to 3"
        );
        assert!(blocks(&[1, 1], &[3, 3]).is_err());
        assert_eq!(check_blocks(&[1, 1], &[3, 3], || false, |_| true, "rank"), Ok(()), "of no bytes");
        assert_eq!(check_blocks(&[1, 1], &[3, 3], || true, |rank| rank == 1, "source"), Ok(()), "one comes");
    }

    #[test]
    fn lanes_may_not_meet() {
        let lanes = |runs: &[Range<usize>]| check_lanes(runs.iter().map(|run| Some(Piece::Run(run.clone()))), "source");
        assert_eq!(lanes(&[8..12, 0..8, 20..20]), Ok(()));
        assert!(
            lanes(&[8..12, 0..9]).unwrap_err().text.contains("that of source 1 are 9 bytes at 0x0, that of source 0")
        );
    }
}
