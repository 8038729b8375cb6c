//! Running mpiexec with a time limit, and looking for what it may have left behind.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn lines(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = self.stdout.lines().collect();
        lines.sort_unstable();
        lines
    }

    /// Fails with everything that there is to see.
    #[track_caller]
    pub(crate) fn must(&self, condition: bool, what: &str) {
        assert!(
            condition,
            "{what}\nstatus {} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.status, self.took, self.stdout, self.stderr
        );
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        self.must(self.stderr.contains(text), &format!("standard error should hold: {text}"));
    }

    #[track_caller]
    pub(crate) fn status_is(&self, status: i32) {
        self.must(self.status == status, &format!("the status should be {status}"));
    }
}

pub(crate) fn mpiexec() -> PathBuf {
    env!("CARGO_BIN_EXE_mpiexec").into()
}

/// The program examples/rank.rs, built when the first test asks for it: a run of selected tests does
/// not build examples by itself.
pub(crate) fn rank() -> String {
    static BUILT: OnceLock<String> = OnceLock::new();
    BUILT.get_or_init(build_rank).clone()
}

fn build_rank() -> String {
    let folder = mpiexec().parent().expect("a folder").to_owned();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "oxmpi-mpiexec", "--example", "rank", "--profile", profile])
        .env("CARGO_TARGET_DIR", folder.parent().expect("a folder"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.expect("cargo runs").success(), "examples/rank.rs does not build");
    folder.join("examples/rank").to_string_lossy().into_owned()
}

/// A command in an environment without any launcher.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    let launchers = ["SLURM_", "PMI_", "PMIX_", "OMPI_", "OXMPI_", "MPI_LOCAL", "HYDI_", "FLUX_", "PALS_"];
    for (name, _) in std::env::vars() {
        if launchers.iter().any(|launcher| name.starts_with(launcher)) {
            command.env_remove(name);
        }
    }
    command
}

/// Starts mpiexec with pipes for all three streams.
pub(crate) fn start(args: &[&str]) -> Child {
    command(&mpiexec().to_string_lossy(), args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mpiexec starts")
}

/// Runs mpiexec to its end.
pub(crate) fn run(args: &[&str]) -> Outcome {
    finish(start(args), "")
}

/// The same with something to read.
pub(crate) fn run_with_input(args: &[&str], input: &str) -> Outcome {
    finish(start(args), input)
}

/// Runs any command to its end.
pub(crate) fn run_command(mut command: Command) -> Outcome {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    finish(child, "")
}

pub(crate) fn finish(mut child: Child, input: &str) -> Outcome {
    let begun = Instant::now();
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read closes the pipe before we are done.
        let _ = stdin.write_all(input.as_bytes());
    }
    let reader = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = reader(child.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = reader(child.stderr.take().map(|stream| Box::new(stream) as _));
    let status = wait(&mut child, Duration::from_secs(30));
    Outcome {
        status: status_of(status),
        took: begun.elapsed(),
        stdout: stdout.join().expect("read"),
        stderr: stderr.join().expect("read"),
    }
}

/// Waits with a limit.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if begun.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            panic!("not finished after {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn status_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A word that nobody else uses, to recognise processes by.
pub(crate) fn mark(test: &str) -> String {
    format!("oxmpi-test-{test}-{}", std::process::id())
}

/// Processes that carry `mark` in their arguments or environment.
pub(crate) fn marked(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')) {
            continue;
        }
        let text = [read("cmdline"), read("environ")].concat();
        if text.windows(mark.len()).any(|window| window == mark.as_bytes()) {
            found.push(format!("{pid}: {}", String::from_utf8_lossy(&read("cmdline")).replace('\0', " ")));
        }
    }
    found
}

/// Fails unless all processes with this mark are gone soon.
#[track_caller]
pub(crate) fn nobody_left(mark: &str) {
    let begun = Instant::now();
    loop {
        let left = marked(mark);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(3), "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until so many processes carry the mark.
#[track_caller]
pub(crate) fn wait_for_marked(mark: &str, count: usize) {
    let begun = Instant::now();
    while marked(mark).len() < count {
        assert!(begun.elapsed() < Duration::from_secs(10), "only {:#?}", marked(mark));
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn kill(pid: u32, signal: i32) {
    assert!(shm::os::process::signal(pid.cast_signed(), signal), "no process {pid}");
}
