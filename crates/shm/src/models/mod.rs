//! Models that loom runs under every order of steps and every value that a weakly ordered read may
//! give (up to a number of preemptions): `cargo xtask check` has them as a step, by hand
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --package oxmpi-shm --profile fast --lib models
//! ```
//!
//! They run the code of the crate itself, on a [`Segment`] of heap memory and with smaller rings.
//! Each says at its head which change of that code makes it fail: an ordering that no model misses
//! is not tried. Where the real code copies bytes into shared memory, models use loom's cells, so
//! that two accesses without an order between them are a failure.
//!
//! Not tried: two address spaces, death between two steps, time-outs (a sleep in a model lasts until
//! it is woken), the arena and its lock, job wire-up, what the engine does with a message.

mod answer;
mod coll;
mod dispute;
mod journal;
mod lock;
mod ring;
mod sleep;
mod stall;
mod tally;

use crate::Segment;
use crate::lock::Lock;
use crate::sleep::{Nap, Sleepers, Wait, nap};
use loom::model::Builder;
use std::sync::Arc;
use std::time::Duration;

/// Runs `model` in every order with at most `preemptions` switches away from a thread that could
/// go on; LOOM_MAX_PREEMPTIONS says otherwise.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(model);
}

/// A segment for one run of a model. The engine's lives for ever, this one until it is dropped, by
/// the main thread, after it has joined all others.
struct Shared(*mut Segment);

impl Shared {
    fn new(ranks: u32) -> Self {
        Self(Box::into_raw(Box::new(Segment::create(ranks).expect("heap memory"))))
    }

    fn segment(&self) -> &'static Segment {
        // SAFETY: nobody uses it after `drop` (see the type).
        unsafe { &*self.0 }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: made by `new`; all threads have ended (see the type).
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// Bytes that loom watches: a cell for each place.
#[derive(Clone)]
struct Bytes(Arc<Vec<loom::cell::UnsafeCell<u64>>>);

// SAFETY: loom fails the model when two threads use a cell without an order between them.
unsafe impl Send for Bytes {}

impl Bytes {
    fn new(places: usize) -> Self {
        Self(Arc::new((0..places).map(|_| loom::cell::UnsafeCell::new(0)).collect()))
    }

    fn write(&self, place: usize, value: u64) {
        // SAFETY: as above.
        self.0[place].with_mut(|bytes| unsafe { *bytes = value });
    }

    fn read(&self, place: usize) -> u64 {
        // SAFETY: as above.
        self.0[place].with(|bytes| unsafe { *bytes })
    }
}

/// What lies behind the lock of a process here.
struct Own(Sleepers);

impl AsMut<Sleepers> for Own {
    fn as_mut(&mut self) -> &mut Sleepers {
        &mut self.0
    }
}

/// Waits, asleep, as `rank`.
fn until<T>(segment: &'static Segment, rank: u32, mut look: impl FnMut() -> Option<T>) -> T {
    let (lock, mut wait) = (Lock::new(Own(Sleepers::default())), Wait::default());
    loop {
        if let Some(found) = look() {
            return found;
        }
        if let Nap::Found(found) = nap(lock.lock(), segment.rank_page(rank), Duration::MAX, &mut wait, |_| look()) {
            return found;
        }
    }
}
