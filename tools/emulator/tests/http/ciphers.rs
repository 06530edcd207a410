//! Decryption of what OpenSSL encrypted, and encryption for what it can decrypt.

use serde_json::{Value, json};

use crate::client::{Answer, Client, Fixture, base64, bytes, openssl};

const MESSAGE: &[u8] = b"attack at dawn";

fn decrypt(client: &mut Client, label: &str, cipher: &str, payload: &[u8], more: Value) -> Answer {
    let mut request = json!({
        "encryptedPayload": base64(payload), "decryptKeyName": label, "cipherAlgorithm": cipher,
    });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post("/v1/synchronousDecrypt", &json!({ "decryptRequest": request }))
}

fn encrypt(client: &mut Client, label: &str, cipher: &str, payload: &[u8], more: Value) -> Answer {
    let mut request = json!({
        "payload": base64(payload), "encryptKeyName": label, "cipherAlgorithm": cipher,
    });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post("/v1/encrypt", &json!({ "encryptRequest": request }))
}

/// W5 of the reference, for each hash.
#[test]
fn rsa_oaep() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    let key = fixture.public_key("rsa-2048");
    let message = fixture.file("message", MESSAGE);
    for (cipher, hash) in [
        ("RSA_PADDING_OAEP_WITH_SHA1", "sha1"),
        ("RSA_PADDING_OAEP_WITH_SHA224", "sha224"),
        ("RSA_PADDING_OAEP_WITH_SHA256", "sha256"),
        ("RSA_PADDING_OAEP_WITH_SHA384", "sha384"),
        ("RSA_PADDING_OAEP_WITH_SHA512", "sha512"),
        ("RSA_PADDING_OAEP", "sha1"),
    ] {
        let mut encrypted = openssl(&[
            "pkeyutl",
            "-encrypt",
            "-pubin",
            "-keyform",
            "DER",
            "-inkey",
            key.to_str().unwrap(),
            "-pkeyopt",
            "rsa_padding_mode:oaep",
            "-pkeyopt",
            &format!("rsa_oaep_md:{hash}"),
            "-in",
            message.to_str().unwrap(),
        ])
        .unwrap();
        let nulls = json!({ "initializationVector": null, "additionalAuthenticationData": null });
        let answer = decrypt(&mut operator, "rsa-2048", cipher, &encrypted, nulls);
        assert_eq!(bytes(&answer.json()["payload"]), MESSAGE, "{cipher}");
        encrypted[100] ^= 1;
        let answer = decrypt(&mut operator, "rsa-2048", cipher, &encrypted, json!({}));
        assert_eq!(answer.refusal(), (500, 701), "{cipher}");
    }
}

#[test]
fn rsa_pkcs1_and_raw() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    let key = fixture.public_key("rsa-2048");
    let message = fixture.file("message", MESSAGE);
    let encrypted = openssl(&[
        "pkeyutl",
        "-encrypt",
        "-pubin",
        "-keyform",
        "DER",
        "-inkey",
        key.to_str().unwrap(),
        "-in",
        message.to_str().unwrap(),
    ])
    .unwrap();
    for cipher in ["RSA_PADDING_PKCS", "RSA"] {
        let answer = decrypt(&mut operator, "rsa-2048", cipher, &encrypted, json!({}));
        assert_eq!(bytes(&answer.json()["payload"]), MESSAGE, "{cipher}");
    }
    let answer = decrypt(&mut operator, "rsa-2048", "RSA_NO_PADDING", &encrypted, json!({}));
    let block = bytes(&answer.json()["payload"]);
    assert_eq!(block.len(), 256);
    assert_eq!(block[..2], [0, 2]);
    assert!(block.ends_with(&[&[0], MESSAGE].concat()));
    for payload in [&encrypted[1..], &[0xff; 256]] {
        let answer = decrypt(&mut operator, "rsa-2048", "RSA_NO_PADDING", payload, json!({}));
        assert_eq!(answer.refusal(), (500, 701));
    }
}

#[test]
fn rsa_round_trips() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    for cipher in ["RSA_PADDING_OAEP_WITH_SHA256", "RSA_PADDING_PKCS", "RSA_NO_PADDING"] {
        let encrypted = encrypt(&mut operator, "rsa-cert", cipher, MESSAGE, json!({})).json();
        assert_eq!(encrypted["initializationVector"], json!(null));
        let payload = bytes(&encrypted["encryptedPayload"]);
        assert_eq!(payload.len(), 384);
        let answer = decrypt(&mut operator, "rsa-cert", cipher, &payload, json!({}));
        assert!(bytes(&answer.json()["payload"]).ends_with(MESSAGE), "{cipher}");
        let long = encrypt(&mut operator, "rsa-cert", cipher, &[1; 385], json!({}));
        assert_eq!(long.refusal(), (400, 612), "{cipher}");
    }
}

