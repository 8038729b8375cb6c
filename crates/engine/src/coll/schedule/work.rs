//! Functions of the user that combine contributions. They run without the engine's lock, so progress leaves
//! them to whoever waits or tests next: `progress` calls [`work`].

use super::Step;
use crate::op::Reduction;
use crate::request::Role;
use crate::{Engine, with};
use mpi_abi::Datatype;
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    /// This thread is in a function of the user that `work` has called.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// One call of a function.
struct Job {
    raw: usize,
    reduction: Reduction,
    /// A handle for the type that lives as long as the call, if the user has freed his.
    lent: Option<Datatype>,
    out: *mut u8,
    a: *const u8,
    b: *const u8,
    n: usize,
}

/// Whether [`work`] would do anything.
#[inline]
pub(crate) fn is_due(e: &Engine) -> bool {
    !e.schedules.due.is_empty() && !INSIDE.get()
}

/// Calls what is to be called, and goes on with the schedules. Without the engine's lock.
#[cold]
pub(crate) fn work() {
    if INSIDE.replace(true) {
        return;
    }
    let inside = Inside;
    while let Some(job) = with(Engine::next_job) {
        // SAFETY: the memory is the schedule's while it is marked as worked on, and as `apply3` wants it (`fold`).
        unsafe { job.reduction.apply3(job.out, job.a, job.b, job.n) };
        with(|e| e.job_done(job.raw, job.lent));
    }
    drop(inside);
}

/// Takes the mark back, also if the function panics.
struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

impl Engine {
    /// The next function to call; its schedule is marked.
    fn next_job(&mut self) -> Option<Job> {
        loop {
            let raw = self.schedules.due.pop()?;
            let Some(Role::Collective(Some(schedule))) = self.requests.get_mut(raw).map(|r| &mut r.role) else {
                continue;
            };
            let Some(Step::Combine { out, a, b, n }) = schedule.steps.get(schedule.next) else { continue };
            let Some((reduction, kind)) = &schedule.combine else { continue };
            schedule.working = true;
            let mut job = Job { raw, reduction: *reduction, lent: None, out: *out, a: *a, b: *b, n: *n };
            let known = |handle| self.types.get(handle).is_ok_and(|now| Arc::ptr_eq(now, kind));
            if !reduction.datatype().is_none_or(known) {
                let lent = self.types.lend(Arc::clone(kind));
                job.reduction = reduction.on(lent);
                job.lent = Some(lent);
            }
            return Some(job);
        }
    }

    fn job_done(&mut self, raw: usize, lent: Option<Datatype>) {
        if let Some(lent) = lent {
            // It is gone if the user's function has freed it.
            let _ = self.types.free(lent);
        }
        if let Some(Role::Collective(Some(schedule))) = self.requests.get_mut(raw).map(|r| &mut r.role) {
            schedule.working = false;
            schedule.next += 1;
        }
        self.advance(raw);
        self.something_happened();
    }
}
