//! The refusal of an unknown command type, with a suggestion for a mistyped one.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::invalid::InputError;

/// Characters of an unknown type that are repeated to its sender.
const SHOWN_CHARS: usize = 64;
/// Changed characters up to which a mistyped type is taken for another one.
const TYPOS_MAX: usize = 3;

/// The refusal of a type that is none of these.
pub(super) fn unknown<'a>(kind: &str, names: impl IntoIterator<Item = &'a str>) -> InputError {
    let names: Vec<&str> = names.into_iter().collect();
    let shown: String = kind.chars().take(SHOWN_CHARS).collect();
    let meant = names.iter().map(|name| (typos(&shown, name), name)).min();
    let hint = meant.filter(|(typos, _)| *typos <= TYPOS_MAX).map(|(_, name)| format!(": did you mean `{name}`?"));
    let hint = hint.unwrap_or_else(|| ".".into());
    InputError::new("unknown_type", format!("`{shown}` is not a command{hint} There are {}", names.join(", ")))
}

/// How many characters have to be put in, taken out or changed to make one of the other (Levenshtein).
fn typos(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (above, given) in one.chars().enumerate() {
        let mut diagonal = core::mem::replace(&mut row[0], above + 1);
        for (column, wanted) in other.chars().enumerate() {
            let changed = diagonal + usize::from(given != wanted);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["put_document", "enrol_node", "label_node", "remove_component"];

    #[test]
    fn an_unknown_type_is_told_the_types_and_the_one_that_was_meant() {
        let table = [
            ("enroll_node", Some("enrol_node")),
            ("Put_Document", Some("put_document")),
            ("label_nodes", Some("label_node")),
            ("put-document", Some("put_document")),
            ("remove_componnet", Some("remove_component")),
            ("fly", None),
            ("", None),
        ];
        for (given, meant) in table {
            let detail = unknown(given, NAMES).detail;
            let hint = meant.map(|name| format!("`{given}` is not a command: did you mean `{name}`? There are "));
            let begins = hint.unwrap_or_else(|| format!("`{given}` is not a command. There are "));
            assert!(detail.starts_with(&begins), "{detail}");
            assert!(NAMES.iter().all(|name| detail.contains(name)), "{detail}");
        }
        assert!(unknown(&"x".repeat(8 * 1024 * 1024), NAMES).detail.len() < 1_000, "it is not repeated whole");
        assert_eq!(typos("kitten", "sitting"), 3);
    }
}
