//! How many clients one change may take away: `max_removed_clients`. Pure.

use std::fmt;

/// Most clients that one change may remove or disable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RemovalLimit {
    /// So many, 1 or more.
    Clients(u64),
    /// So many of a hundred enabled clients, 1 to 100.
    Percent(u8),
}

/// Why something is no removal limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// None at all: then no client could ever be removed.
    #[error("no client could ever be removed")]
    Zero,
    /// Below zero.
    #[error("a number below zero")]
    Negative,
    /// More than there can be.
    #[error("more than all of them")]
    OverAll,
    /// Text that is no share.
    #[error("this is no share")]
    Form,
}

impl RemovalLimit {
    /// A limit of so many clients.
    ///
    /// # Errors
    /// [`InvalidLimit`] for none and for less than none.
    pub fn clients(number: i64) -> Result<Self, InvalidLimit> {
        match u64::try_from(number) {
            Ok(0) => Err(InvalidLimit::Zero),
            Ok(number) => Ok(Self::Clients(number)),
            Err(_) => Err(InvalidLimit::Negative),
        }
    }

    /// A limit of a share, `"5%"`: whole percents.
    ///
    /// # Errors
    /// [`InvalidLimit`] for anything but `"1%"` to `"100%"`.
    pub fn share(text: &str) -> Result<Self, InvalidLimit> {
        let digits = text.strip_suffix('%').ok_or(InvalidLimit::Form)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidLimit::Form);
        }
        match digits.parse::<u8>() {
            Ok(0) => Err(InvalidLimit::Zero),
            Ok(percent) if percent <= 100 => Ok(Self::Percent(percent)),
            _ => Err(InvalidLimit::OverAll),
        }
    }

    /// How many of so many enabled clients may go. A share never comes to less than one: else no
    /// client of a small registry could ever be removed.
    #[must_use]
    pub fn of(self, enabled: usize) -> usize {
        match self {
            Self::Clients(number) => usize::try_from(number).unwrap_or(usize::MAX),
            Self::Percent(percent) => (enabled.saturating_mul(usize::from(percent)) / 100).max(1),
        }
    }
}

impl fmt::Display for RemovalLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients(number) => write!(f, "{number}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn limits_are_above_none_and_not_above_all() {
        assert_eq!(RemovalLimit::clients(20), Ok(RemovalLimit::Clients(20)));
        assert_eq!(RemovalLimit::clients(0), Err(InvalidLimit::Zero));
        assert_eq!(RemovalLimit::clients(-1), Err(InvalidLimit::Negative));
        assert_eq!(RemovalLimit::share("1%"), Ok(RemovalLimit::Percent(1)));
        assert_eq!(RemovalLimit::share("100%"), Ok(RemovalLimit::Percent(100)));
        assert_eq!(RemovalLimit::share("0%"), Err(InvalidLimit::Zero));
        for over in ["101%", "255%", "256%", "99999999999999999999%"] {
            assert_eq!(
                RemovalLimit::share(over),
                Err(InvalidLimit::OverAll),
                "{over}"
            );
        }
        for wrong in ["", "%", "5", "5 %", "+5%", "-5%", "5.5%", "5%%"] {
            assert_eq!(
                RemovalLimit::share(wrong),
                Err(InvalidLimit::Form),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_share_is_of_the_enabled_and_lets_one_go() {
        let five = RemovalLimit::share("5%").unwrap();
        for (enabled, most) in [(0, 1), (1, 1), (39, 1), (40, 2), (100_000, 5000)] {
            assert_eq!(five.of(enabled), most, "{enabled}");
        }
        assert_eq!(RemovalLimit::Clients(20).of(3), 20);
    }
}
