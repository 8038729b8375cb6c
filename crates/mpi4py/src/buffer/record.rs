//! Structured elements: from the description of their fields to an MPI datatype. The description
//! comes from a dtype of NumPy (here) or from a format of the buffer protocol (`format`).
//!
//! The datatype has the fields in their order, each at its place; the gaps between them do not
//! travel, and the extent is the size of the element. So it has the type signature of a
//! `Create_struct` of the same fields.

use super::format::{self, Refusal};
use super::made::{Made, Typed, find_or};
use crate::call::mpi;
use mpi_abi::consts as c;
use mpi_abi::{Count, Datatype};
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an element consists of.
pub(super) enum Content {
    /// A predefined datatype, and its size.
    Basic(Datatype, Count),
    Record(Record),
}

/// Fields at their places.
pub(super) struct Record {
    pub(super) fields: Vec<Field>,
    pub(super) size: Count,
}

/// A field: one element or several side by side.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) at: Count,
    pub(super) count: Count,
    pub(super) element: Content,
}

impl Content {
    pub(super) fn size(&self) -> Count {
        match self {
            Self::Basic(_, size) => *size,
            Self::Record(record) => record.size,
        }
    }

    /// Appends numbers that describe the element and no other.
    fn describe(&self, key: &mut Vec<i64>) {
        match self {
            Self::Basic(datatype, size) => key.extend([0, datatype.raw() as i64, *size]),
            Self::Record(record) => {
                key.extend([1, record.size, record.fields.len() as i64]);
                for field in &record.fields {
                    key.extend([field.at, field.count]);
                    field.element.describe(key);
                }
            }
        }
    }

    /// The datatype; `whose` is for the text of errors.
    pub(super) fn typed(self, py: Python<'_>, whose: &str) -> PyResult<Typed> {
        let record = match self {
            Self::Basic(datatype, _) => return Ok(datatype.into()),
            Self::Record(record) => record,
        };
        if let [Field { at: 0, count: 1, element: Self::Basic(datatype, size), .. }] = record.fields[..]
            && size == record.size
        {
            return Ok(datatype.into());
        }
        record.no_overlap(whose)?;
        let element = Self::Record(record);
        let mut key = vec![KEY];
        element.describe(&mut key);
        let Self::Record(record) = element else { return Err(refused(whose, "", "has no fields")) };
        Ok(find_or(&key, || record.make(py))?.into())
    }
}

/// First number of the keys of this file's datatypes.
const KEY: i64 = 1;

impl Record {
    /// Refuses fields that share bytes: MPI cannot receive into them.
    fn no_overlap(&self, whose: &str) -> PyResult<()> {
        let mut order: Vec<&Field> =
            self.fields.iter().filter(|field| field.count * field.element.size() > 0).collect();
        order.sort_by_key(|field| field.at);
        for pair in order.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if first.at + first.count * first.element.size() > second.at {
                return Err(PyTypeError::new_err(format!(
                    "{whose}: the fields '{}' and '{}' share bytes, which an MPI datatype cannot describe; send the \
                     bytes as they are ([a, MPI.BYTE]), or only some of the fields (a[['{}']])",
                    first.name, second.name, first.name
                )));
            }
        }
        for field in &self.fields {
            if let Content::Record(inner) = &field.element {
                inner.no_overlap(whose)?;
            }
        }
        Ok(())
    }

    fn make(&self, py: Python<'_>) -> PyResult<Made> {
        let (mut inner, mut types) = (Vec::new(), Vec::new());
        for field in &self.fields {
            types.push(match &field.element {
                Content::Basic(datatype, _) => *datatype,
                Content::Record(record) => {
                    let made = record.make(py)?;
                    let raw = made.raw();
                    inner.push(made);
                    raw
                }
            });
        }
        let counts: Vec<Count> = self.fields.iter().map(|field| field.count).collect();
        let places: Vec<Count> = self.fields.iter().map(|field| field.at).collect();
        let (n, mut packed, mut raw) = (types.len() as Count, c::MPI_DATATYPE_NULL, c::MPI_DATATYPE_NULL);
        let (counts, places, types) = (counts.as_ptr(), places.as_ptr(), types.as_ptr());
        mpi!(py, MPI_Type_create_struct_c(n, counts, places, types, &raw mut packed))?;
        let resized = mpi!(py, MPI_Type_create_resized_c(packed, 0, self.size, &raw mut raw));
        mpi!(py, MPI_Type_free(&raw mut packed))?;
        resized?;
        // The inner ones are freed here: what was made of them stays.
        Made::new(py, raw)
    }
}

