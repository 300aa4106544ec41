//! A plan as annotations of a GitHub workflow: workflow commands, one a line. Pure.
//!
//! **Invariant:** each line is one command of ours: what somebody else wrote is escaped, so that it can
//! neither begin another nor end a value.

use super::report::{ONCE_MERGED, Refused, Report, Told, approvers};
use crate::domain::visible;
use crate::registry::meaning::{Class, Side};

/// Commands, one after the other.
#[derive(Default)]
struct Commands(String);

/// Where an annotation stands.
#[derive(Default)]
struct At<'a> {
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
}

/// A plan.
pub(super) fn report(report: &Report) -> String {
    let mut commands = Commands::default();
    let summary = format!(
        "{} → {}: {}",
        report.from.label,
        report.to.label,
        report.summary()
    );
    commands.add("notice", &At::default(), ("grantd plan", &summary));
    if let Some(held) = &report.held {
        let title = "grantd plan: held back by the daemon";
        for reason in &held.reasons {
            commands.add("error", &At::default(), (title, &reason.to_string()));
        }
        let text = format!("{ONCE_MERGED}: grantd registry accept {}", held.hash);
        commands.add("error", &At::default(), (title, &text));
    }
    for approval in report.approvals.iter().flatten() {
        let (level, title) = match report.given(approval) {
            Some(false) => ("error", "grantd plan: approval missing"),
            Some(true) => ("notice", "grantd plan: approval given"),
            None => ("notice", "grantd plan: approval needed"),
        };
        let first = approval.reasons.first();
        let mut text = approvers(approval);
        if let Some(reason) = first {
            text.push_str(&format!(": {}", reason.text));
        }
        match approval.reasons.len().saturating_sub(1) {
            0 => {}
            more => text.push_str(&format!(", and {more} more")),
        }
        commands.add(level, &At::default(), (title, &text));
    }
    for taken in &report.overlay {
        let text = taken.text.to_string();
        commands.add(
            "warning",
            &At::default(),
            ("grantd plan: above the registry", &text),
        );
    }
    for told in &report.told {
        let (level, title) = match told.statement.class {
            Class::Widens => ("warning", "grantd plan: widens access"),
            Class::Breaks => ("warning", "grantd plan: breaks what runs"),
            Class::Other => ("notice", "grantd plan"),
        };
        commands.add(level, &at(told), (title, &told.statement.text.to_string()));
    }
    commands.0
}

/// A registry that is refused.
pub(super) fn refused(refused: &Refused) -> String {
    let mut commands = Commands::default();
    if let Some(error) = &refused.error {
        commands.add("error", &At::default(), ("grantd plan: refused", error));
    }
    for problem in &refused.problems {
        let file = format!("{}{}", refused.prefix, problem.place.file);
        let spot = problem.place.spot.as_ref();
        let at = At {
            file: Some(&file),
            line: spot.map(|spot| spot.line),
            column: spot.map(|spot| spot.column),
        };
        let mut text = problem.message.clone();
        if let Some(advice) = &problem.advice {
            text.push_str(&format!("; {advice}"));
        }
        commands.add("error", &at, ("grantd plan: refused", &text));
    }
    commands.0
}

/// The place of a statement. A line of the registry as it was is none of the new file.
fn at(told: &Told) -> At<'_> {
    let is_new = told.statement.side == Side::New;
    At {
        file: told.file.as_deref(),
        line: told.line.filter(|_| is_new),
        column: told.column.filter(|_| is_new),
    }
}

impl Commands {
    fn add(&mut self, level: &str, at: &At<'_>, (title, text): (&str, &str)) {
        let mut values = Vec::new();
        if let Some(file) = at.file {
            values.push(format!("file={}", value(file)));
        }
        if let Some(line) = at.line {
            values.push(format!("line={line}"));
        }
        if let Some(column) = at.column {
            values.push(format!("col={column}"));
        }
        values.push(format!("title={}", value(title)));
        let line = format!("::{level} {}::{}\n", values.join(","), message(text));
        self.0.push_str(&line);
    }
}

/// A message: the escapes of GitHub's toolkit (`escapeData`), after what can't be seen.
fn message(text: &str) -> String {
    let text = visible(text).replace('%', "%25");
    text.replace('\r', "%0D").replace('\n', "%0A")
}

/// A value before the message (`escapeProperty`).
fn value(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_a_command() {
        let mut commands = Commands::default();
        let at = At {
            file: Some("a,line=9::b\n::error::x.toml"),
            line: Some(3),
            column: None,
        };
        commands.add("notice", &at, ("t: 1", "100%\n::stop-commands::x"));
        let line = "::notice file=a%2Cline=9%3A%3Ab\\n%3A%3Aerror%3A%3Ax.toml,line=3,\
                    title=t%3A 1::100%25\\n::stop-commands::x\n";
        assert_eq!(commands.0, line);
    }
}
