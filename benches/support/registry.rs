//! A registry as large as is asked for, and the one client that all load comes from.

use std::fmt::Write as _;
use std::path::Path;

use grantd::domain::{ClientId, GeneratedSecret};

/// The client that asks for tokens.
pub const CLIENT: &str = "bench";

/// Every algorithm, with the resource whose tokens it signs.
pub const ALGORITHMS: [&str; 5] = ["ES256", "EdDSA", "ES384", "RS256", "PS256"];

/// The identifier of the resource of an algorithm.
pub fn resource(algorithm: &str) -> String {
    format!("https://{}.example.com/api", algorithm.to_lowercase())
}

/// The secret of a client: always the same, of the generated form, and of no worth anywhere else.
pub fn secret(client: &str) -> GeneratedSecret {
    let label = format!("secret of {client}, for benchmarks only");
    let entropy = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, label.as_bytes());
    let entropy: [u8; 32] = entropy.as_ref().try_into().expect("SHA-256 has 32 bytes");
    GeneratedSecret::from_entropy(&zeroize::Zeroizing::new(entropy))
}

/// Writes a registry with the client, a resource an algorithm, and so many clients in all.
pub fn write(folder: &Path, clients: usize) {
    let mut text = String::new();
    for algorithm in ALGORITHMS {
        let name = algorithm.to_lowercase();
        let identifier = resource(algorithm);
        writeln!(
            text,
            "[resource.{name}]\nidentifier = {identifier:?}\nname = \"Signed with {algorithm}\"\n\
             owner = \"bench\"\nalgorithm = {algorithm:?}\n[resource.{name}.scopes]\n\
             \"invoice:read\" = \"Read invoices\"\n\"invoice:write\" = \"Create invoices\"\n"
        )
        .expect("written");
    }
    push_client(&mut text, CLIENT, &ALGORITHMS);
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("bench.toml"), text).expect("written");
    for number in 1..clients {
        let name = format!("client-{number:05}");
        let mut text = String::new();
        push_client(&mut text, &name, &["ES256"]);
        std::fs::write(folder.join(format!("{name}.toml")), text).expect("written");
    }
}

fn push_client(text: &mut String, name: &str, algorithms: &[&str]) {
    let id = ClientId::parse(name).expect("a name");
    let hash = secret(name).verifier(&id);
    let grants: Vec<String> = algorithms
        .iter()
        .map(|it| {
            format!(
                "{} = [\"invoice:read\", \"invoice:write\"]",
                it.to_lowercase()
            )
        })
        .collect();
    writeln!(
        text,
        "[client.{name}]\nname = \"The client {name}\"\nowner = \"bench\"\n\
         grants = {{ {} }}\n[[client.{name}.secret]]\nhash = \"{hash}\"\ncreated = 2026-01-01\n",
        grants.join(", ")
    )
    .expect("written");
}
