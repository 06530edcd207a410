//! From the table of cases to the tests of one dialect: those for what it is able to do, and the refusals of the rest.
//!
//! A test program says `contract::suite!(Dialect; able { … } unable { … });`, which makes a module `http` and a module
//! `https`. A case that needs what the dialect is unable to do is not generated: no test passes without testing.

use super::Setting;

/// What a dialect may be able to do. Each stands in one of the two lists of a suite.
pub const ABLE: [&str; 35] = [
    // Keys.
    "ec",
    "edwards",
    "aes",
    "passwords",
    // Mechanisms: all five hashes; the caller's digest as the input (CKM_ECDSA, PSS); CKM_RSA_PKCS of a DigestInfo, and of
    // anything else; GCM with an IV of the caller, and with tags of fewer than 16 bytes; HMAC.
    "all_hashes",
    "digests",
    "digest_infos",
    "any_bytes",
    "pss",
    "decrypt",
    "oaep",
    "aes_blocks",
    "gcm",
    "own_ivs",
    "short_tags",
    "macs",
    "random",
    // Objects: certificates beside the keys, which applications may put there; a key without one; objects before the login, and a listing; keys of the HSM's own; an id that
    // the HSM keeps, or one made of the key; a request for the attributes of one key; what protects a key is told.
    "certificates",
    "keeps_certificates",
    "uncertified",
    "public_listing",
    "lists_before_login",
    "internal",
    "ids",
    "ids_of_keys",
    "describe",
    "protection",
    // Keys can be made and deleted past the module.
    "new_keys",
    // The module has the HSM make them (pairs: RSA and the NIST curves), and delete them.
    "makes_pairs",
    "makes_edwards",
    "makes_aes",
    "makes_mac_keys",
    "deletes",
    // The PIN is a header, or another credential that may list.
    "pin_in_a_header",
    "pin_that_lists",
];

/// More of that: how the HSM is spoken to.
pub const MANNERS: [&str; 2] = [
    // A signature may be asked for twice; the login gives a token that is renewed.
    "repeats", "tokens",
];

/// What a dialect is able to do unless it stands in the second list.
pub const USUAL: [&str; 1] = [
    // A slot whose credentials are all in the configuration needs no login.
    "optional_login",
];

/// A test before it has a slot.
pub struct Plan {
    /// `http` or `https`
    pub scheme: &'static str,
    /// Area and name.
    pub name: &'static str,
    /// Whether it has the emulator to itself.
    pub own: bool,
    pub setting: Setting,
    /// What it needs, as the table has it.
    pub needs: &'static str,
}

impl Plan {
    pub fn key(&self) -> String {
        format!("{} {}", self.scheme, self.name)
    }

    /// Whether the test was generated.
    pub fn is_for(&self, unable: &[&str]) -> bool {
        self.needs.split_whitespace().all(|need| match need.strip_prefix('!') {
            Some(lacking) => unable.contains(&known(lacking)),
            None => !unable.contains(&known(need)),
        })
    }
}

/// A word of [`ABLE`], [`MANNERS`] or [`USUAL`].
pub fn known(word: &str) -> &str {
    let lists = [&ABLE[..], &MANNERS, &USUAL];
    assert!(lists.iter().any(|list| list.contains(&word)), "nobody is able to do {word:?}");
    word
}

/// Makes the tests of one dialect.
#[allow(unused_macros)]
macro_rules! suite {
    ($dialect:expr; able { $($able:ident)* } unable { $($unable:ident)* }) => {
        $crate::contract::suite::define_when_able!(($) able { $($able)* } unable { $($unable)* });
        $crate::contract::suite::define_tests!(($));
        $crate::contract::cases::contract_cases!(
            contract_tests [$dialect; &[$(stringify!($able)),*]; &[$(stringify!($unable)),*]]
        );
    };
}
#[allow(unused_imports)]
pub(crate) use suite;

