//! `p11rest sign` and `p11rest verify`

use std::path::PathBuf;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::{Session, UserType};

use super::encoding::{self, Format, ecdsa_from_der, ecdsa_to_der};
use super::key::{self, Key};
use super::mechanism::Scheme;
use super::pin;
use crate::failure::Failure;
use crate::refusal::pkcs11_failure;
use crate::report::line;

/// What `p11rest sign` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  A file, so that OpenSSL can verify it:
    p11rest sign --key rsa-2048 --in file --out file.sig
    p11rest sign --key ec-p256 --der --in file --out file.sig
  With the PIN from a file, by another mechanism, as text:
    p11rest sign --key rsa-2048 --mechanism CKM_SHA384_RSA_PKCS_PSS --pin-file pin --in file
  A digest:
    openssl dgst -sha256 -binary file | p11rest sign --key ec-p256 --mechanism CKM_ECDSA")]
pub struct SignArgs {
    #[command(flatten)]
    key: key::Args,
    #[command(flatten)]
    how: How,
    /// Where to write the signature; else standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to write it; else raw into a file, and base64 to standard output.
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<Format>,
    /// The file whose first line is the password that the key has for itself; else $P11REST_KEY_PIN; else it is asked for.
    #[arg(long, value_name = "FILE")]
    key_pin_file: Option<PathBuf>,
    #[command(flatten)]
    token: super::Args,
}

/// What `p11rest verify` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  The module says whether the signature is right, with the public key that it shows:
    p11rest verify --key rsa-2048 --in file --signature file.sig
  A signature that OpenSSL made:
    p11rest verify --key ec-p256 --der --in file --signature file.sig

Exit status: 0 the signature is right, 1 it is not, or could not be looked at.")]
pub struct VerifyArgs {
    #[command(flatten)]
    key: key::Args,
    #[command(flatten)]
    how: How,
    /// The file with the signature.
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    /// How it is written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "raw")]
    format: Format,
    #[command(flatten)]
    token: super::Args,
}

/// What both take.
#[derive(clap::Args)]
#[group(skip)]
struct How {
    /// The mechanism, as the standard or pkcs11-tool names it; else the usual one of the key, with SHA-256.
    #[arg(long, value_name = "NAME", value_parser = Scheme::named)]
    mechanism: Option<Scheme>,
    /// The data; else standard input.
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// ECDSA signatures in DER, as OpenSSL has them; else r and s, as PKCS#11 has them.
    #[arg(long)]
    der: bool,
}

impl How {
    fn scheme(&self, key: &Key) -> Result<Scheme, Failure> {
        let scheme = self.mechanism.map_or_else(|| Scheme::usual(key.kind), Ok)?;
        match self.der && !scheme.is_ecdsa() {
            true => Err(Failure::new(format_args!("--der is for ECDSA, not for {}", scheme.name))),
            false => Ok(scheme),
        }
    }
}

/// Runs `p11rest sign`.
pub fn sign(args: &SignArgs) -> Result<(), Failure> {
    let token = args.token.open()?;
    let key = args.key.find(&token.session, &[ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY])?;
    let scheme = args.how.scheme(&key)?;
    let data = encoding::read(args.how.input.as_deref())?;
    let mechanism = scheme.mechanism(&data)?;
    let signature = match key.has_password {
        false => token.session.sign(&mechanism, key.handle, &data),
        true => {
            let password = pin::Source::of_key(args.key_pin_file.as_deref(), &key.described);
            sign_with_password(&token.session, &mechanism, &key, &data, &password)?
        }
    };
    let signature = signature.map_err(|error| match error {
        Error::Pkcs11(RvError::UserNotLoggedIn, _) if key.has_password => {
            pkcs11_failure(error).remedy("the password of the key may be wrong")
        }
        error => token.refused(error, mechanism.mechanism_type()),
    })?;
    let signature = if args.how.der { ecdsa_to_der(&signature)? } else { signature };
    eprintln!("signed by {} with {}", key.described, scheme.name);
    encoding::write(args.out.as_deref(), args.format, &signature)
}

/// A key with a password wants it between `C_SignInit` and the data (`CKU_CONTEXT_SPECIFIC`).
fn sign_with_password(
    session: &Session,
    mechanism: &Mechanism<'_>,
    key: &Key,
    data: &[u8],
    password: &pin::Source<'_>,
) -> Result<Result<Vec<u8>, Error>, Failure> {
    let password = password.read()?;
    let signed = session
        .sign_init(mechanism, key.handle)
        .and_then(|()| session.login(UserType::ContextSpecific, Some(&password)))
        .and_then(|()| session.sign_update(data))
        .and_then(|()| session.sign_final());
    Ok(signed)
}

/// Runs `p11rest verify`.
pub fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let token = args.token.open()?;
    let key = args.key.find(&token.session, &[ObjectClass::PUBLIC_KEY, ObjectClass::SECRET_KEY])?;
    let scheme = args.how.scheme(&key)?;
    let data = encoding::read(args.how.input.as_deref())?;
    let mechanism = scheme.mechanism(&data)?;
    let signature = signature(args, &token.session, &key)?;
    match token.session.verify(&mechanism, key.handle, &data, &signature) {
        Ok(()) => {
            line(format_args!("verified: by {} with {}", key.described, scheme.name));
            Ok(())
        }
        Err(Error::Pkcs11(RvError::SignatureInvalid | RvError::SignatureLenRange, _)) => {
            Err(not_right(&key, scheme))
        }
        Err(error) => Err(token.refused(error, mechanism.mechanism_type())),
    }
}

fn not_right(key: &Key, scheme: Scheme) -> Failure {
    Failure::new(format_args!(
        "the signature is not one of these data by {} with {}",
        key.described, scheme.name
    ))
}

/// The signature as PKCS#11 has it.
fn signature(args: &VerifyArgs, session: &Session, key: &Key) -> Result<Vec<u8>, Failure> {
    let path = args.signature.display();
    let written = encoding::read(Some(&args.signature))?;
    let signature = args.format.decode(written).map_err(Failure::in_context(path))?;
    if !args.how.der {
        return Ok(signature);
    }
    let found = session.get_attributes(key.handle, &[AttributeType::EcPoint]).map_err(pkcs11_failure)?;
    let Some(Attribute::EcPoint(point)) = found.into_iter().next() else {
        return Err(Failure::new(format_args!("{} has no CKA_EC_POINT", key.described)));
    };
    ecdsa_from_der(&signature, coordinate_size(&point)).ok_or_else(|| {
        Failure::new(format_args!("{}: not an ECDSA signature in DER", args.signature.display()))
    })
}

/// The bytes of a coordinate, of the OCTET STRING with an uncompressed point: 4, x, y.
fn coordinate_size(point: &[u8]) -> usize {
    // Tag and length take two bytes, three from 128 on: P-521 has 133.
    let head = if point.len() > 129 { 3 } else { 2 };
    point.len().saturating_sub(head + 1) / 2
}
