//! The predefined types that are one value each: representation, size, alignment, name, size in
//! external32 (MPI-5.0 sections 3.2.2, 14.5.2 and 20.3). Pairs for MINLOC and MAXLOC are in
//! `pairs`. All optional Fortran types are there: what a compiler may lack, our kernels do not.

use crate::p2p::unfit::{OBJECT, OBJECT_NAME};
use mpi_abi::Datatype;
use mpi_abi::consts;
use std::ffi::c_int;

/// How a value lies in memory; what reductions and conversions are chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Repr {
    /// Signed integers.
    I8,
    /// 16 bits.
    I16,
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
    /// 128 bits.
    I128,
    /// Unsigned integers.
    U8,
    /// 16 bits.
    U16,
    /// 32 bits.
    U32,
    /// 64 bits.
    U64,
    /// IEEE binary16.
    F16,
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
    /// `long double`: x87 extended on x86-64, binary128 elsewhere.
    Long,
    /// IEEE binary128.
    F128,
    /// Complex of binary16.
    C16,
    /// Complex of binary32.
    C32,
    /// Complex of binary64.
    C64,
    /// Complex of `long double`.
    CLong,
    /// Complex of binary128.
    C128,
    /// Truth values, by their width.
    L8,
    /// 16 bits.
    L16,
    /// 32 bits.
    L32,
    /// 64 bits.
    L64,
    /// 128 bits.
    L128,
    /// Uninterpreted bytes and characters.
    Bytes1,
    /// `wchar_t`.
    Wide,
}

impl Repr {
    /// Size in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::L8 | Self::Bytes1 => 1,
            Self::I16 | Self::U16 | Self::L16 | Self::F16 => 2,
            Self::I32 | Self::U32 | Self::L32 | Self::F32 | Self::C16 | Self::Wide => 4,
            Self::I64 | Self::U64 | Self::L64 | Self::F64 | Self::C32 => 8,
            Self::I128 | Self::L128 | Self::Long | Self::F128 | Self::C64 => 16,
            Self::CLong | Self::C128 => 32,
        }
    }

    /// Alignment in bytes, as gcc has it on x86-64 and aarch64.
    pub const fn align(self) -> usize {
        match self {
            Self::C16 | Self::C32 | Self::C64 | Self::CLong | Self::C128 => self.size() / 2,
            _ => self.size(),
        }
    }

    /// For a complex number the representation of its two parts.
    pub const fn part(self) -> Option<Self> {
        Some(match self {
            Self::C16 => Self::F16,
            Self::C32 => Self::F32,
            Self::C64 => Self::F64,
            Self::CLong => Self::Long,
            Self::C128 => Self::F128,
            _ => return None,
        })
    }
}

/// The groups of section 6.9.2 that say which reductions a type takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// C integer.
    CInteger,
    /// Fortran integer.
    FInteger,
    /// Floating point.
    Float,
    /// Logical.
    Logical,
    /// Complex.
    Complex,
    /// `MPI_BYTE`.
    Byte,
    /// `MPI_AINT`, `MPI_OFFSET`, `MPI_COUNT`.
    Multi,
    /// Printable characters, which no reduction takes.
    Char,
    /// `MPI_PACKED`.
    Packed,
}

/// A predefined type that is one value.
#[derive(Debug)]
pub struct Basic {
    /// Its handle.
    pub handle: Datatype,
    /// Its name.
    pub name: &'static str,
    /// How a value lies in memory.
    pub repr: Repr,
    /// What kind of value it is.
    pub group: Group,
    /// Bytes of a value in external32.
    pub external: usize,
}

impl Basic {
    /// Size in bytes.
    pub const fn size(&self) -> usize {
        self.repr.size()
    }

    /// The predefined type with this handle, unless it is a pair.
    pub fn of(handle: Datatype) -> Option<&'static Self> {
        BASICS.iter().find(|b| b.handle == handle)
    }
}

macro_rules! basics {
    ($($group:ident: $($name:ident $repr:ident $external:literal),+;)+) => {
        /// All of them, and that of objects.
        pub static BASICS: &[Basic] = &[$($(Basic {
            handle: consts::$name,
            name: stringify!($name),
            repr: Repr::$repr,
            group: Group::$group,
            external: $external,
        },)+)+
        Basic { handle: OBJECT, name: OBJECT_NAME, repr: Repr::Bytes1, group: Group::Byte, external: 1 }];
    };
}

