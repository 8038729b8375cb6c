//! Sessions (MPI-5.0 section 11.3): a name for a use of MPI, and the sets of processes that are
//! known by name. All sessions of a process share the engine, which the first of them or
//! `MPI_Init` starts.

use crate::errhandler::Handler;
use crate::group::{self, Group};
use crate::info::Info;
use crate::objects::{self, Objects};
use crate::world::{self, Phase};
use crate::{Engine, Error, Result, info, with};
use mpi_abi::consts::{
    MPI_ERR_ARG, MPI_ERR_OTHER, MPI_ERR_SESSION, MPI_SESSION_NULL, MPI_THREAD_FUNNELED, MPI_THREAD_MULTIPLE,
    MPI_THREAD_SERIALIZED, MPI_THREAD_SINGLE,
};
use mpi_abi::{Group as GroupHandle, Session as Handle};
use shm::page::Seat;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, PoisonError};

/// The process sets of MPI-5.0 section 11.3.2.
pub const SETS: [&str; 2] = ["mpi://WORLD", "mpi://SELF"];

/// A session that is open.
pub struct Session {
    /// What happens on errors.
    pub errhandler: Handler,
    /// The thread level that it was given, as its info says it.
    pub thread_level: &'static str,
}

/// The session of a handle.
pub fn get(objects: &Objects, handle: Handle) -> Result<&Session> {
    objects.sessions.get(handle.raw()).ok_or_else(|| refuse(objects, handle))
}

/// The same, to change it.
pub fn get_mut(objects: &mut Objects, handle: Handle) -> Result<&mut Session> {
    get(objects, handle)?;
    objects.sessions.get_mut(handle.raw()).ok_or_else(|| Error::new(MPI_ERR_SESSION, "the session is gone"))
}

/// Which of the two models use MPI in this process. The engine starts with the first use and ends
/// when `MPI_Finalize` was called and no session is open; sessions alone leave it running, for
/// another session may come.
#[derive(Debug, Clone, Copy, Default)]
struct Uses {
    world_began: bool,
    world_ended: bool,
    sessions: usize,
}

/// Held while MPI starts or ends, so that two threads do not both start it.
static USES: Mutex<Uses> = Mutex::new(Uses { world_began: false, world_ended: false, sessions: 0 });

fn uses<R>(f: impl FnOnce(&mut Uses) -> R) -> R {
    // Plain numbers are whole even after a panic.
    f(&mut USES.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Starts the engine, unless it runs.
fn start(required: c_int) -> Result<()> {
    if world::phase() != Phase::Ready {
        world::init(required)?;
    }
    with(|e| {
        let size = e.world.as_ref().map(|world| world.size);
        e.objects.env = info::environment(None, size, level_name(MPI_THREAD_MULTIPLE));
    });
    seat(Seat::Initialized);
    Ok(())
}

/// Says to the others whether this process may end without harm.
fn seat(seat: Seat) {
    with(|e| {
        if let Some(world) = &e.world {
            world.segment.rank_page(e.me).set_seat(seat);
        }
    });
}

/// `MPI_Init_thread`; gives the thread level provided.
pub fn start_world(required: c_int) -> Result<c_int> {
    check_level(required)?;
    uses(|uses| {
        if uses.world_began {
            let what = if uses.world_ended { "was finalized: it cannot start again" } else { "is initialized already" };
            return Err(Error::new(MPI_ERR_OTHER, format!("MPI {what} in this process")));
        }
        start(required)?;
        uses.world_began = true;
        Ok(MPI_THREAD_MULTIPLE)
    })
}

/// `MPI_Finalize`. The attributes of `MPI_COMM_SELF` are gone by now.
pub fn end_world() -> Result<()> {
    uses(|uses| {
        if !uses.world_began || uses.world_ended {
            let what = if uses.world_began { "was finalized before" } else { "was not initialized" };
            return Err(Error::new(MPI_ERR_OTHER, format!("MPI {what} in this process")));
        }
        uses.world_ended = true;
        if uses.sessions > 0 {
            // The last session ends MPI. If it is never finalized, it is one of those that are left.
            crate::check::at_end(false);
            return Ok(());
        }
        world::finalize()
    })
}

/// Whether `MPI_Init` was called, and whether `MPI_Finalize` was.
pub fn world_state() -> (bool, bool) {
    uses(|uses| (uses.world_began, uses.world_ended))
}

/// A new session (`MPI_Session_init`).
pub fn open(handler: Handler, required: c_int) -> Result<Handle> {
    check_level(required)?;
    uses(|uses| {
        start(required)?;
        uses.sessions += 1;
        let session = Session { errhandler: handler, thread_level: level_name(MPI_THREAD_MULTIPLE) };
        Ok(with(|e| create(&mut e.objects, session)))
    })
}

/// Ends a session (`MPI_Session_finalize`).
pub fn close(handle: Handle) -> Result<()> {
    uses(|uses| {
        with(|e| free(&mut e.objects, handle))?;
        uses.sessions -= 1;
        match uses {
            Uses { sessions: 0, world_ended: true, .. } => world::finalize()?,
            Uses { sessions: 0, world_began: false, .. } => {
                // Another one may come: nobody waits for anybody.
                crate::check::at_end(false);
                with(|e| e.world.as_ref().inspect(|world| world.segment.rank_page(e.me).pause()).is_some());
            }
            _ => {}
        }
        Ok(())
    })
}

const LEVELS: [(c_int, &str); 4] = [
    (MPI_THREAD_SINGLE, "MPI_THREAD_SINGLE"),
    (MPI_THREAD_FUNNELED, "MPI_THREAD_FUNNELED"),
    (MPI_THREAD_SERIALIZED, "MPI_THREAD_SERIALIZED"),
    (MPI_THREAD_MULTIPLE, "MPI_THREAD_MULTIPLE"),
];

fn level_name(level: c_int) -> &'static str {
    LEVELS.iter().find(|(known, _)| *known == level).map_or("", |(_, name)| name)
}

/// The thread level with this name, as infos say it.
pub fn level_named(name: &str) -> Option<c_int> {
    LEVELS.iter().find(|(_, known)| *known == name).map(|(level, _)| *level)
}

fn check_level(level: c_int) -> Result<()> {
    if level_name(level).is_empty() {
        return Err(Error::new(
            MPI_ERR_ARG,
            format!("the thread level {level} is none of MPI_THREAD_SINGLE, FUNNELED, SERIALIZED, MULTIPLE"),
        ));
    }
    Ok(())
}

/// A handle for a new session.
fn create(objects: &mut Objects, session: Session) -> Handle {
    Handle::from_raw(objects.sessions.insert(session))
}

fn free(objects: &mut Objects, handle: Handle) -> Result<()> {
    objects.sessions.remove(handle.raw()).map(|_| ()).ok_or_else(|| refuse(objects, handle))
}

#[cold]
fn refuse(objects: &Objects, handle: Handle) -> Error {
    if handle == MPI_SESSION_NULL {
        return Error::new(MPI_ERR_SESSION, "MPI_SESSION_NULL where a session is needed");
    }
    objects::not_alive(MPI_ERR_SESSION, "session", objects.sessions.why_stale(handle.raw()), handle.raw())
}

/// What a session says of itself.
pub fn describe(objects: &Objects, handle: Handle) -> Result<Info> {
    let session = get(objects, handle)?;
    let mut info = Info::default();
    info.put("thread_level", session.thread_level);
    info.put(info::MEMORY_KINDS.0, info::MEMORY_KINDS.1);
    Ok(info)
}

/// The name of the `n`-th process set.
pub fn nth_set(n: i32) -> Result<&'static str> {
    let found = usize::try_from(n).ok().and_then(|n| SETS.get(n));
    found.copied().ok_or_else(|| Error::new(MPI_ERR_ARG, format!("process set {n} of {}", SETS.len())))
}

