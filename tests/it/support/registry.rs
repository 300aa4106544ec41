//! The registry that the tests use: one small company with a client for each case.

use std::path::Path;

use grantd::domain::{ClientId, GeneratedSecret};

/// The identifier of the resource `billing`: two scopes, tokens of 15 minutes.
pub const BILLING: &str = "https://billing.example.com/api";
/// The identifier of the resource `fleet`: one scope, tokens of 5 minutes.
pub const FLEET: &str = "https://fleet.example.com/";
/// The identifier of the resource `plain`: no scopes, and no `https`.
pub const PLAIN: &str = "urn:example:plain";

/// `@client.number` stands for the hash of [`secret`] of that client and number.
const COMPANY: &str = r#"
[resource.billing]
identifier = "https://billing.example.com/api"
name = "Billing API"
owner = "team-billing"
token_lifetime = "15m"

[resource.billing.scopes]
"invoice:read" = "Read invoices"
"invoice:write" = "Create and amend invoices"

[resource.fleet]
identifier = "https://fleet.example.com/"
name = "Fleet API"
owner = "team-fleet"
token_lifetime = "5m"

[resource.fleet.scopes]
"vehicle:read" = "Read vehicles"

[resource.plain]
identifier = "urn:example:plain"
name = "An API without scopes"
owner = "team-fleet"

# May do one thing on one resource.
[client.reader]
name = "Reads invoices"
owner = "team-billing"

[client.reader.grants]
billing = ["invoice:read"]

[[client.reader.secret]]
hash = "@reader.1"
created = 2026-01-01

# Has all scopes of one resource.
[client.writer]
name = "Writes invoices"
owner = "team-billing"

[client.writer.grants]
billing = ["invoice:read", "invoice:write"]

[[client.writer.secret]]
hash = "@writer.1"
created = 2026-01-01

# Has two resources and no default.
[client.roamer]
name = "Uses two resources"
owner = "team-fleet"

[client.roamer.grants]
billing = ["invoice:read"]
fleet = ["vehicle:read"]

[[client.roamer.secret]]
hash = "@roamer.1"
created = 2026-01-01

# Has two resources, one of them the default.
[client.chooser]
name = "Has a default resource"
owner = "team-fleet"
default_resource = "fleet"

[client.chooser.grants]
billing = ["invoice:read"]
fleet = ["vehicle:read"]

[[client.chooser.secret]]
hash = "@chooser.1"
created = 2026-01-01

# Uses a resource without scopes.
[client.minimal]
name = "Needs no scope"
owner = "team-fleet"

[client.minimal.grants]
plain = []

[[client.minimal.secret]]
hash = "@minimal.1"
created = 2026-01-01

[client.disabled]
name = "Switched off"
owner = "team-fleet"
disabled = true

[client.disabled.grants]
billing = ["invoice:read"]

[[client.disabled.secret]]
hash = "@disabled.1"
created = 2026-01-01

[client.expired]
name = "Its time has passed"
owner = "team-fleet"
expires = 2026-01-31

[client.expired.grants]
billing = ["invoice:read"]

[[client.expired.secret]]
hash = "@expired.1"
created = 2026-01-01

# Changes its secret: 1 and 2 are valid, 3 has expired, 4 is not valid yet.
[client.rotating]
name = "Changes its secret"
owner = "team-fleet"

[client.rotating.grants]
billing = ["invoice:read"]

[[client.rotating.secret]]
hash = "@rotating.1"
label = "old"
created = 2026-01-01

[[client.rotating.secret]]
hash = "@rotating.2"
label = "new"
created = 2026-06-01

[[client.rotating.secret]]
hash = "@rotating.3"
label = "gone"
created = 2026-01-01
expires = 2026-02-01

[[client.rotating.secret]]
hash = "@rotating.4"
label = "to come"
created = 2026-01-01
not_before = 2999-01-01
"#;

/// The secret of this client with this number: always the same, and of the generated form.
pub fn secret(client: &str, number: u8) -> String {
    generated(client, number).expose().to_owned()
}

fn generated(client: &str, number: u8) -> GeneratedSecret {
    let label = format!("secret {number} of {client}, for tests only");
    let entropy = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, label.as_bytes());
    let entropy: [u8; 32] = entropy.as_ref().try_into().expect("SHA-256 has 32 bytes");
    GeneratedSecret::from_entropy(&zeroize::Zeroizing::new(entropy))
}

/// A folder of registry files.
#[derive(Clone, Debug)]
pub struct Registry {
    files: Vec<(String, String)>,
}

impl Registry {
    /// The company above.
    pub fn company() -> Self {
        Self::empty().file("company.toml", COMPANY)
    }

    /// A folder without files.
    pub fn empty() -> Self {
        Self { files: Vec::new() }
    }

    /// Adds a file. In its text `@client.number` within quotes stands for a hash, as in the company.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Writes the files below this folder.
    pub fn write(&self, folder: &Path) {
        for (path, text) in &self.files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, with_hashes(text)).unwrap();
        }
    }
}

fn with_hashes(text: &str) -> String {
    text.split('"')
        .map(|word| {
            match word
                .strip_prefix('@')
                .and_then(|name| name.rsplit_once('.'))
            {
                Some((client, number)) => {
                    let id = ClientId::parse(client).expect("a placeholder names a client");
                    let number = number.parse().expect("a placeholder ends in a number");
                    generated(client, number).verifier(&id).to_string()
                }
                None => word.to_owned(),
            }
        })
        .collect::<Vec<_>>()
        .join("\"")
}
