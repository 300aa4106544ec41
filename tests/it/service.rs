//! As a service: what the service manager hears, the watchdog, sockets that outlive the daemon, and units that
//! systemd's own tools accept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::support::{
    BILLING, Deployment, Disk, Grantd, Load, Protocol, Received, ServiceManager, assert_recorded,
    assert_whole_journal, eventually, issued, jwks, passing, repository, verify_all,
};

/// Longest orderly end of a daemon.
const ENDED: Duration = Duration::from_secs(30);

/// `WATCHDOG_USEC` of these tests, and how long it is.
const WATCHDOG: (&str, Duration) = ("300000", Duration::from_millis(300));

/// The daemon under a service manager.
fn served_under(manager: &ServiceManager, deployment: &Deployment) -> Grantd {
    let mut command = deployment.command();
    command
        .env("NOTIFY_SOCKET", manager.socket())
        .env("WATCHDOG_USEC", WATCHDOG.0);
    deployment.serve_by(&mut command)
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
async fn the_service_manager_hears_of_start_reload_trouble_and_stop() {
    let (manager, deployment) = (ServiceManager::new(), Deployment::new());
    let mut grantd = served_under(&manager, &deployment);
    manager.says("READY=1", 0);
    let status = manager.says("STATUS=", 0);
    assert!(
        status.contains("STATUS=Issuing tokens. 8 clients of registry generation 1"),
        "{status}"
    );

    // What SIGHUP asks for is done when it hears READY again.
    let extra =
        "[resource.extra]\nidentifier = \"urn:extra\"\nname = \"Extra\"\nowner = \"team\"\n";
    fs::write(deployment.path("registry.d/extra.toml"), extra).unwrap();
    let before = manager.heard().len();
    grantd.signal(Signal::HUP);
    let reloading = manager.says("RELOADING=1", before);
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let at = manager
        .heard()
        .iter()
        .rposition(|it| it.contains("RELOADING=1"))
        .unwrap();
    manager.says("READY=1", at);
    assert!(manager.says("STATUS=", at).contains("generation 2"));

    let before = manager.heard().len();
    fs::write(
        deployment.path("registry.d/bad.toml"),
        "[client.x]\nnmae = 1\n",
    )
    .unwrap();
    let status = manager.says("the registry folder is refused", before);
    assert!(
        status.starts_with("STATUS=Issuing tokens, but: "),
        "{status}"
    );
    assert!(status.contains("bad.toml:2"), "{status}");
    fs::remove_file(deployment.path("registry.d/bad.toml")).unwrap();
    let before = manager.heard().len();
    manager.says("STATUS=Issuing tokens. ", before);

    assert!(grantd.stop().success());
    manager.says("STOPPING=1", before);
}

/// What keeps it from issuing heals by a change of a file: another start would not help.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_cannot_issue_yet_is_up_and_says_why() {
    let (manager, deployment) = (ServiceManager::new(), Deployment::new());
    fs::write(
        deployment.path("registry.d/bad.toml"),
        "[client.x]\nnmae = 1\n",
    )
    .unwrap();
    let mut command = deployment.command();
    command
        .env("NOTIFY_SOCKET", manager.socket())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let status = manager.says("STATUS=NOT issuing tokens: no registry was accepted yet", 0);
    assert!(status.contains("bad.toml:2"), "{status}");
    manager.says("READY=1", 0);
    fs::remove_file(deployment.path("registry.d/bad.toml")).unwrap();
    manager.says("STATUS=Issuing tokens. ", 0);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    eventually("it ends", ENDED, || child.try_wait().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_fed_by_a_living_daemon_and_not_by_a_stopped_one() {
    let (manager, deployment) = (ServiceManager::new(), Deployment::new());
    let grantd = served_under(&manager, &deployment);
    let fed = |count: usize| {
        let beats = || (manager.count("WATCHDOG=1") >= count).then_some(());
        eventually("the watchdog is fed", ENDED, beats);
    };
    fed(5);
    grantd.signal(Signal::STOP);
    // What it had sent before is heard once nothing came for a while.
    let mut last = (manager.heard().len(), Instant::now());
    let silent = eventually("a stopped daemon feeds nothing", ENDED, || {
        let now = manager.heard().len();
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > 3 * WATCHDOG.1).then_some(now)
    });
    grantd.signal(Signal::CONT);
    manager.says("WATCHDOG=1", silent);
    token(&grantd).await;
}

/// A drain may last longer than the watchdog waits: a client that has begun is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_fed_while_the_daemon_drains() {
    let (manager, deployment) = (ServiceManager::new(), Deployment::new());
    let mut grantd = served_under(&manager, &deployment);
    let mut stream = grantd.https().connect(Protocol::Http1).await;
    let head = format!(
        "POST /oauth2/token HTTP/1.1\r\nhost: {}\r\ncontent-length: 9\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n",
        grantd.https().authority()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    // The server has read the head once it has answered something that came later.
    token(&grantd).await;
    grantd.signal(Signal::TERM);
    manager.says("STOPPING=1", 0);
    let (before, needed) = (manager.count("WATCHDOG=1"), 10);
    eventually("the watchdog is fed", ENDED, || {
        (manager.count("WATCHDOG=1") >= before + needed).then_some(())
    });
    drop(stream);
    assert!(grantd.ended(ENDED).success());
}

/// A hung disk must not kill the daemon: it answers 503, and goes on when the disk does.
#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_fed_while_the_disk_hangs() {
    let (manager, disk) = (ServiceManager::new(), Disk::new());
    let state = disk.folder().join("state").display().to_string();
    let deployment = Deployment::with(&["--state", &state]);
    deployment.set(
        "# request_time = \"20s\"",
        "request_time = \"2s\"\nbody_time = \"1s\"",
    );
    let grantd = served_under(&manager, &deployment);
    token(&grantd).await;
    disk.freeze();
    for _ in 0..3 {
        let answer = grantd.ask().of("reader").resource(BILLING).send().await;
        assert_eq!(answer.status, 503);
    }
    let hung = Instant::now();
    let (before, needed) = (manager.count("WATCHDOG=1"), 10);
    eventually("the watchdog is fed", ENDED, || {
        (manager.count("WATCHDOG=1") >= before + needed).then_some(())
    });
    let (every, beats) = (WATCHDOG.1, u32::try_from(needed).unwrap());
    assert!(
        hung.elapsed() < every * beats,
        "{:?} for {needed} beats",
        hung.elapsed()
    );
    disk.thaw();
    eventually("it is ready again", ENDED, || {
        (grantd.monitor("/readyz").0 == 200).then_some(())
    });
    token(&grantd).await;
}

