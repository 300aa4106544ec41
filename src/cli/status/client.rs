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
    let switch = if report.disabled {
        "disabled"
    } else {
        "enabled"
    };
    match (&report.expires, report.expired) {
        (None, _) => format!("{switch}, does not expire"),
        (Some(at), false) => format!("{switch}, expires at {at}"),
        (Some(at), true) => format!("{switch}, expired at {at}"),
    }
}
