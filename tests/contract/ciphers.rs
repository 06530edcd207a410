//! Encryption and decryption: whatever one side makes with OpenSSL, or past the module, the module opens, and the other
//! way round.

use cryptoki_sys::*;

use super::signatures::modulus_length;
use super::{AES, Case, LOCKED_SECRET, PASSWORD, Sealed, private, public, secret};
use crate::support::mechanism::{HASHES, Mechanism};
use crate::support::openssl::{Files, openssl, to_hex};
use crate::support::p11::{Code, refused};
use crate::support::session::{Room, Session};

const TEXT: &[u8] = b"Attack at dawn.";
const IV: [u8; 16] = *b"0123456789abcdef";

fn encrypted(session: &Session, mechanism: &Mechanism, key: CK_OBJECT_HANDLE, data: &[u8]) -> Vec<u8> {
    session.encrypt_init(mechanism, key).unwrap();
    session.encrypt(data).unwrap()
}

fn decrypted(session: &Session, mechanism: &Mechanism, key: CK_OBJECT_HANDLE, data: &[u8]) -> Vec<u8> {
    session.decrypt_init(mechanism, key).unwrap();
    session.decrypt(data).unwrap()
}

/// `openssl pkeyutl` with a key of the emulator.
fn pkeyutl(case: &Case, direction: &str, label: &str, options: &[String], data: &[u8]) -> Vec<u8> {
    let key = case.dialect.private_pem(case.emulator, label);
    let files = Files::new();
    let data = files.put("data", data);
    let mut arguments = vec!["pkeyutl", direction, "-inkey", key.to_str().unwrap(), "-in", &data];
    arguments.extend(options.iter().flat_map(|option| ["-pkeyopt", option]));
    openssl(&arguments, b"")
}

/// `openssl enc` with the AES key of the emulator.
fn enc(case: &Case, cipher: &str, iv: Option<&[u8]>, more: &[&str], data: &[u8]) -> Vec<u8> {
    let key = to_hex(&case.dialect.secret(case.emulator, AES));
    let iv = iv.map(to_hex);
    let mut arguments = vec!["enc", cipher, "-K", &key];
    arguments.extend(iv.iter().flat_map(|iv| ["-iv", iv]));
    arguments.extend(more);
    openssl(&arguments, data)
}

fn rsa_both_ways(case: &Case, mechanism: &Mechanism, options: &[String], label: &str, longest: usize) {
    let session = case.user();
    let (key, public_key) = (private(&session, label), public(&session, label));
    let long = vec![0xab; longest];
    for data in [TEXT, b"", &[0, 0, 1], &long] {
        let made_here = encrypted(&session, mechanism, public_key, data);
        assert_ne!(made_here, encrypted(&session, mechanism, public_key, data), "padding is random");
        assert_eq!(pkeyutl(case, "-decrypt", label, options, &made_here), data, "{mechanism:?}");
        assert_eq!(decrypted(&session, mechanism, key, &made_here), data, "{mechanism:?}");
        let made_there = pkeyutl(case, "-encrypt", label, options, data);
        assert_eq!(decrypted(&session, mechanism, key, &made_there), data, "{mechanism:?}");
    }
    session.encrypt_init(mechanism, public_key).unwrap();
    refused(session.encrypt(&vec![0; longest + 1]), CKR_DATA_LEN_RANGE);
}

pub fn rsa_pkcs1(case: &Case) {
    let options = ["rsa_padding_mode:pkcs1".to_owned()];
    for label in case.seed().rsa {
        let length = modulus_length(&case.user(), label);
        rsa_both_ways(case, &CKM_RSA_PKCS.into(), &options, label, length - 11);
    }
}

pub fn rsa_oaep(case: &Case) {
    for hash in case.dialect.oaep_hashes() {
        let options = [
            "rsa_padding_mode:oaep".to_owned(),
            format!("rsa_oaep_md:{}", hash.name),
            format!("rsa_mgf1_md:{}", hash.name),
        ];
        rsa_both_ways(case, &hash.oaep(), &options, case.rsa(), 256 - 2 * hash.len - 2);
    }
}

