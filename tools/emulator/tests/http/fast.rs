//! FAST HSM, as its reference has it (sections in the comments), with OpenSSL as the judge of signatures and ciphertexts.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p11rest_emulator::{Api, Options};
use serde_json::{Value, json};

use crate::client::{Answer, Client, Fixture, PIN, openssl};

const SIGNER: &str = "5401A3F05E7C2B9D1E60";
const EXPIRED: &str = "5403D2817B6E4FA09C35";
const SEALER: &str = "5406A8541E7B3D5F0C69";
const FOREIGN: &str = "5407B9652F8C1E6D3A7A";

/// SHA-256("test") (§5 item 5).
const DIGEST: &str = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";

const TOKEN: &str = "/api/account/gettoken";
const INFO: &str = "/api/certificate/getinfosn";
const SIGN: &str = "/api/sign/signhash";
const ENCRYPT: &str = "/api/sign/encryptjwe";
const DECRYPT: &str = "/api/sign/decryptjwe";

fn fast(settings: &[(&str, &str)]) -> Fixture {
    Fixture::with(|options: &mut Options| {
        options.api = Api::Fast;
        options.settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    })
}

fn log_in(client: &mut Client) -> Answer {
    client.post(TOKEN, &json!({ "username": "p11rest", "password": PIN }))
}

/// A connection on which requests carry a fresh token.
fn user(fixture: &Fixture) -> Client {
    let mut client = fixture.connect("");
    renew(&mut client);
    client
}

fn renew(client: &mut Client) {
    let data = log_in(client).json()["data"].clone();
    let token = data.get("accessToken").or(data.get("token")).and_then(Value::as_str).expect("a token");
    let header = format!("Bearer {token}");
    client.headers.retain(|(name, _)| *name != "Authorization");
    client.headers.push(("Authorization", header));
}

fn sign(client: &mut Client, serial: &str, hashes: &[&str]) -> Answer {
    client.post(SIGN, &json!({ "certificateSN": serial, "hashArray": hashes }))
}

