//! Signed requests against the emulator's gateway, which verifies them by code of its own: what stands in front of any
//! slot, without a back end behind it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use p11rest::config;
use p11rest::observe::log::Log;
use p11rest::transport::auth::{self, Authenticated};
use p11rest::transport::{
    Class, Conventions, Deadline, ErrorKind, Headers, Method, Request, Response, Transport,
};
use reqwest::Method as Verb;
use serde_json::{Value, json};
use support::emulator::{Emulator, PIN};
use tempfile::NamedTempFile;

mod support;

/// The schemes of the emulator, which are all presets; the files with the secrets that they are signed with; and what a
/// slot has to say besides.
const SCHEMES: [(&str, &str, &str); 10] = [
    ("v3.0", "hmac.secret", ""),
    ("amx", "hmac.base64", ""),
    ("bitgo3", "hmac.secret", ""),
    ("azure-appconfig", "hmac.base64", ""),
    ("acquia2", "hmac.base64", "parameters = [\"realm=Pipet%20service\"]"),
    ("hawk", "hmac.secret", ""),
    ("ts.body", "hmac.secret", ""),
    ("method-path-body", "hmac.secret", ""),
    ("sigv4", "hmac.secret", "parameters = [\"region=us-east-1\", \"service=service\"]"),
    ("rfc9421-hmac", "hmac.base64", ""),
];

const TOKEN: &str = "token = { login = \"/token\", body = \"form\", refresh = \"/api/Auth/RefreshToken\", \
    refresh_fields = [\"AccessToken={access}\", \"RefreshToken={refresh}\"] }\n";

struct Gateway(Emulator);

impl Gateway {
    fn start(settings: &[&str]) -> Self {
        let options: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        Self(Emulator::start_with("gateway", false, &options))
    }

    /// What the module would talk through: with a token, signed by that preset, and more lines of `[slot.auth.hmac]`.
    fn open(&self, preset: &str, secret: &str, more: &str) -> Authenticated {
        let (url, secret) = (self.0.url(), self.0.path(secret));
        let text = format!(
            "version = 1\n[[slot]]\nlabel = \"gateway\"\nbackend = \"securosys\"\nurls = [\"{url}\"]\n\
             [slot.auth]\nuser = \"operator\"\npassword = \"{PIN}\"\n{TOKEN}\
             [slot.auth.hmac]\npreset = \"{preset}\"\nkey_id = \"client-001\"\nsecret = \"file:{}\"\n{more}\n",
            secret.display()
        );
        let mut file = NamedTempFile::new().unwrap();
        file.as_file().set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let config = config::load(Some(file.path()), &config::Process::with_environment(false, [])).unwrap();
        let token = config.slots[0].token.as_ref().unwrap();
        auth::open(token, &Conventions::default(), &Log::off()).unwrap()
    }

    fn switch(&self, verb: Verb, path: &str, body: &Value) {
        let answer = self.0.call(verb, &format!("/_emulator/{path}"), &[], Some(body));
        assert_eq!(answer.status(), 204, "{path} {body}");
    }

    fn events(&self, name: &str) -> u64 {
        let events: Value = self.0.call(Verb::GET, "/_emulator/events", &[], None).json().unwrap();
        events[name].as_u64().unwrap_or_default()
    }
}

fn list(service: &Authenticated) -> Response {
    let headers = Headers::default();
    let path = "/api/v1/keys?page=1&size=2";
    let request =
        Request { method: Method::Get, path, headers: &headers, body: None, class: Class::Repeatable };
    service.call(&request, soon()).unwrap()
}

