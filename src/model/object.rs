//! Objects: what the HSM and the configuration tell of a key, as attributes of the standard (PKCS#11 3.2 section 4).

use std::sync::Arc;

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_CERTIFICATE_CATEGORY_AUTHORITY, CK_CERTIFICATE_CATEGORY_TOKEN_USER, CK_KEY_TYPE,
    CK_MECHANISM_TYPE, CK_OBJECT_CLASS, CK_UNAVAILABLE_INFORMATION, CKA_ALWAYS_AUTHENTICATE,
    CKA_ALWAYS_SENSITIVE, CKA_CERTIFICATE_CATEGORY, CKA_CERTIFICATE_TYPE, CKA_CHECK_VALUE, CKA_CLASS,
    CKA_COEFFICIENT, CKA_COPYABLE, CKA_DECRYPT, CKA_DERIVE, CKA_DESTROYABLE, CKA_EC_PARAMS, CKA_EC_POINT,
    CKA_ENCRYPT, CKA_END_DATE, CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_EXTRACTABLE,
    CKA_HASH_OF_ISSUER_PUBLIC_KEY, CKA_HASH_OF_SUBJECT_PUBLIC_KEY, CKA_ID, CKA_ISSUER, CKA_KEY_GEN_MECHANISM,
    CKA_KEY_TYPE, CKA_LABEL, CKA_LOCAL, CKA_MODIFIABLE, CKA_MODULUS, CKA_MODULUS_BITS, CKA_NEVER_EXTRACTABLE,
    CKA_PRIME_1, CKA_PRIME_2, CKA_PRIVATE, CKA_PRIVATE_EXPONENT, CKA_PUBLIC_EXPONENT, CKA_PUBLIC_KEY_INFO,
    CKA_SENSITIVE, CKA_SERIAL_NUMBER, CKA_SIGN, CKA_SIGN_RECOVER, CKA_START_DATE, CKA_SUBJECT, CKA_TOKEN,
    CKA_TRUSTED, CKA_UNIQUE_ID, CKA_UNWRAP, CKA_URL, CKA_VALUE, CKA_VALUE_LEN, CKA_VERIFY,
    CKA_VERIFY_RECOVER, CKA_WRAP, CKA_WRAP_WITH_TRUSTED, CKC_X_509, CKK_EC, CKK_EC_EDWARDS, CKK_RSA,
    CKM_EC_EDWARDS_KEY_PAIR_GEN, CKM_EC_KEY_PAIR_GEN, CKM_RSA_PKCS_KEY_PAIR_GEN, CKO_CERTIFICATE,
    CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY,
};

use super::attribute::{Attributes, Builder};
use super::mechanism::{Mechanism, Offer};
use super::vendor::{CKA_P11REST_APPROVAL, CKA_P11REST_BACKEND, CKA_P11REST_KEY_NAME};
use crate::backend::{KeyInfo, KeyKind, KeyName, Protection, Usage};
use crate::config::EdwardsPoint;
use crate::crypto::certificate::Certificate;
use crate::crypto::digest::Hash;
use crate::crypto::encode;
use crate::crypto::public_key::{PublicKey, PublicKeyKind};
use crate::crypto::verify;

/// An object: what callers may read of it, and what operations need of it.
pub struct Object {
    /// The attributes that can be read.
    pub attributes: Attributes,
    /// What stands behind it.
    pub material: Material,
}

/// What stands behind an object.
#[derive(Clone)]
pub enum Material {
    /// A private or secret key at the HSM.
    Hsm(Arc<HsmKey>),
    /// A public key: verification and encryption need no HSM.
    Public(PublicKey),
    /// Nothing that an operation could use.
    Passive,
}

/// A key that never leaves the HSM.
pub struct HsmKey {
    /// Its name there.
    pub name: KeyName,
    /// The public half, of asymmetric keys whose public half is known.
    pub public: Option<PublicKey>,
    /// Whether a use waits for approvals.
    pub approval: bool,
    /// Whether each use needs the key's password.
    pub password: bool,
}

