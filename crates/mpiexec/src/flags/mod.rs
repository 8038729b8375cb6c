//! The command line: `defs` is the table of all flags, `parse` turns words into what the user said,
//! `plan` turns that into what to run. Nothing here starts a process.

pub(crate) mod defs;
pub(crate) mod hosts;
mod library;
pub(crate) mod parse;
pub(crate) mod plan;

#[cfg(test)]
mod tests;
