//! Keys that are made and deleted (Luna REST reference §11.1).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::keys::{Note, PUBLIC_SUFFIX, Resource, Vault, described, usage};
use super::refusal::{Answer, Refusal};
use super::settings::{CurveMember, Settings};
use crate::keys::{Attributes, Key};
use crate::material::{AesSize, Curve, Kind, RsaSize};
use crate::vendor::Reply;

/// The body of `POST /vault/keys2`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NewKey {
    name: String,
    algorithm: String,
    size: Option<u32>,
    curve_id: Option<String>,
    #[serde(rename = "curveid")]
    lower_curve_id: Option<String>,
    usage_mask: Option<u32>,
    #[serde(default)]
    unexportable: bool,
    #[serde(default)]
    undeletable: bool,
    #[serde(default)]
    labels: BTreeMap<String, Value>,
    #[serde(default)]
    assign_self_as_owner: bool,
    #[serde(default)]
    meta: BTreeMap<String, Value>,
}

impl NewKey {
    /// The curve, under the name that the setting `curve` lets it have.
    fn curve(&self, settings: &Settings) -> Answer<Option<&str>> {
        let refused = match settings.curve_member {
            CurveMember::Any => None,
            CurveMember::Lower => self.curve_id.as_ref(),
            CurveMember::Camel => self.lower_curve_id.as_ref(),
        };
        match (refused, &self.curve_id, &self.lower_curve_id) {
            (None, Some(_), Some(_)) | (Some(_), ..) => Err(Refusal::bad("no such member for a curve")),
            (None, curve, None) | (None, None, curve) => Ok(curve.as_deref()),
        }
    }

    fn kind(&self, settings: &Settings) -> Answer<Kind> {
        let algorithm = self.algorithm.to_ascii_lowercase();
        let kind = match (algorithm.as_str(), self.size, self.curve(settings)?) {
            ("aes", Some(128), None) => Kind::Aes(AesSize::Bits128),
            ("aes", Some(192), None) => Kind::Aes(AesSize::Bits192),
            ("aes", Some(256) | None, None) => Kind::Aes(AesSize::Bits256),
            ("rsa", Some(1024), None) => Kind::Rsa(RsaSize::Bits1024),
            ("rsa", Some(2048) | None, None) => Kind::Rsa(RsaSize::Bits2048),
            ("rsa", Some(3072), None) => Kind::Rsa(RsaSize::Bits3072),
            ("rsa", Some(4096), None) => Kind::Rsa(RsaSize::Bits4096),
            ("ec", _, Some("prime256v1") | None) => Kind::Ec(Curve::P256),
            ("ec", _, Some("secp384r1")) => Kind::Ec(Curve::P384),
            ("ec", _, Some("secp521r1")) => Kind::Ec(Curve::P521),
            ("ec", _, Some("secp256k1")) => Kind::Ec(Curve::Secp256k1),
            ("hmac-sha1", _, None) => Kind::HmacSha1,
            ("hmac-sha256", _, None) => Kind::HmacSha256,
            ("hmac-sha384", _, None) => Kind::HmacSha384,
            ("hmac-sha512", _, None) => Kind::HmacSha512,
            _ => return Err(Refusal::bad("no such algorithm, size and curve")),
        };
        // Where the algorithm or the curve has one size, no other may be asked for.
        match self.size {
            Some(size) if size != described(kind).1 => Err(Refusal::bad("no such size")),
            _ => Ok(kind),
        }
    }