pub fn rsa_oaep_with_a_label_is_refused(case: &Case) {
    let session = case.user();
    let [sha1, _, sha256, ..] = HASHES;
    let oaep = |hash, mgf, label: &[u8]| Mechanism::Oaep { hash, mgf, label: label.to_vec() };
    for mechanism in [
        oaep(sha256.kind, sha256.mgf, b"label"),
        oaep(sha256.kind, sha1.mgf, b""),
        oaep(CKM_MD5, sha1.mgf, b""),
        oaep(sha256.kind, 0, b""),
        Mechanism::Plain(CKM_RSA_PKCS_OAEP),
    ] {
        refused(session.encrypt_init(&mechanism, public(&session, case.rsa())), CKR_MECHANISM_PARAM_INVALID);
        refused(session.decrypt_init(&mechanism, private(&session, case.rsa())), CKR_MECHANISM_PARAM_INVALID);
    }
}

pub fn rsa_limits(case: &Case) {
    let session = case.user();
    let key = private(&session, case.rsa());
    for length in [0, 1, 255, 257] {
        session.decrypt_init(&CKM_RSA_PKCS.into(), key).unwrap();
        refused(session.decrypt(&vec![1; length]), CKR_ENCRYPTED_DATA_LEN_RANGE);
    }
    // Not the padding of OAEP, but below the modulus.
    let raw = ["rsa_padding_mode:none".to_owned()];
    let block = [&[0, 3][..], &[7; 254]].concat();
    let sealed = pkeyutl(case, "-encrypt", case.rsa(), &raw, &block);
    session.decrypt_init(&HASHES[0].oaep(), key).unwrap();
    refused(session.decrypt(&sealed), CKR_ENCRYPTED_DATA_INVALID);
    refused(session.encrypt_init(&CKM_RSA_PKCS.into(), key), CKR_KEY_FUNCTION_NOT_PERMITTED);
    refused(
        session.decrypt_init(&CKM_RSA_PKCS.into(), public(&session, case.rsa())),
        CKR_KEY_FUNCTION_NOT_PERMITTED,
    );
    refused(session.decrypt_init(&CKM_RSA_PKCS.into(), secret(&session, AES)), CKR_KEY_TYPE_INCONSISTENT);
}

pub fn aes_ecb(case: &Case) {
    let session = case.user();
    let key = secret(&session, AES);
    let mechanism = CKM_AES_ECB.into();
    for data in [&[0x11; 16][..], &[0x22; 4096]] {
        let expected = enc(case, "-aes-256-ecb", None, &["-nopad"], data);
        assert_eq!(encrypted(&session, &mechanism, key, data), expected);
        assert_eq!(decrypted(&session, &mechanism, key, &expected), data);
    }
    session.encrypt_init(&mechanism, key).unwrap();
    refused(session.encrypt(&[0; 17]), CKR_DATA_LEN_RANGE);
    session.decrypt_init(&mechanism, key).unwrap();
    refused(session.decrypt(&[0; 15]), CKR_ENCRYPTED_DATA_LEN_RANGE);
    refused(session.encrypt_init(&mechanism, private(&session, case.rsa())), CKR_KEY_TYPE_INCONSISTENT);
}

pub fn aes_cbc(case: &Case) {
    let session = case.user();
    let key = secret(&session, AES);
    let mechanism = Mechanism::Bytes(CKM_AES_CBC, IV.to_vec());
    for data in [&[0x11; 16][..], &[0x22; 4096]] {
        let sealed = enc(case, "-aes-256-cbc", Some(&IV), &["-nopad"], data);
        assert_eq!(decrypted(&session, &mechanism, key, &sealed), data);
    }
    session.decrypt_init(&mechanism, key).unwrap();
    refused(session.decrypt(&[0; 24]), CKR_ENCRYPTED_DATA_LEN_RANGE);
    for iv in [vec![], vec![0; 15], vec![0; 17]] {
        let mechanism = Mechanism::Bytes(CKM_AES_CBC, iv);
        refused(session.decrypt_init(&mechanism, key), CKR_MECHANISM_PARAM_INVALID);
    }
}

