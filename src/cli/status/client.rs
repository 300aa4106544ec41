//! `grantd status --client`: one client of the registry that is served. Pure.

use super::super::{Format, Io};
use super::credentials;
use super::print::Page;
use crate::admin::ClientReport;

/// Prints a client.
///
/// # Errors
/// When printing fails.
pub(super) fn tell(report: &ClientReport, format: Format, io: &mut Io<'_>) -> std::io::Result<()> {
    if format == Format::Json {
        let line = serde_json::to_string(report)?;
        return writeln!(io.out, "{line}");
    }
    let mut page = Page::default();
    let ClientReport { client, name, .. } = report;
    page.line("client", &format!("{client}: {name}"));
    page.line("owner", report.owner.as_deref().unwrap_or("nobody"));
    page.line("state", &state(report));
    for (place, entry) in report.overlay.iter().enumerate() {
        let name = if place == 0 { "overlay" } else { "" };
        let (number, since, uid) = (entry.entry, &entry.since, entry.uid);
        let words = entry.words();
        page.line(name, &format!("{number}: {words}, by uid {uid} at {since}"));
    }
    if report.credentials.is_empty() {
        page.line("secrets", "none: it can't get a token");
    }
    let rows = credentials::table(std::slice::from_ref(report), false);
    for (place, row) in rows.iter().enumerate() {
        match (report.credentials.is_empty(), place) {
            (true, _) => {}
            (false, 0) => page.line("secrets", row),
            (false, _) => page.more(row),
        }
    }
    write!(io.out, "{}", page.0)
}

fn state(report: &ClientReport) -> String {
    let registry = if report.disabled {
        "disabled"
    } else {
        "enabled"
    };
    let mut overlay = report.overlay.iter();
    let by_operator = overlay.find(|entry| entry.kind == "client_disabled");
    let switch = match by_operator {
        None => registry.to_owned(),
        Some(entry) => format!(
            "DISABLED by an operator (entry {}); the registry has it {registry}",
            entry.entry
        ),
    };
    match (&report.expires, report.expired) {
        (None, _) => format!("{switch}, does not expire"),
        (Some(at), false) => format!("{switch}, expires at {at}"),
        (Some(at), true) => format!("{switch}, expired at {at}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::OverlayEntryReport;

    #[test]
    fn a_client_that_an_operator_disabled_is_not_called_enabled() {
        let mut report = ClientReport::default();
        assert_eq!(state(&report), "enabled, does not expire");
        report.overlay.push(OverlayEntryReport {
            entry: 8,
            kind: "client_disabled".to_owned(),
            ..OverlayEntryReport::default()
        });
        assert_eq!(
            state(&report),
            "DISABLED by an operator (entry 8); the registry has it enabled, does not expire"
        );
    }
}
