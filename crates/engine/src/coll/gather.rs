//! Gather, scatter and allgather, with equal and with different counts.
//!
//! Equal counts: all ranks know the size, so all choose the same way: a line, chunks, pieces, messages.
//! Different counts: only the root knows them all. A rank whose block does not fit into its chunk
//! says so in its line (`BY_MESSAGE`) and sends a message; the root of a Scatterv may say that pieces follow.

use super::apart::{self, Piece};
use super::area::{Area, LINE_BYTES, Step};
use super::bcast::{bcast_bytes, expect_len, others};
use super::buffers::{Arg, Shape, Source};
use super::internal::{self, Copier};
use super::note::{BY_MESSAGE, IN_CHUNK};
use super::pieces::{self, Between, Incoming};
use super::table::{Found, Way};
use super::turn::{Facts, Turn};
use super::{Collective, Row, by_schedule, check_root, core_of, enter, table, too_long};
use crate::comm::CommCore;
use crate::copy::{copy, copy_out_part};
use crate::payload::Payload;
use crate::status::Call;
use crate::{Result, check, with};
use mpi_abi::{Comm, Datatype};
use std::ffi::c_int;

/// Blocks of different sizes in a buffer: per rank a count and a displacement in extents.
#[derive(Clone, Copy)]
pub struct Blocks<'a> {
    /// Address of the buffer.
    pub base: *mut u8,
    /// Elements per rank.
    pub counts: &'a [usize],
    /// First element per rank, in extents of the type.
    pub displs: &'a [isize],
    /// Type of the elements.
    pub datatype: Datatype,
}

/// An error if blocks to receive overlap.
#[inline]
pub(super) fn check_received(blocks: &Blocks<'_>) -> Result<()> {
    let has_bytes = || with(|e| e.types.get(blocks.datatype).is_ok_and(|kind| kind.size() > 0));
    apart::check_blocks(blocks.counts, blocks.displs, has_bytes, |_| true, "rank")
}

/// The place of rank `r`'s block in a buffer of equal or different blocks.
struct Layout<'a> {
    base: *mut u8,
    shape: Shape,
    equal: usize,
    counts: Option<(&'a [usize], &'a [isize])>,
}

impl<'a> Layout<'a> {
    fn equal(arg: Arg) -> Result<Self> {
        Ok(Self { base: arg.base, shape: Shape::of(arg.datatype)?, equal: arg.count, counts: None })
    }

    fn blocks(blocks: Blocks<'a>) -> Result<Self> {
        let shape = Shape::of(blocks.datatype)?;
        Ok(Self { base: blocks.base, shape, equal: 0, counts: Some((blocks.counts, blocks.displs)) })
    }

    fn place(&self, rank: u32) -> (isize, usize) {
        let r = rank as usize;
        match self.counts {
            None => ((r * self.equal).cast_signed(), self.equal),
            Some((counts, displs)) => (displs[r], counts[r]),
        }
    }

    /// All of its memory.
    fn pieces(&self, ranks: u32) -> impl Iterator<Item = Piece<'_>> + Clone {
        let parts = if self.counts.is_some() { ranks } else { 1 };
        (0..parts).map(move |rank| {
            let (at, count) = if self.counts.is_some() { self.place(rank) } else { (0, self.equal * ranks as usize) };
            self.shape.piece(self.base, at, count)
        })
    }

    fn len(&self, rank: u32) -> usize {
        self.place(rank).1 * self.shape.size
    }

    /// # Safety
    /// The buffer is valid for `rank`'s block until the payload is no longer used.
    unsafe fn payload(&self, rank: u32) -> Payload {
        let (at, count) = self.place(rank);
        // SAFETY: the caller vouches for the memory.
        unsafe { self.shape.payload(self.base, at, count) }
    }
}

