//! The environment as a twin of the file: every key has a variable, and a variable wins.
//!
//! The names come from the schema: `slot.auth.bearer` of the first slot is `P11REST_SLOT_0_AUTH_BEARER`, `slot.key.id`
//! of its second key is `P11REST_SLOT_0_KEY_1_ID`. An empty variable is as good as none.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use zeroize::Zeroizing;

use super::document::{Item, Place, Table, Value};
use super::problem::{Fault, Problem};
use super::read::Source;
use super::schema::{self, FIELDS, Form};

/// `P11REST_LOG=debug`: the level, and standard error if no target is named.
const SHORT_LOG: &str = "P11REST_LOG";
const TOP: &str = "P11REST_";
const LOG: &str = "P11REST_LOG_";
const SLOT: &str = "P11REST_SLOT_";

/// The variables of the process by name.
pub(super) type Variables = BTreeMap<OsString, OsString>;

/// One slot of the file or of the environment, before it is read.
pub(super) struct RawSlot {
    /// Its number: the place in the file, or what stands in the variables.
    pub(super) number: u64,
    /// Where it begins.
    pub(super) place: Place,
    /// Its tree.
    pub(super) table: Table,
    /// The first variable for it that is wrong.
    pub(super) problem: Option<Problem>,
}

/// Lays the variables over the file: `root` is its table without the slots, `slots` are those. Slots that only the
/// environment has come behind the others, in the order of their numbers.
///
/// # Errors
/// A variable that begins like one of ours and that no key has, unless a slot is to blame.
pub(super) fn overlay(
    root: &mut Table,
    slots: &mut Vec<RawSlot>,
    variables: &Variables,
    source: &Source,
) -> Result<(), Problem> {
    let mut settings = Vec::new();
    for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        if let Some(name) = name.to_str()
            && let Some(target) = Target::of(name)
        {
            let (target, tail) =
                target.map_err(|fault| source.problem(Some(&variable(name)), None, fault))?;
            settings.push(Setting { target, name, tail, value });
        }
    }
    // By number, where the names alone would have slot 10 before slot 2.
    settings.sort_by_key(|setting| setting.target);
    for setting in settings {
        let problem = |fault| source.problem(Some(&variable(setting.name)), None, fault);
        match setting.target {
            Target::Top => setting.put(root, "").map_err(problem)?,
            Target::Log => setting.put_in_log(root).map_err(problem)?,
            Target::Slot { number, key } => {
                let slot = slot_of(slots, number, setting.name);
                if let Err(fault) = setting.put_in_slot(&mut slot.table, key) {
                    slot.problem.get_or_insert_with(|| problem(fault));
                }
            }
        }
    }
    overlay_short_log(root, variables, source)
}

fn overlay_short_log(root: &mut Table, variables: &Variables, source: &Source) -> Result<(), Problem> {
    let Some(level) = variables.get(OsStr::new(SHORT_LOG)).filter(|level| !level.is_empty()) else {
        return Ok(());
    };
    let level = item(SHORT_LOG, Form::Text, level)
        .map_err(|fault| source.problem(Some(&variable(SHORT_LOG)), None, fault))?;
    let Some(log) = inner_table(root, "log", SHORT_LOG) else { return Ok(()) };
    let value = Value::Text(Zeroizing::new("stderr".into()));
    log.entry("target".into()).or_insert(Item { place: variable(SHORT_LOG), value });
    if !log.get("level").is_some_and(|level| matches!(level.place, Place::Variable(_))) {
        log.insert("level".into(), level);
    }
    Ok(())
}

/// Which table a variable is for. The order is that in which they are laid over the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// The file's own keys but for the version.
    Top,
    Log,
    /// The slot of this number, or the `[[slot.key]]` of that number in it.
    Slot {
        number: u64,
        key: Option<u64>,
    },
}

impl Target {
    /// The table and the rest of the name; `None` for a variable that has nothing to do with us.
    fn of(name: &str) -> Option<Result<(Self, &str), Fault>> {
        if let Some(tail) = name.strip_prefix(TOP).filter(|tail| *tail == "FORK") {
            return Some(Ok((Self::Top, tail)));
        }
        if let Some(tail) = name.strip_prefix(LOG) {
            return Some(Ok((Self::Log, tail)));
        }
        let Some((number, tail)) = numbered(name.strip_prefix(SLOT)?) else {
            return Some(Err(Fault::new("has no number of a slot", "write P11REST_SLOT_0_LABEL and so on")));
        };
        let (key, tail) = match tail.strip_prefix("KEY_").and_then(numbered) {
            Some((key, tail)) => (Some(key), tail),
            None => (None, tail),
        };
        Some(Ok((Self::Slot { number, key }, tail)))
    }
}

/// `0_LABEL` is 0 and `LABEL`.
fn numbered(tail: &str) -> Option<(u64, &str)> {
    let (number, tail) = tail.split_once('_')?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((number.parse().ok().filter(|_| plain)?, tail))
}

