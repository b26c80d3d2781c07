//! The paths that a file speaks of within its own crate, whether a `use` names them or a line of code does.
//!
//! Absent on purpose: modules in braces. What they say counts as if it stood in the file itself.

use std::collections::BTreeSet;

use super::source::Source;

/// A path.
pub(crate) struct Path<'a> {
    /// Where it begins.
    pub(crate) line: usize,
    /// Its names from the crate's root on: `log`, `append` and `Append` of `crate::log::append::Append`.
    pub(crate) names: Vec<&'a str>,
    /// Whether it is only handed on, by a `pub use`.
    pub(crate) is_handed_on: bool,
}

/// All of them, in order.
pub(crate) fn paths(source: &Source) -> Vec<Path<'_>> {
    let (code, (_, module)) = (source.code.as_str(), source.module());
    let (below, mut paths, mut rest) = (declared(code), Vec::new(), code);
    while let Some(start) = rest.find(is_word) {
        let before = &code[..code.len() - rest.len() + start];
        let mut spread = Vec::new();
        rest = read(&rest[start..], &[], &mut spread);
        let known = spread.iter().filter_map(|path| from_root(path, &module, &below));
        let (line, is_handed_on) = (before.matches('\n').count() + 1, is_handing_on(before));
        paths.extend(known.map(|names| Path { line, names, is_handed_on }));
    }
    paths
}

fn is_word(next: char) -> bool {
    next.is_alphanumeric() || next == '_'
}

/// The modules that a file declares: its paths may begin with their names.
fn declared(code: &str) -> BTreeSet<&str> {
    let last_words = code.split(';').filter_map(|statement| statement.trim_end().rsplit_once(' '));
    last_words.filter(|(before, _)| before.ends_with("mod")).map(|(_, name)| name).collect()
}

/// Reads the path that begins here, and gives what stands behind it; `a::{b, c::d}` are two: `a::b` and `a::c::d`.
fn read<'a>(mut text: &'a str, before: &[&'a str], spread: &mut Vec<Vec<&'a str>>) -> &'a str {
    let mut path = before.to_vec();
    loop {
        text = text.trim_start();
        if let Some(group) = text.strip_prefix('{') {
            return read_group(group, &path, spread);
        }
        let (name, behind) = text.split_at(text.find(|next| !is_word(next)).unwrap_or(text.len()));
        path.extend(Some(name).filter(|name| !name.is_empty()));
        text = behind;
        match text.strip_prefix("::") {
            Some(behind) => text = behind,
            None => break,
        }
    }
    if path.len() > before.len() {
        spread.push(path);
    }
    text
}

fn read_group<'a>(mut text: &'a str, before: &[&'a str], spread: &mut Vec<Vec<&'a str>>) -> &'a str {
    loop {
        text = read(text, before, spread);
        // Behind a path may stand ` as c`, and in place of one `*`.
        text = text.trim_start_matches(|next| next != ',' && next != '}');
        match text.strip_prefix(',') {
            Some(behind) => text = behind,
            None => return text.strip_prefix('}').unwrap_or(text),
        }
    }
}

/// The names of a path that leads somewhere within the crate; a name alone may be anything.
fn from_root<'a>(path: &[&'a str], module: &[&'a str], below: &BTreeSet<&str>) -> Option<Vec<&'a str>> {
    let mut names = match path {
        ["crate", _, ..] => Vec::new(),
        ["self" | "super", _, ..] => module.to_vec(),
        [first, _, ..] if below.contains(first) => module.to_vec(),
        _ => return None,
    };
    for name in path {
        match *name {
            "crate" | "self" => {}
            "super" => drop(names.pop()),
            name => names.push(name),
        }
    }
    Some(names)
}

/// Whether a path that begins behind this is that of a `pub use`.
fn is_handing_on(before: &str) -> bool {
    let statement = before.rsplit([';', '{', '}']).next().unwrap_or_default();
    statement.contains("pub") && statement.trim_end().ends_with("use")
}
