//! How the vendor's documentation is read where it is silent, contradicts itself, or changed with the versions.

use crate::error::Error;
use crate::settings::{self, Row, choose, put, yes};

/// One reading of everything; `docs/emulator.md` says what each means.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) version: u32,
    pub(super) strict_types: bool,
    pub(super) jwt: Jwt,
    pub(super) session_by_jwt: bool,
    pub(super) cookie: String,
    pub(super) second_cookie: bool,
    pub(super) cookie_alone: bool,
    pub(super) lost_is_not_private: bool,
    /// Seconds.
    pub(super) session_idle: u64,
    pub(super) challenge: Asks,
    pub(super) challenge_tie: Tie,
    /// Seconds.
    pub(super) challenge_life: u64,
    pub(super) challenge_bytes: usize,
    pub(super) pem_in: PemIn,
    pub(super) pem_out_literal: bool,
    pub(super) enrol_path: EnrolPath,
    pub(super) acl_status: u16,
    pub(super) attempts: u32,
    pub(super) wrong_password: WrongPassword,
    pub(super) refuses_unchanged: bool,
    pub(super) change_password: ChangePassword,
    pub(super) min_password: usize,
    pub(super) ped: bool,
    pub(super) logins_are_tasks: bool,
    pub(super) task_ms: u64,
    pub(super) upper_states: bool,
    pub(super) locations: Locations,
    pub(super) several_partitions: bool,
    pub(super) numeric_ids: bool,
    pub(super) objects_path: ObjectsPath,
    pub(super) objects_session: ObjectsSession,
    pub(super) object_names: Names,
    pub(super) object_values: Values,
    pub(super) object_wrap: bool,
    pub(super) object_list_whole: bool,
    pub(super) hidden_object: Hidden,
    pub(super) list_hidden: bool,
    pub(super) extra_objects: u32,
    pub(super) login: SlotLogin,
    pub(super) crypto: Option<String>,
}

/// When there are tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jwt {
    Version5,
    Always,
    Never,
}

/// What asks for a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Certificate,
    PublicKey,
    Either,
}

/// What ties the answer to a challenge to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie {
    /// A cookie.
    Cookie,
    /// Nothing: the answer is looked for among all challenges.
    Nothing,
    /// A cookie, which becomes that of the session.
    Session,
}

/// Which line breaks PEM may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PemIn {
    Any,
    Real,
    /// Backslash and `n`.
    Literal,
}

/// Where certificates are enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EnrolPath {
    Plural,
    Singular,
    Both,
}

/// What a wrong password of a role is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrongPassword {
    Unauthorized,
    BadRequest,
    /// With the id that tells of a login that is missing.
    NotAuthenticated,
}

/// Which call changes a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangePassword {
    Both,
    Patch,
    Put,
}

/// How the address of a task is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locations {
    Path,
    /// Without its first slash.
    Bare,
    Absolute,
}

/// Where objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectsPath {
    ByVersion,
    Objects,
    Object,
    Both,
}

/// Which reads of objects ask for a private session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectsSession {
    Single,
    Neither,
    Both,
}

/// How attributes are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Plain,
    Cka,
    Spaced,
    Snake,
}

/// How classes and key types are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    Words,
    Cko,
    Numbers,
}

/// What an object is that is not to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hidden {
    /// `{}`
    Object,
    /// An answer without a body.
    Nothing,
    /// An error.
    Refused,
}

/// How the configuration that is written logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotLogin {
    Basic,
    Jwt,
    Certificate,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            version: 17,
            strict_types: true,
            jwt: Jwt::Version5,
            session_by_jwt: false,
            cookie: "lunaSession".to_owned(),
            second_cookie: false,
            cookie_alone: true,
            lost_is_not_private: true,
            session_idle: 600,
            challenge: Asks::Certificate,
            challenge_tie: Tie::Cookie,
            challenge_life: 60,
            challenge_bytes: 32,
            pem_in: PemIn::Any,
            pem_out_literal: true,
            enrol_path: EnrolPath::Plural,
            acl_status: 401,
            attempts: 10,
            wrong_password: WrongPassword::Unauthorized,
            refuses_unchanged: true,
            change_password: ChangePassword::Both,
            min_password: 8,
            ped: false,
            logins_are_tasks: false,
            task_ms: 100,
            upper_states: false,
            locations: Locations::Path,
            several_partitions: false,
            numeric_ids: false,
            objects_path: ObjectsPath::ByVersion,
            objects_session: ObjectsSession::Single,
            object_names: Names::Plain,
            object_values: Values::Words,
            object_wrap: false,
            object_list_whole: false,
            hidden_object: Hidden::Object,
            list_hidden: true,
            extra_objects: 0,
            login: SlotLogin::Basic,
            crypto: None,
        }
    }
}

macro_rules! rows {
    ($($name:ident $values:literal |$settings:ident, $value:ident| $set:expr;)*) => {
        &[$(Row { name: stringify!($name), values: $values, set: |$settings, $value| $set }),*]
    };
}

