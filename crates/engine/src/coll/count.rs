//! Everybody gives a line and gets what all together make, through the last one to come: it reads all lines, combines them
//! in rank order, and gives the result in one line that all others look at. With many ranks on few cores that costs each
//! rank but one a look or two; reading the lines of all costs each of n ranks n lines, just after a change of the running
//! process, and a rank that runs longer than the others is not let onto the core again before they have run as long.
//!
//! Nothing rests on the count being right: who has waited in vain for the result looks at the lines, as everybody does
//! without the count, finds there who has called something else, and makes the result itself if all have come.

use super::area::{Area, LINE_BYTES, Step};
use super::disagree;
use crate::Result;
use crate::copy::copy;
use crate::progress;
use std::time::Duration;

/// From so many ranks on, if they are more than the cores. Measured on 2 cores: barrier of 4 ranks 2.1 us, and 1.6 us if each
/// reads the lines of all; of 8 ranks 7.5 and 8.3 us, and not 720 us when turns are out of order (`progress`).
const COUNTED: u32 = 8;

/// Whether it serves for so many ranks; `crowded`: there are more than cores. What rank 0 says counts for all.
pub(super) fn serves(ranks: u32, crowded: bool) -> bool {
    let said = shm::env::get(shm::env::COUNTED_FROM).and_then(|from| from.parse().ok());
    said.map_or(crowded && ranks >= COUNTED, |from: u32| ranks >= from)
}

/// A sleep for the result ends at the latest then, for the ranks that do not get the core at once: nothing but the result
/// ends it, so a message that comes meanwhile waits.
const NAP: Duration = Duration::from_micros(1000);
/// And for each rank of the communicator: so long a rank has the core in each call, at the most, if it does little else.
const NAP_PER_RANK: Duration = Duration::from_micros(20);

/// What a wait for the result ended with.
enum Came {
    /// The result is there.
    Result,
    /// It is not, but all lines are.
    Lines,
}

/// Gives `len` bytes from `from`; `combine` reads the lines of all ranks and writes what they make, also `len` bytes.
/// That goes to `to`.
///
/// # Safety
/// `from` is valid for reads of `len` bytes, at most LINE_BYTES, and `to` for writes.
pub(super) unsafe fn through_one(
    area: &mut Area,
    step: Step<'_>,
    from: *const u8,
    to: *mut u8,
    len: usize,
    combine: impl FnOnce(&Area, *mut u8) -> Result<()>,
) -> Result<()> {
    // SAFETY: the caller's word.
    unsafe { area.put_line(step, from, len) }?;
    // Aligned for every basic type that fits into a line.
    let mut made = [0u128; LINE_BYTES.div_ceil(16)];
    let made = made.as_mut_ptr().cast::<u8>();
    if area.come(step) {
        combine(area, made)?;
        // SAFETY: the buffer has room for a line.
        unsafe { area.give_result(step, made, len) };
    } else {
        match wait(area, step, len)? {
            // SAFETY: a line holds the bytes, and the buffer has room for a line.
            Came::Result => unsafe { copy(made, area.tally().1.payload().cast_const(), len.min(LINE_BYTES)) },
            Came::Lines => combine(area, made)?,
        }
    }
    // SAFETY: the caller vouches for `to`; the buffer has a line's bytes.
    unsafe { copy(to, made, len) };
    area.finish(step, true);
    Ok(())
}

/// Waits for the result, or for the lines of all.
fn wait(area: &Area, step: Step<'_>, len: usize) -> Result<Came> {
    let (tally, result) = area.tally();
    // The last one has seen that what it is made of fits: nothing in it needs to be looked at.
    let made = || result.published(step.number()).map(|_| ());
    let limit = NAP + NAP_PER_RANK * area.ranks();
    if progress::wait_at(tally, limit, made)?.is_some() {
        return Ok(Came::Result);
    }
    for rank in 0..area.ranks() {
        let line = area.line_of(step, rank);
        let look = || match made() {
            Some(()) => Some(None),
            None => line.published(step.number()).map(Some),
        };
        let seen = match look() {
            Some(seen) => seen,
            None => disagree::wait_asleep(step.turn(), area.waiting(step.called().call, rank), |_| look())?,
        };
        let Some((what, sent)) = seen else { return Ok(Came::Result) };
        if what != step.called().what {
            return Err(disagree::unlike(step.turn().on, step.called()));
        }
        if sent as usize != len {
            return Err(disagree::unequal(step.turn().on, step.called(), rank, sent as usize, len));
        }
    }
    Ok(Came::Lines)
}
