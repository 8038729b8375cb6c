//! All memory that the processes of a job share, and every call to the operating system. Upper
//! layers see safe types: a [`Segment`], rings, a [`lock::Lock`], [`wait`]. Used by the engine
//! (ranks) and by mpiexec (launcher).

pub mod arena;
pub mod coll;
pub mod cpus;
pub mod env;
pub mod job;
pub mod liveness;
pub mod lock;
pub mod os;
pub mod page;
pub mod ring;
pub mod segment;
pub mod sync;
pub mod wait;

mod error;

pub use error::{Error, Result};
pub use page::RankPage;
pub use segment::{Header, Segment};
