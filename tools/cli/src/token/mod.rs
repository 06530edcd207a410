//! The commands that use a token through the module, as any application does.
//!
//! ```text
//! mod        which token, the session, the login
//! pin        where the PIN comes from
//! key        which key, and what is shown of an object
//! mechanism  the mechanisms that sign, by their names
//! encoding   bytes in and out: raw, base64, hexadecimal; ECDSA in DER
//! list, sign, export, random, generate: the commands
//! ```

use std::path::PathBuf;

use clap::Subcommand;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{MechanismInfo, MechanismType};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};

use crate::failure::Failure;
use crate::library;
use crate::refusal::pkcs11_failure;

pub mod encoding;
pub mod export;
mod generate;
pub mod key;
mod list;
mod mechanism;
mod pin;
mod random;
mod sign;

/// A file in a folder that this user may not enter is not there for the module, whose log is silent about that.
const NO_SLOTS: &str = "no slots: there is no configuration that this user can find, or an empty one";

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Shows slots and tokens, and the objects and mechanisms of a token.
    List(list::Args),
    /// Signs a file with a key of a token.
    Sign(sign::SignArgs),
    /// Verifies a signature with a key of a token.
    Verify(sign::VerifyArgs),
    /// Writes a public key of a token in PEM.
    PublicKey(export::Args),
    /// Draws random bytes from the HSM.
    Random(random::Args),
    /// Has the HSM make a key.
    Generate(generate::GenerateArgs),
    /// Deletes a key at the HSM.
    Delete(generate::DeleteArgs),
}

impl Command {
    /// Runs it.
    pub fn run(&self) -> Result<(), Failure> {
        let result = match self {
            Command::List(args) => list::run(args),
            Command::Sign(args) => sign::sign(args),
            Command::Verify(args) => sign::verify(args),
            Command::PublicKey(args) => export::run(args),
            Command::Random(args) => random::run(args),
            Command::Generate(args) => generate::generate(args),
            Command::Delete(args) => generate::delete(args),
        };
        result.map_err(|failure| failure.or_log(library::log_hint()))
    }
}

/// Which token, and who logs in.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "The token")]
pub struct Args {
    /// Its label; needed where there are several. "p11rest list" shows them.
    #[arg(long, value_name = "LABEL")]
    token: Option<String>,
    /// The file whose first line is the PIN; else $P11REST_PIN; else it is asked for at the terminal.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Does not log in.
    #[arg(long, conflicts_with = "pin_file")]
    no_login: bool,
    #[command(flatten)]
    module: library::Args,
}

/// A token with a session in which the user is logged in, if it has one.
pub struct Token {
    pkcs11: Pkcs11,
    slot: Slot,
    /// Its label.
    pub label: String,
    /// The session.
    pub session: Session,
}

impl Args {
    /// Opens a session that only reads.
    pub fn open(&self) -> Result<Token, Failure> {
        self.open_by(Pkcs11::open_ro_session)
    }

    /// Opens a session that makes and deletes keys.
    fn open_to_write(&self) -> Result<Token, Failure> {
        self.open_by(Pkcs11::open_rw_session)
    }

    /// The same before any login, which asks no HSM.
    fn open_without_login(&self) -> Result<Token, Failure> {
        let pkcs11 = self.module.load()?;
        let (slot, info) = self.choose(&pkcs11)?;
        let session = pkcs11.open_ro_session(slot).map_err(pkcs11_failure)?;
        Ok(Token { pkcs11, slot, label: info.label().to_owned(), session })
    }

    fn open_by(&self, open: impl Fn(&Pkcs11, Slot) -> Result<Session, Error>) -> Result<Token, Failure> {
        let pkcs11 = self.module.load()?;
        let (slot, info) = self.choose(&pkcs11)?;
        let session = open(&pkcs11, slot).map_err(pkcs11_failure)?;
        if info.login_required() && !self.no_login {
            self.login(&session, &info)?;
        }
        Ok(Token { pkcs11, slot, label: info.label().to_owned(), session })
    }

    /// The token that is named, or the only one.
    fn choose(&self, pkcs11: &Pkcs11) -> Result<(Slot, TokenInfo), Failure> {
        let mut tokens = Vec::new();
        for slot in pkcs11.get_slots_with_token().map_err(pkcs11_failure)? {
            tokens.push((slot, pkcs11.get_token_info(slot).map_err(pkcs11_failure)?));
        }
        let labels: Vec<_> = tokens.iter().map(|(_, info)| format!("{:?}", info.label())).collect();
        let those = format!("there are: {}", labels.join(", "));
        let wanted = |info: &TokenInfo| self.token.as_deref().is_none_or(|label| info.label() == label);
        tokens.retain(|(_, info)| wanted(info));
        match (tokens.pop(), &self.token) {
            (Some(token), _) if tokens.is_empty() => Ok(token),
            (_, _) if labels.is_empty() => Err(no_token(pkcs11)?),
            (Some(_), _) => Err(Failure::new("which token? Name it with --token").remedy(those)),
            (None, label) => {
                let label = label.as_deref().unwrap_or_default();
                Err(Failure::new(format_args!("there is no token {label:?}")).remedy(those))
            }
        }
    }

    fn login(&self, session: &Session, info: &TokenInfo) -> Result<(), Failure> {
        let pin = match info.protected_authentication_path() {
            true => None,
            false => Some(pin::Source::of_token(self.pin_file.as_deref(), info.label()).read()?),
        };
        session.login(UserType::User, pin.as_ref()).map_err(pkcs11_failure)
    }
}

/// Why no slot has a token.
fn no_token(pkcs11: &Pkcs11) -> Result<Failure, Failure> {
    Ok(match pkcs11.get_all_slots().map_err(pkcs11_failure)?[..] {
        [] => Failure::new(NO_SLOTS).remedy("name one with --config; p11rest init writes one"),
        _ => Failure::new("no slot has a token").in_log(),
    })
}

impl Token {
    /// What the token offers.
    pub fn mechanisms(&self) -> Result<Vec<MechanismType>, Failure> {
        self.pkcs11.get_mechanism_list(self.slot).map_err(pkcs11_failure)
    }

    /// Which of the operations of C functions a mechanism is for.
    pub fn mechanism_info(&self, mechanism: MechanismType) -> Result<MechanismInfo, Failure> {
        self.pkcs11.get_mechanism_info(self.slot, mechanism).map_err(pkcs11_failure)
    }

    /// A refusal of an operation, with what the token could do where that helps.
    pub fn refused(&self, error: Error, mechanism: MechanismType) -> Failure {
        let is_about_mechanism = matches!(error, Error::Pkcs11(RvError::MechanismInvalid, _));
        let failure = pkcs11_failure(error);
        match self.mechanisms() {
            Ok(offered) if is_about_mechanism => failure.remedy(format_args!(
                "{mechanism} cannot be used here. The token offers: {}",
                offered.iter().map(MechanismType::to_string).collect::<Vec<_>>().join(", ")
            )),
            _ => failure,
        }
    }
}
