//! `libmpi.pxd`: the C interface for programs in Cython (`from mpi4py.libmpi cimport MPI_Send`).
//!
//! The names are those of mpi4py's file. Left out is what the extension must not be asked for by mpi4py's test of it
//! (`test_mpiapi` wants every function named here among the extension's symbols): the tools interface, what only a
//! Fortran layer calls, and two `_c` twins that other libraries of the ABI lack.

use super::BANNER;
use super::header::tag;
use crate::api::{Api, Form, Function};
use std::fmt::Write as _;

/// What stands before the handles. Cython needs the kinds of types; their sizes it takes from the header.
const TYPES: &str = "
cdef extern from \"<mpi.h>\" nogil:
    \"\"\"
    #ifndef MPI_ABI_VERSION
    #error \"this mpi4py speaks the standard ABI of MPI 5.0: compile with its own mpicc, or with an mpi.h of that ABI\"
    #endif
    \"\"\"

    ctypedef long MPI_Aint
    ctypedef long long MPI_Offset
    ctypedef long long MPI_Count

    ctypedef struct MPI_Status:
        int MPI_SOURCE
        int MPI_TAG
        int MPI_ERROR
";

const NOT_HERE: [&str; 5] = [
    "MPI_Abi_get_fortran_booleans",
    "MPI_Abi_set_fortran_booleans",
    "MPI_Abi_set_fortran_info",
    "MPI_Psend_init_c",
    "MPI_Precv_init_c",
];

/// The whole file.
pub(crate) fn pxd(api: &Api) -> String {
    let mut text = format!("# {BANNER}\n# The C interface of the MPI-5.0 standard ABI, for Cython.\n{TYPES}\n");
    for (c, _) in api.handles.iter().filter(|(c, _)| !is_tool(c)) {
        let _ = writeln!(text, "    ctypedef struct {0}\n    ctypedef {0} *{c}", tag(c));
    }
    text.push_str("\n    # Callbacks\n");
    let callbacks: Vec<_> = api.callbacks.iter().filter(|f| !is_tool(&f.name)).collect();
    for form in callbacks.iter().flat_map(|f| f.forms()) {
        let _ = writeln!(text, "    ctypedef {} {}({})", returns(form.function), form.name(), params(api, form));
    }
    for (new, old) in api.aliases.iter().filter(|(new, _)| !is_tool(new)) {
        let _ = writeln!(text, "    ctypedef {old} {new}");
    }
    constants(api, &mut text);
    let mut chapter = "";
    for form in api.forms() {
        if is_tool(&form.function.name) || NOT_HERE.contains(&form.name().as_str()) {
            continue;
        }
        if chapter != form.function.chapter {
            chapter = &form.function.chapter;
            let _ = writeln!(text, "\n    # {chapter}");
        }
        let _ = writeln!(text, "    {} {}({})", returns(form.function), form.name(), params(api, form));
    }
    text
}

fn constants(api: &Api, text: &mut String) {
    let mut title = "";
    for constant in &api.constants {
        if is_tool(&constant.name) || is_tool(&constant.c_type) {
            continue;
        }
        if title != constant.title {
            title = &constant.title;
            let _ = writeln!(text, "\n    # {title}");
        }
        // An enumerator is a constant to Cython, and may stand for the length of an array.
        let declared = if constant.c_type == "int" { "enum:" } else { constant.c_type.as_str() };
        let space = if declared.ends_with('*') { "" } else { " " };
        let _ = writeln!(text, "    {declared}{space}{}", constant.name);
    }
}

fn is_tool(name: &str) -> bool {
    name.starts_with("MPI_T_")
}

fn returns(function: &Function) -> &str {
    function.returns.as_deref().unwrap_or("int")
}

fn params(api: &Api, form: Form<'_>) -> String {
    // The only name in the standard that is a word of Python's.
    let name = |name: &str| if name == "assert" { "assert_".to_owned() } else { name.to_owned() };
    let list: Vec<String> = form.params().map(|p| api.c_decl(p, form.large).replace('@', &name(&p.name))).collect();
    list.join(", ")
}
