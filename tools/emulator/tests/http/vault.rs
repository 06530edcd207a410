//! The transit engine, with OpenSSL as the judge of what it signs.

use p11rest_emulator::Api;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Fixture, PIN, base64, bytes, openssl};

fn start(settings: &[(&str, &str)]) -> Fixture {
    Fixture::with(|options| {
        options.api = Api::Vault;
        options.settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    })
}

/// A connection whose requests carry that token.
fn with_token(fixture: &Fixture, token: &str) -> Client {
    let mut client = fixture.connect("");
    client.headers.push(("X-Vault-Token", token.to_owned()));
    client
}

fn user(fixture: &Fixture) -> Client {
    with_token(fixture, PIN)
}

/// Status and first error.
fn refusal(answer: &Answer) -> (u16, String) {
    let text = answer.json()["errors"][0].as_str().unwrap_or_default().to_owned();
    (answer.status, text)
}

/// What a signature or a ciphertext is of: its version, and what stands behind the prefix.
fn parts(text: &Value) -> (u32, String) {
    let rest = text.as_str().expect("a string").strip_prefix("vault:v").expect("the prefix");
    let (version, rest) = rest.split_once(':').expect("a version");
    (version.parse().expect("a number"), rest.to_owned())
}

/// The newest public key of a key in a file.
fn public_key(fixture: &Fixture, client: &mut Client, name: &str) -> String {
    let key = client.get(&format!("/v1/transit/keys/{name}")).json();
    let latest = key["data"]["latest_version"].to_string();
    let text = key["data"]["keys"][&latest]["public_key"].as_str().expect("a public key").to_owned();
    let pem = match text.starts_with("-----") {
        true => text,
        // RFC 8410 §10.1: the 12 bytes before those of a key on this curve.
        false => {
            let prefix = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
            let spki = [&prefix[..], &bytes(&text.into())].concat();
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64(spki))
        }
    };
    path(fixture, &format!("{name}.pub"), pem.as_bytes())
}

fn path(fixture: &Fixture, name: &str, contents: &[u8]) -> String {
    fixture.file(name, contents).to_str().expect("UTF-8").to_owned()
}

fn sign(client: &mut Client, path: &str, body: &Value) -> (u32, Vec<u8>) {
    let answer = client.post(path, body);
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.json());
    let answer = answer.json();
    let (version, text) = parts(&answer["data"]["signature"]);
    assert_eq!(answer["data"]["key_version"], version);
    (version, bytes(&text.into()))
}

