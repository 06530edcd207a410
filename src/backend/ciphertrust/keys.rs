//! What the vault holds: its keys in pages, and what each of them is. A pair is two keys there, and one name here.

use std::collections::HashSet;

use super::errors::{Purpose, Refusal, unreadable};
use super::names::{PUBLIC_SUFFIX, secret_kind};
use super::service::{Call, read};
use super::wire::{Page, Resource, usage};
use super::{CipherTrust, Filter};
use crate::backend::types::{KeyInfo, KeyKind, KeyName, Protection, Usage};
use crate::error::Result;
use crate::transport::{Deadline, Method, Response};

impl CipherTrust {
    /// The names of all keys that the filter lets through.
    pub(super) fn names(&self, deadline: Deadline) -> Result<Vec<KeyName>> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        // How many the server has told, keys that came again included: the next page begins behind them.
        let mut skip = 0;
        loop {
            let path = self.paths.keys(skip);
            let answer = self.service.call(&Call::get(&path, Purpose::List), deadline)?;
            let Page { resources, total } = read(Purpose::List, &answer)?;
            let told = resources.len();
            skip += told;
            let before = found.len();
            found.extend(resources.into_iter().filter(|key| seen.insert(key.name.clone())));
            let ends = match total {
                // A page of nothing but older versions is followed by others.
                Some(total) => told == 0 || skip >= total,
                // Where nothing is new, the server has no pages, or no more of them.
                None => found.len() == before,
            };
            if ends {
                return Ok(shown(&found, &seen, &self.filter));
            }
        }
    }

    /// What each key is.
    pub(super) fn described(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<KeyInfo>>> {
        let all: Vec<_> = names.iter().map(|name| self.paths.key(name.as_str(), "")).collect();
        let answers = self.ask(Method::Get, &all, deadline);
        let named = |(name, answer): (&KeyName, Result<Response>)| resource(&answer?, name.as_str());
        let mut keys: Vec<_> = names.iter().zip(answers).map(named).collect();
        // One that no listing shows is not found by its name either.
        keys.iter_mut().flatten().for_each(|key| *key = key.take().filter(|key| self.filter.shows(key)));
        self.drop_halves(names, &mut keys, deadline);
        // Where the public key is, the page leaves open: with the private key, with the other half, or to be exported.
        self.add_public_keys(names, &mut keys, Method::Get, "", deadline);
        self.add_public_keys(names, &mut keys, Method::Post, "/export", deadline);
        keys.into_iter().map(|key| key.map(|key| key.map(|key| info(&key)))).collect()
    }

    /// The public half of a pair is no key of its own, by whatever name it is asked for.
    fn drop_halves(&self, names: &[KeyName], keys: &mut [Result<Option<Resource>>], deadline: Deadline) {
        let is_public = |key: &Result<Option<Resource>>| matches!(key, Ok(Some(key)) if key.is_public());
        let halves: Vec<_> = names
            .iter()
            .zip(keys)
            .filter(|(_, key)| is_public(key))
            .filter_map(|(name, key)| Some((name.as_str().strip_suffix(PUBLIC_SUFFIX)?, key)))
            .collect();
        let paths: Vec<_> = halves.iter().map(|(private, _)| self.paths.key(private, "")).collect();
        for ((private, key), answer) in halves.into_iter().zip(self.ask(Method::Get, &paths, deadline)) {
            if let Ok(Ok(Some(_))) = answer.map(|answer| resource(&answer, private)) {
                *key = Ok(None);
            }
        }
    }

    /// Asks for the other halves of those pairs whose public key is not known yet.
    fn add_public_keys(
        &self,
        names: &[KeyName],
        keys: &mut [Result<Option<Resource>>],
        method: Method,
        call: &str,
        deadline: Deadline,
    ) {
        let lacking: Vec<_> = names
            .iter()
            .zip(keys)
            .filter_map(|(name, key)| Some((name, key.as_mut().ok()?.as_mut()?)))
            .filter(|(_, key)| key.is_asymmetric() && key.public_key().is_none())
            .collect();
        let half = |(name, key): &(&KeyName, &mut Resource)| {
            let suffix = if key.is_public() { "" } else { PUBLIC_SUFFIX };
            format!("{name}{suffix}")
        };
        let halves: Vec<_> = lacking.iter().map(half).collect();
        let paths: Vec<_> = halves.iter().map(|half| self.paths.key(half, call)).collect();
        let answers = self.ask(method, &paths, deadline);
        for (((_, key), half), answer) in lacking.into_iter().zip(&halves).zip(answers) {
            // One that cannot be had leaves the key without: it is not shown, and a [[slot.key]] can say what it is.
            if let Ok(Ok(Some(half))) = answer.map(|answer| resource(&answer, half)) {
                key.take_public_key(half);
            }
        }
    }

    pub(super) fn ask(&self, method: Method, paths: &[String], deadline: Deadline) -> Vec<Result<Response>> {
        if paths.is_empty() {
            return Vec::new();
        }
        let purpose = Purpose::Describe;
        let call = |path| match method {
            Method::Post => Call::json(path, b"{}", purpose),
            _ => Call::get(path, purpose),
        };
        let calls: Vec<_> = paths.iter().map(|path| call(path)).collect();
        self.service.exchange_many(&calls, deadline)
    }
}

