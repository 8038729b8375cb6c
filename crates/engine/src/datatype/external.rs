//! external32, the portable representation (MPI-5.0 section 14.5.2): big-endian, sizes fixed by the
//! standard. Called by the shim for Pack_external, and by files.
//!
//! A value that the external type cannot hold (a `long` beyond 32 bits, a `wchar_t` beyond 16) is
//! MPI_ERR_CONVERSION, never cut off in silence.

use super::basic::{Basic, Group, Repr};
use super::types::Type;
use crate::error::{Error, Result};
use crate::op::soft;
use mpi_abi::consts::{MPI_ERR_CONVERSION, MPI_ERR_TRUNCATE, MPI_ERR_VALUE_TOO_LARGE};
use std::ptr;

impl Type {
    /// Bytes of `count` elements in external32.
    pub fn external_size(&self, count: usize) -> Result<usize> {
        let bytes = self.signature().external as u128 * count as u128;
        let text = || format!("{count} elements take {bytes} bytes in external32, more than an MPI_Count holds");
        i64::try_from(bytes).map(|b| b as usize).map_err(|_| Error::new(MPI_ERR_VALUE_TOO_LARGE, text()))
    }

    /// Writes `count` elements at `base` to `to` in external32; gives how many bytes that were.
    ///
    /// # Safety
    /// The memory of the elements is valid for reads, and `to` for writes of `room` bytes.
    pub unsafe fn pack_external(&self, base: *const u8, count: usize, to: *mut u8, room: usize) -> Result<usize> {
        let size = self.fits(count, room, "pack")?;
        let mut at = to;
        let base = base.expose_provenance();
        self.each_basic(0, count, &mut |offset, basic, n| {
            let from = ptr::with_exposed_provenance(base.wrapping_add_signed(offset));
            // SAFETY: the values belong to the elements (valid by the caller's promise), and as many
            // bytes as all of them take were found to fit.
            unsafe {
                for i in 0..n {
                    encode(basic, from_nth(from, basic, i), at)?;
                    at = at.add(basic.external);
                }
            }
            Ok(())
        })?;
        Ok(size)
    }

    /// Reads `count` elements in external32 from `from` and stores them at `base`; gives how many
    /// bytes that were.
    ///
    /// # Safety
    /// The memory of the elements is valid for writes, and `from` for reads of `room` bytes.
    pub unsafe fn unpack_external(&self, base: *mut u8, count: usize, from: *const u8, room: usize) -> Result<usize> {
        let size = self.fits(count, room, "unpack")?;
        let mut at = from;
        let base = base.expose_provenance();
        self.each_basic(0, count, &mut |offset, basic, n| {
            let to: *mut u8 = ptr::with_exposed_provenance_mut(base.wrapping_add_signed(offset));
            // SAFETY: as in `pack_external`, with reads and writes exchanged.
            unsafe {
                for i in 0..n {
                    decode(basic, at, to.add(i * basic.size()));
                    at = at.add(basic.external);
                }
            }
            Ok(())
        })?;
        Ok(size)
    }

    fn fits(&self, count: usize, room: usize, what: &str) -> Result<usize> {
        let size = self.external_size(count)?;
        if size <= room {
            return Ok(size);
        }
        let text =
            format!("{what}: {count} x {} is {size} bytes in external32, the buffer has {room} left", self.describe());
        Err(Error::new(MPI_ERR_TRUNCATE, text))
    }
}

/// # Safety
/// There are more than `i` values of `basic` at `from`.
unsafe fn from_nth(from: *const u8, basic: &Basic, i: usize) -> *const u8 {
    // SAFETY: the caller's promise.
    unsafe { from.add(i * basic.size()) }
}

/// # Safety
/// `from` is valid for reads of `n` bytes, `n` at most 16.
unsafe fn load(from: *const u8, n: usize) -> u128 {
    let mut bytes = [0u8; 16];
    // SAFETY: the caller's promise; the array has 16 bytes.
    unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), n) };
    u128::from_le_bytes(bytes)
}

/// # Safety
/// `to` is valid for writes of `n` bytes, `n` at most 16.
unsafe fn store(value: u128, to: *mut u8, n: usize) {
    // SAFETY: the caller's promise; the array has 16 bytes.
    unsafe { ptr::copy_nonoverlapping(value.to_le_bytes().as_ptr(), to, n) };
}

/// Whether `long double` is binary128 already.
const LONG_IS_BINARY128: bool = !cfg!(target_arch = "x86_64");

/// # Safety
/// `from` holds a value of `basic`; `to` has room for its external form.
unsafe fn encode(basic: &Basic, from: *const u8, to: *mut u8) -> Result<()> {
    let parts = if basic.repr.part().is_some() { 2 } else { 1 };
    let (inside, outside) = (basic.size() / parts, basic.external / parts);
    let is_long = matches!(basic.repr, Repr::Long | Repr::CLong);
    for i in 0..parts {
        // SAFETY: part `i` of `parts` lies in the value and in its external form.
        unsafe {
            let mut value = load(from.add(i * inside), inside);
            if is_long && !LONG_IS_BINARY128 {
                value = soft::x87_to_binary128(value & ((1 << 80) - 1));
            }
            if outside < inside {
                check_narrow(basic, value, inside, outside)?;
            }
            let bytes = value.to_be_bytes();
            ptr::copy_nonoverlapping(bytes.as_ptr().add(16 - outside), to.add(i * outside), outside);
        }
    }
    Ok(())
}

