//! The JSON Schema of a registry file (draft 2020-12), put together from the tables. Pure.
//!
//! **Invariant:** what `check` accepts is valid by the schema, so that no editor marks what is right. The other
//! way round it can't be: only `check` sees all files together. Nothing is used that the language servers of
//! TOML don't know: keywords of draft 7 and earlier, everything in one place, without references.

use serde_json::{Map, Value, json};

use crate::domain::{Algorithm, AuthMethod, MAX_IDENTIFIER, MAX_SCOPES};

/// The dialect: <https://json-schema.org/draft/2020-12/schema>.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The name of a client or a resource (`domain::ids`).
const NAME: &str = "^[a-z0-9]([a-z0-9_.-]{0,61}[a-z0-9])?$";

/// A scope (RFC 6749 section 3.3), of at most `MAX_SCOPE` bytes.
const SCOPE: &str = r"^[!#-\[\]-~]{1,256}$";

/// Whole units, each a number with letters: `domain::Lifetime` knows which.
const SPAN: &str = "^([0-9]+[a-z]+)+$";

/// The verifier of a generated secret: SHA-256 in base64url.
const HASH: &str = "^sha256:[A-Za-z0-9_-]{43}$";

/// An absolute URI without a fragment (RFC 3986 section 4.3).
const URI: &str = r#"^[A-Za-z][A-Za-z0-9+.-]*:[!-"$-~]*$"#;

/// A text that has something in it, on one line.
const LINE: &str = r"^[^\r\n]*\S[^\r\n]*$";

/// What is known of a key beyond the kind of its value.
#[derive(Clone, Copy)]
pub(super) struct Form {
    narrow: fn(&mut Map<String, Value>),
    required: bool,
}

impl Form {
    /// Nothing more.
    pub(super) const ANY: Self = Self::of(|_| ());

    /// What `narrow` adds to the schema of the kind.
    pub(super) const fn of(narrow: fn(&mut Map<String, Value>)) -> Self {
        Self {
            narrow,
            required: false,
        }
    }

    /// The same of a key that has to be there.
    pub(super) const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

/// One key of a table.
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// Its doc lines.
    pub(super) description: String,
    /// The schema of its kind.
    pub(super) schema: Value,
    /// What more is known.
    pub(super) form: Form,
}

/// The schema of a table with these keys and no others.
pub(super) fn table(description: &str, keys: Vec<Key>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys {
        if key.form.required {
            required.push(key.name);
        }
        let mut schema = match key.schema {
            Value::Object(schema) => schema,
            _ => Map::new(),
        };
        (key.form.narrow)(&mut schema);
        schema.insert("description".to_owned(), prose(&key.description).into());
        properties.insert(key.name.to_owned(), Value::Object(schema));
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("description".to_owned(), prose(description).into());
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("additionalProperties".to_owned(), false.into());
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    Value::Object(schema)
}

/// The schema of a file: that of its tables, with the dialect and a title.
pub(super) fn file(mut tables: Value) -> Value {
    if let Some(schema) = tables.as_object_mut() {
        schema.insert("$schema".to_owned(), DIALECT.into());
        schema.insert("title".to_owned(), "A file of grantd's registry".into());
    }
    tables
}

/// A date or a moment with its zone. TOML's own dates come to validators as texts.
pub(super) fn date() -> Value {
    json!({
        "type": "string",
        "anyOf": [{ "format": "date" }, { "format": "date-time" }],
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]+)?)?\
                    ([Zz]|[+-][0-9]{2}:[0-9]{2}))?$",
    })
}

fn pattern(schema: &mut Map<String, Value>, pattern: &str, examples: &[&str]) {
    schema.insert("pattern".to_owned(), pattern.into());
    if !examples.is_empty() {
        schema.insert("examples".to_owned(), examples.to_vec().into());
    }
}

/// A table whose keys are names of clients or resources.
pub(super) fn by_name(schema: &mut Map<String, Value>) {
    schema.insert("propertyNames".to_owned(), json!({ "pattern": NAME }));
}

/// A table whose keys are scopes.
pub(super) fn by_scope(schema: &mut Map<String, Value>) {
    schema.insert("propertyNames".to_owned(), json!({ "pattern": SCOPE }));
}

/// Lists of scopes by the name of their resource.
pub(super) fn grants(schema: &mut Map<String, Value>) {
    by_name(schema);
    if let Some(Value::Object(list)) = schema.get_mut("additionalProperties") {
        list.insert("uniqueItems".to_owned(), true.into());
        list.insert("maxItems".to_owned(), MAX_SCOPES.into());
        if let Some(Value::Object(item)) = list.get_mut("items") {
            pattern(item, SCOPE, &[]);
        }
    }
}

/// The name of a client or a resource.
pub(super) fn name(schema: &mut Map<String, Value>) {
    pattern(schema, NAME, &[]);
}

/// A text for people.
pub(super) fn line(schema: &mut Map<String, Value>) {
    pattern(schema, LINE, &[]);
}

/// Who answers for something.
pub(super) fn owner(schema: &mut Map<String, Value>) {
    pattern(schema, LINE, &["team-billing"]);
}

/// A span of time.
pub(super) fn span(schema: &mut Map<String, Value>) {
    pattern(schema, SPAN, &["15m", "1h30m", "180d"]);
}

/// The verifier of a secret.
pub(super) fn hash(schema: &mut Map<String, Value>) {
    pattern(schema, HASH, &[]);
}

/// The identifier of a resource.
pub(super) fn identifier(schema: &mut Map<String, Value>) {
    pattern(schema, URI, &["https://billing.example.com/api"]);
    schema.insert("maxLength".to_owned(), MAX_IDENTIFIER.into());
}

/// The name of an algorithm.
pub(super) fn algorithm(schema: &mut Map<String, Value>) {
    let names = Algorithm::ALL.map(Algorithm::name).to_vec();
    schema.insert("enum".to_owned(), names.into());
}

/// Ways in which clients prove who they are.
pub(super) fn auth_methods(schema: &mut Map<String, Value>) {
    let names = AuthMethod::ALL.map(AuthMethod::name).to_vec();
    schema.insert(
        "items".to_owned(),
        json!({ "type": "string", "enum": names }),
    );
}

/// Doc lines as prose: one line, without the space behind the slashes.
fn prose(lines: &str) -> String {
    lines
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