/// Every setting.
const ROWS: &[Row<Settings>] = rows! {
    version "the newest version of the API, 4 to 99" |s, v| put(&mut s.version, v).filter(|()| (4..100).contains(&s.version));
    content_type "strict or lenient" |s, v| choose(&mut s.strict_types, v, &[("strict", true), ("lenient", false)]);
    jwt "5, always or never" |s, v| choose(&mut s.jwt, v, &[("5", Jwt::Version5), ("always", Jwt::Always), ("never", Jwt::Never)]);
    session_by_jwt "yes or no" |s, v| yes(&mut s.session_by_jwt, v);
    cookie "the name of a cookie" |s, v| name(&mut s.cookie, v);
    cookies "one or two" |s, v| choose(&mut s.second_cookie, v, &[("one", false), ("two", true)]);
    cookie_alone "yes or no" |s, v| yes(&mut s.cookie_alone, v);
    lost_cookie "not_private or credentials" |s, v| choose(&mut s.lost_is_not_private, v, &[("not_private", true), ("credentials", false)]);
    session_idle "seconds" |s, v| put(&mut s.session_idle, v);
    challenge "certificate, public_key or either" |s, v| choose(&mut s.challenge, v, &[("certificate", Asks::Certificate), ("public_key", Asks::PublicKey), ("either", Asks::Either)]);
    challenge_tie "cookie, none or session" |s, v| choose(&mut s.challenge_tie, v, &[("cookie", Tie::Cookie), ("none", Tie::Nothing), ("session", Tie::Session)]);
    challenge_life "seconds" |s, v| put(&mut s.challenge_life, v);
    challenge_bytes "1 to 200" |s, v| put(&mut s.challenge_bytes, v).filter(|()| (1..=200).contains(&s.challenge_bytes));
    pem_in "any, real or literal" |s, v| choose(&mut s.pem_in, v, &[("any", PemIn::Any), ("real", PemIn::Real), ("literal", PemIn::Literal)]);
    pem_out "literal or real" |s, v| choose(&mut s.pem_out_literal, v, &[("literal", true), ("real", false)]);
    enrol_path "plural, singular or both" |s, v| choose(&mut s.enrol_path, v, &[("plural", EnrolPath::Plural), ("singular", EnrolPath::Singular), ("both", EnrolPath::Both)]);
    acl_status "401 or 403" |s, v| choose(&mut s.acl_status, v, &[("401", 401), ("403", 403)]);
    attempts "1 or more" |s, v| put(&mut s.attempts, v).filter(|()| s.attempts > 0);
    wrong_password "401, 400 or not_authenticated" |s, v| choose(&mut s.wrong_password, v, &[("401", WrongPassword::Unauthorized), ("400", WrongPassword::BadRequest), ("not_authenticated", WrongPassword::NotAuthenticated)]);
    pin_to_be_changed "refuse or allow" |s, v| choose(&mut s.refuses_unchanged, v, &[("refuse", true), ("allow", false)]);
    change_password "both, patch or put" |s, v| choose(&mut s.change_password, v, &[("both", ChangePassword::Both), ("patch", ChangePassword::Patch), ("put", ChangePassword::Put)]);
    min_password "a number of characters" |s, v| put(&mut s.min_password, v);
    ped "yes or no" |s, v| yes(&mut s.ped, v);
    login_by "answer or task" |s, v| choose(&mut s.logins_are_tasks, v, &[("answer", false), ("task", true)]);
    task_ms "milliseconds" |s, v| put(&mut s.task_ms, v);
    task_states "capitalised or upper" |s, v| choose(&mut s.upper_states, v, &[("capitalised", false), ("upper", true)]);
    locations "path, bare or absolute" |s, v| choose(&mut s.locations, v, &[("path", Locations::Path), ("bare", Locations::Bare), ("absolute", Locations::Absolute)]);
    partitions "one or several" |s, v| choose(&mut s.several_partitions, v, &[("one", false), ("several", true)]);
    ids "text or number" |s, v| choose(&mut s.numeric_ids, v, &[("text", false), ("number", true)]);
    objects_path "version, objects, object or both" |s, v| choose(&mut s.objects_path, v, &[("version", ObjectsPath::ByVersion), ("objects", ObjectsPath::Objects), ("object", ObjectsPath::Object), ("both", ObjectsPath::Both)]);
    objects_session "object, any or private" |s, v| choose(&mut s.objects_session, v, &[("object", ObjectsSession::Single), ("any", ObjectsSession::Neither), ("private", ObjectsSession::Both)]);
    object_names "plain, cka, spaced or snake" |s, v| choose(&mut s.object_names, v, &[("plain", Names::Plain), ("cka", Names::Cka), ("spaced", Names::Spaced), ("snake", Names::Snake)]);
    object_values "words, cko or numbers" |s, v| choose(&mut s.object_values, v, &[("words", Values::Words), ("cko", Values::Cko), ("numbers", Values::Numbers)]);
    object_wrap "no or yes" |s, v| yes(&mut s.object_wrap, v);
    object_list "ids or whole" |s, v| choose(&mut s.object_list_whole, v, &[("ids", false), ("whole", true)]);
    hidden_object "object, nothing or refused" |s, v| choose(&mut s.hidden_object, v, &[("object", Hidden::Object), ("nothing", Hidden::Nothing), ("refused", Hidden::Refused)]);
    list_hidden "yes or no" |s, v| yes(&mut s.list_hidden, v);
    extra_objects "a number of keys" |s, v| put(&mut s.extra_objects, v);
    login "basic, jwt or certificate" |s, v| choose(&mut s.login, v, &[("basic", SlotLogin::Basic), ("jwt", SlotLogin::Jwt), ("certificate", SlotLogin::Certificate)]);
    crypto "the label of a slot" |s, v| { s.crypto = Some(v.to_owned()); Some(()) };
};

/// A token of RFC 9110 section 5.6.2, as far as anybody would call a cookie so.
fn name(place: &mut String, text: &str) -> Option<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (!text.is_empty() && text.bytes().all(allowed)).then(|| text.clone_into(place))
}

impl Settings {
    /// Reads `--set NAME=VALUE`.
    pub(super) fn read(given: &[(String, String)]) -> Result<Settings, Error> {
        settings::read(ROWS, given)
    }
}
