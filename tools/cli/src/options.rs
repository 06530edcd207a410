//! What `p11rest emulate` takes, and what the emulator makes of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use p11rest_emulator::{
    Api, CertificateForm, CertificatesRole, ClientAuth, Ending, Idle, LoneAsynchronous, MalformedCode,
    MissingCertificate, Options, PIN, RandomRole, Switches, TlsVersion, UsageRefusal, Version,
};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  A Securosys TSB with HTTPS; in another terminal, with the PIN 1234:
    p11rest emulate --dir /tmp/hsm --tls
    p11rest list --objects --config /tmp/hsm/p11rest.toml
  All vendors at once, with one configuration for their slots:
    p11rest emulate --vendor all --dir /tmp/hsms")]
pub struct EmulateArgs {
    /// Where keys, secrets and the ready-made configuration are kept; made if missing.
    #[arg(long)]
    pub dir: PathBuf,
    /// Whose API is spoken; several names with commas, or "all": each on a port and in a folder of its own.
    #[arg(long, default_value = "securosys", value_parser = vendors)]
    pub vendor: Vendors,
    /// A reading of the vendor's documentation other than Securosys's; may be given again. docs/emulator.md has them all.
    /// With several vendors the name is VENDOR.NAME.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// The TCP port, of several vendors that of the first; 0 takes any that is free.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Speaks HTTPS with a certificate from an authority of its own (DIR/ca.pem).
    #[arg(long)]
    pub tls: bool,
    /// Whether clients must show a certificate; good and bad ones are in DIR (client.pem, revoked.pem, …).
    #[arg(long, value_name = "WHETHER", default_value = "none", requires_if("want", "tls"),
          requires_if("need", "tls"), value_parser = choice(&CLIENT_AUTHS))]
    client_auth: ClientAuth,
    /// The newest version of TLS that is spoken.
    #[arg(long, value_name = "VERSION", default_value = "1.3", value_parser = choice(&TLS_VERSIONS))]
    tls_max: TlsVersion,
    /// How long each answer is held back, in milliseconds.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=600_000))]
    latency_ms: u64,
    /// Answers a repeated request from memory, without cryptography: for benchmarks.
    #[arg(long)]
    canned: bool,
    /// Closes connections that have been idle for that long after an answer, in milliseconds.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    idle_ms: Option<u64>,
    /// How they are closed; "silent" is FIN without close_notify.
    #[arg(long, value_name = "HOW", default_value = "fin", requires = "idle_ms", value_parser = choice(&ENDINGS))]
    idle_how: Ending,
    /// The PIN of the slot: a password, or the API key for key operations.
    #[arg(long, value_name = "TEXT", default_value = PIN, value_parser = visible_ascii)]
    pub pin: String,
    /// The JSON Web Token that requests must carry; it is kept in DIR/bearer.jwt.
    #[arg(long, value_name = "TOKEN", value_parser = visible_ascii)]
    pub bearer: Option<String>,
    /// Asks for no API keys: the PIN is then the token of --bearer, and without that no login is needed.
    #[arg(long)]
    pub no_api_keys: bool,
    /// The licences of the partition, separated by commas.
    #[arg(long, value_name = "FLAGS", value_enum, value_delimiter = ',', default_value = "REST_API")]
    licence: Vec<Licence>,
    #[command(flatten)]
    readings: Readings,
}

/// Where the vendor's documentation leaves a choice.
#[derive(clap::Args)]
#[command(next_help_heading = "Readings of the vendor's documentation")]
struct Readings {
    /// Whose API key certificates ask for.
    #[arg(long, value_name = "ROLE", default_value = "key_management", value_parser = choice(&CERTIFICATES_ROLES))]
    certificates_role: CertificatesRole,
    /// Whose API key random bytes ask for.
    #[arg(long, value_name = "ROLE", default_value = "key_operation", value_parser = choice(&RANDOM_ROLES))]
    random_role: RandomRole,
    /// The HTTP status where an API key is missing.
    #[arg(long, value_name = "STATUS", default_value = "401", value_parser = choice(&MISSING_API_KEY_STATUSES))]
    missing_api_key_status: u16,
    /// The HTTP status where the JSON Web Token is missing or wrong.
    #[arg(long, value_name = "STATUS", default_value = "401",
          value_parser = choice(&ACCESS_TOKEN_STATUSES))]
    access_token_status: u16,
    /// The error code for malformed JSON and unknown enumeration values.
    #[arg(long, value_name = "CODE", default_value = "600", value_parser = choice(&MALFORMED_CODES))]
    malformed_code: MalformedCode,
    /// What is answered for the certificate of a key that has none.
    #[arg(long, value_name = "ANSWER", default_value = "no_such_key", value_parser = choice(&MISSING_CERTIFICATES))]
    missing_certificate: MissingCertificate,
    /// The form of certificates in answers.
    #[arg(long, value_name = "FORM", default_value = "pem", value_parser = choice(&CERTIFICATE_FORMS))]
    certificate_form: CertificateForm,
    /// Tells the size of symmetric keys, too.
    #[arg(long)]
    symmetric_key_size: bool,
    /// The error code where a key may not sign or decrypt.
    #[arg(long, value_name = "CODE", default_value = "701", value_parser = choice(&USAGE_REFUSALS))]
    usage_refusal: UsageRefusal,
    /// The error code where a key may not be deleted.
    #[arg(long, value_name = "CODE", default_value = "606", value_parser = choice(&USAGE_REFUSALS))]
    undestroyable_refusal: UsageRefusal,
    /// The version of the server.
    #[arg(long, value_name = "VERSION", default_value = "2.5", value_parser = choice(&VERSIONS))]
    server_version: Version,
    /// What becomes of asynchronous calls without the licence TSB_ENGINE.
    #[arg(long, value_name = "FATE", default_value = "refused", value_parser = choice(&LONE_ASYNCHRONOUS))]
    lone_asynchronous: LoneAsynchronous,
    /// Makes a key "locked" whose password is "pw".
    #[arg(long)]
    locked_key: bool,
}

