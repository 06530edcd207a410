//! The resources of users and of the roles that are made for them (sections 4.5, 4.6).

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::accounts::Account;
use super::challenge::certificate;
use super::exchange::{Exchange, Nothing};
use super::refusal::{Answer, Refusal};
use super::routes::Endpoint;
use super::settings::EnrolPath;
use crate::vendor::Reply;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewUser {
    user_id: String,
    full_name: String,
    email: String,
    role: String,
    password: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewPassword {
    current_password: Zeroizing<String>,
    password: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCertificate {
    certificate: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewRole {
    role_id: String,
    #[expect(dead_code, reason = "taken and not looked at")]
    full_name: String,
}

impl Exchange<'_> {
    pub(super) fn users(&self) -> Answer {
        let users = self.state.accounts.users.keys();
        let items = users.map(|user| json!({ "userId": user, "url": format!("/users/{user}") }));
        self.listing("users", items.collect())
    }

    pub(super) fn user(&mut self) -> Answer {
        let user = self.parameter(0).to_owned();
        let account = self.state.accounts.get_mut(&user)?;
        Ok(Reply::json(
            200,
            &json!({
                "userId": user, "fullName": account.full_name, "email": account.email,
                "role": account.role, "enabled": account.enabled,
            }),
        ))
    }

    /// A user whose password must be changed before anything else.
    pub(super) fn create_user(&mut self) -> Answer {
        let NewUser { user_id, full_name, email, role, password } = self.body()?;
        let accounts = &mut self.state.accounts;
        if user_id.is_empty() || user_id.contains([':', '/']) || password.is_empty() {
            return Err(Refusal::bad("The user has no name or no password."));
        }
        if !accounts.has_role(&role) {
            return Err(Refusal::bad(format_args!("There is no role {role:?}.")));
        }
        if accounts.users.contains_key(&user_id) {
            return Err(Refusal::exists(&user_id));
        }
        let account = Account {
            password,
            full_name,
            email,
            role,
            enabled: true,
            must_change: true,
            certificates: Vec::new(),
        };
        accounts.users.insert(user_id, account);
        Ok(Reply::empty(204))
    }

    pub(super) fn delete_user(&mut self) -> Answer {
        let user = self.parameter(0).to_owned();
        let removed = self.state.accounts.users.remove(&user);
        removed.map(|_| Reply::empty(204)).ok_or_else(|| Refusal::no_user(&user))
    }

    pub(super) fn user_action(&mut self) -> Answer {
        let (user, action) = (self.parameter(0).to_owned(), self.parameter(1).to_owned());
        if action == "changePassword" {
            let NewPassword { current_password, password } = self.body()?;
            self.state.accounts.check(&user, &current_password)?;
            if password.is_empty() || password == current_password {
                return Err(Refusal::bad("The new password is none."));
            }
            let account = self.state.accounts.get_mut(&user)?;
            (account.password, account.must_change) = (password, false);
            return Ok(Reply::empty(204));
        }
        let Nothing {} = self.optional_body()?;
        let account = self.state.accounts.get_mut(&user)?;
        match action.as_str() {
            "enable" => account.enabled = true,
            "disable" => account.enabled = false,
            "roleClear" => account.role.clear(),
            _ => return Err(Refusal::no_action()),
        }
        Ok(Reply::empty(204))
    }

    /// `POST /users/{userid}/certificates`, which one page has in the singular.
    pub(super) fn enrol(&mut self, endpoint: Endpoint) -> Answer {
        let is_there = match self.settings.enrol_path {
            EnrolPath::Both => true,
            EnrolPath::Plural => endpoint == Endpoint::Certificates,
            EnrolPath::Singular => endpoint == Endpoint::Certificate,
        };
        if !is_there {
            return Err(Refusal::no_resource());
        }
        let NewCertificate { certificate: pem } = self.body()?;
        let der = certificate(&pem, self.settings)?;
        let user = self.parameter(0).to_owned();
        match self.state.accounts.enrol(&user, der) {
            true => Ok(Reply::empty(204)),
            false => Err(Refusal::no_user(&user)),
        }
    }

    pub(super) fn create_role(&mut self) -> Answer {
        let NewRole { role_id, .. } = self.body()?;
        if self.state.accounts.has_role(&role_id) {
            return Err(Refusal::exists(&role_id));
        }
        self.state.accounts.roles.insert(role_id, Vec::new());
        Ok(Reply::empty(204))
    }

    /// `PUT /roles/{roleid}/resources`: a line `METHOD:/path/with/{placeholders}` for each call.
    pub(super) fn set_acl(&mut self) -> Answer {
        let text = std::str::from_utf8(&self.request.body).map_err(|_| Refusal::bad("It is no text."))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let rule = |line: &str| {
            let (method, path) = line.split_once(':').filter(|(_, path)| path.starts_with('/'))?;
            Some((method.to_owned(), path.to_owned()))
        };
        let rules: Option<Vec<_>> = lines.map(rule).collect();
        let rules = rules.ok_or_else(|| Refusal::bad("A line is METHOD:/path."))?;
        let role = self.state.accounts.roles.get_mut(self.parameters[0].as_str());
        *role.ok_or_else(Refusal::no_role)? = rules;
        Ok(Reply::empty(204))
    }
}
