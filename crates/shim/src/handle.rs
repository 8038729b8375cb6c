//! Handles as integers (MPI-5.0 section 20.4.4): the `_toint` and `_fromint` functions, for
//! languages whose handles are integers.
//!
//! A predefined handle is its own number. Any other handle is 0x1000 plus the index in its low
//! half; its high half (kind and generation) is kept in a table, so that the way back gives the
//! very same handle and one that was freed meanwhile is recognised as such.

use mpi_abi::{
    Comm, Datatype, Errhandler, FIRST_DYNAMIC_HANDLE, File, Group, Info, Message, Op, Request, Session, Win,
};
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Kinds of objects, so that an integer of one kind is never taken for another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Comm,
    Errhandler,
    File,
    Group,
    Info,
    Message,
    Op,
    Request,
    Session,
    Datatype,
    Win,
}

/// What `toint` gives for a value that no handle of ours can have; no handle comes back from it.
const NO_HANDLE: c_int = -1;

/// High halves of the handles that were turned into integers, by kind of object and index.
static SEEN: Mutex<Option<HashMap<(Kind, u32), u32>>> = Mutex::new(None);

fn seen() -> MutexGuard<'static, Option<HashMap<(Kind, u32), u32>>> {
    // A map of numbers is whole even after a panic.
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn to_int(kind: Kind, raw: usize) -> c_int {
    if raw < FIRST_DYNAMIC_HANDLE {
        return c_int::try_from(raw).unwrap_or(NO_HANDLE);
    }
    let (Ok(index), Ok(high)) = (u32::try_from(raw & 0xffff_ffff), u32::try_from(raw >> 32)) else {
        return NO_HANDLE;
    };
    let Ok(number) = c_int::try_from(u64::from(index) + FIRST_DYNAMIC_HANDLE as u64) else {
        return NO_HANDLE;
    };
    if high == 0 {
        return NO_HANDLE;
    }
    seen().get_or_insert_default().insert((kind, index), high);
    number
}

fn from_int(kind: Kind, number: c_int) -> usize {
    // Zero is never a handle (section 20.3.3), so every use of it is an error of the right class.
    let Ok(number) = usize::try_from(number) else {
        return 0;
    };
    if number < FIRST_DYNAMIC_HANDLE {
        return number;
    }
    let index = number - FIRST_DYNAMIC_HANDLE;
    let key = u32::try_from(index).ok().map(|index| (kind, index));
    let high = key.and_then(|key| seen().as_ref()?.get(&key).copied());
    high.map_or(0, |high| (high as usize) << 32 | index)
}

pub(crate) unsafe fn MPI_Comm_toint(handle: Comm) -> c_int {
    to_int(Kind::Comm, handle.raw())
}

pub(crate) unsafe fn MPI_Comm_fromint(number: c_int) -> Comm {
    Comm::from_raw(from_int(Kind::Comm, number))
}

pub(crate) unsafe fn MPI_Errhandler_toint(handle: Errhandler) -> c_int {
    to_int(Kind::Errhandler, handle.raw())
}

pub(crate) unsafe fn MPI_Errhandler_fromint(number: c_int) -> Errhandler {
    Errhandler::from_raw(from_int(Kind::Errhandler, number))
}

pub(crate) unsafe fn MPI_File_toint(handle: File) -> c_int {
    to_int(Kind::File, handle.raw())
}

pub(crate) unsafe fn MPI_File_fromint(number: c_int) -> File {
    File::from_raw(from_int(Kind::File, number))
}

pub(crate) unsafe fn MPI_Group_toint(handle: Group) -> c_int {
    to_int(Kind::Group, handle.raw())
}

pub(crate) unsafe fn MPI_Group_fromint(number: c_int) -> Group {
    Group::from_raw(from_int(Kind::Group, number))
}

pub(crate) unsafe fn MPI_Info_toint(handle: Info) -> c_int {
    to_int(Kind::Info, handle.raw())
}

pub(crate) unsafe fn MPI_Info_fromint(number: c_int) -> Info {
    Info::from_raw(from_int(Kind::Info, number))
}

pub(crate) unsafe fn MPI_Message_toint(handle: Message) -> c_int {
    to_int(Kind::Message, handle.raw())
}

pub(crate) unsafe fn MPI_Message_fromint(number: c_int) -> Message {
    Message::from_raw(from_int(Kind::Message, number))
}

pub(crate) unsafe fn MPI_Op_toint(handle: Op) -> c_int {
    to_int(Kind::Op, handle.raw())
}

pub(crate) unsafe fn MPI_Op_fromint(number: c_int) -> Op {
    Op::from_raw(from_int(Kind::Op, number))
}

pub(crate) unsafe fn MPI_Request_toint(handle: Request) -> c_int {
    to_int(Kind::Request, handle.raw())
}

pub(crate) unsafe fn MPI_Request_fromint(number: c_int) -> Request {
    Request::from_raw(from_int(Kind::Request, number))
}

pub(crate) unsafe fn MPI_Session_toint(handle: Session) -> c_int {
    to_int(Kind::Session, handle.raw())
}

pub(crate) unsafe fn MPI_Session_fromint(number: c_int) -> Session {
    Session::from_raw(from_int(Kind::Session, number))
}

pub(crate) unsafe fn MPI_Type_toint(handle: Datatype) -> c_int {
    to_int(Kind::Datatype, handle.raw())
}

pub(crate) unsafe fn MPI_Type_fromint(number: c_int) -> Datatype {
    Datatype::from_raw(from_int(Kind::Datatype, number))
}

pub(crate) unsafe fn MPI_Win_toint(handle: Win) -> c_int {
    to_int(Kind::Win, handle.raw())
}

pub(crate) unsafe fn MPI_Win_fromint(number: c_int) -> Win {
    Win::from_raw(from_int(Kind::Win, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predefined_handles_are_their_own_numbers() {
        assert_eq!(to_int(Kind::Comm, 0x101), 0x101);
        assert_eq!(from_int(Kind::Comm, 0x101), 0x101);
    }

    #[test]
    fn the_way_back_gives_the_same_handle() {
        let raw = 2 << 56 | 7 << 32 | 5;
        let number = to_int(Kind::Datatype, raw);
        assert!(number >= 0x1000);
        assert_eq!(to_int(Kind::Datatype, raw), number);
        assert_eq!(from_int(Kind::Datatype, number), raw);
        assert_eq!(from_int(Kind::Win, number), 0);
    }

    #[test]
    fn numbers_that_nobody_gave_out_are_no_handles() {
        assert_eq!(from_int(Kind::Info, -5), 0);
        assert_eq!(from_int(Kind::Info, 0x7fff_ffff), 0);
        assert_eq!(to_int(Kind::Info, 0x5000), NO_HANDLE);
    }
}
