//! Whether what is served is what a git commit holds. Touches: fs.
//!
//! Only git's objects are read, and compared with the bytes that were read from the folder: no index,
//! no attributes, no filter. So a file that git changes at a checkout (line ends, LFS) differs from
//! its commit, and so does one that git ignores but grantd reads.
//!
//! **Invariant:** it tells, and never fails: what can't be read is `None`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use gix::ObjectId;
use gix::objs::tree::{EntryKind, EntryMode};

use super::head::repository;
use crate::domain::CommitId;

/// Most entries of a commit that are looked at: five times the most files that a registry may have.
const MAX_ENTRIES: usize = 1_000_000;

/// Most folders within folders, and links within links: as the kernel's own limit of links.
const MAX_DEPTH: usize = 40;

/// The name that git has for these bytes. `None` where they are made to look like others.
pub(super) fn blob_id(bytes: &[u8]) -> Option<ObjectId> {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, bytes).ok()
}

/// The files that are served.
pub(super) struct Files<'a> {
    /// How many there are.
    pub(super) count: usize,
    /// The blob of the file that has this path below the folder.
    pub(super) blob: &'a dyn Fn(&str) -> Option<ObjectId>,
}

/// Whether the files of `folder` that are served are others than those of the commit: changed, added or
/// missing.
pub(super) fn differs(folder: &Path, commit: &CommitId, served: &Files<'_>) -> Option<bool> {
    let repository = repository(folder)?;
    let folder = std::fs::canonicalize(folder).ok()?;
    let work_tree = std::fs::canonicalize(repository.workdir()?).ok()?;
    let below = folder.strip_prefix(&work_tree).ok()?;
    let commit = ObjectId::from_hex(commit.as_str().as_bytes()).ok()?;
    let mut walk = Walk {
        repository: &repository,
        work_tree: &work_tree,
        below,
        top: repository.find_commit(commit).ok()?.tree().ok()?,
        served,
        same: 0,
        left: MAX_ENTRIES,
        above: Vec::new(),
    };
    let Some((mode, id)) = walk.at(below) else {
        // The commit knows nothing of this folder.
        return Some(served.count > 0);
    };
    if !mode.is_tree() {
        return Some(served.count > 0);
    }
    match walk.tree(id, Path::new(""), Path::new("")) {
        Ok(()) => Some(walk.same != served.count),
        Err(Stop::Differs) => Some(true),
        Err(Stop::Unknown) => None,
    }
}

/// Why a walk ends early.
enum Stop {
    /// A file is another one, or is not served.
    Differs,
    /// The commit can't be read, or says nothing of a part of the folder.
    Unknown,
}

/// Goes through what a commit holds as the scan goes through a folder.
struct Walk<'a> {
    repository: &'a gix::Repository,
    /// The work tree, without links, and the registry folder below it.
    work_tree: &'a Path,
    below: &'a Path,
    /// All that the commit holds.
    top: gix::Tree<'a>,
    served: &'a Files<'a>,
    /// Files so far that are served as the commit has them.
    same: usize,
    left: usize,
    /// The trees from the top to here: a link to one of them is a loop.
    above: Vec<ObjectId>,
}

impl Walk<'_> {
    /// Walks a tree: `shown` is its path as people see it, `at` the one without links.
    fn tree(&mut self, id: ObjectId, shown: &Path, at: &Path) -> Result<(), Stop> {
        if self.above.len() > MAX_DEPTH || self.above.contains(&id) {
            return Err(Stop::Unknown);
        }
        self.above.push(id);
        let tree = self.repository.find_tree(id).map_err(|_| Stop::Unknown)?;
        for entry in tree.iter() {
            let entry = entry.map_err(|_| Stop::Unknown)?;
            self.left = self.left.checked_sub(1).ok_or(Stop::Unknown)?;
            let name = OsStr::from_bytes(entry.filename());
            if name.as_bytes().first() != Some(&b'.') {
                let object = (entry.mode(), entry.object_id());
                self.entry(object, &shown.join(name), &at.join(name))?;
            }
        }
        self.above.pop();
        Ok(())
    }

    fn entry(
        &mut self,
        (mode, id): (EntryMode, ObjectId),
        shown: &Path,
        at: &Path,
    ) -> Result<(), Stop> {
        let is_toml = shown.extension() == Some(OsStr::new("toml"));
        match mode.kind() {
            EntryKind::Blob | EntryKind::BlobExecutable if is_toml => self.file(id, shown),
            EntryKind::Tree if !is_toml => self.tree(id, shown, at),
            EntryKind::Link => match self.follow(at) {
                Some((object, at)) => self.entry(object, shown, &at),
                // What it leads to is not the commit's: what is served there is something else.
                None if is_toml => Err(Stop::Differs),
                None => Ok(()),
            },
            // The commit of another repository: what is in it is not said here.
            EntryKind::Commit => Err(Stop::Unknown),
            EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Tree => Ok(()),
        }
    }

    fn file(&mut self, id: ObjectId, shown: &Path) -> Result<(), Stop> {
        if (self.served.blob)(&shown.to_string_lossy()) != Some(id) {
            return Err(Stop::Differs);
        }
        self.same += 1;
        Ok(())
    }

    /// What a link of the commit leads to in the commit, and its path below the folder without links.
    fn follow(&self, link: &Path) -> Option<((EntryMode, ObjectId), PathBuf)> {
        let mut here = PathBuf::new();
        let mut left = MAX_DEPTH;
        // Last first.
        let mut parts = parts(&self.below.join(link))?;
        while let Some(part) = parts.pop() {
            if part == ".." {
                here.pop().then_some(())?;
                continue;
            }
            here.push(part);
            let (mode, id) = self.at(&here)?;
            if mode.is_link() {
                left = left.checked_sub(1)?;
                here.pop();
                let blob = self.repository.find_blob(id).ok()?;
                let target = PathBuf::from(OsString::from_vec(blob.data.clone()));
                if target.is_absolute() {
                    here.clear();
                    parts.extend(self::parts(target.strip_prefix(self.work_tree).ok()?)?);
                } else {
                    parts.extend(self::parts(&target)?);
                }
            }
        }
        let object = self.at(&here)?;
        Some((object, here.strip_prefix(self.below).ok()?.to_owned()))
    }

    /// What the commit has at a path of the work tree without links.
    fn at(&self, path: &Path) -> Option<(EntryMode, ObjectId)> {
        if path == Path::new("") {
            return Some((EntryKind::Tree.into(), self.top.id));
        }
        let entry = self.top.lookup_entry_by_path(path).ok()??;
        Some((entry.mode(), entry.object_id()))
    }
}

