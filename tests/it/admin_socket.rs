//! The two sockets: who gets in, what each takes, and that the record knows who did what. Needs root, to be
//! somebody else.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use serde_json::Value;

use crate::support::{
    BILLING, Commons, Conversation, Deployment, Grantd, Operator, failed, grantd, said,
};

/// A user that no daemon here runs as.
const STRANGER: u32 = 4711;

/// The group of those who may change things, and of those who may look.
const ADMINS: &str = "61001";
const LOOKERS: &str = "61002";

/// Adds to `[admin]`.
fn set_admin(deployment: &Deployment, settings: &str) {
    deployment.set("\n[admin]\n", &format!("\n[admin]\n{settings}\n"));
}

/// A deployment whose sockets lie where groups reach them.
fn shared_sockets(commons: &Commons) -> Deployment {
    let deployment = Deployment::new();
    let settings = format!(
        "socket = {:?}\ngroup = {ADMINS:?}\n\
         status_socket = {:?}\nstatus_group = {LOOKERS:?}\nstatus_mode = \"0660\"",
        commons.path("admin.sock"),
        commons.path("status.sock"),
    );
    set_admin(&deployment, &settings);
    deployment
}

#[test]
fn the_sockets_are_the_owners_alone_unless_settings_say_otherwise() {
    let daemon = Grantd::dev().start();
    for name in ["admin.sock", "status.sock"] {
        let metadata = fs::metadata(daemon.ready.state.join(name)).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
    assert!(!daemon.ready.state.join("admin.sock.new").exists());

    // Were the folder open, the file would still keep others out; were the file open too, the daemon does.
    let commons = Commons::new();
    let deployment = Deployment::new();
    let socket = commons.path("admin.sock");
    set_admin(&deployment, &format!("socket = {socket:?}"));
    let daemon = deployment.serve();
    let status = ["status", "--socket", &socket];
    let words = failed(&commons.grantd_as(STRANGER, "", &status), 1);
    assert!(words.contains("cannot ask the daemon at"), "{words}");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let words = failed(&commons.grantd_as(STRANGER, "", &status), 1);
    assert!(
        words.contains("only root and the daemon's own user"),
        "{words}"
    );
    assert!(
        daemon
            .log()
            .contains("refused a caller of the admin socket")
    );
    said(&grantd(&status));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_get_in_by_their_sockets_and_are_on_record() {
    let commons = Commons::new();
    let deployment = shared_sockets(&commons);
    let daemon = deployment.serve();
    let (admin, status) = (commons.path("admin.sock"), commons.path("status.sock"));
    for (path, group) in [(&admin, ADMINS), (&status, LOOKERS)] {
        let metadata = fs::metadata(path).unwrap();
        assert_eq!(metadata.gid().to_string(), group);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    }
    let looks: [&[&str]; 3] = [
        &["status", "--socket", &status],
        &["overlay", "list", "--socket", &status],
        &["audit", "tail", "--socket", &status],
    ];
    let disable = ["client", "disable", "reader", "--socket"];

    // Nobody else, and nobody by the other's socket.
    for look in looks {
        failed(&commons.grantd_as(STRANGER, "", look), 1);
        failed(&commons.grantd_as(STRANGER, ADMINS, look), 1);
        said(&commons.grantd_as(STRANGER, LOOKERS, look));
    }
    for (group, socket) in [("", &admin), (LOOKERS, &admin)] {
        let words = [&disable[..], &[socket]].concat();
        let words = failed(&commons.grantd_as(STRANGER, group, &words), 1);
        assert!(words.contains("cannot ask the daemon at"), "{words}");
    }
    let words = [&disable[..], &[&status]].concat();
    let words = failed(&commons.grantd_as(STRANGER, LOOKERS, &words), 1);
    assert!(words.contains("this socket only looks"), "{words}");
    let operator = Operator::of(&daemon);
    assert!(operator.entries().is_empty());

    let words = [&disable[..], &[&admin]].concat();
    said(&commons.grantd_as(STRANGER, ADMINS, &words));
    let answer = daemon.ask().of("reader").resource(BILLING).send().await;
    answer.refused(401, "invalid_client");
    let recorded = operator.recorded("admin.client_disabled");
    assert_eq!(recorded[0]["data"]["uid"], STRANGER);
    assert_eq!(recorded[0]["data"]["gid"], STRANGER);
    assert!(recorded[0]["data"]["pid"].as_u64().unwrap() > 1);
    assert_eq!(operator.entries()[0]["uid"], STRANGER);
}

/// Commands that know the state directory, and those that know the settings, find sockets elsewhere.
#[test]
fn who_knows_the_state_directory_finds_the_sockets_wherever_they_are() {
    let commons = Commons::new();
    let deployment = shared_sockets(&commons);
    let mut daemon = deployment.serve();
    let state = deployment.path("state").display().to_string();
    for name in ["admin.sock", "status.sock"] {
        let link = fs::read_link(deployment.path("state").join(name)).unwrap();
        assert_eq!(link.display().to_string(), commons.path(name));
    }
    said(&grantd(&["status", "--state", &state]));
    said(&grantd(&["status", "--config", &deployment.config()]));
    said(&grantd(&["audit", "tail", "--state", &state]));
    said(&grantd(&["overlay", "list", "--state", &state]));
    // Where the socket that only looks is gone, the other one does.
    fs::remove_file(commons.path("status.sock")).unwrap();
    said(&grantd(&["status", "--state", &state]));
    assert!(daemon.stop().success());
    // What a daemon leaves is no obstacle to the next one, nor are settings without [admin].
    let mut daemon = deployment.serve();
    daemon.kill();
    let text = fs::read_to_string(deployment.config()).unwrap();
    let without: Vec<&str> = (text.lines())
        .filter(|line| !line.starts_with("socket") && !line.starts_with("status_"))
        .filter(|line| !line.starts_with("group"))
        .collect();
    fs::write(deployment.config(), without.join("\n")).unwrap();
    let _daemon = deployment.serve();
    said(&grantd(&["status", "--state", &state]));
}

#[test]
fn the_socket_that_only_looks_takes_nothing_else() {
    let daemon = Grantd::dev().start();
    let mut conversation = Conversation::on(&daemon.ready.state.join("status.sock"));
    for line in [
        r#"{"request":"client_disable","client":"reader"}"#,
        r#"{"request":"revoke","client":"reader"}"#,
        r#"{"request":"overlay_clear","client":"reader","force":true}"#,
        r#"{"request":"keys_rotate"}"#,
        r#"{"request":"clock_accept"}"#,
    ] {
        let answer = conversation.says(line);
        assert_eq!(answer["ok"], false, "{line}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.starts_with("this socket only looks"), "{error}");
    }
    for line in [
        r#"{"request":"status","expiring_seconds":1}"#,
        r#"{"request":"overlay_list"}"#,
        r#"{"request":"audit_lines","from":0,"max":0}"#,
        r#"{"request":"client","id":"reader"}"#,
        r#"{"request":"last_use"}"#,
    ] {
        assert_eq!(conversation.says(line)["ok"], true, "{line}");
    }
    // What is no request is no end either.
    let mut conversation = Conversation::on(&daemon.ready.state.join("admin.sock"));
    for line in [
        "",
        "{}",
        r#"{"request":"client_disable","client":"NO"}"#,
        r#"{"request":"client_disable","client":"a","reason":"\u0007"}"#,
        r#"{"request":"revoke"}"#,
        r#"{"request":"revoke","client":"a","jti":"b"}"#,
        r#"{"request":"revoke","jti":"b"}"#,
        r#"{"request":"overlay_clear"}"#,
        r#"{"request":"overlay_clear","entry":1,"client":"a"}"#,
        r#"{"request":"overlay_clear","entry":-1}"#,
    ] {
        assert_eq!(conversation.says(line)["ok"], false, "{line}");
    }
    assert!(Operator::of(&daemon).entries().is_empty());
}

/// What was there before: key commands too are on record with who gave them.
#[test]
fn commands_on_keys_are_on_record() {
    let deployment = Deployment::new();
    let daemon = deployment.serve();
    let listed = said(&deployment.keys(&["list", "--format", "json"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let active = listed["keys"].as_array().unwrap().iter();
    let active = active.filter(|key| key["state"] == "active");
    let kid = active
        .map(|key| key["kid"].as_str().unwrap())
        .next()
        .unwrap();
    said(&deployment.keys(&["rotate", "--compromised", kid]));
    let operator = Operator::of(&daemon);
    let recorded = operator.recorded("admin.keys_rotated");
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["data"]["compromised"], kid);
    assert_eq!(recorded[0]["subject"], kid);
    assert_eq!(
        recorded[0]["data"]["uid"],
        rustix::process::geteuid().as_raw()
    );
    // One that was refused did nothing.
    failed(&deployment.keys(&["accept-clock"]), 1);
    assert!(operator.recorded("admin.clock_accepted").is_empty());
}

#[test]
fn settings_that_would_let_in_the_wrong_ones_are_refused() {
    let refused = |settings: &str| {
        let deployment = Deployment::new();
        set_admin(&deployment, settings);
        deployment.refuse()
    };
    for (settings, words) in [
        (
            "mode = \"0666\"",
            "others never get a socket that changes things",
        ),
        ("mode = \"0770\"", "admin.mode = \"0770\""),
        ("status_mode = \"rw\"", "admin.status_mode = \"rw\""),
        ("group = \"a:b\"", "admin.group = \"a:b\""),
        (
            "group = \"no-such-group-here\"",
            "there is no group \"no-such-group-here\" in /etc/group",
        ),
        (
            "socket = \"a.sock\"\nstatus_socket = \"./a.sock\"",
            "needs a place of its own",
        ),
        (
            "socket = \"/nowhere/admin.sock\"",
            "cannot make the socket /nowhere/admin.sock: its folder is not there",
        ),
        ("socket = \"grantd.toml\"", "is there and is no socket"),
        ("user = \"root\"", "unknown field `user`"),
    ] {
        let said = refused(settings);
        assert!(said.contains(words), "{settings}: {said}");
    }
    let long = format!("socket = \"/{}\"", "a".repeat(110));
    assert!(refused(&long).contains("a socket's may have 103"));
}

/// Another daemon's socket is not taken away from it.
#[test]
fn a_socket_that_somebody_answers_on_is_left_alone() {
    let commons = Commons::new();
    let one = shared_sockets(&commons);
    let _daemon = one.serve();
    let other = shared_sockets(&commons);
    let said_why = other.refuse();
    assert!(
        said_why.contains("another process answers on"),
        "{said_why}"
    );
    said(&grantd(&[
        "status",
        "--socket",
        &commons.path("admin.sock"),
    ]));
}
