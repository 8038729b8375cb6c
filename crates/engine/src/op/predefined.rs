//! The predefined reductions and the types that each takes (MPI-5.0 sections 6.9.2 and 6.9.4).

use crate::datatype::{Group, Type};
use crate::error::{Error, Result};
use mpi_abi::Op;
use mpi_abi::consts::{self, MPI_ERR_OP};

macro_rules! operations {
    ($($name:ident $constant:ident),* $(,)?) => {
        /// A predefined reduction.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are MPI's own")]
        pub enum Operation {
            $($name,)*
        }

        impl Operation {
            /// The reduction with this handle.
            #[inline]
            pub fn of(op: Op) -> Option<Self> {
                Some(match op {
                    $(consts::$constant => Self::$name,)*
                    _ => return None,
                })
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($constant),)*
                }
            }
        }

        #[cfg(test)]
        pub(super) const ALL: &[Operation] = &[$(Operation::$name,)*];
    };
}

operations! {
    Sum MPI_SUM, Prod MPI_PROD, Max MPI_MAX, Min MPI_MIN, Band MPI_BAND, Bor MPI_BOR, Bxor MPI_BXOR,
    Land MPI_LAND, Lor MPI_LOR, Lxor MPI_LXOR, Minloc MPI_MINLOC, Maxloc MPI_MAXLOC,
    Replace MPI_REPLACE, NoOp MPI_NO_OP,
}

impl Operation {
    /// Whether it takes values of this group. Logical operations on addresses and counts are ours;
    /// the standard leaves them out.
    pub(super) fn takes(self, group: Group) -> bool {
        use Group::{Byte, CInteger, Complex, FInteger, Float, Logical, Multi};
        match self {
            Self::Max | Self::Min => matches!(group, CInteger | FInteger | Float | Multi),
            Self::Sum | Self::Prod => matches!(group, CInteger | FInteger | Float | Complex | Multi),
            Self::Land | Self::Lor | Self::Lxor => matches!(group, CInteger | Logical | Multi),
            Self::Band | Self::Bor | Self::Bxor => matches!(group, CInteger | FInteger | Byte | Multi),
            Self::Minloc | Self::Maxloc => false,
            Self::Replace | Self::NoOp => true,
        }
    }

    /// Whether the order of the operands does not matter.
    pub const fn is_commutative(self) -> bool {
        !matches!(self, Self::Replace | Self::NoOp)
    }
}

/// The error for an operation that does not take a type.
#[cold]
pub(super) fn mismatch(operation: Operation, kind: &Type) -> Error {
    let hint = match (kind.basic().map(|b| b.group), operation) {
        (_, Operation::Minloc | Operation::Maxloc) => "it takes pairs such as MPI_DOUBLE_INT",
        (None, _) if kind.pair().is_some() => "pairs are for MPI_MINLOC and MPI_MAXLOC",
        (None, _) => "predefined operations take predefined types only; MPI_Op_create makes one for others",
        (Some(Group::Char), _) => "characters are no numbers; MPI_SIGNED_CHAR and MPI_UNSIGNED_CHAR are",
        (Some(Group::Byte | Group::Packed), _) => "bytes are no numbers; MPI_UINT8_T is one",
        (Some(Group::Complex), Operation::Max | Operation::Min) => "complex numbers have no order",
        (Some(Group::Logical), _) => "truth values take MPI_LAND, MPI_LOR and MPI_LXOR",
        (Some(Group::FInteger), _) => "Fortran integers are no truth values; MPI_LOGICAL is",
        (Some(Group::Float | Group::Complex), Operation::Band | Operation::Bor | Operation::Bxor) => {
            "only integers and bytes have bits"
        }
        (Some(_), _) => "only integers and logicals are truth values",
    };
    let text = format!("{} is not defined for {}: {hint}", operation.name(), kind.describe());
    Error::new(MPI_ERR_OP, text)
}

/// The error for an operation that is for one-sided communication only.
#[cold]
pub(super) fn one_sided_only<T>(operation: Operation) -> Result<T> {
    let text = format!("{} is for one-sided communication only (MPI_Accumulate and its like)", operation.name());
    Err(Error::new(MPI_ERR_OP, text))
}
