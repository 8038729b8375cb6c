//! Every rank sends a block to every other: through one chunk per rank while a rank's blocks fit,
//! in pieces or by messages beyond.

use super::apart::{self, Piece};
use super::area::Area;
use super::bcast::{expect_len, others};
use super::buffers::{Arg, Shape};
use super::gather::{Blocks, check_received};
use super::internal::Copier;
use super::pieces::{self, Between, Coming};
use super::table::{Found, Way};
use super::turn::{Facts, Turn};
use super::{Collective, Row, by_schedule, core_of, enter, internal, table};
use crate::comm::CommCore;
use crate::copy::copy;
use crate::payload::Payload;
use crate::status::Call;
use crate::{Result, check};
use mpi_abi::{Comm, Datatype};

/// One block of Alltoallw: its place in bytes, elements and type.
#[derive(Debug, Clone, Copy)]
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
    if core.remote.is_some() {
        // SAFETY: the caller's word.
        return unsafe {
            by_schedule(
                Call::Alltoall,
                &Collective::Alltoall { send: send.map(Row::Equal), recv: Row::Equal(recv) },
                comm,
            )
        };
    }
    let lanes = |arg: Arg, shape: &Shape| -> Vec<Payload> {
        let block = |r: u32| (r as usize * arg.count).cast_signed();
        // SAFETY: the caller vouches for the buffer.
        (0..core.size()).map(|r| unsafe { shape.payload(arg.base, block(r), arg.count) }).collect()
    };
    let shape = Shape::of(recv.datatype)?;
    // Mostly the same one.
    let other = send.filter(|send| send.datatype != recv.datatype).map(|send| Shape::of(send.datatype)).transpose()?;
    let own = other.as_ref().unwrap_or(&shape);
    if let Some(send) = &send {
        let ranks = core.size() as usize;
        apart::check_two(&own.piece(send.base, 0, send.count * ranks), &shape.piece(recv.base, 0, recv.count * ranks))?;
    }
    let outgoing = send.map(|send| lanes(send, own));
    let incoming = lanes(recv, &shape);
    exchange(&core, outgoing, incoming, Call::Alltoall, Some(&recv))
}

/// Sends blocks of different sizes to all (MPI_Alltoallv). `send` none = in place.
///
/// # Safety
/// As for [`alltoall`].
pub unsafe fn alltoallv(send: Option<Blocks<'_>>, recv: Blocks<'_>, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    // Blocks that not all ranks know are compared there.
    if core.remote.is_some() || check::is_on() {
        // SAFETY: the caller's word.
        return unsafe {
            by_schedule(Call::Alltoallv, &Collective::Alltoall { send: send.map(Row::from), recv: recv.into() }, comm)
        };
    }
    let lanes = |blocks: Blocks<'_>| -> Result<Vec<Payload>> {
        let shape = Shape::of(blocks.datatype)?;
        let ranks = 0..core.size() as usize;
        // SAFETY: the caller vouches for the buffer.
        Ok(ranks.map(|r| unsafe { shape.payload(blocks.base, blocks.displs[r], blocks.counts[r]) }).collect())
    };
    check_received(&recv)?;
    let outgoing = send.map(lanes).transpose()?;
    let incoming = lanes(recv)?;
    check_apart(outgoing.as_deref(), &incoming)?;
    exchange(&core, outgoing, incoming, Call::Alltoallv, None)
}

/// Sends blocks of different sizes and types to all (MPI_Alltoallw). `send` none = in place.
///
/// # Safety
/// As for [`alltoall`].
pub unsafe fn alltoallw(send: Option<(*mut u8, &[Lane])>, recv: (*mut u8, &[Lane]), comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    if core.remote.is_some() || check::is_on() {
        // SAFETY: the caller's word.
        return unsafe {
            by_schedule(Call::Alltoallw, &Collective::Alltoall { send: send.map(Row::from), recv: recv.into() }, comm)
        };
    }
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
    check_apart(outgoing.as_deref(), &incoming)?;
    apart::check_lanes(incoming.iter().map(Piece::of), "rank")?;
    exchange(&core, outgoing, incoming, Call::Alltoallw, None)
}

