//! The records of a kept registry, byte by byte. Pure.
//!
//! Both files, `base` and `log`, are a first line and records behind it. Numbers are big-endian.
//!
//! ```text
//! record   kind (1), length of the body (4), body, SHA-256 of all three (32)
//! F        length of the path (2), path, bytes     a file says this from here on
//! G        path                                    a file is gone
//! S        number (8), generation (8), accepted (8, Unix seconds), digest (32),
//!          count of the batch's records (4), their chain (32),
//!          length of the form (1), form, commit or nothing,
//!          and behind it 0 (clean), 1 (dirty) or nothing (not known)
//! ```
//! Records up to a seal (`S`) are a batch: one accepted change. The chain of a batch is a hash over the
//! checksums of its records, so that a seal closes just the records before it.
//!
//! **Invariant:** what is read has the checksum that was written, or it is [`Unreadable`]; no length
//! that is read makes this allocate more than [`MAX_BODY`].

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use crate::domain::{CommitId, Digest, UnixSeconds};
use crate::registry::source::MAX_PATH;

/// What each file begins with: its name, and the version of this form.
pub(super) const FIRST_LINE: &[u8; 24] = b"grantd registry, kept 1\n";

/// Most bytes of a body: the largest registry file (`load::Limits`, 1 MiB) with its path.
pub(super) const MAX_BODY: usize = 1024 * 1024 + MAX_PATH + 2;

/// Bytes before the body.
pub(super) const HEAD: usize = 5;

/// Bytes behind the body.
const CHECKSUM: usize = 32;

/// Bytes of a record besides its body.
pub(super) const AROUND: usize = HEAD + CHECKSUM;

/// Bytes of a seal's body before its texts.
const SEAL_FIXED: usize = 92;

const FILE: u8 = b'F';
const GONE: u8 = b'G';
const SEAL: u8 = b'S';

/// Behind the commit: no character of one.
const CLEAN: u8 = 0;
const DIRTY: u8 = 1;

/// What closes a batch: which registry its files make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Counts the batches, from 1, without a gap.
    pub number: u64,
    /// The generation under which the registry was first served.
    pub generation: u64,
    /// When it was accepted.
    pub accepted: UnixSeconds,
    /// Its digest.
    pub digest: Digest,
    /// The form of that digest: another program may make another one of the same files.
    pub form: Arc<str>,
    /// The git commit, where the folder was in a work tree.
    pub commit: Option<CommitId>,
    /// Whether the folder differed from it, where that is known.
    pub dirty: Option<bool>,
}

/// The count of a batch's records, and the hash over their checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    count: u32,
    hash: Digest,
}

impl Chain {
    /// Of no records.
    pub(super) const EMPTY: Self = Self {
        count: 0,
        hash: Digest::ZERO,
    };

    /// With one more.
    pub(super) fn with(self, checksum: &Digest) -> Self {
        Self {
            count: self.count.saturating_add(1),
            hash: Digest::of_parts(&[self.hash.as_bytes(), checksum.as_bytes()]),
        }
    }
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A file says this from here on.
    File {
        /// Below the registry's root.
        path: Arc<str>,
        /// What it says.
        bytes: Vec<u8>,
    },
    /// A file is gone.
    Gone {
        /// Below the registry's root.
        path: Arc<str>,
    },
    /// The end of a batch.
    Seal(Seal, Chain),
}

