//! The order in which people look for names: node-10 after node-2.

use std::cmp::Ordering;

/// Compares two names: digits as numbers, everything else by its characters. Names that differ are never equal.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one, other);
    loop {
        let ordering = match (first(left), first(right)) {
            (None, None) => return one.cmp(other),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => {
                (left, right) = (&left[a.len()..], &right[b.len()..]);
                compare_pieces(a, b)
            }
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
}

/// The digits at the beginning, or one character.
fn first(text: &str) -> Option<&str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let length = if digits > 0 { digits } else { text.chars().next()?.len_utf8() };
    Some(&text[..length])
}

/// Numbers may have more digits than any integer.
fn compare_pieces(one: &str, other: &str) -> Ordering {
    let is_number = |piece: &str| piece.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !is_number(one) || !is_number(other) {
        return one.cmp(other);
    }
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let sorted = ["", "1a", "2", "10", "a", "node-01", "node-1", "node-2", "node-10", "node-10-b", "node-x", "é"];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|one, other| compare(one, other));
        assert_eq!(names, sorted);
        assert_eq!(compare("a99999999999999999999999", "a100000000000000000000000"), Ordering::Less);
        assert_eq!(compare("a01", "a01"), Ordering::Equal);
        assert_ne!(compare("a01", "a1"), Ordering::Equal);
    }
}
