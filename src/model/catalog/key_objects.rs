//! The objects that one name at the HSM stands for.

use std::sync::Arc;

use cryptoki_sys::{
    CK_KEY_TYPE, CKA_KEY_TYPE, CKK_AES, CKM_AES_KEY_GEN, CKM_GENERIC_SECRET_KEY_GEN, CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY, CKO_SECRET_KEY,
};

use super::aliases::Alias;
use crate::backend::{KeyInfo, KeyKind, KeyName};
use crate::config;
use crate::crypto::digest::Hash;
use crate::crypto::public_key::{PublicKey, PublicKeyKind};
use crate::model::mechanism::hmac_key_type;
use crate::model::object::{Known, Maker, Object, key_type};

/// The private or secret key.
pub const KEY: u64 = 0;
/// The public key.
pub const PUBLIC: u64 = 1;
/// The certificate.
pub const CERTIFICATE: u64 = 2;

/// The objects of one name, but for its certificate.
#[derive(Default)]
pub struct KeyObjects {
    /// The private or secret key.
    pub key: Option<Arc<Object>>,
    /// The public key.
    pub public: Option<Arc<Object>>,
    /// The public key itself, by which certificates are matched.
    pub public_key: Option<PublicKey>,
    /// The `CKA_ID` that they share.
    pub id: Vec<u8>,
    /// The `CKA_LABEL` that they share.
    pub label: String,
    /// Whether the HSM may keep a certificate beside it.
    pub may_have_certificate: bool,
    /// What is odd about it, for the log.
    pub remark: Option<String>,
}

impl KeyObjects {
    /// Whether a certificate of the others would be the same object as one of these.
    pub fn is_called_as(&self, other: &Self) -> bool {
        self.label == other.label && self.id == other.id && self.public_key == other.public_key
    }

    /// Takes out what is of one of these types.
    pub fn hide(&mut self, types: &[CK_KEY_TYPE]) {
        let is_hidden = |object: &Option<Arc<Object>>| {
            let key_type = object.as_ref().and_then(|object| object.attributes.ulong(CKA_KEY_TYPE));
            key_type.is_some_and(|key_type| types.contains(&key_type))
        };
        if is_hidden(&self.key) || is_hidden(&self.public) {
            let Self { id, label, .. } = std::mem::take(self);
            *self = Self { id, label, ..Self::default() };
        }
    }
}

/// The objects for what the HSM tells, completed by what the configuration says of the key and by what it is called here.
pub fn build(
    maker: &Maker<'_>,
    name: &KeyName,
    info: &KeyInfo,
    configured: Option<&config::Key>,
    alias: Alias,
) -> KeyObjects {
    let mut remark = None;
    let locked = matches!(info.kind, KeyKind::Locked);
    let mut info = completed(info, configured, &mut remark);
    let id = alias.id.map_or_else(|| id_of(name, &info, configured), |id| id.0);
    info.label = alias.label.or(info.label);
    let password = locked || configured.is_some_and(|key| key.password);
    let known = Known { name, id: &id, info: &info, password };
    let (key, public, public_key) = match &info.kind {
        KeyKind::Pair(public) if key_type(public).is_some() => {
            (Some(maker.private_key(&known, public)), Some(maker.public_key(&known, public)), Some(public))
        }
        KeyKind::Public(public) if key_type(public).is_some() => {
            (None, Some(maker.public_key(&known, public)), Some(public))
        }
        KeyKind::Aes(bytes) => {
            if bytes.is_none() {
                remark =
                    Some("the HSM does not tell its length: [[slot.key]] with type = \"aes-…\" can".into());
            }
            (Some(maker.secret_key(&known, CKK_AES, *bytes, CKM_AES_KEY_GEN)), None, None)
        }
        KeyKind::Hmac { hash, bytes } => {
            let key_type = hmac_key_type(*hash);
            if key_type.is_none() {
                remark = Some(format!("not shown, HMAC with {hash:?} is not served"));
            }
            let key = key_type
                .map(|key_type| maker.secret_key(&known, key_type, *bytes, CKM_GENERIC_SECRET_KEY_GEN));
            (key, None, None)
        }
        KeyKind::Locked => (Some(maker.locked_key(&known)), None, None),
        KeyKind::Listed(listed) => {
            let class = if listed.private { CKO_PRIVATE_KEY } else { CKO_SECRET_KEY };
            let held =
                (listed.private || listed.secret).then(|| maker.listed_key(&known, class, listed.key_type));
            let public = listed.public.then(|| maker.listed_key(&known, CKO_PUBLIC_KEY, listed.key_type));
            (held, public, None)
        }
        KeyKind::Pair(public) | KeyKind::Public(public) => {
            remark = Some(format!("not shown, algorithm {} is not served", public.algorithm_oid()));
            (None, None, None)
        }
        KeyKind::Other(algorithm) => {
            remark = Some(format!("not shown, algorithm {algorithm:?} is not served"));
            (None, None, None)
        }
    };
    KeyObjects {
        may_have_certificate: public_key.is_some() || locked,
        public_key: public_key.cloned(),
        key: key.map(Arc::new),
        public: public.map(Arc::new),
        id,
        label: info.label.unwrap_or_else(|| name.as_str().to_owned()),
        remark,
    }
}

/// Fills in what the HSM does not tell.
fn completed(info: &KeyInfo, configured: Option<&config::Key>, remark: &mut Option<String>) -> KeyInfo {
    let mut info = info.clone();
    let Some(configured) = configured else { return info };
    let told = matches!(info.kind, KeyKind::Aes(None));
    if !told && !matches!(info.kind, KeyKind::Listed(_) | KeyKind::Locked | KeyKind::Other(_)) {
        return info;
    }
    // Of a listed public key there may be no private one.
    let alone = matches!(info.kind, KeyKind::Listed(listed) if !listed.private);
    let pair = |public| if alone { KeyKind::Public(public) } else { KeyKind::Pair(public) };
    let certified = configured.certificate.as_deref().and_then(|der| {
        let certificate = crate::crypto::certificate::Certificate::from_der(der).ok()?;
        certificate.public_key().ok()
    });
    match (&configured.public_key, configured.key_type) {
        (Some(der), _) => match PublicKey::from_spki(der) {
            Ok(public) => info.kind = pair(public),
            Err(error) => *remark = Some(format!("the configured public key is unusable: {error}")),
        },
        (None, Some(config::KeyType::Aes { bytes })) => info.kind = KeyKind::Aes(Some(bytes)),
        (None, None) => {
            if let Some(public) = certified {
                info.kind = pair(public);
            }
        }
    }
    if !told {
        restrict(&mut info);
    }
    info
}

/// Takes away the assumed uses that no key of its type has.
fn restrict(info: &mut KeyInfo) {
    let (signs, decrypts) = match &info.kind {
        KeyKind::Pair(public) => (true, matches!(public.kind(), PublicKeyKind::Rsa { .. })),
        KeyKind::Aes(_) => (false, true),
        _ => return,
    };
    info.usage.sign &= signs;
    info.usage.decrypt &= decrypts;
}

/// `CKA_ID`: the configuration's, the HSM's, or a hash that only changes with the key (of the public key; of the name
/// where there is none).
fn id_of(name: &KeyName, info: &KeyInfo, configured: Option<&config::Key>) -> Vec<u8> {
    if let Some(id) = configured.and_then(|key| key.id.clone()).or_else(|| info.id.clone()) {
        return id;
    }
    match &info.kind {
        KeyKind::Pair(public) | KeyKind::Public(public) => public.subject_key_identifier().to_vec(),
        _ => Hash::Sha1.digest(name.as_str().as_bytes()),
    }
}
