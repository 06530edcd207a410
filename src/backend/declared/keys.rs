//! What the service holds: its keys, and what each of them is.

use std::collections::HashSet;

use cryptoki_sys::{CK_RV, CKR_DEVICE_ERROR, CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID};
use serde_json::Value;

use super::Declared;
use super::answer::{Answer, shown};
use super::description::{Describe, Description, KeyType, List, Paging};
use super::errors::{Purpose, Refusal, unreadable};
use super::service::Judged;
use super::template::Values;
use crate::backend::types::{KeyInfo, KeyKind, KeyName};
use crate::crypto::public_key::{PublicKey, PublicKeyKind};
use crate::error::{Error, Result};
use crate::transport::{Deadline, Response};

/// More pages than this are no listing.
const MOST_PAGES: usize = 10_000;

/// More bytes than this of names and cursors are none either.
const MOST_BYTES: usize = 64 << 20;

/// That there is none of what was asked for.
const ABSENT: [CK_RV; 2] = [CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID];

/// One page.
#[derive(Default)]
struct Page {
    names: Vec<KeyName>,
    /// How many items there were, those that are passed over among them.
    items: usize,
    cursor: Option<String>,
    /// How many items all pages have, where the service says so.
    total: Option<usize>,
    /// The items as they came, to know them again where pages are counted.
    text: String,
}

impl Declared {
    /// The names of all keys.
    pub(super) fn names(&self, deadline: Deadline) -> Result<Vec<KeyName>> {
        let Some(list) = &self.service.description.list else { return Ok(self.keys.clone()) };
        let mut place = Place::first(&list.paging);
        let endless = |what: &str| Error::new(CKR_DEVICE_ERROR, format!("listing the keys: {what}"));
        let mut names = Vec::new();
        let mut held = 0;
        for _ in 0..MOST_PAGES {
            let mut page = self.page(list, &place, Purpose::List, deadline)?;
            held += page.names.iter().map(|name| name.as_str().len()).sum::<usize>();
            held += page.cursor.as_ref().map_or(0, String::len);
            if held > MOST_BYTES {
                return Err(endless("the names are longer than any listing"));
            }
            let found = std::mem::take(&mut page.names);
            match place.turn(&list.paging, page).map_err(endless)? {
                Turn::Next => names.extend(found),
                Turn::Last => {
                    names.extend(found);
                    return Ok(names);
                }
                Turn::Over => return Ok(names),
            }
        }
        Err(endless(&format!("more than {MOST_PAGES} pages")))
    }

    /// The first page, to see whether the credentials are good.
    pub(super) fn glance(&self, list: &List, deadline: Deadline) -> Result<()> {
        self.page(list, &Place::first(&list.paging), Purpose::Login, deadline).map(drop)
    }

    fn page(&self, list: &List, place: &Place, purpose: Purpose, deadline: Deadline) -> Result<Page> {
        let values = Values {
            page: place.page,
            offset: place.offset,
            limit: list.paging.limit(),
            cursor: &place.cursor,
            ..Values::default()
        };
        let response = match self.service.call(&list.call, &values, purpose, deadline) {
            // Some services have no list where there is no key.
            Err(error) if ABSENT.contains(&error.rv()) => return Ok(Page::default()),
            answer => answer?,
        };
        let answer = Answer::new(&response);
        read_page(list, &answer).ok_or_else(|| unreadable(purpose, &response, "no list of keys"))
    }

    /// What each key is.
    pub(super) fn described(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<KeyInfo>>> {
        let Some(describe) = &self.service.description.describe else {
            let untold = || KeyInfo::untold(KeyKind::Other("unknown".into()));
            return names.iter().map(|_| Ok(Some(untold()))).collect();
        };
        let purpose = Purpose::Describe;
        let answers = self.service.call_many(&describe.call, named(names), purpose, deadline);
        let info = |answer: Result<_>| {
            Ok(self.there(answer?, purpose)?.map(|response| self.info(describe, &response)))
        };
        answers.into_iter().map(info).collect()
    }

    /// A key of which no more is told: it may do what the description has calls for, and its type.
    pub(super) fn untold(&self, kind: KeyKind) -> KeyInfo {
        let Description { sign, decrypt, .. } = &*self.service.description;
        let (signs, decrypts) = match &kind {
            KeyKind::Aes(_) => (false, true),
            // No call makes MACs.
            KeyKind::Hmac { .. } => (false, false),
            KeyKind::Pair(public) | KeyKind::Public(public) => {
                (true, matches!(public.kind(), PublicKeyKind::Rsa { .. }))
            }
            _ => (true, true),
        };
        let mut info = KeyInfo::untold(kind);
        info.usage.sign = signs && !sign.is_empty();
        info.usage.decrypt = decrypts && !decrypt.is_empty();
        info
    }

    fn info(&self, describe: &Describe, response: &Response) -> KeyInfo {
        let answer = Answer::new(response);
        let kind = describe.kind.as_ref().and_then(|kind| kind.find_text(&answer));
        let public = || {
            let der = describe.public_key.as_ref()?.find(&answer, None)?;
            PublicKey::from_spki(&der).ok().filter(|key| *key.kind() != PublicKeyKind::Other)
        };
        let known = kind.as_ref().and_then(|kind| describe.kinds.get(kind));
        let kind = match (known, public()) {
            (Some(KeyType::Public), Some(public)) => KeyKind::Public(public),
            (_, Some(public)) => KeyKind::Pair(public),
            (Some(KeyType::Aes(bytes)), None) => KeyKind::Aes(*bytes),
            (Some(KeyType::Hmac(hash)), None) => KeyKind::Hmac { hash: *hash, bytes: None },
            (_, None) => KeyKind::Other(kind.map_or_else(|| "unknown".to_owned(), |kind| shown(&kind))),
        };
        let mut info = self.untold(kind);
        info.id = describe.id.as_ref().and_then(|id| id.find(&answer, None)).map(|id| id.to_vec());
        for told in &describe.flags {
            if let Some(Value::Bool(value)) = told.pointer.find(answer.tree()) {
                told.flag.set(&mut info, *value != told.turned);
            }
        }
        info
    }

    /// The certificate of each key.
    pub(super) fn certified(&self, names: &[KeyName], deadline: Deadline) -> Vec<Result<Option<Vec<u8>>>> {
        let Some((call, found)) = &self.service.description.certificate else {
            return names.iter().map(|_| Ok(None)).collect();
        };
        let purpose = Purpose::Certificate;
        let answers = self.service.call_many(call, named(names), purpose, deadline);
        let certificate = |answer: Result<_>| {
            let response = self.there(answer?, purpose)?;
            Ok(response
                .and_then(|response| found.find(&Answer::new(&response), None))
                .map(|der| der.to_vec()))
        };
        answers.into_iter().map(certificate).collect()
    }

    /// The answer, if there is what was asked for.
    fn there(&self, answer: Judged<Response>, purpose: Purpose) -> Result<Option<Response>> {
        let errors = &self.service.description.errors;
        let is_absent = |refusal: &Refusal| ABSENT.contains(&errors.rv(refusal, purpose));
        match answer {
            Ok(response) => Ok(Some(response)),
            Err(refusal) if is_absent(&refusal) => Ok(None),
            Err(refusal) => Err(errors.error(&refusal, purpose)),
        }
    }
}

fn named(names: &[KeyName]) -> impl Iterator<Item = Values<'_>> {
    names.iter().map(|name| Values { key: name.as_str(), ..Values::default() })
}

