//! The threads of another process, and which of them have nothing to do, as /proc shows it.

use super::process::Pid;

/// A thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// Its number.
    id: Pid,
    /// It waits, without a time limit, for another thread of its process: in a futex of the process's own.
    parked: bool,
    /// How often it has given its core up, or lost it: the same number = it has not run.
    switches: u64,
}

/// Those of `pid`; none if that can not be known.
pub fn of(pid: Pid) -> Option<Vec<Thread>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let ids = entries.map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.map(|id| thread(pid, id?)).collect()
}

fn thread(pid: Pid, id: Pid) -> Option<Thread> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/task/{id}/{name}")).ok();
    Some(Thread { id, parked: is_parked(&read("syscall")?), switches: switches(&read("status")?)? })
}

/// `202 0x7f0000001000 0x189 ...`: number of the call and its arguments.
fn is_parked(call: &str) -> bool {
    const WAIT: u64 = libc::FUTEX_WAIT as u64;
    const WAIT_BITSET: u64 = libc::FUTEX_WAIT_BITSET as u64;
    const PRIVATE: u64 = libc::FUTEX_PRIVATE_FLAG as u64;
    let mut words = call.split_whitespace();
    if words.next().and_then(|word| word.parse().ok()) != Some(libc::SYS_futex) {
        return false;
    }
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    let arguments: Option<Vec<u64>> = words.map(number).collect();
    let Some([_, operation, _, limit, ..]) = arguments.as_deref() else { return false };
    let command = operation & !(PRIVATE | libc::FUTEX_CLOCK_REALTIME as u64);
    matches!(command, WAIT | WAIT_BITSET) && operation & PRIVATE != 0 && *limit == 0
}

fn switches(status: &str) -> Option<u64> {
    let count = |name: &str| status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse::<u64>().ok();
    Some(count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?)
}

/// How many of the threads `now` were parked all the time since `before`.
pub fn idle(before: &[Thread], now: &[Thread]) -> usize {
    now.iter().filter(|thread| thread.parked && before.contains(thread)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::process::own_pid;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn a_wait_for_another_thread_is_told_from_others() {
        for (call, parked) in [
            ("202 0x7fadd8000ba0 0x189 0x0 0x0 0x0 0xffffffff 0x7faddfc2e8c0 0x7fade02a3f16\n", true),
            ("202 0x7fadd8000ba0 0x80 0x2 0x0 0x0 0x0 0x7faddfc2e8c0 0x7fade02a3f16\n", true),
            // With a limit, with other processes, to wake somebody, another call, none.
            ("202 0x7fadd8000ba0 0x189 0x0 0x7faddec2c9f0 0x0 0xffffffff 0x1 0x2\n", false),
            ("202 0x7fadd8000ba0 0x109 0x0 0x0 0x0 0xffffffff 0x1 0x2\n", false),
            ("202 0x7fadd8000ba0 0x81 0x0 0x0 0x0 0xffffffff 0x1 0x2\n", false),
            ("230 0x1 0x89 0x0 0x0 0x0 0x0 0x1 0x2\n", false),
            ("running\n", false),
            ("", false),
        ] {
            let call = call.replacen("202", &libc::SYS_futex.to_string(), 1);
            assert_eq!(is_parked(&call), parked, "{call}");
        }
    }

    #[test]
    fn an_idle_thread_is_one_that_has_not_run() {
        let thread = |id, parked, switches| Thread { id, parked, switches };
        let before = [thread(1, true, 5), thread(2, true, 5), thread(3, false, 5), thread(4, false, 5)];
        let now = [thread(1, true, 5), thread(2, true, 6), thread(3, false, 5), thread(4, true, 5), thread(5, true, 1)];
        assert_eq!(idle(&before, &now), 1);
    }

    #[test]
    fn threads_of_this_process_are_seen_where_the_system_shows_them() {
        let (end, wait) = channel::<()>();
        let parked = std::thread::spawn(move || wait.recv().is_err());
        let seen = (0..200).any(|_| {
            let before = of(own_pid());
            std::thread::sleep(Duration::from_millis(20));
            match (before, of(own_pid())) {
                (Some(before), Some(now)) => idle(&before, &now) >= 1,
                // Not every system does.
                _ => true,
            }
        });
        drop(end);
        assert!(parked.join().expect("thread"));
        assert!(seen, "a thread that waits for a channel is idle");
    }
}
