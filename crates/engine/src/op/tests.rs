//! Every operation on every type against a plain computation, one element at a time; the table of
//! which type takes part in what; user functions.

use super::predefined::ALL;
use super::{OpTable, Operation, Reduction, UserFunction};
use crate::datatype::{BASICS, Basic, Group, Repr, Type, TypeTable};
use mpi_abi::consts::*;
use mpi_abi::{Datatype, Op};
use std::ffi::{c_int, c_void};

/// Bytes that look random and are the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 17 ^ self.0 << 40
    }
}

/// The value of a part of a number, as far as the test needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Integer(i128),
    Float(f64),
}

fn part(repr: Repr) -> Repr {
    repr.part().unwrap_or(repr)
}

fn is_signed(repr: Repr) -> bool {
    matches!(repr, Repr::I8 | Repr::I16 | Repr::I32 | Repr::I64 | Repr::I128)
}

fn is_float(repr: Repr) -> bool {
    matches!(repr, Repr::F16 | Repr::F32 | Repr::F64 | Repr::Long | Repr::F128)
}

/// A small number as x87 or binary128, which differ in how much mantissa they keep.
fn wide(x: f64, x87: bool) -> u128 {
    let bits = u128::from(x.to_bits());
    let (sign, exponent, mantissa) = (bits >> 63, bits >> 52 & 0x7ff, bits & ((1 << 52) - 1));
    match (x == 0.0, x87) {
        (true, true) => sign << 79,
        (true, false) => sign << 127,
        (false, true) => sign << 79 | (exponent + 15360) << 64 | 1 << 63 | mantissa << 11,
        (false, false) => sign << 127 | (exponent + 15360) << 112 | mantissa << 60,
    }
}

fn narrow(bits: u128, x87: bool) -> f64 {
    let (sign, exponent, mantissa) = if x87 {
        (bits >> 79 & 1, bits >> 64 & 0x7fff, bits >> 11 & ((1 << 52) - 1))
    } else {
        (bits >> 127, bits >> 112 & 0x7fff, bits >> 60 & ((1 << 52) - 1))
    };
    let exponent = if exponent == 0 { 0 } else { exponent - 15360 };
    f64::from_bits((sign << 63 | exponent << 52 | mantissa) as u64)
}

fn store(value: Value, repr: Repr) -> Vec<u8> {
    let bytes = match (value, repr) {
        (Value::Float(x), Repr::F16) => u128::from(super::soft::f32_to_half(x as f32)),
        (Value::Float(x), Repr::F32) => u128::from((x as f32).to_bits()),
        (Value::Float(x), Repr::F64) => u128::from(x.to_bits()),
        (Value::Float(x), _) => wide(x, repr == Repr::Long && cfg!(target_arch = "x86_64")),
        (Value::Integer(i), _) => i.cast_unsigned(),
    };
    bytes.to_le_bytes()[..repr.size()].to_vec()
}

fn load(bytes: &[u8], repr: Repr) -> Value {
    let mut all = [0; 16];
    all[..bytes.len()].copy_from_slice(bytes);
    let bits = u128::from_le_bytes(all);
    let unused = 128 - 8 * bytes.len();
    match repr {
        Repr::F16 => Value::Float(f64::from(super::soft::half_to_f32(bits as u16))),
        Repr::F32 => Value::Float(f64::from(f32::from_bits(bits as u32))),
        Repr::F64 => Value::Float(f64::from_bits(bits as u64)),
        Repr::Long => Value::Float(narrow(bits, cfg!(target_arch = "x86_64"))),
        Repr::F128 => Value::Float(narrow(bits, false)),
        _ if is_signed(repr) => Value::Integer((bits << unused).cast_signed() >> unused),
        _ => Value::Integer(bits.cast_signed()),
    }
}

/// Numbers that every format can hold exactly together with their sums and products.
fn random(repr: Repr, random: &mut Random) -> Value {
    let r = random.next();
    if is_float(repr) {
        return Value::Float(((r % 41) as f64 - 20.0) / 2.0);
    }
    let bits = u128::from(r) | u128::from(random.next()) << 64;
    let bits = if r.is_multiple_of(3) { bits % 2 } else { bits };
    load(&bits.to_le_bytes()[..repr.size()], repr)
}

fn scalar(operation: Operation, a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => Value::Float(match operation {
            Operation::Sum => a + b,
            Operation::Prod => a * b,
            Operation::Max => a.max(b),
            Operation::Min => a.min(b),
            _ => panic!("{operation:?} of floats"),
        }),
        (Value::Integer(a), Value::Integer(b)) => Value::Integer(match operation {
            Operation::Sum => a.wrapping_add(b),
            Operation::Prod => a.wrapping_mul(b),
            Operation::Max => a.max(b),
            Operation::Min => a.min(b),
            Operation::Band => a & b,
            Operation::Bor => a | b,
            Operation::Bxor => a ^ b,
            Operation::Land => i128::from(a != 0 && b != 0),
            Operation::Lor => i128::from(a != 0 || b != 0),
            Operation::Lxor => i128::from((a != 0) != (b != 0)),
            _ => panic!("{operation:?} of integers"),
        }),
        _ => panic!("mixed"),
    }
}

