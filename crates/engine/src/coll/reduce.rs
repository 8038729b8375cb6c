//! Reductions: Reduce, Allreduce, Reduce_scatter, Reduce_scatter_block.
//!
//! Contributions are always combined in rank order, so a result does not depend on who was early,
//! and is the same on all ranks and from run to run.
//!
//! | bytes | Allreduce |
//! |---|---|
//! | up to a line | everybody reads all lines |
//! | up to `ALL_READ` or `ALL_READ_CROWDED` | everybody reads all chunks |
//! | more | pieces of a chunk; rank r combines the r-th part of each piece, all copy the parts |
//!
//! Long Reduces are a `chain`. Reduce_scatter of more than a few bytes is in `scatter`, Scan and Exscan in `scan`. User-defined operations and types with holes go by
//! messages (`schedule`), and so does all for which there is no memory.

use super::apart::{self, Piece};
use super::area::{Area, LINE_BYTES, Step};
use super::buffers::Arg;
use super::chain::chain_to_root;
use super::scatter::{has_room, scatter_pieces};
use super::turn::{Facts, Turn};
use super::{Collective, State, by_schedule, check_root, core_of, count, enter, schedule, total};
use crate::comm::CommCore;
use crate::copy::copy;
use crate::datatype::message_size;
use crate::datatype::region::Region;
use crate::op::Reduction;
use crate::status::Call;
use crate::{Result, with};
use mpi_abi::{Comm, Op};
use shm::lock::Guard;
use std::ffi::c_int;

/// Up to this size everybody combines everything: a second round costs more than the arithmetic
/// (measured with 2 ranks, one round against two: 2 KiB both 0.41 us, 3 KiB 0.65 and 0.44, 8 KiB 0.95 and 0.76).
const ALL_READ: usize = 2 << 10;
/// The same with more ranks than cores, where a round costs a change of the running process: measured
/// with 4 ranks on 2 cores, 8 KiB 4.0 and 5.7 us, 24 KiB 7.0 and 7.4 us, 32 KiB 8.7 and 8.3 us.
const ALL_READ_CROWDED: usize = 24 << 10;

/// Up to this size, and with 2 ranks, the root of a Reduce combines everything; beyond, a chain is better. Measured on 2 cores, chain
/// against root: 3 ranks, 64 KiB 1.5 of the time, 256 KiB 0.77, 1 MiB 0.69; 4 ranks 1.65, 0.82, 0.70; 8 ranks 1.22, 0.51,
/// 0.45, 16 MiB 0.51. (An Allreduce with a chain and the last rank's chunks read by all takes 1.0 to 1.7 times as long as
/// segments.)
const ROOT_COMBINES: usize = 128 << 10;

/// Up to this size of all blocks together a Reduce_scatter is an Allreduce of which each rank keeps its block.
const SCATTERED: usize = 8 << 10;

/// What is to be combined, as bytes.
pub(super) struct Job {
    pub(super) reducer: Reduction,
    /// Bytes of an element.
    pub(super) element: usize,
    /// My contribution and its length.
    pub(super) from: *const u8,
    pub(super) len: usize,
}

/// Which contributions a rank wants.
#[derive(Clone, Copy)]
pub(super) enum Want {
    /// Ranks 0 to this one, included.
    UpTo(u32),
    None,
}

/// Puts the job where it is used (it is long, and a copy would have to wait for what was just written); none: it goes
/// by messages. `apart`: `send` and `recv` are both used, and so must not overlap.
///
/// # Safety
/// The buffers are valid for what the operation reads and writes.
pub(super) unsafe fn job(job: &mut Option<Job>, send: Option<&Arg>, recv: &Arg, apart: bool, op: Op) -> Result<()> {
    let arg = send.unwrap_or(recv);
    with(|e| {
        let kind = e.types.committed(arg.datatype)?;
        if let Some(send) = send.filter(|_| apart) {
            let place = |arg: &Arg| Piece::Elements(Region { base: arg.base.addr(), count: arg.count, kind });
            apart::check_two(&place(send), &place(recv))?;
        }
        let reducer = e.ops.reduction(&e.types, op, arg.datatype)?;
        let element = kind.size();
        let plain = reducer.is_user() || kind.extent().cast_unsigned() != element;
        let len = message_size(kind, arg.count)?;
        if !plain {
            *job = Some(Job { reducer, element, from: arg.base, len });
        }
        Ok(())
    })
}

