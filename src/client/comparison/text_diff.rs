//! The difference of two files of different nodes, line by line. Between two states of one node the server makes it.

use std::time::Duration;

use similar::TextDiff;

/// Bytes of a text that is compared, as on the server.
pub(super) const TEXT_BYTES_MAX: u64 = 256 * 1024;
/// How long the shortest difference is looked for. After that a longer one is taken, which is right as well.
const SEARCH_TIME: Duration = Duration::from_millis(500);

/// The difference as `diff -u` writes it. None if one of the files is no text.
pub(super) fn unified(names: [&str; 2], files: [&[u8]; 2]) -> Option<String> {
    let [before, after] = files.map(|file| std::str::from_utf8(file).ok());
    let [before, after] = [before?, after?].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let diff = TextDiff::configure().timeout(SEARCH_TIME).newline_terminated(true).diff_slices(&before, &after);
    Some(diff.unified_diff().header(names[0], names[1]).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_by_lines_and_bytes_are_not() {
        let names = ["n-1/motd", "n-2/motd"];
        let text = unified(names, [b"one\ntwo\n", b"one\n2\n"]).expect("text");
        assert_eq!(text, "--- n-1/motd\n+++ n-2/motd\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
        assert_eq!(unified(names, [b"", b"x\n"]).expect("text").lines().last(), Some("+x"));
        assert_eq!(unified(names, [b"\xff", b"x"]), None);
    }
}
