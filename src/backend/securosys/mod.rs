//! The dialect of Securosys TSB, the REST API in front of Primus HSMs and CloudHSM.
//!
//! One partition, one set of credentials. The service lists labels only and tells attributes one key at a time; it signs
//! digests, chooses IVs itself and answers in JSON. Section numbers in this folder are those of the Securosys TSB
//! reference.
//!
//! # Layout
//! * `mod.rs`: the calls of [`Backend`]; `login.rs`: that of `C_Login`
//! * `service.rs`: one exchange, and what follows a refused credential; `credentials.rs`, `roles.rs`: what it carries;
//!   `endpoint.rs`: where it goes
//! * `about.rs`: version and licence of the service
//! * `wire.rs`: the JSON; `attributes.rs`: what it says of a key
//! * `keys.rs`: the order for a new key
//! * `names.rs`: the service's names of algorithms; `errors.rs`: the one table from refusals to `CKR_*`

use cryptoki_sys::{
    CK_RV, CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use self::about::About;
use self::credentials::Credentials;
use self::errors::{Purpose, Refusal, unreadable};
use self::roles::{Role, Roles};
use self::service::{Call, Service, read, succeeded};
use self::wire::{
    Body, CertificateAnswer, DecryptAnswer, EncryptAnswer, RandomAnswer, SignAnswer, SignedAttributes, Text,
};
use crate::backend::types::{
    DecryptRequest, DecryptScheme, EncryptRequest, EncryptScheme, Encrypted, Firmware, KeyInfo, KeyKind,
    KeyName, KeySpec, NewKey, Outcome, SignInput, SignRequest, SignScheme,
};
use crate::backend::{Backend, front};
use crate::config::{self, PinFormat};
use crate::crypto::certificate::Certificate;
use crate::crypto::encode;
use crate::error::{Error, Result};
use crate::observe::audit::Audit;
use crate::observe::log::Log;
use crate::transport::{Class, Conventions, Deadline, Response, Transport, auth};

mod about;
mod attributes;
mod credentials;
mod endpoint;
mod errors;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod keys;
mod login;
mod names;
mod roles;
mod service;
mod wire;

#[cfg(test)]
mod tests;

/// What every request carries.
const CONVENTIONS: Conventions<'_> = Conventions {
    headers: &[("Accept", "application/json"), ("Content-Type", "application/json")],
    keep: &[],
    discreet_paths: false,
};

/// What the HSM takes in one request, in bytes (section 3.1).
const PAYLOAD_LIMIT: usize = 64 * 1024;

/// Random bytes a request: the service has a limit and does not say which (section 3.8).
const RANDOM_CHUNK: usize = 1024;

/// One partition behind a Securosys TSB.
pub struct Securosys {
    service: Service,
    about: About,
    pin_format: PinFormat,
}

impl Securosys {
    /// The back end that `token` describes. Reads the files that it names, makes no request.
    ///
    /// # Errors
    /// `CKR_DEVICE_ERROR` where the authorities to trust or the client certificate cannot be read.
    pub fn open(token: &config::Token, log: &Log) -> Result<Self> {
        let transport = auth::open(token, &CONVENTIONS, log).map_err(|error| {
            Error::new(CKR_DEVICE_ERROR, format!("slot {:?} cannot be opened", token.label)).because(error)
        })?;
        if let Some(warning) = transport.warning() {
            log.warn(format_args!("slot {:?}: {warning}", token.label));
        }
        Ok(Self {
            service: Service {
                // With a number of its own the service speaks, whom a gateway has let the request through to.
                transport: front::before(transport, |answer| Refusal::read(answer).is_own())
                    .refused_by(|answer| answer.status == 401 && !Refusal::read(answer).is_own()),
                credentials: Credentials::new(&token.auth, log),
                roles: Roles::default(),
                width: token.catalog.width,
                audit: Audit::new(log, &token.label, ""),
                log: log.clone(),
            },
            about: About::default(),
            pin_format: token.auth.pin_format,
        })
    }
}

