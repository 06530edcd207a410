//! `[slot.auth]`: what goes together, and what does not.

use serde_json::json;

use super::messages::slot_refusal;
use super::*;

/// A slot of CipherTrust Manager, with these lines from line 6 on.
fn ciphertrust(lines: &str) -> String {
    format!("{}{lines}\n", SLOT.replace("securosys", "ciphertrust"))
}

/// Of the slot that the text describes.
fn auth(text: &str) -> (Auth, bool) {
    let mut config = load_text(text);
    let token = config.slots.remove(0).token.unwrap();
    let login_required = token.login_required();
    (token.auth, login_required)
}

fn fields(fields: &[(String, FieldValue)]) -> Vec<(&str, FieldValue)> {
    fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect()
}

fn literal(value: impl Into<serde_json::Value>) -> FieldValue {
    FieldValue::Literal(value.into())
}

#[test]
fn a_token_needs_a_path_and_a_user() {
    let (auth, login_required) =
        auth(&format!("{SLOT}[slot.auth]\nuser = \"alice\"\ntoken.login = \"/token\""));
    assert!(login_required, "the password is the PIN");
    assert_eq!((auth.user.as_deref(), auth.password.is_pin()), (Some("alice"), true));
    assert!(auth.basic.is_none() && auth.header.is_none() && auth.bearer.is_none());
    let token = auth.token.unwrap();
    assert_eq!((token.login.as_str(), token.body, token.basic), ("/token", BodyForm::Json, false));
    assert_eq!(fields(&token.fields), [("username", FieldValue::User), ("password", FieldValue::Password)]);
    assert!(token.refresh.is_none() && token.revoke.is_none());
    assert!(token.success.is_none() && token.code.is_none());
    assert!(token.access.is_none() && token.refresh_token.is_none() && token.life.is_none());
    assert_eq!((token.header.as_str(), token.scheme), ("Authorization", Scheme::Bearer));
    assert_eq!((token.default_life, token.keep_password), (Duration::from_secs(3600), true));
}

/// The two calls of reference jwt-hmac-gateway.md section 1, as an OWIN server has them.
#[test]
fn a_token_is_got_as_the_file_says() {
    let (auth, login_required) = auth(&format!(
        "{SLOT}[slot.auth]\nuser = \"alice\"\npassword = \"env:PASSWORD\"\n\
         basic = {{ user = \"gate\", password = \"env:GATE\" }}\nheader = {{ name = \"X-Gate\", value = \"file:gate\" }}\n\
         [slot.auth.token]\nlogin = \"/token?x=1\"\nbody = \"form\"\nrefresh = \"/api/Auth/RefreshToken\"\n\
         refresh_fields = [\"AccessToken={{access}}\", \"RefreshToken={{refresh}}\"]\nrevoke = \"/logout\"\n\
         success = \"/success\"\ncode = \"/code\"\naccess = [\"/data/token\", \"/token\"]\n\
         refresh_token = \"/data/refresh\"\nlife = [\"/data/expires\"]\ndefault_life = \"5m\"\n\
         header = \"X-Authorization\"\nscheme = \"auto\"\nkeep_password = false\n"
    ));
    assert!(!login_required);
    let token = auth.token.unwrap();
    assert_eq!((token.login.as_str(), token.body), ("/token?x=1", BodyForm::Form));
    assert_eq!(
        fields(&token.fields),
        [
            ("grant_type", literal("password")),
            ("username", FieldValue::User),
            ("password", FieldValue::Password)
        ]
    );
    let refresh = token.refresh.unwrap();
    assert_eq!((refresh.path.as_str(), refresh.body), ("/api/Auth/RefreshToken", BodyForm::Json));
    assert_eq!(
        fields(&refresh.fields),
        [("AccessToken", FieldValue::Access), ("RefreshToken", FieldValue::Refresh)]
    );
    assert_eq!(token.revoke.as_deref(), Some("/logout"));
    assert_eq!((token.success.as_deref(), token.code.as_deref()), (Some("/success"), Some("/code")));
    assert_eq!(token.access.unwrap(), ["/data/token", "/token"]);
    assert_eq!(token.refresh_token.unwrap(), ["/data/refresh"]);
    assert_eq!(token.life.unwrap(), ["/data/expires"]);
    assert_eq!((token.header.as_str(), token.scheme), ("X-Authorization", Scheme::Auto));
    assert_eq!((token.default_life, token.keep_password), (Duration::from_secs(300), false));
    let basic = auth.basic.unwrap();
    assert!(basic.user == "gate" && matches!(basic.password, Secret::Env(name) if name == "GATE"));
    let header = auth.header.unwrap();
    assert!(
        header.name == "X-Gate" && matches!(header.value, Secret::File(path) if path.ends_with("etc/gate"))
    );
}

