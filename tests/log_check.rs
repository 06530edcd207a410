//! The last step of `make test`: the logs of the whole suite at the finest level hold none of its secrets and none of
//! its data, neither as they are nor in an encoding that somebody could have taken for harmless.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use support::openssl::to_hex;
use support::root;
use support::secrets::{self, SHORTEST};

mod support;

/// Fewer lines come of a program that did next to nothing.
const FEWEST_LINES: usize = 5;

/// C programs that run without a log (what a signature costs), or in `make soak` alone.
const ELSEWHERE: [&str; 2] = ["signatures", "steady"];

#[test]
fn the_logs_of_the_suite_hold_neither_secrets_nor_data() {
    let folder = secrets::folder();
    let logs = files(&folder, "log");
    every_program_has_logged(&logs);
    let (needles, kinds) = registered(&folder);
    for kind in
        ["PIN", "data", "key-management.key", "service.key", "bearer.jwt", "ec-p256.pem", "rsa-2048.pem"]
    {
        assert!(kinds.get(kind).is_some_and(|count| *count > 0), "no {kind} was written down: {kinds:?}");
    }
    let found: Vec<String> = logs.iter().flat_map(|log| needles.found_in(log)).collect();
    assert!(found.is_empty(), "{} secrets in the logs:\n{}", found.len(), found.join("\n"));
    let lines: usize = logs.iter().map(|log| lines(log)).sum();
    println!("{} logs with {lines} lines hold none of {kinds:?}", logs.len());
}

/// The check finds what it looks for: in each encoding, at any alignment, also where the text was cut off.
#[test]
fn a_planted_secret_is_found() {
    let secret = b"planted: 3rK/\x00\xff+9 \"secret\" of 41 bytes !!";
    let mut needles = Needles::default();
    needles.add("planted", secret);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("planted.log");
    let prefixed = |count: usize| [vec![b'x'; count], secret.to_vec()].concat();
    let mut texts: Vec<String> = (0..3)
        .flat_map(|count| [STANDARD.encode(prefixed(count)), URL_SAFE.encode(prefixed(count))])
        .collect();
    texts.extend([
        to_hex(secret),
        to_hex(secret).to_uppercase(),
        format!("{secret:?}"),
        format!("{secret:02x?}"),
    ]);
    texts.extend([
        url_encoded(secret),
        "cut: 9 \\\"secret\\\" of 41 bytes".to_owned(),
        to_hex(&secret[..13]),
    ]);
    for text in texts {
        fs::write(&path, format!("a line\nC_Sign: CKR_OK: {text} and more\nanother\n")).unwrap();
        let found = needles.found_in(&path);
        assert!(found.iter().any(|found| found.contains("planted.log:2: planted")), "{text}: {found:?}");
        assert!(!found.concat().contains("secret"), "it is not repeated: {found:?}");
    }
    fs::write(&path, "C_Sign: CKR_OK: 41 bytes\n").unwrap();
    assert_eq!(needles.found_in(&path), Vec::<String>::new());
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = folder.read_dir().expect("the folder of the logs can be read");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|own| own == extension)).collect();
    paths.sort();
    paths
}

fn lines(log: &Path) -> usize {
    fs::read(log).expect("a log can be read").iter().filter(|byte| **byte == b'\n').count()
}

/// A program that left no log was not checked.
fn every_program_has_logged(logs: &[PathBuf]) {
    let text = |path: &Path| fs::read_to_string(path).expect("a source can be read");
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let rust = files(&root().join("tests"), "rs")
        .into_iter()
        .filter(|path| text(path).contains("contract::") || text(path).contains("P11::load"));
    let c = files(&root().join("tests/c"), "c")
        .into_iter()
        .filter(|path| text(path).contains("signer.h") && !ELSEWHERE.contains(&stem(path).as_str()));
    // Those that do without it load no module.
    let shell = files(&root().join("tests/applications"), "sh")
        .into_iter()
        .filter(|path| text(path).contains("/lib.sh") && stem(path) != "lib");
    let names = rust
        .map(|path| format!("{}-", stem(&path)))
        .chain(c.map(|path| format!("-{}.log", stem(&path))))
        .chain(shell.map(|path| format!("application-{}-", stem(&path))))
        .filter(|name| *name != "log_check-");
    for name in names {
        let own = logs.iter().filter(|log| log.file_name().unwrap().to_str().unwrap().contains(&name));
        let count: usize = own.map(|log| lines(log)).sum();
        assert!(
            count >= FEWEST_LINES,
            "{name}: {count} lines in {}; run make test",
            secrets::folder().display()
        );
    }
}