/// # Safety
/// `from` holds the external form of a value of `basic`; `to` has room for the value.
unsafe fn decode(basic: &Basic, from: *const u8, to: *mut u8) {
    let parts = if basic.repr.part().is_some() { 2 } else { 1 };
    let (inside, outside) = (basic.size() / parts, basic.external / parts);
    let is_long = matches!(basic.repr, Repr::Long | Repr::CLong);
    for i in 0..parts {
        let mut bytes = [0u8; 16];
        // SAFETY: part `i` of `parts` lies in the value and in its external form.
        unsafe {
            ptr::copy_nonoverlapping(from.add(i * outside), bytes.as_mut_ptr().add(16 - outside), outside);
            let mut value = u128::from_be_bytes(bytes);
            if is_long && !LONG_IS_BINARY128 {
                value = soft::binary128_to_x87(value);
            }
            if outside < inside && is_signed(basic) {
                let unused = 128 - 8 * outside as u32;
                value = ((value << unused).cast_signed() >> unused).cast_unsigned();
            }
            store(value, to.add(i * inside), inside);
        }
    }
}

fn is_signed(basic: &Basic) -> bool {
    matches!(basic.repr, Repr::I8 | Repr::I16 | Repr::I32 | Repr::I64 | Repr::I128) && basic.group != Group::Char
}

fn check_narrow(basic: &Basic, value: u128, inside: usize, outside: usize) -> Result<()> {
    let (unused, wide) = (128 - 8 * inside as u32, 128 - 8 * outside as u32);
    let same = if is_signed(basic) {
        let value = (value << unused).cast_signed() >> unused;
        value << wide >> wide == value
    } else {
        value << wide >> wide == value
    };
    if same {
        return Ok(());
    }
    let shown =
        if is_signed(basic) { ((value << unused).cast_signed() >> unused).to_string() } else { value.to_string() };
    let text = format!("the {} {shown} does not fit into the {outside} bytes that external32 has for it", basic.name);
    Err(Error::new(MPI_ERR_CONVERSION, text))
}

#[cfg(test)]
mod tests {
    use super::super::basic::BASICS;
    use super::*;
    use mpi_abi::consts::{MPI_DOUBLE, MPI_INT, MPI_LONG, MPI_LONG_DOUBLE};

    fn basic(handle: mpi_abi::Datatype) -> Type {
        Type::from_basic(Basic::of(handle).expect("basic"))
    }

    fn pack<T>(kind: &Type, values: &[T]) -> Result<Vec<u8>> {
        let size = kind.external_size(values.len())?;
        let mut out = vec![0; size];
        // SAFETY: `values` are of this type and `out` is as long as said.
        let n = unsafe { kind.pack_external(values.as_ptr().cast(), values.len(), out.as_mut_ptr(), size) }?;
        assert_eq!(n, size);
        Ok(out)
    }

    #[test]
    fn values_are_big_endian() {
        assert_eq!(pack(&basic(MPI_INT), &[1i32, -2]).expect("fits"), [0, 0, 0, 1, 255, 255, 255, 254]);
        assert_eq!(pack(&basic(MPI_DOUBLE), &[1.0f64]).expect("fits"), [0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(pack(&basic(MPI_LONG), &[-5i64]).expect("fits"), [255, 255, 255, 251]);
        let error = pack(&basic(MPI_LONG), &[1i64 << 40]).expect_err("too large");
        assert_eq!(error.class, MPI_ERR_CONVERSION);
        assert!(error.text.contains("MPI_LONG 1099511627776"), "{}", error.text);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn long_double_becomes_binary128() {
        let one = [0u8, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f, 0, 0, 0, 0, 0, 0];
        let out = pack(&basic(MPI_LONG_DOUBLE), &[one]).expect("fits");
        assert_eq!(out, [0x3f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn every_type_comes_back() {
        for b in BASICS {
            let kind = Type::from_basic(b);
            // What every external form holds: small integers, and one as long double.
            let one = [0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f, 0, 0, 0, 0, 0, 0];
            let value = match b.repr {
                Repr::Long | Repr::CLong => one.repeat(b.size() / 16),
                Repr::I64 | Repr::U64 | Repr::Wide => 77u64.to_le_bytes()[..b.size()].to_vec(),
                _ => (0..b.size()).map(|i| 77 + i as u8).collect(),
            };
            let mut out = vec![0; b.external];
            let mut back = vec![0xee; b.size()];
            // SAFETY: all three are as long as a value inside or outside.
            unsafe {
                kind.pack_external(value.as_ptr(), 1, out.as_mut_ptr(), out.len()).expect("fits");
                kind.unpack_external(back.as_mut_ptr(), 1, out.as_ptr(), out.len()).expect("fits");
            }
            assert_eq!(back, value, "{}", b.name);
        }
    }

    #[test]
    fn too_little_room_is_an_error_with_numbers() {
        let kind = basic(MPI_INT);
        // SAFETY: nothing is written, as there is no room.
        let error = unsafe { kind.pack_external([1i32; 3].as_ptr().cast(), 3, [0u8; 11].as_mut_ptr(), 11) };
        let error = error.expect_err("no room");
        assert_eq!(error.class, MPI_ERR_TRUNCATE);
        assert!(error.text.contains("12 bytes") && error.text.contains("11 left"), "{}", error.text);
    }
}
