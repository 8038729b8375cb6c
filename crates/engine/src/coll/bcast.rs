//! Barrier and broadcast.

use super::area::{Area, LINE_BYTES, Step};
use super::buffers::Arg;
use super::turn::{Facts, Turn};
use super::{Collective, State, by_schedule, check_root, core_of, count, enter, internal, too_long};
use crate::comm::CommCore;
use crate::copy::copy_out_part;
use crate::payload::Payload;
use crate::status::Call;
use crate::{Error, Result};
use mpi_abi::Comm;
use std::ffi::c_int;

/// Returns when all ranks have called it (MPI_Barrier).
pub fn barrier(comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    if core.remote.is_some() {
        // SAFETY: the caller's word.
        return unsafe { by_schedule(Call::Barrier, &Collective::Barrier, comm) };
    }
    if core.size() == 1 {
        return Ok(());
    }
    let turn = &Turn::begin(&core, Call::Barrier, None, None, Facts::default)?;
    let mut state = enter(turn)?;
    let Some(area) = state.area() else {
        return internal::allgather(turn, &[]).map(|_| ());
    };
    // Everybody writes a line and reads everybody's.
    let step = area.step_of_all(turn);
    if area.counted() {
        return counted_barrier(area, step);
    }
    // SAFETY: no bytes.
    unsafe { area.publish_line(step, std::ptr::null(), 0) }?;
    for rank in others(&core) {
        area.await_line(step, rank)?;
    }
    area.finish(step, true);
    Ok(())
}

/// The same of many ranks. Apart, as it makes the one of few ranks longer.
#[cold]
#[inline(never)]
fn counted_barrier(area: &mut Area, step: Step<'_>) -> Result<()> {
    let all_came =
        |area: &Area, _: *mut u8| others(step.turn().on).try_for_each(|rank| area.await_line(step, rank).map(|_| ()));
    let mut nothing = 0u8;
    // SAFETY: no bytes.
    unsafe { count::through_one(area, step, &raw const nothing, &raw mut nothing, 0, all_came) }
}

/// All ranks but mine.
pub(super) fn others(core: &CommCore) -> impl Iterator<Item = u32> + use<> {
    let me = core.rank;
    (0..core.size()).filter(move |r| *r != me)
}

/// Copies the root's elements to all ranks (MPI_Bcast).
///
/// # Safety
/// The buffer is valid for reads on the root and for writes elsewhere.
pub unsafe fn bcast(buffer: Arg, root: c_int, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    if core.remote.is_some() {
        // SAFETY: the caller's word.
        return unsafe { by_schedule(Call::Bcast, &Collective::Bcast { buffer, root }, comm) };
    }
    let root = check_root(&core, root)?;
    // SAFETY: the caller vouches for the buffer.
    let target = unsafe { buffer.target() }?;
    if core.size() == 1 {
        return Ok(());
    }
    let turn = &Turn::begin(&core, Call::Bcast, Some(root), Some(target.len), || Facts::of_block(Some(buffer)))?;
    let mut state = enter(turn)?;
    // SAFETY: the target is as long as we say.
    unsafe { bcast_bytes(&mut state, turn, target.ptr, target.len, root) }?;
    if core.rank != root {
        target.commit();
    }
    Ok(())
}

/// The root says in each line how many bytes there are in all, so that a rank that expects another
/// number gets its error and the communicator stays in order.
///
/// # Safety
/// `bytes` is valid for `len` bytes, for reads on the root and writes elsewhere.
pub(super) unsafe fn bcast_bytes(
    state: &mut State,
    turn: &Turn<'_>,
    bytes: *mut u8,
    len: usize,
    root: u32,
) -> Result<()> {
    let chunk = match state.area() {
        None => 0,
        Some(_) if len <= LINE_BYTES => LINE_BYTES,
        Some(area) => area.chunk_bytes(),
    };
    let Some(area) = state.area().filter(|_| chunk > 0) else {
        // SAFETY: the caller vouches for the bytes.
        return unsafe { bcast_messages(turn, bytes, len, root) };
    };
    if turn.on.rank != root {
        // SAFETY: the caller vouches for the bytes.
        return unsafe { bcast_receive(area, turn, bytes, len, root) };
    }
    if len <= LINE_BYTES {
        let step = area.step(turn);
        // SAFETY: the caller vouches for the bytes.
        unsafe { area.publish_line(step, bytes, len) }?;
        area.finish(step, false);
        return Ok(());
    }
    let mut at = 0;
    while at < len {
        let part = chunk.min(len - at);
        let step = area.step(turn);
        let place = area.piece(step, part)?;
        // SAFETY: a chunk has room for `part` bytes, and the caller vouches for the source.
        unsafe { area.fill(place, bytes.add(at), part) };
        area.publish_place(step, part, len as u64);
        area.finish(step, false);
        at += part;
    }
    Ok(())
}

/// # Safety
/// `bytes` is valid for writes of `len` bytes.
unsafe fn bcast_receive(area: &mut Area, turn: &Turn<'_>, bytes: *mut u8, len: usize, root: u32) -> Result<()> {
    let mut at = 0;
    loop {
        let step = area.step(turn);
        let line = area.await_line(step, root)?;
        let in_line = line.note == 0;
        let total = if in_line { line.len } else { line.note as usize };
        let room = len.saturating_sub(at).min(line.len);
        let from = if in_line { line.payload } else { area.piece_of(step, root, line.len)?.cast_const() };
        if room > 0 {
            // SAFETY: line or chunk hold `line.len` bytes, the result has room for `room` more.
            unsafe { copy_out_part(bytes.add(at), from, room, total) };
        }
        area.finish(step, false);
        at += line.len;
        if at >= total {
            return if total == len { Ok(()) } else { Err(too_long(turn.called.call, root, total, len)) };
        }
    }
}

pub(super) fn expect_len(call: Call, rank: u32, sent: usize, room: usize) -> Result<()> {
    if sent == room { Ok(()) } else { Err::<(), Error>(too_long(call, rank, sent, room)) }
}

/// # Safety
/// As for [`bcast_bytes`].
unsafe fn bcast_messages(turn: &Turn<'_>, bytes: *mut u8, len: usize, root: u32) -> Result<()> {
    let payload = || Payload::Run { base: bytes, len };
    if turn.on.rank != root {
        return internal::wait(turn, internal::irecv(turn, root, payload())?);
    }
    let works = others(turn.on).map(|r| internal::isend(turn, r, payload())).collect::<Result<Vec<_>>>()?;
    internal::wait_all(turn, works)
}
