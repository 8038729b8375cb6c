//! Calls to the operating system, one file per subject; everything that is particular to Linux is
//! here, so that another system is one more folder.

pub mod cma;
pub mod cpu;
pub mod exit;
pub mod futex;
pub mod io;
pub mod lifeline;
pub mod lock;
pub mod membarrier;
pub mod memfd;
pub mod proc;
pub mod process;
pub mod signals;
pub mod socket;
pub mod threads;
pub mod tty;
