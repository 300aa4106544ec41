//! The tables of a registry file and their keys. Pure.
//!
//! The one list of keys: what stands here is what a file may say, and the doc lines are its
//! reference, and the descriptions of the schema that editors read. `check` takes each table apart field by
//! field, so that a new key does not compile until it is handled. Behind `=` stands what an editor may know
//! of a key beyond its kind.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

use super::read::{Amount, Claim, Given, Named, Read, Table, take, unknown_keys};
use super::schema::{self, Form, Key};
use crate::registry::diagnostic::{Collector, Rule};

/// The form that stands behind a key's kind, or any.
macro_rules! form {
    () => {
        Form::ANY
    };
    ($form:expr) => {
        $form
    };
}

macro_rules! tables {
    ($($(#[doc = $doc:literal])* $table:ident = $what:literal, later [$($later:literal),*] {
        $($(#[doc = $key_doc:literal])* $key:ident: $kind:ty $(= $form:expr)?,)*
    })*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $table {
            $($(#[doc = $key_doc])* pub $key: Given<$kind>,)*
            /// Whether lines of its file could not be read, so that what is missing here may
            /// stand there.
            pub partial: bool,
        }

        impl Table for $table {
            const WHAT: &'static str = $what;
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
            const LATER: &'static [&'static str] = &[$($later),*];

            fn read_table(table: &DeTable<'_>, problems: &mut Collector<'_>) -> Self {
                unknown_keys::<Self>(table, problems);
                Self {
                    $($key: take::<$kind>(table, stringify!($key), problems),)*
                    partial: false,
                }
            }
        }

        impl Read for $table {
            const KIND: &'static str = "a table";

            fn read(
                value: &DeValue<'_>,
                span: Range<usize>,
                problems: &mut Collector<'_>,
            ) -> Option<Self> {
                if let DeValue::Table(table) = value {
                    return Some(Self::read_table(table, problems));
                }
                let message = concat!("a table is needed here: ", $what);
                let named = if $what.contains("NAME") { "each has a name: " } else { "" };
                problems.error_of(Rule::WrongType, span, message, &format!("{named}write {}", $what));
                None
            }

            fn schema() -> Value {
                schema::table(concat!($($doc, "\n"),*), vec![$(Key {
                    name: stringify!($key),
                    description: [$($key_doc),*].join("\n"),
                    schema: <$kind as Read>::schema(),
                    form: form!($($form)?),
                }),*])
            }
        }
    )*};
}

tables! {
    /// A file.
    FileTables = "a file", later ["issuer"] {
        /// Resources by name.
        resource: Named<ResourceTable> = Form::of(schema::by_name),
        /// Clients by id.
        client: Named<ClientTable> = Form::of(schema::by_name),
        /// The rules above all files.
        policy: PolicyTable,
    }

    /// A protected resource: an API that tokens are for.
    ResourceTable = "`[resource.NAME]`", later [] {
        /// The audience of its tokens, and what a client sends as `resource`: an absolute URI.
        identifier: String = Form::of(schema::identifier).required(),
        /// The name for people; the table's name where left out.
        name: String = Form::of(schema::line),
        /// Who answers for it.
        owner: String = Form::of(schema::owner),
        /// How long its tokens live, such as `"15m"`.
        token_lifetime: String = Form::of(schema::span),
        /// The algorithm that signs its tokens, such as `"ES256"`; the daemon's first where left
        /// out.
        algorithm: String = Form::of(schema::algorithm),
        /// Claims that each of its tokens carries.
        claims: Named<Claim>,
        /// Its scopes, each with its description.
        scopes: Named<Given<String>> = Form::of(schema::by_scope),
    }

    /// A client: a machine that asks for tokens.
    ClientTable = "`[client.NAME]`", later ["federated", "key", "certificate"] {
        /// The name for people; the table's name where left out.
        name: String = Form::of(schema::line),
        /// Who answers for it.
        owner: String = Form::of(schema::owner),
        /// The last day, or the moment, until which it may do anything.
        expires: Datetime,
        /// Whether it is switched off.
        disabled: bool,
        /// How long its tokens live, where that is shorter than the resource's.
        token_lifetime: String = Form::of(schema::span),
        /// The resource that it means when it names none.
        default_resource: String = Form::of(schema::name),
        /// Claims that each of its tokens carries.
        claims: Named<Claim>,
        /// The scopes that it may ask for, by resource.
        grants: Named<Given<Vec<Spanned<String>>>> = Form::of(schema::grants).required(),
        /// The verifiers of its secrets.
        secret: Vec<Spanned<SecretTable>>,
    }

    /// The verifier of a generated secret.
    SecretTable = "`[[client.NAME.secret]]`", later [] {
        /// The verifier, as `grantd secret new` writes it.
        hash: String = Form::of(schema::hash).required(),
        /// When it was made.
        created: Datetime,
        /// The day, or the moment, from which on it may be used.
        not_before: Datetime,
        /// The last day, or the moment, until which it may be used.
        expires: Datetime,
        /// What people call it.
        label: String = Form::of(schema::line),
    }

    /// The rules above all files, at most once, and only below the policy folder.
    PolicyTable = "`[policy]`", later ["max_key_lifetime"] {
        /// Who approves changes of the policy.
        owner: String = Form::of(schema::owner),
        /// Longest lifetime of a token.
        max_token_lifetime: String = Form::of(schema::span),
        /// Longest life of a secret, from `created` to `expires`.
        max_secret_lifetime: String = Form::of(schema::span),
        /// Whether each client and resource must name its owner.
        require_owner: bool,
        /// Most clients that one change may remove or disable: `20`, or `"5%"`.
        max_removed_clients: Amount,
        /// How clients may prove who they are, such as `"client_secret_basic"`.
        allowed_auth_methods: Vec<Spanned<String>> = Form::of(schema::auth_methods),
        /// What each table must say.
        required_fields: RequiredFieldsTable,
        /// The form that names must have.
        names: NamesTable,
        /// Scopes that need a second owner, by resource.
        two_owners: Named<TwoOwnersTable> = Form::of(schema::by_name),
        /// Grants that no client may have together.
        never_together: Vec<Spanned<NeverTogetherTable>>,
    }

    /// What each table must say.
    RequiredFieldsTable = "`[policy.required_fields]`", later ["key", "certificate", "federated"] {
        /// Fields of each client.
        client: Vec<Spanned<String>>,
        /// Fields of each resource.
        resource: Vec<Spanned<String>>,
        /// Fields of each secret.
        secret: Vec<Spanned<String>>,
    }

    /// The form that names must have: regular expressions that match the whole name.
    NamesTable = "`[policy.names]`", later [] {
        /// What the ids of clients must match, whole.
        client: String,
        /// What the names of resources must match, whole.
        resource: String,
        /// What the names of scopes must match, whole.
        scope: String,
        /// What owners must match, whole.
        owner: String,
    }

    /// Scopes of a resource that need a second owner's approval.
    TwoOwnersTable = "`[policy.two_owners.RESOURCE]`", later [] {
        /// The scopes.
        scopes: Vec<Spanned<String>> = Form::ANY.required(),
        /// The second owner, besides the resource's.
        owner: String = Form::of(schema::owner).required(),
    }

    /// Grants that no client may have together.
    NeverTogetherTable = "`[[policy.never_together]]`", later [] {
        /// Two or more: `RESOURCE/SCOPE`, or `RESOURCE` for anything there.
        grants: Vec<Spanned<String>> = Form::ANY.required(),
        /// Why, for people.
        reason: String = Form::of(schema::line),
    }
}
