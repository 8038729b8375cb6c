//! What a rank that sleeps says of itself on its status page, for the launcher's reports. The numbers are
//! written whenever it falls asleep; the words, which need the language layer, when a wait has lasted for a
//! whole nap, so that they cost nothing that anybody could notice.

use crate::request::{Request, Role};
use crate::status::{Call, Waiting};
use crate::{Engine, lock, site};
use mpi_abi::consts::MPI_THREAD_MULTIPLE;
use shm::os::signals::alarm_is_set;
use shm::sleep::Wait;
use shm::waiting::{About, Story, UNKNOWN_THREADS, What};

/// A wait, from its first sleep on.
#[derive(Default)]
pub(crate) struct Sleeper {
    pub(crate) wait: Wait,
    /// Where the program called, once asked; empty if nobody knows.
    place: Option<String>,
}

impl Sleeper {
    /// A nap has passed in vain: finds out what the launcher may want to know. Without the engine's lock.
    #[cold]
    pub(crate) fn has_lasted(&mut self) {
        if self.place.is_none() {
            self.place = Some(site::place().unwrap_or_default());
        }
        let latest = lock().sleepers.latest();
        let several = lock().world.as_ref().is_some_and(|world| world.asked_level == MPI_THREAD_MULTIPLE);
        let threads = match several {
            // A signal handler may do anything, also call MPI.
            _ if alarm_is_set() => UNKNOWN_THREADS,
            true => site::threads(),
            false => 1,
        };
        let e = lock();
        // A thread that has come to wait since may have started another one before.
        if let Some(world) = e.world.as_ref().filter(|_| e.sleepers.latest() == latest) {
            world.segment.rank_page(e.me).say_threads(threads);
        }
    }

    /// What to say when falling asleep.
    pub(crate) fn says(&self, e: &Engine, what: Waiting) -> (What, Option<Story>) {
        let what = e.details(what);
        let story = self.place.as_ref().map(|place| e.story(what, place));
        (what, story)
    }
}

impl Engine {
    /// What a wait is about, with what is known of its request by now.
    fn details(&self, waiting: Waiting) -> What {
        let Waiting { call, peer, tag, context, next: _, raw } = waiting;
        let several = matches!(call, Call::Waitall | Call::Waitany | Call::Waitsome);
        let mut raw = if several { self.pending } else { raw };
        if let Some(Role::Pair { send, recv }) = self.requests.get(raw).map(|request| &request.role) {
            let sends = self.requests.get(*send).is_some_and(Request::is_active);
            raw = if sends { *send } else { *recv };
        }
        let plain = What {
            call: call as u32,
            about: About::Other,
            peer,
            tag,
            context,
            bytes: 0,
            progress: self.progress_count,
        };
        let Some(request) = self.requests.get(raw) else {
            let receives = matches!(call, Call::Recv | Call::Probe | Call::Mprobe | Call::Mrecv);
            return What { about: if receives { About::Receive } else { About::Other }, ..plain };
        };
        match &request.role {
            Role::Send(send) => What {
                about: if send.held { About::HeldSend } else { About::Send },
                peer: send.peer.cast_signed(),
                tag: send.tag,
                context: send.context,
                bytes: request.payload.len() as u64,
                ..plain
            },
            Role::Recv(recv) => {
                What { about: About::Receive, peer: recv.source, tag: recv.tag, context: recv.context, ..plain }
            }
            Role::Partitioned(message) => What {
                about: if message.is_send() { About::Send } else { About::Receive },
                peer: message.peer.map_or(-1, u32::cast_signed),
                tag: message.tag,
                context: message.context,
                bytes: if message.is_send() { message.total() as u64 } else { 0 },
                ..plain
            },
            _ => plain,
        }
    }

    fn story(&self, what: What, place: &str) -> Story {
        // The engine's own messages are on the second context of a communicator.
        let context = what.context & !1;
        let comm = self.comm_of_context(context);
        let peer = u32::try_from(what.peer).ok();
        Story {
            site: place.to_owned(),
            comm: comm.map(|comm| comm.kept.name.clone()).unwrap_or_default(),
            peer: comm.and_then(|comm| comm.core.peers().rank_of(peer?)),
        }
    }
}
