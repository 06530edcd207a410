//! The nonces of late, so that none is taken twice.

use std::collections::HashMap;

/// How many are kept before those that are too old are dropped.
const SWEEP: usize = 10_000;

/// Nonces by key id.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    /// With the second until which each is remembered.
    seen: HashMap<(String, String), i64>,
}

impl Nonces {
    /// Remembers a nonce for twice the skew; `false` if it was seen within that time.
    pub(super) fn note(&mut self, key_id: &str, nonce: &str, skew: u64, now: i64) -> bool {
        if self.seen.len() >= SWEEP {
            self.seen.retain(|_, until| *until >= now);
        }
        let entry = self.seen.entry((key_id.to_owned(), nonce.to_owned()));
        let mut is_new = true;
        let until = now.saturating_add_unsigned(skew.saturating_mul(2));
        entry
            .and_modify(|known| {
                is_new = *known < now;
                *known = until;
            })
            .or_insert(until);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_once_for_each_key() {
        let mut nonces = Nonces::default();
        assert!(nonces.note("a", "1", 10, 1000));
        assert!(nonces.note("b", "1", 10, 1000));
        assert!(!nonces.note("a", "1", 10, 1020));
        assert!(nonces.note("a", "1", 10, 1041));
    }
}
