//! One request for a send and a receive (MPI_Isendrecv, MPI-5.0 section 3.12). It stands in the table
//! beside the two, and is complete when both are: whoever looks at it brings that about.

use super::{Request, Role, State};
use crate::Engine;
use crate::payload::Payload;

impl Engine {
    /// A request that is complete when `send` and `recv` are, with the receive's status.
    pub(crate) fn pair_requests(&mut self, send: usize, recv: usize) -> usize {
        let comm = self.requests.get(recv).map_or(self.world_comm, |r| r.comm);
        self.requests.insert(Request::active(Role::Pair { send, recv }, Payload::EMPTY, comm))
    }

    /// Completes the pair `raw` if both halves are over: whether it is complete.
    #[cold]
    pub(super) fn settle_pair(&mut self, raw: usize) -> bool {
        let Some(Request { state: State::Active, role: Role::Pair { send, recv }, .. }) = self.requests.get(raw) else {
            return false;
        };
        let halves = [*send, *recv];
        let over =
            |half: &usize| *half == self.sent || self.requests.get(*half).is_none_or(|r| r.state != State::Active);
        if !halves.iter().all(over) {
            return false;
        }
        let [sent, received] = halves.map(|half| if half == self.sent { None } else { self.requests.remove(half) });
        let Some(pair) = self.requests.get_mut(raw) else { return false };
        if let Some(received) = received {
            pair.status = received.status;
            pair.error = received.error;
        }
        pair.error = pair.error.take().or(sent.and_then(|sent| sent.error));
        self.complete_request(raw);
        true
    }

    /// Both halves of a pair that the user has given up go on alone.
    pub(super) fn detach_pair(&mut self, send: usize, recv: usize) {
        for half in [send, recv] {
            if half == self.sent {
                continue;
            }
            match self.requests.get_mut(half) {
                Some(request) if request.state == State::Active => request.detached = true,
                Some(_) => drop(self.requests.remove(half)),
                None => {}
            }
        }
    }
}
