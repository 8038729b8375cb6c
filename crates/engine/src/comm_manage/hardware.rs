//! Which parts of the machine this process runs on: by its affinity mask and what the kernel says
//! in /sys. For `MPI_Comm_split_type` and `MPI_Get_hw_resource_info` (MPI-5.0 sections 7.4.2 and
//! 9.1.2). Types are named as hwloc names them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The kinds of resources, from the largest to the smallest, and the name of each.
pub const KINDS: [(Resource, &str); 6] = [
    (Resource::Machine, "hwloc://Machine"),
    (Resource::Package, "hwloc://Package"),
    (Resource::NumaNode, "hwloc://NUMANode"),
    (Resource::L3, "hwloc://L3Cache"),
    (Resource::Core, "hwloc://Core"),
    (Resource::Thread, "hwloc://PU"),
];

/// The name of the machine as that which shares memory, which every library knows.
pub const SHARED_MEMORY: &str = "mpi_shared_memory";

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Everything that shares memory.
    Machine,
    /// A processor package.
    Package,
    /// A NUMA node.
    NumaNode,
    /// The processors that share a third-level cache.
    L3,
    /// A core.
    Core,
    /// A hardware thread.
    Thread,
}

impl Resource {
    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        if name == SHARED_MEMORY {
            return Some(Self::Machine);
        }
        KINDS.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }
}

/// The resources that this process is bound to: kind, and number of the one resource of this kind
/// that all its processors belong to. A kind of which they use several is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    bound: BTreeMap<Resource, u32>,
}

impl Place {
    /// Asks the kernel.
    pub fn now() -> Self {
        let allowed = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let allowed = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Self::of(&cpu_list(allowed.unwrap_or_default()), Path::new("/sys/devices/system"))
    }

    fn of(cpus: &BTreeSet<u32>, sys: &Path) -> Self {
        let mut place = Self::default();
        place.bound.insert(Resource::Machine, 0);
        for (kind, _) in &KINDS[1..] {
            let mut numbers = cpus.iter().map(|cpu| number(*kind, *cpu, sys));
            // All processors must be known to belong to the same one.
            if let Some(Some(first)) = numbers.next()
                && numbers.all(|number| number == Some(first))
            {
                place.bound.insert(*kind, first);
            }
        }
        place
    }

    /// The number of the one resource of this kind, if there is one.
    pub fn number(&self, kind: Resource) -> Option<u32> {
        self.bound.get(&kind).copied()
    }
}

/// The number of the resource that processor `cpu` belongs to: the smallest processor in it, which
/// is unique on the machine (the kernel's own numbers of cores are not).
fn number(kind: Resource, cpu: u32, sys: &Path) -> Option<u32> {
    let file = |name: &str| std::fs::read_to_string(sys.join(format!("cpu/cpu{cpu}")).join(name)).ok();
    let first = |list: &str| cpu_list(list).first().copied();
    match kind {
        Resource::Machine => Some(0),
        Resource::Package => {
            first(&file("topology/package_cpus_list").or_else(|| file("topology/core_siblings_list"))?)
        }
        Resource::Core => first(&file("topology/core_cpus_list").or_else(|| file("topology/thread_siblings_list"))?),
        Resource::Thread => Some(cpu),
        Resource::L3 => (0..8)
            .find(|i| file(&format!("cache/index{i}/level")).is_some_and(|level| level.trim() == "3"))
            .and_then(|i| first(&file(&format!("cache/index{i}/shared_cpu_list"))?)),
        Resource::NumaNode => {
            let nodes = std::fs::read_dir(sys.join("node")).ok()?;
            nodes.flatten().find_map(|node| {
                let number = node.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
                let cpus = std::fs::read_to_string(node.path().join("cpulist")).ok()?;
                cpu_list(&cpus).contains(&cpu).then_some(number)
            })
        }
    }
}

/// The numbers of a list such as "0-3,8".
fn cpu_list(text: &str) -> BTreeSet<u32> {
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            // A mask has a few thousand processors at most; a longer range is not one.
            cpus.extend(first..=last.min(first.saturating_add(0xffff)));
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_ranges_and_numbers() {
        assert_eq!(cpu_list("0-2,7\n"), BTreeSet::from([0, 1, 2, 7]));
        assert_eq!(cpu_list(""), BTreeSet::new());
        assert_eq!(cpu_list("x-3"), BTreeSet::new());
    }

    #[test]
    fn a_process_on_two_cores_is_bound_to_neither() {
        let root = std::env::temp_dir().join(format!("oxmpi-hardware-{}", std::process::id()));
        for cpu in 0..2 {
            let topology = root.join(format!("cpu/cpu{cpu}/topology"));
            std::fs::create_dir_all(&topology).expect("directory");
            std::fs::write(topology.join("core_cpus_list"), format!("{cpu}\n")).expect("file");
            std::fs::write(topology.join("package_cpus_list"), "0-1\n").expect("file");
        }
        let both = Place::of(&BTreeSet::from([0, 1]), &root);
        let one = Place::of(&BTreeSet::from([1]), &root);
        std::fs::remove_dir_all(&root).expect("clean");
        assert_eq!(both.number(Resource::Package), Some(0));
        assert_eq!(both.number(Resource::Core), None);
        assert_eq!(one.number(Resource::Core), Some(1));
        assert_eq!(one.number(Resource::Thread), Some(1));
        assert_eq!(one.number(Resource::L3), None);
        assert_eq!(one.number(Resource::Machine), Some(0));
    }

    #[test]
    fn the_machine_has_two_names() {
        assert_eq!(Resource::named("mpi_shared_memory"), Some(Resource::Machine));
        assert_eq!(Resource::named("hwloc://Machine"), Some(Resource::Machine));
        assert_eq!(Resource::named("hwloc://Toaster"), None);
        assert_eq!(Place::now().number(Resource::Machine), Some(0));
    }
}