/// Collects equal blocks on the root (MPI_Gather). `send` none = in place (root only); `recv`
/// counts per rank and matters on the root only.
///
/// # Safety
/// The buffers are valid for what the operation reads and writes.
pub unsafe fn gather(send: Option<Arg>, recv: Option<Arg>, root: c_int, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    if core.remote.is_some() {
        // SAFETY: the caller's word.
        return unsafe {
            by_schedule(Call::Gather, &Collective::Gather { send, recv: recv.map(Row::Equal), root }, comm)
        };
    }
    let root = check_root(&core, root)?;
    let layout = recv.filter(|_| core.rank == root).map(Layout::equal).transpose()?;
    // SAFETY: the caller vouches for the buffers.
    unsafe { gather_any(send, layout, root, &core, Call::Gather, if core.rank == root { recv } else { send }) }
}

/// Collects blocks of different sizes on the root (MPI_Gatherv).
///
/// # Safety
/// As for [`gather`].
pub unsafe fn gatherv(send: Option<Arg>, recv: Option<Blocks<'_>>, root: c_int, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    // Blocks that not all ranks know are compared there.
    if core.remote.is_some() || check::is_on() {
        // SAFETY: the caller's word.
        return unsafe {
            by_schedule(Call::Gatherv, &Collective::Gather { send, recv: recv.map(Row::from), root }, comm)
        };
    }
    let root = check_root(&core, root)?;
    let recv = recv.filter(|_| core.rank == root);
    recv.as_ref().map_or(Ok(()), check_received)?;
    let layout = recv.map(Layout::blocks).transpose()?;
    // SAFETY: the caller vouches for the buffers.
    unsafe { gather_any(send, layout, root, &core, Call::Gatherv, None) }
}

/// `block`: if all are alike.
///
/// # Safety
/// As for [`gather`]; `recv` is there on the root.
unsafe fn gather_any(
    send: Option<Arg>,
    recv: Option<Layout<'_>>,
    root: u32,
    core: &CommCore,
    call: Call,
    block: Option<Arg>,
) -> Result<()> {
    // SAFETY: the caller vouches for the buffer.
    let source = send.map(|s| unsafe { s.source() }).transpose()?;
    let own = |layout: &Layout<'_>| {
        if let Some(source) = &source {
            // SAFETY: the caller vouches for both buffers, which do not overlap.
            unsafe { put(layout, root, source.ptr, source.len, call) }
        } else {
            Ok(())
        }
    };
    if let Some(layout) = &recv {
        apart::check(source.iter().filter_map(Source::piece), layout.pieces(core.size()))?;
    }
    if core.size() == 1 {
        return recv.as_ref().map_or(Ok(()), own);
    }
    let len = recv.as_ref().map_or_else(|| source.as_ref().map(|source| source.len), |layout| Some(layout.len(root)));
    let turn = &Turn::begin(core, call, Some(root), len.filter(|_| block.is_some()), || Facts::of_block(block))?;
    let mut state = enter(turn)?;
    let Some((area, chunk)) = state.area_with_chunks() else {
        // SAFETY: the caller vouches for the buffers.
        return unsafe { gather_messages(source, recv.as_ref(), root, turn) };
    };
    let step = area.step(turn);
    if core.rank == root {
        let Some(layout) = recv else { return Ok(()) };
        // Whatever is wrong with a block, the others are taken, so that the ranks stay in step.
        let mut outcome = Ok(());
        // Before we wait for the others, or once they have begun to write theirs into our memory.
        let short = source.as_ref().is_none_or(|source| source.len <= chunk);
        if short {
            outcome = own(&layout);
        }
        let mut late = Vec::new();
        let mut more = Vec::new();
        for rank in others(core) {
            let line = area.await_line(step, rank)?;
            if line.note == BY_MESSAGE {
                late.push(rank);
                continue;
            }
            if let Some(len) = pieces::total(&line) {
                // SAFETY: the caller vouches for the buffer.
                let block = unsafe { layout.payload(rank) };
                let fits = expect_len(call, rank, len, block.len());
                more.push(Incoming { rank, len, block: fits.is_ok().then_some(block) });
                outcome = outcome.and(fits);
                continue;
            }
            let from =
                if line.note == IN_CHUNK { area.piece_of(step, rank, line.len)?.cast_const() } else { line.payload };
            // SAFETY: line or chunk hold `len` bytes; the caller vouches for the buffer.
            outcome = outcome.and(unsafe { put(&layout, rank, from, line.len, call) });
        }
        pieces::collect(turn, area, step, &mut more)?;
        let works = late
            .into_iter()
            // SAFETY: the caller vouches for the buffer until we have waited.
            .map(|r| internal::irecv_copied_by(Copier::Sender, turn, r, unsafe { layout.payload(r) }))
            .collect::<Result<Vec<_>>>()?;
        if !short {
            internal::answer_offers();
            outcome = outcome.and(own(&layout));
        }
        return internal::wait_all(turn, works).and(outcome);
    }
    let Some(source) = source else { return Ok(()) };
    // If all blocks are alike, all count the same pieces.
    if block.is_some() && source.len > chunk && pieces::are_good(area, core.size() as usize, source.len, Between::One) {
        // SAFETY: the caller vouches for the source.
        return unsafe { pieces::give(turn, area, step, source.ptr, source.len) };
    }
    // A message goes first: the root that has read all lines then has all offers as well.
    let message = if source.len > chunk {
        let payload = Payload::Run { base: source.ptr.cast_mut(), len: source.len };
        Some(internal::isend_copied_by(Copier::Sender, turn, root, payload)?)
    } else {
        None
    };
    // SAFETY: the caller vouches for the source.
    let offered = unsafe { offer(area, step, &source, chunk) };
    area.finish(step, false);
    match message {
        Some(message) if offered.is_ok() => internal::wait(turn, message),
        Some(message) => {
            internal::give_up(message);
            offered
        }
        None => offered,
    }
}

