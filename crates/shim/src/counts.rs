//! What hides the difference between `MPI_X` and `MPI_X_c` from the one implementation of both:
//! counts and displacements that are `int` in one and `MPI_Count` or `MPI_Aint` in the other.
//!
//! Made by `gen/exports.rs`, used by the implementations in every chapter. The reading and writing
//! functions are `unsafe` because they trust the C caller with the length and life of its arrays.

use engine::{Error, Result};
use mpi_abi::consts::{MPI_ERR_VALUE_TOO_LARGE, MPI_UNDEFINED};
use mpi_abi::ffi::{
    MPI_Datarep_conversion_function, MPI_Datarep_conversion_function_c, MPI_User_function, MPI_User_function_c,
};
use mpi_abi::{Aint, Count};
use std::ffi::c_int;

/// Which form of a function was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `MPI_X`.
    Plain,
    /// `MPI_X_c`.
    Large,
}

/// A number that is `int` or `MPI_Aint` in the plain form.
pub(crate) trait ToCount {
    /// The same number.
    fn to_count(self) -> Count;
}

impl ToCount for c_int {
    #[inline(always)]
    fn to_count(self) -> Count {
        Count::from(self)
    }
}

impl ToCount for Count {
    #[inline(always)]
    fn to_count(self) -> Count {
        self
    }
}

impl ToCount for Aint {
    #[inline(always)]
    fn to_count(self) -> Count {
        // An address difference is never wider than a count (section 2.5.8).
        self as Count
    }
}

/// A count of either form.
#[inline(always)]
pub(crate) fn count(value: impl ToCount) -> Count {
    value.to_count()
}

/// A displacement unit of either form.
#[allow(dead_code, reason = "for the chapters that are implemented later")]
#[inline(always)]
pub(crate) fn aint(value: impl Into<AintOf>) -> Aint {
    value.into().0
}

/// Makes [`aint`] take both types.
#[allow(dead_code, reason = "for the chapters that are implemented later")]
pub(crate) struct AintOf(Aint);

impl From<c_int> for AintOf {
    #[inline(always)]
    fn from(value: c_int) -> Self {
        AintOf(value as Aint)
    }
}

impl From<Aint> for AintOf {
    #[inline(always)]
    fn from(value: Aint) -> Self {
        AintOf(value)
    }
}