#[test]
fn keys_are_listed_and_described() {
    let fixture = start(&[("extra_keys", "2")]);
    let mut client = user(&fixture);
    let listed = client.request("LIST", "/v1/transit/keys", b"").json();
    let names: Vec<_> = listed["data"]["keys"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert!(names.contains(&"\"rsa-2048\"".to_owned()) && names.contains(&"\"extra-0001\"".to_owned()));
    assert_eq!(client.get("/v1/transit/keys?list=true").json()["data"], listed["data"]);
    assert_eq!(client.get("/v1/transit/keys").status, 405);
    for (name, kind, signs, decrypts) in [
        ("rsa-2048", "rsa-2048", true, true),
        ("ec-p521", "ecdsa-p521", true, false),
        ("ed25519", "ed25519", true, false),
        ("aes-256", "aes256-gcm96", false, true),
    ] {
        let key = client.get(&format!("/v1/transit/keys/{name}")).json();
        let data = &key["data"];
        assert_eq!((&data["name"], &data["type"]), (&json!(name), &json!(kind)));
        assert_eq!(data["supports_signing"], signs, "{name}");
        assert_eq!(data["supports_decryption"], decrypts, "{name}");
    }
    let missing = client.get("/v1/transit/keys/nope");
    assert_eq!((missing.status, missing.json()), (404, json!({ "errors": [] })));
    assert_eq!(client.get("/v1/other/keys/x").status, 404);
}

#[test]
fn keys_are_made_once_and_deleted_when_that_is_allowed() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let message = path(&fixture, "message", b"message");
    for (name, kind) in [("my-ec", "ecdsa-p384"), ("my-rsa", "rsa-2048"), ("a.b_c", "aes128-gcm96")] {
        let body = json!({ "type": kind, "exportable": name == "my-ec" });
        let made = client.post(&format!("/v1/transit/keys/{name}"), &body);
        assert_eq!((made.status, &made.json()["warnings"]), (200, &Value::Null), "{name}");
        let data = &made.json()["data"];
        assert_eq!((&data["type"], &data["latest_version"]), (&json!(kind), &json!(1)));
        assert_eq!((&data["exportable"], &data["deletion_allowed"]), (&body["exportable"], &json!(false)));
        assert_eq!(client.get(&format!("/v1/transit/keys/{name}")).json()["data"], *data);
    }
    let (_, signature) =
        sign(&mut client, "/v1/transit/sign/my-ec/sha2-384", &json!({ "input": base64("message") }));
    let signature = path(&fixture, "signature", &signature);
    let public = public_key(&fixture, &mut client, "my-ec");
    openssl(&["dgst", "-sha384", "-verify", &public, "-signature", &signature, &message]).unwrap();

    // Whatever is asked for: the key is there, and stays what it is.
    let before = client.get("/v1/transit/keys/my-ec").json();
    let again = client.post("/v1/transit/keys/my-ec", &json!({ "type": "rsa-2048" }));
    assert_eq!((again.status, &again.json()["data"]), (200, &before["data"]));
    assert_eq!(again.json()["warnings"], json!(["key my-ec already existed"]));

    for (path, body, status, told) in [
        ("keys/other", json!({ "type": "rsa-1024" }), 400, "unknown key type rsa-1024"),
        ("keys/other", json!({ "kind": "rsa-2048" }), 400, "the call has no parameter \"kind\""),
        ("keys/other", json!({ "exportable": "yes" }), 400, "error parsing JSON"),
        ("keys/a%20b", json!({}), 404, "1 error occurred:\n\t* unsupported path"),
        ("keys/-a", json!({}), 404, "1 error occurred:\n\t* unsupported path"),
        ("keys/other/config", json!({}), 400, "no existing key named other could be found"),
    ] {
        let refused = refusal(&client.post(&format!("/v1/transit/{path}"), &body));
        assert!(refused.0 == status && refused.1.starts_with(told), "{path} {body}: {refused:?}");
    }
    assert_eq!(client.get("/v1/transit/keys/other").status, 404);

    let delete = |client: &mut Client| refusal(&client.request("DELETE", "/v1/transit/keys/my-ec", b""));
    let told = |why: &str| (400, format!("error deleting policy my-ec: {why}"));
    assert_eq!(delete(&mut client), told("deletion is not allowed for this key"));
    let allowed = client.post("/v1/transit/keys/my-ec/config", &json!({ "deletion_allowed": true }));
    assert_eq!((allowed.status, &allowed.json()["data"]["deletion_allowed"]), (200, &json!(true)));
    assert_eq!(client.request("DELETE", "/v1/transit/keys/my-ec", b"").status, 204);
    assert_eq!(delete(&mut client), told("could not delete key; not found"));
    assert_eq!(client.get("/v1/transit/keys/my-ec").status, 404);
}

/// Older releases.
#[test]
fn changes_may_be_silent() {
    let fixture = start(&[("changes", "silent")]);
    let mut client = user(&fixture);
    for _ in 0..2 {
        assert_eq!(client.post("/v1/transit/keys/mine", &json!({})).status, 204);
    }
    let config = json!({ "deletion_allowed": true });
    assert_eq!(client.post("/v1/transit/keys/mine/config", &config).status, 204);
    let key = client.get("/v1/transit/keys/mine").json();
    assert_eq!(
        (&key["data"]["type"], &key["data"]["deletion_allowed"]),
        (&json!("aes256-gcm96"), &json!(true))
    );
}

#[test]
fn signatures_are_good() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let message = path(&fixture, "message", b"message");
    for (name, hash, body, options) in [
        ("rsa-2048", "sha2-256", json!({ "signature_algorithm": "pkcs1v15" }), vec!["-sha256"]),
        (
            "rsa-2048",
            "sha2-384",
            json!({ "signature_algorithm": "pss", "salt_length": "hash" }),
            vec!["-sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48"],
        ),
        // 256 bytes of modulus, 32 of digest, 2 of frame.
        (
            "rsa-2048",
            "sha2-256",
            json!({}),
            vec!["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:222"],
        ),
        ("ec-p256", "sha2-256", json!({ "marshaling_algorithm": "asn1" }), vec!["-sha256"]),
        ("ec-p521", "sha2-512", json!({}), vec!["-sha512"]),
    ] {
        let mut body = body;
        body["input"] = base64("message").into();
        let (version, signature) = sign(&mut client, &format!("/v1/transit/sign/{name}/{hash}"), &body);
        assert_eq!(version, 1);
        let signature = path(&fixture, "signature", &signature);
        let public = public_key(&fixture, &mut client, name);
        let judge =
            [&["dgst", "-verify", &public, "-signature", &signature], &options[..], &[&message]].concat();
        openssl(&judge).unwrap();
    }
    let (_, signature) =
        sign(&mut client, "/v1/transit/sign/ed25519", &json!({ "input": base64("message") }));
    let signature = path(&fixture, "signature", &signature);
    let public = public_key(&fixture, &mut client, "ed25519");
    let judge = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", &public, "-sigfile", &signature];
    openssl(&[&judge[..], &["-in", &message]].concat()).unwrap();
}

