//! A status for people: short first, details below. Pure.

use std::fmt::Write as _;

use bytesize::ByteSize;

use super::super::Io;
use super::super::overlay::print::details;
use super::credentials;
use crate::admin::{
    JournalReport, KeyReport, OverlayReport, RegistryReport, RotatingReport, StatusReport,
    StreamReport,
};

/// Column at which the values begin.
const VALUES: usize = 13;

/// Prints a status, in colour or not.
///
/// # Errors
/// When printing fails.
pub(super) fn text(report: &StatusReport, colour: bool, io: &mut Io<'_>) -> std::io::Result<()> {
    writeln!(io.out, "{}", headline(report, colour))?;
    for line in report.reasons.iter().chain(&report.degraded) {
        writeln!(io.out, "  {}", shown(line))?;
    }
    writeln!(io.out)?;
    let mut page = Page::default();
    page.line(
        "daemon",
        &format!(
            "grantd {}, for {}, since {}",
            report.version,
            span(report.uptime_seconds),
            report.started
        ),
    );
    registry(report.registry.as_ref(), &mut page);
    overlay(&report.overlay, &mut page);
    folder(report, &mut page);
    certificate(report, &mut page);
    clock(report, &mut page);
    journal(&report.journal, &mut page);
    match &report.stream {
        Some(report) => stream(report, &mut page),
        None => page.line(
            "stream",
            "none is configured: the journal alone holds the events",
        ),
    }
    expiring(report, &mut page);
    rotating(&report.rotating, &mut page);
    keys(&report.keys, &mut page);
    write!(io.out, "{}", page.0)
}

/// Lines with a name and a value each.
#[derive(Default)]
pub(super) struct Page(pub(super) String);

impl Page {
    pub(super) fn line(&mut self, name: &str, value: &str) {
        // Writing to a String does not fail.
        let _infallible = writeln!(self.0, "{name:<VALUES$}{}", shown(value));
    }

    pub(super) fn more(&mut self, value: &str) {
        self.line("", value);
    }
}

fn headline(report: &StatusReport, colour: bool) -> String {
    let (words, code) = match (report.ready, report.degraded.is_empty()) {
        (true, true) => ("ready", "32"),
        (true, false) => ("ready, degraded", "33"),
        (false, _) => ("not ready", "31"),
    };
    if colour {
        // SGR of ECMA-48: bold and a colour, then none.
        format!("\u{1b}[1;{code}m{words}\u{1b}[0m")
    } else {
        words.to_owned()
    }
}

fn registry(report: Option<&RegistryReport>, page: &mut Page) {
    let Some(report) = report else {
        return page.line("registry", "none was accepted yet");
    };
    page.line(
        "registry",
        &format!(
            "generation {}: {}, {}, since {}",
            report.generation,
            count(report.clients, "client"),
            count(report.resources, "resource"),
            report.since
        ),
    );
    page.more(&format!("digest {}", report.digest));
    if let Some(commit) = &report.commit {
        let words = match report.dirty {
            Some(true) => ", dirty: the folder differs from it",
            Some(false) => "",
            None => ", and it is not known whether the folder differs from it",
        };
        page.more(&format!("commit {commit}{words}"));
    }
}

/// What operators took away, until the registry says the same and somebody clears it.
fn overlay(report: &OverlayReport, page: &mut Page) {
    if report.total == 0 {
        return;
    }
    let entries = match report.total {
        1 => "1 entry".to_owned(),
        total => format!("{total} entries"),
    };
    page.line(
        "overlay",
        &format!("{entries} above the registry, taken away by operators"),
    );
    for entry in &report.entries {
        let (number, since, uid) = (entry.entry, &entry.since, entry.uid);
        page.more(&format!(
            "{number}: {}, by uid {uid} at {since}",
            entry.words()
        ));
        for line in details(entry) {
            page.more(&format!("   {line}"));
        }
    }
    let more = report.total.saturating_sub(report.entries.len());
    if more > 0 {
        page.more(&format!("and {more} more: see `grantd overlay list`"));
    }
}

/// What the folder holds beside what is served, where that is another thing.
fn folder(report: &StatusReport, page: &mut Page) {
    if let Some(last_good) = &report.last_good {
        let from = if last_good.restored {
            ", kept from a run before"
        } else {
            ""
        };
        let (seen, age) = (&last_good.seen, span(last_good.age_seconds));
        page.line(
            "folder",
            &format!("last good at {seen}, {age} ago: the last good registry is served{from}"),
        );
    }
    if let Some(held) = &report.held {
        page.line("held", &format!("change {}", held.hash));
        if let Some(commit) = &held.commit {
            page.more(&format!("of commit {commit}"));
        }
        for reason in &held.reasons {
            page.more(reason);
        }
        page.more("if it is meant: grantd registry accept HASH, with the hash above");
    }
}

fn certificate(report: &StatusReport, page: &mut Page) {
    let (until, left) = (&report.certificate_not_after, report.certificate_seconds);
    let words = if left == 0 {
        format!("not valid since {until}")
    } else {
        format!("valid until {until}, for {}", span(left))
    };
    page.line("certificate", &words);
    for problem in &report.certificate_problems {
        page.more(problem);
    }
}

