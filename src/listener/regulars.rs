//! Who got a token lately: they are let in first when there is too much to do. Touches: memory.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::Source;

/// How long a source counts as known after its last token: the longest lifetime that tokens usually have.
/// A client that asks as seldom as it may is then always known.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// Most sources that are remembered: twice the largest fleet that one daemon is built for, in about half a
/// megabyte. The longest unseen are forgotten.
const MAX_SOURCES: usize = 8192;

/// Sources that got a token lately. One short lock; it is on the list of `docs/ARCHITECTURE.md`.
#[derive(Debug, Default)]
pub struct Regulars {
    seen: Mutex<Seen>,
}

/// Those seen lately, and those seen before them: two halves of one table, so that the longest unseen are
/// forgotten without a list to keep in order.
#[derive(Debug, Default)]
struct Seen {
    young: HashMap<Source, Duration>,
    old: HashMap<Source, Duration>,
}

impl Regulars {
    /// Notes that this source got a token. `now` is time since some fixed moment, not wall time.
    pub fn note(&self, source: Source, now: Duration) {
        let Ok(mut seen) = self.seen.lock() else {
            return;
        };
        if seen.young.len() >= MAX_SOURCES / 2 && !seen.young.contains_key(&source) {
            seen.old = std::mem::take(&mut seen.young);
        }
        seen.young.insert(source, now);
    }

    /// Whether this source got a token within the last hour.
    #[must_use]
    pub fn knows(&self, source: Source, now: Duration) -> bool {
        let Ok(seen) = self.seen.lock() else {
            return false;
        };
        let last = seen.young.get(&source).or_else(|| seen.old.get(&source));
        last.is_some_and(|last| now.saturating_sub(*last) <= KNOWN_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> Source {
        Source::V4(number.to_be_bytes())
    }

    #[test]
    fn a_source_is_known_for_an_hour_after_its_last_token() {
        let regulars = Regulars::default();
        assert!(!regulars.knows(source(1), Duration::ZERO));
        regulars.note(source(1), Duration::ZERO);
        assert!(regulars.knows(source(1), KNOWN_FOR));
        assert!(!regulars.knows(source(2), KNOWN_FOR));
        assert!(!regulars.knows(source(1), KNOWN_FOR + Duration::from_secs(1)));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_longest_unseen() {
        let regulars = Regulars::default();
        for number in 0..100_000 {
            regulars.note(source(number), Duration::ZERO);
        }
        assert!(regulars.knows(source(99_999), Duration::ZERO));
        assert!(!regulars.knows(source(0), Duration::ZERO));
        let count = regulars
            .seen
            .lock()
            .map(|seen| seen.young.len() + seen.old.len());
        assert!(count.is_ok_and(|count| count <= MAX_SOURCES));
    }
}
