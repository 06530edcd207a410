//! The keys that every emulated partition has from the start.

use crate::certificate;
use crate::error::Error;
use crate::keys::{Attributes, Key, KeyStore};
use crate::material::{AesSize, Curve, Kind, RsaSize};

/// Signs the XML of key attributes; the server's own.
pub(super) const ATTESTATION_KEY: &str = "attestation-key";

struct Seed {
    label: &'static str,
    kind: Kind,
    attributes: Attributes,
    certificate: bool,
    password: Option<&'static str>,
}

impl Seed {
    fn new(label: &'static str, kind: Kind, sign: bool, decrypt: bool) -> Seed {
        let attributes = Attributes::confined(sign, decrypt);
        Seed { label, kind, attributes, certificate: false, password: None }
    }

    fn with_certificate(self) -> Seed {
        Seed { certificate: true, ..self }
    }

    fn locked(self, password: &'static str) -> Seed {
        Seed { password: Some(password), ..self }
    }

    /// The server's own keys cannot be deleted.
    fn permanent(mut self) -> Seed {
        self.attributes.destroyable = false;
        self
    }

    fn grow(&self) -> Result<Key, Error> {
        let key = Key::generate(self.label, self.kind, self.attributes, None, self.password)?;
        if !self.certificate {
            return Ok(key);
        }
        let certificate = certificate::self_signed(self.label, &key.material)?;
        Ok(key.with_certificate(certificate))
    }
}

/// Makes the keys that the store lacks, all at once: RSA keys take their time.
pub(super) fn plant(store: &KeyStore, locked_key: bool) -> Result<(), Error> {
    let missing: Vec<Seed> =
        seeds(locked_key).into_iter().filter(|seed| store.get(seed.label).is_none()).collect();
    std::thread::scope(|scope| {
        let growing: Vec<_> = missing.iter().map(|seed| scope.spawn(|| store.insert(seed.grow()?))).collect();
        growing.into_iter().try_for_each(|thread| match thread.join() {
            Ok(planted) => planted.map(drop),
            Err(_) => Err(Error::crypto("key generation broke off")),
        })
    })
}

fn seeds(locked_key: bool) -> Vec<Seed> {
    let p256 = Kind::Ec(Curve::P256);
    let mut seeds = vec![
        Seed::new("rsa-2048", Kind::Rsa(RsaSize::Bits2048), true, true),
        Seed::new("rsa-cert", Kind::Rsa(RsaSize::Bits3072), true, true).with_certificate(),
        Seed::new("ec-p256", p256, true, false),
        Seed::new("ec-cert", Kind::Ec(Curve::P384), true, false).with_certificate(),
        Seed::new("ed25519", Kind::Ed25519, true, false),
        Seed::new("aes-256", Kind::Aes(AesSize::Bits256), false, true),
        Seed::new(ATTESTATION_KEY, Kind::Rsa(RsaSize::Bits2048), true, false).permanent(),
        Seed::new("timestamp-key", Kind::Rsa(RsaSize::Bits2048), true, false).permanent(),
    ];
    if locked_key {
        seeds.push(Seed::new("locked", p256, true, false).locked("pw"));
    }
    seeds
}
