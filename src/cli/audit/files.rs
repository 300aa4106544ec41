//! The segments of a stopped daemon, read as they are. Touches: fs.
//!
//! Nothing is repaired here, and nothing is trusted: `verify` judges the bytes. What stands behind
//! the last line feed of the last segment is an unfinished write that was never acknowledged.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::source::Start;
use crate::audit::chain::MAX_LINE;

/// Digits of a segment's name: its first sequence.
const NAME_DIGITS: usize = 20;

/// How often the files are looked at for more, when following.
const POLL: Duration = Duration::from_millis(500);

/// A segment can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub(super) struct SegmentFault {
    path: PathBuf,
    source: io::Error,
}

/// Lines from segment files.
pub(super) struct FileLines {
    folder: PathBuf,
    segments: VecDeque<(u64, PathBuf)>,
    current: Option<(PathBuf, BufReader<File>)>,
    last_segment: u64,
    ready: VecDeque<Bytes>,
    torn: usize,
}

impl FileLines {
    /// The lines of the journal in this folder.
    pub(super) fn open(folder: &Path, start: Start) -> Result<Self, SegmentFault> {
        let mut segments = list(folder)?;
        if let Start::Last(count) = start {
            keep_last(&mut segments, count);
        }
        let mut lines = Self {
            folder: folder.to_owned(),
            segments,
            current: None,
            last_segment: 0,
            ready: VecDeque::new(),
            torn: 0,
        };
        if let Start::Last(count) = start {
            lines.keep_last(count)?;
        }
        Ok(lines)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What stands behind the last whole line.
    pub(super) fn note(&self) -> Option<String> {
        (self.torn > 0).then(|| {
            format!(
                "{} bytes of an unfinished write stand behind the last event; the next start moves them aside",
                self.torn
            )
        })
    }

    /// The next line, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, SegmentFault> {
        if let Some(line) = self.ready.pop_front() {
            return Ok(Some(line));
        }
        self.read()
    }

    /// The next line, also of segments that are new; `None` after a short wait without one.
    pub(super) fn wait(&mut self) -> Result<Option<Bytes>, SegmentFault> {
        if let Some(line) = self.next()? {
            return Ok(Some(line));
        }
        let newer = list(&self.folder)?;
        let last = self.last_segment;
        self.segments = newer
            .into_iter()
            .filter(|(first, _)| *first > last)
            .collect();
        if self.segments.is_empty() {
            std::thread::sleep(POLL);
        }
        self.next()
    }

    fn read(&mut self) -> Result<Option<Bytes>, SegmentFault> {
        loop {
            let Some((path, reader)) = self.current.as_mut() else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let got = read_line(reader).map_err(|source| SegmentFault {
                path: path.clone(),
                source,
            })?;
            match got {
                Got::Line(line) => return Ok(Some(line)),
                Got::End if self.segments.is_empty() => return Ok(None),
                Got::Torn(bytes) if self.segments.is_empty() => {
                    self.torn = bytes.len();
                    return Ok(None);
                }
                Got::End => self.current = None,
                // Not at the journal's end: a line that was cut, for `verify` to find.
                Got::Torn(bytes) => {
                    self.current = None;
                    return Ok(Some(bytes));
                }
            }
        }
    }

    fn open_next(&mut self) -> Result<bool, SegmentFault> {
        let Some((first, path)) = self.segments.pop_front() else {
            return Ok(false);
        };
        let file = File::open(&path).map_err(|source| SegmentFault {
            path: path.clone(),
            source,
        })?;
        self.last_segment = first;
        self.current = Some((path, BufReader::new(file)));
        Ok(true)
    }

    /// Reads to the end and keeps the last lines.
    fn keep_last(&mut self, count: u64) -> Result<(), SegmentFault> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut kept = VecDeque::new();
        while let Some(line) = self.read()? {
            kept.push_back(line);
            if kept.len() > count {
                kept.pop_front();
            }
        }
        self.ready = kept;
        Ok(())
    }
}

enum Got {
    /// A line, without its line feed.
    Line(Bytes),
    /// Bytes without a line feed: the reader stands before them again.
    Torn(Bytes),
    /// Nothing more.
    End,
}

