//! The login by certificate (Luna reference section 4.5): the appliance encrypts a challenge for the client's key, the
//! client proves that it could read it. PKCS#1 v1.5 both ways.

use std::fs;
use std::path::Path;

use aws_lc_rs::rsa::{
    Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::config::Shows;
use crate::crypto::certificate::Certificate;

/// Why a challenge was not answered: for whatever is wrong with it the same. Who sends crafted challenges learns nothing
/// from it of the padding (Bleichenbacher 1998).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unanswerable;

/// A certificate that the appliance knows, with its key.
pub(super) struct ClientCertificate {
    /// What is shown, PEM with the base64 in one line, as the vendor's samples write it.
    pem: String,
    field: &'static str,
    key: Pkcs1PrivateDecryptingKey,
}

/// A challenge as it came.
pub(super) struct Challenge<'a> {
    pub(super) challenge: &'a str,
    pub(super) nonce: &'a str,
    /// PEM, with line breaks or with `\n` in their place.
    pub(super) certificate: &'a str,
}

impl ClientCertificate {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong, with the name of the file and the remedy.
    pub(super) fn read(certificate: &Path, key: &Path, shows: Shows) -> Result<Self, String> {
        let file = |path: &Path| {
            let bytes = fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()));
            bytes.map(Zeroizing::new)
        };
        let parsed = Certificate::parse_all(&file(certificate)?).ok().and_then(|all| all.into_iter().next());
        let parsed =
            parsed.ok_or_else(|| format!("{} holds no certificate in PEM", certificate.display()))?;
        let (field, label, der) = match shows {
            Shows::Certificate => ("certificate", "CERTIFICATE", parsed.der()),
            Shows::PublicKey => ("publicKey", "PUBLIC KEY", parsed.spki()),
        };
        let pem = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", STANDARD.encode(der));
        let shown = key.display();
        let key = PrivateKeyDer::from_pem_slice(&file(key)?)
            .map_err(|error| format!("{shown} holds no private key in PEM: {error}"))?;
        let key = decrypting_key(&key).ok_or_else(|| {
            format!(
                "the key in {shown} is no RSA key of 2048 bits or more in PKCS#8 (openssl pkey -in {shown})"
            )
        })?;
        Ok(Self { pem, field, key })
    }

    /// The body that asks for a challenge; `literal`: `\n` stands for line breaks.
    pub(super) fn question(&self, user: &str, literal: bool) -> Vec<u8> {
        let pem = if literal { self.pem.replace('\n', "\\n") } else { self.pem.clone() };
        serde_json::json!({"username": user, self.field: pem}).to_string().into_bytes()
    }

    /// The response in base64.
    ///
    /// # Errors
    /// One for all.
    pub(super) fn answer(&self, challenge: &Challenge<'_>) -> Result<String, Unanswerable> {
        let decoded = |text: &str| STANDARD.decode(text.trim()).map_err(|_| Unanswerable);
        let (encrypted, nonce) = (decoded(challenge.challenge)?, decoded(challenge.nonce)?);
        let server = server_key(challenge.certificate).ok_or(Unanswerable)?;
        let mut room = Zeroizing::new(vec![0; self.key.min_output_size()]);
        let clear = self.key.decrypt(&encrypted, &mut room).map_err(|_| Unanswerable)?;
        let mixed = Zeroizing::new(exclusive_or(clear, &nonce).ok_or(Unanswerable)?);
        let mut response = vec![0; server.ciphertext_size()];
        let response = server.encrypt(&mixed, &mut response).map_err(|_| Unanswerable)?;
        Ok(STANDARD.encode(response))
    }
}

fn decrypting_key(key: &PrivateKeyDer<'_>) -> Option<Pkcs1PrivateDecryptingKey> {
    let PrivateKeyDer::Pkcs8(key) = key else { return None };
    let key = PrivateDecryptingKey::from_pkcs8(key.secret_pkcs8_der()).ok()?;
    Pkcs1PrivateDecryptingKey::new(key).ok()
}

fn server_key(pem: &str) -> Option<Pkcs1PublicEncryptingKey> {
    let pem = pem.replace("\\n", "\n");
    let certificate = Certificate::parse_all(pem.as_bytes()).ok()?.into_iter().next()?;
    let key = PublicEncryptingKey::from_der(certificate.spki()).ok()?;
    Pkcs1PublicEncryptingKey::new(key).ok()
}

