//! What a change means before it is merged: `grantd plan` on real git repositories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Grantd, Registry, WorkTree, eventually, failed, said};

/// Two teams' APIs and clients; `@client.number` stands for a hash.
const BILLING: &str = r#"[resource.billing]
identifier = "https://billing.example.com/api"
name = "Billing API"
owner = "team-billing"

[resource.billing.scopes]
"invoice:read" = "Read invoices"
"invoice:write" = "Create and amend invoices"
"#;

const NIGHTLY: &str = r#"[client.nightly-invoices]
owner = "team-jobs"
default_resource = "billing"

[client.nightly-invoices.grants]
billing = ["invoice:read"]

[[client.nightly-invoices.secret]]
hash = "@nightly-invoices.1"
created = 2026-01-01
"#;

const LEDGER: &str = r#"[client.ledger]
owner = "team-ledger"
grants = { billing = ["invoice:read"] }

[[client.ledger.secret]]
hash = "@ledger.1"
created = 2026-01-01

[[client.ledger.secret]]
hash = "@ledger.2"
label = "rotation"
created = 2026-02-01
"#;

/// A repository whose registry stands in `registry.d`, committed once.
struct Repository {
    folder: TempDir,
    tree: WorkTree,
}

impl Repository {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let tree = WorkTree::new(folder.path());
        let made = Self { folder, tree };
        made.put("billing/api.toml", BILLING);
        made.put("jobs/nightly.toml", NIGHTLY);
        made.put("ledger/ledger.toml", LEDGER);
        made.tree.commit("The registry");
        made
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Writes a file of the registry.
    fn put(&self, path: &str, text: &str) {
        Registry::empty()
            .file(path, text)
            .write(&self.path("registry.d"));
    }

    /// Writes a file of the registry with one text in the stead of another.
    fn put_with(&self, path: &str, text: &str, from: &str, to: &str) {
        assert!(text.contains(from), "{text}");
        self.put(path, &text.replace(from, to));
    }

    /// One more scope for the nightly run: in the folder, not committed.
    fn widen(&self) {
        let (from, to) = (
            "[\"invoice:read\"]",
            "[\"invoice:read\", \"invoice:write\"]",
        );
        self.put_with("jobs/nightly.toml", NIGHTLY, from, to);
    }

    /// `grantd plan` here.
    fn plan(&self, arguments: &[&str]) -> Output {
        plan(self.folder.path(), arguments)
    }

    /// The same with JSON, and its exit code.
    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.plan(&[&["--format", "json"], arguments].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{words}"));
        (output.status.code().unwrap(), value)
    }
}

fn plan(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_grantd"))
        .arg("plan")
        .args(arguments)
        .current_dir(folder)
        .env_remove("GIT_DIR")
        .output()
        .unwrap()
}

/// What stdout has, once the exit code is this.
#[track_caller]
fn printed(output: &Output, code: i32) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}{words}");
    text
}

fn texts(plan: &Value) -> Vec<&str> {
    let statements = plan["statements"].as_array().unwrap();
    let texts = statements.iter().map(|it| it["text"].as_str().unwrap());
    texts.collect()
}

#[test]
fn without_options_it_tells_what_is_not_committed() {
    let repository = Repository::new();
    let text = said(&repository.plan(&[]));
    assert!(text.ends_with(" → registry.d: nothing changes\n"), "{text}");
    assert!(text.starts_with("HEAD ("), "{text}");

    repository.widen();
    let text = printed(&repository.plan(&[]), 2);
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(first.ends_with(" → registry.d: 1 widens access"), "{first}");
    let expected = "\nwidens access\n  \
        client nightly-invoices gains invoice:write on Billing API (billing)  \
        registry.d/jobs/nightly.toml:6\n";
    assert_eq!(rest, expected);
    // A comment or another layout is no change.
    repository.put("jobs/nightly.toml", &format!("# a comment\n\n{NIGHTLY}"));
    said(&repository.plan(&["registry.d/"]));
}

