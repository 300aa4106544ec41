//! Recovery: what stands of the journal when it is opened. Touches: fs.
//!
//! Checked at each start: the last segment whole, line by line; of the earlier ones their names, their
//! first and their last line, and that these follow one another. `grantd audit verify` checks all.
//!
//! **Invariant:** before anything is chained on or shipped, what stands is on disk: after a `kill -9`
//! whole lines may be in the page cache only, and after a failed `fdatasync` not even that is known.
//! So the valid prefix of the last segment is copied to a new file, made durable, and put in its
//! place. Nothing is ever deleted that was not recognised: a half-written commit is moved to `torn/`.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use super::edges::{damaged, first_line, last_line, length, read_whole};
use super::files::{Appendable, FileError, Folder, NEXT, RECOVERING, TORN};
use super::index::Segment;
use super::index::segment_name;
use super::keeper::{is_unproven, made};
use crate::audit::chain::{Damage, Finding, Known, Standing, Tip, Verifier, Why, examine};
use crate::audit::event::JournalRecovered;
use crate::domain::Digest;
use crate::tasks::ThreadError;

/// The journal can't be opened. Nothing was changed in what is damaged.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or the folder can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A break in what was acknowledged.
    #[error(
        "{} is damaged at byte {}, where line {} should be: {}. {}. Nothing was changed. Keep the \
         folder as evidence; restore this file from a backup or, by `grantd audit export`, from the \
         stream. To go on without it, move the whole folder away and start with \
         --accept-lost-journal: a new lineage begins",
        path.display(), damage.offset, damage.sequence, damage.finding, damage.why
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// What is wrong with it.
        damage: Box<Damage>,
    },
    /// Lines are gone that were durable.
    #[error(
        "the lines up to {confirmed} were durable, by what the stream confirmed or by the names of \
         later segments, but {} has only those up to {found}: it was lost or replaced. Restore it \
         from a backup; or, if it is lost for good, move what is left of it away and start with \
         --accept-lost-journal: a new lineage begins",
        path.display()
    )]
    Lost {
        /// The journal's folder.
        path: PathBuf,
        /// The highest sequence that was durable.
        confirmed: u64,
        /// The highest sequence that stands.
        found: u64,
    },
    /// The first lines can't be written.
    #[error("no space for the journal in {}: free some and start again", path.display())]
    DiskFull {
        /// The journal's folder.
        path: PathBuf,
    },
    /// The first lines can't be written for another reason.
    #[error("cannot write the journal in {}", path.display())]
    Write {
        /// The journal's folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread can't be started.
    #[error(transparent)]
    Thread(#[from] ThreadError),
}

/// What stands.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The segments, without the one that will be appended to.
    pub segments: VecDeque<Segment>,
    /// The last line; `None` in an empty journal.
    pub tip: Option<Tip>,
    /// Whether the daemon before stopped cleanly.
    pub clean: bool,
    /// What was moved aside.
    pub aside: Option<JournalRecovered>,
}

/// The chain up to a segment, while the segments are gone through.
struct Walk<'a> {
    folder: &'a Folder,
    segments: VecDeque<Segment>,
    tip: Option<Tip>,
}

/// Finds out what stands, and makes it durable.
pub(super) fn recover(folder: &Folder, confirmed: u64) -> Result<Recovered, OpenError> {
    let mut names = tidy(folder)?;
    // An empty last segment says that everything before it was durable.
    let mut held = 0;
    while let Some(last) = names.last().copied()
        && folder.length(&segment_name(last)) == Some(0)
    {
        names.pop();
        folder.remove(&segment_name(last))?;
        folder.sync()?;
        held = held.max(last - 1);
    }
    let mut walk = Walk {
        folder,
        segments: VecDeque::new(),
        tip: None,
    };
    let last = names.pop();
    for first in names {
        walk.pass(first)?;
    }
    let mut recovered = Recovered {
        segments: VecDeque::new(),
        tip: None,
        clean: false,
        aside: None,
    };
    if let Some(first) = last {
        let known = Known {
            first,
            before: walk.tip,
            confirmed: confirmed.max(held),
        };
        let (standing, bytes) = walk.examine(known, confirmed)?;
        recovered.aside = repair(folder, first, &standing, &bytes)?;
        recovered.clean = standing.clean;
        walk.tip = standing.tip;
    }
    recovered.tip = walk.tip;
    recovered.segments = walk.segments;
    let found = recovered.tip.map_or(0, |tip| tip.sequence);
    if found < confirmed.max(held) {
        return Err(OpenError::Lost {
            path: folder.path(""),
            confirmed: confirmed.max(held),
            found,
        });
    }
    Ok(recovered)
}

/// Removes what an interrupted start left, names the segment that was begun but whose name was lost,
/// and lists the segments.
fn tidy(folder: &Folder) -> Result<Vec<u64>, OpenError> {
    let mut listing = folder.list()?;
    if listing.recovering {
        folder.remove(RECOVERING)?;
    }
    if listing.next {
        if folder.length(NEXT) == Some(0) {
            folder.remove(NEXT)?;
        } else {
            let before = match listing.segments.last() {
                Some(last) => last_line(folder, &segment_name(*last))?.sequence,
                None => 0,
            };
            folder.rename(NEXT, &segment_name(before + 1))?;
            listing.segments.push(before + 1);
        }
    }
    if listing.recovering || listing.next {
        folder.sync()?;
    }
    Ok(listing.segments)
}