pub fn aes_cbc_pad(case: &Case) {
    let session = case.user();
    let key = secret(&session, AES);
    let mechanism = Mechanism::Bytes(CKM_AES_CBC_PAD, IV.to_vec());
    for data in [&b""[..], TEXT, &[0x22; 16], &[0x33; 1000]] {
        let sealed = enc(case, "-aes-256-cbc", Some(&IV), &[], data);
        assert_eq!(decrypted(&session, &mechanism, key, &sealed), data);
    }
    // The last byte is no padding.
    let sealed = enc(case, "-aes-256-cbc", Some(&IV), &["-nopad"], &[0x77; 32]);
    session.decrypt_init(&mechanism, key).unwrap();
    refused(session.decrypt(&sealed), CKR_ENCRYPTED_DATA_INVALID);
    session.decrypt_init(&mechanism, key).unwrap();
    refused(session.decrypt(&[]), CKR_ENCRYPTED_DATA_LEN_RANGE);
}

pub fn aes_ctr(case: &Case) {
    let session = case.user();
    let key = secret(&session, AES);
    let ctr = |bits, block| Mechanism::Ctr { bits, block };
    for data in [TEXT, &[0x11; 16], &[0x22; 1001]] {
        let sealed = enc(case, "-aes-256-ctr", Some(&IV), &[], data);
        assert_eq!(decrypted(&session, &ctr(128, IV), key, &sealed), data);
        assert_eq!(decrypted(&session, &ctr(64, IV), key, &sealed), data);
    }
    for bits in [0, 129] {
        refused(session.decrypt_init(&ctr(bits, IV), key), CKR_MECHANISM_PARAM_INVALID);
    }
    // A counter of 32 bits would start over after one block.
    session.decrypt_init(&ctr(32, [0xff; 16]), key).unwrap();
    refused(session.decrypt(&[0; 17]), CKR_ENCRYPTED_DATA_LEN_RANGE);
}

/// What `C_EncryptMessage` made.
struct Message {
    iv: [u8; 12],
    tag: [u8; 16],
    ciphertext: Vec<u8>,
}

fn seal(session: &Session, aad: &[u8], data: &[u8]) -> Message {
    let (mut iv, mut tag) = ([0; 12], [0; 16]);
    let room = Room::Bytes(data.len());
    let sealed = session.encrypt_message(CKG_GENERATE, &mut iv, &mut tag, aad, data, room);
    assert_eq!(sealed.code, Code(CKR_OK));
    Message { iv, tag, ciphertext: sealed.bytes }
}

/// The HSM chooses the IV; its own decryption, asked past the module, is the judge.
pub fn aes_gcm(case: &Case) {
    let session = case.user();
    let key = secret(&session, AES);
    session.message_encrypt_init(&CKM_AES_GCM.into(), key).unwrap();
    let mut ivs = Vec::new();
    for (aad, data) in [(&b""[..], TEXT), (b"header", TEXT), (b"header", &[0x33; 2000])] {
        let (mut iv, mut tag) = ([0; 12], [0; 16]);
        let asked = session.encrypt_message(CKG_GENERATE, &mut iv, &mut tag, aad, data, Room::Query);
        assert_eq!((asked.code, asked.length), (Code(CKR_OK), data.len()));
        let message = seal(&session, aad, data);
        let Message { iv, tag, ciphertext } = &message;
        let sealed = Sealed { label: AES, iv, aad, ciphertext, tag };
        assert_eq!(case.dialect.open_gcm(case.emulator, &sealed), data);

        let mechanism = Mechanism::Gcm { iv: iv.to_vec(), aad: aad.to_vec(), tag_bits: 128 };
        let with_tag = [&ciphertext[..], tag].concat();
        assert_eq!(decrypted(&session, &mechanism, key, &with_tag), data);
        assert_ne!(*iv, [0; 12]);
        ivs.push(*iv);
    }
    let (mut iv, mut short) = ([0; 12], [0; 12]);
    let room = Room::Bytes(TEXT.len());
    let made = session.encrypt_message(CKG_GENERATE, &mut iv, &mut short, b"", TEXT, room);
    if case.able("short_tags") {
        assert_eq!(made.code, Code(CKR_OK));
        let sealed = Sealed { label: AES, iv: &iv, aad: b"", ciphertext: &made.bytes, tag: &short };
        assert_eq!(case.dialect.open_gcm(case.emulator, &sealed), TEXT);
    } else {
        assert_eq!(made.code, Code(CKR_MECHANISM_PARAM_INVALID));
    }
    session.message_encrypt_final().unwrap();
    refused(session.message_encrypt_final(), CKR_OPERATION_NOT_INITIALIZED);
    ivs.sort_unstable();
    ivs.dedup();
    assert_eq!(ivs.len(), 3, "an IV is never used twice");
}

