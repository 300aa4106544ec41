//! `grantd status --expect-commit`: a deploy pipeline waits until a commit is live, and learns why it is not.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Deployment, Registry, WorkTree, eventually, failed, grantd, said};

/// Longest until a change is live.
const SOON: Duration = Duration::from_secs(30);

const MORE: &str = r#"
[resource.more]
identifier = "urn:more"
owner = "team-fleet"
"#;

struct Pipeline {
    deployment: Deployment,
    tree: WorkTree,
}

impl Pipeline {
    fn new() -> Self {
        let deployment = Deployment::new();
        let tree = WorkTree::new(&deployment.path("registry.d"));
        Self { deployment, tree }
    }

    fn write(&self, path: &str, text: &str) {
        let file = Registry::empty().file(path, text);
        file.write(&self.deployment.path("registry.d"));
    }

    fn command(&self, commit: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grantd"));
        command.args([
            "status",
            "--config",
            &self.deployment.config(),
            "--expect-commit",
            commit,
        ]);
        command.args(more);
        command
    }

    fn expect(&self, commit: &str, more: &[&str]) -> Output {
        self.command(commit, more).output().unwrap()
    }

    /// Waits beside the test.
    fn waiting(&self, commit: &str) -> Child {
        let mut command = self.command(commit, &["--wait", "60s"]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }
}

/// What it said, once it has ended with this code.
#[track_caller]
fn ended(output: &Output, code: i32) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_pipeline_waits_until_its_commit_is_live() {
    let it = Pipeline::new();
    let first = it.tree.commit("the company");
    it.write("more.toml", MORE);
    let second = it.tree.commit("one more");
    // Nothing that grantd reads.
    it.write("README", "Owners approve.\n");
    let third = it.tree.commit("words");
    it.tree.checkout(&first);

    // The daemon may start while the pipeline waits.
    let waiting = it.waiting(&first[..7]);
    let mut daemon = it.deployment.serve();
    let said = ended(&waiting.wait_with_output().unwrap(), 0);
    let digest = daemon.readyz()["digest"].as_str().unwrap().to_owned();
    assert_eq!(
        said,
        format!("live: {first}, generation 1, digest {digest}\n")
    );

    let waiting = it.waiting(&second);
    it.tree.checkout(&second);
    let said = ended(&waiting.wait_with_output().unwrap(), 0);
    assert!(
        said.starts_with(&format!("live: {second}, generation 2, ")),
        "{said}"
    );

    // The registry says the same, and the commit is live all the same.
    it.tree.checkout(&third);
    let output = it.expect(
        &third.to_uppercase(),
        &["--wait", "60s", "--format", "json"],
    );
    let found: Value = serde_json::from_str(&ended(&output, 0)).unwrap();
    assert_eq!(found["live"], true);
    assert_eq!(found["expected"], third);
    assert_eq!(found["registry"]["commit"], third);
    assert_eq!(found["registry"]["generation"], 2);
    assert_eq!(found["why"], serde_json::json!([]));
    assert!(daemon.stop().success());
}

#[test]
fn what_is_not_live_in_time_says_what_is_served_and_why() {
    let it = Pipeline::new();
    let good = it.tree.commit("the company");
    it.write("bad.toml", "[client.reader]\nsurprise = 1\n");
    let bad = it.tree.commit("a bad file");
    it.tree.checkout(&good);
    let mut daemon = it.deployment.serve();
    ended(&it.expect(&good, &["--wait", "60s"]), 0);

    // Without a wait it looks once.
    let said = ended(&it.expect(&"f".repeat(40), &[]), 4);
    assert_eq!(
        said,
        format!("not live: {}\n  {good} is served\n", "f".repeat(40))
    );

    it.tree.checkout(&bad);
    eventually("the folder is refused", SOON, || {
        (daemon.metric("grantd_registry_problems") > 0.0).then_some(())
    });
    let said = ended(&it.expect(&bad, &["--wait", "1s"]), 4);
    assert!(
        said.starts_with(&format!("not live: {bad}\n  {good} is served\n")),
        "{said}"
    );
    assert!(said.contains("  bad.toml:"), "{said}");

    // A change by hand is not what was reviewed.
    it.tree.checkout(&good);
    ended(&it.expect(&good, &["--wait", "60s"]), 0);
    it.write("more.toml", MORE);
    let said = eventually("the change is seen", SOON, || {
        let output = it.expect(&good, &[]);
        (output.status.code() == Some(4)).then(|| ended(&output, 4))
    });
    assert!(
        said.contains("  the folder differs from its commit"),
        "{said}"
    );
    let output = it.expect(&good, &["--format", "json"]);
    let found: Value = serde_json::from_str(&ended(&output, 4)).unwrap();
    assert_eq!(found["live"], false);
    assert_eq!(found["registry"]["dirty"], true);
    assert!(daemon.stop().success());
}

#[test]
fn a_commit_that_is_held_back_says_so_until_it_is_released() {
    let it = Pipeline::new();
    it.write("policy/policy.toml", "[policy]\nmax_removed_clients = 1\n");
    let files = ["team/ann.toml", "team/bob.toml"];
    for (file, name) in files.iter().zip(["ann", "bob"]) {
        let text = format!(
            "[client.{name}.grants]\nbilling = [\"invoice:read\"]\n\n\
             [[client.{name}.secret]]\nhash = \"@{name}.1\"\ncreated = 2026-01-01\n"
        );
        it.write(file, &text);
    }
    let first = it.tree.commit("two more");
    for file in files {
        std::fs::remove_file(it.deployment.path("registry.d").join(file)).unwrap();
    }
    let second = it.tree.commit("both go");
    it.tree.checkout(&first);
    let mut daemon = it.deployment.serve();
    ended(&it.expect(&first, &["--wait", "60s"]), 0);

    it.tree.checkout(&second);
    let waits = format!("  a change of commit {second} is held back (");
    let told = eventually("the change is held back", SOON, || {
        let told = ended(&it.expect(&second, &[]), 4);
        told.contains(&waits).then_some(told)
    });
    assert!(
        told.starts_with(&format!("not live: {second}\n  {first} is served\n")),
        "{told}"
    );
    // What was kept says also after a restart that it was clean.
    assert!(daemon.stop().success());
    daemon = it.deployment.serve();
    ended(&it.expect(&first, &["--wait", "60s"]), 0);

    let (_, rest) = told.split_once("grantd registry accept ").unwrap();
    let hash = rest.split(' ').next().unwrap();
    let config = it.deployment.config();
    said(&grantd(&["registry", "accept", hash, "--config", &config]));
    ended(&it.expect(&second, &["--wait", "60s"]), 0);
    assert!(daemon.stop().success());
}

#[test]
fn what_can_never_be_live_is_said_at_once() {
    let deployment = Deployment::new();
    let config = deployment.config();
    let expect = |commit: &str, more: &[&str]| {
        grantd(
            &[
                &["status", "--config", &config, "--expect-commit", commit],
                more,
            ]
            .concat(),
        )
    };
    for no_commit in ["HEAD", "main", "abc123", "0123456789abcdefg"] {
        let words = failed(&expect(no_commit, &[]), 2);
        assert!(words.contains("git rev-parse HEAD"), "{words}");
    }
    failed(&grantd(&["status", "--wait", "1s"]), 2);
    let words = failed(&expect(&"a".repeat(40), &["--wait", "1s"]), 1);
    assert!(words.starts_with("error: no daemon runs on "), "{words}");
    let mut daemon = deployment.serve();
    let output = expect(&"a".repeat(40), &[]);
    assert_eq!(output.status.code(), Some(4));
    let said_so = String::from_utf8(output.stdout).unwrap();
    assert!(said_so.contains("no git work tree"), "{said_so}");
    said(&grantd(&["status", "--config", &config]));
    assert!(daemon.stop().success());
}