/// The error for an element, or the field `field` of one, with which something is wrong.
#[cold]
pub(super) fn refused(whose: &str, field: &str, why: &str) -> PyErr {
    let place = if field.is_empty() { String::new() } else { format!("the field '{field}' of ") };
    PyTypeError::new_err(format!("{place}{whose} {why}"))
}

/// Datatypes of dtypes and classes that were asked for last: finding one again takes no Python code.
static KNOWN: Mutex<Vec<(Py<PyAny>, Typed)>> = Mutex::new(Vec::new());
const KNOWN_MOST: usize = 16;

fn known() -> MutexGuard<'static, Vec<(Py<PyAny>, Typed)>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `find` says about an object that never changes; asked once as long as the object is among the last ones.
pub(super) fn once(object: &Bound<'_, PyAny>, find: impl FnOnce() -> PyResult<Typed>) -> PyResult<Typed> {
    if let Some((_, typed)) = known().iter().find(|(known, _)| known.is(object)) {
        return Ok(typed.clone());
    }
    let typed = find()?;
    let mut known = known();
    let oldest = (known.len() >= KNOWN_MOST).then(|| known.remove(0));
    known.push((object.clone().unbind(), typed.clone()));
    // Nothing is freed while the list is locked.
    drop(known);
    drop(oldest);
    Ok(typed)
}

/// MPI is about to end. If the interpreter is gone, its objects are left to themselves.
pub(super) fn end() {
    let known = std::mem::take(&mut *known());
    for (object, typed) in known {
        drop(typed);
        if crate::init::interpreter_is_gone() {
            std::mem::forget(object);
        }
    }
}

/// The datatype of a dtype of NumPy.
pub(super) fn of_dtype(dtype: &Bound<'_, PyAny>) -> PyResult<Typed> {
    once(dtype, || {
        let whose = format!("dtype {}", name(dtype));
        content(dtype, "", &whose)?.typed(dtype.py(), &whose)
    })
}

/// The datatype of a format of the buffer protocol.
pub(super) fn of_format(py: Python<'_>, format: &str, size: isize) -> PyResult<Typed> {
    let whose = format!("format '{format}'");
    match format::parse(format.as_bytes(), size as Count) {
        Ok(content) => content.typed(py, &whose),
        Err(Refusal::Swapped(field)) => Err(swapped(&whose, &field, "")),
        Err(Refusal::Objects(field)) => Err(refused(&whose, &field, OBJECTS)),
        Err(Refusal::NoType(field)) => Err(refused(&whose, &field, NO_TYPE)),
        Err(Refusal::Unclear) => Err(refused(&whose, "", &format!("with elements of {size} bytes {NO_TYPE}"))),
    }
}

/// As NumPy writes it in an array: `'>f8'`, `[('a', '<i4'), ('b', '<f8', (3,))]`.
pub(super) fn name(dtype: &Bound<'_, PyAny>) -> String {
    let text = || -> PyResult<String> {
        if dtype.getattr("names")?.is_none() {
            let code: String = dtype.getattr("str")?.extract()?;
            // Types of other packages are all '<V2' to this attribute.
            let name: String = dtype.getattr("name")?.extract()?;
            return Ok(if code.contains('V') && !name.starts_with("void") { name } else { format!("'{code}'") });
        }
        Ok(dtype.str()?.to_string())
    };
    text().unwrap_or_else(|_| String::from("of this array"))
}

