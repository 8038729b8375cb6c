//! Behaviour at a terminal, tried with a pseudo-terminal of Python's.

use super::support::{command, mpiexec, run_command};

/// Runs mpiexec at a terminal of 77 columns as a session leader would; types `keys` (a Python list of
/// (text, how often it must have appeared before, bytes)) and returns everything that appeared on it.
fn at_terminal(args: &str, keys: &str) -> super::support::Outcome {
    let script = format!(
        r#"
import os, pty, sys, fcntl, termios, struct
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], ["mpiexec"] + {args})
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
keys, seen = {keys}, b""
while True:
    try: data = os.read(fd, 65536)
    except OSError: break
    if not data: break
    seen += data
    sys.stdout.buffer.write(data); sys.stdout.flush()
    if keys and seen.count(keys[0][0]) >= keys[0][1]:
        os.write(fd, keys.pop(0)[2])
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) & 255)
"#
    );
    let mut python = command("python3", &["-c", &script]);
    python.arg(mpiexec());
    run_command(python)
}

#[test]
fn rank_0_sees_a_terminal_of_the_right_size_and_the_others_do_not() {
    let test = "sleep 0.2; test -t 1 && echo out $OXMPI_RANK $(stty size <&2); test -t 2 && echo err $OXMPI_RANK";
    let outcome = at_terminal(&format!("['-n', '2', 'sh', '-c', '{test}; true']"), "[]");
    outcome.must(outcome.stdout.replace('\r', "") == "out 0 33 77\nerr 0\n", "rank 0 only");
}

#[test]
fn what_is_typed_reaches_rank_0() {
    let test = "[ $OXMPI_RANK = 0 ] || exit 0; printf \"name? \"; read name; echo hello $name; cat; echo end";
    let outcome = at_terminal(
        &format!("['-n', '2', 'sh', '-c', '{test}']"),
        "[(b'name?', 1, b'you\\n'), (b'hello', 1, b'more\\n'), (b'more', 2, b'\\x04')]",
    );
    let text = outcome.stdout.replace('\r', "");
    outcome
        .must(text.contains("hello you\n") && text.contains("more\nmore\n") && text.ends_with("end\n"), "a dialogue");
}

#[test]
fn ctrl_c_reaches_every_rank_once() {
    let test = "trap \"echo got; exit 0\" INT; echo up; while :; do sleep 0.02; done";
    let outcome = at_terminal(&format!("['-n', '2', 'sh', '-c', '{test}']"), "[(b'up', 2, b'\\x03')]");
    outcome.must(outcome.stdout.matches("got").count() == 2, "both ranks, once each");
    outcome.status_is(0);
}

#[test]
fn a_rank_that_asks_the_terminal_itself_does_not_hang() {
    let test = "(read x </dev/tty) 2>/dev/null || echo no terminal";
    let outcome = at_terminal(&format!("['-n', '2', 'sh', '-c', '{test}']"), "[]");
    outcome.must(outcome.stdout.matches("no terminal").count() == 2, "an error instead");
}
