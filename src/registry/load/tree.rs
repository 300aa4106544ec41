//! Lists the registry files of a git tree, by the rules of a folder scan. Touches: fs, by gix.
//!
//! **Invariant:** nothing outside of the registry's folder of the tree is read; a link counts only by the
//! path of the tree that it resolves to.

use std::collections::{BTreeMap, VecDeque};

use gix::ObjectId;
use gix::object::tree::EntryKind;

use super::Limits;
use crate::registry::diagnostic::Problem;
use crate::registry::source::Place;

/// Most problems of entries that are told: the rest is more of the same.
const MAX_PROBLEMS: usize = 100;

/// Most links that one path is followed through: what Linux allows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Longest target of a link in bytes: Linux's PATH_MAX.
const MAX_TARGET: u64 = 4096;

/// Why a walk ends early.
pub(super) enum Fault {
    /// An object is not there, or is damaged.
    Object,
    /// The registry folder is not in the tree.
    Missing,
    /// It is there, and a file.
    NotAFolder,
    /// More files or folders than allowed.
    Files,
    /// More bytes than allowed.
    Bytes,
}

/// An entry of a tree.
struct Entry {
    name: Vec<u8>,
    kind: EntryKind,
    id: ObjectId,
}

/// What a link leads to.
enum Target {
    Folder(Vec<Vec<u8>>, ObjectId),
    File(Vec<Vec<u8>>, ObjectId),
    Nothing,
    Loop,
    Outside,
}