#[test]
fn digests_are_signed_where_it_is_said() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let message = path(&fixture, "message", b"message");
    let digest = openssl(&["dgst", "-sha256", "-binary", &message]).unwrap();
    let input = base64(digest);
    let rsa = json!({ "input": input, "prehashed": true, "signature_algorithm": "pkcs1v15" });
    let (_, signature) = sign(&mut client, "/v1/transit/sign/rsa-2048/sha2-256", &rsa);
    let file = path(&fixture, "signature", &signature);
    let public = public_key(&fixture, &mut client, "rsa-2048");
    openssl(&["dgst", "-sha256", "-verify", &public, "-signature", &file, &message]).unwrap();

    // Whatever it is, padded.
    let mut bare = rsa.clone();
    bare["input"] = base64("free text").into();
    let (_, signature) = sign(&mut client, "/v1/transit/sign/rsa-2048/none", &bare);
    let file = path(&fixture, "signature", &signature);
    let recovered = openssl(&["pkeyutl", "-verifyrecover", "-pubin", "-inkey", &public, "-in", &file]);
    assert_eq!(recovered.unwrap(), b"free text");

    // JOSE has r and s side by side, in its own Base64.
    let jws = json!({ "input": input, "prehashed": true, "marshaling_algorithm": "jws" });
    let answer = client.post("/v1/transit/sign/ec-p256", &jws).json();
    let (_, text) = parts(&answer["data"]["signature"]);
    assert_eq!(text.len(), 86);
    assert!(!text.contains(['+', '/', '=']));

    let refused = |client: &mut Client, path: &str, body: &Value| refusal(&client.post(path, body));
    let short = json!({ "input": base64("short"), "prehashed": true, "signature_algorithm": "pkcs1v15" });
    assert_eq!(refused(&mut client, "/v1/transit/sign/rsa-2048/sha2-256", &short).0, 500);
    for (path, body, text) in [
        ("/v1/transit/sign/nope", json!({ "input": "" }), "signing key not found"),
        (
            "/v1/transit/sign/aes-256",
            json!({ "input": "" }),
            "key type aes256-gcm96 does not support signing",
        ),
        ("/v1/transit/sign/ec-p256/md5", json!({ "input": "" }), "invalid hash algorithm \"md5\""),
        ("/v1/transit/sign/ec-p256", json!({ "input": "?" }), "unable to decode input as base64"),
        ("/v1/transit/sign/ec-p256", json!({ "data": "" }), "the call has no parameter \"data\""),
        ("/v1/transit/sign/rsa-2048/none", json!({ "input": "" }), "hash_algorithm=none requires both"),
        ("/v1/transit/sign/ed25519", rsa, "only Pure Ed25519 signatures supported"),
        ("/v1/transit/sign/ec-p256", json!({ "input": "", "prehashed": "yes" }), "error parsing JSON"),
    ] {
        let (status, told) = refused(&mut client, path, &body);
        assert_eq!(status, 400, "{path} {body}");
        assert!(told.starts_with(text), "{path} {body}: {told}");
    }
}

#[test]
fn the_newest_version_signs_unless_another_is_asked_for() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let body = json!({ "input": base64("message") });
    let path = "/v1/transit/sign/ec-rotated";
    assert_eq!(sign(&mut client, path, &body).0, 2);
    assert_eq!(client.request("POST", "/_emulator/keys/ec-rotated/rotate", b"").status, 204);
    assert_eq!(sign(&mut client, path, &body).0, 3);
    let of = |version| json!({ "input": base64("message"), "key_version": version });
    assert_eq!(sign(&mut client, path, &of(1)).0, 1);
    let (status, text) = refusal(&client.post(path, &of(4)));
    assert_eq!((status, text.contains("higher than the latest")), (400, true));
    let least = br#"{"min_decryption_version":2,"min_encryption_version":3}"#;
    assert_eq!(client.request("PUT", "/_emulator/keys/ec-rotated", least).status, 204);
    let (status, text) = refusal(&client.post(path, &of(2)));
    assert_eq!((status, text.contains("less than the minimum")), (400, true));
    let key = client.get("/v1/transit/keys/ec-rotated").json();
    let shown: Vec<_> = key["data"]["keys"].as_object().unwrap().keys().collect();
    assert_eq!(shown, ["2", "3"]);
    assert_eq!(client.request("DELETE", "/_emulator/keys/ec-rotated", b"").status, 204);
    assert_eq!(client.post(path, &body).status, 400);
}

