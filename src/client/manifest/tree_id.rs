//! The ids of the documents that a tree comes to.

use schema::digest::Digest;

/// Characters after which an id is cut: with the digits of a digest it stays below the limit of an id.
const CUT_CHARS: usize = 48;
/// Digits of a digest in an id.
const DIGEST_DIGITS: usize = 8;

/// The id of the document at `path` below the tree's folder: the tree's id and the path, in which `/` becomes `-` and `.` becomes `_`. Where
/// that does not tell the path, digits of its digest follow.
pub(super) fn of(tree: &str, path: &str) -> String {
    let slug: String = path
        .chars()
        .map(|next| match next {
            '/' => '-',
            next if next.is_ascii_alphanumeric() || next == '-' => next,
            _ => '_',
        })
        .collect();
    let mut id = format!("{tree}-{slug}");
    let is_told = path.chars().all(|next| next.is_ascii_alphanumeric() || matches!(next, '/' | '.'));
    if !is_told || id.len() > CUT_CHARS {
        id.truncate(CUT_CHARS);
        id = format!("{id}-{:.DIGEST_DIGITS$}", Digest::of(path.as_bytes()).to_string());
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::id::Id;

    #[test]
    fn an_id_tells_the_path_or_has_digits_of_its_digest() {
        assert_eq!(of("site", "etc/kafka.json"), "site-etc-kafka_json");
        assert_eq!(of("site", "a-b"), format!("site-a-b-{:.8}", Digest::of(b"a-b").to_string()));
        let long = "x".repeat(200);
        let paths = ["a/b", "a.b", "a-b", "a_b", "a b", "ä", "A/b", ".x", "x.", "..", long.as_str()];
        for tree in ["t", &"t".repeat(64)] {
            let ids: std::collections::BTreeSet<String> = paths.iter().map(|path| of(tree, path)).collect();
            assert_eq!(ids.len(), paths.len(), "{ids:?}");
            assert!(ids.iter().all(|id| id.parse::<Id>().is_ok()), "{ids:?}");
        }
    }
}
