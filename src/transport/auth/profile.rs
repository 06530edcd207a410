//! What a service's token calls look like: data, no code. A dialect has one as a preset, and `[slot.auth.token]` of the
//! configuration makes one.

use std::io;
use std::time::Duration;

use jsonwebtoken::dangerous::insecure_decode_claims;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::AuthError;
use crate::discreet;
use crate::transport::{Headers, Method, Response};

pub use crate::config::{BodyForm, FieldValue, Scheme};

/// Where in the JSON of an answer something is (RFC 6901): `/data/accessToken`.
pub type Pointer = String;

/// A token that is told to live for longer is looked at as often as one that lives so long.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A token that is longer is not looked into.
const JWT_LIMIT: usize = 64 * 1024;

/// How tokens are got, renewed, carried and given back. [`Self::new`] has what most services do:
/// `TokenProfile { refresh: Some(…), ..TokenProfile::new(login) }`.
#[derive(Clone, Debug)]
pub struct TokenProfile {
    /// The call that shows the password.
    pub login: TokenCall,
    /// The call that exchanges a token for a new one; `None`: the password is shown again.
    pub refresh: Option<TokenCall>,
    /// What must be `true` in an answer, besides its status; `None`: the status alone decides.
    pub success: Option<Pointer>,
    /// A number in an answer that stands for its status, where there is one.
    pub code: Option<Pointer>,
    /// The access token: the first of these that is there.
    pub access: Vec<Pointer>,
    /// The refresh token, likewise. An answer without one leaves the old one in force.
    pub refresh_token: Vec<Pointer>,
    /// The life of the access token in seconds, likewise; else the claim `exp` of a JWT says it, else `default_life`.
    pub life: Vec<Pointer>,
    /// The life of a token that says nothing of it.
    pub default_life: Duration,
    /// The header that carries the access token.
    pub header: String,
    /// What stands before it there.
    pub scheme: Scheme,
    /// The call that gives a token back at logout.
    pub revoke: Option<RevokeCall>,
}

impl TokenProfile {
    /// The usual names of members (reference: jwt-hmac-gateway section 3), in `Authorization: Bearer`.
    pub fn new(login: TokenCall) -> Self {
        let pointers = |names: &[&str]| names.iter().map(|name| format!("/{name}")).collect();
        Self {
            login,
            refresh: None,
            success: None,
            code: None,
            access: pointers(&["access_token", "AccessToken", "accessToken", "token"]),
            refresh_token: pointers(&["refresh_token", "RefreshToken", "refreshToken"]),
            life: pointers(&["expires_in", "expiresIn", "ExpiresIn"]),
            default_life: Duration::from_secs(3600),
            header: "Authorization".to_owned(),
            scheme: Scheme::Bearer,
            revoke: None,
        }
    }

    /// Reads an answer to a token call.
    pub(super) fn read(&self, response: &Response) -> Reading {
        let mut tree: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let reading = self.read_tree(response, &tree);
        discreet::wipe(&mut tree);
        reading
    }

    /// The status that an answer has, or says it has.
    pub(super) fn status(&self, response: &Response) -> u16 {
        let told = self.code.as_ref().and_then(|_| {
            let tree = serde_json::from_slice(&response.body).ok()?;
            self.told_status(&tree)
        });
        told.unwrap_or(response.status)
    }

    fn told_status(&self, tree: &Value) -> Option<u16> {
        let told = number(tree.pointer(self.code.as_ref()?)?)?;
        u16::try_from(told.as_secs()).ok()
    }

    fn read_tree(&self, response: &Response, tree: &Value) -> Reading {
        let status = self.told_status(tree).unwrap_or(response.status);
        let success = self.success.as_ref().is_none_or(|at| tree.pointer(at) == Some(&Value::Bool(true)));
        if !response.is_success() || !(200..300).contains(&status) || !success {
            return Reading::Refused { status };
        }
        let text = |pointers: &[Pointer]| {
            let found = pointers.iter().find_map(|at| tree.pointer(at)?.as_str());
            found.filter(|text| !text.is_empty())
        };
        let Some(access) = text(&self.access) else { return Reading::Malformed };
        let life = self.life.iter().find_map(|at| number(tree.pointer(at)?)).filter(|life| !life.is_zero());
        let life = life.or_else(|| life_of_jwt(access)).unwrap_or(self.default_life);
        Reading::Granted(Granted {
            access: access.into(),
            refresh: text(&self.refresh_token).map(SecretString::from),
            life: life.min(LONGEST_LIFE),
        })
    }

