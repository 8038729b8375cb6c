//! Calls the C functions of the library with arbitrary handles, counts and texts, and pointers to valid memory.
//! An MPI error may come of it, never a crash, a hang, or an error of class MPI_ERR_INTERN.
//!
//! - `api`: which functions there are; `library`: how any of them is called
//! - `pools`, `values`, `arguments`, `memory`: what they are called with
//! - `callbacks`: what they call; `waits`: how a call that waits is brought to an end
//! - `child`: a process that makes calls; `history`: its last ones
//! - here: starts such processes, batch after batch, and looks how they end
//!
//! Usage: see [`USAGE`].

mod api;
mod arguments;
mod callbacks;
mod child;
mod history;
mod library;
mod memory;
mod pools;
mod random;
mod values;
mod waits;

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: fuzz --library LIBMPI_ABI --mpiexec MPIEXEC [options]

  --seconds S      batches until so much time has passed (60)
  --seed N         the first batch; the others follow (1)
  --batches N      not more than these
  --calls N        calls per rank and thread of a batch (3000)
  --mode M         all batches in this mode, instead of one after the other:
                   one (one rank), threads (one rank, two threads), same (two ranks that make the same
                   calls), different (two ranks that make others), mixed (that, with two threads each)
  --limit S        a batch that takes longer hangs (120)
  --prefix WORDS   start each rank by this: 'valgrind -q --error-exitcode=71'
  --statistics     how often each function was called, and with success (of one batch)
  --trace          every call, on standard error

A batch can be run again: fuzz ... --batches 1 --seed N --mode M.";

/// How many ranks and threads, and whether the ranks make the same calls.
const MODES: [(&str, usize, usize, bool); 5] = [
    ("one", 1, 1, false),
    ("same", 2, 1, false),
    ("different", 2, 1, true),
    ("threads", 1, 2, false),
    ("mixed", 2, 2, true),
];

struct Options {
    library: String,
    mpiexec: PathBuf,
    seconds: u64,
    seed: u64,
    batches: u64,
    calls: u64,
    limit: u64,
    mode: Option<usize>,
    prefix: Vec<String>,
    statistics: bool,
    trace: bool,
    /// For the processes that make calls.
    child: bool,
    threads: usize,
    different: bool,
    folder: PathBuf,
}

impl Options {
    fn history(&self, rank: usize, thread: usize) -> PathBuf {
        self.folder.join(format!("calls.{rank}.{thread}"))
    }
}

fn options() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::*;
    let mut o = Options {
        library: String::new(),
        mpiexec: "mpiexec".into(),
        seconds: 60,
        seed: 1,
        batches: u64::MAX,
        calls: 3000,
        limit: 120,
        mode: None,
        prefix: Vec::new(),
        statistics: false,
        trace: false,
        child: false,
        threads: 1,
        different: false,
        folder: std::env::temp_dir().join(format!("oxmpi-fuzz-{}", std::process::id())),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("library") => o.library = parser.value()?.string()?,
            Long("mpiexec") => o.mpiexec = parser.value()?.into(),
            Long("seconds") => o.seconds = parser.value()?.parse()?,
            Long("seed") => o.seed = parser.value()?.parse()?,
            Long("batches") => o.batches = parser.value()?.parse()?,
            Long("calls") => o.calls = parser.value()?.parse()?,
            Long("limit") => o.limit = parser.value()?.parse()?,
            Long("mode") => {
                let name = parser.value()?.string()?;
                let mode = MODES.iter().position(|m| m.0 == name);
                o.mode = Some(mode.ok_or_else(|| format!("there is no mode {name}"))?);
            }
            Long("prefix") => {
                o.prefix = parser.value()?.string()?.split_whitespace().map(str::to_owned).collect();
            }
            Long("statistics") => o.statistics = true,
            Long("trace") => o.trace = true,
            Long("child") => o.child = true,
            Long("threads") => o.threads = parser.value()?.parse()?,
            Long("different") => o.different = true,
            Long("folder") => o.folder = parser.value()?.into(),
            _ => return Err(argument.unexpected()),
        }
    }
    if o.library.is_empty() { Err("--library is missing".into()) } else { Ok(o) }
}

fn say(text: &str) {
    // A closed standard output is no reason to stop looking.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            say(&format!("{error}\n\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    if options.child {
        return match child::run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(text) => {
                let _ = writeln!(std::io::stderr(), "fuzz: {text}");
                ExitCode::from(3)
            }
        };
    }
    match watch(&options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(text) => {
            say(&format!("fuzz: {text}"));
            ExitCode::from(2)
        }
    }
}

