//! Descriptions against a scripted server.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cryptoki_sys::*;
use serde_json::json;

use super::super::description::Description;
use super::super::template::Values;
use super::super::*;
use crate::backend::scripted::{Seen, Server};
use crate::config::Secret;
use crate::crypto::digest::Hash;
use crate::observe::told;
use crate::transport::Class;

/// As transit has it, with a bit of everything.
pub(super) const TRANSIT: &str = r#"
version = 1
manufacturer = "Example"
model = "Transit"
token = { header = "X-Vault-Token", scheme = "bare" }
headers = { "X-Namespace" = "{param.namespace}" }
[parameters]
mount = "transit"
namespace = ""
[list]
path = "/v1/{param.mount|path}/keys?list=true"
items = "/data/keys"
[describe]
path = "/v1/{param.mount|path}/keys/{key}"
public_key = ["/data/keys/@last/public_key|pem", "/data/keys/@last/public_key|base64|raw-ed25519"]
type = "/data/type"
types = { aes256-gcm96 = "aes-256" }
flags = { sign = "/data/supports_signing", extractable = "/data/exportable", sensitive = "!/data/exportable" }
[certificate]
path = "/v1/{param.mount|path}/certs/{key}"
certificate = "/pem|pem"
[sign]
path = "/v1/{param.mount|path}/sign/{key}/{alg.hash}"
json = { input = "{payload|base64}", prehashed = true, salt = "{alg.salt?}", context = "{password?}" }
signature = "/data/signature|strip-prefix(vault:v*:)|base64|der-to-raw"
[[sign.algorithm]]
mechanism = "CKM_SHA256_RSA_PKCS"
with = { hash = "sha2-256", salt = 32 }
[[sign.algorithm]]
mechanism = "CKM_ECDSA_SHA256"
with = { hash = "sha2-256" }
[[sign.algorithm]]
mechanism = "CKM_ECDSA_SHA384"
with = { hash = "sha2-384" }
[[sign.algorithm]]
mechanism = "CKM_EDDSA"
with = { hash = "none" }
limit = 100
[decrypt]
path = "/v1/{param.mount|path}/decrypt/{key}"
json = { ciphertext = "vault:v1:{iv+payload|base64}", aad = "{aad|base64?}", bits = "{tag_bits}" }
plaintext = "/data/plaintext|base64"
[[decrypt.algorithm]]
mechanism = "CKM_AES_GCM"
[encrypt]
path = "/v1/{param.mount|path}/encrypt/{key}"
json = { plaintext = "{payload|base64}", aad = "{aad|base64?}" }
iv = "/data/ciphertext|strip-prefix(vault:v*:)|base64|slice(0,12)"
ciphertext = "/data/ciphertext|strip-prefix(vault:v*:)|base64|slice(12,-16)"
tag = "/data/ciphertext|strip-prefix(vault:v*:)|base64|slice(-16)"
[[encrypt.algorithm]]
mechanism = "CKM_AES_GCM"
[random]
method = "POST"
path = "/v1/{param.mount|path}/random/{count}"
bytes = "/data/random_bytes|base64"
limit = 4
[probe]
path = "/v1/auth/token/lookup-self"
[health]
path = "/v1/sys/health"
version = "/version"
[errors]
message = ["/errors/0"]
[[errors.rule]]
status = 403
text = "INVALID token"
on = ["login"]
rv = "CKR_PIN_INCORRECT"
[[errors.rule]]
status = 403
text = "invalid token"
rv = "CKR_USER_NOT_LOGGED_IN"
[[errors.rule]]
status = [400, 404]
text = "not found"
rv = "CKR_KEY_HANDLE_INVALID"
"#;

pub(super) fn describe(text: &str, parameters: &[(&str, &str)]) -> std::result::Result<Description, String> {
    let parameters: BTreeMap<_, _> =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Description::parse(text, &parameters, &config::Auth::default(), Path::new("x.toml"))
        .map_err(|problem| problem.to_string())
}

