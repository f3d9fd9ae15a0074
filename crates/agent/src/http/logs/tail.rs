//! Reading one output file of a task piece by piece, over its rotations.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mezz_agent_core::LaunchId;
use mezz_http::files::{Location, open_in};
use mezz_http::task_output::{Content, Piece};

use crate::log_rotation::{LogRotation, Turned, Watched, passed};

/// The longest piece of output in one record.
const PIECE_BYTES: usize = 48 << 10;

/// What to do with a character whose end is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Wait for its end.
    Whole,
    /// Nothing more will come.
    All,
}

/// Which output of which launch, and from where on.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) name: &'static str,
    pub(super) launch_id: LaunchId,
    /// The number of last lines, if only they are wanted.
    pub(super) last: Option<usize>,
    /// Counted from the first byte that was ever written.
    pub(super) offset: Option<u64>,
}

/// One output file being read. Positions go on over a rotation.
#[derive(Debug)]
pub(super) struct Tail {
    output: Output,
    sandbox: PathBuf,
    rotation: LogRotation,
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    file: File,
    watched: Option<Arc<Watched>>,
    /// As the file said when it was opened; of a watched one its holder knows better.
    passed: u64,
    offset: u64,
}

impl Tail {
    pub(super) fn new(output: Output, sandbox: &Path, rotation: &LogRotation) -> Self {
        Self {
            output,
            sandbox: sandbox.to_owned(),
            rotation: rotation.clone(),
            reading: None,
        }
    }

    /// The next piece, if there is one.
    pub(super) fn next(&mut self, rest: Rest) -> Option<Piece> {
        if self.reading.is_none() {
            self.reading = Some(self.open()?);
        }
        let reading = self.reading.as_mut()?;
        let (offset, piece) = reading.piece(&self.sandbox, self.output.name)?;
        let content = content(&piece, rest)?;
        reading.offset = offset + content.len() as u64;
        Some(Piece {
            stream: self.output.name,
            offset,
            content,
        })
    }

    fn open(&self) -> Option<Reading> {
        let file = open(&self.sandbox, self.output.name)?;
        let watched = self.rotation.find(self.output.launch_id, self.output.name);
        let held = watched.as_ref().map(|watched| watched.hold());
        let passed = held
            .as_ref()
            .map_or_else(|| passed(&file), |turned| turned.passed);
        let offset = match (self.output.last, self.output.offset) {
            (Some(lines), _) => passed.saturating_add(last_lines(&file, lines).unwrap_or(0)),
            (None, offset) => offset.unwrap_or(passed),
        };
        drop(held);
        Some(Reading {
            file,
            watched,
            passed,
            offset,
        })
    }
}

impl Reading {
    /// The next bytes and their position. Nothing is rotated meanwhile.
    fn piece(&mut self, sandbox: &Path, name: &str) -> Option<(u64, Vec<u8>)> {
        let held = self.watched.as_ref().map(|watched| watched.hold());
        let turned = held.as_deref().copied().unwrap_or(Turned {
            passed: self.passed,
            previous: None,
        });
        let mut piece = vec![0; PIECE_BYTES];
        if self.offset < turned.passed {
            // Slower than the rotation: what is still beside the file is read there.
            let (begin, end) = turned.previous.unwrap_or((turned.passed, turned.passed));
            self.offset = self.offset.max(begin);
            let count = open(sandbox, &format!("{name}.1"))
                .and_then(|file| file.read_at(&mut piece, self.offset - begin).ok())
                .unwrap_or(0);
            if self.offset < end && count > 0 {
                piece.truncate(count);
                return Some((self.offset, piece));
            }
            self.offset = turned.passed;
        }
        let count = self
            .file
            .read_at(&mut piece, self.offset - turned.passed)
            .ok()?;
        piece.truncate(count);
        if count == 0 {
            // Truncated by the task itself: what is new begins at the front.
            let length = self.file.metadata().ok()?.len();
            if length < self.offset - turned.passed {
                self.offset = turned.passed;
            }
            return None;
        }
        Some((self.offset, piece))
    }
}

/// A task may have put a link in the file's place: it is resolved inside the sandbox.
fn open(sandbox: &Path, name: &str) -> Option<File> {
    let location = Location {
        root: sandbox.to_owned(),
        relative: PathBuf::from(name),
    };
    open_in(&location).ok()
}

/// What is taken of the bytes that are there; `None` to wait for the end of a character.
fn content(piece: &[u8], rest: Rest) -> Option<Content> {
    let text = match std::str::from_utf8(piece) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&piece[..error.valid_up_to()]).ok()
        }
        Err(error) if error.error_len().is_none() && rest == Rest::Whole => return None,
        Err(_) => None,
    };
    Some(text.map_or_else(
        || Content::Bytes(piece.to_vec()),
        |text| Content::Text(text.to_owned()),
    ))
}

/// Where the last `lines` lines begin.
fn last_lines(file: &File, lines: usize) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut left = lines;
    let mut block = vec![0; 64 << 10];
    while end > 0 {
        let begin = end.saturating_sub(block.len() as u64);
        let piece = &mut block[..usize::try_from(end - begin).unwrap_or(0)];
        file.read_exact_at(piece, begin)?;
        for (index, byte) in piece.iter().enumerate().rev() {
            let at = begin + index as u64;
            // The newline that ends the last line begins no line.
            if *byte == b'\n' && at + 1 < length {
                left = left.saturating_sub(1);
                if left == 0 {
                    return Ok(at + 1);
                }
            }
        }
        end = begin;
    }
    Ok(if lines == 0 { length } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_character_cut_in_two_is_waited_for_and_other_bytes_are_no_text() {
        let text = "né".as_bytes();
        let of = |piece: &[u8], rest| content(piece, rest);
        assert_eq!(
            of(&text[..2], Rest::Whole),
            Some(Content::Text("n".to_owned()))
        );
        assert_eq!(of(&text[1..2], Rest::Whole), None);
        assert_eq!(
            of(&text[1..2], Rest::All),
            Some(Content::Bytes(vec![text[1]]))
        );
        assert_eq!(
            of(b"\xff\xfe", Rest::Whole),
            Some(Content::Bytes(b"\xff\xfe".to_vec()))
        );
    }

    #[test]
    fn the_last_lines_are_found_with_and_without_a_final_newline() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        assert_eq!(last_lines(&file, 2).unwrap(), 4);
        assert_eq!(last_lines(&file, 9).unwrap(), 0);
        file.write_all(b"four").unwrap();
        assert_eq!(last_lines(&file, 2).unwrap(), 8);
    }
}
