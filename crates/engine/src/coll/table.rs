//! Blocks for all ranks in one rank's place, for collectives in which a rank gives each other one something
//! else: a few small ones in the line, with their lengths in the note; more in the chunk, behind a table of
//! `ranks` lengths of 8 bytes. Of blocks that do not fit the chunk has the table alone, and they come piece by piece
//! (`pieces`), or the line announces messages.

use super::area::{Area, LINE_BYTES, Published, Step};
use super::note::{BLOCKS_IN_LINE, BLOCKS_IN_LINE_RANKS, BY_MESSAGE, IN_CHUNK, TABLE_OF_PIECES};
use super::pieces::{self, Between};
use crate::Result;

/// How blocks go from a rank to the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// They are in its place.
    Here,
    /// In pieces.
    Pieces,
    Messages,
}

/// A rank's block for us.
pub(super) enum Found {
    /// It lies here, so many bytes.
    Here(*const u8, usize),
    /// It comes in pieces: its bytes, and those of that rank's longest block.
    Pieces(usize, usize),
    Message,
}

/// Publishes the blocks in my place for `step`, if they fit, or says how they will come. `len`
/// is a rank's length, 0 for mine; `read` copies a rank's block to an address with room for it.
pub(super) fn publish(
    area: &mut Area,
    step: Step<'_>,
    ranks: usize,
    between: Between,
    len: impl Fn(usize) -> usize,
    read: impl Fn(&mut Area, usize, *mut u8),
) -> Result<Way> {
    let table = ranks * 8;
    let total: usize = (0..ranks).map(&len).sum();
    let in_line = total <= LINE_BYTES && ranks <= BLOCKS_IN_LINE_RANKS;
    let chunk = area.chunk_bytes();
    let mut way = Way::Here;
    if !in_line && table + total > chunk {
        let longest = (0..ranks).map(&len).max().unwrap_or(0);
        let good = table <= chunk && pieces::are_good(area, ranks, longest, between);
        way = if good { Way::Pieces } else { Way::Messages };
    }
    if way == Way::Messages {
        area.line(step)?;
        area.publish_place(step, 0, BY_MESSAGE);
        return Ok(way);
    }
    let bytes = if way == Way::Here { table + total } else { table };
    let place = if in_line { area.line(step)? } else { area.piece(step, bytes)? };
    let mut at = if in_line { 0 } else { table };
    let mut note = if in_line {
        BLOCKS_IN_LINE
    } else if way == Way::Here {
        IN_CHUNK
    } else {
        TABLE_OF_PIECES
    };
    for rank in 0..ranks {
        let len = len(rank);
        if in_line {
            note |= (len as u64) << (8 * rank);
        } else {
            // SAFETY: the chunk is aligned, ours, and has room for the table (checked).
            unsafe { place.cast::<u64>().add(rank).write(len as u64) };
        }
        if len > 0 && way == Way::Here {
            read(area, rank, place.wrapping_add(at));
            at += len;
        }
    }
    area.publish_place(step, at, note);
    Ok(way)
}

/// Rank `me`'s block in what `from` published so.
pub(super) fn find(area: &Area, step: Step<'_>, from: u32, line: &Published, ranks: usize, me: u32) -> Result<Found> {
    let me = me as usize;
    if line.note & BLOCKS_IN_LINE == BLOCKS_IN_LINE {
        let len = |rank: usize| (line.note >> (8 * rank) & 0xff) as usize;
        return Ok(Found::Here(line.payload.wrapping_add((0..me).map(len).sum()), len(me)));
    }
    if line.note == BY_MESSAGE {
        return Ok(Found::Message);
    }
    let chunk = area.piece_of(step, from, line.len)?.cast_const();
    // SAFETY: the rank wrote a table of `ranks` lengths at the beginning of the aligned chunk.
    let len = |rank: usize| unsafe { chunk.cast::<u64>().add(rank).read() } as usize;
    if line.note == TABLE_OF_PIECES {
        return Ok(Found::Pieces(len(me), (0..ranks).map(len).max().unwrap_or(0)));
    }
    Ok(Found::Here(chunk.wrapping_add(ranks * 8 + (0..me).map(len).sum::<usize>()), len(me)))
}
