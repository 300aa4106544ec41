//! Writes JSON straight into one buffer: no tree, no second copy. Pure.
//!
//! **Invariant:** what comes out is JSON in printable UTF-8. Control characters, and characters that
//! change how text is shown (bidirectional, invisible, line separators), are always escaped, so that a
//! line can be printed on a terminal.

use std::fmt::Write as _;
use std::io::Write as _;

use jiff::fmt::temporal::DateTimePrinter;

use crate::domain::{UnixMillis, UnixSeconds, is_hidden};

/// One JSON object that is being written; its opening brace stands already.
#[derive(Debug)]
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Closes the object.
    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// A member that is text of any kind.
    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.key(name);
        push_string(self.out, value);
    }

    /// A member that is text without anything to escape: a number, an identifier, a moment.
    pub(super) fn plain(&mut self, name: &'static str, value: &[u8]) {
        debug_assert!(value.iter().copied().all(stands), "plain means plain");
        self.key(name);
        self.out.push(b'"');
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    /// A member that is text without anything to escape, as its value shows itself.
    pub(super) fn shown(&mut self, name: &'static str, value: impl std::fmt::Display) {
        self.key(name);
        self.out.push(b'"');
        // Writing to a Vec can't fail.
        let _written = write!(self.out, "{value}");
        self.out.push(b'"');
    }

    /// A member that is a moment, to the second, in RFC 3339.
    pub(super) fn seconds(&mut self, name: &'static str, at: UnixSeconds) {
        self.key(name);
        self.out.push(b'"');
        push_seconds(self.out, at);
        self.out.push(b'"');
    }

    /// A member that is a moment, to the millisecond, in RFC 3339.
    pub(super) fn millis(&mut self, name: &'static str, at: UnixMillis) {
        self.key(name);
        self.out.push(b'"');
        push_millis(self.out, at);
        self.out.push(b'"');
    }

    /// A text member, where there is one.
    pub(super) fn optional(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A member that is a whole number.
    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        self.key(name);
        let mut buffer = itoa::Buffer::new();
        self.out.extend_from_slice(buffer.format(value).as_bytes());
    }

    /// A member that is true or false.
    pub(super) fn truth(&mut self, name: &'static str, value: bool) {
        self.key(name);
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.out.extend_from_slice(word);
    }

    /// A member that is an object.
    pub(super) fn object(&mut self, name: &'static str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(name);
        let mut inner = Object::open(self.out);
        fill(&mut inner);
        inner.close();
    }

    /// A member that is a list of objects.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(&mut Object<'_>, T),
    ) {
        self.key(name);
        self.out.push(b'[');
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            let mut inner = Object::open(self.out);
            fill(&mut inner, item);
            inner.close();
        }
        self.out.push(b']');
    }

    fn key(&mut self, name: &'static str) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Appends a moment in RFC 3339, to the second, without an allocation.
fn push_seconds(out: &mut Vec<u8>, at: UnixSeconds) {
    let moment = i64::try_from(at.get()).ok();
    let moment = moment.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    if push_moment(out, moment, 0).is_none() {
        out.extend_from_slice(at.to_rfc3339().as_bytes());
    }
}

/// Appends a moment in RFC 3339, with three digits of fraction, without an allocation.
pub(super) fn push_millis(out: &mut Vec<u8>, at: UnixMillis) {
    let moment = i64::try_from(at.get()).ok();
    let moment = moment.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    if push_moment(out, moment, 3).is_none() {
        out.extend_from_slice(at.to_rfc3339().as_bytes());
    }
}

/// Nothing for a moment beyond the year 9999, where RFC 3339 ends.
fn push_moment(out: &mut Vec<u8>, moment: Option<jiff::Timestamp>, digits: u8) -> Option<()> {
    let moment = moment?;
    DateTimePrinter::new()
        .precision(Some(digits))
        .print_timestamp(&moment, out)
        .ok()
}

/// Appends `text` as a JSON string (RFC 8259 section 7), with its quotes.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as it stands between the quotes of a JSON string.
pub(super) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(stands) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for character in text.chars() {
        push_character(out, character);
    }
}

/// Whether a byte is an ASCII character that needs no escape.
const fn stands(byte: u8) -> bool {
    matches!(byte, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}

fn push_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        hidden if is_hidden(hidden) => {
            let mut units = [0; 2];
            let mut escape = String::with_capacity(12);
            for unit in hidden.encode_utf16(&mut units) {
                // Writing to a String can't fail.
                let _written = write!(escape, "\\u{unit:04x}");
            }
            out.extend_from_slice(escape.as_bytes());
        }
        shown => {
            let mut bytes = [0; 4];
            out.extend_from_slice(shown.encode_utf8(&mut bytes).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_strings_stay_one_printable_line() {
        let long = "\u{202e}\u{1b}[2J\r\n\0\"\\".repeat(100_000);
        for text in [
            "\r\n",
            "\u{1b}[31m",
            "\u{202e}gpj",
            "\0",
            "\u{7f}\u{85}\u{2028}",
            &long,
        ] {
            let json = escaped(text);
            assert!(!json.chars().any(is_hidden), "{json:?}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
        assert_eq!(escaped("a\u{e0041}"), "\"a\\udb40\\udc41\"");
    }

    #[test]
    fn members_are_separated() {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object.text("a", "x\"");
        object.number("b", u64::MAX);
        object.truth("c", true);
        object.object("d", |inner| inner.plain("e", b"f"));
        object.list("g", [1, 2], |inner, item| inner.number("h", item));
        object.optional("i", None);
        object.close();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"a":"x\"","b":18446744073709551615,"c":true,"d":{"e":"f"},"g":[{"h":1},{"h":2}]}"#
        );
    }

    proptest! {
        #[test]
        fn serde_json_reads_what_was_written(text in any::<String>()) {
            let json = escaped(&text);
            prop_assert!(!json.chars().any(is_hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn plain_text_is_written_as_serde_json_writes_it(text in "[ -~äöü€\n\r\t]{0,200}") {
            prop_assert_eq!(escaped(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
