//! Which processor the calling thread runs on, and how to bring it to another one.

/// The processor that runs us now.
#[inline]
pub fn current() -> Option<u32> {
    // SAFETY: no arguments.
    u32::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// A set of processors.
pub struct Cpus(libc::cpu_set_t);

impl Cpus {
    /// Those that may run the calling thread.
    pub fn allowed() -> Option<Self> {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: `set` is a live struct of the size that we say.
        let rc = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
        (rc == 0).then_some(Self(set))
    }

    fn only(cpu: u32) -> Self {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: a live struct; a number beyond its end changes nothing.
        unsafe { libc::CPU_SET(cpu as usize, &mut set) };
        Self(set)
    }

    fn all() -> Self {
        // SAFETY: all bits set is a valid value of this plain C struct.
        Self(unsafe { std::mem::transmute::<[u8; size_of::<libc::cpu_set_t>()], libc::cpu_set_t>([0xff; _]) })
    }

    /// How many they are.
    pub fn count(&self) -> u32 {
        // SAFETY: counts the bits of a live struct.
        u32::try_from(unsafe { libc::CPU_COUNT(&self.0) }).unwrap_or(0)
    }

    /// Whether `cpu` is one of them.
    pub fn has(&self, cpu: u32) -> bool {
        // SAFETY: a live struct; a number beyond its end is never set.
        (cpu as usize) < 8 * size_of::<libc::cpu_set_t>() && unsafe { libc::CPU_ISSET(cpu as usize, &self.0) }
    }

    /// Their numbers.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..8 * size_of::<libc::cpu_set_t>() as u32).filter(|cpu| self.has(*cpu))
    }

    fn set(&self) -> bool {
        // SAFETY: a live struct of the size that we say.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const self.0) == 0 }
    }
}

/// Brings the calling thread to `cpu`, once: the set of processors that may run it stays `allowed`.
pub fn move_to(cpu: u32, allowed: &Cpus) -> bool {
    // If the set was changed meanwhile and is refused, all processors: the kernel leaves out those that the
    // control group forbids. The thread must not stay on the one.
    allowed.has(cpu) && Cpus::only(cpu).set() && (allowed.set() || Cpus::all().set())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_keeps_the_set_of_processors() {
        let allowed = Cpus::allowed().expect("affinity");
        let before: Vec<_> = allowed.iter().collect();
        let last = *before.last().expect("a processor");
        assert!(move_to(last, &allowed));
        assert_eq!(Cpus::allowed().expect("affinity").iter().collect::<Vec<_>>(), before);
        assert!(!move_to(u32::MAX, &allowed));
    }
}
