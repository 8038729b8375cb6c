//! One rank's wait in words, for the report on a job that stands still, and for `ps` and `stack`.

use shm::calls::{ANY_TAG, Call, name_of_operation};
use shm::ranges::ranges;
use shm::told::{Answer, Called, Told};
use shm::waiting::{About, What};
use std::collections::{BTreeSet, HashMap};

/// "rank 3", "ranks 0-2, 5".
pub(crate) fn named(ranks: &[u32]) -> String {
    format!("rank{} {}", if ranks.len() == 1 { "" } else { "s" }, ranges(ranks).replace(',', ", "))
}

/// "1 byte", "80 bytes".
pub(crate) fn bytes(n: u64) -> String {
    format!("{n} byte{}", if n == 1 { "" } else { "s" })
}

/// What a rank does, or several do, in words: "waits" and "wait".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Words {
    pub(crate) of_one: String,
    pub(crate) of_many: String,
}

impl Words {
    pub(crate) fn new(of_one: impl Into<String>, of_many: impl Into<String>) -> Self {
        Self { of_one: of_one.into(), of_many: of_many.into() }
    }

    /// A wait, and what for: the ranks that are `missing` in a call of all ranks, or a message.
    pub(crate) fn of_wait(told: &Told, size: u32, missing: &[u32]) -> Self {
        let (call, what_for) = (call(told, size), what_for(told, missing));
        Self::new(format!("{call} waits{what_for}"), format!("{call} wait{what_for}"))
    }

    /// With the ranks that do it: "ranks 0, 2 wait".
    pub(crate) fn said_of(&self, ranks: &[u32]) -> String {
        format!("{} {}", named(ranks), if ranks.len() == 1 { &self.of_one } else { &self.of_many })
    }
}

impl FromIterator<Words> for Words {
    /// One after the other.
    fn from_iter<I: IntoIterator<Item = Words>>(all: I) -> Self {
        let (one, many): (Vec<_>, Vec<_>) = all.into_iter().map(|words| (words.of_one, words.of_many)).unzip();
        Self::new(one.join("; "), many.join("; "))
    }
}

/// The call, its communicator and place: what the program has there. The job has `size` ranks.
pub(crate) fn call(told: &Told, size: u32) -> String {
    let Told { what, story, .. } = told;
    let call = Call::name_of(what.call);
    // Ranks are those of the communicator, as the program has them.
    let peer = match (what.peer, story.peer) {
        (_, Some(rank)) => rank.to_string(),
        (-1, _) => "ANY_SOURCE".to_owned(),
        (world, _) => format!("{world} of the job"),
    };
    let tag = if what.tag == ANY_TAG { "ANY_TAG".to_owned() } else { what.tag.to_string() };
    let bytes = bytes(what.bytes);
    let elsewhere = Call::names_requests(what.call) || what.call == Call::Finalize as u32;
    let operation = match what.about {
        About::Other if what.operation != 0 => format!("{call} for {}", name_of_operation(what.operation)),
        About::Other => call.to_owned(),
        About::Send | About::HeldSend if elsewhere => {
            format!("{call} for a send to rank {peer}, tag {tag}, of {bytes}")
        }
        About::Receive if elsewhere && peer == "ANY_SOURCE" => format!("{call} for a receive from {peer}, tag {tag}"),
        About::Receive if elsewhere => format!("{call} for a receive from rank {peer}, tag {tag}"),
        About::Send | About::HeldSend => format!("{call}(dest={peer}, tag={tag}) of {bytes}"),
        About::Receive => format!("{call}(source={peer}, tag={tag})"),
    };
    let at = if story.site.is_empty() { String::new() } else { format!(" at {}", story.site) };
    format!("{operation}{}{at}", communicator(told, size))
}

fn communicator(told: &Told, size: u32) -> String {
    let members = told.members.as_slice();
    let all = members.len() == size as usize;
    match told.story.comm.as_str() {
        "" if all => " on a communicator of all ranks".to_owned(),
        "" if !members.is_empty() => format!(" on a communicator of {}", named(members)),
        "" if told.what.about == About::Other => String::new(),
        "" => " on a communicator without name".to_owned(),
        name if all || members.is_empty() || name == "MPI_COMM_SELF" => format!(" on {name}"),
        name => format!(" on {name} ({})", named(members)),
    }
}

