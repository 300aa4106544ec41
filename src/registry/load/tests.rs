//! Folders as they really come: links, FIFOs, half-written files. Touches: fs, process.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;

fn loader(root: &Path) -> Loader {
    Loader::new(root, Limits::default(), Clock::of_this_machine())
}

fn load(root: &Path) -> Result<Loaded, LoadError> {
    loader(root).load()
}

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn paths(loaded: &Loaded) -> Vec<&str> {
    loaded
        .sources
        .iter()
        .map(|source| &**source.path())
        .collect()
}

fn messages(loaded: &Loaded) -> Vec<String> {
    loaded
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.place.file, problem.message))
        .collect()
}

#[test]
fn a_path_that_is_too_long_to_be_kept_is_a_problem() {
    use std::os::unix::ffi::OsStrExt;

    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.toml", "");
    // Each byte that is no UTF-8 is shown as three: a path of 1,500 bytes as one of 4,500.
    let name = [0xff; 250];
    let mut folder = root.path().to_owned();
    folder.extend([std::ffi::OsStr::from_bytes(&name); 6]);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("b.toml"), "").unwrap();
    let loaded = load(root.path()).unwrap();
    assert_eq!(paths(&loaded), ["a.toml"]);
    let told = messages(&loaded);
    assert!(
        told.len() == 1 && told[0].ends_with("has 4512 bytes, more than 4096"),
        "{told:?}"
    );
}

#[test]
fn reads_what_ends_in_toml_at_any_depth_and_skips_dots() {
    let root = tempfile::tempdir().unwrap();
    for path in [
        "b.toml",
        "a/x.toml",
        "a/b/c/d.toml",
        "n.txt",
        "o.toml~",
        "#p.toml#",
        ".q.toml",
    ] {
        write(root.path(), path, "");
    }
    write(root.path(), ".git/r.toml", "");
    let loaded = load(root.path()).unwrap();
    assert_eq!(paths(&loaded), ["a/b/c/d.toml", "a/x.toml", "b.toml"]);
    assert!(loaded.problems.is_empty() && loaded.warnings.is_empty());
}

#[test]
fn a_folder_that_is_none_has_its_own_error() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("missing");
    assert!(matches!(load(&missing), Err(LoadError::Missing(_))));
    write(root.path(), "file", "");
    assert!(matches!(
        load(&root.path().join("file")),
        Err(LoadError::NotAFolder(_))
    ));
    assert!(matches!(load(root.path()), Err(LoadError::Empty(_))));
    write(root.path(), ".hidden.toml", "");
    assert!(matches!(load(root.path()), Err(LoadError::Empty(_))));
    symlink(root.path().join("nowhere"), root.path().join("link")).unwrap();
    assert!(matches!(
        load(&root.path().join("link")),
        Err(LoadError::Missing(_))
    ));
}

#[test]
fn what_is_no_file_is_a_problem_and_never_opened() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "good.toml", "");
    fs::create_dir(root.path().join("folder.toml")).unwrap();
    write(root.path(), "folder.toml/x.toml", "");
    let fifo = root.path().join("fifo.toml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket.toml")).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    let loaded = load(root.path()).unwrap();
    assert_eq!(paths(&loaded), ["good.toml"]);
    assert_eq!(
        messages(&loaded),
        [
            "fifo.toml: this is a FIFO, not a file",
            "folder.toml: this is a folder, though its name is that of a file",
            "socket.toml: this is a socket, not a file",
        ]
    );
}

