//! Moments and spans with their units in the type, and how files spell them. Pure.

use std::fmt;
use std::time::Duration;

/// A moment of wall time: whole seconds since 1970-01-01T00:00:00Z, as JWT's NumericDate
/// (RFC 7519 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixSeconds(u64);

impl UnixSeconds {
    /// The moment this many seconds after the epoch.
    #[must_use]
    pub const fn new(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The moment `span` later; at the end of the range it stays there.
    #[must_use]
    pub const fn plus(self, span: Lifetime) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The moment `span` earlier; at the epoch it stays there.
    #[must_use]
    pub const fn minus(self, span: Lifetime) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The span from `earlier` to this moment, or zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Lifetime {
        Lifetime(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC, to the second: `2026-11-23T08:30:00Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            .map_or_else(|| format!("@{}", self.0), |moment| moment.to_string())
    }

    /// Parses RFC 3339 with a zone: `2026-11-23T08:30:00Z`. Fractions are cut.
    ///
    /// # Errors
    /// [`InvalidMoment`] when the text is no such moment, or lies before 1970.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidMoment> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .and_then(|moment| u64::try_from(moment.as_second()).ok())
            .map(Self)
            .ok_or_else(|| InvalidMoment {
                text: text.chars().take(64).collect(),
            })
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// A moment of wall time: milliseconds since 1970-01-01T00:00:00Z, for the `time` of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// The moment this many milliseconds after the epoch.
    #[must_use]
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The second that this moment lies in.
    #[must_use]
    pub const fn seconds(self) -> UnixSeconds {
        UnixSeconds(self.0 / 1000)
    }

    /// RFC 3339 in UTC, always with three digits of fraction: `2026-11-23T08:30:00.120Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
            .map_or_else(|| format!("@{}ms", self.0), |moment| format!("{moment:.3}"))
    }
}

/// Text that is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no moment: write RFC 3339 with a zone, such as \"2026-11-23T08:30:00Z\"")]
pub struct InvalidMoment {
    text: String,
}

/// A span of whole seconds: a token's lifetime, a key's lead, an age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lifetime(u64);

/// Text that is no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no span of time: write whole units such as \"90s\", \"15m\", \"24h\" or \"180d\""
)]
pub struct InvalidLifetime {
    text: String,
}

impl Lifetime {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of this many seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// A span of this many minutes.
    #[must_use]
    pub const fn from_minutes(minutes: u64) -> Self {
        Self(minutes * 60)
    }

    /// A span of this many hours.
    #[must_use]
    pub const fn from_hours(hours: u64) -> Self {
        Self(hours * 3600)
    }

    /// A span of this many days of 24 hours.
    #[must_use]
    pub const fn from_days(days: u64) -> Self {
        Self(days * 86_400)
    }

    /// Whole seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// The sum; at the end of the range it stays there.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// As the standard library's span, for timers.
    #[must_use]
    pub const fn to_duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// Parses `"90s"`, `"15m"`, `"1h30m"`, `"24h"`, `"180d"`; a day has 24 hours.
    ///
    /// # Errors
    /// [`InvalidLifetime`] for anything else: fractions, signs, months and years included.
    pub fn parse(text: &str) -> Result<Self, InvalidLifetime> {
        let invalid = || InvalidLifetime {
            text: text.chars().take(64).collect(),
        };
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !plain || text.is_empty() {
            return Err(invalid());
        }
        let span: jiff::Span = text.parse().map_err(|_| invalid())?;
        let exact = span
            .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
            .map_err(|_| invalid())?;
        if exact.subsec_nanos() != 0 {
            return Err(invalid());
        }
        u64::try_from(exact.as_secs())
            .map(Self)
            .map_err(|_| invalid())
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")] {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn lifetimes_read_and_show_alike() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("1h30m", 5400),
            ("24h", 86_400),
            ("180d", 15_552_000),
            ("0s", 0),
        ] {
            assert_eq!(Lifetime::parse(text).unwrap().seconds(), seconds, "{text}");
        }
        assert_eq!(Lifetime::from_seconds(5400).to_string(), "1h30m");
        assert_eq!(Lifetime::from_days(180).to_string(), "180d");
    }

    #[test]
    fn lifetimes_refuse_what_is_not_exact() {
        for text in [
            "",
            "15",
            "-5m",
            "1.5h",
            "1mo",
            "1y",
            "15 m",
            "5M",
            "1500ms",
            "99999999999999d",
        ] {
            assert!(Lifetime::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_round_trip_through_rfc_3339() {
        let moment = UnixSeconds::parse_rfc3339("2026-11-23T08:30:00Z").unwrap();
        assert_eq!(moment.to_rfc3339(), "2026-11-23T08:30:00Z");
        assert_eq!(
            UnixMillis::new(moment.get() * 1000 + 7).to_rfc3339(),
            "2026-11-23T08:30:00.007Z"
        );
        assert!(UnixSeconds::parse_rfc3339("1969-12-31T23:59:59Z").is_err());
    }
}