/// The key of that name; `None` for one that there is not, or that is not for this account.
pub(super) fn resource(answer: &Response, name: &str) -> Result<Option<Resource>> {
    let purpose = Purpose::Describe;
    if !answer.is_success() {
        let refusal = Refusal::read(answer);
        if refusal.is_unknown_key() || refusal.is_forbidden() {
            return Ok(None);
        }
        return Err(refusal.error(purpose));
    }
    let key: Resource = read(purpose, answer)?;
    if key.name == name { Ok(Some(key)) } else { Err(unreadable(purpose, answer, "another key")) }
}

/// The names of keys that the filter lets through, without the other halves of pairs.
fn shown(keys: &[Resource], names: &HashSet<String>, filter: &Filter) -> Vec<KeyName> {
    let is_half = |key: &Resource| {
        let private = key.name.strip_suffix(PUBLIC_SUFFIX);
        key.is_public() && private.is_some_and(|private| names.contains(private))
    };
    let kept = keys.iter().filter(|key| filter.shows(key) && !is_half(key));
    kept.map(|key| KeyName::from(key.name.as_str())).collect()
}

fn info(key: &Resource) -> KeyInfo {
    let public = key.public_key();
    let kind = match public {
        Some(public) if key.is_public() => KeyKind::Public(public),
        Some(public) => KeyKind::Pair(public),
        None if key.is_asymmetric() => {
            let algorithm = key.algorithm.as_deref().unwrap_or("unknown");
            KeyKind::Other(format!("{algorithm} (its public key is not told)"))
        }
        None => secret_kind(key.algorithm.as_deref().unwrap_or_default(), key.size),
    };
    // Of a pair each half has the bits of its own use.
    let (sign, decrypt) = match &kind {
        KeyKind::Public(_) => (usage::VERIFY, usage::ENCRYPT),
        KeyKind::Aes(_) => (0, usage::ENCRYPT | usage::DECRYPT),
        KeyKind::Hmac { .. } => (usage::MAC_GENERATE | usage::MAC_VERIFY, 0),
        _ => (usage::SIGN, usage::DECRYPT),
    };
    let wraps = match &kind {
        KeyKind::Public(_) => usage::WRAP,
        KeyKind::Aes(_) => usage::WRAP | usage::UNWRAP,
        _ => usage::UNWRAP,
    };
    let may = |bits: u32| bits != 0 && key.usage_mask.is_none_or(|mask| mask & bits != 0);
    // Of uses that nothing here offers, none is taken for granted.
    let is_told = |bits: u32| key.usage_mask.is_some_and(|mask| mask & bits != 0);
    let told = |flag: Option<bool>, untold| flag.map_or(untold, |flag| !flag);
    KeyInfo {
        id: key.pkcs11_id(),
        usage: Usage {
            sign: may(sign),
            decrypt: may(decrypt),
            unwrap: is_told(wraps),
            derive: is_told(usage::DERIVE),
        },
        protection: Protection {
            extractable: told(key.unexportable, Protection::UNTOLD.extractable),
            destroyable: told(key.undeletable, Protection::UNTOLD.destroyable),
            ..Protection::UNTOLD
        },
        ..KeyInfo::untold(kind)
    }
}
