//! Reductions as a chain through chunks: each rank combines what comes from the one before with its own contribution and hands
//! it on, piece by piece; those further down are some chunks behind. All ranks work at once, each byte is read twice and
//! written once on each rank (the first one copies), and contributions are combined in rank order.

use super::area::{Area, Step};
use super::reduce::Job;
use super::turn::Turn;
use crate::Result;
use crate::copy::{copy, copy_out_part};

/// So many pieces the root of a Reduce hands on before it waits for the first one's result. Less than the chunks of a rank.
const AHEAD: usize = 6;

/// Scan (`includes_me`) and Exscan.
///
/// # Safety
/// `to` is valid for the job's bytes, on rank 0 if its own contribution is wanted.
pub(super) unsafe fn chain_upward(
    job: &Job,
    turn: &Turn<'_>,
    (area, chunk): (&mut Area, usize),
    to: *mut u8,
    includes_me: bool,
) -> Result<()> {
    let (me, last) = (turn.on.rank, turn.on.size() - 1);
    let piece = chunk / job.element * job.element;
    for at in (0..job.len).step_by(piece) {
        let part = piece.min(job.len - at);
        let (own, out) = (job.from.wrapping_add(at), to.wrapping_add(at));
        let step = area.step(turn);
        let mine = area.piece(step, part)?;
        // SAFETY: chunks have room for a piece; the caller vouches for contribution and result, which are the same or
        // apart.
        unsafe {
            if me == 0 {
                area.fill(mine, own, part);
                if includes_me && !std::ptr::eq(own, out) {
                    copy_out_part(out, own, part, job.len);
                }
            } else {
                area.await_len(step, me - 1, part)?;
                let before = area.piece_of(step, me - 1, part)?.cast_const();
                if includes_me {
                    job.reducer.apply3(out, before, own, part / job.element);
                    if me < last {
                        area.fill(mine, out, part);
                    }
                } else {
                    if me < last {
                        job.reducer.apply3(mine, before, own, part / job.element);
                    }
                    copy(out, before, part);
                }
            }
        }
        area.publish_place(step, part, 0);
        area.finish(step, false);
    }
    Ok(())
}

/// Reduce: the last rank of the chain has the result, and the root takes it from there.
///
/// # Safety
/// `to` is valid for the job's bytes on the root.
pub(super) unsafe fn chain_to_root(
    job: &Job,
    turn: &Turn<'_>,
    (area, chunk): (&mut Area, usize),
    to: *mut u8,
    root: u32,
) -> Result<()> {
    let (me, last) = (turn.on.rank, turn.on.size() - 1);
    let piece = chunk / job.element * job.element;
    let pieces = job.len.div_ceil(piece);
    let part = |i: usize| piece.min(job.len - i * piece);
    // The root takes results, unless it makes them.
    let takes = me == root && me != last;
    let ahead = if takes { AHEAD } else { 0 };
    let mut sent: Vec<Step<'_>> = Vec::with_capacity(pieces);
    for i in 0..pieces + ahead {
        if i < pieces {
            let step = area.step(turn);
            let mine = area.chunk(step)?;
            let own = job.from.wrapping_add(i * piece);
            // SAFETY: chunks have room for a piece, the result for all; contribution and result are the same or apart.
            unsafe {
                if me == 0 {
                    area.fill(mine, own, part(i));
                } else {
                    area.await_len(step, me - 1, part(i))?;
                    let before = area.chunk_of(step, me - 1)?.cast_const();
                    let out = if me == last && me == root { to.wrapping_add(i * piece) } else { mine };
                    job.reducer.apply3(out, before, own, part(i) / job.element);
                }
            }
            area.publish_place(step, part(i), 0);
            sent.push(step);
        }
        let Some(i) = i.checked_sub(ahead) else { continue };
        let step = sent[i];
        if takes {
            area.await_len(step, last, part(i))?;
            // SAFETY: the chunk holds the piece; my contribution to it, which may lie there, was used.
            unsafe { copy_out_part(to.wrapping_add(i * piece), area.chunk_of(step, last)?, part(i), job.len) };
        }
        area.finish(step, false);
    }
    Ok(())
}
