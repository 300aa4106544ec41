//! The settings file that `grantd init` writes says what it does. Pure.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use super::{Settings, check, file};

/// As `grantd init` writes it, with its places filled in.
fn template() -> String {
    include_str!("../cli/init/grantd.toml")
        .replace("@ISSUER@", "https://auth.example.com")
        .replace("@INSTANCE@", "auth-1")
        .replace("@LISTEN@", "0.0.0.0:8443")
        .replace("@CERTIFICATE@", "tls/certificate.pem")
        .replace("@KEY@", "tls/key.pem")
        .replace("@REGISTRY@", "registry.d")
        .replace("@STATE@", "state")
        .replace("@ALGORITHMS@", "\"ES256\"")
}

/// On a machine with as many processors as the template says workers.
fn settings(text: &str) -> Settings {
    judged(text).unwrap()
}

fn judged(text: &str) -> Result<Settings, Vec<String>> {
    let file: file::File = toml::from_str(text).unwrap();
    let surroundings = check::Surroundings {
        base: Path::new("/etc/grantd"),
        processors: 2,
        credentials: Path::new("/run/credentials/grantd.service"),
    };
    check::check(file, &surroundings)
}

/// Takes the `# ` off each setting that is commented out and has a default. `[audit.nats]` has none, and
/// neither has a sealing key or a group of a socket.
fn uncommented(text: &str) -> (String, usize) {
    let mut count = 0;
    let mut in_nats = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        in_nats = line == "# [audit.nats]" || (in_nats && !line.starts_with('['));
        let bare = line.strip_prefix("# ").filter(|bare| is_setting(bare));
        let examples = ["sealing_key_file", "group", "status_group"];
        let example = |bare: &str| examples.iter().any(|name| bare.starts_with(name));
        let chosen = bare.filter(|bare| !in_nats && !example(bare));
        count += usize::from(chosen.is_some());
        lines.push(chosen.unwrap_or(line));
    }
    (lines.join("\n"), count)
}

fn is_setting(line: &str) -> bool {
    let name = line.split_once(" = ").map(|(name, _)| name);
    name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

#[test]
fn what_is_commented_out_in_the_template_is_the_default() {
    let bare = template();
    let (whole, count) = uncommented(&bare);
    assert!(count > 25, "{count} settings: {whole}");
    let (bare, whole) = (settings(&bare), settings(&whole));
    assert_eq!(format!("{bare:#?}"), format!("{whole:#?}"));
}

#[test]
fn each_setting_that_is_known_is_in_the_template() {
    let template = template();
    let known = include_str!("file.rs");
    let fields = known.lines().filter_map(|line| {
        let rest = line.trim().strip_prefix("pub(super) ")?;
        rest.split_once(": ").map(|(name, _)| name)
    });
    let mut count = 0;
    for field in fields {
        let there = template.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{field} = ")) || line == format!("[{field}]")
        }) || template.contains(&format!("[audit.{field}]"))
            || template.contains(&format!("{{ {field} = "))
            || template.contains(&format!(", {field} = "));
        assert!(there, "{field} is not in the template");
        count += 1;
    }
    assert!(count > 50, "{count} fields");
}

#[test]
fn limits_that_make_each_other_void_are_refused_together() {
    let refused = |lines: &str| {
        let text = format!("{}\n{lines}", template().replace("[limits]", ""));
        judged(&text).unwrap_err()
    };
    let problems = refused(
        "[limits]\nbody_time = \"30s\"\nconnections = 10\nconnections_per_address = 11\n\
         idle_time = \"5s\"\nmax_age = \"4s\"",
    );
    assert_eq!(problems.len(), 5, "{problems:#?}");
    let first = "limits.body_time = 30s is more than limits.request_time = 20s, and would never be reached: \
                 set one of them";
    assert!(
        problems.iter().any(|problem| problem == first),
        "{problems:#?}"
    );
    let problems = refused("[limits]\nmax_age = \"8d\"\nfailures_per_minute = 0");
    assert_eq!(problems.len(), 2, "{problems:#?}");
}

#[test]
fn few_connections_have_room_for_all_their_streams() {
    let few = "[limits]\nconnections = 10\nconnections_per_address = 10\n";
    let text = template().replace("[limits]\n", few);
    assert_eq!(settings(&text).http.in_flight, 1024);
    assert_eq!(settings(&template()).http.in_flight, 20_000);
}
