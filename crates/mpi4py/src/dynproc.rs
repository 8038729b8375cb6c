//! Processes that are started or met while the program runs: spawn, ports, names. Chapters 11.7 to
//! 11.9 of the standard.

use crate::args::{self, length};
use crate::call::mpi_wait;
use crate::comm::{Intercomm, Intracomm, raw_of};
use crate::handle::H;
use crate::info::Info;
use mpi_abi as abi;
use mpi_abi::consts::{MPI_COMM_NULL, MPI_ERRCODES_IGNORE, MPI_INFO_NULL, MPI_MAX_PORT_NAME, MPI_SUCCESS};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use std::ffi::{CString, c_char, c_int};
use std::ptr;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(Open_port, module)?)?;
    module.add_function(wrap_pyfunction!(Close_port, module)?)?;
    module.add_function(wrap_pyfunction!(Publish_name, module)?)?;
    module.add_function(wrap_pyfunction!(Unpublish_name, module)?)?;
    module.add_function(wrap_pyfunction!(Lookup_name, module)?)
}

fn info_or_null(info: Option<H<Info>>) -> abi::Info {
    info.map_or(MPI_INFO_NULL, |info| info.0)
}

/// Open_port(info: Info = INFO_NULL) -> str
///
/// Open a port that other processes can connect to.
#[pyfunction]
#[pyo3(signature = (info = None))]
fn Open_port(py: Python<'_>, info: Option<H<Info>>) -> PyResult<String> {
    let (info, mut port) = (info_or_null(info), [0 as c_char; MPI_MAX_PORT_NAME as usize + 1]);
    let text = port.as_mut_ptr();
    mpi_wait!(py, MPI_Open_port(info, text))?;
    Ok(args::text(&port))
}

/// Close_port(port_name: str) -> None
///
/// Close a port.
#[pyfunction]
fn Close_port(py: Python<'_>, port_name: &str) -> PyResult<()> {
    let port = CString::new(port_name)?;
    let text = port.as_ptr();
    mpi_wait!(py, MPI_Close_port(text))
}

/// Publish_name(service_name: str, port_name: str, info: Info = INFO_NULL) -> None
///
/// Publish a port under the name of a service.
#[pyfunction]
#[pyo3(signature = (service_name, port_name, info = None))]
fn Publish_name(py: Python<'_>, service_name: &str, port_name: &str, info: Option<H<Info>>) -> PyResult<()> {
    let (service, port, info) = (CString::new(service_name)?, CString::new(port_name)?, info_or_null(info));
    let (service, port) = (service.as_ptr(), port.as_ptr());
    mpi_wait!(py, MPI_Publish_name(service, info, port))
}

/// Unpublish_name(service_name: str, port_name: str, info: Info = INFO_NULL) -> None
///
/// Take a published name back.
#[pyfunction]
#[pyo3(signature = (service_name, port_name, info = None))]
fn Unpublish_name(py: Python<'_>, service_name: &str, port_name: &str, info: Option<H<Info>>) -> PyResult<()> {
    let (service, port, info) = (CString::new(service_name)?, CString::new(port_name)?, info_or_null(info));
    let (service, port) = (service.as_ptr(), port.as_ptr());
    mpi_wait!(py, MPI_Unpublish_name(service, info, port))
}

/// Lookup_name(service_name: str, info: Info = INFO_NULL) -> str
///
/// Port that is published under the name of a service.
#[pyfunction]
#[pyo3(signature = (service_name, info = None))]
fn Lookup_name(py: Python<'_>, service_name: &str, info: Option<H<Info>>) -> PyResult<String> {
    let (service, info) = (CString::new(service_name)?, info_or_null(info));
    let mut port = [0 as c_char; MPI_MAX_PORT_NAME as usize + 1];
    let (service, text) = (service.as_ptr(), port.as_mut_ptr());
    mpi_wait!(py, MPI_Lookup_name(service, info, text))?;
    Ok(args::text(&port))
}

/// A command or an argument: text, bytes or a path object.
fn word(object: &Bound<'_, PyAny>) -> PyResult<CString> {
    let bytes = object.py().import("os")?.call_method1("fsencode", (object,))?;
    Ok(CString::new(bytes.cast::<PyBytes>()?.as_bytes())?)
}

