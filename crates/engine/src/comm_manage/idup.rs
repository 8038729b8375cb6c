//! Nonblocking duplicates (MPI-5.0 section 7.4.2). One process takes the context numbers and tells the
//! others; nobody waits: what tells them is a receive of the engine's own, and with its last byte the
//! communicator enters the tables under the handle that the call has given, and the request is complete.
//!
//! All processes of a communicator start its duplicates in the same order, and the numbers come from one
//! process with one tag: so each gets those of its own call. Collectives use neither this tag nor wait here.

use super::agree::{Inter, PAIR, Reader, TRIPLE, first_side, take, tell, was_taken};
use super::{Parent, world_rank};
use crate::attr::Attributes;
use crate::comm::{CommCore, Kept};
use crate::group::Group;
use crate::info::Info;
use crate::p2p::Route;
use crate::payload::Payload;
use crate::request::{Request, Role};
use crate::status::{Call, Status};
use crate::{Engine, Result, with};
use mpi_abi::Comm as Handle;
use std::ffi::c_int;
use std::sync::Arc;

/// Tag of the numbers, on the engine's context.
pub(super) const DUPLICATES: c_int = c_int::MAX - 2;

/// A duplicate that waits for its context numbers.
pub(crate) struct Duplicate {
    /// Handle that the communicator gets.
    handle: usize,
    /// The user's request.
    request: usize,
    parent: Parent,
    /// What the user keeps with it already.
    kept: Kept,
}

impl Duplicate {
    /// That, if this is the communicator that gets the handle `raw`.
    pub(crate) fn kept_mut(&mut self, raw: usize) -> Option<&mut Kept> {
        (self.handle == raw).then_some(&mut self.kept)
    }
}

/// What a duplicate gets besides groups, topology and error handler: as it was when the call was made.
pub struct Copied {
    /// Hints.
    pub hints: Info,
    /// Attributes.
    pub attributes: Attributes,
}

/// Starts a duplicate of `comm`: the handle that is valid once the request is complete, and the request. With
/// `copied` none, because something failed here: only takes part, for the other processes.
pub fn idup(comm: Handle, copied: Option<Copied>) -> Result<Option<(Handle, usize)>> {
    let parent = Parent::of(comm)?;
    let core = Arc::clone(&parent.core);
    // The first process of the communicator, of both sides if there are two.
    let (near, far) = (&core.group, core.remote.as_deref());
    let (one, other) = match far {
        Some(far) if !first_side(&core) => (far, Some(&**near)),
        far => (&**near, far),
    };
    let first = world_rank(one, 0)?;
    // Not awaited here, but in order with all that is.
    parent.turn(Call::CommIdup)?;
    let context = core.context + 1;
    if parent.me != first {
        return Ok(with(|e| e.hear_of_duplicate(parent, copied, first, comm)));
    }
    let base = take(if far.is_some() { TRIPLE } else { PAIR })?;
    for member in one.iter().chain(other.into_iter().flat_map(Group::iter)).filter(|member| *member != first) {
        tell(context, member, DUPLICATES, &base.to_le_bytes())?;
    }
    Ok(with(|e| {
        let duplicate = e.reserve_duplicate(parent, copied?, comm);
        let made = (Handle::from_raw(duplicate.handle), duplicate.request);
        e.enter_duplicate(duplicate, base);
        Some(made)
    }))
}

impl Engine {
    /// A handle without a communicator, and a request that is complete when it has one.
    fn reserve_duplicate(&mut self, parent: Parent, copied: Copied, comm: Handle) -> Duplicate {
        let handle = self.comms.reserve();
        let request = Request::active(Role::Nothing, Payload::EMPTY, self.comm_raw(comm));
        let request = self.requests.insert(request);
        self.keep_hints(handle, &copied.hints);
        let kept = Kept { attributes: copied.attributes, ..Kept::with(parent.handler.clone()) };
        Duplicate { handle, request, parent, kept }
    }

    /// Waits for the numbers in the background.
    fn hear_of_duplicate(
        &mut self,
        parent: Parent,
        copied: Option<Copied>,
        first: u32,
        comm: Handle,
    ) -> Option<(Handle, usize)> {
        let route = Route { context: parent.core.context + 1, peer: first.cast_signed() };
        let pending = copied.map(|copied| self.reserve_duplicate(parent, copied, comm));
        let made = pending.as_ref().map(|pending| (Handle::from_raw(pending.handle), pending.request));
        let numbers = Payload::Owned(vec![0; size_of::<u32>()].into());
        let receive = self.start_recv(None, route, DUPLICATES, numbers, comm);
        self.duplicates.insert(receive, pending);
        if let Some(request) = self.requests.get_mut(receive).filter(|request| request.is_active()) {
            request.detached = true;
        } else if let Some(request) = self.requests.remove(receive) {
            // The numbers were here already.
            self.detached_is_over(receive, &request);
        }
        made
    }

    /// A request of the engine's own, or one that was given up, is over and gone.
    #[cold]
    pub(crate) fn detached_is_over(&mut self, raw: usize, request: &Request) {
        if request.is_part() {
            return self.part_is_over(raw, request);
        }
        if self.duplicates.is_empty() {
            return;
        }
        let Some(Some(duplicate)) = self.duplicates.remove(&raw) else { return };
        match Reader(&request.payload.to_bytes()).number().and_then(|base| was_taken(self, base)) {
            Ok(base) => self.enter_duplicate(duplicate, base),
            Err(error) => {
                self.comms.give_up(duplicate.handle);
                self.objects.comms.remove(&duplicate.handle);
                self.fail_request(duplicate.request, error);
            }
        }
    }

    /// What the user keeps with a duplicate that is still being made. The standard lets nobody use the handle yet, but
    /// mpi4py sets the error handler at once, and with other libraries all that needs no other process works.
    #[cold]
    pub(crate) fn kept_of_unfinished(&self, comm: Handle) -> Option<&Kept> {
        let unfinished = self.duplicates.values().flatten().find(|one| one.handle == comm.raw());
        unfinished.map(|one| &one.kept)
    }

    fn enter_duplicate(&mut self, duplicate: Duplicate, base: u32) {
        let Duplicate { handle, request, parent, kept } = duplicate;
        let old = &parent.core;
        let make = |context, remote| CommCore::new(context, Arc::clone(&old.group), old.rank, remote);
        let (core, local) = match &old.remote {
            None => (CommCore { topology: old.topology.clone(), ..make(base, None) }, None),
            Some(remote) => {
                let contexts = Inter::new(base, first_side(old));
                (make(contexts.inter, Some(Arc::clone(remote))), Some(Arc::new(make(contexts.local, None))))
            }
        };
        self.enter(Some(handle), core, kept, local);
        if let Some(request) = self.requests.get_mut(request) {
            request.status = Status::EMPTY;
        }
        self.complete_request(request);
    }
}
