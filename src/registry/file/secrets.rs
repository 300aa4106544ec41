//! Refuses files with secrets in clear. Pure.
//!
//! The registry is read by everyone who may read its repository, and a repository forgets nothing:
//! a secret that was committed once is known.

use toml::de::{DeArray, DeTable, DeValue};

use crate::registry::diagnostic::Collector;
use crate::registry::mask;

/// How deep tables are searched: twice as deep as anything that a registry may hold, which is a
/// claim's value.
const MAX_DEPTH: usize = 32;

/// What to do with a secret that is in a file.
const ADVICE: &str = "a repository forgets nothing, so this secret is known: make a new one with \
    `grantd secret new`, which writes only its hash, and withdraw this one";

/// Notes what has the form of a secret, in values, keys and comments alike.
pub(super) fn find(problems: &mut Collector<'_>) {
    let text = problems.source().text();
    for span in mask::generated_secrets(text) {
        problems.error(span, "a client secret in clear", ADVICE);
    }
    for span in mask::private_keys(text) {
        problems.error(span, "a private key in clear", ADVICE);
    }
}

/// Notes each text under a key that holds a secret by its name. Scopes may have any name: what
/// stands behind them is a description. Behind the `secret` of a policy's `required_fields` stand
/// names of fields.
pub(super) fn find_named(table: &DeTable<'_>, depth: usize, problems: &mut Collector<'_>) {
    if depth > MAX_DEPTH {
        return;
    }
    for (key, value) in table {
        let name: &str = key.get_ref();
        match value.get_ref() {
            DeValue::String(text)
                if mask::is_secret_key(name)
                // What `find` has noted already is not noted twice.
                && mask::generated_secrets(text).is_empty() && mask::private_keys(text).is_empty() =>
            {
                let message = format!("`{name}` holds a secret in clear");
                problems.error(value.span(), &message, ADVICE);
            }
            DeValue::Table(inner) if !matches!(name, "scopes" | "required_fields") => {
                find_named(inner, depth + 1, problems);
            }
            DeValue::Array(items) => find_in_array(items, depth + 1, problems),
            _ => {}
        }
    }
}

fn find_in_array(items: &DeArray<'_>, depth: usize, problems: &mut Collector<'_>) {
    if depth > MAX_DEPTH {
        return;
    }
    for item in items {
        match item.get_ref() {
            DeValue::Table(inner) => find_named(inner, depth + 1, problems),
            DeValue::Array(inner) => find_in_array(inner, depth + 1, problems),
            _ => {}
        }
    }
}
