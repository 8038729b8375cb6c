//! Buffers of collectives: one with a block for each rank or neighbour is as large as all of them.

use super::{LONGEST, MOST_DATA, Maker, Making, Shape};
use crate::api::Function;
use crate::memory::MESSAGES;

/// What the standard has for MPI_IN_PLACE.
const IN_PLACE: i64 = 1;
/// MPI_INT, MPI_DOUBLE, MPI_BYTE and MPI_SHORT_INT, which has a hole.
const TYPES: [u64; 4] = [0x209, 0x214, 0x247, 0x22c];
/// MPI_SUM.
const SUM: i64 = 0x21;
/// More blocks than this no communicator and no topology here has.
const BLOCKS: usize = LONGEST;

/// Whether the buffers of a function are those of a collective.
pub(super) fn is_collective(function: &Function) -> bool {
    let name = function.name.to_lowercase();
    let words = ["gather", "scatter", "alltoall", "reduce", "scan", "bcast"];
    words.iter().any(|word| name.contains(word)) && !name.starts_with("mpi_reduce_local")
}

/// The parameters that say what lies in a buffer.
struct Places {
    counts: Option<usize>,
    displs: Option<usize>,
    types: Option<usize>,
    count: Option<usize>,
    datatype: Option<usize>,
    /// The numbers in `displs` are bytes.
    in_bytes: bool,
}

