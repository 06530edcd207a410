//! `signhash`.

use super::*;

const RSA: SignScheme = SignScheme::RsaPkcs1(Some(Hash::Sha256));

fn sign(hsm: &Fast, scheme: SignScheme, payload: &[u8]) -> Result<Vec<u8>> {
    let request = SignRequest { key: &SN.into(), password: None, scheme, payload, approval: false };
    match hsm.sign(&request, soon())? {
        Outcome::Done(signature) => Ok(signature),
        Outcome::Pending(task) => panic!("{task:?}"),
    }
}

fn signed(signatures: &[&[u8]]) -> (u16, String) {
    let texts: Vec<_> = signatures.iter().map(|bytes| STANDARD.encode(bytes)).collect();
    success(&json!({ "signatureArray": texts }))
}

fn offers(hsm: &Fast, scheme: SignScheme) -> bool {
    hsm.sign_input(scheme) == Some(SignInput::Digest)
}

/// Section 6.3, and what the settings change of it.
#[test]
fn the_schemes_are_those_of_the_settings() {
    let with = |settings: config::Fast| open_with(&Server::nowhere(), &settings, Secret::Literal("p".into()));
    let pss = |hash| SignScheme::RsaPss(hash);
    let pkcs1 = |hash| SignScheme::RsaPkcs1(Some(hash));
    let hsm = with(settings());
    assert!(offers(&hsm, RSA) && offers(&hsm, SignScheme::RsaPkcs1(None)));
    let others = [pkcs1(Hash::Sha1), pkcs1(Hash::Sha512), pss(Hash::Sha256), SignScheme::EdDsa];
    assert!(others.into_iter().all(|scheme| !offers(&hsm, scheme)));
    let hsm = with(config::Fast { digests: vec![Hash::Sha1, Hash::Sha512], ..settings() });
    assert!(offers(&hsm, pkcs1(Hash::Sha1)) && offers(&hsm, pkcs1(Hash::Sha512)) && !offers(&hsm, RSA));
    let hsm = with(config::Fast { padding: Padding::Pss, ..settings() });
    assert!(offers(&hsm, pss(Hash::Sha256)) && !offers(&hsm, pss(Hash::Sha384)));
    assert!(!offers(&hsm, RSA) && !offers(&hsm, SignScheme::RsaPkcs1(None)));
    assert_eq!(rv(sign(&hsm, RSA, &[0; 32])), CKR_MECHANISM_INVALID);
}

#[test]
fn a_digest_goes_out_bare_or_in_a_digest_info() {
    let server = serving(|_| signed(&[b"signature"]));
    let digest = Hash::Sha256.digest(b"test");
    assert_eq!(sign(&open(&server), RSA, &digest).unwrap(), b"signature");
    let wrapped = config::Fast { hash_input: HashInput::DigestInfo, ..settings() };
    sign(&open_with(&server, &wrapped, Secret::Literal("p".into())), RSA, &digest).unwrap();
    let seen = server.seen();
    // Section 5.
    let bare = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";
    assert_eq!(path(&seen[1]), SIGN);
    assert_eq!(body(&seen[1]), json!({ "certificateSN": SN, "hashArray": [bare] }));
    // The prefix is that of section 6.3.
    let prefix = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
    let wrapped = STANDARD.encode([&prefix[..], &digest].concat());
    assert_eq!(body(&seen[3])["hashArray"], json!([wrapped]));
}

#[test]
fn what_is_no_digest_is_not_sent() {
    let server = serving(|_| signed(&[b"signature"]));
    assert_eq!(rv(sign(&open(&server), SignScheme::RsaPkcs1(None), b"Hello World")), CKR_DATA_INVALID);
    assert!(server.seen().is_empty());
}

#[test]
fn an_answer_that_is_not_one_signature_is_none() {
    for members in [
        json!({}),
        json!({ "signatureArray": null }),
        json!({ "signatureArray": [] }),
        json!({ "signatureArray": ["AA==", "AA=="] }),
        json!({ "signatureArray": [""] }),
        json!({ "signatureArray": ["*"] }),
        json!({ "signatureArray": "AA==" }),
        json!({ "signatureArray": [7] }),
    ] {
        let answer = success(&members);
        let hsm = open(&serving(move |_| answer.clone()));
        assert_eq!(rv(sign(&hsm, RSA, &[0; 32])), CKR_DEVICE_ERROR, "{members}");
    }
    for text in ["<html>", "", "{", r#"{"success":true"#] {
        let hsm = open(&serving(move |_| (200, text.to_owned())));
        assert_eq!(rv(sign(&hsm, RSA, &[0; 32])), CKR_DEVICE_ERROR, "{text}");
    }
}

