//! Blocks that do not fit into a chunk, piece by piece through the chunks, for more ranks than cores. Messages would go
//! through a ring for each pair of ranks, which together do not fit into the caches, or be copied by the kernel, which takes
//! 0.2 us and more for each page. (With a core for each rank both halves of a message's copy are done at the same time,
//! and a root has the others' cores to copy for it.)
//!
//! All ranks count the same steps; a rank's block that is shorter has empty pieces at the end.

use super::area::{Area, Published, Step};
use super::bcast::others;
use super::note::FIRST_PIECE;
use super::turn::Turn;
use crate::Result;
use crate::comm::CommCore;
use crate::copy::copy_out_part;
use crate::payload::Payload;

/// Steps that a rank publishes before it reads the first one, where all write and read (as in `scatter`). Less than the chunks of a rank.
const AHEAD: usize = 4;

/// From and to one rank: so many bytes of the longest block, times the square of the number of ranks. Beyond, the one rank's core,
/// which copies each byte, is slower than the kernel's copies by all others. Measured on 2 cores against the best of ring
/// and kernel, Gather and Scatter: 3 ranks, 64 KiB 0.58 and 0.64 of the time, 512 KiB 0.73 and 0.96; 4 ranks,
/// 64 KiB 0.54 and 0.58, 256 KiB 0.87 and 0.89, 1 MiB 1.13 and 1.08; 8 ranks, 64 KiB 0.86 and 0.99, 128 KiB 1.42 and 1.30.
const ONE_MAX: usize = 6 << 20;
/// From all to all the same. 3 ranks, 64 KiB 0.78, 2 MiB 0.79; 4 ranks, 64 KiB 0.65, 1 MiB 0.70, 2 MiB 0.93; 8 ranks,
/// 64 KiB 0.78, 256 KiB 0.97, 512 KiB 1.24.
const ALL_MAX: usize = 16 << 20;

/// Who has blocks for whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    /// One rank and all others.
    One,
    All,
}

/// Whether blocks that do not fit into a chunk, the longest of so many bytes, are to go this way. Who asks tells the others, or all ask
/// with the same numbers.
pub(super) fn are_good(area: &Area, ranks: usize, longest: usize, between: Between) -> bool {
    let most = if between == Between::One { ONE_MAX } else { ALL_MAX };
    area.crowded() && longest <= most / (ranks * ranks) && share(area.chunk_bytes(), ranks) > 0
}

/// Bytes of a piece of each other rank's block in a chunk: whole cache lines.
fn share(chunk: usize, ranks: usize) -> usize {
    chunk / ranks / 64 * 64
}

/// The bytes of a block in piece `i`, of `whole` bytes.
fn part(i: usize, whole: usize, block: usize) -> usize {
    block.saturating_sub(i * whole).min(whole)
}

/// The root gives each other rank its block: `blocks` by rank. Rank r's pieces go into its own chunks, which it does not need
/// meanwhile: so a piece is a whole chunk.
pub(super) fn scatter(turn: &Turn<'_>, area: &mut Area, blocks: &[Payload]) -> Result<()> {
    let chunk = area.chunk_bytes();
    let longest = others(turn.on).map(|r| blocks[r as usize].len()).max().unwrap_or(0);
    for i in 0..longest.div_ceil(chunk) {
        let step = area.step(turn);
        // Everybody is done with what lay in anybody's chunk.
        area.chunk(step)?;
        for rank in others(turn.on) {
            let block = &blocks[rank as usize];
            let part = part(i, chunk, block.len());
            if part > 0 {
                let place = area.chunk_of(step, rank)?;
                // SAFETY: the chunk has room for the part, and is nobody else's until we publish.
                unsafe { block.read(i * chunk, place, part) };
            }
        }
        area.publish_place(step, 0, 0);
        area.finish(step, false);
    }
    Ok(())
}

/// Takes a block of `len` bytes from the root, whose longest block has `longest`. `to` none: the root has another
/// length in mind than we, and the pieces are let go.
///
/// # Safety
/// `to` is valid for writes of `len` bytes.
pub(super) unsafe fn scatter_leaf(
    turn: &Turn<'_>,
    area: &mut Area,
    root: u32,
    to: Option<*mut u8>,
    (len, longest): (usize, usize),
) -> Result<()> {
    let chunk = area.chunk_bytes();
    for i in 0..longest.div_ceil(chunk) {
        let step = area.step(turn);
        let part = part(i, chunk, len);
        if part > 0 {
            area.await_line(step, root)?;
            if let Some(to) = to {
                // SAFETY: the chunk holds the part, and the caller's memory has room for it.
                unsafe { copy_out_part(to.wrapping_add(i * chunk), area.chunk_of(step, turn.on.rank)?, part, len) };
            }
        }
        area.finish(step, false);
    }
    Ok(())
}