/// Publishes a block in the line or the chunk, or says that it comes as a message.
///
/// # Safety
/// The source is valid.
unsafe fn offer(area: &mut Area, step: Step<'_>, source: &Source, chunk: usize) -> Result<()> {
    if source.len <= LINE_BYTES {
        // SAFETY: the caller vouches for the source.
        return unsafe { area.publish_line(step, source.ptr, source.len) };
    }
    if source.len > chunk {
        area.line(step)?;
        area.publish_place(step, 0, BY_MESSAGE);
        return Ok(());
    }
    let place = area.piece(step, source.len)?;
    // SAFETY: the chunk has room; the caller vouches for the source.
    unsafe { area.fill(place, source.ptr, source.len) };
    area.publish_place(step, source.len, IN_CHUNK);
    Ok(())
}

/// Writes `len` bytes into `rank`'s block.
///
/// # Safety
/// `from` is valid for `len` bytes, the layout's buffer for writes.
unsafe fn put(layout: &Layout<'_>, rank: u32, from: *const u8, len: usize, call: Call) -> Result<()> {
    // SAFETY: the caller vouches for the buffer.
    let mut payload = unsafe { layout.payload(rank) };
    expect_len(call, rank, len, payload.len())?;
    if payload.run() == Some(from.cast_mut()) {
        return Ok(());
    }
    // SAFETY: the caller vouches for the source.
    unsafe { payload.write(0, from, len) };
    Ok(())
}

