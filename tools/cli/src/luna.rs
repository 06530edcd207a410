//! `p11rest luna enroll`: tells a Luna appliance the certificate with which an account will log in, over its REST API
//! (Luna reference section 4.5). That is done once, with the password of the account or of an administrator; from then on
//! the module needs no password of the appliance.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::Subcommand;
use der::Decode as _;
use der::asn1::AnyRef;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{ACCEPT, CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Certificate, Method, StatusCode, Url};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::report::{line, shell};

/// How long the appliance may take for each answer.
const PATIENCE: Duration = Duration::from_secs(30);
const SESSION: [&str; 2] = ["auth", "session"];

/// What `p11rest luna` takes.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Posts a certificate to an account of a Luna appliance, which can log in with its key from then on.
    Enroll(EnrollArgs),
}

/// What `p11rest luna enroll` takes.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  A certificate for the account p11rest, which an administrator enrols:
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=p11rest -days 730 -keyout key.pem -out cert.pem
    p11rest luna enroll --url https://luna.example:8443 --user p11rest --by admin \\
      --password-file admin.password --certificate cert.pem --key key.pem --ca luna.pem")]
struct EnrollArgs {
    /// The appliance: https://HOST:8443. Plain http is for loopback alone.
    #[arg(long)]
    url: Url,
    /// The account that the certificate is for.
    #[arg(long)]
    user: String,
    /// The account that does it, if it is another one: an administrator.
    #[arg(long, value_name = "USER")]
    by: Option<String>,
    /// The file with the password of the account that does it; "-" reads a line of standard input.
    #[arg(long, value_name = "FILE")]
    password_file: PathBuf,
    /// The certificate of an RSA key, PEM.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its private key, where it is on this machine: looked at and named in the configuration, not sent.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The authority that the appliance's own certificate comes from, or that certificate if it signs itself; PEM. Else
    /// those of the system.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The version of the API; else the newest.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=999))]
    api_version: Option<u32>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<(), Failure> {
    let Command::Enroll(args) = &args.command;
    let certificate = certificate(&args.certificate)?;
    if let Some(key) = &args.key {
        belongs_to(&certificate, key)?;
    }
    let certificate = one_line_pem(&certificate);
    let appliance = Appliance::new(args)?;
    appliance.enroll(&args.user, &certificate)?;
    line(format_args!(
        "{} may log in at {} with the key of {}. Its slot:\n",
        args.user,
        args.url,
        args.certificate.display()
    ));
    line(format_args!("{}", slot(args)));
    Ok(())
}

/// What to write into the configuration of the module.
fn slot(args: &EnrollArgs) -> String {
    let absolute = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let certificate = absolute(&args.certificate);
    let key = match &args.key {
        Some(key) => format!("key = {:?}\n", absolute(key)),
        None => "# key: the file with its private key\n".to_owned(),
    };
    let version = args.api_version.map(|version| format!("api_version = {version}\n")).unwrap_or_default();
    format!(
        "[slot.luna]\nuser = {:?}\nlogin = \"certificate\"\ncertificate = {:?}\n{key}{version}",
        args.user, certificate
    )
}

/// The certificate in the file.
fn certificate(path: &Path) -> Result<Vec<u8>, Failure> {
    let remedy =
        || format!("make one with: openssl req -x509 -key KEY -subj /CN=NAME -days 730 -out {}", shell(path));
    let wrong = |what: String| Failure::new(format_args!("{}: {what}", path.display())).remedy(remedy());
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    match der::pem::decode_vec(&text) {
        Ok(("CERTIFICATE", der)) => Ok(der),
        Ok((label, _)) => Err(wrong(format!("holds a {label}, and no certificate"))),
        Err(error) => Err(wrong(format!("is no certificate in PEM: {error}"))),
    }
}

/// Before the appliance knows a certificate with which nobody can log in. A private RSA key has the public one in it: modulus
/// and exponent, one behind the other as there.
fn belongs_to(certificate: &[u8], key: &Path) -> Result<(), Failure> {
    let text = fs::read(key).map_err(Failure::in_context(key.display()))?;
    let (label, private) = der::pem::decode_vec(&text).map_err(Failure::in_context(key.display()))?;
    let public = rsa_numbers(certificate).map_err(Failure::in_context("the certificate's key"))?;
    match private.windows(public.len()).any(|window| window == public) {
        true => Ok(()),
        false => Err(Failure::new(format_args!(
            "{}: holds a {label}, and not that of the certificate",
            key.display()
        ))),
    }
}

/// What is in the RSAPublicKey of a certificate.
fn rsa_numbers(certificate: &[u8]) -> der::Result<Vec<u8>> {
    let certificate = x509_cert::Certificate::from_der(certificate)?;
    let key = certificate.tbs_certificate.subject_public_key_info.subject_public_key;
    Ok(AnyRef::from_der(key.raw_bytes())?.value().to_vec())
}

/// The certificate as the vendor's samples write it: its base64 in one line.
fn one_line_pem(certificate: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", BASE64_STANDARD.encode(certificate))
}

/// The appliance, for one account.
struct Appliance {
    client: Client,
    url: Url,
    account: String,
    password: String,
    media_type: String,
}

impl Appliance {
    fn new(args: &EnrollArgs) -> Result<Appliance, Failure> {
        check_url(&args.url)?;
        // There may be one already: the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            // The password goes to nobody else.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &args.ca {
            let pem = fs::read(path).map_err(Failure::in_context(path.display()))?;
            let authorities =
                Certificate::from_pem_bundle(&pem).map_err(Failure::in_context(path.display()))?;
            builder = builder.tls_certs_only(authorities);
        }
        let version = args.api_version.map(|version| version.to_string()).unwrap_or_default();
        Ok(Appliance {
            client: builder.build().map_err(Failure::in_context("HTTP client"))?,
            url: args.url.clone(),
            account: args.by.clone().unwrap_or_else(|| args.user.clone()),
            password: password(&args.password_file)?,
            media_type: format!("application/vnd.safenetinc.lunasa+json;version={version}"),
        })
    }

