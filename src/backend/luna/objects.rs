//! The objects of a partition: their names and what they are, which is all that the appliance tells (Luna reference
//! section 9).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Luna;
use super::errors::{Purpose, Refusal};
use super::service::{Call, parsed, succeeded};
use super::wire::{self, Class, ObjectInfo};
use crate::backend::{KeyInfo, KeyKind, KeyName, Listed, Protection, Usage};
use crate::error::Result;
use crate::transport::{Deadline, Response};

/// Below the partition: the newer place is tried first.
const PATHS: [&str; 2] = ["object/objects", "objects"];

/// Objects a page.
const PAGE: usize = 100;

/// A listing as young as this is not taken again for a name that it lacks.
const FRESH: Duration = Duration::from_secs(1);

/// One listing.
pub(super) struct Shelf {
    taken: Instant,
    pub(super) names: Vec<KeyName>,
    pub(super) keys: HashMap<KeyName, KeyInfo>,
}

impl Luna {
    /// The objects that may be seen now, listed anew.
    pub(super) fn take_stock(&self, deadline: Deadline) -> Result<Arc<Shelf>> {
        let keeps_pin = self.standing.read().login.as_ref().is_some_and(|login| login.pin.is_some());
        if keeps_pin {
            self.keep(deadline)?;
        }
        let mut objects = self.objects(deadline)?;
        if keeps_pin && self.service.sessions.current().is_none_or(|private| private.user().is_none()) {
            // The login went meanwhile, and what it shows with it.
            self.keep(deadline)?;
            objects = self.objects(deadline)?;
        }
        let shelf = Arc::new(arranged(objects));
        *self.shelf.write() = Some(Arc::clone(&shelf));
        Ok(shelf)
    }

    /// The last listing; a new one if there is none, or if it lacks one of `names` and may be outdated.
    pub(super) fn stock(&self, names: &[KeyName], deadline: Deadline) -> Result<Arc<Shelf>> {
        let shelf = self.shelf.read().clone();
        match shelf {
            Some(shelf)
                if shelf.taken.elapsed() < FRESH
                    || names.iter().all(|name| shelf.keys.contains_key(name)) =>
            {
                Ok(shelf)
            }
            _ => self.take_stock(deadline),
        }
    }

    fn objects(&self, deadline: Deadline) -> Result<Vec<(String, ObjectInfo)>> {
        let place = self.place(deadline)?;
        let known = *self.objects_at.lock();
        let candidates: &[&'static str] = match &known {
            Some(path) => std::slice::from_ref(path),
            None => &PATHS,
        };
        let mut listed = None;
        for &path in candidates {
            let below = place.below(path);
            let first = self.page(&below, 0, deadline)?;
            let no_resource = !first.is_success() && Refusal::read(&first).is_no_resource();
            if no_resource && Some(&path) != candidates.last() {
                continue;
            }
            let first = succeeded(Purpose::Objects, first)?;
            *self.objects_at.lock() = Some(path);
            listed = Some((self.pages(&below, first, deadline)?, below));
            break;
        }
        let Some((elements, below)) = listed else { return Ok(Vec::new()) };
        self.details(&below, &elements, deadline)
    }

    fn page(&self, path: &str, offset: usize, deadline: Deadline) -> Result<Response> {
        let path = format!("{path}?limit={PAGE}&offset={offset}");
        self.service.ask(&Call::get(&path, Purpose::Objects), deadline)
    }

    /// The elements of all pages.
    fn pages(&self, path: &str, first: Response, deadline: Deadline) -> Result<Vec<Value>> {
        let mut elements: Vec<Value> = Vec::new();
        let mut page = first;
        loop {
            let answer = parsed(Purpose::Objects, &page)?;
            let found = wire::array(&answer).unwrap_or_default();
            elements.extend_from_slice(found);
            if found.is_empty() || !has_next(&page) {
                return Ok(elements);
            }
            page = succeeded(Purpose::Objects, self.page(path, elements.len(), deadline)?)?;
        }
    }

    /// What each element is: told in the list, or asked for. One that cannot be read spoils nothing.
    fn details(
        &self,
        path: &str,
        elements: &[Value],
        deadline: Deadline,
    ) -> Result<Vec<(String, ObjectInfo)>> {
        let purpose = Purpose::Objects;
        let ids: Vec<_> = elements.iter().filter_map(|element| Some((wire::id(element)?, element))).collect();
        let whole = |element: &Value| ObjectInfo::read(element).filter(|info| info.class.is_some());
        let untold: Vec<_> = ids.iter().filter(|(_, element)| whole(element).is_none()).collect();
        let paths: Vec<_> = untold.iter().map(|(id, _)| format!("{path}/{id}")).collect();
        let calls: Vec<_> = paths.iter().map(|path| Call::get(path, purpose)).collect();
        let mut told = HashMap::new();
        for ((id, _), answer) in untold.iter().zip(self.service.ask_many(&calls, deadline)) {
            let answer = answer?;
            if answer.is_success() {
                // An empty answer is an object that only a login shows.
                told.extend(ObjectInfo::read(&parsed(purpose, &answer)?).map(|info| (id.clone(), info)));
                continue;
            }
            let refusal = Refusal::read(&answer);
            if refusal.is_not_allowed() {
                return Err(refusal.error(purpose));
            }
            self.service.log.warn(format_args!("object {id} cannot be read: {refusal}"));
        }
        let known =
            |(id, element): (String, &Value)| Some((whole(element).or_else(|| told.remove(&id))?, id));
        Ok(ids.into_iter().filter_map(known).map(|(info, id)| (id, info)).collect())
    }
}

