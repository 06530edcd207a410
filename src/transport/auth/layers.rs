//! The layers of one slot: what `[slot.auth]` puts in front of any back end.

use std::sync::Arc;

use super::{
    ApiKey, Authenticated, Basic, BodyForm, FieldValue, RevokeCall, Signer, Token, TokenCall, TokenProfile,
    configured,
};
use crate::config;
use crate::observe::audit::Audit;
use crate::observe::log::Log;
use crate::transport::seal::Sealer;
use crate::transport::{self, Conventions, Error, Method};

/// The transport that the slot's configuration asks for, behind `slot.auth.header`, `slot.auth.basic`, `slot.auth.hmac`
/// and `slot.auth.token`, as far as they are there. A bearer token and API keys by role are for the dialect to show. Makes no
/// connection and reads no secret.
///
/// # Errors
/// Those of [`transport::open`].
pub fn open(token: &config::Token, conventions: &Conventions<'_>, log: &Log) -> Result<Authenticated, Error> {
    let auth = &token.auth;
    let signer = auth
        .hmac
        .as_ref()
        .map(|hmac| Arc::new(Signer::new(hmac, configured(&hmac.secret, "slot.auth.hmac.secret"), log)));
    let sealer = signer.as_ref().map(|signer| Arc::clone(signer) as Arc<dyn Sealer>);
    let mut service = Authenticated::new(transport::open_sealed(token, conventions, sealer)?);
    // Whose header lines they are, outermost last.
    let mut account = if auth.bearer.is_some() { "bearer" } else { "" };
    if let Some(config::HeaderKey { name, value }) = &auth.header {
        account = name;
        let credential = configured(value, "slot.auth.header.value");
        service = service.with_api_key(ApiKey { header: name.clone().into(), credential });
    }
    if let Some(config::BasicLogin { user, password }) = &auth.basic {
        account = user;
        let credential = configured(password, "slot.auth.basic.password");
        service = service.with_basic(Basic { user: user.clone(), credential });
    }
    if let Some((signer, hmac)) = signer.zip(auth.hmac.as_ref()) {
        account = &hmac.key_id;
        service = service.with_signer(signer);
    }
    let audit = |account: &str| Audit::new(log, &token.label, account);
    if let Some(login) = &auth.token {
        let user = auth.user.clone().unwrap_or_default();
        let (password, audit) = (configured(&auth.password, "slot.auth.password"), audit(&user));
        service = service.with_token(Arc::new(Token::new(
            profile(login),
            user,
            password,
            login.keep_password,
            audit,
        )));
    }
    let audit = audit(account);
    Ok(service.audited(if conventions.discreet_paths { audit.without_paths() } else { audit }))
}

/// The token calls as `[slot.auth.token]` has them.
fn profile(login: &config::TokenLogin) -> TokenProfile {
    let post = |path: &str, form: BodyForm, fields: &[(String, FieldValue)]| TokenCall {
        method: Method::Post,
        path: path.to_owned(),
        form,
        media_type: None,
        fields: fields.to_vec(),
        basic: false,
    };
    let call = TokenCall { basic: login.basic, ..post(&login.login, login.body, &login.fields) };
    let usual = TokenProfile::new(call);
    let or = |given: &Option<Vec<String>>, usual: Vec<String>| given.clone().unwrap_or(usual);
    TokenProfile {
        refresh: login.refresh.as_ref().map(|call| post(&call.path, call.body, &call.fields)),
        success: login.success.clone(),
        code: login.code.clone(),
        access: or(&login.access, usual.access),
        refresh_token: or(&login.refresh_token, usual.refresh_token),
        life: or(&login.life, usual.life),
        default_life: login.default_life,
        header: login.header.clone(),
        scheme: login.scheme,
        revoke: login.revoke.as_ref().map(|path| RevokeCall { method: Method::Delete, path: path.clone() }),
        login: usual.login,
    }
}
