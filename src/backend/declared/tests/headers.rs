//! Each header line has one writer: the description, or a layer of the slot.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::description::Description;
use crate::config::{Auth, BasicLogin, HeaderKey, Secret};

fn bearer() -> Auth {
    Auth { bearer: Some(Secret::Pin), ..Auth::default() }
}

fn with_basic(auth: Auth) -> Auth {
    Auth { basic: Some(BasicLogin { user: "u".into(), password: Secret::Pin }), ..auth }
}

fn with_key(name: &str, auth: Auth) -> Auth {
    Auth { header: Some(HeaderKey { name: name.into(), value: Secret::Pin }), ..auth }
}

fn read(lines: &str, auth: &Auth) -> Result<(), String> {
    let text = format!("version = 1\n{lines}");
    let read = Description::parse(&text, &BTreeMap::new(), auth, Path::new("x.toml"));
    read.map(drop).map_err(|problem| problem.to_string())
}

const VAULT: &str = "token = { header = \"X-Vault-Token\", scheme = \"bare\" }";

/// Vault behind a proxy that wants user and password.
#[test]
fn a_bearer_token_with_a_header_of_its_own_goes_with_the_others() {
    read(VAULT, &with_basic(with_key("X-Gate", bearer()))).unwrap();
    read("", &with_key("X-Vault-Token", bearer())).unwrap();
    // The token of nobody has no line.
    read(VAULT, &with_key("X-Vault-Token", Auth::default())).unwrap();
}

#[test]
fn two_secrets_in_one_header_are_refused() {
    for (lines, auth, header, key) in [
        ("", with_basic(bearer()), "Authorization", "basic"),
        (VAULT, with_key("x-vault-token", bearer()), "X-Vault-Token", "header"),
    ] {
        let message = format!(
            "x.toml: token.header: slot.auth.bearer would be in {header}, where slot.auth.{key} is; \
             write another one of the two"
        );
        assert_eq!(read(lines, &auth), Err(message));
    }
}

#[test]
fn a_description_writes_no_line_of_a_secret() {
    for lines in ["headers = { x-gate = \"1\" }", "probe = { path = \"/\", headers = { X-Gate = \"1\" } }"] {
        read(lines, &bearer()).unwrap();
        let refused = read(lines, &with_key("X-GATE", Auth::default())).unwrap_err();
        assert!(
            refused.to_lowercase().contains("x-gate is in slot.auth.header; write it in one of them"),
            "{refused}"
        );
    }
    let refused = read(&format!("headers = {{ X-Vault-Token = \"1\" }}\n{VAULT}"), &bearer()).unwrap_err();
    assert!(refused.contains("X-Vault-Token carries the token"), "{refused}");
}
