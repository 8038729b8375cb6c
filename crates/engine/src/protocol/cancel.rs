//! Cancelling sends (MPI-5.0 section 3.8.4): possible as long as no receive has the message, that is, while it
//! waits in the backlog, in our own unexpected queue (a message to oneself) or, as an offer, in the receiver's. The
//! receiver alone knows of an offer: it is asked (WITHDRAW), takes the offer out of its queue if it is there,
//! and says so (WITHDRAWN); else it says nothing, and the send ends as it would have.

use super::{Outgoing, WITHDRAW, WITHDRAWN};
use crate::Engine;
use crate::p2p::matching::Body;
use crate::request::{Role, State};
use crate::status::Status;

impl Engine {
    /// Asks to cancel the send `raw`, which is active.
    pub(crate) fn cancel_send(&mut self, raw: usize) {
        let Some(Role::Send(send)) = self.requests.get(raw).map(|request| &request.role) else { return };
        let (peer, context) = (send.peer, send.context);
        if send.remote != 0 {
            return;
        }
        if peer == self.me {
            let ours = |body: &Body| matches!(body, Body::Local(send, _) if *send == raw);
            if self.contexts.take_back(context, peer, ours) {
                self.send_cancelled(raw);
            }
            return;
        }
        let Some(transport) = self.transport.as_mut() else { return };
        let backlog = &mut transport.peers[peer as usize].backlog;
        let place = backlog.iter().position(|waiting| matches!(waiting, Outgoing::Message(send) if *send == raw));
        if let Some(place) = place {
            backlog.remove(place);
            self.send_cancelled(raw);
        } else {
            // Without an answer the send goes on.
            let _ = self.say(peer, (WITHDRAW, [raw as u64, u64::from(context), 0, 0, 0, 0]));
        }
    }

    /// The sender of an offer wants it back.
    pub(super) fn withdraw_offer(&mut self, from: u32, request: u64, context: u32) {
        let wanted = |body: &Body| matches!(body, Body::Offer(offer, _) if offer.request == request);
        if self.contexts.take_back(context, from, wanted) {
            // A ring that can not be opened leaves the sender with a send that nobody receives.
            let _ = self.say(from, (WITHDRAWN, [request, 0, 0, 0, 0, 0]));
        }
    }

    /// Nobody has or will have the message of the send `raw`.
    pub(super) fn send_cancelled(&mut self, raw: usize) {
        let Some(request) = self.requests.get_mut(raw) else { return };
        if request.state == State::Active && matches!(request.role, Role::Send(_)) {
            request.status = Status { cancelled: true, ..Status::EMPTY };
            self.complete_request(raw);
        }
    }
}