basics! {
    CInteger:
        MPI_SIGNED_CHAR I8 1, MPI_SHORT I16 2, MPI_INT I32 4, MPI_LONG I64 4, MPI_LONG_LONG I64 8,
        MPI_UNSIGNED_CHAR U8 1, MPI_UNSIGNED_SHORT U16 2, MPI_UNSIGNED U32 4, MPI_UNSIGNED_LONG U64 4,
        MPI_UNSIGNED_LONG_LONG U64 8, MPI_INT8_T I8 1, MPI_INT16_T I16 2, MPI_INT32_T I32 4, MPI_INT64_T I64 8,
        MPI_UINT8_T U8 1, MPI_UINT16_T U16 2, MPI_UINT32_T U32 4, MPI_UINT64_T U64 8;
    FInteger:
        MPI_INTEGER I32 4, MPI_INTEGER1 I8 1, MPI_INTEGER2 I16 2, MPI_INTEGER4 I32 4, MPI_INTEGER8 I64 8,
        MPI_INTEGER16 I128 16;
    Float:
        MPI_FLOAT F32 4, MPI_DOUBLE F64 8, MPI_LONG_DOUBLE Long 16, MPI_REAL F32 4, MPI_DOUBLE_PRECISION F64 8,
        MPI_REAL2 F16 2, MPI_REAL4 F32 4, MPI_REAL8 F64 8, MPI_REAL16 F128 16;
    Logical:
        MPI_LOGICAL L32 4, MPI_C_BOOL L8 1, MPI_CXX_BOOL L8 1, MPI_LOGICAL1 L8 1, MPI_LOGICAL2 L16 2,
        MPI_LOGICAL4 L32 4, MPI_LOGICAL8 L64 8, MPI_LOGICAL16 L128 16;
    Complex:
        MPI_C_FLOAT_COMPLEX C32 8, MPI_C_DOUBLE_COMPLEX C64 16, MPI_C_LONG_DOUBLE_COMPLEX CLong 32,
        MPI_CXX_FLOAT_COMPLEX C32 8, MPI_CXX_DOUBLE_COMPLEX C64 16, MPI_CXX_LONG_DOUBLE_COMPLEX CLong 32,
        MPI_COMPLEX C32 8, MPI_DOUBLE_COMPLEX C64 16, MPI_COMPLEX4 C16 4, MPI_COMPLEX8 C32 8, MPI_COMPLEX16 C64 16,
        MPI_COMPLEX32 C128 32;
    Byte: MPI_BYTE Bytes1 1;
    Multi: MPI_AINT I64 8, MPI_OFFSET I64 8, MPI_COUNT I64 8;
    Char: MPI_CHAR Bytes1 1, MPI_CHARACTER Bytes1 1, MPI_WCHAR Wide 2;
    Packed: MPI_PACKED Bytes1 1;
}

/// A type class that the standard lacks; the number is the one of MPICH's header.
const TYPECLASS_LOGICAL: c_int = 191;

/// The Fortran type of this class and size (MPI_Type_match_size, section 19.1.9).
pub(super) fn match_size(class: c_int, size: usize) -> Option<&'static Basic> {
    let handle = match (class, size) {
        (consts::MPI_TYPECLASS_INTEGER, 1) => consts::MPI_INTEGER1,
        (consts::MPI_TYPECLASS_INTEGER, 2) => consts::MPI_INTEGER2,
        (consts::MPI_TYPECLASS_INTEGER, 4) => consts::MPI_INTEGER4,
        (consts::MPI_TYPECLASS_INTEGER, 8) => consts::MPI_INTEGER8,
        (consts::MPI_TYPECLASS_INTEGER, 16) => consts::MPI_INTEGER16,
        (consts::MPI_TYPECLASS_REAL, 2) => consts::MPI_REAL2,
        (consts::MPI_TYPECLASS_REAL, 4) => consts::MPI_REAL4,
        (consts::MPI_TYPECLASS_REAL, 8) => consts::MPI_REAL8,
        (consts::MPI_TYPECLASS_REAL, 16) => consts::MPI_REAL16,
        (consts::MPI_TYPECLASS_COMPLEX, 4) => consts::MPI_COMPLEX4,
        (consts::MPI_TYPECLASS_COMPLEX, 8) => consts::MPI_COMPLEX8,
        (consts::MPI_TYPECLASS_COMPLEX, 16) => consts::MPI_COMPLEX16,
        (consts::MPI_TYPECLASS_COMPLEX, 32) => consts::MPI_COMPLEX32,
        (TYPECLASS_LOGICAL, 1) => consts::MPI_LOGICAL1,
        (TYPECLASS_LOGICAL, 2) => consts::MPI_LOGICAL2,
        (TYPECLASS_LOGICAL, 4) => consts::MPI_LOGICAL4,
        (TYPECLASS_LOGICAL, 8) => consts::MPI_LOGICAL8,
        (TYPECLASS_LOGICAL, 16) => consts::MPI_LOGICAL16,
        _ => return None,
    };
    Basic::of(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_c_compiler() {
        use std::ffi::{c_long, c_short};
        let sizes = [
            (consts::MPI_SHORT, size_of::<c_short>()),
            (consts::MPI_INT, size_of::<c_int>()),
            (consts::MPI_LONG, size_of::<c_long>()),
            (consts::MPI_AINT, size_of::<mpi_abi::Aint>()),
            (consts::MPI_COUNT, size_of::<mpi_abi::Count>()),
            (consts::MPI_OFFSET, size_of::<mpi_abi::Offset>()),
            (consts::MPI_WCHAR, 4),
            (consts::MPI_LONG_DOUBLE, 16),
        ];
        for (handle, size) in sizes {
            assert_eq!(Basic::of(handle).map(Basic::size), Some(size), "{handle:?}");
        }
    }

    #[test]
    fn handles_are_all_different_and_a_match_has_the_size_asked_for() {
        let mut handles: Vec<_> = BASICS.iter().map(|b| b.handle).collect();
        handles.sort_unstable();
        handles.dedup();
        assert_eq!(handles.len(), BASICS.len());
        for size in [2, 4, 8, 16] {
            assert_eq!(match_size(consts::MPI_TYPECLASS_REAL, size).map(Basic::size), Some(size));
            assert_eq!(match_size(TYPECLASS_LOGICAL, size).map(Basic::size), Some(size));
        }
        assert!(match_size(consts::MPI_TYPECLASS_INTEGER, 3).is_none());
    }
}
