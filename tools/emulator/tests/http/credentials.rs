//! API keys and JWT that change while the server runs (Securosys TSB reference §1.3).

use serde_json::json;

use crate::client::{Client, Fixture, PIN};

fn replace(client: &mut Client, path: &str, value: serde_json::Value) {
    assert_eq!(client.request("PUT", path, value.to_string().as_bytes()).status, 204);
}

#[test]
fn every_key_of_a_list_is_valid_and_no_other() {
    let fixture = Fixture::new();
    let mut admin = fixture.connect("");
    let path = "/_emulator/api-keys/key_operation";
    assert_eq!(admin.get(path).json(), json!([PIN]));
    replace(&mut admin, path, json!(["new", "old"]));
    assert_eq!(admin.get(path).json(), json!(["new", "old"]));
    for key in ["new", "old"] {
        assert_eq!(fixture.connect(key).get("/v1/generateRandom/8").status, 200, "{key}");
    }
    // A connection that was admitted before is not any more.
    let mut operator = fixture.connect("old");
    assert_eq!(operator.get("/v1/generateRandom/8").status, 200);
    replace(&mut admin, path, json!(["new"]));
    assert_eq!(operator.get("/v1/generateRandom/8").refusal(), (401, 631));
    assert_eq!(fixture.operator().get("/v1/generateRandom/8").refusal(), (401, 631));
    // Other roles keep theirs.
    assert_eq!(fixture.manager().get("/v1/key").status, 200);
}

#[test]
fn a_role_without_keys_admits_nobody() {
    let fixture = Fixture::new();
    replace(&mut fixture.connect(""), "/_emulator/api-keys/key_management", json!([]));
    assert_eq!(fixture.manager().get("/v1/key").refusal(), (401, 631));
}

#[test]
fn every_role_of_the_reference_has_keys() {
    let fixture = Fixture::new();
    let mut admin = fixture.connect("");
    let paths = [
        ("key_management", "GET", "/v1/key"),
        ("key_operation", "GET", "/v1/generateRandom/8"),
        ("approver", "POST", "/v1/filteredSignApprovalTask"),
        ("service", "GET", "/v1/licenseInfo"),
        ("approver_key_management", "POST", "/v1/approverManagement/create"),
    ];
    for (role, method, path) in paths {
        replace(&mut admin, &format!("/_emulator/api-keys/{role}"), json!(["fresh"]));
        let refusal = fixture.connect("stale").request(method, path, b"{}").refusal();
        assert_eq!(refusal, (401, 631), "{role}");
        let admitted = fixture.connect("fresh").request(method, path, b"{}").status;
        assert_ne!(admitted, 401, "{role}");
    }
}

#[test]
fn kept_answers_are_not_for_those_whose_key_is_gone() {
    let fixture = Fixture::with(|options| options.canned = true);
    let mut operator = fixture.operator();
    let first = operator.get("/v1/generateRandom/8").body;
    assert_eq!(operator.get("/v1/generateRandom/8").body, first);
    replace(&mut fixture.connect(""), "/_emulator/api-keys/key_operation", json!(["new"]));
    assert_eq!(operator.get("/v1/generateRandom/8").refusal(), (401, 631));
}

#[test]
fn the_token_can_be_renewed() {
    let fixture = Fixture::with(|options| options.bearer = Some("first".to_owned()));
    let mut operator = fixture.operator();
    operator.headers.push(("Authorization", "Bearer first".to_owned()));
    assert_eq!(operator.get("/v1/generateRandom/8").status, 200);
    replace(&mut fixture.connect(""), "/_emulator/bearer", json!("second"));
    assert_eq!(operator.get("/v1/generateRandom/8").refusal(), (401, 617));
    operator.headers[1].1 = "Bearer second".to_owned();
    assert_eq!(operator.get("/v1/generateRandom/8").status, 200);
}

#[test]
fn nonsense_changes_nothing() {
    let fixture = Fixture::new();
    let mut admin = fixture.connect("");
    for (method, path, body, status) in [
        ("PUT", "/_emulator/api-keys/key_operation", "\"new\"", 400),
        ("PUT", "/_emulator/api-keys/key_operation", "[1]", 400),
        ("POST", "/_emulator/api-keys/key_operation", "[]", 405),
        ("PUT", "/_emulator/api-keys/operator", "[]", 404),
        ("PUT", "/_emulator/bearer", "[]", 400),
        ("GET", "/_emulator/bearer", "", 405),
    ] {
        assert_eq!(admin.request(method, path, body.as_bytes()).status, status, "{method} {path} {body}");
    }
    assert_eq!(fixture.operator().get("/v1/generateRandom/8").status, 200);
}

#[test]
fn the_pin_can_be_another() {
    let fixture = Fixture::with(|options| options.pin = "another".to_owned());
    assert_eq!(fixture.connect("another").get("/v1/generateRandom/8").status, 200);
    assert_eq!(fixture.operator().get("/v1/generateRandom/8").refusal(), (401, 631));
}
