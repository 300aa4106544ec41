//! From the tables of one file to definitions in domain types. Pure.
//!
//! Everything that can be said of a file by itself is said here, so that a file which did not
//! change needs no second look. Each table is taken apart exhaustively: a new key does not compile
//! until it is handled.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use toml::Spanned;

use super::credentials::{SecretDef, define_secrets};
use super::policy::{PolicyDef, define_policy};
use super::values;
use crate::domain::{
    Algorithm, ClientId, Lifetime, Owner, ResourceIdentifier, ResourceName, ScopeName,
};
use crate::registry::diagnostic::{Collector, Problem};
use crate::registry::file::{self, Claim, ClientTable, FileTables, Given, Named, ResourceTable};
use crate::registry::policy::{ClientField, FieldSet, ResourceField};
use crate::registry::source::Source;
use crate::registry::suggest;

use values::Moment;

/// Longest name for people in bytes: it stands in lists and pull request comments.
pub(super) const MAX_TITLE: usize = 128;

/// Longest description of a scope in bytes: it stands in consent texts and documentation.
pub(super) const MAX_DESCRIPTION: usize = 512;

/// What one file defines, and what is wrong with it by itself.
#[derive(Debug)]
pub struct Definitions {
    pub(super) source: Arc<Source>,
    pub(super) partial: bool,
    pub(super) resources: Vec<ResourceDef>,
    pub(super) clients: Vec<ClientDef>,
    pub(super) policy: Option<PolicyDef>,
    pub(super) problems: Vec<Problem>,
}

#[derive(Debug)]
pub(super) struct ResourceDef {
    pub(super) name: Spanned<ResourceName>,
    pub(super) identifier: Given<ResourceIdentifier>,
    pub(super) title: Option<String>,
    /// What a policy may require and is not there.
    pub(super) absent: FieldSet<ResourceField>,
    pub(super) owner: Given<Owner>,
    pub(super) token_lifetime: Given<Lifetime>,
    pub(super) algorithm: Given<Algorithm>,
    pub(super) claims: Vec<(Spanned<String>, Value)>,
    pub(super) scopes: Vec<(Spanned<ScopeName>, String)>,
}

#[derive(Debug)]
pub(super) struct ClientDef {
    pub(super) id: Spanned<ClientId>,
    pub(super) title: Option<String>,
    /// What a policy may require and is not there.
    pub(super) absent: FieldSet<ClientField>,
    pub(super) owner: Given<Owner>,
    pub(super) expires: Option<Moment>,
    pub(super) disabled: bool,
    pub(super) token_lifetime: Given<Lifetime>,
    pub(super) default_resource: Given<String>,
    pub(super) claims: Vec<(Spanned<String>, Value)>,
    pub(super) grants: Vec<GrantDef>,
    pub(super) secrets: Vec<SecretDef>,
}

#[derive(Debug)]
pub(super) struct GrantDef {
    pub(super) resource: Spanned<String>,
    /// `Broken` when at least one scope is not well-formed.
    pub(super) scopes: Given<Vec<Spanned<ScopeName>>>,
}

impl Definitions {
    /// What this file defines.
    #[must_use]
    pub fn of(source: Arc<Source>) -> Self {
        let mut told = Collector::new(&source);
        let FileTables {
            resource,
            client,
            policy,
            partial,
        } = file::parse(&mut told);
        let mut untold = Collector::new(&source);
        let problems = if partial { &mut untold } else { &mut told };
        let resources = named(resource)
            .into_iter()
            .filter_map(|(name, table)| define_resource(&name, table, problems))
            .collect();
        let clients = named(client)
            .into_iter()
            .filter_map(|(name, table)| define_client(&name, table, problems))
            .collect();
        let policy = match policy {
            Given::Good(policy) => Some(define_policy(policy, problems)),
            Given::Missing | Given::Broken => None,
        };
        let problems = told.into_problems();
        Self {
            partial,
            resources,
            clients,
            policy,
            problems,
            source,
        }
    }

    /// The file.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// What is wrong with the file by itself.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Whether the policy's rules are not asked of it: it does not come from the folder, where names
    /// that begin with a dot are never read, but from `grantd dev`, whose demo client may do
    /// everything and has no owner.
    pub(super) fn is_exempt(&self) -> bool {
        self.source.path().starts_with('.')
    }

    /// The clients that the file defines.
    pub fn client_ids(&self) -> impl Iterator<Item = &ClientId> {
        self.clients.iter().map(|client| client.id.get_ref())
    }
}

fn named<T>(table: Given<Named<T>>) -> Vec<(Spanned<String>, T)> {
    table.into_value().unwrap_or_default().0
}