    /// The header line that carries `access`, and the one that may do it as well. They differ with [`Scheme::Auto`].
    pub(super) fn lines(&self, access: &str) -> Result<[Headers; 2], AuthError> {
        let line = |scheme: &str| {
            let mut value = Zeroizing::new(String::with_capacity(scheme.len() + access.len()));
            value.push_str(scheme);
            value.push_str(access);
            let mut headers = Headers::default();
            headers.add(&self.header, &value).map_err(AuthError::Unfit).map(|()| headers)
        };
        let (first, other) = match self.scheme {
            Scheme::Bearer => ("Bearer ", "Bearer "),
            Scheme::Bare => ("", ""),
            Scheme::Auto => ("Bearer ", ""),
        };
        Ok([line(first)?, line(other)?])
    }
}

/// What an answer to a token call says.
pub(super) enum Reading {
    Granted(Granted),
    /// With the status that the answer has, or says it has.
    Refused {
        status: u16,
    },
    /// A success without a token.
    Malformed,
}

/// What was granted.
pub(super) struct Granted {
    pub(super) access: SecretString,
    pub(super) refresh: Option<SecretString>,
    pub(super) life: Duration,
}

/// A call that gives a token.
#[derive(Clone, Debug)]
pub struct TokenCall {
    /// Usually `POST`.
    pub method: Method,
    /// Behind the base path of the member.
    pub path: String,
    /// What the body is.
    pub form: BodyForm,
    /// What it is called; `None`: by the usual name of its form.
    pub media_type: Option<String>,
    /// Its members, in their order.
    pub fields: Vec<(String, FieldValue)>,
    /// Whether user and password go into `Authorization: Basic`, too.
    pub basic: bool,
}

impl TokenCall {
    /// `POST path` with a JSON body.
    pub fn json(
        path: impl Into<String>,
        fields: impl IntoIterator<Item = (&'static str, FieldValue)>,
    ) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self {
            method: Method::Post,
            path: path.into(),
            form: BodyForm::Json,
            media_type: None,
            fields,
            basic: false,
        }
    }

    /// Whether it needs `value`.
    pub(super) fn has(&self, value: &FieldValue) -> bool {
        self.fields.iter().any(|(_, field)| field == value)
    }

    /// Whether it shows the password.
    pub(super) fn shows_password(&self) -> bool {
        self.basic || self.has(&FieldValue::Password)
    }

    /// Header lines of its own, and the body.
    ///
    /// # Errors
    /// [`AuthError::Missing`] where a value is not at hand.
    pub(super) fn fill(&self, values: &Values<'_>) -> Result<(Headers, Zeroizing<Vec<u8>>), AuthError> {
        let mut headers = Headers::default();
        if self.basic {
            super::basic::apply(values.user, values.password.ok_or(AuthError::Missing)?, &mut headers)?;
        }
        let (kind, body) = match self.form {
            BodyForm::Json => ("application/json", self.json_body(values)?),
            BodyForm::Form => ("application/x-www-form-urlencoded", self.form_body(values)?),
        };
        headers.add("Content-Type", self.media_type.as_deref().unwrap_or(kind)).map_err(AuthError::Unfit)?;
        Ok((headers, body))
    }

    fn json_body(&self, values: &Values<'_>) -> Result<Zeroizing<Vec<u8>>, AuthError> {
        let mut body = Zeroizing::default();
        for (at, (name, value)) in self.fields.iter().enumerate() {
            discreet::append(&mut body, if at == 0 { b"{" } else { b"," });
            push_json(&mut body, name);
            discreet::append(&mut body, b":");
            match values.of(value)? {
                Part::Text(text) => push_json(&mut body, text),
                Part::Literal(value) => push_json(&mut body, value),
            }
        }
        discreet::append(&mut body, if self.fields.is_empty() { b"{}" } else { b"}" });
        Ok(body)
    }

    fn form_body(&self, values: &Values<'_>) -> Result<Zeroizing<Vec<u8>>, AuthError> {
        let mut body = Zeroizing::default();
        for (at, (name, value)) in self.fields.iter().enumerate() {
            if at > 0 {
                discreet::append(&mut body, b"&");
            }
            push_form(&mut body, name);
            discreet::append(&mut body, b"=");
            match values.of(value)? {
                Part::Text(text) => push_form(&mut body, text),
                Part::Literal(Value::String(text)) => push_form(&mut body, text),
                Part::Literal(value) => push_form(&mut body, &value.to_string()),
            }
        }
        Ok(body)
    }
}

