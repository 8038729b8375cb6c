//! The one error type of the engine: an MPI error class and a sentence that names what the user
//! did, with the numbers, and the way out. The shim turns it into an integer code (MPI-5.0
//! chapter 9); nothing else in the project invents error codes.

use std::ffi::c_int;
use std::fmt;

/// What went wrong, as an MPI error class and one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// One of the `MPI_ERR_*` classes, or a class or code that the user added.
    pub class: c_int,
    /// The sentence; empty when the class says it all.
    pub text: String,
}

/// The result of every engine operation that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `class` (`MPI_ERR_*`) that says `text`.
    #[cold]
    pub fn new(class: c_int, text: impl Into<String>) -> Self {
        Self { class, text: text.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error class {}: {}", self.class, self.text)
    }
}

impl std::error::Error for Error {}