/// Status line, code and message of a refusal, which has nothing else (§2).
#[track_caller]
fn refusal(answer: &Answer, member: &str) -> (u16, u64, String) {
    let body = answer.json();
    assert_eq!(body["success"], false, "{body}");
    assert!(body.as_object().unwrap().contains_key(member) && body[member].is_null(), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
    (answer.status, body["code"].as_u64().unwrap(), body["message"].as_str().unwrap().to_owned())
}

#[track_caller]
fn refused(answer: &Answer, member: &str, code: u16, message: &str) {
    assert_eq!(refusal(answer, member), (code, code.into(), message.to_owned()));
}

/// Checks signatures over SHA-256("test") with the certificate's key.
fn verifies(fixture: &Fixture, serial: &str, signature: &Value, options: &[&str]) {
    let path = |name: &str| fixture.dir.join(name).to_str().unwrap().to_owned();
    let certificate = path(&format!("keys/{serial}.crt"));
    let public = openssl(&["x509", "-in", &certificate, "-pubkey", "-noout"]).unwrap();
    fixture.file("public.pem", &public);
    fixture.file("digest", &STANDARD.decode(DIGEST).unwrap());
    fixture.file("signature", &STANDARD.decode(signature.as_str().unwrap()).unwrap());
    let (public, digest, signature) = (path("public.pem"), path("digest"), path("signature"));
    let mut arguments = vec!["pkeyutl", "-verify", "-pubin", "-inkey", &public, "-in", &digest];
    arguments.extend(["-sigfile", &signature, "-pkeyopt", "digest:sha256"]);
    options.iter().for_each(|option| arguments.extend(["-pkeyopt", *option]));
    openssl(&arguments).unwrap();
}

/// §4.1: the token's field, the texts and what else is told differ between the editions.
#[test]
fn tokens_are_those_of_the_edition() {
    let english = log_in(&mut fast(&[]).connect("")).json();
    assert_eq!(english["message"], "Successfully");
    assert_eq!((&english["success"], &english["code"]), (&json!(true), &json!(200)));
    assert_eq!(english["data"]["tokenType"], "Bearer");
    assert_eq!(english["data"]["expiresIn"], 3600);
    assert!(english["data"]["accessToken"].is_string() && english["data"]["token"].is_null());

    let vietnamese = log_in(&mut fast(&[("edition", "vi")]).connect("")).json();
    assert_eq!(vietnamese["message"], "Success");
    assert_eq!(vietnamese["data"].as_object().unwrap().len(), 1);
    let token = vietnamese["data"]["token"].as_str().unwrap();
    // A JSON Web Token (RFC 7519) whose `exp` is an hour from its `iat`.
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
}

#[test]
fn accounts_are_refused_as_documented() {
    let fixture = fast(&[("lock-after", "2")]);
    let mut client = fixture.connect("");
    let wrong = json!({ "username": "p11rest", "password": "4321" });
    refused(&client.post(TOKEN, &wrong), "data", 401, "Invalid username or password");
    refused(
        &client.post(TOKEN, &json!({ "username": "nobody", "password": PIN })),
        "data",
        401,
        "Invalid username or password",
    );
    refused(&client.post(TOKEN, &wrong), "data", 401, "Invalid username or password");
    refused(&log_in(&mut client), "data", 403, "Account is locked");
    let lock = |client: &mut Client, locked: bool| {
        client.request(
            "PUT",
            "/_emulator/accounts/p11rest",
            json!({ "locked": locked }).to_string().as_bytes(),
        )
    };
    assert_eq!(lock(&mut client, false).status, 204);
    assert_eq!(log_in(&mut client).status, 200);
    assert_eq!(lock(&mut client, true).status, 204);
    refused(&log_in(&mut client), "data", 403, "Account is locked");
    assert_eq!(client.request("PUT", "/_emulator/accounts/nobody", b"{\"locked\":true}").status, 404);
}

/// §3: each reading takes its own header and no other.
#[test]
fn the_header_is_that_of_the_reading() {
    for (style, bearer, bare) in [("either", 200, 200), ("bearer", 200, 401), ("bare", 401, 200)] {
        let fixture = fast(&[("auth-style", style)]);
        let mut client = user(&fixture);
        let status = |client: &mut Client| client.post(INFO, &json!({ "certificateSN": SIGNER })).status;
        assert_eq!(status(&mut client), bearer, "{style}");
        let (_, header) = client.headers.last_mut().unwrap();
        *header = header.strip_prefix("Bearer ").unwrap().to_owned();
        assert_eq!(status(&mut client), bare, "{style}");
        client.headers.pop();
        refused(&client.post(INFO, &json!({ "certificateSN": SIGNER })), "data", 401, "Unauthorized");
    }
}

#[test]
fn tokens_end() {
    let fixture = fast(&[("token-calls", "2")]);
    let mut client = user(&fixture);
    for status in [200, 200, 401, 401] {
        assert_eq!(sign(&mut client, SIGNER, &[DIGEST]).status, status);
    }
    renew(&mut client);
    assert_eq!(sign(&mut client, SIGNER, &[DIGEST]).status, 200);
    assert_eq!(client.request("DELETE", "/_emulator/tokens", b"").status, 204);
    refused(&sign(&mut client, SIGNER, &[DIGEST]), "signatureArray", 401, "Unauthorized");

    let fixture = fast(&[("token-ttl", "50"), ("new-token", "replaces")]);
    let mut client = user(&fixture);
    sleep(Duration::from_millis(60));
    assert_eq!(sign(&mut client, SIGNER, &[DIGEST]).status, 401);

    let fixture = fast(&[("new-token", "replaces"), ("token-form", "opaque")]);
    let (mut first, mut second) = (user(&fixture), user(&fixture));
    assert_eq!(sign(&mut first, SIGNER, &[DIGEST]).status, 401);
    assert_eq!(sign(&mut second, SIGNER, &[DIGEST]).status, 200);
}

/// §4.2
#[test]
fn certificates_are_described() {
    let fixture = fast(&[]);
    let mut client = user(&fixture);
    let mut info = |serial: &str| client.post(INFO, &json!({ "certificateSN": serial }));
    let data = info(SIGNER).json()["data"].clone();
    assert_eq!(data["serialNumber"], SIGNER);
    assert_eq!(data["subject"], "CN=signer-1, O=Company ABC, C=VN");
    assert_eq!(data["issuer"], "CN=Fast CA");
    assert_eq!(data["status"], "valid");
    assert_eq!(data["algorithm"], "RSA-2048");
    assert_eq!(data["keyUsage"], json!(["digitalSignature", "nonRepudiation", "keyEncipherment"]));
    let certificate = fixture.dir.join(format!("keys/{SIGNER}.crt"));
    let print = |option: &[&str]| {
        let path = certificate.to_str().unwrap();
        let text = openssl(&[&["x509", "-in", path, "-noout"], option].concat()).unwrap();
        String::from_utf8(text).unwrap()
    };
    let fingerprint = print(&["-fingerprint", "-sha1"]);
    let fingerprint = fingerprint.trim().split_once('=').unwrap().1.replace(':', "");
    assert_eq!(data["thumbprint"], fingerprint);
    assert_eq!(print(&["-serial"]).trim(), format!("serial={SIGNER}"));
    let ends = print(&["-enddate", "-dateopt", "iso_8601"]);
    let ends = ends.trim().strip_prefix("notAfter=").unwrap().replace(' ', "T");
    assert_eq!(data["validTo"], ends);

    assert_eq!(info(EXPIRED).json()["data"]["status"], "expired");
    refused(&info("00FF"), "data", 404, "Certificate not found");
    refused(&info(FOREIGN), "data", 404, "Certificate not found");
    refused(&info("no serial"), "data", 400, "Invalid serial number format");
    refused(&info(&SIGNER.to_lowercase()), "data", 404, "Certificate not found");
    let vietnamese = fast(&[("edition", "vi"), ("serial-form", "lenient"), ("foreign", "forbidden")]);
    let mut client = user(&vietnamese);
    let spelt = format!("00:{}", SIGNER.to_lowercase());
    let data = client.post(INFO, &json!({ "certificateSN": spelt })).json()["data"].clone();
    assert_eq!(data["serialNumber"], SIGNER);
    assert!(data.get("algorithm").is_none());
    assert_eq!(client.post(INFO, &json!({ "certificateSN": FOREIGN })).status, 403);
}

/// §4.3
#[test]
fn digests_are_signed_in_order() {
    let fixture = fast(&[]);
    let mut client = user(&fixture);
    let answer = sign(&mut client, SIGNER, &[DIGEST, DIGEST]).json();
    assert_eq!(answer["message"], "Successfully");
    assert!(answer.get("data").is_none());
    verifies(&fixture, SIGNER, &answer["signatureArray"][1], &[]);
    assert_eq!(answer["signatureArray"].as_array().unwrap().len(), 2);
    assert_eq!(sign(&mut client, SIGNER, &[DIGEST; 100]).status, 200);

    let mut refuse = |serial: &str, hashes: &[&str], message: &str| {
        refused(&sign(&mut client, serial, hashes), "signatureArray", 400, message);
    };
    refuse(SIGNER, &[DIGEST; 101], "Too many hashes");
    refuse(SIGNER, &[], "Invalid hash format");
    refuse(SIGNER, &[DIGEST, "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg="], "Invalid hash format");
    refuse(SIGNER, &["SGVsbG8gV29ybGQ="], "Invalid hash format");
    for serial in [EXPIRED, FOREIGN, SEALER, "00FF"] {
        refuse(serial, &[DIGEST], "Invalid certificate SN");
    }
    let set = |client: &mut Client, status: &str| {
        client
            .request("PUT", &format!("/_emulator/certificates/{SIGNER}"), format!("\"{status}\"").as_bytes())
            .status
    };
    assert_eq!(set(&mut client, "revoked"), 204);
    refused(&sign(&mut client, SIGNER, &[DIGEST]), "signatureArray", 400, "Invalid certificate SN");
    assert_eq!(set(&mut client, "lost"), 400);
}

#[test]
fn signatures_are_those_of_the_reading() {
    let signed = |settings: &[(&str, &str)], item: &str, options: &[&str]| {
        let fixture = fast(settings);
        let answer = sign(&mut user(&fixture), SIGNER, &[item]);
        assert_eq!(answer.status, 200, "{settings:?}: {}", answer.json());
        verifies(&fixture, SIGNER, &answer.json()["signatureArray"][0], options);
    };
    signed(&[("padding", "pss")], DIGEST, &["rsa_padding_mode:pss", "rsa_pss_saltlen:32"]);
    let info = [
        &b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"[..],
        &STANDARD.decode(DIGEST).unwrap(),
    ]
    .concat();
    signed(&[("hash-input", "digestinfo")], &STANDARD.encode(&info), &[]);
    let fixture = fast(&[("hash-input", "digestinfo")]);
    assert_eq!(sign(&mut user(&fixture), SIGNER, &[DIGEST]).status, 400);
    // A service that pads what it gets makes the same signature of a DigestInfo.
    signed(&[("hash-length", "any")], &STANDARD.encode(&info), &[]);
    let fixture = fast(&[("hash-length", "known")]);
    let mut client = user(&fixture);
    for (length, status) in [(20, 200), (28, 400), (32, 200), (48, 200), (64, 200)] {
        assert_eq!(
            sign(&mut client, SIGNER, &[&STANDARD.encode(vec![7; length])]).status,
            status,
            "{length}"
        );
    }
}

/// §4.4, §4.5; OpenSSL gets the content key out.
#[test]
fn texts_are_sealed_and_opened() {
    for edition in ["en", "vi"] {
        let fixture = fast(&[("edition", edition)]);
        let mut client = user(&fixture);
        let text = "Xin ch\u{e0}o \u{1f511}";
        let sealed = client.post(ENCRYPT, &json!({ "certificateSN": SEALER, "data": text })).json();
        let sealed = sealed["data"]["data"].as_str().unwrap().to_owned();
        let compact = match edition {
            "en" => sealed.clone(),
            _ => String::from_utf8(STANDARD.decode(&sealed).unwrap()).unwrap(),
        };
        let parts: Vec<_> = compact.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        assert_eq!(parts[0], br#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#);
        let lengths: Vec<_> = parts[1..].iter().map(Vec::len).collect();
        assert_eq!(lengths, [256, 12, text.len(), 16]);
        let key = fixture.dir.join(format!("keys/{SEALER}.pem"));
        let secret = fixture.file("secret", &parts[1]);
        let content_key = openssl(&[
            "pkeyutl",
            "-decrypt",
            "-inkey",
            key.to_str().unwrap(),
            "-in",
            secret.to_str().unwrap(),
            "-pkeyopt",
            "rsa_padding_mode:oaep",
            "-pkeyopt",
            "rsa_oaep_md:sha256",
        ]);
        assert_eq!(content_key.unwrap().len(), 32);

        let mut open = |serial: &str, data: &str| {
            client.post(DECRYPT, &json!({ "certificateSN": serial, "data": data }))
        };
        assert_eq!(open(SEALER, &sealed).json()["data"]["data"], text);
        refused(&open(SIGNER, &sealed), "data", 500, "Decryption failed");
        refused(&open(EXPIRED, &sealed), "data", 400, "Invalid certificate SN");
        refused(&open(SEALER, "a.b"), "data", 400, "Invalid data format");
        // The packaging of the other edition.
        let other = if edition == "en" { STANDARD.encode(&compact) } else { compact };
        refused(&open(SEALER, &other), "data", 400, "Invalid data format");
    }
}

/// §5 item 4, and what a client's mistake would be.
#[test]
fn mistakes_do_not_hide() {
    let fixture = fast(&[]);
    let mut client = user(&fixture);
    refused(&client.post("/api/sign/verify", &json!({})), "data", 404, "Not found");
    let wrong = client.get(SIGN);
    assert_eq!(wrong.header("allow"), Some("POST"));
    refused(&wrong, "data", 405, "Method not allowed");
    let bodies = [
        json!({ "certificateSN": SIGNER }),
        json!({ "certificateSN": SIGNER, "hashArray": DIGEST }),
        json!({ "certificateSN": SIGNER, "hashArray": [DIGEST], "padding": "pkcs1" }),
        json!({ "certificateSn": SIGNER, "hashArray": [DIGEST] }),
    ];
    for body in bodies {
        refused(&client.post(SIGN, &body), "signatureArray", 400, "Invalid request");
    }
    refused(&client.request("POST", TOKEN, b"{"), "data", 400, "Invalid request");
    client.headers.retain(|(name, _)| *name != "Content-Type");
    refused(&sign(&mut client, SIGNER, &[DIGEST]), "signatureArray", 400, "Invalid request");
}

/// §2: the status line need not repeat the code.
#[test]
fn the_status_line_may_always_be_200() {
    let fixture = fast(&[("http-status", "always200")]);
    let answer = sign(&mut fixture.connect(""), SIGNER, &[DIGEST]);
    assert_eq!(refusal(&answer, "signatureArray"), (200, 401, "Unauthorized".to_owned()));
}

#[test]
fn a_restart_keeps_the_certificates() {
    let mut fixture = fast(&[]);
    let certificate = |fixture: &Fixture| fs::read(fixture.dir.join(format!("keys/{SIGNER}.crt"))).unwrap();
    let before = certificate(&fixture);
    fixture.stop();
    fixture.start(Options { api: Api::Fast, dir: fixture.dir.clone(), ..Options::default() });
    assert_eq!(certificate(&fixture), before);
    let config = fs::read_to_string(fixture.dir.join("p11rest.toml")).unwrap();
    assert_eq!(config.matches("[[slot.key]]").count(), 6, "the foreign one is not there");
}

#[test]
fn a_setting_that_there_is_not_is_refused() {
    let dir = std::env::temp_dir().join(format!("p11rest-fast-{}", std::process::id()));
    let settings = vec![("edition".to_owned(), "fr".to_owned())];
    let options = Options { api: Api::Fast, dir: dir.clone(), settings, ..Options::default() };
    let error = p11rest_emulator::Emulator::start(options).expect_err("refused").to_string();
    assert!(error.contains("edition=en|vi"), "{error}");
    fs::remove_dir_all(dir).unwrap();
}
