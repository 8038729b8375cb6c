//! How many processors this process may really use: the affinity mask, and the quota of its
//! control group (a container with 1.5 CPUs on a machine of 64).

use crate::os::cpu::Cpus;
use std::path::Path;

/// Processors that may run us at the same time, at least 1.
pub fn allowed() -> u32 {
    let affinity = affinity();
    quota().map_or(affinity, |q| q.min(affinity)).max(1)
}

fn affinity() -> u32 {
    Cpus::allowed().map_or(1, |cpus| cpus.count())
}

/// The control group's quota in whole processors, rounded down; none if unlimited or unknown.
fn quota() -> Option<u32> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let root = Path::new("/sys/fs/cgroup");
    let mut group = root.join(own.trim_start_matches('/'));
    let mut least = None;
    // Every level above may limit us as well.
    while group.starts_with(root) {
        if let Some(cpus) = std::fs::read_to_string(group.join("cpu.max")).ok().and_then(|text| parse_max(&text)) {
            least = Some(least.map_or(cpus, |l: u32| l.min(cpus)));
        }
        if !group.pop() {
            break;
        }
    }
    least
}

/// Bytes of the cache that a core has for itself (the second level); 1 MiB if the system does not tell.
pub fn inner_cache() -> usize {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cache/index2/size");
    text.ok().and_then(|text| parse_size(text.trim())).unwrap_or(1 << 20)
}

fn parse_size(text: &str) -> Option<usize> {
    let (number, unit) = match text.strip_suffix('K') {
        Some(number) => (number, 10),
        None => (text.strip_suffix('M')?, 20),
    };
    number.parse::<usize>().ok().filter(|n| (1..1 << 20).contains(n)).map(|n| n << unit)
}

fn parse_max(text: &str) -> Option<u32> {
    let mut words = text.split_whitespace();
    let quota: u64 = words.next()?.parse().ok()?;
    let period: u64 = words.next()?.parse().ok()?;
    u32::try_from(quota.checked_div(period)?).ok().map(|cpus| cpus.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_rounded_down_but_never_to_none() {
        assert_eq!(parse_max("150000 100000"), Some(1));
        assert_eq!(parse_max("400000 100000"), Some(4));
        assert_eq!(parse_max("50000 100000"), Some(1));
        assert_eq!(parse_max("max 100000"), None);
    }

    #[test]
    fn sizes_of_caches_are_read() {
        assert_eq!(parse_size("512K"), Some(512 << 10));
        assert_eq!(parse_size("2M"), Some(2 << 20));
        assert_eq!(parse_size("0K"), None);
        assert_eq!(parse_size("many"), None);
    }

    #[test]
    fn at_least_one_processor_is_allowed() {
        assert!(allowed() >= 1);
    }
}