/// Connects all the time, as clients do that keep no connection.
fn connecting(grantd: &Grantd, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<String>> {
    let (https, stop) = (grantd.https().clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let mut failed = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = https.try_connect(Protocol::Http1).await {
                failed.push(error.to_string());
            }
        }
        failed
    })
}

/// The sockets belong to the service manager: what connects meanwhile waits for the next daemon.
#[tokio::test(flavor = "multi_thread")]
async fn restarts_under_load_refuse_no_connection_and_break_no_request() {
    let deployment = Deployment::new();
    let public = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = || {
        let command = deployment.command();
        deployment.serve_by(&mut passing(&command, &[&public], "public", "$$"))
    };
    let mut grantd = start();
    assert_eq!(
        grantd.https().authority(),
        format!("localhost:{}", public.local_addr().unwrap().port())
    );
    let keys = jwks(&grantd).await;
    let load = Load::start(&grantd, 8);
    let stop = Arc::new(AtomicBool::new(false));
    let connecting: Vec<_> = (0..4).map(|_| connecting(&grantd, &stop)).collect();
    for _ in 0..3 {
        load.until_tokens(load.tokens() + 100).await;
        assert!(grantd.stop().success());
        grantd = start();
    }
    load.until_tokens(load.tokens() + 100).await;
    stop.store(true, Ordering::Relaxed);
    for one in connecting {
        let failed = one.await.unwrap();
        assert!(failed.is_empty(), "{failed:?}");
    }
    let Received {
        tokens,
        refused,
        broken,
        unconnected,
    } = load.end().await;
    assert!(
        refused.is_empty() && broken.is_empty(),
        "{refused:?} {broken:?}"
    );
    assert_eq!(unconnected, 0, "a connection was refused");
    let unique: BTreeSet<_> = tokens.iter().collect();
    assert_eq!(unique.len(), tokens.len());
    assert!(grantd.stop().success());
    let recorded = assert_whole_journal(&deployment.path("state"));
    assert_recorded(&verify_all(&keys, &tokens), &recorded);
    assert_eq!(issued(&recorded).count(), tokens.len());
}

