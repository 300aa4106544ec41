//! Sentences whose names stay apart from their words, so that each output can guard them. Pure.
//!
//! **Invariant:** a name never carries a control character or what turns text around: it is made visible
//! when the sentence is made.

use std::fmt::{self, Display};

use crate::domain::{Lifetime, Owner, UnixSeconds, visible};

/// Longest name or value that a sentence shows, in characters: two lines of a terminal.
const MAX_NAME: usize = 160;

/// A day, in seconds.
const DAY: u64 = 86_400;

/// A part of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Words of grantd's own.
    Plain(String),
    /// A name or a value, which somebody else chose.
    Name(String),
}

/// A sentence: lower case, no full stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(Vec<Piece>);

/// A sentence of this form, each `{}` of which stands for one of the names.
#[must_use]
pub fn words(form: &str, names: &[&dyn Display]) -> Words {
    let mut names = names.iter();
    let mut pieces = Vec::new();
    for (at, plain) in form.split("{}").enumerate() {
        if let Some(name) = (at > 0).then(|| names.next()).flatten() {
            pieces.push(Piece::Name(shown(&name.to_string())));
        }
        if !plain.is_empty() {
            pieces.push(Piece::Plain(plain.to_owned()));
        }
    }
    Words(pieces)
}

impl Words {
    /// The same with more behind it.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// The parts.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }
}

impl Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Plain(text) | Piece::Name(text) => f.write_str(text),
        })
    }
}

/// A number of things: `1 client`, `212 clients`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// An owner, or that there is none.
pub(super) fn owner(owner: Option<&Owner>) -> &str {
    owner.map_or("nobody", Owner::as_str)
}

/// Until when: an end at midnight is the day before, as a file spells it.
pub(super) fn end(moment: UnixSeconds) -> String {
    match moment.get() % DAY {
        0 => {
            let day = moment.minus(Lifetime::from_days(1)).to_rfc3339();
            format!("the end of {}", day.get(..10).unwrap_or(&day))
        }
        _ => moment.to_rfc3339(),
    }
}

/// From when on: midnight is the day alone.
pub(super) fn begin(moment: UnixSeconds) -> String {
    let text = moment.to_rfc3339();
    match moment.get() % DAY {
        0 => text.get(..10).unwrap_or(&text).to_owned(),
        _ => text,
    }
}

/// How long ago, in its largest unit.
pub(super) fn ago(then: UnixSeconds, now: UnixSeconds) -> String {
    let seconds = now.since(then).seconds();
    let units = [(DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let unit = units.iter().find(|(size, _)| seconds >= *size);
    match unit {
        Some((size, name)) => {
            let number = usize::try_from(seconds / size).unwrap_or(usize::MAX);
            format!("{} ago", count(number, name))
        }
        None => "just now".to_owned(),
    }
}

fn shown(name: &str) -> String {
    let seen = visible(name);
    match seen.char_indices().nth(MAX_NAME) {
        Some((at, _)) => format!("{}…", seen.get(..at).unwrap_or_default()),
        None => seen.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_visible_and_stay_apart() {
        let said = words("client {} gains {}", &[&"a\nb", &"\u{202e}x"]);
        assert_eq!(said.to_string(), "client a\\nb gains \\u{202e}x");
        assert_eq!(said.pieces().len(), 4);
        assert_eq!(said.pieces().get(1), Some(&Piece::Name("a\\nb".to_owned())));
        let brace = words("claim {}", &[&"{} {}"]);
        assert_eq!(brace.to_string(), "claim {} {}");
    }

    #[test]
    fn moments_are_told_as_people_do() {
        let at = UnixSeconds::new;
        for (then, said) in [
            (1000, "just now"),
            (999, "1 second ago"),
            (820, "3 minutes ago"),
        ] {
            assert_eq!(ago(at(then), at(1000)), said);
        }
        assert_eq!(ago(at(5), at(5 + 3 * DAY + 7)), "3 days ago");
        // A clock that is behind: nothing lies in the future.
        assert_eq!(ago(at(9), at(5)), "just now");
        assert_eq!(end(at(DAY * 2)), "the end of 1970-01-02");
        assert_eq!(end(at(DAY * 2 + 1)), "1970-01-03T00:00:01Z");
        assert_eq!(begin(at(DAY * 2)), "1970-01-03");
    }
}
