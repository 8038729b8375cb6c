//! The C header that we ship, `mpi.h`: usable from C99 on and from C++.

use super::BANNER;
use crate::api::{Api, Form, Function, Value};
use std::fmt::Write as _;

/// What stands before the constants: number types and the status.
const TYPES: &str = "\
#ifndef OXMPI_MPI_H
#define OXMPI_MPI_H

#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {
#endif

/* Numbers. A program may choose other types of the same size by defining the MPI_ABI_ name before. */
#ifndef MPI_ABI_Aint
#define MPI_ABI_Aint intptr_t
#endif
#ifndef MPI_ABI_Offset
#define MPI_ABI_Offset int64_t
#endif
#ifndef MPI_ABI_Count
#define MPI_ABI_Count MPI_Offset
#endif
typedef MPI_ABI_Aint MPI_Aint;
typedef MPI_ABI_Offset MPI_Offset;
typedef MPI_ABI_Count MPI_Count;
#undef MPI_ABI_Aint
#undef MPI_ABI_Offset
#undef MPI_ABI_Count

/* What a receive or a probe found. */
typedef struct {
    int MPI_SOURCE;
    int MPI_TAG;
    int MPI_ERROR;
    int MPI_internal[5];
} MPI_Status;
";

/// The whole header.
pub(crate) fn header(api: &Api) -> String {
    let mut text = format!("/* {BANNER} */\n/* The C interface of the MPI-5.0 standard ABI. */\n{TYPES}");
    text.push_str("\n/* Handles: pointers to types that nobody defines. */\n");
    for (c, _) in &api.handles {
        let _ = writeln!(text, "typedef struct {} *{c};", tag(c));
    }
    for (c, _) in &api.enums {
        let _ = writeln!(text, "\ntypedef enum {c} {{");
        let members: Vec<_> = api.constants.iter().filter(|k| &k.c_type == c).collect();
        for (i, member) in members.iter().enumerate() {
            let comma = if i + 1 < members.len() { "," } else { "" };
            let _ = writeln!(text, "    {} = {}{comma}", member.name, value(&member.value));
        }
        let _ = writeln!(text, "}} {c};");
    }
    text.push_str("\n/* Callbacks. */\n");
    for form in api.callbacks.iter().flat_map(Function::forms) {
        let _ = writeln!(
            text,
            "typedef {} ({})({});",
            form.function.returns.as_deref().unwrap_or("int"),
            form.name(),
            params(api, form)
        );
    }
    for (new, old) in &api.aliases {
        let _ = writeln!(text, "typedef {old} {new};");
    }
    constants(api, &mut text);
    for prefix in ["", "P"] {
        let chapter_note =
            if prefix.is_empty() { "Functions" } else { "The same under the names that a profiling tool calls" };
        let _ = writeln!(text, "\n/* {chapter_note}. */");
        let mut chapter = "";
        for form in api.forms() {
            if prefix.is_empty() && chapter != form.function.chapter {
                chapter = &form.function.chapter;
                let _ = writeln!(text, "\n/* {chapter} */");
            }
            let _ = writeln!(
                text,
                "{} {prefix}{}({});",
                form.function.returns.as_deref().unwrap_or("int"),
                form.name(),
                params(api, form)
            );
        }
    }
    text.push_str("\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    text
}

fn constants(api: &Api, text: &mut String) {
    let mut title = "";
    for constant in &api.constants {
        if api.enums.iter().any(|(c, _)| c == &constant.c_type) {
            continue;
        }
        if title != constant.title {
            title = &constant.title;
            let _ = writeln!(text, "\n/* {title} */");
        }
        let value = value(&constant.value);
        let value = match (&constant.value, constant.c_type.as_str()) {
            (Value::Alias(_), _) => value,
            (Value::Number(n, _), "int") if *n >= 0 => value,
            (_, "int") => format!("({value})"),
            (_, c) => format!("(({c}){value})"),
        };
        let _ = writeln!(text, "#define {:<32} {value}", constant.name);
    }
}

/// The structure tag of a handle type: part of the names of C++ functions that take handles.
pub(super) fn tag(handle: &str) -> String {
    if handle.starts_with("MPI_T_") { format!("{handle}_t") } else { handle.replacen("MPI_", "MPI_ABI_", 1) }
}

fn value(value: &Value) -> String {
    match value {
        Value::Number(_, written) => written.clone(),
        Value::Alias(other) => other.clone(),
    }
}

/// `const void *buf, int count` of a form; `void` when there is none.
fn params(api: &Api, form: Form<'_>) -> String {
    let list: Vec<String> = form.params().map(|p| api.c_decl(p, form.large).replace('@', &p.name)).collect();
    if list.is_empty() { "void".into() } else { list.join(", ") }
}
