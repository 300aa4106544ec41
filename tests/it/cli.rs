//! The command line as its users meet it: exit codes, files that are written, the story from `init` to a
//! token.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    BILLING, Deployment, Grantd, Registry, eventually_async, failed, grantd, said,
};

/// Longest until a change of the registry is served.
const SERVED: Duration = Duration::from_secs(15);

/// Each subcommand.
const COMMANDS: [&[&str]; 36] = [
    &[],
    &["init"],
    &["serve"],
    &["dev"],
    &["check"],
    &["client"],
    &["client", "new"],
    &["client", "snippet"],
    &["secret"],
    &["secret", "new"],
    &["keys"],
    &["keys", "list"],
    &["keys", "accept-clock"],
    &["keys", "rotate"],
    &["audit"],
    &["audit", "tail"],
    &["audit", "export"],
    &["audit", "find"],
    &["audit", "verify"],
    &["token"],
    &["verify"],
    &["completions"],
    &["man"],
    &["status"],
    &["explain"],
    &["access"],
    &["schema"],
    &["plan"],
    &["registry"],
    &["registry", "accept"],
    &["revoke"],
    &["overlay"],
    &["overlay", "list"],
    &["overlay", "clear"],
    &["client", "disable"],
    &["client", "enable"],
];

/// A registry folder with these files.
fn registry(files: &Registry) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    files.write(folder.path());
    let path = folder.path().display().to_string();
    (folder, path)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn help_is_there_for_every_subcommand() {
    for command in COMMANDS {
        for flag in ["--help", "-h"] {
            let text = said(&grantd(&[command, &[flag]].concat()));
            assert!(text.contains("Usage: grantd"), "{command:?}: {text}");
            assert!(text.lines().count() > 4, "{command:?}: {text}");
            let first = text.lines().next().unwrap();
            assert!(
                first.len() > 10 && !first.starts_with("Usage"),
                "{command:?}: {first}"
            );
        }
    }
    let text = said(&grantd(&["--version"]));
    assert!(text.starts_with("grantd "), "{text}");
}