/// `path` is the name of the field that the dtype belongs to, with those around it.
fn content(dtype: &Bound<'_, PyAny>, path: &str, whose: &str) -> PyResult<Content> {
    let size: Count = dtype.getattr("itemsize")?.extract()?;
    let names = dtype.getattr("names")?;
    if let Ok(names) = names.cast::<PyTuple>() {
        let all = dtype.getattr("fields")?;
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let entry = all.get_item(&name)?;
            let (inner, at): (Bound<'_, PyAny>, Count) = (entry.get_item(0)?, entry.get_item(1)?.extract()?);
            let name = name.cast::<PyString>()?.to_cow()?.into_owned();
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            fields.push(field(&inner, name, at, &path, whose)?);
        }
        return Ok(Content::Record(Record { fields, size }));
    }
    let kind: String = dtype.getattr("kind")?.extract()?;
    let order: String = dtype.getattr("byteorder")?.extract()?;
    if order == if cfg!(target_endian = "little") { ">" } else { "<" } {
        let code: String = dtype.getattr("str")?.extract()?;
        return Err(swapped(whose, path, code.get(1..).unwrap_or_default()));
    }
    let several = |datatype, each: Count| {
        let fields =
            vec![Field { name: String::new(), at: 0, count: size / each, element: Content::Basic(datatype, each) }];
        Content::Record(Record { fields, size })
    };
    Ok(match kind.as_str() {
        "b" | "i" | "u" | "f" | "c" => {
            let code: String = dtype.getattr("char")?.extract()?;
            match super::infer::by_format(code.as_bytes(), isize::try_from(size)?) {
                super::infer::Found::Type(datatype) => Content::Basic(datatype, size),
                _ => return Err(refused(whose, path, NO_TYPE)),
            }
        }
        "S" => several(c::MPI_CHAR, 1),
        "U" => several(c::MPI_WCHAR, 4),
        "m" | "M" => Content::Basic(c::MPI_INT64_T, size),
        "O" => return Err(refused(whose, path, OBJECTS)),
        // Types of other packages have this kind as well, but not this class.
        "V" if dtype.getattr("type")?.getattr("__module__")?.extract::<String>()? == "numpy" => several(c::MPI_BYTE, 1),
        _ => return Err(refused(whose, path, NO_TYPE)),
    })
}

const NO_TYPE: &str = "has no MPI datatype; say which one to use ([a, MPI.BYTE]: the bytes as they are), convert the \
     array (a.astype(float)), or send() it as an object";

const OBJECTS: &str = "holds Python objects, which have no MPI datatype; use the lower-case methods, which pickle \
     (comm.send, comm.bcast ...), or convert the array (a.astype(float), a[['x', 'y']])";

/// The error for bytes in the other order; `code` is the dtype's without it.
#[cold]
fn swapped(whose: &str, field: &str, code: &str) -> PyErr {
    let how = if field.is_empty() && !code.is_empty() {
        format!("a.astype('={code}')")
    } else {
        String::from("a.astype(a.dtype.newbyteorder('='))")
    };
    let place = if field.is_empty() { String::new() } else { format!("the field '{field}' of ") };
    PyBufferError::new_err(format!(
        "{place}{whose} has no MPI datatype, its byte order is not this machine's; use {how}, or send() it as an object"
    ))
}

fn field(dtype: &Bound<'_, PyAny>, name: String, at: Count, path: &str, whose: &str) -> PyResult<Field> {
    let Ok(sub) = dtype.getattr("subdtype")?.cast_into::<PyTuple>() else {
        return Ok(Field { name, at, count: 1, element: content(dtype, path, whose)? }.simplified());
    };
    // An array in a field: its own elements may be arrays again.
    let (base, shape): (Bound<'_, PyAny>, Vec<Count>) = (sub.get_item(0)?, sub.get_item(1)?.extract()?);
    let inner = field(&base, name, at, path, whose)?;
    Ok(Field { count: inner.count * shape.iter().product::<Count>(), ..inner })
}

impl Field {
    /// A record of one kind of basic elements without gaps is as many of these.
    fn simplified(self) -> Self {
        match self.element {
            Content::Record(Record { ref fields, size }) => match fields[..] {
                [Field { at: 0, count, element: Content::Basic(datatype, each), .. }] if count * each == size => {
                    Self { count: self.count * count, element: Content::Basic(datatype, each), ..self }
                }
                _ => self,
            },
            Content::Basic(..) => self,
        }
    }
}
