//! The gateway: tokens, signed requests, keys.

use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use p11rest_emulator::Api;

use crate::client::{Answer, Client, Fixture, base64, bytes, openssl};

/// A gateway that was told these settings.
fn gateway(settings: &[(&str, &str)]) -> Fixture {
    Fixture::with(|options| {
        options.api = Api::Gateway;
        options.settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    })
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A UUID that looks like a random one, and is another each time.
fn uuid() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id())
}

/// A caller that signs as `v3.0` has it.
struct Caller {
    client: Client,
    key_id: String,
    secret: String,
    token: Option<String>,
    timestamp: Option<u64>,
    nonce: Option<String>,
}

impl Caller {
    fn new(fixture: &Fixture) -> Caller {
        let secret = std::fs::read_to_string(fixture.dir.join("hmac.secret")).unwrap();
        Caller {
            client: fixture.connect(""),
            key_id: "client-001".to_owned(),
            secret,
            token: None,
            timestamp: None,
            nonce: None,
        }
    }

    /// The other account.
    fn visitor(fixture: &Fixture) -> Caller {
        let secret = std::fs::read_to_string(fixture.dir.join("hmac-visitor.secret")).unwrap();
        Caller { key_id: "client-002".to_owned(), secret, ..Caller::new(fixture) }
    }

    fn logged_in(fixture: &Fixture) -> Caller {
        let mut caller = Caller::new(fixture);
        let answer = caller.log_in("operator", "1234");
        assert_eq!(answer.status, 200, "{}", answer.json());
        caller.token = answer.json()["access_token"].as_str().map(str::to_owned);
        caller
    }

    fn send(&mut self, method: &str, target: &str, content_type: &str, body: &[u8]) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let timestamp = self.timestamp.unwrap_or_else(now).to_string();
        let nonce = self.nonce.clone().unwrap_or_else(uuid);
        let hash = hex(Sha256::digest(body));
        let text = ["v3.0", method, path, query, &timestamp, &nonce, &self.key_id, &hash].join("\n");
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap().chain_update(text);
        self.client.headers = vec![
            ("Content-Type", content_type.to_owned()),
            ("X-Auth-Version", "v3.0".to_owned()),
            ("X-Key-Id", self.key_id.clone()),
            ("X-Timestamp", timestamp),
            ("X-Nonce", nonce),
            ("X-Content-SHA256", hash),
            ("X-Signature", hex(mac.finalize().into_bytes())),
        ];
        let bearer = self.token.iter().map(|token| ("Authorization", format!("Bearer {token}")));
        self.client.headers.extend(bearer);
        self.client.request(method, target, body)
    }

    fn get(&mut self, target: &str) -> Answer {
        self.send("GET", target, "application/json", b"")
    }

    fn post(&mut self, target: &str, body: &Value) -> Answer {
        self.send("POST", target, "application/json", body.to_string().as_bytes())
    }

    fn log_in(&mut self, user: &str, password: &str) -> Answer {
        let body = format!("grant_type=password&username={user}&password={password}");
        self.send("POST", "/token", "application/x-www-form-urlencoded", body.as_bytes())
    }
}

fn error(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert_eq!(body["code"], answer.status);
    assert_eq!(body["success"], false);
    (answer.status, body["error"].as_str().unwrap().to_owned())
}

fn refused(answer: Answer, status: u16, name: &str) {
    assert_eq!(error(&answer), (status, name.to_owned()), "{}", answer.json());
}

/// What a test changes while the gateway runs.
fn switch(fixture: &Fixture, method: &str, path: &str, body: Value) {
    let body = body.to_string();
    let answer = fixture.connect("").request(method, &format!("/_emulator/{path}"), body.as_bytes());
    assert_eq!(answer.status, 204, "{path}");
}