impl Object {
    /// `CKA_CLASS`; every object has one.
    pub fn class(&self) -> CK_OBJECT_CLASS {
        self.attributes.class().unwrap_or(CK_UNAVAILABLE_INFORMATION)
    }

    /// The public key, or the public half, where it is known.
    pub fn public_key(&self) -> Option<&PublicKey> {
        match &self.material {
            Material::Hsm(key) => key.public.as_ref(),
            Material::Public(public) => Some(public),
            Material::Passive => None,
        }
    }

    /// Whether `kind` is an attribute that this object has and never tells (section 5.7.5).
    pub fn hides(&self, kind: CK_ATTRIBUTE_TYPE) -> bool {
        let key_type = self.attributes.ulong(CKA_KEY_TYPE);
        match (self.class(), key_type) {
            (CKO_PRIVATE_KEY, Some(CKK_RSA)) => matches!(
                kind,
                CKA_PRIVATE_EXPONENT
                    | CKA_PRIME_1
                    | CKA_PRIME_2
                    | CKA_EXPONENT_1
                    | CKA_EXPONENT_2
                    | CKA_COEFFICIENT
            ),
            (CKO_PRIVATE_KEY | CKO_SECRET_KEY, _) => kind == CKA_VALUE,
            _ => false,
        }
    }
}

/// What all objects of one token have in common.
pub struct Maker<'a> {
    /// `CK_TOKEN_INFO.serialNumber`, part of `CKA_UNIQUE_ID`.
    pub serial: [u8; 16],
    /// The dialect's name.
    pub backend: &'static str,
    /// How `CKA_EC_POINT` of Edwards keys is encoded.
    pub edwards_point: EdwardsPoint,
    /// What the token offers.
    pub offers: &'a [(&'static Mechanism, Offer)],
    /// Whether the service deletes keys.
    pub deletes: bool,
    /// Whether labels and ids change, on this machine.
    pub renames: bool,
}

/// What is known of one key.
pub struct Known<'a> {
    /// The name at the HSM.
    pub name: &'a KeyName,
    /// `CKA_ID`.
    pub id: &'a [u8],
    /// What the HSM tells.
    pub info: &'a KeyInfo,
    /// Whether each use needs the key's password.
    pub password: bool,
}