/// Combines all contributions on the root (MPI_Reduce). `send` none = in place, on the root only;
/// `recv` matters on the root only.
///
/// # Safety
/// The buffers are valid for what the operation reads and writes.
pub unsafe fn reduce(send: Option<Arg>, recv: Arg, op: Op, root: c_int, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    let what = || Collective::Reduce { send, recv, op, root };
    // SAFETY: the caller vouches for the buffers.
    unsafe {
        if core.remote.is_some() {
            return by_schedule(Call::Reduce, &what(), comm);
        }
        let root = check_root(&core, root)?;
        let mut found = None;
        job(&mut found, send.as_ref(), &recv, core.rank == root, op)?;
        let Some(job) = &found else {
            return by_schedule(Call::Reduce, &what(), comm);
        };
        let want = if core.rank == root { Want::UpTo(core.size() - 1) } else { Want::None };
        if core.size() == 1 {
            return keep(job, recv.base);
        }
        let facts = || Facts::of_reduction(op, send.unwrap_or(recv));
        let turn = &Turn::begin(&core, Call::Reduce, Some(root), Some(job.len), facts)?;
        if job.len == 0 {
            return Ok(());
        }
        let mut state = enter(turn)?;
        if job.len > ROOT_COMBINES
            && core.size() > 2
            && let Some((area, chunk)) = state.area_with_chunks()
        {
            return chain_to_root(job, turn, (area, chunk), recv.base, root);
        }
        if prefix(job, turn, state, recv.base, want, Some(root))? {
            return Ok(());
        }
        schedule::run_on(turn, &what(), comm)
    }
}

/// Combines all contributions on all ranks (MPI_Allreduce). `send` none = in place.
///
/// # Safety
/// As for [`reduce`].
pub unsafe fn allreduce(send: Option<Arg>, recv: Arg, op: Op, comm: Comm) -> Result<()> {
    // SAFETY: the caller vouches for the buffers.
    unsafe { combine_all(Call::Allreduce, send, recv, op, comm, &[]) }
}

/// The same for any call that needs it; `counts`: see [`Facts`].
///
/// # Safety
/// As for [`reduce`].
unsafe fn combine_all(call: Call, send: Option<Arg>, recv: Arg, op: Op, comm: Comm, counts: &[usize]) -> Result<()> {
    let core = core_of(comm)?;
    let what = || Collective::Allreduce { send, recv, op };
    // SAFETY: the caller vouches for the buffers.
    unsafe {
        if core.remote.is_some() {
            return by_schedule(call, &what(), comm);
        }
        let mut found = None;
        job(&mut found, send.as_ref(), &recv, true, op)?;
        let Some(job) = &found else {
            return by_schedule(call, &what(), comm);
        };
        if core.size() == 1 {
            return keep(job, recv.base);
        }
        let facts = || Facts::of_reduction(op, send.unwrap_or(recv)).scattered(counts);
        let turn = &Turn::begin(&core, call, None, Some(job.len), facts)?;
        let mut state = enter(turn)?;
        let crowded = state.area().is_some_and(|area| area.crowded());
        let done = if job.len <= all_read(crowded) {
            let everything = Want::UpTo(core.size() - 1);
            prefix(job, turn, state, recv.base, everything, None)?
        } else if let Some((area, chunk)) = state.area_with_chunks() {
            segmented(job, turn, area, chunk, recv.base)?;
            true
        } else {
            drop(state);
            false
        };
        if done { Ok(()) } else { schedule::run_on(turn, &what(), comm) }
    }
}

/// Up to this size everybody combines everything.
fn all_read(crowded: bool) -> usize {
    if crowded { ALL_READ_CROWDED } else { ALL_READ }
}

