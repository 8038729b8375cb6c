//! That links between the documents lead somewhere: `[text](path)` with a path of this repository.

use super::{Said, read};
use crate::Result;
use std::path::{Path, PathBuf};

/// Folders that hold no documents of ours.
const SKIPPED: &[&str] = &["target", "build", "dist", "node_modules"];

/// Every relative link of every Markdown file names a file or folder that exists.
pub(super) fn resolve(root: &Path) -> Result<Said> {
    let mut wrong = String::new();
    for document in documents(root)? {
        let folder = document.parent().unwrap_or(root);
        for (number, line) in read(&document)?.lines().enumerate() {
            for link in links(line) {
                if !folder.join(&link).exists() {
                    let name = document.strip_prefix(root).unwrap_or(&document).display();
                    wrong += &format!("\n  {name}:{}: {link} does not exist", number + 1);
                }
            }
        }
    }
    if wrong.is_empty() { Ok(Said::Nothing) } else { Err(wrong) }
}

/// The targets of a line's links that are paths; without their `#part`.
fn links(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((_, after)) = rest.split_once("](") {
        let Some((target, tail)) = after.split_once(')') else { break };
        rest = tail;
        let path = target.split('#').next().unwrap_or_default();
        if !path.is_empty() && !path.contains(':') && !path.contains(char::is_whitespace) {
            found.push(path.to_owned());
        }
    }
    found
}

fn documents(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))? {
            let entry = entry.map_err(|e| e.to_string())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().map_err(|e| e.to_string())?;
            if kind.is_dir() && !name.starts_with('.') && !SKIPPED.iter().any(|s| name.starts_with(s)) {
                open.push(entry.path());
            } else if kind.is_file() && name.ends_with(".md") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::links;

    #[test]
    fn only_paths_of_the_repository_are_looked_at() {
        let line = "[a](one.md), [b](two/three.rs#L4) [c](https://example.org) `x[i](y z)` [d](#here)";
        assert_eq!(links(line), ["one.md", "two/three.rs"]);
    }
}
