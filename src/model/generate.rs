//! New keys: what a template asks of one (PKCS#11 3.2 sections 4 and 5.18), and the functions that make them.
//!
//! What the HSM makes stays: there are no session keys. Nothing that a template asks for is silently left out, but for two
//! things that applications say by habit: an id where the HSM keeps none, and that a secret be seen without a login.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_KEY_TYPE, CK_OBJECT_CLASS, CK_OBJECT_HANDLE, CKA_ALLOWED_MECHANISMS,
    CKA_ALWAYS_AUTHENTICATE, CKA_ALWAYS_SENSITIVE, CKA_CHECK_VALUE, CKA_CLASS, CKA_COPYABLE, CKA_DECRYPT,
    CKA_DERIVE, CKA_DESTROYABLE, CKA_EC_PARAMS, CKA_ENCRYPT, CKA_END_DATE, CKA_EXTRACTABLE, CKA_ID,
    CKA_KEY_GEN_MECHANISM, CKA_KEY_TYPE, CKA_LABEL, CKA_LOCAL, CKA_MODIFIABLE, CKA_MODULUS_BITS,
    CKA_NEVER_EXTRACTABLE, CKA_PRIVATE, CKA_PUBLIC_EXPONENT, CKA_SENSITIVE, CKA_SIGN, CKA_SIGN_RECOVER,
    CKA_START_DATE, CKA_SUBJECT, CKA_TOKEN, CKA_TRUSTED, CKA_UNIQUE_ID, CKA_UNWRAP, CKA_VALUE_LEN,
    CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_WRAP, CKA_WRAP_WITH_TRUSTED, CKF_GENERATE, CKF_GENERATE_KEY_PAIR,
    CKK_AES, CKK_EC, CKK_EC_EDWARDS, CKK_RSA, CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY,
    CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_CURVE_NOT_SUPPORTED, CKR_DOMAIN_PARAMS_INVALID, CKR_FUNCTION_NOT_SUPPORTED, CKR_MECHANISM_INVALID,
    CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT,
};

use super::mechanism::{self, Chosen, KeyGenerator};
use super::session::Session;
use super::template::Template;
use crate::backend::{KeySpec, Protection, Usage};
use crate::crypto::curve::Curve;
use crate::crypto::public_key;
use crate::error::{Error, Result};

/// What a caller asks of a new key.
#[derive(Debug, PartialEq)]
pub struct Wish {
    /// `CKA_LABEL`, if it is not empty.
    pub label: Option<String>,
    /// `CKA_ID`, if it is not empty.
    pub id: Option<Vec<u8>>,
    /// What it is.
    pub spec: KeySpec,
    /// What it may be used for.
    pub usage: Usage,
    /// What is to protect it.
    pub protection: Protection,
}

impl Session {
    /// `C_GenerateKey`
    ///
    /// # Errors
    /// Those of the template; `CKR_SESSION_READ_ONLY`, `CKR_USER_NOT_LOGGED_IN`, and what the back end says.
    pub fn generate_key(&self, chosen: Option<&Chosen>, template: &Template) -> Result<CK_OBJECT_HANDLE> {
        let generator = self.generator(chosen, CKF_GENERATE)?;
        let wish = secret_key(generator, template)?;
        self.check_write(template)?;
        Ok(self.token().generate(wish)?.key)
    }

    /// `C_GenerateKeyPair`: the handles of the public and of the private key. A public key that is not to be on the token
    /// is a session object besides the one there.
    ///
    /// # Errors
    /// As for [`generate_key`](Self::generate_key).
    pub fn generate_key_pair(
        &self,
        chosen: Option<&Chosen>,
        public: &Template,
        private: &Template,
    ) -> Result<(CK_OBJECT_HANDLE, CK_OBJECT_HANDLE)> {
        let generator = self.generator(chosen, CKF_GENERATE_KEY_PAIR)?;
        let wish = key_pair(generator, public, private)?;
        self.check_write(private)?;
        let made = self.token().generate(wish)?;
        let there = made.public.ok_or_else(|| Error::internal("a pair without a public key"))?;
        let public = match public.bool(CKA_TOKEN)? {
            Some(true) => there,
            _ => self.token().public_in_session(self.handle(), there, public)?,
        };
        Ok((public, made.key))
    }

