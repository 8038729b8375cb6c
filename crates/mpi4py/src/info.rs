//! `MPI.Info`: ordered lists of key and value, with the methods of a dictionary. Chapter 10 of the
//! standard.

use crate::args;
use crate::call::mpi;
use crate::handle::{self, Handle, handle_class, new_like};
use mpi_abi::consts::{MPI_INFO_NULL, MPI_MAX_INFO_KEY};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyString, PyTuple, PyType};
use std::ffi::{CString, c_char, c_int};
use std::ptr;

handle_class! { "Info object.", Info, MPI_INFO_NULL, argument = info, MPI_Info_toint, MPI_Info_fromint }

impl Info {
    /// The value of a key, if it is there.
    fn value(&self, py: Python<'_>, key: &str) -> PyResult<Option<String>> {
        let key = CString::new(key)?;
        let (mut length, mut found) = (0, 0);
        mpi!(py, MPI_Info_get_string(self.raw(), key.as_ptr(), &raw mut length, ptr::null_mut(), &raw mut found))?;
        if found == 0 {
            return Ok(None);
        }
        let mut value = vec![0 as c_char; usize::try_from(length).unwrap_or(0) + 1];
        let pointer = value.as_mut_ptr();
        mpi!(py, MPI_Info_get_string(self.raw(), key.as_ptr(), &raw mut length, pointer, &raw mut found))?;
        Ok(Some(args::text(&value)))
    }

    fn keys_of(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        if self.raw() == MPI_INFO_NULL {
            return Ok(Vec::new());
        }
        (0..self.Get_nkeys(py)?).map(|n| self.Get_nthkey(py, n)).collect()
    }

    fn pairs(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        let pair = |key: String| Ok((key.clone(), self.value(py, &key)?.unwrap_or_default()));
        self.keys_of(py)?.into_iter().map(pair).collect()
    }

    /// Sets all items of an info object, a mapping or an iterable of pairs.
    fn set_all(&self, py: Python<'_>, items: &Bound<'_, PyAny>) -> PyResult<()> {
        let pairs = if items.hasattr("keys")? { items.call_method0("items")? } else { items.clone() };
        for pair in pairs.try_iter()? {
            let (key, value): (String, String) = pair?.extract()?;
            self.Set(py, &key, &value)?;
        }
        Ok(())
    }
}

#[pymethods]
impl Info {
    /// Create(cls, items: Info | Mapping[str, str] | Iterable[tuple[str, str]] | None = None) -> Self
    ///
    /// Make an info object, with some items.
    #[classmethod]
    #[pyo3(signature = (items = None))]
    fn Create<'py>(cls: &Bound<'py, PyType>, items: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, Self>> {
        let mut raw = MPI_INFO_NULL;
        mpi!(cls.py(), MPI_Info_create(&raw mut raw))?;
        let info = new_like::<Self>(cls, raw)?;
        if let Some(items) = items
            && let Err(error) = info.get().set_all(cls.py(), items)
        {
            info.get().Free(cls.py())?;
            return Err(error);
        }
        Ok(info)
    }

    /// Create_env(cls, args: Sequence[str] | None = None) -> Self
    ///
    /// Make an info object that says how this process was started.
    #[classmethod]
    #[pyo3(signature = (args = None))]
    fn Create_env<'py>(cls: &Bound<'py, PyType>, args: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, Self>> {
        let words: Vec<String> = match args {
            None => Vec::new(),
            Some(args) if args.is_instance_of::<PyString>() => vec![args.extract()?],
            Some(args) => args.extract()?,
        };
        let words = words.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let mut argv: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
        argv.push(ptr::null_mut());
        let mut raw = MPI_INFO_NULL;
        let argc = args::length(words.len())?;
        mpi!(cls.py(), MPI_Info_create_env(argc, argv.as_mut_ptr(), &raw mut raw))?;
        new_like(cls, raw)
    }

    /// Free(self) -> None
    ///
    /// Free the info object.
    fn Free(&self, py: Python<'_>) -> PyResult<()> {
        let mut raw = self.raw();
        mpi!(py, MPI_Info_free(&raw mut raw))?;
        self.slot().set(raw);
        Ok(())
    }

    /// free(self) -> None
    ///
    /// Call `Free` if the info object is neither null nor predefined.
    fn free(&self, py: Python<'_>) -> PyResult<()> {
        crate::init::free_quietly(self, crate::handle::RawHandle::is_predefined, || self.Free(py))
    }

