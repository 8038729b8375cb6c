//! From the words of the command line to what the user said, flag by flag. No file is read here
//! except the one of `-configfile`, no environment, no clock.

use super::defs::{self, Flag, Kind};
use std::ffi::{OsStr, OsString};

/// Which variables of mpiexec's own environment the ranks get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pass {
    All,
    None,
    Only(Vec<String>),
}

/// Who reads standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StdinTo {
    Rank(u32),
    All,
    Nobody,
}

/// What to do when no rank of the job can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadlock {
    /// Say so and end the job.
    Stop,
    /// Say so.
    Report,
    /// Nothing.
    Off,
}

impl Deadlock {
    /// What a word means.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "stop" => Self::Stop,
            "report" => Self::Report,
            "off" => Self::Off,
            _ => return None,
        })
    }
}

/// One part of the job: a program and how often it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) procs: Option<u32>,
    /// `None`: with the value that it has in mpiexec's environment.
    pub(crate) env: Vec<(String, Option<OsString>)>,
    pub(crate) pass: Option<Pass>,
    pub(crate) dir: Option<OsString>,
    pub(crate) command: Vec<OsString>,
}

/// What the user said.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) parts: Vec<Part>,
    pub(crate) env: Vec<(String, OsString)>,
    pub(crate) pass: Pass,
    pub(crate) label: bool,
    pub(crate) quiet: bool,
    pub(crate) stdin: StdinTo,
    pub(crate) timeout: Option<f64>,
    pub(crate) check: bool,
    pub(crate) deadlock: Option<Deadlock>,
    pub(crate) sync_sends: bool,
    pub(crate) hosts: Vec<String>,
    pub(crate) host_files: Vec<OsString>,
    /// Flags without effect, as they were written.
    pub(crate) ignored: Vec<String>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Wish {
    Run(Args),
    Help,
    Version,
}

/// A mistake on the command line: one sentence.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// Understands the words after the program's own name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Wish> {
    let mut parser = Parser {
        args: Args {
            parts: Vec::new(),
            env: Vec::new(),
            pass: Pass::All,
            label: false,
            quiet: false,
            stdin: StdinTo::Rank(0),
            timeout: None,
            check: false,
            deadlock: None,
            sync_sends: false,
            hosts: Vec::new(),
            host_files: Vec::new(),
            ignored: Vec::new(),
        },
        part: Part::default(),
        other: None,
    };
    parser.words(&mut words.into_iter().collect::<Vec<_>>().into_iter(), 0)?;
    parser.end_part()?;
    if let Some(other) = parser.other {
        return Ok(other);
    }
    if parser.args.parts.is_empty() {
        return Err("there is no program to start: mpiexec -n 4 python script.py (--help shows all flags)".to_owned());
    }
    Ok(Wish::Run(parser.args))
}

struct Parser {
    args: Args,
    part: Part,
    /// `--help` or `--version` was said.
    other: Option<Wish>,
}

type Words = std::vec::IntoIter<OsString>;

impl Parser {
    fn words(&mut self, words: &mut Words, depth: u32) -> Result<()> {
        while let Some(word) = words.next() {
            match word.to_str() {
                Some(":") => self.end_part()?,
                Some("--") => {
                    if let Some(program) = words.next() {
                        self.program(program, words);
                    }
                }
                Some(text) if text.starts_with('-') && text.len() > 1 => {
                    self.flag(text, words, depth)?;
                }
                _ => self.program(word, words),
            }
        }
        Ok(())
    }

    /// The program and all words up to the end of the part, whatever they look like.
    fn program(&mut self, program: OsString, words: &mut Words) {
        self.part.command.push(program);
        while let Some(next) = words.as_slice().first() {
            if next == ":" {
                break;
            }
            self.part.command.extend(words.next());
        }
    }

    fn end_part(&mut self) -> Result<()> {
        let part = std::mem::take(&mut self.part);
        if part.command.is_empty() {
            if part.procs.is_some() && self.other.is_none() {
                return Err("there is no program after the flags: mpiexec -n 4 python script.py".to_owned());
            }
            return Ok(());
        }
        self.args.parts.push(part);
        Ok(())
    }