/// # Safety
/// `to` is valid for the job's bytes.
pub(super) unsafe fn keep(job: &Job, to: *mut u8) -> Result<()> {
    if !std::ptr::eq(job.from, to) {
        // SAFETY: the caller vouches for both; they do not overlap unless they are the same.
        unsafe { copy(to, job.from, job.len) };
    }
    Ok(())
}

/// Everybody publishes its contribution piece by piece; each rank combines those that it wants.
/// `root` = only this rank reads. False: there is no memory for it, and nothing was done.
///
/// # Safety
/// `to` is valid for the job's bytes where something is wanted.
unsafe fn prefix(
    job: &Job,
    turn: &Turn<'_>,
    mut state: Guard<'_, State>,
    to: *mut u8,
    want: Want,
    root: Option<u32>,
) -> Result<bool> {
    let core = turn.on;
    let all = root.is_none();
    if job.len <= LINE_BYTES
        && let Some(area) = state.area()
    {
        let step = if all { area.step_of_all(turn) } else { area.step(turn) };
        if all && area.counted() {
            // SAFETY: the caller vouches for the contribution and for `to`.
            unsafe { counted(job, core, area, step, to, want) }?;
            return Ok(true);
        }
        // SAFETY: the caller vouches for the contribution.
        unsafe { area.publish_line(step, job.from, job.len) }?;
        // SAFETY: lines hold the bytes; the caller vouches for `to`.
        unsafe { combine_lines(job, core, area, step, to, want) }?;
        area.finish(step, all);
        return Ok(true);
    }
    let Some((area, chunk)) = state.area_with_chunks() else { return Ok(false) };
    let piece = chunk / job.element * job.element;
    let mut at = 0;
    while at < job.len {
        let part = piece.min(job.len - at);
        let step = if all { area.step_of_all(turn) } else { area.step(turn) };
        let mine = area.piece(step, part)?;
        // The root of Reduce reads its own contribution where it is, unless it lies where the result goes.
        let in_place = root == Some(core.rank) && !std::ptr::eq(job.from, to.cast_const());
        let own = if in_place {
            job.from.wrapping_add(at)
        } else {
            // SAFETY: the chunk has room for a piece; the caller vouches for the contribution.
            unsafe { area.fill(mine, job.from.add(at), part) };
            mine.cast_const()
        };
        area.publish_place(step, part, 0);
        if let Want::UpTo(last) = want {
            let place = |area: &Area, rank: u32| -> Result<*const u8> {
                if rank == core.rank {
                    return Ok(own);
                }
                area.await_len(step, rank, part)?;
                Ok(area.piece_of(step, rank, part)?.cast_const())
            };
            let out = to.wrapping_add(at);
            let first = place(area, 0)?;
            if last == 0 {
                // SAFETY: chunk and result have `part` bytes.
                unsafe { copy(out, first, part) };
            } else {
                let mut left = first;
                for rank in 1..=last {
                    let right = place(area, rank)?;
                    // SAFETY: all three are valid for `part` bytes and are the same or apart.
                    unsafe { job.reducer.apply3(out, left, right, part / job.element) };
                    left = out;
                }
            }
        }
        area.finish(step, all);
        at += part;
    }
    Ok(true)
}

/// The lines of many ranks, combined by the last one. Apart, as it makes the way of few ranks longer.
///
/// # Safety
/// `to` is valid for the job's bytes.
#[cold]
#[inline(never)]
unsafe fn counted(job: &Job, core: &CommCore, area: &mut Area, step: Step<'_>, to: *mut u8, want: Want) -> Result<()> {
    // SAFETY: lines hold the bytes, and so does `made`.
    let combine = |area: &Area, made| unsafe { combine_lines(job, core, area, step, made, want) };
    // SAFETY: the caller vouches for the contribution and for `to`.
    unsafe { count::through_one(area, step, job.from, to, job.len, combine) }
}