    /// Dup(self) -> Self
    ///
    /// Make an info object with the same items in the same order.
    fn Dup<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let mut raw = MPI_INFO_NULL;
        mpi!(slf.py(), MPI_Info_dup(slf.get().raw(), &raw mut raw))?;
        new_like(&slf.get_type(), raw)
    }

    /// Get(self, key: str) -> str | None
    ///
    /// Value of a key, or `None` when there is none.
    fn Get(&self, py: Python<'_>, key: &str) -> PyResult<Option<String>> {
        self.value(py, key)
    }

    /// Set(self, key: str, value: str) -> None
    ///
    /// Add a key and its value, or give a key another value.
    fn Set(&self, py: Python<'_>, key: &str, value: &str) -> PyResult<()> {
        let (key, value) = (CString::new(key)?, CString::new(value)?);
        mpi!(py, MPI_Info_set(self.raw(), key.as_ptr(), value.as_ptr()))
    }

    /// Delete(self, key: str) -> None
    ///
    /// Remove a key and its value.
    fn Delete(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        let key = CString::new(key)?;
        mpi!(py, MPI_Info_delete(self.raw(), key.as_ptr()))
    }

    /// Get_nkeys(self) -> int
    ///
    /// Number of keys.
    fn Get_nkeys(&self, py: Python<'_>) -> PyResult<c_int> {
        let mut count = 0;
        mpi!(py, MPI_Info_get_nkeys(self.raw(), &raw mut count))?;
        Ok(count)
    }

    /// Get_nthkey(self, n: int) -> str
    ///
    /// Key number `n`, counted from zero.
    fn Get_nthkey(&self, py: Python<'_>, n: c_int) -> PyResult<String> {
        let mut key = [0 as c_char; MPI_MAX_INFO_KEY as usize + 1];
        mpi!(py, MPI_Info_get_nthkey(self.raw(), n, key.as_mut_ptr()))?;
        Ok(args::text(&key))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        if self.raw() == MPI_INFO_NULL { Ok(0) } else { Ok(usize::try_from(self.Get_nkeys(py)?)?) }
    }

    fn __contains__(&self, py: Python<'_>, value: &str) -> PyResult<bool> {
        if self.raw() == MPI_INFO_NULL { Ok(false) } else { Ok(self.value(py, value)?.is_some()) }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.keys_of(py)?.into_pyobject(py)?.try_iter()
    }

    fn __getitem__(&self, py: Python<'_>, item: &str) -> PyResult<String> {
        self.get(py, item, None)?.ok_or_else(|| PyKeyError::new_err(item.to_owned()))
    }

    fn __setitem__(&self, py: Python<'_>, item: &str, value: &str) -> PyResult<()> {
        if self.raw() == MPI_INFO_NULL {
            return Err(PyKeyError::new_err(item.to_owned()));
        }
        self.Set(py, item, value)
    }

    fn __delitem__(&self, py: Python<'_>, item: &str) -> PyResult<()> {
        if !self.__contains__(py, item)? {
            return Err(PyKeyError::new_err(item.to_owned()));
        }
        self.Delete(py, item)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().raw().is_predefined() {
            return handle::reduce(slf);
        }
        let items = slf.get().pairs(slf.py())?;
        handle::recipe(slf.get_type().getattr("Create")?, PyTuple::new(slf.py(), [items])?)
    }

    /// get(self, key: str, default: str | None = None) -> str | None
    ///
    /// Value of a key, or the default when there is none.
    #[pyo3(signature = (key, default = None))]
    fn get(&self, py: Python<'_>, key: &str, default: Option<String>) -> PyResult<Option<String>> {
        if self.raw() == MPI_INFO_NULL {
            return Ok(default);
        }
        Ok(self.value(py, key)?.or(default))
    }

    /// keys(self) -> list[str]
    ///
    /// All keys.
    fn keys(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.keys_of(py)
    }

    /// values(self) -> list[str]
    ///
    /// All values, in the order of the keys.
    fn values(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        Ok(self.pairs(py)?.into_iter().map(|(_, value)| value).collect())
    }

    /// items(self) -> list[tuple[str, str]]
    ///
    /// All keys with their values.
    fn items(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        self.pairs(py)
    }

    /// update(self, items: Info | Mapping[str, str] | Iterable[tuple[str, str]] = (), **kwds: str) -> None
    ///
    /// Set all items of a mapping or an iterable of pairs, and the keyword arguments.
    #[pyo3(signature = (items = None, **kwds))]
    fn update(
        &self,
        py: Python<'_>,
        items: Option<&Bound<'_, PyAny>>,
        kwds: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        if self.raw() == MPI_INFO_NULL {
            return Err(PyKeyError::new_err("update of a null info object"));
        }
        if let Some(items) = items {
            self.set_all(py, items)?;
        }
        kwds.map_or(Ok(()), |kwds| self.set_all(py, kwds))
    }

    /// pop(self, key: str, *default: str) -> str
    ///
    /// Remove a key and return its value, or the default when there is none.
    #[pyo3(signature = (key, *default))]
    fn pop<'py>(&self, py: Python<'py>, key: &str, default: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        if default.len() > 1 {
            return Err(PyTypeError::new_err("pop expects a key and at most one default"));
        }
        if let Some(value) = self.get(py, key, None)? {
            self.Delete(py, key)?;
            return Ok(value.into_pyobject(py)?.into_any());
        }
        if default.is_empty() { Err(PyKeyError::new_err(key.to_owned())) } else { default.get_item(0) }
    }

    /// popitem(self) -> tuple[str, str]
    ///
    /// Remove the last key and return it with its value.
    fn popitem(&self, py: Python<'_>) -> PyResult<(String, String)> {
        let Some(key) = self.keys_of(py)?.pop() else {
            return Err(PyKeyError::new_err("popitem: the info object is empty"));
        };
        let value = self.value(py, &key)?.unwrap_or_default();
        self.Delete(py, &key)?;
        Ok((key, value))
    }

    /// copy(self) -> Self
    ///
    /// Make an info object with the same items.
    fn copy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        if slf.get().raw() == MPI_INFO_NULL {
            return new_like(&slf.get_type(), MPI_INFO_NULL);
        }
        Self::Dup(slf)
    }

    /// clear(self) -> None
    ///
    /// Remove all keys.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.keys_of(py)?.iter().try_for_each(|key| self.Delete(py, key))
    }
}
