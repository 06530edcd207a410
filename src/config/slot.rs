//! One `[[slot]]`: from its tree to a [`Token`].

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::document::{Item, Place, Value};
use super::environment::RawSlot;
use super::problem::{Fault, Problem};
use super::read::{self, Section, Source, read_all, word};
use super::{
    Backend, BackendKind, Catalog, Crypto, EdwardsPoint, Hedge, Key, KeyFamily, KeyType, MissingCertificates,
    Pool, ProxyScheme, Timeouts, Token, Url, address, auth, ciphertrust, declared, fast, luna, proxy, tls,
};
use crate::crypto::encode;

/// The largest `CK_SLOT_ID` that a `CK_ULONG` of 32 bits holds, less the one that means "no slot".
const MOST_ID: i64 = 0xffff_fffe;

/// Most bytes of a public key or a certificate in a file.
const DER_LIMIT: usize = 1024 * 1024;

/// Keys that the services make for themselves, and the doublets of the vendor's own PKCS#11 library (Securosys TSB
/// reference section 2.1).
const INTERNAL: [&str; 3] = ["attestation-key", "timestamp-key", "*@?!*"];

/// The `id` of a slot, if it has one.
pub(super) fn id(slot: &RawSlot, source: &Source) -> Result<Option<u64>, Problem> {
    let section = Section::unchecked(source, "slot", &slot.place, &slot.table);
    Ok(section.integer("id", 0, MOST_ID)?.and_then(|id| u64::try_from(id).ok()))
}

/// The `label` of a slot, if it is a string at all.
pub(super) fn label(slot: &RawSlot) -> Option<&str> {
    slot.table.get("label").and_then(|item| read::text(item).ok())
}

/// Whether a slot is not to be shown. What is no boolean is told when the slot is read.
pub(super) fn hidden(slot: &RawSlot, source: &Source) -> bool {
    let section = Section::unchecked(source, "slot", &slot.place, &slot.table);
    section.boolean("hidden").ok().flatten().unwrap_or(false)
}

/// That an earlier slot has the same `name`.
pub(super) fn taken(slot: &RawSlot, source: &Source, name: &str, value: &str) -> Problem {
    Section::unchecked(source, "slot", &slot.place, &slot.table).problem(
        name,
        Fault::new(format!("an earlier slot has the {name} {value}"), format!("write another {name}")),
    )
}