#[test]
fn every_subcommand_is_in_the_list_of_this_test() {
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    let mut found = Vec::new();
    while let Some(command) = open.pop() {
        let mut line: Vec<&str> = command.iter().map(String::as_str).collect();
        line.push("--help");
        let text = said(&grantd(&line));
        found.push(command.clone());
        let Some((_, commands)) = text.split_once("\nCommands:\n") else {
            continue;
        };
        let names = commands.lines().take_while(|line| line.starts_with("  "));
        let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        for name in names.filter(|name| !name.is_empty() && *name != "help") {
            open.push([command.clone(), vec![name.to_owned()]].concat());
        }
    }
    assert_eq!(found.len(), COMMANDS.len(), "{found:?}");
    assert!(
        found
            .iter()
            .all(|command| COMMANDS.iter().any(|known| command == known))
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    let cases: [&[&str]; 6] = [
        &["frobnicate"],
        &["check", "--no-such-flag"],
        &["check", "--expiring", "soon"],
        &["client", "new"],
        &["keys", "list"],
        &["keys", "rotate", "--state", ".", "--compromised", "short"],
    ];
    for case in cases {
        let words = failed(&grantd(case), 2);
        assert!(words.contains("error"), "{case:?}: {words}");
    }
}

#[test]
fn check_accepts_a_good_registry_with_0() {
    let (_folder, path) = registry(&Registry::company());
    let line = said(&grantd(&["check", &path]));
    assert!(line.contains("3 resources, 8 clients, digest "), "{line}");
    let report = json(&said(&grantd(&["check", "--format", "json", &path])));
    assert_eq!(report["accepted"], true);
    assert_eq!(report["clients"], 8);
    assert_eq!(report["problems"], serde_json::json!([]));
    assert!(line.contains(report["digest"].as_str().unwrap()), "{line}");
    let expired = report["expiring"].as_array().unwrap();
    let expired = expired.iter().find(|it| it["client"] == "expired");
    assert_eq!(expired.expect("its time has passed")["passed"], true);
}

#[test]
fn check_refuses_a_bad_registry_with_3() {
    let bad =
        "[client.x]\nnmae = \"a typing error\"\n\n[client.x.grants]\nbilling = [\"no:such\"]\n";
    let (_folder, path) = registry(&Registry::company().file("team/bad.toml", bad));
    let output = grantd(&["check", &path]);
    let words = failed(&output, 3);
    assert!(words.contains("team/bad.toml:2:1"), "{words}");
    assert!(words.contains("name"), "advice: {words}");
    assert!(words.contains("team/bad.toml:5:"), "all at once: {words}");
    assert!(words.contains("no:such"), "{words}");
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(summary.contains("refused, 2 problems"), "{summary}");

    let output = grantd(&["check", "--format", "json", &path]);
    failed(&output, 3);
    let report = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(report["accepted"], false);
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{report}");
    let first = problems[0].to_string();
    assert!(
        first.contains("team/bad.toml") && first.contains("nmae"),
        "{first}"
    );
}

#[test]
fn check_says_1_of_a_missing_folder_and_3_of_an_empty_one() {
    let (folder, path) = registry(&Registry::empty());
    let words = failed(&grantd(&["check", &path]), 3);
    assert!(words.contains("no *.toml file"), "{words}");
    let gone = folder.path().join("gone").display().to_string();
    let words = failed(&grantd(&["check", &gone]), 1);
    assert!(words.contains("does not exist"), "{words}");
    let output = grantd(&["check", "--format", "json", &gone]);
    failed(&output, 1);
    let report = json(&String::from_utf8(output.stdout).unwrap());
    assert!(
        report["error"].as_str().unwrap().contains("does not exist"),
        "{report}"
    );
}

/// A token by curl, with the secret read from a file: the last line is the status.
fn curl(daemon: &Grantd, client: &str, secret_file: &Path) -> (String, Value) {
    let port = daemon
        .https()
        .authority()
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--write-out",
            "\n%{http_code}",
            "--cacert",
        ])
        .arg(&daemon.ready.ca_file)
        .args([
            "-d",
            "grant_type=client_credentials",
            "-d",
            &format!("client_id={client}"),
        ])
        .arg("--data-urlencode")
        .arg(format!("client_secret@{}", secret_file.display()))
        .args(["--data-urlencode", &format!("resource={BILLING}")])
        .arg(format!("https://localhost:{port}/oauth2/token"))
        .output()
        .unwrap();
    let text = said(&output);
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), json(body))
}

#[tokio::test]
async fn a_user_gets_from_init_to_a_token() {
    let deployment = Deployment::new();
    let dir = deployment.path("registry.d").display().to_string();
    let daemon = deployment.serve();
    let secret_file = deployment.path("secret");
    let file = secret_file.display().to_string();
    let grant = ["--grant", "billing=invoice:read", "--owner", "team-billing"];
    let line = [
        "client",
        "new",
        "nightly",
        "--dir",
        &dir,
        "--secret-file",
        &file,
    ];
    let output = grantd(&[&line[..], &grant].concat());
    assert_eq!(said(&output), "", "the secret is in its file alone");
    said(&grantd(&["check", &dir]));

    eventually_async("the client gets a token", SERVED, async || {
        let (status, body) = curl(&daemon, "nightly", &secret_file);
        (status == "200").then(|| assert_eq!(body["scope"], "invoice:read"))
    })
    .await;

    // A second secret, shown on stdout; both work.
    let line = [
        "secret", "new", "--client", "nightly", "--dir", &dir, "--label", "spare",
    ];
    let second = said(&grantd(&line));
    let second_file = deployment.path("second");
    fs::write(&second_file, second.trim_end()).unwrap();
    said(&grantd(&["check", &dir]));
    let text = fs::read_to_string(deployment.path("registry.d/nightly.toml")).unwrap();
    assert_eq!(
        text.matches("[[client.nightly.secret]]").count(),
        2,
        "{text}"
    );
    assert!(text.contains("label = \"spare\""), "{text}");
    assert!(!text.contains(second.trim()), "never the secret itself");
    eventually_async("the new secret works", SERVED, async || {
        (curl(&daemon, "nightly", &second_file).0 == "200").then_some(())
    })
    .await;
    assert_eq!(curl(&daemon, "nightly", &secret_file).0, "200");
    for secret in [
        second.trim().to_owned(),
        fs::read_to_string(&secret_file).unwrap(),
    ] {
        assert!(!daemon.log().contains(secret.trim()));
    }
}

