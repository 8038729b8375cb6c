//! Which crate may use which (ARCHITECTURE.md: arrows point down only), and that every
//! dependency from outside has its row in docs/dependencies.md.

use super::{Said, read};
use crate::Result;
use std::path::Path;

/// Each folder and the packages of this workspace that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("crates/mpi-abi", &[]),
    ("crates/shm", &[]),
    ("crates/engine", &["mpi-abi", "oxmpi-shm"]),
    ("crates/shim", &["mpi-abi", "oxmpi-engine", "oxmpi-shm"]),
    ("crates/mpi4py", &["mpi-abi"]),
    ("crates/mpiexec", &["oxmpi-shm"]),
    ("tests/fuzz", &[]),
    ("xtask", &[]),
];

/// The crates of the workspace use only what lies below them.
pub(super) fn layers(root: &Path) -> Result<Said> {
    let mut wrong = String::new();
    for dir in std::fs::read_dir(root.join("crates")).map_err(|e| format!("crates: {e}"))? {
        let name = dir.map_err(|e| e.to_string())?.file_name().to_string_lossy().into_owned();
        if !LAYERS.iter().any(|(folder, _)| *folder == format!("crates/{name}")) {
            wrong += &format!("\n  crates/{name} has no place among the layers (xtask/src/check/crates.rs)");
        }
    }
    for (folder, allowed) in LAYERS {
        for dependency in dependencies(&root.join(folder).join("Cargo.toml"))? {
            if is_ours(&dependency) && !allowed.contains(&dependency.as_str()) {
                wrong += &format!("\n  {folder} uses {dependency}, which is not below it");
            }
        }
    }
    if wrong.is_empty() { Ok(Said::Nothing) } else { Err(wrong) }
}

/// Every dependency from outside has a row that says who uses it and why.
pub(super) fn written_down(root: &Path) -> Result<Said> {
    let table = read(&root.join("docs/dependencies.md"))?;
    let mut wrong = String::new();
    for (folder, _) in LAYERS {
        for dependency in dependencies(&root.join(folder).join("Cargo.toml"))? {
            if !is_ours(&dependency) && !table.lines().any(|l| l.starts_with(&format!("| {dependency} |"))) {
                wrong += &format!("\n  {dependency} (used by {folder}) has no row in docs/dependencies.md");
            }
        }
    }
    if wrong.is_empty() { Ok(Said::Nothing) } else { Err(wrong) }
}

fn is_ours(package: &str) -> bool {
    package == "mpi-abi" || package.starts_with("oxmpi-")
}

/// The names under every `[...dependencies]` table of a manifest.
fn dependencies(manifest: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in read(manifest)?.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            inside = table.trim_end_matches(']').ends_with("dependencies");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.extend(line.split(['=', '.', ' ']).next().map(str::to_owned));
        }
    }
    Ok(names)
}
