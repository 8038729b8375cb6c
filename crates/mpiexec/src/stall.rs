//! The report on a job in which no rank can go on: who waits in which call, for whom, and where in the
//! program. Found by `shm::stall`; here it is put into words.

use crate::ranges::ranges;
use shm::calls::Call;
use shm::stall::{Stall, Stuck};
use shm::waiting::About;

/// Lines of the report at most: equal ones are one, and of a large job the first say enough.
const LINES: usize = 32;

/// The report. `ended` are the ranks that have come to their end.
pub(crate) fn report(stall: &Stall, ended: &[u32]) -> String {
    let mut lines: Vec<(String, Vec<u32>)> = Vec::new();
    for stuck in &stall.ranks {
        let line = describe(stuck);
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, ranks)) => ranks.push(stuck.rank),
            None => lines.push((line, vec![stuck.rank])),
        }
    }
    if !ended.is_empty() {
        lines.push(((if ended.len() == 1 { "has ended" } else { "have ended" }).to_owned(), ended.to_vec()));
    }
    let certain = stall.certain();
    let head = if certain { "no rank can go on" } else { "it seems that no rank can go on" };
    let mut text = format!("--sync-sends: {head}, each waits for another one:");
    let more = lines.len().saturating_sub(LINES);
    for (line, ranks) in lines.iter().take(LINES) {
        text.push_str(&format!("\n  {} {line}", named(ranks)));
    }
    if more > 0 {
        text.push_str(&format!("\n  ... and {more} more waits like these"));
    }
    text.push_str("\n  ");
    text.push_str(if stall.ranks.iter().any(|stuck| stuck.what.about == About::HeldSend) {
        "the program relies on buffering of standard sends: use Isend/Irecv, Sendrecv, or order sends and receives"
    } else {
        "none of them waits in a standard send: the program stands still without --sync-sends as well"
    });
    if !certain {
        text.push_str("\n  this is a suspicion, the job goes on: ");
        text.push_str(&others(&stall.ranks));
    }
    text
}

fn named(ranks: &[u32]) -> String {
    format!("rank{} {}", if ranks.len() == 1 { "" } else { "s" }, ranges(ranks))
}

/// Why it is not certain.
fn others(ranks: &[Stuck]) -> String {
    let busy: Vec<u32> = ranks.iter().filter(|stuck| stuck.others != Some(0)).map(|stuck| stuck.rank).collect();
    let one = ranks.iter().find(|stuck| stuck.others != Some(0)).and_then(|stuck| stuck.others);
    match (busy.as_slice(), one) {
        ([rank], Some(1)) => format!("rank {rank} has another thread, which may still send or receive"),
        ([rank], Some(more)) => format!("rank {rank} has {more} other threads, which may still send or receive"),
        _ => format!("{} may have other threads, or an alarm, which may still send or receive", named(&busy)),
    }
}

/// One rank's wait, without its rank.
fn describe(stuck: &Stuck) -> String {
    let (what, story) = (&stuck.what, &stuck.story);
    let call = Call::name_of(what.call);
    // Ranks are those of the communicator, as the program has them.
    let peer = match (what.peer, story.peer) {
        (_, Some(rank)) => rank.to_string(),
        (-1, _) => "ANY_SOURCE".to_owned(),
        (world, _) => format!("{world} of the job"),
    };
    let tag = if what.tag == shm::calls::ANY_TAG { "ANY_TAG".to_owned() } else { what.tag.to_string() };
    let waits = matches!(what.call, n if Call::names_requests(n));
    let operation = match what.about {
        About::Other => call.to_owned(),
        About::Send | About::HeldSend if waits => {
            format!("{call} for a send to rank {peer}, tag {tag}, of {} bytes", what.bytes)
        }
        About::Receive if waits => format!("{call} for a receive from {}, tag {tag}", rank_or_any(&peer)),
        About::Send | About::HeldSend => format!("{call}(dest={peer}, tag={tag}) of {} bytes", what.bytes),
        About::Receive => format!("{call}(source={peer}, tag={tag})"),
    };
    let on = match story.comm.as_str() {
        "" if matches!(what.about, About::Other) => String::new(),
        "" => " on a communicator without name".to_owned(),
        name => format!(" on {name}"),
    };
    let at = if story.site.is_empty() { String::new() } else { format!(" at {}", story.site) };
    let outcome = match what.about {
        About::Send | About::HeldSend => " waits for its receive",
        About::Receive => " waits for a message",
        About::Other => " waits",
    };
    format!("{operation}{on}{at}{outcome}")
}

fn rank_or_any(peer: &str) -> String {
    if peer == "ANY_SOURCE" { peer.to_owned() } else { format!("rank {peer}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm::waiting::{Story, What};

    fn stuck(rank: u32, call: Call, about: About, peer: i32, tag: i32, site: &str) -> Stuck {
        let what = What { call: call as u32, about, peer, tag, context: 0, bytes: 80_000, progress: 3 };
        let story = Story { site: site.into(), comm: "MPI_COMM_WORLD".into(), peer: u32::try_from(peer).ok() };
        Stuck { rank, what, story, others: Some(0) }
    }

    #[test]
    fn two_sends_to_each_other() {
        let ranks = vec![
            stuck(0, Call::Send, About::HeldSend, 1, 0, "x.py:12"),
            stuck(1, Call::Wait, About::HeldSend, 0, 5, "x.py:14"),
        ];
        assert_eq!(
            report(&Stall { ranks }, &[]),
            "--sync-sends: no rank can go on, each waits for another one:\n  \
             rank 0 Send(dest=1, tag=0) of 80000 bytes on MPI_COMM_WORLD at x.py:12 waits for its receive\n  \
             rank 1 Wait for a send to rank 0, tag 5, of 80000 bytes on MPI_COMM_WORLD at x.py:14 waits for its receive\n  \
             the program relies on buffering of standard sends: use Isend/Irecv, Sendrecv, or order sends and receives"
        );
    }

    #[test]
    fn equal_waits_are_one_line_and_those_that_ended_are_named() {
        let mut ranks: Vec<Stuck> =
            (0..3).map(|rank| stuck(rank, Call::Barrier, About::Other, -2, -1, "a.py:9")).collect();
        ranks.push(stuck(4, Call::Recv, About::Receive, -1, shm::calls::ANY_TAG, ""));
        assert_eq!(
            report(&Stall { ranks }, &[3, 5]),
            "--sync-sends: no rank can go on, each waits for another one:\n  \
             ranks 0-2 Barrier on MPI_COMM_WORLD at a.py:9 waits\n  \
             rank 4 Recv(source=ANY_SOURCE, tag=ANY_TAG) on MPI_COMM_WORLD waits for a message\n  \
             ranks 3,5 have ended\n  \
             none of them waits in a standard send: the program stands still without --sync-sends as well"
        );
    }

    #[test]
    fn other_threads_make_it_a_suspicion() {
        let mut ranks =
            vec![stuck(0, Call::Send, About::HeldSend, 1, 0, ""), stuck(1, Call::Send, About::HeldSend, 0, 0, "")];
        ranks[1].others = Some(1);
        let text = report(&Stall { ranks: ranks.clone() }, &[]);
        assert!(text.starts_with("--sync-sends: it seems that no rank can go on"), "{text}");
        assert!(
            text.ends_with("a suspicion, the job goes on: rank 1 has another thread, which may still send or receive"),
            "{text}"
        );
        ranks[0].others = None;
        assert!(
            report(&Stall { ranks }, &[])
                .ends_with("ranks 0,1 may have other threads, or an alarm, which may still send or receive")
        );
    }
}