#[test]
fn members_of_a_body_are_texts_places_or_json() {
    let (auth, _) = auth(&format!(
        "{SLOT}[slot.auth]\nuser = \"u\"\n[slot.auth.token]\nlogin = \"/t\"\n\
         fields = [\"a=b=c\", \"b=\", \"n:=300\", \"o:={{\\\"x\\\":[true,null]}}\", \"p={{password}}\", \"u={{user}}\", \"t={{user\"]\n"
    ));
    assert_eq!(
        fields(&auth.token.unwrap().fields),
        [
            ("a", literal("b=c")),
            ("b", literal("")),
            ("n", literal(300)),
            ("o", literal(json!({"x": [true, null]}))),
            ("p", FieldValue::Password),
            ("u", FieldValue::User),
            ("t", literal("{user")),
        ]
    );
}

/// A line for each member, for they may have blanks and commas.
#[test]
fn the_environment_describes_tokens_too() {
    let config = load_environment(&[
        ("P11REST_SLOT_0_LABEL", "a"),
        ("P11REST_SLOT_0_BACKEND", "securosys"),
        ("P11REST_SLOT_0_URLS", "https://a"),
        ("P11REST_SLOT_0_AUTH_USER", "alice"),
        ("P11REST_SLOT_0_AUTH_TOKEN_LOGIN", "/token"),
        ("P11REST_SLOT_0_AUTH_TOKEN_FIELDS", "scope=read, write\nuser={user}\npass={password}"),
        ("P11REST_SLOT_0_AUTH_TOKEN_ACCESS", "/a /b"),
        ("P11REST_SLOT_0_AUTH_TOKEN_KEEP_PASSWORD", "false"),
        ("P11REST_SLOT_0_AUTH_HEADER_NAME", "X-Gate"),
        ("P11REST_SLOT_0_AUTH_HEADER_VALUE", "s3cret"),
    ]);
    let token = token(&config);
    let login = token.auth.token.as_ref().unwrap();
    assert_eq!(
        fields(&login.fields),
        [("scope", literal("read, write")), ("user", FieldValue::User), ("pass", FieldValue::Password)]
    );
    assert_eq!(login.access.as_deref(), Some(&["/a".to_owned(), "/b".to_owned()][..]));
    assert!(!login.keep_password);
    let header = token.auth.header.as_ref().unwrap();
    assert_eq!(header.value.read().unwrap().expose_secret(), "s3cret");
}

/// Whatever is the PIN makes `C_Login` necessary; of the password alone where something shows it.
#[test]
fn a_login_is_required_where_something_is_the_pin() {
    for (lines, required) in [
        ("", false),
        ("bearer = \"env:A\"", false),
        ("bearer = \"pin\"", true),
        ("api_key = { service = \"pin\" }", true),
        ("basic = { user = \"u\" }", true),
        ("basic = { user = \"u\", password = \"env:A\" }", false),
        ("header = { name = \"X\", value = \"pin\" }", true),
        ("header = { name = \"X\", value = \"env:A\" }", false),
        ("user = \"u\"\npassword = \"env:A\"\ntoken = { login = \"/t\" }", false),
        ("user = \"u\"\ntoken = { login = \"/t\" }", true),
    ] {
        assert_eq!(auth(&format!("{SLOT}[slot.auth]\n{lines}\n")).1, required, "{lines}");
    }
    assert!(auth(&ciphertrust("auth.user = \"u\"")).1);
    assert!(!auth(&ciphertrust("auth = { user = \"u\", password = \"env:A\" }")).1);
}

