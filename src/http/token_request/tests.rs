//! Tables of requests, good and bad.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

const FORM: &[u8] = b"application/x-www-form-urlencoded";

fn head(authorization: Option<&[u8]>) -> Head<'_> {
    Head {
        is_post: true,
        query: None,
        content_type: Some(FORM),
        encoded: false,
        authorization,
        authorizations: usize::from(authorization.is_some()),
    }
}

fn post(body: &str) -> Result<TokenRequest, Denial> {
    parse(&head(None), body.as_bytes())
}

fn basic(pair: &str, body: &str) -> Result<TokenRequest, Denial> {
    let header = format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()));
    parse(&head(Some(header.as_bytes())), body.as_bytes())
}

fn refused(request: Result<TokenRequest, Denial>) -> Denial {
    match request {
        Ok(request) => panic!("accepted: {request:?}"),
        Err(denial) => denial,
    }
}

#[test]
fn a_whole_request_in_the_body() {
    let request = post(
        "grant_type=client_credentials&resource=https%3A%2F%2Fa&scope=x+y&client_id=c&client_secret=s",
    )
    .unwrap();
    assert_eq!(request.resource, AskedResource::One("https://a".to_owned()));
    assert_eq!(request.scope.as_deref(), Some("x y"));
    let Presented::Secret {
        client_id,
        secret,
        method,
    } = request.presented
    else {
        panic!("no secret");
    };
    assert_eq!((client_id.as_str(), secret.expose().as_str()), ("c", "s"));
    assert_eq!(method, AuthMethod::ClientSecretPost);
}

#[test]
fn what_the_head_alone_tells() {
    let good = head(None);
    assert_eq!(check_head(&good), Ok(()));
    let table = [
        (
            Head {
                is_post: false,
                ..good
            },
            Denial::MethodNotAllowed,
        ),
        (
            Head {
                query: Some("a=b"),
                ..good
            },
            Denial::QueryParameters,
        ),
        (
            Head {
                encoded: true,
                ..good
            },
            Denial::ContentEncoding,
        ),
        (
            Head {
                content_type: None,
                ..good
            },
            Denial::ContentType,
        ),
        (
            Head {
                content_type: Some(b"application/json"),
                ..good
            },
            Denial::ContentType,
        ),
        (
            Head {
                authorizations: 2,
                ..good
            },
            Denial::RepeatedAuthorization,
        ),
    ];
    for (head, denial) in table {
        assert_eq!(check_head(&head), Err(denial), "{head:?}");
    }
    let charset = b"Application/X-WWW-Form-Urlencoded ; charset=utf-8";
    assert_eq!(
        check_head(&Head {
            content_type: Some(charset),
            ..good
        }),
        Ok(())
    );
}

#[test]
fn each_known_parameter_at_most_once_however_it_is_encoded() {
    for body in [
        "grant_type=client_credentials&grant_type=client_credentials",
        "grant_type=client_credentials&scope=a&sc%6Fpe=b",
        "grant_type=client_credentials&client_id=&client_id=a",
        "grant_type=client_credentials&client_secret=a&client_secret=a",
    ] {
        assert_eq!(refused(post(body)), Denial::RepeatedParameter, "{body}");
    }
    assert!(post("grant_type=client_credentials&unknown=1&unknown=2").is_ok());
}

#[test]
fn a_second_resource_is_left_to_the_grant() {
    let several = post("grant_type=client_credentials&resource=https://a&resource=https://b");
    assert_eq!(several.unwrap().resource, AskedResource::Several);
    let empty = post("grant_type=client_credentials&resource=").unwrap();
    assert_eq!(empty.resource, AskedResource::None);
}

#[test]
fn the_grant_type_is_required_and_known() {
    assert_eq!(refused(post("")), Denial::MissingGrantType);
    assert_eq!(refused(post("grant_type=")), Denial::MissingGrantType);
    assert_eq!(
        refused(post("grant_type=password")),
        Denial::UnsupportedGrantType
    );
}

#[test]
fn one_method_for_one_request() {
    for body in [
        "grant_type=client_credentials&client_secret=s",
        "grant_type=client_credentials&client_assertion=e30.e30.e30",
    ] {
        assert_eq!(refused(basic("c:s", body)), Denial::TwoMethods, "{body}");
    }
    let body = "grant_type=client_credentials&client_secret=s&client_assertion=a";
    assert_eq!(refused(post(body)), Denial::TwoMethods);
}

#[test]
fn the_client_id_of_the_body_must_be_that_of_the_header() {
    let same = basic("c:s", "grant_type=client_credentials&client_id=c").unwrap();
    assert!(matches!(same.presented, Presented::Secret { .. }));
    let other = basic("c:s", "grant_type=client_credentials&client_id=d").unwrap();
    assert!(matches!(other.presented, Presented::Mismatch { .. }));
}

#[test]
fn what_can_not_be_read_as_basic_is_a_failed_authentication() {
    let request = parse(&head(Some(b"Bearer abc")), b"grant_type=client_credentials").unwrap();
    assert!(matches!(request.presented, Presented::Malformed));
}