#[test]
fn keys_are_listed_page_by_page_and_told_of() {
    let fixture = gateway(&[("page_size", "2")]);
    let mut caller = Caller::logged_in(&fixture);
    let mut labels = Vec::new();
    let mut page = json!(1);
    while !page.is_null() {
        let answer = caller.get(&format!("/api/v1/keys?page={page}&size=50")).json();
        assert!(answer["keys"].as_array().unwrap().len() <= 2);
        assert_eq!(answer["total"], 5);
        labels.extend(answer["keys"].as_array().unwrap().iter().map(|key| key["label"].clone()));
        page = answer["next"].clone();
    }
    assert_eq!(labels, ["ec-p256", "ec-p384", "ed25519", "rsa-2048", "rsa-3072"]);
    let key = caller.get("/api/v1/keys/ec-p256").json();
    assert_eq!((&key["algorithm"], &key["curve"]), (&json!("EC"), &json!("P-256")));
    assert_eq!(key["operations"], json!(["sign"]));
    assert!(key["certificate"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    let key = caller.get("/api/v1/keys/rsa-3072").json();
    assert_eq!(
        (&key["algorithm"], &key["size"], &key["certificate"]),
        (&json!("RSA"), &json!(3072), &Value::Null)
    );
    refused(caller.get("/api/v1/keys/nope"), 404, "NO_SUCH_KEY");
    refused(caller.get("/api/v1/keys?page=0"), 400, "BAD_REQUEST");
    refused(caller.get("/api/v1/other"), 404, "NO_SUCH_PATH");
    refused(caller.post("/api/v1/keys", &json!({})), 405, "WRONG_METHOD");
    assert_eq!(bytes(&caller.get("/api/v1/random/33").json()["random"]).len(), 33);
    refused(caller.get("/api/v1/random/1025"), 400, "BAD_REQUEST");
}

#[test]
fn openssl_takes_the_signatures_and_what_it_encrypts_is_decrypted() {
    let fixture = gateway(&[]);
    let mut caller = Caller::logged_in(&fixture);
    let message = b"signed by the gateway";
    let message_file = fixture.file("message", message);
    let digest = base64(Sha256::digest(message));
    for (label, algorithm, options) in [
        ("rsa-2048", "RSA_PKCS1_SHA256", &[][..]),
        (
            "rsa-3072",
            "RSA_PSS_SHA256",
            &["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"][..],
        ),
        ("ec-p256", "ECDSA", &[][..]),
        ("ec-p384", "ECDSA", &[][..]),
    ] {
        let answer = caller.post(
            &format!("/api/v1/keys/{label}/sign"),
            &json!({ "algorithm": algorithm, "digest": digest }),
        );
        assert_eq!(answer.status, 200, "{}", answer.json());
        let signature = fixture.file("signature", &bytes(&answer.json()["signature"]));
        let public =
            caller.get(&format!("/api/v1/keys/{label}")).json()["publicKey"].as_str().unwrap().to_owned();
        let public = fixture.file("public.pem", public.as_bytes());
        let mut arguments = vec!["dgst", "-sha256", "-verify", public.to_str().unwrap()];
        arguments.extend(options);
        arguments.extend(["-signature", signature.to_str().unwrap(), message_file.to_str().unwrap()]);
        openssl(&arguments).unwrap();
    }
    let public = caller.get("/api/v1/keys/rsa-2048").json()["publicKey"].as_str().unwrap().to_owned();
    let public = fixture.file("public.pem", public.as_bytes());
    let (public, message_file) = (public.to_str().unwrap(), message_file.to_str().unwrap());
    let encrypted = openssl(&[
        "pkeyutl",
        "-encrypt",
        "-pubin",
        "-inkey",
        public,
        "-in",
        message_file,
        "-pkeyopt",
        "rsa_padding_mode:oaep",
        "-pkeyopt",
        "rsa_oaep_md:sha256",
    ])
    .unwrap();
    let body = json!({ "algorithm": "RSA_OAEP_SHA256", "ciphertext": base64(&encrypted) });
    let answer = caller.post("/api/v1/keys/rsa-2048/decrypt", &body);
    assert_eq!(bytes(&answer.json()["plaintext"]), message);
    let body = json!({ "algorithm": "RSA_OAEP_SHA1", "ciphertext": base64(&encrypted) });
    refused(caller.post("/api/v1/keys/rsa-2048/decrypt", &body), 400, "WRONG_INPUT");
    refused(caller.post("/api/v1/keys/ec-p256/decrypt", &body), 403, "KEY_USAGE");
    let sign = "/api/v1/keys/ec-p256/sign";
    refused(caller.post(sign, &json!({ "algorithm": "EDDSA", "digest": digest })), 400, "WRONG_ALGORITHM");
    refused(caller.post(sign, &json!({ "algorithm": "ECDSA", "digest": "AA=" })), 400, "BAD_REQUEST");
    refused(
        caller.post(sign, &json!({ "algorithm": "ECDSA", "digest": digest, "x": 1 })),
        400,
        "BAD_REQUEST",
    );
    refused(caller.send("POST", sign, "text/plain", b"{}"), 415, "WRONG_TYPE");
}

#[test]
fn the_rules_hold_in_their_order() {
    let fixture = gateway(&[("skew", "60")]);
    let mut caller = Caller::logged_in(&fixture);
    let token = caller.token.take();
    refused(caller.get("/api/v1/health"), 401, "TOKEN_MISSING");
    caller.token = Some("eyJhbGciOiJIUzI1NiJ9.e30.AAAA".to_owned());
    refused(caller.get("/api/v1/health"), 401, "TOKEN_INVALID");
    caller.token = token;
    assert_eq!(caller.get("/api/v1/health").status, 200);

    caller.timestamp = Some(now() - 100);
    refused(caller.get("/api/v1/health"), 401, "TIMESTAMP_OUT_OF_RANGE");
    caller.timestamp = None;
    caller.nonce = Some("not-a-uuid".to_owned());
    refused(caller.get("/api/v1/health"), 401, "MALFORMED_NONCE");
    let right = std::mem::replace(&mut caller.secret, "another".to_owned());
    caller.nonce = Some(uuid());
    refused(caller.get("/api/v1/health"), 401, "BAD_SIGNATURE");
    let known = std::mem::replace(&mut caller.key_id, "client-009".to_owned());
    refused(caller.get("/api/v1/health"), 401, "BAD_SIGNATURE");
    (caller.secret, caller.key_id) = (right, known);
    // The nonce of a bad signature has not been used up.
    assert_eq!(caller.get("/api/v1/health").status, 200);
    refused(caller.get("/api/v1/health"), 401, "REPLAY");
    caller.nonce = None;

    let mut visitor = Caller::visitor(&fixture);
    refused(visitor.log_in("operator", "1234"), 401, "WRONG_PRINCIPAL");
    let answer = visitor.log_in("visitor", "1234").json();
    visitor.token = caller.token.clone();
    refused(visitor.get("/api/v1/health"), 401, "WRONG_PRINCIPAL");
    visitor.token = answer["access_token"].as_str().map(str::to_owned);
    assert_eq!(visitor.get("/api/v1/keys").status, 200);
    refused(visitor.post("/api/v1/keys/ec-p256/sign", &json!({})), 403, "NOT_PERMITTED");

    let unsigned = fixture.connect("").get("/api/v1/health");
    refused(unsigned, 401, "MISSING_HEADER");
    switch(&fixture, "PUT", "allow", json!(["192.0.2.0/24", "2001:db8::/32"]));
    refused(fixture.connect("").get("/api/v1/health"), 403, "IP_NOT_ALLOWED");
    switch(&fixture, "PUT", "allow", json!(["127.0.0.0/8"]));
    assert_eq!(caller.get("/api/v1/health").status, 200);
    let events = fixture.connect("").get("/_emulator/events").json();
    assert_eq!(
        (&events["LOGIN"], &events["BAD_SIGNATURE"], &events["REPLAY"]),
        (&json!(2), &json!(2), &json!(1))
    );
}

#[test]
fn tokens_are_renewed_by_both_and_the_old_refresh_token_ends() {
    let fixture = gateway(&[]);
    let mut caller = Caller::new(&fixture);
    let first = caller.log_in("operator", "1234").json();
    assert_eq!((&first["token_type"], &first["expires_in"]), (&json!("bearer"), &json!(300)));
    let renewal =
        |from: &Value| json!({ "AccessToken": from["access_token"], "RefreshToken": from["refresh_token"] });
    let second = caller.post("/api/Auth/RefreshToken", &renewal(&first));
    assert_eq!(second.status, 200);
    let second = second.json();
    assert_ne!(second["access_token"], first["access_token"]);
    refused(caller.post("/api/Auth/RefreshToken", &renewal(&first)), 401, "REFRESH_REFUSED");
    let foreign = json!({ "AccessToken": "x", "RefreshToken": second["refresh_token"] });
    refused(caller.post("/api/Auth/RefreshToken", &foreign), 401, "REFRESH_REFUSED");
    caller.token = second["access_token"].as_str().map(str::to_owned);
    assert_eq!(caller.get("/api/v1/health").status, 200);

    switch(&fixture, "POST", "tokens/expire", Value::Null);
    refused(caller.get("/api/v1/health"), 401, "TOKEN_EXPIRED");
    let third = caller.post("/api/Auth/RefreshToken", &renewal(&second)).json();
    switch(&fixture, "POST", "tokens/revoke", Value::Null);
    refused(caller.post("/api/Auth/RefreshToken", &renewal(&third)), 401, "REFRESH_REFUSED");

    switch(&fixture, "PUT", "tokens", json!({ "calls": 2 }));
    let mut caller = Caller::logged_in(&fixture);
    let statuses: Vec<_> = (0..3).map(|_| caller.get("/api/v1/health").status).collect();
    assert_eq!(statuses, [200, 200, 401]);
}

/// Real servers tell the life in the token, too: RFC 7519 §4.1.4.
#[test]
fn tokens_say_when_they_expire() {
    use base64::Engine as _;
    let fixture = gateway(&[("ttl", "77"), ("rotation", "false"), ("token_answer", "pascal")]);
    let mut caller = Caller::new(&fixture);
    let answer = caller.log_in("operator", "1234").json();
    let token = answer["AccessToken"].as_str().unwrap();
    let claims = token.split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["sub"], "operator");
    assert_eq!(claims["exp"].as_u64().unwrap(), claims["iat"].as_u64().unwrap() + 77);
    let body = json!({ "AccessToken": token, "RefreshToken": answer["RefreshToken"] });
    for _ in 0..2 {
        let renewed = caller.post("/api/Auth/RefreshToken", &body);
        assert_eq!((renewed.status, &renewed.json()["RefreshToken"]), (200, &Value::Null));
    }
}

#[test]
fn the_token_call_is_strict_about_its_form() {
    let fixture = gateway(&[]);
    let mut caller = Caller::new(&fixture);
    let mut send = |content_type, body: &str| caller.send("POST", "/token", content_type, body.as_bytes());
    let form = "application/x-www-form-urlencoded";
    let good = "grant_type=password&username=operator&password=1234";
    assert_eq!(send("x-www-form-urlencoded", good).status, 200);
    refused(send("application/json", r#"{"grant_type":"password"}"#), 415, "WRONG_TYPE");
    refused(send(form, "grant_type=password&username=operator"), 400, "BAD_REQUEST");
    refused(send(form, &format!("{good}&scope=x")), 400, "BAD_REQUEST");
    refused(send(form, &good.replace("password&", "implicit&")), 400, "UNSUPPORTED_GRANT_TYPE");
    refused(send(form, &good.replace("1234", "12%3")), 400, "INVALID_CREDENTIALS");

    let fixture =
        gateway(&[("token_body", "json"), ("token_names", "pascal"), ("sign_token_calls", "false")]);
    let body = json!({ "Grant_Type": "Password", "Username": "operator", "Password": "1234" });
    assert_eq!(fixture.connect("").post("/token", &body).status, 200);
}

#[test]
fn wrong_passwords_lock_the_account() {
    let fixture = gateway(&[("attempts", "2"), ("locked_status", "429"), ("login_status", "401")]);
    let mut caller = Caller::new(&fixture);
    refused(caller.log_in("operator", "wrong"), 401, "INVALID_CREDENTIALS");
    refused(caller.log_in("operator", "wrong"), 429, "ACCOUNT_LOCKED");
    refused(caller.log_in("operator", "1234"), 429, "ACCOUNT_LOCKED");
    switch(&fixture, "PUT", "accounts/operator", json!({ "locked": false }));
    assert_eq!(caller.log_in("operator", "1234").status, 200);
}

#[test]
fn the_clock_can_be_wrong_and_date_tells_it() {
    let fixture = gateway(&[]);
    let mut caller = Caller::logged_in(&fixture);
    switch(&fixture, "PUT", "clock", json!(600));
    let answer = caller.get("/api/v1/health");
    let date = answer.header("date").unwrap().to_owned();
    refused(answer, 401, "TIMESTAMP_OUT_OF_RANGE");
    let parsed = std::process::Command::new("date").args(["-u", "-d", &date, "+%s"]).output().unwrap();
    let told: u64 = String::from_utf8(parsed.stdout).unwrap().trim().parse().unwrap();
    assert!(told.abs_diff(now() + 600) < 60, "{date}");
    caller.timestamp = Some(told);
    refused(caller.get("/api/v1/health"), 401, "TOKEN_EXPIRED");
}

#[test]
fn two_secrets_are_good_while_one_replaces_the_other() {
    let fixture = gateway(&[("auth", "hmac"), ("signed_answers", "true")]);
    let mut caller = Caller::new(&fixture);
    let old = caller.secret.clone();
    switch(&fixture, "PUT", "secrets/client-001", json!(["the-new-one", old]));
    for secret in ["the-new-one", old.as_str()] {
        caller.secret = secret.to_owned();
        caller.nonce = Some(uuid());
        caller.timestamp = Some(now());
        let answer = caller.get("/api/v1/health");
        assert_eq!(answer.status, 200);
        let body = String::from_utf8(answer.body.clone()).unwrap();
        let text = format!("{}\n{}\n{body}", caller.nonce.as_ref().unwrap(), caller.timestamp.unwrap());
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(text);
        let expected = hex(mac.finalize().into_bytes());
        assert_eq!(answer.header("x-response-signature"), Some(expected.as_str()));
    }
    switch(&fixture, "PUT", "secrets/client-001", json!(["the-new-one"]));
    caller.nonce = None;
    refused(caller.get("/api/v1/health"), 401, "BAD_SIGNATURE");
}

#[test]
fn replays_are_had_for_the_asking() {
    let fixture = gateway(&[]);
    let mut caller = Caller::logged_in(&fixture);
    switch(&fixture, "PUT", "replay", json!(1));
    refused(caller.get("/api/v1/health"), 401, "REPLAY");
    assert_eq!(caller.get("/api/v1/health").status, 200);
}
