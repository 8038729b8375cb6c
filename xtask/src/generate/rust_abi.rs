//! The generated files of the crate mpi-abi: constants, declarations, names.

use super::BANNER;
use crate::Result;
use crate::api::{Api, Form, Function, Value};
use std::fmt::Write as _;

/// The Rust form of a C declaration with `@` for the name: `const int @[]` is `*const c_int`.
pub(crate) fn rust_type(api: &Api, c: &str) -> Result<String> {
    let (before, after) = c.split_once('@').ok_or_else(|| format!("no @ in '{c}'"))?;
    let (before, constant) = match before.trim().strip_prefix("const ") {
        Some(rest) => (rest.trim(), true),
        None => (before.trim(), false),
    };
    let base = before.trim_end_matches(['*', ' ']);
    let stars = before.matches('*').count();
    if api.callbacks.iter().any(|f| f.forms().any(|form| form.name() == base)) {
        return Ok(format!("Option<{base}>"));
    }
    let mut rust = base_type(api, base)?;
    let mut depth = stars;
    match after {
        "" => {}
        "[]" => depth += 1,
        "[][3]" => {
            rust = format!("[{rust}; 3]");
            depth += 1;
        }
        _ => return Err(format!("unknown array form '{c}'")),
    }
    for level in 0..depth {
        // `const` belongs to what the innermost pointer points at.
        let word = if constant && level == 0 { "const" } else { "mut" };
        rust = format!("*{word} {rust}");
    }
    Ok(rust)
}

fn base_type(api: &Api, base: &str) -> Result<String> {
    Ok(match base {
        "int" => "c_int",
        "char" => "c_char",
        "void" => "c_void",
        "double" => "f64",
        "MPI_Count" => "Count",
        "MPI_Aint" => "Aint",
        "MPI_Offset" => "Offset",
        "MPI_Status" => "Status",
        other => {
            let found = api.handles.iter().chain(&api.enums).find(|(c, _)| c == other);
            &found.ok_or_else(|| format!("unknown C type '{other}'"))?.1
        }
    }
    .to_owned())
}

/// `(buf: *const c_void, count: c_int) -> c_int` of a function or callback.
pub(crate) fn signature(api: &Api, form: Form<'_>, names: bool) -> Result<String> {
    let mut params = Vec::new();
    for param in form.params() {
        let c = api.c_decl(param, form.large);
        if c == "..." {
            params.push("...".to_owned());
            continue;
        }
        let rust = rust_type(api, c)?;
        params.push(if names { format!("{}: {rust}", param.name) } else { rust });
    }
    Ok(format!("({}){}", params.join(", "), returns(api, form)?))
}

/// ` -> c_int` and so on.
pub(crate) fn returns(api: &Api, form: Form<'_>) -> Result<String> {
    Ok(match form.function.returns.as_deref() {
        None => " -> c_int".into(),
        Some("void") => String::new(),
        Some(c) => format!(" -> {}", base_type(api, c)?),
    })
}

/// `gen/functions.rs`: callback types and the 664 declarations.
pub(crate) fn functions(api: &Api) -> Result<String> {
    let mut text = format!(
        "//! {BANNER}\n//!\n\
         //! The callback types and the functions of the ABI, as C declares them. Declaring a function\n\
         //! links nothing: a crate that calls one says itself what it links against.\n\n\
         #[allow(clippy::wildcard_imports)]\nuse crate::*;\nuse core::ffi::{{c_char, c_int, c_void}};\n\n"
    );
    for form in api.callbacks.iter().flat_map(Function::forms) {
        let name = form.name();
        let _ = writeln!(text, "/// The callback type `{name}`.");
        let _ = writeln!(text, "pub type {name} = unsafe extern \"C\" fn{};\n", signature(api, form, true)?);
    }
    for (new, old) in &api.aliases {
        let _ = writeln!(text, "/// The callback type `{new}`.\npub type {new} = {old};\n");
    }
    text.push_str("unsafe extern \"C\" {\n");
    for form in api.forms() {
        let name = form.name();
        let old = if form.function.deprecated { ", deprecated" } else { "" };
        let _ = writeln!(text, "/// `{name}` (chapter {}{old}).", form.function.chapter);
        let _ = writeln!(text, "pub fn {name}{};\n", signature(api, form, true)?);
    }
    text.push_str("}\n");
    Ok(text)
}

/// `gen/constants.rs`.
pub(crate) fn constants(api: &Api) -> Result<String> {
    let mut text = format!(
        "//! {BANNER}\n//!\n//! The constants of the ABI under their MPI names.\n\n\
         #[allow(clippy::wildcard_imports)]\nuse crate::*;\nuse core::ffi::{{c_char, c_int, c_void}};\n\
         use core::ptr::without_provenance_mut;\n\n"
    );
    for constant in &api.constants {
        let (name, c_type) = (&constant.name, constant.c_type.as_str());
        let pointer = c_type.ends_with('*');
        let is_function = pointer && c_type.contains("_function");
        let rust = if is_function { "usize".to_owned() } else { rust_type(api, &format!("{c_type}@"))? };
        let value = match &constant.value {
            Value::Alias(other) => other.clone(),
            Value::Number(_, written) if is_function => written.clone(),
            Value::Number(_, written) if pointer => format!("without_provenance_mut({written})"),
            Value::Number(_, written) if c_type == "int" || c_type == "MPI_Offset" => written.clone(),
            Value::Number(_, written) => format!("{rust}({})", written.to_lowercase()),
        };
        let value = if c_type == "int" { value.replace("0xC", "0xc").replace("0xF", "0xf") } else { value };
        let _ = writeln!(text, "/// `{name}` ({}).\npub const {name}: {rust} = {value};", constant.title);
    }
    Ok(text)
}

/// `gen/names.rs`: the symbols, for those who need the list.
pub(crate) fn names(api: &Api) -> String {
    let mut names: Vec<String> = api.forms().map(|f| f.name()).collect();
    names.sort();
    let mut text = format!(
        "//! {BANNER}\n\n/// The {} functions of the ABI; each is exported with and without a leading `P`.\n\
         pub const FUNCTION_NAMES: &[&str] = &[\n",
        names.len()
    );
    for name in names {
        let _ = writeln!(text, "\"{name}\",");
    }
    text.push_str("];\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_types_follow_the_c_declarations() {
        let api = Api::read(&crate::root()).expect("api/ can be read");
        for (c, rust) in [
            ("int @", "c_int"),
            ("const void *@", "*const c_void"),
            ("const MPI_Count @[]", "*const Count"),
            ("MPI_Status *@", "*mut Status"),
            ("char ***@", "*mut *mut *mut c_char"),
            ("int @[][3]", "*mut [c_int; 3]"),
            ("MPI_User_function *@", "Option<MPI_User_function>"),
            ("MPI_T_event_cb_function @", "Option<MPI_T_event_cb_function>"),
        ] {
            assert_eq!(rust_type(&api, c).as_deref(), Ok(rust));
        }
        assert!(rust_type(&api, "MPI_Nothing @").is_err());
    }
}
