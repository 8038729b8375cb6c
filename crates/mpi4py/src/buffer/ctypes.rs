//! Structured elements of ctypes: what a class of structures says of its fields. The format that
//! ctypes exports has no padding before Python 3.12, and none of packed structures.

use super::infer::{Found, by_format};
use super::made::Typed;
use super::record::{Content, Field, Record, once, refused};
use mpi_abi::Count;
use mpi_abi::consts as c;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

/// The class of structures or unions that the object is made of, if it is of ctypes: its own, or that of an array's
/// elements.
pub(super) fn class_of<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyType>> {
    let kinds = Kinds::new(object.py())?;
    let mut class = object.get_type();
    while class.is_subclass(&kinds.array).ok()? {
        class = class.getattr("_type_").ok()?.cast_into().ok()?;
    }
    let structured = class.is_subclass(&kinds.structure).ok()? || class.is_subclass(&kinds.union).ok()?;
    structured.then_some(class)
}

/// The datatype of such a class.
pub(super) fn of_class(class: &Bound<'_, PyType>) -> PyResult<Typed> {
    once(class, || {
        let py = class.py();
        let whose = format!("the ctypes structure {}", class.name()?);
        let Some(kinds) = Kinds::new(py) else { return Err(refused(&whose, "", "is not known")) };
        let content = match kinds.content(class, "", &whose)? {
            (content @ Content::Record(_), 1) => content,
            (element, count) => {
                let size = element.size() * count;
                Content::Record(Record { fields: vec![Field { name: String::new(), at: 0, count, element }], size })
            }
        };
        content.typed(py, &whose)
    })
}

struct Kinds<'py> {
    structure: Bound<'py, PyAny>,
    union: Bound<'py, PyAny>,
    array: Bound<'py, PyAny>,
    simple: Bound<'py, PyAny>,
    sizeof: Bound<'py, PyAny>,
}

impl<'py> Kinds<'py> {
    /// `None` while nobody has imported ctypes.
    fn new(py: Python<'py>) -> Option<Self> {
        let modules = py.import("sys").ok()?.getattr("modules").ok()?.cast_into::<PyDict>().ok()?;
        let ctypes = modules.get_item("_ctypes").ok()??;
        let get = |name: &str| ctypes.getattr(name).ok();
        Some(Self {
            structure: get("Structure")?,
            union: get("Union")?,
            array: get("Array")?,
            simple: get("_SimpleCData")?,
            sizeof: get("sizeof")?,
        })
    }

    fn size(&self, class: &Bound<'py, PyType>) -> PyResult<Count> {
        self.sizeof.call1((class,))?.extract()
    }

    /// What the class is, and how many of it side by side.
    fn content(&self, class: &Bound<'py, PyType>, path: &str, whose: &str) -> PyResult<(Content, Count)> {
        if class.is_subclass(&self.array)? {
            let of = class.getattr("_type_")?.cast_into::<PyType>()?;
            let length: Count = class.getattr("_length_")?.extract()?;
            let (element, count) = self.content(&of, path, whose)?;
            return Ok((element, count * length));
        }
        if class.is_subclass(&self.union)? {
            // Which of its fields counts is not known: its bytes.
            return Ok((Content::Basic(c::MPI_BYTE, 1), self.size(class)?));
        }
        if class.is_subclass(&self.structure)? {
            return Ok((Content::Record(self.record(class, path, whose)?), 1));
        }
        let refuse = |why: &str| Err(refused(whose, path, why));
        if !class.is_subclass(&self.simple)? {
            return refuse("is an address, which means nothing to another process");
        }
        let size = self.size(class)?;
        let other = if cfg!(target_endian = "little") { "__ctype_be__" } else { "__ctype_le__" };
        if size > 1 && class.getattr_opt(other)?.is_some_and(|other| other.is(class)) {
            return refuse("has the other byte order and no MPI datatype; send the bytes as they are ([a, MPI.BYTE])");
        }
        let code: String = class.getattr("_type_")?.extract()?;
        let datatype = match code.as_str() {
            "P" | "z" | "Z" | "X" => return refuse("is an address, which means nothing to another process"),
            "O" => {
                return refuse(
                    "is a Python object, which has no MPI datatype; use the lower-case methods, which pickle",
                );
            }
            "c" => c::MPI_CHAR,
            "u" => c::MPI_WCHAR,
            code => match by_format(code.as_bytes(), isize::try_from(size)?) {
                Found::Type(datatype) => datatype,
                _ => return refuse("has no MPI datatype"),
            },
        };
        Ok((Content::Basic(datatype, size), 1))
    }

    fn record(&self, class: &Bound<'py, PyType>, path: &str, whose: &str) -> PyResult<Record> {
        let mut fields = Vec::new();
        // Those of base classes come first.
        for base in class.mro().iter().rev() {
            let Some(own) =
                base.getattr("__dict__")?.call_method1("get", ("_fields_",)).ok().filter(|own| !own.is_none())
            else {
                continue;
            };
            for entry in own.try_iter()? {
                let entry = entry?.cast_into::<PyTuple>()?;
                let name: String = entry.get_item(0)?.extract()?;
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if entry.len() > 2 {
                    return Err(refused(whose, &path, "is a bit field; send the bytes as they are ([a, MPI.BYTE])"));
                }
                let at: Count = base.getattr(name.as_str())?.getattr("offset")?.extract()?;
                let (element, count) = self.content(&entry.get_item(1)?.cast_into()?, &path, whose)?;
                fields.push(Field { name, at, count, element });
            }
        }
        Ok(Record { fields, size: self.size(class)? })
    }
}
