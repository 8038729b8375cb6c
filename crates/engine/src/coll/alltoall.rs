//! Every rank sends a block to every other: through one chunk per rank while a rank's blocks fit,
//! by messages beyond.

use super::area::LINE_BYTES;
use super::buffers::{Arg, Shape};
use super::gather::{BY_MESSAGE, Blocks, TABLE, TABLE_RANKS};
use super::{bcast::others, core_of, enter, internal, too_long};
use crate::Result;
use crate::comm::CommCore;
use crate::copy::copy;
use crate::payload::Payload;
use crate::status::Call;
use mpi_abi::{Comm, Datatype};

/// One block of Alltoallw: its place in bytes, elements and type.
#[derive(Clone, Copy)]
pub struct Lane {
    /// Bytes from the buffer's address.
    pub displ: isize,
    /// Elements.
    pub count: usize,
    /// Their type.
    pub datatype: Datatype,
}

/// Sends equal blocks to all (MPI_Alltoall). Counts are per rank; `send` none = in place.
///
/// # Safety
/// The buffers are valid for what the operation reads and writes.
pub unsafe fn alltoall(send: Option<Arg>, recv: Arg, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    let lanes = |arg: Arg, shape: &Shape| -> Vec<Payload> {
        let block = |r: u32| (r as usize * arg.count).cast_signed();
        // SAFETY: the caller vouches for the buffer.
        (0..core.size()).map(|r| unsafe { shape.payload(arg.base, block(r), arg.count) }).collect()
    };
    let outgoing = send.map(|s| Shape::of(s.datatype).map(|shape| lanes(s, &shape))).transpose()?;
    let incoming = lanes(recv, &Shape::of(recv.datatype)?);
    exchange(&core, outgoing, incoming, Call::Alltoall)
}

/// Sends blocks of different sizes to all (MPI_Alltoallv). `send` none = in place.
///
/// # Safety
/// As for [`alltoall`].
pub unsafe fn alltoallv(send: Option<Blocks<'_>>, recv: Blocks<'_>, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    let lanes = |blocks: Blocks<'_>| -> Result<Vec<Payload>> {
        let shape = Shape::of(blocks.datatype)?;
        let ranks = 0..core.size() as usize;
        // SAFETY: the caller vouches for the buffer.
        Ok(ranks.map(|r| unsafe { shape.payload(blocks.base, blocks.displs[r], blocks.counts[r]) }).collect())
    };
    let outgoing = send.map(lanes).transpose()?;
    let incoming = lanes(recv)?;
    exchange(&core, outgoing, incoming, Call::Alltoallv)
}

/// Sends blocks of different sizes and types to all (MPI_Alltoallw). `send` none = in place.
///
/// # Safety
/// As for [`alltoall`].
pub unsafe fn alltoallw(send: Option<(*mut u8, &[Lane])>, recv: (*mut u8, &[Lane]), comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    let lanes = |(base, lanes): (*mut u8, &[Lane])| -> Result<Vec<Payload>> {
        let one = |lane: &Lane| {
            let shape = Shape::of(lane.datatype)?;
            // SAFETY: the caller vouches for the buffer.
            Ok(unsafe { shape.payload(base.wrapping_offset(lane.displ), 0, lane.count) })
        };
        lanes.iter().map(one).collect()
    };
    let outgoing = send.map(lanes).transpose()?;
    let incoming = lanes(recv)?;
    exchange(&core, outgoing, incoming, Call::Alltoallw)
}