/// A slot with this description; its bearer token is the PIN.
pub(super) fn open(server: &Server, text: &str) -> Declared {
    let auth = config::Auth { bearer: Some(Secret::Pin), ..config::Auth::default() };
    open_with(server.port, text, auth, &Log::off())
}

pub(super) fn open_with(port: u16, text: &str, auth: config::Auth, log: &Log) -> Declared {
    let url = config::Url { tls: false, host: "127.0.0.1".into(), port, path: String::new() };
    let token = config::Token { members: vec![vec![url]], auth, ..config::Token::plain("test") };
    Declared::new(&token, describe(text, &[]).unwrap(), log).unwrap()
}

pub(super) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// A slot that is logged in.
pub(super) fn ready(server: &Server, text: &str) -> Declared {
    let hsm = open(server, text);
    hsm.service.transport.login("t0ken", soon()).unwrap();
    hsm
}

pub(super) fn sign(hsm: &Declared, key: &str, scheme: SignScheme, payload: &[u8]) -> Result<Vec<u8>> {
    let key = KeyName::from(key);
    let request = SignRequest { key: &key, password: None, scheme, payload, approval: false };
    hsm.signature(&request, soon())
}

pub(super) const P256: SignScheme = SignScheme::Ecdsa { width: 32, hash: None };

#[test]
fn a_signature_is_asked_for_in_the_words_of_its_row() {
    // SEQUENCE { INTEGER 5, INTEGER 9 }
    let server = Server::saying(200, r#"{"data":{"signature":"vault:v3:MAYCAQUCAQk="}}"#);
    let hsm = ready(&server, TRANSIT);
    let raw = sign(&hsm, "a/b", P256, &[7; 32]).unwrap();
    assert_eq!((raw.len(), raw[31], raw[63]), (64, 5, 9));
    let rsa = sign(&hsm, "rsa", SignScheme::RsaPkcs1(Some(Hash::Sha256)), &[7; 32]).unwrap();
    assert_eq!(rsa, [0x30, 6, 2, 1, 5, 2, 1, 9], "what is no ECDSA signature stays as it is");
    sign(&hsm, "ec", P256, &[7; 48]).unwrap();
    let seen = server.seen();
    let digest = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    assert_eq!(seen[0].target, "POST /v1/transit/sign/a%2Fb/sha2-256");
    assert_eq!(seen[0].body, format!("{{\"input\":\"{digest}\",\"prehashed\":true}}"));
    assert_eq!(seen[0].header("x-vault-token"), Some("t0ken"));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("accept"), Some("application/json"));
    assert_eq!(seen[0].header("x-namespace"), None);
    assert_eq!(seen[1].body, format!("{{\"input\":\"{digest}\",\"prehashed\":true,\"salt\":32}}"));
    assert_eq!(seen[2].target, "POST /v1/transit/sign/ec/sha2-384", "the hash is as long as the digest");
}

#[test]
fn what_no_row_signs_is_told_by_its_code_and_nothing_is_sent() {
    let server = Server::saying(200, "{}");
    let hsm = ready(&server, TRANSIT);
    let rv = |scheme, payload: &[u8]| sign(&hsm, "k", scheme, payload).unwrap_err().rv();
    assert_eq!(rv(P256, &[7; 20]), CKR_DATA_LEN_RANGE);
    assert_eq!(rv(SignScheme::RsaPkcs1(None), b"any"), CKR_DATA_INVALID);
    assert_eq!(rv(SignScheme::RsaPss(Hash::Sha256), &[7; 32]), CKR_MECHANISM_INVALID);
    let refused = sign(&hsm, "..", P256, &[7; 32]).unwrap_err();
    assert_eq!(refused.rv(), CKR_FUNCTION_FAILED);
    assert!(refused.to_string().contains("{key} is empty, . or .."), "{refused}");
    assert!(server.seen().is_empty());
    // A success without the signature.
    assert_eq!(rv(P256, &[7; 32]), CKR_DEVICE_ERROR);
}

