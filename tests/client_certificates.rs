//! Client certificates, as servers ask for them (Securosys TSB reference §1.1), pins and versions of TLS: what works, and
//! what the log says of what does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine};
use cryptoki_sys::*;
use support::emulator::{Emulator, PIN};
use support::openssl::{digest, openssl};
use support::p11::{Code, P11, refused};
use support::secrets;
use support::session::Session;

mod support;

const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwMTFyZXN0In0.c2lnbmF0dXJl";
const PASSWORD: &str = "pkcs12-password-2718-2818";
const EC: &str = "ec-p256";

/// The servers of both versions of TLS.
const VERSIONS: [&[&str]; 2] = [&[], &["--tls-max", "1.2"]];

/// Makes connections by other means than without.
const HTTP2: &str = "http2 = true\n";

/// The certificates in the emulator's folder, and why it refuses them; none is the last.
const IDENTITIES: [(&str, Option<&str>); 5] = [
    ("client", None),
    ("revoked", Some("it is revoked (alert CertificateRevoked)")),
    ("expired", Some("it has expired or is not valid yet (alert CertificateExpired)")),
    ("stranger", Some("the server does not trust the authority that issued it (alert UnknownCA)")),
    ("", Some("the server wants a client certificate, and none is configured")),
];

/// Its keys are those of all others: they take long to make.
static FIRST: LazyLock<Emulator> = LazyLock::new(|| Emulator::start("securosys", true));

#[test]
fn a_server_that_insists_on_a_certificate() {
    certificates("need", |_, reason| reason);
}

#[test]
fn a_server_that_wants_a_certificate_takes_clients_without() {
    certificates("want", |name, reason| reason.filter(|_| !name.is_empty()));
}

#[test]
fn a_server_that_asks_for_none_sees_none() {
    certificates("none", |_, _| None);
}