/// One element by the plain way.
fn element(operation: Operation, basic: &Basic, a: &[u8], b: &[u8]) -> Vec<u8> {
    let repr = part(basic.repr);
    let half = basic.size() / 2;
    if basic.repr.part().is_none() {
        return store(scalar(operation, load(a, repr), load(b, repr)), repr);
    }
    let numbers = [&a[..half], &a[half..], &b[..half], &b[half..]].map(|x| match load(x, repr) {
        Value::Float(x) => x,
        Value::Integer(_) => panic!("complex integer"),
    });
    let [ar, ai, br, bi] = numbers;
    let (re, im) = match operation {
        Operation::Sum => (ar + br, ai + bi),
        Operation::Prod => (ar * br - ai * bi, ar * bi + ai * br),
        _ => panic!("{operation:?} of complex numbers"),
    };
    [store(Value::Float(re), repr), store(Value::Float(im), repr)].concat()
}

fn row(basic: &Basic, n: usize, seed: u64) -> Vec<u8> {
    let repr = part(basic.repr);
    let parts = n * basic.size() / repr.size();
    let mut numbers = Random(seed);
    (0..parts).flat_map(|_| store(random(repr, &mut numbers), repr)).collect()
}

/// Zero has two signs in sums that cancel, and six bytes of an x87 number mean nothing.
fn same(basic: &Basic, a: &[u8], b: &[u8]) -> bool {
    let repr = part(basic.repr);
    let value = |x: &[u8]| load(x, repr);
    a.chunks(repr.size()).zip(b.chunks(repr.size())).all(|(a, b)| value(a) == value(b))
}

#[test]
fn every_operation_does_on_every_type_what_it_does_on_one_element() {
    let lengths: &[usize] = if cfg!(miri) { &[0, 1, 17] } else { &[0, 1, 2, 7, 31, 128, 129, 300] };
    for operation in &ALL[..10] {
        for basic in BASICS.iter().filter(|b| operation.takes(b.group)) {
            let reduction = Reduction::predefined(*operation, &Type::from_basic(basic)).expect("allowed");
            assert_eq!(reduction.extent(), basic.size() as isize);
            for n in lengths {
                let size = n * basic.size();
                let (a, b) = (row(basic, *n, 1), row(basic, *n, 2));
                let pairs = a.chunks(basic.size()).zip(b.chunks(basic.size()));
                let expected: Vec<u8> = pairs.flat_map(|(x, y)| element(*operation, basic, x, y)).collect();
                // Unaligned, three places; then in the place of the second, and of the first.
                let shift = |row: &[u8]| [&[0xee; 3], row, &[0xee; 3]].concat();
                let (mut x, mut y, mut out) = (shift(&a), shift(&b), vec![0xee; size + 6]);
                // SAFETY: all three hold `n` elements from byte 3 on.
                unsafe { reduction.apply3(out.as_mut_ptr().add(3), x.as_ptr().add(3), y.as_ptr().add(3), *n) };
                let check = |out: &[u8], what: &str| {
                    let text = format!("{} {} x {n} {what}", operation.name(), basic.name);
                    assert!(same(basic, &out[3..3 + size], &expected), "{text}");
                    assert!(out[..3].iter().chain(&out[3 + size..]).all(|b| *b == 0xee), "{text}: outside");
                };
                check(&out, "apart");
                let base = y.as_mut_ptr();
                // SAFETY: as above.
                unsafe { reduction.apply(base.add(3), x.as_ptr().add(3), *n) };
                check(&y, "in place of the second");
                let (base, y) = (x.as_mut_ptr(), shift(&b));
                // SAFETY: as above.
                unsafe { reduction.apply3(base.add(3), base.add(3), y.as_ptr().add(3), *n) };
                check(&x, "in place of the first");
            }
        }
    }
}

#[test]
fn operations_take_the_types_of_the_standard() {
    for operation in &ALL[..12] {
        for basic in BASICS {
            let result = Reduction::predefined(*operation, &Type::from_basic(basic));
            match result {
                Ok(_) => assert!(operation.takes(basic.group), "{} {}", operation.name(), basic.name),
                Err(error) => {
                    assert!(!operation.takes(basic.group), "{} {}", operation.name(), basic.name);
                    assert_eq!(error.class, MPI_ERR_OP);
                    assert!(error.text.contains(operation.name()) && error.text.contains(basic.name), "{}", error.text);
                }
            }
        }
    }
    assert!(!Operation::Sum.takes(Group::Char) && !Operation::Max.takes(Group::Complex));
}

const PAIRS: [Datatype; 9] = [
    MPI_FLOAT_INT,
    MPI_DOUBLE_INT,
    MPI_LONG_INT,
    MPI_2INT,
    MPI_SHORT_INT,
    MPI_LONG_DOUBLE_INT,
    MPI_2REAL,
    MPI_2DOUBLE_PRECISION,
    MPI_2INTEGER,
];

