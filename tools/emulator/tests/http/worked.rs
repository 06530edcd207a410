//! The worked exchanges of the reference (§1.5, §2, §12).

use p11rest_emulator::Version;
use serde_json::json;

use crate::client::{Fixture, base64, bytes, openssl};

const SEEDED: [&str; 8] =
    ["aes-256", "attestation-key", "ec-cert", "ec-p256", "ed25519", "rsa-2048", "rsa-cert", "timestamp-key"];

#[test]
fn w1_list_keys() {
    let fixture = Fixture::new();
    let answer = fixture.manager().get("/v1/key");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let mut labels: Vec<String> = serde_json::from_slice(&answer.body).unwrap();
    // The template has it; without the switch it is a key like others.
    labels.retain(|label| label != "locked");
    assert_eq!(labels, SEEDED);
}

#[test]
fn w2_unknown_key() {
    let fixture = Fixture::new();
    let answer = fixture.manager().post("/v1/key/attributes", &json!({ "label": "nope" }));
    assert_eq!(answer.refusal(), (404, 650));
    assert_eq!(answer.json()["reason"], "res.error.key.not.existent");
    assert_eq!(fixture.manager().get("/v1/key/nope/attributes").refusal(), (404, 650));
}

#[test]
fn w3_key_password() {
    let fixture = Fixture::with_switches(|switches| switches.locked_key = true);
    let mut manager = fixture.manager();
    for password in [json!(null), json!("x"), json!(["x"])] {
        let body = json!({ "label": "locked", "password": password });
        let answer = manager.post("/v1/key/attributes", &body);
        assert_eq!(answer.refusal(), (400, 620), "{password}");
        assert_eq!(answer.json()["reason"], "res.error.key.password.mismatch");
    }
    for password in [json!("pw"), json!(["p", "w"])] {
        let body = json!({ "label": "locked", "password": password });
        assert_eq!(manager.post("/v1/key/attributes", &body).status, 200, "{password}");
    }
    let mut request = json!({ "signRequest": {
        "payload": base64([7; 32]), "signKeyName": "locked",
        "signatureAlgorithm": "NONE_WITH_ECDSA",
    }});
    let mut operator = fixture.operator();
    assert_eq!(operator.post("/v1/synchronousSign", &request).refusal(), (400, 620));
    request["signRequest"]["keyPassword"] = json!(["p", "w"]);
    assert_eq!(operator.post("/v1/synchronousSign", &request).status, 200);
}

#[test]
fn w4_aes_gcm_round_trip() {
    let fixture = Fixture::new();
    let created = fixture.manager().post(
        "/v1/key",
        &json!({
            "label": "aes-1", "algorithm": "AES", "keySize": 256,
            "attributes": {
                "encrypt": true, "decrypt": true, "sign": false, "unwrap": false,
                "extractable": false, "modifiable": true, "destroyable": true, "sensitive": true,
            },
        }),
    );
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["json"]["publicKey"], json!(null));
    let mut operator = fixture.operator();
    let payload = "RW5jcnlwdERlY3J5cHREZW1v";
    let encrypted = operator.post(
        "/v1/encrypt",
        &json!({ "encryptRequest": {
            "payload": payload, "encryptKeyName": "aes-1", "cipherAlgorithm": "AES_GCM",
            "tagLength": 128,
        }}),
    );
    assert_eq!(encrypted.status, 200);
    let encrypted = encrypted.json();
    let (bare, tag) = (
        bytes(&encrypted["encryptedPayloadWithoutMessageAuthenticationCode"]),
        bytes(&encrypted["messageAuthenticationCode"]),
    );
    assert_eq!((bare.len(), tag.len()), (18, 16));
    assert_eq!(bytes(&encrypted["encryptedPayload"]), [bare, tag].concat());
    assert_eq!(bytes(&encrypted["initializationVector"]).len(), 12);
    let mut request = json!({ "decryptRequest": {
        "encryptedPayload": encrypted["encryptedPayload"], "decryptKeyName": "aes-1",
        "cipherAlgorithm": "AES_GCM", "initializationVector": encrypted["initializationVector"],
        "tagLength": 128,
    }});
    let decrypted = operator.post("/v1/synchronousDecrypt", &request);
    assert_eq!((decrypted.status, &decrypted.json()["payload"]), (200, &json!(payload)));

    let mut forged = bytes(&encrypted["encryptedPayload"]);
    forged[0] ^= 1;
    request["decryptRequest"]["encryptedPayload"] = json!(base64(forged));
    assert_eq!(operator.post("/v1/synchronousDecrypt", &request).refusal(), (500, 701));
}

