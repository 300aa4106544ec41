//! Runs verify.rs for the tests: a line with a scope and a token, a line with the verdict.
//!
//! Arguments: issuer, audience, cool-down in milliseconds, the file of the CA.
#![expect(
    unreachable_pub,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "verify.rs is what a user pastes into another crate"
)]

mod verify;

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use verify::{Error, Verifier};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, issuer, audience, cool_down, ca] = arguments.as_slice() else {
        return Err("the arguments are ISSUER AUDIENCE COOL-DOWN CA".into());
    };
    let cool_down = Duration::from_millis(cool_down.parse()?);
    let verifier = Verifier::new(agent(ca)?, issuer, audience, cool_down);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (scope, token) = line.split_once(' ').ok_or("a line is SCOPE TOKEN")?;
        match verifier.verify(token, scope) {
            Ok(claims) if claims.aud != *audience => return Err("accepted for others".into()),
            Ok(claims) => println!("accepted {}", claims.client_id),
            Err(Error::Refused(why)) => println!("refused {}", why.replace('\n', " ")),
            Err(Error::Unchecked(why)) => return Err(why.into()),
        }
    }
    Ok(())
}

/// An HTTPS client that trusts this CA alone.
fn agent(ca: &str) -> Result<ureq::Agent, Box<dyn std::error::Error>> {
    let roots = CertificateDer::pem_file_iter(ca)?
        .map(|root| root.map(|root| Certificate::from_der(&root).to_owned()))
        .collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(Duration::from_secs(5)))
        .build();
    Ok(config.into())
}
