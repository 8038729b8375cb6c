//! What happens when a call failed: the shim hands in the object and the error and gets the code
//! for its caller and what to do besides. Nothing here waits or calls user code.

use super::{Handler, Owner};
use crate::error::{Error, Result};
use crate::{Engine, errcode, session, with};
use mpi_abi::consts::{MPI_COMM_SELF, MPI_ERR_FILE, MPI_ERR_WIN, MPI_FILE_NULL, MPI_WIN_NULL};
use mpi_abi::{Comm, Errhandler, File, Session, Win};
use std::ffi::c_int;
use std::io::Write as _;

/// The object whose error handler is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A communicator.
    Comm(Comm),
    /// A window.
    Win(Win),
    /// A file; `MPI_FILE_NULL` for errors of opening and deleting.
    File(File),
    /// A session.
    Session(Session),
    /// One that was to be made with this error handler.
    Unborn(Errhandler),
    /// None of these: `MPI_COMM_SELF` is asked, as the standard says.
    Process,
}

/// What the shim does with an error, besides returning its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Return,
    /// The job ends: call [`die`].
    Die,
    /// The user's function at this address is called with the address of the object's handle and
    /// that of the code; its type belongs to the kind of object.
    Call(Owner, usize),
}

/// What becomes of an error.
pub struct Report {
    /// For the caller of the function that failed.
    pub code: c_int,
    /// What to do.
    pub action: Action,
    /// Whose handler that is: of the process, if the object has none.
    pub object: Object,
}

/// What becomes of `error`, with which a function failed on `object`.
#[cold]
pub fn report(object: Object, error: &Error) -> Report {
    with(|e| {
        let (handler, object) = e.handler_or_process(object);
        Report { code: e.objects.codes.encode(error), action: handler.action(), object }
    })
}

impl Handler {
    fn action(&self) -> Action {
        match self {
            Self::Return => Action::Return,
            Self::Fatal | Self::Abort => Action::Die,
            Self::User(user) => Action::Call(user.owner, user.function),
        }
    }
}

/// Says what happened and ends the job.
#[cold]
pub fn die(function: &str, object: Object, error: &Error) -> ! {
    let words = with(|e| {
        let sentence = errcode::describe(e.objects.codes.class(error.class), &error.text);
        last_words(e.world_rank(), function, &e.describe(object), &sentence)
    });
    // One write, so that the lines of several ranks stay apart. If nobody reads, nobody is told.
    let _ = std::io::stderr().write_all(words.as_bytes());
    crate::world::abort(error.class)
}

fn last_words(rank: Option<u32>, function: &str, object: &str, sentence: &str) -> String {
    let who = rank.map_or_else(|| "this process".to_owned(), |rank| format!("rank {rank}"));
    format!(
        "oxmpi: {who}: {function} failed on {object}, whose errors are fatal: the job ends\noxmpi: {who}: {sentence}\n"
    )
}

impl Engine {
    /// The error handler of `object`, or the error that there is no such object.
    pub fn handler(&self, object: Object) -> Result<&Handler> {
        match object {
            Object::Comm(comm) => Ok(&self.kept(comm)?.errhandler),
            Object::Win(win) => self.objects.handlers.get(&win.raw()).ok_or_else(|| {
                let what = if win == MPI_WIN_NULL { "MPI_WIN_NULL".into() } else { format!("{:#x}", win.raw()) };
                Error::new(MPI_ERR_WIN, format!("{what} is not a window"))
            }),
            Object::File(MPI_FILE_NULL) => Ok(&self.objects.file_handler),
            Object::File(file) => self.objects.handlers.get(&file.raw()).ok_or_else(|| {
                Error::new(MPI_ERR_FILE, format!("{:#x} is not the handle of an open file", file.raw()))
            }),
            Object::Session(session) => Ok(&session::get(&self.objects, session)?.errhandler),
            Object::Unborn(_) | Object::Process => self.handler(Object::Comm(MPI_COMM_SELF)),
        }
    }

    /// The same with what stands in for an object that is none: the process's handler, which is
    /// that of `MPI_COMM_SELF` once the world is there. And whose it is.
    fn handler_or_process(&self, object: Object) -> (Handler, Object) {
        let own = match object {
            Object::Unborn(handle) => super::unborn(&self.objects.errhandlers, handle),
            // An operation on it may have failed after it was freed.
            Object::Comm(comm) => self.kept_even_freed(comm).map(|kept| kept.errhandler.clone()),
            _ => self.handler(object).ok().cloned(),
        };
        if let Some(own) = own {
            return (own, object);
        }
        let process = self.handler(Object::Process).ok().cloned();
        (process.unwrap_or_else(|| self.objects.initial.clone()), Object::Process)
    }

    /// What a call of the error handler of `object` does.
    pub fn action(&self, object: Object) -> Result<Action> {
        self.handler(object).map(Handler::action)
    }

