//! One process under test: a number of calls, as a seed has them. Ends with status 0, or with [`FOUND`] when
//! a call did what none may do; crashes and hangs are for the one who watches (`main`).

use crate::api::{self, Function};
use crate::arguments::{After, Call, Maker, Shapes, Status};
use crate::history::History;
use crate::library::{Entry, Library, MOST_ARGUMENTS};
use crate::memory::Memory;
use crate::pools::Pools;
use crate::random::Random;
use crate::{Options, waits};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Exit status after a finding.
pub(crate) const FOUND: c_int = 70;

/// Printed when MPI_Finalize waited for something that nobody does.
pub(crate) const GIVEN_UP: &str = "fuzz: the wait in MPI_Finalize was given up";

const MPI_ERR_INTERN: c_int = 17;
const MPI_THREAD_MULTIPLE: u64 = 4096;
const WORLD: u64 = 0x101;
const SELF: u64 = 0x102;
const ERRORS_RETURN: u64 = 0x143;

/// What all threads share.
struct Shared {
    functions: Vec<(Function, Entry)>,
    shapes: Shapes,
    error_class: Entry,
    error_string: Entry,
    pools: Mutex<(Pools, Vec<u64>)>,
    rank: usize,
    ranks: usize,
    trace: bool,
}

static SHARED: OnceLock<Shared> = OnceLock::new();

/// A thread that makes calls.
struct Fuzzer {
    random: Random,
    memory: Memory,
    history: History,
    statuses: Vec<Status>,
    depth: usize,
    /// Calls and successes per function.
    counts: HashMap<usize, (u32, u32)>,
}