    fn attributes(&self, kind: Kind) -> Attributes {
        let has = |bits: u32| self.usage_mask.is_none_or(|mask| mask & bits != 0);
        // Of these nothing is taken for granted.
        let told = |bits: u32| self.usage_mask.is_some_and(|mask| mask & bits != 0);
        let signs = match kind {
            Kind::Aes(_) => (0, 0),
            Kind::Rsa(_) | Kind::Ec(_) | Kind::Ed25519 => (usage::SIGN, usage::VERIFY),
            _ => (usage::MAC_GENERATE, usage::MAC_VERIFY),
        };
        let decrypts = matches!(kind, Kind::Aes(_) | Kind::Rsa(_));
        let mut attributes = Attributes::confined(false, false);
        attributes.sign = signs.0 != 0 && has(signs.0);
        attributes.verify = signs.1 != 0 && has(signs.1);
        attributes.encrypt = decrypts && has(usage::ENCRYPT);
        attributes.decrypt = decrypts && has(usage::DECRYPT);
        attributes.wrap = told(usage::WRAP);
        attributes.unwrap = told(usage::UNWRAP);
        attributes.derive = told(usage::DERIVE);
        attributes.extractable = !self.unexportable && has(usage::EXPORT);
        attributes.destroyable = !self.undeletable;
        attributes
    }

    fn note(&self, settings: &Settings) -> Note {
        let mut meta = self.meta.clone();
        if self.assign_self_as_owner {
            meta.insert("ownerId".to_owned(), settings.owner().into());
        }
        let object = |members: BTreeMap<String, Value>| match members.is_empty() {
            true => Value::Null,
            false => members.into_iter().collect(),
        };
        Note { labels: object(self.labels.clone()), meta: object(meta) }
    }
}

impl Vault {
    /// `POST /vault/keys2`
    pub(super) fn create(&self, new: &NewKey, settings: &Settings) -> Answer {
        check_account(settings)?;
        if new.name.is_empty() {
            return Err(Refusal::bad("a key needs a name"));
        }
        let kind = new.kind(settings)?;
        let taken = |name: &str| self.by_name(name).is_ok();
        if taken(&new.name) || kind.secret_bytes().is_none() && taken(&format!("{}{PUBLIC_SUFFIX}", new.name))
        {
            return Err(Refusal::exists(&new.name));
        }
        let key = Key::generate(&new.name, kind, new.attributes(kind), None, None)?;
        // Another request may have been quicker.
        if !self.store.insert(key)? {
            return Err(Refusal::exists(&new.name));
        }
        self.notes.write().insert(new.name.clone(), new.note(settings));
        Ok(Reply::json(201, &self.by_name(&new.name)?.to_json(settings)?))
    }

    /// `DELETE /vault/keys2/{id}`: a pair goes with its private half, or the public half stays and is deleted by itself.
    pub(super) fn delete(&self, id: &str, settings: &Settings) -> Answer {
        check_account(settings)?;
        // The reference names an id where others take a name too.
        let resource = if settings.names_as_ids { self.either(id)? } else { self.by_id(id)? };
        if !resource.key.metadata.attributes.destroyable {
            return Err(Refusal::undeletable(settings.undeletable_status));
        }
        if resource.has_other_owner(settings) {
            return Err(Refusal::forbidden("The key belongs to another account"));
        }
        let label = &resource.key.metadata.label;
        match resource.public {
            true if self.store.get(label).is_some() => {
                return Err(Refusal::unlearnt("half a pair is not deleted here before the other"));
            }
            false if settings.keeps_public_half && resource.key.public_key.is_some() => {
                self.halves.write().insert(label.clone(), Arc::clone(&resource.key));
                self.store.remove(label)?;
            }
            _ => drop(self.lose(label)?),
        }
        Ok(Reply::empty(204))
    }
}

/// The account may read and use keys; whether it may make and delete them is a setting.
fn check_account(settings: &Settings) -> Answer<()> {
    match settings.may_change {
        true => Ok(()),
        false => Err(Refusal::forbidden("The account may not change the vault")),
    }
}

impl Resource {
    /// A key without an owner is everybody's.
    fn has_other_owner(&self, settings: &Settings) -> bool {
        let owner = self.note.meta.get("ownerId").and_then(Value::as_str);
        owner.is_some_and(|owner| owner != settings.owner())
    }
}