/// A signature of the first key, over no digest in particular.
fn sign(service: &Authenticated) -> Response {
    let mut headers = Headers::default();
    headers.add("Content-Type", "application/json").unwrap();
    // 32 zero bytes.
    let body = br#"{"algorithm":"ECDSA","digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#;
    let path = "/api/v1/keys/ec-p256/sign";
    let request =
        Request { method: Method::Post, path, headers: &headers, body: Some(body), class: Class::Repeatable };
    service.call(&request, soon()).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn told(answer: &Response) -> String {
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    answer["error"].as_str().unwrap_or_default().to_owned()
}

/// What the gateway says to the token call.
fn refusal(service: &Authenticated) -> String {
    let headers = Headers::default();
    let class = Class::Repeatable;
    let request = Request { method: Method::Get, path: "/api/v1/keys", headers: &headers, body: None, class };
    let error = service.call(&request, soon()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    told(&error.refused.unwrap())
}

#[test]
fn every_scheme_of_the_emulator_lets_signed_requests_pass_and_no_others() {
    for (preset, secret, more) in SCHEMES {
        let gateway = Gateway::start(&[&format!("scheme={preset}")]);
        let service = gateway.open(preset, secret, more);
        assert_eq!((list(&service).status, sign(&service).status), (200, 200), "{preset}");
        assert_eq!(gateway.events("LOGIN"), 1);
        // The visitor's secret is not the one of this key.
        fs::write(gateway.0.path("wrong.base64"), "d3Jvbmc=").unwrap();
        let wrong = gateway.open(preset, "wrong.base64", more);
        assert_eq!(refusal(&wrong), "BAD_SIGNATURE", "{preset}: the token call is signed, too");
    }
}

#[test]
fn ten_minutes_of_skew_and_a_replay_cost_one_request_each() {
    for (preset, secret, more) in SCHEMES {
        // The presets differ in how far they think that times may be off.
        let gateway = Gateway::start(&[&format!("scheme={preset}")]);
        gateway.switch(Verb::PUT, "clock", &json!(600));
        let service = gateway.open(preset, secret, &format!("{more}\nclock_skew = \"300s\""));
        assert_eq!((list(&service).status, sign(&service).status), (200, 200), "{preset}");
        assert_eq!(gateway.events("TIMESTAMP_OUT_OF_RANGE"), 1, "{preset}");
        gateway.switch(Verb::PUT, "clock", &json!(-600));
        assert_eq!(sign(&service).status, 200, "{preset}");
        assert_eq!(gateway.events("TIMESTAMP_OUT_OF_RANGE"), 2, "{preset}");
        gateway.switch(Verb::PUT, "replay", &json!(1));
        assert_eq!(sign(&service).status, 200, "{preset}");
        assert_eq!(gateway.events("REPLAY"), 1, "{preset}");
    }
}

#[test]
fn knobs_for_other_readings_of_the_scheme() {
    let gateway = Gateway::start(&["timestamp=unix_ms", "nonce=any", "signed_answers=true"]);
    let more = "timestamp_format = \"unix_ms\"\nnonce_format = \"base64_16\"\nresponse_verify = true";
    let service = gateway.open("v3.0", "hmac.secret", more);
    assert_eq!((list(&service).status, sign(&service).status), (200, 200));
    let strict = Gateway::start(&[]);
    let unsigned = strict.open("v3.0", "hmac.secret", "response_verify = true");
    let headers = Headers::default();
    let class = Class::Repeatable;
    let request = Request { method: Method::Get, path: "/api/v1/keys", headers: &headers, body: None, class };
    assert_eq!(unsigned.call(&request, soon()).unwrap_err().kind, ErrorKind::Malformed);
    let gateway = Gateway::start(&["sign_token_calls=false"]);
    let service = gateway.open("v3.0", "hmac.secret", "sign_token_calls = false");
    assert_eq!(list(&service).status, 200);
}

/// Two secrets are good for a while; then the file has the new one. The token stays.
#[test]
fn a_secret_that_was_replaced_is_read_anew() {
    let gateway = Gateway::start(&[]);
    let service = gateway.open("v3.0", "hmac.secret", "");
    let old = gateway.0.text("hmac.secret");
    assert_eq!(list(&service).status, 200);
    let new = "another-secret-of-32-characters-";
    gateway.switch(Verb::PUT, "secrets/client-001", &json!([new, old]));
    assert_eq!(list(&service).status, 200);
    gateway.switch(Verb::PUT, "secrets/client-001", &json!([new]));
    fs::write(gateway.0.path("hmac.secret"), new).unwrap();
    assert_eq!(list(&service).status, 200);
    assert_eq!((gateway.events("LOGIN"), gateway.events("REFRESH")), (1, 0));
    // At the gateway before it is in the file.
    let next = "a-third-secret-of-32-characters-";
    gateway.switch(Verb::PUT, "secrets/client-001", &json!([next]));
    assert_eq!(refusal(&service), "BAD_SIGNATURE");
    fs::write(gateway.0.path("hmac.secret"), next).unwrap();
    assert_eq!(list(&service).status, 200);
}

/// Twenty tokens, eight threads, every request signed: none is lost.
#[test]
fn no_signature_is_lost_across_expiries() {
    let gateway = Gateway::start(&[]);
    gateway.switch(Verb::PUT, "tokens", &json!({ "calls": 50 }));
    let service = gateway.open("v3.0", "hmac.secret", "");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..125).for_each(|_| assert_eq!(sign(&service).status, 200)));
        }
    });
    assert!(gateway.events("REFRESH") >= 19, "{}", gateway.events("REFRESH"));
    assert_eq!((gateway.events("LOGIN"), gateway.events("REPLAY")), (1, 0));
}
