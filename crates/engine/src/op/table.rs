//! From handle to reduction (MPI-5.0 sections 6.9.2 and 6.9.5). One [`OpTable`] lies in the engine.

use super::predefined::{Operation, one_sided_only};
use super::reduction::{Reduction, UserFunction};
use crate::datatype::TypeTable;
use crate::error::{Error, Result};
use crate::handle::{HandleTable, Kind};
use crate::objects::not_alive;
use mpi_abi::consts::{MPI_ERR_OP, MPI_OP_NULL};
use mpi_abi::{Datatype, Op};

/// An operation of the user.
#[derive(Debug, Clone, Copy)]
struct UserOp {
    function: UserFunction,
    commutative: bool,
}

/// All operations of the process.
pub struct OpTable {
    made: HandleTable<UserOp>,
}

impl Default for OpTable {
    fn default() -> Self {
        Self { made: HandleTable::new(Kind::Op) }
    }
}

impl OpTable {
    /// Makes an operation of a user's function (MPI_Op_create).
    pub fn create(&mut self, function: UserFunction, commutative: bool) -> Op {
        Op(self.made.insert(UserOp { function, commutative }))
    }

    /// Notes from now on where operations are made.
    pub(crate) fn track(&mut self) {
        self.made.track();
    }

    /// Where the operations were made that are still there.
    pub(crate) fn left_over(&self) -> impl Iterator<Item = u32> {
        self.made.made().map(|(_, site, _)| site)
    }

    /// Frees an operation of the user. Reductions under way keep theirs.
    pub fn free(&mut self, op: Op) -> Result<()> {
        if let Some(operation) = Operation::of(op) {
            let text = format!("{} is predefined and cannot be freed", operation.name());
            return Err(Error::new(MPI_ERR_OP, text));
        }
        self.made.remove(op.0).map(|_| ()).ok_or_else(|| self.unknown(op))
    }

    #[cold]
    fn unknown(&self, op: Op) -> Error {
        if op == MPI_OP_NULL {
            return Error::new(MPI_ERR_OP, "the operation is MPI_OP_NULL");
        }
        not_alive(MPI_ERR_OP, "reduction operation", self.made.why_stale(op.0), op.0)
    }

    /// Whether the order of the operands does not matter (MPI_Op_commutative).
    pub fn is_commutative(&self, op: Op) -> Result<bool> {
        match Operation::of(op) {
            Some(operation) => Ok(operation.is_commutative()),
            None => self.made.get(op.0).map(|u| u.commutative).ok_or_else(|| self.unknown(op)),
        }
    }

    /// The reduction that collectives and `Reduce_local` do with `op` on elements of `datatype`.
    #[inline]
    pub fn reduction(&self, types: &TypeTable, op: Op, datatype: Datatype) -> Result<Reduction> {
        let kind = types.committed(datatype)?;
        match Operation::of(op) {
            Some(operation @ (Operation::Replace | Operation::NoOp)) => one_sided_only(operation),
            Some(operation) => Reduction::predefined(operation, kind),
            None => {
                let UserOp { function, commutative } = *self.made.get(op.0).ok_or_else(|| self.unknown(op))?;
                Ok(Reduction::user(function, commutative, kind, datatype))
            }
        }
    }

    /// The predefined operation with this handle, which is all that one-sided communication takes.
    pub fn predefined(&self, op: Op) -> Result<Operation> {
        match Operation::of(op) {
            Some(operation) => Ok(operation),
            None if self.made.get(op.0).is_some() => {
                Err(Error::new(MPI_ERR_OP, "one-sided communication takes predefined operations only"))
            }
            None => Err(self.unknown(op)),
        }
    }

    /// Operations that the user made and has not freed (for leak reports).
    pub fn alive(&self) -> impl Iterator<Item = Op> {
        self.made.iter().map(|(raw, _)| Op(raw))
    }
}
