//! Partitioned communication (MPI-5.0 chapter 4): persistent messages whose parts are given away one by
//! one, by any threads, and are seen to arrive one by one. How the parts travel is in
//! `protocol::partitioned`.

use super::Route;
use crate::check::{Note, Operation};
use crate::request::persistent::Recipe;
use crate::request::{Request, Role, State};
use crate::status::Status;
use crate::{Engine, Error, Result, progress, with};
use mpi_abi::consts::{
    MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_ERR_ARG, MPI_ERR_COUNT, MPI_ERR_RANK, MPI_ERR_REQUEST, MPI_ERR_TAG,
};
use mpi_abi::{Comm, Datatype};
use std::collections::VecDeque;
use std::ffi::c_int;

/// So many partitions a side may have: their state takes 9 bytes each, which is to stay far below the memory
/// of a machine.
const MOST: usize = 1 << 24;

/// A message in partitions, of which this process has one end.
#[derive(Debug)]
pub struct Partitioned {
    /// The other process; none = `MPI_PROC_NULL`.
    pub(crate) peer: Option<u32>,
    /// Context of the communicator.
    pub(crate) context: u32,
    /// Tag.
    pub(crate) tag: c_int,
    /// How many partitions on this side.
    pub(crate) partitions: usize,
    /// Bytes of each.
    pub(crate) bytes: usize,
    /// What it is to the user (`mpiexec --check`).
    pub(crate) about: Option<Box<Operation>>,
    /// Which end.
    pub(crate) end: End,
}

/// The two ends.
#[derive(Debug)]
pub(crate) enum End {
    Send(Outbound),
    Recv(Inbound),
}

/// The sender's end.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// The receiver's request, known since it started the first time.
    pub remote: u64,
    /// Starts of the receiver that no start of ours has used.
    pub credits: u32,
    /// The receiver has started what we have started: the bytes may go.
    pub open: bool,
    /// Which partitions the user has given away.
    pub ready: Box<[bool]>,
    /// Those that are ready and not wholly sent, in the order in which they became ready.
    pub queue: VecDeque<usize>,
    /// Bytes sent of the first in the queue.
    pub at: usize,
    /// Partitions that are wholly sent.
    pub sent: usize,
    /// In `Peer::streams`.
    pub streaming: bool,
}

/// The receiver's end.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// The sender that was matched.
    pub sender: Option<Announced>,
    /// Why what it sends is not what is received (`mpiexec --check`).
    pub wrong: Option<Error>,
    /// What has come of each partition, in its units ([`Partitioned::unit`]).
    pub arrived: Box<[usize]>,
    /// Partitions of the sender that are wholly here.
    pub done: usize,
}

/// What a sender says of itself when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Its request.
    pub request: u64,
    /// Bytes of the whole message.
    pub total: usize,
    /// Its partitions.
    pub partitions: usize,
}

/// The same as it travels to the receiver.
#[derive(Debug)]
pub(crate) struct Announcement {
    /// Context of the communicator.
    pub context: u32,
    /// Tag.
    pub tag: c_int,
    /// The send.
    pub send: Announced,
    /// What is sent (`mpiexec --check`).
    pub note: Option<Box<Note>>,
}

impl Partitioned {
    /// Bytes of the whole message.
    pub(crate) fn total(&self) -> usize {
        self.partitions * self.bytes
    }

    /// Whether this is the sender's end.
    pub(crate) fn is_send(&self) -> bool {
        matches!(self.end, End::Send(_))
    }

    /// How much of a partition of ours has to come until it is all here. Of partitions without bytes shares are
    /// counted instead: each is made of as many as the sender has partitions.
    fn unit(&self, sender: &Announced) -> usize {
        if self.bytes == 0 { sender.partitions } else { self.bytes }
    }

