//! Labels and ids that keys are given on this machine.

use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CKA_ID, CKA_LABEL, CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_VALUE_INVALID,
};

use super::Catalog;
use super::aliases::{Alias, Content, Hex, own_name};
use crate::backend::KeyName;
use crate::crypto::public_key::PublicKey;
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
        aliases.update(|content| {
            let mut alias = content.keys.remove(name.as_str()).unwrap_or_default();
            for (kind, value) in template.iter() {
                match kind {
                    CKA_LABEL => alias.label = self.new_label(content, name, value)?,
                    CKA_ID => alias.id = Some(Hex(value.to_vec())).filter(|id| !id.0.is_empty()),
                    _ => return Err(unchangeable(kind)),
                }
            }
            if alias != Alias::default() {
                content.keys.insert(name.as_str().to_owned(), alias);
            }
            Ok(())
        })?;
        self.reload(std::slice::from_ref(name));
        self.take_over();
        Ok(())
    }

    /// `None`: the key's own.
    fn new_label(&self, content: &Content, name: &KeyName, value: &[u8]) -> Result<Option<String>> {
        let own = name.as_str();
        let text = Some(label_text(value)?).filter(|text| !text.is_empty()).unwrap_or(own);
        let entries = self.entries.read();
        let is_alias = |(other, alias): (&String, &Alias)| {
            alias.label.as_deref() == Some(text) && entries.may_have(&other.as_str().into())
        };
        let is_name = text != own
            && content.keys.get(text).is_none_or(|alias| alias.label.is_none())
            && entries.by_name.contains_key(&text.into());
        if is_name || content.keys.iter().any(is_alias) {
            return Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "another key has that label"));
        }
        Ok(Some(text).filter(|text| *text != own).map(str::to_owned))
    }

    /// That no key is called so here. (Whether one has it for its name, the HSM says.)
    ///
    /// # Errors
    /// `CKR_ATTRIBUTE_VALUE_INVALID`
    pub(super) fn check_free(&self, label: &str) -> Result<()> {
        match self.alias_of(label) {
            Some(_) => Err(Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "another key has that label")),
            None => Ok(()),
        }
    }

    /// The name of the key that is called so here. One that is not listed any more counts no more.
    fn alias_of(&self, label: &str) -> Option<KeyName> {
        let name = self.aliases.as_ref()?.name_of(label)?;
        self.entries.read().may_have(&name).then_some(name)
    }

    /// The name of the key with a label: itself, unless the key of that name is called otherwise.
    pub(super) fn called(&self, label: &str) -> Option<KeyName> {
        let Some(aliases) = &self.aliases else { return Some(label.into()) };
        let is_itself = |name: &KeyName| aliases.of(name).is_none_or(|alias| alias.label.is_none());
        self.alias_of(label).or_else(|| Some(label.into()).filter(is_itself))
    }

    /// Reads what other processes wrote.
    pub(super) fn refresh_aliases(&self) {
        if let Some(aliases) = &self.aliases {
            aliases.refresh();
            self.take_over();
        }
    }

    /// The same if the last time was long ago, since not every search takes a listing. What came with a change of this
    /// process's own is shown in any case.
    pub(super) fn refresh_old_aliases(&self) {
        let Some(aliases) = &self.aliases else { return };
        match aliases.is_fresh(self.settings.refresh) {
            true => self.take_over(),
            false => self.refresh_aliases(),
        }
    }

    /// Shows what others have made the file say. Not while keys are read: it drops what was read of them.
    pub(super) fn take_over(&self) {
        let Some(aliases) = &self.aliases else { return };
        // Who finds nothing to do may go on because it is done.
        let _one_at_a_time = self.taking_over.lock();
        let changes = aliases.take_changes();
        if !changes.any {
            return;
        }
        if !changes.keys.is_empty() {
            self.reload(&Vec::from_iter(changes.keys));
        }
        let own = changes.own_certificates;
        if !own.is_empty() {
            self.forget_certificates_of(|public| own.contains(&own_name(public)));
        }
        self.show_kept();
    }

    /// A key of this name is another one than before, or none; `public` is the one that it had.
    pub(super) fn forget_alias(&self, name: &KeyName, public: Option<&PublicKey>) {
        let Some(aliases) = &self.aliases else { return };
        let outcome = aliases.update(|content| {
            content.keys.remove(name.as_str());
            public.map(|public| content.own_certificates.remove(&own_name(public)));
            Ok(())
        });
        if let Err(error) = outcome {
            self.log.warn(format_args!("the alias of key {name:?} stays: {error}"));
        }
    }

    /// What was read of these keys is made anew when it is wanted; their handles stay.
    pub(super) fn reload(&self, names: &[KeyName]) {
        let entries = self.entries.read();
        for entry in names.iter().filter_map(|name| entries.by_name.get(name)) {
            *entry.loaded.write() = Default::default();
        }
        drop(entries);
        self.changed();
    }
}

/// # Errors
/// `CKR_ATTRIBUTE_VALUE_INVALID` for a label that is no text.
pub(super) fn label_text(value: &[u8]) -> Result<&str> {
    std::str::from_utf8(value).map_err(|_| Error::new(CKR_ATTRIBUTE_VALUE_INVALID, "CKA_LABEL is not UTF-8"))
}

pub(super) fn unchangeable(kind: CK_ATTRIBUTE_TYPE) -> Error {
    Error::new(CKR_ATTRIBUTE_READ_ONLY, format!("attribute {kind:#x} does not change"))
}