#[test]
fn what_is_printed_instead_of_written_is_accepted_too() {
    let (folder, dir) = registry(&Registry::company());
    let output = grantd(&[
        "client",
        "new",
        "printed",
        "--grant",
        "billing=invoice:read",
    ]);
    let text = said(&output);
    fs::write(folder.path().join("printed.toml"), &text).unwrap();
    said(&grantd(&["check", &dir]));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        !text.contains(words.lines().nth(1).unwrap()),
        "the secret is not in the file"
    );

    let table = said(&grantd(&["secret", "new", "--client", "printed"]));
    fs::write(
        folder.path().join("printed.toml"),
        format!("{text}\n{table}"),
    )
    .unwrap();
    said(&grantd(&["check", &dir]));
}

#[test]
fn nothing_is_ever_overwritten() {
    let (folder, dir) = registry(&Registry::company());
    let make = |id: &str, secret: &str| {
        let grant = ["--grant", "billing=invoice:read"];
        let line = ["client", "new", id, "--dir", &dir, "--secret-file", secret];
        grantd(&[&line[..], &grant].concat())
    };
    let kept = TempDir::new().unwrap();
    let path = |name: &str| kept.path().join(name).display().to_string();
    said(&make("nightly", &path("one")));
    let file = folder.path().join("nightly.toml");
    let before = (fs::read(&file).unwrap(), fs::read(path("one")).unwrap());

    let words = failed(&make("nightly", &path("two")), 1);
    assert!(
        words.contains("nightly.toml exists: it is not overwritten"),
        "{words}"
    );
    assert!(
        !Path::new(&path("two")).exists(),
        "no secret without its hash"
    );
    let words = failed(&make("weekly", &path("one")), 1);
    assert!(words.contains(&path("one")), "{words}");
    assert!(
        !folder.path().join("weekly.toml").exists(),
        "no hash without its secret"
    );
    assert_eq!(
        before,
        (fs::read(&file).unwrap(), fs::read(path("one")).unwrap())
    );

    // A client that the registry would refuse is not written at all.
    let line = [
        "client",
        "new",
        "wrong",
        "--dir",
        &dir,
        "--grant",
        "billing=no:such",
    ];
    let words = failed(&grantd(&line), 3);
    assert!(words.contains("nothing was written"), "{words}");
    assert!(!folder.path().join("wrong.toml").exists());
}

#[test]
fn init_makes_a_deployment_once() {
    let deployment = Deployment::new();
    let config = fs::read(deployment.path("grantd.toml")).unwrap();
    let keys = |deployment: &Deployment| {
        let files = deployment.key_files();
        files
            .iter()
            .map(|file| fs::read(file).unwrap())
            .collect::<Vec<_>>()
    };
    let before = keys(&deployment);
    let dir = deployment.path("").display().to_string();
    let words = failed(&grantd(&["init", "--dir", &dir]), 1);
    assert!(words.contains("already"), "{words}");
    assert_eq!(keys(&deployment), before);
    // Nothing is lost, so nothing is replaced.
    said(&grantd(&["init", "--dir", &dir, "--keys-lost"]));
    assert_eq!(keys(&deployment), before);
    assert_eq!(fs::read(deployment.path("grantd.toml")).unwrap(), config);
}

#[test]
fn the_settings_of_init_are_loaded_as_they_are_written() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().display().to_string();
    said(&grantd(&["init", "--dir", &dir]));
    let config = folder.path().join("grantd.toml").display().to_string();
    said(&grantd(&["keys", "list", "--config", &config]));
    // Only the certificate is missing, which `init` has said.
    let words = failed(&grantd(&["serve", "--config", &config]), 1);
    assert!(words.contains("tls/certificate.pem"), "{words}");
}