impl Walk<'_> {
    /// Checks the edges of a segment that is not the last.
    fn pass(&mut self, first: u64) -> Result<(), OpenError> {
        let name = segment_name(first);
        let file = self.folder.open_file(&name)?;
        let length = length(self.folder, &name, &file)?;
        let head = first_line(self.folder, &name, first)?;
        let mut verifier = match self.tip {
            Some(tip) => Verifier::after(tip),
            None if first == 1 => Verifier::from_the_beginning(),
            None => Verifier::from_anywhere(),
        };
        let wrong = |finding| damaged(self.folder, &name, first, finding);
        if head.sequence != first {
            return Err(wrong(Finding::Gap {
                expected: first,
                found: head.sequence,
            }));
        }
        verifier.feed(&head).map_err(wrong)?;
        let last = last_line(self.folder, &name)?;
        let mut segment = Segment::new(first, self.base(), made(head.bytes()));
        segment.len = length;
        segment.newest = made(last.bytes());
        segment.refusals = None;
        self.tip = Some(last.tip());
        self.segments.push_back(segment);
        Ok(())
    }

    /// Reads the last segment whole.
    fn examine(&mut self, known: Known, confirmed: u64) -> Result<(Standing, Bytes), OpenError> {
        let name = segment_name(known.first);
        let bytes = read_whole(self.folder, &name)?;
        let mut segment: Option<Segment> = None;
        let base = self.base();
        let mut refusals = 0;
        let standing = examine(&bytes, known, |line, offset| {
            let at = made(line.bytes());
            let segment = segment.get_or_insert_with(|| Segment::new(known.first, base, at));
            segment.mark(line.sequence, offset as u64, at);
            segment.newest = at;
            if is_unproven(line.bytes()) {
                refusals += line.bytes().len() as u64 + 1;
            }
        });
        let standing = standing.map_err(|mut damage| {
            if matches!(damage.why, Why::Confirmed { .. }) && damage.sequence > confirmed {
                damage.why = Why::LaterSegment;
            }
            OpenError::Damaged {
                path: self.folder.path(&name),
                damage: Box::new(damage),
            }
        })?;
        if let Some(mut segment) = segment {
            segment.len = standing.valid as u64;
            segment.refusals = Some(refusals);
            self.segments.push_back(segment);
        }
        Ok((standing, bytes))
    }

    fn base(&self) -> u64 {
        self.segments
            .back()
            .map_or(0, |segment| segment.base + segment.len)
    }
}

/// Moves aside what does not stand, and makes what stands durable in a new file.
fn repair(
    folder: &Folder,
    first: u64,
    standing: &Standing,
    bytes: &Bytes,
) -> Result<Option<JournalRecovered>, OpenError> {
    let name = segment_name(first);
    let (valid, rest) = bytes.split_at(standing.valid);
    let aside = match rest {
        [] => None,
        rest => Some(move_aside(folder, standing, rest, &name)?),
    };
    if valid.is_empty() {
        folder.remove(&name)?;
    } else {
        let file = folder.create(RECOVERING)?;
        store(folder, RECOVERING, file, valid)?;
        folder.replace(RECOVERING, &name)?;
    }
    folder.sync()?;
    Ok(aside)
}

/// Writes a half-written commit to a file in `torn/`; the same one once, however often recovery is
/// interrupted.
fn move_aside(
    folder: &Folder,
    standing: &Standing,
    rest: &[u8],
    name: &str,
) -> Result<JournalRecovered, OpenError> {
    let kept_until = standing.tip.map_or(0, |tip| tip.sequence);
    let digest = Digest::of(rest).to_string();
    let short = digest.get(..16).unwrap_or_default();
    let moved_to = format!("{:020}-{short}.part", kept_until + 1);
    let torn = folder.torn()?;
    if torn.length(&moved_to) != Some(rest.len() as u64) {
        if torn.length(&moved_to).is_some() {
            torn.remove(&moved_to)?;
        }
        let file = torn.create(&moved_to)?;
        store(&torn, &moved_to, file, rest)?;
        torn.sync()?;
    }
    Ok(JournalRecovered {
        segment: name.to_owned(),
        offset: standing.valid as u64,
        bytes: rest.len() as u64,
        moved_to: format!("{TORN}/{moved_to}"),
        kept_until,
    })
}

fn store(folder: &Folder, name: &str, mut file: File, bytes: &[u8]) -> Result<(), FileError> {
    Appendable::write_at(&mut file, bytes, 0)
        .and_then(|()| Appendable::sync(&mut file))
        .map_err(|source| folder.odd("write", name, source))
}

/// The end of an empty journal with this lineage.
pub(super) const fn beginning(lineage: crate::audit::chain::Lineage) -> Tip {
    Tip {
        sequence: 0,
        batch: 0,
        hash: Digest::ZERO,
        lineage,
    }
}
