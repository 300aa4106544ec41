//! What refusals before a proof may cost, so that they can't stop issuance. Pure.
//!
//! Refusals to clients that did not prove themselves cost an attacker nothing. Each takes a permit, of
//! its address prefix and of all together, to be recorded by itself; without one it is counted by
//! reason, method and prefix, and the counts are written as one summary every [`SUMMARY_EVERY`].
//!
//! **Invariant:** each refusal is either recorded or counted once, and the counts are exact: what the
//! bounded table has no row for goes into a row without a prefix.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::domain::{AuthMethod, Denial, UnixMillis};

/// How often pending counts are written (`design.md`).
pub const SUMMARY_EVERY: Duration = Duration::from_secs(10);

/// Most rows of a summary that name a prefix. With the rows that do not (one a reason and method,
/// 105 of them) and 150 bytes a row a summary stays below a line's maximum.
const MAX_ROWS: usize = 256;

/// What a summary calls the prefixes that it has no rows for.
const OTHER: &str = "other";

/// Permits for refusals that are recorded one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetSettings {
    /// Refusals of one address prefix that may come at once.
    pub prefix_burst: u32,
    /// Refusals of one address prefix per minute, in the long run.
    pub prefix_per_minute: u32,
    /// Refusals of all prefixes that may come at once.
    pub total_burst: u32,
    /// Refusals of all prefixes per minute, in the long run.
    pub total_per_minute: u32,
    /// Address prefixes that are told apart; the longest unseen are forgotten.
    pub max_prefixes: usize,
}

/// A misconfigured client that retries each second for some minutes is recorded whole.
const PREFIX_BURST: u32 = 60;
/// After that, one each five seconds says enough.
const PREFIX_PER_MINUTE: u32 = 12;
/// A whole fleet that comes up with an old secret.
const TOTAL_BURST: u32 = 1000;
/// Ten a second: 700 MB a day at the most, of which the journal takes a fifth of its bound.
const TOTAL_PER_MINUTE: u32 = 600;
/// About 100 bytes each, so half a megabyte.
const MAX_PREFIXES: usize = 4096;

impl Default for BudgetSettings {
    fn default() -> Self {
        Self {
            prefix_burst: PREFIX_BURST,
            prefix_per_minute: PREFIX_PER_MINUTE,
            total_burst: TOTAL_BURST,
            total_per_minute: TOTAL_PER_MINUTE,
            max_prefixes: MAX_PREFIXES,
        }
    }
}

/// The network that an address counts under: what one customer usually gets, /24 of IPv4 and /56 of
/// IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Prefix {
    /// The first three bytes.
    V4([u8; 3]),
    /// The first seven bytes.
    V6([u8; 7]),
}

impl Prefix {
    /// The prefix of an address; an IPv4 address in IPv6 form (RFC 4291 section 2.5.5.2) is IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g])
            }
        }
    }

    /// The prefix in CIDR form: `192.0.2.0/24`.
    #[must_use]
    pub fn to_cidr(self) -> String {
        match self {
            Self::V4([a, b, c]) => format!("{}/24", Ipv4Addr::new(a, b, c, 0)),
            Self::V6([a, b, c, d, e, f, g]) => {
                let octets = [a, b, c, d, e, f, g, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                format!("{}/56", Ipv6Addr::from(octets))
            }
        }
    }
}

/// A token bucket, in thousandths of a permit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    millis: u64,
    /// When it was last filled, as time since some fixed moment.
    at: Duration,
}

impl Bucket {
    /// A bucket that was never used.
    pub(crate) fn full(burst: u32, now: Duration) -> Self {
        Self {
            millis: u64::from(burst) * 1000,
            at: now,
        }
    }

    /// Fills the bucket up to this moment; whether there is a permit in it.
    pub(crate) fn refill(&mut self, burst: u32, per_minute: u32, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at);
        let earned = passed.as_millis() * u128::from(per_minute) / 60;
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        if earned > 0 {
            let most = u64::from(burst) * 1000;
            self.millis = self.millis.saturating_add(earned).min(most);
            self.at = now;
        }
        self.millis >= 1000
    }

    /// Takes a permit, where there is one.
    pub(crate) fn take(&mut self) {
        self.millis = self.millis.saturating_sub(1000);
    }
}

