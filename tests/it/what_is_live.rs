//! What is live: digest, commit, and whether the folder differs from that commit, in all that the
//! daemon says.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    BILLING, Deployment, Grantd, WorkTree, events, events_of, eventually, grantd, said,
};

/// Longest until a change is seen.
const SOON: Duration = Duration::from_secs(20);

/// A file of one machine, which git is told to ignore.
const LOCAL: &str = r#"
[resource.more]
identifier = "urn:more"
owner = "team-fleet"
"#;

/// What all that the daemon says must agree on.
#[derive(Clone, Debug, PartialEq)]
struct Live {
    digest: String,
    commit: Option<String>,
    dirty: Option<bool>,
}

impl Live {
    /// What an object with these members says.
    fn of(value: &Value) -> Self {
        Self {
            digest: value["digest"].as_str().unwrap().to_owned(),
            commit: value["commit"].as_str().map(str::to_owned),
            dirty: value["dirty"].as_bool(),
        }
    }
}

/// What is live once this is true of it; every place that tells must say the same.
async fn live(daemon: &Grantd, what: &str, is: impl Fn(&Live) -> bool) -> Live {
    let live = eventually(what, SOON, || {
        let live = Live::of(&daemon.readyz());
        is(&live).then_some(live)
    });
    let state = daemon.ready.state.display().to_string();
    let arguments = ["status", "--state", &state, "--format", "json"];
    let status: Value = serde_json::from_str(&said(&grantd(&arguments))).unwrap();
    assert_eq!(Live::of(&status["registry"]), live, "status");
    assert_eq!(series(daemon), [shown(&live)], "metrics: just one");
    let answer = daemon.ask().of("reader").resource(BILLING).send().await;
    let answer = answer.granted();
    let issued = &events_of(daemon, &answer)[0]["data"]["registry"];
    assert_eq!(Live::of(issued), live, "token.issued");
    let refused = daemon.ask().of("disabled").resource(BILLING).send().await;
    let denied = &events_of(daemon, &refused)[0]["data"]["registry"];
    assert_eq!(Live::of(denied), live, "token.denied");
    live
}

/// The series of the metric that says what is served.
fn series(daemon: &Grantd) -> Vec<String> {
    let page = daemon.monitor("/metrics").1;
    let lines = page.lines().map(str::to_owned);
    lines
        .filter(|line| line.starts_with("grantd_registry_info{"))
        .collect()
}

/// The same as that metric shows it.
fn shown(live: &Live) -> String {
    let commit = live.commit.as_deref().unwrap_or_default();
    let dirty = live.dirty.map(|dirty| dirty.to_string());
    let (digest, dirty) = (&live.digest, dirty.unwrap_or_default());
    format!("grantd_registry_info{{digest=\"{digest}\",commit=\"{commit}\",dirty=\"{dirty}\"}} 1")
}

fn add(file: &Path, line: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, format!("{text}{line}\n")).unwrap();
}

fn text_of(daemon: &Grantd) -> String {
    let state = daemon.ready.state.display().to_string();
    said(&grantd(&["status", "--state", &state]))
}

/// What the last event of this type says, once there is one.
fn recorded(daemon: &Grantd, kind: &str) -> Value {
    let kind = format!("dev.grantd.{kind}.v1");
    eventually("the event is recorded", SOON, || {
        let mut all = events(&daemon.ready.state).into_iter().rev();
        all.find(|event| event["type"] == kind)
            .map(|event| event["data"].clone())
    })
}

/// The last line of the log that says this.
fn logged(daemon: &Grantd, message: &str) -> Value {
    let lines = daemon.log_lines();
    let mut said = lines.into_iter().filter(|line| line["message"] == message);
    said.next_back().expect("it is logged")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dirty_work_tree_does_not_pass_for_its_commit() {
    let deployment = Deployment::new();
    let folder = deployment.path("registry.d");
    let tree = WorkTree::new(&folder);
    let first = tree.commit("the first");
    let daemon = deployment.serve();
    let clean = live(&daemon, "the commit", |live| live.dirty == Some(false)).await;
    assert_eq!(clean.commit.as_ref(), Some(&first));
    assert_eq!(logged(&daemon, "registry applied")["dirty"], false);
    assert!(text_of(&daemon).contains(&format!(" commit {first}\n")));

    // It says the same, but is not what was committed.
    add(&folder.join("company.toml"), "# a note");
    let dirty = live(&daemon, "a comment", |live| live.dirty == Some(true)).await;
    assert_eq!(
        (&dirty.digest, &dirty.commit),
        (&clean.digest, &clean.commit)
    );
    let told = logged(&daemon, "registry unchanged");
    assert_eq!(
        (&told["commit"], &told["dirty"]),
        (&first.as_str().into(), &true.into())
    );
    let text = text_of(&daemon);
    let words = format!(" commit {first}, dirty: the folder differs from it\n");
    assert!(text.contains(&words), "{text}");

    let second = tree.commit("the note");
    let clean = live(&daemon, "the second commit", |live| {
        live.dirty == Some(false)
    })
    .await;
    assert_eq!(
        (&clean.digest, clean.commit),
        (&dirty.digest, Some(second.clone()))
    );

    // A file that git ignores is served all the same.
    std::fs::write(folder.join(".gitignore"), "local.toml\n").unwrap();
    std::fs::write(folder.join("local.toml"), LOCAL).unwrap();
    let more = live(&daemon, "a file more", |live| live.digest != clean.digest).await;
    assert_eq!(
        (more.commit, more.dirty),
        (Some(second.clone()), Some(true))
    );
    let applied = recorded(&daemon, "registry.applied");
    assert_eq!(Live::of(&applied["registry"]).dirty, Some(true));

    // What is refused is told of by itself; what is served on keeps its own.
    std::fs::write(folder.join("local.toml"), "nonsense").unwrap();
    let rejected = recorded(&daemon, "registry.rejected");
    assert_eq!(rejected["commit"], second.as_str());
    assert_eq!(rejected["dirty"], true);
    assert_eq!(rejected["registry"]["dirty"], true);
    std::fs::remove_file(folder.join("local.toml")).unwrap();
    let healed = live(&daemon, "it heals", |live| live.dirty == Some(false)).await;
    assert_eq!((healed.digest, healed.commit), (clean.digest, Some(second)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_git_names_no_commit() {
    let daemon = Deployment::new().serve_alone();
    let live = live(&daemon, "a registry", |_| true).await;
    assert_eq!((live.commit, live.dirty), (None, None));
    assert!(!text_of(&daemon).contains("commit"));
}