fn define_resource(
    key: &Spanned<String>,
    table: ResourceTable,
    problems: &mut Collector<'_>,
) -> Option<ResourceDef> {
    let ResourceTable {
        identifier,
        name,
        owner,
        token_lifetime,
        algorithm,
        claims,
        scopes,
        partial: _,
    } = table;
    if matches!(identifier, Given::Missing) {
        let message = format!("resource `{}` has no identifier", key.get_ref());
        let advice = "write the audience of its tokens: `identifier = \"https://…\"`";
        problems.error(key.span(), &message, advice);
    }
    let absent = FieldSet::of([
        (ResourceField::Name, says_no_more(&name, key)),
        (ResourceField::Owner, owner.is_missing()),
        (ResourceField::Algorithm, algorithm.is_missing()),
        (ResourceField::Claims, claims.is_void(|it| it.0.is_empty())),
        (ResourceField::Scopes, scopes.is_void(|it| it.0.is_empty())),
    ]);
    let def = ResourceDef {
        absent,
        identifier: identifier.parse(|text, span| {
            values::parsed(
                ResourceIdentifier::parse(&text),
                "identifier",
                span,
                problems,
            )
        }),
        title: values::text(name, MAX_TITLE, problems).into_value(),
        owner: values::owner(owner, problems),
        token_lifetime: values::lifetime(token_lifetime, problems),
        algorithm: algorithm.parse(|text, span| match text.parse::<Algorithm>() {
            Ok(algorithm) => Some(algorithm),
            Err(error) => {
                let names = Algorithm::ALL.map(Algorithm::name);
                let advice = suggest::advice(&text, "algorithms", names);
                problems.error(span, &error.to_string(), &advice);
                None
            }
        }),
        claims: values::claims(claims, problems),
        scopes: define_scopes(scopes, problems),
        name: Spanned::new(
            key.span(),
            values::parsed(
                ResourceName::parse(key.get_ref()),
                "name",
                key.span(),
                problems,
            )?,
        ),
    };
    Some(def)
}

/// Whether a name for people is the table's own, or not there.
fn says_no_more(name: &Given<String>, key: &Spanned<String>) -> bool {
    name.is_void(|name| name == key.get_ref())
}

fn define_scopes(
    scopes: Given<Named<Given<String>>>,
    problems: &mut Collector<'_>,
) -> Vec<(Spanned<ScopeName>, String)> {
    let mut defined = Vec::new();
    for (name, description) in named(scopes) {
        let description = values::text(description, MAX_DESCRIPTION, problems);
        match ScopeName::parse(name.get_ref()) {
            Ok(scope) => defined.push((
                Spanned::new(name.span(), scope),
                description.into_value().unwrap_or_default(),
            )),
            Err(error) => problems.error(name.span(), &error.to_string(), ""),
        }
    }
    defined
}

fn define_client(
    key: &Spanned<String>,
    table: ClientTable,
    problems: &mut Collector<'_>,
) -> Option<ClientDef> {
    let absent = absent_of_client(key, &table);
    let ClientTable {
        name,
        owner,
        expires,
        disabled,
        token_lifetime,
        default_resource,
        claims,
        grants,
        secret,
        partial: _,
    } = table;
    if grants.is_void(|grants| grants.0.is_empty()) {
        let message = format!("client `{}` has no grants", key.get_ref());
        let advice =
            "say what it may ask for: `[client.NAME.grants]` with `RESOURCE = [\"SCOPE\"]`";
        problems.error(key.span(), &message, advice);
    }
    let def = ClientDef {
        absent,
        title: values::text(name, MAX_TITLE, problems).into_value(),
        owner: values::owner(owner, problems),
        expires: values::end(expires, problems).into_value(),
        disabled: disabled.into_value().unwrap_or(false),
        token_lifetime: values::lifetime(token_lifetime, problems),
        default_resource,
        claims: values::claims(claims, problems),
        grants: named(grants)
            .into_iter()
            .map(|(resource, scopes)| GrantDef {
                resource,
                scopes: scopes.parse(|scopes, _| grant_scopes(scopes, problems)),
            })
            .collect(),
        secrets: define_secrets(secret, problems),
        id: Spanned::new(
            key.span(),
            values::parsed(
                ClientId::parse(key.get_ref()),
                "client id",
                key.span(),
                problems,
            )?,
        ),
    };
    Some(def)
}

/// What a policy may require of a client and this table does not say.
fn absent_of_client(key: &Spanned<String>, table: &ClientTable) -> FieldSet<ClientField> {
    let grants = table.grants.good();
    let alone = grants.is_some_and(|grants| grants.get_ref().0.len() == 1);
    FieldSet::of([
        (ClientField::Name, says_no_more(&table.name, key)),
        (ClientField::Owner, table.owner.is_missing()),
        (ClientField::Expires, table.expires.is_missing()),
        (
            ClientField::TokenLifetime,
            table.token_lifetime.is_missing(),
        ),
        (
            ClientField::DefaultResource,
            table.default_resource.is_missing() && !alone,
        ),
        (
            ClientField::Claims,
            table.claims.is_void(|it| it.0.is_empty()),
        ),
        (ClientField::Secret, table.secret.is_void(Vec::is_empty)),
    ])
}

fn grant_scopes(
    scopes: Vec<Spanned<String>>,
    problems: &mut Collector<'_>,
) -> Option<Vec<Spanned<ScopeName>>> {
    let mut names: Vec<Spanned<ScopeName>> = Vec::with_capacity(scopes.len());
    let mut seen: HashMap<ScopeName, std::ops::Range<usize>> = HashMap::new();
    let mut whole = true;
    for scope in scopes {
        match ScopeName::parse(scope.get_ref()) {
            Ok(name) => match seen.get(&name) {
                Some(first) => {
                    let message = format!("scope `{name}` is granted twice");
                    let also = Some((first.clone(), "first granted here"));
                    problems.error_also(scope.span(), &message, "remove one of the two", also);
                }
                None => {
                    seen.insert(name.clone(), scope.span());
                    names.push(Spanned::new(scope.span(), name));
                }
            },
            Err(error) => {
                problems.error(
                    scope.span(),
                    &error.to_string(),
                    "each scope is a string of its own",
                );
                whole = false;
            }
        }
    }
    whole.then_some(names)
}

/// A claim's JSON, without the file's wrapper.
pub(super) fn claim_value(claim: Claim) -> Value {
    let Claim(value) = claim;
    value
}
