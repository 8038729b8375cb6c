//! From what the user said to what is run: one command per rank with its complete environment. Reads
//! the environment and the file system, changes nothing.

use super::parse::{Args, Deadlock, Part, Pass, StdinTo};
use shm::os::process::Program;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why nothing is run: one sentence and the exit status.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) text: String,
    pub(crate) status: i32,
}

impl Refusal {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: 2 }
    }
}

/// A program of the job and the ranks that run it.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) program: Program,
    /// As the user wrote it, for messages.
    pub(crate) name: String,
    pub(crate) ranks: u32,
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<Group>,
    pub(crate) label: bool,
    pub(crate) stdin: StdinTo,
    pub(crate) timeout: Option<Duration>,
    /// Standard sends wait for their receives.
    pub(crate) sync_sends: bool,
    /// When nobody can go on.
    pub(crate) deadlock: Deadlock,
    /// Notes for the user, one line each.
    pub(crate) notes: Vec<String>,
}

impl Plan {
    /// Ranks of the whole job.
    pub(crate) fn size(&self) -> u32 {
        self.groups.iter().map(|group| group.ranks).sum()
    }
}

/// Makes the plan; `outer` are the keys of the jobs around this one.
pub(crate) fn plan(args: &Args, own: &[(OsString, OsString)], outer: &[String]) -> Result<Plan, Refusal> {
    super::hosts::check(&args.hosts, &args.host_files).map_err(Refusal::usage)?;
    let several = args.parts.len() > 1;
    let mut groups = Vec::new();
    let mut total: u32 = 0;
    for part in &args.parts {
        let name = part.command[0].to_string_lossy().into_owned();
        let ranks = match part.procs {
            Some(ranks) => ranks,
            None if several => {
                return Err(Refusal::usage(format!(
                    "a job of several programs needs -n for each of them, also for '{name}'"
                )));
            }
            None => shm::cpus::allowed(),
        };
        total = total.saturating_add(ranks);
        let program = program(part, args, own, outer)?;
        groups.push(Group { program, name, ranks });
    }
    if let StdinTo::Rank(rank) = args.stdin
        && rank >= total
    {
        return Err(Refusal::usage(format!("--stdin {rank}: the job has {total} ranks (0 to {})", total - 1)));
    }
    let mut notes = ignored_flags(args);
    if total > 1 && !args.quiet {
        notes.extend(groups.iter().find_map(foreign_library));
    }
    let sync_sends = groups.iter().any(|group| is_on(group, shm::env::SYNC_SENDS));
    let timeout = args.timeout.map(Duration::from_secs_f64);
    let deadlock = deadlock(args, own)?;
    Ok(Plan { groups, label: args.label, stdin: args.stdin, timeout, sync_sends, deadlock, notes })
}

/// What the flag says, or the variable.
fn deadlock(args: &Args, own: &[(OsString, OsString)]) -> Result<Deadlock, Refusal> {
    let variable = own.iter().find(|(name, value)| name == shm::env::DEADLOCK && !value.is_empty());
    match (args.deadlock, variable.map(|(_, value)| value.to_string_lossy())) {
        (Some(said), _) => Ok(said),
        (None, None) => Ok(Deadlock::Stop),
        (None, Some(value)) => Deadlock::named(&value).ok_or_else(|| {
            Refusal::usage(format!("{}={value}: this should be stop, report or off", shm::env::DEADLOCK))
        }),
    }
}

/// Whether the ranks of a group have this variable, and it switches something on.
fn is_on(group: &Group, name: &str) -> bool {
    let value = |entry: &CString| Some(entry.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
    group.program.env.iter().find_map(value).is_some_and(|value| !matches!(value.as_slice(), b"" | b"0"))
}

fn ignored_flags(args: &Args) -> Vec<String> {
    let mut ignored = args.ignored.clone();
    if !args.hosts.is_empty() {
        ignored.push("--host".to_owned());
    }
    if !args.host_files.is_empty() {
        ignored.push("--hostfile".to_owned());
    }
    let mut seen = Vec::new();
    ignored.retain(|flag| {
        let new = !seen.contains(flag);
        seen.push(flag.clone());
        new
    });
    if args.quiet || ignored.is_empty() {
        return Vec::new();
    }
    vec![format!("note: without effect on one machine, ignored: {} (--quiet: no such note)", ignored.join(" "))]
}

/// The ranks' Python would load another MPI, for which this launcher makes no job: each would be alone.
fn foreign_library(group: &Group) -> Option<String> {
    let entry = group.program.env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"MPI4PY_LIBMPI="))?;
    let library = Path::new(OsStr::from_bytes(entry));
    let dir = group.program.dir.as_ref().map_or(Path::new(""), |dir| Path::new(OsStr::from_bytes(dir.as_bytes())));
    let built_in = ["", "oxmpi", "builtin", "built-in"].iter().any(|name| entry.eq_ignore_ascii_case(name.as_bytes()));
    (!built_in && !super::library::is_ours(library, dir)).then(|| {
        format!(
            "note: MPI4PY_LIBMPI={} is set: with that library this mpiexec starts {} separate jobs of one rank; use the \
             mpiexec that belongs to it, or unset the variable",
            library.display(),
            group.ranks
        )
    })
}

