//! What is left when MPI ends: objects that were never freed, requests that nobody completed, messages that
//! nobody received, and findings that no call could tell. One line each, equal ones counted; mpiexec folds
//! those of all ranks, and without it the rank says them itself.

use super::{Site, function_and_place};
use crate::p2p::matching::{Body, Unexpected};
use crate::progress::wait_for;
use crate::request::{Role, State};
use crate::status::{Call, Waiting};
use crate::{Engine, with};
use shm::report::{self, Section};
use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// So long we wait for processes that have not called MPI yet: they may be slow to start, or never do.
const LATECOMERS: Duration = Duration::from_secs(5);

/// Lines of a rank's report, with how often each was found.
type Lines = BTreeMap<(Section, String), usize>;

/// The rank comes to the end of MPI: says what is left. `wait`: for all others to come there too, so that no
/// message is missed that they have sent before.
pub(crate) fn at_end(wait: bool) {
    if !super::is_on() {
        return;
    }
    if wait {
        let Some(segment) = with(|e| e.world.as_ref().map(|world| world.segment)) else { return };
        report::comes_to_end(segment, with(|e| e.me));
        let begun = Instant::now();
        // What ends this wait early is reported elsewhere.
        let _ = wait_for(Waiting { peer: -2, ..Waiting::anybody(Call::Finalize) }, |_| {
            report::all_came_to_end(segment, begun.elapsed() < LATECOMERS).then_some(())
        });
        with(|e| while e.progress() {});
    }
    with(|e| {
        let lines = e.left_over();
        let Some(world) = &e.world else { return };
        let lines: Vec<report::Line> =
            lines.into_iter().map(|((section, text), count)| report::Line { section, count, text }).collect();
        if world.launched_by_mpiexec() {
            report::publish(world.segment, e.me, &lines);
        } else {
            let text: String = lines.iter().map(|line| format!("oxmpi: rank {}: --check: {line}\n", e.me)).collect();
            // One write, so that the lines of several ranks stay apart. If nobody reads, nobody is told.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    });
}

impl Engine {
    fn left_over(&self) -> Lines {
        let mut lines = Lines::new();
        let made = |lines: &mut Lines, noun: &str, site: Site, more: &str| {
            let (function, place) = function_and_place(site);
            let at = if place.is_empty() { String::new() } else { format!(" at {place}") };
            let line = format!("{noun} from {function}{at}{more}");
            *lines.entry((Section::NeverFreed, line)).or_default() += 1;
        };
        let halves = self.requests.iter().filter_map(|(_, request)| match request.role {
            Role::Pair { send, recv } => Some([send, recv]),
            _ => None,
        });
        let halves: HashSet<usize> = halves.flatten().collect();
        for (raw, site, request) in self.requests.made() {
            // What stands for all operations that were over at once, what the user gave up, the halves of one request.
            let ours = self.is_common(raw) || request.detached || halves.contains(&raw);
            match (request.recipe.is_some(), request.state) {
                _ if ours => {}
                (true, State::Inactive) => made(&mut lines, "persistent request", site, ""),
                (true, _) => made(&mut lines, "persistent request", site, ", started and never completed"),
                (false, _) => made(&mut lines, "request", site, ", never completed by Wait or Test"),
            }
        }
        for (raw, site, _) in self.comms.made() {
            let predefined = raw == self.world_comm || raw == self.self_comm;
            if !predefined {
                made(&mut lines, "communicator", site, "");
            }
        }
        for site in self.types.left_over() {
            made(&mut lines, "datatype", site, "");
        }
        for site in self.ops.left_over() {
            made(&mut lines, "operation", site, "");
        }
        for (noun, site) in self.objects.left_over() {
            made(&mut lines, noun, site, "");
        }
        for (_, site, _) in self.messages.made() {
            made(&mut lines, "message", site, ", matched and never received");
        }
        for (context, message) in self.contexts.leftovers() {
            if let Some(line) = self.never_received(context, message) {
                *lines.entry((Section::NeverReceived, line)).or_default() += 1;
            }
        }
        for lost in self.check.iter().flat_map(|check| &check.lost) {
            *lines.entry((Section::NeverReceived, lost.clone())).or_default() += 1;
        }
        for finding in self.check.iter().flat_map(|check| &check.findings) {
            *lines.entry((Section::Wrong, finding.clone())).or_default() += 1;
        }
        lines
    }

    /// A message that nobody received, if it is one of the user's.
    fn never_received(&self, context: u32, message: &Unexpected) -> Option<String> {
        let comm = self.comm_of_context(context);
        // The odd contexts are the engine's own.
        if context & 1 == 1 {
            return None;
        }
        let from = comm.and_then(|comm| comm.core.peers().rank_of(message.from)).unwrap_or(message.from);
        let on = comm.map_or("", |comm| comm.kept.name.as_str());
        let on = if on.is_empty() { String::new() } else { format!(" on {on}") };
        let tag = message.tag;
        Some(match &message.body {
            Body::Noted(noted) => {
                format!("{} from rank {from}, tag {tag}{on}, sent at {}", noted.0.text, noted.0.place)
            }
            _ => format!("{} bytes from rank {from}, tag {tag}{on}", message.len()),
        })
    }

    /// A communicator is about to go with messages that nobody received.
    #[cold]
    pub(crate) fn note_lost_messages(&mut self, context: u32) {
        // They may be here and not looked at.
        while self.progress() {}
        let left = self.contexts.leftovers_of(context);
        let lost: Vec<String> = left.filter_map(|message| self.never_received(context, message)).collect();
        if let Some(check) = self.check.as_mut() {
            check.lost.extend(lost);
        }
    }
}
