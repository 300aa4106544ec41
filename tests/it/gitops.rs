//! What `docs/gitops.md` shows, run as it stands: each line of the workflow files of two CI systems in a real
//! repository, the hook by the real pre-commit, each command with its output.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{WorkTree, python, repository, said, tool};

/// What the branch adds: a forklift may read invoices, which team-billing has to approve.
const GAIN: (&str, &str) = ("metrics = []", "metrics = []\nbilling = [\"invoice:read\"]");

/// A repository with the example registry on `main`, and a branch that changes it.
struct Change {
    folder: TempDir,
    base: String,
    head: String,
}

impl Change {
    fn new() -> Self {
        Self::of(|registry| {
            let file = registry.join("warehouse/forklift-gateway.toml");
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(GAIN.0), "{text}");
            fs::write(&file, text.replace(GAIN.0, GAIN.1)).unwrap();
        })
    }

    /// The same with another change of the registry.
    fn of(edit: impl FnOnce(&Path)) -> Self {
        let folder = TempDir::new().unwrap();
        let origin = folder.path().join("origin");
        fs::create_dir(&origin).unwrap();
        copy(&repository("registry.d"), &origin);
        let tree = WorkTree::new(&origin);
        let base = tree.commit("The registry");
        bash(&origin, "git checkout --quiet -b forklift", &[]);
        edit(&origin.join("registry.d"));
        let head = tree.commit("The change");
        let change = Self { folder, base, head };
        change.merge();
        bash(change.folder.path(), "git clone --quiet origin work", &[]);
        change
    }

    /// What GitHub does at its leisure: the merge result of the pull request with `main`.
    fn merge(&self) {
        let origin = WorkTree::at(&self.folder.path().join("origin"));
        let tree = origin.git(&["merge-tree", "--write-tree", "main", &self.head]);
        let words = ["commit-tree", "-p", "main", "-p", &self.head, "-m", "Merge"];
        let merged = origin.git(&[&words[..], &[tree.as_str()]].concat());
        origin.git(&["update-ref", "refs/pull/7/merge", &merged]);
    }

    /// `main` gives billing to another team meanwhile.
    fn move_billing(&self) {
        let origin = self.folder.path().join("origin");
        let tree = WorkTree::at(&origin);
        tree.git(&["checkout", "--quiet", "main"]);
        let file = origin.join("registry.d/billing/api.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("owner = \"team-billing\""), "{text}");
        fs::write(&file, text.replace("\"team-billing\"", "\"team-finance\"")).unwrap();
        tree.commit("Billing passes to another team");
    }

    /// The clone that a runner works in.
    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// A program of the CI system, which here only answers from files.
    fn program(&self, name: &str, script: &str) {
        let path = self.folder.path().join("bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs each script of a job as the CI system would, up to the first that fails.
    fn run(&self, file: &str, job: &str, env: &[(&str, &str)]) -> Vec<Output> {
        let file = repository("docs/gitops").join(file);
        let found = said(&python("workflow_lines.py", &[file.to_str().unwrap()], b""));
        let found: Vec<Value> = serde_json::from_str(&found).unwrap();
        let scripts = found.iter().filter(|it| it["job"] == job);
        let mut outputs = Vec::new();
        for script in scripts {
            let output = bash(&self.work(), script["script"].as_str().unwrap(), env);
            let failed = !output.status.success();
            outputs.push(output);
            if failed {
                break;
            }
        }
        assert!(!outputs.is_empty(), "{job} of {}", file.display());
        outputs
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// `PATH` with the program under test and those beside the work tree before all others.
fn path(folder: &Path) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_grantd")).parent().unwrap();
    let others = std::env::var("PATH").unwrap();
    let bin = folder.parent().unwrap().join("bin");
    format!("{}:{}:{others}", bin.display(), program.display())
}

fn bash(folder: &Path, script: &str, env: &[(&str, &str)]) -> Output {
    Command::new("bash")
        .args(["--noprofile", "--norc", "-e", "-c", script])
        .current_dir(folder)
        .env("PATH", path(folder))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

fn words(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[track_caller]
fn all_pass(outputs: &[Output]) {
    for output in outputs {
        assert!(output.status.success(), "{}", words(output));
    }
}

#[test]
fn the_check_of_github_actions_runs() {
    let change = Change::new();
    change.program("taplo", "exit 0");
    all_pass(&change.run("github-check.yml", "check", &[]));
    fs::write(
        change.work().join("registry.d/bad.toml"),
        "[client.x]\nnmae = 1\n",
    )
    .unwrap();
    let outputs = change.run("github-check.yml", "check", &[]);
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].status.code(), Some(3));
    assert!(words(&outputs[0]).contains("::error file=registry.d/bad.toml,line=2"));
}

/// `gh` with these reviews: what it is told to comment goes to a file.
fn github(change: &Change, review: &str, by: &str) -> Vec<Output> {
    let head = if review == "stale" {
        &change.base
    } else {
        &change.head
    };
    let script = format!(
        r#"case "$*" in
  "pr comment 7 --repo acme/registry --edit-last --create-if-none --body-file plan.md") cp plan.md ../comment.md ;;
  "api --paginate repos/acme/registry/pulls/7/reviews") echo '[{{"state":"APPROVED","commit_id":"{head}","user":{{"login":"{by}"}}}}]' ;;
  "api --paginate orgs/acme/teams/team-billing/members") echo '[{{"login":"bea"}},{{"login":"bob"}}]' ;;
  "api --paginate orgs/acme/teams/"*"/members") echo '[{{"login":"wanda"}}]' ;;
  *) echo "gh: $*" >&2; exit 1 ;;
