//! What the emulator refuses, and how.

use p11rest_emulator::{CertificatesRole, MalformedCode, MissingCertificate, RandomRole, Version};
use serde_json::{Value, json};

use crate::client::{Fixture, base64, bytes};

fn sign_body(changes: Value) -> Value {
    let mut request = json!({
        "payload": base64([1; 32]), "signKeyName": "rsa-2048",
        "signatureAlgorithm": "NONESHA256_WITH_RSA",
    });
    request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "signRequest": request })
}

#[test]
fn api_keys_have_one_role() {
    let fixture = Fixture::new();
    let manager = fixture.secret("key-management");
    let service = fixture.secret("service");
    for (key, path, refusal) in [
        ("not-the-right-one", "/v1/key", (401, 631)),
        ("1234", "/v1/key", (401, 631)),
        (&service, "/v1/key", (401, 631)),
        (&manager, "/v1/generateRandom/8", (401, 631)),
        (&manager, "/v1/versionInfo", (401, 631)),
        ("1234", "/v1/certificate/rsa-cert", (401, 631)),
        ("", "/v1/key", (401, 416)),
        ("", "/v1/generateRandom/8", (401, 416)),
    ] {
        let answer = fixture.connect(key).get(path);
        assert_eq!(answer.refusal(), refusal, "{path}");
    }
    let answer = fixture.connect("x").get("/v1/key");
    assert_eq!(answer.json()["reason"], "res.error.invalid.api.key");
}

#[test]
fn switches_of_roles_and_refusals() {
    let fixture = Fixture::with_switches(|switches| {
        switches.certificates_role = CertificatesRole::KeyOperation;
        switches.random_role = RandomRole::Service;
        switches.missing_api_key_status = 400;
        switches.missing_certificate = MissingCertificate::Null;
        switches.malformed_code = MalformedCode::Json621;
        switches.version = Version::V2_2;
    });
    let mut operator = fixture.operator();
    let answer = operator.get("/v1/certificate/rsa-cert");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().get("rawCertificate"), None);
    let null = json!({ "label": "rsa-2048", "certificate": null });
    assert_eq!(operator.get("/v1/certificate/rsa-2048").json(), null);
    assert_eq!(operator.get("/v1/generateRandom/8").refusal(), (401, 631));
    let service = fixture.secret("service");
    assert_eq!(fixture.connect(&service).get("/v1/generateRandom/8").status, 200);
    assert_eq!(fixture.connect("").get("/v1/key").refusal(), (400, 416));
    assert_eq!(operator.request("POST", "/v1/synchronousSign", b"{").refusal(), (400, 621));
    let raw = sign_body(json!({ "signatureType": "RAW" }));
    assert_eq!(operator.post("/v1/synchronousSign", &raw).refusal(), (400, 621));
}

#[test]
fn without_api_keys_none_is_asked_for() {
    let fixture = Fixture::with_switches(|switches| switches.api_keys = false);
    assert_eq!(fixture.connect("").get("/v1/key").status, 200);
    let config = std::fs::read_to_string(fixture.dir.join("p11rest.toml")).unwrap();
    assert!(!config.contains("[slot.auth]"));
}

#[test]
fn access_tokens() {
    let fixture = Fixture::with(|options| options.bearer = Some("a.b.c".to_owned()));
    let mut manager = fixture.manager();
    assert_eq!(manager.get("/v1/key").refusal(), (401, 406));
    for (header, status) in [("Bearer x", 401), ("a.b.c", 401), ("Bearer a.b.c", 200)] {
        let mut manager = fixture.manager();
        manager.headers.push(("Authorization", header.to_owned()));
        let answer = manager.get("/v1/key");
        assert_eq!(answer.status, status, "{header}");
        assert_eq!(status == 401, answer.refusal().1 == 617, "{header}");
    }
}

#[test]
fn bodies() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    let mut refusal = |body: &str| operator.request("POST", "/v1/synchronousSign", body.as_bytes()).refusal();
    assert_eq!(refusal(""), (400, 600));
    assert_eq!(refusal("{"), (400, 600));
    assert_eq!(refusal("[]"), (400, 600));
    assert_eq!(refusal(&format!("{} x", sign_body(json!({})))), (400, 600));
    for changes in [
        json!({ "payload": "AQ" }),
        json!({ "payload": "AQ==\n" }),
        json!({ "payload": "_-_-" }),
        json!({ "payload": null }),
        json!({ "surplus": 1 }),
        json!({ "keyPassword": [] }),
        json!({ "keyPassword": ["pw"] }),
        json!({ "signatureAlgorithm": "SHA256withRSA" }),
        json!({ "signatureType": "JWS" }),
        json!({ "payloadType": "XML" }),
        json!({ "context": "AQ==" }),
        json!({ "signedApprovals": ["AQ=="] }),
    ] {
        assert_eq!(refusal(&sign_body(changes.clone()).to_string()), (400, 600), "{changes}");
    }
    let doubled = sign_body(json!({})).to_string().replace("{\"pay", "{\"payload\":\"\",\"pay");
    assert_eq!(refusal(&doubled), (400, 600));
    let mut surplus = sign_body(json!({}));
    surplus["surplus"] = json!(null);
    assert_eq!(refusal(&surplus.to_string()), (400, 600));
    assert_eq!(refusal(&sign_body(json!({ "keyPassword": null })).to_string()), (200, 0));
}

