//! Error codes and classes (MPI-5.0 sections 9.4 and 9.5): what an integer that went through C
//! still knows of an [`Error`], and the classes, codes and strings that the user adds.
//!
//! | code | meaning |
//! |---|---|
//! | 0 ..= 0x3fff | a class of the standard (`texts.rs`) |
//! | 0x4000 .. 2^30 | a class or code that the user added; never given out twice |
//! | bit 30 set | class in bits 0-13, in bits 14-29 the slot of a text in a ring of the last 65,536 |

mod texts;

pub use texts::{class_name, class_text};

use crate::error::{Error, Result};
use crate::naming::cut;
use mpi_abi::consts::{
    MPI_ERR_ARG, MPI_ERR_INTERN, MPI_ERR_LASTCODE, MPI_ERR_UNKNOWN, MPI_MAX_ERROR_STRING, MPI_SUCCESS,
};
use std::collections::HashMap;
use std::ffi::c_int;

const WITH_TEXT: c_int = 1 << 30;
const CLASS_BITS: u32 = 14;
const CLASS_MASK: c_int = (1 << CLASS_BITS) - 1;
const SLOTS: usize = 1 << 16;

/// Texts of past errors, and what the user added.
pub struct Codes {
    /// Class and text of the last errors; a slot is used again after 65,536 more.
    ring: Vec<(c_int, Box<str>)>,
    next: usize,
    added: HashMap<c_int, Added>,
    last: c_int,
}

struct Added {
    /// The class of a code; a class is its own.
    class: c_int,
    /// How many codes belong to a class.
    codes: u32,
    text: Option<String>,
}

impl Default for Codes {
    fn default() -> Self {
        Self { ring: Vec::new(), next: 0, added: HashMap::new(), last: MPI_ERR_LASTCODE }
    }
}

impl Codes {
    /// The integer for `error`. Its text is remembered for [`Codes::text`].
    #[cold]
    pub fn encode(&mut self, error: &Error) -> c_int {
        let class = error.class;
        if error.text.is_empty() || class <= MPI_SUCCESS || class > CLASS_MASK {
            return class;
        }
        let slot = self.next;
        self.next = (slot + 1) % SLOTS;
        let entry = (class, error.text.as_str().into());
        match self.ring.get_mut(slot) {
            Some(old) => *old = entry,
            None => self.ring.push(entry),
        }
        // Below 2^16, so the shifted slot stays below bit 30.
        WITH_TEXT | c_int::try_from(slot).unwrap_or(0) << CLASS_BITS | class
    }

    /// The class of a code; what nobody made is of class `MPI_ERR_UNKNOWN`.
    pub fn class(&self, code: c_int) -> c_int {
        if code & WITH_TEXT != 0 && code > 0 {
            return code & CLASS_MASK;
        }
        match self.added.get(&code) {
            Some(added) => added.class,
            None if class_name(code).is_some() => code,
            None => MPI_ERR_UNKNOWN,
        }
    }

    /// Whether a code is one of the standard's, of ours, or of the user's.
    pub fn is_known(&self, code: c_int) -> bool {
        class_name(code).is_some() || self.added.contains_key(&code) || self.remembered(code).is_some()
    }

    /// The sentence of a code: what [`Codes::encode`] was given behind the name of the class, the
    /// user's string for what the user added, or what the class means. At most as long as C's
    /// buffers for it allow.
    pub fn text(&self, code: c_int) -> String {
        let mut text = self.full_text(code);
        let longest = usize::try_from(MPI_MAX_ERROR_STRING - 1).unwrap_or(0);
        text.truncate(cut(&text, longest).len());
        text
    }

    /// The error that a code stands for: its class and what is known besides.
    pub fn decode(&self, code: c_int) -> Error {
        let class = self.class(code);
        match self.remembered(code) {
            Some(text) => Error::new(class, text),
            None => Error::new(class, class_text(class).map_or_else(|| self.text(code), str::to_owned)),
        }
    }

    fn remembered(&self, code: c_int) -> Option<&str> {
        if code & WITH_TEXT == 0 || code < 0 {
            return None;
        }
        let slot = usize::try_from((code & !WITH_TEXT) >> CLASS_BITS).ok()?;
        let (class, text) = self.ring.get(slot)?;
        (*class == code & CLASS_MASK).then_some(text)
    }

