//! What each vendor's service needs to know.

/// What stands behind a slot, and the questions about it.
pub struct Vendor {
    /// `slot.backend`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// Its own questions, besides those of every slot.
    pub questions: &'static [Question],
    /// What is shown as a comment at the end.
    pub tail: &'static str,
}

/// What a slot of Luna lacks by itself.
const CRYPTOGRAPHY: &str = "
# The appliance's REST API does no cryptography: without this the slot shows objects and does not sign.
# Keys are matched by their labels.
# [slot.crypto]
# slot = \"keys\"

# [[slot]]
# label = \"keys\"
# backend = \"ciphertrust\"
# hidden = true
# urls = [\"https://ciphertrust.example\"]
# [slot.auth]
# user = \"p11rest\"
# password = \"file:/run/secrets/ciphertrust.password\"
";

/// A key of the configuration.
#[derive(Clone, Copy)]
pub struct Question {
    /// Its dotted path.
    pub key: &'static str,
    /// How it is asked for.
    pub ask: &'static str,
    /// What an answer is.
    pub form: Form,
    /// Whether there must be one.
    pub need: Need,
    /// What stands behind the key that nobody answered, as a comment.
    pub example: &'static str,
}

/// What an answer is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// 1 to 32 bytes.
    Label,
    /// URLs, one or more.
    Urls,
    /// A text.
    Text,
    /// Texts of the form `name=value`, one or more.
    Pairs,
    /// A place where a secret is.
    Secret,
    /// A file or folder that is there.
    File,
    /// Certificates of which each gets a `[[slot.key]]`.
    Certificates,
}

