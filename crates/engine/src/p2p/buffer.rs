//! Buffers for buffered sends (MPI-5.0 section 3.6): of the process, of communicators and of
//! sessions. The engine keeps the bytes of buffered messages in memory of its own; what the user
//! attached counts as the allowance, so that a program that works here works elsewhere.

use crate::payload::Payload;
use crate::progress::wait_for;
use crate::request::{Request, Role, abandon};
use crate::status::{Call, Status, Waiting};
use crate::{Engine, Error, Result, with};
use mpi_abi::consts::{MPI_BSEND_OVERHEAD, MPI_ERR_BUFFER};
use std::collections::{HashMap, HashSet};

/// Whose buffer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The process (MPI_Buffer_attach).
    Process,
    /// A communicator, by handle (MPI_Comm_attach_buffer).
    Comm(usize),
    /// A session, by handle (MPI_Session_attach_buffer).
    Session(usize),
}

#[derive(Debug, Clone, Copy)]
struct Attached {
    address: usize,
    /// None = automatic: as much as is needed.
    size: Option<usize>,
    used: usize,
}

/// Room in an attached buffer, for one message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    owner: Owner,
    bytes: usize,
}

/// A nonblocking flush: the buffered messages (their requests) that it still waits for.
#[derive(Debug)]
struct Flush {
    request: usize,
    waits: HashSet<usize>,
}

/// All attached buffers, and the messages that are in them.
#[derive(Debug, Default)]
pub struct Buffers {
    attached: HashMap<Owner, Attached>,
    messages: HashMap<usize, Room>,
    flushes: Vec<Flush>,
}

const OVERHEAD: usize = MPI_BSEND_OVERHEAD as usize;

impl Buffers {
    /// Room for a message of `len` bytes on communicator `comm`: in its own buffer, in that of the session
    /// that it was made in, or in that of the process.
    fn take(&mut self, comm: usize, session: usize, len: usize) -> Result<Room> {
        let mut own = [Owner::Comm(comm), Owner::Session(session)].into_iter();
        let owner = own.find(|owner| self.attached.contains_key(owner)).unwrap_or(Owner::Process);
        let need = len + OVERHEAD;
        let Some(buffer) = self.attached.get_mut(&owner) else {
            return Err(Error::new(
                MPI_ERR_BUFFER,
                format!("a buffered send of {len} bytes, but no buffer is attached (MPI_Buffer_attach)"),
            ));
        };
        if let Some(size) = buffer.size
            && buffer.used + need > size
        {
            return Err(Error::new(
                MPI_ERR_BUFFER,
                format!(
                    "a buffered send of {len} bytes needs {need} with MPI_BSEND_OVERHEAD, but {} of the attached {size} \
                     bytes are in use",
                    buffer.used
                ),
            ));
        }
        buffer.used += need;
        Ok(Room { owner, bytes: need })
    }

    /// The message of this request left its room: the requests of flushes that end with it.
    #[must_use]
    fn release(&mut self, message: usize) -> Vec<usize> {
        let Some(room) = self.messages.remove(&message) else { return Vec::new() };
        if let Some(buffer) = self.attached.get_mut(&room.owner) {
            buffer.used = buffer.used.saturating_sub(room.bytes);
        }
        for flush in &mut self.flushes {
            flush.waits.remove(&message);
        }
        self.flushes.extract_if(.., |flush| flush.waits.is_empty()).map(|flush| flush.request).collect()
    }

    /// The messages in the buffer of `owner`.
    fn messages_of(&self, owner: Owner) -> HashSet<usize> {
        self.messages.iter().filter(|(_, room)| room.owner == owner).map(|(message, _)| *message).collect()
    }
}

impl Engine {
    /// Takes room for a buffered message of `len` bytes on communicator `comm` (its handle).
    pub(crate) fn take_room(&mut self, comm: usize, len: usize) -> Result<Room> {
        let session = self.comm_even_freed(comm).map_or(0, |comm| comm.core.group.session());
        self.buffers.take(comm, session, len)
    }

