//! `grantd client snippet`: programs that are pasted and run as they are, against the real daemon.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    BILLING, FLEET, Grantd, Registry, Token, failed, go_offline, grantd, jwks, repository, said,
    secret, shared, tool, verify_with,
};

const LANGUAGES: [&str; 4] = ["curl", "python", "go", "node"];

/// Names and identifiers that would be more than themselves, were they not escaped.
const HOSTILE: &str = r##"
[resource.hostile]
identifier = """urn:x:'"$(touch${IFS}pwned)`touch${IFS}pwned`\\{{scope}}%s\""""
name = "'''\"\"\" \" ' \\ $(touch pwned) `touch pwned` #{x} */ {{issuer}} \\"

[resource.hostile.scopes]
"a'b$(touch${IFS}pwned)" = "quotes"
"`touch${IFS}pwned`;#{x}${x}{{client_id}}%s" = "substitutions"

[client.hostile]
name = "-*- coding: utf-7 -*-\u2028\u202E'''"

[client.hostile.grants]
hostile = ["a'b$(touch${IFS}pwned)", "`touch${IFS}pwned`;#{x}${x}{{client_id}}%s"]

[[client.hostile.secret]]
hash = "@hostile.1"
"##;

/// `grantd client snippet` for a client of this daemon.
fn snippet(daemon: &Grantd, arguments: &[&str]) -> Output {
    let registry = daemon.registry().display().to_string();
    let place = ["--registry", &registry, "--issuer", &daemon.ready.issuer];
    grantd(&[&["client", "snippet"], arguments, &place].concat())
}

/// A folder in which somebody has pasted programs, with what their languages need.
struct Desk {
    folder: TempDir,
    ca_file: PathBuf,
}

