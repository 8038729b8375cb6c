//! No call may wait for ever here, though any may be one that has to: the library asks a hook whether a wait
//! should be given up (`OXMPI_Set_wait_hooks`, which the extension uses for Ctrl-C) whenever a signal has
//! ended a sleep. A thread sends signals all the time, and the hook says yes once the call has
//! waited long enough. The error of such a call is as good as any other.

use crate::child;
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

thread_local! {
    static BEGUN: Cell<Option<Instant>> = const { Cell::new(None) };
    /// `block` calls without `unblock`.
    static BLOCKED: Cell<i32> = const { Cell::new(0) };
}

/// Microseconds that a call may wait.
static PATIENCE: AtomicU64 = AtomicU64::new(2000);

extern "C" fn block() {
    BLOCKED.set(BLOCKED.get() + 1);
}

extern "C" fn unblock() {
    BLOCKED.set(BLOCKED.get() - 1);
}

extern "C" fn signals() -> c_int {
    let patience = Duration::from_micros(PATIENCE.load(Ordering::Relaxed));
    c_int::from(BEGUN.get().is_some_and(|begun| begun.elapsed() > patience))
}

/// The library's struct.
#[repr(C)]
pub(crate) struct WaitHooks {
    version: c_int,
    block: extern "C" fn(),
    unblock: extern "C" fn(),
    signals: extern "C" fn() -> c_int,
}

pub(crate) static HOOKS: WaitHooks = WaitHooks { version: 1, block, unblock, signals };

/// The calling thread begins a call. Calls from callbacks are part of it.
pub(crate) fn begin() {
    BEGUN.set(Some(Instant::now()));
}

/// It is over: whether every `block` was followed by `unblock`.
pub(crate) fn end() -> bool {
    BEGUN.set(None);
    BLOCKED.replace(0) == 0
}

extern "C" fn nothing(_: c_int) {}

/// Says where a crash happened, as far as that is possible after one, and then crashes.
extern "C" fn crashed(signal: c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: `alarm` ends the process if what follows hangs; the kernel gives the information of the signal.
    let address = unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::alarm(10);
        (*info).si_addr()
    };
    let trace = std::backtrace::Backtrace::force_capture().to_string();
    let ours = |line: &&str| !line.contains("/rustc/") && !line.contains("core::") && !line.contains("std::");
    let text: String = trace.lines().filter(ours).skip(2).take(30).fold(String::new(), |all, l| all + "\n" + l);
    child::write_now(&format!("signal {signal}, address {address:p}{text}\n"));
    // SAFETY: ends the process as the signal would have done.
    unsafe { libc::raise(signal) };
}

/// From now on crashes say where they happened.
pub(crate) fn explain_crashes() {
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGILL, libc::SIGFPE] {
        // SAFETY: a handler of the kind that the flags say.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction =
                crashed as extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void) as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Sends signals to the threads of this process from now on.
pub(crate) fn disturb(threads: Vec<libc::pthread_t>, patience: Duration) {
    PATIENCE.store(patience.as_micros() as u64, Ordering::Relaxed);
    // SAFETY: a handler that does nothing; without SA_RESTART, so that sleeps end.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(c_int) as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
    }
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(2));
            for thread in &threads {
                // SAFETY: these threads live as long as the process.
                unsafe { libc::pthread_kill(*thread, libc::SIGUSR1) };
            }
        }
    });
}
