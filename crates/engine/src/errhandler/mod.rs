//! Error handlers (MPI-5.0 section 9.3): which one an object has, and what is to be done with an
//! error of that object. User functions are only named here; the shim calls them, without the lock.

mod report;

pub use report::{Action, Object, Report, die, report};

use crate::error::{Error, Result};
use crate::handle::HandleTable;
use crate::objects;
use mpi_abi::Errhandler as Handle;
use mpi_abi::consts::{
    MPI_ERR_ERRHANDLER, MPI_ERRHANDLER_NULL, MPI_ERRORS_ABORT, MPI_ERRORS_ARE_FATAL, MPI_ERRORS_RETURN,
};
use shm::sync::{AtomicUsize, Ordering};
use std::sync::Arc;

/// What an object does with its errors. Cheap to clone; held by the object itself, so that a
/// user's handler works on when its handle was freed.
#[derive(Debug, Clone, Default)]
pub enum Handler {
    /// `MPI_ERRORS_ARE_FATAL`: the job ends.
    #[default]
    Fatal,
    /// `MPI_ERRORS_ABORT`: as if `MPI_Abort` was called on the object's communicator.
    Abort,
    /// `MPI_ERRORS_RETURN`: the caller gets the code.
    Return,
    /// A function of the user.
    User(Arc<User>),
}

/// The kinds of objects that have error handlers. A user's function is made for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Communicators.
    Comm,
    /// Windows.
    Win,
    /// Files.
    File,
    /// Sessions.
    Session,
}

impl Owner {
    /// The word for texts.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Comm => "communicator",
            Self::Win => "window",
            Self::File => "file",
            Self::Session => "session",
        }
    }
}

/// A user's function and what it was made for.
#[derive(Debug)]
pub struct User {
    /// For whom.
    pub owner: Owner,
    /// Address of the C function of the type that `owner` asks for.
    pub function: usize,
    /// The handle that names it, or the last one that did. Changed under the engine's lock only.
    handle: AtomicUsize,
}

/// A user's error handler behind a handle, and how often the user holds it: each
/// `MPI_*_get_errhandler` gives the same handle once more.
pub struct Slot {
    user: Arc<User>,
    holds: u32,
}

