//! `docs/configuration.md`, which has every key: what it says is said once. A test of the module keeps it and the code
//! in step.

/// The page.
pub const PAGE: &str = include_str!("../../../docs/configuration.md");

/// A line of its tables: one key.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The dotted path.
    pub key: &'static str,
    /// Its type and what holds without it.
    pub kind: &'static str,
    /// Its environment variable.
    pub variable: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

/// The key of this line, if it has one.
pub fn row(line: &'static str) -> Option<Row> {
    let cells = line.strip_prefix("| `")?.strip_suffix(" |")?;
    let mut cells = cells.splitn(4, " | ");
    let key = cells.next()?.strip_suffix('`').filter(|key| !key.contains('`'))?;
    let (kind, variable, meaning) = (cells.next()?, cells.next()?.trim_matches('`'), cells.next()?);
    Some(Row { key, kind, variable, meaning })
}

/// Every key, in the order of the page.
pub fn rows() -> impl Iterator<Item = Row> {
    PAGE.lines().filter_map(row)
}

/// What is written between the marks of Markdown: a run of text with one look.
#[derive(Debug, PartialEq, Eq)]
pub enum Span<'a> {
    /// As the text around it.
    Plain(&'a str),
    /// Between backticks.
    Code(&'a str),
    /// Between two asterisks.
    Bold(&'a str),
}

/// The runs of a text. Of a link the words stay.
pub fn spans(text: &str) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[']) {
        let (before, marked) = rest.split_at(at);
        match marked_span(marked) {
            Some((inner, after)) => {
                spans.extend(Some(before).filter(|text| !text.is_empty()).map(Span::Plain));
                spans.extend(inner);
                rest = after;
            }
            None => {
                let end = at + 1;
                spans.push(Span::Plain(&rest[..end]));
                rest = &rest[end..];
            }
        }
    }
    spans.extend(Some(rest).filter(|text| !text.is_empty()).map(Span::Plain));
    spans
}

fn marked_span(text: &str) -> Option<(Vec<Span<'_>>, &str)> {
    if let Some(code) = text.strip_prefix('`') {
        return code.split_once('`').map(|(code, after)| (vec![Span::Code(code)], after));
    }
    if let Some(bold) = text.strip_prefix("**") {
        return bold.split_once("**").map(|(bold, after)| (vec![Span::Bold(bold)], after));
    }
    let (words, target) = text.strip_prefix('[')?.split_once("](")?;
    let (_, after) = target.split_once(')')?;
    // `[slot.tls]` and what stands in it is no link.
    (!words.contains(['[', ']'])).then(|| (spans(words), after))
}

/// A text without the marks.
pub fn plain(text: &str) -> String {
    let words = spans(text).into_iter().map(|span| match span {
        Span::Plain(text) | Span::Code(text) | Span::Bold(text) => text,
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_table_is_a_key() {
        let line = "| `slot.http2` | boolean, `false` | `P11REST_SLOT_0_HTTP2` | Offers `a | b`. |";
        let key = Row {
            key: "slot.http2",
            kind: "boolean, `false`",
            variable: "P11REST_SLOT_0_HTTP2",
            meaning: "Offers `a | b`.",
        };
        assert_eq!(row(line), Some(key));
        assert_eq!(row("| `{version}` `{key_id}` | as configured |"), None);
        assert_eq!(row("|---|---|---|---|"), None);
    }

    #[test]
    fn marks_are_taken_away() {
        assert_eq!(
            plain("**See** [`a`](b.md#c), `[slot.tls]` and [[slot.key]]."),
            "See a, [slot.tls] and [[slot.key]]."
        );
        assert_eq!(plain("2 * 3, `*` and [1]"), "2 * 3, * and [1]");
        assert_eq!(spans("a `b`"), [Span::Plain("a "), Span::Code("b")]);
    }
}
