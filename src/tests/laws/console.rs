//! Laws of the console's files: what is served is what lies in the folder, it is small, it makes no code of text, and it asks only for what
//! there is.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use console::ConsoleAsset;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use server::http::openapi::document_text;
use sha2::{Digest as _, Sha256};

/// Bytes of all files together, compressed as one. Served one by one they have about a fifth more.
const COMPRESSED_BYTES_MAX: usize = 62 * 1024;
/// Lines of a file.
const LINES_MAX: usize = 400;

/// What makes code, or elements, of text. The content policy refuses most of it in a browser; here the file and the line are named.
const FORBIDDEN: [&str; 16] = [
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "createContextualFragment",
    "DOMParser",
    "setHTMLUnsafe",
    "eval(",
    "new Function",
    "javascript:",
    "setTimeout(\"",
    "setTimeout('",
    "setAttribute(\"style\"",
    "setAttribute('style'",
    "setAttribute(\"on",
    "setAttribute('on",
];

/// Names of languages that only look like addresses: nothing is fetched from there.
const NAMESPACES: [&str; 2] = ["http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"];
/// How an address of another server begins.
const ADDRESSES: [&str; 10] =
    ["http://", "https://", "ws://", "wss://", "\"//", "'//", "`//", "url(//", "url(\"//", "url('//"];

/// What ends a path in a script, beside white space.
const PATH_ENDS: &str = "\"'`?#,;:<>()[]|*\\…";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/assets")
}

fn holds(law: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{law}:\n  {}\n", violations.join("\n  "));
}

/// The text of a file; nothing for an image.
fn text(asset: &ConsoleAsset) -> &str {
    std::str::from_utf8(asset.bytes).unwrap_or_default()
}

/// What a law finds in the lines of all files.
fn in_lines(law: impl Fn(&str, &str) -> Option<String>) -> Vec<String> {
    let lines =
        |asset: &'static ConsoleAsset| (1..).zip(text(asset).lines()).map(move |(line, text)| (asset.name, line, text));
    let found = console::assets().iter().flat_map(lines);
    found.filter_map(|(name, line, text)| law(name, text).map(|why| format!("{name}:{line}: {why}"))).collect()
}

#[test]
fn the_list_is_the_folder() {
    let mut folders = vec![folder()];
    let mut found = BTreeSet::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => drop(found.insert(entry.path().strip_prefix(folder()).unwrap().to_str().unwrap().to_owned())),
            }
        }
    }
    let listed: BTreeSet<String> = console::assets().iter().map(|asset| asset.name.to_owned()).collect();
    assert_eq!(listed, found, "src/console/lib.rs lists each file of src/console/assets");
    assert_eq!(listed.len(), console::assets().len(), "and each once");
}

#[test]
fn a_file_is_what_its_digest_and_its_type_say() {
    for asset in console::assets() {
        let is_embedded = asset.bytes == fs::read(folder().join(asset.name)).unwrap();
        assert!(is_embedded, "{}: it was changed after it was embedded", asset.name);
        assert_eq!(asset.digest, hex::encode(Sha256::digest(asset.bytes)), "{}", asset.name);
        assert_ne!(
            asset.media_type, "application/octet-stream",
            "{}: src/console/lib.rs knows no type for it",
            asset.name
        );
    }
}

#[test]
fn no_file_makes_code_of_text() {
    let forbidden = in_lines(|_, line| FORBIDDEN.iter().find(|what| line.contains(**what)).map(ToString::to_string));
    holds("a text is shown as a text, whatever is in it", &forbidden);
    let attributes =
        in_lines(|name, line| attribute(line).filter(|_| name.ends_with(".html") || name.ends_with(".svg")));
    holds("handlers and styles are not in attributes, where the content policy refuses them", &attributes);
    assert!(in_page("<p onclick=\"x\">") && in_page("<a\tstyle='x'>") && !in_page("<p data-only=\"1\" lang=en>"));
}

fn in_page(line: &str) -> bool {
    attribute(line).is_some()
}

/// The first attribute of a line that is a handler or a style.
fn attribute(line: &str) -> Option<String> {
    let names =
        line.split_whitespace().filter_map(|word| word.split_once('=')).map(|(name, _)| name.to_ascii_lowercase());
    let mut names = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_alphabetic()));
    names.find(|name| name == "style" || name.starts_with("on"))
}

