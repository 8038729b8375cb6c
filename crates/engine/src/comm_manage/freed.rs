//! Communicators that the user has freed. Operations that are not over, and persistent ones, complete all the same
//! (MPI-5.0 section 7.4.3): what they need of the communicator - its queues, its error handler, who is which rank -
//! stays here, where no handle leads, until the last of them is gone.

use crate::Engine;
use crate::comm::{Comm, Kept, facts};
use mpi_abi::Comm as Handle;
use std::collections::HashSet;

impl Engine {
    /// Takes a communicator away from the user.
    pub(super) fn remove_comm(&mut self, raw: usize) {
        facts::forget();
        if let Some(comm) = self.comms.remove(raw) {
            self.freed.insert(raw, comm);
        }
        self.forget_freed();
    }

    /// Lets go of the freed communicators that no operation needs any more. That they are found only when another one
    /// is freed, or at the end, costs a little memory and nothing else.
    pub(crate) fn forget_freed(&mut self) {
        let used: HashSet<usize> = self.requests.iter().map(|(_, request)| request.comm).collect();
        let matched: HashSet<usize> = self.messages.iter().map(|(_, message)| message.comm).collect();
        let over = |raw: &usize| !used.contains(raw) && !matched.contains(raw);
        let gone: Vec<usize> = self.freed.keys().copied().filter(over).collect();
        for raw in gone {
            let Some(context) = self.freed.get(&raw).map(|comm| comm.core.context) else { continue };
            if self.check.is_some() {
                self.note_lost_messages(context);
            }
            self.freed.remove(&raw);
            self.contexts.detach(context);
            self.unmatched.forget(context);
        }
    }

    /// A communicator by its handle in the table, also one that was freed.
    pub(crate) fn comm_even_freed(&self, raw: usize) -> Option<&Comm> {
        self.comms.get(raw).or_else(|| self.freed.get(&raw))
    }

    /// What the user keeps, or kept, with a communicator: for an error of an operation on it.
    pub(crate) fn kept_even_freed(&self, handle: Handle) -> Option<&Kept> {
        self.kept(handle).ok().or_else(|| self.freed.get(&handle.raw()).map(|comm| &comm.kept))
    }

    /// A communicator by its first context, also one that was freed.
    pub(crate) fn comm_of_context(&self, context: u32) -> Option<&Comm> {
        let all = self.comms.iter().map(|(_, comm)| comm).chain(self.freed.values());
        all.into_iter().find(|comm| comm.core.context == context)
    }
}