#[test]
fn w6_rsa_signature_over_a_digest() {
    let fixture = Fixture::new();
    let message = fixture.file("message", b"a message");
    let digest = openssl(&["dgst", "-sha256", "-binary", message.to_str().unwrap()]).unwrap();
    let answer = fixture.operator().post(
        "/v1/synchronousSign",
        &json!({ "signRequest": {
            "payload": base64(digest), "payloadType": "UNSPECIFIED", "signKeyName": "rsa-2048",
            "signatureAlgorithm": "NONESHA256_WITH_RSA",
        }}),
    );
    assert_eq!(answer.status, 200);
    let signature = bytes(&answer.json()["signature"]);
    assert_eq!(signature.len(), 256);
    let signature = fixture.file("signature", &signature);
    openssl(&[
        "dgst",
        "-sha256",
        "-keyform",
        "DER",
        "-verify",
        fixture.public_key("rsa-2048").to_str().unwrap(),
        "-signature",
        signature.to_str().unwrap(),
        message.to_str().unwrap(),
    ])
    .unwrap();
}

#[test]
fn w9_hmac_random_delete() {
    let fixture = Fixture::new();
    let (mut manager, mut operator) = (fixture.manager(), fixture.operator());
    let attributes = json!({ "sign": true, "destroyable": true });
    let body = json!({ "label": "h", "algorithm": "HMACSHA256", "attributes": attributes });
    assert_eq!(manager.post("/v1/key", &body).status, 201);
    let body = json!({ "hmacRequest": { "keyName": "h", "payload": "YXNk" } });
    let hash = operator.post("/v1/synchronousHmac", &body).json()["keyedHash"].clone();
    assert_eq!(bytes(&hash).len(), 32);
    let body = json!({ "verifyHmacRequest": { "keyName": "h", "payload": "YXNk", "signature": hash } });
    assert_eq!(operator.post("/v1/verify", &body).json(), json!({ "signatureValid": true }));

    let random = operator.get("/v1/generateRandom/32");
    assert_eq!((random.status, bytes(&random.json()["random"]).len()), (200, 32));
    assert_ne!(operator.get("/v1/generateRandom/32").body, random.body);
    for length in ["0", "1025", "-1", "x"] {
        let path = format!("/v1/generateRandom/{length}");
        assert_eq!(operator.get(&path).refusal(), (400, 619), "{length}");
    }

    assert_eq!(manager.post("/v1/key/deleteKey", &json!({ "label": "h" })).status, 200);
    let answer = manager.post("/v1/key/deleteKey", &json!({ "label": "h" }));
    assert_eq!(answer.refusal(), (404, 650));
}

#[test]
fn w10_unlicensed_call() {
    let fixture = Fixture::new();
    let answer = fixture.operator().post("/v1/sign", &sign_request());
    assert_eq!(answer.refusal(), (403, 451));
    assert_eq!(answer.json()["reason"], "res.error.client.endpoint.not.licensed");
    assert_eq!(fixture.operator().post("/v1/unwrap", &json!({})).refusal(), (403, 451));
}

#[test]
fn asynchronous_calls_with_and_without_a_licence() {
    let forwarding = Fixture::with_switches(|switches| {
        switches.lone_asynchronous = p11rest_emulator::LoneAsynchronous::Forwarded;
    });
    let answer = forwarding.operator().post("/v1/sign", &sign_request());
    assert_eq!((answer.status, bytes(&answer.json()["signature"]).len()), (200, 256));

    let licensed = Fixture::with_switches(|switches| switches.licence_tsb_engine = true);
    let mut operator = licensed.operator();
    let answer = operator.post("/v1/sign", &sign_request());
    assert_eq!(answer.status, 201);
    let path = format!("/v1/request/{}", answer.json()["signRequestId"].as_str().unwrap());
    let request = operator.get(&path).json();
    assert_eq!(request["status"], "EXECUTED");
    // PKCS#1 v1.5 is deterministic: both paths must give the same signature.
    let signature = licensed.operator().sign("rsa-2048", "NONESHA256_WITH_RSA", &[9; 32]);
    assert_eq!(bytes(&request["result"]), signature);
    assert_eq!(operator.request("DELETE", &path, b"").status, 200);
    assert_eq!(operator.get(&path).refusal(), (404, 651));
    assert_eq!(operator.get("/v1/request/not-a-uuid").refusal(), (400, 609));
}

