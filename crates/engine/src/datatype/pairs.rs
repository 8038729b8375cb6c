//! Predefined types beyond single values: pairs of value and index for MINLOC and MAXLOC (MPI-5.0
//! section 6.9.4), and the types that Fortran's kinds select (section 19.1.9). None of them is ever
//! freed; `table` keeps one of each.

use super::basic::Basic;
use super::build::value;
use super::plan::{List, Plan};
use super::signature::Signature;
use super::types::{Bounds, Call, Type};
use crate::error::{Error, Result};
use mpi_abi::Datatype;
use mpi_abi::consts::{
    self, MPI_COMBINER_F90_COMPLEX, MPI_COMBINER_F90_INTEGER, MPI_COMBINER_F90_REAL, MPI_ERR_ARG, MPI_UNDEFINED,
};
use std::ffi::c_int;

macro_rules! named {
    ($($name:ident = $value:ident, $index:ident;)*) => {
        /// The pairs that have names: handle, name, value, index.
        pub(super) const NAMED: &[(Datatype, &str, Datatype, Datatype)] =
            &[$((consts::$name, stringify!($name), consts::$value, consts::$index),)*];
    };
}

named! {
    MPI_FLOAT_INT = MPI_FLOAT, MPI_INT;
    MPI_DOUBLE_INT = MPI_DOUBLE, MPI_INT;
    MPI_LONG_INT = MPI_LONG, MPI_INT;
    MPI_2INT = MPI_INT, MPI_INT;
    MPI_SHORT_INT = MPI_SHORT, MPI_INT;
    MPI_LONG_DOUBLE_INT = MPI_LONG_DOUBLE, MPI_INT;
    MPI_2REAL = MPI_REAL, MPI_REAL;
    MPI_2DOUBLE_PRECISION = MPI_DOUBLE_PRECISION, MPI_DOUBLE_PRECISION;
    MPI_2INTEGER = MPI_INTEGER, MPI_INTEGER;
}

