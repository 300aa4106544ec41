//! What editors and code hosts get: the JSON Schema, in a real language server of TOML and in a validator of its
//! draft; SARIF by its official schema; annotations.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{WorkTree, failed, grantd, python, repository, said, tool};

/// Refused registries whose fault an editor sees while it is typed.
const SEEN: [&str; 8] = [
    "algorithm",
    "hash-cut",
    "hash-missing",
    "later-tables",
    "names",
    "secret-in-clear-hash",
    "types",
    "unknown-key",
];

/// Refused registries each of whose files is right by itself: only `grantd check` sees them together.
const UNSEEN: [&str; 6] = [
    "identifier-twice",
    "lifetime-above-policy",
    "name-twice-two-files",
    "policy-twice",
    "undefined-resource",
    "undefined-scope",
];

/// The schema as `grantd schema` prints it, in a folder of its own.
fn schema() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("registry.schema.json");
    fs::write(&path, said(&grantd(&["schema"]))).unwrap();
    (folder, path)
}

/// The registry files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Taplo, which is the language server behind most editors' support of TOML, with these arguments.
fn taplo(folder: &Path, arguments: &[&str]) -> Output {
    let program = repository("tests/interop/node/node_modules/@taplo/cli/dist/cli.js");
    assert!(program.exists(), "run `tests/all --tools` once");
    Command::new(tool("path/node"))
        .arg(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// The files that taplo finds invalid.
fn invalid_by_taplo(schema: &Path, files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let schema = format!("file://{}", schema.display());
    let mut line = vec!["check", "--no-auto-config", "--schema", &schema];
    line.extend(files.iter().map(|file| file.to_str().unwrap()));
    let output = taplo(Path::new("/"), &line);
    let words = String::from_utf8(output.stderr).unwrap();
    let count = format!("total={}", files.len());
    assert!(words.contains(&count), "it looked at all of them: {words}");
    let invalid: BTreeSet<PathBuf> = words
        .lines()
        .filter(|line| line.contains("schema validation failed"))
        .filter_map(|line| line.split("path=\"").nth(1)?.split('"').next())
        .map(PathBuf::from)
        .collect();
    assert_eq!(output.status.success(), invalid.is_empty(), "{words}");
    invalid
}

/// The files that a validator of draft 2020-12 finds invalid.
fn invalid_by_jsonschema(schema: &Path, files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut line = vec![schema.to_str().unwrap()];
    line.extend(files.iter().map(|file| file.to_str().unwrap()));
    let output = python("registry_schema.py", &line, b"");
    let told = String::from_utf8(output.stdout).unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(told.lines().count(), files.len(), "{told}{words}");
    told.lines()
        .filter_map(|line| line.strip_prefix("invalid ")?.split(':').next())
        .map(PathBuf::from)
        .collect()
}

#[test]
fn what_is_accepted_is_valid_in_a_language_server_and_in_a_validator() {
    let (_folder, schema) = schema();
    let mut all = files(&repository("tests/fixtures/registry/accepted"));
    all.extend(files(&repository("registry.d")));
    for case in UNSEEN {
        all.extend(files(
            &repository("tests/fixtures/registry/refused").join(case),
        ));
    }
    assert!(all.len() > 25, "{all:?}");
    let none = BTreeSet::new();
    assert_eq!(invalid_by_taplo(&schema, &all), none);
    assert_eq!(invalid_by_jsonschema(&schema, &all), none);
}

#[test]
fn wrong_keys_types_and_forms_are_marked_while_they_are_typed() {
    let (_folder, schema) = schema();
    let mut all = Vec::new();
    for case in SEEN {
        all.extend(files(
            &repository("tests/fixtures/registry/refused").join(case),
        ));
    }
    let taplo = invalid_by_taplo(&schema, &all);
    assert_eq!(taplo, invalid_by_jsonschema(&schema, &all));
    for case in SEEN {
        let seen = taplo
            .iter()
            .any(|file| file.to_str().unwrap().contains(&format!("/{case}/")));
        assert!(seen, "{case}");
    }
}

/// Values of each form, and whether the schema takes them. What `grantd check` accepts, it must.
const VALUES: [(&str, &[&str], &[&str]); 8] = [
    (
        "[resource.r]\nidentifier = \"urn:x\"\ntoken_lifetime = \"@\"\n",
        &["90s", "15m", "1h", "59m59s", "1h0m"],
        &["", "15", "-5m", "1.5h", "15 m", "5M", "m5"],
    ),
    (
        "[resource.r]\nidentifier = \"@\"\n",
        &[
            "urn:x",
            "https://a.example/b?c=d",
            "a+b-c.d:e",
            "https://[::1]/",
        ],
        &[
            "",
            "billing",
            "/billing",
            "https://a/#x",
            "https://a/b c",
            "https://é.example",
        ],
    ),
    (
        "[resource.\"@\"]\nidentifier = \"urn:x\"\n",
        &["a", "0", "nightly-invoices", "ci.deploy_7"],
        &[
            "Nightly",
            "-a",
            "a.",
            "a b",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ],
    ),
    (
        "[resource.r]\nidentifier = \"urn:x\"\nowner = \"@\"\n",
        &["team-billing", "@acme/team-billing", "Zoë"],
        &["", " "],
    ),
    (
        "[resource.r]\nidentifier = \"urn:x\"\nscopes = { '@' = \"Something\" }\n",
        &["a", "invoice:read", "https://a.example/b", "!#$%&", "~[]"],
        &["", "a b", "a\\b", "a\"b", "é"],
    ),
    (
        "[resource.r]\nidentifier = \"urn:x\"\nalgorithm = \"@\"\n",
        &["ES256"],
        &["", "es256", "HS256", "none"],
    ),
    (
        "[resource.r]\nidentifier = \"urn:x\"\nclaims = { x = @ }\n",
        &["1", "1.5", "true", "\"a\"", "[1, [2]]", "{ a = { b = 1 } }"],
        &[],
    ),
    (
        "[resource.r]\nidentifier = \"urn:x\"\n\n[client.c]\ngrants.r = []\nexpires = @\n",
        &[
            "2027-06-30",
            "2027-06-30T12:00:00Z",
            "2027-06-30 12:00:00Z",
            "2027-06-30T12:00:00.5+02:00",
        ],
        &["7", "true", "\"soon\"", "2027-06-30T12:00:00", "12:00:00"],
    ),
];

#[test]
fn no_value_is_marked_that_check_accepts() {
    let (folder, schema) = schema();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (number, (text, right, wrong)) in VALUES.iter().enumerate() {
        for (kind, values, into) in [("right", right, &mut good), ("wrong", wrong, &mut bad)] {
            for (at, value) in values.iter().enumerate() {
                let case = folder.path().join(format!("{number}-{kind}-{at}"));
                fs::create_dir(&case).unwrap();
                let file = case.join("a.toml");
                fs::write(&file, text.replace('@', value)).unwrap();
                into.push(file);
            }
        }
    }
    for file in good.iter().chain(&bad) {
        let folder = file.parent().unwrap().display().to_string();
        let accepted = grantd(&["check", &folder]).status.success();
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(accepted, good.contains(file), "{text}");
    }
    let all: Vec<PathBuf> = good.iter().chain(&bad).cloned().collect();
    let expected: BTreeSet<PathBuf> = bad.into_iter().collect();
    assert_eq!(invalid_by_taplo(&schema, &all), expected);
    assert_eq!(invalid_by_jsonschema(&schema, &all), expected);
}

#[test]
fn the_schema_describes_every_key() {
    let text = said(&grantd(&["schema", "--format", "json"]));
    assert_eq!(text.lines().count(), 1);
    let schema: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let mut open = vec![(String::new(), &schema)];
    let mut keys = 0;
    while let Some((place, schema)) = open.pop() {
        if let Some(properties) = schema["properties"].as_object() {
            assert_eq!(schema["additionalProperties"], false, "{place}");
            for (key, schema) in properties {
                let words = schema["description"].as_str().unwrap_or_default();
                assert!(
                    words.len() > 10 && words.ends_with('.'),
                    "{place}.{key}: {words:?}"
                );
                keys += 1;
                open.push((format!("{place}.{key}"), schema));
            }
        }
        for inner in ["additionalProperties", "items"] {
            open.extend(schema.get(inner).map(|it| (format!("{place}.{inner}"), it)));
        }
    }
    assert!(keys >= 25, "{keys}");
    let client = &schema["properties"]["client"]["additionalProperties"];
    assert_eq!(client["required"], serde_json::json!(["grants"]));
}

/// The ready file for editors, and the formatter that `docs/gitops.md` names.
#[test]
fn the_example_is_valid_and_formatted_by_the_ready_settings_of_taplo() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    fs::copy(
        repository("docs/gitops/taplo.toml"),
        root.join(".taplo.toml"),
    )
    .unwrap();
    fs::write(
        root.join("registry.schema.json"),
        said(&grantd(&["schema"])),
    )
    .unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(repository("registry.d"))
        .arg(root)
        .status();
    assert!(copied.unwrap().success());
    for line in [&["check"][..], &["fmt", "--check"]] {
        let output = taplo(root, line);
        let words = [output.stdout.as_slice(), &output.stderr].concat();
        let words = String::from_utf8(words).unwrap();
        assert!(output.status.success(), "{line:?}: {words}");
        assert!(!words.contains("total=0"), "{line:?}: {words}");
    }
    fs::write(root.join("registry.d/bad.toml"), "[client.x]\nnmae = 1\n").unwrap();
    assert!(!taplo(root, &["check"]).status.success());
}

/// A work tree with a refused registry two folders down.
fn refused_in_git(case: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let registry = folder.path().join("deploy/registry.d");
    fs::create_dir_all(registry.parent().unwrap()).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(repository("tests/fixtures/registry/refused").join(case))
        .arg(&registry)
        .status();
    assert!(copied.unwrap().success());
    WorkTree::new(folder.path()).commit("a registry");
    (folder, registry)
}

fn check(folder: &Path, format: &str) -> Output {
    grantd(&["check", "--format", format, &folder.display().to_string()])
}

/// A SARIF log that keeps to the official schema of SARIF 2.1.0.
fn sarif(output: &Output) -> Value {
    let schema = "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json";
    let schema = repository("tests/interop/node").join(schema);
    let schema = schema.to_str().unwrap();
    assert_eq!(
        said(&python("json_schema.py", &[schema], &output.stdout)),
        "valid\n"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn sarif_keeps_to_its_schema_and_names_files_from_the_root() {
    let (_folder, registry) = refused_in_git("name-twice-two-files");
    let output = check(&registry, "sarif");
    failed(&output, 3);
    let log = sarif(&output);
    let run = &log["runs"][0];
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], "duplicate", "{log}");
    assert_eq!(result["level"], "error");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(
        place["artifactLocation"]["uri"],
        "deploy/registry.d/b/c.toml"
    );
    assert_eq!(place["artifactLocation"]["uriBaseId"], "%SRCROOT%");
    let related = &result["relatedLocations"][0]["physicalLocation"];
    assert_eq!(
        related["artifactLocation"]["uri"],
        "deploy/registry.d/a.toml"
    );
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);

    let output = check(&repository("registry.d"), "sarif");
    said(&output);
    assert_eq!(sarif(&output)["runs"][0]["results"], serde_json::json!([]));
    let output = check(&registry.join("gone"), "sarif");
    failed(&output, 1);
    let log = sarif(&output);
    assert_eq!(
        log["runs"][0]["invocations"][0]["executionSuccessful"],
        false
    );
}

