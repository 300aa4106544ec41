//! Which policy of all files holds, and what it says. Pure.

use std::sync::Arc;

use toml::Spanned;

use super::{PolicyDef, TwoOwnersDef};
use crate::domain::{AuthMethod, ResourceName, ScopeName};
use crate::registry::check::define::Definitions;
use crate::registry::check::findings::{Findings, Found};
use crate::registry::check::{DEFAULT_MAX_TOKEN_LIFETIME, LONGEST_TOKEN_LIFETIME, Rules};
use crate::registry::diagnostic::Problem;
use crate::registry::file::Given;
use crate::registry::policy::{
    Field, FieldSet, NamePatterns, NeverTogether, RequiredFields, TwoOwners,
};
use crate::registry::snapshot::Policy;

/// The policy that holds: the first below the policy folder. Others are problems.
pub(in crate::registry::check) fn the_policy<'a>(
    files: &'a [Arc<Definitions>],
    rules: &Rules,
    found: &mut Findings,
) -> Option<Found<'a, PolicyDef>> {
    let mut first: Option<Found<'a, PolicyDef>> = None;
    let mut valid = None;
    for file in files {
        let Some(def) = &file.policy else { continue };
        let here = Found {
            file: file.as_ref(),
            def,
        };
        if is_policy_file(file, rules) {
            valid = valid.or(Some(here));
        } else {
            found.error(|| {
                let folder = &rules.policy_folder;
                Problem::error(
                    here.place(def.at.clone()),
                    &format!("`[policy]` stands outside of `{folder}/`"),
                )
                .advise(&format!(
                    "move it to a file below `{folder}/`, which CODEOWNERS can guard"
                ))
            });
        }
        match first {
            None => first = Some(here),
            Some(first) => found.error(|| {
                Problem::error(here.place(def.at.clone()), "`[policy]` is defined twice")
                    .advise("there is one policy for the whole registry: join the two")
                    .also(first.place(first.def.at.clone()), "first defined here")
            }),
        }
        if let Some(most) = def.max_token_lifetime.good()
            && *most.get_ref() > LONGEST_TOKEN_LIFETIME
        {
            found.error(|| {
                let message = format!("a token may live {LONGEST_TOKEN_LIFETIME} at most");
                Problem::error(here.place(most.span()), &message)
                    .advise("nobody can take back a token: let clients fetch a new one instead")
            });
        }
    }
    valid
}

/// Whether a file may have a policy.
pub(in crate::registry::check) fn is_policy_file(file: &Definitions, rules: &Rules) -> bool {
    file.source()
        .path()
        .strip_prefix(rules.policy_folder.as_str())
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The rules that hold. `unread` says that lines of the policy could not be read: then nothing is
/// measured by a default that somebody may have overruled there.
pub(in crate::registry::check) fn resolve_policy(
    at: Option<Found<'_, PolicyDef>>,
    unread: bool,
) -> Policy {
    let Some(Found { def, .. }) = at else {
        return Policy::of_lifetime(if unread {
            LONGEST_TOKEN_LIFETIME
        } else {
            DEFAULT_MAX_TOKEN_LIFETIME
        });
    };
    let PolicyDef {
        at: _,
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
    } = def;
    let mut two_owners: Vec<TwoOwners> = two_owners.iter().filter_map(second_owner).collect();
    two_owners.sort();
    let rules = never_together.iter().filter_map(|it| it.rule.clone());
    let mut never_together: Vec<NeverTogether> = rules.collect();
    never_together.sort();
    Policy {
        owner: value(owner),
        max_token_lifetime: match max_token_lifetime {
            Given::Broken => LONGEST_TOKEN_LIFETIME,
            Given::Missing if unread => LONGEST_TOKEN_LIFETIME,
            Given::Missing => DEFAULT_MAX_TOKEN_LIFETIME,
            Given::Good(lifetime) => *lifetime.get_ref(),
        },
        max_secret_lifetime: value(max_secret_lifetime),
        require_owner: value(require_owner).unwrap_or(false),
        max_removed_clients: value(max_removed_clients),
        allowed_auth_methods: value(allowed_auth_methods).map(|methods| {
            let mut methods: Vec<AuthMethod> = methods.iter().map(|it| *it.get_ref()).collect();
            methods.sort_unstable();
            methods
        }),
        required_fields: RequiredFields {
            client: set(&required_fields.client),
            resource: set(&required_fields.resource),
            secret: set(&required_fields.secret),
        },
        names: NamePatterns {
            client: value(&names.client),
            resource: value(&names.resource),
            scope: value(&names.scope),
            owner: value(&names.owner),
        },
        two_owners,
        never_together,
    }
}

fn second_owner(def: &TwoOwnersDef) -> Option<TwoOwners> {
    let mut scopes: Vec<ScopeName> = def.scopes.iter().map(|it| it.get_ref().clone()).collect();
    scopes.sort_unstable();
    Some(TwoOwners {
        // What is no name is no resource either, which is noted beside the resources.
        resource: ResourceName::parse(def.resource.get_ref()).ok()?,
        scopes,
        owner: value(&def.owner)?,
    })
}

fn value<T: Clone>(given: &Given<T>) -> Option<T> {
    given.good().map(|value| value.get_ref().clone())
}

fn set<F: Field>(given: &Given<Vec<Spanned<F>>>) -> FieldSet<F> {
    let fields = given.good().into_iter().flat_map(Spanned::get_ref);
    fields.map(|field| *field.get_ref()).collect()
}
