//! The Debian package: built, installed into a root of its own, run, upgraded, removed. The machine stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::{
    BILLING, Deployment, Grantd, issued, jwks, repository, said, tool, verify_with,
};

/// Runs a command that must succeed, and returns what it wrote to stdout.
#[track_caller]
fn done(program: &str, package: &str, command: &mut Command) -> String {
    let output: Output = command
        .output()
        .unwrap_or_else(|error| panic!("{program}, of the package {package}: {error}"));
    said(&output)
}

/// The manual pages and completions, which every package holds.
static PAGES: OnceLock<String> = OnceLock::new();

/// A package of this version with the program under test. Compressed lightly: it is thrown away.
fn package(folder: &Path, version: &str) -> PathBuf {
    PAGES.get_or_init(|| {
        let mut pages = Command::new(repository("packaging/pages"));
        done("sh", "dash", pages.arg(env!("CARGO_BIN_EXE_grantd")))
    });
    let to = folder.join(format!("grantd_{version}.deb"));
    let program = Path::new(env!("CARGO_BIN_EXE_grantd"));
    let target = program.parent().and_then(Path::parent).unwrap();
    let mut build = Command::new(tool("bin/cargo-deb"));
    build
        .args([
            "--no-build",
            "--no-strip",
            "--no-dbgsym",
            "--fast",
            "--quiet",
        ])
        .args(["--profile", "dev", "--deb-version", version, "--output"])
        .arg(&to)
        .env("CARGO_TARGET_DIR", target)
        .current_dir(repository(""));
    done("cargo-deb", "cargo-deb", &mut build);
    to
}

/// A root with an empty package database.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        for folder in ["info", "updates", "triggers"] {
            fs::create_dir_all(root.path().join("var/lib/dpkg").join(folder)).unwrap();
        }
        fs::write(root.path().join("var/lib/dpkg/status"), "").unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        Self(root)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// `dpkg` on this root. Scripts run outside of it, for it has no shell; of a service manager that
    /// runs this machine they see nothing.
    fn dpkg(&self, arguments: &[&str]) -> String {
        let script = "mount -t tmpfs tmpfs /run && exec dpkg \"$@\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script, "dpkg"])
            .arg(format!("--root={}", self.0.path().display()))
            .args([
                "--force-script-chrootless",
                "--force-depends",
                "--log=/dev/null",
            ])
            .args(arguments);
        done("unshare (it needs root)", "util-linux", &mut command)
    }

    fn status(&self) -> String {
        let root = format!("--root={}", self.0.path().display());
        let mut query = Command::new("dpkg-query");
        query.args([&root, "-W", "-f=${Version} ${db:Status-Status}", "grantd"]);
        let output = query.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The deployment served by the program that is installed, as the unit starts it.
    fn serve(&self, deployment: &Deployment) -> Grantd {
        let unit = fs::read_to_string(self.path("usr/lib/systemd/system/grantd.service")).unwrap();
        let start = unit
            .lines()
            .find_map(|line| line.strip_prefix("ExecStart=/"));
        let mut words = start.expect("the unit starts a program").split(' ');
        let mut command = Command::new(self.path(words.next().unwrap()));
        // Its settings are where this test has them.
        command
            .args(words.map(|word| word.replace("/etc/grantd/grantd.toml", &deployment.config())));
        deployment.serve_by(&mut command)
    }
}

