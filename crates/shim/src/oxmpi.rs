//! What the library offers beyond the standard: a small set of `OXMPI_*` symbols, found with dlsym
//! and optional for every client. README.md in this crate lists them.

use engine::progress::{WaitHooks, set_hooks};
use std::ffi::c_int;

/// Tells a language layer about waits: see `WaitHooks`. 0 = accepted, 1 = unknown version or null.
///
/// # Safety
/// `hooks` is null or points to a struct of the version that it says; its functions stay callable
/// for the rest of the process's life.
#[unsafe(no_mangle)]
unsafe extern "C" fn OXMPI_Set_wait_hooks(hooks: *const WaitHooks) -> c_int {
    // SAFETY: the caller vouches for the address.
    match unsafe { hooks.as_ref() } {
        Some(hooks) if hooks.version == 1 => {
            set_hooks(*hooks);
            0
        }
        _ => 1,
    }
}

/// Says that the process is about to end because of an uncaught exception of its language: the
/// launcher's report says so instead of "exit code 1".
#[unsafe(no_mangle)]
extern "C" fn OXMPI_Set_uncaught() {
    engine::world::set_uncaught();
}
