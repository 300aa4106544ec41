//! Grants that no client may have together: `[[policy.never_together]]`. Pure.

use std::collections::HashMap;
use std::fmt;

use crate::domain::{InvalidName, InvalidScope, ResourceName, ScopeName};

/// What a client may have: a scope on a resource, or anything at all there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantName {
    /// The resource.
    pub resource: ResourceName,
    /// The scope; `None` means any grant on the resource, which may have no scopes at all.
    pub scope: Option<ScopeName>,
}

/// Why a text names no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrantName {
    /// What stands before the slash is no name.
    #[error("no resource has such a name: {0}")]
    Resource(InvalidName),
    /// What stands behind it is no scope.
    #[error("this is no scope: {0}")]
    Scope(InvalidScope),
}

impl GrantName {
    /// `RESOURCE/SCOPE`, or `RESOURCE` alone. Names of resources have no slash; scopes may.
    ///
    /// # Errors
    /// [`InvalidGrantName`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidGrantName> {
        let (resource, scope) = match text.split_once('/') {
            Some((resource, scope)) => (resource, Some(scope)),
            None => (text, None),
        };
        let scope = scope.map(ScopeName::parse).transpose();
        Ok(Self {
            resource: ResourceName::parse(resource).map_err(InvalidGrantName::Resource)?,
            scope: scope.map_err(InvalidGrantName::Scope)?,
        })
    }

    /// Whether who has `other` has this too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.resource == other.resource && (self.scope.is_none() || self.scope == other.scope)
    }
}

impl fmt::Display for GrantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Some(scope) => write!(f, "{}/{scope}", self.resource),
            None => write!(f, "{}", self.resource),
        }
    }
}

/// Grants of which no client may have all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NeverTogether {
    /// Two or more, in the order of their names; none covers another.
    pub grants: Vec<GrantName>,
    /// Why, for people.
    pub reason: Option<String>,
}

/// The rules by a resource that each needs, so that a client is held only to those that it could
/// break.
pub(in crate::registry) struct Together<'a>(HashMap<&'a str, Vec<&'a NeverTogether>>);

impl<'a> Together<'a> {
    /// An index of these rules.
    pub(in crate::registry) fn of(rules: impl IntoIterator<Item = &'a NeverTogether>) -> Self {
        let mut by_resource: HashMap<&str, Vec<&NeverTogether>> = HashMap::new();
        for rule in rules {
            if let Some(first) = rule.grants.first() {
                let resource = first.resource.as_str();
                by_resource.entry(resource).or_default().push(rule);
            }
        }
        Self(by_resource)
    }

    /// Whether there are no rules.
    pub(in crate::registry) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules that a client breaks which has grants on these resources, and `has` says which.
    pub(in crate::registry) fn broken<'c>(
        &self,
        resources: impl IntoIterator<Item = &'c str>,
        has: impl Fn(&GrantName) -> bool,
    ) -> Vec<&'a NeverTogether> {
        let rules = resources.into_iter().filter_map(|name| self.0.get(name));
        rules
            .flatten()
            .copied()
            .filter(|rule| rule.grants.iter().all(&has))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn name(text: &str) -> GrantName {
        GrantName::parse(text).unwrap()
    }

    #[test]
    fn a_grant_is_named_by_resource_and_scope() {
        for text in [
            "billing",
            "billing/payment:release",
            "billing/a/b",
            "billing/https://x/y",
        ] {
            assert_eq!(name(text).to_string(), text);
        }
        for wrong in ["", "/read", "billing/", "Billing/read", "billing/a b"] {
            assert!(GrantName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_resource_covers_its_scopes() {
        assert!(name("billing").covers(&name("billing/read")));
        assert!(name("billing/read").covers(&name("billing/read")));
        assert!(!name("billing/read").covers(&name("billing")));
        assert!(!name("billing").covers(&name("stock/read")));
    }

    #[test]
    fn a_rule_is_broken_by_all_of_its_grants_alone() {
        let rules = [NeverTogether {
            grants: vec![
                name("billing/create"),
                name("billing/release"),
                name("stock"),
            ],
            reason: None,
        }];
        let index = Together::of(&rules);
        let broken = |grants: &[&str]| {
            let grants: Vec<GrantName> = grants.iter().map(|it| name(it)).collect();
            let resources = grants.iter().map(|grant| grant.resource.as_str());
            let mut resources: Vec<&str> = resources.collect();
            resources.sort_unstable();
            resources.dedup();
            let has = |wanted: &GrantName| grants.iter().any(|grant| wanted.covers(grant));
            index.broken(resources, has).len()
        };
        assert_eq!(broken(&["billing/create", "billing/release"]), 0);
        assert_eq!(broken(&["stock/read", "stock/write"]), 0);
        assert_eq!(
            broken(&["billing/create", "billing/release", "stock/read"]),
            1
        );
        assert_eq!(broken(&[]), 0);
    }
}
