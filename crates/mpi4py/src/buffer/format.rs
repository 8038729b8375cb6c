//! Formats of the buffer protocol that say more than one predefined datatype: `T{i:a:xxxxd:b:}`,
//! `5s`, `(2,3)d`. The language is that of `struct`, extended as PEP 3118 and NumPy do.
//!
//! What a format does not say is not guessed: if its parts do not add up to the element's size
//! (ctypes leaves padding out in some versions of Python) it is refused.

use super::infer::{Found, by_format};
use super::record::{Content, Field, Record};
use mpi_abi::Count;
use mpi_abi::consts as c;

/// Why a format has no datatype.
pub(super) enum Refusal {
    /// The byte order of this field is the other one.
    Swapped(String),
    /// What it says of this field has no datatype.
    NoType(String),
    /// Python objects in this field.
    Objects(String),
    /// It cannot be read, or does not add up.
    Unclear,
}

/// The element with this format and size.
pub(super) fn parse(format: &[u8], size: Count) -> Result<Content, Refusal> {
    let mut parser = Parser { rest: format, order: b'@', path: Vec::new() };
    let (mut record, align) = parser.fields(None)?;
    let end = if parser.order == b'@' { up(record.size, align) } else { record.size };
    if end != size {
        return Err(Refusal::Unclear);
    }
    record.size = size;
    if let [Field { at: 0, count: 1, element: Content::Record(_), .. }] = record.fields[..]
        && let Some(Field { element: Content::Record(mut inner), .. }) = record.fields.pop()
    {
        inner.size = size;
        record = inner;
    }
    Ok(Content::Record(record))
}

fn up(at: Count, align: Count) -> Count {
    let over = at % align.max(1);
    if over == 0 { at } else { at.saturating_add(align - over) }
}