fn clock(report: &StatusReport, page: &mut Page) {
    let (behind, ahead) = (report.clock.behind_seconds, report.clock.ahead_seconds);
    if behind > 0 {
        let lag = span(behind);
        page.line(
            "clock",
            &format!("{lag} behind what it was: nothing is signed"),
        );
    }
    if ahead > 0 {
        page.line("clock", &format!("leapt ahead by {}", span(ahead)));
    }
}

fn journal(report: &JournalReport, page: &mut Page) {
    let size = ByteSize(report.bytes).display().iec();
    let segments = count(report.segments, "segment");
    page.line(
        "journal",
        &format!("last line {}; {size} in {segments}", report.last_sequence),
    );
    let full = match report.fill {
        Some(fill) => format!("{:.1} % full", fill * 100.0),
        None => "the oldest lines are dropped at its bound".to_owned(),
    };
    let until = match report.full_in_seconds {
        Some(seconds) => format!(", full in {} at this rate", span(seconds)),
        None => String::new(),
    };
    page.more(&format!("{full}{until}"));
}

fn stream(report: &StreamReport, page: &mut Page) {
    let server = report.server.as_deref().unwrap_or("a server");
    let place = if report.connected {
        format!("connected to {server}")
    } else {
        "not connected".to_owned()
    };
    page.line("stream", &format!("{place}, {}", report.state));
    page.more(&format!(
        "confirmed {}, {} behind",
        report.confirmed_sequence,
        count(usize::try_from(report.lag).unwrap_or(usize::MAX), "line")
    ));
    if let Some(error) = &report.last_error {
        page.more(&format!("last failure {error}"));
    }
    for finding in &report.findings {
        page.more(&format!("finding: {finding}"));
    }
}

fn expiring(report: &StatusReport, page: &mut Page) {
    let expiring = &report.expiring;
    let window = span(expiring.window_seconds);
    if expiring.total == 0 {
        return page.line("expiring", &format!("nothing within {window}"));
    }
    page.line(
        "expiring",
        &format!("{} within {window}, or before", expiring.total),
    );
    for expiry in &expiring.first {
        let used = last_used(expiry.last_used.as_deref(), expiry.last_used_seconds_ago);
        page.more(&format!("{}; {used}", expiry.message));
    }
    let more = expiring.total.saturating_sub(expiring.first.len());
    if more > 0 {
        page.more(&format!("and {more} more: see `grantd check --expiring`"));
    }
}

/// Who has several secrets, so that an operator sees when the old one can go.
fn rotating(report: &RotatingReport, page: &mut Page) {
    if report.total == 0 {
        return;
    }
    let verb = if report.total == 1 { "has" } else { "have" };
    let clients = count(report.total, "client");
    page.line("rotating", &format!("{clients} {verb} several secrets"));
    for row in credentials::table(&report.first, true) {
        page.more(&row);
    }
    let more = report.total.saturating_sub(report.first.len());
    if more > 0 {
        page.more(&format!("and {more} more: see `grantd status --export`"));
    }
}

fn keys(keys: &[KeyReport], page: &mut Page) {
    let row = |cells: [&str; 5]| {
        let [algorithm, state, since, step, kid] = cells;
        format!("{algorithm:<6}  {state:<9}  {since:<20}  {step:<33}  {kid}")
    };
    page.line("keys", &row(["ALG", "STATE", "SINCE", "NEXT STEP", "KID"]));
    for key in keys {
        let step = match &key.step_at {
            Some(at) => format!("{} {at}", key.step),
            None => key.step.clone(),
        };
        page.more(&row([
            &key.algorithm,
            &key.state,
            &key.since,
            &step,
            &key.kid,
        ]));
    }
}

/// When something was last used, in words.
pub(super) fn last_used(at: Option<&str>, ago: Option<u64>) -> String {
    match (at, ago) {
        (Some(at), Some(ago)) => format!("last used {at}, {} ago", span(ago)),
        _ => "no use known".to_owned(),
    }
}

pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Seconds in the two largest units that they have.
pub(super) fn span(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        (_, 0, _) => format!("{days}d"),
        _ => format!("{days}d {hours}h"),
    }
}

/// Text of files and servers, without what would steer a terminal or turn its words around.
fn shown(text: &str) -> String {
    crate::domain::visible(text).into_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn printed(report: &StatusReport, colour: bool) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let io = &mut Io {
            out: &mut out,
            err: &mut err,
        };
        text(report, colour, io).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_wrong_comes_first_and_colour_only_where_it_is_wanted() {
        let report = StatusReport {
            degraded: vec!["a server called \u{1b}[2J\u{202e}".to_owned()],
            ready: true,
            ..StatusReport::default()
        };
        let plain = printed(&report, false);
        assert!(plain.starts_with("ready, degraded\n  a server called \\u{1b}[2J\\u{202e}\n\n"));
        assert!(!plain.contains('\u{1b}'));
        assert!(printed(&report, true).starts_with("\u{1b}[1;33mready, degraded\u{1b}[0m\n"));
        assert!(
            plain.contains("\nregistry     none was accepted yet\n"),
            "{plain}"
        );
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (59, "59s"),
            (61, "1m 1s"),
            (3661, "1h 1m"),
            (86_400 * 30, "30d"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
