//! The demo's PKCS#11 application: it knows the module's path and the PIN, and nothing of the HSM.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use cryptoki::context::Pkcs11;
use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use p11rest_emulator::PIN;

use crate::by_hand::{self, Restart};
use crate::failure::Failure;
use crate::library;
use crate::refusal::pkcs11_failure;
use crate::report::{self, Elapsed, Steps, detail};
use crate::scheme::Scheme;
use crate::token::encoding::hex;
use crate::token::export::public_key_pem;
use crate::token::key;
use crate::{demo, openssl};

/// The hidden command behind which it is.
pub const COMMAND: &str = "demo-application";

/// What the demo tells it. The configuration comes in `P11REST_CONFIG`, as to any application.
#[derive(clap::Args)]
pub struct Args {
    /// The module, absolute.
    #[arg(long)]
    pub module: PathBuf,
    /// Where signatures and public keys go, absolute.
    #[arg(long)]
    pub dir: PathBuf,
    /// The file to sign, absolute.
    #[arg(long)]
    pub file: PathBuf,
    /// The emulator's port, to tell how to start it again.
    #[arg(long)]
    pub port: u16,
    /// Whether the emulator speaks HTTPS.
    #[arg(long)]
    pub tls: bool,
}

/// A signature that was made, and what it takes to verify it.
pub struct Signed {
    /// The key's `CKA_LABEL`.
    pub label: &'static str,
    /// The key's `CKA_ID` in hexadecimal.
    pub id: String,
    /// How it was made.
    pub scheme: Scheme,
    /// The file with the public key, PEM.
    pub public_key: PathBuf,
    /// The file with the signature.
    pub signature: PathBuf,
}

/// The keys of every emulator with which the demo signs.
const SIGNERS: [(&str, Scheme); 2] = [("rsa-2048", Scheme::RsaPkcs1), ("ec-p256", Scheme::EcdsaP256)];

/// Loads the module, logs in, lists, signs, has OpenSSL verify, and says how to go on.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut steps = Steps::new(2, demo::STEPS);
    let pkcs11 = load(&mut steps, &args.module)?;
    let session = login(&mut steps, &pkcs11)?;
    list(&mut steps, &session)?;
    let signed = sign_all(&mut steps, &session, args)?;
    session.logout().map_err(pkcs11_failure)?;
    drop(session);
    pkcs11.finalize().map_err(pkcs11_failure)?;
    verify_all(&mut steps, &signed, &args.file)?;
    say_how_to_go_on(args, &signed)
}

fn load(steps: &mut Steps, module: &Path) -> Result<Pkcs11, Failure> {
    let step = steps.begin("Load the module with dlopen");
    let pkcs11 = library::load(module)?;
    let info = pkcs11.get_library_info().map_err(pkcs11_failure)?;
    step.done();
    detail(module.display());
    detail(format_args!(
        "{} {}, PKCS#11 {}",
        info.library_description(),
        info.library_version(),
        info.cryptoki_version()
    ));
    Ok(pkcs11)
}

fn login(steps: &mut Steps, pkcs11: &Pkcs11) -> Result<Session, Failure> {
    let step = steps.begin(format_args!("Log in with PIN {PIN}"));
    let slots = pkcs11.get_slots_with_token().map_err(pkcs11_failure)?;
    let Some(slot) = slots.first().copied() else {
        return Err(Failure::new("the module shows no token"));
    };
    let session = open(pkcs11, slot).map_err(pkcs11_failure)?;
    let token = pkcs11.get_token_info(slot).map_err(pkcs11_failure)?;
    step.done();
    detail(format_args!("slot {}: token {:?}, {}", slot.id(), token.label(), token.manufacturer_id()));
    Ok(session)
}

fn open(pkcs11: &Pkcs11, slot: Slot) -> Result<Session, Error> {
    let session = pkcs11.open_ro_session(slot)?;
    session.login(UserType::User, Some(&AuthPin::from(PIN)))?;
    Ok(session)
}

