//! The report on a job in which no rank can go on: who waits in which call, for whom, and where in the
//! program; who does something else than the others; which messages nearly matched; and what to do. Found by
//! `shm::stall`; here it is put into words.

use crate::ask;
use crate::story::{self, Arrived, Words, bytes, named};
use shm::page::Seat;
use shm::stall::{Stall, Stuck};
use shm::told::{Answer, Differs, Message, Told};
use shm::waiting::About;
use shm::{Segment, liveness};
use std::collections::BTreeSet;

/// Lines of the report at most: equal ones are one, and of a large job the first say enough.
const LINES: usize = 32;
/// Messages that nearly matched, or that nobody has received, at most.
const MESSAGES: usize = 8;

/// A rank that can not go on.
#[derive(Debug, Clone)]
pub(crate) struct Rank {
    pub(crate) rank: u32,
    /// What it tells: the waits of its threads, at least.
    pub(crate) answer: Answer,
    /// Threads that may still do something; `None` = nobody knows.
    pub(crate) others: Option<u32>,
}

/// How the report begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The user asked for synchronous sends.
    SyncSends,
    /// Nobody asked; `goes_on`: the job is left as it is.
    Deadlock { goes_on: bool },
}

/// All that is to be said of a job that stands still.
#[derive(Debug)]
pub(crate) struct Report {
    /// Ranks of the job.
    size: u32,
    ranks: Vec<Rank>,
    /// Those that have come to their end, and those whose processes go on without MPI.
    ended: Vec<u32>,
    finalized: Vec<u32>,
    certain: bool,
}

impl Report {
    /// Asks the ranks for what their pages do not say.
    pub(crate) fn on(stall: &Stall, segment: &Segment) -> Self {
        let numbers: Vec<u32> = stall.ranks.iter().map(|stuck| stuck.rank).collect();
        let answers = ask::all(segment, &numbers, ask::LIMIT);
        let ranks = stall.ranks.iter().zip(answers).map(|(stuck, answer)| {
            let Stuck { rank, what, story, others, .. } = stuck.clone();
            let mut answer = answer.unwrap_or_default();
            if answer.waits.is_empty() {
                answer.waits.push(Told { what, story, members: Vec::new(), near: None, turn: None });
            }
            Rank { rank, answer, others }
        });
        let ranks = ranks.collect();
        let over = (0..segment.ranks()).filter(|rank| !numbers.contains(rank));
        let (finalized, ended) = over.partition(|&rank| {
            let page = segment.rank_page(rank);
            page.seat() == Seat::Finalized && liveness::owner_lives(segment, rank)
        });
        Self { size: segment.ranks(), ranks, ended, finalized, certain: stall.certain() }
    }

    /// The text, but for what becomes of the ranks.
    pub(crate) fn text(&self, occasion: Occasion) -> String {
        let mut text = match (occasion, self.certain) {
            (Occasion::SyncSends, true) => "--sync-sends: no rank can go on",
            (Occasion::SyncSends, false) => "--sync-sends: it seems that no rank can go on",
            (Occasion::Deadlock { .. }, true) => "deadlock: no rank can go on",
            (Occasion::Deadlock { .. }, false) => "deadlock suspected: it seems that no rank can go on",
        }
        .to_owned();
        text.push_str(", each waits for another one:");
        let mut add = |line: &str| {
            text.push_str("\n  ");
            text.push_str(line);
        };
        let lines = self.lines();
        for (words, ranks) in lines.iter().take(LINES) {
            add(&words.said_of(ranks));
        }
        if let Some(more @ 1..) = lines.len().checked_sub(LINES) {
            let s = if more == 1 { "" } else { "s" };
            add(&format!("... and {more} more wait{s} like these"));
        }
        if let Some(odd) = self.odd(&lines) {
            let ones = if odd.len() == 1 { "one" } else { "ones" };
            add(&format!("the odd {ones} out: {}", named(odd)));
        }
        for line in self.messages().iter().take(MESSAGES) {
            add(line);
        }
        add(self.advice(occasion));
        if !self.certain {
            add(&format!("this is a suspicion, the job goes on: {}", self.others()));
        } else if occasion == (Occasion::Deadlock { goes_on: true }) {
            add("the job goes on (--deadlock=report)");
        }
        text
    }