fn slot_of<'a>(slots: &'a mut Vec<RawSlot>, number: u64, name: &str) -> &'a mut RawSlot {
    let at = slots.iter().position(|slot| slot.number == number).unwrap_or_else(|| {
        slots.push(RawSlot { number, place: variable(name), table: Table::new(), problem: None });
        slots.len() - 1
    });
    // Found or just pushed.
    &mut slots[at]
}

/// One variable.
struct Setting<'a> {
    target: Target,
    name: &'a str,
    /// The name behind the target.
    tail: &'a str,
    value: &'a OsStr,
}

impl Setting<'_> {
    fn put_in_log(&self, root: &mut Table) -> Result<(), Fault> {
        inner_table(root, "log", self.name).map_or(Ok(()), |log| self.put(log, "log."))
    }

    fn put_in_slot(&self, slot: &mut Table, key: Option<u64>) -> Result<(), Fault> {
        let Some(key) = key else { return self.put(slot, "slot.") };
        let empty = || Item { place: variable(self.name), value: Value::List(Vec::new()) };
        let Value::List(keys) = &mut slot.entry("key".into()).or_insert_with(empty).value else {
            // What stands in the file is wrong, and its reader says so.
            return Ok(());
        };
        let at = usize::try_from(key).unwrap_or(usize::MAX);
        let count = keys.len();
        if at == count {
            keys.push(Item::empty_table(variable(self.name)));
        }
        match keys.get_mut(at).map(|key| &mut key.value) {
            Some(Value::Table(key)) => self.put(key, "slot.key."),
            Some(_) => Ok(()),
            None => Err(Fault::new(format!("leaves a gap: there are {count} keys"), "number keys from 0 on")),
        }
    }

    /// Puts the value into `table`, the paths of whose keys begin with `prefix` in the schema.
    fn put(&self, mut table: &mut Table, prefix: &str) -> Result<(), Fault> {
        let (path, form) = self.find(prefix)?;
        let (tables, key) = path.rsplit_once('.').unwrap_or(("", path));
        for name in tables.split('.').filter(|name| !name.is_empty()) {
            let Some(inner) = inner_table(table, name, self.name) else { return Ok(()) };
            table = inner;
        }
        table.insert(key.into(), item(self.name, form, self.value)?);
        Ok(())
    }

    /// What follows `prefix` in the path of the key that this variable is the twin of.
    fn find(&self, prefix: &str) -> Result<(&'static str, Form), Fault> {
        let below = FIELDS.iter().filter_map(|field| Some((field.path.strip_prefix(prefix)?, field.form)));
        // The twins of a slot's keys have a number, so they are not looked for here.
        let known: Vec<_> = below
            .filter(|(path, _)| !path.starts_with("key."))
            .map(|(path, form)| (twin(path), path, form))
            .collect();
        if let Some((_, path, form)) = known.iter().find(|(twin, ..)| twin == self.tail) {
            return Ok((path, *form));
        }
        let twins: Vec<_> = known.iter().map(|(twin, ..)| twin.as_str()).collect();
        let start = self.name.strip_suffix(self.tail).unwrap_or_default();
        let remedy = match schema::nearest(self.tail, &twins) {
            Some(near) => format!("write {start}{near}"),
            None => format!("{start} may be followed by {}", twins.join(", ")),
        };
        Err(Fault::new("is the twin of no key", remedy))
    }
}

/// The table `name` in `table`, made for the variable if it is not there; `None` if something else is: that is wrong in
/// the file, and its reader says so.
fn inner_table<'a>(table: &'a mut Table, name: &str, for_variable: &str) -> Option<&'a mut Table> {
    let item = table.entry(name.into()).or_insert_with(|| Item::empty_table(variable(for_variable)));
    match &mut item.value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

/// How a path looks in the name of a variable.
fn twin(path: &str) -> String {
    path.replace('.', "_").to_ascii_uppercase()
}

/// The variable of the key at `path`, in the first slot and its first key; the version has none.
#[cfg(test)]
pub(super) fn first_twin(path: &str) -> Option<String> {
    let path = path.replace("slot.key.", "slot.key.0.").replace("slot.", "slot.0.");
    (path != "version").then(|| format!("P11REST_{}", twin(&path)))
}

fn variable(name: &str) -> Place {
    Place::Variable(name.to_owned())
}

