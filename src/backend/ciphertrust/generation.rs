//! Keys that are made and deleted (Luna reference section 11.1).

use cryptoki_sys::{CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_HANDLE_INVALID};

use super::CipherTrust;
use super::errors::{Purpose, Refusal, unreadable};
use super::keys::resource;
use super::names::{CURVE_MEMBERS, Material, PUBLIC_SUFFIX, material};
use super::service::{Call, read};
use super::wire::{self, Resource, usage};
use crate::backend::types::{KeyName, KeySpec, NewKey};
use crate::error::{Error, Result};
use crate::transport::{Deadline, Method, Response};

/// What is asked for cannot be had of this server.
fn impossible(why: &'static str) -> Error {
    Error::new(CKR_ATTRIBUTE_VALUE_INVALID, format!("{}: {why}", Purpose::Generate))
}

impl CipherTrust {
    /// Makes a key, and gives the name by which it is listed.
    pub(super) fn made(&self, request: &NewKey<'_>, deadline: Deadline) -> Result<KeyName> {
        let purpose = Purpose::Generate;
        let material = material(&request.spec).ok_or_else(|| impossible("the server makes no such key"))?;
        // A server that does not say what an object is would have its private half taken for a public one.
        if material.is_pair && request.label.ends_with(PUBLIC_SUFFIX) {
            return Err(impossible("the name is one of public keys"));
        }
        if !request.protection.sensitive || request.protection.copyable {
            return Err(impossible("keys are sensitive here, and are not copied"));
        }
        let (answer, member) = self.ask_to_make(request, &material, deadline)?;
        let key: Resource = read(purpose, &answer)?;
        if key.name != request.label {
            return Err(unreadable(purpose, &answer, "another key"));
        }
        if !key.is_made_of(&material) {
            // It is nobody's. If it stays all the same, a listing shows it.
            let _ = self.deleted(&request.label.into(), deadline);
            return Err(impossible("the server made another kind of key, which was deleted again"));
        }
        if material.curve.is_some() {
            self.curve_member.settle(member);
        }
        Ok(request.label.into())
    }

    /// The answer, and the number of the member that it came of. The name of a curve stands under the other name if nobody knows yet which one is right: a request that was not
    /// understood has made nothing.
    fn ask_to_make(
        &self,
        request: &NewKey<'_>,
        material: &Material,
        deadline: Deadline,
    ) -> Result<(Response, u8)> {
        let (purpose, path) = (Purpose::Generate, self.paths.vault());
        let mut refused = None;
        for (number, member) in self.curve_member.to_try(CURVE_MEMBERS) {
            let body = self.description(request, material, member);
            let answer = self.service.exchange(&Call::json(&path, &body, purpose), deadline)?;
            if answer.is_success() {
                return Ok((answer, number));
            }
            let refusal = Refusal::read(&answer);
            if !refusal.is_bad_request() || refusal.is_taken_name() || material.curve.is_none() {
                return Err(refusal.error(purpose));
            }
            refused.get_or_insert(refusal);
        }
        Err(refused.map_or_else(|| impossible("no such curve"), |refusal| refusal.error(purpose)))
    }

    /// The key will be shown: it has the owner and the labels that the filter wants.
    fn description(&self, request: &NewKey<'_>, material: &Material, curve_member: &'static str) -> Vec<u8> {
        let labels = self.filter.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        wire::new_key(&wire::NewKey {
            name: request.label,
            id: request.id,
            material,
            curve_member,
            usage_mask: usage_mask(request),
            unexportable: !request.protection.extractable,
            undeletable: !request.protection.destroyable,
            owner: self.filter.owner.as_deref(),
            labels: labels.collect(),
        })
    }

    /// Deletes a key, and the public half of a pair, which goes with it at some servers and stays at others. Nothing is
    /// deleted if one of them must not be.
    pub(super) fn deleted(&self, name: &KeyName, deadline: Deadline) -> Result<()> {
        let half_name = format!("{name}{PUBLIC_SUFFIX}");
        let names = [name.as_str(), &half_name];
        let paths = names.map(|name| self.paths.key(name, ""));
        let mut told = self.ask(Method::Get, &paths, deadline).into_iter().zip(names);
        let mut next = || {
            let (answer, name) = told.next()?;
            answer.and_then(|answer| resource(&answer, name)).transpose()
        };
        let key = next().transpose()?.filter(|key| self.filter.shows(key));
        let key = key.ok_or_else(|| {
            Error::new(CKR_KEY_HANDLE_INVALID, format!("{}: there is no such key", Purpose::Delete))
        })?;
        let half = match key.is_asymmetric() && !key.is_public() {
            true => next().transpose()?.filter(Resource::is_public),
            false => None,
        };
        if [Some(&key), half.as_ref()].into_iter().flatten().any(|key| key.undeletable == Some(true)) {
            let text = format!("{}: the server says that it is undeletable", Purpose::Delete);
            return Err(Error::new(CKR_ACTION_PROHIBITED, text));
        }
        self.delete_one(&key, deadline)?;
        half.map_or(Ok(()), |half| self.delete_half(&half, deadline))
    }

    fn delete_one(&self, key: &Resource, deadline: Deadline) -> Result<()> {
        let path = self.paths.key(key.id(), "");
        self.service.call(&Call::delete(&path, Purpose::Delete), deadline).map(drop)
    }

    /// The private key is gone already.
    fn delete_half(&self, half: &Resource, deadline: Deadline) -> Result<()> {
        let path = self.paths.key(half.id(), "");
        let answer = self.service.exchange(&Call::delete(&path, Purpose::Delete), deadline);
        let failed = |error: Error| {
            let text = "the private key was deleted, its public half was not";
            Error::new(error.rv(), text).because(error)
        };
        let answer = answer.map_err(failed)?;
        let refusal = Refusal::read(&answer);
        if answer.is_success() || refusal.is_gone() {
            return Ok(());
        }
        Err(failed(refusal.error(Purpose::Delete)))
    }
}

/// A pair has the bits of both halves, of which the server gives each its own.
fn usage_mask(request: &NewKey<'_>) -> u32 {
    let signing = match request.spec {
        KeySpec::Hmac { .. } => usage::MAC_GENERATE | usage::MAC_VERIFY,
        _ => usage::SIGN | usage::VERIFY,
    };
    let allowed = request.usage;
    let bits = [
        (allowed.sign, signing),
        (allowed.decrypt, usage::ENCRYPT | usage::DECRYPT),
        (allowed.unwrap, usage::WRAP | usage::UNWRAP),
        (allowed.derive, usage::DERIVE),
        (request.protection.extractable, usage::EXPORT),
    ];
    bits.into_iter().filter(|(is_set, _)| *is_set).fold(0, |mask, (_, bits)| mask | bits)
}