#[test]
fn no_file_names_another_server() {
    let addresses = in_lines(|_, line| {
        let line = NAMESPACES.iter().fold(line.to_owned(), |line, namespace| line.replace(namespace, ""));
        ADDRESSES.iter().find(|address| line.contains(**address)).map(ToString::to_string)
    });
    holds("everything comes from the server that the page came from", &addresses);
}

#[test]
fn the_files_are_short_and_small() {
    let long = console::assets().iter().filter(|asset| text(asset).lines().count() > LINES_MAX);
    let long: Vec<String> =
        long.map(|asset| format!("{}: {} lines", asset.name, text(asset).lines().count())).collect();
    holds("a file of more than 400 lines holds two thoughts", &long);
    let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
    console::assets().iter().for_each(|asset| compressed.write_all(asset.bytes).unwrap());
    let bytes = compressed.finish().unwrap().len();
    assert!(bytes <= COMPRESSED_BYTES_MAX, "the console has {bytes} bytes compressed");
}

#[test]
fn what_a_script_asks_for_is_a_path_of_the_interface() {
    let known = operations();
    let scripts = console::assets().iter().filter(|asset| asset.name.ends_with(".js"));
    let paths: Vec<(&str, String)> =
        scripts.flat_map(|asset| paths(text(asset)).into_iter().map(|path| (asset.name, path))).collect();
    let unknown = paths.iter().filter(|(_, path)| !known.iter().any(|known| leads_to(path, known)));
    let unknown: Vec<String> = unknown.map(|(name, path)| format!("{name}: {path}")).collect();
    holds("src/server/http/catalogue.rs has each path", &unknown);
}

fn operations() -> Vec<String> {
    let document: Value = serde_json::from_str(document_text()).unwrap();
    document["paths"].as_object().unwrap().keys().cloned().collect()
}

/// The paths that a script names. `*` stands for what is put in.
fn paths(script: &str) -> Vec<String> {
    script.match_indices("/v1/").map(|(at, _)| path(&script[at..])).collect()
}

fn path(mut rest: &str) -> String {
    let mut path = String::new();
    loop {
        if rest.starts_with("${") {
            path.push('*');
            rest = &rest[placeholder(rest)..];
        } else {
            match rest.chars().next().filter(|next| !next.is_whitespace() && !PATH_ENDS.contains(*next)) {
                Some(next) => {
                    path.push(next);
                    rest = &rest[next.len_utf8()..];
                }
                None => return path,
            }
        }
    }
}

/// How long a placeholder is that a text begins with.
fn placeholder(text: &str) -> usize {
    let mut depth = 0;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        depth += i32::from(*c == '{') - i32::from(*c == '}');
        depth == 0
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// Whether a path is one of an operation, or its beginning where something is to be added after a slash.
fn leads_to(path: &str, known: &str) -> bool {
    let (beginning, is_whole) = path.strip_suffix('/').map_or((path, true), |beginning| (beginning, false));
    let (mut asked, mut known) = (beginning.split('/'), known.split('/'));
    loop {
        match (asked.next(), known.next()) {
            (None, after) => return after.is_none() == is_whole,
            (Some(_), Some("{path}")) => return true,
            (Some(segment), Some(pattern)) if segment == pattern => {}
            (Some(segment), Some(pattern)) if pattern.starts_with('{') && !segment.is_empty() => {}
            // A query that is put in begins behind the last segment.
            (Some(segment), Some(pattern)) if segment.strip_suffix('*').is_some_and(|before| before == pattern) => {}
            _ => return false,
        }
    }
}

#[test]
fn paths_are_found_in_scripts_and_matched() {
    let script =
        "get(`/v1/nodes/${id({a: 1})}/files/${path}?at=${at}`); get('/v1/fleet'); get(\"/v1/documents/\" + id)";
    assert_eq!(paths(script), ["/v1/nodes/*/files/*", "/v1/fleet", "/v1/documents/"]);
    for (path, leads) in [
        ("/v1/nodes", true),
        ("/v1/nodes/*", true),
        ("/v1/nodes/*/files/*", true),
        ("/v1/nodes/*/files/a/b", true),
        ("/v1/documents/", true),
        ("/v1/fleet*", true),
        ("/v1/", true),
        ("/v1/diff", false),
        ("/v1/zebra", false),
        ("/v1/nodes/*/tail", false),
        ("/v1/fleet/table/more", false),
    ] {
        assert_eq!(operations().iter().any(|known| leads_to(path, known)), leads, "{path}");
    }
}
