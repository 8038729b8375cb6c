//! What a rank that sleeps says of itself on its status page, for the launcher's reports. The numbers are
//! written whenever it falls asleep; the words, which need the language layer, when a wait has lasted for a
//! whole nap, so that they cost nothing that anybody could notice. What takes longer, it says when it is asked
//! (`shm::answer`).

use crate::request::{Request, Role};
use crate::status::{Call, Waiting};
use crate::{Engine, lock, site};
use shm::RankPage;
use shm::answer;
use shm::os::signals::alarm_is_set;
use shm::sleep::Wait;
use shm::told::{self, Called, Told};
use shm::waiting::{About, Story, UNKNOWN_THREADS, What};

/// A wait, from its first sleep on.
#[derive(Default)]
pub(crate) struct Sleeper {
    pub(crate) wait: Wait,
    begun: bool,
    /// Where the program called, once asked; empty if nobody knows.
    place: Option<String>,
    /// Looks in vain when it began: other threads make those that come.
    polls: u64,
    /// The last question to the rank, and the last one that needs nothing of this wait any more.
    asked: u32,
    answered: u32,
}

/// What concerns looks that do not wait, and answers.
#[derive(Default)]
pub(crate) struct Polls {
    /// How many were in vain.
    count: u64,
    /// The last question that one of them has answered.
    answered: u32,
    writer: answer::Writer,
}

impl Sleeper {
    /// Is about to sleep.
    pub(crate) fn begin(&mut self, e: &Engine) {
        if !self.begun {
            self.begun = true;
            self.polls = e.polls.count;
            // What was asked and answered before does not concern this wait.
            self.answered = e.polls.writer.asked();
        }
    }

    /// Has slept.
    pub(crate) fn hear(&mut self, page: &RankPage) {
        self.asked = page.asked();
    }

    /// Says what this wait is about to whoever has asked. Without the engine's lock.
    #[inline]
    pub(crate) fn answer_if_asked(&mut self, what: Waiting) {
        if self.asked != self.answered {
            self.answer(what);
        }
    }

    #[cold]
    fn answer(&mut self, what: Waiting) {
        self.answered = self.asked;
        let place = self.place.get_or_insert_with(|| site::place().unwrap_or_default());
        let mut e = lock();
        let told = e.tell(what, place);
        e.answer_question(self.asked, &told.to_text());
    }

    /// A nap has passed in vain: finds out what the launcher may want to know. Without the engine's lock.
    #[cold]
    pub(crate) fn has_lasted(&mut self) {
        if self.place.is_none() {
            self.place = Some(site::place().unwrap_or_default());
        }
        let e = lock();
        let latest = e.sleepers.latest();
        // Also by threads that the language does not know.
        let others_poll = e.polls.count != self.polls;
        drop(e);
        // Whatever level the user asked for, we gave the highest one. A signal handler may call MPI, too.
        let threads = if others_poll || alarm_is_set() { UNKNOWN_THREADS } else { site::threads() };
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

/// A look in vain was to answer a question. Without the engine's lock.
#[cold]
pub(crate) fn answer_from_poll() {
    let place = site::place().unwrap_or_default();
    let mut e = lock();
    let asked = e.polls.answered;
    e.answer_question(asked, &told::polls_text(&place));
}

impl Engine {
    /// A look was in vain; true: somebody has asked what the rank does, see [`answer_from_poll`].
    #[inline]
    pub(crate) fn polls_in_vain(&mut self) -> bool {
        self.polls.count = self.polls.count.wrapping_add(1);
        let Some(world) = &self.world else { return false };
        let asked = world.segment.rank_page(self.me).asked();
        std::mem::replace(&mut self.polls.answered, asked) != asked
    }

    fn answer_question(&mut self, asked: u32, text: &str) {
        let Some(segment) = self.world.as_ref().map(|world| world.segment) else { return };
        if self.polls.writer.asked() != asked {
            let mut first_words = told::called_text(&self.called());
            if let Some((count, first)) = self.unreceived() {
                first_words += &told::unreceived_text(count, &first);
            }
            self.polls.writer.add(segment, self.me, asked, &first_words);
        }
        self.polls.writer.add(segment, self.me, asked, text);
    }

    /// The collectives by messages that were called, for each communicator that has seen some.
    fn called(&self) -> Vec<Called> {
        let cores = self.comms.iter().map(|(_, comm)| &comm.core);
        let used = cores.filter(|core| core.schedules.counts() != [0; 2]);
        let called = used.map(|core| {
            let members = core.group.iter().chain(core.remote.iter().flat_map(|remote| remote.iter()));
            Called { context: core.context, first: members.min().unwrap_or(0), counts: core.schedules.counts() }
        });
        called.take(told::COMMUNICATORS).collect()
    }

    /// All that is known of a wait.
    fn tell(&self, waiting: Waiting, place: &str) -> Told {
        let what = self.details(waiting);
        let comm = self.comm_of_context(what.context & !1);
        let groups = comm.map(|comm| [Some(&comm.core.group), comm.core.remote.as_ref()]);
        let members = groups.into_iter().flatten().flatten().flat_map(|group| group.iter()).collect();
        let near = match what.about {
            About::Receive => self.nearest(what.context, what.peer, what.tag),
            _ => None,
        };
        let raw = self.request_of(waiting);
        let turn = match self.requests.get(raw).map(|request| &request.role) {
            Some(Role::Collective(Some(schedule))) => Some(schedule.turn(raw)),
            Some(Role::OnBoard(collective)) => Some(collective.turn(raw)),
            _ => None,
        };
        Told { what, story: self.story(what, place), members, near, turn }
    }

    /// What a wait is about, with what is known of its request by now.
    fn details(&self, waiting: Waiting) -> What {
        let what = self.request_details(waiting);
        if what.context & 1 == 0 {
            return what;
        }
        // A message of the engine's own, in a call of all ranks.
        What { about: About::Other, ..what }
    }

    /// The request that a wait is for; of several, one that is not complete.
    fn request_of(&self, waiting: Waiting) -> usize {
        let raw = match waiting.call {
            Call::Waitall | Call::Waitany | Call::Waitsome => self.pending,
            Call::Finalize => {
                let unfinished = self.requests.iter().find(|(_, request)| request.is_unfinished_send());
                unfinished.map_or(waiting.raw, |(raw, _)| raw)
            }
            _ => waiting.raw,
        };
        match self.requests.get(raw).map(|request| &request.role) {
            Some(Role::Pair { send, recv }) => {
                let sends = self.requests.get(*send).is_some_and(Request::is_active);
                if sends { *send } else { *recv }
            }
            _ => raw,
        }
    }

    fn request_details(&self, waiting: Waiting) -> What {
        let Waiting { call, peer, tag, context, next: _, raw: _ } = waiting;
        let raw = self.request_of(waiting);
        let plain = What {
            call: call as u32,
            operation: 0,
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
            Role::Collective(Some(schedule)) => {
                What { peer: -2, context: schedule.context(), operation: schedule.operation(), ..plain }
            }
            Role::OnBoard(collective) => {
                What { peer: -2, context: collective.context(), operation: collective.operation(), ..plain }
            }
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
