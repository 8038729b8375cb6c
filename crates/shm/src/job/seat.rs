//! Taking the seat of a rank: the pid goes into the rank's page by compare-and-swap, the record lock
//! says that this process lives, and start time and pid namespace tell it from a later process of
//! the same number.

use crate::error::{Error, Result};
use crate::os::{lock, proc, process};
use crate::page::Seat;
use crate::segment::Segment;
use crate::sync::Ordering;

/// Takes the seat of `rank` if nobody has it; else gives the pid of who has.
pub(super) fn try_take(segment: &Segment, rank: u32) -> Result<std::result::Result<(), u32>> {
    let page = segment.rank_page(rank);
    let me = own_pid();
    // SYNC seat-owner: one process wins; what follows is written by it alone.
    match page.identity.0.pid.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => settle(segment, rank).map(Ok),
        Err(owner) => Ok(Err(owner)),
    }
}

/// Takes a seat that nobody else can want, or that was kept for this process.
pub(super) fn take(segment: &Segment, rank: u32) -> Result<()> {
    // SYNC seat-owner: as above.
    segment.rank_page(rank).identity.0.pid.store(own_pid(), Ordering::Release);
    settle(segment, rank)
}

fn own_pid() -> u32 {
    process::own_pid().cast_unsigned()
}

fn settle(segment: &Segment, rank: u32) -> Result<()> {
    if !lock::hold(segment.fd(), rank)? {
        return Err(Error::new(format!("another process holds the lock of rank {rank}: it was started twice")));
    }
    let page = segment.rank_page(rank);
    let born = proc::stat(process::own_pid()).map_or(0, |stat| stat.born);
    page.identity.0.pid_space.store(proc::pid_space(), Ordering::Relaxed);
    page.identity.0.born.store(born, Ordering::Relaxed);
    page.set_seat(Seat::Claimed);
    Ok(())
}
