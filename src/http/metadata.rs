//! The authorization server's metadata (RFC 8414 section 2). Pure.

use serde_json::{Value, json};

use crate::domain::{Algorithm, AuthMethod, Issuer};

/// Where each endpoint is: below the path of the issuer, where it has one.
#[derive(Clone, Debug)]
pub struct Paths {
    /// `POST …/oauth2/token`
    pub token: String,
    /// `GET …/oauth2/jwks`
    pub jwks: String,
    /// RFC 8414 section 3: the well-known part goes before the issuer's path.
    pub oauth_metadata: String,
    /// OpenID Connect Discovery 1.0 section 4: the well-known part goes behind the issuer's path.
    pub openid_metadata: String,
}

impl Paths {
    /// The paths for this issuer.
    #[must_use]
    pub fn of(issuer: &Issuer) -> Self {
        let path = issuer.path();
        Self {
            token: format!("{path}/oauth2/token"),
            jwks: format!("{path}/oauth2/jwks"),
            oauth_metadata: format!("/.well-known/oauth-authorization-server{path}"),
            openid_metadata: format!("{path}/.well-known/openid-configuration"),
        }
    }
}

/// The metadata document: only what is really supported, of the methods those that the policy allows. The members that OpenID Connect Discovery
/// requires and RFC 8414 does not stand for libraries that know only the second name of the document.
#[must_use]
pub(super) fn document(
    issuer: &Issuer,
    paths: &Paths,
    algorithms: &[Algorithm],
    methods: &[AuthMethod],
) -> Value {
    let base = issuer
        .as_str()
        .strip_suffix(issuer.path())
        .unwrap_or(issuer.as_str());
    let methods: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    let names: Vec<&str> = algorithms
        .iter()
        .map(|algorithm| algorithm.name())
        .collect();
    json!({
        "issuer": issuer.as_str(),
        "token_endpoint": format!("{base}{}", paths.token),
        "jwks_uri": format!("{base}{}", paths.jwks),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": methods,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": names,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_issuer_with_a_path_has_its_well_known_part_inserted() {
        let issuer = Issuer::parse("https://auth.example.com/t/1").unwrap();
        let paths = Paths::of(&issuer);
        assert_eq!(
            paths.oauth_metadata,
            "/.well-known/oauth-authorization-server/t/1"
        );
        assert_eq!(
            paths.openid_metadata,
            "/t/1/.well-known/openid-configuration"
        );
        let document = document(&issuer, &paths, &[Algorithm::Es256], &AuthMethod::ALL);
        assert_eq!(
            document.pointer("/token_endpoint").unwrap(),
            "https://auth.example.com/t/1/oauth2/token"
        );
    }
}
