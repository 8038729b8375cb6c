//! The last calls of a rank, in a file that it shares with the one who watches: they are still there after
//! the rank has crashed.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;

const LINES: usize = 60;
const WIDTH: usize = 600;

/// Lines of text, written round and round; each begins with the number of its call.
pub(crate) struct History {
    start: *mut u8,
    next: usize,
}

impl History {
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.write_all(&vec![0; LINES * WIDTH])?;
        // SAFETY: a new mapping of the file, as long as the file.
        let start = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), LINES * WIDTH, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), next: 0 })
    }

    /// Adds a line; what [`finish`](Self::finish) needs to complete it.
    pub(crate) fn begin(&mut self, text: &str) -> usize {
        let line = self.next;
        self.next += 1;
        self.write(line, 0, &format!("{line:9} {text}"));
        line
    }

    /// Writes how the call ended behind what `begin` wrote.
    pub(crate) fn finish(&mut self, line: usize, text: &str) {
        let used = self.used(line);
        self.write(line, used, text);
    }

    fn used(&self, line: usize) -> usize {
        // SAFETY: line `line % LINES` of the mapping.
        let bytes = unsafe { std::slice::from_raw_parts(self.start.add(line % LINES * WIDTH), WIDTH) };
        bytes.iter().position(|b| *b == 0).unwrap_or(WIDTH)
    }

    fn write(&mut self, line: usize, from: usize, text: &str) {
        // The end of each line stays free for the result.
        let most = if from == 0 { WIDTH - 60 } else { WIDTH };
        let text = &text.as_bytes()[..text.len().min(most.saturating_sub(from))];
        // SAFETY: inside line `line % LINES` of the mapping; `text` is no part of it.
        unsafe {
            let start = self.start.add(line % LINES * WIDTH + from);
            start.write_bytes(0, WIDTH - from);
            std::ptr::copy_nonoverlapping(text.as_ptr(), start, text.len());
        }
    }
}

/// The lines of a file, oldest first.
pub(crate) fn read(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut lines: Vec<String> = bytes
        .chunks(WIDTH)
        .map(|line| String::from_utf8_lossy(line).trim_end_matches('\0').to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort_by_key(|line| line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()));
    lines
}
