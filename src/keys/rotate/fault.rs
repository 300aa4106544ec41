//! Why the keys can't be used, or can't be kept. Pure.

use super::super::custody::CustodyError;
use super::super::generate::GenerateError;
use super::super::ports::StateFault;
use super::super::ring::KeyRecord;
use super::super::schedule::ScheduleFault;
use crate::domain::KeyId;

/// The keys can't be used, or can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Settings that would break promise 3.
    #[error("the key settings are refused:\n  {}", lines(.0))]
    Settings(Vec<ScheduleFault>),
    /// No key at all.
    #[error(
        "there are no signing keys: for a new deployment run `grantd init`; else a disk may be lost or not mounted: restore the key files, or, when they are lost for good, run `grantd init --keys-lost`"
    )]
    NoKeys,
    /// Keys on record whose files are gone.
    #[error(
        "key files are missing: {}: restore them from a backup; when they are lost for good, run `grantd init --keys-lost`",
        ids(.0)
    )]
    Missing(Vec<KeyRecord>),
    /// A key that does not verify what it signs.
    #[error(
        "the key {0} does not verify what it signs: its file or this machine's memory is broken; restore the file"
    )]
    SelfTest(KeyId),
    /// Key files.
    #[error(transparent)]
    Custody(#[from] CustodyError),
    /// A key could not be made.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The store.
    #[error(transparent)]
    State(#[from] StateFault),
}

impl KeysError {
    /// Whether nothing may be tried again after it.
    #[must_use]
    pub const fn ends_the_daemon(&self) -> bool {
        matches!(self, Self::State(StateFault::Failed(_)))
    }
}

fn lines(faults: &[ScheduleFault]) -> String {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n  ")
}

fn ids(keys: &[KeyRecord]) -> String {
    let ids: Vec<String> = keys
        .iter()
        .map(|key| format!("{} ({}, {})", key.id, key.algorithm, key.state.name()))
        .collect();
    ids.join(", ")
}
