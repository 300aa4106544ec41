//! Everything that a plan says, before it is printed. Pure.

use super::last_use::LastUse;
use super::overlay::Taken;
use super::side::{Side, Sides};
use crate::domain::{Owner, UnixSeconds};
use crate::registry::approval::{Approval, approvals};
use crate::registry::check::Places;
use crate::registry::diagnostic::Problem;
use crate::registry::diff::{Counts, diff};
use crate::registry::guard::{Held, hold};
use crate::registry::load::LoadError;
use crate::registry::meaning::{Class, Facts, Statement, explain};
use crate::registry::meaning::{Side as Which, count};

/// When an operator can release what is held back.
pub(super) const ONCE_MERGED: &str = "once it is merged and waits at the daemon";

/// A plan.
pub(super) struct Report {
    /// The registry before the change.
    pub(super) from: About,
    /// The registry after it.
    pub(super) to: About,
    /// How many objects change.
    pub(super) counts: Counts,
    /// What the change means, the riskiest first.
    pub(super) told: Vec<Told>,
    /// Who must approve, where that was asked.
    pub(super) approvals: Option<Vec<Approval>>,
    /// Who has approved, where that is to be held against it.
    pub(super) approved: Option<Vec<Owner>>,
    /// Why the daemon would not take the change by itself.
    pub(super) held: Option<Held>,
    /// What an operator took away above the registry, and the registry does not say yet.
    pub(super) overlay: Vec<Taken>,
    /// When the figures of last use were written, where there are some.
    pub(super) figures: Option<UnixSeconds>,
}

/// What is said of one of the two registries.
pub(super) struct About {
    pub(super) source: String,
    pub(super) label: String,
    pub(super) commit: Option<String>,
    pub(super) digest: String,
}

/// A statement with its place.
pub(super) struct Told {
    pub(super) statement: Statement,
    /// The file, with what stands before its path.
    pub(super) file: Option<String>,
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
}

/// A registry of `--to` that is none.
pub(super) struct Refused {
    /// What the command line calls it.
    pub(super) label: String,
    /// What stands before its files' paths.
    pub(super) prefix: String,
    /// What is wrong; empty where there is an error instead.
    pub(super) problems: Vec<Problem>,
    /// Why it can't be read as a registry at all.
    pub(super) error: Option<String>,
}

impl Refused {
    pub(super) fn load(label: &str, error: &LoadError) -> Self {
        Self {
            label: label.to_owned(),
            prefix: String::new(),
            problems: Vec::new(),
            error: Some(error.to_string()),
        }
    }

    pub(super) fn check(label: &str, prefix: &str, problems: Vec<Problem>) -> Self {
        Self {
            label: label.to_owned(),
            prefix: prefix.to_owned(),
            problems,
            error: None,
        }
    }

    /// In one line.
    pub(super) fn summary(&self) -> String {
        match self.error {
            Some(_) => format!("{}: refused", self.label),
            None => format!(
                "{}: refused, {}",
                self.label,
                count(self.problems.len(), "problem")
            ),
        }
    }
}

impl Report {
    /// Compares the two.
    pub(super) fn of(
        sides: Sides,
        last_use: LastUse,
        (asks, approved): (bool, Option<Vec<Owner>>),
        now: UnixSeconds,
    ) -> Self {
        let Sides { from, to } = sides;
        let (old, new) = (&from.snapshot, &to.snapshot);
        let changes = match old.digest == new.digest {
            true => Vec::new(),
            false => diff(old, new),
        };
        // Nothing need be found where nothing changes.
        let files = |side: &Side| match changes.is_empty() {
            true => Vec::new(),
            false => side.files.clone(),
        };
        let (old_files, new_files) = (files(&from), files(&to));
        let places = [&Places::of(&old_files), &Places::of(&new_files)];
        let facts = Facts {
            now,
            last_use: last_use.credentials,
            places: Some(places),
        };
        let statements = explain(old, new, &changes, &facts);
        // What the registry says itself is no longer above it.
        let open = |taken: &Taken| !taken.is_said_by(new);
        Self {
            counts: Counts::of(&changes),
            told: placed(statements, places, [&from.prefix, &to.prefix]),
            approvals: asks.then(|| approvals(old, &changes)),
            approved,
            held: hold(old, new),
            overlay: last_use.overlay.into_iter().filter(open).collect(),
            figures: last_use.exported,
            from: About::of(&from),
            to: About::of(&to),
        }
    }

