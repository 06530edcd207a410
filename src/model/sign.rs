//! Signing at the HSM and verifying here: what the mechanisms have in common and where they differ.

use std::sync::Arc;

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CK_ULONG, CKG_MGF1_SHA1, CKG_MGF1_SHA224, CKG_MGF1_SHA256, CKG_MGF1_SHA384,
    CKG_MGF1_SHA512, CKR_DATA_LEN_RANGE, CKR_DEVICE_ERROR, CKR_FUNCTION_FAILED, CKR_FUNCTION_REJECTED,
    CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID, CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE, CKR_USER_NOT_LOGGED_IN,
};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::mechanism::{Chosen, Parameter, SignKind, parameter_hash};
use super::object::HsmKey;
use super::operation::{Excess, Input, Intake, Output, Room, given};
use crate::backend::{Backend, Outcome, SignInput, SignRequest, SignScheme};
use crate::crypto::digest::{Hash, Hasher};
use crate::crypto::public_key::{PublicKey, PublicKeyKind};
use crate::crypto::{self, encode, verify};
use crate::error::{Error, Result};
use crate::transport::Deadline;

/// PKCS#1 v1.5 needs this many bytes besides the data (RFC 8017 section 9.2).
const PKCS1_OVERHEAD: usize = 11;

/// The longest message that is verified whole: no HSM has to take it, but our memory has.
const LONGEST_MESSAGE: usize = 16 << 20;

/// A mechanism with its parameter, checked, for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    scheme: SignScheme,
    /// Bytes of the salt of PSS.
    salt_len: usize,
    /// What is hashed here; `None`: the caller brings the digest, or the scheme takes the message.
    hash: Option<Hash>,
    /// Bytes of the signature.
    signature_len: usize,
    /// The most bytes that an unhashed mechanism takes.
    limit: usize,
    excess: Excess,
}

impl Plan {
    /// `public`: the public half, where there is one to know of.
    fn new(chosen: &Chosen, public: Option<&PublicKey>, message_limit: usize) -> Result<Self> {
        let kind = chosen.mechanism.sign_kind().ok_or_else(|| mechanism_invalid(chosen.mechanism.name))?;
        let hash = kind.hash();
        let plan = |scheme, signature_len, limit, excess| Self {
            scheme,
            salt_len: 0,
            hash,
            signature_len,
            limit,
            excess,
        };
        let Some(public) = public else {
            return match kind {
                SignKind::Hmac(hash) => {
                    Ok(plan(SignScheme::Hmac(hash), hash.len(), message_limit, Excess::Refuse))
                }
                _ => Err(Error::new(
                    CKR_KEY_TYPE_INCONSISTENT,
                    "what this key is stays behind its password: give its public key in [[slot.key]]",
                )),
            };
        };
        match (kind, public.kind()) {
            (SignKind::RsaPkcs1(_), PublicKeyKind::Rsa { modulus, .. }) => {
                let limit = modulus.len().saturating_sub(PKCS1_OVERHEAD);
                Ok(plan(SignScheme::RsaPkcs1(hash), modulus.len(), limit, Excess::Refuse))
            }
            (SignKind::RsaPss(_), PublicKeyKind::Rsa { modulus, .. }) => {
                let (hash, salt_len) = pss_parameters(hash, &chosen.parameter)?;
                let plan = plan(SignScheme::RsaPss(hash), modulus.len(), hash.len(), Excess::Refuse);
                Ok(Self { salt_len, ..plan })
            }
            (SignKind::Ecdsa(_), PublicKeyKind::Ec { curve, .. }) => {
                let width = curve.order_bytes();
                Ok(plan(SignScheme::Ecdsa { width, hash }, 2 * width, width, Excess::Ignore))
            }
            (SignKind::EdDsa, PublicKeyKind::Ed25519(_)) => {
                pure_eddsa(&chosen.parameter)?;
                Ok(plan(SignScheme::EdDsa, 64, message_limit, Excess::Refuse))
            }
            _ => Err(Error::new(CKR_KEY_TYPE_INCONSISTENT, "the key is not of the mechanism's type")),
        }
    }

    fn intake(&self) -> Intake {
        match self.hash {
            Some(hash) => Intake::hash(Hasher::new(hash)),
            None => Intake::collect(self.limit, self.excess),
        }
    }

    /// How what it makes is verified here.
    fn verification(&self) -> Result<verify::Scheme> {
        match self.scheme {
            SignScheme::RsaPkcs1(hash) => Ok(verify::Scheme::RsaPkcs1(hash)),
            SignScheme::RsaPss(hash) => Ok(verify::Scheme::RsaPss { hash, salt_len: self.salt_len }),
            SignScheme::Ecdsa { .. } => Ok(verify::Scheme::Ecdsa),
            SignScheme::EdDsa => Ok(verify::Scheme::EdDsa),
            SignScheme::Hmac(_) => Err(mechanism_invalid("HMAC")),
        }
    }