#[test]
fn secrets_in_different_headers_go_together() {
    for lines in [
        "bearer = \"env:A\"\napi_key = { service = \"pin\" }\nheader = { name = \"X-Gate\", value = \"env:B\" }",
        "basic = { user = \"u\" }\napi_key = { service = \"env:A\" }",
        "basic = { user = \"u\" }\nuser = \"u\"\ntoken = { login = \"/t\", header = \"X-Token\" }",
        // In the login call alone: the others carry the token.
        "user = \"u\"\ntoken = { login = \"/t\", basic = true }",
        "user = \"u\"\ntoken = { login = \"/t\", basic = true, header = \"X-Token\" }\nbearer = \"env:A\"",
    ] {
        auth(&format!("{SLOT}[slot.auth]\n{lines}\n"));
    }
    auth(&ciphertrust("auth = { user = \"u\", header = { name = \"X-Gate\", value = \"env:B\" } }"));
    // Where the token of a declared service is, its description says.
    let declared = SLOT.replace("securosys", "declared") + "declared.file = \"/dev/null\"\n";
    auth(&format!("{declared}[slot.auth]\nbearer = \"env:A\"\nbasic = {{ user = \"u\" }}\n"));
}

#[test]
fn what_is_wrong_in_auth_names_line_key_and_remedy() {
    const NOT_ONE: &str =
        "take one of them out, or write another header for the token: slot.auth.token.header";
    const ENTRY: &str = "write \"name=text\", \"name={user}\", \"name={password}\", \"name={access}\", \
        \"name={refresh}\" or \"name:=JSON\"";
    const PATH: &str = "write \"/path\", which comes behind the URL of the member, percent-encoded";
    const HEADER: &str = "write the name of a header, such as \"X-Auth-Token\"";
    for (line, message) in [
        ("basic.password = \"pin\"", "basic.user: is missing; write user = \"the name of the account\"".into()),
        (
            "basic.user = \"a:b\"",
            "basic.user: has a colon, which ends the name in Basic; write a name without one".into(),
        ),
        ("basic.user = \"\"", "basic.user: is empty; write the name of the account".into()),
        ("user = \"a\\n\"", "user: has a control character; write the name of the account".into()),
        (
            "header.value = \"env:A\"",
            "header.name: is missing; write name = \"the name of the header\"".into(),
        ),
        ("header.name = \"X\"", "header.value: is missing; write value = \"file:/path\"".into()),
        (
            "header = { name = \"X Y\", value = \"pin\" }",
            format!("header.name: \"X Y\" is not the name of a header; {HEADER}"),
        ),
        ("header = { name = \"\", value = \"pin\" }", format!("header.name: is empty; {HEADER}")),
        (
            "header = { name = \"content-type\", value = \"pin\" }",
            format!("header.name: content-type says something else in a request; {HEADER}"),
        ),
        (
            "header = { name = \"x-api-key\", value = \"pin\" }\nauth.api_key.service = \"pin\"",
            "header: would be in the header x-api-key, where slot.auth.api_key is; \
             write another name: slot.auth.header.name"
                .into(),
        ),
        (
            "bearer = \"pin\"\nauth.basic.user = \"u\"",
            format!("8: basic: would be in the header Authorization, where slot.auth.bearer is; {NOT_ONE}"),
        ),
        (
            "user = \"u\"\nauth.basic.user = \"u\"\nauth.token.login = \"/t\"",
            format!("9: token: would be in the header Authorization, where slot.auth.basic is; {NOT_ONE}"),
        ),
        (
            "user = \"u\"\nauth.bearer = \"pin\"\nauth.token.login = \"/t\"",
            format!("9: token: would be in the header Authorization, where slot.auth.bearer is; {NOT_ONE}"),
        ),
        (
            "user = \"u\"\nauth.basic.user = \"u\"\nauth.token = { login = \"/t\", basic = true, header = \"X\" }",
            "8: basic: would be in the header Authorization of the login call, where slot.auth.token.basic is; \
             take one of them out"
                .into(),
        ),
        (
            "user = \"u\"",
            "user: is for [slot.auth.token], which is not there; write that, or take this out".into(),
        ),
        (
            "password = \"env:A\"",
            "password: is for [slot.auth.token], which is not there; write that, or take this out".into(),
        ),
        ("token.login = \"/t\"", "user: is missing; write user = \"the name of the account\"".into()),
        (
            "token = { login = \"/t\", fields = [\"p={password}\"], basic = true }",
            "user: is missing; write user = \"the name of the account\"".into(),
        ),
        ("token.body = \"json\"", "token.login: is missing; write login = \"/path/of/the/login/call\"".into()),
        ("token.login = \"t\"", format!("token.login: \"t\" is not a path; {PATH}")),
        ("token.login = \"/t t\"", format!("token.login: \"/t t\" is not a path; {PATH}")),
        ("token.login = \"/t#t\"", format!("token.login: \"/t#t\" is not a path; {PATH}")),
        ("token.login = \"https://a/t\"", format!("token.login: \"https://a/t\" is not a path; {PATH}")),
        ("token.body = \"xml\"", "token.body: \"xml\" is not known; write \"json\" or \"form\"".into()),
        (
            "token.scheme = \"basic\"",
            "token.scheme: \"basic\" is not known; write \"bearer\" or \"bare\" or \"auto\"".into(),
        ),
        ("token.fields = [\"user\"]", format!("token.fields: has an entry that has no =; {ENTRY}")),
        ("token.fields = [\"=user\"]", format!("token.fields: has an entry that has no name; {ENTRY}")),
        ("token.fields = [\":=1\"]", format!("token.fields: has an entry that has no name; {ENTRY}")),
        ("token.fields = [\"a:=b\"]", format!("token.fields: has an entry that has no JSON behind :=; {ENTRY}")),
        (
            "token.fields = [\"a={pin}\"]",
            format!("token.fields: has an entry that names nothing that is known; {ENTRY}"),
        ),
        (
            "token.fields = [\"a={access}\"]",
            "token.fields: has {access} or {refresh}, of which there is none before the login; take them out".into(),
        ),
        (
            "token.refresh_body = \"form\"",
            "token.refresh_body: has no `refresh` beside it; write refresh = \"/path\" too".into(),
        ),
        (
            "token.refresh_fields = [\"r={refresh}\"]",
            "token.refresh_fields: has no `refresh` beside it; write refresh = \"/path\" too".into(),
        ),
        (
            "token.access = [\"/a\", \"b\"]",
            "token.access: \"b\" is not a JSON pointer; write it as \"/data/access_token\"".into(),
        ),
        ("token.default_life = \"500ms\"", "token.default_life: \"500ms\" is too short; write 1s or longer".into()),
        ("token.header = \"Host\"", format!("token.header: Host says something else in a request; {HEADER}")),
    ] {
        // The line that is meant stands before the message, unless it is the first.
        let message = match message.split_once(": ") {
            Some((line, message)) if line.parse::<u32>().is_ok() => format!("{line}: slot.auth.{message}"),
            _ => format!("7: slot.auth.{message}"),
        };
        assert_eq!(slot_refusal(&format!("{SLOT}\nauth.{line}")), format!("p11rest.toml:{message}"), "{line}");
    }
}

