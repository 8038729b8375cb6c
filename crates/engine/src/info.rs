//! Info objects: ordered (key, value) pairs of strings (MPI-5.0 chapter 10), and what
//! `MPI_INFO_ENV` says about this process. Strings are bytes without a zero, as C gives them.

use crate::error::{Error, Result};
use crate::naming::cut;
use crate::objects::{self, Objects};
use mpi_abi::Info as Handle;
use mpi_abi::consts::{
    MPI_ERR_ARG, MPI_ERR_INFO, MPI_ERR_INFO_KEY, MPI_ERR_INFO_NOKEY, MPI_ERR_INFO_VALUE, MPI_INFO_ENV, MPI_INFO_NULL,
    MPI_MAX_INFO_KEY, MPI_MAX_INFO_VAL,
};
use std::borrow::Cow;

/// The key for the kinds of memory that buffers may be in, and the kinds (MPI-5.0 chapter 11).
pub const MEMORY_KINDS: (&str, &str) = ("mpi_memory_alloc_kinds", "system,mpi");

/// A string of C without its end.
type Text = Box<[u8]>;

/// Pairs in the order in which their keys were first set. Hints are few, so a list is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    pairs: Vec<(Text, Text)>,
}

impl Info {
    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.pairs.iter().find(|(k, _)| **k == *key).map(|(_, value)| &**value)
    }

    /// The value of `key` as text.
    pub fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key.as_bytes()).map(String::from_utf8_lossy)
    }

    /// Sets or replaces the value of `key`; both within the limits of the ABI.
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        valid_key(key)?;
        // The limits of the ABI count the zero that ends a string in C.
        if value.len() >= limit(MPI_MAX_INFO_VAL) {
            return Err(Error::new(
                MPI_ERR_INFO_VALUE,
                format!(
                    "the value of key \"{}\" has {} characters, {} are allowed",
                    String::from_utf8_lossy(key),
                    value.len(),
                    limit(MPI_MAX_INFO_VAL) - 1
                ),
            ));
        }
        match self.pairs.iter_mut().find(|(k, _)| **k == *key) {
            Some((_, old)) => *old = value.into(),
            None => self.pairs.push((key.into(), value.into())),
        }
        Ok(())
    }

    /// Sets what the engine itself has to say; values past the limit are cut.
    pub fn put(&mut self, key: &str, value: &str) {
        let value = cut(value, limit(MPI_MAX_INFO_VAL) - 1);
        // Our own keys are short and not empty, so nothing is left to refuse.
        let _ = self.set(key.as_bytes(), value.as_bytes());
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        valid_key(key)?;
        let place = self.pairs.iter().position(|(k, _)| **k == *key).ok_or_else(|| {
            Error::new(MPI_ERR_INFO_NOKEY, format!("there is no key \"{}\"", String::from_utf8_lossy(key)))
        })?;
        self.pairs.remove(place);
        Ok(())
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The `n`-th key.
    pub fn nth_key(&self, n: i64) -> Result<&[u8]> {
        let place = usize::try_from(n).ok().and_then(|n| self.pairs.get(n));
        place.map(|(key, _)| &**key).ok_or_else(|| {
            Error::new(MPI_ERR_ARG, format!("key number {n} of an info object with {} keys", self.pairs.len()))
        })
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(|(key, value)| (&**key, &**value))
    }
}

/// Refuses keys that no info object can have.
pub fn valid_key(key: &[u8]) -> Result<()> {
    let longest = limit(MPI_MAX_INFO_KEY) - 1;
    if key.is_empty() {
        return Err(Error::new(MPI_ERR_INFO_KEY, "the key is empty"));
    }
    if key.len() > longest {
        return Err(Error::new(MPI_ERR_INFO_KEY, format!("a key of {} characters, {longest} are allowed", key.len())));
    }
    Ok(())
}

fn limit(constant: std::ffi::c_int) -> usize {
    usize::try_from(constant).unwrap_or(0)
}

/// A handle for `info`.
pub fn create(objects: &mut Objects, info: Info) -> Handle {
    Handle::from_raw(objects.infos.insert(info))
}

/// The info object of a handle, to read it.
pub fn get(objects: &Objects, handle: Handle) -> Result<&Info> {
    if handle == MPI_INFO_ENV {
        return Ok(&objects.env);
    }
    objects.infos.get(handle.raw()).ok_or_else(|| refuse(objects, handle))
}

/// What a handle says; `MPI_INFO_NULL` says nothing.
pub fn optional(objects: &Objects, handle: Handle) -> Result<Info> {
    if handle == MPI_INFO_NULL { Ok(Info::default()) } else { get(objects, handle).cloned() }
}

/// The info object of a handle, to change it.
pub fn get_mut(objects: &mut Objects, handle: Handle) -> Result<&mut Info> {
    if objects.infos.get(handle.raw()).is_none() {
        return Err(refuse(objects, handle));
    }
    objects.infos.get_mut(handle.raw()).ok_or_else(|| Error::new(MPI_ERR_INFO, ""))
}

