//! How a report is printed. Pure.

use std::io;

use serde_json::{Value, json};

use super::rules::{Finding, Report, Verdict};
use crate::cli::json::Object;
use crate::cli::{Format, Io};
use crate::domain::visible;

/// Prints it.
pub(super) fn print(report: &Report, format: Format, io: &mut Io<'_>) -> io::Result<()> {
    match format {
        Format::Text => text(report, io)?,
        Format::Json => writeln!(io.out, "{}", ascii(&object(report).to_string()))?,
    }
    io.out.flush()
}

fn text(report: &Report, io: &mut Io<'_>) -> io::Result<()> {
    let out = &mut *io.out;
    // First what is asked for: the rest scrolls by.
    let broken = report.broken();
    if broken.is_empty() {
        writeln!(out, "result: the token is accepted\n")?;
    } else {
        writeln!(
            out,
            "result: the token is REFUSED, by {}\n",
            broken.join(", ")
        )?;
    }
    for Finding { rule, verdict, why } in &report.findings {
        let verdict = match verdict {
            Verdict::Holds => "pass",
            Verdict::Broken => "FAIL",
            Verdict::Open => "open",
        };
        // The rules quote what the token says; whatever else comes through can't write a line of its own.
        writeln!(out, "{verdict}  {rule:<11}{}", visible(why))?;
    }
    let Some(token) = &report.token else {
        return Ok(());
    };
    let note = if report.is_verified() {
        ""
    } else {
        " (UNVERIFIED: anybody may have written this)"
    };
    writeln!(out, "\nheader{note}\n{}", pretty(&token.header))?;
    writeln!(out, "claims{note}\n{}", pretty(&token.claims))
}

fn pretty(object: &Object) -> String {
    ascii(&format!("{:#}", object.to_value()))
}

fn object(report: &Report) -> Value {
    let rules: Vec<Value> = report.findings.iter().map(finding).collect();
    json!({
        "accepted": report.accepted(),
        "refused_by": report.broken(),
        "rules": rules,
        "verified": report.is_verified(),
        "header": report.token.as_ref().map(|token| token.header.to_value()),
        "claims": report.token.as_ref().map(|token| token.claims.to_value()),
    })
}

fn finding(finding: &Finding) -> Value {
    let holds = match finding.verdict {
        Verdict::Holds => Some(true),
        Verdict::Broken => Some(false),
        Verdict::Open => None,
    };
    json!({ "rule": finding.rule, "holds": holds, "why": finding.why })
}

/// JSON in ASCII: what a stranger wrote can't move a cursor or turn a line round.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii_graphic() || matches!(character, ' ' | '\n') {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_is_shown_in_ascii() {
        assert_eq!(
            ascii("{\"a\": \"é\u{202e}😀\u{7f}\"}"),
            "{\"a\": \"\\u00e9\\u202e\\ud83d\\ude00\\u007f\"}"
        );
    }
}
