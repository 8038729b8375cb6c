//! What ranks print arrives whole, in order, complete, and even when nobody reads it for a while.

use super::support::{command, finish, mpiexec, run, start};
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn whole_lines_never_mix() {
    // Each line is written in three pieces with pauses shorter than a partial line is held.
    let script = "i=0; while [ $i -lt 25 ]; do printf 'rank'; sleep 0.003; printf $OXMPI_RANK; sleep 0.003; \
                  printf 'line%d.\\n' $i; i=$((i+1)); done";
    let outcome = run(&["-n", "6", "sh", "-c", script]);
    outcome.status_is(0);
    let mut wanted: Vec<String> = (0..6).flat_map(|r| (0..25).map(move |i| format!("rank{r}line{i}."))).collect();
    wanted.sort();
    outcome.must(outcome.lines() == wanted, "150 whole lines");
}

#[test]
fn lines_with_long_pauses_stay_whole_as_well() {
    let script = "printf a$OXMPI_RANK; sleep 0.2; printf b$OXMPI_RANK; sleep 0.2; echo c$OXMPI_RANK";
    let outcome = run(&["-n", "4", "sh", "-c", script]);
    outcome.must(outcome.lines() == ["a0b0c0", "a1b1c1", "a2b2c2", "a3b3c3"], "four whole lines");
}

#[test]
fn a_traceback_stays_in_one_piece_between_the_lines_of_others() {
    let script = "
if [ $OXMPI_RANK = 0 ]; then
  sleep 0.1
  for l in 'Traceback (most recent call last):' '  File \"a.py\", line 1, in <module>' '    f()' 'ValueError: no' \
    '' 'During handling of the above exception, another exception occurred:' '' 'Traceback (most recent call last):' \
    '  File \"a.py\", line 2, in <module>' 'KeyError: 1'; do echo \"$l\" >&2; sleep 0.01; done
else
  i=0; while [ $i -lt 80 ]; do echo noise >&2; sleep 0.005; i=$((i+1)); done
fi";
    let outcome = run(&["-n", "3", "sh", "-c", script]);
    outcome.status_is(0);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let start = lines.iter().position(|line| line.starts_with("Traceback")).expect("a traceback");
    let block = &lines[start..start + 10];
    outcome.must(!block.contains(&"noise") && block[9] == "KeyError: 1", "ten lines in one piece");
    outcome.must(start > 0 && lines.len() == 170, "between the others' lines");
}

#[test]
fn a_prompt_comes_through_before_its_line_is_finished() {
    let mut child = start(&["-n", "1", "sh", "-c", "printf 'name? '; read name; echo hello $name"]);
    let mut prompt = [0u8; 6];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut prompt).expect("the prompt");
    assert_eq!(&prompt, b"name? ");
    let outcome = finish(child, "you\n");
    outcome.must(outcome.stdout == "hello you\n", "the answer");
}

#[test]
fn an_unfinished_line_does_not_hold_the_others_back_for_long() {
    let script = "if [ $OXMPI_RANK = 0 ]; then printf 'wait '; sleep 4; echo end; else sleep 0.2; echo other; sleep 0.1; echo more; fi";
    let mut child = start(&["-n", "2", "sh", "-c", script]);
    let begun = Instant::now();
    let mut text = [0u8; 17];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut text).expect("text");
    assert_eq!(std::str::from_utf8(&text), Ok("wait \nother\nmore\n"));
    assert!(begun.elapsed() < Duration::from_millis(3500));
    let outcome = finish(child, "");
    outcome.must(outcome.stdout == "end\n", "the rest on a line of its own");
}

#[test]
fn python_output_is_not_held_back() {
    let mut child = start(&["-n", "1", "python3", "-c", "import time; print('now'); time.sleep(3)"]);
    let begun = Instant::now();
    let mut text = [0u8; 4];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut text).expect("text");
    let took = begun.elapsed();
    super::support::kill(child.id(), libc::SIGTERM);
    finish(child, "");
    assert!(text == *b"now\n" && took < Duration::from_secs(2), "{text:?} after {took:?}");
    let outcome = run(&["-x", "PYTHONUNBUFFERED=0", "-n", "1", "sh", "-c", "echo $PYTHONUNBUFFERED"]);
    outcome.must(outcome.stdout == "0\n", "the user decides");
}

