//! Asks ranks what they wait for (`shm::answer`), and collects what they tell. A rank that computes does not answer.

use shm::Segment;
use shm::answer;
use shm::told::{Answer, Told};
use std::time::{Duration, Instant};

/// Ranks that sleep answer within a millisecond, if they get a core and Python's lock.
pub(crate) const LIMIT: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Another thread of a rank that has answered adds to it within this time.
const SILENCE: Duration = Duration::from_millis(10);

/// What each of the `ranks` tells within the `limit`; none from those that do not answer.
pub(crate) fn all(segment: &Segment, ranks: &[u32], limit: Duration) -> Vec<Option<Answer>> {
    for &rank in ranks {
        segment.rank_page(rank).ask();
    }
    let begun = Instant::now();
    let (mut texts, mut changed) = (read(segment, ranks), begun);
    loop {
        let complete = texts.iter().all(Option::is_some) && changed.elapsed() >= SILENCE;
        if complete || begun.elapsed() >= limit {
            return texts.into_iter().map(|text| Some(Answer::parse(&text?))).collect();
        }
        std::thread::sleep(LOOK_EVERY);
        let now = read(segment, ranks);
        if now != texts {
            (texts, changed) = (now, Instant::now());
        }
    }
}

fn read(segment: &Segment, ranks: &[u32]) -> Vec<Option<String>> {
    ranks.iter().map(|&rank| answer::read(segment, rank)).collect()
}

/// What the page of a rank says of its wait, if it does not answer.
pub(crate) fn from_page(segment: &Segment, rank: u32) -> Option<Told> {
    let page = segment.rank_page(rank);
    let (what, story) = (page.what()?, page.story().unwrap_or_default());
    Some(Told { what, story, members: Vec::new(), near: None, turn: None })
}