    /// What the caller gave, cut and checked: `CKR_DATA_LEN_RANGE` where its length cannot be right.
    fn check_length(&self, length: usize) -> Result<()> {
        let fits = match self.scheme {
            SignScheme::RsaPss(hash) => length == hash.len(),
            SignScheme::Ecdsa { .. } => length > 0,
            SignScheme::RsaPkcs1(_) | SignScheme::EdDsa | SignScheme::Hmac(_) => true,
        };
        if fits || self.hash.is_some() {
            return Ok(());
        }
        Err(Error::new(CKR_DATA_LEN_RANGE, format!("{length} bytes are no digest for this mechanism")))
    }
}

fn mechanism_invalid(name: &str) -> Error {
    Error::new(CKR_MECHANISM_INVALID, format!("{name} does not do this"))
}

/// Hash and length of the salt. PSS is served with MGF1 over the same hash, as the HSM has it.
fn pss_parameters(fixed: Option<Hash>, parameter: &Parameter) -> Result<(Hash, usize)> {
    let Parameter::Pss { hash, mgf, salt_len } = *parameter else {
        return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "PSS needs its parameters"));
    };
    let named = parameter_hash(hash)?;
    let same_hash = fixed.is_none_or(|fixed| fixed == named) && mgf1(named) == Some(mgf);
    // No modulus has room for more, and the sum with other lengths must not overflow.
    match usize::try_from(salt_len) {
        Ok(salt_len) if same_hash && salt_len <= u16::MAX.into() => Ok((named, salt_len)),
        _ => {
            let text = format!("PSS with hash {hash:#x}, MGF {mgf}, {salt_len} bytes of salt is not served");
            Err(Error::new(CKR_MECHANISM_PARAM_INVALID, text))
        }
    }
}

/// `CKG_MGF1_*` of a hash, where the HSMs have one.
pub fn mgf1(hash: Hash) -> Option<CK_ULONG> {
    let mgf: CK_MECHANISM_TYPE = match hash {
        Hash::Sha1 => CKG_MGF1_SHA1,
        Hash::Sha224 => CKG_MGF1_SHA224,
        Hash::Sha256 => CKG_MGF1_SHA256,
        Hash::Sha384 => CKG_MGF1_SHA384,
        Hash::Sha512 => CKG_MGF1_SHA512,
        _ => return None,
    };
    Some(mgf)
}

fn pure_eddsa(parameter: &Parameter) -> Result<()> {
    match parameter {
        Parameter::None => Ok(()),
        Parameter::EdDsa { prehash: false, context } if context.is_empty() => Ok(()),
        _ => Err(Error::new(CKR_MECHANISM_PARAM_INVALID, "only pure EdDSA without a context is served")),
    }
}

/// A key at the HSM in use: with its password, once the caller brought it.
pub struct KeyInUse {
    /// The key.
    pub key: Arc<HsmKey>,
    password: Option<SecretString>,
}

impl KeyInUse {
    /// A key whose password, if it has one, is still to come.
    pub fn new(key: Arc<HsmKey>) -> Self {
        Self { key, password: None }
    }

    /// Whether the key waits for `C_Login` with `CKU_CONTEXT_SPECIFIC`.
    pub fn wants_password(&self) -> bool {
        self.key.password && self.password.is_none()
    }

    /// Takes the password for one use.
    pub fn authenticate(&mut self, password: SecretString) {
        self.password = Some(password);
    }

    /// The password, if the key has one.
    ///
    /// # Errors
    /// `CKR_USER_NOT_LOGGED_IN` when it has not come.
    pub fn password(&self) -> Result<Option<&SecretString>> {
        if self.wants_password() {
            let text = "the key wants its password: C_Login with CKU_CONTEXT_SPECIFIC first";
            return Err(Error::new(CKR_USER_NOT_LOGGED_IN, text));
        }
        Ok(self.password.as_ref())
    }
}

/// The result of a request that may wait for approvals.
pub fn done<T>(outcome: Outcome<T>) -> Result<T> {
    match outcome {
        Outcome::Done(value) => Ok(value),
        Outcome::Pending(task) => {
            let text = format!("the HSM waits for approvals (request {})", task.0);
            Err(Error::new(CKR_FUNCTION_REJECTED, text))
        }
    }
}

