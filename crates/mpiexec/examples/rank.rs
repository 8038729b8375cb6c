//! A rank without an engine, for the tests of mpiexec and of joining a job: it takes its seat, passes
//! through the states of MPI as told, and waits as the engine does. Usage: rank ACTION [ARGUMENT].

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for tests")]

use shm::answer::Writer;
use shm::calls::Call;
use shm::job::Job;
use shm::liveness;
use shm::lock::Lock;
use shm::page::Seat;
use shm::report::{self, Line, Section};
use shm::sleep::{Nap, Sleepers, Wait, nap};
use shm::told::Told;
use shm::waiting::{About, Story, What};
use std::process::{Command, exit};
use std::thread::sleep;
use std::time::Duration;

fn main() {
    let mut words = std::env::args().skip(1);
    let action = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    let number = rest.first().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let second = rest.get(1).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let code = number as i32;
    let job = match shm::job::join() {
        Ok(job) => job,
        Err(error) => {
            eprintln!("rank: {error}");
            exit(9);
        }
    };
    match action.as_str() {
        // Says who it is.
        "who" => {
            meet(&job);
            println!("rank {} of {} ({:?})", job.rank, job.size, job.launcher);
            set(&job, Seat::Finalized);
        }
        // Works for so many seconds.
        "work" => {
            set(&job, Seat::Initialized);
            sleep(Duration::from_secs_f64(number));
            set(&job, Seat::Finalized);
        }
        // Waits for somebody who never sends, as the engine does; reports whom it blames.
        "wait" => {
            set(&job, Seat::Initialized);
            meet(&job);
            println!("waiting");
            loop {
                if let Some(failure) = liveness::check(&job.segment, liveness::now()) {
                    println!("rank {} saw: {failure}", job.rank);
                    liveness::abort(&job.segment, job.rank, 66);
                    exit(66);
                }
                sleep(Duration::from_millis(50));
            }
        }
        // Sleeps, as the engine does, in a standard send to rank NUMBER that is held back. SECOND: threads of
        // the process, 1 if it is not given. With a third number: is woken after so many seconds, and ends.
        "held" => {
            set(&job, Seat::Initialized);
            let seconds = rest.get(2).and_then(|text| text.parse::<f64>().ok());
            hold(&job, code, if second > 1.0 { second as u32 } else { 1 }, seconds);
            set(&job, Seat::Finalized);
        }
        // Leaves NUMBER communicators and one message, if it is to look for such; ends with SECOND.
        "forgets" => {
            set(&job, Seat::Initialized);
            if shm::env::is_on(shm::env::CHECK) {
                let dup = "communicator from MPI_Comm_dup at x.py:10".to_owned();
                let message = format!("3 x MPI_INT from rank {}, tag 7", job.rank);
                let lines = [
                    Line { section: Section::NeverFreed, count: code.unsigned_abs() as usize, text: dup },
                    Line { section: Section::NeverReceived, count: 1, text: message },
                ];
                report::publish(&job.segment, job.rank, &lines);
            }
            set(&job, Seat::Finalized);
            exit(second as i32);
        }
        "finalize" => {
            set(&job, Seat::Initialized);
            meet(&job);
            set(&job, Seat::Finalized);
            sleep(Duration::from_secs_f64(second));
            println!("rank {} is through", job.rank);
            exit(code);
        }
        "abort" => {
            set(&job, Seat::Initialized);
            meet(&job);
            liveness::abort(&job.segment, job.rank, code);
            exit(code & 0xff);
        }
        // Ends in the middle of MPI with this status.
        "leave" => {
            set(&job, Seat::Initialized);
            meet(&job);
            exit(code);
        }
        // As the extension does it: notes the exception, prints it line by line, ends.
        "raise" => {
            set(&job, Seat::Initialized);
            meet(&job);
            sleep(Duration::from_secs_f64(second));
            liveness::note_uncaught(&job.segment, job.rank);
            eprintln!("Traceback (most recent call last):");
            for line in 0..20 {
                eprintln!("  File \"rank{}.py\", line {line}, in f", job.rank);
                sleep(Duration::from_millis(5));
            }
            eprintln!("ValueError: of rank {}", job.rank);
            sleep(Duration::from_secs_f64(number));
            exit(1);
        }
        // A subprocess inherits the environment, and the descriptors that are left.
        "child" => {
            meet(&job);
            let own = std::env::current_exe().unwrap_or_default();
            let output = Command::new(own).arg("who").output();
            match output {
                Ok(output) => println!("child: {}", String::from_utf8_lossy(&output.stdout).trim_end()),
                Err(error) => println!("child: {error}"),
            }
            set(&job, Seat::Finalized);
        }
        other => {
            eprintln!("rank: unknown action '{other}'");
            exit(2);
        }
    }
}

fn set(job: &Job, seat: Seat) {
    job.segment.rank_page(job.rank).set_seat(seat);
}

/// What lies behind the lock of a process here.
#[derive(Default)]
struct Own(Sleepers);

impl AsMut<Sleepers> for Own {
    fn as_mut(&mut self) -> &mut Sleepers {
        &mut self.0
    }
}

fn hold(job: &Job, peer: i32, threads: u32, seconds: Option<f64>) {
    let page = job.segment.rank_page(job.rank);
    let (lock, mut wait) = (Lock::new(Own::default()), Wait::default());
    let what = What {
        call: Call::Send as u32,
        operation: 0,
        about: About::HeldSend,
        peer,
        tag: 7,
        context: 0,
        bytes: 80_000,
        progress: 1,
    };
    let story = Story { site: "x.py:12".to_owned(), comm: "MPI_COMM_WORLD".to_owned(), peer: u32::try_from(peer).ok() };
    let told = Told { what, story: story.clone(), members: (0..job.size).collect(), near: None, turn: None };
    let (mut writer, mut answered) = (Writer::default(), 0);
    let end = seconds.map(|seconds| std::time::Instant::now() + Duration::from_secs_f64(seconds));
    while end.is_none_or(|end| std::time::Instant::now() < end) {
        let slept = nap(lock.lock(), page, Duration::from_millis(250), &mut wait, |_| {
            page.say_what(what, Some(&story));
            None::<()>
        });
        if slept == Nap::Disturbed {
            page.say_threads(threads);
        }
        if page.asked() != answered {
            answered = page.asked();
            writer.add(&job.segment, job.rank, answered, &told.to_text());
        }
    }
}

/// Waits until every rank has taken its seat.
fn meet(job: &Job) {
    for rank in 0..job.size {
        while job.segment.rank_page(rank).seat() == Seat::Empty {
            sleep(Duration::from_millis(1));
        }
    }
}
