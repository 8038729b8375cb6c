//! Reductions (MPI-5.0 section 6.9): which operation takes which type, the loops, and operations of
//! users.
//!
//! - `predefined`: the operations and the types that they take
//! - `number`, `soft`, `x87`: what they do with two values
//! - `kernel`, `half`, `pairs`: the loops over rows of values
//! - `reduction`: ready to be applied; `table`: from handle to reduction
//!
//! Everywhere the first operand comes from the lower rank: `inout = a op inout`.

#[cfg(target_arch = "x86_64")]
mod half;
mod kernel;
mod number;
mod pairs;
mod predefined;
mod reduction;
pub(crate) mod soft;
mod table;
#[cfg(test)]
mod tests;
mod x87;

pub use kernel::Kernel;
pub use predefined::Operation;
pub use reduction::{Reduction, UserFunction};
pub use table::OpTable;