/// A back end with token calls of its own shows its token, and nothing else that would be in its place.
#[test]
fn a_back_end_with_tokens_of_its_own_has_user_and_password() {
    for (line, message) in [
        ("auth.password = \"env:A\"", "user: is missing; write user = \"the name of the account\""),
        (
            "auth.bearer = \"pin\"",
            "bearer: is not for this back end, which shows a token for user and password; take it out",
        ),
        (
            "auth.basic.user = \"u\"",
            "basic: is not for this back end, which shows a token for user and password; take it out",
        ),
        (
            "auth.api_key.service = \"pin\"",
            "api_key: is not for this back end, which shows a token for user and password; take it out",
        ),
        (
            "auth.token.login = \"/t\"",
            "token: is not for this back end, which has token calls of its own; take it out",
        ),
        (
            "auth = { user = \"u\", header = { name = \"Authorization\", value = \"pin\" } }",
            "header: would be in the header Authorization, where the token of the back end itself is; \
             write another name: slot.auth.header.name",
        ),
    ] {
        assert_eq!(slot_refusal(&ciphertrust(line)), format!("p11rest.toml:6: slot.auth.{message}"));
    }
}

/// What a back end does not show is not taken either.
#[test]
fn keys_by_role_are_of_securosys() {
    let declared = SLOT.replace("securosys", "declared") + "declared.file = \"/dev/null\"\n";
    assert_eq!(
        slot_refusal(&format!("{declared}auth.api_key.service = \"pin\"\n")),
        "p11rest.toml:7: slot.auth.api_key: is for slots with backend = \"securosys\"; write slot.auth.header"
    );
    auth(&format!("{declared}auth.pin_format = \"roles\"\nauth.bearer = \"pin\"\n"));
}
