//! What the daemon has recorded: the lines of its journal.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Answer, Grantd, eventually, repository, tool};

/// Longest until a refusal's event is on disk: its answer does not wait for it.
const RECORDED: Duration = Duration::from_secs(5);

/// The whole lines of the journal below this state folder, in their order, parsed.
pub fn events(state: &Path) -> Vec<Value> {
    let mut segments = Vec::new();
    segments_below(state, &mut segments);
    segments.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    let mut lines = Vec::new();
    for segment in segments {
        let text = std::fs::read_to_string(segment).unwrap_or_default();
        for line in text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            lines.push(serde_json::from_str(line).expect("a line of the journal is JSON"));
        }
    }
    lines
}

/// The events of the request that got this answer; at least one, soon.
pub fn events_of(grantd: &Grantd, answer: &Answer) -> Vec<Value> {
    let id = answer.request_id();
    eventually("the request's event", RECORDED, || {
        let found: Vec<_> = events(&grantd.ready.state)
            .into_iter()
            .filter(|event| event["data"]["request_id"] == id)
            .collect();
        (!found.is_empty()).then_some(found)
    })
}

/// Runs a program of tests/interop with this on its standard input.
pub fn python(script: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(tool("venv/bin/python"))
        .arg(repository("tests/interop").join(script))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || {
        let _early_end = std::io::Write::write_all(&mut pipe, &input);
    });
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

fn segments_below(folder: &Path, segments: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            segments_below(&path, segments);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            segments.push(path);
        }
    }
}
