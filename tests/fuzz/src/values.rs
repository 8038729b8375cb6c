//! Numbers and texts for arguments: what a program might pass, and what none should.

use crate::random::Random;
use std::ffi::c_int;

/// At the edges of what numbers can be.
const EDGES: [i64; 22] = [
    0,
    1,
    -1,
    2,
    -2,
    -3,
    -4,
    3,
    7,
    64,
    1000,
    65536,
    -32766,
    0x3fff,
    0x4000,
    i32::MAX as i64,
    i32::MIN as i64,
    i32::MAX as i64 - 1,
    1 << 30,
    1 << 31,
    1 << 62,
    i64::MIN,
];

/// Constants that some parameter or other wants.
const NAMED: [i64; 22] =
    [0xC, 0xF, 16, 17, 18, 19, 192, 193, 194, 221, 222, 223, 224, 501, 502, 503, 506, 8, 4, 32, 1024, 4096];

/// Any number.
pub(crate) fn wild(random: &mut Random) -> i64 {
    match random.below(4) {
        0 => random.next() as i64,
        1 => i64::from(random.next() as c_int),
        _ => random.of(&EDGES),
    }
}

/// A number for the parameter `name` of a function in a job of `ranks`.
pub(crate) fn number(random: &mut Random, name: &str, ranks: usize) -> i64 {
    let small = random.below(4) as i64;
    match name {
        "dest" | "source" | "root" | "rank" | "local_leader" | "remote_leader" => match random.below(12) {
            0 => -3,
            1 => -1,
            2 => -4,
            3 => random.below(ranks + 1) as i64,
            _ => random.below(ranks) as i64,
        },
        "tag" | "sendtag" | "recvtag" => match random.below(10) {
            0 => -2,
            1 => i64::from(c_int::MAX),
            2 | 3 => small,
            _ => 0,
        },
        "order" => random.of(&[0xC, 0xF, 0xC, 0xF, 0xC, 0xF, 0, 1]),
        "typeclass" => random.of(&[191, 192, 193, 194]),
        "split_type" => random.of(&[221, 222, 223, 224, -32766]),
        "size" | "reorder" | "high" | "flag" | "commute" | "partition" | "partitions" => {
            random.of(&[1, 1, 2, 4, 8, 16, 0])
        }
        "psizes" => 1,
        _ => match random.below(8) {
            0 => random.of(&NAMED),
            1 => -1,
            2 => 8 * random.below(20) as i64,
            _ => small,
        },
    }
}

/// Texts without the final zero.
pub(crate) fn text(random: &mut Random, name: &str) -> Vec<u8> {
    let texts: &[&str] = match name {
        "datarep" => &["external32", "external32", "native", "internal"],
        "pset_name" => &["mpi://WORLD", "mpi://SELF", "mpi://world", "mpi://"],
        "stringtag" => &["tag", "org.mpi.other"],
        _ => &["key", "value", "mpi_assert_no_any_tag", "mpi_hw_resource_type", "true", "false", "mpi_shared_memory"],
    };
    match random.below(12) {
        0 => Vec::new(),
        1 => vec![b'x'; random.of(&[127, 128, 255, 256, 1023, 1024, 1025, 5000])],
        2 => (0..random.below(40)).map(|_| 1 + (random.next() % 255) as u8).collect(),
        3 => "ä".repeat(random.of(&[1, 63, 64, 128, 511, 512])).into_bytes(),
        4 => format!("key{}", random.below(5)).into_bytes(),
        _ => random.of(texts).as_bytes().to_vec(),
    }
}
