//! X.509 certificates: self-signed ones for keys, and a private CA for the TLS server.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use der::asn1::{Ia5String, OctetString};
use der::{Decode, Encode};
use rand_core::{OsRng, RngCore};
use rsa::RsaPrivateKey;
use spki::{SignatureBitStringEncoding, SubjectPublicKeyInfoOwned};
use x509_cert::Certificate;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use crate::error::Error;
use crate::material::Material;

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Certificates begin in the past, for clients whose clock is slow.
const CLOCK_SKEW: Duration = Duration::from_secs(3_600);

/// A self-signed end-entity certificate for CN=`common_name`, in DER, valid for ten years.
/// Only RSA, P-256 and P-384 keys can sign theirs.
pub(crate) fn self_signed(common_name: &str, key: &Material) -> Result<Vec<u8>, Error> {
    let subject = common_name_of(common_name)?;
    let spki = public_key_info(key)?;
    let profile = Profile::Leaf {
        issuer: subject.clone(),
        enable_key_agreement: false,
        enable_key_encipherment: matches!(key, Material::Rsa(_)),
    };
    let template = Template {
        serial: random_serial()?,
        profile,
        subject,
        spki,
        begin: SystemTime::now() - CLOCK_SKEW,
        lifetime: 10 * YEAR,
        purpose: Purpose::Any,
    };
    template.sign(key)
}

/// The certificate of a CA for CN=`common_name`, in DER, valid for ten years.
pub(crate) fn authority(common_name: &str, key: &Material) -> Result<Vec<u8>, Error> {
    let template = Template {
        serial: random_serial()?,
        profile: Profile::Root,
        subject: common_name_of(common_name)?,
        spki: public_key_info(key)?,
        begin: SystemTime::now() - CLOCK_SKEW,
        lifetime: 10 * YEAR,
        purpose: Purpose::Any,
    };
    template.sign(key)
}

/// A server certificate for localhost, 127.0.0.1 and ::1 from that CA, in DER, valid for a year.
pub(crate) fn loopback_server(
    key: &Material,
    authority: &[u8],
    authority_key: &Material,
) -> Result<Vec<u8>, Error> {
    let template = Template {
        serial: random_serial()?,
        profile: leaf_of(authority)?,
        subject: common_name_of("localhost")?,
        spki: public_key_info(key)?,
        begin: SystemTime::now() - CLOCK_SKEW,
        lifetime: YEAR,
        purpose: Purpose::Server,
    };
    template.sign(authority_key)
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// From now on, for a year.
    Current,
    /// For a year, which ended a day ago.
    Over,
}

impl Lifetime {
    fn begin(self) -> SystemTime {
        match self {
            Lifetime::Current => SystemTime::now() - CLOCK_SKEW,
            Lifetime::Over => SystemTime::now() - YEAR - DAY,
        }
    }
}

/// A client certificate from that CA, in DER.
pub(crate) fn client(
    common_name: &str,
    key: &Material,
    authority: &[u8],
    authority_key: &Material,
    lifetime: Lifetime,
) -> Result<Vec<u8>, Error> {
    let template = Template {
        serial: random_serial()?,
        profile: leaf_of(authority)?,
        subject: common_name_of(common_name)?,
        spki: public_key_info(key)?,
        begin: lifetime.begin(),
        lifetime: YEAR,
        purpose: Purpose::Client,
    };
    template.sign(authority_key)
}

/// An end-entity certificate with this subject (RFC 4514) and this serial number in hexadecimal, in DER.
pub(crate) fn issued(
    subject: &str,
    serial: &str,
    key: &Material,
    authority: &[u8],
    authority_key: &Material,
    lifetime: Lifetime,
) -> Result<Vec<u8>, Error> {
    let digits = serial.as_bytes().chunks(2);
    let serial: Result<Vec<u8>, _> = digits
        .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).map_err(Error::crypto))
        .collect();
    let template = Template {
        serial: SerialNumber::new(&serial?).map_err(Error::crypto)?,
        profile: leaf_of(authority)?,
        subject: Name::from_str(subject).map_err(Error::crypto)?,
        spki: public_key_info(key)?,
        begin: lifetime.begin(),
        lifetime: YEAR,
        purpose: Purpose::Any,
    };
    template.sign(authority_key)
}

/// The profile of certificates that this CA, in DER, issues.
fn leaf_of(authority: &[u8]) -> Result<Profile, Error> {
    let authority = Certificate::from_der(authority).map_err(Error::crypto)?;
    Ok(Profile::Leaf {
        issuer: authority.tbs_certificate.subject,
        enable_key_agreement: false,
        enable_key_encipherment: false,
    })
}