/// A call that gives a token back. It carries the token as all others do, and no body.
#[derive(Clone, Debug)]
pub struct RevokeCall {
    /// Usually `DELETE`.
    pub method: Method,
    /// Behind the base path of the member.
    pub path: String,
}

/// What may be filled in.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) user: &'a str,
    pub(super) password: Option<&'a str>,
    pub(super) access: Option<&'a str>,
    pub(super) refresh: Option<&'a str>,
}

enum Part<'a> {
    Text(&'a str),
    Literal(&'a Value),
}

impl<'a> Values<'a> {
    fn of(&self, value: &'a FieldValue) -> Result<Part<'a>, AuthError> {
        let text = match value {
            FieldValue::Literal(value) => return Ok(Part::Literal(value)),
            FieldValue::User => Some(self.user),
            FieldValue::Password => self.password,
            FieldValue::Access => self.access,
            FieldValue::Refresh => self.refresh,
        };
        text.map(Part::Text).ok_or(AuthError::Missing)
    }
}

/// JSON of a value; `discreet`, so that no copy of a password stays behind.
fn push_json(body: &mut Zeroizing<Vec<u8>>, value: &(impl serde::Serialize + ?Sized)) {
    struct Sink<'a>(&'a mut Zeroizing<Vec<u8>>);
    impl io::Write for Sink<'_> {
        fn write(&mut self, part: &[u8]) -> io::Result<usize> {
            discreet::append(self.0, part);
            Ok(part.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let written = serde_json::to_writer(Sink(body), value);
    debug_assert!(written.is_ok(), "texts and trees are always JSON, and the sink takes all");
}

/// The encoding of `application/x-www-form-urlencoded` (URL Standard section 5.2).
fn push_form(body: &mut Zeroizing<Vec<u8>>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    discreet::reserve(body, 3 * text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => body.push(byte),
            b' ' => body.push(b'+'),
            _ => {
                let digit = |nibble: u8| HEX[usize::from(nibble & 15)];
                body.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte)]);
            }
        }
    }
}

/// A number that is not negative, of seconds or of a status: services write it with and without quotes.
fn number(value: &Value) -> Option<Duration> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.min(LONGEST_LIFE.as_secs_f64())).ok()
}

/// The claims that tell of a token's life (RFC 7519 section 4.1), whatever a service writes there.
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    exp: Value,
    #[serde(default)]
    iat: Value,
}