/// Runs batches; how many found something.
fn watch(options: &Options) -> Result<u64, String> {
    std::fs::create_dir_all(&options.folder).map_err(|e| e.to_string())?;
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let (mut batches, mut findings) = (0, 0);
    while batches < options.batches && Instant::now() < end {
        let seed = options.seed + batches;
        let mode = options.mode.unwrap_or((seed % MODES.len() as u64) as usize);
        if let Err(finding) = batch(options, seed, mode)? {
            findings += 1;
            say(&format!("FAIL  seed {seed}, mode {}: {finding}\n", MODES[mode].0));
        }
        batches += 1;
    }
    let _ = std::fs::remove_dir_all(&options.folder);
    say(&format!("{} passed, {findings} failed", batches - findings));
    Ok(findings)
}

/// One batch: fine, or what was found.
fn batch(options: &Options, seed: u64, mode: usize) -> Result<Result<(), String>, String> {
    let (_, ranks, threads, different) = MODES[mode];
    let mut words: Vec<String> = Vec::new();
    if ranks > 1 {
        words.extend([options.mpiexec.display().to_string(), "-n".to_owned(), ranks.to_string()]);
    }
    words.extend(options.prefix.iter().cloned());
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    words.extend([me.display().to_string(), "--child".to_owned(), "--library".to_owned(), options.library.clone()]);
    words.extend(["--folder".to_owned(), options.folder.display().to_string()]);
    for (name, value) in [("--seed", seed), ("--calls", options.calls), ("--threads", threads as u64)] {
        words.extend([name.to_owned(), value.to_string()]);
    }
    let flags = [("--different", different), ("--trace", options.trace), ("--statistics", options.statistics)];
    words.extend(flags.iter().filter(|f| f.1).map(|f| f.0.to_owned()));
    for rank in 0..ranks {
        for thread in 0..threads {
            let _ = std::fs::remove_file(options.history(rank, thread));
        }
    }
    let log = options.folder.join("output");
    let file = std::fs::File::create(&log).map_err(|e| e.to_string())?;
    let error = file.try_clone().map_err(|e| e.to_string())?;
    let mut command = Command::new(&words[0]);
    // SAFETY: one system call between fork and exec. Addresses are the same each time: a batch can be repeated.
    unsafe {
        command.pre_exec(|| {
            libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
            Ok(())
        });
    }
    let mut job = command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(error)
        .process_group(0)
        .spawn()
        .map_err(|e| format!("{}: {e}", words[0]))?;
    let hangs = !ends_in_time(&mut job, Duration::from_secs(options.limit)).map_err(|e| e.to_string())?;
    let status = if hangs { None } else { job.try_wait().map_err(|e| e.to_string())? };
    let output = std::fs::read(&log).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    if options.statistics || options.trace {
        say(&output);
    }
    let panicked = output.contains("panicked at");
    let why = match status {
        None => format!("not finished after {} s", options.limit),
        Some(status) if status.success() && !panicked => return Ok(Ok(())),
        // mpiexec is right to complain; the calls were fine.
        Some(status) if status.code() == Some(1) && !panicked && output.contains(child::GIVEN_UP) => return Ok(Ok(())),
        Some(status) => match status.signal() {
            Some(signal) => format!("ended by signal {signal}"),
            None => format!("exit status {}", status.code().unwrap_or(-1)),
        },
    };
    Ok(Err(why + &report(options, ranks, threads, &output)))
}

/// Waits for the job; one that takes too long is ended.
fn ends_in_time(job: &mut Child, limit: Duration) -> std::io::Result<bool> {
    let begun = Instant::now();
    while job.try_wait()?.is_none() {
        if begun.elapsed() > limit {
            for signal in [libc::SIGTERM, libc::SIGKILL] {
                // SAFETY: the process group of our own child, which was not waited for yet.
                unsafe { libc::kill(-job.id().cast_signed(), signal) };
                std::thread::sleep(Duration::from_secs(1));
            }
            job.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(true)
}

/// The last calls of all ranks, and the last lines of what was printed.
fn report(options: &Options, ranks: usize, threads: usize, output: &str) -> String {
    let mut text = String::new();
    let lines: Vec<_> = output.lines().collect();
    for line in &lines[lines.len().saturating_sub(30)..] {
        let _ = write!(text, "\n  | {line}");
    }
    for rank in 0..ranks {
        for thread in 0..threads {
            let calls = last_calls(&options.history(rank, thread));
            let _ = write!(text, "\n  last calls of rank {rank}, thread {thread}:{calls}");
        }
    }
    text
}

fn last_calls(path: &Path) -> String {
    let calls = history::read(path);
    calls[calls.len().saturating_sub(25)..].iter().fold(String::new(), |all, call| all + "\n    " + call)
}