    /// Whether the two differ.
    pub(super) fn changes(&self) -> bool {
        !self.told.is_empty()
    }

    /// Whether the change may not go on as it is. What is held back may be merged once all who must have
    /// agreed: it waits at the daemon then.
    pub(super) fn is_refused(&self) -> bool {
        match self.approved {
            Some(_) => self.missing() > 0,
            None => self.held.is_some(),
        }
    }

    /// How many statements are of this class.
    pub(super) fn number(&self, class: Class) -> usize {
        self.of_class(class).count()
    }

    /// The statements of this class.
    pub(super) fn of_class(&self, class: Class) -> impl Iterator<Item = &Told> {
        self.told
            .iter()
            .filter(move |told| told.statement.class == class)
    }

    /// Whether this approval is given; `None` where nobody asks.
    pub(super) fn given(&self, approval: &Approval) -> Option<bool> {
        let approved = self.approved.as_ref()?;
        Some(approval.is_given(approved))
    }

    /// How many approvals are missing.
    pub(super) fn missing(&self) -> usize {
        let approvals = self.approvals.iter().flatten();
        approvals.filter(|it| self.given(it) == Some(false)).count()
    }

    /// The change in one line.
    pub(super) fn summary(&self) -> String {
        if !self.changes() {
            return "nothing changes".to_owned();
        }
        let parts = [
            (self.number(Class::Widens), "widens access", "widen access"),
            (
                self.number(Class::Breaks),
                "breaks what runs",
                "break what runs",
            ),
            (self.number(Class::Other), "other", "others"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(number, ..)| *number > 0)
            .map(|(number, one, more)| {
                format!("{number} {}", if *number == 1 { one } else { more })
            })
            .collect();
        parts.join(", ")
    }

    /// How the approvals stand, in one line; `None` where nobody asks.
    pub(super) fn standing(&self) -> Option<String> {
        let needed = self.approvals.as_ref()?.len();
        let missing = self.missing();
        Some(match (&self.approved, needed) {
            (_, 0) => "none is needed".to_owned(),
            (None, needed) => format!("{needed} needed"),
            (Some(_), needed) if missing == 0 => format!("all {needed} given"),
            (Some(_), needed) => format!("{missing} of {needed} missing"),
        })
    }
}

impl About {
    fn of(side: &Side) -> Self {
        Self {
            source: side.source.clone(),
            label: side.label.clone(),
            commit: side
                .commit
                .as_ref()
                .map(|commit| commit.as_str().to_owned()),
            digest: side.snapshot.digest.to_string(),
        }
    }
}

/// Who may give an approval, in words.
pub(super) fn approvers(approval: &Approval) -> String {
    let names: Vec<String> = approval.one_of.iter().map(ToString::to_string).collect();
    names.join(" or ")
}

/// Each statement with its place: of what is gone, where it stood.
fn placed(
    statements: Vec<Statement>,
    [old, new]: [&Places<'_>; 2],
    [old_prefix, new_prefix]: [&str; 2],
) -> Vec<Told> {
    let place = |statement: Statement| {
        let (places, prefix) = match statement.side {
            Which::Old => (old, old_prefix),
            Which::New => (new, new_prefix),
        };
        let place = places.find(&statement.object, &statement.spot);
        let spot = place.as_ref().and_then(|place| place.spot.as_ref());
        Told {
            line: spot.map(|spot| spot.line),
            column: spot.map(|spot| spot.column),
            file: place
                .as_ref()
                .map(|place| format!("{prefix}{}", place.file)),
            statement,
        }
    };
    statements.into_iter().map(place).collect()
}
