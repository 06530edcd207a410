//! `[slot.auth.hmac]`: presets, what replaces their parts, and what is refused.

use super::super::hmac::{Derivation, Digest, Encoding, MacMode, NonceFormat, QueryMode, TimeFormat};
use super::messages::slot_refusal;
use super::*;

fn hmac_of(lines: &str) -> Hmac {
    let config = load_text(&format!("{SLOT}[slot.auth.hmac]\n{lines}"));
    let token = config.slots.into_iter().next().unwrap().token;
    *token.unwrap().auth.hmac.unwrap()
}

#[test]
fn a_key_id_is_all_that_the_profile_needs() {
    let Hmac { scheme, key_id, secret, sign_token_calls } = hmac_of("key_id = \"client-001\"");
    assert_eq!((key_id.as_str(), sign_token_calls), ("client-001", true));
    assert!(secret.is_pin());
    assert_eq!((scheme.version.as_str(), scheme.join.as_str(), scheme.template.len()), ("v3.0", "\n", 8));
    assert_eq!((scheme.hash, scheme.output), (Digest::Sha256, Encoding::Hex));
    assert_eq!((scheme.timestamp, scheme.nonce), (TimeFormat::Unix, NonceFormat::Uuid));
    assert_eq!((scheme.clock_skew, scheme.server_time_header.as_str()), (Duration::from_secs(300), "date"));
    assert!(scheme.answer.is_none());
    let config = load_text(&format!("{SLOT}auth.hmac.key_id = \"client-001\""));
    assert!(token(&config).login_required(), "the secret is the PIN");
}

#[test]
fn every_preset_is_whole() {
    for (preset, more) in [
        ("v3.0", ""),
        ("amx", ""),
        ("bitgo3", ""),
        ("azure-appconfig", ""),
        ("acquia2", "parameters = \"realm=Example\""),
        ("hawk", ""),
        ("ts.body", ""),
        ("method-path-body", ""),
        ("sigv4", "parameters = [\"region=eu\", \"service=sign\"]"),
        ("rfc9421-hmac", ""),
    ] {
        let hmac = hmac_of(&format!("preset = \"{preset}\"\nkey_id = \"k\"\n{more}"));
        assert!(!hmac.scheme.headers.is_empty(), "{preset}");
        let verifies = ["bitgo3", "acquia2"].contains(&preset);
        assert_eq!(hmac.scheme.answer.is_some(), verifies, "{preset}");
    }
    assert_eq!(hmac_of("preset = \"bitgo3\"").key_id, "", "its secret is all that it has");
}

#[test]
fn each_part_of_a_preset_can_be_replaced() {
    let Hmac { scheme, sign_token_calls, .. } = hmac_of(
        r#"preset = "hawk"
        key_id = "k"
        secret = "00ff"
        sign_token_calls = false
        version = "4"
        template = ["{method} {path}", "{lit:x}{timestamp}", "[{nonce}]"]
        join = "|"
        trailing_join = false
        mac_mode = "digest_suffix"
        hash = "sha512"
        secret_encoding = "hex"
        key_derivation = "none"
        output = "base64url-nopad"
        body_hash = "md5"
        body_hash_encoding = "HEX"
        body_hash_template = "{body}"
        empty_body = "omit_line"
        query_mode = "dropped"
        path_prefix_strip = "/gate/"
        timestamp_format = "iso8601"
        nonce_format = "counter"
        headers = ["X-S: {signature}", "X-T: {timestamp}", "X-N: {nonce}"]
        signed_headers = ["host", "x-a"]
        parameters = ["a=b=c"]
        response_verify = true
        response_template = ["{nonce}", "{body}"]
        response_header = "X-Answer"
        response_attribute = ""
        response_time_header = "X-Time"
        clock_skew = "30s"
        server_time_header = "X-Now"
        clock_words = ["Too Old"]
        replay_words = ["NONCE", "replay"]"#,
    );
    assert!(!sign_token_calls);
    assert_eq!((scheme.version.as_str(), scheme.join.as_str(), scheme.trailing_join), ("4", "|", false));
    assert_eq!(
        (scheme.mac, scheme.hash, scheme.derivation),
        (MacMode::DigestSuffix, Digest::Sha512, Derivation::None)
    );
    assert_eq!(scheme.secret_encoding.decode("00ff").unwrap().as_slice(), [0, 0xff]);
    assert_eq!((scheme.output, scheme.body_hash_encoding), (Encoding::Base64UrlUnpadded, Encoding::UpperHex));
    assert_eq!((scheme.body_hash, scheme.query), (Some(Digest::Md5), QueryMode::Dropped));
    assert_eq!((scheme.timestamp, scheme.nonce), (TimeFormat::Iso, NonceFormat::Counter));
    assert_eq!(scheme.path_prefix_strip, "/gate");
    let names: Vec<_> = scheme.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, scheme.template.len()), (vec!["X-S", "X-T", "X-N"], 3));
    assert_eq!(scheme.signed_headers, ["host", "x-a"]);
    assert_eq!(scheme.parameters[0], ("a".to_owned(), "b=c".to_owned()));
    let answer = scheme.answer.unwrap();
    assert_eq!((answer.header.as_str(), answer.attribute), ("x-answer", None));
    assert_eq!((answer.template.len(), answer.time_header.as_deref()), (2, Some("x-time")));
    assert_eq!((scheme.clock_skew, scheme.server_time_header.as_str()), (Duration::from_secs(30), "x-now"));
    assert_eq!(scheme.replay_words, ["nonce", "replay"]);
    assert_eq!(scheme.clock_words, ["too old"]);
}

