//! What this module adds to the standard: the constants of `include/p11rest.h`.

use cryptoki_sys::{CK_ATTRIBUTE_TYPE, CK_MECHANISM_TYPE, CKA_VENDOR_DEFINED, CKM_VENDOR_DEFINED};

/// The name that the HSM itself has for the key, UTF-8.
pub const CKA_P11REST_KEY_NAME: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5031_3152;

/// The dialect of the back end that holds the key, as in the configuration, UTF-8.
pub const CKA_P11REST_BACKEND: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5031_3153;

/// `CK_BBOOL`: whether a use of the key waits for approvals.
pub const CKA_P11REST_APPROVAL: CK_ATTRIBUTE_TYPE = CKA_VENDOR_DEFINED | 0x5031_3154;

/// Seals and opens texts in JSON Web Encryption (RFC 7516) with an RSA key.
pub const CKM_P11REST_JWE: CK_MECHANISM_TYPE = CKM_VENDOR_DEFINED | 0x464a_5745;

/// What `CK_C_INITIALIZE_ARGS.pReserved` begins with when the path of a configuration file follows.
pub const P11REST_RESERVED_PREFIX: &str = "config=";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const HEADER: &str = include_str!("../../include/p11rest.h");

    /// The `#define`s that have a value, in the words of the header.
    fn defines() -> BTreeMap<&'static str, &'static str> {
        HEADER
            .lines()
            .filter_map(|line| line.strip_prefix("#define ")?.split_once(' '))
            .map(|(name, value)| (name, value.trim()))
            .collect()
    }

    /// Attributes and mechanisms have the same `VENDOR_DEFINED` (PKCS#11 3.2).
    fn number(value: &str, class: &str) -> u64 {
        let digits = value
            .strip_prefix(&format!("({class}_VENDOR_DEFINED | 0x"))
            .and_then(|rest| rest.strip_suffix("UL)"))
            .expect("a constant is VENDOR_DEFINED and a number");
        CKA_VENDOR_DEFINED | u64::from_str_radix(digits, 16).expect("hexadecimal")
    }

    #[test]
    fn the_header_says_the_same() {
        let mut defines = defines();
        for (name, expected) in [
            ("CKA_P11REST_KEY_NAME", CKA_P11REST_KEY_NAME),
            ("CKA_P11REST_BACKEND", CKA_P11REST_BACKEND),
            ("CKA_P11REST_APPROVAL", CKA_P11REST_APPROVAL),
            ("CKM_P11REST_JWE", CKM_P11REST_JWE),
        ] {
            let value = defines.remove(name).unwrap_or_else(|| panic!("{name} is not in the header"));
            assert_eq!(number(value, &name[..3]), expected, "{name}");
        }
        let prefix = defines.remove("P11REST_RESERVED_PREFIX").expect("the prefix is in the header");
        assert_eq!(prefix, format!("\"{P11REST_RESERVED_PREFIX}\""));
        assert!(defines.is_empty(), "only in the header: {defines:?}");
    }

    #[test]
    fn the_header_has_nothing_but_comments_and_directives() {
        let mut comment = false;
        for line in HEADER.lines() {
            comment |= line.trim_start().starts_with("/*");
            assert!(comment || line.is_empty() || line.starts_with('#'), "{line}");
            comment &= !line.trim_end().ends_with("*/");
            assert!(!line.starts_with("#include"), "{line}");
        }
    }
}
