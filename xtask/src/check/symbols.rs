//! What the built library exports: the functions of the ABI under both names, and those
//! extensions that crates/shim/README.md documents. Nothing else, and nothing missing.

use super::{Said, command, read};
use crate::Result;
use crate::api::Api;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the library (profile `fast`) and compares its dynamic symbols.
pub(super) fn exported(root: &Path) -> Result<Said> {
    command(Command::new(env!("CARGO")).current_dir(root).args([
        "build",
        "--quiet",
        "--package",
        "oxmpi-shim",
        "--profile",
        "fast",
    ]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let library = root.join(target).join("fast/liboxmpi_shim.so");
    compare(root, &library)?;
    soname(&library)
}

fn compare(root: &Path, library: &Path) -> Result<()> {
    let api = Api::read(root)?;
    let wanted: BTreeSet<String> = api.forms().flat_map(|f| [f.name(), format!("P{}", f.name())]).collect();
    let documented = read(&root.join("crates/shim/README.md"))?;
    let listing = run("nm", &["-D", "--defined-only"], library)?;
    let found: BTreeSet<String> =
        listing.lines().filter_map(|l| l.split_whitespace().nth(2)).map(str::to_owned).collect();
    let mut wrong = String::new();
    for name in wanted.difference(&found) {
        wrong += &format!("\n  {name} is not exported");
    }
    for name in found.difference(&wanted) {
        if !(name.starts_with("OXMPI_") && documented.contains(&format!("`{name}`"))) {
            wrong += &format!("\n  {name} is exported, but neither ABI nor documented in crates/shim/README.md");
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn soname(library: &Path) -> Result<Said> {
    let dynamic = run("readelf", &["-d"], library)?;
    if dynamic.contains("soname: [libmpi_abi.so.1]") {
        Ok(Said::Nothing)
    } else {
        Err(format!("{} has another soname than libmpi_abi.so.1", library.display()))
    }
}

fn run(tool: &str, options: &[&str], library: &Path) -> Result<String> {
    let output = Command::new(tool)
        .env("LC_ALL", "C")
        .args(options)
        .arg(library)
        .output()
        .map_err(|e| format!("{tool}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{tool}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
