//! The table of flags: names, arguments, one line of help. `--help` and the table in
//! docs/mpiexec.md come from here. One dash or two make no difference, and `--flag=value` is
//! `--flag value`, as scripts for other launchers have it.

/// What a flag does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Procs,
    Export,
    Env,
    EnvList,
    EnvAll,
    EnvNone,
    GlobalEnv,
    GlobalEnvList,
    GlobalEnvAll,
    GlobalEnvNone,
    Dir,
    Label,
    Output,
    Stdin,
    Timeout,
    Check,
    Deadlock,
    SyncSends,
    ConfigFile,
    Quiet,
    Hosts,
    HostFile,
    Version,
    Help,
    /// Accepted because scripts have it, and without effect here.
    Ignored,
}

/// One flag.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) kind: Kind,
    /// Names without dashes, the preferred one first.
    pub(crate) names: &'static [&'static str],
    /// Its arguments.
    pub(crate) args: &'static [&'static str],
    pub(crate) what: &'static str,
}

const fn flag(kind: Kind, names: &'static [&'static str], args: &'static [&'static str], what: &'static str) -> Flag {
    Flag { kind, names, args, what }
}

/// Every flag. The ignored ones stand at the end.
pub(crate) const FLAGS: &[Flag] = &[
    flag(Kind::Procs, &["n", "np", "c"], &["N"], "start N ranks; without it, one for each CPU that may be used"),
    flag(
        Kind::Export,
        &["x"],
        &["NAME[=VALUE]"],
        "give the ranks this variable, with this value or the one it has here",
    ),
    flag(Kind::GlobalEnv, &["genv"], &["NAME", "VALUE"], "give all ranks of the job this variable (also NAME=VALUE)"),
    flag(Kind::GlobalEnvList, &["genvlist"], &["A,B,..."], "give the ranks only these variables of this environment"),
    flag(Kind::GlobalEnvNone, &["genvnone"], &[], "give the ranks no variable of this environment"),
    flag(Kind::GlobalEnvAll, &["genvall"], &[], "give the ranks this whole environment (the default)"),
    flag(Kind::Env, &["env"], &["NAME", "VALUE"], "as -genv, for this part of a job with several programs"),
    flag(Kind::EnvList, &["envlist"], &["A,B,..."], "as -genvlist, for this part"),
    flag(Kind::EnvNone, &["envnone"], &[], "as -genvnone, for this part"),
    flag(Kind::EnvAll, &["envall"], &[], "as -genvall, for this part"),
    flag(Kind::Dir, &["wdir", "wd", "cwd"], &["DIR"], "run in directory DIR"),
    flag(Kind::Label, &["l", "tag-output", "prepend-rank"], &[], "begin every line of output with its rank: [3] ..."),
    flag(Kind::Output, &["output"], &["WHAT"], "'tag' labels lines like -l; anything else is ignored with a note"),
    flag(Kind::Stdin, &["stdin", "s"], &["WHO"], "who reads standard input: a rank (default 0), all or none"),
    flag(Kind::Timeout, &["timeout"], &["SECONDS"], "end the job after so many seconds, with status 124"),
    flag(
        Kind::Check,
        &["check"],
        &[],
        "look for what is wrong: types that differ, buffers in use, what is never freed",
    ),
    flag(
        Kind::Deadlock,
        &["deadlock"],
        &["WHAT"],
        "when no rank can go on: stop (say so and end the job, the default), report or off",
    ),
    flag(
        Kind::SyncSends,
        &["sync-sends"],
        &[],
        "standard sends wait for their receives; a job that stands still is ended",
    ),
    flag(Kind::ConfigFile, &["configfile"], &["FILE"], "read the command line from FILE, one part of the job per line"),
    flag(Kind::Quiet, &["q", "quiet"], &[], "no notes about ignored flags"),
    flag(Kind::Version, &["V", "version"], &[], "say which mpiexec this is"),
    flag(Kind::Help, &["h", "help", "?"], &[], "this text"),
    flag(Kind::Hosts, &["host", "hosts", "H"], &["LIST"], "fine if it names this machine only; others are refused"),
    flag(
        Kind::HostFile,
        &["hostfile", "f", "machinefile", "machine", "default-hostfile"],
        &["FILE"],
        "the same, from a file",
    ),
    flag(
        Kind::Ignored,
        &["oversubscribe", "nooversubscribe", "overload-allowed", "bind-to-none", "bind-to-core"],
        &[],
        "",
    ),
    flag(
        Kind::Ignored,
        &["allow-run-as-root", "use-hwthread-cpus", "report-bindings", "bynode", "byslot", "bycore"],
        &[],
        "",
    ),
    flag(Kind::Ignored, &["v", "verbose", "display-map", "display-allocation", "print-rank-map", "enable-x"], &[], ""),
    flag(Kind::Ignored, &["disable-x", "disable-auto-cleanup", "disable-hostname-propagation", "nolocal"], &[], ""),
    flag(Kind::Ignored, &["bind-to", "map-by", "rank-by", "membind", "order-nodes", "cpu-set", "cpu-list"], &["X"], ""),
    flag(Kind::Ignored, &["ppn", "perhost", "N", "npernode", "npersocket", "grr", "rr", "ranks-per-proc"], &["X"], ""),
    flag(Kind::Ignored, &["mca", "gmca", "prtemca", "pmixmca", "gpmixmca", "gprtemca"], &["K", "V"], ""),
    flag(Kind::Ignored, &["launcher", "launcher-exec", "bootstrap", "bootstrap-exec", "rmk", "pmi-port"], &["X"], ""),
    flag(Kind::Ignored, &["iface", "nameserver", "prefix", "personality", "path", "display", "tune", "am"], &["X"], ""),
    flag(Kind::Ignored, &["usize", "bind", "topolib", "demux", "dvm", "pmi-args"], &["X"], ""),
];

