//! The configuration as a whole: files and environments in, configurations and messages out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::schema::FIELDS;
use super::*;

mod auth;
mod ciphertrust;
mod fast;
mod hmac;
mod messages;
mod proxy;

/// What operators read.
const DOCUMENT: &str = include_str!("../../../docs/configuration.md");

/// A slot without anything that could be left out. It ends with line 5.
const SLOT: &str = "version = 1\n[[slot]]\nlabel = \"a\"\nbackend = \"securosys\"\nurls = [\"https://a\"]\n";

/// A folder to keep files in, and an `/etc/p11rest`.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("etc")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn process(&self, secure: bool, variables: &[(&str, &str)]) -> Process {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let mut process = Process::with_environment(secure, variables);
        process.system = self.path("etc");
        process
    }

    /// The configuration with this file in `/etc` and these variables.
    fn load(&self, text: &str, variables: &[(&str, &str)]) -> Result<Config, Problem> {
        self.write("etc/p11rest.toml", text);
        load(None, &self.process(false, variables))
    }

    /// A message without the folder, which has another name each time.
    fn shown(&self, problem: &Problem) -> String {
        problem.to_string().replace(&format!("{}/", self.path("etc").display()), "")
    }
}

fn load_text(text: &str) -> Config {
    Place::new().load(text, &[]).unwrap()
}

fn load_environment(variables: &[(&str, &str)]) -> Config {
    load(None, &Place::new().process(false, variables)).unwrap()
}

fn token(config: &Config) -> &Token {
    config.slots[0].token.as_ref().unwrap()
}

fn labels(config: &Config) -> Vec<&str> {
    config.slots.iter().map(|slot| slot.token.as_ref().map_or("-", |token| &token.label)).collect()
}

#[test]
fn nothing_is_a_configuration() {
    let config = load_environment(&[]);
    assert!(config.slots.is_empty() && config.file.is_none());
    assert_eq!(config.log, Log { level: Level::Warn, target: LogTarget::None });
    let config = load(Some(Path::new("/dev/null")), &Place::new().process(false, &[])).unwrap();
    assert!(config.slots.is_empty() && config.looked.is_empty());
}

#[test]
fn where_there_is_none_each_place_is_told() {
    let place = Place::new();
    let home = place.write("home", "no folder");
    let variables = [("HOME", home.to_str().unwrap())];
    let config = load(None, &place.process(false, &variables)).unwrap();
    assert_eq!(
        config.looked,
        [
            format!(
                "{}/.config/p11rest/p11rest.toml cannot be looked for: Not a directory (os error 20)",
                home.display()
            ),
            format!("{} is not there", place.path("etc/p11rest.toml").display())
        ]
    );
    assert!(place.load(SLOT, &variables).unwrap().looked.is_empty());
}

#[test]
fn defaults_are_those_of_the_documents() {
    let config = load_text(SLOT);
    let token = token(&config);
    assert_eq!(token.timeouts, Timeouts { connect: Duration::from_secs(5), call: Duration::from_secs(30) });
    assert_eq!(token.pool, Pool { max: 64, idle: Duration::from_secs(55) });
    assert_eq!(token.hedge, None);
    assert_eq!(token.catalog.refresh, Duration::from_secs(60));
    assert_eq!((token.catalog.capacity, token.catalog.width), (10_000, 32));
    assert_eq!(token.catalog.hide, ["attestation-key", "timestamp-key", "*@?!*"]);
    assert!(token.catalog.cache.is_none() && token.keys.is_empty());
    assert!(token.mechanisms.is_none() && token.hide_mechanisms.is_empty());
    assert!(token.certificates.is_empty() && token.tls.ca.is_none() && token.tls.server_name.is_none());
    assert!(token.tls.identity.is_none() && token.tls.pins.is_empty());
    assert_eq!(token.tls.min_version, TlsVersion::V1_2);
    assert_eq!(token.edwards_point, EdwardsPoint::Raw);
    assert!(!token.login_required());
    assert!(token.proxy.is_none() && !token.http2 && !token.needs_thread());
    assert_eq!(token.auth.pin_format, PinFormat::Plain);
    assert_eq!(config.fork, Fork::Reinitialize);
}