    /// Whether the token makes anything of that kind.
    ///
    /// # Errors
    /// `CKR_MECHANISM_INVALID` where it has no mechanism at all, `CKR_FUNCTION_NOT_SUPPORTED` where it has others.
    pub fn check_generates(&self, purpose: CK_FLAGS) -> Result<()> {
        let offers = || self.token().offers();
        if offers().any(|(_, offer)| offer.flags & purpose != 0) {
            return Ok(());
        }
        let rv = if offers().next().is_none() { CKR_MECHANISM_INVALID } else { CKR_FUNCTION_NOT_SUPPORTED };
        Err(Error::new(rv, "this token makes no such keys"))
    }

    fn generator(&self, chosen: Option<&Chosen>, purpose: CK_FLAGS) -> Result<KeyGenerator> {
        let chosen = chosen.ok_or_else(|| Error::arguments("NULL where there should be a mechanism"))?;
        self.token().offers_for(chosen, purpose)?;
        chosen.mechanism.generator().ok_or_else(|| Error::internal("an offer that makes nothing"))
    }
}

fn key_pair(generator: KeyGenerator, public: &Template, private: &Template) -> Result<Wish> {
    check(generator, CKO_PUBLIC_KEY, public)?;
    check(generator, CKO_PRIVATE_KEY, private)?;
    let spec = match generator {
        KeyGenerator::RsaPair => rsa(public)?,
        KeyGenerator::EcPair => KeySpec::Ec(curve(public)?),
        KeyGenerator::EdwardsPair => edwards(public)?,
        KeyGenerator::Aes | KeyGenerator::Hmac => return Err(Error::internal("not a pair")),
    };
    let either = |kind, of_public| match (private.bool(kind)?, public.bool(of_public)?) {
        (Some(own), Some(other)) if own != other => {
            Err(inconsistent("the halves of a pair are for the same uses"))
        }
        (own, other) => Ok(own.or(other)),
    };
    let asked = [
        either(CKA_SIGN, CKA_VERIFY)?,
        either(CKA_DECRYPT, CKA_ENCRYPT)?,
        either(CKA_UNWRAP, CKA_WRAP)?,
        either(CKA_DERIVE, CKA_DERIVE)?,
    ];
    let decrypts = matches!(spec, KeySpec::Rsa { .. });
    let usage = usage(asked, Usage { sign: true, decrypt: decrypts, unwrap: false, derive: false });
    wish(spec, usage, private, &[public, private])
}

fn secret_key(generator: KeyGenerator, template: &Template) -> Result<Wish> {
    check(generator, CKO_SECRET_KEY, template)?;
    let spec = match generator {
        KeyGenerator::Aes => {
            KeySpec::Aes { bytes: length(template)?.ok_or_else(|| incomplete("CKA_VALUE_LEN"))? }
        }
        KeyGenerator::Hmac => hmac(template)?,
        _ => return Err(Error::internal("not a secret key")),
    };
    let both = |one, other| match (template.bool(one)?, template.bool(other)?) {
        (Some(one), Some(other)) if one != other => {
            Err(inconsistent("what a secret key does it can undo, here"))
        }
        (one, other) => Ok(one.or(other)),
    };
    let asked = [
        both(CKA_SIGN, CKA_VERIFY)?,
        both(CKA_DECRYPT, CKA_ENCRYPT)?,
        both(CKA_UNWRAP, CKA_WRAP)?,
        template.bool(CKA_DERIVE)?,
    ];
    let signs = matches!(spec, KeySpec::Hmac { .. });
    let usage = usage(asked, Usage { sign: signs, decrypt: !signs, unwrap: false, derive: false });
    wish(spec, usage, template, &[template])
}