#[test]
fn ciphers() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let seal = json!({ "plaintext": base64("text"), "associated_data": base64("aad") });
    let sealed = client.post("/v1/transit/encrypt/aes-256", &seal).json();
    let ciphertext = &sealed["data"]["ciphertext"];
    let (version, text) = parts(ciphertext);
    // IV, text, tag.
    assert_eq!((version, bytes(&text.clone().into()).len()), (1, 12 + 4 + 16));
    let open = |aad| json!({ "ciphertext": ciphertext, "associated_data": base64(aad) });
    let opened = client.post("/v1/transit/decrypt/aes-256", &open("aad")).json();
    assert_eq!(bytes(&opened["data"]["plaintext"]), b"text");
    let (status, told) = refusal(&client.post("/v1/transit/decrypt/aes-256", &open("other")));
    assert_eq!((status, told.contains("message authentication failed")), (400, true));
    for (ciphertext, told) in [
        (text.clone(), "invalid ciphertext: no prefix"),
        (format!("vault:v2:{text}"), "invalid ciphertext: version is too new"),
        ("vault:v1:AAAA".to_owned(), "invalid ciphertext length"),
    ] {
        let answer = client.post("/v1/transit/decrypt/aes-256", &json!({ "ciphertext": ciphertext }));
        assert_eq!(refusal(&answer), (400, told.to_owned()));
    }
    let own_iv = json!({ "plaintext": "", "nonce": base64([7; 12]) });
    assert_eq!(client.post("/v1/transit/encrypt/aes-256", &own_iv).status, 400);

    let public = public_key(&fixture, &mut client, "rsa-2048");
    let plain = path(&fixture, "plain", b"text");
    let seal = ["pkeyutl", "-encrypt", "-pubin", "-inkey", &public, "-in", &plain];
    let oaep = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"];
    for (options, body) in [(&oaep[..], json!({})), (&[], json!({ "padding_scheme": "pkcs1v15" }))] {
        let mut body = body;
        let sealed = openssl(&[&seal[..], options].concat()).unwrap();
        body["ciphertext"] = format!("vault:v1:{}", base64(sealed)).into();
        let opened = client.post("/v1/transit/decrypt/rsa-2048", &body).json();
        assert_eq!(bytes(&opened["data"]["plaintext"]), b"text");
    }
    assert_eq!(client.post("/v1/transit/encrypt/ec-p256", &json!({ "plaintext": "" })).status, 400);
}

#[test]
fn random_bytes() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let told = client.post("/v1/transit/random/33", &json!({})).json();
    assert_eq!(bytes(&told["data"]["random_bytes"]).len(), 33);
    let told = client.post("/v1/transit/random", &json!({ "bytes": 4, "format": "hex" })).json();
    assert_eq!(told["data"]["random_bytes"].as_str().unwrap().len(), 8);
    assert_eq!(client.post("/v1/transit/random/0", &json!({})).status, 400);
}

#[test]
fn tokens_are_in_either_header() {
    let fixture = start(&[]);
    let mut bearer = fixture.connect("");
    bearer.headers.push(("Authorization", format!("Bearer {PIN}")));
    assert_eq!(bearer.get("/v1/auth/token/lookup-self").status, 200);
    assert_eq!(fixture.connect("").get("/v1/transit/keys/ec-p256").status, 403);
    let (status, text) = refusal(&with_token(&fixture, "other").get("/v1/transit/keys/ec-p256"));
    assert_eq!((status, text.contains("invalid token")), (403, true));
    // No path is told of without a token.
    assert_eq!(fixture.connect("").get("/v1/nothing").status, 403);
    assert_eq!(user(&fixture).get("/v1/nothing").status, 404);
}

