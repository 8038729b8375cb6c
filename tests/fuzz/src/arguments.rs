//! The arguments of one call. Handles, numbers and texts may be anything; addresses are always those of memory
//! that is as large as the call may use by what the standard says: where numbers promise memory
//! (lengths of arrays, counts of elements of a type), either the memory is made for them or they
//! are made smaller.

mod blocks;

use crate::api::{Function, Param};
use crate::callbacks;
use crate::library::{Entry, Library};
use crate::memory::{MESSAGES, Memory};
use crate::pools::{self, Pool, Pools};
use crate::random::Random;
use crate::values;
use std::ffi::c_int;
use std::fmt::Write as _;

/// Bytes of MPI_Status.
const STATUS: usize = 32;
pub(crate) type Status = [u8; STATUS];
/// Longest array.
const LONGEST: usize = 64;
/// Most bytes of data in one message.
const MOST_DATA: i128 = 4 << 20;

/// Parameters that say how long arrays of the same function are.
const LENGTHS: &[&str] = &[
    "count",
    "incount",
    "n",
    "ndims",
    "length",
    "maxdims",
    "argc",
    "max_integers",
    "max_addresses",
    "max_large_counts",
    "max_datatypes",
    "nnodes",
    "maxindex",
    "maxedges",
    "maxneighbors",
    "maxindegree",
    "maxoutdegree",
    "indegree",
    "outdegree",
];
const ARRAYS: &[&str] = &[
    "INTS",
    "INTS_OUT",
    "AINTS",
    "AINTS_OUT",
    "LARGES_OUT",
    "COUNTS",
    "DISPLS",
    "AINT_COUNTS",
    "DATATYPES",
    "DATATYPES_OUT",
    "REQUESTS",
    "REQUESTS_INOUT",
    "STATUSES_OUT",
    "RANGES",
    "STRINGS",
];

/// What to look at after the call.
pub(crate) enum After {
    /// Handles at an address, as they were before; whether the call may end them.
    Handles {
        at: *const u64,
        before: Vec<u64>,
        pool: Pool,
        ends: bool,
    },
    /// The same for keys and error codes, which are ints.
    Number {
        at: *const c_int,
        before: c_int,
        pool: Pool,
        ends: bool,
    },
    Status(*const Status),
    Allocated(*const u64),
}

pub(crate) struct Call {
    pub(crate) arguments: Vec<u64>,
    pub(crate) after: Vec<After>,
    pub(crate) text: String,
}

/// The functions that tell the shape of a type.
pub(crate) struct Shapes {
    size: Entry,
    extent: Entry,
    true_extent: Entry,
}

#[derive(Clone, Copy)]
struct Shape {
    size: i128,
    extent: i128,
    true_lb: i128,
    true_extent: i128,
}

impl Shapes {
    pub(crate) fn new(library: &Library) -> Result<Self, String> {
        Ok(Self {
            size: library.entry("PMPI_Type_size_c")?,
            extent: library.entry("PMPI_Type_get_extent_c")?,
            true_extent: library.entry("PMPI_Type_get_true_extent_c")?,
        })
    }

    /// None for what is no type.
    fn of(&self, datatype: u64) -> Option<Shape> {
        let mut values = [0i64; 5];
        let at = |values: &mut [i64; 5], i: usize| values[i..].as_mut_ptr() as u64;
        // SAFETY: addresses of results.
        let codes = unsafe {
            [
                self.size.code(&[datatype, at(&mut values, 0)]),
                self.extent.code(&[datatype, at(&mut values, 1), at(&mut values, 2)]),
                self.true_extent.code(&[datatype, at(&mut values, 3), at(&mut values, 4)]),
            ]
        };
        let [size, _, extent, true_lb, true_extent] = values.map(i128::from);
        (codes == [0; 3]).then_some(Shape { size, extent, true_lb, true_extent })
    }
}