fn sign_request() -> serde_json::Value {
    json!({ "signRequest": {
        "payload": base64([9; 32]), "payloadType": "UNSPECIFIED", "signKeyName": "rsa-2048",
        "keyPassword": null, "metaData": "U29tZU1ldGFEYXRh", "metaDataSignature": null,
        "signatureAlgorithm": "NONESHA256_WITH_RSA", "signatureType": null,
    }, "requestSignature": null })
}

#[test]
fn attributes_and_their_attestation() {
    let fixture = Fixture::new();
    let answer = fixture.manager().attributes("rsa-2048");
    let json = &answer["json"];
    assert_eq!(json["algorithm"], "RSA");
    assert_eq!(json["algorithmOid"], "1.2.840.113549.1.1.1");
    assert_eq!(json["keySize"], 2048);
    assert_eq!(json["curveOid"], json!(null));
    assert_eq!(json["policy"], json!(null));
    assert!(json["publicKey"].as_str().unwrap().starts_with("MIIBIjANBgkqh"));
    assert!(json["createTime"].as_str().unwrap().ends_with('Z'));
    let flags = json["attributes"].as_object().unwrap();
    assert!(!flags.contains_key("encrypt") && !flags.contains_key("verify"));
    assert_eq!((&flags["sign"], &flags["decrypt"]), (&json!(true), &json!(true)));
    assert_eq!(answer["attestationKeyName"], "attestation-key");

    let xml = fixture.file("xml", answer["xml"].as_str().unwrap().as_bytes());
    let signature = fixture.file("xml.sig", &bytes(&answer["xmlSignature"]));
    openssl(&[
        "dgst",
        "-sha256",
        "-keyform",
        "DER",
        "-verify",
        fixture.public_key("attestation-key").to_str().unwrap(),
        "-signature",
        signature.to_str().unwrap(),
        xml.to_str().unwrap(),
    ])
    .unwrap();
    let deprecated = fixture.manager().get("/v1/key/rsa-2048/attributes").json();
    assert_eq!(deprecated["json"]["publicKey"], json["publicKey"]);
}

#[test]
fn attributes_of_each_kind() {
    let fixture = Fixture::new();
    let mut manager = fixture.manager();
    let expected = [
        ("ec-p256", "EC", json!("1.2.840.10045.2.1"), json!("1.2.840.10045.3.1.7"), Some(91)),
        ("ec-cert", "EC", json!("1.2.840.10045.2.1"), json!("1.3.132.0.34"), Some(120)),
        ("ed25519", "ED", json!("1.3.101.112"), json!(null), Some(44)),
        ("aes-256", "AES", json!(null), json!(null), None),
    ];
    for (label, algorithm, oid, curve, size) in expected {
        let json = manager.attributes(label)["json"].clone();
        assert_eq!(json["algorithm"], algorithm);
        assert_eq!((&json["algorithmOid"], &json["curveOid"]), (&oid, &curve), "{label}");
        assert_eq!(json["publicKey"].as_str().map(|_| bytes(&json["publicKey"]).len()), size);
        if size.is_some() {
            let path = fixture.public_key(label);
            openssl(&["pkey", "-pubin", "-inform", "DER", "-noout", "-in", path.to_str().unwrap()]).unwrap();
        }
    }
}

#[test]
fn attributes_of_older_servers() {
    let fixture = Fixture::with_switches(|switches| {
        switches.version = Version::V2_2;
        switches.symmetric_key_size = true;
    });
    let json = fixture.manager().attributes("aes-256")["json"].clone();
    assert_eq!((&json["keySize"], &json["keyUsageCount"]), (&json!(256), &json!(0)));
    assert_eq!(fixture.manager().attributes("ec-p256")["json"]["keySize"], json!(null));
}

