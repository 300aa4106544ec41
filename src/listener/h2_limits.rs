//! What an HTTP/2 peer may make this daemon keep or do, beyond its requests. Touches: net, by hyper.
//!
//! h2 itself bounds CONTINUATION frames (5 for heads of up to 80 KiB), empty DATA frames (100), small DATA
//! frames, and one PONG and one SETTINGS acknowledgement at a time: it reads nothing further until they are
//! written. What is named here are its other bounds, so that they can't change unseen.

use hyper::server::conn::http2::Builder;

use super::ConnectionLimits;

/// Most streams that a peer may have reset before they were looked at: hyper's own default against rapid
/// reset (CVE-2023-44487).
const MAX_RESET_STREAMS: usize = 20;

/// Most streams that this side may have to reset because of what the peer sent (MadeYouReset,
/// CVE-2025-8671). A good client causes none; a broken one a few.
const MAX_LOCAL_RESETS: usize = 64;

/// What one stream may send ahead: RFC 9113 section 6.9.2's own default. A body of the default limit goes in
/// one piece.
const STREAM_WINDOW: u32 = 65_535;

/// What all streams of a connection may send ahead together: a hundred bodies as clients send them. It is
/// what an attacker can fill with one connection while the daemon is too busy to read.
pub(super) const CONNECTION_WINDOW: u32 = 256 * 1024;

/// Most bytes of answers that wait for a peer's window, for one stream: the largest answer is a key set.
const SEND_BUFFER: usize = 64 * 1024;

/// Sets them.
pub(super) fn apply<E>(builder: &mut Builder<E>, limits: &ConnectionLimits) {
    builder
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        // A dead peer is found by its silence: `idle_time` ends the connection.
        .keep_alive_interval(None);
}