impl Engine {
    /// The group of a process set, as the session knows it.
    pub fn group_of_set(&mut self, session: Handle, name: &str) -> Result<GroupHandle> {
        get(&self.objects, session)?;
        let group = (*self.set(name)?).clone().in_session(session.raw());
        Ok(group::create(&mut self.objects, Arc::new(group)))
    }

    /// What is known of a process set.
    pub fn info_of_set(&self, name: &str) -> Result<Info> {
        let mut info = Info::default();
        info.put("mpi_size", &self.set(name)?.size().to_string());
        Ok(info)
    }

    fn set(&self, name: &str) -> Result<Arc<Group>> {
        // Names of sets are compared as URIs are: without regard to case before the path.
        let found = SETS.iter().position(|known| known.eq_ignore_ascii_case(name));
        let comm = match found {
            Some(0) => self.world_comm,
            Some(_) => self.self_comm,
            None => {
                return Err(Error::new(
                    MPI_ERR_ARG,
                    format!("there is no process set \"{name}\": the sets are {} and {}", SETS[0], SETS[1]),
                ));
            }
        };
        Ok(Arc::clone(&self.core(comm)?.group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_numbered_from_zero() {
        assert_eq!(nth_set(0), Ok("mpi://WORLD"));
        assert_eq!(nth_set(2).unwrap_err().text, "process set 2 of 2");
        assert!(nth_set(-1).is_err());
    }

    #[test]
    fn thread_levels_have_names() {
        assert_eq!(level_named("MPI_THREAD_SERIALIZED"), Some(MPI_THREAD_SERIALIZED));
        assert_eq!(level_named("MPI_THREAD_SOMEHOW"), None);
        assert!(check_level(7).unwrap_err().text.contains('7'));
    }

    #[test]
    fn a_closed_session_is_no_session() {
        let mut objects = Objects::default();
        let session =
            create(&mut objects, Session { errhandler: Handler::Return, thread_level: "MPI_THREAD_MULTIPLE" });
        assert_eq!(
            describe(&objects, session).expect("info").text("thread_level").as_deref(),
            Some("MPI_THREAD_MULTIPLE")
        );
        free(&mut objects, session).expect("free");
        assert_eq!(free(&mut objects, session).unwrap_err().class, MPI_ERR_SESSION);
        assert!(get(&objects, MPI_SESSION_NULL).err().is_some_and(|e| e.text.contains("MPI_SESSION_NULL")));
    }
}