/// Where nothing is asked, what keys of that kind are for; where anything is, that and no more.
fn usage(asked: [Option<bool>; 4], usual: Usage) -> Usage {
    if asked.iter().all(Option::is_none) {
        return usual;
    }
    let [sign, decrypt, unwrap, derive] = asked.map(|asked| asked == Some(true));
    Usage { sign, decrypt, unwrap, derive }
}

fn wish(spec: KeySpec, usage: Usage, held: &Template, templates: &[&Template]) -> Result<Wish> {
    if held.bool(CKA_TOKEN)? != Some(true) {
        return Err(inconsistent("keys live at the HSM: CKA_TOKEN has to be CK_TRUE"));
    }
    let label = same(templates, CKA_LABEL)?.map(|label| {
        let label = std::str::from_utf8(label).ok().filter(|label| !label.contains('\0'));
        label.map(str::to_owned).ok_or_else(|| invalid("CKA_LABEL is not UTF-8"))
    });
    let flag = |kind, usual| held.bool(kind).map(|asked| asked.unwrap_or(usual));
    let protection = Protection {
        sensitive: flag(CKA_SENSITIVE, true)?,
        extractable: flag(CKA_EXTRACTABLE, false)?,
        modifiable: flag(CKA_MODIFIABLE, true)?,
        copyable: flag(CKA_COPYABLE, false)?,
        destroyable: flag(CKA_DESTROYABLE, true)?,
        ..Protection::UNTOLD
    };
    Ok(Wish {
        label: label.transpose()?,
        id: same(templates, CKA_ID)?.map(<[u8]>::to_vec),
        spec,
        usage,
        protection,
    })
}

/// The value that all of the templates that have one agree on; an empty one is none.
fn same<'a>(templates: &[&'a Template], kind: CK_ATTRIBUTE_TYPE) -> Result<Option<&'a [u8]>> {
    let mut values = templates.iter().filter_map(|template| template.get(kind));
    let first = values.next();
    if values.any(|other| Some(other) != first) {
        return Err(inconsistent("both halves of a pair have one label and one id"));
    }
    Ok(first.filter(|value| !value.is_empty()))
}

// What kind of key.

fn rsa(template: &Template) -> Result<KeySpec> {
    let bits = template.ulong(CKA_MODULUS_BITS)?.ok_or_else(|| incomplete("CKA_MODULUS_BITS"))?;
    if let Some(exponent) = template.get(CKA_PUBLIC_EXPONENT) {
        let zeros = exponent.iter().take_while(|byte| **byte == 0).count();
        if exponent.get(zeros..) != Some(&[1, 0, 1]) {
            return Err(invalid("the public exponent is 65537"));
        }
    }
    Ok(KeySpec::Rsa { bits: usize::try_from(bits).unwrap_or(usize::MAX) })
}

fn curve(template: &Template) -> Result<Curve> {
    let params = template.get(CKA_EC_PARAMS).ok_or_else(|| incomplete("CKA_EC_PARAMS"))?;
    match Curve::from_params(params) {
        Ok(Some(curve)) => Ok(curve),
        Ok(None) => Err(Error::new(CKR_CURVE_NOT_SUPPORTED, "CKA_EC_PARAMS names no curve of this module")),
        Err(error) => Err(domain(error)),
    }
}

fn edwards(template: &Template) -> Result<KeySpec> {
    let params = template.get(CKA_EC_PARAMS).ok_or_else(|| incomplete("CKA_EC_PARAMS"))?;
    match public_key::names_ed25519(params) {
        Ok(true) => Ok(KeySpec::Ed25519),
        Ok(false) => Err(Error::new(CKR_CURVE_NOT_SUPPORTED, "Ed25519 is the only Edwards curve")),
        Err(error) => Err(domain(error)),
    }
}