#[test]
fn create_and_delete() {
    let fixture = Fixture::new();
    let mut manager = fixture.manager();
    let attributes = json!({
        "sign": true, "decrypt": true, "unwrap": false, "extractable": false, "modifiable": true,
        "destroyable": true, "sensitive": true,
    });
    let body = json!({ "label": "demo", "algorithm": "RSA", "keySize": 2048, "attributes": attributes });
    let created = manager.post("/v1/key", &body);
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["json"]["label"], "demo");
    assert_eq!(manager.post("/v1/key", &body).refusal(), (400, 608));
    assert_eq!(manager.request("DELETE", "/v1/key/demo", b"").status, 200);
    assert_eq!(manager.request("DELETE", "/v1/key/demo", b"").refusal(), (404, 650));

    let mut permanent = body.clone();
    permanent["attributes"]["destroyable"] = json!(null);
    permanent["id"] = json!("0a0b");
    assert_eq!(manager.post("/v1/key", &permanent).json()["json"]["id"], "0a0b");
    assert_eq!(manager.request("DELETE", "/v1/key/demo", b"").refusal(), (400, 606));
}

#[test]
fn certificates() {
    let fixture = Fixture::new();
    let mut manager = fixture.manager();
    for label in ["rsa-cert", "ec-cert"] {
        let answer = manager.get(&format!("/v1/certificate/{label}")).json();
        assert_eq!(answer["label"], label);
        let pem = fixture.file("certificate.pem", answer["certificate"].as_str().unwrap().as_bytes());
        let der = fixture.file("certificate.der", &bytes(&answer["rawCertificate"]));
        let (pem, der) = (pem.to_str().unwrap(), der.to_str().unwrap());
        openssl(&["verify", "-x509_strict", "-CAfile", pem, pem]).unwrap();
        let subject = openssl(&["x509", "-inform", "DER", "-in", der, "-noout", "-subject"]);
        assert_eq!(subject.unwrap(), format!("subject=CN = {label}\n").as_bytes());
        let from_pem = openssl(&["x509", "-in", pem, "-noout", "-pubkey"]).unwrap();
        let public = fixture.public_key(label);
        let from_key = openssl(&["pkey", "-pubin", "-inform", "DER", "-in", public.to_str().unwrap()]);
        assert_eq!(from_pem, from_key.unwrap());
    }
    assert_eq!(manager.get("/v1/certificate/rsa-2048").refusal(), (404, 650));
    assert_eq!(manager.get("/v1/certificate/nope").refusal(), (404, 650));
}

#[test]
fn certificate_import_and_removal() {
    let fixture = Fixture::new();
    let mut manager = fixture.manager();
    let certificate = manager.get("/v1/certificate/ec-cert").json()["rawCertificate"].clone();
    let path = "/v1/certificate/ec-cert";
    assert_eq!(manager.request("DELETE", path, b"").status, 200);
    assert_eq!(manager.get(path).refusal(), (404, 650));
    let import = "/v1/certificate/import/plain";
    let body = json!({ "label": "ec-cert", "certificate": certificate });
    assert_eq!(manager.post(import, &body).status, 200);
    assert_eq!(manager.get(path).json()["rawCertificate"], certificate);
    let body = json!({ "label": "ec-p256", "certificate": certificate });
    assert_eq!(manager.post(import, &body).refusal(), (400, 402));
    let body = json!({ "label": "ec-cert", "certificate": "not a certificate" });
    assert_eq!(manager.post(import, &body).refusal(), (400, 626));
}

#[test]
fn service() {
    let fixture = Fixture::new();
    let mut service = fixture.connect(&fixture.secret("service"));
    let version = json!({ "Version": "2.5.1", "Vendor": "Securosys SA" });
    assert_eq!(service.get("/v1/versionInfo").json(), version);
    assert_eq!(service.get("/v1/licenseInfo").json(), json!({ "clientFlags": ["REST_API"] }));
    assert!(service.get("/v1/keystore/statistics").json()["keyStoreStatistics"].is_string());
    assert_eq!(service.get("/v1/key").refusal(), (401, 631));
}