impl Backend for Securosys {
    fn manufacturer(&self) -> &'static str {
        "Securosys SA"
    }

    fn model(&self) -> &'static str {
        "Securosys TSB"
    }

    fn firmware(&self) -> Option<Firmware> {
        self.about.firmware()
    }

    fn login_required(&self) -> bool {
        self.service.wants_pin()
    }

    fn is_licensed(&self) -> bool {
        self.about.is_licensed()
    }

    fn may_list(&self) -> bool {
        self.service.transport.is_ready() && self.service.credentials.may_use(Role::KeyManagement)
    }

    fn login(&self, pin: &[u8], deadline: Deadline) -> Result<()> {
        self.log_in(pin, deadline)?;
        self.about.ask_again_if_unlicensed();
        self.about.ask(&self.service, deadline);
        Ok(())
    }

    fn login_stands(&self) -> bool {
        !self.service.transport.wants_pin() || self.service.transport.is_ready()
    }

    fn logout(&self) {
        self.log_out();
    }

    fn login_secrets(&self) -> Vec<SecretString> {
        let Service { transport, credentials, .. } = &self.service;
        let front = transport.login_secrets();
        if front.len() < transport.pin_names().len() {
            return Vec::new();
        }
        front.into_iter().chain(credentials.brought()).collect()
    }

    fn inherit_login(&self, secrets: &[SecretString]) {
        let Service { transport, credentials, .. } = &self.service;
        if let Some((front, own)) = secrets.split_at_checked(transport.pin_names().len()) {
            transport.inherit_login(front);
            credentials.fill(own.iter().map(ExposeSecret::expose_secret));
        }
    }

    fn list(&self, deadline: Deadline) -> Result<Vec<KeyName>> {
        let answer = self.service.exchange(&Call::get(endpoint::KEYS, Purpose::List), deadline)?;
        // A refusal may be for want of the licence.
        self.about.ask(&self.service, deadline);
        let response = succeeded(Purpose::List, answer)?;
        let labels: Vec<Text<'_>> = read(Purpose::List, &response)?;
        Ok(labels.iter().map(|label| label.as_str().into()).collect())
    }

    fn describe(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<KeyInfo>>> {
        let bodies: Vec<_> =
            names.iter().map(|name| Body::plain().text("label", name.as_str()).finish()).collect();
        let calls: Vec<_> = bodies
            .iter()
            .map(|body| Call::post(endpoint::ATTRIBUTES, body, Class::Repeatable, Purpose::Attributes))
            .collect();
        let answers = self.service.exchange_many(&calls, deadline);
        answers.into_iter().map(|answer| described(&answer?)).collect()
    }

    fn certificates(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<Vec<u8>>>> {
        let paths: Vec<_> =
            names.iter().map(|name| endpoint::below(endpoint::CERTIFICATE, name.as_str())).collect();
        let calls: Vec<_> = paths.iter().map(|path| Call::get(path, Purpose::Certificate)).collect();
        let answers = self.service.exchange_many(&calls, deadline);
        answers.into_iter().map(|answer| certificate(&answer?, &self.service.log)).collect()
    }

    fn sign_input(&self, scheme: SignScheme) -> Option<SignInput> {
        names::signing(scheme).map(|signing| signing.input)
    }

    fn sign(&self, request: &SignRequest<'_>, deadline: Deadline) -> Result<Outcome<Vec<u8>>> {
        let purpose = Purpose::Sign { approval: request.approval };
        let signing = names::signing(request.scheme).ok_or_else(|| {
            Error::new(CKR_MECHANISM_INVALID, format!("{purpose}: the service has no such scheme"))
        })?;
        let payload = match request.scheme {
            // What is longer than the order does not count (FIPS 186-5 section 6.4.1); the service may refuse it.
            SignScheme::Ecdsa { width, .. } => request.payload.get(..width).unwrap_or(request.payload),
            _ => request.payload,
        };
        within_limit(payload, CKR_DATA_LEN_RANGE, purpose)?;
        let password = non_empty(request.password);
        let body = sign_body(request.key.as_str(), payload, password, signing.algorithm);
        let response =
            self.service.call(&Call::post(endpoint::SIGN, &body, class(password), purpose), deadline)?;
        let signature =
            read::<SignAnswer<'_>>(purpose, &response)?.signature().and_then(|text| text.binary());
        let signature = signature
            .filter(|signature| !signature.is_empty())
            .ok_or_else(|| unreadable(purpose, &response, "no signature"))?;
        let signature = match request.scheme {
            SignScheme::Ecdsa { width, .. } => encode::ecdsa_der_to_raw(&signature, width)
                .map_err(|error| unreadable(purpose, &response, "not an ECDSA signature").because(error))?,
            _ => signature,
        };
        Ok(Outcome::Done(signature))
    }

    fn can_decrypt(&self, scheme: &DecryptScheme<'_>) -> bool {
        names::decrypting(scheme).is_some()
    }

    fn decrypt(
        &self,
        request: &DecryptRequest<'_>,
        deadline: Deadline,
    ) -> Result<Outcome<Zeroizing<Vec<u8>>>> {
        let purpose = Purpose::Decrypt { approval: request.approval };
        let cipher = names::decrypting(&request.scheme).ok_or_else(|| {
            Error::new(CKR_MECHANISM_INVALID, format!("{purpose}: the service has no such scheme"))
        })?;
        within_limit(request.ciphertext, CKR_ENCRYPTED_DATA_LEN_RANGE, purpose)?;
        let password = non_empty(request.password);
        let mut body = Body::wrapped("decryptRequest", request.ciphertext.len())
            .binary("encryptedPayload", request.ciphertext)
            .text("decryptKeyName", request.key.as_str())
            .password(password)
            .text("cipherAlgorithm", cipher);
        match request.scheme {
            DecryptScheme::AesCbc { iv } | DecryptScheme::AesCtr { counter: iv } => {
                body = body.binary("initializationVector", iv);
            }
            DecryptScheme::AesGcm { iv, aad, tag_bits } => {
                body = with_gcm(body.binary("initializationVector", iv), aad, tag_bits, purpose)?;
            }
            DecryptScheme::AesEcb
            | DecryptScheme::Jwe
            | DecryptScheme::RsaOaep(_)
            | DecryptScheme::RsaPkcs1 => {}
        }
        let body = body.finish();
        let response =
            self.service.call(&Call::post(endpoint::DECRYPT, &body, class(password), purpose), deadline)?;
        let plaintext = read::<DecryptAnswer<'_>>(purpose, &response)?.payload.and_then(|text| text.binary());
        let plaintext = plaintext.ok_or_else(|| unreadable(purpose, &response, "no plaintext"))?;
        Ok(Outcome::Done(Zeroizing::new(plaintext)))
    }

    fn can_encrypt(&self, scheme: &EncryptScheme<'_>) -> bool {
        // The service chooses all IVs itself (section 3.4).
        !matches!(scheme, EncryptScheme::AesGcm { iv: Some(_), .. })
    }

    fn encrypt(&self, request: &EncryptRequest<'_>, deadline: Deadline) -> Result<Encrypted> {
        let purpose = Purpose::Encrypt;
        within_limit(request.plaintext, CKR_DATA_LEN_RANGE, purpose)?;
        let password = non_empty(request.password);
        let mut body = Body::wrapped("encryptRequest", request.plaintext.len())
            .binary("payload", request.plaintext)
            .text("encryptKeyName", request.key.as_str())
            .password(password)
            .text("cipherAlgorithm", names::encrypting(&request.scheme));
        if let EncryptScheme::AesGcm { aad, tag_bits, .. } = request.scheme {
            body = with_gcm(body, aad, tag_bits, purpose)?;
        }
        let body = body.finish();
        let response =
            self.service.call(&Call::post(endpoint::ENCRYPT, &body, class(password), purpose), deadline)?;
        let encrypted = encrypted(&read(purpose, &response)?, &request.scheme);
        encrypted
            .filter(|encrypted| encrypted.ciphertext.len() == request.plaintext.len())
            .ok_or_else(|| unreadable(purpose, &response, "not the ciphertext that was asked for"))
    }

    fn payload_limit(&self) -> usize {
        PAYLOAD_LIMIT
    }

    fn random(&self, buffer: &mut [u8], deadline: Deadline) -> Result<()> {
        for chunk in buffer.chunks_mut(RANDOM_CHUNK) {
            let path = endpoint::below(endpoint::RANDOM, &chunk.len().to_string());
            let response = self.service.call(&Call::get(&path, Purpose::Random), deadline)?;
            let random =
                read::<RandomAnswer<'_>>(Purpose::Random, &response)?.random.and_then(|text| text.binary());
            let random =
                random.map(Zeroizing::new).filter(|random| random.len() == chunk.len()).ok_or_else(|| {
                    unreadable(Purpose::Random, &response, "not as many random bytes as asked for")
                })?;
            chunk.copy_from_slice(&random);
        }
        Ok(())
    }

    fn can_generate(&self, spec: &KeySpec) -> bool {
        names::making(spec).is_some()
    }

    fn generate(&self, request: &NewKey<'_>, deadline: Deadline) -> Result<KeyName> {
        let body = keys::new_key(request)?;
        let call = Call::post(endpoint::KEYS, &body, Class::OnceOnly, Purpose::Generate);
        self.service.call(&call, deadline)?;
        Ok(request.label.into())
    }

    fn can_delete(&self) -> bool {
        true
    }

    fn delete(&self, name: &KeyName, deadline: Deadline) -> Result<()> {
        let body = Body::plain().text("label", name.as_str()).finish();
        let call = Call::post(endpoint::DELETE, &body, Class::OnceOnly, Purpose::Delete);
        let mut answer = self.service.exchange(&call, deadline)?;
        if !answer.is_success() && Refusal::read(&answer).is_unknown_endpoint() {
            let path = endpoint::below(endpoint::KEYS, name.as_str());
            answer = self.service.exchange(&Call::delete(&path, Purpose::Delete), deadline)?;
        }
        succeeded(Purpose::Delete, answer).map(|_| ())
    }

    fn keeps_certificates(&self) -> bool {
        true
    }

    fn put_certificate(&self, key: &KeyName, der: &[u8], deadline: Deadline) -> Result<()> {
        let body = Body::plain().text("label", key.as_str()).binary("certificate", der).finish();
        let path = endpoint::CERTIFICATE_IMPORT;
        let call = Call::post(path, &body, Class::OnceOnly, Purpose::PutCertificate);
        self.service.call(&call, deadline).map(|_| ())
    }

    fn remove_certificate(&self, key: &KeyName, deadline: Deadline) -> Result<()> {
        let path = endpoint::below(endpoint::CERTIFICATE, key.as_str());
        self.service.call(&Call::delete(&path, Purpose::RemoveCertificate), deadline).map(|_| ())
    }

    fn exiting(&self, limit: Deadline) {
        self.service.transport.exiting(limit);
    }

    fn close(&self, limit: Deadline) {
        self.forget_credentials();
        self.service.transport.close_by(limit);
    }
}

fn sign_body(
    key: &str,
    payload: &[u8],
    password: Option<&SecretString>,
    algorithm: &str,
) -> Zeroizing<Vec<u8>> {
    Body::wrapped("signRequest", payload.len())
        .binary("payload", payload)
        .text("signKeyName", key)
        .password(password)
        .text("signatureAlgorithm", algorithm)
        .finish()
}

fn described(answer: &Response) -> Result<Option<KeyInfo>> {
    let purpose = Purpose::Attributes;
    if answer.is_success() {
        let info = attributes::described(&read::<SignedAttributes<'_>>(purpose, answer)?);
        return info.map(Some).ok_or_else(|| unreadable(purpose, answer, "a public key that is not Base64"));
    }
    let refusal = Refusal::read(answer);
    match () {
        () if refusal.is_unknown_key() => Ok(None),
        () if refusal.is_wrong_password() => Ok(Some(KeyInfo::untold(KeyKind::Locked))),
        () => Err(refusal.error(purpose)),
    }
}

/// That there is none has no code of its own (section 14.4): whatever the service itself finds wrong with the key or the
/// certificate means so, and says nothing of the key.
fn certificate(answer: &Response, log: &Log) -> Result<Option<Vec<u8>>> {
    let purpose = Purpose::Certificate;
    if !answer.is_success() {
        let refusal = Refusal::read(answer);
        if refusal.is_credential() || !matches!(refusal.status(), 400 | 404) {
            return Err(refusal.error(purpose));
        }
        log.debug(format_args!("{purpose}: none: {refusal}"));
        return Ok(None);
    }
    let CertificateAnswer { raw_certificate, certificate } = read(purpose, answer)?;
    let Some(text) = raw_certificate.or(certificate) else { return Ok(None) };
    // Base64 of DER, or PEM.
    let bytes = text.binary().unwrap_or_else(|| text.as_str().into());
    let certificates = Certificate::parse_all(&bytes)
        .map_err(|error| unreadable(purpose, answer, "not a certificate").because(error))?;
    Ok(certificates.first().map(|certificate| certificate.der().to_vec()))
}

/// The parts of what `scheme` gives; `None` where one is missing.
fn encrypted(answer: &EncryptAnswer<'_>, scheme: &EncryptScheme<'_>) -> Option<Encrypted> {
    let whole = || answer.encrypted_payload.as_ref()?.binary();
    let EncryptScheme::AesGcm { tag_bits, .. } = scheme else {
        return Some(Encrypted { ciphertext: whole()?, iv: Vec::new(), tag: Vec::new() });
    };
    let alone = &answer.encrypted_payload_without_message_authentication_code;
    let (ciphertext, tag) = match (alone, &answer.message_authentication_code) {
        (Some(ciphertext), Some(tag)) => (ciphertext.binary()?, tag.binary()?),
        // Older servers do not take them apart.
        _ => {
            let mut whole = whole()?;
            let tag = whole.split_off(whole.len().checked_sub(tag_bits / 8)?);
            (whole, tag)
        }
    };
    let iv = answer.initialization_vector.as_ref()?.binary()?;
    (tag.len() == tag_bits / 8 && !iv.is_empty()).then_some(Encrypted { ciphertext, iv, tag })
}

fn with_gcm(body: Body, aad: &[u8], tag_bits: usize, purpose: Purpose) -> Result<Body> {
    if !names::is_tag_length(tag_bits) {
        let context = format!("{purpose}: the service makes no GCM tag of {tag_bits} bits");
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, context));
    }
    let body = body.number("tagLength", tag_bits);
    Ok(if aad.is_empty() { body } else { body.binary("additionalAuthenticationData", aad) })
}

fn within_limit(payload: &[u8], rv: CK_RV, purpose: Purpose) -> Result<()> {
    if payload.len() <= PAYLOAD_LIMIT {
        return Ok(());
    }
    Err(Error::new(rv, format!("{purpose}: {} bytes, and the service takes {PAYLOAD_LIMIT}", payload.len())))
}

/// An empty password is none: the service refuses the empty array (section 0).
fn non_empty(password: Option<&SecretString>) -> Option<&SecretString> {
    password.filter(|password| !password.expose_secret().is_empty())
}

/// Uses of the served keys burn no state; wrong passwords may.
fn class(password: Option<&SecretString>) -> Class {
    if password.is_some() { Class::NeverTwice } else { Class::Repeatable }
}
