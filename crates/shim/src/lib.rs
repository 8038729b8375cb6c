//! `libmpi_abi.so.1`: the C functions of the MPI-5.0 standard ABI over the engine.
//!
//! An exported function does four things: enter ([`guard`]), convert its arguments, one engine
//! call, turn the error into a code ([`errors`]). A chapter of the standard is a file here; a
//! function is implemented by `pub(crate) unsafe fn MPI_Name(...) -> engine::Result<()>`, and
//! `cargo xtask generate` connects it to the exported symbols in `gen/exports.rs`.
//! README.md says how, and what is exported.
//!
//! The vocabulary of every `# Safety` section left out below: pointers are as the standard
//! demands of the C caller (section 2.5: valid for the length that the other arguments give).

#![allow(clippy::missing_safety_doc, reason = "the duty is the standard's, stated once above")]
#![allow(non_snake_case, reason = "implementations carry the names of the C functions")]

mod counts;
mod errors;
#[path = "gen/exports.rs"]
mod exports;
mod guard;

// What the chapters share.
mod args;

// Chapters, one file each. Add yours here.
mod abi;
mod address;
mod attr;
mod buffer;
mod coll;
mod coll_args;
mod coll_forms;
mod coll_neighbor;
mod comm;
mod datatype;
mod env;
mod errcode;
mod errhandler;
mod grequest;
mod group;
mod handle;
mod info;
mod inquiry;
mod naming;
mod op;
mod oxmpi;
mod p2p;
mod pack;
mod partitioned;
mod request;
mod session;
mod status;
mod topo;
