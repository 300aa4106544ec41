//! The signatures that no token can do without, on one core, in this process.

use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
    RsaKeyPair,
};

use super::stats::{Round, Times};

/// About the length of what is signed of a token: header and claims in base64url.
const MESSAGE: [u8; 512] = [b'a'; 512];

/// Signs again and again for this long.
pub fn run(algorithm: &str, length: Duration) -> Round {
    let mut sign = signer(algorithm);
    let mut times = Times::new();
    let (started, cpu) = (Instant::now(), own_cpu());
    while started.elapsed() < length {
        let one = Instant::now();
        sign();
        times.note(one.elapsed());
    }
    Round::new(&times, started.elapsed(), own_cpu() - cpu, 0.0)
}

/// CPU time of this thread so far: what others take of its core meanwhile is not a signature's.
fn own_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.try_into().expect("time goes on")
}

fn signer(algorithm: &str) -> Box<dyn FnMut()> {
    match algorithm {
        "ES256" => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
        "ES384" => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
        "RS256" => rsa(&RSA_PKCS1_SHA256),
        "PS256" => rsa(&RSA_PSS_SHA256),
        _ => {
            let key = Ed25519KeyPair::generate().expect("a key");
            Box::new(move || {
                std::hint::black_box(key.sign(&MESSAGE));
            })
        }
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Box<dyn FnMut()> {
    let key = EcdsaKeyPair::generate(algorithm).expect("a key");
    let random = SystemRandom::new();
    Box::new(move || {
        std::hint::black_box(key.sign(&random, &MESSAGE).expect("a signature"));
    })
}

fn rsa(padding: &'static dyn RsaEncoding) -> Box<dyn FnMut()> {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let random = SystemRandom::new();
    let mut signature = vec![0; key.public_modulus_len()];
    Box::new(move || {
        key.sign(padding, &random, &MESSAGE, &mut signature)
            .expect("a signature");
        std::hint::black_box(&signature);
    })
}