fn hmac(template: &Template) -> Result<KeySpec> {
    let key_type = template.ulong(CKA_KEY_TYPE)?.ok_or_else(|| incomplete("CKA_KEY_TYPE"))?;
    let hash = mechanism::hmac_hash(key_type).ok_or_else(|| {
        inconsistent("a key for HMAC is for one hash: CKA_KEY_TYPE is CKK_SHA256_HMAC, say")
    })?;
    Ok(KeySpec::Hmac { hash, bytes: length(template)? })
}

fn length(template: &Template) -> Result<Option<usize>> {
    Ok(template.ulong(CKA_VALUE_LEN)?.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)))
}

/// `CKA_KEY_TYPE` of such a key.
pub(super) fn key_type_of(spec: &KeySpec) -> Option<CK_KEY_TYPE> {
    match spec {
        KeySpec::Rsa { .. } => Some(CKK_RSA),
        KeySpec::Ec(_) => Some(CKK_EC),
        KeySpec::Ed25519 => Some(CKK_EC_EDWARDS),
        KeySpec::Aes { .. } => Some(CKK_AES),
        KeySpec::Hmac { hash, .. } => mechanism::hmac_key_type(*hash),
    }
}

/// Why no key of this kind is made.
pub(super) fn not_made(spec: &KeySpec) -> Error {
    match spec {
        KeySpec::Ec(curve) => {
            Error::new(CKR_CURVE_NOT_SUPPORTED, format!("this HSM makes no keys on {}", curve.name()))
        }
        _ => invalid("this HSM makes no keys of that length"),
    }
}

// Which attributes may stand in a template.

/// What may be said of an attribute.
enum Rule {
    /// Anything.
    Free,
    /// Either truth.
    Flag,
    /// This and nothing else: it is so at any rate.
    Always(bool),
    /// Nothing: no HSM keeps it.
    Empty,
    /// Only the token sets it (footnotes of section 4).
    TokenSets,
}

fn rule(generator: KeyGenerator, class: CK_OBJECT_CLASS, kind: CK_ATTRIBUTE_TYPE) -> Option<Rule> {
    let (public, private, secret) =
        (class == CKO_PUBLIC_KEY, class == CKO_PRIVATE_KEY, class == CKO_SECRET_KEY);
    let rsa = generator == KeyGenerator::RsaPair;
    Some(match kind {
        CKA_CLASS | CKA_KEY_TYPE | CKA_LABEL | CKA_ID => Rule::Free,
        CKA_TOKEN | CKA_DERIVE | CKA_MODIFIABLE | CKA_COPYABLE | CKA_DESTROYABLE => Rule::Flag,
        CKA_SIGN | CKA_DECRYPT | CKA_UNWRAP | CKA_SENSITIVE | CKA_EXTRACTABLE if !public => Rule::Flag,
        CKA_VERIFY | CKA_ENCRYPT | CKA_WRAP if !private => Rule::Flag,
        CKA_MODULUS_BITS | CKA_PUBLIC_EXPONENT if public && rsa => Rule::Free,
        CKA_EC_PARAMS if public && !rsa => Rule::Free,
        CKA_VALUE_LEN if secret => Rule::Free,
        CKA_PRIVATE if public => Rule::Always(false),
        // They are private whatever is said; pkcs11-tool says no of every secret key.
        CKA_PRIVATE => Rule::Flag,
        CKA_ALWAYS_AUTHENTICATE | CKA_SIGN_RECOVER if private => Rule::Always(false),
        CKA_WRAP_WITH_TRUSTED if !public => Rule::Always(false),
        CKA_TRUSTED if !private => Rule::Always(false),
        CKA_VERIFY_RECOVER if public => Rule::Always(false),
        CKA_START_DATE | CKA_END_DATE | CKA_ALLOWED_MECHANISMS => Rule::Empty,
        CKA_SUBJECT if !secret => Rule::Empty,
        CKA_CHECK_VALUE if secret => Rule::Empty,
        CKA_LOCAL | CKA_KEY_GEN_MECHANISM | CKA_UNIQUE_ID => Rule::TokenSets,
        CKA_ALWAYS_SENSITIVE | CKA_NEVER_EXTRACTABLE if !public => Rule::TokenSets,
        _ => return None,
    })
}

