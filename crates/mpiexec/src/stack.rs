//! `mpiexec stack [PID]`: what each rank of a job does, and where its Python threads are. The ranks' Python writes that
//! itself, in a handler for a signal that is made for it (`engine::stacks`), so the program is not held up.

use crate::flags::plan::Refusal;
use crate::jobs::{self, Job, clock, folded, so_long};
use shm::os::proc;
use shm::os::process::{self, Pid};
use shm::page::STACKS_SIGNAL;
use shm::sync::Ordering;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A rank that runs writes at once; so long it may take to get a core.
const LIMIT: Duration = Duration::from_millis(500);
/// Nothing was added for so long: that is all.
const SILENCE: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// What was written at earlier questions is thrown away when it is more than this.
const ROOM: u64 = 1 << 20;

/// Prints it.
pub(crate) fn stack(words: &[OsString]) -> Result<i32, Refusal> {
    let job = choose(words, jobs::running())?;
    let states = job.states();
    let threads = threads(&job);
    let (ranks, program) = (job.segment.ranks(), job.program());
    let s = if ranks == 1 { "" } else { "s" };
    let pid = job.leader().unwrap_or_default();
    println!("job {pid}: {ranks} rank{s} of {program}, running for {}", clock(job.age()));
    let here = std::env::current_dir().unwrap_or_default();
    let told =
        states.into_iter().zip(threads).map(|(state, text)| ((state.words, in_words(&text, &here)), state.waits));
    for ((words, stacks), waits, ranks) in folded(told) {
        println!("{}{}", words.said_of(&ranks), so_long(waits));
        for line in stacks {
            println!("{line}");
        }
    }
    Ok(0)
}

fn choose(words: &[OsString], mut jobs: Vec<Job>) -> Result<Job, Refusal> {
    let running = || {
        let pids: Vec<String> = jobs.iter().filter_map(Job::leader).map(|pid| pid.to_string()).collect();
        if pids.is_empty() {
            "no job of this user runs here".to_owned()
        } else {
            format!("running: {}", pids.join(", "))
        }
    };
    let failed = |text: String| Refusal { text: format!("stack: {text}"), status: 1 };
    let at = match words {
        [] if jobs.len() == 1 => Some(0),
        [] if jobs.is_empty() => return Err(failed(running())),
        [] => return Err(failed(format!("there are several jobs, say which: mpiexec stack PID; {}", running()))),
        [word] => {
            let pid: Option<Pid> = word.to_str().and_then(|word| word.parse().ok());
            let Some(pid) = pid else {
                let word = word.to_string_lossy();
                return Err(Refusal::usage(format!(
                    "stack {word}: this should be the process id of a job's mpiexec or of one of its ranks"
                )));
            };
            jobs.iter().position(|job| job.leader() == Some(pid) || job.pids().any(|rank| rank == pid))
        }
        _ => return Err(Refusal::usage("stack: one process id is enough")),
    };
    match at {
        Some(at) => Ok(jobs.swap_remove(at)),
        None => Err(failed(format!("no job has this process; {}", running()))),
    }
}

/// The file of a rank that writes its stacks when it is asked, and what it held before.
struct Written {
    file: File,
    from: u64,
}