#[test]
fn headers() {
    let fixture = Fixture::new();
    let body = sign_body(json!({}));
    for (content_type, status) in [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
    ] {
        let mut operator = fixture.operator();
        operator.headers = vec![("Content-Type", content_type.to_owned())];
        assert_eq!(operator.post("/v1/synchronousSign", &body).status, status, "{content_type}");
    }
    for (accept, status) in [("application/json", 200), ("*/*", 200), ("text/html", 406)] {
        let mut operator = fixture.operator();
        operator.headers.push(("Accept", accept.to_owned()));
        assert_eq!(operator.post("/v1/synchronousSign", &body).status, status, "{accept}");
    }
}

#[test]
fn paths_and_methods() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    let answer = operator.get("/v1/systemTime");
    assert_eq!(answer.status, 404);
    let body = answer.json();
    assert_eq!((&body["status"], &body["error"]), (&json!(404), &json!("Not Found")));
    assert_eq!(body["path"], "/v1/systemTime");
    assert!(body["timestamp"].is_string() && body.get("errorCode").is_none());
    let answer = operator.get("/v1/synchronousSign");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(operator.get("/v1/synchronousSign/").status, 404);
    assert_eq!(operator.post("/v1/wrap", &json!({})).refusal(), (501, 101));
}

#[test]
fn sizes() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    let sign = |size: usize| {
        sign_body(json!({ "payload": base64(vec![1; size]), "signatureAlgorithm": "SHA256_WITH_RSA" }))
    };
    assert_eq!(operator.post("/v1/synchronousSign", &sign(64 * 1024)).status, 200);
    let answer = operator.post("/v1/synchronousSign", &sign(64 * 1024 + 1));
    assert_eq!(answer.refusal(), (400, 612));
    assert_eq!(fixture.operator().post("/v1/synchronousSign", &sign(1 << 20)).status, 413);
}

#[test]
fn keys_that_do_not_fit() {
    let fixture = Fixture::new();
    let mut operator = fixture.operator();
    for (label, algorithm, refusal) in [
        ("nope", "NONESHA256_WITH_RSA", (404, 650)),
        ("aes-256", "NONESHA256_WITH_RSA", (400, 613)),
        ("ec-p256", "NONESHA256_WITH_RSA", (400, 607)),
        ("rsa-2048", "NONE_WITH_ECDSA", (400, 607)),
        ("rsa-2048", "EDDSA", (400, 607)),
        ("ed25519", "ML_DSA", (400, 607)),
    ] {
        let answer = operator.try_sign(label, algorithm, &[1; 32]);
        assert_eq!(answer.refusal(), refusal, "{label} {algorithm}");
    }
    // The order of the reference: an unknown algorithm before an unknown key.
    assert_eq!(operator.try_sign("nope", "ROT13", b"").refusal(), (400, 600));
    let body = json!({ "decryptRequest": {
        "encryptedPayload": "AQ==", "decryptKeyName": "ec-p256", "cipherAlgorithm": "RSA",
    }});
    assert_eq!(operator.post("/v1/synchronousDecrypt", &body).refusal(), (400, 613));
}

#[test]
fn usage_flags() {
    let fixture = Fixture::new();
    let mut manager = fixture.manager();
    let attributes = json!({ "sign": false, "decrypt": true, "unwrap": false, "encrypt": false });
    let body = json!({ "label": "d", "algorithm": "RSA", "keySize": 2048, "attributes": attributes });
    assert_eq!(manager.post("/v1/key", &body).status, 201);
    let mut operator = fixture.operator();
    assert_eq!(operator.try_sign("d", "SHA256_WITH_RSA", b"x").refusal(), (500, 701));
    let body = json!({ "encryptRequest": {
        "payload": "AQ==", "encryptKeyName": "d", "cipherAlgorithm": "RSA",
    }});
    assert_eq!(operator.post("/v1/encrypt", &body).refusal(), (400, 606));
}

