//! mpiexec as users meet it: the real program runs, every run has a time limit, and what it may leave
//! behind is looked for. Ranks are examples/rank.rs (no engine needed) and shell scripts.

#![expect(clippy::print_stderr, reason = "a test that is skipped says why")]

mod check;
mod cleanup;
mod ending;
mod environment;
mod foreign;
mod input;
mod join;
mod look;
mod output;
mod real_launchers;
mod stall;
mod support;
mod terminal;
