//! Names of types and windows (MPI-5.0 section 7.8): those of the predefined types, and those that
//! users gave, by handle. Communicators carry their names themselves.

use mpi_abi::Datatype;
use mpi_abi::consts::{self, MPI_MAX_OBJECT_NAME};
use std::collections::HashMap;

/// Names that users gave.
#[derive(Debug, Default)]
pub struct Names {
    given: HashMap<usize, String>,
}

impl Names {
    /// The name that a user gave to the object with this handle.
    pub fn get(&self, handle: usize) -> Option<&str> {
        self.given.get(&handle).map(String::as_str)
    }

    /// Names an object.
    pub fn set(&mut self, handle: usize, name: &str) {
        self.given.insert(handle, fit(name).to_owned());
    }

    /// Forgets the name of an object that is gone.
    pub fn forget(&mut self, handle: usize) {
        self.given.remove(&handle);
    }
}

/// `name`, cut to what C's buffers for names can hold.
pub fn fit(name: &str) -> &str {
    let longest = usize::try_from(MPI_MAX_OBJECT_NAME - 1).unwrap_or(0);
    cut(name, longest)
}

/// The longest beginning of `text` that has whole characters and at most `longest` bytes.
pub fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

macro_rules! type_names {
    ($($name:ident)*) => {
        /// The MPI name of a predefined type.
        pub fn predefined_type(datatype: Datatype) -> Option<&'static str> {
            Some(match datatype {
                $(consts::$name => stringify!($name),)*
                _ => return None,
            })
        }
    };
}

type_names! {
    MPI_DATATYPE_NULL MPI_AINT MPI_COUNT MPI_OFFSET MPI_PACKED MPI_BYTE MPI_CHAR MPI_SIGNED_CHAR MPI_UNSIGNED_CHAR
    MPI_SHORT MPI_INT MPI_LONG MPI_LONG_LONG MPI_UNSIGNED_SHORT MPI_UNSIGNED MPI_UNSIGNED_LONG MPI_UNSIGNED_LONG_LONG
    MPI_FLOAT MPI_DOUBLE MPI_LONG_DOUBLE MPI_C_BOOL MPI_WCHAR
    MPI_INT8_T MPI_INT16_T MPI_INT32_T MPI_INT64_T MPI_UINT8_T MPI_UINT16_T MPI_UINT32_T MPI_UINT64_T
    MPI_C_FLOAT_COMPLEX MPI_C_DOUBLE_COMPLEX MPI_C_LONG_DOUBLE_COMPLEX
    MPI_CXX_BOOL MPI_CXX_FLOAT_COMPLEX MPI_CXX_DOUBLE_COMPLEX MPI_CXX_LONG_DOUBLE_COMPLEX
    MPI_FLOAT_INT MPI_DOUBLE_INT MPI_LONG_INT MPI_2INT MPI_SHORT_INT MPI_LONG_DOUBLE_INT
    MPI_2REAL MPI_2DOUBLE_PRECISION MPI_2INTEGER
    MPI_LOGICAL MPI_INTEGER MPI_REAL MPI_COMPLEX MPI_DOUBLE_PRECISION MPI_DOUBLE_COMPLEX MPI_CHARACTER
    MPI_LOGICAL1 MPI_LOGICAL2 MPI_LOGICAL4 MPI_LOGICAL8 MPI_LOGICAL16
    MPI_INTEGER1 MPI_INTEGER2 MPI_INTEGER4 MPI_INTEGER8 MPI_INTEGER16
    MPI_REAL2 MPI_REAL4 MPI_REAL8 MPI_REAL16
    MPI_COMPLEX4 MPI_COMPLEX8 MPI_COMPLEX16 MPI_COMPLEX32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_predefined_type_has_its_own_name() {
        assert_eq!(predefined_type(consts::MPI_LONG_LONG_INT), Some("MPI_LONG_LONG"));
        assert_eq!(predefined_type(consts::MPI_2INT), Some("MPI_2INT"));
        assert_eq!(predefined_type(Datatype(0x7654_3210)), None);
        let named = (0x200..0x300).filter(|raw| predefined_type(Datatype(*raw)).is_some()).count();
        assert_eq!(named, 71);
    }

    #[test]
    fn long_names_are_cut_at_a_whole_character() {
        let mut names = Names::default();
        names.set(0x2000, &"ü".repeat(100));
        assert_eq!(names.get(0x2000).map(str::len), Some(126));
        names.forget(0x2000);
        assert_eq!(names.get(0x2000), None);
    }
}
