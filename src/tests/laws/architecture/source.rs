//! A source file as its compiler sees it: code, text in quotes, and no comments. Its own tests at its end are left out,
//! and so is everything that is not Rust.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub(crate) struct Source {
    /// Where, from the workspace's root: `src/store/append.rs`.
    pub(crate) path: String,
    /// How many lines it has, with its tests.
    pub(crate) lines: usize,
    /// Lines of code; text in quotes is blanked out.
    pub(crate) code: String,
    /// Text in quotes, and the line that it begins on.
    pub(crate) texts: Vec<(usize, String)>,
}

/// Every Rust file below these folders of the workspace, in order of their paths.
pub(crate) fn below(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| collect(&root.join(folder), &mut paths));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        Source::new(&name, &fs::read_to_string(&path).expect("readable"))
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("readable").path()) {
        match path.is_dir() {
            true if path.ends_with("target") => {}
            true => collect(&path, paths),
            false if path.extension().is_some_and(|extension| extension == "rs") => paths.push(path),
            false => {}
        }
    }
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let (code, texts) = Reader { rest: product, line: 1, code: String::new(), texts: Vec::new() }.read();
        Self { path: path.into(), lines: text.lines().count(), code, texts }
    }

    /// The lines of code on which `what` stands as a word of its own or as a part of one.
    pub(crate) fn lines_with(&self, what: impl Fn(&str) -> bool) -> Vec<usize> {
        self.code.lines().enumerate().filter(|(_, line)| what(line)).map(|(index, _)| index + 1).collect()
    }

    /// The crate below `src` that the file belongs to: `store` for `src/store/append.rs`.
    pub(crate) fn room(&self) -> Option<&str> {
        let (room, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some(room)
    }

    /// The folder of the file's crate, and the names of its module from the crate's root on: `src/store` and `append` for
    /// `src/store/append.rs`, none for `lib.rs`.
    pub(crate) fn module(&self) -> (&str, Vec<&str>) {
        let (folder, inside) = match self.room() {
            Some(room) => self.path.split_at("src/".len() + room.len()),
            None => self.path.split_once("src/").unwrap_or(("", &self.path)),
        };
        let module = inside.trim_start_matches('/').trim_end_matches(".rs").trim_end_matches("/mod");
        (folder, module.split('/').filter(|name| !matches!(*name, "lib" | "mod")).collect())
    }
}

/// Walks over a text once.
struct Reader<'a> {
    rest: &'a str,
    line: usize,
    code: String,
    texts: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn read(mut self) -> (String, Vec<(usize, String)>) {
        while let Some(next) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.skip(self.rest.find("*/").map_or(self.rest.len(), |end| end + 2));
            } else if let Some(hashes) = self.raw_text() {
                let close = format!("\"{}", "#".repeat(hashes));
                let open = hashes + 2;
                let end = self.rest[open..].find(&close).map_or(self.rest.len(), |end| open + end);
                self.quote(open, end, end + close.len());
            } else if next == '"' {
                let end = end_of_text(self.rest);
                self.quote(1, end, end + 1);
            } else if let Some(length) = character(self.rest) {
                self.skip(length);
            } else {
                self.code.push(next);
                self.line += usize::from(next == '\n');
                self.rest = &self.rest[next.len_utf8()..];
            }
        }
        (self.code, self.texts)
    }

    /// How many hashes a raw text that begins here has.
    fn raw_text(&self) -> Option<usize> {
        let after = self.rest.strip_prefix('r')?;
        let in_a_word = self.code.ends_with(|last: char| last.is_alphanumeric() && last != 'b' || last == '_');
        let hashes = after.len() - after.trim_start_matches('#').len();
        (!in_a_word && after[hashes..].starts_with('"')).then_some(hashes)
    }

    fn quote(&mut self, from: usize, to: usize, end: usize) {
        self.texts.push((self.line, self.rest[from..to].into()));
        self.code.push_str("\"\"");
        self.skip(end.min(self.rest.len()));
    }

    /// Passes over so many bytes; lines are still counted, and still there.
    fn skip(&mut self, bytes: usize) {
        let breaks = self.rest[..bytes].matches('\n').count();
        self.code.push_str(&"\n".repeat(breaks));
        self.line += breaks;
        self.rest = &self.rest[bytes..];
    }
}

/// Where the quote stands that closes the text beginning here.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            '"' if !escaped => return at,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length of the character literal that begins here; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let mut chars = inside.char_indices();
    let (_, first) = chars.next()?;
    match first {
        '\\' => inside[2..].find('\'').map(|end| end + 4),
        _ => chars.next().filter(|(_, second)| *second == '\'').map(|(at, _)| at + 2),
    }
}
