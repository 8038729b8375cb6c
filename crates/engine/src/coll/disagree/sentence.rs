//! The sentence about ranks that disagree: those who did the same are named together, the fewest first.
//!
//! `rank 2 called Bcast(root=0) (x.py:7) where ranks 0, 1, 3 called Reduce(root=0) (x.py:9): ...`

use crate::Error;
use crate::coll::turn::{ANY_BYTES, op_words, type_words, without_past, words};
use mpi_abi::consts::{MPI_ERR_OP, MPI_ERR_OTHER, MPI_ERR_TRUNCATE, MPI_ERR_TYPE};
use shm::journal::Entry;
use std::cmp::Reverse;

/// Places that are named of ranks that did the same.
const SITES: usize = 3;

/// What is known of a rank.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Its rank in the communicator.
    pub rank: u32,
    /// It is in the other group of an intercommunicator.
    pub far: bool,
    /// What it called as the collective in question.
    pub called: Option<Done>,
    /// It has called later ones.
    pub passed: bool,
    /// It has called MPI_Finalize instead.
    pub ended: bool,
    /// Where it is now, if it has said so.
    pub now: Option<Place>,
    /// The first of its counts that is not the same on all ranks: whose block's it is, and how much.
    pub count: Option<(u32, u64)>,
}

/// What was called.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    pub what: u64,
    pub bytes: u64,
    /// The operation, if that was noted.
    pub op: Option<&'static str>,
    /// Count and type, if they were noted.
    pub kind: Option<String>,
}

impl From<Entry> for Done {
    fn from(Entry { what, bytes, detail }: Entry) -> Self {
        Self { what, bytes, op: op_words(detail), kind: type_words(detail) }
    }
}

impl Done {
    /// `Reduce(root=0, op=MPI_SUM)`.
    fn name(&self) -> String {
        let name = words(self.what);
        match (self.op, name.strip_suffix("()"), name.strip_suffix(')')) {
            (Some(op), Some(name), _) => format!("{name}(op={op})"),
            (Some(op), None, Some(name)) => format!("{name}, op={op})"),
            _ => name,
        }
    }

    /// `10 x MPI_INT`, `40 bytes`.
    fn amount(&self) -> Option<String> {
        let bytes = || Some(self.bytes).filter(|bytes| *bytes != ANY_BYTES);
        let words = |bytes| format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
        self.kind.clone().or_else(|| bytes().map(words))
    }
}

/// Where a rank is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The collective it is in.
    pub what: u64,
    /// That is a later one than the one in question.
    pub later: bool,
    /// Where in the program; may be empty.
    pub site: String,
}

/// Ranks of which the same is to be said.
struct Together<'a> {
    verb: String,
    ranks: Vec<&'a Said>,
}

/// The error for what the ranks have said. `comm` is the communicator's name.
pub(super) fn of(all: &[Said], comm: &str) -> Error {
    let calls = || all.iter().filter_map(|one| one.called.as_ref());
    let missing = all.iter().any(|one| one.called.is_none() && one.ended);
    let bytes = || calls().map(|call| call.bytes).filter(|bytes| *bytes != ANY_BYTES);
    let differ_in = if differ(calls().map(|call| without_past(call.what))) {
        Differ::Kind
    } else if differ(calls().map(|call| call.op)) {
        Differ::Operation
    } else if differ(all.iter().filter_map(|one| one.count)) {
        Differ::Counts
    } else if differ(bytes()) {
        Differ::Bytes
    } else if differ(calls().map(|call| &call.kind)) {
        Differ::Type
    } else {
        Differ::Nothing
    };
    const ORDER: &str = "all ranks of a communicator must call the same collectives in the same order";
    const NUMBERS: &str = "counts and types must agree on all ranks";
    let (class, rule) = match differ_in {
        Differ::Kind => (MPI_ERR_OTHER, ORDER.to_owned()),
        _ if missing => (MPI_ERR_OTHER, ORDER.to_owned()),
        Differ::Operation => (MPI_ERR_OP, "the operation must be the same on all ranks".to_owned()),
        Differ::Counts => (MPI_ERR_TRUNCATE, "all ranks must give the same counts".to_owned()),
        Differ::Bytes => (MPI_ERR_TRUNCATE, NUMBERS.to_owned()),
        Differ::Type => (MPI_ERR_TYPE, NUMBERS.to_owned()),
        Differ::Nothing => (MPI_ERR_OTHER, format!("{NUMBERS}, and all must call the same collectives")),
    };
    let verb = |one: &Said| match &one.called {
        Some(call) if matches!(differ_in, Differ::Bytes | Differ::Type) && !missing => match call.amount() {
            Some(amount) => format!("called {} of {amount}", words(call.what)),
            None => format!("called {}", words(call.what)),
        },
        Some(call) if differ_in == Differ::Counts && !missing => match one.count {
            Some((whose, count)) => format!("called {} with the count {count} for rank {whose}", words(call.what)),
            None => format!("called {}", words(call.what)),
        },
        Some(call) if differ_in == Differ::Operation && !missing => format!("called {}", call.name()),
        Some(call) if differ_in != Differ::Nothing || missing => format!("called {}", words(call.what)),
        Some(call) => match &one.now {
            Some(now) if now.later => format!("went on from {} to {}", words(call.what), words(now.what)),
            _ if one.passed => format!("is done with {}", words(call.what)),
            _ => format!("called {}", words(call.what)),
        },
        None if one.passed => "called something else long ago".to_owned(),
        None if one.ended => "called Finalize".to_owned(),
        None => String::new(),
    };
    let mut groups: Vec<Together<'_>> = Vec::new();
    for one in all {
        let verb = verb(one);
        match groups.iter_mut().find(|group| group.verb == verb) {
            Some(group) => group.ranks.push(one),
            None => groups.push(Together { verb, ranks: vec![one] }),
        }
    }
    let (mut groups, absent): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| !group.verb.is_empty());
    groups.sort_by_key(|group| (group.ranks.len(), Reverse(group.ranks.first().map(|one| (one.far, one.rank)))));
    let mut parts: Vec<String> =
        groups.iter().map(|group| format!("{} {}{}", who(group), group.verb, sites(group))).collect();
    let last = parts.pop().unwrap_or_default();
    let mut text = if parts.is_empty() { last } else { format!("{} where {last}", parts.join(", ")) };
    if let Some(group) = absent.first() {
        let have = if group.ranks.len() == 1 { "has" } else { "have" };
        text.push_str(&format!("; {} {have} not come to it", who(group)));
    }
    if !comm.is_empty() {
        text.push_str(&format!(", on {comm}"));
    }
    Error::new(class, format!("{text}: {rule}"))
}