/// What it waits for: a message, or the ranks that are `missing` in a call of all ranks.
fn what_for(told: &Told, missing: &[u32]) -> String {
    match told.what.about {
        About::Send | About::HeldSend => " for its receive".to_owned(),
        About::Receive => " for a message".to_owned(),
        About::Other if !missing.is_empty() => format!(" for {}", named(missing)),
        About::Other => match u32::try_from(told.what.peer) {
            Ok(peer) if !is_collective(told) => format!(" for rank {peer}"),
            _ => String::new(),
        },
    }
}

/// What tells communicators apart: the context, and the smallest rank.
type Communicator = (u32, u32);

/// Who is in a call of all ranks, or has made it.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Those that wait in one, for each communicator.
    here: HashMap<Communicator, BTreeSet<u32>>,
    /// Those that have answered, with what they have called.
    called: HashMap<u32, Vec<Called>>,
}

impl Arrived {
    /// From what the ranks of the job tell.
    pub(crate) fn of<'a>(answers: impl Iterator<Item = (u32, &'a Answer)>) -> Self {
        let mut arrived = Self::default();
        for (rank, answer) in answers {
            for told in answer.waits.iter().filter(|told| is_collective(told)) {
                arrived.here.entry(communicator_of(told)).or_default().insert(rank);
            }
            // What only stands on a page is no answer.
            let answered = !answer.called.is_empty() || !answer.polls.is_empty();
            if answered || answer.waits.iter().any(|told| !told.members.is_empty()) {
                arrived.called.insert(rank, answer.called.clone());
            }
        }
        arrived
    }

    /// The ranks that are not there though they should be.
    pub(crate) fn missing(&self, told: &Told) -> Vec<u32> {
        let is_missing = |rank: &u32| match (&told.turn, self.here.get(&communicator_of(told))) {
            (Some(turn), _) => match self.called.get(rank) {
                Some(called) => {
                    let of_this = |called: &&Called| (called.context, called.first) == communicator_of(told);
                    let count = called.iter().find(of_this).map_or(0, |called| called.counts[turn.kind]);
                    count <= turn.number
                }
                None => turn.awaited.contains(rank),
            },
            (None, Some(here)) => is_collective(told) && !here.contains(rank),
            (None, None) => false,
        };
        let mut missing: Vec<u32> = told.members.iter().copied().filter(is_missing).collect();
        if let (Some(turn), true) = (&told.turn, missing.is_empty()) {
            missing.clone_from(&turn.awaited);
        }
        missing.sort_unstable();
        missing
    }
}

/// Whether it waits in a call that all ranks must make, or for one.
pub(crate) fn is_collective(told: &Told) -> bool {
    let What { about, call, operation, .. } = told.what;
    about == About::Other && (Call::is_collective(call) || operation != 0 || told.turn.is_some())
}