    /// Notes that `len` bytes from `position` on have come of the sender's partition `number`, with `last` all of it.
    pub(crate) fn note(&mut self, position: usize, len: usize, number: usize, last: bool) {
        let (partitions, bytes) = (self.partitions, self.bytes);
        let End::Recv(inbound) = &mut self.end else { return };
        let Some(sender) = inbound.sender else { return };
        if last {
            inbound.done += 1;
        }
        let (unit, mut from, to) = match (bytes, last) {
            (0, false) => return,
            // The shares of partition n of the sender: as many as we have partitions.
            (0, true) => (sender.partitions, number * partitions, (number + 1) * partitions),
            _ => (bytes, position, position + len),
        };
        while from < to {
            let next = to.min((from / unit + 1) * unit);
            let Some(arrived) = inbound.arrived.get_mut(from / unit) else { break };
            *arrived += next - from;
            from = next;
        }
    }

    /// Whether the partition `number` of a receive is all here.
    fn has_arrived(&self, number: usize) -> bool {
        let End::Recv(inbound) = &self.end else { return false };
        let Some(sender) = &inbound.sender else { return false };
        inbound.arrived.get(number).is_some_and(|arrived| *arrived >= self.unit(sender))
    }

    /// Ready to begin again.
    fn reset(&mut self) {
        match &mut self.end {
            End::Send(outbound) => {
                outbound.ready.fill(false);
                outbound.queue.clear();
                (outbound.at, outbound.sent, outbound.streaming) = (0, 0, false);
            }
            End::Recv(inbound) => {
                inbound.arrived.fill(0);
                inbound.done = 0;
            }
        }
    }
}

/// The arguments of MPI_Psend_init and MPI_Precv_init.
#[derive(Debug, Clone, Copy)]
pub struct Arguments {
    /// Address of the first partition.
    pub buffer: usize,
    /// How many partitions.
    pub partitions: usize,
    /// Elements of each.
    pub count: usize,
    /// Their type.
    pub datatype: Datatype,
    /// Destination or source.
    pub peer: c_int,
    /// Tag.
    pub tag: c_int,
    /// Communicator.
    pub comm: Comm,
}

/// Makes an inactive send in partitions (MPI_Psend_init).
///
/// # Safety
/// The buffer is valid for reads of `partitions * count` elements whenever the request is active.
pub unsafe fn send_init(arguments: Arguments) -> Result<usize> {
    with(|e| {
        let route = e.route_send(arguments.comm, arguments.peer, arguments.tag)?;
        // SAFETY: the caller vouches for the buffer.
        let raw = unsafe { e.insert_partitioned(arguments, route, End::Send(Outbound::default())) }?;
        e.announce(raw)?;
        Ok(raw)
    })
}

/// Makes an inactive receive in partitions (MPI_Precv_init).
///
/// # Safety
/// The buffer is valid for writes of `partitions * count` elements whenever the request is active.
pub unsafe fn recv_init(arguments: Arguments) -> Result<usize> {
    with(|e| {
        let text = |what| format!("a receive in partitions is from one rank with one tag: {what} is not allowed");
        if arguments.peer == MPI_ANY_SOURCE {
            return Err(Error::new(MPI_ERR_RANK, text("MPI_ANY_SOURCE")));
        }
        if arguments.tag == MPI_ANY_TAG {
            return Err(Error::new(MPI_ERR_TAG, text("MPI_ANY_TAG")));
        }
        let route = e.route_recv(arguments.comm, arguments.peer, arguments.tag)?;
        // SAFETY: the caller vouches for the buffer.
        let raw = unsafe { e.insert_partitioned(arguments, route, End::Recv(Inbound::default())) }?;
        e.expect(raw);
        Ok(raw)
    })
}

/// Gives partitions away (MPI_Pready and its like): all of `numbers`, or none if one of them is wrong.
pub fn ready(raw: usize, numbers: &mut dyn Iterator<Item = c_int>) -> Result<()> {
    with(|e| e.partitions_ready(raw, numbers))
}

/// One look whether a partition of a receive is here (MPI_Parrived). Of an inactive request all are.
pub fn arrived(raw: usize, number: c_int) -> Result<bool> {
    Ok(progress::poll(|e| e.partition_arrived(raw, number).map(|here| here.then_some(())))?.is_some())
}

