//! Every key that a configuration may have. The environment, the check for unknown keys and the test of
//! `docs/configuration.md` all read this one list; what the values mean is in `load.rs` and `slot.rs`.

/// The form of a value. It says how the text of an environment variable becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `true` or `false`.
    Boolean,
    /// A list of lists of strings; in the environment `;` stands between the inner lists.
    Groups,
    /// A decimal integer.
    Integer,
    /// A list of strings that may have blanks; in the environment each has a line of its own.
    Lines,
    /// A list of strings; in the environment blanks or commas stand between them.
    List,
    /// A string.
    Text,
}

/// One key: its dotted path, tables of an array without their number, and the form of its value.
pub(super) struct Field {
    pub(super) path: &'static str,
    pub(super) form: Form,
}

const fn field(path: &'static str, form: Form) -> Field {
    Field { path, form }
}

/// Every key.
pub(super) const FIELDS: &[Field] = &[
    field("version", Form::Integer),
    field("fork", Form::Text),
    field("log.level", Form::Text),
    field("log.target", Form::Text),
    field("slot.id", Form::Integer),
    field("slot.label", Form::Text),
    field("slot.backend", Form::Text),
    field("slot.urls", Form::Groups),
    field("slot.certificates", Form::List),
    field("slot.mechanisms", Form::List),
    field("slot.hide_mechanisms", Form::List),
    field("slot.edwards_point", Form::Text),
    field("slot.http2", Form::Boolean),
    field("slot.hidden", Form::Boolean),
    field("slot.auth.bearer", Form::Text),
    field("slot.auth.pin_format", Form::Text),
    field("slot.auth.user", Form::Text),
    field("slot.auth.password", Form::Text),
    field("slot.auth.basic.user", Form::Text),
    field("slot.auth.basic.password", Form::Text),
    field("slot.auth.header.name", Form::Text),
    field("slot.auth.header.value", Form::Text),
    field("slot.auth.token.login", Form::Text),
    field("slot.auth.token.body", Form::Text),
    field("slot.auth.token.fields", Form::Lines),
    field("slot.auth.token.basic", Form::Boolean),
    field("slot.auth.token.refresh", Form::Text),
    field("slot.auth.token.refresh_body", Form::Text),
    field("slot.auth.token.refresh_fields", Form::Lines),
    field("slot.auth.token.success", Form::Text),
    field("slot.auth.token.code", Form::Text),
    field("slot.auth.token.access", Form::List),
    field("slot.auth.token.refresh_token", Form::List),
    field("slot.auth.token.life", Form::List),
    field("slot.auth.token.default_life", Form::Text),
    field("slot.auth.token.header", Form::Text),
    field("slot.auth.token.scheme", Form::Text),
    field("slot.auth.token.keep_password", Form::Boolean),
    field("slot.auth.token.revoke", Form::Text),
    field("slot.auth.hmac.preset", Form::Text),
    field("slot.auth.hmac.key_id", Form::Text),
    field("slot.auth.hmac.secret", Form::Text),
    field("slot.auth.hmac.sign_token_calls", Form::Boolean),
    field("slot.auth.hmac.version", Form::Text),
    field("slot.auth.hmac.template", Form::Lines),
    field("slot.auth.hmac.join", Form::Text),
    field("slot.auth.hmac.trailing_join", Form::Boolean),
    field("slot.auth.hmac.mac_mode", Form::Text),
    field("slot.auth.hmac.hash", Form::Text),
    field("slot.auth.hmac.secret_encoding", Form::Text),
    field("slot.auth.hmac.key_derivation", Form::Text),
    field("slot.auth.hmac.output", Form::Text),
    field("slot.auth.hmac.body_hash", Form::Text),
    field("slot.auth.hmac.body_hash_encoding", Form::Text),
    field("slot.auth.hmac.body_hash_template", Form::Text),
    field("slot.auth.hmac.empty_body", Form::Text),
    field("slot.auth.hmac.query_mode", Form::Text),
    field("slot.auth.hmac.path_prefix_strip", Form::Text),
    field("slot.auth.hmac.timestamp_format", Form::Text),
    field("slot.auth.hmac.nonce_format", Form::Text),
    field("slot.auth.hmac.headers", Form::Lines),
    field("slot.auth.hmac.signed_headers", Form::List),
    field("slot.auth.hmac.parameters", Form::Lines),
    field("slot.auth.hmac.response_verify", Form::Boolean),
    field("slot.auth.hmac.response_template", Form::Lines),
    field("slot.auth.hmac.response_header", Form::Text),
    field("slot.auth.hmac.response_attribute", Form::Text),
    field("slot.auth.hmac.response_time_header", Form::Text),
    field("slot.auth.hmac.clock_skew", Form::Text),
    field("slot.auth.hmac.server_time_header", Form::Text),
    field("slot.auth.hmac.clock_words", Form::List),
    field("slot.auth.hmac.replay_words", Form::List),
    field("slot.auth.api_key.key_management", Form::Lines),
    field("slot.auth.api_key.key_operation", Form::Lines),
    field("slot.auth.api_key.approver", Form::Lines),
    field("slot.auth.api_key.service", Form::Lines),
    field("slot.auth.api_key.approver_key_management", Form::Lines),
    field("slot.crypto.slot", Form::Text),
    field("slot.crypto.pin_split", Form::Text),
    field("slot.fast.authorization", Form::Text),
    field("slot.fast.padding", Form::Text),
    field("slot.fast.hash_input", Form::Text),
    field("slot.fast.digests", Form::List),
    field("slot.fast.repeat_sign", Form::Boolean),
    field("slot.fast.batch_window", Form::Text),
    field("slot.fast.read_write_sessions", Form::Boolean),
    field("slot.luna.login", Form::Text),
    field("slot.luna.user", Form::Text),
    field("slot.luna.password", Form::Text),
    field("slot.luna.certificate", Form::Text),
    field("slot.luna.key", Form::Text),
    field("slot.luna.challenge", Form::Text),
    field("slot.luna.send_basic", Form::Boolean),
    field("slot.luna.partition", Form::Text),
    field("slot.luna.role", Form::Text),
    field("slot.luna.so", Form::Boolean),
    field("slot.luna.final_try", Form::Boolean),
    field("slot.luna.ped", Form::Integer),
    field("slot.luna.api_version", Form::Integer),
    field("slot.luna.session_idle", Form::Text),
    field("slot.luna.keep_pin", Form::Boolean),
    field("slot.luna.set_pin", Form::Text),
    field("slot.ciphertrust.prefix", Form::Text),
    field("slot.ciphertrust.domain", Form::Text),
    field("slot.ciphertrust.auth_domain", Form::Text),
    field("slot.ciphertrust.connection", Form::Text),
    field("slot.ciphertrust.keep_password", Form::Boolean),
    field("slot.ciphertrust.owner", Form::Text),
    field("slot.ciphertrust.labels", Form::Lines),
    field("slot.ciphertrust.max_message", Form::Integer),
    field("slot.ciphertrust.prehashed", Form::Text),
    field("slot.ciphertrust.pkcs1", Form::Text),
    field("slot.ciphertrust.pss", Form::Text),
    field("slot.ciphertrust.oaep_hash", Form::Text),
    field("slot.declared.file", Form::Text),
    field("slot.declared.parameters", Form::Lines),
    field("slot.tls.ca", Form::Text),
    field("slot.tls.server_name", Form::Text),
    field("slot.tls.identity.certificate", Form::Text),
    field("slot.tls.identity.key", Form::Text),
    field("slot.tls.identity.pkcs12", Form::Text),
    field("slot.tls.identity.password", Form::Text),
    field("slot.tls.pins", Form::List),
    field("slot.tls.min_version", Form::Text),
    field("slot.proxy.url", Form::Text),
    field("slot.proxy.user", Form::Text),
    field("slot.proxy.password", Form::Text),
    field("slot.timeouts.connect", Form::Text),
    field("slot.timeouts.call", Form::Text),
    field("slot.pool.max", Form::Integer),
    field("slot.pool.idle", Form::Text),
    field("slot.hedge.after", Form::Text),
    field("slot.hedge.budget", Form::Integer),
    field("slot.catalog.aliases", Form::Text),
    field("slot.catalog.refresh", Form::Text),
    field("slot.catalog.capacity", Form::Integer),
    field("slot.catalog.width", Form::Integer),
    field("slot.catalog.hide", Form::List),
    field("slot.catalog.hide_types", Form::List),
    field("slot.catalog.show_internal", Form::Boolean),
    field("slot.catalog.cache", Form::Text),
    field("slot.catalog.missing_certificates", Form::Text),
    field("slot.key.label", Form::Text),
    field("slot.key.serial", Form::Text),
    field("slot.key.id", Form::Text),
    field("slot.key.public_key", Form::Text),
    field("slot.key.certificate", Form::Text),
    field("slot.key.type", Form::Text),
    field("slot.key.password", Form::Boolean),
];