/// Whether an answer says that there is another page (RFC 8288).
fn has_next(answer: &Response) -> bool {
    let is_next = |link: &str| {
        let relation = link.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        relation.into_iter().any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        })
    };
    answer.kept.all("link").flat_map(|line| line.split(',')).any(is_next)
}

/// The keys by name: those of a pair have the same one.
fn arranged(objects: Vec<(String, ObjectInfo)>) -> Shelf {
    let mut names = Vec::new();
    let mut keys: HashMap<KeyName, KeyInfo> = HashMap::new();
    for (handle, object) in objects {
        let class = object.class.unwrap_or(Class::Other);
        if class == Class::Other {
            continue;
        }
        let name = object.label.or(object.ouid).unwrap_or_else(|| format!("object-{handle}"));
        let name = KeyName::from(name);
        let info = keys.entry(name.clone()).or_insert_with(|| {
            names.push(name);
            KeyInfo {
                id: None,
                label: None,
                kind: KeyKind::Listed(Listed::default()),
                usage: Usage::default(),
                protection: Protection::UNTOLD,
                approval: false,
                dormant: false,
            }
        });
        info.id = info.id.take().or(object.id);
        if let KeyKind::Listed(listed) = &mut info.kind {
            listed.private |= class == Class::PrivateKey;
            listed.public |= class == Class::PublicKey;
            listed.secret |= class == Class::SecretKey;
            listed.mixed |= listed.key_type.zip(object.key_type).is_some_and(|(one, other)| one != other);
            listed.key_type = listed.key_type.or(object.key_type);
        }
    }
    Shelf { taken: Instant::now(), names, keys }
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::{CKK_AES, CKK_RSA};

    use super::super::tests::kept;
    use super::*;

    fn object(label: &str, class: Class, key_type: u64, id: &[u8]) -> (String, ObjectInfo) {
        let label = Some(label.to_owned()).filter(|label| !label.is_empty());
        let id = Some(id.to_vec()).filter(|id| !id.is_empty());
        let info = ObjectInfo { label, class: Some(class), key_type: Some(key_type), id, ouid: None };
        ("19".into(), info)
    }

    #[test]
    fn the_keys_of_a_pair_have_one_name() {
        let shelf = arranged(vec![
            object("pair", Class::PublicKey, CKK_RSA, &[]),
            object("wrap", Class::SecretKey, CKK_AES, &[7]),
            object("pair", Class::PrivateKey, CKK_RSA, &[1, 2]),
            object("paper", Class::Other, 0, &[]),
            object("", Class::SecretKey, CKK_AES, &[]),
        ]);
        assert_eq!(shelf.names, ["pair", "wrap", "object-19"].map(KeyName::from));
        let pair = &shelf.keys[&KeyName::from("pair")];
        let listed = Listed { private: true, public: true, key_type: Some(CKK_RSA), ..Listed::default() };
        assert_eq!((&pair.kind, pair.id.as_deref()), (&KeyKind::Listed(listed), Some(&[1, 2][..])));
    }

    #[test]
    fn keys_of_several_types_under_one_label_are_told_apart_from_a_pair() {
        let mixed = |objects| {
            let shelf = arranged(objects);
            matches!(shelf.keys[&KeyName::from("k")].kind, KeyKind::Listed(listed) if listed.mixed)
        };
        let rsa = || object("k", Class::PrivateKey, CKK_RSA, &[]);
        assert!(mixed(vec![rsa(), object("k", Class::SecretKey, CKK_AES, &[])]));
        assert!(!mixed(vec![rsa(), object("k", Class::PublicKey, CKK_RSA, &[])]));
    }

    #[test]
    fn another_page_is_announced_by_a_link() {
        let has_next = |lines: &[(&str, &str)]| {
            has_next(&Response {
                status: 200,
                retry_after: None,
                kept: kept(lines),
                body: Default::default(),
            })
        };
        assert!(has_next(&[("link", "</x?limit=100&offset=100>; rel=\"next\"")]));
        assert!(has_next(&[("link", "</x>; rel=prev, </y>; rel=next")]));
        assert!(!has_next(&[("link", "</x?rel=next>; rel=\"prev\"")]));
        assert!(!has_next(&[]));
    }
}
