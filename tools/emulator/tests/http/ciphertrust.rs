//! CipherTrust Manager's API: the exchanges of the Luna REST reference §11.1, with OpenSSL as the judge.

use p11rest_emulator::Api;
use serde_json::{Value, json};

use crate::client::{Answer, Client, Fixture, PIN, base64, bytes, openssl};

const TOKENS: &str = "/api/v1/auth/tokens";

fn start(settings: &[(&str, &str)]) -> Fixture {
    Fixture::with(|options| {
        options.api = Api::CipherTrust;
        options.settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    })
}

fn login(client: &mut Client) -> Value {
    let body = json!({ "grant_type": "password", "username": "p11rest", "password": PIN });
    let answer = client.post(TOKENS, &body);
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

fn with_token(client: &mut Client, token: &Value) {
    client.headers.retain(|(name, _)| *name != "Authorization");
    client.headers.push(("Authorization", format!("Bearer {}", token["jwt"].as_str().unwrap())));
}

/// A connection that is logged in.
fn user(fixture: &Fixture) -> Client {
    let mut client = fixture.connect("");
    let token = login(&mut client);
    with_token(&mut client, &token);
    client
}

/// Raw bytes to one of the operations that take them.
fn raw(client: &mut Client, path: &str, data: &[u8]) -> Answer {
    let json = std::mem::replace(&mut client.headers[0], ("Content-Type", "application/octet-stream".into()));
    let answer = client.request("POST", path, data);
    client.headers[0] = json;
    answer
}

fn from_hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("a string");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn tokens_in_both_forms_and_their_renewal() {
    let fixture = start(&[]);
    let mut client = fixture.connect("");
    let token = login(&mut client);
    assert_eq!(token["duration"], 300);
    assert_eq!(token["token_type"], "Bearer");
    assert_eq!(token["refresh_token_expires_in"], 1799);
    let short = client.post("/api/v1/auth/tokens/", &json!({ "name": "p11rest", "password": PIN }));
    assert_eq!(short.status, 200);
    let renewal = json!({ "grant_type": "refresh_token", "refresh_token": token["refresh_token"] });
    for _ in 0..2 {
        let renewed = client.post(TOKENS, &renewal).json();
        assert!(renewed["jwt"].is_string());
        assert_eq!(renewed["refresh_token"], Value::Null);
    }
    for (body, status) in [
        (json!({ "grant_type": "password", "username": "p11rest", "password": "wrong" }), 401),
        (json!({ "grant_type": "password", "username": "other", "password": PIN }), 401),
        (json!({ "grant_type": "refresh_token", "refresh_token": "wrong" }), 401),
        (json!({ "grant_type": "password", "name": "p11rest", "password": PIN }), 400),
        (json!({ "grantType": "password", "username": "p11rest", "password": PIN }), 400),
    ] {
        assert_eq!(client.post(TOKENS, &body).status, status, "{body}");
    }
}

#[test]
fn a_rotated_refresh_token_is_good_once() {
    let fixture = start(&[("rotation", "yes")]);
    let mut client = fixture.connect("");
    let token = login(&mut client);
    let renewal = json!({ "grant_type": "refresh_token", "refresh_token": token["refresh_token"] });
    let renewed = client.post(TOKENS, &renewal).json();
    assert!(renewed["refresh_token"].is_string());
    assert_eq!(client.post(TOKENS, &renewal).status, 401);
}

#[test]
fn expired_tokens_and_locked_accounts() {
    let fixture = start(&[("lock_after", "2")]);
    let mut client = user(&fixture);
    assert_eq!(client.get("/api/v1/vault/keys2").status, 200);
    assert_eq!(client.request("POST", "/_emulator/tokens/expire", b"").status, 204);
    let refused = client.get("/api/v1/vault/keys2");
    assert_eq!((refused.status, &refused.json()["message"]), (401, &json!("Token is expired")));
    client.headers.pop();
    assert_eq!(client.get("/api/v1/vault/keys2").status, 401);
    for expected in
        ["Invalid username or password", "Invalid username or password", "The user account is locked"]
    {
        let body = json!({ "name": "p11rest", "password": "wrong" });
        let refused = client.post(TOKENS, &body);
        assert_eq!((refused.status, &refused.json()["message"]), (401, &json!(expected)));
    }
    assert_eq!(client.request("PUT", "/_emulator/account", br#"{"locked":false}"#).status, 204);
    login(&mut client);
}

#[test]
fn what_the_page_leaves_open_of_the_account() {
    let fixture = start(&[("refresh_token", "no"), ("duration", "no"), ("locked_status", "423")]);
    let mut client = fixture.connect("");
    let token = login(&mut client);
    assert_eq!((&token["refresh_token"], &token["duration"]), (&Value::Null, &Value::Null));
    with_token(&mut client, &token);
    let body = json!({ "name": "p11rest", "password": PIN });
    for (account, status, message) in [
        (&br#"{"locked":true}"#[..], 423, "The user account is locked"),
        (br#"{"expired":true}"#, 401, "The password has expired"),
    ] {
        assert_eq!(client.request("PUT", "/_emulator/account", account).status, 204);
        let refused = client.post(TOKENS, &body);
        assert_eq!((refused.status, &refused.json()["message"]), (status, &json!(message)));
        assert_eq!(client.get("/api/v1/vault/keys2").status, 200, "the token stays good");
    }
    // Whether it has expired, only who knows it learns.
    let wrong = client.post(TOKENS, &json!({ "name": "p11rest", "password": "wrong" }));
    assert_eq!(wrong.json()["message"], "Invalid username or password");
    assert_eq!(client.request("PUT", "/_emulator/account", br#"{"lost":true}"#).status, 400);
}

#[test]
fn members_of_a_key_are_spelled_as_the_settings_say() {
    for (setting, present, absent) in [
        (("names", "mixed"), ["usageMask", "objectType", "publickey", "curveid"], "publicKey"),
        (("names", "camel"), ["usageMask", "objectType", "publicKey", "curveId"], "publickey"),
        (("names", "lower"), ["usagemask", "objecttype", "publickey", "curveid"], "usageMask"),
        (("object_type", "no"), ["usageMask", "name", "publickey", "algorithm"], "objectType"),
    ] {
        let fixture = start(&[setting]);
        let key = user(&fixture).get("/api/v1/vault/keys2/ec-p256").json();
        assert!(present.iter().all(|name| key.get(name).is_some()), "{setting:?} {key}");
        assert!(key.get(absent).is_none(), "{setting:?} {key}");
    }
    let fixture = start(&[("algorithm", "lower"), ("versions", "3")]);
    let mut client = user(&fixture);
    let page = client.get("/api/v1/vault/keys2?name=rsa-2048").json();
    assert_eq!((&page["total"], &page["resources"][2]["algorithm"]), (&json!(3), &json!("rsa")));
}

#[test]
fn owners_and_labels_are_kept() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let new = json!({ "name": "mine", "algorithm": "aes", "assignSelfAsOwner": true,
                      "labels": { "env": "prod" } });
    let made = client.post("/api/v1/vault/keys2", &new).json();
    assert_eq!((&made["meta"]["ownerId"], &made["labels"]["env"]), (&json!("local|p11rest"), &json!("prod")));
    let seed = client.get("/api/v1/vault/keys2/aes-256").json();
    assert_eq!((&seed["meta"], &seed["labels"]), (&Value::Null, &Value::Null));
}

#[test]
fn keys_come_in_pages() {
    let fixture = start(&[("extra_keys", "120"), ("page_limit", "50")]);
    let mut client = user(&fixture);
    let page = client.get("/api/v1/vault/keys2?skip=50&limit=1000").json();
    let total = page["total"].as_u64().unwrap();
    assert!(total > 120);
    assert_eq!((&page["skip"], &page["limit"]), (&json!(50), &json!(50)));
    assert_eq!(page["resources"].as_array().unwrap().len(), 50);
    let one = client.get("/api/v1/vault/keys2?name=extra-0007&limit=1").json();
    assert_eq!(one["resources"][0]["name"], "extra-0007");
    assert_eq!(one["resources"].as_array().unwrap().len(), 1);
    assert_eq!(client.get("/api/v1/vault/keys2?size=9").status, 400);
    assert_eq!(client.get("/v1/vault/keys2").status, 404);
}

#[test]
fn a_pair_is_two_keys() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let new = json!({ "name": "fresh", "algorithm": "ec", "curveId": "secp384r1", "usageMask": 3 });
    let made = client.post("/api/v1/vault/keys2", &new);
    assert_eq!((made.status, &made.json()["usageMask"]), (201, &json!(1)));
    let again = client.post("/api/v1/vault/keys2", &new);
    assert_eq!((again.status, &again.json()["code"]), (409, &json!(416)));
    let public = client.get("/api/v1/vault/keys2/fresh-pub").json();
    assert_eq!((&public["curveid"], &public["usageMask"]), (&json!("secp384r1"), &json!(2)));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(client.get(&format!("/api/v1/vault/keys2/{id}")).json()["name"], "fresh");
    assert_eq!(client.request("DELETE", &format!("/api/v1/vault/keys2/{id}"), b"").status, 204);
    let gone = client.get("/api/v1/vault/keys2/fresh-pub");
    assert_eq!((gone.status, &gone.json()["message"]), (404, &json!("Resource not found")));
}

#[test]
fn keys_are_made_as_they_are_asked_for() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    for (new, size, mask) in [
        // Bits of §11.1: sign 1, verify 2, encrypt 4, decrypt 8, wrap 16, unwrap 32, export 64, MACs 128 and 256, derive 512.
        (json!({ "algorithm": "rsa", "size": 1024, "usageMask": 63 }), 1024, 1 | 8 | 32),
        (json!({ "algorithm": "EC", "size": 521, "curveid": "secp521r1", "usageMask": 515 }), 521, 1 | 512),
        (json!({ "algorithm": "aes", "size": 192, "usageMask": 124 }), 192, 4 | 8 | 16 | 32 | 64),
        (json!({ "algorithm": "aes", "usageMask": 3 }), 256, 0),
        (json!({ "algorithm": "hmac-sha384", "size": 384, "usageMask": 384 }), 384, 384),
        (json!({ "algorithm": "hmac-sha512" }), 512, 384 | 64),
    ] {
        let mut named = new.clone();
        named["name"] = "fresh".into();
        let made = client.post("/api/v1/vault/keys2", &named);
        assert_eq!(made.status, 201, "{new}: {}", made.json());
        let made = made.json();
        assert_eq!((&made["size"], &made["usageMask"]), (&json!(size), &json!(mask)), "{new}");
        let path = format!("/api/v1/vault/keys2/{}", made["id"].as_str().unwrap());
        assert_eq!(client.request("DELETE", &path, b"").status, 204);
        assert_eq!(client.request("DELETE", &path, b"").status, 404);
    }
    for new in [
        json!({ "algorithm": "rsa", "size": 2047 }),
        json!({ "algorithm": "rsa", "curveid": "prime256v1" }),
        json!({ "algorithm": "ec", "curveid": "secp999r1" }),
        json!({ "algorithm": "ec", "size": 256, "curveid": "secp384r1" }),
        json!({ "algorithm": "ec", "curveid": "secp384r1", "curveId": "secp384r1" }),
        json!({ "algorithm": "aes", "size": 100 }),
        json!({ "algorithm": "hmac-sha256", "size": 128 }),
        json!({ "algorithm": "kyber" }),
        json!({ "algorithm": "aes", "keySize": 256 }),
        json!({ "size": 256 }),
    ] {
        let mut named = new.clone();
        named["name"] = "fresh".into();
        assert_eq!(client.post("/api/v1/vault/keys2", &named).status, 400, "{new}");
    }
    assert_eq!(client.post("/api/v1/vault/keys2", &json!({ "name": "", "algorithm": "aes" })).status, 400);
}

#[test]
fn the_curve_has_the_name_of_the_settings() {
    for (setting, taken, refused) in [("lower", "curveid", "curveId"), ("camel", "curveId", "curveid")] {
        let fixture = start(&[("curve", setting)]);
        let mut client = user(&fixture);
        let mut new = json!({ "name": "fresh", "algorithm": "ec" });
        new[refused] = "secp384r1".into();
        assert_eq!(client.post("/api/v1/vault/keys2", &new).status, 400, "{refused}");
        new.as_object_mut().unwrap().remove(refused);
        new[taken] = "secp384r1".into();
        assert_eq!(client.post("/api/v1/vault/keys2", &new).status, 201, "{taken}");
    }
}

/// Makes a key and gives its id.
fn made(client: &mut Client, new: &Value) -> String {
    let made = client.post("/api/v1/vault/keys2", new);
    assert_eq!(made.status, 201, "{new}");
    made.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_public_half_goes_with_the_private_one_or_stays() {
    for (setting, left) in [("deleted", 404), ("kept", 200)] {
        let fixture = start(&[("public_half", setting)]);
        let mut client = user(&fixture);
        let id = made(&mut client, &json!({ "name": "fresh", "algorithm": "ec" }));
        let half = client.get("/api/v1/vault/keys2/fresh-pub").json()["id"].as_str().unwrap().to_owned();
        let path = |id: &str| format!("/api/v1/vault/keys2/{id}");
        assert_eq!(client.request("DELETE", &path(&half), b"").status, 501, "not before the other");
        assert_eq!(client.request("DELETE", &path(&id), b"").status, 204);
        assert_eq!(client.get(&path("fresh")).status, 404);
        assert_eq!(client.get(&path("fresh-pub")).status, left, "{setting}");
        if left == 200 {
            let listed = client.get("/api/v1/vault/keys2?name=fresh-pub").json();
            assert_eq!(listed["resources"][0]["objectType"], "Public Key");
            let again = client.post("/api/v1/vault/keys2", &json!({ "name": "fresh", "algorithm": "ec" }));
            assert_eq!(again.json()["code"], 416, "half of its name is taken");
            assert_eq!(client.request("DELETE", &path(&half), b"").status, 204);
        }
        assert_eq!(client.get(&path("fresh-pub")).status, 404);
        made(&mut client, &json!({ "name": "fresh", "algorithm": "ec" }));
    }
}

#[test]
fn deletions_that_are_refused() {
    let undeletable = json!({ "name": "stays", "algorithm": "aes", "undeletable": true });
    for status in ["403", "409", "400"] {
        let fixture = start(&[("undeletable", status)]);
        let mut client = user(&fixture);
        let path = format!("/api/v1/vault/keys2/{}", made(&mut client, &undeletable));
        let refused = client.request("DELETE", &path, b"");
        assert_eq!(refused.status.to_string(), status, "{}", refused.json());
        assert_eq!(client.get(&path).json()["undeletable"], true);
    }
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let new = json!({ "name": "theirs", "algorithm": "aes", "meta": { "ownerId": "local|other" } });
    let path = format!("/api/v1/vault/keys2/{}", made(&mut client, &new));
    assert_eq!(client.request("DELETE", &path, b"").status, 403);
    // A name is no id, but where it is taken for one.
    assert_eq!(client.request("DELETE", "/api/v1/vault/keys2/aes-256", b"").status, 404);
    let fixture = start(&[("key_reference", "lenient")]);
    assert_eq!(user(&fixture).request("DELETE", "/api/v1/vault/keys2/aes-256", b"").status, 204);
}

#[test]
fn an_account_that_may_not_change_the_vault() {
    let fixture = start(&[("vault", "read_only")]);
    let mut client = user(&fixture);
    let new = json!({ "name": "fresh", "algorithm": "aes" });
    assert_eq!(client.post("/api/v1/vault/keys2", &new).status, 403);
    let id = client.get("/api/v1/vault/keys2/aes-256").json()["id"].as_str().unwrap().to_owned();
    assert_eq!(client.request("DELETE", &format!("/api/v1/vault/keys2/{id}"), b"").status, 403);
}

/// Has OpenSSL verify a signature of "message".
fn openssl_verifies(fixture: &Fixture, client: &mut Client, key: &str, options: &[&str], signature: &[u8]) {
    let public = client.get(&format!("/api/v1/vault/keys2/{key}-pub")).json();
    let fields = ["publickey", "publicKey", "material"];
    let pem = fields.iter().find_map(|field| public[*field].as_str()).expect("a public key");
    let files = [("key.pem", pem.as_bytes()), ("signature", signature), ("message", b"message")];
    let [pem, signature, message] =
        files.map(|(name, content)| fixture.file(name, content).to_str().unwrap().to_owned());
    let arguments = [&["dgst"], options, &["-verify", &pem, "-signature", &signature, &message]].concat();
    openssl(&arguments).unwrap();
}

#[test]
fn signatures_are_good() {
    for (settings, key, query, hash) in [
        (&[][..], "rsa-2048", "hashAlgo=SHA1", "-sha1"),
        (&[], "rsa-2048", "hashAlgo=sha-512", "-sha512"),
        (&[], "rsa-2048", "hashAlgo=sha-512&signAlgo=RSA", "-sha512"),
        (&[], "ec-cert", "hashAlgo=sha-384&signAlgo=ecdsa", "-sha384"),
        (&[("public_key", "material"), ("pem", "pkcs1")], "rsa-2048", "hashAlgo=sha256", "-sha256"),
    ] {
        let fixture = start(settings);
        let mut client = user(&fixture);
        let path = format!("/api/v1/crypto/sign?keyName={key}&{query}");
        let signature = from_hex(&raw(&mut client, &path, b"message").json()["data"]);
        openssl_verifies(&fixture, &mut client, key, &[hash], &signature);
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        for (data, expected) in [(b"message", true), (b"massage", false)] {
            let path = format!("/api/v1/crypto/signv?keyName={key}-pub&{query}&signature={hex}");
            assert_eq!(raw(&mut client, &path, data).json()["verified"], expected);
        }
    }
}

#[test]
fn pss_has_its_name_and_its_salt() {
    for (settings, query, salt) in [
        (&[][..], "&signAlgo=rsassa-pss", "32"),
        (&[("pss", "PSS")], "&signAlgo=PSS", "32"),
        (&[("rsa", "pss")], "", "32"),
        (&[("pss_salt", "none")], "&signAlgo=RSASSA-PSS", "0"),
        // 256 bytes less those of the digest and two.
        (&[("pss_salt", "max")], "&signAlgo=RSASSA-PSS", "222"),
    ] {
        let fixture = start(settings);
        let mut client = user(&fixture);
        let path = format!("/api/v1/crypto/sign?keyName=rsa-2048&hashAlgo=sha-256{query}");
        let signature = from_hex(&raw(&mut client, &path, b"message").json()["data"]);
        let salt = format!("rsa_pss_saltlen:{salt}");
        let options = ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", &salt];
        openssl_verifies(&fixture, &mut client, "rsa-2048", &options, &signature);
    }
    let fixture = start(&[("pss", "PSS"), ("rsa", "pss")]);
    let mut client = user(&fixture);
    let sign = "/api/v1/crypto/sign?keyName=rsa-2048&hashAlgo=sha-256";
    assert_eq!(raw(&mut client, &format!("{sign}&signAlgo=RSASSA-PSS"), b"message").status, 400);
    let signed = raw(&mut client, &format!("{sign}&signAlgo=RSA"), b"message").json();
    openssl_verifies(&fixture, &mut client, "rsa-2048", &["-sha256"], &from_hex(&signed["data"]));
}

#[test]
fn signatures_are_written_as_the_settings_say() {
    type Read = fn(&Value) -> Vec<u8>;
    for (setting, key, length, read) in [
        (("signature", "hex"), "rsa-2048", 512, from_hex as Read),
        (("signature", "upper"), "rsa-2048", 512, from_hex),
        (("signature", "base64"), "rsa-2048", 344, bytes),
        (("ecdsa", "raw"), "ec-p256", 128, from_hex),
    ] {
        let fixture = start(&[setting]);
        let mut client = user(&fixture);
        let path = format!("/api/v1/crypto/sign?keyName={key}&hashAlgo=sha-256");
        let data = raw(&mut client, &path, b"message").json()["data"].clone();
        let text = data.as_str().unwrap();
        assert_eq!(text.len(), length, "{setting:?}");
        assert_eq!(setting.1 == "upper", text == text.to_ascii_uppercase(), "{text}");
        if key == "rsa-2048" {
            openssl_verifies(&fixture, &mut client, key, &["-sha256"], &read(&data));
        }
    }
}

#[test]
fn digests_are_signed_if_the_setting_says_so() {
    let fixture = start(&[("prehashed", "yes")]);
    let mut client = user(&fixture);
    let file = fixture.file("message", b"message");
    let digest = openssl(&["dgst", "-sha256", "-binary", file.to_str().unwrap()]).unwrap();
    // RFC 8017 section 9.2, note 1.
    let head = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    let pss = ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
    for (key, more, data, options) in [
        ("rsa-2048", "", &[head, &digest[..]].concat(), &["-sha256"][..]),
        ("rsa-2048", "&signAlgo=RSASSA-PSS", &digest, &pss),
        ("ec-p256", "&signAlgo=ecdsa", &digest, &["-sha256"]),
    ] {
        let path = format!("/api/v1/crypto/sign?keyName={key}&hashAlgo=none{more}");
        let signed = raw(&mut client, &path, data).json();
        openssl_verifies(&fixture, &mut client, key, options, &from_hex(&signed["data"]));
    }
    let path = "/api/v1/crypto/sign?keyName=rsa-2048&hashAlgo=none&signAlgo=RSASSA-PSS";
    assert_eq!(raw(&mut client, path, b"no digest").status, 400);
}

#[test]
fn macs_in_both_spellings() {
    for (spelling, length) in [("base64", 44), ("hex", 64)] {
        let fixture = start(&[("mac", spelling)]);
        let mut client = user(&fixture);
        let mac = raw(&mut client, "/api/v1/crypto/mac?keyName=hmac-sha256", b"message").json();
        let text = mac["data"].as_str().unwrap();
        assert_eq!(text.len(), length);
        let text = text.replace('+', "%2B");
        let path = format!("/api/v1/crypto/macv?keyName=hmac-sha256&hash={text}");
        assert_eq!(raw(&mut client, &path, b"message").json()["verified"], true);
        assert_eq!(raw(&mut client, &path, b"massage").json()["verified"], false);
        assert_eq!(raw(&mut client, "/api/v1/crypto/mac?keyName=aes-256", b"message").status, 403);
    }
}

#[test]
fn ciphers() {
    let fixture = start(&[]);
    let mut client = user(&fixture);
    let seal = json!({ "id": "aes-256", "type": "name", "mode": "gcm", "plaintext": base64("text"),
                       "iv": base64([7; 12]), "aad": base64("aad") });
    let sealed = client.post("/api/v1/crypto/encrypt", &seal).json();
    assert_eq!(bytes(&sealed["iv"]), [7; 12]);
    let mut open = json!({ "id": "aes-256", "type": "name", "mode": "gcm", "ciphertext": sealed["ciphertext"],
                           "tag": sealed["tag"], "iv": sealed["iv"], "aad": base64("aad") });
    assert_eq!(bytes(&client.post("/api/v1/crypto/decrypt", &open).json()["plaintext"]), b"text");
    open["aad"] = base64("other").into();
    assert_eq!(client.post("/api/v1/crypto/decrypt", &open).status, 400);
    // A name is no id.
    open.as_object_mut().unwrap().remove("type");
    assert_eq!(client.post("/api/v1/crypto/decrypt", &open).status, 404);

    let seal = json!({ "id": "rsa-2048-pub", "type": "name", "pad": "oaep", "plaintext": base64("text") });
    let sealed = client.post("/api/v1/crypto/encrypt", &seal).json();
    let open = json!({ "id": "rsa-2048", "type": "name", "pad": "oaep", "ciphertext": sealed["ciphertext"] });
    assert_eq!(bytes(&client.post("/api/v1/crypto/decrypt", &open).json()["plaintext"]), b"text");
}

#[test]
fn what_is_wrong_is_refused() {
    let fixture = start(&[("hash_names", "dashed")]);
    let mut client = user(&fixture);
    let sign = "/api/v1/crypto/sign?keyName=rsa-2048&hashAlgo=sha-256";
    // JSON where raw bytes belong.
    assert_eq!(client.request("POST", sign, b"message").status, 415);
    for (path, status) in [
        ("/api/v1/crypto/sign?keyName=rsa-2048", 400),
        ("/api/v1/crypto/sign?keyName=rsa-2048&hashAlgo=SHA256", 400),
        ("/api/v1/crypto/sign?keyName=rsa-2048&hashAlgo=none", 400),
        ("/api/v1/crypto/sign?keyName=rsa-2048&hashAlgo=sha-256&keyName=x", 400),
        ("/api/v1/crypto/sign?keyName=rsa-2048&hashAlgo=sha-256&format=x", 400),
        ("/api/v1/crypto/sign?keyName=nope&hashAlgo=sha-256", 404),
        ("/api/v1/crypto/sign?keyName=aes-256&hashAlgo=sha-256", 400),
        ("/api/v1/crypto/sign?keyName=rsa-2048-pub&hashAlgo=sha-256", 403),
        ("/api/v1/crypto/hide2?keyName=x", 404),
    ] {
        assert_eq!(raw(&mut client, path, b"message").status, status, "{path}");
    }
    let body = json!({ "id": "aes-256", "type": "name", "mode": "gcm", "plaintext": "no base64" });
    assert_eq!(client.post("/api/v1/crypto/encrypt", &body).status, 400);
}

#[test]
fn answers_of_gcm_have_three_forms() {
    let seal = json!({ "id": "aes-256", "type": "name", "mode": "gcm", "plaintext": base64("text"),
                       "iv": base64([7; 12]) });
    let mut without = seal.clone();
    without.as_object_mut().unwrap().remove("iv");
    for (form, iv, tag, length) in
        [("full", true, true, 4), ("bare", false, true, 4), ("appended", false, false, 20)]
    {
        let fixture = start(&[("gcm", form)]);
        let mut client = user(&fixture);
        let sealed = client.post("/api/v1/crypto/encrypt", &seal).json();
        assert_eq!((sealed.get("iv").is_some(), sealed.get("tag").is_some()), (iv, tag), "{form}");
        assert_eq!(bytes(&sealed["ciphertext"]).len(), length, "{form}");
        assert_eq!(bytes(&client.post("/api/v1/crypto/encrypt", &without).json()["iv"]).len(), 12, "{form}");
    }
}

#[test]
fn refusals_have_the_status_of_the_settings() {
    let fixture = start(&[("missing", "400"), ("tag_failure", "422")]);
    let mut client = user(&fixture);
    let missing = raw(&mut client, "/api/v1/crypto/sign?keyName=nope&hashAlgo=sha-256", b"message");
    assert_eq!((missing.status, &missing.json()["message"]), (400, &json!("Resource not found")));
    let open = json!({ "id": "aes-256", "type": "name", "mode": "gcm", "ciphertext": base64("text"),
                       "tag": base64([0; 16]), "iv": base64([0; 12]) });
    assert_eq!(client.post("/api/v1/crypto/decrypt", &open).status, 422);
    let rsa = json!({ "id": "rsa-2048", "type": "name", "pad": "oaep", "ciphertext": base64([1; 256]) });
    assert_eq!(client.post("/api/v1/crypto/decrypt", &rsa).status, 422);
}