/// Section 8: the service says the same of an unknown and of an expired certificate.
#[test]
fn a_refusal_is_looked_into_where_it_says_too_little() {
    let missing = || failure(404, "Certificate not found");
    type Info = fn() -> (u16, String);
    for (code, message, info, expected, asks) in [
        (400, "Invalid hash format", missing as Info, CKR_DATA_INVALID, false),
        (403, "Forbidden", missing, CKR_KEY_FUNCTION_NOT_PERMITTED, false),
        (400, "Invalid certificate SN", missing, CKR_KEY_HANDLE_INVALID, true),
        (400, "Invalid certificate SN", || told("expired"), CKR_KEY_FUNCTION_NOT_PERMITTED, true),
        (400, "Invalid certificate SN", || told("valid"), CKR_KEY_HANDLE_INVALID, true),
        (
            400,
            "Invalid certificate SN",
            || success(&json!({ "data": { "status": "valid", "keyUsage": ["keyEncipherment"] } })),
            CKR_KEY_FUNCTION_NOT_PERMITTED,
            true,
        ),
        // In a language that nobody here reads.
        (400, "Dữ liệu không hợp lệ", || told("valid"), CKR_DATA_INVALID, true),
        (400, "Dữ liệu không hợp lệ", || told("revoked"), CKR_KEY_FUNCTION_NOT_PERMITTED, true),
        (400, "Invalid certificate SN", || failure(500, "Internal server error"), CKR_DEVICE_ERROR, true),
    ] {
        let server = serving(move |seen| match path(seen) {
            INFO => info(),
            _ => failure(code, message),
        });
        let hsm = open(&server);
        assert_eq!(rv(sign(&hsm, RSA, &[0; 32])), expected, "{code} {message}");
        assert_eq!(paths(&server).iter().any(|path| path == INFO), asks, "{code} {message}");
    }
}

/// Each may be a legal signature.
#[test]
fn a_signature_is_asked_for_again_only_by_the_setting() {
    let failing = |status: u16| {
        serving(move |_| {
            let (_, body) = failure(500, "Signing failed");
            (status, body)
        })
    };
    let repeating = config::Fast { repeat_sign: true, ..settings() };
    for (settings, asked) in [(settings(), 1), (repeating, 3)] {
        for status in [200, 500] {
            let server = failing(status);
            let hsm = open_with(&server, &settings, Secret::Literal("p".into()));
            assert_eq!(rv(sign(&hsm, RSA, &[0; 32])), CKR_FUNCTION_FAILED);
            assert_eq!(paths(&server).iter().filter(|path| *path == SIGN).count(), asked);
        }
    }
}

#[test]
fn a_failure_that_passes_is_survived_by_the_setting() {
    let made = AtomicUsize::new(0);
    let server = serving(move |_| match made.fetch_add(1, Ordering::SeqCst) {
        0 => failure(500, "Signing failed"),
        _ => signed(&[b"signature"]),
    });
    let repeating = config::Fast { repeat_sign: true, ..settings() };
    let hsm = open_with(&server, &repeating, Secret::Literal("p".into()));
    assert_eq!(sign(&hsm, RSA, &[0; 32]).unwrap(), b"signature");
}

/// Section 6.4: nothing was signed.
#[test]
fn a_service_that_has_too_much_to_do_is_asked_again_when_it_says() {
    for times in [1, 2] {
        let server = throttling(SIGN, times, Some("0"), |_| signed(&[b"signature"]));
        assert_eq!(sign(&open(&server), RSA, &[0; 32]).unwrap(), b"signature");
        assert_eq!(paths(&server).iter().filter(|path| *path == SIGN).count(), times + 1);
    }
    let server = throttling(SIGN, 1, Some("1"), |_| signed(&[b"signature"]));
    let start = std::time::Instant::now();
    assert_eq!(sign(&open(&server), RSA, &[0; 32]).unwrap(), b"signature");
    assert!(start.elapsed() >= Duration::from_secs(1));
    // Too late for this call, which has ten seconds.
    let server = throttling(SIGN, 1, Some("60"), |_| signed(&[b"signature"]));
    assert_eq!(rv(sign(&open(&server), RSA, &[0; 32])), CKR_DEVICE_ERROR);
    assert_eq!(paths(&server), [TOKEN, SIGN]);
    // On the way to a token.
    let server = throttling(TOKEN, 2, Some("0"), |_| signed(&[b"signature"]));
    assert_eq!(sign(&open(&server), RSA, &[0; 32]).unwrap(), b"signature");
    assert_eq!(paths(&server), [TOKEN, TOKEN, TOKEN, SIGN]);
}