macro_rules! array {
    ($(#[$doc:meta])* $name:ident, $item:ty, $($(#[$variant_doc:meta])* $variant:ident($raw:ty)),*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum $name {
            $($(#[$variant_doc])* $variant(*const $raw),)*
        }

        $(impl From<*const $raw> for $name {
            #[inline(always)]
            fn from(array: *const $raw) -> Self {
                $name::$variant(array)
            }
        })*

        #[allow(dead_code, reason = "which of them a chapter needs varies")]
        impl $name {
            /// Element `i`.
            ///
            /// # Safety
            /// The array that the C caller gave has more than `i` elements.
            #[inline]
            pub(crate) unsafe fn get(self, i: usize) -> $item {
                match self {
                    $(
                        // SAFETY: the caller of this function promises that element `i` exists.
                        $name::$variant(array) => unsafe { array.add(i).read() as $item },
                    )*
                }
            }

            /// The first `len` elements, copied.
            ///
            /// # Safety
            /// The array that the C caller gave has at least `len` elements.
            pub(crate) unsafe fn to_vec(self, len: usize) -> Vec<$item> {
                // SAFETY: the caller of this function promises that elements 0..len exist.
                (0..len).map(|i| unsafe { self.get(i) }).collect()
            }

            /// Whether the C caller gave no array.
            pub(crate) fn is_null(self) -> bool {
                match self {
                    $($name::$variant(array) => array.is_null(),)*
                }
            }
        }
    };
}

array! {
    /// An array of counts.
    Counts, Count,
    /// Of the plain form.
    Int(c_int),
    /// Of the `_c` form.
    Large(Count)
}

array! {
    /// An array of displacements.
    Displs, Aint,
    /// Of the plain form.
    Int(c_int),
    /// In bytes, or of the `_c` form.
    Aint(Aint),
    /// Of the `_c` form where the plain one has `MPI_Aint`.
    Large(Count)
}

/// A place for a count that the function gives back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CountOut {
    /// Of the plain form.
    Int(*mut c_int),
    /// Of the plain form for lengths in bytes, or of the `_c` form for displacement units.
    Aint(*mut Aint),
    /// Of the `_c` form.
    Large(*mut Count),
}

impl From<*mut c_int> for CountOut {
    #[inline(always)]
    fn from(place: *mut c_int) -> Self {
        CountOut::Int(place)
    }
}

impl From<*mut Aint> for CountOut {
    #[inline(always)]
    fn from(place: *mut Aint) -> Self {
        CountOut::Aint(place)
    }
}

impl From<*mut Count> for CountOut {
    #[inline(always)]
    fn from(place: *mut Count) -> Self {
        CountOut::Large(place)
    }
}

#[allow(dead_code, reason = "which of them a chapter needs varies")]
impl CountOut {
    /// For a parameter that this form of the function does not have: nothing is written.
    pub(crate) const fn none() -> Self {
        CountOut::Large(std::ptr::null_mut())
    }

    /// Whether the C caller gave no place.
    pub(crate) fn is_null(self) -> bool {
        match self {
            CountOut::Int(place) => place.is_null(),
            CountOut::Aint(place) => place.is_null(),
            CountOut::Large(place) => place.is_null(),
        }
    }

    /// Whether this is the plain form, where a large value has no room.
    pub(crate) fn is_int(self) -> bool {
        matches!(self, CountOut::Int(_))
    }

    /// Writes `value`, or MPI_UNDEFINED where the place is too small for it (section 2.5.8);
    /// nothing through a null pointer.
    ///
    /// # Safety
    /// A place that is not null is the C caller's and can be written.
    #[inline]
    pub(crate) unsafe fn set(self, value: Count) {
        // SAFETY: the promise of this function's caller.
        unsafe { self.write(value, || MPI_UNDEFINED) }
    }

    /// Writes `value`, or gives an error where the place is too small for it.
    ///
    /// # Safety
    /// As for [`set`](Self::set).
    pub(crate) unsafe fn try_set(self, value: Count) -> Result<()> {
        if self.is_int() && c_int::try_from(value).is_err() {
            let text = format!("the value {value} is too large for an int: use the _c form of this function");
            return Err(Error::new(MPI_ERR_VALUE_TOO_LARGE, text));
        }
        // SAFETY: the promise of this function's caller.
        unsafe { self.set(value) };
        Ok(())
    }

    /// What stands there (for parameters that go in and out, such as a position).
    ///
    /// # Safety
    /// The place is not null and holds a value of the C caller.
    pub(crate) unsafe fn get(self) -> Count {
        // SAFETY: the promise of this function's caller.
        unsafe {
            match self {
                CountOut::Int(place) => place.read().to_count(),
                CountOut::Aint(place) => place.read().to_count(),
                CountOut::Large(place) => place.read(),
            }
        }
    }

    /// # Safety
    /// As for [`set`](Self::set).
    #[inline]
    unsafe fn write(self, value: Count, too_large: impl FnOnce() -> c_int) {
        if self.is_null() {
            return;
        }
        // SAFETY: not null, so it can be written as the promise of this function's caller says.
        unsafe {
            match self {
                CountOut::Int(place) => {
                    place.write(c_int::try_from(value).unwrap_or_else(|_| too_large()));
                }
                CountOut::Aint(place) => {
                    place.write(Aint::try_from(value).unwrap_or_else(|_| too_large() as Aint));
                }
                CountOut::Large(place) => place.write(value),
            }
        }
    }
}

/// A reduction function of the user.
#[allow(dead_code, reason = "for the chapters that are implemented later")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum UserFn {
    /// Takes an `int` length.
    Int(Option<MPI_User_function>),
    /// Takes an `MPI_Count` length.
    Large(Option<MPI_User_function_c>),
}

impl From<Option<MPI_User_function>> for UserFn {
    fn from(function: Option<MPI_User_function>) -> Self {
        UserFn::Int(function)
    }
}

impl From<Option<MPI_User_function_c>> for UserFn {
    fn from(function: Option<MPI_User_function_c>) -> Self {
        UserFn::Large(function)
    }
}

/// A conversion function of a data representation of the user.
#[allow(dead_code, reason = "for the chapters that are implemented later")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConversionFn {
    /// Takes an `int` count.
    Int(Option<MPI_Datarep_conversion_function>),
    /// Takes an `MPI_Count` count.
    Large(Option<MPI_Datarep_conversion_function_c>),
}

impl From<Option<MPI_Datarep_conversion_function>> for ConversionFn {
    fn from(function: Option<MPI_Datarep_conversion_function>) -> Self {
        ConversionFn::Int(function)
    }
}

impl From<Option<MPI_Datarep_conversion_function_c>> for ConversionFn {
    fn from(function: Option<MPI_Datarep_conversion_function_c>) -> Self {
        ConversionFn::Large(function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_array_read_the_same() {
        let (small, large) = ([1, -2, 3], [1i64, -2, 3]);
        // SAFETY: both arrays have three elements.
        let (a, b) = unsafe { (Counts::from(small.as_ptr()).to_vec(3), Counts::from(large.as_ptr()).to_vec(3)) };
        assert_eq!(a, [1, -2, 3]);
        assert_eq!(a, b);
    }

    #[test]
    fn a_count_too_large_for_an_int_is_undefined_or_an_error() {
        let (mut small, mut large) = (0, 0i64);
        // SAFETY: both places are the variables above.
        unsafe {
            CountOut::from(&raw mut small).set(1 << 31);
            CountOut::from(&raw mut large).set(1 << 31);
            assert_eq!((small, large), (MPI_UNDEFINED, 1 << 31));
            let error = CountOut::from(&raw mut small).try_set(1 << 40).expect_err("no room");
            assert_eq!(error.class, MPI_ERR_VALUE_TOO_LARGE);
            assert!(error.text.contains("1099511627776"), "{}", error.text);
            CountOut::none().set(5);
        }
    }
}
