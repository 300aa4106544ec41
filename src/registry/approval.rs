//! Who must agree to a change of the registry. Pure.
//!
//! Stage beside the registry flow: `diff → approval`; `grantd plan --approvals` asks it.
//!
//! **Invariant:** who approves is what the registry *before* the change says: a change can't name its own
//! judge. The one exception is what was not there before, which its own owner answers for. An API is known
//! by its name and by its audience alike, so that moving one under another name leaves its owner asked.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::diff::{Change, ClientPart, ResourcePart};
use super::meaning::{Words, words};
use super::object::Object;
use super::snapshot::{Client, Policy, Resource, ResourceGrant, Snapshot};
use crate::domain::{Owner, ScopeName};

/// Who may approve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approver {
    /// An owner, as the registry names it.
    Owner(Owner),
    /// Nobody is named: neither the object nor the policy has an owner.
    Nobody,
}

/// One approval that a change needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Any one of these is enough; never empty, and mostly one.
    pub one_of: Vec<Approver>,
    /// What for, in the order of the changes; never empty.
    pub reasons: Vec<Reason>,
}

/// Why an approval is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule that asks for it, for programs; stable.
    pub rule: &'static str,
    /// What the change is of.
    pub object: Object,
    /// What changes, in words.
    pub text: Words,
}

/// Every approval that these changes of `old` need, in the order of the approvers.
#[must_use]
pub fn approvals(old: &Snapshot, changes: &[Change]) -> Vec<Approval> {
    let mut asked = Asked {
        old,
        needed: BTreeMap::new(),
    };
    for change in changes {
        match change {
            Change::PolicyChanged { before, after } => asked.policy(before, after),
            Change::ResourceAdded(resource) => asked.resource_added(resource),
            Change::ResourceRemoved(resource) => asked.resource_removed(resource),
            Change::ResourceChanged {
                before,
                after,
                parts,
            } => asked.resource(before, after, parts),
            Change::ClientAdded(client) => asked.client_added(client),
            Change::ClientRemoved(client) => asked.client_removed(client),
            Change::ClientChanged {
                before,
                after,
                parts,
            } => asked.client(before, after, parts),
        }
    }
    asked.into_approvals()
}

impl Approval {
    /// Whether one of these owners has given it.
    #[must_use]
    pub fn is_given(&self, by: &[Owner]) -> bool {
        self.one_of.iter().any(|approver| match approver {
            Approver::Owner(owner) => by.contains(owner),
            Approver::Nobody => false,
        })
    }
}

impl fmt::Display for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(owner) => f.write_str(owner.as_str()),
            Self::Nobody => f.write_str("nobody is named"),
        }
    }
}

/// What is asked for so far.
struct Asked<'a> {
    old: &'a Snapshot,
    needed: BTreeMap<BTreeSet<Approver>, Vec<Reason>>,
}

