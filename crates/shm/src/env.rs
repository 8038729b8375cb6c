//! Every environment variable of the engine and its launcher, declared once. mpiexec sets the ones
//! of a job, [`crate::job`] reads them; the page docs/mpiexec.md lists them (a test compares).

/// A variable and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Var {
    /// Its name.
    pub name: &'static str,
    /// Whether users may set it (the others are made by mpiexec, per rank).
    pub for_users: bool,
    /// One sentence for the documentation.
    pub what: &'static str,
}

/// `<fd>:<key>`: the inherited descriptor of the job's memory and its random key in hexadecimal.
pub const JOB: &str = "OXMPI_JOB";
/// The rank of the process in the job.
pub const RANK: &str = "OXMPI_RANK";
/// The number of ranks.
pub const SIZE: &str = "OXMPI_SIZE";
/// `<fd>:<inode>`: the inherited read end of a pipe whose write end only mpiexec holds, and the pipe.
pub const LIFELINE: &str = "OXMPI_LIFELINE";
/// The process id of mpiexec.
pub const LAUNCHER: &str = "OXMPI_LAUNCHER";
/// Keys of the jobs around this one, when mpiexec runs inside a rank.
pub const OUTER: &str = "OXMPI_OUTER";
/// Seconds that the ranks of a foreign launcher wait for each other.
pub const JOIN_TIMEOUT: &str = "OXMPI_JOIN_TIMEOUT";

/// Not empty and not `0`: standard sends wait for their receives (`mpiexec --sync-sends`).
pub const SYNC_SENDS: &str = "OXMPI_SYNC_SENDS";

/// Not empty and not `0`: look for what is wrong with the program (`mpiexec --check`).
pub const CHECK: &str = "OXMPI_CHECK";

/// `stop`, `report` or `off`: what mpiexec does when no rank can go on (`mpiexec --deadlock`).
pub const DEADLOCK: &str = "OXMPI_DEADLOCK";

/// See the table: makes few ranks go the way of many.
pub const COUNTED_FROM: &str = "OXMPI_COUNTED_FROM";

/// All of them.
pub const ALL: &[Var] = &[
    Var { name: RANK, for_users: false, what: "rank of the process, also for shell scripts" },
    Var { name: SIZE, for_users: false, what: "number of ranks" },
    Var { name: JOB, for_users: false, what: "descriptor of the job's shared memory, and its key" },
    Var { name: LIFELINE, for_users: false, what: "descriptor of the pipe that ends the rank when mpiexec is gone" },
    Var { name: LAUNCHER, for_users: false, what: "process id of mpiexec" },
    Var { name: OUTER, for_users: false, what: "keys of the jobs around this one, when mpiexec runs inside a rank" },
    Var {
        name: JOIN_TIMEOUT,
        for_users: true,
        what: "seconds that the ranks of srun or another MPI's mpiexec wait for each other (60)",
    },
    Var { name: CHECK, for_users: true, what: "1: as with `--check`, also under another launcher" },
    Var { name: DEADLOCK, for_users: true, what: "stop, report or off: as with `--deadlock`" },
    Var {
        name: COUNTED_FROM,
        for_users: true,
        what: "from so many ranks on, barriers and the shortest reductions count who has come (8, if they are more than the cores)",
    },
    Var { name: SYNC_SENDS, for_users: true, what: "1: as with `--sync-sends`, also under another launcher" },
];

/// The value of a variable, if it is set, not empty and valid UTF-8.
pub fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a variable that switches something on says so.
pub fn is_on(name: &str) -> bool {
    get(name).is_some_and(|value| value != "0")
}
