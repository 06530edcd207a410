//! From the attributes that the service tells of a key to what the model knows of it (Securosys TSB reference
//! sections 2.2 and 8.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::names;
use super::wire::SignedAttributes;
use crate::backend::types::{KeyInfo, KeyKind, Protection, Usage};
use crate::crypto::encode;

/// A key of which the service told all. `None` where its public key is not Base64.
pub(super) fn described(told: &SignedAttributes<'_>) -> Option<KeyInfo> {
    let root = told.xml.as_ref().map_or(Root::default(), |xml| Root::of(xml.as_str()));
    let json = &told.json;
    let spki = match &json.public_key {
        Some(text) => Some(text.binary()?),
        None => None,
    };
    let kind = match names::key_kind(json.algorithm.as_str(), spki.as_deref(), json.key_size) {
        KeyKind::Pair(key) if root.is_public => KeyKind::Public(key),
        kind => kind,
    };
    let flags = &json.attributes;
    let told = |flag: Option<bool>, untold| flag.unwrap_or(untold);
    Some(KeyInfo {
        label: None,
        id: json.id.as_ref().and_then(|text| id(text.as_str())),
        kind,
        usage: Usage {
            sign: told(flags.sign, false),
            decrypt: told(flags.decrypt, false),
            unwrap: told(flags.unwrap, false),
            derive: told(flags.derive, false),
        },
        protection: Protection {
            sensitive: told(flags.sensitive, Protection::UNTOLD.sensitive),
            always_sensitive: told(flags.always_sensitive, Protection::UNTOLD.always_sensitive),
            extractable: told(flags.extractable, Protection::UNTOLD.extractable),
            never_extractable: told(flags.never_extractable, Protection::UNTOLD.never_extractable),
            modifiable: told(flags.modifiable, Protection::UNTOLD.modifiable),
            copyable: told(flags.copyable, Protection::UNTOLD.copyable),
            destroyable: told(flags.destroyable, Protection::UNTOLD.destroyable),
            local: root.is_generated,
        },
        dormant: false,
        approval: json.policy.as_ref().is_some_and(|policy| policy.guards_use()),
    })
}

/// What the root element of the signed document says. Its tag alone is read: the label, further in, is anybody's text.
#[derive(Default)]
struct Root {
    /// `creation="generated"`, against `"imported"`.
    is_generated: bool,
    /// A public key that came alone (the name of the element is inferred).
    is_public: bool,
}

impl Root {
    fn of(xml: &str) -> Self {
        let tag = xml
            .split('<')
            .skip(1)
            .find(|tag| !tag.starts_with(['?', '!']))
            .and_then(|tag| tag.split('>').next())
            .unwrap_or_default();
        let mut words = tag.split_ascii_whitespace();
        Self {
            is_public: words.next() == Some("public_key"),
            is_generated: words.any(|word| word == r#"creation="generated""#),
        }
    }
}

/// The id as bytes. No document says how the text encodes them, so the narrowest reading that fits is taken: hexadecimal,
/// else Base64, else the text itself. Empty is none.
fn id(text: &str) -> Option<Vec<u8>> {
    let bytes = encode::from_hex(text).or_else(|| STANDARD.decode(text).ok()).unwrap_or_else(|| text.into());
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 2.2, with the public key of a real RSA-2048 key in the place of the shortened one.
    fn sample(public_key: &str) -> String {
        r#"{
  "xml": "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<private_key creation=\"generated\">…</private_key>\n\n",
  "json": {
    "label": "my-rsa", "id": null, "uuid": null,
    "algorithm": "RSA", "algorithmOid": "1.2.840.113549.1.1.1",
    "curveOid": null, "derivedAttributes": null,
    "keySize": 2048, "keyUsageCount": 0,
    "createTime": "2024-11-21T12:05:20Z", "attestTime": "2024-11-21T12:06:46Z",
    "publicKey": "PUBLIC KEY",
    "addressTruncated": null,
    "attributes": {
      "decrypt": false, "sign": true, "ekaSign": null, "unwrap": false, "derive": false,
      "sensitive": true, "alwaysSensitive": true, "extractable": false, "neverExtractable": true,
      "modifiable": true, "copyable": false, "destroyable": true
    },
    "policy": null
  },
  "xmlSignature": "<base64>", "attestationKeyName": "attestation-key"
}"#
        .replace("PUBLIC KEY", public_key)
    }

