//! Detector configurations as they are in use, or documents of their sizes where none are given.

use std::path::Path;

/// Where the given inputs are.
const TEST_DATA: &str = "HEADWATER_TEST_DATA";
/// A file as it came.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// The given files, or others of their sizes where none are given.
pub(crate) fn files() -> Vec<File> {
    match std::env::var_os(TEST_DATA) {
        Some(dir) => given(&Path::new(&dir).join("daq")),
        None => {
            println!("{TEST_DATA} is not set: this ran WITHOUT real input, on generated documents of similar sizes");
            generated()
        }
    }
}

fn given(dir: &Path) -> Vec<File> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<File> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .map(|path| File {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            content: std::fs::read(&path).unwrap(),
        })
        .collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(files.len() >= 10, "{} has only {} files", dir.display(), files.len());
    files
}

fn generated() -> Vec<File> {
    let sizes = [
        ("bifrost-a", 103),
        ("bifrost-b", 9_537),
        ("cspec-a", 82),
        ("dream-a", 7_407),
        ("dream-b", 4_096),
        ("dream-c", 4_097),
        ("freia-a", 5_020),
        ("kafka", 411),
        ("loki-a", 77_749),
        ("loki-b", 330_000),
        ("odin-a", 131_072),
    ];
    let file = |(name, size): (&str, usize)| {
        let mut content = format!("{{\"detector\": \"{name}\", \"pixels\": [").into_bytes();
        while content.len() < size - 2 {
            content.extend_from_slice(format!("{}, ", content.len()).as_bytes());
        }
        content.truncate(size - 3);
        content.extend_from_slice(b"0]}");
        File { name: format!("{name}.json"), content }
    };
    sizes.map(file).into()
}
