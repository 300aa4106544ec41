//! What is asked for, as a server and as the cache need it. Pure.

use data_encoding::BASE64;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use crate::domain::{ClientId, ClientSecret, Digest, Issuer, ResourceIdentifier};

/// Label of the hash that names an entry of the cache, so that it is a hash of nothing else.
const KEY_LABEL: &[u8] = b"grantd token cache v1";

/// A token that is wanted.
#[derive(Debug)]
pub(super) struct Request {
    /// From whom.
    pub issuer: Issuer,
    /// By whom.
    pub client: ClientId,
    /// For which API; the client's default or only one, where left out.
    pub resource: Option<ResourceIdentifier>,
    /// With which scopes; all that the client has there, where left out.
    pub scope: Option<String>,
    /// The proof.
    pub secret: ClientSecret,
}

impl Request {
    /// The form (RFC 6749 section 4.4.2, RFC 8707 section 2).
    pub(super) fn form(&self) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(resource) = &self.resource {
            form.append_pair("resource", resource.as_str());
        }
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        form.finish()
    }

    /// The `Authorization` header: each half form-encoded first (RFC 6749 section 2.3.1).
    pub(super) fn authorization(&self) -> Zeroizing<String> {
        let mut pair = Zeroizing::new(String::new());
        pair.extend(byte_serialize(self.client.as_str().as_bytes()));
        pair.push(':');
        pair.extend(byte_serialize(self.secret.expose().as_bytes()));
        let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
        Zeroizing::new(format!("Basic {}", *encoded))
    }

    /// The name of its entry in the cache: of everything that the answer depends on, the secret
    /// among it, so that a changed secret finds no old token.
    pub(super) fn key(&self) -> Digest {
        let resource = self.resource.as_ref().map(ResourceIdentifier::as_str);
        let parts = [
            Some(self.issuer.as_str()),
            Some(self.client.as_str()),
            resource,
            self.scope.as_deref(),
            Some(self.secret.expose().as_str()),
        ];
        let hashed = parts.map(|part| match part {
            Some(text) => Digest::of(text.as_bytes()),
            None => Digest::ZERO,
        });
        let [issuer, client, resource, scope, secret] = &hashed;
        Digest::of_parts(&[
            KEY_LABEL,
            issuer.as_bytes(),
            client.as_bytes(),
            resource.as_bytes(),
            scope.as_bytes(),
            secret.as_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::domain::Secret;

    fn request(scope: Option<&str>, secret: &str) -> Request {
        Request {
            issuer: Issuer::parse("https://auth.example.com").unwrap(),
            client: ClientId::parse("nightly").unwrap(),
            resource: None,
            scope: scope.map(str::to_owned),
            secret: Secret::new(secret.to_owned()),
        }
    }

    #[test]
    fn each_half_is_form_encoded_before_it_is_joined() {
        let header = request(None, "a b:%+é").authorization();
        let encoded = header.strip_prefix("Basic ").unwrap();
        let pair = BASE64.decode(encoded.as_bytes()).unwrap();
        assert_eq!(pair, b"nightly:a+b%3A%25%2B%C3%A9");
    }

    #[test]
    fn the_form_has_what_was_asked_for_and_never_the_secret() {
        let form = request(Some("invoice:read x"), "hunter2").form();
        assert_eq!(form, "grant_type=client_credentials&scope=invoice%3Aread+x");
    }

    #[test]
    fn each_part_changes_the_key() {
        let key = |scope, secret| request(scope, secret).key();
        let all = [
            key(None, "a"),
            key(Some(""), "a"),
            key(Some("x"), "a"),
            key(None, "b"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != one));
        }
    }
}