/// The bytes of a block of which the line's chunk has a piece.
pub(super) fn total(line: &Published) -> Option<usize> {
    (line.note & 0xff == FIRST_PIECE).then_some((line.note >> 8) as usize)
}

/// Gives `len` bytes to the root, from `step` on.
///
/// # Safety
/// `from` is valid for reads of `len` bytes.
pub(super) unsafe fn give<'a>(
    turn: &'a Turn<'_>,
    area: &mut Area,
    mut step: Step<'a>,
    from: *const u8,
    len: usize,
) -> Result<()> {
    let chunk = area.chunk_bytes();
    for i in 0..len.div_ceil(chunk) {
        if i > 0 {
            step = area.step(turn);
        }
        let place = area.chunk(step)?;
        // SAFETY: the chunk has room for the part, the source has it.
        unsafe { area.fill(place, from.wrapping_add(i * chunk), part(i, chunk, len)) };
        area.publish_place(step, part(i, chunk, len), FIRST_PIECE | (len as u64) << 8);
        area.finish(step, false);
    }
    Ok(())
}

/// A block that comes in pieces.
pub(super) struct Incoming {
    pub(super) rank: u32,
    pub(super) len: usize,
    /// Where it goes; none: there is no room for it, and the pieces are let go.
    pub(super) block: Option<Payload>,
}

/// The root takes all pieces; the first ones are there in `step`.
pub(super) fn collect<'a>(
    turn: &'a Turn<'_>,
    area: &mut Area,
    mut step: Step<'a>,
    blocks: &mut [Incoming],
) -> Result<()> {
    let chunk = area.chunk_bytes();
    let longest = blocks.iter().map(|block| block.len).max().unwrap_or(0);
    for i in 0..longest.div_ceil(chunk).max(1) {
        if i > 0 {
            step = area.step(turn);
        }
        for Incoming { rank, len, block } in &mut *blocks {
            let part = part(i, chunk, *len);
            area.await_len(step, *rank, part)?;
            if let Some(block) = block {
                // SAFETY: the chunk holds the part.
                unsafe { put(block, i * chunk, area.chunk_of(step, *rank)?, part) };
            }
        }
        area.finish(step, false);
    }
    Ok(())
}

/// # Safety
/// `from` is valid for reads of `len` bytes.
unsafe fn put(block: &mut Payload, at: usize, from: *const u8, len: usize) {
    let total = block.len();
    // SAFETY: the payload vouches for its memory, of which these bytes are a part.
    unsafe {
        match block.run() {
            Some(to) => copy_out_part(to.add(at), from, len, total),
            None => block.write(at, from, len),
        }
    }
}

/// What comes from a rank in pieces.
#[derive(Clone, Copy)]
pub(super) struct Coming {
    /// Bytes of its block for us.
    pub(super) len: usize,
    /// We have room for them.
    pub(super) fits: bool,
}

/// Each rank gives each other a block. `send`: mine go this way; `coming`: by rank what comes this way; `longest`: of
/// all ranks' blocks that do.
pub(super) fn exchange(
    turn: &Turn<'_>,
    area: &mut Area,
    send: Option<&[Payload]>,
    incoming: &mut [Payload],
    coming: &[Option<Coming>],
    longest: usize,
) -> Result<()> {
    let core: &CommCore = turn.on;
    let (ranks, me) = (core.size() as usize, core.rank as usize);
    let whole = share(area.chunk_bytes(), ranks);
    let steps = longest.div_ceil(whole);
    let mut sent: Vec<Step<'_>> = Vec::with_capacity(steps);
    for i in 0..steps + AHEAD {
        if i < steps {
            let step = area.step_of_all(turn);
            let place = area.chunk(step)?;
            for (rank, block) in send.unwrap_or_default().iter().enumerate().filter(|(rank, _)| *rank != me) {
                let part = part(i, whole, block.len());
                if part > 0 {
                    // SAFETY: the chunk has room for a piece of each block.
                    unsafe { block.read(i * whole, place.add(rank * whole), part) };
                }
            }
            area.publish_place(step, 0, 0);
            sent.push(step);
        }
        let Some(i) = i.checked_sub(AHEAD).filter(|i| *i < steps) else { continue };
        let step = sent[i];
        // Beginning behind me: not everybody reads the same chunk at the same time.
        for rank in (1..ranks).map(|d| (me + d) % ranks) {
            let Some(Coming { len, fits }) = coming[rank] else { continue };
            let part = part(i, whole, len);
            if part > 0 {
                area.await_line(step, rank as u32)?;
                if fits {
                    let from = area.chunk_of(step, rank as u32)?.wrapping_add(me * whole);
                    // SAFETY: the chunk holds the part.
                    unsafe { put(&mut incoming[rank], i * whole, from, part) };
                }
            }
        }
        area.finish(step, false);
    }
    Ok(())
}
