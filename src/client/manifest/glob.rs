//! Patterns of paths: `?` is one character and `*` any number of them within a segment, `**` is any number of segments.

/// Whether a pattern is about a path below a tree's folder. A pattern without a slash is about the last segment, wherever it is; a pattern
/// that ends with a slash is about all that is below such a folder.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = match pattern.strip_suffix('/') {
        Some(folder) => format!("{folder}/**"),
        None => pattern.to_owned(),
    };
    let segments: Vec<&str> = path.split('/').collect();
    match pattern.contains('/') {
        true => segments_match(&pattern.split('/').collect::<Vec<_>>(), &segments),
        false => segments.last().is_some_and(|name| name_matches(&pattern, name)),
    }
}

fn segments_match(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=path.len()).any(|skipped| segments_match(rest, &path[skipped..])),
        ([first, rest @ ..], [name, below @ ..]) => name_matches(first, name) && segments_match(rest, below),
        _ => false,
    }
}

fn name_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    // Where the last star stands, and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(next) if *next == '?' || *next == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((star_at, reached)) = star else { return false };
                star = Some((star_at, reached + 1));
                (at, in_name) = (star_at + 1, reached + 1);
            }
        }
    }
    pattern[at..].iter().all(|next| *next == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_by_segments() {
        for (pattern, path, expected) in [
            ("*.md", "README.md", true),
            ("*.md", "a/b/README.md", true),
            ("*.md", "a.md/b", false),
            ("a/*.md", "a/x.md", true),
            ("a/*.md", "a/b/x.md", false),
            ("a/**", "a/b/x.md", true),
            ("a/**/x", "a/x", true),
            ("**/x/**", "a/x/b", true),
            ("a/", "a/b/c", true),
            ("a/", "b/a/c", false),
            ("?.md", "ä.md", true),
            ("?.md", ".md", false),
            ("*a*b", "xaybzb", true),
            ("*a*b", "xaybz", false),
            ("", "a", false),
            ("*", "a/b", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
