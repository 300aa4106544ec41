//! What `dev` prints once it is ready. Touches: process, by stdout.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;

use super::Demo;
use crate::cli::Format;
use crate::domain::Issuer;

/// What is known before the start.
pub(super) struct Shown {
    pub(super) issuer: Issuer,
    pub(super) registry: PathBuf,
    pub(super) state: PathBuf,
    pub(super) ca: PathBuf,
    pub(super) demo: Demo,
    pub(super) kept: bool,
}

/// Prints it.
pub(super) fn ready(
    shown: &Shown,
    metrics: SocketAddr,
    format: Format,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{}", object(shown, metrics))?,
        Format::Text => text(shown, metrics, out)?,
    }
    out.flush()
}

fn object(shown: &Shown, metrics: SocketAddr) -> serde_json::Value {
    let issuer = &shown.issuer;
    json!({
        "issuer": issuer.as_str(),
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "jwks_uri": format!("{issuer}/oauth2/jwks"),
        "ca_file": shown.ca,
        "client_id": shown.demo.client.as_str(),
        "client_secret": shown.demo.secret.expose(),
        "resource": shown.demo.resource,
        "scopes": shown.demo.scopes,
        "metrics": metrics.to_string(),
        "registry": shown.registry,
        "state": shown.state,
        "pid": std::process::id(),
    })
}

fn text(shown: &Shown, metrics: SocketAddr, out: &mut dyn Write) -> io::Result<()> {
    let issuer = &shown.issuer;
    writeln!(out, "\ngrantd is ready at {issuer}. A token:\n")?;
    writeln!(
        out,
        "curl --cacert {} {issuer}/oauth2/token \\",
        quoted(&shown.ca.display().to_string())
    )?;
    writeln!(out, "  -d grant_type=client_credentials \\")?;
    writeln!(
        out,
        "  --data-urlencode {} \\",
        quoted(&format!("resource={}", shown.demo.resource))
    )?;
    writeln!(out, "  -d client_id={} \\", shown.demo.client)?;
    writeln!(out, "  -d client_secret={}\n", shown.demo.secret.expose())?;
    let fate = if shown.kept {
        "kept"
    } else {
        "removed at the end; --state DIR keeps one"
    };
    let rows = [
        ("keys for verifiers", format!("{issuer}/oauth2/jwks")),
        (
            "metrics, health",
            format!("http://{metrics}/metrics /readyz"),
        ),
        (
            "registry",
            format!(
                "{} (edit a file: the change is live at once)",
                shown.registry.display()
            ),
        ),
        ("state", format!("{} ({fate})", shown.state.display())),
        (
            "audit events",
            format!(
                "grantd audit tail --state {}",
                quoted(&shown.state.display().to_string())
            ),
        ),
    ];
    for (name, value) in rows {
        writeln!(out, "  {name:<20}{value}")?;
    }
    writeln!(out, "\nCtrl-C ends it.")
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