impl Type {
    /// The C structure of `value` and `index`.
    pub(super) fn pair_of(value: &'static Basic, index: &'static Basic, named: (Datatype, &'static str)) -> Self {
        let align = value.repr.align().max(index.repr.align());
        let at = value.size().next_multiple_of(index.repr.align());
        let end = at + index.size();
        let bounds = Bounds {
            lb: 0,
            ub: end.next_multiple_of(align) as i64,
            true_lb: 0,
            true_ub: end as i64,
            marked: false,
            align,
        };
        let mut plan = List::default();
        plan.push(0, &Plan::run(value.size()));
        plan.push(at as isize, &Plan::run(index.size()));
        let signature = Signature::of(value).then(Signature::of(index));
        Self::new(Call::Pair { value, index, at, named }, bounds, signature, plan.finish())
    }

    /// The Fortran type of kind `(p, r)`.
    pub(super) fn f90(combiner: c_int, p: c_int, r: c_int) -> Result<Self> {
        f90_basic(combiner, p, r).map(|basic| value(basic).made_by(Call::F90 { combiner, p, r, basic }))
    }
}

/// What gfortran selects on this platform: the smallest kind that has `p` decimal digits and an
/// exponent range of `r`. MPI_UNDEFINED asks for nothing.
fn f90_basic(combiner: c_int, p: c_int, r: c_int) -> Result<&'static Basic> {
    // Digits and range of binary32, binary64, x87 extended and binary128 (Fortran's PRECISION and RANGE).
    let extended = cfg!(target_arch = "x86_64");
    let reals = [(6, 37, 0), (15, 307, 1), (18, 4931, if extended { 2 } else { 3 }), (33, 4931, 3)];
    let integers = [
        (2, consts::MPI_INTEGER1),
        (4, consts::MPI_INTEGER2),
        (9, consts::MPI_INTEGER4),
        (18, consts::MPI_INTEGER8),
        (38, consts::MPI_INTEGER16),
    ];
    let real = [consts::MPI_REAL4, consts::MPI_REAL8, consts::MPI_LONG_DOUBLE, consts::MPI_REAL16];
    let complex =
        [consts::MPI_COMPLEX8, consts::MPI_COMPLEX16, consts::MPI_C_LONG_DOUBLE_COMPLEX, consts::MPI_COMPLEX32];
    let enough = |have: c_int, asked: c_int| asked == MPI_UNDEFINED || (asked <= have);
    let (what, found) = match combiner {
        MPI_COMBINER_F90_INTEGER => {
            ("an integer", integers.iter().find(|(range, _)| r != MPI_UNDEFINED && enough(*range, r)).map(|i| i.1))
        }
        _ if p == MPI_UNDEFINED && r == MPI_UNDEFINED => ("a number of undefined kind", None),
        _ => {
            let kind = reals.iter().find(|(digits, range, _)| enough(*digits, p) && enough(*range, r));
            let table = if combiner == MPI_COMBINER_F90_COMPLEX { complex } else { real };
            ("a number", kind.map(|k| table[k.2]))
        }
    };
    debug_assert!([MPI_COMBINER_F90_INTEGER, MPI_COMBINER_F90_REAL, MPI_COMBINER_F90_COMPLEX].contains(&combiner));
    found.and_then(Basic::of).ok_or_else(|| {
        let show = |v: c_int| if v == MPI_UNDEFINED { "any".to_owned() } else { v.to_string() };
        let text = format!("Fortran has no kind for {what} of {} digits and decimal range {}", show(p), show(r));
        Error::new(MPI_ERR_ARG, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_have_the_layout_of_the_c_structure() {
        #[repr(C)]
        struct DoubleInt(f64, c_int);
        #[repr(C)]
        struct ShortInt(i16, c_int);
        let pair = |value, index| {
            let (value, index) = (Basic::of(value).expect("basic"), Basic::of(index).expect("basic"));
            Type::pair_of(value, index, (consts::MPI_2INT, "any"))
        };
        let double_int = pair(consts::MPI_DOUBLE, consts::MPI_INT);
        assert_eq!((double_int.size(), double_int.extent() as usize), (12, size_of::<DoubleInt>()));
        let short_int = pair(consts::MPI_SHORT, consts::MPI_INT);
        assert_eq!((short_int.size(), short_int.extent() as usize), (6, size_of::<ShortInt>()));
        assert_eq!(short_int.true_extent(), 8);
        let long_double_int = pair(consts::MPI_LONG_DOUBLE, consts::MPI_INT);
        assert_eq!((long_double_int.size(), long_double_int.extent()), (20, 32));
    }

    #[test]
    fn kinds_are_the_smallest_that_suffice() {
        let size = |combiner, p, r| f90_basic(combiner, p, r).map(Basic::size).ok();
        assert_eq!(size(MPI_COMBINER_F90_REAL, 6, 30), Some(4));
        assert_eq!(size(MPI_COMBINER_F90_REAL, 6, 38), Some(8));
        assert_eq!(size(MPI_COMBINER_F90_REAL, 15, 300), Some(8));
        assert_eq!(size(MPI_COMBINER_F90_REAL, MPI_UNDEFINED, 300), Some(8));
        assert_eq!(size(MPI_COMBINER_F90_COMPLEX, 33, MPI_UNDEFINED), Some(32));
        assert_eq!(size(MPI_COMBINER_F90_REAL, 34, 10), None);
        assert_eq!(size(MPI_COMBINER_F90_REAL, MPI_UNDEFINED, MPI_UNDEFINED), None);
        assert_eq!(size(MPI_COMBINER_F90_INTEGER, 0, 9), Some(4));
        assert_eq!(size(MPI_COMBINER_F90_INTEGER, 0, 10), Some(8));
        assert_eq!(size(MPI_COMBINER_F90_INTEGER, 0, 39), None);
    }
}
