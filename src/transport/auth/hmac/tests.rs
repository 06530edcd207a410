//! The vectors of the gateway reference, section 6, and of the pages that it names.

use super::*;
use crate::config;
use crate::config::hmac::{Digest, EmptyBody, MacMode, QueryMode};
use crate::transport::seal::Finding;
use crate::transport::{Class, Kept, Method, Response};

const SECRET: &str = "test-secret-0123456789abcdef";
const KEY_ID: &str = "client-001";
const NONCE: &str = "6f1e7b0c-2a4d-4c3e-9b8f-0d5a1e2f3c4b";
const BODY: &str =
    r#"{"certificateSN":"1234567890ABCDEF","hashArray":["n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="]}"#;

/// The scheme that the configuration makes of these keys of `[slot.auth.hmac]`.
fn configured(keys: &[(&str, &str)]) -> Scheme {
    let slot = [
        ("LABEL", "a"),
        ("BACKEND", "securosys"),
        ("URLS", "http://a"),
        ("AUTH_HMAC_KEY_ID", KEY_ID),
        ("AUTH_HMAC_SECRET", "pin"),
    ];
    let slot = slot.map(|(name, value)| (format!("P11REST_SLOT_0_{name}"), value));
    let keys = keys.iter().map(|(name, value)| (format!("P11REST_SLOT_0_AUTH_HMAC_{name}"), *value));
    let variables = slot.into_iter().chain(keys).map(|(name, value)| (name.into(), value.into()));
    let config = config::load(None, &config::Process::with_environment(false, variables)).unwrap();
    config.slots[0].token.as_ref().unwrap().auth.hmac.as_ref().unwrap().scheme.clone()
}

fn preset(name: &str) -> Scheme {
    let needed = match name {
        "acquia2" => "realm=r",
        "sigv4" => "region=r\nservice=s",
        _ => "none=",
    };
    configured(&[("PRESET", name), ("PARAMETERS", needed)])
}

fn signer(scheme: Scheme, key_id: &str, secret: &'static str) -> Signer {
    let key_id = key_id.to_owned();
    let settings = config::Hmac { scheme, key_id, secret: config::Secret::Pin, sign_token_calls: true };
    Signer::new(&settings, Credential::fixed(move || Ok(secret.into())), &Log::off())
}

/// A request that is signed, by whom and when.
struct Case<'a> {
    scheme: Scheme,
    secret: &'static str,
    key_id: &'a str,
    method: Method,
    url: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    millis: i64,
    nonce: &'a str,
    class: Class,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            scheme: preset("v3.0"),
            secret: SECRET,
            key_id: KEY_ID,
            method: Method::Post,
            url: "https://gw.example/api/sign/signhash",
            headers: &[],
            body: BODY,
            millis: 1_700_000_000_000,
            nonce: NONCE,
            class: Class::OnceOnly,
        }
    }
}

impl Case<'_> {
    fn seal(self) -> Sealed {
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let port = host.split_once(':').map(|(_, port)| port.parse().unwrap());
        let mut headers = Headers::default();
        for (name, value) in self.headers {
            headers.add(name, value).unwrap();
        }
        let outgoing = Outgoing {
            method: self.method,
            tls: scheme == "https",
            host,
            port: port.unwrap_or(if scheme == "https" { 443 } else { 80 }),
            base: "",
            path,
            fixed: b"Content-Type: application/json\r\n",
            headers: &headers,
            body: self.body.as_bytes(),
            class: self.class,
        };
        let signer = signer(self.scheme, self.key_id, self.secret);
        let moment = Moment { nonce: self.nonce.to_owned(), ..signer.moment(self.millis).unwrap() };
        signer.seal_at(&outgoing, moment, self.millis).unwrap()
    }

    /// The value of a line that the request gets.
    fn line(self, name: &str) -> String {
        lines(&self.seal()).into_iter().find(|(known, _)| known == name).unwrap().1
    }
}

fn lines(sealed: &Sealed) -> Vec<(String, String)> {
    let text = String::from_utf8(sealed.headers.as_bytes().to_vec()).unwrap();
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.split_terminator("\r\n").map(|line| pair(line).unwrap()).collect()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let body = body.as_bytes().to_vec().into();
    Response { status, retry_after: None, kept: Kept::of(headers), body }
}