impl PartialEq for Handler {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fatal, Self::Fatal) | (Self::Abort, Self::Abort) | (Self::Return, Self::Return) => true,
            (Self::User(a), Self::User(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// The table of handles.
pub type Table = HandleTable<Slot>;

/// A handle for a user's function.
pub fn create(table: &mut Table, owner: Owner, function: usize) -> Handle {
    insert(table, &Arc::new(User { owner, function, handle: AtomicUsize::new(0) }))
}

/// The handler that the ABI itself gives a meaning.
fn predefined(handle: Handle) -> Option<Handler> {
    match handle {
        MPI_ERRORS_ARE_FATAL => Some(Handler::Fatal),
        MPI_ERRORS_ABORT => Some(Handler::Abort),
        MPI_ERRORS_RETURN => Some(Handler::Return),
        _ => None,
    }
}

/// The handler of a handle that was given for an object to be made: a communicator or a session.
fn unborn(table: &Table, handle: Handle) -> Option<Handler> {
    predefined(handle).or_else(|| {
        let user = &table.get(handle.raw())?.user;
        matches!(user.owner, Owner::Comm | Owner::Session).then(|| Handler::User(Arc::clone(user)))
    })
}

/// The handler of a handle, to attach it to an object of kind `owner`.
pub fn resolve(table: &Table, handle: Handle, owner: Owner) -> Result<Handler> {
    if let Some(handler) = predefined(handle) {
        return Ok(handler);
    }
    let slot = table.get(handle.raw()).ok_or_else(|| refuse(table, handle))?;
    if slot.user.owner == owner {
        Ok(Handler::User(Arc::clone(&slot.user)))
    } else {
        let (made, needed) = (slot.user.owner.noun(), owner.noun());
        Err(Error::new(MPI_ERR_ERRHANDLER, format!("an error handler made for a {made} cannot be set on a {needed}")))
    }
}

/// The handle of an object's handler, for the user to keep and free.
pub fn publish(table: &mut Table, handler: &Handler) -> Handle {
    match handler {
        Handler::Fatal => MPI_ERRORS_ARE_FATAL,
        Handler::Abort => MPI_ERRORS_ABORT,
        Handler::Return => MPI_ERRORS_RETURN,
        Handler::User(user) => {
            let raw = user.handle.load(Ordering::Relaxed);
            match table.get_mut(raw) {
                Some(slot) => {
                    slot.holds += 1;
                    Handle::from_raw(raw)
                }
                None => insert(table, user),
            }
        }
    }
}

fn insert(table: &mut Table, user: &Arc<User>) -> Handle {
    let raw = table.insert(Slot { user: Arc::clone(user), holds: 1 });
    user.handle.store(raw, Ordering::Relaxed);
    Handle::from_raw(raw)
}

/// Gives a handle back. Objects keep the handler that they have.
pub fn free(table: &mut Table, handle: Handle) -> Result<()> {
    if predefined(handle).is_some() {
        return Ok(());
    }
    let last = match table.get_mut(handle.raw()) {
        Some(slot) => {
            slot.holds -= 1;
            slot.holds == 0
        }
        None => return Err(refuse(table, handle)),
    };
    if last {
        table.remove(handle.raw());
    }
    Ok(())
}

#[cold]
fn refuse(table: &Table, handle: Handle) -> Error {
    if handle == MPI_ERRHANDLER_NULL {
        return Error::new(MPI_ERR_ERRHANDLER, "MPI_ERRHANDLER_NULL where an error handler is needed");
    }
    objects::not_alive(MPI_ERR_ERRHANDLER, "error handler", table.why_stale(handle.raw()), handle.raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Kind;

    fn table() -> Table {
        Table::new(Kind::Errhandler)
    }

    #[test]
    fn a_handle_lives_until_each_get_was_freed() {
        let mut table = table();
        let handle = create(&mut table, Owner::Comm, 1000);
        let handler = resolve(&table, handle, Owner::Comm).expect("resolve");
        assert_eq!(publish(&mut table, &handler), handle);
        free(&mut table, handle).expect("first");
        assert!(resolve(&table, handle, Owner::Comm).is_ok());
        free(&mut table, handle).expect("second");
        assert_eq!(free(&mut table, handle).unwrap_err().class, MPI_ERR_ERRHANDLER);
    }

    #[test]
    fn an_attached_handler_outlives_its_handle_and_gets_a_new_one() {
        let mut table = table();
        let handle = create(&mut table, Owner::Win, 1000);
        let handler = resolve(&table, handle, Owner::Win).expect("resolve");
        free(&mut table, handle).expect("free");
        let again = publish(&mut table, &handler);
        assert_ne!(again, handle);
        assert_eq!(resolve(&table, again, Owner::Win), Ok(handler));
    }

    #[test]
    fn predefined_handlers_are_never_used_up() {
        let mut table = table();
        for handle in [MPI_ERRORS_ARE_FATAL, MPI_ERRORS_ABORT, MPI_ERRORS_RETURN] {
            let handler = resolve(&table, handle, Owner::File).expect("resolve");
            assert_eq!(publish(&mut table, &handler), handle);
            for _ in 0..3 {
                free(&mut table, handle).expect("free");
            }
        }
        assert!(resolve(&table, MPI_ERRHANDLER_NULL, Owner::Comm).unwrap_err().text.contains("MPI_ERRHANDLER_NULL"));
        assert!(free(&mut table, MPI_ERRHANDLER_NULL).is_err());
    }

    #[test]
    fn a_function_for_windows_is_refused_on_communicators() {
        let mut table = table();
        let handle = create(&mut table, Owner::Win, 1000);
        let error = resolve(&table, handle, Owner::Comm).unwrap_err();
        assert!(error.text.contains("window") && error.text.contains("communicator"), "{}", error.text);
    }
}
