//! What a rank tells of itself when it is asked ([`crate::answer`]): for each thread that waits, the wait, and the
//! message that almost matched; and whether one polls. As text, line by line:
//!
//! ```text
//! w CALL OPERATION ABOUT PEER TAG CONTEXT BYTES RANK   a wait; RANK of the peer in the communicator, -1 = none
//! c NAME                                     of its communicator
//! s FILE:LINE                                where it is
//! m 0-3,5                                    world ranks of the communicator
//! n DIFFERS FROM RANK TAG BYTES NAME         the nearest message
//! o KIND NUMBER 0-3,5                        the collective: the how-many-th of its kind, whose messages it awaits
//! k CONTEXT FIRST PERSISTENT OTHERS          so many collectives the rank has called on a communicator
//! p FILE:LINE                                a thread polls there
//! u COUNT FROM RANK TAG BYTES NAME           messages that nobody has received, and the first of them
//! ```

use crate::ranges;
use crate::waiting::{About, Story, What};
use std::fmt::Write;
use std::str::FromStr;

/// A wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it is about.
    pub what: What,
    /// The same in words.
    pub story: Story,
    /// World ranks of the communicator, in its order if that is theirs; none = too many to say.
    pub members: Vec<u32>,
    /// If it waits for a message, one that is there and differs least from what it waits for.
    pub near: Option<(Differs, Message)>,
    /// If it waits for a collective that goes by messages.
    pub turn: Option<Turn>,
}

/// Which of a communicator's collectives it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// 0 = persistent, 1 = others, which are counted apart.
    pub kind: usize,
    /// So many of its kind were called before.
    pub number: u32,
    /// World ranks to or from which it has messages under way.
    pub awaited: Vec<u32>,
}

/// How many collectives that go by messages a rank has called on a communicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Called {
    /// Context of the communicator.
    pub context: u32,
    /// Its smallest world rank.
    pub first: u32,
    /// Persistent ones, others.
    pub counts: [u32; 2],
}

/// A message that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// World rank of its sender.
    pub from: u32,
    /// The same as rank in the communicator.
    pub source: u32,
    /// Its tag.
    pub tag: i32,
    /// Its length.
    pub bytes: u64,
    /// Name of its communicator.
    pub comm: String,
}

/// In what a message differs from the one that is waited for; the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Differs {
    /// Only in its tag.
    Tag = 0,
    /// Only in its communicator.
    Comm = 1,
    /// Only in its sender.
    Source = 2,
    /// In more than one of these.
    More = 3,
}

/// All that a rank tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The waits of its threads.
    pub waits: Vec<Told>,
    /// Where threads of it poll; empty texts if that is unknown.
    pub polls: Vec<String>,
    /// How many messages nobody has received, and the first of them.
    pub unreceived: Option<(usize, Message)>,
    /// The collectives that it has called.
    pub called: Vec<Called>,
}

/// So many communicators are told of at most.
pub const COMMUNICATORS: usize = 64;
/// A list of ranks is said if it has at most so many bytes.
const MEMBERS: usize = 512;
/// Of names and places, so many bytes at most.
const NAME: usize = 64;
const SITE: usize = 512;

impl Told {
    /// As text.
    pub fn to_text(&self) -> String {
        let Self { what, story, members, near, turn } = self;
        let peer = story.peer.map_or(-1, u32::cast_signed);
        let (call, about) = (what.call, what.about as u8);
        let What { operation, tag, context, bytes, .. } = what;
        let mut text = format!("w {call} {operation} {about} {} {tag} {context} {bytes} {peer}\n", what.peer);
        line(&mut text, 'c', &story.comm, NAME);
        line(&mut text, 's', &story.site, SITE);
        let members = ranges::ranges(members);
        if members.len() <= MEMBERS {
            line(&mut text, 'm', &members, MEMBERS);
        }
        if let Some((differs, message)) = near {
            line(&mut text, 'n', &format!("{} {}", *differs as u8, message.words()), NAME + 64);
        }
        if let Some(turn) = turn {
            let awaited = ranges::ranges(&turn.awaited);
            let awaited = if awaited.len() <= MEMBERS { awaited } else { String::new() };
            line(&mut text, 'o', &format!("{} {} {awaited}", turn.kind, turn.number), MEMBERS + 32);
        }
        text
    }
}

/// What a thread that polls tells.
pub fn polls_text(site: &str) -> String {
    let mut text = String::new();
    line(&mut text, 'p', site, SITE);
    text
}

/// What is told of messages that nobody has received.
pub fn unreceived_text(count: usize, first: &Message) -> String {
    let mut text = String::new();
    line(&mut text, 'u', &format!("{count} {}", first.words()), NAME + 64);
    text
}

/// What is told of the collectives that were called.
pub fn called_text(called: &[Called]) -> String {
    let mut text = String::new();
    for Called { context, first, counts } in called.iter().take(COMMUNICATORS) {
        line(&mut text, 'k', &format!("{context} {first} {} {}", counts[0], counts[1]), NAME);
    }
    text
}

fn line(text: &mut String, kind: char, content: &str, room: usize) {
    let end = (0..=room.min(content.len())).rev().find(|at| content.is_char_boundary(*at)).unwrap_or(0);
    let content = content[..end].replace(['\n', '\r', '\0'], " ");
    // Writing to a string does not fail.
    let _ = writeln!(text, "{kind} {content}");
}