impl Shape {
    /// The bytes that `count` elements use, counted from the buffer's address.
    fn bytes(&self, count: i128) -> (i128, i128) {
        if count <= 0 || self.size == 0 {
            return (0, 0);
        }
        let last = (count - 1) * self.extent;
        (self.true_lb + last.min(0), self.true_lb + self.true_extent + last.max(0))
    }

    fn fits(&self, count: i128) -> bool {
        let (low, high) = self.bytes(count);
        count <= 0 || (high - low <= MESSAGES as i128 && count * self.size <= MOST_DATA)
    }
}

pub(crate) struct Maker<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) memory: &'a mut Memory,
    pub(crate) pools: &'a mut Pools,
    pub(crate) shapes: &'a Shapes,
    pub(crate) statuses: &'a [Status],
    pub(crate) allocated: &'a mut Vec<u64>,
    pub(crate) rank: usize,
    pub(crate) ranks: usize,
}

/// A call in the making.
struct Making<'f> {
    function: &'f Function,
    wild: bool,
    values: Vec<i64>,
    /// Lengths of arrays, by place of the parameter.
    lengths: Vec<Option<i64>>,
    /// Room for a string that comes out.
    room: Option<usize>,
    after: Vec<After>,
    shown: Vec<String>,
}

impl Making<'_> {
    /// Elements of the array at `place`.
    fn capacity(&self, place: usize) -> usize {
        let name = &self.function.name;
        if ["MPI_Graph", "MPI_Dist_graph", "MPI_Cart_sub", "MPI_Cart_rank"].iter().any(|p| name.starts_with(p)) {
            return LONGEST;
        }
        let own = self.function.params[place].name.strip_prefix("array_of_").map(|rest| format!("max_{rest}"));
        let own = own.and_then(|name| self.function.at(&name)).and_then(|at| self.lengths[at]);
        let longest = own.or_else(|| self.lengths.iter().flatten().max().copied());
        longest.map_or(LONGEST, |n| n.clamp(0, LONGEST as i64) as usize)
    }
}