    fn full_text(&self, code: c_int) -> String {
        if let Some(added) = self.added.get(&code) {
            return added.text.clone().unwrap_or_default();
        }
        let class = self.class(code);
        if let Some(text) = self.remembered(code) {
            return describe(class, text);
        }
        match class_text(class) {
            _ if class == MPI_ERR_UNKNOWN && code != class => describe(class, &format!("{code} is not an error code")),
            Some(meaning) => describe(class, meaning),
            None => describe(class, ""),
        }
    }

    /// A new class (`MPI_Add_error_class`).
    pub fn add_class(&mut self) -> Result<c_int> {
        let class = self.take()?;
        self.added.insert(class, Added { class, codes: 0, text: None });
        Ok(class)
    }

    /// A new code of `class` (`MPI_Add_error_code`).
    pub fn add_code(&mut self, class: c_int) -> Result<c_int> {
        match self.added.get(&class) {
            Some(added) if added.class != class => {
                let owner = added.class;
                return Err(Error::new(
                    MPI_ERR_ARG,
                    format!("{class} is an error code (of class {owner}), not an error class"),
                ));
            }
            None if class_name(class).is_none() => {
                return Err(Error::new(MPI_ERR_ARG, format!("{class} is not an error class")));
            }
            _ => {}
        }
        let code = self.take()?;
        if let Some(added) = self.added.get_mut(&class) {
            added.codes += 1;
        }
        self.added.insert(code, Added { class, codes: 0, text: None });
        Ok(code)
    }

    /// Gives an added class or code its string, or replaces it (`MPI_Add_error_string`).
    pub fn set_string(&mut self, code: c_int, text: String) -> Result<()> {
        self.find(code)?.text = Some(text);
        Ok(())
    }

    /// Takes the string away again.
    pub fn remove_string(&mut self, code: c_int) -> Result<()> {
        let added = self.find(code)?;
        if added.text.take().is_none() {
            return Err(Error::new(MPI_ERR_ARG, format!("error code {code} has no string")));
        }
        Ok(())
    }

    /// Ends an added class that has neither codes nor a string left.
    pub fn remove_class(&mut self, class: c_int) -> Result<()> {
        let added = self.find(class)?;
        if added.class != class {
            let owner = added.class;
            return Err(Error::new(
                MPI_ERR_ARG,
                format!("{class} is an error code (of class {owner}), not an error class"),
            ));
        }
        if added.codes != 0 {
            let codes = added.codes;
            return Err(Error::new(MPI_ERR_ARG, format!("error class {class} still has {codes} codes")));
        }
        self.remove(class, "class")
    }

    /// Ends an added code that has no string left.
    pub fn remove_code(&mut self, code: c_int) -> Result<()> {
        let class = self.find(code)?.class;
        if class == code {
            return Err(Error::new(MPI_ERR_ARG, format!("{code} is an error class, not an error code")));
        }
        self.remove(code, "code")?;
        if let Some(owner) = self.added.get_mut(&class) {
            owner.codes -= 1;
        }
        Ok(())
    }

    /// The largest code in use so far: the attribute `MPI_LASTUSEDCODE`.
    pub fn last_used(&self) -> c_int {
        self.last
    }

    fn remove(&mut self, code: c_int, what: &str) -> Result<()> {
        if self.find(code)?.text.is_some() {
            return Err(Error::new(MPI_ERR_ARG, format!("error {what} {code} still has a string")));
        }
        self.added.remove(&code);
        Ok(())
    }

    fn find(&mut self, code: c_int) -> Result<&mut Added> {
        self.added.get_mut(&code).ok_or_else(|| {
            let why = if class_name(code).is_some() { "belongs to the standard" } else { "was not added" };
            Error::new(MPI_ERR_ARG, format!("error code {code} {why}"))
        })
    }

    fn take(&mut self) -> Result<c_int> {
        if self.last + 1 >= WITH_TEXT {
            return Err(Error::new(MPI_ERR_INTERN, "no error code is left: 2^30 were added"));
        }
        self.last += 1;
        Ok(self.last)
    }
}

