//! What must hold of key files, for any bytes. Pure.

use super::file::{Body, read, write};
use super::ring::KeyRecord;
use super::seal::Sealer;
use crate::domain::{Algorithm, Digest, KeyId, Secret, UnixSeconds};

/// Shortest line of a PEM that an error is searched for: a shorter one may stand in it by chance.
const TELLING: usize = 16;

/// A key file: the bytes as its text, and as the private key of one.
///
/// # Panics
/// Where a file that is taken is not the same when written anew; where an error quotes the private
/// key; where a sealed key opens with a changed byte or for another key.
pub fn key_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        match read(text) {
            Ok((record, body)) => {
                same(&record, &body);
            }
            Err(fault) => {
                let told = fault.to_string();
                let secret = private_line(text);
                assert!(
                    secret.is_none_or(|line| !told.contains(&line)),
                    "an error quotes a key"
                );
            }
        }
    }
    sealed(data);
}

/// The longest line of the private key, if the text has one and nothing else says the same.
fn private_line(text: &str) -> Option<String> {
    let table: toml::Table = toml::from_str(text).ok()?;
    let pem = table.get("private_key")?.as_str()?;
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let longest = lines.max_by_key(|line| line.len())?;
    let alone = longest.len() >= TELLING && text.matches(longest).count() == 1;
    alone.then(|| longest.to_owned())
}

/// Writes what was read, and reads that.
fn same(record: &KeyRecord, body: &Body) {
    let written = write(record, body);
    let again = written.and_then(|text| read(&text));
    let is_same = match (&again, body) {
        (Ok((read, Body::Plain(one))), Body::Plain(other)) => {
            read == record && one.expose() == other.expose()
        }
        (Ok((read, Body::Sealed(one))), Body::Sealed(other)) => read == record && one == other,
        _ => false,
    };
    assert!(is_same, "another key after it was written anew");
}

/// These bytes as a private key, in clear and sealed.
fn sealed(data: &[u8]) {
    let id = KeyId::from_thumbprint(Digest::of(data));
    let record = KeyRecord::fresh(
        id.clone(),
        Algorithm::EdDsa,
        UnixSeconds::new(1_800_000_000),
    );
    same(&record, &Body::Plain(Secret::new(data.to_vec())));
    let sealer = Sealer::from_key(&[7; 32]);
    let sealed = sealer
        .as_ref()
        .and_then(|it| it.seal(record.algorithm, &id, data));
    assert!(sealed.is_some(), "sealing needs nothing but randomness");
    let (Some(sealer), Some(sealed)) = (sealer, sealed) else {
        return;
    };
    let open = |algorithm, id, sealed: &[u8]| sealer.open(algorithm, id, sealed);
    let opened = open(record.algorithm, &id, &sealed);
    assert!(opened.is_some_and(|opened| opened.expose() == data));
    let other = KeyId::from_thumbprint(Digest::ZERO);
    assert!(open(record.algorithm, &other, &sealed).is_none());
    assert!(open(Algorithm::Es256, &id, &sealed).is_none());
    assert!(open(record.algorithm, &id, data).is_none());
    for at in [0, sealed.len() / 2, sealed.len() - 1] {
        let mut altered = sealed.clone();
        if let Some(byte) = altered.get_mut(at) {
            *byte ^= 1;
        }
        assert!(open(record.algorithm, &id, &altered).is_none());
    }
    same(&record, &Body::Sealed(sealed));
}