/// One kind of counted refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Kind {
    reason: Denial,
    method: Option<AuthMethod>,
    prefix: Option<Prefix>,
}

/// The permits that are left, and what was refused without one.
#[derive(Debug)]
pub struct Budget {
    settings: BudgetSettings,
    total: Bucket,
    /// Prefixes seen lately, and those seen before them: two halves of one table, so that the longest
    /// unseen are forgotten without a list to keep in order.
    young: HashMap<Prefix, Bucket>,
    old: HashMap<Prefix, Bucket>,
    counts: HashMap<Kind, u64>,
    rows_with_prefix: usize,
    since: Option<UnixMillis>,
}

impl Budget {
    /// A budget with every permit there.
    #[must_use]
    pub fn new(settings: BudgetSettings, now: Duration) -> Self {
        Self {
            settings,
            total: Bucket::full(settings.total_burst, now),
            young: HashMap::new(),
            old: HashMap::new(),
            counts: HashMap::new(),
            rows_with_prefix: 0,
            since: None,
        }
    }

    /// Takes a permit, of this prefix and of all; whether there was one. `now` is time since some
    /// fixed moment, not wall time.
    pub fn permit(&mut self, prefix: Prefix, now: Duration) -> bool {
        let settings = self.settings;
        let mut bucket = self
            .young
            .get(&prefix)
            .or_else(|| self.old.get(&prefix))
            .copied()
            .unwrap_or_else(|| Bucket::full(settings.prefix_burst, now));
        let here = bucket.refill(settings.prefix_burst, settings.prefix_per_minute, now);
        let all = self
            .total
            .refill(settings.total_burst, settings.total_per_minute, now);
        let granted = here && all;
        if granted {
            bucket.take();
            self.total.take();
        }
        if self.young.len() >= settings.max_prefixes / 2 && !self.young.contains_key(&prefix) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(prefix, bucket);
        granted
    }

    /// Counts a refusal that is not recorded by itself.
    pub fn count(
        &mut self,
        reason: Denial,
        method: Option<AuthMethod>,
        prefix: Prefix,
        at: UnixMillis,
    ) {
        let since = self.since.get_or_insert(at);
        *since = at.min(*since);
        let kind = Kind {
            reason,
            method,
            prefix: Some(prefix),
        };
        self.add(kind, 1);
    }

    /// What was counted since the last summary; `None` when nothing was.
    pub fn take_summary(&mut self, until: UnixMillis) -> Option<Summary> {
        let from = self.since.take()?;
        let mut rows: Vec<(Kind, u64)> = self.counts.drain().collect();
        rows.sort_unstable();
        self.rows_with_prefix = 0;
        Some(Summary { from, until, rows })
    }

    /// Takes back a summary that could not be written: its counts are written with the next one.
    pub fn give_back(&mut self, summary: Summary) {
        let since = self.since.get_or_insert(summary.from);
        *since = summary.from.min(*since);
        for (kind, count) in summary.rows {
            self.add(kind, count);
        }
    }

    fn add(&mut self, kind: Kind, count: u64) {
        if let Some(counted) = self.counts.get_mut(&kind) {
            *counted = counted.saturating_add(count);
            return;
        }
        let named = kind.prefix.is_some() && self.rows_with_prefix < MAX_ROWS;
        let kind = Kind {
            prefix: kind.prefix.filter(|_| named),
            ..kind
        };
        self.rows_with_prefix += usize::from(named);
        let counted = self.counts.entry(kind).or_insert(0);
        *counted = counted.saturating_add(count);
    }
}

/// Counts of refusals over a span of time.
#[derive(Clone, Debug)]
pub struct Summary {
    /// When the first of them was refused.
    pub from: UnixMillis,
    /// When the counts were taken.
    pub until: UnixMillis,
    rows: Vec<(Kind, u64)>,
}

