//! The commands that make clients and secrets, as somebody types them. Touches: fs.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::path::Path;

use clap::Parser;
use serde_json::Value;

use crate::cli::{Cli, Exit, Io, run};
use crate::domain::{Secret, SecretVerifier};

struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

fn grantd(args: &[&str]) -> Ran {
    let cli = Cli::try_parse_from([&["grantd"], args].concat()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run(
        &cli,
        &mut Io {
            out: &mut out,
            err: &mut err,
        },
    );
    Ran {
        exit,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

fn registry() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "[resource.billing]\nidentifier = \"urn:b\"\nscopes = { read = \"Read\", write = \"Write\" }\n";
    fs::write(folder.path().join("api.toml"), text).unwrap();
    folder
}

/// Whether the file holds a verifier of this secret for this client.
fn verifies(file: &Path, client: &str, secret: &str) -> bool {
    let presented = Secret::new(secret.to_owned());
    let verifier = SecretVerifier::of_presented(client, &presented).unwrap();
    fs::read_to_string(file)
        .unwrap()
        .contains(&verifier.to_string())
}

#[test]
fn a_new_client_is_written_and_its_secret_shown_once() {
    let folder = registry();
    let dir = folder.path().to_str().unwrap();
    let args = [
        "client",
        "new",
        "ci.deploy",
        "--grant",
        "billing=read,write",
        "--owner",
        "team-a",
        "--name",
        "CI",
        "--expires",
        "2099-12-31",
        "--dir",
        dir,
    ];
    let ran = grantd(&args);
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    let secret = ran.out.trim();
    let file = folder.path().join("ci.deploy.toml");
    assert!(verifies(&file, "ci.deploy", secret));
    assert!(!fs::read_to_string(&file).unwrap().contains(secret) && !ran.err.contains(secret));
    let check = grantd(&["check", dir]);
    assert_eq!(check.exit, Exit::Done, "{}", check.err);
    assert!(
        check.out.contains("1 resource, 1 client, digest "),
        "{}",
        check.out
    );

    let again = grantd(&args);
    assert_eq!(again.exit, Exit::Failed);
    assert!(again.err.contains("exists: it is not overwritten") && again.out.is_empty());
}

#[test]
fn a_client_that_would_break_the_registry_is_not_written() {
    let folder = registry();
    let dir = folder.path().to_str().unwrap();
    let ran = grantd(&[
        "client",
        "new",
        "x",
        "--grant",
        "billing=raed",
        "--dir",
        dir,
    ]);
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.err.contains("did you mean `read`?"), "{}", ran.err);
    assert!(ran.out.is_empty() && !folder.path().join("x.toml").exists());
    let ran = grantd(&[
        "client",
        "new",
        "x",
        "--grant",
        "billing=read",
        "--dir",
        "/nowhere",
    ]);
    assert_eq!(ran.exit, Exit::Failed);
}

#[test]
fn without_a_folder_the_table_and_the_secret_are_apart() {
    let ran = grantd(&[
        "secret",
        "new",
        "--client",
        "x",
        "--label",
        "two",
        "--secret-expires",
        "90d",
    ]);
    assert_eq!(ran.exit, Exit::Done);
    assert!(
        ran.out
            .starts_with("[[client.x.secret]]\nlabel = \"two\"\nhash = \"sha256:")
    );
    assert!(!ran.out.contains("grantd_secret_") && ran.err.contains("grantd_secret_"));
    let ran = grantd(&[
        "client",
        "new",
        "x",
        "--grant",
        "billing=read",
        "--format",
        "json",
    ]);
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(
        value["client_secret"]
            .as_str()
            .unwrap()
            .starts_with("grantd_secret_")
    );
    assert!(
        value["toml"]
            .as_str()
            .unwrap()
            .contains("[client.x.grants]\nbilling = [\"read\"]")
    );
    assert!(ran.err.is_empty());
}

#[test]
fn a_second_secret_keeps_the_file_as_it_was() {
    let folder = registry();
    let dir = folder.path().to_str().unwrap();
    let file = folder.path().join("team.toml");
    let before = "# ours\n[client.a]   # the first\ngrants = { billing = [\"read\"] }\n\n\
                  [client.b.grants] # the second\nbilling = [ 'write' ]\n";
    fs::write(&file, before).unwrap();
    let ran = grantd(&[
        "secret", "new", "--client", "a", "--dir", dir, "--format", "json",
    ]);
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(verifies(
        &file,
        "a",
        value["client_secret"].as_str().unwrap()
    ));
    let path = file.to_str().unwrap();
    assert_eq!(
        grantd(&["secret", "new", "--client", "b", "--file", path]).exit,
        Exit::Done
    );
    let after = fs::read_to_string(&file).unwrap();
    for line in before.lines() {
        assert!(after.contains(line), "{after}");
    }
    assert_eq!(after.matches("[[client.").count(), 2);
    assert_eq!(grantd(&["check", dir]).exit, Exit::Done);

    let ran = grantd(&["secret", "new", "--client", "c", "--file", path]);
    assert!(ran.exit == Exit::Failed && ran.err.contains("does not define client c"));
    let ran = grantd(&["secret", "new", "--client", "c", "--dir", dir]);
    assert!(ran.exit == Exit::Failed && ran.err.contains("defines client c"));
    let ran = grantd(&["secret", "new", "--client", "a", "--secret-expires", "soon"]);
    assert_eq!(ran.exit, Exit::Usage);
}

#[test]
fn a_secret_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let path = file.to_str().unwrap();
    let args = ["secret", "new", "--client", "x", "--secret-file", path];
    let ran = grantd(&args);
    assert!(!ran.out.contains("grantd_secret_") && !ran.err.contains("grantd_secret_"));
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .starts_with("grantd_secret_")
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(grantd(&args).exit, Exit::Failed);
}

