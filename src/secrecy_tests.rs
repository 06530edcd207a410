//! What holds a secret or data of a caller does not show it, however it is printed.

use std::fmt::Debug;

use cryptoki_sys::{CKM_AES_GCM, CKR_DEVICE_ERROR};
use zeroize::Zeroizing;

use crate::backend::{DecryptScheme, EncryptScheme, Outcome};
use crate::config::{Process, load};
use crate::error::Error;
use crate::model::mechanism::{self, Chosen, Parameter};
use crate::model::operation::Output;
use crate::transport::auth::{ApiKey, AuthError, Bearer, Credential};
use crate::transport::{self, ErrorKind, Headers, Response};

/// Long, and nowhere else.
const SECRET: &str = "wQ7-unprinted-9fKx2mPv";

/// A literal secret in each place that takes one.
const CONFIG: &str = r#"
version = 1
[[slot]]
label = "a"
backend = "securosys"
urls = ["https://hsm"]
[slot.auth]
bearer = "SECRET"
[slot.auth.api_key]
key_management = "command:echo SECRET"
key_operation = "SECRET"
service = "SECRET"
"#;

#[track_caller]
fn hides(value: &impl Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        let text: String = text.split_whitespace().collect();
        // As it is, and its first bytes in decimal and hexadecimal.
        assert!(["unprinted", "119,81", "77,51", "7751"].iter().all(|part| !text.contains(part)), "{text}");
    }
}

fn filled(credential: Credential) -> Credential {
    credential.fill(SECRET.into());
    credential
}

#[test]
fn the_check_itself_sees_a_secret() {
    assert!(std::panic::catch_unwind(|| hides(&SECRET)).is_err());
    assert!(std::panic::catch_unwind(|| hides(&SECRET.as_bytes())).is_err());
}

#[test]
fn credentials_and_what_carries_them() {
    hides(&filled(Credential::pin()));
    hides(&filled(Credential::fixed(|| Ok(SECRET.into()))));
    hides(&ApiKey { header: "X-API-KEY".into(), credential: filled(Credential::pin()) });
    hides(&Bearer::new(filled(Credential::pin())));
    let mut headers = Headers::default();
    headers.add("Authorization", SECRET).unwrap();
    hides(&headers);
    // A value that no header takes is not told either.
    let refused = headers.add("Authorization", &format!("{SECRET}\r\n")).unwrap_err();
    hides(&refused.to_string());
    hides(&refused);
    let error = Error::new(CKR_DEVICE_ERROR, "no credential").because(AuthError::Unfit(refused));
    hides(&error.to_string());
    hides(&error);
}

#[test]
fn answers_and_results() {
    let bytes = || Zeroizing::new(SECRET.as_bytes().to_vec());
    hides(&Response { status: 200, retry_after: None, kept: transport::Kept::default(), body: bytes() });
    hides(&Output::Bytes(bytes()));
    hides(&Outcome::Done(bytes()));
    hides(&Outcome::Done(SECRET.as_bytes().to_vec()));
    hides(&transport::Error::sent(ErrorKind::Broken, "the connection ended"));
}

#[test]
fn parameters_of_mechanisms() {
    let data = SECRET.as_bytes();
    let block: [u8; 16] = data[..16].try_into().unwrap();
    let parameters = [
        Parameter::Oaep { hash: 1, mgf: 2, label: data.to_vec() },
        Parameter::Iv(block),
        Parameter::Ctr { bits: 1, block },
        Parameter::Gcm { iv: data.to_vec(), aad: data.to_vec(), tag_bits: 128 },
        Parameter::EdDsa { prehash: false, context: data.to_vec() },
    ];
    for parameter in parameters {
        hides(&parameter);
        hides(&Chosen { mechanism: mechanism::find(CKM_AES_GCM).unwrap(), parameter });
    }
    hides(&DecryptScheme::AesCbc { iv: data });
    hides(&DecryptScheme::AesCtr { counter: data });
    hides(&DecryptScheme::AesGcm { iv: data, aad: data, tag_bits: 128 });
    hides(&EncryptScheme::AesGcm { iv: Some(data), aad: data, tag_bits: 128 });
}

fn configured(text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p11rest.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    match load(Some(&path), &Process::with_environment(false, [])) {
        Ok(config) => {
            let problems = config.slots.iter().filter_map(|slot| slot.token.as_ref().err());
            let problems: Vec<_> = problems.map(ToString::to_string).collect();
            format!("{config:#?} {}", problems.join("\n"))
        }
        Err(problem) => format!("{problem} {problem:?}"),
    }
}

#[test]
fn the_configuration() {
    let text = CONFIG.replace("SECRET", SECRET);
    let shown = configured(&text);
    assert!(shown.contains("redacted") && shown.contains("hsm"), "{shown}");
    hides(&shown);
    let quoted = format!("\"{SECRET}\"");
    // Each secret in each wrong form: what is wrong is told without it.
    let wrong = [
        SECRET.to_owned(),
        format!("\"{SECRET}"),
        format!("{SECRET}\""),
        format!("'{SECRET}\n'"),
        format!("\"\\q{SECRET}\""),
        format!("\"{SECRET}\" {SECRET}"),
        format!("\"{SECRET}\"\n{SECRET}"),
        format!("[\"{SECRET}\", 1]"),
        format!("{{ {SECRET} }}"),
        format!("\"\"\"{SECRET}"),
    ];
    let lines = text.match_indices(&quoted).map(|(at, _)| at);
    for at in lines {
        for form in &wrong {
            let broken = [&text[..at], form, &text[at + quoted.len()..]].concat();
            hides(&configured(&broken));
        }
    }
    // Where a table is expected, and at the top.
    hides(&configured(&format!("version = 1\n[[slot]]\nlabel = \"a\"\n[slot.auth]\napi_key = {quoted}\n")));
    hides(&configured(&format!("version = {quoted}\n")));
    hides(&configured(&text.replace("https://hsm", &format!("https://user:{SECRET}@hsm"))));
}