/// # Safety
/// `to` is valid for the job's bytes where something is wanted.
pub(super) unsafe fn combine_lines(
    job: &Job,
    core: &CommCore,
    area: &Area,
    step: Step<'_>,
    to: *mut u8,
    want: Want,
) -> Result<()> {
    let Want::UpTo(last) = want else { return Ok(()) };
    // Aligned for every basic type that fits into a line.
    let mut acc = [0u128; LINE_BYTES.div_ceil(16)];
    let acc = acc.as_mut_ptr().cast::<u8>();
    let mut other = [0u128; LINE_BYTES.div_ceil(16)];
    let other = other.as_mut_ptr().cast::<u8>();
    for rank in 0..=last {
        let target = if rank == 0 { acc } else { other };
        if rank == core.rank {
            // SAFETY: at most a line's bytes; the caller vouches for the contribution.
            unsafe { copy(target, job.from, job.len) };
        } else {
            let line = area.await_line(step, rank)?;
            area.expect_len(step, rank, &line, job.len)?;
            // SAFETY: the line holds them; the buffers have room.
            unsafe { copy(target, line.payload, job.len) };
        }
        if rank > 0 {
            // SAFETY: both are buffers of ours with `len` bytes; the result goes over the first.
            unsafe { job.reducer.apply3(acc, acc, other, job.len / job.element) };
        }
    }
    // SAFETY: the caller vouches for `to`.
    unsafe { copy(to, acc, job.len) };
    Ok(())
}

/// A large Allreduce: for each piece, step A publishes what others combine, step B the part that I
/// combined. Iteration i publishes A(i), combines A(i-1) into B(i-1), collects B(i-2), so that
/// nobody waits for what was only just asked for.
///
/// # Safety
/// `to` is valid for the job's bytes.
unsafe fn segmented(job: &Job, turn: &Turn<'_>, area: &mut Area, chunk: usize, to: *mut u8) -> Result<()> {
    let core = turn.on;
    let elements = job.len / job.element;
    let piece = chunk / job.element;
    let pieces = elements.div_ceil(piece);
    let ranks = core.size() as usize;
    let me = core.rank as usize;
    // First element and number of elements, within the piece, of rank `r`'s part.
    let part = |i: usize, r: usize| {
        let n = piece.min(elements - i * piece);
        let from = n * r / ranks;
        (from, n * (r + 1) / ranks - from)
    };
    let byte = |i: usize, e: usize| (i * piece + e) * job.element;
    let mut sent: Vec<Step<'_>> = Vec::with_capacity(pieces);
    let mut combined: Vec<Step<'_>> = Vec::with_capacity(pieces);
    for i in 0..pieces + 2 {
        if i < pieces {
            let step = area.step_of_all(turn);
            let mine = area.chunk(step)?;
            let n = piece.min(elements - i * piece);
            let (from, len) = part(i, me);
            // SAFETY: the chunk has room for the piece; the caller vouches for the contribution.
            unsafe {
                area.fill(mine, job.from.add(byte(i, 0)), from * job.element);
                let behind = (from + len) * job.element;
                area.fill(mine.add(behind), job.from.add(byte(i, from + len)), n * job.element - behind);
            }
            area.publish_place(step, n * job.element, 0);
            sent.push(step);
        }
        if (1..=pieces).contains(&i) {
            let i = i - 1;
            let (from, len) = part(i, me);
            let step = area.step_of_all(turn);
            let out = area.chunk(step)?;
            let n = piece.min(elements - i * piece);
            let place = |area: &Area, rank: usize| -> Result<*const u8> {
                if rank == me {
                    return Ok(job.from.wrapping_add(byte(i, from)));
                }
                area.await_len(sent[i], rank as u32, n * job.element)?;
                Ok(area.chunk_of(sent[i], rank as u32)?.wrapping_add(from * job.element).cast_const())
            };
            // The sum is made in the user's memory: a chunk's lines are still in the caches of those that
            // read them last, and only the copy takes them over cheaply. Unless my contribution lies there
            // and would be overwritten before its turn.
            let result = to.wrapping_add(byte(i, from));
            let in_place = std::ptr::eq(job.from, to.cast_const()) && me >= 2;
            let sum = if in_place { out } else { result };
            let mut left = place(area, 0)?;
            for rank in 1..ranks {
                let right = place(area, rank)?;
                // SAFETY: all three are valid for `len` elements and are the same or apart.
                unsafe { job.reducer.apply3(sum, left, right, len) };
                left = sum;
            }
            // SAFETY: the result has room for all pieces, the chunk for this one. My contribution was used.
            unsafe {
                if in_place {
                    copy(result, sum, len * job.element);
                } else {
                    area.fill(out, sum, len * job.element);
                }
            }
            area.publish_place(step, len * job.element, 0);
            combined.push(step);
        }
        if let Some(i) = i.checked_sub(2) {
            for rank in (1..ranks).map(|d| (me + d) % ranks) {
                let (from, len) = part(i, rank);
                area.await_len(combined[i], rank as u32, len * job.element)?;
                let bytes = area.chunk_of(combined[i], rank as u32)?;
                // SAFETY: the chunk holds the part; the result has room for it, and my contribution
                // there went into my chunk two iterations ago.
                unsafe { copy(to.add(byte(i, from)), bytes, len * job.element) };
            }
            area.finish(combined[i], false);
        }
    }
    Ok(())
}

