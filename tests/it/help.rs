//! What a newcomer learns from the program itself: help, manual pages, completions.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{failed, grantd, said};

/// Commands that only hold others.
const GROUPS: [&str; 7] = [
    "", "client", "secret", "keys", "audit", "overlay", "registry",
];

/// Widest line behind the options: people have narrow windows too.
const WIDEST: usize = 80;

/// A program that `tests/all` installs.
fn program(name: &str, package: &str) -> Command {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .any(|folder| folder.join(name).is_file());
    assert!(
        found,
        "{name} is missing: install the package {package} (tests/all does)"
    );
    Command::new(name)
}

/// The names of all commands, each with its words: "audit tail".
fn commands() -> Vec<String> {
    let mut open = vec![String::new()];
    let mut found = Vec::new();
    while let Some(command) = open.pop() {
        let text = help(&command);
        if let Some((_, names)) = text.split_once("\nCommands:\n") {
            let lines = names.lines().take_while(|line| line.starts_with("  "));
            let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
            for name in names.filter(|name| !name.is_empty() && *name != "help") {
                open.push(format!("{command} {name}").trim().to_owned());
            }
        }
        found.push(command);
    }
    found
}

fn help(command: &str) -> String {
    let mut line: Vec<&str> = command.split_whitespace().collect();
    line.push("--help");
    said(&grantd(&line))
}

fn words(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn every_command_teaches_by_examples_and_names_its_exit_codes() {
    for command in commands() {
        let text = help(&command);
        assert!(text.contains("\nExamples:\n  grantd"), "{command}: {text}");
        if !GROUPS.contains(&command.as_str()) {
            assert!(text.contains("\nExit codes:\n  0  "), "{command}: {text}");
            let usage = match command.as_str() {
                // There, 2 says that there are changes.
                "plan" => "\n  1  failed, or the arguments are wrong",
                _ => "\n  2  the arguments are wrong",
            };
            assert!(text.contains(usage), "{command}: {text}");
        }
        // A line that is longer is broken where it should not be.
        let (_, behind) = text.split_once("\nExamples:\n").unwrap();
        let widest = behind.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(WIDEST), "{command}: {widest:?}");
        let first = text.lines().next().unwrap();
        let verb = first.split([' ', ',']).next().unwrap();
        assert!(
            command.is_empty() || verb.ends_with('s'),
            "{command}: {first}"
        );
    }
}

