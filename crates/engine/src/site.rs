//! What only the caller's language knows: where in the program an MPI function was called, and how many
//! threads of the process may call one. Set with `OXMPI_Set_site_hooks`; without hooks (a C program) a
//! place is the name of the function.

use shm::os::{proc, process};
use shm::sync::{AtomicPtr, Ordering};
use shm::waiting::{MORE_THREADS, UNKNOWN_THREADS};
use std::ffi::{c_char, c_int};

/// The functions of a language layer. Called by a thread that is inside of an MPI function, without a
/// lock of the engine.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SiteHooks {
    /// 1: the layout of this struct.
    pub version: c_int,
    /// Writes where the calling thread called MPI, `file:line` in UTF-8 without a zero, into `room` bytes; how
    /// many there are, 0 = not known. What does not fit is left out, from the beginning.
    pub place: Option<extern "C" fn(text: *mut c_char, room: c_int) -> c_int>,
    /// How many threads of the language there are, the calling one included; 0 = not known, or something else (a
    /// handler of a signal, say) may make the calling one call MPI.
    pub threads: Option<extern "C" fn() -> c_int>,
}

static HOOKS: AtomicPtr<SiteHooks> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the hooks, for the rest of the process's life.
pub fn set_hooks(hooks: SiteHooks) {
    // SYNC site-hooks: the struct is visible to who sees the pointer. It is leaked: calls may be in it.
    HOOKS.store(Box::into_raw(Box::new(hooks)), Ordering::Release);
}

fn hooks() -> Option<SiteHooks> {
    // SYNC site-hooks: see `set_hooks`.
    let hooks = HOOKS.load(Ordering::Acquire);
    // SAFETY: null, or a box that `set_hooks` leaked and nobody changes.
    unsafe { hooks.as_ref() }.copied()
}

/// Room for the text of a place.
const ROOM: usize = 1024;

/// Where this thread called MPI, as `file:line`; `None` if the language can not say.
pub(crate) fn place() -> Option<String> {
    let place = hooks()?.place?;
    let mut text = [0u8; ROOM];
    let got = place(text.as_mut_ptr().cast(), ROOM as c_int);
    let got = usize::try_from(got).ok().filter(|got| (1..=ROOM).contains(got))?;
    Some(String::from_utf8_lossy(&text[..got]).into_owned())
}

/// How many threads of this process may call MPI, as its status page says it.
pub(crate) fn threads() -> u32 {
    // In a C program the caller is all that we know of.
    let known = hooks().and_then(|hooks| hooks.threads).map_or(1, |threads| threads());
    let Some(known) = u32::try_from(known).ok().filter(|known| *known > 0) else { return UNKNOWN_THREADS };
    let all = proc::stat(process::own_pid()).map_or(u32::MAX, |stat| stat.threads);
    if all > known { known | MORE_THREADS } else { known }
}
