//! What a service manager says through the environment. Touches: process, by its environment.
//!
//! Names and numbers only. A secret never comes through the environment: every child inherits it and
//! `/proc` shows it.

use std::path::{Path, PathBuf};

use super::environment;

/// Where the credentials of the packaged unit are when nobody says so: a command that an operator runs
/// as root beside the service finds them there (`man systemd.exec`, CREDENTIALS).
const CREDENTIALS: &str = "/run/credentials/grantd.service";

/// The folder of the credentials that the service manager passed (`LoadCredential=`).
#[must_use]
pub fn credentials() -> PathBuf {
    folder("CREDENTIALS_DIRECTORY").unwrap_or_else(|| Path::new(CREDENTIALS).to_owned())
}

/// Whether a service manager wants to hear how the daemon is (`sd_notify(3)`).
#[must_use]
pub fn is_notified() -> bool {
    folder("NOTIFY_SOCKET").is_some()
}

/// The names of the sockets that were passed to this process and to no other (`sd_listen_fds(3)`), in
/// the order of their descriptors; empty where there are none. A socket without a name has an empty one.
#[must_use]
pub fn passed_sockets() -> Vec<String> {
    let ours = text("LISTEN_PID").and_then(|pid| pid.parse().ok()) == Some(std::process::id());
    let count = text("LISTEN_FDS").and_then(|count| count.parse().ok());
    let count: usize = count.filter(|_| ours).unwrap_or(0);
    let names = text("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned);
    names
        .chain(std::iter::repeat(String::new()))
        .take(count.min(MAX_SOCKETS))
        .collect()
}

/// Most sockets that are looked at: the daemon has use for two.
const MAX_SOCKETS: usize = 16;

fn folder(name: &str) -> Option<PathBuf> {
    let value = environment::read(name);
    value.filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn text(name: &str) -> Option<String> {
    environment::read(name)?.into_string().ok()
}