impl Engine {
    /// # Safety
    /// As for [`send_init`] or [`recv_init`].
    unsafe fn insert_partitioned(&mut self, arguments: Arguments, route: Option<Route>, mut end: End) -> Result<usize> {
        let Arguments { buffer, partitions, count, datatype, tag, comm, .. } = arguments;
        if partitions > MOST {
            return Err(Error::new(MPI_ERR_ARG, format!("{partitions} partitions: at most {MOST} are possible")));
        }
        self.types.require_committed(datatype)?;
        let size = self.types.get(datatype)?.size();
        let elements = partitions.checked_mul(count).filter(|all| all.checked_mul(size.max(1)).is_some());
        let elements = elements.ok_or_else(|| {
            Error::new(MPI_ERR_COUNT, format!("{partitions} partitions of {count} elements are too many"))
        })?;
        // SAFETY: the caller vouches for the buffer whenever the request is active, and it is not touched else.
        let payload = unsafe { self.payload(buffer as *mut u8, elements, datatype) }?;
        match &mut end {
            End::Send(outbound) => outbound.ready = vec![false; partitions].into(),
            End::Recv(inbound) => inbound.arrived = vec![0; partitions].into(),
        }
        let sends = matches!(end, End::Send(_));
        let about = self.check_partitioned(sends, partitions, elements, self.types.get(datatype)?);
        let partitioned = Partitioned {
            peer: route.map(|route| route.peer.cast_unsigned()),
            context: self.comm(comm)?.core.context,
            tag,
            partitions,
            bytes: size * count,
            about,
            end,
        };
        let mut request = Request::active(Role::Partitioned(Box::new(partitioned)), payload, self.comm_raw(comm));
        request.state = State::Inactive;
        request.recipe = Some(Box::new(Recipe::Partitioned));
        Ok(self.requests.insert(request))
    }

    /// The message in partitions that a request is about, and the request's state.
    pub(crate) fn partitioned(&mut self, raw: usize) -> Option<(&mut Partitioned, State)> {
        let request = self.requests.get_mut(raw)?;
        let state = request.state;
        if let Role::Partitioned(partitioned) = &mut request.role { Some((partitioned, state)) } else { None }
    }

    /// Starts an inactive request (MPI_Start).
    pub(crate) fn start_partitioned(&mut self, raw: usize) -> Result<()> {
        let Some(request) = self.requests.get_mut(raw) else { return Ok(()) };
        request.state = State::Active;
        request.error = None;
        request.status = Status::EMPTY;
        let Role::Partitioned(partitioned) = &mut request.role else { return Ok(()) };
        partitioned.reset();
        let nobody = partitioned.peer.is_none();
        match &mut partitioned.end {
            End::Send(_) if partitioned.partitions == 0 => self.complete_request(raw),
            End::Send(outbound) => {
                outbound.open = nobody || outbound.credits > 0;
                outbound.credits = outbound.credits.saturating_sub(1);
            }
            End::Recv(_) if nobody => {
                request.status = Status::PROC_NULL;
                self.complete_request(raw);
            }
            End::Recv(_) => self.open(raw)?,
        }
        // A message to oneself may be over, and another thread may wait for that.
        if self.sleepers.any() {
            self.wake_own_threads();
        }
        Ok(())
    }

