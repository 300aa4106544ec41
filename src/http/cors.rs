//! Who may read the public documents from a browser: everybody. Pure.
//!
//! The key set and the metadata are public, and are read without credentials; so any origin may read them, and
//! a preflight (the Fetch standard, section 3.2.2) is answered with what it asks for, as far as the documents have
//! it. The token endpoint has none of this.

use hyper::header::{self, HeaderMap};

use super::response::{self, Response};

/// The methods of a public document.
pub(super) const METHODS: &str = "GET, HEAD, OPTIONS";

/// How long a browser may keep the answer to a preflight, in seconds: what browsers keep at most by themselves
/// (Chromium).
const MAX_AGE: &str = "7200";

/// Header fields that a preflight may ask for: more than a page ever sends for a document.
const MAX_ASKED_BYTES: usize = 1024;

/// Any origin may read the answer.
pub(super) fn open(response: &mut Response) {
    response
        .headers
        .push(("access-control-allow-origin", "*".to_owned()));
}

/// The answer to OPTIONS (RFC 9110 section 9.3.7), and to a preflight, which is an OPTIONS that names a method.
pub(super) fn options(headers: &HeaderMap) -> Response {
    let mut response = response::plain(204, "");
    response.headers.push(("allow", METHODS.to_owned()));
    open(&mut response);
    if !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return response;
    }
    response
        .headers
        .push(("access-control-allow-methods", "GET, HEAD".to_owned()));
    if let Some(names) = asked(headers) {
        response
            .headers
            .push(("access-control-allow-headers", names));
    }
    response
        .headers
        .push(("access-control-max-age", MAX_AGE.to_owned()));
    response
}

/// The header fields that were asked for, if all are names of such. The documents ignore every field but
/// `If-None-Match`, so each is allowed.
fn asked(headers: &HeaderMap) -> Option<String> {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS)?;
    let asked = asked.to_str().ok()?;
    if asked.len() > MAX_ASKED_BYTES {
        return None;
    }
    let names: Vec<String> = asked
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_name = |name: &String| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !name.is_empty() && name.bytes().all(allowed)
    };
    names.iter().all(is_name).then(|| names.join(", "))
}
