//! Whether a request may pass, by the rules of the reference §7 in their order.

use super::refusal::{Answer, Refusal};
use super::schemes::{self, Presented};
use super::settings::{Scheme, Settings};
use super::{Gateway, allow};
use crate::vendor::Request;

/// Signs where the key id is not known, so that the answer takes as long.
const DUMMY: &str = "no secret has so many letters";

/// Who signed a request, and with what.
pub(super) struct Signed {
    user: &'static str,
    pub(super) secret: zeroize::Zeroizing<String>,
    pub(super) timestamp: String,
    pub(super) nonce: String,
}

impl Gateway {
    /// Rule 1: the address.
    pub(super) fn check_address(&self, request: &Request) -> Answer<()> {
        let networks = self.allow.read();
        let forwarded = request.header("x-forwarded-for");
        let source = allow::source(request.peer, forwarded, &self.settings.trusted_proxies);
        match networks.is_empty() || networks.contain(source) {
            true => Ok(()),
            false => Err(Refusal::new(403, "IP_NOT_ALLOWED", format!("{source} is not on the list."))),
        }
    }

    /// Rules 2 to 7: headers, version, time, secret, signature, nonce.
    pub(super) fn check_signature(&self, request: &Request) -> Answer<Signed> {
        let presented = schemes::read(&self.settings, request)?;
        self.check_form(&presented)?;
        let signed = self.find_secret(&presented)?;
        // Only now: nobody else may use up the nonces of a key.
        let now = self.clock.seconds();
        if let Some(nonce) = &presented.nonce
            && !self.nonces.lock().note(&presented.key_id, nonce, self.settings.skew, now)
        {
            return Err(Refusal::new(401, "REPLAY", "The nonce has been used."));
        }
        if self.take_replay() {
            return Err(Refusal::new(401, "REPLAY", "The nonce has been used, as a test wishes."));
        }
        Ok(signed)
    }

    /// Rule 4, and the form of the nonce.
    fn check_form(&self, presented: &Presented) -> Answer<()> {
        let out_of_range = || {
            let message = "The time is not one of now; Date has ours.";
            Refusal::new(401, "TIMESTAMP_OUT_OF_RANGE", message)
        };
        let skew = self.settings.skew.saturating_mul(1000);
        let apart = presented.sent.map(|sent| sent.abs_diff(self.clock.milliseconds()));
        if apart.is_none_or(|apart| apart > skew) {
            return Err(out_of_range());
        }
        match &presented.nonce {
            Some(nonce) if !is_nonce(nonce, &self.settings) => {
                Err(Refusal::new(401, "MALFORMED_NONCE", "The nonce has not its form."))
            }
            _ => Ok(()),
        }
    }

    /// Rules 5 and 6.
    fn find_secret(&self, presented: &Presented) -> Answer<Signed> {
        let accounts = self.accounts.lock();
        let found = match self.settings.scheme {
            Scheme::BitGo3 => accounts.of_secret(&presented.key_id),
            _ => accounts.of_key(&presented.key_id),
        };
        let Some((user, secrets)) = found else {
            presented.is_signed_with(DUMMY.as_bytes());
            return Err(bad_signature());
        };
        let secret = secrets.iter().find(|secret| presented.is_signed_with(secret.as_bytes()));
        Ok(Signed {
            user,
            secret: secret.cloned().ok_or_else(bad_signature)?,
            timestamp: presented.timestamp.clone(),
            nonce: presented.nonce.clone().unwrap_or_default(),
        })
    }

    /// Rule 8: the token, and that it is the signer's.
    pub(super) fn check_token(&self, request: &Request, signed: Option<&Signed>) -> Answer<String> {
        let name = schemes::token_header(self.settings.scheme);
        let missing = || Refusal::new(401, "TOKEN_MISSING", format!("{name}: Bearer … must be there, once."));
        let mut values = request.headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(missing()) };
        // RFC 9110 §11.1: the scheme is case-insensitive.
        let token = match value.to_str().ok().and_then(|value| value.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
            _ => return Err(missing()),
        };
        let user = self.accounts.lock().user_of(token, self.clock.seconds())?;
        match signed {
            Some(signed) if signed.user != user => {
                Err(Refusal::new(401, "WRONG_PRINCIPAL", "The token is another account's."))
            }
            _ => Ok(user),
        }
    }

    /// Rule 9: whether the caller may use keys.
    pub(super) fn check_permission(&self, user: &str) -> Answer<()> {
        match self.accounts.lock().get(user) {
            Some(account) if account.permitted => Ok(()),
            _ => Err(Refusal::new(403, "NOT_PERMITTED", format!("{user} may not use keys."))),
        }
    }

    /// Whether a test wants this request to look like a replay.
    fn take_replay(&self) -> bool {
        let mut left = self.replays.lock();
        let take = *left > 0;
        *left -= u32::from(take);
        take
    }
}

impl Signed {
    /// Whose secret it was.
    pub(super) fn user(&self) -> &'static str {
        self.user
    }
}

fn is_nonce(nonce: &str, settings: &Settings) -> bool {
    match settings.uuid_nonces && settings.scheme == Scheme::V3 {
        true => {
            nonce.len() == 36 && uuid::Uuid::parse_str(nonce).is_ok_and(|uuid| uuid.get_version_num() == 4)
        }
        false => (1..=128).contains(&nonce.len()) && nonce.bytes().all(|byte| byte.is_ascii_graphic()),
    }
}

fn bad_signature() -> Refusal {
    Refusal::new(401, "BAD_SIGNATURE", "The signature is not that of the request.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_have_a_form() {
        let settings = Settings::read(&[]).unwrap();
        for (nonce, good) in [
            ("6f1e7b0c-2a4d-4c3e-9b8f-0d5a1e2f3c4b", true),
            ("6f1e7b0c-2a4d-1c3e-9b8f-0d5a1e2f3c4b", false),
            ("6f1e7b0c2a4d4c3e9b8f0d5a1e2f3c4b", false),
            ("", false),
        ] {
            assert_eq!(is_nonce(nonce, &settings), good, "{nonce}");
        }
        let any = Settings::read(&[("nonce".to_owned(), "any".to_owned())]).unwrap();
        assert!(is_nonce("j4h3g2", &any) && !is_nonce("a b", &any) && !is_nonce("", &any));
    }
}
