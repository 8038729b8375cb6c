//! A full fence that the kernel makes on other cores for us (membarrier(2), Linux 4.16).

const GLOBAL_EXPEDITED: libc::c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: libc::c_int = 1 << 2;
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

fn ask(command: libc::c_int) -> bool {
    // SAFETY: the call takes no addresses, and has no effect on memory but to order accesses to it.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Has this process take part in [`everywhere`], and makes [`here`] available. False: the kernel has no such thing,
/// or does not let us.
pub fn register() -> bool {
    ask(REGISTER_GLOBAL_EXPEDITED) && ask(REGISTER_PRIVATE_EXPEDITED)
}

/// A fence in this thread and in all running threads of processes that have registered.
pub fn everywhere() -> bool {
    ask(GLOBAL_EXPEDITED)
}

/// A fence in this thread and in all running threads of this process.
pub fn here() -> bool {
    ask(PRIVATE_EXPEDITED)
}