impl Desk {
    fn of(daemon: &Grantd) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            ca_file: daemon.ready.ca_file.clone(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Saves a program in this language and returns the command that runs it.
    fn paste(&self, language: &str, program: &str) -> Command {
        let save = |name: &str| {
            fs::write(self.path(name), program).unwrap();
            self.path(name)
        };
        let mut command = match language {
            "curl" => {
                let mut sh = Command::new("sh");
                sh.arg(save("client.sh"));
                sh
            }
            "python" => {
                let mut python = Command::new(tool("venv/bin/python"));
                python.arg(save("client.py"));
                python
            }
            "go" => {
                for file in ["go.mod", "go.sum"] {
                    let from = repository("tests/interop/go").join(file);
                    fs::copy(from, self.path(file)).unwrap();
                }
                let mut go = Command::new(tool("path/go"));
                go.arg("run").arg(save("client.go"));
                go_offline(&mut go);
                go
            }
            "node" => {
                let modules = repository("tests/interop/node/node_modules");
                // The link may be there from a program before.
                let _linked = symlink(modules, self.path("node_modules"));
                let mut node = Command::new(tool("path/node"));
                node.arg(save("client.mjs"));
                node
            }
            other => panic!("no language {other}"),
        };
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env_remove("XDG_CACHE_HOME")
            .env_remove("CREDENTIALS_DIRECTORY");
        for name in [
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "SSL_CERT_FILE",
            "NODE_EXTRA_CA_CERTS",
        ] {
            command.env(name, &self.ca_file);
        }
        command
    }

    /// Writes a secret as `--secret-file` of other commands does.
    fn keep(&self, file: &Path, secret: &str) {
        let file = self.folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, secret).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// The token that a program printed, verified.
async fn token(daemon: &Grantd, output: &Output, what: &str) -> Token {
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {words}");
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    verify_with(&jwks(daemon).await, printed.trim_end())
}

#[tokio::test]
async fn a_pasted_program_gets_a_token_in_each_language() {
    let daemon = shared();
    for language in LANGUAGES {
        let desk = Desk::of(&daemon);
        desk.keep(
            Path::new("writer.secret"),
            &format!("{}\n", secret("writer", 1)),
        );
        let program = said(&snippet(&daemon, &["writer", "--lang", language]));
        assert!(!program.contains("grantd_secret_"), "{language}: {program}");
        assert!(!program.contains("sha256:"), "{language}: {program}");
        let output = desk.paste(language, &program).output().unwrap();
        let token = token(&daemon, &output, language).await;
        assert_eq!(token.text("client_id"), "writer", "{language}");
        assert_eq!(token.text("aud"), BILLING, "{language}");
        assert_eq!(
            token.text("scope"),
            "invoice:read invoice:write",
            "{language}"
        );
    }
}

/// A default resource, one that is named, a client without scopes; a secret as systemd hands it over, and one
/// at a path of its own.
#[tokio::test]
async fn programs_use_the_resource_and_the_file_that_were_said() {
    let daemon = shared();
    let desk = Desk::of(&daemon);
    for client in ["chooser", "minimal", "roamer"] {
        desk.keep(
            Path::new("creds")
                .join(format!("{client}.secret"))
                .as_path(),
            &secret(client, 1),
        );
    }
    let path = desk.path("creds/roamer.secret").display().to_string();
    for (arguments, audience) in [
        (&["chooser"][..], FLEET),
        (&["chooser", "--resource", "billing"], BILLING),
        (&["minimal"], "urn:example:plain"),
        (
            &["roamer", "--resource", "fleet", "--secret-file", &path],
            FLEET,
        ),
    ] {
        for language in ["curl", "python", "node"] {
            let program = said(&snippet(
                &daemon,
                &[arguments, &["--lang", language]].concat(),
            ));
            let mut command = desk.paste(language, &program);
            if !arguments.contains(&"--secret-file") {
                command.env("CREDENTIALS_DIRECTORY", desk.path("creds"));
            }
            let token = token(&daemon, &command.output().unwrap(), language).await;
            assert_eq!(token.text("aud"), audience, "{language}: {arguments:?}");
        }
    }
}

#[tokio::test]
async fn hostile_names_are_but_texts_in_each_language() {
    let registry = Registry::empty().file("hostile.toml", HOSTILE);
    let daemon = Grantd::dev().registry(registry).start();
    let file = "it's \"a\"\n$(touch pwned)`touch pwned`\\ #{x}{{id}}é\u{1F511}";
    for language in LANGUAGES {
        let desk = Desk::of(&daemon);
        desk.keep(Path::new(file), &secret("hostile", 1));
        let arguments = ["hostile", "--lang", language, "--secret-file", file];
        let program = said(&snippet(&daemon, &arguments));
        let output = desk.paste(language, &program).output().unwrap();
        let token = token(&daemon, &output, &format!("{language}: {program}")).await;
        assert!(
            token.text("aud").contains("$(touch${IFS}pwned)"),
            "{language}"
        );
        assert_eq!(token.text("scope").split(' ').count(), 2, "{language}");
        assert!(
            !desk.path("pwned").exists(),
            "{language}: a name was run: {program}"
        );
        if language == "go" {
            let gofmt = Command::new(tool("path/gofmt"))
                .arg("-l")
                .arg(desk.path("client.go"))
                .output();
            assert_eq!(
                String::from_utf8_lossy(&gofmt.unwrap().stdout),
                "",
                "{program}"
            );
        }
    }
}

#[tokio::test]
async fn the_shell_program_keeps_its_token_for_the_next_run() {
    let daemon = shared();
    let desk = Desk::of(&daemon);
    let program = said(&snippet(&daemon, &["reader", "--lang", "curl"]));
    let run = || desk.paste("curl", &program).output().unwrap();

    let missing = String::from_utf8(run().stderr).unwrap();
    assert!(
        missing.contains("cannot read the secret's file ./reader.secret"),
        "{missing}"
    );
    desk.keep(Path::new("reader.secret"), &secret("writer", 1));
    let refused = run();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("invalid_client"));
    assert!(refused.stdout.is_empty(), "no token, no output");

    desk.keep(Path::new("reader.secret"), &secret("reader", 1));
    let first = run();
    token(&daemon, &first, "first").await;
    fs::remove_file(desk.path("reader.secret")).unwrap();
    assert_eq!(
        run().stdout,
        first.stdout,
        "the same token, without a secret"
    );

    let kept: Vec<PathBuf> = fs::read_dir(desk.path(".cache/grantd-snippet"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let mode = fs::metadata(&kept[0]).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);

    // About to expire, it is fetched anew.
    let text = fs::read_to_string(&kept[0]).unwrap();
    fs::write(&kept[0], format!("0\n{}\n", text.lines().nth(1).unwrap())).unwrap();
    desk.keep(Path::new("reader.secret"), &secret("reader", 1));
    let second = run();
    token(&daemon, &second, "second").await;
    assert_ne!(second.stdout, first.stdout);
}

#[test]
fn what_cannot_be_known_is_asked_for() {
    let daemon = shared();
    let curl = ["--lang", "curl"];
    let ask = |arguments: &[&str]| failed(&snippet(&daemon, &[arguments, &curl].concat()), 1);
    for (arguments, words) in [
        (
            &["raeder"][..],
            "the registry has no client `raeder`: did you mean `reader`?",
        ),
        (
            &["zzzzzzzzzzzzzzzz"],
            "the registry has no client `zzzzzzzzzzzzzzzz`; it has `",
        ),
        (
            &["roamer"],
            "has no default: say --resource billing or --resource fleet",
        ),
        (
            &["reader", "--resource", "fleet"],
            "no grant on `fleet`: its resources: `billing`",
        ),
        (
            &["roamer", "--resource", "flete"],
            "no grant on `flete`: did you mean `fleet`?",
        ),
    ] {
        let said = ask(arguments);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let warned = snippet(&daemon, &["disabled", "--lang", "go"]);
    assert_eq!(warned.status.code(), Some(0));
    let words = String::from_utf8(warned.stderr).unwrap();
    assert!(
        words.contains("warning: client `disabled` is disabled"),
        "{words}"
    );

    let nowhere = grantd(&["client", "snippet", "reader", "--lang", "curl"]);
    assert!(failed(&nowhere, 2).contains("--issuer"));
    let broken = TempDir::new().unwrap();
    fs::write(
        broken.path().join("a.toml"),
        "[client.reader]\nnmae = \"x\"\n",
    )
    .unwrap();
    let place = [
        "--issuer",
        "https://auth.test",
        "--registry",
        broken.path().to_str().unwrap(),
    ];
    let refused = grantd(&[&["client", "snippet", "reader"], &curl[..], &place].concat());
    assert!(failed(&refused, 3).contains("did you mean `name`?"));
    assert!(refused.stdout.is_empty());
}

#[test]
fn json_has_the_program_and_what_was_filled_in() {
    let daemon = shared();
    let arguments = ["reader", "--lang", "python", "--format", "json"];
    let told: Value = serde_json::from_str(&said(&snippet(&daemon, &arguments))).unwrap();
    assert_eq!(told["resource"], BILLING);
    assert_eq!(told["scope"], "invoice:read");
    assert_eq!(told["secret_file"], "reader.secret");
    assert_eq!(told["issuer"], daemon.ready.issuer.as_str());
    let program = told["program"].as_str().unwrap();
    assert!(
        program.contains(&format!("RESOURCE = \"{BILLING}\"\n")),
        "{program}"
    );
}
