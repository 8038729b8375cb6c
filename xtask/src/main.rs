//! `cargo xtask <command>`: what the project generates and checks about itself.
//!
//! The commands are listed in [`USAGE`]. Everything here reads files of the working tree and
//! writes generated ones; nothing of it is part of the product.

mod api;
mod check;
mod coverage;
mod generate;
mod implemented;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `cargo xtask --help` prints.
const USAGE: &str = "\
usage: cargo xtask <command> [options]

  generate            write every file that comes out of api/
  generate --check    fail when a committed file is not what api/ gives
  coverage            functions implemented, by chapter
  coverage --missing  and the names of the others
  check               what CI checks of the Rust part, besides the tests
  check --fix         the same; formats and regenerates
";

/// The result of a command: an error is a text for the person who typed it.
type Result<T> = std::result::Result<T, String>;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_path_buf()
}

/// The command line, taken apart.
#[derive(Default)]
struct Options {
    command: Option<String>,
    check: bool,
    fix: bool,
    missing: bool,
}

fn options() -> std::result::Result<Options, lexopt::Error> {
    use lexopt::prelude::{Long, Short, Value, ValueExt as _};
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("check") => options.check = true,
            Long("fix") => options.fix = true,
            Long("missing") => options.missing = true,
            Long("help") | Short('h') => options.command = Some("help".into()),
            Value(word) if options.command.is_none() => options.command = Some(word.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn run() -> Result<()> {
    let options = options().map_err(|e| format!("{e}\n\n{USAGE}"))?;
    let root = root();
    match options.command.as_deref() {
        Some("generate") => generate::run(&root, options.check),
        Some("coverage") => coverage::run(&root, options.missing),
        Some("check") => check::run(&root, options.fix),
        Some("help") => {
            out::line(USAGE.trim_end());
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            out::error(&text);
            ExitCode::FAILURE
        }
    }
}

/// The only place that prints.
mod out {
    #![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

    pub(crate) fn line(text: &str) {
        println!("{text}");
    }

    pub(crate) fn error(text: &str) {
        eprintln!("{text}");
    }
}
