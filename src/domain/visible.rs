//! Text from outside, made fit for a log or a terminal. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything that is not seen as itself spelled out: control characters (a line feed would
/// forge a line, an escape would steer a terminal) and what turns the order of words around or hides
/// among them (Unicode's bidirectional controls and zero-width characters).
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\n' => seen.push_str("\\n"),
            '\r' => seen.push_str("\\r"),
            '\t' => seen.push_str("\\t"),
            // Writing to a String does not fail.
            hidden if is_hidden(hidden) => {
                let _infallible = write!(seen, "\\u{{{:x}}}", u32::from(hidden));
            }
            char => seen.push(char),
        }
    }
    Cow::Owned(seen)
}

/// Characters that a reader does not see as themselves: controls, bidirectional marks and overrides,
/// zero-width and tag characters, line and paragraph separators (Unicode categories Cc, Zl, Zp and
/// what matters of Cf).
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_spelled_out_and_the_rest_stays() {
        assert!(matches!(visible("Zoë's API, 漢字"), Cow::Borrowed(_)));
        let hostile = "a\r\nb\u{1b}[31m\u{202e}c\u{200b}\u{9b}d\0";
        let seen = "a\\r\\nb\\u{1b}[31m\\u{202e}c\\u{200b}\\u{9b}d\\u{0}";
        assert_eq!(visible(hostile), seen);
    }
}
