//! The difference of two texts, line by line.

use std::time::Duration;

use similar::TextDiff;

/// Bytes of a text that is compared. A longer one takes seconds.
pub(super) const TEXT_BYTES_MAX: u64 = 1024 * 1024;
/// How long the shortest difference is looked for. After that a longer one is taken, which is right as well.
const SEARCH_TIME: Duration = Duration::from_millis(500);
/// Lines around each difference.
const CONTEXT_LINES: usize = 3;

/// The difference as `diff -u` writes it; empty if the texts are the same.
pub(super) fn unified(name: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::configure().timeout(SEARCH_TIME).diff_lines(before, after);
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
    }
}
