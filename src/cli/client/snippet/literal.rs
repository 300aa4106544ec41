//! Texts of a registry as literals and comments of another language. Pure.
//!
//! **Invariant:** whatever stands in the text, the literal is one literal with just that value, and the
//! comment ends where its line ends.

use super::Language;

impl Language {
    /// A literal with this value.
    pub(super) fn literal(self, text: &str) -> String {
        match self {
            // In single quotes a POSIX shell takes all but the quote itself as it is.
            Self::Curl => format!("'{}'", text.replace('\'', r"'\''")),
            Self::Python | Self::Go => quoted(text, |code| match code {
                0..=0xFFFF => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08x}"),
            }),
            Self::Node => quoted(text, |code| format!("\\u{{{code:x}}}")),
        }
    }
}

/// A text for a comment that ends with its line: what could end a line or turn its direction is escaped.
pub(super) fn comment(text: &str) -> String {
    let shown = |c: char| match c {
        '\'' | '"' | '\\' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    text.chars().map(shown).collect()
}

/// A literal in double quotes: printable ASCII as it is, all else by its code point.
fn quoted(text: &str, code_point: impl Fn(u32) -> String) -> String {
    let inner = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        _ => code_point(u32::from(c)),
    });
    format!("\"{}\"", inner.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a'b\"c\\d$(e)`f`#{g}{{issuer}}\nh\u{2028}i\u{1F511}";

    #[test]
    fn literals_hold_what_could_end_them() {
        assert_eq!(
            Language::Curl.literal(HOSTILE),
            "'a'\\''b\"c\\d$(e)`f`#{g}{{issuer}}\nh\u{2028}i\u{1F511}'"
        );
        let same = r#""a'b\"c\\d$(e)`f`#{g}{{issuer}}\u000ah\u2028i\U0001f511""#;
        assert_eq!(Language::Python.literal(HOSTILE), same);
        assert_eq!(Language::Go.literal(HOSTILE), same);
        assert_eq!(
            Language::Node.literal(HOSTILE),
            r#""a'b\"c\\d$(e)`f`#{g}{{issuer}}\u{a}h\u{2028}i\u{1f511}""#
        );
        assert_eq!(Language::Curl.literal(""), "''");
    }

    #[test]
    fn a_comment_stays_on_its_line() {
        assert_eq!(
            comment("it's \"x\" \\ \n\r\u{85}\u{2028}\u{202e}é"),
            "it's \"x\" \\ \\n\\r\\u{85}\\u{2028}\\u{202e}é"
        );
    }
}
