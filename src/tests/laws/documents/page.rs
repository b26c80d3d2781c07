//! A page of Markdown: its links, anchors, tables and code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are not of the repository.
const FOREIGN: [&str; 4] = [".git", ".tools", "target", "node_modules"];

/// A page, by its path in the checkout.
pub(super) struct Page {
    pub(super) path: String,
    pub(super) text: String,
}

/// A link to a file of the checkout.
pub(super) struct Link {
    pub(super) from: String,
    pub(super) line: usize,
    /// The path in the checkout that it leads to.
    pub(super) path: String,
    pub(super) anchor: Option<String>,
}

/// A place in the checkout.
pub(super) fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every page of the repository.
pub(super) fn all() -> Vec<Page> {
    let mut paths = Vec::new();
    collect(&checkout(""), &mut paths);
    paths.sort();
    let root = checkout("");
    paths.iter().map(|path| Page::read(path.strip_prefix(&root).unwrap().to_str().unwrap())).collect()
}

fn collect(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        let is_foreign = FOREIGN.contains(&name.as_str()) || name.starts_with(".headwater");
        if entry.file_type().unwrap().is_dir() && !is_foreign {
            collect(&path, pages);
        } else if name.ends_with(".md") {
            pages.push(path);
        }
    }
}

impl Page {
    pub(super) fn read(path: &str) -> Self {
        let text = fs::read_to_string(checkout(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    /// The lines that are not in a block of code, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut fenced = false;
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
                return None;
            }
            (!fenced && !line.starts_with("    ")).then_some((index + 1, line))
        })
    }

    /// The links to files, without those that leave the checkout.
    pub(super) fn links(&self) -> Vec<Link> {
        let found = self.prose().flat_map(|(line, text)| targets(text).into_iter().map(move |target| (line, target)));
        let inside = found.filter(|(_, target)| !target.contains("://") && !target.starts_with("mailto:"));
        inside.map(|(line, target)| self.link(line, &target)).collect()
    }

    fn link(&self, line: usize, target: &str) -> Link {
        let (path, anchor) = match target.split_once('#') {
            Some((path, anchor)) => (path, Some(anchor.to_owned())),
            None => (target, None),
        };
        let path = if path.is_empty() { self.path.clone() } else { self.resolve(path) };
        Link { from: self.path.clone(), line, path, anchor }
    }

    /// A path beside this page as a path in the checkout.
    fn resolve(&self, path: &str) -> String {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        parts.pop();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        parts.join("/")
    }

    /// The anchors of its headings, as Git hosts make them.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        for heading in self.prose().map(|(_, line)| line).filter(|line| line.starts_with('#')) {
            let kept = |c: char| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
                _ => None,
            };
            let anchor: String = heading.trim_start_matches('#').trim().chars().filter_map(kept).collect();
            let numbered = (1..).map(|number| format!("{anchor}-{number}"));
            let free = std::iter::once(anchor.clone()).chain(numbered).find(|anchor| !anchors.contains(anchor));
            anchors.extend(free);
        }
        anchors
    }

    /// What stands in backticks in its prose.
    pub(super) fn code_spans(&self) -> Vec<(usize, String)> {
        let spans = |(line, text): (usize, &str)| {
            text.split('`').skip(1).step_by(2).map(|code| (line, code.to_owned())).collect::<Vec<_>>()
        };
        self.prose().flat_map(spans).collect()
    }

    /// The cells of the rows of its tables, without heads, below a heading and the headings inside it.
    pub(super) fn rows_below(&self, heading: &str) -> Vec<Vec<String>> {
        let section = self.section(heading);
        let is_row = |line: &&str| line.starts_with("| ");
        let cells = |line: &str| {
            let line = line.trim_matches('|').replace("\\|", "\u{0}");
            line.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
        };
        let heads: BTreeSet<&str> = {
            let lines: Vec<&str> = section.lines().collect();
            lines.windows(2).filter(|pair| pair[1].starts_with("|---")).map(|pair| pair[0]).collect()
        };
        section.lines().filter(is_row).filter(|line| !heads.contains(line)).map(cells).collect()
    }

    /// The text below a heading, up to the next one of its level or above.
    pub(super) fn section(&self, heading: &str) -> &str {
        let level = heading.chars().take_while(|c| *c == '#').count();
        let start =
            self.text.find(&format!("{heading}\n")).unwrap_or_else(|| panic!("{} has no `{heading}`", self.path));
        let rest = &self.text[start + heading.len()..];
        let ends = |line: &str| {
            let hashes = line.chars().take_while(|c| *c == '#').count();
            (1..=level).contains(&hashes) && line[hashes..].starts_with(' ')
        };
        let length = rest.split_inclusive('\n').scan(0, |at, line| {
            let begins = *at;
            *at += line.len();
            Some((begins, line))
        });
        let end = length.filter(|(_, line)| ends(line)).map(|(at, _)| at).next();
        &rest[..end.unwrap_or(rest.len())]
    }
}

/// The targets of the links in a line: what stands in `](…)`, outside of backticks.
fn targets(line: &str) -> Vec<String> {
    let mut outside = String::new();
    for (index, part) in line.split('`').enumerate() {
        outside += if index % 2 == 0 { part } else { "code" };
    }
    let starts = outside.match_indices("](").map(|(at, open)| at + open.len());
    starts.filter_map(|at| Some(outside[at..].split_once(')')?.0.to_owned())).collect()
}

/// The text in backticks of a cell, if that is all there is.
pub(super) fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|inside| !inside.contains('`'))
}