impl Maker<'_> {
    /// The private key object of a pair.
    pub fn private_key(&self, known: &Known<'_>, public: &PublicKey) -> Object {
        let mut builder = self.key(known, CKO_PRIVATE_KEY, true);
        let usage = if known.info.dormant { Usage::default() } else { known.info.usage };
        private_uses(&mut builder, usage, known.password);
        protection(&mut builder, known.info.protection);
        public_parts(&mut builder, public, self.edwards_point, false);
        generated_by(&mut builder, known.info.protection.local, pair_generator(public));
        if let Some(key_type) = key_type(public) {
            builder.ulong(CKA_KEY_TYPE, key_type);
            self.allow(&mut builder, key_type, |flags| {
                (usage.sign && flags & cryptoki_sys::CKF_SIGN != 0)
                    || (usage.decrypt && flags & cryptoki_sys::CKF_DECRYPT != 0)
            });
        }
        self.finish(builder, known, Some(public.clone()))
    }

    /// The public key object of a pair, or of a lone public key.
    pub fn public_key(&self, known: &Known<'_>, public: &PublicKey) -> Object {
        let mut builder = self.key(known, CKO_PUBLIC_KEY, false);
        let usage = known.info.usage;
        let usage = Usage { sign: usage.sign && verify::serves(public), ..usage };
        public_uses(&mut builder, usage);
        if matches!(known.info.kind, KeyKind::Pair(_)) {
            // It goes with the private half.
            builder.bool(CKA_DESTROYABLE, false);
        }
        public_parts(&mut builder, public, self.edwards_point, true);
        generated_by(&mut builder, known.info.protection.local, pair_generator(public));
        if let Some(key_type) = key_type(public) {
            builder.ulong(CKA_KEY_TYPE, key_type);
            self.allow(&mut builder, key_type, |flags| {
                (usage.sign && flags & cryptoki_sys::CKF_VERIFY != 0)
                    || (usage.decrypt && flags & cryptoki_sys::CKF_ENCRYPT != 0)
            });
        }
        Object { attributes: builder.build(), material: Material::Public(public.clone()) }
    }

    /// A secret key object.
    pub fn secret_key(
        &self,
        known: &Known<'_>,
        key_type: CK_KEY_TYPE,
        bytes: Option<usize>,
        generator: CK_MECHANISM_TYPE,
    ) -> Object {
        let mut builder = self.key(known, CKO_SECRET_KEY, true);
        let usage = known.info.usage;
        builder.ulong(CKA_KEY_TYPE, key_type);
        held_uses(&mut builder, usage);
        builder.bool(CKA_ENCRYPT, usage.decrypt).bool(CKA_WRAP, usage.unwrap).bool(CKA_VERIFY, usage.sign);
        builder.bool(CKA_TRUSTED, false);
        protection(&mut builder, known.info.protection);
        // Where the HSM does not say, SunPKCS11 still wants an answer, and NSS takes this one for none.
        builder.ulong(CKA_VALUE_LEN, bytes.map_or(CK_UNAVAILABLE_INFORMATION, |bytes| bytes as u64));
        generated_by(&mut builder, known.info.protection.local, Some(generator));
        self.allow(&mut builder, key_type, |flags| {
            (usage.sign && flags & cryptoki_sys::CKF_SIGN != 0)
                || (usage.decrypt && flags & cryptoki_sys::CKF_DECRYPT != 0)
        });
        self.finish(builder, known, None)
    }

    /// A key of which only the name is known: what it is stays behind its password.
    pub fn locked_key(&self, known: &Known<'_>) -> Object {
        let mut builder = self.key(known, CKO_PRIVATE_KEY, true);
        private_uses(&mut builder, known.info.usage, true);
        builder.ulong(CKA_KEY_TYPE, CK_UNAVAILABLE_INFORMATION);
        protection(&mut builder, known.info.protection);
        self.finish(builder, known, None)
    }

    /// A key of which only class and type are told.
    pub fn listed_key(
        &self,
        known: &Known<'_>,
        class: CK_OBJECT_CLASS,
        key_type: Option<CK_KEY_TYPE>,
    ) -> Object {
        let private = class != CKO_PUBLIC_KEY;
        let mut builder = self.key(known, class, private);
        builder.ulong(CKA_KEY_TYPE, key_type.unwrap_or(CK_UNAVAILABLE_INFORMATION));
        match class {
            CKO_PRIVATE_KEY => private_uses(&mut builder, known.info.usage, known.password),
            CKO_PUBLIC_KEY => public_uses(&mut builder, known.info.usage),
            _ => held_uses(&mut builder, known.info.usage),
        }
        if private {
            protection(&mut builder, known.info.protection);
            return self.finish(builder, known, None);
        }
        Object { attributes: builder.build(), material: Material::Passive }
    }

    /// A certificate object. `label` is the key's, or for a certificate of no key what the file gave.
    pub fn certificate(
        &self,
        label: &str,
        id: &[u8],
        certificate: &Certificate,
        destroyable: bool,
    ) -> Object {
        let mut builder = self.certificate_builder(label, id, certificate);
        builder.bool(CKA_MODIFIABLE, false).bool(CKA_DESTROYABLE, destroyable);
        Object { attributes: builder.build(), material: Material::Passive }
    }

    /// The object of a certificate that an application put on the token.
    pub fn kept_certificate(
        &self,
        unique_id: &str,
        label: &str,
        id: &[u8],
        certificate: &Certificate,
    ) -> Object {
        let mut builder = self.certificate_builder(label, id, certificate);
        builder.bytes(CKA_UNIQUE_ID, unique_id).bool(CKA_MODIFIABLE, true).bool(CKA_DESTROYABLE, true);
        Object { attributes: builder.build(), material: Material::Passive }
    }

    fn certificate_builder(&self, label: &str, id: &[u8], certificate: &Certificate) -> Builder {
        let digest = Hash::Sha1.digest(certificate.der());
        let mut builder = self.storage(label, label, CKO_CERTIFICATE, false, &digest);
        builder.ulong(CKA_CERTIFICATE_TYPE, CKC_X_509).bool(CKA_TRUSTED, false).bool(CKA_COPYABLE, false);
        certificate_parts(&mut builder, id, certificate);
        builder
    }

    fn key(&self, known: &Known<'_>, class: CK_OBJECT_CLASS, private: bool) -> Builder {
        let name = known.name.as_str();
        let label = known.info.label.as_deref().unwrap_or(name);
        let mut builder = self.storage(label, name, class, private, &[]);
        let protection = known.info.protection;
        builder
            .bytes(CKA_ID, known.id)
            .date(CKA_START_DATE, None)
            .date(CKA_END_DATE, None)
            .bool(CKA_DERIVE, known.info.usage.derive && private)
            .bool(CKA_LOCAL, protection.local)
            .bool(CKA_MODIFIABLE, protection.modifiable || self.renames)
            .bool(CKA_COPYABLE, protection.copyable)
            .bool(CKA_DESTROYABLE, protection.destroyable && self.deletes)
            .bytes(CKA_P11REST_KEY_NAME, known.name.as_str().as_bytes())
            .bytes(CKA_P11REST_BACKEND, self.backend.as_bytes())
            .bool(CKA_P11REST_APPROVAL, known.info.approval);
        builder
    }

    /// The attributes of every object of the token. `name` and `salt` tell objects of one class apart.
    pub fn storage(
        &self,
        label: &str,
        name: &str,
        class: CK_OBJECT_CLASS,
        private: bool,
        salt: &[u8],
    ) -> Builder {
        let mut builder = Builder::new();
        builder
            .ulong(CKA_CLASS, class)
            .bool(CKA_TOKEN, true)
            .bool(CKA_PRIVATE, private)
            .bytes(CKA_LABEL, label.as_bytes())
            .bytes(CKA_UNIQUE_ID, self.unique_id(name, class, salt));
        builder
    }

    /// The same in every process as long as the object is the same.
    fn unique_id(&self, name: &str, class: CK_OBJECT_CLASS, salt: &[u8]) -> String {
        let class = class.to_be_bytes();
        let digest = Hash::Sha1.digest(&[&self.serial[..], &class, salt, name.as_bytes()].concat());
        encode::to_hex(&digest)
    }

    fn allow(&self, builder: &mut Builder, key_type: CK_KEY_TYPE, which: impl Fn(u64) -> bool) {
        let fitting = self
            .offers
            .iter()
            .filter(|(mechanism, offer)| mechanism.key_type() == Some(key_type) && which(offer.flags))
            .map(|(mechanism, _)| mechanism.kind);
        builder.allowed_mechanisms(fitting);
    }

    fn finish(&self, builder: Builder, known: &Known<'_>, public: Option<PublicKey>) -> Object {
        let key = HsmKey {
            name: known.name.clone(),
            public,
            approval: known.info.approval,
            password: known.password,
        };
        Object { attributes: builder.build(), material: Material::Hsm(Arc::new(key)) }
    }
}