/// One walk over the registry folder of a tree.
pub(super) struct Walk<'a> {
    repository: &'a gix::Repository,
    root: ObjectId,
    inside: &'a [Vec<u8>],
    limits: Limits,
    bytes: u64,
    folders: usize,
    /// The folders from the registry's to here, without links: a link to one of them is a loop.
    above: Vec<Vec<Vec<u8>>>,
    /// The files by the path that people see.
    pub(super) files: BTreeMap<String, ObjectId>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    /// A walk over the folder `inside` of the tree `root`.
    pub(super) fn new(
        repository: &'a gix::Repository,
        root: ObjectId,
        inside: &'a [Vec<u8>],
        limits: Limits,
    ) -> Self {
        Self {
            repository,
            root,
            inside,
            limits,
            bytes: 0,
            folders: 0,
            above: Vec::new(),
            files: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Walks all of it.
    pub(super) fn all(&mut self) -> Result<(), Fault> {
        match self.resolve(&[], &self.inside.join(&b'/'))? {
            Target::Folder(at, id) if at == self.inside => self.folder(id, "", &at),
            Target::Folder(..) | Target::File(..) => Err(Fault::NotAFolder),
            Target::Nothing | Target::Loop | Target::Outside => Err(Fault::Missing),
        }
    }

    /// Walks a folder: `shown` is its path as people see it, `at` the one without links.
    fn folder(&mut self, id: ObjectId, shown: &str, at: &[Vec<u8>]) -> Result<(), Fault> {
        self.folders += 1;
        // Links to folders can make many of few.
        if self.folders > self.limits.files {
            return Err(Fault::Files);
        }
        let entries = self.entries(id)?;
        self.above.push(at.to_vec());
        for entry in entries {
            if entry.name.first() == Some(&b'.') {
                continue;
            }
            let name = String::from_utf8_lossy(&entry.name);
            let shown = match shown {
                "" => name.into_owned(),
                above => format!("{above}/{name}"),
            };
            let below = joined(at, &entry.name);
            match entry.kind {
                EntryKind::Tree => self.subfolder(entry.id, &shown, &below)?,
                EntryKind::Blob | EntryKind::BlobExecutable => self.file(entry.id, &shown)?,
                EntryKind::Link => self.link(at, entry.id, &shown)?,
                EntryKind::Commit => self.problem(
                    &shown,
                    "this is a submodule, whose files are not in this commit",
                    "put the files themselves here: a registry is one repository's",
                ),
            }
        }
        self.above.pop();
        Ok(())
    }

    fn subfolder(&mut self, id: ObjectId, shown: &str, at: &[Vec<u8>]) -> Result<(), Fault> {
        if is_toml(shown) {
            let message = "this is a folder, though its name is that of a file";
            self.problem(shown, message, "rename it: what ends in `.toml` is a file");
            return Ok(());
        }
        if self.above.len() > self.limits.depth {
            let message = format!("folders are more than {} deep here", self.limits.depth);
            self.problem(shown, &message, "");
            return Ok(());
        }
        if self.above.iter().any(|above| above == at) {
            let message = "this link leads back to a folder that it stands in";
            self.problem(shown, message, "remove it");
            return Ok(());
        }
        self.folder(id, shown, at)
    }

    fn file(&mut self, id: ObjectId, shown: &str) -> Result<(), Fault> {
        if !is_toml(shown) {
            return Ok(());
        }
        if self.files.len() >= self.limits.files {
            return Err(Fault::Files);
        }
        let header = self.repository.find_header(id);
        let size = header.map_err(|_| Fault::Object)?.size();
        if size > self.limits.file_bytes {
            let most = self.limits.file_bytes;
            let message = format!("this file has {size} bytes, more than {most}");
            let advice = "split it: tables may stand in as many files as you like";
            self.problem(shown, &message, advice);
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.total_bytes {
            return Err(Fault::Bytes);
        }
        self.files.insert(shown.to_owned(), id);
        Ok(())
    }

    fn link(&mut self, from: &[Vec<u8>], id: ObjectId, shown: &str) -> Result<(), Fault> {
        let Some(target) = self.target(id)? else {
            self.problem(
                shown,
                "this link can't be followed: its target is too long",
                "",
            );
            return Ok(());
        };
        let found = self.resolve(from, &target)?;
        let message = match found {
            Target::Folder(at, id) if at.starts_with(self.inside) => {
                return self.subfolder(id, shown, &at);
            }
            Target::File(at, id) if at.starts_with(self.inside) => return self.file(id, shown),
            Target::Folder(..) => "this link leads out of the registry folder",
            // A link to something else than a folder or a registry file is nobody's business.
            Target::File(..) | Target::Outside if !is_toml(shown) => return Ok(()),
            Target::File(..) | Target::Outside => "this link leads out of the registry folder",
            Target::Nothing => "this link leads to nothing",
            Target::Loop => "this link can't be followed: it leads through too many others",
        };
        let advice = "put the file itself here: only what is below the root is served";
        self.problem(shown, message, advice);
        Ok(())
    }

    /// Follows a path of the tree from a folder of it, as the system would in a checkout.
    fn resolve(&self, from: &[Vec<u8>], path: &[u8]) -> Result<Target, Fault> {
        if path.first() == Some(&b'/') {
            return Ok(Target::Outside);
        }
        let mut at = from.to_vec();
        let mut open: VecDeque<Vec<u8>> = parts(path).collect();
        let mut links = 0;
        while let Some(part) = open.pop_front() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." if at.pop().is_none() => return Ok(Target::Outside),
                b".." => continue,
                _ => {}
            }
            let Some(entry) = self.lookup(&at, &part)? else {
                return Ok(Target::Nothing);
            };
            match entry.kind {
                EntryKind::Tree => at.push(part),
                EntryKind::Blob | EntryKind::BlobExecutable if open.is_empty() => {
                    return Ok(Target::File(joined(&at, &part), entry.id));
                }
                EntryKind::Link => {
                    links += 1;
                    match self.target(entry.id)? {
                        _ if links > MAX_LINKS => return Ok(Target::Loop),
                        None => return Ok(Target::Nothing),
                        Some(target) if target.first() == Some(&b'/') => {
                            return Ok(Target::Outside);
                        }
                        Some(target) => {
                            for part in parts(&target).rev() {
                                open.push_front(part);
                            }
                        }
                    }
                }
                EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Commit => {
                    return Ok(Target::Nothing);
                }
            }
        }
        let id = self.tree(&at)?.ok_or(Fault::Object)?;
        Ok(Target::Folder(at, id))
    }

    /// An entry of a folder.
    fn lookup(&self, folder: &[Vec<u8>], name: &[u8]) -> Result<Option<Entry>, Fault> {
        let Some(id) = self.tree(folder)? else {
            return Ok(None);
        };
        let mut entries = self.entries(id)?.into_iter();
        Ok(entries.find(|entry| entry.name == name))
    }

    /// The tree at a path without links.
    fn tree(&self, path: &[Vec<u8>]) -> Result<Option<ObjectId>, Fault> {
        let mut here = self.root;
        for part in path {
            let mut entries = self.entries(here)?.into_iter();
            match entries.find(|entry| entry.name == *part) {
                Some(entry) if entry.kind == EntryKind::Tree => here = entry.id,
                _ => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    fn entries(&self, id: ObjectId) -> Result<Vec<Entry>, Fault> {
        let tree = self.repository.find_tree(id).map_err(|_| Fault::Object)?;
        let entries = tree.iter().map(|entry| {
            let entry = entry.map_err(|_| Fault::Object)?;
            Ok(Entry {
                name: entry.filename().to_vec(),
                kind: entry.mode().kind(),
                id: entry.oid().to_owned(),
            })
        });
        entries.collect()
    }

    /// The target of a link; `None` for one that is too long.
    fn target(&self, id: ObjectId) -> Result<Option<Vec<u8>>, Fault> {
        let header = self.repository.find_header(id).map_err(|_| Fault::Object)?;
        if header.size() > MAX_TARGET {
            return Ok(None);
        }
        let blob = self.repository.find_blob(id);
        Ok(Some(blob.map_err(|_| Fault::Object)?.take_data()))
    }

    fn problem(&mut self, shown: &str, message: &str, advice: &str) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let mut problem = Problem::error(Place::file(shown), message);
        if !advice.is_empty() {
            problem = problem.advise(advice);
        }
        self.problems.push(problem);
    }
}

fn is_toml(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".toml")
        .is_some_and(|stem| !stem.is_empty())
}

fn joined(folder: &[Vec<u8>], name: &[u8]) -> Vec<Vec<u8>> {
    let mut path = folder.to_vec();
    path.push(name.to_vec());
    path
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec)
}