#[test]
fn revisions_are_read_from_the_objects_and_nothing_is_touched() {
    let repository = Repository::new();
    repository.widen();
    repository.tree.commit("Widen");
    let (from, to) = (
        "[[client.ledger.secret]]\nhash = \"@ledger.2\"\nlabel = \"rotation\"\ncreated = 2026-02-01\n",
        "",
    );
    repository.put_with("ledger/ledger.toml", LEDGER, from, to);
    repository.tree.commit("Remove a secret");
    // What lies in the folder and in the index does not count.
    fs::write(
        repository.path("registry.d/ledger/ledger.toml"),
        "broken = = \n",
    )
    .unwrap();
    repository.tree.git(&["add", "--all"]);
    let status = repository.tree.git(&["status", "--porcelain"]);

    let (code, plan) = repository.json(&["--from", "HEAD~2", "--to", "HEAD"]);
    assert_eq!(code, 2);
    assert_eq!(
        texts(&plan),
        [
            "client nightly-invoices gains invoice:write on Billing API (billing)",
            "secret 2 (rotation) of ledger is removed",
        ]
    );
    let classes: Vec<&Value> = plan["statements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["class"])
        .collect();
    assert_eq!(classes, ["widens", "breaks"]);
    assert_eq!(plan["statements"][1]["side"], "from");
    assert_eq!(
        plan["statements"][1]["file"],
        "registry.d/ledger/ledger.toml"
    );
    assert_eq!(
        plan["to"]["commit"],
        repository.tree.git(&["rev-parse", "HEAD"])
    );
    assert_eq!(repository.tree.git(&["status", "--porcelain"]), status);
    // From below the folder, by another way to it.
    let output = plan_in(
        &repository,
        "registry.d/jobs",
        &["..", "--from", "HEAD~2", "--to", "HEAD"],
    );
    printed(&output, 2);
    let short = repository.tree.git(&["rev-parse", "--short", "HEAD~1"]);
    printed(&repository.plan(&["--from", &short, "--to", "main"]), 2);
}

fn plan_in(repository: &Repository, below: &str, arguments: &[&str]) -> Output {
    plan(&repository.path(below), arguments)
}

#[test]
fn two_folders_need_no_git_and_say_the_same() {
    let repository = Repository::new();
    let folder = TempDir::new().unwrap();
    for name in ["old", "new"] {
        let target = folder.path().join(name);
        let mut copy = Command::new("cp");
        copy.arg("-r")
            .arg(repository.path("registry.d"))
            .arg(&target);
        assert!(copy.status().unwrap().success());
    }
    said(&plan(folder.path(), &["--from", "./old", "--to", "./new"]));
    fs::remove_file(folder.path().join("new/ledger/ledger.toml")).unwrap();
    let text = printed(
        &plan(folder.path(), &["--from", "./old", "--to", "./new"]),
        2,
    );
    assert!(
        text.contains("breaks what runs\n  client ledger is removed  old/ledger/ledger.toml:1"),
        "{text}"
    );
}

#[test]
fn a_branch_that_is_behind_is_compared_with_where_it_parted() {
    let repository = Repository::new();
    repository.tree.git(&["checkout", "--quiet", "-b", "topic"]);
    repository.widen();
    repository.tree.commit("Widen");
    repository.tree.git(&["checkout", "--quiet", "main"]);
    repository.put(
        "other.toml",
        "[client.other]\ngrants = { billing = [\"invoice:read\"] }\n",
    );
    repository.tree.commit("Meanwhile");
    let (_, plan) = repository.json(&["--from", "main", "--to", "topic"]);
    assert!(texts(&plan).contains(&"client other is removed"), "{plan}");
    let (code, plan) = repository.json(&["--from", "main", "--to", "topic", "--merge-base"]);
    assert_eq!((code, texts(&plan).len()), (2, 1), "{plan}");
    // Without --to, the folder stands on HEAD.
    let (code, _) = repository.json(&["--from", "topic", "--merge-base"]);
    assert_eq!(code, 2);
    let words = failed(
        &repository.plan(&["--from", "./registry.d", "--merge-base"]),
        1,
    );
    assert!(
        words.contains("--merge-base compares two git revisions"),
        "{words}"
    );
}

/// Where a branch parted, owners may be named who are none any more.
#[test]
fn a_former_owner_approves_nothing() {
    let repository = Repository::new();
    repository.tree.git(&["checkout", "--quiet", "-b", "topic"]);
    repository.widen();
    repository.tree.commit("Widen");
    repository.tree.git(&["checkout", "--quiet", "main"]);
    repository.put_with("billing/api.toml", BILLING, "team-billing", "team-risk");
    repository.tree.commit("Billing passes to another team");
    let gate = ["--from", "main", "--to", "topic", "--approved-by"];
    let words = failed(
        &repository.plan(&[&gate[..], &["team-billing", "--merge-base"]].concat()),
        1,
    );
    assert!(
        words.contains("--approved-by does not go with --merge-base"),
        "{words}"
    );
    // The merge result against the tip asks the owner that there is.
    repository
        .tree
        .git(&["merge", "--quiet", "--no-edit", "topic"]);
    let gate = ["--from", "main~1", "--to", "main", "--approved-by"];
    let text = printed(
        &repository.plan(&[&gate[..], &["team-billing"]].concat()),
        3,
    );
    assert!(text.contains("  team-risk: missing"), "{text}");
    printed(&repository.plan(&[&gate[..], &["team-risk"]].concat()), 2);
}

#[test]
fn figures_of_last_use_are_told() {
    let repository = Repository::new();
    let (from, to) = (
        "[[client.ledger.secret]]\nhash = \"@ledger.2\"\nlabel = \"rotation\"\ncreated = 2026-02-01\n",
        "",
    );
    repository.put_with("ledger/ledger.toml", LEDGER, from, to);
    let (_, plan) = repository.json(&[]);
    let credential = plan["statements"][0]["credential"]
        .as_str()
        .unwrap()
        .to_owned();
    let now = jiff::Timestamp::now();
    let used = now - jiff::SignedDuration::from_secs(200);
    let file = repository.path("figures.json");
    let write = |used: Value| {
        let figures = serde_json::json!({
            "format": "grantd last use v1",
            "exported": now.to_string(),
            "credentials": [{ "client": "ledger", "credential": credential, "last_used": used }],
        });
        fs::write(&file, figures.to_string()).unwrap();
    };
    write(used.to_string().into());
    let (_, plan) = repository.json(&["--last-use", "figures.json"]);
    assert_eq!(
        texts(&plan),
        ["secret 2 (rotation) of ledger is removed; it was last used 3 minutes ago"]
    );
    write(Value::Null);
    let (_, plan) = repository.json(&["--last-use", "figures.json"]);
    assert_eq!(
        texts(&plan),
        ["secret 2 (rotation) of ledger is removed; no use of it is on record"]
    );
    for wrong in [
        "",
        "[]",
        "{\"format\":\"grantd last use v9\"}",
        "{\"format\":\"grantd last use v1\"}",
    ] {
        fs::write(&file, wrong).unwrap();
        let words = failed(&repository.plan(&["--last-use", "figures.json"]), 1);
        assert!(
            words.contains("figures.json has no figures of last use"),
            "{words}"
        );
    }
    let words = failed(&repository.plan(&["--last-use", "gone.json"]), 1);
    assert!(
        words.contains("cannot read the figures of last use"),
        "{words}"
    );
}

#[test]
fn what_operators_took_away_is_shown_until_the_registry_says_it() {
    let repository = Repository::new();
    let overlay = serde_json::json!({
        "version": 1, "at": "2026-11-29T12:00:00Z", "total": 1,
        "entries": [{ "entry": 1, "kind": "client_disabled", "client": "ledger",
                      "since": "2026-11-29T11:00:00Z", "reason": "leaked" }],
    });
    fs::write(repository.path("overlay.json"), overlay.to_string()).unwrap();
    let text = said(&repository.plan(&["--overlay", "overlay.json"]));
    let line = "above the registry: client ledger is disabled since 2026-11-29T11:00:00Z: leaked\n";
    assert!(text.contains(line), "{text}");
    // The figures of last use bring the same entry: it is told once.
    let figures = serde_json::json!({
        "format": "grantd last use v1", "exported": jiff::Timestamp::now().to_string(),
        "credentials": [], "overlay": overlay["entries"],
    });
    fs::write(repository.path("figures.json"), figures.to_string()).unwrap();
    for more in [vec![], vec!["--overlay", "overlay.json"]] {
        let arguments = [vec!["--last-use", "figures.json"], more].concat();
        let text = said(&repository.plan(&arguments));
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }
    repository.put_with(
        "ledger/ledger.toml",
        LEDGER,
        "owner",
        "disabled = true\nowner",
    );
    let text = printed(&repository.plan(&["--overlay", "overlay.json"]), 2);
    assert!(!text.contains("above the registry"), "{text}");
    fs::write(
        repository.path("overlay.json"),
        "{\"version\":1,\"total\":3,\"entries\":[]}",
    )
    .unwrap();
    let words = failed(&repository.plan(&["--overlay", "overlay.json"]), 1);
    assert!(words.contains("some of its entries are missing"), "{words}");
}

#[test]
fn owners_of_the_base_approve_and_the_gate_holds() {
    let repository = Repository::new();
    repository.widen();
    let needed = |plan: &Value| -> Vec<String> {
        let approvals = plan["approvals"].as_array().unwrap();
        approvals
            .iter()
            .map(|it| it["one_of"].to_string())
            .collect()
    };
    let (code, plan) = repository.json(&["--approvals"]);
    assert_eq!(
        (code, needed(&plan)),
        (2, vec!["[\"team-billing\"]".to_owned()])
    );
    let reason = "client nightly-invoices gains invoice:write on billing";
    assert_eq!(plan["approvals"][0]["reasons"][0]["text"], reason);

    // A change that names another owner is still judged by the one that there was.
    repository.put_with("billing/api.toml", BILLING, "team-billing", "team-mallory");
    let (code, plan) = repository.json(&["--approved-by", "team-mallory"]);
    assert_eq!(code, 3);
    let both = ["[\"team-billing\"]", "[\"team-mallory\"]"];
    assert_eq!(needed(&plan), both);
    let given: Vec<&Value> = plan["approvals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["given"])
        .collect();
    assert_eq!(given, [false, true]);
    let text = printed(&repository.plan(&["--approved-by", "team-mallory"]), 3);
    assert!(text.contains("\napprovals: 1 of 2 missing\n"), "{text}");
    assert!(text.contains("\n  team-billing: missing\n"), "{text}");
    for nobody in ["", "team-x,team-y"] {
        printed(&repository.plan(&["--approved-by", nobody]), 3);
    }
    printed(
        &repository.plan(&["--approved-by", "team-billing, team-mallory"]),
        2,
    );
    repository.tree.commit("Merged");
    said(&repository.plan(&["--approved-by", ""]));
}

#[test]
fn what_the_daemon_would_hold_back_is_told_with_its_hash() {
    let repository = Repository::new();
    repository.put("policy/p.toml", "[policy]\nmax_removed_clients = 1\n");
    repository.tree.commit("A guard");
    fs::remove_file(repository.path("registry.d/ledger/ledger.toml")).unwrap();
    printed(&repository.plan(&[]), 2);
    fs::remove_file(repository.path("registry.d/jobs/nightly.toml")).unwrap();
    let (code, plan) = repository.json(&[]);
    assert_eq!((code, &plan["refused"]), (3, &Value::Bool(true)), "{plan}");
    let hash = plan["held"]["hash"].as_str().unwrap().to_owned();
    let command = format!("grantd registry accept {hash}");
    assert_eq!(plan["held"]["accept"], command);
    let reason = plan["held"]["reasons"][0].as_str().unwrap();
    assert!(
        reason.contains("2 of 2 enabled clients would go away"),
        "{reason}"
    );
    for format in ["text", "markdown", "github"] {
        let text = printed(&repository.plan(&["--format", format]), 3);
        assert!(
            text.contains(&command)
                && text.contains("once it is merged and waits at the daemon")
                && text.contains("2 of 2 enabled"),
            "{text}"
        );
    }
    // With all approvals it may be merged, and is told all the same.
    let agreed = ["--approved-by", "team-jobs,team-ledger"];
    let text = printed(&repository.plan(&agreed), 2);
    assert!(
        text.contains("held back") && text.contains(&command),
        "{text}"
    );
    printed(&repository.plan(&["--approvals"]), 3);
    printed(&repository.plan(&["--approved-by", "team-jobs"]), 3);
    let (code, plan) = repository.json(&agreed);
    assert_eq!((code, &plan["refused"]), (2, &Value::Bool(false)), "{plan}");
    // The hash is of what goes away, not of the rest of the change.
    repository.put_with(
        "billing/api.toml",
        BILLING,
        "Billing API",
        "The billing API",
    );
    assert_eq!(repository.json(&[]).1["held"]["hash"], hash.as_str());
}

#[test]
fn what_check_refuses_is_shown_as_check_shows_it() {
    let repository = Repository::new();
    repository.put(
        "bad.toml",
        "[client.x]\nnmae = \"a typing error\"\ngrants = { billing = [] }\n",
    );
    let output = repository.plan(&[]);
    let words = failed(&output, 3);
    assert!(words.contains("registry.d/bad.toml:2:1"), "{words}");
    assert_eq!(printed(&output, 3), "registry.d: refused, 2 problems\n");
    let (code, plan) = repository.json(&[]);
    assert_eq!((code, &plan["accepted"]), (3, &Value::Bool(false)));
    assert_eq!(plan["problems"].as_array().unwrap().len(), 2);
    let text = printed(&repository.plan(&["--format", "github"]), 3);
    assert!(
        text.starts_with("::error file=registry.d/bad.toml,line=2,col=1,title="),
        "{text}"
    );
    let text = printed(&repository.plan(&["--format", "markdown"]), 3);
    assert!(text.contains("- `registry.d/bad.toml:2`: "), "{text}");

    // On the other side there is nothing to compare with.
    repository.tree.commit("Broken");
    fs::remove_file(repository.path("registry.d/bad.toml")).unwrap();
    let words = failed(&repository.plan(&[]), 1);
    assert!(words.contains("registry.d/bad.toml:2:1"), "{words}");
    assert!(
        words.contains("the registry of --from HEAD is refused by check"),
        "{words}"
    );
    said(&repository.plan(&["--from", "HEAD~1"]));

    for entry in ["billing", "jobs", "ledger"] {
        fs::remove_dir_all(repository.path("registry.d").join(entry)).unwrap();
    }
    let words = failed(&repository.plan(&["--from", "HEAD~1"]), 3);
    assert!(words.contains("holds no *.toml file"), "{words}");
    fs::remove_dir_all(repository.path("registry.d")).unwrap();
    let words = failed(&repository.plan(&["--from", "HEAD~1"]), 1);
    assert!(words.contains("registry.d does not exist"), "{words}");
    // The folder need not be there for revisions.
    said(&repository.plan(&["--from", "HEAD~1", "--to", "HEAD~1"]));
}

/// Names that would be markup, commands or a mention.
#[test]
fn hostile_names_stay_names() {
    let repository = Repository::new();
    let title = "x`</details>\\u202e<img src=x onerror=alert(1)> @everyone #1 ::error::%0A";
    let more = format!(
        "[resource.evil]\nidentifier = \"urn:evil\"\nname = \"{title}\"\nowner = \"a`b\"\n\
         [client.evil]\nowner = \"::error::x\"\ngrants = {{ evil = [] }}\n"
    );
    repository.put("evil,line=1::.toml", &more);
    let text = printed(
        &repository.plan(&["--format", "markdown", "--approvals"]),
        2,
    );
    let shown = title.replace("\\u202e", "\\u{202e}");
    assert!(text.contains(&format!("``{shown} (evil)``")), "{text}");
    let outside: String = text.split("``").step_by(2).collect();
    for word in ["<img", "@everyone", "#1", "\u{202e}"] {
        assert!(!outside.contains(word), "{word}: {text}");
    }
    let text = printed(&repository.plan(&["--format", "github", "--approvals"]), 2);
    let levels = ["::notice ", "::warning ", "::error "];
    for line in text.lines() {
        assert!(levels.iter().any(|level| line.starts_with(level)), "{line}");
        let properties = line.get(2..).unwrap().split("::").next().unwrap();
        assert!(properties.contains("title="), "{line}");
    }
    assert!(
        text.contains("file=registry.d/evil%2Cline=1%3A%3A.toml,line=7,"),
        "{text}"
    );
    assert!(text.contains("::%250A") || text.contains("%250A"), "{text}");
    let text = printed(&repository.plan(&[]), 2);
    assert!(
        !text.contains('\u{202e}') && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[test]
fn bad_revisions_are_named_with_what_to_do() {
    let repository = Repository::new();
    for (arguments, code, words) in [
        (
            vec!["--from", "no-such"],
            1,
            "there is no revision `no-such` in the git repository around registry.d: `git fetch` it, or write `./no-such`",
        ),
        (vec!["--from", "HEAD~7"], 1, "there is no revision `HEAD~7`"),
        (
            vec!["--from", "HEAD:registry.d"],
            1,
            "there is no revision `HEAD:registry.d`",
        ),
        (vec!["--from", "live=ftp://x"], 1, "`live=` needs the URL"),
        (vec!["--from"], 1, "a value is required"),
        (vec!["--no-such"], 1, "unexpected argument"),
        (vec!["--approved-by", "\u{7}"], 1, "control character"),
        (vec!["elsewhere"], 1, "elsewhere of commit"),
    ] {
        let said = failed(&repository.plan(&arguments), code);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    // A folder of the name of a revision that is missing is never taken for it.
    fs::create_dir_all(repository.path("origin/main")).unwrap();
    failed(&repository.plan(&["--from", "origin/main"]), 1);
    let nowhere = TempDir::new().unwrap();
    fs::create_dir(nowhere.path().join("registry.d")).unwrap();
    let words = failed(&plan(nowhere.path(), &[]), 1);
    assert!(
        words.contains("there is no git repository around registry.d"),
        "{words}"
    );
    // No commit yet.
    WorkTree::new(nowhere.path());
    let words = failed(&plan(nowhere.path(), &[]), 1);
    assert!(words.contains("there is no revision `HEAD`"), "{words}");
}

#[test]
fn a_shallow_clone_says_that_it_is_one() {
    let repository = Repository::new();
    repository.widen();
    repository.tree.commit("Widen");
    let folder = TempDir::new().unwrap();
    let clone = folder.path().join("clone");
    let shallow = repository.tree.clone_shallow(&clone);
    said(&plan(&clone, &[]));
    let words = failed(&plan(&clone, &["--from", "HEAD~1"]), 1);
    assert!(
        words.contains("this is a shallow clone") && words.contains("--unshallow"),
        "{words}"
    );
    // The tip of another branch is fetched, but not where the two parted.
    repository
        .tree
        .git(&["checkout", "--quiet", "-b", "topic", "HEAD~1"]);
    repository.put(
        "other.toml",
        "[client.other]\ngrants = { billing = [\"invoice:read\"] }\n",
    );
    repository.tree.commit("Topic");
    shallow.git(&["fetch", "--quiet", "--depth", "1", "origin", "topic"]);
    printed(&plan(&clone, &["--from", "HEAD", "--to", "FETCH_HEAD"]), 2);
    let words = failed(
        &plan(
            &clone,
            &["--from", "HEAD", "--to", "FETCH_HEAD", "--merge-base"],
        ),
        1,
    );
    assert!(
        words.contains("no common ancestor here: this is a shallow clone"),
        "{words}"
    );
    shallow.git(&["fetch", "--quiet", "--unshallow", "origin", "topic"]);
    printed(
        &plan(
            &clone,
            &["--from", "HEAD", "--to", "FETCH_HEAD", "--merge-base"],
        ),
        2,
    );
}

#[test]
fn a_repository_that_lacks_an_object_is_no_smaller_registry() {
    let repository = Repository::new();
    let blob = repository
        .tree
        .git(&["rev-parse", "HEAD:registry.d/ledger/ledger.toml"]);
    let (folder, file) = blob.split_at(2);
    let object = repository.path(&format!(".git/objects/{folder}/{file}"));
    fs::remove_file(object).unwrap();
    let words = failed(&repository.plan(&[]), 1);
    assert!(words.contains("lacks a part of commit"), "{words}");
}

/// What a commit may hold besides plain files: read by the rules of a folder.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_commit_is_read_as_its_checkout_would_be() {
    let repository = Repository::new();
    let root = repository.path("registry.d");
    let link = |target: &str, at: &str| std::os::unix::fs::symlink(target, root.join(at)).unwrap();
    fs::create_dir_all(root.join("..data")).unwrap();
    fs::write(
        root.join("..data/l.toml"),
        "[client.linked]\ngrants = { billing = [\"invoice:read\"] }\n",
    )
    .unwrap();
    fs::write(root.join(".hidden.toml"), "broken = = ").unwrap();
    fs::write(root.join("notes.txt"), "no registry").unwrap();
    link("..data/l.toml", "linked.toml");
    let commit = repository.tree.commit("Links");
    said(&repository.plan(&["--from", &commit]));
    let (_, plan) = repository.json(&["--from", "HEAD~1", "--to", "HEAD"]);
    assert_eq!(
        plan["statements"][0]["file"], "registry.d/linked.toml",
        "{plan}"
    );

    fs::write(repository.path("outside.toml"), "").unwrap();
    link("../outside.toml", "out.toml");
    link("/etc/passwd.toml", "absolute.toml");
    link("nothing", "dangling.toml");
    link("loop.toml", "loop.toml");
    link("..", "jobs/up");
    fs::create_dir(root.join("folder.toml")).unwrap();
    fs::write(root.join("folder.toml/x.toml"), "").unwrap();
    fs::write(root.join("latin.toml"), b"name = \"\xe9\"\n").unwrap();
    fs::write(root.join("large.toml"), "#".repeat(1024 * 1024 + 1)).unwrap();
    repository.tree.commit("All of it");
    let problems = |plan: &Value| -> Vec<String> {
        let problems = plan["problems"].as_array().unwrap().iter();
        problems
            .map(|it| {
                format!(
                    "{}: {}",
                    it["file"].as_str().unwrap(),
                    it["message"].as_str().unwrap()
                )
            })
            .collect()
    };
    let (code, committed) = repository.json(&["--from", &commit, "--to", "HEAD"]);
    let (_, checked_out) = repository.json(&["--from", &commit]);
    assert_eq!(code, 3, "{committed}");
    let committed = problems(&committed);
    assert!(
        committed
            .iter()
            .any(|it| it.starts_with("latin.toml: this is not UTF-8")),
        "{committed:#?}"
    );
    // The same, but for what only a file system knows.
    let known = |problems: &[String]| -> Vec<String> {
        let known = |it: &&String| !it.starts_with("absolute") && !it.starts_with("loop");
        problems.iter().filter(known).cloned().collect()
    };
    assert_eq!(known(&committed), known(&problems(&checked_out)));
    for name in [
        "absolute.toml: this link leads out",
        "loop.toml: this link can't be followed",
    ] {
        assert!(
            committed.iter().any(|it| it.starts_with(name)),
            "{committed:#?}"
        );
    }
    // Where a link leads out of the repository altogether.
    assert_eq!(committed.len(), 8, "{committed:#?}");
}

#[test]
fn a_submodule_is_no_registry() {
    let repository = Repository::new();
    let other = TempDir::new().unwrap();
    let sub = WorkTree::new(other.path());
    fs::write(other.path().join("x.toml"), "").unwrap();
    sub.commit("A registry of its own");
    let url = other.path().display().to_string();
    repository.tree.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "add",
        "--quiet",
        &url,
        "registry.d/sub",
    ]);
    repository.tree.commit("A submodule");
    let words = failed(&repository.plan(&["--from", "HEAD~1", "--to", "HEAD"]), 3);
    assert!(
        words.contains("registry.d/sub") && words.contains("this is a submodule"),
        "{words}"
    );
}

/// The daemon's registry folder as a repository of its own.
fn live() -> (Grantd, WorkTree) {
    let grantd = Grantd::serve().start();
    let tree = WorkTree::new(&grantd.registry());
    let commit = tree.commit("What is served");
    eventually(
        "the daemon knows its commit",
        std::time::Duration::from_secs(15),
        || (grantd.readyz()["commit"] == commit.as_str()).then_some(()),
    );
    (grantd, tree)
}

fn place(grantd: &Grantd) -> String {
    format!("live=http://{}", grantd.metrics())
}

#[test]
fn what_is_live_is_compared_by_its_commit() {
    let (grantd, tree) = live();
    let folder = grantd.registry();
    let live = place(&grantd);
    let same = plan(&folder, &[".", "--from", &live]);
    let text = said(&same);
    assert!(text.starts_with("the live daemon ("), "{text}");

    // A clone in which the change is made: the daemon serves on.
    let elsewhere = TempDir::new().unwrap();
    let clone = elsewhere.path().join("clone");
    let clone_tree = tree.clone_shallow(&clone);
    let company = fs::read_to_string(clone.join("company.toml")).unwrap();
    let changed = company.replacen(
        "billing = [\"invoice:read\"]",
        "billing = [\"invoice:read\", \"invoice:write\"]",
        1,
    );
    fs::write(clone.join("company.toml"), changed).unwrap();
    let text = printed(&plan(&clone, &[".", "--from", &live]), 2);
    assert!(
        text.contains("gains invoice:write on Billing API"),
        "{text}"
    );
    clone_tree.commit("The change");
    printed(&plan(&clone, &[".", "--from", &live, "--to", "HEAD"]), 2);

    // Another repository does not know the commit.
    let stranger = Repository::new();
    let words = failed(&stranger.plan(&["--from", &live]), 1);
    assert!(
        words.contains("is not in this repository: `git fetch` it"),
        "{words}"
    );

    // Changed by hand: what is served is in no commit.
    let path = folder.join("by-hand.toml");
    fs::write(
        &path,
        "[client.by-hand]\ngrants = { billing = [\"invoice:read\"] }\n",
    )
    .unwrap();
    let before = grantd.readyz()["digest"].clone();
    eventually(
        "the change is served",
        std::time::Duration::from_secs(15),
        || (grantd.readyz()["digest"] != before).then_some(()),
    );
    let words = failed(&plan(&folder, &[".", "--from", &live]), 1);
    let dirty =
        words.contains("does not serve what commit") || words.contains("differs from its commit");
    assert!(dirty, "{words}");
}

#[test]
fn the_demo_client_of_dev_is_named_as_a_reason() {
    let grantd = Grantd::dev().start();
    let folder = grantd.registry();
    let commit = WorkTree::new(&folder).commit("What is served");
    eventually(
        "the daemon knows its commit",
        std::time::Duration::from_secs(15),
        || (grantd.readyz()["commit"] == commit.as_str()).then_some(()),
    );
    let words = failed(&plan(&folder, &[".", "--from", &place(&grantd)]), 1);
    assert!(
        words.contains("does not serve what commit")
            && words.contains("`grantd dev`, which serves a demo client besides"),
        "{words}"
    );
}

#[test]
fn a_daemon_that_cannot_be_asked_is_told() {
    let repository = Repository::new();
    let words = failed(&repository.plan(&["--from", "live=http://127.0.0.1:1"]), 1);
    assert!(
        words.contains(
            "cannot ask the daemon what it serves: cannot reach http://127.0.0.1:1/readyz"
        ),
        "{words}"
    );
    let words = failed(
        &repository.plan(&[
            "--from",
            "live=https://127.0.0.1:1",
            "--ca-file",
            "gone.pem",
        ]),
        1,
    );
    assert!(words.contains("gone.pem"), "{words}");
    // The registry folder of `dev` is in no repository.
    let grantd = Grantd::dev().start();
    let words = failed(&repository.plan(&["--from", &place(&grantd)]), 1);
    assert!(
        words.contains("does not know which commit it serves"),
        "{words}"
    );
    let metrics = format!("{}/metrics/readyz", place(&grantd));
    let words = failed(&repository.plan(&["--from", &metrics]), 1);
    assert!(words.contains("answers 404: this is no grantd"), "{words}");
}