#[test]
fn the_token_moves_where_the_signature_has_its_header() {
    let text = |preset: &str, header: &str| {
        format!(
            "{SLOT}auth.user = \"u\"\nauth.token = {{ login = \"/token\"{header} }}\n\
             auth.hmac = {{ preset = \"{preset}\", key_id = \"k\", secret = \"env:S\" }}\n"
        )
    };
    for (preset, header) in [("v3.0", "Authorization"), ("amx", "X-Authorization")] {
        let config = load_text(&text(preset, ""));
        assert_eq!(token(&config).auth.token.as_ref().unwrap().header, header);
    }
    assert_eq!(
        slot_refusal(&text("amx", ", header = \"authorization\"")),
        "p11rest.toml:8: slot.auth.hmac: would be in the header Authorization, where slot.auth.token is; write \
         another header for the token (slot.auth.token.header), or slot.auth.hmac.headers"
    );
}

#[test]
fn what_cannot_be_signed_names_line_key_and_remedy() {
    for (line, message) in [
        (
            "preset = \"v2\"",
            "preset: \"v2\" is not known; write \"v3.0\" or \"amx\" or \"bitgo3\" or \"azure-appconfig\" or \
             \"acquia2\" or \"hawk\" or \"ts.body\" or \"method-path-body\" or \"sigv4\" or \"rfc9421-hmac\"",
        ),
        ("secrets = \"x\"", "secrets: is not a known key; write secret"),
        (
            "secret_encoding = \"base64\"\nsecret = \"no base64!\"",
            "secret: is not base64, which the secret of this scheme is; write it so, or another secret_encoding",
        ),
        (
            "template = [\"{methods}\"]",
            "template: has {methods}, which is not known there; write tokens as {method} or {header:NAME}, and \
             braces and brackets of text twice",
        ),
        ("template = []", "template: has no entry; write what is signed: [\"{method}\", \"{path}\", …]"),
        (
            "headers = [\"X-Signature\"]",
            "headers: \"X-Signature\" is not a header line; write \"X-Signature: {signature}\"",
        ),
        (
            "headers = [\"Host: {signature}\"]",
            "headers: Host says something else in a request; write the name of a header, such as \"X-Auth-Token\"",
        ),
        (
            "headers = [\"X-T: {timestamp}\"]",
            "headers: has no {signature}; write \"X-Signature: {signature}\" among them",
        ),
        (
            "headers = [\"X-S: {signature}\", \"X-N: {nonce}\"]",
            "headers: has no {timestamp}, which is signed; write \"X-Timestamp: {timestamp}\" among them",
        ),
        (
            "headers = [\"X-S: {signature}\", \"X-T: {timestamp}\"]",
            "headers: has no {nonce}, which is signed; write \"X-Nonce: {nonce}\" among them, or nonce_format = \"none\"",
        ),
        (
            "nonce_format = \"none\"",
            "nonce_format: is \"none\", and the {nonce} is wanted; write another one",
        ),
        ("body_hash = \"none\"", "body_hash: is \"none\", and the {body_hash} is wanted; write another one"),
        (
            "body_hash_template = \"{body_hash}\"",
            "body_hash_template: hashes its own {body_hash}; write {body} there",
        ),
        (
            "template = [\"{status}{timestamp}{nonce}\"]",
            "template: has what only answers have; write {status} and {attribute:…} in response_template alone",
        ),
        (
            "signed_headers = [\"X-Date\"]",
            "signed_headers: \"X-Date\" is not the name of a header; write it in lower case, or one of @method, \
             @target-uri, @authority, @scheme, @request-target, @path, @query",
        ),
        (
            "parameters = [\"realm\"]",
            "parameters: \"realm\" is not a parameter; write \"name=value\", in printable ASCII",
        ),
        (
            "response_verify = true\nresponse_template = [\"{body}\"]",
            "response_template: would take the answer to another request; write {nonce} or {timestamp}, or the \
             {header:…} of response_time_header",
        ),
        (
            "response_verify = true\nresponse_template = [\"{nonce}\"]",
            "response_template: does not sign the answer; write {body} or {body_hash}",
        ),
        (
            "version = \"a\\nb\"",
            "version: has what no header line may carry within quotation marks; write printable ASCII without \
             \", \\ and blanks at its ends",
        ),
        (
            "server_time_header = \"\"",
            "server_time_header: is empty; write the name of a header, such as \"X-Auth-Token\"",
        ),
        (
            "path_prefix_strip = \"gate\"",
            "path_prefix_strip: \"gate\" is not a path; write \"/what/the/gateway/takes/off\"",
        ),
    ] {
        let (first, rest) = line.split_once('\n').unwrap_or((line, ""));
        let shown = slot_refusal(&format!("{SLOT}[slot.auth.hmac]\nkey_id = \"k\"\n{first}\n{rest}"));
        let (place, told) = shown.split_once(": slot.auth.hmac.").unwrap();
        assert_eq!(told, message);
        let last = if rest.is_empty() { 8 } else { 9 };
        assert_eq!(place, format!("p11rest.toml:{last}"), "{line}");
    }
    assert_eq!(
        slot_refusal(&format!("{SLOT}[slot.auth.hmac]\npreset = \"acquia2\"")),
        "p11rest.toml:6: slot.auth.hmac.key_id: is missing; write key_id = \"the name of the secret\""
    );
    for (preset, parameter) in [("acquia2", "realm"), ("sigv4", "region")] {
        assert_eq!(
            slot_refusal(&format!("{SLOT}[slot.auth.hmac]\nkey_id = \"k\"\npreset = \"{preset}\"")),
            format!(
                "p11rest.toml:6: slot.auth.hmac.parameters: has no {parameter}, which the scheme wants; write \
                 parameters = [\"{parameter}=…\"]"
            )
        );
    }
}