impl Maker<'_> {
    /// Places the buffers, and makes counts smaller where there is no memory for them.
    pub(super) fn blocks(&mut self, making: &mut Making<'_>) {
        if !making.wild && self.random.percent(70) {
            self.agree(making);
        }
        let f = making.function;
        for (place, param) in f.params.iter().enumerate().filter(|(_, p)| ["BUF", "WBUF"].contains(&p.kind)) {
            let side = param.name.strip_suffix("buf").unwrap_or("");
            let at = |names: &[String]| names.iter().find_map(|name| f.at(name));
            let places = Places {
                counts: at(&[format!("{side}counts"), "recvcounts".to_owned()]).filter(|_| {
                    // Of the two sides one may have a single count.
                    f.at(&format!("{side}count")).is_none()
                }),
                displs: at(&[format!("{}displs", &side[..side.len().min(1)]), "displs".to_owned()]),
                types: at(&[format!("{side}types")]),
                count: at(&[format!("{side}count"), "count".to_owned(), "recvcount".to_owned()]),
                datatype: at(&[format!("{side}type"), "datatype".to_owned()]),
                in_bytes: f.name.contains("alltoallw"),
            };
            let in_place = side == "send" || (side == "recv" && f.name.to_lowercase().contains("scatter"));
            let address = match places.counts {
                Some(counts) => self.uneven(making, counts, &places),
                None => self.even(making, &places),
            };
            making.values[place] = if in_place && self.random.percent(12) { IN_PLACE } else { address };
        }
    }

    /// Makes what must agree agree: else nearly every call would be an error.
    fn agree(&mut self, making: &mut Making<'_>) {
        let (datatype, count) = (self.random.of(&TYPES), self.random.of(&[0, 1, 2, 3, 100, 20_000]));
        for (place, param) in making.function.params.iter().enumerate() {
            let at = making.values[place];
            match param.kind {
                "DATATYPE" => making.values[place] = datatype as i64,
                "COUNT" => making.values[place] = count,
                "OP" if self.random.percent(60) => making.values[place] = SUM,
                "INT" if param.name == "root" => making.values[place] = self.random.below(self.ranks) as i64,
                "DATATYPES" if at != 0 => {
                    for i in 0..BLOCKS {
                        // SAFETY: an array made for this call, of as many elements.
                        unsafe { (at as *mut u64).add(i).write(datatype) };
                    }
                }
                "COUNTS" if at != 0 => {
                    for i in 0..BLOCKS {
                        let number = (count.min(100) as u64).to_le_bytes();
                        // SAFETY: as above.
                        unsafe { (at as *mut u8).add(i * param.width).copy_from(number.as_ptr(), param.width) };
                    }
                }
                _ => continue,
            }
            making.shown[place] = String::new();
        }
    }

    /// Blocks of one count each.
    fn even(&mut self, making: &mut Making<'_>, places: &Places) -> i64 {
        let (Some(count), Some(datatype)) = (places.count, places.datatype) else { return 0 };
        let Some(shape) = self.shapes.of(making.values[datatype] as u64) else { return self.anywhere() };
        let all = |count: i64| i128::from(count) * BLOCKS as i128;
        if !shape.fits(all(making.values[count])) {
            making.values[count] = i64::from(shape.fits(all(1)));
        }
        let (low, high) = shape.bytes(all(making.values[count]));
        self.memory.message(self.random, low, high).unwrap_or(0) as i64
    }

    /// Blocks with counts of their own.
    fn uneven(&mut self, making: &mut Making<'_>, counts: usize, places: &Places) -> i64 {
        let f = making.function;
        let read = |place: usize, width: usize| -> Vec<i64> {
            let at = making.values[place] as *const u8;
            let one = |i: usize| {
                let mut bytes = [0; 8];
                // SAFETY: an array made for this call, of as many elements.
                unsafe { at.add(i * width).copy_to(bytes.as_mut_ptr(), width) };
                let number = i64::from_le_bytes(bytes);
                if width == 4 { i64::from(number as i32) } else { number }
            };
            if at.is_null() { vec![0; BLOCKS] } else { (0..BLOCKS).map(one).collect() }
        };
        let numbers = read(counts, f.params[counts].width);
        let shape = |datatype: i64| self.shapes.of(datatype as u64);
        let (low, high, data) = match (places.displs, places.types, places.datatype) {
            (Some(displs), Some(types), _) => {
                let displs = read(displs, f.params[displs].width);
                let shapes: Vec<_> = read(types, 8).into_iter().map(shape).collect();
                span(&numbers, &displs, |i| shapes[i], places.in_bytes)
            }
            (Some(displs), None, Some(datatype)) => {
                let displs = read(displs, f.params[displs].width);
                let shape = shape(making.values[datatype]);
                span(&numbers, &displs, |_| shape, places.in_bytes)
            }
            // All blocks one after the other.
            (None, _, Some(datatype)) => {
                let total = numbers.iter().map(|n| i128::from(*n).max(0)).sum::<i128>();
                let Some(shape) = shape(making.values[datatype]) else { return self.anywhere() };
                let (low, high) = shape.bytes(total);
                (low, high, total * shape.size)
            }
            _ => return 0,
        };
        if high - low <= MESSAGES as i128 && data <= MOST_DATA {
            return self.memory.message(self.random, low, high).unwrap_or(0) as i64;
        }
        let at = making.values[counts] as *mut u8;
        // SAFETY: as above.
        unsafe { at.write_bytes(0, BLOCKS * f.params[counts].width) };
        making.shown[counts] = "[0, 0, ...]".to_owned();
        self.anywhere()
    }

    /// An address for nothing.
    fn anywhere(&mut self) -> i64 {
        self.memory.message(self.random, 0, 64).unwrap_or(0) as i64
    }
}

/// The bytes from the first to the last of all blocks, and how many are data.
fn span(counts: &[i64], displs: &[i64], shape: impl Fn(usize) -> Option<Shape>, in_bytes: bool) -> (i128, i128, i128) {
    let (mut low, mut high, mut data) = (0, 0, 0);
    for (i, (count, displ)) in counts.iter().zip(displs).enumerate() {
        let Some(shape) = shape(i).filter(|shape| *count > 0 && shape.size > 0) else { continue };
        let (from, to) = shape.bytes(i128::from(*count));
        let at = i128::from(*displ) * if in_bytes { 1 } else { shape.extent };
        (low, high) = (low.min(at + from), high.max(at + to));
        data += i128::from(*count) * shape.size;
    }
    (low, high, data)
}
