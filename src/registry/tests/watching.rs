//! Real folders that change under a running watch, as editors, git and Kubernetes change them.
//! Touches: fs, net, clock, process.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::CommitId;
use crate::registry::load::LoadError;
use crate::registry::publish::{Publisher, Refusal, RegistrySettings, Update};
use crate::registry::watch::{self, Sink};
use crate::tasks::{Idle, Tasks};

/// How long a test waits for what must come: far above the 1 s and 5 s of the promise, for a
/// machine that compiles at the same time.
const PATIENCE: Duration = Duration::from_secs(30);

struct Channel(mpsc::UnboundedSender<Update>);

impl Sink for Channel {
    async fn take(&mut self, update: Update) {
        drop(self.0.send(update));
    }
}

/// A watch on a folder, and what it told.
struct Watched {
    updates: mpsc::UnboundedReceiver<Update>,
    stop: CancellationToken,
    rescan: Arc<Notify>,
    told: Vec<Update>,
}

impl Watched {
    fn start(folder: &Path, events: bool) -> Self {
        let settings = RegistrySettings {
            folder: folder.to_owned(),
            events,
            ..RegistrySettings::default()
        };
        let mut publisher = Publisher::new(&settings, Clock::of_this_machine());
        let first = publisher.first();
        let (tasks, _ended) = Tasks::new(tokio::runtime::Handle::current(), Idle::default());
        let (sender, updates) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let rescan = Arc::new(Notify::new());
        let run = watch::run(
            settings,
            publisher,
            Channel(sender),
            tasks.clone(),
            (stop.clone(), Arc::clone(&rescan)),
        );
        tasks.spawn_short(run);
        Self {
            updates,
            stop,
            rescan,
            told: vec![first],
        }
    }

