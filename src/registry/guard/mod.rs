//! Whether a change may go live by itself, or waits for a person. Pure.
//!
//! Stage of the registry flow: `check → diff → guard → publish`. The daemon asks [`hold`] of each
//! registry that passed `check`, beside the one that is served; `grantd plan` asks the same before
//! a merge.
//!
//! **Invariant:** a change is judged under the policy before it as well as its own: none can loosen
//! a rule and use that at once. [`Held::hash`] is of what the change does, so that another commit
//! that does the same has the same.

mod removal;
mod rules;

#[cfg(test)]
mod tests;

use std::fmt;

pub use removal::{Gone, Leaving};
pub use rules::violations;

use super::policy::{RemovalLimit, Violation};
use super::snapshot::Snapshot;
use crate::domain::Digest;

/// Names the form of the hash: another form has other hashes.
const LABEL: &str = "grantd held v1";

/// Most objects that a reason names in words: the rest is counted.
const MAX_NAMED: usize = 10;

/// A change that is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Over who goes away, where that is a reason, and over the violations; over nothing else.
    pub hash: Digest,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
}

/// Why a change is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It removes or disables more clients than a policy allows.
    Removal {
        /// Who goes away, in the order of their names.
        gone: Vec<Gone>,
        /// How many clients were enabled before.
        enabled: usize,
        /// How many of them may go at once.
        allowed: usize,
        /// The rule that says so: the stricter one of the two policies.
        limit: RemovalLimit,
        /// Whose rule that is.
        judge: Judge,
    },
    /// What it breaks of the policy before it, in order; never empty. Its own policy it keeps.
    OldPolicy(Vec<Violation>),
}

/// Under whose policy a change is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// The policy that is being replaced.
    Old,
    /// The policy that the change brings, or leaves as it is.
    New,
}

/// Whether the change from `old` to `new` is to be held back. A first registry never is: there is
/// nothing that it could take away.
#[must_use]
pub fn hold(old: &Snapshot, new: &Snapshot) -> Option<Held> {
    let removal = removal::beyond_limit(old, new);
    let broken = newly_broken(old, new);
    let broken = (!broken.is_empty()).then_some(Reason::OldPolicy(broken));
    let reasons: Vec<Reason> = removal.into_iter().chain(broken).collect();
    if reasons.is_empty() {
        return None;
    }
    Some(Held {
        hash: hash(&reasons),
        reasons,
    })
}

/// What of `new` breaks a rule of the policy before it, and did not before.
fn newly_broken(old: &Snapshot, new: &Snapshot) -> Vec<Violation> {
    // What passed `check` keeps its own policy: the same policy before has nothing to add.
    if old.policy == new.policy {
        return Vec::new();
    }
    let mut broken = violations(&old.policy, new);
    if !broken.is_empty() {
        // Whom no rule is asked of, the demo client of `grantd dev`, has not changed.
        let before = violations(&old.policy, old);
        broken.retain(|it| before.binary_search(it).is_err());
    }
    broken
}

/// One value for one set of reasons: texts by their length, lists by their count.
fn hash(reasons: &[Reason]) -> Digest {
    let mut form = Vec::new();
    text(&mut form, LABEL);
    for reason in reasons {
        match reason {
            // How many may go is no part of what goes.
            Reason::Removal {
                gone,
                enabled: _,
                allowed: _,
                limit: _,
                judge: _,
            } => {
                text(&mut form, "removal");
                number(&mut form, gone.len());
                for Gone { client, how } in gone {
                    text(&mut form, client.as_str());
                    text(&mut form, how.verb());
                }
            }
            Reason::OldPolicy(violations) => {
                text(&mut form, "old policy");
                number(&mut form, violations.len());
                for violation in violations {
                    text(&mut form, violation.broken.rule());
                    text(&mut form, &violation.to_string());
                }
            }
        }
    }
    Digest::of(&form)
}

fn text(form: &mut Vec<u8>, text: &str) {
    number(form, text.len());
    form.extend_from_slice(text.as_bytes());
}

fn number(form: &mut Vec<u8>, number: usize) {
    // A length in memory always fits.
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    form.extend_from_slice(&number.to_be_bytes());
}

impl Judge {
    const fn words(self) -> &'static str {
        match self {
            Self::Old => "the policy before the change",
            Self::New => "the policy",
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, reason) in self.reasons.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removal {
                gone,
                enabled,
                allowed,
                limit,
                judge,
            } => {
                let removed = gone.iter().filter(|it| it.how == Leaving::Removed).count();
                write!(
                    f,
                    "{} of {enabled} enabled clients would go away ({removed} removed, {} disabled), \
                     where {} allows {allowed} at once (max_removed_clients = {limit}): ",
                    gone.len(),
                    gone.len() - removed,
                    judge.words(),
                )?;
                named(f, gone.iter().map(|it| it.client.as_str()), ", ")
            }
            Self::OldPolicy(violations) => {
                f.write_str("against the policy before the change: ")?;
                let told = violations
                    .iter()
                    .map(|it| format!("{it} ({})", it.broken.rule()));
                named(f, told, "; ")
            }
        }
    }
}

/// The first few of a list, and how many more there are.
fn named<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: impl ExactSizeIterator<Item = T>,
    separator: &str,
) -> fmt::Result {
    let more = items.len().saturating_sub(MAX_NAMED);
    for (at, item) in items.take(MAX_NAMED).enumerate() {
        let before = if at == 0 { "" } else { separator };
        write!(f, "{before}{item}")?;
    }
    match more {
        0 => Ok(()),
        more => write!(f, "{separator}and {more} more"),
    }
}
