//! How a type was made, for the user to take it apart (MPI-5.0 section 5.1.13).

use super::types::{Call, Type};
use crate::error::{Error, Result};
use mpi_abi::consts::MPI_ERR_VALUE_TOO_LARGE;
use std::ffi::c_int;
use std::sync::Arc;

/// How many arguments of each sort the call that made a type had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// `int` arguments.
    pub integers: usize,
    /// `MPI_Aint` arguments.
    pub addresses: usize,
    /// `MPI_Count` arguments.
    pub large_counts: usize,
    /// Types.
    pub datatypes: usize,
    /// The `MPI_COMBINER_*`.
    pub combiner: c_int,
}

/// The arguments themselves.
#[derive(Debug, Default)]
pub struct Contents {
    /// `int` arguments.
    pub integers: Vec<c_int>,
    /// `MPI_Aint` arguments.
    pub addresses: Vec<i64>,
    /// `MPI_Count` arguments.
    pub large_counts: Vec<i64>,
    /// Types.
    pub datatypes: Vec<Arc<Type>>,
}

/// Collects arguments, each where the form of the call has it.
struct Collect {
    large: bool,
    contents: Contents,
}

impl Collect {
    /// Arguments that are `int` in both forms.
    fn int(&mut self, value: c_int) {
        self.contents.integers.push(value);
    }

    /// Arguments that are `int` in the plain form and `MPI_Count` in the large one.
    fn counts(&mut self, values: &[i64]) -> Result<()> {
        if self.large {
            self.contents.large_counts.extend(values);
            return Ok(());
        }
        for v in values {
            let int = c_int::try_from(*v).map_err(|_| {
                Error::new(MPI_ERR_VALUE_TOO_LARGE, format!("the argument {v} of the datatype is too large for an int"))
            })?;
            self.int(int);
        }
        Ok(())
    }

    /// Arguments that are `MPI_Aint` in the plain form and `MPI_Count` in the large one.
    fn bytes(&mut self, values: &[i64]) {
        let to = if self.large { &mut self.contents.large_counts } else { &mut self.contents.addresses };
        to.extend(values);
    }

    fn of(&mut self, of: &Arc<Type>) {
        self.contents.datatypes.push(of.clone());
    }
}

impl Type {
    /// The arguments of the call that made the type. A predefined type has none.
    pub fn contents(&self) -> Result<Contents> {
        let mut c = Collect { large: self.large, contents: Contents::default() };
        match &self.call {
            Call::Basic(_) | Call::Pair { .. } => {}
            Call::F90 { p, r, combiner, .. } => {
                if *combiner != mpi_abi::consts::MPI_COMBINER_F90_INTEGER {
                    c.int(*p);
                }
                c.int(*r);
            }
            Call::Dup(of) => c.of(of),
            Call::Contiguous { count, of } => {
                c.counts(&[*count])?;
                c.of(of);
            }
            Call::Vector { count, len, stride, of } => {
                c.counts(&[*count, *len, *stride])?;
                c.of(of);
            }
            Call::Hvector { count, len, stride, of } => {
                c.counts(&[*count, *len])?;
                c.bytes(&[*stride]);
                c.of(of);
            }
            Call::Indexed { lens, at, of } => {
                c.counts(&[lens.len() as i64])?;
                c.counts(lens)?;
                c.counts(at)?;
                c.of(of);
            }
            Call::Hindexed { lens, at, of } => {
                c.counts(&[lens.len() as i64])?;
                c.counts(lens)?;
                c.bytes(at);
                c.of(of);
            }
            Call::IndexedBlock { len, at, of } => {
                c.counts(&[at.len() as i64, *len])?;
                c.counts(at)?;
                c.of(of);
            }
            Call::HindexedBlock { len, at, of } => {
                c.counts(&[at.len() as i64, *len])?;
                c.bytes(at);
                c.of(of);
            }
            Call::Struct { lens, at, of } => {
                c.counts(&[lens.len() as i64])?;
                c.counts(lens)?;
                c.bytes(at);
                of.iter().for_each(|t| c.of(t));
            }
            Call::Subarray { sizes, subsizes, starts, order, of, .. } => {
                c.int(sizes.len() as c_int);
                for values in [sizes, subsizes, starts] {
                    c.counts(values)?;
                }
                c.int(*order);
                c.of(of);
            }
            Call::Darray { place, gsizes, dims, order, of, .. } => {
                for value in [place[0], place[1], dims.len() as c_int] {
                    c.int(value);
                }
                c.counts(gsizes)?;
                for k in 0..3 {
                    dims.iter().for_each(|d| c.int(d[k]));
                }
                c.int(*order);
                c.of(of);
            }
            Call::Resized { lb, extent, of } => {
                c.bytes(&[*lb, *extent]);
                c.of(of);
            }
        }
        Ok(c.contents)
    }

    /// Whether the plain functions cannot describe the type, since a large-count one made it.
    pub fn is_large(&self) -> bool {
        self.large
    }

    /// The type as made by the large-count form of its constructor.
    #[must_use]
    pub fn with_large_arguments(mut self) -> Self {
        self.large = true;
        self
    }

    /// How many arguments [`contents`](Self::contents) has.
    pub fn envelope(&self) -> Result<Envelope> {
        let contents = self.contents()?;
        Ok(Envelope {
            integers: contents.integers.len(),
            addresses: contents.addresses.len(),
            large_counts: contents.large_counts.len(),
            datatypes: contents.datatypes.len(),
            combiner: self.combiner(),
        })
    }
}