/// Every identity at servers of that kind; `refusal` says why it is refused there, from what speaks against it.
fn certificates(mode: &str, refusal: fn(&str, Option<&'static str>) -> Option<&'static str>) {
    for version in VERSIONS {
        let server = FIRST.twin(&[&["--client-auth", mode], version].concat());
        for (name, reason) in IDENTITIES {
            with_tls(&server, &identity(name), |p11, slot| {
                let session = p11.open(slot).unwrap();
                match refusal(name, reason) {
                    None => works(&session),
                    Some(reason) => {
                        let said = is_refused(&server, || session.login(PIN));
                        explains(&said, &server, name, reason);
                        assert_eq!(session.info().unwrap().state, CKS_RO_PUBLIC_SESSION);
                        is_refused(&server, || session.login(PIN));
                    }
                }
            });
        }
    }
}

/// The log names the certificate that was refused, or how to configure one.
#[track_caller]
fn explains(said: &str, server: &Emulator, name: &str, reason: &str) {
    assert!(said.contains(reason), "{name}: {said}");
    let file = server.path(name).with_extension("pem");
    let told = match name {
        "" => "set slot.tls.identity".to_owned(),
        _ => format!("{} (serial number {}, not after ", file.display(), serial(&file)),
    };
    assert!(said.contains(&told), "{told:?} is not in {said}");
}

/// A call that fails because of TLS, with one connection and no request; what the log says of it.
#[track_caller]
fn is_refused<T: std::fmt::Debug>(server: &Emulator, call: impl FnOnce() -> Result<T, Code>) -> String {
    let (before, log) = (server.stats(), Log::begin());
    refused(call(), CKR_DEVICE_ERROR);
    let after = server.stats();
    assert_eq!((after.connections - before.connections, after.total - before.total), (1, 0));
    log.text()
}

/// Every role is used: keys are listed, one signs, and its signature is good.
#[track_caller]
fn works(session: &Session) {
    session.login(PIN).unwrap();
    let public = session.the(CKO_PUBLIC_KEY, EC);
    let signature = sign(session).unwrap();
    session.verify_init(&CKM_ECDSA_SHA256.into(), public).unwrap();
    session.verify(b"data", &signature).unwrap();
}

fn sign(session: &Session) -> Result<Vec<u8>, Code> {
    let key = session.the(CKO_PRIVATE_KEY, EC);
    session.sign_init(&CKM_ECDSA_SHA256.into(), key)?;
    session.sign(b"data")
}

#[test]
fn a_certificate_is_renewed_and_revoked_while_the_module_runs() {
    for (version, slot) in VERSIONS.into_iter().flat_map(|version| [(version, ""), (version, HTTP2)]) {
        let server = FIRST.twin(&[&["--client-auth", "need"], version].concat());
        let becomes = |name: &str| {
            for extension in ["key", "pem"] {
                let own = server.path("own").with_extension(extension);
                fs::copy(server.path(name).with_extension(extension), own).unwrap();
            }
        };
        becomes("revoked");
        with_config(&server, slot, &identity("own"), |p11| {
            let session = p11.open(p11.slots(true).unwrap()[0]).unwrap();
            let said = is_refused(&server, || session.login(PIN));
            explains(&said, &server, "own", "it is revoked");
            becomes("client");
            works(&session);
            // The connections of before would do; so they have to go.
            server.restart();
            server.stats();
            becomes("revoked");
            let said = is_refused(&server, || sign(&session));
            explains(&said, &server, "own", "it is revoked");
            becomes("client");
            sign(&session).unwrap();
        });
    }
}

#[test]
fn a_certificate_and_its_key_in_pkcs12() {
    let server = FIRST.twin(&["--client-auth", "need"]);
    secrets::register("password", PASSWORD.as_bytes());
    let text = |name: &str| server.path(name).to_str().unwrap().to_owned();
    let tls = "identity = { pkcs12 = \"own.p12\", password = \"file:own.password\" }\n";
    let password = |text: &str| {
        fs::write(server.path("own.password"), text).unwrap();
        fs::set_permissions(server.path("own.password"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    for legacy in [&[][..], &["-legacy"]] {
        password(PASSWORD);
        let (certificate, key, out) = (text("client.pem"), text("client.key"), text("own.p12"));
        let pass = format!("file:{}", text("own.password"));
        let files = ["-in", &certificate, "-inkey", &key, "-out", &out, "-passout", &pass];
        openssl(&[&["pkcs12", "-export"], &files[..], legacy].concat(), b"");
        with_tls(&server, tls, |p11, slot| works(&p11.open(slot).unwrap()));

        password("another-password-of-others");
        let log = Log::begin();
        with_config(&server, "", tls, |p11| {
            assert_eq!((p11.slots(false).unwrap().len(), p11.slots(true).unwrap()), (1, vec![]));
            refused(p11.token_info(p11.slots(false).unwrap()[0]), CKR_TOKEN_NOT_PRESENT);
        });
        let reason = format!("{out} cannot be opened with this password");
        assert!(log.text().contains(&reason), "{}", log.text());
    }
}

/// What is wrong is told as without certificates.
#[test]
fn a_certificate_beside_a_jwt_and_api_keys() {
    let need = ["--client-auth", "need", "--bearer", TOKEN];
    let server = FIRST.twin(&need);
    with_tls(&server, &identity("client"), |p11, slot| {
        let session = p11.open(slot).unwrap();
        // A JWT that was taken is kept until it is refused.
        fs::write(server.path("bearer.jwt"), "another").unwrap();
        refused(session.login(PIN), CKR_PIN_INCORRECT);
        fs::write(server.path("bearer.jwt"), TOKEN).unwrap();
        refused(session.login("4321"), CKR_PIN_INCORRECT);
        works(&session);
    });
    let server = FIRST.twin(&[&need[..], &["--no-api-keys"]].concat());
    with_tls(&server, &identity("client"), |p11, slot| {
        let session = p11.open(slot).unwrap();
        refused(session.login(&TOKEN[1..]), CKR_PIN_INCORRECT);
        session.login(TOKEN).unwrap();
        sign(&session).unwrap();
    });
}

#[test]
fn the_log_warns_of_a_certificate_that_has_expired() {
    let server = FIRST.twin(&["--client-auth", "none"]);
    for (name, warned) in [("expired", true), ("client", false)] {
        let log = Log::begin();
        with_tls(&server, &identity(name), |_, _| {});
        let file = server.path(name).with_extension("pem");
        let named = format!("{} (serial number {}, ", file.display(), serial(&file));
        let warns =
            |line: &str| line.contains("WARN") && line.contains(&named) && line.ends_with(" has expired");
        assert_eq!(log.text().lines().any(warns), warned, "{name}: {}", log.text());
    }
}

#[test]
fn pins_of_the_server() {
    let file = FIRST.path("server.pem");
    let file = file.to_str().unwrap();
    let pem = openssl(&["x509", "-in", file, "-noout", "-pubkey"], b"");
    let spki = openssl(&["pkey", "-pubin", "-outform", "DER"], &pem);
    let certificate = openssl(&["x509", "-in", file, "-outform", "DER"], b"");
    let pin = |kind: &str, der: &[u8]| {
        format!("\"{kind}-sha256:{}\"", BASE64_STANDARD.encode(digest("sha256", der)))
    };
    let (spki, certificate) = (pin("spki", &spki), pin("certificate", &certificate));
    let other = pin("spki", b"another key");
    for pins in [spki.clone(), certificate.clone(), format!("{other}, {spki}")] {
        with_tls(&FIRST, &format!("pins = [{pins}]\n"), |p11, slot| works(&p11.open(slot).unwrap()));
    }
    with_tls(&FIRST, &format!("pins = [{other}]\n"), |p11, slot| {
        let session = p11.open(slot).unwrap();
        let said = is_refused(&FIRST, || session.login(PIN));
        let named = format!("has none of the pins; it has {spki} and {certificate}");
        assert!(said.contains(&named), "{named:?} is not in {said}");
    });
}

#[test]
fn the_least_version_of_tls() {
    const NEWEST: &str = "min_version = \"1.3\"\n";
    with_tls(&FIRST, NEWEST, |p11, slot| works(&p11.open(slot).unwrap()));
    let server = FIRST.twin(&["--tls-max", "1.2"]);
    with_tls(&server, NEWEST, |p11, slot| {
        let session = p11.open(slot).unwrap();
        let said = is_refused(&server, || session.login(PIN));
        assert!(said.contains("is `min_version` more than the server can?"), "{said}");
    });
}

/// The line of the configuration for a certificate in the emulator's folder.
fn identity(name: &str) -> String {
    match name {
        "" => String::new(),
        _ => format!("identity = {{ certificate = \"{name}.pem\", key = \"{name}.key\" }}\n"),
    }
}

/// The serial number of a certificate, in the words of OpenSSL.
fn serial(file: &Path) -> String {
    let text = openssl(&["x509", "-in", file.to_str().unwrap(), "-noout", "-serial"], b"");
    String::from_utf8(text).unwrap().trim().strip_prefix("serial=").expect("a number").to_owned()
}

/// Runs `check` on the only slot, with these lines in `[slot.tls]` beside the server's authority.
fn with_tls(server: &Emulator, tls: &str, check: impl FnOnce(&'static P11, CK_SLOT_ID)) {
    with_config(server, "", tls, |p11| check(p11, p11.slots(true).unwrap()[0]));
}

/// The same before a slot is found, with these lines in `[[slot]]`. One module, one at a time.
fn with_config(server: &Emulator, slot: &str, tls: &str, check: impl FnOnce(&'static P11)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let text = server.text("p11rest.toml");
    let kept: Vec<_> = text.lines().filter(|line| !line.starts_with("identity = ")).collect();
    let config = server.path("own.toml");
    let text = kept.join("\n").replace("[[slot]]\n", &format!("[[slot]]\n{slot}"));
    fs::write(&config, format!("{text}\n{tls}")).unwrap();
    let p11 = P11::load();
    // After a test that failed.
    let _ = p11.finalize();
    p11.initialize(&config).unwrap();
    check(p11);
    p11.finalize().unwrap();
}

/// What the module logs from a moment on.
struct Log(usize);

impl Log {
    fn begin() -> Self {
        Self(Self::bytes().len())
    }

    fn text(&self) -> String {
        String::from_utf8(Self::bytes().split_off(self.0)).expect("the log is text")
    }

    fn bytes() -> Vec<u8> {
        // There is none before the first test.
        fs::read(secrets::log(None)).unwrap_or_default()
    }
}