fn v3(change: impl FnOnce(&mut Scheme)) -> Scheme {
    let mut scheme = preset("v3.0");
    change(&mut scheme);
    scheme
}

/// V1.
#[test]
fn the_profile_signs_eight_lines() {
    let sealed = Case::default().seal();
    let lines = lines(&sealed);
    let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        lines,
        [
            ("X-Auth-Version", "v3.0"),
            ("X-Key-Id", KEY_ID),
            ("X-Timestamp", "1700000000"),
            ("X-Nonce", NONCE),
            ("X-Content-SHA256", "e0e0741f6a6fbfd0cd64fd2254b8b7fd2fabcb05ec3de9e28bb2971b5b2f5cfd"),
            ("X-Signature", "55205aaf6e599e6d8db0dec964c3b4d0d7115bed39f4a42a4111e4706064f5be"),
        ]
    );
}

/// The table of V1; the last two rows of it are of other modes.
#[test]
fn the_profile_with_other_hashes_encodings_and_modes() {
    let hash = |hash| v3(|scheme| scheme.hash = hash);
    let output = |output| v3(|scheme| scheme.output = output);
    let mode = |mode| v3(|scheme| scheme.mac = mode);
    for (scheme, signature) in [
        (output(Encoding::Base64), "VSBar25Znm2NsN7JZMO00NcRW+059KQqQRHkcGBk9b4="),
        (output(Encoding::Base64UrlUnpadded), "VSBar25Znm2NsN7JZMO00NcRW-059KQqQRHkcGBk9b4"),
        (output(Encoding::UpperHex), "55205AAF6E599E6D8DB0DEC964C3B4D0D7115BED39F4A42A4111E4706064F5BE"),
        (hash(Digest::Sha1), "94ec4ef44628364a2e63e3cb27330f88e7f3e284"),
        (
            hash(Digest::Sha384),
            "2f1f2e6a05df4e600c376764b634e99b47b22ceb80d4b5ac86413f1a33939292ca00f65d089e8c0d25357cd3b450cddb",
        ),
        (
            hash(Digest::Sha512),
            "b24fb9c6e4f64c2c379a2668b18eb7a7aebd191dfafa7be0a65a4a663d64c0cb8ef0dc3390bce3a7a4663edb569849a91e622e9cf0088f29a617014c2535dc19",
        ),
        (mode(MacMode::DigestSuffix), "60beba1e6904ad631df5b5dd2009170256b385bd447ad854246efe5a3f75816c"),
        (mode(MacMode::HmacSuffix), "526070696bf972aec6eebab7a2f48ed25c44021cff99aab3ccdd71b04ca0f0c5"),
        // `openssl dgst -sha256` of the secret and the text of V1.
        (mode(MacMode::DigestPrefix), "23a2f30b34dc3ef168da00af3393f400cc6ae8cf5b8c9876ca1cfc0ed9a3fcf6"),
    ] {
        assert_eq!(Case { scheme, ..Case::default() }.line("X-Signature"), signature);
    }
}

/// V2.
#[test]
fn a_query_is_signed_as_sent_and_no_body_has_a_hash() {
    let case = || Case {
        method: Method::Get,
        url: "https://gw.example/api/v1/keys?a=1&b=%C3%A9&b=x%20y",
        body: "",
        ..Case::default()
    };
    let signature = "559e508466eaf8fb10c6073414787b089ca89b117e7cda90efd4c9ffec917bab";
    assert_eq!(case().line("X-Signature"), signature);
    // It is sorted as it is: this prefix makes the path of the vector of a longer one.
    let scheme = v3(|scheme| {
        scheme.query = QueryMode::Sorted;
        scheme.path_prefix_strip = "/gate".to_owned();
    });
    let url = "https://gw.example/gate/api/v1/keys?b=x%20y&b=%c3%a9&a=1";
    assert_eq!(Case { scheme, url, ..case() }.line("X-Signature"), signature);
    let scheme = v3(|scheme| scheme.output = Encoding::Base64);
    let base64 = "VZ5QhGbq+PsQxgc0FHh7CJyomxF+fNqQ79TJ/+yRe6s=";
    assert_eq!(Case { scheme, ..case() }.line("X-Signature"), base64);
}

