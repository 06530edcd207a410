//! Every example of `docs/declared.md`, and its table of escapes.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::description::Description;
use super::super::template::Values;
use crate::backend::types::SignScheme;
use crate::config;

const PAGE: &str = include_str!("../../../../docs/declared.md");

fn parse(text: &str) -> Result<Description, String> {
    Description::parse(text, &BTreeMap::new(), &config::Auth::default(), Path::new("x.toml"))
        .map_err(|problem| problem.to_string())
}

/// The fenced blocks of TOML with this word behind it.
fn blocks(word: &str) -> Vec<&'static str> {
    let fence = format!("```toml {word}\n");
    let found: Vec<_> = PAGE.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(found.len(), PAGE.matches(&fence).count());
    found
}

#[test]
fn accepted_examples_load() {
    let blocks = blocks("accepted");
    assert!(blocks.len() >= 18, "{}", blocks.len());
    for block in blocks {
        if let Err(problem) = parse(&format!("version = 1\n{block}")) {
            panic!("{problem}\n{block}");
        }
    }
}

/// The first line has the words of the message; in its place stands the version.
#[test]
fn rejected_examples_do_not_load_and_say_why() {
    let blocks = blocks("rejected");
    assert!(blocks.len() >= 60, "{}", blocks.len());
    for block in blocks {
        let (words, rest) = block.split_once('\n').unwrap();
        let words = words.strip_prefix("# ").unwrap();
        let version = if rest.starts_with("version = ") { "" } else { "version = 1" };
        match parse(&format!("{version}\n{rest}")) {
            Ok(_) => panic!("it loads:\n{block}"),
            Err(message) => assert!(message.contains(words), "{message}\n{block}"),
        }
    }
}

/// What the template of a row becomes of its key, as text of the request, or nothing where it is refused.
fn filled(place: &str, template: &str, key: &str) -> Option<String> {
    let template = toml_string(template);
    let call = match place {
        "path" | "query" => format!("path = {template}"),
        "json" => format!("path = \"/\"\njson = {{ v = {template} }}"),
        "form" => format!("path = \"/\"\nform = {{ v = {template} }}"),
        "header" => format!("path = \"/\"\nheaders = {{ \"X-V\" = {template} }}"),
        _ => panic!("{place}"),
    };
    let text = format!(
        "version = 1\n[sign]\n{call}\nsignature = \"/s|hex\"\n[[sign.algorithm]]\nmechanism = \"CKM_EDDSA\"\n"
    );
    let description = parse(&text).unwrap();
    let call = &description.sign.find(SignScheme::EdDsa, None).unwrap().call;
    let filled = call.fill(&Values { key, ..Values::default() }).ok()?;
    let (path, headers, body) = filled.parts();
    let body = String::from_utf8(body.unwrap_or_default().to_vec()).unwrap();
    Some(match place {
        "json" => body.strip_prefix("{\"v\":").unwrap().strip_suffix('}').unwrap().to_owned(),
        "form" => body.strip_prefix("v=").unwrap().to_owned(),
        "header" => headers.strip_prefix("X-V: ").unwrap().strip_suffix("\r\n").unwrap().to_owned(),
        _ => path.to_owned(),
    })
}

fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[test]
fn the_table_of_escapes() {
    let table = PAGE.split("| Place | Template | `key` | Becomes |\n|---|---|---|---|\n").nth(1).unwrap();
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 12);
    let cell = |text: &str| text.trim().trim_matches('`').replace('⏎', "\r\n").replace('␀', "\0");
    for row in rows {
        let bar = "\u{1}";
        let row = row.replace("\\|", bar);
        let cells: Vec<_> =
            row.trim_matches('|').split('|').map(|text| cell(&text.replace(bar, "|"))).collect();
        let [place, template, key, becomes] = cells.as_slice() else { panic!("{row}") };
        let expected = (becomes != "refused").then(|| becomes.clone());
        assert_eq!(filled(place, template, key), expected, "{row}");
    }
}