/// Reads a slot.
pub(super) fn token(slot: RawSlot, source: &Source) -> Result<Token, Problem> {
    if let Some(problem) = slot.problem {
        return Err(problem);
    }
    let section = Section::open(source, "slot", &slot.place, &slot.table)?;
    let label = section.text("label", |_, text| parse_label(text))?;
    let label = section.required("label", label, "write label = \"a name of up to 32 bytes\"")?;
    let kind = section.text("backend", |_, text| word(text, &BackendKind::ALL))?;
    let kind = section.required("backend", kind, "write backend = \"securosys\"")?;
    for (name, other) in BackendKind::ALL {
        if other != kind && section.item(name).is_some() {
            let what = format!("is for slots with backend = \"{name}\"");
            return Err(section.problem(name, Fault::new(what, "take it out")));
        }
    }
    let backend = backend(&section, kind)?;
    let pool = pool(&section.section("pool", "slot.pool")?)?;
    let members = members(&section, kind)?;
    section.boolean("hidden")?;
    let crypto = crypto(&section.section("crypto", "slot.crypto")?, kind, &label)?;
    if kind == BackendKind::Luna && section.item("auth").is_some() {
        let fault =
            Fault::new("is not for this back end, whose account is in slot.luna", "write [slot.luna]");
        return Err(section.problem("auth", fault));
    }
    let auth = auth::read(&section.section("auth", "slot.auth")?, kind)?;
    let tls_section = section.section("tls", "slot.tls")?;
    let tls = tls::read(&tls_section)?;
    let proxy = proxy::proxy(&section.section("proxy", "slot.proxy")?)?;
    let http2 = section.boolean("http2")?.unwrap_or(false);
    if http2 && let Some(url) = members.iter().flatten().find(|url| !url.tls) {
        let what = format!("is agreed on within TLS, which {url} does not speak");
        return Err(section.problem("http2", Fault::new(what, "write https URLs, or take it out")));
    }
    let hedge_section = section.section("hedge", "slot.hedge")?;
    let hedge = hedge(&hedge_section)?;
    if http2 || proxy.is_some() {
        let only_direct = |section: &Section<'_>, name: &str| {
            let what = "is for direct connections with HTTP/1.1 alone";
            section.problem(name, Fault::new(what, "take it out, or slot.proxy and slot.http2"))
        };
        if tls.server_name.is_some() {
            return Err(only_direct(&tls_section, "server_name"));
        }
        if hedge.is_some() {
            return Err(only_direct(&hedge_section, "after"));
        }
    }
    let secured_proxy = proxy.as_ref().is_some_and(|proxy| proxy.scheme == ProxyScheme::Https);
    if secured_proxy && !tls.pins.is_empty() {
        let what = "would be asked of the proxy as well, which speaks TLS too";
        return Err(tls_section.problem("pins", Fault::new(what, "take them out, or use a proxy of http://")));
    }
    if source.secure && tls.ca.is_none() && (secured_proxy || members.iter().flatten().any(|url| url.tls)) {
        // Where the platform keeps its authorities can be redirected by the environment.
        let fault =
            Fault::new("is missing in a set-uid or set-gid program", "write ca = \"/path/to/ca.pem\"");
        return Err(section.problem("tls.ca", fault));
    }
    Ok(Token {
        label,
        backend,
        members,
        crypto,
        auth,
        tls,
        proxy,
        http2,
        timeouts: timeouts(&section.section("timeouts", "slot.timeouts")?)?,
        catalog: catalog(&section.section("catalog", "slot.catalog")?, pool)?,
        pool,
        hedge,
        certificates: section
            .list("certificates", |place, text| existing(source.path(place, text)?))?
            .unwrap_or_default(),
        keys: keys(&section, kind)?,
        mechanisms: section.list("mechanisms", |_, text| parse_mechanism(text))?,
        hide_mechanisms: section
            .list("hide_mechanisms", |_, text| parse_mechanism_pattern(text))?
            .unwrap_or_default(),
        edwards_point: section
            .text("edwards_point", |_, text| {
                word(text, &[("raw", EdwardsPoint::Raw), ("octet-string", EdwardsPoint::OctetString)])
            })?
            .unwrap_or_default(),
    })
}

/// What only this dialect is told.
fn backend(section: &Section<'_>, kind: BackendKind) -> Result<Backend, Problem> {
    Ok(match kind {
        BackendKind::Securosys => Backend::Securosys,
        BackendKind::Fast => Backend::Fast(fast::read(&section.section("fast", "slot.fast")?)?),
        BackendKind::Luna => Backend::Luna(luna::read(&section.section("luna", "slot.luna")?)?),
        BackendKind::CipherTrust => {
            Backend::CipherTrust(ciphertrust::read(&section.section("ciphertrust", "slot.ciphertrust")?)?)
        }
        BackendKind::Declared => {
            Backend::Declared(declared::read(&section.section("declared", "slot.declared")?)?)
        }
    })
}

fn crypto(section: &Section<'_>, kind: BackendKind, own: &str) -> Result<Option<Crypto>, Problem> {
    let split = section.text("pin_split", |_, text| match text {
        "" => Err(Fault::new("is empty", "write what stands between the two parts of the PIN: \":\"")),
        _ => Ok(text.to_owned()),
    })?;
    let slot = section.text("slot", |_, text| match text {
        _ if kind != BackendKind::Luna => {
            Err(Fault::new("is for slots that do no cryptography themselves", "take it out"))
        }
        _ if text == own => Err(Fault::new("names the slot itself", "name another slot")),
        _ => Ok(text.to_owned()),
    })?;
    if split.is_some() {
        section.required("slot", slot.as_ref(), "write slot = \"the label of another slot\"")?;
    }
    Ok(slot.map(|slot| Crypto { slot, pin_split: split }))
}

