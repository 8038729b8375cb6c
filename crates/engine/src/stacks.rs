//! Where the threads of a rank are, for `mpiexec stack`: the language layer writes it to a file when the process gets
//! a signal. The file is made here and named on the rank's page; it has no name in any file system, and whoever asks
//! opens it through /proc.

use crate::with;
use shm::os::{memfd, signals};
use shm::page::STACKS_SIGNAL;
use shm::sync::Ordering;
use std::os::fd::{AsRawFd, IntoRawFd};

/// The file's descriptor, which stays open, and the signal. None where nobody would ask: without our mpiexec; or if
/// the program uses the signal for something else.
pub fn open() -> Option<(i32, i32)> {
    let watched = with(|e| e.world.as_ref().is_some_and(crate::world::World::launched_by_mpiexec));
    if !watched || !signals::ignore_unless_used(STACKS_SIGNAL) {
        return None;
    }
    let file = memfd::create_log().ok()?;
    let named = u32::try_from(file.as_raw_fd()).ok()? + 1;
    with(|e| {
        let world = e.world.as_ref()?;
        world.segment.rank_page(e.me).identity.0.stacks.store(named, Ordering::Relaxed);
        Some((file.into_raw_fd(), STACKS_SIGNAL))
    })
}