/// Whether there must be an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Yes.
    Must,
    /// This holds if there is none.
    Usual(&'static str),
    /// No; and this it means if there is none.
    May(&'static str),
    /// If that key has one, and else it is not asked for.
    With(&'static str),
    /// Unless that key has one.
    Unless(&'static str),
}

use Form::{Certificates, File, Label, Pairs, Secret, Text, Urls};
use Need::{May, Must, Unless, Usual, With};

const fn question(
    key: &'static str,
    ask: &'static str,
    form: Form,
    need: Need,
    example: &'static str,
) -> Question {
    Question { key, ask, form, need, example }
}

/// What every slot has, in front.
pub const FIRST: &[Question] = &[
    question("slot.label", "The token's label, by which applications find it", Label, Must, "payments"),
    question(
        "slot.urls",
        "The URLs of the service, with blanks between them",
        Urls,
        Must,
        "https://hsm.example",
    ),
];

/// What every slot has, behind.
pub const LAST: &[Question] = &[
    question(
        "slot.tls.ca",
        "The file with the authorities that its certificate comes from, or with that certificate if it signs itself",
        File,
        May("those of the system"),
        "/etc/p11rest/ca.pem",
    ),
    question(
        "slot.tls.identity.certificate",
        "The file with a client certificate",
        File,
        May("none"),
        "/etc/p11rest/client.pem",
    ),
    question(
        "slot.tls.identity.key",
        "The file with its private key",
        File,
        With("slot.tls.identity.certificate"),
        "/etc/p11rest/client.key",
    ),
];

/// What is shown as a comment in every file, since it is wanted so often.
pub const COMMENTS: &[(&str, &str)] = &[
    ("log.level", "\"info\""),
    ("log.target", "\"/var/log/p11rest.log\""),
    ("slot.timeouts.call", "\"30s\""),
    ("slot.catalog.hide", "[\"old-*\"]"),
];

const ACCOUNT: Question = question("slot.auth.user", "The account", Text, Must, "p11rest");
const PASSWORD: Question =
    question("slot.auth.password", "Where its password is", Secret, Usual("pin"), "pin");

/// Every vendor.
pub const VENDORS: &[Vendor] = &[
    Vendor {
        name: "securosys",
        title: "Securosys Primus HSM and CloudHSM, through the Transaction Security Broker",
        questions: &[
            question(
                "slot.auth.bearer",
                "Where the JSON Web Token is, if it asks for one",
                Secret,
                May("none"),
                "file:/run/secrets/tsb.jwt",
            ),
            question(
                "slot.auth.api_key.key_management",
                "Where the API key that lists keys is, if it asks for API keys",
                Secret,
                May("none"),
                "file:/run/secrets/tsb-key-management",
            ),
            question(
                "slot.auth.api_key.key_operation",
                "Where the API key that uses keys is, if it asks for API keys",
                Secret,
                May("none"),
                "pin",
            ),
            question(
                "slot.auth.api_key.service",
                "Where the API key for version and licence is, if there is one",
                Secret,
                May("none"),
                "file:/run/secrets/tsb-service",
            ),
        ],
        tail: "",
    },
    Vendor {
        name: "fast",
        title: "FAST HSM",
        questions: &[
            ACCOUNT,
            PASSWORD,
            question(
                "slot.key.certificate",
                "The files with the certificates whose keys sign, with blanks between them",
                Certificates,
                May("none yet: no key signs without one"),
                "company.pem",
            ),
        ],
        tail: "",
    },
    Vendor {
        name: "luna",
        title: "Thales Luna Network HSM, through the appliance's REST API",
        questions: &[
            question("slot.luna.user", "The account of the appliance", Text, Must, "p11rest"),
            question(
                "slot.luna.certificate",
                "The file with the certificate that it logs in with",
                File,
                May("it has a password"),
                "/etc/p11rest/luna-client.pem",
            ),
            question(
                "slot.luna.key",
                "The file with the private key of that certificate",
                File,
                With("slot.luna.certificate"),
                "/etc/p11rest/luna-client.key",
            ),
            question(
                "slot.luna.password",
                "Where its password is",
                Secret,
                Unless("slot.luna.certificate"),
                "file:/run/secrets/luna.password",
            ),
            question(
                "slot.luna.partition",
                "The partition: id, name or label",
                Text,
                May("the only one"),
                "1682975235230",
            ),
            question(
                "slot.luna.role",
                "Whom C_Login logs in: co (crypto officer) or cu (crypto user)",
                Text,
                Usual("co"),
                "co",
            ),
        ],
        tail: CRYPTOGRAPHY,
    },
    Vendor {
        name: "ciphertrust",
        title: "Thales CipherTrust Manager",
        questions: &[
            ACCOUNT,
            PASSWORD,
            question(
                "slot.ciphertrust.domain",
                "The domain whose keys are shown",
                Text,
                May("the account's"),
                "production",
            ),
            question(
                "slot.ciphertrust.connection",
                "The connection to the directory that knows the account",
                Text,
                May("none: the service itself does"),
                "ldap-1",
            ),
        ],
        tail: "",
    },
    Vendor {
        name: "declared",
        title: "a service that a file describes",
        questions: &[
            question(
                "slot.declared.file",
                "The file with the description",
                File,
                Must,
                "/etc/p11rest/vault-transit.toml",
            ),
            question(
                "slot.declared.parameters",
                "Its parameters (name=value), with blanks between them",
                Pairs,
                May("none"),
                "mount=transit",
            ),
            question(
                "slot.auth.bearer",
                "Where the token is, if it asks for one",
                Secret,
                May("none"),
                "pin",
            ),
            question(
                "slot.auth.header.name",
                "The header with a key of its own, if it asks for one",
                Text,
                May("none"),
                "X-API-Key",
            ),
            question(
                "slot.auth.header.value",
                "Where that key is",
                Secret,
                With("slot.auth.header.name"),
                "file:/run/secrets/api-key",
            ),
        ],
        tail: "",
    },
];

impl Vendor {
    /// By its name.
    pub fn named(name: &str) -> Option<&'static Vendor> {
        VENDORS.iter().find(|vendor| vendor.name == name)
    }

    /// All its questions, in their order.
    pub fn all_questions(&self) -> impl Iterator<Item = &'static Question> + use<> {
        FIRST.iter().chain(self.questions).chain(LAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn every_question_is_a_key_of_the_configuration() {
        let keys: Vec<_> = reference::rows().map(|row| row.key).collect();
        for vendor in VENDORS {
            for question in vendor.all_questions() {
                assert!(keys.contains(&question.key), "{}", question.key);
            }
        }
        assert!(COMMENTS.iter().all(|(key, _)| keys.contains(key)));
    }
}
