//! Every signature algorithm, judged by OpenSSL.

use serde_json::json;

use crate::client::{Fixture, base64, bytes, openssl};

const MESSAGE: &[u8] = b"The quick brown fox jumps over the lazy dog";

struct Judge {
    fixture: Fixture,
    message: String,
}

impl Judge {
    fn new() -> Judge {
        let fixture = Fixture::new();
        let message = fixture.file("message", MESSAGE).to_str().unwrap().to_owned();
        Judge { fixture, message }
    }

    fn digest(&self, hash: &str) -> Vec<u8> {
        openssl(&["dgst", &format!("-{hash}"), "-binary", &self.message]).unwrap()
    }

    fn create(&self, label: &str, curve: &str) {
        let attributes = json!({ "sign": true, "decrypt": false, "unwrap": false });
        let body = json!({
            "label": label, "algorithm": "EC", "curveOid": curve, "attributes": attributes,
        });
        assert_eq!(self.fixture.manager().post("/v1/key", &body).status, 201);
    }

    /// A signature over the message, by a hash that OpenSSL has.
    fn accepts(&self, label: &str, hash: &str, signature: &[u8], options: &[&str]) {
        let key = self.fixture.public_key(label);
        let file = self.fixture.file("signature", signature);
        let hash = format!("-{hash}");
        let mut arguments = vec!["dgst", &hash, "-keyform", "DER", "-verify", key.to_str().unwrap()];
        arguments.extend(["-signature", file.to_str().unwrap()]);
        arguments.extend(options);
        arguments.push(&self.message);
        openssl(&arguments).unwrap_or_else(|error| panic!("{label} {hash} {options:?}: {error}"));
    }

    /// A signature over a digest.
    fn accepts_digest(&self, label: &str, digest: &[u8], signature: &[u8]) {
        let key = self.fixture.public_key(label);
        let (digest, file) = (self.fixture.file("digest", digest), self.fixture.file("signature", signature));
        openssl(&[
            "pkeyutl",
            "-verify",
            "-pubin",
            "-keyform",
            "DER",
            "-inkey",
            key.to_str().unwrap(),
            "-in",
            digest.to_str().unwrap(),
            "-sigfile",
            file.to_str().unwrap(),
        ])
        .unwrap_or_else(|error| panic!("{label}: {error}"));
    }
}

#[test]
fn rsa_pkcs1() {
    let judge = Judge::new();
    let mut operator = judge.fixture.operator();
    for hash in ["sha1", "sha224", "sha256", "sha384", "sha512"] {
        let name = hash.to_ascii_uppercase();
        let whole = operator.sign("rsa-2048", &format!("{name}_WITH_RSA"), MESSAGE);
        judge.accepts("rsa-2048", hash, &whole, &[]);
        let digest = judge.digest(hash);
        let from_digest = operator.sign("rsa-2048", &format!("NONE{name}_WITH_RSA"), &digest);
        assert_eq!(from_digest, whole);
        let short = operator.try_sign("rsa-2048", &format!("NONE{name}_WITH_RSA"), &digest[1..]);
        assert_eq!(short.refusal(), (400, 612));
    }
}

#[test]
fn rsa_pkcs1_without_digest_info() {
    let judge = Judge::new();
    let mut operator = judge.fixture.operator();
    let signature = operator.sign("rsa-cert", "NONE_WITH_RSA", MESSAGE);
    let key = judge.fixture.public_key("rsa-cert");
    let file = judge.fixture.file("signature", &signature);
    let recovered = openssl(&[
        "pkeyutl",
        "-verifyrecover",
        "-pubin",
        "-keyform",
        "DER",
        "-inkey",
        key.to_str().unwrap(),
        "-in",
        file.to_str().unwrap(),
    ]);
    assert_eq!(recovered.unwrap(), MESSAGE);
    assert_eq!(operator.sign("rsa-cert", "NONE_WITH_RSA", &[1; 384 - 11]).len(), 384);
    let long = operator.try_sign("rsa-cert", "NONE_WITH_RSA", &[1; 384 - 10]);
    assert_eq!(long.refusal(), (400, 612));
}

