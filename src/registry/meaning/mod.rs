//! What a change of the registry means, in words that a reviewer understands. Pure.
//!
//! Stage beside the registry flow: `diff → meaning`; the daemon does not need it, `grantd plan` does.
//!
//! **Invariant:** a change that is not empty has at least one statement, and equal registries have none.
//! What widens access is never [`Class::Other`]: not for a client that is disabled, nor for one that has
//! no credential yet.

mod clients;
mod losses;
mod policy;
mod resources;
mod secrets;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;

use super::check::Places;
use super::diff::Change;
use super::object::{Object, Spot};
use super::snapshot::{Client, Resource, Snapshot};
use crate::domain::{ClientId, CredentialId, ResourceName, ScopeName, UnixSeconds};

pub use words::{Piece, Words, count, words};

/// How much a reviewer should worry: the first first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Somebody may do more than before, or for longer.
    Widens,
    /// Something that runs may stand still.
    Breaks,
    /// The rest.
    Other,
}

/// Which of the two registries says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The registry as it was: of what is gone.
    Old,
    /// The registry as it is.
    New,
}

/// One fact about a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// How much to worry.
    pub class: Class,
    /// What kind of fact, for programs; stable: `client.gains`.
    pub kind: &'static str,
    /// Of what it is said.
    pub object: Object,
    /// Where in the object's table.
    pub spot: Spot,
    /// In which registry that stands.
    pub side: Side,
    /// The fact, in words.
    pub text: Words,
    /// What else a program may want to know.
    pub about: About,
}

/// The parts of a statement, for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The resource on which a client gains or loses.
    pub resource: Option<ResourceName>,
    /// The scopes that it gains or loses; empty where the resource has none.
    pub scopes: Vec<ScopeName>,
    /// The credential.
    pub credential: Option<CredentialId>,
    /// The clients that are concerned besides the object, in the order of their names.
    pub clients: Vec<ClientId>,
}

/// What is known besides the two registries.
#[derive(Clone)]
pub struct Facts<'a> {
    /// The moment at which the change is looked at.
    pub now: UnixSeconds,
    /// When each credential was last used, by its id; `None` for one that never was.
    pub last_use: HashMap<ClientId, HashMap<String, Option<UnixSeconds>>>,
    /// Where things stand in the files of both registries, the old one first, where there are files.
    pub places: Option<[&'a Places<'a>; 2]>,
}

/// A change with what is around it, as the parts of this stage take it.
struct Scene<'a> {
    old: &'a Snapshot,
    new: &'a Snapshot,
    facts: &'a Facts<'a>,
}

/// What the changes from `old` to `new` mean, the riskiest first; within a class in the order of objects.
#[must_use]
pub fn explain(
    old: &Snapshot,
    new: &Snapshot,
    changes: &[Change],
    facts: &Facts<'_>,
) -> Vec<Statement> {
    let scene = Scene { old, new, facts };
    let mut said = Vec::new();
    let lost = losses::find(&scene, changes, &mut said);
    for change in changes {
        match change {
            Change::PolicyChanged { before, after } => policy::changed(before, after, &mut said),
            Change::ResourceAdded(resource) => resources::added(resource, &scene, &mut said),
            Change::ResourceRemoved(resource) => {
                resources::removed(resource, &lost, &scene, &mut said);
            }
            Change::ResourceChanged { before, after, .. } => {
                resources::changed((before, after), &lost, &scene, &mut said);
            }
            Change::ClientAdded(client) => clients::added(client, &mut said),
            Change::ClientRemoved(client) => clients::removed(client, &scene, &mut said),
            Change::ClientChanged { before, after, .. } => {
                clients::changed(before, after, &scene, &mut said);
            }
        }
    }
    said.sort_by(|a, b| (a.class, &a.object).cmp(&(b.class, &b.object)));
    said
}

impl Class {
    /// Its name for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Widens => "widens",
            Self::Breaks => "breaks",
            Self::Other => "other",
        }
    }

    /// `Breaks` where something runs that can break.
    const fn breaks(runs: bool) -> Self {
        if runs { Self::Breaks } else { Self::Other }
    }
}

impl Statement {
    /// A statement about an object as it is now.
    fn new(class: Class, kind: &'static str, object: Object, text: Words) -> Self {
        Self {
            class,
            kind,
            object,
            spot: Spot::Whole,
            side: Side::New,
            text,
            about: About::default(),
        }
    }

    fn at(self, spot: Spot) -> Self {
        Self { spot, ..self }
    }

    fn before(self) -> Self {
        Self {
            side: Side::Old,
            ..self
        }
    }

    fn about(self, about: About) -> Self {
        Self { about, ..self }
    }
}

impl Scene<'_> {
    /// Whether a client may get tokens at the moment.
    fn runs(&self, client: &Client) -> bool {
        !client.disabled && client.expires.is_none_or(|end| end > self.facts.now)
    }

    /// When a client was last seen, by whatever credential.
    fn last_seen(&self, client: &ClientId) -> Option<UnixSeconds> {
        let known = self.facts.last_use.get(client)?;
        known.values().copied().flatten().max()
    }

    /// The end of a sentence that says when a client was last seen, where that is known.
    fn last_seen_words(&self, client: &ClientId) -> Words {
        self.last_seen(client).map_or_else(Words::default, |then| {
            let ago = words::ago(then, self.facts.now);
            words(&format!("; its credentials were last used {ago}"), &[])
        })
    }
}

/// A resource as a sentence names it: its title, and its name where that is another.
fn named(resource: &Resource) -> String {
    let name = resource.name.as_str();
    if resource.title == name {
        name.to_owned()
    } else {
        format!("{} ({name})", resource.title)
    }
}

fn list(scopes: &[ScopeName]) -> String {
    let names: Vec<&str> = scopes.iter().map(ScopeName::as_str).collect();
    names.join(", ")
}
