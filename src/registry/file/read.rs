//! Reads TOML values into typed fields and notes every problem on the way. Pure.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};
use toml::value::Datetime;

use crate::registry::diagnostic::Collector;
use crate::registry::mask;
use crate::registry::suggest;

/// Deepest nesting of a claim's value: a token's claims are facts, not documents.
const MAX_CLAIM_DEPTH: usize = 8;

/// What a key holds, if it is there.
#[derive(Clone, Debug, Default)]
pub enum Given<T> {
    /// The key is not there.
    #[default]
    Missing,
    /// It is there, but of the wrong type; the problem is noted.
    Broken,
    /// It is there.
    Good(Spanned<T>),
}

impl<T> Given<T> {
    /// The value, where there is one.
    #[must_use]
    pub const fn good(&self) -> Option<&Spanned<T>> {
        match self {
            Self::Good(value) => Some(value),
            Self::Missing | Self::Broken => None,
        }
    }

    /// Whether the key is not there.
    pub(in crate::registry) const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// Whether the key is not there, or what it holds is as good as nothing.
    pub(in crate::registry) fn is_void(&self, nothing: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Missing => true,
            Self::Broken => false,
            Self::Good(value) => nothing(value.get_ref()),
        }
    }

    /// The value turned into another by `parse`, which notes a problem where it answers `None`.
    pub(in crate::registry) fn parse<U>(
        self,
        parse: impl FnOnce(T, Range<usize>) -> Option<U>,
    ) -> Given<U> {
        match self {
            Self::Missing => Given::Missing,
            Self::Broken => Given::Broken,
            Self::Good(value) => {
                let span = value.span();
                match parse(value.into_inner(), span.clone()) {
                    Some(value) => Given::Good(Spanned::new(span, value)),
                    None => Given::Broken,
                }
            }
        }
    }

    /// The value alone, where there is one.
    pub(in crate::registry) fn into_value(self) -> Option<T> {
        match self {
            Self::Missing | Self::Broken => None,
            Self::Good(value) => Some(value.into_inner()),
        }
    }
}

/// A table whose keys are names: `[client.…]`, `scopes`, `grants`.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The value of a static claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim(pub Value);

/// A number of things, or a share of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// `20`
    Number(i64),
    /// `"5%"`, as it is written.
    Share(String),
}

/// A type that a key may hold.
pub(super) trait Read: Sized {
    /// What the key should hold, with its article.
    const KIND: &'static str;

    /// The value, or `None` with a problem noted.
    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self>;
}

/// A table with fixed keys.
pub(super) trait Table: Sized {
    /// What a message calls it.
    const WHAT: &'static str;
    /// The keys that it may have.
    const KEYS: &'static [&'static str];
    /// Keys that a later version will know.
    const LATER: &'static [&'static str];

    /// Fills each field from its key.
    fn read_table(table: &DeTable<'_>, problems: &mut Collector<'_>) -> Self;
}

/// Notes every key that this table may not have.
pub(super) fn unknown_keys<T: Table>(table: &DeTable<'_>, problems: &mut Collector<'_>) {
    for (key, value) in table {
        let name: &str = key.get_ref();
        if T::KEYS.contains(&name) {
            continue;
        }
        if T::LATER.contains(&name) {
            problems.error(
                key.span(),
                &format!(
                    "this version of grantd does not know `{name}` in {} yet",
                    T::WHAT
                ),
                "remove it, or run a version that knows it: what is not understood is not served",
            );
        } else if mask::is_secret_key(name) && value.get_ref().is_str() {
            // Noted by `secrets`, with the reason.
        } else {
            problems.error(
                key.span(),
                &format!("unknown key `{name}` in {}", T::WHAT),
                &suggest::advice(name, "keys", T::KEYS.iter().copied()),
            );
        }
    }
}

/// The value of one key of a table.
pub(super) fn take<T: Read>(
    table: &DeTable<'_>,
    key: &str,
    problems: &mut Collector<'_>,
) -> Given<T> {
    let Some((name, value)) = table.get_key_value(key) else {
        return Given::Missing;
    };
    // A table's own span is its header; one that has none is found by its key.
    let span = match value.get_ref() {
        DeValue::Table(_) | DeValue::Array(_) if value.span().is_empty() => name.span(),
        _ => value.span(),
    };
    match T::read(value.get_ref(), span.clone(), problems) {
        Some(read) => Given::Good(Spanned::new(span, read)),
        None => Given::Broken,
    }
}

fn mismatch<T: Read>(
    found: &DeValue<'_>,
    span: Range<usize>,
    advice: &str,
    problems: &mut Collector<'_>,
) {
    let message = format!("{} is needed here, not {}", T::KIND, kind(found));
    problems.error(span, &message, advice);
}

/// What a value is, with its article.
const fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

impl Read for String {
    const KIND: &'static str = "a string";

    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self> {
        match value {
            DeValue::String(text) => Some(text.clone().into_owned()),
            other => {
                mismatch::<Self>(other, span, "write it in quotes", problems);
                None
            }
        }
    }
}