/// The flag of this name (without dashes).
pub(crate) fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.names.contains(&name))
}

/// The flag whose name is most like `name`, if any is like it at all.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let names = FLAGS.iter().flat_map(|flag| flag.names.iter().copied());
    let (distance, best) = names.map(|known| (distance(name, known), known)).min_by_key(|(d, _)| *d)?;
    // A slip in one letter of three: more is another word.
    (distance <= name.chars().count().div_ceil(3)).then_some(best)
}

/// How many letters must be changed, added or dropped (Levenshtein).
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in two.iter().enumerate() {
            let change = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[two.len()]
}

/// A flag as users write it: `-np`, `--timeout`.
pub(crate) fn dashed(name: &str) -> String {
    let single = name.len() <= 2 || name.contains("env") || name == "wdir" || name == "configfile";
    format!("{}{name}", if single { "-" } else { "--" })
}

fn usage_of(flag: &Flag) -> String {
    let names: Vec<String> = flag.names.iter().map(|name| dashed(name)).collect();
    let mut text = names.join(", ");
    for arg in flag.args {
        text.push(' ');
        text.push_str(arg);
    }
    text
}

/// The text of `--help`.
pub(crate) fn help() -> String {
    let mut text = String::from(
        "Usage: mpiexec [flags] program [arguments] [: [flags] program [arguments] ...]\n\n\
         Starts a program several times on this machine; together they are one MPI job.\n\n    \
         mpiexec -n 4 python script.py\n    \
         mpiexec -n 1 python server.py : -n 3 python worker.py\n\n  \
         mpiexec ps             the jobs of this user on this machine, and what each rank does\n  \
         mpiexec stack [PID]    the same of one job, and where its Python threads are\n\nFlags:\n",
    );
    for flag in FLAGS.iter().filter(|flag| flag.kind != Kind::Ignored) {
        let usage = usage_of(flag);
        // Two columns; a long left one has a line of its own.
        if usage.len() > 28 {
            text.push_str(&format!("  {usage}\n  {:28}  {}\n", "", flag.what));
        } else {
            text.push_str(&format!("  {usage:28}  {}\n", flag.what));
        }
    }
    text.push_str("\nAccepted and ignored, with one note, because scripts for other launchers have them:\n ");
    let mut column = 1;
    for name in FLAGS.iter().filter(|flag| flag.kind == Kind::Ignored).flat_map(|flag| flag.names) {
        let word = dashed(name);
        if column + word.len() > 96 {
            text.push_str("\n ");
            column = 1;
        }
        text.push(' ');
        text.push_str(&word);
        column += word.len() + 1;
    }
    text.push_str(
        "\n\nThe exit status is that of the first rank that failed (128 + number for a signal).\n\
         More: docs/mpiexec.md\n",
    );
    text
}

/// The table of docs/mpiexec.md.
#[cfg(test)]
pub(crate) fn markdown() -> String {
    let mut text = String::from("| flag | what it does |\n|---|---|\n");
    for flag in FLAGS.iter().filter(|flag| flag.kind != Kind::Ignored) {
        text.push_str(&format!("| `{}` | {} |\n", usage_of(flag), flag.what));
    }
    text
}
