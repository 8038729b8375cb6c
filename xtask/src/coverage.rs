//! `cargo xtask coverage`: how many of the 664 functions are implemented, chapter by chapter. And for `cargo xtask
//! check`: what `api/finished.txt` says is finished is so.

use crate::api::Api;
use crate::implemented::Implemented;
use crate::{Result, out};
use std::path::Path;

/// Functions of one chapter.
#[derive(Default)]
struct Chapter {
    name: String,
    names: Vec<String>,
    missing: Vec<String>,
}

fn chapters(root: &Path) -> Result<Vec<Chapter>> {
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
        chapter.names.push(form.name());
        if implemented.module(&form.function.name).is_none() {
            chapter.missing.push(form.name());
        }
    }
    Ok(chapters)
}

/// Prints the table; with `missing` also the names of what is missing.
pub(crate) fn run(root: &Path, missing: bool) -> Result<()> {
    let chapters = chapters(root)?;
    for chapter in &chapters {
        out::line(&row(&chapter.name, chapter.names.len(), chapter.missing.len()));
        if missing && !chapter.missing.is_empty() {
            out::line(&wrapped(&chapter.missing));
        }
    }
    let all = chapters.iter().map(|c| c.names.len()).sum();
    let open = chapters.iter().map(|c| c.missing.len()).sum();
    out::line(&row("total", all, open));
    Ok(())
}

/// Compares with `api/finished.txt`; gives the chapters that are whole and do not stand there.
pub(crate) fn finished(root: &Path) -> Result<Vec<String>> {
    let path = root.join("api/finished.txt");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let listed: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let chapters = chapters(root)?;
    let mut wrong = Vec::new();
    for name in &listed {
        if let Some(chapter) = chapters.iter().find(|c| c.name == *name) {
            if !chapter.missing.is_empty() {
                wrong.push(format!("{name} lacks {}", chapter.missing.join(" ")));
            }
        } else if chapters.iter().any(|c| c.missing.iter().any(|f| f == name)) {
            wrong.push(format!("{name} is not implemented"));
        } else if !chapters.iter().any(|c| c.names.iter().any(|f| f == name)) {
            wrong.push(format!("{name} is neither a chapter of functions.txt nor a function"));
        }
    }
    if !wrong.is_empty() {
        return Err(format!("api/finished.txt: {}", wrong.join("; ")));
    }
    let whole = chapters.into_iter().filter(|c| c.missing.is_empty() && !listed.contains(&c.name.as_str()));
    Ok(whole.map(|c| c.name).collect())
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
