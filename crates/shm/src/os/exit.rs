//! Ending this process at once.

/// Ends the process without running exit handlers: other threads may be anywhere. `code` is cut to
/// what an exit status can hold; a code that would become 0 is 1, since this is no success.
pub fn exit_now(code: i32) -> ! {
    let status = if code & 0xff == 0 { 1 } else { code & 0xff };
    // SAFETY: has no preconditions and does not return.
    unsafe { libc::_exit(status) }
}