#[test]
fn what_is_offered_follows_from_the_rows() {
    let server = Server::nowhere();
    let hsm = open(&server, TRANSIT);
    assert_eq!((hsm.manufacturer(), hsm.model()), ("Example", "Transit"));
    let digest = Some(SignInput::Digest);
    for (scheme, expected) in [
        (SignScheme::RsaPkcs1(Some(Hash::Sha256)), digest),
        (SignScheme::RsaPkcs1(Some(Hash::Sha384)), None),
        // Over a DigestInfo of SHA-256.
        (SignScheme::RsaPkcs1(None), digest),
        (SignScheme::RsaPss(Hash::Sha256), None),
        (P256, digest),
        (SignScheme::Ecdsa { width: 32, hash: Some(Hash::Sha384) }, digest),
        (SignScheme::Ecdsa { width: 32, hash: Some(Hash::Sha512) }, None),
        (SignScheme::EdDsa, Some(SignInput::Message { hash: None, limit: 100 })),
        (SignScheme::Hmac(Hash::Sha256), None),
    ] {
        assert_eq!(hsm.sign_input(scheme), expected, "{scheme:?}");
    }
    assert!(!hsm.can_decrypt(&DecryptScheme::RsaPkcs1) && !hsm.can_encrypt(&EncryptScheme::AesEcb));
    let gcm = |iv| EncryptScheme::AesGcm { iv, aad: b"", tag_bits: 128 };
    // The service chooses the IV: the description has no {iv}.
    assert!(hsm.can_encrypt(&gcm(None)) && !hsm.can_encrypt(&gcm(Some(&[0; 12]))));
    let given =
        describe(&TRANSIT.replace("plaintext = \"{payload|base64}\"", "i = \"{iv|hex}\""), &[]).unwrap();
    assert!(given.encrypt.find(&gcm(None)).is_none() && given.encrypt.find(&gcm(Some(&[0; 12]))).is_some());
    assert!(hsm.has_random() && hsm.login_required() && !hsm.may_list());
}

#[test]
fn a_message_row_wants_the_message_of_its_mechanism() {
    let text = "version = 1\npayload_limit = 10\n[sign]\npath = \"/s\"\nsignature = \"/s|hex\"\n\
        [[sign.algorithm]]\nmechanism = \"CKM_ECDSA_SHA256\"\ninput = \"message\"\n";
    let table = describe(text, &[]).unwrap().sign;
    let message = SignInput::Message { hash: Some(Hash::Sha256), limit: 10 };
    assert_eq!(table.input(SignScheme::Ecdsa { width: 32, hash: Some(Hash::Sha256) }), Some(message));
    assert_eq!(table.input(P256), None);
}

#[test]
fn a_key_password_makes_a_request_one_that_is_sent_once() {
    let description = describe(TRANSIT, &[]).unwrap();
    let call = &description.sign.find(P256, Some(32)).unwrap().call;
    let class = |password| {
        let values = Values { key: "k", password, ..Default::default() };
        call.fill(&values).unwrap().request().class
    };
    assert_eq!((class(""), class("secret")), (Class::OnceOnly, Class::NeverTwice));
}

#[test]
fn the_log_gets_names_of_keys_and_nothing_of_a_caller() {
    let text = "version = 1\n[sign]\npath = \"/sign/{key}?d={payload|hex}\"\nsignature = \"/s|hex\"\n\
        [[sign.algorithm]]\nmechanism = \"CKM_ECDSA\"\n";
    let description = describe(text, &[]).unwrap();
    let values = Values { key: "k", payload: b"\x01\x02", ..Default::default() };
    let call = &description.sign.find(P256, None).unwrap().call;
    let filled = call.fill(&values).unwrap();
    assert_eq!((filled.request().path, filled.shown()), ("/sign/k?d=0102", "/sign/{key}?d={payload|hex}"));
    let description = describe(TRANSIT, &[]).unwrap();
    let filled = description.sign.find(P256, None).unwrap().call.fill(&values).unwrap();
    assert_eq!(filled.shown(), "/v1/transit/sign/k/sha2-256");
}

