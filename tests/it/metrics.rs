//! The metrics page: `docs/metrics.md` lists what a daemon shows, no more and no less; names, types and
//! numbers are as Prometheus' conventions have them; the dashboard uses nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{BILLING, Grantd, NatsServer, Registry, eventually, prometheus, repository};

/// Longest until a change is served and shown.
const SOON: Duration = Duration::from_secs(20);

/// Suffixes of samples that are no metric of their own.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// A metric: its type, and the names of its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    kind: String,
    labels: BTreeSet<String>,
}

/// Has something that expires, so that the metrics of that are there.
const EXPIRING: &str = r#"
[client.brief]
name = "Ends one day"
owner = "team-fleet"
expires = 2999-01-01

[client.brief.grants]
billing = ["invoice:read"]

[[client.brief.secret]]
hash = "@brief.1"
created = 2026-01-01
expires = 2998-01-01
"#;

/// A daemon that has everything that is shown: a stream, a commit, expiries.
fn complete(nats: &NatsServer) -> Grantd {
    let registry = Registry::company().file("brief.toml", EXPIRING);
    let grantd = Grantd::dev().registry(registry).nats(&nats.url()).start();
    eventually("the stream is connected", SOON, || {
        (grantd.metric("grantd_ship_connected") == 1.0).then_some(())
    });
    grantd
}

/// The metrics of a page by the names that Prometheus stores: `_total`, `_info`, or none.
fn shown(page: &str) -> BTreeMap<String, Shape> {
    let mut kinds = BTreeMap::new();
    let mut found = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            kinds.insert(format!("{name}{suffix}"), kind.to_owned());
        } else if !line.starts_with('#') {
            let (name, labels) = sample(line);
            let plain = OF_HISTOGRAMS.iter().find_map(|end| name.strip_suffix(end));
            let name = plain
                .filter(|name| kinds.contains_key(*name))
                .unwrap_or(name);
            let kind = kinds.get(name).unwrap_or_else(|| panic!("no type: {line}"));
            let shape = found.entry(name.to_owned()).or_insert_with(|| Shape {
                kind: kind.clone(),
                labels: BTreeSet::new(),
            });
            shape
                .labels
                .extend(labels.into_iter().filter(|label| label != "le"));
        }
    }
    found
}

/// The name of a sample and the names of its labels.
fn sample(line: &str) -> (&str, Vec<String>) {
    let Some((name, rest)) = line.split_once('{') else {
        return (line.split_once(' ').unwrap().0, Vec::new());
    };
    let labels = rest.rsplit_once('}').unwrap().0;
    let names = labels
        .split(',')
        .filter_map(|label| label.split_once("=\""));
    (name, names.map(|(name, _)| name.to_owned()).collect())
}

