//! Whatever changes the registry folder, and however: the daemon ends in the last state, each token
//! shows one state whole, and no client goes because files are on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    Answer, Ask, BILLING, Deployment, Grantd, Mount, Registry, Steady, WorkTree, events,
    eventually, eventually_async, long_or,
};

/// Longest from the last change to the first token of it: 5 s where no event comes, and a machine that
/// is busy with other tests.
const LIVE: Duration = Duration::from_secs(20);

/// The lifetime in seconds of the tokens of state 0; each state after it has a second more.
const BASE: u64 = 100;

/// The clients whose files must agree: the first and the last that a scan sees.
const SIDES: [(&str, &str); 2] = [("left", "a/left.toml"), ("right", "z/right.toml")];

/// The file of one side in this state.
fn side(client: &str, state: u64) -> String {
    let lifetime = BASE + state;
    format!(
        "[client.{client}]\ntoken_lifetime = \"{lifetime}s\"\n\n\
         [client.{client}.grants]\nbilling = [\"invoice:read\"]\n\n\
         [[client.{client}.secret]]\nhash = \"@{client}.1\"\ncreated = 2026-01-01\n"
    )
}

/// Both sides in this state, and nothing else.
fn sides(state: u64) -> Registry {
    SIDES
        .iter()
        .fold(Registry::empty(), |registry, (client, path)| {
            registry.file(path, &side(client, state))
        })
}

/// A whole registry in this state.
fn whole(state: u64) -> Registry {
    SIDES
        .iter()
        .fold(Registry::company(), |registry, (client, path)| {
            registry.file(path, &side(client, state))
        })
}

/// A daemon under load, of which the folder is changed.
struct Served {
    grantd: Arc<Grantd>,
    load: Steady,
    folder: PathBuf,
}

impl Served {
    /// Serves a deployment in its state 0.
    async fn start(deployment: Deployment) -> Self {
        let folder = deployment.path("registry.d");
        let grantd = Arc::new(deployment.serve_alone());
        let ask = |client: &'static str| move |ask: Ask| ask.of(client).resource(BILLING);
        let load = Steady::of(&grantd, SIDES.map(|(client, _)| ask(client)));
        let served = Self {
            grantd,
            load,
            folder,
        };
        served.live(0).await;
        served
    }