/// What the programs wrote down, and how much of each kind.
fn registered(folder: &Path) -> (Needles, BTreeMap<String, usize>) {
    let (mut needles, mut kinds) = (Needles::default(), BTreeMap::new());
    for path in files(folder, "secrets") {
        for line in fs::read_to_string(path).expect("it is text").lines() {
            let (kind, digits) = line.rsplit_once(' ').expect("a kind and digits");
            needles.add(kind, &from_hex(digits));
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
    }
    (needles, kinds)
}

fn from_hex(digits: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// What is looked for, by its first bytes.
#[derive(Default)]
struct Needles {
    by_start: HashMap<[u8; START], Vec<(Vec<u8>, String)>>,
}

const START: usize = 8;

impl Needles {
    /// Pieces of a secret one after the other, so that a part of it is found too, in all encodings.
    fn add(&mut self, kind: &str, secret: &[u8]) {
        let last = secret.len().saturating_sub(SHORTEST);
        for start in (0..last).step_by(SHORTEST).chain([last]) {
            let Some(piece) = secret.get(start..start + SHORTEST) else { continue };
            for (form, text) in forms(piece) {
                let Some(key) = text.first_chunk().copied() else { continue };
                let same = self.by_start.entry(key).or_default();
                if !same.iter().any(|(known, _)| *known == text) {
                    same.push((text, format!("{kind}, {form}")));
                }
            }
        }
    }

    /// Where they are in a file: name, line, and which, without repeating it.
    fn found_in(&self, log: &Path) -> Vec<String> {
        let text = fs::read(log).expect("a log can be read");
        let hits = text.array_windows::<START>().enumerate().filter_map(|(at, start)| {
            let same = self.by_start.get(start)?;
            let (_, what) = same.iter().find(|(needle, _)| text[at..].starts_with(needle))?;
            let line = 1 + text[..at].iter().filter(|byte| **byte == b'\n').count();
            Some(format!("{}:{line}: {what}", log.display()))
        });
        hits.take(20).collect()
    }
}

/// How a piece could stand in a line.
fn forms(piece: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let shown = String::from_utf8_lossy(piece);
    let mut forms = vec![
        ("as it is", piece.to_vec()),
        ("as a Debug string", shown.escape_debug().to_string().into_bytes()),
        ("in hexadecimal", to_hex(piece).into_bytes()),
        ("in upper-case hexadecimal", to_hex(piece).to_uppercase().into_bytes()),
        ("as Debug bytes", listed(&format!("{piece:?}"))),
        ("as Debug hexadecimal", listed(&format!("{piece:02x?}"))),
        ("URL-encoded", url_encoded(piece).into_bytes()),
    ];
    for before in 0..3_usize {
        // Characters that no neighbour has a bit in.
        let own = (8 * before).div_ceil(6)..8 * (before + piece.len()) / 6;
        let padded = [vec![0; before], piece.to_vec()].concat();
        forms.push(("in Base64", STANDARD.encode(&padded).as_bytes()[own.clone()].to_vec()));
        forms.push(("in Base64 of URLs", URL_SAFE.encode(&padded).as_bytes()[own].to_vec()));
    }
    forms
}

/// Without the brackets.
fn listed(debug: &str) -> Vec<u8> {
    debug.trim_matches(['[', ']']).as_bytes().to_vec()
}

fn url_encoded(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    bytes
        .iter()
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
