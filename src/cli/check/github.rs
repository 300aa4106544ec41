//! Problems as workflow commands of GitHub Actions, which it shows at the lines that they are about. Pure.

use std::fmt::Write as _;

use super::places::Places;
use crate::cli::Io;
use crate::registry::check::Expiry;
use crate::registry::diagnostic::{Problem, Severity};
use crate::registry::publish::{Refusal, Update};

/// Prints a command for each problem, each warning and each date that is near.
pub(super) fn tell(
    places: &Places,
    update: &Update,
    ending: &[Expiry],
    io: &mut Io<'_>,
) -> std::io::Result<()> {
    match update {
        Update::Applied(applied) => {
            for warning in &applied.warnings {
                writeln!(io.out, "{}", command(places, warning))?;
            }
            for expiry in ending {
                let message = escape(&expiry.to_string(), false);
                writeln!(io.out, "::warning title=grantd expiry::{message}")?;
            }
        }
        Update::Rejected(rejected) => match &rejected.why {
            Refusal::Load(error) => {
                let message = escape(&error.to_string(), false);
                writeln!(io.out, "::error title=grantd registry::{message}")?;
            }
            Refusal::Check(problems) => {
                for problem in problems {
                    writeln!(io.out, "{}", command(places, problem))?;
                }
            }
        },
        Update::Moved(_) | Update::Held(_) => {}
    }
    Ok(())
}

/// One problem. The advice and the second place are lines of its message.
fn command(places: &Places, problem: &Problem) -> String {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let file = escape(&places.path(&problem.place.file), true);
    let mut text = format!("::{level} file={file}");
    if let Some(spot) = &problem.place.spot {
        // Writing to a String does not fail.
        let _infallible = write!(text, ",line={},col={}", spot.line, spot.column);
    }
    let mut message = problem.message.clone();
    if let Some(also) = &problem.also {
        let line = also.place.spot.as_ref().map_or(1, |spot| spot.line);
        let file = places.path(&also.place.file);
        let _infallible = write!(message, "\n{}: {file}:{line}", also.label);
    }
    if let Some(advice) = &problem.advice {
        let _infallible = write!(message, "\nhelp: {advice}");
    }
    let (rule, message) = (problem.rule.id(), escape(&message, false));
    let _infallible = write!(text, ",title=grantd {rule}::{message}");
    text
}

/// What the runner takes apart is escaped: in a property also what ends it.
fn escape(text: &str, property: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '%' => escaped.push_str("%25"),
            '\r' => escaped.push_str("%0D"),
            '\n' => escaped.push_str("%0A"),
            ':' if property => escaped.push_str("%3A"),
            ',' if property => escaped.push_str("%2C"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::registry::diagnostic::Rule;
    use crate::registry::source::Source;

    #[test]
    fn nothing_that_a_file_says_ends_a_command_or_begins_one() {
        let source = Source::new("a,b:c%.toml", b"one\ntwo = 3\n".to_vec());
        let problem = Problem::error(source.place(4..7), "50% of\n::error::this")
            .rule(Rule::UnknownKey)
            .advise("do, that: now")
            .also(source.place(0..3), "first");
        assert_eq!(
            command(&Places::of(Path::new("no/such")), &problem),
            "::error file=no/such/a%2Cb%3Ac%25.toml,line=2,col=1,title=grantd unknown-key\
             ::50%25 of ::error::this%0Afirst: no/such/a,b:c%25.toml:1%0Ahelp: do, that: now"
        );
    }
}