/// Where a listing is.
#[derive(Default)]
struct Place {
    page: usize,
    offset: usize,
    cursor: String,
    cursors: HashSet<String>,
    /// The items of the page before.
    before: String,
}

/// What a page is in a listing.
enum Turn {
    Next,
    Last,
    /// It is the one before once more.
    Over,
}

impl Place {
    fn first(paging: &Paging) -> Self {
        let page = if let Paging::Page { first, .. } = paging { *first } else { 0 };
        Self { page, ..Self::default() }
    }

    /// Goes on to the next page, if there is one. A page with fewer items than were asked for need not be the last: the
    /// service may have a limit of its own.
    ///
    /// # Errors
    /// A service that goes in circles.
    fn turn(&mut self, paging: &Paging, page: Page) -> Result<Turn, &'static str> {
        match paging {
            Paging::Whole => Ok(Turn::Last),
            Paging::Cursor { .. } => {
                self.cursor = page.cursor.unwrap_or_default();
                match self.cursor.as_str() {
                    "" => Ok(Turn::Last),
                    cursor if self.cursors.insert(cursor.to_owned()) => Ok(Turn::Next),
                    _ => Err("the service gave the same cursor twice"),
                }
            }
            Paging::Page { limit, .. } | Paging::Offset { limit, .. } => {
                // Some services give their last page to whoever asks beyond it; of a full one nobody knows.
                match page.items {
                    0 => return Ok(Turn::Last),
                    items if page.text == self.before && items < *limit => return Ok(Turn::Over),
                    _ if page.text == self.before => return Err("the service gave the same page twice"),
                    _ => {}
                }
                self.page += 1;
                self.offset += page.items;
                self.before = page.text;
                let is_last = page.total.is_some_and(|total| self.offset >= total);
                Ok(if is_last { Turn::Last } else { Turn::Next })
            }
        }
    }
}

fn read_page(list: &List, answer: &Answer<'_>) -> Option<Page> {
    let cursor = match &list.paging {
        Paging::Cursor { next, .. } => answer.text(std::slice::from_ref(next)),
        _ => None,
    };
    let all = list.items.find(answer.tree())?;
    let (total, text) = match &list.paging {
        Paging::Page { total, .. } | Paging::Offset { total, .. } => {
            let total =
                total.as_ref().and_then(|total| answer.text(std::slice::from_ref(total))?.parse().ok());
            (total, all.to_string())
        }
        Paging::Whole | Paging::Cursor { .. } => (None, String::new()),
    };
    let (names, items) = match all {
        Value::Array(items) => (items.iter().filter_map(|item| name(list, item)).collect(), items.len()),
        Value::Object(members) => {
            let shown = members.iter().filter(|(_, item)| is_shown(list, item));
            (shown.map(|(name, _)| KeyName::from(name.as_str())).collect(), members.len())
        }
        // A service may have null for a list without an item.
        Value::Null => (Vec::new(), 0),
        _ => return None,
    };
    Some(Page { names, items, cursor, total, text })
}

/// The name of an item that is shown.
fn name(list: &List, item: &Value) -> Option<KeyName> {
    let name = list.name.find(item)?.as_str().filter(|name| !name.is_empty())?;
    is_shown(list, item).then(|| KeyName::from(name))
}

fn is_shown(list: &List, item: &Value) -> bool {
    let told = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    list.only
        .iter()
        .all(|(at, values)| at.find(item).and_then(told).is_some_and(|told| values.contains(&told)))
}
