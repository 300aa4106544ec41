//! What goes over the admin socket. Pure.

use serde::{Deserialize, Serialize};

/// Longest request in bytes: a name and a few numbers.
pub const MAX_REQUEST: usize = 4096;

/// Most journal lines of one answer, so that no caller holds memory for long.
pub const MAX_LINES: usize = 1000;

/// Longest wait for a new line in milliseconds: less than any read time-out of a caller.
pub(super) const MAX_WAIT_MS: u64 = 10_000;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Lines of the journal, in order.
    AuditLines {
        /// The first sequence wanted; 0: the oldest that there is.
        from: u64,
        /// Most lines wanted; more than [`MAX_LINES`] are never sent. 0: only the numbers.
        max: usize,
        /// How long to wait for a line when there is none yet, in milliseconds; 10 s at most.
        #[serde(default)]
        wait_ms: u64,
    },
}

/// The first line of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) oldest: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) durable: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lines: Option<usize>,
}

impl Answer {
    pub(super) fn refuse(error: impl Into<String>) -> Self {
        Self {
            error: Some(error.into()),
            ..Self::default()
        }
    }

    /// The line as it is sent.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn requests_have_one_spelling() {
        let text = r#"{"request":"audit_lines","from":3,"max":10}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        let expected = Request::AuditLines {
            from: 3,
            max: 10,
            wait_ms: 0,
        };
        assert_eq!(request, expected);
        for bad in [
            r#"{"request":"shutdown"}"#,
            r#"{"request":"audit_lines","from":3}"#,
            r#"{"request":"audit_lines","from":3,"max":1,"more":1}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_are_one_line() {
        let line = Answer::refuse("no\nsuch line").to_line();
        assert_eq!(line, b"{\"ok\":false,\"error\":\"no\\nsuch line\"}\n");
    }
}
