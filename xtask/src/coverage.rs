//! `cargo xtask coverage`: how many of the 664 functions are implemented, chapter by chapter.

use crate::api::Api;
use crate::implemented::Implemented;
use crate::{Result, out};
use std::path::Path;

/// Functions of one chapter.
#[derive(Default)]
struct Chapter {
    name: String,
    all: usize,
    missing: Vec<String>,
}

/// Prints the table; with `missing` also the names of what is missing.
pub(crate) fn run(root: &Path, missing: bool) -> Result<()> {
    let api = Api::read(root)?;
    let implemented = Implemented::scan(root, &api)?;
    let mut chapters: Vec<Chapter> = Vec::new();
    for form in api.forms() {
        let name = &form.function.chapter;
        if chapters.last().is_none_or(|c| &c.name != name) {
            chapters.push(Chapter { name: name.clone(), ..Chapter::default() });
        }
        let Some(chapter) = chapters.last_mut() else {
            continue;
        };
        chapter.all += 1;
        if implemented.module(&form.function.name).is_none() {
            chapter.missing.push(form.name());
        }
    }
    for chapter in &chapters {
        out::line(&row(&chapter.name, chapter.all, chapter.missing.len()));
        if missing && !chapter.missing.is_empty() {
            out::line(&wrapped(&chapter.missing));
        }
    }
    let all = chapters.iter().map(|c| c.all).sum();
    let open = chapters.iter().map(|c| c.missing.len()).sum();
    out::line(&row("total", all, open));
    Ok(())
}

fn row(name: &str, all: usize, missing: usize) -> String {
    let done = all - missing;
    format!("{name:<26}{done:>4} / {all:<4}{:>4} %", done * 100 / all.max(1))
}

/// Names in indented lines of readable length.
fn wrapped(names: &[String]) -> String {
    let mut lines = vec![String::from("   ")];
    for name in names {
        let line = lines.last().map_or(0, String::len);
        if line + name.len() > 110 {
            lines.push("   ".into());
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(name);
        }
    }
    lines.join("\n")
}
