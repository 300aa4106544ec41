//! Rules that are lists of words of a fixed choice: methods and fields. Pure.

use toml::Spanned;

use super::RequiredFieldsDef;
use crate::domain::AuthMethod;
use crate::registry::diagnostic::Collector;
use crate::registry::file::{Given, RequiredFieldsTable};
use crate::registry::policy::{ClientField, Field, ResourceField, SecretField};
use crate::registry::suggest;

/// Keys that each table of its kind has, so that requiring them says nothing.
const ALWAYS_THERE: [(&str, &[&str]); 3] = [
    (ClientField::TABLE, &["grants", "disabled"]),
    (ResourceField::TABLE, &["identifier", "token_lifetime"]),
    (SecretField::TABLE, &["hash"]),
];

pub(super) fn define_methods(
    given: Given<Vec<Spanned<String>>>,
    problems: &mut Collector<'_>,
) -> Given<Vec<Spanned<AuthMethod>>> {
    if let Some(list) = given.good().filter(|list| list.get_ref().is_empty()) {
        let names = AuthMethod::ALL.map(AuthMethod::name).join("`, `");
        problems.error(
            list.span(),
            "no method is allowed: no client could ask for a token",
            &format!("name at least one of `{names}`; without the key all are allowed"),
        );
    }
    let choice = AuthMethod::ALL.map(|method| (method.name(), method));
    words(
        given,
        ("authentication method", &choice),
        |_| None,
        problems,
    )
}

pub(super) fn define_fields(
    given: Given<RequiredFieldsTable>,
    problems: &mut Collector<'_>,
) -> RequiredFieldsDef {
    let Some(table) = given.into_value() else {
        return RequiredFieldsDef::default();
    };
    let RequiredFieldsTable {
        client,
        resource,
        secret,
        partial: _,
    } = table;
    RequiredFieldsDef {
        client: fields(client, problems),
        resource: fields(resource, problems),
        secret: fields(secret, problems),
    }
}

fn fields<F: Field + PartialEq>(
    given: Given<Vec<Spanned<String>>>,
    problems: &mut Collector<'_>,
) -> Given<Vec<Spanned<F>>> {
    let table = F::TABLE;
    let choice: Vec<(&str, F)> = F::ALL.iter().map(|field| (field.name(), *field)).collect();
    let always = ALWAYS_THERE.iter().find(|(name, _)| *name == table);
    let explain = |word: &str| {
        let always = always.is_some_and(|(_, keys)| keys.contains(&word));
        always.then(|| format!("`{word}` can't be required: each {table} has a value for it"))
    };
    let what = format!("field that a {table} may be required to have");
    words(given, (&what, &choice), explain, problems)
}

/// A list of words of a fixed choice, each at most once.
fn words<T: Copy + PartialEq>(
    given: Given<Vec<Spanned<String>>>,
    (what, choice): (&str, &[(&str, T)]),
    explain: impl Fn(&str) -> Option<String>,
    problems: &mut Collector<'_>,
) -> Given<Vec<Spanned<T>>> {
    given.parse(|texts, _| {
        let mut known: Vec<Spanned<T>> = Vec::with_capacity(texts.len());
        for text in texts {
            let word = text.get_ref().as_str();
            let found = choice.iter().find(|(name, _)| *name == word);
            let Some((_, value)) = found else {
                let names = choice.iter().map(|(name, _)| *name);
                let message = explain(word).unwrap_or_else(|| format!("`{word}` is no {what}"));
                let advice = suggest::advice(word, "choose among", names);
                problems.error(text.span(), &message, &advice);
                continue;
            };
            match known.iter().find(|other| other.get_ref() == value) {
                Some(first) => {
                    let also = Some((first.span(), "first named here"));
                    let message = format!("`{word}` is named twice");
                    problems.error_also(text.span(), &message, "remove one of the two", also);
                }
                None => known.push(Spanned::new(text.span(), *value)),
            }
        }
        Some(known)
    })
}