    /// Waits for an update of which this is true.
    async fn until(&mut self, what: &str, is: impl Fn(&Update) -> bool) {
        let wait = async {
            loop {
                let update = self.updates.recv().await.expect("the watch goes on");
                let right = is(&update);
                self.told.push(update);
                if right {
                    return;
                }
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        assert!(
            waited.is_ok(),
            "{what} did not come; told: {:#?}",
            self.told
        );
    }

    async fn until_clients(&mut self, wanted: &[&str]) {
        let wanted: BTreeSet<String> = wanted.iter().map(|&id| id.to_owned()).collect();
        self.until("the set of clients", |update| {
            clients(update).as_ref() == Some(&wanted)
        })
        .await;
    }

    async fn until_refused(&mut self) {
        self.until("a refusal", |update| matches!(update, Update::Rejected(_)))
            .await;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn clients(update: &Update) -> Option<BTreeSet<String>> {
    match update {
        Update::Applied(applied) => Some(
            applied
                .snapshot
                .clients
                .keys()
                .map(ToString::to_string)
                .collect(),
        ),
        Update::Rejected(_) | Update::Moved(_) | Update::Held(_) => None,
    }
}

fn client(id: &str) -> String {
    format!("[client.{id}.grants]\nbilling = []\n")
}

const RESOURCE: &str = "[resource.billing]\nidentifier = \"urn:billing\"\n";

/// A folder below another one, with one resource and one client, `a`.
fn registry() -> (tempfile::TempDir, PathBuf) {
    let above = tempfile::tempdir().unwrap();
    let root = above.path().join("registry.d");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("api.toml"), RESOURCE).unwrap();
    fs::write(root.join("a.toml"), client("a")).unwrap();
    (above, root)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editors_saves_are_served() {
    let (_above, root) = registry();
    let mut watched = Watched::start(&root, true);
    fs::write(root.join("b.toml"), client("b")).unwrap();
    watched.until_clients(&["a", "b"]).await;
    // A rename over the file: what vim and most others do.
    fs::write(root.join(".b.toml.swp"), client("c")).unwrap();
    fs::rename(root.join(".b.toml.swp"), root.join("b.toml")).unwrap();
    watched.until_clients(&["a", "c"]).await;
    // The file again, now in place, and one in a folder that is new.
    fs::write(root.join("b.toml"), client("d")).unwrap();
    fs::create_dir_all(root.join("x/y")).unwrap();
    fs::write(root.join("x/y/e.toml"), client("e")).unwrap();
    watched.until_clients(&["a", "d", "e"]).await;
    fs::write(root.join("x/y/e.toml"), client("f")).unwrap();
    watched.until_clients(&["a", "d", "f"]).await;
    fs::remove_dir_all(root.join("x")).unwrap();
    watched.until_clients(&["a", "d"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_alone_is_enough() {
    let (_above, root) = registry();
    let mut watched = Watched::start(&root, false);
    fs::write(root.join("b.toml"), client("b")).unwrap();
    watched.until_clients(&["a", "b"]).await;
    fs::remove_file(root.join("a.toml")).unwrap();
    watched.rescan.notify_one();
    watched.until_clients(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_write_is_refused_once_and_heals() {
    let (_above, root) = registry();
    let mut watched = Watched::start(&root, true);
    fs::write(root.join("b.toml"), "[client.b.grants]\nbilling = [").unwrap();
    watched.until_refused().await;
    // The same refusal again, by another write and a rescan: told once.
    fs::write(root.join("b.toml"), "[client.b.grants]\nbilling = [").unwrap();
    watched.rescan.notify_one();
    fs::write(root.join("b.toml"), client("b")).unwrap();
    watched.until_clients(&["a", "b"]).await;
    let refused = |update: &&Update| matches!(update, Update::Rejected(_));
    assert_eq!(watched.told.iter().filter(refused).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_good_is_told_again_after_a_refusal() {
    let (_above, root) = registry();
    let mut watched = Watched::start(&root, true);
    fs::write(root.join("b.toml"), "nonsense").unwrap();
    watched.until_refused().await;
    fs::remove_file(root.join("b.toml")).unwrap();
    watched.until_clients(&["a"]).await;
    let Some(Update::Applied(applied)) = watched.told.last() else {
        panic!("{:?}", watched.told);
    };
    assert!(applied.changes.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubernetes_flip_is_one_change() {
    let above = tempfile::tempdir().unwrap();
    let root = above.path();
    let generation = |number: usize| {
        let folder = root.join(format!("..gen{number}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("api.toml"), RESOURCE).unwrap();
        fs::write(folder.join("a.toml"), client(&format!("n{number}"))).unwrap();
        symlink(format!("..gen{number}"), root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    generation(0);
    symlink("..data/api.toml", root.join("api.toml")).unwrap();
    symlink("..data/a.toml", root.join("a.toml")).unwrap();
    let mut watched = Watched::start(root, true);
    for number in 1..6 {
        generation(number);
        fs::remove_dir_all(root.join(format!("..gen{}", number - 1))).unwrap();
        watched.until_clients(&[&format!("n{number}")]).await;
    }
    assert!(
        watched
            .told
            .iter()
            .all(|update| matches!(update, Update::Applied(_)))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_goes_away_is_refused_and_comes_back() {
    let (above, root) = registry();
    let mut watched = Watched::start(&root, true);
    fs::remove_dir_all(&root).unwrap();
    let refused = |update: &Update, wanted: fn(&LoadError) -> bool| match update {
        Update::Rejected(rejected) => match &rejected.why {
            Refusal::Load(error) => wanted(error),
            Refusal::Check(_) => false,
        },
        Update::Applied(_) | Update::Moved(_) | Update::Held(_) => false,
    };
    let missing = |error: &LoadError| matches!(error, LoadError::Missing(_));
    watched
        .until("missing", |update| refused(update, missing))
        .await;
    fs::create_dir(&root).unwrap();
    let empty = |error: &LoadError| matches!(error, LoadError::Empty(_));
    watched
        .until("empty", |update| refused(update, empty))
        .await;
    fs::write(
        root.join("all.toml"),
        format!("{RESOURCE}{}", client("new")),
    )
    .unwrap();
    watched.until_clients(&["new"]).await;
    // And the new folder is watched as the old one was.
    fs::write(root.join("b.toml"), client("b")).unwrap();
    watched.until_clients(&["b", "new"]).await;
    // A root that is replaced whole by a rename.
    let next = above.path().join("next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("all.toml"), format!("{RESOURCE}{}", client("c"))).unwrap();
    fs::rename(&root, above.path().join("old")).unwrap();
    fs::rename(&next, &root).unwrap();
    watched.until_clients(&["c"]).await;
}

/// git-sync points a link at another work tree.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_is_a_link_is_followed() {
    let above = tempfile::tempdir().unwrap();
    let root = above.path().join("current");
    let tree = |name: &str, id: &str| {
        let folder = above.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("all.toml"), format!("{RESOURCE}{}", client(id))).unwrap();
        symlink(name, above.path().join("tmp")).unwrap();
        fs::rename(above.path().join("tmp"), &root).unwrap();
    };
    tree("one", "a");
    let mut watched = Watched::start(&root, true);
    tree("two", "b");
    watched.until_clients(&["b"]).await;
    fs::write(above.path().join("two/c.toml"), client("c")).unwrap();
    watched.until_clients(&["b", "c"]).await;
}

fn git(work: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(args)
        .current_dir(work)
        .output()
        .unwrap();
    assert!(done.status.success(), "{args:?}: {done:?}");
}

/// Each commit renames every client, so half of one and half of another would show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkouts_are_seen_whole() {
    const CLIENTS: usize = 30;
    const COMMITS: usize = 8;
    let above = tempfile::tempdir().unwrap();
    let work = above.path();
    let root = work.join("registry.d");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("api.toml"), RESOURCE).unwrap();
    git(work, &["init", "-q"]);
    for commit in 0..COMMITS {
        for number in 0..CLIENTS {
            let text = client(&format!("c{number}-{commit}"));
            fs::write(root.join(format!("{number}.toml")), text).unwrap();
        }
        git(work, &["add", "-A"]);
        git(work, &["commit", "-q", "-m", "next"]);
        git(work, &["tag", &format!("t{commit}")]);
    }
    let mut watched = Watched::start(&root, true);
    for round in 0..20 {
        git(
            work,
            &["checkout", "-q", &format!("t{}", (round * 3) % COMMITS)],
        );
    }
    let last = (19 * 3) % COMMITS;
    let end =
        |update: &Update| clients(update).is_some_and(|ids| ids.contains(&format!("c0-{last}")));
    watched.until("the last commit", end).await;
    for update in &watched.told {
        let Some(ids) = clients(update) else {
            panic!("refused: {update:?}");
        };
        let commits: BTreeSet<&str> = ids
            .iter()
            .filter_map(|id| id.split_once('-'))
            .map(|(_, commit)| commit)
            .collect();
        assert_eq!((ids.len(), commits.len()), (CLIENTS, 1), "{ids:?}");
    }
    let Some(Update::Applied(applied)) = watched.told.last() else {
        panic!("the last is applied");
    };
    let head = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(work)
        .output()
        .unwrap();
    let head = String::from_utf8(head.stdout).unwrap();
    assert_eq!(
        applied.commit.as_ref().map(CommitId::as_str),
        Some(head.trim())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_says_the_same_is_told_as_such() {
    let (above, root) = registry();
    git(above.path(), &["init", "-q"]);
    git(above.path(), &["add", "-A"]);
    git(above.path(), &["commit", "-q", "-m", "one"]);
    let mut watched = Watched::start(&root, true);
    git(
        above.path(),
        &["commit", "-q", "--allow-empty", "-m", "two"],
    );
    watched
        .until(
            "the new commit",
            |update| matches!(update, Update::Moved(moved) if moved.commit.is_some()),
        )
        .await;
}