#[test]
fn links_count_only_below_the_root() {
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret.toml", "");
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "real/a.toml", "");
    symlink("real/a.toml", root.path().join("inside.toml")).unwrap();
    symlink(
        root.path().join("real/a.toml"),
        root.path().join("absolute.toml"),
    )
    .unwrap();
    symlink(
        outside.path().join("secret.toml"),
        root.path().join("out.toml"),
    )
    .unwrap();
    symlink(outside.path(), root.path().join("outfolder")).unwrap();
    symlink("/dev/null", root.path().join("not-toml")).unwrap();
    symlink("/dev/zero", root.path().join("zero.toml")).unwrap();
    symlink("nothing", root.path().join("dangling.toml")).unwrap();
    symlink("loop.toml", root.path().join("loop.toml")).unwrap();
    symlink("..", root.path().join("real/up")).unwrap();
    let loaded = load(root.path()).unwrap();
    assert_eq!(
        paths(&loaded),
        ["absolute.toml", "inside.toml", "real/a.toml"]
    );
    let messages = messages(&loaded);
    assert_eq!(messages.len(), 6, "{messages:#?}");
    assert!(messages.contains(&"out.toml: this link leads out of the registry folder".to_owned()));
    assert!(messages.contains(&"outfolder: this link leads out of the registry folder".to_owned()));
    assert!(messages.contains(&"zero.toml: this link leads out of the registry folder".to_owned()));
    assert!(messages.contains(&"dangling.toml: this link leads to nothing".to_owned()));
    assert!(
        messages
            .iter()
            .any(|it| it.starts_with("loop.toml: this link can't be followed"))
    );
    assert!(
        messages
            .contains(&"real/up: this link leads back to a folder that it stands in".to_owned())
    );
}

#[test]
fn a_kubernetes_volume_is_read_once() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "..2026_11_23/api.toml", "# one");
    symlink("..2026_11_23", root.path().join("..data")).unwrap();
    symlink("..data/api.toml", root.path().join("api.toml")).unwrap();
    let mut loader = loader(root.path());
    let loaded = loader.load().unwrap();
    assert_eq!(paths(&loaded), ["api.toml"]);

    write(root.path(), "..2026_11_24/api.toml", "# two");
    symlink("..2026_11_24", root.path().join("..data_tmp")).unwrap();
    fs::rename(root.path().join("..data_tmp"), root.path().join("..data")).unwrap();
    let Look::Changed(Ok(loaded)) = loader.look(true) else {
        panic!("the flip was not seen");
    };
    assert_eq!(loaded.sources.first().unwrap().text(), "# two");
}

#[test]
fn limits_hold() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "large.toml", &"#".repeat(2_000));
    write(root.path(), "a/b/c/d.toml", "");
    let limits = Limits {
        file_bytes: 1_000,
        depth: 2,
        ..Limits::default()
    };
    let loaded = Loader::new(root.path(), limits, Clock::of_this_machine())
        .load()
        .unwrap();
    assert_eq!(
        messages(&loaded),
        [
            "a/b/c: folders are more than 2 deep here",
            "large.toml: this file has 2000 bytes, more than 1000"
        ]
    );
    let limits = Limits {
        files: 1,
        ..Limits::default()
    };
    let result = Loader::new(root.path(), limits, Clock::of_this_machine()).load();
    assert!(matches!(
        result,
        Err(LoadError::TooManyFiles { most: 1, .. })
    ));
    let limits = Limits {
        total_bytes: 1_500,
        ..Limits::default()
    };
    let result = Loader::new(root.path(), limits, Clock::of_this_machine()).load();
    assert!(matches!(result, Err(LoadError::TooManyBytes { .. })));
}

/// Each folder has two links to the next: two to the power of thirty ways down, and no file.
#[test]
fn links_that_multiply_folders_end() {
    let root = tempfile::tempdir().unwrap();
    for level in 0..30 {
        let folder = root.path().join(format!("{level:02}"));
        fs::create_dir(&folder).unwrap();
        for name in ["a", "b"] {
            symlink(format!("../{:02}", level + 1), folder.join(name)).unwrap();
        }
    }
    fs::create_dir(root.path().join("30")).unwrap();
    let limits = Limits {
        files: 1_000,
        ..Limits::default()
    };
    let result = Loader::new(root.path(), limits, Clock::of_this_machine()).load();
    assert!(matches!(
        result,
        Err(LoadError::TooManyFiles { most: 1_000, .. })
    ));
}

/// 100 MB that take no disk: refused by their size, before a byte is read.
#[test]
fn a_huge_file_is_not_read() {
    let root = tempfile::tempdir().unwrap();
    let file = fs::File::create(root.path().join("huge.toml")).unwrap();
    file.set_len(100_000_000).unwrap();
    let loaded = load(root.path()).unwrap();
    assert_eq!(
        messages(&loaded),
        ["huge.toml: this file has 100000000 bytes, more than 1048576"]
    );
}

#[test]
fn a_folder_that_everybody_may_write_is_a_warning() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.toml", "");
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(load(root.path()).unwrap().warnings.len(), 1);
}

