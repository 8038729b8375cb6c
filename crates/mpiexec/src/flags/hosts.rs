//! Lists of hosts: one that names this machine alone is fine; another machine is refused with the
//! way out, since the ranks of this launcher share memory.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, UdpSocket};

/// Refuses the first host that is not this machine.
pub(crate) fn check(hosts: &[String], files: &[OsString]) -> Result<(), String> {
    if hosts.is_empty() && files.is_empty() {
        return Ok(());
    }
    let machine = Machine::this();
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|cause| format!("host file {}: {cause}", OsStr::to_string_lossy(file)))?;
        for line in text.lines() {
            let host = line.split('#').next().unwrap_or("").split_whitespace().next().unwrap_or("");
            machine.must_be(host)?;
        }
    }
    hosts.iter().try_for_each(|host| machine.must_be(host))
}

struct Machine {
    name: String,
    /// /etc/hosts: no question goes to the network.
    table: String,
}

impl Machine {
    fn this() -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { name: name.trim().to_owned(), table: std::fs::read_to_string("/etc/hosts").unwrap_or_default() }
    }

    fn must_be(&self, entry: &str) -> Result<(), String> {
        if entry.is_empty() || self.is(entry) || self.is(without_count(entry)) {
            return Ok(());
        }
        Err(format!(
            "host '{}' is not this machine ({}), and this mpiexec starts ranks on one machine only. For several machines \
             use an MPI that is made for them: set MPI4PY_LIBMPI to its libmpi_abi.so.1 (or to a name such as mpich or \
             impi) and start the program with the mpiexec that belongs to it",
            without_count(entry),
            self.name
        ))
    }

    fn is(&self, host: &str) -> bool {
        if host.eq_ignore_ascii_case("localhost") || host.eq_ignore_ascii_case(&self.name) {
            return true;
        }
        // With and without the domain.
        let short = |name: &str| name.split('.').next().unwrap_or(name).to_ascii_lowercase();
        if !self.name.is_empty() && host.parse::<IpAddr>().is_err() && short(host) == short(&self.name) {
            return host.contains('.') != self.name.contains('.');
        }
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return is_own(address);
        }
        self.table.lines().any(|line| {
            let mut words = line.split('#').next().unwrap_or("").split_whitespace();
            let address = words.next().and_then(|word| word.parse().ok());
            words.any(|name| name.eq_ignore_ascii_case(host)) && address.is_some_and(is_own)
        })
    }
}

/// `host:4` means four slots.
fn without_count(entry: &str) -> &str {
    match entry.rsplit_once(':') {
        Some((host, count)) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit() || byte == b'*') => {
            host
        }
        _ => entry,
    }
}

/// Whether an interface of this machine has the address: only then a socket can be bound to it.
fn is_own(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine { name: "node1.example.org".to_owned(), table: "127.0.1.1 other alias\n192.0.2.7 far".to_owned() }
    }

    #[test]
    fn this_machine_has_many_names() {
        for name in
            ["localhost", "node1", "NODE1.example.org", "127.0.0.1", "::1", "other", "alias", "node1:4", "localhost:2"]
        {
            assert!(machine().must_be(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn another_machine_is_refused_with_the_way_out() {
        for name in ["node2", "node2:4", "192.0.2.7", "far", "node1.example.com"] {
            let text = machine().must_be(name).expect_err(name);
            assert!(text.contains("MPI4PY_LIBMPI") && text.contains("its libmpi_abi"), "{text}");
        }
    }
}