    fn partitions_ready(&mut self, raw: usize, numbers: &mut dyn Iterator<Item = c_int>) -> Result<()> {
        let Some((partitioned, state)) = self.partitioned(raw) else {
            return Err(self.not_partitioned(raw, "Pready", "send"));
        };
        let (partitions, nobody) = (partitioned.partitions, partitioned.peer.is_none());
        let End::Send(outbound) = &mut partitioned.end else {
            return Err(self.not_partitioned(raw, "Pready", "send"));
        };
        if state != State::Active {
            return Err(Error::new(
                MPI_ERR_REQUEST,
                "Pready of a send in partitions that is not active: start it first",
            ));
        }
        let before = outbound.queue.len();
        for number in numbers {
            let place = usize::try_from(number).ok().filter(|place| *place < partitions);
            let refusal = match place {
                None => out_of_range(number, partitions),
                Some(place) if outbound.ready[place] => {
                    Error::new(MPI_ERR_ARG, format!("partition {number} of {partitions} was made ready before"))
                }
                Some(place) => {
                    outbound.ready[place] = true;
                    outbound.queue.push_back(place);
                    continue;
                }
            };
            for place in outbound.queue.drain(before..) {
                outbound.ready[place] = false;
            }
            return Err(refusal);
        }
        if nobody {
            outbound.sent += outbound.queue.len();
            outbound.queue.clear();
            if outbound.sent == partitions {
                self.complete_request(raw);
            }
        } else {
            if !outbound.open {
                // The receiver's start may be here already.
                self.progress();
            }
            self.push(raw);
        }
        if self.sleepers.any() {
            self.wake_own_threads();
        }
        Ok(())
    }

    fn partition_arrived(&mut self, raw: usize, number: c_int) -> Result<bool> {
        let Some((partitioned, state)) = self.partitioned(raw) else {
            return Err(self.not_partitioned(raw, "Parrived", "receive"));
        };
        if matches!(partitioned.end, End::Send(_)) {
            return Err(self.not_partitioned(raw, "Parrived", "receive"));
        }
        let place = usize::try_from(number).ok().filter(|place| *place < partitioned.partitions);
        let place = place.ok_or_else(|| out_of_range(number, partitioned.partitions))?;
        Ok(state != State::Active || partitioned.has_arrived(place))
    }

    #[cold]
    fn not_partitioned(&self, raw: usize, call: &str, what: &str) -> Error {
        if self.requests.get(raw).is_none() {
            return self.bad_request(raw);
        }
        Error::new(MPI_ERR_REQUEST, format!("{call} of a request that is no {what} in partitions"))
    }
}

#[cold]
fn out_of_range(number: c_int, partitions: usize) -> Error {
    Error::new(MPI_ERR_ARG, format!("partition {number} of {partitions}: the partitions are numbered from 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(partitions: usize, bytes: usize, sender: usize, total: usize) -> Partitioned {
        let announced = Announced { request: 1, total, partitions: sender };
        let arrived = vec![0; partitions].into();
        let inbound = Inbound { sender: Some(announced), arrived, ..Inbound::default() };
        Partitioned { peer: Some(0), context: 0, tag: 0, partitions, bytes, about: None, end: End::Recv(inbound) }
    }

    fn here(partitioned: &Partitioned) -> Vec<bool> {
        (0..partitioned.partitions).map(|number| partitioned.has_arrived(number)).collect()
    }

    #[test]
    fn a_partition_is_here_with_its_last_byte_whatever_the_senders_partitions_are() {
        // Two of 6 bytes each are received as three of 4.
        let mut partitioned = receive(3, 4, 2, 12);
        partitioned.note(6, 4, 1, false);
        assert_eq!(here(&partitioned), [false, false, false]);
        partitioned.note(10, 2, 1, true);
        assert_eq!(here(&partitioned), [false, false, true]);
        partitioned.note(0, 6, 0, true);
        assert_eq!(here(&partitioned), [true, true, true]);
    }

    #[test]
    fn partitions_without_bytes_arrive_when_their_share_of_the_senders_is_ready() {
        // Three of the sender, two of the receiver: the middle one of three belongs to both.
        let mut partitioned = receive(2, 0, 3, 0);
        partitioned.note(0, 0, 0, true);
        assert_eq!(here(&partitioned), [false, false]);
        partitioned.note(0, 0, 1, true);
        assert_eq!(here(&partitioned), [true, false]);
        partitioned.note(0, 0, 2, true);
        assert_eq!(here(&partitioned), [true, true]);
    }

    #[test]
    fn what_is_beyond_the_receivers_end_is_not_counted() {
        let mut partitioned = receive(2, 4, 1, 20);
        partitioned.note(0, 20, 0, true);
        assert_eq!(here(&partitioned), [true, true]);
    }
}
