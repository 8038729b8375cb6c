//! What can go wrong with memory, files and processes: one sentence with the numbers.

use std::fmt;

/// A failure below the MPI semantics; the engine maps it to an MPI error class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was tried, with the numbers, and the way out.
    pub text: String,
    /// `errno` of the call that failed, 0 where none did.
    pub errno: i32,
}

/// The result of operations of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with a text of its own.
    #[cold]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), errno: 0 }
    }

    /// An error of the last call to the operating system: `what` and why.
    #[cold]
    pub fn last_os(what: impl fmt::Display) -> Self {
        let cause = std::io::Error::last_os_error();
        Self { text: format!("{what}: {cause}"), errno: cause.raw_os_error().unwrap_or(0) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}
