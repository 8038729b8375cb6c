//! Scan and Exscan: lines of all that a rank wants, or a chain through chunks.

use super::area::LINE_BYTES;
use super::buffers::Arg;
use super::chain::chain_upward;
use super::reduce::{Job, Want, combine_lines, job, keep};
use super::turn::{Facts, Turn};
use super::{Collective, State, by_schedule, core_of, enter, schedule};
use crate::Result;
use crate::status::Call;
use mpi_abi::{Comm, Op};
use shm::lock::Guard;

/// Combines the contributions of the ranks up to mine (MPI_Scan). `send` none = in place.
///
/// # Safety
/// The buffers are valid for what the operation reads and writes.
pub unsafe fn scan(send: Option<Arg>, recv: Arg, op: Op, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    let what = || Collective::Scan { send, recv, op };
    // SAFETY: the caller vouches for the buffers.
    unsafe {
        let mut found = None;
        job(&mut found, send.as_ref(), &recv, true, op)?;
        let Some(job) = found.as_ref().filter(|_| core.remote.is_none()) else {
            return by_schedule(Call::Scan, &what(), comm);
        };
        if core.size() == 1 {
            return keep(job, recv.base);
        }
        let want = Want::UpTo(core.rank);
        let turn =
            &Turn::begin(&core, Call::Scan, None, Some(job.len), || Facts::of_reduction(op, send.unwrap_or(recv)))?;
        let done = ordered(job, turn, enter(turn)?, recv.base, want)?;
        if done { Ok(()) } else { schedule::run_on(turn, &what(), comm) }
    }
}

/// Combines the contributions of the ranks before mine (MPI_Exscan); rank 0's buffer is not
/// touched. `send` none = in place.
///
/// # Safety
/// The buffers are valid for what the operation reads and writes.
pub unsafe fn exscan(send: Option<Arg>, recv: Arg, op: Op, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    let what = || Collective::Exscan { send, recv, op };
    // SAFETY: the caller vouches for the buffers.
    unsafe {
        let mut found = None;
        job(&mut found, send.as_ref(), &recv, true, op)?;
        let Some(job) = found.as_ref().filter(|_| core.remote.is_none()) else {
            return by_schedule(Call::Exscan, &what(), comm);
        };
        if core.size() == 1 {
            return Ok(());
        }
        let want = core.rank.checked_sub(1).map_or(Want::None, Want::UpTo);
        let turn =
            &Turn::begin(&core, Call::Exscan, None, Some(job.len), || Facts::of_reduction(op, send.unwrap_or(recv)))?;
        let done = ordered(job, turn, enter(turn)?, recv.base, want)?;
        if done { Ok(()) } else { schedule::run_on(turn, &what(), comm) }
    }
}

/// False: there is no memory for it, and nothing was done.
///
/// # Safety
/// `to` is valid for the job's bytes where something is wanted.
unsafe fn ordered(job: &Job, turn: &Turn<'_>, mut state: Guard<'_, State>, to: *mut u8, want: Want) -> Result<bool> {
    // Ranks wait for lower ones only, and so may run ahead of the others.
    if job.len <= LINE_BYTES
        && let Some(area) = state.area()
    {
        let step = area.step(turn);
        // SAFETY: the caller vouches for the contribution.
        unsafe { area.publish_line(step, job.from, job.len) }?;
        // SAFETY: lines hold the bytes; the caller vouches for `to`.
        unsafe { combine_lines(job, turn.on, area, step, to, want) }?;
        area.finish(step, false);
        return Ok(true);
    }
    let Some((area, chunk)) = state.area_with_chunks() else { return Ok(false) };
    let includes_me = matches!(want, Want::UpTo(last) if last == turn.on.rank);
    // SAFETY: the caller's word.
    unsafe { chain_upward(job, turn, (area, chunk), to, includes_me) }?;
    Ok(true)
}