/// The sentence that users see: the class by its name, then what happened.
pub fn describe(class: c_int, text: &str) -> String {
    match class_name(class) {
        Some(name) if text.is_empty() => name.to_owned(),
        Some(name) => format!("{name}: {text}"),
        None => format!("error class {class}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpi_abi::consts::{MPI_ERR_OTHER, MPI_ERR_RANK, MPI_ERR_TRUNCATE};

    #[test]
    fn a_code_remembers_the_sentence_of_its_error() {
        let mut codes = Codes::default();
        let code = codes.encode(&Error::new(MPI_ERR_TRUNCATE, "message of 48 bytes from rank 1, tag 7"));
        assert_ne!(code, MPI_ERR_TRUNCATE);
        assert_eq!(codes.class(code), MPI_ERR_TRUNCATE);
        assert_eq!(codes.text(code), "MPI_ERR_TRUNCATE: message of 48 bytes from rank 1, tag 7");
        assert_eq!(codes.encode(&Error::new(MPI_ERR_RANK, "")), MPI_ERR_RANK);
    }

    #[test]
    fn an_old_code_keeps_its_class_when_its_slot_was_used_again() {
        let mut codes = Codes::default();
        let first = codes.encode(&Error::new(MPI_ERR_RANK, "the first"));
        for i in 0..SLOTS {
            codes.encode(&Error::new(MPI_ERR_OTHER, i.to_string()));
        }
        assert_eq!(codes.class(first), MPI_ERR_RANK);
        assert!(codes.text(first).starts_with("MPI_ERR_RANK: "));
        assert!(!codes.text(first).contains("first"));
        assert_eq!(codes.ring.len(), SLOTS);
    }

    #[test]
    fn texts_fit_the_buffers_of_c() {
        let mut codes = Codes::default();
        let code = codes.encode(&Error::new(MPI_ERR_OTHER, "é".repeat(600)));
        assert!(codes.text(code).len() <= 511);
    }

    #[test]
    fn every_class_of_the_standard_is_its_own_class_and_has_a_sentence() {
        let codes = Codes::default();
        for class in (0..=62).chain(1001..=1018) {
            assert_eq!(codes.class(class), class);
            assert!(codes.text(class).len() > 10, "{class}: {}", codes.text(class));
        }
        assert_eq!(codes.class(63), MPI_ERR_UNKNOWN);
        assert_eq!(codes.class(-1), MPI_ERR_UNKNOWN);
        assert!(codes.text(-1).contains("-1 is not an error code"));
        assert_eq!(codes.class(MPI_ERR_LASTCODE), MPI_ERR_LASTCODE);
    }

    #[test]
    fn users_add_and_remove_in_the_order_of_the_standard() {
        let mut codes = Codes::default();
        let class = codes.add_class().expect("class");
        assert!(class > MPI_ERR_LASTCODE);
        assert_eq!(codes.last_used(), class);
        assert_eq!(codes.text(class), "");
        let code = codes.add_code(class).expect("code");
        codes.set_string(code, "my code".into()).expect("string");
        assert_eq!(codes.class(code), class);
        assert_eq!(codes.text(code), "my code");
        assert!(codes.remove_class(class).is_err());
        assert!(codes.remove_code(code).is_err());
        codes.remove_string(code).expect("string");
        assert_eq!(codes.text(code), "");
        codes.remove_code(code).expect("code");
        assert!(codes.remove_code(code).is_err());
        codes.remove_class(class).expect("class");
        assert!(codes.remove_class(class).is_err());
        assert!(codes.add_class().expect("another") > code);
    }

    #[test]
    fn the_standards_own_classes_can_only_get_codes() {
        let mut codes = Codes::default();
        for class in [MPI_SUCCESS, MPI_ERR_OTHER] {
            assert_eq!(codes.remove_class(class).unwrap_err().class, MPI_ERR_ARG);
            assert!(codes.remove_code(class).is_err());
            assert!(codes.remove_string(class).is_err());
            assert!(codes.set_string(class, String::new()).is_err());
        }
        let code = codes.add_code(MPI_ERR_OTHER).expect("code");
        assert_eq!(codes.class(code), MPI_ERR_OTHER);
        assert!(codes.add_code(code).unwrap_err().text.contains("not an error class"));
        assert!(codes.add_code(4711).is_err());
    }
}
