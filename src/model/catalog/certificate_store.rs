//! Certificates from files, matched to keys by public key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cryptoki_sys::CK_OBJECT_HANDLE;
use once_cell::sync::OnceCell;
use parking_lot::RwLock;

use crate::config;
use crate::crypto::certificate::Certificate;
use crate::crypto::public_key::PublicKey;
use crate::model::object::{Maker, Object};
use crate::observe::log::Log;

/// A file larger than this is no certificate.
const LIMIT: u64 = 4 << 20;

/// The certificates of one slot's files, read when they are first wanted.
pub struct CertificateStore {
    paths: Vec<PathBuf>,
    log: Log,
    read: OnceCell<Vec<Held>>,
    objects: RwLock<Vec<(CK_OBJECT_HANDLE, Arc<Object>)>>,
}

struct Held {
    certificate: Certificate,
    public_key: Option<PublicKey>,
    /// `CKA_LABEL` where no key gives one: the name of the file.
    label: String,
}

impl CertificateStore {
    /// A store of these files and directories.
    pub fn new(paths: Vec<PathBuf>, log: Log) -> Self {
        Self { paths, log, read: OnceCell::new(), objects: RwLock::default() }
    }

    /// The certificate of one key: the one that the configuration gives it, else one with its public key.
    pub fn for_key(&self, key: Option<&config::Key>, public: Option<&PublicKey>) -> Option<Certificate> {
        let configured = key.and_then(|key| key.certificate.as_deref());
        if let Some(certificate) = configured.and_then(|der| Certificate::from_der(der).ok()) {
            return Some(certificate);
        }
        let public = public?;
        let held = self.held().iter().find(|held| held.public_key.as_ref() == Some(public))?;
        Some(held.certificate.clone())
    }

    /// All certificates, as they are shown where no key gives them its id and label: those of authorities, as a rule.
    pub fn objects(
        &self,
        maker: &Maker<'_>,
        handle: impl Fn() -> CK_OBJECT_HANDLE,
    ) -> Vec<(CK_OBJECT_HANDLE, Arc<Object>)> {
        let held = self.held();
        let mut objects = self.objects.write();
        if objects.len() < held.len() {
            *objects = held.iter().map(|held| (handle(), Arc::new(held.object(maker)))).collect();
        }
        objects.clone()
    }

    /// Those that [`Self::objects`] gave last.
    pub fn shown(&self) -> Vec<(CK_OBJECT_HANDLE, Arc<Object>)> {
        self.objects.read().clone()
    }

    /// Shows these, under these handles.
    pub fn inherit(&self, shown: &[(CK_OBJECT_HANDLE, Arc<Object>)]) {
        *self.objects.write() = shown.to_vec();
    }

    /// One that [`Self::objects`] gave.
    pub fn by_handle(&self, handle: CK_OBJECT_HANDLE) -> Option<Arc<Object>> {
        let objects = self.objects.read();
        objects.iter().find(|(other, _)| *other == handle).map(|(_, object)| Arc::clone(object))
    }

    fn held(&self) -> &[Held] {
        self.read.get_or_init(|| {
            let mut held = Vec::new();
            for path in self.paths.iter().flat_map(|path| self.files(path)) {
                self.read_file(&path, &mut held);
            }
            held
        })
    }

    /// A path itself, or the files in it, in the order of their names.
    fn files(&self, path: &Path) -> Vec<PathBuf> {
        if !path.is_dir() {
            return vec![path.to_owned()];
        }
        match std::fs::read_dir(path) {
            Ok(entries) => {
                let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
                files.retain(|file| file.is_file());
                files.sort();
                files
            }
            Err(error) => {
                self.log.warn(format_args!("{} cannot be read: {error}", path.display()));
                Vec::new()
            }
        }
    }

    fn read_file(&self, path: &Path, held: &mut Vec<Held>) {
        let content = std::fs::metadata(path).and_then(|meta| match meta.len() {
            0..=LIMIT => std::fs::read(path),
            _ => Err(std::io::ErrorKind::FileTooLarge.into()),
        });
        let certificates = match content {
            Ok(content) => Certificate::parse_all(&content).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let label = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match certificates {
            Ok(certificates) => held.extend(certificates.into_iter().map(|certificate| Held {
                public_key: certificate.public_key().ok(),
                certificate,
                label: label.clone(),
            })),
            Err(error) => self.log.warn(format_args!("no certificate in {}: {error}", path.display())),
        }
    }
}

impl Held {
    fn object(&self, maker: &Maker<'_>) -> Object {
        let id = self.public_key.as_ref().map(|key| key.subject_key_identifier().to_vec());
        maker.certificate(&self.label, &id.unwrap_or_default(), &self.certificate, false)
    }
}