/// The names that may stand in the table at `path` (`""`: the whole file), each once, in the order of [`FIELDS`].
pub(super) fn names_in(path: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for field in FIELDS {
        let tail = match path {
            "" => Some(field.path),
            _ => field.path.strip_prefix(path).and_then(|tail| tail.strip_prefix('.')),
        };
        if let Some(name) = tail.and_then(|tail| tail.split('.').next())
            && names.last() != Some(&name)
        {
            names.push(name);
        }
    }
    names
}

/// Of `known`, the name that `wrong` was probably meant to be.
pub(crate) fn nearest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = 1 + wrong.chars().count() / 3;
    let scored = known.iter().map(|name| (distance(&wrong.to_lowercase(), &name.to_lowercase()), *name));
    scored.filter(|(score, _)| *score <= limit).min_by_key(|(score, _)| *score).map(|(_, name)| name)
}

/// How many characters have to be added, dropped or replaced to make `right` of `wrong` (Levenshtein).
fn distance(wrong: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, a) in wrong.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        // `row` is one longer than `right`: its first cell is the border of the table.
        row[0] = left;
        for (cell, b) in row[1..].iter_mut().zip(&right) {
            let up = *cell;
            left = (diagonal + usize::from(a != *b)).min(left + 1).min(up + 1);
            diagonal = up;
            *cell = left;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kitten` to `sitting` is the textbook's example.
    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn the_nearest_name_is_near() {
        let known = names_in("slot");
        assert_eq!(nearest("url", &known), Some("urls"));
        assert_eq!(nearest("Label", &known), Some("label"));
        assert_eq!(nearest("timeout", &known), Some("timeouts"));
        assert_eq!(nearest("fork", &known), None);
    }

    #[test]
    fn tables_know_their_names() {
        assert_eq!(names_in(""), ["version", "fork", "log", "slot"]);
        assert_eq!(
            names_in("slot.auth"),
            ["bearer", "pin_format", "user", "password", "basic", "header", "token", "hmac", "api_key"]
        );
        assert_eq!(
            names_in("slot.key"),
            ["label", "serial", "id", "public_key", "certificate", "type", "password"]
        );
    }
}