/// What a private and a secret key have alike.
fn held_uses(builder: &mut Builder, usage: Usage) {
    builder
        .bool(CKA_SIGN, usage.sign)
        .bool(CKA_DECRYPT, usage.decrypt)
        .bool(CKA_UNWRAP, usage.unwrap)
        .bool(CKA_WRAP_WITH_TRUSTED, false);
}

fn private_uses(builder: &mut Builder, usage: Usage, password: bool) {
    held_uses(builder, usage);
    builder.bytes(CKA_SUBJECT, []).bool(CKA_SIGN_RECOVER, false).bool(CKA_ALWAYS_AUTHENTICATE, password);
}

fn public_uses(builder: &mut Builder, usage: Usage) {
    builder
        .bytes(CKA_SUBJECT, [])
        .bool(CKA_VERIFY, usage.sign)
        .bool(CKA_ENCRYPT, usage.decrypt)
        .bool(CKA_WRAP, usage.unwrap)
        .bool(CKA_VERIFY_RECOVER, false)
        .bool(CKA_TRUSTED, false);
}

fn protection(builder: &mut Builder, protection: Protection) {
    builder
        .bool(CKA_SENSITIVE, protection.sensitive)
        .bool(CKA_ALWAYS_SENSITIVE, protection.always_sensitive)
        .bool(CKA_EXTRACTABLE, protection.extractable)
        .bool(CKA_NEVER_EXTRACTABLE, protection.never_extractable);
}

