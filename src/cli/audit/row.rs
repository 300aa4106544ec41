//! One event as a line for people. Pure.

use serde_json::Value;

use crate::domain::is_hidden;

/// Widths of the columns: a moment with milliseconds, the longest usual type, a usual client.
const TYPE_WIDTH: usize = 26;
const SUBJECT_WIDTH: usize = 20;

/// What of an event's data is shown, in this order, where it is there.
const SHOWN: [&str; 25] = [
    "unknown_client_id",
    "reason",
    "error",
    "cause",
    "resource",
    "asked_resource",
    "scope",
    "asked_scope",
    "auth_method",
    "remote",
    "jti",
    "version",
    "previous_stop",
    "total",
    "problems_total",
    "signs_from",
    "published_until",
    "successor_kid",
    "old_lineage",
    "new_lineage",
    "first_sequence",
    "last_sequence",
    "entry",
    "issued_before",
    "uid",
];

/// `time  type  subject  what else matters`, with the request id last.
pub(super) fn row(line: &[u8]) -> String {
    let Ok(event) = serde_json::from_slice::<Value>(line) else {
        return format!("(not an event) {}", String::from_utf8_lossy(line));
    };
    let text = |name| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = short_type(text("type"));
    let subject = Some(text("subject"))
        .filter(|text| !text.is_empty())
        .unwrap_or("-");
    let mut row = format!(
        "{}  {kind:<TYPE_WIDTH$}  {:<SUBJECT_WIDTH$}",
        text("time"),
        printable(subject),
    );
    let data = event.get("data");
    let member = |name: &str| data.and_then(|data| data.get(name));
    for name in SHOWN {
        // What was asked for is worth a column only where something else was given.
        let given = name.strip_prefix("asked_").and_then(member);
        if given.is_some() && given == member(name) {
            continue;
        }
        push(&mut row, name, member(name));
    }
    if let Some(registry) = member("registry") {
        push(&mut row, "generation", registry.get("generation"));
    }
    push(&mut row, "request_id", member("request_id"));
    row.truncate(row.trim_end().len());
    row
}

/// The type without `dev.grantd.` and the version.
pub(super) fn short_type(full: &str) -> &str {
    let name = full.strip_prefix("dev.grantd.").unwrap_or(full);
    name.rsplit_once(".v").map_or(name, |(name, _)| name)
}

fn push(row: &mut String, name: &str, value: Option<&Value>) {
    let shown = match value {
        Some(Value::String(text)) if text.is_empty() => return,
        Some(Value::String(text)) if text.contains(' ') => format!("{:?}", printable(text)),
        Some(Value::String(text)) => printable(text),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => return,
    };
    row.push_str("  ");
    row.push_str(name);
    row.push('=');
    row.push_str(&shown);
}

/// Without what could play tricks with a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if is_hidden(character) {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_aligned_line() {
        let event = br#"{"type":"dev.grantd.token.issued.v1","subject":"nightly","time":"2026-11-23T08:30:00.120Z","data":{"request_id":"ab","client_id":"nightly","resource":"https://b.example","asked_resource":"https://b.example","scope":"a b","jti":"cd","registry":{"generation":7}}}"#;
        assert_eq!(
            row(event),
            "2026-11-23T08:30:00.120Z  token.issued                nightly               \
             resource=https://b.example  scope=\"a b\"  jti=cd  generation=7  request_id=ab"
        );
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        let event = br#"{"type":"dev.grantd.token.denied.v1","time":"t","data":{"asked_scope":"\u001b[2J\n\u202e"}}"#;
        let row = row(event);
        assert!(
            row.contains("asked_scope=\u{fffd}[2J\u{fffd}\u{fffd}"),
            "{row}"
        );
        assert!(super::row(b"\xff{").starts_with("(not an event)"));
    }
}