esac"#
    );
    change.program("gh", &script);
    let env = [
        ("BRANCH", "main"),
        ("HEAD", change.head.as_str()),
        ("NUMBER", "7"),
        ("ORG", "acme"),
        ("REPO", "acme/registry"),
    ];
    change.run("github-approvals.yml", "approvals", &env)
}

#[test]
fn the_gate_of_github_actions_wants_the_owners_word_for_that_commit() {
    let change = Change::new();
    let outputs = github(&change, "fresh", "bea");
    all_pass(&outputs);
    assert_eq!(outputs.len(), 3);
    let comment = fs::read_to_string(change.folder.path().join("comment.md")).unwrap();
    assert!(comment.contains("`team-billing`"), "{comment}");
    assert!(comment.contains("gains `invoice:read`"), "{comment}");
    for (review, by) in [("fresh", "wanda"), ("stale", "bea")] {
        let outputs = github(&change, review, by);
        let last = outputs.last().unwrap();
        assert!(!last.status.success(), "{review} {by}");
        assert!(
            words(last).contains("team-billing: missing"),
            "{}",
            words(last)
        );
    }
}

#[test]
fn the_gate_of_github_actions_asks_the_owner_that_the_tip_of_the_base_names() {
    let change = Change::new();
    change.move_billing();
    // The merge result is older than the tip: nothing is compared.
    let outputs = github(&change, "fresh", "bea");
    assert_eq!((outputs.len(), outputs[0].status.code()), (1, Some(1)));
    assert!(words(&outputs[0]).contains("main or the pull request moved"));
    change.merge();
    let outputs = github(&change, "fresh", "bea");
    let last = outputs.last().unwrap();
    assert!(!last.status.success());
    assert!(
        words(last).contains("team-finance: missing"),
        "{}",
        words(last)
    );
    all_pass(&github(&change, "fresh", "wanda"));
}

/// More than the guard of the example allows at once.
fn removal() -> Change {
    Change::of(|registry| {
        for path in [
            "warehouse/forklift-gateway.toml",
            "warehouse/handheld-scanners.toml",
            "platform/node-metrics.toml",
        ] {
            fs::remove_file(registry.join(path)).unwrap();
        }
    })
}

#[track_caller]
fn tells_held(change: &Change) {
    let comment = fs::read_to_string(change.folder.path().join("comment.md")).unwrap();
    assert!(comment.contains("**Held back**"), "{comment}");
    assert!(comment.contains("grantd registry accept"), "{comment}");
}

#[test]
fn what_is_held_back_can_be_merged_once_all_have_agreed() {
    let change = removal();
    let outputs = github(&change, "fresh", "bea");
    assert_eq!(outputs.len(), 3);
    let last = &outputs[2];
    assert_eq!(last.status.code(), Some(1));
    assert!(words(last).contains("2 of 2 missing"), "{}", words(last));
    tells_held(&change);
    all_pass(&github(&change, "fresh", "wanda"));

    let change = removal();
    all_pass(&gitlab(&change, "plan", "bea"));
    tells_held(&change);
    assert!(!gitlab(&change, "approvals", "bea")[0].status.success());
    all_pass(&gitlab(&change, "approvals", "wanda"));
}

/// A registry that `check` refuses is told in the comment, and never passes.
#[test]
fn what_check_refuses_is_told_and_stays_shut() {
    let broken = || {
        Change::of(|registry| {
            fs::write(registry.join("bad.toml"), "[client.x]\nnmae = 1\n").unwrap();
        })
    };
    let change = broken();
    let outputs = github(&change, "fresh", "wanda");
    assert_eq!(outputs.len(), 3);
    assert!(!outputs[2].status.success());
    let comment = fs::read_to_string(change.folder.path().join("comment.md")).unwrap();
    assert!(comment.contains("### Registry: refused"), "{comment}");
    let change = broken();
    all_pass(&gitlab(&change, "plan", "wanda"));
    assert!(!gitlab(&change, "approvals", "wanda")[0].status.success());
}

