//! What others on the machine can reach: the process, its keys, its folders (checklist 75, 76).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use crate::support::{BILLING, Deployment, Grantd, events, eventually};

/// Longest until a change of the registry is noticed.
const NOTICED: Duration = Duration::from_secs(15);

/// `nobody` of Debian: a user that owns nothing.
const NOBODY: u32 = 65534;

fn own(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path(), user);
        }
    }
}

async fn still_serves(grantd: &Grantd) {
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
}

/// Its memory and environment are root's alone then, and no core holds its keys.
#[test]
fn the_daemon_leaves_no_core_and_is_not_dumpable() {
    let deployment = Deployment::new();
    own(&deployment.path(""), NOBODY);
    // The program may lie where that user can't go.
    let program = deployment.path("grantd");
    fs::copy(env!("CARGO_BIN_EXE_grantd"), &program).unwrap();
    let mut command = std::process::Command::new(program);
    command.args(["serve", "--config", &deployment.config()]);
    let grantd = deployment.serve_by(command.uid(NOBODY).gid(NOBODY));
    let process = Path::new("/proc").join(grantd.ready.pid.to_string());
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let numbers: Vec<&str> = core.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["0", "0"], "{limits}");
    let status = fs::read_to_string(process.join("status")).unwrap();
    assert!(status.contains("Uid:\t65534"), "{status}");
    // A process that can be dumped has these as its own.
    for file in ["environ", "mem", "maps"] {
        assert_eq!(fs::metadata(process.join(file)).unwrap().uid(), 0, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_links_out_of_its_root_is_refused_and_says_where() {
    let outside = tempfile::TempDir::new().unwrap();
    let text =
        "[resource.foreign]\nidentifier = \"urn:foreign\"\nname = \"Foreign\"\nowner = \"x\"\n";
    fs::write(outside.path().join("foreign.toml"), text).unwrap();
    let grantd = Grantd::dev().start();
    let links = [
        (outside.path().join("foreign.toml"), "link.toml"),
        (outside.path().to_owned(), "linked-folder"),
        (Path::new("/dev/zero").to_owned(), "endless.toml"),
    ];
    for (target, name) in links {
        let link = grantd.registry().join(name);
        symlink(target, &link).unwrap();
        eventually(name, NOTICED, || {
            let degraded = grantd.readyz()["degraded"].to_string();
            let said = format!("{name}: this link leads out of the registry folder");
            degraded.contains(&said).then_some(())
        });
        still_serves(&grantd).await;
        fs::remove_file(link).unwrap();
        let healed = || (grantd.readyz()["degraded"].as_array().unwrap().is_empty()).then_some(());
        eventually("the link is gone", NOTICED, healed);
    }
    let applied: Vec<_> = events(&grantd.ready.state)
        .into_iter()
        .filter(|event| event["type"] == "dev.grantd.registry.applied.v1")
        .collect();
    assert!(
        applied
            .iter()
            .all(|event| event["data"]["resources_total"] == 3),
        "{applied:?}"
    );
}

#[test]
fn a_registry_that_everybody_may_change_is_warned_of() {
    let deployment = Deployment::new();
    let root = deployment.path("registry.d");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    let grantd = deployment.serve();
    assert!(
        grantd
            .log()
            .contains("everybody on this machine may write to the registry folder")
    );
}

#[test]
fn a_signing_key_that_others_can_read_stops_the_start_and_says_what_to_do() {
    let deployment = Deployment::new();
    let key = deployment.key_files().remove(0);
    for mode in [0o604, 0o640] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let words = deployment.refuse();
        assert!(words.contains(key.to_str().unwrap()), "{words}");
        assert!(
            words.contains("others can read it") && words.contains("chmod 600"),
            "{words}"
        );
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    drop(deployment.serve());
}
