//! `mpiexec ps`: the running jobs of this user on this machine, and what their ranks do.

use crate::flags::plan::Refusal;
use crate::jobs::{self, clock, folded, so_long};
use std::ffi::OsString;

/// Prints them.
pub(crate) fn ps(words: &[OsString]) -> Result<i32, Refusal> {
    if let Some(word) = words.first() {
        let word = word.to_string_lossy();
        return Err(Refusal::usage(format!(
            "ps: there are no arguments to it ('{word}'); to start the program of this name: mpiexec -- ps {word}"
        )));
    }
    let jobs = jobs::running();
    if jobs.is_empty() {
        println!("no job of this user runs here");
        return Ok(0);
    }
    println!("{:>8}  {:>5}  {:>9}  PROGRAM", "PID", "RANKS", "RUNS FOR");
    for job in jobs {
        let pid = job.leader().unwrap_or_default();
        println!("{pid:>8}  {:>5}  {:>9}  {}", job.segment.ranks(), clock(job.age()), job.program());
        let states = job.states().into_iter().map(|state| (state.words, state.waits));
        for (words, waits, ranks) in folded(states) {
            println!("{:10}{}{}", "", words.said_of(&ranks), so_long(waits));
        }
    }
    Ok(0)
}
