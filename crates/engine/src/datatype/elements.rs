//! Walks over the type map itself: how many elements a number of bytes is (MPI-5.0 section 5.1.11),
//! and which basic value lies where. Called for `Get_count` and `Get_elements`, by external32 and by
//! reductions on windows; copying goes by the plan instead.

use super::basic::Basic;
use super::types::{Call, Type};
use crate::error::Result;

/// Takes offset, type and number of basic values that lie one after the other.
pub type EachBasic<'a> = dyn FnMut(isize, &'static Basic, usize) -> Result<()> + 'a;

impl Type {
    /// Whole elements in `bytes` (MPI_Get_count), unless a part of one is left over.
    pub fn count_of(&self, bytes: u64) -> Option<u64> {
        let size = self.size as u64;
        match bytes.checked_rem(size) {
            Some(0) => Some(bytes / size),
            Some(_) => None,
            None => (bytes == 0).then_some(0),
        }
    }

    /// Basic values in `bytes` (MPI_Get_elements), unless a part of one is left over.
    pub fn elements_of(&self, bytes: u64) -> Option<u64> {
        if self.size == 0 {
            return (bytes == 0).then_some(0);
        }
        let (mut this, mut total, mut rest) = (self, 0, bytes);
        loop {
            let size = this.size as u64;
            total += rest / size * this.signature.elements;
            rest %= size;
            if rest == 0 {
                return Some(total);
            }
            match &this.call {
                Call::Basic(_) | Call::F90 { .. } => return None,
                Call::Pair { value, .. } => return (rest == value.size() as u64).then_some(total + 1),
                Call::Struct { lens, of, .. } => {
                    let mut parts = lens.iter().zip(of).filter(|(n, t)| **n > 0 && t.size > 0);
                    this = parts.find_map(|(n, part)| {
                        let bytes = n.cast_unsigned() * part.size as u64;
                        if rest < bytes {
                            return Some(&**part);
                        }
                        rest -= bytes;
                        total += n.cast_unsigned() * part.signature.elements;
                        None
                    })?;
                }
                call => this = call.only_child()?,
            }
        }
    }

    /// The bytes of the first `elements` basic values (MPI_Status_set_elements).
    pub fn bytes_of(&self, elements: u64) -> Option<u64> {
        if self.size == 0 {
            return (elements == 0).then_some(0);
        }
        let (mut this, mut bytes, mut rest) = (self, 0u64, elements);
        loop {
            let each = this.signature.elements;
            bytes = bytes.checked_add((rest / each).checked_mul(this.size as u64)?)?;
            rest %= each;
            if rest == 0 {
                return Some(bytes);
            }
            match &this.call {
                Call::Basic(_) | Call::F90 { .. } => return None,
                Call::Pair { value, .. } => return bytes.checked_add(value.size() as u64),
                Call::Struct { lens, of, .. } => {
                    let mut parts = lens.iter().zip(of).filter(|(n, t)| **n > 0 && t.size > 0);
                    this = parts.find_map(|(n, part)| {
                        let values = n.cast_unsigned() * part.signature.elements;
                        if rest < values {
                            return Some(&**part);
                        }
                        rest -= values;
                        bytes += n.cast_unsigned() * part.size as u64;
                        None
                    })?;
                }
                call => this = call.only_child()?,
            }
        }
    }

    /// Calls `f` for the basic values of `count` elements at offset `at`, in the order of the type
    /// map.
    pub fn each_basic(&self, at: isize, count: usize, f: &mut EachBasic<'_>) -> Result<()> {
        if self.size == 0 || count == 0 {
            return Ok(());
        }
        if let Call::Basic(basic) | Call::F90 { basic, .. } = self.call {
            return f(at, basic, count);
        }
        for i in 0..count {
            let at = at.wrapping_add(self.extent().wrapping_mul(i.cast_signed()));
            if let Call::Pair { value, index, at: second, .. } = self.call {
                f(at, value, 1)?;
                f(at.wrapping_add(second.cast_signed()), index, 1)?;
            } else {
                self.each_block(&mut |offset, n, of| of.each_basic(at.wrapping_add(offset), n, f))?;
            }
        }
        Ok(())
    }