    /// Gives `object` the error handler behind `handle`.
    pub fn set_handler(&mut self, object: Object, handle: Errhandler) -> Result<()> {
        self.handler(object)?;
        let owner = match object {
            Object::Win(_) => Owner::Win,
            Object::File(_) => Owner::File,
            Object::Session(_) => Owner::Session,
            Object::Comm(_) | Object::Unborn(_) | Object::Process => Owner::Comm,
        };
        let handler = super::resolve(&self.objects.errhandlers, handle, owner)?;
        match object {
            Object::Comm(comm) => self.kept_mut(comm)?.errhandler = handler,
            Object::File(MPI_FILE_NULL) => self.objects.file_handler = handler,
            Object::Win(Win(raw)) | Object::File(File(raw)) => {
                self.objects.handlers.insert(raw, handler);
            }
            Object::Session(session) => session::get_mut(&mut self.objects, session)?.errhandler = handler,
            Object::Unborn(_) | Object::Process => self.kept_mut(MPI_COMM_SELF)?.errhandler = handler,
        }
        Ok(())
    }

    fn describe(&self, object: Object) -> String {
        match object {
            Object::Comm(comm) => match self.kept_even_freed(comm) {
                Some(kept) if !kept.name.is_empty() => kept.name.clone(),
                Some(_) => "a communicator".to_owned(),
                None => "MPI_COMM_SELF".to_owned(),
            },
            Object::Win(win) => self.objects.names.get(win.raw()).unwrap_or("a window").to_owned(),
            Object::File(_) => "a file".to_owned(),
            Object::Session(_) => "a session".to_owned(),
            Object::Unborn(_) => "an object to be made".to_owned(),
            Object::Process => "MPI_COMM_SELF".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpi_abi::consts::{MPI_ERRORS_ABORT, MPI_ERRORS_ARE_FATAL};

    #[test]
    fn an_object_without_a_handler_has_that_of_the_process() {
        let mut e = Engine::new();
        e.objects.initial = Handler::Return;
        for object in [Object::Process, Object::Win(MPI_WIN_NULL), Object::Comm(MPI_COMM_SELF)] {
            assert_eq!(e.handler_or_process(object), (Handler::Return, Object::Process));
        }
        assert_eq!(e.handler(Object::Win(MPI_WIN_NULL)).unwrap_err().class, MPI_ERR_WIN);
        let fatal = Object::Unborn(MPI_ERRORS_ABORT);
        assert_eq!(e.handler_or_process(fatal), (Handler::Abort, fatal));
    }

    #[test]
    fn an_object_to_be_made_has_the_function_that_was_given_for_it() {
        let mut e = Engine::new();
        e.objects.initial = Handler::Return;
        for (owner, called) in [(Owner::Comm, true), (Owner::Session, true), (Owner::Win, false), (Owner::File, false)]
        {
            let object = Object::Unborn(crate::errhandler::create(&mut e.objects.errhandlers, owner, 4096));
            let (handler, whose) = e.handler_or_process(object);
            assert_eq!(handler.action(), if called { Action::Call(owner, 4096) } else { Action::Return });
            assert_eq!(whose, if called { object } else { Object::Process });
        }
    }

    #[test]
    fn errors_of_files_return_and_windows_know_only_what_was_registered() {
        let mut e = Engine::new();
        assert_eq!(e.action(Object::File(MPI_FILE_NULL)), Ok(Action::Return));
        e.set_handler(Object::File(MPI_FILE_NULL), MPI_ERRORS_ARE_FATAL).expect("set");
        assert_eq!(e.action(Object::File(MPI_FILE_NULL)), Ok(Action::Die));
        let win = Win(0x0a00_0001_0000_0000);
        assert!(e.set_handler(Object::Win(win), MPI_ERRORS_ARE_FATAL).is_err());
        e.objects.handlers.insert(win.raw(), Handler::Return);
        let mine = crate::errhandler::create(&mut e.objects.errhandlers, Owner::Win, 4096);
        e.set_handler(Object::Win(win), mine).expect("set");
        assert_eq!(e.action(Object::Win(win)), Ok(Action::Call(Owner::Win, 4096)));
        assert!(e.set_handler(Object::File(MPI_FILE_NULL), mine).is_err());
    }

    #[test]
    fn the_last_words_name_rank_function_object_and_reason() {
        let words = last_words(Some(2), "MPI_Send", "MPI_COMM_WORLD", "MPI_ERR_RANK: the destination is rank 7");
        assert_eq!(words.lines().count(), 2);
        for part in ["rank 2", "MPI_Send", "MPI_COMM_WORLD", "MPI_ERR_RANK: the destination is rank 7"] {
            assert!(words.contains(part), "{words}");
        }
    }
}
