//! Opening PKCS#12 files (RFC 7292), as OpenSSL and Java write them.
//!
//! The types are those of the `pkcs12` crate; here is what they do not do: the MAC, and the decryption with the schemes
//! of PKCS#5 and with the older ones of PKCS#12 itself.

use std::fmt;

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipher, BlockDecryptMut, InnerIvInit, KeyInit};
use cms::content_info::ContentInfo;
use cms::encrypted_data::EncryptedData;
use der::asn1::{ContextSpecific, ObjectIdentifier, OctetStringRef};
use der::{Any, Decode, Encode};
use hmac::digest::core_api::BlockSizeUser;
use hmac::digest::{Digest, FixedOutputReset};
use hmac::{Mac, SimpleHmac};
use pkcs12::cert_type::CertBag;
use pkcs12::kdf::{Pkcs12KeyType, derive_key_utf8};
use pkcs12::mac_data::MacData;
use pkcs12::pbe_params::{EncryptedPrivateKeyInfo, Pkcs12PbeParams};
use pkcs12::pfx::Pfx;
use pkcs12::safe_bag::{SafeBag, SafeContents};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use spki::AlgorithmIdentifierOwned;
use zeroize::Zeroizing;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// What a file holds, in the order of the file.
#[derive(Default)]
pub(super) struct Contents {
    /// PKCS#8, DER.
    pub keys: Vec<Zeroizing<Vec<u8>>>,
    /// X.509, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// Why a file cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no PKCS#12 in DER.
    Malformed,
    /// The password is not the one of the file, or the file was changed.
    Password,
    /// Protected in a way that is not known here.
    Unknown(ObjectIdentifier),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("is not PKCS#12 in DER"),
            Self::Password => f.write_str("cannot be opened with this password"),
            Self::Unknown(oid) => write!(
                f,
                "is protected with {oid}, which is not supported; export it anew with openssl pkcs12 -export"
            ),
        }
    }
}

