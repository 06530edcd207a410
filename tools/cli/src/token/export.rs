//! `p11rest public-key`

use std::path::PathBuf;

use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use der::pem::LineEnding;

use super::encoding::{self, Format};
use super::key;
use crate::failure::Failure;
use crate::refusal::pkcs11_failure;

/// What `p11rest public-key` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  Let OpenSSL verify what the HSM signed:
    p11rest public-key --key rsa-2048 --out rsa-2048.pem
    openssl dgst -sha256 -verify rsa-2048.pem -signature file.sig file")]
pub struct Args {
    #[command(flatten)]
    key: key::Args,
    /// Where to write it; else standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    token: super::Args,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let token = args.token.open()?;
    let key = args.key.find(&token.session, &[ObjectClass::PUBLIC_KEY])?;
    let pem = public_key_pem(&token.session, key.handle)?;
    encoding::write(args.out.as_deref(), Some(Format::Raw), pem.as_bytes())
}

/// The SubjectPublicKeyInfo of a key in PEM.
pub fn public_key_pem(session: &Session, key: ObjectHandle) -> Result<String, Failure> {
    let found = session.get_attributes(key, &[AttributeType::PublicKeyInfo]).map_err(pkcs11_failure)?;
    let Some(Attribute::PublicKeyInfo(spki)) = found.into_iter().next() else {
        return Err(Failure::new("the key has no CKA_PUBLIC_KEY_INFO"));
    };
    der::pem::encode_string("PUBLIC KEY", LineEnding::LF, &spki)
        .map_err(Failure::in_context("CKA_PUBLIC_KEY_INFO"))
}
