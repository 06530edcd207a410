//! Requests signed with a shared secret, as a [`Scheme`] of the configuration describes it.
//!
//! ```text
//! mod     the signer: secret, clocks, the lines of an attempt     values   what templates ask for
//! answer  what an answer says of the signature; its own one       encode   digests, encodings;  time: the forms of times
//! ```
//!
//! What is signed is what is sent: the signer is asked at the last step of each attempt ([`Sealer`]), when the member is
//! known. Each attempt has a time and a nonce of its own.

use std::cell::OnceCell;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use self::answer::Ticket;
use self::values::{Moment, Shown, Side, Signature, Target, Values};
use super::{AuthError, Credential, GrantError, TokenProfile};
use crate::config::hmac::{Derivation, Encoding, NonceFormat, Scheme, Template, TimeFormat, Token};
use crate::config::{self, Level};
use crate::observe::audit::Audit;
use crate::observe::log::Log;
use crate::transport::seal::{Outgoing, Sealed, Sealer};
use crate::transport::{Error, ErrorKind, Headers, Response};

mod answer;
mod encode;
#[cfg(test)]
mod tests;
mod time;
mod values;

/// Signs the requests of one slot.
pub struct Signer {
    scheme: Arc<Scheme>,
    key_id: String,
    secret: Credential,
    sign_token_calls: bool,
    token: OnceLock<Tokens>,
    clocks: Arc<Clocks>,
    audit: OnceLock<Audit>,
    log: Log,
}

/// What a signer has to know of the token that requests carry.
struct Tokens {
    header: String,
    /// The paths of the calls that give tokens.
    calls: Vec<String>,
}

/// How far the clocks of servers are ahead of ours, by host and port, in milliseconds. Those that are as ours is are not
/// in it.
#[derive(Default)]
struct Clocks {
    ahead: RwLock<Vec<(String, i64)>>,
    /// The last nonce that was a number.
    counter: AtomicI64,
}

impl Clocks {
    fn ahead_of(&self, host: &str) -> i64 {
        self.ahead.read().iter().find(|(known, _)| known == host).map_or(0, |(_, ahead)| *ahead)
    }

    fn learn(&self, host: &str, ahead: i64) {
        let mut clocks = self.ahead.write();
        match clocks.iter_mut().find(|(known, _)| known == host) {
            Some((_, known)) => *known = ahead,
            None => clocks.push((host.to_owned(), ahead)),
        }
    }

    /// A number greater than all before, also those of processes before this one.
    fn count(&self) -> i64 {
        let micros = time::now().saturating_mul(1000);
        let next = |last: i64| Some(micros.max(last.saturating_add(1)));
        let last = self.counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        micros.max(last.unwrap_or_default().saturating_add(1))
    }
}

impl Signer {
    /// Signs in that way. The secret is one of the configuration, or what `C_Login` brings.
    pub fn new(settings: &config::Hmac, secret: Credential, log: &Log) -> Self {
        Self {
            scheme: Arc::new(settings.scheme.clone()),
            key_id: settings.key_id.clone(),
            secret,
            sign_token_calls: settings.sign_token_calls,
            token: OnceLock::new(),
            clocks: Arc::default(),
            audit: OnceLock::new(),
            log: log.clone(),
        }
    }

    /// Requests carry tokens like this one.
    pub(super) fn know_tokens(&self, profile: &TokenProfile) {
        let calls = [Some(&profile.login), profile.refresh.as_ref()].into_iter().flatten();
        let paths = calls.map(|call| call.path.split('?').next().unwrap_or_default().to_owned());
        // A service has one kind of tokens: those of a second one would be unknown.
        let _first = self.token.set(Tokens { header: profile.header.clone(), calls: paths.collect() });
    }

    /// Signatures that are refused and made anew are events, and paths are told as far as those tell them.
    pub(super) fn audited(&self, audit: Audit) {
        let _first = self.audit.set(audit);
    }

    /// The secret.
    pub(super) fn credential(&self) -> &Credential {
        &self.secret
    }

    /// Whether a 401 refuses the signature, by its words: of another secret or of another text, or of its time or nonce after
    /// all attempts at those.
    pub(super) fn barred(&self, answer: &Response) -> Option<ErrorKind> {
        let words = String::from_utf8_lossy(&answer.body).to_lowercase();
        let Scheme { clock_words, replay_words, .. } = &*self.scheme;
        match () {
            () if words.contains("signature") && self.secret.is_pin() => Some(ErrorKind::BarredPin),
            () if words.contains("signature") => Some(ErrorKind::Barred),
            () => clock_words
                .iter()
                .chain(replay_words)
                .any(|word| words.contains(word))
                .then_some(ErrorKind::Barred),
        }
    }

    /// Whether what `C_Login` brought is not written as the secret should be.
    pub(super) fn has_unfit_pin(&self) -> bool {
        self.secret.is_pin() && self.prove().is_err()
    }

    /// Whether there is a secret, written as it should be.
    ///
    /// # Errors
    /// [`AuthError::Missing`], [`AuthError::Unreadable`].
    pub(super) fn prove(&self) -> Result<(), AuthError> {
        self.key().map(drop)
    }

    fn key(&self) -> Result<Zeroizing<Vec<u8>>, AuthError> {
        let encoding = self.scheme.secret_encoding;
        self.secret.with(|secret| {
            let secret = secret.ok_or(AuthError::Missing)?;
            let what =
                || AuthError::Unreadable(format!("the secret to sign with is not {}", encoding.name()));
            encoding.decode(secret).ok_or_else(what)
        })?
    }

