//! The objects of a process that are no communicators, types or requests: groups, infos, error
//! handlers, attribute keys, sessions, names, and the error codes that users add. One [`Objects`]
//! lies in the engine; the modules of these objects take it and know nothing of the rest.

use crate::attr::{Attributes, Keyvals};
use crate::comm_manage::Extras;
use crate::errcode::Codes;
use crate::errhandler::{self, Handler};
use crate::error::Error;
use crate::group::Group;
use crate::handle::{HandleTable, Kind, Stale};
use crate::info::Info;
use crate::naming::Names;
use crate::session::Session;
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::Arc;

/// All of them.
pub struct Objects {
    /// What few communicators have, by table handle.
    pub comms: HashMap<usize, Extras>,
    /// Groups that the user holds.
    pub groups: HandleTable<Arc<Group>>,
    /// Info objects that the user holds.
    pub infos: HandleTable<Info>,
    /// What `MPI_INFO_ENV` says; filled when the world starts.
    pub env: Info,
    /// Error handlers that the user made.
    pub errhandlers: HandleTable<errhandler::Slot>,
    /// Error handlers of windows and files, by handle. Whoever makes such an object puts its first
    /// one here, which is what makes the handle known to the object modules.
    pub handlers: HashMap<usize, Handler>,
    /// What new files get, and what errors of opening them go to (`MPI_FILE_NULL`).
    pub file_handler: Handler,
    /// What the process does with errors that belong to no object before the world starts.
    pub initial: Handler,
    /// Keys of attributes.
    pub keyvals: Keyvals,
    /// Attributes of types and windows, by handle.
    pub attributes: HashMap<usize, Attributes>,
    /// Names of types and windows.
    pub names: Names,
    /// Sessions that are open.
    pub sessions: HandleTable<Session>,
    /// Texts of past errors; error classes and codes that the user added.
    pub codes: Codes,
}

impl Default for Objects {
    fn default() -> Self {
        Self {
            comms: HashMap::new(),
            groups: HandleTable::new(Kind::Group),
            infos: HandleTable::new(Kind::Info),
            env: Info::default(),
            errhandlers: HandleTable::new(Kind::Errhandler),
            handlers: HashMap::new(),
            file_handler: Handler::Return,
            initial: Handler::default(),
            keyvals: Keyvals::default(),
            attributes: HashMap::new(),
            names: Names::default(),
            sessions: HandleTable::new(Kind::Session),
            codes: Codes::default(),
        }
    }
}

// A new kind of object belongs into both of these.
impl Objects {
    /// Notes from now on where objects are made.
    pub(crate) fn track(&mut self) {
        self.groups.track();
        self.infos.track();
        self.errhandlers.track();
        self.sessions.track();
    }

    /// What is still there: what it is, and where it was made.
    pub(crate) fn left_over(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let groups = self.groups.made().map(|(_, site, _)| ("group", site));
        let infos = self.infos.made().map(|(_, site, _)| ("info object", site));
        let handlers = self.errhandlers.made().map(|(_, site, _)| ("error handler", site));
        let sessions = self.sessions.made().map(|(_, site, _)| ("session", site));
        let keys = self.keyvals.left_over().map(|site| ("attribute key", site));
        groups.chain(infos).chain(handlers).chain(sessions).chain(keys)
    }
}

/// The error for a handle that names no live object: `what` was expected.
#[cold]
pub fn not_alive(class: c_int, what: &str, why: Stale, raw: usize) -> Error {
    let text = match why {
        Stale::Freed => format!("the {what} with handle {raw:#x} was freed"),
        Stale::Unfinished => format!("the {what} with handle {raw:#x} is still being made"),
        Stale::OtherKind(kind) => format!("{raw:#x} is {}, where {} is needed", noun(kind), article(what)),
        Stale::Unknown => match predefined(raw) {
            Some(kind) => format!("{raw:#x} is {}, where {} is needed", noun(kind), article(what)),
            None => format!("{raw:#x} is not the handle of {}", article(what)),
        },
    };
    Error::new(class, text)
}

fn article(what: &str) -> String {
    let an = what.starts_with(['a', 'e', 'i', 'o']);
    format!("{} {what}", if an { "an" } else { "a" })
}

/// The kind of object for which the ABI has set the value `raw` aside (MPI-5.0 section 20.3.3).
fn predefined(raw: usize) -> Option<Kind> {
    Some(match raw {
        0x20..=0x3f => Kind::Op,
        0x100..=0x107 => Kind::Comm,
        0x108..=0x10f => Kind::Group,
        0x110..=0x117 => Kind::Win,
        0x118..=0x11f => Kind::File,
        0x120..=0x127 => Kind::Session,
        0x128..=0x12f => Kind::Message,
        0x130..=0x137 => Kind::Info,
        0x140..=0x147 => Kind::Errhandler,
        0x180..=0x187 => Kind::Request,
        0x200..=0x2ff => Kind::Datatype,
        _ => return None,
    })
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Comm => "a communicator",
        Kind::Datatype => "a datatype",
        Kind::Request => "a request",
        Kind::Group => "a group",
        Kind::Op => "a reduction operation",
        Kind::Errhandler => "an error handler",
        Kind::Info => "an info object",
        Kind::Message => "a matched message",
        Kind::Session => "a session",
        Kind::Win => "a window",
        Kind::File => "a file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_of_another_kind_is_named() {
        let mut objects = Objects::default();
        let group = objects.groups.insert(Arc::new(Group::empty()));
        let why = objects.infos.why_stale(group);
        let error = not_alive(34, "info object", why, group);
        assert_eq!(error.class, 34);
        assert!(error.text.ends_with("is a group, where an info object is needed"), "{}", error.text);
        let error = not_alive(9, "group", Stale::Unknown, 0x101);
        assert_eq!(error.text, "0x101 is a communicator, where a group is needed");
        assert_eq!(not_alive(9, "group", Stale::Unknown, 5).text, "0x5 is not the handle of a group");
    }
}
