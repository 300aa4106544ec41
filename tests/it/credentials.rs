//! Secrets that the service manager passes (`LoadCredential=`), and what is wrong with files of secrets: each is
//! named with its setting, and none of it is shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{BILLING, Deployment, Grantd, eventually, failed, write_key};

const SEALING_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Longest until the shipper has tried to connect.
const NOTICED: Duration = Duration::from_secs(15);

/// A deployment with a sealed key ring, and the folder of the credentials.
fn sealed() -> (Deployment, PathBuf) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), SEALING_KEY).unwrap();
    let path = file.path().to_str().unwrap();
    let deployment = Deployment::with(&["--sealing-key-file", path]);
    deployment.set(
        &format!("sealing_key_file = \"{path}\""),
        "sealing_key_file = \"credential:sealing-key\"",
    );
    let credentials = deployment.path("credentials");
    fs::create_dir(&credentials).unwrap();
    (deployment, credentials)
}

fn serve(deployment: &Deployment, credentials: &Path) -> Grantd {
    let mut command = deployment.command();
    deployment.serve_by(command.env("CREDENTIALS_DIRECTORY", credentials))
}

fn refusal(deployment: &Deployment, credentials: &Path) -> String {
    let mut command = deployment.command();
    let command = command.env("CREDENTIALS_DIRECTORY", credentials);
    failed(
        &command
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap(),
        1,
    )
}

async fn token(grantd: &Grantd) {
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sealing_key_and_the_tls_pair_come_as_credentials() {
    let (deployment, credentials) = sealed();
    for (file, name) in [("certificate.pem", "tls.crt"), ("key.pem", "tls.key")] {
        fs::rename(deployment.path("tls").join(file), credentials.join(name)).unwrap();
    }
    deployment.set(
        "certificate = \"tls/certificate.pem\"",
        "certificate = \"credential:tls.crt\"",
    );
    deployment.set("key = \"tls/key.pem\"", "key = \"credential:tls.key\"");
    // With a line's end behind it, as an editor or `openssl rand` writes it, and without.
    for text in [SEALING_KEY.to_owned(), format!("{SEALING_KEY}\n")] {
        write_key(&credentials.join("sealing-key"), &text);
        let mut grantd = serve(&deployment, &credentials);
        token(&grantd).await;
        assert!(grantd.stop().success());
    }
    // Sealed: without it no key opens.
    fs::remove_file(credentials.join("sealing-key")).unwrap();
    let words = refusal(&deployment, &credentials);
    let place = credentials.join("sealing-key").display().to_string();
    assert!(
        words.contains("the sealing key (keys.sealing_key_file): cannot read"),
        "{words}"
    );
    assert!(words.contains(&place), "{words}");
}

#[test]
fn a_sealing_key_that_is_none_is_named_with_its_setting_and_not_shown() {
    let (deployment, credentials) = sealed();
    let file = credentials.join("sealing-key");
    for (text, words) in [
        ("", "is empty: the secret itself must be in it"),
        (" \n\t\n", "is empty: the secret itself must be in it"),
        ("hunter2-is-no-key", "must have 32 bytes"),
    ] {
        write_key(&file, text);
        let said = refusal(&deployment, &credentials);
        assert!(
            said.contains(words) && said.contains(file.to_str().unwrap()),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
    write_key(&file, SEALING_KEY);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let said = refusal(&deployment, &credentials);
    assert!(
        said.contains("can be read by others (mode 0644): chmod o-rwx"),
        "{said}"
    );
    // What systemd makes: for its owner and an access list, nobody else.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
    drop(serve(&deployment, &credentials));
}

#[test]
fn a_credential_that_is_no_name_is_refused_with_its_setting() {
    for name in ["", "../etc/shadow", ".hidden"] {
        let (deployment, credentials) = sealed();
        deployment.set("credential:sealing-key", &format!("credential:{name}"));
        let said = refusal(&deployment, &credentials);
        assert!(said.contains("keys.sealing_key_file"), "{said}");
        assert!(said.contains("write credential:NAME"), "{said}");
    }
}

/// An outage of the stream never stops a start: the events wait, and the operator reads why.
#[tokio::test(flavor = "multi_thread")]
async fn a_nats_password_that_is_empty_or_missing_is_said_and_tokens_are_issued() {
    for (text, words) in [
        (Some("\n"), "is empty: the secret itself must be in it"),
        (None, "cannot read"),
    ] {
        let deployment = Deployment::new();
        let credentials = deployment.path("credentials");
        fs::create_dir(&credentials).unwrap();
        if let Some(text) = text {
            write_key(&credentials.join("nats"), text);
        }
        deployment.append(
            "[audit.nats]\nurl = \"nats://127.0.0.1:1\"\nuser = \"grantd\"\npassword_file = \"credential:nats\"",
        );
        let grantd = serve(&deployment, &credentials);
        token(&grantd).await;
        eventually("the log says why", NOTICED, || {
            let log = grantd.log();
            (log.contains("audit.nats.password_file") && log.contains(words)).then_some(())
        });
    }
}