/// Byte by byte; `None` where the lengths differ or there is nothing.
fn exclusive_or(clear: &[u8], nonce: &[u8]) -> Option<Vec<u8>> {
    let fits = clear.len() == nonce.len() && !clear.is_empty();
    fits.then(|| clear.iter().zip(nonce).map(|(a, b)| a ^ b).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey};
    use rsa::{Pkcs1v15Encrypt, RsaPrivateKey};
    use rustls::pki_types::PrivatePkcs8KeyDer;

    use super::*;

    /// The check value of section 4.5.
    #[test]
    fn challenge_and_nonce_are_mixed_byte_by_byte() {
        let bytes = |number: u128| number.to_be_bytes();
        let clear = bytes(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let nonce = bytes(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
        let mixed = exclusive_or(&clear, &nonce).unwrap();
        assert_eq!(mixed, bytes(0x0f1f_2f3f_4f5f_6f7f_8f9f_afbf_cfdf_efff));
        assert_eq!(exclusive_or(&clear, &nonce[1..]), None);
        assert_eq!(exclusive_or(&[], &[]), None);
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let digits = STANDARD.encode(der);
        let lines: Vec<_> = digits.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    /// A key, by another implementation, with its certificate.
    pub(in super::super) fn certified() -> (RsaPrivateKey, String) {
        let key = RsaPrivateKey::new(&mut rand_core::OsRng, 2048).unwrap();
        let der = PrivatePkcs8KeyDer::from(key.to_pkcs8_der().unwrap().as_bytes().to_vec());
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
        (key, pem("CERTIFICATE", certificate.der()))
    }

    pub(in super::super) fn write_key(path: &Path, key: &RsaPrivateKey) {
        fs::write(path, pem("PRIVATE KEY", key.to_pkcs8_der().unwrap().as_bytes())).unwrap();
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "nobody times the server of a test")]
    fn the_server_reads_what_the_client_answers() {
        let folder = tempfile::tempdir().unwrap();
        let (client, client_pem) = certified();
        let (server, server_pem) = certified();
        let (certificate, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
        fs::write(&certificate, &client_pem).unwrap();
        write_key(&key, &client);
        let identity = ClientCertificate::read(&certificate, &key, Shows::Certificate).unwrap();
        let (secret, nonce) = ([0x5a_u8; 32], [0x0f_u8; 32]);
        let encrypt = |bytes: &[u8]| {
            let sealed =
                client.to_public_key().encrypt(&mut rand_core::OsRng, Pkcs1v15Encrypt, bytes).unwrap();
            STANDARD.encode(sealed)
        };
        let (challenge, nonce_text) = (encrypt(&secret), STANDARD.encode(nonce));
        for certificate in [server_pem.clone(), server_pem.replace('\n', "\\n")] {
            let challenge =
                Challenge { challenge: &challenge, nonce: &nonce_text, certificate: &certificate };
            let answer = STANDARD.decode(identity.answer(&challenge).unwrap()).unwrap();
            assert_eq!(server.decrypt(Pkcs1v15Encrypt, &answer).unwrap(), [0x55; 32]);
        }
        // Whatever is wrong, the error is the same.
        let short = encrypt(&secret[1..]);
        for (challenge, nonce, certificate) in [
            ("AAAA", nonce_text.as_str(), server_pem.as_str()),
            (&short, &nonce_text, &server_pem),
            (&challenge, "not base64", &server_pem),
            (&challenge, &nonce_text, "not PEM"),
        ] {
            assert_eq!(identity.answer(&Challenge { challenge, nonce, certificate }), Err(Unanswerable));
        }
    }

    #[test]
    fn certificate_or_public_key_is_shown_with_either_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let (client, client_pem) = certified();
        let (certificate, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
        fs::write(&certificate, &client_pem).unwrap();
        write_key(&key, &client);
        let body = |shows, literal| -> serde_json::Value {
            let identity = ClientCertificate::read(&certificate, &key, shows).unwrap();
            serde_json::from_slice(&identity.question("robot", literal)).unwrap()
        };
        let shown = body(Shows::Certificate, false);
        let text = shown["certificate"].as_str().unwrap();
        assert_eq!((shown["username"].as_str(), text.lines().count()), (Some("robot"), 3));
        let (der, sent) =
            (Certificate::parse_all(client_pem.as_bytes()), Certificate::parse_all(text.as_bytes()));
        assert_eq!(der.unwrap()[0].der(), sent.unwrap()[0].der());
        let literal = body(Shows::Certificate, true);
        assert_eq!(literal["certificate"].as_str().unwrap().replace("\\n", "\n"), text);
        let public = body(Shows::PublicKey, false);
        let digits = STANDARD.encode(client.to_public_key().to_public_key_der().unwrap());
        assert!(public["publicKey"].as_str().unwrap().contains(&digits));
        fs::write(&key, "nothing").unwrap();
        let error = ClientCertificate::read(&certificate, &key, Shows::Certificate).err().unwrap();
        assert!(error.contains("client.key"), "{error}");
    }
}