/// V4.
#[test]
fn amx() {
    let case = Case {
        scheme: preset("amx"),
        secret: "A93reRTUJHsCuQSHR+L3GxqOJyDmQpCgps102ciuabc=",
        key_id: "4d53bce03ec34c0a911182d4c228ee6c",
        url: "https://gw.example/api/Sign/SignHash",
        nonce: "7ed378c1967441bbafa469e1d88f7d18",
        ..Case::default()
    };
    assert_eq!(
        case.line("Authorization"),
        "amx 4d53bce03ec34c0a911182d4c228ee6c:8gYGZ+v28mXvedEyskfVT9qAojoviFmMojvDnEXuF6s=:\
         7ed378c1967441bbafa469e1d88f7d18:1700000000"
    );
}

/// V5 and V6.
#[test]
fn time_and_body_alone_or_with_method_and_path() {
    for (name, signature) in [
        ("ts.body", "7bceb6af7b7fda404f44b30929995bd21afb58fc6f4b2c6613f4ca2947df809b"),
        ("method-path-body", "23e6576f4b7c8673063d997665a9c3dec0bd742c59fd55080d4feb0e3f240e91"),
    ] {
        let case = Case { scheme: preset(name), ..Case::default() };
        assert_eq!(case.line("X-Signature"), signature, "{name}");
    }
}

/// V7.
#[test]
fn azure_app_configuration() {
    let sealed = Case {
        scheme: preset("azure-appconfig"),
        secret: "dGVzdC1zZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg==",
        method: Method::Get,
        url: "https://example.azconfig.io/kv?api-version=1.0",
        body: "",
        millis: 1_526_064_516_000,
        ..Case::default()
    }
    .seal();
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        lines(&sealed),
        [
            line("x-ms-date", "Fri, 11 May 2018 18:48:36 GMT"),
            line("x-ms-content-sha256", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
            line(
                "Authorization",
                "HMAC-SHA256 Credential=client-001&SignedHeaders=x-ms-date;host;x-ms-content-sha256\
                 &Signature=deeRqFpqBNIBKwMGoyUn89fkvZJsMg3Wl9Zw8HY1REE="
            ),
        ]
    );
}

fn acquia() -> Case<'static> {
    let scheme = configured(&[("PRESET", "acquia2"), ("PARAMETERS", "realm=Pipet%20service")]);
    Case {
        scheme,
        secret: "W5PeGMxSItNerkNFqQMfYiJvH14WzVJMy54CPoTAYoI=",
        key_id: "efdde334-fe7b-11e4-a322-1697f925ec7b",
        method: Method::Get,
        url: "https://example.acquiapipet.net/v1.0/task-status/133?limit=10",
        body: "",
        millis: 1_432_075_982_000,
        nonce: "d1954337-5319-4821-8427-115542e08d10",
        ..Case::default()
    }
}

/// "GET 1" of the published fixtures.
#[test]
fn acquia_2() {
    let lines = lines(&acquia().seal());
    let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        lines,
        [
            ("X-Authorization-Timestamp", "1432075982"),
            (
                "Authorization",
                "acquia-http-hmac realm=\"Pipet%20service\",id=\"efdde334-fe7b-11e4-a322-1697f925ec7b\",\
                 nonce=\"d1954337-5319-4821-8427-115542e08d10\",version=\"2.0\",headers=\"\",\
                 signature=\"MRlPr/Z1WQY2sMthcaEqETRMw4gPYXlPcTpaLWS2gcc=\""
            ),
        ]
    );
}

