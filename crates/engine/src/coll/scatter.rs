//! Reduce_scatter and Reduce_scatter_block of more than a few bytes: in each step every rank publishes a piece of each
//! other rank's block in its chunk, and combines the pieces of its own block from all chunks in rank order, right
//! into the result. Each byte is copied once and read once, all ranks work at once.

use super::area::{Area, Step};
use super::reduce::Job;
use super::turn::Turn;
use crate::Result;
use crate::comm::CommCore;

/// Steps that a rank publishes before it combines the first one: with more ranks than cores each wait is a change of
/// the running process, and this many steps are then done in one go. Less than the chunks of a rank.
const AHEAD: usize = 4;

/// Elements of each block in a step.
fn share(job: &Job, core: &CommCore, chunk: usize) -> usize {
    let share = chunk / core.size() as usize / job.element.max(1);
    // Whole lines, where it can be.
    if share >= 64 { share / 64 * 64 } else { share }
}

/// Whether a chunk has room for an element of each block.
pub(super) fn has_room(job: &Job, core: &CommCore, chunk: usize) -> bool {
    share(job, core, chunk) > 0
}

/// Combines the blocks of `counts` elements, mine into `to`.
///
/// # Safety
/// The job's contribution is valid for all blocks and `to` for mine.
pub(super) unsafe fn scatter_pieces(
    job: &Job,
    counts: &[usize],
    turn: &Turn<'_>,
    (area, chunk): (&mut Area, usize),
    to: *mut u8,
) -> Result<()> {
    let core = turn.on;
    let (ranks, me) = (core.size() as usize, core.rank as usize);
    let share = share(job, core, chunk);
    let bytes = share * job.element;
    let starts: Vec<usize> = counts
        .iter()
        .scan(0, |next, count| {
            let start = *next;
            *next += count;
            Some(start * job.element)
        })
        .collect();
    // Bytes of a rank's block in step `i`.
    let part = |i: usize, rank: usize| share.min(counts[rank].saturating_sub(i * share)) * job.element;
    // What a rank publishes in it.
    let published = |i: usize, rank: usize| (0..ranks).filter(|r| *r != rank).map(|r| part(i, r)).sum::<usize>();
    // In place the result lies over the contribution, some of which is still needed then.
    let kept = std::ptr::eq(job.from, to.cast_const()).then(|| {
        // SAFETY: the caller vouches for the contribution.
        unsafe { std::slice::from_raw_parts(job.from, job.len) }.to_vec()
    });
    let from = kept.as_ref().map_or(job.from, Vec::as_ptr);
    let steps = counts.iter().max().map_or(0, |most| most.div_ceil(share));
    let mut sent: Vec<Step<'_>> = Vec::with_capacity(steps);
    for i in 0..steps + AHEAD {
        if i < steps {
            let step = area.step_of_all(turn);
            let mine = area.chunk(step)?;
            for rank in (0..ranks).filter(|rank| *rank != me) {
                let block = from.wrapping_add(starts[rank] + i * bytes);
                // SAFETY: the chunk has room for a share of each block; the block has the part.
                unsafe { area.fill(mine.add(rank * bytes), block, part(i, rank)) };
            }
            area.publish_place(step, published(i, me), 0);
            sent.push(step);
        }
        let Some(i) = i.checked_sub(AHEAD).filter(|i| *i < steps) else { continue };
        let step = sent[i];
        let out = to.wrapping_add(i * bytes);
        let place = |rank: usize| -> Result<*const u8> {
            if rank == me {
                return Ok(from.wrapping_add(starts[me] + i * bytes));
            }
            area.await_len(step, rank as u32, published(i, rank))?;
            Ok(area.chunk_of(step, rank as u32)?.wrapping_add(me * bytes).cast_const())
        };
        let mut left = place(0)?;
        for rank in 1..ranks {
            let right = place(rank)?;
            // SAFETY: all three are valid for the part, and are the same or apart: the contribution does not
            // overlap the result (or was kept).
            unsafe { job.reducer.apply3(out, left, right, part(i, me) / job.element) };
            left = out;
        }
        area.finish(step, false);
    }
    Ok(())
}
