//! Reads a segment whole, or its first and last line, when the journal is opened. Touches: fs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::files::{FileError, Folder};
use super::recover::OpenError;
use crate::audit::chain::{Damage, Finding, Line, LineFault, MAX_LINE, Why};

/// Largest segment that is read at a start: sixteen times the default size.
const MAX_SEGMENT: u64 = 1 << 30;

/// All bytes of a segment.
pub(super) fn read_whole(folder: &Folder, name: &str) -> Result<Bytes, OpenError> {
    let file = folder.open_file(name)?;
    let length = length(folder, name, &file)?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    read_at(folder, name, &file, (&mut bytes, 0))?;
    Ok(Bytes::from(bytes))
}

/// The length of a segment, which has a bound.
pub(super) fn length(folder: &Folder, name: &str, file: &File) -> Result<u64, FileError> {
    let odd = |source| folder.odd("read", name, source);
    let length = file.metadata().map_err(odd)?.len();
    if length > MAX_SEGMENT {
        return Err(odd(io::Error::other("it is larger than a segment can be")));
    }
    Ok(length)
}

fn read_at(
    folder: &Folder,
    name: &str,
    file: &File,
    (space, offset): (&mut [u8], u64),
) -> Result<(), FileError> {
    file.read_exact_at(space, offset)
        .map_err(|source| folder.odd("read", name, source))
}

/// The first line of a segment, which must be there.
pub(super) fn first_line(folder: &Folder, name: &str, first: u64) -> Result<Line, OpenError> {
    let file = folder.open_file(name)?;
    let length = length(folder, name, &file)?;
    let mut head = vec![0; MAX_LINE.min(usize::try_from(length).unwrap_or(MAX_LINE))];
    read_at(folder, name, &file, (&mut head, 0))?;
    let end = head.iter().position(|byte| *byte == b'\n');
    let line = end.map(|end| head.get(..end).unwrap_or_default().to_vec());
    let line = line.ok_or(LineFault::Form("line feed"));
    line.and_then(|line| Line::parse(line.into()))
        .map_err(|fault| {
            let finding = Finding::Damaged {
                expected: first,
                fault,
            };
            damaged(folder, name, first, finding)
        })
}

/// The last line of a segment that another follows: it must be whole.
pub(super) fn last_line(folder: &Folder, name: &str) -> Result<Line, OpenError> {
    let file = folder.open_file(name)?;
    let length = length(folder, name, &file)?;
    let size = (MAX_LINE as u64 + 2).min(length);
    let mut end = vec![0; usize::try_from(size).unwrap_or(0)];
    read_at(folder, name, &file, (&mut end, length - size))?;
    let line = end
        .strip_suffix(b"\n")
        .and_then(|rest| rest.rsplit(|byte| *byte == b'\n').next())
        .ok_or(LineFault::Form("line feed"))
        .and_then(|line| Line::parse(Bytes::copy_from_slice(line)));
    line.map_err(|fault| {
        let damage = Damage {
            offset: usize::try_from(length).unwrap_or(0),
            sequence: 0,
            finding: Finding::Damaged { expected: 0, fault },
            why: Why::LaterSegment,
        };
        OpenError::Damaged {
            path: folder.path(name),
            damage: Box::new(damage),
        }
    })
}

/// Damage at the beginning of a segment that another follows.
pub(super) fn damaged(folder: &Folder, name: &str, sequence: u64, finding: Finding) -> OpenError {
    OpenError::Damaged {
        path: folder.path(name),
        damage: Box::new(Damage {
            offset: 0,
            sequence,
            finding,
            why: Why::LaterSegment,
        }),
    }
}
