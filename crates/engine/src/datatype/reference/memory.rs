//! Bounds, and what packing and unpacking do to memory. All memory here is exactly as large as it
//! has to be, so that valgrind sees each access beside it.

use super::Map;
use super::made::{Made, made};
use crate::datatype::pack::{PackCursor, UnpackCursor};
use crate::datatype::types::Type;
use proptest::prelude::*;
use std::sync::Arc;

/// Memory for `count` elements, and the offset of its first byte from the origin.
pub(super) fn memory(map: &Map, count: i64) -> (Box<[u8]>, i64) {
    if map.data.is_empty() || count == 0 {
        return (Box::default(), 0);
    }
    let (lb, ub) = map.true_bounds();
    let last = map.extent() * (count - 1);
    let (low, high) = (lb + last.min(0), ub + last.max(0));
    ((0..high - low).map(|i| (i * 7 + i / 251) as u8).collect(), low)
}

/// Where the origin is, seen from memory that begins at offset `low`.
pub(super) fn origin(memory: &mut [u8], low: i64) -> *mut u8 {
    memory.as_mut_ptr().wrapping_offset(-low as isize)
}

fn check(made: &Made, count: i64, cuts: &[usize]) -> Result<(), TestCaseError> {
    let map = made.map();
    prop_assume!(map.data.len() < 3000);
    let kind = made.kind();
    prop_assert_eq!(kind.size(), map.size());
    prop_assert_eq!((kind.lb(), kind.extent() as i64), (map.bounds().0, map.extent()));
    let (true_lb, true_ub) = map.true_bounds();
    prop_assert_eq!((kind.true_lb(), kind.true_extent()), (true_lb, true_ub - true_lb));
    prop_assert_eq!(kind.align(), map.align());

    let (mut memory, low) = memory(&map, count);
    let places = map.places(count);
    let elements = count as usize;
    prop_assert_eq!(kind.span(elements), (low as isize, memory.len()));
    let expected: Vec<u8> = places.iter().map(|p| memory[(p - low) as usize]).collect();
    let base = origin(&mut memory, low);
    if let Some((offset, len)) = kind.contiguous_run(elements) {
        let run: Vec<i64> = (0..len as i64).map(|i| offset as i64 + i).collect();
        prop_assert_eq!(&run, &places, "one run");
    }
    let mut runs = Vec::new();
    kind.each_run(base, elements, 0, expected.len(), |at, len| {
        runs.extend((at..at + len).map(|a| a.wrapping_sub(base as usize).cast_signed() as i64));
    });
    prop_assert_eq!(&runs, &places, "runs");

    prop_assert_eq!(&pack_in_pieces(base, elements, &kind, cuts), &expected, "packed");
    // And pieces from the middle.
    for pair in cuts.windows(2) {
        let at = pair[0] % (expected.len() + 1);
        let len = pair[1].min(expected.len() - at);
        let mut piece = vec![0u8; len];
        // SAFETY: the memory was made for these elements, the piece is as long as said.
        unsafe { kind.pack_at(base, elements, at, piece.as_mut_ptr(), len) };
        prop_assert_eq!(&piece[..], &expected[at..at + len], "{} bytes from {}", len, at);
        if len > 0
            && let Some(run) = kind.run_at(base, elements, at, len)
        {
            let first = run.wrapping_sub(base as usize).cast_signed() as i64;
            let side_by_side = (first..).zip(&places[at..at + len]).all(|(byte, place)| byte == *place);
            prop_assert!(side_by_side, "{} bytes from {} in one run", len, at);
        }
    }

    // What arrives lies where the type map says, and nothing else changes. Where the map names a
    // byte twice, the order of the map decides.
    let incoming: Vec<u8> = (0..expected.len()).map(|i| (i * 13 + 5) as u8).collect();
    let mut after = memory.clone();
    for (p, byte) in places.iter().zip(&incoming) {
        after[(p - low) as usize] = *byte;
    }
    let mut fresh = memory.clone();
    unpack_in_pieces(origin(&mut fresh, low), elements, &kind, cuts, &incoming);
    prop_assert!(fresh == after, "unpacked");
    // Pieces in any order, as the transport may bring them; only without such bytes the order
    // makes no difference.
    let mut once = places;
    once.sort_unstable();
    if once.windows(2).all(|w| w[0] != w[1]) {
        let mut starts: Vec<_> = (0..incoming.len()).step_by(cuts[0]).collect();
        let middle = cuts.len().min(starts.len());
        starts.rotate_left(middle);
        let base = origin(&mut memory, low);
        for at in starts {
            let piece = incoming[at..incoming.len().min(at + cuts[0])].to_vec();
            // SAFETY: as above.
            unsafe { kind.unpack_at(base, elements, at, piece.as_ptr(), piece.len()) };
        }
        prop_assert!(memory == after, "unpacked in any order");
    }
    Ok(())
}