/// Ends a handle.
pub fn free(objects: &mut Objects, handle: Handle) -> Result<()> {
    match objects.infos.remove(handle.raw()) {
        Some(_) => Ok(()),
        None => Err(refuse(objects, handle)),
    }
}

#[cold]
fn refuse(objects: &Objects, handle: Handle) -> Error {
    match handle {
        MPI_INFO_NULL => Error::new(MPI_ERR_INFO, "MPI_INFO_NULL where an info object is needed"),
        MPI_INFO_ENV => Error::new(MPI_ERR_INFO, "MPI_INFO_ENV can be read only"),
        _ => objects::not_alive(MPI_ERR_INFO, "info object", objects.infos.why_stale(handle.raw()), handle.raw()),
    }
}

/// What the process knows about its own start: the keys of MPI-5.0 section 10.5 as far as they are
/// known. `args` are the command and its arguments; without them the kernel is asked.
pub fn environment(args: Option<Vec<String>>, size: Option<u32>, threads: &str) -> Info {
    let args = args.filter(|args| !args.is_empty()).unwrap_or_else(command_line);
    let mut info = Info::default();
    if let Some((command, rest)) = args.split_first() {
        info.put("command", command);
        info.put("argv", &rest.join(" "));
    }
    if let Some(size) = size {
        info.put("maxprocs", &size.to_string());
        info.put("soft", &size.to_string());
    }
    info.put("host", &host_name());
    info.put("arch", std::env::consts::ARCH);
    if let Ok(dir) = std::env::current_dir() {
        info.put("wdir", &dir.to_string_lossy());
    }
    info.put("thread_level", threads);
    info.put(MEMORY_KINDS.0, MEMORY_KINDS.1);
    info
}

/// The name of this machine.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
}

fn command_line() -> Vec<String> {
    std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_the_order_in_which_they_came() {
        let mut info = Info::default();
        info.set(b"b", b"1").expect("set");
        info.set(b"a", b"2").expect("set");
        info.set(b"b", b"3").expect("replace");
        assert_eq!(info.len(), 2);
        assert_eq!(info.nth_key(0), Ok(&b"b"[..]));
        assert_eq!(info.nth_key(1), Ok(&b"a"[..]));
        assert_eq!(info.get(b"b"), Some(&b"3"[..]));
        info.delete(b"b").expect("delete");
        assert_eq!(info.nth_key(0), Ok(&b"a"[..]));
        assert_eq!(info.nth_key(1).unwrap_err().text, "key number 1 of an info object with 1 keys");
        assert_eq!(info.nth_key(-1).unwrap_err().class, MPI_ERR_ARG);
    }

    #[test]
    fn strings_past_the_limits_are_refused_with_both_numbers() {
        let mut info = Info::default();
        let long = vec![b'k'; 256];
        assert_eq!(info.set(&long, b"v").unwrap_err().class, MPI_ERR_INFO_KEY);
        assert_eq!(info.set(&long[..255], b"v"), Ok(()));
        assert_eq!(info.set(b"", b"v").unwrap_err().class, MPI_ERR_INFO_KEY);
        let error = info.set(b"k", &[b'v'; 1024]).unwrap_err();
        assert_eq!(error.class, MPI_ERR_INFO_VALUE);
        assert!(error.text.contains("1024") && error.text.contains("1023"), "{}", error.text);
        assert_eq!(info.delete(b"nothing").unwrap_err().class, MPI_ERR_INFO_NOKEY);
    }

    #[test]
    fn predefined_and_freed_infos_have_their_own_sentences() {
        let mut objects = Objects::default();
        assert!(get(&objects, MPI_INFO_ENV).is_ok());
        assert!(get_mut(&mut objects, MPI_INFO_ENV).unwrap_err().text.contains("read only"));
        assert!(get(&objects, MPI_INFO_NULL).unwrap_err().text.contains("MPI_INFO_NULL"));
        assert_eq!(optional(&objects, MPI_INFO_NULL), Ok(Info::default()));
        let info = create(&mut objects, Info::default());
        get_mut(&mut objects, info).expect("live").put("key", "value");
        free(&mut objects, info).expect("free");
        assert_eq!(free(&mut objects, info).unwrap_err().class, MPI_ERR_INFO);
    }

    #[test]
    fn the_environment_takes_the_given_command() {
        let info = environment(Some(vec!["prog".into(), "-x".into(), "1".into()]), Some(4), "MPI_THREAD_MULTIPLE");
        assert_eq!(info.text("command").as_deref(), Some("prog"));
        assert_eq!(info.text("argv").as_deref(), Some("-x 1"));
        assert_eq!(info.text("maxprocs").as_deref(), Some("4"));
        assert!(info.text("wdir").is_some());
        assert!(environment(None, None, "").text("command").is_some());
    }
}