fn read_line(reader: &mut BufReader<File>) -> io::Result<Got> {
    let mut line = Vec::new();
    // One more than a line may have, so that too long a one is seen as what it is.
    let limit = u64::try_from(MAX_LINE)
        .unwrap_or(u64::MAX)
        .saturating_add(2);
    let length = reader.take(limit).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Got::Line(Bytes::from(line)));
    }
    if length == 0 {
        return Ok(Got::End);
    }
    if length as u64 == limit {
        return Ok(Got::Line(Bytes::from(line)));
    }
    let back = i64::try_from(length).unwrap_or(i64::MAX);
    reader.seek(SeekFrom::Current(-back))?;
    Ok(Got::Torn(Bytes::from(line)))
}

/// The segments of a folder, by their first sequences.
fn list(folder: &Path) -> Result<VecDeque<(u64, PathBuf)>, SegmentFault> {
    let fault = |source| SegmentFault {
        path: folder.to_owned(),
        source,
    };
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if let Some(first) = first_sequence(&path) {
            segments.push((first, path));
        }
    }
    segments.sort_unstable();
    Ok(segments.into())
}

fn first_sequence(path: &Path) -> Option<u64> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    (digits.len() == NAME_DIGITS).then(|| digits.parse().ok())?
}

/// Drops the segments that can't hold any of the last lines.
fn keep_last(segments: &mut VecDeque<(u64, PathBuf)>, count: u64) {
    let Some(last) = segments.back().map(|(first, _)| *first) else {
        return;
    };
    while let Some((second, _)) = segments.get(1) {
        if last.saturating_sub(*second) < count {
            break;
        }
        segments.pop_front();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn folder(files: &[(u64, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (first, text) in files {
            std::fs::write(folder.path().join(format!("{first:020}.jsonl")), text).unwrap();
        }
        std::fs::write(folder.path().join("next.jsonl"), "").unwrap();
        folder
    }

    fn all(lines: &mut FileLines) -> Vec<String> {
        std::iter::from_fn(|| lines.next().unwrap())
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn segments_are_read_in_order() {
        let folder = folder(&[(3, "c\nd\n"), (1, "a\nb\n"), (5, "e\nf")]);
        let mut lines = FileLines::open(folder.path(), Start::Beginning).unwrap();
        assert_eq!(all(&mut lines), ["a", "b", "c", "d", "e"]);
        assert!(lines.note().unwrap().starts_with("1 bytes"));
    }

    #[test]
    fn a_cut_in_the_middle_is_not_hidden() {
        let folder = folder(&[(1, "a\nb"), (3, "c\n")]);
        let mut lines = FileLines::open(folder.path(), Start::Beginning).unwrap();
        assert_eq!(all(&mut lines), ["a", "b", "c"]);
        assert_eq!(lines.note(), None);
    }

    #[test]
    fn the_last_lines_are_found_across_segments() {
        let folder = folder(&[(1, "a\nb\n"), (3, "c\nd\n"), (5, "e\n")]);
        for (count, expected) in [
            (0, &[][..]),
            (1, &["e"]),
            (2, &["d", "e"]),
            (4, &["b", "c", "d", "e"]),
            (9, &["a", "b", "c", "d", "e"]),
        ] {
            let mut lines = FileLines::open(folder.path(), Start::Last(count)).unwrap();
            assert_eq!(all(&mut lines), expected, "{count}");
        }
    }

    #[test]
    fn what_is_written_later_is_seen_when_following() {
        let folder = folder(&[(1, "a\nb")]);
        let mut lines = FileLines::open(folder.path(), Start::Last(5)).unwrap();
        assert_eq!(all(&mut lines), ["a"]);
        std::fs::write(folder.path().join(format!("{:020}.jsonl", 1)), "a\nb\n").unwrap();
        assert_eq!(lines.wait().unwrap().unwrap().as_ref(), b"b");
        std::fs::write(folder.path().join(format!("{:020}.jsonl", 3)), "c\n").unwrap();
        assert_eq!(lines.wait().unwrap().unwrap().as_ref(), b"c");
    }
}