/// # Safety
/// As for [`gather_any`].
unsafe fn gather_messages(source: Option<Source>, recv: Option<&Layout<'_>>, root: u32, turn: &Turn<'_>) -> Result<()> {
    match (turn.on.rank == root, source, recv) {
        (true, source, Some(layout)) => {
            let works = others(turn.on)
                // SAFETY: the caller vouches for the buffer until we have waited.
                .map(|r| internal::irecv(turn, r, unsafe { layout.payload(r) }))
                .collect::<Result<Vec<_>>>()?;
            let outcome = source.map_or(Ok(()), |source| {
                // SAFETY: the caller vouches for both buffers.
                unsafe { put(layout, root, source.ptr, source.len, turn.called.call) }
            });
            internal::wait_all(turn, works).and(outcome)
        }
        (false, Some(source), _) => {
            let payload = Payload::Run { base: source.ptr.cast_mut(), len: source.len };
            internal::wait(turn, internal::isend(turn, root, payload)?)
        }
        _ => Ok(()),
    }
}

/// Distributes equal blocks of the root (MPI_Scatter). `recv` none = in place (root only).
///
/// # Safety
/// As for [`gather`].
pub unsafe fn scatter(send: Option<Arg>, recv: Option<Arg>, root: c_int, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    if core.remote.is_some() {
        // SAFETY: the caller's word.
        return unsafe {
            by_schedule(Call::Scatter, &Collective::Scatter { send: send.map(Row::Equal), recv, root }, comm)
        };
    }
    let root = check_root(&core, root)?;
    let layout = send.filter(|_| core.rank == root).map(Layout::equal).transpose()?;
    // SAFETY: the caller vouches for the buffers.
    unsafe { scatter_any(layout, recv, root, &core, Call::Scatter, if core.rank == root { send } else { recv }) }
}

/// Distributes blocks of different sizes (MPI_Scatterv).
///
/// # Safety
/// As for [`gather`].
pub unsafe fn scatterv(send: Option<Blocks<'_>>, recv: Option<Arg>, root: c_int, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    // Blocks that not all ranks know are compared there.
    if core.remote.is_some() || check::is_on() {
        // SAFETY: the caller's word.
        return unsafe {
            by_schedule(Call::Scatterv, &Collective::Scatter { send: send.map(Row::from), recv, root }, comm)
        };
    }
    let root = check_root(&core, root)?;
    let layout = send.filter(|_| core.rank == root).map(Layout::blocks).transpose()?;
    // SAFETY: the caller vouches for the buffers.
    unsafe { scatter_any(layout, recv, root, &core, Call::Scatterv, None) }
}

