//! Operations that are given up: the call ends before they do, since a signal came or a peer is dead
//! (MPI has no name for it). The user may do what he likes with the buffer then, so the engine goes on with
//! bytes of its own. Called by whoever waits for a request that the user does not have.

use super::{Role, State};
use crate::payload::Payload;
use crate::progress::wait_out;
use crate::{Engine, with};

/// Gives `raw` up; it leaves the table when it is done. Waits while another process may write into the
/// buffer: that one is in its call, or will send its answer when it comes to MPI again.
#[cold]
pub(crate) fn abandon(raw: usize) {
    wait_out(|e| {
        let request = e.requests.get(raw);
        !e.is_worked_on(raw)
            && !request.is_some_and(|r| r.state == State::Active && matches!(&r.role, Role::Recv(recv) if recv.shared))
    });
    with(|e| e.abandon_request(raw));
}

impl Engine {
    /// The same, where nobody else writes into the buffer.
    pub(crate) fn abandon_request(&mut self, raw: usize) {
        // The ones for all operations that were over at once belong to everybody.
        if self.is_common(raw) {
            return;
        }
        let Some(request) = self.requests.get_mut(raw) else { return };
        if request.state == State::Complete {
            self.requests.remove(raw);
            return;
        }
        request.detached = true;
        match &mut request.role {
            Role::Pair { send, recv } => {
                let (send, recv) = (*send, *recv);
                self.requests.remove(raw);
                self.abandon_request(send);
                self.abandon_request(recv);
            }
            Role::Recv(recv) if !recv.matched => {
                let context = recv.context;
                self.contexts.withdraw(context, raw);
                self.requests.remove(raw);
            }
            Role::Recv(recv) => {
                // No more than comes: the buffer may be as large as it likes.
                let len = recv.total.min(request.payload.len());
                request.payload = Payload::Owned(vec![0; len].into_boxed_slice());
            }
            Role::Send(send) => {
                send.abandoned = true;
                let peer = send.peer;
                let bytes = request.payload.to_bytes();
                let address = bytes.as_ptr() as u64;
                request.payload = Payload::Owned(bytes);
                self.say_moved(raw, peer, address);
            }
            Role::Collective(_) | Role::OnBoard(_) => self.abandon_schedule(raw),
            Role::Nothing | Role::Partitioned(_) | Role::General(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{RecvState, Request};
    use crate::status::Status;

    #[test]
    fn the_request_of_finished_sends_survives_one_who_gives_it_up() {
        let mut engine = Engine::new();
        let sent = engine.sent_request();
        engine.abandon_request(sent);
        assert!(engine.take_outcome(sent).is_ok());
        assert_eq!(engine.sent_request(), sent);
        assert!(engine.requests.get(sent).is_some());
    }

    #[test]
    fn a_receive_that_is_given_up_needs_memory_for_its_message_only() {
        let mut engine = Engine::new();
        let state = RecvState { matched: true, total: 100, ..RecvState::new(0, 2, 0, mpi_abi::consts::MPI_BYTE) };
        let payload = Payload::Run { base: std::ptr::null_mut(), len: usize::MAX / 2 };
        let raw = engine.requests.insert(Request::active(Role::Recv(state), payload, 0));
        engine.abandon_request(raw);
        let request = engine.requests.get(raw).expect("still at work");
        assert_eq!((request.payload.len(), request.detached), (100, true));
        let done = engine.requests.insert(Request::complete(Status::EMPTY, 0));
        engine.abandon_request(done);
        assert!(engine.requests.get(done).is_none());
    }
}