fn parse_label(text: &str) -> Result<String, Fault> {
    let what = match text.len() {
        0 => "is empty".to_owned(),
        length if length > 32 => format!("has {length} bytes"),
        _ if text.chars().any(char::is_control) => "has a control character".to_owned(),
        // `CK_TOKEN_INFO.label` is padded with blanks: applications cut them off.
        _ if text.ends_with(' ') => "ends with a blank".to_owned(),
        _ => return Ok(text.to_owned()),
    };
    Err(Fault::new(what, "write 1 to 32 bytes of UTF-8"))
}

fn parse_mechanism(text: &str) -> Result<String, Fault> {
    if text.contains('*') || !may_match_mechanism(text) {
        let what = format!("\"{text}\" is not the name of a mechanism");
        return Err(Fault::new(what, "write it as the standard does: \"CKM_RSA_PKCS\""));
    }
    Ok(text.to_owned())
}

fn parse_mechanism_pattern(text: &str) -> Result<String, Fault> {
    if !may_match_mechanism(text) {
        let what = format!("\"{text}\" is neither the name of a mechanism nor part of one with *");
        return Err(Fault::new(what, "write it as the standard does: \"CKM_AES_ECB\" or \"CKM_AES_*\""));
    }
    Ok(text.to_owned())
}

/// Whether a pattern has the form of names in the standard.
fn may_match_mechanism(pattern: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'*');
    let rest = pattern.strip_prefix("CKM_").or_else(|| pattern.starts_with('*').then_some(pattern));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(allowed))
}

fn members(section: &Section<'_>, backend: BackendKind) -> Result<Vec<Vec<Url>>, Problem> {
    const NAME: &str = "urls";
    const REMEDY: &str = "write urls = [\"https://host:port\"]";
    let item = section.required(NAME, section.item(NAME), REMEDY)?;
    let groups = groups(item).map_err(|(place, fault)| section.problem_at(place, NAME, fault))?;
    let mut seen = BTreeSet::new();
    let mut parse = |item: &Item| {
        let url = address::parse(read::text(item)?, backend)?;
        if !seen.insert(url.to_string()) {
            return Err(Fault::new(format!("{url} is there twice"), "take one of them out"));
        }
        Ok(url)
    };
    let mut members = Vec::with_capacity(groups.len());
    for group in groups {
        let urls = group
            .iter()
            .map(|item| parse(item).map_err(|fault| section.problem_at(&item.place, NAME, fault)));
        members.push(urls.collect::<Result<Vec<_>, _>>()?);
    }
    if backend == BackendKind::Luna && members.iter().flatten().count() > 1 {
        let what = "has several members, and the sessions of an appliance live in it alone";
        return Err(
            section.problem(NAME, Fault::new(what, "name one appliance, and make a slot of each other"))
        );
    }
    Ok(members)
}

/// The groups of a list of lists; a list of strings is one group, and so is a string.
fn groups(item: &Item) -> Result<Vec<&[Item]>, (&Place, Fault)> {
    let elements = read::elements(item);
    let is_list = |item: &&Item| matches!(item.value, Value::List(_));
    let empty = |place| (place, Fault::new("has no entry", "write urls = [\"https://host:port\"]"));
    let lists = elements.iter().filter(is_list).count();
    if elements.is_empty() {
        return Err(empty(&item.place));
    }
    if lists == 0 {
        return Ok(vec![elements]);
    }
    let Some(alone) = elements.iter().find(|item| !is_list(item)) else {
        return match elements.iter().find(|group| read::elements(group).is_empty()) {
            Some(group) => Err(empty(&group.place)),
            None => Ok(elements.iter().map(read::elements).collect()),
        };
    };
    Err((
        &alone.place,
        Fault::new("has lists and strings side by side", "write a list of strings, or a list of such lists"),
    ))
}

