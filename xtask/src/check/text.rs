//! Rules about the sources that no compiler knows.

use super::{Said, read, rust_files};
use crate::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// Files longer than this need a reason in review.
const LONG: usize = 600;

/// Each `SYNC <name>:` comment names one edge of memory ordering and stands at both of its ends
/// at least: a name that occurs once is an end without the other.
pub(super) fn sync_pairs(root: &Path) -> Result<Said> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in rust_files(&root.join("crates"))? {
        for (number, line) in read(&path)?.lines().enumerate() {
            let Some((_, comment)) = line.split_once("//") else {
                continue;
            };
            let Some((_, rest)) = comment.split_once("SYNC ") else {
                continue;
            };
            // Prose that speaks of such a comment has no plain name before a colon.
            let name = rest.split_once(':').map_or("", |(name, _)| name);
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                continue;
            }
            let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            names.entry(name.to_owned()).or_default().push(format!("{place}:{}", number + 1));
        }
    }
    let alone: Vec<String> = names
        .iter()
        .filter(|(_, places)| places.len() < 2)
        .map(|(name, places)| format!("\n  SYNC {name}: only at {}", places.join(", ")))
        .collect();
    if alone.is_empty() { Ok(Said::Nothing) } else { Err(alone.concat()) }
}

/// Hand-written files that have grown too long; said, not refused.
pub(super) fn long_files(root: &Path) -> Result<Said> {
    let mut long = Vec::new();
    for dir in ["crates", "xtask"] {
        for path in rust_files(&root.join(dir))? {
            let lines = read(&path)?.lines().count();
            if lines > LONG && !path.components().any(|c| c.as_os_str() == "gen") {
                long.push(format!("\n  {} has {lines} lines", path.strip_prefix(root).unwrap_or(&path).display()));
            }
        }
    }
    if long.is_empty() { Ok(Said::Nothing) } else { Ok(Said::Note(long.concat())) }
}