/// The key type that a mechanism makes whatever the template says.
fn key_type(generator: KeyGenerator) -> Option<CK_KEY_TYPE> {
    let row = mechanism::TABLE.iter().find(|row| row.generator() == Some(generator));
    row.and_then(mechanism::Mechanism::key_type)
}

fn check(generator: KeyGenerator, class: CK_OBJECT_CLASS, template: &Template) -> Result<()> {
    template.check_consistent()?;
    for (kind, value) in template.iter() {
        match rule(generator, class, kind) {
            Some(Rule::Free) => {}
            Some(Rule::Flag) => {
                template.bool(kind)?;
            }
            Some(Rule::Always(always)) if template.bool(kind)? == Some(always) => {}
            Some(Rule::Always(always)) => {
                return Err(inconsistent(format!("attribute {kind:#x} is {always} of every such key")));
            }
            Some(Rule::Empty) if value.is_empty() => {}
            Some(Rule::Empty) => return Err(invalid(format!("attribute {kind:#x} is kept by no HSM"))),
            Some(Rule::TokenSets) => {
                let text = format!("attribute {kind:#x} is set by the token");
                return Err(Error::new(CKR_ATTRIBUTE_READ_ONLY, text));
            }
            None => {
                let text = format!("attribute {kind:#x} does not belong to such a key");
                return Err(Error::new(CKR_ATTRIBUTE_TYPE_INVALID, text));
            }
        }
    }
    let differs = |asked: Option<u64>, is: Option<u64>| asked.is_some() && is.is_some() && asked != is;
    if differs(template.ulong(CKA_CLASS)?, Some(class))
        || differs(template.ulong(CKA_KEY_TYPE)?, key_type(generator))
    {
        return Err(inconsistent("the mechanism makes keys of another class or type"));
    }
    Ok(())
}

fn incomplete(what: &str) -> Error {
    Error::new(CKR_TEMPLATE_INCOMPLETE, format!("the template lacks {what}"))
}

fn inconsistent(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(CKR_TEMPLATE_INCONSISTENT, text)
}

fn invalid(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(CKR_ATTRIBUTE_VALUE_INVALID, text)
}

