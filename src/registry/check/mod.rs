//! Whether files make a registry, and which. Pure.
//!
//! Stage of the registry flow: `file → check → diff`.
//!
//! **Invariant:** a [`Snapshot`](super::snapshot::Snapshot) comes out only when nothing at all is
//! wrong, and every problem of every file is told at once. Time never makes a registry invalid:
//! what a date means for today is [`expiries`]' to say.

mod build;
mod clients;
mod credentials;
mod cross;
mod define;
mod expiry;
mod findings;
mod places;
mod policy;
mod rules;
mod values;

use std::sync::Arc;

pub use define::Definitions;
pub use expiry::{Expiring, Expiry, expiries};
pub use places::Places;

use super::diagnostic::{self, Problem};
use super::snapshot::Snapshot;
use crate::domain::{Algorithm, Lifetime};

/// A token's lifetime where neither file nor policy says one: RFC 9700 asks for short-lived
/// tokens, and 15 minutes outlast any retry.
pub const DEFAULT_TOKEN_LIFETIME: Lifetime = Lifetime::from_minutes(15);

/// Longest lifetime of a token where no policy says one: an hour, what most APIs expect.
pub const DEFAULT_MAX_TOKEN_LIFETIME: Lifetime = Lifetime::from_hours(1);

/// Longest lifetime of a token that a policy may allow: what nobody can recall must end, and keys
/// stay published for that long after they last signed.
pub const LONGEST_TOKEN_LIFETIME: Lifetime = Lifetime::from_days(30);

/// The folder below the registry's root in which alone `[policy]` may stand.
pub const POLICY_FOLDER: &str = "policy";

/// What a registry is checked against, besides itself.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The algorithms for which the daemon holds keys, the default first.
    pub algorithms: Vec<Algorithm>,
    /// The folder below the root in which alone `[policy]` may stand.
    pub policy_folder: String,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            algorithms: vec![Algorithm::Es256],
            policy_folder: POLICY_FOLDER.to_owned(),
        }
    }
}

/// A registry that was accepted.
#[derive(Debug)]
pub struct Checked {
    /// What is served.
    pub snapshot: Snapshot,
    /// What somebody should look at, sorted by file and line.
    pub warnings: Vec<Problem>,
}

/// Checks files together. `files` are in the order of their paths.
///
/// # Errors
/// Every problem of every file, sorted by file and line.
pub fn check(files: &[Arc<Definitions>], rules: &Rules) -> Result<Checked, Vec<Problem>> {
    let mut found = findings::Findings::default();
    let registry = cross::examine(files, rules, &mut found);
    let mut problems: Vec<Problem> = files
        .iter()
        .flat_map(|file| file.problems.iter().cloned())
        .collect();
    problems.extend(found.errors());
    if !problems.is_empty() {
        diagnostic::sort(&mut problems);
        return Err(problems);
    }
    let mut warnings = found.warnings();
    diagnostic::sort(&mut warnings);
    Ok(Checked {
        snapshot: build::snapshot(&registry),
        warnings,
    })
}
