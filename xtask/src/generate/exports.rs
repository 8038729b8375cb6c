//! The exported C functions of `crates/shim`: for each of the 664 two symbols, `MPI_X` and
//! `PMPI_X`, that either call the implementation found in `crates/shim/src/*.rs` or say that
//! there is none yet.
//!
//! The text is one macro call per function; what the macros do stands in `shim/src/guard.rs`.

use super::BANNER;
use super::rust_abi::{returns, rust_type};
use crate::Result;
use crate::api::{Api, Form, Function, Param};
use crate::implemented::Implemented;
use std::fmt::Write as _;

/// Whose error handler an error of this function goes to, as an expression.
fn object(function: &Function) -> String {
    // Errors of opening and deleting belong to no open file: section 14.7 names the handler of
    // `MPI_FILE_NULL`.
    if matches!(function.name.as_str(), "MPI_File_open" | "MPI_File_delete") {
        return "Object::File(MPI_FILE_NULL)".into();
    }
    let find = |kinds: &[&str]| function.params.iter().find(|p| kinds.contains(&p.kind.as_str()));
    for (kind, name) in [("FILE", "File"), ("WIN", "Win"), ("SESSION", "Session"), ("COMM", "Comm")] {
        if let Some(p) = find(&[kind]) {
            return format!("Object::{name}({})", p.name);
        }
        if let Some(p) = find(&[&format!("{kind}_INOUT")]) {
            return format!("errors::{}_at({})", name.to_lowercase(), p.name);
        }
    }
    // Functions that create something with an error handler of its own: it is called for their errors too.
    let creates = function.name.contains("_from_group") || function.name == "MPI_Session_init";
    if let (true, Some(p)) = (creates, find(&["ERRHANDLER"])) {
        return format!("Object::Unborn({})", p.name);
    }
    "Object::Process".into()
}

/// How a parameter is handed to the implementation that serves both forms.
fn argument(api: &Api, param: &Param) -> String {
    match api.kinds[&param.kind].wrapper.as_deref() {
        None => param.name.clone(),
        Some("Count") => format!("crate::counts::count({})", param.name),
        Some("Aint") => format!("crate::counts::aint({})", param.name),
        Some(wrapper) => format!("{wrapper}::from({})", param.name),
    }
}

/// What the implementation gets for a parameter that only the `_c` form has.
fn absent(api: &Api, param: &Param) -> Result<String> {
    match api.kinds[&param.kind].wrapper.as_deref() {
        Some("Count") => Ok("0".into()),
        Some("CountOut") => Ok("CountOut::none()".into()),
        None if param.kind.ends_with("_OUT") => Ok("std::ptr::null_mut()".into()),
        _ => Err(format!("no value for the absent parameter {}", param.name)),
    }
}

/// `gen/exports.rs`.
pub(crate) fn exports(api: &Api, implemented: &Implemented) -> Result<String> {
    let mut text = format!(
        "//! {BANNER}\n//!\n//! The exported functions; `export!` and its sisters are in `guard.rs`.\n\n\
         #![allow(non_snake_case, reason = \"the names of the C functions\")]\n\n\
         #[allow(unused_imports, clippy::wildcard_imports, reason = \"what of it is needed varies\")]\n\
         use crate::counts::*;\n#[allow(unused_imports, reason = \"what of it is needed varies\")]\nuse crate::errors;\n#[allow(unused_imports, reason = \"what of it is needed varies\")]\nuse crate::guard::*;\nuse engine::errhandler::Object;\n\
         use mpi_abi::consts::MPI_FILE_NULL;\n\
         #[allow(clippy::wildcard_imports, reason = \"callback types\")]\nuse mpi_abi::ffi::*;\n\
         #[allow(clippy::wildcard_imports, reason = \"handle types\")]\nuse mpi_abi::*;\n\
         use std::ffi::{{c_char, c_int, c_void}};\n"
    );
    let mut chapter = "";
    for function in &api.functions {
        if chapter != function.chapter {
            chapter = &function.chapter;
            let _ = writeln!(text, "\n// {chapter}");
        }
        for form in function.forms() {
            one(api, implemented, form, &mut text)?;
        }
    }
    Ok(text)
}

fn one(api: &Api, implemented: &Implemented, form: Form<'_>, text: &mut String) -> Result<()> {
    let (function, name) = (form.function, form.name());
    let mut params = Vec::new();
    for param in form.params() {
        let c = api.c_decl(param, form.large);
        // A C function with `...` takes its other arguments as one without on the systems that we support.
        if c != "..." {
            params.push(format!("{}: {}", param.name, rust_type(api, c)?));
        }
    }
    let params = params.join(", ");
    let Some(module) = implemented.module(&function.name) else {
        if function.returns.is_some() {
            return Err(format!("{name} returns no error code, so it cannot be left out"));
        }
        if function.name.starts_with("MPI_T_") {
            let _ = writeln!(text, "export_missing_tool! {{ {name} P{name} ({params}) }}");
            return Ok(());
        }
        let object = object(function);
        let _ = writeln!(text, "export_missing! {{ {name} P{name} ({params}) {object} }}");
        return Ok(());
    };
    let mut arguments = Vec::new();
    for param in function.params.iter().filter(|p| p.kind != "VARARGS") {
        if !form.large && param.large_only {
            arguments.push(absent(api, param)?);
        } else {
            arguments.push(argument(api, param));
        }
    }
    if function.form {
        arguments.push(if form.large { "Form::Large" } else { "Form::Plain" }.into());
    }
    let call = format!("crate::{module}::{}({})", function.name, arguments.join(", "));
    if function.returns.is_some() {
        let _ = writeln!(text, "export_value! {{ {name} P{name} ({params}){} =>\n    {call} }}", returns(api, form)?);
    } else {
        let kind = match function {
            f if f.name.starts_with("MPI_T_") => "export_tool",
            f if f.anytime => "export_anytime",
            _ => "export",
        };
        let _ = writeln!(text, "{kind}! {{ {name} P{name} ({params}) {} =>\n    {call} }}", object(function));
    }
    Ok(())
}
