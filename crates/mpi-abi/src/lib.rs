//! The MPI-5.0 standard ABI (chapter 20) in Rust: handle types, the status, constants and the
//! declarations of the 664 functions. No logic, no dependencies.
//!
//! The engine and the C functions (`crates/shim`) share the types; the Python extension
//! (`crates/mpi4py`) also calls through [`ffi`]. What is in `gen/` comes out of `api/` by
//! `cargo xtask generate`.

mod handle;
mod status;

#[path = "gen/constants.rs"]
pub mod consts;
#[path = "gen/functions.rs"]
#[allow(non_camel_case_types, reason = "callback types keep their MPI names")]
pub mod ffi;
#[path = "gen/names.rs"]
mod names;

pub use handle::{
    Comm, Datatype, Errhandler, File, Group, Info, Message, Op, Request, Session, TCbSafety, TCvarHandle, TEnum,
    TEventInstance, TEventRegistration, TPvarHandle, TPvarSession, TSourceOrder, Win,
};
pub use names::FUNCTION_NAMES;
pub use status::Status;

/// `MPI_Aint`: an address, or a difference of two.
pub type Aint = isize;
/// `MPI_Count`: a number of elements.
pub type Count = i64;
/// `MPI_Offset`: a position in a file.
pub type Offset = i64;

/// Handles below this value are the ABI's own (section 20.3); every other one was made by the library.
pub const FIRST_DYNAMIC_HANDLE: usize = 0x1000;
