//! The difference of two texts, line by line.

use std::time::Duration;

use similar::TextDiff;

/// Bytes of a text that is compared.
pub(super) const TEXT_BYTES_MAX: u64 = 256 * 1024;
/// Bytes of memory that comparing two texts may take: up to 24 for each byte of a text whose lines are empty, and the answer, in which
/// JSON writes a control character as six.
pub(super) const MEMORY_BYTES: usize = 2 * 256 * 1024 * 32;
/// How long the shortest difference is looked for. After that a longer one is taken, which is right as well.
const SEARCH_TIME: Duration = Duration::from_millis(500);
/// Lines around each difference.
const CONTEXT_LINES: usize = 3;

/// The difference as `diff -u` writes it; empty if the texts are the same.
pub(super) fn unified(name: &str, before: &str, after: &str) -> String {
    // A line ends at a line feed and nowhere else, as for `diff`.
    let [before, after] = [before, after].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let diff = TextDiff::configure().timeout(SEARCH_TIME).newline_terminated(true).diff_slices(&before, &after);
    let (from, to) = (format!("a/{name}"), format!("b/{name}"));
    diff.unified_diff().context_radius(CONTEXT_LINES).header(&from, &to).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_what_diff_writes() {
        let text = unified("etc/motd", "one\ntwo\nthree\n", "one\n2\nthree\n");
        assert_eq!(text, "--- a/etc/motd\n+++ b/etc/motd\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
        assert_eq!(unified("a", "same\n", "same\n"), "");
        assert!(unified("a", "", "no newline").contains("\\ No newline at end of file"));
        assert_eq!(unified("a", "x\ry\n", "x\rz\n"), "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-x\ry\n+x\rz\n");
    }
}