    fn waits(&self) -> impl Iterator<Item = (u32, &Told)> {
        self.ranks.iter().flat_map(|rank| rank.answer.waits.iter().map(|told| (rank.rank, told)))
    }

    fn arrived(&self) -> Arrived {
        Arrived::of(self.ranks.iter().map(|rank| (rank.rank, &rank.answer)))
    }

    /// What the ranks do, without their numbers, and which do it.
    fn lines(&self) -> Vec<(Words, Vec<u32>)> {
        let (mut lines, arrived) = (Vec::<(Words, Vec<u32>)>::new(), self.arrived());
        for (rank, told) in self.waits() {
            let missing = arrived.missing(told);
            let line = Words::of_wait(told, self.size, &missing);
            match lines.iter_mut().find(|(known, _)| *known == line) {
                Some((_, ranks)) if ranks.last() == Some(&rank) => {}
                Some((_, ranks)) => ranks.push(rank),
                None => lines.push((line, vec![rank])),
            }
        }
        for (over, what) in [(&self.ended, "ended"), (&self.finalized, "finalized MPI")] {
            if !over.is_empty() {
                lines.push((Words::new(format!("has {what}"), format!("have {what}")), over.clone()));
            }
        }
        lines
    }

    /// Who does something else than nearly all others.
    fn odd<'a>(&self, lines: &'a [(Words, Vec<u32>)]) -> Option<&'a [u32]> {
        let [(_, one), (_, two)] = lines else { return None };
        let (few, many) = if one.len() < two.len() { (one, two) } else { (two, one) };
        // Of three ranks one, of eight two.
        (few.len() * 2 < many.len() + usize::from(few.len() == 1) && self.size > 2).then_some(few)
    }

    /// Messages that are there and that nobody takes.
    fn messages(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for rank in &self.ranks {
            let near =
                rank.answer.waits.iter().filter_map(|told| Some(self.near(rank.rank, told, told.near.as_ref()?)));
            let before = lines.len();
            lines.extend(near);
            if let (Some((count, first)), true) = (&rank.answer.unreceived, lines.len() == before)
                && !self.sends(first.from, rank.rank)
            {
                let (number, more) = match count {
                    1 => ("a message".to_owned(), ""),
                    count => (format!("{count} messages"), ", the first"),
                };
                lines.push(format!(
                    "not received by rank {}: {number}{more} from rank {}, tag {}, of {}{}",
                    rank.rank,
                    first.source,
                    first.tag,
                    bytes(first.bytes),
                    on(&first.comm)
                ));
            }
        }
        lines
    }

    /// Whether rank `from` waits in a send to rank `to`, as its own line says.
    fn sends(&self, from: u32, to: u32) -> bool {
        let send = |told: &Told| matches!(told.what.about, About::Send | About::HeldSend);
        self.waits().any(|(rank, told)| rank == from && send(told) && u32::try_from(told.what.peer) == Ok(to))
    }

    fn near(&self, rank: u32, told: &Told, (differs, message): &(Differs, Message)) -> String {
        let Message { source, tag, comm, .. } = message;
        let asked = match differs {
            Differs::Tag => format!("the receive asks for tag {}", told.what.tag),
            Differs::Comm => "the receive is on another communicator".to_owned(),
            Differs::Source => match told.story.peer {
                Some(peer) => format!("the receive asks for rank {peer}"),
                None => "the receive asks for another rank".to_owned(),
            },
            Differs::More => format!("the receive asks for tag {}, on another communicator", told.what.tag),
        };
        format!(
            "nearly what rank {rank} waits for: a message from rank {source}, tag {tag}, of {}{} is there; {asked}",
            bytes(message.bytes),
            on(comm)
        )
    }

    /// One sentence on the way out.
    fn advice(&self, occasion: Occasion) -> &'static str {
        let about = |wanted: &[About]| self.waits().all(|(_, told)| wanted.contains(&told.what.about));
        let any = |wanted: &dyn Fn(&Told) -> bool| self.waits().any(|(_, told)| wanted(told));
        let near = self.waits().filter_map(|(_, told)| told.near.as_ref()).map(|(differs, _)| *differs).min();
        let collective = any(&story::is_collective);
        let over = !self.ended.is_empty() || !self.finalized.is_empty();
        if any(&|told| told.what.about == About::HeldSend) {
            return "the program relies on buffering of standard sends: use Isend/Irecv, Sendrecv, or order sends and receives";
        }
        if occasion == Occasion::SyncSends {
            return "none of them waits in a standard send: the program stands still without --sync-sends as well";
        }
        match near {
            Some(Differs::Tag) => return "way out: give the send and its receive the same tag, or receive with ANY_TAG",
            Some(Differs::Comm | Differs::More) => {
                return "way out: send and receive on the same communicator, with the same tag";
            }
            Some(Differs::Source) => return "way out: receive from the rank that sends, or from ANY_SOURCE",
            None => {}
        }
        if about(&[About::Send]) {
            "way out: not all may send first; use Isend/Irecv, Sendrecv, or order sends and receives"
        } else if about(&[About::Receive]) && !over {
            "way out: not all may receive first; a message must be sent before somebody can wait for it"
        } else if collective && self.crossed() {
            "way out: all ranks must call the collectives of different communicators in the same order"
        } else if collective {
            "way out: all ranks of a communicator must call its collectives, in the same order"
        } else if over {
            "way out: no rank may end before it has sent and received what the others wait for"
        } else {
            "way out: each send needs its receive, with the same tag and communicator, before both ranks wait for something else"
        }
    }

    /// Whether ranks are in collectives of communicators where others of them are missing, and the other way round.
    fn crossed(&self) -> bool {
        let arrived = self.arrived();
        let mut known = BTreeSet::new();
        let collectives = self.waits().filter(|(_, told)| story::is_collective(told));
        // Of each communicator one wait says all.
        let first: Vec<(&Told, Vec<u32>)> = collectives
            .filter(|(_, told)| known.insert(story::communicator_of(told)))
            .map(|(_, told)| (told, arrived.missing(told)))
            .collect();
        let in_other = |missing: &[u32], told: &Told| {
            missing.iter().any(|rank| told.members.contains(rank) && !arrived.missing(told).contains(rank))
        };
        first.iter().any(|(one, misses)| {
            first.iter().any(|(two, misses_too)| {
                story::communicator_of(one) != story::communicator_of(two)
                    && in_other(misses, two)
                    && in_other(misses_too, one)
            })
        })
    }

    /// Why it is not certain.
    fn others(&self) -> String {
        let busy: Vec<&Rank> = self.ranks.iter().filter(|rank| rank.others != Some(0)).collect();
        match busy.as_slice() {
            [Rank { rank, others: Some(1), .. }] => {
                format!("rank {rank} has another thread, which may still send or receive")
            }
            [Rank { rank, others: Some(more), .. }] => {
                format!("rank {rank} has {more} other threads, which may still send or receive")
            }
            _ => {
                let busy: Vec<u32> = busy.iter().map(|rank| rank.rank).collect();
                format!(
                    "{} may have other threads, an alarm, or a handler of a signal, which may still send or receive",
                    named(&busy)
                )
            }
        }
    }
}