fn generated_by(builder: &mut Builder, local: bool, generator: Option<CK_MECHANISM_TYPE>) {
    let generator = generator.filter(|_| local).unwrap_or(CK_UNAVAILABLE_INFORMATION);
    builder.ulong(CKA_KEY_GEN_MECHANISM, generator);
}

fn pair_generator(public: &PublicKey) -> Option<CK_MECHANISM_TYPE> {
    match public.kind() {
        PublicKeyKind::Rsa { .. } => Some(CKM_RSA_PKCS_KEY_PAIR_GEN),
        PublicKeyKind::Ec { .. } => Some(CKM_EC_KEY_PAIR_GEN),
        PublicKeyKind::Ed25519(_) => Some(CKM_EC_EDWARDS_KEY_PAIR_GEN),
        PublicKeyKind::Other => None,
    }
}

/// `CKA_KEY_TYPE` of a public key; `None` for types that the module does not serve.
pub fn key_type(public: &PublicKey) -> Option<CK_KEY_TYPE> {
    match public.kind() {
        PublicKeyKind::Rsa { .. } => Some(CKK_RSA),
        PublicKeyKind::Ec { .. } => Some(CKK_EC),
        PublicKeyKind::Ed25519(_) => Some(CKK_EC_EDWARDS),
        PublicKeyKind::Other => None,
    }
}

/// The attributes that both halves show of the public key; `whole` adds those that only the public half has.
pub fn public_parts(builder: &mut Builder, public: &PublicKey, edwards: EdwardsPoint, whole: bool) {
    builder.bytes(CKA_PUBLIC_KEY_INFO, public.spki());
    if let PublicKeyKind::Rsa { modulus, exponent } = public.kind() {
        builder.bytes(CKA_MODULUS, modulus.clone()).bytes(CKA_PUBLIC_EXPONENT, exponent.clone());
        if whole {
            builder.ulong(CKA_MODULUS_BITS, public.bits() as u64);
        }
    }
    if let Some(params) = public.ec_params() {
        builder.bytes(CKA_EC_PARAMS, params);
    }
    if !whole {
        return;
    }
    match (public.kind(), edwards) {
        (PublicKeyKind::Ed25519(point), EdwardsPoint::Raw) => {
            builder.bytes(CKA_EC_POINT, *point);
        }
        _ => {
            if let Some(point) = public.ec_point_octet_string() {
                builder.bytes(CKA_EC_POINT, point);
            }
        }
    }
}

/// The attributes that come from the certificate itself (section 4.6.3).
pub fn certificate_parts(builder: &mut Builder, id: &[u8], certificate: &Certificate) {
    let category = if certificate.is_authority() {
        CK_CERTIFICATE_CATEGORY_AUTHORITY
    } else {
        CK_CERTIFICATE_CATEGORY_TOKEN_USER
    };
    builder
        .bytes(CKA_VALUE, certificate.der())
        .bytes(CKA_SUBJECT, certificate.subject())
        .bytes(CKA_ISSUER, certificate.issuer())
        .bytes(CKA_SERIAL_NUMBER, certificate.serial_number())
        .bytes(CKA_ID, id)
        .bytes(CKA_CHECK_VALUE, certificate.check_value())
        .bytes(CKA_URL, [])
        .bytes(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, [])
        .bytes(CKA_HASH_OF_ISSUER_PUBLIC_KEY, [])
        .ulong(CKA_CERTIFICATE_CATEGORY, category)
        .date(CKA_START_DATE, certificate.not_before())
        .date(CKA_END_DATE, certificate.not_after());
    if let Ok(public) = certificate.public_key() {
        builder.bytes(CKA_PUBLIC_KEY_INFO, public.spki());
    }
}
