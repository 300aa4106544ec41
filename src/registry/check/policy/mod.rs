//! `[policy]`: from its tables to rules, and which policy of all files holds. Pure.
//!
//! What can be said of a policy by itself is said here: a rule that contradicts itself is refused.
//! What it says of resources is looked at beside them, and `rules` holds the files to it.

mod choice;
mod grants;
mod references;
mod resolve;

use std::ops::Range;

use toml::Spanned;

use super::values;
use crate::domain::{AuthMethod, Lifetime, Owner, ScopeName};
use crate::registry::diagnostic::Collector;
use crate::registry::file::{Amount, Given, NamesTable, PolicyTable};
use crate::registry::policy::{
    ClientField, GrantName, InvalidLimit, NamePattern, NeverTogether, RemovalLimit, ResourceField,
    SecretField,
};

use choice::{define_fields, define_methods};
use grants::{define_together, define_two_owners};

pub(super) use references::examine_policy;
pub(super) use resolve::{is_policy_file, resolve_policy, the_policy};

#[derive(Debug)]
pub(in crate::registry::check) struct PolicyDef {
    pub(in crate::registry::check) at: Range<usize>,
    pub(in crate::registry::check) owner: Given<Owner>,
    pub(in crate::registry::check) max_token_lifetime: Given<Lifetime>,
    pub(in crate::registry::check) max_secret_lifetime: Given<Lifetime>,
    pub(in crate::registry::check) require_owner: Given<bool>,
    pub(in crate::registry::check) max_removed_clients: Given<RemovalLimit>,
    pub(in crate::registry::check) allowed_auth_methods: Given<Vec<Spanned<AuthMethod>>>,
    pub(in crate::registry::check) required_fields: RequiredFieldsDef,
    pub(in crate::registry::check) names: NamesDef,
    pub(in crate::registry::check) two_owners: Vec<TwoOwnersDef>,
    pub(in crate::registry::check) never_together: Vec<NeverTogetherDef>,
}

#[derive(Debug, Default)]
pub(in crate::registry::check) struct RequiredFieldsDef {
    pub(in crate::registry::check) client: Given<Vec<Spanned<ClientField>>>,
    pub(in crate::registry::check) resource: Given<Vec<Spanned<ResourceField>>>,
    pub(in crate::registry::check) secret: Given<Vec<Spanned<SecretField>>>,
}

#[derive(Debug, Default)]
pub(in crate::registry::check) struct NamesDef {
    pub(in crate::registry::check) client: Given<NamePattern>,
    pub(in crate::registry::check) resource: Given<NamePattern>,
    pub(in crate::registry::check) scope: Given<NamePattern>,
    pub(in crate::registry::check) owner: Given<NamePattern>,
}

#[derive(Debug)]
pub(in crate::registry::check) struct TwoOwnersDef {
    pub(in crate::registry::check) resource: Spanned<String>,
    pub(in crate::registry::check) scopes: Vec<Spanned<ScopeName>>,
    pub(in crate::registry::check) owner: Given<Owner>,
}

#[derive(Debug)]
pub(in crate::registry::check) struct NeverTogetherDef {
    /// As the policy lists them.
    pub(in crate::registry::check) grants: Given<Vec<Spanned<GrantName>>>,
    /// `None` when something is wrong with it.
    pub(in crate::registry::check) rule: Option<NeverTogether>,
}

/// The policy of one file.
pub(in crate::registry::check) fn define_policy(
    table: Spanned<PolicyTable>,
    problems: &mut Collector<'_>,
) -> PolicyDef {
    let at = table.span();
    let PolicyTable {
        owner,
        max_token_lifetime,
        max_secret_lifetime,
        require_owner,
        max_removed_clients,
        allowed_auth_methods,
        required_fields,
        names,
        two_owners,
        never_together,
        partial: _,
    } = table.into_inner();
    let def = PolicyDef {
        at,
        owner: values::owner(owner, problems),
        max_token_lifetime: values::lifetime(max_token_lifetime, problems),
        max_secret_lifetime: values::lifetime(max_secret_lifetime, problems),
        require_owner,
        max_removed_clients: max_removed_clients
            .parse(|amount, span| removal_limit(&amount, span, problems)),
        allowed_auth_methods: define_methods(allowed_auth_methods, problems),
        required_fields: define_fields(required_fields, problems),
        names: define_names(names, problems),
        two_owners: two_owners
            .into_value()
            .unwrap_or_default()
            .0
            .into_iter()
            .map(|(resource, table)| define_two_owners(resource, table, problems))
            .collect(),
        never_together: define_together(never_together, problems),
    };
    own_owners(&def, problems);
    def
}

fn removal_limit(
    amount: &Amount,
    span: Range<usize>,
    problems: &mut Collector<'_>,
) -> Option<RemovalLimit> {
    let (parsed, shown) = match amount {
        Amount::Number(number) => (RemovalLimit::clients(*number), number.to_string()),
        Amount::Share(text) => (RemovalLimit::share(text), format!("\"{text}\"")),
    };
    let error = match parsed {
        Ok(limit) => return Some(limit),
        Err(error) => error,
    };
    let advice = match error {
        InvalidLimit::Form => "write a number, `20`, or whole percents, `\"5%\"`",
        InvalidLimit::Zero | InvalidLimit::Negative | InvalidLimit::OverAll => {
            "write at least `1`, or `\"1%\"` to `\"100%\"`; without the key there is no limit"
        }
    };
    problems.error(span, &format!("{shown} is no limit: {error}"), advice);
    None
}

fn define_names(given: Given<NamesTable>, problems: &mut Collector<'_>) -> NamesDef {
    let Some(table) = given.into_value() else {
        return NamesDef::default();
    };
    let NamesTable {
        client,
        resource,
        scope,
        owner,
        partial: _,
    } = table;
    let mut pattern = |given: Given<String>| {
        given.parse(|text, span| match NamePattern::parse(&text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let message = format!("this is no regular expression: {error}");
                let advice = "write one that matches the whole name, such as `'[a-z]+-[a-z0-9-]+'`, \
                              in single quotes: these keep each `\\`";
                problems.error(span, &message, advice);
                None
            }
        })
    };
    NamesDef {
        client: pattern(client),
        resource: pattern(resource),
        scope: pattern(scope),
        owner: pattern(owner),
    }
}

/// The owners that the policy itself names have the form that it asks of owners.
fn own_owners(def: &PolicyDef, problems: &mut Collector<'_>) {
    let Some(pattern) = def.names.owner.good() else {
        return;
    };
    let seconds = def.two_owners.iter().map(|it| &it.owner);
    for owner in std::iter::once(&def.owner).chain(seconds) {
        let Some(owner) = owner.good() else { continue };
        let name = owner.get_ref().as_str();
        if !pattern.get_ref().matches(name) {
            let message = format!(
                "the owner `{name}` does not have the form `{}`",
                pattern.get_ref()
            );
            let also = Some((pattern.span(), "the policy itself says so"));
            problems.error_also(owner.span(), &message, "change one of the two", also);
        }
    }
}