#[test]
fn a_pin_with_a_secret_needs_one_that_is_a_pin() {
    for hmac in ["", "auth.hmac = { key_id = \"k\", secret = \"env:S\" }"] {
        assert_eq!(
            slot_refusal(&format!("{SLOT}auth.pin_format = \"password:secret\"\n{hmac}")),
            "p11rest.toml:6: slot.auth.pin_format: has a secret, which slot.auth.hmac.secret = \"pin\" would be; \
             write that, or another format"
        );
    }
    let config = load_text(&format!("{SLOT}auth.pin_format = \"password:secret\"\nauth.hmac.key_id = \"k\""));
    assert_eq!(token(&config).auth.pin_format, PinFormat::PasswordAndSecret);
}

#[test]
fn the_environment_has_a_line_for_each_entry() {
    let config = load_environment(&[
        ("P11REST_SLOT_0_LABEL", "a"),
        ("P11REST_SLOT_0_BACKEND", "securosys"),
        ("P11REST_SLOT_0_URLS", "http://localhost"),
        ("P11REST_SLOT_0_AUTH_HMAC_KEY_ID", "k"),
        ("P11REST_SLOT_0_AUTH_HMAC_TEMPLATE", "{timestamp}.{body}\n{nonce}"),
        ("P11REST_SLOT_0_AUTH_HMAC_SIGNED_HEADERS", "host x-a"),
    ]);
    let scheme = &token(&config).auth.hmac.as_ref().unwrap().scheme;
    assert_eq!((scheme.template.len(), scheme.signed_headers.len()), (2, 2));
}