    /// The message with this request is the one that room was taken for.
    pub(crate) fn hold_room(&mut self, message: usize, room: Room) {
        self.buffers.messages.insert(message, room);
    }

    /// A buffered message is on its way.
    #[cold]
    pub(crate) fn release_room(&mut self, message: usize) {
        for flush in self.buffers.release(message) {
            self.complete_request(flush);
        }
    }
}

/// Attaches a buffer (`size` None = automatic).
pub fn attach(owner: Owner, address: usize, size: Option<usize>) -> Result<()> {
    with(|e| {
        if e.buffers.attached.contains_key(&owner) {
            return Err(Error::new(MPI_ERR_BUFFER, "a buffer is attached already: detach it first"));
        }
        e.buffers.attached.insert(owner, Attached { address, size, used: 0 });
        Ok(())
    })
}

/// A request that is complete when the messages that are in the buffer now are on their way
/// (MPI_Buffer_iflush). Messages that come later do not hold it up.
pub fn iflush(owner: Owner) -> usize {
    with(|e| {
        let comm = if let Owner::Comm(comm) = owner { comm } else { e.self_comm };
        let waits = e.buffers.messages_of(owner);
        if waits.is_empty() {
            return e.requests.insert(Request::complete(Status::EMPTY, comm));
        }
        let request = e.requests.insert(Request::active(Role::Nothing, Payload::EMPTY, comm));
        e.buffers.flushes.push(Flush { request, waits });
        request
    })
}

/// Waits until the messages that are in the buffer now are on their way (MPI_Buffer_flush).
pub fn flush(owner: Owner) -> Result<()> {
    let request = iflush(owner);
    let done = wait_for(Waiting::anybody(Call::BufferDetach), |e| e.take_outcome(request).transpose());
    done.inspect_err(|_| abandon(request))?.map(|_| ())
}

/// Waits until the buffer is empty and gives it back: its address and size, none if there was none.
pub fn detach(owner: Owner) -> Result<Option<(usize, Option<usize>)>> {
    wait_for(Waiting::anybody(Call::BufferDetach), |e| {
        let empty = e.buffers.attached.get(&owner).is_none_or(|buffer| buffer.used == 0);
        empty.then(|| e.buffers.attached.remove(&owner).map(|buffer| (buffer.address, buffer.size)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_ends_with_the_last_message_that_it_found() {
        let mut buffers = Buffers::default();
        buffers.attached.insert(Owner::Process, Attached { address: 0, size: Some(10_000), used: 0 });
        for message in [1, 2, 3] {
            let room = buffers.take(7, 0, 100).expect("room");
            buffers.messages.insert(message, room);
            if message == 2 {
                buffers.flushes.push(Flush { request: 50, waits: buffers.messages_of(Owner::Process) });
            }
        }
        assert_eq!(buffers.release(1), []);
        assert_eq!(buffers.release(3), []);
        assert_eq!(buffers.release(2), [50]);
        assert_eq!(buffers.attached[&Owner::Process].used, 0);
    }

    #[test]
    fn a_message_returns_its_room_to_the_buffer_that_it_was_taken_from() {
        let mut buffers = Buffers::default();
        let attached = Attached { address: 0, size: None, used: 0 };
        buffers.attached.insert(Owner::Process, attached);
        let early = buffers.take(7, 9, 100).expect("the process's");
        buffers.attached.insert(Owner::Session(9), attached);
        let middle = buffers.take(7, 9, 100).expect("the session's");
        buffers.attached.insert(Owner::Comm(7), attached);
        let late = buffers.take(7, 9, 100).expect("the communicator's");
        assert_eq!([early.owner, middle.owner, late.owner], [Owner::Process, Owner::Session(9), Owner::Comm(7)]);
        buffers.messages.insert(1, early);
        assert_eq!(buffers.release(1), []);
        assert_eq!(buffers.attached[&Owner::Process].used, 0);
        assert_ne!(buffers.attached[&Owner::Comm(7)].used, 0);
    }
}