#[test]
fn both_sockets_come_by_name_and_for_this_process_alone() {
    let deployment = Deployment::new();
    let (one, two) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let command = deployment.command();
    let mut both = passing(&command, &[&one, &two], "monitor:public", "$$");
    let grantd = deployment.serve_by(&mut both);
    assert_eq!(grantd.metrics(), one.local_addr().unwrap());
    assert!(
        grantd
            .https()
            .authority()
            .ends_with(&two.local_addr().unwrap().port().to_string())
    );
    assert_eq!(grantd.monitor("/readyz").0, 200);
    drop(grantd);

    // Meant for another process: the daemon listens by itself.
    let grantd = deployment.serve_by(&mut passing(&command, &[&one], "public", "1"));
    assert_ne!(grantd.metrics(), one.local_addr().unwrap());
    assert!(
        !grantd
            .https()
            .authority()
            .ends_with(&one.local_addr().unwrap().port().to_string())
    );
}

#[test]
fn sockets_that_mean_nothing_are_refused_and_said() {
    let deployment = Deployment::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let command = deployment.command();
    for (names, words) in [
        (
            "public:admin",
            "a socket with the name \"admin\" was passed: write FileDescriptorName=public",
        ),
        ("public:public", "two sockets with the name \"public\""),
    ] {
        let output = passing(&command, &[&socket, &socket], names, "$$")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

/// The real thing: it binds, waits for the first connection, and starts the daemon for it.
#[test]
fn systemd_socket_activate_starts_the_daemon_for_the_first_connection() {
    let deployment = Deployment::new();
    let log = fs::File::create(deployment.path("log")).unwrap();
    // An address that no other test uses, so that the port is free.
    let address = "127.81.3.29:9464";
    let command = deployment.command();
    let mut child = Command::new("systemd-socket-activate")
        .args(["--listen", address, "--fdname", "monitor"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("systemd-socket-activate, of the package systemd: {error}"));
    let mut stream = eventually("it listens", ENDED, || TcpStream::connect(address).ok());
    stream.set_read_timeout(Some(ENDED)).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    eventually("it ends", ENDED, || child.try_wait().unwrap());
    let log = fs::read_to_string(deployment.path("log")).unwrap();
    assert!(
        read.is_ok() && answer.starts_with("HTTP/1.1 200 "),
        "{answer}{log}"
    );
}

/// A copy of `systemd/` in which the daemon is where the units say.
fn units() -> TempDir {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("usr/lib/systemd/system");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(root.path().join("usr/bin")).unwrap();
    for entry in fs::read_dir(repository("systemd")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // `verify` wants the program to be there.
        let program = env!("CARGO_BIN_EXE_grantd");
        let text = text.replace("/usr/bin/grantd", program);
        fs::write(folder.join(path.file_name().unwrap()), text).unwrap();
    }
    root
}

fn systemd_analyze(arguments: &[&str]) -> Output {
    Command::new("systemd-analyze")
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("systemd-analyze, of the package systemd: {error}"))
}

#[test]
fn systemd_accepts_the_units_without_a_word() {
    let root = units();
    let unit = |name: &str| {
        let path = root.path().join("usr/lib/systemd/system").join(name);
        path.display().to_string()
    };
    for name in [
        "grantd.service",
        "grantd.socket",
        "grantd-token@job.service",
        "grantd-token@job.timer",
    ] {
        // Instances are of a template whose file must be there under its own name.
        let output = systemd_analyze(&["verify", "--man=no", &unit(name)]);
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && words.is_empty(),
            "{name}: {words}"
        );
    }
    let broken = unit("grantd.service");
    let text = fs::read_to_string(&broken).unwrap();
    fs::write(&broken, text.replace("ProtectClock=yes", "ProtectClok=yes")).unwrap();
    let output = systemd_analyze(&["verify", "--man=no", &broken]);
    assert!(!output.stderr.is_empty(), "it can fail");
}

#[test]
fn systemd_rates_the_units_below_2() {
    for name in ["grantd.service", "grantd-token@.service"] {
        let unit = repository("systemd").join(name);
        // The threshold is ten times the exposure.
        let output = systemd_analyze(&[
            "security",
            "--offline=true",
            "--threshold=19",
            "--no-pager",
            unit.to_str().unwrap(),
        ]);
        let words = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {words}");
        assert!(words.contains("Overall exposure level"), "{words}");
    }
}

#[test]
fn the_files_of_sysusers_and_tmpfiles_are_accepted() {
    let root = TempDir::new().unwrap();
    for folder in ["etc", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let files = [
        (
            "systemd-sysusers",
            "grantd.sysusers",
            "usr/lib/sysusers.d/grantd.conf",
            None,
        ),
        (
            "systemd-tmpfiles",
            "grantd.tmpfiles",
            "usr/lib/tmpfiles.d/grantd.conf",
            Some("--create"),
        ),
    ];
    for (program, from, to, more) in files {
        fs::copy(repository("systemd").join(from), root.path().join(to)).unwrap();
        let output = Command::new(program)
            .arg(format!("--root={}", root.path().display()))
            .args(more)
            .arg("grantd.conf")
            .output()
            .unwrap_or_else(|error| panic!("{program}, of the package systemd: {error}"));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {words}");
    }
    let users = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    assert!(
        users.contains("grantd:") && users.contains("/usr/sbin/nologin"),
        "{users}"
    );
    let tls = fs::metadata(root.path().join("etc/grantd/tls")).unwrap();
    let mode = std::os::unix::fs::MetadataExt::mode(&tls) & 0o7777;
    assert_eq!(
        mode, 0o750,
        "the key's folder is the group's, and nobody else's"
    );
}

/// The calls of each group, as systemd knows them.
fn call_groups() -> BTreeMap<String, Vec<String>> {
    let output = systemd_analyze(&["syscall-filter", "--no-pager"]);
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut group = String::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        match line.trim() {
            "" => {}
            comment if comment.starts_with('#') => {}
            name if !line.starts_with(' ') => group = name.to_owned(),
            call => groups
                .entry(group.clone())
                .or_default()
                .push(call.to_owned()),
        }
    }
    groups
}

fn calls_of(name: &str, groups: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    match groups.get(name) {
        None => BTreeSet::from([name.to_owned()]),
        Some(members) => members
            .iter()
            .flat_map(|member| calls_of(member, groups))
            .collect(),
    }
}

/// What `SystemCallFilter=` of the unit comes to: an allow list, with what is always allowed.
fn allowed_calls() -> BTreeSet<String> {
    let groups = call_groups();
    let mut allowed = calls_of("@default", &groups);
    let unit = fs::read_to_string(repository("systemd/grantd.service")).unwrap();
    for filter in unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
    {
        let (takes_away, names) = match filter.strip_prefix('~') {
            Some(names) => (true, names),
            None => (false, filter),
        };
        for call in names.split(' ').flat_map(|name| calls_of(name, &groups)) {
            if takes_away {
                allowed.remove(&call);
            } else {
                allowed.insert(call);
            }
        }
    }
    allowed
}

/// A filter that forbids what the daemon does would break it on a day when nobody looks.
#[tokio::test(flavor = "multi_thread")]
async fn the_unit_allows_every_system_call_of_a_run() {
    assert!(
        Command::new("strace").arg("-V").output().is_ok(),
        "install the package strace"
    );
    let deployment = Deployment::new();
    // Given to a group, as where operators are let in by one.
    deployment.set("\n[admin]\n", "\n[admin]\ngroup = \"0\"\n");
    // Not beside the registry, which is watched: each line of the trace would be an event to look at.
    let traces = TempDir::new().unwrap();
    let trace = traces.path().join("trace");
    let command = deployment.command();
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .arg(command.get_program());
    traced
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let mut grantd = deployment.serve_by(&mut traced);
    token(&grantd).await;
    grantd.signal_process(Signal::HUP);
    fs::write(
        deployment.path("registry.d/bad.toml"),
        "[client.x]\nnmae = 1\n",
    )
    .unwrap();
    eventually("the registry is refused", ENDED, || {
        grantd.readyz()["degraded"]
            .to_string()
            .contains("bad.toml")
            .then_some(())
    });
    assert!(deployment.keys(&["rotate"]).status.code().is_some());
    grantd.signal_process(Signal::TERM);
    assert!(grantd.ended(ENDED).success());
    let trace = fs::read_to_string(trace).unwrap();
    let calls = trace.lines().filter_map(|line| {
        let call = line.split_whitespace().nth(1)?.split_once('(')?.0;
        call.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            .then_some(call)
    });
    let calls: BTreeSet<&str> = calls.collect();
    assert!(
        calls.contains("accept4") && calls.contains("fdatasync"),
        "{calls:?}"
    );
    let allowed = allowed_calls();
    let forbidden: Vec<_> = calls
        .iter()
        .filter(|call| !allowed.contains(**call))
        .collect();
    assert!(
        forbidden.is_empty(),
        "SystemCallFilter= forbids {forbidden:?}"
    );
    assert!(
        !allowed.contains("ptrace") && !allowed.contains("setuid"),
        "it can fail"
    );
}