fn program(part: &Part, args: &Args, own: &[(OsString, OsString)], outer: &[String]) -> Result<Program, Refusal> {
    let env = environment(part, args, own, outer);
    let dir = part.dir.as_ref().map(PathBuf::from);
    if let Some(dir) = &dir
        && !dir.is_dir()
    {
        return Err(Refusal::usage(format!("-wdir {}: there is no such directory", dir.display())));
    }
    let path = find(&part.command[0], env.get(OsStr::new("PATH")), dir.as_deref())?;
    let args = part.command.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?;
    let env = env
        .iter()
        .map(|(name, value)| {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            c_string(&entry)
        })
        .collect::<Result<_, _>>()?;
    let dir = dir.map(|dir| c_string(dir.as_os_str())).transpose()?;
    Ok(Program { path: c_string(path.as_os_str())?, args, env, dir })
}

fn c_string(text: &OsStr) -> Result<CString, Refusal> {
    CString::new(text.as_bytes())
        .map_err(|_| Refusal::usage(format!("a zero byte in '{}'", text.to_string_lossy().replace('\0', "\\0"))))
}

/// The variables of the ranks of a part, but for those that differ from rank to rank.
fn environment(
    part: &Part,
    args: &Args,
    own: &[(OsString, OsString)],
    outer: &[String],
) -> BTreeMap<OsString, OsString> {
    let pass = part.pass.as_ref().unwrap_or(&args.pass);
    let wanted = |name: &OsStr| match pass {
        Pass::All => true,
        Pass::None => false,
        Pass::Only(list) => list.iter().any(|listed| OsStr::new(listed) == name),
    };
    let mut env: BTreeMap<OsString, OsString> =
        own.iter().filter(|(name, _)| wanted(name) && !belongs_to_a_rank(name)).cloned().collect();
    // Python output is not held back in a buffer that nobody sees, unless the user decided.
    if !own.iter().any(|(name, _)| name == "PYTHONUNBUFFERED") {
        env.insert("PYTHONUNBUFFERED".into(), "1".into());
    }
    if args.check {
        env.insert(shm::env::CHECK.into(), "1".into());
    }
    if args.sync_sends {
        env.insert(shm::env::SYNC_SENDS.into(), "1".into());
    }
    for (name, value) in &args.env {
        env.insert(name.into(), value.clone());
    }
    for (name, value) in &part.env {
        let here = || own.iter().find(|(known, _)| known == OsStr::new(name)).map(|(_, value)| value.clone());
        if let Some(value) = value.clone().or_else(here) {
            env.insert(name.into(), value);
        }
    }
    if !outer.is_empty() {
        env.insert(shm::env::OUTER.into(), outer.join(",").into());
    }
    env
}

/// Variables that say which rank a process is: of a job around this one, ours or another launcher's.
fn belongs_to_a_rank(name: &OsStr) -> bool {
    let of_ours = || shm::env::ALL.iter().any(|var| !var.for_users && OsStr::new(var.name) == name);
    shm::job::FOREIGN_VARIABLES.iter().any(|foreign| OsStr::new(foreign) == name) || of_ours()
}

/// The file of a program: as a shell would look for it, and in the working directory at last.
fn find(program: &OsStr, path: Option<&OsString>, dir: Option<&Path>) -> Result<PathBuf, Refusal> {
    let shown = program.to_string_lossy();
    let in_dir = |file: &Path| dir.map_or_else(|| file.to_owned(), |dir| dir.join(file));
    let mut denied = None;
    let mut consider = |file: PathBuf, seen: &Path| -> Option<PathBuf> {
        let meta = std::fs::metadata(seen).ok().filter(|meta| !meta.is_dir())?;
        if meta.permissions().mode() & 0o111 != 0 {
            return Some(file);
        }
        denied.get_or_insert(file);
        None
    };
    if program.as_bytes().contains(&b'/') {
        let file = PathBuf::from(program);
        if let Some(found) = consider(file.clone(), &in_dir(&file)) {
            return Ok(found);
        }
    } else {
        let default = OsString::from("/usr/local/bin:/usr/bin:/bin");
        let path = path.unwrap_or(&default).as_bytes().to_vec();
        for place in path.split(|&byte| byte == b':') {
            let place = if place.is_empty() { PathBuf::from(".") } else { OsString::from_vec(place.to_vec()).into() };
            // The new process looks from its own directory.
            let file = std::path::absolute(place.join(program)).unwrap_or_else(|_| place.join(program));
            if let Some(found) = consider(file.clone(), &file) {
                return Ok(found);
            }
        }
        let here = Path::new(".").join(program);
        if let Some(found) = consider(here.clone(), &in_dir(&here)) {
            return Ok(found);
        }
    }
    let python = if shown.ends_with(".py") { format!("; did you mean: python {shown}") } else { String::new() };
    Err(match denied {
        Some(_) => {
            Refusal { text: format!("can not start '{shown}': the file is not executable{python}"), status: 126 }
        }
        None => {
            let exists = in_dir(Path::new(program)).exists();
            let what = if exists { "it is a directory" } else { "there is no such program" };
            Refusal { text: format!("can not start '{shown}': {what}{python}"), status: 127 }
        }
    })
}
