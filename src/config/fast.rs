//! `[slot.fast]`, and the keys of FAST HSM: what only that back end is told.

use std::time::Duration;

use super::auth::Scheme;
use super::problem::{Fault, Problem};
use super::read::{Section, word};
use super::{Key, slot};
use crate::crypto::certificate::Certificate;
use crate::crypto::digest::Hash;
use crate::crypto::public_key::PublicKeyKind;

/// Most digits of a serial number: twice the bytes that RFC 5280 section 4.1.2.2 allows.
const MOST_DIGITS: usize = 80;

/// Every signature waits for so long at most before it is sent.
const LONGEST_WINDOW: Duration = Duration::from_secs(1);

/// The settings of FAST HSM: where its documentation is silent or of two minds.
#[derive(Debug)]
pub struct Fast {
    /// What stands before the token in `Authorization`.
    pub authorization: Scheme,
    /// How the service pads what it signs.
    pub padding: Padding,
    /// What it is given to sign.
    pub hash_input: HashInput,
    /// The hashes whose digests it signs.
    pub digests: Vec<Hash>,
    /// Whether a signature may be asked for again where nobody knows whether it was made.
    pub repeat_sign: bool,
    /// How long a signature waits for others to share its request; zero: not at all.
    pub batch_window: Duration,
    /// Whether read/write sessions are opened, although nothing can be written.
    pub read_write_sessions: bool,
}

/// How signatures are padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// RSASSA-PKCS1-v1_5.
    Pkcs1,
    /// RSASSA-PSS.
    Pss,
}

/// What is sent to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashInput {
    /// The digest.
    Digest,
    /// The DigestInfo around it.
    DigestInfo,
}

/// Reads them.
pub(super) fn read(section: &Section<'_>) -> Result<Fast, Problem> {
    let schemes = [("auto", Scheme::Auto), ("bearer", Scheme::Bearer), ("bare", Scheme::Bare)];
    let paddings = [("pkcs1", Padding::Pkcs1), ("pss", Padding::Pss)];
    let inputs = [("digest", HashInput::Digest), ("digestinfo", HashInput::DigestInfo)];
    let hashes =
        [("sha1", Hash::Sha1), ("sha256", Hash::Sha256), ("sha384", Hash::Sha384), ("sha512", Hash::Sha512)];
    let settings = Fast {
        authorization: section.text("authorization", |_, text| word(text, &schemes))?.unwrap_or(Scheme::Auto),
        padding: section.text("padding", |_, text| word(text, &paddings))?.unwrap_or(Padding::Pkcs1),
        hash_input: section.text("hash_input", |_, text| word(text, &inputs))?.unwrap_or(HashInput::Digest),
        digests: section
            .list("digests", |_, text| word(text, &hashes))?
            .unwrap_or_else(|| vec![Hash::Sha256]),
        repeat_sign: section.boolean("repeat_sign")?.unwrap_or(false),
        batch_window: section.duration("batch_window", Duration::ZERO)?.unwrap_or(Duration::ZERO),
        read_write_sessions: section.boolean("read_write_sessions")?.unwrap_or(false),
    };
    if settings.digests.is_empty() {
        let fault = Fault::new("has no entry", "write digests = [\"sha256\"], or take it out");
        return Err(section.problem("digests", fault));
    }
    if settings.batch_window > LONGEST_WINDOW {
        let fault = Fault::new("lets each signature wait for too long", "write \"1s\" or less: \"2ms\"");
        return Err(section.problem("batch_window", fault));
    }
    if settings.padding == Padding::Pss && settings.hash_input == HashInput::DigestInfo {
        let fault = Fault::new("is a form of PKCS#1 v1.5, and slot.fast.padding is PSS", "write \"digest\"");
        return Err(section.problem("hash_input", fault));
    }
    Ok(settings)
}

/// One certificate with its key.
pub(super) fn key(section: &Section<'_>) -> Result<Key, Problem> {
    for name in ["public_key", "type", "password"] {
        if section.item(name).is_some() {
            let what = "is not for this back end, whose keys are those of certificates";
            return Err(section.problem(name, Fault::new(what, "take it out")));
        }
    }
    let serial = section.text("serial", |_, text| serial(text))?;
    let serial = section.required("serial", serial, "write serial = \"01AB\", that of the certificate")?;
    let certificate = slot::key_certificate(section)?;
    if let Some(der) = &certificate {
        check(&serial, der).map_err(|fault| section.problem("certificate", fault))?;
    }
    let label = section.text("label", |_, text| match text {
        "" => Err(Fault::new("is empty", "write the label that applications shall see, or take it out")),
        _ => Ok(text.to_owned()),
    })?;
    Ok(Key {
        name: serial,
        label,
        id: slot::key_id(section)?,
        public_key: None,
        certificate,
        key_type: None,
        password: false,
    })
}

/// A serial number as the service writes it: upper-case digits without anything between them. Zeros in front stay, for
/// nobody knows whether they count.
fn serial(text: &str) -> Result<String, Fault> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        let remedy = "write it as `openssl x509 -noout -serial` does: \"5401A3F05E7C\"";
        return Err(Fault::new(format!("\"{text}\" is not the serial number of a certificate"), remedy));
    }
    Ok(digits.to_ascii_uppercase())
}

/// That a file is the certificate of that serial number, and that its key can be one of this service.
fn check(serial: &str, der: &[u8]) -> Result<(), Fault> {
    let bad = |what: String| Fault::new(what, "name the certificate that has the serial number beside it");
    let certificate =
        Certificate::from_der(der).map_err(|error| bad(format!("is no certificate: {error}")))?;
    let found = certificate.serial_digits();
    if found != serial.trim_start_matches('0') {
        return Err(bad(format!("has the serial number {found}, not {serial}")));
    }
    match certificate.public_key().as_ref().map(|key| key.kind()) {
        Ok(PublicKeyKind::Rsa { .. }) => Ok(()),
        _ => Err(bad("is of a key that is no RSA key".to_owned())),
    }
}