impl Message {
    fn words(&self) -> String {
        format!("{} {} {} {} {}", self.from, self.source, self.tag, self.bytes, self.comm)
    }

    fn parse(words: &str) -> Option<Self> {
        let mut words = words.splitn(5, ' ');
        Some(Self {
            from: number(words.next())?,
            source: number(words.next())?,
            tag: number(words.next())?,
            bytes: number(words.next())?,
            comm: words.next().unwrap_or_default().to_owned(),
        })
    }
}

fn number<T: FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}

impl Answer {
    /// Understands what a rank has told. What it can not understand it leaves out.
    pub fn parse(text: &str) -> Self {
        let mut answer = Self::default();
        for (kind, content) in text.lines().filter_map(|line| line.split_once(' ')) {
            match kind {
                "w" => answer.waits.extend(wait(content)),
                "p" => answer.polls.push(content.to_owned()),
                "u" => answer.unreceived = unreceived(content).or(answer.unreceived),
                "k" => answer.called.extend(called(content)),
                _ => {
                    let Some(told) = answer.waits.last_mut() else { continue };
                    match kind {
                        "c" => content.clone_into(&mut told.story.comm),
                        "s" => content.clone_into(&mut told.story.site),
                        "m" => told.members = ranges::parse(content),
                        "n" => told.near = near(content),
                        "o" => told.turn = turn(content),
                        _ => {}
                    }
                }
            }
        }
        answer
    }
}

fn wait(content: &str) -> Option<Told> {
    let mut words = content.split(' ');
    let what = What {
        call: number(words.next())?,
        operation: number(words.next())?,
        about: About::from_raw(number(words.next())?),
        peer: number(words.next())?,
        tag: number(words.next())?,
        context: number(words.next())?,
        bytes: number(words.next())?,
        progress: 0,
    };
    let peer = u32::try_from(number::<i32>(words.next())?).ok();
    Some(Told { what, story: Story { peer, ..Story::default() }, members: Vec::new(), near: None, turn: None })
}

fn turn(content: &str) -> Option<Turn> {
    let mut words = content.split(' ');
    let (kind, number) = (number(words.next()).filter(|kind| *kind < 2)?, number(words.next())?);
    Some(Turn { kind, number, awaited: ranges::parse(words.next().unwrap_or_default()) })
}

fn called(content: &str) -> Option<Called> {
    let mut words = content.split(' ');
    let mut next = || number(words.next());
    Some(Called { context: next()?, first: next()?, counts: [next()?, next()?] })
}

fn near(content: &str) -> Option<(Differs, Message)> {
    let (differs, message) = content.split_once(' ')?;
    let all = [Differs::Tag, Differs::Comm, Differs::Source, Differs::More];
    Some((*all.get(differs.parse::<usize>().ok()?)?, Message::parse(message)?))
}

fn unreceived(content: &str) -> Option<(usize, Message)> {
    let (count, message) = content.split_once(' ')?;
    Some((count.parse().ok()?, Message::parse(message)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood() {
        let what = What {
            call: 5,
            operation: 130,
            about: About::Receive,
            peer: -1,
            tag: -2,
            context: 4,
            bytes: 8,
            progress: 0,
        };
        let story = Story { site: "dir with space/x.py:12".into(), comm: "a name".into(), peer: None };
        let message = Message { from: 7, source: 3, tag: 8, bytes: 800, comm: "grid of rows".into() };
        let near = Some((Differs::Comm, message.clone()));
        let turn = Some(Turn { kind: 1, number: 70, awaited: vec![0, 2] });
        let first = Told { what, story, members: vec![0, 1, 2, 7], near, turn };
        let story = Story { peer: Some(1), ..Story::default() };
        let what = What { call: 1, about: About::HeldSend, peer: 4, ..what };
        let second = Told { what, story, members: Vec::new(), near: None, turn: None };
        let called =
            [Called { context: 4, first: 1, counts: [2, 71] }, Called { context: 6, first: 0, counts: [0, 1] }];
        let parts =
            [called_text(&called), first.to_text(), "\n\n".into(), second.to_text(), unreceived_text(3, &message)];
        let expected = Answer {
            waits: vec![first, second],
            polls: Vec::new(),
            unreceived: Some((3, message)),
            called: called.to_vec(),
        };
        let text = parts.concat();
        assert_eq!(Answer::parse(&text), expected);
        assert_eq!(Answer::parse(&polls_text("x.py:3")).polls, ["x.py:3"]);
        assert_eq!(Answer::parse("w 1 2\nq\nw x\nc name\n"), Answer::default());
    }

    #[test]
    fn names_of_many_lines_and_many_ranks_do_no_harm() {
        let what =
            What { call: 5, operation: 0, about: About::Other, peer: -2, tag: 0, context: 4, bytes: 0, progress: 0 };
        let story = Story { comm: format!("a\nw 1{}", "ü".repeat(99)), ..Story::default() };
        let told = Told { what, story, members: (0..4000).step_by(2).collect(), near: None, turn: None };
        let answer = Answer::parse(&told.to_text());
        assert_eq!(answer.waits.len(), 1);
        assert!(answer.waits[0].members.is_empty() && answer.waits[0].story.comm.starts_with("a w 1ü"));
    }
}