impl Read for bool {
    const KIND: &'static str = "`true` or `false`";

    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self> {
        match value {
            DeValue::Boolean(value) => Some(*value),
            other => {
                mismatch::<Self>(
                    other,
                    span,
                    "write `true` or `false` without quotes",
                    problems,
                );
                None
            }
        }
    }
}

impl Read for Amount {
    const KIND: &'static str = "a number or a share";

    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self> {
        match value {
            // Beyond 64 bits it is more than there ever is, or less than nothing.
            DeValue::Integer(number) => Some(Self::Number(integer(number).unwrap_or_else(|| {
                if number.as_str().starts_with('-') {
                    i64::MIN
                } else {
                    i64::MAX
                }
            }))),
            DeValue::String(text) => Some(Self::Share(text.clone().into_owned())),
            other => {
                mismatch::<Self>(other, span, "write `20` or `\"5%\"`", problems);
                None
            }
        }
    }
}

impl Read for Datetime {
    const KIND: &'static str = "a date";

    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self> {
        match value {
            DeValue::Datetime(moment) => Some(*moment),
            other => {
                let advice = "write `2027-06-30` or `2027-06-30T12:00:00Z`, without quotes";
                mismatch::<Self>(other, span, advice, problems);
                None
            }
        }
    }
}

impl Read for Vec<Spanned<String>> {
    const KIND: &'static str = "an array of strings";

    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self> {
        let DeValue::Array(items) = value else {
            mismatch::<Self>(value, span, "write `[\"…\", \"…\"]`", problems);
            return None;
        };
        // One bad item breaks the whole: what is left of it would be another list.
        let texts = items.iter().map(|item| {
            let text = String::read(item.get_ref(), item.span(), problems)?;
            Some(Spanned::new(item.span(), text))
        });
        let texts: Vec<Option<Spanned<String>>> = texts.collect();
        texts.into_iter().collect()
    }
}

impl<T: Table> Read for Vec<Spanned<T>> {
    const KIND: &'static str = "an array of tables";

    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self> {
        let DeValue::Array(items) = value else {
            let what = T::WHAT;
            let key = what.trim_matches(['`', '[', ']']).rsplit('.').next();
            // A text where secrets belong is noted by `secrets`, with the reason.
            if !(value.is_str() && key.is_some_and(mask::is_secret_key)) {
                let advice = format!("write its header with two brackets on each side: {what}");
                mismatch::<Self>(value, span, &advice, problems);
            }
            return None;
        };
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => {
                    tables.push(Spanned::new(item.span(), T::read_table(table, problems)));
                }
                other => mismatch::<Self>(other, item.span(), "", problems),
            }
        }
        Some(tables)
    }
}

impl<T: Read> Read for Named<T> {
    const KIND: &'static str = "a table";

    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self> {
        let DeValue::Table(table) = value else {
            mismatch::<Self>(value, span, "", problems);
            return None;
        };
        let mut named = Vec::with_capacity(table.len());
        for (key, value) in table {
            let name = Spanned::new(key.span(), key.get_ref().clone().into_owned());
            if let Some(value) = T::read(value.get_ref(), value.span(), problems) {
                named.push((name, value));
            }
        }
        Some(Self(named))
    }
}

impl<T: Read> Read for Given<T> {
    const KIND: &'static str = T::KIND;

    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self> {
        Some(match T::read(value, span.clone(), problems) {
            Some(value) => Self::Good(Spanned::new(span, value)),
            None => Self::Broken,
        })
    }
}

impl Read for Claim {
    const KIND: &'static str = "a value that JSON knows";

    fn read(value: &DeValue<'_>, span: Range<usize>, problems: &mut Collector<'_>) -> Option<Self> {
        match json(value, 0) {
            Ok(value) => Some(Self(value)),
            Err(reason) => {
                problems.error(
                    span,
                    reason,
                    "claims are JSON: texts, numbers, booleans, lists",
                );
                None
            }
        }
    }
}

/// An integer, unless it has more than 64 bits.
fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn json(value: &DeValue<'_>, depth: usize) -> Result<Value, &'static str> {
    if depth > MAX_CLAIM_DEPTH {
        return Err("a claim is nested more than 8 deep");
    }
    Ok(match value {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => integer(number)
            .map(Value::from)
            .ok_or("a claim's integer has more than 64 bits")?,
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::Number)
            .ok_or("a claim's number is infinite or not a number, which JSON does not know")?,
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => {
            return Err("a claim is a date, which JSON does not know: write it in quotes");
        }
        DeValue::Array(items) => items
            .iter()
            .map(|item| json(item.get_ref(), depth + 1))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array)?,
        DeValue::Table(table) => table
            .iter()
            .map(|(key, value)| {
                json(value.get_ref(), depth + 1).map(|value| (key.get_ref().to_string(), value))
            })
            .collect::<Result<serde_json::Map<_, _>, _>>()
            .map(Value::Object)?,
    })
}