fn on(comm: &str) -> String {
    if comm.is_empty() { " on a communicator without name".to_owned() } else { format!(" on {comm}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::tests::told;
    use shm::calls::{ANY_TAG, Call};

    const DEADLOCK: Occasion = Occasion::Deadlock { goes_on: false };

    fn report(waits: Vec<(u32, Told)>, ended: &[u32]) -> Report {
        let rank =
            |(rank, told)| Rank { rank, answer: Answer { waits: vec![told], ..Answer::default() }, others: Some(0) };
        Report {
            size: 4,
            ranks: waits.into_iter().map(rank).collect(),
            ended: ended.to_vec(),
            finalized: Vec::new(),
            certain: true,
        }
    }

    fn message(source: u32, tag: i32) -> Message {
        Message { from: source, source, tag, bytes: 800, comm: "MPI_COMM_WORLD".into() }
    }

    #[test]
    fn two_sends_to_each_other() {
        let ranks = vec![
            (0, told(Call::Send, About::HeldSend, 1, 0, "x.py:12")),
            (1, told(Call::Wait, About::HeldSend, 0, 5, "x.py:14")),
        ];
        assert_eq!(
            report(ranks, &[]).text(Occasion::SyncSends),
            "--sync-sends: no rank can go on, each waits for another one:\n  \
             rank 0 Send(dest=1, tag=0) of 80000 bytes on MPI_COMM_WORLD at x.py:12 waits for its receive\n  \
             rank 1 Wait for a send to rank 0, tag 5, of 80000 bytes on MPI_COMM_WORLD at x.py:14 waits for its receive\n  \
             the program relies on buffering of standard sends: use Isend/Irecv, Sendrecv, or order sends and receives"
        );
        let ranks = vec![
            (0, told(Call::Send, About::Send, 1, 0, "x.py:12")),
            (1, told(Call::Send, About::Send, 0, 0, "x.py:12")),
        ];
        assert_eq!(
            report(ranks, &[]).text(DEADLOCK),
            "deadlock: no rank can go on, each waits for another one:\n  \
             rank 0 Send(dest=1, tag=0) of 80000 bytes on MPI_COMM_WORLD at x.py:12 waits for its receive\n  \
             rank 1 Send(dest=0, tag=0) of 80000 bytes on MPI_COMM_WORLD at x.py:12 waits for its receive\n  \
             way out: not all may send first; use Isend/Irecv, Sendrecv, or order sends and receives"
        );
    }

    #[test]
    fn equal_waits_are_one_line_and_those_that_ended_are_named() {
        let mut ranks: Vec<_> =
            (0..3).map(|rank| (rank, told(Call::Barrier, About::Other, -2, -1, "a.py:9"))).collect();
        ranks[2].1 = told(Call::Recv, About::Receive, -1, ANY_TAG, "");
        assert_eq!(
            report(ranks, &[3]).text(Occasion::SyncSends),
            "--sync-sends: no rank can go on, each waits for another one:\n  \
             ranks 0, 1 Barrier on MPI_COMM_WORLD at a.py:9 wait for ranks 2, 3\n  \
             rank 2 Recv(source=ANY_SOURCE, tag=ANY_TAG) on MPI_COMM_WORLD waits for a message\n  \
             rank 3 has ended\n  \
             none of them waits in a standard send: the program stands still without --sync-sends as well"
        );
    }

    #[test]
    fn the_odd_one_out_and_the_message_that_nearly_matched_are_named() {
        let mut ranks: Vec<_> =
            (1..4).map(|rank| (rank, told(Call::Barrier, About::Other, -2, -1, "a.py:9"))).collect();
        let mut recv = told(Call::Recv, About::Receive, 1, 7, "a.py:5");
        recv.near = Some((Differs::Tag, message(1, 8)));
        ranks.insert(0, (0, recv));
        assert_eq!(
            report(ranks, &[]).text(DEADLOCK),
            "deadlock: no rank can go on, each waits for another one:\n  \
             rank 0 Recv(source=1, tag=7) on MPI_COMM_WORLD at a.py:5 waits for a message\n  \
             ranks 1-3 Barrier on MPI_COMM_WORLD at a.py:9 wait for rank 0\n  \
             the odd one out: rank 0\n  \
             nearly what rank 0 waits for: a message from rank 1, tag 8, of 800 bytes on MPI_COMM_WORLD is there; the \
             receive asks for tag 7\n  \
             way out: give the send and its receive the same tag, or receive with ANY_TAG"
        );
    }

    #[test]
    fn messages_that_nobody_received_and_a_rank_that_ended() {
        let ranks: Vec<_> = (0..3).map(|rank| (rank, told(Call::Barrier, About::Other, -2, -1, "a.py:9"))).collect();
        let mut report = report(ranks, &[3]);
        report.ranks[1].answer.unreceived = Some((2, message(3, 8)));
        let text = report.text(Occasion::Deadlock { goes_on: true });
        for line in [
            "  ranks 0-2 Barrier on MPI_COMM_WORLD at a.py:9 wait for rank 3\n  rank 3 has ended\n  the odd one out: rank 3\n",
            "  not received by rank 1: 2 messages, the first from rank 3, tag 8, of 800 bytes on MPI_COMM_WORLD\n",
            "  way out: all ranks of a communicator must call its collectives, in the same order\n",
            "  the job goes on (--deadlock=report)",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn one_of_a_thing_is_no_plural() {
        let mut ranks: Vec<_> =
            (0..33).map(|rank| (rank, told(Call::Recv, About::Receive, 1, rank as i32, ""))).collect();
        ranks[0].1.near = Some((Differs::Tag, Message { bytes: 1, ..message(1, 8) }));
        ranks[1].1.what.about = About::Send;
        ranks[1].1.what.bytes = 1;
        let mut one_more = report(ranks, &[40, 42]);
        one_more.finalized = vec![41];
        let text = one_more.text(DEADLOCK);
        for line in
            ["of 1 byte on MPI_COMM_WORLD waits for its receive\n", "tag 8, of 1 byte on", "... and 3 more waits like"]
        {
            assert!(text.contains(line), "{line}\n{text}");
        }
        (one_more.ended, one_more.finalized) = (Vec::new(), Vec::new());
        assert!(one_more.text(DEADLOCK).contains("\n  ... and 1 more wait like these\n"));
        one_more.ranks.truncate(1);
        (one_more.ended, one_more.finalized) = (vec![1, 3], vec![2]);
        let text = one_more.text(DEADLOCK);
        assert!(text.contains("\n  ranks 1, 3 have ended\n  rank 2 has finalized MPI\n"), "{text}");
        let same = (0..5).map(|rank| (rank, told(Call::Barrier, About::Other, -2, -1, ""))).collect();
        let text = report(same, &[6, 7]).text(DEADLOCK);
        assert!(text.contains("\n  the odd ones out: ranks 6, 7\n"), "{text}");
    }

    #[test]
    fn collectives_in_another_order_are_seen() {
        let (mut one, mut two) =
            (told(Call::Barrier, About::Other, -2, -1, ""), told(Call::Bcast, About::Other, 0, 0, ""));
        (one.members, two.members) = (vec![0, 1], vec![0, 1]);
        two.what.context = 4;
        let text = report(vec![(0, one), (1, two)], &[]).text(DEADLOCK);
        assert!(text.contains("collectives of different communicators in the same order"), "{text}");
    }

    #[test]
    fn other_threads_make_it_a_suspicion() {
        let send = || told(Call::Send, About::HeldSend, 1, 0, "");
        let mut report = report(vec![(0, send()), (1, send())], &[]);
        report.certain = false;
        report.ranks[1].others = Some(1);
        let text = report.text(Occasion::SyncSends);
        assert!(text.starts_with("--sync-sends: it seems that no rank can go on"), "{text}");
        assert!(
            text.ends_with("a suspicion, the job goes on: rank 1 has another thread, which may still send or receive"),
            "{text}"
        );
        report.ranks[0].others = None;
        let text = report.text(DEADLOCK);
        assert!(text.starts_with("deadlock suspected: it seems that no rank can go on"), "{text}");
        assert!(
            text.ends_with(
                "ranks 0, 1 may have other threads, an alarm, or a handler of a signal, which may still send or receive"
            ),
            "{text}"
        );
    }
}