#[test]
fn labels_name_the_rank() {
    let outcome = run(&["-l", "-n", "2", "sh", "-c", "echo one; echo two >&2"]);
    outcome.must(outcome.lines() == ["[0] one", "[1] one"], "labelled standard output");
    let mut errors: Vec<&str> = outcome.stderr.lines().collect();
    errors.sort_unstable();
    outcome.must(errors == ["[0] two", "[1] two"], "labelled standard error");
    for flag in ["--tag-output", "-prepend-rank", "--output=tag"] {
        let outcome = run(&[flag, "-n", "1", "echo", "x"]);
        outcome.must(outcome.stdout == "[0] x\n", flag);
    }
}

#[test]
fn the_streams_of_a_rank_keep_their_order_when_they_lead_to_one_place() {
    let mut shell =
        command("sh", &["-c", "\"$0\" -n 1 sh -c 'for i in 1 2 3 4 5 6; do echo o$i; echo e$i >&2; done' 2>&1"]);
    shell.arg(mpiexec());
    let outcome = super::support::run_command(shell);
    outcome.must(outcome.stdout == "o1\ne1\no2\ne2\no3\ne3\no4\ne4\no5\ne5\no6\ne6\n", "the order of writing");
}

#[test]
fn a_slow_reader_loses_nothing_and_stops_nothing() {
    // 24 MB, far more than all buffers; standard error must come through although standard output stands.
    let script = "echo begin >&2; head -c 6000000 /dev/zero | tr '\\0' x; echo; echo end >&2";
    let mut child = start(&["-n", "4", "sh", "-c", script]);
    let mut errors = child.stderr.take().expect("a pipe");
    let mut begin = [0u8; 24];
    errors.read_exact(&mut begin).expect("standard error");
    std::thread::sleep(Duration::from_millis(300));
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut bytes = Vec::new();
    let mut piece = [0u8; 8192];
    loop {
        let got = stdout.read(&mut piece).expect("read");
        if got == 0 {
            break;
        }
        bytes.extend_from_slice(&piece[..got]);
        if bytes.len() < 1_000_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let status = super::support::wait(&mut child, Duration::from_secs(10));
    assert!(status.success());
    assert_eq!(bytes.len(), 4 * 6_000_001);
    assert_eq!(bytes.iter().filter(|&&byte| byte == b'x').count(), 4 * 6_000_000);
}

#[test]
fn a_reader_that_leaves_ends_the_job_quietly() {
    let begun = Instant::now();
    let mut shell =
        command("bash", &["-c", "\"$0\" -n 2 sh -c 'while :; do echo y; done' | head -n 3; echo ${PIPESTATUS[0]}"]);
    shell.arg(mpiexec());
    let outcome = super::support::run_command(shell);
    outcome.must(outcome.stdout == "y\ny\ny\n141\n" && outcome.stderr.is_empty(), "three lines, then silence");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_full_disk_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let mut run = command(&mpiexec().to_string_lossy(), &["-n", "2", "sh", "-c", "echo x; sleep 60"]);
    let child = run.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).spawn().expect("it starts");
    let outcome = finish(child, "");
    outcome.status_is(1);
    outcome.says("can not write to standard output: No space left on device");
}

#[test]
fn the_last_words_without_a_newline_are_kept() {
    let outcome = run(&["-n", "1", "sh", "-c", "printf tail; printf error >&2; exit 2"]);
    outcome.must(outcome.stdout == "tail", "as it was written");
    outcome.must(outcome.stderr.starts_with("error\nmpiexec: rank 0 ended"), "our sentence on a line of its own");
}

#[test]
fn a_hundred_megabytes_pass_in_reasonable_time() {
    let outcome = run(&["-n", "2", "sh", "-c", "yes abcdefghijklmnopqrstuvwxyz | head -c 54000000"]);
    let (length, whole) = (outcome.stdout.len(), outcome.stdout.lines().all(|line| line.len() == 26));
    assert!(length == 108_000_000 && whole, "{length} bytes, whole lines: {whole}");
    assert!(outcome.took < Duration::from_secs(20), "{:?}", outcome.took);
}
