//! Writes nodes as YAML that the reader reads as the same nodes.
//!
//! Always: the text holds no character that a terminal does not show, so that it is printed as it is; a text is in quotes wherever a
//! reader, also one of YAML 1.1, could take it for something else.

use std::fmt::Write as _;

use schema::terminal;

use super::plain_scalar::resolve;
use super::yaml_node::{YamlEntry, YamlNode, YamlValue};

/// Spaces of one step of indentation.
const STEP: usize = 2;
/// Characters of a key that stands before its colon: YAML allows 1,024 with the quotes.
const SIMPLE_KEY_CHARS_MAX: usize = 1_000;
/// What YAML 1.1 takes for truth values.
const OLD_BOOLEANS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// Adds the members of a mapping, each on its own line.
pub(super) fn append_entries(entries: &[YamlEntry], indent: usize, text: &mut String) {
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            pad(indent, text);
        }
        let key = inline_text(&entry.key);
        if key.chars().count() > SIMPLE_KEY_CHARS_MAX {
            let _ = write!(text, "? {key}\n{:indent$}:", "");
        } else {
            let _ = write!(text, "{key}:");
        }
        append_value(&entry.value, indent, text);
    }
}

/// Adds a value after a colon or a dash, with the line feed at its end.
fn append_value(node: &YamlNode, indent: usize, text: &mut String) {
    match &node.value {
        YamlValue::Map(entries) if !entries.is_empty() => {
            text.push('\n');
            pad(indent + STEP, text);
            append_entries(entries, indent + STEP, text);
        }
        YamlValue::List(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                pad(indent + STEP, text);
                append_item(item, indent + STEP, text);
            }
        }
        YamlValue::Text(string) if is_literal(string) => append_literal(string, indent, text),
        other => {
            let _ = writeln!(text, " {}", inline(other));
        }
    }
}

/// Adds an item of a list: a mapping begins on the line of its dash.
fn append_item(node: &YamlNode, indent: usize, text: &mut String) {
    text.push('-');
    match &node.value {
        YamlValue::Map(entries) if !entries.is_empty() => {
            text.push(' ');
            append_entries(entries, indent + STEP, text);
        }
        _ => append_value(node, indent, text),
    }
}

fn inline(value: &YamlValue) -> String {
    match value {
        YamlValue::Null => "null".to_owned(),
        YamlValue::Bool(value) => value.to_string(),
        YamlValue::Number(number) => number.clone(),
        YamlValue::Text(string) => inline_text(string),
        YamlValue::List(_) => "[]".to_owned(),
        YamlValue::Map(_) => "{}".to_owned(),
    }
}

fn pad(indent: usize, text: &mut String) {
    let _ = write!(text, "{:indent$}", "");
}

/// Whether a text of several lines can stand as it is, below a `|`.
fn is_literal(string: &str) -> bool {
    string.contains('\n') && string.chars().all(|next| next == '\n' || next == '\t' || is_printable(next))
}

fn append_literal(string: &str, indent: usize, text: &mut String) {
    let body = string.trim_end_matches('\n');
    let ends = string.len() - body.len();
    // Without a line that has something in it, the line feeds are counted from the end of nothing.
    let chomping = match ends {
        0 => "-",
        1 if !body.is_empty() => "",
        _ => "+",
    };
    let begins_with_space = string.starts_with([' ', '\n', '\t']);
    let indicator = if begins_with_space { STEP.to_string() } else { String::new() };
    let _ = writeln!(text, " |{indicator}{chomping}");
    for line in body.split('\n').filter(|_| !body.is_empty()) {
        if !line.is_empty() {
            pad(indent + STEP, text);
        }
        text.push_str(line);
        text.push('\n');
    }
    let blank = if body.is_empty() { ends } else { ends.saturating_sub(1) };
    (0..blank).for_each(|_| text.push('\n'));
}

/// A text on one line: as it is, or in double quotes.
pub(super) fn inline_text(string: &str) -> String {
    if is_plain(string) {
        return string.to_owned();
    }
    let mut quoted = String::with_capacity(string.len() + 2);
    quoted.push('"');
    for next in string.chars() {
        match next {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            next if is_printable(next) => quoted.push(next),
            next => {
                let _ = match u32::from(next) {
                    code @ ..=0xff => write!(quoted, "\\x{code:02x}"),
                    code @ ..=0xffff => write!(quoted, "\\u{code:04x}"),
                    code => write!(quoted, "\\U{code:08x}"),
                };
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a text needs no quotes, whoever reads it.
fn is_plain(string: &str) -> bool {
    let begins_well = string.starts_with(|first: char| first.is_alphabetic() || first == '_' || first == '/');
    let is_usual = |next: char| next.is_alphanumeric() || " _-./@+=,()".contains(next);
    begins_well
        && !string.ends_with(' ')
        && string.chars().all(|next| is_usual(next) && is_printable(next))
        && !OLD_BOOLEANS.contains(&string.to_ascii_lowercase().as_str())
        && matches!(resolve(string), Ok(YamlValue::Text(_)))
        && !["true", "false", "null"].contains(&string.to_lowercase().as_str())
}

/// Whether a terminal shows the character as it is, and YAML allows it without an escape.
fn is_printable(next: char) -> bool {
    let mut bytes = [0; 4];
    let text: &str = next.encode_utf8(&mut bytes);
    terminal::line(text) == text && !matches!(next, '\u{fffe}' | '\u{ffff}')
}