    /// Calls `f` with offset, number of elements and type of each block that the type was made of.
    fn each_block(&self, f: &mut dyn FnMut(isize, usize, &Self) -> Result<()>) -> Result<()> {
        let size = |n: i64| n.max(0) as usize;
        match &self.call {
            Call::Basic(_) | Call::F90 { .. } | Call::Pair { .. } => Ok(()),
            Call::Dup(of) | Call::Resized { of, .. } => f(0, 1, of),
            Call::Subarray { inner, .. } | Call::Darray { inner, .. } => f(0, 1, inner),
            Call::Contiguous { count, of } => f(0, size(*count), of),
            Call::Vector { count, len, stride, of } => {
                let step = (*stride as isize).wrapping_mul(of.extent());
                (0..*count as isize).try_for_each(|i| f(step.wrapping_mul(i), size(*len), of))
            }
            Call::Hvector { count, len, stride, of } => {
                (0..*count as isize).try_for_each(|i| f((*stride as isize).wrapping_mul(i), size(*len), of))
            }
            Call::Indexed { lens, at, of } => {
                lens.iter().zip(at).try_for_each(|(n, at)| f((*at as isize).wrapping_mul(of.extent()), size(*n), of))
            }
            Call::Hindexed { lens, at, of } => {
                lens.iter().zip(at).try_for_each(|(n, at)| f(*at as isize, size(*n), of))
            }
            Call::IndexedBlock { len, at, of } => {
                at.iter().try_for_each(|at| f((*at as isize).wrapping_mul(of.extent()), size(*len), of))
            }
            Call::HindexedBlock { len, at, of } => at.iter().try_for_each(|at| f(*at as isize, size(*len), of)),
            Call::Struct { lens, at, of } => {
                lens.iter().zip(at).zip(of).try_for_each(|((n, at), of)| f(*at as isize, size(*n), of))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpi_abi::consts::{MPI_DOUBLE, MPI_INT, MPI_SHORT};
    use std::sync::Arc;

    fn basic(handle: mpi_abi::Datatype) -> Arc<Type> {
        Arc::new(Type::from_basic(Basic::of(handle).expect("basic")))
    }

    #[test]
    fn a_partial_message_is_counted_in_basic_values() {
        let (int, double, short) = (basic(MPI_INT), basic(MPI_DOUBLE), basic(MPI_SHORT));
        let kind = Type::structure(vec![2, 1, 3], vec![0, 8, 16], vec![int, double, short]).expect("struct");
        let kind = Type::contiguous(3, &Arc::new(kind)).expect("contiguous");
        assert_eq!(kind.size(), 3 * 22);
        let expected = [
            (0, Some(0)),
            (4, Some(1)),
            (6, None),
            (8, Some(2)),
            (16, Some(3)),
            (18, Some(4)),
            (22, Some(6)),
            (26, Some(7)),
            (66, Some(18)),
            (70, Some(19)),
            (71, None),
        ];
        for (bytes, elements) in expected {
            assert_eq!(kind.elements_of(bytes), elements, "{bytes} bytes");
            if let Some(n) = elements {
                assert_eq!(kind.bytes_of(n), Some(bytes), "{n} elements");
            }
        }
        assert_eq!((kind.count_of(132), kind.count_of(22), kind.count_of(0)), (Some(2), None, Some(0)));
    }

    #[test]
    fn a_type_without_data_has_no_elements() {
        let kind = Type::contiguous(0, &basic(MPI_INT)).expect("contiguous");
        assert_eq!(
            (kind.count_of(0), kind.elements_of(0), kind.count_of(4), kind.elements_of(4)),
            (Some(0), Some(0), None, None)
        );
    }
}
