//! `mpiexec --check`: finds what is wrong with a program though it works. Off, it costs nothing: the check
//! that every function makes anyway (is MPI ready?) has one more answer.
//!
//! | file | does |
//! |---|---|
//! | here | switching it on; which call a thread is in, and where in the program |
//! | `operation` | what is being sent and received, and where from; buffers that overlap |
//! | `note` | what travels with a message so that its receiver can compare types |
//! | `report` | what is left at the end: objects that were never freed, messages never received |
//!
//! A type mismatch or an overlap is an error of the call; what is left is a line of the report, which
//! mpiexec prints when the ranks have ended.

mod note;
mod operation;
mod report;

pub use note::Note;
pub(crate) use operation::{About, Operation, note_of_block};
pub(crate) use report::at_end;

use crate::{Engine, site};
use shm::sync::{AtomicBool, Ordering};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a process that checks knows.
#[derive(Default)]
pub(crate) struct State {
    /// Messages in work that the user has begun, by request.
    operations: HashMap<usize, Operation>,
    /// The one that is about to begin.
    next: Option<Operation>,
    /// How many there were.
    count: u64,
    /// Findings that belong to no call.
    findings: Vec<String>,
    /// Messages that went with their communicators before anybody received them.
    lost: Vec<String>,
}

static ON: AtomicBool = AtomicBool::new(false);

/// Whether this process checks.
#[inline]
pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// The number of a place in the program, and the function called there; 0 = none.
pub(crate) type Site = u32;

thread_local! {
    /// Where this thread is in a call of the user.
    static HERE: Cell<Site> = const { Cell::new(0) };
}

/// All places that were seen, by number.
#[derive(Default)]
struct Sites {
    known: HashMap<(&'static str, String), Site>,
    list: Vec<(&'static str, String)>,
}

static SITES: Mutex<Option<Sites>> = Mutex::new(None);

fn sites() -> MutexGuard<'static, Option<Sites>> {
    // Texts are whole even after a panic.
    SITES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The user calls `function`: asks where.
#[cold]
pub(crate) fn enter(function: &'static str) {
    let place = site::place().unwrap_or_default();
    let mut sites = sites();
    let Sites { known, list } = sites.get_or_insert_default();
    let number = *known.entry((function, place)).or_insert_with_key(|key| {
        list.push(key.clone());
        Site::try_from(list.len()).unwrap_or(0)
    });
    HERE.set(number);
}

/// The place of the call that this thread is in.
pub(crate) fn here() -> Site {
    HERE.get()
}

/// The function that was called at a place, and where that is; empty if nobody knows.
fn function_and_place(site: Site) -> (&'static str, String) {
    let sites = sites();
    let known = sites.as_ref().and_then(|sites| sites.list.get(site.checked_sub(1)? as usize));
    let (function, place) = known.cloned().unwrap_or_default();
    // The large-count form is the same function to the user, and so is our own form of a probe.
    let function = if function == "OXMPI_Recv_or_mprobe" { "MPI_Mprobe" } else { function };
    (function.strip_suffix("_c").unwrap_or(function), place)
}

/// A place as it stands in an error: `file:line`, or the function's name in a program without such.
fn words(site: Site) -> String {
    let (function, place) = function_and_place(site);
    if place.is_empty() { function.to_owned() } else { place }
}

impl Engine {
    /// Begins to check; MPI is about to be ready.
    pub(crate) fn check_from_now(&mut self) {
        ON.store(true, Ordering::Relaxed);
        self.check = Some(Box::default());
        // Each send has a request then, which its operation is found by.
        self.at_once_below = 0;
        self.comms.track();
        self.requests.track();
        self.messages.track();
        self.types.track();
        self.ops.track();
        self.objects.track();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_number_however_often_it_is_passed() {
        enter("MPI_Send_c");
        let first = here();
        enter("MPI_Recv");
        assert_ne!(here(), first);
        enter("MPI_Send_c");
        assert_eq!(here(), first);
        assert_eq!(words(first), "MPI_Send");
        assert_eq!(words(0), "");
    }
}
