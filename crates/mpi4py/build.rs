//! Links the extension against `libmpi_abi.so.1` without needing that library at build time.
//!
//! A stub with the same soname and the same symbols is made here and linked against; at run time
//! the dynamic linker takes the real one: the built-in engine through the run path
//! (`site-packages/mpi4py/lib` beside the extension), or another library of that soname that the
//! package has loaded before.

use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name by which every library of the standard ABI is found.
const SONAME: &str = "libmpi_abi.so.1";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    if let Err(text) = stub(&out) {
        println!("cargo::error={text}");
        return;
    }
    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=dylib=mpi_abi");
    for path in ["$ORIGIN/lib", "$ORIGIN"] {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-rpath,{path}");
    }
}

/// Compiles `libmpi_abi.so` into `out`: all symbols, no code behind them.
fn stub(out: &Path) -> Result<(), String> {
    let mut source = String::from("/* Only its symbols matter: nobody loads this library. */\n");
    for name in mpi_abi::FUNCTION_NAMES {
        let _ = writeln!(source, "void {name}(void) {{}}\nvoid P{name}(void) {{}}");
    }
    let file = out.join("stub.c");
    std::fs::write(&file, source).map_err(|e| format!("{}: {e}", file.display()))?;
    let compiler = cc::Build::new().try_get_compiler().map_err(|e| format!("no C compiler: {e}"))?;
    let mut command: Command = compiler.to_command();
    command
        .args(["-shared", "-fPIC", "-nostdlib", "-O0", "-w", "-o"])
        .arg(out.join("libmpi_abi.so"))
        .arg(format!("-Wl,-soname,{SONAME}"))
        .arg(&file);
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}
