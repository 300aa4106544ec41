//! What must hold of forms and Basic headers, for any bytes. Pure.

use data_encoding::BASE64;
use url::form_urlencoded::{self, Serializer};

use super::token_request::{self, AskedResource, Head, Presented};
use super::{basic, form};

/// The parameters that the token endpoint reads, but `resource`.
const KNOWN: [&str; 6] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "client_assertion",
    "client_assertion_type",
];

type Pairs = Vec<(String, String)>;

fn pairs(body: &[u8]) -> Option<Pairs> {
    form::parse(body)
        .map(|parameter| {
            let form::Parameter { name, value } = parameter.ok()?;
            Some((name.into_string(), value.into_string()))
        })
        .collect()
}

/// A body of a token request.
///
/// # Panics
/// Where a body that is taken is read in another way by another reader, is not the same when
/// written anew, or is over a limit; or a request comes out that says something else than its form.
pub fn form(data: &[u8]) {
    let Some(read) = pairs(data) else { return };
    assert!(read.len() <= form::MAX_PARAMETERS);
    let plain = |text: &str| !text.chars().any(char::is_control);
    assert!(read.iter().all(|(name, value)| plain(name) && plain(value)));
    // The URL Standard's lenient reader sees the same, so nobody in front of grantd sees another request.
    let lenient: Pairs = form_urlencoded::parse(data).into_owned().collect();
    assert_eq!(read, lenient);
    let written = Serializer::new(String::new()).extend_pairs(&read).finish();
    assert_eq!(pairs(written.as_bytes()).as_ref(), Some(&read));
    request(data, &read);
}

fn head(authorization: Option<&[u8]>) -> Head<'_> {
    Head {
        is_post: true,
        query: None,
        content_type: Some(b"application/x-www-form-urlencoded"),
        encoded: false,
        authorization,
        authorizations: usize::from(authorization.is_some()),
    }
}

fn request(body: &[u8], read: &Pairs) {
    let Ok(request) = token_request::parse(&head(None), body) else {
        return;
    };
    let all = |name: &str| -> Vec<&str> {
        let named = read.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    };
    let one = |name: &str| all(name).first().copied().filter(|it| !it.is_empty());
    assert!(KNOWN.iter().all(|name| all(name).len() <= 1));
    assert_eq!(one("grant_type"), Some("client_credentials"));
    assert_eq!(request.scope.as_deref(), one("scope"));
    let resource = match all("resource").as_slice() {
        [] | [""] => AskedResource::None,
        [one] => AskedResource::One((*one).to_owned()),
        _ => AskedResource::Several,
    };
    assert_eq!(request.resource, resource);
    assert_eq!(request.presented.client_id(), one("client_id"));
    let asserted = one("client_assertion").or(one("client_assertion_type"));
    match &request.presented {
        Presented::Secret { secret, .. } => {
            assert_eq!(Some(secret.expose().as_str()), one("client_secret"));
            assert!(asserted.is_none());
        }
        Presented::Unsupported { .. } => assert!(asserted.is_some()),
        Presented::Nothing { .. } => assert!(asserted.is_none()),
        other => assert!(!matches!(
            other,
            Presented::Malformed | Presented::Mismatch { .. }
        )),
    }
}

/// An `Authorization` header: the bytes as the header itself, as what its base64 holds, and as an id
/// and a secret, a line each.
///
/// # Panics
/// Where what is read is not the same when written anew, or a written id and secret are not read back.
pub fn basic(data: &[u8]) {
    round_trip(data);
    let held = format!("Basic {}", BASE64.encode(data));
    let read = round_trip(held.as_bytes());
    assert!(read.is_none() || data.contains(&b':'));
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (id, secret) = text.split_once('\n').unwrap_or((text, ""));
    let expected = (id.to_owned(), secret.to_owned());
    let plain = !format!("{id}{secret}").chars().any(char::is_control);
    assert_eq!(round_trip(&written(id, secret)), plain.then_some(expected));
}

/// What a header is read as; the same must come of it when that is written as a header.
fn round_trip(header: &[u8]) -> Option<(String, String)> {
    let (id, secret) = basic::parse(header)?;
    let again = basic::parse(&written(&id, secret.expose()));
    let again = again.map(|(id, secret)| (id, secret.expose().clone()));
    assert_eq!(again, Some((id.clone(), secret.expose().clone())));
    let body = b"grant_type=client_credentials";
    let request = token_request::parse(&head(Some(header)), body);
    let presented = request.ok().map(|request| request.presented);
    let same = matches!(&presented, Some(Presented::Secret { client_id, .. }) if *client_id == id);
    assert!(same, "the request's client is another one");
    Some((id, secret.expose().clone()))
}

/// A header with this id and this secret, form-encoded as RFC 6749 section 2.3.1 asks.
fn written(id: &str, secret: &str) -> Vec<u8> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret));
    format!("Basic {}", BASE64.encode(pair.as_bytes())).into_bytes()
}