fn timeouts(section: &Section<'_>) -> Result<Timeouts, Problem> {
    let least = Duration::from_millis(1);
    Ok(Timeouts {
        connect: section.duration("connect", least)?.unwrap_or(Duration::from_secs(5)),
        call: section.duration("call", least)?.unwrap_or(Duration::from_secs(30)),
    })
}

fn pool(section: &Section<'_>) -> Result<Pool, Problem> {
    Ok(Pool {
        max: section.count("max", 1, 4096)?.unwrap_or(64),
        idle: section.duration("idle", Duration::ZERO)?.unwrap_or(Duration::from_secs(55)),
    })
}

fn hedge(section: &Section<'_>) -> Result<Option<Hedge>, Problem> {
    let budget = section.count("budget", 1, 100)?;
    let Some(after) = section.duration("after", Duration::from_millis(1))? else {
        let missing = || {
            section.problem("budget", Fault::new("has no `after` beside it", "write after = \"20ms\" too"))
        };
        return budget.map_or(Ok(None), |_| Err(missing()));
    };
    let budget = budget.and_then(|percent| u32::try_from(percent).ok()).unwrap_or(5);
    Ok(Some(Hedge { after, budget }))
}

fn catalog(section: &Section<'_>, pool: Pool) -> Result<Catalog, Problem> {
    let pattern = |_: &Place, text: &str| match text {
        "" => Err(Fault::new("has an empty name", "write the name of a key, or part of one with *")),
        _ => Ok(text.to_owned()),
    };
    let given = section.list("hide", pattern)?.unwrap_or_default();
    let family = |_: &Place, text: &str| {
        let known = KeyFamily::NAMES.into_iter().find(|(name, _)| *name == text);
        known.map(|(_, family)| family).ok_or_else(|| {
            let names = KeyFamily::NAMES.map(|(name, _)| name).join(", ");
            Fault::new(format!("{text:?} is no type of keys"), format!("write one of {names}"))
        })
    };
    let aliases = section.path("aliases")?;
    let missing_certificates = missing_certificates(section)?;
    if missing_certificates == MissingCertificates::SelfSigned && aliases.is_none() {
        let what = "has no file to keep what the keys sign";
        let remedy = "write aliases = \"/var/lib/p11rest/aliases.json\" too";
        return Err(section.problem("missing_certificates", Fault::new(what, remedy)));
    }
    let shown = section.boolean("show_internal")?.unwrap_or(false);
    let internal = INTERNAL.iter().filter(|_| !shown).map(|&name| name.to_owned());
    Ok(Catalog {
        refresh: section.duration("refresh", Duration::ZERO)?.unwrap_or(Duration::from_secs(60)),
        capacity: section.count("capacity", 1, 10_000_000)?.unwrap_or(10_000),
        // More requests than connections would only wait for each other.
        width: section.count("width", 1, 4096)?.unwrap_or(32).min(pool.max),
        hide: internal.chain(given).collect(),
        aliases,
        hide_types: section.list("hide_types", family)?.unwrap_or_default(),
        missing_certificates,
        cache: section.path("cache")?,
    })
}

fn missing_certificates(section: &Section<'_>) -> Result<MissingCertificates, Problem> {
    let known = [
        ("none", MissingCertificates::None),
        ("unsigned", MissingCertificates::Unsigned),
        ("self-signed", MissingCertificates::SelfSigned),
    ];
    let given = section.text("missing_certificates", |_, text| word(text, &known))?;
    Ok(given.unwrap_or(MissingCertificates::None))
}

