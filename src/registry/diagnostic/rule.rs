//! The kinds of problems, by ids that stay: what a code scanner groups by. Pure.

use serde::Serialize;

/// What kind of problem something is. The ids are part of what `grantd check` promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Bytes that are no UTF-8.
    Encoding,
    /// Text that is no TOML.
    Syntax,
    /// A secret that stands in a file.
    SecretInClear,
    /// A key that its table does not have.
    UnknownKey,
    /// A value of another type than its key's.
    WrongType,
    /// A key that has to be there and is not.
    MissingKey,
    /// A value that may not be what it is.
    InvalidValue,
    /// Something that is there twice and may be there once.
    Duplicate,
    /// A name that nothing has.
    UndefinedReference,
    /// Something that `[policy]` does not allow.
    Policy,
    /// A client that can't ask for a token.
    NoCredential,
    /// A file or folder that is not as it must be.
    File,
}

impl Rule {
    /// Every rule, in the order of their declaration.
    pub const ALL: [Self; 12] = [
        Self::Encoding,
        Self::Syntax,
        Self::SecretInClear,
        Self::UnknownKey,
        Self::WrongType,
        Self::MissingKey,
        Self::InvalidValue,
        Self::Duplicate,
        Self::UndefinedReference,
        Self::Policy,
        Self::NoCredential,
        Self::File,
    ];

    /// The id, as JSON spells it too.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Encoding => "encoding",
            Self::Syntax => "syntax",
            Self::SecretInClear => "secret-in-clear",
            Self::UnknownKey => "unknown-key",
            Self::WrongType => "wrong-type",
            Self::MissingKey => "missing-key",
            Self::InvalidValue => "invalid-value",
            Self::Duplicate => "duplicate",
            Self::UndefinedReference => "undefined-reference",
            Self::Policy => "policy",
            Self::NoCredential => "no-credential",
            Self::File => "file",
        }
    }

    /// What it means, in a sentence.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Encoding => "A file of the registry is UTF-8.",
            Self::Syntax => "A file of the registry is TOML.",
            Self::SecretInClear => {
                "No secret stands in a file: a repository forgets nothing, so one that was \
                 committed is known."
            }
            Self::UnknownKey => "A table has only keys that this version of grantd knows.",
            Self::WrongType => "A value has the type of its key.",
            Self::MissingKey => "What a table has to say is there.",
            Self::InvalidValue => "A value is one that its key may have.",
            Self::Duplicate => "What is there once is not there twice.",
            Self::UndefinedReference => "What a name stands for is defined in the registry.",
            Self::Policy => "What is in the registry keeps to its [policy].",
            Self::NoCredential => "A client has a credential, or it can't ask for a token.",
            Self::File => "The registry's folder holds regular files that only its owners write.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place_and_one_id() {
        for (at, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, at, "{rule:?}");
            let json = serde_json::to_value(rule).unwrap_or_default();
            assert_eq!(json, rule.id(), "{rule:?}");
        }
        let ids: std::collections::BTreeSet<_> = Rule::ALL.map(Rule::id).into_iter().collect();
        assert_eq!(ids.len(), Rule::ALL.len());
    }
}
