//! Speed of the copy routine against the C library's, of packing against a plain loop, and of
//! reductions, on this machine: `cargo run --release --package oxmpi-engine --example copy_speed`.
//! The numbers in `copy.rs` come from here.

#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use engine::copy::copy;
use engine::datatype::{Type, TypeTable};
use engine::op::OpTable;
use mpi_abi::consts::{
    MPI_DOUBLE, MPI_DOUBLE_INT, MPI_INT, MPI_LONG_DOUBLE, MPI_MAX, MPI_MINLOC, MPI_ORDER_C, MPI_REAL2, MPI_SUM,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Seconds of the fastest of several rounds.
fn seconds(repetitions: usize, mut f: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..repetitions).for_each(|_| f());
        start.elapsed().as_secs_f64() / repetitions as f64
    };
    (0..9).map(round).fold(f64::MAX, f64::min)
}

fn copies(memory: &mut [u8]) {
    println!("copy, GB/s: ours / C library, destination ahead of the source modulo 4096 by");
    println!("{:>10} {:>16} {:>16} {:>16} {:>16}", "bytes", 0, 8, 16, 200);
    let half = memory.len() / 2;
    for bytes in [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20, 16 << 20] {
        print!("{bytes:>10}");
        for ahead in [0, 8, 16, 200] {
            let repetitions = ((8 << 20) / bytes).clamp(2, 4000);
            let (from, to) = (memory.as_ptr(), memory.as_mut_ptr().wrapping_add(half + ahead));
            // SAFETY: both halves of the memory hold `bytes` from the offsets used.
            let ours = seconds(repetitions, || unsafe { copy(black_box(to), black_box(from), bytes) });
            // SAFETY: as above.
            let libc = seconds(repetitions, || unsafe { black_box(from).copy_to_nonoverlapping(black_box(to), bytes) });
            print!(" {:>7.1} /{:>7.1}", bytes as f64 / ours / 1e9, bytes as f64 / libc / 1e9);
        }
        println!();
    }
}

fn packing(memory: &mut [u8], packed: &mut [u8]) {
    let types = TypeTable::new();
    let basic = |handle| types.get(handle).expect("predefined").clone();
    let (double, int) = (basic(MPI_DOUBLE), basic(MPI_INT));
    let cube = |sub: [i64; 3]| Type::subarray(vec![128; 3], sub.to_vec(), vec![0; 3], MPI_ORDER_C, &double);
    let places: Vec<i64> = (0..10_000).map(|i| i * 20 + i * 7 % 11).collect();
    let lengths: Vec<i64> = (0..10_000).map(|i| 1 + i % 5).collect();
    let record = Type::structure(vec![1, 1, 2], vec![0, 8, 16], vec![int.clone(), double.clone(), int.clone()]);
    let cases = [
        ("column of 1000 x 1000 double", Type::vector(1000, 1, 1000, &double), 1),
        ("face of 128^3 double, first index", cube([1, 128, 128]), 1),
        ("face, second index", cube([128, 1, 128]), 1),
        ("face, third index", cube([128, 128, 1]), 1),
        ("10000 blocks of 3 double", Type::indexed_block(3, places.clone(), &double), 1),
        ("10000 blocks of 1 to 5 double", Type::indexed(lengths, places, &double), 1),
        ("50000 x struct(int, double, 2 int)", record, 50_000),
        ("500 x 500 of 1000 x 1000 int", Type::vector(500, 500, 1000, &int), 1),
    ];
    println!("\n{:<36} {:>9} {:>10} {:>10} {:>7}", "packing", "bytes", "pack, us", "unpack", "GB/s");
    for (name, kind, count) in cases {
        let (kind, base) = (Arc::new(kind.expect("valid")), memory.as_mut_ptr());
        let size = kind.size() * count;
        // SAFETY: the memory holds all the elements, and `packed` their data.
        let pack = seconds(20, || unsafe { kind.pack_at(base, count, 0, black_box(packed.as_mut_ptr()), size) });
        // SAFETY: as above.
        let unpack = seconds(20, || unsafe { kind.unpack_at(base, count, 0, black_box(packed.as_ptr()), size) });
        let rate = size as f64 / pack / 1e9;
        println!("{name:<36} {size:>9} {:>10.2} {:>10.2} {rate:>7.1}", pack * 1e6, unpack * 1e6);
    }
    for (name, n, stride) in [("column, plain loop", 1000, 1000), ("face, third index, plain loop", 128 * 128, 128)] {
        let (from, to) = (memory.as_ptr().cast::<u64>(), packed.as_mut_ptr().cast::<u64>());
        let plain = seconds(20, || {
            for i in 0..n {
                // SAFETY: the memory holds the elements, and `packed` as many.
                unsafe { black_box(to).add(i).write_unaligned(from.add(i * stride).read_unaligned()) };
            }
        });
        println!("{name:<36} {:>9} {:>10.2}", n * 8, plain * 1e6);
    }
}

fn reductions(a: &[u8], inout: &mut [u8]) {
    let (types, ops) = (TypeTable::new(), OpTable::default());
    println!("\n{:<24} {:>10} {:>10} {:>10}", "reduction", "8 B, ns", "8 KiB GB/s", "1 MiB GB/s");
    for (name, op, datatype) in [
        ("sum of double", MPI_SUM, MPI_DOUBLE),
        ("max of int", MPI_MAX, MPI_INT),
        ("sum of binary16", MPI_SUM, MPI_REAL2),
        ("sum of long double", MPI_SUM, MPI_LONG_DOUBLE),
        ("minloc of (double, int)", MPI_MINLOC, MPI_DOUBLE_INT),
    ] {
        let reduction = ops.reduction(&types, op, datatype).expect("defined");
        let extent = reduction.extent().unsigned_abs();
        let mut time = |bytes: usize, repetitions| {
            let n = (bytes / extent).max(1);
            // SAFETY: both rows hold at least `n` elements.
            seconds(repetitions, || unsafe { reduction.apply(black_box(inout.as_mut_ptr()), a.as_ptr(), n) })
        };
        let (small, middle, large) = (time(8, 20_000), time(8192, 2000), time(1 << 20, 20));
        println!("{name:<24} {:>10.1} {:>10.1} {:>10.1}", small * 1e9, 8192.0 / middle / 1e9, 1e-9 * 1048576.0 / large);
    }
}

fn main() {
    let (mut memory, mut packed) = (vec![1u8; (32 << 20) + 4096], vec![1u8; 4 << 20]);
    copies(&mut memory);
    packing(&mut memory, &mut packed);
    reductions(&memory, &mut packed);
}