/// The value of a variable in the form that its key has.
fn item(name: &str, form: Form, value: &OsStr) -> Result<Item, Fault> {
    let text = value.to_str().ok_or_else(|| Fault::new("is not UTF-8", "write it in UTF-8"))?;
    let at = |value| Item { place: variable(name), value };
    let string = |text: &str| at(Value::Text(Zeroizing::new(text.to_owned())));
    let list = |text: &str| {
        let pieces = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|piece| !piece.is_empty());
        Value::List(pieces.map(string).collect())
    };
    Ok(match form {
        Form::Boolean => at(match text {
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            _ => return Err(Fault::new("is neither true nor false", "write true or false")),
        }),
        Form::Groups => at(Value::List(text.split(';').map(|group| at(list(group))).collect())),
        Form::Integer => at(Value::Integer(
            text.trim().parse().map_err(|_| Fault::new("is not an integer", "write a decimal integer"))?,
        )),
        Form::Lines => at(Value::List(text.lines().filter(|line| !line.is_empty()).map(string).collect())),
        Form::List => at(list(text)),
        Form::Text => string(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variables of the process, over nothing.
    fn overlaid(pairs: &[(&str, &str)]) -> Result<(Table, Vec<RawSlot>), Problem> {
        let variables = pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let (mut root, mut slots) = (Table::new(), Vec::new());
        overlay(&mut root, &mut slots, &variables, &Source::default())?;
        Ok((root, slots))
    }

    #[test]
    fn every_key_but_the_version_has_a_twin() {
        for field in FIELDS {
            let Some(variable) = first_twin(field.path) else { continue };
            let value = match field.form {
                Form::Boolean => "true",
                _ => "7",
            };
            let (root, slots) = overlaid(&[(&variable, value)]).unwrap();
            let (mut item, path) = match field.path.strip_prefix("slot.") {
                Some(path) => (
                    Item {
                        place: Place::Line(0),
                        value: Value::Table(slots.into_iter().next().unwrap().table),
                    },
                    path,
                ),
                None => (Item { place: Place::Line(0), value: Value::Table(root) }, field.path),
            };
            for name in path.split('.') {
                let Value::Table(mut table) = item.value else { panic!("{variable}: {name}") };
                item = table.remove(name).unwrap_or_else(|| panic!("{variable}: {name}"));
                if let Value::List(items) = item.value {
                    item = items.into_iter().next().unwrap();
                }
            }
            assert_eq!(item.place, Place::Variable(variable));
        }
    }

    #[test]
    fn slots_and_keys_are_ordered_by_number() {
        let (_, slots) = overlaid(&[
            ("P11REST_SLOT_10_LABEL", "ten"),
            ("P11REST_SLOT_2_LABEL", "two"),
            ("P11REST_SLOT_3_LABEL", ""),
        ])
        .unwrap();
        assert_eq!(slots.iter().map(|slot| slot.number).collect::<Vec<_>>(), [2, 10]);
        let names: Vec<_> = (0..12).map(|key| format!("P11REST_SLOT_0_KEY_{key}_LABEL")).collect();
        let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let (_, slots) = overlaid(&pairs).unwrap();
        assert!(slots[0].problem.is_none());
        assert!(matches!(&slots[0].table["key"].value, Value::List(keys) if keys.len() == 12));
    }

    #[test]
    fn a_misspelt_variable_of_a_slot_spoils_the_slot() {
        for (name, text) in [
            ("P11REST_SLOT_0_LABLE", "is the twin of no key; write P11REST_SLOT_0_LABEL"),
            (
                "P11REST_SLOT_0_AUTH_API_KEY_SERVICES",
                "is the twin of no key; write P11REST_SLOT_0_AUTH_API_KEY_SERVICE",
            ),
            ("P11REST_SLOT_0_KEY_1_ID", "leaves a gap: there are 0 keys; number keys from 0 on"),
            ("P11REST_SLOT_0_POOL_MAX", "is not an integer; write a decimal integer"),
            ("P11REST_SLOT_0_CATALOG_SHOW_INTERNAL", "is neither true nor false; write true or false"),
            (
                "P11REST_SLOT_0_KEY_0_COLOUR",
                "is the twin of no key; P11REST_SLOT_0_KEY_0_ may be followed by \
                 LABEL, SERIAL, ID, PUBLIC_KEY, CERTIFICATE, TYPE, PASSWORD",
            ),
        ] {
            let (_, slots) = overlaid(&[(name, "x")]).unwrap();
            assert_eq!(slots[0].problem.as_ref().unwrap().to_string(), format!("{name}: {text}"));
        }
    }

    #[test]
    fn what_no_slot_can_be_blamed_for_is_an_error() {
        for (name, text) in [
            ("P11REST_SLOT_LABEL", "has no number of a slot; write P11REST_SLOT_0_LABEL and so on"),
            ("P11REST_SLOT_+1_LABEL", "has no number of a slot; write P11REST_SLOT_0_LABEL and so on"),
            ("P11REST_LOG_LEVLE", "is the twin of no key; write P11REST_LOG_LEVEL"),
        ] {
            let problem = overlaid(&[(name, "x")]).err().unwrap();
            assert_eq!(problem.to_string(), format!("{name}: {text}"));
        }
        // Kubernetes sets such variables for a service named p11rest.
        assert!(overlaid(&[("P11REST_SERVICE_HOST", "10.0.0.1"), ("P11REST_PORT", "x")]).is_ok());
    }
}
