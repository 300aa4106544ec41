//! What the daemon has recorded: the lines of its journal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::{Answer, Grantd, eventually};

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