thread_local! {
    static FUZZER: RefCell<Option<Fuzzer>> = const { RefCell::new(None) };
    /// The calls now are ours, not random ones: callbacks do nothing.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

fn with<T>(use_it: impl FnOnce(&mut Fuzzer, &'static Shared) -> T) -> T {
    let shared = SHARED.get().expect("set at the start");
    FUZZER.with_borrow_mut(|f| use_it(f.as_mut().expect("a thread that makes calls"), shared))
}

/// A number below `n` for a callback.
pub(crate) fn dice(n: usize) -> usize {
    if QUIET.get() { 0 } else { with(|f, _| f.random.below(n)) }
}

/// A call of a callback.
pub(crate) fn nested_call() {
    if !QUIET.get() && with(|f, _| f.depth) < 2 {
        one_call();
    }
}

/// Ends the process with what was found.
fn found(text: &str) -> ! {
    with(|f, _| f.history.begin(&format!("FOUND: {text}")));
    write_now(&format!("FOUND: {text}\n"));
    // SAFETY: ends the process.
    unsafe { libc::_exit(FOUND) }
}

pub(crate) fn write_now(text: &str) {
    // SAFETY: a text and its length.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

fn quietly<T>(body: impl FnOnce() -> T) -> T {
    let before = QUIET.replace(true);
    let result = body();
    QUIET.set(before);
    result
}

fn one_call() {
    let (place, call, line) = with(|f, shared| {
        let place = f.random.below(shared.functions.len());
        let wild = f.random.percent(25);
        let mut guard = shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let (pools, allocated) = &mut *guard;
        let mut maker = Maker {
            random: &mut f.random,
            memory: &mut f.memory,
            pools,
            shapes: &shared.shapes,
            statuses: &f.statuses,
            allocated,
            rank: shared.rank,
            ranks: shared.ranks,
        };
        let call = quietly(|| maker.make(&shared.functions[place].0, wild));
        let text = format!("{}{}", "  ".repeat(f.depth), call.text);
        if shared.trace {
            write_now(&format!("{text}\n"));
        }
        f.depth += 1;
        let outermost = f.depth == 1;
        if outermost {
            waits::begin();
        }
        (place, call, f.history.begin(&text))
    });
    let shared = SHARED.get().expect("set at the start");
    let (function, entry) = &shared.functions[place];
    let mut arguments = [0; MOST_ARGUMENTS];
    arguments[..call.arguments.len()].copy_from_slice(&call.arguments);
    // SAFETY: addresses are those of memory made for this call; the rest may be anything: that is the test.
    let result = unsafe { entry.call(&arguments) };
    let depth = with(|f, shared| {
        f.depth -= 1;
        let text = format!(" -> {}{}", result as c_int, results(&call));
        f.history.finish(line, &text);
        if shared.trace {
            write_now(&format!("   {text}\n"));
        }
        f.depth
    });
    if depth == 0 && !waits::end() {
        found(&format!("{}: the hooks block and unblock were not called in pairs", function.name));
    }
    let failed = function.returns.is_none() && result as c_int != 0;
    let count = |f: &mut Fuzzer| {
        let count = f.counts.entry(place).or_default();
        count.0 += 1;
        count.1 += u32::from(!failed);
    };
    with(|f, _| count(f));
    if failed {
        look_at_error(shared, &function.name, result as c_int);
    } else {
        with(|f, shared| digest(f, shared, &call));
    }
}

/// The handle that a call gave, for the history.
fn results(call: &Call) -> String {
    let one = |after: &After| match after {
        // SAFETY: the address that the call was given for the result.
        After::Handles { at, before, .. } if before.len() == 1 => Some(format!(", {:#x}", unsafe { at.read() })),
        _ => None,
    };
    call.after.iter().filter_map(one).collect()
}

fn look_at_error(shared: &Shared, name: &str, code: c_int) {
    let mut class: c_int = -1;
    let mut text = [0u8; 512];
    let mut len: c_int = 0;
    // SAFETY: addresses of results, the text as long as the standard has it.
    let codes = quietly(|| unsafe {
        [
            shared.error_class.code(&[code as u64, &raw mut class as u64]),
            shared.error_string.code(&[code as u64, &raw mut text as u64, &raw mut len as u64]),
        ]
    });
    let text = String::from_utf8_lossy(&text[..len.clamp(0, 511) as usize]).into_owned();
    // An error that a callback returned is given on as it is, whatever it is.
    let own = code > 0x3fff_ffff || (1..0x4000).contains(&code);
    if own && (codes != [0; 2] || text.is_empty()) {
        found(&format!("{name} returned {code}, of which MPI_Error_class and MPI_Error_string know nothing"));
    }
    if class == MPI_ERR_INTERN && code != MPI_ERR_INTERN {
        found(&format!("{name}: {text}"));
    }
    with(|f, shared| {
        let mut guard = shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0.add(&mut f.random, crate::pools::Pool::Error, code as u64);
    });
}

/// Keeps what a call gave.
fn digest(f: &mut Fuzzer, shared: &Shared, call: &Call) {
    let mut guard = shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
    let (pools, allocated) = &mut *guard;
    // SAFETY, for all reads: addresses made for this call, of as many values as were written there.
    for after in &call.after {
        match after {
            After::Handles { at, before, pool, ends } => {
                for (i, old) in before.iter().enumerate() {
                    // SAFETY: as above.
                    let now = unsafe { at.add(i).read() };
                    if now == *old {
                        continue;
                    }
                    if *ends {
                        pools.remove(&mut f.random, *pool, *old);
                    }
                    pools.add(&mut f.random, *pool, now);
                }
            }
            After::Number { at, before, pool, ends } => {
                // SAFETY: as above.
                let now = unsafe { at.read() };
                if now != *before {
                    if *ends {
                        pools.remove(&mut f.random, *pool, *before as u64);
                    }
                    pools.add(&mut f.random, *pool, now as u64);
                }
            }
            After::Status(at) => {
                if f.statuses.len() == 16 {
                    f.statuses.swap_remove(f.random.below(16));
                }
                // SAFETY: as above.
                f.statuses.push(unsafe { at.read() });
            }
            // SAFETY: as above.
            After::Allocated(at) => allocated.push(unsafe { at.read() }),
        }
    }
}

/// Makes the calls. `rank_file` is where the history goes.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    waits::explain_crashes();
    let library = Library::open(&options.library)?;
    let entry = |name: &str| library.entry(name);
    let mut ints: [c_int; 2] = [0, 1];
    // SAFETY: the arguments that these functions ask for.
    unsafe {
        entry("OXMPI_Set_wait_hooks")?.code(&[&raw const waits::HOOKS as u64]);
        let code = entry("MPI_Init_thread")?.code(&[0, 0, MPI_THREAD_MULTIPLE, &raw mut ints as u64]);
        if code != 0 {
            return Err(format!("MPI_Init_thread returned {code}"));
        }
        for comm in [WORLD, SELF] {
            entry("MPI_Comm_set_errhandler")?.code(&[comm, ERRORS_RETURN]);
        }
        entry("MPI_Comm_rank")?.code(&[WORLD, ints.as_mut_ptr() as u64]);
        entry("MPI_Comm_size")?.code(&[WORLD, ints[1..].as_mut_ptr() as u64]);
    }
    let [rank, ranks] = ints.map(|n| n.max(0) as usize);
    let functions = api::functions().into_iter().map(|f| library.entry(&f.name).map(|entry| (f, entry)));
    let shared = Shared {
        functions: functions.collect::<Result<_, _>>()?,
        shapes: Shapes::new(&library)?,
        error_class: entry("PMPI_Error_class")?,
        error_string: entry("PMPI_Error_string")?,
        pools: Mutex::new((Pools::new(), Vec::new())),
        rank,
        ranks,
        trace: options.trace,
    };
    assert!(SHARED.set(shared).is_ok(), "set once");
    let different = if options.different { rank as u64 + 1 } else { 0 };
    let counts = Arc::new(Mutex::new(HashMap::new()));
    let (say, ids) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..options.threads)
        .map(|thread| {
            let seed = options.seed * 1000 + different * 10 + thread as u64;
            let history = options.history(rank, thread);
            let (calls, say, counts) = (options.calls, say.clone(), Arc::clone(&counts));
            std::thread::spawn(move || -> std::io::Result<()> {
                // SAFETY: asks who we are.
                say.send(unsafe { libc::pthread_self() }).map_err(std::io::Error::other)?;
                drop(say);
                let fuzzer = Fuzzer {
                    random: Random::new(seed),
                    memory: Memory::new(),
                    history: History::create(&history)?,
                    statuses: Vec::new(),
                    depth: 0,
                    counts: HashMap::new(),
                };
                FUZZER.set(Some(fuzzer));
                for _ in 0..calls {
                    one_call();
                }
                let mut all: std::sync::MutexGuard<'_, HashMap<usize, (u32, u32)>> =
                    counts.lock().unwrap_or_else(PoisonError::into_inner);
                for (place, (n, good)) in with(|f, _| std::mem::take(&mut f.counts)) {
                    let count = all.entry(place).or_default();
                    *count = (count.0 + n, count.1 + good);
                }
                Ok(())
            })
        })
        .collect();
    drop(say);
    // Alone, nothing comes that is waited for.
    let alone = ranks == 1 && options.threads == 1;
    let patience = Duration::from_millis(if alone { 0 } else { 20 });
    // SAFETY: asks who we are.
    let me = unsafe { libc::pthread_self() };
    waits::disturb(ids.iter().chain([me]).collect(), patience);
    for thread in threads {
        thread.join().map_err(|_| "the fuzzer itself has panicked".to_owned())?.map_err(|e| e.to_string())?;
    }
    if options.statistics {
        statistics(&counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
    QUIET.set(true);
    waits::begin();
    // While a session is open MPI does not end.
    let shared = SHARED.get().expect("set above");
    let sessions = shared.pools.lock().unwrap_or_else(PoisonError::into_inner).0.live(crate::pools::Pool::Session);
    for mut session in sessions {
        // SAFETY: as above.
        unsafe { entry("MPI_Session_finalize")?.code(&[&raw mut session as u64]) };
    }
    // SAFETY: as above.
    if unsafe { entry("MPI_Finalize")?.code(&[]) } != 0 {
        write_now(&format!("{GIVEN_UP}\n"));
    }
    Ok(())
}

/// Which functions were never called with success.
fn statistics(counts: &HashMap<usize, (u32, u32)>) {
    let shared = SHARED.get().expect("set at the start");
    for (place, (function, _)) in shared.functions.iter().enumerate() {
        let (n, good) = counts.get(&place).copied().unwrap_or_default();
        write_now(&format!("{good:6} of {n:6}  {}\n", function.name));
    }
}
