//! Certificates with their keys: what `getinfosn` tells of them (FAST HSM reference §4.2).

use std::collections::HashMap;
use std::fmt::Write as _;

use der::Decode;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;

use super::accounts::{OTHER_USER, USER};
use super::settings::{Edition, Settings, Thumbprint};
use crate::certificate::{self, Lifetime};
use crate::error::Error;
use crate::files::Directory;
use crate::keys::{Attributes, Key, KeyStore};
use crate::material::{Curve, Kind, Material, RsaSize};
use crate::tls::save_certificate;

/// The certificate of the authority that issued all the others, in the emulator's directory.
const AUTHORITY_FILE: &str = "fast-ca.pem";

/// Of all certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Valid,
    Expired,
    Revoked,
    Suspended,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Valid => "valid",
            Status::Expired => "expired",
            Status::Revoked => "revoked",
            Status::Suspended => "suspended",
        }
    }
}

/// A certificate that every emulated HSM has from the start.
pub(super) struct Seed {
    pub(super) serial: &'static str,
    pub(super) common_name: &'static str,
    pub(super) owner: &'static str,
    status: Status,
    usage: &'static [&'static str],
}

const SIGNS: &[&str] = &["digitalSignature", "nonRepudiation", "keyEncipherment"];
const SEALS: &[&str] = &["keyEncipherment", "dataEncipherment"];

const fn seed(
    serial: &'static str,
    common_name: &'static str,
    status: Status,
    usage: &'static [&'static str],
) -> Seed {
    Seed { serial, common_name, owner: USER, status, usage }
}

/// One number has its highest bit set: in DER it begins with a zero.
pub(super) const SEEDS: [Seed; 7] = [
    seed("5401A3F05E7C2B9D1E60", "signer-1", Status::Valid, SIGNS),
    seed("B702C4D1907F3A5E6B21", "signer-2", Status::Valid, SIGNS),
    seed("5403D2817B6E4FA09C35", "expired-signer", Status::Expired, SIGNS),
    seed("5404E6920C5D8B7A1F48", "revoked-signer", Status::Revoked, SIGNS),
    seed("5405F1730D9A6C4E2B57", "suspended-signer", Status::Suspended, SIGNS),
    seed("5406A8541E7B3D5F0C69", "sealer", Status::Valid, SEALS),
    Seed { owner: OTHER_USER, ..seed("5407B9652F8C1E6D3A7A", "foreign-signer", Status::Valid, SIGNS) },
];

/// All certificates.
pub(super) struct Certificates {
    keys: KeyStore,
    status: RwLock<HashMap<&'static str, Status>>,
}

/// One certificate with its key.
pub(super) struct Held {
    pub(super) seed: &'static Seed,
    pub(super) status: Status,
    pub(super) key: std::sync::Arc<Key>,
}

impl Certificates {
    /// Loads the keys of a directory, and makes all of them where one is missing: one authority issues them.
    pub(super) fn open(directory: &Directory) -> Result<Certificates, Error> {
        let keys = KeyStore::open(directory.join("keys"))?;
        if SEEDS.iter().any(|seed| keys.get(seed.serial).is_none()) {
            plant(&keys, directory)?;
        }
        let status = SEEDS.iter().map(|seed| (seed.serial, seed.status)).collect();
        Ok(Certificates { keys, status: RwLock::new(status) })
    }

    /// The certificate of that serial number, as a request spells it.
    pub(super) fn find(&self, serial: &str, settings: &Settings) -> Option<Held> {
        let is_meant = |seed: &&Seed| match settings.lenient_serials {
            true => canonical(serial) == canonical(seed.serial),
            false => serial == seed.serial,
        };
        let seed = SEEDS.iter().find(is_meant)?;
        let status = *self.status.read().get(seed.serial)?;
        Some(Held { seed, status, key: self.keys.get(seed.serial)? })
    }

    /// Changes the status of a certificate; `false` where there is none of that serial number.
    pub(super) fn set_status(&self, serial: &str, status: Status) -> bool {
        self.status.write().get_mut(serial).map(|place| *place = status).is_some()
    }
}

/// Whether it can be a serial number at all.
pub(super) fn is_serial(text: &str, settings: &Settings) -> bool {
    let digits = if settings.lenient_serials { canonical(text) } else { text.to_owned() };
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn canonical(serial: &str) -> String {
    let digits: String = serial.chars().filter(|c| !matches!(c, ':' | ' ' | '-')).collect();
    digits.trim_start_matches('0').to_ascii_uppercase()
}

impl Held {
    /// Whether its key may be used for one of these purposes.
    pub(super) fn is_for(&self, purposes: &[&str]) -> bool {
        self.seed.usage.iter().any(|usage| purposes.contains(usage))
    }

    /// `data` of `getinfosn`; `None` if the certificate's file is not one.
    pub(super) fn describe(&self, settings: &Settings) -> Option<Value> {
        let der = self.key.certificate()?;
        let fields = Certificate::from_der(&der).ok()?.tbs_certificate;
        let mut data = json!({
            "serialNumber": self.seed.serial,
            "subject": fields.subject.to_string().replace(',', ", "),
            "issuer": fields.issuer.to_string().replace(',', ", "),
            "validFrom": fields.validity.not_before.to_date_time().to_string(),
            "validTo": fields.validity.not_after.to_date_time().to_string(),
            "status": self.status.name(),
            "keyUsage": self.seed.usage,
            "thumbprint": match settings.thumbprint {
                Thumbprint::Sha1 => hex(&Sha1::digest(&*der)),
                Thumbprint::Sha256 => hex(&Sha256::digest(&*der)),
                Thumbprint::Wrong => hex(&Sha1::digest(b"another certificate")),
            },
        });
        if settings.edition == Edition::English {
            data["algorithm"] = json!("RSA-2048");
        }
        Some(data)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// Makes everything anew, all keys at once: they take their time.
fn plant(keys: &KeyStore, directory: &Directory) -> Result<(), Error> {
    let authority_key = Material::generate(Kind::Ec(Curve::P256))?;
    let authority = certificate::authority("Fast CA", &authority_key)?;
    save_certificate(&directory.join(AUTHORITY_FILE), &authority)?;
    let grow = |seed: &Seed| {
        let attributes = Attributes::confined(true, true);
        let key = Key::generate(seed.serial, Kind::Rsa(RsaSize::Bits2048), attributes, None, None)?;
        let lifetime = if seed.status == Status::Expired { Lifetime::Over } else { Lifetime::Current };
        let subject = format!("CN={},O=Company ABC,C=VN", seed.common_name);
        let der =
            certificate::issued(&subject, seed.serial, &key.material, &authority, &authority_key, lifetime)?;
        keys.remove(seed.serial)?;
        keys.insert(key.with_certificate(der))
    };
    std::thread::scope(|scope| {
        let growing: Vec<_> = SEEDS.iter().map(|seed| scope.spawn(move || grow(seed))).collect();
        growing.into_iter().try_for_each(|thread| match thread.join() {
            Ok(planted) => planted.map(drop),
            Err(_) => Err(Error::crypto("key generation broke off")),
        })
    })
}