/// Each example is a line that the program would take: its words parse.
#[test]
fn every_example_is_one_that_parses() {
    let mut tried = 0;
    for command in commands() {
        let text = help(&command).replace("\\\n      ", "");
        for line in text.lines() {
            let Some(line) = line.strip_prefix("  grantd ") else {
                continue;
            };
            // Not those that leave something out, nor those that serve.
            let name = line.split_whitespace().next().unwrap_or_default();
            if line.contains('…') || line.contains("COMMAND") || matches!(name, "serve" | "dev") {
                continue;
            }
            let line = line.split(['>', '<', '|', '&']).next().unwrap();
            // What stands far to the right explains it.
            let line = line
                .split("    ")
                .find(|part| !part.trim().is_empty())
                .unwrap();
            let line = line.split("   (").next().unwrap();
            let line = match line.split_once("   ") {
                Some((line, rest)) if !rest.trim_start().starts_with('-') => line,
                _ => line,
            };
            let values = [
                ("URL", "https://localhost:1"),
                ("URI", "urn:x"),
                ("KID", &"A".repeat(43)),
                ("HASH", &"a".repeat(64)),
            ];
            let arguments: Vec<String> = line
                .split_whitespace()
                .map(|word| {
                    let value = values.iter().find(|(name, _)| *name == word);
                    value.map_or(word, |(_, value)| value).to_owned()
                })
                .collect();
            let folder = TempDir::new().unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_grantd"))
                .args(rooted(&arguments, folder.path()))
                .current_dir(folder.path())
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap();
            let words = words(&output);
            assert_ne!(output.status.code(), Some(2), "{arguments:?}: {words}");
            // Wrong arguments of `plan` are a 1; help has its usage anyhow.
            let wrong = words.contains("\nUsage: ") && !arguments.iter().any(|it| it == "--help");
            assert!(!wrong, "{arguments:?}: {words}");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

/// No example of a test writes outside of its folder.
fn rooted(arguments: &[String], folder: &Path) -> Vec<String> {
    let below = |argument: &String| match argument.strip_prefix('/') {
        Some(rest) => folder.join(rest).display().to_string(),
        None => argument.replace("example.com", "localhost:1"),
    };
    arguments.iter().map(below).collect()
}

#[test]
fn exit_codes_are_documented_in_one_place_too() {
    let page = std::fs::read_to_string(crate::support::repository("docs/cli.md")).unwrap();
    for command in commands() {
        assert!(
            page.contains(&format!("`grantd {command}`").replace(" `", "`")),
            "{command}"
        );
    }
    let whole = help("");
    let (_, codes) = whole.split_once("Exit codes:\n").unwrap();
    for code in codes.lines().take_while(|line| line.starts_with("  ")) {
        let code = code.trim().split(' ').next().unwrap();
        if code.parse::<u8>().is_ok() {
            assert!(page.contains(&format!("| {code} |")), "{code}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page_that_renders() {
    let folder = TempDir::new().unwrap();
    let dir = folder.path().join("man1");
    let written = said(&grantd(&["man", "--dir", &dir.display().to_string()]));
    let commands = commands();
    assert_eq!(written.lines().count(), commands.len(), "{written}");
    for command in commands {
        let name = format!("grantd {command}").trim().replace(' ', "-");
        let page = dir.join(format!("{name}.1"));
        let lint = program("mandoc", "mandoc")
            .args(["-T", "lint", "-W", "warning"])
            .arg(&page)
            .output();
        let lint = words(&lint.unwrap());
        // A date would make two builds of one source differ.
        let findings: Vec<&str> = lint
            .lines()
            .filter(|line| !line.contains("missing date"))
            .collect();
        assert!(findings.is_empty(), "{name}: {findings:#?}");
        let text = program("mandoc", "mandoc")
            .args(["-T", "ascii", "-O", "width=100"])
            .arg(&page)
            .output();
        // Bold is printed by striking twice.
        let text = said(&text.unwrap()).replace('\u{8}', "");
        for section in ["NNAAMMEE", "SSYYNNOOPPSSIISS", "EEXXAAMMPPLLEESS"] {
            assert!(text.contains(section), "{name}: {text}");
        }
        let mut man = program("man", "man-db");
        let shown = man
            .args(["--warnings", "-l"])
            .arg(&page)
            .env("MANWIDTH", "100")
            .output()
            .unwrap();
        assert!(said(&shown).contains(&name.to_uppercase()), "{name}");
        assert!(shown.stderr.is_empty(), "{name}: {}", words(&shown));
    }
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let said = failed(
        &grantd(&["man", "--dir", &blocked.display().to_string()]),
        1,
    );
    assert!(said.contains("cannot write"), "{said}");
}

/// The completions of a shell, in a file.
fn completions(shell: &str, folder: &TempDir) -> String {
    let path = folder.path().join(format!("_grantd.{shell}"));
    std::fs::write(&path, said(&grantd(&["completions", shell]))).unwrap();
    path.display().to_string()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let folder = TempDir::new().unwrap();
    let script = completions("bash", &folder);
    let bash = |line: &str| said(&program("bash", "bash").args(["-c", line]).output().unwrap());
    bash(&format!("bash -n {script}"));
    let complete = |words: &str| {
        let count = words.split(' ').count();
        let last = words.rsplit(' ').next().unwrap();
        let before = words.rsplit(' ').nth(1).unwrap();
        bash(&format!(
            "source {script}; complete -p grantd; COMP_WORDS=({words}); [ -n '{last}' ] || COMP_WORDS+=(''); \
             COMP_CWORD={}; _grantd grantd '{last}' '{before}'; echo \"${{COMPREPLY[@]}}\"",
            count - 1
        ))
    };
    let found = complete("grantd to");
    assert!(
        found.contains(" -F _grantd grantd\n") && found.ends_with("\ntoken\n"),
        "{found}"
    );
    let found = complete("grantd token --cl");
    assert!(found.ends_with("\n--client-id\n"), "{found}");
    let found = complete("grantd token --format ");
    assert!(found.ends_with("\ntoken header json\n"), "{found}");
    let found = complete("grantd audit v");
    assert!(found.ends_with("\nverify\n"), "{found}");
}

#[test]
fn fish_completes_commands_options_and_values() {
    let folder = TempDir::new().unwrap();
    let script = completions("fish", &folder);
    let complete = |line: &str| {
        let line = format!("source {script}; complete -C '{line}'");
        let mut fish = program("fish", "fish");
        fish.env("HOME", folder.path())
            .args(["--no-config", "-c", &line]);
        let output = fish.output().unwrap();
        assert!(output.stderr.is_empty(), "{}", words(&output));
        said(&output)
    };
    assert!(complete("grantd tok").starts_with("token\t"));
    assert!(complete("grantd token --cl").starts_with("--client-id\t"));
    assert!(complete("grantd token --format he").starts_with("header\t"));
    assert!(complete("grantd audit ver").starts_with("verify\t"));
}

#[test]
fn zsh_completes_commands_options_and_values() {
    let folder = TempDir::new().unwrap();
    std::fs::rename(completions("zsh", &folder), folder.path().join("_grantd")).unwrap();
    let home = folder.path().display().to_string();
    // A shell within a shell: only an interactive one completes.
    let complete = |line: &str, expected: &str| {
        let script = format!(
            "zmodload zsh/zpty; zpty shell 'PS1= ZDOTDIR={home} TERM=dumb zsh -f -i'
             zpty -w shell 'PS1=; unsetopt zle_bracketed_paste 2>/dev/null; fpath=({home} $fpath); autoload -U compinit; compinit -u -D; echo up''-and-ready'
             zpty -r shell text '*up-and-ready*'
             zpty -w -n shell '{line}'$'\\t'
             zpty -r shell text '*{expected}*' && print -r -- found"
        );
        let mut zsh = program("timeout", "coreutils");
        zsh.args(["20", "zsh", "-f", "-c", &script])
            .env("HOME", folder.path());
        program("zsh", "zsh");
        let output = zsh.output().unwrap();
        let text = words(&output);
        assert!(text.contains("found"), "{line}: {text:?}");
    };
    complete("grantd tok", "grantd token");
    complete("grantd token --cl", "--client-id");
    complete("grantd audit ver", "audit verify");
}
