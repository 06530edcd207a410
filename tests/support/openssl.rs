//! The `openssl` program: what it says is expected of the module.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Runs `openssl`; its standard output, or its words if it fails.
pub fn try_openssl(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    let mut stdin = child.stdin.take().expect("standard input was asked for");
    let input = input.to_vec();
    // In a thread: with much to write and to read neither side may wait for the other. It may close before it has all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("openssl ends");
    writer.join().expect("the writer ends");
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(format!(
            "openssl {arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// Runs `openssl`, which must succeed.
#[track_caller]
pub fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    try_openssl(arguments, input).unwrap_or_else(|words| panic!("{words}"))
}

/// A folder for the files that `openssl` wants.
pub struct Files(TempDir);

impl Files {
    /// An empty one.
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder can be made"))
    }

    /// Writes a file; its path as text.
    pub fn put(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("a temporary file can be written");
        path.to_str().expect("the path is text").to_owned()
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// The public key of a private key in PEM, as SubjectPublicKeyInfo in DER.
pub fn public_key(private_pem: &Path) -> Vec<u8> {
    let path = private_pem.to_str().expect("the path is text");
    openssl(&["pkey", "-in", path, "-pubout", "-outform", "DER"], b"")
}

/// DER to the text that `openssl pkey -text` prints of a public key.
pub fn describe(spki: &[u8]) -> String {
    let text = openssl(&["pkey", "-pubin", "-inform", "DER", "-noout", "-text_pub"], spki);
    String::from_utf8(text).expect("openssl prints text")
}

/// The bytes below a heading of `openssl … -text`, which prints them as `00:aa:…` over several lines.
pub fn hex_below(text: &str, heading: &str) -> Vec<u8> {
    let (_, below) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading:?} in {text}"));
    let lines = below.lines().skip(1).take_while(|line| line.starts_with("    "));
    lines.flat_map(|line| from_hex(&line.trim().replace(':', ""))).collect()
}

/// Bytes of hexadecimal text.
pub fn from_hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    text.trim().as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Bytes as hexadecimal text.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A DER OBJECT IDENTIFIER.
pub fn object_identifier(dotted: &str) -> Vec<u8> {
    let files = Files::new();
    let out = files.put("oid", b"");
    openssl(&["asn1parse", "-genstr", &format!("OID:{dotted}"), "-noout", "-out", &out], b"");
    fs::read(out).expect("openssl wrote it")
}

/// A digest.
pub fn digest(name: &str, data: &[u8]) -> Vec<u8> {
    openssl(&["dgst", &format!("-{name}"), "-binary"], data)
}

/// Whether a signature over a message verifies with `openssl dgst`.
pub fn verifies_digest(
    hash: &str,
    options: &[&str],
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), String> {
    let files = Files::new();
    let hash = format!("-{hash}");
    let (key, signature) = (files.put("key", spki), files.put("signature", signature));
    let mut arguments = vec!["dgst", &hash];
    arguments.extend(options.iter().flat_map(|option| ["-sigopt", option]));
    arguments.extend(["-keyform", "DER", "-verify", &key, "-signature", &signature]);
    try_openssl(&arguments, message).map(drop)
}

/// Whether an Ed25519 signature verifies with `openssl pkeyutl`.
pub fn verifies_eddsa(spki: &[u8], message: &[u8], signature: &[u8]) -> Result<(), String> {
    let files = Files::new();
    let (key, signature) = (files.put("key", spki), files.put("signature", signature));
    let message = files.put("message", message);
    let key = ["-pubin", "-keyform", "DER", "-inkey", &key];
    let arguments = [&["pkeyutl", "-verify", "-rawin"], &key[..], &["-in", &message, "-sigfile", &signature]];
    try_openssl(&arguments.concat(), b"").map(drop)
}

/// What stands below the PKCS#1 padding of an RSA signature, with `openssl pkeyutl`.
pub fn recovered(spki: &[u8], signature: &[u8]) -> Vec<u8> {
    let files = Files::new();
    let (key, signature) = (files.put("key", spki), files.put("signature", signature));
    let key = ["-pubin", "-keyform", "DER", "-inkey", &key];
    openssl(&[&["pkeyutl", "-verifyrecover"], &key[..], &["-in", &signature]].concat(), b"")
}

/// r‖s as the DER that `openssl` takes: SEQUENCE { INTEGER r, INTEGER s }.
pub fn ecdsa_der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let content = [der_integer(r), der_integer(s)].concat();
    [der_head(0x30, content.len()), content].concat()
}

fn der_integer(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len() - 1);
    let digits = &number[start..];
    let pad: &[u8] = if digits[0] & 0x80 == 0 { &[] } else { &[0] };
    [&der_head(0x02, pad.len() + digits.len()), pad, digits].concat()
}

/// Tag and length, the latter below 256.
pub fn der_head(tag: u8, length: usize) -> Vec<u8> {
    match u8::try_from(length).expect("a short value") {
        length @ ..0x80 => vec![tag, length],
        length => vec![tag, 0x81, length],
    }
}