fn gitlab(change: &Change, job: &str, by: &str) -> Vec<Output> {
    let script = format!(
        r#"case "$*" in
  *"--data-urlencode body@plan.md"*"/projects/3/merge_requests/7/notes") cp plan.md ../comment.md ;;
  *"/projects/3/merge_requests/7/approvals") echo '{{"approved_by":[{{"user":{{"username":"{by}"}}}}]}}' ;;
  *"/groups/team-billing/members/all?per_page=100") echo '[{{"username":"bea"}}]' ;;
  *"/groups/"*) echo '[{{"username":"wanda"}}]' ;;
  *) echo "curl: $*" >&2; exit 1 ;;
esac"#
    );
    change.program("curl", &script);
    let env = [
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ("CI_COMMIT_SHA", change.head.as_str()),
        ("CI_API_V4_URL", "https://gitlab.acme.example/api/v4"),
        ("CI_PROJECT_ID", "3"),
        ("CI_MERGE_REQUEST_IID", "7"),
        ("REGISTRY_TOKEN", "token"),
    ];
    change.run("gitlab-ci.yml", job, &env)
}

#[test]
fn the_jobs_of_gitlab_ci_run_and_the_gate_wants_the_owners_word() {
    let change = Change::new();
    all_pass(&gitlab(&change, "check", "bea"));
    all_pass(&gitlab(&change, "plan", "bea"));
    let comment = fs::read_to_string(change.folder.path().join("comment.md")).unwrap();
    assert!(comment.contains("gains `invoice:read`"), "{comment}");
    all_pass(&gitlab(&change, "approvals", "bea"));
    let outputs = gitlab(&change, "approvals", "wanda");
    assert!(!outputs[0].status.success());
    assert!(words(&outputs[0]).contains("team-billing: missing"));
}

#[test]
fn the_gate_of_gitlab_ci_asks_the_owner_that_the_tip_of_the_target_names() {
    let mut change = Change::new();
    change.move_billing();
    let outputs = gitlab(&change, "approvals", "bea");
    assert!(!outputs[0].status.success());
    assert!(words(&outputs[0]).contains("the branch is behind its target"));
    // A merged results pipeline has the merge result for its commit.
    change.merge();
    let script = "git fetch --quiet origin refs/pull/7/merge && git rev-parse FETCH_HEAD";
    change.head = said(&bash(&change.work(), script, &[])).trim().to_owned();
    let outputs = gitlab(&change, "approvals", "bea");
    assert!(!outputs[0].status.success());
    assert!(words(&outputs[0]).contains("team-finance: missing"));
    all_pass(&gitlab(&change, "approvals", "wanda"));
}

#[test]
fn pre_commit_refuses_a_commit_that_the_daemon_would_refuse() {
    let change = Change::new();
    let hooks = change.folder.path().join("hooks");
    fs::create_dir(&hooks).unwrap();
    fs::copy(
        repository(".pre-commit-hooks.yaml"),
        hooks.join(".pre-commit-hooks.yaml"),
    )
    .unwrap();
    let revision = WorkTree::new(&hooks).commit("The hook");
    let work = change.work();
    let config = format!(
        "repos:\n  - repo: {}\n    rev: {revision}\n    hooks:\n      - id: grantd-check\n",
        hooks.display()
    );
    fs::write(work.join(".pre-commit-config.yaml"), config).unwrap();
    let home = change.folder.path().join("home").display().to_string();
    let python = tool("venv/bin/python").display().to_string();
    let run = || {
        let script = format!("git add --all && {python} -m pre_commit run");
        bash(
            &work,
            &script,
            &[("PRE_COMMIT_HOME", &home), ("HOME", &home)],
        )
    };
    let file = work.join("registry.d/warehouse/old-erp.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("# A comment.\n{good}")).unwrap();
    let output = run();
    assert!(output.status.success(), "{}", words(&output));
    assert!(words(&output).contains("Passed"), "{}", words(&output));
    fs::write(&file, good.replace("owner", "onwer")).unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    let words = words(&output);
    assert!(words.contains("did you mean `owner`?"), "{words}");
    assert!(words.contains("old-erp.toml:3:1"), "{words}");
}

/// Each command of the story with the lines that stand below it; `…` stands for what differs from run to run.
#[test]
fn the_story_shows_what_the_program_prints() {
    let change = Change::new();
    let work = change.work();
    bash(&work, "git checkout --quiet forklift", &[]);
    let page = fs::read_to_string(repository("docs/gitops.md")).unwrap();
    let mut tried = 0;
    for block in page.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        for story in block.split("$ ").skip(1) {
            let (command, expected) = story.split_once('\n').unwrap();
            let shown = words(&bash(&work, &format!("{command} || true"), &[]));
            for line in expected.lines() {
                let parts: Vec<&str> = line.split('…').collect();
                let alike = |shown: &str| {
                    shown.starts_with(parts[0]) && shown.ends_with(parts[parts.len() - 1])
                };
                assert!(shown.lines().any(alike), "{command}: {line:?} in\n{shown}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried}");
}
