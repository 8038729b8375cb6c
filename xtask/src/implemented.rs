//! Which functions of the ABI the shim implements, found by their names in
//! `crates/shim/src/<chapter>.rs`:
//!
//! - a line that begins an implementation: `pub(crate) unsafe fn MPI_Name(`;
//! - a line of a macro call that makes several of a kind, which consists of words (or short strings) and a semicolon
//!   and begins with such a name: `    MPI_Send MPI_Isend Standard;`.

use crate::api::Api;
use crate::{Result, out};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What stands before the name of an implementation.
const HEAD: &str = "pub(crate) unsafe fn ";

/// Function name to module name.
pub(crate) struct Implemented(BTreeMap<String, String>);

impl Implemented {
    /// Looks through the files beside `lib.rs`.
    pub(crate) fn scan(root: &Path, api: &Api) -> Result<Implemented> {
        let dir = root.join("crates/shim/src");
        let fail = |e: std::io::Error| format!("{}: {e}", dir.display());
        let known: BTreeSet<&str> = api.functions.iter().map(|f| f.name.as_str()).collect();
        let lib = std::fs::read_to_string(dir.join("lib.rs")).map_err(fail)?;
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&dir).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.extension().is_none_or(|e| e != "rs") {
                continue;
            }
            let module = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let names: Vec<String> = text.lines().flat_map(|line| names(line, &known)).collect();
            if names.is_empty() {
                continue;
            }
            let line = format!("mod {module};");
            if !lib.lines().any(|l| l.trim().ends_with(&line)) {
                let lost = names.len();
                out::error(&format!("note: crates/shim/src/lib.rs has no `{line}`, so its {lost} functions stay out"));
                continue;
            }
            for name in names {
                if !known.contains(name.as_str()) {
                    return Err(format!("{name} ({module}.rs) is no function of api/functions.txt"));
                }
                if let Some(other) = found.insert(name.clone(), module.clone()) {
                    return Err(format!("{name} is implemented in {other}.rs and in {module}.rs"));
                }
            }
        }
        Ok(Implemented(found))
    }

    /// Where `MPI_Name` is implemented.
    pub(crate) fn module(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The functions that a line implements.
fn names(line: &str, known: &BTreeSet<&str>) -> Vec<String> {
    if let Some(rest) = line.strip_prefix(HEAD) {
        let name = rest.split(['(', '<']).next().unwrap_or_default();
        return if name.starts_with("MPI_") { vec![name.to_owned()] } else { Vec::new() };
    }
    let word = |w: &str| w.chars().all(|c| c.is_ascii_alphanumeric() || "_\"".contains(c));
    let Some(words) = line.trim().strip_suffix(';') else {
        return Vec::new();
    };
    let words: Vec<&str> = words.split(' ').collect();
    if words.len() < 2 || !words.iter().all(|w| word(w)) || !known.contains(words[0]) {
        return Vec::new();
    }
    words.into_iter().filter(|w| known.contains(w)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implementations_are_found_alone_and_in_macro_calls() {
        let known = BTreeSet::from(["MPI_Send", "MPI_Isend", "MPI_Wait"]);
        assert_eq!(names("pub(crate) unsafe fn MPI_Wait(request: *mut Request) {", &known), ["MPI_Wait"]);
        assert_eq!(names("    MPI_Send MPI_Isend MPI_SUM Standard;", &known), ["MPI_Send", "MPI_Isend"]);
        assert_eq!(names("    MPI_Wait field \"name\";", &known), ["MPI_Wait"]);
        for line in ["    MPI_Send;", "    use MPI_Send as x;", "    MPI_SUM MPI_Send;", "// MPI_Send", ""] {
            assert!(names(line, &known).is_empty(), "{line}");
        }
    }
}
