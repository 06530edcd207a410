//! `CK_MECHANISM` with parameters that live as long as the call.

use std::ffi::c_void;
use std::ptr;

use cryptoki_sys::{
    CK_AES_CTR_PARAMS, CK_GCM_PARAMS, CK_MECHANISM, CK_MECHANISM_TYPE, CK_RSA_PKCS_OAEP_PARAMS,
    CK_RSA_PKCS_PSS_PARAMS, CK_ULONG, CKG_MGF1_SHA1, CKG_MGF1_SHA224, CKG_MGF1_SHA256, CKG_MGF1_SHA384,
    CKG_MGF1_SHA512, CKM_AES_CTR, CKM_AES_GCM, CKM_RSA_PKCS_OAEP, CKM_SHA_1, CKM_SHA224, CKM_SHA256,
    CKM_SHA384, CKM_SHA512, CKZ_DATA_SPECIFIED,
};

/// A mechanism as a caller writes it.
#[derive(Clone, Debug)]
pub enum Mechanism {
    /// Without a parameter.
    Plain(CK_MECHANISM_TYPE),
    /// With these bytes as the parameter: an IV, or something wrong.
    Bytes(CK_MECHANISM_TYPE, Vec<u8>),
    /// With `CK_RSA_PKCS_PSS_PARAMS`.
    Pss { kind: CK_MECHANISM_TYPE, hash: CK_MECHANISM_TYPE, mgf: CK_ULONG, salt: usize },
    /// `CKM_RSA_PKCS_OAEP`
    Oaep { hash: CK_MECHANISM_TYPE, mgf: CK_ULONG, label: Vec<u8> },
    /// `CKM_AES_CTR`
    Ctr { bits: CK_ULONG, block: [u8; 16] },
    /// `CKM_AES_GCM`
    Gcm { iv: Vec<u8>, aad: Vec<u8>, tag_bits: CK_ULONG },
}

impl From<CK_MECHANISM_TYPE> for Mechanism {
    fn from(kind: CK_MECHANISM_TYPE) -> Self {
        Self::Plain(kind)
    }
}

/// A hash in its three forms: the name that `openssl` has, `CKM_*` and `CKG_MGF1_*`; and its length.
#[derive(Clone, Copy, Debug)]
pub struct Hash {
    pub name: &'static str,
    pub kind: CK_MECHANISM_TYPE,
    pub mgf: CK_ULONG,
    pub len: usize,
}

/// The hashes of signatures and OAEP.
pub const HASHES: [Hash; 5] = [
    Hash { name: "sha1", kind: CKM_SHA_1, mgf: CKG_MGF1_SHA1, len: 20 },
    Hash { name: "sha224", kind: CKM_SHA224, mgf: CKG_MGF1_SHA224, len: 28 },
    Hash { name: "sha256", kind: CKM_SHA256, mgf: CKG_MGF1_SHA256, len: 32 },
    Hash { name: "sha384", kind: CKM_SHA384, mgf: CKG_MGF1_SHA384, len: 48 },
    Hash { name: "sha512", kind: CKM_SHA512, mgf: CKG_MGF1_SHA512, len: 64 },
];

impl Hash {
    /// PSS with this hash throughout and a salt as long as it.
    pub fn pss(self, kind: CK_MECHANISM_TYPE) -> Mechanism {
        Mechanism::Pss { kind, hash: self.kind, mgf: self.mgf, salt: self.len }
    }

    /// OAEP with this hash throughout and no label.
    pub fn oaep(self) -> Mechanism {
        Mechanism::Oaep { hash: self.kind, mgf: self.mgf, label: Vec::new() }
    }
}

impl Mechanism {
    /// The number.
    pub fn kind(&self) -> CK_MECHANISM_TYPE {
        match self {
            Self::Plain(kind) | Self::Bytes(kind, _) | Self::Pss { kind, .. } => *kind,
            Self::Oaep { .. } => CKM_RSA_PKCS_OAEP,
            Self::Ctr { .. } => CKM_AES_CTR,
            Self::Gcm { .. } => CKM_AES_GCM,
        }
    }

    /// Lends the structure of C for one call.
    pub fn lend<R>(&self, call: impl FnOnce(*mut CK_MECHANISM) -> R) -> R {
        match self {
            Self::Plain(_) => self.lend_parameter(ptr::null_mut(), 0, call),
            Self::Bytes(_, bytes) => self.lend_parameter(bytes.as_ptr().cast_mut().cast(), bytes.len(), call),
            Self::Pss { hash, mgf, salt, .. } => self.lend_value(
                CK_RSA_PKCS_PSS_PARAMS { hashAlg: *hash, mgf: *mgf, sLen: *salt as CK_ULONG },
                call,
            ),
            Self::Oaep { hash, mgf, label } => {
                let params = CK_RSA_PKCS_OAEP_PARAMS {
                    hashAlg: *hash,
                    mgf: *mgf,
                    source: CKZ_DATA_SPECIFIED,
                    pSourceData: label.as_ptr().cast_mut().cast(),
                    ulSourceDataLen: label.len() as CK_ULONG,
                };
                self.lend_value(params, call)
            }
            Self::Ctr { bits, block } => {
                self.lend_value(CK_AES_CTR_PARAMS { ulCounterBits: *bits, cb: *block }, call)
            }
            Self::Gcm { iv, aad, tag_bits } => {
                let params = CK_GCM_PARAMS {
                    pIv: iv.as_ptr().cast_mut(),
                    ulIvLen: iv.len() as CK_ULONG,
                    ulIvBits: 8 * iv.len() as CK_ULONG,
                    pAAD: aad.as_ptr().cast_mut(),
                    ulAADLen: aad.len() as CK_ULONG,
                    ulTagBits: *tag_bits,
                };
                self.lend_value(params, call)
            }
        }
    }

    fn lend_value<T, R>(&self, mut value: T, call: impl FnOnce(*mut CK_MECHANISM) -> R) -> R {
        self.lend_parameter((&raw mut value).cast(), size_of::<T>(), call)
    }

    fn lend_parameter<R>(
        &self,
        parameter: *mut c_void,
        length: usize,
        call: impl FnOnce(*mut CK_MECHANISM) -> R,
    ) -> R {
        let mut mechanism = CK_MECHANISM {
            mechanism: self.kind(),
            pParameter: parameter,
            ulParameterLen: length as CK_ULONG,
        };
        call(&raw mut mechanism)
    }
}