    /// Posts the certificate. The sources disagree on a few things, so what the appliance does not take for the reason at
    /// hand is said the other way; a refused password is not shown again.
    fn enroll(&self, user: &str, certificate: &str) -> Result<(), Failure> {
        let literal = certificate.replace('\n', "\\n");
        let mut last = None;
        for path in ["certificates", "certificate"] {
            for pem in [certificate, &literal] {
                let answer = self.post(&["users", user, path], &json!({ "certificate": pem }))?;
                if answer.status.is_success() {
                    return Ok(());
                }
                let (status, is_about_body) = (answer.status, answer.status == StatusCode::BAD_REQUEST);
                last = Some(answer);
                if matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                    break;
                }
                if !is_about_body {
                    return Err(self.refused(user, last.as_ref()));
                }
            }
        }
        Err(self.refused(user, last.as_ref()))
    }

    /// Posts with the password; on a private session if the appliance asks for one.
    fn post(&self, path: &[&str], body: &Value) -> Result<Answer, Failure> {
        let answer = self.send(self.request(Method::POST, path, body))?;
        if answer.id != "FRAMEWORK_SESSION_NOT_PRIVATE" {
            return Ok(answer);
        }
        let session = self.send(self.request(Method::POST, &SESSION, &json!({})))?;
        let on_session = |request: RequestBuilder| request.header(COOKIE, &session.cookies);
        let answer = self.send(on_session(self.request(Method::POST, path, body)))?;
        self.send(on_session(self.request(Method::DELETE, &SESSION, &Value::Null)))?;
        Ok(answer)
    }

    fn request(&self, method: Method, path: &[&str], body: &Value) -> RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.client.request(method, url).basic_auth(&self.account, Some(&self.password));
        let request = request.header(ACCEPT, &self.media_type);
        match body {
            Value::Null => request,
            body => request.header(CONTENT_TYPE, &self.media_type).body(body.to_string()),
        }
    }

    fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let answer = request.send().map_err(|error| {
            let failure = Failure::new(format_args!("{}: {}", self.url, causes(&error)));
            match error.is_connect() && self.url.scheme() == "https" {
                true => failure.remedy("if its certificate is not trusted: name the authority with --ca"),
                false => failure,
            }
        })?;
        Ok(Answer::read(answer))
    }

    fn refused(&self, user: &str, answer: Option<&Answer>) -> Failure {
        let Some(Answer { status, id, text, .. }) = answer else { return Failure::new("nothing was sent") };
        let account = &self.account;
        let failure = Failure::new(format_args!("{} answered HTTP {status}{text}", self.url));
        match (status.as_u16(), id.as_str()) {
            (403, _) | (_, "FRAMEWORK_NO_ACL_RULE") => failure.remedy(format_args!(
                "{account} may not do that: let an administrator do it (--by), or allow it POST:/users/{{userid}}/certificates"
            )),
            (401, _) => failure.remedy(format_args!(
                "the password of {account} was not taken; one that an administrator has set must be changed first"
            )),
            (404, _) => failure.remedy(format_args!("there may be no account {user}")),
            _ => failure,
        }
    }
}

/// What of an answer is looked at.
struct Answer {
    status: StatusCode,
    /// Of an error object.
    id: String,
    /// What it says, for people.
    text: String,
    /// Those that it sets, for the next request.
    cookies: String,
}

impl Answer {
    fn read(answer: Response) -> Answer {
        let pairs = answer.headers().get_all(SET_COOKIE).iter();
        let pairs = pairs.filter_map(|line| line.to_str().ok()?.split(';').next());
        let (status, cookies) = (answer.status(), pairs.collect::<Vec<_>>().join("; "));
        let body = answer.bytes().unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let texts = ["id", "message", "details"].map(|name| body[name].as_str().unwrap_or_default());
        let text =
            texts.iter().filter(|text| !text.is_empty()).map(|text| format!(", {}", text.escape_debug()));
        Answer { status, id: texts[0].to_owned(), text: text.collect(), cookies }
    }
}

/// An error with its reasons.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// A password goes over plain HTTP to this machine alone.
fn check_url(url: &Url) -> Result<(), Failure> {
    let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        "http" => Err(Failure::new(format_args!("{url} would show the password to the network"))
            .remedy("write https://")),
        other => {
            Err(Failure::new(format_args!("{url}: {other} is not spoken")).remedy("write https://HOST:8443"))
        }
    }
}

/// The first line of the file.
fn password(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    let text = text.map_err(Failure::in_context(path.display()))?;
    match text.lines().next().filter(|password| !password.is_empty()) {
        Some(password) => Ok(password.to_owned()),
        None => Err(Failure::new(format_args!("{}: there is no password in it", path.display()))),
    }
}