fn list(steps: &mut Steps, session: &Session) -> Result<(), Failure> {
    let step = steps.begin("List the objects");
    let objects = session.find_objects(&[]).map_err(pkcs11_failure)?;
    let mut rows = vec![key::COLUMNS.map(str::to_owned)];
    for object in &objects {
        rows.push(key::row(session, *object).map_err(pkcs11_failure)?);
    }
    step.done();
    report::columns(&rows).iter().for_each(detail);
    Ok(())
}

fn sign_all(steps: &mut Steps, session: &Session, args: &Args) -> Result<Vec<Signed>, Failure> {
    let data = fs::read(&args.file).map_err(Failure::in_context(args.file.display()))?;
    let step = steps.begin(format_args!("Sign {} ({} bytes)", args.file.display(), data.len()));
    let mut signed = Vec::new();
    let mut details = Vec::new();
    for (label, scheme) in SIGNERS {
        let started = Instant::now();
        signed.push(sign(session, label, scheme, &data, &args.dir)?);
        details.push(format!("{label} by {}: {}", scheme.name(), Elapsed(started.elapsed())));
    }
    step.done();
    details.iter().for_each(detail);
    detail(format_args!("signatures (.sig) and public keys (.pub.pem) are in {}", args.dir.display()));
    Ok(signed)
}

/// Signs, and leaves signature and public key in `dir`.
fn sign(
    session: &Session,
    label: &'static str,
    scheme: Scheme,
    data: &[u8],
    dir: &Path,
) -> Result<Signed, Failure> {
    let private_key = find(session, ObjectClass::PRIVATE_KEY, label, scheme)?;
    let id = attribute(session, private_key, AttributeType::Id)?;
    let raw = session.sign(&scheme.mechanism(), private_key, data).map_err(pkcs11_failure)?;
    let signature = dir.join(format!("{label}.sig"));
    write(&signature, &scheme.for_openssl(raw)?)?;

    let public_key = find(session, ObjectClass::PUBLIC_KEY, label, scheme)?;
    let pem = public_key_pem(session, public_key)?;
    let public_key = dir.join(format!("{label}.pub.pem"));
    write(&public_key, pem.as_bytes())?;
    Ok(Signed { label, id: hex(&id), scheme, public_key, signature })
}

fn find(session: &Session, class: ObjectClass, label: &str, scheme: Scheme) -> Result<ObjectHandle, Failure> {
    let template =
        [Attribute::Class(class), Attribute::KeyType(scheme.key_type()), Attribute::Label(label.into())];
    let found = session.find_objects(&template).map_err(pkcs11_failure)?;
    match found[..] {
        [object] => Ok(object),
        _ => Err(Failure::new(format_args!("{} objects {class} with label {label:?}, not one", found.len()))),
    }
}

fn attribute(session: &Session, object: ObjectHandle, kind: AttributeType) -> Result<Vec<u8>, Failure> {
    let found = session.get_attributes(object, &[kind]).map_err(pkcs11_failure)?;
    match found.into_iter().next() {
        Some(Attribute::Id(value)) => Ok(value),
        _ => Err(Failure::new(format_args!("the key has no {kind}"))),
    }
}

fn verify_all(steps: &mut Steps, signed: &[Signed], file: &Path) -> Result<(), Failure> {
    let step = steps.begin("Verify with OpenSSL");
    let mut verdicts = Vec::new();
    for signed in signed {
        let verdict = openssl::verify(&signed.public_key, &signed.signature, file)?;
        verdicts.push(format!("{}: {verdict}", signed.label));
    }
    step.done();
    verdicts.iter().for_each(detail);
    Ok(())
}

fn say_how_to_go_on(args: &Args, signed: &[Signed]) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(Failure::in_context("path of this program"))?;
    let restart = Restart { dir: &args.dir, port: args.port, tls: args.tls };
    report::line(format_args!(
        "\nThe emulator ends with the demo. To do it again by hand (pkcs11-tool: Debian package {}):\n",
        by_hand::PKCS11_TOOL_PACKAGE
    ));
    for command in by_hand::again(&program, &restart, &args.module, &args.file, signed) {
        report::line(format_args!("    {command}"));
    }
    Ok(())
}

fn write(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    fs::write(path, contents).map_err(Failure::in_context(path.display()))
}
