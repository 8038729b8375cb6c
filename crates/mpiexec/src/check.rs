//! The report of `--check`: what the ranks left behind, folded over lines and ranks.

use shm::ranges::ranges;
use shm::report::{Line, Section};

/// Lines in a section at most.
const LINES: usize = 100;

/// The report of a job, from those of its ranks; one text for each section that has something to say.
pub(crate) fn reports(ranks: &[Vec<Line>]) -> Vec<String> {
    Section::ALL.into_iter().filter_map(|section| report(section, ranks)).collect()
}

fn report(section: Section, ranks: &[Vec<Line>]) -> Option<String> {
    let mut folded: Vec<(String, Vec<u32>)> = Vec::new();
    for (rank, lines) in (0..).zip(ranks) {
        for line in lines.iter().filter(|line| line.section == section) {
            let words = line.words();
            match folded.iter_mut().find(|(known, _)| *known == words) {
                Some((_, ranks)) => ranks.push(rank),
                None => folded.push((words, vec![rank])),
            }
        }
    }
    if folded.is_empty() {
        return None;
    }
    let mut text = format!("--check: {}:", section.title());
    for (words, ranks) in folded.iter().take(LINES) {
        text.push_str(&format!("\n  [{}] {words}", ranges(ranks)));
    }
    if folded.len() > LINES {
        text.push_str(&format!("\n  ... and {} more lines", folded.len() - LINES));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(section: Section, count: usize, text: &str) -> Line {
        Line { section, count, text: text.to_owned() }
    }

    #[test]
    fn equal_lines_are_one_with_the_ranks_that_have_it() {
        let dup = "communicator from MPI_Comm_dup at x.py:10";
        let mut ranks = vec![vec![line(Section::NeverFreed, 2, dup)]; 4];
        ranks[2] = vec![line(Section::NeverFreed, 1, dup), line(Section::NeverReceived, 1, "3 x MPI_INT from rank 1")];
        ranks.push(Vec::new());
        assert_eq!(
            reports(&ranks),
            [
                "--check: never freed:\n  \
                 [0,1,3] 2 communicators from MPI_Comm_dup at x.py:10\n  \
                 [2] 1 communicator from MPI_Comm_dup at x.py:10",
                "--check: never received:\n  [2] 1 message of 3 x MPI_INT from rank 1",
            ]
        );
        assert_eq!(reports(&[Vec::new(), Vec::new()]), [""; 0]);
    }

    #[test]
    fn a_long_report_is_cut() {
        let lines: Vec<Line> =
            (0..120).map(|n| line(Section::NeverFreed, 1, &format!("group from here, {n}"))).collect();
        let text = reports(&[lines]).remove(0);
        assert_eq!(text.lines().count(), 102);
        assert!(text.ends_with("\n  ... and 20 more lines"));
    }
}