fn keys(section: &Section<'_>, kind: BackendKind) -> Result<Vec<Key>, Problem> {
    let mut names = BTreeSet::new();
    let mut keys = Vec::new();
    for (place, table) in section.tables("key")? {
        let section = Section::open(section.source(), "slot.key", place, table)?;
        let (key, named_by) = match kind {
            BackendKind::Fast => (fast::key(&section)?, "serial"),
            _ => (key(&section)?, "label"),
        };
        if !names.insert(key.name.clone()) {
            let fault =
                Fault::new(format!("{} is described twice", key.name), "make one [[slot.key]] of them");
            return Err(section.problem(named_by, fault));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn key(section: &Section<'_>) -> Result<Key, Problem> {
    if section.item("serial").is_some() {
        let what = "is for slots with backend = \"fast\"";
        return Err(section.problem("serial", Fault::new(what, "write label = \"the name of the key\"")));
    }
    let name = section.text("label", |_, text| match text {
        "" => Err(Fault::new("is empty", "write the name of the key at the HSM")),
        _ => Ok(text.to_owned()),
    })?;
    let key = Key {
        name: section.required("label", name, "write label = \"the name of the key at the HSM\"")?,
        label: None,
        id: key_id(section)?,
        public_key: der_file(section, "public_key", "PUBLIC KEY")?,
        certificate: key_certificate(section)?,
        key_type: section.text("type", |_, text| {
            let aes = |bytes| KeyType::Aes { bytes };
            word(text, &[("aes-128", aes(16)), ("aes-192", aes(24)), ("aes-256", aes(32))])
        })?,
        password: section.boolean("password")?.unwrap_or(false),
    };
    if key.key_type.is_some() && (key.public_key.is_some() || key.certificate.is_some()) {
        let what = "is an AES key, which has no public key or certificate";
        return Err(section.problem("type", Fault::new(what, "take out one of the two")));
    }
    Ok(key)
}

/// The `CKA_ID` that a key is given.
pub(super) fn key_id(section: &Section<'_>) -> Result<Option<Vec<u8>>, Problem> {
    section.text("id", |_, text| parse_hex(text))
}

/// The DER of the certificate of a key.
pub(super) fn key_certificate(section: &Section<'_>) -> Result<Option<Vec<u8>>, Problem> {
    der_file(section, "certificate", "CERTIFICATE")
}

/// A path at which there is something now.
pub(super) fn existing(path: PathBuf) -> Result<PathBuf, Fault> {
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(error) => {
            let what = format!("{} cannot be read: {error}", path.display());
            Err(Fault::new(what, "name a file or folder that is there"))
        }
    }
}

fn parse_hex(text: &str) -> Result<Vec<u8>, Fault> {
    let fault = || Fault::new(format!("\"{text}\" is not hexadecimal"), "write pairs of digits: \"01ab\"");
    encode::from_hex(text).filter(|bytes| !bytes.is_empty()).ok_or_else(fault)
}

/// The DER that the file of this key holds, itself or as the first PEM block with this label.
fn der_file(section: &Section<'_>, name: &str, label: &str) -> Result<Option<Vec<u8>>, Problem> {
    let Some(path) = section.path(name)? else { return Ok(None) };
    read_der(path, label).map(Some).map_err(|fault| section.problem(name, fault))
}

fn read_der(path: PathBuf, label: &str) -> Result<Vec<u8>, Fault> {
    const PEM_MARK: &[u8] = b"-----BEGIN ";
    let shown = path.display();
    let remedy = || format!("name a file with a PEM block \"{label}\", or with DER");
    let bytes = File::open(&path).and_then(|file| read_all(&file, DER_LIMIT));
    let bytes = bytes.map_err(|error| Fault::new(format!("{shown} cannot be read: {error}"), remedy()))?;
    // The model reads the DER; here it only has to be told from text.
    if bytes.first() == Some(&0x30) && !bytes.windows(PEM_MARK.len()).any(|window| window == PEM_MARK) {
        return Ok(bytes.to_vec());
    }
    match der::pem::decode_vec(&bytes) {
        Ok((found, der)) if found == label => Ok(der),
        Ok((found, _)) => Err(Fault::new(format!("{shown} has a PEM block \"{found}\""), remedy())),
        Err(error) => Err(Fault::new(format!("{shown} is neither PEM nor DER: {error}"), remedy())),
    }
}