/// The published answer to it, and others.
#[test]
fn answers_of_acquia_are_verified() {
    const HEADER: &str = "x-server-authorization-hmac-sha256";
    const BODY: &str = r#"{"id": 133, "status": "done"}"#;
    let good = "M4wYp1MKvDpQtVOnN7LVt9L8or4pKyVLhfUFVJxHemU=";
    let sealed = acquia().seal();
    let check = |status, headers: &[(&str, &str)], body| sealed.check.check(&answer(status, headers, body));
    assert_eq!(check(200, &[(HEADER, good)], BODY).unwrap(), Finding::Good);
    let another = acquia();
    let another = Case { nonce: "d1954337-5319-4821-8427-115542e08d11", ..another }.seal();
    for (answer, reason) in [
        (check(200, &[(HEADER, good)], r#"{"id": 134, "status": "done"}"#), "is not that of the answer"),
        (check(404, &[(HEADER, good)], r#"{}"#), "is not that of the answer"),
        (check(200, &[], BODY), "it has no x-server-authorization-hmac-sha256"),
        (check(204, &[], ""), "it has no x-server-authorization-hmac-sha256"),
        (another.check.check(&answer(200, &[(HEADER, good)], BODY)), "is not that of the answer"),
    ] {
        let error = answer.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.context.contains(reason), "{}", error.context);
    }
    assert_eq!(check(401, &[], "").unwrap(), Finding::Good, "who does not know us cannot sign for us");
}

fn hawk(method: Method, headers: &'static [(&str, &str)], body: &'static str) -> Case<'static> {
    Case {
        scheme: configured(&[("PRESET", "hawk"), ("PARAMETERS", "ext=some-app-ext-data")]),
        secret: "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn",
        key_id: "dh37fgj492je",
        method,
        url: "http://example.com:8000/resource/1?b=1&a=2",
        headers,
        body,
        millis: 1_353_832_234_000,
        nonce: "j4h3g2",
        class: Class::OnceOnly,
    }
}

#[test]
fn hawk_without_and_with_a_body() {
    assert_eq!(
        hawk(Method::Get, &[], "").line("Authorization"),
        "Hawk id=\"dh37fgj492je\", ts=\"1353832234\", nonce=\"j4h3g2\", ext=\"some-app-ext-data\", \
         mac=\"6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=\""
    );
    assert_eq!(
        hawk(Method::Post, &[("Content-Type", "Text/Plain; charset=utf-8")], "Thank you for flying Hawk")
            .line("Authorization"),
        "Hawk id=\"dh37fgj492je\", ts=\"1353832234\", nonce=\"j4h3g2\", \
         hash=\"Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=\", ext=\"some-app-ext-data\", \
         mac=\"aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw=\""
    );
}

#[test]
fn rfc_9421_b_2_5() {
    let mut scheme = preset("rfc9421-hmac");
    scheme.signed_headers = ["date", "@authority", "content-type"].map(str::to_owned).to_vec();
    scheme.nonce = NonceFormat::None;
    let sealed = Case {
        scheme,
        secret: "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==",
        key_id: "test-shared-secret",
        url: "https://example.com/foo?param=Value&Pet=dog",
        headers: &[("Date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("Content-Type", "application/json")],
        body: r#"{"hello": "world"}"#,
        millis: 1_618_884_473_000,
        nonce: "",
        ..Case::default()
    }
    .seal();
    let lines = lines(&sealed);
    let value = |name: &str| lines.iter().find(|(known, _)| known == name).unwrap().1.as_str();
    assert_eq!(value("Signature"), "sig1=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:");
    assert_eq!(
        value("Signature-Input"),
        "sig1=(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\""
    );
    // `openssl dgst -sha256 -binary | base64` of the body, which is also in RFC 9530 appendix D.
    assert_eq!(value("Content-Digest"), "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
}

/// `get-vanilla` of the published test suite.
#[test]
fn signature_version_4() {
    let case = Case {
        scheme: configured(&[("PRESET", "sigv4"), ("PARAMETERS", "region=us-east-1\nservice=service")]),
        secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        key_id: "AKIDEXAMPLE",
        method: Method::Get,
        url: "https://example.amazonaws.com/",
        body: "",
        millis: 1_440_938_160_000,
        ..Case::default()
    };
    assert_eq!(
        case.line("Authorization"),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
}

fn bitgo(method: Method, body: &str, millis: i64) -> Case<'_> {
    Case {
        scheme: preset("bitgo3"),
        secret: "test-token",
        method,
        url: "https://bitgo.example/api/test",
        body,
        millis,
        ..Case::default()
    }
}

#[test]
fn bitgo_3() {
    let sealed = bitgo(Method::Post, "request-body", 1_672_531_200_000).seal();
    let lines = lines(&sealed);
    let lines: Vec<_> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // `printf test-token | sha256sum`
    let token = "Bearer 4c5dc9b7708905f77f5e5d16316b5dfb425e68cb326dcd55a860e90a7707031e";
    assert_eq!(
        lines,
        [
            ("Authorization", token),
            ("Auth-Timestamp", "1672531200000"),
            ("BitGo-Auth-Version", "3.0"),
            ("HMAC", "56b7c2bb722ebfa55600a0201af42ad5cd926340d9df5735005d91db452386d1"),
        ]
    );
}

/// The published answer is right, and years too late.
#[test]
fn answers_of_bitgo_are_verified_and_have_their_time() {
    let sealed = bitgo(Method::Post, "request-body", 1_672_531_200_000).seal();
    let hmac = "a16c08b1fa8bff1e2e58d1831855e1745361f78bd6eb6e18b5b7ee17ae0a3bb7";
    let shown = |hmac, body| {
        let headers = [("hmac", hmac), ("timestamp", "1672531200000")];
        sealed.check.check(&answer(200, &headers, body)).unwrap_err().context
    };
    assert!(shown(hmac, "response-body").contains("s from now"), "{}", shown(hmac, "response-body"));
    assert!(shown(hmac, "response-bodies").contains("is not that of the answer"));
    // Signed now, by the same rules.
    let now = time::now();
    let text = format!("POST|{now}|/api/test|200|response-body");
    let hmac = encode::write(Encoding::Hex, &encode::hmac(Digest::Sha256, b"test-token", &[text.as_bytes()]));
    let headers = [("hmac", hmac.as_str()), ("timestamp", &now.to_string())];
    assert_eq!(sealed.check.check(&answer(200, &headers, "response-body")).unwrap(), Finding::Good);
}

#[test]
fn a_server_of_hawk_signs_over_the_request() {
    let mut case = hawk(Method::Get, &[], "");
    case.scheme = configured(&[("PRESET", "hawk"), ("RESPONSE_VERIFY", "true")]);
    let sealed = case.seal();
    let hash = encode::digest(Digest::Sha256, &[b"hawk.1.payload\ntext/plain\nok\n"]);
    let hash = encode::write(Encoding::Base64, &hash);
    let text = format!(
        "hawk.1.response\n1353832234\nj4h3g2\nGET\n/resource/1?b=1&a=2\nexample.com\n8000\n{hash}\nfrom-server\n"
    );
    let key = b"werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn";
    let mac = encode::write(Encoding::Base64, &encode::hmac(Digest::Sha256, key, &[text.as_bytes()]));
    let line = format!("Hawk mac=\"{mac}\", hash=\"{hash}\", ext=\"from-server\"");
    let headers = [("server-authorization", line.as_str()), ("content-type", "text/plain")];
    assert_eq!(sealed.check.check(&answer(200, &headers, "ok")).unwrap(), Finding::Good);
    assert!(sealed.check.check(&answer(200, &headers, "no")).is_err());
    assert!(sealed.check.check(&answer(200, &[("server-authorization", "Hawk hash=\"x\"")], "ok")).is_err());
}

#[test]
fn nonces_have_their_forms_and_never_come_twice() {
    let signer = |nonce| {
        let scheme = v3(|scheme| scheme.nonce = nonce);
        signer(scheme, KEY_ID, SECRET)
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (format, length) in [
        (NonceFormat::Uuid, 36),
        (NonceFormat::UuidPlain, 32),
        (NonceFormat::Hex, 32),
        (NonceFormat::Base64, 24),
        (NonceFormat::Counter, 16),
    ] {
        let signer = signer(format);
        let nonces: Vec<_> = (0..1000).map(|_| signer.nonce().unwrap()).collect();
        let unique: std::collections::BTreeSet<_> = nonces.iter().collect();
        assert_eq!(unique.len(), 1000);
        assert!(nonces.iter().all(|nonce| nonce.len() == length), "{format:?} {}", nonces[0]);
        if format == NonceFormat::Counter {
            assert!(nonces.is_sorted());
        }
    }
    // RFC 9562 section 5.4: the thirteenth digit is 4, the seventeenth 8 to b.
    let uuid = write_nonce(NonceFormat::Uuid, [0xff; 16]);
    assert_eq!(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert!(digits(&write_nonce(NonceFormat::UuidPlain, [0; 16])));
    assert_eq!(signer(NonceFormat::None).nonce().unwrap(), "");
}

/// Section 7: an unsigned empty line, the line left out, and the hash of nothing.
#[test]
fn no_body_has_three_answers() {
    let text = |empty_body| {
        let scheme = v3(|scheme| scheme.empty_body = empty_body);
        let target = Target::of(
            &Outgoing {
                method: Method::Get,
                tls: false,
                host: "h",
                port: 80,
                base: "/b",
                path: "/p",
                fixed: b"",
                headers: &Headers::default(),
                body: b"",
                class: Class::OnceOnly,
            },
            &scheme,
        );
        let moment = Moment { timestamp: "1".into(), date: String::new(), nonce: "n".into() };
        let values = Values {
            scheme: &scheme,
            key_id: "k",
            token_header: "",
            target: &target,
            moment: &moment,
            side: Side::Request { added: &Headers::default(), fixed: b"", body: b"" },
            shown: Shown::All,
            body_hash: OnceCell::new(),
        };
        String::from_utf8(values.text(&scheme.template).unwrap().to_vec()).unwrap()
    };
    let start = "v3.0\nGET\n/b/p\n\n1\nn\nk";
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(text(EmptyBody::Hash), format!("{start}\n{hash}"));
    assert_eq!(text(EmptyBody::Empty), format!("{start}\n"));
    assert_eq!(text(EmptyBody::OmitLine), start);
}

#[test]
fn clocks_and_replays_ask_for_another_signature() {
    let check = |millis_ago: i64, status, date: Option<&str>, body| {
        let sealed = Case { millis: time::now() - millis_ago, ..Case::default() }.seal();
        let headers: Vec<_> = date.map(|date| ("date", date)).into_iter().collect();
        sealed.check.check(&answer(status, &headers, body)).unwrap()
    };
    let now = time::write(TimeFormat::HttpDate, time::now());
    assert_eq!(check(600_000, 401, Some(&now), ""), Finding::Again);
    assert_eq!(check(-600_000, 403, Some(&now), ""), Finding::Again);
    assert_eq!(check(200_000, 401, Some(&now), ""), Finding::Good, "within what the server takes");
    assert_eq!(check(600_000, 200, Some(&now), ""), Finding::Good);
    assert_eq!(check(600_000, 401, None, ""), Finding::Good);
    assert_eq!(check(0, 401, Some(&now), r#"{"error":"REPLAY"}"#), Finding::Again);
    assert_eq!(check(0, 403, Some(&now), r#"{"error":"REPLAY"}"#), Finding::Good);
    assert_eq!(check(0, 401, Some(&now), r#"{"error":"BAD_SIGNATURE"}"#), Finding::Good);
}

/// What a refusal of a request with a password is about is for the answer to say, in words that are configured.
#[test]
fn what_is_never_sent_twice_is_only_sealed_again_for_a_clock_that_is_named() {
    let check = |millis_ago: i64, body| {
        let class = Class::NeverTwice;
        let sealed = Case { millis: time::now() - millis_ago, class, ..Case::default() }.seal();
        let now = time::write(TimeFormat::HttpDate, time::now());
        sealed.check.check(&answer(401, &[("date", &now)], body))
    };
    for named in
        [r#"{"error":"TIMESTAMP_OUT_OF_RANGE"}"#, "Stale timestamp", "<Code>RequestTimeTooSkewed</Code>"]
    {
        assert_eq!(check(600_000, named).unwrap(), Finding::Again, "{named}");
    }
    let ambiguous = r#"{"timestamp":"2026-01-02T03:04:05Z","status":401,"error":"Unauthorized"}"#;
    for body in ["", ambiguous, r#"{"error":"REPLAY"}"#] {
        let error = check(600_000, body).unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::Malformed, true));
        assert_eq!(check(0, body).unwrap(), Finding::Good, "{body}");
    }
}

#[test]
fn a_scheme_without_a_time_blames_no_clock() {
    for (scheme, finding) in [
        (configured(&[("PRESET", "method-path-body")]), Finding::Again),
        (
            configured(&[
                ("PRESET", "method-path-body"),
                ("TEMPLATE", "{method}\n{path}"),
                ("HEADERS", "X-Signature: {signature}"),
                ("NONCE_FORMAT", "none"),
            ]),
            Finding::Good,
        ),
    ] {
        let sealed = Case { scheme, millis: time::now() - 600_000, ..Case::default() }.seal();
        let now = time::write(TimeFormat::HttpDate, time::now());
        assert_eq!(sealed.check.check(&answer(401, &[("date", &now)], "")).unwrap(), finding);
    }
}

#[test]
fn a_secret_that_is_not_written_as_it_should_be_signs_nothing() {
    let signer = signer(preset("amx"), KEY_ID, "not base64!");
    let Err(AuthError::Unreadable(reason)) = signer.prove() else { panic!() };
    assert_eq!(reason, "the secret to sign with is not base64");
}
