//! Reads a request's body within its limits. Touches: net, by hyper.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use zeroize::Zeroizing;

use super::admission::{Admission, Admitted, PAGE};
use crate::domain::Denial;

/// How much of a body may come, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// Most bytes.
    pub(super) bytes: usize,
    /// Longest time.
    pub(super) time: Duration,
}

/// Reads the whole body, zeroed when dropped: it may hold a secret. It takes memory for what came, not for
/// what was told.
///
/// # Errors
/// [`Denial::BodyTooLarge`] before anything is read where the length is told, else as soon as the limit
/// is passed; [`Denial::BodyTimeout`] when it is not there in time; [`Denial::Overloaded`] when all
/// bodies together take too much memory.
pub(super) async fn read(
    body: Incoming,
    limits: BodyLimits,
    (admission, admitted): (&Admission, &mut Admitted),
) -> Result<Zeroizing<Vec<u8>>, Denial> {
    let told = body.size_hint().lower();
    if told > limits.bytes as u64 {
        return Err(Denial::BodyTooLarge);
    }
    let first = usize::try_from(told).unwrap_or(0).min(PAGE);
    let mut bytes = Zeroizing::new(Vec::with_capacity(first));
    let mut body = Limited::new(body, limits.bytes);
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|fault| {
                if fault.is::<http_body_util::LengthLimitError>() {
                    Denial::BodyTooLarge
                } else {
                    Denial::MalformedBody
                }
            })?;
            // Trailers mean nothing here and are dropped.
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let pages = |bytes: usize| bytes.saturating_sub(1) / PAGE;
            for _ in pages(bytes.len())..pages(bytes.len() + data.len()) {
                admission.page(admitted)?;
            }
            append(&mut bytes, data);
        }
        Ok(())
    };
    match tokio::time::timeout(limits.time, reading).await {
        Ok(read) => read.map(|()| bytes),
        Err(_) => Err(Denial::BodyTimeout),
    }
}

/// Appends, and leaves no copy behind where the bytes have to move.
fn append(bytes: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    let needed = bytes.len() + data.len();
    if needed > bytes.capacity() {
        let mut moved = Zeroizing::new(Vec::with_capacity(needed.next_multiple_of(PAGE)));
        moved.extend_from_slice(bytes);
        // The old bytes are zeroed by this.
        *bytes = moved;
    }
    bytes.extend_from_slice(data);
}