/// Whether a certificate in DER is valid now and for another day.
pub(crate) fn is_current(certificate: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return false;
    };
    let validity = certificate.tbs_certificate.validity;
    let now = SystemTime::now();
    validity.not_before.to_system_time() <= now && now + DAY < validity.not_after.to_system_time()
}

struct Template {
    profile: Profile,
    serial: SerialNumber,
    subject: Name,
    spki: SubjectPublicKeyInfoOwned,
    begin: SystemTime,
    lifetime: Duration,
    purpose: Purpose,
}

/// What a certificate is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Any,
    /// A TLS server on loopback.
    Server,
    /// A TLS client.
    Client,
}

impl Template {
    fn sign(self, key: &Material) -> Result<Vec<u8>, Error> {
        match key {
            Material::Rsa(key) => {
                let signer = rsa::pkcs1v15::SigningKey::<sha2::Sha256>::new(RsaPrivateKey::clone(key));
                self.sign_with::<_, rsa::pkcs1v15::Signature>(&signer)
            }
            Material::P256(key) => self.sign_with::<_, p256::ecdsa::DerSignature>(key),
            Material::P384(key) => self.sign_with::<_, p384::ecdsa::DerSignature>(key),
            _ => Err(Error::crypto("keys of this kind cannot sign certificates here")),
        }
    }

    fn sign_with<Signer, Signature>(self, signer: &Signer) -> Result<Vec<u8>, Error>
    where
        Signer: rsa::signature::Keypair
            + rsa::signature::Signer<Signature>
            + spki::DynSignatureAlgorithmIdentifier,
        Signer::VerifyingKey: spki::EncodePublicKey,
        Signature: SignatureBitStringEncoding,
    {
        let validity =
            Validity { not_before: time(self.begin)?, not_after: time(self.begin + self.lifetime)? };
        let mut builder =
            CertificateBuilder::new(self.profile, self.serial, validity, self.subject, self.spki, signer)
                .map_err(Error::crypto)?;
        let usage = match self.purpose {
            Purpose::Any => None,
            Purpose::Server => {
                builder.add_extension(&loopback_names()?).map_err(Error::crypto)?;
                Some(der::oid::db::rfc5280::ID_KP_SERVER_AUTH)
            }
            Purpose::Client => Some(der::oid::db::rfc5280::ID_KP_CLIENT_AUTH),
        };
        if let Some(usage) = usage {
            builder.add_extension(&ExtendedKeyUsage(vec![usage])).map_err(Error::crypto)?;
        }
        let certificate = builder.build::<Signature>().map_err(Error::crypto)?;
        certificate.to_der().map_err(Error::crypto)
    }
}

fn loopback_names() -> Result<SubjectAltName, Error> {
    let address = |octets: &[u8]| OctetString::new(octets).map(GeneralName::IpAddress).map_err(Error::crypto);
    Ok(SubjectAltName(vec![
        GeneralName::DnsName(Ia5String::new("localhost").map_err(Error::crypto)?),
        address(&std::net::Ipv4Addr::LOCALHOST.octets())?,
        address(&std::net::Ipv6Addr::LOCALHOST.octets())?,
    ]))
}

fn common_name_of(common_name: &str) -> Result<Name, Error> {
    Name::from_str(&format!("CN={common_name}")).map_err(Error::crypto)
}

fn public_key_info(key: &Material) -> Result<SubjectPublicKeyInfoOwned, Error> {
    let der = key.public_key()?.ok_or_else(|| Error::crypto("a secret key has no public key"))?;
    SubjectPublicKeyInfoOwned::from_der(&der).map_err(Error::crypto)
}

/// RFC 5280 §4.1.2.2: positive, at most 20 octets.
fn random_serial() -> Result<SerialNumber, Error> {
    let mut serial = [0u8; 16];
    OsRng.fill_bytes(&mut serial);
    serial[0] = (serial[0] & 0x7f) | 0x40;
    SerialNumber::new(&serial).map_err(Error::crypto)
}

fn time(time: SystemTime) -> Result<Time, Error> {
    let elapsed = time.duration_since(SystemTime::UNIX_EPOCH).map_err(Error::crypto)?;
    // Certificates know no fractions of a second.
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(elapsed.as_secs());
    Time::try_from(time).map_err(Error::crypto)
}
