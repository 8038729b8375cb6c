use super::labelled;
use super::lines::Lines;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// What may be written at each of these times, after these bytes came then.
fn run(events: &[(u32, &str)], until: u32) -> Vec<(u32, String)> {
    let start = Instant::now();
    let mut lines = Lines::default();
    let mut written = Vec::new();
    for ms in 0..=until {
        let now = start + MS * ms;
        for (_, bytes) in events.iter().filter(|(at, _)| *at == ms) {
            lines.push(bytes.as_bytes(), now);
        }
        let ready = lines.ready(now);
        if ready > 0 {
            written.push((ms, String::from_utf8(lines.take(ready)).expect("text")));
        }
    }
    written
}

fn expect(events: &[(u32, &str)], until: u32, wanted: &[(u32, &str)]) {
    let got = run(events, until);
    let got: Vec<(u32, &str)> = got.iter().map(|(ms, text)| (*ms, text.as_str())).collect();
    assert_eq!(got, wanted);
}

#[test]
fn whole_lines_pass_at_once() {
    expect(&[(0, "one\ntwo\n"), (1, "three\n")], 2, &[(0, "one\ntwo\n"), (1, "three\n")]);
}

#[test]
fn a_line_that_comes_in_pieces_stays_whole() {
    expect(&[(0, "a"), (3, "b"), (6, "c\n")], 100, &[(6, "abc\n")]);
}

#[test]
fn a_prompt_is_passed_on_after_a_pause() {
    expect(&[(0, "done\nname? "), (200, "x\n")], 300, &[(0, "done\n"), (50, "name? "), (200, "x\n")]);
}

#[test]
fn a_progress_bar_that_never_pauses_is_passed_on_as_well() {
    let events: Vec<(u32, &str)> = (0..20).map(|step| (step * 10, "\r#####")).collect();
    let written = run(&events, 200);
    assert!(written.len() >= 3, "{written:?}");
}

const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    1/0\n    ~^~\n";
const MESSAGE: &str = "ZeroDivisionError: division by zero\n";

#[test]
fn a_traceback_stays_in_one_piece() {
    let whole = format!("{TRACEBACK}{MESSAGE}");
    expect(&[(0, TRACEBACK), (20, MESSAGE)], 200, &[(50, whole.as_str())]);
}

#[test]
fn what_came_before_a_traceback_does_not_wait_for_it() {
    let whole = format!("{TRACEBACK}{MESSAGE}");
    expect(&[(0, &format!("before\n{whole}"))], 100, &[(0, "before\n"), (30, whole.as_str())]);
}

#[test]
fn chained_tracebacks_are_one_piece() {
    let chain = "\nDuring handling of the above exception, another exception occurred:\n\n";
    let whole = format!("{TRACEBACK}{MESSAGE}{chain}{TRACEBACK}{MESSAGE}");
    let events = [(0, TRACEBACK), (5, MESSAGE), (10, chain), (60, TRACEBACK), (65, MESSAGE)];
    expect(&events, 300, &[(95, whole.as_str())]);
}

#[test]
fn a_traceback_that_stops_in_the_middle_is_passed_on_in_the_end() {
    expect(&[(0, TRACEBACK)], 600, &[(500, TRACEBACK)]);
}

#[test]
fn a_closed_stream_gives_everything_at_once() {
    let mut lines = Lines::default();
    let now = Instant::now();
    lines.push(format!("{TRACEBACK}Key").as_bytes(), now);
    lines.close();
    assert_eq!(lines.ready(now), lines.len());
}

#[test]
fn ordinary_lines_after_a_traceback_pass_at_once_again() {
    let first = format!("{TRACEBACK}{MESSAGE}");
    expect(&[(0, &first), (100, "next\n")], 150, &[(30, first.as_str()), (100, "next\n")]);
}

#[test]
fn labels_stand_before_every_line() {
    let mut start = true;
    assert_eq!(labelled(b"a\nb", 3, &mut start), b"[3] a\n[3] b");
    assert_eq!(labelled(b"c\n\nd\r\n", 3, &mut start), b"c\n[3] \n[3] d\r\n");
    assert_eq!(labelled(b"10%\r20%", 3, &mut start), b"[3] 10%\r[3] 20%");
}
