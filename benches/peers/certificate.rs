//! A certificate for the peer, as `grantd dev` makes one for itself.

/// A CA and a certificate for `localhost`: the CA, the certificate and its key, in PEM.
pub fn certificate() -> [String; 3] {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    let mut ca = CertificateParams::new(Vec::<String>::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().expect("a key");
    let ca = CertifiedIssuer::self_signed(ca, key).expect("a CA");
    let mut server = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    server
        .distinguished_name
        .push(DnType::CommonName, "a benchmark's server");
    let key = KeyPair::generate().expect("a key");
    let server = server.signed_by(&key, &ca).expect("a certificate");
    [ca.pem(), server.pem(), key.serialize_pem()]
}
