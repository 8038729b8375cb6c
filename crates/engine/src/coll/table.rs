//! Blocks for all ranks in one rank's place, for collectives in which a rank gives each other one something
//! else: a few small ones in the line, with their lengths in the note; more in the chunk, behind a table of
//! `ranks` lengths of 8 bytes; what does not fit is announced as messages.

use super::area::{Area, LINE_BYTES, Published, Step};
use super::gather::{BY_MESSAGE, IN_CHUNK};
use crate::Result;

/// Note in a line with blocks: lengths in its bytes (rank 0's lowest), the highest byte is this.
const IN_LINE: u64 = 0xff << 56;
/// So many lengths have room in a note.
const IN_LINE_RANKS: usize = 7;

/// Publishes the blocks in my place for `step`; false: they do not fit, the line says that messages follow. `len`
/// is a rank's length, 0 for mine; `read` copies a rank's block to an address with room for it.
pub(super) fn publish(
    area: &mut Area,
    step: Step<'_>,
    ranks: usize,
    len: impl Fn(usize) -> usize,
    read: impl Fn(&mut Area, usize, *mut u8),
) -> Result<bool> {
    let table = ranks * 8;
    let total: usize = (0..ranks).map(&len).sum();
    let in_line = total <= LINE_BYTES && ranks <= IN_LINE_RANKS;
    if !in_line && table + total > area.chunk_bytes() {
        area.line(step)?;
        area.publish_place(step, 0, BY_MESSAGE);
        return Ok(false);
    }
    let place = if in_line { area.line(step)? } else { area.chunk(step)? };
    let mut at = if in_line { 0 } else { table };
    let mut note = if in_line { IN_LINE } else { IN_CHUNK };
    for rank in 0..ranks {
        let len = len(rank);
        if in_line {
            note |= (len as u64) << (8 * rank);
        } else {
            // SAFETY: the chunk is aligned, ours, and has room for the table (checked).
            unsafe { place.cast::<u64>().add(rank).write(len as u64) };
        }
        if len > 0 {
            read(area, rank, place.wrapping_add(at));
        }
        at += len;
    }
    area.publish_place(step, at, note);
    Ok(true)
}

/// Rank `me`'s block in what `from` published so: its address and length; none: it comes as a message.
pub(super) fn find(
    area: &Area,
    step: Step<'_>,
    from: u32,
    line: &Published,
    ranks: usize,
    me: u32,
) -> Result<Option<(*const u8, usize)>> {
    let me = me as usize;
    if line.note & IN_LINE == IN_LINE {
        let len = |rank: usize| (line.note >> (8 * rank) & 0xff) as usize;
        return Ok(Some((line.payload.wrapping_add((0..me).map(len).sum()), len(me))));
    }
    if line.note == BY_MESSAGE {
        return Ok(None);
    }
    let chunk = area.chunk_of(step, from)?.cast_const();
    // SAFETY: the rank wrote a table of `ranks` lengths at the beginning of the aligned chunk.
    let len = |rank: usize| unsafe { chunk.cast::<u64>().add(rank).read() } as usize;
    Ok(Some((chunk.wrapping_add(ranks * 8 + (0..me).map(len).sum::<usize>()), len(me))))
}
