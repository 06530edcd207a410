//! The `[[slot]]` of the module's configuration, and the description of the calls that it names.

use super::accounts::{OPERATOR, OPERATOR_KEY};
use super::settings::{Names, Scheme, Settings, TokenBody};
use super::{BASE64_FILE, SECRET_FILE};
use crate::files::{Directory, toml_string};

/// The description, in the emulator's directory.
pub(super) const DESCRIPTION_FILE: &str = "jwt-hmac-gateway.toml";
/// What is shipped under that name.
pub(super) const DESCRIPTION: &str = include_str!("../../../../pkcs11-test-config/jwt-hmac-gateway.toml");

pub(super) fn slot(settings: &Settings, directory: &Directory, url: &str) -> String {
    let path = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let mut slot = format!(
        "[[slot]]\nlabel = \"gateway\"\nbackend = \"declared\"\nurls = [{}]\n\n[slot.declared]\nfile = {}\n",
        toml_string(url),
        toml_string(&path(DESCRIPTION_FILE)),
    );
    if settings.tokens {
        slot.push_str(&tokens(settings));
    }
    if settings.signatures {
        let (preset, secret) = match settings.scheme {
            Scheme::V3 => ("v3.0", SECRET_FILE),
            Scheme::Amx => ("amx", BASE64_FILE),
            Scheme::Hawk => ("hawk", SECRET_FILE),
            Scheme::TsBody => ("ts.body", SECRET_FILE),
        };
        slot.push_str(&format!(
            "\n[slot.auth.hmac]\npreset = \"{preset}\"\nkey_id = \"{OPERATOR_KEY}\"\nsecret = {}\nsign_token_calls = {}\n",
            toml_string(&format!("file:{}", path(secret))),
            settings.sign_token_calls,
        ));
    }
    slot
}

/// The account, whose password is the PIN, and the calls that give tokens for it.
fn tokens(settings: &Settings) -> String {
    let body = match settings.token_body {
        TokenBody::Form => "form",
        TokenBody::Json => "json",
    };
    let [grant, user, password] = match settings.token_names {
        Names::Pascal => ["Grant_Type", "Username", "Password"],
        _ => ["grant_type", "username", "password"],
    };
    // Where the signature is in Authorization, the token is elsewhere.
    let header = match settings.scheme {
        Scheme::Amx | Scheme::Hawk if settings.signatures => "header = \"X-Authorization\"\n",
        _ => "",
    };
    format!(
        "\n[slot.auth]\nuser = \"{OPERATOR}\"\npassword = \"pin\"\n\n[slot.auth.token]\nlogin = \"/token\"\n\
         body = \"{body}\"\n\
         fields = [\"{grant}=password\", \"{user}={{user}}\", \"{password}={{password}}\"]\n\
         refresh = \"/api/Auth/RefreshToken\"\n\
         refresh_fields = [\"AccessToken={{access}}\", \"RefreshToken={{refresh}}\"]\n{header}"
    )
}
