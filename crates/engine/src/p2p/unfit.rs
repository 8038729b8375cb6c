//! Messages that a receive cannot take, and what is said of them: too long, or a pickled object for a
//! buffer of numbers. That a message is an object is said by its datatype, [`OBJECT`]: bytes like
//! MPI_BYTE, with a handle that only language layers know (`OXMPI_Object_type`). On the wire it is a
//! bit of the context ([`MARK`]), so the direct way of small messages, which compares contexts, passes
//! objects by without looking for them.
//!
//! Not noticed: a message of numbers that is received as an object (the language layer finds that it
//! is none), and objects in collectives.

use super::Route;
use crate::request::Role;
use crate::{Engine, Error};
use mpi_abi::Datatype;
use mpi_abi::consts::{MPI_ERR_TRUNCATE, MPI_ERR_TYPE};
use std::ffi::c_int;

/// The datatype of the bytes of objects. Not one of the standard's, in the range of its datatypes.
pub const OBJECT: Datatype = Datatype(0x2ff);
/// Its name.
pub(crate) const OBJECT_NAME: &str = "OXMPI_OBJECT";

/// Bit of a context on the wire: the message is an object. Contexts are counted and never get so far.
pub(crate) const MARK: u32 = 1 << 31;

impl Route {
    /// The same for a message of `datatype`: marked if it is an object.
    #[inline]
    pub(crate) fn of(self, e: &Engine, datatype: Datatype) -> Self {
        let object = datatype == OBJECT || (!datatype.is_predefined() && e.types.is_of_objects(datatype));
        if object { Self { context: self.context | MARK, ..self } } else { self }
    }
}

impl Engine {
    /// The message that was matched with the receive `raw` is an object.
    pub(crate) fn is_object(&mut self, raw: usize) {
        if let Some(Role::Recv(recv)) = self.requests.get_mut(raw).map(|request| &mut request.role) {
            recv.object = recv.datatype != OBJECT;
        }
    }

    /// Why the receive `raw` cannot take the message of `total` bytes that was matched with it, if so: the error
    /// goes to the request, and for an object its buffer is left as it is.
    #[cold]
    pub(crate) fn look_at_unfit(&mut self, raw: usize, total: usize) {
        let Some(request) = self.requests.get(raw) else { return };
        let Role::Recv(recv) = &request.role else { return };
        let (datatype, object, room) = (recv.datatype, recv.object, request.payload.len());
        let (source, tag) = (request.status.source, request.status.tag);
        let wrong = object && self.types.is_of_numbers(datatype);
        let error = if wrong {
            Error::new(
                MPI_ERR_TYPE,
                format!(
                    "the message of {total} bytes from rank {source}, tag {tag}, is a pickled object, sent by a lower-case \
                     method (send, isend ...): receive it with a lower-case one (recv); this receive is for {room} \
                     bytes{}",
                    self.in_elements(datatype, room)
                ),
            )
        } else if total > room {
            self.truncated(datatype, total, room, source, tag)
        } else {
            return;
        };
        let Some(request) = self.requests.get_mut(raw) else { return };
        // What `--check` says is the same with the places in the program.
        request.error.get_or_insert(Box::new(error));
        if wrong {
            request.status.bytes = 0;
            request.payload = crate::payload::Payload::EMPTY;
        }
    }

    /// The error for a message that is too long.
    #[cold]
    pub(crate) fn truncated(&self, datatype: Datatype, total: usize, room: usize, source: c_int, tag: c_int) -> Error {
        let (message, buffer) = (self.in_elements(datatype, total), self.in_elements(datatype, room));
        Error::new(
            MPI_ERR_TRUNCATE,
            format!(
                "the message of {total} bytes{message} from rank {source}, tag {tag}, does not fit into the receive \
                 buffer of {room} bytes{buffer}"
            ),
        )
    }

    /// Bytes as values of a datatype, where that says more: ` (10 x MPI_DOUBLE)`.
    fn in_elements(&self, datatype: Datatype, bytes: usize) -> String {
        match self.types.get(datatype).ok().and_then(|kind| kind.uniform_basic()) {
            Some(basic) if basic.size() > 1 && bytes.is_multiple_of(basic.size()) => {
                format!(" ({} x {})", bytes / basic.size(), basic.name)
            }
            _ => String::new(),
        }
    }
}
