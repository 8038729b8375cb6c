//! `mpi4py.MPI`: MPI for Python, over any library that speaks the MPI-5.0 standard ABI.
//!
//! Python objects come in, C functions of the standard are called; nothing here knows which
//! library answers. `README.md` beside this folder says where what is and how to add to it.
//!
//! MPI names are the interface of this crate: Python's users write `comm.Send`.
#![allow(non_snake_case, reason = "methods have the names that MPI and mpi4py give them")]
#![allow(unreachable_pub, reason = "the Python module is the only interface")]
#![allow(clippy::too_many_arguments, reason = "the MPI functions have as many")]
#![allow(clippy::needless_pass_by_value, reason = "arguments of Python methods arrive by value")]

mod args;
mod buffer;
mod call;
mod callback;
mod capi;
mod comm;
mod constants;
mod datatype;
mod dynproc;
mod environ;
mod errhandler;
mod error;
mod file;
mod group;
mod handle;
mod info;
mod init;
mod memory;
mod message;
mod message_objects;
mod news;
mod op;
mod pickle;
mod request;
mod session;
mod site;
mod special;
mod stacks;
mod status;
mod win;

use pyo3::prelude::*;

/// Message Passing Interface.
#[pymodule]
fn MPI(module: &Bound<'_, PyModule>) -> PyResult<()> {
    handle::remember_module(module);
    call::install_hooks();

    module.add_class::<datatype::Datatype>()?;
    module.add_class::<status::Status>()?;
    module.add_class::<request::Request>()?;
    module.add_class::<request::Prequest>()?;
    module.add_class::<request::Grequest>()?;
    request::pool::prepare(module.py())?;
    module.add_class::<message::Message>()?;
    module.add_class::<op::Op>()?;
    module.add_class::<group::Group>()?;
    module.add_class::<info::Info>()?;
    module.add_class::<errhandler::Errhandler>()?;
    module.add_class::<session::Session>()?;
    module.add_class::<comm::Comm>()?;
    comm::shortcut::install(module.py())?;
    module.add_class::<comm::Intracomm>()?;
    module.add_class::<comm::Topocomm>()?;
    module.add_class::<comm::Cartcomm>()?;
    module.add_class::<comm::Graphcomm>()?;
    module.add_class::<comm::Distgraphcomm>()?;
    module.add_class::<comm::Intercomm>()?;
    module.add_class::<win::Win>()?;
    module.add_class::<file::File>()?;
    module.add_class::<buffer::strided::Strided>()?;

    error::register(module)?;
    special::register(module)?;
    memory::register(module)?;
    datatype::register(module)?;
    constants::register(module)?;
    datatype::code::register_codes(module)?;
    environ::register(module)?;
    dynproc::register(module)?;
    capi::register(module)?;
    comm::context::register(module)?;
    module.add_function(wrap_pyfunction!(file::datarep::Register_datarep, module)?)?;
    pickle::register(module)?;
    callback::register(module)?;
    init::register(module)?;
    module.add_function(wrap_pyfunction!(comm::Compute_dims, module)?)?;

    init::start(module.py())
}
