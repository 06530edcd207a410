//! `p11rest generate` and `p11rest delete`

use clap::ValueEnum;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};

use super::key;
use crate::failure::Failure;
use crate::report::line;

/// What `p11rest generate` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  A pair on P-256, whose private key never leaves the HSM:
    p11rest generate --key payments-2027 --type ec-p256
    p11rest public-key --key payments-2027 --out payments-2027.pem")]
pub struct GenerateArgs {
    /// The label of the new key.
    #[arg(long = "key", value_name = "LABEL")]
    label: String,
    /// What it is.
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    kind: Kind,
    #[command(flatten)]
    token: super::Args,
}

/// What `p11rest delete` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  A pair that nobody needs, with its public key and certificate:
    p11rest delete --key test --for-ever")]
pub struct DeleteArgs {
    #[command(flatten)]
    key: key::Args,
    /// Says that you know: nobody can bring the key back, and what is encrypted for it is lost.
    #[arg(long, required = true)]
    for_ever: bool,
    #[command(flatten)]
    token: super::Args,
}

/// Kinds of keys that HSMs make.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    #[value(name = "ec-p256")]
    P256,
    #[value(name = "ec-p384")]
    P384,
    #[value(name = "ec-p521")]
    P521,
    #[value(name = "ed25519")]
    Ed25519,
    #[value(name = "aes-128")]
    Aes128,
    #[value(name = "aes-256")]
    Aes256,
}

/// 1.2.840.10045.3.1.7
const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// 1.3.132.0.34
const P384: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 34];
/// 1.3.132.0.35
const P521: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 35];
/// The curveName of PKCS#11 3.2 §6.3.3, a PrintableString.
const ED25519: &[u8] = b"\x13\x0cedwards25519";

impl Kind {
    /// The mechanism, and what says the size: of the public key, or of the secret one.
    fn made_by(self) -> (Mechanism<'static>, Attribute) {
        let rsa = |bits: u64| (Mechanism::RsaPkcsKeyPairGen, Attribute::ModulusBits(bits.into()));
        let ec = |curve: &[u8]| (Mechanism::EccKeyPairGen, Attribute::EcParams(curve.to_vec()));
        let aes = |bytes: u64| (Mechanism::AesKeyGen, Attribute::ValueLen(bytes.into()));
        match self {
            Kind::Rsa2048 => rsa(2048),
            Kind::Rsa3072 => rsa(3072),
            Kind::Rsa4096 => rsa(4096),
            Kind::P256 => ec(P256),
            Kind::P384 => ec(P384),
            Kind::P521 => ec(P521),
            Kind::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, Attribute::EcParams(ED25519.to_vec())),
            Kind::Aes128 => aes(16),
            Kind::Aes256 => aes(32),
        }
    }

    fn is_secret(self) -> bool {
        matches!(self, Kind::Aes128 | Kind::Aes256)
    }
}

/// Runs `p11rest generate`.
pub fn generate(args: &GenerateArgs) -> Result<(), Failure> {
    let token = args.token.open_to_write()?;
    let (mechanism, size) = args.kind.made_by();
    let there = || [Attribute::Token(true), Attribute::Label(args.label.as_str().into())];
    let private: Vec<_> = there().into_iter().chain([Attribute::Private(true)]).collect();
    let sized = |template: Vec<Attribute>| template.into_iter().chain([size.clone()]).collect::<Vec<_>>();
    let made = match args.kind.is_secret() {
        true => token.session.generate_key(&mechanism, &sized(private)),
        false => {
            let public = sized(there().to_vec());
            token.session.generate_key_pair(&mechanism, &public, &private).map(|(_, private)| private)
        }
    };
    let made = made.map_err(|error| token.refused(error, mechanism.mechanism_type()))?;
    line(format_args!("made: {}", key::describe(&token.session, made)?.described));
    Ok(())
}

/// Runs `p11rest delete`.
pub fn delete(args: &DeleteArgs) -> Result<(), Failure> {
    let token = args.token.open_to_write()?;
    let key = args.key.find(&token.session, &[ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY])?;
    token.session.destroy_object(key.handle).map_err(crate::refusal::pkcs11_failure)?;
    line(format_args!("deleted: {}", key.described));
    Ok(())
}