/// Strings for C, as an array that ends with NULL.
struct Words {
    _words: Vec<CString>,
    pointers: Vec<*mut c_char>,
}

impl Words {
    /// The arguments of one command: a sequence, one string, or none.
    fn arguments(object: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let words = match object.filter(|object| !object.is_none()) {
            None => Vec::new(),
            Some(one) if one.is_instance_of::<PyString>() || one.is_instance_of::<PyBytes>() => vec![word(one)?],
            Some(many) => args::sequence(many, |item| word(&item))?,
        };
        let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
        pointers.push(ptr::null_mut());
        Ok(Self { _words: words, pointers })
    }

    fn pointer(&mut self) -> *mut *mut c_char {
        self.pointers.as_mut_ptr()
    }
}

/// Error codes of the processes to be started, if the caller wants them.
struct Codes(Vec<c_int>);

impl Codes {
    fn new(wanted: Option<&Bound<'_, PyList>>, maxprocs: &[c_int]) -> Self {
        let total =
            if wanted.is_none() { 0 } else { maxprocs.iter().map(|&one| usize::try_from(one).unwrap_or(0)).sum() };
        Self(vec![MPI_SUCCESS; total])
    }

    fn pointer(&mut self) -> *mut c_int {
        if self.0.is_empty() { MPI_ERRCODES_IGNORE } else { self.0.as_mut_ptr() }
    }
}

/// An argument that is there and not `None`.
fn given<'py>(object: Option<&Bound<'py, PyAny>>) -> Option<Bound<'py, PyAny>> {
    object.filter(|object| !object.is_none()).cloned()
}

#[pymethods]
impl Intracomm {
    /// Spawn(self, command: PathLike[AnyStr] | str | bytes, args: Sequence[str] | None = None, maxprocs: int = 1, info: Info = INFO_NULL, root: int = 0, errcodes: list[int] | None = None) -> Intercomm
    ///
    /// Start processes of a program and connect with them.
    #[pyo3(signature = (command, args = None, maxprocs = 1, info = None, root = 0, errcodes = None))]
    fn Spawn(
        slf: &Bound<'_, Self>,
        command: &Bound<'_, PyAny>,
        args: Option<&Bound<'_, PyAny>>,
        maxprocs: c_int,
        info: Option<H<Info>>,
        root: c_int,
        errcodes: Option<&Bound<'_, PyList>>,
    ) -> PyResult<Py<Intercomm>> {
        let (py, comm) = (slf.py(), raw_of(slf));
        let is_root = crate::comm::rank(py, comm)? == root;
        let command = if is_root { word(command)? } else { CString::default() };
        let mut arguments = Words::arguments(args.filter(|_| is_root))?;
        let (info, mut new) = (info_or_null(info), MPI_COMM_NULL);
        let mut codes = Codes::new(errcodes, &[maxprocs]);
        let (name, argv, places) = (command.as_ptr(), arguments.pointer(), codes.pointer());
        let done = mpi_wait!(py, MPI_Comm_spawn(name, argv, maxprocs, info, root, comm, &raw mut new, places));
        if let Some(errcodes) = errcodes {
            errcodes.set_slice(0, errcodes.len(), PyList::new(py, &codes.0)?.as_any())?;
        }
        done?;
        Intercomm::wrap(py, new)
    }

