//! Who breaks which rule of a policy, in words. Pure.

use std::fmt;

use super::GrantName;
use crate::domain::{ClientId, CredentialId, Lifetime, Owner, ResourceName, ScopeName};

/// One object that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Violation {
    /// Who or what.
    pub object: Object,
    /// The rule, and what is against it.
    pub broken: Broken,
}

/// What is held to rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Object {
    /// A resource.
    Resource(ResourceName),
    /// A scope of a resource.
    Scope(ResourceName, ScopeName),
    /// A client.
    Client(ClientId),
    /// A secret of a client.
    Secret(ClientId, CredentialId),
}

/// A rule with what breaks it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Broken {
    /// `max_token_lifetime`: tokens live longer.
    TokenLifetime {
        /// How long.
        found: Lifetime,
        /// What the rule allows.
        most: Lifetime,
    },
    /// `max_secret_lifetime`: the secret lives longer.
    SecretLifetime {
        /// How long; `None` when it has no end or no beginning.
        found: Option<Lifetime>,
        /// What the rule allows.
        most: Lifetime,
    },
    /// `require_owner`: there is none.
    OwnerMissing,
    /// `required_fields`: this one is not there.
    FieldMissing(&'static str),
    /// `names`: the object's name has another form.
    Name {
        /// The form.
        pattern: String,
    },
    /// `names`: the object's owner has a name of another form.
    OwnerName {
        /// The owner.
        owner: Owner,
        /// The form.
        pattern: String,
    },
    /// `two_owners`: the resource's owner is no other than the second one, or nobody.
    OneOwner {
        /// The second owner.
        second: Owner,
    },
    /// `never_together`: the client has all of these.
    Together {
        /// What it has.
        grants: Vec<GrantName>,
        /// Why it may not, as the policy says.
        reason: Option<String>,
    },
}

impl Broken {
    /// The rule as `[policy]` spells it.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::TokenLifetime { .. } => "max_token_lifetime",
            Self::SecretLifetime { .. } => "max_secret_lifetime",
            Self::OwnerMissing => "require_owner",
            Self::FieldMissing(_) => "required_fields",
            Self::Name { .. } | Self::OwnerName { .. } => "names",
            Self::OneOwner { .. } => "two_owners",
            Self::Together { .. } => "never_together",
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(name) => write!(f, "resource `{name}`"),
            Self::Scope(resource, scope) => write!(f, "scope `{scope}` of resource `{resource}`"),
            Self::Client(id) => write!(f, "client `{id}`"),
            Self::Secret(client, id) => write!(f, "{id} of client `{client}`"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = &self.object;
        match &self.broken {
            Broken::TokenLifetime { found, most } => {
                write!(
                    f,
                    "tokens of {object} live {found}: at most {most} are allowed"
                )
            }
            Broken::SecretLifetime {
                found: Some(found),
                most,
            } => {
                write!(f, "{object} lives {found}: at most {most} are allowed")
            }
            Broken::SecretLifetime { found: None, most } => {
                write!(
                    f,
                    "{object} has no life of at most {most}: it lacks `created` or `expires`"
                )
            }
            Broken::OwnerMissing => write!(f, "{object} has no owner"),
            Broken::FieldMissing(field) => write!(f, "{object} has no `{field}`"),
            Broken::Name { pattern } => {
                write!(f, "the name of {object} does not have the form `{pattern}`")
            }
            Broken::OwnerName { owner, pattern } => write!(
                f,
                "the owner `{}` of {object} does not have the form `{pattern}`",
                owner.as_str()
            ),
            Broken::OneOwner { second } => write!(
                f,
                "{object} has no owner besides the second one, `{}`",
                second.as_str()
            ),
            Broken::Together { grants, reason } => {
                let names: Vec<String> = grants.iter().map(|it| format!("`{it}`")).collect();
                write!(f, "{object} may not have {} together", names.join(" and "))?;
                match reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None => Ok(()),
                }
            }
        }
    }
}
