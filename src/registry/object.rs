//! What in a registry something is said of: an object, and a spot within it. Pure.

use std::fmt;

use crate::domain::{ClientId, CredentialId, ResourceName, ScopeName};

/// An object of a registry, by the name of its table. In the order in which people read them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// The rules above all files.
    Policy,
    /// A resource.
    Resource(ResourceName),
    /// A client.
    Client(ClientId),
}

/// A spot within the table of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Spot {
    /// The table as a whole: its first line.
    #[default]
    Whole,
    /// A key of the table.
    Key(&'static str),
    /// A client's grant on a resource.
    Grant(ResourceName),
    /// A scope that a resource has.
    Scope(ScopeName),
    /// A secret of a client.
    Secret(CredentialId),
    /// A claim.
    Claim(String),
}

impl fmt::Display for Object {
    /// As the registry spells its table: `client.nightly-invoices`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy => f.write_str("policy"),
            Self::Resource(name) => write!(f, "resource.{name}"),
            Self::Client(id) => write!(f, "client.{id}"),
        }
    }
}
