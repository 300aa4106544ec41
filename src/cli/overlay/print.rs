//! How what is taken away is printed for people. Pure.

use std::io;

use super::super::Io;
use crate::admin::{ChangeReport, OverlayEntryReport, OverlayReport};
use crate::domain::visible;

/// What a change did, in one line.
pub(super) fn sentence(report: &ChangeReport) -> String {
    let ChangeReport {
        entry,
        in_force,
        changed,
    } = report;
    let (number, words) = (entry.entry, entry.words());
    match (in_force, changed) {
        (true, true) => format!("entry {number}: {words}"),
        (true, false) => format!("entry {number} says so already: {words}"),
        (false, _) => format!("entry {number} is dropped: it said that {words}"),
    }
}

/// The list, a line an entry, and what else there is to say below it.
pub(super) fn text(report: &OverlayReport, io: &mut Io<'_>) -> io::Result<()> {
    if report.entries.is_empty() {
        return writeln!(io.err, "nothing is taken away");
    }
    writeln!(io.out, "{:>5}  {:<20}  {:<9}  WHAT", "ENTRY", "SINCE", "BY")?;
    for entry in &report.entries {
        writeln!(
            io.out,
            "{:>5}  {:<20}  {:<9}  {}",
            entry.entry,
            entry.since,
            format!("uid {}", entry.uid),
            entry.words(),
        )?;
        for line in details(entry) {
            writeln!(io.out, "{:42}{}", "", visible(&line))?;
        }
    }
    Ok(())
}

/// What else there is to say of an entry.
pub(in crate::cli) fn details(entry: &OverlayEntryReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(reason) = &entry.reason {
        lines.push(format!("reason: {reason}"));
    }
    let number = entry.entry;
    let disabled = entry.kind == "client_disabled";
    match entry.registry_says.as_deref().filter(|_| disabled) {
        Some("enabled") => lines.push("the registry still has it enabled".to_owned()),
        Some("disabled") => lines.push(format!(
            "the registry says the same now: grantd overlay clear {number}"
        )),
        Some("absent") => lines.push(format!(
            "the registry has no such client: grantd overlay clear {number}"
        )),
        _ => {}
    }
    if !entry.kept {
        lines.push("in force, but not on disk yet: a restart would forget it".to_owned());
    }
    if !entry.recorded {
        lines.push("in force, but not on record yet".to_owned());
    }
    lines
}