/// The root's chunk holds a table of `ranks` lengths (8 bytes each) and the other ranks' blocks behind
/// it, in rank order. Small blocks of few ranks fit into its line, and their lengths into the note. `block`: if all
/// are alike.
///
/// # Safety
/// As for [`gather`]; `send` is there on the root.
unsafe fn scatter_any(
    send: Option<Layout<'_>>,
    recv: Option<Arg>,
    root: u32,
    core: &CommCore,
    call: Call,
    block: Option<Arg>,
) -> Result<()> {
    // SAFETY: the caller vouches for the buffer.
    let target = recv.map(|r| unsafe { r.target() }).transpose()?;
    let me = core.rank;
    let ranks = core.size() as usize;
    let len = send.as_ref().map_or_else(|| target.as_ref().map(|target| target.len), |layout| Some(layout.len(root)));
    let begin = || Turn::begin(core, call, Some(root), len.filter(|_| block.is_some()), || Facts::of_block(block));
    if me == root {
        let Some(layout) = send else { return Ok(()) };
        if let Some(target) = &target {
            apart::check(layout.pieces(core.size()), target.piece().into_iter())?;
            expect_len(call, me, layout.len(me), target.len)?;
        }
        // The own block, once the others have theirs on the way.
        let own = || {
            let Some(target) = target else { return };
            let len = target.len;
            // SAFETY: the caller vouches for both buffers; the target has room for the block, which is as long.
            let payload = unsafe { layout.payload(me) };
            if payload.run() != Some(target.ptr) {
                // SAFETY: as above.
                unsafe {
                    match payload.run() {
                        Some(from) => copy_out_part(target.ptr, from, len, len),
                        None => payload.read(0, target.ptr, len),
                    }
                }
            }
            target.commit();
        };
        if ranks == 1 {
            own();
            return Ok(());
        }
        let turn = &begin()?;
        let mut state = enter(turn)?;
        let mut way = Way::Messages;
        if let Some(area) = state.area() {
            let step = area.step(turn);
            let len = |r: usize| if r as u32 == me { 0 } else { layout.len(r as u32) };
            // SAFETY: `publish` gives an address in our place with room for the block; the caller vouches for
            // the buffer.
            let write =
                |area: &mut Area, r: usize, to: *mut u8| unsafe { area.fill_with(to, &layout.payload(r as u32)) };
            way = table::publish(area, step, ranks, Between::One, len, write)?;
            area.finish(step, false);
            if way == Way::Pieces {
                // SAFETY: the caller vouches for the buffer, of which we only read.
                let blocks: Vec<_> = (0..core.size()).map(|r| unsafe { layout.payload(r) }).collect();
                pieces::scatter(turn, area, &blocks)?;
            }
        }
        if way == Way::Messages {
            let works = others(core)
                // SAFETY: the caller vouches for the buffer until we have waited.
                .map(|r| internal::isend_copied_by(Copier::Receiver, turn, r, unsafe { layout.payload(r) }))
                .collect::<Result<Vec<_>>>()?;
            own();
            return internal::wait_all(turn, works);
        }
        own();
        return Ok(());
    }
    let Some(target) = target else { return Ok(()) };
    let turn = &begin()?;
    let mut state = enter(turn)?;
    let mut messages = true;
    if let Some(area) = state.area() {
        let step = area.step(turn);
        let line = area.await_line(step, root)?;
        let found = table::find(area, step, root, &line, ranks, me)?;
        let len = match found {
            Found::Here(_, len) | Found::Pieces(len, _) => len,
            Found::Message => target.len,
        };
        let fits = len == target.len;
        if let (Found::Here(from, _), true) = (&found, fits) {
            // SAFETY: the block lies in line or chunk; the target has room.
            unsafe { copy(target.ptr, *from, len) };
        }
        area.finish(step, false);
        if let Found::Pieces(_, longest) = found {
            // SAFETY: the target has room for so many bytes, if they fit.
            unsafe { pieces::scatter_leaf(turn, area, root, fits.then_some(target.ptr), (len, longest)) }?;
        }
        if !fits {
            return Err(too_long(call, root, len, target.len));
        }
        messages = matches!(found, Found::Message);
    }
    if messages {
        let payload = Payload::Run { base: target.ptr, len: target.len };
        internal::wait(turn, internal::irecv_copied_by(Copier::Receiver, turn, root, payload)?)?;
    }
    target.commit();
    Ok(())
}

/// Collects equal blocks on all ranks (MPI_Allgather). `send` none = in place.
///
/// # Safety
/// As for [`gather`].
pub unsafe fn allgather(send: Option<Arg>, recv: Arg, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    if core.remote.is_some() {
        // SAFETY: the caller's word.
        return unsafe { by_schedule(Call::Allgather, &Collective::Allgather { send, recv: Row::Equal(recv) }, comm) };
    }
    let layout = Layout::equal(recv)?;
    // SAFETY: the caller vouches for the buffers.
    unsafe { allgather_any(send, &layout, &core, Call::Allgather, Some(&recv)) }
}

/// Collects blocks of different sizes on all ranks (MPI_Allgatherv). `send` none = in place.
///
/// # Safety
/// As for [`gather`].
pub unsafe fn allgatherv(send: Option<Arg>, recv: Blocks<'_>, comm: Comm) -> Result<()> {
    let core = core_of(comm)?;
    // Blocks that not all ranks know are compared there.
    if core.remote.is_some() || check::is_on() {
        // SAFETY: the caller's word.
        return unsafe { by_schedule(Call::Allgatherv, &Collective::Allgather { send, recv: recv.into() }, comm) };
    }
    check_received(&recv)?;
    let layout = Layout::blocks(recv)?;
    // SAFETY: the caller vouches for the buffers.
    unsafe { allgather_any(send, &layout, &core, Call::Allgatherv, None) }
}