/// What is left of the life of a JWT that was issued just now: its signature is the service's own business, and so is the
/// algorithm in its head. `iat` tells what the clock of the service says now; without it ours has to do. `None` where that
/// cannot be right, since nobody issues a token that has expired.
fn life_of_jwt(token: &str) -> Option<Duration> {
    if token.len() > JWT_LIMIT {
        return None;
    }
    // RFC 7515 section 2 has no padding; some services do.
    let token: Zeroizing<String> = Zeroizing::new(token.replace('=', ""));
    // What this copies is no credential without the signature.
    let Claims { exp, iat } = insecure_decode_claims(token.as_str()).ok()?;
    let now = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.ok().map(|now| now.as_secs_f64())
    };
    let life = Duration::try_from_secs_f64(exp.as_f64()? - iat.as_f64().or_else(now)?).ok()?;
    Some(life).filter(|life| !life.is_zero())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use serde_json::json;

    use super::*;
    use crate::transport::Kept;

    const VALUES: Values<'_> = Values {
        user: "us er",
        password: Some("p\"\\\u{e9}&=+\n"),
        access: Some("a.b.c"),
        refresh: Some("r/1"),
    };

    fn call(form: BodyForm, fields: Vec<(&str, FieldValue)>) -> TokenCall {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        TokenCall { method: Method::Post, path: "/t".into(), form, media_type: None, fields, basic: false }
    }

    fn filled(call: &TokenCall) -> (String, String) {
        let (headers, body) = call.fill(&VALUES).ok().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(headers.as_bytes()), text(&body))
    }

    /// The escapes are those of RFC 8259 section 7 and of the URL Standard section 5.2.
    #[test]
    fn bodies_are_these_bytes() {
        let fields = || {
            vec![
                ("grant_type", FieldValue::Literal("password".into())),
                ("expiresIn", FieldValue::Literal(300.into())),
                ("User Name", FieldValue::User),
                ("Password", FieldValue::Password),
                ("AccessToken", FieldValue::Access),
                ("RefreshToken", FieldValue::Refresh),
            ]
        };
        assert_eq!(
            filled(&call(BodyForm::Json, fields())),
            (
                "Content-Type: application/json\r\n".to_owned(),
                "{\"grant_type\":\"password\",\"expiresIn\":300,\"User Name\":\"us er\",\
                 \"Password\":\"p\\\"\\\\\u{e9}&=+\\n\",\"AccessToken\":\"a.b.c\",\"RefreshToken\":\"r/1\"}"
                    .to_owned()
            )
        );
        assert_eq!(
            filled(&call(BodyForm::Form, fields())),
            (
                "Content-Type: application/x-www-form-urlencoded\r\n".to_owned(),
                "grant_type=password&expiresIn=300&User+Name=us+er&Password=p%22%5C%C3%A9%26%3D%2B%0A\
                 &AccessToken=a.b.c&RefreshToken=r%2F1"
                    .to_owned()
            )
        );
        assert_eq!(filled(&call(BodyForm::Json, Vec::new())).1, "{}");
        assert_eq!(filled(&call(BodyForm::Form, Vec::new())).1, "");
    }

    /// The example of RFC 7617 section 2.
    #[test]
    fn basic_is_that_of_the_rfc() {
        let values = Values { user: "Aladdin", password: Some("open sesame"), ..VALUES };
        let call = TokenCall { basic: true, ..call(BodyForm::Json, Vec::new()) };
        let (headers, _) = call.fill(&values).ok().unwrap();
        let lines = "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nContent-Type: application/json\r\n";
        assert_eq!(headers.as_bytes(), lines.as_bytes());
        let colon = Values { user: "a:b", ..values };
        assert!(matches!(call.fill(&colon), Err(AuthError::Unfit(_))));
    }

    #[test]
    fn what_is_not_at_hand_is_missing() {
        let call = call(BodyForm::Json, vec![("r", FieldValue::Refresh)]);
        assert!(matches!(call.fill(&Values { refresh: None, ..VALUES }), Err(AuthError::Missing)));
    }

    fn answer(status: u16, body: &str) -> Response {
        Response { status, retry_after: None, kept: Kept::default(), body: body.as_bytes().to_vec().into() }
    }

    fn profile() -> TokenProfile {
        TokenProfile::new(TokenCall::json("/login", []))
    }

    /// Access and refresh token, and the seconds of life.
    fn granted(profile: &TokenProfile, body: &str) -> (String, Option<String>, u64) {
        use secrecy::ExposeSecret;
        let Reading::Granted(granted) = profile.read(&answer(200, body)) else { panic!("{body}") };
        let text = |secret: &SecretString| secret.expose_secret().to_owned();
        (text(&granted.access), granted.refresh.as_ref().map(text), granted.life.as_secs())
    }

    /// The names of jwt-hmac-gateway.md section 3.
    #[test]
    fn the_usual_names_are_found() {
        for (access, refresh, life) in [
            ("access_token", "refresh_token", "expires_in"),
            ("AccessToken", "RefreshToken", "ExpiresIn"),
            ("accessToken", "refreshToken", "expiresIn"),
        ] {
            let body = format!(r#"{{"{access}":"a","{refresh}":"r","{life}":7}}"#);
            assert_eq!(granted(&profile(), &body), ("a".into(), Some("r".into()), 7), "{body}");
        }
        assert_eq!(granted(&profile(), r#"{"token":"t","expires_in":"90"}"#), ("t".into(), None, 90));
        assert_eq!(granted(&profile(), r#"{"token":"t","expires_in":null}"#), ("t".into(), None, 3600));
    }

    /// Taken at its word, each call would show the password.
    #[test]
    fn a_life_of_nothing_says_nothing() {
        assert_eq!(granted(&profile(), r#"{"token":"t","expires_in":0}"#).2, 3600);
        let token = jwt(&json!({"iat": 1000, "exp": 1300}));
        assert_eq!(granted(&profile(), &format!(r#"{{"token":"{token}","expires_in":0}}"#)).2, 300);
    }

    /// Both editions of FAST (fast-hsm.md section 4.1).
    #[test]
    fn an_envelope_decides_where_the_profile_names_one() {
        let profile = TokenProfile {
            success: Some("/success".into()),
            code: Some("/code".into()),
            access: vec!["/data/accessToken".into(), "/data/token".into()],
            life: vec!["/data/expiresIn".into()],
            ..profile()
        };
        let vi = r#"{"success":true,"message":"Success","code":200,"data":{"token":"t"}}"#;
        assert_eq!(granted(&profile, vi), ("t".into(), None, 3600));
        let en = r#"{"success":true,"message":"Successfully","code":200,
            "data":{"accessToken":"t","tokenType":"Bearer","expiresIn":1800}}"#;
        assert_eq!(granted(&profile, en), ("t".into(), None, 1800));
        let refusal = r#"{"success":false,"message":"Invalid username or password","code":401,"data":null}"#;
        for status in [200, 401] {
            let reading = profile.read(&answer(status, refusal));
            assert!(matches!(reading, Reading::Refused { status: 401 }), "{status}");
        }
        let bare = profile.read(&answer(200, r#"{"data":{"token":"t"}}"#));
        assert!(matches!(bare, Reading::Refused { status: 200 }));
        assert!(matches!(profile.read(&answer(502, "<html>")), Reading::Refused { status: 502 }));
    }

    #[test]
    fn a_success_without_a_token_is_none() {
        for body in ["", "[]", "{}", r#"{"token":""}"#, r#"{"token":7}"#, "<html>"] {
            assert!(matches!(profile().read(&answer(200, body)), Reading::Malformed), "{body}");
        }
    }

    fn jwt(claims: &Value) -> String {
        let encode = |text: String| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", encode(r#"{"alg":"HS256"}"#.into()), encode(claims.to_string()))
    }

    #[test]
    fn a_jwt_tells_its_own_life_even_where_the_clocks_differ() {
        let life = |claims: Value| life_of_jwt(&jwt(&claims)).map(|life| life.as_secs());
        // Long ago, by our clock.
        assert_eq!(life(json!({"iat": 1_000_000_000, "exp": 1_000_000_300})), Some(300));
        assert_eq!(life(json!({"exp": 1_000_000_300})), None);
        assert_eq!(life(json!({"iat": 1_000_000_300, "exp": 1_000_000_300})), None);
        assert_eq!(life(json!({"iat": 1})), None);
        assert_eq!(life(json!({"exp": "soon"})), None);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let left = life(json!({"exp": now.as_secs() + 600})).unwrap();
        assert!((540..=600).contains(&left), "{left}");
        for text in ["", "opaque", "a.b", "a.%.c", "a.e30.c", "a.W10.c"] {
            assert_eq!(life_of_jwt(text), None, "{text}");
        }
    }

    /// What RFC 7519 does not have, or leaves to the service, and what services do all the same.
    #[test]
    fn an_odd_jwt_tells_its_life_too() {
        let life = |claims: Value| life_of_jwt(&jwt(&claims)).map(|life| life.as_millis());
        assert_eq!(life(json!({"iat": 1_000_000_000.25, "exp": 1_000_000_300.5})), Some(300_250));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let left = life(json!({"iat": "now", "exp": now.as_secs() + 600})).unwrap();
        assert!((540_000..=600_000).contains(&left), "{left}");
        // Padded, with an algorithm that nobody here knows, and with a head that is none.
        let encode = |text: &str| base64::prelude::BASE64_URL_SAFE.encode(text);
        for head in [&encode(r#"{"alg":"none"}"#), &encode(r#"{"alg":"GOST","x":[1]}"#), "%", ""] {
            for claims in [r#"{"iat":1000,"exp":1300}"#, r#"{"iat":1000,"exp":1300} "#] {
                let token = format!("{head}.{}.", encode(claims));
                assert_eq!(life_of_jwt(&token), Some(Duration::from_secs(300)), "{token}");
            }
        }
        let long =
            format!("a.{}.c", encode(&json!({"iat": 1, "exp": 2, "x": "x".repeat(JWT_LIMIT)}).to_string()));
        assert_eq!(life_of_jwt(&long), None);
    }

    /// The token that RFC 7519 section 3.1 prints: `exp` is 1300819380.
    #[test]
    fn the_jwt_of_the_rfc_has_expired() {
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6\
            Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(life_of_jwt(token), None);
        let body = format!(r#"{{"token":"{token}"}}"#);
        assert_eq!(granted(&profile(), &body).2, 3600, "a token that was issued just now has not");
    }

    #[test]
    fn trees_are_wiped() {
        let mut tree = json!({"a": ["secret", {"b": "secret"}], "c": 1});
        discreet::wipe(&mut tree);
        assert_eq!(tree, json!({"a": ["", {"b": ""}], "c": 1}));
    }
}
