//! The library under test, and how any of its functions is called.
//!
//! All parameters of the chapters are integers or addresses. On x86-64 and aarch64 each of them takes a
//! register or a place on the stack of its own, whatever its width, and a function does not see
//! more arguments than it has; so one signature with enough parameters calls them all.

use std::ffi::{CString, c_int};

/// More than any function has.
pub(crate) const MOST_ARGUMENTS: usize = 14;

type Any = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64) -> u64;

#[derive(Clone, Copy)]
pub(crate) struct Entry(Any);

impl Entry {
    /// # Safety
    /// The arguments are what the function asks of a C caller.
    pub(crate) unsafe fn call(self, a: &[u64; MOST_ARGUMENTS]) -> u64 {
        let [a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3] = *a;
        // SAFETY: the caller's promise; see above on the signature.
        unsafe { (self.0)(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3) }
    }

    /// For functions that return an error code.
    ///
    /// # Safety
    /// As for [`call`](Self::call).
    pub(crate) unsafe fn code(self, arguments: &[u64]) -> c_int {
        let mut all = [0; MOST_ARGUMENTS];
        all[..arguments.len()].copy_from_slice(arguments);
        // SAFETY: the caller's promise.
        unsafe { self.call(&all) as c_int }
    }
}

pub(crate) struct Library(*mut libc::c_void);

impl Library {
    pub(crate) fn open(path: &str) -> Result<Self, String> {
        let name = CString::new(path).map_err(|e| e.to_string())?;
        // SAFETY: loading a library runs its initialisers, which is what we want.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() { Err(format!("{path} can not be loaded")) } else { Ok(Self(handle)) }
    }

    pub(crate) fn entry(&self, name: &str) -> Result<Entry, String> {
        let symbol = CString::new(name).map_err(|e| e.to_string())?;
        // SAFETY: the handle is open.
        let address = unsafe { libc::dlsym(self.0, symbol.as_ptr()) };
        if address.is_null() {
            return Err(format!("the library has no {name}"));
        }
        // SAFETY: a function of C with integer parameters; see the top of this file.
        Ok(Entry(unsafe { std::mem::transmute::<*mut libc::c_void, Any>(address) }))
    }
}