fn check_apart(outgoing: Option<&[Payload]>, incoming: &[Payload]) -> Result<()> {
    let Some(outgoing) = outgoing else { return Ok(()) };
    apart::check(outgoing.iter().filter_map(Piece::of), incoming.iter().filter_map(Piece::of))
}

/// The exchange itself; `outgoing` none = what is in `incoming` is sent and then overwritten. `block`: if all are
/// alike.
fn exchange(
    core: &CommCore,
    outgoing: Option<Vec<Payload>>,
    mut incoming: Vec<Payload>,
    call: Call,
    block: Option<&Arg>,
) -> Result<()> {
    let outgoing = outgoing.unwrap_or_else(|| incoming.iter().map(|p| Payload::Owned(p.to_bytes())).collect());
    let me = core.rank as usize;
    let own = outgoing[me].len();
    expect_len(call, core.rank, own, incoming[me].len())?;
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
    let turn = &Turn::begin(core, call, None, block.map(|_| own), || Facts::of_block(block.copied()))?;
    let mut state = enter(turn)?;
    let Some((area, _)) = state.area_with_chunks() else {
        return by_messages(turn, outgoing, incoming, &vec![true; core.size() as usize], true);
    };
    let step = area.step_of_all(turn);
    let ranks = core.size() as usize;
    let len = |rank: usize| if rank == me { 0 } else { outgoing[rank].len() };
    // SAFETY: `publish` gives an address in our place with room for the block.
    let write = |area: &mut Area, rank: usize, to: *mut u8| unsafe { area.fill_with(to, &outgoing[rank]) };
    let way = table::publish(area, step, ranks, Between::All, len, write)?;
    let mut as_message = vec![false; ranks];
    let mut coming = Vec::new();
    let mut longest = 0;
    if way == Way::Pieces {
        coming.resize(ranks, None);
        longest = (0..ranks).map(len).max().unwrap_or(0);
    }
    let mut outcome = Ok(());
    for rank in (1..core.size()).map(|d| (core.rank + d) % core.size()) {
        let line = area.await_line(step, rank)?;
        let target = &mut incoming[rank as usize];
        let found = table::find(area, step, rank, &line, ranks, core.rank)?;
        let len = match found {
            Found::Message => {
                as_message[rank as usize] = true;
                continue;
            }
            Found::Pieces(len, of_all) => {
                coming.resize(ranks, None);
                coming[rank as usize] = Some(Coming { len, fits: len == target.len() });
                longest = longest.max(of_all);
                len
            }
            Found::Here(_, len) => len,
        };
        if len != target.len() {
            outcome = outcome.and(expect_len(call, rank, len, target.len()));
        } else if let Found::Here(from, _) = found {
            match target.run() {
                // SAFETY: the block lies in line or chunk; the target has room.
                Some(to) => unsafe { copy(to, from, len) },
                // SAFETY: as above.
                None => unsafe { target.write(0, from, len) },
            }
        }
    }
    area.finish(step, true);
    if !coming.is_empty() {
        let send = (way == Way::Pieces).then_some(&outgoing[..]);
        pieces::exchange(turn, area, send, &mut incoming, &coming, longest)?;
    }
    by_messages(turn, outgoing, incoming, &as_message, way == Way::Messages).and(outcome)
}

/// The blocks of those ranks that have too many bytes for a chunk.
fn by_messages(
    turn: &Turn<'_>,
    outgoing: Vec<Payload>,
    incoming: Vec<Payload>,
    from: &[bool],
    send: bool,
) -> Result<()> {
    let mut works = Vec::new();
    let core = turn.on;
    let size = core.size();
    let mut incoming: Vec<_> = incoming.into_iter().map(Some).collect();
    for rank in others(core).filter(|r| from[*r as usize]) {
        if let Some(payload) = incoming[rank as usize].take() {
            works.push(internal::irecv_copied_by(Copier::Everybody, turn, rank, payload)?);
        }
    }
    if send {
        let mut outgoing: Vec<_> = outgoing.into_iter().map(Some).collect();
        for rank in (1..size).map(|d| (core.rank + d) % size) {
            if let Some(payload) = outgoing[rank as usize].take() {
                works.push(internal::isend_copied_by(Copier::Everybody, turn, rank, payload)?);
            }
        }
    }
    internal::wait_all(turn, works)
}