/// One row of a summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Why they were refused.
    pub reason: Denial,
    /// How they tried to prove who they are.
    pub method: Option<AuthMethod>,
    /// Where they came from in CIDR form, or `other`.
    pub prefix: String,
    /// How many.
    pub count: u64,
}

impl Summary {
    /// How many refusals it counts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.rows
            .iter()
            .fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Its rows, in a fixed order.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.rows.iter().map(|(kind, count)| Row {
            reason: kind.reason,
            method: kind.method,
            prefix: kind
                .prefix
                .map_or_else(|| OTHER.to_owned(), Prefix::to_cidr),
            count: *count,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const AT: UnixMillis = UnixMillis::new(1_000_000);

    fn prefix(number: u16) -> Prefix {
        let [a, b] = number.to_be_bytes();
        Prefix::V4([10, a, b])
    }

    #[test]
    fn addresses_count_under_what_one_customer_gets() {
        let cidr = |text: &str| Prefix::of(text.parse().unwrap()).to_cidr();
        assert_eq!(cidr("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(cidr("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(cidr("2001:db8:1:2ff:3::4"), "2001:db8:1:200::/56");
    }

    #[test]
    fn a_prefix_is_stopped_by_its_own_bucket_and_fills_again() {
        let mut budget = Budget::new(BudgetSettings::default(), Duration::ZERO);
        let taken = (0..1000)
            .filter(|_| budget.permit(prefix(1), Duration::ZERO))
            .count();
        assert_eq!(taken, PREFIX_BURST as usize);
        assert!(budget.permit(prefix(2), Duration::ZERO));
        assert!(!budget.permit(prefix(1), Duration::from_secs(4)));
        assert!(budget.permit(prefix(1), Duration::from_secs(10)));
    }

    #[test]
    fn many_prefixes_are_stopped_by_the_bucket_of_all() {
        let mut budget = Budget::new(BudgetSettings::default(), Duration::ZERO);
        let taken = (0..u16::MAX)
            .filter(|number| budget.permit(prefix(*number), Duration::ZERO))
            .count();
        assert_eq!(taken, TOTAL_BURST as usize);
        assert!(budget.young.len() + budget.old.len() <= MAX_PREFIXES);
    }

    #[test]
    fn counts_are_exact_when_the_table_is_full() {
        let mut budget = Budget::new(BudgetSettings::default(), Duration::ZERO);
        for number in 0..5000 {
            budget.count(
                Denial::WrongSecret,
                Some(AuthMethod::ClientSecretPost),
                prefix(number),
                AT,
            );
        }
        let summary = budget.take_summary(AT).unwrap();
        assert_eq!(summary.total(), 5000);
        let rows: Vec<Row> = summary.rows().collect();
        assert_eq!(rows.len(), MAX_ROWS + 1);
        assert_eq!(
            (rows[0].prefix.as_str(), rows[0].count),
            (OTHER, 5000 - 256)
        );
        assert!(budget.take_summary(AT).is_none());
        budget.count(Denial::WrongSecret, None, prefix(1), AT);
        budget.give_back(summary);
        assert_eq!(budget.take_summary(AT).unwrap().total(), 5001);
    }

    proptest! {
        #[test]
        fn no_refusal_is_lost_or_doubled(
            steps in proptest::collection::vec((0..600u16, 0..35usize, 0..8u8), 0..2000)
        ) {
            let mut budget = Budget::new(BudgetSettings::default(), Duration::ZERO);
            let mut written = 0;
            for (number, reason, what) in &steps {
                budget.count(Denial::ALL[*reason], None, prefix(*number), AT);
                if *what == 0 {
                    let summary = budget.take_summary(AT).unwrap();
                    if *number % 2 == 0 {
                        written += summary.total();
                    } else {
                        budget.give_back(summary);
                    }
                }
            }
            written += budget.take_summary(AT).map_or(0, |summary| summary.total());
            prop_assert_eq!(written, steps.len() as u64);
        }
    }
}
