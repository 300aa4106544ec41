//! A plan for people: short first, details below. Touches: process, by stdout and stderr.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use super::super::Io;
use super::report::{ONCE_MERGED, Refused, Report, Told, approvers};
use crate::domain::ClientId;
use crate::registry::approval::Approval;
use crate::registry::diagnostic::Renderer;
use crate::registry::meaning::Class;

/// Widest sentence that has its place beside it, in characters; a longer one has it below.
const BESIDE: usize = 76;

/// Most reasons of an approval that are told one by one: `--format json` has all.
const MAX_REASONS: usize = 8;

/// Most clients that are named below a statement about many.
const MAX_CLIENTS: usize = 10;

/// SGR of ECMA-48.
const RED: &str = "31";
const YELLOW: &str = "33";
const GREEN: &str = "32";
const DIM: &str = "2";

/// Text that is coloured or not.
struct Page {
    text: String,
    colour: bool,
}

/// A plan.
pub(super) fn report(report: &Report, colour: bool) -> String {
    let mut page = Page {
        text: String::new(),
        colour,
    };
    let summary = page.strong(&report.summary(), headline(report));
    page.line(&format!(
        "{} → {}: {summary}",
        report.from.label, report.to.label
    ));
    if let Some(standing) = report.standing().filter(|_| report.changes()) {
        let code = match report.missing() {
            0 => GREEN,
            _ => RED,
        };
        let standing = match report.approved {
            Some(_) => page.strong(&standing, code),
            None => standing,
        };
        page.line(&format!("approvals: {standing}"));
    }
    held(report, &mut page);
    for taken in &report.overlay {
        page.line(&format!("above the registry: {}", taken.text));
    }
    for (class, heading, code) in [
        (Class::Widens, "widens access", RED),
        (Class::Breaks, "breaks what runs", YELLOW),
        (Class::Other, "other", DIM),
    ] {
        statements(report, (class, heading, code), &mut page);
    }
    if let Some(approvals) = report.approvals.as_ref().filter(|it| !it.is_empty()) {
        page.heading("approvals", "1");
        for approval in approvals {
            one_approval(report, approval, &mut page);
        }
    }
    page.text
}

/// A registry that is refused: its problems on stderr, as `grantd check` shows them.
pub(super) fn refused(refused: &Refused, io: &mut Io<'_>) -> io::Result<()> {
    if let Some(error) = &refused.error {
        writeln!(io.err, "error: {error}")?;
    }
    let renderer = Renderer::new(&refused.prefix, io::stderr().is_terminal());
    let text = renderer.render_all(&refused.problems);
    io.err.write_all(text.as_bytes())?;
    writeln!(io.out, "{}", refused.summary())
}

fn headline(report: &Report) -> &'static str {
    if report.number(Class::Widens) > 0 {
        RED
    } else if report.number(Class::Breaks) > 0 {
        YELLOW
    } else {
        GREEN
    }
}

fn held(report: &Report, page: &mut Page) {
    let Some(held) = &report.held else { return };
    let words = page.strong("held back", RED);
    page.line(&format!(
        "{words}: the daemon would not take this by itself"
    ));
    for reason in &held.reasons {
        page.line(&format!(
            "  {}",
            crate::domain::visible(&reason.to_string())
        ));
    }
    page.line(&format!(
        "  {ONCE_MERGED}: grantd registry accept {}",
        held.hash
    ));
}

fn statements(report: &Report, (class, heading, code): (Class, &str, &str), page: &mut Page) {
    let told: Vec<&Told> = report.of_class(class).collect();
    if told.is_empty() {
        return;
    }
    page.heading(heading, code);
    let sentences: Vec<String> = told
        .iter()
        .map(|told| told.statement.text.to_string())
        .collect();
    let width = |sentence: &String| sentence.chars().count();
    let widths = sentences.iter().map(width);
    let column = widths.filter(|width| *width <= BESIDE).max().unwrap_or(0);
    for (told, sentence) in told.iter().zip(&sentences) {
        let place = place(told);
        if place.is_empty() {
            page.line(&format!("  {sentence}"));
        } else if width(sentence) <= BESIDE {
            let place = page.faint(&place);
            page.line(&format!("  {sentence:<column$}  {place}"));
        } else {
            let place = page.faint(&place);
            page.line(&format!("  {sentence}\n      {place}"));
        }
        clients(told, page);
    }
}

fn clients(told: &Told, page: &mut Page) {
    let clients = &told.statement.about.clients;
    if clients.is_empty() {
        return;
    }
    let named: Vec<&str> = clients
        .iter()
        .take(MAX_CLIENTS)
        .map(ClientId::as_str)
        .collect();
    let more = match clients.len().saturating_sub(MAX_CLIENTS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = page.faint(&format!("{}{more}", named.join(", ")));
    page.line(&format!("      {text}"));
}

fn one_approval(report: &Report, approval: &Approval, page: &mut Page) {
    let who = crate::domain::visible(&approvers(approval)).into_owned();
    let given = match report.given(approval) {
        None => String::new(),
        Some(true) => format!(": {}", page.strong("given", GREEN)),
        Some(false) => format!(": {}", page.strong("missing", RED)),
    };
    page.line(&format!("  {who}{given}"));
    for reason in approval.reasons.iter().take(MAX_REASONS) {
        page.line(&format!("      {}", reason.text));
    }
    match approval.reasons.len().saturating_sub(MAX_REASONS) {
        0 => {}
        more => page.line(&format!("      and {more} more: see --format json")),
    }
}

/// Where a statement's object stands: `registry.d/billing/api.toml:3`.
fn place(told: &Told) -> String {
    match (&told.file, told.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        (None, _) => String::new(),
    }
}

impl Page {
    fn line(&mut self, text: &str) {
        // Writing to a String does not fail.
        let _infallible = writeln!(self.text, "{text}");
    }

    fn heading(&mut self, text: &str, code: &str) {
        let text = self.strong(text, code);
        self.line(&format!("\n{text}"));
    }

    fn strong(&self, text: &str, code: &str) -> String {
        match self.colour {
            true => format!("\u{1b}[1;{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    fn faint(&self, text: &str) -> String {
        match self.colour {
            true => format!("\u{1b}[{DIM}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}