const CLIENT_AUTHS: [(&str, ClientAuth); 3] =
    [("none", ClientAuth::None), ("want", ClientAuth::Want), ("need", ClientAuth::Need)];
const ENDINGS: [(&str, Ending); 3] =
    [("fin", Ending::Fin), ("rst", Ending::Reset), ("silent", Ending::Silent)];
const TLS_VERSIONS: [(&str, TlsVersion); 2] = [("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];
const CERTIFICATES_ROLES: [(&str, CertificatesRole); 2] =
    [("key_management", CertificatesRole::KeyManagement), ("key_operation", CertificatesRole::KeyOperation)];
const RANDOM_ROLES: [(&str, RandomRole); 2] =
    [("key_operation", RandomRole::KeyOperation), ("service", RandomRole::Service)];
const MISSING_API_KEY_STATUSES: [(&str, u16); 2] = [("401", 401), ("400", 400)];
const ACCESS_TOKEN_STATUSES: [(&str, u16); 3] = [("401", 401), ("400", 400), ("403", 403)];
const MALFORMED_CODES: [(&str, MalformedCode); 3] =
    [("600", MalformedCode::Validation600), ("621", MalformedCode::Json621), ("501", MalformedCode::Enum501)];
const MISSING_CERTIFICATES: [(&str, MissingCertificate); 4] = [
    ("no_such_key", MissingCertificate::NoSuchKey),
    ("invalid", MissingCertificate::Invalid),
    ("null", MissingCertificate::Null),
    ("not_found", MissingCertificate::NotFound),
];
const CERTIFICATE_FORMS: [(&str, CertificateForm); 2] =
    [("pem", CertificateForm::Pem), ("base64", CertificateForm::Base64)];
const USAGE_REFUSALS: [(&str, UsageRefusal); 3] = [
    ("701", UsageRefusal::InHsm701),
    ("606", UsageRefusal::Attributes606),
    ("614", UsageRefusal::Forbidden614),
];
const VERSIONS: [(&str, Version); 2] = [("2.2", Version::V2_2), ("2.5", Version::V2_5)];
const LONE_ASYNCHRONOUS: [(&str, LoneAsynchronous); 2] =
    [("refused", LoneAsynchronous::Refused), ("forwarded", LoneAsynchronous::Forwarded)];

/// One of these words, for the value beside it.
fn choice<T: Copy + Send + Sync + 'static>(
    choices: &'static [(&'static str, T)],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(choices.iter().map(|(word, _)| *word)).try_map(|word| {
        let known = choices.iter().find(|(known, _)| *known == word);
        known.map(|(_, value)| *value).ok_or("not one of those that there are")
    })
}

/// One vendor, or several.
#[derive(Clone, Debug)]
pub struct Vendors(pub Vec<Api>);

fn vendors(text: &str) -> Result<Vendors, String> {
    if text == "all" {
        return Ok(Vendors(Api::ALL.map(|(_, api)| api).to_vec()));
    }
    let mut apis = Vec::new();
    for name in text.split(',') {
        let known = Api::ALL.iter().find(|(known, _)| *known == name).map(|(_, api)| *api);
        match known.filter(|api| !apis.contains(api)) {
            Some(api) => apis.push(api),
            None if known.is_some() => return Err(format!("{name} is there twice")),
            None => {
                let names = Api::ALL.map(|(name, _)| name).join(", ");
                return Err(format!("{name:?} is none of them: {names}, or all"));
            }
        }
    }
    Ok(Vendors(apis))
}

fn setting(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What a header takes as a credential: visible ASCII.
fn visible_ascii(text: &str) -> Result<String, &'static str> {
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("a credential is visible ASCII without blanks"),
    }
}

impl EmulateArgs {
    /// The same for an emulator of that API.
    pub fn options(&self, api: Api) -> Options {
        Options {
            api,
            settings: self.settings.clone(),
            dir: self.dir.clone(),
            port: self.port,
            tls: self.tls,
            client_auth: self.client_auth,
            tls_max: self.tls_max,
            latency: Duration::from_millis(self.latency_ms),
            canned: self.canned,
            idle: self.idle_ms.map(|ms| Idle { limit: Duration::from_millis(ms), ending: self.idle_how }),
            pin: self.pin.clone(),
            bearer: self.bearer.clone(),
            switches: self.switches(),
        }
    }

    fn switches(&self) -> Switches {
        let readings = &self.readings;
        Switches {
            api_keys: !self.no_api_keys,
            certificates_role: readings.certificates_role,
            random_role: readings.random_role,
            missing_api_key_status: readings.missing_api_key_status,
            access_token_status: readings.access_token_status,
            malformed_code: readings.malformed_code,
            missing_certificate: readings.missing_certificate,
            symmetric_key_size: readings.symmetric_key_size,
            certificate_form: readings.certificate_form,
            usage_refusal: readings.usage_refusal,
            undestroyable_refusal: readings.undestroyable_refusal,
            version: readings.server_version,
            licence_rest_api: self.licence.contains(&Licence::RestApi),
            licence_tsb_engine: self.licence.contains(&Licence::TsbEngine),
            lone_asynchronous: readings.lone_asynchronous,
            locked_key: readings.locked_key,
        }
    }
}

/// Flags of a partition.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Licence {
    /// Keys without policy, synchronous calls
    #[value(name = "REST_API")]
    RestApi,
    /// Asynchronous calls; KEY_AUTH comes with it
    #[value(name = "TSB_ENGINE")]
    TsbEngine,
}