struct Parser<'a> {
    rest: &'a [u8],
    /// The byte order in force: `@` with alignment, `^` without, the others with standard sizes.
    order: u8,
    /// Names of the fields around.
    path: Vec<String>,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn take(&mut self, what: u8) -> bool {
        let found = self.rest.first() == Some(&what);
        if found {
            self.next();
        }
        found
    }

    /// `None` where there is no digit.
    fn number(&mut self) -> Result<Option<Count>, Refusal> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let number = std::str::from_utf8(number).unwrap_or_default();
        if number.is_empty() { Ok(None) } else { number.parse().map(Some).map_err(|_| Refusal::Unclear) }
    }

    /// `(2,3)` or `5` before a type: how many.
    fn repeats(&mut self) -> Result<Count, Refusal> {
        let mut count: Count = 1;
        if self.take(b'(') {
            loop {
                let size = self.number()?.ok_or(Refusal::Unclear)?;
                count = count.checked_mul(size).ok_or(Refusal::Unclear)?;
                match self.next() {
                    Some(b',') => {}
                    Some(b')') => break,
                    _ => return Err(Refusal::Unclear),
                }
            }
        }
        self.orders();
        match self.number()? {
            Some(number) => count.checked_mul(number).ok_or(Refusal::Unclear),
            None => Ok(count),
        }
    }

    fn orders(&mut self) {
        while let Some(&order @ (b'@' | b'^' | b'=' | b'<' | b'>' | b'!')) = self.rest.first() {
            self.order = order;
            self.next();
        }
    }

    /// `:name:` after a type.
    fn name(&mut self) -> Result<String, Refusal> {
        if !self.take(b':') {
            return Ok(String::new());
        }
        let length = self.rest.iter().position(|&byte| byte == b':').ok_or(Refusal::Unclear)?;
        let (name, rest) = self.rest.split_at(length);
        self.rest = &rest[1..];
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// The name of the field that begins at the type in front, for errors.
    fn place(&mut self) -> String {
        let name = self.name().unwrap_or_default();
        let names = self.path.iter().chain([&name]).filter(|name| !name.is_empty());
        names.map(String::as_str).collect::<Vec<_>>().join(".")
    }

    /// The name after the `T{...}` whose inside is in front: only errors want it, so it is looked up.
    fn name_behind(&self) -> String {
        let mut depth = 1;
        for (index, byte) in self.rest.iter().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let mut behind = Parser { rest: &self.rest[index + 1..], order: self.order, path: Vec::new() };
                return behind.name().unwrap_or_default();
            }
        }
        String::new()
    }

    /// Fields up to `end` (`None`: the end of the text), and the strictest alignment among them.
    fn fields(&mut self, end: Option<u8>) -> Result<(Record, Count), Refusal> {
        let mut record = Record { fields: Vec::new(), size: 0 };
        let mut strictest = 1;
        // A structure that does not end where its alignment says: some count its padding in, some do not.
        let mut open = false;
        loop {
            self.orders();
            match self.rest.first() {
                None if end.is_none() => break,
                None => return Err(Refusal::Unclear),
                Some(_) if end.is_some_and(|end| self.take(end)) => break,
                Some(byte) if byte.is_ascii_whitespace() => {
                    self.next();
                    continue;
                }
                Some(_) => {}
            }
            if open {
                return Err(Refusal::Unclear);
            }
            let count = self.repeats()?;
            self.orders();
            if self.take(b'x') {
                record.size = record.size.checked_add(count).ok_or(Refusal::Unclear)?;
                self.name()?;
                continue;
            }
            let (element, align) = self.element()?;
            let name = self.name()?;
            if self.order == b'@' {
                record.size = up(record.size, align);
                strictest = strictest.max(align);
                open = element.size() % align.max(1) != 0;
                if open && count > 1 {
                    return Err(Refusal::Unclear);
                }
            }
            let (at, bytes) = (record.size, element.size().checked_mul(count));
            record.size = bytes.and_then(|bytes| bytes.checked_add(at)).ok_or(Refusal::Unclear)?;
            record.fields.push(Field { name, at, count, element });
        }
        Ok((record, strictest))
    }

    /// One type, and its alignment.
    fn element(&mut self) -> Result<(Content, Count), Refusal> {
        let code = self.next().ok_or(Refusal::Unclear)?;
        if code == b'T' {
            if !self.take(b'{') {
                return Err(Refusal::Unclear);
            }
            let name = self.name_behind();
            self.path.push(name);
            let (record, align) = self.fields(Some(b'}'))?;
            self.path.pop();
            return Ok((Content::Record(record), align));
        }
        let native = matches!(self.order, b'@' | b'^');
        let (text, size): (&[u8], Count) = match code {
            b's' | b'p' | b'c' => return Ok((Content::Basic(c::MPI_CHAR, 1), 1)),
            b'w' => (b"w", 4),
            b'?' => (b"?", 1),
            b'b' => (b"b", 1),
            b'B' => (b"B", 1),
            b'h' => (b"h", 2),
            b'H' => (b"H", 2),
            b'i' => (b"i", 4),
            b'I' => (b"I", 4),
            b'l' => (b"l", if native { size_of::<std::ffi::c_long>() as Count } else { 4 }),
            b'L' => (b"L", if native { size_of::<std::ffi::c_long>() as Count } else { 4 }),
            b'q' => (b"q", 8),
            b'Q' => (b"Q", 8),
            b'n' => (b"n", 8),
            b'N' => (b"N", 8),
            b'e' => (b"e", 2),
            b'f' => (b"f", 4),
            b'd' => (b"d", 8),
            b'g' => (b"g", 16),
            b'Z' => match self.next() {
                Some(b'f') => (b"Zf", 8),
                Some(b'd') => (b"Zd", 16),
                Some(b'g') => (b"Zg", 32),
                _ => return Err(Refusal::NoType(self.place())),
            },
            b'O' => return Err(Refusal::Objects(self.place())),
            b'P' | b'z' | b'&' | b'X' | b'u' => return Err(Refusal::NoType(self.place_after(code))),
            _ => return Err(Refusal::Unclear),
        };
        let swapped = if cfg!(target_endian = "little") { b">!".contains(&self.order) } else { self.order == b'<' };
        if swapped && size > 1 {
            return Err(Refusal::Swapped(self.place()));
        }
        let align = if code == b'Z' { size / 2 } else { size };
        match isize::try_from(size).map(|size| by_format(text, size)) {
            Ok(Found::Type(datatype)) => Ok((Content::Basic(datatype, size), align)),
            _ => Err(Refusal::NoType(self.place())),
        }
    }

    /// The name after a type that has more text: pointers to something, functions.
    fn place_after(&mut self, code: u8) -> String {
        if code == b'&' || code == b'X' {
            let to = self.rest.iter().position(|&byte| byte == b':').unwrap_or(self.rest.len());
            self.rest = &self.rest[to..];
        }
        self.place()
    }
}