/// Combines blocks of different sizes, each on its rank (MPI_Reduce_scatter). `send` none = in
/// place: the contribution lies in `recv`.
///
/// # Safety
/// As for [`reduce`]; `recv.base` has room for my block (in place: for all blocks).
pub unsafe fn reduce_scatter(send: Option<Arg>, recv: Arg, counts: &[usize], op: Op, comm: Comm) -> Result<()> {
    // SAFETY: the caller's word.
    unsafe { scattered(Call::ReduceScatter, send, recv, counts, op, comm) }
}

/// # Safety
/// As for [`reduce_scatter`].
unsafe fn scattered(call: Call, send: Option<Arg>, recv: Arg, counts: &[usize], op: Op, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    let all = Arg { count: total(counts), ..send.unwrap_or(recv) };
    // SAFETY: the caller vouches for the buffers.
    unsafe {
        let what = || Collective::ReduceScatter { send, recv, counts: counts.to_vec(), op };
        let mut found = None;
        job(&mut found, Some(&all), &recv, send.is_some(), op)?;
        let job = found.as_ref().filter(|_| core.remote.is_none());
        let Some(job) = job else { return by_schedule(call, &what(), comm) };
        if core.size() == 1 {
            return keep(job, recv.base);
        }
        // Of equal blocks the sum says all.
        let row = if call == Call::ReduceScatter { counts } else { &[] };
        if job.len > SCATTERED {
            let facts = || Facts::of_reduction(op, all).scattered(row);
            let turn = &Turn::begin(&core, call, None, Some(job.len), facts)?;
            let mut state = enter(turn)?;
            let Some((area, chunk)) = state.area_with_chunks().filter(|(_, chunk)| has_room(job, &core, *chunk)) else {
                drop(state);
                return schedule::run_on(turn, &what(), comm);
            };
            return scatter_pieces(job, counts, turn, (area, chunk), recv.base);
        }
        // The whole vector is combined everywhere, and each rank keeps its block.
        let mut whole = vec![0u8; job.len];
        combine_all(call, Some(all), Arg { base: whole.as_mut_ptr(), ..all }, op, comm, row)?;
        let before: usize = counts[..core.rank as usize].iter().sum();
        copy(recv.base, whole.as_ptr().add(before * job.element), counts[core.rank as usize] * job.element);
    }
    Ok(())
}

/// Combines equal blocks, each on its rank (MPI_Reduce_scatter_block). `recv.count` is one block.
///
/// # Safety
/// As for [`reduce_scatter`].
pub unsafe fn reduce_scatter_block(send: Option<Arg>, recv: Arg, op: Op, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    let counts = vec![recv.count; core.size() as usize];
    // SAFETY: the caller vouches for the buffers.
    unsafe { scattered(Call::ReduceScatterBlock, send, recv, &counts, op, comm) }
}
