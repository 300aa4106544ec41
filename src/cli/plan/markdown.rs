//! A plan as a comment of a pull request. Pure.
//!
//! **Invariant:** whatever somebody else wrote, names above all, stands in a code span: there no markup, no
//! HTML, no mention and no link is read (CommonMark 0.31 section 6.1), and no fence can be closed by it.

use std::fmt::Write as _;

use super::report::{ONCE_MERGED, Refused, Report, Told, approvers};
use crate::domain::visible;
use crate::registry::approval::Approval;
use crate::registry::meaning::{Class, Piece, Words};

/// Longest comment in bytes: GitHub takes 65,536 characters, GitLab a million.
const MAX_COMMENT: usize = 60_000;

/// Most reasons of an approval that are listed.
const MAX_REASONS: usize = 20;

/// A comment that ends in time.
#[derive(Default)]
struct Comment {
    text: String,
    left_out: usize,
}

/// A plan.
pub(super) fn report(report: &Report) -> String {
    let mut comment = Comment::default();
    comment.line(&format!("### Registry: {}\n", report.summary()));
    let (from, to) = (&report.from.label, &report.to.label);
    comment.line(&format!("From {} to {}.", code(from), code(to)));
    if let Some(held) = &report.held {
        comment.line("\n**Held back**: the daemon would not take this by itself.\n");
        for reason in &held.reasons {
            comment.item(&format!("- {}", code(&reason.to_string())));
        }
        let command = format!("grantd registry accept {}", held.hash);
        comment.line(&format!("\nWhat then, {ONCE_MERGED}: {}", code(&command)));
    }
    for taken in &report.overlay {
        comment.item(&format!("\nAbove the registry: {}", marked(&taken.text)));
    }
    approvals(report, &mut comment);
    for (class, heading) in [
        (Class::Widens, "Widens access"),
        (Class::Breaks, "Breaks what runs"),
    ] {
        let told: Vec<&Told> = report.of_class(class).collect();
        if !told.is_empty() {
            comment.line(&format!("\n**{heading}**\n"));
            told.iter().for_each(|told| comment.item(&statement(told)));
        }
    }
    let others: Vec<&Told> = report.of_class(Class::Other).collect();
    if !others.is_empty() {
        let number = others.len();
        comment.line(&format!("\n<details><summary>Other ({number})</summary>\n"));
        others
            .iter()
            .for_each(|told| comment.item(&statement(told)));
        comment.line("\n</details>");
    }
    comment.end()
}

/// A registry that is refused.
pub(super) fn refused(refused: &Refused) -> String {
    let mut comment = Comment::default();
    comment.line("### Registry: refused\n");
    comment.line(&format!("{}\n", code(&refused.summary())));
    if let Some(error) = &refused.error {
        comment.item(&format!("- {}", code(error)));
    }
    for problem in &refused.problems {
        let line = problem.place.spot.as_ref();
        let line = line.map_or_else(String::new, |spot| format!(":{}", spot.line));
        let place = format!("{}{}{line}", refused.prefix, problem.place.file);
        let mut item = format!("- {}: {}", code(&place), code(&problem.message));
        if let Some(advice) = &problem.advice {
            item.push_str(&format!(" ({})", code(advice)));
        }
        comment.item(&item);
    }
    comment.end()
}

fn approvals(report: &Report, comment: &mut Comment) {
    let Some(approvals) = report.approvals.as_ref().filter(|it| !it.is_empty()) else {
        return;
    };
    comment.line(&format!(
        "\n**Approvals**: {}\n",
        report.standing().unwrap_or_default()
    ));
    for approval in approvals {
        one_approval(report, approval, comment);
    }
}

fn one_approval(report: &Report, approval: &Approval, comment: &mut Comment) {
    let mark = match report.given(approval) {
        None => "-",
        Some(true) => "- [x]",
        Some(false) => "- [ ]",
    };
    comment.item(&format!("{mark} {}", code(&approvers(approval))));
    for reason in approval.reasons.iter().take(MAX_REASONS) {
        comment.item(&format!("  - {}", marked(&reason.text)));
    }
    match approval.reasons.len().saturating_sub(MAX_REASONS) {
        0 => {}
        more => comment.item(&format!("  - and {more} more")),
    }
}

fn statement(told: &Told) -> String {
    let text = marked(&told.statement.text);
    match (&told.file, told.line) {
        (Some(file), Some(line)) => format!("- {text} ({})", code(&format!("{file}:{line}"))),
        (Some(file), None) => format!("- {text} ({})", code(file)),
        (None, _) => format!("- {text}"),
    }
}

/// A sentence, its names in code spans.
fn marked(words: &Words) -> String {
    let pieces = words.pieces().iter().map(|piece| match piece {
        Piece::Plain(text) => text.clone(),
        Piece::Name(name) => code(name),
    });
    pieces.collect()
}

/// A code span that its content can't end: its fence is longer than any run of backticks within.
fn code(text: &str) -> String {
    let text = visible(text);
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    // A space at both ends is taken away again, and one is needed beside a backtick.
    let edge = |character: Option<char>| matches!(character, Some('`' | ' ') | None);
    let pad = match edge(text.chars().next()) || edge(text.chars().next_back()) {
        true => " ",
        false => "",
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

impl Comment {
    fn line(&mut self, text: &str) {
        // Writing to a String does not fail.
        let _infallible = writeln!(self.text, "{text}");
    }

    /// A line that may be left out where there are too many.
    fn item(&mut self, text: &str) {
        if self.text.len() + text.len() > MAX_COMMENT {
            self.left_out += 1;
        } else {
            self.line(text);
        }
    }

    fn end(mut self) -> String {
        if self.left_out > 0 {
            let left_out = self.left_out;
            self.line(&format!(
                "\n{left_out} lines more than a comment may have: run `grantd plan` to see them."
            ));
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_a_code_span() {
        for (text, span) in [
            ("a", "`a`"),
            ("a`b", "``a`b``"),
            ("``", "``` `` ```"),
            ("`x", "`` `x ``"),
            ("<b>@team #1</b>", "`<b>@team #1</b>`"),
            ("a\n\n# b", "`a\\n\\n# b`"),
            ("", "`  `"),
        ] {
            assert_eq!(code(text), span);
        }
    }

    #[test]
    fn a_comment_is_never_too_long() {
        let mut comment = Comment::default();
        for _ in 0..10_000 {
            comment.item(&"x".repeat(100));
        }
        let text = comment.end();
        assert!(
            text.len() < 65_536 && text.contains("lines more than"),
            "{}",
            text.len()
        );
    }
}