/// The same with those cases alone that use keys.
#[allow(unused_macros)]
macro_rules! signing_suite {
    ($dialect:expr; able { $($able:ident)* } unable { $($unable:ident)* }) => {
        $crate::contract::suite::define_when_able!(($) able { $($able)* } unable { $($unable)* });
        $crate::contract::suite::define_tests!(($));
        $crate::contract::cases::signing_cases!(
            contract_tests [$dialect; &[$(stringify!($able)),*]; &[$(stringify!($unable)),*]]
            both {} tls {}
        );
    };
}
#[allow(unused_imports)]
pub(crate) use signing_suite;

/// `when_able!([needs] items)`: the items, unless one of the needs is in vain. The arms are made of the two lists.
macro_rules! define_when_able {
    (($d:tt) able { $($able:ident)* } unable { $($unable:ident)* }) => {
        macro_rules! when_able {
            $(([$unable $d($d rest:tt)*] $d($d items:tt)*) => {};)*
            $(([! $able $d($d rest:tt)*] $d($d items:tt)*) => {};)*
            ([! $d need:ident $d($d rest:tt)*] $d($d items:tt)*) => { when_able! { [$d($d rest)*] $d($d items)* } };
            ([$d need:ident $d($d rest:tt)*] $d($d items:tt)*) => { when_able! { [$d($d rest)*] $d($d items)* } };
            ([] $d($d items:tt)*) => { $d($d items)* };
        }
    };
}
pub(crate) use define_when_able;

/// What the table is expanded with.
macro_rules! define_tests {
    (($d:tt)) => {
        macro_rules! contract_tests {
            (
                [$d dialect:expr; $d able:expr; $d unable:expr]
                both { $d($d area:ident { $d($d who:ident $d setting:ident $d name:ident $d([$d($d need:tt)*])?;)* })* }
                tls { $d($d tls_area:ident { $d($d tls_who:ident $d tls_setting:ident $d tls_name:ident;)* })* }
            ) => {
                static WORLD: std::sync::LazyLock<contract::World> = std::sync::LazyLock::new(|| {
                    let plans = [
                        $d($d(
                            contract_plan!("http" $d area $d who $d setting $d name [$d($d($d need)*)?]),
                            contract_plan!("https" $d area $d who $d setting $d name [$d($d($d need)*)?]),
                        )*)*
                        $d($d(contract_plan!("https" $d tls_area $d tls_who $d tls_setting $d tls_name []),)*)*
                    ];
                    contract::World::new(&$d dialect, &plans, $d able, $d unable)
                });

                mod http {
                    $d(mod $d area { $d(contract_case!("http" $d area $d name [$d($d($d need)*)?]);)* })*
                }

                mod https {
                    $d(mod $d area { $d(contract_case!("https" $d area $d name [$d($d($d need)*)?]);)* })*
                    $d(mod $d tls_area { $d(contract_case!("https" $d tls_area $d tls_name []);)* })*
                }
            };
        }

        macro_rules! contract_plan {
            ($d scheme:literal $d area:ident $d who:ident $d setting:ident $d name:ident [$d($d need:tt)*]) => {
                contract::suite::Plan {
                    scheme: $d scheme,
                    name: concat!(stringify!($d area), "::", stringify!($d name)),
                    own: stringify!($d who) == "own",
                    setting: contract::Setting::$d setting,
                    needs: concat!($d(contract_need!($d need)),*),
                }
            };
        }

        // With a blank behind each, but for the sign before the word that it belongs to.
        macro_rules! contract_need {
            (!) => { "!" };
            ($d need:ident) => { concat!(stringify!($d need), " ") };
        }

        macro_rules! contract_case {
            ($d scheme:literal $d area:ident $d name:ident [$d($d need:tt)*]) => {
                when_able! {
                    [$d($d need)*]
                    #[test]
                    fn $d name() {
                        let name = concat!(stringify!($d area), "::", stringify!($d name));
                        crate::WORLD.run($d scheme, name, crate::contract::$d area::$d name);
                    }
                }
            };
        }
    };
}
pub(crate) use define_tests;
