//! A real Prometheus that scrapes daemons twice a second and evaluates the shipped alert rules, and
//! `promtool`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{eventually, repository, tool};

/// Longest start.
const START: Duration = Duration::from_secs(30);

/// Where the rules are.
const RULES: &str = "docs/alerts/grantd.rules.yml";

/// A Prometheus. Dropped, it is killed and its data removed.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

/// One rule as the file has it.
#[derive(Clone, Debug)]
pub struct Rule {
    pub alert: String,
    pub expr: String,
    pub hold: String,
    pub severity: String,
    pub runbook: String,
    pub texts: usize,
}

/// The text of the shipped rules.
pub fn rules_text() -> String {
    std::fs::read_to_string(repository(RULES)).unwrap()
}

/// The shipped rules.
pub fn rules() -> Vec<Rule> {
    let text = rules_text();
    let mut parts = text.split("- alert: ");
    parts.next();
    parts.map(rule).collect()
}

fn rule(text: &str) -> Rule {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        let value = line.unwrap_or_else(|| panic!("no {name} in {text}")).trim();
        value.trim_matches('\'').replace("''", "'")
    };
    Rule {
        alert: text.lines().next().unwrap().trim().to_owned(),
        expr: value("expr:"),
        hold: value("for:"),
        severity: value("severity:"),
        runbook: value("runbook:"),
        texts: value("summary:").len().min(value("description:").len()),
    }
}

/// The rules with their waits and windows shortened, and not a letter else: what takes minutes takes
/// seconds.
pub fn shortened() -> String {
    let mut text = String::new();
    for line in rules_text().lines() {
        let line = match line.split_once("for: ") {
            Some((before, _)) => format!("{before}for: 0s"),
            None => ["[5m]", "[15m]", "[1h]"]
                .iter()
                .fold(line.to_owned(), |line, window| line.replace(window, "[6s]")),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Runs `promtool` and returns what it said; it must succeed.
#[track_caller]
pub fn promtool(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program("promtool"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

fn program(name: &str) -> PathBuf {
    tool(&format!("prometheus/usr/bin/{name}"))
}

impl Prometheus {
    /// Scrapes these, by the shortened rules.
    pub fn watching(targets: &[SocketAddr]) -> Self {
        let folder = TempDir::new().unwrap();
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global:\n  scrape_interval: 500ms\n  scrape_timeout: 500ms\n  evaluation_interval: 500ms\n\
             rule_files: [rules.yml]\n\
             scrape_configs:\n  - job_name: grantd\n    static_configs:\n      - targets: {targets:?}\n"
        );
        std::fs::write(&config, text).unwrap();
        std::fs::write(folder.path().join("rules.yml"), shortened()).unwrap();
        let log = folder.path().join("log");
        let child = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut started = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            _folder: folder,
        };
        started.address = eventually("Prometheus listens", START, || {
            let text = std::fs::read_to_string(&log).ok()?;
            let (_, rest) = text.split_once("\"Listening on\" address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        eventually("Prometheus is ready", START, || {
            started
                .get("/-/ready")
                .starts_with("HTTP/1.0 200")
                .then_some(())
        });
        started
    }

    /// The alerts that fire for this daemon now.
    pub fn firing(&self, target: SocketAddr) -> Vec<String> {
        let answer = self.json("/api/v1/alerts");
        let mut firing: Vec<String> = answer["data"]["alerts"]
            .as_array()
            .unwrap_or_else(|| panic!("no alerts: {answer}"))
            .iter()
            .filter(|alert| alert["state"] == "firing")
            .filter(|alert| alert["labels"]["instance"] == target.to_string())
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect();
        firing.sort();
        firing.dedup();
        firing
    }

    /// Waits until this alert fires for this daemon.
    pub async fn fires(&self, target: SocketAddr, alert: &str) {
        super::eventually_async(&format!("{alert} fires"), START, async || {
            let fires = self.firing(target).iter().any(|name| name == alert);
            fires.then_some(())
        })
        .await;
    }

    /// How many evaluations of rules there were, and how many of them failed.
    pub fn evaluations(&self) -> (f64, f64) {
        let page = self.get("/metrics");
        let sum = |name: &str| {
            let lines = page.lines().filter(|line| line.starts_with(name));
            lines
                .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
                .sum::<f64>()
        };
        (
            sum("prometheus_rule_evaluations_total{"),
            sum("prometheus_rule_evaluation_failures_total{"),
        )
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        let (_, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// By HTTP/1.0, so that the answer ends with the connection.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// `promtool check metrics`: well-formed, and named by Prometheus' conventions.
#[track_caller]
pub fn check_metrics(page: &str) {
    let mut child = Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(page.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// Expressions that Prometheus can read: as the rules of a file.
#[track_caller]
pub fn parse(expressions: &[String]) {
    let folder = TempDir::new().unwrap();
    let rule = |(number, expression): (usize, &String)| {
        let quoted = expression.replace('\'', "''");
        format!("  - {{record: r{number}, expr: '{quoted}'}}\n")
    };
    let rules: String = expressions.iter().enumerate().map(rule).collect();
    let text = format!("groups:\n- name: g\n  rules:\n{rules}");
    std::fs::write(folder.path().join("rule.yml"), text).unwrap();
    promtool(&["check", "rules", "rule.yml"], folder.path());
}