/// What the table of `docs/metrics.md` lists, with the unit.
fn documented() -> BTreeMap<String, (Shape, String)> {
    let text = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{line}");
        let shape = Shape {
            kind: cells[1].to_owned(),
            labels: cells[3]
                .split(", ")
                .filter(|cell| !cell.is_empty())
                .map(|cell| cell.trim_matches('`').to_owned())
                .collect(),
        };
        assert!(cells[4].len() > 10, "a meaning: {line}");
        let name = cells[0].trim_matches('`').to_owned();
        let listed = found.insert(name, (shape, cells[2].to_owned()));
        assert!(listed.is_none(), "twice: {line}");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_documentation_list_the_same() {
    let nats = NatsServer::start();
    let grantd = complete(&nats);
    let page = grantd.monitor("/metrics").1;
    let (shown, documented) = (shown(&page), documented());
    for (name, shape) in &shown {
        let listed = documented.get(name);
        let (listed, unit) = listed.unwrap_or_else(|| panic!("{name} is not in docs/metrics.md"));
        assert_eq!(listed, shape, "{name} in docs/metrics.md");
        for (word, end) in [
            ("seconds", "seconds"),
            ("bytes", "bytes"),
            ("ratio", "ratio"),
        ] {
            let base = name.trim_end_matches("_total");
            assert_eq!(
                unit == word,
                base.ends_with(end),
                "the unit of {name}: {unit}"
            );
        }
    }
    for name in documented.keys() {
        assert!(shown.contains_key(name), "{name} is not on the page");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_as_promtool_wants_it() {
    let nats = NatsServer::start();
    let grantd = complete(&nats);
    let page = grantd.monitor("/metrics").1;
    assert!(page.ends_with("# EOF\n"));
    // promtool reads the older format, in which a counter's type stands with its whole name.
    let mut older = String::new();
    for line in page.lines().filter(|line| *line != "# EOF") {
        let fixed = match line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            Some((name, "counter")) => format!("# TYPE {name}_total counter"),
            Some((name, "info")) => format!("# TYPE {name}_info gauge"),
            _ => line.to_owned(),
        };
        let counted = page.lines().find_map(|other| {
            let name = other.strip_prefix("# TYPE ")?.strip_suffix(" counter")?;
            fixed
                .strip_prefix(&format!("# HELP {name} "))
                .map(|help| format!("# HELP {name}_total {help}"))
        });
        let infos = page.lines().find_map(|other| {
            let name = other.strip_prefix("# TYPE ")?.strip_suffix(" info")?;
            fixed
                .strip_prefix(&format!("# HELP {name} "))
                .map(|help| format!("# HELP {name}_info {help}"))
        });
        older.push_str(&counted.or(infos).unwrap_or(fixed));
        older.push('\n');
    }
    prometheus::check_metrics(&older);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_follow_what_happens() {
    let grantd = Grantd::dev().start();
    let denied = "grantd_tokens_denied_total{reason=\"wrong_secret\"}";
    assert_eq!(grantd.metric("grantd_tokens_issued_total"), 0.0);
    assert_eq!(grantd.metric(denied), 0.0);
    grantd
        .ask()
        .of("reader")
        .resource(BILLING)
        .send()
        .await
        .granted();
    let wrong = grantd
        .ask()
        .with_secret("reader", &crate::support::secret("writer", 1));
    wrong
        .resource(BILLING)
        .send()
        .await
        .refused(401, "invalid_client");
    assert_eq!(grantd.metric("grantd_tokens_issued_total"), 1.0);
    assert_eq!(grantd.metric(denied), 1.0);
    assert_eq!(
        grantd.metric("grantd_token_request_duration_seconds_count"),
        2.0
    );
    assert_eq!(grantd.metric("grantd_ready"), 1.0);
    assert!(grantd.metric("process_resident_memory_bytes") > 1e6);
    assert!(grantd.metric("process_open_fds") > 5.0);
    let retire = "grantd_key_next_step_timestamp_seconds{algorithm=\"ES256\",step=\"retire\"}";
    let month = grantd.metric(retire) - grantd.metric("process_start_time_seconds");
    assert!(
        (29.0 * 86_400.0..31.0 * 86_400.0).contains(&month),
        "{month}"
    );
    let version = format!(
        "grantd_build_info{{version=\"{}\"}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(grantd.metric(&version), 1.0);
    let digest = grantd.readyz()["digest"].as_str().unwrap().to_owned();
    assert_eq!(
        grantd.metric(&format!(
            "grantd_registry_info{{digest=\"{digest}\",commit=\"\",dirty=\"\"}}"
        )),
        1.0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn expiries_are_counted_without_the_disabled() {
    let registry = Registry::company().file("brief.toml", EXPIRING);
    let grantd = Grantd::dev().registry(registry).start();
    // Of the company: one client and one secret that expired in 2026.
    assert_eq!(
        grantd.metric("grantd_registry_expired{kind=\"client\"}"),
        1.0
    );
    assert_eq!(
        grantd.metric("grantd_registry_expired{kind=\"secret\"}"),
        1.0
    );
    assert_eq!(
        grantd.metric("grantd_registry_expiring{kind=\"client\"}"),
        0.0
    );
    let next = "grantd_registry_next_expiry_timestamp_seconds{kind=\"client\"}";
    // 2999-01-01 is the last day: until the midnight after it.
    assert_eq!(grantd.metric(next), 32_472_230_400.0);
    Registry::empty()
        .file(
            "brief.toml",
            &EXPIRING.replace("expires = 2999", "disabled = true\nexpires = 2999"),
        )
        .write(&grantd.registry());
    eventually("the disabled client is left out", SOON, || {
        (!grantd.monitor("/metrics").1.contains(next)).then_some(())
    });
}

/// Clients of a registry that is large for one daemon.
const MANY: usize = 20_000;

/// Of them in one file.
const IN_A_FILE: usize = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_costs_the_same_whatever_the_number_of_clients() {
    use std::fmt::Write as _;
    let mut clients = vec![String::new(); MANY / IN_A_FILE];
    for number in 0..MANY {
        let expires = 2100 + number % 800;
        write!(
            clients[number / IN_A_FILE],
            "[client.c{number}]\nname = \"c\"\nowner = \"team-fleet\"\nexpires = {expires}-01-01\n\
             grants = {{ plain = [] }}\n"
        )
        .unwrap();
    }
    let files = clients.iter().enumerate();
    let registry = files.fold(Registry::company(), |registry, (number, file)| {
        registry.file(&format!("many-{number}.toml"), file)
    });
    let large = Grantd::dev().registry(registry).start();
    let small = Grantd::dev().start();
    assert!(large.metric("grantd_registry_clients") > 20_000.0);
    // The fastest of some, so that a busy machine tells nothing of it.
    let fastest = |grantd: &Grantd| {
        let scrape = || {
            let start = Instant::now();
            grantd.monitor("/metrics");
            start.elapsed()
        };
        (0..20).map(|_| scrape()).min().unwrap()
    };
    let (few, many) = (fastest(&small), fastest(&large));
    assert!(
        many < few * 2 + Duration::from_millis(2),
        "{few:?} and {many:?}"
    );
}

/// The names of metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c| !word(c)).map(str::to_owned);
    words
        .filter(|word| word.starts_with("grantd_") || word.starts_with("process_"))
        .collect()
}

fn exists(name: &str, listed: &BTreeMap<String, (Shape, String)>) -> bool {
    let base = OF_HISTOGRAMS.iter().find_map(|end| name.strip_suffix(end));
    let of_histogram = base.and_then(|base| listed.get(base));
    listed.contains_key(name) || of_histogram.is_some_and(|(shape, _)| shape.kind == "histogram")
}

#[test]
fn rules_and_dashboard_use_only_metrics_that_there_are() {
    let listed = documented();
    for rule in prometheus::rules() {
        for name in names(&rule.expr) {
            assert!(exists(&name, &listed), "{}: no metric {name}", rule.alert);
        }
    }
    let text = std::fs::read_to_string(repository("docs/grafana/grantd.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    assert!(
        dashboard["schemaVersion"]
            .as_u64()
            .is_some_and(|version| version >= 36)
    );
    assert!(dashboard["uid"].is_string() && dashboard["title"].is_string());
    let (mut used, mut ids, mut expressions) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id stands twice"
        );
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| text.len() > 20),
            "{title}: a description"
        );
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}: a unit"
        );
        assert!(
            panel["gridPos"]["w"]
                .as_u64()
                .is_some_and(|width| width <= 24),
            "{title}: a place"
        );
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}: something to show");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            let found = names(expression);
            assert!(!found.is_empty(), "{title}: {expression}");
            for name in found {
                assert!(exists(&name, &listed), "{title}: no metric {name}");
                used.insert(name);
            }
            let filled = expression.replace("$instance", ".*");
            expressions.push(filled.replace("$__rate_interval", "1m"));
        }
    }
    prometheus::parse(&expressions);
    assert!(used.len() > 40, "a dashboard shows most: {}", used.len());
}