impl From<der::Error> for Fault {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// Opens the file. A file without a MAC is taken: the key in it has to fit the certificate anyway.
pub(super) fn open(file: &[u8], password: &str) -> Result<Contents, Fault> {
    let pfx = Pfx::from_der(file)?;
    if pfx.auth_safe.content_type != DATA {
        return Err(Fault::Unknown(pfx.auth_safe.content_type));
    }
    let safe = pfx.auth_safe.content.decode_as::<OctetStringRef<'_>>()?.as_bytes();
    if let Some(mac) = &pfx.mac_data {
        check_mac(mac, password, safe)?;
    }
    let mut contents = Contents::default();
    for part in Vec::<ContentInfo>::from_der(safe)? {
        for bag in SafeContents::from_der(&plain(&part, password)?)? {
            take(&bag, password, &mut contents)?;
        }
    }
    Ok(contents)
}

fn check_mac(mac: &MacData, password: &str, safe: &[u8]) -> Result<(), Fault> {
    match mac.mac.algorithm.oid {
        SHA1 => check_mac_with::<Sha1>(mac, password, safe),
        SHA256 => check_mac_with::<Sha256>(mac, password, safe),
        SHA384 => check_mac_with::<Sha384>(mac, password, safe),
        SHA512 => check_mac_with::<Sha512>(mac, password, safe),
        other => Err(Fault::Unknown(other)),
    }
}

fn check_mac_with<D>(mac: &MacData, password: &str, safe: &[u8]) -> Result<(), Fault>
where
    D: Digest + FixedOutputReset + BlockSizeUser,
{
    let (salt, length) = (mac.mac_salt.as_bytes(), <D as Digest>::output_size());
    let key = derive_key_utf8::<D>(password, salt, Pkcs12KeyType::Mac, mac.iterations, length)
        .map(Zeroizing::new)
        .map_err(|_| Fault::Password)?;
    let hmac = <SimpleHmac<D> as Mac>::new_from_slice(&key).map_err(|_| Fault::Malformed)?;
    hmac.chain_update(safe).verify_slice(mac.mac.digest.as_bytes()).map_err(|_| Fault::Password)
}

/// The bags of one part of the file, decrypted.
fn plain(part: &ContentInfo, password: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
    match part.content_type {
        DATA => Ok(Zeroizing::new(part.content.decode_as::<OctetStringRef<'_>>()?.as_bytes().to_vec())),
        ENCRYPTED_DATA => {
            let inner = part.content.decode_as::<EncryptedData>()?.enc_content_info;
            let sealed = inner.encrypted_content.ok_or(Fault::Malformed)?;
            decrypt(&inner.content_enc_alg, sealed.as_bytes(), password)
        }
        other => Err(Fault::Unknown(other)),
    }
}

/// Keeps a key or a certificate; other bags (CRLs, secrets) are of no use here.
fn take(bag: &SafeBag, password: &str, contents: &mut Contents) -> Result<(), Fault> {
    match bag.bag_id {
        pkcs12::PKCS_12_KEY_BAG_OID => {
            let key = ContextSpecific::<Any>::from_der(&bag.bag_value)?.value;
            contents.keys.push(Zeroizing::new(key.to_der()?));
        }
        pkcs12::PKCS_12_PKCS8_KEY_BAG_OID => {
            let key = ContextSpecific::<EncryptedPrivateKeyInfo>::from_der(&bag.bag_value)?.value;
            let sealed = key.encrypted_data.as_bytes();
            contents.keys.push(decrypt(&key.encryption_algorithm, sealed, password)?);
        }
        pkcs12::PKCS_12_CERT_BAG_OID => {
            let certificate = ContextSpecific::<CertBag>::from_der(&bag.bag_value)?.value;
            if certificate.cert_id == pkcs12::PKCS_12_X509_CERT_OID {
                contents.certificates.push(certificate.cert_value.as_bytes().to_vec());
            }
        }
        _ => {}
    }
    Ok(())
}

fn decrypt(
    scheme: &AlgorithmIdentifierOwned,
    sealed: &[u8],
    password: &str,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let older = |unseal: Unseal| {
        let parameters = scheme.parameters.as_ref().ok_or(Fault::Malformed)?;
        unseal(&parameters.decode_as()?, sealed, password)
    };
    let opened = match scheme.oid {
        PBES2 => {
            let der = scheme.to_der()?;
            let scheme = pkcs5::EncryptionScheme::from_der(&der).map_err(|_| Fault::Unknown(scheme.oid))?;
            scheme.decrypt(password, sealed).map_err(|_| Fault::Password)
        }
        pkcs12::PKCS_12_PBE_WITH_SHAAND3_KEY_TRIPLE_DES_CBC => older(unseal::<des::TdesEde3, 24>),
        pkcs12::PKCS_12_PBE_WITH_SHAAND2_KEY_TRIPLE_DES_CBC => older(unseal::<des::TdesEde2, 16>),
        pkcs12::PKCS_12_PBE_WITH_SHAAND128_BIT_RC2_CBC => older(unseal::<rc2::Rc2, 16>),
        pkcs12::PKCS_12_PBEWITH_SHAAND40_BIT_RC2_CBC => older(unseal::<rc2::Rc2, 5>),
        other => Err(Fault::Unknown(other)),
    };
    opened.map(Zeroizing::new)
}

/// Parameters, sealed bytes and password to what was sealed.
type Unseal = fn(&Pkcs12PbeParams, &[u8], &str) -> Result<Vec<u8>, Fault>;

/// The schemes of RFC 7292 appendix C: a cipher in CBC with a key of `LENGTH` bytes made with SHA-1.
fn unseal<C, const LENGTH: usize>(
    parameters: &Pkcs12PbeParams,
    sealed: &[u8],
    password: &str,
) -> Result<Vec<u8>, Fault>
where
    C: BlockCipher + BlockDecryptMut + KeyInit,
{
    let derive = |purpose, length| {
        derive_key_utf8::<Sha1>(password, parameters.salt.as_bytes(), purpose, parameters.iterations, length)
            .map(Zeroizing::new)
            .map_err(|_| Fault::Password)
    };
    let key = derive(Pkcs12KeyType::EncryptionKey, LENGTH)?;
    let iv = derive(Pkcs12KeyType::Iv, C::block_size())?;
    let cipher = C::new_from_slice(&key).map_err(|_| Fault::Malformed)?;
    let cipher = cbc::Decryptor::inner_iv_slice_init(cipher, &iv).map_err(|_| Fault::Malformed)?;
    cipher.decrypt_padded_vec_mut::<Pkcs7>(sealed).map_err(|_| Fault::Password)
}
