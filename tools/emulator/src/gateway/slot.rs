//! The `[[slot]]` of the module's configuration, and the description of the calls that it names.

use super::accounts::{OPERATOR, OPERATOR_KEY};
use super::settings::{Names, Scheme, Settings, TokenBody};
use super::{BASE64_FILE, SECRET_FILE, schemes};
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
        // What the scheme wants besides.
        let (secret, more) = match settings.scheme {
            Scheme::Acquia2 => (BASE64_FILE, "parameters = [\"realm=p11rest\"]\n"),
            Scheme::SigV4 => (SECRET_FILE, "parameters = [\"region=here\", \"service=keys\"]\n"),
            Scheme::Amx | Scheme::Azure | Scheme::Rfc9421 => (BASE64_FILE, ""),
            Scheme::V3 | Scheme::BitGo3 | Scheme::Hawk | Scheme::TsBody | Scheme::MethodPathBody => {
                (SECRET_FILE, "")
            }
        };
        slot.push_str(&format!(
            "\n[slot.auth.hmac]\npreset = \"{}\"\nkey_id = \"{OPERATOR_KEY}\"\nsecret = {}\nsign_token_calls = {}\n{more}",
            settings.scheme.preset(),
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
    let taken = settings.signatures && schemes::takes_authorization(settings.scheme);
    let header = if taken { "header = \"X-Authorization\"\n" } else { "" };
    format!(
        "\n[slot.auth]\nuser = \"{OPERATOR}\"\npassword = \"pin\"\n\n[slot.auth.token]\nlogin = \"/token\"\n\
         body = \"{body}\"\n\
         fields = [\"{grant}=password\", \"{user}={{user}}\", \"{password}={{password}}\"]\n\
         refresh = \"/api/Auth/RefreshToken\"\n\
         refresh_fields = [\"AccessToken={{access}}\", \"RefreshToken={{refresh}}\"]\n{header}"
    )
}