#[test]
fn a_change_is_read_once_two_looks_agree() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.toml", "# 1");
    write(root.path(), "b.toml", "# 1");
    let mut loader = loader(root.path());
    let first = loader.load().unwrap();
    assert!(matches!(loader.look(false), Look::Unchanged));

    write(root.path(), "a.toml", "# 22");
    assert!(matches!(loader.look(false), Look::Unsettled));
    write(root.path(), "a.toml", "# 333");
    assert!(matches!(loader.look(false), Look::Unsettled));
    let Look::Changed(Ok(second)) = loader.look(false) else {
        panic!("two looks agreed");
    };
    assert_eq!(second.sources.first().unwrap().text(), "# 333");
    // What did not change is the same file, so that it is not parsed again.
    assert!(Arc::ptr_eq(
        second.sources.last().unwrap(),
        first.sources.last().unwrap()
    ));
    assert!(matches!(loader.look(false), Look::Unchanged));
}

/// Two writes within one tick of the file system's clock, of the same size: the stamps are equal.
#[test]
fn a_change_that_the_times_hide_is_seen() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.toml", "# 1");
    let mut loader = loader(root.path());
    loader.load().unwrap();
    // The stamp of the file as it will be: what a write within the same tick leaves behind.
    write(root.path(), "a.toml", "# 2");
    let scan = scan::scan(root.path(), &Limits::default()).unwrap();
    let stamp = scan.entries.values().next().unwrap().stamp;
    for known in loader.files.values_mut() {
        known.stamp = stamp;
    }
    loader.told = Some(Seen {
        scan: Ok(scan),
        commit: None,
    });
    let Look::Changed(Ok(loaded)) = loader.look(true) else {
        panic!("not seen");
    };
    assert_eq!(loaded.sources.first().unwrap().text(), "# 2");
}

fn git(work: &Path, args: &[&str]) -> String {
    let done = std::process::Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(args)
        .current_dir(work)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_checkout_whose_head_has_not_moved_yet_is_waited_for() {
    let work = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| git(work.path(), args);
    git(&["init", "-q"]);
    let mut commits = Vec::new();
    for text in ["# one", "# two"] {
        write(work.path(), "a.toml", text);
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "next"]);
        commits.push(git(&["rev-parse", "HEAD"]));
    }
    git(&["checkout", "-q", "--detach", &commits[0]]);
    let mut loader = loader(work.path());
    let commit = |loaded: Loaded| loaded.commit.unwrap().as_str().to_owned();
    assert_eq!(commit(loader.load().unwrap()), commits[0]);
    git(&["checkout", "-q", "--detach", &commits[1]]);
    // As it is for a moment: the files and the index are new, and the lock is gone.
    write(work.path(), ".git/HEAD", &format!("{}\n", commits[0]));
    let index = fs::File::options()
        .append(true)
        .open(work.path().join(".git/index"));
    // Setting any time says, by another time of the file, that it was changed now.
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    index.unwrap().set_modified(old).unwrap();
    assert!(matches!(loader.look(true), Look::Unsettled));
    write(work.path(), ".git/HEAD", &format!("{}\n", commits[1]));
    assert_eq!(commit(loader.load().unwrap()), commits[1]);
}

#[test]
fn git_says_which_commit_and_when_to_wait() {
    let work = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| git(work.path(), args);
    git(&["init", "-q"]);
    let root = work.path().join("registry.d");
    write(&root, "a.toml", "");
    assert_eq!(load(&root).unwrap().commit, None);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "one"]);
    let mut loader = loader(&root);
    let commit = loader.load().unwrap().commit.unwrap();
    assert_eq!(commit.as_str(), git(&["rev-parse", "HEAD"]));

    // A checkout under way: nothing is read, however quiet it is.
    write(work.path(), ".git/index.lock", "");
    write(&root, "a.toml", "# half of a commit");
    assert!(matches!(loader.look(true), Look::Unsettled));
    fs::remove_file(work.path().join(".git/index.lock")).unwrap();
    assert!(matches!(loader.look(true), Look::Changed(Ok(_))));
    // A lock that a killed git left behind is not waited for.
    write(work.path(), ".git/index.lock", "");
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let lock = fs::File::options()
        .write(true)
        .open(work.path().join(".git/index.lock"))
        .unwrap();
    lock.set_modified(old).unwrap();
    assert!(matches!(loader.look(true), Look::Unchanged));
}