/// Why no record can be read at some place.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The end of the file.
    #[error("it ends within a record, at byte {at}")]
    Torn {
        /// Where the record begins.
        at: u64,
    },
    /// Other bytes than were written.
    #[error("the record at byte {at} is damaged")]
    Damaged {
        /// Where the record begins.
        at: u64,
    },
    /// Whole, and not what this program writes.
    #[error("the record at byte {at} has an unknown form")]
    Unknown {
        /// Where the record begins.
        at: u64,
    },
    /// The first line is another one.
    #[error("it does not begin as a kept registry of this version does")]
    FirstLine,
    /// The system can't read it.
    #[error("it can't be read at byte {at}: {source}")]
    Io {
        /// Where the record begins.
        at: u64,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Writes a file's record; its checksum.
pub(super) fn write_file(path: &str, bytes: &[u8], out: &mut Vec<u8>) -> Digest {
    let length = u16::try_from(path.len()).unwrap_or(u16::MAX).to_be_bytes();
    write(FILE, &[&length, path.as_bytes(), bytes], out)
}

/// Writes that a file is gone; the record's checksum.
pub(super) fn write_gone(path: &str, out: &mut Vec<u8>) -> Digest {
    write(GONE, &[path.as_bytes()], out)
}

/// Writes a seal.
pub(super) fn write_seal(seal: &Seal, chain: &Chain, out: &mut Vec<u8>) {
    let form = seal.form.as_bytes();
    let dirty: &[u8] = match seal.dirty {
        None => &[],
        Some(false) => &[CLEAN],
        Some(true) => &[DIRTY],
    };
    let parts: [&[u8]; 10] = [
        &seal.number.to_be_bytes(),
        &seal.generation.to_be_bytes(),
        &seal.accepted.get().to_be_bytes(),
        seal.digest.as_bytes(),
        &chain.count.to_be_bytes(),
        chain.hash.as_bytes(),
        &[u8::try_from(form.len()).unwrap_or(u8::MAX)],
        form,
        seal.commit.as_ref().map_or("", CommitId::as_str).as_bytes(),
        dirty,
    ];
    write(SEAL, &parts, out);
}

fn write(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) -> Digest {
    let start = out.len();
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    out.push(kind);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    let checksum = Digest::of(out.get(start..).unwrap_or_default());
    out.extend_from_slice(checksum.as_bytes());
    checksum
}

/// Whether these bytes are one record as it was written; its checksum.
pub(super) fn verify(record: &[u8]) -> Option<Digest> {
    let (written, checksum) = record.split_last_chunk::<CHECKSUM>()?;
    let found = Digest::of(written);
    (found.as_bytes() == checksum).then_some(found)
}

/// A record with its place and its checksum.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) record: Record,
    pub(super) checksum: Digest,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Reads records one after the other.
#[derive(Debug)]
pub(super) struct Reader<R> {
    from: R,
    at: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the first line.
    pub(super) fn open(mut from: R) -> Result<Self, Unreadable> {
        let mut line = [0; FIRST_LINE.len()];
        match from.read_exact(&mut line) {
            Ok(()) if line == *FIRST_LINE => Ok(Self {
                from,
                at: u64_of(line.len()),
            }),
            Err(source) if source.kind() != ErrorKind::UnexpectedEof => {
                Err(Unreadable::Io { at: 0, source })
            }
            _ => Err(Unreadable::FirstLine),
        }
    }

    /// Where the next record begins.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Placed>, Unreadable> {
        let start = self.at;
        let mut kind = [0];
        loop {
            match self.from.read(&mut kind) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(Unreadable::Io { at: start, source }),
            }
        }
        let mut length = [0; 4];
        self.exactly(&mut length, start)?;
        let size = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if size > MAX_BODY {
            return Err(Unreadable::Damaged { at: start });
        }
        let mut body = vec![0; size];
        self.exactly(&mut body, start)?;
        let mut checksum = [0; CHECKSUM];
        self.exactly(&mut checksum, start)?;
        let found = Digest::of_parts(&[&kind, &length, &body]);
        if *found.as_bytes() != checksum {
            return Err(Unreadable::Damaged { at: start });
        }
        let [kind] = kind;
        let record = parse(kind, body).ok_or(Unreadable::Unknown { at: start })?;
        self.at = start + u64_of(AROUND + size);
        Ok(Some(Placed {
            record,
            checksum: found,
            start,
            end: self.at,
        }))
    }

    fn exactly(&mut self, into: &mut [u8], at: u64) -> Result<(), Unreadable> {
        self.from
            .read_exact(into)
            .map_err(|source| match source.kind() {
                ErrorKind::UnexpectedEof => Unreadable::Torn { at },
                _ => Unreadable::Io { at, source },
            })
    }
}

/// A length in memory always fits.
pub(super) fn u64_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn parse(kind: u8, mut body: Vec<u8>) -> Option<Record> {
    match kind {
        FILE => {
            let (length, rest) = body.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let path = path(rest.get(..length)?)?;
            let bytes = body.split_off(2 + length);
            Some(Record::File { path, bytes })
        }
        GONE => Some(Record::Gone { path: path(&body)? }),
        SEAL => parse_seal(&body),
        _ => None,
    }
}

fn path(bytes: &[u8]) -> Option<Arc<str>> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.len() <= MAX_PATH).then(|| Arc::from(text))
}

fn parse_seal(body: &[u8]) -> Option<Record> {
    let (number, rest) = body.split_first_chunk::<8>()?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (accepted, rest) = rest.split_first_chunk::<8>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (hash, _) = rest.split_first_chunk::<32>()?;
    let (length, texts) = body.get(SEAL_FIXED..)?.split_first()?;
    let (form, commit) = texts.split_at_checked(usize::from(*length))?;
    let (commit, dirty) = match commit.split_last() {
        Some((&CLEAN, commit)) => (commit, Some(false)),
        Some((&DIRTY, commit)) => (commit, Some(true)),
        _ => (commit, None),
    };
    let commit = match std::str::from_utf8(commit).ok()? {
        "" => None,
        text => Some(CommitId::parse(text).ok()?),
    };
    let seal = Seal {
        number: u64::from_be_bytes(*number),
        generation: u64::from_be_bytes(*generation),
        accepted: UnixSeconds::new(u64::from_be_bytes(*accepted)),
        digest: Digest::from_bytes(*digest),
        form: Arc::from(std::str::from_utf8(form).ok()?),
        commit,
        dirty,
    };
    let chain = Chain {
        count: u32::from_be_bytes(*count),
        hash: Digest::from_bytes(*hash),
    };
    Some(Record::Seal(seal, chain))
}