/// The exchange itself; `outgoing` none = what is in `incoming` is sent and then overwritten.
fn exchange(core: &CommCore, outgoing: Option<Vec<Payload>>, mut incoming: Vec<Payload>, call: Call) -> Result<()> {
    let outgoing = outgoing.unwrap_or_else(|| incoming.iter().map(|p| Payload::Owned(p.to_bytes())).collect());
    let me = core.rank as usize;
    let own = outgoing[me].len();
    if own > incoming[me].len() {
        return Err(too_long(call, core.rank, own, incoming[me].len()));
    }
    match outgoing[me].run() {
        // SAFETY: both blocks are as long as said; the caller vouches that they do not overlap.
        Some(from) => unsafe { incoming[me].write(0, from, own) },
        None => {
            let bytes = outgoing[me].to_bytes();
            // SAFETY: the bytes are ours.
            unsafe { incoming[me].write(0, bytes.as_ptr(), own) };
        }
    }
    if core.size() == 1 {
        return Ok(());
    }
    let mut state = enter(core, call)?;
    let Some((area, chunk)) = state.area_with_chunks() else {
        return by_messages(core, outgoing, incoming, call, &vec![true; core.size() as usize], true);
    };
    let step = area.step_of_all(call);
    let ranks = core.size() as usize;
    let table = ranks * 8;
    let rest = outgoing.iter().map(Payload::len).sum::<usize>() - own;
    let total = table + rest;
    let fits = total <= chunk;
    if rest <= LINE_BYTES && ranks <= TABLE_RANKS {
        let place = area.line(step)?;
        let (mut at, mut lens) = (0, TABLE);
        for (rank, payload) in outgoing.iter().enumerate().filter(|(rank, _)| *rank != me) {
            let len = payload.len();
            // SAFETY: the blocks fit into the line (checked), which is ours.
            unsafe { payload.read(0, place.add(at), len) };
            lens |= (len as u64) << (8 * rank);
            at += len;
        }
        area.publish_place(step, rest, lens);
    } else if fits {
        let place = area.chunk(step)?;
        let mut at = table;
        for (rank, payload) in outgoing.iter().enumerate() {
            let len = if rank == me { 0 } else { payload.len() };
            // SAFETY: table and blocks fit into the chunk (checked), which is aligned and ours.
            unsafe {
                place.cast::<u64>().add(rank).write(len as u64);
                payload.read(0, place.add(at), len);
            }
            at += len;
        }
        area.publish_place(step, at, 0);
    } else {
        area.line(step)?;
        area.publish_place(step, 0, BY_MESSAGE);
    }
    let mut as_message = vec![false; ranks];
    let mut outcome = Ok(());
    for rank in (1..core.size()).map(|d| (core.rank + d) % core.size()) {
        let line = area.await_line(step, rank)?;
        if line.note == BY_MESSAGE {
            as_message[rank as usize] = true;
            continue;
        }
        let (from, at, len) = if line.note & TABLE == TABLE {
            let lens = |r: usize| (line.note >> (8 * r) & 0xff) as usize;
            (line.payload, (0..me).map(lens).sum::<usize>(), lens(me))
        } else {
            let from = area.chunk_of(step, rank)?.cast_const();
            // SAFETY: the rank wrote a table of `ranks` lengths at the beginning of the aligned chunk.
            let lens = |r: usize| unsafe { from.cast::<u64>().add(r).read() } as usize;
            (from, table + (0..me).map(lens).sum::<usize>(), lens(me))
        };
        let target = &mut incoming[rank as usize];
        if len > target.len() {
            outcome = outcome.and(Err(too_long(call, rank, len, target.len())));
            continue;
        }
        match target.run() {
            // SAFETY: the block lies in line or chunk; the target has room.
            Some(to) => unsafe { copy(to, from.add(at), len) },
            // SAFETY: as above.
            None => unsafe { target.write(0, from.add(at), len) },
        }
    }
    area.finish(step, true);
    by_messages(core, outgoing, incoming, call, &as_message, !fits).and(outcome)
}

/// The blocks of those ranks that have too many bytes for a chunk.
fn by_messages(
    core: &CommCore,
    outgoing: Vec<Payload>,
    incoming: Vec<Payload>,
    call: Call,
    from: &[bool],
    send: bool,
) -> Result<()> {
    let mut works = Vec::new();
    let size = core.size();
    let mut incoming: Vec<_> = incoming.into_iter().map(Some).collect();
    for rank in others(core).filter(|r| from[*r as usize]) {
        if let Some(payload) = incoming[rank as usize].take() {
            works.push(internal::irecv(core, rank, payload, call)?);
        }
    }
    if send {
        let mut outgoing: Vec<_> = outgoing.into_iter().map(Some).collect();
        for rank in (1..size).map(|d| (core.rank + d) % size) {
            if let Some(payload) = outgoing[rank as usize].take() {
                works.push(internal::isend(core, rank, payload, call)?);
            }
        }
    }
    internal::wait_all(works)
}
