//! Reads `api/` (its README.md describes the format) into a small model.
//!
//! Every generator and `coverage` start from here; nothing else reads these files.

use crate::Result;
use std::collections::BTreeMap;
use std::path::Path;

/// How one word of `functions.txt` is written in C and reaches the implementation.
#[derive(Debug)]
pub(crate) struct Kind {
    /// C declaration of the plain form, with `@` for the name.
    pub(crate) c: String,
    /// C declaration in the `_c` twin, where it differs.
    pub(crate) c_large: Option<String>,
    /// The type that hides the difference from the implementation (`shim/src/counts.rs`).
    pub(crate) wrapper: Option<String>,
}

/// One parameter of a function or a callback.
#[derive(Debug)]
pub(crate) struct Param {
    /// Its kind's word.
    pub(crate) kind: String,
    /// Its name; empty for `VARARGS`.
    pub(crate) name: String,
    /// Present in the `_c` twin only.
    pub(crate) large_only: bool,
}

/// A function (or a callback type), and its `_c` twin if it has one.
#[derive(Debug)]
pub(crate) struct Function {
    /// `MPI_Send`.
    pub(crate) name: String,
    /// `p2p.blocking`.
    pub(crate) chapter: String,
    /// In the order of the `_c` twin.
    pub(crate) params: Vec<Param>,
    /// What it returns when that is not an error code, in C.
    pub(crate) returns: Option<String>,
    /// There is a `_c` twin.
    pub(crate) large: bool,
    /// May be called before initialisation and after finalisation.
    pub(crate) anytime: bool,
    /// Deprecated by the standard.
    pub(crate) deprecated: bool,
    /// The implementation is told which form was called.
    pub(crate) form: bool,
}

/// One constant.
#[derive(Debug)]
pub(crate) struct Constant {
    /// `MPI_ANY_TAG`.
    pub(crate) name: String,
    /// Its C type: `int`, `MPI_Comm`, `void *`, ...
    pub(crate) c_type: String,
    /// The heading it stands under.
    pub(crate) title: String,
    /// Its value as written, or the name of another constant.
    pub(crate) value: Value,
}

/// What a constant is worth.
#[derive(Debug)]
pub(crate) enum Value {
    /// A number, and its text in the file.
    Number(i64, String),
    /// Another name for this constant.
    Alias(String),
}

/// All of `api/`.
#[derive(Debug, Default)]
pub(crate) struct Api {
    pub(crate) kinds: BTreeMap<String, Kind>,
    pub(crate) functions: Vec<Function>,
    pub(crate) callbacks: Vec<Function>,
    pub(crate) constants: Vec<Constant>,
    /// C name and Rust name of the handle types.
    pub(crate) handles: Vec<(String, String)>,
    /// C name and Rust name of the enumeration types.
    pub(crate) enums: Vec<(String, String)>,
    /// New name and old name of type aliases.
    pub(crate) aliases: Vec<(String, String)>,
}

/// One of the two forms of a function: what has a symbol of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form<'a> {
    pub(crate) function: &'a Function,
    pub(crate) large: bool,
}

impl Form<'_> {
    /// `MPI_Send` or `MPI_Send_c`.
    pub(crate) fn name(&self) -> String {
        let tail = if self.large { "_c" } else { "" };
        format!("{}{tail}", self.function.name)
    }

    /// The parameters that this form has.
    pub(crate) fn params(&self) -> impl Iterator<Item = &Param> {
        let large = self.large;
        self.function.params.iter().filter(move |p| large || !p.large_only)
    }
}

impl Function {
    /// The plain form and, where there is one, the `_c` form.
    pub(crate) fn forms(&self) -> impl Iterator<Item = Form<'_>> {
        [false, true].into_iter().filter(|&l| !l || self.large).map(|large| Form { function: self, large })
    }
}

impl Api {
    /// Reads the four files under `root/api`.
    pub(crate) fn read(root: &Path) -> Result<Api> {
        let mut api = Api::default();
        let dir = root.join("api");
        lines(&dir.join("kinds.txt"), |_, line| api.kind(line))?;
        lines(&dir.join("types.txt"), |section, line| api.type_line(section, line))?;
        lines(&dir.join("functions.txt"), |section, line| {
            let function = api.function(section, line)?;
            api.functions.push(function);
            Ok(())
        })?;
        lines(&dir.join("constants.txt"), |section, line| api.constant(section, line))?;
        Ok(api)
    }