#[test]
fn key_creation() {
    let fixture = Fixture::new();
    let mut manager = fixture.manager();
    for (changes, refusal) in [
        (json!({ "label": "a/b" }), (400, 610)),
        (json!({ "label": "" }), (400, 610)),
        (json!({ "keySize": 2047 }), (400, 603)),
        (json!({ "keySize": null }), (400, 603)),
        (json!({ "algorithm": "rsa" }), (400, 600)),
        (json!({ "algorithm": null }), (400, 600)),
        (json!({ "algorithm": "ML-DSA-44" }), (501, 101)),
        (json!({ "curveOid": "1.3.132.0.34" }), (400, 600)),
        (json!({ "algorithm": "EC", "keySize": null }), (400, 600)),
        (json!({ "algorithm": "EC", "keySize": null, "curveOid": "1.2.3" }), (400, 607)),
        (json!({ "attributes": { "sign": true } }), (400, 600)),
        (json!({ "attributes": { "sign": false, "decrypt": false, "unwrap": false } }), (400, 606)),
        (json!({ "policy": { "keyStatus": { "blocked": false } } }), (403, 451)),
        (json!({ "addressFormat": { "format": "BTC" } }), (400, 630)),
    ] {
        let mut body = json!({
            "label": "new", "algorithm": "RSA", "keySize": 2048,
            "attributes": { "sign": true, "decrypt": false, "unwrap": false },
        });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        assert_eq!(manager.post("/v1/key", &body).refusal(), refusal, "{changes}");
    }
}

#[test]
fn certificates_that_are_not_taken() {
    let fixture = Fixture::new();
    let mut manager = fixture.manager();
    let before = manager.get("/v1/certificate/ec-cert").json();
    let raw = before["rawCertificate"].as_str().unwrap();
    let der = bytes(&before["rawCertificate"]);
    let pem = before["certificate"].as_str().unwrap();
    let wrapped = format!("{}\n{}", &raw[..64], &raw[64..]);
    let (cut, longer) = (base64(&der[..der.len() - 1]), base64([&der[..], &[0]].concat()));
    let public_key = manager.attributes("ec-cert")["json"]["publicKey"].clone();
    let import = "/v1/certificate/import/plain";
    for (label, certificate, refusal) in [
        ("nope", raw, (404, 650)),
        ("aes-256", raw, (400, 613)),
        ("ec-p256", raw, (400, 402)),
        ("rsa-2048", raw, (400, 402)),
        ("ec-cert", pem, (400, 626)),
        ("ec-cert", &wrapped, (400, 626)),
        ("ec-cert", &raw[..raw.len() - 1], (400, 626)),
        ("ec-cert", &cut, (400, 626)),
        ("ec-cert", &longer, (400, 626)),
        ("ec-cert", public_key.as_str().unwrap(), (400, 626)),
        ("ec-cert", "", (400, 626)),
    ] {
        let body = json!({ "label": label, "certificate": certificate });
        assert_eq!(manager.post(import, &body).refusal(), refusal, "{label} {certificate}");
    }
    for body in
        [json!({ "label": "ec-cert" }), json!({ "label": "ec-cert", "certificate": raw, "password": "x" })]
    {
        assert_eq!(manager.post(import, &body).refusal(), (400, 600), "{body}");
    }
    let mut operator = fixture.operator();
    let body = json!({ "label": "ec-cert", "certificate": raw });
    assert_eq!(operator.post(import, &body).refusal(), (401, 631));
    assert_eq!(operator.request("DELETE", "/v1/certificate/ec-cert", b"").refusal(), (401, 631));
    assert_eq!(manager.get("/v1/certificate/ec-cert").json(), before);
}

#[test]
fn certificates_that_are_not_there_to_be_removed() {
    for (reading, refusal) in [
        (MissingCertificate::NoSuchKey, (404, 650)),
        (MissingCertificate::Invalid, (400, 402)),
        (MissingCertificate::NotFound, (404, 0)),
    ] {
        let fixture = Fixture::with_switches(|switches| {
            switches.missing_certificate = reading;
            switches.certificates_role = CertificatesRole::KeyOperation;
        });
        let mut operator = fixture.operator();
        let mut remove = |label: &str| operator.request("DELETE", &format!("/v1/certificate/{label}"), b"");
        assert_eq!(remove("rsa-2048").refusal(), refusal);
        assert_eq!(remove("nope").refusal(), (404, 650));
        assert_eq!(remove("ec-cert").status, 200);
        assert_eq!(remove("ec-cert").refusal(), refusal);
        assert_eq!(fixture.manager().attributes("ec-cert")["json"]["label"], "ec-cert");
    }
}
