//! `cargo xtask check`: what CI checks of the Rust part besides the tests, one line per step.
//!
//! - [`text`]: rules about the sources that no compiler knows (pairs of SYNC comments, file sizes)
//! - [`crates`]: which crate may use which, and that every dependency is written down
//! - [`symbols`]: what the built library exports
//! - [`links`]: links between the documents

mod crates;
mod links;
mod symbols;
mod text;

use crate::{Result, coverage, generate, out};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a step that did not fail has to say.
enum Said {
    /// Nothing.
    Nothing,
    /// Something worth knowing that is no failure.
    Note(String),
}

type Step<'a> = (&'static str, Box<dyn Fn() -> Result<Said> + 'a>);

/// Runs all steps; with `fix` those that can repair do so. Fails when a step has failed.
pub(crate) fn run(root: &Path, fix: bool) -> Result<()> {
    let cargo = |words: &[&str]| command(Command::new(env!("CARGO")).current_dir(root).args(words));
    let steps: Vec<Step<'_>> = vec![
        ("generated files", Box::new(move || generate::run(root, !fix).map(|()| Said::Nothing))),
        (
            "formatting",
            Box::new(move || cargo(if fix { &["fmt", "--all"] } else { &["fmt", "--all", "--", "--check", "-l"] })),
        ),
        ("crate layers", Box::new(|| crates::layers(root))),
        ("dependencies written down", Box::new(|| crates::written_down(root))),
        ("SYNC comments in pairs", Box::new(|| text::sync_pairs(root))),
        ("file sizes", Box::new(|| text::long_files(root))),
        ("finished chapters", Box::new(|| finished(root))),
        ("links in documents", Box::new(|| links::resolve(root))),
        (
            "clippy",
            Box::new(move || cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        ),
        ("exported symbols", Box::new(|| symbols::exported(root))),
        ("loom", Box::new(|| loom(root))),
    ];
    let mut failed = Vec::new();
    for (name, step) in steps {
        match step() {
            Ok(Said::Nothing) => out::line(&format!("ok    {name}")),
            Ok(Said::Note(note)) => out::line(&format!("note  {name}: {note}")),
            Err(text) => {
                out::line(&format!("FAIL  {name}: {text}"));
                failed.push(name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("check failed: {}", failed.join(", "))) }
}

/// The models of the lock-free parts (crates/shm/src/models). They have a target folder of their own: other
/// flags would make everything else be built anew.
fn loom(root: &Path) -> Result<Said> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    command(
        Command::new(env!("CARGO"))
            .current_dir(root)
            .env("RUSTFLAGS", "--cfg loom")
            .env("CARGO_TARGET_DIR", root.join(target).join("loom"))
            .args(["test", "--quiet", "--package", "oxmpi-shm", "--profile", "fast", "--lib", "models::"]),
    )
}

/// What `api/finished.txt` says is implemented.
fn finished(root: &Path) -> Result<Said> {
    let more = coverage::finished(root)?;
    Ok(if more.is_empty() {
        Said::Nothing
    } else {
        Said::Note(format!("also whole, and not in api/finished.txt: {}", more.join(", ")))
    })
}

/// Runs a command and gives its output back when it fails.
fn command(command: &mut Command) -> Result<Said> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(Said::Nothing);
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&text)))
}

/// All Rust files under `dir`, as paths.
fn rust_files(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        let fail = |e: std::io::Error| format!("{}: {e}", dir.display());
        for entry in std::fs::read_dir(&dir).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A file's text.
fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}