/// The parts of a path, the last first. `None` where one is not of a path below a folder.
fn parts(path: &Path) -> Option<Vec<OsString>> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_owned()),
            Component::ParentDir => parts.push(OsString::from("..")),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    parts.reverse();
    Some(parts)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::super::{Limits, Loader, Look, head, scan};
    use crate::clock::Clock;

    use super::*;

    /// A work tree with a registry folder in it, and something else beside.
    struct Tree {
        folder: tempfile::TempDir,
        loader: Loader,
    }

    impl Tree {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("ops/registry.d");
            let loader = Loader::new(&root, Limits::default(), Clock::of_this_machine());
            let tree = Self { folder, loader };
            tree.git(&["init", "-q"]);
            tree.write("ops/other.toml", "");
            tree.write("ops/registry.d/a.toml", "# a");
            tree.write("ops/registry.d/team/b.toml", "# b");
            tree.write("ops/registry.d/team/README", "words");
            tree.write("ops/registry.d/..data/c.toml", "# c");
            tree.link("..data/c.toml", "c.toml");
            tree.link("../registry.d/team", "again");
            tree.link("README", "team/link");
            tree.commit();
            tree
        }

        fn write(&self, path: &str, text: &str) {
            let file = self.folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        /// A link in the registry.
        fn link(&self, to: &str, path: &str) {
            symlink(to, self.at(path)).unwrap();
        }

        /// A file in the registry.
        fn at(&self, path: &str) -> PathBuf {
            self.folder.path().join("ops/registry.d").join(path)
        }

        fn commit(&self) {
            self.git(&["add", "-A"]);
            self.git(&["commit", "-q", "--allow-empty", "-m", "next"]);
        }

        fn git(&self, args: &[&str]) {
            let done = Command::new("git")
                .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
                .args(["-c", "protocol.file.allow=always"])
                .args(args)
                .current_dir(self.folder.path())
                .output()
                .unwrap();
            assert!(done.status.success(), "{args:?}: {done:?}");
        }

        /// What `load` says, without its wait for git's index to rest.
        fn dirty(&mut self) -> Option<bool> {
            let loader = &mut self.loader;
            let now = loader.clock.now();
            let scan = scan::scan(&loader.root, &loader.limits).unwrap();
            let (_, problems) = loader.read(&scan, now, true).unwrap();
            let commit = head::head(&loader.root, now).commit;
            loader.is_dirty(commit.as_ref(), &problems)
        }
    }

    type Change = fn(&Tree);

    const CHANGES: [(&str, Option<bool>, Change); 20] = [
        ("nothing", Some(false), |_| {}),
        ("another content", Some(true), |it| {
            it.write("ops/registry.d/a.toml", "# b");
        }),
        ("the same, written again", Some(false), |it| {
            it.write("ops/registry.d/a.toml", "# a");
        }),
        ("a new file", Some(true), |it| {
            it.write("ops/registry.d/team/new.toml", "");
        }),
        ("a new file that git ignores", Some(true), |it| {
            it.write("ops/registry.d/team/new.toml", "");
            it.write(".gitignore", "new.toml");
        }),
        ("a new file that is staged", Some(true), |it| {
            it.write("ops/registry.d/team/new.toml", "");
            it.git(&["add", "-A"]);
        }),
        ("a file less", Some(true), |it| {
            fs::remove_file(it.at("team/b.toml")).unwrap();
        }),
        ("a file less, and one more", Some(true), |it| {
            fs::rename(it.at("team/b.toml"), it.at("team/d.toml")).unwrap();
        }),
        ("a change that is committed", Some(false), |it| {
            it.write("ops/registry.d/team/new.toml", "");
            fs::remove_file(it.at("a.toml")).unwrap();
            it.commit();
        }),
        ("files that are not read", Some(false), |it| {
            it.write("ops/other.toml", "changed");
            it.write("ops/registry.d/team/README", "changed");
            it.write("ops/registry.d/.hidden.toml", "changed");
            it.write("ops/registry.d/a.toml~", "changed");
        }),
        ("what is not content", Some(false), |it| {
            let all = fs::Permissions::from_mode(0o755);
            fs::set_permissions(it.at("a.toml"), all).unwrap();
        }),
        ("what a link leads to", Some(true), |it| {
            it.write("ops/registry.d/..data/c.toml", "# d");
        }),
        ("where a link leads to", Some(true), |it| {
            fs::remove_file(it.at("c.toml")).unwrap();
            it.link("a.toml", "c.toml");
        }),
        ("a link in place of the same file", Some(false), |it| {
            fs::copy(it.at("a.toml"), it.at("..data/a.toml")).unwrap();
            fs::remove_file(it.at("a.toml")).unwrap();
            it.link("..data/a.toml", "a.toml");
        }),
        (
            "a link that the commit has to what it has not",
            Some(true),
            |it| {
                it.write(".gitignore", "..new");
                it.write("ops/registry.d/..new/e.toml", "");
                it.link("..new/e.toml", "e.toml");
                it.commit();
            },
        ),
        ("links that are committed", Some(false), |it| {
            let target = it.at("a.toml").canonicalize().unwrap();
            it.link(target.to_str().unwrap(), "absolute.toml");
            it.link("absolute.toml", "team/../twice.toml");
            it.commit();
        }),
        (
            "other line ends than those of the commit",
            Some(true),
            |it| {
                it.write(".gitattributes", "*.toml eol=crlf");
                it.write("ops/registry.d/a.toml", "# a\r\n");
                it.commit();
            },
        ),
        ("packed objects", Some(false), |it| {
            it.git(&["gc", "-q"]);
        }),
        ("objects that are gone", None, |it| {
            fs::remove_dir_all(it.folder.path().join(".git/objects")).unwrap();
            fs::create_dir(it.folder.path().join(".git/objects")).unwrap();
        }),
        ("another repository within", None, |it| {
            let args = ["submodule", "add", "-q", "./.git", "ops/registry.d/0-sub"];
            it.git(&args);
            it.commit();
        }),
    ];

    #[test]
    fn what_is_served_is_compared_with_the_commit() {
        for (what, expected, change) in CHANGES {
            let mut tree = Tree::new();
            assert_eq!(tree.dirty(), Some(false), "before {what}");
            change(&tree);
            assert_eq!(tree.dirty(), expected, "{what}");
        }
    }

    #[test]
    fn a_folder_that_the_commit_does_not_know_differs_from_it() {
        let tree = Tree::new();
        tree.write("elsewhere/a.toml", "# a");
        let folder = tree.folder.path().join("elsewhere");
        let mut loader = Loader::new(&folder, Limits::default(), Clock::of_this_machine());
        assert_eq!(loader.load().unwrap().dirty, Some(true));
    }

    #[test]
    fn without_a_commit_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.toml"), "").unwrap();
        let limits = Limits::default();
        let mut loader = Loader::new(folder.path(), limits, Clock::of_this_machine());
        assert_eq!(loader.load().unwrap().dirty, None);
        // A repository that is made later is seen, and what was read before is compared too.
        let tree = Tree { folder, loader };
        tree.git(&["init", "-q"]);
        tree.commit();
        let mut loader = tree.loader;
        for _ in 0..100 {
            match loader.look(true) {
                Look::Changed(loaded) => {
                    assert_eq!(loaded.unwrap().dirty, Some(false));
                    return;
                }
                // The index is not yet at rest.
                Look::Unsettled => std::thread::sleep(super::super::PAUSE),
                Look::Unchanged => panic!("HEAD is not seen"),
            }
        }
        panic!("it does not settle");
    }

    #[test]
    fn a_commit_that_leads_round_in_circles_ends() {
        let mut tree = Tree::new();
        // In the commit alone: a folder with such links is refused.
        tree.link("..", "team/up");
        tree.link("loop.toml", "loop.toml");
        tree.commit();
        fs::remove_file(tree.at("team/up")).unwrap();
        fs::remove_file(tree.at("loop.toml")).unwrap();
        assert_ne!(tree.dirty(), Some(false));
    }
}
