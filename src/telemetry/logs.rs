//! Logs on stderr, as text or JSON. Touches: process, by stderr.
//!
//! **Invariant:** an event is one line, of [`MAX_LINE`] bytes at most, without a character that would
//! forge another line, steer a terminal or hide (checklist 73). What is logged holds no secret: that is
//! for each stage to see to.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::TryInitError;

use crate::domain::visible;
use crate::settings::LogSettings;

/// Longest line in bytes: half of what journald takes as one (`LineMax=48K`), so that a line that is
/// spelled out stays one.
const MAX_LINE: usize = 24 * 1024;

/// The end of a line of text that was cut.
const CUT: &str = " (cut)";

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Text for a file or a journal.
    Text,
    /// Text for a terminal, with the formatter's own colours.
    Colour,
    /// A JSON object.
    Json,
}

/// Why logs can't be written as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is none.
    #[error(
        "the log filter {filter:?} is none: write a level such as \"info\", or \"grantd=debug,info\""
    )]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logs were started before.
    #[error("logs were started before")]
    Twice(#[source] TryInitError),
}

/// Starts writing logs, for the life of the process.
///
/// # Errors
/// [`LogError`]
pub fn start(settings: &LogSettings) -> Result<(), LogError> {
    use tracing_subscriber::util::SubscriberInitExt as _;
    let filter = EnvFilter::try_new(&settings.filter).map_err(|source| LogError::Filter {
        filter: settings.filter.clone(),
        source,
    })?;
    let form = match (settings.json, io::stderr().is_terminal()) {
        (true, _) => Form::Json,
        (false, true) => Form::Colour,
        (false, false) => Form::Text,
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines(form))
        .with_ansi(form == Form::Colour);
    let started = if settings.json {
        logs.json().flatten_event(true).finish().try_init()
    } else {
        logs.with_target(false).finish().try_init()
    };
    started.map_err(LogError::Twice)
}

/// Makes a [`Line`] for each event.
#[derive(Clone, Copy, Debug)]
struct Lines(Form);

/// One event on its way to stderr: whole, or not at all.
struct Line {
    form: Form,
    bytes: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            form: self.0,
            bytes: Vec::new(),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let line = one_line(&String::from_utf8_lossy(&self.bytes), self.form);
        // Nobody is left to tell when stderr is gone.
        let _gone = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// The event as one line, cut where it is longer than [`MAX_LINE`].
fn one_line(event: &str, form: Form) -> String {
    let event = event.strip_suffix('\n').unwrap_or(event);
    let begins = event
        .get(..event.floor_char_boundary(MAX_LINE))
        .unwrap_or_default();
    let cut = begins.len() < event.len();
    let mut line = match form {
        Form::Json if cut => cut_object(begins, event.len()),
        Form::Json => in_json(event),
        Form::Text => visible(begins).into_owned(),
        // Colours are the formatter's own, which spells out escapes in values itself.
        Form::Colour => {
            let parts: Vec<_> = begins.split('\u{1b}').map(visible).collect();
            parts.join("\u{1b}")
        }
    };
    if cut && form != Form::Json {
        line.push_str(CUT);
    }
    line.push('\n');
    line
}

/// A JSON text with what is hidden as JSON spells it (RFC 8259 section 7). It stands within strings
/// only, for the formatter writes no white space but spaces.
fn in_json(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        let mut buffer = [0; 4];
        let spelled = visible(char.encode_utf8(&mut buffer)).len() > char.len_utf8();
        if !spelled {
            line.push(char);
            continue;
        }
        for unit in char.encode_utf16(&mut [0; 2]) {
            // Writing to a String does not fail.
            let _infallible = write!(line, "\\u{unit:04x}");
        }
    }
    line
}

/// What stands instead of an object that is too long: half of one can't be read.
fn cut_object(begins: &str, bytes: usize) -> String {
    let object = json!({
        "level": "WARN",
        "message": "a line of the log was too long",
        "bytes": bytes,
        "begins": begins,
    });
    in_json(&object.to_string())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_event_is_one_bounded_line_without_anything_hidden() {
        let forged = "refused: x\n2026-01-01 INFO ready\u{202e}\u{1b}[2J\r\n";
        assert_eq!(
            one_line(forged, Form::Text),
            "refused: x\\n2026-01-01 INFO ready\\u{202e}\\u{1b}[2J\\r\n"
        );
        assert_eq!(
            one_line("\u{1b}[31mE\n\n", Form::Colour),
            "\u{1b}[31mE\\n\n"
        );
        let long = one_line(&"é".repeat(1 << 20), Form::Text);
        assert!(long.len() <= MAX_LINE + CUT.len() + 1 && long.ends_with("é (cut)\n"));
    }

    #[test]
    fn json_stays_json_whatever_is_in_it() {
        let hostile = "a\u{202e}b\u{e0001}\u{1b}\n\"";
        for text in [hostile.to_owned(), hostile.repeat(1 << 16)] {
            let event = json!({ "message": text }).to_string() + "\n";
            let line = one_line(&event, Form::Json);
            assert!(line.len() < 8 * MAX_LINE && !line.trim_end().contains(char::is_control));
            assert!(!line.contains('\u{202e}'), "{line}");
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            let whole = read.get("message").unwrap() == &text;
            assert!(whole || read.get("bytes").unwrap().is_u64(), "{line}");
        }
    }
}
