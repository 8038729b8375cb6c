//! What a rank's end means, and the one sentence and exit status for the user. Pure: the tests are a
//! table.

use shm::liveness::{Failure, How};
use shm::os::process::Exit;
use shm::os::signals;
use shm::page::Seat;

/// Why the job did not end well.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A rank failed first.
    Failed(Failure),
    /// The user ended the job by this signal.
    Interrupted(i32),
    /// `--timeout`.
    TimedOut(f64),
    /// No rank could go on: the report, and what is to be said behind its last words.
    Stuck(String, &'static str),
    /// Nobody reads our output: silence, as with any program in a pipeline.
    ReaderGone,
    /// Our output can not be written.
    CannotWrite(String),
    /// A rank could not be started.
    CannotStart { text: String, status: i32 },
}

/// How a rank whose process ended like this ended, `None` when all is well.
pub(crate) fn judge(exit: Exit, seat: Seat, noted: Option<How>, uncaught: bool) -> Option<How> {
    match (noted, exit) {
        // A shell around the rank may hide its status, and the rank's own word is the more precise.
        (Some(How::Aborted(code)), _) if uncaught && code != 0 => Some(How::Exception(code)),
        (Some(aborted @ How::Aborted(_)), _) => Some(aborted),
        (_, Exit::Signal(signal)) => Some(How::Signal(signal)),
        (_, Exit::Code(code)) if code != 0 && uncaught => Some(How::Exception(code)),
        (_, Exit::Code(code)) if code != 0 => Some(How::Exited(code)),
        // A peer that missed it may have noted that before us.
        (Some(How::Vanished), _) => Some(How::NotFinalized),
        _ if matches!(seat, Seat::Claimed | Seat::Initialized) => Some(How::NotFinalized),
        // No MPI program, or one that the others wait for in vain.
        _ if seat == Seat::Empty => Some(How::NotInitialized),
        _ => None,
    }
}

impl Verdict {
    /// The exit status of mpiexec.
    pub(crate) fn status(&self) -> i32 {
        match self {
            Self::Failed(failure) => match failure.how {
                How::Exited(code) | How::Exception(code) => code,
                How::Signal(signal) => 128 + signal,
                // A status has eight bits: 256 must not become 0. MPI_Abort(0) is 0 everywhere.
                How::Aborted(code) if code != 0 && code & 0xff == 0 => 1,
                How::Aborted(code) => code & 0xff,
                How::NotFinalized | How::NotInitialized | How::Vanished => 1,
            },
            Self::Interrupted(signal) => 128 + signal,
            Self::TimedOut(_) => 124,
            Self::ReaderGone => 128 + libc::SIGPIPE,
            Self::Stuck(..) | Self::CannotWrite(_) => 1,
            Self::CannotStart { status, .. } => *status,
        }
    }

    /// What to tell the user, if anything: `ended` of the `size` ranks were ended by us.
    pub(crate) fn sentence(&self, size: u32, ended: u32) -> Option<String> {
        let rest = match ended {
            0 => String::new(),
            1 if size == 2 => "; the other rank was ended".to_owned(),
            _ if ended + 1 == size => format!("; the other {ended} ranks were ended"),
            1 => "; one other rank was ended".to_owned(),
            _ => format!("; {ended} other ranks were ended"),
        };
        Some(match self {
            Self::Failed(failure) => {
                let who = match size {
                    1 => "rank 0".to_owned(),
                    _ => format!("rank {} of {size}", failure.rank),
                };
                let more = match failure.how {
                    How::Exception(code) => format!(" (its traceback is above), exit code {code}"),
                    _ => String::new(),
                };
                let first = if size > 1 { " failed first: it" } else { "" };
                format!("{who}{first} {}{more}{rest}", failure.how)
            }
            Self::Interrupted(signal) => format!("ended by {}", signals::describe(*signal).0),
            Self::TimedOut(seconds) => {
                format!("--timeout: not finished after {seconds} s; the ranks were ended")
            }
            Self::Stuck(report, more) => {
                let ended = if size == 1 { "the rank was ended" } else { "all ranks were ended" };
                format!("{report}\n  {ended}{more}")
            }
            Self::ReaderGone => return None,
            Self::CannotWrite(why) => {
                format!("can not write to standard output: {why}; the ranks were ended")
            }
            Self::CannotStart { text, .. } => text.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_that_ended_well_is_no_failure() {
        assert_eq!(judge(Exit::Code(0), Seat::Finalized, None, false), None);
    }

    #[test]
    fn every_bad_end_has_its_name() {
        use Seat::{Aborted, Empty, Finalized, Initialized};
        assert_eq!(judge(Exit::Code(3), Finalized, None, false), Some(How::Exited(3)));
        assert_eq!(judge(Exit::Code(1), Initialized, None, true), Some(How::Exception(1)));
        assert_eq!(judge(Exit::Code(0), Initialized, None, false), Some(How::NotFinalized));
        assert_eq!(judge(Exit::Code(0), Empty, None, false), Some(How::NotInitialized));
        assert_eq!(judge(Exit::Code(0), Seat::Dead, Some(How::Vanished), false), Some(How::NotFinalized));
        assert_eq!(judge(Exit::Signal(11), Empty, None, false), Some(How::Signal(11)));
        assert_eq!(judge(Exit::Code(0), Aborted, Some(How::Aborted(7)), false), Some(How::Aborted(7)));
        assert_eq!(judge(Exit::Signal(9), Initialized, Some(How::Vanished), false), Some(How::Signal(9)));
    }

    #[test]
    fn the_status_says_how() {
        let status = |how| Verdict::Failed(Failure { rank: 1, how }).status();
        assert_eq!(status(How::Exited(3)), 3);
        assert_eq!(status(How::Signal(11)), 139);
        assert_eq!(status(How::Aborted(7)), 7);
        assert_eq!(status(How::Aborted(0)), 0);
        assert_eq!(status(How::Aborted(256)), 1);
        assert_eq!(status(How::Aborted(300)), 44);
        assert_eq!(status(How::NotFinalized), 1);
    }

    #[test]
    fn the_sentence_names_rank_and_reason_and_what_became_of_the_others() {
        let failed = |rank, how| Verdict::Failed(Failure { rank, how });
        assert_eq!(
            failed(2, How::Signal(11)).sentence(4, 3).as_deref(),
            Some(
                "rank 2 of 4 failed first: it was killed by signal 11 (SIGSEGV: segmentation fault); the other 3 ranks were ended"
            )
        );
        assert_eq!(
            failed(1, How::Exception(1)).sentence(2, 1).as_deref(),
            Some(
                "rank 1 of 2 failed first: it ended with an uncaught Python exception (its traceback is above), exit code \
                 1; the other rank was ended"
            )
        );
        assert_eq!(failed(0, How::Exited(3)).sentence(1, 0).as_deref(), Some("rank 0 ended with exit code 3"));
        assert_eq!(Verdict::ReaderGone.sentence(4, 4), None);
    }
}
