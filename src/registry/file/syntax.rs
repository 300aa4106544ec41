//! Errors of TOML's syntax as problems for people. Pure.

use std::ops::Range;

use crate::registry::diagnostic::{Collector, Rule};

/// Notes each error that the parser found, in the order of the text.
pub(super) fn report(errors: &[toml::de::Error], problems: &mut Collector<'_>) {
    let mut sorted: Vec<(Range<usize>, &str)> = errors
        .iter()
        .map(|error| (error.span().unwrap_or(0..0), error.message()))
        .collect();
    sorted.sort_by_key(|(span, _)| (span.start, span.end));
    sorted.dedup();
    let text = problems.source().text();
    for (span, message) in sorted {
        // Once full it only counts: looking for the first place of each would take the square of the file.
        if message == "duplicate key" && !problems.is_full() {
            duplicate(text, span, problems);
        } else {
            let missing = span.is_empty() && message.starts_with("string values");
            let message = if missing {
                "a value is missing"
            } else {
                message
            };
            let message = format!("this is not TOML: {message}");
            problems.error_of(Rule::Syntax, span, &message, "");
        }
    }
}

fn duplicate(text: &str, span: Range<usize>, problems: &mut Collector<'_>) {
    let line = line_around(text, span.start);
    let what = text.get(line.clone()).unwrap_or_default().trim();
    let name = text.get(span.clone()).unwrap_or_default();
    let message = if what.starts_with('[') {
        let path = what.split(']').next().unwrap_or_default();
        format!("`{}` is defined twice", path.trim_matches(['[', ' ']))
    } else {
        format!("the key `{name}` is there twice")
    };
    let first = first_place(text, &line);
    let also = first.map(|first| (first, "first defined here"));
    problems.duplicate(span, &message, "keep one of the two", also);
}

/// The earlier line with the same header or, for a key, with the same key in the same table.
fn first_place(text: &str, line: &Range<usize>) -> Option<Range<usize>> {
    let key_of = |line: &str| -> String {
        let code = line.trim();
        let key = if code.starts_with('[') {
            code.split(']').next().unwrap_or_default()
        } else {
            code.split('=').next().unwrap_or_default()
        };
        key.replace([' ', '\t', '"', '\''], "")
    };
    let wanted = key_of(text.get(line.clone())?);
    let mut end = line.start.checked_sub(1)?;
    loop {
        let earlier = line_around(text, end);
        let content = text.get(earlier.clone())?;
        if key_of(content) == wanted {
            let start = earlier.start + (content.len() - content.trim_start().len());
            return Some(start..start + content.trim_end().len().min(content.trim().len()));
        }
        // A key's table begins at the nearest header: above it stands another table.
        if content.trim_start().starts_with('[') && !wanted.starts_with('[') {
            return None;
        }
        end = earlier.start.checked_sub(1)?;
    }
}

fn line_around(text: &str, at: usize) -> Range<usize> {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = text.get(at..).unwrap_or_default();
    start..at + rest.find('\n').unwrap_or(rest.len())
}
