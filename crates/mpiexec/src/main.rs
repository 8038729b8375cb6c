//! mpiexec: starts the ranks of a job on this machine, keeps their output readable, passes signals
//! on, and when a rank fails says which one and how, and leaves nothing behind.
//!
//! | file | job |
//! |---|---|
//! | `flags/` | command line -> what the user said -> what to run |
//! | `start` | shared memory, pipes, one process per rank |
//! | `supervise` | the one loop: output, input, signals, deaths, time limits |
//! | `output/`, `stdin` | what ranks print and read |
//! | `check` | the report of `--check` |
//! | `standstill`, `stall` | when no rank can go on, and the report on it |
//! | `ask`, `story` | what ranks tell of themselves, in words |
//! | `jobs`, `ps`, `stack` | what runs on this machine, and what its ranks do |
//! | `verdict` | which end is a failure, the sentence, the exit status |
//! | `cleanup`, `guardian` | nothing stays, also when mpiexec itself is killed |
//!
//! One thread; everything waits in one `poll`. All calls to the system are in `shm::os`.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]

mod ask;
mod check;
mod cleanup;
mod flags;
mod guardian;
mod jobs;
mod output;
mod ps;
mod stack;
mod stall;
mod standstill;
mod start;
mod stdin;
mod story;
mod supervise;
mod verdict;

use flags::parse::Wish;
use flags::plan::Refusal;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let status = match run() {
        Ok(status) => status,
        Err(refusal) => {
            eprintln!("mpiexec: {}", refusal.text);
            refusal.status
        }
    };
    ExitCode::from(u8::try_from(status & 0xff).unwrap_or(1))
}

fn run() -> Result<i32, Refusal> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    match words.split_first() {
        Some((first, rest)) if first == "ps" => return ps::ps(rest),
        Some((first, rest)) if first == "stack" => return stack::stack(rest),
        _ => {}
    }
    let args = match flags::parse::parse(words).map_err(Refusal::usage)? {
        Wish::Help => {
            print!("{}", flags::defs::help());
            return Ok(0);
        }
        Wish::Version => {
            println!("mpiexec (oxmpi) {}, for one machine", env!("CARGO_PKG_VERSION"));
            return Ok(0);
        }
        Wish::Run(args) => args,
    };
    let outer = shm::job::leave_outer_job();
    let own: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let plan = flags::plan::plan(&args, &own, &outer)?;
    let failed = |error: shm::Error| Refusal { text: error.text, status: 1 };
    let job = start::start(plan).map_err(failed)?;
    Ok(supervise::Supervisor::new(job).run())
}