/// Every problem of every fixture, in each format: the same rules, the same places, the same words.
#[test]
fn the_formats_say_the_same() {
    let mut rules = BTreeSet::new();
    for entry in fs::read_dir(repository("tests/fixtures/registry/refused")).unwrap() {
        let folder = entry.unwrap().path();
        let output = check(&folder, "json");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let problems = told["problems"].as_array().unwrap();
        let log = sarif(&check(&folder, "sarif"));
        let results = log["runs"][0]["results"].as_array().unwrap();
        let lines = String::from_utf8(check(&folder, "github").stdout).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(results.len(), problems.len(), "{}", folder.display());
        assert_eq!(lines.len(), problems.len(), "{}", folder.display());
        for ((problem, result), line) in problems.iter().zip(results).zip(lines) {
            let rule = problem["rule"].as_str().unwrap();
            rules.insert(rule.to_owned());
            assert_eq!(result["ruleId"], rule);
            let message = problem["message"].as_str().unwrap();
            assert!(
                result["message"]["text"]
                    .as_str()
                    .unwrap()
                    .starts_with(message)
            );
            let region = &result["locations"][0]["physicalLocation"]["region"];
            assert_eq!(region["startLine"], problem["line"]);
            assert_eq!(region["startColumn"], problem["column"]);
            assert!(line.starts_with("::error file="), "{line}");
            assert!(line.contains(&format!(",title=grantd {rule}::")), "{line}");
            if let Some(at) = problem["line"].as_u64() {
                assert!(
                    line.contains(&format!(",line={at},col={}", problem["column"])),
                    "{line}"
                );
            }
        }
    }
    // Each rule but those of warnings and of folders has a fixture.
    let expected = [
        "duplicate",
        "encoding",
        "invalid-value",
        "missing-key",
        "policy",
        "secret-in-clear",
        "syntax",
        "undefined-reference",
        "unknown-key",
        "wrong-type",
    ];
    let expected: BTreeSet<String> = expected.map(str::to_owned).into();
    assert_eq!(rules, expected);
}

#[test]
fn annotations_name_files_from_the_root_and_warn_of_dates() {
    let (_folder, registry) = refused_in_git("unknown-key");
    let output = check(&registry, "github");
    failed(&output, 3);
    let lines = String::from_utf8(output.stdout).unwrap();
    let unknown = |line: &&str| line.contains(",title=grantd unknown-key::unknown key ");
    let line = lines.lines().find(unknown).expect("an unknown key");
    let place = "::error file=deploy/registry.d/all.toml,line=";
    assert!(line.starts_with(place), "{line}");
    assert!(line.contains("%0Ahelp: did you mean"), "{line}");
    let gone = check(&registry.join("gone"), "github");
    failed(&gone, 1);
    let line = String::from_utf8(gone.stdout).unwrap();
    assert!(
        line.starts_with("::error title=grantd registry::"),
        "{line}"
    );
    let example = repository("registry.d").display().to_string();
    let line = [
        "check",
        "--format",
        "github",
        "--expiring",
        "3650d",
        &example,
    ];
    let lines = said(&grantd(&line));
    assert!(lines.lines().count() > 5, "{lines}");
    let all = |words: &str| lines.lines().all(|line| line.starts_with(words));
    assert!(all("::warning title=grantd expiry::"), "{lines}");
}