#[test]
fn the_extreme_of_pairs_comes_with_its_index() {
    let types = TypeTable::new();
    let ops = OpTable::default();
    for handle in PAIRS {
        let kind = types.get(handle).expect("known").clone();
        let (value, index, at) = kind.pair().expect("a pair");
        let (extent, mut numbers, n) = (kind.extent() as usize, Random(9), 100);
        let number = |repr: Repr, r: u64| {
            if is_float(repr) { Value::Float(r as f64 / 2.0) } else { Value::Integer((r).into()) }
        };
        let mut draw = || (numbers.next() % 4, numbers.next() % 50);
        let (a, b): (Vec<_>, Vec<_>) = (0..n).map(|_| (draw(), draw())).unzip();
        let memory = |pairs: &[(u64, u64)]| {
            let mut memory = vec![0xee; n * extent];
            for (i, (v, k)) in pairs.iter().enumerate() {
                let place = &mut memory[i * extent..];
                place[..value.size()].copy_from_slice(&store(number(value.repr, *v), value.repr));
                place[at..at + index.size()].copy_from_slice(&store(number(index.repr, *k), index.repr));
            }
            memory
        };
        for (op, max) in [(MPI_MINLOC, false), (MPI_MAXLOC, true)] {
            let reduction = ops.reduction(&types, op, handle).expect("allowed");
            let best = |(x, y): (&(u64, u64), &(u64, u64))| match (x.0 == y.0, (x.0 < y.0) != max) {
                (true, _) => (x.0, x.1.min(y.1)),
                (_, true) => *x,
                _ => *y,
            };
            let expected = memory(&a.iter().zip(&b).map(best).collect::<Vec<_>>());
            let (x, mut y, mut out) = (memory(&a), memory(&b), vec![0xee; n * extent]);
            // SAFETY: all three hold `n` pairs.
            unsafe {
                reduction.apply3(out.as_mut_ptr(), x.as_ptr(), y.as_ptr(), n);
                reduction.apply(y.as_mut_ptr(), x.as_ptr(), n);
            }
            assert_eq!(out, expected, "{op:?} of {}", kind.describe());
            assert_eq!(y, expected, "{op:?} of {} in place", kind.describe());
        }
        let error = ops.reduction(&types, MPI_SUM, handle).map(|_| ()).expect_err("pairs have no sum");
        assert!(error.text.contains("pairs are for MPI_MINLOC"), "{}", error.text);
    }
}

unsafe extern "C" fn minus(a: *mut c_void, b: *mut c_void, len: *mut c_int, _: *mut Datatype) {
    let (a, b) = (a.cast::<i32>(), b.cast::<i32>());
    // SAFETY: called with rows of `len` integers, every second of which belongs to the type.
    unsafe {
        for i in 0..*len as usize {
            *b.add(2 * i) = *a.add(2 * i) - *b.add(2 * i);
        }
    }
}

#[test]
fn a_function_of_the_user_gets_the_lower_rank_first() {
    let (mut types, mut ops) = (TypeTable::new(), OpTable::default());
    let op = ops.create(UserFunction::Int(minus), false);
    let int = types.get(MPI_INT).expect("predefined").clone();
    let spaced = types.insert(Type::resized(&int, 0, 8).expect("resized"));
    assert!(ops.reduction(&types, op, spaced).is_err(), "not committed");
    types.commit(spaced).expect("commit");
    let reduction = ops.reduction(&types, op, spaced).expect("any type");
    assert!(reduction.is_user() && !reduction.is_commutative());
    let (a, mut b, mut out) = ([10, 0, 20], [1, -1, 2], [7; 3]);
    // SAFETY: the rows hold two elements of eight bytes, the last without its hole.
    unsafe {
        reduction.apply3(out.as_mut_ptr().cast(), a.as_ptr().cast(), b.as_ptr().cast(), 2);
        reduction.apply(b.as_mut_ptr().cast(), a.as_ptr().cast(), 2);
    }
    assert_eq!((out, b), ([9, -1, 18], [9, -1, 18]));
    assert_eq!(ops.is_commutative(op), Ok(false));
    ops.free(op).expect("free");
    assert!(ops.free(op).expect_err("freed").text.contains("was freed"));
    assert!(ops.reduction(&types, op, MPI_INT).is_err());
}

#[test]
fn wrong_handles_and_wrong_places_are_errors_of_class_op() {
    let (types, mut ops) = (TypeTable::new(), OpTable::default());
    let class = |op: Op| ops.reduction(&types, op, MPI_INT).map(|_| ()).expect_err("wrong").class;
    for op in [MPI_OP_NULL, Op(0x3f), Op(1 << 60), MPI_REPLACE, MPI_NO_OP] {
        assert_eq!(class(op), MPI_ERR_OP, "{op:?}");
    }
    assert_eq!(ops.free(MPI_SUM).expect_err("predefined").class, MPI_ERR_OP);
    assert_eq!((ops.is_commutative(MPI_SUM), ops.is_commutative(MPI_REPLACE)), (Ok(true), Ok(false)));
    assert!(ops.predefined(MPI_REPLACE).is_ok());
}