#[test]
fn the_policy_bounds_a_new_secret() {
    let folder = registry();
    let dir = folder.path().to_str().unwrap();
    fs::create_dir(folder.path().join("policy")).unwrap();
    fs::write(
        folder.path().join("policy/p.toml"),
        "[policy]\nmax_secret_lifetime = \"30d\"\n",
    )
    .unwrap();
    let ran = grantd(&[
        "client",
        "new",
        "x",
        "--grant",
        "billing=read",
        "--dir",
        dir,
    ]);
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    let args = [
        "secret",
        "new",
        "--client",
        "x",
        "--dir",
        dir,
        "--secret-expires",
        "90d",
    ];
    assert_eq!(grantd(&args).exit, Exit::Refused);
}

#[test]
fn check_has_its_exit_codes_and_its_json() {
    let folder = registry();
    let dir = folder.path().to_str().unwrap();
    let value: Value =
        serde_json::from_str(&grantd(&["check", dir, "--format", "json"]).out).unwrap();
    assert_eq!(
        (&value["accepted"], &value["resources"]),
        (&true.into(), &1.into())
    );
    fs::write(
        folder.path().join("b.toml"),
        "[resource.c]\nalgorithm = \"EdDSA\"\nidentifer = \"urn:c\"\n",
    )
    .unwrap();
    let ran = grantd(&["check", dir, "--format", "json"]);
    assert_eq!(ran.exit, Exit::Refused);
    let value: Value = serde_json::from_str(&ran.out).unwrap();
    let problem = &value["problems"][1];
    assert_eq!(
        (&problem["file"], &problem["line"]),
        (&"b.toml".into(), &2.into())
    );
    assert_eq!(value["problems"].as_array().unwrap().len(), 3);
    let ran = grantd(&["check", dir, "--algorithms", "ES256,EdDSA"]);
    assert!(!ran.err.contains("EdDSA keys"), "{}", ran.err);
    assert_eq!(grantd(&["check", "/nowhere"]).exit, Exit::Failed);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(
        grantd(&["check", empty.path().to_str().unwrap()]).exit,
        Exit::Refused
    );
}