/// A signature under way.
pub struct Signing {
    /// The key.
    pub key: KeyInUse,
    plan: Plan,
    intake: Intake,
    /// Whether the service hashes, so that the message goes there.
    sends_message: bool,
}

impl Signing {
    /// The operation of `C_SignInit`.
    pub fn new(chosen: &Chosen, key: Arc<HsmKey>, backend: &dyn Backend) -> Result<Self> {
        let plan = Plan::new(chosen, key.public.as_ref(), backend.payload_limit())?;
        let kind = chosen.mechanism.sign_kind().ok_or_else(|| mechanism_invalid(chosen.mechanism.name))?;
        let salt_is_served = !matches!(plan.scheme, SignScheme::RsaPss(hash) if plan.salt_len != hash.len());
        if !kind.served_by(backend, plan.scheme) || !salt_is_served {
            let text = "the HSM does not sign with these parameters";
            return Err(Error::new(CKR_MECHANISM_PARAM_INVALID, text));
        }
        let (intake, sends_message) = match backend.sign_input(plan.scheme) {
            Some(SignInput::Message { limit, .. }) => (Intake::collect(limit, Excess::Refuse), true),
            _ => (plan.intake(), false),
        };
        Ok(Self { key: KeyInUse::new(key), plan, intake, sends_message })
    }

    /// `C_Sign`
    pub fn sign(
        &mut self,
        data: Input<'_>,
        room: Room,
        backend: &dyn Backend,
        deadline: Deadline,
    ) -> Result<Output> {
        let data = self.intake.only_part(data)?;
        let need = self.plan.signature_len;
        room.fit(need, || {
            self.intake.update(data)?;
            self.send(backend, deadline)
        })
    }

    /// `C_SignUpdate`
    pub fn update(&mut self, part: Input<'_>) -> Result<()> {
        self.intake.update(given(part)?)
    }

    /// `C_SignFinal`
    pub fn finish(&mut self, room: Room, backend: &dyn Backend, deadline: Deadline) -> Result<Output> {
        let need = self.plan.signature_len;
        room.fit(need, || self.send(backend, deadline))
    }

    fn send(&mut self, backend: &dyn Backend, deadline: Deadline) -> Result<Output> {
        let data = self.intake.finish();
        let (scheme, payload) = self.payload(&data, backend)?;
        let request = SignRequest {
            key: &self.key.key.name,
            password: self.key.password()?,
            scheme,
            payload,
            approval: self.key.key.approval,
        };
        let signature = done(backend.sign(&request, deadline)?)?;
        self.check(scheme, payload, &signature, backend)?;
        Ok(Output::Bytes(Zeroizing::new(signature)))
    }

    /// What goes to the HSM. A DigestInfo that a caller built for `CKM_RSA_PKCS` is taken apart: HSMs know that form
    /// better than raw padding.
    fn payload<'a>(&self, data: &'a [u8], backend: &dyn Backend) -> Result<(SignScheme, &'a [u8])> {
        if self.sends_message {
            return Ok((self.plan.scheme, data));
        }
        self.plan.check_length(data.len())?;
        if self.plan.scheme != SignScheme::RsaPkcs1(None) {
            return Ok((self.plan.scheme, data));
        }
        let Some((hash, digest)) = encode::parse_digest_info(data) else {
            return Ok((self.plan.scheme, data));
        };
        let hashed = SignScheme::RsaPkcs1(Some(hash));
        // Only the very bytes that the HSM will make of the digest: there is another form, without NULL.
        let same = encode::digest_info(hash, digest) == data;
        if same && backend.sign_input(hashed) == Some(SignInput::Digest) {
            return Ok((hashed, digest));
        }
        Ok((self.plan.scheme, data))
    }

    /// A signature of the wrong length would overrun or shorten what the caller was told; one over raw bytes is checked
    /// whole, because services differ in what they take such a request for.
    fn check(
        &self,
        scheme: SignScheme,
        payload: &[u8],
        signature: &[u8],
        backend: &dyn Backend,
    ) -> Result<()> {
        if signature.len() != self.plan.signature_len {
            let text = format!(
                "the HSM gave a signature of {} bytes instead of {}",
                signature.len(),
                self.plan.signature_len
            );
            return Err(Error::new(CKR_DEVICE_ERROR, text));
        }
        let doubtful = scheme == SignScheme::RsaPkcs1(None) || backend.signatures_are_doubtful();
        let Some(public) = self.key.key.public.as_ref().filter(|public| doubtful && verify::serves(public))
        else {
            return Ok(());
        };
        let digest = self.plan.hash.filter(|_| self.sends_message).map(|hash| hash.digest(payload));
        let verification = Plan { scheme, ..self.plan }.verification()?;
        verify::verify(public, verification, digest.as_deref().unwrap_or(payload), signature)
            .map_err(|error| Error::new(CKR_DEVICE_ERROR, "the HSM signed something else").because(error))
    }
}

