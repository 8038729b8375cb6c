//! The functions to call, read from the table that everything else is generated from (api/), so that a
//! function cannot be forgotten.

use std::collections::HashMap;

const FUNCTIONS: &str = include_str!("../../../api/functions.txt");
const KINDS: &str = include_str!("../../../api/kinds.txt");
const CONSTANTS: &str = include_str!("../../../api/constants.txt");

/// The chapters that are called; a name stands for its parts too.
pub(crate) const CHAPTERS: &[&str] = &[
    "env",
    "errhandler",
    "abi",
    "handle",
    "p2p",
    "request",
    "status",
    "grequest",
    "buffer",
    "datatype",
    "address",
    "pack",
    "op",
    "coll",
    "comm",
    "naming",
    "attr",
    "topo",
    "group",
    "info",
    "session",
];

/// They end the process, by design.
const NEVER: &[&str] = &["MPI_Abort", "MPI_Finalize"];

pub(crate) struct Param {
    /// The word of functions.txt.
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    /// Bytes of the number, or of one element where it points to numbers.
    pub(crate) width: usize,
}

pub(crate) struct Function {
    /// With `_c` where it is that form.
    pub(crate) name: String,
    pub(crate) params: Vec<Param>,
    /// What it returns when that is no error code, in C.
    pub(crate) returns: Option<&'static str>,
}

impl Function {
    pub(crate) fn at(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|p| p.name == name)
    }
}

fn lines(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut section = "";
    text.lines().map(str::trim).filter_map(move |line| {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name;
            return None;
        }
        (!line.is_empty() && !line.starts_with('#')).then_some((section, line))
    })
}

/// Bytes of a number of each kind, in the plain and in the large form.
fn widths() -> HashMap<&'static str, [usize; 2]> {
    let width = |c: &str| if c.trim_start_matches("const ").starts_with("int ") { 4 } else { 8 };
    lines(KINDS)
        .map(|(_, line)| {
            let mut columns = line.split('|').map(str::trim);
            let (kind, plain) = (columns.next().unwrap_or(""), columns.next().unwrap_or(""));
            let large = columns.next().filter(|c| !c.is_empty()).unwrap_or(plain);
            (kind, [width(plain), width(large)])
        })
        .collect()
}

/// Both forms of all functions of the chapters.
pub(crate) fn functions() -> Vec<Function> {
    let widths = widths();
    let mut all = Vec::new();
    for (section, line) in lines(FUNCTIONS) {
        let (head, flags) = line.split_once(" : ").unwrap_or((line, ""));
        let (head, returns) = head.split_once(" -> ").map_or((head, None), |(h, r)| (h, Some(r.trim())));
        let Some((name, params)) = head.split_once('(').and_then(|(n, p)| Some((n, p.trim_end().strip_suffix(')')?)))
        else {
            continue;
        };
        let chapter = section.split('.').next().unwrap_or("");
        if !CHAPTERS.contains(&chapter) || NEVER.contains(&name) {
            continue;
        }
        for large in [false, true] {
            if large && !flags.split_whitespace().any(|f| f == "large") {
                continue;
            }
            let params = params.split(", ").filter(|p| !p.is_empty()).filter_map(|p| {
                let (kind, name) = p.split_once(' ').unwrap_or((p, ""));
                let only_large = kind.starts_with('+');
                let kind = kind.trim_start_matches('+');
                let width = widths.get(kind).map_or(8, |w| w[usize::from(large)]);
                (large || !only_large).then_some(Param { kind, name, width })
            });
            let name = if large { format!("{name}_c") } else { name.to_owned() };
            all.push(Function { name, params: params.collect(), returns });
        }
    }
    all
}

/// The values of the constants of a C type, by name.
pub(crate) fn constants(c_type: &str) -> HashMap<&'static str, i64> {
    lines(CONSTANTS)
        .filter(|(section, _)| section.split_once(": ").is_some_and(|(t, _)| t == c_type))
        .filter_map(|(_, line)| {
            let (name, value) = line.split_once(' ')?;
            let value = match value.trim().strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16).ok()?,
                None => value.trim().parse().ok()?,
            };
            Some((name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_as_it_is_meant() {
        let all = functions();
        let find = |name: &str| all.iter().find(|f| f.name == name).expect("is there");
        let (plain, large) = (find("MPI_Type_get_contents"), find("MPI_Type_get_contents_c"));
        assert_eq!((plain.params.len(), large.params.len()), (7, 9));
        assert_eq!((find("MPI_Send").params[1].width, find("MPI_Send_c").params[1].width), (4, 8));
        assert_eq!(find("MPI_Comm_toint").returns, Some("int"));
        assert!(all.iter().all(|f| f.params.len() <= crate::library::MOST_ARGUMENTS));
        assert_eq!(constants("MPI_Comm")["MPI_COMM_WORLD"], 0x101);
        assert!(all.len() > 460, "{}", all.len());
    }
}
