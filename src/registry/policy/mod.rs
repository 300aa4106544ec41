//! The words of `[policy]`: what its rules say, and how one is broken. Pure.
//!
//! Facts of the registry, beside [`snapshot`](super::snapshot). `check` reads the rules from files
//! and holds the files to them; `guard` holds another snapshot to them.
//!
//! **Invariant:** a rule that exists can be kept: what contradicts itself is refused where it is
//! parsed. Each kind of rule is judged by one function here, whoever asks.

mod fields;
mod limit;
mod pattern;
mod together;
mod violation;

pub use fields::{ClientField, Field, FieldSet, RequiredFields, ResourceField, SecretField};
pub use limit::{InvalidLimit, RemovalLimit};
pub use pattern::{InvalidPattern, NamePattern, NamePatterns};
pub use together::{GrantName, InvalidGrantName, NeverTogether};
pub use violation::{Broken, Object, Violation};

pub(super) use together::Together;

use crate::domain::{Owner, ResourceName, ScopeName};

/// Scopes of a resource that nobody gains by the word of the resource's owner alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TwoOwners {
    /// The resource.
    pub resource: ResourceName,
    /// The scopes, in the order of their names; never empty.
    pub scopes: Vec<ScopeName>,
    /// Who must approve besides the resource's owner; never the same.
    pub owner: Owner,
}

impl TwoOwners {
    /// Whether the owner of a resource and a second one are two: without a first there is but one.
    #[must_use]
    pub fn differ(first: Option<&Owner>, second: &Owner) -> bool {
        first.is_some_and(|first| first != second)
    }
}