#[test]
fn aes_round_trips() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    let blocks = [0x42; 48];
    for (cipher, payload, size, iv) in [
        ("AES_GCM", MESSAGE, 30, 12),
        ("AES_CTR", MESSAGE, 14, 16),
        ("AES", MESSAGE, 16, 16),
        ("AES_CBC_NO_PADDING", &blocks[..], 48, 16),
        ("AES_ECB", &blocks[..], 48, 0),
    ] {
        let encrypted = encrypt(&mut operator, "aes-256", cipher, payload, json!({})).json();
        let ciphertext = bytes(&encrypted["encryptedPayload"]);
        assert_eq!(ciphertext.len(), size, "{cipher}");
        let vector = &encrypted["initializationVector"];
        assert_eq!(vector.as_str().map_or(0, |_| bytes(vector).len()), iv, "{cipher}");
        let more = json!({ "initializationVector": vector });
        let answer = decrypt(&mut operator, "aes-256", cipher, &ciphertext, more);
        assert_eq!(bytes(&answer.json()["payload"]), payload, "{cipher}: {}", answer.json());
    }
}

#[test]
fn gcm_tags_and_authenticated_data() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    let aad = base64(b"header");
    for bits in [64, 96, 104, 112, 120, 128] {
        let more = json!({ "tagLength": bits, "additionalAuthenticationData": aad });
        let encrypted = encrypt(&mut operator, "aes-256", "AES_GCM", MESSAGE, more).json();
        assert_eq!(bytes(&encrypted["messageAuthenticationCode"]).len(), bits / 8);
        let ciphertext = bytes(&encrypted["encryptedPayload"]);
        assert_eq!(ciphertext.len(), MESSAGE.len() + bits / 8);
        let iv = &encrypted["initializationVector"];
        let mut more = json!({
            "tagLength": bits, "additionalAuthenticationData": aad, "initializationVector": iv,
        });
        let answer = decrypt(&mut operator, "aes-256", "AES_GCM", &ciphertext, more.clone());
        assert_eq!(bytes(&answer.json()["payload"]), MESSAGE);
        more["additionalAuthenticationData"] = json!(base64(b"Header"));
        let answer = decrypt(&mut operator, "aes-256", "AES_GCM", &ciphertext, more);
        assert_eq!(answer.refusal(), (500, 701));
    }
    for bits in [-8, 1, 32, 127, 136] {
        let more = json!({ "tagLength": bits });
        let answer = encrypt(&mut operator, "aes-256", "AES_GCM", MESSAGE, more);
        assert_eq!(answer.refusal(), (400, 624), "{bits}");
    }
}

#[test]
fn parameters_that_do_not_fit() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    let iv = json!({ "initializationVector": base64([0; 16]) });
    for (cipher, payload, more, refusal) in [
        ("AES_ECB", 16, iv.clone(), (400, 600)),
        ("AES_ECB", 17, json!({}), (400, 612)),
        ("AES_CBC_NO_PADDING", 17, iv.clone(), (400, 612)),
        ("AES_CBC_NO_PADDING", 16, json!({}), (400, 612)),
        ("AES_CTR", 16, json!({ "initializationVector": base64([0; 12]) }), (400, 612)),
        ("AES_CTR", 16, json!({ "tagLength": 128 }), (400, 624)),
        ("AES_GCM", 15, iv, (500, 701)),
        ("RSA_PADDING_OAEP", 16, json!({}), (400, 607)),
        ("CHACHA20", 16, json!({}), (400, 607)),
        ("ROT13", 16, json!({}), (400, 600)),
    ] {
        let answer = decrypt(&mut operator, "aes-256", cipher, &vec![3; payload], more);
        assert_eq!(answer.refusal(), refusal, "{cipher} {payload}: {}", answer.json());
    }
}

/// RFC 5652 §6.3: no padding has a length of zero. Under a random key any other block may chance to end in a padding.
#[test]
fn wrong_padding_is_refused() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    let encrypted = encrypt(&mut operator, "aes-256", "AES_CBC_NO_PADDING", &[0; 16], json!({})).json();
    let block = bytes(&encrypted["encryptedPayload"]);
    assert_eq!(block.len(), 16);
    let iv = json!({ "initializationVector": encrypted["initializationVector"] });
    assert_eq!(decrypt(&mut operator, "aes-256", "AES", &block, iv).refusal(), (500, 701));
}
