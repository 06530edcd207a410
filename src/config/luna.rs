//! `[slot.luna]`: what only Thales Luna is told.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use super::problem::{Fault, Problem};
use super::read::{Section, word};
use super::slot::existing;
use super::tls::private;

/// How long the appliance keeps a private session that nobody uses (reference section 4.1).
const IDLE: Duration = Duration::from_secs(10 * 60);

/// The settings of Thales Luna.
#[derive(Debug)]
pub struct Luna {
    /// How the appliance is told who calls.
    pub login: ApplianceLogin,
    /// The account of the appliance.
    pub user: String,
    /// Its password; `None` with a certificate alone.
    pub password: Option<Secret>,
    /// Whether calls on a private session carry the password besides the cookie.
    pub send_basic: bool,
    /// Id, name or label of the partition; `None`: the only one.
    pub partition: Option<String>,
    /// The role of the user.
    pub role: Role,
    /// Whether the security officer of the partition may log in.
    pub so: bool,
    /// Whether a password is tried when one wrong one more locks the role.
    pub final_try: bool,
    /// The number of the PIN entry device, `0` for the local one; `None`: roles have passwords.
    pub ped: Option<u32>,
    /// The version of the API; `None`: the newest.
    pub api_version: Option<u32>,
    /// How long the appliance keeps a private session that nobody uses.
    pub session_idle: Duration,
    /// Whether the PIN is kept to log in again where the appliance ended the session.
    pub keep_pin: bool,
    /// The call that changes a password; `None`: none is made.
    pub set_pin: Option<SetPin>,
}

/// How the appliance is told who calls.
#[derive(Debug)]
pub enum ApplianceLogin {
    /// The password, with each call that has no session of its own.
    Basic,
    /// A token for the password.
    Jwt,
    /// The answer to a challenge.
    Certificate {
        /// The certificate that was enrolled, PEM.
        certificate: PathBuf,
        /// Its RSA key, PEM.
        key: PathBuf,
        /// What asks for the challenge.
        shows: Shows,
    },
}

/// What asks for a challenge: the sources disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The certificate.
    Certificate,
    /// Its public key.
    PublicKey,
}

/// A role of a partition that is a user of PKCS#11.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `co`
    CryptoOfficer,
    /// `cu`
    CryptoUser,
}

/// The two calls that change the password of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetPin {
    /// `PATCH …/roles/{role}`
    Patch,
    /// `PUT …/roles/{role}/password`
    Put,
}

impl Luna {
    /// The id of the partition, if the configuration names it by that.
    pub(super) fn partition_id(&self) -> Option<&str> {
        // Ids have 7 to 17 digits (reference section 8).
        let is_id =
            |name: &&str| (7..=17).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_digit());
        self.partition.as_deref().filter(is_id)
    }
}

/// Reads them.
pub(super) fn read(section: &Section<'_>) -> Result<Luna, Problem> {
    let user = section.text("user", |_, text| match text {
        "" => Err(Fault::new("is empty", "write the name of an account of the appliance")),
        _ if text.contains(':') => Err(Fault::new("has a colon", "write a name without one")),
        _ => Ok(text.to_owned()),
    })?;
    let user = section.required("user", user, "write user = \"an account of the appliance\"")?;
    let password = section.text("password", |place, text| Secret::parse(place, text, section.source()))?;
    let login = login(section)?;
    if password.is_none() && !matches!(login, ApplianceLogin::Certificate { .. }) {
        section.required(
            "password",
            password.as_ref(),
            "write password = \"file:/path\", or log in by certificate",
        )?;
    }
    let role = section
        .text("role", |_, text| word(text, &[("co", Role::CryptoOfficer), ("cu", Role::CryptoUser)]))?;
    let set_pin =
        section.text("set_pin", |_, text| word(text, &[("patch", SetPin::Patch), ("put", SetPin::Put)]))?;
    Ok(Luna {
        login,
        user,
        password,
        send_basic: section.boolean("send_basic")?.unwrap_or(false),
        partition: section.text("partition", |_, text| match text {
            "" => Err(Fault::new("is empty", "write the id, the name or the label of a partition")),
            _ => Ok(text.to_owned()),
        })?,
        role: role.unwrap_or(Role::CryptoOfficer),
        so: section.boolean("so")?.unwrap_or(false),
        final_try: section.boolean("final_try")?.unwrap_or(false),
        ped: section.count("ped", 0, 9999)?.and_then(|number| u32::try_from(number).ok()),
        api_version: section.count("api_version", 1, 999)?.and_then(|number| u32::try_from(number).ok()),
        session_idle: section.duration("session_idle", Duration::from_secs(1))?.unwrap_or(IDLE),
        keep_pin: section.boolean("keep_pin")?.unwrap_or(false),
        set_pin,
    })
}

fn login(section: &Section<'_>) -> Result<ApplianceLogin, Problem> {
    let source = section.source();
    let kind = section.text("login", |_, text| {
        word(text, &[("basic", "basic"), ("jwt", "jwt"), ("certificate", "certificate")])
    })?;
    let certificate = section.text("certificate", |place, text| existing(source.path(place, text)?))?;
    let key = section.text("key", |place, text| private(existing(source.path(place, text)?)?))?;
    let shows = section.text("challenge", |_, text| {
        word(text, &[("certificate", Shows::Certificate), ("public_key", Shows::PublicKey)])
    })?;
    if kind == Some("certificate") {
        return Ok(ApplianceLogin::Certificate {
            certificate: section.required(
                "certificate",
                certificate,
                "write certificate = \"/path/client.pem\"",
            )?,
            key: section.required("key", key, "write key = \"/path/client.key\"")?,
            shows: shows.unwrap_or(Shows::Certificate),
        });
    }
    let given =
        [("certificate", certificate.is_some()), ("key", key.is_some()), ("challenge", shows.is_some())];
    if let Some((name, _)) = given.into_iter().find(|(_, given)| *given) {
        let fault =
            Fault::new("is for a login by certificate", "take it out, or write login = \"certificate\"");
        return Err(section.problem(name, fault));
    }
    Ok(if kind == Some("jwt") { ApplianceLogin::Jwt } else { ApplianceLogin::Basic })
}
