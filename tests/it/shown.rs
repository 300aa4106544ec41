//! What documents and units show, run as it stands: only names of hosts, clients and folders are changed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{BILLING, FakeServer, answer, repository, said, secret, shared};

/// The client's secret in a file that is its user's alone.
fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// `PATH` with the program under test before all others.
fn path() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_grantd"));
    let others = std::env::var("PATH").unwrap();
    format!("{}:{others}", program.parent().unwrap().display())
}

#[test]
fn the_shell_lines_that_verify_a_token_do() {
    let grantd = shared();
    let document = fs::read_to_string(repository("docs/verify.md")).unwrap();
    let (_, section) = document.split_once("## curl and `grantd verify`").unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    let (lines, _) = block.split_once("```").unwrap();
    assert!(lines.contains("https://billing.example.com/api --scope invoice:read"));
    let folder = TempDir::new().unwrap();
    write_secret(&folder.path().join("reader.secret"), &secret("reader", 1));
    let run = |lines: &str| {
        let lines = lines
            .replace("https://auth.example.com", &grantd.ready.issuer)
            .replace("https://billing.example.com/api", BILLING)
            .replace("nightly-invoices", "reader");
        Command::new("sh")
            .args(["-c", &lines])
            .current_dir(folder.path())
            .env("PATH", path())
            .env("CURL_CA_BUNDLE", &grantd.ready.ca_file)
            .env("SSL_CERT_FILE", &grantd.ready.ca_file)
            .output()
            .unwrap()
    };
    let words = said(&run(lines));
    assert!(words.contains("result: the token is accepted"), "{words}");
    let other = run(&lines.replace("--scope invoice:read", "--scope invoice:write"));
    assert_eq!(other.status.code(), Some(3), "{other:?}");
}

#[test]
fn the_timers_example_calls_an_api_with_a_token_and_asks_for_it_once() {
    let grantd = shared();
    let unit = fs::read_to_string(repository("systemd/grantd-token@.service")).unwrap();
    let start = unit.lines().find_map(|line| {
        line.strip_prefix("ExecStart=/bin/sh -ec '")?
            .strip_suffix('\'')
    });
    let program = env!("CARGO_BIN_EXE_grantd");
    let api = FakeServer::start(|_, _, _| answer("204 No Content", ""));
    // curl trusts what it is told, and nothing else: the API has a certificate of its own.
    let script = start
        .expect("the unit runs a shell line")
        .replace("%i", "reader")
        .replace("/usr/bin/grantd", program)
        .replace(
            "/usr/bin/curl",
            &format!("/usr/bin/curl --cacert {}", api.ca_file.display()),
        );
    let folder = TempDir::new().unwrap();
    write_secret(
        &folder.path().join("client-secret"),
        &format!("{}\n", secret("reader", 1)),
    );
    let cache = folder.path().join("cache");
    for _ in 0..2 {
        let output = Command::new("/bin/sh")
            .args(["-ec", &script])
            .env_clear()
            .env("CREDENTIALS_DIRECTORY", folder.path())
            .env("CACHE_DIRECTORY", &cache)
            .env("SSL_CERT_FILE", &grantd.ready.ca_file)
            .env("ISSUER", &grantd.ready.issuer)
            .env("RESOURCE", BILLING)
            .env("CALL", format!("{}/run", api.url))
            .output()
            .unwrap();
        assert_eq!(said(&output), "");
    }
    let requests = api.requests();
    let token = |request: &String| {
        assert!(request.starts_with("POST /run "), "{request}");
        let header = |line: &str| {
            line.strip_prefix("Authorization: Bearer ")
                .map(str::to_owned)
        };
        request.lines().find_map(header).expect("a token")
    };
    let tokens: Vec<String> = requests.iter().map(token).collect();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0].split('.').count(), 3, "{tokens:?}");
    assert_eq!(
        tokens[0], tokens[1],
        "the second run took it from the cache"
    );
}
