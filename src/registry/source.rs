//! One registry file as it was read, and places in it. Pure.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::mask;
use crate::domain::Digest;

/// Most characters of a line that a diagnostic shows: two lines of a wide terminal.
const MAX_EXCERPT: usize = 160;

/// Characters shown before the mark of a line that is longer than [`MAX_EXCERPT`].
const EXCERPT_LEAD: usize = 60;

/// Most bytes of a file's path below the registry's root, as it is shown: Linux' own limit (`PATH_MAX`).
/// One behind links, or with names that are no UTF-8, can be longer.
pub const MAX_PATH: usize = 4096;

/// A registry file: where it stands, and what it says.
#[derive(Debug)]
pub struct Source {
    path: Arc<str>,
    text: Box<str>,
    digest: Digest,
    not_utf8_at: Option<usize>,
    /// Found at the first diagnostic: most files never need it.
    sensitive: OnceLock<Vec<Range<usize>>>,
}

/// A place in a registry file, ready to be shown: secrets in its line are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The path below the registry's root, `/` between its parts.
    pub file: String,
    /// Where in the file; `None` when the file as a whole is meant.
    #[serde(flatten)]
    pub spot: Option<Spot>,
}

/// A spot in a text file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line, or the part of a long one around the mark, with secrets masked.
    pub text: String,
    /// The bytes of `text` that are meant.
    #[serde(skip)]
    pub mark: Range<usize>,
}

impl Source {
    /// A file with these bytes. `path` is relative to the registry's root.
    #[must_use]
    pub fn new(path: &str, bytes: Vec<u8>) -> Self {
        Self::at(Arc::from(path), bytes)
    }

    /// The same, with a path that is shared.
    #[must_use]
    pub(super) fn at(path: Arc<str>, bytes: Vec<u8>) -> Self {
        let digest = Digest::of(&bytes);
        let (text, not_utf8_at) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                (
                    String::from_utf8_lossy(error.as_bytes()).into_owned(),
                    Some(at),
                )
            }
        };
        Self {
            path,
            sensitive: OnceLock::new(),
            text: text.into_boxed_str(),
            digest,
            not_utf8_at,
        }
    }

    /// The path below the registry's root.
    #[must_use]
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The content; bytes that are no UTF-8 read as U+FFFD.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Where the first byte stands that is no UTF-8, as an offset into the file. The text is valid
    /// up to there, so that it is an offset into the text as well.
    #[must_use]
    pub const fn not_utf8_at(&self) -> Option<usize> {
        self.not_utf8_at
    }

    /// The digest of a file with these bytes.
    #[must_use]
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Digest::of(bytes)
    }

    /// Whether another file has the same content.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// The place of these bytes of the text. What lies outside of it is moved to its end.
    #[must_use]
    pub fn place(&self, span: Range<usize>) -> Place {
        let text = &*self.text;
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = text.get(start..).unwrap_or_default();
        let line_end = start + rest.find('\n').unwrap_or(rest.len());
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let (text, mark) =
            self.excerpt(line_start..line_end, start..span.end.clamp(start, line_end));
        Place {
            file: mask::scrub(&self.path),
            spot: Some(Spot {
                line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
                column: column + 1,
                text,
                mark,
            }),
        }
    }

    /// The part of a line that is shown, and where the mark lies in it.
    fn excerpt(&self, line: Range<usize>, mark: Range<usize>) -> (String, Range<usize>) {
        let whole = self.text.get(line.clone()).unwrap_or_default();
        let from = if whole.chars().count() <= MAX_EXCERPT {
            line.start
        } else {
            let lead = self.text.get(line.start..mark.start).unwrap_or_default();
            let back = lead.char_indices().rev().nth(EXCERPT_LEAD);
            back.map_or(line.start, |(at, _)| line.start + at)
        };
        let mut shown = String::new();
        let mut marked = 0..0;
        let mut hidden_until = 0;
        if from > line.start {
            shown.push('…');
        }
        let part = self.text.get(from..line.end).unwrap_or_default();
        for (count, (at, character)) in part.char_indices().enumerate() {
            let at = from + at;
            if count == MAX_EXCERPT {
                shown.push('…');
                break;
            }
            if at <= mark.start && at >= hidden_until {
                marked.start = shown.len();
            }
            if at >= hidden_until {
                match self.hidden(at) {
                    Some(range) => {
                        shown.push_str(mask::MASK);
                        hidden_until = range.end;
                    }
                    None if character == '\r' => {}
                    None => shown.push(mask::shown(character)),
                }
            }
            if at < mark.end {
                marked.end = shown.len();
            }
        }
        if mark.start >= line.end {
            marked = shown.len()..shown.len();
        }
        marked.end = marked.end.max(marked.start);
        (shown, marked)
    }

    fn hidden(&self, at: usize) -> Option<&Range<usize>> {
        let sensitive = self.sensitive.get_or_init(|| mask::sensitive(&self.text));
        let next = sensitive.partition_point(|range| range.end <= at);
        sensitive.get(next).filter(|range| range.contains(&at))
    }
}

impl Place {
    /// A file as a whole.
    #[must_use]
    pub fn file(path: &str) -> Self {
        Self {
            file: mask::scrub(path),
            spot: None,
        }
    }

    /// What places are sorted by.
    pub(super) fn order(&self) -> (&str, usize, usize) {
        let spot = self.spot.as_ref();
        (
            &self.file,
            spot.map_or(0, |spot| spot.line),
            spot.map_or(0, |spot| spot.column),
        )
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn spot(text: &str, span: Range<usize>) -> Spot {
        let source = Source::new("a.toml", text.as_bytes().to_vec());
        source.place(span).spot.unwrap()
    }

    #[test]
    fn columns_are_characters_from_one() {
        let found = spot("a = 1\né = 22\n", 11..13);
        assert_eq!((found.line, found.column), (2, 5));
        assert_eq!(&found.text[found.mark], "22");
    }

    #[test]
    fn the_end_of_a_file_is_a_place() {
        let found = spot("a =", 3..3);
        assert_eq!((found.line, found.column, found.mark), (1, 4, 3..3));
        let found = spot("a\n", 9..12);
        assert_eq!((found.line, found.column), (2, 1));
    }

    #[test]
    fn secrets_are_masked_and_the_mark_moves_with_them() {
        let found = spot("x = { password = \"hunter2\" } # end", 17..26);
        assert_eq!(found.text, "x = { password = ******** } # end");
        assert_eq!(&found.text[found.mark], "********");
    }

    #[test]
    fn a_mark_within_a_mask_is_the_whole_mask() {
        let found = spot("password = \"hunter2\" # x", 14..16);
        assert_eq!((found.column, &found.text[found.mark]), (15, "********"));
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let text = format!("a = \"{}\" b", "x".repeat(5000));
        let found = spot(&text, 5007..5008);
        assert!(found.text.chars().count() < 170);
        assert_eq!((found.column, &found.text[found.mark]), (5008, "b"));
    }
}