#[test]
fn passwords_give_tokens_that_end_and_are_renewed() {
    let settings = [("login", "userpass"), ("token_life", "60"), ("token_uses", "3"), ("lock_after", "2")];
    let fixture = start(&settings);
    let mut client = fixture.connect("");
    let log_in = "/v1/auth/userpass/login/p11rest";
    // The PIN is no token here.
    assert_eq!(user(&fixture).get("/v1/auth/token/lookup-self").status, 403);
    let granted = client.post(log_in, &json!({ "password": PIN })).json();
    assert_eq!(granted["auth"]["lease_duration"], 60);
    let token = granted["auth"]["client_token"].as_str().unwrap();
    let mut client = with_token(&fixture, token);
    assert_eq!(client.get("/v1/transit/keys/ec-p256").status, 200);
    let renewed = client.post("/v1/auth/token/renew-self", &json!({ "increment": 30 })).json();
    assert_eq!(renewed["auth"]["lease_duration"], 30);
    assert_eq!(client.get("/v1/transit/keys/ec-p256").status, 200);
    // Three uses.
    assert_eq!(client.get("/v1/transit/keys/ec-p256").status, 403);
    for (password, expected) in [("wrong", 400), ("wrong", 400), (PIN, 403)] {
        assert_eq!(client.post(log_in, &json!({ "password": password })).status, expected);
    }
    assert_eq!(client.request("PUT", "/_emulator/account", br#"{"locked":false}"#).status, 204);
    let granted = client.post(log_in, &json!({ "password": PIN })).json();
    let mut client = with_token(&fixture, granted["auth"]["client_token"].as_str().unwrap());
    assert_eq!(client.request("POST", "/_emulator/tokens/expire", b"").status, 204);
    assert_eq!(client.get("/v1/transit/keys/ec-p256").status, 403);
    assert_eq!(client.get("/_emulator/tokens").json(), json!({ "logins": 2, "renewals": 1 }));
}

#[test]
fn a_token_may_be_taken_back_and_another_be_given() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    assert_eq!(refusal(&client.post("/v1/auth/token/renew-self", &json!({}))).1, "lease is not renewable");
    assert_eq!(client.post("/v1/auth/token/revoke-self", &json!({})).status, 204);
    assert_eq!(client.get("/v1/transit/keys/ec-p256").status, 403);
    assert_eq!(client.request("POST", "/_emulator/tokens", b"\"another\"").status, 204);
    assert_eq!(with_token(&fixture, "another").get("/v1/transit/keys/ec-p256").status, 200);
}

#[test]
fn policies_seal_and_namespace() {
    let fixture = start(&[("deny", "transit/decrypt/*"), ("namespace", "team")]);
    let mut client = user(&fixture);
    assert_eq!(client.get("/v1/transit/keys/ec-p256").status, 403);
    client.headers.push(("X-Vault-Namespace", "team".to_owned()));
    assert_eq!(client.get("/v1/transit/keys/ec-p256").status, 200);
    let open = json!({ "ciphertext": "vault:v1:AAAA" });
    assert_eq!(client.post("/v1/transit/decrypt/aes-256", &open).status, 403);
    let denied = br#"["transit/keys/ec-p256"]"#;
    assert_eq!(client.request("PUT", "/_emulator/denied", denied).status, 204);
    assert_eq!(client.get("/v1/transit/keys/ec-p256").status, 403);
    assert_eq!(client.get("/v1/transit/keys/ec-p384").status, 200);
    assert_eq!(client.post("/v1/transit/decrypt/aes-256", &open).status, 400);
    assert_eq!(client.request("PUT", "/_emulator/sealed", b"true").status, 204);
    assert_eq!(refusal(&client.get("/v1/transit/keys/ec-p384")), (503, "Vault is sealed".to_owned()));
    let health = client.get("/v1/sys/health");
    assert_eq!((health.status, &health.json()["sealed"]), (503, &json!(true)));
    assert_eq!(client.request("PUT", "/_emulator/sealed", b"false").status, 204);
    assert_eq!(client.get("/v1/sys/health").json()["version"], "1.15.2");
}

/// Another mount, and what a service passes over.
#[test]
fn mounts_and_members() {
    let fixture = start(&[("mount", "team/transit"), ("unknown_members", "ignore")]);
    let mut client = user(&fixture);
    assert_eq!(client.get("/v1/transit/keys/ec-p256").status, 404);
    let body = json!({ "input": "", "other": 1 });
    assert_eq!(client.post("/v1/team/transit/sign/ec-p256", &body).status, 200);
    client.headers[0] = ("Content-Type", "text/plain".to_owned());
    assert_eq!(client.post("/v1/team/transit/sign/ec-p256", &body).status, 415);
}