    /// Spawn_multiple(self, command: Sequence[PathLike[AnyStr] | str | bytes], args: Sequence[Sequence[str]] | None = None, maxprocs: Sequence[int] | None = None, info: Sequence[Info] | Info = INFO_NULL, root: int = 0, errcodes: list[list[int]] | None = None) -> Intercomm
    ///
    /// Start processes of several programs and connect with them.
    #[pyo3(signature = (command, args = None, maxprocs = None, info = None, root = 0, errcodes = None))]
    fn Spawn_multiple(
        slf: &Bound<'_, Self>,
        command: &Bound<'_, PyAny>,
        args: Option<&Bound<'_, PyAny>>,
        maxprocs: Option<&Bound<'_, PyAny>>,
        info: Option<&Bound<'_, PyAny>>,
        root: c_int,
        errcodes: Option<&Bound<'_, PyList>>,
    ) -> PyResult<Py<Intercomm>> {
        let (py, comm) = (slf.py(), raw_of(slf));
        let is_root = crate::comm::rank(py, comm)? == root;
        // Elsewhere than at the root only the sizes of the lists of error codes matter.
        let commands = match given(Some(command)) {
            Some(command) => args::sequence(&command, |item| word(&item))?,
            None if is_root => return Err(PyValueError::new_err("expecting a sequence of commands at the root")),
            None => Vec::new(),
        };
        let n = commands.len();
        let mut names: Vec<_> = commands.iter().map(|command| command.as_ptr().cast_mut()).collect();
        let mut arguments = match given(args) {
            None => (0..n).map(|_| Words::arguments(None)).collect::<PyResult<Vec<_>>>()?,
            Some(all) => args::sequence(&all, |item| Words::arguments(Some(&item)))?,
        };
        let procs = match given(maxprocs) {
            None => vec![1; n],
            Some(maxprocs) => match maxprocs.extract::<c_int>() {
                Ok(one) => vec![one; n],
                Err(_) => maxprocs.extract::<args::Ints>()?.0,
            },
        };
        let infos = match given(info) {
            None => vec![MPI_INFO_NULL; n],
            Some(one) if one.is_instance_of::<Info>() => vec![one.extract::<H<Info>>()?.0; n],
            Some(many) => args::sequence(&many, |item| Ok(item.extract::<H<Info>>()?.0))?,
        };
        for (what, length) in [("args", arguments.len()), ("maxprocs", procs.len()), ("info", infos.len())] {
            if is_root && length != n {
                return Err(PyValueError::new_err(format!(
                    "{what}: expecting {n} items, one for each command, got {length}"
                )));
            }
        }
        let mut argvs: Vec<_> = arguments.iter_mut().map(Words::pointer).collect();
        let mut codes = Codes::new(errcodes, &procs);
        let (count, mut new, places) = (length(n)?, MPI_COMM_NULL, codes.pointer());
        let (names, argvs, maxima, infos) = (names.as_mut_ptr(), argvs.as_mut_ptr(), procs.as_ptr(), infos.as_ptr());
        let done = mpi_wait!(
            py,
            MPI_Comm_spawn_multiple(count, names, argvs, maxima, infos, root, comm, &raw mut new, places)
        );
        if let Some(errcodes) = errcodes {
            let mut rest = codes.0.as_slice();
            let mut lists = Vec::with_capacity(n);
            for &one in &procs {
                let (these, others) = rest.split_at(usize::try_from(one).unwrap_or(0));
                lists.push(these.to_vec());
                rest = others;
            }
            errcodes.set_slice(0, errcodes.len(), PyList::new(py, lists)?.as_any())?;
        }
        done?;
        Intercomm::wrap(py, new)
    }

    /// Accept(self, port_name: str, info: Info = INFO_NULL, root: int = 0) -> Intercomm
    ///
    /// Wait for processes to connect to a port.
    #[pyo3(signature = (port_name, info = None, root = 0))]
    fn Accept(
        slf: &Bound<'_, Self>,
        port_name: Option<&str>,
        info: Option<H<Info>>,
        root: c_int,
    ) -> PyResult<Py<Intercomm>> {
        let (comm, port) = (raw_of(slf), CString::new(port_name.unwrap_or(""))?);
        let (info, mut new, text) = (info_or_null(info), MPI_COMM_NULL, port.as_ptr());
        mpi_wait!(slf.py(), MPI_Comm_accept(text, info, root, comm, &raw mut new))?;
        Intercomm::wrap(slf.py(), new)
    }

    /// Connect(self, port_name: str, info: Info = INFO_NULL, root: int = 0) -> Intercomm
    ///
    /// Connect to a port.
    #[pyo3(signature = (port_name, info = None, root = 0))]
    fn Connect(
        slf: &Bound<'_, Self>,
        port_name: Option<&str>,
        info: Option<H<Info>>,
        root: c_int,
    ) -> PyResult<Py<Intercomm>> {
        let (comm, port) = (raw_of(slf), CString::new(port_name.unwrap_or(""))?);
        let (info, mut new, text) = (info_or_null(info), MPI_COMM_NULL, port.as_ptr());
        mpi_wait!(slf.py(), MPI_Comm_connect(text, info, root, comm, &raw mut new))?;
        Intercomm::wrap(slf.py(), new)
    }
}
