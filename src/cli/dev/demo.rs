//! The demo client: a file that is read as if it lay in the registry folder. Touches: nothing.

use std::sync::Arc;

use toml_edit::{Array, ArrayOfTables, Datetime, DocumentMut, Item, Table, value};

use crate::domain::{ClientId, GeneratedSecret, InvalidName, Lifetime, UnixSeconds};
use crate::random;
use crate::registry::snapshot::{Resource, Snapshot};
use crate::registry::source::Source;

/// What the client is called where the registry has no such client.
const NAMES: [&str; 2] = ["demo", "grantd-dev-demo"];

/// How long the secret lives: longer than any session, shorter than any policy.
const SECRET_LIFETIME: Lifetime = Lifetime::from_days(1);

/// A client that may do everything on the first resource of the registry.
#[derive(Debug)]
pub(super) struct Demo {
    pub(super) client: ClientId,
    pub(super) secret: GeneratedSecret,
    pub(super) resource: String,
    pub(super) scopes: Vec<String>,
    toml: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    #[error(
        "the registry has no resource: write one, such as [resource.billing] with an identifier and scopes"
    )]
    NoResource,
    #[error("the registry has clients named \"demo\" and \"grantd-dev-demo\": rename one")]
    Taken,
    #[error("not a name")]
    Name(#[from] InvalidName),
}

impl Demo {
    /// A client with a fresh secret for the first resource that has scopes, by name; else the first.
    pub(super) fn make(registry: &Snapshot, now: UnixSeconds) -> Result<Self, DemoError> {
        let mut resources: Vec<&Arc<Resource>> = registry.resources.values().collect();
        resources.sort_by_key(|resource| (resource.scopes.is_empty(), resource.name.clone()));
        let resource = resources.first().ok_or(DemoError::NoResource)?;
        let name = NAMES
            .into_iter()
            .find(|name| !registry.clients.contains_key(*name));
        let client = ClientId::parse(name.ok_or(DemoError::Taken)?)?;
        let secret = GeneratedSecret::from_entropy(&random::bytes());
        let scopes: Vec<String> = resource
            .scopes
            .iter()
            .map(|(name, _)| name.as_str().to_owned())
            .collect();
        let mut grants = Table::new();
        grants.insert(
            resource.name.as_str(),
            value(scopes.iter().collect::<Array>()),
        );
        let mut credential = Table::new();
        credential.insert("hash", value(secret.verifier(&client).to_string()));
        credential.insert("created", value(date(now)?));
        credential.insert("expires", value(date(now.plus(SECRET_LIFETIME))?));
        let mut credentials = ArrayOfTables::new();
        credentials.push(credential);
        let mut table = Table::new();
        table.insert("name", value("The demo client of grantd dev"));
        table.insert("owner", value("dev"));
        table.insert("grants", Item::Table(grants));
        table.insert("secret", Item::ArrayOfTables(credentials));
        let mut clients = Table::new();
        clients.insert(client.as_str(), Item::Table(table));
        let mut toml = DocumentMut::new();
        toml.insert("client", Item::Table(clients));
        Ok(Self {
            client,
            secret,
            resource: resource.identifier.as_str().to_owned(),
            scopes,
            toml: toml.to_string(),
        })
    }

    /// The file, under a name that no file of the folder has.
    pub(super) fn source(&self) -> Arc<Source> {
        Arc::new(Source::new(
            ".dev/demo.toml",
            self.toml.clone().into_bytes(),
        ))
    }
}

fn date(moment: UnixSeconds) -> Result<Datetime, DemoError> {
    moment
        .to_rfc3339()
        .parse()
        .map_err(|_| DemoError::Name(InvalidName::Character))
}
