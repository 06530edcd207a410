//! Who calls, on which session, and what that allows (sections 4.1, 4.2, 4.6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::exchange::{Exchange, Nothing};
use super::refusal::{Answer, Refusal};
use crate::vendor::Reply;

/// Whose request it is.
pub(super) struct Caller {
    pub(super) user: String,
    /// The private session, by its cookie.
    pub(super) session: Option<String>,
    /// The token, if one was shown.
    pub(super) token: Option<String>,
}

/// User and password of `Authorization: Basic` (RFC 7617).
fn basic(credentials: &str) -> Option<(String, Zeroizing<String>)> {
    let text = Zeroizing::new(STANDARD.decode(credentials.trim()).ok()?);
    let (user, password) = std::str::from_utf8(&text).ok()?.split_once(':')?;
    Some((user.to_owned(), Zeroizing::new(password.to_owned())))
}

impl Exchange<'_> {
    /// The caller, by the header, the cookie, or both: then they must be of one user.
    pub(super) fn identify(&mut self) -> Answer<Caller> {
        let session = self.state.sessions.find(self.request, self.settings);
        let owner = session.as_ref().and_then(|id| self.state.sessions.touch(id, self.now));
        let Some(authorization) = self.request.header("authorization") else {
            let shows_cookie = self.request.header("cookie").is_some();
            return match owner {
                Some((user, by_certificate)) if self.settings.cookie_alone || by_certificate => {
                    Ok(Caller { user, session, token: None })
                }
                None if shows_cookie && self.settings.lost_is_not_private => Err(Refusal::not_private()),
                _ => Err(Refusal::credentials()),
            };
        };
        let (user, token) = self.proven(authorization)?;
        match owner {
            Some((owner, _)) if owner != user => Err(Refusal::credentials()),
            _ => Ok(Caller { user, session, token }),
        }
    }

    /// The user whom `Authorization` proves, and the token.
    fn proven(&self, authorization: &str) -> Answer<(String, Option<String>)> {
        let (scheme, value) = authorization.split_once(' ').ok_or_else(Refusal::credentials)?;
        if scheme.eq_ignore_ascii_case("Bearer") {
            let user = self.state.tokens.user(value, self.now).ok_or_else(Refusal::credentials)?;
            return Ok((user, Some(value.to_owned())));
        }
        let (user, password) = Some(value)
            .filter(|_| scheme.eq_ignore_ascii_case("Basic"))
            .and_then(basic)
            .ok_or_else(Refusal::credentials)?;
        self.state.accounts.check(&user, &password)?;
        Ok((user, None))
    }

    /// The private session of a caller.
    pub(super) fn private(&self, caller: &Caller) -> Answer<String> {
        caller.session.clone().ok_or_else(Refusal::not_private)
    }

    /// Whether the role of the user has the call.
    pub(super) fn check_rights(&self, caller: &Caller) -> Answer<()> {
        let (method, path) = (self.request.method.as_str(), self.request.path.as_str());
        let own = format!("/users/{}", caller.user);
        let is_own = path.strip_prefix(&own).is_some_and(|rest| {
            ["/actions/changePassword", "/certificates", "/certificate", ""].contains(&rest)
                && method != "DELETE"
        });
        let changes_password = is_own && path.ends_with("changePassword");
        if self.state.accounts.must_change(&caller.user) && !changes_password {
            return Err(Refusal::password_unchanged());
        }
        let is_free = is_own || path.starts_with("/auth/");
        match is_free || self.state.accounts.allows(&caller.user, method, path) {
            true => Ok(()),
            false => Err(Refusal::not_allowed(self.settings)),
        }
    }

    /// `POST /auth/session`, for a password.
    pub(super) fn open_session(&mut self, caller: &Caller) -> Answer {
        let Nothing {} = self.optional_body()?;
        let shows_password = caller.token.is_none() && self.request.header("authorization").is_some();
        let token_will_do = caller.token.is_some() && self.settings.session_by_jwt;
        if !shows_password && !token_will_do {
            return Err(Refusal::credentials());
        }
        Ok(self.opened(&caller.user, false))
    }

    /// An answer that opens a private session.
    pub(super) fn opened(&mut self, user: &str, by_certificate: bool) -> Reply {
        let id = self.state.sessions.open(user, by_certificate, self.now);
        let mut reply = Reply::empty(204);
        reply.headers.extend(self.settings.cookies(&id));
        reply
    }

    /// `DELETE /auth/session`
    pub(super) fn end_session(&mut self, caller: &Caller) -> Answer {
        let session = self.private(caller)?;
        self.state.sessions.end(&session);
        Ok(Reply::empty(204))
    }
}