/// What each rank writes; empty of those that do not.
fn threads(job: &Job) -> Vec<String> {
    let files: Vec<Option<Written>> = (0..job.segment.ranks()).map(|rank| ask(job, rank)).collect();
    let begun = Instant::now();
    let (mut sizes, mut changed) = (Vec::new(), begun);
    loop {
        let now: Vec<Option<u64>> = files.iter().map(|one| one.as_ref().map(Written::size)).collect();
        if now != sizes {
            (sizes, changed) = (now, Instant::now());
        }
        let complete = sizes.iter().all(|size| *size != Some(0)) && changed.elapsed() >= SILENCE;
        if complete || begun.elapsed() >= LIMIT {
            return files.iter().map(|one| one.as_ref().map(Written::text).unwrap_or_default()).collect();
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn ask(job: &Job, rank: u32) -> Option<Written> {
    let number = job.segment.rank_page(rank).identity.0.stacks.load(Ordering::Relaxed).checked_sub(1)?;
    let pid = job.pid(rank);
    let stat = proc::stat(pid).filter(|stat| stat.runs() && !matches!(stat.state, b'T' | b't'))?;
    // The number may be that of another process by now.
    if stat.born != job.segment.rank_page(rank).identity.0.born() || !proc::catches(pid, STACKS_SIGNAL) {
        return None;
    }
    let file = File::options().read(true).write(true).open(format!("/proc/{pid}/fd/{number}")).ok()?;
    let mut from = file.metadata().ok()?.len();
    if from > ROOM {
        file.set_len(0).ok()?;
        from = 0;
    }
    process::signal_main_thread(pid, STACKS_SIGNAL).then_some(Written { file, from })
}

impl Written {
    fn size(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len().saturating_sub(self.from))
    }

    fn text(&self) -> String {
        let mut bytes = vec![0; usize::try_from(self.size()).unwrap_or(0)];
        let got = self.file.read_at(&mut bytes, self.from).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..got]).into_owned()
    }
}

/// What Python's faulthandler wrote, in lines of our own: the main thread first, which is the one that got the signal.
fn in_words(text: &str, here: &Path) -> Vec<String> {
    let mut threads: Vec<(bool, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(frame) = frame(line, here) {
            if let Some((_, frames)) = threads.last_mut() {
                frames.push(frame);
            }
        } else if line.contains("hread ") && line.ends_with("(most recent call first):") {
            threads.push((line.starts_with("Current"), Vec::new()));
        }
    }
    threads.sort_by_key(|(main, _)| !main);
    let several = threads.len() > 1;
    let mut lines = Vec::new();
    for (main, frames) in threads {
        if several {
            lines.push(format!("  {}", if main { "main thread" } else { "another thread" }));
        }
        let indent = if several { "    " } else { "  " };
        lines.extend(frames.iter().map(|frame| format!("{indent}{frame}")));
    }
    lines
}

/// `  File "/dir/x.py", line 3 in f` as `x.py:3 in f`.
fn frame(line: &str, here: &Path) -> Option<String> {
    let (file, rest) = line.strip_prefix("  File \"")?.split_once("\", line ")?;
    let (number, name) = rest.split_once(" in ")?;
    let short = Path::new(file).strip_prefix(here).ok().and_then(Path::to_str).unwrap_or(file);
    Some(format!("{short}:{number} in {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_faulthandler_writes_is_told_in_our_form_the_main_thread_first() {
        let text = "Thread 0x00007f3 [worker] (most recent call first):\n  File \"/lib/threading.py\", line 10 in wait\n  \
                    <no Python frame>\n\nCurrent thread 0x00007f4 (most recent call first):\n  File \"/home/me/a b.py\", line 3 in f\n  \
                    File \"/home/me/a b.py\", line 9 in <module>\n";
        assert_eq!(
            in_words(text, Path::new("/home/me")),
            [
                "  main thread",
                "    a b.py:3 in f",
                "    a b.py:9 in <module>",
                "  another thread",
                "    /lib/threading.py:10 in wait",
            ]
        );
        let one = "Current thread 0x1 (most recent call first):\n  File \"x.py\", line 3 in f\n";
        assert_eq!(in_words(one, Path::new("/")), ["  x.py:3 in f"]);
        assert!(in_words("", Path::new("/")).is_empty());
    }

    #[test]
    fn a_process_that_no_job_has_is_told() {
        let refused = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            choose(&words, Vec::new()).err().expect("refused")
        };
        assert!(refused(&[]).text.contains("no job of this user"));
        assert!(refused(&["77"]).text.contains("no job has this process"));
        assert_eq!((refused(&["x"]).status, refused(&["1", "2"]).status), (2, 2));
    }
}