/// A verification under way.
pub struct Verifying {
    verifier: Verifier,
    plan: Plan,
    intake: Intake,
    /// The signature, where it came first (`C_VerifySignatureInit`).
    signature: Option<Vec<u8>>,
}

/// Who verifies.
enum Verifier {
    /// The module, without the HSM.
    Here(PublicKey),
    /// The HSM, for the key is its secret.
    Hsm(KeyInUse),
}

impl Verifying {
    /// The operation of `C_VerifyInit`, or with a signature that of `C_VerifySignatureInit`, with a public key.
    pub fn new(chosen: &Chosen, public: PublicKey, signature: Option<Vec<u8>>) -> Result<Self> {
        if !verify::serves(&public) {
            let text = "signatures over this curve are not verified here";
            return Err(Error::new(CKR_KEY_FUNCTION_NOT_PERMITTED, text));
        }
        let plan = Plan::new(chosen, Some(&public), LONGEST_MESSAGE)?;
        Ok(Self { verifier: Verifier::Here(public), intake: plan.intake(), plan, signature })
    }

    /// The same with a secret key.
    pub fn with_secret_key(
        chosen: &Chosen,
        key: Arc<HsmKey>,
        signature: Option<Vec<u8>>,
        backend: &dyn Backend,
    ) -> Result<Self> {
        let plan = Plan::new(chosen, key.public.as_ref(), backend.payload_limit())?;
        if !matches!(plan.scheme, SignScheme::Hmac(_)) {
            let text = "a private key does not verify: its public key does";
            return Err(Error::new(CKR_KEY_FUNCTION_NOT_PERMITTED, text));
        }
        Ok(Self { verifier: Verifier::Hsm(KeyInUse::new(key)), intake: plan.intake(), plan, signature })
    }

    /// The key at the HSM, if one is needed.
    pub fn hsm_key(&self) -> Option<&HsmKey> {
        match &self.verifier {
            Verifier::Here(_) => None,
            Verifier::Hsm(in_use) => Some(&in_use.key),
        }
    }

    /// Whether the signature came with the initialisation.
    pub fn has_signature(&self) -> bool {
        self.signature.is_some()
    }

    /// `C_Verify`, `C_VerifySignature`
    pub fn verify(
        &mut self,
        data: Input<'_>,
        signature: Input<'_>,
        backend: &dyn Backend,
        deadline: Deadline,
    ) -> Result<()> {
        let data = self.intake.only_part(data)?;
        self.intake.update(data)?;
        self.finish(signature, backend, deadline)
    }

    /// `C_VerifyUpdate`, `C_VerifySignatureUpdate`
    pub fn update(&mut self, part: Input<'_>) -> Result<()> {
        self.intake.update(given(part)?)
    }

    /// `C_VerifyFinal`, `C_VerifySignatureFinal`
    pub fn finish(&mut self, signature: Input<'_>, backend: &dyn Backend, deadline: Deadline) -> Result<()> {
        let signature = match &self.signature {
            Some(signature) => signature.as_slice(),
            None => given(signature)?,
        };
        if signature.len() != self.plan.signature_len {
            return Err(Error::new(CKR_SIGNATURE_LEN_RANGE, "no signature of this key has that length"));
        }
        let data = self.intake.finish();
        self.plan.check_length(data.len())?;
        match &self.verifier {
            Verifier::Here(public) => {
                let scheme = self.plan.verification()?;
                verify::verify(public, scheme, &data, signature).map_err(verification_failed)
            }
            Verifier::Hsm(in_use) => {
                let request = SignRequest {
                    key: &in_use.key.name,
                    password: in_use.password()?,
                    scheme: self.plan.scheme,
                    payload: &data,
                    approval: in_use.key.approval,
                };
                if backend.verify_mac(&request, signature, deadline)? {
                    return Ok(());
                }
                Err(Error::new(CKR_SIGNATURE_INVALID, "the HSM says that the MAC is of other data"))
            }
        }
    }
}

fn verification_failed(error: crypto::Error) -> Error {
    let rv = match error {
        crypto::Error::SignatureInvalid => CKR_SIGNATURE_INVALID,
        crypto::Error::SignatureLength => CKR_SIGNATURE_LEN_RANGE,
        crypto::Error::DataLength => CKR_DATA_LEN_RANGE,
        _ => CKR_FUNCTION_FAILED,
    };
    Error::new(rv, "the signature was not verified").because(error)
}
