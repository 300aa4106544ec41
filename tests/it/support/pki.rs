//! A certificate authority, and pairs of certificate and key as an operator may put them down.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use super::write_key;

/// The names that a server of the tests is for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// An authority.
pub struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and a key, as text.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Pki {
    /// An authority of its own.
    pub fn new() -> Self {
        let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        Self { ca }
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.ca.pem()
    }

    /// A pair for the tests' server that is valid for long.
    pub fn pair(&self) -> Pair {
        self.pair_with(&NAMES, (2020, 2120))
    }

    /// A pair for these names, from the first day of the first year to that of the last.
    pub fn pair_with(&self, names: &[&str], (from, until): (i32, i32)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let subject = &mut params.distinguished_name;
        subject.push(DnType::CommonName, "a test's server");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.ca).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// One whose time has passed.
    pub fn expired(&self) -> Pair {
        self.pair_with(&NAMES, (2020, 2021))
    }
}

impl Pair {
    /// This certificate with the key of another.
    pub fn with_key_of(&self, other: &Self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            key: other.key.clone(),
        }
    }

    /// The same, cut in the middle of the certificate.
    pub fn cut(&self) -> Self {
        let half = self.certificate.len() / 2;
        Self {
            certificate: self.certificate[..half].to_owned(),
            key: self.key.clone(),
        }
    }

    /// Writes both over what is there, one after the other, as `cp` does.
    pub fn write(&self, folder: &Path) {
        std::fs::write(folder.join("certificate.pem"), &self.certificate).unwrap();
        write_key(&folder.join("key.pem"), &self.key);
    }

    /// Writes both beside and renames them, one after the other, as certbot does with its links.
    pub fn rename_into(&self, folder: &Path) {
        let beside = folder.join("beside");
        std::fs::create_dir_all(&beside).unwrap();
        self.write(&beside);
        for file in ["certificate.pem", "key.pem"] {
            std::fs::rename(beside.join(file), folder.join(file)).unwrap();
        }
    }
}