/// Of which communicator it is. The odd context is the engine's own.
pub(crate) fn communicator_of(told: &Told) -> Communicator {
    (told.what.context & !1, told.members.iter().copied().min().unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use shm::told::Turn;
    use shm::waiting::Story;

    /// A wait on MPI_COMM_WORLD of four ranks.
    pub(crate) fn told(call: Call, about: About, peer: i32, tag: i32, site: &str) -> Told {
        let what = What { call: call as u32, operation: 0, about, peer, tag, context: 0, bytes: 80_000, progress: 3 };
        let story = Story { site: site.into(), comm: "MPI_COMM_WORLD".into(), peer: u32::try_from(peer).ok() };
        Told { what, story, members: vec![0, 1, 2, 3], near: None, turn: None }
    }

    fn words(told: &Told) -> String {
        Words::of_wait(told, 4, &[]).of_one
    }

    #[test]
    fn every_kind_of_wait_has_its_words() {
        let table = [
            (
                told(Call::Recv, About::Receive, -1, ANY_TAG, ""),
                "Recv(source=ANY_SOURCE, tag=ANY_TAG) on MPI_COMM_WORLD waits for a message",
            ),
            (
                told(Call::Wait, About::Receive, -1, 3, "x.py:2"),
                "Wait for a receive from ANY_SOURCE, tag 3 on MPI_COMM_WORLD at x.py:2 waits for a message",
            ),
            (
                told(Call::Finalize, About::Send, 1, 3, ""),
                "Finalize for a send to rank 1, tag 3, of 80000 bytes on MPI_COMM_WORLD waits for its receive",
            ),
            (told(Call::Barrier, About::Other, -2, 0, "x.py:2"), "Barrier on MPI_COMM_WORLD at x.py:2 waits"),
            (
                told(Call::CommCreate, About::Other, 2, 0, "x.py:2"),
                "Comm_create on MPI_COMM_WORLD at x.py:2 waits for rank 2",
            ),
        ];
        for (told, expected) in table {
            assert_eq!(words(&told), expected);
        }
    }

    #[test]
    fn a_communicator_of_the_users_own_is_told_with_its_ranks() {
        let mut wait = told(Call::Barrier, About::Other, -2, 0, "");
        wait.story.comm = "rows".into();
        assert_eq!(words(&wait), "Barrier on rows waits");
        assert_eq!(call(&wait, 5), "Barrier on rows (ranks 0-3)");
        wait.story.comm.clear();
        assert_eq!(words(&wait), "Barrier on a communicator of all ranks waits");
        assert_eq!(call(&wait, 5), "Barrier on a communicator of ranks 0-3");
        wait.members.clear();
        assert_eq!(words(&wait), "Barrier waits");
    }

    #[test]
    fn who_is_in_no_collective_of_the_communicator_is_missing() {
        let barrier = told(Call::Barrier, About::Other, -2, 0, "");
        let mut elsewhere = barrier.clone();
        elsewhere.what.context = 4;
        let bcast = told(Call::Bcast, About::Other, 0, 0, "");
        let recv = told(Call::Recv, About::Receive, 0, 0, "");
        let answers =
            [&barrier, &elsewhere, &bcast, &recv].map(|told| Answer { waits: vec![told.clone()], ..Answer::default() });
        let arrived = Arrived::of((0..).zip(&answers));
        assert_eq!(arrived.missing(&barrier), [1, 3]);
        assert_eq!(arrived.missing(&elsewhere), [0, 2, 3]);
        assert_eq!(arrived.missing(&recv), [0; 0]);
        let words = Words::of_wait(&barrier, 4, &[1, 3]);
        assert_eq!(words.said_of(&[0]), "rank 0 Barrier on MPI_COMM_WORLD waits for ranks 1, 3");
        assert_eq!(words.said_of(&[0, 2]), "ranks 0, 2 Barrier on MPI_COMM_WORLD wait for ranks 1, 3");
    }

    #[test]
    fn who_has_not_called_a_nonblocking_collective_is_missing() {
        let mut wait = told(Call::Wait, About::Other, -2, 0, "x.py:3");
        wait.what.operation = shm::calls::operation(Call::Allreduce as u32, false);
        wait.turn = Some(Turn { kind: 1, number: 2, awaited: vec![1] });
        assert_eq!(call(&wait, 4), "Wait for Iallreduce on MPI_COMM_WORLD at x.py:3");
        let answer = |count: u32| Answer {
            waits: vec![told(Call::Recv, About::Receive, 0, 0, "")],
            called: vec![Called { context: 0, first: 0, counts: [9, count] }],
            ..Answer::default()
        };
        let ranks = [Answer { waits: vec![wait.clone()], ..answer(3) }, answer(3), answer(2)];
        // Of rank 3 nobody knows; rank 1 has called it, though its message is not here.
        let arrived = Arrived::of((0..).zip(&ranks));
        assert_eq!(arrived.missing(&wait), [2]);
        let all = [&ranks[0], &ranks[1], &answer(4), &answer(5)].map(Clone::clone);
        assert_eq!(Arrived::of((0..).zip(&all)).missing(&wait), [1], "then it is the message");
        // A rank that has called none.
        let mut none = Answer { called: Vec::new(), ..answer(0) };
        assert_eq!(Arrived::of([(3, &none)].into_iter()).missing(&wait), [1, 3]);
        none.waits.clear();
        assert_eq!(Arrived::of([(3, &none)].into_iter()).missing(&wait), [1]);
        wait.what.operation = shm::calls::operation(Call::Allreduce as u32, true);
        assert_eq!(call(&wait, 4), "Wait for Allreduce_init on MPI_COMM_WORLD at x.py:3");
        assert_eq!(what_for(&wait, &[2]), " for rank 2");
    }
}
