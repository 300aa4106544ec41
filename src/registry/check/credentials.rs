//! The secrets of a client, as its file defines them. Pure.

use std::ops::Range;

use toml::Spanned;

use super::define::MAX_TITLE;
use super::values::{self, Moment};
use crate::domain::SecretVerifier;
use crate::registry::diagnostic::Collector;
use crate::registry::file::{Given, SecretTable};
use crate::registry::policy::{FieldSet, SecretField};

/// Most secrets of one client: two overlap in a rotation; each request compares with all.
const MAX_SECRETS: usize = 16;

#[derive(Debug)]
pub(super) struct SecretDef {
    pub(super) at: Range<usize>,
    pub(super) verifier: Spanned<SecretVerifier>,
    pub(super) label: Option<String>,
    /// What a policy may require and is not there.
    pub(super) absent: FieldSet<SecretField>,
    pub(super) created: Given<Moment>,
    pub(super) not_before: Given<Moment>,
    pub(super) expires: Given<Moment>,
}

/// The secrets of one client.
pub(super) fn define_secrets(
    secrets: Given<Vec<Spanned<SecretTable>>>,
    problems: &mut Collector<'_>,
) -> Vec<SecretDef> {
    let secrets = secrets.into_value().unwrap_or_default();
    if let Some(extra) = secrets.get(MAX_SECRETS) {
        let message = format!("a client has more than {MAX_SECRETS} secrets");
        problems.error(extra.span(), &message, "remove those that have expired");
    }
    let mut defined: Vec<SecretDef> = Vec::new();
    for table in secrets.into_iter().take(MAX_SECRETS) {
        let Some(secret) = define_secret(table, problems) else {
            continue;
        };
        let twin = defined
            .iter()
            .find(|other| other.verifier.get_ref() == secret.verifier.get_ref());
        if let Some(twin) = twin {
            let also = Some((twin.verifier.span(), "first written here"));
            let message = "the same hash stands twice in one client";
            problems.error_also(
                secret.verifier.span(),
                message,
                "remove one of the two",
                also,
            );
        }
        defined.push(secret);
    }
    defined
}

fn define_secret(table: Spanned<SecretTable>, problems: &mut Collector<'_>) -> Option<SecretDef> {
    let at = table.span();
    let SecretTable {
        hash,
        created,
        not_before,
        expires,
        label,
        partial: _,
    } = table.into_inner();
    if matches!(hash, Given::Missing) {
        let advice = "make one with `grantd secret new`, which writes this table";
        problems.error(at.clone(), "a secret without its hash", advice);
    }
    let absent = FieldSet::of([
        (SecretField::Label, label.is_missing()),
        (SecretField::Created, created.is_missing()),
        (SecretField::NotBefore, not_before.is_missing()),
        (SecretField::Expires, expires.is_missing()),
    ]);
    let hash = hash.parse(|text, span| values::verifier(&text, span, problems));
    let created = values::begin(created, problems);
    let not_before = values::begin(not_before, problems);
    let expires = values::end(expires, problems);
    if let Some(end) = expires.good() {
        for (begin, what) in [(&created, "created"), (&not_before, "not_before")] {
            if let Some(begin) = begin
                .good()
                .filter(|it| it.get_ref().at >= end.get_ref().at)
            {
                let also = Some((begin.span(), "this is not before it"));
                let message = format!("`expires` is not after `{what}`: it could never be used");
                problems.error_also(end.span(), &message, "", also);
            }
        }
    }
    Some(SecretDef {
        at,
        absent,
        label: values::text(label, MAX_TITLE, problems).into_value(),
        created,
        not_before,
        expires,
        verifier: match hash {
            Given::Good(verifier) => verifier,
            Given::Missing | Given::Broken => return None,
        },
    })
}
