//! A manual page in the macros of man(7), from paragraphs, tagged lists and Markdown as `docs/` has it.

use crate::reference::{self, Span};

/// A page that is being written.
pub struct Page(String);

impl Page {
    /// Its head: title in capitals, section, name and what it is in a few words.
    pub fn new(title: &str, section: u8, name: &str, what: &str) -> Page {
        let version = env!("CARGO_PKG_VERSION");
        Page(format!(
            ".TH {title} {section} \"\" \"p11rest {version}\" \"p11rest\"\n.SH NAME\n{} \\- {}\n",
            escaped(name),
            escaped(what)
        ))
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }

    /// A section.
    pub fn heading(&mut self, text: &str) {
        self.0.push_str(&format!(".SH {}\n", escaped(text)));
    }

    /// A part of one.
    pub fn subheading(&mut self, text: &str) {
        self.0.push_str(&format!(".SS {}\n", escaped(text)));
    }

    /// How a program is called.
    pub fn synopsis(&mut self, program: &str, arguments: &str) {
        self.0.push_str(&format!("\\fB{}\\fR {}\n", escaped(program), escaped(arguments)));
    }

    /// A paragraph of Markdown.
    pub fn paragraph(&mut self, text: &str) {
        self.0.push_str(&format!(".PP\n{}\n", inline(text)));
    }

    /// A word and what it is: the first line, and those that follow below it.
    pub fn tagged(&mut self, tag: &str, lines: &[&str]) {
        self.0.push_str(&format!(".TP\n{}\n", inline(tag)));
        for (at, line) in lines.iter().filter(|line| !line.is_empty()).enumerate() {
            let between = if at == 0 { "" } else { ".br\n" };
            self.0.push_str(&format!("{between}{}\n", inline(line)));
        }
    }

    /// Lines that stay as they are.
    pub fn literal<'a>(&mut self, lines: impl Iterator<Item = &'a str>) {
        self.0.push_str(".PP\n.RS 4\n.nf\n");
        lines.for_each(|line| self.0.push_str(&format!("{}\n", protected(&escaped(line)))));
        self.0.push_str(".fi\n.RE\n");
    }

    /// What stands behind the help of a command: texts, and commands that are set in further.
    pub fn examples(&mut self, text: &str) {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            match line.strip_prefix("    ") {
                Some(_) => {
                    let mut block = vec![line];
                    while let Some(more) = lines.next_if(|line| line.starts_with("    ")) {
                        block.push(more);
                    }
                    self.literal(block.into_iter().map(|line| &line[4..]));
                }
                None if line.trim().is_empty() => {}
                None => self.paragraph(line.trim()),
            }
        }
    }

    /// Other pages, without `itself`.
    pub fn see_also(&mut self, pages: &[(&str, u8)], itself: &str) {
        let pages = pages.iter().filter(|(name, _)| *name != itself);
        let pages: Vec<_> =
            pages.map(|(name, section)| format!("\\fB{}\\fR({section})", escaped(name))).collect();
        self.0.push_str(&format!("{}\n", pages.join(", ")));
    }

    /// A page of `docs/`: headings, paragraphs, lists, tables and code. Tables of keys become tagged lists, other
    /// tables too, with the first cell as the tag.
    pub fn markdown(&mut self, text: &'static str) {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(row) = reference::row(line) {
                let facts = format!("{}; variable {}", row.kind, code(row.variable));
                self.tagged(&code(row.key), &[&facts, row.meaning]);
            } else if let Some(title) = line.strip_prefix("## ") {
                self.heading(&reference::plain(title).to_uppercase());
            } else if let Some(title) = line.strip_prefix("### ") {
                self.subheading(&reference::plain(title));
            } else if line.starts_with("# ") {
                self.heading("DESCRIPTION");
            } else if line.starts_with("```") {
                let code: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
                self.literal(code.into_iter());
            } else if line.starts_with('|') {
                self.table_row(line);
            } else if let Some((mark, item)) = item(line) {
                let rest = continued(&mut lines);
                self.0.push_str(&format!(".IP \"{mark}\" 4\n{}\n", inline(&format!("{item} {rest}"))));
            } else if !line.is_empty() {
                let rest = continued(&mut lines);
                self.paragraph(&format!("{line} {rest}"));
            }
        }
    }

    fn table_row(&mut self, line: &str) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let is_head =
            cells.iter().all(|cell| cell.is_empty() || *cell == "Key" || !cell.contains(|c| c != '-'))
                || line.starts_with("|---")
                || line.starts_with("| Key ");
        if let ([tag, rest @ ..], false) = (&cells[..], is_head) {
            self.tagged(tag, rest);
        }
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// `- text`, `1. text`.
fn item(line: &str) -> Option<(String, &str)> {
    if let Some(text) = line.strip_prefix("- ") {
        return Some(("\\(bu".to_owned(), text));
    }
    let (number, text) = line.split_once(". ")?;
    (!number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
        .then(|| (format!("{number}."), text))
}

/// The lines that belong to the one before.
fn continued<'a>(lines: &mut std::iter::Peekable<std::str::Lines<'a>>) -> String {
    let is_more = |line: &&str| {
        !line.is_empty() && !line.starts_with(['|', '#']) && !line.starts_with("```") && item(line).is_none()
    };
    let mut text = Vec::new();
    while let Some(line) = lines.next_if(is_more) {
        text.push(line.trim());
    }
    text.join(" ")
}

/// A text of Markdown on one line, code and what is bold in bold.
fn inline(text: &str) -> String {
    let text = text.replace('\n', " ");
    let spans = reference::spans(text.trim()).into_iter().map(|span| match span {
        Span::Plain(text) => escaped(text),
        Span::Code(text) | Span::Bold(text) => format!("\\fB{}\\fR", escaped(text)),
    });
    protected(&spans.collect::<String>())
}

/// What man(7) would take for a command at the beginning of a line is text.
fn protected(line: &str) -> String {
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    }
}

/// Hyphens are those of options, so that they can be copied.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_macros() {
        let mut page = Page(String::new());
        page.markdown(
            "# Title\n\nOne `a-b`\ntwo.\n\n## Part of [x](y)\n\n- first\n  of all\n1. then\n\n| Key | Meaning |\n|---|---|\n\
             | `\"pin\"` | it |\n\n```sh\n.x \\\n```\n.end\n",
        );
        let expected = ".SH DESCRIPTION\n.PP\nOne \\fBa\\-b\\fR two.\n.SH PART OF X\n.IP \"\\(bu\" 4\nfirst of all\n\
             .IP \"1.\" 4\nthen\n.TP\n\\fB\"pin\"\\fR\nit\n.PP\n.RS 4\n.nf\n\\&.x \\e\n.fi\n.RE\n.PP\n\\&.end\n";
        assert_eq!(page.finish(), expected);
    }
}
