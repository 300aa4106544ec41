//! Reads a request's body within its limits. Touches: net, by hyper.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use zeroize::Zeroizing;

use crate::domain::Denial;

/// Reads the whole body, zeroed when dropped: it may hold a secret.
///
/// # Errors
/// [`Denial::BodyTooLarge`] before anything is read where the length is told, else as soon as the limit
/// is passed; [`Denial::BodyTimeout`] when it is not there in time.
pub(super) async fn read(
    body: Incoming,
    max_bytes: usize,
    limit: Duration,
) -> Result<Zeroizing<Vec<u8>>, Denial> {
    let told = body.size_hint().lower();
    if told > max_bytes as u64 {
        return Err(Denial::BodyTooLarge);
    }
    let mut body = Limited::new(body, max_bytes);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(told).unwrap_or(0)));
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
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            }
        }
        Ok(())
    };
    match tokio::time::timeout(limit, reading).await {
        Ok(read) => read.map(|()| bytes),
        Err(_) => Err(Denial::BodyTimeout),
    }
}