impl Maker<'_> {
    /// Arguments for `function`; with `wild`, few of them are good.
    pub(crate) fn make(&mut self, function: &Function, wild: bool) -> Call {
        let n = function.params.len();
        let mut making = Making {
            function,
            wild,
            values: vec![0; n],
            lengths: vec![None; n],
            room: None,
            after: Vec::new(),
            shown: vec![String::new(); n],
        };
        let arrays = function.params.iter().any(|p| ARRAYS.contains(&p.kind));
        for (place, param) in function.params.iter().enumerate() {
            let length = LENGTHS.contains(&param.name) && !param.kind.ends_with("_OUT");
            if arrays && length && !(function.name == "MPI_Dims_create" && param.name == "nnodes") {
                let most = if function.name.starts_with("MPI_Dist_graph_create") { 8 } else { LONGEST };
                let value = match self.random.below(if wild { 6 } else { 40 }) {
                    0 => values::wild(self.random).min(most as i64),
                    1 => self.random.below(most + 1) as i64,
                    _ => self.random.below(6) as i64,
                };
                making.lengths[place] = Some(narrow(value, param.width).min(most as i64));
            } else if ["buflen", "pset_len", "valuelen"].contains(&param.name) && !function.name.ends_with("valuelen") {
                let value = self.random.of(&[0, 1, 2, 3, 5, 20, 128, 1024, 1025, -1]);
                making.values[place] = value;
                making.room = Some(value.max(0) as usize + usize::from(param.name == "valuelen"));
            }
        }
        for place in 0..n {
            self.argument(&mut making, place);
        }
        if blocks::is_collective(function) {
            self.blocks(&mut making);
        } else {
            self.buffers(&mut making);
        }
        let mut text = format!("{}(", function.name);
        for (place, param) in function.params.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let value = making.values[place];
            let shown = &making.shown[place];
            let _ = match shown.is_empty() {
                true if value.unsigned_abs() > 100_000 => write!(text, "{comma}{}={value:#x}", param.name),
                true => write!(text, "{comma}{}={value}", param.name),
                false => write!(text, "{comma}{}={shown}", param.name),
            };
        }
        text.push(')');
        Call { arguments: making.values.iter().map(|v| *v as u64).collect(), after: making.after, text }
    }

    fn argument(&mut self, making: &mut Making<'_>, place: usize) {
        let function = making.function;
        let Param { kind, name, width } = function.params[place];
        // Bad values are rare where the rest is good: else nearly every call would fail early.
        let bad = self.random.percent(if making.wild { 25 } else { 2 });
        let is_address = kind.contains("OUT") || ARRAYS.contains(&kind) || kind == "STRING" || kind == "STATUS";
        let may_be_null = is_address && making.wild && self.random.percent(3);
        if may_be_null {
            making.shown[place] = "NULL".to_owned();
            making.values[place] = 0;
            return;
        }
        let value = match kind {
            _ if making.lengths[place].is_some() => making.lengths[place].unwrap_or(0),
            "INT" if name == "valuelen" => making.values[place],
            "INT" | "COUNT" | "LARGE" | "AINT" | "AINT_COUNT" | "UNIT" => {
                let value = self.number(function, name, kind, bad);
                narrow(value, width)
            }
            "INT_OUT" if ["sourceweights", "destweights"].contains(&name) => self.array(making, place),
            "INT_OUT" => self.number_slot(making, place),
            _ if ARRAYS.contains(&kind) => self.array(making, place),
            "COUNT_OUT" | "AINT_OUT" | "AINT_COUNT_OUT" | "LARGE_OUT" | "UNIT_OUT" => {
                // Some go both ways: the position in a packed buffer.
                let start = if bad { values::wild(self.random) } else { 8 * self.random.below(5) as i64 };
                let at = self.memory.argument(width);
                // SAFETY: `width` bytes.
                unsafe { at.copy_from(start.to_le_bytes().as_ptr(), width) };
                making.shown[place] = format!("&{start}");
                at as i64
            }
            "STRING" => self.string(making, place),
            "STRING_OUT" => {
                let room = making.room.unwrap_or_else(|| longest_string(&function.name));
                making.shown[place] = format!("char[{room}]");
                self.memory.argument(room) as i64
            }
            "STATUS" | "STATUS_INOUT" => self.status(making, place),
            "STATUS_OUT" => {
                if self.random.percent(15) {
                    0
                } else {
                    let at = self.memory.argument(STATUS);
                    making.after.push(After::Status(at.cast()));
                    at as i64
                }
            }
            "POINTER" => self.pointer(making, place),
            "STATE" => values::wild(self.random),
            "ARGV" | "VARARGS" | "BUF" | "WBUF" => 0,
            _ => {
                if let Some(pool) = pools::of_kind(kind) {
                    self.handle(making, place, pool)
                } else {
                    let which = self.random.below(16);
                    callbacks::for_kind(kind, which).unwrap_or(0) as i64
                }
            }
        };
        making.values[place] = value;
    }

    fn number(&mut self, function: &Function, name: &str, kind: &str, bad: bool) -> i64 {
        if name.contains("keyval") {
            return self.pools.draw(self.random, Pool::Keyval, bad) as i64;
        }
        if ["errorcode", "errorclass", "error"].contains(&name) {
            let own = ["MPI_Add", "MPI_Remove"].iter().any(|p| function.name.starts_with(p));
            let pool = if own && self.random.percent(80) { Pool::OwnError } else { Pool::Error };
            return self.pools.draw(self.random, pool, bad) as i64;
        }
        if function.name == "MPI_Alloc_mem" {
            return self.random.of(&[0, 1, 100, 65536, -1, i64::MIN, i64::MAX, 1 << 60]);
        }
        if bad {
            return values::wild(self.random);
        }
        if name == "size" && function.name.contains("darray") {
            return 1;
        }
        if name == "remote_leader" && self.random.percent(60) {
            return (self.ranks - 1 - self.rank) as i64;
        }
        match kind {
            "AINT" => self.memory.address(self.random) as i64,
            "AINT_COUNT" => self.random.below(200) as i64 - 30,
            _ => values::number(self.random, name, self.ranks),
        }
    }

    /// A place for an int: for a result, or for a value that goes in and out.
    fn number_slot(&mut self, making: &mut Making<'_>, place: usize) -> i64 {
        let (name, at) = (making.function.params[place].name, self.memory.argument(4));
        let pool = if name.contains("keyval") {
            Some(Pool::Keyval)
        } else if ["errorcode", "errorclass"].contains(&name) {
            Some(Pool::OwnError)
        } else {
            None
        };
        let ends = making.function.name.contains("_free");
        let before = match pool {
            _ if ["buflen", "pset_len"].contains(&name) => making.values[place],
            Some(pool) => self.pools.draw(self.random, pool, making.wild) as i64,
            None => 0x5555_5555,
        } as c_int;
        // SAFETY: four bytes; the end of a page is aligned.
        unsafe { at.cast::<c_int>().write(before) };
        if let Some(pool) = pool {
            making.after.push(After::Number { at: at.cast(), before, pool, ends });
        }
        making.shown[place] = format!("&{before}");
        at as i64
    }

    fn handle(&mut self, making: &mut Making<'_>, place: usize, pool: Pool) -> i64 {
        let kind = making.function.params[place].kind;
        let ends = kind.ends_with("_INOUT") || making.function.name.contains("_free");
        let is_result = kind.ends_with("_OUT") && !ends && making.function.name != "MPI_Type_commit";
        let value = if is_result { 0x5555 } else { self.pools.draw(self.random, pool, making.wild) };
        if !kind.ends_with("OUT") {
            making.shown[place] = format!("{value:#x}");
            return value as i64;
        }
        let at = self.memory.argument(8).cast::<u64>();
        // SAFETY: eight bytes; the end of a page is aligned.
        unsafe { at.write(value) };
        making.after.push(After::Handles { at, before: vec![value], pool, ends });
        making.shown[place] = format!("&{value:#x}");
        at as i64
    }

    fn array(&mut self, making: &mut Making<'_>, place: usize) -> i64 {
        let Param { kind, name, width } = making.function.params[place];
        let n = making.capacity(place);
        match kind {
            "STATUSES_OUT" => {
                let ignore = self.random.percent(15);
                return if ignore { 0 } else { self.memory.argument(n * STATUS) as i64 };
            }
            "STRINGS" => {
                let texts: Vec<u64> = (0..n).map(|_| self.string(making, place) as u64).chain([0]).collect();
                return self.store(&texts, 8);
            }
            "INTS_OUT" | "AINTS_OUT" | "LARGES_OUT" | "INT_OUT" => {
                let width = if kind.starts_with("INT") { 4 } else { 8 };
                return self.memory.argument(n * width) as i64;
            }
            _ => {}
        }
        if let Some(pool) = pools::of_kind(kind) {
            let result = kind.ends_with("_OUT") && !kind.ends_with("_INOUT");
            let value = |me: &mut Self| if result { 0x5555 } else { me.pools.draw(me.random, pool, making.wild) };
            let handles: Vec<u64> = (0..n).map(|_| value(self)).collect();
            let at = self.store(&handles, 8);
            if kind.ends_with("OUT") {
                let ends = kind.ends_with("_INOUT");
                making.after.push(After::Handles { at: at as *const u64, before: handles.clone(), pool, ends });
            }
            making.shown[place] = format!("{handles:#x?}").replace("\n", "").replace("    ", " ");
            return at;
        }
        let n = if kind == "RANGES" { 3 * n } else { n };
        let width = if kind == "RANGES" { 4 } else { width };
        let wild = making.wild && self.random.percent(30);
        // What these say about other arrays must be true.
        let bounded = ["indx", "degrees"].contains(&name) || making.function.name.starts_with("MPI_Graph");
        let numbers: Vec<i64> = (0..n)
            .map(|i| {
                let value = if wild { values::wild(self.random) } else { self.element(kind, name, i) };
                match name {
                    "degrees" => value.clamp(-1, 4),
                    _ if bounded => value.clamp(-3, 60),
                    _ => value,
                }
            })
            .collect();
        let shown: Vec<_> = numbers.iter().take(12).collect();
        making.shown[place] = format!("{shown:?}{}", if n > 12 { "..." } else { "" });
        let numbers: Vec<u64> = numbers.iter().map(|v| *v as u64).collect();
        self.store(&numbers, width)
    }

    fn element(&mut self, kind: &str, name: &str, i: usize) -> i64 {
        match name {
            "array_of_distribs" => self.random.of(&[16, 17, 18]),
            "array_of_dargs" => self.random.of(&[19, 19, 19, 19, 1, 100]),
            "array_of_psizes" | "dims" => self.random.of(&[1, 1, 1, 1, 1, 1, 1, 1, 2, 0]),
            "array_of_subsizes" => self.random.of(&[1, 1, 2, 2, 3, 3, 4, 4, 4, 0]),
            "array_of_gsizes" | "array_of_sizes" => self.random.of(&[4, 8, 9, 100]),
            "array_of_starts" | "periods" | "remain_dims" => self.random.below(3) as i64,
            "array_of_displacements" if kind == "AINT_COUNTS" && self.random.percent(20) => {
                self.memory.address(self.random) as i64
            }
            "array_of_displacements" => i as i64 * self.random.below(20) as i64 - self.random.below(3) as i64,
            "ranges" if i % 3 == 2 => self.random.of(&[1, 1, -1, 2, 0]),
            "ranks" | "ranks1" | "ranges" | "coords" | "sources" | "destinations" => {
                let more = usize::from(self.random.percent(10));
                self.random.below(self.ranks + more) as i64
            }
            _ => self.random.below(5) as i64,
        }
    }

    /// The numbers as an array of this width.
    fn store(&mut self, numbers: &[u64], width: usize) -> i64 {
        let at = self.memory.argument(numbers.len() * width);
        for (i, number) in numbers.iter().enumerate() {
            // SAFETY: element `i` of as many.
            unsafe { at.add(i * width).copy_from(number.to_le_bytes().as_ptr(), width) };
        }
        at as i64
    }

    fn string(&mut self, making: &mut Making<'_>, place: usize) -> i64 {
        let text = values::text(self.random, making.function.params[place].name);
        let at = self.memory.argument(text.len() + 1);
        // SAFETY: one byte more than the text has; it is zero.
        unsafe { at.copy_from(text.as_ptr(), text.len()) };
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        making.shown[place] = format!("{shown:?}{}", if text.len() > 40 { "..." } else { "" });
        at as i64
    }

    fn status(&mut self, making: &Making<'_>, _place: usize) -> i64 {
        let at = self.memory.argument(STATUS);
        let mut status = [0u8; STATUS];
        if !self.statuses.is_empty() && self.random.percent(if making.wild { 40 } else { 80 }) {
            status = self.statuses[self.random.below(self.statuses.len())];
        } else if self.random.percent(50) {
            status.iter_mut().for_each(|b| *b = self.random.next() as u8);
        }
        // SAFETY: as long as a status.
        unsafe { at.copy_from(status.as_ptr(), STATUS) };
        at as i64
    }

    fn pointer(&mut self, making: &mut Making<'_>, place: usize) -> i64 {
        let (function, name) = (&making.function.name, making.function.params[place].name);
        match name {
            "attribute_val" if function.contains("_set_attr") || function == "MPI_Attr_put" => {
                values::wild(self.random)
            }
            "base" if function == "MPI_Free_mem" => self.allocated.pop().unwrap_or(0) as i64,
            "baseptr" => {
                let at = self.memory.argument(8);
                making.after.push(After::Allocated(at.cast()));
                at as i64
            }
            // Results of 8 bytes; those for logical values have up to 16.
            _ => self.memory.argument(16) as i64,
        }
    }

    /// Places messages, and makes counts smaller where there is no memory for them.
    fn buffers(&mut self, making: &mut Making<'_>) {
        let f = making.function;
        let raw = if f.name.starts_with("MPI_Pack") {
            ("outbuf", "outsize")
        } else if f.name.starts_with("MPI_Unpack") {
            ("inbuf", "insize")
        } else {
            ("buffer", "size")
        };
        for (place, param) in f.params.iter().enumerate().filter(|(_, p)| ["BUF", "WBUF"].contains(&p.kind)) {
            if param.name == raw.0 {
                self.raw(making, place, raw.1);
            } else if param.name == "location" {
                making.values[place] = self.memory.address(self.random) as i64;
            } else {
                let prefix = param.name.strip_suffix("buf").unwrap_or("");
                let find = |names: &[String]| names.iter().find_map(|n| f.at(n));
                let count = find(&[format!("{prefix}count"), "count".to_owned()]);
                let datatype = find(&[format!("{prefix}type"), "datatype".to_owned()]);
                if let (Some(count), Some(datatype)) = (count, datatype) {
                    self.typed(making, place, count, datatype);
                }
            }
        }
    }

    fn raw(&mut self, making: &mut Making<'_>, place: usize, size: &str) {
        let Some(at) = making.function.at(size) else { return };
        let mut bytes = making.values[at];
        if !making.wild && bytes < 1000 && self.random.percent(80) {
            bytes = self.random.of(&[64, 256, 4096, 100_000]);
        }
        bytes = bytes.min(1 << 20);
        making.values[at] = bytes;
        let place_for = self.memory.message(self.random, 0, bytes.max(0).into());
        making.values[place] = place_for.unwrap_or(0) as i64;
    }

    fn typed(&mut self, making: &mut Making<'_>, place: usize, count: usize, datatype: usize) {
        let f = making.function;
        let partitions = f.at("partitions").map_or(1, |at| making.values[at].max(1).into());
        let shape = self.shapes.of(making.values[datatype] as u64);
        let anywhere = shape.is_none();
        let shape = shape.unwrap_or(Shape { size: 0, extent: 0, true_lb: 0, true_extent: 0 });
        let all = |n: i64| i128::from(n) * partitions;
        if !shape.fits(all(making.values[count])) {
            // A receive may promise more than comes, a Pack more than has room.
            let dense = shape.extent == shape.size && shape.true_lb == 0;
            let promised = f.params[place].kind == "WBUF" && f.name.contains("recv") && !f.name.contains("replace");
            if dense && promised && self.random.percent(50) {
                making.values[place] = self.memory.message(self.random, 0, MOST_DATA).unwrap_or(0) as i64;
                return;
            }
            making.values[count] = i64::from(shape.fits(all(1)));
        }
        let (low, high) = shape.bytes(all(making.values[count]));
        let bottom = high > low && self.memory.is_message(low, high);
        let nothing = high == low && !anywhere && self.random.percent(30);
        making.values[place] =
            if bottom || nothing { 0 } else { self.memory.message(self.random, low, high).unwrap_or(0) as i64 };
    }
}

/// What the function sees of a number.
fn narrow(value: i64, width: usize) -> i64 {
    if width == 4 { i64::from(value as c_int) } else { value }
}

/// Room that the standard asks of the caller.
fn longest_string(function: &str) -> usize {
    match function {
        "MPI_Get_library_version" => 8192,
        "MPI_Get_processor_name" | "MPI_Info_get_nthkey" => 256,
        "MPI_Error_string" => 512,
        _ if function.ends_with("_get_name") => 128,
        _ => 2048,
    }
}