/// `block`: if all are alike.
///
/// # Safety
/// As for [`gather`].
unsafe fn allgather_any(
    send: Option<Arg>,
    layout: &Layout<'_>,
    core: &CommCore,
    call: Call,
    block: Option<&Arg>,
) -> Result<()> {
    let me = core.rank;
    // SAFETY: the caller vouches for the buffers.
    let source = match send {
        // SAFETY: as above.
        Some(send) => unsafe { send.source() }?,
        None => {
            let (at, count) = layout.place(me);
            // SAFETY: as above.
            unsafe { layout.shape.source(layout.base, at, count) }
        }
    };
    if send.is_some() {
        apart::check(source.piece().into_iter(), layout.pieces(core.size()))?;
    }
    // SAFETY: as above.
    unsafe { put(layout, me, source.ptr, source.len, call) }?;
    if core.size() == 1 {
        return Ok(());
    }
    let longest = (0..core.size()).map(|r| layout.len(r)).max().unwrap_or(0);
    let turn = &Turn::begin(core, call, None, block.map(|_| source.len), || Facts::of_block(block.copied()))?;
    if longest == 0 {
        return Ok(());
    }
    let mut state = enter(turn)?;
    if longest <= LINE_BYTES
        && let Some(area) = state.area()
    {
        let step = area.step_of_all(turn);
        // SAFETY: the source is valid.
        unsafe { area.publish_line(step, source.ptr, source.len) }?;
        for rank in others(core) {
            let line = area.await_line(step, rank)?;
            area.expect_len(step, rank, &line, layout.len(rank))?;
            // SAFETY: the line holds `len` bytes; the caller vouches for the buffer.
            unsafe { put(layout, rank, line.payload, line.len, call) }?;
        }
        area.finish(step, true);
        return Ok(());
    }
    let Some((area, chunk)) = state.area_with_chunks() else {
        for root in 0..core.size() {
            // Each block in turn, from its owner.
            let (at, count) = layout.place(root);
            // SAFETY: the caller vouches for the buffer.
            let target = unsafe { layout.shape.target(layout.base, at, count) };
            // SAFETY: the target is as long as we say.
            unsafe { bcast_bytes(&mut state, turn, target.ptr, target.len, root) }?;
            if root != me {
                target.commit();
            }
        }
        return Ok(());
    };
    let mut targets: Vec<_> = (0..core.size())
        .map(|r| {
            let (at, count) = layout.place(r);
            // SAFETY: the caller vouches for the buffer.
            unsafe { layout.shape.target(layout.base, at, count) }
        })
        .collect();
    let mut at = 0;
    while at < longest {
        let step = area.step_of_all(turn);
        let mine = source.len.saturating_sub(at).min(chunk);
        let place = area.chunk(step)?;
        if mine > 0 {
            // SAFETY: a chunk has room for `mine` bytes; the source has them.
            unsafe { area.fill(place, source.ptr.add(at), mine) };
        }
        area.publish_place(step, mine, 0);
        // Beginning behind me: not everybody reads the same chunk at the same time.
        for rank in (1..core.size()).map(|d| (me + d) % core.size()) {
            let target = &mut targets[rank as usize];
            let part = target.len.saturating_sub(at).min(chunk);
            area.await_len(step, rank, part)?;
            if part > 0 {
                // SAFETY: the chunk holds `part` bytes; the target has room for them.
                unsafe { copy_out_part(target.ptr.add(at), area.chunk_of(step, rank)?, part, target.len) };
            }
        }
        area.finish(step, true);
        at += chunk;
    }
    for (rank, target) in (0..).zip(targets) {
        if rank != me {
            target.commit();
        }
    }
    Ok(())
}