#[test]
fn a_fork_can_be_transparent() {
    assert_eq!(load_text("version = 1\nfork = \"transparent\"").fork, Fork::Transparent);
    // No other variable that begins so is ours.
    let other = ("P11REST_FORKS", "many");
    assert_eq!(load_environment(&[other]).fork, Fork::Reinitialize);
    assert_eq!(load_environment(&[("P11REST_FORK", "transparent")]).fork, Fork::Transparent);
}

#[test]
fn every_key_is_read() {
    let place = Place::new();
    place.write("etc/certs/one.pem", "");
    place.write("etc/client.p12", "");
    let text = r#"
        version = 1
        [log]
        level = "debug"
        target = "p11rest.log"
        [[slot]]
        id = 7
        label = "payments"
        backend = "securosys"
        urls = [["https://a:8080/v1", "https://b:8080"], ["https://dr"]]
        certificates = ["certs", "/etc/passwd"]
        mechanisms = ["CKM_RSA_PKCS", "CKM_ECDSA"]
        hide_mechanisms = ["CKM_AES_*", "*_ECDSA"]
        edwards_point = "octet-string"
        [slot.auth]
        bearer = "file:jwt"
        pin_format = "roles"
        [slot.auth.api_key]
        key_management = "env:KM"
        key_operation = "pin"
        approver = ["file:old", "file:new"]
        service = "command:cat x"
        approver_key_management = ["one", "two", "three"]
        [slot.tls]
        ca = "/etc/passwd"
        server_name = "hsm.example"
        identity = { pkcs12 = "client.p12", password = "file:password" }
        pins = ["spki-sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]
        min_version = "1.3"
        [slot.timeouts]
        connect = "250ms"
        call = "2m"
        [slot.pool]
        max = 16
        idle = "1h"
        [slot.hedge]
        after = "20ms"
        budget = 7
        [slot.catalog]
        refresh = "0s"
        capacity = 5
        width = 32
        hide = ["old-*"]
        show_internal = true
        cache = "cache"
        [[slot.key]]
        label = "k"
        id = "01aB"
        type = "aes-192"
        password = true
    "#;
    let config = place.load(text, &[]).unwrap();
    assert_eq!(config.file, Some(place.path("etc/p11rest.toml")));
    let log = place.path("etc/p11rest.log");
    assert_eq!(config.log, Log { level: Level::Debug, target: LogTarget::File(log) });
    assert_eq!(config.slots[0].id, 7);
    let token = token(&config);
    assert_eq!(token.label, "payments");
    assert_eq!(token.backend.name(), "securosys");
    let urls: Vec<Vec<_>> =
        token.members.iter().map(|group| group.iter().map(Url::to_string).collect()).collect();
    assert_eq!(urls, [vec!["https://a:8080", "https://b:8080"], vec!["https://dr:443"]]);
    assert_eq!(token.certificates, [place.path("etc/certs"), "/etc/passwd".into()]);
    assert_eq!(token.mechanisms.as_deref(), Some(&["CKM_RSA_PKCS".to_owned(), "CKM_ECDSA".to_owned()][..]));
    assert_eq!(token.hide_mechanisms, ["CKM_AES_*", "*_ECDSA"]);
    assert_eq!(token.edwards_point, EdwardsPoint::OctetString);
    assert!(matches!(&token.auth.bearer, Some(Secret::File(path)) if *path == place.path("etc/jwt")));
    assert_eq!(token.auth.pin_format, PinFormat::Roles);
    let keys = &token.auth.api_key;
    assert!(matches!(&keys.key_management[..], [Secret::Env(name)] if name == "KM"));
    assert!(matches!(&keys.key_operation[..], [Secret::Pin]));
    assert!(matches!(&keys.approver[..], [Secret::File(old), Secret::File(new)]
        if *old == place.path("etc/old") && *new == place.path("etc/new")));
    assert!(matches!(&keys.service[..], [Secret::Command(text)] if text == "cat x"));
    let literals: Vec<_> = keys.approver_key_management.iter().map(|key| key.read().unwrap()).collect();
    assert_eq!(literals.iter().map(ExposeSecret::expose_secret).collect::<Vec<_>>(), ["one", "two", "three"]);
    assert!(token.login_required());
    assert_eq!(token.tls.ca.as_deref(), Some(Path::new("/etc/passwd")));
    assert_eq!(token.tls.server_name.as_deref(), Some("hsm.example"));
    let Some(Identity::Pkcs12 { file, password: Some(Secret::File(password)) }) = &token.tls.identity else {
        panic!("{:?}", token.tls.identity);
    };
    assert_eq!((file, password), (&place.path("etc/client.p12"), &place.path("etc/password")));
    // `openssl dgst -sha256 -binary </dev/null | base64`, and the same in hexadecimal.
    let digest = *b"\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\
        \x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55";
    assert_eq!(token.tls.pins, [Pin::Spki(digest)]);
    assert_eq!(token.tls.pins[0].to_string(), "spki-sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert_eq!(token.tls.min_version, TlsVersion::V1_3);
    let timeouts = Timeouts { connect: Duration::from_millis(250), call: Duration::from_secs(120) };
    assert_eq!(token.timeouts, timeouts);
    assert_eq!(token.pool, Pool { max: 16, idle: Duration::from_secs(3600) });
    assert_eq!(token.hedge, Some(Hedge { after: Duration::from_millis(20), budget: 7 }));
    assert_eq!(token.catalog.refresh, Duration::ZERO);
    // No more than there are connections.
    assert_eq!((token.catalog.capacity, token.catalog.width), (5, 16));
    assert_eq!(token.catalog.hide, ["old-*"]);
    assert_eq!(token.catalog.cache, Some(place.path("etc/cache")));
    let [key] = &token.keys[..] else { panic!("{:?}", token.keys) };
    assert_eq!((key.name.as_str(), key.id.as_deref(), key.password), ("k", Some(&[1, 0xab][..]), true));
    assert_eq!(key.key_type, Some(KeyType::Aes { bytes: 24 }));
}

#[test]
fn ids_that_are_named_are_given_first() {
    let slot = |label: &str, id: &str| {
        format!("[[slot]]\nbackend = \"securosys\"\nurls = \"https://a\"\nlabel = \"{label}\"\n{id}\n")
    };
    let config =
        load_text(&format!("version = 1\n{}{}{}", slot("a", ""), slot("b", ""), slot("c", "id = 0")));
    assert_eq!(config.slots.iter().map(|slot| slot.id).collect::<Vec<_>>(), [1, 2, 0]);
}

#[test]
fn the_first_file_of_the_search_is_read() {
    let place = Place::new();
    let labelled = |label: &str| {
        let slot = SLOT.replacen("\"a\"", &format!("\"{label}\""), 1);
        format!("{slot}tls.ca = \"/etc/passwd\"")
    };
    let reserved = place.write("reserved.toml", labelled("reserved"));
    let named = place.write("named.toml", labelled("named"));
    place.write("xdg/p11rest/p11rest.toml", labelled("xdg"));
    place.write("home/.config/p11rest/p11rest.toml", labelled("home"));
    place.write("etc/p11rest.toml", labelled("etc"));
    let (xdg, home) = (place.path("xdg"), place.path("home"));
    let named = ("P11REST_CONFIG", named.to_str().unwrap());
    let xdg = ("XDG_CONFIG_HOME", xdg.to_str().unwrap());
    let home = ("HOME", home.to_str().unwrap());
    let all = [named, xdg, home];
    let found = |reserved: Option<&Path>, secure, variables: &[(&str, &str)]| {
        labels(&load(reserved, &place.process(secure, variables)).unwrap()).join(" ")
    };
    assert_eq!(found(Some(&reserved), false, &all), "reserved");
    assert_eq!(found(None, false, &all), "named");
    assert_eq!(found(None, false, &[xdg, home]), "xdg");
    assert_eq!(found(None, false, &[("XDG_CONFIG_HOME", "relative"), home]), "home");
    assert_eq!(found(None, false, &[home]), "home");
    assert_eq!(found(None, false, &[("P11REST_CONFIG", ""), ("HOME", "/nonexistent")]), "etc");
    assert_eq!(found(None, true, &all), "etc");
    assert_eq!(found(Some(&reserved), true, &all), "reserved");
}

#[test]
fn a_set_uid_program_believes_no_environment() {
    let place = Place::new();
    place.write("etc/p11rest.toml", format!("{SLOT}tls.ca = \"/etc/passwd\""));
    let hostile = [
        ("P11REST_LOG", "trace"),
        ("P11REST_LOG_TARGET", "/etc/passwd"),
        ("P11REST_SLOT_0_URLS", "http://evil"),
        ("P11REST_SLOT_1_LABEL", "b"),
    ];
    let config = load(None, &place.process(true, &hostile)).unwrap();
    assert_eq!(config.log, Log::default());
    assert_eq!(labels(&config), ["a"]);
    assert_eq!(token(&config).members[0][0].to_string(), "https://a:443");
    for (secret, what) in [("env:X", "the environment"), ("command:id", "a command")] {
        place.write("etc/p11rest.toml", format!("{SLOT}auth.bearer = \"{secret}\""));
        let config = load(None, &place.process(true, &[])).unwrap();
        assert_eq!(
            place.shown(config.slots[0].token.as_ref().unwrap_err()),
            format!(
                "p11rest.toml:6: slot.auth.bearer: {what} is not used in a set-uid or set-gid program; \
                 write \"file:/path\" or \"pin\""
            )
        );
    }
}

#[test]
fn a_set_uid_program_names_its_authorities() {
    let place = Place::new();
    place.write("etc/p11rest.toml", SLOT);
    let config = load(None, &place.process(true, &[])).unwrap();
    let problem = place.shown(config.slots[0].token.as_ref().unwrap_err());
    assert!(
        problem.contains("slot.tls.ca: is missing in a set-uid or set-gid program; write ca ="),
        "{problem}"
    );
}

#[test]
fn the_environment_wins_over_the_file() {
    let place = Place::new();
    let text = format!(
        "{SLOT}timeouts.call = \"9s\"\ncatalog.hide = [\"x\"]\nkey = [{{label = \"k\", id = \"01\"}}]\n[log]\nlevel = \"info\"\n"
    );
    let variables = [
        ("P11REST_LOG_LEVEL", "error"),
        ("P11REST_LOG_TARGET", "/var/log/p11rest"),
        ("P11REST_SLOT_0_URLS", "https://b https://c,https://d ; https://e"),
        ("P11REST_SLOT_0_TIMEOUTS_CALL", "3s"),
        ("P11REST_SLOT_0_AUTH_API_KEY_KEY_OPERATION", "pin"),
        ("P11REST_SLOT_0_AUTH_API_KEY_SERVICE", "command:cat a b\nenv:NEW\n"),
        ("P11REST_SLOT_0_POOL_MAX", "3"),
        ("P11REST_SLOT_0_HIDE_MECHANISMS", "CKM_AES_*, CKM_EDDSA"),
        ("P11REST_SLOT_0_CATALOG_SHOW_INTERNAL", "true"),
        ("P11REST_SLOT_0_TLS_CA", ""),
        ("P11REST_SLOT_0_KEY_0_ID", "02"),
        ("P11REST_SLOT_0_KEY_1_LABEL", "second"),
        ("P11REST_SLOT_3_LABEL", "new"),
        ("P11REST_SLOT_3_BACKEND", "securosys"),
        ("P11REST_SLOT_3_URLS", "https://new"),
    ];
    let config = place.load(&text, &variables).unwrap();
    assert_eq!(config.log, Log { level: Level::Error, target: LogTarget::File("/var/log/p11rest".into()) });
    assert_eq!(labels(&config), ["a", "new"]);
    assert_eq!(config.slots.iter().map(|slot| slot.id).collect::<Vec<_>>(), [0, 3]);
    let token = token(&config);
    let urls: Vec<Vec<_>> =
        token.members.iter().map(|group| group.iter().map(|url| url.host.as_str()).collect()).collect();
    assert_eq!(urls, [vec!["b", "c", "d"], vec!["e"]]);
    assert_eq!(token.timeouts.call, Duration::from_secs(3));
    assert!(matches!(&token.auth.api_key.key_operation[..], [Secret::Pin]));
    // A line each, since a command has blanks.
    let [Secret::Command(command), Secret::Env(name)] = &token.auth.api_key.service[..] else { panic!() };
    assert_eq!((command.as_str(), name.as_str()), ("cat a b", "NEW"));
    assert_eq!((token.pool.max, token.catalog.width), (3, 3));
    assert_eq!(token.catalog.hide, ["x"]);
    assert_eq!(token.hide_mechanisms, ["CKM_AES_*", "CKM_EDDSA"]);
    assert!(token.tls.ca.is_none());
    let keys: Vec<_> = token.keys.iter().map(|key| (key.name.as_str(), key.id.as_deref())).collect();
    assert_eq!(keys, [("k", Some(&[2][..])), ("second", None)]);
}

#[test]
fn the_environment_alone_is_a_configuration() {
    let config = load_environment(&[
        ("P11REST_SLOT_0_LABEL", "a"),
        ("P11REST_SLOT_0_BACKEND", "securosys"),
        ("P11REST_SLOT_0_URLS", "http://localhost:8080/v1"),
        ("P11REST_SLOT_0_AUTH_BEARER", "literal-of-the-environment"),
    ]);
    assert_eq!(config.slots[0].id, 0);
    let bearer = token(&config).auth.bearer.as_ref().unwrap().read().unwrap();
    assert_eq!(bearer.expose_secret(), "literal-of-the-environment");
    assert_eq!(token(&config).members[0][0].to_string(), "http://localhost:8080");
}

#[test]
fn the_short_variable_of_the_log_asks_for_standard_error() {
    let config = load_environment(&[("P11REST_LOG", "debug")]);
    assert_eq!(config.log, Log { level: Level::Debug, target: LogTarget::Stderr });
    let place = Place::new();
    let text = "version = 1\n[log]\nlevel = \"error\"\ntarget = \"/x\"";
    let config = place.load(text, &[("P11REST_LOG", "debug")]).unwrap();
    assert_eq!(config.log, Log { level: Level::Debug, target: LogTarget::File("/x".into()) });
    let config = place.load(text, &[("P11REST_LOG", "debug"), ("P11REST_LOG_LEVEL", "info")]).unwrap();
    assert_eq!(config.log.level, Level::Info);
}

#[test]
fn no_secret_is_in_a_debug_print() {
    let config = load_text(&format!(
        "{SLOT}auth.bearer = \"s3cret\"\nauth.api_key = {{ key_management = \"s3cret\", service = \"command:echo s3cret\" }}"
    ));
    assert!(config.slots[0].token.is_ok());
    let printed = format!("{config:?} {config:#?}");
    assert!(printed.contains("Literal([redacted])") && !printed.contains("s3cret"), "{printed}");
}

/// The key was made by `openssl ecparam -name prime256v1 -genkey`, both forms were written by `openssl ec -pubout`.
#[test]
fn key_files_may_be_pem_or_der() {
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEIZk96ZJ2pfvrTMfk/ibOa8qYAKYr\n\
        /+PGNKDH5ON1nrYKP7N19h41h57sYfkZcrHV0Iazro2Mlr7KzDvtlqXsZQ==\n\
        -----END PUBLIC KEY-----\n";
    const DER: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\
        \x07\x03\x42\x00\x04\x21\x99\x3d\xe9\x92\x76\xa5\xfb\xeb\x4c\xc7\xe4\xfe\x26\xce\x6b\xca\x98\x00\xa6\x2b\
        \xff\xe3\xc6\x34\xa0\xc7\xe4\xe3\x75\x9e\xb6\x0a\x3f\xb3\x75\xf6\x1e\x35\x87\x9e\xec\x61\xf9\x19\x72\xb1\
        \xd5\xd0\x86\xb3\xae\x8d\x8c\x96\xbe\xca\xcc\x3b\xed\x96\xa5\xec\x65";
    let place = Place::new();
    place.write("etc/key.pem", PEM);
    place.write("etc/described.pem", format!("0 Public-Key: (256 bit)\nASN1 OID: prime256v1\n{PEM}"));
    place.write("etc/key.der", DER);
    for name in ["key.pem", "key.der", "described.pem"] {
        let text = format!("{SLOT}key = [{{label = \"k\", public_key = \"{name}\"}}]");
        let config = place.load(&text, &[]).unwrap();
        assert_eq!(token(&config).keys[0].public_key.as_deref(), Some(DER), "{name}");
    }
    let shown = |entry: &str| {
        let config = place.load(&format!("{SLOT}key = [{{label = \"k\", {entry}}}]"), &[]).unwrap();
        place.shown(config.slots[0].token.as_ref().unwrap_err())
    };
    assert_eq!(
        shown("certificate = \"key.pem\""),
        "p11rest.toml:6: slot.key.certificate: key.pem has a PEM block \"PUBLIC KEY\"; \
         name a file with a PEM block \"CERTIFICATE\", or with DER"
    );
    assert_eq!(
        shown("public_key = \"none\""),
        "p11rest.toml:6: slot.key.public_key: none cannot be read: No such file or directory (os error 2); \
         name a file with a PEM block \"PUBLIC KEY\", or with DER"
    );
    assert!(shown("public_key = \"p11rest.toml\"").contains(": p11rest.toml is neither PEM nor DER: "));
    assert_eq!(
        shown("public_key = \"key.pem\", type = \"aes-256\""),
        "p11rest.toml:6: slot.key.type: is an AES key, which has no public key or certificate; take out one of the two"
    );
}

/// The digests are those of `printf 'https://hsm:443/base\0payments' | sha256sum`.
#[test]
fn serial_numbers_are_stable() {
    let text = |url: &str| {
        SLOT.replacen("\"a\"", "\"payments\"", 1).replacen(
            "\"https://a\"",
            &format!("\"{url}\", \"https://b\""),
            1,
        )
    };
    assert_eq!(&token(&load_text(&text("https://hsm"))).serial_number(), b"840456C8A6405341");
    assert_eq!(&token(&load_text(&text("https://HSM:443/v1/"))).serial_number(), b"840456C8A6405341");
    assert_eq!(&token(&load_text(&text("https://hsm/base"))).serial_number(), b"4007CF55B064B2BF");
}

#[test]
fn patterns_know_only_the_asterisk() {
    for (pattern, name, expected) in [
        ("attestation-key", "attestation-key", true),
        ("attestation-key", "attestation-key2", false),
        ("*@?!*", "\"demo\"@?!17", true),
        ("*@?!*", "demo@ab17", false),
        ("old-*", "old-", true),
        ("old-*", "my-old-1", false),
        ("*-old", "a-old-old", true),
        ("a*b*c", "axbxbxc", true),
        ("a*b*c", "axxc", false),
        ("ab*ba", "aba", false),
        ("*", "", true),
        ("**", "x", true),
        ("*ä*", "xäx", true),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
    let config = load_text(&format!("{SLOT}catalog.hide = \"old-*\""));
    let catalog = &token(&config).catalog;
    assert!(catalog.hides("timestamp-key") && catalog.hides("old-1") && !catalog.hides("rsa"));
}

#[test]
fn mechanisms_are_offered_that_are_listed_and_not_hidden() {
    let allowed = |lines: &str| {
        let config = load_text(&format!("{SLOT}{lines}"));
        ["CKM_RSA_PKCS", "CKM_AES_ECB", "CKM_AES_GCM"].map(|name| token(&config).allows_mechanism(name))
    };
    assert_eq!(allowed(""), [true, true, true]);
    assert_eq!(allowed("hide_mechanisms = \"CKM_AES_ECB\""), [true, false, true]);
    assert_eq!(allowed("hide_mechanisms = [\"CKM_AES_*\"]"), [true, false, false]);
    let listed = "mechanisms = [\"CKM_RSA_PKCS\", \"CKM_AES_GCM\"]";
    assert_eq!(allowed(listed), [true, false, true]);
    assert_eq!(allowed(&format!("{listed}\nhide_mechanisms = \"CKM_AES_*\"")), [true, false, false]);
}

#[test]
fn the_document_has_exactly_the_keys_and_their_variables() {
    let rows: Vec<_> = DOCUMENT
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let key = cells.next()?.strip_suffix('`')?;
            Some((key, cells.nth(1)?.trim_matches('`')))
        })
        .collect();
    let twins: Vec<_> =
        FIELDS.iter().map(|field| (field.path, environment::first_twin(field.path))).collect();
    let twins: Vec<_> = twins.iter().map(|(key, twin)| (*key, twin.as_deref().unwrap_or("none"))).collect();
    assert_eq!(rows, twins);
}

#[test]
fn the_example_of_the_document_works() {
    let (_, example) = DOCUMENT.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let place = Place::new();
    let (there, key) = (place.write("there", ""), place.write("key", ""));
    let example = example.replace("/etc/p11rest/client.key", key.to_str().unwrap());
    let example = ["ca.pem", "client.pem"].iter().fold(example, |example, name| {
        example.replace(&format!("/etc/p11rest/{name}"), there.to_str().unwrap())
    });
    let config = place.load(&example, &[]).unwrap();
    let token = token(&config);
    assert_eq!((token.label.as_str(), token.members.len(), token.keys.len()), ("payments", 2, 1));
}