impl Asked<'_> {
    /// Who answers for something with this owner, by the registry before the change.
    fn answers(&self, owner: Option<&Owner>) -> Approver {
        let owner = owner.or(self.old.policy.owner.as_ref());
        owner.cloned().map_or(Approver::Nobody, Approver::Owner)
    }

    /// Notes that one of these must agree. Where somebody is named, nobody is not needed.
    fn one_of(
        &mut self,
        approvers: impl IntoIterator<Item = Approver>,
        (rule, object): (&'static str, &Object),
        text: Words,
    ) {
        let mut set: BTreeSet<Approver> = approvers.into_iter().collect();
        if set.len() > 1 {
            set.remove(&Approver::Nobody);
        }
        self.needed.entry(set).or_default().push(Reason {
            rule,
            object: object.clone(),
            text,
        });
    }

    /// Notes that each of these must agree.
    fn each(
        &mut self,
        approvers: impl IntoIterator<Item = Approver>,
        about: (&'static str, &Object),
        text: &Words,
    ) {
        // One owner of two resources is asked once.
        let approvers: BTreeSet<Approver> = approvers.into_iter().collect();
        for approver in approvers {
            self.one_of([approver], about, text.clone());
        }
    }

    fn policy(&mut self, before: &Policy, after: &Policy) {
        let object = Object::Policy;
        let owner = self.answers(None);
        self.one_of(
            [owner],
            ("policy", &object),
            words("the policy changes", &[]),
        );
        let (from, to) = (before.owner.as_ref(), after.owner.as_ref());
        if from != to {
            self.transfer(&object, (from, to), words("the policy", &[]));
        }
    }

    fn transfer(
        &mut self,
        object: &Object,
        (from, to): (Option<&Owner>, Option<&Owner>),
        of: Words,
    ) {
        let text = of.and(words(" passes from {} to {}", &[&named(from), &named(to)]));
        let both = [self.answers(from), self.answers(to)];
        self.each(both, ("transfer", object), &text);
    }

    fn resource_added(&mut self, resource: &Resource) {
        let object = Object::Resource(resource.name.clone());
        let text = words("resource {} is new", &[&resource.name]);
        let owner = self.answers(resource.owner.as_ref());
        self.one_of([owner], ("new", &object), text);
        self.audience(resource);
    }

    fn resource_removed(&mut self, resource: &Resource) {
        let object = Object::Resource(resource.name.clone());
        let text = words("resource {} is removed", &[&resource.name]);
        let owner = self.answers(resource.owner.as_ref());
        self.one_of([owner], ("removed", &object), text);
    }

    fn resource(&mut self, before: &Resource, after: &Resource, parts: &[ResourcePart]) {
        let object = Object::Resource(after.name.clone());
        if parts.contains(&ResourcePart::Owner) {
            let of = words("resource {}", &[&after.name]);
            let owners = (before.owner.as_ref(), after.owner.as_ref());
            self.transfer(&object, owners, of);
        }
        let parts: Vec<&str> = parts
            .iter()
            .filter_map(|part| resource_part(*part))
            .collect();
        if !parts.is_empty() {
            let form = format!("resource {{}} changes: {}", parts.join(", "));
            let owner = self.answers(before.owner.as_ref());
            self.one_of([owner], ("resource", &object), words(&form, &[&after.name]));
        }
        self.audience(after);
    }

    /// Tokens that are good for an audience which was another resource's.
    fn audience(&mut self, resource: &Resource) {
        let known = self.old.by_identifier.get(&resource.identifier);
        let Some(known) = known.filter(|known| known.name != resource.name) else {
            return;
        };
        let object = Object::Resource(resource.name.clone());
        let text = words(
            "resource {} takes the audience {}, which is that of {}",
            &[&resource.name, &resource.identifier, &known.name],
        );
        let owner = self.answers(known.owner.as_ref());
        self.one_of([owner], ("audience", &object), text);
    }

    fn client_added(&mut self, client: &Client) {
        let object = Object::Client(client.id.clone());
        let owner = self.answers(client.owner.as_ref());
        let text = words("client {} is new", &[&client.id]);
        self.one_of([owner], ("new", &object), text);
        for grant in &client.grants {
            self.gain(client, grant, &grant.scopes);
        }
        if !client.claims.is_empty() {
            self.claims(client);
        }
    }

    fn client_removed(&mut self, client: &Client) {
        let object = Object::Client(client.id.clone());
        let owner = self.answers(client.owner.as_ref());
        let text = words("client {} is removed", &[&client.id]);
        self.one_of([owner], ("removed", &object), text);
    }

    fn client(&mut self, before: &Client, after: &Client, parts: &[ClientPart]) {
        let object = Object::Client(after.id.clone());
        if parts.contains(&ClientPart::Owner) {
            let of = words("client {}", &[&after.id]);
            let owners = (before.owner.as_ref(), after.owner.as_ref());
            self.transfer(&object, owners, of);
        }
        let told: Vec<&str> = parts.iter().filter_map(|part| client_part(*part)).collect();
        if !told.is_empty() {
            let form = format!("client {{}} changes: {}", told.join(", "));
            let owner = self.answers(before.owner.as_ref());
            self.one_of([owner], ("client", &object), words(&form, &[&after.id]));
        }
        if parts.contains(&ClientPart::Grants) {
            self.grants(before, after);
        }
        let more = |(name, value)| before.claims.get(name) != Some(value);
        if after.claims.iter().any(more) {
            self.claims(after);
        }
    }

    fn grants(&mut self, before: &Client, after: &Client) {
        for grant in &after.grants {
            let old = before.grant_on(&grant.resource.name);
            let had = |scope: &&ScopeName| old.is_some_and(|old| old.scopes.contains(scope));
            let gained = grant.scopes.iter().filter(|scope| !had(scope));
            let gained: Vec<ScopeName> = gained.cloned().collect();
            if old.is_none() || !gained.is_empty() {
                self.gain(after, grant, &gained);
            }
        }
        for grant in &before.grants {
            let kept = after.grant_on(&grant.resource.name);
            let keeps = |scope: &ScopeName| kept.is_some_and(|kept| kept.scopes.contains(scope));
            let lost = grant.scopes.iter().filter(|scope| !keeps(scope));
            let lost: Vec<&str> = lost.map(ScopeName::as_str).collect();
            if kept.is_some() && lost.is_empty() {
                continue;
            }
            // Whoever gives and whoever has may take away; nobody should need two for that.
            let object = Object::Client(after.id.clone());
            let either = [
                self.answers(before.owner.as_ref()),
                self.answers(grant.resource.owner.as_ref()),
            ];
            let text = match kept {
                None => words(
                    "client {} loses access to {}",
                    &[&after.id, &grant.resource.name],
                ),
                Some(_) => words(
                    "client {} loses {} on {}",
                    &[&after.id, &lost.join(", "), &grant.resource.name],
                ),
            };
            self.one_of(either, ("loses", &object), text);
        }
    }

    /// A client gains these scopes on a resource, or access to one without scopes.
    fn gain(&mut self, client: &Client, grant: &ResourceGrant, gained: &[ScopeName]) {
        let resource = &grant.resource;
        let object = Object::Client(client.id.clone());
        let scopes: Vec<&str> = gained.iter().map(ScopeName::as_str).collect();
        let text = match scopes.as_slice() {
            [] => words(
                "client {} gains access to {}",
                &[&client.id, &resource.name],
            ),
            scopes => words(
                "client {} gains {} on {}",
                &[&client.id, &scopes.join(", "), &resource.name],
            ),
        };
        let guardians = self.guardians(resource);
        self.each(guardians, ("gains", &object), &text);
        let second = self.second_owners(resource, gained);
        self.each(second, ("second_owner", &object), &text);
    }

    /// A client's tokens carry more: every API that reads them is concerned.
    fn claims(&mut self, client: &Client) {
        let object = Object::Client(client.id.clone());
        for grant in &client.grants {
            let text = words(
                "tokens of client {} for {} carry other claims",
                &[&client.id, &grant.resource.name],
            );
            let guardians = self.guardians(&grant.resource);
            self.each(guardians, ("claims", &object), &text);
        }
    }

    /// The resources before the change that are this one, by name or by audience.
    fn known(&self, resource: &Resource) -> Vec<&Resource> {
        let by_name = self.old.resources.get(&resource.name);
        let by_audience = self.old.by_identifier.get(&resource.identifier);
        let mut known: Vec<&Resource> = by_name.into_iter().map(AsRef::as_ref).collect();
        let other = by_audience.filter(|it| it.name != resource.name);
        known.extend(other.map(AsRef::as_ref));
        known
    }

    /// Who must agree where somebody gains on a resource.
    fn guardians(&self, resource: &Resource) -> Vec<Approver> {
        let known = self.known(resource);
        if known.is_empty() {
            return vec![self.answers(resource.owner.as_ref())];
        }
        let owners = known.iter().map(|known| self.answers(known.owner.as_ref()));
        owners.collect()
    }

    /// Who must agree besides, where the policy before the change wants two owners for a scope.
    fn second_owners(&self, resource: &Resource, gained: &[ScopeName]) -> Vec<Approver> {
        let known = self.known(resource);
        let rules = self.old.policy.two_owners.iter();
        rules
            .filter(|rule| known.iter().any(|known| known.name == rule.resource))
            .filter(|rule| gained.iter().any(|scope| rule.scopes.contains(scope)))
            .map(|rule| Approver::Owner(rule.owner.clone()))
            .collect()
    }

    /// The approvals with their reasons. One that any of several may give goes to somebody who must
    /// agree anyway.
    fn into_approvals(self) -> Vec<Approval> {
        let alone: BTreeSet<Approver> = self
            .needed
            .keys()
            .filter(|set| set.len() == 1)
            .flatten()
            .cloned()
            .collect();
        let mut merged: BTreeMap<BTreeSet<Approver>, Vec<Reason>> = BTreeMap::new();
        for (set, reasons) in self.needed {
            let anyway = set.iter().find(|approver| alone.contains(*approver));
            let key = match anyway {
                Some(approver) => BTreeSet::from([approver.clone()]),
                None => set,
            };
            merged.entry(key).or_default().extend(reasons);
        }
        merged
            .into_iter()
            .map(|(set, reasons)| Approval {
                one_of: set.into_iter().collect(),
                reasons,
            })
            .collect()
    }
}

fn named(owner: Option<&Owner>) -> &str {
    owner.map_or("nobody", Owner::as_str)
}

/// What of a client its owner approves. What it gains is its resources' owners' to approve, and a
/// transfer is told by itself.
const fn client_part(part: ClientPart) -> Option<&'static str> {
    match part {
        ClientPart::Title => Some("name"),
        ClientPart::Disabled => Some("disabled"),
        ClientPart::Expires => Some("expires"),
        ClientPart::TokenLifetime => Some("token_lifetime"),
        ClientPart::DefaultGrant => Some("default_resource"),
        ClientPart::Secrets => Some("credentials"),
        ClientPart::Claims => Some("claims"),
        ClientPart::Grants | ClientPart::Owner => None,
    }
}

/// What of a resource its owner approves.
const fn resource_part(part: ResourcePart) -> Option<&'static str> {
    match part {
        ResourcePart::Identifier => Some("identifier"),
        ResourcePart::Title => Some("name"),
        ResourcePart::TokenLifetime => Some("token_lifetime"),
        ResourcePart::Algorithm => Some("algorithm"),
        ResourcePart::Scopes => Some("scopes"),
        ResourcePart::Claims => Some("claims"),
        ResourcePart::Owner => None,
    }
}