pub fn aes_gcm_false_tag(case: &Case) {
    let session = case.user();
    let key = secret(&session, AES);
    session.message_encrypt_init(&CKM_AES_GCM.into(), key).unwrap();
    let Message { iv, tag, ciphertext } = seal(&session, b"header", TEXT);
    let gcm = |aad: &[u8]| Mechanism::Gcm { iv: iv.to_vec(), aad: aad.to_vec(), tag_bits: 128 };
    let mut sealed = [&ciphertext[..], &tag].concat();
    session.decrypt_init(&gcm(b"another"), key).unwrap();
    refused(session.decrypt(&sealed), CKR_ENCRYPTED_DATA_INVALID);
    sealed[0] ^= 1;
    session.decrypt_init(&gcm(b"header"), key).unwrap();
    refused(session.decrypt(&sealed), CKR_ENCRYPTED_DATA_INVALID);
    session.decrypt_init(&gcm(b"header"), key).unwrap();
    refused(session.decrypt(&[0; 15]), CKR_ENCRYPTED_DATA_LEN_RANGE);
    let short_tag = Mechanism::Gcm { iv: iv.to_vec(), aad: vec![], tag_bits: 31 };
    refused(session.decrypt_init(&short_tag, key), CKR_MECHANISM_PARAM_INVALID);
    let no_iv = Mechanism::Gcm { iv: vec![], aad: vec![], tag_bits: 128 };
    refused(session.decrypt_init(&no_iv, key), CKR_MECHANISM_PARAM_INVALID);
}

/// Each use of the key wants its password, and gets it by `C_Login` of the operation.
pub fn a_key_with_a_password_encrypts(case: &Case) {
    case.dialect.create_locked_secret(case.emulator, LOCKED_SECRET);
    let session = case.user();
    let key = secret(&session, LOCKED_SECRET);
    let login = || session.login_as(CKU_CONTEXT_SPECIFIC, PASSWORD.as_bytes()).unwrap();
    let data = [0x11; 32];
    // The standard has no code for this that C_Encrypt may return, unlike C_Decrypt.
    session.encrypt_init(&CKM_AES_ECB.into(), key).unwrap();
    refused(session.encrypt(&data), CKR_DEVICE_ERROR);
    session.decrypt_init(&CKM_AES_ECB.into(), key).unwrap();
    refused(session.decrypt(&data), CKR_USER_NOT_LOGGED_IN);
    session.encrypt_init(&CKM_AES_ECB.into(), key).unwrap();
    login();
    let sealed = session.encrypt(&data).unwrap();
    let bytes = to_hex(&case.dialect.secret(case.emulator, LOCKED_SECRET));
    assert_eq!(openssl(&["enc", "-aes-256-ecb", "-K", &bytes, "-nopad"], &data), sealed);
    session.decrypt_init(&CKM_AES_ECB.into(), key).unwrap();
    login();
    assert_eq!(session.decrypt(&sealed).unwrap(), data);

    session.message_encrypt_init(&CKM_AES_GCM.into(), key).unwrap();
    login();
    let Message { iv, tag, ciphertext } = seal(&session, b"header", TEXT);
    session.message_encrypt_final().unwrap();
    let gcm = Mechanism::Gcm { iv: iv.to_vec(), aad: b"header".to_vec(), tag_bits: 128 };
    session.decrypt_init(&gcm, key).unwrap();
    login();
    assert_eq!(session.decrypt(&[&ciphertext[..], &tag].concat()).unwrap(), TEXT);
    case.dialect.delete_key(case.emulator, LOCKED_SECRET, Some(PASSWORD));
}