    /// Every form of every function, in the order of the file.
    pub(crate) fn forms(&self) -> impl Iterator<Item = Form<'_>> {
        self.functions.iter().flat_map(Function::forms)
    }

    /// The C declaration (with `@`) of a parameter in this form.
    pub(crate) fn c_decl(&self, param: &Param, large: bool) -> &str {
        let kind = &self.kinds[&param.kind];
        match &kind.c_large {
            Some(c) if large => c,
            _ => &kind.c,
        }
    }

    fn kind(&mut self, line: &str) -> Result<()> {
        let mut columns = line.split('|').map(|c| Some(c.trim().to_owned()).filter(|c| !c.is_empty()));
        let (Some(Some(name)), Some(Some(c))) = (columns.next(), columns.next()) else {
            return Err("a kind needs a name and a C form".into());
        };
        let (c_large, wrapper) = (columns.next().flatten(), columns.next().flatten());
        if c_large.is_some() != wrapper.is_some() {
            return Err("a kind with two C forms needs a wrapper, and only such a kind".into());
        }
        self.kinds.insert(name, Kind { c, c_large, wrapper });
        Ok(())
    }

    fn type_line(&mut self, section: &str, line: &str) -> Result<()> {
        let two = |by: &str| {
            line.split_once(by)
                .map(|(a, b)| (a.trim().to_owned(), b.trim().to_owned()))
                .ok_or_else(|| format!("expected two names separated by '{by}'"))
        };
        match section {
            "handles" => self.handles.push(two(" ")?),
            "enums" => self.enums.push(two(" ")?),
            "aliases" => self.aliases.push(two("=")?),
            "callbacks" => {
                let callback = self.function(section, line)?;
                self.callbacks.push(callback);
            }
            _ => return Err(format!("unknown section [{section}]")),
        }
        Ok(())
    }

    fn function(&self, chapter: &str, line: &str) -> Result<Function> {
        let (head, flags) = line.split_once(" : ").unwrap_or((line, ""));
        let (head, returns) = match head.split_once(" -> ") {
            Some((head, returns)) => (head, Some(returns.trim().to_owned())),
            None => (head, None),
        };
        let (name, params) = head
            .split_once('(')
            .and_then(|(n, p)| Some((n.trim(), p.trim_end().strip_suffix(')')?)))
            .ok_or("expected name(KIND name, ...)")?;
        let params = params
            .split(',')
            .map(str::trim)
            .filter(|p| !p.is_empty())
            .map(|p| {
                let (kind, name) = p.split_once(' ').unwrap_or((p, ""));
                let large_only = kind.starts_with('+');
                let kind = kind.trim_start_matches('+').to_owned();
                if !self.kinds.contains_key(&kind) {
                    return Err(format!("unknown kind {kind}"));
                }
                Ok(Param { kind, name: name.to_owned(), large_only })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut function = Function {
            name: name.to_owned(),
            chapter: chapter.to_owned(),
            params,
            returns,
            large: false,
            anytime: false,
            deprecated: false,
            form: false,
        };
        for flag in flags.split_whitespace() {
            match flag {
                "large" => function.large = true,
                "anytime" => function.anytime = true,
                "deprecated" => function.deprecated = true,
                "form" => function.form = true,
                other => return Err(format!("unknown flag {other}")),
            }
        }
        Ok(function)
    }

    fn constant(&mut self, section: &str, line: &str) -> Result<()> {
        let (c_type, title) = section.split_once(": ").ok_or("expected [C type: title]")?;
        let (name, value) = line.split_once(' ').ok_or("expected a name and a value")?;
        let value = match value.trim().strip_prefix('=') {
            Some(alias) => Value::Alias(alias.trim().to_owned()),
            None => Value::Number(number(value.trim())?, value.trim().to_owned()),
        };
        self.constants.push(Constant {
            name: name.to_owned(),
            c_type: c_type.to_owned(),
            title: title.to_owned(),
            value,
        });
        Ok(())
    }
}

fn number(text: &str) -> Result<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .map_err(|e| format!("{text}: {e}"))
}

/// Calls `each(section, line)` for every line that is neither empty nor a comment.
fn lines(path: &Path, mut each: impl FnMut(&str, &str) -> Result<()>) -> Result<()> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut section = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            name.clone_into(&mut section);
            continue;
        }
        each(&section, line).map_err(|e| format!("{}:{}: {e}", path.display(), number + 1))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn api() -> Api {
        Api::read(&crate::root()).expect("api/ can be read")
    }

    #[test]
    fn the_abi_has_664_functions_of_which_161_are_large_count_forms() {
        let api = api();
        let names: BTreeSet<String> = api.forms().map(|f| f.name()).collect();
        assert_eq!(names.len(), 664);
        assert_eq!(names.iter().filter(|n| n.starts_with("MPI_T_")).count(), 51);
        assert_eq!(names.iter().filter(|n| n.ends_with("_c")).count(), 161);
    }

    #[test]
    fn every_kind_is_used_and_every_constant_has_its_own_name() {
        let api = api();
        let used: BTreeSet<&str> =
            api.functions.iter().chain(&api.callbacks).flat_map(|f| &f.params).map(|p| p.kind.as_str()).collect();
        let idle: Vec<_> = api.kinds.keys().filter(|k| !used.contains(k.as_str())).collect();
        assert!(idle.is_empty(), "kinds that nothing uses: {idle:?}");
        let names: BTreeSet<&str> = api.constants.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names.len(), api.constants.len());
    }

    #[test]
    fn a_twin_has_what_only_it_has() {
        let api = api();
        let envelope = api.functions.iter().find(|f| f.name == "MPI_Type_get_envelope").expect("is there");
        let lengths: Vec<usize> = envelope.forms().map(|f| f.params().count()).collect();
        assert_eq!(lengths, [5, 6]);
    }

    #[test]
    fn lines_that_say_nothing_are_refused_by_name() {
        let api = api();
        for (line, word) in [
            ("MPI_X(COUNT n", "expected name"),
            ("MPI_X(NONSENSE n)", "NONSENSE"),
            ("MPI_X() : sometimes", "sometimes"),
        ] {
            let error = api.function("chapter", line).expect_err(line);
            assert!(error.contains(word), "{error}");
        }
    }
}
