//! The secrets that requests show as they are, and the header lines that they make.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use super::{ApiKey, AuthError, Basic, Bearer, Credential, Signer};
use crate::transport::Headers;

/// One of them.
pub(super) enum Layer {
    ApiKey(ApiKey),
    Basic(Basic),
    Bearer(Bearer),
    /// Its lines are made at the last step of each attempt.
    Signed(Arc<Signer>),
}

impl Layer {
    fn apply(&self, headers: &mut Headers) -> Result<(), AuthError> {
        match self {
            Self::ApiKey(layer) => layer.apply(headers),
            Self::Basic(layer) => layer.apply(headers),
            Self::Bearer(layer) => layer.apply(headers),
            Self::Signed(signer) => signer.prove(),
        }
    }

    /// The key of `[slot.auth]` that has it.
    fn name(&self) -> &'static str {
        match self {
            Self::ApiKey(_) => "header",
            Self::Basic(_) => "basic",
            Self::Bearer(_) => "bearer",
            Self::Signed(_) => "hmac",
        }
    }

    fn credential(&self) -> &Credential {
        match self {
            Self::ApiKey(ApiKey { credential, .. })
            | Self::Basic(Basic { credential, .. })
            | Self::Bearer(Bearer { credential, .. }) => credential,
            Self::Signed(signer) => signer.credential(),
        }
    }
}

/// All of one slot, with the lines that they make.
#[derive(Default)]
pub(super) struct Presented {
    layers: Vec<Layer>,
    made: RwLock<Made>,
}

#[derive(Default)]
struct Made {
    /// Grows when a secret changes, so that lines made of older ones are not kept.
    generation: u64,
    lines: Option<Arc<Lines>>,
}

/// What the layers make of their secrets.
pub(super) struct Lines {
    /// That of the secrets.
    pub(super) generation: u64,
    pub(super) headers: Headers,
    /// Whether a call was not refused with them.
    accepted: AtomicBool,
}

impl Lines {
    /// A call with them was not refused. Says whether that was the first.
    pub(super) fn accept(&self) -> bool {
        // Looked at before it is written: all threads share it.
        !self.accepted.load(Ordering::Relaxed) && !self.accepted.swap(true, Ordering::Relaxed)
    }
}

impl Presented {
    pub(super) fn add(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// What signs requests, if something does.
    pub(super) fn signer(&self) -> Option<&Signer> {
        self.layers.iter().find_map(|layer| match layer {
            Layer::Signed(signer) => Some(&**signer),
            _ => None,
        })
    }

    /// `None` without a layer.
    pub(super) fn lines(&self) -> Result<Option<Arc<Lines>>, AuthError> {
        if self.layers.is_empty() {
            return Ok(None);
        }
        loop {
            let generation = {
                let made = self.made.read();
                if let Some(lines) = &made.lines {
                    return Ok(Some(Arc::clone(lines)));
                }
                made.generation
            };
            let mut headers = Headers::default();
            self.layers.iter().try_for_each(|layer| layer.apply(&mut headers))?;
            let mut made = self.made.write();
            // Else a secret has changed meanwhile.
            if made.generation == generation {
                let lines = || Arc::new(Lines { generation, headers, accepted: AtomicBool::new(false) });
                return Ok(Some(Arc::clone(made.lines.get_or_insert_with(lines))));
            }
        }
    }

    /// To be called after a secret has changed.
    fn forget_lines(&self) {
        let mut made = self.made.write();
        made.generation += 1;
        made.lines = None;
    }

    /// Reads the secrets anew and says whether one is another now. One that cannot be read stays what it was.
    ///
    /// No lock is held while a source is asked, which may take its time. All that have changed are replaced in one step,
    /// and whoever comes late leaves what is newer than its own.
    pub(super) fn refresh(&self) -> bool {
        let generation = self.made.read().generation;
        let read = |layer: &Layer| layer.credential().read_anew().ok().flatten();
        let secrets: Vec<_> = self.layers.iter().map(read).collect();
        let mut made = self.made.write();
        if made.generation != generation {
            return false;
        }
        let mut changed = false;
        for (layer, secret) in self.layers.iter().zip(secrets) {
            changed |= secret.is_some_and(|secret| layer.credential().replace(secret));
        }
        if changed {
            made.generation += 1;
            made.lines = None;
        }
        changed
    }

    /// Whether nothing is still to come from `C_Login`.
    pub(super) fn is_ready(&self) -> bool {
        self.layers.iter().all(|layer| layer.credential().is_filled())
    }

    /// Those that `C_Login` brings, with their names in the configuration, in a fixed order.
    pub(super) fn pins(&self) -> impl Iterator<Item = (&'static str, &Credential)> {
        let named = self.layers.iter().map(|layer| (layer.name(), layer.credential()));
        named.filter(|(_, credential)| credential.is_pin())
    }

    /// Takes what `C_Login` brought, in the order of [`Self::pins`].
    pub(super) fn fill(&self, secrets: &[&str]) {
        self.pins().zip(secrets).for_each(|((_, pin), secret)| pin.fill((*secret).into()));
        self.forget_lines();
    }

    /// Forgets what `C_Login` brought. Says whether that was let in before.
    pub(super) fn clear(&self) -> bool {
        let lines = self.made.read().lines.clone();
        let brought = self.pins().map(|(_, pin)| pin.clear()).count() > 0;
        self.forget_lines();
        brought && lines.is_some_and(|lines| lines.accepted.load(Ordering::Relaxed))
    }
}
