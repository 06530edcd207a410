//! The login by certificate, the appliance's side (section 4.5): PKCS#1 v1.5 both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::pem::LineEnding;
use der::{Decode, Encode};
use rand_core::{OsRng, RngCore};
use rsa::pkcs8::DecodePublicKey;
use rsa::{Pkcs1v15Encrypt, RsaPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use serde::Deserialize;
use serde_json::json;
use x509_cert::Certificate;
use zeroize::Zeroizing;

use super::exchange::Exchange;
use super::refusal::{Answer, Refusal};
use super::sessions::{cookies, random};
use super::settings::{Asks, PemIn, Settings, Tie};
use crate::algorithms;
use crate::vendor::Reply;

/// The cookie that ties an answer to its challenge.
const TIE: &str = "lunaLogin";

/// Challenges that were not answered yet.
#[derive(Default)]
pub(super) struct Challenges(Vec<Pending>);

struct Pending {
    user: String,
    /// Challenge XOR nonce.
    answer: Vec<u8>,
    /// Milliseconds since 1970-01-01 UTC.
    until: i64,
    /// The value of a cookie.
    tie: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ChallengeBody {
    username: String,
    certificate: Option<String>,
    public_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LoginBody {
    challenge_response: Option<String>,
    username: Option<String>,
    password: Option<Zeroizing<String>>,
}

/// PEM with the line breaks that are taken.
fn unescaped(pem: &str, settings: &Settings) -> Answer<String> {
    let refused = match settings.pem_in {
        PemIn::Any => false,
        PemIn::Real => pem.contains("\\n"),
        PemIn::Literal => pem.contains('\n'),
    };
    if refused {
        return Err(Refusal::bad("The line breaks of the PEM are wrong."));
    }
    Ok(pem.replace("\\n", "\n"))
}

/// A certificate in DER.
pub(super) fn certificate(pem: &str, settings: &Settings) -> Answer<Vec<u8>> {
    let pem = unescaped(pem, settings)?;
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|_| Refusal::bad("There is no certificate in the PEM."))?;
    rsa_key(&der).ok_or_else(|| Refusal::bad("The certificate is not of an RSA key."))?;
    Ok(der.to_vec())
}

/// The public key of a certificate, SubjectPublicKeyInfo in DER.
fn spki(certificate: &[u8]) -> Option<Vec<u8>> {
    Certificate::from_der(certificate).ok()?.tbs_certificate.subject_public_key_info.to_der().ok()
}

fn rsa_key(certificate: &[u8]) -> Option<RsaPublicKey> {
    RsaPublicKey::from_public_key_der(&spki(certificate)?).ok()
}

fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

impl Exchange<'_> {
    /// `POST /auth/login/challenge`
    pub(super) fn challenge(&mut self) -> Answer {
        let body: ChallengeBody = self.body()?;
        let asks = self.settings.challenge;
        let key = match (&body.certificate, &body.public_key) {
            (Some(pem), None) if asks != Asks::PublicKey => {
                let shown = certificate(pem, self.settings)?;
                self.enrolled_key(&body.username, |enrolled| enrolled == shown)
            }
            (None, Some(pem)) if asks != Asks::Certificate => {
                let pem = unescaped(pem, self.settings)?;
                let shown = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes());
                let shown = shown.map_err(|_| Refusal::bad("There is no public key in the PEM."))?;
                self.enrolled_key(&body.username, |enrolled| {
                    spki(enrolled).as_deref() == Some(shown.as_ref())
                })
            }
            _ => return Err(Refusal::bad("The body must have a user name and what was enrolled for it.")),
        };
        let key = key.ok_or_else(Refusal::credentials)?;
        let length = self.settings.challenge_bytes;
        let (challenge, nonce) = (random_bytes(length), random_bytes(length));
        let sealed = key.encrypt(&mut OsRng, Pkcs1v15Encrypt, &challenge);
        let sealed = sealed.map_err(|_| Refusal::bad("The key is too short for a challenge."))?;
        let answer = challenge.iter().zip(&nonce).map(|(a, b)| a ^ b).collect();
        let reply = Reply::json(
            200,
            &json!({
                "challenge": STANDARD.encode(sealed),
                "nonce": STANDARD.encode(nonce),
                "certificate": self.server_pem(),
            }),
        );
        Ok(self.remembered(body.username, answer, reply))
    }

    /// The key of a certificate that was enrolled for a user who may log in.
    fn enrolled_key(&self, user: &str, is_it: impl Fn(&[u8]) -> bool) -> Option<RsaPublicKey> {
        let account = self.state.accounts.users.get(user).filter(|account| account.enabled)?;
        rsa_key(account.certificates.iter().find(|enrolled| is_it(enrolled))?)
    }

    fn server_pem(&self) -> String {
        let der = self.server.certificate().unwrap_or_default();
        let pem = der::pem::encode_string("CERTIFICATE", LineEnding::LF, &der).unwrap_or_default();
        if self.settings.pem_out_literal { pem.replace('\n', "\\n") } else { pem }
    }

    /// Keeps a challenge until it is answered.
    fn remembered(&mut self, user: String, answer: Vec<u8>, mut reply: Reply) -> Reply {
        let life = i64::try_from(self.settings.challenge_life).unwrap_or(i64::MAX).saturating_mul(1000);
        let pending = Pending { user, answer, until: self.now.saturating_add(life), tie: random() };
        match self.settings.challenge_tie {
            Tie::Nothing => {}
            Tie::Cookie => {
                reply.headers.push(("set-cookie", format!("{TIE}={}; Path=/auth; Secure", pending.tie)))
            }
            Tie::Session => reply.headers.extend(self.settings.cookies(&pending.tie)),
        }
        self.state.challenges.0.push(pending);
        reply
    }

    /// `POST /auth/login/basic`, with the answer to a challenge or with a password.
    pub(super) fn log_in_by_body(&mut self) -> Answer {
        let body: LoginBody = self.body()?;
        match (body.challenge_response, body.username, body.password) {
            (Some(response), None, None) => self.log_in_by_response(&response),
            (None, Some(user), Some(password)) => {
                self.state.accounts.check(&user, &password)?;
                Ok(self.opened(&user, false))
            }
            _ => Err(Refusal::bad("The body must have a response, or a user name and a password.")),
        }
    }

    /// A challenge is good for one answer. Whatever is wrong with that, the refusal is the same.
    fn log_in_by_response(&mut self, response: &str) -> Answer {
        let response = STANDARD.decode(response).map_err(|_| Refusal::credentials())?;
        let answer = algorithms::decrypt(&self.server.material, "RSA_PKCS1", &response);
        let answer = answer.ok().map(Zeroizing::new);
        let now = self.now;
        self.state.challenges.0.retain(|pending| now < pending.until);
        let tie = match self.settings.challenge_tie {
            Tie::Nothing => None,
            Tie::Cookie => Some(TIE),
            Tie::Session => Some(self.settings.cookie.as_str()),
        };
        let is_asked = |pending: &Pending| match tie {
            Some(name) => {
                cookies(self.request).any(|pair| pair.split_once('=') == Some((name, &pending.tie)))
            }
            None => answer.as_deref() == Some(&pending.answer),
        };
        let place = self.state.challenges.0.iter().position(is_asked).ok_or_else(Refusal::credentials)?;
        let pending = self.state.challenges.0.swap_remove(place);
        if answer.as_deref() != Some(&pending.answer) {
            return Err(Refusal::credentials());
        }
        if self.settings.challenge_tie == Tie::Session {
            self.state.sessions.open_as(pending.tie, &pending.user, true, now);
            return Ok(Reply::empty(204));
        }
        Ok(self.opened(&pending.user, true))
    }
}