    fn moment(&self, millis: i64) -> Result<Moment, Error> {
        let mut date = time::write(TimeFormat::IsoBasic, millis);
        date.truncate(8);
        Ok(Moment { timestamp: time::write(self.scheme.timestamp, millis), date, nonce: self.nonce()? })
    }

    fn nonce(&self) -> Result<String, Error> {
        let mut bytes = [0; 16];
        match self.scheme.nonce {
            NonceFormat::None => return Ok(String::new()),
            NonceFormat::Counter => return Ok(self.clocks.count().to_string()),
            _ => OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
                Error::unsent(ErrorKind::Credential, format!("no nonce can be made: {error}"))
            })?,
        }
        Ok(write_nonce(self.scheme.nonce, bytes))
    }

    /// The attempt with the lines that it gets at this moment.
    fn seal_at(&self, outgoing: &Outgoing<'_>, moment: Moment, sent: i64) -> Result<Sealed, Error> {
        let key = self.key().map_err(|error| Error::from(GrantError::from(error)))?;
        let target = Target::of(outgoing, &self.scheme);
        let mut headers = outgoing.headers.clone();
        let signs = |template: &Template| template.has(&Token::Signature);
        // What is signed may be in the lines that come with the signature.
        for (name, template) in self.scheme.headers.iter().filter(|(_, template)| !signs(template)) {
            let values = self.values(&target, &moment, &headers, outgoing);
            let secret = Signature { text: "", secret: &key };
            if let Some(value) = values.line(template, Some(&secret))? {
                headers.add(name, &value)?;
            }
        }
        let mut lines = Headers::default();
        let mut told = None;
        {
            let values = self.values(&target, &moment, &headers, outgoing);
            let signature = self.sign(&values, &key)?;
            let signature = Signature { text: &signature, secret: &key };
            for (name, template) in self.scheme.headers.iter().filter(|(_, template)| signs(template)) {
                if let Some(value) = values.line(template, Some(&signature))? {
                    lines.add(name, &value)?;
                }
            }
            if self.log.enabled(Level::Debug) {
                let shown = if self.audit.get().is_none_or(Audit::tells_paths) {
                    Shown::Paths
                } else {
                    Shown::Lengths
                };
                let values = Values { shown, body_hash: OnceCell::new(), ..values };
                told = Some(String::from_utf8_lossy(&values.text(&self.scheme.template)?).into_owned());
            }
        }
        headers.append(&lines);
        let ticket = Ticket {
            scheme: Arc::clone(&self.scheme),
            key_id: self.key_id.clone(),
            clocks: Arc::clone(&self.clocks),
            audit: self.audit.get().cloned(),
            key,
            target,
            moment,
            class: outgoing.class,
            sent,
            told,
            log: self.log.clone(),
        };
        Ok(Sealed { headers, check: Box::new(ticket) })
    }

    fn values<'a>(
        &'a self,
        target: &'a Target,
        moment: &'a Moment,
        added: &'a Headers,
        outgoing: &'a Outgoing<'_>,
    ) -> Values<'a> {
        Values {
            scheme: &self.scheme,
            key_id: &self.key_id,
            token_header: self.token.get().map_or("Authorization", |token| &token.header),
            target,
            moment,
            side: Side::Request { added, fixed: outgoing.fixed, body: outgoing.body },
            shown: Shown::All,
            body_hash: OnceCell::new(),
        }
    }

    /// The signature, as it is written.
    fn sign(&self, values: &Values<'_>, key: &[u8]) -> Result<String, Error> {
        let text = values::to_sign(values, values.text(&self.scheme.template)?);
        let bytes = mac(values, key, &text);
        Ok(encode::write(self.scheme.output, &bytes))
    }
}

/// What the scheme makes of a key and a text.
fn mac(values: &Values<'_>, key: &[u8], text: &[u8]) -> Vec<u8> {
    let Scheme { mac, hash, derivation, .. } = values.scheme;
    match derivation {
        Derivation::None => encode::sign(*mac, *hash, key, text),
        Derivation::SigV4 => encode::sign(*mac, *hash, &encode::sigv4_key(*hash, key, values.scope()), text),
    }
}

fn write_nonce(format: NonceFormat, mut bytes: [u8; 16]) -> String {
    if matches!(format, NonceFormat::Uuid | NonceFormat::UuidPlain) {
        // Version 4, variant 10 (RFC 9562 section 5.4).
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
    }
    let mut text = match format {
        NonceFormat::Base64 => encode::write(Encoding::Base64, &bytes),
        _ => encode::write(Encoding::Hex, &bytes),
    };
    if format == NonceFormat::Uuid {
        [20, 16, 12, 8].into_iter().for_each(|at| text.insert(at, '-'));
    }
    text
}

impl Sealer for Signer {
    fn keep(&self) -> Vec<String> {
        let mut names = vec![self.scheme.server_time_header.clone()];
        if let Some(answer) = &self.scheme.answer {
            names.extend([answer.header.clone(), "content-type".to_owned()]);
            names.extend(answer.time_header.clone());
            names.extend(answer.template.iter().flat_map(Template::tokens).filter_map(|token| match token {
                Token::Header(name) => Some(name.clone()),
                _ => None,
            }));
        }
        names.sort();
        names.dedup();
        names
    }

    fn seal(&self, outgoing: &Outgoing<'_>) -> Result<Option<Sealed>, Error> {
        let path = outgoing.path.split('?').next().unwrap_or_default();
        let is_token_call =
            || self.token.get().is_some_and(|token| token.calls.iter().any(|call| call == path));
        if !self.sign_token_calls && is_token_call() {
            return Ok(None);
        }
        let sent = time::now().saturating_add(self.clocks.ahead_of(outgoing.host));
        self.seal_at(outgoing, self.moment(sent)?, sent).map(Some)
    }
}
