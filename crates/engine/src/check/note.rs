//! What goes with a message so that its receiver can compare types and name both sides: a few words and
//! two texts, in front of the message's first bytes.

/// The longest texts that go along.
const TEXT: usize = 256;
const PLACE: usize = 512;
/// Words in front of the texts: length of all, elements, hash, whether packed, length of the first text.
const WORDS: usize = 5;

/// A message as its sender describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Basic values.
    pub elements: u64,
    /// Hash of their sequence.
    pub hash: u64,
    /// MPI_PACKED, which matches everything.
    pub packed: bool,
    /// Count and type, `10 x MPI_DOUBLE`.
    pub text: String,
    /// Where it was sent.
    pub place: String,
}

fn head(text: &str, room: usize) -> &str {
    let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

impl Note {
    /// The longest that one is as bytes.
    pub(crate) const MOST: usize = WORDS * 8 + TEXT + PLACE;

    /// As bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (text, place) = (head(&self.text, TEXT), head(&self.place, PLACE));
        let length = WORDS * 8 + text.len() + place.len();
        let words =
            [length as u64, self.elements, self.hash, u64::from(self.packed), text.len() as u64].map(u64::to_ne_bytes);
        [words.as_flattened(), text.as_bytes(), place.as_bytes()].concat()
    }

    /// From the beginning of `bytes`, with the number of bytes that it took; `None` if they are no note.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let word = |at: usize| Some(u64::from_ne_bytes(bytes.get(at * 8..at * 8 + 8)?.try_into().ok()?));
        let length = usize::try_from(word(0)?).ok().filter(|length| *length <= Self::MOST)?;
        let middle = usize::try_from(word(4)?).ok()?.checked_add(WORDS * 8)?;
        let string = |from, to| Some(String::from_utf8_lossy(bytes.get(from..to)?).into_owned());
        let note = Self {
            elements: word(1)?,
            hash: word(2)?,
            packed: word(3)? != 0,
            text: string(WORDS * 8, middle)?,
            place: string(middle, length)?,
        };
        Some((note, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_as_it_was_sent_with_its_texts_cut() {
        let note =
            Note { elements: 7, hash: u64::MAX, packed: true, text: "7 x MPI_INT".into(), place: "a.py:3".into() };
        let mut bytes = note.encode();
        let length = bytes.len();
        bytes.extend(b"the message");
        assert_eq!(Note::decode(&bytes), Some((note.clone(), length)));
        assert_eq!(Note::decode(&bytes[..length - 1]), None);
        let long = Note { place: "ä".repeat(1000), text: "x".repeat(1000), ..note };
        let (cut, length) = Note::decode(&long.encode()).expect("a note");
        assert_eq!((cut.text.len(), cut.place.len(), length), (TEXT, PLACE, 40 + TEXT + PLACE));
    }

    #[test]
    fn bytes_that_are_no_note_are_refused() {
        assert_eq!(Note::decode(&[]), None);
        assert_eq!(Note::decode(&[0xff; 100]), None);
        let mut bytes = Note { elements: 0, hash: 0, packed: false, text: "t".into(), place: String::new() }.encode();
        bytes[32] = 200;
        assert_eq!(Note::decode(&bytes), None);
    }
}