/// What the ranks disagree about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Differ {
    Kind,
    Operation,
    Counts,
    Bytes,
    Type,
    Nothing,
}

fn differ<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    let first = values.next();
    first.is_some_and(|first| values.any(|other| other != first))
}

/// `rank 2`, `ranks 0, 1, 3`, `ranks 0 to 30, 32`.
fn who(group: &Together<'_>) -> String {
    let side = |far: bool| group.ranks.iter().filter(move |one| one.far == far).map(|one| one.rank).collect::<Vec<_>>();
    let words = |ranks: &[u32], whose: &str| {
        let s = if ranks.len() == 1 { "" } else { "s" };
        (!ranks.is_empty()).then(|| format!("rank{s} {}{whose}", list(ranks)))
    };
    let (near, far) = (side(false), side(true));
    let sides = [words(&near, ""), words(&far, " of the other group")];
    sides.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

/// Ranks in increasing order; more than three in a row are a range.
fn list(ranks: &[u32]) -> String {
    let mut parts = Vec::new();
    let mut rest = ranks;
    while let Some(first) = rest.first() {
        let run = (*first..).zip(rest).take_while(|(expected, rank)| expected == *rank).count();
        if run > 3 {
            parts.push(format!("{first} to {}", rest[run - 1]));
            rest = &rest[run..];
        } else {
            parts.push(first.to_string());
            rest = &rest[1..];
        }
    }
    parts.join(", ")
}

/// Where they called it, as far as they have said so.
fn sites(group: &Together<'_>) -> String {
    let mut sites: Vec<&str> = Vec::new();
    let mut later = None;
    for one in &group.ranks {
        let Some(now) = one.now.as_ref().filter(|now| !now.site.is_empty()) else { continue };
        if now.later {
            later.get_or_insert((words(now.what), &now.site));
        } else if !sites.contains(&&*now.site) {
            sites.push(&now.site);
        }
    }
    if sites.is_empty() {
        return match later {
            Some((_, site)) if group.verb.starts_with("went on") => format!(" ({site})"),
            Some((name, site)) => format!(" (before {name}, {site})"),
            None => String::new(),
        };
    }
    let more = if sites.len() > SITES { ", ..." } else { "" };
    sites.truncate(SITES);
    format!(" ({}{more})", sites.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coll::turn::{Form, packed};
    use crate::status::Call;

    fn what(call: Call, root: Option<u32>) -> u64 {
        packed(call, Form::Blocking, root)
    }

    fn said(rank: u32, what: u64, bytes: u64, site: &str) -> Said {
        let now = (!site.is_empty()).then(|| Place { what, later: false, site: site.into() });
        let called = Some(Done { what, bytes, ..Done::default() });
        Said { rank, called, now, ..Said::default() }
    }

    #[test]
    fn the_odd_one_out_is_named_first() {
        let reduce = what(Call::Reduce, Some(0));
        let mut all: Vec<_> = [0, 1, 3].map(|rank| said(rank, reduce, 8, "x.py:9")).into();
        all.insert(2, said(2, what(Call::Bcast, Some(0)), 8, "x.py:7"));
        let error = of(&all, "MPI_COMM_WORLD");
        assert_eq!(error.class, MPI_ERR_OTHER);
        assert_eq!(
            error.text,
            "rank 2 called Bcast(root=0) (x.py:7) where ranks 0, 1, 3 called Reduce(root=0) (x.py:9), on \
             MPI_COMM_WORLD: all ranks of a communicator must call the same collectives in the same order"
        );
    }

    #[test]
    fn of_two_the_second_is_named_first_and_who_has_not_come_last() {
        let mut all =
            vec![said(0, what(Call::Barrier, None), ANY_BYTES, ""), said(1, what(Call::CommDup, None), ANY_BYTES, "")];
        all.push(Said { rank: 2, ..Said::default() });
        let text = of(&all, "").text;
        assert!(
            text.starts_with("rank 1 called Comm_dup() where rank 0 called Barrier(); rank 2 has not come to it: "),
            "{text}"
        );
    }

    #[test]
    fn numbers_are_named_that_do_not_agree() {
        let call = what(Call::Allreduce, None);
        let all = [said(0, call, 32, "a.py:1"), said(1, call, 1, "a.py:2"), said(2, call, 32, "a.py:1")];
        let error = of(&all, "");
        assert_eq!(error.class, MPI_ERR_TRUNCATE);
        assert_eq!(
            error.text,
            "rank 1 called Allreduce() of 1 byte (a.py:2) where ranks 0, 2 called Allreduce() of 32 bytes (a.py:1): \
             counts and types must agree on all ranks"
        );
    }

    #[test]
    fn the_count_that_differs_is_named() {
        let call = what(Call::ReduceScatter, None);
        let with = |rank, count| Said { count, ..said(rank, call, 24, if rank < 3 { "a.py:2" } else { "" }) };
        let error = of(&[with(0, Some((1, 3))), with(1, Some((1, 2))), with(2, Some((1, 3))), with(3, None)], "rows");
        assert_eq!(error.class, MPI_ERR_TRUNCATE);
        assert_eq!(
            error.text,
            "rank 3 called Reduce_scatter(), rank 1 called Reduce_scatter() with the count 2 for rank 1 (a.py:2) where \
             ranks 0, 2 called Reduce_scatter() with the count 3 for rank 1 (a.py:2), on rows: all ranks must give the \
             same counts"
        );
    }

    #[test]
    fn operations_and_types_are_named() {
        let done = |rank, root, op, kind: &str| {
            let what = what(Call::Reduce, root);
            let called = Some(Done { what, bytes: 40, op, kind: Some(kind.into()) });
            Said { rank, called, ..Said::default() }
        };
        let sum = Some("MPI_SUM");
        let error = of(&[done(0, Some(3), sum, "1 x MPI_INT"), done(1, Some(3), Some("MPI_MAX"), "1 x MPI_INT")], "");
        assert_eq!(error.class, MPI_ERR_OP);
        assert_eq!(
            error.text,
            "rank 1 called Reduce(root=3, op=MPI_MAX) where rank 0 called Reduce(root=3, op=MPI_SUM): the operation must \
             be the same on all ranks"
        );
        let error = of(&[done(0, None, sum, "10 x MPI_INT"), done(1, None, sum, "10 x MPI_FLOAT")], "");
        assert_eq!(error.class, MPI_ERR_TYPE);
        assert_eq!(
            error.text,
            "rank 1 called Reduce() of 10 x MPI_FLOAT where rank 0 called Reduce() of 10 x MPI_INT: counts and types \
             must agree on all ranks"
        );
        let only = Done { what: what(Call::Allreduce, None), op: sum, ..Done::default() };
        assert_eq!(only.name(), "Allreduce(op=MPI_SUM)");
    }

    #[test]
    fn who_has_left_and_who_went_on_are_named() {
        let barrier = what(Call::Barrier, None);
        let mut all: Vec<_> = (0..6).map(|rank| said(rank, barrier, ANY_BYTES, "b.py:3")).collect();
        all[4] = Said { rank: 4, ended: true, ..Said::default() };
        let text = of(&all, "").text;
        assert!(text.starts_with("rank 4 called Finalize where ranks 0 to 3, 5 called Barrier() (b.py:3): "), "{text}");
        let gather = what(Call::Allgatherv, None);
        let mut all: Vec<_> = (0..3).map(|rank| said(rank, gather, ANY_BYTES, "b.py:3")).collect();
        all[1].now = Some(Place { what: barrier, later: true, site: "b.py:4".into() });
        all[1].passed = true;
        let text = of(&all, "").text;
        let wanted = "rank 1 went on from Allgatherv() to Barrier() (b.py:4) where ranks 0, 2 called Allgatherv() (b.py:3): counts";
        assert!(text.starts_with(wanted), "{text}");
    }

    #[test]
    fn a_difference_that_was_found_later_says_where_the_ranks_are_now() {
        let barrier = what(Call::Barrier, None);
        let mut all = [said(0, what(Call::Bcast, Some(0)), 8, "c.py:4"), said(1, what(Call::Bcast, Some(1)), 8, "")];
        if let Some(now) = &mut all[0].now {
            (now.what, now.later) = (barrier, true);
        }
        let text = of(&all, "").text;
        assert!(
            text.starts_with(
                "rank 1 called Bcast(root=1) where rank 0 called Bcast(root=0) (before Barrier(), c.py:4): "
            ),
            "{text}"
        );
    }
}