    fn flag(&mut self, text: &str, words: &mut Words, depth: u32) -> Result<()> {
        let bare = text.strip_prefix("--").or_else(|| text.strip_prefix('-')).unwrap_or(text);
        let (name, attached) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (bare, None),
        };
        let Some(flag) = defs::find(name) else {
            return Err(unknown(text, name));
        };
        let mut values = Values { flag, written: text, attached: attached.map(OsString::from), words };
        self.apply(flag, &mut values, depth)?;
        if values.attached.is_some() {
            return Err(format!("{text}: this flag takes no value"));
        }
        Ok(())
    }

    fn apply(&mut self, flag: &Flag, values: &mut Values<'_>, depth: u32) -> Result<()> {
        match flag.kind {
            Kind::Procs => {
                let text = values.text()?;
                let count = text.parse().ok().filter(|&count| count > 0);
                self.part.procs = Some(count.ok_or_else(|| values.bad(&text, "a number of ranks, 1 or more"))?);
            }
            Kind::Export => self.export(&values.text()?),
            Kind::Env => {
                let (name, value) = values.assignment()?;
                self.part.env.push((name, Some(value)));
            }
            Kind::GlobalEnv => {
                let (name, value) = values.assignment()?;
                self.args.env.push((name, value));
            }
            Kind::EnvList => self.part.pass = Some(Pass::Only(list(&values.text()?))),
            Kind::EnvNone => self.part.pass = Some(Pass::None),
            Kind::EnvAll => self.part.pass = Some(Pass::All),
            Kind::GlobalEnvList => self.args.pass = Pass::Only(list(&values.text()?)),
            Kind::GlobalEnvNone => self.args.pass = Pass::None,
            Kind::GlobalEnvAll => self.args.pass = Pass::All,
            Kind::Dir => self.part.dir = Some(values.word()?),
            Kind::Label => self.args.label = true,
            Kind::Output => {
                let what = values.text()?;
                if what.split([',', ':']).any(|word| word == "tag" || word == "rank") {
                    self.args.label = true;
                } else {
                    self.args.ignored.push(format!("--output {what}"));
                }
            }
            Kind::Stdin => self.args.stdin = stdin_to(&values.text()?, values)?,
            Kind::Timeout => {
                let text = values.text()?;
                let seconds = text.parse().ok().filter(|&seconds: &f64| seconds > 0.0 && seconds < 1e9);
                self.args.timeout = Some(seconds.ok_or_else(|| values.bad(&text, "a number of seconds above 0"))?);
            }
            Kind::Check => self.args.check = true,
            Kind::Deadlock => {
                let text = values.text()?;
                let what = Deadlock::named(&text).ok_or_else(|| values.bad(&text, "stop, report or off"))?;
                self.args.deadlock = Some(what);
            }
            Kind::SyncSends => self.args.sync_sends = true,
            Kind::ConfigFile => {
                let file = values.word()?;
                self.config_file(&file, depth)?;
            }
            Kind::Quiet => self.args.quiet = true,
            Kind::Hosts => self.args.hosts.extend(list(&values.text()?)),
            Kind::HostFile => self.args.host_files.push(values.word()?),
            Kind::Help => self.other = Some(Wish::Help),
            Kind::Version => self.other = Some(Wish::Version),
            Kind::Ignored => {
                for _ in flag.args {
                    values.word()?;
                }
                // Some have a value in one launcher only: `--display=map`.
                values.attached = None;
                let written = values.written.split('=').next().unwrap_or(values.written);
                self.args.ignored.push(written.to_owned());
            }
        }
        Ok(())
    }

    fn export(&mut self, text: &str) {
        // Open MPI allows `-x A,B`; a value may hold commas.
        match text.split_once('=') {
            Some((name, value)) => self.part.env.push((name.to_owned(), Some(value.into()))),
            None => self.part.env.extend(list(text).into_iter().map(|name| (name, None))),
        }
    }

    fn config_file(&mut self, file: &OsStr, depth: u32) -> Result<()> {
        let shown = file.to_string_lossy();
        if depth > 0 {
            return Err(format!("-configfile {shown}: a configuration file can not name another one"));
        }
        let text = std::fs::read_to_string(file).map_err(|cause| format!("-configfile {shown}: {cause}"))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words =
                split_words(line).ok_or_else(|| format!("-configfile {shown}: a quote is not closed: {line}"))?;
            self.words(&mut words.into_iter(), depth + 1)?;
            self.end_part()?;
        }
        Ok(())
    }
}

/// The values of one flag: the attached one, then the words that follow.
struct Values<'a> {
    flag: &'static Flag,
    written: &'a str,
    attached: Option<OsString>,
    words: &'a mut Words,
}

impl Values<'_> {
    fn word(&mut self) -> Result<OsString> {
        let word = self.attached.take().or_else(|| self.words.next());
        word.ok_or_else(|| format!("{} needs {}", self.written, self.flag.args.join(" ")))
    }

    fn text(&mut self) -> Result<String> {
        let word = self.word()?;
        word.into_string().map_err(|word| self.bad(&word.to_string_lossy(), "text in UTF-8"))
    }

    /// `NAME VALUE` or `NAME=VALUE`.
    fn assignment(&mut self) -> Result<(String, OsString)> {
        let first = self.text()?;
        match first.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.into())),
            None => Ok((first, self.word()?)),
        }
    }

    fn bad(&self, got: &str, wanted: &str) -> String {
        format!("{} {got}: this should be {wanted}", self.written.split('=').next().unwrap_or(self.written))
    }
}

fn unknown(written: &str, name: &str) -> String {
    match defs::nearest(name) {
        Some(near) => format!("unknown flag {written}; did you mean {}? (--help shows all flags)", defs::dashed(near)),
        None => format!("unknown flag {written} (--help shows all flags)"),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn stdin_to(text: &str, values: &Values<'_>) -> Result<StdinTo> {
    match text {
        "all" => Ok(StdinTo::All),
        "none" => Ok(StdinTo::Nobody),
        _ => match text.parse() {
            Ok(rank) => Ok(StdinTo::Rank(rank)),
            Err(_) => Err(values.bad(text, "a rank, 'all' or 'none'")),
        },
    }
}

/// The words of a line; single and double quotes keep spaces together.
fn split_words(line: &str) -> Option<Vec<OsString>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, _) if letter.is_whitespace() => words.extend(word.take().map(OsString::from)),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word.map(OsString::from));
    quote.is_none().then_some(words)
}