    /// Waits until this state is served.
    async fn live(&self, state: u64) {
        let what = format!("state {state} is live");
        eventually_async(&what, LIVE, async || {
            for (client, _) in SIDES {
                let answer = self.grantd.ask().of(client).resource(BILLING).send().await;
                if answer.granted().json()["expires_in"] != BASE + state {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// Waits for the refusal of the folder that is `number`-th since the start; what it says.
    fn refused(&self, number: usize) -> Value {
        eventually("the folder is refused", LIVE, || {
            let all = events(&self.grantd.ready.state);
            let mut refused = all.into_iter().filter(is_refusal);
            refused.nth(number - 1).map(|event| event["data"].clone())
        })
    }

    /// Ends the load: each request must have got its token, and each token show one state whole. The
    /// states that were seen, and how often the folder was refused.
    async fn end(self) -> (BTreeSet<u64>, usize) {
        let answers = self.load.all_granted().await;
        let recorded = events(&self.grantd.ready.state);
        let refused = recorded.iter().filter(|event| is_refusal(event)).count();
        (each_token_shows_one_state(&recorded, &answers), refused)
    }
}

fn is_refusal(event: &Value) -> bool {
    event["type"] == "dev.grantd.registry.rejected.v1"
}

/// Holds the tokens of both sides to each other: those that name the same registry show the same state.
fn each_token_shows_one_state(recorded: &[Value], answers: &[Answer]) -> BTreeSet<u64> {
    let mut states = BTreeMap::new();
    let mut issued = 0;
    for event in recorded.iter().map(|event| &event["data"]) {
        if !SIDES
            .iter()
            .any(|(client, _)| event["client_id"] == *client)
        {
            continue;
        }
        issued += 1;
        let state = seconds(&event["expires_at"]) - seconds(&event["issued_at"]) - BASE;
        let digest = event["registry"]["digest"].as_str().unwrap();
        let before = *states.entry(digest).or_insert(state);
        assert_eq!(before, state, "a mix: {event}");
    }
    assert!(issued >= answers.len(), "each token has its event");
    states.into_values().collect()
}

fn seconds(moment: &Value) -> u64 {
    let moment = grantd::domain::UnixSeconds::parse_rfc3339(moment.as_str().unwrap());
    moment.unwrap().get()
}

/// A deployment in state 0.
fn deployment() -> Deployment {
    let deployment = Deployment::new();
    sides(0).write(&deployment.path("registry.d"));
    deployment
}

/// How many commits there are to go between.
const COMMITS: u64 = 200;

/// Every so many of them there is a branch to pull.
const BRANCHES: u64 = 20;

/// A repository with a commit for each state, the first of them with the company too.
fn upstream(folder: &Path) -> WorkTree {
    fs::create_dir(folder).unwrap();
    let scratch = folder.join("scratch");
    let mut stream = String::new();
    for state in 0..COMMITS {
        let (mark, time) = (state + 1, 1_790_000_000 + state);
        let registry = if state == 0 { whole(0) } else { sides(state) };
        registry.write(&scratch);
        write!(
            stream,
            "commit refs/heads/main\nmark :{mark}\ncommitter Jo <jo@example.com> {time} +0000\ndata 1\nx\n"
        )
        .unwrap();
        let files = ["company.toml", SIDES[0].1, SIDES[1].1];
        for path in files.iter().skip(usize::from(state > 0)) {
            let text = fs::read_to_string(scratch.join(path)).unwrap();
            let length = text.len();
            write!(stream, "M 100644 inline {path}\ndata {length}\n{text}\n").unwrap();
        }
        if state % BRANCHES == 0 {
            write!(stream, "reset refs/heads/at-{state}\nfrom :{mark}\n\n").unwrap();
        }
    }
    fs::remove_dir_all(&scratch).unwrap();
    WorkTree::import(folder, &stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn git_goes_between_200_commits_under_load() {
    let deployment = Deployment::new();
    let upstream = upstream(&deployment.path("upstream"));
    let commits = upstream.commits();
    let folder = deployment.path("registry.d");
    fs::remove_dir_all(&folder).unwrap();
    let tree = upstream.clone_to(&folder);
    tree.reset(&commits[0]);
    let served = Served::start(deployment).await;

    let mut state = 0;
    let mut waited = BTreeSet::from([0]);
    for round in 0..long_or(600, 30_u64) {
        let next = (round * 67 + 31) % COMMITS;
        let commit = &commits[usize::try_from(next).unwrap()];
        match round % 3 {
            0 => tree.checkout(commit),
            1 => tree.reset(commit),
            _ => tree.pull(&format!("at-{}", next - next % BRANCHES)),
        }
        state = match round % 3 {
            // It never goes back.
            2 => state.max(next - next % BRANCHES),
            _ => next,
        };
        // The rest follow each other at once.
        if round % 5 == 4 {
            served.live(state).await;
            waited.insert(state);
        }
    }
    served.live(state).await;
    let last = &commits[usize::try_from(state).unwrap()];
    eventually("it ends in the last commit", LIVE, || {
        let shown = served.grantd.readyz();
        (shown["commit"] == last.as_str() && shown["dirty"] == false).then_some(())
    });
    let grantd = Arc::clone(&served.grantd);
    let (seen, refused) = served.end().await;
    assert_eq!(refused, 0, "no half of a commit was ever read");
    assert!(seen.is_superset(&waited), "{waited:?} in {seen:?}");
    each_token_names_its_commit(&grantd, &commits);
}

/// The commit that a token's event names is that of the state that it shows, and nothing else.
fn each_token_names_its_commit(grantd: &Grantd, commits: &[String]) {
    for event in events(&grantd.ready.state) {
        let data = &event["data"];
        if event["type"] == "dev.grantd.token.issued.v1" {
            let state = seconds(&data["expires_at"]) - seconds(&data["issued_at"]) - BASE;
            let commit = &commits[usize::try_from(state).unwrap()];
            assert_eq!(data["registry"]["commit"], commit.as_str(), "{event}");
            assert_eq!(data["registry"]["dirty"], false, "{event}");
        }
    }
}

/// A folder as a Kubernetes volume: `..data` leads to the present one, the files lead through it.
struct Volume<'a>(&'a Path);

impl Volume<'_> {
    /// How many versions there are to flip between.
    const VERSIONS: u64 = 3;

    fn new(folder: &Path) -> Volume<'_> {
        let volume = Volume(folder);
        for state in 0..Self::VERSIONS {
            whole(state).write(&folder.join(format!("..version_{state}")));
        }
        volume.flip(0);
        fs::remove_file(folder.join("company.toml")).unwrap();
        for name in ["company.toml", "a", "z"] {
            symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
        }
        volume
    }

    /// As the kubelet does: another link, renamed over the one that is there.
    fn flip(&self, state: u64) {
        let (link, new) = (self.0.join("..data"), self.0.join("..data_tmp"));
        symlink(format!("..version_{state}"), &new).unwrap();
        fs::rename(new, link).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubernetes_volume_flips_1000_times() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    let volume = Volume::new(&folder);
    let served = Served::start(deployment).await;
    for flip in 1..=long_or(10_000, 1_000_u64) {
        let state = flip % Volume::VERSIONS;
        volume.flip(state);
        // A look of its own, so that flips fall into the daemon's looks.
        assert_eq!(served.grantd.readyz()["degraded"], serde_json::json!([]));
        if flip % 250 == 0 {
            served.live(state).await;
        }
    }
    let (seen, refused) = served.end().await;
    assert_eq!(refused, 0, "no half of a flip was ever read");
    assert_eq!(seen, (0..Volume::VERSIONS).collect());
}

/// Saves a file as vim does where it does not write in place: a probe whether files can be made here, a
/// swap file, the old file renamed to a backup, the new one written, the backup gone.
fn save_as_vim(file: &Path, text: &str) {
    let folder = file.parent().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let (swap, probe) = (folder.join(format!(".{name}.swp")), folder.join("4913"));
    let backup = folder.join(format!("{name}~"));
    fs::write(&swap, "b0VIM").unwrap();
    fs::write(&probe, "").unwrap();
    fs::remove_file(&probe).unwrap();
    fs::rename(file, &backup).unwrap();
    let mut new = fs::File::create(file).unwrap();
    new.write_all(text.as_bytes()).unwrap();
    fs::remove_file(backup).unwrap();
    fs::remove_file(swap).unwrap();
}

/// Saves a file as most programs do: written beside it, renamed over it.
fn save_by_rename(file: &Path, text: &str) {
    let temporary = file.with_extension("toml.tmp");
    fs::write(&temporary, text).unwrap();
    fs::rename(temporary, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn editors_save_in_their_ways() {
    let deployment = Deployment::new();
    let file = deployment.path("registry.d/team/both.toml");
    let scratch = tempfile::TempDir::new().unwrap();
    let text = |state: u64| {
        let both = SIDES.map(|(client, _)| side(client, state)).concat();
        Registry::empty().file("both", &both).write(scratch.path());
        fs::read_to_string(scratch.path().join("both")).unwrap()
    };
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, text(0)).unwrap();
    let served = Served::start(deployment).await;
    // In place: cut to nothing, then written.
    let in_place = |file: &Path, text: &str| fs::write(file, text).unwrap();
    let mut state = 0;
    for save in [save_as_vim, save_by_rename, in_place] {
        // Some saves at once, of which only the last has to be seen.
        for _ in 0..5 {
            state += 1;
            save(&file, &text(state));
        }
        served.live(state).await;
    }
    // And a real program that edits: it renames over the file.
    let (from, to) = (BASE + state, BASE + state + 1);
    let change = format!("s/{from}s/{to}s/");
    let mut sed = Command::new("sed");
    let done = sed.args(["-i", &change]).arg(&file).status();
    assert!(done.unwrap().success());
    served.live(state + 1).await;
    // What editors leave behind is none of the registry.
    for name in ["both.toml~", ".both.toml.swp", "4913", "#both.toml#"] {
        fs::write(file.with_file_name(name), "nonsense").unwrap();
    }
    fs::write(&file, text(state + 2)).unwrap();
    served.live(state + 2).await;
    let (_, refused) = served.end().await;
    assert_eq!(refused, 0);
}

/// Removes all that is in a folder.
fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_folder = path.is_dir();
        let removed = if is_folder {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        removed.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_goes_and_comes_keeps_the_last_good_registry() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    // What is seen while nothing is mounted.
    empty(&folder);
    let volume = Mount::tmpfs(&folder);
    whole(0).write(&folder);
    let served = Served::start(deployment).await;

    volume.unmount();
    let why = |data: &Value| data["problems"][0]["what"].as_str().unwrap().to_owned();
    assert!(why(&served.refused(1)).contains("holds no *.toml file"));
    let volume = Mount::tmpfs(&folder);
    whole(1).write(&folder);
    served.live(1).await;
    // The volume that is new is watched like the one before.
    sides(2).write(&folder);
    served.live(2).await;

    empty(&folder);
    assert!(why(&served.refused(2)).contains("holds no *.toml file"));
    volume.unmount();
    fs::remove_dir_all(&folder).unwrap();
    assert!(why(&served.refused(3)).contains("does not exist"));
    // As a deployment does that is careful: made whole beside it, then given its name.
    let new = folder.with_extension("new");
    whole(3).write(&new);
    fs::rename(new, &folder).unwrap();
    served.live(3).await;
    let (seen, _) = served.end().await;
    assert_eq!(seen, BTreeSet::from([0, 1, 2, 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_written_file_is_refused_until_it_is_whole() {
    let served = Served::start(deployment()).await;
    let scratch = tempfile::TempDir::new().unwrap();
    let late = Registry::empty().file("late.toml", &side("late", 0));
    late.write(scratch.path());
    let text = fs::read_to_string(scratch.path().join("late.toml")).unwrap();
    let (half, rest) = text.split_at(text.find("hash").unwrap() + 20);
    let mut file = fs::File::create(served.folder.join("m.toml")).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    // The writer pauses for as long as the daemon takes to see it.
    let refused = served.refused(1);
    assert_eq!(refused["problems"][0]["file"], "m.toml");
    file.write_all(rest.as_bytes()).unwrap();
    eventually_async("the whole file is served", LIVE, async || {
        let ask = served.grantd.ask().of("late").resource(BILLING);
        (ask.send().await.status == 200).then_some(())
    })
    .await;
    let (seen, refused) = served.end().await;
    assert_eq!((seen, refused), (BTreeSet::from([0]), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_files_at_once_are_served() {
    let served = Served::start(deployment()).await;
    let before = served.grantd.metric("grantd_registry_clients");
    let grant = "billing = [\"invoice:read\"]";
    for team in 0..100 {
        let team_folder = served.folder.join(format!("team-{team}"));
        fs::create_dir(&team_folder).unwrap();
        for number in 0..100 {
            let text = format!("[client.bulk-{team}-{number}.grants]\n{grant}\n");
            fs::write(team_folder.join(format!("{number}.toml")), text).unwrap();
        }
    }
    sides(1).write(&served.folder);
    served.live(1).await;
    eventually("all of them are served", LIVE, || {
        let now = served.grantd.metric("grantd_registry_clients");
        (now == before + 10_000.0).then_some(())
    });
    let (_, refused) = served.end().await;
    assert_eq!(refused, 0);
}

/// How many events a queue of the kernel holds, beyond which it says only that it overflowed.
fn queue() -> usize {
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    most.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overflowed_queue_loses_nothing() {
    let grantd = deployment().serve_alone();
    grantd.signal(Signal::STOP);
    // Two events at least for each; all of them in folders that are watched.
    let file = grantd.registry().join("a/noise");
    for _ in 0..queue() {
        fs::write(&file, "").unwrap();
        fs::remove_file(&file).unwrap();
    }
    // Of this nothing is queued any more.
    sides(1).write(&grantd.registry());
    grantd.signal(Signal::CONT);
    let lifetime = async |client: &str| {
        let answer = grantd.ask().of(client).resource(BILLING).send().await;
        answer.granted().json()["expires_in"].as_u64().unwrap()
    };
    for (client, _) in SIDES {
        eventually_async("the change is served", LIVE, async || {
            (lifetime(client).await == BASE + 1).then_some(())
        })
        .await;
    }
    // And what comes after is seen as before.
    sides(2).write(&grantd.registry());
    for (client, _) in SIDES {
        eventually_async("the change is served", LIVE, async || {
            (lifetime(client).await == BASE + 2).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_sends_no_event_is_polled() {
    let deployment = Deployment::new();
    let (server, empty) = (deployment.path("server"), deployment.path("empty"));
    whole(0).write(&server);
    fs::create_dir(&empty).unwrap();
    let _mount = Mount::far_away(&server, &empty, &deployment.path("registry.d"));
    let served = Served::start(deployment).await;
    for state in 1..=2 {
        sides(state).write(&server);
        served.live(state).await;
    }
    let (seen, refused) = served.end().await;
    assert_eq!((seen, refused), (BTreeSet::from([0, 1, 2]), 0));
}
