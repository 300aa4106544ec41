//! Folds the log into a new base, slowly. Touches: fs, clock.
//!
//! Records are copied as they stand, each after its checksum was looked at, a little at a time: one large
//! write drove the journal's p99.9 from 2 to 10 ms (`storage.md`). Changes are kept meanwhile; they stay
//! in the log. One folding runs at a time, in a file of its own; a base that a change writes meanwhile
//! makes it void.
//!
//! Two steps, each a rename. Between them the log holds what the base holds too: a start passes over it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use super::files::{BASE, FOLDED, LOG, failed};
use super::record::{self, FIRST_LINE, Seal, u64_of};
use super::replay::{Part, Spot};
use super::writing::Writing;
use super::{Keep, KeepError, LEAST_LOG, Place, State};
use crate::domain::Digest;

/// Bytes that are copied before a pause.
const STEP: usize = 256 * 1024;

/// The pause: with the step above, 62 MB take ten seconds, and the disk is ours for a fraction of them.
const PAUSE: Duration = Duration::from_millis(40);

/// A new base in the making.
#[derive(Debug)]
pub struct Compaction {
    seal: Seal,
    files: Vec<(Arc<str>, Spot)>,
    base: File,
    log: File,
    /// Where the log ends for the new base.
    log_end: u64,
    /// How many bases changes had written.
    bases: u64,
}

impl Keep {
    /// What to fold, if the log has outgrown the base and no folding is under way: what comes out must be
    /// handed to [`Keep::compact`], which ends it. `seal` is that of the last batch, which is served:
    /// what is folded can't be taken back any more.
    #[must_use]
    pub fn outgrown(&self, seal: &Seal) -> Option<Compaction> {
        let mut state = self.state();
        let ((base, base_length), (log, log_end)) = (state.base.as_ref()?, state.log.as_ref()?);
        let small = *log_end <= *base_length.max(&LEAST_LOG);
        if small || state.folding || state.renew || state.number != seal.number {
            return None;
        }
        let places = state.places.iter();
        let mut files: Vec<_> = places
            .map(|(path, place)| (Arc::clone(path), place.spot))
            .collect();
        files.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let compaction = Compaction {
            seal: seal.clone(),
            files,
            base: base.try_clone().ok()?,
            log: log.try_clone().ok()?,
            log_end: *log_end,
            bases: state.bases,
        };
        state.folding = true;
        Some(compaction)
    }

    /// Makes the new base. Takes seconds; ends early, without a trace, once `stop` says so.
    ///
    /// # Errors
    /// [`KeepError`]: what was kept stands. [`KeepError::Rot`] when it is damaged.
    pub fn compact(
        &self,
        compaction: &Compaction,
        stop: impl Fn() -> bool,
    ) -> Result<(), KeepError> {
        let made = self.fold(compaction, stop);
        self.folder.tidy(&[FOLDED]);
        self.state().folding = false;
        made
    }

    fn fold(&self, compaction: &Compaction, stop: impl Fn() -> bool) -> Result<(), KeepError> {
        let bytes = compaction.files.iter().map(|(_, spot)| spot.length).sum();
        self.folder.room(bytes)?;
        let mut base = self.folder.begin(FOLDED)?;
        let mut writing = Writing::new(Part::Base, base.length());
        let mut spots = HashMap::with_capacity(compaction.files.len());
        let mut bytes = Vec::new();
        for (path, spot) in &compaction.files {
            if stop() {
                return Ok(());
            }
            let checksum = self.raw(compaction, *spot, &mut bytes)?;
            spots.insert(Arc::clone(path), writing.raw(&bytes, &checksum));
            writing.flush(STEP, |bytes| {
                base.write(bytes)?;
                base.sync()?;
                std::thread::sleep(PAUSE);
                Ok(())
            })?;
        }
        writing.seal(&compaction.seal);
        writing.flush(0, |bytes| base.write(bytes))?;
        base.sync()?;
        let mut state = self.state();
        if state.renew || state.suspect || state.bases != compaction.bases {
            // Written anew meanwhile, or about to be.
            return Ok(());
        }
        state.base = Some(self.folder.finish(base, BASE)?);
        state.moved_to_base(&spots, compaction.log_end);
        let renewed = self.renew_log(&mut state, compaction.log_end);
        renewed.inspect_err(|_| self.folder.tidy(&[LOG]))?;
        state.moved_ahead(compaction.log_end);
        Ok(())
    }

    /// Reads a record as it stands; its checksum.
    fn raw(
        &self,
        compaction: &Compaction,
        spot: Spot,
        into: &mut Vec<u8>,
    ) -> Result<Digest, KeepError> {
        let (file, name) = match spot.part {
            Part::Base => (&compaction.base, BASE),
            Part::Log => (&compaction.log, LOG),
        };
        let path = self.folder.path(name);
        into.resize(usize::try_from(spot.length).unwrap_or_default(), 0);
        file.read_exact_at(into, spot.start)
            .map_err(failed("read", &path))?;
        record::verify(into).ok_or_else(|| {
            self.state().renew = true;
            KeepError::Rot { path }
        })
    }
}

impl State {
    /// What the new base holds is in the base now, but for what has changed meanwhile.
    fn moved_to_base(&mut self, spots: &HashMap<Arc<str>, Spot>, log_end: u64) {
        for (path, Place { spot, .. }) in &mut self.places {
            let newer = spot.part == Part::Log && spot.start >= log_end;
            if let Some(moved) = spots.get(path).filter(|_| !newer) {
                *spot = *moved;
            }
        }
    }

    /// The log begins where it ended.
    fn moved_ahead(&mut self, log_end: u64) {
        let by = log_end - u64_of(FIRST_LINE.len());
        for Place { spot, .. } in self.places.values_mut() {
            if spot.part == Part::Log {
                spot.start -= by;
            }
        }
    }
}
