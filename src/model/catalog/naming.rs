//! Labels and ids that keys are given on this machine.

use cryptoki_sys::{
    CKA_ID, CKA_LABEL, CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_VALUE_INVALID, CKR_FUNCTION_FAILED,
};

use super::Catalog;
use super::aliases::Alias;
use crate::backend::KeyName;
use crate::error::{Error, Result};
use crate::model::template::Template;

impl Catalog {
    /// Whether labels and ids can be changed.
    pub fn renames(&self) -> bool {
        self.aliases.is_some()
    }

    /// Gives a key the label and the id of the template; an empty one is that of the HSM again.
    ///
    /// # Errors
    /// `CKR_ATTRIBUTE_READ_ONLY` for any other attribute, `CKR_ATTRIBUTE_VALUE_INVALID` for a label that is no text or is
    /// another key's, `CKR_FUNCTION_FAILED` where the file cannot be written.
    pub fn rename(&self, name: &KeyName, template: &Template) -> Result<()> {
        let Some(aliases) = &self.aliases else { return Err(Error::internal("there is no file of aliases")) };
        let mut alias = aliases.of(name).unwrap_or_default();
        for (kind, value) in template.iter() {
            match kind {
                CKA_LABEL => alias.label = self.new_label(name, value)?,
                CKA_ID => alias.id = Some(value.to_vec()).filter(|id| !id.is_empty()),
                _ => {
                    let text = format!("attribute {kind:#x} does not change");
                    return Err(Error::new(CKR_ATTRIBUTE_READ_ONLY, text));
                }
            }
        }
        let alias = Some(alias).filter(|alias| *alias != Alias::default());
        aliases.set(name, alias).map_err(|error| {
            Error::new(CKR_FUNCTION_FAILED, "the file of aliases cannot be written").because(error)
        })?;
        self.reload(std::slice::from_ref(name));
        Ok(())
    }

    fn new_label(&self, name: &KeyName, value: &[u8]) -> Result<Option<String>> {
        let text = std::str::from_utf8(value)
            .map_err(|_| Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_LABEL is not UTF-8"))?;
        self.check_free(text, Some(name))?;
        Ok(Some(text.to_owned()).filter(|text| !text.is_empty() && text != name.as_str()))
    }

    /// That no key but the one of this name has the label.
    ///
    /// # Errors
    /// `CKR_ATTRIBUTE_VALUE_INVALID`
    pub(super) fn check_free(&self, label: &str, name: Option<&KeyName>) -> Result<()> {
        let Some(aliases) = &self.aliases else { return Ok(()) };
        let by_alias = aliases.name_of(label).is_some_and(|other| Some(&other) != name);
        // Whether a new key may have it, as a name, is for the HSM to say.
        let by_name = || {
            let other = KeyName::from(label);
            Some(&other) != name
                && aliases.of(&other).is_none_or(|alias| alias.label.is_none())
                && self.entries.read().by_name.contains_key(&other)
        };
        if by_alias || (name.is_some() && by_name()) {
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "another key has that label"));
        }
        Ok(())
    }

    /// The name of the key with a label: itself, unless the key of that name is called otherwise.
    pub(super) fn called(&self, label: &str) -> Option<KeyName> {
        let Some(aliases) = &self.aliases else { return Some(label.into()) };
        let is_itself = |name: &KeyName| aliases.of(name).is_none_or(|alias| alias.label.is_none());
        aliases.name_of(label).or_else(|| Some(label.into()).filter(is_itself))
    }

    /// Takes over what other processes wrote.
    pub(super) fn refresh_aliases(&self) {
        let renamed = self.aliases.as_ref().map(|aliases| aliases.refresh()).unwrap_or_default();
        if !renamed.is_empty() {
            self.reload(&renamed);
        }
    }

    /// A key of this name is another one than before, or none.
    pub(super) fn forget_alias(&self, name: &KeyName) {
        let Some(aliases) = self.aliases.as_ref().filter(|aliases| aliases.of(name).is_some()) else {
            return;
        };
        if let Err(error) = aliases.set(name, None) {
            self.log.warn(format_args!("the alias of key {name:?} stays: {error}"));
        }
    }

    /// What was read of these keys is made anew when it is wanted; their handles stay.
    fn reload(&self, names: &[KeyName]) {
        let entries = self.entries.read();
        for entry in names.iter().filter_map(|name| entries.by_name.get(name)) {
            *entry.loaded.write() = Default::default();
        }
        drop(entries);
        self.changed();
    }
}
