//! Digests.

use cryptoki_sys::*;

use super::Case;
use crate::support::openssl::digest;
use crate::support::p11::refused;

const ALL: [(CK_MECHANISM_TYPE, &str, usize); 9] = [
    (CKM_SHA_1, "sha1", 20),
    (CKM_SHA224, "sha224", 28),
    (CKM_SHA256, "sha256", 32),
    (CKM_SHA384, "sha384", 48),
    (CKM_SHA512, "sha512", 64),
    (CKM_SHA3_224, "sha3-224", 28),
    (CKM_SHA3_256, "sha3-256", 32),
    (CKM_SHA3_384, "sha3-384", 48),
    (CKM_SHA3_512, "sha3-512", 64),
];

pub fn agree_with_openssl(case: &Case) {
    let session = case.session();
    for (kind, name, length) in ALL {
        for data in [&b""[..], b"abc", &[0x5c; 10_000]] {
            let expected = digest(name, data);
            assert_eq!(expected.len(), length);
            session.digest_init(&kind.into()).unwrap();
            assert_eq!(session.digest(data).unwrap(), expected, "{name}");
            session.digest_init(&kind.into()).unwrap();
            for part in data.chunks(999) {
                session.digest_update(part).unwrap();
            }
            assert_eq!(session.digest_final().unwrap(), expected, "{name} in parts");
        }
    }
    refused(session.digest_init(&CKM_MD5.into()), CKR_MECHANISM_INVALID);
    refused(session.digest_init(&CKM_RSA_PKCS.into()), CKR_MECHANISM_INVALID);
}

pub fn need_no_login_and_no_request(case: &Case) {
    let before = case.emulator.stats();
    let session = case.session();
    session.digest_init(&CKM_SHA256.into()).unwrap();
    session.digest(b"abc").unwrap();
    assert_eq!(case.emulator.stats(), before);
}