#[test]
fn rsa_pss() {
    let judge = Judge::new();
    let mut operator = judge.fixture.operator();
    let options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    for hash in ["sha1", "sha224", "sha256", "sha384", "sha512"] {
        let name = hash.to_ascii_uppercase();
        let signature = operator.sign("rsa-2048", &format!("{name}_WITH_RSA_PSS"), MESSAGE);
        judge.accepts("rsa-2048", hash, &signature, &options);
        if hash != "sha1" {
            let name = format!("NONE{name}_WITH_RSA_PSS");
            let signature = operator.sign("rsa-2048", &name, &judge.digest(hash));
            judge.accepts("rsa-2048", hash, &signature, &options);
        }
    }
    let unknown = operator.try_sign("rsa-2048", "NONESHA1_WITH_RSA_PSS", &[0; 20]);
    assert_eq!(unknown.refusal(), (400, 600));
}

#[test]
fn ecdsa() {
    let judge = Judge::new();
    judge.create("p521", "1.3.132.0.35");
    judge.create("k256", "1.3.132.0.10");
    let mut operator = judge.fixture.operator();
    let hashes = [
        ("SHA1", "sha1"),
        ("SHA224", "sha224"),
        ("SHA256", "sha256"),
        ("SHA384", "sha384"),
        ("SHA512", "sha512"),
        ("SHA3224", "sha3-224"),
        ("SHA3256", "sha3-256"),
        ("SHA3384", "sha3-384"),
        ("SHA3512", "sha3-512"),
    ];
    for label in ["ec-p256", "ec-cert", "p521", "k256"] {
        for (name, hash) in hashes {
            let signature = operator.sign(label, &format!("{name}_WITH_ECDSA"), MESSAGE);
            judge.accepts(label, hash, &signature, &[]);
            let digest = judge.digest(hash);
            let signature = operator.sign(label, "NONE_WITH_ECDSA", &digest);
            judge.accepts_digest(label, &digest, &signature);
        }
        let twice = operator.sign(label, "DOUBLE_SHA256_WITH_ECDSA", MESSAGE);
        let once = judge.fixture.file("once", &judge.digest("sha256"));
        let digest = openssl(&["dgst", "-sha256", "-binary", once.to_str().unwrap()]).unwrap();
        judge.accepts_digest(label, &digest, &twice);
    }
}

#[test]
fn ecdsa_over_odd_digests() {
    let judge = Judge::new();
    let mut operator = judge.fixture.operator();
    for length in [1, 15, 16, 31, 33, 47, 63, 64] {
        let digest = vec![0xa5; length];
        for label in ["ec-p256", "ec-cert"] {
            let signature = operator.sign(label, "NONE_WITH_ECDSA", &digest);
            judge.accepts_digest(label, &digest, &signature);
        }
    }
    for length in [0, 65] {
        let answer = operator.try_sign("ec-p256", "NONE_WITH_ECDSA", &vec![1; length]);
        assert_eq!(answer.refusal(), (400, 612), "{length}");
    }
}

/// Keccak-256 of nothing: c5d24601… (Ethereum Yellow Paper, §4.1).
#[test]
fn ethereum_signatures() {
    let judge = Judge::new();
    judge.create("k256", "1.3.132.0.10");
    let mut operator = judge.fixture.operator();
    let mut body = json!({ "signRequest": {
        "payload": "", "signKeyName": "k256", "signatureAlgorithm": "KECCAK256_WITH_ECDSA",
        "signatureType": "ETH",
    }});
    let answer = operator.post("/v1/synchronousSign", &body);
    let signature = bytes(&answer.json()["signature"]);
    assert_eq!(signature.len(), 65);
    assert!([27, 28].contains(&signature[64]));
    let digest = [
        0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c, 0x92, 0x7e, 0x7d, 0xb2, 0xdc, 0xc7, 0x03, 0xc0, 0xe5,
        0x00, 0xb6, 0x53, 0xca, 0x82, 0x27, 0x3b, 0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70,
    ];
    judge.accepts_digest("k256", &digest, &der(&signature[..64]));
    body["signRequest"]["signKeyName"] = json!("ec-p256");
    assert_eq!(operator.post("/v1/synchronousSign", &body).refusal(), (400, 607));
}

