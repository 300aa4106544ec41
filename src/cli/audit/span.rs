//! `--since`: a moment, or how long ago. Pure.

use crate::domain::{Lifetime, UnixSeconds};

/// What `--since` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// A moment.
    At(UnixSeconds),
    /// So long before now.
    Ago(Lifetime),
}

impl Since {
    /// Parses `2026-11-23T08:30:00Z`, or a span such as `2h`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(moment) = UnixSeconds::parse_rfc3339(text) {
            return Ok(Self::At(moment));
        }
        Lifetime::parse(text).map(Self::Ago).map_err(|_| {
            "write a moment such as 2026-11-23T08:30:00Z, or a span such as 90s, 2h or 7d"
                .to_owned()
        })
    }

    /// The moment, given the time now.
    pub(super) const fn moment(self, now: UnixSeconds) -> UnixSeconds {
        match self {
            Self::At(moment) => moment,
            Self::Ago(span) => now.minus(span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_spans_are_understood() {
        let now = UnixSeconds::new(10_000);
        let moment = |text| Since::parse(text).map(|since| since.moment(now).get());
        assert_eq!(moment("1970-01-01T00:00:05Z"), Ok(5));
        assert_eq!(moment("1970-01-01T02:00:05+02:00"), Ok(5));
        assert_eq!(moment("2h"), Ok(10_000 - 7200));
        assert!(moment("yesterday").is_err());
        assert!(moment("2026-11-23").is_err());
    }
}