fn domain(error: crate::crypto::Error) -> Error {
    Error::new(CKR_DOMAIN_PARAMS_INVALID, "CKA_EC_PARAMS is not to be read").because(error)
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::{CKA_MODULUS, CKK_GENERIC_SECRET, CKK_SHA256_HMAC};

    use super::*;
    use crate::crypto::digest::Hash;
    use KeyGenerator::{Aes, EcPair, EdwardsPair, Hmac, RsaPair};

    type Pair = (CK_ATTRIBUTE_TYPE, Vec<u8>);

    fn template(attributes: &[Pair]) -> Template {
        Template::new(attributes.iter().map(|(kind, value)| (*kind, value.clone().into())).collect())
    }

    fn ulong(kind: CK_ATTRIBUTE_TYPE, value: u64) -> Pair {
        (kind, value.to_ne_bytes().to_vec())
    }

    fn flag(kind: CK_ATTRIBUTE_TYPE, value: bool) -> Pair {
        (kind, vec![u8::from(value)])
    }

    /// What is wrong with a pair of the templates that are right but for these attributes.
    fn rsa_with(public: &[Pair], private: &[Pair]) -> std::result::Result<Wish, u64> {
        let public = [&[ulong(CKA_MODULUS_BITS, 3072)], public].concat();
        let private = [&[flag(CKA_TOKEN, true)], private].concat();
        key_pair(RsaPair, &template(&public), &template(&private)).map_err(|error| error.rv())
    }

    const SIGNS: Usage = Usage { sign: true, decrypt: false, unwrap: false, derive: false };

    #[test]
    fn what_is_not_asked_for_is_usual() {
        let wish = rsa_with(&[], &[]).unwrap();
        assert_eq!(wish.spec, KeySpec::Rsa { bits: 3072 });
        assert_eq!(wish.usage, Usage { decrypt: true, ..SIGNS });
        assert_eq!((wish.label, wish.id), (None, None));
        let Protection { sensitive, extractable, modifiable, destroyable, .. } = wish.protection;
        assert_eq!((sensitive, extractable, modifiable, destroyable), (true, false, true, true));
    }

    #[test]
    fn one_use_that_is_asked_for_is_the_only_one() {
        assert_eq!(rsa_with(&[], &[flag(CKA_SIGN, true)]).unwrap().usage, SIGNS);
        assert_eq!(rsa_with(&[flag(CKA_VERIFY, true)], &[]).unwrap().usage, SIGNS);
        let clash = rsa_with(&[flag(CKA_VERIFY, true)], &[flag(CKA_SIGN, false)]);
        assert_eq!(clash.unwrap_err(), CKR_TEMPLATE_INCONSISTENT);
    }

    #[test]
    fn both_halves_have_one_label_and_one_id() {
        let label = |text: &str| (CKA_LABEL, text.as_bytes().to_vec());
        let wish = rsa_with(&[label("k"), (CKA_ID, vec![])], &[label("k")]).unwrap();
        assert_eq!((wish.label.as_deref(), wish.id), (Some("k"), None));
        let wish = rsa_with(&[], &[label("k"), (CKA_ID, vec![7])]).unwrap();
        assert_eq!((wish.label.as_deref(), wish.id), (Some("k"), Some(vec![7])));
        assert_eq!(rsa_with(&[label("a")], &[label("b")]).unwrap_err(), CKR_TEMPLATE_INCONSISTENT);
        assert_eq!(rsa_with(&[], &[(CKA_LABEL, vec![0xff])]).unwrap_err(), CKR_ATTRIBUTE_VALUE_INVALID);
    }

    #[test]
    fn what_no_key_can_have_is_refused() {
        use super::{CKR_ATTRIBUTE_READ_ONLY as READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID as TYPE};
        use super::{CKR_ATTRIBUTE_VALUE_INVALID as VALUE, CKR_TEMPLATE_INCONSISTENT as INCONSISTENT};
        for (public, private, rv) in [
            (None, Some(flag(CKA_TOKEN, false)), INCONSISTENT),
            (Some(flag(CKA_PRIVATE, true)), None, INCONSISTENT),
            (None, Some(flag(CKA_ALWAYS_AUTHENTICATE, true)), INCONSISTENT),
            (None, Some(flag(CKA_SIGN_RECOVER, true)), INCONSISTENT),
            (Some(flag(CKA_TRUSTED, true)), None, INCONSISTENT),
            (Some(ulong(CKA_CLASS, CKO_PRIVATE_KEY)), None, INCONSISTENT),
            (None, Some(ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET)), INCONSISTENT),
            (None, Some((CKA_SUBJECT, vec![0x30, 0])), VALUE),
            (None, Some((CKA_SIGN, vec![2])), VALUE),
            (Some((CKA_MODIFIABLE, vec![])), None, VALUE),
            (Some((CKA_PUBLIC_EXPONENT, vec![3])), None, VALUE),
            (Some((CKA_MODULUS_BITS, vec![8])), None, INCONSISTENT),
            (None, Some(flag(CKA_LOCAL, true)), READ_ONLY),
            (None, Some(flag(CKA_NEVER_EXTRACTABLE, true)), READ_ONLY),
            (Some((CKA_MODULUS, vec![1])), None, TYPE),
            (Some((CKA_EC_PARAMS, vec![1])), None, TYPE),
            (None, Some(ulong(CKA_VALUE_LEN, 32)), TYPE),
        ] {
            let text = format!("{public:?} {private:?}");
            assert_eq!(rsa_with(public.as_slice(), private.as_slice()).unwrap_err(), rv, "{text}");
        }
    }

    #[test]
    fn what_every_key_has_may_be_said() {
        let public = [
            ulong(CKA_CLASS, CKO_PUBLIC_KEY),
            ulong(CKA_KEY_TYPE, CKK_RSA),
            (CKA_PUBLIC_EXPONENT, vec![0, 1, 0, 1]),
            flag(CKA_PRIVATE, false),
            flag(CKA_VERIFY_RECOVER, false),
        ];
        let private = [flag(CKA_PRIVATE, false), flag(CKA_EXTRACTABLE, true), (CKA_START_DATE, vec![])];
        assert!(rsa_with(&public, &private).unwrap().protection.extractable);
    }

    #[test]
    fn curves_are_named() {
        let on = |generator, params: &[u8]| {
            let public = template(&[(CKA_EC_PARAMS, params.to_vec())]);
            let wish = key_pair(generator, &public, &template(&[flag(CKA_TOKEN, true)]));
            wish.map(|wish| wish.spec).map_err(|error| error.rv())
        };
        let p384 = Curve::SECP384R1;
        assert_eq!(on(EcPair, p384.oid_der()), Ok(KeySpec::Ec(p384)));
        assert_eq!(on(EcPair, b"\x13\x09secp384r1"), Ok(KeySpec::Ec(p384)));
        assert_eq!(on(EcPair, &[6, 3, 0x2b, 0x65, 0x70]), Err(CKR_CURVE_NOT_SUPPORTED));
        assert_eq!(on(EcPair, &[6, 3, 0x2b]), Err(CKR_DOMAIN_PARAMS_INVALID));
        assert_eq!(on(EdwardsPair, &[6, 3, 0x2b, 0x65, 0x70]), Ok(KeySpec::Ed25519));
        assert_eq!(on(EdwardsPair, b"\x13\x0cedwards25519"), Ok(KeySpec::Ed25519));
        assert_eq!(on(EdwardsPair, &[6, 3, 0x2b, 0x65, 0x71]), Err(CKR_CURVE_NOT_SUPPORTED));
        let none = key_pair(EcPair, &template(&[]), &template(&[flag(CKA_TOKEN, true)]));
        assert_eq!(none.unwrap_err().rv(), CKR_TEMPLATE_INCOMPLETE);
    }

    #[test]
    fn secret_keys_have_a_length_or_a_hash() {
        let token = flag(CKA_TOKEN, true);
        let make = |generator, attributes: &[Pair]| {
            secret_key(generator, &template(attributes)).map_err(|error| error.rv())
        };
        let aes = make(Aes, &[token.clone(), ulong(CKA_VALUE_LEN, 32)]).unwrap();
        assert_eq!(aes.spec, KeySpec::Aes { bytes: 32 });
        assert_eq!(aes.usage, Usage { decrypt: true, sign: false, ..SIGNS });
        assert_eq!(make(Aes, std::slice::from_ref(&token)).unwrap_err(), CKR_TEMPLATE_INCOMPLETE);
        let hmac = make(Hmac, &[token.clone(), ulong(CKA_KEY_TYPE, CKK_SHA256_HMAC)]).unwrap();
        assert_eq!(hmac.spec, KeySpec::Hmac { hash: Hash::Sha256, bytes: None });
        assert_eq!(hmac.usage, SIGNS);
        let generic = make(Hmac, &[token.clone(), ulong(CKA_KEY_TYPE, CKK_GENERIC_SECRET)]);
        assert_eq!(generic.unwrap_err(), CKR_TEMPLATE_INCONSISTENT);
        assert_eq!(make(Hmac, &[token]).unwrap_err(), CKR_TEMPLATE_INCOMPLETE);
    }
}
