//! `grantd audit verify`: whether anything is missing or altered. Touches: fs, net.

use bytes::Bytes;
use serde::Serialize;

use super::source::{Source, SourceArgs, Start};
use super::tail::no_events;
use super::{Exit, Fault, Format, Io, help};
use crate::audit::chain::{Finding, Line, Lineage, Step, Verifier};

/// Most findings that are printed; the rest is counted. One break in the middle can make thousands.
const MAX_SHOWN: usize = 100;

/// Checks that each event follows the one before.
#[derive(Debug, clap::Args)]
#[command(after_long_help = help::AUDIT_VERIFY)]
pub(super) struct Args {
    /// The hash that the last event must have, as it was noted elsewhere
    #[arg(long, value_name = "HASH")]
    expect_head: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

pub(super) fn run(args: &Args, format: Format, io: &mut Io<'_>) -> Result<Exit, Fault> {
    let mut source = Source::open(&args.source, Start::Beginning)?;
    let mut check = Check::new();
    while let Some(line) = source.next()? {
        check.see(line);
    }
    if check.lines == 0 {
        no_events(&source, io);
    }
    if let Some(expected) = &args.expect_head {
        check.expect(expected);
    }
    let report = check.report(source.describe(), source.note());
    match format {
        Format::Text => text(&report, io)?,
        Format::Json => {
            serde_json::to_writer(&mut *io.out, &report).map_err(std::io::Error::from)?;
            io.out.write_all(b"\n")?;
        }
    }
    Ok(if report.findings_total == 0 {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// What was checked and what was found: the JSON that is printed.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    lines: u64,
    first: Option<Place>,
    last: Option<Place>,
    batches: u64,
    lineages: Vec<Named>,
    head: Option<String>,
    findings_total: usize,
    findings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Place {
    sequence: u64,
    time: String,
}

#[derive(Clone, Debug, Serialize)]
struct Named {
    lineage: String,
    from: u64,
}

/// The check as it goes on.
struct Check {
    verifier: Verifier,
    lines: u64,
    batches: u64,
    first: Option<Place>,
    last: Option<Line>,
    lineages: Vec<(Lineage, u64)>,
    findings_total: usize,
    findings: Vec<String>,
}

impl Check {
    const fn new() -> Self {
        Self {
            // A journal that has retired its oldest segments begins anywhere.
            verifier: Verifier::from_anywhere(),
            lines: 0,
            batches: 0,
            first: None,
            last: None,
            lineages: Vec::new(),
            findings_total: 0,
            findings: Vec::new(),
        }
    }

    fn see(&mut self, bytes: Bytes) {
        self.lines += 1;
        match self.verifier.feed_bytes(bytes.clone()) {
            Ok((line, step)) => self.good(line, step),
            Err(finding) => {
                self.found(finding.to_string());
                // Go on behind what is wrong, so that one run finds everything.
                let goes_on = !matches!(
                    finding,
                    Finding::Damaged { .. } | Finding::Repeated { .. } | Finding::Fork { .. }
                );
                if let Some(line) = Line::parse(bytes).ok().filter(|_| goes_on) {
                    self.verifier.resume_at(&line);
                    self.good(line, Step::First);
                }
            }
        }
    }

    fn good(&mut self, line: Line, step: Step) {
        if step != Step::SameBatch {
            self.batches += 1;
        }
        if self.first.is_none() {
            self.first = Some(place(&line));
        }
        if self
            .lineages
            .last()
            .is_none_or(|(last, _)| *last != line.lineage)
        {
            self.lineages.push((line.lineage, line.sequence));
        }
        self.last = Some(line);
    }

    fn found(&mut self, finding: String) {
        self.findings_total += 1;
        if self.findings.len() < MAX_SHOWN {
            self.findings.push(finding);
        }
    }

    fn expect(&mut self, head: &str) {
        let found = self.last.as_ref().map(|line| line.hash.to_string());
        if found.as_deref() != Some(head) {
            let found = found.unwrap_or_else(|| "nothing".to_owned());
            self.found(format!("the last line has the hash {found}, not {head}"));
        }
    }

    fn report(self, source: String, note: Option<String>) -> Report {
        let named = |(lineage, from): (Lineage, u64)| Named {
            lineage: lineage.to_string(),
            from,
        };
        Report {
            ok: self.findings_total == 0,
            source,
            note,
            lines: self.lines,
            first: self.first,
            head: self.last.as_ref().map(|line| line.hash.to_string()),
            last: self.last.as_ref().map(place),
            batches: self.batches,
            lineages: self.lineages.into_iter().map(named).collect(),
            findings_total: self.findings_total,
            findings: self.findings,
        }
    }
}

fn place(line: &Line) -> Place {
    Place {
        sequence: line.sequence,
        time: line.time().to_owned(),
    }
}

fn text(report: &Report, io: &mut Io<'_>) -> std::io::Result<()> {
    let out = &mut *io.out;
    writeln!(out, "source    {}", report.source)?;
    writeln!(
        out,
        "events    {} in {} commits",
        report.lines, report.batches
    )?;
    if let (Some(first), Some(last)) = (&report.first, &report.last) {
        let width = last.sequence.to_string().len();
        writeln!(out, "first     {:>width$}  {}", first.sequence, first.time)?;
        writeln!(out, "last      {:>width$}  {}", last.sequence, last.time)?;
    }
    for (index, named) in report.lineages.iter().enumerate() {
        let label = if index == 0 { "lineage" } else { "" };
        writeln!(
            out,
            "{label:<8}  {} from event {}",
            named.lineage, named.from
        )?;
    }
    if let Some(head) = &report.head {
        writeln!(out, "head      {head}")?;
    }
    if let Some(note) = &report.note {
        writeln!(out, "note      {note}")?;
    }
    for finding in &report.findings {
        writeln!(out, "finding   {finding}")?;
    }
    let hidden = report.findings_total - report.findings.len();
    if hidden > 0 {
        writeln!(out, "          and {hidden} more")?;
    }
    match (report.findings_total, report.lines) {
        (0, 0) => writeln!(out, "result    there are no events"),
        (0, _) => writeln!(
            out,
            "result    good: each event follows the one before, none is altered"
        ),
        (1, _) => writeln!(out, "result    BAD: 1 finding"),
        (count, _) => writeln!(out, "result    BAD: {count} findings"),
    }
}
