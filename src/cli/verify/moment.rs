//! Claims that are moments (RFC 7519 section 2, NumericDate). Pure.

use super::compact::Compact;
use crate::domain::UnixSeconds;

/// The last second that is shown as a moment: the end of the year 9999.
const LAST_MOMENT: u64 = 253_402_300_799;

/// A claim that is a moment (RFC 7519 section 2, NumericDate): whole seconds or with a fraction.
pub(super) fn moment(token: &Compact, claim: &str) -> Result<Option<UnixSeconds>, String> {
    let Some(value) = token.claims.member(claim) else {
        return Ok(None);
    };
    let seconds = value.as_u64().or_else(|| whole(value.as_f64()?));
    seconds
        .map(|seconds| Some(UnixSeconds::new(seconds)))
        .ok_or_else(|| "it is no number of seconds since 1970".to_owned())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within 0 and the year 9999, and a fraction is cut on purpose"
)]
fn whole(seconds: f64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let last = LAST_MOMENT as f64;
    (0.0..=last).contains(&seconds).then_some(seconds as u64)
}

/// A moment in words.
pub(super) fn show(moment: UnixSeconds) -> String {
    moment.to_rfc3339()
}
