//! What a registry file spells, key by key, with the place of each value. Pure.
//!
//! Stage of the registry flow: `load → file → check`.
//!
//! **Invariant:** every problem of a file's form is found in one pass: syntax, unknown keys, wrong
//! types. Nothing is judged here that needs a second look: a text is still a text.
//!
//! The TOML is walked by hand and not by serde, which stops at the first error.

mod read;
mod secrets;
mod syntax;
mod tables;

use toml::de::DeTable;

pub use read::{Amount, Claim, Given, Named};
pub use tables::{
    ClientTable, FileTables, NamesTable, NeverTogetherTable, PolicyTable, RequiredFieldsTable,
    ResourceTable, SecretTable, TwoOwnersTable,
};

use super::diagnostic::Collector;
use read::Table as _;

/// Reads one file. What is wrong goes to `problems`; what is right is in the tables all the same,
/// so that one mistake does not look like ten.
pub(super) fn parse(problems: &mut Collector<'_>) -> FileTables {
    let source = problems.source();
    if let Some(at) = source.not_utf8_at() {
        problems.error(
            at..at + 1,
            &format!("this is not UTF-8, from byte {at} of the file on"),
            "save the file as UTF-8: TOML knows no other encoding",
        );
    }
    secrets::find(problems);
    let (table, errors) = DeTable::parse_recoverable(source.text());
    syntax::report(&errors, problems);
    secrets::find_named(table.get_ref(), 0, problems);
    if errors.is_empty() && source.not_utf8_at().is_none() {
        return FileTables::read_table(table.get_ref(), problems);
    }
    // What the tables of such a file lack may stand in a broken line, so their own problems are
    // not told. Their content counts for the sake of other files, which refer to it.
    let mut untold = Collector::new(source);
    FileTables {
        partial: true,
        ..FileTables::read_table(table.get_ref(), &mut untold)
    }
}

/// Every table with its keys, for the test that the reference names them all.
#[cfg(test)]
pub(super) const fn keys() -> [(&'static str, &'static [&'static str]); 9] {
    [
        (FileTables::WHAT, FileTables::KEYS),
        (ResourceTable::WHAT, ResourceTable::KEYS),
        (ClientTable::WHAT, ClientTable::KEYS),
        (SecretTable::WHAT, SecretTable::KEYS),
        (PolicyTable::WHAT, PolicyTable::KEYS),
        (RequiredFieldsTable::WHAT, RequiredFieldsTable::KEYS),
        (NamesTable::WHAT, NamesTable::KEYS),
        (TwoOwnersTable::WHAT, TwoOwnersTable::KEYS),
        (NeverTogetherTable::WHAT, NeverTogetherTable::KEYS),
    ]
}
