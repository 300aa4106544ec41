//! Problems as SARIF 2.1.0 (OASIS), which code scanners and editors read. Pure.

use serde_json::{Map, Value, json};

use super::places::Places;
use crate::cli::Io;
use crate::registry::diagnostic::{Problem, Rule, Severity};
use crate::registry::publish::{Refusal, Update};
use crate::registry::source::Place;

/// The schema that the log names, as its readers know it.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The root that paths are relative to: the repository's, by the name that readers give it.
const ROOT: &str = "%SRCROOT%";

/// Prints one log with one run.
pub(super) fn tell(places: &Places, update: &Update, io: &mut Io<'_>) -> std::io::Result<()> {
    let (problems, failure) = match update {
        Update::Applied(applied) => (applied.warnings.as_slice(), None),
        Update::Rejected(rejected) => match &rejected.why {
            Refusal::Load(error) => (&[][..], Some(error.to_string())),
            Refusal::Check(problems) => (problems.as_slice(), None),
        },
        Update::Moved(_) | Update::Held(_) => (&[][..], None),
    };
    writeln!(io.out, "{}", log(places, problems, failure.as_deref()))
}

fn log(places: &Places, problems: &[Problem], failure: Option<&str>) -> Value {
    let results = problems.iter().map(|problem| result(places, problem));
    let mut invocation = json!({ "executionSuccessful": failure.is_none() });
    if let (Some(why), Some(invocation)) = (failure, invocation.as_object_mut()) {
        let notification = json!({ "level": "error", "message": { "text": why } });
        invocation.insert(
            "toolExecutionNotifications".to_owned(),
            json!([notification]),
        );
    }
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "grantd",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": Rule::ALL.map(rule),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {
                ROOT: { "description": { "text": "The root of the repository." } },
            },
            "invocations": [invocation],
            "results": results.collect::<Vec<_>>(),
        }],
    })
}

fn rule(rule: Rule) -> Value {
    let level = match rule {
        Rule::NoCredential => "warning",
        _ => "error",
    };
    json!({
        "id": rule.id(),
        "shortDescription": { "text": rule.summary() },
        "help": { "text": "docs/registry.md of grantd has each table, key and limit." },
        "defaultConfiguration": { "level": level },
    })
}

fn result(places: &Places, problem: &Problem) -> Value {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let text = match &problem.advice {
        Some(advice) => format!("{}\nhelp: {advice}", problem.message),
        None => problem.message.clone(),
    };
    let mut result = Map::new();
    result.insert("ruleId".to_owned(), problem.rule.id().into());
    result.insert("ruleIndex".to_owned(), (problem.rule as usize).into());
    result.insert("level".to_owned(), level.into());
    result.insert("message".to_owned(), json!({ "text": text }));
    result.insert(
        "locations".to_owned(),
        json!([{ "physicalLocation": physical(places, &problem.place) }]),
    );
    if let Some(also) = &problem.also {
        let related = json!([{
            "id": 1,
            "physicalLocation": physical(places, &also.place),
            "message": { "text": also.label },
        }]);
        result.insert("relatedLocations".to_owned(), related);
    }
    Value::Object(result)
}

fn physical(places: &Places, place: &Place) -> Value {
    let uri = encode(&places.path(&place.file));
    // What was named by its full path is below no root.
    let artifact = if uri.starts_with('/') {
        json!({ "uri": format!("file://{uri}") })
    } else {
        json!({ "uri": uri, "uriBaseId": ROOT })
    };
    let Some(spot) = &place.spot else {
        return json!({ "artifactLocation": artifact });
    };
    let marked = spot.text.get(spot.mark.clone()).unwrap_or_default();
    json!({
        "artifactLocation": artifact,
        "region": {
            "startLine": spot.line,
            "startColumn": spot.column,
            "endColumn": spot.column + marked.chars().count(),
            "snippet": { "text": spot.text },
        },
    })
}

/// A path as a relative reference (RFC 3986 section 4.2): what may not stand in one is percent-encoded.
fn encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]
    use std::path::Path;

    use super::*;
    use crate::registry::source::Source;

    #[test]
    fn a_problem_has_its_rule_its_places_and_its_advice() {
        let source = Source::new("a b.toml", "x = \"é\"\nnmae = 1\n".as_bytes().to_vec());
        let problem = Problem::error(source.place(9..13), "unknown key")
            .rule(Rule::UnknownKey)
            .advise("did you mean `name`?")
            .also(source.place(0..1), "near this");
        let places = Places::of(Path::new("no/such"));
        let log = log(&places, &[problem], None);
        let result = &log["runs"][0]["results"][0];
        assert_eq!(result["ruleId"], "unknown-key");
        let at = result["ruleIndex"]
            .as_u64()
            .and_then(|at| usize::try_from(at).ok());
        let rules = &log["runs"][0]["tool"]["driver"]["rules"];
        assert_eq!(rules[at.unwrap_or(99)]["id"], "unknown-key");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "no/such/a%20b.toml");
        assert_eq!(place["region"]["startLine"], 2);
        assert_eq!(place["region"]["startColumn"], 1);
        assert_eq!(place["region"]["endColumn"], 5);
        assert_eq!(
            result["relatedLocations"][0]["message"]["text"],
            "near this"
        );
        assert_eq!(
            result["message"]["text"],
            "unknown key\nhelp: did you mean `name`?"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_run_that_failed() {
        let log = log(&Places::of(Path::new("x")), &[], Some("it does not exist"));
        let run = &log["runs"][0];
        assert_eq!(run["invocations"][0]["executionSuccessful"], false);
        assert_eq!(run["results"], json!([]));
    }
}