#[test]
fn parameters_come_from_the_slot_and_have_to_be_used() {
    let path = |parameters: &[(&str, &str)]| {
        let description = describe(TRANSIT, parameters)?;
        let call = &description.list.as_ref().unwrap().call;
        Ok::<_, String>(call.fill(&Default::default()).unwrap().request().path.to_owned())
    };
    assert_eq!(path(&[("mount", "team/transit")]).unwrap(), "/v1/team/transit/keys?list=true");
    assert_eq!(path(&[("mount", "a?b")]).unwrap(), "/v1/a%3Fb/keys?list=true");
    for (parameters, words) in [
        ([("mount", "a//b")], "list.path: has a segment that is empty, . or .."),
        ([("mount", "../sys")], "list.path: has a segment that is empty, . or .."),
        ([("mont", "x")], "parameters: the slot gives mont, which no template has"),
        ([("namespace", "a\r\nX: 1")], "headers.X-Namespace: a\r\nX: 1 has a byte that no header may carry"),
    ] {
        let message = path(&parameters).unwrap_err();
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(
        describe(TRANSIT, &[("namespace", "blue")]).unwrap().headers,
        [("X-Namespace".into(), "blue".into())]
    );
}

/// Key `ec` has the public key of RFC 8410 section 10.1 as Ed25519 in raw bytes.
fn transit(seen: &Seen) -> (u16, String) {
    let raw = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    let missing = (404, r#"{"errors":["not found"]}"#.to_owned());
    let body = match seen.target.as_str() {
        "GET /v1/transit/keys?list=true" => json!({"data":{"keys":["ec","aes",""]}}),
        "GET /v1/transit/keys/ec" => {
            json!({"data":{"type":"ed25519","supports_signing":false,"exportable":true,
            "keys":{"1":{"public_key":"?"},"2":{"public_key":raw}}}})
        }
        "GET /v1/transit/keys/aes" => json!({"data":{"type":"aes256-gcm96","keys":{"1":1442851412}}}),
        "GET /v1/transit/keys/odd" => json!({"data":{"type":"kyber\nx"}}),
        "GET /v1/transit/certs/ec" => {
            json!({"pem":"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"})
        }
        "GET /v1/transit/certs/aes" => json!({}),
        "GET /v1/transit/keys/broken" => return (500, String::new()),
        _ => return missing,
    };
    (200, body.to_string())
}

#[test]
fn keys_are_listed_described_and_certified() {
    let server = Server::start(transit);
    let hsm = ready(&server, TRANSIT);
    let names = |names: &[&str]| names.iter().map(|&name| KeyName::from(name)).collect::<Vec<_>>();
    assert_eq!(hsm.list(soon()).unwrap(), names(&["ec", "aes"]));
    let told = hsm.describe(&names(&["ec", "aes", "odd", "none", "broken", ".."]), soon());
    let info = |at: usize| told[at].as_ref().unwrap().clone();
    let ec = info(0).unwrap();
    assert!(matches!(&ec.kind, KeyKind::Pair(public) if public.spki().len() == 44));
    assert!(!ec.usage.sign && !ec.usage.decrypt && ec.protection.extractable && !ec.protection.sensitive);
    assert_eq!(info(1).unwrap().kind, KeyKind::Aes(Some(32)));
    assert_eq!(info(2).unwrap().kind, KeyKind::Other("kyber\\nx".into()));
    assert_eq!(info(3), None);
    assert_eq!(told[4].as_ref().unwrap_err().rv(), CKR_DEVICE_ERROR);
    assert_eq!(told[5].as_ref().unwrap_err().rv(), CKR_FUNCTION_FAILED);
    let certificates = hsm.certificates(&names(&["ec", "aes", "none"]), soon());
    let der = |at: usize| certificates[at].as_ref().unwrap().clone();
    assert_eq!((der(0), der(1), der(2)), (Some(vec![0x30, 0]), None, None));
}

#[test]
fn listings_are_read_page_by_page_to_their_end() {
    fn pages(seen: &Seen) -> (u16, String) {
        let body = match seen.target.as_str() {
            "GET /c" => r#"{"k":[{"n":"a","t":1},{"n":"b","t":2}],"next":"x&y"}"#,
            "GET /c?after=x%26y" => r#"{"k":[{"n":"c","t":1}],"next":null}"#,
            "GET /p?page=1&size=2" | "GET /o?skip=0&size=2" => r#"{"k":[{"n":"a","t":1},{"n":"b","t":2}]}"#,
            "GET /p?page=2&size=2" | "GET /o?skip=2&size=2" => r#"{"k":[{"n":"c","t":"1"}]}"#,
            "GET /p?page=1&size=2&n=9" | "GET /o?skip=0&size=2&n=9" => {
                r#"{"k":[{"n":"a","t":1},{"n":"b","t":2}],"total":3}"#
            }
            "GET /p?page=2&size=2&n=9" | "GET /o?skip=2&size=2&n=9" => {
                r#"{"k":[{"n":"c","t":1}],"total":"3"}"#
            }
            "GET /p?page=3&size=2"
            | "GET /o?skip=3&size=2"
            | "GET /p?page=3&size=2&n=9"
            | "GET /o?skip=3&size=2&n=9" => r#"{"k":[]}"#,
            "GET /m" => r#"{"k":{"a":{"t":1},"b":{"t":2},"c":{"t":"1"}}}"#,
            _ => r#"{"k":[{"n":"a","t":1}],"next":"same"}"#,
        };
        (200, body.to_owned())
    }
    let server = Server::start(pages);
    let list = |path: &str, paging: &str| {
        let text = format!(
            "version = 1\n[list]\npath = \"{path}\"\nitems = \"/k\"\nname = \"/n\"\nonly = {{ \"/t\" = [\"1\"] }}\n{paging}"
        );
        let names = ready(&server, &text).list(soon())?;
        Ok::<_, Error>(names.iter().map(KeyName::as_str).collect::<Vec<_>>().join(","))
    };
    let by = |rest: &str| format!("paging = {{ {rest} }}\n");
    let cursor = by("by = \"cursor\", next = \"/next\"");
    assert_eq!(list("/c?after={cursor?}", &cursor).unwrap(), "a,c");
    assert_eq!(list("/p?page={page}&size={limit}", &by("by = \"page\", limit = 2")).unwrap(), "a,c");
    assert_eq!(list("/o?skip={offset}&size={limit}", &by("by = \"offset\", limit = 2")).unwrap(), "a,c");
    // The service gives fewer than it is asked for, or says how many there are, or gives its last page again.
    assert_eq!(list("/o?skip={offset}&size=2&n={limit}", &by("by = \"offset\", limit = 9")).unwrap(), "a,c");
    assert_eq!(list("/p?page={page}&size=2&n={limit}", &by("by = \"page\", limit = 9")).unwrap(), "a,c");
    let total = by("by = \"page\", limit = 9, total = \"/total\"");
    let before = server.seen().len();
    assert_eq!(list("/p?page={page}&size=2&n={limit}", &total).unwrap(), "a,c");
    assert_eq!(server.seen().len() - before, 2, "nothing is asked for beyond the end");
    assert_eq!(list("/same?page={page}", &by("by = \"page\", limit = 2")).unwrap(), "a");
    let circle = list("/same?page={page}", &by("by = \"page\", limit = 1")).unwrap_err();
    assert!(circle.to_string().contains("the same page twice"), "{circle}");
    assert_eq!(list("/m", "").unwrap(), "a,c");
    assert_eq!(list("/endless?after={cursor?}", &cursor).unwrap_err().rv(), CKR_DEVICE_ERROR);
    assert_eq!(list("/other", "").unwrap(), "a");
}

#[test]
fn without_a_listing_the_keys_are_those_of_the_slot() {
    let server = Server::nowhere();
    let hsm = Declared { keys: vec!["mine".into()], ..open(&server, "version = 1\n[probe]\npath = \"/\"\n") };
    assert_eq!(hsm.list(soon()).unwrap(), ["mine".into()]);
    let told = hsm.describe(&["mine".into()], soon());
    assert!(matches!(&told[0], Ok(Some(info)) if matches!(info.kind, KeyKind::Other(_))));
    assert!(matches!(hsm.certificates(&["mine".into()], soon())[0], Ok(None)));
}

#[test]
fn ciphertexts_are_put_together_and_taken_apart() {
    // IV of twelve 1, ciphertext 2, tag of sixteen 3.
    let sealed = "AQEBAQEBAQEBAQEBAgMDAwMDAwMDAwMDAwMDAwM=";
    let answer = json!({"data":{"ciphertext":format!("vault:v1:{sealed}"),"plaintext":"cA=="}});
    let server = Server::saying(200, &answer.to_string());
    let hsm = ready(&server, TRANSIT);
    let key = KeyName::from("k");
    let scheme = EncryptScheme::AesGcm { iv: None, aad: b"x", tag_bits: 128 };
    let request = EncryptRequest { key: &key, password: None, scheme, plaintext: b"p" };
    let made = hsm.encrypt(&request, soon()).unwrap();
    assert_eq!((&made.iv[..], &made.ciphertext[..], &made.tag[..]), (&[1; 12][..], &[2][..], &[3; 16][..]));
    let mut ciphertext = made.ciphertext.clone();
    ciphertext.extend(&made.tag);
    let scheme = DecryptScheme::AesGcm { iv: &made.iv, aad: b"", tag_bits: 128 };
    let request =
        DecryptRequest { key: &key, password: None, scheme, ciphertext: &ciphertext, approval: false };
    let Outcome::Done(plaintext) = hsm.decrypt(&request, soon()).unwrap() else { panic!() };
    assert_eq!(&plaintext[..], b"p");
    let seen = server.seen();
    assert_eq!(seen[0].body, r#"{"aad":"eA==","plaintext":"cA=="}"#);
    assert_eq!(seen[1].body, format!(r#"{{"bits":128,"ciphertext":"vault:v1:{sealed}"}}"#));
}

#[test]
fn more_random_bytes_than_one_request_gives_come_in_several() {
    let server = Server::start(|seen| {
        let text = if seen.target.ends_with("/4") { "AQIDBA==" } else { "BQ==" };
        (200, json!({"data":{"random_bytes":text}}).to_string())
    });
    let hsm = ready(&server, TRANSIT);
    let mut buffer = [0; 9];
    hsm.random(&mut buffer, soon()).unwrap();
    assert_eq!(buffer, [1, 2, 3, 4, 1, 2, 3, 4, 5]);
    assert_eq!(hsm.random(&mut [0; 2], soon()).unwrap_err().rv(), CKR_DEVICE_ERROR);
    assert_eq!(server.targets()[0], "POST /v1/transit/random/4");
    assert_eq!(server.seen()[0].body, "");
    let none = ready(&server, "version = 1\n");
    assert_eq!(none.random(&mut [0; 2], soon()).unwrap_err().rv(), CKR_RANDOM_NO_RNG);
}

#[test]
fn a_login_is_proven_and_a_refused_one_is_forgotten() {
    let server = Server::start(|seen| match (seen.target.as_str(), seen.header("x-vault-token")) {
        ("GET /v1/sys/health", _) => (200, r#"{"version":"1.15.2"}"#.to_owned()),
        (_, Some("right")) => (200, "{}".to_owned()),
        _ => (403, r#"{"errors":["2 errors: invalid token"]}"#.to_owned()),
    });
    let hsm = open(&server, TRANSIT);
    assert_eq!(hsm.login(b"wrong", soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
    assert_eq!(hsm.login(b"\xff", soon()).unwrap_err().rv(), CKR_PIN_INCORRECT);
    assert!(!hsm.may_list() && !hsm.login_stands() && hsm.firmware().is_none());
    hsm.login(b"right", soon()).unwrap();
    assert!(hsm.may_list() && hsm.login_stands());
    assert_eq!(hsm.firmware(), Some(Firmware { major: 1, minor: 15 }));
    hsm.logout();
    assert_eq!(sign(&hsm, "k", P256, &[7; 32]).unwrap_err().rv(), CKR_USER_NOT_LOGGED_IN);
    let lookups = server.targets().iter().filter(|target| target.ends_with("lookup-self")).count();
    assert_eq!(lookups, 2, "a PIN that is no text is shown to nobody");
}

#[test]
fn the_audit_has_no_path_with_what_is_a_callers() {
    let server = Server::saying(401, "{}");
    let text = "version = 1\n[sign]\npath = \"/sign/{key}/{payload|hex}\"\nsignature = \"/s|hex\"\n\
        [[sign.algorithm]]\nmechanism = \"CKM_ECDSA\"\n";
    let events = told::events(&["0707"], |log| {
        let auth = config::Auth { bearer: Some(Secret::Pin), ..config::Auth::default() };
        let hsm = open_with(server.port, text, auth, log);
        hsm.service.transport.login("t0ken", soon()).unwrap();
        sign(&hsm, "k", P256, &[7; 32]).unwrap_err();
    });
    assert!(server.seen()[0].target.contains("/sign/k/0707"));
    let refused = "WARN slot \"test\", account \"bearer\": use at GET /…: refused with HTTP 401";
    assert_eq!(events.first().map(String::as_str), Some(refused));
}

/// A token that is the PIN behind a gateway whose key is a part of the PIN, too.
#[test]
fn a_pin_has_a_secret_for_each_layer_and_each_login_is_an_event() {
    let server = Server::start(|seen| match (seen.header("x-gate"), seen.header("x-vault-token")) {
        (Some("g4te"), Some("t0ken")) => (200, "{}".into()),
        _ => (403, r#"{"errors":["invalid token"]}"#.into()),
    });
    let events = told::events(&["g4te", "t0ken", "wr0ng"], |log| {
        let header = config::HeaderKey { name: "X-Gate".into(), value: Secret::Pin };
        let auth = config::Auth {
            bearer: Some(Secret::Pin),
            header: Some(header),
            pin_format: config::PinFormat::Roles,
            ..config::Auth::default()
        };
        let hsm = open_with(server.port, TRANSIT, auth, log);
        for pin in ["t0ken", "bearer=t0ken", "bearer=t0ken,header=g4te,hmac=x"] {
            assert_eq!(hsm.login(pin.as_bytes(), soon()).unwrap_err().rv(), CKR_PIN_INCORRECT, "{pin}");
        }
        assert_eq!(server.seen().len(), 0);
        let wrong = hsm.login(b"bearer=wr0ng,header=g4te", soon());
        assert_eq!(wrong.unwrap_err().rv(), CKR_PIN_INCORRECT);
        hsm.login(b"bearer=t0ken,header=g4te", soon()).unwrap();
        hsm.logout();
        let auth = config::Auth { bearer: Some(Secret::Pin), ..config::Auth::default() };
        assert!(open_with(server.port, TRANSIT, auth, log).login(b"t0ken", soon()).is_err());
    });
    let event = |level, account, what| format!("{level} slot \"test\", account {account:?}: {what}");
    let probe = "/v1/auth/token/lookup-self";
    assert_eq!(
        events,
        [
            event("WARN", "X-Gate", format!("use at GET {probe}: refused with HTTP 403")),
            event("INFO", "X-Gate", format!("login at GET {probe}: granted")),
            event("INFO", "X-Gate", "logout at this side: granted".into()),
            event("WARN", "bearer", format!("use at GET {probe}: refused with HTTP 403")),
        ]
    );
}
