//! Datatypes (MPI-5.0 chapter 5): what a type map means, compiled to copy plans.
//!
//! - `basic`, `pairs`: the predefined types
//! - `types`: a datatype; `build`, `array`: its constructors; `contents`: taking it apart
//! - `plan`: which bytes are data, as loops and lists; `walk`: going through them
//! - `pack`: packed form, from any byte on; `external`: external32
//! - `elements`, `signature`: counting and comparing basic values
//! - `table`: from handle to type
//!
//! A type is immutable and shared (`Arc<Type>`); operations under way keep theirs after the user
//! has freed the handle. Memory is touched in `user_buf`, `copy` and `external` alone.

mod array;
mod basic;
mod build;
mod contents;
mod elements;
mod external;
mod pack;
mod pairs;
mod plan;
pub(crate) mod region;
mod signature;
mod table;
mod types;
mod walk;

#[cfg(test)]
mod reference;

pub use basic::{BASICS, Basic, Group, Repr};
pub use contents::{Contents, Envelope};
pub use elements::EachBasic;
pub use pack::{PackCursor, UnpackCursor};
pub use signature::Signature;
pub use table::{TypeTable, message_size};
pub use types::Type;
pub(crate) use walk::Visit;