    /// `openssl genrsa 2048 | openssl rsa -pubout`
    const RSA: &str = concat!(
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA4srphmeJZBHBY6Bz2BXQ7yGS7lmqM95Cqdi/TGbiCH9XX82A0O/L",
        "mZ6yh9vJb8m3iGfnZ3OJvmKZ1EYZ6HZI+8uCmZeELQupPO2yQyuwHk2CSnTfnBbSy9BP0VRqOp2xr90Afb1QL3fsAZrkAoeN",
        "CQmogd3mchlYEaRbfcX3NsASwewbLsVDtJ4RndQCDHM1nHvkTfiF7X854BV0zy3Kld/FHOenPoW2MDAYLe7/fPsKT2XGmtDi",
        "k6CiMtgHK4NrNq2JEVlotz6b5uZHk3/tVr3iTyqFdsfRZ8IVLZz31zxHiN7nr8vpYPPb1mUoSoE0MkI0Ofj/IhgAPvA70BzF",
        "dwIDAQAB",
    );

    fn read(json: &str) -> Option<KeyInfo> {
        described(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn the_sample_of_the_reference() {
        let info = read(&sample(RSA)).unwrap();
        assert!(matches!(info.kind, KeyKind::Pair(_)));
        assert_eq!(info.id, None);
        assert_eq!(info.usage, Usage { sign: true, ..Usage::default() });
        assert_eq!(
            info.protection,
            Protection {
                sensitive: true,
                always_sensitive: true,
                extractable: false,
                never_extractable: true,
                modifiable: true,
                copyable: false,
                destroyable: true,
                local: true,
            }
        );
        assert!(!info.approval);
    }

    #[test]
    fn what_is_absent_is_taken_strictly() {
        let info = read(r#"{"json":{"algorithm":"AES","label":"k","keySize":256}}"#).unwrap();
        assert_eq!(info.kind, KeyKind::Aes(Some(32)));
        assert_eq!(info.usage, Usage::default());
        assert_eq!(info.protection, Protection::UNTOLD);
    }

    #[test]
    fn a_public_key_that_is_not_base64_spoils_the_answer() {
        assert_eq!(read(&sample("*")), None);
    }

    #[test]
    fn a_key_under_approval() {
        let json =
            sample(RSA).replace(r#""policy": null"#, r#""policy": {"ruleUse":{"tokens":[{"name":"T"}]}}"#);
        assert!(read(&json).unwrap().approval);
    }

    #[test]
    fn only_the_root_tag_tells_where_a_key_comes_from() {
        let generated = |xml: &str| Root::of(xml).is_generated;
        assert!(generated(
            "<?xml version=\"1.0\"?>\n<private_key creation=\"generated\" storage=\"external\">…"
        ));
        assert!(!generated(
            "<private_key creation=\"imported\"><label>creation=\"generated\"</label></private_key>"
        ));
        assert!(!generated("<private_key><label x creation=\"generated\" x></label></private_key>"));
        assert!(!generated(""));
        assert!(Root::of("<public_key creation=\"imported\">").is_public);
        assert!(!Root::of("<private_key><public_key>").is_public);
    }

    #[test]
    fn ids_in_each_encoding() {
        assert_eq!(id("0aFF"), Some(vec![0x0a, 0xff]));
        assert_eq!(id("Cv8="), Some(vec![0x0a, 0xff]));
        assert_eq!(id("key-1"), Some(b"key-1".to_vec()));
        assert_eq!(id(""), None);
    }
}
