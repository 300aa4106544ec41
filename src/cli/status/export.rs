//! `grantd status --export`: the last use of each credential, for `grantd plan --last-use`. Touches: fs, net.
//!
//! The daemon sends pages; what changes between two of them is of the moment of its page. What operators took
//! away above the registry stands behind them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::{Format, Io};
use super::StatusError;
use super::print::count;
use crate::admin::{AdminClient, OverlayReport, Uses};

/// The form of the file.
const FORMAT: &str = "grantd last use v1";

/// What an export holds.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    credentials: usize,
    used: usize,
}

/// Writes the export to a file, which is there whole or not at all, or to stdout.
pub(super) fn run(
    daemon: &mut AdminClient,
    file: &Path,
    format: Format,
    io: &mut Io<'_>,
) -> Result<(), StatusError> {
    if file == Path::new("-") {
        write(daemon, io.out, StatusError::Print)?;
        return Ok(());
    }
    let fault = |source| StatusError::Export {
        path: file.to_owned(),
        source,
    };
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    // Of mode 0600.
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(fault)?;
    let mut out = io::BufWriter::new(temporary);
    let written = write(daemon, &mut out, fault)?;
    let temporary = out
        .into_inner()
        .map_err(|error| fault(error.into_error()))?;
    let persisted = temporary.persist(file);
    persisted.map_err(|error| fault(error.error))?;
    let Written { credentials, used } = written;
    match format {
        Format::Json => {
            let line = json!({ "file": file, "credentials": credentials, "used": used });
            writeln!(io.out, "{line}")?;
        }
        Format::Text => {
            let (file, credentials) = (file.display(), count(credentials, "credential"));
            writeln!(
                io.out,
                "{file}: {credentials}, of {used} of which a use is known"
            )?;
        }
    }
    Ok(())
}

/// Writes one object, a credential a line, so that two exports can be compared.
fn write(
    daemon: &mut AdminClient,
    out: &mut dyn Write,
    fault: impl Fn(io::Error) -> StatusError,
) -> Result<Written, StatusError> {
    let mut written = Written::default();
    let mut page = daemon.last_use(None)?;
    let head = format!(
        "{{\"format\":\"{FORMAT}\",\"exported\":{},\"credentials\":[",
        json!(page.now)
    );
    out.write_all(head.as_bytes()).map_err(&fault)?;
    loop {
        write_page(&page, &mut written, out).map_err(&fault)?;
        match page.next {
            Some(next) => page = daemon.last_use(Some(next))?,
            None => break,
        }
    }
    write_overlay(&daemon.overlay()?, out).map_err(&fault)?;
    out.flush().map_err(&fault)?;
    Ok(written)
}

/// An entry a line, and the end.
fn write_overlay(overlay: &OverlayReport, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"\n],\"overlay\":[")?;
    for (index, entry) in overlay.entries.iter().enumerate() {
        let separator: &[u8] = if index > 0 { b",\n" } else { b"\n" };
        out.write_all(separator)?;
        serde_json::to_writer(&mut *out, entry)?;
    }
    let end: &[u8] = if overlay.entries.is_empty() {
        b"]}\n"
    } else {
        b"\n]}\n"
    };
    out.write_all(end)
}

fn write_page(page: &Uses, written: &mut Written, out: &mut dyn Write) -> io::Result<()> {
    for credential in &page.uses {
        let separator: &[u8] = if written.credentials > 0 {
            b",\n"
        } else {
            b"\n"
        };
        out.write_all(separator)?;
        serde_json::to_writer(&mut *out, credential)?;
        written.credentials += 1;
        written.used += usize::from(credential.last_used.is_some());
    }
    Ok(())
}
