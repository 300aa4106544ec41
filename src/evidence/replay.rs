//! Marks of what may be used once only, in memory. Touches: memory.

use std::collections::{BTreeSet, HashSet};
use std::sync::Mutex;

use crate::domain::{Denial, Digest, UnixSeconds};

/// Most marks that are kept at once: 1,000 assertions a second for five minutes, in about 30 MiB.
pub const MAX_MARKS: usize = 300_000;

/// One thing that may be used once only: a hash over what names it, and until when it could be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplayMark {
    /// After this moment the thing itself is refused, so that the mark can go.
    pub until: UnixSeconds,
    /// SHA-256 over what names the thing, for example client and `jti`.
    pub name: Digest,
}

/// The marks that were taken. One short lock; it is on the list of `docs/ARCHITECTURE.md`.
#[derive(Debug, Default)]
pub struct ReplayMarks {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    names: HashSet<Digest>,
    by_end: BTreeSet<ReplayMark>,
}

impl ReplayMarks {
    /// Takes these marks if none of them was taken before. All or none.
    ///
    /// # Errors
    /// [`Denial::Overloaded`] when [`MAX_MARKS`] live marks are kept already: a mark is never dropped
    /// before its time.
    pub fn first_use(&self, marks: &[ReplayMark], now: UnixSeconds) -> Result<bool, Denial> {
        let Ok(mut taken) = self.taken.lock() else {
            return Err(Denial::Overloaded);
        };
        taken.forget_before(now);
        if marks.iter().any(|mark| taken.names.contains(&mark.name)) {
            return Ok(false);
        }
        if taken.names.len() + marks.len() > MAX_MARKS {
            return Err(Denial::Overloaded);
        }
        for mark in marks {
            taken.names.insert(mark.name);
            taken.by_end.insert(*mark);
        }
        Ok(true)
    }
}

impl Taken {
    fn forget_before(&mut self, now: UnixSeconds) {
        while let Some(mark) = self.by_end.first().copied().filter(|mark| mark.until < now) {
            self.by_end.remove(&mark);
            self.names.remove(&mark.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(name: &str, until: u64) -> ReplayMark {
        ReplayMark {
            until: UnixSeconds::new(until),
            name: Digest::of(name.as_bytes()),
        }
    }

    #[test]
    fn a_mark_is_taken_once_until_its_time_is_over() {
        let marks = ReplayMarks::default();
        let now = UnixSeconds::new(100);
        assert_eq!(marks.first_use(&[mark("a", 200)], now), Ok(true));
        assert_eq!(marks.first_use(&[mark("a", 200)], now), Ok(false));
        assert_eq!(
            marks.first_use(&[mark("b", 150), mark("a", 200)], now),
            Ok(false)
        );
        assert_eq!(marks.first_use(&[mark("b", 150)], now), Ok(true));
        assert_eq!(
            marks.first_use(&[mark("a", 300)], UnixSeconds::new(201)),
            Ok(true)
        );
    }
}
