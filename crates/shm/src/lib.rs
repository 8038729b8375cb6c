//! All memory that the processes of a job share, and every call to the operating system. Upper
//! layers see safe types: a [`Segment`], rings, a [`lock::Lock`], [`wait`]. Used by the engine
//! (ranks) and by mpiexec (launcher).

#![cfg_attr(loom, allow(dead_code, reason = "models use the algorithms alone"))]

pub mod answer;
#[cfg(not(loom))]
pub mod arena;
pub mod calls;
pub mod coll;
pub mod cpus;
pub mod dispute;
pub mod env;
pub mod fence;
#[cfg(not(loom))]
pub mod job;
pub mod journal;
#[cfg(not(loom))]
pub mod liveness;
pub mod lock;
pub mod os;
pub mod page;
pub mod placement;
pub mod purpose;
pub mod ranges;
#[cfg(not(loom))]
pub mod report;
pub mod ring;
#[cfg(not(loom))]
pub mod segment;
#[cfg(loom)]
#[path = "models/segment.rs"]
pub mod segment;
pub mod sleep;
pub mod stall;
pub mod sync;
pub mod tally;
#[cfg(not(loom))]
pub mod told;
pub mod wait;
pub mod waiting;

mod error;
#[cfg(all(test, loom))]
mod models;

pub use error::{Error, Result};
pub use page::RankPage;
#[cfg(not(loom))]
pub use segment::Header;
pub use segment::Segment;