/// The API takes an IV of the caller, and its own decryption judges what it made of it.
pub fn aes_gcm_with_an_iv_of_the_caller(case: &Case) {
    let session = case.user();
    let key = secret(&session, AES);
    let iv = [0x24; 12];
    for (aad, data) in [(&b""[..], TEXT), (b"header", &[0x33; 2000])] {
        let mechanism = Mechanism::Gcm { iv: iv.to_vec(), aad: aad.to_vec(), tag_bits: 128 };
        let made = encrypted(&session, &mechanism, key, data);
        let (ciphertext, tag) = made.split_at(data.len());
        assert_eq!(tag.len(), 16);
        let sealed = Sealed { label: AES, iv: &iv, aad, ciphertext, tag };
        assert_eq!(case.dialect.open_gcm(case.emulator, &sealed), data);
        assert_eq!(decrypted(&session, &mechanism, key, &made), data);
    }
}

/// The API lets nobody choose an IV for an encryption.
pub fn an_iv_of_the_caller_is_refused(case: &Case) {
    let session = case.user();
    let key = secret(&session, AES);
    for mechanism in [
        Mechanism::Bytes(CKM_AES_CBC, IV.to_vec()),
        Mechanism::Bytes(CKM_AES_CBC_PAD, IV.to_vec()),
        Mechanism::Ctr { bits: 128, block: IV },
        Mechanism::Gcm { iv: vec![1; 12], aad: vec![], tag_bits: 128 },
    ] {
        refused(session.encrypt_init(&mechanism, key), CKR_MECHANISM_INVALID);
    }
    session.message_encrypt_init(&CKM_AES_GCM.into(), key).unwrap();
    for generator in [CKG_NO_GENERATE, CKG_GENERATE_COUNTER] {
        let (mut iv, mut tag) = ([1; 12], [0; 16]);
        let made = session.encrypt_message(generator, &mut iv, &mut tag, b"", TEXT, Room::Bytes(64));
        assert_eq!(made.code, Code(CKR_MECHANISM_PARAM_INVALID));
    }
    // The operation is for the next message all the same.
    seal(&session, b"", TEXT);
}

/// A rival starts CBC anew with each part.
pub fn ciphertext_in_parts(case: &Case) {
    let session = case.user();
    let aes = secret(&session, AES);
    let data = b"0123456789abcdef".repeat(20);
    let cbc = enc(case, "-aes-256-cbc", Some(&IV), &[], &data);
    let ctr = enc(case, "-aes-256-ctr", Some(&IV), &[], &data);
    for (mechanism, sealed) in [
        (Mechanism::Bytes(CKM_AES_CBC_PAD, IV.to_vec()), cbc),
        (Mechanism::Ctr { bits: 128, block: IV }, ctr),
    ] {
        session.decrypt_init(&mechanism, aes).unwrap();
        let mut opened = Vec::new();
        for part in sealed.chunks(50) {
            opened.extend(session.decrypt_update(part).unwrap());
        }
        opened.extend(session.decrypt_final().unwrap());
        assert_eq!(opened, data, "{mechanism:?}");
    }
    session.encrypt_init(&CKM_AES_ECB.into(), aes).unwrap();
    let mut sealed = Vec::new();
    for part in data.chunks(30) {
        sealed.extend(session.encrypt_update(part).unwrap());
    }
    sealed.extend(session.encrypt_final().unwrap());
    assert_eq!(sealed, enc(case, "-aes-256-ecb", None, &["-nopad"], &data));

    session.encrypt_init(&CKM_RSA_PKCS.into(), public(&session, case.rsa())).unwrap();
    session.encrypt_update(b"Attack at").unwrap();
    session.encrypt_update(b" dawn.").unwrap();
    let sealed = session.encrypt_final().unwrap();
    session.decrypt_init(&CKM_RSA_PKCS.into(), private(&session, case.rsa())).unwrap();
    session.decrypt_update(&sealed[..100]).unwrap();
    session.decrypt_update(&sealed[100..]).unwrap();
    assert_eq!(session.decrypt_final().unwrap(), TEXT);
}