#[test]
fn raw_signatures() {
    let judge = Judge::new();
    let mut operator = judge.fixture.operator();
    let digest = judge.digest("sha256");
    for (label, length) in [("ec-p256", 64), ("ec-cert", 96)] {
        let answer = operator.post(
            "/v1/synchronousSign",
            &json!({ "signRequest": {
                "payload": base64(&digest), "signKeyName": label,
                "signatureAlgorithm": "NONE_WITH_ECDSA", "signatureType": "RAW",
            }}),
        );
        let signature = bytes(&answer.json()["signature"]);
        assert_eq!(signature.len(), length);
        judge.accepts_digest(label, &digest, &der(&signature));
        assert!(verify(&judge.fixture, label, "NONE_WITH_ECDSA", &digest, &signature));
    }
}

/// SEQUENCE { r INTEGER, s INTEGER }
fn der(raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for half in raw.chunks(raw.len() / 2) {
        let digits: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = usize::from(digits.first().is_none_or(|byte| *byte >= 0x80));
        body.extend([0x02, (digits.len() + sign) as u8]);
        body.extend(std::iter::repeat_n(0, sign));
        body.extend(digits);
    }
    [vec![0x30, body.len() as u8], body].concat()
}

#[test]
fn deterministic_ecdsa() {
    let judge = Judge::new();
    let mut operator = judge.fixture.operator();
    let mut sign = |algorithm: &str| operator.sign("ec-p256", algorithm, MESSAGE);
    let first = sign("SHA256_WITH_ECDSA_DETERMINISTIC");
    assert_eq!(sign("SHA256_WITH_ECDSA_DETERMINISTIC"), first);
    assert_ne!(sign("SHA256_WITH_ECDSA"), sign("SHA256_WITH_ECDSA"));
    judge.accepts("ec-p256", "sha256", &first, &[]);
}

#[test]
fn eddsa() {
    let judge = Judge::new();
    let mut operator = judge.fixture.operator();
    let signature = operator.sign("ed25519", "EDDSA", MESSAGE);
    assert_eq!(signature.len(), 64);
    let key = judge.fixture.public_key("ed25519");
    let file = judge.fixture.file("signature", &signature);
    openssl(&[
        "pkeyutl",
        "-verify",
        "-pubin",
        "-keyform",
        "DER",
        "-inkey",
        key.to_str().unwrap(),
        "-rawin",
        "-in",
        &judge.message,
        "-sigfile",
        file.to_str().unwrap(),
    ])
    .unwrap();
}

#[test]
fn verification() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    for (label, algorithm) in [
        ("rsa-2048", "SHA256_WITH_RSA"),
        ("rsa-cert", "SHA384_WITH_RSA_PSS"),
        ("ec-p256", "SHA256_WITH_ECDSA"),
        ("ed25519", "EDDSA"),
    ] {
        let mut signature = operator.sign(label, algorithm, MESSAGE);
        assert!(verify(&fixture, label, algorithm, MESSAGE, &signature), "{label}");
        assert!(!verify(&fixture, label, algorithm, b"another", &signature), "{label}");
        let last = signature.len() - 1;
        signature[last] ^= 1;
        assert!(!verify(&fixture, label, algorithm, MESSAGE, &signature), "{label}");
        assert!(!verify(&fixture, label, algorithm, MESSAGE, b"nonsense"), "{label}");
    }
}

fn verify(fixture: &Fixture, label: &str, algorithm: &str, payload: &[u8], signature: &[u8]) -> bool {
    let body = json!({ "verifySignatureRequest": {
        "signKeyName": label, "signatureAlgorithm": algorithm, "payload": base64(payload),
        "signature": base64(signature),
    }});
    let answer = fixture.operator().post("/v1/verify", &body);
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()["signatureValid"].as_bool().unwrap()
}