async fn token(grantd: &Grantd) -> String {
    let answer = grantd.ask().of("reader").resource(BILLING).send().await;
    answer.granted().text("access_token")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_is_installed_run_upgraded_and_removed() {
    let folder = TempDir::new().unwrap();
    let [old, new] = ["0.1.0-1", "0.2.0-1"].map(|version| package(folder.path(), version));
    let root = Root::new();
    root.dpkg(&["--install", old.to_str().unwrap()]);
    assert_eq!(root.status(), "0.1.0-1 installed");
    for file in [
        "usr/bin/grantd",
        "usr/lib/systemd/system/grantd.service",
        "usr/lib/systemd/system/grantd.socket",
        "usr/lib/systemd/system/grantd-token@.timer",
        "etc/grantd/registry.d/policy",
        "etc/grantd/credentials",
        "usr/share/man/man1/grantd-token.1.gz",
        "usr/share/bash-completion/completions/grantd",
        "usr/share/zsh/vendor-completions/_grantd",
        "usr/share/fish/vendor_completions.d/grantd.fish",
    ] {
        assert!(root.path(file).exists(), "{file} is not installed");
    }
    let users = fs::read_to_string(root.path("etc/passwd")).unwrap();
    assert!(
        users.lines().any(|line| line.starts_with("grantd:")),
        "{users}"
    );

    // Made and run by what is installed.
    let program = root.path("usr/bin/grantd");
    let deployment = Deployment::by(&program, &[]);
    let mut grantd = root.serve(&deployment);
    let keys = jwks(&grantd).await;
    let first = verify_with(&keys, &token(&grantd).await);
    assert!(grantd.stop().success());

    root.dpkg(&["--install", new.to_str().unwrap()]);
    assert_eq!(root.status(), "0.2.0-1 installed");
    let mut grantd = root.serve(&deployment);
    let second = verify_with(&jwks(&grantd).await, &token(&grantd).await);
    assert_eq!(
        first.header["kid"], second.header["kid"],
        "the keys are kept"
    );
    assert!(grantd.stop().success());
    let events = crate::support::assert_whole_journal(&deployment.path("state"));
    assert_eq!(issued(&events).count(), 2);

    // What people and the daemon made stays, also after a purge.
    fs::write(
        root.path("etc/grantd/grantd.toml"),
        "issuer = \"https://auth.test\"\n",
    )
    .unwrap();
    root.dpkg(&["--remove", "grantd"]);
    assert!(!program.exists() && root.path("etc/grantd/grantd.toml").exists());
    let said = root.dpkg(&["--purge", "grantd"]);
    assert!(
        said.contains("etc/grantd is left: it holds keys, events or settings"),
        "{said}"
    );
    assert!(root.path("etc/grantd/grantd.toml").exists());
    assert!(!root.path("etc/grantd/tls").exists(), "empty folders go");
    assert!(!root.path("usr/lib/systemd/system/grantd.service").exists());
    assert_eq!(root.status(), "");
}

/// So that one package runs on every Debian that has this libc.
#[test]
fn the_program_needs_libc_alone() {
    let listed = done(
        "ldd",
        "libc-bin",
        Command::new("ldd").arg(env!("CARGO_BIN_EXE_grantd")),
    );
    let names = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    for name in names {
        let name = name.rsplit('/').next().unwrap();
        let of_libc = [
            "libc.so",
            "libm.so",
            "libgcc_s.so",
            "ld-linux",
            "linux-vdso",
        ];
        assert!(
            of_libc.iter().any(|known| name.starts_with(known)),
            "{name}: {listed}"
        );
    }
}

/// An upgrade must not close the socket that clients wait in.
#[test]
fn an_upgrade_restarts_the_daemon_and_not_its_socket() {
    let folder = TempDir::new().unwrap();
    let built = package(folder.path(), "0.1.0-1");
    let control = folder.path().join("control");
    let mut unpack = Command::new("dpkg-deb");
    done(
        "dpkg-deb",
        "dpkg",
        unpack.arg("--control").arg(built).arg(&control),
    );
    for script in ["postinst", "prerm"] {
        let text = fs::read_to_string(control.join(script)).unwrap();
        let restarts: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("restart"))
            .collect();
        assert!(
            restarts.iter().all(|line| !line.contains("grantd.socket")),
            "{restarts:?}"
        );
    }
    let postinst = fs::read_to_string(control.join("postinst")).unwrap();
    assert!(
        postinst.contains("try-restart grantd.service ||"),
        "{postinst}"
    );
}