/// The packed form, each piece put together in memory of its own.
fn pack_in_pieces(base: *mut u8, elements: usize, kind: &Arc<Type>, cuts: &[usize]) -> Vec<u8> {
    // SAFETY: the memory was made for these elements, and a piece is as long as said.
    unsafe {
        let mut cursor = PackCursor::new(base, elements, kind.clone());
        let mut packed = Vec::new();
        for cut in cuts.iter().cycle() {
            let mut piece = vec![0u8; (*cut).min(cursor.remaining())];
            let n = cursor.next_chunk(piece.as_mut_ptr(), piece.len());
            packed.extend_from_slice(&piece[..n]);
            if cursor.remaining() == 0 {
                return packed;
            }
        }
    }
    unreachable!("the cuts go round for ever")
}

fn unpack_in_pieces(base: *mut u8, elements: usize, kind: &Arc<Type>, cuts: &[usize], incoming: &[u8]) {
    // SAFETY: as in `pack_in_pieces`.
    unsafe {
        let mut cursor = UnpackCursor::new(base, elements, kind.clone());
        let mut at = 0;
        for cut in cuts.iter().cycle() {
            let piece = incoming[at..incoming.len().min(at + cut)].to_vec();
            at += cursor.next_chunk(piece.as_ptr(), piece.len());
            if at == incoming.len() {
                return;
            }
        }
    }
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn random_types_mean_what_their_type_maps_say(
        made in made(),
        count in 0..4i64,
        cuts in prop::collection::vec(1..200usize, 1..9),
    ) {
        check(&made, count, &cuts)?;
    }

    /// Absolute addresses (MPI_BOTTOM): the values of each element lie in memory of their own, so that
    /// also an access between two of them would be seen.
    #[test]
    fn values_scattered_over_memory_are_copied_and_nothing_between_them(
        parts in prop::collection::vec((made(), 1..4i64), 1..5),
        cuts in prop::collection::vec(1..300usize, 1..5),
    ) {
        let maps: Vec<_> = parts.iter().map(|(made, _)| made.map()).collect();
        prop_assume!(maps.iter().all(|map| map.data.len() < 1000));
        let mut memories: Vec<_> = maps.iter().zip(&parts).map(|(map, (_, n))| memory(map, *n)).collect();
        let mut expected = Vec::new();
        for ((map, (_, n)), (memory, low)) in maps.iter().zip(&parts).zip(&memories) {
            expected.extend(map.places(*n).iter().map(|p| memory[(p - low) as usize]));
        }
        let at = memories.iter_mut().map(|(m, low)| origin(m, *low).expose_provenance() as i64).collect();
        let lens = parts.iter().map(|(_, n)| *n).collect();
        let kinds = parts.iter().map(|(made, _)| made.kind()).collect();
        let all = Arc::new(Type::structure(lens, at, kinds).expect("valid arguments"));
        let bottom = std::ptr::null_mut();
        prop_assert_eq!(&pack_in_pieces(bottom, 1, &all, &cuts), &expected);
        // What was packed, put back, changes nothing; other bytes arrive.
        let before = memories.clone();
        unpack_in_pieces(bottom, 1, &all, &cuts, &expected);
        prop_assert!(before == memories);
        let incoming: Vec<u8> = expected.iter().map(|b| !b).collect();
        unpack_in_pieces(bottom, 1, &all, &cuts, &incoming);
        let mut arrived = Vec::new();
        for ((map, (_, n)), (memory, low)) in maps.iter().zip(&parts).zip(&memories) {
            arrived.extend(map.places(*n).iter().map(|p| memory[(p - low) as usize]));
        }
        let unique = maps.iter().zip(&parts).all(|(map, (_, n))| {
            let mut places = map.places(*n);
            places.sort_unstable();
            places.windows(2).all(|w| w[0] != w[1])
        });
        prop_assert!(!unique || arrived == incoming);
    }
}
