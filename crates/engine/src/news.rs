//! Waiting for anything at all, for a language layer that has to look at several things of its own whenever
//! something has happened (`irecv` of mpi4py): it takes the number of what has happened so far, looks, and if
//! it has found nothing waits until the number is another one.

use crate::progress::wait_for;
use crate::request::wait::is_null;
use crate::status::{Call, Waiting};
use crate::{Engine, Result, with};
use mpi_abi::Comm;
use std::ffi::c_int;
use std::time::{Duration, Instant};

/// A wait ends at the latest then, so that who overlooks something finds it. Much longer than it takes to see that
/// a job stands still, for which all ranks must stay in their waits.
const LIMIT: Duration = Duration::from_secs(20);

/// Takes what has arrived; a number that is another one whenever something was sent, received or completed.
pub fn now() -> u64 {
    with(|e| {
        e.progress();
        e.progress_count
    })
}

/// Waits until the number is another one than `seen`, or for some seconds. For reports: for the sake of the
/// request `raw`, or if that is null, of a message from `source` with `tag`; from MPI_PROC_NULL: of several things.
pub fn wait(seen: u64, raw: usize, source: c_int, tag: c_int, comm: Comm) -> Result<()> {
    let what = with(|e| {
        if is_null(raw) {
            let route = e.route_recv(comm, source, tag)?;
            e.pending = 0;
            Ok(route.map_or(Waiting::anybody(Call::Waitany), |r| Waiting::message(Call::Recv, r.peer, tag, r.context)))
        } else {
            Ok(e.waiting_for(raw, Call::Wait))
        }
    })?;
    let end = Instant::now() + LIMIT;
    wait_for(what, |e| (e.progress_count != seen || Instant::now() > end).then_some(()))
}

/// Something has happened that only the language layer knows of.
pub fn happened() {
    with(Engine::something_happened);
}

impl Engine {
    /// Counts, and wakes the threads that wait.
    pub(crate) fn something_happened(&mut self) {
        self.progress_count += 1;
        if self.sleepers.any() {
            self.wake_own_threads();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_changes_the_number() {
        let before = now();
        assert_eq!(now(), before);
        happened();
        assert_ne!(now(), before);
    }
}
