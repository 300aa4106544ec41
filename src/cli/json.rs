//! What somebody else wrote, a server's answer or a token's header: JSON objects, text to be shown. Pure.
//!
//! **Invariant:** a member stands once. RFC 7515 section 4 and RFC 7519 section 4 leave it open which of
//! two counts; two readers that choose differently see two tokens.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Longest text of a server's that is shown, in characters: a line.
const MAX_SHOWN: usize = 200;

/// What is said of a repeated member.
const TWICE: &str = "a member stands twice";

/// An object, each of whose own members stands once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object(Map<String, Value>);

/// Bytes that are no such object. What they are is not repeated: they may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no JSON object: {0}")]
pub(super) struct InvalidObject(String);

impl Object {
    /// Parses one object, with nothing behind it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, InvalidObject> {
        serde_json::from_slice(bytes).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data if error.to_string().starts_with(TWICE) => {
                    TWICE.to_owned()
                }
                serde_json::error::Category::Data => "it is something else".to_owned(),
                serde_json::error::Category::Eof => "it ends too early".to_owned(),
                _ => format!(
                    "syntax error at line {}, column {}",
                    error.line(),
                    error.column()
                ),
            };
            InvalidObject(what)
        })
    }

    /// A member of any type.
    pub(super) fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A member that is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.member(name)?.as_str()
    }

    /// A member that is a whole number, not negative.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.member(name)?.as_u64()
    }

    /// All of it, to be shown.
    pub(super) fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom(TWICE));
                    }
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A server's text as it may be shown on a terminal: one line, no control characters, not for ever.
pub(super) fn shown(text: &str) -> String {
    let plain = text.chars().take(MAX_SHOWN);
    plain
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_object_with_each_member_once() {
        assert!(Object::parse(br#"{"a": 1, "b": {"a": 2}}"#).is_ok());
        for text in [
            "",
            "1",
            "\"secret\"",
            "[]",
            "{} {}",
            r#"{"a": 1"#,
            r#"{"a": 1, "a": 1}"#,
        ] {
            let error = Object::parse(text.as_bytes()).map(|_| ());
            let said = error.map_err(|error| error.to_string());
            assert!(
                said.as_ref().is_err_and(|said| !said.contains("secret")),
                "{said:?}"
            );
        }
    }
}
