//! Every way to log in to NATS, each with a wrong secret too, and the documented permissions.

use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use grantd::audit::ship::{
    InboxPrefix, NatsLogin, NatsTls, ShipSettings, StreamReader, StreamStart,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::ship::{Marks, Shipper, instance, ship_settings, stream};
use crate::support::{NatsServer, repository};

fn file(folder: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = folder.path().join(name);
    crate::support::write_key(&path, content);
    path
}

/// The right settings ship.
async fn ships(settings: ShipSettings) {
    let folder = TempDir::new().unwrap();
    let shipper = Shipper::start(folder.path(), settings, &Marks::default());
    shipper.record(20).await;
    shipper.caught_up().await;
    shipper.stop().await;
}

/// The wrong ones don't, say so, and stop nothing.
async fn is_refused(settings: ShipSettings, words: &str) {
    let folder = TempDir::new().unwrap();
    let shipper = Shipper::start(folder.path(), settings, &Marks::default());
    shipper.record(20).await;
    shipper
        .until(words, |status| {
            let last = status.last_error.as_ref();
            last.is_some_and(|last| last.message.to_lowercase().contains(words))
        })
        .await;
    assert_eq!(shipper.board.read().confirmed, 0);
    shipper.stop().await;
}

fn with_login(server: &NatsServer, login: NatsLogin) -> ShipSettings {
    let mut settings = ship_settings(&server.url());
    settings.nats.login = login;
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_a_password() {
    let server = NatsServer::with("authorization { user: grantd, password: \"s3cret pass\" }");
    let folder = TempDir::new().unwrap();
    let login = |content| NatsLogin::Password {
        user: "grantd".to_owned(),
        file: file(&folder, "password", content),
    };
    ships(with_login(&server, login("s3cret pass\n"))).await;
    is_refused(
        with_login(&server, login("other\n")),
        "authorization violation",
    )
    .await;
    is_refused(with_login(&server, login("\n")), "is empty").await;
    let gone = NatsLogin::Password {
        user: "grantd".to_owned(),
        file: folder.path().join("gone"),
    };
    is_refused(with_login(&server, gone), "cannot read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_changed_needs_no_restart() {
    let server = NatsServer::with("authorization { user: grantd, password: new }");
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "password", "old");
    let login = NatsLogin::Password {
        user: "grantd".to_owned(),
        file: path.clone(),
    };
    let state = TempDir::new().unwrap();
    let shipper = Shipper::start(state.path(), with_login(&server, login), &Marks::default());
    shipper
        .until("a refusal", |status| status.last_error.is_some())
        .await;
    std::fs::write(path, "new").unwrap();
    shipper.caught_up().await;
    shipper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token() {
    let server = NatsServer::with("authorization { token: t0ken }");
    let folder = TempDir::new().unwrap();
    let login = |content| NatsLogin::Token(file(&folder, "token", content));
    ships(with_login(&server, login("t0ken\n"))).await;
    is_refused(
        with_login(&server, login("other")),
        "authorization violation",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey() {
    let (right, wrong) = (Nkey::user(7), Nkey::user(8));
    let server = NatsServer::with(&format!(
        "authorization {{ users = [ {{ nkey: {} }} ] }}",
        right.public()
    ));
    let folder = TempDir::new().unwrap();
    let login = |key: &Nkey| NatsLogin::Nkey(file(&folder, "seed", &key.seed()));
    ships(with_login(&server, login(&right))).await;
    is_refused(
        with_login(&server, login(&wrong)),
        "authorization violation",
    )
    .await;
    let none = NatsLogin::Nkey(file(&folder, "none", "not a seed"));
    is_refused(with_login(&server, none), "cannot connect").await;
    let open = file(&folder, "open", &right.seed());
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = with_login(&server, NatsLogin::Nkey(open));
    is_refused(open, "can be read by others (mode 0644)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file() {
    let (operator, account, user) = (Nkey::operator(1), Nkey::account(2), Nkey::user(3));
    let system = Nkey::account(5);
    let unlimited = json!({"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1});
    let operator_jwt = operator.sign(
        &operator,
        "operator",
        &json!({"type": "operator", "version": 2}),
    );
    let account_claims = json!({"type": "account", "version": 2, "limits": unlimited});
    let account_jwt = operator.sign(&account, "account", &account_claims);
    let plain = json!({"type": "account", "version": 2});
    let system_jwt = operator.sign(&system, "system", &plain);
    let user_claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let user_jwt = account.sign(&user, "user", &user_claims);
    let server = NatsServer::with(&format!(
        "operator: {operator_jwt}\nsystem_account: {system}\nresolver: MEMORY\n\
         resolver_preload: {{ {}: {account_jwt}, {system}: {system_jwt} }}\n",
        account.public(),
        system = system.public(),
    ));
    let creds = |seed: &str| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    };
    let folder = TempDir::new().unwrap();
    let login = |content: &str| NatsLogin::Credentials(file(&folder, "creds", content));
    ships(with_login(&server, login(&creds(&user.seed())))).await;
    let other = creds(&Nkey::user(4).seed());
    is_refused(
        with_login(&server, login(&other)),
        "authorization violation",
    )
    .await;
    is_refused(with_login(&server, login("nothing")), "no credentials file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_a_ca_and_a_client_certificate() {
    let folder = TempDir::new().unwrap();
    let (ca, foreign) = (ca(&folder, "ca"), ca(&folder, "foreign"));
    let (cert, key) = signed(&folder, "server", &ca);
    let (client_cert, client_key) = signed(&folder, "client", &ca);
    let server = NatsServer::with(&format!(
        "tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {:?}, verify: true }}",
        folder.path().join("ca.pem")
    ));
    let settings = |ca: &str, certificate| {
        let mut settings = ship_settings(&format!("tls://localhost:{}", server.port()));
        settings.nats.tls = NatsTls {
            required: true,
            first: false,
            ca_file: Some(folder.path().join(ca)),
            certificate,
        };
        settings
    };
    let certificate = Some((client_cert, client_key));
    ships(settings("ca.pem", certificate.clone())).await;
    is_refused(settings("foreign.pem", certificate.clone()), "certificate").await;
    is_refused(settings("ca.pem", None), "cannot connect").await;
    file(&folder, "empty.pem", "");
    is_refused(settings("empty.pem", certificate.clone()), "no pem file").await;
    is_refused(settings("gone.pem", certificate), "cannot read").await;
    drop(foreign);
}

/// The configuration in docs/audit-events.md, as it stands there.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_are_enough_and_no_more() {
    let text = std::fs::read_to_string(repository("docs/audit-events.md")).unwrap();
    let start = text.find("authorization {").unwrap();
    let end = start + text[start..].find("\n```").unwrap();
    let config = text[start..end]
        .replace("$HASH_1", "one")
        .replace("$HASH_2", "two")
        .replace("users = [", "users = [ { user: admin, password: admin }, ");
    let server = NatsServer::with(&config);
    let folder = TempDir::new().unwrap();
    let login = |user: &str, password: &str| NatsLogin::Password {
        user: user.to_owned(),
        file: file(&folder, user, password),
    };
    let admin = async_nats::ConnectOptions::with_user_and_password("admin".into(), "admin".into());
    let admin = admin.connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(admin);
    let config = grantd::audit::ship::safe_config("AUDIT", 65_536);
    context.create_stream(config).await.unwrap();

    let mut settings = with_login(&server, login("grantd-auth-1", "one"));
    settings.create_stream = false;
    let state = TempDir::new().unwrap();
    let shipper = Shipper::start(state.path(), settings.clone(), &Marks::default());
    shipper.record(600).await;
    shipper.caught_up().await;
    // A second session finds its place by the stream alone.
    shipper.stop().await;
    let shipper = Shipper::start(state.path(), settings.clone(), &Marks::default());
    shipper.record(10).await;
    shipper.caught_up().await;

    let mut auditor = with_login(&server, login("auditor-jo", "two")).nats;
    auditor.inbox_prefix = InboxPrefix::parse("_INBOX_audit_jo").unwrap();
    for (start, least) in [(StreamStart::Beginning, 612), (StreamStart::Last(5), 5)] {
        let opened = StreamReader::open(&auditor, &stream(), &instance(), start).await;
        let mut reader = opened.unwrap_or_else(|error| panic!("{error}: {}", server.log()));
        let mut count = 0;
        while reader.next().await.unwrap().is_some() {
            count += 1;
        }
        assert!(count >= least, "{count} of {least}");
    }
    shipper.stop().await;

    // Another instance's user may not write here.
    let mut other = settings;
    other.instance = grantd::domain::InstanceName::parse("auth-2").unwrap();
    is_refused(other, "permissions violation").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_login_is_in_the_journal() {
    let server = NatsServer::with("authorization { user: grantd, password: canary-pw }");
    make_it_fail(&server).await;
}

async fn make_it_fail(server: &NatsServer) {
    let folder = TempDir::new().unwrap();
    let login = NatsLogin::Password {
        user: "grantd".to_owned(),
        file: file(&folder, "password", "canary-wrong"),
    };
    let state = TempDir::new().unwrap();
    let shipper = Shipper::start(state.path(), with_login(server, login), &Marks::default());
    shipper
        .until("a refusal", |status| status.last_error.is_some())
        .await;
    let status = format!("{:?}", shipper.board.read());
    assert!(!status.contains("canary"), "{status}");
    for line in shipper.lines() {
        assert!(!line.text().contains("canary"));
    }
    shipper.stop().await;
}

/// A key as NATS spells it: base32 of prefix, key and CRC-16.
struct Nkey {
    kind: u8,
    seed: [u8; 32],
}

impl Nkey {
    const fn user(seed: u8) -> Self {
        Self {
            kind: 20 << 3,
            seed: [seed; 32],
        }
    }

    const fn account(seed: u8) -> Self {
        Self {
            kind: 0,
            seed: [seed; 32],
        }
    }

    const fn operator(seed: u8) -> Self {
        Self {
            kind: 14 << 3,
            seed: [seed; 32],
        }
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.seed).unwrap()
    }

    fn public(&self) -> String {
        let mut raw = vec![self.kind];
        raw.extend_from_slice(self.pair().public_key().as_ref());
        encoded(raw)
    }

    fn seed(&self) -> String {
        let mut raw = vec![(18 << 3) | (self.kind >> 5), self.kind << 3];
        raw.extend_from_slice(&self.seed);
        encoded(raw)
    }

    /// A JWT about `subject`, in the form of nats-jwt version 2.
    fn sign(&self, subject: &Self, name: &str, nats: &Value) -> String {
        let claims = json!({"jti": name.to_uppercase(), "iat": 1, "iss": self.public(),
            "name": name, "sub": subject.public(), "nats": nats});
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair().sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}

fn encoded(mut raw: Vec<u8>) -> String {
    let crc = raw.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    });
    raw.extend_from_slice(&crc.to_le_bytes());
    BASE32_NOPAD.encode(&raw)
}

fn ca(folder: &TempDir, name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    file(folder, &format!("{name}.pem"), &issuer.pem());
    issuer
}

fn signed(
    folder: &TempDir,
    name: &str,
    issuer: &CertifiedIssuer<'static, KeyPair>,
) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let paths = (
        file(folder, &format!("{name}.pem"), &certificate.pem()),
        file(folder, &format!("{name}.key"), &key.serialize_pem()),
    );
    assert!(Path::new(&paths.0).exists());
    paths
}
